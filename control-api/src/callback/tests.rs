//! Deliveries against a real HTTPS endpoint. The schedule runs on times that are passed in, so
//! nothing waits for it.

use super::attempt::Sender;
use super::sink::{Answer, Identity, Old, Sink};
use super::{Callbacks, for_call, for_event};
use crate::clock::now_ms;
use crate::metrics::Metrics;
use crate::records::Records;
use crate::secret::{MasterKey, Purpose, Secret};
use crate::streams::Streams;
use call_words::{CallStatus, CallType, EndpointId, HangupBy, JobState, LegKind};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use storage::*;
use tempfile::TempDir;

const START: u64 = 1_783_072_800_000;
const ACCOUNT: &str = "demo";
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const AUTH: &str = "Bearer  abc+/=~";
/// Long enough for any local answer, on any machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// An answered, recorded call.
pub fn ended_call(call_id: &str) -> Call {
    let folder = tempfile::tempdir().unwrap();
    end_call(&Storage::open(folder.path(), ()).unwrap(), call_id)
}

fn new_call(call_id: &str) -> NewCall {
    NewCall {
        call_id: call_id.into(),
        // One each: all calls here have the same uuid.
        account_id: format!("of {call_id}").into(),
        uuid: Some(" 😀 \"quoted\" ".into()),
        call_type: CallType::Server,
        customer_number: "98765 43210".into(),
        customer_number_e164: "+919876543210".into(),
        agent_number: Some("9876543211".into()),
        agent_number_e164: Some("+919876543211".into()),
        crm_username: None,
        from_number: "+918047000000".into(),
        hide_caller: false,
        disposition: "CRM_CALL".into(),
        recording_file: Some(format!("crm_{call_id}.wav").into()),
        fingerprint: call_id.into(),
        idempotency_key: None,
        start_ms: START,
    }
}

/// Announces for the account that a test names, as if at the time that it names.
#[derive(Clone, Default)]
struct Named(Arc<Mutex<Option<(Account, u64)>>>);

impl Announcer for Named {
    fn result(&self, _: &Account, call: &Call) -> Option<NewCallback> {
        let named = self.0.lock().unwrap();
        let (account, due_ms) = named.as_ref()?;
        for_call(account, call, "https://api.example", *due_ms)
    }

    fn step(&self, _: &Account, event: &EventRecord) -> Option<NewCallback> {
        let named = self.0.lock().unwrap();
        let (account, due_ms) = named.as_ref()?;
        for_event(account, event, *due_ms)
    }
}

/// Makes a call; returns the queue of its progress callback.
fn create_call(store: &Storage, call_id: &str) -> Option<EndpointId> {
    let new = new_call(call_id);
    store.put_account(&Account::new(new.account_id.clone(), "Demo Realty")).unwrap();
    let outcome = store.create_call(new, None).unwrap();
    let CreateOutcome::Created { queued, .. } = outcome else { panic!("{outcome:?}") };
    queued.map(|queued| queued.endpoint)
}

fn end_call(store: &Storage, call_id: &str) -> Call {
    create_call(store, call_id);
    let end = FinalCall {
        status: CallStatus::Answer,
        reason: None,
        failed_leg: None,
        sip_code: Some(200),
        hangup_by: Some(HangupBy::Agent),
        answer_ms: Some(START + 5_000),
        end_ms: START + 155_900,
        duration_s: 150,
        attempts: vec![Attempt {
            leg: LegKind::Customer,
            trunk: "t1".into(),
            start_ms: START,
            end_ms: START + 5_000,
            sip_code: Some(200),
            result: "answered".into(),
        }],
        recording: Some(RecordingResult {
            file_name: format!("crm_{call_id}.wav").into(),
            duration_ms: 150_900,
            file_len: 1,
            pauses: Vec::new(),
        }),
        recording_written: Some(RecordingWritten { complete: true, written_ms: Some(150_900) }),
        agent_media: None,
        customer_media: None,
        reason_detail: None,
        others: Some(Vec::new()),
    };
    match store.finish_call(&call_id.into(), end).unwrap() {
        FinishOutcome::Finished(finish) => finish.call,
        other => panic!("{other:?}"),
    }
}

