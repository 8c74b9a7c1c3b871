//! What outlives a page or a process of the browser softphone: the session of a launched page, and
//! what is known of an agent's softphone.

use super::KeyHash;
use call_words::{AccountId, CallId};
use serde::{Deserialize, Serialize};

/// One launched page, from the use of its launch token to its end. Its secret is known by its hash
/// only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebphoneSession {
    /// The launch's id, so that a launch makes one session.
    pub id: String,
    pub account_id: AccountId,
    pub crm_username: String,
    pub secret_hash: KeyHash,
    /// As received.
    pub to_number: String,
    pub to_number_e164: String,
    /// Caller ID, E.164.
    pub from_number: String,
    pub created_ms: u64,
    pub expires_ms: u64,
    /// The call that it started or joined last.
    pub call_id: Option<CallId>,
    /// Ended by its page. The record stays until it expires, so that the launch is not used again.
    pub is_closed: bool,
    /// Hash of the browser key whose link was launched: the session ends with that key. `None` for
    /// one of a release in which sessions did not know their key; it is over. Since version 2, as
    /// all below.
    #[serde(default)]
    pub key_hash: Option<KeyHash>,
    /// The CRM's own id of the calls of this page; `None` if the link had none.
    #[serde(default)]
    pub uuid: Option<String>,
}

impl WebphoneSession {
    /// Neither ended nor expired; whether its key and its agent are still there is not the
    /// session's to know.
    pub fn is_open(&self, now_ms: u64) -> bool {
        !self.is_closed && self.key_hash.is_some() && now_ms < self.expires_ms
    }
}

/// What is remembered of an agent's softphone while it is away.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Softphone {
    pub last_seen_ms: Option<u64>,
    /// What its page last told of the microphone, such as `granted` or `denied`.
    pub microphone: Option<String>,
    /// The last test of the way that a call's sound takes.
    #[serde(default)]
    pub media_test: Option<MediaTest>,
}

/// What an agent's page found when it tested the way of a call's sound.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaTest {
    pub at_ms: u64,
    /// `good`, `fair`, `poor`, or how far it came.
    pub outcome: String,
    pub round_trip_ms: Option<u32>,
    pub jitter_ms: Option<u32>,
    /// Of what the service sent, in thousandths.
    pub lost_permille: Option<u16>,
    /// Of what the page sent, in thousandths.
    pub sent_lost_permille: Option<u16>,
}
