//! The conversation of a bridged call: who talks to whom, who may ask for what, and what it
//! changes. Pure: knows no SIP, no relay and no recording; what has to be done is handed to the
//! call as moves, in their order, and where everybody then is as a scene.

pub mod guest;
pub mod participant;
mod referral;
pub mod rooms;
mod speaking;

use crate::control::{Party, PartyRole};
use crate::event::OtherParty;
use crate::outcome::{Cause, LegName, Slot};
use call_words::{Joining, MilestoneKind, PartyState, Reason, RefusalCode};
use guest::{Guest, GuestRole, Stage};
use participant::Leaving;
use referral::Referrals;
use rooms::{Presence, Ringing, Room, Scene, Seat, Voice, Watcher};
use speaking::Speaking;
use std::time::Instant;

/// What the call is to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// Relay, recording and trunks follow how the parties stand.
    Arrange,
    Tell(Step),
    /// The leg of a third party or supervisor ends, and its media.
    Leave(LegName),
    /// The agent's phone is told by NOTIFY how the transfer fares that it asked for by the REFER of
    /// this CSeq.
    Notify {
        cseq: u32,
        code: u16,
    },
    /// The agent's leg ends, and its media; the others stay.
    ReleaseAgent,
    /// The call ends.
    HangUp(Cause),
}

/// In their order.
pub type Moves = Vec<Move>;

/// A step for the timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    pub leg: Option<LegName>,
    pub kind: MilestoneKind,
    pub sip_code: Option<u16>,
    pub reason: Option<Reason>,
    /// Whether it is said how the parties stand after it.
    pub is_shown: bool,
}

impl Step {
    fn of(leg: LegName, kind: MilestoneKind) -> Move {
        Move::Tell(Step { leg: Some(leg), kind, sip_code: None, reason: None, is_shown: true })
    }
}

/// Where the agent is, once the call is bridged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AgentPlace {
    Conversation,
    Consultation,
    /// Its work is done; the others go on.
    Gone,
}

/// Who is in the call beside its legs, where they are, and what is on its way.
#[derive(Debug)]
pub struct Conversation {
    agent_place: AgentPlace,
    /// The customer is on hold because that was asked for.
    is_held: bool,
    agent_voice: Voice,
    customer_voice: Voice,
    /// Third parties and supervisors by slot, those who left included.
    guests: Vec<Guest>,
    pub referrals: Referrals,
    pub speaking: Speaking,
}

impl Conversation {
    /// Agent and customer; whether a REFER of the agent's phone is taken.
    pub fn new(accepts_refer: bool) -> Conversation {
        Conversation {
            agent_place: AgentPlace::Conversation,
            is_held: false,
            agent_voice: Voice::On,
            customer_voice: Voice::On,
            guests: Vec::new(),
            referrals: Referrals::new(accepts_refer),
            speaking: Speaking::default(),
        }
    }

    /// Whether the agent has left, its work done.
    pub fn is_agent_gone(&self) -> bool {
        self.agent_place == AgentPlace::Gone
    }

    fn agent_is_here(&self) -> Result<(), RefusalCode> {
        if self.is_agent_gone() { Err(RefusalCode::AgentGone) } else { Ok(()) }
    }

    /// The party of this name that is still there.
    pub fn party(&self, name: &str) -> Result<LegName, RefusalCode> {
        match name {
            "agent" => self.agent_is_here().map(|()| LegName::Agent),
            "customer" => Ok(LegName::Customer),
            _ => {
                let guest = self.guests.iter().find(|guest| guest.name == name && guest.is_there());
                guest.map(Guest::leg).ok_or(RefusalCode::UnknownParty)
            }
        }
    }

    /// The third party or supervisor of this place, if it is still there.
    pub fn guest(&self, slot: Slot) -> Option<&Guest> {
        self.guests.get(slot.index()).filter(|guest| guest.is_there())
    }

