//! Whether a person has answered the agent's phone, and no voicemail (A9): a tone asks for a key,
//! and the customer is dialled only once it is pressed, be it told by RFC 4733, by INFO or, by a
//! phone that agreed to no telephone-events, by its tones. Which key was pressed is told to nobody.

use super::Agent;
use crate::call::context::Context;
use crate::outcome::LegName;
use call_words::MilestoneKind;
use media_core::relay::Tone;
use std::time::{Duration, Instant};

/// How long the agent may take from the answer to the key.
const CONFIRMATION_LIMIT: Duration = Duration::from_secs(15);
/// The key `1` (RFC 4733 §3.2).
const CONFIRMATION_CODE: u8 = 1;

/// How far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmation {
    /// No key is asked for, or it was pressed.
    Given,
    /// To be asked for at the answer.
    Due,
    Asked {
        until: Instant,
    },
}

impl Confirmation {
    pub fn new(is_due: bool) -> Confirmation {
        if is_due { Confirmation::Due } else { Confirmation::Given }
    }

    /// Whether a key is still to be asked for.
    pub fn is_due(self) -> bool {
        self == Confirmation::Due
    }

    pub fn poll_timeout(self) -> Option<Instant> {
        match self {
            Confirmation::Asked { until } => Some(until),
            Confirmation::Given | Confirmation::Due => None,
        }
    }
}

impl Agent {
    pub(super) fn ask_for_confirmation(&mut self, cx: &mut Context<'_>) {
        self.confirmation = Confirmation::Asked { until: cx.now + CONFIRMATION_LIMIT };
        cx.shard.relay.play(cx.now, self.leg.media, Tone::Confirm);
        cx.milestone(Some(LegName::Agent), MilestoneKind::ConfirmationRequested, None, None);
    }

    /// A key was pressed; whether it is the one that was waited for: until then nobody but the
    /// agent is there to press one.
    pub fn take_confirmation(&mut self, cx: &mut Context<'_>, code: u8) -> bool {
        let is_given =
            matches!(self.confirmation, Confirmation::Asked { .. }) && code == CONFIRMATION_CODE;
        if is_given {
            self.confirmation = Confirmation::Given;
            cx.milestone(Some(LegName::Agent), MilestoneKind::AgentConfirmed, None, None);
        }
        is_given
    }
}
