//! RTPbleed: strangers send to open ports and hope to be sent a call, to be heard in it, or to
//! silence it (B02). Public and private trunks, plain and by SRTP, bridged and in a mix, before the
//! party spoke, while it speaks and after its silence; nothing leaks, nothing is taken, and the
//! party is heard all the while.

use super::protection::{keys, seal};
use super::*;
use crate::srtp::{Outbound, SrtpKeys};

/// A leg's peer as it is expected: where it really sends from, what it names, and what else is
/// known of it.
struct Kind {
    named: &'static str,
    party: &'static str,
    signalling: &'static str,
    networks: &'static [&'static str],
}

const KINDS: [Kind; 7] = [
    Kind {
        named: "203.0.113.2:5000",
        party: "203.0.113.2:5000",
        signalling: "203.0.113.2",
        networks: &[],
    },
    Kind {
        named: "203.0.113.2:5000",
        party: "203.0.113.2:5002",
        signalling: "203.0.113.9",
        networks: &[],
    },
    Kind {
        named: "10.9.0.20:33300",
        party: "10.9.0.20:33300",
        signalling: "10.9.0.20",
        networks: &[],
    },
    Kind {
        named: "10.9.0.20:33300",
        party: "10.9.0.20:33300",
        signalling: "203.0.113.9",
        networks: &["10.9.0.0/16"],
    },
    // Behind a translator.
    Kind {
        named: "192.168.1.5:7078",
        party: "203.0.113.9:41000",
        signalling: "203.0.113.9",
        networks: &[],
    },
    // A cluster whose media come from elsewhere.
    Kind {
        named: "100.64.3.3:9000",
        party: "203.0.113.130:9000",
        signalling: "203.0.113.9",
        networks: &["203.0.113.128/25"],
    },
    Kind {
        named: "203.0.113.2:5000",
        party: "203.0.113.130:9000",
        signalling: "203.0.113.9",
        networks: &["203.0.113.128/25"],
    },
];

/// None of them is where any of those parties may come from.
const STRANGERS: [&str; 6] = [
    "192.0.2.66:6000",
    "203.0.113.3:5000",
    "203.0.113.127:9000",
    "10.10.0.20:33300",
    "192.168.1.6:7078",
    "[2001:db8::66]:6000",
];

/// How the leg that is attacked takes part in its call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Plain,
    Secured,
    /// As one of three.
    Mixed,
}

const THIRD: &str = "198.51.100.9:4000";

struct Scene {
    rig: Rig,
    customer: LegId,
    agent: LegId,
    kind: &'static Kind,
    part: Part,
    /// The party's own context where it is protected.
    outbound: Option<Outbound>,
    forged: u16,
    heard_count: u32,
}

impl Scene {
    fn new(kind: &'static Kind, part: Part) -> Scene {
        let mut rig = Rig::new();
        let networks = kind.networks.iter().map(|network| network.parse().unwrap()).collect();
        let sources = MediaSources { signalling: Some(kind.signalling.parse().unwrap()), networks };
        let (agent, customer) = (rig.open(AGENT), rig.open_from(kind.named, sources));
        let outbound = (part == Part::Secured).then(|| Outbound::new(&keys(2)));
        let mut scene =
            Scene { rig, customer, agent, kind, part, outbound, forged: 0, heard_count: 0 };
        scene.describe(Direction::SendRecv);
        bridge(&mut scene.rig.relay, scene.rig.now, agent, customer);
        if part == Part::Mixed {
            let legs = [agent, customer, scene.rig.open(THIRD)];
            for leg in legs {
                scene.rig.relay.set_hearing(scene.rig.now, leg, &legs);
            }
        }
        scene
    }

    /// Tells the leg its peer.
    fn describe(&mut self, direction: Direction) {
        let secured = SrtpKeys { outbound: keys(1), inbound: keys(2), mki: None };
        let srtp = self.outbound.is_some().then(|| Box::new(secured));
        let remote = RemoteMedia { direction, srtp, ..remote(self.kind.named) };
        self.rig.relay.set_remote(self.rig.now, self.customer, remote);
    }

    #[track_caller]
    fn is_ours(&self, remote: SocketAddr) {
        let expected = [AGENT, THIRD, self.kind.named, self.kind.party].map(address);
        let is_rtcp =
            remote.port() % 2 == 1 && expected.iter().any(|known| known.ip() == remote.ip());
        assert!(
            expected.contains(&remote) || is_rtcp,
            "{remote} is sent to, the party being {}",
            self.kind.party
        );
    }

    /// 20 ms, in which each stranger sends RTP as of the party's own stream and as of another, and
    /// RTCP; the agent speaks, and the customer, too, if `speaks` is set.
    fn frame(&mut self, agent: &mut Talker, party: Option<&mut Talker>) {
        let known = party.as_ref().map_or(1, |party| party.ssrc);
        for stranger in STRANGERS {
            for ssrc in [known, 0x6666] {
                self.forged = self.forged.wrapping_add(1);
                let mut talker = Talker { ssrc, sequence: self.forged, timestamp: 0 };
                self.rig.dropped(
                    self.customer,
                    stranger,
                    &talker.audio(),
                    DropReason::ForeignSource,
                );
            }
            let goodbye = [0x81, 203, 0, 1, 0, 0, 0, known as u8];
            let rtcp = SocketId(self.customer.index * 2 + 1);
            let (forward, _) = self.rig.forward_on(
                rtcp,
                stranger,
                &[&[0x80, 201, 0, 1, 0, 0, 0, 9][..], &goodbye].concat(),
            );
            assert_eq!(forward, Forward::Drop(DropReason::ForeignSource));
        }
        self.say(self.agent, AGENT, &agent.audio());
        if let Some(party) = party {
            let plain = party.audio();
            let sealed = self.outbound.as_mut().map(|outbound| seal(outbound, &plain));
            if self.say(self.customer, self.kind.party, sealed.as_ref().unwrap_or(&plain)) {
                self.heard_count += 1;
            }
        }
        for done in self.rig.pass_ms(20) {
            if let Done::Transmit(_, remote, _) | Done::Connect(_, remote) = done {
                self.is_ours(remote);
            }
        }
    }

