//! Per-account limits on concurrent calls and calls per second (S44), and per-trunk limits on
//! concurrent calls. The limits themselves are the account's or trunk's and are passed in with each
//! call, so that a change holds from the next call on; only the use of them is kept here.

pub mod rate;

use crate::minutes::Minutes;
use call_words::{AccountId, CallId, TrunkId};
use rate::UseRate;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use storage::Storage;

/// Wait that is proposed when all lines are in use; calls end at any time.
const BUSY_LINES_RETRY: Duration = Duration::from_secs(5);

/// What bounds the use of the process, shared by all requests.
pub struct Limits {
    /// Of accounts.
    pub lines: LimitUse,
    /// How long accounts talk.
    pub minutes: Minutes,
    /// Launch links, calls and tests of agents.
    pub launches: UseRate,
    /// Wrong keys, secrets and names of each address.
    pub guesses: UseRate,
}

impl Limits {
    /// Counts what was talked today. Blocks.
    pub fn load(store: &Storage, now_ms: u64) -> Result<Self, storage::Error> {
        Ok(Self {
            lines: LimitUse::default(),
            minutes: Minutes::load(store, now_ms)?,
            launches: UseRate::default(),
            guesses: UseRate::default(),
        })
    }
}

/// Why a call may not start now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exceeded {
    Concurrency { retry_after: Duration },
    Rate { retry_after: Duration },
}

/// What an account uses at the moment.
#[derive(Debug)]
struct Usage {
    live_count: u32,
    /// Calls that may start at once; refilled by the account's rate up to one second's worth.
    tokens: f64,
    refilled: Instant,
}

impl Usage {
    fn of<'a, Id: Clone + Eq + Hash>(
        uses: &'a mut HashMap<Id, Usage>,
        id: &Id,
        limits: &storage::Limits,
        now: Instant,
    ) -> &'a mut Usage {
        let tokens = f64::from(limits.calls_per_second);
        uses.entry(id.clone()).or_insert(Usage { live_count: 0, tokens, refilled: now })
    }

    fn take_turn(&mut self, limits: &storage::Limits, now: Instant) -> Result<(), Exceeded> {
        let rate = f64::from(limits.calls_per_second);
        let elapsed = now.saturating_duration_since(self.refilled).as_secs_f64();
        self.tokens = (self.tokens + elapsed * rate).min(rate);
        self.refilled = now;
        if self.tokens < 1.0 {
            let wait = if rate > 0.0 { (1.0 - self.tokens) / rate } else { 60.0 };
            return Err(Exceeded::Rate { retry_after: Duration::from_secs_f64(wait) });
        }
        self.tokens -= 1.0;
        Ok(())
    }
}

/// The use of all accounts, or of whatever else has limits, by their ids.
#[derive(Debug, Clone)]
pub struct LimitUse<Id: Clone + Eq + Hash = AccountId>(Arc<Mutex<HashMap<Id, Usage>>>);

impl<Id: Clone + Eq + Hash> Default for LimitUse<Id> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<Id: Clone + Eq + Hash> LimitUse<Id> {
    /// Takes a line of the account, or says when to come again. The line is given back when the
    /// result is dropped unless it is kept.
    pub fn take(
        &self,
        id: &Id,
        limits: &storage::Limits,
        now: Instant,
    ) -> Result<Line<Id>, Exceeded> {
        let mut uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let usage = Usage::of(&mut uses, id, limits, now);
        if usage.live_count >= limits.max_concurrent_calls {
            return Err(Exceeded::Concurrency { retry_after: BUSY_LINES_RETRY });
        }
        usage.take_turn(limits, now)?;
        usage.live_count += 1;
        Ok(Line { lines: Some((self.clone(), id.clone())) })
    }

    /// Takes a turn of the account's rate for a leg that is added to a call: it needs no line of
    /// its own.
    pub fn take_turn(
        &self,
        id: &Id,
        limits: &storage::Limits,
        now: Instant,
    ) -> Result<(), Exceeded> {
        let mut uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Usage::of(&mut uses, id, limits, now).take_turn(limits, now)
    }

    /// Counts a call that was live when this process started.
    pub fn adopt(&self, id: &Id, now: Instant) {
        let mut uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let usage =
            uses.entry(id.clone()).or_insert(Usage { live_count: 0, tokens: 1.0, refilled: now });
        usage.live_count += 1;
    }

