//! A whole shard on its own thread, with a certificate from files, and a control-api of one
//! connection that grants, commands and notes.

use super::browser::{Browser, Refusal};
use call_words::AgentName;
use control_wire::{
    Command, FrameDecoder, FromEdge, Hello, SoftphoneGrant, ToEdge, VERSION, encode,
};
use glommio::{LocalExecutorBuilder, Placement};
use media_shard::doorbell::{BellButton, doorbell};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::{CertificateDer, ServerName};
use sip_edge::config::{Config, ShardPlan};
use sip_edge::shard::{Inherited, Secrets, ShardInput, run};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tungstenite::client::IntoClientRequest;
use tungstenite::http::HeaderValue;

pub const DOMAIN: &str = "dialer.example";
pub const AGENT: &str = "agent-017";
pub const PASSWORD: &str = "minutes-long";
const ORIGIN: &str = "https://crm.example";
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest wait for the shard's end: its goodbyes, and a loaded machine.
const END_LIMIT: Duration = Duration::from_secs(20);

pub struct Edge {
    listener: UnixListener,
    address: SocketAddr,
    tls: Arc<ClientConfig>,
    link: Mutex<UnixStream>,
    next_command: AtomicU64,
    next_page: AtomicU64,
    presences: Receiver<(AgentName, bool)>,
    events: Receiver<control_wire::Event>,
    counters: Arc<Mutex<(u64, BTreeMap<String, u64>)>>,
    stop: BellButton,
    shard: Option<JoinHandle<()>>,
    /// Is closed when the shard has ended.
    ended: Receiver<()>,
    folder: tempfile::TempDir,
}

impl Edge {
    /// A shard with a grant for the agent.
    pub fn start() -> Edge {
        Edge::start_with(|_| ())
    }

    pub fn start_with(change: impl FnOnce(&mut Config)) -> Edge {
        let folder = tempfile::tempdir().unwrap();
        let tls = trusting(write_certificate(folder.path()));
        let socket = folder.path().join("control.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let mut config = config(folder.path());
        change(&mut config);
        let plan = ShardPlan::cut(&config, 1).unwrap()[0];
        let (stop, stopped) = doorbell().unwrap();
        let secrets = Secrets { seed: [7; 32], media: [9; 32] };
        let (tell_end, ended) = channel();
        let shard = std::thread::spawn(move || {
            // Dropped, and so told, however the shard ends.
            let _tell_end: Sender<()> = tell_end;
            let input = ShardInput {
                config,
                plan,
                epoch: 1,
                secrets,
                inherited: Inherited::default(),
                handover: None,
                stop: stopped,
            };
            let executor = LocalExecutorBuilder::new(Placement::Unbound).make().unwrap();
            executor.run(async move { run(input).await.unwrap() });
        });
        let mut link = accept(&listener);
        let mut decoder = FrameDecoder::default();
        let hello = hello(&mut link, &mut decoder);
        send(&mut link, &ToEdge::Welcome { version: VERSION });
        let url = hello.softphone_service.expect("softphones are served").url;
        let port = url
            .strip_prefix("wss://127.0.0.1:")
            .and_then(|rest| rest.strip_suffix('/'))
            .unwrap_or_else(|| panic!("{url}"));
        assert_eq!(hello.softphones, Vec::<AgentName>::new());
        let (tell_presence, presences) = channel();
        let (tell_event, events) = channel();
        let counters = Arc::<Mutex<(u64, BTreeMap<String, u64>)>>::default();
        let (noted, mut reader) = (counters.clone(), link.try_clone().unwrap());
        std::thread::spawn(move || {
            while let Some(message) = next(&mut reader, &mut decoder) {
                match message {
                    FromEdge::Presence(presence) => {
                        drop(tell_presence.send((presence.agent, presence.online)))
                    }
                    FromEdge::Event { event, .. } => drop(tell_event.send(event)),
                    FromEdge::Status(status) => {
                        let mut noted = noted.lock().unwrap();
                        *noted = (noted.0 + 1, status.counters);
                    }
                    FromEdge::Ack { .. } | FromEdge::Refused { .. } | FromEdge::Speaking(_) => {}
                    FromEdge::Hello(_) | FromEdge::HelloMore(_) | FromEdge::Trunk(_) => {}
                    FromEdge::Ladder(_) => {}
                }
            }
        });
        let edge = Edge {
            listener,
            address: format!("127.0.0.1:{port}").parse().unwrap(),
            tls,
            link: Mutex::new(link),
            next_command: AtomicU64::new(1),
            next_page: AtomicU64::new(1),
            presences,
            events,
            counters,
            stop,
            shard: Some(shard),
            ended,
            folder,
        };
        edge.grant(AGENT, PASSWORD);
        edge
    }

    pub fn command(&self, command: Command) {
        let id = self.next_command.fetch_add(1, Ordering::Relaxed);
        send(&mut self.link.lock().unwrap(), &ToEdge::Command { id, command });
    }

    pub fn grant(&self, agent: &str, password: &str) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
        let (agent, password) = (agent.into(), password.into());
        self.command(Command::GrantSoftphone(SoftphoneGrant {
            agent,
            password,
            expires_at_ms: now + 300_000,
        }));
    }

