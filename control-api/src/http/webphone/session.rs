//! The session of a launched page: opened once by its launch token, then known by a secret of which
//! only a hash is stored, so that pages go on when this process restarts. What a page does with its
//! call is `calling`'s.

use super::launch::AgentName;
use super::ticket::{Ticket, token_over};
use super::view::PageCall;
use crate::agent::grant::{self, SipAccess};
use crate::app::App;
use crate::call::change;
use crate::clock::now_ms;
use crate::http::auth::{self, Client};
use crate::http::extract::JsonBody;
use crate::problem::Problem;
use crate::secret;
use crate::watch::AgentId;
use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use call_words::{CallType, KeyId};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use storage::{Agent, ApiKey, Call, InTheWay, KeyClass, Storage, WebphoneSession};

/// Longest secret that is looked at.
const MAX_SECRET_LEN: usize = 256;
const NO_EDGE_RETRY: Duration = Duration::from_secs(5);

/// An open session, whose key works and whose agent is registered.
pub struct OpenSession {
    pub session: WebphoneSession,
}

impl OpenSession {
    /// Whose session it is.
    pub fn agent_id(&self) -> AgentId {
        AgentId {
            account_id: self.session.account_id.clone(),
            crm_username: self.session.crm_username.clone(),
        }
    }
}

impl FromRequestParts<Arc<App>> for OpenSession {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let secret = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let secret = secret
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("session"));
        let secret = secret
            .map(|(_, secret)| secret.trim().to_owned())
            .filter(|secret| secret.len() <= MAX_SECRET_LEN);
        let secret = secret
            .ok_or_else(|| unknown_session("send the session as Authorization: Session SECRET"))?;
        let found = app.records.visit(move |store| find(store, &secret)).await?;
        found.ok_or_else(|| {
            let Client(client) = Client::of(&parts.extensions, &parts.headers, app);
            auth::guessed(app, client, over())
        })
    }
}

/// 401 for a session that is known no more.
pub fn over() -> Problem {
    unknown_session("the session is over: open the launch link again")
}

fn unknown_session(detail: &str) -> Problem {
    let challenge = HeaderValue::from_static("Session realm=\"webphone\"");
    Problem::new(StatusCode::UNAUTHORIZED, "session_over", detail)
        .with_header(header::WWW_AUTHENTICATE, challenge)
}

fn find(store: &Storage, secret: &str) -> Result<Option<OpenSession>, storage::Error> {
    let Some((id, _)) = secret.split_once('.') else { return Ok(None) };
    let hash = secret::hash(secret);
    let Some((session, _)) = still_open(store, id)? else { return Ok(None) };
    Ok((session.secret_hash == hash).then_some(OpenSession { session }))
}

/// The session as it is now and its end in Unix milliseconds, which is its key's if that comes
/// first; `None` once it is over, because its page closed it, its time is over, or its key, agent
/// or account is gone (B07).
pub fn still_open(
    store: &Storage,
    session_id: &str,
) -> Result<Option<(WebphoneSession, u64)>, storage::Error> {
    let now_ms = now_ms();
    let Some(session) = store.session(session_id)?.filter(|session| session.is_open(now_ms)) else {
        return Ok(None);
    };
    let Some(key_hash) = session.key_hash else { return Ok(None) };
    let opens = |key: &ApiKey| {
        key.class == KeyClass::Browser && key.account_id.as_ref() == Some(&session.account_id)
    };
    let Some(key) = store.authenticate(&key_hash, now_ms)?.filter(opens) else { return Ok(None) };
    let agent = store.agent(&session.account_id, &session.crm_username)?;
    let ends_ms =
        key.expires_ms.map_or(session.expires_ms, |expires_ms| expires_ms.min(session.expires_ms));
    Ok(agent.map(|_| (session, ends_ms)))
}

/// Refuses a session that is over by now.
pub async fn check_open(app: &App, session_id: String) -> Result<(), Problem> {
    let session = app.records.visit(move |store| still_open(store, &session_id)).await?;
    session.map(|_| ()).ok_or_else(over)
}

/// Lets the softphone of a session register until the session's end at most. Leave that was given
/// while the session ended is taken back.
async fn admit(
    app: &Arc<App>,
    session: &WebphoneSession,
    live: Option<&Call>,
) -> Result<SipAccess, Problem> {
    let agent = AgentId {
        account_id: session.account_id.clone(),
        crm_username: session.crm_username.clone(),
    };
    let session_id = session.id.clone();
    let look = move |store: &Storage| still_open(store, &session_id);
    let (_, ends_ms) = app.records.visit(look.clone()).await?.ok_or_else(over)?;
    let sip = grant::grant(app, &agent, live, ends_ms).ok_or_else(no_edge)?;
    if app.records.visit(look).await?.is_none() {
        grant::cut_off(app, &agent);
        return Err(over());
    }
    Ok(sip)
}

