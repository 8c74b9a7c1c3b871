//! Copies of the legs' RTCP as it stands in the clear, for who watches from outside. They wait in a
//! room that is made beforehand; what finds it full is left out and counted.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::ops::Range;

use super::{LegId, Relay, SocketId};
use crate::drops::DropReason;

/// Most that wait, and their bytes: what a shard's legs say in a second.
const MAX_COUNT: usize = 512;
const MAX_LEN: usize = 64 << 10;

/// A compound packet that a leg's peer sent or was sent.
#[derive(Debug, PartialEq, Eq)]
pub struct RtcpCopy<'a> {
    pub leg: LegId,
    /// Whether we sent it.
    pub is_sent: bool,
    /// Ours.
    pub socket: SocketId,
    pub remote: SocketAddr,
    /// Without SRTCP.
    pub bytes: &'a [u8],
}

struct Waiting {
    leg: LegId,
    is_sent: bool,
    socket: SocketId,
    remote: SocketAddr,
    place: Range<usize>,
}

pub(super) struct Copies {
    waiting: VecDeque<Waiting>,
    bytes: Vec<u8>,
}

impl Copies {
    /// Keeps a packet. Never allocates.
    pub fn add(
        &mut self,
        leg: LegId,
        is_sent: bool,
        (socket, remote): (SocketId, SocketAddr),
        packet: &[u8],
    ) -> Result<(), DropReason> {
        let place = self.bytes.len()..self.bytes.len() + packet.len();
        if self.waiting.len() >= MAX_COUNT || place.end > MAX_LEN {
            return Err(DropReason::RtcpCopiesFull);
        }
        self.bytes.extend_from_slice(packet);
        self.waiting.push_back(Waiting { leg, is_sent, socket, remote, place });
        Ok(())
    }
}

impl Relay {
    /// Copies each RTCP packet of every leg from now on: taken by `poll_rtcp`, after each batch of
    /// `forward` and before a leg is forgotten.
    pub fn copy_rtcp(&mut self) {
        self.copies.get_or_insert_with(|| {
            let waiting = VecDeque::with_capacity(MAX_COUNT);
            Box::new(Copies { waiting, bytes: Vec::with_capacity(MAX_LEN) })
        });
    }

    /// The next copy of RTCP.
    pub fn poll_rtcp(&mut self) -> Option<RtcpCopy<'_>> {
        let copies = self.copies.as_mut()?;
        let Some(next) = copies.waiting.pop_front() else {
            copies.bytes.clear();
            return None;
        };
        let Waiting { leg, is_sent, socket, remote, place } = next;
        Some(RtcpCopy { leg, is_sent, socket, remote, bytes: &copies.bytes[place] })
    }
}