    pub fn revoke(&self, agent: &str) {
        self.command(Command::RevokeSoftphone { agent: agent.into() });
    }

    /// Loses the link and takes the next one; whom the shard names in its greeting. Nothing is
    /// noted from then on.
    pub fn greeted_again(&self) -> Vec<AgentName> {
        let mut link = self.link.lock().unwrap();
        link.shutdown(Shutdown::Both).unwrap();
        *link = accept(&self.listener);
        let hello = hello(&mut link, &mut FrameDecoder::default());
        send(&mut link, &ToEdge::Welcome { version: VERSION });
        hello.softphones
    }

    /// Asks the shard to drain, and then to hang up.
    pub fn stop(&self) {
        self.stop.ring().unwrap();
        self.stop.ring().unwrap();
    }

    /// Replaces the key by one that fits no certificate.
    pub fn spoil_certificate(&self) {
        let key = rcgen::KeyPair::generate().unwrap();
        std::fs::write(self.folder.path().join("key.pem"), key.serialize_pem()).unwrap();
    }

    /// Replaces certificate and key; from now on nothing but the new certificate is trusted.
    pub fn renew_certificate(&mut self) {
        self.tls = trusting(write_certificate(self.folder.path()));
    }

    /// A TCP connection that does nothing.
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Speaks HTTP where TLS is expected, until it is hung up on.
    pub fn speak_plain(&self) {
        let mut stream = self.connect();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    }

    pub fn open(&self) -> Browser {
        self.try_open(Some(ORIGIN), Some("sip")).expect("a WebSocket")
    }

    pub fn try_open(
        &self,
        origin: Option<&str>,
        sub_protocol: Option<&str>,
    ) -> Result<Browser, Refusal> {
        let connection =
            ClientConnection::new(self.tls.clone(), ServerName::try_from("localhost").unwrap())
                .unwrap();
        let stream = StreamOwned::new(connection, self.connect());
        let mut request = "wss://localhost/".into_client_request().unwrap();
        for (name, value) in [("Origin", origin), ("Sec-WebSocket-Protocol", sub_protocol)] {
            if let Some(value) = value {
                request.headers_mut().insert(name, HeaderValue::from_str(value).unwrap());
            }
        }
        match tungstenite::client(request, stream) {
            Ok((socket, _)) => {
                Ok(Browser::new(socket, self.next_page.fetch_add(1, Ordering::Relaxed)))
            }
            Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(response))) => {
                Err(Refusal::Status(response.status().as_u16()))
            }
            Err(_) => Err(Refusal::Broken),
        }
    }

    pub fn next_presence(&self) -> (AgentName, bool) {
        self.next_presence_within(PATIENCE)
    }

    pub fn next_presence_within(&self, limit: Duration) -> (AgentName, bool) {
        self.presences.recv_timeout(limit).expect("a presence")
    }

    /// The next event of a call that `wanted` accepts; others are passed over.
    pub fn next_event<T>(&self, wanted: impl Fn(&control_wire::Event) -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if let Some(found) = wanted(&self.events.recv_timeout(left).expect("an event")) {
                return found;
            }
        }
    }

    /// The counters of a status that is told from now on.
    pub fn counters(&self) -> BTreeMap<String, u64> {
        let seen = self.counters.lock().unwrap().0;
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            let counters = self.counters.lock().unwrap();
            // The next one may have been on its way already.
            if counters.0 >= seen + 2 {
                return counters.1.clone();
            }
            drop(counters);
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("no status came");
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        self.stop();
        let has_ended = self.ended.recv_timeout(END_LIMIT) == Err(RecvTimeoutError::Disconnected);
        let shard = self.shard.take().expect("one shard");
        if std::thread::panicking() {
            return;
        }
        // A shard that runs on is left to the end of the process.
        assert!(has_ended, "the shard does not end");
        shard.join().expect("the shard ends well");
    }
}

