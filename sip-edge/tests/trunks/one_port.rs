//! Two shards behind one SIP port, and a carrier that speaks from many ports, so that the kernel
//! brings what it says to either shard: calls work as if each shard had its own.

use crate::edge::{Counters, Edge, PATIENCE, value};
use call_words::{
    CallId, DtmfMode, ForwardingHeader, MediaProfile, RecordingLayout, TransportKind,
};
use control_wire::{AgentTarget, Command as Asked, Destination, PlaceCall, Route};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

const SHARD_COUNT: usize = 2;
/// Sockets that the carrier speaks from.
const MOUTH_COUNT: usize = 16;

/// Places a call on one shard between two phones of the carrier.
fn place(edge: &mut Edge, shard: usize, carrier: SocketAddr) -> CallId {
    thread_local!(static NEXT: Cell<u64> = const { Cell::new(1) });
    let id = NEXT.replace(NEXT.get() + 1);
    let call_id = CallId::from(format!("call-{id}"));
    let call = PlaceCall {
        call_id: call_id.clone(),
        account_id: "account".into(),
        agent: AgentTarget::Phone(destination(carrier)),
        customer: destination(carrier),
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

fn destination(address: SocketAddr) -> Destination {
    let route = Route {
        trunk: "carrier".into(),
        transport: TransportKind::Udp,
        address,
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
        interface: None,
        diverted_by: None,
        dtmf: DtmfMode::Auto,
        comfort_noise: false,
    };
    Destination { ring_ms: 30_000, routes: vec![route], skipped: vec![] }
}

/// The carrier: one socket that is called, and many that it speaks from.
struct Carrier {
    ear: UdpSocket,
    mouths: Vec<UdpSocket>,
    next_mouth: Cell<usize>,
    rtp: UdpSocket,
}

/// A dialog of the carrier's, as its INVITE began it.
struct Dialog {
    invite: String,
}

impl Carrier {
    fn new() -> Carrier {
        let bind = || {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            socket
        };
        let mouths = (0..MOUTH_COUNT).map(|_| bind()).collect();
        Carrier { ear: bind(), mouths, next_mouth: Cell::new(0), rtp: bind() }
    }

    fn address(&self) -> SocketAddr {
        self.ear.local_addr().unwrap()
    }

    fn mouth(&self) -> &UdpSocket {
        let next = self.next_mouth.replace(self.next_mouth.get() + 1);
        &self.mouths[next % MOUTH_COUNT]
    }

    /// The next message that begins so.
    fn hear(&self, start: &str) -> (String, SocketAddr) {
        loop {
            let (text, source) = take(&self.ear);
            if text.starts_with(start) {
                return (text, source);
            }
        }
    }

    /// Rings and answers the next INVITE, and waits for its ACK.
    fn answer(&self) -> Dialog {
        let (invite, edge) = self.hear("INVITE");
        let sdp = format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {} \
             RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n",
            self.rtp.local_addr().unwrap().port()
        );
        for (status, sdp) in [("180 Ringing", ""), ("200 OK", sdp.as_str())] {
            let answer = response(&invite, status, self.address(), sdp);
            self.mouth().send_to(answer.as_bytes(), edge).unwrap();
        }
        self.hear("ACK");
        Dialog { invite }
    }

    /// Answers the next BYE.
    fn take_bye(&self) {
        let (bye, edge) = self.hear("BYE");
        let answer = response(&bye, "200 OK", self.address(), "");
        self.mouth().send_to(answer.as_bytes(), edge).unwrap();
    }
}

impl Dialog {
    /// A request of the called phone's side.
    fn request(&self, method: &str, transport: &str, from: SocketAddr) -> String {
        let value = |name| value(&self.invite, name);
        let contact = value("Contact").trim_matches(['<', '>']).to_owned();
        format!(
            "{method} {contact} SIP/2.0\r\nVia: SIP/2.0/{transport} {from};rport;branch=z9hG4bK{}\
             \r\nMax-Forwards: 70\r\nFrom: {};tag=phone\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: 1 \
             {method}\r\nContent-Length: 0\r\n\r\n",
            from.port(),
            value("To"),
            value("From"),
            value("Call-ID")
        )
    }
}

fn take(socket: &UdpSocket) -> (String, SocketAddr) {
    let mut bytes = [0; 65_536];
    let (len, source) = socket.recv_from(&mut bytes).expect("a message");
    (String::from_utf8(bytes[..len].to_vec()).unwrap(), source)
}

fn response(request: &str, status: &str, contact: SocketAddr, sdp: &str) -> String {
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

fn options(call_id: &str, branch: usize, from: SocketAddr) -> String {
    format!(
        "OPTIONS sip:edge@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP {from};rport;branch=z9hG4bKo\
         {branch}\r\nMax-Forwards: 70\r\nFrom: <sip:carrier@127.0.0.1>;tag=c\r\nTo: \
         <sip:edge@127.0.0.1>\r\nCall-ID: {call_id}\r\nCSeq: 1 OPTIONS\r\nContent-Length: \
         0\r\n\r\n"
    )
}

fn token(shard: u16) -> String {
    format!("s{shard}-0123456789abcdef01234567")
}

#[track_caller]
fn sum(counters: &[Counters], name: &str) -> u64 {
    counters.iter().filter_map(|each| each.get(name)).sum()
}

#[test]
fn whichever_shard_a_message_reaches_its_call_gets_it() {
    let mut edge = Edge::start(SHARD_COUNT, true);
    let carrier = Carrier::new();
    let mut vias = BTreeSet::new();
    for round in 0..8 {
        let shard = round % SHARD_COUNT;
        let call_id = place(&mut edge, shard, carrier.address());
        let (_agent, customer) = (carrier.answer(), carrier.answer());
        let (via, branch) = value(&customer.invite, "Via").split_once(";").unwrap();
        vias.insert(via.to_owned());
        assert!(branch.contains(&format!("branch=z9hG4bKs{shard}-")), "{branch}");
        assert!(value(&customer.invite, "Contact").contains(&format!("<sip:s{shard}c")));
        let mouth = carrier.mouth();
        let bye = customer.request("BYE", "UDP", mouth.local_addr().unwrap());
        mouth.send_to(bye.as_bytes(), edge.sip).unwrap();
        let (answer, source) = take(mouth);
        assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
        assert_eq!(source, edge.sip, "it comes from where all do");
        carrier.take_bye();
        edge.links[shard].until_ended(&call_id);
    }
    assert_eq!(vias, BTreeSet::from([format!("SIP/2.0/UDP {}", edge.sip)]));
    let counters = edge.counters();
    for shard in &counters {
        assert!(shard.get("sip_handed_over").is_some_and(|count| *count > 0), "{shard:?}");
    }
    for wrong in ["sip_unknown_dialogs", "sip_stray_responses", "sip_handover_full"] {
        assert_eq!(sum(&counters, wrong), 0, "{wrong}: {counters:?}");
    }
    edge.stop();
}

/// What is nobody's is served where it lands, and so is what names a shard that there is not.
#[test]
fn requests_outside_of_dialogs_are_answered_by_any_shard() {
    let mut edge = Edge::start(SHARD_COUNT, true);
    let carrier = Carrier::new();
    // Each shard knows the carrier from then on.
    for shard in 0..SHARD_COUNT {
        place(&mut edge, shard, carrier.address());
        carrier.answer();
        carrier.answer();
    }
    let ids = ["plain@carrier".to_owned(), token(0), token(1), token(65_535), "s70000-0".into()];
    for (branch, (mouth, call_id)) in
        carrier.mouths.iter().flat_map(|mouth| ids.iter().map(move |id| (mouth, id))).enumerate()
    {
        let options = options(call_id, branch, mouth.local_addr().unwrap());
        mouth.send_to(options.as_bytes(), edge.sip).unwrap();
        let (answer, source) = take(mouth);
        assert!(answer.starts_with("SIP/2.0 200 "), "{call_id}: {answer}");
        assert_eq!(source, edge.sip);
    }
    let counters = edge.counters();
    assert_eq!(sum(&counters, "sip_options_answered"), (MOUTH_COUNT * ids.len()) as u64);
    assert!(counters.iter().all(|shard| shard.contains_key("sip_options_answered")));
    edge.stop();
}

/// RFC 3261 §18.2.2: a response goes back over the connection that its request came by, whichever
/// shard reads it.
#[test]
fn what_comes_by_another_shards_connection_is_answered_over_it() {
    let mut edge = Edge::start(SHARD_COUNT, true);
    let carrier = Carrier::new();
    for round in 0..8 {
        let shard = round % SHARD_COUNT;
        let call_id = place(&mut edge, shard, carrier.address());
        let (_agent, customer) = (carrier.answer(), carrier.answer());
        let mut stream = TcpStream::connect(edge.sip).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let bye = customer.request("BYE", "TCP", stream.local_addr().unwrap());
        stream.write_all(bye.as_bytes()).unwrap();
        let mut answer = vec![0; 4096];
        let len = stream.read(&mut answer).expect("an answer");
        assert!(answer[..len].starts_with(b"SIP/2.0 200 "), "{:?}", answer[..len].escape_ascii());
        carrier.take_bye();
        edge.links[shard].until_ended(&call_id);
    }
    let counters = edge.counters();
    for shard in &counters {
        assert!(shard.get("tcp_accepted").is_some_and(|count| *count > 0), "{shard:?}");
    }
    assert_eq!(sum(&counters, "sip_unknown_dialogs"), 0);
    edge.stop();
}

/// Prints what it costs that a message reaches another shard than its own, of shards with a call
/// each, and of idle ones, which have to be woken: OPTIONS of a known host, answered by the shard
/// that the Call-ID names.
#[test]
#[ignore = "a measurement"]
fn what_a_hop_costs() {
    const ROUNDS: usize = 5;
    const COUNT: usize = 6_000;
    let mut edge = Edge::start(SHARD_COUNT, true);
    let carrier = Carrier::new();
    let mut calls = Vec::new();
    for shard in 0..SHARD_COUNT {
        calls.push(place(&mut edge, shard, carrier.address()));
        carrier.answer();
        carrier.answer();
    }
    let mouth = carrier.mouth();
    mouth.set_nonblocking(true).unwrap();
    let (from, mut branch) = (mouth.local_addr().unwrap(), 0);
    let mut measure = |edge: &Edge, call_id: Option<&str>| {
        let handed = sum(&edge.counters(), "sip_handed_over");
        let (began, cpu, mut answers) = (Instant::now(), edge.cpu(), 0);
        for sent in 0..COUNT {
            if let Some(call_id) = call_id {
                branch += 1;
                mouth.send_to(options(call_id, branch, from).as_bytes(), edge.sip).unwrap();
            }
            let due = began + Duration::from_micros(500) * sent as u32;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            while mouth.recv(&mut [0; 2048]).is_ok() {
                answers += 1;
            }
        }
        let (cpu, took) = (edge.cpu() - cpu, began.elapsed());
        let handed = sum(&edge.counters(), "sip_handed_over") - handed;
        println!("  {call_id:?}: {cpu:?} in {took:?}, {answers} answers, {handed} handed over");
        (cpu.as_secs_f64() * 1e6 / COUNT as f64, handed > 0)
    };
    for state in ["with calls", "idle"] {
        let mut hops = Vec::new();
        for _ in 0..ROUNDS {
            let none = measure(&edge, None).0;
            let ids = [token(0), token(1)];
            let [one, other] = ids.map(|call_id| measure(&edge, Some(&call_id)));
            let (with, without) = if one.1 { (one.0, other.0) } else { (other.0, one.0) };
            println!("without {:.1} µs, with {:.1} µs a message", without - none, with - none);
            hops.push(with - without);
        }
        hops.sort_by(f64::total_cmp);
        println!("{state}, a hop: {:.1} µs, of {hops:.1?}", hops[ROUNDS / 2]);
        for (shard, call_id) in calls.drain(..).enumerate() {
            let asked = Asked::HangUp { call_id: call_id.clone() };
            edge.links[shard].command(1_000 + shard as u64, asked);
            carrier.take_bye();
            carrier.take_bye();
            edge.links[shard].until_ended(&call_id);
        }
    }
    edge.stop();
}
