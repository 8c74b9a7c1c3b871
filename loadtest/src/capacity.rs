//! How much the processes carry: raises a load step by step until a limit breaks, closes in on the
//! knee, and shows what comes of a load beyond it.

use crate::load::{Load, LoadReport, run};
use crate::profile::Profile;
use serde::Serialize;

/// What is raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Raised {
    /// Calls at a time, with audio
    Calls,
    /// Calls a second, signalling alone
    Rate,
    /// Softphone launches a second
    Launches,
}

impl Raised {
    /// What a level counts.
    pub fn unit(self) -> &'static str {
        match self {
            Raised::Calls => "calls at a time",
            Raised::Rate => "calls a second",
            Raised::Launches => "launches a second",
        }
    }

    fn first(self) -> f64 {
        match self {
            Raised::Calls => 250.0,
            Raised::Rate => 100.0,
            Raised::Launches => 20.0,
        }
    }

    fn most(self) -> f64 {
        match self {
            Raised::Calls => 3_000.0,
            Raised::Rate => 5_000.0,
            Raised::Launches => 500.0,
        }
    }

    fn profile(self, level: f64, base: &Profile) -> Profile {
        let count = level.round() as u32;
        match self {
            Raised::Calls => {
                let rate = (level / 4.0).clamp(1.0, 150.0);
                Profile {
                    calls: count,
                    total: Some(count),
                    rate,
                    hold_s: level / rate + STEADY_S,
                    ..base.clone()
                }
            }
            Raised::Rate | Raised::Launches => {
                let media = self == Raised::Launches;
                Profile {
                    // Above what is up at that rate, so that no call waits for another's end.
                    calls: (count * 4 + 200).min(MAX_LIVE),
                    total: Some((level * STEADY_S) as u32),
                    rate: level,
                    hold_s: 1.0,
                    media,
                    softphones: f64::from(u8::from(media)),
                    ..base.clone()
                }
            }
        }
    }
}

/// Most calls at a time where that is not what is raised: the edge opens five descriptors for each,
/// and 20,000 are a usual limit.
const MAX_LIVE: u32 = 2_500;
/// How long a level is held, in seconds.
const STEADY_S: f64 = 6.0;
/// Most of the packets sent that may be lost.
const MAX_LOSS: f64 = 0.001;
/// Longest that 99 of 100 packets may take through the edge.
const MAX_DELAY_MS: f64 = 20.0;
/// Longest that 99 of 100 results may take.
const MAX_CALLBACK_MS: f64 = 250.0;
/// Longest that 95 of 100 softphones may take from the link to being registered.
const MAX_REGISTERED_MS: f64 = 500.0;
/// The knee is known to this factor.
const PRECISION: f64 = 1.1;

/// The search for the highest level that holds: doubles while levels hold, then halves what is
/// between. A level has broken when it broke twice, since another program may have been in the way.
struct Search {
    held: Option<f64>,
    broke: Option<f64>,
    /// Broke once.
    doubted: Option<f64>,
    first: f64,
    most: f64,
}

impl Search {
    fn new(first: f64, most: f64) -> Search {
        Search { held: None, broke: None, doubted: None, first, most }
    }

    /// The level to try next; `None` when the knee is known.
    fn next(&self) -> Option<f64> {
        if self.doubted.is_some() {
            return self.doubted;
        }
        match (self.held, self.broke) {
            (None, None) => Some(self.first),
            (Some(held), None) => (held < self.most).then_some((held * 2.0).min(self.most)),
            (None, Some(broke)) => (broke > 1.0).then_some((broke / 2.0).max(1.0)),
            (Some(held), Some(broke)) => {
                let middle = ((held + broke) / 2.0).round();
                (broke / held > PRECISION && middle > held && middle < broke).then_some(middle)
            }
        }
    }

    fn tell(&mut self, level: f64, held: bool) {
        if held {
            (self.held, self.doubted) = (Some(level), None);
        } else if self.doubted.take() == Some(level) {
            self.broke = Some(level);
        } else {
            self.doubted = Some(level);
        }
    }
}

/// One level that was tried.
#[derive(Debug, Serialize)]
pub struct Step {
    pub level: f64,
    /// The limits that broke, in words; none if it held.
    pub broke: Vec<String>,
    pub report: LoadReport,
}

/// What was found.
#[derive(Debug, Serialize)]
pub struct Capacity {
    pub raised: Raised,
    /// The highest level that held; `None` if not even the lowest did.
    pub knee: Option<f64>,
    pub steps: Vec<Step>,
    /// A run of so many times the knee.
    pub beyond: Option<(f64, LoadReport)>,
}

/// Searches. `base` gives what is not raised: shards, shares, failures.
pub async fn find(
    raised: Raised,
    base: &Profile,
    beyond: Option<f64>,
    progress: &mut dyn FnMut(String),
) -> anyhow::Result<Capacity> {
    let mut search = Search::new(raised.first(), raised.most());
    let mut steps = Vec::new();
    while let Some(level) = search.next() {
        progress(format!("{level:.0} {}", raised.unit()));
        let profile = raised.profile(level, base);
        profile.check()?;
        let load = Load { profile, limit: None, floor: false, rtpengine: false };
        let report = run(&load, progress).await?;
        let broke = broken(&report);
        let verdict = if broke.is_empty() { "holds".into() } else { broke.join("; ") };
        progress(format!("{level:.0} {}: {verdict}", raised.unit()));
        search.tell(level, broke.is_empty());
        steps.push(Step { level, broke, report });
    }
    let mut capacity = Capacity { raised, knee: search.held, steps, beyond: None };
    if let (Some(knee), Some(factor)) = (capacity.knee, beyond) {
        progress(format!("{factor} times the knee"));
        let profile = raised.profile(knee * factor, base);
        // Whoever knows the knee sets it as the edge's limit.
        let limit = (raised == Raised::Calls).then_some(knee as u32);
        let load = Load { profile, limit, floor: false, rtpengine: false };
        capacity.beyond = Some((factor, run(&load, progress).await?));
    }
    Ok(capacity)
}