fn config(folder: &std::path::Path) -> Config {
    let mut config = Config { shards: 1, drain_limit_s: 0, ..Config::default() };
    config.sip.port = free_ports(1);
    config.media.first_port = free_ports(8);
    config.media.last_port = config.media.first_port + 7;
    config.recordings.folder = folder.join("recordings");
    std::fs::create_dir(&config.recordings.folder).unwrap();
    config.link.socket = folder.join("control.sock");
    config.softphone.enabled = true;
    config.softphone.port = 0;
    config.softphone.media_port = free_ports(1);
    config.softphone.domain = DOMAIN.into();
    config.softphone.certificate = folder.join("certificate.pem");
    config.softphone.private_key = folder.join("key.pem");
    config.softphone.allowed_origins = vec![ORIGIN.into()];
    config
}

/// The first of some ports, even, that are free now, for UDP and TCP. They lie below those that the
/// system gives to connections.
fn free_ports(count: u16) -> u16 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) + u64::from(std::process::id());
        let first = 22_000 + (step * 16 % 10_000) as u16;
        let is_free = |port: u16| {
            UdpSocket::bind(("127.0.0.1", port)).is_ok()
                && TcpListener::bind(("127.0.0.1", port)).is_ok()
        };
        if (first..first + count).all(is_free) {
            return first;
        }
    }
}

/// The shard's next connection to its control-api; its first message must come soon, too.
fn accept(listener: &UnixListener) -> UnixStream {
    listener.set_nonblocking(true).unwrap();
    let until = Instant::now() + PATIENCE;
    let link = loop {
        match listener.accept() {
            Ok((link, _)) => break link,
            Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(error) => panic!("no link: {error}"),
        }
    };
    link.set_nonblocking(false).unwrap();
    link
}

fn hello(link: &mut UnixStream, decoder: &mut FrameDecoder) -> Hello {
    link.set_read_timeout(Some(PATIENCE)).unwrap();
    let Some(FromEdge::Hello(hello)) = next(link, decoder) else { panic!("no hello") };
    link.set_read_timeout(None).unwrap();
    hello
}

/// Makes a certificate and its key in their files.
fn write_certificate(folder: &std::path::Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("certificate.pem"), made.cert.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    made.cert.der().clone()
}

fn trusting(certificate: CertificateDer<'static>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}

fn next(link: &mut UnixStream, decoder: &mut FrameDecoder) -> Option<FromEdge> {
    let mut bytes = [0; 4096];
    loop {
        if let Some(message) = decoder.poll().unwrap() {
            return Some(message);
        }
        match link.read(&mut bytes) {
            Ok(0) | Err(_) => return None,
            Ok(len) => decoder.push(&bytes[..len]),
        }
    }
}

fn send(link: &mut UnixStream, message: &ToEdge) {
    let mut bytes = Vec::new();
    encode(message, &mut bytes).unwrap();
    link.write_all(&bytes).unwrap();
}
