//! What waits for the shell and the call machine. The bytes of outputs lie in one buffer that is
//! emptied when all are taken.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use super::{Event, LegId, Output, RecordingId, SocketId};
use crate::drops::DropReason;
use crate::recording::Write;

/// Bytes of outputs beyond which playback and reports are dropped and recordings wait, besides
/// `LEG_BYTES` a leg.
const BASE_BYTES: usize = 1024 * 1024;
const LEG_BYTES: usize = 512;
/// Capacity that the buffer keeps when it is empty.
const KEPT_BYTES: usize = 2 * BASE_BYTES;
/// Room for events and socket outputs that is made beforehand, per leg and besides.
const LEG_PLACES: usize = 4;
const BASE_PLACES: usize = 64;

enum Queued {
    Open(SocketId),
    Transmit(SocketId, SocketAddr, Range<usize>),
    Connect(SocketId, SocketAddr),
    Disconnect(SocketId),
    Release(SocketId),
    Record(RecordingId, Write),
    Finish(RecordingId, u64, Duration),
}

pub(super) struct Queues {
    outputs: VecDeque<Queued>,
    bytes: Vec<u8>,
    byte_limit: usize,
    events: VecDeque<Event>,
    event_limit: usize,
}

impl Queues {
    pub fn new(leg_count: usize) -> Queues {
        let places = BASE_PLACES + LEG_PLACES * leg_count;
        Queues {
            outputs: VecDeque::with_capacity(places),
            bytes: Vec::new(),
            byte_limit: BASE_BYTES + LEG_BYTES * leg_count,
            events: VecDeque::with_capacity(places),
            event_limit: places,
        }
    }

    /// Queues an event of a leg's life. Never allocates.
    pub fn event(&mut self, event: Event) -> Result<(), DropReason> {
        self.push_event(event, self.event_limit)
    }

    /// Queues a key press; a flood of these leaves room for the other events. Never allocates.
    pub fn pressed(&mut self, event: Event) -> Result<(), DropReason> {
        self.push_event(event, self.event_limit / 2)
    }

    /// Queues a change of who speaks; as many as there may be leave room for the other events.
    /// Never allocates.
    pub fn speaking(&mut self, leg: LegId, speaks: bool) -> Result<(), DropReason> {
        self.push_event(Event::Speaking(leg, speaks), self.event_limit / 2)
    }

    fn push_event(&mut self, event: Event, limit: usize) -> Result<(), DropReason> {
        if self.events.len() >= limit {
            return Err(DropReason::EventQueueFull);
        }
        self.events.push_back(event);
        Ok(())
    }

    /// The next event for the shard's machines.
    pub fn pop_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Queues a connect. Never allocates: without room the socket just stays unconnected.
    pub fn connect(&mut self, socket: SocketId, remote: SocketAddr) {
        if self.outputs.len() < self.outputs.capacity() {
            self.outputs.push_back(Queued::Connect(socket, remote));
        }
    }

    /// Queues the opening of a socket.
    pub fn open(&mut self, socket: SocketId) {
        self.outputs.push_back(Queued::Open(socket));
    }

    /// Queues that a socket takes packets from anywhere again.
    pub fn disconnect(&mut self, socket: SocketId) {
        self.outputs.push_back(Queued::Disconnect(socket));
    }

    /// Queues the closing of a socket.
    pub fn release(&mut self, socket: SocketId) {
        self.outputs.push_back(Queued::Release(socket));
    }

    /// Queues a copy of a datagram; refused when the queue is full.
    pub fn transmit(
        &mut self,
        socket: SocketId,
        remote: SocketAddr,
        datagram: &[u8],
    ) -> Result<(), DropReason> {
        if self.is_full() {
            return Err(DropReason::TransmitQueueFull);
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(datagram);
        self.outputs.push_back(Queued::Transmit(socket, remote, start..self.bytes.len()));
        Ok(())
    }

    /// Whether so much waits that what can wait should.
    pub fn is_full(&self) -> bool {
        self.bytes.len() >= self.byte_limit
    }

    /// Queues what `flush` appends to the buffer.
    pub fn record<const N: usize>(
        &mut self,
        recording: RecordingId,
        flush: impl FnOnce(&mut Vec<u8>) -> [Option<Write>; N],
    ) {
        let writes = flush(&mut self.bytes);
        self.outputs
            .extend(writes.into_iter().flatten().map(|write| Queued::Record(recording, write)));
    }

    /// Queues the end of a recording: the file's length in bytes and in time.
    pub fn finish(&mut self, recording: RecordingId, len: u64, duration: Duration) {
        self.outputs.push_back(Queued::Finish(recording, len, duration));
    }

    /// The next output; what it borrows is gone with the next.
    pub fn pop_output(&mut self) -> Option<Output<'_>> {
        let Some(queued) = self.outputs.pop_front() else {
            self.bytes.clear();
            self.bytes.shrink_to(KEPT_BYTES);
            return None;
        };
        Some(match queued {
            Queued::Open(socket) => Output::Open { socket },
            Queued::Transmit(socket, remote, range) => {
                Output::Transmit { socket, remote, bytes: &self.bytes[range] }
            }
            Queued::Connect(socket, remote) => Output::Connect { socket, remote },
            Queued::Disconnect(socket) => Output::Disconnect { socket },
            Queued::Release(socket) => Output::Release { socket },
            Queued::Record(recording, write) => {
                Output::Record { recording, offset: write.offset, bytes: &self.bytes[write.bytes] }
            }
            Queued::Finish(recording, len, duration) => Output::Finish { recording, len, duration },
        })
    }
}
