//! Mid-call control: what may be asked of a running call, and how its parties stand. Each answer of
//! the edge carries the whole conversation, so that nobody else has to know the rules by which it
//! changes.

use crate::destination::{AgentTarget, Destination};
use call_words::{
    CallId, Joining, PartyRole, PartyState, Reason, RecordingName, RecordingState, RefusalCode,
    SupervisorRole, Word,
};
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

/// A verb on a running call. The edge answers with `Ack` once it is done or had been, else with
/// `Refused`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Control {
    pub call_id: CallId,
    /// Names the request: a repeated one gets the same answer and has no second effect.
    pub control_id: String,
    pub verb: Verb,
}

/// What is asked. A `party` is `agent`, `customer`, or the name that a participant or supervisor
/// was added with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// The customer hears hold audio, and nobody hears the customer.
    Hold,
    Resume,
    /// Nobody hears the party.
    Mute {
        party: String,
    },
    Unmute {
        party: String,
    },
    /// Sends telephone events (RFC 4733) to the party: 1 to 64 of `0`–`9`, `*`, `#`, `A`–`D`, and
    /// `,` for a pause of one second.
    SendDigits {
        party: String,
        digits: String,
    },
    AddParticipant(Box<NewParticipant>),
    /// The consultation's two parties join the conversation.
    Merge,
    /// The agent changes between the conversation and the consultation.
    Swap,
    /// The agent leaves; all others stay, together.
    Complete,
    /// Ends the consultation, the dialling or the transfer; the agent is back in the conversation.
    Cancel,
    /// Hangs a party up.
    Remove {
        party: String,
    },
    Supervise(Box<NewSupervisor>),
    SetRole {
        party: String,
        role: SupervisorRole,
    },
    /// Records from now on.
    StartRecording {
        file_name: RecordingName,
    },
    /// What follows is silence in the recording, and no digit is told.
    PauseRecording,
    ResumeRecording,
}

/// A third party to dial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewParticipant {
    /// Name of the party, unique in the call.
    pub party: String,
    pub destination: Destination,
    pub joining: Joining,
}

/// Somebody who listens to a running call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewSupervisor {
    /// Name of the party, unique in the call.
    pub party: String,
    pub target: AgentTarget,
    pub role: SupervisorRole,
}

/// How the parties of a call stand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Conversation {
    /// The agent, the customer, then the others in the order in which they came; those who left
    /// stay, with their reason.
    pub parties: Vec<Party>,
    pub recording: RecordingState,
}

/// One party of a call and how it stands.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Party {
    pub party: String,
    pub role: PartyRole,
    pub state: PartyState,
    pub muted: bool,
    /// Of a participant.
    pub joining: Option<Joining>,
    /// Of a supervisor.
    pub supervisor_role: Option<SupervisorRole>,
    /// Why it left, once it did.
    pub reason: Option<Word<Reason>>,
}

/// Why a verb was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlRefusal {
    pub code: Word<RefusalCode>,
    /// One line for people, with no number, key or digit.
    pub detail: String,
}

/// Who is speaking in a conversation of three or more. Not acknowledged, and told at most five
/// times a second.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Speaking {
    pub call_id: CallId,
    pub parties: Vec<String>,
}
