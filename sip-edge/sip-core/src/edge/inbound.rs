//! Where a message from the network belongs: a transaction, a dialog, or nowhere, and what a stray
//! one gets (RFC 3261 §8.2, §9.2, §12.2.2, §18.2). Nobody calls us: an INVITE outside any dialog is
//! refused.
//!
//! Deviates: but for softphones only trunks are answered (§8.2), because an answer tells a scanner
//! that there is something to try; a stranger's stream is closed. Who speaks in a dialog under ids
//! of our making is told that there is none (§12.2.2), so that what a crash of ours or an unnamed
//! host of a carrier left ends.

use super::Edge;
use super::softphones::Admitted;
use crate::call::invitation::request;
use crate::call::shard::{Peer, reliability};
use crate::counters::Counter;
use crate::event::Output;
use crate::flow::{Flow, Transport};
use crate::message::{
    self, Limits, Method, ParseError, Read, Request, Response, Scheme, SipMessage, Uri, Via, View,
};
use crate::transaction::TransactionId;
use media_core::sdp;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Instant;

impl Edge {
    pub(super) fn handle_message(&mut self, now: Instant, flow: Flow, bytes: &[u8]) {
        if self.take_keep_alive(now, flow, bytes) {
            return;
        }
        let read = match message::read(bytes, &Limits::default()) {
            Ok(read) => read,
            Err(error) => return self.refuse_malformed(now, flow, bytes, error),
        };
        let Read { message, repairs, refusal } = read;
        let transaction = self.shard.transactions.route(&message);
        // A transaction or a dialog of ours takes a message with all its oddities.
        let is_known = |call_id| self.shard.dialogs.contains_key(call_id);
        let is_ours = transaction.is_some() || message.call_id().is_some_and(is_known);
        if let Some(error) = refusal.filter(|_| !is_ours) {
            return self.refuse_malformed(now, flow, bytes, error);
        }
        self.shard.counters.count_repairs(repairs);
        self.shard.note_received(now, flow, bytes, message.call_id());
        let is_foreign = self.is_foreign(flow, transaction, &message);
        if !is_foreign && is_ours {
            self.count_sdp_repairs(&message);
        }
        let taken = if is_foreign {
            Err(message)
        } else {
            self.shard.transactions.handle_message(now, transaction, message)
        };
        match taken {
            Ok(_) => {}
            Err(SipMessage::Response(_)) if is_foreign => {}
            Err(SipMessage::Response(response)) => self.handle_stray_response(now, flow, &response),
            Err(SipMessage::Request(request)) => self.handle_request(now, flow, request),
        }
    }

    fn count_sdp_repairs(&mut self, message: &SipMessage) {
        let content_type = message.value("Content-Type");
        if let Some(sdp) = message::session_description(content_type, message.body()) {
            self.shard.counters.count_sdp_repairs(sdp::repairs(&sdp));
        }
    }

    fn refuse_malformed(&mut self, now: Instant, flow: Flow, bytes: &[u8], error: ParseError) {
        self.shard.counters.count(Counter::MalformedMessage);
        if self.may_answer(now, flow, None)
            && let Some(bytes) = message::refusal(bytes, error, flow.remote)
        {
            self.shard.send(now, flow, bytes.into(), None);
        }
    }

    /// A 2xx after its transaction has ended, or an answer to nothing (§18.1.2). A final one to an
    /// INVITE of ours is told in the timeline.
    fn handle_stray_response(&mut self, now: Instant, flow: Flow, response: &Response) {
        self.shard.counters.count(Counter::StrayResponse);
        let is_final = response.status_code.code() >= 200;
        let is_to_invite = response.cseq_method().is_none_or(|method| method == Method::Invite);
        let owner = response.call_id().and_then(|call_id| self.shard.dialogs.get(call_id)).copied();
        if let Some(owner) = owner.filter(|_| is_final && is_to_invite)
            && self.is_reached_over(owner, flow, Counter::ForeignResponse)
        {
            self.calls.with(now, &mut self.shard, owner.call, |call, cx| {
                call.ignore_response(cx, owner, response)
            });
        }
    }

    /// Whether a message names a transaction of a call and does not come from where that one's
    /// messages may (B02): then it is a stray.
    fn is_foreign(
        &mut self,
        flow: Flow,
        transaction: Option<TransactionId>,
        message: &SipMessage,
    ) -> bool {
        let Some(peer) = transaction.and_then(|id| self.shard.transactions.user(id)).copied()
        else {
            return false;
        };
        let is_same = match peer.flow.transport {
            Transport::Wss => peer.flow == flow,
            _ => flow.transport != Transport::Wss && peer.flow.remote.ip() == flow.remote.ip(),
        };
        let foreign = match message {
            SipMessage::Request(_) => Counter::ForeignRequest,
            SipMessage::Response(_) => Counter::ForeignResponse,
        };
        let is_heard = is_same
            || match (peer.owner, transaction) {
                (Some(owner), _) => self.is_reached_over(owner, flow, foreign),
                (None, Some(id)) => self.is_errand_answered_from(id, flow.remote.ip()),
                (None, None) => false,
            };
        !is_heard
    }

    /// Whether a stray of this flow gets an answer: over WebSockets each does, else a trunk, and,
    /// at a rate, who knows ids of ours.
    fn may_answer(&mut self, now: Instant, flow: Flow, request: Option<&Request>) -> bool {
        let source = flow.remote.ip();
        let may = flow.transport == Transport::Wss
            || self.shard.is_trunk(source)
            || request.is_some_and(|request| self.names_dialog(request))
                && self.strangers.admits(now, source);
        if !may {
            self.shard.counters.count(Counter::Unanswered);
            if flow.transport.is_reliable() {
                self.shard.output.push_back(Output::CutFlow { flow });
            }
        }
        may
    }

