//! A party that sends none of its silence (RFC 3389): those who hear it, a mix and the recording
//! get noise as loud as it told, and their time goes on.

use super::*;
use crate::g711;

const THIRD: &str = "192.0.2.3:7000";

/// Root mean square of audio, in -dBov.
fn level(payloads: &[Vec<u8>], law: Law) -> f64 {
    let table = g711::decode_table(law);
    let squares: Vec<f64> = payloads
        .iter()
        .flatten()
        .map(|byte| f64::from(table[usize::from(*byte)]).powi(2))
        .collect();
    let mean = squares.iter().sum::<f64>() / squares.len() as f64;
    -10.0 * (mean / 32_767f64.powi(2)).log10()
}

fn payloads(heard: &[Heard]) -> Vec<Vec<u8>> {
    heard.iter().map(|heard| heard.payload.clone()).collect()
}

#[test]
fn silence_is_heard_as_loud_as_it_was_told() {
    for law in [Law::Pcmu, Law::Pcma] {
        for (told, expected) in [(&[48u8][..], 48.0), (&[60, 1, 2], 60.0), (&[0x80 | 40], 40.0)] {
            let (mut rig, agent, customer, mut a, _) = Rig::talking();
            if law == Law::Pcma {
                rig.relay.set_remote(rig.now, customer, alaw(CUSTOMER));
            }
            let before = rig.hear(agent, AGENT, &a.audio());
            rig.pass_ms(20);
            let noise = packet(a.header(NOISE), told);
            assert_eq!(rig.forward(agent, AGENT, &noise), Forward::Local);
            let heard = rtp_among(&rig.pass_ms(1_000));
            assert_eq!(heard.len(), 50);
            let found = level(&payloads(&heard), law);
            assert!((expected - 2.0..expected + 2.0).contains(&found), "{expected}: {found}");
            let first = heard[0].packet.header;
            assert_eq!(first.sequence, before.packet.header.sequence.wrapping_add(1));
            for pair in heard.windows(2) {
                let (before, after) = (pair[0].packet.header, pair[1].packet.header);
                assert_eq!(after.sequence, before.sequence.wrapping_add(1));
                assert_eq!(after.timestamp, before.timestamp.wrapping_add(160));
            }
            // Audio ends it, in one stream.
            let last = heard.last().unwrap().packet.header;
            rig.now += Duration::from_millis(20);
            a.timestamp = a.timestamp.wrapping_add(50 * 160);
            let next = rig.hear(agent, AGENT, &a.audio()).packet.header;
            assert_eq!(next.sequence, last.sequence.wrapping_add(1));
            assert!((160..=320).contains(&next.timestamp.wrapping_sub(last.timestamp)));
            assert_eq!(rtp_among(&rig.pass_ms(200)), []);
        }
    }
}

#[test]
fn noise_is_never_loud_and_stops_with_the_leg() {
    for (told, least) in [(&[0u8][..], 28.0), (&[], 80.0)] {
        let (mut rig, agent, customer, mut a, _) = Rig::talking();
        rig.forward(agent, AGENT, &packet(a.header(NOISE), told));
        let found = level(&payloads(&rtp_among(&rig.pass_ms(400))), Law::Pcmu);
        assert!(found > least, "{told:?}: {found}");
        // A tone that plays goes on.
        rig.relay.play(rig.now, customer, Tone::Ringback);
        let played = payloads(&rtp_among(&rig.pass_ms(380)));
        assert_eq!(played.len(), 19);
        assert!(level(&played, Law::Pcmu) < 25.0);
        rig.relay.stop_playing(customer);
        rig.relay.close_leg(rig.now, agent);
        rig.outputs();
        assert_eq!(rtp_among(&rig.pass_ms(400)), []);
    }
}

// Who holds is not heard.
#[test]
fn nothing_is_made_of_a_leg_on_hold() {
    let (mut rig, agent, _, mut a, _) = Rig::talking();
    rig.forward(agent, AGENT, &packet(a.header(NOISE), &[40]));
    let held = RemoteMedia { direction: Direction::SendOnly, ..remote(AGENT) };
    rig.relay.set_remote(rig.now, agent, held);
    assert_eq!(rtp_among(&rig.pass_ms(400)), []);
}

#[test]
fn a_mix_and_the_recording_hold_it() {
    let (mut rig, agent, customer, mut a, mut b) = Rig::talking();
    let third = rig.open(THIRD);
    let legs = [agent, customer, third];
    for leg in legs {
        rig.relay.set_hearing(rig.now, leg, &legs);
    }
    let id = record(&mut rig.relay, rig.now, agent, customer).unwrap();
    rig.outputs();
    rig.forward(agent, AGENT, &packet(a.header(NOISE), &[40]));
    let (mut to_third, mut recorded) = (Vec::new(), Vec::new());
    for _ in 0..150 {
        // The customer is silent, and sends its silence.
        rig.forward(customer, CUSTOMER, &packet(b.header(AUDIO), &[0xff; 160]));
        let outputs = rig.pass_ms(20);
        let heard = rtp_among(&outputs).into_iter();
        to_third.extend(heard.filter(|heard| heard.remote == address(THIRD)));
        recorded.extend(outputs.into_iter().filter_map(|done| match done {
            Done::Record(recording, _, bytes) if recording == id => Some(bytes),
            _ => None,
        }));
    }
    assert!(to_third.len() > 140, "{}", to_third.len());
    let found = level(&payloads(&to_third[20..]), Law::Pcmu);
    assert!((38.0..42.0).contains(&found), "{found}");
    // The first block, which is written at each flush, behind its header.
    let block = &recorded.last().unwrap()[44..4_096];
    let squares = |channel: usize| {
        let samples = block
            .chunks_exact(4)
            .map(|frame| i16::from_le_bytes([frame[channel], frame[channel + 1]]));
        samples.map(|sample| f64::from(sample).powi(2)).sum::<f64>()
    };
    let mean = squares(0) / (block.len() / 4) as f64;
    let found = -10.0 * (mean / 32_767f64.powi(2)).log10();
    assert!((37.0..43.0).contains(&found), "{found}");
    assert!(squares(2) < 100.0, "the customer's channel");
}
