//! What the edge tells about calls, applied to their records: milestones move a call forward, its
//! end makes the final record, the callback job and the accounting, exactly once. Statuses are the
//! edge's (decision A11) except for calls whose edge is gone.

mod edge;

use crate::app::{App, now_ms};
use crate::{callback, recordings, verbs};
use control_wire::{Event, Milestone};
use edge::final_call;
use std::sync::Arc;
use storage::{
    Applied, Call, CallState, EventRecord, EventWord, FinalCall, FinishOutcome, LegName,
    MilestoneOutcome, NewCallback, Pause, Progress, RecordingWritten, TimelineEntry,
};
use tokio::task::JoinSet;

/// Words of all events that are told of a call.
pub const EVENT_WORDS: &[&str] = &[
    "initiated",
    "agent_ringing",
    "agent_answered",
    "agent_confirmed",
    "ringing",
    "answered",
    "bridged",
    "held",
    "resumed",
    "muted",
    "unmuted",
    "dtmf",
    "participant.dialing",
    "participant.ringing",
    "participant.answered",
    "participant.joined",
    "participant.consulting",
    "participant.left",
    "swapped",
    "merged",
    "transferred",
    "supervisor.joined",
    "supervisor.role",
    "supervisor.left",
    "recording.started",
    "recording.paused",
    "recording.resumed",
    "recording.finished",
    "recording.failed",
    "agent.away",
    "agent.back",
    "ended",
];

