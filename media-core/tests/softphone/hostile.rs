//! Bytes of any kind on the softphones' socket: nothing panics, nothing goes where no check came
//! from, each refusal has its reason.

use super::*;
use crate::client::stun::sign;

const FOREIGN: &str = "192.0.2.66:666";

impl Rig {
    #[track_caller]
    fn dropped(&mut self, source: &str, datagram: &[u8], reason: &str) {
        let before = self.count(reason);
        let forward = self.give(SocketId::WEBRTC, source.parse().unwrap(), datagram);
        assert!(matches!(forward, Forward::Drop(drop) if drop.name() == reason), "{forward:?}");
        assert_eq!(self.count(reason), before + 1);
    }
}

#[test]
fn each_refusal_has_its_reason() {
    let mut rig = Rig::talking(Version::Dtls12);
    rig.pass(200);
    let check = rig.browsers[0].client.check(true);
    let mut forged = sign(check[..check.len() - 32].to_vec(), "a wrong password");
    rig.dropped(BROWSER, &forged, "stun_unauthentic");
    rig.dropped(FOREIGN, &forged, "stun_unauthentic");
    forged[25] ^= 1;
    rig.dropped(BROWSER, &forged, "stun_malformed");
    (0..check.len()).for_each(|len| {
        assert!(matches!(
            rig.give(SocketId::WEBRTC, BROWSER.parse().unwrap(), &check[..len]),
            Forward::Drop(_)
        ))
    });
    rig.give(SocketId::WEBRTC, BROWSER.parse().unwrap(), &check);
    rig.dropped(FOREIGN, &check, "stun_replayed");
    let mut answer = check.clone();
    answer[0] = 1;
    rig.dropped(BROWSER, &answer, "stun_unexpected");
    rig.dropped(BROWSER, &[70; 40], "not_webrtc");
    rig.dropped(BROWSER, &[], "not_webrtc");
    rig.dropped(BROWSER, &vec![0x80; 1501], "oversized");

    let voice = rig.browsers[0].client.voice(&[1; 160]).unwrap();
    let report = rig.browsers[0].client.report();
    rig.dropped(FOREIGN, &voice, "unchecked_source");
    rig.dropped(FOREIGN, &report, "unchecked_source");
    rig.dropped(FOREIGN, &[22; 40], "unchecked_source");
    let mut wrong = voice.clone();
    *wrong.last_mut().unwrap() ^= 1;
    rig.dropped(BROWSER, &wrong, "unauthentic");
    rig.dropped(BROWSER, &voice[..20], "malformed_rtp");
    assert!(matches!(
        rig.give(SocketId::WEBRTC, BROWSER.parse().unwrap(), &voice),
        Forward::To { .. }
    ));
    rig.dropped(BROWSER, &voice, "replayed");
    let mut wrong = report.clone();
    wrong[9] ^= 1;
    rig.dropped(BROWSER, &wrong, "unauthentic");
    assert_eq!(rig.give(SocketId::WEBRTC, BROWSER.parse().unwrap(), &report), Forward::Local);
    rig.dropped(BROWSER, &report, "replayed");
    // A trunk leg's port takes none of it.
    let trunk = SocketId(rig.customer.index * 2);
    assert!(matches!(rig.give(trunk, TRUNK.parse().unwrap(), &check), Forward::Drop(_)));
    check_both_hear(&mut rig, 0);
}

