//! The database itself: column families, locks, batches, scans. Of records it knows which are kept
//! in memory, too.

mod group;
mod known;

pub use group::Group;

use crate::callback::Announcer;
use crate::codec::{Record, decode, encode};
use crate::error::{Error, Result};
use crate::event_numbers::EventNumbers;
use crate::record::Call;
use call_words::CallId;
use group::Queue;
use known::Known;
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType,
    DBRawIterator, ErrorKind, Options, ReadOptions, ReadTier, WriteBatch, WriteOptions,
};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError,
};

/// Locks that read-modify-write operations share by the hash of what they change.
const STRIPE_COUNT: usize = 1024;
const BLOCK_CACHE_LEN: usize = 64 << 20;
/// Most unflushed data, over all families, and so most log that a start has to replay.
const WRITE_BUFFER_LEN: usize = 64 << 20;
const OPEN_FILE_COUNT: i32 = 256;
const FAMILY_COUNT: usize = 33;
/// Bytes of a write besides its key and value, at most: tag, family and two lengths.
const WRITE_OVERHEAD: usize = 16;

/// One column family per kind of record or index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    /// account id → `Account`
    Accounts,
    /// e164 → `Number`
    Numbers,
    /// account, e164 → nothing
    AccountNumbers,
    /// account, crm_username → `Agent`
    Agents,
    /// key id → `ApiKey`
    ApiKeys,
    /// key hash → key id
    ApiKeyHashes,
    /// trunk id → `Trunk`
    Trunks,
    /// call id → `Call`
    Calls,
    /// account, newest first, call id → nothing
    AccountCalls,
    /// call id → nothing
    LiveCalls,
    /// account, uuid → id of the last call
    Uuids,
    /// account, Idempotency-Key → `IdempotencyEntry`
    Idempotency,
    /// created, key of `Idempotency` → nothing
    IdempotencyExpiry,
    /// call id, sequence → `TimelineEntry`
    Timeline,
    /// job id → `CallbackJob`
    CallbackJobs,
    /// endpoint, due, job id → nothing
    CallbacksDue,
    /// call id, number of the attempt → `DeliveryAttempt`
    Deliveries,
    /// file name → `RecordingEntry`
    Recordings,
    /// account, start, file name → nothing
    AccountRecordings,
    /// file name → nothing: files whose retention ended and that may still exist
    RecordingDeletions,
    /// expired, file name → nothing
    RecordingTombstones,
    /// account, crm_username → id of the last call with the agent's softphone
    AgentCalls,
    /// account, crm_username → `Softphone`
    Softphones,
    /// session id → `WebphoneSession`
    WebphoneSessions,
    /// expires, session id → nothing
    WebphoneSessionExpiry,
    /// account, number → `EventRecord`
    Events,
    /// call id, number → nothing
    CallEvents,
    /// account → `EventMark`
    EventMarks,
    /// account, state, newest first by the call's start, call id → nothing: results that are not
    /// delivered
    Results,
    /// account → nothing: removed accounts whose calls are not all forgotten
    Removals,
    /// name of a change to what earlier releases stored → nothing: it is done
    Changes,
    /// call id → `Ladder`
    Ladders,
    /// start of the call, call id → nothing
    LadderExpiry,
}