    /// Puts the customer on hold.
    pub fn hold(&mut self) -> Result<Moves, RefusalCode> {
        self.agent_is_here()?;
        if std::mem::replace(&mut self.is_held, true) {
            return Err(RefusalCode::OnHold);
        }
        Ok(vec![Move::Arrange, Step::of(LegName::Customer, MilestoneKind::CustomerHeld)])
    }

    /// Takes the customer back from hold.
    pub fn resume(&mut self) -> Result<Moves, RefusalCode> {
        self.agent_is_here()?;
        if !std::mem::replace(&mut self.is_held, false) {
            return Err(RefusalCode::NotOnHold);
        }
        Ok(vec![Move::Arrange, Step::of(LegName::Customer, MilestoneKind::CustomerResumed)])
    }

    /// Lets the others hear a party, or not.
    pub fn set_voice(&mut self, party: &str, voice: Voice) -> Result<Moves, RefusalCode> {
        let leg = self.party(party)?;
        let present = match leg {
            LegName::Agent => &mut self.agent_voice,
            LegName::Customer => &mut self.customer_voice,
            LegName::Participant(slot) | LegName::Supervisor(slot) => {
                &mut self.guests[slot.index()].voice
            }
        };
        if std::mem::replace(present, voice) == voice {
            return Ok(Moves::new());
        }
        let kind =
            if voice == Voice::Muted { MilestoneKind::Muted } else { MilestoneKind::Unmuted };
        Ok(vec![Move::Arrange, Step::of(leg, kind)])
    }

    /// Without agent or customer there is no call.
    pub fn remove(&mut self, now: Instant, party: &str) -> Result<Moves, RefusalCode> {
        let leg = self.party(party)?;
        Ok(match leg {
            LegName::Agent | LegName::Customer => {
                let (kind, is_shown) = (MilestoneKind::HangUpRequested, false);
                let step = Step { leg: Some(leg), kind, sip_code: None, reason: None, is_shown };
                vec![Move::Tell(step), Move::HangUp(Cause::Api)]
            }
            LegName::Participant(slot) | LegName::Supervisor(slot) => {
                let (reason, cause) = (Reason::Removed, Some(Cause::Api));
                self.dismiss(now, slot, Leaving { reason, sip_code: None, cause })
            }
        })
    }

    /// Takes a REFER of the agent's phone and names the party that it asks for; `None` if it is
    /// refused.
    pub fn take_referral(&mut self, now: Instant, cseq: u32) -> Option<String> {
        let is_free = self.pending().is_none() && !self.is_agent_gone();
        if is_free { self.referrals.take(now, cseq) } else { None }
    }

    /// Who speaks by name, if that changed and may be told.
    pub fn take_speakers(&mut self, now: Instant) -> Option<Vec<String>> {
        let speakers = self.speaking.take_change(now)?;
        let name = |leg: &LegName| match leg {
            LegName::Agent => "agent".to_owned(),
            LegName::Customer => "customer".to_owned(),
            LegName::Participant(slot) | LegName::Supervisor(slot) => {
                self.guests[slot.index()].name.clone()
            }
        };
        Some(speakers.iter().map(name).collect())
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        let speaking = self.speaking.poll_timeout();
        self.referrals.poll_timeout().into_iter().chain(speaking).min()
    }

    /// The call is over: all who are there leave. Their legs are to end.
    pub fn close(&mut self, now: Instant) -> Vec<LegName> {
        let present = self.guests.iter_mut().filter(|guest| guest.is_there());
        let leave = |guest: &mut Guest| {
            let reason = if guest.is_talking() { Reason::Ended } else { Reason::Canceled };
            guest.leave(now, reason, None);
            guest.leg()
        };
        present.map(leave).collect()
    }

    /// What came of third parties and supervisors, for the call's end.
    pub fn outcomes(&self, ended_at: Instant) -> Vec<OtherParty> {
        self.guests.iter().map(|guest| guest.outcome(ended_at)).collect()
    }

