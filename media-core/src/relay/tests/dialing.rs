//! Digits to a leg: events by RFC 4733, tones without them, and the stream that goes on around
//! them.

use super::*;
use crate::g711;
use crate::tone::level;

/// Speaks and lets 20 ms pass; returns what the customer is sent.
fn round(rig: &mut Rig, agent: LegId, a: &mut Talker) -> Vec<Heard> {
    let (forward, buffer) = rig.forward_on(SocketId(agent.index * 2), AGENT, &a.audio());
    let mut all = Vec::new();
    if let Forward::To { socket, remote, start, len } = forward {
        all.push(heard(socket, remote, &buffer[start..start + len]));
    }
    all.extend(rtp_among(&rig.pass_ms(20)));
    all
}

fn is_event(heard: &Heard) -> bool {
    heard.packet.header.payload_type == number(EVENT)
}

#[test]
fn events_have_the_form_of_rfc_4733_and_the_stream_goes_on_around_them() {
    let (mut rig, agent, customer, mut a, _) = Rig::talking();
    let mut all: Vec<Heard> = (0..5).flat_map(|_| round(&mut rig, agent, &mut a)).collect();
    assert_eq!(rig.relay.send_digits(rig.now, customer, &[1, 11]), Ok(()));
    all.extend((0..30).flat_map(|_| round(&mut rig, agent, &mut a)));
    for pair in all.windows(2) {
        let (before, after) = (pair[0].packet.header, pair[1].packet.header);
        assert_eq!((after.ssrc, after.sequence), (before.ssrc, before.sequence.wrapping_add(1)));
    }
    let events: Vec<&Heard> = all.iter().filter(|heard| is_event(heard)).collect();
    let told: Vec<(bool, &[u8])> =
        events.iter().map(|event| (event.packet.header.marker, &event.payload[..])).collect();
    let of_key = |key: u8| -> Vec<(bool, Vec<u8>)> {
        let steps =
            [(0, 160u16), (0, 320), (0, 480), (0, 640), (0x80, 800), (0x80, 800), (0x80, 800)];
        steps
            .iter()
            .map(|(end, duration)| {
                (*duration == 160, vec![key, end | 10, (duration >> 8) as u8, *duration as u8])
            })
            .collect()
    };
    let expected: Vec<(bool, Vec<u8>)> = of_key(1).into_iter().chain(of_key(11)).collect();
    assert!(
        told.iter().map(|(marker, payload)| (*marker, payload.to_vec())).eq(expected),
        "{told:?}"
    );
    let stamps: Vec<u32> = events.iter().map(|event| event.packet.header.timestamp).collect();
    assert!(
        stamps[..7].iter().all(|stamp| *stamp == stamps[0])
            && stamps[7..].iter().all(|stamp| *stamp == stamps[7])
    );
    assert_eq!(stamps[7].wrapping_sub(stamps[0]), 1280, "a key each 160 ms");
    // The audio's clock did not stop, and nothing marks its return.
    let audio: Vec<&Heard> = all.iter().filter(|heard| !is_event(heard)).collect();
    assert_eq!(audio.len(), 35 - 16);
    for (n, pair) in audio.windows(2).enumerate() {
        let step = pair[1].packet.header.timestamp.wrapping_sub(pair[0].packet.header.timestamp);
        assert!(step == 160 || step == 17 * 160, "packet {n}: {step}");
        assert!(!pair[1].packet.header.marker);
    }
    assert_eq!(rig.count(DropReason::Dialing), 16);
    assert_eq!(rig.relay.leg_report(customer).sent, 1 + 19 + 14);
}

#[test]
fn a_source_that_changed_meanwhile_is_a_switch_in_the_same_stream() {
    let (mut rig, agent, customer, mut a, _) = Rig::talking();
    let before = round(&mut rig, agent, &mut a);
    rig.relay.send_digits(rig.now, customer, &[5]).unwrap();
    let mut other = Talker::new(0x7777);
    let after: Vec<Heard> = (0..12).flat_map(|_| round(&mut rig, agent, &mut other)).collect();
    for (n, heard) in before.iter().chain(&after).enumerate() {
        assert_eq!(
            heard.packet.header.sequence,
            before[0].packet.header.sequence.wrapping_add(n as u16)
        );
    }
    let first = after.iter().find(|heard| !is_event(heard)).unwrap();
    let event = after.iter().find(|heard| is_event(heard)).unwrap();
    assert!(first.packet.header.marker || after[0] == *first);
    assert!(
        (event.packet.header.timestamp.wrapping_sub(before[0].packet.header.timestamp) as i32) > 0
    );
}

