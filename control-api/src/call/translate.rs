//! What the edge says, in the words of the records.

use control_wire::Ended;
use storage::FinalCall;

/// How the parties stand; whose numbers they are, the record knows.
pub(super) fn conversation(told: &control_wire::Conversation) -> storage::Conversation {
    let party = |told: &control_wire::Party| storage::Party {
        party: told.party.clone(),
        role: told.role,
        state: told.state,
        muted: told.muted,
        number: None,
        crm_username: None,
        joining: told.joining,
        supervisor_role: told.supervisor_role,
        reason: told.reason.clone(),
    };
    storage::Conversation {
        parties: told.parties.iter().map(party).collect(),
        recording: told.recording,
    }
}

pub(super) fn final_call(ended: Ended) -> FinalCall {
    let mos = |mos: control_wire::Mos| storage::Mos { mean: mos.mean, worst: mos.worst };
    let media = |media: control_wire::LegMedia| storage::LegMedia {
        received_count: media.received_count,
        sent_count: media.sent_count,
        lost_count: media.lost_count,
        jitter_ms: media.jitter_ms,
        mos: media.mos.map(mos),
        round_trip_ms: media.round_trip_ms,
        far: media.far.map(|far| storage::FarMedia {
            lost_count: far.lost_count,
            jitter_ms: far.jitter_ms,
            mos: mos(far.mos),
        }),
    };
    FinalCall {
        status: ended.status,
        reason: ended.reason,
        failed_leg: ended.failed_leg,
        sip_code: ended.sip_code,
        hangup_by: ended.hangup_by,
        answer_ms: ended.answered_at_ms,
        end_ms: ended.ended_at_ms,
        duration_s: ended.duration_s,
        attempts: ended.attempts.into_iter().map(attempt).collect(),
        recording: ended.recording.map(recording),
        recording_written: ended.recording_written.map(|told| storage::RecordingWritten {
            complete: told.complete,
            written_ms: told.written_ms,
        }),
        agent_media: ended.agent_media.map(media),
        customer_media: ended.customer_media.map(media),
        reason_detail: ended.detail,
        others: Some(ended.others.into_iter().map(other).collect()),
    }
}

fn attempt(attempt: control_wire::Attempt) -> storage::Attempt {
    storage::Attempt {
        leg: attempt.leg,
        trunk: attempt.trunk,
        start_ms: attempt.started_at_ms,
        end_ms: attempt.ended_at_ms,
        sip_code: attempt.sip_code,
        result: attempt.result,
    }
}

fn recording(recording: control_wire::RecordingResult) -> storage::RecordingResult {
    let pause =
        |pause: control_wire::Pause| storage::Pause { from_ms: pause.from_ms, to_ms: pause.to_ms };
    storage::RecordingResult {
        file_name: recording.file_name,
        duration_ms: recording.duration_ms,
        file_len: recording.file_len,
        pauses: recording.pauses.into_iter().map(pause).collect(),
    }
}

fn other(other: control_wire::OtherParty) -> storage::OtherEnd {
    storage::OtherEnd {
        party: other.party,
        leg: other.leg,
        answer_ms: other.answered_at_ms,
        end_ms: other.ended_at_ms,
        reason: other.reason,
        sip_code: other.sip_code,
    }
}
