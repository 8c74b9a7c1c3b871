//! What operators see of calls: their SIP messages, kept as shards tell them, and what is asked of
//! a shard while a call is not over.

use crate::app::App;
use crate::link::ControlFailure;
use control_wire::{Command, Ladder};
use futures_util::future::OptionFuture;
use storage::Call;

/// Keeps what shards told, which is asked for at once.
pub fn keep(app: &App, ladders: Vec<Ladder>) -> impl Future<Output = Result<(), storage::Error>> {
    let is_kept = app.config.calls.ladder_days > 0 && !ladders.is_empty();
    let kept = is_kept.then(|| app.records.put_ladders(ladders.into_iter().map(record).collect()));
    async { OptionFuture::from(kept).await.unwrap_or(Ok(())) }
}

/// What is known of a call's messages. Its shard is asked as long as something may follow.
pub async fn read(app: &App, call: &Call) -> Result<Option<storage::Ladder>, storage::Error> {
    let kept = app.records.ladder(&call.call_id).await?;
    if kept.as_ref().is_some_and(|it| it.whole) {
        return Ok(kept);
    }
    let told = ask(app, call, Command::TellLadder { call_id: call.call_id.clone() }).await;
    // A shard that cannot be asked, or has forgotten the call, leaves what was told before.
    if told.is_ok() { app.records.ladder(&call.call_id).await } else { Ok(kept) }
}

/// Asks the shard that has or had a call for something that operators see of it.
pub async fn ask(app: &App, call: &Call, command: Command) -> Result<(), ControlFailure> {
    let owner = call.owner.as_ref().ok_or(ControlFailure::NoEdge)?;
    app.link.ask(owner, command)?.wait().await
}

fn record(told: Ladder) -> storage::Ladder {
    let Ladder { call_id, rungs, left_out_count, whole } = told;
    storage::Ladder { call_id, rungs, left_out_count, whole }
}
