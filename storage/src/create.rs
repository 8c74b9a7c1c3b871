//! Accepting a call: the uuid and Idempotency-Key rules (A3), one call at a time for a softphone
//! (A4), and the first durable form of the call.

use crate::error::Result;
use crate::events::Note;
use crate::key::Key;
use crate::record::*;
use crate::store::{Durability, Family, Group, Reading, Storage};
use call_words::{
    AccountId, CallId, CallState, CallType, Direction, EventWord, RecordingName, TrunkId,
};

/// How long after its start a call answers for its uuid, even if it has ended (A3).
pub const UUID_WINDOW_MS: u64 = 60_000;
/// How long an Idempotency-Key is remembered (A3).
pub(crate) const IDEMPOTENCY_WINDOW_MS: u64 = 24 * 3_600_000;
/// Time in which a second click on the same customer is taken for the first, as long as that call
/// lives (A4).
const DOUBLE_CLICK_MS: u64 = 5_000;

/// A request for a call, checked and normalised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCall {
    pub call_id: CallId,
    pub account_id: AccountId,
    /// `None` if the request had none.
    pub uuid: Option<String>,
    pub call_type: CallType,
    /// As received.
    pub customer_number: String,
    pub customer_number_e164: String,
    /// As received.
    pub agent_number: Option<String>,
    pub agent_number_e164: Option<String>,
    /// The agent whose softphone is to be rung.
    pub crm_username: Option<String>,
    /// Caller ID, E.164.
    pub from_number: String,
    /// Whether it is withheld from who is called.
    pub hide_caller: bool,
    pub disposition: String,
    /// File name reserved for the recording; `None` if the call is not to be recorded.
    pub recording_file: Option<RecordingName>,
    /// Hash of what makes two requests the same.
    pub fingerprint: String,
    pub idempotency_key: Option<String>,
    /// Now: the moment at which the request is accepted.
    pub start_ms: u64,
}

impl NewCall {
    /// The uuid by which a request is known again. A link's is none: it names a CRM's record, which
    /// is called again and again, and a second click is told by who is in a call.
    fn unique_uuid(&self) -> Option<&str> {
        self.uuid.as_deref().filter(|_| self.call_type == CallType::Server)
    }
}

/// The shard that gets a call, and whose line the call holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    pub owner: Owner,
    /// Id of the trunk.
    pub trunk: TrunkId,
}

/// What became of a request for a call.
#[derive(Debug, Clone, PartialEq)]
pub enum CreateOutcome {
    /// Durable, and to be placed.
    Created {
        call: Call,
        /// The progress callback that was stored with it.
        queued: Option<Queued>,
    },
    /// The same request came before: this is its call, and nothing new is to be placed.
    Existing(Call),
    /// Another request with this uuid is live or less than 60 s old.
    UuidClash { call_id: CallId },
    /// The account was removed.
    UnknownAccount,
    /// Another request had this Idempotency-Key in the last 24 h.
    IdempotencyClash { call_id: CallId },
    /// The agent's softphone has a call already.
    InTheWay(InTheWay),
}

/// A call for which an agent's softphone gets no other.
#[derive(Debug, Clone, PartialEq)]
pub enum InTheWay {
    /// The agent is in this call.
    InCall(Call),
    /// This call to the same customer was started a moment ago.
    DoubleClick(Call),
}

impl InTheWay {
    /// The call, whichever it is.
    pub fn into_call(self) -> Call {
        match self {
            Self::InCall(call) | Self::DoubleClick(call) => call,
        }
    }
}

impl Group<'_> {
    /// Stores a call with the shard that it is placed on, on disk when the group is written, unless
    /// the uuid or Idempotency-Key rule says otherwise. Without a shard it is only accepted.
    pub fn create_call(
        &mut self,
        new: NewCall,
        assignment: Option<Assignment>,
    ) -> Result<CreateOutcome> {
        let uuid_key = new.unique_uuid().map(|uuid| uuid_key(&new.account_id, uuid));
        let idempotency_key =
            new.idempotency_key.as_deref().map(|key| Key::of(&new.account_id).rest(key).bytes());
        let agent_key = new
            .crm_username
            .as_deref()
            .map(|crm_username| agent_key(&new.account_id, crm_username));
        let names = [("uuid:", &uuid_key), ("idem:", &idempotency_key), ("agent:", &agent_key)];
        let lock_names: Vec<_> = names
            .into_iter()
            .filter_map(|(kind, key)| {
                key.as_ref().map(|key| [kind.as_bytes(), key.as_slice()].concat())
            })
            .collect();
        self.hold(&lock_names);
        self.keep_accounts();
        if self.storage.known_account(&new.account_id)?.is_none() {
            return Ok(CreateOutcome::UnknownAccount);
        }
        if let Some(outcome) = earlier_call(self, &new)? {
            return Ok(outcome);
        }
        if let Some(crm_username) = &new.crm_username
            && let Some(in_the_way) = in_the_way(
                self,
                &new.account_id,
                crm_username,
                new.call_type,
                &new.customer_number_e164,
                new.start_ms,
            )?
        {
            return Ok(CreateOutcome::InTheWay(in_the_way));
        }
        self.promise(Durability::Synced);
        let idempotency_entry = idempotency_key.map(|key| {
            let entry = IdempotencyEntry {
                call_id: new.call_id.clone(),
                fingerprint: new.fingerprint.clone(),
                created_ms: new.start_ms,
            };
            (key, entry)
        });
        let mut call = accepted(new);
        if let Some(Assignment { owner, trunk }) = assignment {
            call.owner = Some(owner);
            call.trunk = Some(trunk);
            call.state = CallState::Placed;
        }
        let note = Note::of(EventWord::Initiated, call.start_ms);
        let queued = self.note(&mut call, note)?;
        let batch = &mut self.batch;
        if let Some(key) = &agent_key {
            batch.index(Family::AgentCalls, key, call.call_id.as_bytes());
        }
        if let Some(key) = &uuid_key {
            batch.index(Family::Uuids, key, call.call_id.as_bytes());
        }
        if let Some((key, entry)) = &idempotency_entry {
            batch.put(Family::Idempotency, key, entry);
            let expiry = Key::default().number(entry.created_ms).raw(key).bytes();
            batch.index(Family::IdempotencyExpiry, &expiry, b"");
        }
        batch.put_call(&call);
        batch.index(Family::AccountCalls, &account_call_key(&call), b"");
        batch.index(Family::LiveCalls, call.call_id.as_bytes(), b"");
        Ok(CreateOutcome::Created { call, queued })
    }
}

