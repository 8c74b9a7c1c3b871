//! The pool of pre-bound port pairs: which are free, which rest after use. Pairs are handed out
//! oldest first, so that a pair rests as long as the pool allows.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Free and resting pairs, by number.
#[derive(Debug)]
pub(crate) struct Ports {
    quarantine: Duration,
    /// Never used yet.
    fresh: std::ops::Range<u16>,
    /// Released pairs with the time of their release, oldest first.
    resting: VecDeque<(Instant, u16)>,
}

impl Ports {
    pub fn new(pair_count: u16, quarantine: Duration) -> Ports {
        Ports {
            quarantine,
            fresh: 0..pair_count,
            resting: VecDeque::with_capacity(pair_count.into()),
        }
    }

    /// A pair that nobody has used for the quarantine.
    pub fn take(&mut self, now: Instant) -> Option<u16> {
        if let Some(pair) = self.fresh.next() {
            return Some(pair);
        }
        let (released, _) = *self.resting.front()?;
        if now.saturating_duration_since(released) < self.quarantine {
            return None;
        }
        self.resting.pop_front().map(|(_, pair)| pair)
    }

    /// Puts a pair to rest.
    pub fn release(&mut self, now: Instant, pair: u16) {
        self.resting.push_back((now, pair));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_released_pair_rests_for_its_quarantine() {
        let now = crate::clock::start();
        let mut ports = Ports::new(2, Duration::from_secs(10));
        assert_eq!(ports.take(now), Some(0));
        assert_eq!(ports.take(now), Some(1));
        assert_eq!(ports.take(now), None);
        ports.release(now, 1);
        ports.release(now + Duration::from_secs(1), 0);
        assert_eq!(ports.take(now + Duration::from_millis(9_999)), None);
        assert_eq!(ports.take(now + Duration::from_secs(10)), Some(1));
        assert_eq!(ports.take(now + Duration::from_secs(10)), None);
        assert_eq!(ports.take(now + Duration::from_secs(11)), Some(0));
    }
}
