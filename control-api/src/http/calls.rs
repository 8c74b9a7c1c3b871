//! The `/calls` resource: reading, listing, ending and changing calls. Creation is in
//! `calls::create`, shapes in `view`. A call of another account does not exist for the
//! caller.

pub mod control;
pub mod create;
pub mod events;
pub mod list;
pub mod participants;
pub mod timeline;

use super::auth::ServerCaller;
use super::extract::{JsonBody, PathParams};
use super::openapi::refusals::{BodyRefusals, CallPath, CallRefusals};
use crate::app::App;
use crate::call::change::{hang_up, set_disposition, unknown_call};
use crate::problem::{Problem, ProblemDetails};
use crate::view::call::CallView;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use call_words::CallId;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use storage::{Call, RequeueOutcome};
use utoipa::ToSchema;

/// The call, if it is the caller's.
async fn own_call(app: &App, caller: &ServerCaller, call_id: CallId) -> Result<Call, Problem> {
    let call = app.records.call(&as_stored(&call_id)).await?;
    call.filter(|call| call.account_id == caller.account_id).ok_or_else(unknown_call)
}

/// The id of a call as it is kept: a UUID is the same in capitals, without hyphens or in braces
/// (RFC 9562 §4).
pub fn as_stored(call_id: &CallId) -> CallId {
    let uuid = uuid::Uuid::try_parse(call_id.as_str());
    uuid.map_or_else(|_| call_id.clone(), |id| id.to_string().into())
}

/// The call as its account sees it.
fn shown(app: &App, call: &Call) -> Json<CallView> {
    Json(CallView::of(call, &app.config.public.url))
}

/// The same with how the delivery of its result stands.
async fn shown_with_result(app: &App, call: &Call) -> Result<Json<CallView>, Problem> {
    let job = match call.is_live() {
        true => None,
        false => app.records.callback_job(&call.call_id).await?,
    };
    Ok(Json(CallView::with_result(call, job.as_ref(), &app.config.public.url)))
}

/// Reads one call, live or ended.
#[utoipa::path(
    get, path = "/calls/{call_id}", tag = "calls", security(("server_key" = [])),
    params(CallPath),
    responses(
        (status = 200, description = "The call", body = CallView),
        CallRefusals,
    ),
)]
pub async fn read(
    State(app): State<Arc<App>>,
    caller: ServerCaller,
    PathParams(call_id): PathParams<CallId>,
) -> Result<Json<CallView>, Problem> {
    let call = own_call(&app, &caller, call_id).await?;
    shown_with_result(&app, &call).await
}

/// Ends a call in any state: hangs up, or cancels what rings. Repeating it, also after the end,
/// changes nothing.
#[utoipa::path(
    delete, path = "/calls/{call_id}", tag = "calls", security(("server_key" = [])),
    params(CallPath),
    responses(
        (status = 204, description = "The call has ended or is being ended; its result comes as \
            for any call"),
        CallRefusals,
    ),
)]
pub async fn end(
    State(app): State<Arc<App>>,
    caller: ServerCaller,
    PathParams(call_id): PathParams<CallId>,
) -> Result<StatusCode, Problem> {
    let call = own_call(&app, &caller, call_id).await?;
    hang_up(&app, &call).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What may be changed of a call.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ChangeCall {
    /// The agent's verdict, 1 to 64 characters. A callback that was already made keeps the earlier
    /// one.
    #[schema(example = "CALLBACK_LATER", min_length = 1, max_length = 64)]
    pub disposition: String,
}

/// Changes a call's disposition, live or ended.
#[utoipa::path(
    patch, path = "/calls/{call_id}", tag = "calls", security(("server_key" = [])),
    params(CallPath),
    request_body = ChangeCall,
    responses(
        (status = 200, description = "The call as it is now", body = CallView),
        BodyRefusals,
        CallRefusals,
        (status = 400, description = "Not the expected JSON", body = ProblemDetails,
            content_type = "application/problem+json"),
        (status = 422, description = "Disposition empty or too long", body = ProblemDetails,
            content_type = "application/problem+json"),
    ),
)]
pub async fn change(
    State(app): State<Arc<App>>,
    caller: ServerCaller,
    PathParams(call_id): PathParams<CallId>,
    JsonBody(change): JsonBody<ChangeCall>,
) -> Result<Json<CallView>, Problem> {
    let call = own_call(&app, &caller, call_id).await?;
    let changed = set_disposition(&app, call.call_id, change.disposition).await?;
    shown_with_result(&app, &changed).await
}

/// Queues the result of an ended call for delivery once more.
#[utoipa::path(
    post, path = "/calls/{call_id}/callback/redeliver", tag = "calls",
    security(("server_key" = [])),
    params(CallPath),
    responses(
        (status = 202, description = "Queued: the same body, to the account's present callback URL",
            body = CallView),
        CallRefusals,
        (status = 409, description = "The call is live, its callback is still being tried, or the \
            account has no callback URL", body = ProblemDetails,
            content_type = "application/problem+json"),
    ),
)]
pub async fn redeliver(
    State(app): State<Arc<App>>,
    caller: ServerCaller,
    PathParams(call_id): PathParams<CallId>,
) -> Result<(StatusCode, Json<CallView>), Problem> {
    let call = own_call(&app, &caller, call_id).await?;
    let outcome = app.records.requeue_callback(&call.call_id).await?;
    match outcome {
        RequeueOutcome::Queued(job) => {
            app.notices.callbacks.notify(&job.queued());
            Ok((StatusCode::ACCEPTED, shown_with_result(&app, &call).await?))
        }
        RequeueOutcome::StillPending => Err(Problem::conflict(
            "callback_pending",
            "the callback of this call is still being tried",
        )),
        RequeueOutcome::StillLive => Err(Problem::conflict("call_live", "the call has not ended")),
        RequeueOutcome::NotConfigured => {
            Err(Problem::conflict("no_callback", "the account has no callback URL"))
        }
        RequeueOutcome::UnknownCall => Err(unknown_call()),
    }
}
