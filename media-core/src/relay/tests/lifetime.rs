//! Legs from open to close: ports, latch and its connects, silence, stale ids.

use super::*;

#[test]
fn ports_are_pairs_that_rest_after_use() {
    let mut rig = Rig::with_pairs(2);
    let first = rig.relay.open_leg(rig.now).unwrap();
    let second = rig.relay.open_leg(rig.now).unwrap();
    assert_eq!(rig.relay.open_leg(rig.now), Err(NoPort));
    let local = rig.relay.local_media(second);
    assert_eq!((local.rtp_port, local.rtcp_port), (20_002, 20_003));
    assert_eq!(rig.outputs(), [0, 1, 2, 3].map(|socket| Done::Open(SocketId(socket))));
    rig.relay.close_leg(rig.now, first);
    assert_eq!(rig.outputs(), [0, 1].map(|socket| Done::Release(SocketId(socket))));
    rig.pass_ms(4999);
    assert_eq!(rig.relay.open_leg(rig.now), Err(NoPort));
    rig.pass_ms(1);
    let third = rig.relay.open_leg(rig.now).unwrap();
    assert_eq!((third.index, third.generation), (first.index, first.generation + 1));
}

#[test]
fn a_leg_moves_to_the_same_ports_of_another_interface() {
    let mut rig = Rig::with_pairs(2);
    rig.relay.config.public_addresses.push("2001:db8::1".parse().unwrap());
    rig.relay.open_leg(rig.now).unwrap();
    let leg = rig.relay.open_leg(rig.now).unwrap();
    rig.outputs();
    let other = |socket: u32| SocketId(1 << 16 | socket);
    rig.relay.use_interface(leg, 1);
    let moved = [2, 3].map(|socket| Done::Release(SocketId(socket)));
    let opened = [2, 3].map(|socket| Done::Open(other(socket)));
    assert_eq!(rig.outputs(), [moved, opened].concat());
    let local = rig.relay.local_media(leg);
    assert_eq!((local.address, local.rtp_port), ("2001:db8::1".parse().unwrap(), 20_002));
    assert_eq!(rig.relay.leg_place(other(3), "192.0.2.1:9".parse().unwrap()), Some(leg.index));
    // Neither the same one nor one that there is not changes anything.
    rig.relay.use_interface(leg, 1);
    rig.relay.use_interface(leg, 2);
    assert_eq!(rig.outputs(), []);
    rig.relay.close_leg(rig.now, leg);
    assert_eq!(rig.outputs(), [2, 3].map(|socket| Done::Release(other(socket))));
}

#[test]
fn pairs_beyond_the_last_port_are_left_out() {
    let config = RelayConfig {
        public_addresses: vec!["127.0.0.1".parse().unwrap()],
        first_port: 65_532,
        pair_count: 100,
        quarantine: Duration::ZERO,
        own_sockets: Vec::new(),
        opus_legs: 0,
        webrtc: None,
    };
    let now = clock::start();
    let mut relay = Relay::new(config, 1, now);
    relay.open_leg(now).unwrap();
    let last = relay.open_leg(now).unwrap();
    assert_eq!(relay.local_media(last).rtcp_port, 65_535);
    assert_eq!(relay.open_leg(now), Err(NoPort));
}

#[test]
fn stale_ids_are_harmless() {
    let mut rig = Rig::with_pairs(2);
    let (old, other) = (rig.open(AGENT), rig.open(CUSTOMER));
    let recording = record(&mut rig.relay, rig.now, old, other).unwrap();
    rig.relay.close_leg(rig.now, old);
    rig.relay.stop_recording(rig.now, recording);
    rig.pass_ms(5000);
    let new = rig.open(AGENT);
    assert_eq!(new.index, old.index);
    let fresh = record(&mut rig.relay, rig.now, new, other).unwrap();
    rig.outputs();
    rig.relay.set_remote(rig.now, old, remote(FOREIGN));
    bridge(&mut rig.relay, rig.now, old, other);
    bridge(&mut rig.relay, rig.now, other, old);
    rig.relay.play(rig.now, old, Tone::Ringback);
    rig.relay.stop_playing(old);
    rig.relay.watch_media(rig.now, old, Duration::ZERO);
    rig.relay.stop_recording(rig.now, recording);
    rig.relay.record_leg(rig.now, recording, other, None);
    rig.relay.record_leg(rig.now, recording, old, Some(Channel::Agent));
    rig.relay.record_leg(rig.now, fresh, old, Some(Channel::Agent));
    rig.relay.pause_recording(rig.now, recording);
    rig.relay.resume_recording(rig.now, recording);
    assert_eq!(rig.relay.send_digits(rig.now, old, &[1]), Err(DigitsRefused::NotSending));
    rig.relay.close_leg(rig.now, old);
    assert_eq!(rig.relay.leg_report(old), LegReport::default());
    assert_eq!(rig.relay.local_media(old).rtp_port, 0);
    assert_eq!((rig.relay.leg_count(), rig.relay.recording_count()), (2, 1));
    assert_eq!((rig.outputs(), rig.events()), (vec![], vec![]));
    let mut a = Talker::new(1);
    bridge(&mut rig.relay, rig.now, new, other);
    assert_eq!(rig.hear(new, AGENT, &a.audio()).remote, address(CUSTOMER));
}

