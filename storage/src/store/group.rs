//! Group commit: operations that wait are done one after the other, each seeing what those before
//! it wrote, into one batch; when that is written, and on the disk if one of them promises so, all
//! are told. Whoever finds nobody at it leads: it commits groups until nothing waits.
//!
//! An operation reads all that may fail before it writes the first thing, so that one that failed
//! leaves nothing in the batch.

use crate::codec::{Record, decode};
use crate::error::{Error, Result};
use crate::event_numbers::Unsettled;
use crate::record::Call;
use crate::store::{Batch, Durability, Family, Reading, Storage, stripes};
use call_words::CallId;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLockReadGuard, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// Operations of one group.
const GROUP_CAP: usize = 1_024;

type Written = std::result::Result<(), rocksdb::Error>;
/// Tells who waits what came of its operation, once its group is written.
type Tell = Box<dyn FnOnce(Written) + Send>;
type Operation = Box<dyn FnOnce(&mut Group<'_>) -> Tell + Send>;

/// Operations that wait for their group.
#[derive(Default)]
pub(crate) struct Queue(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    operations: VecDeque<Operation>,
    is_led: bool,
    /// When the last group was begun.
    begun: Option<Instant>,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long ago the last group was begun, if anything waits for the next; with `None` the lead
    /// is over.
    fn since_last(&self) -> Option<Duration> {
        let mut waiting = self.lock();
        waiting.is_led = !waiting.operations.is_empty();
        let since = waiting.begun.map_or(Duration::MAX, |begun| begun.elapsed());
        waiting.is_led.then_some(since)
    }

    /// The next group.
    fn take(&self) -> Vec<Operation> {
        let mut waiting = self.lock();
        waiting.begun = Some(Instant::now());
        let count = waiting.operations.len().min(GROUP_CAP);
        waiting.operations.drain(..count).collect()
    }
}

/// Leaves the lead to others if an operation panics.
struct Lead<'a>(&'a Queue);

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.lock().is_led = false;
        }
    }
}

impl Storage {
    /// Does an operation with the next group, and returns when that is written.
    pub fn write<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut Group<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (tell, told) = mpsc::sync_channel(1);
        if self.submit(operation, move |outcome| drop(tell.send(outcome))) {
            self.lead(Duration::ZERO);
        }
        told.recv().expect("operations do not panic")
    }

    /// Leaves an operation to the next group; `tell` is called when that is written. True if nobody
    /// leads, so that the caller has [to](Self::lead).
    #[must_use = "without a lead nothing is written"]
    pub fn submit<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut Group<'_>) -> Result<T> + Send + 'static,
        tell: impl FnOnce(Result<T>) + Send + 'static,
    ) -> bool {
        let operation: Operation = Box::new(move |group| {
            let outcome = operation(group);
            Box::new(move |written| tell(written.map_err(Error::from).and(outcome)))
        });
        let mut waiting = self.queue().lock();
        waiting.operations.push_back(operation);
        !std::mem::replace(&mut waiting.is_led, true)
    }

    /// Commits groups until nothing waits, at most one each `pace`: an operation that comes after a
    /// pause is done at once, those that come close behind each other share a group.
    pub fn lead(&self, pace: Duration) {
        let _lead = Lead(self.queue());
        while let Some(since) = self.queue().since_last() {
            thread::sleep(pace.saturating_sub(since));
            let operations = self.queue().take();
            let mut group = Group::new(self);
            for operation in operations {
                let tell = operation(&mut group);
                group.tells.push(tell);
            }
            group.commit();
        }
    }
}

/// Operations that are written together.
pub struct Group<'a> {
    pub(crate) storage: &'a Storage,
    pub(crate) batch: Batch<'a>,
    durability: Durability,
    /// What is held still, by its lock.
    held: BTreeMap<usize, MutexGuard<'a, ()>>,
    kept_accounts: Option<RwLockReadGuard<'a, ()>>,
    unsettled: Vec<Unsettled>,
    tells: Vec<Tell>,
}

impl<'a> Group<'a> {
    fn new(storage: &'a Storage) -> Self {
        Self {
            storage,
            batch: storage.batch(),
            durability: Durability::Logged,
            held: BTreeMap::new(),
            kept_accounts: None,
            unsettled: Vec::new(),
            tells: Vec::new(),
        }
    }

    /// Writes what was done so far, and tells who waits for it.
    fn commit(&mut self) {
        let done = std::mem::replace(self, Self::new(self.storage));
        let written = done.batch.write(done.durability);
        drop((done.held, done.kept_accounts, done.unsettled));
        done.tells.into_iter().for_each(|tell| tell(written.clone()));
    }

    /// Holds everything named still until the group is written. Waits for nobody while other things
    /// are held: what was done so far is written before.
    pub(crate) fn hold(&mut self, names: &[Vec<u8>]) {
        let missing = stripes(names).into_iter().filter(|stripe| !self.held.contains_key(stripe));
        let storage = self.storage;
        let taken: Option<Vec<_>> =
            missing.map(|stripe| Some((stripe, storage.try_lock(stripe)?))).collect();
        match taken {
            Some(taken) => self.held.extend(taken),
            None => {
                self.commit();
                self.held = stripes(names).into_iter().zip(storage.lock(names)).collect();
            }
        }
    }

    /// No account is removed until the group is written. A removal waits for nobody's names.
    pub(crate) fn keep_accounts(&mut self) {
        self.kept_accounts.get_or_insert_with(|| self.storage.keep_accounts());
    }

    /// The group is as durable as the most careful of its operations.
    pub(crate) fn promise(&mut self, durability: Durability) {
        self.durability = self.durability.max(durability);
    }

    /// Readers of an account's events wait for this number until the group is written.
    pub(crate) fn settle(&mut self, unsettled: Unsettled) {
        self.unsettled.push(unsettled);
    }
}

impl Reading for Group<'_> {
    fn read(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>> {
        match self.batch.written(family, key) {
            Some(written) => Ok(written.map(<[u8]>::to_vec)),
            None => self.storage.read(family, key),
        }
    }

    fn load<R: Record>(&self, family: Family, key: &[u8]) -> Result<Option<R>> {
        match self.batch.written(family, key) {
            Some(written) => written.map(decode).transpose(),
            None => self.storage.load(family, key),
        }
    }

    fn call(&self, call_id: &CallId) -> Result<Option<Call>> {
        match self.batch.written_call(call_id) {
            Some(call) => Ok(Some(call.clone())),
            None => self.storage.call(call_id),
        }
    }
}