/// RTPbleed on a softphone's leg: nothing of a call goes to whom no check of the browser's showed,
/// and nothing of theirs is heard, before the browser is there, while it talks and after its end.
#[test]
fn strangers_are_sent_nothing_and_not_heard() {
    let mut rig = Rig::talking(Version::Dtls12);
    let silent = rig.invite(Version::Dtls12, "203.0.113.8:51000");
    rig.answer(silent);
    let strangers = [FOREIGN, "203.0.113.7:51001", "203.0.113.8:51001", "[2001:db8::66]:6000"];
    let mut count = 0;
    for round in 0..200u16 {
        rig.pass(20);
        let real = rig.browsers[0].client.voice(&[1; 160]).unwrap();
        let mut plain = rtp_packet(round, real[8..12].try_into().unwrap());
        plain.resize(172, 7);
        let report = rig.browsers[0].client.report();
        for stranger in strangers {
            for datagram in [&real, &plain, &report] {
                rig.dropped(stranger, datagram, "unchecked_source");
                count += 1;
            }
        }
        // Who sits at the browser's own address has no key of it.
        plain[11] ^= 1;
        rig.dropped(BROWSER, &plain, "unauthentic");
    }
    assert_eq!(count, 2_400);
    assert_eq!((rig.count("unchecked_source"), rig.astray_count), (2_400, 0));
    check_both_hear(&mut rig, 0);
}

/// An RTP header of this stream.
fn rtp_packet(sequence: u16, ssrc: [u8; 4]) -> Vec<u8> {
    let [high, low] = sequence.to_be_bytes();
    [&[0x80, 0, high, low, 0, 0, 0, 1][..], &ssrc].concat()
}

#[test]
fn dtls_long_after_the_handshake_is_refused() {
    let mut rig = Rig::talking(Version::Dtls12);
    let junk = [&[22, 254, 253, 0, 1, 0, 0, 0, 0, 0, 9, 0, 20][..], &[9; 20]].concat();
    assert_eq!(
        rig.give(SocketId::WEBRTC, BROWSER.parse().unwrap(), &junk),
        Forward::Local,
        "noise is passed over"
    );
    rig.pass(11_000);
    rig.dropped(BROWSER, &junk, "dtls_over");
    check_both_hear(&mut rig, 0);
}

/// The first flight of a browser's handshake.
struct Hello {
    leg: LegId,
    source: SocketAddr,
    datagram: Vec<u8>,
}

impl Rig {
    /// Lets a browser of this address be invited and check, and takes its hello before it is sent.
    /// The browser is gone then.
    fn hello(&mut self, address: &str) -> Hello {
        let at = self.invite(Version::Dtls12, address);
        let (check, source) = (self.browsers[at].client.check(true), self.browsers[at].address);
        self.give(SocketId::WEBRTC, source, &check);
        let Browser { mut client, leg, .. } = self.browsers.remove(at);
        client.handle_timeout(self.now);
        let datagram =
            std::iter::from_fn(|| client.poll_transmit()).find(|datagram| datagram[0] == 22);
        Hello { leg, source, datagram: datagram.expect("a ClientHello") }
    }

    /// How many of so many handshake datagrams, from these browsers by turns, are handled.
    fn flood(&mut self, hellos: &[Hello], count: usize) -> usize {
        let taken = |hello: &&Hello| {
            self.give(SocketId::WEBRTC, hello.source, &hello.datagram) == Forward::Local
        };
        hellos.iter().cycle().take(count).filter(taken).count()
    }
}

/// A flood of handshake datagrams costs each tick what it may cost, and no more.
#[test]
fn handshakes_have_a_budget() {
    let mut rig = Rig::new();
    let hellos =
        [51_000, 51_001, 51_002, 51_003].map(|port| rig.hello(&format!("203.0.113.7:{port}")));
    for _ in 0..20 {
        rig.now += Duration::from_millis(20);
        rig.relay.handle_timeout(rig.now);
        // More than a byte counts.
        let of_one = rig.flood(&hellos[..1], 600);
        let of_others = rig.flood(&hellos[1..], 60);
        assert_eq!((of_one, of_others), (4, 4));
        rig.drain();
    }
    assert_eq!(rig.count("dtls_budget"), 20 * 652);
    // Who comes after the flood is served.
    rig.relay.close_leg(rig.now, LegId { index: 4, generation: 1 });
    let browser = rig.invite(Version::Dtls12, BROWSER);
    rig.answer(browser);
    rig.pass(1_000);
    assert!(rig.browsers[browser].client.is_connected());
}

