//! How much control-api takes on a core of its own: durable `POST /calls` over many connections,
//! for calls whose agent is busy, and their callbacks to a sink of many endpoints, of which one
//! hangs in the second of two rounds. The edge, which would need the other core for itself, has an
//! understudy.

use crate::children::{Account, Stack, StackSpec, pin};
use crate::numbers::{agent, customer, of_customer};
use crate::spread::{Spread, Times};
use crate::understudy;
use anyhow::Context;
use axum::extract::{Path, State};
use axum::routing::post;
use axum::{Json, Router};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What to run.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct ApiSpec {
    /// Connections that post, each one request at a time
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub connections: u32,
    /// Calls of each round
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pub calls: u32,
    /// Accounts, each with an endpoint of its own
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(2..=5_000))]
    pub endpoints: u32,
}

/// What came of one round.
#[derive(Debug, Serialize)]
pub struct Round {
    /// Whether the first endpoint takes requests and never answers.
    pub one_hangs: bool,
    pub accepted: u32,
    pub refused: BTreeMap<String, u32>,
    pub posts_per_s: f64,
    /// `POST /calls`, request to answer.
    pub post: Spread,
    /// From the first request on, until the last callback of an endpoint that answers.
    pub callbacks_per_s: f64,
    /// The request to the callback, at endpoints that answer.
    pub callback: Spread,
    /// The p99 of each endpoint that answers, spread over the endpoints.
    pub endpoints: Spread,
    /// Of endpoints that answer.
    pub missing: usize,
    /// CPU of control-api for each accepted call.
    pub cpu_per_call_ms: f64,
}

/// Where callbacks come in: when, by the call's number.
#[derive(Default)]
struct Sink {
    came: Mutex<HashMap<u32, Instant>>,
    one_hangs: AtomicBool,
}

/// Longest wait for the callbacks after the last request.
const PATIENCE: Duration = Duration::from_secs(30);
/// The customers of a round begin at this number times the round's.
const ROUND_NUMBERS: u32 = 50_000;

/// Runs two rounds: all endpoints answer; then all but one.
pub async fn run(spec: ApiSpec, progress: &mut dyn FnMut(String)) -> anyhow::Result<Vec<Round>> {
    let sink = Arc::new(Sink::default());
    let url = listen(sink.clone()).await?;
    // Nobody is called there.
    let carrier = ([127, 0, 0, 1], 9).into();
    let mut stack = Stack::start(StackSpec {
        more_accounts: spec.endpoints,
        ..StackSpec::load(carrier, url, 1_000, 1)
    })
    .await
    .context("starting the processes")?;
    stack.edge.terminate().await?;
    let understudy = understudy::start(&stack.folder.join("control.sock")).await?;
    // All others have the other cores.
    let core_count = std::thread::available_parallelism()?.get();
    let own = core_count - 1;
    let others: Vec<usize> = (0..own.max(1)).collect();
    pin(stack.control_api.id(), &[own])?;
    pin(std::process::id(), &others)?;
    let mut rounds = Vec::new();
    for (n, one_hangs) in (0..).zip([false, true]) {
        progress(format!(
            "{} calls, {}",
            spec.calls,
            if one_hangs { "one hangs" } else { "all answer" }
        ));
        sink.one_hangs.store(one_hangs, Ordering::Relaxed);
        rounds.push(round(spec, n * ROUND_NUMBERS, one_hangs, &stack, &sink).await?);
    }
    sink.one_hangs.store(false, Ordering::Relaxed);
    anyhow::ensure!(!understudy.is_finished(), "the link broke: {:?}", understudy.await);
    stack.stop().await?;
    Ok(rounds)
}

