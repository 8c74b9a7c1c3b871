//! Whether a person has answered the agent's phone, and no voicemail (A9): a tone asks for a key,
//! and the customer is dialled only once it is pressed, be it told by RFC 4733 or by INFO. Which
//! key was pressed is told to nobody.

use crate::call::context::Context;
use crate::call::{Call, Phase};
use crate::event::MilestoneKind;
use crate::outcome::{Cause, LegName};
use media_core::relay::Tone;
use std::time::Duration;

/// How long the agent may take from the answer to the key.
const CONFIRMATION_LIMIT: Duration = Duration::from_secs(15);
/// The key `1` (RFC 4733 §3.2).
const CONFIRMATION_CODE: u8 = 1;

impl Call {
    pub(in crate::call) fn ask_for_confirmation(&mut self, cx: &mut Context<'_>) {
        self.phase = Phase::Confirmation { until: cx.now + CONFIRMATION_LIMIT };
        cx.shard.relay.play(cx.now, self.agent.media, Tone::Confirm);
        cx.milestone(Some(LegName::Agent), MilestoneKind::ConfirmationRequested, None, None);
    }

    /// A key was pressed, which may be the one that is waited for: until then nobody but the agent
    /// is there to press one.
    pub(in crate::call) fn take_confirmation(&mut self, cx: &mut Context<'_>, code: u8) {
        if matches!(self.phase, Phase::Confirmation { .. }) && code == CONFIRMATION_CODE {
            cx.milestone(Some(LegName::Agent), MilestoneKind::AgentConfirmed, None, None);
            self.call_customer(cx);
        }
    }

    pub(in crate::call) fn handle_confirmation_timeout(&mut self, cx: &mut Context<'_>) {
        if matches!(self.phase, Phase::Confirmation { until } if until <= cx.now) {
            self.hang_up(cx, Cause::AgentNotConfirmed);
        }
    }
}
