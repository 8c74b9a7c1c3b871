//! Agents by the names of their softphones towards the edge, and who waits for changes of an
//! agent's presence and calls.

use crate::secret::MasterKey;
use call_words::{AccountId, AgentName};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use storage::{Call, Storage};
use tokio::sync::watch;

/// An agent of an account.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AgentId {
    pub account_id: AccountId,
    pub crm_username: String,
}

/// What this process knows of softphones besides the link.
#[derive(Debug, Default)]
pub struct Watchers {
    /// Who the names that the edge tells stand for.
    names: Mutex<HashMap<AgentName, AgentId>>,
    /// Wakes who waits for a change of an agent's presence or call.
    watchers: Mutex<HashMap<AgentId, watch::Sender<()>>>,
}

impl Watchers {
    /// Knows every registered agent by name.
    pub fn load(store: &Storage, master_key: &MasterKey) -> Result<Self, storage::Error> {
        Ok(Self {
            names: Mutex::new(registered_names(store, master_key)?),
            watchers: Mutex::default(),
        })
    }

    fn names(&self) -> MutexGuard<'_, HashMap<AgentName, AgentId>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whom the edge means by a name.
    pub fn agent(&self, name: &AgentName) -> Option<AgentId> {
        self.names().get(name).cloned()
    }

    /// Knows agents by names of theirs from now on.
    pub fn know(&self, names: impl IntoIterator<Item = (AgentName, AgentId)>) {
        self.names().extend(names);
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
    pub fn account_changed(&self, account_id: &AccountId) {
        self.watchers()
            .retain(|agent, sender| agent.account_id != *account_id || sender.send(()).is_ok());
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
pub(crate) fn registered_names(
    store: &Storage,
    master_key: &MasterKey,
) -> Result<HashMap<AgentName, AgentId>, storage::Error> {
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
