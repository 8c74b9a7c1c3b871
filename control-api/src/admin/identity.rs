//! What an account calls with: its caller-ID numbers and its agents.

use super::desk::{Admin, Confirmation, blocking, conflict};
use super::field::{self, Refusals};
use crate::agent::grant;
use crate::clock::now_ms;
use crate::http::extract::{JsonBody, PathParams, QueryParams};
use crate::number::E164;
use crate::problem::{Problem, ProblemDetails};
use crate::view::time::timestamp;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use call_words::AccountId;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use storage::{Account, Agent, Number};
use utoipa::ToSchema;

/// An agent as registered; the ID is exact and case-sensitive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AgentView {
    #[schema(example = "agent.017")]
    pub crm_username: String,
    pub display_name: String,
}

impl From<&Agent> for AgentView {
    fn from(agent: &Agent) -> Self {
        Self { crm_username: agent.crm_username.clone(), display_name: agent.display_name.clone() }
    }
}

/// An agent with what is known of its softphone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AgentStatus {
    #[schema(example = "agent.017")]
    pub crm_username: String,
    pub display_name: String,
    /// Whether the softphone is registered with an edge.
    pub online: bool,
    /// Whether the softphone has a call.
    pub in_call: bool,
    /// When the softphone was last registered; null if it never was.
    #[schema(example = "2026-07-03T10:00:00Z", format = "date-time")]
    pub last_seen: Option<String>,
    /// What the softphone's page last told of the microphone: `granted`, `denied`, `missing`,
    /// `in_use`; null if it never did.
    #[schema(example = "granted")]
    pub microphone: Option<String>,
    /// The last test of the way of a call's sound that the agent made on the setup page; null if
    /// there was none.
    pub media_test: Option<MediaTestView>,
}

/// What the agent's browser measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MediaTestView {
    #[schema(example = "2026-07-03T10:00:00Z", format = "date-time")]
    pub at: String,
    /// `good`, `fair`, `poor`; or how far it came: `no_candidates` (the browser has no network for
    /// media), `no_path` (nothing came through), `no_call` (the softphone was not called).
    #[schema(example = "good")]
    pub outcome: String,
    pub round_trip_ms: Option<u32>,
    pub jitter_ms: Option<u32>,
    /// Loss of what the service sent, in thousandths.
    pub lost_permille: Option<u16>,
    /// Loss of what the browser sent, in thousandths.
    pub sent_lost_permille: Option<u16>,
}

impl From<storage::MediaTest> for MediaTestView {
    fn from(test: storage::MediaTest) -> Self {
        let storage::MediaTest {
            at_ms,
            outcome,
            round_trip_ms,
            jitter_ms,
            lost_permille,
            sent_lost_permille,
        } = test;
        Self {
            at: timestamp(at_ms),
            outcome,
            round_trip_ms,
            jitter_ms,
            lost_permille,
            sent_lost_permille,
        }
    }
}

impl AgentStatus {
    fn of(admin: &Admin, agent: &Agent) -> Result<Self, Problem> {
        let Agent { account_id, crm_username, display_name } = agent;
        let store = &admin.store();
        let softphone = store.softphone(account_id, crm_username)?;
        let online = admin.app.link.is_softphone_online(
            &admin.app.secrets.master_key.agent_name(account_id, crm_username),
        );
        let last_seen_ms = if online { Some(now_ms()) } else { softphone.last_seen_ms };
        Ok(Self {
            crm_username: crm_username.clone(),
            display_name: display_name.clone(),
            online,
            in_call: store
                .softphone_call(account_id, crm_username)?
                .is_some_and(|call| call.is_live()),
            last_seen: last_seen_ms.map(timestamp),
            microphone: softphone.microphone,
            media_test: softphone.media_test.map(Into::into),
        })
    }
}

/// What can be set of an agent; what is left out stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AgentSettings {
    /// Default: the ID, or the present name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
}

impl AgentSettings {
    /// The agent with these settings over the present ones.
    pub fn over(
        self,
        account: &AccountId,
        crm_username: &str,
        present: Option<Agent>,
        refusals: &mut Refusals,
    ) -> Agent {
        refusals.take("crm_username", field::text(crm_username));
        if let Some(name) = &self.display_name {
            refusals.take("display_name", field::text(name));
        }
        let display_name = self.display_name.or(present.map(|present| present.display_name));
        Agent {
            account_id: account.to_owned(),
            crm_username: crm_username.to_owned(),
            display_name: display_name.unwrap_or_else(|| crm_username.to_owned()),
        }
    }
}

/// A number of the account's region or in international form.
pub fn caller_id(text: &str, account: &Account) -> Result<E164, String> {
    field::e164(text, account.region)
}

fn path_number(text: &str, account: &Account) -> Result<E164, Problem> {
    let mut refusals = Refusals::default();
    let number = refusals.take("number", caller_id(text, account));
    refusals.finish()?;
    Ok(number.expect("a number that is not refused is read"))
}

/// Lists an account's caller-ID numbers in E.164.
#[utoipa::path(get, path = "/admin/accounts/{account}/numbers", tag = "numbers",
    params(("account" = String, Path)),
    responses((status = 200, body = Vec<String>), (status = 404, body = ProblemDetails)))]
