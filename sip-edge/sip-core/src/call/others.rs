//! The legs of third parties and supervisors: third parties are dialled through their routes as a
//! customer is, supervisors by phone or softphone. What their coming and going means is the
//! conversation's to say.

use super::Call;
use super::context::Context;
use super::conversation::guest::GuestRole;
use super::conversation::participant::Leaving;
use super::leg::LegEvent;
use super::leg::callee::Callee;
use super::leg::description::Agreement;
use super::release::Release;
use crate::command::{AgentTarget, Refusal};
use crate::control::{NewParticipant, NewSupervisor};
use crate::outcome::{Cause, LegName, Slot};
use call_words::{MilestoneKind, Reason, RefusalCode};
use media_core::codec::Codec;
use media_core::relay;

impl Call {
    pub(super) fn add_participant(
        &mut self,
        cx: &mut Context<'_>,
        new: NewParticipant,
    ) -> Result<(), RefusalCode> {
        let slot = self.conversation.admit_participant(&new.party)?;
        if new.destination.routes.is_empty() {
            return Err(RefusalCode::NoRoute);
        }
        let role = GuestRole::Participant(new.joining);
        self.add(cx, slot, new.party, role, Callee::Trunks(new.destination))
    }

    pub(super) fn supervise(
        &mut self,
        cx: &mut Context<'_>,
        new: NewSupervisor,
    ) -> Result<(), RefusalCode> {
        let slot = self.conversation.admit(&new.party)?;
        match &new.target {
            AgentTarget::Phone(destination) if destination.routes.is_empty() => {
                return Err(RefusalCode::NoRoute);
            }
            AgentTarget::Phone(_) => {}
            AgentTarget::Softphone { agent, .. } => {
                cx.shard.admit_softphone(agent).map_err(|refusal| match refusal {
                    Refusal::AgentBusy => RefusalCode::AgentBusy,
                    _ => RefusalCode::AgentUnreachable,
                })?
            }
        }
        self.add(cx, slot, new.party, GuestRole::Supervisor(new.role), new.target.into())
    }

    /// Opens the media of who was admitted, and dials.
    fn add(
        &mut self,
        cx: &mut Context<'_>,
        slot: Slot,
        party: String,
        role: GuestRole,
        callee: Callee,
    ) -> Result<(), RefusalCode> {
        let name = role.leg(slot);
        self.legs.add(cx, name, callee).map_err(|_| RefusalCode::NoCapacity)?;
        cx.log.parties.push(party.clone());
        let moves = self.conversation.add(slot, party, role);
        self.carry_out(cx, moves);
        let preferred = self.codec_in_use();
        let event = self.legs.of(name).dial(cx, preferred);
        self.handle_leg(cx, name, event);
        Ok(())
    }

    /// What the customer is sent: offered first to whoever comes, so that relaying needs no
    /// transcoding.
    fn codec_in_use(&self) -> Codec {
        self.legs.customer.agreed.as_ref().map_or(Codec::Pcmu, Agreement::codec)
    }

    /// Something of a third party's or supervisor's leg.
    pub(super) fn handle_other(
        &mut self,
        cx: &mut Context<'_>,
        name: LegName,
        slot: Slot,
        event: LegEvent,
    ) {
        if self.conversation.guest(slot).is_none() {
            return;
        }
        match event {
            LegEvent::Nothing | LegEvent::Referred(_) => {}
            LegEvent::Ringing | LegEvent::EarlyMedia => {
                self.conversation.ring(slot, matches!(event, LegEvent::EarlyMedia));
                self.arrange(cx);
                cx.conversation_after(self.shown());
            }
            LegEvent::Answered => {
                let media = self.legs.of(name).media;
                cx.shard.relay.watch_media(cx.now, media, self.no_media);
                let moves = self.conversation.welcome(cx.now, slot);
                self.carry_out(cx, moves);
            }
            LegEvent::Digit(code) => self.pass_digit(cx, name, code),
            LegEvent::HoldChanged => self.arrange(cx),
            LegEvent::Failed(outcome) => {
                let reason = outcome.reason.unwrap_or(Reason::System);
                let sip_code = outcome.sip_code;
                self.dismiss(cx, slot, Leaving { reason, sip_code, cause: None });
            }
            LegEvent::HungUp => self.lose(cx, slot, Reason::HungUp, Cause::Bye(name)),
            LegEvent::DialogLost => {
                self.lose(cx, slot, Reason::DialogLost, Cause::DialogLost(name))
            }
        }
    }

    /// The party is gone, and with it the call if it was the customer's last company.
    pub(super) fn lose(&mut self, cx: &mut Context<'_>, slot: Slot, reason: Reason, cause: Cause) {
        self.dismiss(cx, slot, Leaving { reason, sip_code: None, cause: Some(cause) });
    }

    fn dismiss(&mut self, cx: &mut Context<'_>, slot: Slot, leaving: Leaving) {
        let moves = self.conversation.dismiss(cx.now, slot, leaving);
        self.carry_out(cx, moves);
    }

    /// Ends a leg and its media.
    pub(super) fn leave(&mut self, cx: &mut Context<'_>, name: LegName, release: Release) {
        self.legs.leave(cx, name, release);
        self.hearing.forget(name);
    }

    /// Something of the media of a supervisor's softphone.
    pub(super) fn handle_supervisor_media(
        &mut self,
        cx: &mut Context<'_>,
        name: LegName,
        event: relay::Event,
    ) {
        let LegName::Supervisor(slot) = name else { return };
        match event {
            relay::Event::IceConnected(_) => {
                cx.milestone(Some(name), MilestoneKind::IceConnected, None, None)
            }
            relay::Event::DtlsConnected(_) => {
                cx.milestone(Some(name), MilestoneKind::DtlsConnected, None, None)
            }
            relay::Event::DtlsFailed(_) | relay::Event::ConsentLost(_) => self.dismiss(
                cx,
                slot,
                Leaving { reason: Reason::Media, sip_code: None, cause: None },
            ),
            _ => {}
        }
    }

    /// The connection of a supervisor's softphone is gone: it leaves, and nothing can be said to
    /// it.
    pub(super) fn lose_supervisor(&mut self, cx: &mut Context<'_>, slot: Slot) {
        if self.conversation.guest(slot).is_none() {
            return;
        }
        let leg = self.legs.of(LegName::Supervisor(slot));
        if let Some(invitation) = leg.invitations.last_mut() {
            invitation.handle_lost_flow(cx);
            invitation.drop_dialogs();
        }
        let reason = Reason::DialogLost;
        self.dismiss(cx, slot, Leaving { reason, sip_code: None, cause: None });
    }
}
