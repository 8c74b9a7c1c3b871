//! The parties of a call as the API and the softphone's page show them.

use super::time::timestamp;
use call_words::{Joining, LegKind, PartyRole, PartyState, RecordingState, SupervisorRole};
use serde::{Deserialize, Serialize};
use storage::{Call, Conversation, OtherParty, Party};
use utoipa::ToSchema;

/// How the parties of a running call stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConversationView {
    /// The agent, the customer, then the others in the order in which they came; those who left
    /// stay, with their reason.
    pub parties: Vec<PartyView>,
    pub recording: RecordingState,
}

/// One party.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PartyView {
    /// `agent`, `customer`, or the name that a participant or supervisor was given.
    #[schema(example = "participant-1")]
    pub party: String,
    pub role: PartyRole,
    pub state: PartyState,
    /// Nobody hears the party.
    pub muted: bool,
    /// E.164; `null` for a softphone.
    #[schema(example = "+912227782183")]
    pub number: Option<String>,
    /// Of a softphone.
    pub crm_username: Option<String>,
    /// Of a participant.
    pub joining: Option<Joining>,
    /// Of a supervisor.
    pub supervisor_role: Option<SupervisorRole>,
    /// Why it left, once it did.
    #[schema(example = "busy")]
    pub reason: Option<String>,
}

impl ConversationView {
    /// `None` before the bridge and after the end.
    pub fn of(call: &Call) -> Option<Self> {
        call.conversation.as_ref().filter(|_| call.is_live()).map(Self::from)
    }
}

impl From<&Conversation> for ConversationView {
    fn from(conversation: &Conversation) -> Self {
        let parties = conversation.parties.iter().map(PartyView::from).collect();
        Self { parties, recording: conversation.recording }
    }
}

impl From<&Party> for PartyView {
    fn from(party: &Party) -> Self {
        Self {
            party: party.party.clone(),
            role: party.role,
            state: party.state,
            muted: party.muted,
            number: party.number.clone(),
            crm_username: party.crm_username.clone(),
            joining: party.joining,
            supervisor_role: party.supervisor_role,
            reason: party.reason.as_ref().map(ToString::to_string),
        }
    }
}

/// A third party, also of an ended call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ParticipantView {
    #[schema(example = "participant-1")]
    pub party: String,
    /// E.164.
    #[schema(example = "+912227782183")]
    pub number: Option<String>,
    #[schema(format = "date-time")]
    pub answered_at: Option<String>,
    #[schema(format = "date-time")]
    pub ended_at: Option<String>,
    /// Why it left: a stable word such as `busy`, `no_answer`, `hung_up`.
    #[schema(example = "busy")]
    pub reason: Option<String>,
    pub sip_code: Option<u16>,
}

impl From<&OtherParty> for ParticipantView {
    fn from(other: &OtherParty) -> Self {
        Self {
            party: other.party.clone(),
            number: other.number.clone(),
            answered_at: other.answer_ms.map(timestamp),
            ended_at: other.end_ms.map(timestamp),
            reason: other.reason.as_ref().map(ToString::to_string),
            sip_code: other.sip_code,
        }
    }
}

/// The third parties of a call.
pub fn participants(call: &Call) -> Vec<ParticipantView> {
    call.others
        .iter()
        .filter(|other| other.leg == LegKind::Participant)
        .map(ParticipantView::from)
        .collect()
}

/// A silent part of a recording, in milliseconds from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PauseView {
    pub from_ms: u64,
    pub to_ms: u64,
}

/// Where a call's recording was paused.
pub fn pauses(call: &Call) -> Vec<PauseView> {
    let pauses = call.recording.iter().flat_map(|recording| &recording.pauses);
    pauses.map(|pause| PauseView { from_ms: pause.from_ms, to_ms: pause.to_ms }).collect()
}
