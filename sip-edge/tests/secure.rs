//! SIP over TLS: a trunk is believed once it has proved that it is the host that was called; we
//! show our certificate to those that ask.

use glommio::timer::sleep;
use glommio::{LocalExecutorBuilder, Placement};
use media_shard::signal::Signal;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
};
use sip_core::flow::{Flow, FlowFault, Transport};
use sip_edge::transport::{
    CertificateSource, Pace, StreamConfig, StreamEvent, StreamLimits, Streams, Tls, TlsSource,
};
use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tempfile::TempDir;

const MESSAGE: &[u8] = b"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: 2\r\n\r\nhi";

#[derive(Debug, PartialEq)]
enum Seen {
    Message(Flow, Vec<u8>),
    Failed(Flow, FlowFault),
}

/// A certification authority in a folder.
struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap();
        std::fs::write(folder.path().join("root.pem"), root.pem()).unwrap();
        Self { folder, issuer: Issuer::new(params, key) }
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root.pem")
    }

    fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.root()).unwrap()).unwrap();
        roots.into()
    }

    /// Files of a certificate for a name.
    fn issue(&self, name: &str) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let made = params.signed_by(&key, &self.issuer).unwrap();
        let [certificate, private_key] =
            ["crt", "key"].map(|end| self.folder.path().join(format!("{name}.{end}")));
        std::fs::write(&certificate, made.pem()).unwrap();
        std::fs::write(&private_key, key.serialize_pem()).unwrap();
        (certificate, private_key)
    }

    fn identity(&self, name: &str) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let (certificate, private_key) = self.issue(name);
        (
            vec![CertificateDer::from_pem_file(certificate).unwrap()],
            PrivateKeyDer::from_pem_file(private_key).unwrap(),
        )
    }
}

/// The first message, and whether a certificate came with it.
type Heard = Option<(Vec<u8>, bool)>;

/// A trunk that shows a certificate for `name`; gives what the first message was and whether a
/// certificate came with it, or `None` if nobody has believed it.
fn trunk(
    authority: &Authority,
    name: &str,
    wants_certificate: bool,
) -> (SocketAddr, JoinHandle<Heard>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let (chain, key) = authority.identity(name);
    let builder =
        ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap();
    let builder = if wants_certificate {
        let verifier = WebPkiClientVerifier::builder_with_provider(
            authority.roots(),
            rustls::crypto::ring::default_provider().into(),
        );
        builder.with_client_cert_verifier(verifier.build().unwrap())
    } else {
        builder.with_no_client_auth()
    };
    let config = Arc::new(builder.with_single_cert(chain, key).unwrap());
    let serving = std::thread::spawn(move || {
        let (tcp, _) = listener.accept().unwrap();
        tcp.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), tcp);
        let mut bytes = vec![0; MESSAGE.len()];
        stream.read_exact(&mut bytes).ok()?;
        stream.write_all(MESSAGE).unwrap();
        stream.flush().unwrap();
        Some((bytes, stream.conn.peer_certificates().is_some()))
    });
    (address, serving)
}

struct Rig {
    streams: Streams,
    tls: Rc<Tls>,
    local: SocketAddr,
    seen: Rc<RefCell<Vec<Seen>>>,
}

impl Rig {
    fn new(source: &TlsSource) -> Self {
        let local = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let tls = Rc::new(Tls::open(source).unwrap());
        let seen = Rc::<RefCell<Vec<Seen>>>::default();
        let told = seen.clone();
        let config = StreamConfig {
            local,
            interface: 0,
            shard: 0,
            max_connections: 8,
            max_per_address: 4,
            limits: StreamLimits::new(Duration::from_secs(60)),
        };
        let streams = Streams::new(config, Some(tls.clone()), pace(), move |event| {
            told.borrow_mut().push(match event {
                StreamEvent::Message { flow, bytes } => Seen::Message(flow, bytes.to_vec()),
                StreamEvent::Failed { flow, fault } => Seen::Failed(flow, fault),
                StreamEvent::Settled { .. } => panic!("only WebSockets settle"),
            });
        });
        Self { streams, tls, local, seen }
    }

    async fn seen(&self) -> Vec<Seen> {
        for _ in 0..2000 {
            if !self.seen.borrow().is_empty() {
                return self.seen.take();
            }
            sleep(Duration::from_millis(5)).await;
        }
        panic!("nothing came");
    }

    /// The way of the next message; that others have failed before is passed over.
    async fn message(&self) -> Flow {
        loop {
            for seen in self.seen().await {
                if let Seen::Message(flow, _) = seen {
                    return flow;
                }
            }
        }
    }

    fn to(&self, remote: SocketAddr) -> Flow {
        Flow { transport: Transport::Tls, local: self.local, remote, connection: None }
    }
}

/// The turns of a shard whose media take theirs at once.
fn pace() -> Pace {
    let wanted = Rc::<Signal>::default();
    let pace = Pace::new(wanted.clone());
    let renewed = pace.clone();
    glommio::spawn_local(async move {
        loop {
            wanted.wait().await;
            while renewed.is_wanted() {
                renewed.renew();
                futures_lite::future::yield_now().await;
            }
        }
    })
    .detach();
    pace
}

