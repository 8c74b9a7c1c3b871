//! The parties of a conversation: what they are, where they stand, how they come in.

use crate::word::words;

words! {
    /// What a party is in the call.
    PartyRole {
        Agent = "agent",
        Customer = "customer",
        /// A third party.
        Participant = "participant",
        Supervisor = "supervisor",
    }

    /// Where a party stands.
    PartyState {
        Dialing = "dialing",
        Ringing = "ringing",
        /// In the conversation.
        Talking = "talking",
        /// In the consultation, apart from the conversation, or waiting apart for a blind
        /// transfer's answer.
        Consulting = "consulting",
        OnHold = "on_hold",
        /// A softphone that is lost and waited for.
        Away = "away",
        Left = "left",
    }

    /// How a third party comes in.
    Joining {
        /// The agent hears it ring and talks to it alone; the others are on hold.
        Consult = "consult",
        /// All go on talking; it joins them as soon as it answers.
        Join = "join",
        /// The others hear it ring, the agent too; the agent leaves as it answers, and is back with
        /// them if it does not.
        Transfer = "transfer",
    }

    /// Whom a supervisor is heard by: nobody, the agent alone, or all with whom the agent is.
    SupervisorRole {
        /// Hears what the agent hears, and the agent; is heard by nobody.
        Listen = "listen",
        /// Is heard by the agent alone.
        Whisper = "whisper",
        /// Is heard by all with whom the agent is.
        Barge = "barge",
    }
}

impl PartyState {
    /// Whether a party in this state has answered and is still there.
    pub fn is_answered(self) -> bool {
        matches!(self, Self::Talking | Self::Consulting | Self::OnHold | Self::Away)
    }
}
