//! The load run: places calls through the REST API against a carrier of its own, and measures
//! set-up, loss, delay, CPU and memory.

use crate::carrier::script::Behaviour;
use crate::carrier::{Carrier, CarrierConfig, LegReport};
use crate::children::{Softphones, Stack, StackSpec, Usage, more_agent};
use crate::conference::{self, Asked, THIRD_PREFIX};
use crate::floor::{self, Floor};
use crate::rtpengine;
use crate::softphones::{Fleet, Times};
use anyhow::Context;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What to run.
#[derive(Debug, Clone, Copy)]
pub struct LoadSpec {
    /// Most calls at a time.
    pub calls: u32,
    /// Calls placed a second.
    pub rate: f64,
    /// Calls placed in all.
    pub total: u32,
    /// Time from a customer's answer to its hang-up.
    pub hold: Duration,
    pub record: bool,
    /// Legs send and receive RTP; without, only signalling is loaded.
    pub media: bool,
    /// The agents are softphones that open launch links, instead of phones.
    pub softphones: bool,
    /// A third party joins each call once it is bridged, so that it is mixed.
    pub three_way: bool,
    /// Afterwards rtpengine relays the same packets, to compare with.
    pub rtpengine: bool,
    pub shards: u16,
}

impl LoadSpec {
    fn legs_per_call(&self) -> u64 {
        if self.three_way { 3 } else { 2 }
    }
}

/// Percentiles of one measured time, in milliseconds.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Percentiles {
    pub count: usize,
    pub p50_ms: f64,
    pub p95_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
}

impl Percentiles {
    pub(crate) fn of(mut millis: Vec<f64>) -> Percentiles {
        millis.sort_by(f64::total_cmp);
        let at = |share: f64| {
            millis
                .get(((millis.len() as f64 * share) as usize).min(millis.len().saturating_sub(1)))
                .copied()
                .unwrap_or(0.0)
        };
        Percentiles {
            count: millis.len(),
            p50_ms: at(0.5),
            p95_ms: at(0.95),
            p99_ms: at(0.99),
            max_ms: at(1.0),
        }
    }
}

/// State of the edge at one moment of the run.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Sample {
    pub at_s: f64,
    pub live_legs: u64,
    pub edge_cpu_s: f64,
    pub edge_rss_kib: u64,
    pub edge_fd_count: usize,
    pub relayed_count: u64,
}

/// The figures of one run.
#[derive(Debug, Serialize)]
pub struct LoadReport {
    pub placed: usize,
    pub answered: usize,
    pub peak_calls: u64,
    pub http_errors: BTreeMap<String, usize>,
    pub callback_statuses: BTreeMap<String, usize>,
    pub callbacks_missing: usize,
    /// `POST /calls`, request to answer.
    pub post: Percentiles,
    /// `POST /calls` sent to the customer's 200 being acknowledged; the peers answer at once.
    pub setup: Percentiles,
    /// Customer's ACK to its first packet from the agent.
    pub audio: Percentiles,
    /// Hang-up by the customer to the first byte of the callback.
    pub callback: Percentiles,
    /// Launch link opened to the softphone being registered.
    pub registered: Percentiles,
    /// Launch link opened to keys for the agent's audio.
    pub agent_media: Percentiles,
    /// A third party asked for to its INVITE on the wire.
    pub verb: Percentiles,
    /// One way through the edge, both peers' polling included; not measured where audio is mixed.
    pub packet_delay: Percentiles,
    pub packets_sent: u64,
    pub packets_received: u64,
    pub packets_lost: u64,
    /// Datagrams that the kernel dropped before the edge read them.
    pub datagrams_dropped: u64,
    /// Microseconds of edge CPU per relayed packet while at least 95 % of the peak's legs were up.
    pub cpu_per_packet_us: Option<f64>,
    /// The same packets through a bare loop, right after the run; `None` without media.
    pub floor: Option<Floor>,
    /// The same packets through rtpengine, right after the bare loop, if asked for.
    pub rtpengine: Option<Floor>,
    /// Edge CPU of the whole run, in milliseconds per call.
    pub cpu_per_call_ms: f64,
    /// The same of control-api, from its first request on.
    pub api_cpu_per_call_ms: f64,
    /// Growth of the edge's resident memory from before the first call to the peak, per call.
    pub memory_per_call_kib: f64,
    pub fd_count_before: usize,
    pub fd_count_after: usize,
    pub rss_before_kib: u64,
    pub rss_after_kib: u64,
    pub samples: Vec<Sample>,
}

