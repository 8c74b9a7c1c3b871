//! The callback outbox: jobs (results of calls, and steps of their progress) queued per endpoint by
//! when they are due, and the log of attempts. When and whether to try again is decided by the
//! caller; what it decides is on disk, with the attempt, when `record_delivery` returns. Results
//! that are not delivered are listed by account and state.

use crate::callback::NewCallback;
use crate::calls::call_lock;
use crate::error::{Error, Result};
use crate::events::Note;
use crate::key::{Key, KeyReader};
use crate::record::*;
use crate::store::{Batch, Durability, Family, Group, Reading, Storage, behind};
use call_words::{AccountId, CallId, EndpointId, EventWord, JobState};

/// Most attempts kept in the log of one job; older ones make room.
pub const DELIVERY_LOG_CAP: u32 = 64;

/// Says that earlier releases' results are listed.
const RESULTS_LISTED: &[u8] = b"results listed";

/// What follows an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextStep {
    Delivered,
    Retry { at_ms: u64 },
    Exhausted,
}

/// Part of the list of results that are not delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultPage {
    /// By account, the newest call first.
    pub jobs: Vec<CallbackJob>,
    /// Where the next page starts; `None` at the end of the list.
    pub next_cursor: Option<String>,
}

/// How many jobs there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OutboxDepth {
    /// Still being tried, progress among them.
    pub pending: usize,
    /// Results that were given up.
    pub exhausted: usize,
}

/// Jobs of one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Due now, the longest due first.
    pub jobs: Vec<CallbackJob>,
    /// When the endpoint has more to do: in the past if `limit` cut the list.
    pub next_ms: Option<u64>,
}

/// What became of a result that was to be told again.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "returned once per request and taken apart at once")]
pub enum RequeueOutcome {
    /// Due now, in a new cycle.
    Queued(CallbackJob),
    /// The job is still being tried.
    StillPending,
    /// The account has no callback.
    NotConfigured,
    StillLive,
    UnknownCall,
}

impl Group<'_> {
    /// Logs an attempt together with what follows. `None` if the job is unknown or that attempt was
    /// recorded before. Of a progress callback that was delivered only the log stays.
    pub fn record_delivery(
        &mut self,
        job_id: &str,
        attempt: &DeliveryAttempt,
        next: NextStep,
    ) -> Result<Option<CallbackJob>> {
        let call_id = CallId::from(job_id.split_once('.').map_or(job_id, |(call_id, _)| call_id));
        self.hold(&[call_lock(&call_id)]);
        let known: Option<CallbackJob> = self.load(Family::CallbackJobs, job_id.as_bytes())?;
        let Some(mut job) = known else { return Ok(None) };
        if job.state != JobState::Pending
            || (attempt.cycle, attempt.attempt) != (job.cycle, job.attempt_count + 1)
        {
            return Ok(None);
        }
        let last_error = if attempt.delivered {
            None
        } else {
            attempt.error.clone().or_else(|| attempt.http_status.map(|status| status.to_string()))
        };
        if job.sequence.is_none()
            && next == NextStep::Exhausted
            && let Some(mut call) = self.call(&call_id)?
        {
            let (at_ms, reason) =
                (attempt.at_ms.saturating_add(attempt.duration_ms), last_error.clone());
            let note =
                Note { reason, is_epilogue: true, ..Note::of(EventWord::CallbackExhausted, at_ms) };
            self.note(&mut call, note)?;
            self.batch.put_call(&call);
        }
        // A progress callback may be sent twice after a power failure; its receiver knows it by its
        // id.
        if job.sequence.is_none() {
            self.promise(Durability::Synced);
        }
        let batch = &mut self.batch;
        batch.delete(Family::CallbacksDue, &due_key(&job));
        unlist(batch, &job);
        job.last_error = last_error;
        job.attempt_count += 1;
        job.delivery_count += 1;
        match next {
            NextStep::Delivered => job.state = JobState::Delivered,
            NextStep::Exhausted => job.state = JobState::Exhausted,
            NextStep::Retry { at_ms } => {
                job.next_ms = at_ms;
                batch.index(Family::CallbacksDue, &due_key(&job), b"");
            }
        }
        if job.sequence.is_some() && job.state == JobState::Delivered {
            batch.delete(Family::CallbackJobs, job_id.as_bytes());
        } else {
            batch.put(Family::CallbackJobs, job_id.as_bytes(), &job);
        }
        list(batch, &job);
        batch.put(Family::Deliveries, &delivery_key(&job, job.delivery_count), attempt);
        if let Some(oldest) = job.delivery_count.checked_sub(DELIVERY_LOG_CAP) {
            batch.delete(Family::Deliveries, &delivery_key(&job, oldest));
        }
        Ok(Some(job))
    }
}

