//! The end of a call: every leg is left, media are closed, the recording is waited for, and one end
//! is told.

use super::Call;
use super::context::Context;
use super::leg::Leg;
use super::phase::{End, Phase};
use super::release::Release;
use crate::counters::Counter;
use crate::event::{Attempt, Ended, Event, Output};
use crate::outcome::{self, Bridged, Cause, Outcome};
use std::time::Duration;

/// How long the end waits for the recording's file (decision A2).
const RECORDING_WAIT: Duration = Duration::from_secs(2);

impl Call {
    /// Ends the call in any state; nothing happens when it is over.
    pub fn hang_up(&mut self, cx: &mut Context<'_>, cause: Cause) {
        if !self.phase.is_ended() {
            let bridged = if self.phase.is_bridged() { Bridged::Yes } else { Bridged::No };
            self.finish(cx, outcome::of_cause(cause, bridged));
        }
    }

    /// Leaves all legs, closes their media and waits for the recording, if there is one.
    pub(super) fn finish(&mut self, cx: &mut Context<'_>, outcome: Outcome) {
        let release = Release::from(&outcome);
        self.legs.customer.abandon(cx, release);
        for name in self.conversation.close(cx.now) {
            self.leave(cx, name, release);
        }
        self.legs.agent.abandon(cx, release);
        self.tape.stop(cx);
        let agent_media = self.legs.agent.report(cx.shard);
        let customer_media = self.legs.customer.report(cx.shard);
        cx.close_media(self.legs.agent.leg.media);
        cx.close_media(self.legs.customer.media);
        let answered_at = match self.phase {
            Phase::Bridged { since } => Some(since),
            _ => None,
        };
        self.phase = Phase::Closing(Box::new(End {
            outcome,
            answered_at,
            at: cx.now,
            tell_by: cx.now + RECORDING_WAIT,
            agent_media,
            customer_media,
        }));
        if !self.tape.is_open() {
            self.tell_end(cx);
        }
    }

    /// Tells the end, once it is decided.
    pub(super) fn tell_end(&mut self, cx: &mut Context<'_>) {
        let end = match std::mem::replace(&mut self.phase, Phase::Told) {
            Phase::Closing(end) => end,
            other => return self.phase = other,
        };
        cx.log.is_closed = true;
        let End { outcome, answered_at, at: ended_at, agent_media, customer_media, .. } = *end;
        self.tape.forget(cx);
        let attempts: Vec<Attempt> =
            self.legs.iter_mut().flat_map(|leg| std::mem::take(&mut leg.attempts)).collect();
        let duration_s =
            answered_at.map_or(0, |answered| ended_at.duration_since(answered).as_secs());
        let ended = Ended {
            call_id: cx.log.call_id.clone(),
            status: outcome.status,
            reason: outcome.reason,
            detail: self.legs.agent.fault(),
            failed_leg: outcome.failed_leg,
            sip_code: outcome.sip_code,
            hangup_by: outcome.hangup_by,
            answered_at,
            ended_at,
            duration_s,
            attempts,
            recording: self.tape.take_result(),
            recording_written: self.tape.written(),
            agent_media,
            customer_media,
            others: self.conversation.outcomes(ended_at),
        };
        self.legs.iter_mut().for_each(Leg::shed);
        cx.shard.counters.count(Counter::CallEnded);
        cx.shard.output.push_back(Output::Event(Event::Ended(Box::new(ended))));
    }
}
