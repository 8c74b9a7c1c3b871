//! How measured times are spread: gathered in an HDR histogram of microseconds with three digits,
//! told as percentiles and as a curve.

use hdrhistogram::Histogram;
use serde::Serialize;
use std::fmt;
use std::time::Duration;

/// Longer times count as this.
const LONGEST: Duration = Duration::from_secs(3_600);

/// Times as they come.
#[derive(Debug, Clone)]
pub struct Times(Histogram<u64>);

impl Default for Times {
    fn default() -> Self {
        Times(Histogram::new_with_max(LONGEST.as_micros() as u64, 3).expect("three digits"))
    }
}

impl Times {
    /// Counts one.
    pub fn add(&mut self, time: Duration) {
        self.0.saturating_record(time.as_micros() as u64);
    }

    /// Percentiles and curve of all.
    pub fn spread(&self) -> Spread {
        let at = |share: f64| self.0.value_at_quantile(share) as f64 / 1e3;
        if self.0.is_empty() {
            return Spread::default();
        }
        let curve = self
            .0
            .iter_quantiles(4)
            .map(|step| (step.value_iterated_to() as f64 / 1e3, step.quantile()));
        Spread {
            count: self.0.len(),
            p50_ms: at(0.5),
            p95_ms: at(0.95),
            p99_ms: at(0.99),
            max_ms: at(1.0),
            curve: curve.collect(),
        }
    }
}

impl FromIterator<Duration> for Times {
    fn from_iter<I: IntoIterator<Item = Duration>>(times: I) -> Self {
        let mut all = Times::default();
        times.into_iter().for_each(|time| all.add(time));
        all
    }
}

/// Percentiles of one measured time, in milliseconds.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Spread {
    pub count: u64,
    pub p50_ms: f64,
    pub p95_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
    /// A time, and the share of those up to it.
    pub curve: Vec<(f64, f64)>,
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Spread { p50_ms, p95_ms, p99_ms, max_ms, count, .. } = self;
        write!(
            f,
            "p50 {p50_ms:.2}  p95 {p95_ms:.2}  p99 {p99_ms:.2}  max {max_ms:.2} ms  ({count})"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_within_a_thousandth() {
        let spread = (1..=1_000).map(Duration::from_millis).collect::<Times>().spread();
        let near =
            |value: f64, wanted: f64| assert!((value / wanted - 1.0).abs() < 2e-3, "{value}");
        near(spread.p50_ms, 500.0);
        near(spread.p95_ms, 950.0);
        near(spread.p99_ms, 990.0);
        near(spread.max_ms, 1_000.0);
        assert_eq!(spread.count, 1_000);
        let last = *spread.curve.last().unwrap();
        near(last.0, 1_000.0);
        assert_eq!(last.1, 1.0);
        assert!(spread.curve.is_sorted());
    }

    #[test]
    fn nothing_measured_is_nothing() {
        let spread = Times::default().spread();
        assert_eq!((spread.count, spread.max_ms, spread.curve.len()), (0, 0.0, 0));
    }
}
