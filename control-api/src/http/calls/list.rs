//! `GET /calls`: filters and pages.

use crate::app::App;
use crate::http::auth::ServerCaller;
use crate::http::extract::QueryParams;
use crate::http::openapi::refusals::KeyRefusals;
use crate::number;
use crate::problem::{Problem, ProblemDetails};
use crate::view::call::CallView;
use axum::Json;
use axum::extract::State;
use call_words::{AccountId, CallStatus, CallType, JobState};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use storage::{Call, CallFilter, Region};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::{IntoParams, ToSchema};

const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 200;

/// Which calls to list. All conditions must hold.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Final disposition.
    #[param(inline)]
    pub status: Option<CallStatus>,
    /// Only live calls, or only ended ones.
    pub live: Option<bool>,
    /// The caller's own id of the call.
    pub uuid: Option<String>,
    /// The agent, exactly.
    pub crm_username: Option<String>,
    /// The agent's number in any form that is accepted for calls.
    pub agent_number: Option<String>,
    /// The customer's number in any form that is accepted for calls.
    pub customer_number: Option<String>,
    /// The caller ID in any form that is accepted for calls.
    pub from_number: Option<String>,
    pub disposition: Option<String>,
    #[param(inline)]
    pub call_type: Option<CallType>,
    /// Calls whose result stands so; `exhausted` are those that were given up.
    #[param(inline)]
    pub callback: Option<JobState>,
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

/// One page of calls.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CallList {
    /// Newest first.
    pub calls: Vec<CallView>,
    /// `cursor` of the next page; `null` at the end. A page may hold fewer calls than its limit,
    /// even none, and still have a next one.
    pub next_cursor: Option<String>,
}

/// Lists the account's calls, newest first.
#[utoipa::path(
    get, path = "/calls", tag = "calls", security(("server_key" = [])), params(ListQuery),
    responses(
        (status = 200, description = "A page of calls", body = CallList),
        KeyRefusals,
        (status = 400, description = "A parameter cannot be read", body = ProblemDetails,
            content_type = "application/problem+json"),
    ),
)]
pub async fn list(
    State(app): State<Arc<App>>,
    caller: ServerCaller,
    QueryParams(query): QueryParams<ListQuery>,
) -> Result<Json<CallList>, Problem> {
    let account_id = caller.account_id;
    let account = app.records.account(&account_id).await?;
    let region = account.as_ref().map_or(Region::INDIA, |account| account.region);
    page(&app, account_id, region, query).await.map(Json)
}

/// A page of the calls of an account of this region.
pub async fn page(
    app: &App,
    account_id: AccountId,
    region: Region,
    query: ListQuery,
) -> Result<CallList, Problem> {
    let limit = page_len(query.limit)?;
    let cursor = query.cursor.clone();
    let filter = filter(query, region)?;
    let public_url = app.config.public.url.clone();
    let page = app.records.visit(move |store| {
        let page = store.calls(&account_id, &filter, cursor.as_deref(), limit)?;
        let view = |call: &Call| {
            let job =
                if call.is_live() { None } else { store.callback_job(call.call_id.as_str())? };
            Ok(CallView::with_result(call, job.as_ref(), &public_url))
        };
        let calls = page.calls.iter().map(view).collect::<storage::Result<_>>()?;
        Ok(CallList { calls, next_cursor: page.next_cursor })
    });
    page.await.map_err(bad_cursor)
}

/// 400 for a cursor that is none.
pub fn bad_cursor(error: storage::Error) -> Problem {
    match error {
        storage::Error::BadCursor => {
            refused("cursor", "allowed is the next_cursor of an earlier page")
        }
        other => other.into(),
    }
}

/// The limit that is given, or the default.
pub fn page_len(given: Option<usize>) -> Result<usize, Problem> {
    let limit = given.unwrap_or(DEFAULT_LIMIT);
    let is_allowed = (1..=MAX_LIMIT).contains(&limit);
    is_allowed
        .then_some(limit)
        .ok_or_else(|| refused("limit", &format!("allowed is 1 to {MAX_LIMIT}")))
}

fn filter(query: ListQuery, region: Region) -> Result<CallFilter, Problem> {
    let number = |name: &str, text: Option<String>| {
        let e164 = text
            .map(|text| number::normalise(&text, region).map(|e164| e164.as_str().to_owned()))
            .transpose();
        e164.map_err(|refusal| refused(name, &refusal.to_string()))
    };
    Ok(CallFilter {
        uuid: query.uuid,
        status: query.status,
        live: query.live,
        call_type: query.call_type,
        crm_username: query.crm_username,
        agent_number_e164: number("agent_number", query.agent_number)?,
        customer_number_e164: number("customer_number", query.customer_number)?,
        from_number: number("from_number", query.from_number)?,
        disposition: query.disposition,
        callback: query.callback,
        from_ms: time("from", query.from)?,
        until_ms: time("to", query.to)?,
    })
}

/// Unix milliseconds of a parameter that is a time.
pub fn time(name: &str, text: Option<String>) -> Result<Option<u64>, Problem> {
    // The raw `+` of a time zone is a space in a query; RFC 3339 has none where one could be meant.
    let at = text.map(|text| OffsetDateTime::parse(&text.replace(' ', "+"), &Rfc3339)).transpose();
    let at =
        at.map_err(|_| refused(name, "allowed is an RFC 3339 time such as 2026-07-03T10:00:00Z"))?;
    Ok(at.map(|at| u64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or(0)))
}

fn refused(parameter: &str, detail: &str) -> Problem {
    Problem::bad_request("malformed_query", format!("{parameter}: {detail}"))
        .with_field(parameter, detail)
}