/// One call as the load generator saw it.
#[derive(Default, Clone, Copy)]
struct Placed {
    posted_at: Option<Instant>,
    answered_after: Option<Duration>,
    callback_at: Option<Instant>,
}

#[derive(Default)]
struct Ledger {
    calls: HashMap<String, Placed>,
    http_errors: BTreeMap<String, usize>,
    statuses: BTreeMap<String, usize>,
    softphones: Vec<Times>,
}

/// How long the bare loop runs.
const FLOOR_SPAN: Duration = Duration::from_secs(10);
const AGENT_PREFIX: &str = "98760";
const CUSTOMER_PREFIX: &str = "98761";

/// Runs the load and measures. `progress` gets one line a second.
pub async fn run(spec: LoadSpec, progress: &mut dyn FnMut(String)) -> anyhow::Result<LoadReport> {
    let hold = spec.hold;
    let tone = spec.media.then_some(440.0);
    let script = move |user: &str| {
        let is_customer = user.contains(CUSTOMER_PREFIX);
        Behaviour::answer(Duration::ZERO, tone, is_customer.then_some(hold))
    };
    // A probe does not survive being mixed.
    let config = CarrierConfig { sip: ([127, 0, 0, 1], 0).into(), probe: !spec.three_way };
    let carrier = Carrier::start(config, Box::new(script))?;
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let sink = callback_sink(ledger.clone()).await?;
    let mut stack_spec = StackSpec::load(carrier.address, sink, spec.calls, spec.shards);
    // A launch link cannot say whether its call is recorded.
    stack_spec.legs_per_call = spec.legs_per_call() as u16;
    stack_spec.account_settings = if spec.record { "" } else { "record = false\n" };
    if spec.softphones {
        (stack_spec.softphones, stack_spec.more_agents) = (Softphones::SelfSigned, spec.total);
    }
    let stack = Stack::start(stack_spec).await.context("starting the processes")?;
    let asked = if spec.three_way { Some(conference::follow(&stack).await?) } else { None };
    let (before, api_before) = (stack.edge_usage()?, stack.api_usage()?);
    let (fleet, agents) =
        spec.softphones.then(|| Fleet::start(&stack, carrier.totals.clone())).transpose()?.unzip();
    let (samples, started) = (Vec::new(), Instant::now());
    let mut run =
        Run { spec, stack: &stack, carrier: &carrier, fleet, ledger: &ledger, samples, started };
    run.place_all(progress).await?;
    run.wait_for_the_end(progress).await?;
    let samples = run.samples;
    let (after, api_after) = (stack.edge_usage()?, stack.api_usage()?);
    let datagrams_dropped = stack.edge.datagrams_dropped()?;
    let legs: Vec<LegReport> = carrier
        .reports
        .try_iter()
        .chain(agents.iter().flat_map(|agents| agents.try_iter()))
        .collect();
    stack.stop().await?;
    drop(carrier);
    let floor = if spec.media {
        progress("measuring the kernel's floor with the same packets".into());
        Some(tokio::task::spawn_blocking(move || floor::measure(spec.calls, FLOOR_SPAN)).await??)
    } else {
        None
    };
    let rtpengine = if spec.rtpengine {
        progress("measuring rtpengine with the same packets".into());
        Some(
            tokio::task::spawn_blocking(move || rtpengine::measure(spec.calls, FLOOR_SPAN))
                .await??,
        )
    } else {
        None
    };
    let ledger = Arc::try_unwrap(ledger).map_or_else(
        |shared| std::mem::take(&mut *shared.lock().expect("ledger")),
        |own| own.into_inner().expect("ledger"),
    );
    let mut report = report(spec, &legs, ledger, samples, before, after);
    if let Some(asked) = asked {
        report.tell_conferences(&legs, &asked.lock().expect("asked"));
    }
    let api_cpu_per_call_ms =
        (api_after.cpu_s - api_before.cpu_s) * 1e3 / report.answered.max(1) as f64;
    Ok(LoadReport { floor, rtpengine, datagrams_dropped, api_cpu_per_call_ms, ..report })
}

struct Run<'a> {
    spec: LoadSpec,
    stack: &'a Stack,
    carrier: &'a Carrier,
    fleet: Option<Fleet>,
    ledger: &'a Arc<Mutex<Ledger>>,
    samples: Vec<Sample>,
    started: Instant,
}