fn run<F: Future<Output = ()> + 'static>(test: F) {
    LocalExecutorBuilder::new(Placement::Unbound).make().unwrap().run(test);
}

fn handshakes_failed(rig: &Rig) -> u64 {
    rig.streams.counters().handshake_failed.get()
}

// A14
#[test]
fn a_trunk_is_believed_that_proves_the_host_that_was_called() {
    run(async {
        let (carriers, others) = (Authority::new(), Authority::new());
        let source = TlsSource { certificate: None, extra_roots: Some(carriers.root()) };
        let rig = Rig::new(&source);
        let (address, serving) = trunk(&carriers, "sip.carrier.example", false);
        rig.tls.know(address, "sip.carrier.example");
        rig.streams.send(rig.to(address), MESSAGE);
        let [Seen::Message(flow, bytes), ..] = &rig.seen().await[..] else { panic!("no answer") };
        assert_eq!((flow.transport, flow.remote, &bytes[..]), (Transport::Tls, address, MESSAGE));
        assert_eq!(serving.join().unwrap(), Some((MESSAGE.to_vec(), false)));

        // Another name, another authority, and a name where only an address is known.
        let liars = [
            (&carriers, "sip.other.example", Some("sip.carrier.example")),
            (&others, "sip.carrier.example", Some("sip.carrier.example")),
            (&carriers, "sip.carrier.example", None),
        ];
        for (failed, (authority, shown, called)) in (1..).zip(liars) {
            let (address, serving) = trunk(authority, shown, false);
            if let Some(called) = called {
                rig.tls.know(address, called);
            }
            rig.streams.send(rig.to(address), MESSAGE);
            let seen = loop {
                let seen = rig.seen().await;
                if seen.contains(&Seen::Failed(rig.to(address), FlowFault::Tls)) {
                    break seen;
                }
            };
            assert!(!seen.iter().any(|each| matches!(each, Seen::Message(..))), "{seen:?}");
            assert_eq!(serving.join().unwrap(), None, "{shown} for {called:?} was told a message");
            assert_eq!(handshakes_failed(&rig), failed);
        }
        // One that is called by its address proves that.
        let (address, serving) = trunk(&carriers, "127.0.0.1", false);
        rig.streams.send(rig.to(address), MESSAGE);
        rig.message().await;
        serving.join().unwrap().unwrap();
    });
}

// A14: in TLS 1.3 it says so after the handshake
#[test]
fn a_trunk_that_is_not_shown_what_it_asks_for_is_told_so() {
    run(async {
        let authority = Authority::new();
        let source = TlsSource { certificate: None, extra_roots: Some(authority.root()) };
        let rig = Rig::new(&source);
        let (address, serving) = trunk(&authority, "127.0.0.1", true);
        rig.streams.send(rig.to(address), MESSAGE);
        while !rig.seen().await.contains(&Seen::Failed(rig.to(address), FlowFault::Tls)) {}
        assert_eq!(serving.join().unwrap(), None);
        // Nor is a connection that cannot be opened any fault of TLS.
        let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        rig.streams.send(rig.to(closed), MESSAGE);
        while !rig.seen().await.contains(&Seen::Failed(rig.to(closed), FlowFault::Broken)) {}
    });
}

// A14
#[test]
fn a_trunk_that_asks_is_shown_our_certificate_and_may_connect() {
    run(async {
        let authority = Authority::new();
        let (certificate, private_key) = authority.issue("edge.example");
        let files = CertificateSource::Files { certificate, private_key };
        let source = TlsSource { certificate: Some(files), extra_roots: Some(authority.root()) };
        let rig = Rig::new(&source);
        let (address, serving) = trunk(&authority, "sip.carrier.example", true);
        rig.tls.know(address, "sip.carrier.example");
        rig.streams.send(rig.to(address), MESSAGE);
        rig.message().await;
        assert_eq!(serving.join().unwrap(), Some((MESSAGE.to_vec(), true)));

        rig.streams.listen().unwrap();
        let (local, roots) = (rig.local, authority.roots());
        let calling = std::thread::spawn(move || {
            let config = ClientConfig::builder_with_provider(
                rustls::crypto::ring::default_provider().into(),
            )
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
            let name = ServerName::try_from("edge.example").unwrap();
            let tcp = TcpStream::connect(local).unwrap();
            tcp.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            let connection = ClientConnection::new(config.into(), name).unwrap();
            let mut stream = StreamOwned::new(connection, tcp);
            stream.write_all(MESSAGE).unwrap();
            let mut bytes = vec![0; MESSAGE.len()];
            stream.read_exact(&mut bytes).unwrap();
            bytes
        });
        let flow = rig.message().await;
        rig.streams.send(flow, MESSAGE);
        // What was asked in clear is no handshake.
        let mut clear = TcpStream::connect(local).unwrap();
        clear.write_all(MESSAGE).unwrap();
        while handshakes_failed(&rig) == 0 {
            sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(calling.join().unwrap(), MESSAGE);
    });
}
