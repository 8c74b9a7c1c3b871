//! An account's log of what happened to its calls.

use super::conversation::Conversation;
use call_words::{CallId, EventWord, LegKind, Word};
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

/// Something that happened to a call, in its account's log of events.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRecord {
    /// Rises within the account.
    pub number: u64,
    pub call_id: CallId,
    pub uuid: String,
    /// Counts from 1 within the call.
    pub sequence: u32,
    pub at_ms: u64,
    pub event: Word<EventWord>,
    pub leg: Option<LegKind>,
    pub party: Option<String>,
    pub sip_code: Option<u16>,
    pub reason: Option<String>,
    /// How the parties stood after it, if it changed that.
    pub conversation: Option<Conversation>,
}

/// What of an account's events was forgotten.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventMark {
    /// Highest number that was forgotten.
    pub last_forgotten: u64,
    /// Up to this number the log has been cut: what is asked for before it may be missing.
    pub cut_until: u64,
}
