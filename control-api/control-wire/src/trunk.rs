//! Trunks that each shard knows, registers with and probes by itself, and how they stand there.

use crate::destination::DigestCredentials;
use call_words::{TransportKind, TrunkId};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// A trunk: what comes from it is no stranger's. It may be one to register with, to probe, or both.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeptTrunk {
    pub trunk: TrunkId,
    pub transport: TransportKind,
    /// Those that are asked: the next one when one does not answer.
    pub addresses: Vec<SocketAddr>,
    /// Host part of its URIs, with the port where it is not the transport's own.
    pub domain: String,
    pub credentials: Option<DigestCredentials>,
    /// Seconds for which each registration asks; `None` if it needs none.
    pub register_s: Option<u32>,
    /// Seconds between two OPTIONS; `None` for none.
    pub probe_interval_s: Option<u32>,
    /// Networks (CIDR) that its answers come from besides `addresses`.
    pub signal_from: Vec<String>,
    /// The interface of the edge that it is reached by; `None` for its default one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
}

/// How a trunk stands with the shard that tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrunkState {
    pub trunk: TrunkId,
    /// `None` if it is not registered with.
    pub registration: Option<Registration>,
    /// Whether it answers OPTIONS; `None` if none are sent, or if that is not known yet.
    pub reachable: Option<bool>,
    /// Whether its last calls came to nothing, so that others are tried before it.
    pub breaker_open: bool,
    /// Whether the edge has no such interface, or one that reaches none of its addresses.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lacks_interface: bool,
}

/// How a registration stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// Until when the trunk takes calls; `None` if it does not.
    pub until_ms: Option<u64>,
    /// Why the last REGISTER came to nothing, if it did.
    pub fault: Option<RegistrationFault>,
}

/// Why a REGISTER came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistrationFault {
    /// Status of the answer, if there was one.
    pub sip_code: Option<u16>,
    /// In words, for people.
    pub detail: String,
}
