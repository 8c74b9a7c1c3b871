//! One party's audio: a socket that sends a tone as G.711 in RTP and keeps what it receives. Signalling is SIPp's.

use crate::audio::AMPLITUDE;
use crate::sipp::Law;
use media_core::codec::Codec;
use media_core::g711;
use media_core::tone::Tone;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Tones that are no multiples of each other, so that none is heard in another.
pub const AGENT_HZ: f64 = 450.0;
pub const CUSTOMER_HZ: f64 = 1050.0;

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
    heard: Vec<(Instant, Vec<i16>)>,
}

impl Party {
    /// Binds a pair of ports and listens; silent until it is told where to speak to.
    pub fn start(frequency: f64, law: Law) -> anyhow::Result<Party> {
        let (rtp, rtcp) = port_pair()?;
        let port = rtp.local_addr()?.port();
        rtp.set_nonblocking(true)?;
        let (state, stop) = (Arc::<Mutex<State>>::default(), Arc::<AtomicBool>::default());
        let codec = match law {
            Law::Mu => Codec::Pcmu,
            Law::A => Codec::Pcma,
        };
        let mut line = Line { rtp, _rtcp: rtcp, codec, tone: Tone::steady(frequency, AMPLITUDE), packet_count: 0 };
        let (thread_state, thread_stop) = (state.clone(), stop.clone());
        let thread = std::thread::spawn(move || line.run(&thread_state, &thread_stop));
        Ok(Party { port, state, stop, thread: Some(thread) })
    }

    /// Sends the tone there from now on.
    pub fn speak_to(&self, remote: SocketAddr) {
        self.state.lock().expect("state").remote = Some(remote);
    }

    pub fn be_silent(&self) {
        self.state.lock().expect("state").remote = None;
    }

    /// All audio that arrived since then, one packet after the other.
    pub fn heard_since(&self, since: Instant) -> Vec<i16> {
        let state = self.state.lock().expect("state");
        state.heard.iter().filter(|(at, _)| *at >= since).flat_map(|(_, samples)| samples).copied().collect()
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
    codec: Codec,
    tone: Tone,
    packet_count: u32,
}

impl Line {
    fn run(&mut self, state: &Mutex<State>, stop: &AtomicBool) {
        let mut due = Instant::now();
        let mut buffer = [0; 2048];
        while !stop.load(Ordering::Relaxed) {
            while let Ok((len, _)) = self.rtp.recv_from(&mut buffer) {
                if let Some(samples) = self.decode(&buffer[..len]) {
                    state.lock().expect("state").heard.push((Instant::now(), samples));
                }
            }
            if due <= Instant::now() {
                due += PACKET;
                let remote = state.lock().expect("state").remote;
                if let Some(remote) = remote {
                    self.send(remote);
                }
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn decode(&self, packet: &[u8]) -> Option<Vec<i16>> {
        let payload = packet.get(12..).filter(|_| packet[0] == 0x80 && packet[1] & 0x7F == self.payload_type())?;
        Some(payload.iter().map(|byte| g711::decode_table(self.codec)[usize::from(*byte)]).collect())
    }

    fn send(&mut self, remote: SocketAddr) {
        let position = self.packet_count * 160;
        let mut packet = [0; 172];
        packet[..2].copy_from_slice(&[0x80, self.payload_type()]);
        packet[2..4].copy_from_slice(&(self.packet_count as u16).to_be_bytes());
        packet[4..8].copy_from_slice(&position.to_be_bytes());
        packet[8..12].copy_from_slice(&(self.tone.frequency as u32).to_be_bytes());
        self.tone.fill_encoded(position.into(), self.codec, &mut packet[12..]);
        let _ = self.rtp.send_to(&packet, remote);
        self.packet_count += 1;
    }

    fn payload_type(&self) -> u8 {
        match self.codec {
            Codec::Pcmu => 0,
            Codec::Pcma => 8,
        }
    }
}

/// An even port for RTP and the next one for RTCP.
fn port_pair() -> anyhow::Result<(UdpSocket, UdpSocket)> {
    for _ in 0..200 {
        let rtp = UdpSocket::bind("127.0.0.1:0")?;
        let port = rtp.local_addr()?.port();
        if port % 2 == 0
            && let Ok(rtcp) = UdpSocket::bind(("127.0.0.1", port + 1))
        {
            return Ok((rtp, rtcp));
        }
    }
    anyhow::bail!("no pair of free ports on loopback")
}
