//! Our own requests inside the dialog that an INVITE made, other than BYE: the re-INVITE (RFC 3261 §14.1) with its digest retry (§22.2) and
//! the ACK of its 2xx (§13.2.2.4), INFO (RFC 6086), and NOTIFY (RFC 3515
//! §2.4.4).

use super::{ForkState, Invitation, Progress};
use crate::call::context::Context;
use crate::call::request;
use crate::dialog::Inside;
use crate::digest::Challenge;
use crate::message::{Body, Header, Method, Request, Response, View};
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
    pub fn is_open(&self) -> bool {
        self.transaction.is_some()
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
        let request = self.build_reinvite(cx, fork, sdp.as_bytes(), None);
        let flow = self.flow_in(fork);
        let transaction = cx.shard.send_request(cx.now, request.clone(), flow, self.owner).ok_or(NotSent)?;
        self.reinvite = Some(Reinvite { transaction: Some(transaction), fork, request, is_challenged: false, ack: None });
        Ok(())
    }

    fn build_reinvite(&mut self, cx: &mut Context<'_>, fork: usize, sdp: &[u8], credentials: Option<Header>) -> Request {
        let via = request::via(cx, self.flow.transport);
        let mut extra = request::invite_headers(cx);
        extra.extend(credentials);
        let body = Some(Body { content_type: request::SDP, bytes: sdp });
        let contact = self.contact.clone();
        let inside = Inside { method: Method::Invite, via: &via, contact: Some(&contact), extra, body };
        self.forks[fork].dialog.request(inside)
    }

    /// A response to the re-INVITE; `None` if it is to something else.
    pub(super) fn handle_reinvite_response(
        &mut self,
        cx: &mut Context<'_>,
        transaction: TransactionId,
        response: &Response,
    ) -> Option<Progress> {
        let reinvite = self.reinvite.as_mut().filter(|reinvite| reinvite.transaction == Some(transaction))?;
        let (code, fork) = (response.status_code.code(), reinvite.fork);
        match code {
            100..200 => Some(Progress::Nothing),
            200..300 => Some(self.acknowledge(cx, fork, response)),
            _ => {
                // The transaction acknowledges by itself.
                reinvite.transaction = None;
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
            cx.shard.send_alone(&ack.clone(), flow);
            return Progress::Nothing;
        }
        let Some(cseq) = reinvite.request.cseq().map(|cseq| cseq.number) else { return Progress::Nothing };
        let dialog = &mut self.forks[fork].dialog;
        dialog.refresh_target_by(response);
        let via = request::via(cx, self.flow.transport);
        let ack = dialog.ack_of(cseq, &via, request::credentials_of(&reinvite.request));
        reinvite.ack = Some(ack.clone());
        let flow = self.flow_in(fork);
        cx.shard.send_alone(&ack, flow);
        Progress::Reoffered { code: Some(response.status_code.code()), sdp: request::sdp_of(response) }
    }

    fn answer_reinvite_challenge(&mut self, cx: &mut Context<'_>, response: &Response) -> bool {
        let Some(reinvite) = self.reinvite.as_ref().filter(|reinvite| !reinvite.is_challenged) else { return false };
        let (Some(credentials), Ok(challenge)) = (&self.credentials, Challenge::from_response(response)) else { return false };
        let header = request::authorization(cx.shard, credentials, &challenge, &reinvite.request);
        let (fork, sdp) = (reinvite.fork, reinvite.request.body.clone());
        if self.forks[fork].state != ForkState::Confirmed {
            return false;
        }
        let request = self.build_reinvite(cx, fork, &sdp, Some(header));
        let flow = self.flow_in(fork);
        let transaction = cx.shard.send_request(cx.now, request.clone(), flow, self.owner);
        let is_sent = transaction.is_some();
        self.reinvite = Some(Reinvite { transaction, fork, request, is_challenged: true, ack: None });
        is_sent
    }

    /// The re-INVITE's transaction failed; `None` if it was another one.
    pub(super) fn handle_failed_reinvite(&mut self, transaction: TransactionId, failure: Failure) -> Option<Progress> {
        let reinvite = self.reinvite.as_mut().filter(|reinvite| reinvite.transaction == Some(transaction))?;
        reinvite.transaction = None;
        Some(match failure {
            Failure::Timeout => Progress::Reoffered { code: None, sdp: None },
            // RFC 3261 §8.1.3.1: as if a 503 had come.
            _ => Progress::Reoffered { code: Some(503), sdp: None },
        })
    }

    pub(super) fn end_reinvite(&mut self, transaction: TransactionId) {
        if let Some(reinvite) = self.reinvite.as_mut().filter(|reinvite| reinvite.transaction == Some(transaction)) {
            reinvite.transaction = None;
        }
    }

    /// No final response is waited for any more.
    pub fn drop_reinvite(&mut self, cx: &mut Context<'_>) {
        if let Some(transaction) = self.reinvite.as_mut().and_then(|reinvite| reinvite.transaction.take()) {
            cx.shard.transactions.terminate(transaction);
        }
    }

    /// Sends an INFO; one at a time.
    pub fn inform(&mut self, cx: &mut Context<'_>, body: Body<'_>) -> Result<(), NotSent> {
        let fork = self.standing().filter(|_| !self.abandoned).ok_or(NotSent)?;
        let via = request::via(cx, self.flow.transport);
        let contact = self.contact.clone();
        let extra = request::plain_headers(cx);
        let inside = Inside { method: Method::Info, via: &via, contact: Some(&contact), extra, body: Some(body) };
        let info = self.forks[fork].dialog.request(inside);
        let flow = self.flow_in(fork);
        self.info = cx.shard.send_request(cx.now, info, flow, self.owner);
        self.info.map(|_| ()).ok_or(NotSent)
    }

    pub(super) fn handle_info_response(&mut self, response: &Response) -> Progress {
        let code = response.status_code.code();
        if code < 200 {
            return Progress::Nothing;
        }
        self.info = None;
        Progress::Informed { code: Some(code) }
    }

    /// Sends a NOTIFY; its response changes nothing.
    pub fn notify(&mut self, cx: &mut Context<'_>, extra: Vec<Header>, body: Body<'_>) -> Result<(), NotSent> {
        let fork = self.standing().ok_or(NotSent)?;
        let via = request::via(cx, self.flow.transport);
        let contact = self.contact.clone();
        let inside = Inside { method: Method::Notify, via: &via, contact: Some(&contact), extra, body: Some(body) };
        let notify = self.forks[fork].dialog.request(inside);
        let flow = self.flow_in(fork);
        cx.shard.send_request(cx.now, notify, flow, self.owner).map(|_| ()).ok_or(NotSent)
    }
}
