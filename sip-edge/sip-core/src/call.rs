//! A back-to-back call: the agent first, then the customer, bridge, and one end (rows S14, S17,
//! S29–S30); third parties and supervisors in between. Decides who is dialled and what the end
//! means; who hears whom is `conversation`'s, each party's SIP its leg's, each packet the relay's.

mod agent;
pub mod context;
mod control;
mod conversation;
mod ending;
pub mod invitation;
mod leg;
mod recording;
pub mod shard;

use crate::command::{AgentTarget, PlaceCall};
use crate::event::{LegMedia, MilestoneKind, SourceKind};
use crate::message::{Request, Response};
use crate::outcome::{Bridged, Cause, Failure, LegName};
use crate::transaction::TransactionId;
use agent::softphone::Softphone;
use context::Context;
use control::Answers;
use conversation::guest::Guest;
use conversation::referral::Referral;
use conversation::rooms::{Ears, Voice};
use conversation::speaking::Speaking;
use ending::End;
use leg::callee::Callee;
use leg::description::Agreement;
use leg::{Leg, LegEvent};
use media_core::codec::Codec;
use media_core::relay::{self, LegId, NoPort, Tone};
use recording::Tape;
use shard::{Owner, Resources};
use std::time::{Duration, Instant};

/// How far the call has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The agent is called, or its softphone's audio is waited for.
    Agent,
    /// The agent's phone has answered; until then a person is to press a key (A9).
    Confirmation {
        until: Instant,
    },
    /// The agent is there, the customer is called.
    Customer,
    Bridged,
    /// Over, but the recording's file is not final yet.
    Closing,
    /// Over and told; only stray messages are still answered.
    Told,
}

/// Where the agent is, once the call is bridged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AgentPlace {
    Conversation,
    Consultation,
    /// Its work is done; the others go on.
    Gone,
}

/// One call on its way from the first INVITE to its record: who is called when, and how it ends.
pub struct Call {
    agent: Leg,
    customer: Leg,
    /// Third parties and supervisors by slot, those who left included.
    guests: Vec<Guest>,
    softphone: Option<Softphone>,
    phase: Phase,
    agent_place: AgentPlace,
    /// The customer is on hold because that was asked for.
    is_held: bool,
    agent_voice: Voice,
    customer_voice: Voice,
    /// What the relay was last told.
    heard: Vec<Ears>,
    hold_audio: Option<String>,
    answers: Answers,
    accepts_refer: bool,
    referral: Option<Referral>,
    referral_count: u32,
    agent_confirm: bool,
    speaking: Speaking,
    /// `max_duration` after the request.
    limit_at: Instant,
    no_media: Duration,
    tape: Tape,
    answered_at: Option<Instant>,
    /// Of an agent that left before the end.
    agent_report: Option<LegMedia>,
    end: Option<End>,
}

impl Call {
    /// Opens the media of both legs and sends the agent's INVITE.
    pub fn place(cx: &mut Context<'_>, request: PlaceCall) -> Result<Call, NoPort> {
        let softphone = match &request.agent {
            AgentTarget::Phone(_) => None,
            AgentTarget::Softphone { agent, .. } => Some(Softphone::new(agent.clone())),
        };
        let agent_media = match softphone {
            None => cx.shard.relay.open_leg(cx.now)?,
            Some(_) => cx.shard.relay.open_softphone(cx.now)?,
        };
        let customer_media = match cx.shard.relay.open_leg(cx.now) {
            Ok(leg) => leg,
            Err(error) => {
                cx.shard.relay.close_leg(cx.now, agent_media);
                return Err(error);
            }
        };
        for (leg, name) in [(agent_media, LegName::Agent), (customer_media, LegName::Customer)] {
            cx.shard.media_legs.insert(Resources::leg_key(leg), (cx.call, name));
        }
        if let Some(softphone) = &softphone {
            cx.shard.agents.insert(softphone.agent.clone(), (cx.call, LegName::Agent));
        }
        let mut call = Call {
            agent: Leg::new(LegName::Agent, agent_media, request.agent.into()),
            customer: Leg::new(LegName::Customer, customer_media, Callee::Trunks(request.customer)),
            guests: Vec::new(),
            softphone,
            phase: Phase::Agent,
            agent_place: AgentPlace::Conversation,
            is_held: false,
            agent_voice: Voice::On,
            customer_voice: Voice::On,
            heard: Vec::new(),
            hold_audio: request.hold_audio,
            answers: Answers::default(),
            accepts_refer: request.accepts_refer,
            referral: None,
            referral_count: 0,
            agent_confirm: request.agent_confirm,
            speaking: Speaking::default(),
            limit_at: cx.now + request.max_duration,
            no_media: request.no_media,
            tape: Tape::new(request.recording_layout, request.recording),
            answered_at: None,
            agent_report: None,
            end: None,
        };
        let event = call.agent.dial(cx, Codec::Pcmu);
        call.handle_leg(cx, LegName::Agent, event);
        Ok(call)
    }

