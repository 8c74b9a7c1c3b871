//! Why a leg is left, as the Reason header of its BYE or CANCEL says it (RFC 3326), and what a
//! peer's says. Names nothing of another leg but how it ended.

use crate::message::{Header, Reason as Said, View, header};
use crate::outcome::Outcome;
use call_words::Reason;

/// Why a leg is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// Somebody hung up, or what was to be said is said.
    Normal,
    /// Another phone of a forked INVITE was picked up.
    Elsewhere,
    /// Another leg got this final response.
    Failed(u16),
    /// Nobody picked up in time.
    NoAnswer,
    /// A time of ours is over.
    TimerExpired,
    /// The peer's description cannot be used.
    Media,
    /// Something of ours or of the network is gone.
    Unavailable,
}

impl Release {
    /// As a Reason header.
    pub fn header(self) -> Header {
        let q850 = |cause: u8, text: &str| format!("Q.850;cause={cause};text=\"{text}\"");
        header(
            "Reason",
            match self {
                Release::Normal => q850(16, "Normal call clearing"),
                Release::Elsewhere => "SIP;cause=200;text=\"Call completed elsewhere\"".to_owned(),
                Release::Failed(code) => format!("SIP;cause={code}"),
                Release::NoAnswer => q850(19, "No answer from user"),
                Release::TimerExpired => q850(102, "Recovery on timer expiry"),
                Release::Media => "SIP;cause=488;text=\"Not Acceptable Here\"".to_owned(),
                Release::Unavailable => q850(41, "Temporary failure"),
            },
        )
    }
}

impl From<&Outcome> for Release {
    fn from(outcome: &Outcome) -> Release {
        match (outcome.sip_code, outcome.reason) {
            (Some(code), _) => Release::Failed(code),
            (None, None | Some(Reason::Canceled)) => Release::Normal,
            (None, Some(Reason::NoAnswer | Reason::AgentNoAnswer)) => Release::NoAnswer,
            (None, Some(Reason::MaxDuration)) => Release::TimerExpired,
            (None, Some(Reason::Media)) => Release::Media,
            (None, Some(_)) => Release::Unavailable,
        }
    }
}

/// What a peer's BYE says of its cause, in numbers alone.
pub fn said(message: &impl View) -> Option<String> {
    let known = ["Q.850", "SIP"];
    let line = |Said { protocol, cause }: Said<'_>| {
        let protocol = known.into_iter().find(|each| each.eq_ignore_ascii_case(protocol))?;
        Some(format!("{protocol} cause {}", cause?))
    };
    message.reasons().find_map(line)
}