    /// Whether a packet of a party is heard.
    fn say(&mut self, leg: LegId, source: &str, datagram: &[u8]) -> bool {
        match self.rig.forward(leg, source, datagram) {
            Forward::To { remote, .. } => {
                self.is_ours(remote);
                true
            }
            Forward::Local => self.part == Part::Mixed,
            Forward::Drop(_) => false,
        }
    }

    fn frames(&mut self, count: u32, agent: &mut Talker, mut party: Option<&mut Talker>) {
        (0..count).for_each(|_| self.frame(agent, party.as_deref_mut()));
    }

    /// The party speaks for a second, and is heard.
    #[track_caller]
    fn check_heard(&mut self, agent: &mut Talker, party: &mut Talker) {
        let before = self.heard_count;
        self.frames(50, agent, Some(party));
        let count = self.heard_count - before;
        assert!(count >= 45, "{} {:?}: {count}", self.kind.party, self.part);
    }
}

#[test]
fn nothing_leaks_and_nothing_is_taken() {
    for part in [Part::Plain, Part::Secured, Part::Mixed] {
        for kind in &KINDS {
            let mut scene = Scene::new(kind, part);
            let (mut agent, mut party) = (Talker::new(0xa000_0001), Talker::new(0xb000_0001));
            scene.frames(50, &mut agent, None);
            scene.check_heard(&mut agent, &mut party);
            // After silence, and the party comes back.
            scene.frames(400, &mut agent, None);
            scene.check_heard(&mut agent, &mut party);
            // After a hold and its end at the same address.
            scene.describe(Direction::SendOnly);
            scene.describe(Direction::SendRecv);
            scene.frames(200, &mut agent, None);
            scene.check_heard(&mut agent, &mut party);
        }
    }
}

/// Who sits at the party's own address without its key is not heard either, and silences nobody.
#[test]
fn a_protected_leg_takes_nothing_without_its_key() {
    for kind in &KINDS {
        let mut scene = Scene::new(kind, Part::Secured);
        let (mut agent, mut party) = (Talker::new(0xa000_0001), Talker::new(0xb000_0001));
        for _ in 0..50 {
            let mut forged = Talker { ssrc: party.ssrc, ..Talker::new(3) };
            for bytes in [forged.audio(), seal(&mut Outbound::new(&keys(7)), &forged.audio())] {
                let forward = scene.rig.forward(scene.customer, kind.party, &bytes);
                assert!(
                    matches!(
                        forward,
                        Forward::Drop(DropReason::Probation | DropReason::Unauthentic)
                    ),
                    "{forward:?}"
                );
            }
        }
        scene.check_heard(&mut agent, &mut party);
    }
}

/// A refused peer is told once, so that a real one is not locked out without a word; noise of many
/// sources is not told.
#[test]
fn one_who_sends_from_where_it_may_not_is_told_once() {
    let mut scene = Scene::new(&KINDS[2], Part::Plain);
    let mut real = Talker::new(7);
    for _ in 0..100 {
        scene.rig.dropped(
            scene.customer,
            "10.9.0.21:9000",
            &real.audio(),
            DropReason::ForeignSource,
        );
    }
    assert_eq!(
        scene.rig.events(),
        [Event::SourceRefused(scene.customer, address("10.9.0.21:9000"))]
    );
    let mut scene = Scene::new(&KINDS[2], Part::Plain);
    for port in 1..100 {
        scene.rig.dropped(
            scene.customer,
            &format!("192.0.2.66:{port}"),
            &real.audio(),
            DropReason::ForeignSource,
        );
    }
    assert_eq!(scene.rig.events(), []);
}

/// Packets with the trunk's own address and some other port, forged before the party's first one
/// and on and on.
#[test]
fn the_named_address_is_heard_at_once_whoever_was_there_before() {
    for (named, ghost) in [
        ("203.0.113.2:5000", "203.0.113.2:4444"),
        ("10.9.0.20:33300", "10.9.0.20:4444"),
        ("192.168.1.5:7078", "203.0.113.9:1"),
    ] {
        let mut rig = Rig::new();
        let sources =
            MediaSources { signalling: Some("203.0.113.9".parse().unwrap()), networks: Vec::new() };
        let (agent, customer) = (rig.open(AGENT), rig.open_from(named, sources));
        bridge(&mut rig.relay, rig.now, agent, customer);
        let (mut a, mut b, mut forged) = (Talker::new(1), Talker::new(2), Talker::new(3));
        for _ in 0..10 {
            rig.forward(customer, ghost, &forged.audio());
        }
        assert_eq!(rig.hear(agent, AGENT, &a.audio()).remote, address(ghost));
        for _ in 0..400 {
            rig.hear(customer, named, &b.audio());
            assert_eq!(rig.hear(agent, AGENT, &a.audio()).remote, address(named));
            rig.dropped(customer, ghost, &forged.audio(), DropReason::ForeignSource);
            rig.pass_ms(20);
        }
    }
}
