//! What the calls of a shard share: the relay, transactions, random source, counters and outputs.
//! Owns the indexes by which messages, media events and recordings find their call.

use super::ladder::{Ladders, Message};
use crate::command::{EdgeConfig, InterfaceFault, Refusal, Route};
use crate::counters::{Counter, Counters};
use crate::entropy::Entropy;
use crate::event::{CopiedRtcp, Event, Output, SourceKind};
use crate::flow::{Flow, Transport};
use crate::message::{self, Method, Request, Response};
use crate::outcome::LegName;
use crate::registrar::Registrar;
use crate::transaction::{Attachment, Full, Reliability, Table, TransactionId};
use crate::trunk::Trunks;
use call_words::{AgentName, Reason, TrunkId};
use ipnet::IpNet;
use media_core::relay::{AudioId, LegId, RecordingId, Relay, RtcpCopy};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Trunks that are remembered by what they do.
const MAX_TRUNK_COUNT: usize = 1024;
/// Longest request over UDP: no path's MTU, which is not known, is below it (RFC 3261 §18.1.1).
const MAX_DATAGRAM_LEN: usize = 1_300;
/// How long a trunk that took no connection gets large requests over UDP.
const DATAGRAMS_ONLY: Duration = Duration::from_secs(300);

/// A call of the shard; the generation makes a stale key harmless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallKey {
    pub index: u32,
    pub generation: u64,
}

impl CallKey {
    const ENDED: u64 = 1 << 63;

    /// The key of what is still to be said to a leg of an earlier process; no call has it.
    pub fn of_farewell(index: u32) -> CallKey {
        CallKey { index, generation: u64::MAX }
    }

    /// The key of a leg of a call that is over; no call has it.
    pub fn of_ended(index: u32, generation: u64) -> CallKey {
        CallKey { index, generation: Self::ENDED | generation }
    }

    /// Whether it is a leg of a call that is over.
    pub fn is_of_ended(self) -> bool {
        !self.is_of_farewell() && self.generation & Self::ENDED != 0
    }

    /// Whether it is no call of this process but one that an earlier process left.
    pub fn is_of_farewell(self) -> bool {
        self.generation == u64::MAX
    }
}

/// Which INVITE of which leg a message concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    pub call: CallKey,
    pub leg: LegName,
    /// Place in the leg's list.
    pub invitation: usize,
}

/// What is attached to a transaction: where its messages go, and whose it is.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    pub flow: Flow,
    /// `None` for a request to a trunk outside any call.
    pub owner: Option<Owner>,
}

impl Attachment for Peer {
    fn stream(&self) -> Option<SocketAddr> {
        (self.flow.transport != Transport::Udp).then_some(self.flow.remote)
    }
}

/// All that the calls of a shard share.
pub struct Resources {
    pub config: EdgeConfig,
    pub relay: Relay,
    pub transactions: Table<Peer>,
    pub entropy: Entropy,
    pub output: VecDeque<Output>,
    pub counters: Counters,
    /// By the Call-ID of an INVITE that we sent.
    pub dialogs: BTreeMap<String, Owner>,
    /// By index and generation of the relay's ids.
    pub media_legs: BTreeMap<(u32, u32), (CallKey, LegName)>,
    pub recordings: BTreeMap<(u32, u32), CallKey>,
    pub registrar: Option<Registrar>,
    /// The running call of each agent that is reached by softphone, and as which party.
    pub agents: BTreeMap<AgentName, (CallKey, LegName)>,
    /// Hosts that INVITEs went to, and the networks that are named with them: strays from there are
    /// no stranger's.
    pub trunk_networks: BTreeSet<IpNet>,
    /// Trunks of which it was told that something came from elsewhere.
    pub refused_sources: BTreeSet<(TrunkId, SourceKind)>,
    /// Trunks of which it was told that they have no way, and by which interface.
    pub lacking_interfaces: BTreeSet<(TrunkId, Option<String>)>,
    /// Trunks over UDP that took no connection, and until when they are not asked for one.
    pub datagrams_only: BTreeMap<SocketAddr, Instant>,
    /// Whether trunks are there to take calls.
    pub trunks: Trunks,
    /// What is kept of the calls' messages.
    pub ladders: Ladders<CallKey>,
    /// What parties on hold hear, by file name.
    pub hold_audio: BTreeMap<String, AudioId>,
}

