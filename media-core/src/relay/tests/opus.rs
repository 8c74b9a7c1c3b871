//! Legs of Opus: untouched between two that speak it, G.711 for all others.

use super::voices::{OPUS, OTHER, OWN, Speaker, THIRD, meet, open, talking};
use super::*;
use crate::g711;
use crate::opus::{MAX_HEARD, Opus};
use crate::sender::StreamId;
use crate::tone::{self, level};

const OPUS_EVENT: u8 = 110;
/// Most of another's tone.
const MOST: f64 = 300.0;

/// A peer that speaks Opus and may send either law.
fn softphone(rtp: &str) -> RemoteMedia {
    let mut received = received(EVENT);
    received.add(number(OPUS), Format::Audio(Codec::Opus));
    received.add(number(OPUS_EVENT), Format::OpusEvent);
    let telephone_event = Some(number(OPUS_EVENT));
    RemoteMedia {
        codec: Codec::Opus,
        audio: number(OPUS),
        telephone_event,
        received,
        ..remote(rtp)
    }
}

/// What a peer that speaks Opus hears; none of it lost.
struct Listener(Opus);

impl Listener {
    fn new() -> Listener {
        Listener(Opus::new().unwrap())
    }

    fn hear(&mut self, heard: &Heard) -> Vec<i16> {
        let Header { payload_type, sequence, timestamp, .. } = heard.packet.header;
        assert_eq!(payload_type, number(OPUS));
        let mut audio = [0; MAX_HEARD];
        let decoded =
            self.0.decode(StreamId(0), sequence, timestamp, &heard.payload, Law::Pcma, &mut audio);
        let decoded = decoded.unwrap();
        assert_eq!(decoded.lost_len, 0);
        alaw_samples(&audio[..decoded.len])
    }
}

fn alaw_samples(audio: &[u8]) -> Vec<i16> {
    audio.iter().map(|byte| g711::decode_table(Law::Pcma)[usize::from(*byte)]).collect()
}

#[track_caller]
fn check(samples: &[i16], own: f64, other: f64) {
    super::voices::check(samples, own, other, MOST);
}

/// Each packet's number and timestamp follow the one before.
#[track_caller]
fn check_steps(heard: &[Heard], step: u32) {
    for pair in heard.windows(2) {
        let [before, after] = [&pair[0], &pair[1]].map(|heard| heard.packet.header);
        assert_eq!(after.sequence, before.sequence.wrapping_add(1));
        assert_eq!(after.timestamp, before.timestamp.wrapping_add(step));
        assert_eq!(after.ssrc, before.ssrc);
        assert!(!after.marker);
    }
}

#[test]
fn two_that_speak_it_are_relayed_untouched() {
    let (mut rig, [agent, _]) = talking(softphone(AGENT), softphone(CUSTOMER));
    let mut a = Talker::new(7);
    for round in 0..10u8 {
        // Any bytes: nobody looks.
        let payload: Vec<u8> = (0..40 + round).map(|n| round.wrapping_mul(31) ^ n).collect();
        let heard = rig.hear(agent, AGENT, &packet(a.header(OPUS), &payload));
        assert_eq!((heard.packet.header.payload_type.number(), heard.payload), (OPUS, payload));
    }
    // Nor does a recording change what is passed on, though it is not Opus.
    record(&mut rig.relay, rig.now, agent, agent).unwrap();
    let heard = rig.hear(agent, AGENT, &packet(a.header(OPUS), &[0x0b; 40]));
    assert_eq!(heard.payload, [0x0b; 40]);
    assert_eq!(rig.count(DropReason::MalformedOpus), 1);
}

