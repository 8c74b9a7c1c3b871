//! The agent of a call: its leg with what is the agent's alone, a softphone that may be lost and
//! come back, the key that a person presses on a phone, and what its phone is told of a transfer
//! that it asked for. Knows no other party; what concerns them is told to the call.

mod confirmation;
mod refer;
mod softphone;

use super::context::Context;
use super::leg::{Leg, LegEvent};
use super::release::Release;
use super::shard::Resources;
use crate::event::LegMedia;
use crate::outcome::Cause;
use call_words::MediaFault;
use confirmation::Confirmation;
use softphone::Softphone;
use std::time::Instant;

/// What of the agent concerns its call.
#[derive(Debug)]
pub enum AgentEvent {
    Nothing,
    /// It is there: the customer may be called.
    Ready,
    /// Its softphone is lost and waited for.
    Lost,
    /// Its softphone is back; `is_ready` as in `Ready`.
    Back {
        is_ready: bool,
    },
    /// Its next page was called.
    Called(LegEvent),
    /// The call cannot go on.
    Failed(Cause),
}

/// The agent's side of a call, from its first INVITE to the end, or until it leaves.
pub struct Agent {
    pub leg: Leg,
    softphone: Option<Softphone>,
    confirmation: Confirmation,
    /// Of an agent that left before the end.
    report: Option<LegMedia>,
}

impl Agent {
    /// The agent of a leg that was opened; whether its phone `is_confirmed` by a key.
    pub fn new(leg: Leg, is_confirmed: bool) -> Agent {
        let softphone = leg.softphone().cloned().map(Softphone::new);
        Agent { leg, softphone, confirmation: Confirmation::new(is_confirmed), report: None }
    }

    /// Its phone has answered; whether the customer may be called.
    pub fn take_answer(&mut self, cx: &mut Context<'_>) -> bool {
        if self.softphone.is_some() {
            self.take_softphone_answer(cx)
        } else if self.confirmation.is_due() {
            self.ask_for_confirmation(cx);
            false
        } else {
            true
        }
    }

    /// Has a softphone that did not leave.
    pub fn has_softphone(&self) -> bool {
        self.softphone.is_some()
    }

    /// Its softphone is lost and waited for.
    pub fn is_absent(&self) -> bool {
        self.softphone.as_ref().is_some_and(Softphone::is_absent)
    }

    /// Why there was no audio of its softphone.
    pub fn fault(&self) -> Option<MediaFault> {
        self.softphone.as_ref().and_then(|softphone| softphone.fault)
    }

    /// Its own deadlines, beside those of its leg.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let softphone = self.softphone.as_ref().and_then(Softphone::poll_timeout);
        softphone.into_iter().chain(self.confirmation.poll_timeout()).min()
    }

    /// Fires what is due of it, beside what is due of its leg.
    pub fn handle_timeout(&mut self, cx: &mut Context<'_>) -> AgentEvent {
        if self.confirmation.poll_timeout().is_some_and(|until| until <= cx.now) {
            return AgentEvent::Failed(Cause::AgentNotConfirmed);
        }
        self.handle_softphone_timeout(cx)
    }

    /// Ends its leg: the call is over.
    pub fn abandon(&mut self, cx: &mut Context<'_>, release: Release) {
        self.leave_softphone(cx);
        self.leg.abandon(cx, release);
    }

    /// Ends its leg and its media: the others go on without it.
    pub fn leave(&mut self, cx: &mut Context<'_>) {
        self.abandon(cx, Release::Normal);
        self.softphone = None;
        cx.close_media(self.leg.media);
    }

    /// Keeps what its leg received so far as the last that is told of it.
    pub fn keep_report(&mut self, shard: &Resources) {
        self.report = self.leg.report(shard);
    }

    /// What its media were, once they were agreed.
    pub fn report(&self, shard: &Resources) -> Option<LegMedia> {
        self.report.or_else(|| self.leg.report(shard))
    }
}
