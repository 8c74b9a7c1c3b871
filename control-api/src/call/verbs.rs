//! What is asked of running calls, for the REST API and for the softphone's page alike: each verb
//! goes to the shard that has the call, and its answer becomes the request's. Which verb may be
//! done when is the edge's to say; who may ask, the callers'.

use crate::app::App;
use crate::link::{ANSWER_TIMEOUT, ControlFailure};
use crate::problem::Problem;
use crate::recording;
use axum::http::StatusCode;
use call_words::RefusalCode;
use control_wire::{Control, ControlRefusal, Verb};
use std::time::Duration;
use storage::Call;

const RETRY: Duration = Duration::from_secs(2);
const MAX_PARTY_LEN: usize = 64;
const MAX_DIGITS: usize = 64;

/// Has a verb done, and returns the call as it is then.
pub async fn ask(app: &App, call: &Call, verb: Verb) -> Result<Call, Problem> {
    check_reach(app, call)?;
    send(app, call, fresh_id(), verb).await.map_err(problem)?;
    reread(app, call).await
}

/// Refuses at once what cannot reach the call.
pub(super) fn check_reach(app: &App, call: &Call) -> Result<(), Problem> {
    if !call.is_live() {
        return Err(ended());
    }
    if app.link.reaches(&call.call_id) { Ok(()) } else { Err(problem(ControlFailure::NoEdge)) }
}

pub(super) async fn send(
    app: &App,
    call: &Call,
    control_id: String,
    verb: Verb,
) -> Result<(), ControlFailure> {
    let control = Control { call_id: call.call_id.clone(), control_id, verb };
    app.link.control(control)?.wait().await
}

pub(super) fn fresh_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

pub(super) async fn reread(app: &App, call: &Call) -> Result<Call, Problem> {
    app.records.call(&call.call_id).await?.ok_or_else(ended)
}

/// Records from now on. The file's name is durable before the edge is asked to write it.
pub async fn start_recording(app: &App, call: &Call) -> Result<Call, Problem> {
    check_reach(app, call)?;
    let reserved = app.records.reserve_recording(&call.call_id, recording::fresh_name()).await?;
    let reserved = reserved.ok_or_else(ended)?;
    let file_name = reserved.recording_file.clone().expect("a name was reserved");
    ask(app, &reserved, Verb::StartRecording { file_name }).await
}

/// Sends digits to a party: `0`–`9`, `*`, `#`, `A`–`D`, and `,` for a pause.
pub async fn send_digits(
    app: &App,
    call: &Call,
    party: String,
    digits: &str,
) -> Result<Call, Problem> {
    let digits = digits.to_ascii_uppercase();
    let is_digit = |byte: u8| byte.is_ascii_digit() || b"*#ABCD,".contains(&byte);
    if !(1..=MAX_DIGITS).contains(&digits.len()) || !digits.bytes().all(is_digit) {
        let detail = format!(
            "allowed are 1 to {MAX_DIGITS} of 0-9, *, #, A-D, and a comma for a pause of one second"
        );
        return Err(Problem::unprocessable("digits", "invalid_digits", detail));
    }
    ask(app, call, Verb::SendDigits { party: checked_party(party)?, digits }).await
}

/// A party's name that can be one.
pub fn checked_party(party: String) -> Result<String, Problem> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_fine = (1..=MAX_PARTY_LEN).contains(&party.len()) && party.bytes().all(is_name);
    if is_fine { Ok(party) } else { Err(unknown_party()) }
}

/// 404 for a party that the call does not have.
pub fn unknown_party() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "unknown_party", "the call has no such party")
}

pub(super) fn ended() -> Problem {
    Problem::conflict("ended", "the call has ended")
}

/// Why what was asked of a shard was not done, for who asked.
pub fn problem(failure: ControlFailure) -> Problem {
    match failure {
        ControlFailure::NoEdge => {
            Problem::unavailable("no_edge", "the media server of the call is not connected", RETRY)
        }
        ControlFailure::Busy => Problem::unavailable(
            "busy",
            "too many requests of this call wait for their answer",
            RETRY,
        ),
        ControlFailure::NoAnswer => Problem::new(
            StatusCode::GATEWAY_TIMEOUT,
            "no_answer_from_edge",
            format!(
                "the media server did not answer within {} s; the request may have been done",
                ANSWER_TIMEOUT.as_secs()
            ),
        ),
        ControlFailure::Ended => ended(),
        ControlFailure::Refused(ControlRefusal { code, detail }) => match code.known() {
            Some(RefusalCode::UnknownCall) => ended(),
            Some(RefusalCode::UnknownParty) => {
                Problem::new(StatusCode::NOT_FOUND, code.as_str(), detail)
            }
            Some(RefusalCode::NoCapacity) => Problem::unavailable(code.as_str(), detail, RETRY),
            _ => Problem::conflict(code.as_str(), detail),
        },
    }
}
