//! Softphones in the registry: with which shard each agent's is registered, and which shard was
//! told to admit it. An agent is led to one shard at a time, so that two of its pages never
//! register with two. Who the agents are is `watch`'s.

use super::{Link, NoShard, Placement, Registry, Shard, ShardId};
use call_words::{AgentName, CallId};
use control_wire::{Command, SoftphoneGrant, SoftphoneService};
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

/// Time for which the softphones of a shard whose link is lost still count as registered: mostly
/// the link comes back, with all of them.
const LINK_GRACE: Duration = Duration::from_secs(5);

/// Agents by the names that the edge knows them by.
#[derive(Debug, Default)]
pub(super) struct Presence {
    registered: HashMap<AgentName, ShardId>,
    granted: HashMap<AgentName, Granted>,
}

/// The last leave to register that an agent was given.
#[derive(Debug)]
struct Granted {
    shard: ShardId,
    expires_at_ms: u64,
}

impl Presence {
    /// The shard restarted: it knows no grant of before.
    pub(super) fn forget_grants_of(&mut self, id: &ShardId) {
        self.granted.retain(|_, granted| granted.shard != *id);
    }

    /// Where the agent's softphone is registered.
    pub(super) fn shard_of(&self, agent: &AgentName) -> Option<&ShardId> {
        self.registered.get(agent)
    }

    #[cfg(test)]
    pub(super) fn granted_count(&self) -> usize {
        self.granted.len()
    }
}

/// An agent's softphone came, or went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresenceChange {
    pub agent: AgentName,
    pub is_online: bool,
    /// Unix milliseconds of the last sign of one that went with its shard's link; `None` for now.
    pub last_seen_ms: Option<u64>,
}

impl Link {
    /// Lets an agent's softphone register, and says where: with the shard of its live call or where
    /// it is already, else with the least loaded one that takes softphones. `None` if there is
    /// none.
    pub fn grant_softphone(
        &self,
        grant: SoftphoneGrant,
        call_id: Option<&CallId>,
    ) -> Option<SoftphoneService> {
        let mut registry = self.lock();
        let registry = &mut *registry;
        let id = registry.softphone_shard(&grant.agent, call_id)?;
        let granted = Granted { shard: id.clone(), expires_at_ms: grant.expires_at_ms };
        let former = registry.softphones.granted.insert(grant.agent.clone(), granted);
        if let Some(former) = former.filter(|former| former.shard != id)
            && let Some(shard) = registry.shards.get_mut(&former.shard)
        {
            shard.send_about(&grant.agent, Command::RevokeSoftphone { agent: grant.agent.clone() });
        }
        let shard = registry.shards.get_mut(&id)?;
        let agent = grant.agent.clone();
        shard.send_about(&agent, Command::GrantSoftphone(grant));
        shard.softphone_service.clone()
    }

    /// Ends an agent's leave to register wherever it has one, and cuts its softphone off.
    pub fn revoke_softphone(&self, agent: &AgentName) {
        let mut registry = self.lock();
        let registry = &mut *registry;
        let granted = registry.softphones.granted.remove(agent).map(|granted| granted.shard);
        let registered = registry
            .softphones
            .registered
            .get(agent)
            .cloned()
            .filter(|id| granted.as_ref() != Some(id));
        for id in granted.into_iter().chain(registered) {
            if let Some(shard) = registry.shards.get_mut(&id) {
                shard.send_about(agent, Command::RevokeSoftphone { agent: agent.to_owned() });
            }
        }
    }

    /// Whether a shard that takes softphones is there.
    pub fn takes_softphones(&self) -> bool {
        self.lock().shards.values().any(Shard::takes_softphones)
    }

    /// Where one of the shards that take softphones is reached, for a test of the way to it.
    pub fn softphone_url(&self) -> Option<String> {
        let registry = self.lock();
        let mut takers = registry.shards.values().filter(|shard| shard.takes_softphones());
        takers.find_map(|shard| Some(shard.softphone_service.as_ref()?.url.clone()))
    }

    /// Whether one of the shards that take softphones is reached without TLS, as in development.
    pub fn has_plain_softphones(&self) -> bool {
        let is_plain = |shard: &Shard| {
            shard.softphone_service.as_ref().is_some_and(|service| service.url.starts_with("ws://"))
        };
        self.lock().shards.values().any(is_plain)
    }

    /// Whether the agent's softphone is registered.
    pub fn is_softphone_online(&self, agent: &AgentName) -> bool {
        self.lock().softphones.registered.contains_key(agent)
    }

    /// Agents whose softphones are registered.
    pub fn softphone_count(&self) -> usize {
        self.lock().softphones.registered.len()
    }

    /// Reserves room for a call on the shard where the agent's softphone is registered. A shard
    /// that is away for a moment gets the call when it is back.
    pub fn reserve_with(&self, call_id: &CallId, agent: &AgentName) -> Result<Placement, NoShard> {
        let mut registry = self.lock();
        let id = registry.softphones.registered.get(agent).cloned().ok_or(NoShard::AgentOffline)?;
        match registry.shards.get(&id).map(Shard::load_permille) {
            Some(Ok(_) | Err(NoShard::Disconnected)) => {
                Ok(self.hold_room(&mut registry, id, call_id))
            }
            Some(Err(refusal)) => Err(refusal),
            None => Err(NoShard::AgentOffline),
        }
    }

