//! Reports for people: one self-contained page with the figures and plots of a load run, of a
//! comparison, or of a search for the knee. `charts` draws.

mod charts;

use crate::capacity::{Capacity, Step, cpu};
use crate::compare::Comparison;
use crate::load::LoadReport;
use charts::{Chart, Line};
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// What the figures were measured on, from `/proc`.
pub struct Machine {
    core_count: usize,
    model: String,
    kernel: String,
    /// Of the last minute before the run.
    load: String,
}

impl Machine {
    /// Reads it; before the run, so that the load is that of others.
    pub fn read() -> Machine {
        let text = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let model = text("/proc/cpuinfo");
        let model =
            model.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        Machine {
            core_count: std::thread::available_parallelism().map_or(1, usize::from),
            model: model.map_or_else(|| "unknown processor".into(), |(_, name)| name.to_owned()),
            kernel: text("/proc/sys/kernel/osrelease").trim().to_owned(),
            load: text("/proc/loadavg").split(' ').next().unwrap_or("?").to_owned(),
        }
    }
}

/// A page of one load run.
pub fn of_run(machine: &Machine, report: &LoadReport) -> String {
    document(machine, "Load run", html! { (run_figures(report)) })
}

/// A page of runs that are compared: the medians, and the last round side by side.
pub fn of_comparison(machine: &Machine, comparison: &Comparison) -> String {
    let last = comparison.rounds.last().map_or(&[][..], Vec::as_slice);
    let delays = last.iter().flat_map(|(name, report)| {
        delay_lines(report).into_iter().map(move |line| match line.name.as_str() {
            "edge" => Line { name: (*name).to_owned(), ..line },
            other => Line { name: format!("{other} after {name}"), ..line },
        })
    });
    let body = html! {
        h2 { "Medians" }
        .table { table {
            tr { th { "figure" } th { "median" } th { "unit" } th { "rounds" } }
            @for figure in &comparison.figures {
                tr {
                    td { (figure.name) }
                    td { (format!("{:.2}", figure.median)) }
                    td { (figure.unit) }
                    td { (figure.rounds.iter().map(|value| format!("{value:.2}"))
                        .collect::<Vec<_>>().join(", ")) }
                }
            }
        } }
        h2 { "Packet delay of the last round, side by side" }
        .charts { (delay_chart(delays.collect()).figure()) }
        @for (name, report) in last {
            h2 { "Last round: " (name) }
            (run_figures(report))
        }
    };
    document(machine, "Comparison", body)
}

/// A page of a search for the knee.
pub fn of_capacity(machine: &Machine, capacity: &Capacity) -> String {
    let unit = capacity.raised.unit();
    let mut steps: Vec<&Step> = capacity.steps.iter().collect();
    steps.sort_by(|a, b| a.level.total_cmp(&b.level));
    let line = |name: &str, of: &dyn Fn(&LoadReport) -> f64| Line {
        name: name.to_owned(),
        points: steps.iter().map(|step| (step.level, of(&step.report))).collect(),
    };
    let times = Chart {
        title: "Times against the load",
        x: unit,
        y: "ms",
        is_logarithmic: false,
        lines: vec![
            line("packet delay p99", &|report| report.packet_delay.p99_ms),
            line("hang-up to callback p99", &|report| report.callback.p99_ms),
            line("POST /calls p99", &|report| report.post.p99_ms),
        ],
    };
    let busy = Chart {
        title: "Most CPU against the load",
        x: unit,
        y: "% of a core",
        is_logarithmic: false,
        lines: vec![
            line("edge", &|report| report.busiest()[0]),
            line("control-api", &|report| report.busiest()[1]),
            line("peers", &|report| report.busiest()[2]),
        ],
    };
    let body = html! {
        .cards {
            (card(unit, capacity.knee.map_or("none".into(), |knee| format!("{knee:.0}")), false))
        }
        @if let Some(step) = capacity.gave_way() {
            p { "Gave way at " (format!("{:.0}", step.level)) ": " (step.broke.join("; ")) "." }
        }
        .charts { (times.figure()) (busy.figure()) }
        h2 { "Levels in the order they were tried" }
        .table { table {
            tr { th { "level" } th { "limits that broke" } th { "busiest" } }
            @for step in &capacity.steps {
                tr {
                    td { (format!("{:.0}", step.level)) }
                    td.words { @if step.broke.is_empty() { "holds" } @else {
                        span.bad { (step.broke.join("; ")) }
                    } }
                    td.words { (cpu(&step.report)) }
                }
            }
        } }
        @if let Some((factor, report)) = &capacity.beyond {
            h2 { (factor) " times the knee" }
            (run_figures(report))
        }
    };
    document(machine, &format!("Capacity in {unit}"), body)
}