async fn round(
    spec: ApiSpec,
    first: u32,
    one_hangs: bool,
    stack: &Stack,
    sink: &Arc<Sink>,
) -> anyhow::Result<Round> {
    let next = Arc::new(AtomicU32::new(0));
    let (started, cpu_s) = (Instant::now(), stack.api_usage()?.cpu_s);
    let mut connections = tokio::task::JoinSet::new();
    for _ in 0..spec.connections {
        let client = reqwest::Client::builder().pool_max_idle_per_host(1).build()?;
        let (next, url) = (next.clone(), format!("{}/calls", stack.api_url));
        connections.spawn(async move {
            let mut posted = Vec::new();
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= spec.calls {
                    return anyhow::Ok(posted);
                }
                let account = Account::more(n % spec.endpoints);
                let request =
                    client.post(&url).bearer_auth(&account.key).json(&serde_json::json!({
                        "from_number": account.number,
                        "to_number": customer(first + n),
                        "agent_number": agent(first + n),
                        "record": false,
                    }));
                let at = Instant::now();
                let answer = request.send().await?;
                let status = answer.status();
                answer.bytes().await?;
                posted.push((n, at, at.elapsed(), status));
            }
        });
    }
    let mut posted = Vec::new();
    while let Some(of_one) = connections.join_next().await {
        posted.extend(of_one??);
    }
    let posting = started.elapsed();
    let accepted: Vec<_> = posted.iter().filter(|(.., status)| *status == 201).collect();
    let mut refused = BTreeMap::new();
    for (.., status) in posted.iter().filter(|(.., status)| *status != 201) {
        *refused.entry(status.to_string()).or_default() += 1;
    }
    // The first endpoint is not looked at where it hangs.
    let awaited: Vec<_> =
        accepted.iter().filter(|(n, ..)| !(one_hangs && n % spec.endpoints == 0)).collect();
    let deadline = Instant::now() + PATIENCE;
    let is_missing = || {
        let came = sink.came.lock().expect("callbacks");
        awaited.iter().filter(|(n, ..)| !came.contains_key(&(first + n))).count()
    };
    while is_missing() > 0 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let cpu_s = stack.api_usage()?.cpu_s - cpu_s;
    let came = sink.came.lock().expect("callbacks");
    let mut by_endpoint: BTreeMap<u32, Times> = BTreeMap::new();
    let (mut callback, mut last) = (Times::default(), started);
    for (n, at, ..) in &awaited {
        let Some(arrival) = came.get(&(first + n)) else { continue };
        let took = arrival.duration_since(*at);
        callback.add(took);
        by_endpoint.entry(n % spec.endpoints).or_default().add(took);
        last = last.max(*arrival);
    }
    let callback = callback.spread();
    let p99 = |times: &Times| Duration::from_secs_f64(times.spread().p99_ms / 1e3);
    Ok(Round {
        one_hangs,
        accepted: accepted.len() as u32,
        refused,
        posts_per_s: accepted.len() as f64 / posting.as_secs_f64(),
        post: accepted.iter().map(|(_, _, took, _)| *took).collect::<Times>().spread(),
        callbacks_per_s: callback.count as f64
            / last.duration_since(started).as_secs_f64().max(1e-3),
        missing: awaited.len() - callback.count as usize,
        callback,
        endpoints: by_endpoint.values().map(p99).collect::<Times>().spread(),
        cpu_per_call_ms: cpu_s * 1e3 / accepted.len().max(1) as f64,
    })
}

/// Listens on a free loopback port; answers the head of the endpoints' URLs.
async fn listen(sink: Arc<Sink>) -> anyhow::Result<String> {
    async fn receive(
        State(sink): State<Arc<Sink>>,
        Path(endpoint): Path<u32>,
        Json(body): Json<serde_json::Value>,
    ) {
        while endpoint == 0 && sink.one_hangs.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        if let Some(n) = body["customer_number"].as_str().and_then(of_customer) {
            sink.came.lock().expect("callbacks").entry(n).or_insert_with(Instant::now);
        }
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let router = Router::new().route("/{endpoint}", post(receive)).with_state(sink);
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(url)
}

/// The rounds as a table for people.
pub fn table(rounds: &[Round]) -> String {
    let mut text = String::new();
    for round in rounds {
        text += if round.one_hangs { "\none endpoint hangs\n" } else { "all endpoints answer\n" };
        for (name, value) in [
            ("accepted, refused", format!("{}, {:?}", round.accepted, round.refused)),
            ("posts a second", format!("{:.0}", round.posts_per_s)),
            ("POST /calls", round.post.to_string()),
            ("control-api CPU a call", format!("{:.2} ms", round.cpu_per_call_ms)),
            ("callbacks a second", format!("{:.0}", round.callbacks_per_s)),
            ("POST to callback", round.callback.to_string()),
            ("each endpoint's p99 of it", round.endpoints.to_string()),
            ("results that did not come", round.missing.to_string()),
        ] {
            text += &format!("{name:<28} {value}\n");
        }
    }
    text
}
