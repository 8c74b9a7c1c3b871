//! An edge with three interfaces, of IPv4 and IPv6, one of them behind a NAT, and a carrier on
//! each: all of a trunk's messages and media go by the interface that it names.

use crate::edge::{Edge, PATIENCE, value};
use call_words::{
    CallId, DtmfMode, ForwardingHeader, MediaProfile, RecordingLayout, TransportKind,
};
use control_wire::{
    AgentTarget, Command as Asked, Destination, DigestCredentials, KeptTrunk, PlaceCall, Route,
};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const INTERFACES: &str = "[[interfaces]]\nname = \"nat\"\nbind_address = \"127.0.0.2\"\n\
    public_address = \"198.51.100.2\"\nmedia_bind_address = \"127.0.0.3\"\n\
    media_public_address = \"198.51.100.3\"\n[[interfaces]]\nname = \"v6\"\n\
    bind_address = \"::1\"\n";

/// An interface as its carrier sees it.
struct Seen {
    name: Option<&'static str>,
    /// The carrier's own address.
    carrier: &'static str,
    /// From where messages and media come, and what they name.
    bind: &'static str,
    public: &'static str,
    media_bind: &'static str,
    media_public: &'static str,
}

const DEFAULT: Seen = Seen {
    name: None,
    carrier: "127.0.0.1",
    bind: "127.0.0.1",
    public: "127.0.0.1",
    media_bind: "127.0.0.1",
    media_public: "IP4 127.0.0.1",
};
const NAT: Seen = Seen {
    name: Some("nat"),
    carrier: "127.0.0.5",
    bind: "127.0.0.2",
    public: "198.51.100.2",
    media_bind: "127.0.0.3",
    media_public: "IP4 198.51.100.3",
};
const V6: Seen = Seen {
    name: Some("v6"),
    carrier: "::1",
    bind: "::1",
    public: "[::1]",
    media_bind: "::1",
    media_public: "IP6 ::1",
};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A phone of a carrier's.
struct Phone<'a> {
    seen: &'a Seen,
    sip: UdpSocket,
    rtp: UdpSocket,
    /// The edge's port.
    port: u16,
}

/// What a phone has answered.
struct Dialog {
    invite: String,
    /// The edge's media.
    media: SocketAddr,
}