    /// Slots are given for guests that exist, and guests stay in the list.
    fn leg(&mut self, name: LegName) -> &mut Leg {
        match name {
            LegName::Agent => &mut self.agent,
            LegName::Customer => &mut self.customer,
            LegName::Participant(slot) | LegName::Supervisor(slot) => {
                &mut self.guests[slot.index()].leg
            }
        }
    }

    fn media(&self, name: LegName) -> LegId {
        match name {
            LegName::Agent => self.agent.media,
            LegName::Customer => self.customer.media,
            LegName::Participant(slot) | LegName::Supervisor(slot) => {
                self.guests[slot.index()].leg.media
            }
        }
    }

    /// The leg of this name, if it is or was one of the call.
    pub fn leg_named(&self, name: LegName) -> Option<&Leg> {
        self.legs().find(|leg| leg.name == name)
    }

    fn legs(&self) -> impl Iterator<Item = &Leg> {
        [&self.agent, &self.customer].into_iter().chain(self.guests.iter().map(|guest| &guest.leg))
    }

    fn bridged(&self) -> Bridged {
        if self.answered_at.is_some() { Bridged::Yes } else { Bridged::No }
    }

    fn is_ended(&self) -> bool {
        self.end.is_some()
    }

    /// The end was told.
    pub fn is_told(&self) -> bool {
        self.phase == Phase::Told
    }

    /// Nothing of the call is left to do.
    pub fn is_over(&self) -> bool {
        self.is_told() && self.legs().all(Leg::is_over)
    }

    /// Notes what the next process would have to say to the call's legs.
    pub fn note_remains(&mut self, shard: &mut Resources) {
        let guests = self.guests.iter_mut().map(|guest| &mut guest.leg);
        [&mut self.agent, &mut self.customer]
            .into_iter()
            .chain(guests)
            .for_each(|leg| leg.note_remains(shard));
    }

    /// Takes the call's entries out of the shard's indexes.
    pub fn forget(&self, shard: &mut Resources) {
        self.legs().for_each(|leg| leg.forget(shard));
    }

    /// Takes a response to one of its requests.
    pub fn handle_response(
        &mut self,
        cx: &mut Context<'_>,
        owner: Owner,
        id: TransactionId,
        response: &Response,
    ) {
        let event = self.leg(owner.leg).handle_response(cx, owner.invitation, id, response);
        self.handle_leg(cx, owner.leg, event);
    }

