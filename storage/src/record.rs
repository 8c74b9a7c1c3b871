//! The records that are kept on disk, as their readers see them. Times are Unix milliseconds; every
//! number named `_e164` or called a caller ID is in the form `+<digits>`. Secrets arrive sealed by
//! the caller and stay sealed; API keys are hashes only. How a record becomes bytes is `codec`'s;
//! which keys and indexes it has is each operation module's.

mod call;
mod callback;
mod conversation;
mod event;
mod ladder;
mod onboarding;
mod region;
mod webphone;

pub use call::{
    Attempt, Call, FarMedia, FinalCall, IdempotencyEntry, LegMedia, Mos, Owner, Pause,
    RecordingEntry, RecordingResult, RecordingWritten, TimelineEntry,
};
pub use callback::{CallbackJob, CallbackTarget, DeliveryAttempt, Queued};
pub use conversation::{Conversation, EarlierParty, OtherEnd, OtherParty, Party, PartyRequest};
pub use event::{EventMark, EventRecord};
pub use ladder::{Ladder, Rung};
pub use onboarding::{
    Account, Agent, ApiKey, AuthHeader, CallbackSettings, EarlierSecret, KeyClass, KeyHash, Limits,
    Number, NumberFormat, ReferPolicy, Retention, Trunk,
};
pub use region::{Region, UnknownRegion};
pub use webphone::{MediaTest, Softphone, WebphoneSession};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A secret that was encrypted before it came here. Written as hexadecimal, never shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(pub Vec<u8>);

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealed(..)")
    }
}

impl Serialize for Sealed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&to_hex(&self.0))
    }
}

impl<'de> Deserialize<'de> for Sealed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        from_hex(&text).map(Sealed).ok_or_else(|| serde::de::Error::custom("not hexadecimal"))
    }
}

/// Prints bytes as lower-case hexadecimal.
pub(crate) fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = |byte: &u8| [byte >> 4, byte & 15].map(|digit| DIGITS[digit as usize] as char);
    bytes.iter().flat_map(digits).collect()
}

/// Parses hexadecimal of an even number of ASCII digits.
pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}
