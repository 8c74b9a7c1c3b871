//! `POST /calls`: checks a request for a call, makes it durable, gives it to a shard, and answers without waiting for any phone (A21).
//! A request that is refused leaves no call and no callback (A7).

use super::{CallView, check_disposition};
use crate::{
    app::{App, now_ms},
    auth::ServerCaller,
    lifecycle,
    limits::{Exceeded, Line},
    link::{NoShard, Placement},
    number::{self, E164, Region},
    problem::{JsonBody, Problem, ProblemDetails},
    recordings,
    routing::{self, ResolvedTrunk},
};
use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use control_wire::{AgentTarget, PlaceCall};
use serde::{Deserialize, Serialize};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use storage::{Account, CallType, CreateOutcome, FinalCall, NewCall, Storage, Trunk};
use utoipa::ToSchema;

const DEFAULT_DISPOSITION: &str = "CRM_CALL";
const MAX_UUID_CHARS: usize = 128;
const MAX_USERNAME_CHARS: usize = 128;
const MAX_IDEMPOTENCY_KEY_LEN: usize = 255;
/// Assigned numbers that an error names.
const MAX_NAMED_NUMBERS: usize = 50;
/// Waits that are proposed when calls cannot be placed at the moment.
const NO_TRUNK_RETRY: Duration = Duration::from_secs(60);
const NO_SHARD_RETRY: Duration = Duration::from_secs(5);

/// A call to place: the agent's phone is rung first, then the customer's, then both are joined. Other keys are ignored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct CreateCall {
    /// Caller ID: one of the account's assigned numbers.
    #[schema(example = "+918047000000", required = true, nullable = false)]
    pub from_number: Option<String>,
    /// The customer's number: E.164, `00…`, national with or without `0`, or `tel:`.
    #[schema(example = "9876543210", required = true, nullable = false)]
    pub to_number: Option<String>,
    /// The agent's phone. Exactly one of `agent_number` and `crm_username` is given.
    #[schema(example = "9876543211")]
    pub agent_number: Option<String>,
    /// A registered agent, whose softphone is to be rung.
    pub crm_username: Option<String>,
    /// The caller's own id of the call, 1 to 128 characters, echoed unchanged; `call_id` unless given. The same `uuid` with the same
    /// body while the first call is live or less than 60 s old names that call; with another body it is refused.
    #[schema(example = "your-own-call-id", min_length = 1, max_length = 128)]
    pub uuid: Option<String>,
    /// Whether to record the call; the account's setting unless given.
    pub record: Option<bool>,
    /// 1 to 64 characters; `CRM_CALL` unless given.
    #[schema(example = "CRM_CALL", min_length = 1, max_length = 64)]
    pub disposition: Option<String>,
}

/// Places a call.
///
/// Answers when the call is durable; its result is pushed to the callback URL and can be read under `Location`.
#[utoipa::path(
    post, path = "/calls", tag = "calls", security(("server_key" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 characters; for 24 h the same key and body name the same call")),
    request_body = CreateCall,
    responses(
        (status = 201, description = "The call is placed", body = CallView, headers(("Location" = String, description = "Path of the call"))),
        (status = 200, description = "The same request came before; this is its call", body = CallView, headers(("Location" = String, description = "Path of the call"))),
        (status = 400, description = "Not the expected JSON", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 401, description = "No, unknown or expired key", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 403, description = "Class or address of the key, a key in the query string, or a `from_number` that is not assigned", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 409, description = "The agent's softphone is offline, or `uuid` or `Idempotency-Key` was used for another request", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 413, description = "Body too long", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 422, description = "A number, the agent or another field is wrong", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 429, description = "The account's limit of concurrent calls or calls per second is reached", body = ProblemDetails, content_type = "application/problem+json",
            headers(("Retry-After" = u64, description = "Seconds"))),
        (status = 503, description = "No line at the moment", body = ProblemDetails, content_type = "application/problem+json",
            headers(("Retry-After" = u64, description = "Seconds"))),
    ),
)]
pub async fn create(
    State(app): State<Arc<App>>,
    caller: ServerCaller,
    headers: HeaderMap,
    JsonBody(body): JsonBody<CreateCall>,
) -> Result<Response, Problem> {
    let idempotency_key = idempotency_key(&headers)?;
    let request = {
        let account_id = caller.account_id;
        app.with_store(move |store| Ok(Request::check(store, &account_id, body, idempotency_key))).await??
    };
    let request = match request {
        Checked::New(request) => *request,
        Checked::Earlier(outcome) => return answer(&app, *outcome),
    };
    let line = app.lines.take(&request.account.id, &request.account.limits, Instant::now()).map_err(limit_problem)?;
    let (trunks, trunk_line) = free_trunks(&app, request.trunks.clone()).await?;
    let placement = app.link.reserve(&request.new.call_id).map_err(no_shard_problem)?;
    place(&app, request, [line, trunk_line], trunks, placement).await
}