struct Rig {
    records: Records,
    named: Named,
    folder: TempDir,
    secrets: Arc<MasterKey>,
}

impl Rig {
    fn new() -> Self {
        let (folder, named) = (tempfile::tempdir().unwrap(), Named::default());
        Self {
            records: Records::open(folder.path(), named.clone()).unwrap(),
            named,
            folder,
            secrets: Arc::new(MasterKey::new([7; 32])),
        }
    }

    fn store(&self) -> &Storage {
        self.records.blocking()
    }

    fn reopen(self) -> Self {
        let Self { records, named, folder, secrets } = self;
        drop(records);
        // Whoever wrote the last group lets go a moment after it has told so.
        let started = Instant::now();
        let records = loop {
            match Records::open(folder.path(), named.clone()) {
                Ok(records) => break records,
                Err(error) if started.elapsed() > PATIENCE => panic!("{error}"),
                Err(_) => std::thread::sleep(Duration::from_millis(1)),
            }
        };
        Self { records, named, folder, secrets }
    }

    fn callbacks(&self, sink: &Sink, timeout: Duration, connections: usize) -> Callbacks {
        let sender =
            Sender::new(Arc::clone(&self.secrets), true, Some(sink.roots.path()), connections)
                .unwrap();
        Callbacks::with_sender(
            sender.with_timeout(timeout),
            connections,
            self.records.clone(),
            Metrics::default(),
            Streams::default(),
        )
    }

    fn account(&self, account_id: &str, url: &str) -> Account {
        self.account_with_retries(account_id, url, 3)
    }

    fn account_with_retries(&self, account_id: &str, url: &str, max_retries: u32) -> Account {
        let auth_header = AuthHeader {
            name: "X-Crm-Auth".into(),
            value: self.secrets.seal(Purpose::CallbackHeader, &Secret::new(AUTH)),
        };
        let callback = CallbackSettings {
            url: url.into(),
            auth_header: Some(auth_header),
            signing_secret: self.secrets.seal(Purpose::SigningSecret, &Secret::new(SECRET)),
            max_retries,
            earlier_secrets: Vec::new(),
        };
        Account { callback: Some(callback), ..Account::new(account_id, "Demo Realty") }
    }

    /// Ends a call whose account has this callback URL; returns the endpoint.
    fn end_call(&self, call_id: &str, account_id: &str, url: &str, due_ms: u64) -> EndpointId {
        self.end_call_of(call_id, &self.account(account_id, url), due_ms)
    }

    fn end_call_of(&self, call_id: &str, account: &Account, due_ms: u64) -> EndpointId {
        *self.named.0.lock().unwrap() = Some((account.clone(), due_ms));
        end_call(self.store(), call_id);
        self.store().callback_job(call_id).unwrap().unwrap().target.endpoint
    }

    /// Makes the attempt that is due at `now_ms`, if any; returns the job after it.
    async fn turn(
        &self,
        callbacks: &Callbacks,
        endpoint: &EndpointId,
        now_ms: u64,
    ) -> Option<CallbackJob> {
        let job =
            self.store().due_callbacks(endpoint, 0, now_ms, 1, |_| false).unwrap().jobs.pop()?;
        let job_id = job.job_id();
        callbacks.attempt(job, now_ms).await.unwrap();
        self.store().callback_job(&job_id).unwrap()
    }

    fn log(&self, call_id: &str) -> Vec<DeliveryAttempt> {
        self.store().deliveries(&call_id.into()).unwrap()
    }
}

