//! The registry of the edge's shards: who is connected, which calls each holds, which commands are
//! not yet acknowledged. Knows no socket and no record: those are `edge`'s. The lock is never held
//! across an await.

mod control;
mod folders;
mod placement;
mod softphones;
mod trunks;

pub use control::{ANSWER_TIMEOUT, ControlAnswer, ControlFailure, Whereabouts};
pub use placement::{Placement, ShardGone};
pub use softphones::PresenceChange;
pub use trunks::{TrunkStanding, is_registered};

use call_words::{CallId, EdgeName, TrunkId};
use control_wire::{Command, KeptTrunk, ShardStatus, SoftphoneService, ToEdge, TrunkState};
use softphones::Presence;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use storage::Owner;
use tokio::sync::mpsc;

/// Messages that may wait for one shard's socket.
pub(crate) const OUTGOING_CAP: usize = 1024;
/// Commands that may wait for one shard's acknowledgement; a shard with more takes no new calls.
const PENDING_CAP: usize = 4096;
/// RTP port pairs that a call needs.
const PORT_PAIRS_PER_CALL: u32 = 2;

/// The shards that connected to this process, and the calls that they hold.
#[derive(Debug, Clone, Default)]
pub struct Link(Arc<Mutex<Registry>>);

#[derive(Debug, Default)]
struct Registry {
    shards: BTreeMap<ShardId, Shard>,
    /// Where each live call is.
    calls: HashMap<CallId, ShardId>,
    softphones: Presence,
    /// Trunks that all shards keep; `None` until that is known.
    kept_trunks: Option<Vec<KeptTrunk>>,
    last_generation: u64,
}

/// One shard of one edge, over all its epochs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ShardId {
    pub edge: EdgeName,
    pub shard: u16,
}

#[derive(Debug)]
struct Shard {
    epoch: u64,
    status: ShardStatus,
    /// Where browsers reach it; `None` if it takes no softphones.
    softphone_service: Option<SoftphoneService>,
    /// Whether it registers with trunks and probes them.
    keeps_trunks: bool,
    /// Whether it tells the SIP messages of a call that is asked for.
    tells_ladders: bool,
    /// How trunks stand with it, as it told last.
    trunks: BTreeMap<TrunkId, TrunkState>,
    /// Live calls: reserved for it, or given to it.
    calls: HashMap<CallId, HeldCall>,
    connection: Option<Connection>,
    /// Why what it does with the shared folders is not seen here.
    complaints: Vec<String>,
    disconnected: Instant,
    /// Unix milliseconds of the last message in this or the epoch before; `None` if none came since
    /// this process started.
    last_seen_ms: Option<u64>,
    last_command_id: u64,
    /// Commands that were not acknowledged, by id.
    pending: BTreeMap<u64, Pending>,
    /// All of them before this one were sent over the present connection.
    unsent_from: u64,
}

#[derive(Debug)]
struct HeldCall {
    link: CallLink,
    /// Ids of the commands about it, those that were acknowledged since among them.
    commands: Vec<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CallLink {
    /// Its record is being written; the shard does not know it. A hang-up that comes meanwhile
    /// follows it.
    Reserved {
        hang_up: bool,
    },
    Placed,
}

#[derive(Debug)]
struct Connection {
    /// Tells this connection from an older one of the same shard.
    generation: u64,
    /// Whether calls and commands may be sent: what went on before was reconciled.
    is_open: bool,
    outgoing: mpsc::Sender<ToEdge>,
}

#[derive(Debug)]
struct Pending {
    command: Command,
    /// Over the present connection.
    is_sent: bool,
    /// Over this or an earlier connection: the shard may have got it.
    was_sent: bool,
    /// Who waits for the answer to a verb.
    waiter: Option<control::Waiter>,
}

/// What operators see of one shard.
#[derive(Debug, Clone)]
pub struct ShardView {
    pub edge: EdgeName,
    pub shard: u16,
    pub is_connected: bool,
    pub status: ShardStatus,
    /// How trunks stand with it, while it is connected.
    pub trunks: Vec<TrunkState>,
    /// In words, while it is connected.
    pub complaints: Vec<String>,
}

/// Why no shard takes a call now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoShard {
    Disconnected,
    Draining,
    Full,
    /// The agent's softphone is registered with none.
    AgentOffline,
}

