//! The body of a callback: the guide's keys with the guide's types in the guide's order, then ours
//! (S27). Every key is always there, `null` where it does not apply; `recording_url` alone may be
//! absent (A18).

use crate::recording;
use crate::view::call::AttemptView;
use crate::view::conversation::{self, ParticipantView, PauseView};
use crate::view::quality::QualityView;
use crate::view::time::timestamp;
use call_words::{CallStatus, CallType, Direction, HangupBy, LegKind, Word};
use serde::Serialize;
use storage::Call;
use utoipa::ToSchema;

/// The result of one call. Every key is always there, `null` where it does not apply; only
/// `recording_url` may be absent.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CallResult)]
pub struct Payload<'a> {
    #[schema(format = "uuid")]
    call_id: &'a str,
    uuid: &'a str,
    status: Option<CallStatus>,
    duration: u64,
    customer_number: &'a str,
    agent_number: Option<&'a str>,
    crm_username: Option<&'a str>,
    call_type: CallType,
    disposition: &'a str,
    direction: Direction,
    #[schema(format = "date-time")]
    start_time: String,
    #[schema(format = "date-time")]
    end_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    recording_url: Option<String>,
    #[schema(format = "date-time")]
    answer_time: Option<String>,
    customer_number_e164: &'a str,
    agent_number_e164: Option<&'a str>,
    from_number: &'a str,
    reason: Option<&'a str>,
    reason_detail: Option<&'a str>,
    failed_leg: Option<LegKind>,
    sip_code: Option<u16>,
    hangup_by: Option<HangupBy>,
    #[schema(value_type = Vec<AttemptView>)]
    attempts: Vec<Attempt<'a>>,
    participants: Vec<ParticipantView>,
    recording_pauses: Vec<PauseView>,
    recording_complete: Option<bool>,
    recording_written_ms: Option<u64>,
    quality: Option<QualityView>,
    /// Of a call whose `from_number` was withheld from who was called; else left out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    hide_caller: bool,
    /// Of a call that never took place; else left out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    test: bool,
}

/// One dialling of a leg.
#[derive(Debug, Serialize)]
struct Attempt<'a> {
    leg: LegKind,
    trunk: &'a str,
    start_time: String,
    end_time: String,
    sip_code: Option<u16>,
    result: &'a str,
}

impl<'a> Payload<'a> {
    /// The payload of an ended call.
    pub fn of(call: &'a Call, public_url: &str) -> Self {
        Self {
            call_id: call.call_id.as_str(),
            uuid: &call.uuid,
            status: call.status,
            duration: call.duration_s,
            customer_number: &call.customer_number,
            agent_number: call.agent_number.as_deref(),
            crm_username: call.crm_username.as_deref(),
            call_type: call.call_type,
            disposition: &call.disposition,
            direction: call.direction,
            start_time: timestamp(call.start_ms),
            end_time: call.end_ms.map(timestamp),
            recording_url: call
                .recording
                .as_ref()
                .map(|recording| recording::url(public_url, &recording.file_name)),
            answer_time: call.answer_ms.map(timestamp),
            customer_number_e164: &call.customer_number_e164,
            agent_number_e164: call.agent_number_e164.as_deref(),
            from_number: &call.from_number,
            reason: call.reason.as_ref().map(Word::as_str),
            reason_detail: call.reason_detail.as_ref().map(Word::as_str),
            failed_leg: call.failed_leg,
            sip_code: call.sip_code,
            hangup_by: call.hangup_by,
            attempts: call.attempts.iter().map(Attempt::of).collect(),
            participants: conversation::participants(call),
            recording_pauses: conversation::pauses(call),
            recording_complete: call.recording_written.map(|written| written.complete),
            recording_written_ms: call.recording_written.and_then(|written| written.written_ms),
            quality: QualityView::of(call),
            hide_caller: call.hide_caller,
            test: false,
        }
    }

    /// Of a call that never took place.
    pub fn of_test(call: &'a Call, public_url: &str) -> Self {
        Self { test: true, ..Self::of(call, public_url) }
    }
}

impl<'a> Attempt<'a> {
    fn of(attempt: &'a storage::Attempt) -> Self {
        Self {
            leg: attempt.leg,
            trunk: attempt.trunk.as_str(),
            start_time: timestamp(attempt.start_ms),
            end_time: timestamp(attempt.end_ms),
            sip_code: attempt.sip_code,
            result: attempt.result.as_str(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::callback::tests::ended_call;

    const GUIDE_KEYS: [&str; 13] = [
        "call_id",
        "uuid",
        "status",
        "duration",
        "customer_number",
        "agent_number",
        "crm_username",
        "call_type",
        "disposition",
        "direction",
        "start_time",
        "end_time",
        "recording_url",
    ];

    fn print(call: &Call) -> String {
        serde_json::to_string(&Payload::of(call, "https://api.example")).unwrap()
    }

    // S27, S28, S30–S35
    #[test]
    fn the_guides_keys_come_first_in_its_order_with_its_types() {
        let call = ended_call("c1");
        let text = print(&call);
        let places: Vec<_> =
            GUIDE_KEYS.iter().map(|key| text.find(&format!("\"{key}\":")).expect(key)).collect();
        assert!(places.is_sorted(), "{text}");
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["uuid"], " 😀 \"quoted\" ");
        assert_eq!(value["status"], "ANSWER");
        assert_eq!(value["duration"], 150);
        assert_eq!(value["customer_number"], "98765 43210");
        assert_eq!(value["customer_number_e164"], "+919876543210");
        assert_eq!(value["call_type"], "server");
        assert_eq!(value["direction"], "outbound");
        assert_eq!(value["start_time"], "2026-07-03T10:00:00Z");
        assert_eq!(value["end_time"], "2026-07-03T10:02:35Z");
        assert_eq!(value["recording_url"], "https://api.example/recordings/crm_c1.wav");
        assert_eq!(value["attempts"][0]["result"], "answered");
        assert_eq!(
            (&value["recording_complete"], &value["recording_written_ms"]),
            (&true.into(), &150_900.into())
        );
    }

    // A18
    #[test]
    fn only_the_recordings_link_may_be_absent() {
        let mut call = ended_call("c1");
        call.recording = None;
        call.recording_written = None;
        call.status = Some(CallStatus::NoAnswer);
        call.agent_number = None;
        let value: serde_json::Value = serde_json::from_str(&print(&call)).unwrap();
        let keys = value.as_object().unwrap();
        for key in GUIDE_KEYS {
            assert_eq!(keys.contains_key(key), key != "recording_url", "{key}");
        }
        assert_eq!(value["status"], "NO_ANSWER");
        assert!(
            value["agent_number"].is_null()
                && value["crm_username"].is_null()
                && value["reason"].is_null()
        );
        for key in ["recording_complete", "recording_written_ms", "quality"] {
            assert_eq!(keys.get(key), Some(&serde_json::Value::Null), "{key}");
        }
    }
}