#[test]
fn nothing_is_left_after_ten_thousand_calls() {
    let mut rig = Rig::with_pairs(4);
    for _ in 0..10_000 {
        let (agent, customer) = (rig.open(AGENT), rig.open(CUSTOMER));
        bridge(&mut rig.relay, rig.now, agent, customer);
        rig.relay.play(rig.now, agent, Tone::Ringback);
        let recording = record(&mut rig.relay, rig.now, agent, customer).unwrap();
        rig.hear(agent, AGENT, &Talker::new(1).audio());
        rig.relay.close_leg(rig.now, customer);
        rig.relay.close_leg(rig.now, agent);
        rig.relay.stop_recording(rig.now, recording);
        rig.outputs();
        rig.events();
        rig.now += Duration::from_secs(5);
        assert_eq!(
            (rig.relay.leg_count(), rig.relay.recording_count(), rig.relay.poll_timeout()),
            (0, 0, None)
        );
    }
}

#[test]
fn a_latched_source_is_connected_and_told_once() {
    let mut rig = Rig::new();
    let agent = rig.open(AGENT);
    rig.outputs();
    let mut a = Talker::new(1);
    rig.dropped(agent, AGENT, &a.audio(), DropReason::NotBridged);
    rig.dropped(agent, AGENT, &a.audio(), DropReason::NotBridged);
    assert_eq!(rig.outputs(), [Done::Connect(SocketId(agent.index * 2), address(AGENT))]);
    assert_eq!(rig.events(), [Event::Latched(agent), Event::FirstMedia(agent)]);
}

#[test]
fn media_before_the_negotiation_is_nobodys() {
    let mut rig = Rig::new();
    let agent = rig.relay.open_leg(rig.now).unwrap();
    rig.dropped(agent, AGENT, &Talker::new(1).audio(), DropReason::NotNegotiated);
}

#[test]
fn a_party_behind_a_translator_is_found() {
    let mut rig = Rig::new();
    let translator = MediaSources { signalling: Some(address(FOREIGN).ip()), networks: Vec::new() };
    let (agent, customer) = (rig.open_from("10.0.0.5:7078", translator), rig.open(CUSTOMER));
    bridge(&mut rig.relay, rig.now, agent, customer);
    let (mut a, mut b) = (Talker::new(1), Talker::new(2));
    assert_eq!(rig.hear(customer, CUSTOMER, &b.audio()).remote, address("10.0.0.5:7078"));
    for _ in 0..4 {
        rig.dropped(agent, FOREIGN, &a.audio(), DropReason::Probation);
    }
    rig.hear(agent, FOREIGN, &a.audio());
    assert_eq!(rig.hear(customer, CUSTOMER, &b.audio()).remote, address(FOREIGN));
    // Its socket is not connected: the address that it named would still win.
    assert!(!rig.outputs().contains(&Done::Connect(SocketId(agent.index * 2), address(FOREIGN))));
    rig.hear(agent, "10.0.0.5:7078", &Talker::new(3).audio());
    assert_eq!(rig.outputs(), [Done::Connect(SocketId(agent.index * 2), address("10.0.0.5:7078"))]);
}

