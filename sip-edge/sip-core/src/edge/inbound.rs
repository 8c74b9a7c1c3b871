//! Where a message from the network belongs: a transaction, a dialog, or nowhere, and what a stray one gets (RFC 3261 §8.2, §9.2,
//! §12.2.2, §18.2). Nobody calls us: an INVITE outside any dialog is refused.

use super::{Counter, Edge, Flow, Output};
use crate::call::context::{Peer, reliability};
use crate::call::request;
use crate::message::{self, Limits, Method, Request, SipMessage, View};
use crate::transaction::TransactionId;
use std::time::Instant;

impl Edge {
    pub(super) fn handle_message(&mut self, now: Instant, flow: Flow, bytes: &[u8]) {
        let message = match message::parse(bytes, &Limits::default()) {
            Ok(message) => message,
            Err(error) => {
                self.shard.counters.count(Counter::MalformedMessage);
                if let Some(bytes) = message::refusal(bytes, error, flow.remote) {
                    self.shard.output.push_back(Output::Sip { flow, bytes: bytes.into() });
                }
                return;
            }
        };
        match self.shard.transactions.handle_message(now, message) {
            Ok(_) => {}
            // A 2xx after its transaction has ended, or an answer to nothing (§18.1.2).
            Err(SipMessage::Response(_)) => self.shard.counters.count(Counter::StrayResponse),
            Err(SipMessage::Request(request)) => self.handle_request(now, flow, request),
        }
    }

    fn handle_request(&mut self, now: Instant, flow: Flow, mut request: Request) {
        message::stamp_source(&mut request, flow.remote);
        let owner = request.call_id().and_then(|call_id| self.shard.dialogs.get(call_id)).copied();
        if request.method == Method::Ack {
            match owner {
                Some(owner) => self.calls.with(now, &mut self.shard, owner.call, |call, cx| call.handle_ack(cx, owner, &request)),
                None => self.shard.counters.count(Counter::StrayAck),
            }
            return;
        }
        let owner = owner.filter(|_| request.to_tag().is_some());
        let peer = Peer { flow: reply_flow(flow, &request), owner };
        let cancelled = self.shard.transactions.cancelled(&request).filter(|_| request.method == Method::Cancel);
        let Ok(id) = self.shard.transactions.start_server(now, &request, reliability(flow), peer) else {
            self.refuse_alone(peer.flow, &request);
            return;
        };
        match (request.method, owner) {
            // Each INVITE to us has its final response already, so there is nothing to cancel (§9.2).
            (Method::Cancel, _) => self.respond(now, id, &request, if cancelled.is_some() { 200 } else { 481 }),
            (_, Some(owner)) => {
                self.calls.with(now, &mut self.shard, owner.call, |call, cx| call.handle_request(cx, owner, id, &request));
            }
            (_, None) => self.handle_stray(now, id, &request),
        }
    }

    /// Answers a request that belongs to no call.
    fn handle_stray(&mut self, now: Instant, id: TransactionId, request: &Request) {
        if request.to_tag().is_some() {
            self.shard.counters.count(Counter::UnknownDialog);
            return self.respond(now, id, request, 481);
        }
        if let Some(response) = request::bad_extension(&mut self.shard, request) {
            self.shard.counters.count(Counter::UnservedRequest);
            return self.shard.respond(now, id, response);
        }
        match request.method {
            Method::Options => {
                let response = request::capabilities(&mut self.shard, request);
                self.shard.respond(now, id, response);
            }
            Method::Invite => {
                self.shard.counters.count(Counter::IncomingCall);
                self.respond(now, id, request, 403);
            }
            method => {
                self.shard.counters.count(Counter::UnservedRequest);
                let inside_only = matches!(method, Method::Bye | Method::Info | Method::Update | Method::PRack | Method::Notify);
                self.respond(now, id, request, if inside_only { 481 } else { 405 });
            }
        }
    }

    fn respond(&mut self, now: Instant, id: TransactionId, request: &Request, code: u16) {
        let response = request::response(&mut self.shard, request, code);
        self.shard.respond(now, id, response);
    }

    /// No room for a transaction: the peer may try again later (§21.5.4).
    fn refuse_alone(&mut self, flow: Flow, request: &Request) {
        self.shard.counters.count(Counter::TransactionCapacity);
        let mut response = request::response(&mut self.shard, request, 503);
        response.headers.push(message::header("Retry-After", "5"));
        self.shard.output.push_back(Output::Sip { flow, bytes: message::print_response(&response).into() });
    }
}

/// Where the responses to a request go: back on its connection, or over UDP where its Via says (§18.2.2, RFC 3581 §4).
fn reply_flow(flow: Flow, request: &Request) -> Flow {
    if flow.transport.is_reliable() {
        return flow;
    }
    let remote = request.top_via().and_then(|via| via.reply_address()).unwrap_or(flow.remote);
    Flow { remote, ..flow }
}
