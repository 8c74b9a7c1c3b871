//! The buffer against networks: order, jitter, loss, drift, jumps, and packets of any kind.

use super::*;
use crate::random::Random;
use crate::tone::{Tone, level};

const CODEC: Law = Law::Pcmu;
const STREAM: StreamId = StreamId(1);

/// A packet of `len` samples from sample `from` of a signal, and when it comes, in samples.
#[derive(Debug, Clone, Copy)]
struct Packet {
    arrival: u32,
    from: u32,
    len: u32,
}

/// Packets at an even pace.
fn paced(count: u32, len: u32, phase: u32) -> Vec<Packet> {
    (0..count).map(|n| Packet { arrival: n * len + phase, from: n * len, len }).collect()
}

/// What comes out of the buffer.
struct Output {
    samples: Vec<i16>,
    frames: Vec<Frame>,
    /// Before each frame.
    depths: Vec<u32>,
}

impl Output {
    fn of(jitter: &mut Jitter, mut packets: Vec<Packet>, signal: impl Fn(u32) -> u8) -> Output {
        packets.sort_by_key(|packet| packet.arrival);
        let end = packets.last().unwrap().arrival + 1600;
        let mut packets = packets.into_iter().peekable();
        let mut output = Output { samples: vec![], frames: vec![], depths: vec![] };
        for due in (0..end).step_by(FRAME) {
            while let Some(packet) = packets.next_if(|packet| packet.arrival <= due) {
                let audio: Vec<u8> = (packet.from..packet.from + packet.len).map(&signal).collect();
                let _ =
                    jitter.push(STREAM, 0xffff_f000u32.wrapping_add(packet.from), CODEC, &audio);
                assert!(jitter.depth() <= MAX_DEPTH as u32);
            }
            output.depths.push(jitter.depth());
            jitter.pop();
            let (frame, _, samples) = jitter.frame();
            output.frames.push(frame);
            output.samples.extend(samples);
        }
        output
    }

    fn count(&self, frame: Frame) -> usize {
        self.frames.iter().filter(|other| **other == frame).count()
    }
}

/// Bytes of which each neighbourhood is unlike any other.
fn numbered(n: u32) -> u8 {
    (n.wrapping_mul(2_654_435_761) >> 24) as u8
}

fn tone_of(frequency: f64) -> impl Fn(u32) -> u8 {
    move |n| g711::encode(CODEC, Tone::steady(frequency, 8000.0).sample(n.into()))
}

fn expected(from: u32, to: u32) -> Vec<i16> {
    (from..to).map(|n| g711::decode_table(CODEC)[usize::from(numbered(n))]).collect()
}

#[test]
fn every_sample_comes_once_in_order_20_to_40_ms_late() {
    for phase in [0, 1, 80, 159] {
        let output = Output::of(&mut Jitter::new(), paced(500, 160, phase), numbered);
        let first = output.frames.iter().position(|frame| *frame == Frame::Received).unwrap();
        let heard_at = first as u32 * 160;
        assert!((160..=320).contains(&(heard_at - phase)), "phase {phase}: {heard_at}");
        assert!(
            output.samples[heard_at as usize..][..80_000] == expected(0, 80_000),
            "phase {phase}"
        );
        assert_eq!(output.count(Frame::Received), 500);
    }
}

#[test]
fn packets_of_any_length_are_taken() {
    for len in [1, 33, 80, 160, 240, 320, 480, 800] {
        for phase in [0, 40, 159] {
            let count = 40_000 / len;
            let output = Output::of(&mut Jitter::new(), paced(count, len, phase), numbered);
            let first =
                output.samples.iter().position(|sample| *sample == expected(0, 1)[0]).unwrap();
            let whole = (count * len) as usize;
            assert!(
                output.samples[first..][..whole] == expected(0, count * len),
                "{len} samples, phase {phase}"
            );
            assert!(first as u32 <= len + phase + 480, "{len} samples, phase {phase}: {first}");
        }
    }
}

#[test]
fn a_tone_stays_whole_under_jitter_and_loss() {
    for seed in 0..20 {
        let mut random = Random::new(seed);
        let mut lost = 0;
        let packets = paced(1000, 160, 0).into_iter().filter_map(|packet| {
            let delay = (random.next_u64() % 160) as u32;
            let is_lost = random.next_u64().is_multiple_of(50);
            lost += u32::from(is_lost);
            (!is_lost).then_some(Packet { arrival: packet.arrival + delay, ..packet })
        });
        let packets = packets.collect();
        let output = Output::of(&mut Jitter::new(), packets, tone_of(400.0));
        let begin =
            output.frames.iter().position(|frame| *frame == Frame::Received).unwrap() * FRAME;
        let windows: Vec<f64> = output.samples[begin..begin + 158_000]
            .chunks_exact(160)
            .map(|window| level(window, 400.0))
            .collect();
        let weak = windows.iter().filter(|level| **level < 5000.0).count();
        let weakest = windows.iter().copied().fold(f64::MAX, f64::min);
        assert!(
            weak as u32 <= 2 + lost / 4 && weakest > 2500.0,
            "seed {seed}: {weak} of {lost} lost, down to {weakest}"
        );
    }
}

