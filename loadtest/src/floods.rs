//! Floods beside running calls: a stranger of another address sends all that one host can send, one
//! kind after another, and what the calls lose and wait meanwhile is measured.

mod source;

use crate::carrier::script::Behaviour;
use crate::carrier::{Carrier, CarrierConfig, LegReport};
use crate::children::{Softphones, Stack, StackSpec};
use crate::numbers::{agent, customer, of_customer};
use crate::spread::Spread;
use anyhow::Context;
use source::{Source, Unit};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What to run.
#[derive(Debug, Clone, Copy)]
pub struct FloodSpec {
    /// Calls that run beside each flood.
    pub calls: u32,
    /// How long each flood is.
    pub span: Duration,
}

/// One kind of flood and what it did.
#[derive(Debug)]
pub struct FloodReport {
    pub kind: &'static str,
    /// What the edge took of it a second: datagrams, messages, frames or connections.
    pub sent_per_s: f64,
    /// Of the calls' packets, one way.
    pub delay: Spread,
    pub received_count: u64,
    pub lost_count: u64,
}

/// Name, how many connections or threads at once, and what each sends.
const KINDS: [(&str, usize, Source); 15] = [
    ("none", 0, Source::Udp(Unit::Options)),
    ("UDP OPTIONS", 2, Source::Udp(Unit::Options)),
    ("UDP OPTIONS of 33 kB", 1, Source::Udp(Unit::LargeOptions)),
    ("UDP line ends", 1, Source::Udp(Unit::LineEnds)),
    ("TCP line ends", 1, Source::Tcp(Unit::LineEnds)),
    ("TCP OPTIONS", 20, Source::Tcp(Unit::Options)),
    ("TCP heads of 60 kB", 100, Source::Tcp(Unit::Head)),
    ("TCP connections", 2, Source::TcpConnections),
    ("silent connections to WSS", 4, Source::WssConnections),
    ("TLS handshakes", 2, Source::Handshakes),
    ("HTTP heads over TLS", 4, Source::Tls(Unit::HttpHead)),
    ("WSS pings", 2, Source::Wss(Unit::PingFrame)),
    ("WSS OPTIONS", 4, Source::Wss(Unit::OptionsFrame)),
    ("WSS line ends", 1, Source::Wss(Unit::LineEndsFrame)),
    ("WSS empty fragments", 1, Source::Wss(Unit::EmptyFragment)),
];

/// From a call's answer to the flood, and from the flood to its end.
const MARGIN: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs each kind of flood beside fresh calls. `progress` gets each report as it comes.
pub async fn run(
    spec: FloodSpec,
    progress: &mut dyn FnMut(&FloodReport),
) -> anyhow::Result<Vec<FloodReport>> {
    let talk = spec.span + 3 * MARGIN;
    let script = move |user: &str| {
        Behaviour::answer(Duration::ZERO, Some(440.0), of_customer(user).map(|_| talk))
    };
    let carrier = Carrier::start(
        CarrierConfig { sip: ([127, 0, 0, 1], 0).into(), probe: true },
        Box::new(script),
    )?;
    let stack_spec = StackSpec {
        softphones: Softphones::SelfSigned,
        ..StackSpec::load(carrier.address, sink(), spec.calls, 1)
    };
    let stack = Stack::start(stack_spec).await.context("starting the processes")?;
    let config = std::fs::read_to_string(stack.folder.join("sip-edge.toml"))?;
    let ports = source::Ports { sip: port(&config, "[sip]")?, wss: port(&config, "[softphone]")? };
    let mut reports = Vec::new();
    for (kind, count, source) in KINDS {
        place(&stack, spec.calls).await?;
        let live =
            || carrier.totals.live_count.load(Ordering::Relaxed) == 2 * u64::from(spec.calls);
        wait_until("all calls are up", live).await?;
        tokio::time::sleep(MARGIN).await;
        let sent = flood(source, count, ports, spec.span).await?;
        let mut legs: Vec<LegReport> = Vec::new();
        wait_until("all calls have ended", || {
            legs.extend(carrier.reports.try_iter());
            legs.len() == 2 * spec.calls as usize
        })
        .await?;
        let report = FloodReport {
            kind,
            sent_per_s: sent as f64 / spec.span.as_secs_f64(),
            delay: std::mem::take(&mut *carrier.totals.delays.lock().expect("delays")).spread(),
            received_count: legs.iter().map(|leg| leg.received_count).sum(),
            lost_count: legs.iter().map(|leg| leg.lost_count).sum(),
        };
        progress(&report);
        reports.push(report);
    }
    stack.stop().await?;
    Ok(reports)
}

/// Callbacks are not looked at; nobody listens on the discard port.
fn sink() -> String {
    "http://127.0.0.1:9/callback".into()
}

fn port(config: &str, section: &str) -> anyhow::Result<u16> {
    let lines = config.lines().skip_while(|line| *line != section);
    let port = lines.filter_map(|line| line.strip_prefix("port = ")).next();
    Ok(port.with_context(|| format!("no port in {section}"))?.parse()?)
}

async fn place(stack: &Stack, calls: u32) -> anyhow::Result<()> {
    let client = reqwest::Client::new();
    for n in 0..calls {
        let body = serde_json::json!({
            "from_number": stack.from_number,
            "to_number": customer(n),
            "agent_number": agent(n),
            "record": false,
        });
        let request = client
            .post(format!("{}/calls", stack.api_url))
            .bearer_auth(&stack.server_key)
            .json(&body);
        let status = request.send().await?.status();
        anyhow::ensure!(status == 201, "a call is answered with {status}");
    }
    Ok(())
}

async fn wait_until(what: &str, mut holds: impl FnMut() -> bool) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        anyhow::ensure!(Instant::now() < deadline, "{what}: not after {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// Sends from so many threads; what was sent in all. They yield to everything else of this machine,
/// as another host would.
async fn flood(
    source: Source,
    count: usize,
    ports: source::Ports,
    span: Duration,
) -> anyhow::Result<u64> {
    let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let threads: Vec<_> = (0..count)
        .map(|_| {
            let (stop, sent) = (stop.clone(), sent.clone());
            std::thread::spawn(move || {
                source::be_nice();
                source.run(ports, &stop, &sent);
            })
        })
        .collect();
    tokio::time::sleep(span).await;
    stop.store(true, Ordering::Relaxed);
    let joined = tokio::task::spawn_blocking(move || {
        threads.into_iter().try_for_each(std::thread::JoinHandle::join)
    })
    .await?;
    anyhow::ensure!(joined.is_ok(), "a flood's thread panicked");
    Ok(sent.load(Ordering::Relaxed))
}

/// The reports as a table for people.
pub fn table(reports: &[FloodReport]) -> String {
    let mut text = format!(
        "{:<28}{:>12}{:>12}{:>12}{:>12}{:>8}\n",
        "flood", "sent/s", "delay p50", "p99", "max ms", "lost"
    );
    for FloodReport { kind, sent_per_s, delay, lost_count, .. } in reports {
        let (p50, p99, max) = (delay.p50_ms, delay.p99_ms, delay.max_ms);
        text += &format!(
            "{kind:<28}{sent_per_s:>12.0}{p50:>12.2}{p99:>12.2}{max:>12.2}{lost_count:>8}\n"
        );
    }
    text
}