impl From<CallLink> for HeldCall {
    fn from(link: CallLink) -> Self {
        Self { link, commands: Vec::new() }
    }
}

impl Link {
    fn lock(&self) -> MutexGuard<'_, Registry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reserves room for a call on the least loaded shard.
    pub fn reserve(&self, call_id: &CallId) -> Result<Placement, NoShard> {
        let mut registry = self.lock();
        let mut refusal = NoShard::Disconnected;
        let mut best: Option<(u64, ShardId)> = None;
        for (id, shard) in &registry.shards {
            match shard.load_permille() {
                Ok(load) if best.as_ref().is_none_or(|(least, _)| load < *least) => {
                    best = Some((load, id.clone()))
                }
                Ok(_) => {}
                Err(NoShard::Disconnected) => {}
                Err(other) => refusal = other,
            }
        }
        let (_, id) = best.ok_or(refusal)?;
        Ok(self.hold_room(&mut registry, id, call_id))
    }

    /// Room for a call on a shard that is known under the same lock.
    fn hold_room(&self, registry: &mut Registry, id: ShardId, call_id: &CallId) -> Placement {
        let shard = registry.shards.get_mut(&id).expect("the shard was found under the same lock");
        shard.calls.insert(call_id.to_owned(), CallLink::Reserved { hang_up: false }.into());
        let owner = Owner { edge: id.edge.clone(), shard: id.shard, epoch: shard.epoch };
        registry.calls.insert(call_id.to_owned(), id);
        Placement::new(self.clone(), call_id, owner)
    }

    /// Asks the shard that holds the call to end it, again and again until it acknowledges. False
    /// if no shard holds the call.
    pub fn hang_up(&self, call_id: &CallId) -> bool {
        let mut registry = self.lock();
        let Some(id) = registry.calls.get(call_id).cloned() else { return false };
        let Some(shard) = registry.shards.get_mut(&id) else { return false };
        if let Some(HeldCall { link: CallLink::Reserved { hang_up }, .. }) =
            shard.calls.get_mut(call_id)
        {
            *hang_up = true;
            return true;
        }
        let asked = |pending: &Pending| {
            matches!(&pending.command,
            Command::HangUp { call_id: other } if other == call_id)
        };
        if !shard.pending.values().any(asked) {
            shard.send(Command::HangUp { call_id: call_id.to_owned() });
        }
        true
    }

    /// Forgets a call that ended, and what was still to be said about it.
    pub fn release(&self, call_id: &CallId) {
        let mut registry = self.lock();
        let Some(id) = registry.calls.remove(call_id) else { return };
        if let Some(shard) = registry.shards.get_mut(&id) {
            let Some(held) = shard.calls.remove(call_id) else { return };
            let connected = shard.connection.is_some();
            for id in held.commands {
                // A hang-up that was sent stays until it is acknowledged: the edge may still hold
                // the call. Who waits for the answer to a verb learns of the end.
                let is_left = shard.pending.get(&id).is_some_and(|pending| match pending.command {
                    Command::HangUp { .. } => connected && pending.is_sent,
                    Command::PlaceCall(_) | Command::Control(_) => false,
                    _ => true,
                });
                if !is_left {
                    shard.pending.remove(&id);
                }
            }
        }
    }

    /// Whether a shard, connected or expected back, has the call.
    pub(crate) fn holds(&self, call_id: &CallId) -> bool {
        self.lock().calls.contains_key(call_id)
    }

    /// Whether a call could be placed now, as far as the shards go.
    pub fn is_ready(&self) -> bool {
        self.lock().shards.values().any(|shard| shard.is_connected() && !shard.status.draining)
    }

    /// All shards that ever said Hello, those that are away included.
    pub fn shards(&self) -> Vec<ShardView> {
        let view = |(id, shard): (&ShardId, &Shard)| ShardView {
            edge: id.edge.clone(),
            shard: id.shard,
            is_connected: shard.is_connected(),
            status: shard.status.clone(),
            trunks: shard.trunks.values().filter(|_| shard.is_connected()).cloned().collect(),
            complaints: if shard.is_connected() { shard.complaints.clone() } else { Vec::new() },
        };
        self.lock().shards.iter().map(view).collect()
    }

