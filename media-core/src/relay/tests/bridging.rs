//! Who hears whom: headers, payload types, switches of source, ringback, hold, key presses.

use super::*;

/// The packet after another in the same outgoing stream, `step` samples later.
#[track_caller]
fn check_next(before: &Heard, after: &Heard, step: u32) {
    let (before, after) = (before.packet.header, after.packet.header);
    assert_eq!(after.ssrc, before.ssrc);
    assert_eq!(after.sequence, before.sequence.wrapping_add(1));
    assert_eq!(after.timestamp, before.timestamp.wrapping_add(step));
}

#[test]
fn packets_go_to_the_other_leg_with_its_own_header() {
    let (mut rig, agent, customer, mut a, mut b) = Rig::talking();
    let first = rig.hear(agent, AGENT, &a.audio());
    assert_eq!((first.socket, first.remote), (SocketId(customer.index * 2), address(CUSTOMER)));
    assert_eq!(first.payload, [0x2a; 160]);
    assert_ne!(first.packet.header.ssrc, Ssrc(a.ssrc));
    let second = rig.hear(agent, AGENT, &a.audio());
    check_next(&first, &second, 160);
    let back = rig.hear(customer, CUSTOMER, &b.audio());
    assert_eq!((back.socket, back.remote), (SocketId(agent.index * 2), address(AGENT)));
    assert_ne!(back.packet.header.ssrc, first.packet.header.ssrc);
}

#[test]
fn csrcs_extension_and_padding_stay_behind() {
    let (mut rig, agent, _, mut a, _) = Rig::talking();
    let plain = a.audio();
    let mut datagram = plain[..12].to_vec();
    datagram[0] = 0x80 | 0x20 | 0x10 | 2;
    datagram.extend_from_slice(&[9; 8]);
    datagram.extend_from_slice(&[0xbe, 0xde, 0, 1, 1, 2, 3, 4]);
    datagram.extend_from_slice(&plain[12..]);
    datagram.extend_from_slice(&[0, 0, 0, 4]);
    let heard = rig.hear(agent, AGENT, &datagram);
    assert_eq!((heard.packet.payload_start, heard.payload), (12, vec![0x2a; 160]));
}

#[test]
fn a_switch_of_source_is_one_marked_step_in_one_stream() {
    let (mut rig, agent, _, mut a, _) = Rig::talking();
    let before = rig.hear(agent, AGENT, &a.audio());
    // The agent's phone starts a new stream; it is heard once the old one has been missing for 60
    // ms.
    let mut other = Talker::new(0x1234_5678);
    for _ in 0..2 {
        rig.now += Duration::from_millis(20);
        rig.dropped(agent, AGENT, &other.audio(), DropReason::AlienStream);
    }
    rig.now += Duration::from_millis(20);
    let after = rig.hear(agent, AGENT, &other.audio());
    check_next(&before, &after, 480);
    assert!(after.packet.header.marker);
    let next = rig.hear(agent, AGENT, &other.audio());
    check_next(&after, &next, 160);
    assert!(!next.packet.header.marker);
}

#[test]
fn ringback_gives_way_to_early_media_in_one_stream() {
    let mut rig = Rig::new();
    let (agent, customer) = (rig.open(AGENT), rig.open(CUSTOMER));
    bridge(&mut rig.relay, rig.now, agent, customer);
    rig.relay.play(rig.now, agent, Tone::Ringback);
    let tones = rtp_among(&rig.pass_ms(1000));
    assert_eq!(tones.len(), 50);
    assert!(tones[0].packet.header.marker);
    for pair in tones.windows(2) {
        check_next(&pair[0], &pair[1], 160);
        assert!(!pair[1].packet.header.marker);
    }
    for (position, tone) in tones.iter().enumerate() {
        assert_eq!((tone.socket, tone.remote), (SocketId(agent.index * 2), address(AGENT)));
        let samples: Vec<i16> = tone
            .payload
            .iter()
            .map(|byte| crate::g711::decode_table(Law::Pcmu)[usize::from(*byte)])
            .collect();
        let on = !(20..30).contains(&position);
        assert_eq!(crate::tone::level(&samples, 400.0) > 5000.0, on, "packet {position}");
    }
    let mut b = Talker::new(0xb000_0001);
    let media = rig.hear(customer, CUSTOMER, &b.audio());
    check_next(tones.last().unwrap(), &media, 160);
    assert!(media.packet.header.marker);
    // The tone pauses while media come, and is back when they fall silent.
    assert_eq!(rtp_among(&rig.pass_ms(480)), []);
    assert!(rtp_among(&rig.pass_ms(520)).len() > 10);
    rig.relay.stop_playing(agent);
    assert_eq!(rtp_among(&rig.pass_ms(1000)), []);
}