#[test]
fn one_lost_packet_is_hardly_heard_and_long_loss_fades_to_silence() {
    let without = |range: std::ops::Range<u32>| {
        paced(100, 160, 0).into_iter().filter(move |p| !range.contains(&(p.from / 160)))
    };
    let output = Output::of(&mut Jitter::new(), without(50..51).collect(), tone_of(400.0));
    assert_eq!(output.frames[..100].iter().filter(|frame| **frame == Frame::Concealed).count(), 1);
    let levels: Vec<f64> =
        output.samples[320..16_000].chunks_exact(80).map(|window| level(window, 400.0)).collect();
    assert!(levels.iter().all(|level| *level > 5000.0), "{levels:?}");
    // Steps between samples of 400 Hz at 8000 stay below 2600: no clicks.
    assert!(output.samples[320..16_000].windows(2).all(|pair| (pair[0] - pair[1]).abs() < 3200));
    let output = Output::of(&mut Jitter::new(), without(50..90).collect(), tone_of(400.0));
    let lost = output.samples.chunks_exact(160).skip(60).take(10);
    assert!(lost.flatten().all(|sample| *sample == 0), "silence after 60 ms");
    assert!(output.count(Frame::Nothing) > 20);
    assert!(level(&output.samples[15_200..15_520], 400.0) > 7500.0, "it comes back");
}

#[test]
fn the_delay_grows_with_jitter_and_shrinks_after_it() {
    // From the second second to the fourth, packets come in bunches of five.
    let bunched = |n: u32| if (100..200).contains(&n) { n / 5 * 5 + 4 } else { n };
    let packets = paced(1200, 160, 10)
        .into_iter()
        .map(|p| Packet { arrival: bunched(p.from / 160) * 160 + 10, ..p });
    let output = Output::of(&mut Jitter::new(), packets.collect(), tone_of(400.0));
    assert_eq!(output.depths[50..100].iter().max(), Some(&320), "40 ms at first");
    let during = &output.frames[130..200];
    assert!(
        during.iter().all(|frame| *frame == Frame::Received),
        "it has grown enough: {during:?}"
    );
    let grown = output.depths[210];
    assert!(grown >= 640, "{grown}");
    let settled = output.depths[900];
    assert!(settled <= 440, "{settled}");
    assert!(output.depths[900..1190].iter().all(|depth| *depth == settled), "it does not swing");
    // Leaving frames out is not heard in a tone of a whole number of periods a frame.
    let levels =
        output.samples[36_000..190_000].chunks_exact(160).map(|window| level(window, 400.0));
    assert!(levels.into_iter().all(|level| level > 7000.0));
}

#[test]
fn a_quiet_moment_is_taken_to_shrink() {
    // Speech for 1 s, a pause of 200 ms, and so on; deep from a stall at the begin.
    let signal = |n: u32| if n % 9600 < 8000 { tone_of(410.0)(n) } else { 0xff };
    let packets = paced(800, 160, 10)
        .into_iter()
        .map(|p| Packet { arrival: p.arrival.max(if p.from > 480 { 1600 } else { 0 }), ..p });
    let mut jitter = Jitter::new();
    let output = Output::of(&mut jitter, packets.collect(), signal);
    assert!(
        output.depths[20] > 700 && output.depths[700] < 500,
        "{} {}",
        output.depths[20],
        output.depths[700]
    );
    let mut previous = output.samples[3200];
    for sample in &output.samples[3200..120_000] {
        assert!((sample - previous).abs() < 3200, "a click");
        previous = *sample;
    }
}

#[test]
fn clocks_that_drift_are_followed() {
    for (every, change) in [(500, 1), (500, -1)] {
        // 2,000 ppm: a frame is left out or made up every ten seconds.
        let pace = |n: u32| (n * 160).wrapping_add_signed(n as i32 * 160 / every * change);
        let packets = paced(6000, 160, 0)
            .into_iter()
            .map(|p| Packet { arrival: pace(p.from / 160), ..p })
            .collect();
        let output = Output::of(&mut Jitter::new(), packets, tone_of(400.0));
        let deepest = output.depths.iter().max().unwrap();
        assert!(*deepest <= 640, "{deepest}");
        assert!(output.count(Frame::Nothing) < 15, "{}", output.count(Frame::Nothing));
        let heard = output.samples[1600..900_000]
            .chunks_exact(160)
            .filter(|window| level(window, 400.0) > 6000.0)
            .count();
        assert!(heard > 5400, "{heard} of 5615");
    }
}

