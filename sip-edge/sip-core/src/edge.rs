//! The conductor of one shard: owns its calls, its transactions and its media relay, and routes SIP
//! messages to them. Knows no socket and no clock: after each mutation the shell drains
//! `poll_output`, then the relay's outputs, to `None` and arms one deadline.

mod calls;
mod farewell;
mod inbound;
mod softphones;
mod strangers;
mod trunks;

use crate::call::ladder::Ladders;
use crate::call::shard::{Owner, Peer, Resources};
use crate::command::{AgentTarget, EdgeConfig, PlaceCall, Refusal};
use crate::control::Verb;
use crate::counters::{Counter, Counters};
use crate::entropy::Entropy;
use crate::event::{Output, RecordedFile, Rung};
use crate::flow::{Flow, FlowFault};
use crate::outcome::{Cause, Failure};
use crate::registrar::Registrar;
use crate::remains::Remains;
use crate::transaction::{self, Table, Timers, TransactionId};
use crate::trunk::Trunks;
use call_words::{CallId, MilestoneKind, RefusalCode};
use calls::Calls;
use farewell::Farewells;
use media_core::relay::{RecordingId, Relay, RelayConfig};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Instant;
use strangers::Strangers;
use trunks::Errands;

/// One shard's signalling and media.
pub struct Edge {
    shard: Resources,
    calls: Calls,
    /// Legs of an earlier process.
    farewells: Farewells,
    is_draining: bool,
    /// Makes the tags of answers to strays unforeseeable.
    tag_key: u64,
    strangers: Strangers,
    /// What is sent to trunks outside calls.
    trunks: Errands,
}

impl Edge {
    /// Makes an edge without calls; `seed` feeds branches, tags, Call-IDs, SSRCs and keys and must
    /// be unpredictable.
    pub fn new(config: EdgeConfig, relay: RelayConfig, seed: [u8; 32], now: Instant) -> Edge {
        let mut entropy = Entropy::new(config.shard, seed);
        let relay = Relay::new(relay, entropy.number(), now);
        let tag_key = entropy.number();
        let shard = Resources {
            relay,
            transactions: Table::new(config.transaction_capacity, Timers::default()),
            entropy,
            output: VecDeque::new(),
            counters: Counters::default(),
            dialogs: BTreeMap::new(),
            media_legs: BTreeMap::new(),
            recordings: BTreeMap::new(),
            registrar: config.softphones.clone().map(Registrar::new),
            agents: BTreeMap::new(),
            hold_audio: BTreeMap::new(),
            trunk_networks: BTreeSet::new(),
            refused_sources: BTreeSet::new(),
            lacking_interfaces: BTreeSet::new(),
            datagrams_only: BTreeMap::new(),
            trunks: Trunks::default(),
            ladders: Ladders::default(),
            config,
        };
        let strangers = Strangers::new(tag_key, now);
        Edge {
            shard,
            calls: Calls::default(),
            farewells: Farewells::default(),
            is_draining: false,
            tag_key,
            strangers,
            trunks: Errands::default(),
        }
    }

    /// Starts a call with the agent's INVITE. A call that already lives is left as it is. A refused
    /// call tells no events; see `Ended::refused`.
    pub fn place_call(&mut self, now: Instant, call: PlaceCall) -> Result<(), Refusal> {
        if self.calls.is_live(&call.call_id) {
            return Ok(());
        }
        let placed = self.admit(&call).and_then(|()| self.calls.place(now, &mut self.shard, call));
        self.shard.counters.count(if placed.is_ok() {
            Counter::CallPlaced
        } else {
            Counter::CallRefused
        });
        self.settle(now);
        placed
    }

    fn admit(&self, call: &PlaceCall) -> Result<(), Refusal> {
        let config = &self.shard.config;
        if self.is_draining {
            Err(Refusal::Draining)
        } else if !has_routes(call) {
            Err(Refusal::NoRoute)
        } else if self.calls.live_count() >= config.call_capacity {
            Err(Refusal::CallCapacity)
        } else if self.shard.transactions.len()
            >= config.transaction_capacity - config.transaction_capacity / 4
        {
            // The last quarter is for the requests of running calls: what runs must be able to end.
            Err(Refusal::TransactionCapacity)
        } else {
            self.admit_agent(&call.agent)
        }
    }

