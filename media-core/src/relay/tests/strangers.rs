//! RTPbleed: strangers send to open ports and hope to be sent a call, to be heard in it, or to
//! silence it (B02). Public and private trunks, before the party spoke, while it speaks and after
//! its silence; nothing leaks, nothing is taken, and the party is heard all the while.

use super::*;

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

struct Scene {
    rig: Rig,
    customer: LegId,
    agent: LegId,
    kind: &'static Kind,
    forged: u16,
    heard_count: u32,
}

impl Scene {
    fn new(kind: &'static Kind) -> Scene {
        let mut rig = Rig::new();
        let networks = kind.networks.iter().map(|network| network.parse().unwrap()).collect();
        let sources = MediaSources { signalling: Some(kind.signalling.parse().unwrap()), networks };
        let (agent, customer) = (rig.open(AGENT), rig.open_from(kind.named, sources));
        bridge(&mut rig.relay, rig.now, agent, customer);
        Scene { rig, customer, agent, kind, forged: 0, heard_count: 0 }
    }

    #[track_caller]
    fn is_ours(&self, remote: SocketAddr) {
        let expected = [AGENT, "198.51.100.1:4001", self.kind.named, self.kind.party].map(address);
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
        let heard = self.rig.hear(self.agent, AGENT, &agent.audio());
        self.is_ours(heard.remote);
        if let Some(party) = party
            && let Forward::To { .. } =
                self.rig.forward(self.customer, self.kind.party, &party.audio())
        {
            self.heard_count += 1;
        }
        for done in self.rig.pass_ms(20) {
            if let Done::Transmit(_, remote, _) | Done::Connect(_, remote) = done {
                self.is_ours(remote);
            }
        }
    }

    fn frames(&mut self, count: u32, agent: &mut Talker, mut party: Option<&mut Talker>) {
        (0..count).for_each(|_| self.frame(agent, party.as_deref_mut()));
    }
}

#[test]
fn nothing_leaks_and_nothing_is_taken() {
    for kind in &KINDS {
        let mut scene = Scene::new(kind);
        let (mut agent, mut party) = (Talker::new(0xa000_0001), Talker::new(0xb000_0001));
        scene.frames(50, &mut agent, None);
        scene.frames(50, &mut agent, Some(&mut party));
        assert!(scene.heard_count >= 45, "{}: {}", kind.party, scene.heard_count);
        // After silence, and the party comes back.
        scene.frames(400, &mut agent, None);
        let before = scene.heard_count;
        scene.frames(50, &mut agent, Some(&mut party));
        assert!(scene.heard_count - before >= 45, "{}: {}", kind.party, scene.heard_count);
        // After a hold and its end at the same address.
        let direction = Direction::SendOnly;
        scene.rig.relay.set_remote(
            scene.rig.now,
            scene.customer,
            RemoteMedia { direction, ..remote(kind.named) },
        );
        scene.rig.relay.set_remote(scene.rig.now, scene.customer, remote(kind.named));
        scene.frames(200, &mut agent, None);
        let before = scene.heard_count;
        scene.frames(50, &mut agent, Some(&mut party));
        assert!(scene.heard_count - before >= 45, "{}: {}", kind.party, scene.heard_count);
    }
}

/// A refused peer is told once, so that a real one is not locked out without a word; noise of many
/// sources is not told.
#[test]
fn one_who_sends_from_where_it_may_not_is_told_once() {
    let mut scene = Scene::new(&KINDS[2]);
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
    let mut scene = Scene::new(&KINDS[2]);
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
