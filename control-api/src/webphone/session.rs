//! The session of a launched page: opened once by its launch token, then known by a secret of which only a hash is stored, so that pages
//! go on when this process restarts. What a page does with its call is `calling`'s.

use super::{
    launch::AgentName,
    ticket::{Ticket, token_over},
    view::CallView,
};
use crate::{
    app::{App, now_ms},
    calls,
    problem::{JsonBody, Problem},
    secret,
    softphone::{self, AgentId, SipAccess},
};
use axum::{
    Json,
    extract::{FromRequestParts, State},
    http::{HeaderValue, StatusCode, header, request::Parts},
};
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};
use storage::{Agent, Call, CallType, InTheWay, Storage, WebphoneSession};

/// Longest secret that is looked at.
const MAX_SECRET_LEN: usize = 256;
const NO_EDGE_RETRY: Duration = Duration::from_secs(5);

/// An open session, of an agent who is still registered.
pub struct OpenSession {
    pub session: WebphoneSession,
}

impl OpenSession {
    pub fn agent_id(&self) -> AgentId {
        AgentId { account_id: self.session.account_id.clone(), crm_username: self.session.crm_username.clone() }
    }
}

impl FromRequestParts<Arc<App>> for OpenSession {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let secret = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let secret = secret.and_then(|value| value.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("session"));
        let secret = secret.map(|(_, secret)| secret.trim().to_owned()).filter(|secret| secret.len() <= MAX_SECRET_LEN);
        let secret = secret.ok_or_else(|| unknown_session("send the session as Authorization: Session SECRET"))?;
        let found = app.with_store(move |store| find(store, &secret)).await?;
        found.ok_or_else(|| unknown_session("the session is over: open the launch link again"))
    }
}

fn unknown_session(detail: &str) -> Problem {
    let challenge = HeaderValue::from_static("Session realm=\"webphone\"");
    Problem::new(StatusCode::UNAUTHORIZED, "session_over", detail).with_header(header::WWW_AUTHENTICATE, challenge)
}

fn find(store: &Storage, secret: &str) -> Result<Option<OpenSession>, storage::Error> {
    let Some((id, _)) = secret.split_once('.') else { return Ok(None) };
    let hash = secret::hash(secret);
    let is_open = |session: &WebphoneSession| session.secret_hash == hash && !session.is_closed && now_ms() < session.expires_ms;
    let Some(session) = store.session(id)?.filter(is_open) else { return Ok(None) };
    let agent = store.agent(&session.account_id, &session.crm_username)?;
    Ok(agent.map(|_| OpenSession { session }))
}

/// The call that a page shows: the agent's live one, else the last one that the session could have seen.
pub fn shown_call(store: &Storage, session: &WebphoneSession) -> Result<Option<Call>, storage::Error> {
    let last = store.softphone_call(&session.account_id, &session.crm_username)?;
    let last = last.filter(|call| call.is_live() || call.start_ms >= session.created_ms);
    let own = session.call_id.as_deref().map(|call_id| store.call(call_id)).transpose()?.flatten();
    Ok(match (last, own) {
        (Some(last), Some(own)) if own.start_ms > last.start_ms && !last.is_live() => Some(own),
        (last, own) => last.or(own),
    })
}

/// The agent's live call.
pub fn live_call(store: &Storage, agent: &AgentId) -> Result<Option<Call>, storage::Error> {
    Ok(store.softphone_call(&agent.account_id, &agent.crm_username)?.filter(Call::is_live))
}

/// A launch token.
#[derive(Debug, Deserialize)]
pub struct Opening {
    token: String,
}

/// A session as its page gets it, once.
#[derive(Serialize)]
pub struct Opened {
    session: String,
    agent: AgentName,
    to_number: String,
    to_number_e164: String,
    from_number: String,
    sip: SipAccess,
    call: Option<CallView>,
    conflict: Option<Conflict>,
}

/// Why the launch makes no call of its own.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
enum Conflict {
    InCall,
    DoubleClick,
}

/// Uses a launch token: opens the session and lets the softphone register.
pub async fn open(
    State(app): State<Arc<App>>,
    JsonBody(opening): JsonBody<Opening>,
) -> Result<(StatusCode, [(header::HeaderName, &'static str); 1], Json<Opened>), Problem> {
    let opened = open_once(&app, &opening.token).await;
    app.metrics.session_opened(opened.as_ref().map_or_else(|problem| problem.body.code.as_str(), |_| "opened"));
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], Json(opened?)))
}

