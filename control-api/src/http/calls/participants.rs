//! Third parties and supervisors of running calls: `/calls/{call_id}/participants`, `/transfer` and
//! `/supervisors`. Who may be dialled is `call`'s to check, what then happens the edge's.

use super::{own_call, shown};
use crate::app::App;
use crate::call::asked::Asked;
use crate::call::supervisor::{self, NewSupervisor};
use crate::call::third_party::{self, NewThird};
use crate::call::verbs;
use crate::http::auth::ServerCaller;
use crate::http::extract::{JsonBody, PathParams};
use crate::http::openapi::answers::PartyAnswers;
use crate::http::openapi::refusals::{
    CallPath, CallerIdRefusals, DialRefusals, PartyPath, RepeatHeader, SuperviseRefusals,
    VerbBodyRefusals, VerbRefusals,
};
use crate::idempotency;
use crate::problem::Problem;
use crate::view::call::CallView;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use call_words::{CallId, Joining, LegKind, SupervisorRole};
use control_wire::Verb;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use storage::{Call, PartyRequest};
use utoipa::ToSchema;

/// A third party to dial.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AddParticipant {
    /// E.164, `00…`, national with or without `0`, or `tel:`.
    #[serde(default)]
    #[schema(
        example = "02227782183",
        required = true,
        nullable = false,
        min_length = 3,
        max_length = 96
    )]
    pub to_number: Option<String>,
    pub flow: Flow,
    /// Caller ID: one of the account's assigned numbers; the call's unless given.
    #[serde(default)]
    #[schema(example = "+918047000000", min_length = 3, max_length = 96)]
    pub from_number: Option<String>,
}

/// What happens while a third party is dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Flow {
    /// The agent talks to it alone; the customer is on hold.
    Consult,
    /// All go on talking; it joins them as soon as it answers.
    Join,
}

impl From<Flow> for Joining {
    fn from(flow: Flow) -> Self {
        match flow {
            Flow::Consult => Self::Consult,
            Flow::Join => Self::Join,
        }
    }
}

/// Where the call is to go.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Transfer {
    /// E.164, `00…`, national with or without `0`, or `tel:`.
    #[serde(default)]
    #[schema(
        example = "02227782183",
        required = true,
        nullable = false,
        min_length = 3,
        max_length = 96
    )]
    pub to_number: Option<String>,
}

/// A supervisor who is to join. Exactly one of `agent_number` and `crm_username` is given.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AddSupervisor {
    pub role: SupervisorRole,
    /// The supervisor's phone.
    #[serde(default)]
    pub agent_number: Option<String>,
    /// A registered agent, whose softphone is to be rung: it must be with the media server of the
    /// call.
    #[serde(default)]
    pub crm_username: Option<String>,
}

/// Another role for a supervisor.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ChangeSupervisor {
    pub role: SupervisorRole,
}

/// Dials a third party into the call.
///
/// Answers when its phone is being dialled; how it goes is told by events and in the call's
/// `conversation`.
#[utoipa::path(
    post, path = "/calls/{call_id}/participants", tag = "calls", security(("server_key" = [])),
    params(CallPath, RepeatHeader), request_body = AddParticipant,
    responses(
        PartyAnswers,
        DialRefusals,
        CallerIdRefusals,
    ),
)]
pub async fn add(
    State(app): State<Arc<App>>,
    caller: ServerCaller,
    PathParams(call_id): PathParams<CallId>,
    headers: HeaderMap,
    JsonBody(body): JsonBody<AddParticipant>,
) -> Result<Response, Problem> {
    let call = own_call(&app, &caller, call_id).await?;
    let request = request(&headers, "participants", &body)?;
    let AddParticipant { to_number, flow, from_number } = body;
    let new = NewThird { to_number, from_number, joining: flow.into(), named: None, request };
    Ok(answer(&app, "participants", third_party::add(&app, &call, new).await?))
}

/// Transfers the call to a third party without asking it: the agent leaves as it answers, and is
/// back if it does not.
#[utoipa::path(
    post, path = "/calls/{call_id}/transfer", tag = "calls", security(("server_key" = [])),
    params(CallPath, RepeatHeader), request_body = Transfer,
    responses(
        PartyAnswers,
        DialRefusals,
        CallerIdRefusals,
    ),
)]
pub async fn transfer(
    State(app): State<Arc<App>>,
    caller: ServerCaller,
    PathParams(call_id): PathParams<CallId>,
    headers: HeaderMap,
    JsonBody(body): JsonBody<Transfer>,
) -> Result<Response, Problem> {
    let call = own_call(&app, &caller, call_id).await?;
    let request = request(&headers, "transfer", &body)?;
    let Transfer { to_number } = body;
    let new =
        NewThird { to_number, from_number: None, joining: Joining::Transfer, named: None, request };
    Ok(answer(&app, "participants", third_party::add(&app, &call, new).await?))
}

