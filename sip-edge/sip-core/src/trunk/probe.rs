//! Whether a trunk answers OPTIONS (RFC 3261 §11), with hysteresis: a lost datagram takes no trunk
//! away, one answer brings none back. Knows no message and no address.

use std::time::{Duration, Instant};

/// Failures in a row after which the trunk is not there.
const DOWN_AFTER: u8 = 3;
/// Answers in a row after which it is back.
const UP_AFTER: u8 = 2;
/// How long an answer is waited for: over UDP, that is four datagrams.
const PATIENCE: Duration = Duration::from_secs(4);

/// When to ask next, and what the answers were.
#[derive(Debug)]
pub struct Probe {
    interval: Duration,
    next_at: Instant,
    /// Until when the answer to what was asked is waited for.
    awaited_until: Option<Instant>,
    /// Equal results in a row that speak against `is_reachable`.
    contrary_count: u8,
    is_reachable: Option<bool>,
}

impl Probe {
    /// One that is due now, and every so often from then on.
    pub fn new(now: Instant, interval: Duration) -> Probe {
        Probe { interval, next_at: now, awaited_until: None, contrary_count: 0, is_reachable: None }
    }

    /// Takes the OPTIONS that is due. The next is due an interval later, give or take a tenth that
    /// `chance` spreads.
    pub fn take_due(&mut self, now: Instant, chance: u64) -> bool {
        if self.awaited_until.is_some() || now < self.next_at {
            return false;
        }
        let spread = 0.9 + 0.2 * (chance as f64 / u64::MAX as f64);
        self.next_at = now + self.interval.mul_f64(spread);
        self.awaited_until = Some(now + PATIENCE);
        true
    }

    /// Whether the answer that was waited for is overdue.
    pub fn is_overdue(&self, now: Instant) -> bool {
        self.awaited_until.is_some_and(|until| until <= now)
    }

    /// Takes what came of the OPTIONS: whether the trunk is there.
    pub fn conclude(&mut self, is_there: bool) {
        self.awaited_until = None;
        if self.is_reachable == Some(is_there) {
            self.contrary_count = 0;
            return;
        }
        self.contrary_count += 1;
        let needed = match (is_there, self.is_reachable) {
            (true, None) => 1,
            (true, Some(_)) => UP_AFTER,
            (false, _) => DOWN_AFTER,
        };
        if self.contrary_count >= needed {
            self.is_reachable = Some(is_there);
            self.contrary_count = 0;
        }
    }

    /// Whether the trunk is there; `None` until that is known.
    pub fn is_reachable(&self) -> Option<bool> {
        self.is_reachable
    }

    pub fn poll_timeout(&self) -> Instant {
        self.awaited_until.unwrap_or(self.next_at)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an Instant has no other origin")]
mod tests {
    use super::*;

    /// Reachability after each result, from nothing known on.
    #[track_caller]
    fn check(results: &str, expected: &str) {
        let mut probe = Probe::new(Instant::now(), Duration::from_secs(30));
        let states: String = results
            .chars()
            .map(|result| {
                probe.conclude(result == '+');
                probe.is_reachable().map_or('?', |is_there| if is_there { '+' } else { '-' })
            })
            .collect();
        assert_eq!(states, expected);
    }

    #[test]
    fn three_failures_take_it_away_and_two_answers_bring_it_back() {
        check("+--+--+", "+++++++");
        check("+---+-++", "+++----+");
        check("---++", "??--+");
        check("--+---", "??+++-");
    }

    #[test]
    fn it_asks_once_an_interval_and_waits_for_the_answer() {
        let now = Instant::now();
        let mut probe = Probe::new(now, Duration::from_secs(10));
        assert_eq!(probe.poll_timeout(), now);
        assert!(probe.take_due(now, u64::MAX));
        assert!(!probe.take_due(now, 0), "the answer is awaited");
        assert_eq!(probe.poll_timeout(), now + PATIENCE);
        assert!(!probe.is_overdue(now) && probe.is_overdue(now + PATIENCE));
        probe.conclude(false);
        assert_eq!(probe.poll_timeout(), now + Duration::from_secs(11));
        assert!(!probe.take_due(now + Duration::from_secs(10), 0));
        assert!(probe.take_due(now + Duration::from_secs(11), 0));
    }
}
