//! What may be asked of a running call, and how its parties stand: the control link's words with
//! `Duration`s and enums.

use crate::command::{AgentTarget, Destination};

/// A verb on a running call. A `party` is `agent`, `customer`, or the name that a participant or
/// supervisor was added with.
#[derive(Debug, Clone)]
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
    /// Sends 1 to 64 of `0`–`9`, `*`, `#`, `A`–`D`, and `,` for a pause of one second.
    SendDigits {
        party: String,
        digits: Digits,
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

/// Digits to send, which no log may hold.
#[derive(Clone, PartialEq, Eq)]
pub struct Digits(pub String);

impl std::fmt::Debug for Digits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Digits")
    }
}

/// A third party to dial.
#[derive(Debug, Clone)]
pub struct NewParticipant {
    /// Name of the party, unique in the call.
    pub party: String,
    pub destination: Destination,
    pub joining: Joining,
}

/// What happens while a third party is dialled, and at its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Joining {
    /// The agent hears it ring and talks to it alone; the others are on hold.
    Consult,
    /// All go on talking; it joins them as soon as it answers.
    Join,
    /// The agent waits apart and leaves as it answers.
    Transfer,
}

/// Somebody who listens to a running call.
#[derive(Debug, Clone)]
pub struct NewSupervisor {
    /// Name of the party, unique in the call.
    pub party: String,
    pub target: AgentTarget,
    pub role: SupervisorRole,
}

/// What a supervisor hears, and who hears it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SupervisorRole {
    /// Hears the agent and what the agent hears; is heard by nobody.
    Listen,
    /// Is heard by the agent alone.
    Whisper,
    /// Is heard by all with whom the agent is.
    Barge,
}

/// Why a verb was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ControlRefusal {
    #[error("no such call runs here")]
    UnknownCall,
    #[error("agent and customer are not talking yet")]
    NotTalking,
    #[error("the call has no such party, or it has left, or the name is taken")]
    UnknownParty,
    #[error("another third party has not joined yet")]
    TransferRunning,
    #[error("there is no consultation")]
    NoConsultation,
    #[error("the party has not answered yet")]
    NotAnswered,
    #[error("the customer is on hold")]
    OnHold,
    #[error("the customer is not on hold")]
    NotOnHold,
    #[error("the agent has left the call")]
    AgentGone,
    #[error("the call has its most parties")]
    TooManyParties,
    #[error("the shard has no room for another leg or recording")]
    NoCapacity,
    #[error("there is no route")]
    NoRoute,
    #[error("the softphone is not registered with this shard")]
    AgentUnreachable,
    #[error("the softphone is in a call")]
    AgentBusy,
    #[error("the call is not recorded")]
    NotRecording,
    #[error("the call is recorded already")]
    AlreadyRecording,
    #[error("not 1 to 64 digits, or more than the party can take now")]
    NoDigits,
}

impl ControlRefusal {
    /// The word on the control link.
    pub fn as_str(self) -> &'static str {
        match self {
            ControlRefusal::UnknownCall => "unknown_call",
            ControlRefusal::NotTalking => "not_talking",
            ControlRefusal::UnknownParty => "unknown_party",
            ControlRefusal::TransferRunning => "transfer_running",
            ControlRefusal::NoConsultation => "no_consultation",
            ControlRefusal::NotAnswered => "not_answered",
            ControlRefusal::OnHold => "on_hold",
            ControlRefusal::NotOnHold => "not_on_hold",
            ControlRefusal::AgentGone => "agent_gone",
            ControlRefusal::TooManyParties => "too_many_parties",
            ControlRefusal::NoCapacity => "no_capacity",
            ControlRefusal::NoRoute => "no_route",
            ControlRefusal::AgentUnreachable => "agent_unreachable",
            ControlRefusal::AgentBusy => "agent_busy",
            ControlRefusal::NotRecording => "not_recording",
            ControlRefusal::AlreadyRecording => "already_recording",
            ControlRefusal::NoDigits => "no_digits",
        }
    }
}

/// How the parties of a call stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    /// The agent, the customer, then the others in the order in which they came; those who left
    /// stay, with their reason.
    pub parties: Vec<Party>,
    pub recording: RecordingState,
}

/// One party of a call and how it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    pub party: String,
    pub role: PartyRole,
    pub state: PartyState,
    pub is_muted: bool,
    /// Why it left, once it did.
    pub reason: Option<&'static str>,
}

/// What a party is to the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartyRole {
    Agent,
    Customer,
    Participant(Joining),
    Supervisor(SupervisorRole),
}

/// How far a party has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PartyState {
    Dialing,
    Ringing,
    /// In the conversation.
    Talking,
    /// In the consultation, or waiting apart for a blind transfer's answer.
    Consulting,
    OnHold,
    /// A softphone that is lost and waited for.
    Away,
    Left,
}

/// Whether what is said now is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecordingState {
    Off,
    Running,
    Paused,
}
