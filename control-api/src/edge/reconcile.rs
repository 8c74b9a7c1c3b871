//! Calls whose shard is gone: at start, when a shard says Hello, when one stays away, and when a
//! call outlives its longest time. Each ends with what is known of it, so that nothing stays
//! unfinished.

use crate::agent::presence;
use crate::app::App;
use crate::call::ending;
use crate::clock::now_ms;
use crate::limits::CALL_LINE;
use crate::link::ShardId;
use call_words::{AccountId, CallId, Reason};
use control_wire::Hello;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use storage::{Call, FinalCall};

const TICK: Duration = Duration::from_secs(1);
/// Ticks between two looks for calls that outlived their longest time.
const SWEEP_TICKS: u64 = 15;
/// Time past its longest duration after which a call is hung up once more, and after as much again
/// ended without its shard.
const OVERDUE_MARGIN_MS: u64 = 60_000;
/// Longest time of a call whose account was deleted meanwhile.
const ORPHAN_DURATION_MS: u64 = 4 * 3_600_000;

/// Takes over the calls that were live when this process stopped: those that no shard got end, the
/// others wait for theirs.
pub async fn adopt_live_calls(app: &Arc<App>) -> Result<(), storage::Error> {
    let now = Instant::now();
    for call in app.records.live_calls().await? {
        app.limits.lines.adopt(&call.account_id, now);
        if let Some(trunk_id) = &call.trunk {
            app.notices.trunk_lines.adopt(&call.call_id, CALL_LINE, trunk_id, now);
        }
        for other in call.others.iter().filter(|other| other.end_ms.is_none()) {
            if let Some(trunk_id) = &other.trunk {
                app.notices.trunk_lines.adopt(&call.call_id, &other.party, trunk_id, now);
            }
        }
        match &call.owner {
            Some(owner) => app.link.adopt(owner, &call.call_id, call.hang_up_requested, now),
            None => {
                ending::end_call(app, &call.call_id, FinalCall::failed(Reason::System, now_ms()))
                    .await?
            }
        }
    }
    Ok(())
}

/// Ends the calls that a greeting shard no longer has, and returns those that it has but that have
/// ended.
pub(super) async fn greet(
    app: &Arc<App>,
    hello: &Hello,
    last_seen_ms: Option<u64>,
) -> Result<Vec<CallId>, storage::Error> {
    let id = ShardId { edge: hello.edge.clone(), shard: hello.shard };
    let known: HashSet<&CallId> = hello.live_calls.iter().collect();
    let live = app.records.live_calls().await?;
    let is_here = |call: &&Call| {
        call.owner.as_ref().is_some_and(|owner| owner.edge == id.edge && owner.shard == id.shard)
    };
    for call in live.iter().filter(is_here) {
        let same_epoch = call.owner.as_ref().is_some_and(|owner| owner.epoch == hello.epoch);
        let is_gone = !known.contains(&call.call_id) && !app.link.is_on_its_way(&id, &call.call_id);
        if !same_epoch || is_gone {
            ending::end_lost_call(app, call, last_seen_ms).await?;
        }
    }
    let live: HashSet<CallId> = live.into_iter().map(|call| call.call_id).collect();
    Ok(hello.live_calls.iter().filter(|call_id| !live.contains(*call_id)).cloned().collect())
}

/// Until the process is to stop: repeats what did not fit into a queue, ends the calls of shards
/// that stay away, sweeps.
pub async fn watch(app: Arc<App>) {
    let mut ticks = tokio::time::interval(TICK);
    let mut tick_count: u64 = 0;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = app.shutdown.cancelled() => return,
        }
        app.link.flush();
        app.link.forget_expired_grants(now_ms());
        presence::take_away_lost(&app, Instant::now()).await;
        tick_count += 1;
        let swept = if tick_count.is_multiple_of(SWEEP_TICKS) {
            sweep(&app, now_ms()).await
        } else {
            Ok(())
        };
        if let Err(error) = end_lost(&app, Instant::now()).await.and(swept) {
            tracing::error!(%error, "calls of lost shards could not be ended; the next sweep \
                tries again");
        }
    }
}

async fn end_lost(app: &Arc<App>, now: Instant) -> Result<(), storage::Error> {
    for (call_id, last_seen_ms) in app.link.take_lost(app.config.edge_lost_after(), now) {
        if let Some(call) = app.records.call(&call_id).await?.filter(Call::is_live) {
            tracing::warn!(%call_id, "call ended: its edge stayed away");
            ending::end_lost_call(app, &call, last_seen_ms).await?;
        }
    }
    Ok(())
}

/// Hangs up calls that outlived their longest time, and ends those that outlived it long ago or
/// that no shard has.
pub async fn sweep(app: &Arc<App>, now_ms: u64) -> Result<(), storage::Error> {
    let accounts = app.records.accounts().await?.into_iter();
    let longest: HashMap<AccountId, u64> =
        accounts.map(|account| (account.id, account.max_duration_ms)).collect();
    for call in app.records.live_calls().await? {
        let max_duration_ms = longest.get(&call.account_id).copied().unwrap_or(ORPHAN_DURATION_MS);
        let age_ms = now_ms.saturating_sub(call.start_ms);
        let overdue_ms = age_ms.saturating_sub(max_duration_ms);
        if overdue_ms > 2 * OVERDUE_MARGIN_MS
            || (age_ms > OVERDUE_MARGIN_MS && !app.link.holds(&call.call_id))
        {
            tracing::warn!(call_id = %call.call_id,
                "call ended: it outlived its longest time, or no shard has it");
            ending::end_lost_call(app, &call, Some(now_ms)).await?;
        } else if overdue_ms > OVERDUE_MARGIN_MS {
            app.link.hang_up(&call.call_id);
        }
    }
    Ok(())
}