    /// Gives back the line of a call that ended.
    pub fn give_back(&self, id: &Id) {
        let mut uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(usage) = uses.get_mut(id) {
            usage.live_count = usage.live_count.saturating_sub(1);
        }
    }

    /// Calls that are live in all accounts.
    pub fn live_count(&self) -> u64 {
        let uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        uses.values().map(|usage| u64::from(usage.live_count)).sum()
    }
}

/// A line taken for a call that is being created.
#[derive(Debug)]
pub struct Line<Id: Clone + Eq + Hash = AccountId> {
    lines: Option<(LimitUse<Id>, Id)>,
}

impl<Id: Clone + Eq + Hash> Line<Id> {
    /// The call is durable: its end gives the line back.
    pub fn keep(mut self) {
        self.lines = None;
    }
}

impl<Id: Clone + Eq + Hash> Drop for Line<Id> {
    fn drop(&mut self) {
        if let Some((lines, id)) = self.lines.take() {
            lines.give_back(&id);
        }
    }
}

/// Name under which a call holds the line of its own two legs.
pub const CALL_LINE: &str = "";

type Held = HashMap<CallId, Vec<(String, Line<TrunkId>)>>;

/// The use of trunks. A call counts on the first trunk that it is offered to, with both its legs;
/// each third party counts for itself.
#[derive(Debug, Default)]
pub struct TrunkUse {
    lines: LimitUse<TrunkId>,
    /// How often calls start on them.
    turns: LimitUse<TrunkId>,
    /// Lines by call, each under the party's name.
    held: Mutex<Held>,
}

impl TrunkUse {
    /// Takes a line of a trunk; `None` if it has as many calls as it may.
    pub fn take(&self, trunk_id: &TrunkId, max_calls: u32, now: Instant) -> Option<Line<TrunkId>> {
        let limits =
            storage::Limits { max_concurrent_calls: max_calls, calls_per_second: u32::MAX };
        self.lines.take(trunk_id, &limits, now).ok()
    }

    /// Takes a turn of a trunk's rate; false if it starts as many calls in a second as it may.
    pub fn take_turn(
        &self,
        trunk_id: &TrunkId,
        max_calls_per_s: Option<u32>,
        now: Instant,
    ) -> bool {
        let Some(calls_per_second) = max_calls_per_s else { return true };
        let limits = storage::Limits { max_concurrent_calls: 0, calls_per_second };
        self.turns.take_turn(trunk_id, &limits, now).is_ok()
    }

    /// Keeps a line until its party left or the call ended.
    pub fn hold(&self, call_id: &CallId, party: &str, line: Line<TrunkId>) {
        self.lock().entry(call_id.clone()).or_default().push((party.to_owned(), line));
    }

    /// Counts a party of a call that was live when this process started.
    pub fn adopt(&self, call_id: &CallId, party: &str, trunk_id: &TrunkId, now: Instant) {
        self.lines.adopt(trunk_id, now);
        self.hold(call_id, party, Line { lines: Some((self.lines.clone(), trunk_id.clone())) });
    }

    /// Gives back the lines of a call that ended.
    pub fn give_back(&self, call_id: &CallId) {
        self.lock().remove(call_id);
    }

