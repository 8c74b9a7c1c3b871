//! What a call's end means: table A11 as pure functions from SIP codes, Q.850 causes and our own
//! timers to status, reason and failover. Knows no call and no message.

use crate::flow::FlowFault;
use call_words::{CallStatus, HangupBy, LegKind, Reason};

/// Place of a third party or supervisor in its call's list, in the order in which they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u8);

impl Slot {
    /// Most places of one call, those who left included.
    pub const COUNT: usize = 32;

    /// The place with this index; `None` from `COUNT` on.
    pub const fn new(index: usize) -> Option<Slot> {
        if index < Slot::COUNT { Some(Slot(index as u8)) } else { None }
    }

    /// Its place among a call's guests.
    pub fn index(self) -> usize {
        self.0.into()
    }
}

/// A party of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LegName {
    Agent,
    Customer,
    /// A third party.
    Participant(Slot),
    Supervisor(Slot),
}

impl LegName {
    /// Which kind of leg it is.
    pub fn kind(self) -> LegKind {
        match self {
            LegName::Agent => LegKind::Agent,
            LegName::Customer => LegKind::Customer,
            LegName::Participant(_) => LegKind::Participant,
            LegName::Supervisor(_) => LegKind::Supervisor,
        }
    }
}

impl From<LegName> for HangupBy {
    fn from(leg: LegName) -> HangupBy {
        match leg {
            LegName::Agent => HangupBy::Agent,
            LegName::Customer => HangupBy::Customer,
            LegName::Participant(_) => HangupBy::Participant,
            // A supervisor's end is never the call's.
            LegName::Supervisor(_) => HangupBy::System,
        }
    }
}

/// How the INVITE of a leg came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The peer's final response, with the cause of its `Reason: Q.850` header if it has one (RFC
    /// 3326).
    Response { code: u16, q850: Option<u16> },
    /// No response at all: timer B (RFC 3261 §17.1.1.2).
    Timeout,
    /// Our ring timer, upon which we cancelled.
    RingTimeout,
    /// The message could not be sent, or its connection broke.
    Transport(FlowFault),
    /// The peer's SDP cannot be used.
    Media,
}

/// Whether a 18x was received before the failure: somebody's phone rang.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rang {
    Yes,
    No,
}

/// Whether the next route may be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failover {
    Never,
    /// Unless the leg was already moved once for this cause: further trunks will not like our
    /// credentials better.
    Once,
    Always,
}

/// What a failure means for the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    pub failover: Failover,
    /// Why the attempt failed.
    pub reason: Reason,
    /// The end of the call if no other route is tried.
    pub outcome: Outcome,
}

/// The end of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    pub status: CallStatus,
    pub reason: Option<Reason>,
    pub failed_leg: Option<LegName>,
    pub sip_code: Option<u16>,
    pub hangup_by: Option<HangupBy>,
}

/// The kinds of failure that table A11 tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Busy,
    Declined,
    NoAnswer,
    Unreachable,
    Timeout,
    Number,
    Credentials,
    Media,
    Trunk,
    /// TLS with the trunk did not come about.
    Tls,
    /// A failure of the whole network, which no other trunk can mend (RFC 3261 §21.6).
    Global,
}

/// Judges the failed INVITE of a leg before the bridge (table A11).
pub fn judge(leg: LegName, failure: Failure, rang: Rang) -> Verdict {
    let kind = match failure {
        Failure::Response { code, q850 } => kind_of_response(code, q850, rang),
        Failure::Timeout if rang == Rang::No => Kind::Timeout,
        Failure::Timeout | Failure::RingTimeout => Kind::NoAnswer,
        Failure::Transport(FlowFault::Broken) => Kind::Trunk,
        Failure::Transport(FlowFault::Tls) => Kind::Tls,
        Failure::Media => Kind::Media,
    };
    let failover = match kind {
        Kind::Timeout | Kind::Trunk | Kind::Tls if rang == Rang::No => Failover::Always,
        Kind::Credentials if rang == Rang::No => Failover::Once,
        _ => Failover::Never,
    };
    let (status, reason) = meaning(leg, kind);
    let sip_code = match failure {
        Failure::Response { code, .. } => Some(code),
        _ => None,
    };
    let hangup_by = match (kind, failure) {
        (Kind::Busy | Kind::Declined, _) => leg.into(),
        (_, Failure::RingTimeout | Failure::Media) => HangupBy::System,
        _ => HangupBy::Network,
    };
    let outcome = Outcome {
        status,
        reason: Some(reason),
        failed_leg: Some(leg),
        sip_code,
        hangup_by: Some(hangup_by),
    };
    Verdict { failover, reason, outcome }
}

fn kind_of_response(code: u16, q850: Option<u16>, rang: Rang) -> Kind {
    let by_code = kind_of_code(code, rang);
    match q850 {
        Some(17) => Kind::Busy,
        Some(18 | 19) => Kind::NoAnswer,
        Some(20) => Kind::Unreachable,
        Some(1 | 28) => Kind::Number,
        // A person who answered busy or declined is not rung again through another trunk, whatever
        // the gateway's cause.
        Some(34 | 38 | 41 | 42) if !matches!(by_code, Kind::Busy | Kind::Declined) => Kind::Trunk,
        _ => by_code,
    }
}

