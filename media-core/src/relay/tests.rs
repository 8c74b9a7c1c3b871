//! Scripts against a whole relay on a virtual clock: what a peer sends, what the other one gets.

mod bridging;
mod dialing;
mod hostile;
mod hush;
mod lifetime;
mod mixing;
mod noise;
mod opus;
#[path = "../../tests/relay/pair.rs"]
mod pair;
mod playing;
mod protection;
mod reports;
mod strangers;
mod taping;
mod voices;
mod wideband;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::*;
use crate::codec::{Codec, Format, FormatMap, Law, PayloadType};
use crate::drops::DropReason;
use crate::rtp::{self, Header, Ssrc};
use crate::sdp::Direction;
use crate::{clock, relay};
use pair::{bridge, record};

const AGENT: &str = "198.51.100.1:4000";
const CUSTOMER: &str = "203.0.113.2:5000";
const FOREIGN: &str = "192.0.2.66:6000";
const AUDIO: u8 = 0;
const EVENT: u8 = 101;
const NOISE: u8 = 13;

/// What a peer sends next.
#[derive(Debug, Clone, Copy)]
struct Talker {
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
}

impl Talker {
    fn new(ssrc: u32) -> Talker {
        Talker { ssrc, sequence: ssrc as u16, timestamp: ssrc.wrapping_mul(7) }
    }

    fn header(&mut self, payload_type: u8) -> Header {
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(160);
        Header {
            payload_type: number(payload_type),
            marker: false,
            sequence: self.sequence,
            timestamp: self.timestamp,
            ssrc: Ssrc(self.ssrc),
        }
    }

    fn audio(&mut self) -> Vec<u8> {
        packet(self.header(AUDIO), &[0x2a; 160])
    }
}

fn number(number: u8) -> PayloadType {
    PayloadType::new(number).unwrap()
}

fn packet(header: Header, payload: &[u8]) -> Vec<u8> {
    let mut datagram = vec![0; rtp::HEADER_LEN + payload.len()];
    header.write(payload, &mut datagram).unwrap();
    datagram
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// What a peer may send to which both laws and telephone-event, under this number, were offered.
fn received(event: u8) -> FormatMap {
    let audio = Codec::Pcmu.laws().map(|codec| (codec.payload_type(), Format::Audio(codec)));
    let others = [(number(event), Format::TelephoneEvent), (number(NOISE), Format::ComfortNoise)];
    audio.into_iter().chain(others).collect()
}

/// A peer that is sent A-law.
fn alaw(rtp: &str) -> RemoteMedia {
    RemoteMedia { codec: Codec::Pcma, audio: number(8), ..remote(rtp) }
}

fn remote(rtp: &str) -> RemoteMedia {
    let rtp = address(rtp);
    RemoteMedia {
        rtp: Some(rtp),
        rtcp: Some(SocketAddr::new(rtp.ip(), rtp.port() + 1)),
        rtcp_mux: false,
        codec: Codec::Pcmu,
        audio: number(AUDIO),
        telephone_event: Some(number(EVENT)),
        comfort_noise: None,
        received: received(EVENT),
        direction: Direction::SendRecv,
        srtp: None,
    }
}

/// An output with its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Done {
    Open(SocketId),
    Transmit(SocketId, SocketAddr, Vec<u8>),
    Connect(SocketId, SocketAddr),
    Disconnect(SocketId),
    Release(SocketId),
    Record(RecordingId, u64, Vec<u8>),
    Finish(RecordingId, u64, Duration),
}

struct Rig {
    now: Instant,
    relay: Relay,
}

/// What the hearing peer gets.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Heard {
    socket: SocketId,
    remote: SocketAddr,
    packet: rtp::Packet,
    payload: Vec<u8>,
}

impl Rig {
    fn new() -> Rig {
        Rig::with_pairs(8)
    }

    fn with_pairs(pair_count: u16) -> Rig {
        let config = RelayConfig {
            public_addresses: vec!["198.51.100.250".parse().unwrap()],
            first_port: 20_000,
            pair_count,
            quarantine: Duration::from_secs(5),
            own_sockets: vec![("198.51.100.250".parse().unwrap(), 20_000..=29_999)],
            opus_legs: 8,
            webrtc: None,
        };
        let now = clock::start();
        Rig { now, relay: Relay::new(config, 42, now) }
    }

