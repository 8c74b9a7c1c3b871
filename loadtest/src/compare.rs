//! Runs that are compared: with the bare loop, with rtpengine, with phones; several rounds in turn,
//! told by their medians, since the machine drifts.

use crate::load::{Load, LoadReport, run};
use crate::profile::Profile;
use serde::Serialize;

/// What a load run is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum With {
    /// A bare epoll loop on the same sockets: the least that the kernel takes
    Floor,
    /// rtpengine, which must be installed, and the bare loop
    Rtpengine,
    /// Customers with SRTP by SDES after customers without
    Sdes,
    /// Softphones (DTLS-SRTP) after phones (RTP)
    Softphones,
    /// Calls of three, which are mixed, after as many legs in calls of two
    ThreeWay,
}

/// One compared figure of all rounds.
#[derive(Debug, Serialize)]
pub struct Figure {
    pub name: String,
    pub unit: &'static str,
    pub rounds: Vec<f64>,
    pub median: f64,
}

/// What came of all rounds.
#[derive(Debug, Serialize)]
pub struct Comparison {
    pub figures: Vec<Figure>,
    /// Each round's runs, by name.
    pub rounds: Vec<Vec<(&'static str, LoadReport)>>,
}

/// Runs the rounds.
pub async fn compare(
    with: With,
    profile: Profile,
    round_count: u32,
    progress: &mut dyn FnMut(String),
) -> anyhow::Result<Comparison> {
    let plain = Load { profile, limit: None, floor: true, rtpengine: with == With::Rtpengine };
    anyhow::ensure!(plain.profile.media, "media: false is refused; a comparison is of packets");
    let srtp = plain.profile.srtp;
    anyhow::ensure!(
        !plain.rtpengine || srtp == 0.0 || srtp == 1.0,
        "srtp: {srtp} is refused beside rtpengine; all of its calls have SRTP (1), or none (0)"
    );
    let mut rounds = Vec::new();
    for round in 1..=round_count {
        let mut runs = Vec::new();
        for (name, load) in loads(with, &plain)? {
            progress(format!("round {round} of {round_count}: {name}"));
            runs.push((name, run(&load, progress).await?));
        }
        rounds.push(runs);
    }
    Ok(Comparison { figures: figures(&rounds), rounds })
}

fn loads(with: With, plain: &Load) -> anyhow::Result<Vec<(&'static str, Load)>> {
    let changed = |change: &dyn Fn(&mut Profile)| {
        let mut load = plain.clone();
        change(&mut load.profile);
        load.profile.check().map(|()| load)
    };
    Ok(match with {
        With::Floor | With::Rtpengine => vec![("edge", plain.clone())],
        With::Sdes => vec![
            ("RTP", changed(&|profile| profile.srtp = 0.0)?),
            ("RTP to SDES", changed(&|profile| profile.srtp = 1.0)?),
        ],
        With::Softphones => vec![
            ("phones", changed(&|profile| profile.softphones = 0.0)?),
            ("softphones", changed(&|profile| profile.softphones = 1.0)?),
        ],
        With::ThreeWay => vec![
            (
                "calls of two",
                // Half as many calls again of two have as many legs.
                changed(&|profile| {
                    profile.total = Some(profile.total() * 3 / 2);
                    profile.calls = profile.calls * 3 / 2;
                })?,
            ),
            ("calls of three", changed(&|profile| profile.three_way = true)?),
        ],
    })
}

fn figures(rounds: &[Vec<(&'static str, LoadReport)>]) -> Vec<Figure> {
    let mut figures: Vec<Figure> = Vec::new();
    let mut add = |name: String, unit: &'static str, value: Option<f64>| {
        let Some(value) = value else { return };
        match figures.iter_mut().find(|figure| figure.name == name) {
            Some(figure) => figure.rounds.push(value),
            None => figures.push(Figure { name, unit, rounds: vec![value], median: 0.0 }),
        }
    };
    for runs in rounds {
        for (name, report) in runs {
            let cpu = report.cpu_per_packet_us;
            add(format!("{name}: CPU a packet"), "µs", cpu);
            add(format!("{name}: lost"), "packets", Some(report.packets_lost as f64));
            let delay = (report.packet_delay.count > 0).then_some(report.packet_delay.p99_ms);
            add(format!("{name}: delay p99"), "ms", delay);
            for (peer, relay) in report.peers() {
                add(
                    format!("{peer} after {name}: CPU a packet"),
                    "µs",
                    Some(relay.cpu_per_packet_us),
                );
                add(format!("{peer} after {name}: delay p99"), "ms", Some(relay.delay.p99_ms));
                let ratio = cpu.map(|us| us / relay.cpu_per_packet_us);
                add(format!("{name} over {peer}: CPU a packet"), "times", ratio);
                let more = delay.map(|p99_ms| p99_ms - relay.delay.p99_ms);
                add(format!("{name} over {peer}: delay p99"), "ms more", more);
            }
        }
        if let [(first, before), (second, after)] = runs.as_slice() {
            let ratio = before.cpu_per_packet_us.zip(after.cpu_per_packet_us);
            let name = format!("{second} over {first}: CPU a packet");
            add(name, "times", ratio.map(|(before, after)| after / before));
        }
    }
    for figure in &mut figures {
        figure.median = median(&figure.rounds);
    }
    figures
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
}

impl Comparison {
    /// The medians as a table for people.
    pub fn table(&self) -> String {
        let mut text = String::new();
        for Figure { name, unit, rounds, median } in &self.figures {
            let all: Vec<_> = rounds.iter().map(|value| format!("{value:.2}")).collect();
            text += &format!("{name:<44} {median:>9.2} {unit:<8} ({})\n", all.join(", "));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn three_way_is_compared_with_as_many_legs() {
        let profile = Profile { calls: 100, ..Profile::default() };
        let plain = Load { profile, limit: None, floor: false, rtpengine: false };
        let loads = loads(With::ThreeWay, &plain).unwrap();
        let calls: Vec<_> = loads.iter().map(|(_, load)| load.profile.calls).collect();
        assert_eq!(calls, [150, 100]);
        let broken = Load { profile: Profile { recorded: 0.5, ..plain.profile }, ..plain };
        assert!(super::loads(With::Softphones, &broken).is_err());
    }
}
