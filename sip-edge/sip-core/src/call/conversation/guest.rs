//! A third party or a supervisor of a call: its leg, how far it has come, and what became of it.

use super::rooms::Voice;
use crate::call::context::Context;
use crate::call::leg::Leg;
use crate::call::leg::callee::Callee;
use crate::call::shard::Resources;
use crate::control::{Joining, SupervisorRole};
use crate::event::OtherParty;
use crate::outcome::{LegName, Slot};
use media_core::relay::NoPort;
use std::time::Instant;

/// As what it was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuestRole {
    Participant(Joining),
    Supervisor(SupervisorRole),
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
    pub reason: &'static str,
    pub sip_code: Option<u16>,
}

/// A third party or supervisor: its leg, and its place in the call.
pub struct Guest {
    pub name: String,
    pub role: GuestRole,
    pub leg: Leg,
    pub stage: Stage,
    pub voice: Voice,
    pub answered_at: Option<Instant>,
    pub departure: Option<Departure>,
}

impl Guest {
    /// Opens its media; whoever calls dials it.
    pub fn open(
        cx: &mut Context<'_>,
        slot: Slot,
        name: String,
        role: GuestRole,
        callee: Callee,
    ) -> Result<Guest, NoPort> {
        let leg_name = match role {
            GuestRole::Participant(_) => LegName::Participant(slot),
            GuestRole::Supervisor(_) => LegName::Supervisor(slot),
        };
        let media = match callee {
            Callee::Trunks(_) => cx.shard.relay.open_leg(cx.now)?,
            Callee::Softphone { .. } => cx.shard.relay.open_softphone(cx.now)?,
        };
        cx.shard.media_legs.insert(Resources::leg_key(media), (cx.call, leg_name));
        cx.log.parties.push(name.clone());
        let leg = Leg::new(leg_name, media, callee);
        Ok(Guest {
            name,
            role,
            leg,
            stage: Stage::Dialing,
            voice: Voice::On,
            answered_at: None,
            departure: None,
        })
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

    /// Ends its leg and its media.
    pub fn leave(&mut self, cx: &mut Context<'_>, reason: &'static str, sip_code: Option<u16>) {
        self.leg.abandon(cx);
        if let Some(agent) = self.leg.softphone()
            && cx.shard.agents.get(agent) == Some(&(cx.call, self.leg.name))
        {
            let agent = agent.to_owned();
            cx.shard.agents.remove(&agent);
        }
        cx.shard.relay.close_leg(cx.now, self.leg.media);
        cx.shard.media_legs.remove(&Resources::leg_key(self.leg.media));
        self.stage = Stage::Left;
        self.departure = Some(Departure { at: cx.now, reason, sip_code });
    }

    /// What came of it, for the call's end.
    pub fn outcome(&self, ended_at: Instant) -> OtherParty {
        let departure =
            self.departure.unwrap_or(Departure { at: ended_at, reason: "ended", sip_code: None });
        OtherParty {
            party: self.name.clone(),
            leg: self.leg.name,
            answered_at: self.answered_at,
            ended_at: departure.at,
            reason: departure.reason,
            sip_code: departure.sip_code,
        }
    }
}
