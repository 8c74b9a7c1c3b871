//! Forgetting: Idempotency-Keys and events after a day, webphone sessions when they expire, records
//! and recordings after their account's retention, expired recordings' traces (so that their links
//! answer 410) after a year more. Bounded per turn; files are deleted by the caller, which then
//! confirms.

use crate::calls::call_lock;
use crate::create::{IDEMPOTENCY_WINDOW_MS, agent_key, uuid_key};
use crate::error::{Error, Result};
use crate::events::mark_lock;
use crate::key::{Key, KeyReader};
use crate::listing::parse_account_call_key;
use crate::record::*;
use crate::store::{Durability, Family, Storage, behind};
use call_words::{AccountId, CallId, RecordingName};

const DAY_MS: u64 = 24 * 3_600_000;
/// How long an expired recording's link answers 410 rather than 404.
const TOMBSTONE_MS: u64 = 365 * DAY_MS;

/// What one turn of `Storage::expire` did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expired {
    /// Files to delete; named again by later turns until `confirm_recordings_deleted`.
    pub recording_files: Vec<RecordingName>,
    pub call_count: usize,
    pub recording_count: usize,
    pub idempotency_count: usize,
    pub session_count: usize,
    pub event_count: usize,
    pub tombstone_count: usize,
    /// Calls and recordings of removed accounts.
    pub removed_count: usize,
    /// A limit cut the turn: call again.
    pub more: bool,
}

impl Storage {
    /// Forgets what is due, at most `limit` of each kind.
    pub fn expire(&self, now_ms: u64, limit: usize) -> Result<Expired> {
        let mut expired = Expired {
            idempotency_count: self.expire_idempotency(now_ms, limit)?,
            ..Expired::default()
        };
        expired.session_count = self.expire_sessions(now_ms, limit)?;
        for account_id in self.accounts_in(Family::Events)? {
            let left = limit - expired.event_count;
            expired.event_count += self.expire_events(&account_id, now_ms, left)?;
        }
        for account_id in self.accounts_in(Family::AccountRecordings)? {
            let before_ms = now_ms
                .saturating_sub(u64::from(self.retention(&account_id)?.recording_days) * DAY_MS);
            let left = limit - expired.recording_count;
            expired.recording_count +=
                self.expire_recordings(&account_id, before_ms, now_ms, left)?;
        }
        for account_id in self.accounts_in(Family::AccountCalls)? {
            let before_ms =
                now_ms.saturating_sub(u64::from(self.retention(&account_id)?.record_days) * DAY_MS);
            let left = limit - expired.call_count;
            expired.call_count += self.expire_calls(&account_id, before_ms, left)?;
        }
        expired.tombstone_count = self.expire_tombstones(now_ms, limit)?;
        for account_id in self.removed_accounts()? {
            let left = limit.saturating_sub(expired.removed_count);
            expired.removed_count += self.forget_account(&account_id, now_ms, left)?;
        }
        let Expired {
            idempotency_count,
            session_count,
            event_count,
            recording_count,
            call_count,
            tombstone_count,
            ..
        } = expired;
        let removed_count = expired.removed_count;
        let counts = [
            idempotency_count,
            session_count,
            event_count,
            recording_count,
            call_count,
            tombstone_count,
            removed_count,
        ];
        expired.more = counts.into_iter().any(|count| count >= limit);
        let mut scan = self.scan(Family::RecordingDeletions, b"");
        while let Some((key, _)) = scan.current()? {
            if expired.recording_files.len() >= limit {
                expired.more = true;
                break;
            }
            expired.recording_files.push(String::from_utf8_lossy(key).into());
            scan.advance();
        }
        Ok(expired)
    }

    /// Notes that these files no longer exist.
    pub fn confirm_recordings_deleted(&self, file_names: &[RecordingName]) -> Result<()> {
        let mut batch = self.batch();
        for file_name in file_names {
            batch.delete(Family::RecordingDeletions, file_name.as_bytes());
        }
        batch.commit(Durability::Logged)
    }

    /// A recording by its file name; with `expired_ms` set, its file is gone (410). `None` if there
    /// never was one.
    pub fn recording(&self, file_name: &RecordingName) -> Result<Option<RecordingEntry>> {
        self.load(Family::Recordings, file_name.as_bytes())
    }

    fn retention(&self, account_id: &AccountId) -> Result<Retention> {
        Ok(self.account(account_id)?.map(|account| account.retention).unwrap_or_default())
    }

