//! A starting point in time for tests: only differences to it matter.

use std::sync::OnceLock;
use std::time::Instant;

/// The same instant on every call.
#[expect(clippy::disallowed_methods, reason = "an Instant cannot be made otherwise")]
pub(crate) fn start() -> Instant {
    static START: OnceLock<Instant> = OnceLock::new();
    *START.get_or_init(Instant::now)
}