impl Family {
    const ALL: [(Family, &'static str); FAMILY_COUNT] = [
        (Family::Accounts, "accounts"),
        (Family::Numbers, "numbers"),
        (Family::AccountNumbers, "account_numbers"),
        (Family::Agents, "agents"),
        (Family::ApiKeys, "api_keys"),
        (Family::ApiKeyHashes, "api_key_hashes"),
        (Family::Trunks, "trunks"),
        (Family::Calls, "calls"),
        (Family::AccountCalls, "account_calls"),
        (Family::LiveCalls, "live_calls"),
        (Family::Uuids, "uuids"),
        (Family::Idempotency, "idempotency"),
        (Family::IdempotencyExpiry, "idempotency_expiry"),
        (Family::Timeline, "timeline"),
        (Family::CallbackJobs, "callback_jobs"),
        (Family::CallbacksDue, "callbacks_due"),
        (Family::Deliveries, "deliveries"),
        (Family::Recordings, "recordings"),
        (Family::AccountRecordings, "account_recordings"),
        (Family::RecordingDeletions, "recording_deletions"),
        (Family::RecordingTombstones, "recording_tombstones"),
        (Family::AgentCalls, "agent_calls"),
        (Family::Softphones, "softphones"),
        (Family::WebphoneSessions, "webphone_sessions"),
        (Family::WebphoneSessionExpiry, "webphone_session_expiry"),
        (Family::Events, "events"),
        (Family::CallEvents, "call_events"),
        (Family::EventMarks, "event_marks"),
        (Family::Results, "results"),
        (Family::Removals, "removals"),
        (Family::Changes, "changes"),
        (Family::Ladders, "ladders"),
        (Family::LadderExpiry, "ladder_expiry"),
    ];

    fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

/// When a write counts as done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Durability {
    /// With the kernel: survives the end of this process.
    Logged,
    /// On the disk: survives a power failure. Whatever an acknowledgement promises.
    Synced,
}

/// The database, shared by clones.
#[derive(Clone)]
pub struct Storage {
    inner: Arc<Inner>,
    /// Of one that reads memory alone: set when something was not there.
    missed: Option<Arc<AtomicBool>>,
}

struct Inner {
    db: DB,
    stripes: Vec<Mutex<()>>,
    announcer: Box<dyn Announcer>,
    event_numbers: EventNumbers,
    /// Held for writing while an account is removed, and by whoever makes something that would keep
    /// it.
    removals: RwLock<()>,
    known: Known,
    queue: Queue,
}

impl Storage {
    /// Opens or creates the database in a folder; fails if another process has it open. The
    /// announcer says what is pushed of its calls; `()` pushes nothing.
    pub fn open(folder: impl AsRef<Path>, announcer: impl Announcer) -> Result<Self> {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        options.set_max_open_files(OPEN_FILE_COUNT);
        options.set_db_write_buffer_size(WRITE_BUFFER_LEN);
        options.set_max_total_wal_size(WRITE_BUFFER_LEN as u64);
        options.set_keep_log_file_num(4);
        let mut blocks = BlockBasedOptions::default();
        blocks.set_block_cache(&Cache::new_lru_cache(BLOCK_CACHE_LEN));
        blocks.set_bloom_filter(10.0, false);
        let families = Family::ALL.map(|(_, name)| {
            let mut options = Options::default();
            options.set_compression_type(DBCompressionType::Lz4);
            options.set_block_based_table_factory(&blocks);
            ColumnFamilyDescriptor::new(name, options)
        });
        let db = DB::open_cf_descriptors(&options, folder, families)?;
        let stripes = (0..STRIPE_COUNT).map(|_| Mutex::new(())).collect();
        let inner = Inner {
            db,
            stripes,
            announcer: Box::new(announcer),
            event_numbers: EventNumbers::default(),
            removals: RwLock::default(),
            known: Known::default(),
            queue: Queue::default(),
        };
        let storage = Self { inner: Arc::new(inner), missed: None };
        storage.list_results()?;
        Ok(storage)
    }

    /// Writes to the disk what nobody reads, to see whether writes succeed.
    pub fn probe(&self) -> Result<()> {
        let mut options = WriteOptions::default();
        options.set_sync(true);
        Ok(self.inner.db.put_opt(b"probe", b"", &options)?)
    }