/// The limits that a run broke, in words.
fn broken(report: &LoadReport) -> Vec<String> {
    let mut broke = Vec::new();
    let mut limit = |holds: bool, words: String| {
        if !holds {
            broke.push(words);
        }
    };
    let loss = report.packets_lost as f64 / report.packets_sent.max(1) as f64;
    limit(loss <= MAX_LOSS, format!("{:.2} % of packets lost", loss * 100.0));
    let delay = report.packet_delay.p99_ms;
    limit(delay <= MAX_DELAY_MS, format!("packet delay p99 {delay:.1} ms"));
    let callback = report.callback.p99_ms;
    limit(callback <= MAX_CALLBACK_MS, format!("hang-up to callback p99 {callback:.0} ms"));
    let registered = report.registered.p95_ms;
    limit(registered <= MAX_REGISTERED_MS, format!("link to registered p95 {registered:.0} ms"));
    for (error, count) in &report.errors {
        limit(false, format!("{count} times {error}"));
    }
    let missing = report.callbacks_missing;
    limit(missing == 0, format!("{missing} results did not come"));
    let due_s = report.profile.due(report.profile.total() - 1).as_secs_f64();
    let late = report.placed_in_s / due_s.max(1.0);
    limit(late <= PRECISION, format!("placing took {late:.1} times its time"));
    broke
}

impl Capacity {
    /// The steps, the knee and what came beyond it, for people.
    pub fn table(&self) -> String {
        let mut text = String::new();
        for Step { level, broke, report } in &self.steps {
            let verdict = if broke.is_empty() { "holds".into() } else { broke.join("; ") };
            text += &format!("{level:>6.0} {}: {verdict} ({})\n", self.raised.unit(), cpu(report));
        }
        let unit = self.raised.unit();
        text += &match self.knee {
            Some(knee) => format!("knee: {knee:.0} {unit}\n"),
            None => format!("knee: not even the fewest {unit} hold\n"),
        };
        if let Some(step) = self.gave_way() {
            text += &format!("gave way at {:.0}: {}\n", step.level, step.broke.join("; "));
        }
        if let Some((factor, report)) = &self.beyond {
            text += &format!("\n{factor} times the knee ({})\n{}", cpu(report), report.table());
            text += &format!("accepted {}, refused {:?}\n", report.accepted, report.errors);
        }
        text
    }

    /// The lowest level that broke.
    pub fn gave_way(&self) -> Option<&Step> {
        let broken = self.steps.iter().filter(|step| !step.broke.is_empty());
        let above = broken.filter(|step| self.knee.is_none_or(|knee| step.level > knee));
        above.min_by(|a, b| a.level.total_cmp(&b.level))
    }
}

/// The most CPU that each process took.
pub fn cpu(report: &LoadReport) -> String {
    let [edge, control_api, loadtest] = report.busiest();
    format!("CPU at most: edge {edge:.0} %, control-api {control_api:.0} %, peers {loadtest:.0} %")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Levels tried, and the knee that is found, where levels hold up to `limit`.
    fn search(
        first: f64,
        most: f64,
        mut holds: impl FnMut(f64) -> bool,
    ) -> (Vec<f64>, Option<f64>) {
        let (mut search, mut tried) = (Search::new(first, most), Vec::new());
        while let Some(level) = search.next() {
            tried.push(level);
            assert!(tried.len() < 40, "{tried:?}");
            search.tell(level, holds(level));
        }
        (tried, search.held)
    }

    #[test]
    fn the_knee_is_closed_in_on() {
        let (tried, knee) = search(100.0, 5_000.0, |level| level <= 640.0);
        assert_eq!(tried, [100.0, 200.0, 400.0, 800.0, 800.0, 600.0, 700.0, 700.0, 650.0, 650.0]);
        assert_eq!(knee, Some(600.0));
    }

    #[test]
    fn a_level_that_broke_once_is_tried_again() {
        let mut is_first = true;
        let (tried, knee) = search(100.0, 400.0, |_| !std::mem::take(&mut is_first));
        assert_eq!(
            (tried.as_slice(), knee),
            ([100.0, 100.0, 200.0, 400.0].as_slice(), Some(400.0))
        );
    }

    #[test]
    fn a_first_level_above_the_knee_is_halved() {
        let (_, knee) = search(100.0, 400.0, |level| level <= 13.0);
        assert_eq!(knee, Some(13.0));
        assert_eq!(search(8.0, 400.0, |_| false).1, None);
    }

    #[test]
    fn each_level_is_a_profile_that_can_be_run() {
        for raised in [Raised::Calls, Raised::Rate, Raised::Launches] {
            for level in [1.0, raised.first(), raised.most(), raised.most() * 1.5] {
                raised.profile(level, &Profile::default()).check().unwrap();
            }
        }
    }
}