impl Storage {
    /// [`Group::create_call`] in the next group.
    pub fn create_call(
        &self,
        new: NewCall,
        assignment: Option<Assignment>,
    ) -> Result<CreateOutcome> {
        self.write(move |group| group.create_call(new, assignment))
    }

    /// What `create_call` would answer because of an earlier request, or `None` if it would create
    /// the call. Lets a repeated request be answered before limits are applied to it.
    pub fn earlier_call(&self, new: &NewCall) -> Result<Option<CreateOutcome>> {
        earlier_call(self, new)
    }

    /// The last call with an agent's softphone, live or ended.
    pub fn softphone_call(
        &self,
        account_id: &AccountId,
        crm_username: &str,
    ) -> Result<Option<Call>> {
        softphone_call(self, account_id, crm_username)
    }

    /// The call that an agent's softphone is in.
    pub fn live_softphone_call(
        &self,
        account_id: &AccountId,
        crm_username: &str,
    ) -> Result<Option<Call>> {
        Ok(self.softphone_call(account_id, crm_username)?.filter(Call::is_live))
    }

    /// The call for which an agent's softphone would not get another to this customer now. Second
    /// clicks are made in browsers only: a backend that asks again within seconds means it.
    pub fn in_the_way(
        &self,
        account_id: &AccountId,
        crm_username: &str,
        call_type: CallType,
        customer_number_e164: &str,
        now_ms: u64,
    ) -> Result<Option<InTheWay>> {
        in_the_way(self, account_id, crm_username, call_type, customer_number_e164, now_ms)
    }
}

fn softphone_call(
    records: &impl Reading,
    account_id: &AccountId,
    crm_username: &str,
) -> Result<Option<Call>> {
    match records.read(Family::AgentCalls, &agent_key(account_id, crm_username))? {
        Some(call_id) => records.call(&String::from_utf8_lossy(&call_id).into()),
        None => Ok(None),
    }
}

fn in_the_way(
    records: &impl Reading,
    account_id: &AccountId,
    crm_username: &str,
    call_type: CallType,
    customer_number_e164: &str,
    now_ms: u64,
) -> Result<Option<InTheWay>> {
    // Who dials once more after the end means it, however soon.
    let last = softphone_call(records, account_id, crm_username)?;
    let Some(call) = last.filter(Call::is_live) else { return Ok(None) };
    let is_second_click = call_type == CallType::Browser
        && call.customer_number_e164 == customer_number_e164
        && now_ms < call.start_ms.saturating_add(DOUBLE_CLICK_MS);
    Ok(Some(if is_second_click { InTheWay::DoubleClick(call) } else { InTheWay::InCall(call) }))
}

fn earlier_call(records: &impl Reading, new: &NewCall) -> Result<Option<CreateOutcome>> {
    if let Some(key) = &new.idempotency_key {
        let entry: Option<IdempotencyEntry> =
            records.load(Family::Idempotency, &Key::of(&new.account_id).rest(key).bytes())?;
        let fresh = entry
            .filter(|entry| new.start_ms < entry.created_ms.saturating_add(IDEMPOTENCY_WINDOW_MS));
        if let Some(entry) = fresh
            && let Some(call) = records.call(&entry.call_id)?
        {
            let same = entry.fingerprint == new.fingerprint;
            return Ok(Some(if same {
                CreateOutcome::Existing(call)
            } else {
                CreateOutcome::IdempotencyClash { call_id: entry.call_id }
            }));
        }
    }
    if let Some(uuid) = new.unique_uuid()
        && let Some(call_id) = records.read(Family::Uuids, &uuid_key(&new.account_id, uuid))?
        && let Some(call) = records.call(&String::from_utf8_lossy(&call_id).into())?
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

/// Key under which something of an agent is kept.
pub(crate) fn agent_key(account_id: &AccountId, crm_username: &str) -> Vec<u8> {
    Key::of(account_id).rest(crm_username).bytes()
}

/// Key of the index from an account's uuid to its last call.
pub(crate) fn uuid_key(account_id: &AccountId, uuid: &str) -> Vec<u8> {
    Key::of(account_id).rest(uuid).bytes()
}

/// Key under which an account's calls are listed, newest first.
pub(crate) fn account_call_key(call: &Call) -> Vec<u8> {
    Key::of(&call.account_id).newest(call.start_ms).rest(&call.call_id).bytes()
}

fn accepted(new: NewCall) -> Call {
    Call {
        uuid: new.uuid.unwrap_or_else(|| new.call_id.to_string()),
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
        hide_caller: new.hide_caller,
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
        reason_detail: None,
        trunk: None,
        agent_away: false,
        session_id: None,
        conversation: None,
        others: Vec::new(),
        party_count: 0,
        event_count: 0,
        recording_written: None,
    }
}
