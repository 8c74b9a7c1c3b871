//! How third parties and supervisors come and go: consulted, joined or transferred to. Whatever
//! fails brings the agent back to the conversation within the same instant; supervisors never end a
//! call, and keep none alive.

use super::guest::{Guest, GuestRole, Stage};
use super::{AgentPlace, Conversation, Move, Moves, Step};
use crate::outcome::{Cause, LegName, Slot};
use call_words::{Joining, MilestoneKind, Reason, RefusalCode, SupervisorRole};
use media_core::relay::MAX_PARTIES;
use std::time::Instant;

/// Why and how a party leaves.
#[derive(Debug, Clone, Copy)]
pub struct Leaving {
    pub reason: Reason,
    pub sip_code: Option<u16>,
    /// Why the call ends, should the customer be left without company.
    pub cause: Option<Cause>,
}

impl Conversation {
    /// The participant that is dialled or consulted.
    pub(super) fn pending(&self) -> Option<&Guest> {
        self.guests.iter().find(|guest| guest.is_pending())
    }

    fn pending_index(&self) -> Option<usize> {
        self.guests.iter().position(Guest::is_pending)
    }

    /// Where a third party may take its place.
    pub fn admit_participant(&self, name: &str) -> Result<Slot, RefusalCode> {
        self.agent_is_here()?;
        if self.pending().is_some() {
            return Err(RefusalCode::TransferRunning);
        }
        self.admit(name)
    }

    /// The place of a new party, if it fits and its name is free.
    pub fn admit(&self, name: &str) -> Result<Slot, RefusalCode> {
        if name.is_empty()
            || matches!(name, "agent" | "customer")
            || self.guests.iter().any(|guest| guest.name == name)
        {
            return Err(RefusalCode::UnknownParty);
        }
        let agent_count = usize::from(!self.is_agent_gone());
        let present = self.guests.iter().filter(|guest| guest.is_there()).count() + agent_count + 1;
        Slot::new(self.guests.len())
            .filter(|_| present < MAX_PARTIES)
            .ok_or(RefusalCode::TooManyParties)
    }

    /// Adds who was admitted and is dialled next.
    pub fn add(&mut self, slot: Slot, name: String, role: GuestRole) -> Moves {
        let guest = Guest::new(slot, name, role);
        let leg = guest.leg();
        let moves = match role {
            GuestRole::Participant(joining) => {
                self.referrals.follow(&guest.name);
                if joining == Joining::Consult {
                    self.agent_place = AgentPlace::Consultation;
                }
                vec![Move::Arrange, Step::of(leg, MilestoneKind::ParticipantAdded)]
            }
            GuestRole::Supervisor(_) => vec![Step::of(leg, MilestoneKind::SupervisorAdded)],
        };
        self.guests.push(guest);
        moves
    }

    /// The guest's phone rings; `has_media` if what it says may be heard.
    pub fn ring(&mut self, slot: Slot, has_media: bool) {
        let stage = &mut self.guests[slot.index()].stage;
        let has_media = has_media || matches!(stage, Stage::Ringing { has_media: true });
        *stage = Stage::Ringing { has_media };
    }

    /// The guest has answered.
    pub fn welcome(&mut self, now: Instant, slot: Slot) -> Moves {
        let guest = &mut self.guests[slot.index()];
        let (role, leg) = (guest.role, guest.leg());
        guest.answered_at = Some(now);
        let (stage, kind) = match role {
            GuestRole::Participant(Joining::Consult) => {
                (Stage::Consulting, MilestoneKind::Consulting)
            }
            GuestRole::Participant(Joining::Join | Joining::Transfer) => {
                (Stage::Joined, MilestoneKind::ParticipantJoined)
            }
            GuestRole::Supervisor(_) => (Stage::Joined, MilestoneKind::SupervisorJoined),
        };
        guest.stage = stage;
        let mut moves = Moves::new();
        if stage == Stage::Joined {
            moves.extend(self.referrals.end_of(&self.guests[slot.index()].name, 200));
        }
        moves.extend([Move::Arrange, Step::of(leg, kind)]);
        if role == GuestRole::Participant(Joining::Transfer) {
            self.is_held = false;
            moves.extend(self.release_agent());
        }
        moves
    }