impl Resources {
    /// Sends a request in a transaction of its own; `None`, counted, if there is no room for one.
    pub fn send_request(
        &mut self,
        now: Instant,
        request: Request,
        flow: Flow,
        owner: Owner,
    ) -> Option<TransactionId> {
        match self.start_request(now, request, flow, Some(owner)) {
            Ok(transaction) => Some(transaction),
            Err(Full::AtCapacity | Full::Taken | Full::NoKey) => {
                self.counters.count(Counter::TransactionCapacity);
                None
            }
        }
    }

    /// The same without counting. A large request to a trunk over UDP goes over TCP, and over UDP
    /// only if no connection comes about (RFC 3261 §18.1.1).
    pub fn start_request(
        &mut self,
        now: Instant,
        request: Request,
        flow: Flow,
        owner: Option<Owner>,
    ) -> Result<TransactionId, Full> {
        let peer = Peer { flow, owner };
        if !self.is_moved(now, &request, flow) {
            return self.transactions.start_client(now, request, reliability(flow), peer);
        }
        let flow = Flow { transport: Transport::Tcp, ..flow };
        let moved = message::over(&request, "TCP");
        let (reliability, user) = (reliability(flow), Peer { flow, owner });
        let transaction = self.transactions.start_client(now, moved, reliability, user)?;
        self.transactions.give_fallback(transaction, request, peer);
        self.counters.count(Counter::MovedToTcp);
        Ok(transaction)
    }

    fn is_moved(&self, now: Instant, request: &Request, flow: Flow) -> bool {
        let refuses = || self.datagrams_only.get(&flow.remote).is_some_and(|until| now < *until);
        flow.transport == Transport::Udp
            && match request.method {
                // It goes the way of its INVITE (§9.1).
                Method::Cancel => {
                    let invite = self.transactions.user_of_invite(request);
                    invite.is_some_and(|peer| peer.flow.transport == Transport::Tcp)
                }
                _ => message::request_len(request) > MAX_DATAGRAM_LEN && !refuses(),
            }
    }

    /// A large request went over UDP after all: for a while the next ones do at once.
    pub fn note_fallback(&mut self, now: Instant, remote: SocketAddr) {
        self.counters.count(Counter::FellBackToUdp);
        if self.datagrams_only.len() >= MAX_TRUNK_COUNT {
            self.datagrams_only.clear();
        }
        self.datagrams_only.insert(remote, now + DATAGRAMS_ONLY);
    }

    /// Sends a request that has no transaction: the ACK of a 2xx (RFC 3261 §13.2.2.4).
    pub fn send_alone(&mut self, now: Instant, request: &Request, flow: Flow, owner: Owner) {
        self.send(now, flow, message::print_request(request).into(), Some(owner));
    }

    /// Sends a whole message: each one passes here on its way out.
    pub fn send(&mut self, now: Instant, flow: Flow, bytes: Arc<[u8]>, owner: Option<Owner>) {
        if let Some(owner) = owner
            && !self.ladders.is_empty()
        {
            self.note(now, owner, true, flow, bytes.clone());
        }
        self.output.push_back(Output::Sip { flow, bytes });
    }

    /// Takes note of a message that came: each one of a call passes here on its way in.
    pub fn note_received(&mut self, now: Instant, flow: Flow, bytes: &[u8], call_id: Option<&str>) {
        if !self.ladders.is_empty()
            && let Some(&owner) = call_id.and_then(|id| self.dialogs.get(id))
        {
            self.note(now, owner, false, flow, bytes.into());
        }
    }

    fn note(&mut self, at: Instant, owner: Owner, is_sent: bool, flow: Flow, bytes: Arc<[u8]>) {
        let Owner { call, leg, .. } = owner;
        let are_all_watched = self.config.copies_sip;
        if let Some(copied) = self.ladders.copied(&call, is_sent, flow, &bytes, are_all_watched) {
            self.output.push_back(Output::Copied(Box::new(copied)));
        }
        self.ladders.add(&call, Message { at, leg, is_sent, flow, bytes });
    }

    /// Tells the copies of RTCP that the relay made.
    pub fn tell_rtcp(&mut self) {
        while let Some(RtcpCopy { leg, is_sent, socket, remote, bytes }) = self.relay.poll_rtcp() {
            let owner = self.media_legs.get(&Self::leg_key(leg));
            let call_id = owner.and_then(|(call, _)| self.ladders.call_id(call));
            let Some(call_id) = call_id.cloned() else { continue };
            let bytes = bytes.to_vec();
            let copied = CopiedRtcp { call_id, is_sent, socket, remote, bytes };
            self.output.push_back(Output::CopiedRtcp(Box::new(copied)));
        }
    }

