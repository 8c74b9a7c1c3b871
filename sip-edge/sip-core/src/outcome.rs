//! What a call's end means: table A11 as pure functions from SIP codes and our own timers to status, reason and failover.
//! Knows no call and no message.

/// Final disposition of a call (the callback's `status`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallStatus {
    Answer,
    NoAnswer,
    Busy,
    Failed,
    Canceled,
}

/// The two parties of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LegName {
    Agent,
    Customer,
}

/// Who ended the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HangupBy {
    Agent,
    Customer,
    Api,
    /// A limit or a fault of ours: longest call, drain, no media.
    System,
    /// The carrier or the transport.
    Network,
}

/// Why a call ended as it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    Busy,
    Declined,
    NoAnswer,
    Unreachable,
    AgentBusy,
    AgentDeclined,
    AgentNoAnswer,
    AgentUnreachable,
    AgentNumberInvalid,
    InvalidNumber,
    TrunkTimeout,
    TrunkRejected,
    TrunkFailed,
    Media,
    Canceled,
    NoMedia,
    MaxDuration,
    SessionExpired,
    System,
}

impl Reason {
    /// The word in records and callbacks.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Busy => "busy",
            Reason::Declined => "declined",
            Reason::NoAnswer => "no_answer",
            Reason::Unreachable => "unreachable",
            Reason::AgentBusy => "agent_busy",
            Reason::AgentDeclined => "agent_declined",
            Reason::AgentNoAnswer => "agent_no_answer",
            Reason::AgentUnreachable => "agent_unreachable",
            Reason::AgentNumberInvalid => "agent_number_invalid",
            Reason::InvalidNumber => "invalid_number",
            Reason::TrunkTimeout => "trunk_timeout",
            Reason::TrunkRejected => "trunk_rejected",
            Reason::TrunkFailed => "trunk_failed",
            Reason::Media => "media",
            Reason::Canceled => "canceled",
            Reason::NoMedia => "no_media",
            Reason::MaxDuration => "max_duration",
            Reason::SessionExpired => "session_expired",
            Reason::System => "system",
        }
    }
}
