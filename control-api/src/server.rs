//! The running process: what is served where, the background tasks, and the order of starting and
//! stopping.

use crate::app::App;
use crate::config::Config;
use crate::edge::{connection, reconcile, trunks};
use crate::http::listener::{self, Caps};
use crate::http::openapi::{self, PublicDocument};
use crate::http::tls::{Security, TlsError};
use crate::http::{auth, calls, health, recordings, webphone};
use crate::metrics::{self, RequestCounter};
use crate::{admin, callback, problem, retention};
use axum::extract::{Request, State};
use axum::http::header;
use axum::middleware::{self, Next};
use axum::response::{Html, Response};
use axum::{Extension, Router, routing};
use bytes::Bytes;
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use utoipa::openapi::Server;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Time that requests and deliveries have to finish when the process is to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);

/// What a browser finds at the head of the public listener.
const PUBLIC_FRONT: &str = "<!doctype html><meta charset=utf-8><title>Dialer</title><h1>Dialer: \
    API</h1>\n\
    <p>Calls are placed by <code>POST /calls</code> with a server key, or by the launch link of a \
    CRM.\n\
    <ul><li><a href=/openapi.json>/openapi.json</a>: the contract<li><a \
    href=/CRM_API/webphone/setup>/CRM_API/webphone/setup</a>: \
    microphone, speaker and network for agents</ul>\n";

/// The same of the operators' listener.
const ADMIN_FRONT: &str = "<!doctype html><meta charset=utf-8><title>Dialer: \
    operators</title><h1>Dialer: operators' listener</h1>\n\
    <ul><li><a href=/readyz>/readyz</a>: whether calls can be placed, and why not<li><a \
    href=/metrics>/metrics</a>\
    <li><a href=/healthz>/healthz</a><li><a href=/openapi.json>/openapi.json</a>: the admin API \
    below <code>/admin</code>, \
    with the token in <code>admin.token_file</code>; from a shell, <code>control-api admin \
    --help</code></ul>\n";

