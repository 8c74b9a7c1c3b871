//! A back-to-back call: the agent first, then the customer, bridge, and one end (rows S14, S17,
//! S29–S30); third parties and supervisors in between. Decides who is dialled and what the end
//! means; who is with whom is `conversation`'s, each party's SIP its leg's, each packet the
//! relay's.

mod agent;
pub mod context;
mod control;
mod conversation;
mod ending;
mod hearing;
pub mod invitation;
pub mod ladder;
mod leg;
mod legs;
mod media;
mod moves;
mod others;
mod phase;
mod presence;
mod recording;
pub mod release;
pub mod shard;

use crate::command::PlaceCall;
use crate::message::{Request, Response};
use crate::outcome::{Cause, Failure, LegName};
use crate::transaction::TransactionId;
use call_words::MilestoneKind;
use context::Context;
use control::Answers;
use conversation::Conversation;
use hearing::Hearing;
use invitation::Invitation;
use leg::description::Agreement;
use leg::{Leg, LegEvent};
use legs::Legs;
use media_core::codec::Codec;
use media_core::relay::{NoPort, Tone};
use phase::Phase;
use recording::Tape;
use shard::{Owner, Resources};
use std::time::{Duration, Instant};

/// One call on its way from the first INVITE to its record: who is called when, and how it ends.
pub struct Call {
    phase: Phase,
    legs: Legs,
    conversation: Conversation,
    hearing: Hearing,
    tape: Tape,
    answers: Answers,
    /// `max_duration` after the request.
    limit_at: Instant,
    no_media: Duration,
}

impl Call {
    /// Opens the media of both legs and sends the agent's INVITE.
    pub fn place(cx: &mut Context<'_>, request: PlaceCall) -> Result<Call, NoPort> {
        let legs = Legs::open(cx, request.agent, request.customer, request.agent_confirm)?;
        let mut call = Call {
            phase: Phase::Agent,
            legs,
            conversation: Conversation::new(request.accepts_refer),
            hearing: Hearing::new(request.hold_audio),
            tape: Tape::new(request.recording_layout, request.recording),
            answers: Answers::default(),
            limit_at: cx.now + request.max_duration,
            no_media: request.no_media,
        };
        // Whoever comes later is offered what is in use: a call whose agent has no G.722 has none.
        let preferred = if cx.shard.config.wideband { Codec::G722 } else { Codec::Pcmu };
        let event = call.legs.agent.leg.dial(cx, preferred);
        call.handle_leg(cx, LegName::Agent, event);
        Ok(call)
    }

    /// The leg of this name, if it is or was one of the call.
    pub fn leg_named(&self, name: LegName) -> Option<&Leg> {
        self.legs.named(name)
    }

    /// The end was told.
    pub fn is_told(&self) -> bool {
        matches!(self.phase, Phase::Told)
    }

    /// All INVITEs that it sent.
    pub fn invitations(&mut self) -> impl Iterator<Item = &mut Invitation> {
        self.legs.invitations()
    }

    /// Nothing of the call is left to do, but to acknowledge late answers.
    pub fn is_over(&self) -> bool {
        self.is_told() && self.legs.are_over()
    }

    /// Notes what the next process would have to say to the call's legs.
    pub fn note_remains(&mut self, shard: &mut Resources) {
        self.legs.note_remains(shard);
    }

    /// Takes the call's entries out of the shard's indexes.
    pub fn forget(&self, shard: &mut Resources) {
        self.legs.forget(shard);
    }

    /// Takes a response to one of its requests.
    pub fn handle_response(
        &mut self,
        cx: &mut Context<'_>,
        owner: Owner,
        id: TransactionId,
        response: &Response,
    ) {
        let event = self.legs.of(owner.leg).handle_response(cx, owner.invitation, id, response);
        self.handle_leg(cx, owner.leg, event);
    }

    /// A final response to an INVITE of ours that belongs to no transaction.
    pub fn ignore_response(&mut self, cx: &mut Context<'_>, owner: Owner, response: &Response) {
        if let Some(invitation) = self.legs.of(owner.leg).invitations.get_mut(owner.invitation) {
            invitation.ignore_response(cx, response);
        }
    }

    /// A client transaction timed out or its transport failed.
    pub fn handle_failed_transaction(
        &mut self,
        cx: &mut Context<'_>,
        owner: Owner,
        id: TransactionId,
        failure: Failure,
    ) {
        let event =
            self.legs.of(owner.leg).handle_failed_transaction(cx, owner.invitation, id, failure);
        self.handle_leg(cx, owner.leg, event);
    }

    /// A transaction of its is over: its id may be used again.
    pub fn handle_terminated(&mut self, owner: Owner, id: TransactionId) {
        self.legs.of(owner.leg).handle_terminated(owner.invitation, id);
    }

    /// A request of the peer with the Call-ID of one of the legs.
    pub fn handle_request(
        &mut self,
        cx: &mut Context<'_>,
        owner: Owner,
        id: TransactionId,
        request: &Request,
    ) {
        let event = self.legs.of(owner.leg).handle_request(cx, owner.invitation, id, request);
        self.handle_leg(cx, owner.leg, event);
    }

    /// Takes the ACK of an answer that was given to a re-INVITE.
    pub fn handle_ack(&mut self, cx: &mut Context<'_>, owner: Owner, ack: &Request) {
        let event = self.legs.of(owner.leg).handle_ack(cx, ack);
        self.handle_leg(cx, owner.leg, event);
    }

