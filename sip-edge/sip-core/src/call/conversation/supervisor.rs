//! Supervisors: an extra leg that listens, whispers or barges in. Their coming and going never ends
//! a call, and they keep none alive.

use super::guest::{Guest, GuestRole};
use crate::call::Call;
use crate::call::context::Context;
use crate::call::leg::callee::Callee;
use crate::command::{AgentTarget, Refusal};
use crate::control::{ControlRefusal, NewSupervisor, SupervisorRole};
use crate::event::MilestoneKind;
use crate::outcome::LegName;
use media_core::relay;

impl Call {
    pub(in crate::call) fn supervise(
        &mut self,
        cx: &mut Context<'_>,
        new: NewSupervisor,
    ) -> Result<(), ControlRefusal> {
        let slot = self.admit_guest(&new.party)?;
        match &new.target {
            AgentTarget::Phone(destination) if destination.routes.is_empty() => {
                return Err(ControlRefusal::NoRoute);
            }
            AgentTarget::Phone(_) => {}
            AgentTarget::Softphone { agent, .. } => {
                cx.shard.admit_softphone(agent).map_err(|refusal| match refusal {
                    Refusal::AgentBusy => ControlRefusal::AgentBusy,
                    _ => ControlRefusal::AgentUnreachable,
                })?
            }
        }
        let callee = Callee::from(new.target);
        let guest = Guest::open(cx, slot, new.party, GuestRole::Supervisor(new.role), callee);
        let guest = guest.map_err(|_| ControlRefusal::NoCapacity)?;
        let name = LegName::Supervisor(slot);
        if let Some(agent) = guest.leg.softphone() {
            cx.shard.agents.insert(agent.to_owned(), (cx.call, name));
        }
        self.guests.push(guest);
        self.tell(cx, Some(name), MilestoneKind::SupervisorAdded);
        let preferred = self.codec_in_use();
        let event = self.guests[slot.index()].leg.dial(cx, preferred);
        self.handle_leg(cx, name, event);
        Ok(())
    }

    pub(in crate::call) fn set_role(
        &mut self,
        cx: &mut Context<'_>,
        party: &str,
        role: SupervisorRole,
    ) -> Result<(), ControlRefusal> {
        let is_meant = |guest: &&mut Guest| {
            guest.name == party
                && guest.is_there()
                && matches!(guest.role, GuestRole::Supervisor(_))
        };
        let guest = self.guests.iter_mut().find(is_meant).ok_or(ControlRefusal::UnknownParty)?;
        if guest.role == GuestRole::Supervisor(role) {
            return Ok(());
        }
        guest.role = GuestRole::Supervisor(role);
        let name = guest.leg.name;
        self.arrange(cx);
        self.tell(cx, Some(name), MilestoneKind::SupervisorRole);
        Ok(())
    }

    /// Something of the media of a supervisor's softphone.
    pub(in crate::call) fn handle_supervisor_media(
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
            relay::Event::DtlsFailed(_) | relay::Event::ConsentLost(_) => {
                self.dismiss(cx, slot.index(), "media", None, None)
            }
            _ => {}
        }
    }

    /// The connection of a supervisor's softphone is gone: it leaves, and nothing can be said to
    /// it.
    pub(in crate::call) fn lose_supervisor(&mut self, cx: &mut Context<'_>, index: usize) {
        let Some(guest) = self.guests.get_mut(index).filter(|guest| guest.is_there()) else {
            return;
        };
        if let Some(invitation) = guest.leg.invitations.last_mut() {
            invitation.handle_lost_flow(cx);
            invitation.drop_dialogs();
        }
        self.dismiss(cx, index, "dialog_lost", None, None);
    }
}