#[test]
fn a_new_peer_is_announced_and_the_former_one_is_gone() {
    let (mut rig, agent, customer, mut a, mut b) = Rig::talking();
    rig.relay.set_media_sources(agent, MediaSources::default());
    assert_eq!(rig.outputs(), [Done::Disconnect(SocketId(agent.index * 2))]);
    rig.dropped(agent, AGENT, &a.audio(), DropReason::NotNegotiated);
    rig.dropped(customer, CUSTOMER, &b.audio(), DropReason::NotSending);
    rig.relay.set_remote(rig.now, agent, remote(FOREIGN));
    rig.dropped(agent, AGENT, &a.audio(), DropReason::ForeignSource);
    assert_eq!(rig.hear(customer, CUSTOMER, &b.audio()).remote, address(FOREIGN));
}

#[test]
fn our_own_ports_and_loopback_are_no_peers() {
    let inside = |signalling: &str| MediaSources {
        signalling: Some(signalling.parse().unwrap()),
        networks: Vec::new(),
    };
    for (named, signalling, is_peer) in [
        ("198.51.100.250:20000", "203.0.113.2", false),
        ("198.51.100.250:29999", "127.0.0.1", false),
        ("198.51.100.250:30000", "203.0.113.2", true),
        ("127.0.0.1:4000", "203.0.113.2", false),
        ("127.0.0.1:4000", "10.0.0.1", false),
        ("127.0.0.1:4000", "127.0.0.1", true),
    ] {
        let mut rig = Rig::new();
        let (agent, customer) = (rig.open_from(named, inside(signalling)), rig.open(CUSTOMER));
        bridge(&mut rig.relay, rig.now, agent, customer);
        let (forward, _) =
            rig.forward_on(SocketId(customer.index * 2), CUSTOMER, &Talker::new(2).audio());
        assert_eq!(matches!(forward, Forward::To { .. }), is_peer, "{named}");
        assert_eq!(
            matches!(rig.forward(agent, named, &Talker::new(1).audio()), Forward::To { .. }),
            is_peer,
            "{named}"
        );
        rig.relay.play(rig.now, agent, Tone::Ringback);
        let sent = rig
            .pass_ms(20_000)
            .iter()
            .any(|done| matches!(done, Done::Transmit(_, to, _) if to.ip() == address(named).ip()));
        assert_eq!(sent, is_peer, "{named}");
    }
}

#[test]
fn a_change_of_ssrc_is_heard_and_a_forged_one_is_not() {
    let (mut rig, agent, _, mut a, _) = Rig::talking();
    let (mut forged, mut keys) = (Talker::new(9), Talker::new(77));
    for _ in 0..100 {
        rig.pass_ms(20);
        rig.hear(agent, AGENT, &a.audio());
        rig.dropped(agent, AGENT, &forged.audio(), DropReason::AlienStream);
        // A key press may have a stream of its own.
        rig.hear(agent, AGENT, &packet(keys.header(EVENT), &[1, 0, 0, 160]));
    }
    let mut changed = Talker::new(5);
    let lost = (0..10).take_while(|_| {
        rig.pass_ms(20);
        !matches!(rig.forward(agent, AGENT, &changed.audio()), Forward::To { .. })
    });
    assert_eq!(lost.count(), 2);
    // After a new address no stream is known.
    rig.relay.set_remote(rig.now, agent, remote("198.51.100.1:9000"));
    rig.hear(agent, "198.51.100.1:9000", &Talker::new(6).audio());
}

#[test]
fn a_new_address_is_latched_anew_and_the_old_one_dropped() {
    let (mut rig, agent, customer, mut a, mut b) = Rig::talking();
    let socket = SocketId(agent.index * 2);
    rig.relay.set_remote(rig.now, agent, remote("198.51.100.1:9000"));
    assert_eq!(rig.outputs(), [Done::Disconnect(socket)]);
    assert_eq!(rig.hear(customer, CUSTOMER, &b.audio()).remote, address("198.51.100.1:9000"));
    rig.dropped(agent, CUSTOMER, &a.audio(), DropReason::ForeignSource);
    rig.hear(agent, "198.51.100.1:9000", &a.audio());
    assert_eq!(rig.outputs(), [Done::Connect(socket, address("198.51.100.1:9000"))]);
    rig.dropped(agent, AGENT, &a.audio(), DropReason::ForeignSource);
}

