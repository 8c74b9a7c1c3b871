//! What the product remembers, on disk: accounts and all that onboarding sets, calls, their
//! timelines, the callback outbox, recordings' retention, webphone sessions, events. Functions are
//! operations of the product, each atomic; they block, so async callers use `spawn_blocking`. Knows
//! no SIP and no HTTP, reads no clock but to pace its writes: times are passed in as Unix
//! milliseconds.

pub mod record;

mod callback;
mod calls;
mod codec;
mod create;
mod error;
mod event_numbers;
mod events;
mod key;
mod ladders;
mod listing;
mod onboarding;
mod outbox;
mod parties;
mod retention;
mod store;
mod webphone;

pub use callback::{Announcer, NewCallback};
pub use calls::{
    Applied, Finish, FinishOutcome, MilestoneOutcome, Progress, StepEvent, TIMELINE_CAP,
};
pub use create::{Assignment, CreateOutcome, InTheWay, NewCall, UUID_WINDOW_MS};
pub use error::{Error, Result};
pub use events::{EVENT_CAP, EVENT_WINDOW_MS, EventRange};
pub use listing::{CallFilter, Page};
pub use onboarding::{Belongings, RemoveOutcome};
pub use outbox::{DELIVERY_LOG_CAP, Due, NextStep, OutboxDepth, RequeueOutcome, ResultPage};
pub use parties::{AddOutcome, NewParty, OTHERS_CAP};
pub use record::*;
pub use retention::Expired;
pub use store::{Group, Storage};
