//! Who speaks in a conversation of three or more, told at most five times a second.

use crate::outcome::LegName;
use std::time::{Duration, Instant};

const PERIOD: Duration = Duration::from_millis(200);

/// Who speaks, told at most so often.
#[derive(Debug, Default)]
pub struct Speaking {
    now: Vec<LegName>,
    told: Vec<LegName>,
    /// Nothing is told before.
    rest_until: Option<Instant>,
}

impl Speaking {
    /// A leg began to speak, or stopped.
    pub fn set(&mut self, leg: LegName, speaks: bool) {
        self.now.retain(|each| *each != leg);
        if speaks {
            self.now.push(leg);
            self.now.sort_unstable();
        }
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.rest_until.filter(|_| self.now != self.told)
    }

    /// Who speaks, if that changed and may be told.
    pub fn take_change(&mut self, now: Instant) -> Option<&[LegName]> {
        let is_resting = self.rest_until.is_some_and(|until| now < until);
        if is_resting || self.now == self.told {
            return None;
        }
        self.told.clone_from(&self.now);
        self.rest_until = Some(now + PERIOD);
        Some(&self.told)
    }
}
