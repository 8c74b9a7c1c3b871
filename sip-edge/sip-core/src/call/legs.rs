//! The legs of one call by their names: the agent's, with what is the agent's alone, the
//! customer's, and those of third parties and supervisors. Opens their media, and lets go of what
//! is indexed of them; what they say to each other is the call's.

use super::agent::Agent;
use super::context::Context;
use super::invitation::Invitation;
use super::leg::Leg;
use super::leg::callee::Callee;
use super::release::Release;
use super::shard::Resources;
use crate::command::{AgentTarget, Destination};
use crate::outcome::LegName;
use media_core::relay::{LegId, NoPort};
use std::time::Instant;

/// The legs of one call, those that left included.
pub struct Legs {
    pub agent: Agent,
    pub customer: Leg,
    /// Of third parties and supervisors, by slot.
    others: Vec<Leg>,
}

impl Legs {
    /// Opens the media of the two that a call begins with; whether the agent's phone `is_confirmed`
    /// by a key.
    pub fn open(
        cx: &mut Context<'_>,
        agent: AgentTarget,
        customer: Destination,
        is_confirmed: bool,
    ) -> Result<Legs, NoPort> {
        let agent = Leg::open(cx, LegName::Agent, agent.into())?;
        let mut agent = Agent::new(agent, is_confirmed);
        match Leg::open(cx, LegName::Customer, Callee::Trunks(customer)) {
            Ok(customer) => Ok(Legs { agent, customer, others: Vec::new() }),
            Err(error) => {
                agent.leave(cx);
                Err(error)
            }
        }
    }

    /// Opens the media of who comes next, in the slot that its name holds.
    pub fn add(
        &mut self,
        cx: &mut Context<'_>,
        name: LegName,
        callee: Callee,
    ) -> Result<(), NoPort> {
        self.others.push(Leg::open(cx, name, callee)?);
        Ok(())
    }

    /// The leg of this name, if it is or was one of the call.
    pub fn named(&self, name: LegName) -> Option<&Leg> {
        self.iter().find(|leg| leg.name == name)
    }

    /// Slots are given for guests that exist, and their legs stay in the list.
    pub fn of(&mut self, name: LegName) -> &mut Leg {
        match name {
            LegName::Agent => &mut self.agent.leg,
            LegName::Customer => &mut self.customer,
            LegName::Participant(slot) | LegName::Supervisor(slot) => {
                &mut self.others[slot.index()]
            }
        }
    }

    /// All, the agent's first.
    pub fn iter(&self) -> impl Iterator<Item = &Leg> {
        [&self.agent.leg, &self.customer].into_iter().chain(&self.others)
    }

    /// All, the agent's first.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Leg> {
        [&mut self.agent.leg, &mut self.customer].into_iter().chain(&mut self.others)
    }

    /// The relay's leg of each name that is or was one of the call.
    pub fn media(&self) -> impl Fn(LegName) -> LegId + use<> {
        let legs: Vec<(LegName, LegId)> = self.iter().map(|leg| (leg.name, leg.media)).collect();
        move |name| {
            let leg = legs.iter().find(|(each, _)| *each == name);
            leg.expect("whoever has a seat has a leg").1
        }
    }

    /// Ends a third party's or supervisor's leg and its media; its softphone is free.
    pub fn leave(&mut self, cx: &mut Context<'_>, name: LegName, release: Release) {
        let leg = self.of(name);
        leg.abandon(cx, release);
        if let Some(agent) = leg.softphone()
            && cx.shard.agents.get(agent) == Some(&(cx.call, name))
        {
            cx.shard.agents.remove(agent);
        }
        cx.close_media(leg.media);
    }

    /// No message of any leg is awaited any more, but for late answers.
    pub fn are_over(&self) -> bool {
        self.iter().all(Leg::is_over)
    }

    /// Notes what the next process would have to say to their peers.
    pub fn note_remains(&mut self, shard: &mut Resources) {
        self.iter_mut().for_each(|leg| leg.note_remains(shard));
    }

    /// All INVITEs of all legs.
    pub fn invitations(&mut self) -> impl Iterator<Item = &mut Invitation> {
        self.iter_mut().flat_map(|leg| &mut leg.invitations)
    }

    /// Takes their entries out of the shard's indexes.
    pub fn forget(&self, shard: &mut Resources) {
        self.iter().for_each(|leg| leg.forget(shard));
    }

    /// When the first of them is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.iter().filter_map(Leg::poll_timeout).min()
    }
}
