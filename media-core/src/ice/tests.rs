//! Checks against one agent: who is believed, which address is chosen, restart and consent.

use super::*;
use crate::stun::tests::check;
use crate::{clock, stun};

const FIRST: &str = "192.0.2.1:1000";
const SECOND: &str = "192.0.2.1:2000";

struct Rig {
    now: Instant,
    mint: Mint,
    agent: Agent,
}

impl Rig {
    fn new() -> Rig {
        let mut mint = Mint::new(b"secret");
        Rig { now: clock::start(), agent: Agent::new(5, &mut mint), mint }
    }

    fn username(&self) -> String {
        format!("{}:peer", self.agent.credentials().ufrag())
    }

    /// A check by the current names.
    fn check(
        &mut self,
        transaction: u8,
        source: &str,
        nominates: bool,
    ) -> Result<Checked, DropReason> {
        let message =
            check(transaction, &self.username(), self.agent.credentials().password(), nominates);
        self.give(&message, source)
    }

    fn give(&mut self, message: &[u8], source: &str) -> Result<Checked, DropReason> {
        let request = stun::parse(message).unwrap();
        assert_eq!(leg_of(&request), Some(5));
        self.agent.check(self.now, &request, source.parse().unwrap())
    }

    fn selected(&self) -> Option<String> {
        self.agent.selected().map(|address| address.to_string())
    }
}

#[test]
fn a_name_tells_its_leg_and_no_credentials_are_equal() {
    let mut mint = Mint::new(b"secret");
    for index in [0, 1, 63, 64, 4_095, 65_535, 131_070] {
        let (first, second) = (mint.credentials(index), mint.credentials(index));
        assert_eq!(leg_index(first.ufrag().as_bytes()), Some(index));
        assert_ne!(first.ufrag(), second.ufrag());
        assert_ne!(first.password(), second.password());
        assert!((first.password().len(), first.ufrag().len()) == (24, 12));
    }
    assert_ne!(
        Mint::new(b"a").credentials(1).password(),
        Mint::new(b"b").credentials(1).password()
    );
    assert!(!format!("{:?}", mint.credentials(3)).contains(mint.credentials(3).password()));
    assert_eq!(leg_index(b"short"), None);
    assert_eq!(leg_index(b"AAA:AAAAAAAA"), None);
}

#[test]
fn the_first_address_serves_until_another_is_nominated() {
    let mut rig = Rig::new();
    let first = rig.check(1, FIRST, false).unwrap();
    assert!(first.is_new && !first.connected);
    assert_eq!(rig.selected().as_deref(), Some(FIRST));
    let second = rig.check(2, SECOND, true).unwrap();
    assert!(second.is_new && second.connected);
    assert_eq!(rig.selected().as_deref(), Some(SECOND));
    let back = rig.check(3, FIRST, true).unwrap();
    assert!(!back.is_new && !back.connected);
    assert_eq!(rig.selected().as_deref(), Some(FIRST));
}

#[test]
fn only_the_peer_is_believed() {
    let mut rig = Rig::new();
    rig.agent.set_peer("peer", 5, &mut rig.mint);
    let (name, password) = (rig.username(), rig.agent.credentials().password().to_owned());
    let next = rig.agent.next_credentials();
    // The index alone does not name the leg's agent.
    let other_end = if rig.agent.credentials().ufrag().ends_with('x') { "y" } else { "x" };
    let other_name = format!("{}{other_end}:peer", &name[..UFRAG_LEN - 1]);
    for (username, password) in [
        (name.as_str(), "wrong"),
        (&other_name, &password),
        (&name.replace("peer", "other"), &password),
        (&format!("{name}x"), &password),
        (&format!("{}:peer", next.ufrag()), next.password()),
    ] {
        assert_eq!(
            rig.give(&check(1, username, password, true), FIRST),
            Err(DropReason::StunUnauthentic),
            "{username}"
        );
    }
    assert_eq!(rig.selected(), None);
    assert!(rig.check(1, FIRST, true).unwrap().connected);
}

#[test]
fn a_copied_check_gains_nothing_elsewhere() {
    let mut rig = Rig::new();
    rig.check(1, FIRST, true).unwrap();
    assert_eq!(rig.check(1, SECOND, true), Err(DropReason::StunReplayed));
    assert_eq!(
        rig.check(1, FIRST, true).unwrap().answer,
        Answer::Success,
        "a retransmission is answered"
    );
    assert_eq!(rig.selected().as_deref(), Some(FIRST));
}

