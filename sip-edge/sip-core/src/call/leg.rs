//! One party of a call: tries its routes in order until one answers or table A11 says to stop, and keeps the leg's media in step with
//! what SDP negotiates. Knows nothing of the other leg.

use super::answering::AwaitedAck;
use super::context::{Context, Owner, Resources};
use super::invitation::{Invitation, Progress};
use crate::edge::{Attempt, Destination, LegMedia, MediaProfile, MilestoneKind};
use crate::message::Response;
use crate::outcome::{self, Failover, Failure, LegName, Outcome, Rang};
use crate::transaction::TransactionId;
use media_core::codec::{Codec, PayloadType};
use media_core::relay::LegId;
use media_core::sdp::{self, Direction, Negotiated, OfferSpec, Origin};
use media_core::srtp::Suite;
use std::time::Instant;

/// Dynamic payload type under which telephone-event is offered.
const TELEPHONE_EVENT: PayloadType = PayloadType::new(101).expect("below 128");
/// Crypto suites that are offered, the preferred one first (RFC 4568, RFC 7714).
const SUITES: [Suite; 2] = [Suite::AeadAes128Gcm, Suite::AesCm128HmacSha1_80];

/// What a leg tells its call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LegEvent {
    Nothing,
    /// The peer's media may come before its answer.
    EarlyMedia,
    /// Answered and acknowledged, media agreed.
    Answered,
    /// No route is left to try, or none may be.
    Failed(Outcome),
    /// The party hung up.
    HungUp,
    /// The dialog is gone without a BYE.
    DialogLost,
}

/// What may be offered to a party.
#[derive(Debug, Clone)]
pub struct Offered {
    pub codecs: Vec<Codec>,
    pub telephone_event: bool,
}

pub struct Leg {
    pub name: LegName,
    pub media: LegId,
    pub(super) destination: Destination,
    route: usize,
    offered: Offered,
    pub(super) invitations: Vec<Invitation>,
    ring_deadline: Option<Instant>,
    /// A route was left because of its credentials: that is done once.
    left_for_credentials: bool,
    attempt_started: Option<Instant>,
    pub attempts: Vec<Attempt>,
    /// Our last offer and how it was printed, until it is answered and after.
    pub(super) spec: Option<OfferSpec>,
    pub(super) local_sdp: String,
    pub negotiated: Option<Negotiated>,
    pub(super) awaited_ack: Option<AwaitedAck>,
}

impl Leg {
    pub fn new(name: LegName, media: LegId, destination: Destination) -> Leg {
        Leg {
            name,
            media,
            destination,
            route: 0,
            offered: Offered { codecs: vec![Codec::Pcmu, Codec::Pcma], telephone_event: true },
            invitations: Vec::new(),
            ring_deadline: None,
            left_for_credentials: false,
            attempt_started: None,
            attempts: Vec::new(),
            spec: None,
            local_sdp: String::new(),
            negotiated: None,
            awaited_ack: None,
        }
    }

    /// Sends the first INVITE.
    pub fn dial(&mut self, cx: &mut Context<'_>, offered: Offered) -> LegEvent {
        self.offered = offered;
        self.try_route(cx)
    }

    fn try_route(&mut self, cx: &mut Context<'_>) -> LegEvent {
        let route = self.destination.routes[self.route].clone();
        let spec = self.offer(cx, route.media);
        self.local_sdp = sdp::offer(&spec);
        self.spec = Some(spec);
        self.attempt_started = Some(cx.now);
        let owner = Owner { call: cx.call, leg: self.name, invitation: self.invitations.len() };
        let Some(invitation) = Invitation::send(cx, owner, &route, &self.local_sdp) else {
            let outcome = outcome::of_cause(outcome::Cause::System, outcome::Bridged::No);
            return LegEvent::Failed(Outcome { failed_leg: Some(self.name), ..outcome });
        };
        cx.milestone(Some(self.name), MilestoneKind::InviteSent, None, Some(&route.trunk));
        self.invitations.push(invitation);
        self.ring_deadline = Some(cx.now + self.destination.ring);
        LegEvent::Nothing
    }

