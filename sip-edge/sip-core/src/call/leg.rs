//! One party of a call: tries its routes in order until one answers or table A11 says to stop, and
//! keeps the leg's media in step with what SDP negotiates. Knows nothing of the other leg.

mod answering;
pub mod callee;
pub mod description;
pub mod digits;
pub mod exchange;
mod keys;
mod redirect;
pub mod refer;
mod reoffer;

use super::context::Context;
use super::invitation::{Invitation, Progress};
use super::release::Release;
use super::shard::{Owner, Resources};
use crate::event::{Attempt, LegMedia};
use crate::message::{Method, Response};
use crate::outcome::{self, Failover, Failure, LegName, Outcome, Rang};
use crate::transaction::TransactionId;
use answering::AwaitedAck;
use call_words::{AgentName, AttemptResult, DtmfMode, MilestoneKind, Reason, TrunkId};
use callee::Callee;
use description::{Agreement, Offer, Previous};
use exchange::Exchange;
use keys::Keys;
use media_core::codec::Codec;
use media_core::relay::{LegId, NoPort};
use redirect::Detours;
use refer::Referred;
use std::net::IpAddr;
use std::time::Instant;

/// What a leg tells its call.
#[derive(Debug, Clone)]
pub enum LegEvent {
    Nothing,
    /// The peer's phone rings.
    Ringing,
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
    /// The peer pressed a key and says so by INFO: its RFC 4733 event code.
    Digit(u8),
    /// The peer's own hold began or ended.
    HoldChanged,
    /// The peer asks for a transfer; the call answers.
    Referred(Box<Referred>),
}

/// One party's signalling: its INVITEs one after the other, the dialog, and what was agreed.
pub struct Leg {
    pub name: LegName,
    pub media: LegId,
    /// The media of a softphone that came back, until they flow and take the place of `media`.
    pub(super) arriving: Option<LegId>,
    pub(super) callee: Callee,
    route: usize,
    /// The route of each INVITE.
    routes: Vec<usize>,
    detours: Detours,
    /// The codec that is offered first.
    pub(super) preferred: Codec,
    pub(super) invitations: Vec<Invitation>,
    pub(super) ring_deadline: Option<Instant>,
    /// A route was left because of its credentials: that is done once.
    left_for_credentials: bool,
    attempt_started: Option<Instant>,
    pub attempts: Vec<Attempt>,
    /// Our last offer and how it was printed, until it is answered and after.
    pub(super) offer: Option<Offer>,
    pub(super) local_sdp: String,
    pub agreed: Option<Agreement>,
    /// What the peer's offers in early dialogs have made of them, by the dialogs' places.
    pub(super) agreed_early: Vec<(usize, Agreement)>,
    pub(super) awaited_ack: Option<AwaitedAck>,
    /// Whose turn it is to offer once the first offer is agreed.
    pub(super) exchange: Exchange,
    /// Our open offer in a re-INVITE.
    pub(super) reoffer: Option<Offer>,
    /// Keys that wait to be told to the peer by INFO.
    pub(super) keys: Keys,
}

impl Leg {
    /// Opens its media; an agent or supervisor by softphone is in a call from now on.
    pub fn open(cx: &mut Context<'_>, name: LegName, callee: Callee) -> Result<Leg, NoPort> {
        let media = callee.open_media(cx, name)?;
        if let Callee::Softphone { agent, .. } = &callee {
            cx.shard.agents.insert(agent.clone(), (cx.call, name));
        }
        Ok(Leg {
            name,
            media,
            arriving: None,
            callee,
            route: 0,
            routes: Vec::new(),
            detours: Detours::default(),
            preferred: Codec::Pcmu,
            invitations: Vec::new(),
            ring_deadline: None,
            left_for_credentials: false,
            attempt_started: None,
            attempts: Vec::new(),
            offer: None,
            local_sdp: String::new(),
            agreed: None,
            agreed_early: Vec::new(),
            awaited_ack: None,
            exchange: Exchange::new(),
            reoffer: None,
            keys: Keys::default(),
        })
    }

