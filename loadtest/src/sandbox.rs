//! The sandbox: both processes, a scripted carrier, a make-believe CRM's page with its backend, and
//! an inspector of callbacks.

use crate::carrier::script::{self, SANDBOX_NUMBERS};
use crate::carrier::{Carrier, CarrierConfig};
use crate::children::{Stack, StackSpec, program_path};
use anyhow::Context;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// Callbacks that the inspector remembers; older ones are forgotten.
const CALLBACK_CAP: usize = 200;
const AGENT_NUMBER: &str = "9876599999";

/// Where the sandbox listens and keeps its data.
pub struct SandboxSpec {
    pub page: SocketAddr,
    /// Of the public API and of the operators' listener.
    pub ports: [u16; 2],
    pub folder: PathBuf,
}

struct Crm {
    client: reqwest::Client,
    api_url: String,
    admin_url: String,
    admin_token: String,
    server_key: String,
    browser_key: String,
    from_number: String,
    /// What an operator types before a command's name.
    admin_command: String,
    /// By call, the newest first: bodies as they came.
    callbacks: Mutex<VecDeque<(String, String)>>,
}

/// Starts everything, prints what to open, and runs until interrupted.
pub async fn run(spec: SandboxSpec) -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::bind(spec.page).await.with_context(|| {
        format!(
            "the page's address {} is taken: end what listens there, or choose another with \
            --listen",
            spec.page
        )
    })?;
    let page_url = format!("http://{}", listener.local_addr()?);
    let carrier = Carrier::start(
        CarrierConfig { sip: ([127, 0, 0, 1], 0).into(), probe: false },
        Box::new(script::sandbox),
    )?;
    let stack = StackSpec::sandbox(
        spec.folder.clone(),
        spec.ports,
        carrier.address,
        format!("{page_url}/callback"),
    );
    let stack = Stack::start(stack)
        .await
        .context("starting (--port and --admin-port choose other ports)")?;
    let crm = Arc::new(Crm {
        client: reqwest::Client::new(),
        api_url: stack.api_url.clone(),
        admin_command: admin_command(&stack.admin_url, &spec.folder)?,
        admin_url: stack.admin_url.clone(),
        admin_token: stack.admin_token.clone(),
        server_key: stack.server_key.clone(),
        browser_key: stack.browser_key.clone(),
        from_number: stack.from_number.clone(),
        callbacks: Mutex::default(),
    });
    println!(
        "\nThe sandbox runs. Open {page_url} to place calls, see their callbacks and play their \
            recordings.\n"
    );
    println!("Or place one from another terminal:\n{}\n", crm.curl());
    println!(
        "Operators' commands (the listener is {}):\n{} account show demo\n\nCtrl-C ends it.",
        crm.admin_url, crm.admin_command
    );
    axum::serve(listener, router(crm)).with_graceful_shutdown(interrupted()).await?;
    stack.stop().await
}

fn router(crm: Arc<Crm>) -> Router {
    Router::new()
        .route("/", get(|| async { Html(include_str!("sandbox/page.html")) }))
        .route("/demo", get(demo))
        .route("/agents", get(agents))
        .route("/calls", get(list).post(place))
        .route("/calls/{id}", axum::routing::delete(hang_up))
        .route("/calls/{id}/timeline", get(timeline))
        .route("/callback", post(receive))
        .layer(axum::middleware::from_fn(refuse_foreign_names))
        .with_state(crm)
}

/// A name that someone else's DNS leads here would let their page read ours, with the demo
/// account's keys in it.
async fn refuse_foreign_names(request: Request, next: Next) -> Response {
    let host =
        request.headers().get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
    if is_own(host) {
        next.run(request).await
    } else {
        (StatusCode::MISDIRECTED_REQUEST, "open the sandbox by its address\n").into_response()
    }
}

/// Whether a `Host` is an address or this machine's own name for itself: nobody's DNS stands for
/// those.
fn is_own(host: &str) -> bool {
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let name =
        host.rsplit_once(':').filter(|(_, port)| is_port(port)).map_or(host, |(name, _)| name);
    name.eq_ignore_ascii_case("localhost")
        || name.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok()
}

/// The operators' command line for this sandbox, as it is typed in the present folder.
fn admin_command(admin_url: &str, folder: &std::path::Path) -> anyhow::Result<String> {
    let program = program_path("control-api")?;
    let here = std::env::current_dir()?;
    let program = program.strip_prefix(&here).unwrap_or(&program).to_owned();
    Ok(format!(
        "{} admin --url {admin_url} --token-file {}",
        program.display(),
        folder.join("admin.token").display()
    ))
}