    fn offer(&self, cx: &mut Context<'_>, media: MediaProfile) -> OfferSpec {
        let srtp = match media {
            MediaProfile::Rtp => Vec::new(),
            MediaProfile::SdesSrtp => SUITES.iter().map(|suite| cx.shard.entropy.keys(*suite)).collect(),
        };
        OfferSpec {
            local: cx.shard.relay.local_media(self.media),
            // RFC 8866 §5.2: numeric; below 2^63 so that every peer can hold it.
            origin: Origin { id: cx.shard.entropy.number() >> 1, version: 1 },
            codecs: self.offered.codecs.clone(),
            telephone_event: self.offered.telephone_event.then_some(TELEPHONE_EVENT),
            direction: Direction::SendRecv,
            srtp,
        }
    }

    /// The INVITE whose outcome counts; earlier ones only wind down.
    fn is_current(&self, invitation: usize) -> bool {
        invitation + 1 == self.invitations.len()
    }

    pub fn handle_response(
        &mut self,
        cx: &mut Context<'_>,
        invitation: usize,
        transaction: TransactionId,
        response: &Response,
    ) -> LegEvent {
        let Some(one) = self.invitations.get_mut(invitation) else { return LegEvent::Nothing };
        let progress = one.handle_response(cx, transaction, response);
        self.handle_progress(cx, invitation, progress)
    }

    pub fn handle_failed_transaction(
        &mut self,
        cx: &mut Context<'_>,
        invitation: usize,
        transaction: TransactionId,
        failure: Failure,
    ) -> LegEvent {
        let Some(one) = self.invitations.get_mut(invitation) else { return LegEvent::Nothing };
        let progress = one.handle_failed_transaction(cx, transaction, failure);
        self.handle_progress(cx, invitation, progress)
    }

    pub fn handle_terminated(&mut self, invitation: usize, transaction: TransactionId) {
        if let Some(one) = self.invitations.get_mut(invitation) {
            one.handle_terminated(transaction);
        }
    }

    fn handle_progress(&mut self, cx: &mut Context<'_>, invitation: usize, progress: Progress) -> LegEvent {
        if !self.is_current(invitation) {
            return LegEvent::Nothing;
        }
        match progress {
            Progress::Nothing => LegEvent::Nothing,
            Progress::Ringing { code, first, sdp } => self.handle_ringing(cx, code, first, sdp),
            Progress::Answered { code, sdp } => self.handle_answer(cx, code, sdp),
            Progress::Failed(failure) => self.handle_failure(cx, failure),
        }
    }

    fn handle_ringing(&mut self, cx: &mut Context<'_>, code: u16, first: bool, sdp: Option<Vec<u8>>) -> LegEvent {
        if first {
            cx.milestone(Some(self.name), MilestoneKind::Ringing, Some(code), None);
        }
        let negotiated = sdp.zip(self.spec.as_ref()).and_then(|(sdp, spec)| sdp::accept_answer(spec, &sdp).ok());
        match negotiated {
            // Early media that cannot be used is no reason to give up: the answer decides.
            None => LegEvent::Nothing,
            Some(negotiated) if self.negotiated.as_ref() == Some(&negotiated) => LegEvent::Nothing,
            Some(negotiated) => {
                cx.milestone(Some(self.name), MilestoneKind::EarlyMedia, Some(code), None);
                self.take_media(cx, negotiated);
                LegEvent::EarlyMedia
            }
        }
    }

    fn handle_answer(&mut self, cx: &mut Context<'_>, code: u16, sdp: Option<Vec<u8>>) -> LegEvent {
        self.ring_deadline = None;
        let negotiated = sdp.zip(self.spec.as_ref()).map(|(sdp, spec)| sdp::accept_answer(spec, &sdp));
        match negotiated {
            Some(Ok(negotiated)) => {
                self.end_attempt(cx, Some(code), "answered");
                cx.milestone(Some(self.name), MilestoneKind::Answered, Some(code), None);
                self.take_media(cx, negotiated);
                LegEvent::Answered
            }
            Some(Err(error)) => self.refuse_answer(cx, &error.to_string()),
            None => self.refuse_answer(cx, "the answer has no session description"),
        }
    }

    /// An answer whose media cannot be used is acknowledged and ended (RFC 3261 §13.2.2.4).
    fn refuse_answer(&mut self, cx: &mut Context<'_>, why: &str) -> LegEvent {
        cx.explained(Some(self.name), MilestoneKind::Rejected, None, None, Some(why));
        self.abandon_current(cx);
        self.judge(cx, Failure::Media)
    }

