//! All transactions of one shard: bounded, found by key, driven by one deadline. Each carries what
//! its user attached to it, such as the flow it runs over and the leg it serves; the table only
//! hands that back.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Instant;

use slab::Slab;

use super::{
    ClientInput, ClientInvite, ClientNonInvite, Key, Output, Reliability, ServerInput,
    ServerInvite, ServerNonInvite, Timers,
};
use crate::message::{Method, Request, Response, SipMessage};

/// One transaction; the generation makes a stale id harmless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionId {
    index: usize,
    generation: u64,
}

/// Why no transaction was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    #[error("as many transactions as allowed")]
    AtCapacity,
    #[error("a transaction with this key is running")]
    Taken,
    #[error("the request has no transaction: an ACK, or without a branch")]
    NoKey,
}

/// Monotonic counts of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    pub started_count: u64,
    /// Starts refused because the table was full.
    pub refused_count: u64,
    /// Messages that matched no transaction.
    pub unmatched_count: u64,
}

#[derive(Debug)]
#[expect(clippy::enum_variant_names, reason = "the RFC's names")]
enum Machine {
    ClientInvite(ClientInvite),
    ClientNonInvite(ClientNonInvite),
    ServerInvite(ServerInvite),
    ServerNonInvite(ServerNonInvite),
}

impl Machine {
    fn client(now: Instant, request: Request, reliability: Reliability, timers: Timers) -> Self {
        if request.method == Method::Invite {
            Self::ClientInvite(ClientInvite::new(now, request, reliability, timers))
        } else {
            Self::ClientNonInvite(ClientNonInvite::new(now, &request, reliability, timers))
        }
    }

    fn poll_output(&mut self) -> Option<Output> {
        match self {
            Self::ClientInvite(machine) => machine.poll_output(),
            Self::ClientNonInvite(machine) => machine.poll_output(),
            Self::ServerInvite(machine) => machine.poll_output(),
            Self::ServerNonInvite(machine) => machine.poll_output(),
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::ClientInvite(machine) => machine.poll_timeout(),
            Self::ClientNonInvite(machine) => machine.poll_timeout(),
            Self::ServerInvite(machine) => machine.poll_timeout(),
            Self::ServerNonInvite(machine) => machine.poll_timeout(),
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        match self {
            Self::ClientInvite(machine) => machine.handle_timeout(now),
            Self::ClientNonInvite(machine) => machine.handle_timeout(now),
            Self::ServerInvite(machine) => machine.handle_timeout(now),
            Self::ServerNonInvite(machine) => machine.handle_timeout(now),
        }
    }

    fn handle_client(&mut self, now: Instant, input: ClientInput) {
        match self {
            Self::ClientInvite(machine) => machine.handle_input(now, input),
            Self::ClientNonInvite(machine) => machine.handle_input(now, input),
            Self::ServerInvite(_) | Self::ServerNonInvite(_) => {}
        }
    }

    fn handle_server(&mut self, now: Instant, input: ServerInput) {
        match self {
            Self::ServerInvite(machine) => machine.handle_input(now, input),
            Self::ServerNonInvite(machine) => machine.handle_input(now, input),
            Self::ClientInvite(_) | Self::ClientNonInvite(_) => {}
        }
    }
}

/// What a user attaches to its transactions.
pub trait Attachment: Clone {
    /// The other end of the stream that a transaction runs over, and fails with; `None` for
    /// datagrams.
    fn stream(&self) -> Option<SocketAddr>;
}

#[derive(Debug)]
struct Entry<U> {
    generation: u64,
    key: Key,
    user: U,
    machine: Machine,
    armed: Option<Instant>,
    fallback: Option<Box<(Request, U)>>,
}

/// The transactions of one shard, each with a `U` of its user.
#[derive(Debug)]
pub struct Table<U> {
    timers: Timers,
    capacity: usize,
    entries: Slab<Entry<U>>,
    by_key: BTreeMap<Key, usize>,
    by_stream: BTreeSet<(SocketAddr, usize)>,
    deadlines: BTreeSet<(Instant, usize)>,
    outputs: VecDeque<(TransactionId, U, Output)>,
    next_generation: u64,
    counters: Counters,
}

impl<U: Attachment> Table<U> {
    /// Makes a table for at most `capacity` transactions.
    pub fn new(capacity: usize, timers: Timers) -> Self {
        Self {
            timers,
            capacity,
            entries: Slab::new(),
            by_key: BTreeMap::new(),
            by_stream: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            outputs: VecDeque::new(),
            next_generation: 0,
            counters: Counters::default(),
        }
    }

