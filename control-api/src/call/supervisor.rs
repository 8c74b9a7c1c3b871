//! Supervisors of running calls: on a phone, dialled like a third party, or on a softphone that is
//! with the shard of the call.

use super::admission::agent_offline;
use super::asked::{self, Asked};
use super::party;
use super::third_party::{Dialling, Naming, earlier, note, settle};
use super::verbs::{check_reach, fresh_id};
use crate::app::App;
use crate::link::Whereabouts;
use crate::problem::Problem;
use call_words::{AccountId, LegKind, SupervisorRole};
use control_wire::{AgentTarget, Verb};
use std::sync::Arc;
use storage::{Account, Call, NewParty, PartyRequest};

/// A supervisor as a request names them.
#[derive(Debug, Clone)]
pub struct NewSupervisor {
    pub role: SupervisorRole,
    pub agent_number: Option<String>,
    pub crm_username: Option<String>,
    /// What makes the request known again.
    pub request: Option<PartyRequest>,
}

/// Has a supervisor join a call, to the end even if the client goes away meanwhile.
pub async fn supervise(app: &Arc<App>, call: &Call, new: NewSupervisor) -> Result<Asked, Problem> {
    let request = new.request.clone();
    asked::once(app, call, request.as_ref(), call_in(Arc::clone(app), call.clone(), new)).await
}

async fn call_in(app: Arc<App>, call: Call, new: NewSupervisor) -> Result<Asked, Problem> {
    let NewSupervisor { role, agent_number, crm_username, request } = new;
    if let Some(asked) = earlier(&call, request.as_ref())? {
        return Ok(asked);
    }
    check_reach(&app, &call)?;
    let (account_id, from_number) = (call.account_id.clone(), call.from_number.clone());
    let target = app
        .records
        .visit(move |store| {
            let given = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
            match (given(agent_number), given(crm_username)) {
                (Some(number), None) => {
                    Dialling::check(store, &account_id, "agent_number", Some(&number), &from_number)
                        .map(|to| Target::Phone(Box::new(to)))
                }
                (None, Some(crm_username)) => softphone_target(store, &account_id, &crm_username),
                (number, _) => Err(party::one_agent_only(number.is_some())),
            }
        })
        .await?;
    let leg = LegKind::Supervisor;
    match target {
        Target::Phone(dialling) => {
            let admitted = dialling.admit(&app, |account| account.agent_ring_ms).await?;
            let naming = Naming { party: None, leg, control_id: fresh_id(), request };
            let verb =
                move |party, destination| supervision(party, AgentTarget::Phone(destination), role);
            admitted.dial(&app, &call, naming, verb).await
        }
        Target::Softphone { account, crm_username } => {
            let agent = app.secrets.master_key.agent_name(&account.id, &crm_username);
            match app.link.whereabouts(&agent, &call.call_id) {
                Whereabouts::WithCall => {}
                Whereabouts::Offline => return Err(agent_offline()),
                Whereabouts::Elsewhere => {
                    let detail =
                        "crm_username: the softphone is with another media server than the call";
                    return Err(Problem::conflict("supervisor_elsewhere", detail));
                }
            }
            let target = AgentTarget::Softphone {
                agent,
                ring_ms: account.agent_ring_ms,
                opus: account.opus,
            };
            let new = NewParty {
                party: None,
                leg,
                number: None,
                crm_username: Some(crm_username),
                trunk: None,
                request,
            };
            let (party, call) = match note(&app, &call, new).await? {
                Asked::Now { party, call } => (party, call),
                before => return Ok(before),
            };
            settle(&app, &call, party.clone(), fresh_id(), supervision(party, target, role)).await
        }
    }
}

enum Target {
    Phone(Box<Dialling>),
    Softphone { account: Box<Account>, crm_username: String },
}

fn softphone_target(
    store: &storage::Storage,
    account_id: &AccountId,
    crm_username: &str,
) -> Result<Target, Problem> {
    let account = store
        .account(account_id)?
        .ok_or_else(|| Problem::forbidden("account", "the account was deleted"))?;
    let agent = party::registered_agent(store, account_id, crm_username)?;
    Ok(Target::Softphone { account: Box::new(account), crm_username: agent.crm_username })
}

fn supervision(party: String, target: AgentTarget, role: SupervisorRole) -> Verb {
    Verb::Supervise(Box::new(control_wire::NewSupervisor { party, target, role }))
}
