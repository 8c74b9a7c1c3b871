//! SDP of one audio stream: prints our offers and answers, reads the peer's leniently (RFC 8866,
//! 3264, 3605, 4568, 5761). What a description means for a leg is decided here. Whole bodies only,
//! no dialog state.

mod description;
mod local;
mod negotiate;
mod print;
mod repair;
mod sdes;
pub mod webrtc;

use std::net::{IpAddr, SocketAddr};

pub use local::{LocalMedia, SoftphoneLocal};
pub use negotiate::{accept_answer, answer};
pub use print::offer;
pub use repair::{Repair, Repairs};
pub use sdp_types::Direction;

use crate::codec::{Codec, FormatMap, PayloadType};
use crate::srtp::{self, SrtpKeys};

/// Bytes of a description that are read. Of an answer what lies beyond this and the next limits is
/// passed over; such an offer is refused.
pub const MAX_DESCRIPTION_LEN: usize = 8 * 1024;
/// Lines of a description that are read.
pub const MAX_LINE_COUNT: usize = 256;
/// Media descriptions of a description that are read.
pub const MAX_MEDIA_COUNT: usize = 8;
/// Formats of one media line that are read.
pub const MAX_FORMAT_COUNT: usize = 64;

/// What reading this description has to mend.
pub fn repairs(description: &[u8]) -> Repairs {
    description::parse(description).repairs
}

/// Identity of our description in one dialog: `o=` session id and version. The version grows by one
/// with each change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    pub id: u64,
    pub version: u64,
}

impl Origin {
    /// Reads the origin of a description that this module printed.
    pub fn of(description: &str) -> Option<Self> {
        let mut fields =
            description.lines().find_map(|line| line.strip_prefix("o="))?.split(' ').skip(1);
        Some(Self { id: fields.next()?.parse().ok()?, version: fields.next()?.parse().ok()? })
    }

    /// The origin of the next, changed description of the same dialog.
    pub fn next(self) -> Self {
        Self { id: self.id, version: self.version.wrapping_add(1) }
    }
}

/// What is offered to a peer.
#[derive(Debug, Clone)]
pub struct OfferSpec {
    pub local: LocalMedia,
    pub origin: Origin,
    /// In order of preference, not empty.
    pub codecs: Vec<Codec>,
    /// Offers telephone-event (RFC 4733, digits 0–15) under this number.
    pub telephone_event: Option<PayloadType>,
    /// Offers comfort noise (RFC 3389) under its number.
    pub comfort_noise: bool,
    pub direction: Direction,
    /// One local key per offered crypto suite, in order of preference; RTP/SAVP. Empty offers plain
    /// RTP/AVP.
    pub srtp: Vec<srtp::Keys>,
    /// The keys are offered under RTP/AVP, and an answer without any is taken (RFC 8643).
    pub is_opportunistic: bool,
    /// What the session's payload types stood for before this offer.
    pub known: FormatMap,
    /// Where the peer's signalling comes from: its media are taken to be there, too, if it names
    /// its host.
    pub peer: Option<IpAddr>,
}

/// What we answer to a peer's new offer inside a dialog.
#[derive(Debug, Clone)]
pub struct AnswerSpec<'a> {
    pub local: LocalMedia,
    /// The description that we last sent in this dialog, offer or answer; its version is kept when
    /// nothing changes.
    pub previous: &'a str,
    /// What holds until now: its codec stays if it is offered, and its outbound key. With keys
    /// RTP/AVP is refused, else RTP/SAVP.
    pub agreed: &'a Negotiated,
    /// Local keys, one for each suite that the peer may go over to.
    pub srtp: &'a [srtp::Keys],
    /// RTP/AVP is taken with keys and without, whatever holds until now (RFC 8643).
    pub is_opportunistic: bool,
    /// Telephone-events are agreed to where they are offered.
    pub takes_events: bool,
    /// Comfort noise is agreed to where it is offered.
    pub comfort_noise: bool,
    /// The direction that we would have without the peer's wish, normally `SendRecv`.
    pub direction: Direction,
    /// Where the peer's signalling comes from: its media are taken to be there, too, if it names
    /// its host.
    pub peer: Option<IpAddr>,
}

/// The outcome of one offer and answer for the leg's media.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Negotiated {
    /// Where RTP is to be sent; `None` while the peer holds with the address 0.0.0.0 or ::.
    pub rtp: Option<SocketAddr>,
    /// Where RTCP is to be sent; equals `rtp` when multiplexed.
    pub rtcp: Option<SocketAddr>,
    /// RTCP shares the RTP port both ways (RFC 5761).
    pub rtcp_mux: bool,
    /// What we send, the peer's first choice, and under which number.
    pub codec: Codec,
    pub audio: PayloadType,
    /// Under which number we send telephone-events, if the peer takes them.
    pub telephone_event: Option<PayloadType>,
    /// Under which number we tell of silence instead of sending it, if both agreed to.
    pub comfort_noise: Option<PayloadType>,
    /// What the peer may send: each format that was offered, whatever it chose, and under the
    /// numbers of either side.
    pub received: FormatMap,
    /// As seen from us: `SendOnly` means that the peer only listens.
    pub direction: Direction,
    /// `None` means plain RTP.
    pub srtp: Option<Box<SrtpKeys>>,
}

/// Why a description is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    #[error("offer too long, or with too many lines or media")]
    TooLarge,
    #[error("the audio stream's port cannot be read")]
    Malformed,
    #[error("no audio stream")]
    NoAudio,
    #[error("audio stream rejected with port 0")]
    Rejected,
    #[error("transport profile differs from what is agreed")]
    Profile,
    #[error("connection address missing, not an IP address, or multicast")]
    Address,
    #[error("address family differs from ours")]
    AddressFamily,
    #[error("no common codec")]
    Codec,
    #[error("no acceptable crypto attribute")]
    Crypto,
    #[error("crypto key of wrong length or encoding")]
    CryptoKey,
    #[error("master key identifier malformed or too long")]
    CryptoMki,
    #[error("crypto key expires within a call")]
    CryptoLifetime,
    #[error("crypto attribute demands session parameters that change what is sent")]
    CryptoParameter,
    #[error("ICE name or password missing or malformed")]
    Ice,
    #[error("no SHA-256 fingerprint of a certificate, or several")]
    Fingerprint,
    #[error("the peer does not begin the DTLS handshake")]
    Setup,
    #[error("RTCP is not multiplexed with RTP")]
    RtcpMux,
}