    /// The same records for reading without a wait for the disk. What needs it fails, and then
    /// [`has_missed`](Self::has_missed) says so.
    pub fn in_memory(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), missed: Some(Arc::default()) }
    }

    /// Whether something that was read was not in memory.
    pub fn has_missed(&self) -> bool {
        self.missed.as_ref().is_some_and(|missed| missed.load(Ordering::Relaxed))
    }

    fn read_options(&self) -> ReadOptions {
        let mut options = ReadOptions::default();
        if self.missed.is_some() {
            options.set_read_tier(ReadTier::BlockCache);
        }
        options
    }

    /// Notes that memory was not enough.
    fn failed(&self, error: rocksdb::Error) -> Error {
        if let Some(missed) = self.missed.as_ref().filter(|_| error.kind() == ErrorKind::Incomplete)
        {
            missed.store(true, Ordering::Relaxed);
        }
        error.into()
    }

    pub(crate) fn queue(&self) -> &Queue {
        &self.inner.queue
    }

    pub(crate) fn known(&self) -> &Known {
        &self.inner.known
    }

    pub(crate) fn announcer(&self) -> &dyn Announcer {
        self.inner.announcer.as_ref()
    }

    pub(crate) fn event_numbers(&self) -> &EventNumbers {
        &self.inner.event_numbers
    }

    fn family(&self, family: Family) -> &ColumnFamily {
        self.inner.db.cf_handle(family.name()).expect("every family is opened with the database")
    }

    /// No account is removed while this is held.
    pub(crate) fn keep_accounts(&self) -> RwLockReadGuard<'_, ()> {
        self.inner.removals.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for those that keep accounts.
    pub(crate) fn lock_removals(&self) -> RwLockWriteGuard<'_, ()> {
        self.inner.removals.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds everything named still, in an order that no two callers take differently.
    pub(crate) fn lock(&self, names: &[Vec<u8>]) -> Vec<MutexGuard<'_, ()>> {
        stripes(names)
            .into_iter()
            .map(|stripe| self.inner.stripes[stripe].lock().unwrap_or_else(PoisonError::into_inner))
            .collect()
    }

    /// Holds one of the [`stripes`] still if nobody else does.
    pub(crate) fn try_lock(&self, stripe: usize) -> Option<MutexGuard<'_, ()>> {
        match self.inner.stripes[stripe].try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    pub(crate) fn read(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let found = self.inner.db.get_cf_opt(self.family(family), key, &self.read_options());
        found.map_err(|error| self.failed(error))
    }

    pub(crate) fn load<R: Record>(&self, family: Family, key: &[u8]) -> Result<Option<R>> {
        self.inner
            .db
            .get_pinned_cf_opt(self.family(family), key, &self.read_options())
            .map_err(|error| self.failed(error))?
            .map(|bytes| decode(&bytes))
            .transpose()
    }

    /// The same of what onboarding sets, which is kept in memory once it was read.
    pub(crate) fn setting<R>(&self, family: Family, key: &[u8]) -> Result<Option<Arc<R>>>
    where
        R: Record + Send + Sync + 'static,
    {
        self.inner.known.setting(family, key, || self.load(family, key))
    }

    /// All records whose key has the prefix, in key order.
    pub(crate) fn load_all<R: Record>(&self, family: Family, prefix: &[u8]) -> Result<Vec<R>> {
        let mut records = Vec::new();
        let mut scan = self.scan(family, prefix);
        while let Some((_, value)) = scan.current()? {
            records.push(decode(value)?);
            scan.advance();
        }
        Ok(records)
    }

    /// How many keys have the prefix.
    pub(crate) fn count(&self, family: Family, prefix: &[u8]) -> Result<usize> {
        let mut count = 0;
        let mut scan = self.scan(family, prefix);
        while scan.current()?.is_some() {
            count += 1;
            scan.advance();
        }
        Ok(count)
    }

    /// A walk over the keys that have the prefix, standing at the first.
    pub(crate) fn scan(&self, family: Family, prefix: &[u8]) -> Scan<'_> {
        self.scan_from(family, prefix, prefix)
    }

    /// The same, standing at the first that is `start` or behind it: what was deleted before is not
    /// walked over.
    pub(crate) fn scan_from(&self, family: Family, prefix: &[u8], start: &[u8]) -> Scan<'_> {
        let mut options = self.read_options();
        options.set_iterate_range(rocksdb::PrefixRange(prefix));
        let mut iterator = self.inner.db.raw_iterator_cf_opt(self.family(family), options);
        iterator.seek(start);
        Scan { storage: self, iterator }
    }

    pub(crate) fn batch(&self) -> Batch<'_> {
        let writes = std::array::from_fn(|_| BTreeMap::new());
        Batch { storage: self, writes, calls: BTreeMap::new() }
    }
}

/// What can be read: the records as they are, or as a group makes them.
pub(crate) trait Reading {
    fn read(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>>;
    fn load<R: Record>(&self, family: Family, key: &[u8]) -> Result<Option<R>>;
    fn call(&self, call_id: &CallId) -> Result<Option<Call>>;
}

impl Reading for Storage {
    fn read(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.read(family, key)
    }

    fn load<R: Record>(&self, family: Family, key: &[u8]) -> Result<Option<R>> {
        self.load(family, key)
    }

    fn call(&self, call_id: &CallId) -> Result<Option<Call>> {
        self.call(call_id)
    }
}

/// The locks of names.
pub(crate) fn stripes(names: &[Vec<u8>]) -> BTreeSet<usize> {
    let stripe = |name: &Vec<u8>| {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        hasher.finish() as usize % STRIPE_COUNT
    };
    names.iter().map(stripe).collect()
}

/// A bounded walk over part of a family.
pub(crate) struct Scan<'a> {
    storage: &'a Storage,
    iterator: DBRawIterator<'a>,
}

impl Scan<'_> {
    pub(crate) fn current(&self) -> Result<Option<(&[u8], &[u8])>> {
        match self.iterator.item() {
            Some(item) => Ok(Some(item)),
            None => {
                self.iterator.status().map(|()| None).map_err(|error| self.storage.failed(error))
            }
        }
    }

    pub(crate) fn advance(&mut self) {
        self.iterator.next();
    }

    pub(crate) fn step_back(&mut self) {
        self.iterator.prev();
    }

    pub(crate) fn seek(&mut self, key: &[u8]) {
        self.iterator.seek(key);
    }

    pub(crate) fn seek_to_last(&mut self) {
        self.iterator.seek_to_last();
    }
}

