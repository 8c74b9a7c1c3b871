//! The sandbox: both processes, a scripted carrier, a make-believe CRM's page with its backend, and an inspector of callbacks.

use crate::carrier::script::{self, SANDBOX_NUMBERS};
use crate::carrier::{Carrier, CarrierConfig};
use crate::children::{Stack, StackSpec};
use anyhow::Context;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// Calls that the inspector remembers; older ones are forgotten.
const CALL_CAP: usize = 200;
const AGENT_NUMBER: &str = "9876599999";

/// Where the sandbox listens and keeps its data.
pub struct SandboxSpec {
    pub page: SocketAddr,
    pub folder: PathBuf,
}

/// One call as the CRM knows it.
#[derive(Clone, Serialize)]
struct CrmCall {
    call_id: String,
    to_number: String,
    state: String,
    /// The body as it came.
    callback: Option<String>,
}

struct Crm {
    client: reqwest::Client,
    api_url: String,
    admin_url: String,
    admin_token: String,
    server_key: String,
    browser_key: String,
    from_number: String,
    calls: Mutex<VecDeque<CrmCall>>,
}

/// Starts everything, prints what to open, and runs until interrupted.
pub async fn run(spec: SandboxSpec) -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::bind(spec.page).await.with_context(|| {
        format!("the page's address {} is taken: end what listens there, or choose another with --listen", spec.page)
    })?;
    let page_url = format!("http://{}", listener.local_addr()?);
    let carrier = Carrier::start(CarrierConfig { sip: ([127, 0, 0, 1], 0).into(), probe: false }, Box::new(script::sandbox))?;
    let stack = Stack::start(StackSpec::sandbox(spec.folder, carrier.address, format!("{page_url}/callback"))).await?;
    let crm = Arc::new(Crm {
        client: reqwest::Client::new(),
        api_url: stack.api_url.clone(),
        admin_url: stack.admin_url.clone(),
        admin_token: stack.admin_token.clone(),
        server_key: stack.server_key.clone(),
        browser_key: stack.browser_key.clone(),
        from_number: stack.from_number.clone(),
        calls: Mutex::default(),
    });
    println!("\nThe sandbox runs. Open {page_url} to place calls, see their callbacks and play their recordings.\n");
    println!("Or place one from another terminal:\n{}\n\nCtrl-C ends it.", crm.curl());
    let router = Router::new()
        .route("/", get(|| async { Html(include_str!("sandbox/page.html")) }))
        .route("/demo", get(demo))
        .route("/agents", get(agents))
        .route("/calls", get(list).post(place))
        .route("/calls/{id}", axum::routing::delete(hang_up))
        .route("/calls/{id}/timeline", get(timeline))
        .route("/callback", post(receive))
        .with_state(crm);
    axum::serve(listener, router).with_graceful_shutdown(interrupted()).await?;
    stack.stop().await
}

async fn interrupted() {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).expect("a signal handler");
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

impl Crm {
    fn curl(&self) -> String {
        format!(
            "curl -s {}/calls -H 'Authorization: Bearer {}' -H 'Content-Type: application/json' \\\n  \
             -d '{{\"from_number\":\"{}\",\"to_number\":\"9876501010\",\"agent_number\":\"{AGENT_NUMBER}\",\"uuid\":\"my-first-call\"}}'",
            self.api_url, self.server_key, self.from_number
        )
    }

    /// The launch link as an admin pastes it into a CRM, which fills in what stands in braces on each click. The two numbers that do not
    /// change are percent-encoded, the `+` of the caller ID above all.
    fn link_template(&self) -> String {
        format!(
            "{}/CRM_API/webphone/launch?crm_username={{agent}}&api_key={}&to_number={{number}}&from_number={}",
            self.api_url,
            self.browser_key,
            self.from_number.replace('+', "%2B")
        )
    }

    /// Asks the API as the CRM's backend does.
    async fn ask(&self, request: reqwest::RequestBuilder) -> Result<(StatusCode, Value), Response> {
        self.ask_with(&self.server_key, request).await
    }

