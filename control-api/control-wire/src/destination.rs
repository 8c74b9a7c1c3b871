//! Where a leg is to be dialled: routes over trunks, or a registered softphone.

use call_words::{
    AgentName, DtmfMode, ForwardingHeader, MediaProfile, Reason, TransportKind, TrunkId, Word,
};
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use std::net::SocketAddr;

/// How the agent is reached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentTarget {
    Phone(Destination),
    /// A softphone registered with this shard. It answers by itself; the customer is dialled once
    /// the agent's media flows.
    Softphone {
        agent: AgentName,
        ring_ms: u64,
        /// Whether it is offered Opus.
        #[serde(default = "is_offered", skip_serializing_if = "Clone::clone")]
        opus: bool,
    },
}

/// What is left out of a target.
fn is_offered() -> bool {
    true
}

/// Where one leg is to be dialled: the routes are tried in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Destination {
    pub ring_ms: u64,
    pub routes: Vec<Route>,
    /// Trunks that would have been tried but have no route now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<SkippedTrunk>,
}

/// A trunk without a route, which is told as an attempt that came to nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SkippedTrunk {
    pub trunk: TrunkId,
    pub reason: Word<Reason>,
}

/// One attempt's target: a trunk with addresses resolved and numbers in its form.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Route {
    pub trunk: TrunkId,
    pub transport: TransportKind,
    pub address: SocketAddr,
    /// Host part of the request-URI, To and From, with the port where it is not the transport's
    /// own.
    pub domain: String,
    /// User part of the request-URI and To.
    pub request_user: String,
    /// User part of From and P-Asserted-Identity.
    pub caller_id: String,
    pub credentials: Option<DigestCredentials>,
    pub media: MediaProfile,
    /// Networks (CIDR) that the peer's signalling comes from besides `address`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signal_from: Vec<String>,
    /// Networks (CIDR) that the peer's media come from besides the addresses that it names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub media_from: Vec<String>,
    /// Whether a 3xx is followed to contacts of the peer's own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub follows_redirects: bool,
    /// Whether From says that the caller wants no name.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hides_caller: bool,
    /// Whether the peer is told all the same who calls.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub trusted: bool,
    /// How the peer is told that a call was sent on.
    #[serde(default, skip_serializing_if = "ForwardingHeader::is_none")]
    pub forwarding: ForwardingHeader,
    /// User part of who sent the call on to the destination, if somebody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diverted_by: Option<String>,
    #[serde(default, skip_serializing_if = "DtmfMode::is_auto")]
    pub dtmf: DtmfMode,
    /// Whether the peer is told of silence that the edge makes instead of being sent it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub comfort_noise: bool,
    /// The interface of the edge that the call goes by; `None` for its default one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
}

/// Credentials for RFC 8760 / RFC 3261 §22 digest challenges.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct DigestCredentials {
    pub username: String,
    pub password: String,
}

impl std::fmt::Debug for DigestCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DigestCredentials")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}
