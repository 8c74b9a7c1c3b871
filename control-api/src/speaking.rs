//! Who is speaking in which call, for the pages that show it. Nothing is kept of calls that no page
//! shows.

use call_words::CallId;
use control_wire::Speaking;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// The parties that speak, by call.
#[derive(Debug, Default)]
pub struct Speakers(Mutex<HashMap<CallId, watch::Sender<Vec<String>>>>);

impl Speakers {
    fn lock(&self) -> MutexGuard<'_, HashMap<CallId, watch::Sender<Vec<String>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who speaks in a live call from now on.
    pub fn watch(&self, call_id: &CallId) -> watch::Receiver<Vec<String>> {
        self.lock()
            .entry(call_id.to_owned())
            .or_insert_with(|| watch::channel(Vec::new()).0)
            .subscribe()
    }

    /// Takes what a shard tells.
    pub fn tell(&self, speaking: Speaking) {
        let mut calls = self.lock();
        if calls.get(&speaking.call_id).is_some_and(|sender| sender.receiver_count() == 0) {
            calls.remove(&speaking.call_id);
        } else if let Some(sender) = calls.get(&speaking.call_id) {
            sender.send_replace(speaking.parties);
        }
    }

    /// The call ended.
    pub fn forget(&self, call_id: &CallId) {
        self.lock().remove(call_id);
    }
}
