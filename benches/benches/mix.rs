//! What a mix costs on one tick of 20 ms, beyond its packets: a frame of each party's buffer, the
//! sums, the encoding, the sending out. Times are CPU time of the thread, for one tick of one call.

use std::time::Duration;

use benches::{Talk, thread_cpu_time};
use criterion::{Criterion, criterion_group, criterion_main};
use media_core::relay::{Forward, LegId};

/// Calls at a time, so that the caches hold no call for long.
const CALL_COUNT: u16 = 64;

/// Calls of as many parties, each of which hears all others; they speak noise.
struct Calls {
    talk: Talk,
    noise: u32,
}

impl Calls {
    fn new(party_count: u16) -> Calls {
        let mut talk = Talk::new(CALL_COUNT * party_count);
        for _ in 0..CALL_COUNT {
            let legs: Vec<LegId> = (0..party_count).map(|_| talk.join(None)).collect();
            for leg in &legs {
                talk.relay.set_hearing(talk.now, *leg, &legs);
            }
        }
        let mut calls = Calls { talk, noise: 1 };
        for _ in 0..100 {
            calls.speak();
            calls.talk.fire_timers();
        }
        calls
    }

    fn speak(&mut self) {
        let noise = &mut self.noise;
        let fill = |payload: &mut [u8]| {
            for byte in payload {
                *noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *byte = (*noise >> 24) as u8;
            }
        };
        self.talk.speak(fill, |forward| *forward == Forward::Local);
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
        calls.talk.fire_timers();
        elapsed += thread_cpu_time() - start;
    }
    // The last round may be more than was asked for.
    elapsed.mul_f64(tick_count as f64 / (round_count * u64::from(CALL_COUNT)) as f64)
}

fn mix(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("mix_per_tick");
    group.sample_size(20);
    for (name, party_count) in [("3_parties", 3), ("8_parties", 8)] {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|count| time_ticks(party_count, count))
        });
    }
    group.finish();
}

criterion_group!(benches, mix);
criterion_main!(benches);