/// The least key that sorts behind all keys with the prefix. The prefix starts with a length, so it
/// is never all 0xff.
pub(crate) fn behind(prefix: &[u8]) -> Vec<u8> {
    let kept = prefix.iter().rposition(|&byte| byte != 0xff).map_or(0, |at| at + 1);
    let mut key = prefix[..kept].to_vec();
    if let Some(last) = key.last_mut() {
        *last += 1;
    }
    key
}

/// Writes that become visible and durable together: of each key the last.
pub(crate) struct Batch<'a> {
    storage: &'a Storage,
    /// By family and key; `None` deletes.
    writes: [BTreeMap<Vec<u8>, Option<Vec<u8>>>; FAMILY_COUNT],
    calls: BTreeMap<CallId, Call>,
}

impl Batch<'_> {
    pub(crate) fn put<R: Record>(&mut self, family: Family, key: &[u8], record: &R) {
        self.writes[family as usize].insert(key.to_vec(), Some(encode(record)));
    }

    /// Writes a call, which is kept in memory as long as it is live.
    pub(crate) fn put_call(&mut self, call: &Call) {
        self.calls.insert(call.call_id.clone(), call.clone());
    }

    /// Writes a bare value, empty for an index that is all key.
    pub(crate) fn index(&mut self, family: Family, key: &[u8], value: &[u8]) {
        self.writes[family as usize].insert(key.to_vec(), Some(value.to_vec()));
    }

    pub(crate) fn delete(&mut self, family: Family, key: &[u8]) {
        self.writes[family as usize].insert(key.to_vec(), None);
    }

    /// What the batch makes of a key: `None` if it leaves it, `Some(None)` if it deletes it.
    pub(crate) fn written(&self, family: Family, key: &[u8]) -> Option<Option<&[u8]>> {
        self.writes[family as usize].get(key).map(Option::as_deref)
    }

    /// A call as the batch makes it.
    pub(crate) fn written_call(&self, call_id: &CallId) -> Option<&Call> {
        self.calls.get(call_id)
    }

    pub(crate) fn commit(self, durability: Durability) -> Result<()> {
        self.write(durability).map_err(Error::from)
    }

    pub(crate) fn write(self, durability: Durability) -> std::result::Result<(), rocksdb::Error> {
        let Inner { db, known, .. } = &*self.storage.inner;
        let calls: Vec<_> =
            self.calls.iter().map(|(call_id, call)| (call_id, encode(call))).collect();
        let keys = self.writes.iter().flatten();
        let len = keys.map(|(key, value)| key.len() + value.as_ref().map_or(0, Vec::len));
        let calls_len = calls.iter().map(|(call_id, call)| call_id.as_bytes().len() + call.len());
        let counts = self.writes.iter().map(BTreeMap::len).sum::<usize>() + calls.len();
        let len = len.chain(calls_len).sum::<usize>() + counts * WRITE_OVERHEAD;
        // Grown as it fills it would be copied again and again.
        let mut writes = WriteBatch::with_capacity_bytes(len + WRITE_OVERHEAD);
        let of_family = Family::ALL.into_iter().zip(&self.writes);
        for ((family, _), keys) in of_family.filter(|(_, keys)| !keys.is_empty()) {
            let family = self.storage.family(family);
            for (key, value) in keys {
                match value {
                    Some(value) => writes.put_cf(family, key, value),
                    None => writes.delete_cf(family, key),
                }
            }
        }
        for (call_id, call) in calls {
            writes.put_cf(self.storage.family(Family::Calls), call_id.as_bytes(), call);
        }
        let mut options = WriteOptions::default();
        options.set_sync(durability == Durability::Synced);
        let written = db.write_opt(writes, &options);
        known.written(self.calls.into_values(), written.is_ok());
        if Known::SETTINGS.iter().any(|family| !self.writes[*family as usize].is_empty()) {
            known.settings_changed();
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_has_its_own_place_in_the_table() {
        for (place, (family, name)) in Family::ALL.into_iter().enumerate() {
            assert_eq!(family as usize, place, "{name}");
        }
    }

    #[test]
    fn behind_a_prefix() {
        assert_eq!(behind(&[0, 1]), [0, 2]);
        assert_eq!(behind(&[0, 0xff, 0xff]), [1]);
    }
}