/// Makes one attempt and checks what was noted of it: a status or the word of the failure, and
/// whether the job goes on.
#[track_caller]
fn check_noted(rig: &Rig, what: &str, expected: &str, state: JobState) {
    let log = rig.log("c1");
    assert_eq!(log.len(), 1, "{what}");
    let noted =
        log[0].http_status.map(|status| status.to_string()).or(log[0].error.clone()).unwrap();
    assert_eq!(noted, expected, "{what}");
    assert_eq!(rig.store().callback_job("c1").unwrap().unwrap().state, state, "{what}");
}

async fn attempt_once(rig: &Rig, sink: &Sink, url: &str, timeout: Duration) {
    let endpoint = rig.end_call("c1", ACCOUNT, url, START);
    rig.turn(&rig.callbacks(sink, timeout, 4), &endpoint, START).await.unwrap();
}

// S24
#[tokio::test]
async fn any_2xx_ends_it_and_everything_else_is_tried_again() {
    use Answer::{Close, EndlessBody, Headers, Noise, Redirect, Status};
    let delivered = [200, 201, 204, 299]
        .map(|status| (Status(status), status.to_string(), JobState::Delivered));
    let redirects = [301, 302, 307, 308]
        .map(|status| (Redirect(status), status.to_string(), JobState::Pending));
    let failed = [300, 400, 401, 404, 410, 429, 500, 503]
        .map(|status| (Status(status), status.to_string(), JobState::Pending));
    let others = [
        (Close, "reset".to_owned(), JobState::Pending),
        (Noise, "malformed_response".to_owned(), JobState::Pending),
        (EndlessBody, "200".to_owned(), JobState::Delivered),
        (Headers("x-hop: 1\r\n", 150), "200".to_owned(), JobState::Delivered),
        (Headers("set-cookie: a=b; path=/\r\n", 3_000), "200".to_owned(), JobState::Delivered),
        (Headers("x-folded: 1\r\n  2\r\n", 1), "200".to_owned(), JobState::Delivered),
        (Headers("x-spaced : 1\r\n", 1), "200".to_owned(), JobState::Delivered),
        (Headers("not a name: 1\r\n", 1), "200".to_owned(), JobState::Delivered),
    ];
    for (answer, noted, state) in delivered.into_iter().chain(redirects).chain(failed).chain(others)
    {
        let (rig, sink) = (Rig::new(), Sink::good(move |_| answer).await);
        attempt_once(&rig, &sink, &sink.url, PATIENCE).await;
        check_noted(&rig, &format!("{answer:?}"), &noted, state);
        assert_eq!(sink.seen().len(), 1, "{answer:?}: one request, no redirect followed");
    }
}

/// An endpoint with several pooled connections that fails over; returns how many attempts the next
/// result takes, and its log's first word.
async fn attempts_after_failover(old: Old, max_retries: u32) -> (u32, String) {
    let (rig, sink) = (Rig::new(), Sink::good(|_| Answer::Status(200)).await);
    let callbacks = rig.callbacks(
        &sink,
        if old == Old::Silence { Duration::from_secs(3) } else { PATIENCE },
        8,
    );
    let mut before = tokio::task::JoinSet::new();
    for n in 0..6 {
        let call_id = format!("before{n}");
        rig.end_call(&call_id, ACCOUNT, &sink.url, START);
        let (callbacks, job) =
            (callbacks.clone(), rig.store().callback_job(&call_id).unwrap().unwrap());
        before.spawn(async move { callbacks.attempt(job, START).await.unwrap() });
    }
    before.join_all().await;
    assert!(sink.connection_count() >= 2, "connections are pooled: {}", sink.connection_count());
    sink.fail_over(old);
    let endpoint =
        rig.end_call_of("c1", &rig.account_with_retries(ACCOUNT, &sink.url, max_retries), START);
    let mut now = START;
    while let Some(job) = rig.turn(&callbacks, &endpoint, now).await {
        now = job.next_ms;
    }
    assert_eq!(
        rig.store().callback_job("c1").unwrap().unwrap().state,
        JobState::Delivered,
        "{old:?}"
    );
    let first = rig.log("c1").swap_remove(0);
    (
        rig.log("c1").len() as u32,
        first.http_status.map(|status| status.to_string()).or(first.error).unwrap(),
    )
}

