//! DTLS-SRTP with browsers (RFC 5763, 5764): the fingerprint that ties a certificate to a description.

use std::fmt::{self, Display, Formatter};

use ring::digest;

/// Bytes of a SHA-256 fingerprint.
const FINGERPRINT_LEN: usize = 32;

/// The SHA-256 fingerprint of a certificate (RFC 8122 §5), shown as SDP writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; FINGERPRINT_LEN]);

impl Fingerprint {
    /// The fingerprint of a certificate in DER.
    pub fn of(certificate: &[u8]) -> Fingerprint {
        let digest = digest::digest(&digest::SHA256, certificate);
        Fingerprint(digest.as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }

    /// Reads pairs of hexadecimal digits with colons between them.
    pub fn parse(text: &str) -> Option<Fingerprint> {
        let mut bytes = [0; FINGERPRINT_LEN];
        let mut pairs = text.split(':');
        for byte in &mut bytes {
            let pair = pairs.next().filter(|pair| pair.len() == 2 && pair.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
            *byte = u8::from_str_radix(pair, 16).ok()?;
        }
        pairs.next().is_none().then_some(Fingerprint(bytes))
    }
}

impl Display for Fingerprint {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            write!(formatter, "{}{byte:02X}", if at == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_reads_as_it_is_shown() {
        let fingerprint = Fingerprint::of(b"abc");
        let shown = fingerprint.to_string();
        assert!(shown.starts_with("BA:78:16:BF:8F:01:CF:EA:") && shown.len() == 95, "{shown}");
        assert_eq!(Fingerprint::parse(&shown), Some(fingerprint));
        assert_eq!(Fingerprint::parse(&shown.to_lowercase()), Some(fingerprint));
        for wrong in [&shown[3..], &format!("{shown}:00"), &shown.replace("BA", "+A"), &shown.replace(':', ""), ""] {
            assert_eq!(Fingerprint::parse(wrong), None, "{wrong}");
        }
    }
}