    /// Accounts that have keys in a family whose keys start with the account.
    pub(crate) fn accounts_in(&self, family: Family) -> Result<Vec<AccountId>> {
        let mut accounts = Vec::new();
        let mut scan = self.scan(family, b"");
        while let Some((key, _)) = scan.current()? {
            let account_id = KeyReader(key).text().ok_or_else(malformed)?.into();
            scan.seek(&behind(&Key::of(&account_id).bytes()));
            accounts.push(account_id);
        }
        Ok(accounts)
    }

    fn removed_accounts(&self) -> Result<Vec<AccountId>> {
        let mut accounts = Vec::new();
        let mut scan = self.scan(Family::Removals, b"");
        while let Some((key, _)) = scan.current()? {
            accounts.push(String::from_utf8_lossy(key).into());
            scan.advance();
        }
        Ok(accounts)
    }

    /// Forgets what a removed account left, at most `limit` calls and as many recordings; returns
    /// how many. What stays are the traces by which recordings' links answer 410.
    pub fn forget_account(
        &self,
        account_id: &AccountId,
        now_ms: u64,
        limit: usize,
    ) -> Result<usize> {
        if self.read(Family::Removals, account_id.as_bytes())?.is_none() || limit == 0 {
            return Ok(0);
        }
        let recording_count = self.expire_recordings(account_id, u64::MAX, now_ms, limit)?;
        let call_count = self.expire_calls(account_id, u64::MAX, limit)?;
        let prefix = Key::of(account_id).bytes();
        // A call that was accepted as the account was removed goes after its end.
        let is_left = |family| Ok::<_, Error>(self.scan(family, &prefix).current()?.is_some());
        if is_left(Family::AccountCalls)? || is_left(Family::AccountRecordings)? {
            return Ok(recording_count + call_count);
        }
        let mut batch = self.batch();
        for family in [
            Family::Idempotency,
            Family::Uuids,
            Family::AgentCalls,
            Family::Softphones,
            Family::Events,
        ] {
            let mut scan = self.scan(family, &prefix);
            while let Some((key, _)) = scan.current()? {
                batch.delete(family, key);
                scan.advance();
            }
        }
        let mut scan = self.scan(Family::WebphoneSessions, b"");
        while let Some((key, value)) = scan.current()? {
            let session: WebphoneSession = crate::codec::decode(value)?;
            if session.account_id == *account_id {
                batch.delete(Family::WebphoneSessions, key);
            }
            scan.advance();
        }
        batch.delete(Family::Removals, account_id.as_bytes());
        batch.commit(Durability::Synced)?;
        Ok(recording_count + call_count)
    }

    fn expire_idempotency(&self, now_ms: u64, limit: usize) -> Result<usize> {
        let mut count = 0;
        let mut scan = self.scan(Family::IdempotencyExpiry, b"");
        while let Some((expiry_key, _)) = scan.current()? {
            let mut reader = KeyReader(expiry_key);
            let created_ms = reader.number().ok_or_else(malformed)?;
            if count >= limit || now_ms < created_ms.saturating_add(IDEMPOTENCY_WINDOW_MS) {
                break;
            }
            let key = reader.0;
            let _held = self.lock(&[[b"idem:", key].concat()]);
            let mut batch = self.batch();
            batch.delete(Family::IdempotencyExpiry, expiry_key);
            // The key may have been used again since, for another call.
            if self
                .load::<IdempotencyEntry>(Family::Idempotency, key)?
                .is_some_and(|entry| entry.created_ms == created_ms)
            {
                batch.delete(Family::Idempotency, key);
            }
            batch.commit(Durability::Logged)?;
            count += 1;
            scan.advance();
        }
        Ok(count)
    }

    fn expire_sessions(&self, now_ms: u64, limit: usize) -> Result<usize> {
        let is_over = |expires_ms| now_ms >= expires_ms;
        let (index, sessions) = (Family::WebphoneSessionExpiry, Family::WebphoneSessions);
        self.expire_indexed(index, sessions, is_over, limit)
    }

    /// Forgets what is over by an index of times, each followed by an entry's key, with its line in
    /// the index, at most `limit`; returns how many.
    pub(crate) fn expire_indexed(
        &self,
        index: Family,
        entries: Family,
        is_over: impl Fn(u64) -> bool,
        limit: usize,
    ) -> Result<usize> {
        let mut count = 0;
        let mut batch = self.batch();
        let mut scan = self.scan(index, b"");
        while let Some((key, _)) = scan.current()? {
            let mut reader = KeyReader(key);
            let at_ms = reader.number().ok_or_else(malformed)?;
            if count >= limit || !is_over(at_ms) {
                break;
            }
            batch.delete(index, key);
            batch.delete(entries, reader.0);
            count += 1;
            scan.advance();
        }
        batch.commit(Durability::Logged)?;
        Ok(count)
    }