    /// A third party or supervisor leaves; the call ends if the customer is left without company.
    pub fn dismiss(&mut self, now: Instant, slot: Slot, leaving: Leaving) -> Moves {
        let Leaving { reason, sip_code, cause } = leaving;
        let guest = &mut self.guests[slot.index()];
        let (leg, was_pending) = (guest.leg(), guest.is_pending());
        guest.leave(now, reason, sip_code);
        self.speaking.set(leg, false);
        let mut moves = vec![Move::Leave(leg)];
        if was_pending {
            if !self.is_agent_gone() {
                self.agent_place = AgentPlace::Conversation;
            }
            let code = if reason == Reason::Canceled { 487 } else { sip_code.unwrap_or(503) };
            moves.extend(self.referrals.end_of(&self.guests[slot.index()].name, code));
        }
        let kind = match leg {
            LegName::Supervisor(_) => MilestoneKind::SupervisorLeft,
            _ => MilestoneKind::ParticipantLeft,
        };
        let has_company = !self.is_agent_gone()
            || self.guests.iter().any(|guest| guest.is_participant() && guest.is_there());
        let is_shown = has_company;
        let step = Step { leg: Some(leg), kind, sip_code, reason: Some(reason), is_shown };
        if has_company {
            moves.extend([Move::Arrange, Move::Tell(step)]);
        } else {
            moves.extend([Move::Tell(step), Move::HangUp(cause.unwrap_or(Cause::System))]);
        }
        moves
    }

    /// The participant of the consultation, once it has answered.
    fn consulted(&self) -> Result<usize, RefusalCode> {
        let index = self.pending_index().ok_or(RefusalCode::NoConsultation)?;
        match (self.guests[index].role, self.guests[index].stage) {
            (_, Stage::Consulting) => Ok(index),
            (GuestRole::Participant(Joining::Consult), _) => Err(RefusalCode::NotAnswered),
            _ => Err(RefusalCode::NoConsultation),
        }
    }

    /// The participant that stood apart joins; what its phone is told that asked for it.
    fn join(&mut self, index: usize) -> Option<Move> {
        self.guests[index].stage = Stage::Joined;
        self.is_held = false;
        self.referrals.end_of(&self.guests[index].name, 200)
    }

    /// The consultation's two parties join the conversation.
    pub fn merge(&mut self) -> Result<Moves, RefusalCode> {
        self.agent_is_here()?;
        let index = self.consulted()?;
        self.agent_place = AgentPlace::Conversation;
        let mut moves: Moves = self.join(index).into_iter().collect();
        moves.extend([Move::Arrange, Step::of(self.guests[index].leg(), MilestoneKind::Merged)]);
        Ok(moves)
    }

    /// The agent changes between the conversation and the consultation.
    pub fn swap(&mut self) -> Result<Moves, RefusalCode> {
        self.agent_is_here()?;
        self.consulted()?;
        self.agent_place = match self.agent_place {
            AgentPlace::Conversation => AgentPlace::Consultation,
            AgentPlace::Consultation | AgentPlace::Gone => AgentPlace::Conversation,
        };
        Ok(vec![Move::Arrange, Step::of(LegName::Agent, MilestoneKind::Swapped)])
    }

    /// The agent leaves; all others stay, together.
    pub fn complete(&mut self) -> Result<Moves, RefusalCode> {
        self.agent_is_here()?;
        let is_joined = |guest: &Guest| guest.is_participant() && guest.is_talking();
        let mut moves = Moves::new();
        match self.pending_index() {
            Some(index) if self.guests[index].stage != Stage::Consulting => {
                return Err(RefusalCode::NotAnswered);
            }
            Some(index) => moves.extend(self.join(index)),
            None if self.guests.iter().any(is_joined) => self.is_held = false,
            None => return Err(RefusalCode::NoConsultation),
        }
        moves.extend(self.release_agent());
        Ok(moves)
    }

    /// Ends the consultation, the dialling or the transfer.
    pub fn cancel(&mut self, now: Instant) -> Result<Moves, RefusalCode> {
        self.agent_is_here()?;
        match self.pending() {
            Some(guest) => {
                let leaving = Leaving { reason: Reason::Canceled, sip_code: None, cause: None };
                Ok(self.dismiss(now, guest.slot, leaving))
            }
            None if self.referrals.is_asked() => Ok(self.referrals.end(603).into_iter().collect()),
            None => Err(RefusalCode::NoConsultation),
        }
    }

    /// Changes what a supervisor hears, and who hears it.
    pub fn set_role(&mut self, party: &str, role: SupervisorRole) -> Result<Moves, RefusalCode> {
        let is_meant = |guest: &&mut Guest| {
            guest.name == party
                && guest.is_there()
                && matches!(guest.role, GuestRole::Supervisor(_))
        };
        let guest = self.guests.iter_mut().find(is_meant).ok_or(RefusalCode::UnknownParty)?;
        if guest.role == GuestRole::Supervisor(role) {
            return Ok(Moves::new());
        }
        guest.role = GuestRole::Supervisor(role);
        Ok(vec![Move::Arrange, Step::of(guest.leg(), MilestoneKind::SupervisorRole)])
    }

    /// The agent's work is done: its leg ends, the others stay together.
    fn release_agent(&mut self) -> [Move; 2] {
        self.agent_place = AgentPlace::Gone;
        self.referrals.forget();
        self.speaking.set(LegName::Agent, false);
        [Move::ReleaseAgent, Step::of(LegName::Agent, MilestoneKind::AgentCompleted)]
    }
}