#[test]
fn others_hear_it_in_g711_and_are_heard_in_opus() {
    let (mut rig, [agent, customer]) = talking(softphone(AGENT), alaw(CUSTOMER));
    let mut a = Speaker::new(7, Codec::Opus, OWN);
    let mut b = Speaker::new(9, Codec::Pcma, OTHER);
    let (mut to_customer, mut to_agent) = (Vec::new(), Vec::new());
    for _ in 0..50 {
        to_customer.push(rig.hear(agent, AGENT, &a.say()));
        to_agent.push(rig.hear(customer, CUSTOMER, &b.say()));
        rig.pass_ms(20);
    }
    assert!(to_customer.iter().all(|heard| heard.packet.header.payload_type == number(8)));
    check_steps(&to_customer, 160);
    check_steps(&to_agent, 960);
    let samples: Vec<i16> =
        to_customer.iter().flat_map(|heard| alaw_samples(&heard.payload)).collect();
    check(&samples, OWN, OTHER);
    let mut listener = Listener::new();
    let samples: Vec<i16> = to_agent.iter().flat_map(|heard| listener.hear(heard)).collect();
    check(&samples, OTHER, OWN);
    // Its clock is 48 kHz: even packets have no jitter.
    assert_eq!(rig.relay.leg_report(agent).jitter, Duration::ZERO);
    // What is played to it is Opus as well, and follows.
    rig.pass_ms(600);
    rig.outputs();
    rig.relay.play(rig.now, agent, Tone::Ringback);
    let played = rtp_among(&rig.pass_ms(400));
    check_steps(&played, 960);
    let samples: Vec<i16> = played.iter().flat_map(|heard| listener.hear(heard)).collect();
    assert!(level(&samples, tone::RINGBACK.frequency) > 1_000.0);
}

/// Its RTCP tells what it loses; what it is sent then brings copies.
#[test]
fn copies_go_to_who_tells_of_loss() {
    let (mut rig, [agent, customer]) = talking(softphone(AGENT), alaw(CUSTOMER));
    let mut b = Speaker::new(9, Codec::Pcma, OTHER);
    let mut say = |rig: &mut Rig| {
        let heard = rig.hear(customer, CUSTOMER, &b.say());
        rig.pass_ms(20);
        heard
    };
    // Configurations below 12 are SILK's, of which alone there are copies (RFC 6716 §3.1).
    let is_silk = |heard: &Heard| heard.payload[0] >> 3 < 12;
    let first = say(&mut rig);
    assert!(!is_silk(&first));
    let ours = first.packet.header.ssrc.0.to_be_bytes();
    let mut report = [0; 32];
    report[..4].copy_from_slice(&[0x81, 201, 0, 7]);
    report[8..12].copy_from_slice(&ours);
    for (fraction_lost, is_expected) in
        [(0, false), (25, true), (0, true), (0, true), (0, false), (1, false)]
    {
        report[12] = fraction_lost;
        let socket = SocketId(agent.index * 2 + 1);
        assert_eq!(rig.forward_on(socket, "198.51.100.1:4001", &report).0, Forward::Local);
        // Changes take a packet or two.
        let heard: Vec<Heard> = (0..10).map(|_| say(&mut rig)).collect();
        assert_eq!(is_silk(&heard[9]), is_expected, "after a report of {fraction_lost}");
    }
}

#[test]
fn what_it_loses_is_made_up_for_in_order() {
    let (mut rig, [agent, _]) = talking(softphone(AGENT), alaw(CUSTOMER));
    let mut a = Speaker::new(7, Codec::Opus, OWN);
    let mut heard = Vec::new();
    for round in 0..50 {
        let datagram = a.say();
        match round {
            20 | 30 | 31 => continue,
            21 | 32 => {
                assert_eq!(rig.forward(agent, AGENT, &datagram), Forward::Local);
                heard.extend(rtp_among(&rig.outputs()));
            }
            _ => heard.push(rig.hear(agent, AGENT, &datagram)),
        }
        assert_eq!(heard.len(), round + 1);
    }
    check_steps(&heard, 160);
    let samples: Vec<i16> = heard.iter().flat_map(|heard| alaw_samples(&heard.payload)).collect();
    // What is made up fades in the second packet.
    for (at, least) in [(20, 2_500.0), (30, 2_500.0), (31, 1_000.0)] {
        let lost = &samples[at * 160..(at + 1) * 160];
        assert!(level(lost, OWN) > least, "{at}: {}", level(lost, OWN));
    }
    assert_eq!(rig.relay.leg_report(agent).lost, 3);
    // Whoever came too late was heard already.
    let mut late = a.talker;
    late.sequence = late.sequence.wrapping_sub(20);
    rig.dropped(agent, AGENT, &packet(late.header(OPUS), &[0x08, 1, 2]), DropReason::Late);
}

