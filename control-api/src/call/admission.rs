//! Whether there is room for a call or for a party: the account's limits, a line of a trunk that
//! can be reached, a shard; and what is answered when there is none.

use crate::app::App;
use crate::clock::now_ms;
use crate::limits::{Exceeded, Line};
use crate::link::NoShard;
use crate::problem::Problem;
use crate::routing::ResolvedTrunk;
use call_words::TrunkId;
use std::time::{Duration, Instant};
use storage::{Account, Trunk};

/// Waits that are proposed when calls cannot be placed at the moment.
const NO_TRUNK_RETRY: Duration = Duration::from_secs(60);
const NO_SHARD_RETRY: Duration = Duration::from_secs(5);

/// The trunks that can be reached and have room, and a line of the first.
pub async fn free_trunks(
    app: &App,
    trunks: Vec<Trunk>,
) -> Result<(Vec<ResolvedTrunk>, Line<TrunkId>), Problem> {
    let ready = app.resolver.ready_trunks(trunks, &app.secrets.master_key).await;
    if ready.is_empty() {
        return Err(Problem::unavailable(
            "no_trunk",
            "no trunk of the account can be reached",
            NO_TRUNK_RETRY,
        ));
    }
    let now = Instant::now();
    let take = |trunk: ResolvedTrunk| {
        app.notices.trunk_lines.take(trunk.id(), trunk.max_calls(), now).map(|line| (trunk, line))
    };
    let (trunks, lines): (Vec<_>, Vec<_>) = ready.into_iter().filter_map(take).unzip();
    // The lines of the trunks that are only there for failover are given back at once.
    let line = lines.into_iter().next();
    let line = line.ok_or_else(|| {
        Problem::unavailable(
            "trunks_full",
            "the account's trunks carry all the calls that they may",
            NO_SHARD_RETRY,
        )
    })?;
    Ok((trunks, line))
}

/// Refuses an account that has talked as long as it may today (B09).
pub fn check_minutes(app: &App, account: &Account) -> Result<(), Problem> {
    app.limits.minutes.check(account, now_ms(), &app.metrics).map_err(|wait| {
        let detail = format!(
            "the account's setting `minutes_per_day` allows {} minutes of talk a day (UTC)",
            account.minutes_per_day
        );
        Problem::too_many_requests("minutes_limit", detail, wait)
    })
}

/// Says which limit was exceeded, and when to come again.
pub fn limit_problem(exceeded: Exceeded) -> Problem {
    match exceeded {
        Exceeded::Concurrency { retry_after } => Problem::too_many_requests(
            "concurrency_limit",
            "the account has as many calls as it may have at once",
            retry_after,
        ),
        Exceeded::Rate { retry_after } => Problem::too_many_requests(
            "rate_limit",
            "the account starts as many calls per second as it may",
            retry_after,
        ),
    }
}

/// The softphone is not there to be rung.
pub fn agent_offline() -> Problem {
    Problem::conflict("agent_offline", "crm_username: the agent's softphone is not online")
}

/// Says why no shard takes a call now.
pub fn no_shard_problem(refusal: NoShard) -> Problem {
    let (code, detail) = match refusal {
        NoShard::Disconnected => ("no_edge", "no media server is connected"),
        NoShard::Draining => ("draining", "the media servers are draining"),
        NoShard::Full => ("capacity", "the media servers have no free line"),
        NoShard::AgentOffline => return agent_offline(),
    };
    Problem::unavailable(code, detail, NO_SHARD_RETRY)
}
