//! Our own requests inside the dialog that an INVITE made, other than BYE: the re-INVITE (RFC 3261
//! §14.1) with its digest retry (§22.2) and the ACK of its 2xx (§13.2.2.4), and errands: INFO (RFC
//! 6086), NOTIFY (RFC 3515 §2.4.4), PRACK (RFC 3262 §4) and UPDATE (RFC 3311, 4028).

use super::{ForkState, Invitation, Progress, request};
use crate::call::context::Context;
use crate::counters::Counter;
use crate::dialog::Inside;
use crate::message::{Body, Header, Method, Request, Response, View, header};
use crate::outcome::Failure;
use crate::transaction::TransactionId;

/// The last re-INVITE that we sent.
pub struct Reinvite {
    transaction: Option<TransactionId>,
    /// Place of its dialog.
    fork: usize,
    request: Request,
    is_challenged: bool,
    /// Kept for retransmissions of the 2xx.
    ack: Option<Request>,
}

impl Reinvite {
    /// Whether a request of ours is not answered.
    pub fn is_open(&self) -> bool {
        self.transaction.is_some()
    }
}

/// Most errands of one INVITE that are not answered.
const MAX_ERRAND_COUNT: usize = 16;

/// A request with a response to it alone: no ACK, no other description.
pub struct Errand {
    transaction: TransactionId,
    fork: usize,
    method: Method,
    extra: Vec<Header>,
    /// With its Content-Type.
    body: Option<(String, Vec<u8>)>,
    is_challenged: bool,
}

impl Errand {
    fn outcome(&self, code: Option<u16>) -> Progress {
        match self.method {
            Method::Info => Progress::Informed { code },
            Method::Update => Progress::Refreshed { code },
            _ => Progress::Nothing,
        }
    }
}

/// There is no room for the request's transaction, or no dialog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotSent;

impl Invitation {
    /// The dialog that stands; at most one does, for all others are left as they come.
    fn standing(&self) -> Option<usize> {
        self.forks.iter().position(|fork| fork.state == ForkState::Confirmed)
    }

    /// Sends an offer in a re-INVITE.
    pub fn reinvite(&mut self, cx: &mut Context<'_>, sdp: &str) -> Result<(), NotSent> {
        let fork = self.standing().filter(|_| !self.abandoned).ok_or(NotSent)?;
        let request = self.build_reinvite(cx, fork, sdp.as_bytes());
        let flow = self.flow_in(fork);
        let transaction =
            cx.shard.send_request(cx.now, request.clone(), flow, self.owner).ok_or(NotSent)?;
        self.reinvite = Some(Reinvite {
            transaction: Some(transaction),
            fork,
            request,
            is_challenged: false,
            ack: None,
        });
        Ok(())
    }

    fn build_reinvite(&mut self, cx: &mut Context<'_>, fork: usize, sdp: &[u8]) -> Request {
        let via = request::via(cx, self.flow);
        let mut extra = request::invite_headers(cx, request::SUPPORTED);
        extra.extend(self.timer.headers());
        let body = Some(Body { content_type: request::SDP, bytes: sdp });
        let contact = self.contact.clone();
        let inside =
            Inside { method: Method::Invite, via: &via, contact: Some(&contact), extra, body };
        let mut request = self.forks[fork].dialog.request(inside);
        self.authority.sign(cx.shard, &mut request);
        request
    }

    /// A response to the re-INVITE; `None` if it is to something else.
    pub(super) fn handle_reinvite_response(
        &mut self,
        cx: &mut Context<'_>,
        transaction: TransactionId,
        response: &Response,
    ) -> Option<Progress> {
        let reinvite =
            self.reinvite.as_mut().filter(|reinvite| reinvite.transaction == Some(transaction))?;
        let (code, fork) = (response.status_code.code(), reinvite.fork);
        match code {
            100..200 => Some(Progress::Nothing),
            200..300 => Some(self.acknowledge(cx, fork, response)),
            _ => {
                // The transaction acknowledges by itself.
                reinvite.transaction = None;
                self.take_interval_refusal(cx, response);
                if matches!(code, 401 | 407) && self.answer_reinvite_challenge(cx, response) {
                    return Some(Progress::Nothing);
                }
                Some(Progress::Reoffered { code: Some(code), sdp: None })
            }
        }
    }

