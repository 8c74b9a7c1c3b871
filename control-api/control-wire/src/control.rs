//! Mid-call control: what may be asked of a running call, and how its parties stand. Each answer of
//! the edge carries the whole conversation, so that nobody else has to know the rules by which it
//! changes.

use crate::destination::{AgentTarget, Destination};
use serde::{Deserialize, Serialize};

/// A verb on a running call. The edge answers with `Ack` once it is done or had been, else with
/// `Refused`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Control {
    pub call_id: String,
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
        file_name: String,
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

/// What happens while a third party is dialled, and at its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Joining {
    /// The agent hears it ring and talks to it alone; the others are on hold.
    Consult,
    /// All go on talking; it joins them as soon as it answers.
    Join,
    /// The others hear it ring, the agent too; the agent leaves as it answers, and is back with
    /// them if it does not.
    Transfer,
}

/// Somebody who listens to a running call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewSupervisor {
    /// Name of the party, unique in the call.
    pub party: String,
    pub target: AgentTarget,
    pub role: SupervisorRole,
}

/// What a supervisor hears, and who hears it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SupervisorRole {
    /// Hears what the agent hears, and the agent; is heard by nobody.
    Listen,
    /// Is heard by the agent alone.
    Whisper,
    /// Is heard by all with whom the agent is.
    Barge,
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
    /// Why it left, once it did: a stable word such as `busy`, `no_answer`, `declined`, `hung_up`,
    /// `removed`, `canceled`.
    pub reason: Option<String>,
}

/// What a party is to the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartyRole {
    Agent,
    Customer,
    Participant,
    Supervisor,
}

/// How far a party has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartyState {
    Dialing,
    Ringing,
    /// In the conversation.
    Talking,
    /// In the consultation, apart from the conversation.
    Consulting,
    OnHold,
    /// A softphone that is lost and waited for.
    Away,
    Left,
}

/// Whether what is said now is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordingState {
    Off,
    Running,
    Paused,
}

/// Why a verb was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlRefusal {
    /// Stable word: `unknown_call`, `not_talking`, `unknown_party`, `transfer_running`,
    /// `no_consultation`, `not_answered`, `on_hold`, `not_on_hold`, `agent_gone`,
    /// `too_many_parties`, `no_capacity`, `no_route`, `agent_unreachable`, `agent_busy`,
    /// `not_recording`, `already_recording`, `no_digits`.
    pub code: String,
    /// One line for people, with no number, key or digit.
    pub detail: String,
}

/// Who is speaking in a conversation of three or more. Not acknowledged, and told at most five
/// times a second.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Speaking {
    pub call_id: String,
    pub parties: Vec<String>,
}
