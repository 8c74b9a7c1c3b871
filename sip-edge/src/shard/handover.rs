//! What shards with one SIP port hand each other: messages that reached another shard than theirs,
//! and what goes back over a connection that another shard reads. Each pair has a bounded way. A
//! shard with calls looks at its ways in each turn; another one is woken by an eventfd among its
//! sockets, as by a datagram. Nothing is handed on twice.

use crate::transport::shard_of_connection;
use media_shard::EngineError;
use media_shard::doorbell::{BellButton, ClosedDoorbell, doorbell};
use media_shard::engine::Engine;
use sip_core::flow::{Flow, FlowFault, Transport};
use sip_core::placement::shard_of;
use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

/// Most that waits on the way from one shard to another.
const WAY_CAPACITY: usize = 1024;
/// Most of it while strangers bring it: what a flood of theirs leaves to trunks.
const STRANGER_CAPACITY: usize = WAY_CAPACITY / 2;
/// What is taken before media have their turn, as of the engine's SIP socket.
const BATCH_COUNT: usize = 32;
const BATCH_LEN: usize = 32 * 1024;

/// Something of another shard's.
#[derive(Debug)]
pub enum Handed {
    /// A message of the reader's, as it came.
    Arrived(Flow, Arc<[u8]>),
    /// Bytes for a connection that the reader serves.
    ToSend(Flow, Arc<[u8]>),
    /// A stranger's connection that the reader serves is to be closed.
    ToCut(Flow),
    /// A connection is gone over which messages may have been handed.
    Failed(Flow, FlowFault),
}

impl Handed {
    fn len(&self) -> usize {
        match self {
            Self::Arrived(_, bytes) | Self::ToSend(_, bytes) => bytes.len(),
            Self::ToCut(_) | Self::Failed(..) => 0,
        }
    }
}

/// What came of handing something over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// It is on its way.
    Taken,
    /// Too much is: it is dropped, and counted.
    Full,
    /// The other shard has ended.
    Gone,
}

/// Wakes one shard, once for all that comes while it has not looked.
struct Bell {
    /// Or needs not be rung, for the shard looks by itself.
    is_rung: AtomicBool,
    button: BellButton,
}

impl Bell {
    fn ring(&self) {
        if !self.is_rung.swap(true, Ordering::AcqRel) {
            // The only failure is a dead descriptor.
            let _ = self.button.ring();
        }
    }
}

/// A shard as another one sees it.
struct Neighbour {
    inbox: Sender<(u16, Handed)>,
    waiting: Arc<AtomicUsize>,
    bell: Arc<Bell>,
}

/// Counted since the start.
#[derive(Debug, Default)]
pub struct HandoverCounters {
    pub handed: Cell<u64>,
    /// Dropped because too much waited on the way.
    pub full: Cell<u64>,
}

/// One shard's end of all its ways.
pub struct Handover {
    own: u16,
    neighbours: Vec<Neighbour>,
    inbox: Receiver<(u16, Handed)>,
    /// What waits on the way from each shard.
    waiting: Vec<Arc<AtomicUsize>>,
    bell: Arc<Bell>,
    closed_bell: Option<ClosedDoorbell>,
    batch_count: Cell<usize>,
    batch_len: Cell<usize>,
    counters: HandoverCounters,
}

/// The ends of all shards, in their order.
pub fn handovers(shard_count: u16) -> io::Result<Vec<Handover>> {
    let counts = |_| (0..shard_count).map(|_| Arc::<AtomicUsize>::default()).collect();
    // By reader, then by writer.
    let waiting: Vec<Vec<Arc<AtomicUsize>>> = (0..shard_count).map(counts).collect();
    let (mut doors, mut inboxes) = (Vec::new(), Vec::new());
    for _ in 0..shard_count {
        let (button, closed_bell) = doorbell()?;
        let bell = Arc::new(Bell { is_rung: AtomicBool::new(false), button });
        let (sender, inbox) = channel();
        doors.push((sender, bell.clone()));
        inboxes.push((inbox, bell, closed_bell));
    }
    let ends = (0..shard_count).zip(inboxes).map(|(own, (inbox, bell, closed_bell))| {
        let neighbours = doors.iter().zip(&waiting).map(|((inbox, bell), waiting)| Neighbour {
            inbox: inbox.clone(),
            waiting: waiting[usize::from(own)].clone(),
            bell: bell.clone(),
        });
        Handover {
            own,
            neighbours: neighbours.collect(),
            inbox,
            waiting: waiting[usize::from(own)].clone(),
            bell,
            closed_bell: Some(closed_bell),
            batch_count: Cell::new(0),
            batch_len: Cell::new(0),
            counters: HandoverCounters::default(),
        }
    });
    Ok(ends.collect())
}

impl Handover {
    /// Lets the shard's engine hear when something is handed to it.
    pub fn listen(&mut self, engine: &mut Engine) -> Result<(), EngineError> {
        self.closed_bell.take().map_or(Ok(()), |bell| bell.hang_in(engine))
    }

    /// The other shard whose message this is. A number beyond the shards of this process is of an
    /// earlier one's, whose legs were inherited in the same way.
    pub fn owner(&self, bytes: &[u8]) -> Option<u16> {
        let owner = shard_of(bytes)? % self.neighbours.len() as u16;
        (owner != self.own).then_some(owner)
    }

    /// The other shard that serves the connection.
    pub fn server(&self, flow: Flow) -> Option<u16> {
        let is_stream = matches!(flow.transport, Transport::Tcp | Transport::Tls);
        let server = shard_of_connection(flow.connection.filter(|_| is_stream)?);
        (server != self.own).then_some(server)
    }

