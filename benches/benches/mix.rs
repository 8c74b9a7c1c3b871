//! What a mix costs on one tick of 20 ms, beyond its packets: a frame of each party's buffer, the sums, the encoding, the sending out.
//! The relay's time is virtual. Times are CPU time of the thread, for one tick of one call.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use benches::thread_cpu_time;
use criterion::{Criterion, criterion_group, criterion_main};
use media_core::codec::{Codec, PayloadType};
use media_core::relay::{Forward, LegId, Relay, RelayConfig, RemoteMedia, SocketId, TAIL_ROOM};
use media_core::rtp::{Header, Ssrc};
use media_core::sdp::{Direction, Numbers};

const PACKET_LEN: usize = 172;
const TICK: Duration = Duration::from_millis(20);
/// Calls at a time, so that the caches hold no call for long.
const CALL_COUNT: u16 = 64;

/// Calls of as many parties, each of which hears all others.
struct Calls {
    now: Instant,
    relay: Relay,
    parties: Vec<(SocketId, SocketAddr)>,
    round: u32,
    buffer: [u8; 2048],
}

impl Calls {
    fn new(party_count: u16) -> Calls {
        let now = Instant::now();
        let config = RelayConfig {
            public_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            first_port: 10_000,
            pair_count: CALL_COUNT * party_count,
            quarantine: Duration::ZERO,
            webrtc: None,
        };
        let mut relay = Relay::new(config, 1, now);
        let mut parties = Vec::new();
        for call in 0..CALL_COUNT {
            let legs: Vec<LegId> = (0..party_count).map(|_| relay.open_leg(now).expect("a pair for each leg")).collect();
            for (party, leg) in legs.iter().enumerate() {
                let peer = SocketAddr::new(Ipv4Addr::new(10, 0, call as u8, party as u8).into(), 4000);
                relay.set_remote(now, *leg, remote(peer));
                parties.push((SocketId(leg.index * 2), peer));
            }
            for leg in &legs {
                relay.set_hearing(now, *leg, &legs);
            }
        }
        let mut calls = Calls { now, relay, parties, round: 0, buffer: [0; 2048] };
        for _ in 0..100 {
            calls.speak();
            calls.tick();
        }
        calls
    }

    /// A packet from each party, of noise.
    fn speak(&mut self) {
        let header = Header {
            payload_type: PayloadType::new(0).expect("7 bits"),
            marker: false,
            sequence: self.round as u16,
            timestamp: self.round.wrapping_mul(160),
            ssrc: Ssrc(7),
        };
        let mut noise = self.round | 1;
        for (socket, peer) in &self.parties {
            self.buffer[..12].copy_from_slice(&header.to_bytes());
            for byte in &mut self.buffer[12..PACKET_LEN] {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *byte = (noise >> 24) as u8;
            }
            let buffer = &mut self.buffer[..PACKET_LEN + TAIL_ROOM];
            let forward = self.relay.forward(self.now, *socket, *peer, buffer, PACKET_LEN);
            assert_eq!(black_box(forward), Forward::Local);
        }
        self.round += 1;
        self.now += TICK;
    }

    fn tick(&mut self) {
        self.relay.handle_timeout(self.now);
        while let Some(output) = self.relay.poll_output() {
            black_box(output);
        }
        while self.relay.poll_event().is_some() {}
    }
}

fn remote(rtp: SocketAddr) -> RemoteMedia {
    let numbers = |number| {
        let number = PayloadType::new(number).expect("7 bits");
        Numbers { send: number, receive: number }
    };
    RemoteMedia {
        rtp: Some(rtp),
        rtcp: Some(rtp),
        rtcp_mux: true,
        codec: Codec::Pcmu,
        audio: numbers(0),
        telephone_event: Some(numbers(101)),
        direction: Direction::SendRecv,
        srtp: None,
    }
}

/// The time of so many ticks of one call.
fn time_ticks(party_count: u16, tick_count: u64) -> Duration {
    let mut calls = Calls::new(party_count);
    let round_count = tick_count.div_ceil(CALL_COUNT.into());
    let mut elapsed = Duration::ZERO;
    for _ in 0..round_count {
        calls.speak();
        let start = thread_cpu_time();
        calls.tick();
        elapsed += thread_cpu_time() - start;
    }
    // The last round may be more than was asked for.
    elapsed.mul_f64(tick_count as f64 / (round_count * u64::from(CALL_COUNT)) as f64)
}

fn mix(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("mix_per_tick");
    group.sample_size(20);
    for (name, party_count) in [("3_parties", 3), ("8_parties", 8)] {
        group.bench_function(name, |bencher| bencher.iter_custom(|count| time_ticks(party_count, count)));
    }
    group.finish();
}

criterion_group!(benches, mix);
criterion_main!(benches);