#[test]
fn odd_packets_have_a_defined_answer() {
    let audio = [0x55; 160];
    let mut jitter = Jitter::new();
    #[track_caller]
    fn check(
        jitter: &mut Jitter,
        stream: u32,
        timestamp: u32,
        audio: &[u8],
        expected: Result<(), DropReason>,
        depth: u32,
    ) {
        assert_eq!(jitter.push(StreamId(stream), timestamp, CODEC, audio), expected);
        assert_eq!(jitter.depth(), depth);
    }
    check(&mut jitter, 1, 1000, &[], Ok(()), 0);
    check(&mut jitter, 1, 1000, &audio, Ok(()), 160);
    // A duplicate changes nothing.
    check(&mut jitter, 1, 1000, &audio, Ok(()), 160);
    // One was left out and comes later.
    check(&mut jitter, 1, 1320, &audio, Ok(()), 480);
    check(&mut jitter, 1, 1160, &audio, Ok(()), 480);
    // Another stream goes on where the first ends; what comes of the first then is a stream of its
    // own.
    check(&mut jitter, 2, 77, &audio, Ok(()), 640);
    check(&mut jitter, 1, 1480, &audio, Ok(()), 800);
    // A jump forward and one back make no gap.
    check(&mut jitter, 1, 50_000_000, &audio, Ok(()), 960);
    check(&mut jitter, 1, 3, &audio, Ok(()), 1120);
    jitter.pop();
    jitter.pop();
    assert_eq!(jitter.depth(), 800);
    // Packets whose time is over, until they show that the clock was set back.
    for _ in 0..3 {
        check(&mut jitter, 1, 3u32.wrapping_sub(960), &audio, Err(DropReason::MixLate), 800);
    }
    check(&mut jitter, 1, 3u32.wrapping_sub(960), &audio, Ok(()), 960);
    // More than may wait.
    for n in 1..5 {
        let timestamp = 3u32.wrapping_sub(960).wrapping_add(n * 160);
        check(&mut jitter, 1, timestamp, &audio, Ok(()), 960 + n * 160);
    }
    check(&mut jitter, 1, 3u32.wrapping_sub(160), &audio, Err(DropReason::MixFull), 1600);
    check(&mut jitter, 3, 9, &[0x55; 5000], Err(DropReason::MixFull), 1600);
}

#[test]
fn what_waits_is_told_in_order() {
    let mut jitter = Jitter::new();
    let audio: Vec<u8> = (0..640).map(numbered).collect();
    jitter.push(STREAM, 0, CODEC, &audio).unwrap();
    jitter.pop();
    jitter.pop();
    let mut samples = [0; MAX_DEPTH];
    assert_eq!(jitter.frame().0, Frame::Received);
    assert_eq!(jitter.waiting(None, &mut samples), 480);
    assert_eq!(samples[..480], expected(160, 640));
    assert_eq!(jitter.waiting(Some(500), &mut samples), 140);
    assert_eq!(samples[..140], expected(500, 640));
    assert_eq!(jitter.waiting(Some(5), &mut samples), 480);
    assert_eq!(jitter.waiting(Some(5000), &mut samples), 0);
}

#[test]
fn packets_of_any_kind_keep_the_delay_bounded() {
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let mut jitter = Jitter::new();
        let (mut stream, mut timestamp) = (1, random.next_u32());
        for step in 0..2000 {
            let choice = random.next_u64();
            match choice % 40 {
                0 => stream += 1,
                1 => timestamp = random.next_u32(),
                2 => timestamp = timestamp.wrapping_sub((choice >> 8) as u32 % 20_000),
                3 => timestamp = timestamp.wrapping_add((choice >> 8) as u32 % 20_000),
                4..15 => jitter.pop(),
                _ => {}
            }
            let audio = [step as u8; 1488];
            let len = if choice.is_multiple_of(3) { (choice >> 40) as usize % 1488 } else { 160 };
            let result = jitter.push(StreamId(stream), timestamp, Law::Pcma, &audio[..len]);
            assert!(
                matches!(result, Ok(()) | Err(DropReason::MixLate | DropReason::MixFull)),
                "seed {seed}"
            );
            assert!(
                jitter.depth() <= MAX_DEPTH as u32,
                "seed {seed}, step {step}: {}",
                jitter.depth()
            );
            timestamp = timestamp.wrapping_add(len as u32);
        }
        // It recovers: an even stream is heard whole again.
        let mut received = 0;
        for n in 0..200u32 {
            let _ = jitter.push(StreamId(0), n * 160, Law::Pcma, &[0x2a; 160]);
            jitter.pop();
            received += u32::from(jitter.frame().0 == Frame::Received);
        }
        assert!(received >= 195, "seed {seed}: {received}");
    }
}
