//! A process under test with one account, and a shard that a test plays. Every answer of a
//! documented path is checked against the OpenAPI document.

use control_api::app::App;
use control_api::clock::now_ms;
use control_api::config::Config;
use control_api::secret;
use control_api::server::{self, Running};
use control_api::streams::{Patience, Streams};
use control_wire::{
    CallStatus, Command, Control, ControlRefusal, Conversation, Ended, Event, FrameDecoder,
    FromEdge, Hello, Joining, LegName, Milestone, Party, PartyRole, PartyState, PlaceCall,
    Presence, RecordingState, ShardStatus, SoftphoneGrant, SoftphoneService, SupervisorRole,
    ToEdge, VERSION, encode,
};
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use storage::{
    Account, Agent, ApiKey, CallbackSettings, KeyClass, MediaProfile, Number, NumberFormat, Sealed,
    TransportKind, Trunk,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::{sleep, timeout};

pub const ACCOUNT: &str = "acme";
pub const CALLER_ID: &str = "+918047123456";
/// Nothing under test may take longer.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("not JSON: {}", String::from_utf8_lossy(&self.body)))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[track_caller]
    pub fn expect(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        self
    }

    /// Expects a problem of this status and code.
    #[track_caller]
    pub fn expect_problem(&self, status: u16, code: &str) -> &Self {
        self.expect(status);
        assert_eq!(self.header("content-type"), "application/problem+json");
        let body = self.json();
        assert_eq!((&body["code"], &body["status"]), (&json!(code), &json!(status)), "{body}");
        assert_eq!(body["type"], format!("/problems/{code}"));
        self
    }
}

pub struct Rig {
    pub app: Arc<App>,
    pub folder: PathBuf,
    pub server_key: String,
    pub browser_key: String,
    running: Option<Running>,
    client: reqwest::Client,
    document: Value,
    change: fn(&mut Config),
}

impl Rig {
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// With a changed configuration, also after a restart.
    pub async fn start_with(change: fn(&mut Config)) -> Self {
        Self::open(change, Patience::default()).await
    }

    /// With streams of events that wait as long as this.
    pub async fn start_patient(patience: Patience) -> Self {
        Self::open(|_| {}, patience).await
    }

