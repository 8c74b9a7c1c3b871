//! Third parties: dialled through their routes as a customer is, consulted, joined or transferred
//! to. Whatever fails brings the agent back to the conversation within the same instant.

use super::guest::{Guest, GuestRole, Stage};
use crate::call::context::Context;
use crate::call::leg::LegEvent;
use crate::call::leg::callee::Callee;
use crate::call::leg::description::Agreement;
use crate::call::{AgentPlace, Call};
use crate::control::{ControlRefusal, Joining, NewParticipant};
use crate::event::MilestoneKind;
use crate::outcome::{Cause, LegName, Slot};
use media_core::codec::Codec;
use media_core::relay::MAX_PARTIES;

impl Call {
    /// The participant that is dialled or consulted.
    pub(in crate::call) fn pending(&self) -> Option<&Guest> {
        self.guests.iter().find(|guest| guest.is_pending())
    }

    fn pending_index(&self) -> Option<usize> {
        self.guests.iter().position(Guest::is_pending)
    }

    /// Whether a new party fits, and its name is free.
    pub(in crate::call) fn admit_guest(&self, name: &str) -> Result<Slot, ControlRefusal> {
        if name.is_empty()
            || matches!(name, "agent" | "customer")
            || self.guests.iter().any(|guest| guest.name == name)
        {
            return Err(ControlRefusal::UnknownParty);
        }
        let agent_count = usize::from(!self.is_agent_gone());
        let present = self.guests.iter().filter(|guest| guest.is_there()).count() + agent_count + 1;
        Slot::new(self.guests.len())
            .filter(|_| present < MAX_PARTIES)
            .ok_or(ControlRefusal::TooManyParties)
    }

    pub(in crate::call) fn add_participant(
        &mut self,
        cx: &mut Context<'_>,
        new: NewParticipant,
    ) -> Result<(), ControlRefusal> {
        self.agent_is_here()?;
        if self.pending().is_some() {
            return Err(ControlRefusal::TransferRunning);
        }
        let slot = self.admit_guest(&new.party)?;
        if new.destination.routes.is_empty() {
            return Err(ControlRefusal::NoRoute);
        }
        let role = GuestRole::Participant(new.joining);
        let guest = Guest::open(cx, slot, new.party, role, Callee::Trunks(new.destination));
        self.guests.push(guest.map_err(|_| ControlRefusal::NoCapacity)?);
        let index = slot.index();
        let name = self.guests[index].name.clone();
        self.follow_referral(&name);
        if new.joining == Joining::Consult {
            self.agent_place = AgentPlace::Consultation;
        }
        self.arrange(cx);
        self.tell(cx, Some(LegName::Participant(slot)), MilestoneKind::ParticipantAdded);
        let preferred = self.codec_in_use();
        let event = self.guests[index].leg.dial(cx, preferred);
        self.handle_leg(cx, LegName::Participant(slot), event);
        Ok(())
    }

    /// What the customer is sent: offered first to whoever comes, so that relaying needs no
    /// transcoding.
    pub(in crate::call) fn codec_in_use(&self) -> Codec {
        self.customer.agreed.as_ref().map_or(Codec::Pcmu, Agreement::codec)
    }

    /// Something of a third party's or supervisor's leg.
    pub(in crate::call) fn handle_guest(
        &mut self,
        cx: &mut Context<'_>,
        index: usize,
        event: LegEvent,
    ) {
        if self.guests.get(index).is_none_or(|guest| !guest.is_there()) {
            return;
        }
        match event {
            LegEvent::Nothing | LegEvent::Referred(_) => {}
            LegEvent::Ringing | LegEvent::EarlyMedia => {
                let has_media = matches!(event, LegEvent::EarlyMedia)
                    || matches!(self.guests[index].stage, Stage::Ringing { has_media: true });
                self.guests[index].stage = Stage::Ringing { has_media };
                self.arrange(cx);
                let conversation = self.conversation();
                cx.conversation_after(conversation);
            }
            LegEvent::Answered => self.welcome_guest(cx, index),
            LegEvent::Digit(code) => self.pass_digit(cx, self.guests[index].leg.name, code),
            LegEvent::HoldChanged => self.arrange(cx),
            LegEvent::Failed(outcome) => {
                let reason = outcome.reason.map_or("failed", |reason| reason.as_str());
                self.dismiss(cx, index, reason, outcome.sip_code, None);
            }
            LegEvent::HungUp => {
                let cause = Cause::Bye(self.guests[index].leg.name);
                self.dismiss(cx, index, "hung_up", None, Some(cause));
            }
            LegEvent::DialogLost => {
                let cause = Cause::DialogLost(self.guests[index].leg.name);
                self.dismiss(cx, index, "dialog_lost", None, Some(cause));
            }
        }
    }

