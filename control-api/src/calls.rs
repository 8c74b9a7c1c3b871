//! The `/calls` resource: reading, listing, ending and changing calls. Creation is in
//! `calls::create`, shapes in `calls::view`. A call of another account does not exist for the
//! caller.

pub mod control;
pub mod conversation;
pub mod create;
pub mod events;
pub mod idempotency;
pub mod list;
pub mod participants;
pub mod party;
pub mod place;
pub mod timeline;
pub mod view;

pub use view::CallView;

use crate::app::{App, now_ms};
use crate::auth::ServerCaller;
use crate::openapi::refusals::{BodyRefusals, CallPath, CallRefusals};
use crate::problem::{JsonBody, PathParams, Problem, ProblemDetails};
use crate::{callback, lifecycle};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use storage::{Call, RequeueOutcome};
use utoipa::ToSchema;

/// Longest disposition in characters.
const MAX_DISPOSITION_CHARS: usize = 64;

/// The call, if it is the caller's.
async fn own_call(app: &App, caller: &ServerCaller, call_id: String) -> Result<Call, Problem> {
    let call = app.with_store(move |store| store.call(&as_stored(&call_id))).await?;
    call.filter(|call| call.account_id == caller.account_id).ok_or_else(unknown_call)
}

/// The id of a call as it is kept: a UUID is the same in capitals, without hyphens or in braces
/// (RFC 9562 §4).
pub fn as_stored(call_id: &str) -> String {
    uuid::Uuid::try_parse(call_id).map_or_else(|_| call_id.to_owned(), |id| id.to_string())
}

/// The call as its account sees it.
fn shown(app: &App, call: &Call) -> Json<CallView> {
    Json(CallView::of(call, &app.config.public.url))
}

/// The same with how the delivery of its result stands.
async fn shown_with_result(app: &App, call: &Call) -> Result<Json<CallView>, Problem> {
    let job = match call.is_live() {
        true => None,
        false => {
            let call_id = call.call_id.clone();
            app.with_store(move |store| store.callback_job(&call_id)).await?
        }
    };
    Ok(Json(CallView::with_result(call, job.as_ref(), &app.config.public.url)))
}

fn unknown_call() -> Problem {
    Problem::not_found("there is no such call")
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
    PathParams(call_id): PathParams<String>,
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
    PathParams(call_id): PathParams<String>,
) -> Result<StatusCode, Problem> {
    let call = own_call(&app, &caller, call_id).await?;
    hang_up(&app, &call).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends a call in any state.
pub async fn hang_up(app: &Arc<App>, call: &Call) -> Result<(), Problem> {
    if !call.is_live() {
        return Ok(());
    }
    let call_id = call.call_id.clone();
    if let Some(call) = app.with_store(move |store| store.request_hang_up(&call_id)).await?
        && !app.link.hang_up(&call.call_id)
    {
        // No shard has it, nor will one come back with it.
        lifecycle::end_lost_call(app, &call, Some(now_ms())).await?;
    }
    Ok(())
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
    PathParams(call_id): PathParams<String>,
    JsonBody(change): JsonBody<ChangeCall>,
) -> Result<Json<CallView>, Problem> {
    let call = own_call(&app, &caller, call_id).await?;
    let changed = set_disposition(&app, call.call_id, change.disposition).await?;
    shown_with_result(&app, &changed).await
}

/// Changes a call's disposition, for who may.
pub async fn set_disposition(
    app: &App,
    call_id: String,
    disposition: String,
) -> Result<Call, Problem> {
    check_disposition(&disposition)?;
    let changed =
        app.with_store(move |store| store.set_disposition(&call_id, &disposition)).await?;
    let changed = changed.ok_or_else(unknown_call)?;
    app.softphones.call_changed(&changed);
    Ok(changed)
}

fn check_disposition(disposition: &str) -> Result<(), Problem> {
    let is_fine = (1..=MAX_DISPOSITION_CHARS).contains(&disposition.chars().count())
        && !disposition.chars().any(char::is_control);
    let detail = format!(
        "allowed are 1 to {MAX_DISPOSITION_CHARS} characters, none of them control characters"
    );
    if is_fine {
        Ok(())
    } else {
        Err(Problem::unprocessable("disposition", "invalid_disposition", detail))
    }
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
    PathParams(call_id): PathParams<String>,
) -> Result<(StatusCode, Json<CallView>), Problem> {
    let call = own_call(&app, &caller, call_id).await?;
    let outcome = requeue(&app, call.call_id.clone()).await?;
    match outcome {
        RequeueOutcome::Queued(job) => {
            app.callbacks.notify(&job.target.endpoint);
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

/// Queues the result of an ended call again, to the account's present callback.
pub async fn requeue(app: &App, call_id: String) -> Result<RequeueOutcome, Problem> {
    let public_url = app.config.public.url.clone();
    let requeued = app.with_store(move |store| {
        store.requeue_callback(&call_id, |call| {
            let account = store.account(&call.account_id)?;
            Ok(account
                .and_then(|account| callback::for_call(&account, call, &public_url, now_ms())))
        })
    });
    Ok(requeued.await?)
}
