//! Who is tried when: one worker per endpoint that has jobs, with a cap on its connections, reading
//! its own queue from storage, so that a dead endpoint delays no other (A23) and a backlog costs no
//! memory. Workers end with their queue and come back with the next job.

use super::attempt::{Failure, Sender, SenderError, clients, discard_body};
use super::schedule;
use crate::clock::now_ms;
use crate::config::Config;
use crate::metrics::Metrics;
use crate::records::Records;
use crate::secret::MasterKey;
use crate::streams::Streams;
use call_words::EndpointId;
use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use storage::{CallbackJob, DeliveryAttempt, Due, NextStep, Queued, Sealed};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::{self, JoinSet};

/// Pause after storage failed, before it is asked again.
const STORAGE_PAUSE: Duration = Duration::from_secs(1);

/// Jobs that are taken from a queue before there is room to try them.
const READY_CAP: usize = 32;
/// Attempts of one endpoint that are under way or whose outcome is being written: beyond that the
/// disk is waited for.
const TRYING_CAP: usize = 1_024;
/// A time that does not come.
const NEVER_MS: u64 = u64::MAX;

/// How old a progress callback may be when it is tried: news of yesterday helps nobody, and a slow
/// endpoint's backlog is bounded.
const PROGRESS_LIFETIME_MS: u64 = 600_000;

/// How callbacks are delivered.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Development switch: `http://` and private targets (S22).
    pub allow_private_targets: bool,
    /// PEM file of authorities to trust besides the system's.
    pub extra_roots: Option<PathBuf>,
    /// Most attempts at once to one endpoint.
    pub connections_per_endpoint: usize,
}

impl Settings {
    /// As the configuration has it.
    pub fn of(config: &Config) -> Self {
        Self {
            allow_private_targets: config.callback.allow_private_targets,
            extra_roots: config.callback.extra_roots.clone(),
            connections_per_endpoint: config.callback.connections_per_endpoint,
        }
    }
}

/// Whether deliveries could start with these settings.
pub fn check(settings: &Settings) -> Result<(), SenderError> {
    clients(
        settings.allow_private_targets,
        settings.extra_roots.as_deref(),
        settings.connections_per_endpoint,
    )
    .map(drop)
}

/// Why deliveries cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Sender(#[from] SenderError),
    #[error("callback queue: {0}")]
    Storage(#[from] storage::Error),
}

/// Delivers what the outbox holds. Clones share the workers.
#[derive(Clone)]
pub struct Callbacks {
    shared: Arc<Shared>,
}

struct Shared {
    sender: Sender,
    records: Records,
    metrics: Metrics,
    streams: Streams,
    connections_per_endpoint: usize,
    workers: Mutex<Workers>,
}

struct Workers {
    bells: HashMap<EndpointId, Arc<Bell>>,
    /// Held by each worker; closed when all are gone. `None` once stopping.
    alive: Option<mpsc::Sender<()>>,
    gone: Option<mpsc::Receiver<()>>,
}

/// Tells a worker that its queue changed.
struct Bell {
    notify: Notify,
    /// The earliest time at which a job is due that the worker does not know of; [`NEVER_MS`] if
    /// there is none.
    earliest_ms: AtomicU64,
    stopping: AtomicBool,
}

impl Bell {
    fn new() -> Self {
        let earliest_ms = AtomicU64::new(NEVER_MS);
        Self { notify: Notify::new(), earliest_ms, stopping: AtomicBool::new(false) }
    }

    fn ring(&self, due_ms: u64) {
        self.earliest_ms.fetch_min(due_ms, Ordering::SeqCst);
        self.notify.notify_one();
    }
}

impl Callbacks {
    /// Prepares deliveries; none is made before `start`.
    pub fn new(
        settings: &Settings,
        records: Records,
        secrets: Arc<MasterKey>,
        metrics: Metrics,
        streams: Streams,
    ) -> Result<Self, StartError> {
        let roots = settings.extra_roots.as_deref();
        let sender = Sender::new(
            secrets,
            settings.allow_private_targets,
            roots,
            settings.connections_per_endpoint,
        )?;
        Ok(Self::with_sender(sender, settings.connections_per_endpoint, records, metrics, streams))
    }