async fn interrupted() {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .expect("a signal handler");
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

impl Crm {
    fn curl(&self) -> String {
        format!(
            "curl -s {}/calls -H 'Authorization: Bearer {}' -H 'Content-Type: application/json' \
                \\\n  \
             -d '{{\"from_number\":\"{}\",\"to_number\":\"9876501010\",\"agent_number\":\"{AGENT_NUMBER}\",\"uuid\":\"my-first-call\"}}'",
            self.api_url, self.server_key, self.from_number
        )
    }

    /// The launch link as an admin pastes it into a CRM, which fills in what stands in braces on
    /// each click. The two numbers that do not change are percent-encoded, the `+` of the caller ID
    /// above all.
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
    async fn ask_with(
        &self,
        key: &str,
        request: reqwest::RequestBuilder,
    ) -> Result<(StatusCode, Value), Response> {
        let unreachable = |_| {
            (StatusCode::BAD_GATEWAY, Json(json!({"title": "the API is not reachable"})))
                .into_response()
        };
        let answer = request.bearer_auth(key).send().await.map_err(unreachable)?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(unreachable)?;
        Ok((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
    }
}

async fn demo(State(crm): State<Arc<Crm>>) -> Json<Value> {
    Json(json!({
        "curl": crm.curl(),
        "numbers": SANDBOX_NUMBERS,
        "link": crm.link_template(),
        "admin": format!("{} account show demo", crm.admin_command),
        "pages": [
            ["Setup page for agents and admins", format!("{}/CRM_API/webphone/setup", crm.api_url)],
            ["OpenAPI", format!("{}/openapi.json", crm.api_url)],
            ["OpenAPI of the admin API", format!("{}/openapi.json", crm.admin_url)],
            ["Metrics", format!("{}/metrics", crm.admin_url)],
            ["Readiness", format!("{}/readyz", crm.admin_url)],
        ],
    }))
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
    let body = json!({"from_number": crm.from_number, "to_number": dial.to_number,
        "agent_number": AGENT_NUMBER});
    let (status, answer) =
        crm.ask(crm.client.post(format!("{}/calls", crm.api_url)).json(&body)).await?;
    Ok((status, Json(answer)).into_response())
}

/// The account's calls as the API has them, newest first, each with the callback that came for it.
async fn list(State(crm): State<Arc<Crm>>) -> Result<Json<Value>, Response> {
    let (_, mut page) = crm.ask(crm.client.get(format!("{}/calls?limit=100", crm.api_url))).await?;
    let callbacks = crm.callbacks.lock().expect("callbacks");
    for call in page["calls"].as_array_mut().into_iter().flatten() {
        let body = callbacks
            .iter()
            .find(|(call_id, _)| call["call_id"] == **call_id)
            .map(|(_, body)| body.clone());
        call["received"] = body.into();
    }
    Ok(Json(page["calls"].take()))
}

async fn hang_up(
    State(crm): State<Arc<Crm>>,
    Path(id): Path<uuid::Uuid>,
) -> Result<Response, Response> {
    let (status, answer) =
        crm.ask(crm.client.delete(format!("{}/calls/{id}", crm.api_url))).await?;
    Ok(if status == StatusCode::NO_CONTENT {
        status.into_response()
    } else {
        (status, Json(answer)).into_response()
    })
}

async fn timeline(
    State(crm): State<Arc<Crm>>,
    Path(id): Path<uuid::Uuid>,
) -> Result<Response, Response> {
    let (status, answer) =
        crm.ask(crm.client.get(format!("{}/calls/{id}/timeline", crm.api_url))).await?;
    Ok((status, Json(answer)).into_response())
}

/// The customer's callback URL: a retry repeats the same body, so it overwrites itself.
async fn receive(State(crm): State<Arc<Crm>>, body: String) -> StatusCode {
    let Ok(record) = serde_json::from_str::<Value>(&body) else { return StatusCode::BAD_REQUEST };
    let call_id = record["call_id"].as_str().unwrap_or_default().to_owned();
    let mut callbacks = crm.callbacks.lock().expect("callbacks");
    callbacks.retain(|(known, _)| *known != call_id);
    callbacks.push_front((call_id, body));
    callbacks.truncate(CALLBACK_CAP);
    StatusCode::NO_CONTENT
}

#[cfg(test)]
mod tests {
    use super::{is_own, refuse_foreign_names};
    use axum::Router;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn the_sandbox_answers_to_its_own_names_only() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/", get(|| async { "keys" }))
            .layer(axum::middleware::from_fn(refuse_foreign_names));
        let serving = tokio::spawn(axum::serve(listener, router).into_future());
        for (host, status) in [("localhost:8090", "200"), ("rebind.example:8090", "421")] {
            let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
            let request = format!("GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert_eq!(answer.get(9..12), Some(status), "{host}: {answer}");
            assert_eq!(answer.contains("keys"), status == "200", "{host}: {answer}");
        }
        serving.abort();
    }

    #[test]
    fn only_addresses_and_localhost_name_the_sandbox() {
        for host in
            ["127.0.0.1:8090", "localhost:8090", "LOCALHOST", "[::1]:8090", "[::1]", "192.0.2.7:80"]
        {
            assert!(is_own(host), "{host}");
        }
        for host in [
            "",
            "rebind.example:8090",
            "127.0.0.1.rebind.example",
            "localhost.example:8090",
            "localhost:x",
            ":8090",
        ] {
            assert!(!is_own(host), "{host}");
        }
    }
}
