//! The SIP messages of a call's legs.

use call_words::{CallId, LegKind, MessageWay, SignalTransport};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// What was said in a call by SIP, without secrets: so far, or all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rung {
    pub at_ms: u64,
    pub leg: LegKind,
    pub party: Option<String>,
    pub way: MessageWay,
    pub transport: SignalTransport,
    /// The edge's own end.
    pub local: SocketAddr,
    pub remote: SocketAddr,
    /// Its bytes, each of them as one character (ISO 8859-1).
    pub message: String,
}