    pub(super) fn with_sender(
        sender: Sender,
        connections_per_endpoint: usize,
        records: Records,
        metrics: Metrics,
        streams: Streams,
    ) -> Self {
        let (alive, gone) = mpsc::channel(1);
        let workers = Workers { bells: HashMap::new(), alive: Some(alive), gone: Some(gone) };
        let workers = Mutex::new(workers);
        Self {
            shared: Arc::new(Shared {
                sender,
                records,
                metrics,
                streams,
                connections_per_endpoint,
                workers,
            }),
        }
    }

    /// Takes up what an earlier run left.
    pub async fn start(&self) -> Result<(), StartError> {
        for endpoint in self.shared.records.pending_endpoints().await? {
            self.notify(&Queued { endpoint, due_ms: 0 });
        }
        Ok(())
    }

    /// Tells that a job was stored: it is tried when it is due. Called within the runtime.
    pub fn notify(&self, Queued { endpoint, due_ms }: &Queued) {
        let mut workers = self.shared.lock();
        if let Some(bell) = workers.bells.get(endpoint) {
            bell.ring(*due_ms);
        } else if let Some(alive) = workers.alive.clone() {
            let bell = Arc::new(Bell::new());
            bell.ring(*due_ms);
            workers.bells.insert(endpoint.to_owned(), Arc::clone(&bell));
            let worker =
                Worker { shared: Arc::clone(&self.shared), endpoint: endpoint.to_owned(), bell };
            tokio::spawn(async move {
                worker.run().await;
                drop(alive);
            });
        }
    }

    /// Starts no further attempt and waits for those under way. What is left stays in the outbox.
    pub async fn stop(&self) {
        let gone = {
            let mut workers = self.shared.lock();
            workers.alive = None;
            for bell in workers.bells.values() {
                bell.stopping.store(true, Ordering::SeqCst);
                bell.notify.notify_one();
            }
            workers.gone.take()
        };
        if let Some(mut gone) = gone {
            // Nothing is ever sent: this ends when the last worker has dropped its end.
            gone.recv().await;
        }
    }