    /// Answers a request of a peer.
    pub fn respond(&mut self, now: Instant, transaction: TransactionId, response: Response) {
        self.transactions.respond(now, transaction, response);
    }

    /// Remembers a host, and the networks that its messages come from, as a trunk's.
    pub fn remember_trunk(&mut self, host: IpAddr, signal_from: &[IpNet]) {
        for network in signal_from.iter().copied().chain([IpNet::from(host.to_canonical())]) {
            if self.trunk_networks.len() >= MAX_TRUNK_COUNT
                && !self.trunk_networks.contains(&network)
            {
                self.trunk_networks.clear();
            }
            self.trunk_networks.insert(network);
        }
    }

    /// Whether a host is known as a trunk's.
    pub fn is_trunk(&self, host: IpAddr) -> bool {
        let host = host.to_canonical();
        self.trunk_networks.contains(&IpNet::from(host))
            || self.trunk_networks.iter().any(|network| network.contains(&host))
    }

    /// Why no INVITE goes over the route now.
    pub fn bar(&mut self, route: &Route) -> Option<Reason> {
        match self.config.interface_for(route) {
            Ok(_) => self.trunks.bar(&route.trunk),
            Err(fault) => {
                self.lack_interface(&route.trunk, route.interface.as_deref(), fault);
                Some(Reason::TrunkInterface)
            }
        }
    }

    /// Counts that a trunk has no way, and tells it once for each interface.
    pub fn lack_interface(&mut self, trunk: &TrunkId, name: Option<&str>, fault: InterfaceFault) {
        self.counters.count(Counter::InterfaceLacking);
        let interface = name.map(str::to_owned);
        let lacking = (trunk.clone(), interface.clone());
        if self.lacking_interfaces.len() < MAX_TRUNK_COUNT
            && self.lacking_interfaces.insert(lacking)
        {
            let trunk = trunk.clone();
            self.output.push_back(Output::InterfaceLacking { trunk, interface, fault });
        }
    }

    /// Counts what came of an INVITE over a trunk: whether the trunk did its part.
    pub fn note_attempt(&mut self, now: Instant, trunk: &TrunkId, has_worked: bool) {
        self.trunks.note_attempt(now, trunk, has_worked);
        self.tell_trunk(trunk);
    }

    /// Tells how a trunk stands, if that is news.
    pub fn tell_trunk(&mut self, trunk: &TrunkId) {
        if let Some(state) = self.trunks.take_news(trunk) {
            self.output.push_back(Output::Event(Event::Trunk(state)));
        }
    }

    /// Tells, once for each trunk and kind, that something of its call was not taken because of
    /// where it came from.
    pub fn refuse_source(&mut self, trunk: &TrunkId, source: IpAddr, kind: SourceKind) {
        let is_new = !self.refused_sources.contains(&(trunk.to_owned(), kind));
        if is_new && self.refused_sources.len() < 2 * MAX_TRUNK_COUNT {
            self.refused_sources.insert((trunk.to_owned(), kind));
            self.output.push_back(Output::SourceRefused { trunk: trunk.to_owned(), source, kind });
        }
    }

    /// A softphone is called only where it is registered, and only for one call at a time.
    pub fn admit_softphone(&self, agent: &AgentName) -> Result<(), Refusal> {
        if self.agents.contains_key(agent) {
            Err(Refusal::AgentBusy)
        } else if self.registrar.as_ref().is_none_or(|registrar| registrar.binding(agent).is_none())
        {
            Err(Refusal::AgentUnreachable)
        } else {
            Ok(())
        }
    }

    /// A leg as the key of a table.
    pub fn leg_key(leg: LegId) -> (u32, u32) {
        (leg.index, leg.generation)
    }

    /// A recording as the key of a table.
    pub fn recording_key(recording: RecordingId) -> (u32, u32) {
        (recording.index, recording.generation)
    }
}

/// How a flow's transport treats messages.
pub fn reliability(flow: Flow) -> Reliability {
    if flow.transport.is_reliable() { Reliability::Reliable } else { Reliability::Unreliable }
}