impl Storage {
    /// Endpoints that have jobs to do, now or later.
    pub fn pending_endpoints(&self) -> Result<Vec<EndpointId>> {
        let mut endpoints = Vec::new();
        let mut scan = self.scan(Family::CallbacksDue, b"");
        while let Some((key, _)) = scan.current()? {
            let endpoint: EndpointId = KeyReader(key).text().ok_or_else(malformed)?.into();
            scan.seek(&behind(&Key::of(&endpoint).bytes()));
            endpoints.push(endpoint);
        }
        Ok(endpoints)
    }

    /// Jobs of an endpoint that are due, at most `limit`, without those that `skip` names (they are
    /// being tried). Looks from `from_ms` on: what was due before is done, and the trace that it
    /// left is not walked over.
    pub fn due_callbacks(
        &self,
        endpoint: &EndpointId,
        from_ms: u64,
        now_ms: u64,
        limit: usize,
        skip: impl Fn(&str) -> bool,
    ) -> Result<Due> {
        let mut due = Due { jobs: Vec::new(), next_ms: None };
        let start = Key::of(endpoint).number(from_ms).bytes();
        let mut scan = self.scan_from(Family::CallbacksDue, &Key::of(endpoint).bytes(), &start);
        while let Some((key, _)) = scan.current()? {
            let mut reader = KeyReader(key);
            let (at_ms, job_id) = reader
                .text()
                .and_then(|_| reader.number())
                .and_then(|at_ms| reader.rest().map(|job_id| (at_ms, job_id)))
                .ok_or_else(malformed)?;
            if !skip(job_id) {
                if at_ms > now_ms || due.jobs.len() >= limit {
                    due.next_ms = Some(at_ms);
                    break;
                }
                due.jobs.extend(self.callback_job(job_id)?);
            }
            scan.advance();
        }
        Ok(due)
    }

    /// [`Group::record_delivery`] in the next group.
    pub fn record_delivery(
        &self,
        job_id: &str,
        attempt: &DeliveryAttempt,
        next: NextStep,
    ) -> Result<Option<CallbackJob>> {
        let (job_id, attempt) = (job_id.to_owned(), attempt.clone());
        self.write(move |group| group.record_delivery(&job_id, &attempt, next))
    }

    /// Queues the result of an ended call again by hand: the same body, to where the account wants
    /// it now.
    pub fn requeue_callback(&self, call_id: &CallId) -> Result<RequeueOutcome> {
        let _held = self.lock_call(call_id);
        let Some(call) = self.call(call_id)? else { return Ok(RequeueOutcome::UnknownCall) };
        if call.is_live() {
            return Ok(RequeueOutcome::StillLive);
        }
        let known = self.callback_job(call_id.as_str())?;
        if known.as_ref().is_some_and(|known| known.state == JobState::Pending) {
            return Ok(RequeueOutcome::StillPending);
        }
        let Some(new) = self.announce_result(&call)? else {
            return Ok(RequeueOutcome::NotConfigured);
        };
        let mut batch = self.batch();
        if let Some(known) = &known {
            unlist(&mut batch, known);
        }
        let job = match known {
            Some(known) => CallbackJob {
                target: new.target,
                state: JobState::Pending,
                cycle: known.cycle + 1,
                attempt_count: 0,
                next_ms: new.due_ms,
                ..known
            },
            None => first_job(&call, new, None),
        };
        put_job(&mut batch, &job);
        batch.commit(Durability::Synced)?;
        Ok(RequeueOutcome::Queued(job))
    }

    /// The callback of an ended call. `None` also of an account that was removed.
    pub(crate) fn announce_result(&self, call: &Call) -> Result<Option<NewCallback>> {
        let account = self.known_account(&call.account_id)?;
        Ok(account.and_then(|account| self.announcer().result(&account, call)))
    }

    /// A job by its id, which is the call's for its result.
    pub fn callback_job(&self, job_id: &str) -> Result<Option<CallbackJob>> {
        self.load(Family::CallbackJobs, job_id.as_bytes())
    }