    /// Sends the first INVITE.
    pub fn dial(&mut self, cx: &mut Context<'_>, preferred: Codec) -> LegEvent {
        self.preferred = preferred;
        for (trunk, reason) in self.callee.skipped().to_vec() {
            self.pass_by(cx, trunk, reason);
        }
        self.callee.order(cx);
        self.try_route(cx)
    }

    /// Notes that a trunk is not tried, and why.
    fn pass_by(&mut self, cx: &mut Context<'_>, trunk: TrunkId, reason: Reason) {
        let why = Some(reason.as_str());
        cx.explained(Some(self.name), MilestoneKind::Rejected, None, Some(trunk.clone()), why);
        self.attempts.push(Attempt {
            leg: self.name,
            trunk,
            started_at: cx.now,
            ended_at: cx.now,
            sip_code: None,
            result: AttemptResult::Failed(reason),
        });
    }

    /// Invites over the present route, or over the next whose trunk is there.
    pub(super) fn try_route(&mut self, cx: &mut Context<'_>) -> LegEvent {
        while let Some(route) = self.callee.route(self.route)
            && let Some(reason) = cx.shard.bar(route)
        {
            let trunk = route.trunk.clone();
            self.pass_by(cx, trunk, reason);
            if !self.advance_route() {
                return LegEvent::Failed(outcome::of_bar(self.name, reason));
            }
        }
        match self.invite(cx) {
            Some(invitation) => {
                let name = self.callee.route_name(self.route);
                cx.milestone(Some(self.name), MilestoneKind::InviteSent, None, Some(name));
                self.invitations.push(invitation);
                self.routes.push(self.route);
                self.attempt_started = Some(cx.now);
                self.ring_deadline = Some(cx.now + self.callee.ring());
                LegEvent::Nothing
            }
            None => {
                let outcome = outcome::of_cause(outcome::Cause::System, outcome::Bridged::No);
                LegEvent::Failed(Outcome { failed_leg: Some(self.name), ..outcome })
            }
        }
    }

    /// Sends an INVITE; `None` without room for its transaction, or nowhere to send it.
    fn invite(&mut self, cx: &mut Context<'_>) -> Option<Invitation> {
        let mut target = self.callee.target(cx, self.route)?;
        match &self.detours.current {
            Some(detour) => {
                target.flow.remote = detour.address;
                target.uri.clone_from(&detour.uri);
            }
            None => self.detours.note(&target.uri, target.flow.remote),
        }
        target.headers.extend(self.callee.forwarded(self.route, self.detours.redirection()));
        if let Some(sources) = self.callee.media_sources(self.route, target.flow.remote.ip()) {
            cx.shard.relay.set_media_sources(self.media, sources);
            cx.shard.remember_trunk(target.flow.remote.ip(), &target.signal_from);
        }
        let (media, carriage) = (self.described_media(), self.callee.carriage(self.route));
        let interface = cx.shard.config.interface_of(target.flow);
        cx.shard.relay.use_interface(media, interface as u16);
        cx.shard.relay.hear_tones(media, carriage.dtmf() == DtmfMode::Inband);
        let offer = Offer::first(cx, media, self.preferred, carriage, target.flow.remote.ip())?;
        self.local_sdp = offer.print();
        self.offer = Some(offer);
        self.agreed_early.clear();
        let owner = Owner { call: cx.call, leg: self.name, invitation: self.invitations.len() };
        Invitation::send(cx, owner, target, &self.local_sdp)
    }