/// Makes the call durable, then sends it. Runs to its end even if the client goes away meanwhile.
async fn place(
    app: &Arc<App>,
    request: Request,
    [line, trunk_line]: [Line; 2],
    trunks: Vec<ResolvedTrunk>,
    placement: Placement,
) -> Result<Response, Problem> {
    let app_of_task = Arc::clone(app);
    let task = tokio::spawn(async move {
        let app = app_of_task;
        let place_call = request.place_call(&trunks);
        let (new, owner) = (request.new, placement.owner().clone());
        let outcome = app
            .with_store(move |store| {
                let outcome = store.create_call(new)?;
                if let CreateOutcome::Created(call) = &outcome {
                    store.assign_call(&call.call_id, owner)?;
                }
                Ok(outcome)
            })
            .await?;
        if let CreateOutcome::Created(call) = &outcome {
            line.keep();
            app.trunk_lines.hold(&call.call_id, trunk_line);
            tracing::info!(call_id = %call.call_id, account_id = %call.account_id, "call accepted");
            if placement.send(place_call).is_err() {
                lifecycle::end_call(&app, &call.call_id, FinalCall::failed("system", now_ms())).await?;
            }
        }
        Ok::<_, Problem>(outcome)
    });
    answer(app, task.await.expect("placing a call does not panic")?)
}

/// The trunks that can be reached and have room, and a line of the first.
async fn free_trunks(app: &App, trunks: Vec<Trunk>) -> Result<(Vec<ResolvedTrunk>, Line), Problem> {
    let ready = app.resolver.ready_trunks(trunks, &app.master_key).await;
    if ready.is_empty() {
        return Err(Problem::unavailable("no_trunk", "no trunk of the account can be reached", NO_TRUNK_RETRY));
    }
    let now = Instant::now();
    let take = |trunk: ResolvedTrunk| app.trunk_lines.take(trunk.id(), trunk.max_calls(), now).map(|line| (trunk, line));
    let (trunks, lines): (Vec<_>, Vec<_>) = ready.into_iter().filter_map(take).unzip();
    // The lines of the trunks that are only there for failover are given back at once.
    let line = lines.into_iter().next();
    let line = line.ok_or_else(|| {
        Problem::unavailable("trunks_full", "the account's trunks carry all the calls that they may", NO_SHARD_RETRY)
    })?;
    Ok((trunks, line))
}

fn answer(app: &App, outcome: CreateOutcome) -> Result<Response, Problem> {
    let (status, call) = match outcome {
        CreateOutcome::Created(call) => (StatusCode::CREATED, call),
        CreateOutcome::Existing(call) => (StatusCode::OK, call),
        CreateOutcome::UuidClash { call_id } => {
            let detail = format!("call {call_id} has this uuid and another body, and is live or less than 60 s old");
            return Err(Problem::conflict("uuid_clash", detail).with_field("uuid", "already used"));
        }
        CreateOutcome::IdempotencyClash { call_id } => {
            let detail = format!("call {call_id} was placed with this Idempotency-Key and another body");
            return Err(Problem::conflict("idempotency_clash", detail).with_field("Idempotency-Key", "already used"));
        }
    };
    let location = HeaderValue::from_str(&format!("/calls/{}", call.call_id)).expect("a UUID is plain ASCII");
    Ok((status, [(header::LOCATION, location)], Json(CallView::of(&call, &app.config.public.url))).into_response())
}

