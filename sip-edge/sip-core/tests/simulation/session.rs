//! What every test speaks: addresses, calls to place, session descriptions and RTP packets.

use call_words::{DtmfMode, ForwardingHeader, MediaProfile};
use media_core::codec::Law;
use media_core::g711;
use media_core::relay::{Layout, WebRtcConfig};
use media_core::tone::level;
use sip_core::command::{AgentTarget, Destination, EdgeConfig, Interface, PlaceCall, Route};
use sip_core::event::{RecordedFile, RecordingWritten};
use sip_core::flow::Transport;
use sip_core::registrar::RegistrarConfig;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub const EDGE: &str = "10.0.0.1:5060";
pub const FIRST_PORT: u16 = 20_000;
/// Domain of the softphones.
pub const DOMAIN: &str = "dialer.example";

/// Where each run's clock starts.
#[expect(
    clippy::disallowed_methods,
    reason = "an Instant can be made in no other way; from here on the clock is virtual"
)]
pub fn start() -> Instant {
    Instant::now()
}

pub fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A recording's file of this duration, all of it written.
pub fn recorded(duration: Duration) -> RecordedFile {
    RecordedFile {
        len: 1,
        duration,
        written: RecordingWritten { is_whole: true, duration: Some(duration) },
    }
}

pub fn edge_config(call_capacity: usize) -> EdgeConfig {
    EdgeConfig {
        shard: 0,
        interfaces: vec![Interface {
            name: String::new(),
            local: address(EDGE),
            public: address(EDGE),
        }],
        tls_port: 5061,
        user_agent: "test".into(),
        wideband: false,
        copies_sip: false,
        call_capacity,
        transaction_capacity: 10_000,
        softphones: Some(RegistrarConfig { domain: DOMAIN.into(), capacity: 100 }),
    }
}

pub fn relay_config(pair_count: u16) -> media_core::relay::RelayConfig {
    media_core::relay::RelayConfig {
        public_addresses: vec![address(EDGE).ip()],
        first_port: FIRST_PORT,
        pair_count,
        quarantine: Duration::from_secs(1),
        own_sockets: Vec::new(),
        opus_legs: 8,
        webrtc: Some(WebRtcConfig { port: 30_000, capacity: 8, secret: [5; 32] }),
    }
}

pub fn route(trunk: &str, address: SocketAddr, user: &str) -> Route {
    Route {
        trunk: trunk.into(),
        transport: Transport::Udp,
        address,
        domain: "carrier.example".into(),
        request_user: user.into(),
        caller_id: "+911140000000".into(),
        credentials: None,
        media: MediaProfile::Rtp,
        signal_from: Vec::new(),
        media_from: Vec::new(),
        follows_redirects: false,
        hides_caller: false,
        is_trusted: false,
        forwarding: ForwardingHeader::None,
        interface: None,
        diverted_by: None,
        dtmf: DtmfMode::Auto,
        comfort_noise: false,
    }
}

pub fn call(call_id: &str, agent: Vec<Route>, customer: Vec<Route>) -> PlaceCall {
    PlaceCall {
        call_id: call_id.into(),
        agent: AgentTarget::Phone(Destination {
            ring: Duration::from_secs(30),
            routes: agent,
            skipped: vec![],
        }),
        customer: Destination { ring: Duration::from_secs(45), routes: customer, skipped: vec![] },
        max_duration: Duration::from_secs(4 * 3600),
        no_media: Duration::from_secs(120),
        recording: None,
        recording_layout: Layout::Stereo,
        hold_audio: None,
        accepts_refer: false,
        agent_confirm: false,
        keeps_ladder: false,
    }
}

/// The first route to an agent's phone.
pub fn agent_route(call: &mut PlaceCall) -> &mut Route {
    match &mut call.agent {
        AgentTarget::Phone(destination) => &mut destination.routes[0],
        AgentTarget::Softphone { .. } => panic!("a softphone has no route"),
    }
}

