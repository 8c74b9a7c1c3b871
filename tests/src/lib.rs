//! What the end-to-end tests in `tests/tests` stand on: phones by SIPp, audio by tones, a callback
//! endpoint, and the real processes between them. Each child ends with the test that started it.

pub mod audio;
pub mod authority;
pub mod baresip;
pub mod browser;
pub mod dnsmasq;
pub mod firefox;
pub mod kamailio;
pub mod linphone;
pub mod network;
pub mod party;
pub mod rig;
pub mod sink;
pub mod sipp;

use std::time::{Duration, Instant};

/// How long a test waits for what must happen; more than a machine takes whose disk is busy with a
/// build.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// Waits until `look` finds something, or fails with `what` was missing.
#[track_caller]
pub fn eventually<T>(
    what: &str,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    async move {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look().await {
                return found;
            }
            assert!(Instant::now() < deadline, "{caller}: not within {PATIENCE:?}: {what}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
