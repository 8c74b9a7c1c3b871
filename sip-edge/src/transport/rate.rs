//! A rate with room for bursts (the generic cell rate algorithm): what is taken beyond it says how
//! long to wait. Pure.

use std::time::{Duration, Instant};

/// So much a second, and so much at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    pub per_second: u32,
    pub burst: u32,
}

impl RateLimit {
    fn time_of(self, amount: usize) -> Duration {
        Duration::from_secs(1).mul_f64(amount as f64 / f64::from(self.per_second))
    }
}

/// What has been taken of one rate.
#[derive(Debug)]
pub struct Rate {
    limit: RateLimit,
    /// When all that was taken would have come at the even pace.
    even: Instant,
}

impl Rate {
    pub fn new(limit: RateLimit, now: Instant) -> Self {
        Self { limit, even: now }
    }

    /// Takes an amount, whatever it is; how long whoever took it must take nothing more.
    pub fn take(&mut self, now: Instant, amount: usize) -> Duration {
        self.even = self.even.max(now) + self.limit.time_of(amount);
        (self.even - now).saturating_sub(self.limit.time_of(self.limit.burst as usize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_free_and_what_follows_waits_for_its_pace() {
        let now = Instant::now();
        let mut rate = Rate::new(RateLimit { per_second: 10, burst: 5 }, now);
        let waits: Vec<u128> = (0..8).map(|_| rate.take(now, 1).as_millis()).collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 100, 200, 300]);
        // Who waits as told goes on at the pace; who rests has the burst again, and no more.
        assert_eq!(rate.take(now + Duration::from_millis(300), 1), Duration::from_millis(100));
        let later = now + Duration::from_secs(60);
        assert_eq!(rate.take(later, 5), Duration::ZERO);
        assert_eq!(rate.take(later, 20), Duration::from_secs(2));
    }
}
