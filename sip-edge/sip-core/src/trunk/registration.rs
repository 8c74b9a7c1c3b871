//! One registration with a carrier (RFC 3261 §10.2): when the next REGISTER is due, for how long it
//! asks, and what its answer means. Knows no message and no address.

use std::time::{Duration, Instant};

/// First wait after a failure, doubled with each that follows (RFC 5626 §4.5).
const BASE_WAIT: Duration = Duration::from_secs(30);
/// Longest wait. Deviates: RFC 5626 has 30 minutes, because a carrier that is back is to be used.
const MAX_WAIT: Duration = Duration::from_secs(300);
/// Longest time that a registrar may ask for: a day and its margin.
const MAX_ASKED: Duration = Duration::from_secs(2 * 86_400);

/// Why the last REGISTER came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Status of the registrar's answer, if there was one.
    pub code: Option<u16>,
    /// In words, for people.
    pub why: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Waiting {
        until: Instant,
    },
    /// A REGISTER is on its way.
    Asking,
}

/// When to register, and whether we are.
#[derive(Debug)]
pub struct Registration {
    /// How long is asked for.
    asked: Duration,
    stage: Stage,
    /// Until when the carrier takes our calls.
    until: Option<Instant>,
    /// When it last took one.
    accepted: Option<Instant>,
    fault: Option<Fault>,
    /// Failures in a row.
    failure_count: u32,
}

impl Registration {
    /// One that is due now, for so long.
    pub fn new(now: Instant, asked: Duration) -> Registration {
        Registration {
            asked,
            stage: Stage::Waiting { until: now },
            until: None,
            accepted: None,
            fault: None,
            failure_count: 0,
        }
    }

    /// The same binding with other words of it, such as a new password: due now, and valid until it
    /// was.
    pub fn renewed(&self, now: Instant, asked: Duration) -> Registration {
        Registration { until: self.until, fault: self.fault, ..Registration::new(now, asked) }
    }

    /// Takes the REGISTER that is due: for how long it asks.
    pub fn take_due(&mut self, now: Instant) -> Option<Duration> {
        match self.stage {
            Stage::Waiting { until } if until <= now => {
                self.stage = Stage::Asking;
                Some(self.asked)
            }
            _ => None,
        }
    }

    /// The carrier took it for so long. It is renewed between the half and three quarters of that
    /// time, which `chance` spreads, so that what is lost can be asked again.
    pub fn accept(&mut self, now: Instant, granted: Duration, chance: u64) {
        let granted = granted.min(MAX_ASKED);
        self.until = Some(now + granted);
        self.accepted = Some(now);
        self.fault = None;
        self.failure_count = 0;
        self.stage = Stage::Waiting { until: now + part(granted, 0.5, 0.75, chance) };
    }

    /// The registrar asks for a longer time (423, RFC 3261 §10.2.8): whether it is asked once more
    /// at once.
    pub fn lengthen(&mut self, now: Instant, least: Duration) -> bool {
        let is_longer = self.asked < least && least <= MAX_ASKED;
        if is_longer {
            self.asked = least;
            self.stage = Stage::Waiting { until: now };
        }
        is_longer
    }

    /// It came to nothing: it is tried again after a while, not before `retry_after`, or at once if
    /// there is another address to try.
    pub fn fail(
        &mut self,
        now: Instant,
        fault: Fault,
        retry_after: Option<Duration>,
        has_other_address: bool,
        chance: u64,
    ) {
        self.fault = Some(fault);
        self.failure_count = self.failure_count.saturating_add(1);
        let longest = (BASE_WAIT * 2_u32.saturating_pow(self.failure_count.min(8))).min(MAX_WAIT);
        let wait = match retry_after {
            None if has_other_address => Duration::ZERO,
            asked => part(longest, 0.5, 1.0, chance).max(asked.unwrap_or_default().min(MAX_WAIT)),
        };
        self.stage = Stage::Waiting { until: now + wait };
    }

    /// The stream that it was made over is gone: it is due at once, but some time after the last
    /// one was taken (RFC 5626 §4.5).
    pub fn lose_flow(&mut self, now: Instant) {
        if let (Stage::Waiting { until }, Some(accepted), None) =
            (self.stage, self.accepted, self.fault)
        {
            let due = now.max(accepted + BASE_WAIT);
            self.stage = Stage::Waiting { until: until.min(due) };
        }
    }

    /// Whether the carrier takes our calls.
    pub fn is_registered(&self) -> bool {
        self.until.is_some()
    }

    /// Until when it takes them.
    pub fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Why the last attempt failed, if it did.
    pub fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Whether the carrier may hold a binding of ours.
    pub fn may_be_bound(&self) -> bool {
        self.until.is_some() || self.stage == Stage::Asking
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        let due = match self.stage {
            Stage::Waiting { until } => Some(until),
            Stage::Asking => None,
        };
        due.into_iter().chain(self.until).min()
    }

