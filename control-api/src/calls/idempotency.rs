//! Requests that are known again by their Idempotency-Key (A3): the header, and what makes two requests the same.

use crate::problem::Problem;
use axum::http::HeaderMap;
use serde::Serialize;

const MAX_KEY_LEN: usize = 255;

/// The request's key, if it has one.
pub fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let key = value.to_str().ok().filter(|key| (1..=MAX_KEY_LEN).contains(&key.len()));
    key.map(|key| Some(key.to_owned())).ok_or_else(|| {
        let detail = format!("allowed are 1 to {MAX_KEY_LEN} visible ASCII characters");
        Problem::bad_request("malformed_header", format!("Idempotency-Key: {detail}")).with_field("Idempotency-Key", detail)
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
