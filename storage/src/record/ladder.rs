//! The SIP messages of a call's legs.

use crate::error::{Error, Result};
use call_words::{CallId, LegKind, MessageWay, SignalTransport};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::net::SocketAddr;

/// What was said in a call by SIP, without secrets: so far, or all of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ladder {
    pub call_id: CallId,
    /// A JSON array of [`Rung`]s in the order of time, kept as it was told and read by few.
    pub rungs: Box<RawValue>,
    /// Messages from the middle of a long call that were not kept.
    pub left_out_count: u32,
    /// Whether nothing can follow.
    pub whole: bool,
}

impl Ladder {
    /// Reads the rungs.
    ///
    /// # Errors
    /// They are something else.
    pub fn read(&self) -> Result<Vec<Rung>> {
        let corrupt =
            |error: serde_json::Error| Error::Corrupt { kind: "ladder", reason: error.to_string() };
        serde_json::from_str(self.rungs.get()).map_err(corrupt)
    }
}

impl PartialEq for Ladder {
    fn eq(&self, other: &Self) -> bool {
        let Self { call_id, rungs, left_out_count, whole } = self;
        (call_id, rungs.get(), left_out_count, whole)
            == (&other.call_id, other.rungs.get(), &other.left_out_count, &other.whole)
    }
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