    /// Counts a call that was live on a shard when this process started; the shard may come back.
    pub(crate) fn adopt(&self, owner: &Owner, call_id: &CallId, hang_up: bool, now: Instant) {
        let id = ShardId { edge: owner.edge.clone(), shard: owner.shard };
        let mut registry = self.lock();
        let shard =
            registry.shards.entry(id.clone()).or_insert_with(|| Shard::new(owner.epoch, now));
        // A shard of several epochs keeps the newest; calls of the older end when it says Hello or
        // stays away.
        shard.epoch = shard.epoch.max(owner.epoch);
        shard.calls.insert(call_id.to_owned(), CallLink::Placed.into());
        if hang_up {
            shard.send(Command::HangUp { call_id: call_id.to_owned() });
        }
        registry.calls.insert(call_id.to_owned(), id);
    }

    /// Registers a connection that said Hello and returns its generation. Nothing is sent to it
    /// through the registry until [`Link::open`].
    pub(crate) fn connect(
        &self,
        id: &ShardId,
        epoch: u64,
        status: ShardStatus,
        outgoing: mpsc::Sender<ToEdge>,
        now: Instant,
    ) -> u64 {
        let mut registry = self.lock();
        let registry = &mut *registry;
        registry.last_generation += 1;
        let generation = registry.last_generation;
        let shard = registry.shards.entry(id.clone()).or_insert_with(|| Shard::new(epoch, now));
        if shard.epoch != epoch {
            shard.epoch = epoch;
            shard.pending.clear();
            shard.trunks.clear();
            registry.softphones.forget_grants_of(id);
        }
        shard.fail_unsent_verbs();
        shard.status = status;
        shard.connection = Some(Connection { generation, is_open: false, outgoing });
        generation
    }

    /// Whether a live call of the shard still waits to be sent there, so that the shard cannot know
    /// it.
    pub(crate) fn is_on_its_way(&self, id: &ShardId, call_id: &CallId) -> bool {
        let registry = self.lock();
        let Some(shard) = registry.shards.get(id) else { return false };
        let waits = |pending: &Pending| {
            matches!(&pending.command,
            Command::PlaceCall(place) if place.call_id == *call_id)
        };
        let link = shard.calls.get(call_id).map(|held| held.link);
        matches!(link, Some(CallLink::Reserved { .. })) || shard.pending.values().any(waits)
    }

    /// Opens a reconciled connection for commands and sends what was not acknowledged;
    /// `stray_calls` are to be hung up.
    pub(crate) fn open(&self, id: &ShardId, generation: u64, stray_calls: Vec<CallId>) {
        let mut registry = self.lock();
        let Registry { shards, kept_trunks, .. } = &mut *registry;
        let Some(shard) = shards.get_mut(id) else { return };
        let Some(connection) =
            shard.connection.as_mut().filter(|connection| connection.generation == generation)
        else {
            return;
        };
        connection.is_open = true;
        for pending in shard.pending.values_mut() {
            pending.is_sent = false;
        }
        shard.unsent_from = 0;
        if let Some(trunks) = kept_trunks {
            shard.keep(trunks);
        }
        for call_id in stray_calls {
            shard.send(Command::HangUp { call_id });
        }
        shard.flush();
    }

    pub(crate) fn disconnect(&self, id: &ShardId, generation: u64, now: Instant) {
        let mut registry = self.lock();
        if let Some(shard) = registry.shards.get_mut(id)
            && shard
                .connection
                .as_ref()
                .is_some_and(|connection| connection.generation == generation)
        {
            shard.connection = None;
            shard.disconnected = now;
            shard.fail_unsent_verbs();
        }
    }

    /// Notes that the shard lives.
    pub(crate) fn touch(&self, id: &ShardId, now_ms: u64) {
        if let Some(shard) = self.lock().shards.get_mut(id) {
            shard.last_seen_ms = Some(now_ms);
        }
    }

    pub(crate) fn last_seen_ms(&self, id: &ShardId) -> Option<u64> {
        self.lock().shards.get(id)?.last_seen_ms
    }

    pub(crate) fn update(&self, id: &ShardId, status: ShardStatus) {
        if let Some(shard) = self.lock().shards.get_mut(id) {
            shard.status = status;
        }
    }