    fn welcome_guest(&mut self, cx: &mut Context<'_>, index: usize) {
        let (role, name, media) =
            (self.guests[index].role, self.guests[index].leg.name, self.guests[index].leg.media);
        self.guests[index].answered_at = Some(cx.now);
        cx.shard.relay.watch_media(cx.now, media, self.no_media);
        let (stage, kind) = match role {
            GuestRole::Participant(Joining::Consult) => {
                (Stage::Consulting, MilestoneKind::Consulting)
            }
            GuestRole::Participant(Joining::Join | Joining::Transfer) => {
                (Stage::Joined, MilestoneKind::ParticipantJoined)
            }
            GuestRole::Supervisor(_) => (Stage::Joined, MilestoneKind::SupervisorJoined),
        };
        self.guests[index].stage = stage;
        if role == GuestRole::Participant(Joining::Transfer) {
            self.is_held = false;
            self.agent_place = AgentPlace::Gone;
        }
        if stage == Stage::Joined {
            self.end_referral_of(cx, index, 200);
        }
        self.arrange(cx);
        self.tell(cx, Some(name), kind);
        if role == GuestRole::Participant(Joining::Transfer) {
            self.release_agent(cx);
        }
    }

    /// A third party or supervisor leaves; the call ends for `cause` if the customer is left
    /// without company.
    pub(in crate::call) fn dismiss(
        &mut self,
        cx: &mut Context<'_>,
        index: usize,
        reason: &'static str,
        sip_code: Option<u16>,
        cause: Option<Cause>,
    ) {
        let was_pending = self.guests[index].is_pending();
        let name = self.guests[index].leg.name;
        self.guests[index].leave(cx, reason, sip_code);
        self.quieten(name);
        if was_pending {
            if !self.is_agent_gone() {
                self.agent_place = AgentPlace::Conversation;
            }
            let code = if reason == "canceled" { 487 } else { sip_code.unwrap_or(503) };
            self.end_referral_of(cx, index, code);
        }
        let kind = match name {
            LegName::Supervisor(_) => MilestoneKind::SupervisorLeft,
            _ => MilestoneKind::ParticipantLeft,
        };
        let has_company = !self.is_agent_gone()
            || self.guests.iter().any(|guest| guest.is_participant() && guest.is_there());
        if has_company {
            self.arrange(cx);
        }
        let conversation = has_company.then(|| self.conversation());
        cx.rearranged(Some(name), kind, sip_code, Some(reason), conversation);
        if !has_company {
            self.hang_up(cx, cause.unwrap_or(Cause::System));
        }
    }

    /// The participant of the consultation, once it has answered.
    fn consulted(&self) -> Result<usize, ControlRefusal> {
        let index = self.pending_index().ok_or(ControlRefusal::NoConsultation)?;
        match (self.guests[index].role, self.guests[index].stage) {
            (_, Stage::Consulting) => Ok(index),
            (GuestRole::Participant(Joining::Consult), _) => Err(ControlRefusal::NotAnswered),
            _ => Err(ControlRefusal::NoConsultation),
        }
    }

    pub(in crate::call) fn merge(&mut self, cx: &mut Context<'_>) -> Result<(), ControlRefusal> {
        self.agent_is_here()?;
        let index = self.consulted()?;
        self.guests[index].stage = Stage::Joined;
        self.agent_place = AgentPlace::Conversation;
        self.is_held = false;
        self.end_referral_of(cx, index, 200);
        self.arrange(cx);
        let name = self.guests[index].leg.name;
        self.tell(cx, Some(name), MilestoneKind::Merged);
        Ok(())
    }

    pub(in crate::call) fn swap(&mut self, cx: &mut Context<'_>) -> Result<(), ControlRefusal> {
        self.agent_is_here()?;
        self.consulted()?;
        self.agent_place = match self.agent_place {
            AgentPlace::Conversation => AgentPlace::Consultation,
            AgentPlace::Consultation | AgentPlace::Gone => AgentPlace::Conversation,
        };
        self.arrange(cx);
        self.tell(cx, Some(LegName::Agent), MilestoneKind::Swapped);
        Ok(())
    }

    pub(in crate::call) fn complete(&mut self, cx: &mut Context<'_>) -> Result<(), ControlRefusal> {
        self.agent_is_here()?;
        match self.pending() {
            Some(guest) if guest.stage != Stage::Consulting => {
                return Err(ControlRefusal::NotAnswered);
            }
            Some(_) => {}
            None if self
                .guests
                .iter()
                .any(|guest| guest.is_participant() && guest.is_talking()) => {}
            None => return Err(ControlRefusal::NoConsultation),
        }
        self.is_held = false;
        if let Some(index) = self.pending_index() {
            self.guests[index].stage = Stage::Joined;
            self.end_referral_of(cx, index, 200);
        }
        self.release_agent(cx);
        Ok(())
    }

    pub(in crate::call) fn cancel(&mut self, cx: &mut Context<'_>) -> Result<(), ControlRefusal> {
        self.agent_is_here()?;
        match self.pending_index() {
            Some(index) => self.dismiss(cx, index, "canceled", None, None),
            None if self.is_referral_asked() => self.end_referral(cx, 603),
            None => return Err(ControlRefusal::NoConsultation),
        }
        Ok(())
    }

    /// The agent's work is done: its leg ends, the others stay together.
    fn release_agent(&mut self, cx: &mut Context<'_>) {
        self.agent_place = AgentPlace::Gone;
        self.agent_report = self.agent.report(cx.shard);
        self.arrange(cx);
        self.leave_softphone(cx);
        self.softphone = None;
        self.agent.abandon(cx);
        let media = self.agent.media;
        self.close_media(cx, media);
        self.quieten(LegName::Agent);
        self.referral = None;
        self.tell(cx, Some(LegName::Agent), MilestoneKind::AgentCompleted);
    }
}