fn limit_problem(exceeded: Exceeded) -> Problem {
    match exceeded {
        Exceeded::Concurrency { retry_after } => {
            Problem::too_many_requests("concurrency_limit", "the account has as many calls as it may have at once", retry_after)
        }
        Exceeded::Rate { retry_after } => {
            Problem::too_many_requests("rate_limit", "the account starts as many calls per second as it may", retry_after)
        }
    }
}

fn no_shard_problem(refusal: NoShard) -> Problem {
    let (code, detail) = match refusal {
        NoShard::Disconnected => ("no_edge", "no media server is connected"),
        NoShard::Draining => ("draining", "the media servers are draining"),
        NoShard::Full => ("capacity", "the media servers have no free line"),
    };
    Problem::unavailable(code, detail, NO_SHARD_RETRY)
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let key = value.to_str().ok().filter(|key| (1..=MAX_IDEMPOTENCY_KEY_LEN).contains(&key.len()));
    key.map(|key| Some(key.to_owned())).ok_or_else(|| {
        let detail = format!("allowed are 1 to {MAX_IDEMPOTENCY_KEY_LEN} visible ASCII characters");
        Problem::bad_request("malformed_header", format!("Idempotency-Key: {detail}")).with_field("Idempotency-Key", detail)
    })
}

/// A request that may become a call.
struct Request {
    new: NewCall,
    account: Account,
    region: Region,
    agent: E164,
    customer: E164,
    caller_id: E164,
    trunks: Vec<Trunk>,
}

enum Checked {
    New(Box<Request>),
    /// The uuid or Idempotency-Key rule answers it.
    Earlier(Box<CreateOutcome>),
}

impl Request {
    fn check(store: &Storage, account_id: &str, body: CreateCall, idempotency_key: Option<String>) -> Result<Checked, Problem> {
        let account = store.account(account_id)?.ok_or_else(|| Problem::forbidden("account", "the key's account was deleted"))?;
        let region: Region = account.region.parse().unwrap_or(Region::INDIA);
        check_text("uuid", body.uuid.as_deref(), MAX_UUID_CHARS)?;
        body.disposition.as_deref().map_or(Ok(()), check_disposition)?;
        let (to_number, customer) = required_number("to_number", body.to_number.as_ref(), region)?;
        let caller_id = assigned_number(store, account_id, body.from_number.as_deref(), region)?;
        let (agent_number, agent) = agent_number(store, account_id, &body, region)?;
        let start_ms = now_ms();
        let call_id = uuid::Uuid::new_v4().to_string();
        let record = body.record.unwrap_or(account.record_by_default);
        let new = NewCall {
            call_id,
            account_id: account_id.to_owned(),
            fingerprint: fingerprint(&body),
            uuid: body.uuid,
            call_type: CallType::Server,
            customer_number: to_number,
            customer_number_e164: customer.as_str().to_owned(),
            agent_number: Some(agent_number),
            agent_number_e164: Some(agent.as_str().to_owned()),
            crm_username: None,
            from_number: caller_id.as_str().to_owned(),
            disposition: body.disposition.unwrap_or_else(|| DEFAULT_DISPOSITION.to_owned()),
            recording_file: record.then(recordings::fresh_name),
            idempotency_key,
            start_ms,
        };
        if let Some(outcome) = store.earlier_call(&new)? {
            return Ok(Checked::Earlier(Box::new(outcome)));
        }
        let trunks: Result<Vec<_>, _> = account.trunks.iter().map(|trunk_id| store.trunk(trunk_id)).collect();
        let trunks = trunks?.into_iter().flatten().collect();
        Ok(Checked::New(Box::new(Self { new, account, region, agent, customer, caller_id, trunks })))
    }

