//! Parties that speak with a tone, 20 ms a time, in a codec of their own: for the tests of those
//! who are not spoken to in it.

use super::*;
use crate::opus::Opus;
use crate::tone::{self, level};
use crate::{g711, g722};

pub(super) const G722: u8 = 9;
pub(super) const OPUS: u8 = 111;
pub(super) const THIRD: &str = "192.0.2.3:7000";
/// Frequencies of two who talk, in Hz.
pub(super) const OWN: f64 = 600.0;
pub(super) const OTHER: f64 = 1_100.0;

/// Opens a leg for this peer.
pub(super) fn open(rig: &mut Rig, remote: RemoteMedia) -> LegId {
    let leg = rig.relay.open_leg(rig.now).unwrap();
    assert!(remote.codec != Codec::Opus || rig.relay.admit_opus(leg));
    rig.relay.set_remote(rig.now, leg, remote);
    leg
}

/// Two who hear each other.
pub(super) fn talking(agent: RemoteMedia, customer: RemoteMedia) -> (Rig, [LegId; 2]) {
    let mut rig = Rig::new();
    let legs = [open(&mut rig, agent), open(&mut rig, customer)];
    bridge(&mut rig.relay, rig.now, legs[0], legs[1]);
    rig.outputs();
    (rig, legs)
}

/// Who speaks, in A-law unless the codec is another one.
pub(super) struct Speaker {
    pub talker: Talker,
    encoder: Encoder,
    /// In Hz; 0 is silence.
    pub frequency: f64,
    position: u64,
}

enum Encoder {
    Alaw,
    G722(g722::Encoder),
    Opus(Box<Opus>),
}

impl Speaker {
    pub fn new(ssrc: u32, codec: Codec, frequency: f64) -> Speaker {
        let encoder = match codec {
            Codec::G722 => Encoder::G722(g722::Encoder::default()),
            Codec::Opus => Encoder::Opus(Box::new(Opus::new().unwrap())),
            _ => Encoder::Alaw,
        };
        Speaker { talker: Talker::new(ssrc), encoder, frequency, position: 0 }
    }

    pub fn say(&mut self) -> Vec<u8> {
        let mut samples = [0; 160];
        tone::Tone::steady(self.frequency, 8_000.0).fill(self.position, &mut samples);
        self.position += 160;
        let audio = samples.map(|sample| g711::encode(Law::Pcma, sample));
        match &mut self.encoder {
            Encoder::Alaw => packet(self.talker.header(8), &audio),
            Encoder::G722(encoder) => {
                packet(self.talker.header(G722), &samples.map(|sample| encoder.encode(sample)))
            }
            Encoder::Opus(opus) => {
                let mut header = self.talker.header(OPUS);
                header.timestamp = (self.position as u32).wrapping_mul(6).wrapping_sub(9_600);
                let mut payload = [0; 480];
                let len = opus.encode_own((Law::Pcma, &audio), &mut payload).unwrap();
                packet(header, &payload[..len])
            }
        }
    }
}

/// The end of it is one's tone, and no more than this of the other's.
#[track_caller]
pub(super) fn check(samples: &[i16], own: f64, other: f64, most: f64) {
    let end = &samples[samples.len() - 800..];
    let levels = [own, other].map(|frequency| level(end, frequency));
    assert!(levels[0] > 7_000.0 && levels[1] < most, "{levels:?}");
}

/// Two who talk, the first in this codec, are recorded, and a third hears both: what it hears, and
/// the first one's channel of what was last written.
pub(super) fn meet(
    rig: &mut Rig,
    [agent, customer, third]: [LegId; 3],
    codec: Codec,
) -> (Vec<Heard>, Vec<i16>) {
    let legs = [agent, customer, third];
    for leg in legs {
        let others: Vec<LegId> = legs.into_iter().filter(|other| *other != leg).collect();
        rig.relay.set_hearing(rig.now, leg, &others);
    }
    let id = record(&mut rig.relay, rig.now, agent, customer).unwrap();
    rig.outputs();
    let mut a = Speaker::new(7, codec, OWN);
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
        to_third.extend(heard.filter(|heard| heard.remote == address(THIRD)));
    }
    let last = recorded.last().unwrap();
    let left: Vec<i16> =
        last.chunks_exact(4).map(|frame| i16::from_le_bytes([frame[0], frame[1]])).collect();
    (to_third, left)
}
