//! `POST /calls`: checks a request for a call, has it placed, and answers without waiting for any
//! phone (A21). A request that is refused leaves no call and no callback (A7).

use super::shown_with_result;
use crate::agent::presence;
use crate::app::App;
use crate::call::admission::agent_offline;
use crate::call::change::check_disposition;
use crate::call::order::{Order, Parties, Terms};
use crate::call::{party, place};
use crate::http::auth::ServerCaller;
use crate::http::extract::JsonBody;
use crate::http::openapi::refusals::{BodyRefusals, CallerIdRefusals, KeyRefusals};
use crate::idempotency;
use crate::problem::{Problem, ProblemDetails};
use crate::view::call::CallView;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use call_words::{AccountId, CallType};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use storage::{CreateOutcome, Storage, UUID_WINDOW_MS};
use utoipa::ToSchema;

/// A call to place: the agent's phone or softphone is rung first, then the customer's, then both
/// are joined. Other keys are ignored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct CreateCall {
    /// Caller ID: one of the account's assigned numbers.
    #[schema(
        example = "+918047000000",
        required = true,
        nullable = false,
        min_length = 3,
        max_length = 96
    )]
    pub from_number: Option<String>,
    /// The customer's number: E.164, `00…`, national with or without `0`, or `tel:`.
    #[schema(
        example = "9876543210",
        required = true,
        nullable = false,
        min_length = 3,
        max_length = 96
    )]
    pub to_number: Option<String>,
    /// The agent's phone. Exactly one of `agent_number` and `crm_username` is given.
    #[schema(example = "9876543211", min_length = 3, max_length = 96)]
    pub agent_number: Option<String>,
    /// A registered agent, whose softphone is to be rung: it must be online.
    pub crm_username: Option<String>,
    /// The caller's own id of the call, 1 to 128 characters, echoed unchanged; `call_id` unless
    /// given. The same `uuid` with the same body while the first call is live or less than 60 s old
    /// names that call; with another body it is refused.
    #[schema(example = "your-own-call-id", min_length = 1, max_length = 128)]
    pub uuid: Option<String>,
    /// Whether to record the call; the account's setting unless given.
    pub record: Option<bool>,
    /// Whether the customer is only dialled once `1` is pressed on the agent's phone, within 15 s
    /// of its answer; else the call is `FAILED` with `agent_not_confirmed`. The account's setting
    /// unless given. A softphone is not asked.
    // Left out, it makes no difference between requests of before and after it came to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_confirm: Option<bool>,
    /// Whether the customer, and whoever is brought into the call, sees no number: From says
    /// `anonymous` then, and `Privacy: id` (RFC 3323); only trunks that are `trusted` are told
    /// `from_number`. The agent's phone sees it. `false` unless given; a trunk that hides all its
    /// callers hides this one, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hide_caller: Option<bool>,
    /// 1 to 64 characters; `CRM_CALL` unless given.
    #[schema(example = "CRM_CALL", min_length = 1, max_length = 64)]
    pub disposition: Option<String>,
}

/// Places a call.
///
/// Answers when the call is durable; its result is pushed to the callback URL and can be read under
/// `Location`.
#[utoipa::path(
    post, path = "/calls", tag = "calls", security(("server_key" = [])),
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255,
        description = "1 to 255 characters; for 24 h the same key and body name the same call")),
    request_body = CreateCall,
    responses(
        (status = 201, description = "The call is placed", body = CallView,
            headers(("Location" = String, description = "Path of the call"))),
        (status = 200, description = "The same request came before; this is its call",
            body = CallView, headers(("Location" = String, description = "Path of the call"))),
        KeyRefusals,
        BodyRefusals,
        CallerIdRefusals,
        (status = 409, description = "The agent's softphone is offline or in a call, or `uuid` or \
            `Idempotency-Key` was used for another request", body = ProblemDetails,
            content_type = "application/problem+json"),
        (status = 422, description = "A number, the agent or another field is wrong",
            body = ProblemDetails, content_type = "application/problem+json"),
        (status = 429, description = "The account's limit of concurrent calls or calls per second \
            is reached", body = ProblemDetails, content_type = "application/problem+json",
            headers(("Retry-After" = u64, description = "Seconds"))),
        (status = 503, description = "No line at the moment", body = ProblemDetails,
            content_type = "application/problem+json",
            headers(("Retry-After" = u64, description = "Seconds"))),
    ),
)]
pub async fn create(
    State(app): State<Arc<App>>,
    caller: ServerCaller,
    headers: HeaderMap,
    JsonBody(body): JsonBody<CreateCall>,
) -> Result<Response, Problem> {
    let idempotency_key = idempotency::key(&headers)?;
    let _turn =
        app.turns.take(&caller.account_id, body.uuid.as_deref(), idempotency_key.as_deref()).await;
    let order = {
        let account_id = caller.account_id;
        let checked =
            move |store: &_| check(store, &account_id, body.clone(), idempotency_key.clone());
        app.records.look(checked).await?
    };
    let order = match order {
        Checked::New(order) => *order,
        Checked::Earlier(outcome) => return answer(&app, *outcome).await,
    };
    if let Some(agent) = order.softphone()
        && !presence::is_online(&app, &agent)
    {
        return Err(agent_offline());
    }
    answer(&app, place::place(&app, order).await?).await
}