    pub(super) fn take_media(&mut self, cx: &mut Context<'_>, negotiated: Negotiated) {
        cx.shard.relay.set_remote(cx.now, self.media, negotiated.clone());
        self.negotiated = Some(negotiated);
    }

    fn handle_failure(&mut self, cx: &mut Context<'_>, failure: Failure) -> LegEvent {
        let code = match failure {
            Failure::Response { code, .. } => Some(code),
            _ => None,
        };
        let why = match failure {
            Failure::Timeout => Some("no response"),
            Failure::Transport => Some("transport error"),
            _ => None,
        };
        cx.explained(Some(self.name), MilestoneKind::Rejected, code, None, why);
        self.judge(cx, failure)
    }

    /// Tries the next route if table A11 lets it, else fails the leg.
    fn judge(&mut self, cx: &mut Context<'_>, failure: Failure) -> LegEvent {
        let rang = self.invitations.last().map_or(Rang::No, |one| one.rang);
        let verdict = outcome::judge(self.name, failure, rang);
        self.ring_deadline = None;
        let word = verdict.outcome.reason.map_or("failed", |reason| reason.as_str());
        self.end_attempt(cx, verdict.outcome.sip_code, word);
        let may_move = match verdict.failover {
            Failover::Never => false,
            Failover::Once => !std::mem::replace(&mut self.left_for_credentials, true),
            Failover::Always => true,
        };
        if !may_move || self.route + 1 >= self.destination.routes.len() {
            return LegEvent::Failed(verdict.outcome);
        }
        self.abandon_current(cx);
        self.route += 1;
        cx.milestone(Some(self.name), MilestoneKind::Failover, None, Some(&self.destination.routes[self.route].trunk));
        self.try_route(cx)
    }

    fn end_attempt(&mut self, cx: &Context<'_>, sip_code: Option<u16>, result: &'static str) {
        let Some(started_at) = self.attempt_started.take() else { return };
        let trunk = self.destination.routes[self.route].trunk.clone();
        self.attempts.push(Attempt { leg: self.name, trunk, started_at, ended_at: cx.now, sip_code, result });
    }

    fn abandon_current(&mut self, cx: &mut Context<'_>) {
        if let Some(current) = self.invitations.last_mut() {
            current.abandon(cx);
        }
    }

    /// Ends the leg in any state: CANCEL, BYE, or nothing if it was never dialled or is over.
    pub fn abandon(&mut self, cx: &mut Context<'_>) {
        self.ring_deadline = None;
        self.awaited_ack = None;
        self.end_attempt(cx, None, outcome::Reason::Canceled.as_str());
        self.abandon_current(cx);
    }

    /// No message of this leg is awaited any more.
    pub fn is_over(&self) -> bool {
        self.invitations.iter().all(Invitation::is_over)
    }

    /// Forgets the leg's Call-IDs.
    pub fn forget(&self, shard: &mut Resources) {
        for invitation in &self.invitations {
            shard.dialogs.remove(invitation.call_id());
        }
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        let ack = self.awaited_ack.as_ref().map(AwaitedAck::poll_timeout);
        let cancels = self.invitations.iter().filter_map(Invitation::poll_timeout);
        cancels.chain(self.ring_deadline).chain(ack).min()
    }

    pub fn handle_timeout(&mut self, cx: &mut Context<'_>) -> LegEvent {
        for invitation in &mut self.invitations {
            invitation.handle_timeout(cx);
        }
        if self.ring_deadline.is_some_and(|at| at <= cx.now) {
            self.ring_deadline = None;
            cx.milestone(Some(self.name), MilestoneKind::RingTimeout, None, None);
            // A trunk that said nothing at all may be dead: that is a timeout, and the next route gets its chance.
            let proceeding = self.invitations.last().is_some_and(Invitation::is_proceeding);
            return self.judge(cx, if proceeding { Failure::RingTimeout } else { Failure::Timeout });
        }
        self.repeat_answer(cx)
    }

    pub fn report(&self, shard: &Resources) -> Option<LegMedia> {
        self.negotiated.as_ref()?;
        let report = shard.relay.leg_report(self.media);
        Some(LegMedia {
            received_count: report.received,
            sent_count: report.sent,
            lost_count: report.lost,
            jitter: report.jitter,
        })
    }
}