/// Why the process cannot serve: the configuration's key and the cause.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{key}: {address}: {error}")]
    Listen { key: &'static str, address: String, error: std::io::Error },
    #[error("{key}: {error}")]
    Tls { key: &'static str, error: TlsError },
    #[error(transparent)]
    Storage(#[from] storage::Error),
    #[error(transparent)]
    Callback(#[from] callback::StartError),
}

/// The resources of customers, with their OpenAPI document.
pub fn public_resources() -> OpenApiRouter<Arc<App>> {
    let mut resources = OpenApiRouter::with_openapi(openapi::empty())
        .routes(routes!(calls::create::create, calls::list::list))
        .routes(routes!(calls::read, calls::end, calls::change))
        .routes(routes!(calls::timeline::read))
        .routes(routes!(calls::redeliver))
        .routes(routes!(calls::control::hold))
        .routes(routes!(calls::control::resume))
        .routes(routes!(calls::control::mute))
        .routes(routes!(calls::control::unmute))
        .routes(routes!(calls::control::dtmf))
        .routes(routes!(calls::control::merge))
        .routes(routes!(calls::control::swap))
        .routes(routes!(calls::control::complete))
        .routes(routes!(calls::control::cancel))
        .routes(routes!(calls::control::start_recording))
        .routes(routes!(calls::control::pause_recording))
        .routes(routes!(calls::control::resume_recording))
        .routes(routes!(calls::participants::add))
        .routes(routes!(calls::participants::transfer))
        .routes(routes!(calls::participants::remove))
        .routes(routes!(calls::participants::supervise))
        .routes(routes!(calls::participants::change_role, calls::participants::dismiss))
        .routes(routes!(calls::events::of_call))
        .routes(routes!(calls::events::of_account))
        .routes(routes!(webphone::launch::launch))
        .routes(routes!(recordings::download))
        .routes(routes!(openapi::read));
    openapi::document_other_errors(resources.get_openapi_mut());
    resources
}

/// Everything on the public listener.
pub fn public_router(app: &Arc<App>) -> Router {
    let router: Router<Arc<App>> = public_resources().into();
    router
        .merge(webphone::routes())
        .route("/", routing::get(|| async { Html(PUBLIC_FRONT) }))
        .route("/recordings/{name}", routing::options(recordings::preflight))
        .fallback(problem::unknown_path)
        .method_not_allowed_fallback(problem::unknown_method)
        .layer(middleware::from_fn_with_state(Arc::clone(app), refuse_keys_in_query))
        .layer(Extension(PublicDocument(public_document)))
        .layer(middleware::from_fn_with_state(counter(app, "public"), metrics::count_request))
        .with_state(Arc::clone(app))
}

/// Middleware: a server key in a query is refused before it reaches a resource.
async fn refuse_keys_in_query(
    State(app): State<Arc<App>>,
    request: Request,
    next: Next,
) -> Response {
    match auth::check_query(&app, request.uri().query().unwrap_or_default()).await {
        Ok(()) => next.run(request).await,
        Err(problem) => webphone::refusal(&request, problem),
    }
}

/// Everything on the operators' listener.
pub fn admin_router(app: &Arc<App>) -> Router {
    let document = Bytes::from(admin_document().to_string());
    let read = move || async move { ([(header::CONTENT_TYPE, "application/json")], document) };
    let operations: Router<Arc<App>> = health::routes().into();
    operations
        .route("/openapi.json", routing::get(read.clone()))
        .route("/admin/openapi.json", routing::get(read))
        .route("/", routing::get(|| async { Html(ADMIN_FRONT) }))
        .with_state(Arc::clone(app))
        .merge(admin::router(Arc::clone(app)))
        .fallback(problem::unknown_path)
        .method_not_allowed_fallback(problem::unknown_method)
        .layer(middleware::from_fn_with_state(counter(app, "admin"), metrics::count_request))
}

fn counter(app: &App, listener: &'static str) -> RequestCounter {
    RequestCounter { metrics: app.metrics.clone(), listener }
}

/// A process that serves.
pub struct Running {
    /// Where the public listener is, with the port that was bound.
    pub public: SocketAddr,
    /// Where the operators' listener is, with the port that was bound.
    pub admin: SocketAddr,
    app: Arc<App>,
    link: JoinSet<()>,
    tasks: JoinSet<()>,
}

/// Takes over live calls, then starts the link, the deliverer, both listeners and the background
/// tasks.
pub async fn start(app: Arc<App>) -> Result<Running, StartError> {
    let config = &app.config;
    let (public, public_security) =
        open(&app, "public.listen", config.public.listen, "public.tls", &config.public.tls).await?;
    let (admin, admin_security) =
        open(&app, "admin.listen", config.admin.listen, "admin.tls", &config.admin.tls).await?;
    let socket = connection::bind(&config.link.socket).map_err(|error| StartError::Listen {
        key: "link.socket",
        address: config.link.socket.display().to_string(),
        error,
    })?;
    let addresses = [&public, &admin]
        .map(|listener| listener.local_addr().expect("a bound listener has an address"));
    reconcile::adopt_live_calls(&app).await?;
    app.notices.callbacks.start().await?;
    let (mut link, mut tasks) = (JoinSet::new(), JoinSet::new());
    link.spawn(connection::serve(Arc::clone(&app), socket));
    tasks.spawn(reconcile::watch(Arc::clone(&app)));
    tasks.spawn(trunks::keep(Arc::clone(&app)));
    tasks.spawn(retention::run(Arc::clone(&app)));
    // Behind a proxy that speaks HTTPS, browsers come by HTTPS, too.
    let tells_https =
        matches!(public_security, Security::Tls(_)) || config.public.url.starts_with("https://");
    let public_service = listener::Service {
        name: "public",
        router: public_router(&app),
        security: public_security,
        caps: Caps {
            total: config.public.max_connections,
            per_address: config.public.max_connections_per_address,
            proxies: config.public.trusted_proxies.clone(),
        },
        patience: listener::Patience::default(),
        tells_https,
        metrics: app.metrics.clone(),
    };
    let admin_service = listener::Service {
        name: "admin",
        router: admin_router(&app),
        tells_https: matches!(admin_security, Security::Tls(_)),
        security: admin_security,
        caps: Caps {
            total: config.admin.max_connections,
            per_address: config.admin.max_connections,
            proxies: Vec::new(),
        },
        patience: listener::Patience::default(),
        metrics: app.metrics.clone(),
    };
    tasks.spawn(listener::serve(public, public_service, app.shutdown.clone()));
    tasks.spawn(listener::serve(admin, admin_service, app.shutdown.clone()));
    let [public, admin] = addresses;
    tracing::info!(%public, %admin, link = %app.config.link.socket.display(), "serving");
    Ok(Running { public, admin, app, link, tasks })
}

/// The host in `public.url`.
pub(crate) fn host(config: &Config) -> &str {
    let url = &config.public.url;
    url.split("://").nth(1).unwrap_or(url).split(['/', ':']).next().unwrap_or_default()
}

async fn open(
    app: &App,
    key: &'static str,
    address: SocketAddr,
    tls_key: &'static str,
    tls: &crate::config::Tls,
) -> Result<(TcpListener, Security), StartError> {
    let security = Security::new(tls, host(&app.config), &app.metrics)
        .map_err(|error| StartError::Tls { key: tls_key, error })?;
    let listener = TcpListener::bind(address).await;
    let listener = listener.map_err(|error| StartError::Listen {
        key,
        address: address.to_string(),
        error,
    })?;
    Ok((listener, security))
}

/// The document of the public API, which is reached under `url`.
pub fn public_document(url: &str) -> Value {
    let mut document = public_resources().into_openapi();
    document.servers = Some(vec![Server::new(url)]);
    openapi::finish(serde_json::to_value(document).expect("a document is plain data"))
}

/// The document of the operators' listener.
pub fn admin_document() -> Value {
    let mut document = admin::document();
    document.merge(health::routes().split_for_parts().1);
    document.servers = Some(vec![Server::new("/")]);
    openapi::finish(serde_json::to_value(document).expect("a document is plain data"))
}

impl Running {
    /// Stops accepting, lets requests finish, closes the link, lets attempts finish. Calls go on at
    /// the edge.
    pub async fn stop(mut self) {
        self.app.shutdown.cancel();
        let finished = async {
            while self.tasks.join_next().await.is_some() {}
            self.app.link_shutdown.cancel();
            while self.link.join_next().await.is_some() {}
            self.app.notices.callbacks.stop().await;
        };
        if tokio::time::timeout(STOP_TIMEOUT, finished).await.is_err() {
            let limit_s = STOP_TIMEOUT.as_secs();
            tracing::warn!("requests were cut off: they did not finish within {limit_s} s");
        }
        tracing::info!("stopped");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    /// What generators of clients stumble over: a default that its type does not have, a body that
    /// may be `null` where it may be left out, a file as a list of numbers.
    #[track_caller]
    fn check_readable(value: &Value, is_body: bool) {
        match value {
            Value::Object(object) => {
                assert_ne!(object.get("default"), Some(&Value::Null), "{value}");
                for (name, inner) in object {
                    let is_file = name.starts_with("audio/");
                    assert!(!is_file || inner["schema"]["format"] == "binary", "{name}: {inner}");
                    let is_null = |choice: &Value| choice["type"] == "null";
                    let choices = inner["schema"]["oneOf"].as_array();
                    let may_be_null = choices.is_some_and(|choices| choices.iter().any(is_null));
                    assert!(!(is_body && may_be_null), "{name}: {inner}");
                    check_readable(inner, is_body && name == "content" || name == "requestBody");
                }
            }
            Value::Array(items) => items.iter().for_each(|item| check_readable(item, false)),
            _ => {}
        }
    }

    // B14
    #[test]
    fn both_documents_hold_together() {
        for document in [public_document("https://api.example"), admin_document()] {
            check_readable(&document, false);
            let is_public = document["paths"].get("/calls").is_some();
            let mut ids = HashSet::new();
            assert!(
                document["servers"][0]["url"].is_string()
                    && document["info"]["title"].as_str().unwrap().starts_with("control-api")
            );
            for (path, item) in document["paths"].as_object().unwrap() {
                for (method, operation) in item.as_object().unwrap() {
                    let id = operation["operationId"].as_str().unwrap();
                    assert!(
                        ids.insert(id.to_owned()),
                        "{method} {path}: {id} is another operation's"
                    );
                    let responses = operation["responses"].as_object().unwrap();
                    for (status, response) in responses {
                        assert!(
                            !response["description"].as_str().unwrap().is_empty(),
                            "{method} {path} {status}"
                        );
                        let is_problem = status.starts_with(['4', '5']);
                        let content = response["content"].as_object();
                        let kinds = content
                            .map(|content| content.keys().cloned().collect::<Vec<_>>())
                            .unwrap_or_default();
                        assert!(
                            !is_problem || !kinds.iter().any(|kind| kind == "application/json"),
                            "{method} {path} {status}"
                        );
                    }
                    assert!(!is_public || responses.contains_key("default"), "{method} {path}");
                    let is_open = operation["security"].as_array().is_some_and(Vec::is_empty);
                    assert_eq!(
                        is_open,
                        ["/healthz", "/readyz", "/metrics"].contains(&path.as_str()),
                        "{method} {path}"
                    );
                    let is_admin = path.starts_with("/admin/");
                    assert!(
                        !is_admin || responses.contains_key("401") && responses.contains_key("400"),
                        "{method} {path}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_is_pushed_is_described() {
        let document = public_document("https://api.example");
        let pushed = &document["webhooks"]["result"]["post"];
        assert_eq!(
            pushed["requestBody"]["content"]["application/json"]["schema"]["$ref"],
            "#/components/schemas/CallResult"
        );
        let call_result = &document["components"]["schemas"]["CallResult"]["properties"];
        assert!(call_result["recording_url"].is_object() && call_result["attempts"].is_object());
        assert!(document["components"]["schemas"]["EventView"].is_object());
    }
}
