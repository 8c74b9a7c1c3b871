//! The page of a browser softphone as tests play it: the launch link, the session with its call,
//! and its events.

use crate::rig::{ACCOUNT, Answer, CALLER_ID, DEADLINE, Rig, Shard, Stream};
use call_words::AgentName;
use control_api::watch::AgentId;
use control_wire::{PlaceCall, SoftphoneGrant};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

pub const AGENT: &str = "agent.017";
pub const CUSTOMER: &str = "98765 43210";
pub const LAUNCH: &str = "/CRM_API/webphone/launch";

/// The launch link's query for an agent and a customer, encoded as browsers do.
pub fn launch_query(key: &str, crm_username: &str, to_number: &str) -> String {
    let encode = |byte: u8| {
        if byte.is_ascii_alphanumeric() {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    let [crm_username, to_number, from_number] = [crm_username, to_number, CALLER_ID]
        .map(|text| text.bytes().map(encode).collect::<String>());
    format!(
        "crm_username={crm_username}&api_key={key}&to_number={to_number}&from_number={from_number}"
    )
}

/// What the page's `launch` element holds.
#[track_caller]
pub fn launch_data(answer: &Answer) -> Value {
    let html = String::from_utf8(answer.expect(200).body.clone()).unwrap();
    let (_, rest) = html
        .split_once("<script type=\"application/json\" id=\"launch\">")
        .expect("a place for the launch data");
    serde_json::from_str(rest.split_once("</script>").unwrap().0).expect("launch data")
}

/// The agent's name towards the edge.
pub fn name(rig: &Rig, crm_username: &str) -> AgentName {
    rig.app.secrets.master_key.agent_name(&ACCOUNT.into(), crm_username)
}

/// A page with its session.
pub struct Page {
    pub secret: String,
    pub opened: Value,
}

impl Page {
    /// Opens the link and its session.
    pub async fn open(rig: &Rig, crm_username: &str, to_number: &str) -> Self {
        let token = Self::launch(rig, crm_username, to_number).await;
        let opened = Self::use_token(rig, &token).await.expect(201).json();
        Self { secret: opened["session"].as_str().unwrap().to_owned(), opened }
    }

    /// The same with more parameters in the link.
    pub async fn open_with(rig: &Rig, more: &str) -> Self {
        let path = format!("{LAUNCH}?{}{more}", launch_query(&rig.browser_key, AGENT, CUSTOMER));
        let data = launch_data(&rig.request(Method::GET, &path, |request| request).await);
        let opened = Self::use_token(rig, data["token"].as_str().unwrap()).await.expect(201).json();
        Self { secret: opened["session"].as_str().unwrap().to_owned(), opened }
    }

    pub async fn online_with(rig: &Rig, shard: &mut Shard, more: &str) -> Self {
        let page = Self::open_with(rig, more).await;
        let agent = shard.expect_grant().await.agent;
        shard.presence(agent.as_str(), true).await;
        wait_presence(rig, AGENT, true).await;
        page
    }

    /// Opens the link and returns its token.
    pub async fn launch(rig: &Rig, crm_username: &str, to_number: &str) -> String {
        let path = format!("{LAUNCH}?{}", launch_query(&rig.browser_key, crm_username, to_number));
        let data = launch_data(&rig.request(Method::GET, &path, |request| request).await);
        data["token"].as_str().unwrap().to_owned()
    }

    pub async fn use_token(rig: &Rig, token: &str) -> Answer {
        let body = json!({ "token": token }).to_string();
        let build = |request: reqwest::RequestBuilder| {
            request.header("content-type", "application/json").body(body)
        };
        rig.request(Method::POST, "/CRM_API/webphone/session", build).await
    }

    /// Opens the link and brings the softphone online.
    pub async fn online(rig: &Rig, shard: &mut Shard, crm_username: &str, to_number: &str) -> Self {
        let page = Self::open(rig, crm_username, to_number).await;
        let SoftphoneGrant { agent, password, .. } = shard.expect_grant().await;
        assert_eq!(
            (json!(agent), json!(password)),
            (page.opened["sip"]["username"].clone(), page.opened["sip"]["password"].clone())
        );
        shard.presence(agent.as_str(), true).await;
        wait_presence(rig, crm_username, true).await;
        page
    }

    pub fn authorization(&self) -> String {
        format!("Session {}", self.secret)
    }

    pub async fn send(&self, rig: &Rig, method: Method, path: &str, body: Option<Value>) -> Answer {
        let authorization = self.authorization();
        rig.request(method, &format!("/CRM_API/webphone/session/{path}"), |request| {
            let request = request.header("authorization", authorization);
            match body {
                Some(body) => {
                    request.header("content-type", "application/json").body(body.to_string())
                }
                None => request,
            }
        })
        .await
    }

    pub async fn start(&self, rig: &Rig, microphone: &str) -> Answer {
        self.send(rig, Method::POST, "call", Some(json!({ "microphone": microphone }))).await
    }

    pub async fn call(&self, rig: &Rig) -> Answer {
        self.send(rig, Method::GET, "call", None).await
    }

    /// Starts the call and returns its id and the shard's command.
    pub async fn place(&self, rig: &Rig, shard: &mut Shard) -> (String, PlaceCall) {
        let call = self.start(rig, "granted").await.expect(201).json();
        let place = shard.expect_call().await;
        assert_eq!(call["call_id"], place.call_id.as_str());
        (place.call_id.to_string(), place)
    }

    pub async fn events(&self, rig: &Rig) -> Events {
        let response = rig.stream("/CRM_API/webphone/session/events", &self.authorization()).await;
        Events(Stream::of(response))
    }
}

/// A page's stream of events.
pub struct Events(Stream);

impl Events {
    /// The next call that is told; `None` at the end of the stream.
    pub async fn next(&mut self) -> Option<Value> {
        self.0.named("call").await
    }

    /// The next event of this name.
    pub async fn named(&mut self, name: &str) -> Value {
        self.0.named(name).await.expect("the stream ended")
    }

    /// The state in the next event.
    pub async fn state(&mut self) -> String {
        self.next().await.expect("an event")["state"].as_str().unwrap().to_owned()
    }
}

/// Waits until somebody waits for a change of the agent.
pub async fn wait_watched(rig: &Rig, crm_username: &str) {
    let agent = AgentId { account_id: ACCOUNT.into(), crm_username: crm_username.to_owned() };
    let wait = async {
        while rig.app.notices.softphones.watcher_count(&agent) == 0 {
            sleep(std::time::Duration::from_millis(2)).await;
        }
    };
    timeout(DEADLINE, wait).await.expect("nobody waits");
}

/// Waits until the process knows the softphone as online or offline.
pub async fn wait_presence(rig: &Rig, crm_username: &str, online: bool) {
    let name = name(rig, crm_username);
    let wait = async {
        while rig.app.link.is_softphone_online(&name.as_str().into()) != online {
            sleep(std::time::Duration::from_millis(2)).await;
        }
    };
    timeout(DEADLINE, wait).await.expect("the presence never changed");
}
