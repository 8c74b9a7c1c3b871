//! Which strangers' connections a listener keeps: so many in all, so many of one address. When
//! there is no room, the newest comes in the place of the one with the least to show for itself:
//! silent ones go first, then the oldest. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// How far a stranger has come; the least is displaced first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Has sent nothing.
    Silent,
    /// Has sent something, but no whole message or handshake.
    Unfinished,
    Finished,
}

/// What becomes of a new connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    Free,
    /// This one is to be cut off, and has lost its place.
    InsteadOf(u64),
    Full,
}

/// The strangers of one listener, by the numbers of their connections, which grow.
#[derive(Debug)]
pub struct Slots {
    per_address: usize,
    strangers: BTreeMap<u64, IpAddr>,
}

impl Slots {
    pub fn new(per_address: usize) -> Self {
        Self { per_address, strangers: BTreeMap::new() }
    }

    /// Takes a place among at most `room` strangers.
    pub fn enter(
        &mut self,
        id: u64,
        address: IpAddr,
        room: usize,
        stage: impl Fn(u64) -> Stage,
    ) -> Entry {
        let address = host(address);
        let of_address = |(_, other): &(&u64, &IpAddr)| **other == address;
        let is_narrow = self.strangers.iter().filter(of_address).count() >= self.per_address;
        let entry = if is_narrow {
            first_to_go(self.strangers.iter().filter(of_address), stage)
        } else if self.strangers.len() >= room {
            first_to_go(self.strangers.iter(), stage)
        } else {
            Entry::Free
        };
        match entry {
            Entry::Full => return entry,
            Entry::InsteadOf(displaced) => self.leave(displaced),
            Entry::Free => {}
        }
        self.strangers.insert(id, address);
        entry
    }

    /// The connection has ended, or is no stranger's any more.
    pub fn leave(&mut self, id: u64) {
        self.strangers.remove(&id);
    }

    pub fn len(&self) -> usize {
        self.strangers.len()
    }
}

fn first_to_go<'a>(
    strangers: impl Iterator<Item = (&'a u64, &'a IpAddr)>,
    stage: impl Fn(u64) -> Stage,
) -> Entry {
    strangers
        .map(|(id, _)| *id)
        .min_by_key(|id| (stage(*id), *id))
        .map_or(Entry::Full, Entry::InsteadOf)
}

/// One host may choose among all addresses of its IPv6 network of 64 bits.
fn host(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            IpAddr::from((u128::from(address) & !u128::from(u64::MAX)).to_be_bytes())
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_displaces_only_its_own_and_the_silent_first() {
        let mut slots = Slots::new(3);
        let (near, far) = (address("192.0.2.66"), address("198.51.100.1"));
        let stage = |id| match id {
            0 | 1 => Stage::Finished,
            3 => Stage::Unfinished,
            _ => Stage::Silent,
        };
        assert_eq!(slots.enter(0, far, 10, stage), Entry::Free);
        for id in 1..=3 {
            assert_eq!(slots.enter(id, near, 10, stage), Entry::Free);
        }
        // Of 1 (finished), 2 (silent), 3 (unfinished): then of 1, 3 and a silent newcomer; the
        // other address is left alone.
        assert_eq!(slots.enter(4, near, 10, stage), Entry::InsteadOf(2));
        assert_eq!(slots.enter(5, near, 10, stage), Entry::InsteadOf(4));
        assert_eq!(
            slots.enter(6, near, 10, |id| stage(id).max(Stage::Unfinished)),
            Entry::InsteadOf(3)
        );
        assert_eq!(
            slots.enter(7, near, 10, |_| Stage::Finished),
            Entry::InsteadOf(1),
            "the oldest"
        );
        assert_eq!(slots.len(), 4);
        slots.leave(6);
        assert_eq!(slots.enter(8, near, 10, stage), Entry::Free);
    }

    #[test]
    fn a_full_listener_displaces_the_silent_of_any_address() {
        let mut slots = Slots::new(100);
        let stage = |id| if id == 1 { Stage::Silent } else { Stage::Finished };
        for id in 0..3 {
            slots.enter(id, address(&format!("192.0.2.{id}")), 3, stage);
        }
        assert_eq!(slots.enter(3, address("198.51.100.1"), 3, stage), Entry::InsteadOf(1));
        assert_eq!(slots.enter(4, address("198.51.100.2"), 3, stage), Entry::InsteadOf(0));
        assert_eq!(
            Slots::new(1).enter(0, address("198.51.100.2"), 0, stage),
            Entry::Full,
            "no room for strangers at all"
        );
    }

    #[test]
    fn an_ipv6_network_is_one_host() {
        let mut slots = Slots::new(1);
        let stage = |_| Stage::Finished;
        assert_eq!(slots.enter(0, address("2001:db8::1"), 9, stage), Entry::Free);
        assert_eq!(slots.enter(1, address("2001:db8::ffff:1"), 9, stage), Entry::InsteadOf(0));
        assert_eq!(slots.enter(2, address("2001:db8:0:1::1"), 9, stage), Entry::Free);
        assert_eq!(slots.enter(3, address("::ffff:192.0.2.1"), 9, stage), Entry::Free);
        assert_eq!(slots.enter(4, address("192.0.2.1"), 9, stage), Entry::InsteadOf(3));
    }
}
