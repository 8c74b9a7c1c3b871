//! What the placing side of a load run knows of its calls: when each was asked for, what was
//! answered, and when its callback came.

use crate::numbers::of_customer;
use crate::softphones::{Fleet, Times};
use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// One call as the load generator saw it.
#[derive(Default, Clone, Copy)]
pub struct Placed {
    pub posted_at: Option<Instant>,
    pub answered_after: Option<Duration>,
    pub callback_at: Option<Instant>,
    /// Its request was not accepted, or its softphone's way broke off.
    pub failed: bool,
}

impl Placed {
    /// Whether it was accepted and nothing was told of its end.
    pub fn is_untold(&self) -> bool {
        self.answered_after.is_some() && self.callback_at.is_none()
    }

    /// Whether a callback may still come.
    pub fn is_open(&self) -> bool {
        self.is_untold() || !(self.failed || self.callback_at.is_some())
    }
}

/// All calls of a run.
#[derive(Default)]
pub struct Ledger {
    /// By the call's number.
    pub calls: HashMap<u32, Placed>,
    pub http_errors: BTreeMap<String, usize>,
    pub statuses: BTreeMap<String, usize>,
    pub softphones: Vec<Times>,
}

/// Places a call by the API.
pub async fn place(request: reqwest::RequestBuilder, n: u32, ledger: Arc<Mutex<Ledger>>) {
    let posted_at = Instant::now();
    ledger.lock().expect("ledger").calls.entry(n).or_default().posted_at = Some(posted_at);
    let outcome = request.send().await;
    let took = posted_at.elapsed();
    let mut ledger = ledger.lock().expect("ledger");
    let error = match outcome {
        Ok(answer) if answer.status() == 201 => {
            ledger.calls.entry(n).or_default().answered_after = Some(took);
            return;
        }
        Ok(answer) => {
            let retry =
                if answer.headers().contains_key("Retry-After") { " with Retry-After" } else { "" };
            format!("{}{retry}", answer.status())
        }
        Err(error) if error.is_connect() => "connect".to_owned(),
        Err(_) => "transport".to_owned(),
    };
    ledger.calls.entry(n).or_default().failed = true;
    *ledger.http_errors.entry(error).or_default() += 1;
}

/// One softphone's call from the link to its end.
pub async fn launch(fleet: Fleet, n: u32, launch_url: String, ledger: Arc<Mutex<Ledger>>) {
    let clicked_at = Instant::now();
    ledger.lock().expect("ledger").calls.entry(n).or_default().posted_at = Some(clicked_at);
    let placed = || {
        let took = clicked_at.elapsed();
        ledger.lock().expect("ledger").calls.entry(n).or_default().answered_after = Some(took);
    };
    let outcome = fleet.call(n, &launch_url, placed).await;
    let mut ledger = ledger.lock().expect("ledger");
    match outcome {
        Ok(times) => ledger.softphones.push(times),
        Err(error) => {
            ledger.calls.entry(n).or_default().failed = true;
            *ledger.http_errors.entry(error.root_cause().to_string()).or_default() += 1;
        }
    }
}

/// Listens on a free loopback port for callbacks; answers its URL.
pub async fn callback_sink(ledger: Arc<Mutex<Ledger>>) -> anyhow::Result<String> {
    async fn receive(
        State(ledger): State<Arc<Mutex<Ledger>>>,
        Json(body): Json<serde_json::Value>,
    ) {
        let now = Instant::now();
        let mut ledger = ledger.lock().expect("ledger");
        let text = |key: &str| body[key].as_str().unwrap_or("");
        if let Some(n) = of_customer(text("customer_number")) {
            ledger.calls.entry(n).or_default().callback_at.get_or_insert(now);
        }
        let status = format!("{} {}", text("status"), text("reason"));
        *ledger.statuses.entry(status.trim_end().to_owned()).or_default() += 1;
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/callback", listener.local_addr()?);
    let router = Router::new().route("/callback", post(receive)).with_state(ledger);
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(url)
}