// S26: the endpoint is healthy, only what was pooled is not. Whether the request went through is
// not known, so within the attempt it is not sent twice.
#[tokio::test]
async fn a_retry_opens_a_connection_of_its_own() {
    assert_eq!(attempts_after_failover(Old::Close, 3).await, (2, "reset".into()));
    assert_eq!(attempts_after_failover(Old::Silence, 3).await, (2, "timeout".into()));
    assert_eq!(
        attempts_after_failover(Old::Answer(Answer::Status(503)), 1).await,
        (2, "503".into())
    );
    assert_eq!(
        attempts_after_failover(Old::Answer(Answer::Noise), 3).await,
        (2, "malformed_response".into())
    );
    assert_eq!(
        attempts_after_failover(Old::Close, 0).await,
        (1, "200".into()),
        "without a retry the only attempt has its own"
    );
}

// S22, S24
#[tokio::test]
async fn who_cannot_be_reached_or_trusted_has_failed() {
    for identity in [Identity::Expired, Identity::OtherName, Identity::SelfSigned] {
        let (rig, sink) = (Rig::new(), Sink::open(identity, |_| Answer::Status(200)).await);
        attempt_once(&rig, &sink, &sink.url, PATIENCE).await;
        check_noted(&rig, &format!("{identity:?}"), "tls", JobState::Pending);
        assert_eq!(sink.seen(), [], "{identity:?}: nothing is told to it");
    }
    let sink = Sink::good(|_| Answer::Status(200)).await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (url, word) in
        [(format!("https://{closed}/"), "refused"), ("https://callback.invalid/".to_owned(), "dns")]
    {
        let rig = Rig::new();
        attempt_once(&rig, &sink, &url, PATIENCE).await;
        check_noted(&rig, &url, word, JobState::Pending);
    }
}

// S25
#[tokio::test]
async fn connect_tls_and_headers_share_one_time_limit() {
    let limit = Duration::from_millis(200);
    for (identity, answer) in [(Identity::Mute, Answer::Close), (Identity::Good, Answer::Silence)] {
        let (rig, sink) = (Rig::new(), Sink::open(identity, move |_| answer).await);
        attempt_once(&rig, &sink, &sink.url, limit).await;
        check_noted(&rig, &format!("{identity:?}"), "timeout", JobState::Pending);
        assert!(rig.log("c1")[0].duration_ms >= 200);
    }
}

// S22
#[tokio::test]
async fn without_the_switch_no_connection_is_made_into_the_own_network() {
    let sink = Sink::good(|_| Answer::Status(200)).await;
    let port = sink.url.split(':').nth(2).unwrap().split('/').next().unwrap().to_owned();
    for host in [
        "localhost",
        "127.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "2130706433",
        "10.0.0.1",
        "169.254.169.254",
    ] {
        let rig = Rig::new();
        let endpoint = rig.end_call("c1", ACCOUNT, &format!("https://{host}:{port}/"), START);
        let sender =
            Sender::new(Arc::clone(&rig.secrets), false, Some(sink.roots.path()), 4).unwrap();
        let callbacks = Callbacks::with_sender(
            sender,
            4,
            rig.records.clone(),
            Metrics::default(),
            Streams::default(),
        );
        rig.turn(&callbacks, &endpoint, START).await.unwrap();
        check_noted(&rig, host, "blocked_address", JobState::Pending);
    }
    assert_eq!(sink.connection_count(), 0);
}

