//! Digits that are sent to legs: telephone events where they were negotiated (RFC 4733), else tones in the audio.

use std::time::Instant;

use super::leg::Kind;
use super::{LegId, Relay};

/// In the codes given to `send_digits`: nothing is sent for a second.
pub const PAUSE: u8 = 255;
/// The highest code of a key: D (RFC 4733 §3.2).
const MAX_CODE: u8 = 15;

/// Why digits are not sent; none of them is then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DigitsRefused {
    #[error("too many digits wait to be sent")]
    Full,
    #[error("the leg cannot be sent to")]
    NotSending,
    #[error("no such key")]
    UnknownKey,
}

impl Relay {
    /// Sends digits to the leg after those that still wait: telephone events if negotiated, else dual tones. Codes are 0 to 15
    /// (RFC 4733 §3.2: 10 is '*', 11 '#', 12 to 15 A to D), or `PAUSE`. Audio to the leg is suppressed meanwhile.
    pub fn send_digits(&mut self, _now: Instant, leg: LegId, codes: &[u8]) -> Result<(), DigitsRefused> {
        if codes.iter().any(|code| *code > MAX_CODE && *code != PAUSE) {
            return Err(DigitsRefused::UnknownKey);
        }
        let open = self.legs.get(leg.index, leg.generation).ok_or(DigitsRefused::NotSending)?;
        if open.payload_type(Kind::Audio).is_err() || open.destination().is_none() {
            return Err(DigitsRefused::NotSending);
        }
        Ok(())
    }
}