#[test]
fn packets_of_any_length_become_whole_frames() {
    for (len, packet_count) in [(80, 25), (160, 50), (240, 50), (480, 50), (960, 50)] {
        let (mut rig, [_, customer]) = talking(softphone(AGENT), alaw(CUSTOMER));
        let mut header = Talker::new(9).header(8);
        let (mut listener, mut samples, mut count) = (Listener::new(), Vec::new(), 0);
        for at in 0..50u32 {
            (header.sequence, header.timestamp) = (at as u16, at * len as u32);
            let mut audio = vec![0; len];
            let voice = tone::Tone::steady(OTHER, 8_000.0);
            voice.fill_encoded(header.timestamp.into(), Law::Pcma, &mut audio);
            let (forward, buffer) =
                rig.forward_on(SocketId(customer.index * 2), CUSTOMER, &packet(header, &audio));
            if let Forward::To { socket, remote, start, len } = forward {
                samples.extend(listener.hear(&heard(socket, remote, &buffer[start..start + len])));
                count += 1;
            }
        }
        assert_eq!(count, packet_count, "packets of {len}");
        assert_eq!(samples.len(), 50 * len / 160 * 160);
        check(&samples, OTHER, OWN);
    }
}

#[test]
fn it_is_mixed_and_recorded_with_others() {
    let (mut rig, [agent, customer]) = talking(softphone(AGENT), alaw(CUSTOMER));
    let third = open(&mut rig, softphone(THIRD));
    let (to_third, left) = meet(&mut rig, [agent, customer, third], Codec::Opus);
    check_steps(&to_third, 960);
    let mut listener = Listener::new();
    let samples: Vec<i16> = to_third.iter().flat_map(|heard| listener.hear(heard)).collect();
    let end = &samples[samples.len() - 800..];
    assert!([OWN, OTHER].iter().all(|frequency| level(end, *frequency) > 4_000.0));
    check(&left[..1_600.min(left.len())], OWN, OTHER);
}

#[test]
fn a_change_of_codec_keeps_the_stream() {
    let narrow = || RemoteMedia { received: softphone(AGENT).received, ..remote(AGENT) };
    let (mut rig, [agent, customer]) = talking(narrow(), alaw(CUSTOMER));
    assert!(rig.relay.admit_opus(agent));
    let (mut a, mut c) = (Talker::new(7), Speaker::new(9, Codec::Pcma, OTHER));
    let mut to_customer = vec![rig.hear(agent, AGENT, &a.audio())];
    let mut before = rig.hear(customer, CUSTOMER, &c.say()).packet.header;
    let mut opus = Speaker::new(7, Codec::Opus, OWN);
    opus.talker = a;
    for (remote, payload_type) in [(softphone(AGENT), OPUS), (narrow(), AUDIO)] {
        rig.relay.set_remote(rig.now, agent, remote);
        rig.pass_ms(20);
        let heard = rig.hear(customer, CUSTOMER, &c.say()).packet.header;
        assert_eq!(heard.payload_type, number(payload_type));
        assert_eq!((heard.ssrc, heard.marker), (before.ssrc, true));
        assert_eq!(heard.sequence, before.sequence.wrapping_add(1));
        assert!((heard.timestamp.wrapping_sub(before.timestamp) as i32) > 0);
        before = heard;
        // The agent's own stream changes under one SSRC.
        to_customer.push(rig.hear(agent, AGENT, &opus.say()));
        rig.pass_ms(20);
        a = opus.talker;
        to_customer.push(rig.hear(agent, AGENT, &a.audio()));
        opus.talker = a;
        rig.pass_ms(20);
    }
    for pair in to_customer.windows(2) {
        let [before, after] = [&pair[0], &pair[1]].map(|heard| heard.packet.header);
        assert_eq!(after.sequence, before.sequence.wrapping_add(1));
        let step = after.timestamp.wrapping_sub(before.timestamp);
        assert!((160..=480).contains(&step), "{step}");
        assert!(after.marker);
    }
}

