//! What a datagram on the softphones' socket is, by its first bytes (RFC 7983 §7, RFC 5761 §4).

use crate::rtp;

/// The protocols that share the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Stun,
    Dtls,
    Rtp,
    Rtcp,
    /// ZRTP, TURN channels, or nothing that is known.
    Other,
}

/// Tells the protocols apart; reads two bytes only.
pub(crate) fn classify(datagram: &[u8]) -> Protocol {
    match (datagram, rtp::classify(datagram)) {
        (_, rtp::Class::Rtp) => Protocol::Rtp,
        (_, rtp::Class::Rtcp) => Protocol::Rtcp,
        ([0..=3, ..], _) => Protocol::Stun,
        ([20..=63, ..], _) => Protocol::Dtls,
        _ => Protocol::Other,
    }
}

#[cfg(test)]
mod tests;