    /// Takes the shard's answer to a command; who waits for it is told.
    pub(crate) fn answer(&self, id: &ShardId, command_id: u64, answer: control::Answer) {
        let pending =
            self.lock().shards.get_mut(id).and_then(|shard| shard.pending.remove(&command_id));
        if let Some(waiter) = pending.and_then(|pending| pending.waiter) {
            waiter.tell(answer);
        }
    }

    /// Sends what did not fit into a queue before.
    pub(crate) fn flush(&self) {
        for shard in self.lock().shards.values_mut() {
            shard.flush();
        }
    }

    /// Forgets the shards that stayed away, and returns their calls, each with when its shard was
    /// last seen.
    pub(crate) fn take_lost(
        &self,
        lost_after: Duration,
        now: Instant,
    ) -> Vec<(CallId, Option<u64>)> {
        let mut registry = self.lock();
        let is_lost = |shard: &Shard| {
            shard.connection.is_none()
                && now.saturating_duration_since(shard.disconnected) >= lost_after
        };
        let mut lost = Vec::new();
        registry.shards.retain(|_, shard| {
            if is_lost(shard) {
                let last_seen_ms = shard.last_seen_ms;
                lost.extend(shard.calls.drain().map(|(call_id, _)| (call_id, last_seen_ms)));
                return false;
            }
            true
        });
        for (call_id, _) in &lost {
            registry.calls.remove(call_id);
        }
        lost
    }
}

impl Shard {
    fn new(epoch: u64, now: Instant) -> Self {
        Self {
            epoch,
            status: ShardStatus::default(),
            softphone_service: None,
            keeps_trunks: false,
            tells_ladders: false,
            trunks: BTreeMap::new(),
            calls: HashMap::new(),
            connection: None,
            complaints: Vec::new(),
            disconnected: now,
            last_seen_ms: None,
            last_command_id: 0,
            pending: BTreeMap::new(),
            unsent_from: 0,
        }
    }

    fn is_connected(&self) -> bool {
        self.connection.as_ref().is_some_and(|connection| connection.is_open)
    }

    /// Share of the shard's capacity that is in use, or why it takes no call.
    fn load_permille(&self) -> Result<u64, NoShard> {
        if !self.is_connected() {
            return Err(NoShard::Disconnected);
        }
        if self.status.draining {
            return Err(NoShard::Draining);
        }
        // The shard's own count lags behind by up to a second, ours leaves out calls that it still
        // winds up.
        let call_count = (self.calls.len() as u64).max(u64::from(self.status.call_count));
        let capacity = u64::from(self.status.call_capacity);
        let has_room = call_count < capacity && self.status.free_port_pairs >= PORT_PAIRS_PER_CALL;
        if has_room && self.pending.len() < PENDING_CAP {
            Ok(call_count * 1000 / capacity)
        } else {
            Err(NoShard::Full)
        }
    }

    fn send(&mut self, command: Command) -> u64 {
        self.send_for(command, None)
    }

    fn send_for(&mut self, command: Command, waiter: Option<control::Waiter>) -> u64 {
        self.last_command_id += 1;
        let call_id = match &command {
            Command::PlaceCall(place) => Some(&place.call_id),
            Command::HangUp { call_id } => Some(call_id),
            Command::Control(control) => Some(&control.call_id),
            _ => None,
        };
        if let Some(held) = call_id.and_then(|call_id| self.calls.get_mut(call_id)) {
            held.commands.push(self.last_command_id);
        }
        self.pending.insert(
            self.last_command_id,
            Pending { command, is_sent: false, was_sent: false, waiter },
        );
        self.flush();
        self.last_command_id
    }

    /// Hands unsent commands to the socket's queue, in order, as far as it has room.
    fn flush(&mut self) {
        let Some(connection) = self.connection.as_ref().filter(|connection| connection.is_open)
        else {
            return;
        };
        for (id, pending) in self.pending.range_mut(self.unsent_from..) {
            let Ok(place) = connection.outgoing.try_reserve() else { return };
            place.send(ToEdge::Command { id: *id, command: pending.command.clone() });
            pending.is_sent = true;
            pending.was_sent = true;
            self.unsent_from = id + 1;
        }
    }
}

#[cfg(test)]
mod tests;