/// Applies events in their order within each call; all are durable when it returns. Ends of
/// different calls share disk writes.
pub async fn apply(app: &Arc<App>, events: Vec<Event>) -> Result<(), storage::Error> {
    let mut milestones = Vec::new();
    let mut ends = Vec::new();
    let mut requests = Vec::new();
    for event in events {
        match event {
            Event::Milestone(milestone) => milestones.push(milestone),
            Event::Ended(ended) => ends.push(*ended),
            Event::TransferRequested { call_id, party, target } => {
                requests.push((call_id, party, target))
            }
        }
    }
    if !milestones.is_empty() {
        let applied = move |store: &storage::Storage| {
            let applied = milestones.into_iter().map(|milestone| apply_milestone(store, milestone));
            applied.collect::<Result<Vec<Option<Applied>>, _>>()
        };
        for applied in app.with_store(applied).await?.into_iter().flatten() {
            moved(app, &applied);
        }
    }
    for (call_id, party, target) in requests {
        tokio::spawn(verbs::answer_transfer_request(Arc::clone(app), call_id, party, target));
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

/// Tells who waits for a call's steps, and gives back the lines of those who left.
fn moved(app: &App, applied: &Applied) {
    let Applied { call, endpoint } = applied;
    if call.is_live() {
        app.minutes.note(call, now_ms());
    }
    app.softphones.call_changed(call);
    app.streams.wake(&call.account_id);
    if let Some(endpoint) = endpoint {
        app.callbacks.notify(endpoint);
    }
    for other in call.others.iter().filter(|other| other.end_ms.is_some()) {
        app.trunk_lines.give_back_of(&call.call_id, &other.party);
    }
}

/// The call after a step that was news.
fn apply_milestone(
    store: &storage::Storage,
    milestone: Milestone,
) -> Result<Option<Applied>, storage::Error> {
    let leg = milestone.leg.map(edge::leg);
    let progress = progress(&milestone, leg);
    let Milestone { call_id, sequence, at_ms, kind, sip_code, trunk, detail, party, .. } =
        milestone;
    tracing::debug!(%call_id, sequence, %kind, ?leg, sip_code, "call milestone");
    let entry = TimelineEntry { sequence, at_ms, leg, party, kind, sip_code, trunk, detail };
    match store.apply_milestone(&call_id, &entry, &progress, |call, event| {
        progress_callback(store, call, event)
    })? {
        MilestoneOutcome::Applied(applied) => return Ok(Some(applied)),
        MilestoneOutcome::Duplicate => {}
        MilestoneOutcome::UnknownCall => tracing::debug!(%call_id, "milestone of an unknown call"),
        MilestoneOutcome::Full => tracing::debug!(%call_id, "milestone beyond the timeline's cap"),
    }
    Ok(None)
}

fn progress_callback(
    store: &storage::Storage,
    call: &Call,
    event: &EventRecord,
) -> Result<Option<NewCallback>, storage::Error> {
    let account = store.account(&call.account_id)?;
    Ok(account.and_then(|account| callback::for_event(&account, event, now_ms())))
}

/// What a step changes of a call.
fn progress(milestone: &Milestone, leg: Option<LegName>) -> Progress {
    use storage::LegName::{Agent, Customer};
    let kind = milestone.kind.as_str();
    let conversation = milestone.conversation.as_deref().map(edge::conversation);
    let state = match (kind, leg) {
        ("ringing" | "early_media", Some(Agent)) => Some(CallState::AgentRinging),
        ("answered", Some(Agent)) => Some(CallState::AgentAnswered),
        ("ringing" | "early_media" | "answered", Some(Customer)) => {
            Some(CallState::CustomerRinging)
        }
        ("bridged", _) => Some(CallState::Bridged),
        _ => None,
    };
    let agent_away = match kind {
        "agent_lost" => Some(true),
        "agent_back" => Some(false),
        _ => None,
    };
    Progress { state, agent_away, event: word(kind, leg, conversation.is_some()), conversation }
}

/// The event that a step is, if it is one. A leg rings once, however often it is told.
fn word(kind: &str, leg: Option<LegName>, changes_parties: bool) -> Option<EventWord> {
    use storage::LegName::{Agent, Customer, Participant};
    let word = match (kind, leg) {
        ("ringing" | "early_media", Some(Agent)) => {
            return Some(EventWord::IfMoved("agent_ringing"));
        }
        ("ringing" | "early_media", Some(Customer)) => return Some(EventWord::IfMoved("ringing")),
        ("ringing", Some(Participant)) => "participant.ringing",
        ("early_media", Some(Participant)) if changes_parties => "participant.ringing",
        ("answered", Some(Agent)) => "agent_answered",
        ("agent_confirmed", _) => "agent_confirmed",
        ("answered", Some(Customer)) => "answered",
        ("answered", Some(Participant)) => "participant.answered",
        ("bridged", _) => return Some(EventWord::IfMoved("bridged")),
        ("customer_held", _) => "held",
        ("customer_resumed", _) => "resumed",
        ("muted", _) => "muted",
        ("unmuted", _) => "unmuted",
        ("digits_sent", _) => "dtmf",
        ("participant_added", _) => "participant.dialing",
        ("consulting", _) => "participant.consulting",
        ("participant_joined", _) => "participant.joined",
        ("participant_left", _) => "participant.left",
        ("swapped", _) => "swapped",
        ("merged", _) => "merged",
        ("agent_completed", _) => "transferred",
        ("supervisor_joined", _) => "supervisor.joined",
        ("supervisor_role", _) => "supervisor.role",
        ("supervisor_left", _) => "supervisor.left",
        ("recording_started", _) => "recording.started",
        ("recording_paused", _) => "recording.paused",
        ("recording_resumed", _) => "recording.resumed",
        ("recording_finished", _) => "recording.finished",
        ("recording_failed", _) => "recording.failed",
        ("agent_lost", _) => "agent.away",
        ("agent_back", _) => "agent.back",
        _ => return None,
    };
    Some(EventWord::Always(word))
}

/// Ends a call once: record, last event and callback job in one write, then everything that waits
/// for a call's end.
pub async fn end_call(app: &Arc<App>, call_id: &str, end: FinalCall) -> Result<(), storage::Error> {
    let outcome = {
        let (app, call_id) = (Arc::clone(app), call_id.to_owned());
        let finish = move || {
            let job = |call: &Call| {
                let account = app.store.account(&call.account_id)?;
                Ok(account.and_then(|account| {
                    callback::for_call(&account, call, &app.config.public.url, now_ms())
                }))
            };
            app.store.finish_call(&call_id, end, job, |call, event| {
                progress_callback(&app.store, call, event)
            })
        };
        tokio::task::spawn_blocking(finish).await.expect("storage operations do not panic")?
    };
    app.link.release(call_id);
    app.trunk_lines.give_back(call_id);
    app.speakers.forget(call_id);
    match outcome {
        FinishOutcome::Finished(finish) => {
            let call = &finish.call;
            app.lines.give_back(&call.account_id);
            app.minutes.note(call, now_ms());
            app.softphones.call_changed(call);
            app.streams.wake(&call.account_id);
            let status = call.status.map_or("none", status_word);
            app.metrics.call_ended(status, call.reason.as_deref());
            let reason = call.reason.as_deref().unwrap_or("none");
            tracing::info!(%call_id, account_id = %call.account_id, status, reason,
                duration_s = call.duration_s, "call ended");
            for endpoint in finish.endpoint.iter().chain(&finish.progress_endpoint) {
                app.callbacks.notify(endpoint);
            }
        }
        FinishOutcome::AlreadyFinished(_) => {}
        FinishOutcome::UnknownCall => tracing::debug!(%call_id, "end of an unknown call"),
    }
    Ok(())
}

/// Ends a call whose shard is gone with what is known of it: it was answered, or it was to be
/// cancelled, or it failed.
pub async fn end_lost_call(
    app: &Arc<App>,
    call: &Call,
    last_seen_ms: Option<u64>,
) -> Result<(), storage::Error> {
    let call_id = call.call_id.clone();
    let timeline = app.with_store(move |store| store.timeline(&call_id)).await?;
    let mut recording = match &call.recording_file {
        Some(file_name) => recordings::recover(&app.config.recordings.folder, file_name).await,
        None => None,
    };
    let recorded_from_ms =
        timeline.iter().find(|entry| entry.kind == "recording_started").map(|entry| entry.at_ms);
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
        match entry.kind.as_str() {
            "recording_paused" => paused_at = Some(at_ms),
            "recording_resumed" => {
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
    let mut end = FinalCall::failed("system", last_seen_ms.unwrap_or(now_ms).max(call.start_ms));
    if let Some(answer_ms) = call.answer_ms {
        // What was recorded is the best witness of how long the parties talked.
        let talk_ms = recording
            .as_ref()
            .map(|recording| recording.duration_ms)
            .filter(|duration_ms| *duration_ms > 0);
        end.end_ms = talk_ms
            .map_or(end.end_ms, |talk_ms| recorded_from_ms.unwrap_or(answer_ms) + talk_ms)
            .max(answer_ms);
        end.status = storage::CallStatus::Answer;
        end.reason = Some("edge_restarted".into());
        end.answer_ms = Some(answer_ms);
        end.duration_s = (end.end_ms - answer_ms) / 1000;
        // What the edge had not written yet, a second or less, went with it.
        let written_ms = recording.as_ref().map_or(0, |recording| recording.duration_ms);
        let written = RecordingWritten { complete: false, written_ms: Some(written_ms) };
        end.recording_written = call.recording_file.as_ref().map(|_| written);
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