#[test]
fn the_selected_address_is_never_replaced() {
    let mut rig = Rig::new();
    rig.check(1, FIRST, true).unwrap();
    for n in 0..20u8 {
        rig.now += Duration::from_millis(100);
        let checked =
            rig.check(10 + n, &format!("192.0.2.9:{}", 100 + u16::from(n)), false).unwrap();
        let replaced = (n >= 3).then(|| format!("192.0.2.9:{}", 100 + u16::from(n) - 3));
        assert_eq!(checked.replaced.map(|address| address.to_string()), replaced);
    }
    assert_eq!(rig.agent.sources().count(), SOURCE_COUNT);
    assert_eq!(rig.selected().as_deref(), Some(FIRST));
}

#[test]
fn consent_ends_without_checks_and_comes_again() {
    let mut rig = Rig::new();
    assert!(!rig.agent.expire(rig.now + CONSENT, |_| panic!()));
    rig.check(1, FIRST, true).unwrap();
    assert!(!rig.agent.expire(rig.now + CONSENT - Duration::from_millis(1), |_| panic!()));
    rig.now += CONSENT;
    let mut forgotten = Vec::new();
    assert!(rig.agent.expire(rig.now, |address| forgotten.push(address.to_string())));
    assert_eq!((forgotten, rig.selected()), (vec![FIRST.to_owned()], None));
    assert!(!rig.agent.expire(rig.now + CONSENT, |_| panic!()), "told once");
    let again = rig.check(2, SECOND, true).unwrap();
    assert!(again.is_new && again.connected);
}

/// RFC 8445 §9: "An agent restarts ICE by changing both"; the old pair serves until the new one is
/// chosen.
#[test]
fn a_restart_keeps_the_old_address_until_a_new_one_is_nominated() {
    let mut rig = Rig::new();
    rig.agent.set_peer("peer", 5, &mut rig.mint);
    rig.check(1, FIRST, true).unwrap();
    let (old, next) = (rig.agent.credentials(), rig.agent.next_credentials());
    rig.agent.set_peer("peer", 5, &mut rig.mint);
    assert_eq!(rig.agent.credentials(), old, "the same name restarts nothing");
    rig.agent.set_peer("anew", 5, &mut rig.mint);
    assert_eq!((rig.agent.credentials(), rig.agent.peer_ufrag()), (next, Some("anew")));
    assert_ne!(rig.agent.next_credentials(), next);
    let old_check =
        |transaction| check(transaction, &format!("{}:peer", old.ufrag()), old.password(), true);
    assert_eq!(rig.give(&old_check(2), FIRST).unwrap().ours, old);
    assert!(rig.give(&old_check(5), "192.0.2.1:3000").unwrap().is_new);
    assert_eq!(
        rig.selected().as_deref(),
        Some(FIRST),
        "the old names choose no other address any more"
    );
    let new_check = check(3, &format!("{}:anew", next.ufrag()), next.password(), true);
    assert!(!rig.give(&new_check, SECOND).unwrap().connected);
    assert_eq!(rig.selected().as_deref(), Some(SECOND));
    assert_eq!(rig.give(&old_check(4), FIRST), Err(DropReason::StunUnauthentic));
}

#[test]
fn conflicts_and_unknown_attributes_are_answered_and_mean_nothing() {
    let mut rig = Rig::new();
    let (name, password) = (rig.username(), rig.agent.credentials().password().to_owned());
    let controlled = stun::tests::message(
        1,
        [1; 12],
        &[(6, name.as_bytes()), (0x8029, &[0; 8]), (0x25, &[])],
        Some(&password),
    );
    assert_eq!(rig.give(&controlled, FIRST).unwrap().answer, Answer::RoleConflict);
    let unknown = stun::tests::message(
        1,
        [2; 12],
        &[(6, name.as_bytes()), (0x7ffe, &[]), (0x25, &[])],
        Some(&password),
    );
    assert!(matches!(rig.give(&unknown, FIRST).unwrap().answer, Answer::UnknownAttributes(_)));
    assert_eq!(rig.selected(), None);
}
