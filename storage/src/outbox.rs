//! The callback outbox: jobs queued per endpoint by when they are due, and the log of attempts. When and whether to try again is
//! decided by the caller; what it decides is on disk, with the attempt, when `record_delivery` returns.

use crate::key::{Key, KeyReader};
use crate::record::*;
use crate::store::{Batch, Durability, Family, behind};
use crate::{Error, Result, Storage};

/// Most attempts kept in the log of one call; older ones make room.
pub const DELIVERY_LOG_CAP: u32 = 64;

/// A call result to push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCallback {
    pub target: CallbackTarget,
    pub body: String,
    /// When the first attempt is due.
    pub due_ms: u64,
}

/// What follows an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextStep {
    Delivered,
    Retry { at_ms: u64 },
    Exhausted,
}

/// Jobs of one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Due now, the longest due first.
    pub jobs: Vec<CallbackJob>,
    /// When the endpoint has more to do: in the past if `limit` cut the list.
    pub next_ms: Option<u64>,
}

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

impl Storage {
    /// Endpoints that have jobs to do, now or later.
    pub fn pending_endpoints(&self) -> Result<Vec<String>> {
        let mut endpoints = Vec::new();
        let mut scan = self.scan(Family::CallbacksDue, b"");
        while let Some((key, _)) = scan.current()? {
            let endpoint = KeyReader(key).text().ok_or_else(malformed)?.to_owned();
            scan.seek(&behind(&Key::of(&endpoint).bytes()));
            endpoints.push(endpoint);
        }
        Ok(endpoints)
    }

    /// Jobs of an endpoint that are due, at most `limit`, without those that `skip` names (they are being tried).
    pub fn due_callbacks(&self, endpoint: &str, now_ms: u64, limit: usize, skip: impl Fn(&str) -> bool) -> Result<Due> {
        let mut due = Due { jobs: Vec::new(), next_ms: None };
        let mut scan = self.scan(Family::CallbacksDue, &Key::of(endpoint).bytes());
        while let Some((key, _)) = scan.current()? {
            let mut reader = KeyReader(key);
            let (at_ms, call_id) = reader
                .text()
                .and_then(|_| reader.number())
                .and_then(|at_ms| reader.rest().map(|call_id| (at_ms, call_id)))
                .ok_or_else(malformed)?;
            if !skip(call_id) {
                if at_ms > now_ms || due.jobs.len() >= limit {
                    due.next_ms = Some(at_ms);
                    break;
                }
                due.jobs.extend(self.callback_job(call_id)?);
            }
            scan.advance();
        }
        Ok(due)
    }

    /// Logs an attempt together with what follows. `None` if the job is unknown or that attempt was recorded before.
    pub fn record_delivery(&self, call_id: &str, attempt: &DeliveryAttempt, next: NextStep) -> Result<Option<CallbackJob>> {
        let _held = self.lock_call(call_id);
        let Some(mut job) = self.callback_job(call_id)? else { return Ok(None) };
        if job.state != JobState::Pending || (attempt.cycle, attempt.attempt) != (job.cycle, job.attempt_count + 1) {
            return Ok(None);
        }
        let mut batch = self.batch();
        batch.delete(Family::CallbacksDue, &due_key(&job));
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
        batch.put(Family::CallbackJobs, call_id.as_bytes(), &job);
        batch.put(Family::Deliveries, &Key::of(call_id).number(u64::from(job.delivery_count)).bytes(), attempt);
        if let Some(oldest) = job.delivery_count.checked_sub(DELIVERY_LOG_CAP) {
            batch.delete(Family::Deliveries, &Key::of(call_id).number(u64::from(oldest)).bytes());
        }
        batch.commit(Durability::Synced)?;
        Ok(Some(job))
    }

    /// Queues the result of an ended call again by hand: the same body, and the target that `job` names now.
    pub fn requeue_callback(
        &self,
        call_id: &str,
        job: impl FnOnce(&Call) -> Result<Option<NewCallback>>,
    ) -> Result<RequeueOutcome> {
        let _held = self.lock_call(call_id);
        let Some(call) = self.call(call_id)? else { return Ok(RequeueOutcome::UnknownCall) };
        if call.is_live() {
            return Ok(RequeueOutcome::StillLive);
        }
        let known = self.callback_job(call_id)?;
        if known.as_ref().is_some_and(|known| known.state == JobState::Pending) {
            return Ok(RequeueOutcome::StillPending);
        }
        let Some(new) = job(&call)? else { return Ok(RequeueOutcome::NotConfigured) };
        let mut batch = self.batch();
        let job = match known {
            Some(known) => CallbackJob {
                target: new.target,
                state: JobState::Pending,
                cycle: known.cycle + 1,
                attempt_count: 0,
                next_ms: new.due_ms,
                ..known
            },
            None => first_job(&call, new),
        };
        put_job(&mut batch, &job);
        batch.commit(Durability::Synced)?;
        Ok(RequeueOutcome::Queued(job))
    }

    pub fn callback_job(&self, call_id: &str) -> Result<Option<CallbackJob>> {
        self.load(Family::CallbackJobs, call_id.as_bytes())
    }

    /// The log of attempts, oldest first.
    pub fn deliveries(&self, call_id: &str) -> Result<Vec<DeliveryAttempt>> {
        self.load_all(Family::Deliveries, &Key::of(call_id).bytes())
    }

    /// Adds the first job of a call to the batch that ends it.
    pub(crate) fn queue_callback(&self, batch: &mut Batch<'_>, call: &Call, new: NewCallback) {
        put_job(batch, &first_job(call, new));
    }

    /// Adds the removal of all that a call left in the outbox.
    pub(crate) fn forget_callback(&self, batch: &mut Batch<'_>, call_id: &str) -> Result<()> {
        if let Some(job) = self.callback_job(call_id)? {
            batch.delete(Family::CallbacksDue, &due_key(&job));
            batch.delete(Family::CallbackJobs, call_id.as_bytes());
        }
        let mut scan = self.scan(Family::Deliveries, &Key::of(call_id).bytes());
        while let Some((key, _)) = scan.current()? {
            batch.delete(Family::Deliveries, key);
            scan.advance();
        }
        Ok(())
    }
}

fn first_job(call: &Call, new: NewCallback) -> CallbackJob {
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
    }
}

fn put_job(batch: &mut Batch<'_>, job: &CallbackJob) {
    batch.put(Family::CallbackJobs, job.call_id.as_bytes(), job);
    batch.index(Family::CallbacksDue, &due_key(job), b"");
}

fn due_key(job: &CallbackJob) -> Vec<u8> {
    Key::of(&job.target.endpoint).number(job.next_ms).rest(&job.call_id).bytes()
}

fn malformed() -> Error {
    Error::Corrupt { kind: "due callback", reason: "malformed key".to_owned() }
}