    /// Two legs that hear each other and whose sources are latched.
    fn talking() -> (Rig, LegId, LegId, Talker, Talker) {
        let mut rig = Rig::new();
        let (agent, customer) = (rig.open(AGENT), rig.open(CUSTOMER));
        bridge(&mut rig.relay, rig.now, agent, customer);
        let (mut a, mut b) = (Talker::new(0xa000_0001), Talker::new(0xb000_0001));
        rig.hear(agent, AGENT, &a.audio());
        rig.hear(customer, CUSTOMER, &b.audio());
        rig.outputs();
        rig.events();
        (rig, agent, customer, a, b)
    }

    fn open(&mut self, peer: &str) -> LegId {
        self.open_from(peer, MediaSources::default())
    }

    fn open_from(&mut self, peer: &str, sources: MediaSources) -> LegId {
        let leg = self.relay.open_leg(self.now).unwrap();
        self.relay.set_media_sources(leg, sources);
        self.relay.set_remote(self.now, leg, remote(peer));
        leg
    }

    /// Lets time pass in steps of the deadline, as a shell does, and returns all outputs.
    fn pass(&mut self, time: Duration) -> Vec<Done> {
        let until = self.now + time;
        let mut done = self.outputs();
        while let Some(due) = self.relay.poll_timeout().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.relay.handle_timeout(self.now);
            done.extend(self.outputs());
        }
        self.now = until;
        done
    }

    fn pass_ms(&mut self, ms: u64) -> Vec<Done> {
        self.pass(Duration::from_millis(ms))
    }

    fn forward_on(
        &mut self,
        socket: SocketId,
        source: &str,
        datagram: &[u8],
    ) -> (Forward, Vec<u8>) {
        let mut buffer = vec![0xee; datagram.len().max(UNFOLDED_LEN) + TAIL_ROOM];
        buffer[..datagram.len()].copy_from_slice(datagram);
        let forward =
            self.relay.forward(self.now, socket, address(source), &mut buffer, datagram.len());
        (forward, buffer)
    }

    fn forward(&mut self, leg: LegId, source: &str, datagram: &[u8]) -> Forward {
        self.forward_on(SocketId(leg.index * 2), source, datagram).0
    }

    /// Forwards a packet that must get through and returns what goes out.
    #[track_caller]
    fn hear(&mut self, leg: LegId, source: &str, datagram: &[u8]) -> Heard {
        let (forward, buffer) = self.forward_on(SocketId(leg.index * 2), source, datagram);
        let Forward::To { socket, remote, start, len } = forward else { panic!("{forward:?}") };
        heard(socket, remote, &buffer[start..start + len])
    }

    #[track_caller]
    fn dropped(&mut self, leg: LegId, source: &str, datagram: &[u8], reason: DropReason) {
        let before = self.count(reason);
        assert_eq!(self.forward(leg, source, datagram), Forward::Drop(reason));
        assert_eq!(self.count(reason), before + 1);
    }

    fn count(&self, reason: DropReason) -> u64 {
        let mut counters = self.relay.counters();
        counters.find(|(name, _)| *name == reason.name()).unwrap().1
    }

    fn outputs(&mut self) -> Vec<Done> {
        let mut done = Vec::new();
        while let Some(output) = self.relay.poll_output() {
            done.push(match output {
                Output::Open { socket } => Done::Open(socket),
                Output::Transmit { socket, remote, bytes } => {
                    Done::Transmit(socket, remote, bytes.to_vec())
                }
                Output::Connect { socket, remote } => Done::Connect(socket, remote),
                Output::Disconnect { socket } => Done::Disconnect(socket),
                Output::Release { socket } => Done::Release(socket),
                Output::Record { recording, offset, bytes } => {
                    Done::Record(recording, offset, bytes.to_vec())
                }
                Output::Finish { recording, len, duration } => {
                    Done::Finish(recording, len, duration)
                }
            });
        }
        done
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.relay.poll_event()).collect()
    }
}

#[track_caller]
fn heard(socket: SocketId, remote: SocketAddr, datagram: &[u8]) -> Heard {
    let packet = rtp::parse(datagram).unwrap();
    let payload =
        datagram[packet.payload_start..packet.payload_start + packet.payload_len].to_vec();
    Heard { socket, remote, packet, payload }
}

/// The RTP packets among outputs.
fn rtp_among(outputs: &[Done]) -> Vec<Heard> {
    let datagrams = outputs.iter().filter_map(|done| match done {
        Done::Transmit(socket, remote, bytes) if socket.0.is_multiple_of(2) => {
            Some((*socket, *remote, bytes))
        }
        _ => None,
    });
    datagrams.map(|(socket, remote, bytes)| heard(socket, remote, bytes)).collect()
}
