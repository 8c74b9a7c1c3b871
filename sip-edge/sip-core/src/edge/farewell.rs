//! The legs that an earlier process left at their carriers (B10): ringing phones are cancelled,
//! answered ones hung up, and one that answers all the same is acknowledged and hung up. What is
//! done is noted, so that it is done once.

use crate::call::context::{Context, Log};
use crate::call::invitation::{Invitation, request};
use crate::call::release::Release;
use crate::call::shard::{CallKey, Owner, Peer, Resources, reliability};
use crate::counters::Counter;
use crate::event::Output;
use crate::flow::FlowFault;
use crate::message::Method;
use crate::outcome::{Failure, LegName};
use crate::remains::{Note, Remains};
use crate::transaction::{self, TransactionId};
use call_words::CallId;
use ipnet::IpNet;
use slab::Slab;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// How long the answer of a phone that is cancelled is waited for: what a proxy waits for a ringing
/// one (RFC 3261 §16.6, timer C).
const WAIT: Duration = Duration::from_secs(180);

/// Legs that are being left.
#[derive(Default)]
pub struct Farewells {
    entries: Slab<Farewell>,
    /// Until when they are waited for; all are begun together.
    until: Option<Instant>,
}

enum Farewell {
    /// Its CANCEL is sent, and its final response waited for.
    Invite(Box<Invitation>),
    /// The BYE of the dialog of this key is sent.
    Bye { key: String, signal_from: Vec<IpNet> },
}

impl Farewells {
    /// Cancels or hangs up a leg that an earlier process left.
    pub fn begin(&mut self, now: Instant, shard: &mut Resources, remains: Remains) {
        let Remains { key, transport, remote, local, signal_from, request } = remains;
        let interface = local.and_then(|local| shard.config.interface_at(local));
        let flow = shard.config.flow(interface.unwrap_or_default(), transport, remote);
        let slot = self.entries.vacant_entry();
        let call = CallKey::of_farewell(slot.key() as u32);
        let owner = Owner { call, leg: LegName::Customer, invitation: 0 };
        shard.counters.count(Counter::Farewell);
        let mut log = quiet();
        let mut cx = Context { now, call, log: &mut log, shard };
        if request.method == Method::Invite {
            let peer = Peer { flow, owner: Some(owner) };
            let Ok(transaction) =
                cx.shard.transactions.inherit_invite(request.clone(), reliability(flow), peer)
            else {
                return gone(cx.shard, key);
            };
            let mut invitation =
                Invitation::inherited(owner, flow, signal_from, request, transaction);
            invitation.abandon(&mut cx, Release::Unavailable);
            slot.insert(Farewell::Invite(Box::new(invitation)));
            self.until = Some(now + WAIT);
        } else {
            let via = request::via(&mut cx, flow);
            let mut bye = request::again(&request, &via);
            bye.headers.extend(request::credentials_of(&request));
            bye.headers.extend(request::plain_headers(&cx.shard.config));
            bye.headers.push(Release::Unavailable.header());
            if cx.shard.send_request(now, bye.clone(), flow, owner).is_none() {
                cx.shard.send_alone(now, &bye, flow, owner);
                return gone(cx.shard, key);
            }
            slot.insert(Farewell::Bye { key, signal_from });
        }
    }

    /// Takes what became of a transaction of a leg that is being left.
    pub fn handle_output(
        &mut self,
        now: Instant,
        shard: &mut Resources,
        owner: Owner,
        id: TransactionId,
        output: &transaction::Output,
    ) {
        use transaction::Output as From;
        let index = owner.call.index as usize;
        let is_over = match self.entries.get_mut(index) {
            None => return,
            Some(Farewell::Bye { key, .. }) => {
                // Without the password a new challenge cannot be answered.
                let is_over = !matches!(output,
                    From::Response(response) if response.status_code.code() < 200);
                if is_over {
                    gone(shard, std::mem::take(key));
                }
                is_over
            }
            Some(Farewell::Invite(invitation)) => {
                let mut log = quiet();
                let mut cx = Context { now, call: owner.call, log: &mut log, shard };
                match output {
                    From::Response(response) => {
                        drop(invitation.handle_response(&mut cx, id, response))
                    }
                    From::Timeout => {
                        drop(invitation.handle_failed_transaction(&mut cx, id, Failure::Timeout))
                    }
                    From::TransportError => drop(invitation.handle_failed_transaction(
                        &mut cx,
                        id,
                        Failure::Transport(FlowFault::Broken),
                    )),
                    From::Terminated => invitation.handle_terminated(id),
                    From::Transmit(_) | From::Request(_) => {}
                }
                invitation.note_remains(shard);
                invitation.is_over()
            }
        };
        if is_over {
            self.entries.remove(index);
        }
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.until
    }

    /// Gives up what was not heard of in time.
    pub fn handle_timeout(&mut self, now: Instant, shard: &mut Resources) {
        if self.until.is_none_or(|until| now < until) {
            return;
        }
        self.until = None;
        self.entries.retain(|_, farewell| match farewell {
            Farewell::Bye { .. } => true,
            Farewell::Invite(invitation) => {
                invitation.give_up(shard);
                invitation.note_remains(shard);
                !invitation.is_over()
            }
        });
    }

    /// Whether messages of a leg that is being left may come from here.
    pub fn is_signalled_from(&self, call: CallKey, source: IpAddr) -> bool {
        let source = source.to_canonical();
        match self.entries.get(call.index as usize).filter(|_| call.is_of_farewell()) {
            Some(Farewell::Bye { signal_from, .. }) => {
                signal_from.iter().any(|network| network.contains(&source))
            }
            Some(Farewell::Invite(invitation)) => invitation.is_signalled_from(source),
            None => false,
        }
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }
}

fn gone(shard: &mut Resources, key: String) {
    shard.output.push_back(Output::Note(Note::Gone { key }));
}

/// Its call was told as ended long ago.
fn quiet() -> Log {
    Log { call_id: CallId::default(), sequence: 0, is_closed: true, parties: Vec::new() }
}
