//! Who is online: agents' names towards the edge, what is remembered of their softphones, and word
//! to the pages that wait for a change.

use crate::app::App;
use crate::clock::now_ms;
use crate::link::PresenceChange;
use crate::watch::{AgentId, registered_names};
use call_words::AgentName;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::time::timeout;

/// What the agent is called towards the edge; from now on the name is known.
pub fn name(app: &App, agent: &AgentId) -> AgentName {
    let name = app.secrets.master_key.agent_name(&agent.account_id, &agent.crm_username);
    app.notices.softphones.know([(name.clone(), agent.clone())]);
    name
}

/// Whether the agent's softphone is registered.
pub fn is_online(app: &App, agent: &AgentId) -> bool {
    app.link.is_softphone_online(
        &app.secrets.master_key.agent_name(&agent.account_id, &agent.crm_username),
    )
}

/// Waits until the agent's softphone is registered. False if it did not within the time.
pub async fn wait_online(app: &App, agent: &AgentId, limit: Duration) -> bool {
    becomes(app.notices.softphones.watch(agent), limit, || is_online(app, agent)).await
}

/// Waits until it is so, looking at each change. False if it did not become so within the time.
async fn becomes(
    mut changes: watch::Receiver<()>,
    limit: Duration,
    is_so: impl Fn() -> bool,
) -> bool {
    let so = async {
        while !is_so() {
            if changes.changed().await.is_err() {
                return;
            }
        }
    };
    // At the end of the time the last look counts, too.
    let _ = timeout(limit, so).await;
    is_so()
}

/// Remembers when softphones came and went and wakes who waits for it. Names that no agent has are
/// cut off.
pub async fn presence_changed(app: &Arc<App>, changes: Vec<PresenceChange>) {
    if changes.is_empty() {
        return;
    }
    if changes.iter().any(|change| app.notices.softphones.agent(&change.agent).is_none()) {
        // Agents that were registered since are looked up before a softphone is cut off.
        let master_key = Arc::clone(&app.secrets.master_key);
        match app.records.visit(move |store| registered_names(store, &master_key)).await {
            Ok(names) => app.notices.softphones.know(names),
            Err(error) => {
                return tracing::error!(%error, "softphones are not known: agents cannot be read");
            }
        }
    }
    let mut known = Vec::with_capacity(changes.len());
    for change in changes {
        match app.notices.softphones.agent(&change.agent) {
            Some(agent) => known.push((agent, change)),
            None => {
                tracing::warn!("a softphone of an agent that is not registered is cut off");
                app.link.revoke_softphone(&change.agent);
            }
        }
    }
    for (agent, change) in known {
        let AgentId { account_id, crm_username } = &agent;
        tracing::info!(%account_id, crm_username, online = change.is_online, "softphone");
        let seen_ms = change.last_seen_ms.unwrap_or_else(now_ms);
        let noted =
            app.records.change_softphone(&agent, move |known| known.last_seen_ms = Some(seen_ms));
        if let Err(error) = noted.await {
            tracing::error!(%error, "when a softphone was last seen could not be stored");
        }
        app.notices.softphones.changed(&agent);
    }
}

/// Notes the softphones that went with the links of their shards.
pub async fn take_away_lost(app: &Arc<App>, now: Instant) {
    presence_changed(app, app.link.take_lost_softphones(app.config.edge_lost_after(), now)).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use std::cell::Cell;
    use std::pin::pin;

    #[tokio::test]
    async fn a_wait_ends_with_the_change_or_with_its_time() {
        let is_so = Cell::new(false);
        let (change, changes) = watch::channel(());
        let minute = Duration::from_secs(60);
        let mut wait = pin!(becomes(changes, minute, || is_so.get()));
        assert_eq!(wait.as_mut().now_or_never(), None);
        change.send(()).expect("somebody waits");
        assert_eq!(wait.as_mut().now_or_never(), None, "another change");
        is_so.set(true);
        change.send(()).expect("somebody waits");
        assert_eq!(wait.as_mut().now_or_never(), Some(true), "at once");
        assert!(!becomes(change.subscribe(), Duration::from_millis(1), || false).await);
        assert!(becomes(change.subscribe(), Duration::ZERO, || true).await);
    }
}
