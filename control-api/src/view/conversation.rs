//! The parties of a call as the API and the softphone's page show them.

use super::time::timestamp;
use serde::{Deserialize, Serialize};
use storage::{
    Call, Conversation, Joining, LegName, OtherParty, Party, PartyRole, PartyState, RecordingState,
    SupervisorRole,
};
use utoipa::ToSchema;

/// How the parties of a running call stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConversationView {
    /// The agent, the customer, then the others in the order in which they came; those who left
    /// stay, with their reason.
    pub parties: Vec<PartyView>,
    pub recording: RecordingWord,
}

/// One party.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PartyView {
    /// `agent`, `customer`, or the name that a participant or supervisor was given.
    #[schema(example = "participant-1")]
    pub party: String,
    pub role: RoleWord,
    pub state: StateWord,
    /// Nobody hears the party.
    pub muted: bool,
    /// E.164; `null` for a softphone.
    #[schema(example = "+912227782183")]
    pub number: Option<String>,
    /// Of a softphone.
    pub crm_username: Option<String>,
    /// Of a participant.
    pub joining: Option<JoiningWord>,
    /// Of a supervisor.
    pub supervisor_role: Option<SupervisorWord>,
    /// Why it left, once it did.
    #[schema(example = "busy")]
    pub reason: Option<String>,
}

shown!(
    /// What a party is in the call.
    #[serde(rename_all = "snake_case")]
    RoleWord of PartyRole: Agent, Customer, Participant, Supervisor
);
shown!(
    /// Where a party stands.
    #[serde(rename_all = "snake_case")]
    StateWord of PartyState: Dialing, Ringing, Talking, Consulting, OnHold, Away, Left
);
shown!(
    /// How a third party comes in.
    #[serde(rename_all = "snake_case")]
    JoiningWord of Joining: Consult, Join, Transfer
);
shown!(
    /// Whom a supervisor is heard by: nobody, the agent alone, or all with whom the agent is.
    #[serde(rename_all = "snake_case")]
    SupervisorWord of SupervisorRole: Listen, Whisper, Barge
);
shown!(
    /// How the recording stands.
    #[serde(rename_all = "snake_case")]
    RecordingWord of RecordingState: Off, Running, Paused
);

impl ConversationView {
    /// `None` before the bridge and after the end.
    pub fn of(call: &Call) -> Option<Self> {
        call.conversation.as_ref().filter(|_| call.is_live()).map(Self::from)
    }
}

impl From<&Conversation> for ConversationView {
    fn from(conversation: &Conversation) -> Self {
        let parties = conversation.parties.iter().map(PartyView::from).collect();
        Self { parties, recording: conversation.recording.into() }
    }
}

impl From<&Party> for PartyView {
    fn from(party: &Party) -> Self {
        Self {
            party: party.party.clone(),
            role: party.role.into(),
            state: party.state.into(),
            muted: party.muted,
            number: party.number.clone(),
            crm_username: party.crm_username.clone(),
            joining: party.joining.map(Into::into),
            supervisor_role: party.supervisor_role.map(Into::into),
            reason: party.reason.clone(),
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
            reason: other.reason.clone(),
            sip_code: other.sip_code,
        }
    }
}

/// The third parties of a call.
pub fn participants(call: &Call) -> Vec<ParticipantView> {
    call.others
        .iter()
        .filter(|other| other.leg == LegName::Participant)
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
