//! Tones through both directions, what is lost and made up for, and bytes that are no Opus.

use super::*;
use crate::tone::{Tone, level};

const STREAM: StreamId = StreamId(1);
const LOW: f64 = 500.0;
const HIGH: f64 = 1_500.0;
const AMPLITUDE: f64 = 8_000.0;

/// µ-law of a steady tone from this sample on.
fn tone(frequency: f64, position: usize, len: usize) -> Vec<u8> {
    let mut samples = vec![0; len];
    Tone::steady(frequency, AMPLITUDE).fill(position as u64, &mut samples);
    samples.into_iter().map(|sample| g711::encode(Law::Pcmu, sample)).collect()
}

fn samples(audio: &[u8]) -> Vec<i16> {
    audio.iter().map(|byte| g711::decode_table(Law::Pcmu)[usize::from(*byte)]).collect()
}

/// The packets of audio that comes in pieces of this length, with their numbers.
fn packets(opus: &mut Opus, audio: &[u8], piece: usize) -> Vec<(Numbers, Vec<u8>)> {
    let mut packets = Vec::new();
    for (at, audio) in audio.chunks(piece).enumerate() {
        let mut packet = [0; 1_500];
        let (sequence, timestamp) = (at as u16, (at * piece) as u32);
        let made = opus.encode(STREAM, sequence, timestamp, (Law::Pcmu, audio), &mut packet);
        packets.extend(made.unwrap().map(|(len, numbers)| (numbers, packet[..len].to_vec())));
    }
    packets
}

/// What comes of the packets, each with what was lost before it.
fn hear(opus: &mut Opus, packets: &[(Numbers, Vec<u8>)]) -> Vec<(Heard, Vec<u8>)> {
    let mut audio = [0; MAX_HEARD];
    let mut hear = |(numbers, packet): &(Numbers, Vec<u8>)| {
        let Numbers { sequence, timestamp } = *numbers;
        let heard = opus.decode(STREAM, sequence, timestamp, packet, Law::Pcmu, &mut audio);
        let heard = heard.unwrap();
        (heard, audio[..heard.lost_len + heard.len].to_vec())
    };
    packets.iter().map(&mut hear).collect()
}

#[test]
fn a_tone_comes_out_as_it_went_in_whatever_its_packets_are() {
    for piece in [80, 160, 240, 320, 400, 480, 960] {
        let (mut near, mut far) = (Opus::new().unwrap(), Opus::new().unwrap());
        let audio = tone(LOW, 0, 9_600);
        let packets = packets(&mut near, &audio, piece);
        let heard = hear(&mut far, &packets);
        // Each sample once, and in its place.
        let places: Vec<u32> = heard.iter().map(|(heard, _)| heard.timestamp).collect();
        let mut expected = places[0];
        for ((heard, _), (numbers, _)) in heard.iter().zip(&packets) {
            assert_eq!((heard.timestamp, heard.lost_len), (expected, 0), "pieces of {piece}");
            assert_eq!(numbers.timestamp % TICKS, 0);
            expected = expected.wrapping_add(heard.len as u32);
        }
        assert!(packets.windows(2).all(|pair| pair[1].0.sequence == pair[0].0.sequence + 1));
        let all: Vec<i16> = heard.iter().flat_map(|(_, audio)| samples(audio)).collect();
        assert!(all.len() + FRAME > audio.len(), "pieces of {piece}: {}", all.len());
        let end = &all[all.len() - 1_600..];
        let (own, other) = (level(end, LOW), level(end, HIGH));
        assert!((7_000.0..9_000.0).contains(&own) && other < 200.0, "{own} and {other}");
    }
}