fn bind(ip: IpAddr) -> UdpSocket {
    let socket = UdpSocket::bind((ip, 0)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

impl<'a> Phone<'a> {
    fn new(seen: &'a Seen, edge: &Edge) -> Phone<'a> {
        let bind = || bind(ip(seen.carrier));
        Phone { seen, sip: bind(), rtp: bind(), port: edge.sip.port() }
    }

    fn address(&self) -> SocketAddr {
        self.sip.local_addr().unwrap()
    }

    fn route(&self, trunk: &str) -> Route {
        Route {
            trunk: trunk.into(),
            transport: TransportKind::Udp,
            address: self.address(),
            domain: "carrier.example".into(),
            request_user: "9876543210".into(),
            caller_id: "+918045670001".into(),
            credentials: None,
            media: MediaProfile::Rtp,
            signal_from: vec![],
            media_from: vec![],
            follows_redirects: false,
            hides_caller: false,
            trusted: false,
            forwarding: ForwardingHeader::None,
            interface: self.seen.name.map(str::to_owned),
            diverted_by: None,
            dtmf: DtmfMode::Auto,
            comfort_noise: false,
        }
    }

    /// The next message that begins so: it comes from the interface, and names it as its hop.
    #[track_caller]
    fn hear(&self, start: &str) -> String {
        let mut bytes = [0; 65_536];
        loop {
            let (len, source) = self.sip.recv_from(&mut bytes).expect("a message");
            let text = String::from_utf8(bytes[..len].to_vec()).unwrap();
            assert_eq!(source, SocketAddr::new(ip(self.seen.bind), self.port), "{text}");
            if text.starts_with(start) {
                let hop = format!("SIP/2.0/UDP {}:{};", self.seen.public, self.port);
                let is_request = !start.starts_with("SIP/2.0");
                assert!(!is_request || value(&text, "Via").starts_with(&hop), "{hop}: {text}");
                return text;
            }
        }
    }

    fn say(&self, text: &str) {
        let edge = SocketAddr::new(ip(self.seen.bind), self.port);
        self.sip.send_to(text.as_bytes(), edge).unwrap();
    }

    /// Answers the next INVITE, whose Contact and SDP are of the interface.
    #[track_caller]
    fn answer(&self) -> Dialog {
        let invite = self.hear("INVITE");
        let contact = format!("@{}:{}>", self.seen.public, self.port);
        assert!(value(&invite, "Contact").ends_with(&contact), "{contact}: {invite}");
        let lines: Vec<&str> = invite.lines().collect();
        let connection = format!("c=IN {}", self.seen.media_public);
        assert!(lines.contains(&connection.as_str()), "{connection}: {invite}");
        let origin = lines.iter().find(|line| line.starts_with("o=")).unwrap();
        assert!(origin.ends_with(self.seen.media_public), "{origin}");
        let media = lines.iter().find_map(|line| line.strip_prefix("m=audio ")).unwrap();
        let media_port: u16 = media.split(' ').next().unwrap().parse().unwrap();
        let local = self.rtp.local_addr().unwrap();
        let version = if local.is_ipv4() { "IP4" } else { "IP6" };
        let sdp = format!(
            "v=0\r\no=- 1 1 IN {version} {0}\r\ns=-\r\nc=IN {version} {0}\r\nt=0 0\r\nm=audio {1} \
             RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n",
            local.ip(),
            local.port()
        );
        self.say(&response(&invite, "180 Ringing", self.address(), ""));
        self.say(&response(&invite, "200 OK", self.address(), &sdp));
        self.hear("ACK");
        Dialog { invite, media: SocketAddr::new(ip(self.seen.media_bind), media_port) }
    }

    /// Hangs up, and hears the answer from where it called.
    #[track_caller]
    fn hang_up(&self, dialog: &Dialog) {
        let value = |name| value(&dialog.invite, name);
        self.say(&format!(
            "BYE {} SIP/2.0\r\nVia: SIP/2.0/UDP {};rport;branch=z9hG4bKbye\r\nMax-Forwards: \
             70\r\nFrom: {};tag=phone\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: 1 BYE\r\nContent-Length: \
             0\r\n\r\n",
            value("Contact").trim_matches(['<', '>']),
            self.address(),
            value("To"),
            value("From"),
            value("Call-ID")
        ));
        self.hear("SIP/2.0 200");
    }

    #[track_caller]
    fn take_bye(&self) {
        let bye = self.hear("BYE");
        self.say(&response(&bye, "200 OK", self.address(), ""));
    }

    /// Talks until both have heard each other, of whom `hearing` counts; where `other` comes from.
    fn talk(&self, dialog: &Dialog, own: u8, other: u8, hearing: &AtomicUsize) -> SocketAddr {
        self.rtp.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let (until, mut heard) = (Instant::now() + PATIENCE, None);
        for sequence in 0_u16.. {
            let mut packet = vec![0x80, 0];
            packet.extend(sequence.to_be_bytes());
            packet.extend((u32::from(sequence) * 160).to_be_bytes());
            packet.extend([0, 0, 0, own]);
            packet.extend([own; 160]);
            self.rtp.send_to(&packet, dialog.media).unwrap();
            let mut bytes = [0; 2048];
            while let Ok((len, source)) = self.rtp.recv_from(&mut bytes) {
                if len == 172 && bytes[12..len].iter().all(|byte| *byte == other) {
                    hearing.fetch_add(usize::from(heard.is_none()), Ordering::Relaxed);
                    heard = Some(source);
                }
            }
            if let Some(source) = heard.filter(|_| hearing.load(Ordering::Relaxed) == 2) {
                return source;
            }
            assert!(Instant::now() < until, "nothing of {other:#x} is heard");
        }
        unreachable!()
    }
}

pub fn response(request: &str, status: &str, contact: SocketAddr, sdp: &str) -> String {
    let to = value(request, "To");
    let tag = if to.contains(";tag=") { "" } else { ";tag=phone" };
    let kind = if sdp.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    format!(
        "SIP/2.0 {status}\r\nVia: {}\r\nFrom: {}\r\nTo: {to}{tag}\r\nCall-ID: {}\r\nCSeq: \
         {}\r\nContact: <sip:phone@{contact}>\r\n{kind}Content-Length: {}\r\n\r\n{sdp}",
        value(request, "Via"),
        value(request, "From"),
        value(request, "Call-ID"),
        value(request, "CSeq"),
        sdp.len()
    )
}

fn place(edge: &mut Edge, shard: usize, id: u64, routes: [Vec<Route>; 2]) -> CallId {
    let call_id = CallId::from(format!("call-{id}"));
    let [agent, customer] =
        routes.map(|routes| Destination { ring_ms: 30_000, routes, skipped: vec![] });
    let call = PlaceCall {
        call_id: call_id.clone(),
        account_id: "account".into(),
        agent: AgentTarget::Phone(agent),
        customer,
        max_duration_ms: 3_600_000,
        no_media_ms: 3_600_000,
        recording: None,
        recording_layout: RecordingLayout::Stereo,
        hold_audio: None,
        accepts_refer: false,
        agent_confirm: false,
        keep_ladder: false,
    };
    edge.links[shard].command(id, Asked::PlaceCall(Box::new(call)));
    call_id
}

#[test]
fn a_call_goes_by_the_interfaces_of_its_trunks() {
    let mut edge = Edge::start_with(1, false, INTERFACES);
    for (id, (one, other)) in (1..).zip([(&DEFAULT, &NAT), (&V6, &NAT), (&DEFAULT, &V6)]) {
        let (agent, customer) = (Phone::new(one, &edge), Phone::new(other, &edge));
        let routes = [vec![agent.route("agents")], vec![customer.route("customers")]];
        let call_id = place(&mut edge, 0, id, routes);
        let (to_agent, to_customer) = (agent.answer(), customer.answer());
        let hearing = AtomicUsize::new(0);
        let heard = std::thread::scope(|scope| {
            let by_agent = scope.spawn(|| agent.talk(&to_agent, 0x31, 0x32, &hearing));
            let by_customer = customer.talk(&to_customer, 0x32, 0x31, &hearing);
            (by_agent.join().unwrap(), by_customer)
        });
        assert_eq!(heard, (to_agent.media, to_customer.media));
        customer.hang_up(&to_customer);
        agent.take_bye();
        edge.links[0].until_ended(&call_id);
    }
    let counters = &edge.counters()[0];
    assert_eq!(counters.get("udp_send_failed"), None, "{counters:?}");
    edge.stop();
}

pub fn kept(trunk: &str, address: SocketAddr, interface: &str) -> KeptTrunk {
    KeptTrunk {
        trunk: trunk.into(),
        transport: TransportKind::Udp,
        addresses: vec![address],
        domain: "carrier.example".into(),
        credentials: None,
        register_s: None,
        probe_interval_s: Some(5),
        signal_from: vec![],
        interface: Some(interface.into()),
    }
}

#[test]
fn what_is_said_outside_of_calls_goes_by_the_trunks_interface() {
    let mut edge = Edge::start_with(1, false, INTERFACES);
    let registrar = TcpListener::bind((NAT.carrier, 0)).unwrap();
    let probed = Phone::new(&V6, &edge);
    let register = KeptTrunk {
        transport: TransportKind::Tcp,
        credentials: Some(DigestCredentials { username: "us".into(), password: "x".into() }),
        register_s: Some(300),
        probe_interval_s: None,
        ..kept("registrar", registrar.local_addr().unwrap(), "nat")
    };
    let lost = kept("lost", probed.address(), "none");
    let other_family = kept("other_family", probed.address(), "nat");
    let trunks = vec![register, kept("probed", probed.address(), "v6"), lost, other_family];
    edge.links[0].command(1, Asked::KeepTrunks(trunks));
    let (mut stream, source) = registrar.accept().unwrap();
    assert_eq!(source.ip(), ip(NAT.bind));
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut bytes = [0; 4096];
    let len = stream.read(&mut bytes).unwrap();
    let asked = String::from_utf8(bytes[..len].to_vec()).unwrap();
    let at = format!("{}:{}", NAT.public, edge.sip.port());
    assert!(value(&asked, "Via").starts_with(&format!("SIP/2.0/TCP {at};")), "{asked}");
    let contact = format!("<sip:s0-registrar@{at};transport=tcp>");
    assert_eq!(value(&asked, "Contact"), contact);
    let granted = response(&asked, "200 OK", source, "")
        .replace(&format!("<sip:phone@{source}>"), &format!("{contact};expires=300"));
    stream.write_all(granted.as_bytes()).unwrap();

    let options = probed.hear("OPTIONS");
    assert!(value(&options, "From").starts_with(&format!("<sip:[::1]:{}>", edge.sip.port())));
    probed.say(&response(&options, "200 OK", probed.address(), ""));
    // A trunk's own OPTIONS are answered from where they were sent to.
    probed.say(&format!(
        "OPTIONS sip:edge@[::1] SIP/2.0\r\nVia: SIP/2.0/UDP {};rport;branch=z9hG4bKo\r\n\
         Max-Forwards: 70\r\nFrom: <sip:c@[::1]>;tag=c\r\nTo: <sip:edge@[::1]>\r\nCall-ID: own\r\n\
         CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n",
        probed.address()
    ));
    probed.hear("SIP/2.0 200");
    let mut states = BTreeMap::<&str, bool>::new();
    while states.len() < 4
        || !states["registrar"]
        || states
            .iter()
            .any(|(trunk, is_well)| *is_well == ["lost", "other_family"].contains(trunk))
    {
        let state = edge.links[0].trunks.recv_timeout(PATIENCE).expect("how it stands");
        let is_registered = state.registration.is_none_or(|one| one.until_ms.is_some());
        let name = ["registrar", "probed", "lost", "other_family"];
        let name = name.into_iter().find(|name| state.trunk.as_str() == *name).unwrap();
        states.insert(name, !state.lacks_interface && is_registered);
    }
    edge.stop();
}

#[test]
fn trunks_without_an_interface_are_passed_by_with_the_reason() {
    let mut edge = Edge::start_with(1, false, INTERFACES);
    let (agent, customer) = (Phone::new(&DEFAULT, &edge), Phone::new(&V6, &edge));
    let by = |trunk: &str, interface: Option<&str>| Route {
        interface: interface.map(str::to_owned),
        ..customer.route(trunk)
    };
    // One of a trunk's addresses is enough.
    let elsewhere = Route { address: "127.0.0.5:9".parse().unwrap(), ..by("fits", Some("v6")) };
    let routes =
        vec![by("lost", Some("none")), by("family", Some("nat")), by("default", None), elsewhere];
    let call_id = place(
        &mut edge,
        0,
        1,
        [vec![agent.route("agents")], [routes, vec![by("fits", Some("v6"))]].concat()],
    );
    let dialog = agent.answer();
    customer.answer();
    agent.hang_up(&dialog);
    customer.take_bye();
    let ended = edge.links[0].until_ended(&call_id);
    let attempts: Vec<_> = ended
        .attempts
        .iter()
        .map(|attempt| format!("{} {}", attempt.trunk, attempt.result.as_str()))
        .collect();
    let expected = [
        "agents answered",
        "lost trunk_interface",
        "family trunk_interface",
        "default trunk_interface",
        "fits answered",
    ];
    assert_eq!(attempts, expected);

    let none = [vec![agent.route("agents")], vec![by("lost", Some("none"))]];
    let call_id = place(&mut edge, 0, 2, none);
    agent.answer();
    agent.take_bye();
    let ended = edge.links[0].until_ended(&call_id);
    assert_eq!(ended.reason.as_ref().map(|reason| reason.as_str()), Some("trunk_interface"));
    assert_eq!(edge.counters()[0].get("sip_trunk_interfaces_lacking"), Some(&4));
    edge.stop();
}

/// Which shard a datagram reaches is the kernel's choice on each interface.
#[test]
fn one_port_is_shared_on_each_interface() {
    let mut edge = Edge::start_with(2, true, INTERFACES);
    for round in 0..8 {
        let (agent, customer) = (Phone::new(&NAT, &edge), Phone::new(&V6, &edge));
        let shard = round as usize % 2;
        let routes = [vec![agent.route("agents")], vec![customer.route("customers")]];
        let call_id = place(&mut edge, shard, round + 1, routes);
        let (_, dialog) = (agent.answer(), customer.answer());
        customer.hang_up(&dialog);
        agent.take_bye();
        edge.links[shard].until_ended(&call_id);
    }
    let counters = edge.counters();
    for shard in &counters {
        assert!(shard.get("sip_handed_over").is_some_and(|count| *count > 0), "{shard:?}");
    }
    assert!(counters.iter().all(|shard| !shard.contains_key("sip_unknown_dialogs")));
    edge.stop();
}