fn document(machine: &Machine, title: &str, body: Markup) -> String {
    let Machine { core_count, model, kernel, load } = machine;
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(include_str!("report/style.css"))) }
            }
            body { main {
                h1 { (title) }
                p { (core_count) " cores of " (model) ", Linux " (kernel) "; load average " (load)
                    " before the run. The peers that make the load run on the same machine." }
                (body)
            } }
        }
    }
    .into_string()
}

fn card(name: &str, value: String, is_bad: bool) -> Markup {
    html! { .card { b.bad[is_bad] { (value) } span { (name) } } }
}

fn run_figures(report: &LoadReport) -> Markup {
    html! {
        p { (in_words(report)) }
        (cards(report))
        .charts {
            (delay_chart(delay_lines(report)).figure())
            @for chart in charts_over_time(report) { (chart.figure()) }
        }
        (times(report))
        (relays(report))
        (outcomes(report))
    }
}

fn in_words(report: &LoadReport) -> String {
    let profile = &report.profile;
    let failures = profile.failures;
    let mut words = format!(
        "{} calls, up to {} at a time, {} a second after a ramp of {} s, {} s of talk, {} shard(s)",
        profile.total(),
        profile.calls,
        profile.rate,
        profile.ramp_s,
        profile.hold_s,
        profile.shards
    );
    for (share, of) in [
        (profile.softphones, "with softphones"),
        (profile.recorded, "recorded"),
        (profile.srtp, "in SRTP to the customer"),
        (failures.busy, "to a busy customer"),
        (failures.no_answer, "without an answer"),
        (failures.unavailable, "answered 503 by the carrier"),
    ] {
        if share > 0.0 {
            words += &format!(", {:.0} % {of}", share * 100.0);
        }
    }
    words += if profile.three_way { ", each with a third party." } else { "." };
    if !profile.media {
        words += " Signalling alone.";
    }
    words
}

fn cards(report: &LoadReport) -> Markup {
    let error_count: usize = report.errors.values().sum();
    let (lost, missing) = (report.packets_lost, report.callbacks_missing);
    html! {
        .cards {
            (card("calls answered", report.answered.to_string(), false))
            (card("most at a time", report.peak_calls.to_string(), false))
            (card("errors", error_count.to_string(), error_count > 0))
            (card("results that did not come", missing.to_string(), missing > 0))
            @if report.profile.media {
                (card("packets lost", format!("{lost}"), lost > 0))
            }
            @if let Some(us) = report.cpu_per_packet_us {
                (card("edge CPU a packet", format!("{us:.2} µs"), false))
                @for (name, relay) in report.peers() {
                    (card(
                        &format!("times the CPU of {name}"),
                        format!("{:.2}", us / relay.cpu_per_packet_us),
                        false,
                    ))
                }
            }
            @for (name, relay) in report.peers() {
                @if report.packet_delay.count > 0 {
                    (card(
                        &format!("delay p99 over {name}'s"),
                        format!("{:+.2} ms", report.packet_delay.p99_ms - relay.delay.p99_ms),
                        false,
                    ))
                }
            }
            (card("edge CPU a call", format!("{:.2} ms", report.cpu_per_call_ms), false))
            (card("control-api CPU a call", format!("{:.2} ms", report.api_cpu_per_call_ms), false))
            (card("edge memory a call", format!("{:.1} KiB", report.memory_per_call_kib), false))
        }
    }
}

fn delay_lines(report: &LoadReport) -> Vec<Line> {
    let own = [("edge", &report.packet_delay)];
    let peers = report.peers().into_iter().map(|(name, relay)| (name, &relay.delay));
    own.into_iter()
        .chain(peers)
        .map(|(name, delay)| Line {
            name: name.to_owned(),
            points: delay.curve.iter().map(|(ms, share)| (*ms, share * 100.0)).collect(),
        })
        .collect()
}

fn delay_chart(lines: Vec<Line>) -> Chart {
    Chart { title: "Packet delay, one way", x: "ms", y: "% up to it", is_logarithmic: true, lines }
}

