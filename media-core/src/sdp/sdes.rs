//! SDES keys in `a=crypto` (RFC 4568): the first key of a line, with its lifetime and master key
//! identifier. Session parameters that change no packet are passed over, and those that may be;
//! a line with any other is refused. Our own lines have none.

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::SdpError;
use crate::srtp::{Keys, Mki, Suite};

/// A peer's key must last for this many packets: the longest call (4 h) at 50 packets/s, rounded
/// up.
const MIN_LIFETIME: u64 = 1 << 20;
/// Session parameters that change no packet: the window that a receiver keeps, and what would hold
/// for forward error correction, which is not agreed to (RFC 4568 §6.3.4 to §6.3.6). What is
/// refused asks for packets without protection, derives keys anew as it goes, or is unknown and
/// does not begin with `-` (§6.3.7).
const PASSED_OVER: [&str; 3] = ["WSH", "FEC_ORDER", "FEC_KEY"];

/// Pads what it prints and reads with or without padding, since peers disagree on it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A peer's crypto line that can be used.
pub(super) struct Offered {
    pub(super) tag: u32,
    pub(super) keys: Keys,
    pub(super) mki: Option<Mki>,
}

/// The value of an `a=crypto` attribute.
pub(super) fn print(tag: u32, keys: &Keys) -> String {
    format!("{tag} {} inline:{}", keys.suite().name(), BASE64.encode(keys.material()))
}

/// Reads the value of an `a=crypto` attribute; an unknown suite is `SdpError::Crypto`.
pub(super) fn parse(value: &str) -> Result<Offered, SdpError> {
    let mut fields = value.split_ascii_whitespace();
    let (Some(tag), Some(name), Some(parameters)) = (fields.next(), fields.next(), fields.next())
    else {
        return Err(SdpError::Crypto);
    };
    let tag = tag.parse().map_err(|_| SdpError::Crypto)?;
    let suite = Suite::ALL
        .into_iter()
        .find(|suite| suite.name().eq_ignore_ascii_case(name))
        .ok_or(SdpError::Crypto)?;
    let is_passed_over = |field: &str| {
        let name = field.split('=').next().unwrap_or_default();
        name.starts_with('-') || PASSED_OVER.iter().any(|one| one.eq_ignore_ascii_case(name))
    };
    if !fields.all(is_passed_over) {
        return Err(SdpError::CryptoParameter);
    }
    // Of several keys the peer begins with the first.
    let first = parameters.split(';').next().unwrap_or_default();
    let (method, key) = first.split_once(':').ok_or(SdpError::CryptoKey)?;
    if !method.eq_ignore_ascii_case("inline") {
        return Err(SdpError::CryptoKey);
    }
    let mut parts = key.split('|');
    let material = zeroize::Zeroizing::new(
        BASE64.decode(parts.next().unwrap_or_default()).map_err(|_| SdpError::CryptoKey)?,
    );
    let keys = Keys::new(suite, &material).ok_or(SdpError::CryptoKey)?;
    let mut mki = None;
    for part in parts {
        match part.split_once(':') {
            Some((value, len)) => mki = Some(Mki::parse(value, len).ok_or(SdpError::CryptoMki)?),
            None if lifetime(part).is_some_and(|lifetime| lifetime < MIN_LIFETIME) => {
                return Err(SdpError::CryptoLifetime);
            }
            None => {}
        }
    }
    Ok(Offered { tag, keys, mki })
}

/// Packets for which a key may be used (RFC 4568 §6.1): a number or a power of two; `None` if it
/// cannot be read.
fn lifetime(text: &str) -> Option<u64> {
    let Some(exponent) = text.strip_prefix("2^") else {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        return is_number.then(|| text.parse().unwrap_or(u64::MAX));
    };
    let exponent: u32 = exponent.parse().ok()?;
    Some(1u64.checked_shl(exponent).unwrap_or(u64::MAX))
}