    fn place_call(&self, trunks: &[ResolvedTrunk]) -> PlaceCall {
        let leg = |number, ring_ms| routing::destination(trunks, number, &self.caller_id, self.region, ring_ms);
        PlaceCall {
            call_id: self.new.call_id.clone(),
            account_id: self.account.id.clone(),
            agent: AgentTarget::Phone(leg(&self.agent, self.account.agent_ring_ms)),
            customer: leg(&self.customer, self.account.customer_ring_ms),
            max_duration_ms: self.account.max_duration_ms,
            no_media_ms: self.account.no_media_ms,
            recording: self.new.recording_file.clone(),
        }
    }
}

fn check_text(field: &str, text: Option<&str>, max_chars: usize) -> Result<(), Problem> {
    let is_fine = text.is_none_or(|text| (1..=max_chars).contains(&text.chars().count()));
    let detail = format!("allowed are 1 to {max_chars} characters");
    if is_fine { Ok(()) } else { Err(Problem::unprocessable(field, &format!("invalid_{field}"), detail)) }
}

fn required_number(field: &str, text: Option<&String>, region: Region) -> Result<(String, E164), Problem> {
    let text = text.ok_or_else(|| Problem::unprocessable(field, "missing_field", "is required"))?;
    let e164 = number::normalise(text, region)
        .map_err(|refusal| Problem::unprocessable(field, "invalid_number", refusal.to_string()))?;
    Ok((text.clone(), e164))
}

/// The caller ID, which must be one of the account's (S08).
fn assigned_number(store: &Storage, account_id: &str, text: Option<&str>, region: Region) -> Result<E164, Problem> {
    let text = text.ok_or_else(|| Problem::unprocessable("from_number", "missing_field", "is required"))?;
    if let Ok(e164) = number::normalise(text, region)
        && store.number(e164.as_str())?.is_some_and(|number| number.account_id == account_id)
    {
        return Ok(e164);
    }
    let numbers = store.numbers(account_id)?;
    let named = numbers.into_iter().take(MAX_NAMED_NUMBERS).map(|number| number.e164).collect();
    let detail = "from_number: not one of the numbers assigned to the account";
    let problem =
        Problem::forbidden("from_number_not_assigned", detail).with_field("from_number", "allowed are assigned_numbers");
    Err(problem.with_assigned_numbers(named))
}

/// The agent's phone. Softphones are known by name, but none can be rung by this process.
fn agent_number(store: &Storage, account_id: &str, body: &CreateCall, region: Region) -> Result<(String, E164), Problem> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
    match (given(&body.agent_number), given(&body.crm_username)) {
        (Some(number), None) => required_number("agent_number", Some(&number), region),
        (None, Some(crm_username)) => {
            check_text("crm_username", Some(&crm_username), MAX_USERNAME_CHARS)?;
            Err(match store.agent(account_id, &crm_username)? {
                Some(_) => Problem::conflict("agent_offline", "crm_username: the agent's softphone is not online"),
                None => Problem::unprocessable("crm_username", "unknown_agent", "is not a registered agent of the account"),
            })
        }
        (both_or_neither, _) => {
            let (code, detail) = match both_or_neither {
                Some(_) => ("ambiguous_agent", "give either agent_number or crm_username, not both"),
                None => ("missing_agent", "agent_number or crm_username is required"),
            };
            let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail);
            Err(problem.with_field("agent_number", detail).with_field("crm_username", detail))
        }
    }
}

/// What makes two requests the same: every key that is not ignored.
fn fingerprint(body: &CreateCall) -> String {
    let text = serde_json::to_vec(body).expect("strings and booleans only");
    let digest = ring::digest::digest(&ring::digest::SHA256, &text);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
