//! The SIP messages of a call's legs, for operators.

use call_words::{CallId, LegKind, MessageWay, SignalTransport};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// What was said in a call by SIP, without passwords' proofs, keys of media, and digits: told when
/// nothing can follow, or when it was asked for by [`Command::TellLadder`](crate::Command).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ladder {
    pub call_id: CallId,
    /// In the order of time.
    pub rungs: Vec<Rung>,
    /// Messages from the middle of a long call that were not kept.
    pub left_out_count: u32,
    /// Whether nothing can follow.
    pub whole: bool,
}

/// One SIP message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rung {
    pub at_ms: u64,
    pub leg: LegKind,
    /// Name of the participant or supervisor, if it is one's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub party: Option<String>,
    pub way: MessageWay,
    pub transport: SignalTransport,
    /// The edge's own end.
    pub local: SocketAddr,
    pub remote: SocketAddr,
    /// Its bytes, each of them as one character (ISO 8859-1): what came need not be UTF-8.
    pub message: String,
}
