//! Who hears whom: each leg has the short list of those whom it hears. Whoever hears one party
//! alone gets its packets in place, one hearer for each source; all others get a mix.

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
    /// The legs, in no order.
    pub fn as_slice(&self) -> &[LegId] {
        &self.legs[..usize::from(self.count)]
    }

    /// Whether this leg is one of them.
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

    /// Takes a leg out, if it is in.
    pub fn remove(&mut self, leg: LegId) {
        if let Some(at) = self.as_slice().iter().position(|other| *other == leg) {
            self.count -= 1;
            self.legs.swap(at, usize::from(self.count));
        }
    }

    /// Just this leg.
    pub fn of(leg: LegId) -> Parties {
        let mut parties = Parties::default();
        parties.add(leg);
        parties
    }

    /// The only one.
    pub fn single(&self) -> Option<LegId> {
        if let [leg] = self.as_slice() { Some(*leg) } else { None }
    }
}

/// A leg whose way of hearing may change.
struct Change {
    hearer: LegId,
    /// Whom it heard before.
    before: Parties,
    /// The source whose packets it got in place and gets no longer.
    in_place: Option<LegId>,
}

impl Relay {
    /// Says whom a leg hears from now on, instead of whom it heard before: nobody, one, or up to
    /// `MAX_PARTIES` less itself, mixed. Unknown or stale ids, its own id and repetitions are left
    /// out. What plays to it goes on until real audio of a source arrives.
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
            if let Some(open) = self
                .legs
                .get_mut(source.index, source.generation)
                .filter(|_| !wanted.contains(*source))
            {
                open.heard_by.remove(leg);
            }
        }
        if let Some(open) = self.legs.get_mut(leg.index, leg.generation) {
            open.hears = wanted;
        }
        let sources: Vec<LegId> =
            before.as_slice().iter().chain(wanted.as_slice()).chain([&leg]).copied().collect();
        let mut changes = vec![Change { hearer: leg, before, in_place: None }];
        for source in &sources {
            let Some((loser, winner)) = self.choose_hearer(*source) else { continue };
            for hearer in [loser, winner].into_iter().flatten() {
                let in_place = Some(*source).filter(|_| Some(hearer) == loser);
                match &mut changes[0] {
                    own if hearer == leg => own.in_place = own.in_place.or(in_place),
                    // Whom others hear is as before: this source alone.
                    _ => changes.push(Change { hearer, before: Parties::of(*source), in_place }),
                }
            }
        }
        for change in &changes {
            self.settle_hearer(now, change);
        }
        for source in sources {
            self.settle_feed(source);
        }
    }

    /// Decides who gets the packets of a source in place: of those that hear it alone, the one that
    /// it hears alone in turn, else the one that had them before, else the first. Tells a change:
    /// who had them and who gets them.
    fn choose_hearer(&mut self, source: LegId) -> Option<(Option<LegId>, Option<LegId>)> {
        let open = self.legs.get(source.index, source.generation)?;
        let hears_alone = |hearer: &LegId| {
            self.legs
                .get(hearer.index, hearer.generation)
                .is_some_and(|hearer| hearer.hears.single() == Some(source))
        };
        let candidates = || open.heard_by.as_slice().iter().copied().filter(hears_alone);
        let mutual = candidates().find(|hearer| open.hears.single() == Some(*hearer));
        let winner = mutual
            .or_else(|| candidates().find(|hearer| open.hearer == Some(*hearer)))
            .or_else(|| candidates().next());
        let loser = open.hearer;
        if winner == loser {
            return None;
        }
        self.legs.get_mut(source.index, source.generation)?.hearer = winner;
        Some((loser, winner))
    }

    /// Gives a leg the way in which it hears now: in place, by a mix, or none. Nothing is lost or
    /// heard twice by a change.
    fn settle_hearer(&mut self, now: Instant, change: &Change) {
        let hearer = change.hearer;
        let Some(open) = self.legs.get(hearer.index, hearer.generation) else { return };
        let (hears, is_mixed) = (open.hears, open.mix.is_some());
        let has_packets = |source: &LegId| {
            self.legs
                .get(source.index, source.generation)
                .is_some_and(|source| source.hearer == Some(hearer))
        };
        match hears.single().filter(has_packets) {
            Some(source) if is_mixed => {
                if change.before.contains(source) {
                    self.send_waiting(now, source, hearer);
                }
                self.end_mix(hearer);
            }
            Some(_) => {}
            None if hears.as_slice().is_empty() => self.end_mix(hearer),
            None if is_mixed => self.keep_mix(hearer),
            None => {
                // What it heard in place already waits for other mixes too.
                let heard =
                    change.in_place.filter(|source| hears.contains(*source)).and_then(|source| {
                        let feed = self.legs.get(source.index, source.generation)?.feed.as_ref()?;
                        Some((source, feed.jitter.end()))
                    });
                self.begin_mix(hearer, heard);
            }
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

    /// Lets `to` take the place of `from`: whom it hears, who hears it, its track of the recording
    /// and its playback; the recording goes on. What `to` was part of before ends. Nothing happens
    /// if either is closed.
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
        self.hand_over_track(from, to);
    }
}