    /// Ends the call in any state; an unknown call is already ended.
    pub fn hang_up(&mut self, now: Instant, call_id: &CallId) {
        let Some(key) = self.calls.find(call_id) else { return };
        self.calls.with(now, &mut self.shard, key, |call, cx| {
            cx.milestone(None, MilestoneKind::HangUpRequested, None, None);
            call.hang_up(cx, Cause::Api);
        });
        self.settle(now);
    }

    /// Does what is asked of a running call, once for each `control_id`: a repeated one gets the
    /// same answer.
    pub fn control(
        &mut self,
        now: Instant,
        call_id: &CallId,
        control_id: &str,
        verb: Verb,
    ) -> Result<(), RefusalCode> {
        let Some(key) = self.calls.find(call_id) else { return Err(RefusalCode::UnknownCall) };
        let mut answer = Err(RefusalCode::UnknownCall);
        self.calls.with(now, &mut self.shard, key, |call, cx| {
            answer = call.control(cx, control_id.to_owned(), verb)
        });
        self.settle(now);
        answer
    }

    /// Tells the SIP messages of a call so far, if it keeps them and is not gone.
    pub fn tell_ladder(&mut self, call_id: &CallId) -> Result<(), RefusalCode> {
        let told = self.calls.tell_ladder(&mut self.shard, call_id);
        if told { Ok(()) } else { Err(RefusalCode::UnknownCall) }
    }

    /// Has each SIP message of a call told as `Output::Copied` from now on, or no more. Returns
    /// those that it kept so far.
    pub fn watch(&mut self, call_id: &CallId, is_watched: bool) -> Result<Vec<Rung>, RefusalCode> {
        let key = self.calls.find_any(call_id).ok_or(RefusalCode::UnknownCall)?;
        let kept = self.shard.ladders.told(&key, |_| None);
        self.shard.ladders.watch(key, call_id, is_watched);
        Ok(kept.map(|(rungs, _)| rungs).unwrap_or_default())
    }

    /// The places of a call's legs in the relay; `None` once the call is gone.
    pub fn media_legs(&self, call_id: &CallId) -> Option<impl Iterator<Item = u32>> {
        let key = self.calls.find_any(call_id)?;
        let legs = self.shard.media_legs.iter().filter(move |(_, owner)| owner.0 == key);
        Some(legs.map(|((index, _), _)| *index))
    }

    /// Keeps what calls with this `PlaceCall::hold_audio` play to parties on hold from their next
    /// hold on: 8 kHz mono. `false` when the relay keeps its most.
    pub fn add_hold_audio(&mut self, name: &str, samples: &[i16]) -> bool {
        let Some(audio) = self.shard.relay.add_audio(samples) else { return false };
        if let Some(former) = self.shard.hold_audio.insert(name.to_owned(), audio) {
            self.shard.relay.remove_audio(former);
        }
        true
    }

    /// Refuses new calls and softphones from now on, and sends away the softphones that are in no
    /// call. Those of running calls may come back to them.
    pub fn drain(&mut self, now: Instant) {
        self.is_draining = true;
        self.close_idle_softphones();
        self.settle_softphones(now);
        self.settle(now);
    }

    /// Whether `drain` was called.
    pub fn is_draining(&self) -> bool {
        self.is_draining
    }

    /// Hangs up every call on behalf of the system: the drain's limit is over.
    pub fn end_calls(&mut self, now: Instant) {
        for key in self.calls.keys() {
            self.calls.with(now, &mut self.shard, key, |call, cx| call.hang_up(cx, Cause::System));
        }
        self.settle(now);
    }

    /// Takes one whole SIP message: a UDP datagram, or one framed from a stream.
    pub fn handle_sip(&mut self, now: Instant, flow: Flow, bytes: &[u8]) {
        self.handle_message(now, flow, bytes);
        self.settle(now);
    }

