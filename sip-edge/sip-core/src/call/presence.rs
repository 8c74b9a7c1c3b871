//! What the coming and going of agents and supervisors by softphone means for the call.

use super::Call;
use super::agent::AgentEvent;
use super::context::Context;
use crate::outcome::LegName;
use crate::registrar::Kinship;
use call_words::MilestoneKind;

impl Call {
    /// The connection of an agent's or supervisor's registration is gone, or its registration is
    /// over.
    pub fn handle_lost_flow(&mut self, cx: &mut Context<'_>, name: LegName) {
        match name {
            _ if self.phase.is_ended() => {}
            LegName::Supervisor(slot) => self.lose_supervisor(cx, slot),
            _ => {
                let event = self.legs.agent.handle_lost_flow(cx);
                self.handle_agent(cx, event);
            }
        }
    }

    /// An agent or supervisor has registered over another connection.
    pub fn handle_softphone_back(&mut self, cx: &mut Context<'_>, name: LegName, kinship: Kinship) {
        match name {
            _ if self.phase.is_ended() => {}
            // Its former connection, over which it was called, is gone.
            LegName::Supervisor(slot) => self.lose_supervisor(cx, slot),
            _ => {
                let event = self.legs.agent.handle_softphone_back(cx, kinship);
                self.handle_agent(cx, event);
            }
        }
    }

    pub(super) fn handle_agent(&mut self, cx: &mut Context<'_>, event: AgentEvent) {
        match event {
            AgentEvent::Nothing => {}
            AgentEvent::Ready => self.call_customer(cx),
            AgentEvent::Lost => self.tell_presence(cx, MilestoneKind::AgentLost),
            AgentEvent::Back { is_ready } => {
                self.tell_presence(cx, MilestoneKind::AgentBack);
                if is_ready {
                    self.call_customer(cx);
                }
            }
            AgentEvent::Called(event) => self.handle_leg(cx, LegName::Agent, event),
            AgentEvent::Failed(cause) => self.hang_up(cx, cause),
        }
    }

    /// The agent comes or goes: whoever is left alone by it hears so.
    fn tell_presence(&mut self, cx: &mut Context<'_>, kind: MilestoneKind) {
        if self.phase.is_bridged() {
            self.arrange(cx);
            self.tell(cx, Some(LegName::Agent), kind);
        } else {
            cx.milestone(Some(LegName::Agent), kind, None, None);
        }
    }

    pub(super) fn take_confirmation(&mut self, cx: &mut Context<'_>, code: u8) {
        if self.legs.agent.take_confirmation(cx, code) {
            self.call_customer(cx);
        }
    }
}