#[test]
fn without_telephone_events_keys_are_tones() {
    let (mut rig, agent, customer, mut a, _) = Rig::talking();
    rig.relay.set_remote(
        rig.now,
        customer,
        RemoteMedia { telephone_event: None, ..remote(CUSTOMER) },
    );
    let mut all = round(&mut rig, agent, &mut a);
    rig.relay.send_digits(rig.now, customer, &[9, 12]).unwrap();
    // The first packet comes before the first tick.
    all.extend((0..20).flat_map(|_| round(&mut rig, agent, &mut a)));
    for pair in all.windows(2) {
        let (before, after) = (pair[0].packet.header, pair[1].packet.header);
        assert_eq!(after.sequence, before.sequence.wrapping_add(1));
        let step = after.timestamp.wrapping_sub(before.timestamp);
        assert!((1..=320).contains(&step), "{step}");
    }
    let tones: Vec<i16> = all[2..18]
        .iter()
        .flat_map(|heard| &heard.payload)
        .map(|byte| g711::decode_table(Law::Pcmu)[usize::from(*byte)])
        .collect();
    #[track_caller]
    fn check(samples: &[i16], row: f64, column: f64) {
        assert!(level(&samples[..800], row) > 4500.0 && level(&samples[..800], column) > 4500.0);
        assert!(samples[800..1280].iter().all(|sample| *sample == 0), "the gap");
    }
    check(&tones[..1280], 852.0, 1477.0);
    check(&tones[1280..], 697.0, 1633.0);
}

#[test]
fn a_pause_lets_the_voice_through() {
    let (mut rig, agent, customer, mut a, _) = Rig::talking();
    rig.relay.send_digits(rig.now, customer, &[PAUSE, 3]).unwrap();
    let during: Vec<Heard> = (0..50).flat_map(|_| round(&mut rig, agent, &mut a)).collect();
    assert_eq!((during.len(), during.iter().filter(|heard| is_event(heard)).count()), (50, 0));
    let after: Vec<Heard> = (0..8).flat_map(|_| round(&mut rig, agent, &mut a)).collect();
    assert_eq!(after.iter().filter(|heard| is_event(heard)).count(), 7);
}

#[test]
fn digits_that_cannot_be_sent_are_refused_whole() {
    let (mut rig, _, customer, ..) = Rig::talking();
    let mut check = |codes: &[u8], expected| {
        assert_eq!(rig.relay.send_digits(rig.now, customer, codes), expected)
    };
    check(&[16], Err(DigitsRefused::UnknownKey));
    check(&[1; 65], Err(DigitsRefused::Full));
    check(&[1; 60], Ok(()));
    check(&[2; 5], Err(DigitsRefused::Full));
    check(&[2; 4], Ok(()));
    let sent = rtp_among(&rig.pass_ms(64 * 160));
    assert_eq!(sent.len(), 64 * 7);
    assert_eq!(sent.iter().filter(|event| event.payload[0] == 2).count(), 4 * 7);
    rig.relay.set_remote(
        rig.now,
        customer,
        RemoteMedia { direction: Direction::RecvOnly, ..remote(CUSTOMER) },
    );
    assert_eq!(rig.relay.send_digits(rig.now, customer, &[1]), Err(DigitsRefused::NotSending));
    let unknown = rig.relay.open_leg(rig.now).unwrap();
    assert_eq!(rig.relay.send_digits(rig.now, unknown, &[1]), Err(DigitsRefused::NotSending));
}

#[test]
fn keys_come_between_a_tone_and_between_a_mix() {
    let (mut rig, agent, customer, mut a, _) = Rig::talking();
    let third = rig.open(FOREIGN);
    rig.outputs();
    rig.relay.set_hearing(rig.now, customer, &[]);
    rig.relay.play(rig.now, customer, Tone::Hold);
    let mut all = rtp_among(&rig.pass_ms(100));
    rig.relay.send_digits(rig.now, customer, &[4]).unwrap();
    all.extend(rtp_among(&rig.pass_ms(300)));
    assert_eq!(all.iter().filter(|heard| is_event(heard)).count(), 7);
    rig.relay.set_hearing(rig.now, customer, &[agent, third]);
    all.extend((0..10).flat_map(|_| round(&mut rig, agent, &mut a)));
    rig.relay.send_digits(rig.now, customer, &[4]).unwrap();
    let begin = all.len();
    all.extend((0..20).flat_map(|_| round(&mut rig, agent, &mut a)));
    assert_eq!(all[begin..].iter().filter(|heard| is_event(heard)).count(), 7);
    assert_eq!(all[begin..].len(), 20 - 1, "the gap's last tick is empty");
    assert!(
        all[begin + 7..].iter().all(|heard| !heard.packet.header.marker),
        "no switch after the key"
    );
    for pair in all.windows(2) {
        let (before, after) = (pair[0].packet.header, pair[1].packet.header);
        assert_eq!(after.sequence, before.sequence.wrapping_add(1));
        assert!((after.timestamp.wrapping_sub(before.timestamp) as i32) >= 0);
    }
}
