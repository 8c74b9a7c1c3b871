//! Bytes of any kind: nothing panics, nothing goes where it must not, each refusal has its reason.

use super::*;
use crate::random::Random;

/// The fuzz target: an input is a script of datagrams, each with two bytes of length and one that
/// chooses socket and source.
fn replay(script: &[u8]) {
    let (mut rig, agent, customer, ..) = Rig::talking();
    record(&mut rig.relay, rig.now, agent, customer);
    let allowed = [
        address(AGENT),
        address(CUSTOMER),
        address("198.51.100.1:4001"),
        address("203.0.113.2:5001"),
    ];
    let mut rest = script;
    while let [choice, high, low, after @ ..] = rest {
        let len = usize::from(u16::from_be_bytes([*high, *low]) % 1700).min(after.len());
        let (datagram, next) = after.split_at(len);
        rest = next;
        let source = [AGENT, CUSTOMER, FOREIGN, "203.0.113.2:5001"][usize::from(choice >> 4) % 4];
        rig.now += Duration::from_millis(u64::from(choice >> 6) * 7);
        let (forward, buffer) = rig.forward_on(SocketId(u32::from(choice & 7)), source, datagram);
        match forward {
            Forward::To { remote, start, len, .. } => {
                assert!(allowed.contains(&remote));
                assert_eq!(rtp::parse(&buffer[start..start + len]).unwrap().payload_start, 12);
                assert!(source == AGENT || source == CUSTOMER);
            }
            Forward::Drop(_) | Forward::Local => {}
        }
        rig.relay.handle_timeout(rig.now);
        for done in rig.outputs() {
            if let Done::Transmit(_, remote, _) | Done::Connect(_, remote) = done {
                assert!(allowed.contains(&remote));
            }
        }
        rig.events();
    }
}

fn script(datagrams: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut script = Vec::new();
    for (choice, datagram) in datagrams {
        script.push(*choice);
        script.extend_from_slice(&(datagram.len() as u16).to_be_bytes());
        script.extend_from_slice(datagram);
    }
    script
}

#[test]
fn seeds_and_their_mutations() {
    let mut a = Talker::new(0xa000_0001);
    let mut datagrams: Vec<(u8, Vec<u8>)> = (0..4).map(|_| (0, a.audio())).collect();
    datagrams.push((0, packet(a.header(EVENT), &[1, 0x80, 0, 160])));
    datagrams.push((1, vec![0x80, 201, 0, 1, 0, 0, 0, 9]));
    datagrams.push((0x31, vec![0x81, 200, 0, 12]));
    datagrams.push((
        1,
        [&[0x80, 201, 0, 1, 0, 0, 0, 9, 0x81, 202, 0, 2, 0, 0, 0, 9, 1, 1][..], &[0; 2]].concat(),
    ));
    datagrams.push((0, vec![0x9f; 90]));
    datagrams.push((0, vec![0xbf; 60]));
    datagrams.push((0x20, a.audio()));
    datagrams.push((0, vec![0; 20]));
    datagrams.push((0, vec![22, 254, 253]));
    datagrams.push((6, vec![]));
    let seed = script(&datagrams);
    replay(&seed);
    for cut in 0..seed.len() {
        replay(&seed[cut..]);
    }
    let mut random = Random::new(7);
    for _ in 0..2000 {
        let mut mutated = seed.clone();
        for _ in 0..1 + random.next_u64() % 8 {
            let at = random.next_u64() as usize % mutated.len();
            mutated[at] = random.next_u64() as u8;
        }
        replay(&mutated);
    }
}

#[test]
fn random_bytes() {
    let mut random = Random::new(11);
    for _ in 0..500 {
        let script: Vec<u8> = (0..400).map(|_| random.next_u64() as u8).collect();
        replay(&script);
    }
}

#[test]
fn each_refusal_has_its_reason() {
    let (mut rig, agent, _, mut a, _) = Rig::talking();
    rig.dropped(agent, AGENT, &[], DropReason::NotRtp);
    rig.dropped(agent, AGENT, &[0, 1, 0, 0], DropReason::NotRtp);
    rig.dropped(agent, AGENT, &[0x80, 0, 0, 1], DropReason::NotRtp);
    rig.dropped(agent, AGENT, &vec![0x80; 1501], DropReason::Oversized);
    let mut cut = a.audio();
    cut[0] |= 0x10;
    cut.truncate(14);
    rig.dropped(agent, AGENT, &cut, DropReason::MalformedRtp);
    let jump =
        packet(Header { sequence: a.sequence.wrapping_add(20_000), ..a.header(AUDIO) }, &[0; 160]);
    rig.dropped(agent, AGENT, &jump, DropReason::Sequence);
    let (forward, _) = rig.forward_on(SocketId(14), AGENT, &a.audio());
    assert_eq!(forward, Forward::Drop(DropReason::NoLeg));
    let (forward, _) = rig.forward_on(SocketId(u32::MAX - 1), AGENT, &a.audio());
    assert_eq!(forward, Forward::Drop(DropReason::NoLeg));
    // A buffer without tail room.
    let mut tight = a.audio();
    let len = tight.len();
    let forward =
        rig.relay.forward(rig.now, SocketId(agent.index * 2), address(AGENT), &mut tight, len);
    assert_eq!(forward, Forward::Drop(DropReason::Oversized));
}

#[test]
fn a_flood_of_key_presses_leaves_room_for_other_events() {
    let (mut rig, agent, _, mut a, _) = Rig::talking();
    for _ in 0..1000 {
        rig.forward(agent, AGENT, &packet(a.header(EVENT), &[1, 0x80, 0, 160]));
    }
    assert!(rig.count(DropReason::EventQueueFull) > 0);
    let third = rig.open(FOREIGN);
    rig.forward(third, FOREIGN, &Talker::new(5).audio());
    assert!(rig.events().contains(&Event::FirstMedia(third)));
}

#[test]
fn outputs_that_nobody_takes_are_bounded() {
    let mut rig = Rig::with_pairs(500);
    for _ in 0..500 {
        let leg = rig.open(AGENT);
        rig.relay.play(rig.now, leg, Tone::Ringback);
    }
    for _ in 0..100 {
        rig.now += Duration::from_millis(20);
        rig.relay.handle_timeout(rig.now);
    }
    assert!(rig.count(DropReason::TransmitQueueFull) > 0);
    assert!(rtp_among(&rig.outputs()).len() < 10_000);
}