// S23, S26, S28
#[tokio::test]
async fn a_failing_endpoint_gets_four_equal_requests_and_no_more() {
    let sink = Sink::good(|_| Answer::Status(500)).await;
    let mut rig = Rig::new();
    let endpoint = rig.end_call("c1", ACCOUNT, &sink.url, START);
    let mut now = START;
    for (number, wait) in [(1, Some(1_000)), (2, Some(2_000)), (3, Some(4_000)), (4, None)] {
        let callbacks = rig.callbacks(&sink, PATIENCE, 4);
        assert_eq!(rig.turn(&callbacks, &endpoint, now - 1).await, None, "not before its time");
        let job = rig.turn(&callbacks, &endpoint, now).await.unwrap();
        let last = rig.log("c1").pop().unwrap();
        assert_eq!((last.attempt, last.at_ms, last.http_status), (number, now, Some(500)));
        match wait {
            Some(wait) => {
                assert_eq!(
                    job.next_ms,
                    now + last.duration_ms + wait,
                    "waits count from the failure"
                );
                now = job.next_ms;
            }
            None => assert_eq!(job.state, JobState::Exhausted),
        }
        drop(callbacks);
        rig = rig.reopen();
    }
    let callbacks = rig.callbacks(&sink, PATIENCE, 4);
    assert_eq!(rig.turn(&callbacks, &endpoint, now + 1_000_000).await, None);

    let seen = sink.seen();
    assert_eq!(seen.len(), 4);
    for (number, request) in seen.iter().enumerate() {
        assert_eq!(request.request_line, "POST /calls?x=1 HTTP/1.1");
        assert_eq!(request.body, seen[0].body);
        assert_eq!(request.header("content-type"), "application/json");
        assert_eq!(request.header("x-crm-auth"), AUTH);
        assert_eq!(request.header("webhook-id"), "c1");
        assert_eq!(request.header("x-delivery-attempt"), (number + 1).to_string());
        assert!(request.header("webhook-signature").starts_with("v1,"));
        assert!(request.header("user-agent").starts_with("control-api/"));
    }
    let body: serde_json::Value = serde_json::from_str(&seen[0].body).unwrap();
    assert_eq!(body["uuid"], " 😀 \"quoted\" ");
}

// S26
#[tokio::test]
async fn success_on_any_attempt_stops_the_rest() {
    let sink = Sink::good(|number| Answer::Status(if number < 2 { 503 } else { 202 })).await;
    let rig = Rig::new();
    let callbacks = rig.callbacks(&sink, PATIENCE, 4);
    let endpoint = rig.end_call("c1", ACCOUNT, &sink.url, START);
    let mut now = START;
    while let Some(job) = rig.turn(&callbacks, &endpoint, now).await {
        now = job.next_ms;
    }
    assert_eq!(rig.store().callback_job("c1").unwrap().unwrap().state, JobState::Delivered);
    let statuses: Vec<_> =
        rig.log("c1").into_iter().map(|attempt| attempt.http_status.unwrap()).collect();
    assert_eq!(statuses, [503, 503, 202]);
    assert_eq!(rig.store().pending_endpoints().unwrap(), [""; 0]);
}