#[test]
fn ringback_begins_when_the_peer_is_known_and_ends_when_stopped() {
    let mut rig = Rig::new();
    let agent = rig.relay.open_leg(rig.now).unwrap();
    rig.relay.play(rig.now, agent, Tone::Ringback);
    assert_eq!(rtp_among(&rig.pass_ms(100)), []);
    rig.relay.set_remote(rig.now, agent, alaw(AGENT));
    let tones = rtp_among(&rig.pass_ms(100));
    assert_eq!(tones.len(), 5);
    assert_eq!(tones[0].packet.header.payload_type, number(8));
    rig.relay.stop_playing(agent);
    rig.relay.stop_playing(agent);
    assert_eq!(rtp_among(&rig.pass_ms(100)), []);
    // Twice is not double.
    rig.relay.play(rig.now, agent, Tone::Ringback);
    rig.relay.play(rig.now, agent, Tone::Ringback);
    rig.relay.stop_playing(agent);
    rig.relay.play(rig.now, agent, Tone::Ringback);
    assert_eq!(rtp_among(&rig.pass_ms(100)).len(), 5);
    assert_eq!(rig.relay.leg_report(agent).sent, 10);
}

#[test]
fn a_shell_that_stood_still_makes_up_for_a_little_only() {
    let mut rig = Rig::new();
    let agent = rig.open(AGENT);
    rig.relay.play(rig.now, agent, Tone::Ringback);
    rig.now += Duration::from_secs(10);
    rig.relay.handle_timeout(rig.now);
    assert_eq!(rtp_among(&rig.outputs()).len(), 5);
    assert!(rig.relay.poll_timeout().unwrap() > rig.now);
}

#[test]
fn payload_types_are_each_legs_own() {
    let mut rig = Rig::new();
    let (agent, customer) =
        (rig.relay.open_leg(rig.now).unwrap(), rig.relay.open_leg(rig.now).unwrap());
    let renumbered = RemoteMedia { telephone_event: Some(number(96)), ..remote(AGENT) };
    rig.relay.set_remote(rig.now, agent, renumbered);
    let other = RemoteMedia {
        telephone_event: Some(number(100)),
        received: received(100),
        ..remote(CUSTOMER)
    };
    rig.relay.set_remote(rig.now, customer, other);
    bridge(&mut rig.relay, rig.now, agent, customer);
    let (mut a, mut b) = (Talker::new(1), Talker::new(2));
    let pressed = rig.hear(agent, AGENT, &packet(a.header(101), &[5, 10, 0, 160]));
    assert_eq!(pressed.packet.header.payload_type, number(100));
    let pressed = rig.hear(customer, CUSTOMER, &packet(b.header(100), &[5, 10, 0, 160]));
    assert_eq!(pressed.packet.header.payload_type, number(96));
    rig.dropped(agent, AGENT, &packet(a.header(96), &[5, 10, 0, 160]), DropReason::PayloadType);
    rig.dropped(agent, AGENT, &packet(a.header(18), &[5; 20]), DropReason::PayloadType);
    rig.relay.set_remote(
        rig.now,
        customer,
        RemoteMedia { telephone_event: None, ..remote(CUSTOMER) },
    );
    rig.dropped(
        agent,
        AGENT,
        &packet(a.header(101), &[5, 10, 0, 160]),
        DropReason::NoTelephoneEvent,
    );
}

#[test]
fn a_key_press_is_relayed_whole_and_told_once() {
    let (mut rig, agent, _, mut a, _) = Rig::talking();
    let timestamp = a.header(EVENT).timestamp;
    let mut press = |rig: &mut Rig, code: u8, end: u8, timestamp: u32| {
        let header = Header { timestamp, ..a.header(EVENT) };
        rig.hear(agent, AGENT, &packet(header, &[code, end, 1, 0])).packet.header.timestamp
    };
    let stamps: Vec<u32> = [0, 0, 0x80, 0x80, 0x80]
        .into_iter()
        .map(|end| press(&mut rig, 7, end, timestamp))
        .collect();
    assert!(stamps.iter().all(|stamp| *stamp == stamps[0]), "one press has one timestamp");
    assert_eq!(rig.events(), [Event::TelephoneEvent(agent, 7)]);
    press(&mut rig, 7, 0x80, timestamp + 1600);
    assert_eq!(rig.events(), [Event::TelephoneEvent(agent, 7)]);
    let short = packet(Talker { sequence: a.sequence, ..a }.header(EVENT), &[1, 2]);
    rig.dropped(agent, AGENT, &short, DropReason::MalformedRtp);
}

