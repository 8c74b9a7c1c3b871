//! What is to be pushed to an endpoint of an account, and who says so.

use crate::record::{Account, Call, CallbackTarget, EventRecord};

/// What is to be pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCallback {
    pub target: CallbackTarget,
    pub body: String,
    /// When the first attempt is due.
    pub due_ms: u64,
}

/// Says what is pushed of calls; given when the database is opened. It is asked inside the write
/// that makes the call so, under its lock, and must not come back to the database.
pub trait Announcer: Send + Sync + 'static {
    /// The callback of an ended call; `None` if the account has none.
    fn result(&self, account: &Account, call: &Call) -> Option<NewCallback>;

    /// The progress callback of an event; `None` unless the account asks for it.
    fn step(&self, account: &Account, event: &EventRecord) -> Option<NewCallback>;
}

/// Pushes nothing.
impl Announcer for () {
    fn result(&self, _: &Account, _: &Call) -> Option<NewCallback> {
        None
    }

    fn step(&self, _: &Account, _: &EventRecord) -> Option<NewCallback> {
        None
    }
}
