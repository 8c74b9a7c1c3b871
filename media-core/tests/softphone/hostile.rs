//! Bytes of any kind on the softphones' socket: nothing panics, nothing goes where no check came from, each refusal has its reason.

use super::*;
use crate::client::sign;

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
    (0..check.len())
        .for_each(|len| assert!(matches!(rig.give(SocketId::WEBRTC, BROWSER.parse().unwrap(), &check[..len]), Forward::Drop(_))));
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
    assert!(matches!(rig.give(SocketId::WEBRTC, BROWSER.parse().unwrap(), &voice), Forward::To { .. }));
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

#[test]
fn dtls_long_after_the_handshake_is_refused() {
    let mut rig = Rig::talking(Version::Dtls12);
    let junk = [&[22, 254, 253, 0, 1, 0, 0, 0, 0, 0, 9, 0, 20][..], &[9; 20]].concat();
    assert_eq!(rig.give(SocketId::WEBRTC, BROWSER.parse().unwrap(), &junk), Forward::Local, "noise is passed over");
    rig.pass(11_000);
    rig.dropped(BROWSER, &junk, "dtls_over");
    check_both_hear(&mut rig, 0);
}

/// A flood of handshake datagrams costs each tick what it may cost, and no more.
#[test]
fn handshakes_have_a_budget() {
    let mut rig = Rig::new();
    for n in 0..4 {
        rig.invite(Version::Dtls12, &format!("203.0.113.7:{}", 51_000 + n));
    }
    let mut hellos = Vec::new();
    for at in 0..4 {
        let (check, address) = (rig.browsers[at].client.check(true), rig.browsers[at].address);
        rig.give(SocketId::WEBRTC, address, &check);
        rig.browsers[at].client.handle_timeout(rig.now);
        let mut sent = std::iter::from_fn(|| rig.browsers[at].client.poll_transmit());
        hellos.push((address, sent.find(|datagram| datagram[0] == 22).expect("a ClientHello")));
    }
    rig.browsers.clear();
    for _ in 0..20 {
        rig.now += Duration::from_millis(20);
        rig.relay.handle_timeout(rig.now);
        let mut taken = |hello: &(SocketAddr, Vec<u8>)| rig.give(SocketId::WEBRTC, hello.0, &hello.1) == Forward::Local;
        let of_one = (0..20).filter(|_| taken(&hellos[0])).count();
        let of_others = (0..60).filter(|n| taken(&hellos[1 + n % 3])).count();
        assert_eq!((of_one, of_others), (4, 4));
        rig.drain();
    }
    assert_eq!(rig.count("dtls_budget"), 20 * 72);
    // Who comes after the flood is served.
    rig.relay.close_leg(rig.now, LegId { index: 4, generation: 1 });
    let browser = rig.invite(Version::Dtls12, BROWSER);
    rig.answer(browser);
    rig.pass(1_000);
    assert!(rig.browsers[browser].client.is_connected());
}

/// The fuzz target: a script of datagrams, each with two bytes of length and one that chooses its source.
fn replay(rig: &mut Rig, script: &[u8]) {
    let sources = [BROWSER, FOREIGN, "203.0.113.7:51001", BROWSER].map(|source| source.parse::<SocketAddr>().unwrap());
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
    let piece = |(choice, datagram): &(u8, Vec<u8>)| [&[*choice][..], &(datagram.len() as u16).to_be_bytes(), datagram].concat();
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
    let mut datagrams = vec![(0, client.check(true)), (2, client.check(false)), (1, client.check(true))];
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