    /// What a further description follows.
    pub(super) fn previous(&self) -> Previous<'_> {
        Previous {
            sdp: &self.local_sdp,
            peer: self.invitations.last().map(Invitation::peer),
            carriage: self.callee.carriage(self.route),
        }
    }

    /// The media that our descriptions are about.
    pub(super) fn described_media(&self) -> LegId {
        self.arriving.unwrap_or(self.media)
    }

    /// The INVITE whose outcome counts; earlier ones only wind down.
    fn is_current(&self, invitation: usize) -> bool {
        invitation + 1 == self.invitations.len()
    }

    /// Takes a response to one of its requests.
    pub fn handle_response(
        &mut self,
        cx: &mut Context<'_>,
        invitation: usize,
        transaction: TransactionId,
        response: &Response,
    ) -> LegEvent {
        let is_current = self.is_current(invitation);
        let Some(one) = self.invitations.get_mut(invitation) else { return LegEvent::Nothing };
        let progress = one.handle_response(cx, transaction, response);
        if is_current {
            one.timer.note_methods(response);
            self.keys.note_methods(response);
        }
        self.handle_progress(cx, invitation, progress)
    }

    /// A request of its got no response in time, or its flow broke.
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

    /// A transaction of its is over: its id may be used again.
    pub fn handle_terminated(&mut self, invitation: usize, transaction: TransactionId) {
        if let Some(one) = self.invitations.get_mut(invitation) {
            one.handle_terminated(transaction);
        }
    }

    fn handle_progress(
        &mut self,
        cx: &mut Context<'_>,
        invitation: usize,
        progress: Progress,
    ) -> LegEvent {
        if !self.is_current(invitation) {
            return LegEvent::Nothing;
        }
        match progress {
            Progress::Nothing => LegEvent::Nothing,
            Progress::Ringing { code, first, sdp } => self.handle_ringing(cx, code, first, sdp),
            Progress::Answered { code, fork, sdp } => self.handle_answer(cx, code, fork, sdp),
            Progress::Informed { code } => {
                self.take_informed(cx, code);
                LegEvent::Nothing
            }
            Progress::Refreshed { code: Some(481 | 408) | None } => LegEvent::DialogLost,
            Progress::Refreshed { .. } => LegEvent::Nothing,
            Progress::Failed(failure, contacts) => self.handle_failure(cx, failure, &contacts),
            Progress::Reoffered { code, sdp } => self.handle_reoffered(cx, code, sdp),
        }
    }

    fn handle_ringing(
        &mut self,
        cx: &mut Context<'_>,
        code: u16,
        first: bool,
        sdp: Option<Vec<u8>>,
    ) -> LegEvent {
        if first {
            cx.milestone(Some(self.name), MilestoneKind::Ringing, Some(code), None);
        }
        let agreed = sdp.zip(self.offer.as_ref()).and_then(|(sdp, offer)| offer.accept(&sdp).ok());
        let rings = if first { LegEvent::Ringing } else { LegEvent::Nothing };
        match agreed {
            // Early media that cannot be used is no reason to give up: the answer decides.
            None => rings,
            Some(agreed) if self.agreed.as_ref() == Some(&agreed) => rings,
            Some(agreed) => {
                cx.milestone(Some(self.name), MilestoneKind::EarlyMedia, Some(code), None);
                self.take_media(cx, agreed);
                LegEvent::EarlyMedia
            }
        }
    }

    fn handle_answer(
        &mut self,
        cx: &mut Context<'_>,
        code: u16,
        fork: usize,
        sdp: Option<Vec<u8>>,
    ) -> LegEvent {
        self.ring_deadline = None;
        let early = self.agreed_early.drain(..).find(|(at, _)| *at == fork);
        let agreed = match early {
            // Our offer was answered reliably, and what was offered since then holds.
            Some((_, agreed)) => Some(Ok(agreed)),
            None => sdp.zip(self.offer.as_ref()).map(|(sdp, offer)| offer.accept(&sdp)),
        };
        match agreed {
            Some(Ok(agreed)) => {
                self.end_attempt(cx, Some(code), AttemptResult::Answered);
                self.note_attempt(cx, true);
                // Where it may be either, it is told which.
                let is_told = self.callee.carriage(self.route).is_opportunistic();
                let detail = match agreed.is_encrypted() {
                    true => "audio is encrypted",
                    false => "audio is not encrypted",
                };
                let detail = Some(detail).filter(|_| is_told);
                cx.explained(Some(self.name), MilestoneKind::Answered, Some(code), None, detail);
                self.take_media(cx, agreed);
                LegEvent::Answered
            }
            Some(Err(error)) => self.refuse_answer(cx, &error.to_string()),
            None => self.refuse_answer(cx, "the answer has no session description"),
        }
    }

    /// An answer whose media cannot be used is acknowledged and ended (RFC 3261 §13.2.2.4).
    fn refuse_answer(&mut self, cx: &mut Context<'_>, why: &str) -> LegEvent {
        cx.explained(Some(self.name), MilestoneKind::Rejected, None, None, Some(why));
        self.abandon_current(cx, Release::Media);
        self.judge(cx, Failure::Media)
    }

    pub(super) fn take_media(&mut self, cx: &mut Context<'_>, agreed: Agreement) -> LegEvent {
        agreed.apply(cx, self.described_media());
        let is_held = agreed.is_held_by_peer();
        let was_held = self.agreed.replace(agreed).is_some_and(|before| before.is_held_by_peer());
        if is_held == was_held { LegEvent::Nothing } else { LegEvent::HoldChanged }
    }

    fn handle_failure(
        &mut self,
        cx: &mut Context<'_>,
        failure: Failure,
        contacts: &[String],
    ) -> LegEvent {
        let code = match failure {
            Failure::Response { code, .. } => Some(code),
            _ => None,
        };
        if let Some(route) = self.callee.route(self.route) {
            self.detours.take(route, code.unwrap_or_default(), contacts);
        }
        let why = match failure {
            Failure::Timeout => Some("no response"),
            Failure::Transport(fault) => Some(fault.detail()),
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
        self.end_attempt(cx, verdict.outcome.sip_code, AttemptResult::Failed(verdict.reason));
        let may_move = match verdict.failover {
            Failover::Never => false,
            Failover::Once => !std::mem::replace(&mut self.left_for_credentials, true),
            Failover::Always => true,
        };
        let is_redirected = may_move && self.detours.advance();
        self.note_attempt(cx, is_redirected || verdict.failover == Failover::Never);
        if !(is_redirected || may_move && self.advance_route()) {
            return LegEvent::Failed(verdict.outcome);
        }
        self.abandon_current(cx, Release::TimerExpired);
        cx.milestone(
            Some(self.name),
            MilestoneKind::Failover,
            None,
            Some(self.callee.route_name(self.route)),
        );
        self.try_route(cx)
    }

    fn advance_route(&mut self) -> bool {
        let has_next = self.route + 1 < self.callee.route_count();
        if has_next {
            self.route += 1;
            self.detours.leave_route();
        }
        has_next
    }

    /// Tells the trunk's breaker whether it did its part.
    fn note_attempt(&mut self, cx: &mut Context<'_>, has_worked: bool) {
        if let Some(trunk) = self.callee.trunk(self.route) {
            cx.shard.note_attempt(cx.now, trunk, has_worked);
        }
    }

    pub(super) fn end_attempt(
        &mut self,
        cx: &Context<'_>,
        sip_code: Option<u16>,
        result: AttemptResult,
    ) {
        let Some(started_at) = self.attempt_started.take() else { return };
        let trunk = self.callee.route_name(self.route);
        self.attempts.push(Attempt {
            leg: self.name,
            trunk,
            started_at,
            ended_at: cx.now,
            sip_code,
            result,
        });
    }

    fn abandon_current(&mut self, cx: &mut Context<'_>, release: Release) {
        if let Some(current) = self.invitations.last_mut() {
            current.abandon(cx, release);
        }
    }

    /// Ends the leg in any state: CANCEL, BYE, or nothing if it was never dialled or is over.
    pub fn abandon(&mut self, cx: &mut Context<'_>, release: Release) {
        self.ring_deadline = None;
        self.awaited_ack = None;
        self.keys.clear();
        self.end_attempt(cx, None, AttemptResult::Failed(Reason::Canceled));
        self.abandon_current(cx, release);
    }

    /// Gives up what only a running call needs.
    pub fn shed(&mut self) {
        (self.offer, self.reoffer, self.agreed) = (None, None, None);
        (self.agreed_early, self.routes, self.local_sdp) = Default::default();
        self.invitations.iter_mut().for_each(Invitation::shed);
    }

    /// No message of this leg is awaited any more, but for late answers.
    pub fn is_over(&self) -> bool {
        self.invitations.iter().all(Invitation::is_left)
    }

    /// Notes what the next process would have to say to the leg's peers.
    pub fn note_remains(&mut self, shard: &mut Resources) {
        self.invitations.iter_mut().for_each(|invitation| invitation.note_remains(shard));
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
        let refresh = self
            .invitations
            .last()
            .filter(|one| one.is_answered())
            .and_then(|one| one.timer.poll_timeout());
        cancels
            .chain(self.ring_deadline)
            .chain(ack)
            .chain(self.exchange.poll_timeout())
            .chain(self.keys.poll_timeout())
            .chain(refresh)
            .min()
    }

    pub fn handle_timeout(&mut self, cx: &mut Context<'_>) -> LegEvent {
        for invitation in &mut self.invitations {
            invitation.handle_timeout(cx);
        }
        if self.ring_deadline.is_some_and(|at| at <= cx.now) {
            self.ring_deadline = None;
            cx.milestone(Some(self.name), MilestoneKind::RingTimeout, None, None);
            // A trunk that said nothing at all may be dead: that is a timeout, and the next route
            // gets its chance.
            let proceeding = self.invitations.last().is_some_and(Invitation::is_proceeding);
            return self
                .judge(cx, if proceeding { Failure::RingTimeout } else { Failure::Timeout });
        }
        if let Some(one) = self.invitations.last_mut().filter(|one| one.is_answered())
            && one.timer.take_due(cx.now)
            && (one.timer.method() == Method::Invite || one.refresh(cx).is_err())
        {
            self.exchange.refresh();
        }
        self.continue_exchange(cx);
        self.continue_keys(cx);
        self.repeat_answer(cx)
    }

    /// The agent whose softphone this leg calls.
    pub fn softphone(&self) -> Option<&AgentName> {
        match &self.callee {
            Callee::Softphone { agent, .. } => Some(agent),
            Callee::Trunks(_) => None,
        }
    }

    /// Whether the peer's phone rings or rang: a 180 or its kin came.
    pub fn is_alerted(&self) -> bool {
        self.invitations.last().is_some_and(Invitation::is_alerted)
    }

    /// Whether there is nobody to call.
    pub fn has_no_route(&self) -> bool {
        self.callee.route_count() == 0
    }

    /// Whether messages of an INVITE's transactions and dialogs may come from here.
    pub fn is_signalled_from(&self, invitation: usize, source: IpAddr) -> bool {
        self.invitations.get(invitation).is_some_and(|one| one.is_signalled_from(source))
    }

    /// The trunk of an INVITE.
    pub fn trunk(&self, invitation: usize) -> TrunkId {
        self.callee.route_name(self.routes.get(invitation).copied().unwrap_or(self.route))
    }

    /// The trunk of the last INVITE.
    pub fn current_trunk(&self) -> TrunkId {
        self.callee.route_name(self.route)
    }

    /// Whether its dialog stands.
    pub fn is_answered(&self) -> bool {
        self.invitations.last().is_some_and(Invitation::is_answered)
    }

    /// Whether its dialog stands and the party holds by itself.
    pub fn is_held_by_peer(&self) -> bool {
        self.is_answered() && self.agreed.as_ref().is_some_and(Agreement::is_held_by_peer)
    }

    /// What its media were, once they were agreed.
    pub fn report(&self, shard: &Resources) -> Option<LegMedia> {
        self.agreed.as_ref()?;
        let report = shard.relay.leg_report(self.media);
        Some(LegMedia {
            received_count: report.received,
            sent_count: report.sent,
            lost_count: report.lost,
            jitter: report.jitter,
            mos: report.mos,
            round_trip: report.round_trip,
            far: report.far,
        })
    }
}