// B08: Standard Webhooks, "webhook-signature" is a list.
#[tokio::test]
async fn a_renewed_secret_signs_beside_its_successor_for_a_while() {
    let sink = Sink::good(|_| Answer::Status(500)).await;
    let rig = Rig::new();
    let callbacks = rig.callbacks(&sink, PATIENCE, 4);
    let mut account = rig.account("of c1", &sink.url);
    let seal = |byte: u8| {
        use base64::Engine;
        let text =
            format!("whsec_{}", base64::engine::general_purpose::STANDARD.encode([byte; 32]));
        rig.secrets.seal(Purpose::SigningSecret, &Secret::new(text))
    };
    let signatures = |number: usize| {
        sink.seen()[number]
            .header("webhook-signature")
            .split(' ')
            .map(String::from)
            .collect::<Vec<_>>()
    };
    rig.store().put_account(&account).unwrap();
    // Queued before the renewal, tried again after it.
    let endpoint = rig.end_call_of("c1", &account, START);
    let job = rig.turn(&callbacks, &endpoint, START).await.unwrap();
    let settings = account.callback.as_mut().unwrap();
    let first = std::mem::replace(&mut settings.signing_secret, seal(1));
    settings.earlier_secrets = vec![EarlierSecret { secret: first, until_ms: job.next_ms + 1_000 }];
    rig.store().put_account(&account).unwrap();
    let job = rig.turn(&callbacks, &endpoint, job.next_ms).await.unwrap();
    rig.turn(&callbacks, &endpoint, job.next_ms).await.unwrap();
    assert_eq!(
        [signatures(0).len(), signatures(1).len(), signatures(2).len()],
        [1, 2, 1],
        "before, while, after"
    );
    assert!(
        signatures(1).iter().all(|signature| signature.starts_with("v1,"))
            && signatures(1)[0] != signatures(1)[1]
    );
    // The newest comes first.
    let both = |secret: &Sealed, number: usize| {
        let request = &sink.seen()[number];
        let secret = rig.secrets.open(Purpose::SigningSecret, secret).unwrap();
        let time = request.header("webhook-timestamp").parse().unwrap();
        super::attempt::signature(secret.expose(), "c1", time, &request.body).unwrap()
    };
    let settings = account.callback.as_ref().unwrap();
    assert_eq!(
        signatures(1),
        [both(&settings.signing_secret, 1), both(&settings.earlier_secrets[0].secret, 1)]
    );
    assert_eq!(signatures(2), [both(&settings.signing_secret, 2)]);
}

#[tokio::test]
async fn a_result_that_was_given_up_can_be_found() {
    let sink = Sink::good(|_| Answer::Status(503)).await;
    let rig = Rig::new();
    let callbacks = rig.callbacks(&sink, PATIENCE, 4);
    let endpoint = rig.end_call_of("c1", &rig.account_with_retries("of c1", &sink.url, 0), START);
    assert_eq!(rig.store().outbox_depth().unwrap(), OutboxDepth { pending: 1, exhausted: 0 });
    let job = rig.turn(&callbacks, &endpoint, START).await.unwrap();
    assert_eq!((job.state, job.last_error.as_deref()), (JobState::Exhausted, Some("503")));
    assert_eq!(rig.store().outbox_depth().unwrap(), OutboxDepth { pending: 0, exhausted: 1 });
    let events = rig.store().events(&"of c1".into(), 0, 10).unwrap();
    let last = events.last().unwrap();
    assert_eq!(
        (last.event.as_str(), last.reason.as_deref(), last.call_id.as_str()),
        ("callback_exhausted", Some("503"), "c1")
    );
    let call = rig.store().call(&"c1".into()).unwrap().unwrap();
    assert_eq!(
        rig.store().call_events(&call, 0, 10).unwrap().last().unwrap().event.as_str(),
        "ended",
        "a call's own stream ends with it"
    );
}

#[tokio::test]
async fn secrets_of_another_master_key_are_a_failure_and_nothing_is_sent() {
    let sink = Sink::good(|_| Answer::Status(200)).await;
    let mut rig = Rig::new();
    let endpoint = rig.end_call("c1", ACCOUNT, &sink.url, START);
    rig.secrets = Arc::new(MasterKey::new([8; 32]));
    rig.turn(&rig.callbacks(&sink, PATIENCE, 4), &endpoint, START).await.unwrap();
    check_noted(&rig, "other master key", "secret_unreadable", JobState::Pending);
    assert_eq!(sink.connection_count(), 0);
}

async fn in_time<F: Future>(what: &str, future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what} never happened"))
}

