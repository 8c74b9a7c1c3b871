//! A stream of server-sent events as a client reads it.

use super::{DEADLINE, Rig};
use serde_json::Value;
use tokio::time::timeout;

pub struct Stream {
    response: reqwest::Response,
    text: String,
}

/// One event.
#[derive(Debug, PartialEq)]
pub struct Told {
    /// What a client comes back with, if the stream numbers its events.
    pub id: Option<u64>,
    pub word: String,
    pub data: Value,
}

impl Stream {
    /// With the account's server key.
    pub async fn open(rig: &Rig, path: &str) -> Self {
        Self::open_with(rig, path, &rig.server_key).await
    }

    pub async fn open_with(rig: &Rig, path: &str, key: &str) -> Self {
        Self::of(rig.stream(path, &format!("Bearer {key}")).await)
    }

    /// Of an answer that must be such a stream.
    pub fn of(response: reqwest::Response) -> Self {
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-cache");
        Self { response, text: String::new() }
    }

    /// The next event, comments passed over; `None` at the end of the stream.
    pub async fn next(&mut self) -> Option<Told> {
        let read = async {
            loop {
                if let Some((event, rest)) = self.text.split_once("\n\n") {
                    let event = event.to_owned();
                    self.text = rest.to_owned();
                    let field = |name: &str| {
                        event.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned)
                    };
                    let Some(word) = field("event: ") else { continue };
                    let data = serde_json::from_str(&field("data: ").unwrap()).unwrap();
                    let id = field("id: ").map(|id| id.parse().unwrap());
                    return Some(Told { id, word, data });
                }
                let chunk = self.response.chunk().await.unwrap()?;
                self.text.push_str(std::str::from_utf8(&chunk).unwrap());
            }
        };
        timeout(DEADLINE, read).await.expect("no event came")
    }

    /// The data of the next event of this name.
    pub async fn named(&mut self, name: &str) -> Option<Value> {
        loop {
            let told = self.next().await?;
            if told.word == name {
                return Some(told.data);
            }
        }
    }

    /// The names of so many events.
    pub async fn words(&mut self, count: usize) -> Vec<String> {
        let mut words = Vec::new();
        for _ in 0..count {
            words.push(self.next().await.expect("an event").word);
        }
        words
    }
}