    /// A final response to an INVITE of ours that belongs to no transaction.
    pub fn ignore_response(&mut self, cx: &mut Context<'_>, owner: Owner, response: &Response) {
        if let Some(invitation) = self.leg(owner.leg).invitations.get_mut(owner.invitation) {
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
            self.leg(owner.leg).handle_failed_transaction(cx, owner.invitation, id, failure);
        self.handle_leg(cx, owner.leg, event);
    }

    /// A transaction of its is over: its id may be used again.
    pub fn handle_terminated(&mut self, owner: Owner, id: TransactionId) {
        self.leg(owner.leg).handle_terminated(owner.invitation, id);
    }

    /// A request of the peer with the Call-ID of one of the legs.
    pub fn handle_request(
        &mut self,
        cx: &mut Context<'_>,
        owner: Owner,
        id: TransactionId,
        request: &Request,
    ) {
        let event = self.leg(owner.leg).handle_request(cx, owner.invitation, id, request);
        self.handle_leg(cx, owner.leg, event);
    }

    /// Takes the ACK of an answer that was given to a re-INVITE.
    pub fn handle_ack(&mut self, cx: &mut Context<'_>, owner: Owner, ack: &Request) {
        let event = self.leg(owner.leg).handle_ack(cx, ack);
        self.handle_leg(cx, owner.leg, event);
    }

    fn handle_leg(&mut self, cx: &mut Context<'_>, name: LegName, event: LegEvent) {
        if self.is_ended() {
            return;
        }
        match (name, event) {
            (LegName::Participant(slot) | LegName::Supervisor(slot), event) => {
                self.handle_guest(cx, slot.index(), event)
            }
            (LegName::Agent, _) if self.is_agent_gone() => {}
            (_, LegEvent::Nothing) | (LegName::Agent, LegEvent::Ringing | LegEvent::EarlyMedia) => {
            }
            (LegName::Customer, LegEvent::Ringing) => self.ring_in_lulls(cx),
            (_, LegEvent::HoldChanged) if self.phase == Phase::Bridged => self.arrange(cx),
            (_, LegEvent::HoldChanged) => {}
            (LegName::Agent, LegEvent::Answered) if self.softphone.is_some() => {
                self.take_softphone_answer(cx)
            }
            (LegName::Agent, LegEvent::Answered) if self.agent_confirm => {
                self.ask_for_confirmation(cx)
            }
            (LegName::Agent, LegEvent::Answered) => self.call_customer(cx),
            // S17: what the customer's network says is heard by the agent; the ringback stops when
            // it begins.
            (LegName::Customer, LegEvent::EarlyMedia) => {
                self.pair(cx);
                self.ring_in_lulls(cx);
            }
            (LegName::Customer, LegEvent::Answered) => self.bridge(cx),
            (LegName::Agent, LegEvent::Failed(_)) if self.agent.arriving.is_some() => {
                self.give_up_arriving(cx)
            }
            (LegName::Agent, LegEvent::Failed(outcome)) => self.fail_softphone(cx, outcome),
            (_, LegEvent::Failed(outcome)) => self.finish(cx, outcome),
            (name, LegEvent::HungUp) => self.hang_up(cx, Cause::Bye(name)),
            (name, LegEvent::DialogLost) => self.hang_up(cx, Cause::DialogLost(name)),
            (name, LegEvent::Digit(code)) => {
                self.take_confirmation(cx, code);
                self.pass_digit(cx, name, code);
            }
            (_, LegEvent::Referred(referred)) => self.handle_referred(cx, *referred),
        }
    }

    /// The agent has answered: the customer is offered what the agent has chosen first, so that
    /// relaying needs no transcoding.
    fn call_customer(&mut self, cx: &mut Context<'_>) {
        let Some(preferred) = self.agent.agreed.as_ref().map(Agreement::codec) else { return };
        cx.shard.relay.play(cx.now, self.agent.media, Tone::Ringback);
        if self.customer.has_no_route() {
            return;
        }
        self.phase = Phase::Customer;
        let event = self.customer.dial(cx, preferred);
        self.handle_leg(cx, LegName::Customer, event);
    }

    /// What the agent hears when the customer's early media fall silent (RFC 3960 §3.2): the
    /// ringing that was told, else nothing, but in packets, for who gets none takes the call for
    /// dead.
    fn ring_in_lulls(&mut self, cx: &mut Context<'_>) {
        let hears_early = self.customer.agreed.is_some();
        let tone =
            if hears_early && !self.customer.is_alerted() { Tone::Silence } else { Tone::Ringback };
        cx.shard.relay.play_in_lulls(cx.now, self.agent.media, tone);
    }

    fn bridge(&mut self, cx: &mut Context<'_>) {
        let (agent, customer) = (self.agent.media, self.customer.media);
        self.phase = Phase::Bridged;
        self.answered_at = Some(cx.now);
        cx.shard.relay.stop_playing(agent);
        self.arrange(cx);
        cx.shard.relay.watch_media(cx.now, agent, self.no_media);
        cx.shard.relay.watch_media(cx.now, customer, self.no_media);
        self.tell(cx, None, MilestoneKind::Bridged);
        self.start_recording(cx);
    }

    /// Something of the leg's media.
    pub fn handle_media(&mut self, cx: &mut Context<'_>, name: LegName, event: relay::Event) {
        if self.is_ended() {
            return;
        }
        match event {
            relay::Event::NoMedia(leg) if self.agent.arriving == Some(leg) => {}
            relay::Event::Speaking(_, speaks) => self.handle_speaking(cx, name, speaks),
            relay::Event::FirstMedia(leg)
            | relay::Event::IceConnected(leg)
            | relay::Event::DtlsConnected(leg)
            | relay::Event::DtlsFailed(leg)
            | relay::Event::ConsentLost(leg)
                if name == LegName::Agent && self.softphone.is_some() =>
            {
                self.handle_softphone_media(cx, leg, event);
            }
            relay::Event::FirstMedia(_) => {
                cx.milestone(Some(name), MilestoneKind::FirstMedia, None, None)
            }
            relay::Event::Latched(_) => {
                cx.milestone(Some(name), MilestoneKind::MediaLatched, None, None)
            }
            relay::Event::SourceRefused(_, source) => {
                if let Some(trunk) = self.leg_named(name).map(Leg::current_trunk) {
                    cx.shard.refuse_source(trunk, source.ip(), SourceKind::Media);
                }
            }
            relay::Event::NoMedia(_) => {
                cx.milestone(Some(name), MilestoneKind::NoMedia, None, None);
                match name {
                    LegName::Agent | LegName::Customer => self.hang_up(cx, Cause::NoMedia(name)),
                    LegName::Participant(slot) | LegName::Supervisor(slot) => {
                        self.dismiss(
                            cx,
                            slot.index(),
                            "no_media",
                            None,
                            Some(Cause::NoMedia(name)),
                        );
                    }
                }
            }
            relay::Event::TelephoneEvent(_, code) => {
                self.take_confirmation(cx, code);
                self.pass_event(cx, name, code);
            }
            // This leg is no softphone, or a supervisor's.
            relay::Event::IceConnected(_)
            | relay::Event::DtlsConnected(_)
            | relay::Event::DtlsFailed(_)
            | relay::Event::ConsentLost(_) => self.handle_supervisor_media(cx, name, event),
        }
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        let legs = self.legs().filter_map(Leg::poll_timeout);
        let own = match (&self.end, self.phase) {
            (None, Phase::Confirmation { until }) => Some(self.limit_at.min(until)),
            (None, _) => Some(self.limit_at),
            (Some(end), Phase::Closing) => Some(end.tell_by),
            (Some(_), _) => None,
        };
        let softphone = self.softphone.as_ref().and_then(Softphone::poll_timeout);
        let referral = self.referral.as_ref().and_then(Referral::poll_timeout);
        let running = [softphone, referral, self.speaking.poll_timeout()];
        let running = running.into_iter().flatten().filter(|_| !self.is_ended());
        legs.chain(own).chain(running).min()
    }

    pub fn handle_timeout(&mut self, cx: &mut Context<'_>) {
        let names: Vec<LegName> = self.legs().map(|leg| leg.name).collect();
        for name in names {
            let event = self.leg(name).handle_timeout(cx);
            self.handle_leg(cx, name, event);
        }
        if !self.is_ended() {
            self.handle_softphone_timeout(cx);
        }
        if !self.is_ended() {
            self.handle_referral_timeout(cx);
            self.tell_speaking(cx);
            self.handle_confirmation_timeout(cx);
        }
        match &self.end {
            None if self.limit_at <= cx.now => {
                cx.milestone(None, MilestoneKind::MaxDuration, None, None);
                self.hang_up(cx, Cause::MaxDuration);
            }
            Some(end) if self.phase == Phase::Closing && end.tell_by <= cx.now => self.tell_end(cx),
            _ => {}
        }
    }
}
