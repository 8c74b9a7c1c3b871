//! A certificate from files that are read again when they change, or a self-signed one for
//! development, and what is made of it: TLS 1.2 and 1.3 only (RFC 9325 §3.1.1).

use futures_rustls::TlsAcceptor;
use glommio::timer::Timer;
use rustls::ServerConfig;
use rustls::version::{TLS12, TLS13};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// How often files are looked at.
const RELOAD_PERIOD: Duration = Duration::from_secs(10);

/// Where a certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateSource {
    /// PEM: the chain, the server's own first, and its key.
    Files { certificate: PathBuf, private_key: PathBuf },
    /// Made at start for these names. Browsers do not trust it.
    SelfSigned(Vec<String>),
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("{file} cannot be read: {reason}")]
    File { file: PathBuf, reason: String },
    #[error("self-signed certificate: {0}")]
    SelfSigned(#[from] rcgen::Error),
    #[error("certificate and key: {0}")]
    Unusable(#[from] rustls::Error),
}

/// When each file was changed last.
type Stamps = [Option<SystemTime>; 2];

/// The chain, the own one first, and its key.
pub struct Identity {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
}

/// A certificate in use, as what connections are made or accepted with.
pub struct Certificate<T> {
    source: CertificateSource,
    make: Box<dyn Fn(Identity) -> Result<T, rustls::Error>>,
    loaded: RefCell<(T, Stamps)>,
}

impl<T: Clone> Certificate<T> {
    /// Reads or makes a certificate.
    pub fn open(
        source: CertificateSource,
        make: impl Fn(Identity) -> Result<T, rustls::Error> + 'static,
    ) -> Result<Self, CertificateError> {
        let stamps = stamps(&source);
        let loaded = RefCell::new((make(load(&source)?)?, stamps));
        Ok(Self { source, make: Box::new(make), loaded })
    }

    /// For new connections.
    pub fn current(&self) -> T {
        self.loaded.borrow().0.clone()
    }

    /// Reads the files again if they changed, and tells whether they did. After an error the former
    /// certificate stays in use; the files are read again when they change again.
    pub fn reload(&self) -> Result<bool, CertificateError> {
        let stamps = stamps(&self.source);
        if stamps == self.loaded.borrow().1 {
            return Ok(false);
        }
        self.loaded.borrow_mut().1 = stamps;
        let made = (self.make)(load(&self.source)?)?;
        self.loaded.borrow_mut().0 = made;
        Ok(true)
    }

    /// Reads the files again for ever; `whose` names it in the log, `failed` counts.
    pub async fn look_after(self: Rc<Self>, whose: &'static str, failed: impl Fn()) {
        loop {
            Timer::new(RELOAD_PERIOD).await;
            match self.reload() {
                Ok(false) => {}
                Ok(true) => tracing::info!("{whose} certificate was read again"),
                Err(error) => {
                    failed();
                    tracing::warn!(%error, "{whose} certificate has changed but cannot be used; \
                        the former one stays");
                }
            }
        }
    }
}

/// With what browsers' connections are accepted.
pub fn web_acceptor(identity: Identity) -> Result<TlsAcceptor, rustls::Error> {
    let mut config = server_config(identity)?;
    // WebSocket over HTTP/2 (RFC 8441) is not served.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// A server that asks no client for a certificate.
pub fn server_config(identity: Identity) -> Result<ServerConfig, rustls::Error> {
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_no_client_auth()
        .with_single_cert(identity.chain, identity.key)
}

fn stamps(source: &CertificateSource) -> Stamps {
    let stamp = |path: &Path| std::fs::metadata(path).and_then(|facts| facts.modified()).ok();
    match source {
        CertificateSource::Files { certificate, private_key } => {
            [stamp(certificate), stamp(private_key)]
        }
        CertificateSource::SelfSigned(_) => [None, None],
    }
}

fn load(source: &CertificateSource) -> Result<Identity, CertificateError> {
    match source {
        CertificateSource::Files { certificate, private_key } => {
            let at = |file: &Path| {
                let file = file.to_owned();
                move |error: rustls_pki_types::pem::Error| CertificateError::File {
                    file,
                    reason: error.to_string(),
                }
            };
            let chain = CertificateDer::pem_file_iter(certificate)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(at(certificate))?;
            if chain.is_empty() {
                let reason = "it holds no certificate".to_owned();
                return Err(CertificateError::File { file: certificate.clone(), reason });
            }
            let key = PrivateKeyDer::from_pem_file(private_key).map_err(at(private_key))?;
            Ok(Identity { chain, key })
        }
        CertificateSource::SelfSigned(names) => {
            let made = rcgen::generate_simple_self_signed(names.clone())?;
            let key =
                PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
            Ok(Identity { chain: vec![made.cert.der().clone()], key })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Writes a text with a time of change that no earlier text had.
    fn write(path: &Path, second: u64, text: &str) {
        std::fs::write(path, text).unwrap();
        let file = std::fs::File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + second))
            .unwrap();
    }

    #[test]
    fn changed_files_are_read_again_and_unusable_ones_are_named_once() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, private_key) =
            (folder.path().join("certificate.pem"), folder.path().join("key.pem"));
        let renew = |second| {
            let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
            write(&certificate, second, &made.cert.pem());
            write(&private_key, second, &made.signing_key.serialize_pem());
        };
        let source = CertificateSource::Files {
            certificate: certificate.clone(),
            private_key: private_key.clone(),
        };
        let missing = Certificate::open(source.clone(), web_acceptor).err().unwrap().to_string();
        assert!(missing.contains("certificate.pem cannot be read"), "{missing}");
        renew(0);
        let used = Certificate::open(source, web_acceptor).unwrap();
        assert!(!used.reload().unwrap());
        let other_key = rcgen::KeyPair::generate().unwrap().serialize_pem();
        let cases = [
            (
                &certificate,
                "half a certificate",
                "certificate.pem cannot be read: it holds no certificate",
            ),
            (&private_key, "", "key.pem cannot be read"),
            (&private_key, &other_key, "certificate and key"),
        ];
        for (second, (path, text, told)) in (1..).zip(cases) {
            renew(10 * second);
            assert!(used.reload().unwrap());
            write(path, 10 * second + 1, text);
            let error = used.reload().unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
            assert!(!used.reload().unwrap(), "told once");
        }
        std::fs::remove_file(&certificate).unwrap();
        assert!(used.reload().is_err());
        renew(100);
        assert!(used.reload().unwrap());
    }
}
