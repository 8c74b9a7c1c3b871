//! What is to be pushed to an endpoint of an account, as an operation is given it.

use crate::error::Result;
use crate::record::{Call, CallbackTarget, EventRecord};

/// What is to be pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCallback {
    pub target: CallbackTarget,
    pub body: String,
    /// When the first attempt is due.
    pub due_ms: u64,
}

/// For steps that are pushed to nobody.
pub fn no_progress(_: &Call, _: &EventRecord) -> Result<Option<NewCallback>> {
    Ok(None)
}