async fn answer(app: &App, outcome: CreateOutcome) -> Result<Response, Problem> {
    let (status, call) = match outcome {
        CreateOutcome::Created { call, .. } => (StatusCode::CREATED, call),
        CreateOutcome::Existing(call) => (StatusCode::OK, call),
        CreateOutcome::UuidClash { call_id } => {
            let window_s = UUID_WINDOW_MS / 1000;
            let detail = format!(
                "call {call_id} has this uuid and another body, and is live or less than \
                    {window_s} s old"
            );
            return Err(Problem::conflict("uuid_clash", detail).with_field("uuid", "already used"));
        }
        CreateOutcome::UnknownAccount => return Err(account_gone()),
        CreateOutcome::IdempotencyClash { call_id } => {
            let detail =
                format!("call {call_id} was placed with this Idempotency-Key and another body");
            return Err(idempotency::clash(detail));
        }
        CreateOutcome::InTheWay(in_the_way) => {
            let call_id = in_the_way.into_call().call_id;
            return Err(Problem::conflict(
                "agent_busy",
                format!("crm_username: the agent's softphone is in call {call_id}"),
            ));
        }
    };
    let location =
        HeaderValue::from_str(&format!("/calls/{}", call.call_id)).expect("a UUID is plain ASCII");
    Ok((status, [(header::LOCATION, location)], shown_with_result(app, &call).await?)
        .into_response())
}

fn account_gone() -> Problem {
    Problem::forbidden("account", "the key's account was deleted")
}

enum Checked {
    New(Box<Order>),
    /// The uuid or Idempotency-Key rule answers it, or the agent's other call.
    Earlier(Box<CreateOutcome>),
}

fn check(
    store: &Storage,
    account_id: &AccountId,
    body: CreateCall,
    idempotency_key: Option<String>,
) -> Result<Checked, Problem> {
    let account = store.account(account_id)?.ok_or_else(account_gone)?;
    party::check_text("uuid", body.uuid.as_deref(), party::MAX_UUID_CHARS)?;
    body.disposition.as_deref().map_or(Ok(()), check_disposition)?;
    let agent = [body.agent_number.as_deref(), body.crm_username.as_deref()];
    party::check_given(body.from_number.as_deref(), body.to_number.as_deref(), agent)?;
    let parties = Parties {
        customer: party::dialled("to_number", body.to_number.as_deref(), &account)?,
        caller_id: party::caller_id(
            store,
            account_id,
            body.from_number.as_deref(),
            account.region,
        )?,
        agent: party::agent(
            store,
            &account,
            body.agent_number.as_deref(),
            body.crm_username.as_deref(),
        )?,
    };
    // `call_type` tells which of the guide's two flows placed the call, whatever phone the agent
    // has (S01).
    let terms = Terms {
        call_type: CallType::Server,
        fingerprint: idempotency::fingerprint(&body),
        uuid: body.uuid,
        record: body.record,
        agent_confirm: body.agent_confirm,
        hide_caller: body.hide_caller.unwrap_or(false),
        disposition: body.disposition,
        idempotency_key,
    };
    let order = Order::new(store, account, parties, terms)?;
    if let Some(outcome) = store.earlier_call(&order.new)? {
        return Ok(Checked::Earlier(Box::new(outcome)));
    }
    if let Some(agent) = order.softphone()
        && let Some(call) = store.in_the_way(
            account_id,
            &agent.crm_username,
            CallType::Server,
            &order.new.customer_number_e164,
            order.new.start_ms,
        )?
    {
        return Ok(Checked::Earlier(Box::new(CreateOutcome::InTheWay(call))));
    }
    Ok(Checked::New(Box::new(order)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key added later leaves requests without it the same, so that a repetition is known
    /// whatever version took the first.
    #[test]
    fn a_request_is_compared_by_the_keys_that_it_always_had() {
        let body = serde_json::to_string(&CreateCall::default()).unwrap();
        let always = [
            "from_number",
            "to_number",
            "agent_number",
            "crm_username",
            "uuid",
            "record",
            "disposition",
        ];
        assert_eq!(body, format!("{{{}}}", always.map(|key| format!("\"{key}\":null")).join(",")));
    }
}
