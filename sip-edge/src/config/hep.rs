//! `[hep]`: where calls' SIP messages, and their RTCP, are copied to.

use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// Longest key in bytes.
const MAX_KEY_LEN: usize = 255;

/// A collector of HEP version 3, such as Homer: each SIP message of a call is sent on, without
/// secrets, with the call's id as correlation id.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct HepConfig {
    /// Address and UDP port, such as `192.0.2.5:9060`. Empty: nothing is copied. A message costs
    /// about 5 µs and its own length; it is not waited for the collector.
    pub address: String,
    /// Number of this edge with the collector.
    pub capture_id: u32,
    /// What the collector knows its senders by, at most 255 bytes. It is sent in clear.
    pub key: String,
    /// Whether the calls' RTCP is copied, too, as it stands in the clear (protocol type 5).
    pub rtcp: bool,
}

impl Default for HepConfig {
    fn default() -> Self {
        Self { address: String::new(), capture_id: 2001, key: String::new(), rtcp: false }
    }
}

impl HepConfig {
    pub(super) fn rules(&self) -> [(&'static str, bool, &'static str); 4] {
        let is_sound = |address: SocketAddr| address.port() != 0 && !address.ip().is_unspecified();
        [
            (
                "hep.address",
                self.address.is_empty() || self.collector().is_some_and(is_sound),
                "an IP address and a UDP port such as 192.0.2.5:9060 are allowed, or nothing",
            ),
            // The number's type holds its range.
            ("hep.capture_id", true, "0 to 4294967295 are allowed"),
            (
                "hep.rtcp",
                !self.rtcp || !self.address.is_empty(),
                "true needs a collector in hep.address",
            ),
            ("hep.key", self.key.len() <= MAX_KEY_LEN, "at most 255 bytes are allowed"),
        ]
    }

    /// The collector, if one is named.
    pub fn collector(&self) -> Option<SocketAddr> {
        self.address.parse().ok()
    }
}