/// Each packet of a leg may be of any format that was offered to it: it is heard by whoever hears
/// the leg, in that one's own.
#[test]
fn a_peer_may_change_its_law_in_mid_stream() {
    for (hearer, sent) in [(remote(CUSTOMER), Codec::Pcmu), (alaw(CUSTOMER), Codec::Pcma)] {
        let (mut rig, agent, customer, mut a, _) = Rig::talking();
        rig.relay.set_remote(rig.now, customer, hearer);
        let mut sequence = None;
        for codec in [Codec::Pcmu, Codec::Pcma, Codec::Pcma, Codec::Pcmu, Codec::Pcma] {
            let said = [crate::g711::encode(codec.law().unwrap(), 5000); 160];
            let heard =
                rig.hear(agent, AGENT, &packet(a.header(codec.payload_type().number()), &said));
            assert_eq!(heard.packet.header.payload_type, sent.payload_type());
            assert_eq!(heard.payload, [crate::g711::encode(sent.law().unwrap(), 5000); 160]);
            let before = sequence.replace(heard.packet.header.sequence);
            assert!(
                before.is_none_or(
                    |before: u16| before.wrapping_add(1) == heard.packet.header.sequence
                )
            );
        }
    }
}

/// One key under an SSRC of its own, beside audio that goes on or pauses: one event with one
/// timestamp in one stream without gaps, in which the audio keeps its clock.
#[test]
fn a_key_beside_the_audio_is_one_key_in_one_stream() {
    for talks in [true, false] {
        let (mut rig, agent, _, mut a, _) = Rig::talking();
        let mut keys = Talker::new(0xc0de_0001);
        let mut heard = vec![rig.hear(agent, AGENT, &a.audio())];
        for code in [5, 5] {
            let timestamp = a.timestamp;
            for step in 0..8u8 {
                rig.now += Duration::from_millis(20);
                let audio = a.audio();
                if talks {
                    heard.push(rig.hear(agent, AGENT, &audio));
                }
                let end = if step < 5 { 10 } else { 0x8a };
                let header = Header { timestamp, ..keys.header(EVENT) };
                heard.push(rig.hear(agent, AGENT, &packet(header, &[code, end, 1, 0])));
            }
            rig.now += Duration::from_millis(20);
            heard.push(rig.hear(agent, AGENT, &a.audio()));
        }
        for pair in heard.windows(2) {
            let (before, after) = (pair[0].packet.header, pair[1].packet.header);
            assert_eq!(
                (after.ssrc, after.sequence),
                (before.ssrc, before.sequence.wrapping_add(1)),
                "talks: {talks}"
            );
        }
        let stamps = |payload_type: u8| -> Vec<u32> {
            let headers = heard.iter().map(|heard| heard.packet.header);
            headers
                .filter(|header| header.payload_type == number(payload_type))
                .map(|header| header.timestamp)
                .collect()
        };
        let events = stamps(EVENT);
        assert!(
            events[..8].iter().all(|stamp| *stamp == events[0])
                && events[8..].iter().all(|stamp| *stamp == events[8])
        );
        assert_ne!(events[0], events[8]);
        let audio = stamps(AUDIO);
        let step = if talks { 160 } else { 9 * 160 };
        assert!(
            audio.windows(2).all(|pair| pair[1].wrapping_sub(pair[0]) == step),
            "talks: {talks}: {audio:?}"
        );
        let told: Vec<Event> = rig.events();
        assert_eq!(told, [Event::TelephoneEvent(agent, 5), Event::TelephoneEvent(agent, 5)]);
    }
}

#[test]
fn codecs_that_differ_after_a_renegotiation_are_translated() {
    let (mut rig, agent, customer, mut a, _) = Rig::talking();
    rig.relay.set_remote(rig.now, customer, alaw(CUSTOMER));
    let sample = crate::g711::encode(Law::Pcmu, 5000);
    let heard = rig.hear(agent, AGENT, &packet(a.header(AUDIO), &[sample; 160]));
    assert_eq!(heard.packet.header.payload_type, number(8));
    assert_eq!(heard.payload, [crate::g711::encode(Law::Pcma, 5000); 160]);
}

#[test]
fn hold_stops_each_direction_by_itself() {
    let (mut rig, agent, customer, mut a, mut b) = Rig::talking();
    let held = |direction| RemoteMedia { direction, ..remote(CUSTOMER) };
    rig.relay.set_remote(rig.now, customer, held(Direction::RecvOnly));
    rig.dropped(agent, AGENT, &a.audio(), DropReason::NotSending);
    rig.hear(customer, CUSTOMER, &b.audio());
    rig.relay.set_remote(rig.now, customer, held(Direction::SendOnly));
    rig.hear(agent, AGENT, &a.audio());
    rig.dropped(customer, CUSTOMER, &b.audio(), DropReason::NotReceiving);
    // The old way: the address 0.0.0.0.
    rig.relay.set_remote(
        rig.now,
        customer,
        RemoteMedia { rtp: None, rtcp: None, ..held(Direction::RecvOnly) },
    );
    rig.dropped(agent, AGENT, &a.audio(), DropReason::NotSending);
    rig.hear(customer, CUSTOMER, &b.audio());
    // Resumed at the same address: no new latch.
    rig.relay.set_remote(rig.now, customer, remote(CUSTOMER));
    rig.hear(agent, AGENT, &a.audio());
    rig.hear(customer, CUSTOMER, &b.audio());
    assert_eq!(rig.outputs(), []);
}