    /// Asks and hands the answer on, problem documents included.
    async fn ask_with(&self, key: &str, request: reqwest::RequestBuilder) -> Result<(StatusCode, Value), Response> {
        let unreachable = |_| (StatusCode::BAD_GATEWAY, Json(json!({"title": "the API is not reachable"}))).into_response();
        let answer = request.bearer_auth(key).send().await.map_err(unreachable)?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(unreachable)?;
        Ok((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
    }

    /// Changes the remembered call, or remembers it (a call placed from a terminal is known by its callback only).
    fn change(&self, call_id: &str, to_number: &str, change: impl FnOnce(&mut CrmCall)) {
        let mut calls = self.calls.lock().expect("calls");
        if let Some(call) = calls.iter_mut().find(|call| call.call_id == call_id) {
            return change(call);
        }
        let mut call =
            CrmCall { call_id: call_id.to_owned(), to_number: to_number.to_owned(), state: "accepted".into(), callback: None };
        change(&mut call);
        calls.push_front(call);
        calls.truncate(CALL_CAP);
    }
}

async fn demo(State(crm): State<Arc<Crm>>) -> Json<Value> {
    Json(
        json!({"curl": crm.curl(), "numbers": SANDBOX_NUMBERS, "link": crm.link_template(), "setup": format!("{}/CRM_API/webphone/setup", crm.api_url)}),
    )
}

/// The account's agents with what the service knows of their softphones.
async fn agents(State(crm): State<Arc<Crm>>) -> Result<Response, Response> {
    let request = crm.client.get(format!("{}/admin/accounts/demo/agents", crm.admin_url));
    let (status, answer) = crm.ask_with(&crm.admin_token, request).await?;
    Ok((status, Json(answer)).into_response())
}

#[derive(Deserialize)]
struct Dial {
    to_number: String,
}

async fn place(State(crm): State<Arc<Crm>>, Json(dial): Json<Dial>) -> Result<Response, Response> {
    let body = json!({"from_number": crm.from_number, "to_number": dial.to_number, "agent_number": AGENT_NUMBER});
    let (status, answer) = crm.ask(crm.client.post(format!("{}/calls", crm.api_url)).json(&body)).await?;
    if let Some(call_id) = answer["call_id"].as_str() {
        crm.change(call_id, &dial.to_number, |_| {});
    }
    Ok((status, Json(answer)).into_response())
}

/// Newest first; the state of calls without a callback is asked of the API, those placed elsewhere included.
async fn list(State(crm): State<Arc<Crm>>) -> Result<Json<Vec<CrmCall>>, Response> {
    let (_, live) = crm.ask(crm.client.get(format!("{}/calls?live=true&limit=50", crm.api_url))).await?;
    for call in live["calls"].as_array().into_iter().flatten() {
        let text = |key: &str| call[key].as_str().unwrap_or("").to_owned();
        crm.change(&text("call_id"), &text("customer_number"), |known| known.state = text("state"));
    }
    Ok(Json(crm.calls.lock().expect("calls").iter().cloned().collect()))
}

async fn hang_up(State(crm): State<Arc<Crm>>, Path(id): Path<uuid::Uuid>) -> Result<Response, Response> {
    let (status, answer) = crm.ask(crm.client.delete(format!("{}/calls/{id}", crm.api_url))).await?;
    Ok(if status == StatusCode::NO_CONTENT { status.into_response() } else { (status, Json(answer)).into_response() })
}

async fn timeline(State(crm): State<Arc<Crm>>, Path(id): Path<uuid::Uuid>) -> Result<Response, Response> {
    let (status, answer) = crm.ask(crm.client.get(format!("{}/calls/{id}/timeline", crm.api_url))).await?;
    Ok((status, Json(answer)).into_response())
}

/// The customer's callback URL: a retry repeats the same body, so it overwrites itself.
async fn receive(State(crm): State<Arc<Crm>>, body: String) -> StatusCode {
    let Ok(record) = serde_json::from_str::<Value>(&body) else { return StatusCode::BAD_REQUEST };
    let text = |key: &str| record[key].as_str().unwrap_or("").to_owned();
    crm.change(&text("call_id"), &text("customer_number"), |call| call.callback = Some(body));
    StatusCode::NO_CONTENT
}