    fn handle_leg(&mut self, cx: &mut Context<'_>, name: LegName, event: LegEvent) {
        if self.phase.is_ended() {
            return;
        }
        match (name, event) {
            (LegName::Participant(slot) | LegName::Supervisor(slot), event) => {
                self.handle_other(cx, name, slot, event)
            }
            (LegName::Agent, _) if self.conversation.is_agent_gone() => {}
            (_, LegEvent::Nothing) | (LegName::Agent, LegEvent::Ringing | LegEvent::EarlyMedia) => {
            }
            (LegName::Customer, LegEvent::Ringing) => self.ring_in_lulls(cx),
            (_, LegEvent::HoldChanged) if self.phase.is_bridged() => self.arrange(cx),
            (_, LegEvent::HoldChanged) => {}
            (LegName::Agent, LegEvent::Answered) => {
                if self.legs.agent.take_answer(cx) {
                    self.call_customer(cx);
                }
            }
            // S17: what the customer's network says is heard by the agent; the ringback stops when
            // it begins.
            (LegName::Customer, LegEvent::EarlyMedia) => {
                self.hearing.pair(cx, self.legs.agent.leg.media, self.legs.customer.media);
                self.ring_in_lulls(cx);
            }
            (LegName::Customer, LegEvent::Answered) => self.bridge(cx),
            (LegName::Agent, LegEvent::Failed(_)) if self.legs.agent.leg.arriving.is_some() => {
                self.legs.agent.give_up_arriving(cx)
            }
            (LegName::Agent, LegEvent::Failed(outcome)) => {
                let outcome =
                    self.legs.agent.explain_failure(outcome, matches!(self.phase, Phase::Agent));
                self.finish(cx, outcome);
            }
            (_, LegEvent::Failed(outcome)) => self.finish(cx, outcome),
            (name, LegEvent::HungUp) => self.hang_up(cx, Cause::Bye(name)),
            (name, LegEvent::DialogLost) => self.hang_up(cx, Cause::DialogLost(name)),
            (name, LegEvent::Digit(code)) => {
                self.take_confirmation(cx, code);
                self.pass_digit(cx, name, code);
            }
            (_, LegEvent::Referred(referred)) => self.handle_referred(cx, &referred),
        }
    }

    /// The agent is there: the customer is offered what the agent has chosen first, so that
    /// relaying needs no transcoding. One who was called already is not called again.
    fn call_customer(&mut self, cx: &mut Context<'_>) {
        let Some(preferred) = self.legs.agent.leg.agreed.as_ref().map(Agreement::codec) else {
            return;
        };
        if !matches!(self.phase, Phase::Agent) {
            return;
        }
        cx.shard.relay.play(cx.now, self.legs.agent.leg.media, Tone::Ringback);
        if self.legs.customer.has_no_route() {
            return;
        }
        self.phase = Phase::Customer;
        let event = self.legs.customer.dial(cx, preferred);
        self.handle_leg(cx, LegName::Customer, event);
    }

    /// What the agent hears when the customer's early media fall silent (RFC 3960 §3.2): the
    /// ringing that was told, else nothing, but in packets, for who gets none takes the call for
    /// dead.
    fn ring_in_lulls(&mut self, cx: &mut Context<'_>) {
        let hears_early = self.legs.customer.agreed.is_some();
        let tone = if hears_early && !self.legs.customer.is_alerted() {
            Tone::Silence
        } else {
            Tone::Ringback
        };
        cx.shard.relay.play_in_lulls(cx.now, self.legs.agent.leg.media, tone);
    }

    fn bridge(&mut self, cx: &mut Context<'_>) {
        let (agent, customer) = (self.legs.agent.leg.media, self.legs.customer.media);
        self.phase = Phase::Bridged { since: cx.now };
        cx.shard.relay.stop_playing(agent);
        self.arrange(cx);
        cx.shard.relay.watch_media(cx.now, agent, self.no_media);
        cx.shard.relay.watch_media(cx.now, customer, self.no_media);
        self.tell(cx, None, MilestoneKind::Bridged);
        self.start_recording(cx);
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        let legs = self.legs.poll_timeout();
        let own = match &self.phase {
            Phase::Agent | Phase::Customer | Phase::Bridged { .. } => Some(self.limit_at),
            Phase::Closing(end) => Some(end.tell_by),
            Phase::Told => None,
        };
        let running = [self.legs.agent.poll_timeout(), self.conversation.poll_timeout()];
        let running = running.into_iter().flatten().filter(|_| !self.phase.is_ended());
        legs.into_iter().chain(own).chain(running).min()
    }

    pub fn handle_timeout(&mut self, cx: &mut Context<'_>) {
        let names: Vec<LegName> = self.legs.iter().map(|leg| leg.name).collect();
        for name in names {
            let event = self.legs.of(name).handle_timeout(cx);
            self.handle_leg(cx, name, event);
        }
        if !self.phase.is_ended() {
            let event = self.legs.agent.handle_timeout(cx);
            self.handle_agent(cx, event);
        }
        if !self.phase.is_ended() {
            let told = self.conversation.referrals.handle_timeout(cx.now);
            self.carry_out(cx, told);
            self.tell_speaking(cx);
        }
        match &self.phase {
            Phase::Closing(end) if end.tell_by <= cx.now => self.tell_end(cx),
            phase if !phase.is_ended() && self.limit_at <= cx.now => {
                cx.milestone(None, MilestoneKind::MaxDuration, None, None);
                self.hang_up(cx, Cause::MaxDuration);
            }
            _ => {}
        }
    }
}
