//! One party's audio: a socket that sends a tone as G.711 in RTP and keeps what it receives.
//! Signalling is SIPp's.

use crate::audio::AMPLITUDE;
use crate::sipp::Law;
use media_core::tone::Tone;
use media_core::{codec, g711};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Tones that are no multiples of each other, so that none is heard in another or in the tone that
/// is played on hold.
pub const AGENT_HZ: f64 = 650.0;
/// The customer's tone.
pub const CUSTOMER_HZ: f64 = 1050.0;
/// A third party's tone.
pub const THIRD_HZ: f64 = 1450.0;
/// A supervisor's tone.
pub const SUPERVISOR_HZ: f64 = 1850.0;

/// Payload type of telephone events in the phones' answers.
const TELEPHONE_EVENT: u8 = 101;

const PACKET: Duration = Duration::from_millis(20);

/// An endpoint of audio; dropping it ends its thread.
pub struct Party {
    pub port: u16,
    state: Arc<Mutex<State>>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    remote: Option<SocketAddr>,
    /// Code of a key that is to be sent.
    pressed: Option<u8>,
    heard: Vec<(Instant, Vec<i16>)>,
    /// Codes of telephone events (RFC 4733), each with its timestamp, once it has ended.
    keys: Vec<(u32, u8)>,
    /// Sequence numbers of all packets that arrived.
    sequences: Vec<u16>,
    sources: std::collections::BTreeSet<u32>,
}

impl Party {
    /// Binds a pair of ports and listens; silent until it is told where to speak to.
    pub fn start(ip: IpAddr, frequency: f64, law: Law) -> anyhow::Result<Party> {
        let (rtp, rtcp) = port_pair(ip)?;
        let port = rtp.local_addr()?.port();
        rtp.set_nonblocking(true)?;
        let (state, stop) = (Arc::<Mutex<State>>::default(), Arc::<AtomicBool>::default());
        let law = match law {
            Law::Mu => codec::Law::Pcmu,
            Law::A => codec::Law::Pcma,
        };
        let mut line = Line {
            rtp,
            _rtcp: rtcp,
            law,
            tone: Tone::steady(frequency, AMPLITUDE),
            packet_count: 0,
        };
        let (thread_state, thread_stop) = (state.clone(), stop.clone());
        let thread = std::thread::spawn(move || line.run(&thread_state, &thread_stop));
        Ok(Party { port, state, stop, thread: Some(thread) })
    }

    /// Sends the tone there from now on.
    pub fn speak_to(&self, remote: SocketAddr) {
        self.state.lock().expect("state").remote = Some(remote);
    }

    /// Sends the key of this code as a telephone event (RFC 4733) to where the tone goes.
    pub fn press(&self, code: u8) {
        self.state.lock().expect("state").pressed = Some(code);
    }

    /// Sends nothing from now on.
    pub fn be_silent(&self) {
        self.state.lock().expect("state").remote = None;
    }

    /// All audio that arrived since then, one packet after the other.
    pub fn heard_since(&self, since: Instant) -> Vec<i16> {
        let state = self.state.lock().expect("state");
        state
            .heard
            .iter()
            .filter(|(at, _)| *at >= since)
            .flat_map(|(_, samples)| samples)
            .copied()
            .collect()
    }

    /// Codes of the telephone events that arrived, in order.
    pub fn keys(&self) -> Vec<u8> {
        self.state.lock().expect("state").keys.iter().map(|(_, code)| *code).collect()
    }

    /// How many sources (SSRC) were heard, and how many packets are missing between the first and
    /// the last.
    pub fn continuity(&self) -> (usize, usize) {
        let state = self.state.lock().expect("state");
        let missing = |pair: &[u16]| usize::from(pair[1].wrapping_sub(pair[0]).saturating_sub(1));
        (state.sources.len(), state.sequences.windows(2).map(missing).sum())
    }
}

