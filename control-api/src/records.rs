//! The records for asynchronous tasks: operations of the store, each run where it may block, or
//! where it cannot; writes of calls in groups. Nothing else leaves the asynchronous world for the
//! store.

use crate::watch::AgentId;
use call_words::{AccountId, CallId, EndpointId, RecordingName};
use std::path::Path;
use std::time::Duration;
use storage::{
    Account, AddOutcome, Announcer, ApiKey, Assignment, Call, CallbackJob, CreateOutcome,
    DeliveryAttempt, Due, FinalCall, FinishOutcome, Group, KeyHash, Ladder, MilestoneOutcome,
    NewCall, NewParty, NextStep, OutboxDepth, Progress, RecordingEntry, RequeueOutcome, Result,
    Softphone, Storage, TimelineEntry,
};
use tokio::sync::oneshot;

/// Least time between two groups of writes: those that come meanwhile share one wait for the disk.
/// What comes after a longer pause is written at once.
const GROUP_PACE: Duration = Duration::from_millis(4);

/// The store, shared by clones.
#[derive(Clone)]
pub struct Records {
    store: Storage,
}

impl Records {
    /// Opens or creates the store in a folder. Blocks.
    pub fn open(folder: &Path, announcer: impl Announcer) -> Result<Self> {
        Ok(Self { store: Storage::open(folder, announcer)? })
    }

    /// The store itself, for who may block.
    pub fn blocking(&self) -> &Storage {
        &self.store
    }

    /// Several operations in one go, such as a check against many records.
    pub async fn visit<T, F>(&self, operation: F) -> T
    where
        T: Send + 'static,
        F: FnOnce(&Storage) -> T + Send + 'static,
    {
        let store = self.store.clone();
        tokio::task::spawn_blocking(move || operation(&store))
            .await
            .expect("storage operations do not panic")
    }

    /// The same, done at once if all that it reads is in memory. Only for what reads a few records.
    pub async fn look<T, F>(&self, operation: F) -> T
    where
        T: Send + 'static,
        F: Fn(&Storage) -> T + Send + 'static,
    {
        let memory = self.store.in_memory();
        let found = operation(&memory);
        if memory.has_missed() { self.visit(operation).await } else { found }
    }

