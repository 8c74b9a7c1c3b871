//! A third party or a supervisor in the conversation: as what it was added, how far it has come,
//! and what became of it.

use super::rooms::Voice;
use crate::event::OtherParty;
use crate::outcome::{LegName, Slot};
use call_words::{Joining, Reason, SupervisorRole};
use std::time::Instant;

/// As what it was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuestRole {
    Participant(Joining),
    Supervisor(SupervisorRole),
}

impl GuestRole {
    /// The name of the leg of whoever has this role and place.
    pub fn leg(self, slot: Slot) -> LegName {
        match self {
            GuestRole::Participant(_) => LegName::Participant(slot),
            GuestRole::Supervisor(_) => LegName::Supervisor(slot),
        }
    }
}

/// How far a third party or supervisor has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Dialing,
    /// `has_media`: the agent may hear what comes before the answer.
    Ringing {
        has_media: bool,
    },
    /// Answered, apart from the conversation.
    Consulting,
    /// In the conversation, or a supervisor who is there.
    Joined,
    Left,
}

/// How and when it left.
#[derive(Debug, Clone, Copy)]
pub struct Departure {
    pub at: Instant,
    pub reason: Reason,
    pub sip_code: Option<u16>,
}

/// A third party or supervisor, and its place in the call.
#[derive(Debug)]
pub struct Guest {
    pub name: String,
    pub slot: Slot,
    pub role: GuestRole,
    pub stage: Stage,
    pub voice: Voice,
    pub answered_at: Option<Instant>,
    pub departure: Option<Departure>,
}

impl Guest {
    /// One that is dialled now.
    pub fn new(slot: Slot, name: String, role: GuestRole) -> Guest {
        let (stage, voice) = (Stage::Dialing, Voice::On);
        Guest { name, slot, role, stage, voice, answered_at: None, departure: None }
    }

    /// The name of its leg.
    pub fn leg(&self) -> LegName {
        self.role.leg(self.slot)
    }

    /// Whether it is a third party, not a supervisor.
    pub fn is_participant(&self) -> bool {
        matches!(self.role, GuestRole::Participant(_))
    }

    /// Whether it has not left.
    pub fn is_there(&self) -> bool {
        self.stage != Stage::Left
    }

    /// A participant that has not joined the conversation: it is dialled or consulted.
    pub fn is_pending(&self) -> bool {
        self.is_participant()
            && matches!(self.stage, Stage::Dialing | Stage::Ringing { .. } | Stage::Consulting)
    }

    /// It answered and is there.
    pub fn is_talking(&self) -> bool {
        matches!(self.stage, Stage::Consulting | Stage::Joined)
    }

    /// Notes that it has left, and why.
    pub fn leave(&mut self, at: Instant, reason: Reason, sip_code: Option<u16>) {
        self.stage = Stage::Left;
        self.departure = Some(Departure { at, reason, sip_code });
    }

    /// What came of it, for the call's end.
    pub fn outcome(&self, ended_at: Instant) -> OtherParty {
        let departure = self.departure.unwrap_or(Departure {
            at: ended_at,
            reason: Reason::Ended,
            sip_code: None,
        });
        OtherParty {
            party: self.name.clone(),
            leg: self.leg(),
            answered_at: self.answered_at,
            ended_at: departure.at,
            reason: departure.reason,
            sip_code: departure.sip_code,
        }
    }
}