    fn expire_recordings(
        &self,
        account_id: &AccountId,
        before_ms: u64,
        now_ms: u64,
        limit: usize,
    ) -> Result<usize> {
        let mut count = 0;
        let mut batch = self.batch();
        let mut scan = self.scan(Family::AccountRecordings, &Key::of(account_id).bytes());
        while let Some((key, _)) = scan.current()? {
            let mut reader = KeyReader(key);
            let start_ms = reader.text().and_then(|_| reader.number()).ok_or_else(malformed)?;
            let file_name = RecordingName::from(reader.rest().ok_or_else(malformed)?);
            if count >= limit || start_ms >= before_ms {
                break;
            }
            if let Some(entry) = self.recording(&file_name)? {
                batch.put(
                    Family::Recordings,
                    file_name.as_bytes(),
                    &RecordingEntry { expired_ms: Some(now_ms), ..entry },
                );
                batch.index(Family::RecordingDeletions, file_name.as_bytes(), b"");
                batch.index(
                    Family::RecordingTombstones,
                    &Key::default().number(now_ms).rest(&file_name).bytes(),
                    b"",
                );
            }
            batch.delete(Family::AccountRecordings, key);
            count += 1;
            scan.advance();
        }
        // Before a file is deleted, its link must answer 410 for good.
        batch.commit(Durability::Synced)?;
        Ok(count)
    }

    /// Removes ended calls from the oldest on. A call that is still live stops the walk: younger
    /// ones wait for the next turn.
    fn expire_calls(&self, account_id: &AccountId, before_ms: u64, limit: usize) -> Result<usize> {
        let mut count = 0;
        let mut scan = self.scan(Family::AccountCalls, &Key::of(account_id).bytes());
        scan.seek_to_last();
        while let Some((key, _)) = scan.current()? {
            let (start_ms, call_id) = parse_account_call_key(key)?;
            if count >= limit || start_ms >= before_ms {
                break;
            }
            if !self.forget_call(key, &call_id)? {
                break;
            }
            count += 1;
            scan.step_back();
        }
        Ok(count)
    }

    /// Removes a call with all that hangs on it but its recording. False if it is live.
    fn forget_call(&self, listing_key: &[u8], call_id: &CallId) -> Result<bool> {
        let Some(call) = self.call(call_id)? else { return Ok(false) };
        if call.is_live() {
            return Ok(false);
        }
        let uuid_key = uuid_key(&call.account_id, &call.uuid);
        let agent_key =
            agent_key(&call.account_id, call.crm_username.as_deref().unwrap_or_default());
        let locks = [
            call_lock(call_id),
            mark_lock(&call.account_id),
            [b"uuid:", uuid_key.as_slice()].concat(),
            [b"agent:".as_slice(), agent_key.as_slice()].concat(),
        ];
        let _held = self.lock(&locks);
        let mut batch = self.batch();
        if self.read(Family::AgentCalls, &agent_key)?.is_some_and(|last| last == call_id.as_bytes())
        {
            batch.delete(Family::AgentCalls, &agent_key);
        }
        batch.delete(Family::AccountCalls, listing_key);
        batch.delete(Family::Calls, call_id.as_bytes());
        if self.read(Family::Uuids, &uuid_key)?.is_some_and(|last| last == call_id.as_bytes()) {
            batch.delete(Family::Uuids, &uuid_key);
        }
        let mut scan = self.scan(Family::Timeline, &Key::of(call_id).bytes());
        while let Some((key, _)) = scan.current()? {
            batch.delete(Family::Timeline, key);
            scan.advance();
        }
        self.forget_ladder(&mut batch, call_id, call.start_ms);
        self.forget_callbacks(&mut batch, call_id)?;
        self.forget_events(&mut batch, &call.account_id, call_id)?;
        batch.commit(Durability::Logged)?;
        Ok(true)
    }

    fn expire_tombstones(&self, now_ms: u64, limit: usize) -> Result<usize> {
        let mut count = 0;
        let mut batch = self.batch();
        let mut scan = self.scan(Family::RecordingTombstones, b"");
        while let Some((key, _)) = scan.current()? {
            let mut reader = KeyReader(key);
            let expired_ms = reader.number().ok_or_else(malformed)?;
            if count >= limit || now_ms < expired_ms.saturating_add(TOMBSTONE_MS) {
                break;
            }
            batch.delete(Family::Recordings, reader.0);
            batch.delete(Family::RecordingTombstones, key);
            count += 1;
            scan.advance();
        }
        batch.commit(Durability::Logged)?;
        Ok(count)
    }
}

fn malformed() -> Error {
    Error::Corrupt { kind: "retention", reason: "malformed key".to_owned() }
}