fn kind_of_code(code: u16, rang: Rang) -> Kind {
    match code {
        486 | 600 => Kind::Busy,
        603 | 607 => Kind::Declined,
        480 => Kind::Unreachable,
        408 | 487 if rang == Rang::Yes => Kind::NoAnswer,
        408 => Kind::Timeout,
        404 | 410 | 416 | 484 | 485 | 604 => Kind::Number,
        401 | 403 | 407 => Kind::Credentials,
        415 | 488 | 606 => Kind::Media,
        600.. => Kind::Global,
        _ => Kind::Trunk,
    }
}

/// Third parties and supervisors fail as a customer does.
fn meaning(leg: LegName, kind: Kind) -> (CallStatus, Reason) {
    use CallStatus::{Busy, Canceled, Failed, NoAnswer};
    match (kind, leg) {
        (Kind::Busy, LegName::Agent) => (Failed, Reason::AgentBusy),
        (Kind::Busy, _) => (Busy, Reason::Busy),
        (Kind::Declined, LegName::Agent) => (Canceled, Reason::AgentDeclined),
        (Kind::Declined, _) => (Busy, Reason::Declined),
        (Kind::NoAnswer, LegName::Agent) => (Failed, Reason::AgentNoAnswer),
        (Kind::NoAnswer, _) => (NoAnswer, Reason::NoAnswer),
        (Kind::Unreachable, LegName::Agent) => (Failed, Reason::AgentUnreachable),
        (Kind::Unreachable, _) => (NoAnswer, Reason::Unreachable),
        (Kind::Timeout, LegName::Agent) => (Failed, Reason::AgentUnreachable),
        (Kind::Timeout, _) => (Failed, Reason::TrunkTimeout),
        (Kind::Number, LegName::Agent) => (Failed, Reason::AgentNumberInvalid),
        (Kind::Number, _) => (Failed, Reason::InvalidNumber),
        (Kind::Credentials, _) => (Failed, Reason::TrunkRejected),
        (Kind::Media, _) => (Failed, Reason::Media),
        (Kind::Trunk | Kind::Global, _) => (Failed, Reason::TrunkFailed),
        (Kind::Tls, _) => (Failed, Reason::TrunkTls),
    }
}

/// The end of a call whose leg has no trunk left that an INVITE could go over.
pub fn of_bar(leg: LegName, reason: Reason) -> Outcome {
    Outcome {
        status: CallStatus::Failed,
        reason: Some(reason),
        failed_leg: Some(leg),
        sip_code: None,
        hangup_by: Some(HangupBy::Network),
    }
}

/// How a call ended other than by a failed INVITE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// BYE of a party.
    Bye(LegName),
    /// Hang-up asked of the API.
    Api,
    MaxDuration,
    /// No RTP from this leg.
    NoMedia(LegName),
    /// The dialog of this leg is gone.
    DialogLost(LegName),
    /// The agent's softphone has no media: its microphone, ICE or DTLS failed.
    AgentMedia,
    /// The agent's softphone is gone and did not come back in time.
    AgentLost,
    /// Nobody at the agent's phone pressed `1` in time.
    AgentNotConfirmed,
    /// Capacity, or the end of a drain.
    System,
}

/// Whether the two parties were joined before the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bridged {
    Yes,
    No,
}

/// The end of a call by `cause`: a bridged call is answered whatever follows (table A11).
pub fn of_cause(cause: Cause, bridged: Bridged) -> Outcome {
    let (reason, leg, hangup_by) = match cause {
        Cause::Bye(leg) => (None, None, leg.into()),
        Cause::Api => (None, None, HangupBy::Api),
        Cause::MaxDuration => (Some(Reason::MaxDuration), None, HangupBy::System),
        Cause::NoMedia(leg) => (Some(Reason::NoMedia), Some(leg), HangupBy::System),
        Cause::DialogLost(leg) => (Some(Reason::DialogLost), Some(leg), HangupBy::Network),
        Cause::AgentMedia => (Some(Reason::AgentMedia), Some(LegName::Agent), HangupBy::System),
        Cause::AgentLost => (Some(Reason::AgentLost), Some(LegName::Agent), HangupBy::Agent),
        Cause::AgentNotConfirmed => {
            (Some(Reason::AgentNotConfirmed), Some(LegName::Agent), HangupBy::System)
        }
        Cause::System => (Some(Reason::System), None, HangupBy::System),
    };
    let (status, reason) = match (bridged, cause) {
        (Bridged::Yes, _) => (CallStatus::Answer, reason),
        (Bridged::No, Cause::Bye(_) | Cause::Api) => (CallStatus::Canceled, Some(Reason::Canceled)),
        (Bridged::No, Cause::AgentLost) => (CallStatus::Canceled, reason),
        (Bridged::No, Cause::NoMedia(LegName::Agent)) => {
            (CallStatus::Failed, Some(Reason::AgentMedia))
        }
        (Bridged::No, _) => (CallStatus::Failed, reason),
    };
    Outcome { status, reason, failed_leg: leg, sip_code: None, hangup_by: Some(hangup_by) }
}

#[cfg(test)]
mod tests;
