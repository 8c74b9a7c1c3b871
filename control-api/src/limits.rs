//! Per-account limits on concurrent calls and calls per second (S44), and per-trunk limits on
//! concurrent calls. The limits themselves are the account's or trunk's and are passed in with each
//! call, so that a change holds from the next call on; only the use of them is kept here.

pub mod rate;

use crate::minutes::Minutes;
use rate::UseRate;
use std::collections::HashMap;
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
    fn of<'a>(
        accounts: &'a mut HashMap<String, Usage>,
        id: &str,
        limits: &storage::Limits,
        now: Instant,
    ) -> &'a mut Usage {
        let tokens = f64::from(limits.calls_per_second);
        accounts.entry(id.to_owned()).or_insert(Usage { live_count: 0, tokens, refilled: now })
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

/// The use of all accounts.
#[derive(Debug, Clone, Default)]
pub struct LimitUse(Arc<Mutex<HashMap<String, Usage>>>);

impl LimitUse {
    /// Takes a line of the account, or says when to come again. The line is given back when the
    /// result is dropped unless it is kept.
    pub fn take(
        &self,
        account_id: &str,
        limits: &storage::Limits,
        now: Instant,
    ) -> Result<Line, Exceeded> {
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let usage = Usage::of(&mut accounts, account_id, limits, now);
        if usage.live_count >= limits.max_concurrent_calls {
            return Err(Exceeded::Concurrency { retry_after: BUSY_LINES_RETRY });
        }
        usage.take_turn(limits, now)?;
        usage.live_count += 1;
        Ok(Line { lines: Some((self.clone(), account_id.to_owned())) })
    }

    /// Takes a turn of the account's rate for a leg that is added to a call: it needs no line of
    /// its own.
    pub fn take_turn(
        &self,
        account_id: &str,
        limits: &storage::Limits,
        now: Instant,
    ) -> Result<(), Exceeded> {
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Usage::of(&mut accounts, account_id, limits, now).take_turn(limits, now)
    }

    /// Counts a call that was live when this process started.
    pub fn adopt(&self, account_id: &str, now: Instant) {
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let usage = accounts.entry(account_id.to_owned()).or_insert(Usage {
            live_count: 0,
            tokens: 1.0,
            refilled: now,
        });
        usage.live_count += 1;
    }

    /// Gives back the line of a call that ended.
    pub fn give_back(&self, account_id: &str) {
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(usage) = accounts.get_mut(account_id) {
            usage.live_count = usage.live_count.saturating_sub(1);
        }
    }

    /// Calls that are live in all accounts.
    pub fn live_count(&self) -> u64 {
        let accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        accounts.values().map(|usage| u64::from(usage.live_count)).sum()
    }
}

/// A line taken for a call that is being created.
#[derive(Debug)]
pub struct Line {
    lines: Option<(LimitUse, String)>,
}

impl Line {
    /// The call is durable: its end gives the line back.
    pub fn keep(mut self) {
        self.lines = None;
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Some((lines, account_id)) = self.lines.take() {
            lines.give_back(&account_id);
        }
    }
}

/// Name under which a call holds the line of its own two legs.
pub const CALL_LINE: &str = "";

/// The use of trunks. A call counts on the first trunk that it is offered to, with both its legs;
/// each third party counts for itself.
#[derive(Debug, Default)]
pub struct TrunkUse {
    lines: LimitUse,
    /// Lines by call, each under the party's name.
    held: Mutex<HashMap<String, Vec<(String, Line)>>>,
}

impl TrunkUse {
    /// Takes a line of a trunk; `None` if it has as many calls as it may.
    pub fn take(&self, trunk_id: &str, max_calls: u32, now: Instant) -> Option<Line> {
        let limits =
            storage::Limits { max_concurrent_calls: max_calls, calls_per_second: u32::MAX };
        self.lines.take(trunk_id, &limits, now).ok()
    }

    /// Keeps a line until its party left or the call ended.
    pub fn hold(&self, call_id: &str, party: &str, line: Line) {
        self.lock().entry(call_id.to_owned()).or_default().push((party.to_owned(), line));
    }

