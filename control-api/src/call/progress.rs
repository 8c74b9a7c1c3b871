//! The steps of a call as the edge tells them, applied to its record: they move it forward, and
//! some are events that are told on.

use super::translate;
use crate::app::App;
use crate::clock::now_ms;
use control_wire::Milestone;
use storage::{Applied, CallState, EventWord, LegName, MilestoneOutcome, Progress, TimelineEntry};

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

/// Applies steps in their order; all are durable when it returns. Steps that were news are told to
/// who waits for them.
pub async fn apply(app: &App, milestones: Vec<Milestone>) -> Result<(), storage::Error> {
    if milestones.is_empty() {
        return Ok(());
    }
    let steps = milestones.into_iter().map(step).collect();
    for outcome in app.records.apply_steps(steps).await? {
        match outcome {
            MilestoneOutcome::Applied(Applied { call, endpoint }) => {
                if call.is_live() {
                    app.limits.minutes.note(&call, now_ms());
                }
                app.notices.changed(&call, &endpoint);
            }
            MilestoneOutcome::Duplicate => {}
            MilestoneOutcome::UnknownCall => tracing::debug!("milestone of an unknown call"),
            MilestoneOutcome::Full => tracing::debug!("milestone beyond the timeline's cap"),
        }
    }
    Ok(())
}

/// A step as the record keeps it, and what it changes.
fn step(milestone: Milestone) -> (String, TimelineEntry, Progress) {
    let leg = milestone.leg.map(translate::leg);
    let progress = progress(&milestone, leg);
    let Milestone { call_id, sequence, at_ms, kind, sip_code, trunk, detail, party, .. } =
        milestone;
    tracing::debug!(%call_id, sequence, %kind, ?leg, sip_code, "call milestone");
    (
        call_id,
        TimelineEntry {
            sequence,
            at_ms,
            leg,
            party,
            kind: kind.to_string(),
            sip_code,
            trunk,
            detail,
        },
        progress,
    )
}

/// What a step changes of a call.
fn progress(milestone: &Milestone, leg: Option<LegName>) -> Progress {
    use storage::LegName::{Agent, Customer};
    let kind = milestone.kind.as_str();
    let conversation = milestone.conversation.as_deref().map(translate::conversation);
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
