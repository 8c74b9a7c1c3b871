//! The steps of a call as the edge tells them, applied to its record: they move it forward, and
//! some are events that are told on.

use super::translate;
use crate::app::App;
use crate::clock::now_ms;
use call_words::{CallId, CallState, EventWord, LegKind, MilestoneKind};
use control_wire::Milestone;
use storage::{Applied, MilestoneOutcome, Progress, StepEvent, TimelineEntry};

/// Applies steps in their order, which is asked for at once; all are durable when it returns. Steps
/// that were news are told to who waits for them.
pub fn apply(
    app: &App,
    milestones: Vec<Milestone>,
) -> impl Future<Output = Result<(), storage::Error>> {
    let applied = app.records.apply_steps(milestones.into_iter().map(step).collect());
    tell_each(applied, |call_id, outcome| tell(app, call_id, outcome))
}

/// Tells what came of each call once it is written; an error of one keeps no other from being told.
pub(super) async fn tell_each<T>(
    written: impl Future<Output = Result<Vec<(CallId, Result<T, storage::Error>)>, storage::Error>>,
    tell: impl Fn(&CallId, T),
) -> Result<(), storage::Error> {
    let mut result = Ok(());
    for (call_id, outcome) in written.await? {
        match outcome {
            Ok(outcome) => tell(&call_id, outcome),
            Err(error) => result = Err(error),
        }
    }
    result
}

fn tell(app: &App, call_id: &CallId, outcome: MilestoneOutcome) {
    match outcome {
        MilestoneOutcome::Applied(Applied { call, queued }) => {
            if call.is_live() {
                app.limits.minutes.note(&call, now_ms());
            }
            app.notices.changed(&call, &queued);
        }
        MilestoneOutcome::Duplicate => {}
        MilestoneOutcome::UnknownCall => {
            tracing::debug!(%call_id, "milestone of an unknown call")
        }
        MilestoneOutcome::Full => {
            tracing::debug!(%call_id, "milestone beyond the timeline's cap")
        }
    }
}

/// A step as the record keeps it, and what it changes.
fn step(milestone: Milestone) -> (CallId, TimelineEntry, Progress) {
    let progress = progress(&milestone);
    let Milestone { call_id, sequence, at_ms, leg, kind, sip_code, trunk, detail, party, .. } =
        milestone;
    tracing::debug!(%call_id, sequence, %kind, ?leg, sip_code, "call milestone");
    (
        call_id,
        TimelineEntry { sequence, at_ms, leg, party, kind, sip_code, trunk, detail },
        progress,
    )
}

/// What a step changes of a call; one of a later release changes who is in it at most.
fn progress(milestone: &Milestone) -> Progress {
    let conversation = milestone.conversation.as_deref().map(translate::conversation);
    let Some(kind) = milestone.kind.known() else {
        return Progress { conversation, ..Progress::default() };
    };
    let state = match (kind, milestone.leg) {
        (MilestoneKind::Ringing | MilestoneKind::EarlyMedia, Some(LegKind::Agent)) => {
            Some(CallState::AgentRinging)
        }
        (MilestoneKind::Answered, Some(LegKind::Agent)) => Some(CallState::AgentAnswered),
        (
            MilestoneKind::Ringing | MilestoneKind::EarlyMedia | MilestoneKind::Answered,
            Some(LegKind::Customer),
        ) => Some(CallState::CustomerRinging),
        (MilestoneKind::Bridged, _) => Some(CallState::Bridged),
        _ => None,
    };
    let agent_away = match kind {
        MilestoneKind::AgentLost => Some(true),
        MilestoneKind::AgentBack => Some(false),
        _ => None,
    };
    let event = step_event(kind, milestone.leg, conversation.is_some());
    Progress { state, agent_away, event, conversation }
}