    /// Counts a party of a call that was live when this process started.
    pub fn adopt(&self, call_id: &str, party: &str, trunk_id: &str, now: Instant) {
        self.lines.adopt(trunk_id, now);
        self.hold(call_id, party, Line { lines: Some((self.lines.clone(), trunk_id.to_owned())) });
    }

    /// Gives back the lines of a call that ended.
    pub fn give_back(&self, call_id: &str) {
        self.lock().remove(call_id);
    }

    /// Gives back the line of a party that left, or was never dialled.
    pub fn give_back_of(&self, call_id: &str, party: &str) {
        if let Some(lines) = self.lock().get_mut(call_id) {
            lines.retain(|(other, _)| other != party);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Vec<(String, Line)>>> {
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
        let (lines, now) = (LimitUse::default(), Instant::now());
        drop(lines.take("a", &LIMITS, now).unwrap());
        assert_eq!(lines.live_count(), 0);
        lines.take("a", &LIMITS, now).unwrap().keep();
        lines.adopt("a", now);
        let later = now + Duration::from_secs(10);
        assert!(matches!(lines.take("a", &LIMITS, later), Err(Exceeded::Concurrency { .. })));
        lines.give_back("a");
        assert!(lines.take("a", &LIMITS, later).is_ok());
    }

    #[test]
    fn raised_limit_holds_at_once_and_accounts_are_apart() {
        let (lines, now) = (LimitUse::default(), Instant::now());
        let one = storage::Limits { max_concurrent_calls: 1, ..LIMITS };
        lines.take("a", &one, now).unwrap().keep();
        assert!(matches!(lines.take("a", &one, now), Err(Exceeded::Concurrency { .. })));
        assert!(lines.take("b", &one, now).is_ok());
        assert!(lines.take("a", &LIMITS, now).is_ok());
    }

    #[test]
    fn a_trunk_has_room_again_when_a_call_ends() {
        let (trunks, now) = (TrunkUse::default(), Instant::now());
        let line = trunks.take("t", 1, now).unwrap();
        trunks.hold("c", CALL_LINE, line);
        assert!(trunks.take("t", 1, now).is_none());
        assert!(trunks.take("t", 2, now).is_some() && trunks.take("u", 1, now).is_some());
        trunks.give_back("c");
        assert!(trunks.take("t", 1, now).is_some());
        // A call that was live before this process started counts like any other.
        trunks.adopt("old", CALL_LINE, "t", now);
        assert!(trunks.take("t", 1, now).is_none());
        trunks.give_back("old");
        assert!(trunks.take("t", 1, now).is_some());
    }

    #[test]
    fn parties_hold_lines_of_their_own() {
        let (trunks, now) = (TrunkUse::default(), Instant::now());
        trunks.hold("c", CALL_LINE, trunks.take("t", 3, now).unwrap());
        trunks.hold("c", "participant-1", trunks.take("t", 3, now).unwrap());
        trunks.adopt("c", "participant-2", "t", now);
        assert!(trunks.take("t", 3, now).is_none());
        trunks.give_back_of("c", "participant-1");
        trunks.give_back_of("c", "participant-1");
        assert_eq!(trunks.lines.live_count(), 2);
        trunks.give_back("c");
        assert_eq!(trunks.lines.live_count(), 0);
    }

    #[test]
    fn legs_take_turns_without_lines() {
        let (lines, now) = (LimitUse::default(), Instant::now());
        let one = storage::Limits { max_concurrent_calls: 0, calls_per_second: 1 };
        lines.take_turn("a", &one, now).unwrap();
        assert!(matches!(lines.take_turn("a", &one, now), Err(Exceeded::Rate { .. })));
        assert_eq!(lines.live_count(), 0);
    }

    #[test]
    fn rate_says_when_the_next_call_may_start() {
        let (lines, now) = (LimitUse::default(), Instant::now());
        let limits = storage::Limits { max_concurrent_calls: 100, calls_per_second: 2 };
        lines.take("a", &limits, now).unwrap().keep();
        lines.take("a", &limits, now).unwrap().keep();
        let Err(Exceeded::Rate { retry_after }) = lines.take("a", &limits, now) else {
            panic!("third call in the same instant")
        };
        assert_eq!(retry_after, Duration::from_millis(500));
        assert!(lines.take("a", &limits, now + retry_after).is_ok());
    }
}
