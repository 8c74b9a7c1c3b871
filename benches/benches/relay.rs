//! The packet path without a kernel: what `Relay::forward` costs per packet, with and without recording and SRTP, and what the relay's
//! timers (recordings written out included) cost per packet beside it. The relay's time is virtual: each round is 20 ms, one packet per
//! speaker. Times are CPU time of the thread.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use benches::thread_cpu_time;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use media_core::codec::{Codec, PayloadType};
use media_core::relay::{Channel, Forward, Layout, LegId, RecordingId, Relay, RelayConfig, RemoteMedia, SocketId, TAIL_ROOM};
use media_core::rtp::{Header, Ssrc};
use media_core::sdp::{Direction, Numbers, SrtpKeys};
use media_core::srtp::{Keys, Suite};

const PACKET_LEN: usize = 172;
const ROUND: Duration = Duration::from_millis(20);
/// Rounds between two clock readings; the relay's timers make up for so many.
const BLOCK_ROUNDS: u32 = 4;
/// Blocks that visit every leg and write out every recording.
const CYCLE_BLOCKS: u64 = 10;

/// What the calls of a bench have besides plain RTP.
#[derive(Clone, Copy)]
struct Load {
    call_count: u16,
    recorded: bool,
    /// Of the customer leg; the agent's is plain.
    suite: Option<Suite>,
}

struct Calls {
    now: Instant,
    relay: Relay,
    /// Socket and peer of each leg that speaks.
    speakers: Vec<(SocketId, SocketAddr)>,
    round: u32,
    buffer: [u8; 2048],
}

impl Calls {
    fn new(load: Load) -> Calls {
        let now = Instant::now();
        let config = RelayConfig {
            public_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            first_port: 10_000,
            pair_count: load.call_count * 2,
            quarantine: Duration::ZERO,
            webrtc: None,
        };
        let mut relay = Relay::new(config, 1, now);
        let mut speakers = Vec::new();
        for call in 0..load.call_count {
            let legs = [relay.open_leg(now), relay.open_leg(now)].map(|leg| leg.expect("a pair for each leg"));
            for (leg, suite) in legs.into_iter().zip([None, load.suite]) {
                let peer = SocketAddr::new(Ipv4Addr::new(10, leg.index as u8 & 1, (call >> 8) as u8, call as u8).into(), 4000);
                relay.set_remote(now, leg, remote(peer, suite));
                // A protected leg only listens: its packets would have to be sealed first.
                if suite.is_none() {
                    speakers.push((SocketId(leg.index * 2), peer));
                }
            }
            bridge(&mut relay, now, legs[0], legs[1]);
            if load.recorded {
                record(&mut relay, now, legs[0], legs[1]).expect("fresh legs");
            }
        }
        let mut calls = Calls { now, relay, speakers, round: 0, buffer: [0x55; 2048] };
        for _ in 0..CYCLE_BLOCKS * 2 {
            calls.forward_block();
            calls.fire_timers();
        }
        calls
    }

    /// Some rounds of one packet from each speaker; writing its header stands for the kernel's copy.
    fn forward_block(&mut self) {
        for _ in 0..BLOCK_ROUNDS {
            let header = Header {
                payload_type: PayloadType::new(0).expect("7 bits"),
                marker: false,
                sequence: self.round as u16,
                timestamp: self.round.wrapping_mul(160),
                ssrc: Ssrc(7),
            };
            let bytes = header.to_bytes();
            for (socket, peer) in &self.speakers {
                self.buffer[..bytes.len()].copy_from_slice(&bytes);
                let buffer = &mut self.buffer[..PACKET_LEN + TAIL_ROOM];
                let forward = self.relay.forward(self.now, *socket, *peer, buffer, PACKET_LEN);
                assert!(matches!(black_box(forward), Forward::To { .. }));
            }
            self.round += 1;
            self.now += ROUND;
        }
    }