// A23
#[tokio::test]
async fn a_dead_endpoint_delays_no_other_and_gets_few_connections() {
    let dead = Sink::good(|_| Answer::Silence).await;
    let live = Sink::good(|_| Answer::Status(200)).await;
    let rig = Rig::new();
    // Both have the authority that is trusted; only one of them answers.
    let roots =
        [std::fs::read(dead.roots.path()).unwrap(), std::fs::read(live.roots.path()).unwrap()]
            .concat();
    std::fs::write(live.roots.path(), roots).unwrap();
    let callbacks = rig.callbacks(&live, PATIENCE, 2);
    for n in 0..10 {
        let endpoint = rig.end_call(&format!("dead{n}"), ACCOUNT, &dead.url, now_ms());
        callbacks.notify(&Queued { endpoint, due_ms: 0 });
    }
    in_time("the cap of the dead endpoint", dead.wait_for(2)).await;
    for n in 0..10 {
        let endpoint = rig.end_call(&format!("live{n}"), "other", &live.url, now_ms());
        callbacks.notify(&Queued { endpoint, due_ms: 0 });
    }
    in_time("delivery", live.wait_for(10)).await;
    assert_eq!((dead.seen().len(), dead.connection_count()), (2, 2));
}

/// What is answered leaves its connection to the next, however long the disk takes to note it.
#[tokio::test]
async fn an_outcome_that_is_being_written_keeps_no_connection() {
    let sink = Sink::good(|_| Answer::Status(200)).await;
    let rig = Rig::new();
    let callbacks = rig.callbacks(&sink, PATIENCE, 1);
    for n in 0..10 {
        rig.end_call(&format!("c{n}"), ACCOUNT, &sink.url, now_ms());
    }
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let (begin, begun) = std::sync::mpsc::channel::<()>();
    let store = rig.store().clone();
    let slow = std::thread::spawn(move || {
        store.write(move |_| {
            drop(begin);
            let _ = wait.recv();
            Ok(())
        })
    });
    assert!(begun.recv_timeout(PATIENCE).is_err(), "the slow write has begun");
    callbacks.start().await.unwrap();
    in_time("all attempts", sink.wait_for(10)).await;
    assert_eq!(sink.connection_count(), 1);
    drop(go_on);
    slow.join().unwrap().unwrap();
    in_time("the stop", callbacks.stop()).await;
    assert_eq!(rig.store().pending_endpoints().unwrap(), [""; 0]);
}

/// The clock was set back, or two writes settled in another order than their times.
#[tokio::test]
async fn a_job_that_is_due_before_what_was_tried_is_tried_too() {
    let sink = Sink::good(|n| if n == 0 { Answer::Silence } else { Answer::Status(200) }).await;
    let rig = Rig::new();
    let callbacks = rig.callbacks(&sink, PATIENCE, 2);
    let now_ms = now_ms();
    for (n, due_ms) in [now_ms, now_ms - 1_000, now_ms - 60_000, now_ms].into_iter().enumerate() {
        let endpoint = rig.end_call(&format!("c{n}"), ACCOUNT, &sink.url, due_ms);
        callbacks.notify(&Queued { endpoint, due_ms });
        in_time("the attempt", sink.wait_for(n + 1)).await;
    }
    let ids: Vec<_> = sink.seen().iter().map(|seen| seen.header("webhook-id").to_owned()).collect();
    assert_eq!(ids, ["c0", "c1", "c2", "c3"]);
}

