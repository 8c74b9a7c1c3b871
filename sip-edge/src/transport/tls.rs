//! TLS of SIP's streams (RFC 3261 §26.2.1, RFC 5922): who we are, and who a trunk must prove to be.

use super::certificate::{self, Certificate, CertificateError, CertificateSource, Identity};
use futures_lite::{AsyncRead, AsyncWrite};
use futures_rustls::{TlsAcceptor, TlsConnector, TlsStream};
use rustls::ClientConfig;
use rustls::crypto::CryptoProvider;
use rustls::version::{TLS12, TLS13};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use rustls_platform_verifier::Verifier;
use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

/// Most trunks whose names are remembered; all are forgotten then, and named again by their next
/// call.
const NAME_CAPACITY: usize = 1024;

/// What is shown and whom is believed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsSource {
    /// Shown to trunks that connect, and to those that ask for it; without one none can connect.
    pub certificate: Option<CertificateSource>,
    /// PEM file of roots that a trunk's certificate may hang on besides the system's.
    pub extra_roots: Option<PathBuf>,
}

/// Both ends of connections. Nothing can be opened on a machine that believes nobody.
#[derive(Clone)]
struct Ends {
    acceptor: TlsAcceptor,
    connector: Option<TlsConnector>,
}

enum Side {
    /// Connections can only be opened.
    Nameless(Option<TlsConnector>),
    Certified(Rc<Certificate<Ends>>),
}

/// TLS of one shard's SIP.
pub struct Tls {
    side: Side,
    /// What the certificates of those that are called must name.
    names: RefCell<HashMap<SocketAddr, ServerName<'static>>>,
    /// Whom TLS did not come about with the last time, and why: told once.
    faults: RefCell<HashMap<SocketAddr, String>>,
}

/// What proves to whom a trunk's certificate belongs, and with what we reach it.
struct Client {
    provider: Arc<CryptoProvider>,
    verifier: Arc<Verifier>,
}

impl Client {
    /// `None` without a root in the system and without one of ours.
    fn new(extra_roots: Option<&Path>) -> Result<Option<Self>, CertificateError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let roots = extra_roots.map(read_roots).transpose()?;
        match Verifier::new_with_extra_roots(roots.iter().flatten().cloned(), provider.clone()) {
            Ok(verifier) => Ok(Some(Self { provider, verifier: Arc::new(verifier) })),
            Err(_) if roots.is_none() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn connector(&self, shown: Option<&Identity>) -> Result<TlsConnector, rustls::Error> {
        let builder = ClientConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&TLS13, &TLS12])?
            .dangerous()
            .with_custom_certificate_verifier(self.verifier.clone());
        let config = match shown {
            None => builder.with_no_client_auth(),
            Some(Identity { chain, key }) => {
                builder.with_client_auth_cert(chain.clone(), key.clone_key())?
            }
        };
        Ok(Arc::new(config).into())
    }
}

impl Tls {
    /// Reads certificate and roots.
    pub fn open(source: &TlsSource) -> Result<Self, CertificateError> {
        let client = Client::new(source.extra_roots.as_deref())?;
        let connector = move |shown: Option<&Identity>| {
            client.as_ref().map(|client| client.connector(shown)).transpose()
        };
        let side = match &source.certificate {
            None => Side::Nameless(connector(None)?),
            Some(source) => {
                let ends = move |identity: Identity| {
                    let connector = connector(Some(&identity))?;
                    let acceptor = Arc::new(certificate::server_config(identity)?).into();
                    Ok(Ends { acceptor, connector })
                };
                Side::Certified(Rc::new(Certificate::open(source.clone(), ends)?))
            }
        };
        Ok(Self { side, names: RefCell::default(), faults: RefCell::default() })
    }

    /// Whether trunks may open connections.
    pub fn is_certified(&self) -> bool {
        matches!(self.side, Side::Certified(_))
    }

    /// Looks after the certificate for ever.
    pub async fn look_after(self: Rc<Self>, failed: impl Fn()) {
        if let Side::Certified(certificate) = &self.side {
            certificate.clone().look_after("the trunks'", failed).await;
        }
    }

    /// A trunk of this host, a name or an address, is called there.
    pub fn know(&self, remote: SocketAddr, host: &str) {
        let Ok(name) = ServerName::try_from(host.to_owned()) else { return };
        let mut names = self.names.borrow_mut();
        if names.len() >= NAME_CAPACITY && !names.contains_key(&remote) {
            names.clear();
        }
        names.insert(remote, name);
    }

    /// Shakes hands with a peer that has connected.
    pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        tcp: S,
    ) -> io::Result<TlsStream<S>> {
        let Side::Certified(certificate) = &self.side else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        Ok(certificate.current().acceptor.accept(tcp).await?.into())
    }

    /// Shakes hands with a peer that we have connected to: it must be the trunk that is called
    /// there, or prove its address.
    pub async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        remote: SocketAddr,
        tcp: S,
    ) -> io::Result<TlsStream<S>> {
        let name = self.names.borrow().get(&remote).cloned();
        let name = name.unwrap_or_else(|| ServerName::IpAddress(remote.ip().into()));
        let connector = match &self.side {
            Side::Nameless(connector) => connector.clone(),
            Side::Certified(certificate) => certificate.current().connector,
        };
        let connector = connector.ok_or_else(|| {
            io::Error::other(
                "this machine has no root certificates: install them or set `sip.tls.extra_roots`",
            )
        })?;
        let connected = connector.connect(name, tcp).await;
        self.note(remote, connected.as_ref().err());
        Ok(connected?.into())
    }

    /// Tells once what is wrong with a trunk, and that it is no more.
    fn note(&self, remote: SocketAddr, error: Option<&io::Error>) {
        let mut faults = self.faults.borrow_mut();
        let Some(error) = error.map(ToString::to_string) else {
            if faults.remove(&remote).is_some() {
                tracing::info!(%remote, "TLS: the trunk there can be reached again");
            }
            return;
        };
        if faults.get(&remote) == Some(&error) {
            return;
        }
        tracing::warn!(%remote, %error, "TLS with the trunk there does not come about");
        if faults.len() >= NAME_CAPACITY {
            faults.clear();
        }
        faults.insert(remote, error);
    }
}

fn read_roots(file: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    CertificateDer::pem_file_iter(file).and_then(Iterator::collect).map_err(|error| {
        CertificateError::File { file: file.to_owned(), reason: error.to_string() }
    })
}
