//! SRTP and SRTCP in place, without allocation (RFC 3711, 7714): one context per direction of a
//! leg. Keys come from SDES or DTLS; addresses, jitter and the RTP meaning of a packet are not
//! known here.
//!
//! A packet is `buffer[..len]`; what protection adds is written after it, so `buffer` must be at
//! least `RTP_TAIL_LEN` or `RTCP_TAIL_LEN` longer than `len`. After an error the packet's bytes are
//! unspecified.

mod context;
mod engine;
mod keys;
mod rekey;
mod stream;

pub use context::{Inbound, Outbound};
pub use keys::{Keys, Mki, SrtpKeys, Suite};
pub use stream::MAX_STREAM_COUNT;

/// The most bytes that protection adds to an RTP packet.
pub const RTP_TAIL_LEN: usize = 16;
/// The most bytes that protection adds to an RTCP packet.
pub const RTCP_TAIL_LEN: usize = 20;

/// Why a packet is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum SrtpError {
    #[error("not an RTP or RTCP packet of version 2, or cut short")]
    Malformed,
    #[error("no room for the authentication tag")]
    NoRoom,
    #[error("authentication failed")]
    AuthenticationFailed,
    #[error("packet index was seen before")]
    Replayed,
    #[error("packet is older than the replay window")]
    TooOld,
    #[error("more outgoing SSRCs than a context holds")]
    TooManyStreams,
    #[error("all packet indices of the master key are used")]
    KeyExhausted,
}
