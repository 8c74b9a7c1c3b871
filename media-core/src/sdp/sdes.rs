//! SDES keys in `a=crypto` (RFC 4568): one key per line, no master key identifier, no session parameters.

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use sdp_types::{Crypto, SrtpSessionParam};

use super::SdpError;
use crate::srtp::{Keys, Suite};

/// A peer's key must last for this many packets: the longest call (4 h) at 50 packets/s, rounded up.
const MIN_LIFETIME: u64 = 1 << 20;

/// Pads what it prints and reads with or without padding, since peers disagree on it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A peer's crypto line that can be used.
pub(super) struct Offered {
    pub(super) tag: u32,
    pub(super) keys: Keys,
}

/// The value of an `a=crypto` attribute.
pub(super) fn print(tag: u32, keys: &Keys) -> String {
    format!("{tag} {} inline:{}", keys.suite().name(), BASE64.encode(keys.material()))
}

/// Reads the value of an `a=crypto` attribute; an unknown suite is `SdpError::Crypto`.
pub(super) fn parse(value: &str) -> Result<Offered, SdpError> {
    let fields: Vec<&str> = value.split_ascii_whitespace().collect();
    let [_, name, parameters, ..] = fields.as_slice() else { return Err(SdpError::Crypto) };
    let suite = Suite::ALL.into_iter().find(|suite| suite.name().eq_ignore_ascii_case(name)).ok_or(SdpError::Crypto)?;
    // A master key identifier may be longer than sdp-types can hold: it gets its own error before that parser.
    if parameters.split('|').skip(1).any(|part| part.contains(':')) {
        return Err(SdpError::CryptoMki);
    }
    let crypto: Crypto = fields.join(" ").parse().map_err(|_| SdpError::CryptoParameter)?;
    let [key] = crypto.key_params.as_slice() else { return Err(SdpError::CryptoMki) };
    if key.lifetime.is_some_and(|lifetime| lifetime < MIN_LIFETIME) {
        return Err(SdpError::CryptoLifetime);
    }
    // The replay window is a receiver's own choice (RFC 4568 §6.3.7); every other parameter changes the packets.
    if !crypto.session_params.iter().all(|parameter| matches!(parameter, SrtpSessionParam::Wsh(_))) {
        return Err(SdpError::CryptoParameter);
    }
    let material = zeroize::Zeroizing::new(BASE64.decode(&key.key_and_salt).map_err(|_| SdpError::CryptoKey)?);
    let keys = Keys::new(suite, &material).ok_or(SdpError::CryptoKey)?;
    Ok(Offered { tag: crypto.tag, keys })
}
