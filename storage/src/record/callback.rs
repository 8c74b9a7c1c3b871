//! The outbox: one job per ended call whose account has a callback, jobs of its progress if the
//! account asks for them, and the log of attempts.

use super::{AuthHeader, Sealed};
use call_words::{AccountId, CallId, EndpointId, JobState};
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

/// Where a job goes: a copy of the account's settings when the job was queued, so that all attempts
/// of one cycle are alike.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallbackTarget {
    /// Queue of the job: one per account and origin, so that a dead one delays no other (A23).
    pub endpoint: EndpointId,
    pub url: String,
    pub auth_header: Option<AuthHeader>,
    pub signing_secret: Sealed,
    pub max_retries: u32,
}

/// One call result to push, or one step of a call's progress.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallbackJob {
    pub call_id: CallId,
    pub account_id: AccountId,
    pub target: CallbackTarget,
    /// The body, byte for byte as every attempt sends it.
    pub body: String,
    pub state: JobState,
    /// Counts from 1; each redelivery by hand starts another.
    pub cycle: u32,
    /// Attempts made in this cycle.
    pub attempt_count: u32,
    /// Attempts made in all cycles.
    pub delivery_count: u32,
    /// When the next attempt is due, while pending.
    pub next_ms: u64,
    /// Of a progress callback: the number of its event within the call; `None` for the call's
    /// result. Since version 2.
    #[serde(default)]
    pub sequence: Option<u32>,
    /// When it was stored first. Since version 2.
    #[serde(default)]
    pub queued_ms: u64,
    /// Start of its call. Since version 3, as all below.
    #[serde(default)]
    pub start_ms: u64,
    /// Why the last attempt failed: its status, or a stable word such as `timeout`; `None` if none
    /// failed or the last did not.
    #[serde(default)]
    pub last_error: Option<String>,
}

impl CallbackJob {
    /// Name of the job: the call's id for its result.
    pub fn job_id(&self) -> String {
        job_id(&self.call_id, self.sequence)
    }

    /// Where and when it waits.
    pub fn queued(&self) -> Queued {
        Queued { endpoint: self.target.endpoint.clone(), due_ms: self.next_ms }
    }
}

/// A job that was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queued {
    /// Its queue.
    pub endpoint: EndpointId,
    /// When it is due first.
    pub due_ms: u64,
}

pub(crate) fn job_id(call_id: &CallId, sequence: Option<u32>) -> String {
    sequence.map_or_else(|| call_id.to_string(), |sequence| format!("{call_id}.{sequence}"))
}

/// One attempt to push a job.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryAttempt {
    pub at_ms: u64,
    pub cycle: u32,
    /// Counts from 1 within the cycle.
    pub attempt: u32,
    pub url: String,
    pub http_status: Option<u16>,
    /// Stable word when no status was received, such as `timeout`, `refused`, `tls`.
    pub error: Option<String>,
    pub duration_ms: u64,
    pub delivered: bool,
    /// As in the job. Since version 2.
    #[serde(default)]
    pub sequence: Option<u32>,
}
