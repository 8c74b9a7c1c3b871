//! What the relay asks of the shell and tells the call machine.

use std::net::SocketAddr;
use std::time::Duration;

use super::{LegId, RecordingId, SocketId};
use crate::drops::DropReason;

/// Something for the shell to do, in order. Drained to `None` after each mutation and after each
/// batch of `forward`.
#[derive(Debug, PartialEq, Eq)]
pub enum Output<'a> {
    /// The socket is in use from now on: discard what its queue holds, then read it.
    Open { socket: SocketId },
    /// Send these bytes from this socket to this address, which is also the peer of a connected
    /// socket.
    Transmit { socket: SocketId, remote: SocketAddr, bytes: &'a [u8] },
    /// The signalled source is latched, and no other counts: connect the socket. What was queued
    /// before the connect may be of another source: read it with its addresses, or discard it.
    Connect { socket: SocketId, remote: SocketAddr },
    /// The peer may change its address: dissolve the connection.
    Disconnect { socket: SocketId },
    /// The leg is closed: dissolve the connection and stop reading the socket.
    Release { socket: SocketId },
    /// Write these bytes at this offset of the recording's file; offset and length are multiples of
    /// `recording::BLOCK_LEN`. The writes of one recording are done in the order given, so that the
    /// header never promises what is not there.
    Record { recording: RecordingId, offset: u64, bytes: &'a [u8] },
    /// All is written: cut the file to `len` bytes and give it its final name.
    Finish { recording: RecordingId, len: u64, duration: Duration },
}

/// Something for the call machine to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// First valid RTP of this leg.
    FirstMedia(LegId),
    /// The leg's source is known; sending goes there. Told again when it changes.
    Latched(LegId),
    /// A stream comes from where the leg's media may not come from, while nobody is latched: told
    /// once.
    SourceRefused(LegId, SocketAddr),
    /// Neither RTP nor RTCP from this leg for the limit given to `watch_media`; told once per
    /// `watch_media`.
    NoMedia(LegId),
    /// Audio goes one way: the leg has sent none for two seconds while it is sent another's. Not of
    /// a leg that holds or is on hold, nor of one that sends no silence (RFC 3389, RFC 3550 §6.4);
    /// told once per `watch_media`.
    OneWayAudio(LegId),
    /// The leg's party pressed a key (RFC 4733 event code), told once, at the key's release.
    TelephoneEvent(LegId, u8),
    /// A key of a party without telephone-events has sounded for 50 ms: one that nobody hears, or
    /// whose tones are heard always (`hear_tones`).
    KeyTone(LegId, u8),
    /// The softphone's checks chose an address. Told again when they do so after `ConsentLost`.
    IceConnected(LegId),
    /// The softphone's certificate is the signalled one and media can flow.
    DtlsConnected(LegId),
    /// The softphone's handshake failed, or its certificate is not the signalled one; the leg stays
    /// without media.
    DtlsFailed(LegId),
    /// No check of the softphone came for 15 s; nothing is sent to it until its checks come again.
    ConsentLost(LegId),
    /// The party of a leg that is in a mix of three or more began to speak (`true`) or stopped.
    Speaking(LegId, bool),
}

impl Event {
    /// The leg that it happened to.
    pub fn leg(&self) -> LegId {
        match *self {
            Event::FirstMedia(leg)
            | Event::Latched(leg)
            | Event::SourceRefused(leg, _)
            | Event::NoMedia(leg)
            | Event::OneWayAudio(leg)
            | Event::TelephoneEvent(leg, _)
            | Event::KeyTone(leg, _)
            | Event::IceConnected(leg)
            | Event::DtlsConnected(leg)
            | Event::DtlsFailed(leg)
            | Event::ConsentLost(leg)
            | Event::Speaking(leg, _) => leg,
        }
    }
}

/// What to do with a datagram that was given to `Relay::forward`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forward {
    /// Send `buf[start..start + len]` from `socket` to `remote`, which is also the peer of a
    /// connected socket.
    To { socket: SocketId, remote: SocketAddr, start: usize, len: usize },
    /// Refused and counted.
    Drop(DropReason),
    /// Consumed by the relay itself; there may be output and events.
    Local,
}
