//! Legs of G.722: untouched between two that speak it, the lower band for all others.

use super::voices::{G722, OTHER, OWN, Speaker, THIRD, meet, open, talking};
use super::*;
use crate::g711;
use crate::g722::{Decoder, Encoder};
use crate::tone::{self, level};

/// Most of another's tone.
const MOST: f64 = 200.0;

/// A peer that speaks G.722 and may send either law.
fn wide(rtp: &str) -> RemoteMedia {
    let mut received = received(EVENT);
    received.add(number(G722), Format::Audio(Codec::G722));
    RemoteMedia { codec: Codec::G722, audio: number(G722), received, ..remote(rtp) }
}

fn decode(payloads: &[Vec<u8>]) -> Vec<i16> {
    let mut decoder = Decoder::default();
    payloads.iter().flatten().map(|byte| decoder.decode(*byte)).collect()
}

#[track_caller]
fn check(samples: &[i16], own: f64, other: f64) {
    super::voices::check(samples, own, other, MOST);
}

#[test]
fn two_that_speak_it_hear_both_bands() {
    let (mut rig, [agent, _]) = talking(wide(AGENT), wide(CUSTOMER));
    let mut a = Talker::new(7);
    for round in 0..10u8 {
        // Any bytes: upper bands, too.
        let payload: Vec<u8> = (0..160).map(|n| round.wrapping_mul(31) ^ n).collect();
        let heard = rig.hear(agent, AGENT, &packet(a.header(G722), &payload));
        assert_eq!((heard.packet.header.payload_type.number(), heard.payload), (G722, payload));
    }
    // Nor does a recording change what is passed on.
    record(&mut rig.relay, rig.now, agent, agent).unwrap();
    let heard = rig.hear(agent, AGENT, &packet(a.header(G722), &[0x55; 160]));
    assert_eq!(heard.payload, [0x55; 160]);
}

#[test]
fn others_hear_its_lower_band_and_are_heard_in_it() {
    let (mut rig, [agent, customer]) = talking(wide(AGENT), alaw(CUSTOMER));
    let mut a = Speaker::new(7, Codec::G722, OWN);
    let mut b = Speaker::new(9, Codec::Pcma, OTHER);
    let (mut to_customer, mut to_agent) = (Vec::new(), Vec::new());
    for _ in 0..50 {
        let heard = rig.hear(agent, AGENT, &a.say());
        assert_eq!(heard.packet.header.payload_type.number(), 8);
        to_customer.push(heard.payload);
        let heard = rig.hear(customer, CUSTOMER, &b.say());
        assert_eq!(heard.packet.header.payload_type.number(), G722);
        to_agent.push(heard.payload);
    }
    let table = g711::decode_table(Law::Pcma);
    let samples: Vec<i16> =
        to_customer.iter().flatten().map(|byte| table[usize::from(*byte)]).collect();
    check(&samples, OWN, OTHER);
    check(&decode(&to_agent), OTHER, OWN);
    // What is played to it is G.722 as well.
    rig.pass_ms(600);
    rig.outputs();
    rig.relay.play(rig.now, agent, Tone::Ringback);
    let played: Vec<Vec<u8>> = rtp_among(&rig.pass_ms(400))
        .into_iter()
        .inspect(|heard| assert_eq!(heard.packet.header.payload_type.number(), G722))
        .map(|heard| heard.payload)
        .collect();
    assert!(level(&decode(&played), tone::RINGBACK.frequency) > 1_000.0);
}

/// A peer sends what it likes of all that was offered, changing in mid-stream; who hears it gets
/// one stream of what it takes.
#[test]
fn a_format_may_change_in_mid_stream() {
    for (hearer, law) in [(remote(CUSTOMER), Law::Pcmu), (alaw(CUSTOMER), Law::Pcma)] {
        let (mut rig, [agent, _]) = talking(wide(AGENT), hearer);
        let mut wideband = Encoder::default();
        let (mut talker, mut heard) = (Talker::new(7), Vec::new());
        for at in 0..90u64 {
            let mut samples = [0; 160];
            tone::Tone::steady(OWN, 8_000.0).fill(at * 160, &mut samples);
            let (number, payload) = match at / 10 % 3 {
                0 => (0, samples.map(|sample| g711::encode(Law::Pcmu, sample))),
                1 => (8, samples.map(|sample| g711::encode(Law::Pcma, sample))),
                _ => (G722, samples.map(|sample| wideband.encode(sample))),
            };
            heard.push(rig.hear(agent, AGENT, &packet(talker.header(number), &payload)));
        }
        let sequence = |heard: &Heard| heard.packet.header.sequence;
        assert!(
            heard.windows(2).all(|pair| sequence(&pair[0]).wrapping_add(1) == sequence(&pair[1]))
        );
        let number = match law {
            Law::Pcmu => 0,
            Law::Pcma => 8,
        };
        assert!(heard.iter().all(|heard| heard.packet.header.payload_type.number() == number));
        let table = g711::decode_table(law);
        for (at, heard) in heard.iter().enumerate().filter(|(at, _)| at % 10 > 2) {
            let samples: Vec<i16> =
                heard.payload.iter().map(|byte| table[usize::from(*byte)]).collect();
            assert!(level(&samples, OWN) > 6_500.0, "packet {at}");
        }
    }
}

#[test]
fn it_is_mixed_and_recorded_with_others() {
    let (mut rig, [agent, customer]) = talking(wide(AGENT), alaw(CUSTOMER));
    let third = open(&mut rig, wide(THIRD));
    let (to_third, left) = meet(&mut rig, [agent, customer, third], Codec::G722);
    let to_third = to_third.into_iter().map(|heard| {
        assert_eq!(heard.packet.header.payload_type.number(), G722);
        heard.payload
    });
    let to_third: Vec<Vec<u8>> = to_third.collect();
    let samples = decode(&to_third);
    let end = &samples[samples.len() - 800..];
    assert!([OWN, OTHER].iter().all(|frequency| level(end, *frequency) > 7_000.0));
    check(&left[..1_600.min(left.len())], OWN, OTHER);
}
