//! A back-to-back call: the agent first, then the customer, bridge, and one end (rows S14, S17, S29–S30). Decides who is dialled, who
//! hears whom and what the end means; each party's SIP is its leg's, each packet the relay's.

mod answering;
mod callee;
pub mod context;
mod description;
mod invitation;
mod leg;
pub mod request;
mod softphone;

use crate::edge::{AgentTarget, Counter, Ended, Event, LegMedia, MilestoneKind, Output, PlaceCall, RecordingResult};
use crate::message::{Request, Response};
use crate::outcome::{self, Bridged, Cause, Failure, LegName, Outcome};
use crate::transaction::TransactionId;
use callee::Callee;
use context::{Context, Owner, Resources};
use description::{Agreement, Offered};
use leg::{Leg, LegEvent};
use media_core::codec::Codec;
use media_core::relay::{self, LegId, NoPort, RecordingId, Tone};
use softphone::Softphone;
use std::time::{Duration, Instant};

/// How long the end waits for the recording's file (decision A2).
const RECORDING_WAIT: Duration = Duration::from_secs(2);

/// How far the call has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The agent is called, or its softphone's audio is waited for.
    Agent,
    /// The agent is there, the customer is called.
    Customer,
    Bridged,
    /// Over, but the recording's file is not final yet.
    Closing,
    /// Over and told; only stray messages are still answered.
    Told,
}

/// The end, once it is decided.
struct End {
    outcome: Outcome,
    at: Instant,
    /// Until when the recording is waited for.
    tell_by: Instant,
    agent_media: Option<LegMedia>,
    customer_media: Option<LegMedia>,
}