    /// Results that are not delivered, at most `limit`: of one account, or of all.
    pub fn undelivered(
        &self,
        account_id: Option<&AccountId>,
        state: JobState,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<ResultPage> {
        let after = cursor.map(|cursor| parse_cursor(state, cursor)).transpose()?;
        let accounts = account_id.map_or_else(
            || self.accounts_in(Family::Results),
            |account_id| Ok(vec![account_id.to_owned()]),
        )?;
        let mut page = ResultPage { jobs: Vec::new(), next_cursor: None };
        for account_id in accounts {
            let mut scan = self.scan(Family::Results, &results_prefix(&account_id, state));
            if let Some(after) = &after
                && scan.current()?.is_some_and(|(key, _)| key <= after.as_slice())
            {
                scan.seek(&[after.as_slice(), &[0]].concat());
            }
            while let Some((key, _)) = scan.current()? {
                if let Some(last) = page.jobs.last().filter(|_| page.jobs.len() >= limit) {
                    page.next_cursor =
                        Some(format!("{}.{}.{}", last.start_ms, last.call_id, last.account_id));
                    return Ok(page);
                }
                let (_, call_id) = parse_listed(key)?;
                page.jobs.extend(self.callback_job(call_id.as_str())?);
                scan.advance();
            }
        }
        Ok(page)
    }

    /// How many jobs wait, and how many results were given up.
    pub fn outbox_depth(&self) -> Result<OutboxDepth> {
        let mut depth =
            OutboxDepth { pending: self.count(Family::CallbacksDue, b"")?, exhausted: 0 };
        for account_id in self.accounts_in(Family::Results)? {
            depth.exhausted +=
                self.count(Family::Results, &results_prefix(&account_id, JobState::Exhausted))?;
        }
        Ok(depth)
    }

    /// Lists the undelivered results of a release that did not; once.
    pub(crate) fn list_results(&self) -> Result<()> {
        if self.read(Family::Changes, RESULTS_LISTED)?.is_some() {
            return Ok(());
        }
        let mut batch = self.batch();
        let mut scan = self.scan(Family::CallbackJobs, b"");
        while let Some((_, value)) = scan.current()? {
            let job: CallbackJob = crate::codec::decode(value)?;
            if job.sequence.is_none()
                && job.state != JobState::Delivered
                && let Some(call) = self.call(&job.call_id)?
            {
                let job = CallbackJob { start_ms: call.start_ms, ..job };
                batch.put(Family::CallbackJobs, job.job_id().as_bytes(), &job);
                list(&mut batch, &job);
            }
            scan.advance();
        }
        batch.index(Family::Changes, RESULTS_LISTED, b"");
        batch.commit(Durability::Synced)
    }

    /// The log of attempts of a call's jobs: of its result, then of each progress callback, oldest
    /// first.
    pub fn deliveries(&self, call_id: &CallId) -> Result<Vec<DeliveryAttempt>> {
        self.load_all(Family::Deliveries, &Key::of(call_id).bytes())
    }

    /// Adds the removal of all that a call left in the outbox.
    pub(crate) fn forget_callbacks(&self, batch: &mut Batch<'_>, call_id: &CallId) -> Result<()> {
        let mut jobs: Vec<CallbackJob> = self.callback_job(call_id.as_str())?.into_iter().collect();
        jobs.extend(
            self.load_all::<CallbackJob>(Family::CallbackJobs, format!("{call_id}.").as_bytes())?,
        );
        for job in jobs {
            batch.delete(Family::CallbacksDue, &due_key(&job));
            batch.delete(Family::CallbackJobs, job.job_id().as_bytes());
            unlist(batch, &job);
        }
        let mut scan = self.scan(Family::Deliveries, &Key::of(call_id).bytes());
        while let Some((key, _)) = scan.current()? {
            batch.delete(Family::Deliveries, key);
            scan.advance();
        }
        Ok(())
    }
}

impl Batch<'_> {
    /// Adds a job of a call to the batch that makes it true: of its result, or of the progress that
    /// `sequence` names.
    pub(crate) fn queue_callback(
        &mut self,
        call: &Call,
        new: NewCallback,
        sequence: Option<u32>,
    ) -> Queued {
        let job = first_job(call, new, sequence);
        put_job(self, &job);
        job.queued()
    }
}

fn first_job(call: &Call, new: NewCallback, sequence: Option<u32>) -> CallbackJob {
    CallbackJob {
        call_id: call.call_id.clone(),
        account_id: call.account_id.clone(),
        target: new.target,
        body: new.body,
        state: JobState::Pending,
        cycle: 1,
        attempt_count: 0,
        delivery_count: 0,
        next_ms: new.due_ms,
        sequence,
        queued_ms: new.due_ms,
        start_ms: call.start_ms,
        last_error: None,
    }
}

/// Attempts at a call's result sort before those at its progress.
fn delivery_key(job: &CallbackJob, count: u32) -> Vec<u8> {
    Key::of(&job.call_id)
        .number(u64::from(job.sequence.unwrap_or(0)) << 32 | u64::from(count))
        .bytes()
}

