//! The conductor of media: owns legs, ports, bridges, playback and recordings of one shard, and forwards each packet in place.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// Limits and addresses of one shard's media.
#[derive(Debug, Clone)]
pub struct RelayConfig {
    /// Address written into SDP.
    pub public_address: IpAddr,
    /// First (even) RTP port of the shard's range; pair `n` is `first_port + 2n` (RTP) and `+ 1` (RTCP).
    pub first_port: u16,
    /// Number of port pairs, which is also the most legs.
    pub pair_count: u16,
    /// Time a released pair rests before it is used again, so that late packets of one call never reach another.
    pub quarantine: Duration,
}

/// A pre-bound socket of the pool: `pair * 2` is RTP, `pair * 2 + 1` RTCP. The shell keeps a table of sockets by this number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketId(pub u32);

/// One party's media; the generation makes a stale id harmless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LegId { pub index: u32, pub generation: u32 }

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RecordingId { pub index: u32, pub generation: u32 }

/// What SDP offers need to know of a leg.
#[derive(Debug, Clone)]
pub struct LocalMedia { pub address: IpAddr, pub rtp_port: u16, pub rtcp_port: u16 }

/// What the negotiated SDP says of the peer.
#[derive(Debug, Clone)]
pub struct RemoteMedia { /* rtp: SocketAddr, rtcp: SocketAddr | mux, codec, payload types, telephone_event, direction, srtp keys */ }

/// Something for the shell to do, in order. Drained to `None` after each mutation or batch.
#[derive(Debug)]
pub enum Output<'a> {
    /// Send these bytes from this socket; `remote` is `None` when the socket is connected.
    Transmit { socket: SocketId, remote: Option<SocketAddr>, bytes: &'a [u8] },
    /// The source is latched safely: connect the socket.
    Connect { socket: SocketId, remote: SocketAddr },
    /// The leg is closed: dissolve the connection and discard what is queued in the socket.
    Release { socket: SocketId },
    /// Recording bytes for the file; see `recording`.
    Record { recording: RecordingId, write: () },
}

/// Something for the call machine to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// First valid RTP of this leg.
    FirstMedia(LegId),
    Latched(LegId),
    /// No RTP from this leg for its limit.
    NoMedia(LegId),
    TelephoneEvent(LegId, u8),
}
