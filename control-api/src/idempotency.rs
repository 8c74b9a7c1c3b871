//! Requests that are known again by their Idempotency-Key (A3): the header, and what makes two
//! requests the same.

use crate::problem::Problem;
use axum::http::HeaderMap;
use call_words::AccountId;
use serde::Serialize;
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use tokio::sync::{Mutex, MutexGuard};

const MAX_KEY_LEN: usize = 255;

/// The request's key, if it has one.
pub fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let key = value.to_str().ok().filter(|key| (1..=MAX_KEY_LEN).contains(&key.len()));
    key.map(|key| Some(key.to_owned())).ok_or_else(|| {
        let detail = format!("allowed are 1 to {MAX_KEY_LEN} visible ASCII characters");
        Problem::bad_request("malformed_header", format!("Idempotency-Key: {detail}"))
            .with_field("Idempotency-Key", detail)
    })
}

/// What makes two requests the same: every key of the body that is not ignored.
pub fn fingerprint(body: &impl Serialize) -> String {
    let text = serde_json::to_vec(body).expect("texts, numbers and booleans only");
    let digest = ring::digest::digest(&ring::digest::SHA256, &text);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// 409 for a key that another request had.
pub fn clash(detail: String) -> Problem {
    Problem::conflict("idempotency_clash", detail).with_field("Idempotency-Key", "already used")
}

/// Requests of one name are done one after the other, so that the later ones find the first one's
/// call and use up no line and no rate.
#[derive(Debug)]
pub struct Turns(Vec<Mutex<()>>);

/// Places in the queue of [`Turns`]; few names share one.
const TURN_COUNT: usize = 1024;

impl Default for Turns {
    fn default() -> Self {
        Self((0..TURN_COUNT).map(|_| Mutex::default()).collect())
    }
}

impl Turns {
    /// Waits for those of the account that have the same uuid or Idempotency-Key and came before.
    /// Held until the request is done.
    pub async fn take(
        &self,
        account_id: &AccountId,
        uuid: Option<&str>,
        idempotency_key: Option<&str>,
    ) -> Vec<MutexGuard<'_, ()>> {
        let names = [("uuid", uuid), ("key", idempotency_key)];
        let places: BTreeSet<usize> = names
            .into_iter()
            .filter(|(_, name)| name.is_some())
            .map(|name| {
                let mut hasher = DefaultHasher::new();
                (account_id, name).hash(&mut hasher);
                hasher.finish() as usize % TURN_COUNT
            })
            .collect();
        let mut held = Vec::with_capacity(places.len());
        // In one order for all, so that no two wait for each other.
        for place in places {
            held.push(self.0[place].lock().await);
        }
        held
    }
}