fn put_job(batch: &mut Batch<'_>, job: &CallbackJob) {
    batch.put(Family::CallbackJobs, job.job_id().as_bytes(), job);
    batch.index(Family::CallbacksDue, &due_key(job), b"");
    list(batch, job);
}

/// Head of the keys of an account's results in a state.
pub(crate) fn results_prefix(account_id: &AccountId, state: JobState) -> Vec<u8> {
    Key::of(account_id).number(state as u64).bytes()
}

/// Start and call id of a key of `Results`.
pub(crate) fn parse_listed(key: &[u8]) -> Result<(u64, CallId)> {
    let mut reader = KeyReader(key);
    let parsed = reader.text().and_then(|_| reader.number()).and_then(|_| reader.newest());
    parsed
        .and_then(|start_ms| reader.rest().map(|call_id| (start_ms, call_id.into())))
        .ok_or_else(malformed)
}

fn listed_key(job: &CallbackJob) -> Option<Vec<u8>> {
    let is_listed = job.sequence.is_none() && job.state != JobState::Delivered;
    let prefix = || results_prefix(&job.account_id, job.state);
    is_listed.then(|| Key::default().raw(&prefix()).newest(job.start_ms).rest(&job.call_id).bytes())
}

fn list(batch: &mut Batch<'_>, job: &CallbackJob) {
    if let Some(key) = listed_key(job) {
        batch.index(Family::Results, &key, b"");
    }
}

fn unlist(batch: &mut Batch<'_>, job: &CallbackJob) {
    if let Some(key) = listed_key(job) {
        batch.delete(Family::Results, &key);
    }
}

fn parse_cursor(state: JobState, cursor: &str) -> Result<Vec<u8>> {
    let mut parts = cursor.splitn(3, '.');
    let (Some(Ok(start_ms)), Some(call_id), Some(account_id)) =
        (parts.next().map(str::parse), parts.next(), parts.next())
    else {
        return Err(Error::BadCursor);
    };
    Ok(Key::default()
        .raw(&results_prefix(&account_id.into(), state))
        .newest(start_ms)
        .rest(call_id)
        .bytes())
}

fn due_key(job: &CallbackJob) -> Vec<u8> {
    Key::of(&job.target.endpoint).number(job.next_ms).rest(job.job_id()).bytes()
}

fn malformed() -> Error {
    Error::Corrupt { kind: "due callback", reason: "malformed key".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use call_words::CallType;

    /// A release that did not list results leaves jobs without the start of their call, and no
    /// list.
    #[test]
    fn results_of_an_earlier_release_are_listed_at_the_first_start() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::open(folder.path(), ()).unwrap();
        let new = crate::NewCall {
            call_id: "c1".into(),
            account_id: "demo".into(),
            uuid: None,
            call_type: CallType::Server,
            customer_number: "1".into(),
            customer_number_e164: "+911".into(),
            agent_number: None,
            agent_number_e164: None,
            crm_username: None,
            from_number: "+912".into(),
            hide_caller: false,
            disposition: "CRM_CALL".into(),
            recording_file: None,
            fingerprint: "f".into(),
            idempotency_key: None,
            start_ms: 7,
        };
        storage.put_account(&Account::new("demo", "Demo")).unwrap();
        storage.create_call(new, None).unwrap();
        let call = storage.call(&"c1".into()).unwrap().unwrap();
        let target = CallbackTarget {
            endpoint: "demo e".into(),
            url: "https://crm.example/".into(),
            auth_header: None,
            signing_secret: Sealed(Vec::new()),
            max_retries: 3,
        };
        let job = first_job(&call, NewCallback { target, body: "{}".into(), due_ms: 1 }, None);
        let mut batch = storage.batch();
        batch.put(
            Family::CallbackJobs,
            b"c1",
            &CallbackJob { state: JobState::Exhausted, start_ms: 0, ..job },
        );
        batch.delete(Family::Changes, RESULTS_LISTED);
        batch.commit(Durability::Synced).unwrap();
        assert_eq!(storage.undelivered(None, JobState::Exhausted, None, 10).unwrap().jobs, []);
        drop(storage);
        let storage = Storage::open(folder.path(), ()).unwrap();
        let jobs =
            storage.undelivered(Some(&"demo".into()), JobState::Exhausted, None, 10).unwrap().jobs;
        assert_eq!(
            jobs.iter().map(|job| (job.call_id.as_str(), job.start_ms)).collect::<Vec<_>>(),
            [("c1", 7)]
        );
    }
}
