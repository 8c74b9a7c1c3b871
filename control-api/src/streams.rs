//! Who reads an account's events as they come: wakes them, and bounds how many there are. What they
//! read is `storage`'s log, how it is told `http::calls::events`'s.

use call_words::AccountId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Streams that one account may have open.
const STREAM_CAP: usize = 32;

/// How long streams wait.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Between two signs of life, and between two looks whether the key still works.
    pub keep_alive: Duration,
    /// For a reader that takes nothing.
    pub slow_reader: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { keep_alive: Duration::from_secs(15), slow_reader: Duration::from_secs(10) }
    }
}

/// The readers, shared by clones.
#[derive(Debug, Clone, Default)]
pub struct Streams {
    pub patience: Patience,
    accounts: Arc<Mutex<HashMap<AccountId, watch::Sender<()>>>>,
}

impl Streams {
    pub fn new(patience: Patience) -> Self {
        Self { patience, accounts: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AccountId, watch::Sender<()>>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// News of the account's log from now on; `None` if it has as many streams as it may.
    pub fn open(&self, account_id: &AccountId) -> Option<watch::Receiver<()>> {
        let mut accounts = self.lock();
        let sender = accounts.entry(account_id.to_owned()).or_insert_with(|| watch::channel(()).0);
        (sender.receiver_count() < STREAM_CAP).then(|| sender.subscribe())
    }

    /// Events of the account were written.
    pub fn wake(&self, account_id: &AccountId) {
        let mut accounts = self.lock();
        // Nobody listens any more: the last one only left this behind.
        if accounts.get(account_id).is_some_and(|sender| sender.send(()).is_err()) {
            accounts.remove(account_id);
        }
    }
}