/// What handshakes may cost in a tick is counted in datagrams, so a call that runs loses none of
/// its own to them.
#[test]
fn a_flood_of_handshakes_takes_nothing_from_running_calls() {
    let mut rig = Rig::talking(Version::Dtls12);
    rig.pass(200);
    let hellos = [51_001, 51_002, 51_003].map(|port| rig.hello(&format!("203.0.113.7:{port}")));
    let strange = |hello: &Hello| Hello {
        source: FOREIGN.parse().unwrap(),
        datagram: hello.datagram.clone(),
        ..*hello
    };
    let strangers = hellos.each_ref().map(strange);
    let before = (rig.browsers[0].client.heard.len(), rig.customer_heard.len());
    for _ in 0..50 {
        rig.pass(20);
        assert_eq!(
            rig.flood(&strangers, 200),
            0,
            "who was not checked costs nothing of the budget"
        );
        assert_eq!(rig.flood(&hellos, 600), 8);
    }
    rig.pass(20);
    let after = (rig.browsers[0].client.heard.len(), rig.customer_heard.len());
    assert_eq!((after.0 - before.0, after.1 - before.1), (51, 51));
    assert_eq!((rig.count("unchecked_source"), rig.count("dtls_budget")), (50 * 200, 50 * 592));
    assert_eq!(rig.browsers[0].client.refused_count, 0);
}

#[test]
fn handshakes_at_a_time_are_bounded() {
    let mut rig = Rig::with_capacity(130);
    let hellos: Vec<_> =
        (0..130).map(|n| rig.hello(&format!("203.0.113.7:{}", 51_000 + n))).collect();
    let mut taken = 0;
    for hello in &hellos {
        rig.pass_relay_only(20);
        taken += rig.flood(std::slice::from_ref(hello), 1);
    }
    assert_eq!((taken, rig.count("handshakes_full")), (128, 2));
    // Each that ends makes room for one.
    rig.relay.close_leg(rig.now, hellos[0].leg);
    assert_eq!(rig.flood(&hellos[128..], 2), 1);
}

#[test]
fn closed_legs_leave_no_handshake_behind() {
    let mut rig = Rig::new();
    for _ in 0..130 {
        let hello = rig.hello(BROWSER);
        rig.pass_relay_only(20);
        assert_eq!(rig.flood(std::slice::from_ref(&hello), 1), 1);
        rig.relay.close_leg(rig.now, hello.leg);
    }
}

/// RFC 6347 §4.2.4: a flight that is not answered is sent again.
#[test]
fn a_lost_flight_is_repeated() {
    let mut rig = Rig::new();
    let hello = rig.hello(BROWSER);
    assert_eq!(rig.flood(std::slice::from_ref(&hello), 1), 1);
    let flights = (0..50).map(|_| {
        rig.now += Duration::from_millis(20);
        rig.relay.handle_timeout(rig.now);
        let mut count = 0;
        while let Some(output) = rig.relay.poll_output() {
            count += usize::from(matches!(output,
                Output::Transmit { bytes: [22, ..], remote, .. } if remote == hello.source));
        }
        count
    });
    let flights: Vec<usize> = flights.collect();
    assert!(flights.iter().filter(|count| **count > 0).count() >= 3, "{flights:?}");
}