/// The event that a step is, if it is one. A leg rings once, however often it is told.
fn step_event(
    kind: MilestoneKind,
    leg: Option<LegKind>,
    changes_parties: bool,
) -> Option<StepEvent> {
    let word = match kind {
        MilestoneKind::Ringing | MilestoneKind::EarlyMedia => {
            return ringing_event(kind, leg, changes_parties);
        }
        MilestoneKind::Bridged => return Some(StepEvent::IfMoved(EventWord::Bridged)),
        MilestoneKind::Answered => match leg? {
            LegKind::Agent => EventWord::AgentAnswered,
            LegKind::Customer => EventWord::Answered,
            LegKind::Participant => EventWord::ParticipantAnswered,
            LegKind::Supervisor => return None,
        },
        MilestoneKind::AgentConfirmed => EventWord::AgentConfirmed,
        MilestoneKind::CustomerHeld => EventWord::Held,
        MilestoneKind::CustomerResumed => EventWord::Resumed,
        MilestoneKind::Muted => EventWord::Muted,
        MilestoneKind::Unmuted => EventWord::Unmuted,
        MilestoneKind::DigitsSent => EventWord::Dtmf,
        MilestoneKind::ParticipantAdded => EventWord::ParticipantDialing,
        MilestoneKind::Consulting => EventWord::ParticipantConsulting,
        MilestoneKind::ParticipantJoined => EventWord::ParticipantJoined,
        MilestoneKind::ParticipantLeft => EventWord::ParticipantLeft,
        MilestoneKind::Swapped => EventWord::Swapped,
        MilestoneKind::Merged => EventWord::Merged,
        MilestoneKind::AgentCompleted => EventWord::Transferred,
        MilestoneKind::SupervisorJoined => EventWord::SupervisorJoined,
        MilestoneKind::SupervisorRole => EventWord::SupervisorRole,
        MilestoneKind::SupervisorLeft => EventWord::SupervisorLeft,
        MilestoneKind::RecordingStarted => EventWord::RecordingStarted,
        MilestoneKind::RecordingPaused => EventWord::RecordingPaused,
        MilestoneKind::RecordingResumed => EventWord::RecordingResumed,
        MilestoneKind::RecordingFinished => EventWord::RecordingFinished,
        MilestoneKind::RecordingFailed => EventWord::RecordingFailed,
        MilestoneKind::AgentLost => EventWord::AgentAway,
        MilestoneKind::AgentBack => EventWord::AgentBack,
        // Steps for who reads the timeline.
        MilestoneKind::InviteSent
        | MilestoneKind::Trying
        | MilestoneKind::Challenged
        | MilestoneKind::CancelSent
        | MilestoneKind::Rejected
        | MilestoneKind::Failover
        | MilestoneKind::RingTimeout
        | MilestoneKind::HangUpRequested
        | MilestoneKind::HungUp
        | MilestoneKind::MaxDuration
        | MilestoneKind::FirstMedia
        | MilestoneKind::MediaLatched
        | MilestoneKind::NoMedia
        | MilestoneKind::OneWayAudio
        | MilestoneKind::Held
        | MilestoneKind::Resumed
        | MilestoneKind::AgentMedia
        | MilestoneKind::IceConnected
        | MilestoneKind::DtlsConnected
        | MilestoneKind::ConfirmationRequested
        | MilestoneKind::DigitsLost
        | MilestoneKind::SupervisorAdded
        | MilestoneKind::TransferRequested
        | MilestoneKind::ResponseIgnored
        | MilestoneKind::Microphone => return None,
    };
    Some(StepEvent::Always(word))
}

fn ringing_event(
    kind: MilestoneKind,
    leg: Option<LegKind>,
    changes_parties: bool,
) -> Option<StepEvent> {
    match leg? {
        LegKind::Agent => Some(StepEvent::IfMoved(EventWord::AgentRinging)),
        LegKind::Customer => Some(StepEvent::IfMoved(EventWord::Ringing)),
        LegKind::Participant if kind == MilestoneKind::Ringing || changes_parties => {
            Some(StepEvent::Always(EventWord::ParticipantRinging))
        }
        LegKind::Participant | LegKind::Supervisor => None,
    }
}
