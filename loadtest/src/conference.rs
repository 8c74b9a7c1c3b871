//! Third parties for a load run: follows the account's event stream and adds a third to each call
//! as it is bridged, as a CRM would.

use crate::children::Stack;
use anyhow::Context;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Third parties' numbers begin so; the call's number follows.
pub const THIRD_PREFIX: &str = "98762";

/// When each third party was asked for, by its number, and what was refused.
#[derive(Default)]
pub struct Asked {
    pub at: HashMap<String, Instant>,
    pub refusals: Vec<String>,
}

/// Begins to follow. Calls are told apart by their `uuid`, which is the number without its prefix.
pub async fn follow(stack: &Stack) -> anyhow::Result<Arc<Mutex<Asked>>> {
    let asked = Arc::<Mutex<Asked>>::default();
    let client = reqwest::Client::builder().pool_max_idle_per_host(64).build()?;
    let (api_url, key) = (stack.api_url.clone(), stack.server_key.clone());
    let mut stream = client
        .get(format!("{api_url}/events"))
        .bearer_auth(&key)
        .send()
        .await?
        .error_for_status()?;
    let shared = asked.clone();
    tokio::spawn(async move {
        let mut text = Vec::new();
        while let Ok(Some(piece)) = stream.chunk().await {
            text.extend_from_slice(&piece);
            while let Some(end) = text.windows(2).position(|pair| pair == b"\n\n") {
                let event: Vec<u8> = text.drain(..end + 2).collect();
                if let Some((call_id, uuid)) = bridged(&event) {
                    let number = format!("{THIRD_PREFIX}{uuid}");
                    let request = client
                        .post(format!("{api_url}/calls/{call_id}/participants"))
                        .bearer_auth(&key);
                    let body = serde_json::json!({ "to_number": number, "flow": "join" });
                    tokio::spawn(add(request.json(&body), number, shared.clone()));
                }
            }
        }
    });
    Ok(asked)
}

/// Call and uuid of a server-sent event that tells of a bridge.
fn bridged(event: &[u8]) -> Option<(String, String)> {
    let text = std::str::from_utf8(event).ok()?;
    text.lines().find(|line| *line == "event: bridged")?;
    let data: serde_json::Value =
        serde_json::from_str(text.lines().find_map(|line| line.strip_prefix("data: "))?).ok()?;
    Some((data["call_id"].as_str()?.to_owned(), data["uuid"].as_str()?.to_owned()))
}

async fn add(request: reqwest::RequestBuilder, number: String, asked: Arc<Mutex<Asked>>) {
    asked.lock().expect("asked").at.insert(number, Instant::now());
    let refusal = match request.send().await.context("no answer") {
        Ok(answer) if answer.status() == 201 => return,
        Ok(answer) => format!("{}: {}", answer.status(), answer.text().await.unwrap_or_default()),
        Err(error) => format!("{error:#}"),
    };
    asked.lock().expect("asked").refusals.push(refusal);
}