    fn acknowledge(&mut self, cx: &mut Context<'_>, fork: usize, response: &Response) -> Progress {
        let flow = self.flow_in(fork);
        let Some(reinvite) = &mut self.reinvite else { return Progress::Nothing };
        if let Some(ack) = &reinvite.ack {
            cx.shard.send_alone(cx.now, &ack.clone(), flow, self.owner);
            return Progress::Nothing;
        }
        let Some(cseq) = reinvite.request.cseq().map(|cseq| cseq.number) else {
            return Progress::Nothing;
        };
        self.timer.take_answer(cx.now, response);
        let dialog = &mut self.forks[fork].dialog;
        dialog.refresh_target_by(response);
        let via = request::via(cx, self.flow);
        let ack = dialog.ack_of(cseq, &via, request::credentials_of(&reinvite.request));
        reinvite.ack = Some(ack.clone());
        let flow = self.flow_in(fork);
        cx.shard.send_alone(cx.now, &ack, flow, self.owner);
        Progress::Reoffered {
            code: Some(response.status_code.code()),
            sdp: request::sdp_of(response),
        }
    }

    fn answer_reinvite_challenge(&mut self, cx: &mut Context<'_>, response: &Response) -> bool {
        let Some(reinvite) = self.reinvite.as_ref().filter(|reinvite| !reinvite.is_challenged)
        else {
            return false;
        };
        let (fork, sdp) = (reinvite.fork, reinvite.request.body.clone());
        if self.forks[fork].state != ForkState::Confirmed || self.authority.take(response).is_none()
        {
            return false;
        }
        let request = self.build_reinvite(cx, fork, &sdp);
        let flow = self.flow_in(fork);
        let transaction = cx.shard.send_request(cx.now, request.clone(), flow, self.owner);
        let is_sent = transaction.is_some();
        self.reinvite =
            Some(Reinvite { transaction, fork, request, is_challenged: true, ack: None });
        is_sent
    }

    /// The re-INVITE's transaction failed; `None` if it was another one.
    pub(super) fn handle_failed_reinvite(
        &mut self,
        transaction: TransactionId,
        failure: Failure,
    ) -> Option<Progress> {
        let reinvite =
            self.reinvite.as_mut().filter(|reinvite| reinvite.transaction == Some(transaction))?;
        reinvite.transaction = None;
        Some(match failure {
            Failure::Timeout => Progress::Reoffered { code: None, sdp: None },
            // RFC 3261 §8.1.3.1: as if a 503 had come.
            _ => Progress::Reoffered { code: Some(503), sdp: None },
        })
    }

    pub(super) fn end_reinvite(&mut self, transaction: TransactionId) {
        if let Some(reinvite) =
            self.reinvite.as_mut().filter(|reinvite| reinvite.transaction == Some(transaction))
        {
            reinvite.transaction = None;
        }
    }

    /// No final response is waited for any more.
    pub fn drop_reinvite(&mut self, cx: &mut Context<'_>) {
        if let Some(transaction) =
            self.reinvite.as_mut().and_then(|reinvite| reinvite.transaction.take())
        {
            cx.shard.transactions.terminate(transaction);
        }
    }

    /// Sends an INFO; one at a time, for its outcome is told without its name.
    pub fn inform(&mut self, cx: &mut Context<'_>, body: Body<'_>) -> Result<(), NotSent> {
        let fork = self.standing().filter(|_| !self.abandoned).ok_or(NotSent)?;
        let extra = request::plain_headers(&cx.shard.config);
        self.run_errand(cx, fork, Method::Info, extra, Some(body))
    }

    /// Sends a NOTIFY.
    pub fn notify(
        &mut self,
        cx: &mut Context<'_>,
        extra: Vec<Header>,
        body: Body<'_>,
    ) -> Result<(), NotSent> {
        let fork = self.standing().ok_or(NotSent)?;
        self.run_errand(cx, fork, Method::Notify, extra, Some(body))
    }

    /// Sends an UPDATE without an offer, which refreshes the session (RFC 4028 §7.4).
    pub fn refresh(&mut self, cx: &mut Context<'_>) -> Result<(), NotSent> {
        let fork = self.standing().filter(|_| !self.abandoned).ok_or(NotSent)?;
        let mut extra = request::invite_headers(cx, request::SUPPORTED);
        extra.extend(self.timer.headers());
        self.run_errand(cx, fork, Method::Update, extra, None)
    }

    fn take_interval_refusal(&mut self, cx: &mut Context<'_>, response: &Response) {
        if response.status_code.code() == 422 && self.timer.take_refusal(cx.now, response) {
            cx.shard.counters.count(Counter::SessionIntervalRaised);
        }
    }

