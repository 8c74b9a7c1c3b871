//! A call as the API shows it: the guide's keys with the guide's types, and more of them (S27,
//! S31–S35).

use super::conversation::{self, ConversationView, ParticipantView, PauseView};
use super::quality::QualityView;
use super::time::timestamp;
use crate::recording;
use call_words::{CallState, CallStatus, CallType, Direction, HangupBy, JobState, LegKind};
use serde::{Deserialize, Serialize};
use storage::{Call, CallbackJob};
use utoipa::ToSchema;

/// A call. Every key is always there, `null` where it does not apply; only `recording_url` may be
/// absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CallView {
    /// Our id of the call.
    #[schema(example = "5deb67aa-d54d-4536-9a25-a29813b3bddd", format = "uuid")]
    pub call_id: String,
    /// The caller's own id, unchanged; `call_id` if none was given.
    #[schema(example = "your-own-call-id")]
    pub uuid: String,
    /// Where the call stands.
    pub state: CallState,
    /// Final disposition; `null` while the call is live.
    pub status: Option<CallStatus>,
    /// Talk time in whole seconds; 0 unless `ANSWER`.
    #[schema(example = 150)]
    pub duration: u64,
    /// The number that was called, as received.
    #[schema(example = "9876543210")]
    pub customer_number: String,
    #[schema(example = "+919876543210")]
    pub customer_number_e164: String,
    /// The agent's number, as received.
    #[schema(example = "9876543211")]
    pub agent_number: Option<String>,
    #[schema(example = "+919876543211")]
    pub agent_number_e164: Option<String>,
    pub crm_username: Option<String>,
    /// Caller ID shown to the customer.
    #[schema(example = "+918047000000")]
    pub from_number: String,
    /// Whether the customer and third parties were to see no number (RFC 3323).
    pub hide_caller: bool,
    pub call_type: CallType,
    #[schema(example = "CRM_CALL")]
    pub disposition: String,
    pub direction: Direction,
    /// When the request was accepted.
    #[schema(example = "2026-07-03T10:00:00Z", format = "date-time")]
    pub start_time: String,
    /// When the customer answered.
    #[schema(example = "2026-07-03T10:00:12Z", format = "date-time")]
    pub answer_time: Option<String>,
    #[schema(example = "2026-07-03T10:02:30Z", format = "date-time")]
    pub end_time: Option<String>,
    /// Whether recording was asked for.
    pub record: bool,
    /// Direct download link; there if the call was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub recording_url: Option<String>,
    /// Stable word for why a call did not go as wished.
    #[schema(example = "agent_busy")]
    pub reason: Option<String>,
    /// More about `reason`: what was wrong with the agent's audio, with `agent_media`.
    #[schema(example = "microphone_denied")]
    pub reason_detail: Option<String>,
    pub failed_leg: Option<LegKind>,
    /// The final SIP status that decided.
    pub sip_code: Option<u16>,
    pub hangup_by: Option<HangupBy>,
    /// Each dialling of a leg.
    pub attempts: Vec<AttemptView>,
    /// How the parties stand; `null` before agent and customer are joined and after the end.
    pub conversation: Option<ConversationView>,
    /// The third parties, in the order in which they were added.
    pub participants: Vec<ParticipantView>,
    /// Where the recording was paused.
    pub recording_pauses: Vec<PauseView>,
    /// Whether all that was recorded could be written; also `false` where nothing could be, and
    /// then there is no `recording_url`. `null` if nothing was to be recorded, or if it was not
    /// known yet when the call ended.
    pub recording_complete: Option<bool>,
    /// Milliseconds of the talk that could be written; what could not is silent, or cut off at the
    /// end.
    #[schema(example = 138_000)]
    pub recording_written_ms: Option<u64>,
    /// How it sounded, in packets, loss, jitter, delay and scores; `null` before the end, and of a
    /// call whose media were never agreed.
    pub quality: Option<QualityView>,
    /// How the delivery of its result stands; `null` before the end, and for an account that had no
    /// callback URL then.
    pub callback: Option<DeliveryView>,
}

/// How the delivery of a call's result stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeliveryView {
    pub state: JobState,
    /// Attempts made so far.
    #[schema(example = 4)]
    pub attempts: u32,
    /// Why the last attempt failed: the status that answered, or a stable word.
    #[schema(example = "timeout")]
    pub last_error: Option<String>,
    /// When it is tried again.
    #[schema(example = "2026-07-03T10:02:31Z", format = "date-time")]
    pub next_attempt_time: Option<String>,
}

impl DeliveryView {
    /// How far the delivery of a call's result is.
    pub fn of(job: &CallbackJob) -> Self {
        Self {
            state: job.state,
            attempts: job.delivery_count,
            last_error: job.last_error.clone(),
            next_attempt_time: (job.state == JobState::Pending).then(|| timestamp(job.next_ms)),
        }
    }
}

/// One dialling of a leg through one trunk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AttemptView {
    pub leg: LegKind,
    pub trunk: String,
    #[schema(format = "date-time")]
    pub start_time: String,
    #[schema(format = "date-time")]
    pub end_time: String,
    /// Final SIP status; `null` on a timeout or transport error.
    pub sip_code: Option<u16>,
    /// `answered`, or the reason of the failure.
    pub result: String,
}

impl CallView {
    /// The call as the API shows it; links begin with the public URL.
    pub fn of(call: &Call, public_url: &str) -> Self {
        Self {
            call_id: call.call_id.to_string(),
            uuid: call.uuid.clone(),
            state: call.state,
            status: call.status,
            duration: call.duration_s,
            customer_number: call.customer_number.clone(),
            customer_number_e164: call.customer_number_e164.clone(),
            agent_number: call.agent_number.clone(),
            agent_number_e164: call.agent_number_e164.clone(),
            crm_username: call.crm_username.clone(),
            from_number: call.from_number.clone(),
            hide_caller: call.hide_caller,
            call_type: call.call_type,
            disposition: call.disposition.clone(),
            direction: call.direction,
            start_time: timestamp(call.start_ms),
            answer_time: call.answer_ms.map(timestamp),
            end_time: call.end_ms.map(timestamp),
            record: call.record,
            recording_url: call
                .recording
                .as_ref()
                .map(|recording| recording::url(public_url, &recording.file_name)),
            reason: call.reason.as_ref().map(ToString::to_string),
            reason_detail: call.reason_detail.as_ref().map(ToString::to_string),
            failed_leg: call.failed_leg,
            sip_code: call.sip_code,
            hangup_by: call.hangup_by,
            attempts: call.attempts.iter().map(AttemptView::of).collect(),
            conversation: ConversationView::of(call),
            participants: conversation::participants(call),
            recording_pauses: conversation::pauses(call),
            recording_complete: call.recording_written.map(|written| written.complete),
            recording_written_ms: call.recording_written.and_then(|written| written.written_ms),
            quality: QualityView::of(call),
            callback: None,
        }
    }

    /// With how the delivery of its result stands.
    pub fn with_result(call: &Call, job: Option<&CallbackJob>, public_url: &str) -> Self {
        Self { callback: job.map(DeliveryView::of), ..Self::of(call, public_url) }
    }
}

impl AttemptView {
    fn of(attempt: &storage::Attempt) -> Self {
        Self {
            leg: attempt.leg,
            trunk: attempt.trunk.to_string(),
            start_time: timestamp(attempt.start_ms),
            end_time: timestamp(attempt.end_ms),
            sip_code: attempt.sip_code,
            result: attempt.result.to_string(),
        }
    }
}
