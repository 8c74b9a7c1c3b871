//! What a shard knows of its trunks: whether they take its registration, keep the way to it open,
//! answer its OPTIONS, and carry its calls. Each is a machine of its own that counts and waits;
//! what is sent is `edge/trunks.rs`'s, which trunk a call is offered to first is control-api's.

pub mod breaker;
pub mod keep_alive;
pub mod probe;
pub mod registration;

use crate::command::KeptTrunk;
use crate::event::{RegistrationState, TrunkState};
use breaker::Breaker;
use call_words::{Reason, TrunkId};
use keep_alive::KeepAlive;
use probe::Probe;
use registration::Registration;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// Trunks of which failures are counted.
const MAX_BREAKERS: usize = 1024;

/// A trunk that is known; it may be registered with, probed, or both.
pub struct Kept {
    /// With those of its addresses that its interface reaches.
    pub trunk: KeptTrunk,
    pub registration: Option<Registration>,
    /// If the registrar asked for it.
    pub keep_alive: Option<KeepAlive>,
    pub probe: Option<Probe>,
}

impl Kept {
    fn poll_timeout(&self) -> Option<Instant> {
        let registration = self.registration.as_ref().and_then(Registration::poll_timeout);
        let keep_alive = self.keep_alive.as_ref().map(KeepAlive::poll_timeout);
        let probe = self.probe.as_ref().map(Probe::poll_timeout);
        registration.into_iter().chain(keep_alive).chain(probe).min()
    }
}

/// The trunks of a shard, as its calls see them.
#[derive(Default)]
pub struct Trunks {
    kept: BTreeMap<TrunkId, Kept>,
    breakers: BTreeMap<TrunkId, Breaker>,
    /// What was told of those of which there is something to tell.
    told: BTreeMap<TrunkId, TrunkState>,
    /// Whether anybody hears what is told.
    is_heard: bool,
}

impl Trunks {
    /// Why no INVITE goes over the trunk now.
    pub fn bar(&self, id: &TrunkId) -> Option<Reason> {
        let kept = self.kept.get(id)?;
        if kept.registration.as_ref().is_some_and(|one| !one.is_registered()) {
            Some(Reason::TrunkUnregistered)
        } else if kept.probe.as_ref().is_some_and(|probe| probe.is_reachable() == Some(false)) {
            Some(Reason::TrunkUnreachable)
        } else {
            None
        }
    }

    /// Whether others are to be tried before it, because what it was given last came to nothing.
    pub fn is_avoided(&self, now: Instant, id: &TrunkId) -> bool {
        self.breakers.get(id).is_some_and(|breaker| breaker.is_open(now))
    }

    /// The trunk is tried first: one that was avoided long enough is on trial by it.
    pub fn begin_trial(&mut self, now: Instant, id: &TrunkId) {
        if let Some(breaker) = self.breakers.get_mut(id) {
            breaker.begin_trial(now);
        }
    }

    /// Counts what came of an INVITE: whether the trunk did its part.
    pub fn note_attempt(&mut self, now: Instant, id: &TrunkId, has_worked: bool) {
        if has_worked {
            self.breakers.remove(id);
        } else if self.breakers.len() < MAX_BREAKERS || self.breakers.contains_key(id) {
            self.breakers.entry(id.clone()).or_default().fail(now);
        }
    }

    /// Keeps a trunk, in place of what was kept of it.
    pub fn keep(&mut self, kept: Kept) -> Option<Kept> {
        self.kept.insert(kept.trunk.trunk.clone(), kept)
    }

    /// Keeps it no more.
    pub fn release(&mut self, id: &TrunkId) -> Option<Kept> {
        self.kept.remove(id)
    }

    /// A trunk that is kept.
    pub fn get(&self, id: &TrunkId) -> Option<&Kept> {
        self.kept.get(id)
    }

    /// The same, to be told of what came.
    pub fn get_mut(&mut self, id: &TrunkId) -> Option<&mut Kept> {
        self.kept.get_mut(id)
    }

    /// All that are kept.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Kept> {
        self.kept.values_mut()
    }

    /// The trunks that are kept.
    pub fn ids(&self) -> impl Iterator<Item = &TrunkId> {
        self.kept.keys()
    }

    /// The trunks that have something to do.
    pub fn due(&self, now: Instant) -> Vec<TrunkId> {
        let is_due = |kept: &&Kept| kept.poll_timeout().is_some_and(|at| at <= now);
        self.kept.values().filter(is_due).map(|kept| kept.trunk.trunk.clone()).collect()
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.kept.values().filter_map(Kept::poll_timeout).min()
    }

    /// How a trunk stands, if that is news to who hears of it.
    pub fn take_news(&mut self, id: &TrunkId) -> Option<TrunkState> {
        let state = self.state(id);
        let is_news = self.is_heard && self.told.get(id).unwrap_or(&idle(id)) != &state;
        is_news.then(|| self.tell(state))
    }

    /// How all trunks stand that are of interest or were, to who hears of it from now on.
    pub fn begin_telling(&mut self) -> Vec<TrunkState> {
        self.is_heard = true;
        let ids: BTreeSet<&TrunkId> =
            self.kept.keys().chain(self.breakers.keys()).chain(self.told.keys()).collect();
        let states: Vec<TrunkState> = ids.into_iter().map(|id| self.state(id)).collect();
        states.into_iter().map(|state| self.tell(state)).collect()
    }

    fn tell(&mut self, state: TrunkState) -> TrunkState {
        if state == idle(&state.trunk) {
            self.told.remove(&state.trunk);
        } else {
            self.told.insert(state.trunk.clone(), state.clone());
        }
        state
    }

    fn state(&self, id: &TrunkId) -> TrunkState {
        let kept = self.kept.get(id);
        let registration = kept.and_then(|kept| kept.registration.as_ref());
        TrunkState {
            trunk: id.clone(),
            registration: registration
                .map(|one| RegistrationState { until: one.until(), fault: one.fault() }),
            is_reachable: kept.and_then(|kept| kept.probe.as_ref()).and_then(Probe::is_reachable),
            is_avoided: self.breakers.get(id).is_some_and(Breaker::has_opened),
            lacks_interface: kept.is_some_and(|kept| kept.trunk.addresses.is_empty()),
        }
    }
}

/// A trunk of which nothing is to be told.
fn idle(id: &TrunkId) -> TrunkState {
    TrunkState {
        trunk: id.clone(),
        registration: None,
        is_reachable: None,
        is_avoided: false,
        lacks_interface: false,
    }
}