    /// What is rung for: a participant that has not answered.
    fn ringing(&self) -> Ringing {
        let dialled = self.pending().filter(|guest| guest.stage != Stage::Consulting);
        match dialled.map(|guest| guest.role) {
            Some(GuestRole::Participant(Joining::Consult)) => Ringing::Consultation,
            Some(GuestRole::Participant(Joining::Transfer)) => Ringing::Transfer,
            _ => Ringing::Nobody,
        }
    }

    /// Where everybody is; `presence` tells who is at the other end of a leg.
    pub fn scene(&self, presence: impl Fn(LegName) -> Presence) -> Scene {
        let ringing = self.ringing();
        let seat = |leg, room, voice| Seat { leg, room, voice, presence: presence(leg) };
        let mut seats = Vec::with_capacity(4);
        let agent_room = match self.agent_place {
            AgentPlace::Gone => None,
            _ if ringing == Ringing::Transfer => Some(Room::Apart),
            AgentPlace::Conversation => Some(Room::Conversation),
            AgentPlace::Consultation => Some(Room::Consultation),
        };
        seats.extend(agent_room.map(|room| seat(LegName::Agent, room, self.agent_voice)));
        let room = if self.is_held { Room::Hold } else { Room::Conversation };
        seats.push(seat(LegName::Customer, room, self.customer_voice));
        let mut watchers = Vec::new();
        for guest in &self.guests {
            let (leg, voice) = (guest.leg(), guest.voice);
            match (guest.role, guest.stage) {
                (GuestRole::Supervisor(role), Stage::Joined) => {
                    watchers.push(Watcher { leg, role, voice })
                }
                (GuestRole::Participant(_), Stage::Joined) => {
                    seats.push(seat(leg, Room::Conversation, voice));
                }
                (
                    GuestRole::Participant(Joining::Consult),
                    Stage::Consulting | Stage::Ringing { has_media: true },
                )
                | (GuestRole::Participant(_), Stage::Consulting) => {
                    seats.push(seat(leg, Room::Consultation, voice));
                }
                _ => {}
            }
        }
        Scene { seats, watchers, ringing }
    }

    /// How the parties stand in a scene of this conversation.
    pub fn parties(&self, scene: &Scene) -> Vec<Party> {
        let agent = Party {
            party: "agent".into(),
            role: PartyRole::Agent,
            state: match scene.seats.iter().find(|seat| seat.leg == LegName::Agent) {
                None => PartyState::Left,
                Some(seat) if seat.presence == Presence::Away => PartyState::Away,
                Some(seat) if seat.room == Room::Conversation => PartyState::Talking,
                Some(_) => PartyState::Consulting,
            },
            is_muted: self.agent_voice == Voice::Muted,
            reason: self.is_agent_gone().then_some(Reason::Completed),
        };
        let customer = Party {
            party: "customer".into(),
            role: PartyRole::Customer,
            state: if scene.is_on_hold(LegName::Customer) {
                PartyState::OnHold
            } else {
                PartyState::Talking
            },
            is_muted: self.customer_voice == Voice::Muted,
            reason: None,
        };
        let guests = self.guests.iter().map(|guest| guest_party(guest, scene));
        [agent, customer].into_iter().chain(guests).collect()
    }
}

fn guest_party(guest: &Guest, scene: &Scene) -> Party {
    Party {
        party: guest.name.clone(),
        role: match guest.role {
            GuestRole::Participant(joining) => PartyRole::Participant(joining),
            GuestRole::Supervisor(role) => PartyRole::Supervisor(role),
        },
        state: match guest.stage {
            Stage::Dialing => PartyState::Dialing,
            Stage::Ringing { .. } => PartyState::Ringing,
            Stage::Consulting | Stage::Joined if scene.is_on_hold(guest.leg()) => {
                PartyState::OnHold
            }
            Stage::Consulting => PartyState::Consulting,
            Stage::Joined => PartyState::Talking,
            Stage::Left => PartyState::Left,
        },
        is_muted: guest.voice == Voice::Muted,
        reason: guest.departure.map(|departure| departure.reason),
    }
}

#[cfg(test)]
mod tests;
