//! Launch tokens: what a launch link asked for, sealed, so that the server keeps nothing for a page
//! that may never run (A4). Each opens one session; that it does so once is the session record's
//! work.

use crate::problem::Problem;
use crate::secret::{MasterKey, Purpose, Secret};
use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use call_words::{AccountId, KeyId};
use serde::{Deserialize, Serialize};
use storage::Sealed;

/// Longest token that is looked at.
const MAX_TOKEN_LEN: usize = 4096;

/// A launch that was allowed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// Id of the session that it opens.
    pub id: String,
    pub key_id: KeyId,
    pub account_id: AccountId,
    pub crm_username: String,
    /// As received.
    pub to_number: String,
    pub to_number_e164: String,
    pub from_number: String,
    /// The CRM's own id of the call.
    pub uuid: Option<String>,
    pub expires_ms: u64,
}

impl Ticket {
    /// The token for the page.
    pub fn seal(&self, master_key: &MasterKey) -> String {
        let text = serde_json::to_string(self).expect("texts and numbers only");
        URL_SAFE_NO_PAD.encode(master_key.seal(Purpose::LaunchToken, &Secret::new(text)).0)
    }

    /// The launch that a token stands for, unless its time is over.
    pub fn open(token: &str, master_key: &MasterKey, now_ms: u64) -> Result<Self, Problem> {
        let bytes = Some(token)
            .filter(|token| token.len() <= MAX_TOKEN_LEN)
            .and_then(|token| URL_SAFE_NO_PAD.decode(token).ok());
        let text =
            bytes.and_then(|bytes| master_key.open(Purpose::LaunchToken, &Sealed(bytes)).ok());
        let ticket: Option<Self> = text.and_then(|text| serde_json::from_str(text.expose()).ok());
        let ticket = ticket.ok_or_else(|| {
            Problem::bad_request("invalid_token", "token: not a launch token of this server")
        })?;
        if now_ms < ticket.expires_ms { Ok(ticket) } else { Err(token_over("expired")) }
    }
}

/// The launch link has to be opened again.
pub fn token_over(why: &str) -> Problem {
    Problem::new(
        StatusCode::GONE,
        "token_over",
        format!("the launch token is {why}: open the launch link again"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket() -> Ticket {
        Ticket {
            id: "t1".into(),
            key_id: "acme.button.1".into(),
            account_id: "acme".into(),
            crm_username: "आशा \"x\"".into(),
            to_number: "+91 98765 43210".into(),
            to_number_e164: "+919876543210".into(),
            from_number: "+918047123456".into(),
            uuid: Some(" 😀 ".into()),
            expires_ms: 1_000,
        }
    }

    #[test]
    fn a_token_opens_in_its_time_and_here_only() {
        let key = MasterKey::new([7; 32]);
        let token = ticket().seal(&key);
        assert!(
            token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)),
            "safe in HTML"
        );
        assert_eq!(Ticket::open(&token, &key, 999).unwrap(), ticket());
        let code = |token: &str, key: &MasterKey, now_ms| {
            Ticket::open(token, key, now_ms).unwrap_err().body.code
        };
        assert_eq!(code(&token, &key, 1_000), "token_over");
        assert_eq!(code(&token, &MasterKey::new([8; 32]), 999), "invalid_token");
        assert_eq!(code(&token[1..], &key, 999), "invalid_token");
        for garbage in ["", "=", "a", &"A".repeat(5_000), "é"] {
            assert_eq!(code(garbage, &key, 999), "invalid_token");
        }
        let sealed = key
            .seal(Purpose::CallbackHeader, &Secret::new(serde_json::to_string(&ticket()).unwrap()));
        assert_eq!(code(&URL_SAFE_NO_PAD.encode(sealed.0), &key, 999), "invalid_token");
    }
}
