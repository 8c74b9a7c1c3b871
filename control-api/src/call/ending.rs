//! The end of a call: the final record, the callback job and the accounting, exactly once. Statuses
//! are the edge's (decision A11) except for calls whose edge is gone.

use super::progress::tell_each;
use super::translate::final_call;
use crate::app::App;
use crate::clock::now_ms;
use crate::recording;
use call_words::{CallId, CallStatus, HangupBy, MilestoneKind, Reason, Word};
use control_wire::Ended;
use std::sync::Arc;
use storage::{Call, FinalCall, FinishOutcome, Pause, RecordingWritten, TimelineEntry};

/// Ends calls as the edge tells it, which is asked for at once.
pub fn apply(app: &App, ended: Vec<Ended>) -> impl Future<Output = Result<(), storage::Error>> {
    let ends = ended.into_iter().map(|ended| (ended.call_id.clone(), final_call(ended)));
    end_calls(app, ends.collect())
}

/// Ends a call once: record, last event and callback job in one write, then everything that waits
/// for a call's end.
pub async fn end_call(
    app: &Arc<App>,
    call_id: &CallId,
    end: FinalCall,
) -> Result<(), storage::Error> {
    end_calls(app, vec![(call_id.clone(), end)]).await
}

fn end_calls(
    app: &App,
    ends: Vec<(CallId, FinalCall)>,
) -> impl Future<Output = Result<(), storage::Error>> {
    tell_each(app.records.finish_calls(ends), |call_id, outcome| tell(app, call_id, outcome))
}

fn tell(app: &App, call_id: &CallId, outcome: FinishOutcome) {
    app.link.release(call_id);
    match outcome {
        FinishOutcome::Finished(finish) => {
            let call = &finish.call;
            app.limits.lines.give_back(&call.account_id);
            app.limits.minutes.note(call, now_ms());
            let status = call.status.map_or("none", CallStatus::as_str);
            let reason = call.reason.as_ref().map_or("none", Word::as_str);
            app.metrics.call_ended(call);
            tracing::info!(%call_id, account_id = %call.account_id, status, reason,
                duration_s = call.duration_s, "call ended");
            app.notices.changed(call, finish.queued.iter().chain(&finish.progress));
        }
        FinishOutcome::AlreadyFinished(_) => app.notices.release(call_id),
        FinishOutcome::UnknownCall => {
            app.notices.release(call_id);
            tracing::debug!(%call_id, "end of an unknown call");
        }
    }
}

/// Ends a call whose shard is gone with what is known of it: it was answered, or it was to be
/// cancelled, or it failed.
pub async fn end_lost_call(
    app: &Arc<App>,
    call: &Call,
    last_seen_ms: Option<u64>,
) -> Result<(), storage::Error> {
    let timeline = app.records.timeline(&call.call_id).await?;
    let mut recording = match &call.recording_file {
        Some(file_name) => recording::recover(&app.config.recordings.folder, file_name).await,
        None => None,
    };
    let recorded_from_ms = timeline
        .iter()
        .find(|entry| entry.kind.known() == Some(MilestoneKind::RecordingStarted))
        .map(|entry| entry.at_ms);
    if let (Some(recording), Some(from_ms)) = (&mut recording, recorded_from_ms) {
        recording.pauses = told_pauses(&timeline, from_ms, recording.duration_ms);
    }
    let last_step_ms = timeline.last().map(|entry| entry.at_ms);
    let end = lost_end(call, recording, recorded_from_ms, last_seen_ms.or(last_step_ms), now_ms());
    end_call(app, &call.call_id, end).await
}

/// The pauses that were told, in the time of the recording. One whose end was not told lasts to the
/// end of what is on disk.
fn told_pauses(timeline: &[TimelineEntry], recorded_from_ms: u64, duration_ms: u64) -> Vec<Pause> {
    let (mut pauses, mut paused_at) = (Vec::new(), None);
    for entry in timeline {
        let at_ms = entry.at_ms.saturating_sub(recorded_from_ms).min(duration_ms);
        match entry.kind.known() {
            Some(MilestoneKind::RecordingPaused) => paused_at = Some(at_ms),
            Some(MilestoneKind::RecordingResumed) => {
                pauses.extend(paused_at.take().map(|from_ms| Pause { from_ms, to_ms: at_ms }))
            }
            _ => {}
        }
    }
    pauses.extend(paused_at.map(|from_ms| Pause { from_ms, to_ms: duration_ms }));
    pauses.retain(|pause| pause.from_ms < pause.to_ms);
    pauses
}

fn lost_end(
    call: &Call,
    recording: Option<storage::RecordingResult>,
    recorded_from_ms: Option<u64>,
    last_seen_ms: Option<u64>,
    now_ms: u64,
) -> FinalCall {
    let mut end =
        FinalCall::failed(Reason::System, last_seen_ms.unwrap_or(now_ms).max(call.start_ms));
    if let Some(answer_ms) = call.answer_ms {
        // What was recorded is the best witness of how long the parties talked.
        let talk_ms = recording
            .as_ref()
            .map(|recording| recording.duration_ms)
            .filter(|duration_ms| *duration_ms > 0);
        end.end_ms = talk_ms
            .map_or(end.end_ms, |talk_ms| recorded_from_ms.unwrap_or(answer_ms) + talk_ms)
            .max(answer_ms);
        end.status = CallStatus::Answer;
        end.reason = Some(Reason::EdgeRestarted.into());
        end.answer_ms = Some(answer_ms);
        end.duration_s = (end.end_ms - answer_ms) / 1000;
        // What the edge had not written yet, a second or less, went with it.
        let written_ms = recording.as_ref().map_or(0, |recording| recording.duration_ms);
        let written = RecordingWritten { complete: false, written_ms: Some(written_ms) };
        end.recording_written = call.recording_file.as_ref().map(|_| written);
        end.recording = recording;
    } else if call.hang_up_requested {
        end.status = CallStatus::Canceled;
        end.reason = Some(Reason::Canceled.into());
        end.hangup_by = Some(HangupBy::Api);
    }
    end
}