    /// Sending on this flow failed, or its connection is gone: its transactions fail, and their
    /// legs fail over (RFC 3261 §17.1.4). What was sent without naming a connection fails with the
    /// flow that names none. Must be told of each WebSocket that ends: its softphone
    /// is offline from then on.
    pub fn handle_flow_error(&mut self, now: Instant, flow: Flow, fault: FlowFault) {
        self.shard.counters.count(Counter::FlowError);
        self.lose_softphone(now, flow);
        let broken = |peer: &Peer| {
            peer.flow.transport == flow.transport
                && peer.flow.connection == flow.connection
                && peer.flow.local.ip() == flow.local.ip()
        };
        let failed: Vec<TransactionId> = self
            .shard
            .transactions
            .over_stream(flow.remote)
            .filter(|(_, peer)| broken(peer))
            .map(|(id, _)| id)
            .collect();
        for id in failed {
            if self.shard.transactions.handle_transport_error(now, id) {
                self.shard.note_fallback(now, flow.remote);
            }
        }
        self.settle_after(now, fault);
        // Told for each that breaks, besides the one that is named.
        if flow.connection.is_none() && flow.transport.is_reliable() {
            self.lose_trunk_flow(now, flow);
        }
    }

    /// The interface that a flow goes by.
    pub fn interface_of(&self, flow: Flow) -> usize {
        self.shard.config.interface_of(flow)
    }

    /// Whether a host is known as a trunk's.
    pub fn is_trunk(&self, host: IpAddr) -> bool {
        self.shard.is_trunk(host)
    }

    /// The shard's media, for reports.
    pub fn relay(&self) -> &Relay {
        &self.shard.relay
    }

    /// The shard's media, for the datagram engine. Call `handle_media` after each batch.
    pub fn relay_mut(&mut self) -> &mut Relay {
        &mut self.shard.relay
    }

    /// Takes the relay's events to their calls, and tells its copies of RTCP.
    pub fn handle_media(&mut self, now: Instant) {
        self.shard.tell_rtcp();
        while let Some(event) = self.shard.relay.poll_event() {
            let Some(&(key, name)) = self.shard.media_legs.get(&Resources::leg_key(event.leg()))
            else {
                continue;
            };
            self.calls
                .with(now, &mut self.shard, key, |call, cx| call.handle_media(cx, name, event));
        }
        self.settle(now);
    }

    /// The recording's file is final.
    pub fn recording_finished(&mut self, now: Instant, recording: RecordingId, file: RecordedFile) {
        let Some(&key) = self.shard.recordings.get(&Resources::recording_key(recording)) else {
            return;
        };
        self.calls
            .with(now, &mut self.shard, key, |call, cx| call.handle_recording(cx, recording, file));
        self.settle(now);
    }

    /// The recording's file cannot be made final: the end of its call names none.
    pub fn recording_lost(&mut self, now: Instant, recording: RecordingId) {
        let Some(&key) = self.shard.recordings.get(&Resources::recording_key(recording)) else {
            return;
        };
        self.calls
            .with(now, &mut self.shard, key, |call, cx| call.handle_lost_recording(cx, recording));
        self.settle(now);
    }

    /// Something of the recording could not be written.
    pub fn recording_damaged(&mut self, now: Instant, recording: RecordingId) {
        let Some(&key) = self.shard.recordings.get(&Resources::recording_key(recording)) else {
            return;
        };
        self.calls.with(now, &mut self.shard, key, |call, cx| {
            call.handle_damaged_recording(cx, recording)
        });
        self.settle(now);
    }