    /// Sends a request, whose top Via holds a fresh branch.
    pub fn start_client(
        &mut self,
        now: Instant,
        request: Request,
        reliability: Reliability,
        user: U,
    ) -> Result<TransactionId, Full> {
        if request.method == Method::Ack {
            return Err(Full::NoKey);
        }
        let key = Key::client(&request).ok_or(Full::NoKey)?;
        self.admit(&key)?;
        let machine = Machine::client(now, request, reliability, self.timers);
        Ok(self.insert(key, user, machine))
    }

    /// Gives a client transaction over a stream the same request for datagrams, should the stream
    /// fail before any response (§18.1.1).
    pub fn give_fallback(&mut self, id: TransactionId, request: Request, user: U) {
        if self.is_running(id) {
            self.entries[id.index].fallback = Some(Box::new((request, user)));
        }
    }

    /// Gives a running transaction another user over the same stream.
    pub fn hand_over(&mut self, id: TransactionId, user: U) {
        if self.is_running(id) {
            self.entries[id.index].user = user;
        }
    }

    /// Goes on with an INVITE that an earlier process sent.
    pub fn inherit_invite(
        &mut self,
        invite: Request,
        reliability: Reliability,
        user: U,
    ) -> Result<TransactionId, Full> {
        let key = Key::client(&invite).ok_or(Full::NoKey)?;
        self.admit(&key)?;
        let machine =
            Machine::ClientInvite(ClientInvite::inherited(invite, reliability, self.timers));
        Ok(self.insert(key, user, machine))
    }

    /// Takes charge of a request that matched no transaction. The user has the request already and
    /// answers by `respond`.
    pub fn start_server(
        &mut self,
        now: Instant,
        request: &Request,
        reliability: Reliability,
        user: U,
    ) -> Result<TransactionId, Full> {
        if request.method == Method::Ack {
            return Err(Full::NoKey);
        }
        let key = Key::server(request).ok_or(Full::NoKey)?;
        self.admit(&key)?;
        let machine = if request.method == Method::Invite {
            Machine::ServerInvite(ServerInvite::new(now, request, reliability, self.timers))
        } else {
            Machine::ServerNonInvite(ServerNonInvite::new(reliability, self.timers))
        };
        Ok(self.insert(key, user, machine))
    }

    fn admit(&mut self, key: &Key) -> Result<(), Full> {
        if self.by_key.contains_key(key) {
            return Err(Full::Taken);
        }
        if self.entries.len() >= self.capacity {
            self.counters.refused_count += 1;
            return Err(Full::AtCapacity);
        }
        Ok(())
    }

    fn insert(&mut self, key: Key, user: U, machine: Machine) -> TransactionId {
        let generation = self.next_generation;
        self.next_generation += 1;
        self.counters.started_count += 1;
        let stream = user.stream();
        let entry =
            Entry { generation, key: key.clone(), user, machine, armed: None, fallback: None };
        let index = self.entries.insert(entry);
        self.by_stream.extend(stream.map(|stream| (stream, index)));
        self.by_key.insert(key, index);
        self.settle(index);
        TransactionId { index, generation }
    }

    /// The running transaction that a message belongs to. `None` for a new request, an ACK of a 2xx
    /// and a stray response.
    pub fn route(&self, message: &SipMessage) -> Option<TransactionId> {
        match message {
            SipMessage::Request(request) => self.find(&Key::server(request)?),
            SipMessage::Response(response) => {
                Key::responses(response).find_map(|key| self.find(&key))
            }
        }
    }

    /// The INVITE server transaction that a CANCEL is for (§9.2); the CANCEL has one of its own
    /// besides.
    pub fn cancelled(&self, cancel: &Request) -> Option<TransactionId> {
        self.find(&Key::cancelled(cancel)?)
    }

    /// The user of the INVITE client transaction that a CANCEL of ours is for (§9.1).
    pub fn user_of_invite(&self, cancel: &Request) -> Option<&U> {
        self.user(self.find(&Key::client_as(cancel, Method::Invite)?)?)
    }

    fn find(&self, key: &Key) -> Option<TransactionId> {
        let index = *self.by_key.get(key)?;
        Some(TransactionId { index, generation: self.entries[index].generation })
    }

