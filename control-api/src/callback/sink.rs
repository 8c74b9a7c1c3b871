//! A customer's endpoint for tests: HTTPS on loopback under a private authority, with an answer
//! scripted for each request.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tempfile::NamedTempFile;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

/// What the endpoint does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Status(u16),
    /// A redirect to another path of this endpoint.
    Redirect(u16),
    /// Closes the connection without an answer.
    Close,
    /// Keeps the connection and never answers.
    Silence,
    /// What is not HTTP.
    Noise,
    /// Headers, then a body without end.
    EndlessBody,
    /// 200 with these header lines.
    Headers(&'static str, usize),
}

/// What becomes of the connections that were open when the endpoint failed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Old {
    /// The next request on them ends them.
    Close,
    /// Nothing ever comes back.
    Silence,
    Answer(Answer),
}

/// What the endpoint shows as its identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    Good,
    Expired,
    OtherName,
    SelfSigned,
    /// Accepts connections and never speaks.
    Mute,
}

/// A request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub request_line: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Seen {
    /// The value of a header, which must be there once.
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        let mut values = self
            .headers
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value);
        let value = values.next().unwrap_or_else(|| panic!("{name} is missing"));
        assert_eq!(values.next(), None, "{name} is there twice");
        value
    }
}

/// An HTTPS endpoint that a test plays.
pub struct Sink {
    pub url: String,
    /// PEM of the authority.
    pub roots: NamedTempFile,
    state: Arc<State>,
}

struct State {
    script: Box<dyn Fn(usize) -> Answer + Send + Sync>,
    seen: Mutex<Vec<Seen>>,
    came: Notify,
    connection_count: AtomicUsize,
    /// Connections before this number are old, and what they do.
    failed_over: Mutex<(usize, Old)>,
}

impl Sink {
    /// Answers request `n`, from 0, with `script(n)`.
    pub async fn open(
        identity: Identity,
        script: impl Fn(usize) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let (roots, acceptor) = authority(identity);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}/calls?x=1", listener.local_addr().unwrap().port());
        let state = Arc::new(State {
            script: Box::new(script),
            seen: Mutex::default(),
            came: Notify::new(),
            connection_count: AtomicUsize::new(0),
            failed_over: Mutex::new((0, Old::Close)),
        });
        let serving = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = serving.connection_count.fetch_add(1, Ordering::SeqCst);
                let acceptor = (identity != Identity::Mute).then(|| acceptor.clone());
                tokio::spawn(connection(Arc::clone(&serving), number, acceptor, stream));
            }
        });
        Self { url, roots, state }
    }

    /// One with a certificate that its authority has signed.
    pub async fn good(script: impl Fn(usize) -> Answer + Send + Sync + 'static) -> Self {
        Self::open(Identity::Good, script).await
    }

    /// The requests that came so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().clone()
    }

    /// Connections that were taken so far.
    pub fn connection_count(&self) -> usize {
        self.state.connection_count.load(Ordering::SeqCst)
    }

    /// From now on connections that are open serve no more: requests on them are not seen.
    pub fn fail_over(&self, old: Old) {
        *self.state.failed_over.lock().unwrap() = (self.connection_count(), old);
    }

    /// Waits until so many requests came.
    pub async fn wait_for(&self, count: usize) {
        loop {
            let came = self.state.came.notified();
            if self.seen().len() >= count {
                return;
            }
            came.await;
        }
    }
}

fn authority(identity: Identity) -> (NamedTempFile, TlsAcceptor) {
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_key = KeyPair::generate().unwrap();
    let roots = NamedTempFile::new().unwrap();
    std::fs::write(roots.path(), ca.self_signed(&ca_key).unwrap().pem()).unwrap();

    let name = if identity == Identity::OtherName { "elsewhere.example" } else { "localhost" };
    let mut leaf = CertificateParams::new(vec![name.to_owned()]).unwrap();
    if identity == Identity::Expired {
        leaf.not_before = date_time_ymd(2020, 1, 1);
        leaf.not_after = date_time_ymd(2021, 1, 1);
    }
    let key = KeyPair::generate().unwrap();
    let certificate = match identity {
        Identity::SelfSigned => leaf.self_signed(&key).unwrap(),
        _ => leaf.signed_by(&key, &Issuer::from_params(&ca, &ca_key)).unwrap(),
    };
    let private_key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(
        rustls::crypto::ring::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .unwrap()
    .with_no_client_auth()
    .with_single_cert(vec![certificate.der().clone()], private_key)
    .unwrap();
    (roots, TlsAcceptor::from(Arc::new(config)))
}

async fn connection(
    state: Arc<State>,
    number: usize,
    acceptor: Option<TlsAcceptor>,
    mut stream: TcpStream,
) {
    match acceptor {
        Some(acceptor) => {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                while let Some(seen) = read_request(&mut stream).await {
                    let (first_new, old) = *state.failed_over.lock().unwrap();
                    if number < first_new {
                        match old {
                            Old::Close => break,
                            Old::Silence => drop(stream.read_u8().await),
                            Old::Answer(answer) => drop(write(answer, &mut stream).await),
                        }
                        continue;
                    }
                    if !respond(&state, seen, &mut stream).await {
                        break;
                    }
                }
            }
        }
        // Reads until the other side gives up.
        None => while stream.read(&mut [0; 1024]).await.is_ok_and(|len| len > 0) {},
    }
}

async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<Seen> {
    let mut bytes = Vec::new();
    let head_len = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..head_len].to_vec()).unwrap();
    let mut lines = head.trim_end().split("\r\n");
    let request_line = lines.next().unwrap().to_owned();
    let header = |line: &str| {
        line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned())).unwrap()
    };
    let mut seen = Seen { request_line, headers: lines.map(header).collect(), body: String::new() };
    let body_len: usize = seen.header("content-length").parse().unwrap();
    while bytes.len() < head_len + body_len {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    seen.body = String::from_utf8(bytes[head_len..].to_vec()).unwrap();
    Some(seen)
}

/// False if the connection is over.
async fn respond(
    state: &State,
    seen: Seen,
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
) -> bool {
    let number = {
        let mut all = state.seen.lock().unwrap();
        all.push(seen);
        all.len() - 1
    };
    state.came.notify_waiters();
    write((state.script)(number), stream).await
}

async fn write(answer: Answer, stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> bool {
    let text = match answer {
        Answer::Status(204) => "HTTP/1.1 204 x\r\n\r\n".to_owned(),
        Answer::Status(status) => format!("HTTP/1.1 {status} x\r\ncontent-length: 2\r\n\r\nok"),
        Answer::Redirect(status) => {
            format!("HTTP/1.1 {status} x\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n")
        }
        Answer::Close => return false,
        Answer::Silence => return stream.read_u8().await.is_ok(),
        Answer::Headers(lines, count) => {
            format!("HTTP/1.1 200 x\r\ncontent-length: 2\r\n{}\r\nok", lines.repeat(count))
        }
        Answer::Noise => "220 mail.example ESMTP\r\n\r\n".to_owned(),
        Answer::EndlessBody => {
            let head = "HTTP/1.1 200 x\r\ntransfer-encoding: chunked\r\n\r\n";
            let chunk = format!("4000\r\n{}\r\n", "x".repeat(0x4000));
            let mut next = head.to_owned();
            while stream.write_all(next.as_bytes()).await.is_ok() {
                next.clone_from(&chunk);
            }
            return false;
        }
    };
    stream.write_all(text.as_bytes()).await.is_ok() && stream.flush().await.is_ok()
}