/// Syllables of a low tone and then a high one, with pauses between them: what libopus takes for
/// speech, of which alone it makes copies. The frame in which the pitch changes is lost, and
/// nothing before it tells of that; how loud both tones are in what comes of it.
fn lose(fraction_lost: u8) -> (f64, f64) {
    const COUNT: usize = 40;
    let (mut near, mut far) = (Opus::new().unwrap(), Opus::new().unwrap());
    near.hear_loss(fraction_lost);
    let pause = vec![g711::encode(Law::Pcmu, 0); 5 * FRAME];
    let syllable = [pause, tone(LOW, 0, 2 * FRAME), tone(HIGH, 0, 3 * FRAME)].concat();
    let mut packets = packets(&mut near, &syllable.repeat(COUNT), FRAME);
    let mut at = 0..;
    packets.retain(|_| at.next().unwrap() % 10 != 7);
    let (mut low, mut high, mut count) = (0.0, 0.0, 0);
    for (heard, audio) in hear(&mut far, &packets) {
        if heard.lost_len > 0 {
            assert_eq!((heard.lost_len, heard.lost_count, heard.len), (FRAME, 1, FRAME));
            let lost = samples(&audio[..FRAME]);
            (low, high, count) = (low + level(&lost, LOW), high + level(&lost, HIGH), count + 1);
        }
    }
    assert_eq!(count, COUNT);
    (low / COUNT as f64, high / COUNT as f64)
}

// RFC 6716 §2.1.7
#[test]
fn what_is_lost_comes_from_the_next_packet() {
    let (low, high) = lose(WORTH_COPIES);
    assert!(high > 2_500.0 && low < 3_500.0, "{low} and {high}");
    let (low, high) = lose(WORTH_COPIES - 1);
    assert!(high < 400.0 && low > 5_000.0, "without copies: {low} and {high}");
}

#[test]
fn without_a_copy_it_is_made_of_what_came_before() {
    let (mut near, mut far) = (Opus::new().unwrap(), Opus::new().unwrap());
    let mut packets = packets(&mut near, &tone(LOW, 0, 8_000), FRAME);
    packets.drain(20..22);
    let (heard, audio) = hear(&mut far, &packets).remove(20);
    assert_eq!((heard.lost_len, heard.lost_count, heard.len), (2 * FRAME, 2, FRAME));
    assert!(level(&samples(&audio[..heard.lost_len]), LOW) > 4_000.0);
}

/// Copies begin with a report of loss and end after some of none; the change is not heard.
#[test]
fn what_is_sent_follows_the_peers_reports() {
    let (mut near, mut far) = (Opus::new().unwrap(), Opus::new().unwrap());
    // Copies are those of SILK alone (RFC 6716 §4.2.3): behind one frame's voice flag.
    let is_copied = |packet: &[u8]| packet[0] >> 3 < 12 && packet[1] & 0x40 != 0;
    let reports = [0, 26, 0, 0, 26, 2, 0, 0, 0];
    let copied = [false, true, true, true, true, true, true, false, false];
    let rhythm: Vec<u8> =
        (0..10).flat_map(|_| [tone(LOW, 0, 480), vec![0xff; 320]].concat()).collect();
    let (mut sequence, mut all) = (0u16, Vec::new());
    for (report, is_expected) in reports.into_iter().zip(copied) {
        near.hear_loss(report);
        let mut copy_count = 0;
        for audio in rhythm.chunks(FRAME) {
            let (mut packet, mut heard) = ([0; MAX_PACKET_LEN], [0; MAX_HEARD]);
            let timestamp = u32::from(sequence) * FRAME as u32;
            let made = near.encode(STREAM, sequence, timestamp, (Law::Pcmu, audio), &mut packet);
            let (len, Numbers { sequence: number, timestamp }) = made.unwrap().unwrap();
            let packet = &packet[..len];
            copy_count += usize::from(is_copied(packet));
            far.decode(STREAM, number, timestamp, packet, Law::Pcmu, &mut heard).unwrap();
            all.extend(samples(&heard[..FRAME]));
            sequence += 1;
        }
        assert_eq!(copy_count > 10, is_expected, "{copy_count} copies after {report}");
    }
    // Each syllable's middle, wherever the delay puts it, is as loud as ever.
    let loudest = |syllable: &[i16]| {
        syllable.windows(240).step_by(40).map(|part| level(part, LOW)).fold(0.0, f64::max)
    };
    for (at, syllable) in all.chunks(800).enumerate() {
        let loudest = loudest(syllable);
        assert!((6_500.0..9_500.0).contains(&loudest), "{at}: {loudest}");
    }
}