#[test]
fn legs_hear_nobody_after_the_bridge() {
    let (mut rig, agent, customer, mut a, mut b) = Rig::talking();
    let third = rig.open(FOREIGN);
    rig.hear(agent, AGENT, &a.audio());
    rig.relay.set_hearing(rig.now, customer, &[]);
    bridge(&mut rig.relay, rig.now, third, agent);
    assert_eq!(rig.hear(agent, AGENT, &a.audio()).remote, address(FOREIGN));
    rig.dropped(customer, CUSTOMER, &b.audio(), DropReason::NotBridged);
    rig.relay.set_hearing(rig.now, third, &[]);
    rig.dropped(agent, AGENT, &a.audio(), DropReason::NotBridged);
    rig.relay.set_hearing(rig.now, agent, &[agent]);
    rig.dropped(agent, AGENT, &a.audio(), DropReason::NotBridged);
}

#[test]
fn loss_and_reordering_pass_but_duplicates_do_not() {
    let (mut rig, agent, _, mut a, _) = Rig::talking();
    let packets: Vec<_> = (0..4).map(|_| a.audio()).collect();
    let first = rig.hear(agent, AGENT, &packets[0]).packet.header;
    let fourth = rig.hear(agent, AGENT, &packets[3]).packet.header;
    assert_eq!(fourth.sequence, first.sequence.wrapping_add(3));
    assert_eq!(rig.relay.leg_report(agent).lost, 2);
    let second = rig.hear(agent, AGENT, &packets[1]).packet.header;
    assert_eq!(
        (second.sequence, second.timestamp),
        (first.sequence.wrapping_add(1), first.timestamp.wrapping_add(160))
    );
    rig.dropped(agent, AGENT, &packets[1], DropReason::Duplicate);
    assert_eq!(rig.relay.leg_report(agent).lost, 1);
}

/// RFC 3551 §4.2: packets of 10 to 120 ms pass as they are, are mixed and recorded whole.
#[test]
fn packets_may_hold_ten_to_a_hundred_and_twenty_milliseconds() {
    const THIRD: &str = "192.0.2.3:7000";
    let tone = crate::tone::Tone::steady(600.0, 8_000.0);
    let level = |samples: &[i16]| crate::tone::level(samples, 600.0);
    for ms in [10u64, 20, 30, 40, 60, 80, 100, 120] {
        let (mut rig, agent, customer, mut a, _) = Rig::talking();
        let third = rig.open(THIRD);
        rig.relay.set_hearing(rig.now, third, &[agent, customer]);
        let id = record(&mut rig.relay, rig.now, agent, customer).unwrap();
        rig.outputs();
        let (mut mixed, mut recorded) = (Vec::new(), Vec::new());
        let len = 8 * ms;
        for n in 0..4_800 / ms {
            let mut payload = vec![0; len as usize];
            tone.fill_encoded(n * len, Law::Pcmu, &mut payload);
            let mut header = a.header(AUDIO);
            header.timestamp = (n * len) as u32;
            let heard = rig.hear(agent, AGENT, &packet(header, &payload));
            assert_eq!(heard.payload, payload, "{ms} ms");
            let outputs = rig.pass_ms(ms);
            mixed.extend(
                rtp_among(&outputs).into_iter().filter(|heard| heard.remote == address(THIRD)),
            );
            recorded.extend(outputs.into_iter().filter_map(|done| match done {
                Done::Record(recording, _, bytes) if recording == id => Some(bytes),
                _ => None,
            }));
        }
        let table = crate::g711::decode_table(Law::Pcmu);
        let samples: Vec<i16> = mixed
            .iter()
            .flat_map(|heard| &heard.payload)
            .map(|byte| table[usize::from(*byte)])
            .collect();
        let spans = samples.chunks_exact(800).skip(2);
        assert!(spans.len() >= 40, "{ms} ms: {}", spans.len());
        assert!(spans.clone().all(|span| level(span) > 7_000.0), "{ms} ms");
        // The last block that was written begins with whole, old audio.
        let last: Vec<i16> = recorded[recorded.len() - 1]
            .chunks_exact(4)
            .map(|frame| i16::from_le_bytes([frame[0], frame[1]]))
            .take(800)
            .collect();
        assert!(level(&last) > 7_000.0, "{ms} ms");
    }
}
