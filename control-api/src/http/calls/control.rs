//! Verbs on running calls by REST: hold, mute, keys, consult and transfer, recording. Each is done
//! when it is answered, or refused with the reason. What they have in common is `call::verbs`'s.

use super::{own_call, shown};
use crate::app::App;
use crate::call::verbs;
use crate::http::auth::ServerCaller;
use crate::http::extract::{JsonBody, PathParams};
use crate::http::openapi::refusals::{CallPath, VerbBodyRefusals, VerbRefusals};
use crate::problem::Problem;
use crate::view::call::CallView;
use axum::Json;
use axum::extract::State;
use call_words::CallId;
use control_wire::Verb;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// A party of the call.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Whom {
    /// `agent` unless given.
    #[serde(default = "agent")]
    #[schema(example = "agent", default = "agent")]
    pub party: String,
}

fn agent() -> String {
    "agent".to_owned()
}

fn checked(whom: Option<JsonBody<Whom>>) -> Result<String, Problem> {
    verbs::checked_party(whom.map_or_else(agent, |JsonBody(whom)| whom.party))
}

/// Keys to send.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct Digits {
    /// 1 to 64 of `0`–`9`, `*`, `#`, `A`–`D`, and `,` for a pause of one second.
    #[schema(example = "12#", min_length = 1, max_length = 64, pattern = "^[0-9A-Da-d*#,]+$")]
    pub digits: String,
    /// Who hears them; `customer` unless given.
    #[serde(default = "customer")]
    #[schema(example = "customer", default = "customer")]
    pub party: String,
}

fn customer() -> String {
    "customer".to_owned()
}

async fn ask(
    app: &App,
    caller: &ServerCaller,
    call_id: CallId,
    verb: Verb,
) -> Result<Json<CallView>, Problem> {
    let call = own_call(app, caller, call_id).await?;
    let call = verbs::ask(app, &call, verb).await?;
    Ok(shown(app, &call))
}

/// Declares the operations that do one verb and answer with the call as it is then.
macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident: $path:literal, $verb:expr;)+) => { $(
        $(#[$doc])*
        #[utoipa::path(
            post, path = $path, tag = "calls", security(("server_key" = [])),
            params(CallPath),
            responses(
                (status = 200, description = "The call as it is then", body = CallView),
                VerbRefusals,
            ),
        )]
        pub async fn $name(
            State(app): State<Arc<App>>,
            caller: ServerCaller,
            PathParams(call_id): PathParams<CallId>,
        ) -> Result<Json<CallView>, Problem> {
            ask(&app, &caller, call_id, $verb).await
        }
    )+ };
}

operations! {
    /// Puts the customer on hold: the customer hears hold audio, and nobody hears the customer.
    hold: "/calls/{call_id}/hold", Verb::Hold;

    /// Takes the customer off hold.
    resume: "/calls/{call_id}/resume", Verb::Resume;

    /// Joins the consultation with the conversation: all hear each other.
    merge: "/calls/{call_id}/merge", Verb::Merge;

    /// Lets the agent change between the conversation and the consultation.
    swap: "/calls/{call_id}/swap", Verb::Swap;

    /// Lets the agent leave; all others stay, together.
    complete: "/calls/{call_id}/complete", Verb::Complete;

    /// Ends the consultation, the dialling or the transfer; the agent is back in the conversation.
    cancel: "/calls/{call_id}/cancel", Verb::Cancel;

    /// Pauses the recording: what follows is silence in it until it is resumed.
    pause_recording: "/calls/{call_id}/recording/pause", Verb::PauseRecording;

    /// Goes on recording.
    resume_recording: "/calls/{call_id}/recording/resume", Verb::ResumeRecording;
}

/// Records from now on.
#[utoipa::path(
    post, path = "/calls/{call_id}/recording/start", tag = "calls", security(("server_key" = [])),
    params(CallPath),
    responses(
        (status = 200, description = "The call as it is then", body = CallView),
        VerbRefusals,
    ),
)]
pub async fn start_recording(
    State(app): State<Arc<App>>,
    caller: ServerCaller,
    PathParams(call_id): PathParams<CallId>,
) -> Result<Json<CallView>, Problem> {
    let call = own_call(&app, &caller, call_id).await?;
    let call = verbs::start_recording(&app, &call).await?;
    Ok(shown(&app, &call))
}

/// Mutes a party: nobody hears it.
#[utoipa::path(
    post, path = "/calls/{call_id}/mute", tag = "calls", security(("server_key" = [])),
    params(CallPath), request_body(content = Option<Whom>,
        description = "The agent is meant by a request without a body"),
    responses(
        (status = 200, description = "The call as it is then", body = CallView),
        VerbBodyRefusals,
    ),
)]
pub async fn mute(
    State(app): State<Arc<App>>,
    caller: ServerCaller,
    PathParams(call_id): PathParams<CallId>,
    whom: Option<JsonBody<Whom>>,
) -> Result<Json<CallView>, Problem> {
    ask(&app, &caller, call_id, Verb::Mute { party: checked(whom)? }).await
}

/// Lets a party be heard again.
#[utoipa::path(
    post, path = "/calls/{call_id}/unmute", tag = "calls", security(("server_key" = [])),
    params(CallPath), request_body(content = Option<Whom>,
        description = "The agent is meant by a request without a body"),
    responses(
        (status = 200, description = "The call as it is then", body = CallView),
        VerbBodyRefusals,
    ),
)]
pub async fn unmute(
    State(app): State<Arc<App>>,
    caller: ServerCaller,
    PathParams(call_id): PathParams<CallId>,
    whom: Option<JsonBody<Whom>>,
) -> Result<Json<CallView>, Problem> {
    ask(&app, &caller, call_id, Verb::Unmute { party: checked(whom)? }).await
}

/// Sends keys (DTMF) to a party.
#[utoipa::path(
    post, path = "/calls/{call_id}/dtmf", tag = "calls", security(("server_key" = [])),
    params(CallPath), request_body = Digits,
    responses(
        (status = 200, description = "The call as it is then", body = CallView),
        VerbBodyRefusals,
    ),
)]
pub async fn dtmf(
    State(app): State<Arc<App>>,
    caller: ServerCaller,
    PathParams(call_id): PathParams<CallId>,
    JsonBody(Digits { digits, party }): JsonBody<Digits>,
) -> Result<Json<CallView>, Problem> {
    let call = own_call(&app, &caller, call_id).await?;
    let call = verbs::send_digits(&app, &call, party, &digits).await?;
    Ok(shown(&app, &call))
}
