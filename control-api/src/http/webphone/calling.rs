//! A launched page and its call: start, read, disposition, end.

use super::session::{self, OpenSession, check_open, shown_call};
use super::view::PageCall;
use crate::agent::presence;
use crate::app::App;
use crate::call::admission::agent_offline;
use crate::call::order::{Order, Parties, Terms};
use crate::call::{change, party, place};
use crate::http::calls;
use crate::http::extract::JsonBody;
use crate::problem::Problem;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use call_words::{CallId, CallType, MediaFault};
use serde::Deserialize;
use std::sync::Arc;
use std::time::{Duration, Instant};
use storage::{Call, CreateOutcome, Storage, WebphoneSession};

/// Time in which the softphone has to have registered when its page starts the call.
const REGISTER_WAIT: Duration = Duration::from_secs(5);

/// What a page says when it starts its call.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Start {
    microphone: Microphone,
    /// Calls the customer once more after the session's call has ended.
    #[serde(default)]
    again: bool,
}

/// What became of the page's question for the microphone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Microphone {
    Granted,
    Denied,
    Missing,
    InUse,
}

impl Microphone {
    fn word(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Denied => "denied",
            Self::Missing => "missing",
            Self::InUse => "in_use",
        }
    }

    /// Why there is no call, unless there is a microphone.
    fn trouble(self) -> Option<MediaFault> {
        match self {
            Self::Granted => None,
            Self::Denied => Some(MediaFault::MicrophoneDenied),
            Self::Missing => Some(MediaFault::MicrophoneMissing),
            Self::InUse => Some(MediaFault::MicrophoneInUse),
        }
    }
}

/// Starts the session's call once the softphone is registered; 200 with the call if the agent has
/// one already. Without a microphone the call fails at once: it has a record and a callback, but
/// nobody's phone rings.
pub async fn start(
    State(app): State<Arc<App>>,
    open: OpenSession,
    JsonBody(start): JsonBody<Start>,
) -> Result<(StatusCode, Json<PageCall>), Problem> {
    let agent = open.agent_id();
    let session_id = open.session.id.clone();
    let prepared = {
        let session = open.session;
        app.records.visit(move |store| prepare(store, session, &start)).await?
    };
    let order = match prepared {
        Prepared::Order(order) => *order,
        Prepared::Call(call) => {
            return bind_and_show(&app, session_id, StatusCode::OK, *call).await;
        }
    };
    // A page that calls again and again, with a microphone or without, is held to the rate of the
    // link.
    let uses = [(
        format!("call {} {}", agent.account_id, agent.crm_username),
        app.config.softphone.launch_per_minute_per_agent,
    )];
    app.limits.launches.take(&uses, Instant::now()).map_err(|wait| {
        Problem::too_many_requests("rate_limited", "this agent starts calls too often", wait)
    })?;
    let is_online = start.microphone == Microphone::Granted
        && presence::wait_online(&app, &agent, REGISTER_WAIT).await;
    // Nothing is placed for a session that ended while the softphone was waited for.
    check_open(&app, session_id.clone()).await?;
    let outcome = match start.microphone.trouble() {
        Some(fault) => place::fail_for_media(&app, order, fault).await?,
        None if is_online => place::place(&app, order).await?,
        None => return Err(agent_offline()),
    };
    match outcome {
        CreateOutcome::Created { call, .. } => {
            bind_and_show(&app, session_id, StatusCode::CREATED, call).await
        }
        CreateOutcome::Existing(call) => {
            bind_and_show(&app, session_id, StatusCode::OK, call).await
        }
        CreateOutcome::InTheWay(other) => {
            bind_and_show(&app, session_id, StatusCode::OK, other.into_call()).await
        }
        CreateOutcome::UnknownAccount => Err(session::over()),
        CreateOutcome::UuidClash { .. } | CreateOutcome::IdempotencyClash { .. } => {
            Err(Problem::internal(&"a launched call has neither uuid nor Idempotency-Key"))
        }
    }
}

