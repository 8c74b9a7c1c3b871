//! What our descriptions say of our side of a leg.

use std::net::{IpAddr, SocketAddr};

use crate::dtls::Fingerprint;
use crate::ice::Credentials;

/// What an SDP body says of our side of a leg.
#[derive(Debug, Clone)]
pub struct LocalMedia {
    pub address: IpAddr,
    pub rtp_port: u16,
    pub rtcp_port: u16,
}

/// What an SDP body says of our side of a softphone leg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SoftphoneLocal {
    /// The only candidate.
    pub address: SocketAddr,
    pub ice: Credentials,
    /// What the answer to an offer that restarts ICE has to say (RFC 8445 §9).
    pub next_ice: Credentials,
    /// The peer's name in ICE as last told by `set_softphone_remote`; another one restarts ICE.
    pub peer_ufrag: Option<Box<str>>,
    /// Of our certificate.
    pub fingerprint: Fingerprint,
}