    /// Takes over what a greeting shard says of its softphones, and returns what changed by it.
    pub(crate) fn meet_softphones(
        &self,
        id: &ShardId,
        service: Option<SoftphoneService>,
        agents: &[AgentName],
    ) -> Vec<PresenceChange> {
        let mut changes = Vec::new();
        let there: HashSet<&AgentName> = agents.iter().collect();
        {
            let mut registry = self.lock();
            if let Some(shard) = registry.shards.get_mut(id) {
                shard.softphone_service = service;
            }
            registry.softphones.registered.retain(|agent, shard| {
                let is_gone = shard == id && !there.contains(agent);
                if is_gone {
                    changes.push(PresenceChange {
                        agent: agent.clone(),
                        is_online: false,
                        last_seen_ms: None,
                    });
                }
                !is_gone
            });
        }
        let came = agents.iter().filter_map(|agent| {
            self.set_presence(id, control_wire::Presence { agent: agent.clone(), online: true })
        });
        changes.extend(came);
        changes
    }

    /// Notes what a shard says of one softphone; returns it if it is news. A softphone that is with
    /// another shard as well is cut off there: the newest registration counts.
    pub(crate) fn set_presence(
        &self,
        id: &ShardId,
        told: control_wire::Presence,
    ) -> Option<PresenceChange> {
        let control_wire::Presence { agent, online } = told;
        let mut registry = self.lock();
        let registry = &mut *registry;
        let registered = &mut registry.softphones.registered;
        let change = PresenceChange { agent: agent.clone(), is_online: online, last_seen_ms: None };
        if !online {
            if registered.get(&agent) != Some(id) {
                return None;
            }
            registered.remove(&agent);
            return Some(change);
        }
        let Some(former) = registered.insert(agent.clone(), id.clone()) else {
            return Some(change);
        };
        if former != *id
            && let Some(shard) = registry.shards.get_mut(&former)
        {
            shard.send_about(&agent, Command::RevokeSoftphone { agent: agent.clone() });
        }
        None
    }

    /// Forgets the softphones of shards whose link is lost for longer than the grace, and returns
    /// them.
    pub(crate) fn take_lost_softphones(
        &self,
        lost_after: Duration,
        now: Instant,
    ) -> Vec<PresenceChange> {
        let mut registry = self.lock();
        let Registry { shards, softphones, .. } = &mut *registry;
        let grace = LINK_GRACE.min(lost_after);
        let mut lost = Vec::new();
        softphones.registered.retain(|agent, id| {
            let shard = shards.get(id);
            let is_there = shard.is_some_and(|shard| {
                shard.connection.is_some()
                    || now.saturating_duration_since(shard.disconnected) < grace
            });
            if !is_there {
                let last_seen_ms = shard.and_then(|shard| shard.last_seen_ms);
                lost.push(PresenceChange { agent: agent.clone(), is_online: false, last_seen_ms });
            }
            is_there
        });
        lost
    }

    /// Forgets which shards admitted agents whose leave has expired.
    pub(crate) fn forget_expired_grants(&self, now_ms: u64) {
        self.lock().softphones.granted.retain(|_, granted| now_ms < granted.expires_at_ms);
    }
}

impl Registry {
    fn softphone_shard(&self, agent: &AgentName, call_id: Option<&CallId>) -> Option<ShardId> {
        let serves = |id: &&ShardId| {
            self.shards.get(id).is_some_and(|shard| shard.softphone_service.is_some())
        };
        if let Some(id) = call_id.and_then(|call_id| self.calls.get(call_id)).filter(serves) {
            return Some(id.clone());
        }
        let takes = |id: &&ShardId| self.shards.get(id).is_some_and(Shard::takes_softphones);
        let registered = self.softphones.registered.get(agent).filter(takes);
        let granted =
            || self.softphones.granted.get(agent).map(|granted| &granted.shard).filter(takes);
        if let Some(id) = registered.or_else(granted) {
            return Some(id.clone());
        }
        let admitted_count = |id: &ShardId| {
            self.softphones.granted.values().filter(|granted| granted.shard == *id).count()
        };
        let takers = self.shards.iter().filter(|(_, shard)| shard.takes_softphones());
        let loads = takers
            .filter_map(|(id, shard)| Some((shard.load_permille().ok()?, admitted_count(id), id)));
        loads.min().map(|(_, _, id)| id.clone())
    }
}

impl Shard {
    fn takes_softphones(&self) -> bool {
        self.is_connected() && !self.status.draining && self.softphone_service.is_some()
    }

    /// Sends a command about an agent's leave to register in place of those about it that still
    /// wait.
    fn send_about(&mut self, agent: &AgentName, command: Command) {
        self.pending.retain(|_, pending| match &pending.command {
            Command::GrantSoftphone(grant) => grant.agent != *agent,
            Command::RevokeSoftphone { agent: other } => other != agent,
            Command::PlaceCall(_)
            | Command::HangUp { .. }
            | Command::Control(_)
            | Command::KeepTrunks(_)
            | Command::TellLadder { .. }
            | Command::StartCapture { .. }
            | Command::StopCapture { .. } => true,
        });
        self.send(command);
    }
}
