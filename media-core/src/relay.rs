//! The conductor of media: owns legs, ports, bridges, playback and recordings of one shard, and forwards each packet in place.

mod media;
mod output;

pub use media::{LegId, LegReport, LocalMedia, RecordingId, RelayConfig, SocketId};
pub use output::{Event, Forward, Output};

pub use crate::sdp::Negotiated as RemoteMedia;

/// Bytes that a datagram's buffer must have beyond the datagram, for the SRTP trailer.
pub const TAIL_ROOM: usize = 32;