    /// Whether the request's dialog may have been one of ours, by the form of its ids.
    fn names_dialog(&self, request: &Request) -> bool {
        let is_ours = |id: Option<&str>| id.is_some_and(|id| self.shard.entropy.is_token(id));
        is_ours(request.call_id()) && is_ours(request.to_tag())
    }

    fn handle_request(&mut self, now: Instant, flow: Flow, mut request: Request) {
        message::stamp_source(&mut request, flow.remote);
        let Admitted::Yes = self.admit_softphone(now, flow, &request) else { return };
        let owner = request.call_id().and_then(|call_id| self.shard.dialogs.get(call_id)).copied();
        let owner =
            owner.filter(|owner| self.is_reached_over(*owner, flow, Counter::ForeignRequest));
        if request.method == Method::Ack {
            match owner {
                Some(owner) => self.calls.with(now, &mut self.shard, owner.call, |call, cx| {
                    call.handle_ack(cx, owner, &request)
                }),
                None => self.shard.counters.count(Counter::StrayAck),
            }
            return;
        }
        let flow = reply_flow(flow, &request);
        let Some(owner) = owner.filter(|_| request.to_tag().is_some()) else {
            let is_loop = owner.is_some() && request.method == Method::Invite;
            return self.answer_stray(now, flow, &request, is_loop);
        };
        let cancelled = self
            .shard
            .transactions
            .cancelled(&request)
            .filter(|_| request.method == Method::Cancel);
        let peer = Peer { flow, owner: Some(owner) };
        let Ok(id) = self.shard.transactions.start_server(now, &request, reliability(flow), peer)
        else {
            return self.refuse_for_capacity(now, flow, &request);
        };
        if request.method == Method::Cancel {
            // Each INVITE to us has its final response already, so there is nothing to cancel
            // (§9.2).
            let code = if cancelled.is_some() { 200 } else { 481 };
            let response = request::response(&self.shard.config, &request, code, "");
            return self.shard.respond(now, id, response);
        }
        self.calls.with(now, &mut self.shard, owner.call, |call, cx| {
            call.handle_request(cx, owner, id, &request)
        });
    }

    /// Answers a request that belongs to no call, or to one that the sender has no part in: both in
    /// the same way, so that the answer tells nothing. Without a transaction (§8.2.7), so that
    /// strangers cannot fill the table. An INVITE of ours that comes back from its trunk is a loop.
    fn answer_stray(&mut self, now: Instant, flow: Flow, request: &Request, is_loop: bool) {
        if !self.may_answer(now, flow, Some(request)) {
            return;
        }
        let tag = self.stray_tag(request);
        let config = &self.shard.config;
        let response = |code| request::response(config, request, code, &tag);
        let (counter, response) = if is_loop {
            // §8.2.2.2.
            (Counter::LoopedRequest, response(482))
        } else if request.to_tag().is_some() {
            (Counter::UnknownDialog, response(481))
        } else if request.method == Method::Cancel {
            (Counter::UnservedRequest, response(481))
        } else if Uri::read(&request.uri.to_string()).scheme == Scheme::Other {
            // §8.2.2.1.
            (Counter::UnservedRequest, response(416))
        } else if let Some(refusal) = request::bad_extension(config, request, &tag) {
            (Counter::UnservedRequest, refusal)
        } else {
            match request.method {
                Method::Options => {
                    (Counter::OptionsAnswered, request::capabilities(config, request, &tag))
                }
                Method::Invite => (Counter::IncomingCall, response(403)),
                Method::Bye | Method::Info | Method::Update | Method::PRack | Method::Notify => {
                    (Counter::UnservedRequest, response(481))
                }
                _ => (Counter::UnservedRequest, response(405)),
            }
        };
        self.shard.counters.count(counter);
        self.send_response(now, flow, &response);
    }

    /// The same To tag for each retransmission of a request (§8.2.7), which strangers cannot
    /// foresee.
    pub(super) fn stray_tag(&self, request: &Request) -> String {
        let mut hasher = DefaultHasher::new();
        self.tag_key.hash(&mut hasher);
        request.call_id().hash(&mut hasher);
        request.top_via().and_then(|via| via.branch()).hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }

    /// No room for a transaction: the peer may try again later (§21.5.4).
    fn refuse_for_capacity(&mut self, now: Instant, flow: Flow, request: &Request) {
        self.shard.counters.count(Counter::TransactionCapacity);
        let mut response = request::response(&self.shard.config, request, 503, "");
        response.headers.push(message::header("Retry-After", "5"));
        self.send_response(now, flow, &response);
    }

    pub(super) fn send_response(&mut self, now: Instant, flow: Flow, response: &Response) {
        self.shard.send(now, flow, message::print_response(response).into(), None);
    }
}

/// Where the responses to a request go: back on its connection, or over UDP where its Via says
/// (§18.2.2, RFC 3581 §4).
fn reply_flow(flow: Flow, request: &Request) -> Flow {
    if flow.transport.is_reliable() {
        return flow;
    }
    // A Via that is not well-formed was not stamped either: its sender is where it came from.
    let via = request.value("Via").and_then(Via::parse);
    let remote = via.and_then(|via| via.reply_address()).unwrap_or(flow.remote);
    Flow { remote, ..flow }
}
