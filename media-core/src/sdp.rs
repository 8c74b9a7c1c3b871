//! SDP of one audio stream: prints our offers and answers, reads the peer's (RFC 8866, 3264, 3605, 4568, 5761).
//! The grammar is `sdp-types`; what a description means for a leg is decided here. Whole bodies only, no dialog state.

mod description;
mod negotiate;
mod print;
mod sdes;
pub mod webrtc;

use std::net::SocketAddr;

pub use negotiate::{accept_answer, answer};
pub use print::offer;
pub use sdp_types::Direction;

use crate::codec::{Codec, PayloadType};
use crate::relay::LocalMedia;
use crate::srtp;

/// The longest description that is read, in bytes.
pub const MAX_DESCRIPTION_LEN: usize = 8 * 1024;
/// The most lines of a description.
pub const MAX_LINE_COUNT: usize = 256;
/// The most media descriptions of a description.
pub const MAX_MEDIA_COUNT: usize = 8;
/// The most formats of one media line.
pub const MAX_FORMAT_COUNT: usize = 64;

/// Identity of our description in one dialog: `o=` session id and version. The version grows by one with each change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    pub id: u64,
    pub version: u64,
}

impl Origin {
    /// Reads the origin of a description that this module printed.
    pub fn of(description: &str) -> Option<Self> {
        let mut fields = description.lines().find_map(|line| line.strip_prefix("o="))?.split(' ').skip(1);
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
    pub direction: Direction,
    /// One local key per offered crypto suite, in order of preference; RTP/SAVP. Empty offers plain RTP/AVP.
    pub srtp: Vec<srtp::Keys>,
}

/// What we answer to a peer's new offer inside a dialog.
#[derive(Debug, Clone)]
pub struct AnswerSpec<'a> {
    pub local: LocalMedia,
    /// The description that we last sent in this dialog, offer or answer; its version is kept when nothing changes.
    pub previous: &'a str,
    /// The only codec that can be answered: the one in use.
    pub codec: Codec,
    /// Whether telephone-event is answered when it is offered.
    pub telephone_event: TelephoneEvents,
    /// The direction that we would have without the peer's wish, normally `SendRecv`.
    pub direction: Direction,
    /// Our local keys, the one in use first. Empty refuses RTP/SAVP; otherwise RTP/AVP is refused.
    pub srtp: Vec<srtp::Keys>,
}

/// Whether a leg carries telephone-events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TelephoneEvents {
    Relayed,
    Refused,
}

/// The payload type numbers of one format; both are equal unless the peer renumbered it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbers {
    /// In packets that we send.
    pub send: PayloadType,
    /// In packets that the peer sends.
    pub receive: PayloadType,
}

/// The keys of both directions. As long as they are unchanged a new negotiation must not restart the SRTP contexts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SrtpKeys {
    /// For packets that we send.
    pub outbound: srtp::Keys,
    /// For packets that the peer sends.
    pub inbound: srtp::Keys,
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
    pub codec: Codec,
    pub audio: Numbers,
    pub telephone_event: Option<Numbers>,
    /// As seen from us: `SendOnly` means that the peer only listens.
    pub direction: Direction,
    /// `None` means plain RTP.
    pub srtp: Option<SrtpKeys>,
}

/// Why a description is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    #[error("description too long, or with too many lines, media or formats")]
    TooLarge,
    #[error("description is not SDP")]
    Malformed,
    #[error("no audio stream")]
    NoAudio,
    #[error("the answer's media lines do not match the offer's")]
    MediaMismatch,
    #[error("audio stream rejected with port 0")]
    Rejected,
    #[error("transport profile differs from what is agreed")]
    Profile,
    #[error("connection address missing, not an IP address, or multicast")]
    Address,
    #[error("address family differs from ours")]
    AddressFamily,
    #[error("a format is not a payload type number or its mapping is malformed")]
    Format,
    #[error("no common codec")]
    Codec,
    #[error("contradicting attributes")]
    Duplicate,
    #[error("rtcp attribute malformed")]
    Rtcp,
    #[error("no acceptable crypto attribute")]
    Crypto,
    #[error("crypto key of wrong length or encoding")]
    CryptoKey,
    #[error("crypto attribute demands a master key identifier")]
    CryptoMki,
    #[error("crypto key expires within a call")]
    CryptoLifetime,
    #[error("crypto attribute demands session parameters that are not supported")]
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
