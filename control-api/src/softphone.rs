//! Agents' softphones: their names towards the edge, who is online, what is remembered of them,
//! leave to register, and word to the pages that wait for a change. Which shard has them is the
//! link's, the pages' API is `webphone`.

use crate::app::{App, now_ms};
use crate::link::PresenceChange;
use crate::secret::{self, MasterKey};
use control_wire::SoftphoneGrant;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use storage::{Agent, Call, Storage, WebphoneSession};
use tokio::sync::watch;
use tokio::time::timeout;

/// An agent of an account.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AgentId {
    pub account_id: String,
    pub crm_username: String,
}

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

/// What this process knows of softphones besides the link.
#[derive(Debug, Default)]
pub struct Softphones {
    /// Who the names that the edge tells stand for.
    names: Mutex<HashMap<String, AgentId>>,
    /// Wakes who waits for a change of an agent's presence or call.
    watchers: Mutex<HashMap<AgentId, watch::Sender<()>>>,
}

impl Softphones {
    /// Knows every registered agent by name.
    pub fn load(store: &Storage, master_key: &MasterKey) -> Result<Self, storage::Error> {
        Ok(Self {
            names: Mutex::new(registered_names(store, master_key)?),
            watchers: Mutex::default(),
        })
    }

    fn agent(&self, name: &str) -> Option<AgentId> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Changes from now on of the agent's presence and calls.
    pub fn watch(&self, agent: &AgentId) -> watch::Receiver<()> {
        self.watchers().entry(agent.clone()).or_insert_with(|| watch::channel(()).0).subscribe()
    }

    /// How many wait for changes of the agent.
    pub fn watcher_count(&self, agent: &AgentId) -> usize {
        self.watchers().get(agent).map_or(0, watch::Sender::receiver_count)
    }

    /// Wakes who waits for changes of the agent.
    pub fn changed(&self, agent: &AgentId) {
        let mut watchers = self.watchers();
        // Nobody listens any more: the last one only left this behind.
        if watchers.get(agent).is_some_and(|sender| sender.send(()).is_err()) {
            watchers.remove(agent);
        }
    }

    /// Wakes who waits for changes of any agent of an account.
    pub fn account_changed(&self, account_id: &str) {
        self.watchers()
            .retain(|agent, sender| agent.account_id != account_id || sender.send(()).is_ok());
    }

    /// Wakes who waits for changes of the agent of a call with a softphone.
    pub fn call_changed(&self, call: &Call) {
        if let Some(crm_username) = &call.crm_username {
            self.changed(&AgentId {
                account_id: call.account_id.clone(),
                crm_username: crm_username.clone(),
            });
        }
    }

    fn watchers(&self) -> MutexGuard<'_, HashMap<AgentId, watch::Sender<()>>> {
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Each registered agent by its name towards the edge.
fn registered_names(
    store: &Storage,
    master_key: &MasterKey,
) -> Result<HashMap<String, AgentId>, storage::Error> {
    let mut names = HashMap::new();
    for account in store.accounts()? {
        for agent in store.agents(&account.id)? {
            let name = master_key.agent_name(&account.id, &agent.crm_username);
            names.insert(
                name,
                AgentId { account_id: account.id.clone(), crm_username: agent.crm_username },
            );
        }
    }
    Ok(names)
}

/// What the agent is called towards the edge; from now on the name is known.
pub fn name(app: &App, agent: &AgentId) -> String {
    let name = app.master_key.agent_name(&agent.account_id, &agent.crm_username);
    app.softphones
        .names
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(name.clone(), agent.clone());
    name
}

/// Whether the agent's softphone is registered.
pub fn is_online(app: &App, agent: &AgentId) -> bool {
    app.link.is_softphone_online(&app.master_key.agent_name(&agent.account_id, &agent.crm_username))
}

/// Waits until the agent's softphone is registered. False if it did not within the time.
pub async fn wait_online(app: &App, agent: &AgentId, limit: Duration) -> bool {
    let mut changes = app.softphones.watch(agent);
    let online = async {
        while !is_online(app, agent) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    };
    let _ = timeout(limit, online).await;
    is_online(app, agent)
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
    let service = app.link.grant_softphone(grant, live_call.map(|call| call.call_id.as_str()))?;
    Some(SipAccess {
        uri: format!("sip:{name}@{}", service.domain),
        url: service.url,
        username: name,
        password,
        expires_s,
    })
}

/// Ends an agent's leave to register and its registration, which a running call keeps until its
/// end.
pub fn cut_off(app: &App, agent: &AgentId) {
    app.link.revoke_softphone(&app.master_key.agent_name(&agent.account_id, &agent.crm_username));
}

/// Ends the sessions of which `is_over` holds, and the registrations of their agents and of those
/// who are `gone`: another page of such an agent registers again by itself. Running calls go on.
/// Blocks.
pub fn end_sessions(
    app: &App,
    gone: &[Agent],
    is_over: impl Fn(&WebphoneSession) -> bool,
) -> Result<(), storage::Error> {
    let mut agents = app.store.close_sessions(now_ms(), is_over)?;
    agents.extend(gone.iter().map(|agent| (agent.account_id.clone(), agent.crm_username.clone())));
    for (account_id, crm_username) in agents {
        let agent = AgentId { account_id, crm_username };
        cut_off(app, &agent);
        app.softphones.changed(&agent);
    }
    Ok(())
}

/// Remembers when softphones came and went and wakes who waits for it. Names that no agent has are
/// cut off.
pub async fn presence_changed(app: &Arc<App>, changes: Vec<PresenceChange>) {
    if changes.is_empty() {
        return;
    }
    if changes.iter().any(|change| app.softphones.agent(&change.agent).is_none()) {
        // Agents that were registered since are looked up before a softphone is cut off.
        let master_key = Arc::clone(&app.master_key);
        match app.with_store(move |store| registered_names(store, &master_key)).await {
            Ok(names) => {
                app.softphones.names.lock().unwrap_or_else(PoisonError::into_inner).extend(names)
            }
            Err(error) => {
                return tracing::error!(%error, "softphones are not known: agents cannot be read");
            }
        }
    }
    let mut known = Vec::with_capacity(changes.len());
    for change in changes {
        match app.softphones.agent(&change.agent) {
            Some(agent) => known.push((agent, change)),
            None => {
                tracing::warn!("a softphone of an agent that is not registered is cut off");
                app.link.revoke_softphone(&change.agent);
            }
        }
    }
    let agents: Vec<AgentId> = known.iter().map(|(agent, _)| agent.clone()).collect();
    let stored = app.with_store(move |store| {
        for (AgentId { account_id, crm_username }, change) in known {
            let seen_ms = change.last_seen_ms.unwrap_or_else(now_ms);
            store.change_softphone(&account_id, &crm_username, |softphone| {
                softphone.last_seen_ms = Some(seen_ms)
            })?;
            tracing::info!(account_id, crm_username, online = change.is_online, "softphone");
        }
        Ok(())
    });
    if let Err(error) = stored.await {
        tracing::error!(%error, "when softphones were last seen could not be stored");
    }
    for agent in agents {
        app.softphones.changed(&agent);
    }
}

/// Notes the softphones that went with the links of their shards.
pub async fn take_away_lost(app: &Arc<App>, now: Instant) {
    presence_changed(app, app.link.take_lost_softphones(app.config.edge_lost_after(), now)).await;
}
