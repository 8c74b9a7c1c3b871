//! The records for asynchronous tasks: operations of the store, each run where it may block.
//! Nothing else leaves the asynchronous world for the store.

use crate::watch::AgentId;
use call_words::{AccountId, CallId, EndpointId, RecordingName};
use std::path::Path;
use storage::{
    Account, AddOutcome, Announcer, ApiKey, Assignment, Call, CallbackJob, CreateOutcome,
    DeliveryAttempt, Due, FinalCall, FinishOutcome, KeyHash, Ladder, MilestoneOutcome, NewCall,
    NewParty, NextStep, OutboxDepth, Progress, RecordingEntry, RequeueOutcome, Result, Softphone,
    Storage, TimelineEntry,
};

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

    /// An account by its id.
    pub async fn account(&self, account_id: &AccountId) -> Result<Option<Account>> {
        let account_id = account_id.to_owned();
        self.visit(move |store| store.account(&account_id)).await
    }

    /// All accounts.
    pub async fn accounts(&self) -> Result<Vec<Account>> {
        self.visit(Storage::accounts).await
    }

    /// The key of this hash that has not expired.
    pub async fn authenticate(&self, hash: KeyHash, now_ms: u64) -> Result<Option<ApiKey>> {
        self.visit(move |store| store.authenticate(&hash, now_ms)).await
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
        self.visit(move |store| store.create_call(new, assignment)).await
    }

    /// Applies steps of calls in their order, and says of each call what came of it.
    pub async fn apply_steps(
        &self,
        steps: Vec<(CallId, TimelineEntry, Progress)>,
    ) -> Result<Vec<(CallId, MilestoneOutcome)>> {
        self.visit(move |store| {
            let apply = |(call_id, entry, progress): (CallId, _, _)| {
                let outcome = store.apply_milestone(&call_id, &entry, &progress)?;
                Ok((call_id, outcome))
            };
            steps.into_iter().map(apply).collect()
        })
        .await
    }

    /// Ends a call once, with its callbacks in the same write.
    pub async fn finish_call(&self, call_id: &CallId, end: FinalCall) -> Result<FinishOutcome> {
        let call_id = call_id.to_owned();
        self.visit(move |store| store.finish_call(&call_id, end)).await
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
    pub async fn put_ladders(&self, ladders: Vec<Ladder>) -> Result<()> {
        self.visit(move |store| ladders.iter().try_for_each(|ladder| store.put_ladder(ladder)))
            .await
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

    /// Jobs of an endpoint that are due, without those that are being tried.
    pub async fn due_callbacks(
        &self,
        endpoint: &EndpointId,
        now_ms: u64,
        limit: usize,
        trying: Vec<String>,
    ) -> Result<Due> {
        let endpoint = endpoint.clone();
        self.visit(move |store| {
            store.due_callbacks(&endpoint, now_ms, limit, |id| trying.iter().any(|job| job == id))
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
        self.visit(move |store| store.record_delivery(&job_id, &attempt, next)).await
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
