//! The numbers of events, given out in memory: they rise within each account and settle, in any
//! order, as the writes that carry them end.

use crate::error::Result;
use call_words::AccountId;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The numbers of all accounts.
#[derive(Debug, Clone, Default)]
pub(crate) struct EventNumbers(Arc<Mutex<HashMap<AccountId, Numbers>>>);

#[derive(Debug, Default)]
struct Numbers {
    last: u64,
    /// Given out, and not yet known to be written or not.
    unsettled: BTreeSet<u64>,
}

impl EventNumbers {
    /// Gives out the next number of an account; `stored` tells its last one on disk, if none was
    /// given out yet.
    pub(crate) fn take(
        &self,
        account_id: &AccountId,
        stored: impl FnOnce() -> Result<u64>,
    ) -> Result<Unsettled> {
        let mut accounts = self.lock();
        if !accounts.contains_key(account_id) {
            let numbers = Numbers { last: stored()?, unsettled: BTreeSet::new() };
            accounts.insert(account_id.to_owned(), numbers);
        }
        let numbers = accounts.entry(account_id.to_owned()).or_default();
        numbers.last += 1;
        numbers.unsettled.insert(numbers.last);
        let (account_id, number) = (account_id.to_owned(), numbers.last);
        Ok(Unsettled { numbers: self.clone(), account_id, number })
    }

    /// Up to this number nothing of an account changes any more; `None` if none was given out yet.
    pub(crate) fn settled(&self, account_id: &AccountId) -> Option<u64> {
        let settled =
            |numbers: &Numbers| numbers.unsettled.first().map_or(numbers.last, |first| first - 1);
        self.lock().get(account_id).map(settled)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AccountId, Numbers>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A number that was given out, until the write that carries it has succeeded or failed.
#[must_use = "readers wait for the number to settle"]
pub(crate) struct Unsettled {
    numbers: EventNumbers,
    account_id: AccountId,
    number: u64,
}

impl Unsettled {
    pub(crate) fn number(&self) -> u64 {
        self.number
    }
}

impl Drop for Unsettled {
    fn drop(&mut self) {
        if let Some(numbers) = self.numbers.lock().get_mut(&self.account_id) {
            numbers.unsettled.remove(&self.number);
        }
    }
}
