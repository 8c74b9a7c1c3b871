//! Who speaks in a conversation of three or more, told at most five times a second.

use crate::call::Call;
use crate::call::context::Context;
use crate::event::{Event, Output};
use crate::outcome::LegName;
use std::time::{Duration, Instant};

const PERIOD: Duration = Duration::from_millis(200);

/// Who speaks, told at most so often.
#[derive(Default)]
pub struct Speaking {
    now: Vec<LegName>,
    told: Vec<LegName>,
    /// Nothing is told before.
    rest_until: Option<Instant>,
}

impl Speaking {
    fn set(&mut self, leg: LegName, speaks: bool) {
        self.now.retain(|each| *each != leg);
        if speaks {
            self.now.push(leg);
            self.now.sort_unstable();
        }
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.rest_until.filter(|_| self.now != self.told)
    }
}

impl Call {
    pub(in crate::call) fn handle_speaking(
        &mut self,
        cx: &mut Context<'_>,
        leg: LegName,
        speaks: bool,
    ) {
        self.speaking.set(leg, speaks);
        self.tell_speaking(cx);
    }

    /// A leg that is gone speaks no more; said with the next change.
    pub(in crate::call) fn forget_speaker(&mut self, leg: LegName) {
        self.speaking.set(leg, false);
    }

    pub(in crate::call) fn tell_speaking(&mut self, cx: &mut Context<'_>) {
        let is_resting = self.speaking.rest_until.is_some_and(|until| cx.now < until);
        if is_resting || self.speaking.now == self.speaking.told {
            return;
        }
        self.speaking.told.clone_from(&self.speaking.now);
        self.speaking.rest_until = Some(cx.now + PERIOD);
        let name = |leg: &LegName| match leg {
            LegName::Agent => "agent".to_owned(),
            LegName::Customer => "customer".to_owned(),
            LegName::Participant(slot) | LegName::Supervisor(slot) => {
                self.guests[slot.index()].name.clone()
            }
        };
        let parties = self.speaking.now.iter().map(name).collect();
        let call_id = cx.log.call_id.clone();
        cx.shard.output.push_back(Output::Event(Event::Speaking { call_id, parties }));
    }
}