/// A description with one audio stream at `media`, in the offered codec `payload_type`.
pub fn sdp(media: SocketAddr, payload_type: u8, direction: &str) -> String {
    let (ip, port) = (media.ip(), media.port());
    let name = match payload_type {
        0 => "PCMU",
        8 => "PCMA",
        9 => "G722",
        _ => "G729",
    };
    format!(
        "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\n\
            m=audio {port} RTP/AVP {payload_type} 101\r\n\
         a=rtpmap:{payload_type} {name}/8000\r\na=rtpmap:101 telephone-event/8000\r\n\
         a={direction}\r\n"
    )
}

/// Address of the audio stream in a description.
pub fn media_of(sdp: &[u8]) -> SocketAddr {
    let text = std::str::from_utf8(sdp).unwrap();
    let ip = text.lines().find_map(|line| line.strip_prefix("c=IN IP4 ")).unwrap();
    let port = text
        .lines()
        .find_map(|line| line.strip_prefix("m=audio "))
        .unwrap()
        .split(' ')
        .next()
        .unwrap();
    SocketAddr::new(ip.parse().unwrap(), port.parse().unwrap())
}

/// Payload types of the audio stream in a description, in order.
pub fn formats_of(sdp: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(sdp).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("m=audio ")).unwrap();
    line.split(' ').skip(2).map(|format| format.parse().unwrap()).collect()
}

/// An RTP packet of 20 ms.
pub fn rtp(payload_type: u8, sequence: u16, ssrc: u32) -> Vec<u8> {
    let mut packet = vec![0x80, payload_type];
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&(u32::from(sequence) * 160).to_be_bytes());
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet.extend_from_slice(&[0xd5; 160]);
    packet
}

/// An RTP packet of 20 ms with a tone, of a party that sends each 100 ms.
pub fn tone(payload_type: u8, sequence: u16, ssrc: u32, frequency: f64) -> Vec<u8> {
    let mut packet = rtp(payload_type, sequence, ssrc);
    packet[4..8].copy_from_slice(&(u32::from(sequence) * 800).to_be_bytes());
    for (position, byte) in packet[12..].iter_mut().enumerate() {
        let phase = std::f64::consts::TAU * frequency * position as f64 / 8000.0;
        *byte = g711::encode(law(payload_type), (phase.sin() * 4000.0) as i16);
    }
    packet
}

/// An RTP packet of 20 ms of a sine that goes on with the RTP clock.
pub fn sine(payload_type: u8, sequence: u16, clock: u32, frequency: f64) -> Vec<u8> {
    let mut packet = rtp(payload_type, sequence, 0x5e11);
    packet[4..8].copy_from_slice(&clock.to_be_bytes());
    for (position, byte) in packet[12..].iter_mut().enumerate() {
        let turns = frequency * f64::from(clock + position as u32) / 8000.0;
        *byte = g711::encode(
            law(payload_type),
            ((turns.fract() * std::f64::consts::TAU).sin() * 2000.0) as i16,
        );
    }
    packet
}

/// The samples of an RTP packet of sound; none of any other packet.
pub fn sound(packet: &[u8]) -> Vec<i16> {
    let payload_type = packet[1] & 0x7f;
    if packet.len() != 172 || !matches!(payload_type, 0 | 8) {
        return Vec::new();
    }
    packet[12..].iter().map(|byte| g711::decode_table(law(payload_type))[*byte as usize]).collect()
}

/// Whether 20 ms of sound hold a tone; `None` if the packet is no sound.
pub fn has_tone(packet: &[u8], frequency: f64) -> Option<bool> {
    let samples = sound(packet);
    (!samples.is_empty()).then(|| level(&samples, frequency) > 300.0)
}

fn law(payload_type: u8) -> Law {
    if payload_type == 8 { Law::Pcma } else { Law::Pcmu }
}