    /// Sends a job that is not in the outbox, once: the status that answered, or the word of the
    /// failure. Nothing is stored.
    pub async fn send_once(&self, job: &CallbackJob) -> Result<u16, &'static str> {
        let now_ms = now_ms();
        let signing = self.shared.signing_secrets(job, now_ms).await.map_err(|_| "storage")?;
        let response =
            self.shared.sender.send(job, &signing, now_ms).await.map_err(|Failure(word)| word)?;
        let status = response.status().as_u16();
        discard_body(response).await;
        Ok(status)
    }

    /// Makes one attempt at a job as if it began at `now_ms`, and stores what came of it.
    #[cfg(test)]
    pub(super) async fn attempt(
        &self,
        job: CallbackJob,
        now_ms: u64,
    ) -> Result<Option<u64>, storage::Error> {
        let outcome = self.shared.attempt(&job, now_ms).await?;
        self.shared.record(&job, outcome).await
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Workers> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes an attempt. Its connection is free for another when this returns.
    async fn attempt(&self, job: &CallbackJob, at_ms: u64) -> Result<Outcome, storage::Error> {
        let started = Instant::now();
        let is_stale =
            job.sequence.is_some() && at_ms.saturating_sub(job.queued_ms) > PROGRESS_LIFETIME_MS;
        let sent = match is_stale {
            true => Err(Failure("stale")),
            false => self.sender.send(job, &self.signing_secrets(job, at_ms).await?, at_ms).await,
        };
        let duration_ms = started.elapsed().as_millis() as u64;
        let delivered = sent.as_ref().is_ok_and(|response| response.status().is_success());
        let attempt = DeliveryAttempt {
            at_ms,
            cycle: job.cycle,
            attempt: job.attempt_count + 1,
            url: job.target.url.clone(),
            http_status: sent.as_ref().ok().map(|response| response.status().as_u16()),
            error: sent.as_ref().err().map(|Failure(word)| (*word).to_owned()),
            duration_ms,
            delivered,
            sequence: job.sequence,
        };
        let next = match is_stale {
            true => NextStep::Exhausted,
            false => schedule::after(job, delivered, at_ms.saturating_add(duration_ms)),
        };
        self.tell(job, &attempt, next);
        if let Ok(response) = sent {
            discard_body(response).await;
        }
        Ok((attempt, next))
    }

    /// Stores what came of an attempt: when the next one is due.
    async fn record(
        &self,
        job: &CallbackJob,
        (attempt, next): Outcome,
    ) -> Result<Option<u64>, storage::Error> {
        self.records.record_delivery(job.job_id(), attempt, next).await?;
        if next == NextStep::Exhausted {
            self.streams.wake(&job.account_id);
        }
        Ok(match next {
            NextStep::Retry { at_ms } => Some(at_ms),
            NextStep::Delivered | NextStep::Exhausted => None,
        })
    }

    /// The account's present secret, and those that it renewed a while ago: what was queued before
    /// a renewal is signed as what comes after it. The job's own if the account has no callback any
    /// more.
    async fn signing_secrets(
        &self,
        job: &CallbackJob,
        now_ms: u64,
    ) -> Result<Vec<Sealed>, storage::Error> {
        let account = self.records.account(&job.account_id).await?;
        let Some(settings) = account.and_then(|account| account.callback) else {
            return Ok(vec![job.target.signing_secret.clone()]);
        };
        let earlier =
            settings.earlier_secrets.into_iter().filter(|earlier| now_ms < earlier.until_ms);
        Ok(std::iter::once(settings.signing_secret)
            .chain(earlier.map(|earlier| earlier.secret))
            .collect())
    }

    fn tell(&self, job: &CallbackJob, attempt: &DeliveryAttempt, next: NextStep) {
        let result = match (attempt.http_status, &attempt.error) {
            (Some(_), _) if attempt.delivered => "delivered".to_owned(),
            (Some(status), _) => format!("{}xx", status / 100),
            (None, error) => error.clone().unwrap_or_default(),
        };
        self.metrics.callback_attempted(&result);
        let (call_id, account_id) = (&job.call_id, &job.account_id);
        match next {
            NextStep::Delivered => {
                tracing::info!(%call_id, attempt = attempt.attempt, "callback delivered")
            }
            NextStep::Retry { .. } => {
                tracing::info!(%call_id, %account_id, attempt = attempt.attempt, %result,
                    "callback attempt failed")
            }
            NextStep::Exhausted => {
                tracing::warn!(%call_id, %account_id, attempt = attempt.attempt, %result,
                    "callback given up")
            }
        }
    }
}

/// What came of an attempt, and what follows it.
type Outcome = (DeliveryAttempt, NextStep);

struct Worker {
    shared: Arc<Shared>,
    endpoint: EndpointId,
    bell: Arc<Bell>,
}

/// Jobs that a worker has taken from the queue.
#[derive(Default)]
struct Taken {
    ready: VecDeque<CallbackJob>,
    /// Those under way or being written: their ids, and when they were due.
    trying: HashMap<task::Id, (String, u64)>,
}

impl Taken {
    /// Ids of those that were due at or after a time.
    fn ids_from(&self, from_ms: u64) -> Vec<String> {
        let ready = self.ready.iter().filter(|job| job.next_ms >= from_ms);
        let trying = self.trying.values().filter(|(_, due_ms)| *due_ms >= from_ms);
        ready.map(CallbackJob::job_id).chain(trying.map(|(id, _)| id.clone())).collect()
    }
}

