//! The packet path without a kernel: what `Relay::forward` costs per packet, with and without
//! recording and SRTP, and what the relay's timers (recordings written out included) cost per
//! packet beside it. Times are CPU time of the thread.

#[path = "../../media-core/tests/relay/pair.rs"]
mod pair;

use std::time::Duration;

use benches::{Talk, thread_cpu_time};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use media_core::relay::{self, Forward};
use media_core::srtp::{Keys, SrtpKeys, Suite};

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

fn calls(load: Load) -> Talk {
    let mut talk = Talk::new(load.call_count * 2);
    for _ in 0..load.call_count {
        let (agent, customer) = (talk.join(None), talk.join(load.suite.map(keys)));
        pair::bridge(&mut talk.relay, talk.now, agent, customer);
        if load.recorded {
            pair::record(&mut talk.relay, talk.now, agent, customer).expect("fresh legs");
        }
    }
    for _ in 0..CYCLE_BLOCKS * 2 {
        forward_block(&mut talk);
        talk.fire_timers();
    }
    talk
}

fn keys(suite: Suite) -> SrtpKeys {
    let keys =
        |fill: u8| Keys::new(suite, &vec![fill; suite.material_len()]).expect("the suite's length");
    SrtpKeys { outbound: keys(1), inbound: keys(2), mki: None }
}

/// Some rounds of one packet from each speaker.
fn forward_block(talk: &mut Talk) {
    for _ in 0..BLOCK_ROUNDS {
        talk.speak(|_| {}, |forward| matches!(forward, Forward::To { .. }));
    }
}

/// Repeats whole cycles until enough packets are measured; `measured` says which half counts.
fn time_blocks(
    load: Load,
    packet_count: u64,
    measured: fn(&mut Talk),
    other: fn(&mut Talk),
) -> Duration {
    let mut talk = calls(load);
    let cycle_packets = talk.speaker_count() as u64 * u64::from(BLOCK_ROUNDS) * CYCLE_BLOCKS;
    let cycle_count = packet_count.div_ceil(cycle_packets);
    let mut elapsed = Duration::ZERO;
    for _ in 0..cycle_count * CYCLE_BLOCKS {
        let start = thread_cpu_time();
        measured(&mut talk);
        elapsed += thread_cpu_time() - start;
        other(&mut talk);
    }
    // The last cycle may be more than was asked for.
    elapsed.mul_f64(packet_count as f64 / (cycle_count * cycle_packets) as f64)
}

fn forward(criterion: &mut Criterion) {
    let loads = [
        ("64_calls/plain", Load { call_count: 64, recorded: false, suite: None }),
        ("64_calls/recorded", Load { call_count: 64, recorded: true, suite: None }),
        (
            "64_calls/to_srtp_gcm",
            Load { call_count: 64, recorded: false, suite: Some(Suite::AeadAes128Gcm) },
        ),
        (
            "64_calls/to_srtp_sha1_80",
            Load { call_count: 64, recorded: false, suite: Some(Suite::AesCm128HmacSha1_80) },
        ),
        (
            "64_calls/recorded_to_srtp_gcm",
            Load { call_count: 64, recorded: true, suite: Some(Suite::AeadAes128Gcm) },
        ),
        ("1000_calls/plain", Load { call_count: 1000, recorded: false, suite: None }),
        ("1000_calls/recorded", Load { call_count: 1000, recorded: true, suite: None }),
    ];
    let mut group = criterion.benchmark_group("forward");
    group.throughput(Throughput::Elements(1)).sample_size(20);
    for (name, load) in loads {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|count| time_blocks(load, count, forward_block, Talk::fire_timers));
        });
    }
    group.finish();
    let mut group = criterion.benchmark_group("timers_per_packet");
    group.throughput(Throughput::Elements(1)).sample_size(20);
    for (name, load) in [loads[5], loads[6]] {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|count| time_blocks(load, count, Talk::fire_timers, forward_block));
        });
    }
    group.finish();
}

criterion_group!(benches, forward);
criterion_main!(benches);
