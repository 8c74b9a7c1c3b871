//! The load run: places calls through the REST API against a carrier of its own, and measures
//! set-up, loss, delay, CPU and memory. `ledger` is what the placing side knows, `figures` what is
//! told.

mod figures;
mod ledger;

use crate::carrier::script::{Behaviour, Outcome};
use crate::carrier::{Carrier, CarrierConfig, LegReport};
use crate::children::{Softphones, Stack, StackSpec, more_agent, usage};
use crate::conference;
use crate::numbers::{agent, customer, of_customer};
use crate::profile::{Fate, Profile};
use crate::softphones::Fleet;
use anyhow::Context;
use figures::Raw;
use ledger::{Ledger, callback_sink};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub use figures::{LoadReport, Sample};

/// What to run.
#[derive(Debug, Clone)]
pub struct Load {
    pub profile: Profile,
    /// Calls that the edge takes at a time; above the profile's if `None`.
    pub limit: Option<u32>,
    /// Whether a bare loop relays the same packets afterwards, to compare with.
    pub floor: bool,
    /// Whether rtpengine does.
    pub rtpengine: bool,
}

impl Load {
    fn legs_per_call(&self) -> u64 {
        if self.profile.three_way { 3 } else { 2 }
    }

    /// What the dialled number does.
    fn behaviour(&self, user: &str) -> Behaviour {
        let profile = &self.profile;
        let tone = profile.media.then_some(440.0);
        let Some(n) = of_customer(user) else {
            return Behaviour::answer(Duration::ZERO, tone, None);
        };
        let plan = profile.plan(n);
        let outcome = match plan.fate {
            Fate::Talks => Outcome::Answer { tone, talk: Some(profile.hold()) },
            Fate::IsBusy => Outcome::Refuse { status: 486, phrase: "Busy Here" },
            Fate::NeverAnswers => Outcome::RingForEver,
            Fate::IsUnavailable => Outcome::Refuse { status: 503, phrase: "Service Unavailable" },
        };
        Behaviour { outcome, srtp: plan.srtp, ..Behaviour::answer(Duration::ZERO, None, None) }
    }

    fn stack_spec(&self, carrier: &Carrier, callback_url: String) -> StackSpec {
        let Profile { calls, shards, recorded, srtp, softphones, failures, .. } = self.profile;
        let mut spec = StackSpec::load(carrier.address, callback_url, calls, shards);
        spec.max_calls = self.limit.unwrap_or(spec.max_calls);
        // Third parties, too, need ports.
        spec.legs_per_call = self.legs_per_call() as u16;
        // A launch link cannot say whether its call is recorded.
        spec.account_settings = if recorded > 0.0 { "" } else { "record = false\n" };
        if srtp > 0.0 {
            // Each party takes a key or none.
            spec.carrier_media = "osrtp";
        }
        if failures.no_answer > 0.0 {
            spec.customer_ring_s = 5;
        }
        if softphones > 0.0 {
            (spec.softphones, spec.more_agents) = (Softphones::SelfSigned, self.profile.total());
        }
        spec
    }
}

/// Time between two readings of the processes.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);
/// Longest that another relay runs.
const FLOOR_SPAN: Duration = Duration::from_secs(10);

/// Runs the load and measures. `progress` gets one line a second.
pub async fn run(load: &Load, progress: &mut dyn FnMut(String)) -> anyhow::Result<LoadReport> {
    let profile = &load.profile;
    let script = {
        let load = load.clone();
        move |user: &str| load.behaviour(user)
    };
    // A probe does not survive being mixed.
    let config = CarrierConfig { sip: ([127, 0, 0, 1], 0).into(), probe: !profile.three_way };
    let carrier = Carrier::start(config, Box::new(script))?;
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let sink = callback_sink(ledger.clone()).await?;
    let stack =
        Stack::start(load.stack_spec(&carrier, sink)).await.context("starting the processes")?;
    let asked = if profile.three_way { Some(conference::follow(&stack).await?) } else { None };
    let (fleet, agents) = (profile.softphones > 0.0)
        .then(|| Fleet::start(&stack, carrier.totals.clone()))
        .transpose()?
        .unzip();
    let (samples, started) = (Vec::new(), Instant::now());
    let mut run =
        Run { load, stack: &stack, carrier: &carrier, fleet, ledger: &ledger, samples, started };
    run.place_all(progress).await?;
    run.wait_for_the_end(progress).await?;
    let samples = run.samples;
    let datagrams_dropped = stack.edge.datagrams_dropped()?;
    let legs: Vec<LegReport> = carrier
        .reports
        .try_iter()
        .chain(agents.iter().flat_map(|agents| agents.try_iter()))
        .collect();
    stack.stop().await?;
    let packet_delay = carrier.totals.delays.lock().expect("delays").spread();
    drop(carrier);
    let ledger = std::mem::take(&mut *ledger.lock().expect("ledger"));
    let mut report = LoadReport::new(
        profile,
        Raw { legs: &legs, ledger, samples, packet_delay, datagrams_dropped },
    );
    if let Some(asked) = asked {
        report.tell_conferences(&legs, &asked.lock().expect("asked"));
    }
    let (calls, span) = (profile.calls, FLOOR_SPAN.min(profile.hold()));
    if load.floor && profile.media {
        progress("measuring the kernel's floor with the same packets".into());
        let measured =
            tokio::task::spawn_blocking(move || crate::floor::measure(calls, span)).await??;
        report.floor = Some(measured);
    }
    if load.rtpengine {
        progress("measuring rtpengine with the same packets".into());
        let srtp = profile.srtp == 1.0;
        let measure = move || crate::rtpengine::measure(calls, span, srtp);
        let measured = tokio::task::spawn_blocking(measure).await??;
        report.rtpengine = Some(measured);
    }
    Ok(report)
}

