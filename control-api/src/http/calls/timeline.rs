//! `GET /calls/{call_id}/timeline`: the steps of a call and the attempts to deliver its result, in
//! the order of time.

use super::own_call;
use crate::app::App;
use crate::http::auth::ServerCaller;
use crate::http::extract::PathParams;
use crate::http::openapi::refusals::{CallPath, CallRefusals};
use crate::problem::Problem;
use crate::view::time::timestamp_ms;
use axum::Json;
use axum::extract::State;
use call_words::{CallId, LegKind};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use storage::{DeliveryAttempt, TimelineEntry};
use utoipa::ToSchema;

/// The timeline of a call.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Timeline {
    #[schema(format = "uuid")]
    pub call_id: String,
    pub entries: Vec<Step>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Step {
    /// With milliseconds.
    #[schema(example = "2026-07-03T10:00:00.250Z", format = "date-time")]
    pub time: String,
    /// Stable word, such as `accepted`, `invite_sent`, `ringing`, `answered`, `bridged`, `ended`,
    /// `callback_attempt`, `progress_attempt`.
    pub kind: String,
    pub leg: Option<LegKind>,
    /// Name of the participant or supervisor, if it is one's.
    pub party: Option<String>,
    pub sip_code: Option<u16>,
    pub trunk: Option<String>,
    /// One line for people.
    pub detail: Option<String>,
    /// Of a callback attempt: the status that the endpoint answered.
    pub http_status: Option<u16>,
    /// Of a callback attempt: which one of its cycle, from 1.
    pub attempt: Option<u32>,
    /// Of a callback attempt: whether it delivered the result.
    pub delivered: Option<bool>,
}

/// Reads the steps of a call.
#[utoipa::path(
    operation_id = "read_timeline", get, path = "/calls/{call_id}/timeline", tag = "calls",
    security(("server_key" = [])),
    params(CallPath),
    responses(
        (status = 200, description = "Each SIP and media milestone and each callback attempt",
            body = Timeline),
        CallRefusals,
    ),
)]
pub async fn read(
    State(app): State<Arc<App>>,
    caller: ServerCaller,
    PathParams(call_id): PathParams<CallId>,
) -> Result<Json<Timeline>, Problem> {
    let call = own_call(&app, &caller, call_id).await?;
    let steps = app.records.timeline(&call.call_id).await?;
    let deliveries = app.records.deliveries(&call.call_id).await?;
    let mut entries = vec![(call.start_ms, plain(call.start_ms, "accepted"))];
    entries.extend(steps.into_iter().map(|entry| (entry.at_ms, milestone(entry))));
    if let Some(end_ms) = call.end_ms {
        let detail = call.reason.as_ref().map(ToString::to_string);
        entries.push((end_ms, Step { sip_code: call.sip_code, detail, ..plain(end_ms, "ended") }));
    }
    entries.extend(deliveries.into_iter().map(|attempt| (attempt.at_ms, delivery(attempt))));
    // Stable: steps of the same millisecond stay in the order in which they were told.
    entries.sort_by_key(|(at_ms, _)| *at_ms);
    let entries = entries.into_iter().map(|(_, step)| step).collect();
    Ok(Json(Timeline { call_id: call.call_id.into(), entries }))
}

fn plain(at_ms: u64, kind: &str) -> Step {
    Step {
        time: timestamp_ms(at_ms),
        kind: kind.to_owned(),
        leg: None,
        party: None,
        sip_code: None,
        trunk: None,
        detail: None,
        http_status: None,
        attempt: None,
        delivered: None,
    }
}

fn milestone(entry: TimelineEntry) -> Step {
    Step {
        leg: entry.leg,
        party: entry.party,
        sip_code: entry.sip_code,
        trunk: entry.trunk.map(String::from),
        detail: entry.detail,
        ..plain(entry.at_ms, entry.kind.as_str())
    }
}

fn delivery(attempt: DeliveryAttempt) -> Step {
    Step {
        detail: attempt.error,
        http_status: attempt.http_status,
        attempt: Some(attempt.attempt),
        delivered: Some(attempt.delivered),
        ..plain(
            attempt.at_ms,
            if attempt.sequence.is_some() { "progress_attempt" } else { "callback_attempt" },
        )
    }
}