    /// Gives the message to the transaction that it was [routed](Self::route) to, or gives it back:
    /// then it is the user's own.
    #[expect(clippy::result_large_err, reason = "the message itself is given back")]
    pub fn handle_message(
        &mut self,
        now: Instant,
        transaction: Option<TransactionId>,
        message: SipMessage,
    ) -> Result<TransactionId, SipMessage> {
        let Some(id) = transaction else {
            self.counters.unmatched_count += 1;
            return Err(message);
        };
        let machine = &mut self.entries[id.index].machine;
        match message {
            SipMessage::Request(request) => {
                machine.handle_server(now, ServerInput::Request(request))
            }
            SipMessage::Response(response) => {
                machine.handle_client(now, ClientInput::Response(response))
            }
        }
        self.settle(id.index);
        Ok(id)
    }

    /// Sends a response through a server transaction; nothing happens when it is over.
    pub fn respond(&mut self, now: Instant, id: TransactionId, response: Response) {
        if self.is_running(id) {
            self.entries[id.index].machine.handle_server(now, ServerInput::Response(response));
            self.settle(id.index);
        }
    }

    /// Tells the transaction that its bytes could not be sent; whether it falls back.
    pub fn handle_transport_error(&mut self, now: Instant, id: TransactionId) -> bool {
        if !self.is_running(id) {
            return false;
        }
        let entry = &mut self.entries[id.index];
        let fallback = entry.fallback.take();
        let falls_back = fallback.is_some();
        if let Some((request, user)) = fallback.map(|fallback| *fallback) {
            let former = std::mem::replace(&mut entry.user, user).stream();
            let stream = entry.user.stream();
            entry.machine = Machine::client(now, request, Reliability::Unreliable, self.timers);
            if let Some(stream) = former {
                self.by_stream.remove(&(stream, id.index));
            }
            self.by_stream.extend(stream.map(|stream| (stream, id.index)));
        } else {
            entry.machine.handle_client(now, ClientInput::TransportError);
            entry.machine.handle_server(now, ServerInput::TransportError);
        }
        self.settle(id.index);
        falls_back
    }

    /// Ends a transaction without a word, such as an INVITE whose CANCEL brought no answer within
    /// 64 × T1 (§9.1).
    pub fn terminate(&mut self, id: TransactionId) {
        if self.is_running(id) {
            self.remove(id.index);
        }
    }

    /// The running transactions over streams to this address, with what their user attached.
    pub fn over_stream(&self, remote: SocketAddr) -> impl Iterator<Item = (TransactionId, &U)> {
        self.by_stream.range((remote, 0)..=(remote, usize::MAX)).map(|(_, index)| {
            let entry = &self.entries[*index];
            (TransactionId { index: *index, generation: entry.generation }, &entry.user)
        })
    }

    /// Whether the transaction is not over.
    pub fn is_running(&self, id: TransactionId) -> bool {
        self.entries.get(id.index).is_some_and(|entry| entry.generation == id.generation)
    }

    /// What its user attached to a running transaction.
    pub fn user(&self, id: TransactionId) -> Option<&U> {
        self.entries
            .get(id.index)
            .filter(|entry| entry.generation == id.generation)
            .map(|entry| &entry.user)
    }

    /// The next output, of whichever transaction.
    pub fn poll_output(&mut self) -> Option<(TransactionId, U, Output)> {
        self.outputs.pop_front()
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.first().map(|(due, _)| *due)
    }

    /// Fires each timer that is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(&(due, index)) = self.deadlines.first() {
            if due > now {
                return;
            }
            self.entries[index].machine.handle_timeout(now);
            self.settle(index);
        }
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Counted since the start.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Moves a machine's outputs to the table's, arms its next deadline and removes it when it is
    /// over.
    fn settle(&mut self, index: usize) {
        let entry = &mut self.entries[index];
        let id = TransactionId { index, generation: entry.generation };
        let mut is_over = false;
        while let Some(output) = entry.machine.poll_output() {
            is_over |= matches!(output, Output::Terminated);
            if matches!(output, Output::Response(_)) {
                entry.fallback = None;
            }
            self.outputs.push_back((id, entry.user.clone(), output));
        }
        let due = entry.machine.poll_timeout();
        if entry.armed != due {
            if let Some(old) = entry.armed {
                self.deadlines.remove(&(old, index));
            }
            if let Some(due) = due {
                self.deadlines.insert((due, index));
            }
            entry.armed = due;
        }
        if is_over {
            self.remove(index);
        }
    }

    fn remove(&mut self, index: usize) {
        let entry = self.entries.remove(index);
        self.by_key.remove(&entry.key);
        if let Some(stream) = entry.user.stream() {
            self.by_stream.remove(&(stream, index));
        }
        if let Some(due) = entry.armed {
            self.deadlines.remove(&(due, index));
        }
    }
}
