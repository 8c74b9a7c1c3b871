//! Requests for parties that are sent again while the first one is being done: they wait for it and
//! get its outcome. What was done before, the call's record knows. The first one's own limits bound
//! the wait.

use crate::problem::Problem;
use call_words::CallId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use storage::{Call, PartyRequest};
use tokio::sync::watch;

/// The party that was asked for, or why it was not.
pub type Outcome = Result<String, Problem>;

/// The requests that are being done, by call and Idempotency-Key. Shared by clones.
#[derive(Debug, Clone, Default)]
pub struct Repeats(Arc<Mutex<HashMap<(CallId, String), First>>>);

impl Repeats {
    fn lock(&self) -> MutexGuard<'_, HashMap<(CallId, String), First>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The turn of a request, or the one that has it.
    pub fn take(&self, call: &Call, request: &PartyRequest) -> Result<Turn, First> {
        let key = (call.call_id.clone(), request.idempotency_key.clone());
        let mut firsts = self.lock();
        if let Some(first) = firsts.get(&key) {
            return Err(first.clone());
        }
        let (sender, outcome) = watch::channel(None);
        firsts.insert(key.clone(), First { fingerprint: request.fingerprint.clone(), outcome });
        Ok(Turn { repeats: self.clone(), key, outcome: sender })
    }
}

/// A request that another one waits for.
#[derive(Debug, Clone)]
pub struct First {
    fingerprint: String,
    /// `None` until it is done.
    outcome: watch::Receiver<Option<Outcome>>,
}

impl First {
    /// Waits for its end. `None` if it was another request, or if it panicked.
    pub async fn outcome_for(&mut self, request: &PartyRequest) -> Option<Outcome> {
        let done = self.outcome.wait_for(Option::is_some).await;
        let outcome = done.ok().and_then(|outcome| outcome.clone());
        outcome.filter(|_| self.fingerprint == request.fingerprint)
    }
}

/// A request that is being done, until it is dropped.
#[derive(Debug)]
pub struct Turn {
    repeats: Repeats,
    key: (CallId, String),
    outcome: watch::Sender<Option<Outcome>>,
}

impl Turn {
    /// Tells those who wait.
    pub fn tell(&self, outcome: Outcome) {
        self.outcome.send_replace(Some(outcome));
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.repeats.lock().remove(&self.key);
    }
}