/// What makes a request known again, if it has a key. Its path belongs to it: the keys of a call
/// are one space.
fn request(
    headers: &HeaderMap,
    path: &str,
    body: &impl Serialize,
) -> Result<Option<PartyRequest>, Problem> {
    let key = idempotency::key(headers)?;
    Ok(key.map(|idempotency_key| PartyRequest {
        idempotency_key,
        fingerprint: idempotency::fingerprint(&(path, body)),
    }))
}

fn answer(app: &App, list: &str, asked: Asked) -> Response {
    let (status, party, call) = match asked {
        Asked::Now { party, call } => (StatusCode::CREATED, party, call),
        Asked::Before { party, call } => (StatusCode::OK, party, call),
    };
    let location = HeaderValue::from_str(&format!("/calls/{}/{list}/{party}", call.call_id))
        .expect("ids are plain ASCII");
    (status, [(header::LOCATION, location)], shown(app, &call)).into_response()
}

/// Hangs a party up: a third party, a supervisor, `agent` or `customer`.
#[utoipa::path(
    delete, path = "/calls/{call_id}/participants/{party}", tag = "calls",
    security(("server_key" = [])),
    params(PartyPath),
    responses(
        (status = 200, description = "The call as it is then", body = CallView),
        VerbRefusals,
    ),
)]
pub async fn remove(
    State(app): State<Arc<App>>,
    caller: ServerCaller,
    PathParams((call_id, party)): PathParams<(CallId, String)>,
) -> Result<Json<CallView>, Problem> {
    let call = own_call(&app, &caller, call_id).await?;
    let call =
        verbs::ask(&app, &call, Verb::Remove { party: verbs::checked_party(party)? }).await?;
    Ok(shown(&app, &call))
}

/// Has a supervisor join the call, to listen, to whisper to the agent, or to talk with all.
#[utoipa::path(
    post, path = "/calls/{call_id}/supervisors", tag = "calls", security(("server_key" = [])),
    params(CallPath, RepeatHeader), request_body = AddSupervisor,
    responses(
        PartyAnswers,
        DialRefusals,
        SuperviseRefusals,
    ),
)]
pub async fn supervise(
    State(app): State<Arc<App>>,
    caller: ServerCaller,
    PathParams(call_id): PathParams<CallId>,
    headers: HeaderMap,
    JsonBody(body): JsonBody<AddSupervisor>,
) -> Result<Response, Problem> {
    let call = supervised_call(&app, &caller, call_id).await?;
    let request = request(&headers, "supervisors", &body)?;
    let AddSupervisor { role, agent_number, crm_username } = body;
    let new = NewSupervisor { role, agent_number, crm_username, request };
    Ok(answer(&app, "supervisors", supervisor::supervise(&app, &call, new).await?))
}

/// Gives a supervisor another role, at once.
#[utoipa::path(
    patch, path = "/calls/{call_id}/supervisors/{party}", tag = "calls",
    security(("server_key" = [])),
    params(PartyPath), request_body = ChangeSupervisor,
    responses(
        (status = 200, description = "The call as it is then", body = CallView),
        VerbBodyRefusals,
        SuperviseRefusals,
    ),
)]
pub async fn change_role(
    State(app): State<Arc<App>>,
    caller: ServerCaller,
    PathParams((call_id, party)): PathParams<(CallId, String)>,
    JsonBody(change): JsonBody<ChangeSupervisor>,
) -> Result<Json<CallView>, Problem> {
    let call = supervised_call(&app, &caller, call_id).await?;
    let party = supervisor(&call, party)?;
    let call = verbs::ask(&app, &call, Verb::SetRole { party, role: change.role }).await?;
    Ok(shown(&app, &call))
}

/// Hangs a supervisor up.
#[utoipa::path(
    delete, path = "/calls/{call_id}/supervisors/{party}", tag = "calls",
    security(("server_key" = [])),
    params(PartyPath),
    responses(
        (status = 200, description = "The call as it is then", body = CallView),
        VerbRefusals,
        SuperviseRefusals,
    ),
)]
pub async fn dismiss(
    State(app): State<Arc<App>>,
    caller: ServerCaller,
    PathParams((call_id, party)): PathParams<(CallId, String)>,
) -> Result<Json<CallView>, Problem> {
    let call = supervised_call(&app, &caller, call_id).await?;
    let party = supervisor(&call, party)?;
    let call = verbs::ask(&app, &call, Verb::Remove { party }).await?;
    Ok(shown(&app, &call))
}

/// The call, if it is the caller's and the key may add supervisors.
async fn supervised_call(
    app: &App,
    caller: &ServerCaller,
    call_id: CallId,
) -> Result<Call, Problem> {
    if !caller.may_supervise {
        return Err(Problem::forbidden("supervise", "this key may not add supervisors to calls"));
    }
    own_call(app, caller, call_id).await
}

/// The name of a supervisor of the call.
fn supervisor(call: &Call, party: String) -> Result<String, Problem> {
    let is_one = call.other(&party).is_some_and(|other| other.leg == LegKind::Supervisor);
    if is_one || !call.is_live() { Ok(party) } else { Err(verbs::unknown_party()) }
}