struct Run<'a> {
    load: &'a Load,
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
        let profile = &self.load.profile;
        let mut next_sample = Instant::now();
        let mut requests = tokio::task::JoinSet::new();
        for n in 0..profile.total() {
            let due = self.started + profile.due(n);
            loop {
                let now = Instant::now();
                if now >= next_sample {
                    self.sample(progress)?;
                    next_sample += SAMPLE_EVERY;
                }
                if now >= due && self.live_calls() < u64::from(profile.calls) {
                    break;
                }
                tokio::time::sleep(
                    due.saturating_duration_since(now)
                        .min(Duration::from_millis(20))
                        .max(Duration::from_millis(1)),
                )
                .await;
            }
            let plan = profile.plan(n);
            if let (true, Some(fleet)) = (plan.softphone, &self.fleet) {
                let launch_url = self.stack.launch_url(&more_agent(n), &customer(n));
                // Goes on until its call ends, and is waited for with it.
                tokio::spawn(ledger::launch(fleet.clone(), n, launch_url, self.ledger.clone()));
                continue;
            }
            let request = client
                .post(format!("{}/calls", self.stack.api_url))
                .bearer_auth(&self.stack.server_key)
                .json(&serde_json::json!({
                    "from_number": self.stack.from_number,
                    "to_number": customer(n),
                    "agent_number": agent(n),
                    "record": plan.recorded,
                    "uuid": format!("{n:05}"),
                }));
            requests.spawn(ledger::place(request, n, self.ledger.clone()));
            while requests.try_join_next().is_some() {}
        }
        while requests.join_next().await.is_some() {}
        Ok(())
    }

    /// Waits until each placed call has its callback, up to the hold time and a margin.
    async fn wait_for_the_end(&mut self, progress: &mut dyn FnMut(String)) -> anyhow::Result<()> {
        let deadline = Instant::now() + self.load.profile.hold() + Duration::from_secs(30);
        while Instant::now() < deadline {
            self.sample(progress)?;
            let is_open = |call: &ledger::Placed| call.is_open();
            if !self.ledger.lock().expect("ledger").calls.values().any(is_open) {
                break;
            }
            tokio::time::sleep(SAMPLE_EVERY).await;
        }
        // Legs are gone at once; give the ports' release a moment before the last reading.
        tokio::time::sleep(Duration::from_secs(2)).await;
        self.sample(progress)
    }

    fn live_calls(&self) -> u64 {
        self.carrier.totals.live_count.load(Ordering::Relaxed) / self.load.legs_per_call()
    }

    fn sample(&mut self, progress: &mut dyn FnMut(String)) -> anyhow::Result<()> {
        let sample = Sample {
            at_s: self.started.elapsed().as_secs_f64(),
            live_calls: self.live_calls(),
            relayed_count: self.carrier.totals.received_count.load(Ordering::Relaxed),
            edge: self.stack.edge_usage()?,
            control_api: self.stack.api_usage()?,
            loadtest: usage(std::process::id())?,
        };
        let ledger = self.ledger.lock().expect("ledger");
        let done = ledger.calls.values().filter(|call| call.callback_at.is_some()).count();
        let errors: usize = ledger.http_errors.values().sum();
        let last = self.samples.last().copied().unwrap_or(sample);
        let span_s = (sample.at_s - last.at_s).max(f64::EPSILON);
        let percent = |from: f64, to: f64| (to - from) * 100.0 / span_s;
        progress(format!(
            "{:6.1} s  placed {:6}/{}  live {:5}  done {:6}  errors {:3}  packets {:9}  edge \
                {:3.0} %, {} MiB  control-api {:3.0} %, {} MiB",
            sample.at_s,
            ledger.calls.len(),
            self.load.profile.total(),
            sample.live_calls,
            done,
            errors,
            sample.relayed_count,
            percent(last.edge.cpu_s, sample.edge.cpu_s),
            sample.edge.rss_kib / 1024,
            percent(last.control_api.cpu_s, sample.control_api.cpu_s),
            sample.control_api.rss_kib / 1024,
        ));
        self.samples.push(sample);
        Ok(())
    }
}