fn charts_over_time(report: &LoadReport) -> [Chart; 4] {
    const NAMES: [&str; 3] = ["edge", "control-api", "peers"];
    let cpu = report.cpu();
    let lines = |points: &dyn Fn(usize) -> Vec<(f64, f64)>| {
        let line = |(n, name): (usize, &str)| Line { name: name.to_owned(), points: points(n) };
        NAMES.into_iter().enumerate().map(line).collect()
    };
    let samples = |name: &str, y: &dyn Fn(&crate::load::Sample) -> f64| Line {
        name: name.to_owned(),
        points: report.samples.iter().map(|sample| (sample.at_s, y(sample))).collect(),
    };
    let mib = |kib: u64| kib as f64 / 1024.0;
    let chart = |title, x, y, lines| Chart { title, x, y, is_logarithmic: false, lines };
    [
        chart(
            "CPU over time",
            "s",
            "% of a core",
            lines(&|n| cpu.iter().map(|(sample, all)| (sample.at_s, all[n])).collect()),
        ),
        chart(
            "Memory over time",
            "s",
            "MiB",
            vec![
                samples(NAMES[0], &|sample| mib(sample.edge.rss_kib)),
                samples(NAMES[1], &|sample| mib(sample.control_api.rss_kib)),
                samples(NAMES[2], &|sample| mib(sample.loadtest.rss_kib)),
            ],
        ),
        chart(
            "CPU against calls",
            "calls at a time",
            "% of a core",
            lines(&|n| {
                means(cpu.iter().map(|(sample, all)| (sample.live_calls as f64, all[n])).collect())
            }),
        ),
        chart(
            "Calls at a time",
            "s",
            "calls",
            vec![samples("calls", &|sample| sample.live_calls as f64)],
        ),
    ]
}

/// Points in the order of x, those that are near each other as one.
fn means(mut points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let width = points.last().map_or(0.0, |point| point.0 / 10.0);
    let mean = |of: &[(f64, f64)]| {
        let (x, y) = of.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
        (x / of.len() as f64, y / of.len() as f64)
    };
    let bin = |x: f64| if width > 0.0 { (x / width).round() } else { 0.0 };
    points.chunk_by(|a, b| bin(a.0) == bin(b.0)).map(mean).collect()
}

fn times(report: &LoadReport) -> Markup {
    let relays = report.peers().into_iter().map(|(name, relay)| (name, &relay.delay));
    let relays = relays.map(|(name, delay)| (format!("packet delay of {name}"), delay));
    let own = report.times().into_iter().map(|(name, spread)| (name.to_owned(), spread));
    html! {
        .table { table {
            tr {
                th { "time, ms" }
                @for head in ["p50", "p95", "p99", "longest", "of"] { th { (head) } }
            }
            @for (name, spread) in own.chain(relays) {
                tr {
                    td { (name) }
                    @for ms in [spread.p50_ms, spread.p95_ms, spread.p99_ms, spread.max_ms] {
                        td { (format!("{ms:.2}")) }
                    }
                    td { (spread.count) }
                }
            }
        } }
    }
}

fn relays(report: &LoadReport) -> Markup {
    let peers = report.peers();
    if peers.is_empty() {
        return html! {};
    }
    let own = report.cpu_per_packet_us.unwrap_or_default();
    let edge = ("edge", own, report.packets_received, report.packets_lost);
    let others = peers.into_iter().map(|(name, relay)| {
        (name, relay.cpu_per_packet_us, relay.relayed_count, relay.lost_count)
    });
    html! {
        .table { table {
            tr { th { "relay" } th { "CPU a packet, µs" } th { "packets" } th { "lost" } }
            @for (name, us, relayed_count, lost_count) in std::iter::once(edge).chain(others) {
                tr {
                    td { (name) }
                    td { (format!("{us:.2}")) }
                    td { (relayed_count) }
                    td { (lost_count) }
                }
            }
        } }
    }
}

fn outcomes(report: &LoadReport) -> Markup {
    html! {
        .table { table {
            tr { th { "result told by callback" } th { "calls" } }
            @for (status, count) in &report.callback_statuses {
                tr { td { (status) } td { (count) } }
            }
            tr { td { "did not come" } td { (report.callbacks_missing) } }
        } }
        @if !report.errors.is_empty() {
            .table { table {
                tr { th { "error" } th { "times" } }
                @for (error, count) in &report.errors {
                    tr { td.words { (error) } td { (count) } }
                }
            } }
        }
    }
}

#[cfg(test)]
mod tests;
