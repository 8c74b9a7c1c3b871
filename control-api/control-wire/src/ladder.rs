//! The SIP messages of a call's legs, for operators.

use call_words::{CallId, LegKind, MessageWay, SignalTransport};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use std::net::SocketAddr;

/// What was said in a call by SIP, without passwords' proofs, keys of media, and digits: told when
/// nothing can follow, or when it was asked for by [`Command::TellLadder`](crate::Command).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ladder {
    pub call_id: CallId,
    /// Each a [`Rung`], in the order of time, as they were printed: whoever keeps them need not
    /// read them.
    pub rungs: Box<RawValue>,
    /// Messages from the middle of a long call that were not kept.
    pub left_out_count: u32,
    /// Whether nothing can follow.
    pub whole: bool,
}

impl Ladder {
    /// Prints the rungs.
    pub fn new(call_id: CallId, rungs: &[Rung], left_out_count: u32, whole: bool) -> Self {
        let rungs = to_raw_value(rungs).expect("rungs have plain values only");
        Self { call_id, rungs, left_out_count, whole }
    }

    /// Reads the rungs.
    ///
    /// # Errors
    /// They are something else.
    pub fn read(&self) -> Result<Vec<Rung>, serde_json::Error> {
        serde_json::from_str(self.rungs.get())
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
