//! Records that are kept in memory besides the disk: what onboarding sets, as it was read, until
//! any of it changes; and calls that are live, as they were last written. Both are what the disk
//! has, so that nothing is lost with them.

use crate::codec::Record;
use crate::error::Result;
use crate::record::Call;
use crate::store::Family;
use call_words::CallId;
use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

/// Settings and live calls that are kept; beyond that the disk is read.
const SETTING_CAP: usize = 100_000;
const CALL_CAP: usize = 100_000;

/// What is kept.
#[derive(Default)]
pub(crate) struct Known {
    settings: RwLock<Settings>,
    calls: Mutex<HashMap<CallId, Arc<Call>>>,
}

#[derive(Default)]
struct Settings {
    /// Counts the changes: what was read before one is not kept behind it.
    change_count: u64,
    records: HashMap<Vec<u8>, HashMap<u8, Arc<dyn Any + Send + Sync>>>,
    count: usize,
}

impl Known {
    /// What onboarding sets.
    pub(crate) const SETTINGS: [Family; 5] =
        [Family::Accounts, Family::Numbers, Family::Agents, Family::ApiKeys, Family::Trunks];

    /// A setting as it is kept, or else as it is read now.
    pub(crate) fn setting<R>(
        &self,
        family: Family,
        key: &[u8],
        read: impl FnOnce() -> Result<Option<R>>,
    ) -> Result<Option<Arc<R>>>
    where
        R: Record + Send + Sync + 'static,
    {
        debug_assert!(Self::SETTINGS.contains(&family));
        let change_count = {
            let settings = self.settings.read().unwrap_or_else(PoisonError::into_inner);
            let kept = settings.records.get(key).and_then(|kinds| kinds.get(&(family as u8)));
            if let Some(Ok(record)) = kept.map(|record| Arc::clone(record).downcast()) {
                return Ok(Some(record));
            }
            settings.change_count
        };
        let Some(record) = read()?.map(Arc::new) else { return Ok(None) };
        let mut settings = self.settings.write().unwrap_or_else(PoisonError::into_inner);
        if settings.change_count == change_count && settings.count < SETTING_CAP {
            let kept: Arc<dyn Any + Send + Sync> = Arc::<R>::clone(&record);
            let kinds = settings.records.entry(key.to_vec()).or_default();
            let is_new = kinds.insert(family as u8, kept).is_none();
            settings.count += usize::from(is_new);
        }
        Ok(Some(record))
    }

    /// Settings were written, or may have been: all are read anew. They change rarely.
    pub(crate) fn settings_changed(&self) {
        let mut settings = self.settings.write().unwrap_or_else(PoisonError::into_inner);
        let change_count = settings.change_count + 1;
        *settings = Settings { change_count, ..Settings::default() };
    }

    /// A live call.
    pub(crate) fn call(&self, call_id: &CallId) -> Option<Arc<Call>> {
        self.calls().get(call_id).cloned()
    }

    /// Calls were written by who holds them still; if that failed, only the disk knows.
    pub(crate) fn written(&self, written: impl IntoIterator<Item = Call>, is_done: bool) {
        let mut calls = self.calls();
        for call in written {
            let has_room = calls.len() < CALL_CAP || calls.contains_key(&call.call_id);
            if is_done && call.is_live() && has_room {
                calls.insert(call.call_id.clone(), Arc::new(call));
            } else {
                calls.remove(&call.call_id);
            }
        }
    }

    fn calls(&self) -> MutexGuard<'_, HashMap<CallId, Arc<Call>>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