    /// Sends PRACK for a reliable provisional response of this early dialog, which some send though
    /// we have not offered it. `false` if it is not its turn: a response that came already, or
    /// before one that is missing, is neither acknowledged nor taken (RFC 3262 §4).
    pub(super) fn acknowledge_provisional(
        &mut self,
        cx: &mut Context<'_>,
        fork: usize,
        rseq: u32,
    ) -> bool {
        let is_next = self.forks[fork].rseq.is_none_or(|last| last.checked_add(1) == Some(rseq));
        let Some(cseq) = self.invite.cseq_number().filter(|_| is_next) else { return false };
        let mut extra = request::plain_headers(&cx.shard.config);
        extra.push(header("RAck", format!("{rseq} {cseq} INVITE")));
        // Without room for it the response is not acknowledged: its repetition is.
        if self.run_errand(cx, fork, Method::PRack, extra, None).is_ok() {
            self.forks[fork].rseq = Some(rseq);
        }
        true
    }

    fn run_errand(
        &mut self,
        cx: &mut Context<'_>,
        fork: usize,
        method: Method,
        extra: Vec<Header>,
        body: Option<Body<'_>>,
    ) -> Result<(), NotSent> {
        if self.errands.len() >= MAX_ERRAND_COUNT {
            return Err(NotSent);
        }
        let body = body.map(|body| (body.content_type.to_owned(), body.bytes.to_vec()));
        let transaction =
            self.send_errand(cx, fork, method, &extra, body.as_ref()).ok_or(NotSent)?;
        self.errands.push(Errand { transaction, fork, method, extra, body, is_challenged: false });
        Ok(())
    }

    fn send_errand(
        &mut self,
        cx: &mut Context<'_>,
        fork: usize,
        method: Method,
        extra: &[Header],
        body: Option<&(String, Vec<u8>)>,
    ) -> Option<TransactionId> {
        let via = request::via(cx, self.flow);
        let contact = self.contact.clone();
        let is_target_told = matches!(method, Method::Notify | Method::Update);
        let contact = is_target_told.then_some(contact.as_str());
        let body = body.map(|(content_type, bytes)| Body { content_type, bytes });
        let inside = Inside { method, via: &via, contact, extra: extra.to_vec(), body };
        let mut request = self.forks.get_mut(fork)?.dialog.request(inside);
        self.authority.sign(cx.shard, &mut request);
        let flow = self.flow_in(fork);
        cx.shard.send_request(cx.now, request, flow, self.owner)
    }

    pub(super) fn handle_errand_response(
        &mut self,
        cx: &mut Context<'_>,
        transaction: TransactionId,
        response: &Response,
    ) -> Progress {
        let code = response.status_code.code();
        let Some(at) = self
            .errands
            .iter()
            .position(|errand| errand.transaction == transaction)
            .filter(|_| code >= 200)
        else {
            return Progress::Nothing;
        };
        let mut errand = self.errands.swap_remove(at);
        let is_challenge = matches!(code, 401 | 407) && !errand.is_challenged;
        if is_challenge
            && self.authority.take(response).is_some()
            && let Some(transaction) = self.send_errand(
                cx,
                errand.fork,
                errand.method,
                &errand.extra,
                errand.body.as_ref(),
            )
        {
            errand.transaction = transaction;
            errand.is_challenged = true;
            self.errands.push(errand);
            return Progress::Nothing;
        }
        if errand.method == Method::Update {
            self.take_refreshed(cx, errand.fork, response);
        }
        errand.outcome(Some(code))
    }

    fn take_refreshed(&mut self, cx: &mut Context<'_>, fork: usize, response: &Response) {
        match response.status_code.code() {
            200..300 => {
                self.timer.take_answer(cx.now, response);
                self.forks[fork].dialog.refresh_target_by(response);
            }
            405 | 501 => self.timer.note_refused_update(cx.now),
            _ => self.take_interval_refusal(cx, response),
        }
    }

    /// No final response to an errand will come.
    pub(super) fn end_errand(&mut self, transaction: TransactionId, failure: Failure) -> Progress {
        let at = self.errands.iter().position(|errand| errand.transaction == transaction);
        let Some(errand) = at.map(|at| self.errands.swap_remove(at)) else {
            return Progress::Nothing;
        };
        // RFC 3261 §8.1.3.1: as if a 503 had come; the connection is opened anew for the next one.
        let is_broken = errand.method == Method::Update && failure != Failure::Timeout;
        errand.outcome(is_broken.then_some(503))
    }
}
