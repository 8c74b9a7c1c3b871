//! A call that may be placed: what a request asks for, checked, with what its account says.

use super::party::{AgentLeg, GivenNumber};
use crate::app::App;
use crate::clock::now_ms;
use crate::number::E164;
use crate::problem::Problem;
use crate::recording;
use crate::routing::{self, Caller, Way};
use crate::watch::AgentId;
use call_words::CallType;
use control_wire::{AgentTarget, PlaceCall};
use storage::{Account, NewCall, Storage, Trunk};

/// Disposition of a call that names none.
const DEFAULT_DISPOSITION: &str = "CRM_CALL";

/// A call that may be placed.
pub struct Order {
    pub new: NewCall,
    pub(super) account: Account,
    agent: AgentLeg,
    customer: E164,
    caller_id: E164,
    pub(super) trunks: Vec<Trunk>,
    agent_confirm: bool,
}

/// The parties of a call, checked.
pub struct Parties {
    pub agent: AgentLeg,
    pub customer: GivenNumber,
    pub caller_id: E164,
}

/// What else a request says of its call.
pub struct Terms {
    pub call_type: CallType,
    pub uuid: Option<String>,
    pub record: Option<bool>,
    pub agent_confirm: Option<bool>,
    pub hide_caller: bool,
    pub disposition: Option<String>,
    /// Hash of what makes two requests the same.
    pub fingerprint: String,
    pub idempotency_key: Option<String>,
}

impl Order {
    pub fn new(
        store: &Storage,
        account: Account,
        parties: Parties,
        terms: Terms,
    ) -> Result<Self, Problem> {
        let Parties { agent, customer, caller_id } = parties;
        let record = terms.record.unwrap_or(account.record_by_default);
        let agent_confirm = terms.agent_confirm.unwrap_or(account.agent_confirm);
        let (phone, crm_username) = match &agent {
            AgentLeg::Phone(number) => (Some(number), None),
            AgentLeg::Softphone { crm_username } => (None, Some(crm_username.clone())),
        };
        let new = NewCall {
            call_id: uuid::Uuid::now_v7().to_string().into(),
            account_id: account.id.clone(),
            fingerprint: terms.fingerprint,
            uuid: terms.uuid,
            call_type: terms.call_type,
            customer_number: customer.text,
            customer_number_e164: customer.e164.as_str().to_owned(),
            agent_number: phone.map(|number| number.text.clone()),
            agent_number_e164: phone.map(|number| number.e164.as_str().to_owned()),
            crm_username,
            from_number: caller_id.as_str().to_owned(),
            hide_caller: terms.hide_caller,
            disposition: terms.disposition.unwrap_or_else(|| DEFAULT_DISPOSITION.to_owned()),
            recording_file: record.then(recording::fresh_name),
            idempotency_key: terms.idempotency_key,
            start_ms: now_ms(),
        };
        let trunks: Result<Vec<_>, _> =
            account.trunks.iter().map(|trunk_id| store.trunk(trunk_id)).collect();
        let trunks = trunks?.into_iter().flatten().collect();
        Ok(Self { new, account, agent, customer: customer.e164, caller_id, trunks, agent_confirm })
    }

    /// The agent whose softphone is to be rung.
    pub fn softphone(&self) -> Option<AgentId> {
        let crm_username = self.new.crm_username.clone()?;
        Some(AgentId { account_id: self.account.id.clone(), crm_username })
    }

    /// The numbers that are dialled: the customer's, and the agent's if it is at a phone.
    pub(super) fn numbers(&self) -> Vec<&E164> {
        let agent = match &self.agent {
            AgentLeg::Phone(number) => Some(&number.e164),
            AgentLeg::Softphone { .. } => None,
        };
        std::iter::once(&self.customer).chain(agent).collect()
    }

    /// The call on the ways of its [numbers](Self::numbers).
    pub(super) fn place_call(&self, app: &App, ways: &[Way]) -> PlaceCall {
        let leg = |way, number, is_hidden, ring_ms| {
            let Self { caller_id, account, .. } = self;
            let caller = Caller { number: caller_id, is_hidden };
            routing::destination(way, number, caller, account.region, ring_ms, None)
        };
        let agent = match &self.agent {
            AgentLeg::Phone(number) => {
                AgentTarget::Phone(leg(&ways[1], &number.e164, false, self.account.agent_ring_ms))
            }
            AgentLeg::Softphone { crm_username } => AgentTarget::Softphone {
                agent: app.secrets.master_key.agent_name(&self.account.id, crm_username),
                ring_ms: self.account.agent_ring_ms,
                opus: self.account.opus,
            },
        };
        PlaceCall {
            call_id: self.new.call_id.clone(),
            account_id: self.account.id.clone(),
            agent,
            customer: leg(
                &ways[0],
                &self.customer,
                self.new.hide_caller,
                self.account.customer_ring_ms,
            ),
            max_duration_ms: self.account.max_duration_ms,
            no_media_ms: self.account.no_media_ms,
            recording: self.new.recording_file.clone(),
            recording_layout: self.account.recording_layout,
            hold_audio: self.account.hold_audio.clone(),
            accepts_refer: self.account.refer == storage::ReferPolicy::Transfer,
            agent_confirm: self.agent_confirm,
            keep_ladder: app.config.calls.ladder_days > 0,
        }
    }
}