#[test]
fn pauses_and_long_losses_are_left_as_they_are() {
    for (skipped, numbers) in [(10, 0), (10, 10), (4, 4)] {
        let (mut near, mut far) = (Opus::new().unwrap(), Opus::new().unwrap());
        let mut packets = packets(&mut near, &tone(LOW, 0, 8_000), FRAME);
        packets.drain(20..20 + skipped);
        for (number, _) in &mut packets[20..] {
            number.sequence -= (skipped - numbers) as u16;
        }
        let heard = hear(&mut far, &packets);
        let (before, (after, _)) = (&heard[19].0, &heard[20]);
        assert_eq!((after.lost_len, after.lost_count, after.len), (0, 0, FRAME));
        let step = after.timestamp.wrapping_sub(before.timestamp) as usize;
        assert_eq!(step, (1 + skipped) * FRAME);
    }
}

#[test]
fn what_comes_late_or_twice_is_refused() {
    let (mut near, mut far) = (Opus::new().unwrap(), Opus::new().unwrap());
    let packets = packets(&mut near, &tone(LOW, 0, 1_600), FRAME);
    hear(&mut far, &packets[..3]);
    let mut audio = [0; MAX_HEARD];
    for (numbers, packet) in &packets[1..3] {
        let Numbers { sequence, timestamp } = *numbers;
        let again = far.decode(STREAM, sequence, timestamp, packet, Law::Pcmu, &mut audio);
        assert_eq!(again, Err(DropReason::Late));
    }
    let again = near.encode(STREAM, 9, 9 * 160, (Law::Pcmu, &[0; 160]), &mut [0; 500]);
    assert_eq!(again, Err(DropReason::Late));
    // Another stream begins anew, right after what was heard.
    let heard = far.decode(StreamId(2), 7, 77, &packets[3].1, Law::Pcmu, &mut audio).unwrap();
    assert_eq!((heard.timestamp, heard.lost_len), (3 * FRAME as u32, 0));
}

/// Any bytes come to what their first ones say, or are malformed; what comes then is heard.
#[test]
fn any_bytes_have_a_defined_answer() {
    let mut state = 1u64;
    let mut random = move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    let (mut near, mut far) = (Opus::new().unwrap(), Opus::new().unwrap());
    let sound = packets(&mut near, &tone(LOW, 0, 1_600), FRAME);
    let (mut audio, mut refused) = ([0; MAX_HEARD], 0);
    let (mut sequence, mut timestamp) = (0u16, 0u32);
    for round in 0..20_000 {
        let mut packet = sound[random() % sound.len()].1.clone();
        match round % 3 {
            0 => {
                let len = random() % [3, 50, 1_500][random() % 3];
                packet = (0..len).map(|_| random() as u8).collect();
            }
            1 => {
                let at = random() % packet.len();
                packet[at] ^= 1 << (random() % 8);
            }
            _ => packet.truncate(random() % packet.len()),
        }
        // Losses, too, pauses, and clocks that jump.
        sequence = sequence.wrapping_add(1 + (random() % 4) as u16);
        timestamp = timestamp.wrapping_add([960, 1_920, 2_880, random() as u32][random() % 4]);
        match far.decode(STREAM, sequence, timestamp, &packet, Law::Pcmu, &mut audio) {
            Ok(heard) => {
                assert_eq!(Some(heard.len), duration(&packet));
                assert!(heard.lost_len <= MAX_LOST);
            }
            Err(reason) => {
                assert_eq!(reason, DropReason::MalformedOpus);
                refused += 1;
            }
        }
    }
    assert!((2_000..18_000).contains(&refused), "{refused}");
    let packets = packets(&mut Opus::new().unwrap(), &tone(HIGH, 0, 8_000), FRAME);
    let mut all = Vec::new();
    for (at, (_, packet)) in packets.iter().enumerate() {
        let (sequence, timestamp) =
            (sequence.wrapping_add(1 + at as u16), timestamp.wrapping_add(960 * at as u32));
        let heard = far.decode(STREAM, sequence, timestamp, packet, Law::Pcmu, &mut audio);
        all.extend(samples(&audio[..heard.unwrap().len]));
    }
    let heard = level(&all[all.len() - 1_600..], HIGH);
    assert!(heard > 5_000.0, "{heard}");
}
