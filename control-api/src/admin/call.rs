//! Calls as operators see them: of each account, and those that are live.

use super::desk::{Admin, blocking};
use crate::http::calls::list::{self, CallList};
use crate::http::extract::{PathParams, QueryParams};
use crate::problem::{Problem, ProblemDetails};
use crate::view::call::CallView;
use axum::Json;
use axum::extract::State;
use call_words::{AccountId, JobState};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use storage::CallFilter;
use utoipa::{IntoParams, ToSchema};

/// Which of an account's calls to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AccountCallsQuery {
    /// Calls whose result stands so.
    #[param(inline)]
    pub callback: Option<JobState>,
    pub uuid: Option<String>,
    /// Calls that started at this RFC 3339 time or later.
    #[param(format = "date-time")]
    pub from: Option<String>,
    /// Calls that started before this RFC 3339 time.
    #[param(format = "date-time")]
    pub to: Option<String>,
    /// Most calls on the page, 1 to 200; 50 unless given.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<usize>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// Lists an account's calls, newest first.
#[utoipa::path(get, path = "/admin/accounts/{account}/calls", tag = "calls",
    operation_id = "list_account_calls",
    params(("account" = String, Path), AccountCallsQuery),
    responses((status = 200, body = CallList, description = "A page of calls"),
        (status = 400, body = ProblemDetails, description = "A parameter cannot be read"),
    (status = 404, body = ProblemDetails, description = "No such account")))]
pub async fn of_account(
    State(admin): State<Arc<Admin>>,
    PathParams(account): PathParams<AccountId>,
    QueryParams(query): QueryParams<AccountCallsQuery>,
) -> Result<Json<CallList>, Problem> {
    let limit = list::page_len(query.limit)?;
    let filter = CallFilter {
        uuid: query.uuid,
        callback: query.callback,
        from_ms: list::time("from", query.from)?,
        until_ms: list::time("to", query.to)?,
        ..CallFilter::default()
    };
    let account = blocking(&admin, move |admin| admin.account(&account)).await?;
    list::page(&admin.app, account.id, filter, query.cursor, limit).await.map(Json)
}

/// A live call of some account.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LiveCall {
    #[schema(example = "demo")]
    pub account: String,
    #[serde(flatten)]
    pub call: CallView,
}

/// Lists the calls of all accounts that have not ended, the oldest first.
#[utoipa::path(get, path = "/admin/calls/live", tag = "calls", operation_id = "list_live_calls",
    responses((status = 200, body = Vec<LiveCall>, description = "All live calls")))]
pub async fn live(State(admin): State<Arc<Admin>>) -> Result<Json<Vec<LiveCall>>, Problem> {
    let mut calls = blocking(&admin, |admin| Ok(admin.store().live_calls()?)).await?;
    calls.sort_by_key(|call| call.start_ms);
    let view = |call: &storage::Call| LiveCall {
        account: call.account_id.to_string(),
        call: CallView::of(call, &admin.app.config.public.url),
    };
    Ok(Json(calls.iter().map(view).collect()))
}