/// The call that a page shows: the agent's live one, else the last one that the session could have
/// seen.
pub fn shown_call(
    store: &Storage,
    session: &WebphoneSession,
) -> Result<Option<Call>, storage::Error> {
    let last = store.softphone_call(&session.account_id, &session.crm_username)?;
    let last = last.filter(|call| call.is_live() || call.start_ms >= session.created_ms);
    let own = session.call_id.as_ref().map(|call_id| store.call(call_id)).transpose()?.flatten();
    Ok(match (last, own) {
        (Some(last), Some(own)) if own.start_ms > last.start_ms && !last.is_live() => Some(own),
        (last, own) => last.or(own),
    })
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
    /// What the picker offers as the outcome of a call.
    dispositions: Vec<String>,
    sip: SipAccess,
    call: Option<PageCall>,
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
    app.metrics.session_opened(
        opened.as_ref().map_or_else(|problem| problem.body.code.as_str(), |_| "opened"),
    );
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], Json(opened?)))
}

async fn open_once(app: &Arc<App>, token: &str) -> Result<Opened, Problem> {
    let now_ms = now_ms();
    let ticket = Ticket::open(token, &app.secrets.master_key, now_ms)?;
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
        key_hash: None,
        uuid: ticket.uuid,
    };
    let key_id = ticket.key_id;
    let Begun { session, agent, dispositions, in_the_way } =
        app.records.visit(move |store| begin(store, session, &key_id)).await?;
    let (call, conflict) = match in_the_way {
        None => (None, None),
        Some(InTheWay::InCall(call)) => (Some(call), Some(Conflict::InCall)),
        Some(InTheWay::DoubleClick(call)) => (Some(call), Some(Conflict::DoubleClick)),
    };
    let sip = admit(app, &session, call.as_ref().filter(|call| call.is_live())).await?;
    tracing::info!(session_id = %session.id, account_id = %session.account_id,
        "softphone session opened");
    Ok(Opened {
        session: secret,
        agent: agent.into(),
        to_number: session.to_number,
        to_number_e164: session.to_number_e164,
        from_number: session.from_number,
        dispositions,
        sip,
        call: call.as_ref().map(PageCall::from),
        conflict,
    })
}

/// A session that was stored, and what its page is told.
struct Begun {
    session: WebphoneSession,
    agent: Agent,
    dispositions: Vec<String>,
    in_the_way: Option<InTheWay>,
}

/// Stores the session unless the key or the agent went away meanwhile, or the token was used
/// before.
fn begin(store: &Storage, session: WebphoneSession, key_id: &KeyId) -> Result<Begun, Problem> {
    let gone = || token_over("of a key or an agent that is gone");
    let works =
        |key: &ApiKey| key.expires_ms.is_none_or(|expires_ms| session.created_ms < expires_ms);
    let key = store.api_key(key_id)?.filter(works).ok_or_else(gone)?;
    let session = WebphoneSession { key_hash: Some(key.hash), ..session };
    let WebphoneSession { account_id, crm_username, to_number_e164, created_ms, .. } = &session;
    let agent = store.agent(account_id, crm_username)?.ok_or_else(gone)?;
    let dispositions = store.account(account_id)?.ok_or_else(gone)?.dispositions;
    let in_the_way = store.in_the_way(
        account_id,
        crm_username,
        CallType::Browser,
        to_number_e164,
        *created_ms,
    )?;
    if !store.create_session(&session)? {
        return Err(token_over("used"));
    }
    Ok(Begun { session, agent, dispositions, in_the_way })
}

fn no_edge() -> Problem {
    Problem::unavailable("no_edge", "no media server takes softphones at the moment", NO_EDGE_RETRY)
}

/// New leave to register.
#[derive(Serialize)]
pub struct Renewed {
    sip: SipAccess,
    call: Option<PageCall>,
}

/// Lets the softphone of a session register for another while.
pub async fn renew(
    State(app): State<Arc<App>>,
    open: OpenSession,
) -> Result<Json<Renewed>, Problem> {
    let session = open.session.clone();
    let call = app.records.visit(move |store| shown_call(store, &session)).await?;
    let sip = admit(&app, &open.session, call.as_ref().filter(|call| call.is_live())).await?;
    Ok(Json(Renewed { sip, call: call.as_ref().map(PageCall::from) }))
}

/// Ends a session, and its call if it is live. A call that another page of the agent took over
/// stays with that.
pub async fn close(State(app): State<Arc<App>>, open: OpenSession) -> Result<StatusCode, Problem> {
    let agent = open.agent_id();
    let session_id = open.session.id;
    let closed = session_id.clone();
    app.records.visit(move |store| store.close_session(&closed)).await?;
    let call = app.records.live_call_of(&agent).await?;
    if let Some(call) = call.filter(|call| call.session_id.as_ref() == Some(&session_id)) {
        change::hang_up(&app, &call).await?;
    }
    app.notices.softphones.changed(&agent);
    Ok(StatusCode::NO_CONTENT)
}