async fn open_once(app: &Arc<App>, token: &str) -> Result<Opened, Problem> {
    let now_ms = now_ms();
    let ticket = Ticket::open(token, &app.master_key, now_ms)?;
    if !app.link.takes_softphones() {
        return Err(no_edge());
    }
    let secret = format!("{}.{}", ticket.id, secret::mint_password().expose());
    let session = WebphoneSession {
        id: ticket.id,
        account_id: ticket.account_id,
        crm_username: ticket.crm_username,
        secret_hash: secret::hash(&secret),
        to_number: ticket.to_number,
        to_number_e164: ticket.to_number_e164,
        from_number: ticket.from_number,
        created_ms: now_ms,
        expires_ms: now_ms + app.config.softphone.session_s * 1000,
        call_id: None,
        is_closed: false,
    };
    let key_id = ticket.key_id;
    let (session, agent, in_the_way) = app.with_store(move |store| Ok(begin(store, session, &key_id))).await??;
    let (call, conflict) = match in_the_way {
        None => (None, None),
        Some(InTheWay::InCall(call)) => (Some(call), Some(Conflict::InCall)),
        Some(InTheWay::DoubleClick(call)) => (Some(call), Some(Conflict::DoubleClick)),
    };
    let id = AgentId { account_id: session.account_id.clone(), crm_username: session.crm_username.clone() };
    let live = call.as_ref().filter(|call| call.is_live());
    let sip = softphone::grant(app, &id, live).ok_or_else(no_edge)?;
    tracing::info!(session_id = %session.id, account_id = %session.account_id, "softphone session opened");
    Ok(Opened {
        session: secret,
        agent: agent.into(),
        to_number: session.to_number,
        to_number_e164: session.to_number_e164,
        from_number: session.from_number,
        sip,
        call: call.as_ref().map(CallView::from),
        conflict,
    })
}

/// Stores the session unless the key or the agent went away meanwhile, or the token was used before.
fn begin(store: &Storage, session: WebphoneSession, key_id: &str) -> Result<(WebphoneSession, Agent, Option<InTheWay>), Problem> {
    let WebphoneSession { account_id, crm_username, to_number_e164, created_ms, .. } = &session;
    let works = store.api_key(key_id)?.is_some_and(|key| key.expires_ms.is_none_or(|expires_ms| *created_ms < expires_ms));
    let agent = store.agent(account_id, crm_username)?.filter(|_| works);
    let agent = agent.ok_or_else(|| token_over("of a key or an agent that is gone"))?;
    let in_the_way = store.in_the_way(account_id, crm_username, CallType::Browser, to_number_e164, *created_ms)?;
    if !store.create_session(&session)? {
        return Err(token_over("used"));
    }
    Ok((session, agent, in_the_way))
}

fn no_edge() -> Problem {
    Problem::unavailable("no_edge", "no media server takes softphones at the moment", NO_EDGE_RETRY)
}

/// New leave to register.
#[derive(Serialize)]
pub struct Renewed {
    sip: SipAccess,
    call: Option<CallView>,
}

/// Lets the softphone of a session register for another while.
pub async fn renew(State(app): State<Arc<App>>, open: OpenSession) -> Result<Json<Renewed>, Problem> {
    let agent = open.agent_id();
    let session = open.session;
    let call = app.with_store(move |store| shown_call(store, &session)).await?;
    let sip = softphone::grant(&app, &agent, call.as_ref().filter(|call| call.is_live())).ok_or_else(no_edge)?;
    Ok(Json(Renewed { sip, call: call.as_ref().map(CallView::from) }))
}

/// Ends a session, and its call if it is live. A call that another page of the agent took over stays with that.
pub async fn close(State(app): State<Arc<App>>, open: OpenSession) -> Result<StatusCode, Problem> {
    let agent = open.agent_id();
    let session_id = open.session.id;
    let call = {
        let (session_id, agent) = (session_id.clone(), agent.clone());
        app.with_store(move |store| {
            store.close_session(&session_id)?;
            live_call(store, &agent)
        })
        .await?
    };
    if let Some(call) = call.filter(|call| call.session_id.as_ref() == Some(&session_id)) {
        calls::hang_up(&app, &call).await?;
    }
    app.softphones.changed(&agent);
    Ok(StatusCode::NO_CONTENT)
}
