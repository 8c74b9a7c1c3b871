//! Where a call stands, how it ended, and what is told of it as it goes on.

use crate::word::words;

words! {
    /// Where a call stands; it only moves forward.
    CallState {
        /// Durable, not yet given to an edge.
        Accepted = "accepted",
        /// Given to an edge.
        Placed = "placed",
        AgentRinging = "agent_ringing",
        AgentAnswered = "agent_answered",
        CustomerRinging = "customer_ringing",
        Bridged = "bridged",
        Ended = "ended",
    }

    /// Where a call stands for the agent at the softphone.
    CallPhase {
        /// Accepted, nothing rings yet.
        Starting = "starting",
        /// The softphone is being joined.
        Agent = "agent",
        /// The customer's phone rings.
        Ringing = "ringing",
        Bridged = "bridged",
        /// The customer waits, for the softphone was lost.
        Held = "held",
        Ended = "ended",
    }

    /// Final disposition (A11).
    CallStatus {
        Answer = "ANSWER",
        NoAnswer = "NO_ANSWER",
        Busy = "BUSY",
        Failed = "FAILED",
        Canceled = "CANCELED",
    }

    /// Softphone or server-to-server.
    CallType {
        Browser = "browser",
        Server = "server",
    }

    /// Who called whom.
    Direction {
        Outbound = "outbound",
    }

    /// Whether a call's result was delivered; `exhausted` after the last retry, until it is
    /// delivered again by hand.
    JobState {
        Pending = "pending",
        Delivered = "delivered",
        Exhausted = "exhausted",
    }

    /// An event of a call, as streams and progress callbacks tell it.
    EventWord {
        Initiated = "initiated",
        AgentRinging = "agent_ringing",
        AgentAnswered = "agent_answered",
        AgentConfirmed = "agent_confirmed",
        Ringing = "ringing",
        Answered = "answered",
        Bridged = "bridged",
        Held = "held",
        Resumed = "resumed",
        Muted = "muted",
        Unmuted = "unmuted",
        Dtmf = "dtmf",
        ParticipantDialing = "participant.dialing",
        ParticipantRinging = "participant.ringing",
        ParticipantAnswered = "participant.answered",
        ParticipantJoined = "participant.joined",
        ParticipantConsulting = "participant.consulting",
        ParticipantLeft = "participant.left",
        Swapped = "swapped",
        Merged = "merged",
        Transferred = "transferred",
        SupervisorJoined = "supervisor.joined",
        SupervisorRole = "supervisor.role",
        SupervisorLeft = "supervisor.left",
        RecordingStarted = "recording.started",
        RecordingPaused = "recording.paused",
        RecordingResumed = "recording.resumed",
        RecordingFinished = "recording.finished",
        RecordingFailed = "recording.failed",
        AgentAway = "agent.away",
        AgentBack = "agent.back",
        Ended = "ended",
        /// The call's result could not be delivered; told after the call's end, and no progress.
        CallbackExhausted = "callback_exhausted",
    }
}

impl EventWord {
    /// Whether a progress callback can tell it.
    pub fn is_progress(self) -> bool {
        self != Self::CallbackExhausted
    }

    /// Whether `head` is this word, or its head before a dot.
    pub fn is_under(self, head: &str) -> bool {
        let rest = self.as_str().strip_prefix(head);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}
