//! HTTPS for a listener: certificate files that are read again when they change, or a self-signed
//! certificate for development. TLS 1.2 and 1.3 only (RFC 9325 §3.1.1). Who listens where is the
//! configuration's, what is served the router's.

use crate::config::{Tls, TlsMode};
use crate::metrics::Metrics;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Time between two looks at the certificate files.
const RELOAD_INTERVAL: Duration = Duration::from_secs(5);
/// Time that a client has for its handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{file}: {reason}")]
    File { file: String, reason: String },
    #[error("self-signed certificate: {0}")]
    SelfSigned(#[from] rcgen::Error),
    #[error("{0}")]
    Rustls(#[from] rustls::Error),
    #[error("tls.mode = \"files\" needs tls.certificate and tls.private_key")]
    NoFiles,
}

/// How a listener's connections are protected.
#[derive(Clone)]
pub enum Security {
    Plain,
    Tls(TlsAcceptor),
}

impl Security {
    /// Reads what the configuration names; `host` is the name that a self-signed certificate gets
    /// besides the loopback ones.
    pub fn new(tls: &Tls, host: &str, metrics: &Metrics) -> Result<Self, TlsError> {
        let resolver: Arc<dyn ResolvesServerCert> = match tls.mode {
            TlsMode::Plain => return Ok(Security::Plain),
            TlsMode::SelfSigned => Arc::new(Fixed(self_signed(host)?)),
            TlsMode::Files => {
                let (Some(certificate), Some(private_key)) = (&tls.certificate, &tls.private_key)
                else {
                    return Err(TlsError::NoFiles);
                };
                Arc::new(Reloading::open(
                    certificate.clone(),
                    private_key.clone(),
                    metrics.clone(),
                )?)
            }
        };
        Self::showing(resolver)
    }

    fn showing(resolver: Arc<dyn ResolvesServerCert>) -> Result<Self, TlsError> {
        let builder =
            ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
        let mut config = builder
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Security::Tls(TlsAcceptor::from(Arc::new(config))))
    }

    /// Finishes the handshake of an accepted connection, bounded in time.
    pub async fn accept(&self, tcp: TcpStream) -> std::io::Result<Stream> {
        match self {
            Security::Plain => Ok(Stream::Plain(tcp)),
            Security::Tls(acceptor) => {
                let handshake = tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(tcp));
                handshake
                    .await
                    .map_err(std::io::Error::from)?
                    .map(|stream| Stream::Tls(Box::new(stream)))
            }
        }
    }
}

/// A connection as HTTP sees it.
#[derive(Debug)]
pub enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// The connection below TLS.
    pub fn tcp(&self) -> &TcpStream {
        match self {
            Stream::Plain(stream) => stream,
            Stream::Tls(stream) => stream.get_ref().0,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[derive(Debug)]
struct Fixed(Arc<CertifiedKey>);

impl ResolvesServerCert for Fixed {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

fn self_signed(host: &str) -> Result<Arc<CertifiedKey>, TlsError> {
    let names = ["localhost", "127.0.0.1", "::1", host].map(str::to_owned).to_vec();
    let made = rcgen::generate_simple_self_signed(names)?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    certified(vec![made.cert.der().clone()], key)
}

fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<CertifiedKey>, TlsError> {
    Ok(Arc::new(CertifiedKey::from_der(chain, key, &rustls::crypto::ring::default_provider())?))
}

/// Certificate files that may be replaced while the process runs.
#[derive(Debug)]
struct Reloading {
    certificate: PathBuf,
    private_key: PathBuf,
    metrics: Metrics,
    state: Mutex<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    looked_at: Instant,
    modified: Modified,
    key: Arc<CertifiedKey>,
}

/// Times of change of the certificate and of the key.
type Modified = [Option<SystemTime>; 2];

impl Reloading {
    fn open(
        certificate: PathBuf,
        private_key: PathBuf,
        metrics: Metrics,
    ) -> Result<Self, TlsError> {
        let modified = [changed_at(&certificate), changed_at(&private_key)];
        let key = load(&certificate, &private_key)?;
        let state = Mutex::new(Loaded { looked_at: Instant::now(), modified, key });
        Ok(Self { certificate, private_key, metrics, state })
    }

    /// The present key. Files that changed but cannot be used are told of and counted once, and the
    /// old key stays.
    fn current(&self, now: Instant) -> Arc<CertifiedKey> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(state.looked_at) >= RELOAD_INTERVAL {
            state.looked_at = now;
            let modified = [changed_at(&self.certificate), changed_at(&self.private_key)];
            if modified != state.modified {
                state.modified = modified;
                match load(&self.certificate, &self.private_key) {
                    Ok(key) => {
                        tracing::info!(file = %self.certificate.display(),
                            "certificate read again");
                        state.key = key;
                    }
                    Err(error) => {
                        self.metrics.certificate_refused();
                        tracing::warn!(%error,
                            "changed certificate cannot be used, the old one stays");
                    }
                }
            }
        }
        Arc::clone(&state.key)
    }
}

impl ResolvesServerCert for Reloading {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current(Instant::now()))
    }
}

