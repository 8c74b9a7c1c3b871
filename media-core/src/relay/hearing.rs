//! Who hears whom: each leg has the short list of those whom it hears. Whoever hears one party alone gets its packets in place, one
//! hearer for each source; all others get a mix.

use std::time::Instant;

use super::{LegId, Relay};

/// Most parties that one leg can hear at once, and most legs of one mix.
pub const MAX_PARTIES: usize = 8;

/// A short list of legs, each once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parties {
    legs: [LegId; MAX_PARTIES],
    count: u8,
}

impl Default for Parties {
    fn default() -> Self {
        Parties { legs: [LegId { index: u32::MAX, generation: 0 }; MAX_PARTIES], count: 0 }
    }
}

impl Parties {
    pub fn as_slice(&self) -> &[LegId] {
        &self.legs[..usize::from(self.count)]
    }

    pub fn contains(&self, leg: LegId) -> bool {
        self.as_slice().contains(&leg)
    }

    /// Adds a leg once; false if the list is full.
    pub fn add(&mut self, leg: LegId) -> bool {
        if self.contains(leg) {
            return true;
        }
        let Some(place) = self.legs.get_mut(usize::from(self.count)) else { return false };
        *place = leg;
        self.count += 1;
        true
    }

    pub fn remove(&mut self, leg: LegId) {
        if let Some(at) = self.as_slice().iter().position(|other| *other == leg) {
            self.count -= 1;
            self.legs.swap(at, usize::from(self.count));
        }
    }

    /// The only one.
    pub fn single(&self) -> Option<LegId> {
        if let [leg] = self.as_slice() { Some(*leg) } else { None }
    }
}

impl Relay {
    /// Says whom a leg hears from now on, instead of whom it heard before: nobody, one, or up to `MAX_PARTIES`, mixed. Unknown or
    /// stale ids, its own id and repetitions are left out. What plays to it goes on until real audio of a source arrives.
    pub fn set_hearing(&mut self, now: Instant, leg: LegId, sources: &[LegId]) {
        let Some(open) = self.legs.get(leg.index, leg.generation) else { return };
        let before = open.hears;
        let mut wanted = Parties::default();
        for source in sources.iter().filter(|source| **source != leg) {
            let Some(open) = self.legs.get_mut(source.index, source.generation) else { continue };
            if wanted.as_slice().len() < MAX_PARTIES - 1 && open.heard_by.add(leg) {
                wanted.add(*source);
            }
        }
        for source in before.as_slice() {
            if let Some(open) = self.legs.get_mut(source.index, source.generation).filter(|_| !wanted.contains(*source)) {
                open.heard_by.remove(leg);
            }
        }
        if let Some(open) = self.legs.get_mut(leg.index, leg.generation) {
            open.hears = wanted;
        }
        for source in before.as_slice().iter().chain(wanted.as_slice()).chain([&leg]) {
            self.choose_hearer(now, *source);
        }
    }

    /// Decides who gets the packets of a source in place: of those that hear it alone, the one that it hears alone in turn, else
    /// the one that had them before, else the first.
    fn choose_hearer(&mut self, _now: Instant, source: LegId) {
        let Some(open) = self.legs.get(source.index, source.generation) else { return };
        let hears_alone = |hearer: &LegId| {
            self.legs.get(hearer.index, hearer.generation).is_some_and(|hearer| hearer.hears.single() == Some(source))
        };
        let candidates = || open.heard_by.as_slice().iter().copied().filter(hears_alone);
        let mutual = candidates().find(|hearer| open.hears.single() == Some(*hearer));
        let chosen = mutual.or_else(|| candidates().find(|hearer| open.hearer == Some(*hearer))).or_else(|| candidates().next());
        if let Some(open) = self.legs.get_mut(source.index, source.generation) {
            open.hearer = chosen;
        }
    }

    /// Takes a leg out of all that it hears and out of all that hear it.
    pub(super) fn part(&mut self, now: Instant, leg: LegId) {
        let Some(open) = self.legs.get(leg.index, leg.generation) else { return };
        let hearers = open.heard_by;
        self.set_hearing(now, leg, &[]);
        for hearer in hearers.as_slice() {
            self.replace_source(now, *hearer, leg, None);
        }
    }

    /// Lets a leg hear `to` instead of `from`.
    fn replace_source(&mut self, now: Instant, hearer: LegId, from: LegId, to: Option<LegId>) {
        let Some(open) = self.legs.get(hearer.index, hearer.generation) else { return };
        let mut sources = open.hears;
        sources.remove(from);
        if let Some(to) = to {
            sources.add(to);
        }
        self.set_hearing(now, hearer, sources.as_slice());
    }

    /// Lets `to` take the place of `from`: whom it hears, who hears it, its track of the recording and its playback; the recording
    /// goes on. What `to` was part of before ends. Nothing happens if either is closed.
    pub fn hand_over(&mut self, now: Instant, from: LegId, to: LegId) {
        if self.legs.pair_mut((from.index, from.generation), (to.index, to.generation)).is_none() {
            return;
        }
        self.part(now, to);
        let Some(old) = self.legs.get(from.index, from.generation) else { return };
        let (sources, hearers) = (old.hears, old.heard_by);
        self.set_hearing(now, from, &[]);
        for hearer in hearers.as_slice() {
            self.replace_source(now, *hearer, from, Some(to));
        }
        self.set_hearing(now, to, sources.as_slice());
        self.hand_over_playback(from, to);
        self.hand_over_track(now, from, to);
    }
}