#[test]
fn a_source_that_fell_silent_may_return_from_another_port() {
    let (mut rig, agent, customer, mut a, mut b) = Rig::talking();
    rig.dropped(agent, "198.51.100.1:4444", &a.audio(), DropReason::ForeignSource);
    let outputs = rig.pass_ms(3300);
    assert!(outputs.contains(&Done::Disconnect(SocketId(agent.index * 2))));
    // Sending still goes to the last source.
    assert_eq!(rig.hear(customer, CUSTOMER, &b.audio()).remote, address(AGENT));
    for _ in 0..4 {
        rig.dropped(agent, "198.51.100.1:4444", &a.audio(), DropReason::Probation);
    }
    rig.dropped(agent, FOREIGN, &a.audio(), DropReason::ForeignSource);
    rig.hear(agent, "198.51.100.1:4444", &a.audio());
    assert_eq!(rig.hear(customer, CUSTOMER, &b.audio()).remote, address("198.51.100.1:4444"));
}

#[test]
fn silence_is_told_once_after_its_limit() {
    let (mut rig, agent, _, mut a, _) = Rig::talking();
    rig.relay.watch_media(rig.now, agent, Duration::from_secs(2));
    rig.pass_ms(1500);
    rig.hear(agent, AGENT, &a.audio());
    rig.pass_ms(1900);
    assert_eq!(rig.events(), []);
    rig.pass_ms(400);
    assert_eq!(rig.events(), [Event::NoMedia(agent)]);
    rig.pass_ms(10_000);
    assert_eq!(rig.events(), []);
}

/// B04: RTCP and comfort noise are life, a goodbye is none.
#[test]
fn who_is_silent_and_there_is_not_missed() {
    let report = |rig: &mut Rig, agent: LegId, bytes: &[u8]| {
        let socket = SocketId(agent.index * 2 + 1);
        assert_eq!(rig.forward_on(socket, "198.51.100.1:4001", bytes).0, Forward::Local);
    };
    let receiver_report = [0x80, 201, 0, 1, 0, 0, 0, 9];
    for is_noise in [true, false] {
        let (mut rig, agent, _, mut a, _) = Rig::talking();
        rig.relay.watch_media(rig.now, agent, Duration::from_secs(2));
        for _ in 0..10 {
            rig.pass_ms(1500);
            match is_noise {
                true => drop(rig.forward(agent, AGENT, &packet(a.header(NOISE), &[0x40]))),
                false => report(&mut rig, agent, &receiver_report),
            }
        }
        assert_eq!(rig.events(), [], "noise: {is_noise}");
        rig.pass_ms(2300);
        assert_eq!(rig.events(), [Event::NoMedia(agent)], "noise: {is_noise}");
    }
    let (mut rig, agent, ..) = Rig::talking();
    rig.relay.watch_media(rig.now, agent, Duration::from_secs(2));
    rig.pass_ms(1500);
    report(&mut rig, agent, &[&receiver_report[..], &[0x81, 203, 0, 1, 0, 0, 0, 9]].concat());
    rig.pass_ms(800);
    assert_eq!(rig.events(), [Event::NoMedia(agent)]);
}

#[test]
fn who_is_on_hold_or_holds_is_not_missed() {
    for direction in [Direction::SendOnly, Direction::RecvOnly, Direction::Inactive] {
        let (mut rig, agent, ..) = Rig::talking();
        rig.relay.watch_media(rig.now, agent, Duration::from_secs(2));
        rig.relay.set_remote(rig.now, agent, RemoteMedia { direction, ..remote(AGENT) });
        rig.pass_ms(10_000);
        assert_eq!(rig.events(), [], "{direction:?}");
        rig.relay.set_remote(rig.now, agent, remote(AGENT));
        rig.pass_ms(1700);
        assert_eq!(rig.events(), [], "{direction:?}");
        rig.pass_ms(600);
        assert_eq!(rig.events(), [Event::NoMedia(agent)], "{direction:?}");
    }
}

#[test]
fn a_leg_that_never_sends_is_missed_too() {
    let mut rig = Rig::new();
    let agent = rig.open(AGENT);
    rig.relay.watch_media(rig.now, agent, Duration::from_secs(1));
    rig.pass_ms(1300);
    assert_eq!(rig.events(), [Event::NoMedia(agent)]);
}

#[test]
fn legs_stay_small() {
    let sizes = [
        size_of::<Leg>(),
        size_of::<softphone::Softphone>(),
        size_of::<crate::dtls::Association>(),
    ];
    println!("leg {}, softphone {}, handshake {} bytes", sizes[0], sizes[1], sizes[2]);
    assert!(sizes[0] <= 1_024 && sizes[1] <= 1_024, "{sizes:?}");
}

