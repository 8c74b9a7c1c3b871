//! Names and limits of the relay's public face: sockets, legs, recordings, what SDP needs of a leg and what a leg has seen.

use std::net::IpAddr;
use std::time::Duration;

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

/// One party's media; `index` is its port pair, and the generation makes a stale id harmless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LegId {
    pub index: u32,
    pub generation: u32,
}

/// One recording; the generation makes a stale id harmless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RecordingId {
    pub index: u32,
    pub generation: u32,
}

/// What an SDP body says of our side of a leg.
#[derive(Debug, Clone)]
pub struct LocalMedia {
    pub address: IpAddr,
    pub rtp_port: u16,
    pub rtcp_port: u16,
}

/// What a leg has seen; packets are RTP packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LegReport {
    /// Valid packets from the latched source.
    pub received: u64,
    /// Packets sent to the peer, playback included.
    pub sent: u64,
    /// Packets that the peer sent and that never came (RFC 3550 A.3), never below 0.
    pub lost: u64,
    /// Interarrival jitter (RFC 3550 A.8).
    pub jitter: Duration,
    /// From the peer's last report on us.
    pub round_trip: Option<Duration>,
    /// Packets refused for any reason.
    pub dropped: u64,
}