/// One browser's checks from many addresses admit four of them.
#[test]
fn an_address_that_was_replaced_is_forgotten() {
    let mut rig = Rig::talking(Version::Dtls12);
    rig.pass(200);
    let others = [1, 2, 3, 4].map(|port| SocketAddr::new([203, 0, 113, 9].into(), port));
    for (n, address) in others.iter().enumerate() {
        if n == 3 {
            let voice = rig.browsers[0].client.voice(&[1; 160]).unwrap();
            assert!(matches!(rig.give(SocketId::WEBRTC, others[0], &voice), Forward::To { .. }));
        }
        rig.pass_relay_only(20);
        let check = rig.browsers[0].client.check(false);
        assert!(matches!(rig.give(SocketId::WEBRTC, *address, &check), Forward::To { .. }));
    }
    let voice = rig.browsers[0].client.voice(&[1; 160]).unwrap();
    rig.dropped("203.0.113.9:1", &voice, "unchecked_source");
    assert!(matches!(rig.give(SocketId::WEBRTC, others[1], &voice), Forward::To { .. }));
}

/// Malformed DTLS that anybody may send in a browser's name.
fn malformed_records() -> Vec<Vec<u8>> {
    let record = |epoch: u8, content: &[u8]| {
        // The number is one that the browser will use, too.
        [&[22, 254, 253, 0, epoch, 0, 0, 0, 0, 0, 1, 0, content.len() as u8][..], content].concat()
    };
    let mut unknown_version =
        record(0, &[&[1, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 9][..], &[7; 9]].concat());
    unknown_version[1] = 3;
    vec![
        vec![22; 5],
        record(0, &[]),
        // A part of a fragment's header, and fragments of messages 0 to 2 that end beyond them or
        // are empty.
        record(0, &[1, 0, 0, 40, 0, 0]),
        record(0, &[1, 0, 0, 9, 0, 0, 0, 0, 5, 0, 0, 5, 0, 0, 0, 0, 0]),
        record(0, &[11, 0, 0, 9, 0, 1, 0, 0, 0, 0, 0, 0]),
        record(0, &[16, 0, 0, 9, 0, 2, 0, 0, 0, 0, 0, 9]),
        // A Finished in the clear.
        record(0, &[&[20, 0, 0, 12, 0, 1, 0, 0, 0, 0, 0, 12][..], &[7; 12]].concat()),
        record(1, &[0; 8]),
        record(2, &[0; 40]),
        record(0, &[1; 30])[..40].to_vec(),
        unknown_version,
        vec![0b0011_1110; 40],
        vec![0b0010_1110, 0, 1, 1, 0, 9],
    ]
}

/// RFC 6347 §4.1.2.7, RFC 9147 §4.5.2: what is invalid is discarded, however often it comes.
#[test]
fn malformed_records_do_not_end_a_handshake() {
    for version in [Version::Dtls12, Version::Dtls13, Version::Either] {
        let mut rig = Rig::new();
        let browser = rig.invite(version, BROWSER);
        rig.answer(browser);
        let mut count = 0;
        for _ in 0..20 {
            rig.now += Duration::from_millis(20);
            rig.relay.handle_timeout(rig.now);
            rig.drain();
            if rig.browsers[browser].client.poll_timeout().is_some_and(|due| due <= rig.now) {
                rig.browsers[browser].client.handle_timeout(rig.now);
            }
            while let Some(datagram) = rig.browsers[browser].client.poll_transmit() {
                if datagram[0] > 3 {
                    for _ in 0..7 {
                        for forged in malformed_records() {
                            rig.dropped(BROWSER, &forged, "dtls_invalid");
                            count += 1;
                        }
                    }
                }
                rig.give(SocketId::WEBRTC, BROWSER.parse().unwrap(), &datagram);
                rig.drain();
            }
        }
        let leg = rig.browsers[browser].leg;
        assert_eq!(
            rig.told(),
            [Event::IceConnected(leg), Event::DtlsConnected(leg)],
            "{version:?}"
        );
        assert!(rig.browsers[browser].client.is_connected());
        // At least once in each of the client's two flights.
        assert!(
            count >= 2 * 7 * malformed_records().len() && rig.count("dtls_invalid") == count as u64
        );
    }
}

