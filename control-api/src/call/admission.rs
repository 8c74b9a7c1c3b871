//! Whether there is room for a call or for a party: the account's limits, a line of a trunk that
//! can be reached, a shard; and what is answered when there is none.

use crate::app::App;
use crate::clock::now_ms;
use crate::limits::{Exceeded, Line};
use crate::link::NoShard;
use crate::number::E164;
use crate::problem::Problem;
use crate::routing::{self, Way};
use call_words::TrunkId;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use storage::{Account, Trunk};

/// Waits that are proposed when calls cannot be placed at the moment.
const NO_TRUNK_RETRY: Duration = Duration::from_secs(60);
const NO_SHARD_RETRY: Duration = Duration::from_secs(5);

/// A way for each number over trunks that can be reached and have room, and a line of the trunk
/// that each tries first, once where it is the same one.
pub async fn free_trunks(
    app: &App,
    trunks: Vec<Trunk>,
    numbers: &[&E164],
) -> Result<(Vec<Way>, Vec<Line<TrunkId>>), Problem> {
    let master_key = &app.secrets.master_key;
    let ready = app.resolver.ready_trunks(trunks.clone(), master_key).await;
    if ready.is_empty() {
        return Err(no_trunk("no trunk of the account can be reached"));
    }
    let mut held: BTreeMap<TrunkId, Line<TrunkId>> = BTreeMap::new();
    let mut ways = Vec::with_capacity(numbers.len());
    for number in numbers {
        let serving = routing::serving(&ready, number);
        if serving.is_empty() {
            return Err(no_trunk("no trunk of the account that can be reached serves the number"));
        }
        let mut way = Way {
            trunks: Vec::new(),
            skipped: routing::unresolved(&trunks, &ready, number, master_key),
        };
        for trunk in serving {
            if held.contains_key(trunk.id()) {
                way.trunks.push(trunk.clone());
                continue;
            }
            let (lines, now) = (&app.notices.trunk_lines, Instant::now());
            let Some(line) = lines.take(trunk.id(), trunk.max_calls(), now) else { continue };
            if way.trunks.is_empty() {
                if !lines.take_turn(trunk.id(), trunk.max_calls_per_s(), now) {
                    continue;
                }
                held.insert(trunk.id().clone(), line);
            }
            // The lines of the trunks that are only there for failover are given back at once.
            way.trunks.push(trunk.clone());
        }
        if way.trunks.is_empty() {
            return Err(Problem::unavailable(
                "trunks_full",
                "the account's trunks carry or start all the calls that they may",
                NO_SHARD_RETRY,
            ));
        }
        ways.push(way);
    }
    Ok((ways, held.into_values().collect()))
}

fn no_trunk(detail: &str) -> Problem {
    Problem::unavailable("no_trunk", detail, NO_TRUNK_RETRY)
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
