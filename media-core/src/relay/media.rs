//! Names and limits of the relay's public face: sockets, legs, recordings and what a leg has seen.

use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::quality::Mos;

/// Limits and addresses of one shard's media.
#[derive(Debug, Clone)]
pub struct RelayConfig {
    /// Address written into SDP, of each interface, the default one first; at least that one.
    pub public_addresses: Vec<IpAddr>,
    /// First (even) RTP port of the shard's range; pair `n` is `first_port + 2n` (RTP) and `+ 1`
    /// (RTCP).
    pub first_port: u16,
    /// Number of port pairs, which is also the most legs.
    pub pair_count: u16,
    /// Time a released pair rests before it is used again, so that late packets of one call never
    /// reach another.
    pub quarantine: Duration,
    /// Media sockets of the whole process, each an address with a range of ports: no peer may name
    /// one, or packets would circle.
    pub own_sockets: Vec<(IpAddr, RangeInclusive<u16>)>,
    /// Most legs at a time that may speak Opus, about 62 KB each.
    pub opus_legs: u16,
    /// The shard's softphone socket; `None` if the shard takes no softphones.
    pub webrtc: Option<WebRtcConfig>,
}

/// One shard's softphones: they share one UDP socket.
#[derive(Clone)]
pub struct WebRtcConfig {
    /// UDP port of the socket, which SDP names as the only candidate.
    pub port: u16,
    /// Most softphone legs.
    pub capacity: u16,
    /// Unpredictable bytes from which certificate, names and passwords are made.
    pub secret: [u8; 32],
}

impl fmt::Debug for WebRtcConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("WebRtcConfig");
        shown.field("port", &self.port).field("capacity", &self.capacity).finish_non_exhaustive()
    }
}

/// A pre-bound socket of the pool: `pair * 2` is RTP, `pair * 2 + 1` RTCP, above 16 bits the number
/// of the interface. The shell keeps a table of sockets by this number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketId(pub u32);

impl SocketId {
    /// The one socket that all softphones of the shard share. It is always open, never connected
    /// and carries RTP and RTCP.
    pub const WEBRTC: SocketId = SocketId(u32::MAX);
    const INTERFACE_SHIFT: u32 = 16;

    /// The socket of a port on an interface.
    pub(super) fn new(interface: u16, port_offset: u32) -> SocketId {
        SocketId(u32::from(interface) << Self::INTERFACE_SHIFT | port_offset)
    }

    /// The interface, 0 being the default one.
    pub fn interface(self) -> usize {
        (self.0 >> Self::INTERFACE_SHIFT) as usize
    }

    /// How far its port lies behind the first of the range.
    pub fn port_offset(self) -> u32 {
        self.0 & ((1 << Self::INTERFACE_SHIFT) - 1)
    }

    /// The port pair that it is of.
    pub(super) fn pair(self) -> u32 {
        self.port_offset() / 2
    }
}

/// One party's media; `index` is its port pair, or lies beyond the pairs for a softphone, and the
/// generation makes a stale id harmless.
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

/// What is played to a leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// The other party is alerted.
    Ringback,
    /// The party is to press a key.
    Confirm,
    /// The other party is away and expected back.
    Hold,
    /// Nothing is to be heard, but the stream goes on: who gets no packets at all takes the call
    /// for dead.
    Silence,
    /// What `add_audio` keeps, repeated.
    Audio(AudioId),
}

/// Audio that is kept to be played; the generation makes a stale id harmless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AudioId {
    pub index: u32,
    pub generation: u32,
}

/// What a leg has seen; packets are RTP packets.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LegReport {
    /// Valid packets from the latched source.
    pub received: u64,
    /// Packets sent to the peer, playback included.
    pub sent: u64,
    /// Packets that the peer sent and that never came (RFC 3550 A.3), never below 0.
    pub lost: u64,
    /// Interarrival jitter (RFC 3550 A.8).
    pub jitter: Duration,
    /// How what the peer sends sounds here.
    pub mos: Option<Mos>,
    /// From the peer's last report on us.
    pub round_trip: Option<Duration>,
    /// What the peer told of what it gets, if it did.
    pub far: Option<FarReport>,
    /// Packets refused for any reason.
    pub dropped: u64,
}

/// What the peer's RTCP told of the packets that it was sent (RFC 3550 §6.4.1).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FarReport {
    /// Packets that never came there, never below 0.
    pub lost: u64,
    /// Interarrival jitter of its last report.
    pub jitter: Duration,
    /// How we sound there.
    pub mos: Mos,
}