/// Behind one address translator, an address may be one browser's now and another's then.
#[test]
fn an_address_that_became_anothers_is_not_sent_to_any_more() {
    let mut rig = Rig::talking(Version::Dtls12);
    rig.pass(200);
    let former = rig.browsers.remove(0).leg;
    let newer = rig.hello(BROWSER);
    let sent = rig.relay.leg_report(former).sent;
    rig.relay.play(rig.now, former, Tone::Ringback);
    rig.pass_relay_only(200);
    assert_eq!(rig.relay.leg_report(former).sent, sent);
    assert_eq!(rig.flood(std::slice::from_ref(&newer), 1), 1);
}

/// The fuzz target: a script of datagrams, each with two bytes of length and one that chooses its
/// source.
fn replay(rig: &mut Rig, script: &[u8]) {
    let sources = [BROWSER, FOREIGN, "203.0.113.7:51001", BROWSER]
        .map(|source| source.parse::<SocketAddr>().unwrap());
    let mut rest = script;
    while let [choice, high, low, after @ ..] = rest {
        let len = usize::from(u16::from_be_bytes([*high, *low]) % 1_600).min(after.len());
        let (datagram, next) = after.split_at(len);
        rest = next;
        let source = sources[usize::from(choice & 3)];
        let mut buffer = datagram.to_vec();
        buffer.resize(len + TAIL_ROOM, 0);
        rig.now += Duration::from_millis(u64::from(choice >> 4));
        match rig.relay.forward(rig.now, SocketId::WEBRTC, source, &mut buffer, len) {
            Forward::To { socket, remote, start, len } if socket == SocketId::WEBRTC => {
                assert_eq!(remote, source, "an answer goes where the check came from");
                assert!(start == 0 && buffer[..len][0] <= 1);
            }
            Forward::To { socket, remote, .. } => {
                assert_eq!((socket.0, remote), (rig.customer.index * 2, TRUNK.parse().unwrap()));
            }
            Forward::Drop(_) | Forward::Local => {}
        }
        rig.relay.handle_timeout(rig.now);
        while let Some(output) = rig.relay.poll_output() {
            if let Output::Transmit { remote, .. } = output {
                assert!(sources.contains(&remote) || remote == TRUNK.parse().unwrap());
            }
        }
        while rig.relay.poll_event().is_some() {}
    }
}

fn script(datagrams: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let piece = |(choice, datagram): &(u8, Vec<u8>)| {
        [&[*choice][..], &(datagram.len() as u16).to_be_bytes(), datagram].concat()
    };
    datagrams.iter().flat_map(piece).collect()
}

/// A seeded xorshift sequence.
struct Random(u64);

impl Random {
    fn next(&mut self) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 as usize
    }
}

#[test]
fn seeds_their_mutations_and_nonsense() {
    let mut rig = Rig::talking(Version::Dtls12);
    rig.pass(200);
    let client = &mut rig.browsers[0].client;
    let mut datagrams =
        vec![(0, client.check(true)), (2, client.check(false)), (1, client.check(true))];
    datagrams.extend((0..3).map(|_| (0x10, client.voice(&[3; 160]).unwrap())));
    datagrams.push((0, client.report()));
    datagrams.push((0, [&[22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 20][..], &[1; 20]].concat()));
    datagrams.push((2, vec![23; 60]));
    datagrams.push((3, vec![0x80, 200, 0, 6]));
    let seed = script(&datagrams);
    replay(&mut rig, &seed);
    let mut random = Random(0x5eed);
    for round in 0..1_500 {
        let mut mutated = seed.clone();
        for _ in 0..1 + random.next() % 8 {
            let at = random.next() % mutated.len();
            mutated[at] = random.next() as u8;
        }
        replay(&mut rig, &mutated[round % 40..]);
        let nonsense: Vec<u8> = (0..200).map(|_| random.next() as u8 & 0x3f).collect();
        replay(&mut rig, &nonsense);
    }
    rig.relay.close_leg(rig.now, rig.browsers[0].leg);
    assert_eq!(rig.relay.leg_count(), 1);
}