    /// Hands something over, without waiting. Strangers have a part of the way.
    pub fn hand(&self, to: u16, handed: Handed, is_stranger: bool) -> Way {
        let Some(neighbour) = self.neighbours.get(usize::from(to)) else { return Way::Gone };
        let capacity = if is_stranger { STRANGER_CAPACITY } else { WAY_CAPACITY };
        // Nobody else adds to this way.
        if neighbour.waiting.load(Ordering::Relaxed) >= capacity {
            self.counters.full.set(self.counters.full.get() + 1);
            return Way::Full;
        }
        neighbour.waiting.fetch_add(1, Ordering::Relaxed);
        if neighbour.inbox.send((self.own, handed)).is_err() {
            return Way::Gone;
        }
        neighbour.bell.ring();
        self.counters.handed.set(self.counters.handed.get() + 1);
        Way::Taken
    }

    /// Tells all others that a connection is gone.
    pub fn tell_failed(&self, flow: Flow, fault: FlowFault) {
        let others = (0..self.neighbours.len() as u16).filter(|other| *other != self.own);
        for other in others {
            self.hand(other, Handed::Failed(flow, fault), false);
        }
    }

    /// Begins a batch. Who `returns` soon by itself needs no bell until then.
    pub fn begin_batch(&self, returns: bool) {
        self.bell.is_rung.swap(returns, Ordering::AcqRel);
        self.batch_count.set(BATCH_COUNT);
        self.batch_len.set(BATCH_LEN);
    }

    /// The next thing of the batch. What is beyond it rings the bell again.
    pub fn poll(&self) -> Option<Handed> {
        if self.batch_count.get() == 0 || self.batch_len.get() == 0 {
            self.bell.ring();
            return None;
        }
        let (from, handed) = self.inbox.try_recv().ok()?;
        self.waiting[usize::from(from)].fetch_sub(1, Ordering::Relaxed);
        self.batch_count.set(self.batch_count.get() - 1);
        self.batch_len.set(self.batch_len.get().saturating_sub(handed.len()));
        Some(handed)
    }

    /// Counted since the start.
    pub fn counters(&self) -> &HandoverCounters {
        &self.counters
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "0123456789abcdef01234567";

    fn flow(connection: Option<u64>) -> Flow {
        let local = ([127, 0, 0, 1], 5060).into();
        Flow { transport: Transport::Tcp, local, remote: local, connection }
    }

    fn arrived() -> Handed {
        Handed::Arrived(flow(None), (*b"BYE").into())
    }

    #[test]
    fn what_is_handed_over_arrives_once_in_order_and_in_batches() {
        let ends = handovers(3).unwrap();
        for count in 0..40_u64 {
            let handed = Handed::Failed(flow(Some(count)), FlowFault::Broken);
            assert_eq!(ends[2].hand(0, handed, false), Way::Taken);
        }
        let batch = || {
            ends[0].begin_batch(false);
            std::iter::from_fn(|| ends[0].poll()).count()
        };
        assert_eq!((batch(), batch(), batch()), (BATCH_COUNT, 40 - BATCH_COUNT, 0));
        assert!(ends[1].poll().is_none(), "it is another's");
        assert_eq!(ends[2].counters().handed.get(), 40);
    }

    #[test]
    fn a_full_way_is_counted_and_leaves_trunks_their_part() {
        let ends = handovers(2).unwrap();
        let hand = |is_stranger| {
            std::iter::repeat_with(|| ends[0].hand(1, arrived(), is_stranger))
                .take_while(|way| *way == Way::Taken)
                .count()
        };
        assert_eq!(hand(true), STRANGER_CAPACITY);
        let left = hand(false);
        assert_eq!(left, WAY_CAPACITY - STRANGER_CAPACITY);
        assert!(left > 100, "{left}");
        assert_eq!(ends[0].counters().full.get(), 2);
        ends[1].begin_batch(true);
        ends[1].poll().unwrap();
        assert_eq!(ends[0].hand(1, arrived(), false), Way::Taken, "there is room again");
    }

    #[test]
    fn a_number_of_the_network_is_taken_for_what_it_is() {
        let ends = handovers(2).unwrap();
        let bye = |shard: u16| format!("BYE sip:a@b SIP/2.0\r\nCall-ID: s{shard}-{HEX}\r\n\r\n");
        let owner = |shard| ends[1].owner(bye(shard).as_bytes());
        assert_eq!([0, 1, 2, 3, u16::MAX].map(owner), [Some(0), None, Some(0), None, None]);
        assert_eq!(ends[1].owner(b"BYE sip:a@b SIP/2.0\r\nCall-ID: x\r\n\r\n"), None);
        let first = |shard: u64| flow(Some((shard << 48) + 1));
        assert_eq!(ends[1].server(first(0)), Some(0));
        assert_eq!((ends[1].server(first(1)), ends[1].server(flow(None))), (None, None));
        let wss = Flow { transport: Transport::Wss, ..first(0) };
        assert_eq!(ends[1].server(wss), None, "a softphone's is the shard's own");
    }

    #[test]
    fn a_shard_that_has_ended_takes_nothing() {
        let mut ends = handovers(2).unwrap();
        drop(ends.pop());
        assert_eq!(ends[0].hand(1, arrived(), false), Way::Gone);
        assert_eq!(ends[0].hand(7, arrived(), false), Way::Gone);
    }
}