    /// Gives back the line of a party that left, or was never dialled.
    pub fn give_back_of(&self, call_id: &CallId, party: &str) {
        if let Some(lines) = self.lock().get_mut(call_id) {
            lines.retain(|(other, _)| other != party);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: storage::Limits =
        storage::Limits { max_concurrent_calls: 2, calls_per_second: 2 };

    #[test]
    fn lines_come_back_when_a_creation_fails_or_a_call_ends() {
        let (lines, now) = (LimitUse::<AccountId>::default(), Instant::now());
        drop(lines.take(&"a".into(), &LIMITS, now).unwrap());
        assert_eq!(lines.live_count(), 0);
        lines.take(&"a".into(), &LIMITS, now).unwrap().keep();
        lines.adopt(&"a".into(), now);
        let later = now + Duration::from_secs(10);
        assert!(matches!(
            lines.take(&"a".into(), &LIMITS, later),
            Err(Exceeded::Concurrency { .. })
        ));
        lines.give_back(&"a".into());
        assert!(lines.take(&"a".into(), &LIMITS, later).is_ok());
    }

    #[test]
    fn raised_limit_holds_at_once_and_accounts_are_apart() {
        let (lines, now) = (LimitUse::<AccountId>::default(), Instant::now());
        let one = storage::Limits { max_concurrent_calls: 1, ..LIMITS };
        lines.take(&"a".into(), &one, now).unwrap().keep();
        assert!(matches!(lines.take(&"a".into(), &one, now), Err(Exceeded::Concurrency { .. })));
        assert!(lines.take(&"b".into(), &one, now).is_ok());
        assert!(lines.take(&"a".into(), &LIMITS, now).is_ok());
    }

    #[test]
    fn a_trunk_has_room_again_when_a_call_ends() {
        let (trunks, now) = (TrunkUse::default(), Instant::now());
        let line = trunks.take(&"t".into(), 1, now).unwrap();
        trunks.hold(&"c".into(), CALL_LINE, line);
        assert!(trunks.take(&"t".into(), 1, now).is_none());
        assert!(
            trunks.take(&"t".into(), 2, now).is_some()
                && trunks.take(&"u".into(), 1, now).is_some()
        );
        trunks.give_back(&"c".into());
        assert!(trunks.take(&"t".into(), 1, now).is_some());
        // A call that was live before this process started counts like any other.
        trunks.adopt(&"old".into(), CALL_LINE, &"t".into(), now);
        assert!(trunks.take(&"t".into(), 1, now).is_none());
        trunks.give_back(&"old".into());
        assert!(trunks.take(&"t".into(), 1, now).is_some());
    }

    #[test]
    fn a_trunk_starts_so_many_calls_in_a_second() {
        let (trunks, now) = (TrunkUse::default(), Instant::now());
        let takes = |now| trunks.take_turn(&"t".into(), Some(2), now);
        assert_eq!([takes(now), takes(now), takes(now)], [true, true, false]);
        assert!(trunks.take_turn(&"t".into(), None, now), "any number");
        assert!(trunks.take_turn(&"u".into(), Some(1), now), "another trunk");
        assert!(takes(now + Duration::from_millis(500)));
    }

    #[test]
    fn parties_hold_lines_of_their_own() {
        let (trunks, now) = (TrunkUse::default(), Instant::now());
        trunks.hold(&"c".into(), CALL_LINE, trunks.take(&"t".into(), 3, now).unwrap());
        trunks.hold(&"c".into(), "participant-1", trunks.take(&"t".into(), 3, now).unwrap());
        trunks.adopt(&"c".into(), "participant-2", &"t".into(), now);
        assert!(trunks.take(&"t".into(), 3, now).is_none());
        trunks.give_back_of(&"c".into(), "participant-1");
        trunks.give_back_of(&"c".into(), "participant-1");
        assert_eq!(trunks.lines.live_count(), 2);
        trunks.give_back(&"c".into());
        assert_eq!(trunks.lines.live_count(), 0);
    }

    #[test]
    fn legs_take_turns_without_lines() {
        let (lines, now) = (LimitUse::<AccountId>::default(), Instant::now());
        let one = storage::Limits { max_concurrent_calls: 0, calls_per_second: 1 };
        lines.take_turn(&"a".into(), &one, now).unwrap();
        assert!(matches!(lines.take_turn(&"a".into(), &one, now), Err(Exceeded::Rate { .. })));
        assert_eq!(lines.live_count(), 0);
    }

    #[test]
    fn rate_says_when_the_next_call_may_start() {
        let (lines, now) = (LimitUse::<AccountId>::default(), Instant::now());
        let limits = storage::Limits { max_concurrent_calls: 100, calls_per_second: 2 };
        lines.take(&"a".into(), &limits, now).unwrap().keep();
        lines.take(&"a".into(), &limits, now).unwrap().keep();
        let Err(Exceeded::Rate { retry_after }) = lines.take(&"a".into(), &limits, now) else {
            panic!("third call in the same instant")
        };
        assert_eq!(retry_after, Duration::from_millis(500));
        assert!(lines.take(&"a".into(), &limits, now + retry_after).is_ok());
    }
}
