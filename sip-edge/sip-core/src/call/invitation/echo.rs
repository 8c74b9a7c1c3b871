//! What is left of an answered INVITE whose call is over, until its transaction ends: a 2xx that
//! comes again gets its ACK again (RFC 3261 §13.2.2.4), and a phone that answers only now is
//! acknowledged and hung up. Keeps nothing else of the call.

use super::credentials::Authority;
use super::inside::Reinvite;
use super::{Fork, ForkState, Invitation, MAX_FORK_COUNT, Stage, reach, request};
use crate::call::release::Release;
use crate::call::shard::{CallKey, Owner, Peer, Resources};
use crate::dialog::{Dialog, Inside};
use crate::flow::Flow;
use crate::message::{self, Method, Response, View};
use crate::transaction::TransactionId;
use ipnet::IpNet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

/// An answered INVITE of a call that is over.
pub struct Echo {
    owner: Owner,
    transaction: TransactionId,
    flow: Flow,
    signal_from: Vec<IpNet>,
    acks: Vec<Ack>,
    /// What the trunk asked for.
    authority: Option<Box<Authority>>,
}

/// The ACK of the 2xx with this To tag.
struct Ack {
    tag: Box<str>,
    flow: Flow,
    bytes: Arc<[u8]>,
}

impl Invitation {
    /// Nothing but late responses to the INVITE can come of it.
    pub fn is_left(&self) -> bool {
        let is_left = |fork: &Fork| matches!(fork.state, ForkState::Early | ForkState::Over);
        let reinvites = self.reinvite.as_ref().is_some_and(Reinvite::is_open);
        let is_answered = self.transaction.is_none() || self.stage == Stage::Answered;
        is_answered && !reinvites && self.forks.iter().all(is_left)
    }

    /// Leaves what answers its late responses to whoever this key names; `None` if there are none.
    pub fn leave_echo(&mut self, shard: &mut Resources, key: CallKey) -> Option<Echo> {
        let transaction = self.transaction.take()?;
        let owner = Owner { call: key, ..self.owner };
        let peer = *shard.transactions.user(transaction)?;
        shard.transactions.hand_over(transaction, Peer { owner: Some(owner), ..peer });
        let acks = (0..self.forks.len()).filter_map(|index| {
            let bytes = self.forks[index].ack.clone()?;
            let tag = self.forks[index].dialog.remote_tag().into();
            Some(Ack { tag, flow: self.flow_in(index), bytes })
        });
        let acks = acks.collect();
        Some(Echo {
            owner,
            transaction,
            flow: self.flow,
            signal_from: std::mem::take(&mut self.signal_from),
            acks,
            authority: self.authority.take_challenged().map(Box::new),
        })
    }
}

impl Echo {
    /// Whether this transaction is the INVITE's, with which all is over.
    pub fn is_of(&self, transaction: TransactionId) -> bool {
        self.transaction == transaction
    }

    /// Whether its messages may come from here.
    pub fn is_signalled_from(&self, source: IpAddr) -> bool {
        reach::is_signalled_from(self.flow, &self.signal_from, source)
    }

    /// Takes a 2xx to the INVITE.
    pub fn handle_response(&mut self, now: Instant, shard: &mut Resources, response: &Response) {
        let tag = response.to_tag().unwrap_or_default();
        if let Some(ack) = self.acks.iter().find(|ack| *ack.tag == *tag) {
            return shard.send(now, ack.flow, ack.bytes.clone(), None);
        }
        if self.acks.len() < 2 * MAX_FORK_COUNT
            && let Some(dialog) = Dialog::of_late_response(response)
        {
            self.leave(now, shard, dialog);
        }
    }

    fn leave(&mut self, now: Instant, shard: &mut Resources, mut dialog: Dialog) {
        let flow = reach::toward(&dialog, self.flow, &self.signal_from);
        let ack = dialog.ack(&request::hop(shard, flow), Vec::new());
        let bytes: Arc<[u8]> = message::print_request(&ack).into();
        self.acks.push(Ack { tag: dialog.remote_tag().into(), flow, bytes: bytes.clone() });
        shard.send(now, flow, bytes, None);
        let via = request::hop(shard, flow);
        let mut extra = request::plain_headers(&shard.config);
        extra.push(Release::Elsewhere.header());
        let (method, contact) = (Method::Bye, None);
        let mut bye = dialog.request(Inside { method, via: &via, contact, extra, body: None });
        if let Some(authority) = &mut self.authority {
            authority.sign(shard, &mut bye);
        }
        if shard.send_request(now, bye.clone(), flow, self.owner).is_none() {
            shard.send(now, flow, message::print_request(&bye).into(), None);
        }
    }
}
