//! A customer's callback endpoint on loopback, plain or HTTPS under a private authority, with a
//! scripted answer to each request.

use crate::authority::Authority;
use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::serve::IncomingStream;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// How a request is answered.
#[derive(Debug, Clone, Copy)]
pub struct Reply {
    pub status: u16,
    /// Counted from the acceptance of the connection, so that TLS is in it.
    pub after: Duration,
}

impl Reply {
    /// Answers at once.
    pub fn now(status: u16) -> Reply {
        Reply { status, after: Duration::ZERO }
    }
}

/// One request.
#[derive(Debug, Clone)]
pub struct Received {
    pub at: Instant,
    pub headers: HeaderMap,
    pub text: String,
    pub body: Value,
    /// What the recording's link gave before this request was answered.
    pub recording: Option<Download>,
}

impl Received {
    /// A header's value; empty if it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }

    /// A key of the body as text; empty if it is `null` or no text.
    pub fn field(&self, key: &str) -> &str {
        self.body[key].as_str().unwrap_or("")
    }
}

/// An answer to `GET recording_url`.
#[derive(Debug, Clone)]
pub struct Download {
    pub status: u16,
    pub content_type: String,
    pub bytes: Vec<u8>,
}

type Script = Box<dyn Fn(&Received, usize) -> Reply + Send + Sync>;

struct Shared {
    script: Script,
    received: Mutex<Vec<Received>>,
    /// Moment after a connection's acceptance at which each answer was really given.
    answered_after: Mutex<Vec<Duration>>,
    client: reqwest::Client,
}

/// A running endpoint.
pub struct Sink {
    pub url: String,
    /// There if the endpoint speaks TLS.
    authority: Option<Authority>,
    shared: Arc<Shared>,
}

impl Sink {
    /// Answers every request with 200.
    pub async fn ok() -> Sink {
        Sink::plain(|_, _| Reply::now(200)).await
    }

    /// Over HTTP; the script is given the request and how many of the same call came before it.
    pub async fn plain(script: impl Fn(&Received, usize) -> Reply + Send + Sync + 'static) -> Sink {
        Sink::start(None, Box::new(script)).await
    }

    /// Over HTTPS, with a certificate of a private authority for 127.0.0.1.
    pub async fn https(script: impl Fn(&Received, usize) -> Reply + Send + Sync + 'static) -> Sink {
        Sink::start(Some(Authority::fresh()), Box::new(script)).await
    }

    async fn start(authority: Option<Authority>, script: Script) -> Sink {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let scheme = if authority.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}/callback", listener.local_addr().expect("bound"));
        let client = reqwest::Client::new();
        let shared = Arc::new(Shared {
            script,
            received: Mutex::default(),
            answered_after: Mutex::default(),
            client,
        });
        let router = axum::Router::new().fallback(receive).with_state(shared.clone());
        let door = Door { listener, acceptor: authority.as_ref().map(acceptor) };
        tokio::spawn(async move {
            axum::serve(door, router.into_make_service_with_connect_info::<Peer>()).await
        });
        Sink { url, authority, shared }
    }

    /// PEM file of the authority, if the endpoint speaks TLS.
    pub fn roots(&self) -> Option<PathBuf> {
        self.authority.as_ref().map(Authority::root)
    }

    /// All requests about this call, in order.
    pub fn received(&self, call_id: &str) -> Vec<Received> {
        let received = self.shared.received.lock().expect("received");
        received.iter().filter(|one| one.field("call_id") == call_id).cloned().collect()
    }

    /// Waits for that many requests about the call.
    #[track_caller]
    pub fn wait_for(&self, call_id: &str, count: usize) -> impl Future<Output = Vec<Received>> {
        crate::eventually("a callback", async move || {
            Some(self.received(call_id)).filter(|all| all.len() >= count)
        })
    }

    /// When answers were given, counted from the acceptance of their connections.
    pub fn answered_after(&self) -> Vec<Duration> {
        self.shared.answered_after.lock().expect("answered_after").clone()
    }
}

async fn receive(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Request,
) -> StatusCode {
    let at = Instant::now();
    let (head, body) = request.into_parts();
    let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let body: Value = serde_json::from_str(&text).unwrap_or_default();
    let recording = match body["recording_url"].as_str() {
        Some(url) => download(&shared.client, url).await,
        None => None,
    };
    let received = Received { at, headers: head.headers, text, body, recording };
    let reply = {
        let mut all = shared.received.lock().expect("received");
        let before =
            all.iter().filter(|other| other.field("call_id") == received.field("call_id")).count();
        let reply = (shared.script)(&received, before);
        all.push(received);
        reply
    };
    tokio::time::sleep_until((peer.accepted + reply.after).into()).await;
    shared.answered_after.lock().expect("answered_after").push(peer.accepted.elapsed());
    StatusCode::from_u16(reply.status).expect("a status")
}

async fn download(client: &reqwest::Client, url: &str) -> Option<Download> {
    let answer = client.get(url).send().await.ok()?;
    let status = answer.status().as_u16();
    let content_type = answer
        .headers()
        .get("content-type")
        .and_then(|value| value.to_str().ok())
        .unwrap_or("")
        .to_owned();
    Some(Download { status, content_type, bytes: answer.bytes().await.ok()?.to_vec() })
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

struct Door {
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
}

#[derive(Debug, Clone, Copy)]
struct Peer {
    accepted: Instant,
}

impl axum::serve::Listener for Door {
    type Io = Box<dyn Stream>;
    type Addr = Peer;

    async fn accept(&mut self) -> (Self::Io, Peer) {
        loop {
            let Ok((stream, _)) = self.listener.accept().await else { continue };
            let peer = Peer { accepted: Instant::now() };
            match &self.acceptor {
                None => return (Box::new(stream), peer),
                Some(acceptor) => {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        return (Box::new(stream), peer);
                    }
                }
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Peer> {
        Ok(Peer { accepted: Instant::now() })
    }
}

impl Connected<IncomingStream<'_, Door>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Peer {
        *stream.remote_addr()
    }
}

/// With an identity of the authority's.
fn acceptor(authority: &Authority) -> TlsAcceptor {
    let identity = authority.issue("127.0.0.1");
    let certificate = CertificateDer::from_pem_file(&identity.certificate).expect("a certificate");
    let private_key = PrivateKeyDer::from_pem_file(&identity.private_key).expect("a key");
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(
        rustls::crypto::ring::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .expect("versions of TLS")
    .with_no_client_auth()
    .with_single_cert(vec![certificate], private_key)
    .expect("an identity");
    TlsAcceptor::from(Arc::new(config))
}
