//! A circuit breaker for one trunk: after some INVITEs in a row that came to nothing for the
//! trunk's sake, others are tried before it for a while; then one call tries it.

use std::time::{Duration, Instant};

/// Failures in a row that open it.
const OPENS_AFTER: u32 = 5;
/// How long it is open.
const OPEN_FOR: Duration = Duration::from_secs(30);

/// Counts failures; forgotten when an INVITE succeeds.
#[derive(Debug, Default)]
pub struct Breaker {
    failure_count: u32,
    open_until: Option<Instant>,
}

impl Breaker {
    /// An INVITE came to nothing.
    pub fn fail(&mut self, now: Instant) {
        self.failure_count = self.failure_count.saturating_add(1);
        if self.failure_count >= OPENS_AFTER {
            self.open_until = Some(now + OPEN_FOR);
        }
    }

    /// Whether other trunks go first.
    pub fn is_open(&self, now: Instant) -> bool {
        self.open_until.is_some_and(|until| now < until)
    }

    /// Whether it has opened and nothing has succeeded since.
    pub fn has_opened(&self) -> bool {
        self.open_until.is_some()
    }

    /// One call tries the trunk: until it is told what came of it, others do not.
    pub fn begin_trial(&mut self, now: Instant) {
        if self.has_opened() && !self.is_open(now) {
            self.open_until = Some(now + OPEN_FOR);
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an Instant has no other origin")]
mod tests {
    use super::*;

    #[test]
    fn five_failures_open_it_and_one_call_at_a_time_tries_it_again() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 1..OPENS_AFTER {
            breaker.fail(now);
        }
        assert!(!breaker.is_open(now) && !breaker.has_opened());
        breaker.begin_trial(now);
        assert!(!breaker.has_opened(), "a call over a closed one is no trial");
        breaker.fail(now);
        assert!(breaker.is_open(now) && breaker.is_open(now + OPEN_FOR - Duration::from_secs(1)));
        let later = now + OPEN_FOR;
        assert!(!breaker.is_open(later) && breaker.has_opened());
        breaker.begin_trial(later);
        assert!(breaker.is_open(later), "the trial's call is the only one");
        breaker.fail(later + Duration::from_secs(20));
        assert!(breaker.is_open(later + OPEN_FOR + Duration::from_secs(19)));
        assert!(!breaker.is_open(later + OPEN_FOR + Duration::from_secs(20)));
    }
}