impl Run<'_> {
    async fn place_all(&mut self, progress: &mut dyn FnMut(String)) -> anyhow::Result<()> {
        let client = reqwest::Client::builder().pool_max_idle_per_host(64).build()?;
        let mut next_sample = Instant::now();
        let mut requests = tokio::task::JoinSet::new();
        for n in 0..self.spec.total {
            let due = self.started + Duration::from_secs_f64(f64::from(n) / self.spec.rate);
            loop {
                let now = Instant::now();
                if now >= next_sample {
                    self.sample(progress)?;
                    next_sample += Duration::from_secs(1);
                }
                let live_calls = self.carrier.totals.live_count.load(Ordering::Relaxed)
                    / self.spec.legs_per_call();
                if now >= due && live_calls < u64::from(self.spec.calls) {
                    break;
                }
                tokio::time::sleep(
                    due.saturating_duration_since(now)
                        .min(Duration::from_millis(20))
                        .max(Duration::from_millis(1)),
                )
                .await;
            }
            let customer = format!("{CUSTOMER_PREFIX}{n:05}");
            if let Some(fleet) = &self.fleet {
                let launch_url = self.stack.launch_url(&more_agent(n), &customer);
                requests.spawn(launch_one(
                    fleet.clone(),
                    n,
                    launch_url,
                    customer,
                    self.ledger.clone(),
                ));
                continue;
            }
            let request = client
                .post(format!("{}/calls", self.stack.api_url))
                .bearer_auth(&self.stack.server_key)
                .json(&serde_json::json!({
                    "from_number": self.stack.from_number,
                    "to_number": customer,
                    "agent_number": format!("{AGENT_PREFIX}{n:05}"),
                    "record": self.spec.record,
                    "uuid": format!("{n:05}"),
                }));
            requests.spawn(place_one(request, customer, self.ledger.clone()));
            while requests.try_join_next().is_some() {}
        }
        // Softphones go on until their calls end, and are waited for with them.
        if self.fleet.is_some() {
            requests.detach_all();
        }
        while requests.join_next().await.is_some() {}
        Ok(())
    }

    /// Waits until each placed call has its callback, up to the hold time and a margin.
    async fn wait_for_the_end(&mut self, progress: &mut dyn FnMut(String)) -> anyhow::Result<()> {
        let deadline = Instant::now() + self.spec.hold + Duration::from_secs(30);
        while Instant::now() < deadline {
            self.sample(progress)?;
            let open = self
                .ledger
                .lock()
                .expect("ledger")
                .calls
                .values()
                .filter(|call| call.answered_after.is_some() && call.callback_at.is_none())
                .count();
            if open == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        // Legs are gone at once; give the ports' release a moment before the last reading.
        tokio::time::sleep(Duration::from_secs(2)).await;
        self.sample(progress)
    }

    fn sample(&mut self, progress: &mut dyn FnMut(String)) -> anyhow::Result<()> {
        let usage = self.stack.edge_usage()?;
        let totals = &self.carrier.totals;
        let sample = Sample {
            at_s: self.started.elapsed().as_secs_f64(),
            live_legs: totals.live_count.load(Ordering::Relaxed),
            edge_cpu_s: usage.cpu_s,
            edge_rss_kib: usage.rss_kib,
            edge_fd_count: usage.fd_count,
            relayed_count: totals.received_count.load(Ordering::Relaxed),
        };
        let ledger = self.ledger.lock().expect("ledger");
        let done = ledger.calls.values().filter(|call| call.callback_at.is_some()).count();
        let errors: usize = ledger.http_errors.values().sum();
        progress(format!(
            "{:6.1} s  placed {:6}/{}  live {:5}  done {:6}  errors {:3}  packets {:9}  edge \
                {:6.1} CPU s, {:6} KiB",
            sample.at_s,
            ledger.calls.len(),
            self.spec.total,
            sample.live_legs / self.spec.legs_per_call(),
            done,
            errors,
            sample.relayed_count,
            sample.edge_cpu_s,
            sample.edge_rss_kib
        ));
        self.samples.push(sample);
        Ok(())
    }
}

async fn place_one(request: reqwest::RequestBuilder, customer: String, ledger: Arc<Mutex<Ledger>>) {
    let posted_at = Instant::now();
    ledger.lock().expect("ledger").calls.entry(customer.clone()).or_default().posted_at =
        Some(posted_at);
    let outcome = request.send().await;
    let took = posted_at.elapsed();
    let mut ledger = ledger.lock().expect("ledger");
    match outcome {
        Ok(answer) if answer.status() == 201 => {
            ledger.calls.entry(customer).or_default().answered_after = Some(took)
        }
        Ok(answer) => *ledger.http_errors.entry(answer.status().to_string()).or_default() += 1,
        Err(error) => {
            *ledger
                .http_errors
                .entry(if error.is_connect() { "connect" } else { "transport" }.to_owned())
                .or_default() += 1
        }
    }
}