fn changed_at(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

fn load(certificate: &Path, private_key: &Path) -> Result<Arc<CertifiedKey>, TlsError> {
    let failed =
        |path: &Path, reason: String| TlsError::File { file: path.display().to_string(), reason };
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect);
    let chain = chain.map_err(|error| failed(certificate, error.to_string()))?;
    if chain.is_empty() {
        return Err(failed(certificate, "no certificate in PEM form".into()));
    }
    let key = PrivateKeyDer::from_pem_file(private_key)
        .map_err(|error| failed(private_key, error.to_string()))?;
    certified(chain, key).map_err(|error| {
        failed(certificate, format!("does not fit {}: {error}", private_key.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::ServerName;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    struct Files {
        folder: PathBuf,
    }

    impl Files {
        fn new(name: &str) -> Self {
            let folder =
                std::env::temp_dir().join(format!("control-api-tls-{name}-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&folder);
            std::fs::create_dir_all(&folder).unwrap();
            Self { folder }
        }

        fn certificate(&self) -> PathBuf {
            self.folder.join("cert.pem")
        }

        fn private_key(&self) -> PathBuf {
            self.folder.join("key.pem")
        }

        /// Writes a fresh pair with a time of change that differs from the last one's.
        fn renew(&self, age: u64) -> CertificateDer<'static> {
            let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
            std::fs::write(self.certificate(), made.cert.pem()).unwrap();
            std::fs::write(self.private_key(), made.signing_key.serialize_pem()).unwrap();
            for path in [self.certificate(), self.private_key()] {
                let file = std::fs::File::options().write(true).open(path).unwrap();
                file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 - age))
                    .unwrap();
            }
            made.cert.der().clone()
        }
    }

    fn open(files: &Files) -> Result<Reloading, TlsError> {
        Reloading::open(files.certificate(), files.private_key(), Metrics::default())
    }

    /// The files are looked at again by the next handshake.
    fn let_time_pass(reloading: &Reloading) {
        reloading.state.lock().unwrap().looked_at =
            Instant::now().checked_sub(RELOAD_INTERVAL).unwrap();
    }

    /// Answers each byte with itself, on every connection.
    async fn echo(security: Security) -> std::net::SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let security = security.clone();
                tokio::spawn(async move {
                    let Ok(mut stream) = security.accept(tcp).await else { return };
                    while let Ok(byte) = stream.read_u8().await {
                        stream.write_u8(byte).await.unwrap();
                        stream.flush().await.unwrap();
                    }
                });
            }
        });
        address
    }

    /// A connection of a client that trusts one certificate only.
    async fn connect(
        address: std::net::SocketAddr,
        trusted: &CertificateDer<'static>,
    ) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(trusted.clone()).unwrap();
        let builder = rustls::ClientConfig::builder_with_provider(Arc::new(
            rustls::crypto::ring::default_provider(),
        ));
        let client = builder
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
        connector
            .connect(ServerName::try_from("localhost").unwrap(), TcpStream::connect(address).await?)
            .await
    }

    async fn check_echo(stream: &mut tokio_rustls::client::TlsStream<TcpStream>) {
        stream.write_u8(7).await.unwrap();
        stream.flush().await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), 7);
    }

    impl Drop for Files {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }

    #[test]
    fn changed_files_are_read_again_and_damaged_ones_are_not_used() {
        let files = Files::new("reload");
        let first = files.renew(3);
        let reloading = open(&files).unwrap();
        let start = Instant::now();
        assert_eq!(reloading.current(start).cert[0], first);
        let second = files.renew(2);
        assert_eq!(reloading.current(start).cert[0], first, "not looked at yet");
        assert_eq!(reloading.current(start + RELOAD_INTERVAL * 2).cert[0], second);
        std::fs::write(files.certificate(), "half a cert").unwrap();
        assert_eq!(reloading.current(start + RELOAD_INTERVAL * 4).cert[0], second);
        let third = files.renew(1);
        assert_eq!(reloading.current(start + RELOAD_INTERVAL * 6).cert[0], third);
    }

    #[test]
    fn unusable_files_are_named() {
        let files = Files::new("unusable");
        let missing = open(&files).unwrap_err().to_string();
        assert!(missing.contains("cert.pem"), "{missing}");
        files.renew(1);
        std::fs::write(files.private_key(), "").unwrap();
        let empty = open(&files).unwrap_err().to_string();
        assert!(empty.contains("key.pem"), "{empty}");
        let other = rcgen::KeyPair::generate().unwrap().serialize_pem();
        std::fs::write(files.private_key(), other).unwrap();
        let mismatch = open(&files).unwrap_err().to_string();
        assert!(mismatch.contains("does not fit"), "{mismatch}");
    }

    #[tokio::test]
    async fn new_connections_see_a_renewed_certificate_and_running_ones_go_on() {
        let files = Files::new("renewed");
        let first = files.renew(3);
        let metrics = Metrics::default();
        let reloading =
            Reloading::open(files.certificate(), files.private_key(), metrics.clone()).unwrap();
        let reloading = Arc::new(reloading);
        let address = echo(Security::showing(reloading.clone()).unwrap()).await;
        let mut running = connect(address, &first).await.unwrap();
        check_echo(&mut running).await;

        std::fs::write(files.private_key(), rcgen::KeyPair::generate().unwrap().serialize_pem())
            .unwrap();
        let_time_pass(&reloading);
        for _ in 0..2 {
            check_echo(&mut connect(address, &first).await.unwrap()).await;
        }
        let text = metrics.print(0, 0, storage::OutboxDepth::default(), &[]);
        assert!(text.contains("control_api_certificates_refused_total 1\n"), "{text}");

        let second = files.renew(2);
        let_time_pass(&reloading);
        check_echo(&mut connect(address, &second).await.unwrap()).await;
        assert!(connect(address, &first).await.is_err(), "the first certificate is still shown");
        check_echo(&mut running).await;
    }

    #[tokio::test]
    async fn a_client_that_trusts_the_certificate_is_served_over_tls() {
        let files = Files::new("serve");
        let certificate = files.renew(1);
        let tls = Tls {
            mode: TlsMode::Files,
            certificate: Some(files.certificate()),
            private_key: Some(files.private_key()),
        };
        let address = echo(Security::new(&tls, "localhost", &Metrics::default()).unwrap()).await;
        check_echo(&mut connect(address, &certificate).await.unwrap()).await;
    }

    #[test]
    fn every_mode_makes_its_security() {
        let metrics = Metrics::default();
        assert!(matches!(
            Security::new(&Tls::default(), "localhost", &metrics),
            Ok(Security::Plain)
        ));
        let tls = Tls { mode: TlsMode::SelfSigned, ..Tls::default() };
        assert!(matches!(Security::new(&tls, "api.example.com", &metrics), Ok(Security::Tls(_))));
        let tls = Tls { mode: TlsMode::Files, ..Tls::default() };
        assert!(matches!(Security::new(&tls, "localhost", &metrics), Err(TlsError::NoFiles)));
    }
}
