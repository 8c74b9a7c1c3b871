//! What the benches share: the clock they measure with, and parties that talk through a relay.

#[path = "../../media-core/tests/relay/remote.rs"]
mod remote;

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use media_core::codec::PayloadType;
use media_core::relay::{Forward, LegId, Relay, RelayConfig, SocketId, TAIL_ROOM};
use media_core::rtp::{Header, Ssrc};
use media_core::srtp::SrtpKeys;
pub use remote::remote;

const PACKET_LEN: usize = 172;
const HEADER_LEN: usize = 12;
const ROUND: Duration = Duration::from_millis(20);

/// Parties that talk through a relay. Its time is virtual: each round is 20 ms, one packet of each
/// who speaks.
pub struct Talk {
    pub now: Instant,
    pub relay: Relay,
    /// Socket and peer of each leg that speaks.
    speakers: Vec<(SocketId, SocketAddr)>,
    round: u32,
    buffer: [u8; 2048],
}

impl Talk {
    /// A relay with ports for so many parties.
    pub fn new(party_count: u16) -> Talk {
        let now = Instant::now();
        let config = RelayConfig {
            public_addresses: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
            first_port: 10_000,
            pair_count: party_count,
            quarantine: Duration::ZERO,
            own_sockets: Vec::new(),
            opus_legs: 8,
            webrtc: None,
        };
        Talk {
            now,
            relay: Relay::new(config, 1, now),
            speakers: Vec::new(),
            round: 0,
            buffer: [0x55; 2048],
        }
    }

    /// Opens the leg of a party. One whose media are protected only listens: its packets would have
    /// to be sealed first.
    pub fn join(&mut self, srtp: Option<SrtpKeys>) -> LegId {
        let leg = self.relay.open_leg(self.now).expect("a pair for each leg");
        let [high, low] = (leg.index as u16).to_be_bytes();
        let peer = SocketAddr::new(Ipv4Addr::new(10, 0, high, low).into(), 4000);
        if srtp.is_none() {
            self.speakers.push((SocketId(leg.index * 2), peer));
        }
        self.relay.set_remote(self.now, leg, remote(peer, srtp));
        leg
    }

    /// How many legs speak in each round.
    pub fn speaker_count(&self) -> usize {
        self.speakers.len()
    }

    /// A round whose payloads `fill` writes; each packet must fare as `is_right` says. Writing the
    /// header stands for the kernel's copy.
    pub fn speak(&mut self, mut fill: impl FnMut(&mut [u8]), is_right: impl Fn(&Forward) -> bool) {
        let header = Header {
            payload_type: PayloadType::new(0).expect("7 bits"),
            marker: false,
            sequence: self.round as u16,
            timestamp: self.round.wrapping_mul(160),
            ssrc: Ssrc(7),
        };
        let bytes = header.to_bytes();
        for (socket, peer) in &self.speakers {
            self.buffer[..HEADER_LEN].copy_from_slice(&bytes);
            fill(&mut self.buffer[HEADER_LEN..PACKET_LEN]);
            let buffer = &mut self.buffer[..PACKET_LEN + TAIL_ROOM];
            let forward =
                black_box(self.relay.forward(self.now, *socket, *peer, buffer, PACKET_LEN));
            assert!(is_right(&forward));
        }
        self.round += 1;
        self.now += ROUND;
    }

    /// Catches up with the time and takes what the relay has for the shell.
    pub fn fire_timers(&mut self) {
        self.relay.handle_timeout(self.now);
        while let Some(output) = self.relay.poll_output() {
            black_box(output);
        }
        while self.relay.poll_event().is_some() {}
    }
}

/// CPU time of this thread: other work on the machine disturbs it less than wall time. Reading it
/// costs a system call.
pub fn thread_cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for writes and the clock exists on Linux since 2.6.12.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    assert_eq!(result, 0, "the thread has a CPU clock");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
