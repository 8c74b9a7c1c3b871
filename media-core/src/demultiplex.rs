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
mod tests {
    use super::*;

    #[test]
    fn first_bytes_follow_rfc_7983() {
        for first in 0..=255 {
            let expected = match first {
                0..=3 => Protocol::Stun,
                20..=63 => Protocol::Dtls,
                128..=191 => Protocol::Rtp,
                _ => Protocol::Other,
            };
            assert_eq!(classify(&[first, 0]), expected, "{first}");
        }
        assert_eq!(classify(&[128, 200]), Protocol::Rtcp);
        assert_eq!(classify(&[128, 96 | 128]), Protocol::Rtp);
        assert_eq!(classify(&[]), Protocol::Other);
        assert_eq!(classify(&[1]), Protocol::Stun);
    }
}
