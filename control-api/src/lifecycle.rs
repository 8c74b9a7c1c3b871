//! What the edge tells about calls, applied to their records: milestones move a call forward, its end makes the final record, the
//! callback job and the accounting, exactly once. Statuses are the edge's (decision A11) except for calls whose edge is gone.

use crate::{
    app::{App, now_ms},
    callback, recordings,
};
use control_wire::{Ended, Event, Milestone};
use std::sync::Arc;
use storage::{Call, CallState, FinalCall, FinishOutcome, MilestoneOutcome, Progress, TimelineEntry};
use tokio::task::JoinSet;

/// Applies events in their order within each call; all are durable when it returns. Ends of different calls share disk writes.
pub async fn apply(app: &Arc<App>, events: Vec<Event>) -> Result<(), storage::Error> {
    let mut milestones = Vec::new();
    let mut ends = Vec::new();
    for event in events {
        match event {
            Event::Milestone(milestone) => milestones.push(milestone),
            Event::Ended(ended) => ends.push(*ended),
        }
    }
    if !milestones.is_empty() {
        let applied = move |store: &storage::Storage| {
            let applied = milestones.into_iter().map(|milestone| apply_milestone(store, milestone));
            applied.collect::<Result<Vec<Option<Call>>, _>>()
        };
        for call in app.with_store(applied).await?.into_iter().flatten() {
            app.softphones.call_changed(&call);
        }
    }
    let mut tasks = JoinSet::new();
    for ended in ends {
        let app = Arc::clone(app);
        tasks.spawn(async move {
            let call_id = ended.call_id.clone();
            end_call(&app, &call_id, final_call(ended)).await
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.expect("ending a call does not panic")?;
    }
    Ok(())
}

/// The call, if the step is new.
fn apply_milestone(store: &storage::Storage, milestone: Milestone) -> Result<Option<Call>, storage::Error> {
    let Milestone { call_id, sequence, at_ms, leg, kind, sip_code, trunk, detail } = milestone;
    let leg = leg.map(stored_leg);
    let progress = progress(&kind, leg);
    tracing::debug!(%call_id, sequence, %kind, ?leg, sip_code, "call milestone");
    let entry = TimelineEntry { sequence, at_ms, leg, kind, sip_code, trunk, detail };
    match store.apply_milestone(&call_id, &entry, progress)? {
        MilestoneOutcome::Applied(call) => return Ok(Some(call)),
        MilestoneOutcome::Duplicate => {}
        MilestoneOutcome::UnknownCall => tracing::debug!(%call_id, "milestone of an unknown call"),
        MilestoneOutcome::Full => tracing::debug!(%call_id, "milestone beyond the timeline's cap"),
    }
    Ok(None)
}

/// What a step changes of a call.
fn progress(kind: &str, leg: Option<storage::LegName>) -> Progress {
    use storage::LegName::{Agent, Customer};
    match (kind, leg) {
        ("ringing" | "early_media", Some(Agent)) => Progress::to(CallState::AgentRinging),
        ("answered", Some(Agent)) => Progress::to(CallState::AgentAnswered),
        ("ringing" | "early_media" | "answered", Some(Customer)) => Progress::to(CallState::CustomerRinging),
        ("bridged", _) => Progress::to(CallState::Bridged),
        ("agent_lost", _) => Progress { agent_away: Some(true), ..Progress::default() },
        ("agent_back", _) => Progress { agent_away: Some(false), ..Progress::default() },
        _ => Progress::default(),
    }
}

/// Ends a call once: record and callback job in one write, then everything that waits for a call's end.
pub async fn end_call(app: &Arc<App>, call_id: &str, end: FinalCall) -> Result<(), storage::Error> {
    let outcome = {
        let (app, call_id) = (Arc::clone(app), call_id.to_owned());
        let finish = move || {
            app.store.finish_call(&call_id, end, |call| {
                let account = app.store.account(&call.account_id)?;
                Ok(account.and_then(|account| callback::for_call(&account, call, &app.config.public.url, now_ms())))
            })
        };
        tokio::task::spawn_blocking(finish).await.expect("storage operations do not panic")?
    };
    app.link.release(call_id);
    app.trunk_lines.give_back(call_id);
    match outcome {
        FinishOutcome::Finished(finish) => {
            let call = &finish.call;
            app.lines.give_back(&call.account_id);
            app.softphones.call_changed(call);
            let status = call.status.map_or("none", status_word);
            app.metrics.call_ended(status, call.reason.as_deref());
            let reason = call.reason.as_deref().unwrap_or("none");
            tracing::info!(%call_id, account_id = %call.account_id, status, reason, duration_s = call.duration_s, "call ended");
            if let Some(endpoint) = &finish.endpoint {
                app.callbacks.notify(endpoint);
            }
        }
        FinishOutcome::AlreadyFinished(_) => {}
        FinishOutcome::UnknownCall => tracing::debug!(%call_id, "end of an unknown call"),
    }
    Ok(())
}

/// Ends a call whose shard is gone with what is known of it: it was answered, or it was to be cancelled, or it failed.
pub async fn end_lost_call(app: &Arc<App>, call: &Call, last_seen_ms: Option<u64>) -> Result<(), storage::Error> {
    let recording = match &call.recording_file {
        Some(file_name) => recordings::recover(&app.config.recordings.folder, file_name).await,
        None => None,
    };
    let call_id = call.call_id.clone();
    let last_step_ms = app.with_store(move |store| store.timeline(&call_id)).await?.last().map(|entry| entry.at_ms);
    let end = lost_end(call, recording, last_seen_ms.or(last_step_ms), now_ms());
    end_call(app, &call.call_id, end).await
}

fn lost_end(call: &Call, recording: Option<storage::RecordingResult>, last_seen_ms: Option<u64>, now_ms: u64) -> FinalCall {
    let mut end = FinalCall::failed("system", last_seen_ms.unwrap_or(now_ms).max(call.start_ms));
    if let Some(answer_ms) = call.answer_ms {
        // What was recorded is the best witness of how long the parties talked.
        let talk_ms = recording.as_ref().map(|recording| recording.duration_ms).filter(|duration_ms| *duration_ms > 0);
        end.end_ms = talk_ms.map_or(end.end_ms, |talk_ms| answer_ms + talk_ms).max(answer_ms);
        end.status = storage::CallStatus::Answer;
        end.reason = Some("edge_restarted".into());
        end.answer_ms = Some(answer_ms);
        end.duration_s = (end.end_ms - answer_ms) / 1000;
        end.recording = recording;
    } else if call.hang_up_requested {
        end.status = storage::CallStatus::Canceled;
        end.reason = Some("canceled".into());
        end.hangup_by = Some(storage::HangupBy::Api);
    }
    end
}

/// The guide's word for a status.
pub fn status_word(status: storage::CallStatus) -> &'static str {
    match status {
        storage::CallStatus::Answer => "ANSWER",
        storage::CallStatus::NoAnswer => "NO_ANSWER",
        storage::CallStatus::Busy => "BUSY",
        storage::CallStatus::Failed => "FAILED",
        storage::CallStatus::Canceled => "CANCELED",
    }
}

fn final_call(ended: Ended) -> FinalCall {
    let media = |media: control_wire::LegMedia| storage::LegMedia {
        received_count: media.received_count,
        sent_count: media.sent_count,
        lost_count: media.lost_count,
        jitter_ms: media.jitter_ms,
    };
    FinalCall {
        status: stored_status(ended.status),
        reason: ended.reason,
        failed_leg: ended.failed_leg.map(stored_leg),
        sip_code: ended.sip_code,
        hangup_by: ended.hangup_by.map(stored_party),
        answer_ms: ended.answered_at_ms,
        end_ms: ended.ended_at_ms,
        duration_s: ended.duration_s,
        attempts: ended.attempts.into_iter().map(stored_attempt).collect(),
        recording: ended.recording.map(|recording| storage::RecordingResult {
            file_name: recording.file_name,
            duration_ms: recording.duration_ms,
            file_len: recording.file_len,
        }),
        agent_media: ended.agent_media.map(media),
        customer_media: ended.customer_media.map(media),
        reason_detail: None,
    }
}

fn stored_attempt(attempt: control_wire::Attempt) -> storage::Attempt {
    storage::Attempt {
        leg: stored_leg(attempt.leg),
        trunk: attempt.trunk,
        start_ms: attempt.started_at_ms,
        end_ms: attempt.ended_at_ms,
        sip_code: attempt.sip_code,
        result: attempt.result,
    }
}

fn stored_leg(leg: control_wire::LegName) -> storage::LegName {
    match leg {
        control_wire::LegName::Agent => storage::LegName::Agent,
        control_wire::LegName::Customer => storage::LegName::Customer,
    }
}

fn stored_status(status: control_wire::CallStatus) -> storage::CallStatus {
    match status {
        control_wire::CallStatus::Answer => storage::CallStatus::Answer,
        control_wire::CallStatus::NoAnswer => storage::CallStatus::NoAnswer,
        control_wire::CallStatus::Busy => storage::CallStatus::Busy,
        control_wire::CallStatus::Failed => storage::CallStatus::Failed,
        control_wire::CallStatus::Canceled => storage::CallStatus::Canceled,
    }
}

fn stored_party(party: control_wire::HangupBy) -> storage::HangupBy {
    match party {
        control_wire::HangupBy::Agent => storage::HangupBy::Agent,
        control_wire::HangupBy::Customer => storage::HangupBy::Customer,
        control_wire::HangupBy::Api => storage::HangupBy::Api,
        control_wire::HangupBy::System => storage::HangupBy::System,
        control_wire::HangupBy::Network => storage::HangupBy::Network,
    }
}
