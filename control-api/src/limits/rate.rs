//! How often something may be done: launch links opened, per key and per agent (A6), keys guessed,
//! per address. Buckets that refill; the rates are passed in.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Buckets that are kept before full ones are forgotten.
const BUCKET_CAP: usize = 16_384;
const MINUTE_S: f64 = 60.0;

/// The uses of all names.
#[derive(Debug, Default)]
pub struct UseRate(Mutex<HashMap<String, Bucket>>);

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    refilled: Instant,
    per_minute: u32,
}

impl Bucket {
    fn refill(&mut self, now: Instant) {
        let elapsed_s = now.saturating_duration_since(self.refilled).as_secs_f64();
        let capacity = f64::from(self.per_minute);
        self.tokens = (self.tokens + elapsed_s * capacity / MINUTE_S).min(capacity);
        self.refilled = now;
    }
}

impl UseRate {
    /// Counts one use of each name under its rate, or says how long to wait; then none is counted.
    pub fn take(&self, uses: &[(String, u32)], now: Instant) -> Result<(), Duration> {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= BUCKET_CAP {
            buckets.retain(|_, bucket| {
                bucket.refill(now);
                bucket.tokens < f64::from(bucket.per_minute)
            });
        }
        let mut wait_s: f64 = 0.0;
        for (name, per_minute) in uses {
            let fresh = || Bucket {
                tokens: f64::from(*per_minute),
                refilled: now,
                per_minute: *per_minute,
            };
            let bucket = buckets.entry(name.clone()).or_insert_with(fresh);
            bucket.per_minute = *per_minute;
            bucket.refill(now);
            wait_s = wait_s.max((1.0 - bucket.tokens) * MINUTE_S / f64::from(*per_minute));
        }
        if wait_s > 0.0 {
            return Err(Duration::from_secs_f64(wait_s));
        }
        for (name, _) in uses {
            buckets.get_mut(name).expect("each bucket was made above").tokens -= 1.0;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uses(key: &str, agent: &str) -> [(String, u32); 2] {
        [(format!("key {key}"), 4), (format!("agent {agent}"), 2)]
    }

    // A6
    #[test]
    fn agents_and_keys_have_their_own_rates() {
        let (rate, now) = (UseRate::default(), Instant::now());
        for _ in 0..2 {
            rate.take(&uses("k", "a"), now).unwrap();
        }
        let wait = rate.take(&uses("k", "a"), now).unwrap_err();
        assert_eq!(wait, Duration::from_secs(30));
        // What was refused was not counted on the key.
        for _ in 0..2 {
            rate.take(&uses("k", "b"), now).unwrap();
        }
        assert_eq!(rate.take(&uses("k", "c"), now), Err(Duration::from_secs(15)));
        rate.take(&uses("other", "d"), now).unwrap();
        assert!(rate.take(&uses("k", "a"), now + wait).is_ok());
        assert!(rate.take(&uses("k", "a"), now + wait).is_err());
    }

    #[test]
    fn full_buckets_are_forgotten() {
        let (rate, now) = (UseRate::default(), Instant::now());
        for n in 0..BUCKET_CAP {
            rate.take(&[(n.to_string(), 60)], now).unwrap();
        }
        rate.take(&[("late".into(), 60)], now + Duration::from_secs(1)).unwrap();
        assert_eq!(rate.0.lock().unwrap().len(), 1);
    }
}
