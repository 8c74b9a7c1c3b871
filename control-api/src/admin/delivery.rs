//! Results that are not delivered, of all accounts: found, and pushed again.

use super::desk::{Admin, blocking, unknown};
use crate::http::calls::list;
use crate::http::extract::{JsonBody, PathParams, QueryParams};
use crate::problem::{Problem, ProblemDetails};
use crate::view::call::DeliveryView;
use crate::view::time::timestamp;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use call_words::{AccountId, CallId, JobState};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use storage::{CallFilter, CallbackJob, RequeueOutcome};
use utoipa::{IntoParams, ToSchema};

/// Results that one request pushes again.
const REDELIVERY_CAP: usize = 1_000;

/// Which results to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DeliveryQuery {
    /// `exhausted`, those that were given up, unless given; or `pending`, those that are still
    /// being tried.
    #[param(inline)]
    pub state: Option<Undelivered>,
    /// Of this account only.
    #[param(value_type = Option<String>)]
    pub account: Option<AccountId>,
    /// Most results on the page, 1 to 200; 50 unless given.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<usize>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// How a result stands that is not delivered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Undelivered {
    Pending,
    #[default]
    Exhausted,
}

/// A call's result that is not delivered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UndeliveredResult {
    #[schema(example = "demo")]
    pub account: String,
    #[schema(format = "uuid")]
    pub call_id: String,
    /// When its call was accepted.
    #[schema(format = "date-time")]
    pub start_time: String,
    pub url: String,
    #[serde(flatten)]
    pub delivery: DeliveryView,
}

impl UndeliveredResult {
    fn of(job: &CallbackJob) -> Self {
        Self {
            account: job.account_id.to_string(),
            call_id: job.call_id.to_string(),
            start_time: timestamp(job.start_ms),
            url: job.target.url.clone(),
            delivery: DeliveryView::of(job),
        }
    }
}

/// One page of them.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct UndeliveredList {
    /// By account, the newest call first.
    pub deliveries: Vec<UndeliveredResult>,
    /// `cursor` of the next page; `null` at the end.
    pub next_cursor: Option<String>,
}

/// Lists results that are not delivered: of one account, or of all.
#[utoipa::path(get, path = "/admin/deliveries", tag = "deliveries",
    operation_id = "list_deliveries", params(DeliveryQuery),
    responses((status = 200, body = UndeliveredList, description = "A page of results"),
        (status = 400, body = ProblemDetails, description = "A parameter cannot be read"),
    (status = 404, body = ProblemDetails, description = "No such account")))]
pub async fn list(
    State(admin): State<Arc<Admin>>,
    QueryParams(query): QueryParams<DeliveryQuery>,
) -> Result<Json<UndeliveredList>, Problem> {
    let limit = list::page_len(query.limit)?;
    let state = match query.state.unwrap_or_default() {
        Undelivered::Pending => JobState::Pending,
        Undelivered::Exhausted => JobState::Exhausted,
    };
    let page = blocking(&admin, move |admin| {
        if let Some(account) = &query.account {
            admin.account(account)?;
        }
        let page = admin.store().undelivered(
            query.account.as_ref(),
            state,
            query.cursor.as_deref(),
            limit,
        );
        page.map_err(list::bad_cursor)
    });
    let page = page.await?;
    let deliveries = page.jobs.iter().map(UndeliveredResult::of).collect();
    Ok(Json(UndeliveredList { deliveries, next_cursor: page.next_cursor }))
}

/// Pushes the result of one ended call again, whether or not it was delivered.
#[utoipa::path(post, path = "/admin/deliveries/{call_id}/redeliver", tag = "deliveries",
    operation_id = "redeliver_result",
    params(("call_id" = String, Path)),
    responses((status = 202, body = UndeliveredResult, description = "Queued"),
        (status = 404, body = ProblemDetails, description = "No such call"),
    (status = 409, body = ProblemDetails, description = "The call is live, its result is being \
        tried, or its account has no callback")))]
pub async fn redeliver(
    State(admin): State<Arc<Admin>>,
    PathParams(call_id): PathParams<CallId>,
) -> Result<(StatusCode, Json<UndeliveredResult>), Problem> {
    match admin.app.records.requeue_callback(&call_id).await? {
        RequeueOutcome::Queued(job) => {
            admin.app.notices.callbacks.notify(&job.queued());
            Ok((StatusCode::ACCEPTED, Json(UndeliveredResult::of(&job))))
        }
        RequeueOutcome::StillPending => Err(Problem::conflict(
            "callback_pending",
            "the result of this call is still being tried",
        )),
        RequeueOutcome::StillLive => Err(Problem::conflict("call_live", "the call has not ended")),
        RequeueOutcome::NotConfigured => {
            Err(Problem::conflict("no_callback", "the account has no callback URL"))
        }
        RequeueOutcome::UnknownCall => Err(unknown("call", call_id.as_str())),
    }
}

/// Which given-up results of an account to push again.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RedeliverAll {
    /// Of calls that started at this RFC 3339 time or later.
    #[schema(format = "date-time")]
    pub from: Option<String>,
    /// Of calls that started before this RFC 3339 time.
    #[schema(format = "date-time")]
    pub to: Option<String>,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Redelivered {
    /// Results that are pushed again.
    pub queued: usize,
    /// Whether there are more: repeat it.
    pub more: bool,
}

/// Pushes the results of an account that were given up again, the newest first, at most 1,000 at a
/// time.
#[utoipa::path(post, path = "/admin/accounts/{account}/deliveries/redeliver", tag = "deliveries",
    operation_id = "redeliver_account",
    params(("account" = String, Path)), request_body = Option<RedeliverAll>,
    responses((status = 202, body = Redelivered, description = "Queued"),
        (status = 400, body = ProblemDetails, description = "A time cannot be read"),
    (status = 404, body = ProblemDetails, description = "No such account"),
    (status = 409, body = ProblemDetails, description = "The account has no callback")))]
pub async fn redeliver_all(
    State(admin): State<Arc<Admin>>,
    PathParams(account): PathParams<AccountId>,
    range: Option<JsonBody<RedeliverAll>>,
) -> Result<(StatusCode, Json<Redelivered>), Problem> {
    let range = range.map(|JsonBody(range)| range).unwrap_or_default();
    let filter = CallFilter {
        callback: Some(JobState::Exhausted),
        from_ms: list::time("from", range.from)?,
        until_ms: list::time("to", range.to)?,
        ..CallFilter::default()
    };
    let page = blocking(&admin, move |admin| {
        if admin.account(&account)?.callback.is_none() {
            return Err(Problem::conflict("no_callback", "the account has no callback URL"));
        }
        Ok(admin.store().calls(&account, &filter, None, REDELIVERY_CAP)?)
    });
    let page = page.await?;
    let mut queued = 0;
    for call in page.calls {
        if let RequeueOutcome::Queued(job) =
            admin.app.records.requeue_callback(&call.call_id).await?
        {
            admin.app.notices.callbacks.notify(&job.queued());
            queued += 1;
        }
    }
    Ok((StatusCode::ACCEPTED, Json(Redelivered { queued, more: page.next_cursor.is_some() })))
}