    /// Ends what has expired.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.until = self.until.filter(|until| now < *until);
    }
}

/// A part of a time between two shares of it.
fn part(whole: Duration, least: f64, most: f64, chance: u64) -> Duration {
    whole.mul_f64(least + (most - least) * (chance as f64 / u64::MAX as f64))
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an Instant has no other origin")]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const HOUR: Duration = Duration::from_secs(3600);
    const TIMEOUT: Fault = Fault { code: None, why: "no response" };

    /// A machine whose first REGISTER is on its way.
    fn asking(now: Instant) -> Registration {
        let mut one = Registration::new(now, HOUR);
        assert_eq!(one.take_due(now), Some(HOUR));
        assert_eq!((one.take_due(now), one.poll_timeout()), (None, None), "one at a time");
        one
    }

    #[test]
    fn it_is_renewed_well_before_its_end_and_over_at_it() {
        let now = Instant::now();
        for (chance, renewed_after) in [(0, 1800), (u64::MAX / 2, 2250), (u64::MAX, 2700)] {
            let mut one = asking(now);
            one.accept(now, HOUR, chance);
            let due = one.poll_timeout().expect("it is renewed").duration_since(now);
            assert_eq!(due.as_secs_f64().round() as u64, renewed_after);
            assert_eq!(one.until(), Some(now + HOUR));
            assert!(one.take_due(now + due - SECOND).is_none());
            assert!(one.take_due(now + due + SECOND).is_some());
            one.handle_timeout(now + HOUR - SECOND);
            assert!(one.is_registered(), "while the renewal is on its way");
            one.handle_timeout(now + HOUR);
            assert!(!one.is_registered());
        }
    }

    // RFC 5626 §4.5
    #[test]
    fn waits_after_failures_double_up_to_the_longest() {
        let mut now = Instant::now();
        let mut one = asking(now);
        for most in [60, 120, 240, 300, 300, 300] {
            one.fail(now, TIMEOUT, None, false, u64::MAX);
            assert_eq!(one.poll_timeout(), Some(now + Duration::from_secs(most)));
            assert_eq!(one.fault(), Some(TIMEOUT));
            now += Duration::from_secs(most);
            assert!(one.take_due(now).is_some());
        }
        one.accept(now, HOUR, 0);
        assert_eq!(one.fault(), None);
        now += HOUR / 2;
        assert!(one.take_due(now).is_some());
        one.fail(now, TIMEOUT, None, false, 0);
        assert_eq!(one.poll_timeout(), Some(now + Duration::from_secs(30)), "it begins anew");
        assert!(one.is_registered(), "what was granted holds");
    }

    #[test]
    fn another_address_is_tried_at_once_and_a_wish_to_wait_is_heard() {
        let now = Instant::now();
        let mut one = asking(now);
        one.fail(now, TIMEOUT, None, true, 0);
        assert_eq!(one.poll_timeout(), Some(now));
        for (asked, waits) in [(5, 30), (100, 100), (86_400, 300)] {
            let mut one = asking(now);
            one.fail(now, TIMEOUT, Some(SECOND * asked), true, 0);
            assert_eq!(one.poll_timeout(), Some(now + SECOND * waits));
        }
    }

    // RFC 5626 §4.5
    #[test]
    fn a_lost_stream_makes_it_due_but_not_at_each_loss() {
        let now = Instant::now();
        let mut one = asking(now);
        one.lose_flow(now);
        assert_eq!(one.poll_timeout(), None, "its own REGISTER fails with it");
        one.accept(now, HOUR, 0);
        one.lose_flow(now + SECOND);
        assert_eq!(one.poll_timeout(), Some(now + BASE_WAIT));
        let later = now + 10 * BASE_WAIT;
        one.accept(now, HOUR, 0);
        one.lose_flow(later);
        assert_eq!(one.poll_timeout(), Some(later));
        assert!(one.take_due(later).is_some() && one.is_registered());
        one.fail(later, TIMEOUT, None, false, u64::MAX);
        one.lose_flow(later);
        assert_eq!(one.poll_timeout(), Some(later + 2 * BASE_WAIT), "its back-off holds");
    }

    #[test]
    fn a_longer_time_is_asked_for_once() {
        let now = Instant::now();
        let mut one = asking(now);
        assert!(one.lengthen(now, 2 * HOUR));
        assert_eq!(one.take_due(now), Some(2 * HOUR));
        assert!(!one.lengthen(now, 2 * HOUR), "that was asked for");
        assert!(!one.lengthen(now, 100 * HOUR), "nobody is registered for ever");
    }
}
