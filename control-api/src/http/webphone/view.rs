//! A call as the softphone's page shows it.

use crate::view::conversation::ConversationView;
use crate::view::time::timestamp;
use call_words::{CallId, CallPhase, CallState, CallStatus, CallType, HangupBy};
use serde::{Deserialize, Serialize};
use storage::Call;

/// A call, live or ended. Every key is always there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PageCall {
    pub call_id: CallId,
    pub state: CallPhase,
    /// Final disposition; `null` while the call is live.
    pub status: Option<CallStatus>,
    pub reason: Option<String>,
    /// With `agent_media`: what was wrong with it (`MediaFault`).
    pub detail: Option<String>,
    pub sip_code: Option<u16>,
    pub start_time: String,
    pub answer_time: Option<String>,
    /// Talk time in whole seconds of an ended call.
    pub duration: u64,
    pub disposition: String,
    /// Whether the call is recorded.
    pub recording: bool,
    pub to_number: String,
    pub to_number_e164: String,
    pub from_number: String,
    pub call_type: CallType,
    pub hangup_by: Option<HangupBy>,
    /// How the parties stand; `null` before agent and customer are joined and after the end.
    pub conversation: Option<ConversationView>,
}

impl From<&Call> for PageCall {
    fn from(call: &Call) -> Self {
        let state = match call.state {
            CallState::Ended => CallPhase::Ended,
            CallState::CustomerRinging | CallState::Bridged if call.agent_away => CallPhase::Held,
            CallState::Accepted | CallState::Placed => CallPhase::Starting,
            CallState::AgentRinging | CallState::AgentAnswered => CallPhase::Agent,
            CallState::CustomerRinging => CallPhase::Ringing,
            CallState::Bridged => CallPhase::Bridged,
        };
        Self {
            call_id: call.call_id.clone(),
            state,
            status: call.status,
            reason: call.reason.as_ref().map(ToString::to_string),
            detail: call.reason_detail.as_ref().map(ToString::to_string),
            sip_code: call.sip_code,
            start_time: timestamp(call.start_ms),
            answer_time: call.answer_ms.map(timestamp),
            duration: call.duration_s,
            disposition: call.disposition.clone(),
            recording: call.record,
            to_number: call.customer_number.clone(),
            to_number_e164: call.customer_number_e164.clone(),
            from_number: call.from_number.clone(),
            call_type: call.call_type,
            hangup_by: call.hangup_by,
            conversation: ConversationView::of(call),
        }
    }
}
