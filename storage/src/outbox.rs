//! The callback outbox: jobs (results of calls, and steps of their progress) queued per endpoint by when they are due, and the log of attempts. When and whether to try again is
//! decided by the caller; what it decides is on disk, with the attempt, when `record_delivery` returns.

use crate::key::{Key, KeyReader};
use crate::record::*;
use crate::store::{Batch, Durability, Family, behind};
use crate::{Error, Result, Storage};

/// Most attempts kept in the log of one job; older ones make room.
pub const DELIVERY_LOG_CAP: u32 = 64;

/// What is to be pushed.
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

    /// Logs an attempt together with what follows. `None` if the job is unknown or that attempt was recorded before. Of a progress callback
    /// that was delivered only the log stays.
    pub fn record_delivery(&self, job_id: &str, attempt: &DeliveryAttempt, next: NextStep) -> Result<Option<CallbackJob>> {
        let call_id = job_id.split_once('.').map_or(job_id, |(call_id, _)| call_id);
        let _held = self.lock_call(call_id);
        let Some(mut job) = self.callback_job(job_id)? else { return Ok(None) };
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
        if job.sequence.is_some() && job.state == JobState::Delivered {
            batch.delete(Family::CallbackJobs, job_id.as_bytes());
        } else {
            batch.put(Family::CallbackJobs, job_id.as_bytes(), &job);
        }
        batch.put(Family::Deliveries, &delivery_key(&job, job.delivery_count), attempt);
        if let Some(oldest) = job.delivery_count.checked_sub(DELIVERY_LOG_CAP) {
            batch.delete(Family::Deliveries, &delivery_key(&job, oldest));
        }
        // A progress callback may be sent twice after a power failure; its receiver knows it by its id.
        batch.commit(if job.sequence.is_some() { Durability::Logged } else { Durability::Synced })?;
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
            None => first_job(&call, new, None),
        };
        put_job(&mut batch, &job);
        batch.commit(Durability::Synced)?;
        Ok(RequeueOutcome::Queued(job))
    }

    /// A job by its id, which is the call's for its result.
    pub fn callback_job(&self, job_id: &str) -> Result<Option<CallbackJob>> {
        self.load(Family::CallbackJobs, job_id.as_bytes())
    }

    /// The log of attempts of a call's jobs: of its result, then of each progress callback, oldest first.
    pub fn deliveries(&self, call_id: &str) -> Result<Vec<DeliveryAttempt>> {
        self.load_all(Family::Deliveries, &Key::of(call_id).bytes())
    }

    /// Adds a job of a call to the batch that makes it true: of its result, or of the progress that `sequence` names.
    pub(crate) fn queue_callback(&self, batch: &mut Batch<'_>, call: &Call, new: NewCallback, sequence: Option<u32>) {
        put_job(batch, &first_job(call, new, sequence));
    }

    /// Adds the removal of all that a call left in the outbox.
    pub(crate) fn forget_callbacks(&self, batch: &mut Batch<'_>, call_id: &str) -> Result<()> {
        let mut jobs: Vec<CallbackJob> = self.callback_job(call_id)?.into_iter().collect();
        jobs.extend(self.load_all::<CallbackJob>(Family::CallbackJobs, format!("{call_id}.").as_bytes())?);
        for job in jobs {
            batch.delete(Family::CallbacksDue, &due_key(&job));
            batch.delete(Family::CallbackJobs, job.job_id().as_bytes());
        }
        let mut scan = self.scan(Family::Deliveries, &Key::of(call_id).bytes());
        while let Some((key, _)) = scan.current()? {
            batch.delete(Family::Deliveries, key);
            scan.advance();
        }
        Ok(())
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
    }
}

/// Attempts at a call's result sort before those at its progress.
fn delivery_key(job: &CallbackJob, count: u32) -> Vec<u8> {
    Key::of(&job.call_id).number(u64::from(job.sequence.unwrap_or(0)) << 32 | u64::from(count)).bytes()
}

fn put_job(batch: &mut Batch<'_>, job: &CallbackJob) {
    batch.put(Family::CallbackJobs, job.job_id().as_bytes(), job);
    batch.index(Family::CallbacksDue, &due_key(job), b"");
}

fn due_key(job: &CallbackJob) -> Vec<u8> {
    Key::of(&job.target.endpoint).number(job.next_ms).rest(&job.job_id()).bytes()
}

fn malformed() -> Error {
    Error::Corrupt { kind: "due callback", reason: "malformed key".to_owned() }
}
