//! A process under test with one account, and a shard that a test plays. Every answer of a
//! documented path is checked against the OpenAPI document.

mod answer;
mod onboard;
mod process;
mod shard;
mod stream;

pub use answer::Answer;
pub use onboard::{ACCOUNT, CALLER_ID};
pub use shard::{Shard, conversation, ended, hello, milestone, service, status, told, two_talk};
pub use stream::{Stream, Told};

use answer::Document;
use control_api::app::App;
use control_api::config::Config;
use control_api::server::Running;
use control_wire::PlaceCall;
use reqwest::Method;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Nothing under test may take longer.
pub const DEADLINE: Duration = Duration::from_secs(10);

pub struct Rig {
    pub app: Arc<App>,
    pub folder: PathBuf,
    pub server_key: String,
    pub browser_key: String,
    running: Option<Running>,
    client: reqwest::Client,
    document: Document,
    change: fn(&mut Config),
}

impl Rig {
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
        assert_eq!(place.call_id.as_str(), call_id);
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
            Answer::read(build(self.client.request(method.clone(), url)).send().await.unwrap())
                .await;
        self.document.check(&method, path, &answer);
        answer
    }

    pub async fn operator(&self, path: &str) -> Answer {
        let url = format!("http://{}{path}", self.running.as_ref().unwrap().admin);
        Answer::read(self.client.get(url).send().await.unwrap()).await
    }

    /// A request to the operators' listener with the admin token.
    pub async fn admin(&self, method: Method, path: &str) -> Answer {
        let url = format!("http://{}{path}", self.running.as_ref().unwrap().admin);
        Answer::read(
            self.client
                .request(method, url)
                .bearer_auth(self.app.secrets.admin_token.expose())
                .send()
                .await
                .unwrap(),
        )
        .await
    }

    /// The same with a body.
    pub async fn admin_json(&self, method: Method, path: &str, body: Value) -> Answer {
        let url = format!("http://{}{path}", self.running.as_ref().unwrap().admin);
        let request =
            self.client.request(method, url).bearer_auth(self.app.secrets.admin_token.expose());
        Answer::read(
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

    pub fn recording_path(&self, file_name: &str) -> PathBuf {
        self.app.config.recordings.folder.join(file_name)
    }
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