    /// Writes with others that wait, in the order in which they were asked for; that is now,
    /// whether or not the outcome is waited for.
    fn write<T, F>(&self, operation: F) -> impl Future<Output = Result<T>> + Send
    where
        T: Send + 'static,
        F: FnOnce(&mut Group<'_>) -> Result<T> + Send + 'static,
    {
        let (tell, told) = oneshot::channel();
        if self.store.submit(operation, move |outcome| drop(tell.send(outcome))) {
            let store = self.store.clone();
            tokio::task::spawn_blocking(move || store.lead(GROUP_PACE));
        }
        async { told.await.expect("storage operations do not panic") }
    }

    /// An account by its id.
    pub async fn account(&self, account_id: &AccountId) -> Result<Option<Account>> {
        let account_id = account_id.to_owned();
        self.look(move |store| store.account(&account_id)).await
    }

    /// All accounts.
    pub async fn accounts(&self) -> Result<Vec<Account>> {
        self.visit(Storage::accounts).await
    }

    /// The key of this hash that has not expired.
    pub async fn authenticate(&self, hash: KeyHash, now_ms: u64) -> Result<Option<ApiKey>> {
        self.look(move |store| store.authenticate(&hash, now_ms)).await
    }

    /// A call by its id, live or ended.
    pub async fn call(&self, call_id: &CallId) -> Result<Option<Call>> {
        let call_id = call_id.to_owned();
        self.visit(move |store| store.call(&call_id)).await
    }

    /// Every call that has not ended.
    pub async fn live_calls(&self) -> Result<Vec<Call>> {
        self.visit(Storage::live_calls).await
    }

    /// The live call with an agent's softphone.
    pub async fn live_call_of(&self, agent: &AgentId) -> Result<Option<Call>> {
        let AgentId { account_id, crm_username } = agent.clone();
        self.visit(move |store| store.live_softphone_call(&account_id, &crm_username)).await
    }

    /// Makes a call durable, with the shard that it is placed on if it is to be placed.
    pub async fn create_call(
        &self,
        new: NewCall,
        assignment: Option<Assignment>,
    ) -> Result<CreateOutcome> {
        self.write(move |group| group.create_call(new, assignment)).await
    }

    /// Applies steps of calls in their order, and says of each call what came of it. It is asked
    /// for at once, as is all that returns its future.
    pub fn apply_steps(
        &self,
        steps: Vec<(CallId, TimelineEntry, Progress)>,
    ) -> impl Future<Output = Result<Vec<(CallId, Result<MilestoneOutcome>)>>> {
        self.write(move |group| {
            let mut apply = |(call_id, entry, progress): (CallId, _, _)| {
                let outcome = group.apply_milestone(&call_id, &entry, &progress);
                (call_id, outcome)
            };
            Ok(steps.into_iter().map(&mut apply).collect())
        })
    }

    /// Ends calls once, each with its callbacks in the same write.
    pub fn finish_calls(
        &self,
        ends: Vec<(CallId, FinalCall)>,
    ) -> impl Future<Output = Result<Vec<(CallId, Result<FinishOutcome>)>>> {
        self.write(move |group| {
            let mut finish = |(call_id, end)| {
                let outcome = group.finish_call(&call_id, end);
                (call_id, outcome)
            };
            Ok(ends.into_iter().map(&mut finish).collect())
        })
    }

    /// Notes that the call's end was asked for; `None` if it has ended.
    pub async fn request_hang_up(&self, call_id: &CallId) -> Result<Option<Call>> {
        let call_id = call_id.to_owned();
        self.visit(move |store| store.request_hang_up(&call_id)).await
    }

    /// Sets the disposition of a call, live or ended.
    pub async fn set_disposition(&self, call_id: &CallId, text: String) -> Result<Option<Call>> {
        let call_id = call_id.to_owned();
        self.visit(move |store| store.set_disposition(&call_id, &text)).await
    }

    /// Reserves a file name for a recording that starts late.
    pub async fn reserve_recording(
        &self,
        call_id: &CallId,
        name: RecordingName,
    ) -> Result<Option<Call>> {
        let call_id = call_id.to_owned();
        self.visit(move |store| store.reserve_recording(&call_id, &name)).await
    }

    /// Notes a party that is to be dialled, unless the same request did.
    pub async fn add_party(&self, call_id: &CallId, new: NewParty) -> Result<AddOutcome> {
        let call_id = call_id.to_owned();
        self.visit(move |store| store.add_party(&call_id, new)).await
    }

    /// Forgets a party that was never dialled.
    pub async fn drop_party(&self, call_id: &CallId, party: &str) -> Result<Option<Call>> {
        let (call_id, party) = (call_id.to_owned(), party.to_owned());
        self.visit(move |store| store.drop_party(&call_id, &party)).await
    }

    /// The steps of a call in their order.
    pub async fn timeline(&self, call_id: &CallId) -> Result<Vec<TimelineEntry>> {
        let call_id = call_id.to_owned();
        self.visit(move |store| store.timeline(&call_id)).await
    }

    /// Keeps the SIP messages of calls.
    pub fn put_ladders(&self, ladders: Vec<Ladder>) -> impl Future<Output = Result<()>> {
        self.write(move |group| ladders.iter().try_for_each(|ladder| group.put_ladder(ladder)))
    }

    /// The SIP messages of a call, if they are kept.
    pub async fn ladder(&self, call_id: &CallId) -> Result<Option<Ladder>> {
        let call_id = call_id.to_owned();
        self.visit(move |store| store.ladder(&call_id)).await
    }

    /// The log of attempts at a call's callbacks.
    pub async fn deliveries(&self, call_id: &CallId) -> Result<Vec<DeliveryAttempt>> {
        let call_id = call_id.to_owned();
        self.visit(move |store| store.deliveries(&call_id)).await
    }

    /// What is known of a recording by its file name.
    pub async fn recording(&self, file_name: &RecordingName) -> Result<Option<RecordingEntry>> {
        let file_name = file_name.to_owned();
        self.visit(move |store| store.recording(&file_name)).await
    }

    /// The callback job of a call's result.
    pub async fn callback_job(&self, call_id: &CallId) -> Result<Option<CallbackJob>> {
        let call_id = call_id.to_owned();
        self.visit(move |store| store.callback_job(call_id.as_str())).await
    }

    /// Queues the result of an ended call once more.
    pub async fn requeue_callback(&self, call_id: &CallId) -> Result<RequeueOutcome> {
        let call_id = call_id.to_owned();
        self.visit(move |store| store.requeue_callback(&call_id)).await
    }

    /// Endpoints that have callbacks to try, now or later.
    pub async fn pending_endpoints(&self) -> Result<Vec<EndpointId>> {
        self.visit(Storage::pending_endpoints).await
    }

    /// Jobs of an endpoint that are due from `from_ms` on, without those that are being tried.
    pub async fn due_callbacks(
        &self,
        endpoint: &EndpointId,
        from_ms: u64,
        now_ms: u64,
        limit: usize,
        trying: Vec<String>,
    ) -> Result<Due> {
        let endpoint = endpoint.clone();
        self.look(move |store| {
            let is_tried = |id: &str| trying.iter().any(|job| job == id);
            store.due_callbacks(&endpoint, from_ms, now_ms, limit, is_tried)
        })
        .await
    }

    /// Logs an attempt with what follows it.
    pub async fn record_delivery(
        &self,
        job_id: String,
        attempt: DeliveryAttempt,
        next: NextStep,
    ) -> Result<Option<CallbackJob>> {
        self.write(move |group| group.record_delivery(&job_id, &attempt, next)).await
    }

    /// How many callbacks wait, and how many results were given up.
    pub async fn outbox_depth(&self) -> Result<OutboxDepth> {
        self.visit(Storage::outbox_depth).await
    }

    /// Changes what is remembered of an agent's softphone.
    pub async fn change_softphone(
        &self,
        agent: &AgentId,
        change: impl FnOnce(&mut Softphone) + Send + 'static,
    ) -> Result<()> {
        let AgentId { account_id, crm_username } = agent.clone();
        self.visit(move |store| store.change_softphone(&account_id, &crm_username, change)).await
    }

    /// Gives a call to a session's page, and returns it as it is then.
    pub async fn bind_session(&self, session_id: &str, call_id: &CallId) -> Result<Option<Call>> {
        let (session_id, call_id) = (session_id.to_owned(), call_id.to_owned());
        self.visit(move |store| {
            store.bind_session(&session_id, &call_id)?;
            store.call(&call_id)
        })
        .await
    }
}