// Nothing says that what is left from another attempt still leads anywhere.
#[tokio::test]
async fn an_attempt_without_another_behind_it_opens_a_connection_of_its_own() {
    let (rig, sink) = (Rig::new(), Sink::good(|_| Answer::Status(200)).await);
    let callbacks = rig.callbacks(&sink, PATIENCE, 8);
    let deliver = async |endpoint: &EndpointId| {
        let job = rig.turn(&callbacks, endpoint, START).await.unwrap();
        assert_eq!(job.state, JobState::Delivered);
        // What is left of a connection is kept behind the attempt's back.
        tokio::time::sleep(Duration::from_millis(50)).await;
        sink.connection_count()
    };
    let once = rig.account_with_retries(ACCOUNT, &sink.url, 0);
    for (call_id, count) in [("c1", 1), ("c2", 2), ("c3", 3)] {
        let endpoint = rig.end_call_of(call_id, &once, START);
        assert_eq!(deliver(&endpoint).await, count, "{call_id}");
    }
    // One that is asked for by hand has none behind it either.
    let endpoint = rig.end_call("c4", ACCOUNT, &sink.url, START);
    let before = deliver(&endpoint).await;
    let outcome = rig.store().requeue_callback(&"c4".into()).unwrap();
    let RequeueOutcome::Queued(job) = outcome else { panic!("{outcome:?}") };
    assert_eq!(deliver(&job.target.endpoint).await, before + 1);
}

// S20
#[tokio::test]
async fn a_start_takes_up_what_was_left_and_a_stop_waits_for_what_is_under_way() {
    let sink = Sink::good(|_| Answer::Status(200)).await;
    let rig = Rig::new();
    for n in 0..5 {
        rig.end_call(&format!("c{n}"), ACCOUNT, &sink.url, now_ms());
    }
    let rig = rig.reopen();
    let callbacks = rig.callbacks(&sink, PATIENCE, 2);
    callbacks.start().await.unwrap();
    in_time("delivery", sink.wait_for(5)).await;
    in_time("the stop", callbacks.stop()).await;
    assert_eq!(rig.store().pending_endpoints().unwrap(), [""; 0]);
    // After the stop nothing is tried any more.
    let endpoint = rig.end_call("late", ACCOUNT, &sink.url, now_ms());
    callbacks.notify(&Queued { endpoint: endpoint.clone(), due_ms: 0 });
    assert_eq!(rig.store().pending_endpoints().unwrap(), [endpoint]);
    assert_eq!(sink.seen().len(), 5);
}

// Progress has a name and a queue of its own; what is stale is given up without being sent.
#[tokio::test]
async fn progress_is_tried_like_a_result_until_it_is_stale() {
    let sink = Sink::good(|_| Answer::Status(500)).await;
    let rig = Rig::new();
    let mut account = rig.account(ACCOUNT, &sink.url);
    assert_eq!(made(&rig, "c1", &account), None, "off unless it is asked for");
    account.progress_events = vec!["initiated".into()];
    let endpoint = made(&rig, "c2", &account).expect("a progress callback");
    assert_eq!(
        endpoint,
        made(&rig, "c3", &account).unwrap(),
        "one queue for an account and origin"
    );
    let callbacks = rig.callbacks(&sink, PATIENCE, 4);
    let job = rig.turn(&callbacks, &endpoint, START).await.unwrap();
    assert_eq!((job.attempt_count, job.state), (1, JobState::Pending));
    let seen = sink.seen().pop().unwrap();
    assert_eq!((seen.header("webhook-id"), seen.header("x-crm-auth")), ("c2.1", AUTH));
    assert!(seen.header("webhook-signature").starts_with("v1,"));
    let body: serde_json::Value = serde_json::from_str(&seen.body).unwrap();
    assert_eq!(
        (&body["event"], &body["sequence"], &body["call_id"]),
        (&"initiated".into(), &1.into(), &"c2".into())
    );
    let stale = rig.turn(&callbacks, &endpoint, START + 600_001).await.unwrap();
    assert_eq!(stale.state, JobState::Exhausted);
    assert_eq!(sink.seen().len(), 1, "nothing more was sent");
    let word = rig.store().deliveries(&stale.call_id).unwrap().pop().unwrap().error;
    assert_eq!(word.as_deref(), Some("stale"));
}

/// Makes a call of an account; returns the queue of its progress callback.
fn made(rig: &Rig, call_id: &str, account: &Account) -> Option<EndpointId> {
    *rig.named.0.lock().unwrap() = Some((account.clone(), START));
    create_call(rig.store(), call_id)
}
