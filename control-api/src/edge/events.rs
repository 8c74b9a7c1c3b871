//! What a shard tells of calls, each kind handed to who does something about it.

use crate::app::App;
use crate::call::{ending, progress, transfer_request};
use control_wire::Event;
use std::sync::Arc;
use tokio::task::JoinSet;

/// Applies events in their order within each call; all are durable when it returns. Ends of
/// different calls share disk writes.
pub(super) async fn apply(app: &Arc<App>, events: Vec<Event>) -> Result<(), storage::Error> {
    let mut milestones = Vec::new();
    let mut ends = Vec::new();
    let mut requests = Vec::new();
    for event in events {
        match event {
            Event::Milestone(milestone) => milestones.push(milestone),
            Event::Ended(ended) => ends.push(*ended),
            Event::TransferRequested { call_id, party, target } => {
                requests.push((call_id, party, target))
            }
        }
    }
    progress::apply(app, milestones).await?;
    for (call_id, party, target) in requests {
        tokio::spawn(transfer_request::answer(Arc::clone(app), call_id, party, target));
    }
    let mut tasks = JoinSet::new();
    for ended in ends {
        let app = Arc::clone(app);
        tasks.spawn(async move { ending::apply(&app, ended).await });
    }
    while let Some(task) = tasks.join_next().await {
        task.expect("ending a call does not panic")?;
    }
    Ok(())
}