impl Drop for Party {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Line {
    rtp: UdpSocket,
    /// Reports come here; it is there so that they do not bounce.
    _rtcp: UdpSocket,
    law: codec::Law,
    tone: Tone,
    packet_count: u32,
}

impl Line {
    fn run(&mut self, state: &Mutex<State>, stop: &AtomicBool) {
        let mut due = Instant::now();
        let mut buffer = [0; 2048];
        while !stop.load(Ordering::Relaxed) {
            while let Ok((len, _)) = self.rtp.recv_from(&mut buffer) {
                self.receive(&buffer[..len], &mut state.lock().expect("state"));
            }
            if due <= Instant::now() {
                due += PACKET;
                let (remote, pressed) = {
                    let mut state = state.lock().expect("state");
                    (state.remote, state.remote.and_then(|_| state.pressed.take()))
                };
                if let Some(remote) = remote {
                    match pressed {
                        Some(code) => self.send_key(remote, code),
                        None => self.send_tone(remote),
                    }
                }
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn receive(&self, packet: &[u8], state: &mut State) {
        let Some((header, payload)) =
            packet.split_first_chunk::<12>().filter(|(header, _)| header[0] == 0x80)
        else {
            return;
        };
        let [_, kind, s0, s1, t0, t1, t2, t3, i0, i1, i2, i3] = *header;
        state.sequences.push(u16::from_be_bytes([s0, s1]));
        state.sources.insert(u32::from_be_bytes([i0, i1, i2, i3]));
        if kind & 0x7F == self.payload_type() {
            let samples = payload
                .iter()
                .map(|byte| g711::decode_table(self.law)[usize::from(*byte)])
                .collect();
            state.heard.push((Instant::now(), samples));
        }
        if let (TELEPHONE_EVENT, &[code, flags, ..]) = (kind & 0x7F, payload) {
            let key = (u32::from_be_bytes([t0, t1, t2, t3]), code);
            if flags & 0x80 != 0 && !state.keys.contains(&key) {
                state.keys.push(key);
            }
        }
    }

    fn send_tone(&mut self, remote: SocketAddr) {
        let position = self.packet_count * 160;
        let mut payload = [0; 160];
        self.tone.fill_encoded(position.into(), self.law, &mut payload);
        self.send(remote, self.payload_type(), position, &payload);
    }

    /// The end of an event of 100 ms, which is told three times (RFC 4733 §2.5.1.4).
    fn send_key(&mut self, remote: SocketAddr, code: u8) {
        let began_at = self.packet_count * 160;
        for _ in 0..3 {
            self.send(remote, TELEPHONE_EVENT, began_at, &[code, 0x80 | 10, 3, 0x20]);
        }
    }

    fn send(&mut self, remote: SocketAddr, payload_type: u8, timestamp: u32, payload: &[u8]) {
        let mut packet = vec![0x80, payload_type];
        packet.extend_from_slice(&(self.packet_count as u16).to_be_bytes());
        packet.extend_from_slice(&timestamp.to_be_bytes());
        packet.extend_from_slice(&(self.tone.frequency as u32).to_be_bytes());
        packet.extend_from_slice(payload);
        let _ = self.rtp.send_to(&packet, remote);
        self.packet_count += 1;
    }

    fn payload_type(&self) -> u8 {
        match self.law {
            codec::Law::Pcmu => 0,
            codec::Law::Pcma => 8,
        }
    }
}

/// An even port for RTP and the next one for RTCP.
fn port_pair(ip: IpAddr) -> anyhow::Result<(UdpSocket, UdpSocket)> {
    for _ in 0..200 {
        let rtp = UdpSocket::bind((ip, 0))?;
        let port = rtp.local_addr()?.port();
        if port % 2 == 0
            && let Ok(rtcp) = UdpSocket::bind((ip, port + 1))
        {
            return Ok((rtp, rtcp));
        }
    }
    anyhow::bail!("no pair of free ports on loopback")
}