enum Prepared {
    Order(Box<Order>),
    /// The agent has a call, or the session had its own.
    Call(Box<Call>),
}

fn prepare(store: &Storage, session: WebphoneSession, start: &Start) -> Result<Prepared, Problem> {
    let WebphoneSession { account_id, crm_username, to_number, from_number, .. } = &session;
    let microphone = start.microphone.word().to_owned();
    store.change_softphone(account_id, crm_username, |softphone| {
        softphone.microphone = Some(microphone)
    })?;
    if let Some(call_id) = session.call_id.as_ref().filter(|_| !start.again)
        && let Some(call) = store.call(call_id)?
    {
        return Ok(Prepared::Call(Box::new(call)));
    }
    let account = store
        .account(account_id)?
        .ok_or_else(|| Problem::forbidden("account", "the account was deleted"))?;
    let parties = Parties {
        agent: party::agent(store, &account, None, Some(crm_username))?,
        customer: party::dialled("to_number", Some(to_number), &account)?,
        caller_id: party::caller_id(store, account_id, Some(from_number), account.region)?,
    };
    let terms = Terms {
        call_type: CallType::Browser,
        uuid: session.uuid.clone(),
        record: None,
        agent_confirm: None,
        hide_caller: false,
        disposition: None,
        fingerprint: session.id.clone(),
        idempotency_key: None,
    };
    let order = Order::new(store, account, parties, terms)?;
    let (customer, start_ms) = (&order.new.customer_number_e164, order.new.start_ms);
    if let Some(other) = store.in_the_way(
        &session.account_id,
        crm_username,
        CallType::Browser,
        customer,
        start_ms,
    )? {
        return Ok(Prepared::Call(Box::new(other.into_call())));
    }
    Ok(Prepared::Order(Box::new(order)))
}

/// The call, now carried by the session's page.
async fn bind_and_show(
    app: &App,
    session_id: String,
    status: StatusCode,
    call: Call,
) -> Result<(StatusCode, Json<PageCall>), Problem> {
    let now = app.records.bind_session(&session_id, &call.call_id).await?;
    let view = PageCall::from(&now.unwrap_or(call));
    Ok((status, Json(view)))
}

/// Reads the agent's live call, else the last one of the session.
pub async fn read(
    State(app): State<Arc<App>>,
    open: OpenSession,
) -> Result<Json<PageCall>, Problem> {
    let call = app.records.visit(move |store| shown_call(store, &open.session)).await?;
    call.as_ref().map(|call| Json(PageCall::from(call))).ok_or_else(no_call)
}

fn no_call() -> Problem {
    Problem::not_found("the session has no call")
}

/// Ends the agent's live call. Without one there is nothing to do.
pub async fn end(State(app): State<Arc<App>>, open: OpenSession) -> Result<StatusCode, Problem> {
    if let Some(call) = app.records.live_call_of(&open.agent_id()).await? {
        change::hang_up(&app, &call).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// The agent's verdict on a call.
#[derive(Debug, Deserialize)]
pub struct Verdict {
    disposition: String,
    /// Which of the agent's calls; the one that the session shows unless given.
    #[serde(default)]
    call_id: Option<CallId>,
}

/// Sets the disposition of the session's call, live or ended.
pub async fn change(
    State(app): State<Arc<App>>,
    open: OpenSession,
    JsonBody(verdict): JsonBody<Verdict>,
) -> Result<Json<PageCall>, Problem> {
    let Verdict { disposition, call_id } = verdict;
    let call = app
        .records
        .visit(move |store| {
            let session = open.session;
            let Some(call_id) = call_id else { return shown_call(store, &session) };
            let is_own = |call: &Call| {
                call.account_id == session.account_id
                    && call.crm_username.as_ref() == Some(&session.crm_username)
            };
            Ok(store.call(&calls::as_stored(&call_id))?.filter(is_own))
        })
        .await?;
    let call =
        change::set_disposition(&app, call.ok_or_else(no_call)?.call_id, disposition).await?;
    Ok(Json(PageCall::from(&call)))
}
