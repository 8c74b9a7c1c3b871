//! What a call works with beyond its own state: the instant, its identity and log, and its shard.

use super::shard::{CallKey, Resources};
use crate::control::Conversation;
use crate::event::{Event, Milestone, Output};
use crate::outcome::LegName;
use call_words::{CallId, MilestoneKind, TrunkId};
use media_core::relay::LegId;
use std::time::Instant;

/// Identity and count of a call's milestones; none is told after the end.
pub struct Log {
    pub call_id: CallId,
    pub sequence: u32,
    pub is_closed: bool,
    /// Names of the third parties and supervisors, by their slots.
    pub parties: Vec<String>,
}

impl Log {
    /// Name of the third party or supervisor whose leg it is.
    pub fn party(&self, leg: LegName) -> Option<String> {
        match leg {
            LegName::Participant(slot) | LegName::Supervisor(slot) => {
                self.parties.get(slot.index()).cloned()
            }
            LegName::Agent | LegName::Customer => None,
        }
    }
}

/// One input's view of the shard.
pub struct Context<'a> {
    pub now: Instant,
    pub call: CallKey,
    pub log: &'a mut Log,
    pub shard: &'a mut Resources,
}

impl Context<'_> {
    /// Tells one step of the call.
    pub fn milestone(
        &mut self,
        leg: Option<LegName>,
        kind: MilestoneKind,
        sip_code: Option<u16>,
        trunk: Option<TrunkId>,
    ) {
        self.explained(leg, kind, sip_code, trunk, None);
    }

    /// Tells one step of the call with a line for people.
    pub fn explained(
        &mut self,
        leg: Option<LegName>,
        kind: MilestoneKind,
        sip_code: Option<u16>,
        trunk: Option<TrunkId>,
        detail: Option<&str>,
    ) {
        self.tell(leg, kind, sip_code, trunk, detail, None);
    }

    /// Tells a step after which the parties stand so.
    pub fn rearranged(
        &mut self,
        leg: Option<LegName>,
        kind: MilestoneKind,
        sip_code: Option<u16>,
        detail: Option<&str>,
        conversation: Option<Conversation>,
    ) {
        self.tell(leg, kind, sip_code, None, detail, conversation);
    }

    fn tell(
        &mut self,
        leg: Option<LegName>,
        kind: MilestoneKind,
        sip_code: Option<u16>,
        trunk: Option<TrunkId>,
        detail: Option<&str>,
        conversation: Option<Conversation>,
    ) {
        if self.log.is_closed {
            return;
        }
        self.log.sequence += 1;
        let party = leg.and_then(|leg| self.log.party(leg));
        let milestone = Milestone {
            call_id: self.log.call_id.clone(),
            sequence: self.log.sequence,
            at: self.now,
            leg,
            party,
            kind,
            sip_code,
            trunk,
            detail: detail.map(str::to_owned),
            conversation: conversation.map(Box::new),
        };
        self.shard.output.push_back(Output::Event(Event::Milestone(milestone)));
    }

    /// Closes a leg's media.
    pub fn close_media(&mut self, leg: LegId) {
        self.shard.relay.close_leg(self.now, leg);
        self.shard.tell_rtcp();
        self.shard.media_legs.remove(&Resources::leg_key(leg));
    }

    /// Says in the milestone that was just told how the parties stand after it.
    pub fn conversation_after(&mut self, conversation: Conversation) {
        if let Some(Output::Event(Event::Milestone(milestone))) = self.shard.output.back_mut() {
            milestone.conversation = Some(Box::new(conversation));
        }
    }
}
