//! How far a call has come, with what is known only there.

use crate::event::LegMedia;
use crate::outcome::Outcome;
use std::time::Instant;

/// From the first INVITE to the last stray message.
pub enum Phase {
    /// The agent is called, or its softphone's audio or its key is waited for.
    Agent,
    /// The agent is there, the customer is called.
    Customer,
    Bridged {
        since: Instant,
    },
    /// Over, but the recording's file is not final yet.
    Closing(Box<End>),
    /// Over and told; only stray messages are still answered.
    Told,
}

/// The end, once it is decided.
pub struct End {
    pub outcome: Outcome,
    /// When agent and customer were joined, if they were.
    pub answered_at: Option<Instant>,
    pub at: Instant,
    /// Until when the recording is waited for.
    pub tell_by: Instant,
    pub agent_media: Option<LegMedia>,
    pub customer_media: Option<LegMedia>,
}

impl Phase {
    /// Agent and customer were joined, and the call goes on.
    pub fn is_bridged(&self) -> bool {
        matches!(self, Phase::Bridged { .. })
    }

    /// The end is decided.
    pub fn is_ended(&self) -> bool {
        matches!(self, Phase::Closing(_) | Phase::Told)
    }
}
