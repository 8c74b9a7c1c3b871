//! What may be asked of a running call, and how its parties stand: the control link's words with
//! `Duration`s and enums.

use crate::command::{AgentTarget, Destination};
use call_words::{Joining, PartyState, Reason, RecordingName, RecordingState, SupervisorRole};

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
        file_name: RecordingName,
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

/// Somebody who listens to a running call.
#[derive(Debug, Clone)]
pub struct NewSupervisor {
    /// Name of the party, unique in the call.
    pub party: String,
    pub target: AgentTarget,
    pub role: SupervisorRole,
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
    pub reason: Option<Reason>,
}

/// What a party is to the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartyRole {
    Agent,
    Customer,
    Participant(Joining),
    Supervisor(SupervisorRole),
}