    /// Catches up with the block's time and takes what the relay has for the shell.
    fn fire_timers(&mut self) {
        self.relay.handle_timeout(self.now);
        while let Some(output) = self.relay.poll_output() {
            black_box(output);
        }
        while self.relay.poll_event().is_some() {}
    }
}

/// Lets two legs hear each other alone.
fn bridge(relay: &mut Relay, now: Instant, a: LegId, b: LegId) {
    relay.set_hearing(now, a, &[b]);
    relay.set_hearing(now, b, &[a]);
}

/// Begins a stereo recording of two legs.
fn record(relay: &mut Relay, now: Instant, left: LegId, right: LegId) -> Option<RecordingId> {
    let recording = relay.start_recording(now, Layout::Stereo)?;
    relay.record_leg(now, recording, left, Some(Channel::Agent));
    relay.record_leg(now, recording, right, Some(Channel::Customer));
    Some(recording)
}

fn remote(rtp: SocketAddr, suite: Option<Suite>) -> RemoteMedia {
    let numbers = |number| {
        let number = PayloadType::new(number).expect("7 bits");
        Numbers { send: number, receive: number }
    };
    let keys = |suite: Suite, fill: u8| Keys::new(suite, &vec![fill; suite.material_len()]).expect("the suite's length");
    RemoteMedia {
        rtp: Some(rtp),
        rtcp: Some(rtp),
        rtcp_mux: true,
        codec: Codec::Pcmu,
        audio: numbers(0),
        telephone_event: Some(numbers(101)),
        direction: Direction::SendRecv,
        srtp: suite.map(|suite| SrtpKeys { outbound: keys(suite, 1), inbound: keys(suite, 2) }),
    }
}

/// Repeats whole cycles until enough packets are measured; `measured` says which half counts.
fn time_blocks(load: Load, packet_count: u64, measured: fn(&mut Calls), other: fn(&mut Calls)) -> Duration {
    let mut calls = Calls::new(load);
    let cycle_packets = calls.speakers.len() as u64 * u64::from(BLOCK_ROUNDS) * CYCLE_BLOCKS;
    let cycle_count = packet_count.div_ceil(cycle_packets);
    let mut elapsed = Duration::ZERO;
    for _ in 0..cycle_count * CYCLE_BLOCKS {
        let start = thread_cpu_time();
        measured(&mut calls);
        elapsed += thread_cpu_time() - start;
        other(&mut calls);
    }
    // The last cycle may be more than was asked for.
    elapsed.mul_f64(packet_count as f64 / (cycle_count * cycle_packets) as f64)
}

fn relay(criterion: &mut Criterion) {
    let loads = [
        ("64_calls/plain", Load { call_count: 64, recorded: false, suite: None }),
        ("64_calls/recorded", Load { call_count: 64, recorded: true, suite: None }),
        ("64_calls/to_srtp_gcm", Load { call_count: 64, recorded: false, suite: Some(Suite::AeadAes128Gcm) }),
        ("64_calls/to_srtp_sha1_80", Load { call_count: 64, recorded: false, suite: Some(Suite::AesCm128HmacSha1_80) }),
        ("64_calls/recorded_to_srtp_gcm", Load { call_count: 64, recorded: true, suite: Some(Suite::AeadAes128Gcm) }),
        ("1000_calls/plain", Load { call_count: 1000, recorded: false, suite: None }),
        ("1000_calls/recorded", Load { call_count: 1000, recorded: true, suite: None }),
    ];
    let mut group = criterion.benchmark_group("forward");
    group.throughput(Throughput::Elements(1)).sample_size(20);
    for (name, load) in loads {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|count| time_blocks(load, count, Calls::forward_block, Calls::fire_timers));
        });
    }
    group.finish();
    let mut group = criterion.benchmark_group("timers_per_packet");
    group.throughput(Throughput::Elements(1)).sample_size(20);
    for (name, load) in [loads[5], loads[6]] {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|count| time_blocks(load, count, Calls::fire_timers, Calls::forward_block));
        });
    }
    group.finish();
}

criterion_group!(benches, relay);
criterion_main!(benches);