/// One softphone's call from the link to its end.
async fn launch_one(
    fleet: Fleet,
    agent: u32,
    launch_url: String,
    customer: String,
    ledger: Arc<Mutex<Ledger>>,
) {
    let clicked_at = Instant::now();
    ledger.lock().expect("ledger").calls.entry(customer.clone()).or_default().posted_at =
        Some(clicked_at);
    let placed = || {
        let took = clicked_at.elapsed();
        ledger.lock().expect("ledger").calls.entry(customer.clone()).or_default().answered_after =
            Some(took);
    };
    let outcome = fleet.call(agent, &launch_url, placed).await;
    let mut ledger = ledger.lock().expect("ledger");
    match outcome {
        Ok(times) => ledger.softphones.push(times),
        Err(error) => {
            *ledger.http_errors.entry(format!("{:#}", error.root_cause())).or_default() += 1
        }
    }
}

/// Listens on a free loopback port for callbacks; answers its URL.
async fn callback_sink(ledger: Arc<Mutex<Ledger>>) -> anyhow::Result<String> {
    use axum::extract::State;
    use axum::routing::post;
    use axum::{Json, Router};
    async fn receive(
        State(ledger): State<Arc<Mutex<Ledger>>>,
        Json(body): Json<serde_json::Value>,
    ) {
        let now = Instant::now();
        let mut ledger = ledger.lock().expect("ledger");
        let text = |key: &str| body[key].as_str().unwrap_or("").to_owned();
        ledger.calls.entry(text("customer_number")).or_default().callback_at.get_or_insert(now);
        *ledger
            .statuses
            .entry(format!("{} {}", text("status"), text("reason")).trim_end().to_owned())
            .or_default() += 1;
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/callback", listener.local_addr()?);
    let router = Router::new().route("/callback", post(receive)).with_state(ledger);
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(url)
}

impl LoadReport {
    fn tell_conferences(&mut self, legs: &[LegReport], asked: &Asked) {
        let invited = legs.iter().filter_map(|leg| {
            let at = leg.user.find(THIRD_PREFIX)?;
            Some(
                leg.invited_at
                    .saturating_duration_since(*asked.at.get(&leg.user[at..])?)
                    .as_secs_f64()
                    * 1e3,
            )
        });
        self.verb = Percentiles::of(invited.collect());
        for refusal in &asked.refusals {
            *self.http_errors.entry(refusal.clone()).or_default() += 1;
        }
    }
}

fn report(
    spec: LoadSpec,
    legs: &[LegReport],
    ledger: Ledger,
    samples: Vec<Sample>,
    before: Usage,
    after: Usage,
) -> LoadReport {
    let millis = |duration: Duration| duration.as_secs_f64() * 1e3;
    let customers: Vec<(&LegReport, Placed)> = legs
        .iter()
        .filter_map(|leg| {
            let at = leg.user.find(CUSTOMER_PREFIX)?;
            Some((leg, *ledger.calls.get(&leg.user[at..])?))
        })
        .collect();
    let setup = customers.iter().filter_map(|(leg, call)| {
        Some(millis(leg.acknowledged_at?.duration_since(call.posted_at?)))
    });
    let audio = customers.iter().filter_map(|(leg, _)| {
        Some(millis(leg.first_media_at?.saturating_duration_since(leg.acknowledged_at?)))
    });
    let callback = customers.iter().filter_map(|(leg, call)| {
        Some(millis(call.callback_at?.saturating_duration_since(leg.acknowledged_at? + spec.hold)))
    });
    let peak_legs = samples.iter().map(|sample| sample.live_legs).max().unwrap_or(0);
    let peak_rss = samples.iter().map(|sample| sample.edge_rss_kib).max().unwrap_or(0);
    let steady: Vec<&Sample> =
        samples.iter().filter(|sample| sample.live_legs * 20 >= peak_legs * 19).collect();
    let cpu_per_packet_us = match (steady.first(), steady.last()) {
        (Some(first), Some(last)) if last.relayed_count > first.relayed_count => Some(
            (last.edge_cpu_s - first.edge_cpu_s) * 1e6
                / (last.relayed_count - first.relayed_count) as f64,
        ),
        _ => None,
    };
    let answered = customers.iter().filter(|(leg, _)| leg.acknowledged_at.is_some()).count();
    LoadReport {
        placed: ledger.calls.len(),
        answered,
        peak_calls: peak_legs / spec.legs_per_call(),
        callbacks_missing: ledger
            .calls
            .values()
            .filter(|call| call.answered_after.is_some() && call.callback_at.is_none())
            .count(),
        http_errors: ledger.http_errors,
        callback_statuses: ledger.statuses,
        post: Percentiles::of(
            ledger.calls.values().filter_map(|call| call.answered_after).map(millis).collect(),
        ),
        setup: Percentiles::of(setup.collect()),
        audio: Percentiles::of(audio.collect()),
        callback: Percentiles::of(callback.collect()),
        registered: Percentiles::of(
            ledger.softphones.iter().map(|times| millis(times.registered)).collect(),
        ),
        agent_media: Percentiles::of(
            ledger.softphones.iter().map(|times| millis(times.media)).collect(),
        ),
        verb: Percentiles::default(),
        datagrams_dropped: 0,
        packet_delay: Percentiles::of(
            legs.iter().flat_map(|leg| &leg.delays).map(|nanos| *nanos as f64 / 1e6).collect(),
        ),
        packets_sent: legs.iter().map(|leg| leg.sent_count).sum(),
        packets_received: legs.iter().map(|leg| leg.received_count).sum(),
        packets_lost: legs.iter().map(|leg| leg.lost_count).sum(),
        cpu_per_packet_us,
        floor: None,
        rtpengine: None,
        cpu_per_call_ms: (after.cpu_s - before.cpu_s) * 1e3 / answered.max(1) as f64,
        api_cpu_per_call_ms: 0.0,
        memory_per_call_kib: peak_rss.saturating_sub(before.rss_kib) as f64
            / (peak_legs / 2).max(1) as f64,
        fd_count_before: before.fd_count,
        fd_count_after: after.fd_count,
        rss_before_kib: before.rss_kib,
        rss_after_kib: after.rss_kib,
        samples,
    }
}

impl LoadReport {
    /// The figures as a table for people.
    pub fn table(&self) -> String {
        let mut text = String::new();
        let mut row = |name: &str, value: String| text += &format!("{name:<34} {value}\n");
        row(
            "calls placed / answered / peak",
            format!("{} / {} / {}", self.placed, self.answered, self.peak_calls),
        );
        row("HTTP errors", format!("{:?}", self.http_errors));
        row(
            "callbacks by status, missing",
            format!("{:?}, {}", self.callback_statuses, self.callbacks_missing),
        );
        let is_measured = |(_, times): &(&str, Percentiles)| times.count > 0;
        let times = [
            ("link to registered", self.registered),
            ("link to the agent's audio", self.agent_media),
            ("POST /calls, or link to placed", self.post),
            ("POST to customer's ACK", self.setup),
            ("customer's ACK to audio", self.audio),
            ("third party's request to INVITE", self.verb),
            ("hang-up to callback", self.callback),
            ("packet delay, one way", self.packet_delay),
        ];
        for (name, p) in times.into_iter().filter(is_measured) {
            row(
                name,
                format!(
                    "p50 {:.2}  p95 {:.2}  p99 {:.2}  max {:.2} ms  ({})",
                    p.p50_ms, p.p95_ms, p.p99_ms, p.max_ms, p.count
                ),
            );
        }
        row(
            "packets sent / received / lost",
            format!("{} / {} / {}", self.packets_sent, self.packets_received, self.packets_lost),
        );
        row("dropped by the kernel before the edge", self.datagrams_dropped.to_string());
        row(
            "edge CPU per relayed packet",
            self.cpu_per_packet_us.map_or("-".into(), |us| format!("{us:.2} µs")),
        );
        for (name, relay) in [("bare loop", self.floor), ("rtpengine", self.rtpengine)] {
            let Some(relay) = relay else { continue };
            let ratio = self.cpu_per_packet_us.map_or(String::new(), |us| {
                format!(", edge is {:.2} times that", us / relay.cpu_per_packet_us)
            });
            let value =
                format!("{:.2} µs{ratio} ({} lost)", relay.cpu_per_packet_us, relay.lost_count);
            row(&format!("{name}, CPU per packet"), value);
        }
        row("edge CPU per call, whole run", format!("{:.2} ms", self.cpu_per_call_ms));
        let api = format!("{:.2} ms", self.api_cpu_per_call_ms);
        row("control-api CPU per call, whole run", api);
        row("edge memory per call", format!("{:.1} KiB", self.memory_per_call_kib));
        row(
            "edge descriptors before / after",
            format!("{} / {}", self.fd_count_before, self.fd_count_after),
        );
        row(
            "edge memory before / after",
            format!("{} / {} KiB", self.rss_before_kib, self.rss_after_kib),
        );
        text
    }
}
