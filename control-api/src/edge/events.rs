//! What a shard tells of calls, each kind handed to who does something about it.

use crate::app::App;
use crate::call::{ending, progress, transfer_request};
use control_wire::Event;
use futures_util::future::OptionFuture;
use std::sync::Arc;

/// Applies events in their order within each call, which is asked for at once; all are durable when
/// it returns.
pub(super) fn apply(
    app: &Arc<App>,
    events: Vec<Event>,
) -> impl Future<Output = Result<(), storage::Error>> + Send {
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
    // Asked for one behind the other, so that they share a group.
    let applied = (!milestones.is_empty()).then(|| progress::apply(app, milestones));
    let ended = (!ends.is_empty()).then(|| ending::apply(app, ends));
    async move {
        let applied = OptionFuture::from(applied).await.unwrap_or(Ok(()));
        for (call_id, party, target) in requests {
            tokio::spawn(transfer_request::answer(Arc::clone(app), call_id, party, target));
        }
        applied.and(OptionFuture::from(ended).await.unwrap_or(Ok(())))
    }
}
