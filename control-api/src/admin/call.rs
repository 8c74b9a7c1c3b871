//! Calls as operators see them: of each account, and those that are live.

use super::desk::{Admin, blocking};
use crate::http::calls::list::{self, CallList, ListQuery};
use crate::http::extract::{PathParams, QueryParams};
use crate::problem::{Problem, ProblemDetails};
use crate::view::call::CallView;
use axum::Json;
use axum::extract::State;
use call_words::AccountId;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// Lists an account's calls, newest first.
#[utoipa::path(get, path = "/admin/accounts/{account}/calls", tag = "calls",
    operation_id = "list_account_calls",
    params(("account" = String, Path), ListQuery),
    responses((status = 200, body = CallList, description = "A page of calls"),
        (status = 400, body = ProblemDetails, description = "A parameter cannot be read"),
    (status = 404, body = ProblemDetails, description = "No such account")))]
pub async fn of_account(
    State(admin): State<Arc<Admin>>,
    PathParams(account): PathParams<AccountId>,
    QueryParams(query): QueryParams<ListQuery>,
) -> Result<Json<CallList>, Problem> {
    let account = blocking(&admin, move |admin| admin.account(&account)).await?;
    list::page(&admin.app, account.id, account.region, query).await.map(Json)
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