pub async fn list_numbers(
    State(admin): State<Arc<Admin>>,
    PathParams(account): PathParams<AccountId>,
) -> Result<Json<Vec<String>>, Problem> {
    let numbers = blocking(&admin, move |admin| {
        admin.account(&account)?;
        Ok(admin.store().numbers(&account)?)
    });
    Ok(Json(numbers.await?.into_iter().map(|number| number.e164).collect()))
}

/// Assigns a caller-ID number, written in any form, to an account.
#[utoipa::path(put, path = "/admin/accounts/{account}/numbers/{number}", tag = "numbers",
    params(("account" = String, Path), ("number" = String, Path)),
    responses((status = 200, body = String, description = "in E.164"),
    (status = 404, body = ProblemDetails), (status = 409, body = ProblemDetails),
    (status = 422, body = ProblemDetails)))]
pub async fn assign_number(
    State(admin): State<Arc<Admin>>,
    PathParams((account, number)): PathParams<(AccountId, String)>,
) -> Result<Json<String>, Problem> {
    blocking(&admin, move |admin| {
        let _held = admin.change();
        let e164 = path_number(&number, &admin.account(&account)?)?.to_string();
        let number = Number { e164: e164.clone(), account_id: account };
        admin.store().put_number(&number).map_err(conflict)?;
        Ok(Json(e164))
    })
    .await
}

/// Takes a caller-ID number from an account.
#[utoipa::path(delete, path = "/admin/accounts/{account}/numbers/{number}", tag = "numbers",
    params(("account" = String, Path), ("number" = String, Path)),
    responses((status = 204), (status = 404, body = ProblemDetails),
        (status = 422, body = ProblemDetails)))]
pub async fn withdraw_number(
    State(admin): State<Arc<Admin>>,
    PathParams((account, number)): PathParams<(AccountId, String)>,
) -> Result<StatusCode, Problem> {
    blocking(&admin, move |admin| {
        let _held = admin.change();
        let e164 = path_number(&number, &admin.account(&account)?)?;
        match admin.store().delete_number(&account, e164.as_str())? {
            true => Ok(StatusCode::NO_CONTENT),
            false => Err(Problem::not_found(format!(
                "the account {account:?} does not have this number"
            ))),
        }
    })
    .await
}

/// Lists an account's agents with what is known of their softphones.
#[utoipa::path(get, path = "/admin/accounts/{account}/agents", tag = "agents",
    params(("account" = String, Path)),
    responses((status = 200, body = Vec<AgentStatus>), (status = 404, body = ProblemDetails)))]
pub async fn list_agents(
    State(admin): State<Arc<Admin>>,
    PathParams(account): PathParams<AccountId>,
) -> Result<Json<Vec<AgentStatus>>, Problem> {
    let agents = blocking(&admin, move |admin| {
        admin.account(&account)?;
        let agents = admin.store().agents(&account)?;
        agents.iter().map(|agent| AgentStatus::of(admin, agent)).collect::<Result<Vec<_>, _>>()
    });
    Ok(Json(agents.await?))
}

/// Registers an agent, or renames one.
#[utoipa::path(put, path = "/admin/accounts/{account}/agents/{crm_username}", tag = "agents",
    params(("account" = String, Path), ("crm_username" = String, Path)),
    request_body = AgentSettings,
    responses((status = 200, body = AgentView), (status = 404, body = ProblemDetails),
        (status = 422, body = ProblemDetails)))]
pub async fn register_agent(
    State(admin): State<Arc<Admin>>,
    PathParams((account, crm_username)): PathParams<(AccountId, String)>,
    JsonBody(settings): JsonBody<AgentSettings>,
) -> Result<Json<AgentView>, Problem> {
    blocking(&admin, move |admin| {
        let _held = admin.change();
        admin.account(&account)?;
        let mut refusals = Refusals::default();
        let present = admin.store().agent(&account, &crm_username)?;
        let agent = settings.over(&account, &crm_username, present, &mut refusals);
        refusals.finish()?;
        admin.store().put_agent(&agent)?;
        Ok(Json(AgentView::from(&agent)))
    })
    .await
}

/// Removes an agent; its pages end and its softphone is cut off, once a running call has ended.
/// Refused while it is in a call, unless it is confirmed.
#[utoipa::path(delete, path = "/admin/accounts/{account}/agents/{crm_username}", tag = "agents",
    params(("account" = String, Path), ("crm_username" = String, Path), Confirmation),
    responses((status = 204), (status = 404, body = ProblemDetails),
        (status = 409, body = ProblemDetails)))]
pub async fn remove_agent(
    State(admin): State<Arc<Admin>>,
    PathParams((account, crm_username)): PathParams<(AccountId, String)>,
    QueryParams(confirmation): QueryParams<Confirmation>,
) -> Result<StatusCode, Problem> {
    blocking(&admin, move |admin| {
        let _held = admin.change();
        admin.account(&account)?;
        let is_in = |call: &storage::Call| {
            call.account_id == account && call.crm_username.as_ref() == Some(&crm_username)
        };
        confirmation.check(admin.live_calls(is_in)?, "the agent's softphone would be cut off")?;
        let agent = admin.store().agent(&account, &crm_username)?;
        if !admin.store().delete_agent(&account, &crm_username)? {
            return Err(Problem::not_found(format!(
                "the account {account:?} has no agent {crm_username:?}"
            )));
        }
        grant::end_sessions(&admin.app, agent.as_slice(), |session| {
            session.account_id == account && session.crm_username == crm_username
        })?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}
