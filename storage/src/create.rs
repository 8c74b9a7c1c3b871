//! Accepting a call: the uuid and Idempotency-Key rules (A3), and the first durable form of the call.

use crate::key::Key;
use crate::record::*;
use crate::store::{Durability, Family};
use crate::{Result, Storage};

/// How long after its start a call answers for its uuid, even if it has ended (A3).
const UUID_WINDOW_MS: u64 = 60_000;
/// How long an Idempotency-Key is remembered (A3).
pub(crate) const IDEMPOTENCY_WINDOW_MS: u64 = 24 * 3_600_000;

/// A request for a call, checked and normalised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCall {
    pub call_id: String,
    pub account_id: String,
    /// `None` if the request had none.
    pub uuid: Option<String>,
    pub call_type: CallType,
    /// As received.
    pub customer_number: String,
    pub customer_number_e164: String,
    /// As received.
    pub agent_number: Option<String>,
    pub agent_number_e164: Option<String>,
    pub crm_username: Option<String>,
    /// Caller ID, E.164.
    pub from_number: String,
    pub disposition: String,
    /// File name reserved for the recording; `None` if the call is not to be recorded.
    pub recording_file: Option<String>,
    /// Hash of what makes two requests the same.
    pub fingerprint: String,
    pub idempotency_key: Option<String>,
    /// Now: the moment at which the request is accepted.
    pub start_ms: u64,
}

/// What became of a request for a call.
#[derive(Debug, Clone, PartialEq)]
pub enum CreateOutcome {
    /// Durable, and to be placed.
    Created(Call),
    /// The same request came before: this is its call, and nothing new is to be placed.
    Existing(Call),
    /// Another request with this uuid is live or less than 60 s old.
    UuidClash { call_id: String },
    /// Another request had this Idempotency-Key in the last 24 h.
    IdempotencyClash { call_id: String },
}

impl Storage {
    /// Stores a call, on disk when it returns, unless the uuid or Idempotency-Key rule says otherwise.
    pub fn create_call(&self, new: NewCall) -> Result<CreateOutcome> {
        let uuid_key = new.uuid.as_deref().map(|uuid| uuid_key(&new.account_id, uuid));
        let idempotency_key = new.idempotency_key.as_deref().map(|key| Key::of(&new.account_id).rest(key).bytes());
        let lock_names: Vec<_> = [(b"uuid:", &uuid_key), (b"idem:", &idempotency_key)]
            .into_iter()
            .filter_map(|(kind, key)| key.as_ref().map(|key| [kind, key.as_slice()].concat()))
            .collect();
        let _held = self.lock(&lock_names);
        if let Some(outcome) = self.earlier_call(&new)? {
            return Ok(outcome);
        }
        let mut batch = self.batch();
        if let Some(key) = &uuid_key {
            batch.index(Family::Uuids, key, new.call_id.as_bytes());
        }
        if let Some(key) = &idempotency_key {
            let entry =
                IdempotencyEntry { call_id: new.call_id.clone(), fingerprint: new.fingerprint.clone(), created_ms: new.start_ms };
            batch.put(Family::Idempotency, key, &entry);
            batch.index(Family::IdempotencyExpiry, &Key::default().number(new.start_ms).raw(key).bytes(), b"");
        }
        let call = accepted(new);
        batch.put(Family::Calls, call.call_id.as_bytes(), &call);
        batch.index(Family::AccountCalls, &account_call_key(&call), b"");
        batch.index(Family::LiveCalls, call.call_id.as_bytes(), b"");
        batch.commit(Durability::Synced)?;
        Ok(CreateOutcome::Created(call))
    }

    /// What `create_call` would answer because of an earlier request, or `None` if it would create the call. Lets a repeated
    /// request be answered before limits are applied to it.
    pub fn earlier_call(&self, new: &NewCall) -> Result<Option<CreateOutcome>> {
        if let Some(key) = &new.idempotency_key {
            let entry: Option<IdempotencyEntry> = self.load(Family::Idempotency, &Key::of(&new.account_id).rest(key).bytes())?;
            let fresh = entry.filter(|entry| new.start_ms < entry.created_ms.saturating_add(IDEMPOTENCY_WINDOW_MS));
            if let Some(entry) = fresh
                && let Some(call) = self.call(&entry.call_id)?
            {
                let same = entry.fingerprint == new.fingerprint;
                return Ok(Some(if same {
                    CreateOutcome::Existing(call)
                } else {
                    CreateOutcome::IdempotencyClash { call_id: entry.call_id }
                }));
            }
        }
        if let Some(uuid) = &new.uuid
            && let Some(call_id) = self.read(Family::Uuids, &uuid_key(&new.account_id, uuid))?
            && let Some(call) = self.call(&String::from_utf8_lossy(&call_id))?
            && (call.is_live() || new.start_ms < call.start_ms.saturating_add(UUID_WINDOW_MS))
        {
            let same = call.fingerprint == new.fingerprint;
            return Ok(Some(if same {
                CreateOutcome::Existing(call)
            } else {
                CreateOutcome::UuidClash { call_id: call.call_id }
            }));
        }
        Ok(None)
    }
}

/// Key of the index from an account's uuid to its last call.
pub(crate) fn uuid_key(account_id: &str, uuid: &str) -> Vec<u8> {
    Key::of(account_id).rest(uuid).bytes()
}

/// Key under which an account's calls are listed, newest first.
pub(crate) fn account_call_key(call: &Call) -> Vec<u8> {
    Key::of(&call.account_id).newest(call.start_ms).rest(&call.call_id).bytes()
}

fn accepted(new: NewCall) -> Call {
    Call {
        uuid: new.uuid.unwrap_or_else(|| new.call_id.clone()),
        call_id: new.call_id,
        account_id: new.account_id,
        call_type: new.call_type,
        direction: Direction::Outbound,
        customer_number: new.customer_number,
        customer_number_e164: new.customer_number_e164,
        agent_number: new.agent_number,
        agent_number_e164: new.agent_number_e164,
        crm_username: new.crm_username,
        from_number: new.from_number,
        disposition: new.disposition,
        record: new.recording_file.is_some(),
        recording_file: new.recording_file,
        fingerprint: new.fingerprint,
        state: CallState::Accepted,
        owner: None,
        hang_up_requested: false,
        start_ms: new.start_ms,
        answer_ms: None,
        end_ms: None,
        status: None,
        reason: None,
        failed_leg: None,
        sip_code: None,
        hangup_by: None,
        duration_s: 0,
        attempts: Vec::new(),
        recording: None,
        agent_media: None,
        customer_media: None,
    }
}
