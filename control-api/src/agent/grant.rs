//! Leave for agents' softphones to register, and its end.

use super::presence::name;
use crate::app::App;
use crate::clock::now_ms;
use crate::secret;
use crate::watch::AgentId;
use control_wire::SoftphoneGrant;
use serde::{Deserialize, Serialize};
use storage::{Agent, Call, WebphoneSession};

/// How a softphone registers.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct SipAccess {
    /// Where the shard is reached: `wss://…`.
    pub url: String,
    /// The agent's address-of-record.
    pub uri: String,
    pub username: String,
    pub password: String,
    /// Seconds until another is needed to register.
    pub expires_s: u64,
}

/// Lets the agent's softphone register for a while, but not beyond `ends_ms`, with the shard of its
/// live call if it has one. `None` if no shard takes softphones.
pub fn grant(
    app: &App,
    agent: &AgentId,
    live_call: Option<&Call>,
    ends_ms: u64,
) -> Option<SipAccess> {
    let name = name(app, agent);
    let password = secret::mint_password().expose().to_owned();
    let now_ms = now_ms();
    let expires_s =
        app.config.softphone.credential_s.min(ends_ms.saturating_sub(now_ms).div_ceil(1000));
    let expires_at_ms = ends_ms.min(now_ms + expires_s * 1000);
    let grant = SoftphoneGrant { agent: name.clone(), password: password.clone(), expires_at_ms };
    let service = app.link.grant_softphone(grant, live_call.map(|call| &call.call_id))?;
    Some(SipAccess {
        uri: format!("sip:{name}@{}", service.domain),
        url: service.url,
        username: name.into(),
        password,
        expires_s,
    })
}

/// Ends an agent's leave to register and its registration, which a running call keeps until its
/// end.
pub fn cut_off(app: &App, agent: &AgentId) {
    let name = app.secrets.master_key.agent_name(&agent.account_id, &agent.crm_username);
    app.link.revoke_softphone(&name);
}

/// Ends the sessions of which `is_over` holds, and the registrations of their agents and of those
/// who are `gone`: another page of such an agent registers again by itself. Running calls go on.
/// Blocks.
pub fn end_sessions(
    app: &App,
    gone: &[Agent],
    is_over: impl Fn(&WebphoneSession) -> bool,
) -> Result<(), storage::Error> {
    let mut agents = app.records.blocking().close_sessions(now_ms(), is_over)?;
    agents.extend(gone.iter().map(|agent| (agent.account_id.clone(), agent.crm_username.clone())));
    for (account_id, crm_username) in agents {
        let agent = AgentId { account_id, crm_username };
        cut_off(app, &agent);
        app.notices.softphones.changed(&agent);
    }
    Ok(())
}
