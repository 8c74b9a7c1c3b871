//! The storage's operations, through its public functions only, on a real database in a temporary
//! folder.

mod calls;
mod crash;
mod events;
mod groups;
mod onboarding;
mod outbox;
mod parties;
mod retention;
mod webphone;

use call_words::{CallStatus, CallType, EndpointId, HangupBy};
use std::path::Path;
use storage::*;
use tempfile::TempDir;

/// A time of day in 2026.
pub const NOW: u64 = 1_783_072_800_000;
pub const ACCOUNT: &str = "demo";

pub struct Opened {
    pub storage: Storage,
    pub folder: TempDir,
}

impl Opened {
    pub fn fresh() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let storage = open(folder.path());
        storage.put_account(&Account::new(ACCOUNT, "Demo Realty")).unwrap();
        Self { storage, folder }
    }

    pub fn reopen(self) -> Self {
        let Self { storage, folder } = self;
        drop(storage);
        Self { storage: open(folder.path()), folder }
    }
}

/// Pushes what the account asks for, to the queue that its callback's URL names.
struct Pushes;

impl Announcer for Pushes {
    fn result(&self, account: &Account, call: &Call) -> Option<NewCallback> {
        let settings = account.callback.as_ref()?;
        Some(callback(call, &settings.url, call.end_ms.unwrap_or_default()))
    }

    fn step(&self, account: &Account, event: &EventRecord) -> Option<NewCallback> {
        let settings = account.callback.as_ref().filter(|_| !account.progress_events.is_empty())?;
        let target = target(&format!("{} progress", settings.url));
        Some(NewCallback { target, body: event.event.to_string(), due_ms: event.at_ms })
    }
}

pub fn open(folder: &Path) -> Storage {
    Storage::open(folder, Pushes).unwrap()
}

/// Names the queue of an account's results from now on.
pub fn push_to(storage: &Storage, account_id: &str, endpoint: Option<&str>) {
    let known = storage.account(&account_id.into()).unwrap();
    let mut account = known.unwrap_or_else(|| Account::new(account_id, account_id));
    account.callback = endpoint.map(|endpoint| CallbackSettings {
        url: endpoint.into(),
        auth_header: None,
        signing_secret: Sealed(vec![1]),
        max_retries: 3,
        earlier_secrets: Vec::new(),
    });
    storage.put_account(&account).unwrap();
}

pub fn new_call(call_id: &str, start_ms: u64) -> NewCall {
    NewCall {
        call_id: call_id.into(),
        account_id: ACCOUNT.into(),
        uuid: None,
        call_type: CallType::Server,
        customer_number: "98765 43210".into(),
        customer_number_e164: "+919876543210".into(),
        agent_number: Some("9876543211".into()),
        agent_number_e164: Some("+919876543211".into()),
        crm_username: None,
        from_number: "+918047000000".into(),
        hide_caller: false,
        disposition: "CRM_CALL".into(),
        recording_file: Some(format!("crm_{call_id}.wav").into()),
        fingerprint: "body".into(),
        idempotency_key: None,
        start_ms,
    }
}

/// Where a job that was stored waits.
pub fn endpoint(queued: Option<Queued>) -> Option<EndpointId> {
    queued.map(|queued| queued.endpoint)
}

#[track_caller]
pub fn create(storage: &Storage, new: NewCall) -> Call {
    match storage.create_call(new, None).unwrap() {
        CreateOutcome::Created { call, .. } => call,
        other => panic!("{other:?}"),
    }
}

pub fn answered(call_id: &str, end_ms: u64) -> FinalCall {
    let recording = RecordingResult {
        file_name: format!("crm_{call_id}.wav").into(),
        duration_ms: 5_000,
        file_len: 160_044,
        pauses: vec![],
    };
    FinalCall {
        status: CallStatus::Answer,
        reason: None,
        failed_leg: None,
        sip_code: Some(200),
        hangup_by: Some(HangupBy::Customer),
        answer_ms: Some(end_ms - 5_000),
        end_ms,
        duration_s: 5,
        attempts: Vec::new(),
        recording: Some(recording),
        recording_written: Some(RecordingWritten { complete: true, written_ms: Some(5_000) }),
        agent_media: None,
        customer_media: None,
        reason_detail: None,
        others: Some(vec![]),
    }
}

fn target(endpoint: &str) -> CallbackTarget {
    CallbackTarget {
        endpoint: endpoint.into(),
        url: "https://crm.example/calls".into(),
        auth_header: None,
        signing_secret: Sealed(vec![1]),
        max_retries: 3,
    }
}

fn callback(call: &Call, endpoint: &str, due_ms: u64) -> NewCallback {
    let body = format!("{{\"call_id\":\"{}\"}}", call.call_id);
    NewCallback { target: target(endpoint), body, due_ms }
}

/// Ends a call with a callback to the endpoint, if one is named.
#[track_caller]
pub fn finish(storage: &Storage, call_id: &str, end_ms: u64, endpoint: Option<&str>) -> Finish {
    let call = storage.call(&call_id.into()).unwrap().unwrap();
    push_to(storage, call.account_id.as_str(), endpoint);
    match storage.finish_call(&call_id.into(), answered(call_id, end_ms)).unwrap() {
        FinishOutcome::Finished(finish) => finish,
        other => panic!("{other:?}"),
    }
}
