//! What the product remembers, on disk: accounts and all that onboarding sets, calls, their
//! timelines, the callback outbox, recordings' retention, webphone sessions, events. Functions are
//! operations of the product, each atomic; they block, so async callers use `spawn_blocking`. Knows
//! no SIP and no HTTP, reads no clock: times are passed in as Unix milliseconds.

pub mod record;

mod calls;
mod codec;
mod create;
mod events;
mod key;
mod listing;
mod onboarding;
mod outbox;
mod parties;
mod retention;
mod store;
mod webphone;

pub use calls::{
    Applied, EventWord, Finish, FinishOutcome, MilestoneOutcome, Progress, TIMELINE_CAP,
    no_progress,
};
pub use create::{CreateOutcome, InTheWay, NewCall};
pub use events::{EVENT_CAP, EVENT_WINDOW_MS, EventRange};
pub use listing::{CallFilter, Page};
pub use onboarding::{Belongings, RemoveOutcome};
pub use outbox::{
    DELIVERY_LOG_CAP, Due, NewCallback, NextStep, OutboxDepth, RequeueOutcome, ResultPage,
};
pub use parties::{AddOutcome, NewParty, OTHERS_CAP};
pub use record::*;
pub use retention::Expired;
pub use store::Storage;

/// Why an operation was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("database: {0}")]
    Database(#[from] rocksdb::Error),
    /// A record on disk cannot be read.
    #[error("unreadable {kind} record: {reason}")]
    Corrupt { kind: &'static str, reason: String },
    /// The record was written by a newer release.
    #[error("{kind} record of version {version}, newer than this release")]
    NewerVersion { kind: &'static str, version: u8 },
    /// The operation contradicts what is stored; the text says how.
    #[error("{0}")]
    Conflict(&'static str),
    /// A page cursor that this storage did not make.
    #[error("not a cursor of this listing")]
    BadCursor,
}

pub type Result<T> = std::result::Result<T, Error>;