#[test]
fn keys_are_told_at_the_clock_of_who_hears_them() {
    let (mut rig, [agent, customer]) = talking(softphone(AGENT), alaw(CUSTOMER));
    let mut a = Speaker::new(7, Codec::Opus, OWN);
    let mut c = Talker::new(9);
    let voice = rig.hear(agent, AGENT, &a.say()).packet.header;
    let begin = rig.hear(customer, CUSTOMER, &packet(c.header(8), &[0x55; 160])).packet.header;
    let mut press = a.talker.header(OPUS_EVENT);
    press.timestamp = 9_600u32.wrapping_neg().wrapping_add(2 * 960);
    let heard = rig.hear(agent, AGENT, &packet(press, &[5, 0x8a, 0x12, 0xc0]));
    let header = heard.packet.header;
    // 4,800 ticks are 800 samples.
    assert_eq!((header.payload_type, heard.payload), (number(EVENT), vec![5, 0x8a, 0x03, 0x20]));
    assert_eq!(header.timestamp, voice.timestamp.wrapping_add(160));
    assert!(rig.events().contains(&Event::TelephoneEvent(agent, 5)));
    for (duration, told) in [([0x03, 0x20], [0x12, 0xc0]), ([0x40, 0], [0xff, 0xff])] {
        let mut press = c.header(EVENT);
        press.timestamp = c.timestamp;
        let payload = [6, 0x0a, duration[0], duration[1]];
        let heard = rig.hear(customer, CUSTOMER, &packet(press, &payload));
        assert_eq!(heard.packet.header.payload_type, number(OPUS_EVENT));
        assert_eq!(heard.payload, [6, 0x0a, told[0], told[1]]);
        let steps = heard.packet.header.timestamp.wrapping_sub(begin.timestamp);
        assert_eq!(steps % 960, 0);
    }
    // Ours to it are at its clock, too.
    rig.relay.send_digits(rig.now, agent, &[1]).unwrap();
    let sent = rtp_among(&rig.pass_ms(200));
    let durations: Vec<u16> = sent
        .iter()
        .filter(|heard| heard.packet.header.payload_type == number(OPUS_EVENT))
        .map(|heard| u16::from_be_bytes([heard.payload[2], heard.payload[3]]))
        .collect();
    assert_eq!(durations, [960, 1_920, 2_880, 3_840, 4_800, 4_800, 4_800]);
}

#[test]
fn any_bytes_are_heard_or_counted() {
    let (mut rig, [agent, _]) = talking(softphone(AGENT), alaw(CUSTOMER));
    let mut a = Talker::new(7);
    let mut state = 7u32;
    let (mut heard, mut dropped) = (0, 0);
    for round in 0..2_000 {
        let len = round % 97;
        let payload: Vec<u8> = (0..len)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect();
        let mut header = a.header(OPUS);
        header.timestamp = header.timestamp.wrapping_mul(6);
        match rig.forward(agent, AGENT, &packet(header, &payload)) {
            Forward::To { .. } | Forward::Local => heard += 1,
            Forward::Drop(DropReason::MalformedOpus) => dropped += 1,
            other => panic!("{other:?}"),
        }
        rig.outputs();
    }
    assert!(heard > 100 && dropped > 100, "{heard} and {dropped}");
    assert_eq!(rig.count(DropReason::MalformedOpus), dropped);
}

#[test]
fn so_many_legs_speak_it_and_no_more() {
    let mut rig = Rig::with_pairs(10);
    let legs: Vec<LegId> = (0..9).map(|_| rig.relay.open_leg(rig.now).unwrap()).collect();
    let admitted: Vec<bool> = legs.iter().map(|leg| rig.relay.admit_opus(*leg)).collect();
    assert_eq!(admitted, [[true; 8].as_slice(), &[false]].concat());
    assert!(rig.relay.admit_opus(legs[0]), "it has it");
    assert_eq!(rig.count(DropReason::OpusFull), 1);
    rig.relay.close_leg(rig.now, legs[3]);
    assert!(rig.relay.admit_opus(legs[8]));
    assert_eq!(rig.relay.opus_count(), 8);
    assert!(!rig.relay.admit_opus(legs[3]), "it is closed");
}