pub struct Call {
    agent: Leg,
    customer: Leg,
    softphone: Option<Softphone>,
    phase: Phase,
    /// `max_duration` after the request.
    limit_at: Instant,
    no_media: Duration,
    recording_name: Option<String>,
    recording: Option<RecordingId>,
    recorded: Option<RecordingResult>,
    answered_at: Option<Instant>,
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
            cx.shard.agents.insert(softphone.agent.clone(), cx.call);
        }
        let mut call = Call {
            agent: Leg::new(LegName::Agent, agent_media, request.agent.into()),
            customer: Leg::new(LegName::Customer, customer_media, Callee::Trunks(request.customer)),
            softphone,
            phase: Phase::Agent,
            limit_at: cx.now + request.max_duration,
            no_media: request.no_media,
            recording_name: request.recording,
            recording: None,
            recorded: None,
            answered_at: None,
            end: None,
        };
        let offered = Offered { codecs: vec![Codec::Pcmu, Codec::Pcma], telephone_event: true };
        let event = call.agent.dial(cx, offered);
        call.handle_leg(cx, LegName::Agent, event);
        Ok(call)
    }

    fn leg(&mut self, name: LegName) -> &mut Leg {
        match name {
            LegName::Agent => &mut self.agent,
            LegName::Customer => &mut self.customer,
        }
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
        self.is_told() && self.agent.is_over() && self.customer.is_over()
    }

    /// Takes the call's entries out of the shard's indexes.
    pub fn forget(&self, shard: &mut Resources) {
        self.agent.forget(shard);
        self.customer.forget(shard);
    }

    pub fn handle_response(&mut self, cx: &mut Context<'_>, owner: Owner, id: TransactionId, response: &Response) {
        let event = self.leg(owner.leg).handle_response(cx, owner.invitation, id, response);
        self.handle_leg(cx, owner.leg, event);
    }

    /// A client transaction timed out or its transport failed.
    pub fn handle_failed_transaction(&mut self, cx: &mut Context<'_>, owner: Owner, id: TransactionId, failure: Failure) {
        let event = self.leg(owner.leg).handle_failed_transaction(cx, owner.invitation, id, failure);
        self.handle_leg(cx, owner.leg, event);
    }

    pub fn handle_terminated(&mut self, owner: Owner, id: TransactionId) {
        self.leg(owner.leg).handle_terminated(owner.invitation, id);
    }

    /// A request of the peer with the Call-ID of one of the legs.
    pub fn handle_request(&mut self, cx: &mut Context<'_>, owner: Owner, id: TransactionId, request: &Request) {
        let event = self.leg(owner.leg).handle_request(cx, owner.invitation, id, request);
        self.handle_leg(cx, owner.leg, event);
    }

    pub fn handle_ack(&mut self, cx: &mut Context<'_>, owner: Owner, ack: &Request) {
        self.leg(owner.leg).handle_ack(cx, ack);
    }

    fn handle_leg(&mut self, cx: &mut Context<'_>, name: LegName, event: LegEvent) {
        if self.is_ended() {
            return;
        }
        match (name, event) {
            (_, LegEvent::Nothing) | (LegName::Agent, LegEvent::EarlyMedia) => {}
            (LegName::Agent, LegEvent::Answered) => self.take_agent_answer(cx),
            // S17: what the customer's network says is heard by the agent; the ringback stops when it begins.
            (LegName::Customer, LegEvent::EarlyMedia) => cx.shard.relay.bridge(cx.now, self.agent.media, self.customer.media),
            (LegName::Customer, LegEvent::Answered) => self.bridge(cx),
            (LegName::Agent, LegEvent::Failed(_)) if self.agent.arriving.is_some() => self.give_up_arriving(cx),
            (_, LegEvent::Failed(outcome)) => self.finish(cx, outcome),
            (name, LegEvent::HungUp) => self.hang_up(cx, Cause::Bye(name)),
            (name, LegEvent::DialogLost) => self.hang_up(cx, Cause::DialogLost(name)),
        }
    }

    /// The agent has answered: the customer is offered what the agent has chosen, so that relaying needs no transcoding.
    fn call_customer(&mut self, cx: &mut Context<'_>) {
        let Some(offered) = self.agent.agreed.as_ref().map(Agreement::offered) else { return };
        self.phase = Phase::Customer;
        cx.shard.relay.play(cx.now, self.agent.media, Tone::Ringback);
        let event = self.customer.dial(cx, offered);
        self.handle_leg(cx, LegName::Customer, event);
    }

    fn bridge(&mut self, cx: &mut Context<'_>) {
        let (agent, customer) = (self.agent.media, self.customer.media);
        self.phase = Phase::Bridged;
        self.answered_at = Some(cx.now);
        cx.shard.relay.stop_playing(agent);
        cx.shard.relay.bridge(cx.now, agent, customer);
        cx.shard.relay.watch_media(cx.now, agent, self.no_media);
        cx.shard.relay.watch_media(cx.now, customer, self.no_media);
        cx.milestone(None, MilestoneKind::Bridged, None, None);
        self.hold_customer(cx);
        let Some(file_name) = self.recording_name.clone() else { return };
        let Some(recording) = cx.shard.relay.start_recording(cx.now, agent, customer) else { return };
        cx.shard.recordings.insert(Resources::recording_key(recording), cx.call);
        self.recording = Some(recording);
        cx.shard.output.push_back(Output::OpenRecording { recording, file_name });
        cx.milestone(None, MilestoneKind::RecordingStarted, None, None);
    }

    /// Something of the leg's media.
    pub fn handle_media(&mut self, cx: &mut Context<'_>, name: LegName, event: relay::Event) {
        if self.is_ended() {
            return;
        }
        match event {
            relay::Event::NoMedia(leg) if self.agent.arriving == Some(leg) => {}
            relay::Event::FirstMedia(leg)
            | relay::Event::IceConnected(leg)
            | relay::Event::DtlsConnected(leg)
            | relay::Event::DtlsFailed(leg)
            | relay::Event::ConsentLost(leg)
                if name == LegName::Agent && self.softphone.is_some() =>
            {
                self.handle_softphone_media(cx, leg, event);
            }
            relay::Event::FirstMedia(_) => cx.milestone(Some(name), MilestoneKind::FirstMedia, None, None),
            relay::Event::Latched(_) => cx.milestone(Some(name), MilestoneKind::MediaLatched, None, None),
            relay::Event::NoMedia(_) => {
                cx.milestone(Some(name), MilestoneKind::NoMedia, None, None);
                self.hang_up(cx, Cause::NoMedia(name));
            }
            // The digits themselves are nobody's business here.
            relay::Event::TelephoneEvent(..) => {}
            // This leg is no softphone.
            relay::Event::IceConnected(_)
            | relay::Event::DtlsConnected(_)
            | relay::Event::DtlsFailed(_)
            | relay::Event::ConsentLost(_) => {}
        }
    }

    /// Ends the call in any state; nothing happens when it is over.
    pub fn hang_up(&mut self, cx: &mut Context<'_>, cause: Cause) {
        if !self.is_ended() {
            self.finish(cx, outcome::of_cause(cause, self.bridged()));
        }
    }

    /// Leaves both legs, closes their media and waits for the recording, if there is one.
    fn finish(&mut self, cx: &mut Context<'_>, outcome: Outcome) {
        self.customer.abandon(cx);
        self.leave_softphone(cx);
        self.agent.abandon(cx);
        if let Some(recording) = self.recording {
            cx.shard.relay.stop_recording(cx.now, recording);
        }
        let (agent_media, customer_media) = (self.agent.report(cx.shard), self.customer.report(cx.shard));
        self.close_media(cx, self.agent.media);
        self.close_media(cx, self.customer.media);
        self.phase = Phase::Closing;
        self.end = Some(End { outcome, at: cx.now, tell_by: cx.now + RECORDING_WAIT, agent_media, customer_media });
        if self.recording.is_none() {
            self.tell_end(cx);
        }
    }

    fn close_media(&self, cx: &mut Context<'_>, leg: LegId) {
        cx.shard.relay.close_leg(cx.now, leg);
        cx.shard.media_legs.remove(&Resources::leg_key(leg));
    }

    /// The recording's file is final.
    pub fn handle_recording(&mut self, cx: &mut Context<'_>, recording: RecordingId, file_len: u64, duration: Duration) {
        if self.recording != Some(recording) || self.is_told() {
            return;
        }
        self.recording = None;
        cx.shard.recordings.remove(&Resources::recording_key(recording));
        let file_name = self.recording_name.clone().unwrap_or_default();
        self.recorded = Some(RecordingResult { file_name, duration, file_len });
        cx.milestone(None, MilestoneKind::RecordingFinished, None, None);
        if self.is_ended() {
            self.tell_end(cx);
        }
    }

    fn tell_end(&mut self, cx: &mut Context<'_>) {
        let (Phase::Closing, Some(end)) = (self.phase, &self.end) else { return };
        self.phase = Phase::Told;
        cx.log.is_closed = true;
        if let Some(recording) = self.recording.take() {
            cx.shard.recordings.remove(&Resources::recording_key(recording));
        }
        let mut attempts = std::mem::take(&mut self.agent.attempts);
        attempts.append(&mut self.customer.attempts);
        let duration_s = self.answered_at.map_or(0, |answered| end.at.duration_since(answered).as_secs());
        let ended = Ended {
            call_id: cx.log.call_id.clone(),
            status: end.outcome.status,
            reason: end.outcome.reason,
            failed_leg: end.outcome.failed_leg,
            sip_code: end.outcome.sip_code,
            hangup_by: end.outcome.hangup_by,
            answered_at: self.answered_at,
            ended_at: end.at,
            duration_s,
            attempts,
            recording: self.recorded.take(),
            agent_media: end.agent_media,
            customer_media: end.customer_media,
        };
        cx.shard.counters.count(Counter::CallEnded);
        cx.shard.output.push_back(Output::Event(Event::Ended(Box::new(ended))));
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        let legs = [self.agent.poll_timeout(), self.customer.poll_timeout()];
        let own = match (&self.end, self.phase) {
            (None, _) => Some(self.limit_at),
            (Some(end), Phase::Closing) => Some(end.tell_by),
            (Some(_), _) => None,
        };
        let softphone = self.softphone.as_ref().filter(|_| !self.is_ended()).and_then(Softphone::poll_timeout);
        legs.into_iter().flatten().chain(own).chain(softphone).min()
    }

    pub fn handle_timeout(&mut self, cx: &mut Context<'_>) {
        for name in [LegName::Agent, LegName::Customer] {
            let event = self.leg(name).handle_timeout(cx);
            self.handle_leg(cx, name, event);
        }
        if !self.is_ended() {
            self.handle_softphone_timeout(cx);
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
