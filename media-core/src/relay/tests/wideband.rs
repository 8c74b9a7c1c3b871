//! Legs of G.722: untouched between two that speak it, the lower band for all others.

use super::*;
use crate::g711;
use crate::g722::{Decoder, Encoder};
use crate::tone::{self, level};

const G722: u8 = 9;
const THIRD: &str = "192.0.2.3:7000";
const OWN: f64 = 600.0;
const OTHER: f64 = 1100.0;

/// A peer that speaks G.722 and may send either law.
fn wide(rtp: &str) -> RemoteMedia {
    let mut received = received(EVENT);
    received.add(number(G722), Format::Audio(Codec::G722));
    RemoteMedia { codec: Codec::G722, audio: number(G722), received, ..remote(rtp) }
}

/// A rig in which this peer took the place of the agent's.
fn talking(agent_remote: RemoteMedia, customer_remote: RemoteMedia) -> (Rig, [LegId; 2]) {
    let mut rig = Rig::new();
    let (agent, customer) = (rig.open(AGENT), rig.open(CUSTOMER));
    rig.relay.set_remote(rig.now, agent, agent_remote);
    rig.relay.set_remote(rig.now, customer, customer_remote);
    bridge(&mut rig.relay, rig.now, agent, customer);
    rig.outputs();
    (rig, [agent, customer])
}

/// Speaks a tone, 20 ms a time, in G.722 or A-law.
struct Speaker {
    talker: Talker,
    encoder: Option<Encoder>,
    frequency: f64,
    position: u64,
}

impl Speaker {
    fn new(ssrc: u32, codec: Codec, frequency: f64) -> Speaker {
        let encoder = (codec == Codec::G722).then(Encoder::default);
        Speaker { talker: Talker::new(ssrc), encoder, frequency, position: 0 }
    }

    fn say(&mut self) -> Vec<u8> {
        let mut samples = [0; 160];
        tone::Tone::steady(self.frequency, 8_000.0).fill(self.position, &mut samples);
        self.position += 160;
        let (payload_type, payload) = match &mut self.encoder {
            Some(encoder) => (G722, samples.map(|sample| encoder.encode(sample))),
            None => (8, samples.map(|sample| g711::encode(Law::Pcma, sample))),
        };
        packet(self.talker.header(payload_type), &payload)
    }
}

fn decode(payloads: &[Vec<u8>]) -> Vec<i16> {
    let mut decoder = Decoder::default();
    payloads.iter().flatten().map(|byte| decoder.decode(*byte)).collect()
}

#[track_caller]
fn check(samples: &[i16], own: f64, other: f64) {
    let end = &samples[samples.len() - 800..];
    let levels = [own, other].map(|frequency| level(end, frequency));
    assert!(levels[0] > 7_000.0 && levels[1] < 200.0, "{levels:?}");
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
    let third = rig.relay.open_leg(rig.now).unwrap();
    rig.relay.set_remote(rig.now, third, wide(THIRD));
    let legs = [agent, customer, third];
    for leg in legs {
        let others: Vec<LegId> = legs.into_iter().filter(|other| *other != leg).collect();
        rig.relay.set_hearing(rig.now, leg, &others);
    }
    let id = record(&mut rig.relay, rig.now, agent, customer).unwrap();
    rig.outputs();
    let mut a = Speaker::new(7, Codec::G722, OWN);
    let mut c = Speaker::new(9, Codec::Pcma, OTHER);
    let (mut to_third, mut recorded) = (Vec::new(), Vec::new());
    for _ in 0..150 {
        rig.forward(agent, AGENT, &a.say());
        rig.forward(customer, CUSTOMER, &c.say());
        let outputs = rig.pass_ms(20);
        recorded.extend(outputs.iter().filter_map(|done| match done {
            Done::Record(recording, _, bytes) if *recording == id => Some(bytes.clone()),
            _ => None,
        }));
        let heard = rtp_among(&outputs).into_iter();
        to_third.extend(heard.filter(|heard| heard.remote == address(THIRD)).map(|heard| {
            assert_eq!(heard.packet.header.payload_type.number(), G722);
            heard.payload
        }));
    }
    let samples = decode(&to_third);
    let end = &samples[samples.len() - 800..];
    assert!([OWN, OTHER].iter().all(|frequency| level(end, *frequency) > 7_000.0));
    let last = recorded.last().unwrap();
    let left: Vec<i16> =
        last.chunks_exact(4).map(|frame| i16::from_le_bytes([frame[0], frame[1]])).collect();
    check(&left[..1_600.min(left.len())], OWN, OTHER);
}