/// A call in which the customer speaks for so long and the agent does `first` and then nothing;
/// when its one-way audio was told.
fn one_way(first: impl Fn(&mut Rig, LegId, &mut Talker), ms: u64) -> Vec<u64> {
    let (mut rig, agent, customer, mut a, mut b) = Rig::talking();
    for leg in [agent, customer] {
        rig.relay.watch_media(rig.now, leg, Duration::from_secs(60));
    }
    first(&mut rig, agent, &mut a);
    let mut told = Vec::new();
    for at in (0..ms).step_by(20) {
        rig.hear(customer, CUSTOMER, &b.audio());
        rig.pass_ms(20);
        for event in rig.events() {
            assert_eq!(event, Event::OneWayAudio(agent));
            told.push(at + 20);
        }
    }
    told
}

/// S12: silence of one side alone is told within two seconds, once.
#[test]
fn one_way_audio_is_told_within_two_seconds() {
    let told = one_way(|_, _, _| {}, 10_000);
    assert!(matches!(told[..], [1_800..=2_000]), "{told:?}");
    // From its last packet on.
    let told = one_way(
        |rig, agent, a| {
            rig.pass_ms(1_000);
            drop(rig.hear(agent, AGENT, &a.audio()));
        },
        3_000,
    );
    assert!(matches!(told[..], [1_800..=2_000]), "{told:?}");
}

/// RFC 3389 §4, RFC 3550 §6.4: who has nothing to say may send nothing, if it says so.
#[test]
fn who_sends_no_silence_is_no_one_way_audio() {
    let none: Vec<u64> = Vec::new();
    let noise = |rig: &mut Rig, agent, a: &mut Talker| {
        rig.forward(agent, AGENT, &packet(a.header(NOISE), &[0x40]));
    };
    assert_eq!(one_way(noise, 10_000), none);
    let rtcp = |rig: &mut Rig, agent: LegId, bytes: &[u8]| {
        rig.now += Duration::from_millis(1);
        let socket = SocketId(agent.index * 2 + 1);
        assert_eq!(rig.forward_on(socket, "198.51.100.1:4001", bytes).0, Forward::Local);
    };
    let sender_report = |count: u32| {
        let mut bytes = vec![0x80, 200, 0, 6];
        for word in [9, 1, 0, 0, count, 0] {
            bytes.extend(u32::to_be_bytes(word));
        }
        bytes
    };
    let receiver_report = [0x80, 201, 0, 1, 0, 0, 0, 9];
    assert_eq!(one_way(|rig, agent, _| rtcp(rig, agent, &receiver_report), 10_000), none);
    // What the peer says that it sent, and does not come, is lost on its way.
    let told = one_way(|rig, agent, _| rtcp(rig, agent, &sender_report(100)), 10_000);
    assert_eq!(told.len(), 1);
    let repeated = |rig: &mut Rig, agent, _: &mut Talker| {
        rtcp(rig, agent, &sender_report(100));
        rtcp(rig, agent, &sender_report(100));
    };
    assert_eq!(one_way(repeated, 10_000), none);
}

#[test]
fn a_held_or_silent_call_is_no_one_way_audio() {
    fn check(what: &str, change: impl Fn(&mut Rig, LegId), is_spoken: bool) {
        let (mut rig, agent, customer, _, mut b) = Rig::talking();
        for leg in [agent, customer] {
            rig.relay.watch_media(rig.now, leg, Duration::from_secs(60));
        }
        change(&mut rig, agent);
        for _ in 0..500 {
            if is_spoken {
                rig.forward(customer, CUSTOMER, &b.audio());
            }
            rig.pass_ms(20);
        }
        assert_eq!(rig.events(), [], "{what}");
    }
    for direction in [Direction::SendOnly, Direction::RecvOnly, Direction::Inactive] {
        let hold = |rig: &mut Rig, agent| {
            rig.relay.set_remote(rig.now, agent, RemoteMedia { direction, ..remote(AGENT) });
        };
        check(&format!("{direction:?}"), hold, true);
    }
    check("apart", |rig, agent| rig.relay.set_hearing(rig.now, agent, &[]), true);
    check("nobody speaks", |_, _| {}, false);
}