    async fn open(change: fn(&mut Config), patience: Patience) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder =
            std::env::temp_dir().join(format!("control-api-{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let mut app = App::open(config(&folder, change)).unwrap();
        Arc::get_mut(&mut app).expect("nobody else has it yet").streams = Streams::new(patience);
        let [server_key, browser_key] = onboard(&app);
        Self::serve(app, folder, server_key, browser_key, change).await
    }

    async fn serve(
        app: Arc<App>,
        folder: PathBuf,
        server_key: String,
        browser_key: String,
        change: fn(&mut Config),
    ) -> Self {
        let running = server::start(Arc::clone(&app)).await.unwrap();
        let document = control_api::server::public_document("https://api.example");
        Self {
            app,
            folder,
            server_key,
            browser_key,
            running: Some(running),
            client: reqwest::Client::new(),
            document,
            change,
        }
    }

    /// Stops the process and starts another on the same files.
    pub async fn restart(mut self) -> Self {
        self.running.take().unwrap().stop().await;
        let Self { app, folder, server_key, browser_key, change, .. } = self;
        // Connections that were closed a moment ago may still hold the store.
        timeout(DEADLINE, async {
            while Arc::strong_count(&app) > 1 {
                sleep(Duration::from_millis(1)).await
            }
        })
        .await
        .unwrap();
        drop(app);
        let app = timeout(DEADLINE, async {
            loop {
                match App::open(config(&folder, change)) {
                    Ok(app) => return app,
                    Err(_) => sleep(Duration::from_millis(5)).await,
                }
            }
        });
        Self::serve(app.await.unwrap(), folder, server_key, browser_key, change).await
    }

    pub async fn stop(mut self) {
        self.running.take().unwrap().stop().await;
        std::fs::remove_dir_all(&self.folder).unwrap();
    }

    /// A request with the account's server key.
    pub async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let key = self.server_key.clone();
        self.request(method, path, |request| {
            let request = request.bearer_auth(key);
            match body {
                Some(body) => {
                    request.header("content-type", "application/json").body(body.to_string())
                }
                None => request,
            }
        })
        .await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    pub async fn post_call(&self, body: Value) -> Answer {
        self.send(Method::POST, "/calls", Some(body)).await
    }

    /// Places the guide's call and returns its id and the command that the shard got for it.
    pub async fn place(&self, shard: &mut Shard) -> (String, PlaceCall) {
        let answer = self.post_call(guide_call()).await;
        let call_id = answer.expect(201).json()["call_id"].as_str().unwrap().to_owned();
        let place = shard.expect_call().await;
        assert_eq!(place.call_id, call_id);
        (call_id, place)
    }

    /// Places the guide's call and brings it to the bridge.
    pub async fn talk(&self, shard: &mut Shard) -> String {
        let (call_id, _) = self.place(shard).await;
        shard.bridge(&call_id).await;
        call_id
    }

    /// A request that the edge answers meanwhile.
    pub async fn post(&self, path: &str, body: Option<Value>) -> Answer {
        self.send(Method::POST, path, body).await
    }

    pub async fn call(&self, call_id: &str) -> Value {
        self.get(&format!("/calls/{call_id}")).await.expect(200).json()
    }

    /// Waits until the call has ended.
    pub async fn ended_call(&self, call_id: &str) -> Value {
        let wait = async {
            loop {
                let call = self.call(call_id).await;
                if call["state"] == "ended" {
                    return call;
                }
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(DEADLINE, wait).await.expect("the call never ended")
    }

    /// Any request to the public listener.
    pub async fn request(
        &self,
        method: Method,
        path: &str,
        build: impl FnOnce(reqwest::RequestBuilder) -> reqwest::RequestBuilder,
    ) -> Answer {
        let url = format!("http://{}{path}", self.address());
        let answer =
            read(build(self.client.request(method.clone(), url)).send().await.unwrap()).await;
        self.check_documented(&method, path, &answer);
        answer
    }

    pub async fn operator(&self, path: &str) -> Answer {
        let url = format!("http://{}{path}", self.running.as_ref().unwrap().admin);
        read(self.client.get(url).send().await.unwrap()).await
    }

    /// A request to the operators' listener with the admin token.
    pub async fn admin(&self, method: Method, path: &str) -> Answer {
        let url = format!("http://{}{path}", self.running.as_ref().unwrap().admin);
        read(
            self.client
                .request(method, url)
                .bearer_auth(self.app.admin_token.expose())
                .send()
                .await
                .unwrap(),
        )
        .await
    }

    /// The same with a body.
    pub async fn admin_json(&self, method: Method, path: &str, body: Value) -> Answer {
        let url = format!("http://{}{path}", self.running.as_ref().unwrap().admin);
        let request = self.client.request(method, url).bearer_auth(self.app.admin_token.expose());
        read(
            request
                .header("content-type", "application/json")
                .body(body.to_string())
                .send()
                .await
                .unwrap(),
        )
        .await
    }

    /// Where the public listener is.
    pub fn address(&self) -> std::net::SocketAddr {
        self.running.as_ref().unwrap().public
    }

    /// An answer that is read as it comes.
    pub async fn stream(&self, path: &str, authorization: &str) -> reqwest::Response {
        let url = format!("http://{}{path}", self.address());
        self.client.get(url).header("authorization", authorization).send().await.unwrap()
    }

    fn check_documented(&self, method: &Method, path: &str, answer: &Answer) {
        let path = path.split('?').next().unwrap();
        let paths = self.document["paths"].as_object().unwrap();
        let Some((template, operations)) =
            paths.iter().find(|(template, _)| matches_template(template, path))
        else {
            return;
        };
        let Some(operation) = operations.get(method.as_str().to_ascii_lowercase()) else { return };
        let status = answer.status.as_u16().to_string();
        let response = &operation["responses"][&status];
        assert!(
            !response.is_null(),
            "{method} {template} answers {status}, which is not documented"
        );
        let content_type = answer.header("content-type").split(';').next().unwrap().to_owned();
        if method == Method::HEAD || answer.body.is_empty() {
            return;
        }
        let media = &response["content"][&content_type];
        assert!(
            !media.is_null(),
            "{method} {template} {status} answers {content_type}, which is not documented"
        );
        if content_type.ends_with("json") {
            let mut schema = media["schema"].clone();
            schema["components"] = self.document["components"].clone();
            let validator = jsonschema::validator_for(&schema).unwrap();
            let body = answer.json();
            let errors: Vec<_> = validator
                .iter_errors(&body)
                .map(|error| format!("{}: {error}", error.instance_path()))
                .collect();
            assert!(errors.is_empty(), "{method} {template} {status}: {errors:?}\n{body:#}");
        }
    }

    pub async fn shard(&self, epoch: u64, live_calls: &[&str]) -> Shard {
        self.ready(hello(epoch, live_calls)).await
    }

    /// A shard that takes softphones and has these.
    pub async fn softphone_shard(&self, live_calls: &[&str], softphones: &[&str]) -> Shard {
        let softphones = softphones.iter().map(|agent| (*agent).to_owned()).collect();
        self.ready(Hello {
            softphone_service: Some(service(8443)),
            softphones,
            ..hello(1, live_calls)
        })
        .await
    }

    async fn ready(&self, hello: Hello) -> Shard {
        let shard = self.greet(hello).await;
        let ready = async {
            while !self.app.link.is_ready() {
                sleep(Duration::from_millis(1)).await
            }
        };
        timeout(DEADLINE, ready).await.expect("the shard never became ready");
        shard
    }

    /// Connects and says Hello; expects to be welcome.
    pub async fn greet(&self, hello: Hello) -> Shard {
        let mut shard = self.connect().await;
        for message in hello.split() {
            shard.write(&message).await;
        }
        assert_eq!(shard.read().await, Some(ToEdge::Welcome { version: VERSION }));
        shard
    }

    pub async fn connect(&self) -> Shard {
        let stream = UnixStream::connect(&self.app.config.link.socket).await.unwrap();
        Shard { stream, decoder: FrameDecoder::default(), last_event_id: 0 }
    }

    pub fn change_account(&self, change: impl FnOnce(&mut Account)) {
        let mut account = self.app.store.account(ACCOUNT).unwrap().unwrap();
        change(&mut account);
        self.app.store.put_account(&account).unwrap();
    }

    pub fn add_key(&self, id: &str, class: KeyClass, change: impl FnOnce(&mut ApiKey)) -> String {
        add_key(&self.app, id, class, change)
    }

    pub fn recording_path(&self, file_name: &str) -> PathBuf {
        self.app.config.recordings.folder.join(file_name)
    }
}

async fn read(response: reqwest::Response) -> Answer {
    let (status, headers) = (response.status(), response.headers().clone());
    Answer { status, headers, body: response.bytes().await.unwrap().to_vec() }
}

fn matches_template(template: &str, path: &str) -> bool {
    let (template, path): (Vec<_>, Vec<_>) =
        (template.split('/').collect(), path.split('/').collect());
    template.len() == path.len()
        && template
            .iter()
            .zip(&path)
            .all(|(wanted, actual)| wanted.starts_with('{') || wanted == actual)
}

fn config(folder: &Path, change: fn(&mut Config)) -> Config {
    let mut config = Config::default();
    config.public.listen.set_port(0);
    config.public.url = "https://api.example".into();
    config.public.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    config.admin.listen.set_port(0);
    config.admin.token_file = folder.join("admin.token");
    config.link.socket = folder.join("control.sock");
    config.link.edge_lost_after_s = 1;
    config.storage.folder = folder.join("db");
    config.storage.secret_key_file = folder.join("secret.key");
    config.recordings.folder = folder.join("recordings");
    config.hold_audio.folder = folder.join("hold-audio");
    change(&mut config);
    config
}

fn onboard(app: &App) -> [String; 2] {
    let trunk = Trunk {
        id: "carrier".into(),
        host: "127.0.0.1".into(),
        port: 5060,
        transport: TransportKind::Udp,
        media: MediaProfile::Rtp,
        allow_plaintext: true,
        number_format: NumberFormat::E164Plus,
        username: None,
        password: None,
        max_calls: 1_000,
        signal_from: vec![],
        media_from: vec![],
    };
    app.store.put_trunk(&trunk).unwrap();
    let mut account = Account::new(ACCOUNT, "Acme");
    account.trunks = vec![trunk.id];
    account.limits.calls_per_second = 1_000;
    // Nothing listens there; what matters here is what the outbox holds.
    account.callback = Some(CallbackSettings {
        url: "https://127.0.0.1:9/results".into(),
        auth_header: None,
        signing_secret: Sealed(vec![]),
        max_retries: 3,
        earlier_secrets: Vec::new(),
    });
    app.store.put_account(&account).unwrap();
    app.store.put_account(&Account::new("other", "Other")).unwrap();
    for (e164, account_id) in [(CALLER_ID, ACCOUNT), ("+918047123457", "other")] {
        app.store.put_number(&Number { e164: e164.into(), account_id: account_id.into() }).unwrap();
    }
    for (crm_username, display_name) in
        [("agent.017", "Asha"), ("agent.018", "agent.018"), ("Jörg आशा", "Jörg")]
    {
        let (crm_username, display_name) = (crm_username.into(), display_name.into());
        app.store
            .put_agent(&Agent { account_id: ACCOUNT.into(), crm_username, display_name })
            .unwrap();
    }
    [("server", KeyClass::Server), ("browser", KeyClass::Browser)]
        .map(|(id, class)| add_key(app, id, class, |_| {}))
}

fn add_key(app: &App, id: &str, class: KeyClass, change: impl FnOnce(&mut ApiKey)) -> String {
    let clear = secret::mint_key(class);
    let mut key = ApiKey {
        id: id.into(),
        account_id: Some(ACCOUNT.into()),
        class,
        hash: secret::hash(clear.expose()),
        prefix: secret::shown_prefix(&clear),
        created_ms: now_ms(),
        expires_ms: None,
        cidrs: Vec::new(),
        may_supervise: false,
    };
    change(&mut key);
    app.store.put_api_key(&key).unwrap();
    clear.expose().to_owned()
}

/// The call as it is but for its delivery, which goes on by itself.
pub fn without_delivery(mut call: Value) -> Value {
    call.as_object_mut().unwrap().remove("callback");
    call
}

/// The body that the guide shows, without `uuid`.
pub fn guide_call() -> Value {
    json!({ "from_number": CALLER_ID, "to_number": "9876543210", "agent_number": "098765 43211" })
}

pub fn hello(epoch: u64, live_calls: &[&str]) -> Hello {
    Hello {
        version: VERSION,
        edge: "edge-1".into(),
        epoch,
        shard: 0,
        live_calls: live_calls.iter().map(|call_id| (*call_id).to_owned()).collect(),
        status: status(),
        softphone_service: None,
        softphones: Vec::new(),
        folders: None,
        more: false,
    }
}

/// Where softphones reach a shard.
pub fn service(port: u16) -> SoftphoneService {
    SoftphoneService { url: format!("wss://edge.example:{port}/"), domain: "dialer.invalid".into() }
}

pub fn status() -> ShardStatus {
    ShardStatus {
        draining: false,
        call_count: 0,
        call_capacity: 100,
        free_port_pairs: 200,
        counters: [("drop_unknown_source".to_owned(), 7)].into(),
    }
}

/// The edge's end of the link, played by a test.
pub struct Shard {
    stream: UnixStream,
    decoder: FrameDecoder,
    last_event_id: u64,
}

impl Shard {
    pub async fn write(&mut self, message: &FromEdge) {
        let mut bytes = Vec::new();
        encode(message, &mut bytes).unwrap();
        self.write_bytes(&bytes).await;
    }

    pub async fn write_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// The next message; `None` when the connection is closed.
    pub async fn read(&mut self) -> Option<ToEdge> {
        let read = async {
            loop {
                if let Some(message) = self.decoder.poll().unwrap() {
                    return Some(message);
                }
                let mut buffer = [0; 4096];
                match self.stream.read(&mut buffer).await {
                    Ok(0) | Err(_) => return None,
                    Ok(len) => self.decoder.push(&buffer[..len]),
                }
            }
        };
        timeout(DEADLINE, read).await.expect("nothing came over the link")
    }

    /// The next command, without acknowledging it.
    pub async fn command(&mut self) -> (u64, Command) {
        match self.read().await {
            Some(ToEdge::Command { id, command }) => (id, command),
            other => panic!("expected a command, got {other:?}"),
        }
    }

    /// The next command, which places a call, acknowledged.
    pub async fn expect_call(&mut self) -> PlaceCall {
        match self.command().await {
            (command_id, Command::PlaceCall(place)) => {
                self.write(&FromEdge::Ack { command_id }).await;
                *place
            }
            other => panic!("expected PlaceCall, got {other:?}"),
        }
    }

    /// The next command, which hangs a call up, acknowledged.
    pub async fn expect_hang_up(&mut self) -> String {
        match self.command().await {
            (command_id, Command::HangUp { call_id }) => {
                self.write(&FromEdge::Ack { command_id }).await;
                call_id
            }
            other => panic!("expected HangUp, got {other:?}"),
        }
    }

    /// The next command, which lets a softphone register, acknowledged.
    pub async fn expect_grant(&mut self) -> SoftphoneGrant {
        match self.command().await {
            (command_id, Command::GrantSoftphone(grant)) => {
                self.write(&FromEdge::Ack { command_id }).await;
                grant
            }
            other => panic!("expected GrantSoftphone, got {other:?}"),
        }
    }

    /// The next command, which cuts a softphone off, acknowledged.
    pub async fn expect_revocation(&mut self) -> String {
        match self.command().await {
            (command_id, Command::RevokeSoftphone { agent }) => {
                self.write(&FromEdge::Ack { command_id }).await;
                agent
            }
            other => panic!("expected RevokeSoftphone, got {other:?}"),
        }
    }

    /// The next command, which is a verb on a running call, not yet answered.
    pub async fn expect_verb(&mut self) -> (u64, Control) {
        match self.command().await {
            (command_id, Command::Control(control)) => (command_id, *control),
            other => panic!("expected Control, got {other:?}"),
        }
    }

    /// Takes the next verb, and tells how the parties stand after it before it acknowledges.
    pub async fn obey(
        &mut self,
        kind: &str,
        sequence: u32,
        party: Option<&str>,
        conversation: Conversation,
    ) -> Control {
        let (command_id, control) = self.expect_verb().await;
        let step = told(&control.call_id, sequence, kind, party, conversation);
        self.tell(Event::Milestone(step)).await;
        self.write(&FromEdge::Ack { command_id }).await;
        control
    }

    /// Refuses the next verb.
    pub async fn refuse(&mut self, code: &str) -> Control {
        let (command_id, control) = self.expect_verb().await;
        let refusal = ControlRefusal { code: code.into(), detail: "not now".into() };
        self.write(&FromEdge::Refused { command_id, refusal }).await;
        control
    }

    /// Tells that a softphone came or went.
    pub async fn presence(&mut self, agent: &str, online: bool) {
        self.write(&FromEdge::Presence(Presence { agent: agent.to_owned(), online })).await;
    }

    /// Tells an event and waits until it is acknowledged.
    pub async fn tell(&mut self, event: Event) {
        self.last_event_id += 1;
        let id = self.last_event_id;
        self.write(&FromEdge::Event { id, event }).await;
        assert_eq!(self.read().await, Some(ToEdge::Ack { event_id: id }));
    }

    pub async fn milestone(
        &mut self,
        call_id: &str,
        sequence: u32,
        leg: Option<LegName>,
        kind: &str,
    ) {
        self.tell(Event::Milestone(milestone(call_id, sequence, leg, kind))).await;
    }

    /// Brings a call to the bridge.
    pub async fn bridge(&mut self, call_id: &str) {
        let steps = [
            (Some(LegName::Agent), "ringing"),
            (Some(LegName::Agent), "answered"),
            (Some(LegName::Customer), "ringing"),
        ];
        for (sequence, (leg, kind)) in (1..).zip(steps) {
            self.milestone(call_id, sequence, leg, kind).await;
        }
        self.tell(Event::Milestone(told(call_id, 4, "bridged", None, two_talk()))).await;
    }

    pub async fn end(&mut self, call_id: &str, status: CallStatus) {
        self.tell(Event::Ended(Box::new(ended(call_id, status)))).await;
    }
}

pub fn milestone(call_id: &str, sequence: u32, leg: Option<LegName>, kind: &str) -> Milestone {
    Milestone {
        call_id: call_id.into(),
        sequence,
        at_ms: now_ms(),
        leg,
        party: None,
        conversation: None,
        kind: kind.into(),
        sip_code: None,
        trunk: Some("carrier".into()),
        detail: None,
    }
}

/// A milestone that changes how the parties stand.
pub fn told(
    call_id: &str,
    sequence: u32,
    kind: &str,
    party: Option<&str>,
    conversation: Conversation,
) -> Milestone {
    let leg = match party {
        Some("agent") => Some(LegName::Agent),
        Some("customer") => Some(LegName::Customer),
        Some(name) if name.starts_with("supervisor") => Some(LegName::Supervisor),
        Some(_) => Some(LegName::Participant),
        None => None,
    };
    Milestone {
        party: party.map(str::to_owned),
        conversation: Some(Box::new(conversation)),
        ..milestone(call_id, sequence, leg, kind)
    }
}

/// How parties stand, each `name:state`, with the recording running.
pub fn conversation(parties: &[(&str, PartyState)]) -> Conversation {
    let party = |(name, state): &(&str, PartyState)| Party {
        party: (*name).to_owned(),
        role: match *name {
            "agent" => PartyRole::Agent,
            "customer" => PartyRole::Customer,
            name if name.starts_with("supervisor") => PartyRole::Supervisor,
            _ => PartyRole::Participant,
        },
        state: *state,
        muted: false,
        joining: name.starts_with("participant").then_some(Joining::Consult),
        supervisor_role: name.starts_with("supervisor").then_some(SupervisorRole::Listen),
        reason: (*state == PartyState::Left).then(|| "busy".to_owned()),
    };
    Conversation {
        parties: parties.iter().map(party).collect(),
        recording: RecordingState::Running,
    }
}

/// Agent and customer talk.
pub fn two_talk() -> Conversation {
    conversation(&[("agent", PartyState::Talking), ("customer", PartyState::Talking)])
}

pub fn ended(call_id: &str, status: CallStatus) -> Ended {
    Ended {
        call_id: call_id.into(),
        status,
        reason: None,
        failed_leg: None,
        sip_code: None,
        hangup_by: None,
        answered_at_ms: None,
        ended_at_ms: now_ms(),
        duration_s: 0,
        attempts: Vec::new(),
        recording: None,
        agent_media: None,
        customer_media: None,
        others: Vec::new(),
        detail: None,
        recording_written: None,
    }
}

/// Two seconds of silence as the edge writes them.
pub fn wav() -> Vec<u8> {
    let data_len: u32 = 2 * 32_000;
    let mut file = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x02\0".to_vec();
    file.extend(8_000_u32.to_le_bytes());
    file.extend(32_000_u32.to_le_bytes());
    file.extend(*b"\x04\0\x10\0data");
    file.extend(data_len.to_le_bytes());
    file.resize(file.len() + data_len as usize, 0);
    file
}