impl Worker {
    async fn run(self) {
        let mut tasks = JoinSet::new();
        let mut taken = Taken::default();
        let connections = Arc::new(Semaphore::new(self.shared.connections_per_endpoint));
        // Of what is due before, all is taken.
        let mut from_ms = NEVER_MS;
        loop {
            from_ms = from_ms.min(self.bell.earliest_ms.swap(NEVER_MS, Ordering::SeqCst));
            let stopping = self.bell.stopping.load(Ordering::SeqCst);
            if stopping {
                taken.ready.clear();
                from_ms = NEVER_MS;
            }
            let mut pause = None;
            let free_count = connections.available_permits().min(TRYING_CAP - taken.trying.len());
            if free_count > taken.ready.len() && from_ms <= now_ms() {
                match self.due(from_ms, free_count, &taken).await {
                    Ok(due) => {
                        from_ms = due.next_ms.unwrap_or(NEVER_MS);
                        taken.ready.extend(due.jobs);
                    }
                    Err(error) => {
                        tracing::error!(%error, "callback queue cannot be read");
                        pause = Some(STORAGE_PAUSE);
                    }
                }
            }
            for job in taken.ready.drain(..free_count.min(taken.ready.len())) {
                let Ok(connection) = Arc::clone(&connections).try_acquire_owned() else {
                    unreachable!("only this worker takes them")
                };
                let named = (job.job_id(), job.next_ms);
                let task = tasks.spawn(attempt(Arc::clone(&self.shared), job, connection));
                taken.trying.insert(task.id(), named);
            }
            if taken.trying.is_empty() && from_ms == NEVER_MS && self.retire() {
                return;
            }
            let has_connection = connections.available_permits() > 0;
            let has_room = has_connection && taken.trying.len() < TRYING_CAP;
            let wait = (has_room && from_ms != NEVER_MS).then(|| {
                pause.unwrap_or_else(|| Duration::from_millis(from_ms.saturating_sub(now_ms())))
            });
            let has_more = from_ms != NEVER_MS || !taken.ready.is_empty();
            tokio::select! {
                Ok(_) = connections.acquire(), if has_more && !has_connection => {}
                Some(ended) = tasks.join_next_with_id() => {
                    let (id, again_ms) = match ended {
                        Ok((id, again_ms)) => (id, again_ms),
                        Err(error) => {
                            let named = taken.trying.get(&error.id());
                            (error.id(), named.map(|(_, due_ms)| *due_ms))
                        }
                    };
                    taken.trying.remove(&id);
                    from_ms = from_ms.min(again_ms.unwrap_or(NEVER_MS));
                }
                () = self.bell.notify.notified() => {}
                () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() => {}
            }
        }
    }

    /// As many jobs as there is room for, and some more, so that a full queue is not looked into
    /// for each.
    async fn due(
        &self,
        from_ms: u64,
        free_count: usize,
        taken: &Taken,
    ) -> Result<Due, storage::Error> {
        let limit = free_count + READY_CAP;
        let (records, is_taken) = (&self.shared.records, taken.ids_from(from_ms));
        records.due_callbacks(&self.endpoint, from_ms, now_ms(), limit, is_taken).await
    }

    /// Leaves unless the queue changed since it was read.
    fn retire(&self) -> bool {
        let mut workers = self.shared.lock();
        let stopping = self.bell.stopping.load(Ordering::SeqCst);
        let leaves = stopping || self.bell.earliest_ms.load(Ordering::SeqCst) == NEVER_MS;
        if leaves {
            workers.bells.remove(&self.endpoint);
        }
        leaves
    }
}

/// Makes an attempt over a connection, which it gives back as soon as it is answered; returns when
/// the job is due again.
async fn attempt(
    shared: Arc<Shared>,
    job: CallbackJob,
    connection: OwnedSemaphorePermit,
) -> Option<u64> {
    let outcome = shared.attempt(&job, now_ms()).await;
    drop(connection);
    let written = match outcome {
        Ok(outcome) => shared.record(&job, outcome).await,
        Err(error) => Err(error),
    };
    match written {
        Ok(again_ms) => again_ms,
        Err(error) => {
            // The job is still due; the worker takes it up again after the pause.
            tracing::error!(call_id = %job.call_id, %error, "callback attempt cannot be stored");
            tokio::time::sleep(STORAGE_PAUSE).await;
            Some(job.next_ms)
        }
    }
}