    /// The next thing for the shell to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.shard.output.pop_front()
    }

    /// When `handle_timeout` is due, the relay's own timers included.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let registrar = self.shard.registrar.as_ref().and_then(Registrar::poll_timeout);
        let all = [
            self.calls.poll_timeout(),
            self.shard.transactions.poll_timeout(),
            self.shard.relay.poll_timeout(),
            registrar,
        ];
        let outside_calls = [self.farewells.poll_timeout(), self.trunks.poll_timeout()];
        all.into_iter().chain(outside_calls).flatten().min()
    }

    /// Fires each timer that is due, the relay's included.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.expire_softphones(now);
        self.shard.transactions.handle_timeout(now);
        self.settle(now);
        while let Some(key) = self.calls.due(now) {
            self.calls.with(now, &mut self.shard, key, |call, cx| call.handle_timeout(cx));
            self.settle(now);
        }
        self.farewells.handle_timeout(now, &mut self.shard);
        self.handle_trunk_timeout(now);
        self.settle(now);
        self.shard.relay.handle_timeout(now);
        self.handle_media(now);
    }

    /// Leaves the legs that an earlier process left behind: a ringing phone is cancelled, and hung
    /// up should it answer all the same; one that was answered is hung up.
    pub fn bid_farewell(&mut self, now: Instant, remains: Vec<Remains>) {
        for one in remains {
            self.farewells.begin(now, &mut self.shard, one);
        }
        self.settle(now);
    }

    /// Takes the transactions' outputs to the network and to their calls until there are none.
    fn settle(&mut self, now: Instant) {
        self.settle_after(now, FlowFault::Broken);
    }

    /// The same; what failed for want of its flow failed by this fault.
    fn settle_after(&mut self, now: Instant, fault: FlowFault) {
        while let Some((id, peer, output)) = self.shard.transactions.poll_output() {
            use transaction::Output as From;
            match (output, peer.owner) {
                (From::Transmit(bytes), _) => self.shard.send(now, peer.flow, bytes, peer.owner),
                (output, None) => self.handle_trunk_output(now, id, &output, fault),
                (output, Some(owner)) if owner.call.is_of_farewell() => {
                    self.farewells.handle_output(now, &mut self.shard, owner, id, &output);
                }
                (output, Some(owner)) if owner.call.is_of_ended() => {
                    self.calls.ended.handle_output(now, &mut self.shard, owner, id, &output);
                }
                (From::Response(response), Some(owner)) => {
                    self.calls.with(now, &mut self.shard, owner.call, |call, cx| {
                        call.handle_response(cx, owner, id, &response)
                    });
                }
                (From::Request(ack), Some(owner)) => {
                    self.calls.with(now, &mut self.shard, owner.call, |call, cx| {
                        call.handle_ack(cx, owner, &ack)
                    });
                }
                (From::Timeout, Some(owner)) => {
                    self.fail_transaction(now, owner, id, Failure::Timeout)
                }
                (From::TransportError, Some(owner)) => {
                    self.fail_transaction(now, owner, id, Failure::Transport(fault))
                }
                (From::Terminated, Some(owner)) => {
                    self.calls.with(now, &mut self.shard, owner.call, |call, _| {
                        call.handle_terminated(owner, id)
                    });
                }
            }
        }
    }

    fn fail_transaction(
        &mut self,
        now: Instant,
        owner: Owner,
        id: TransactionId,
        failure: Failure,
    ) {
        self.calls.with(now, &mut self.shard, owner.call, |call, cx| {
            call.handle_failed_transaction(cx, owner, id, failure)
        });
    }

    /// Calls that have not been told as ended.
    pub fn live_calls(&self) -> impl Iterator<Item = &CallId> {
        self.calls.live()
    }

    /// How many calls have not been told as ended.
    pub fn call_count(&self) -> usize {
        self.calls.live_count()
    }

    /// What the shard holds in its tables; all zero once every call is over and its transactions
    /// have run out.
    pub fn held(&self) -> Held {
        Held {
            call_count: self.calls.count(),
            ended_leg_count: self.calls.ended.len(),
            dialog_count: self.shard.dialogs.len(),
            transaction_count: self.shard.transactions.len(),
            leg_count: self.shard.relay.leg_count(),
            recording_count: self.shard.recordings.len(),
            busy_agent_count: self.shard.agents.len(),
            farewell_count: self.farewells.len(),
            registration_count: self.trunks.registration_count(),
            ladder_len: self.shard.ladders.len(),
        }
    }

    /// Monotonic counters by name: messages refused or dropped, by reason.
    pub fn counters(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.shard.counters.iter()
    }
}

/// A softphone may be called for the sake of its media alone.
fn has_routes(call: &PlaceCall) -> bool {
    match &call.agent {
        AgentTarget::Phone(agent) => !agent.routes.is_empty() && !call.customer.routes.is_empty(),
        AgentTarget::Softphone { .. } => true,
    }
}

/// Sizes of a shard's tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Held {
    /// Calls, those included that are told but not yet left by every phone.
    pub call_count: usize,
    /// Legs of calls that are over whose INVITE may be answered once more.
    pub ended_leg_count: usize,
    /// Call-IDs that are listened to.
    pub dialog_count: usize,
    pub transaction_count: usize,
    pub leg_count: usize,
    pub recording_count: usize,
    /// Agents that are in a call by softphone.
    pub busy_agent_count: usize,
    /// Legs of an earlier process that are not yet left.
    pub farewell_count: usize,
    /// Registrations with trunks, those that are being ended included.
    pub registration_count: usize,
    /// Bytes of calls' messages that are kept.
    pub ladder_len: usize,
}

#[cfg(test)]
mod tests;
