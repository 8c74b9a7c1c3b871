//! What a load run does: its profile, from a file in TOML with flags over it, and what each call of
//! it is. Shares are spread evenly over the calls, each apart from the others, and the same in each
//! run.

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A load. Shares are from 0 to 1.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Profile {
    /// Most calls at a time, 1 to 5,000.
    pub calls: u32,
    /// Calls placed a second, once all of the ramp is over.
    pub rate: f64,
    /// Seconds in which the rate grows from 0.
    pub ramp_s: f64,
    /// Calls placed in all; as many as `calls` if it is not told.
    pub total: Option<u32>,
    /// Seconds from a customer's answer to its hang-up.
    pub hold_s: f64,
    /// Whether legs send and receive RTP; without, only signalling is loaded.
    pub media: bool,
    /// Share of calls whose agent is a softphone that opens a launch link, instead of a phone.
    pub softphones: f64,
    /// Share of calls that are recorded; of softphones all or none.
    pub recorded: f64,
    /// Share of calls whose customer takes SRTP with keys in SDP (RFC 4568); the trunk offers it
    /// to all parties then.
    pub srtp: f64,
    /// A third party joins each call once it is bridged, so that it is mixed.
    pub three_way: bool,
    /// Shards of the edge.
    pub shards: u16,
    pub failures: Failures,
}

/// Shares of calls whose customer is not reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Failures {
    /// 486.
    pub busy: f64,
    /// Rings until the account's limit, which is 5 s then.
    pub no_answer: f64,
    /// 503.
    pub unavailable: f64,
}

impl Default for Profile {
    fn default() -> Self {
        Profile {
            calls: 100,
            rate: 20.0,
            ramp_s: 0.0,
            total: None,
            hold_s: 30.0,
            media: true,
            softphones: 0.0,
            recorded: 0.0,
            srtp: 0.0,
            three_way: false,
            shards: 1,
            failures: Failures::default(),
        }
    }
}

/// A profile's file, and flags that go before what it says.
#[derive(Debug, Default, clap::Args)]
pub struct Flags {
    /// A load profile (TOML); the keys are those of the flags, see loadtest/profiles
    profile: Option<PathBuf>,
    /// Most calls at a time [default: 100]
    #[arg(long)]
    calls: Option<u32>,
    /// Calls placed a second [default: 20]
    #[arg(long)]
    rate: Option<f64>,
    /// Seconds in which the rate grows from 0 [default: 0]
    #[arg(long)]
    ramp: Option<f64>,
    /// Calls placed in all [default: as many as --calls]
    #[arg(long)]
    total: Option<u32>,
    /// Seconds from a customer's answer to its hang-up [default: 30]
    #[arg(long)]
    hold: Option<f64>,
    /// Signalling only: the peers send no RTP
    #[arg(long)]
    no_media: bool,
    /// Share of calls whose agent is a softphone: launch link, WSS, DTLS-SRTP
    #[arg(long, value_name = "SHARE", num_args = 0..=1, require_equals = true,
        default_missing_value = "1")]
    softphones: Option<f64>,
    /// Share of calls that are recorded
    #[arg(long, value_name = "SHARE", num_args = 0..=1, require_equals = true,
        default_missing_value = "1")]
    record: Option<f64>,
    /// Share of calls whose customer takes SRTP with keys in SDP
    #[arg(long, value_name = "SHARE", num_args = 0..=1, require_equals = true,
        default_missing_value = "1")]
    srtp: Option<f64>,
    /// A third party joins each call, so that it is mixed
    #[arg(long)]
    three_way: bool,
    /// Shards of the edge
    #[arg(long)]
    shards: Option<u16>,
}

impl Flags {
    /// The profile that they make, checked.
    pub fn profile(self) -> anyhow::Result<Profile> {
        let mut profile = self.profile.as_deref().map(read).transpose()?.unwrap_or_default();
        let given = |value: &mut f64, flag: Option<f64>| *value = flag.unwrap_or(*value);
        given(&mut profile.rate, self.rate);
        given(&mut profile.ramp_s, self.ramp);
        given(&mut profile.hold_s, self.hold);
        given(&mut profile.softphones, self.softphones);
        given(&mut profile.recorded, self.record);
        given(&mut profile.srtp, self.srtp);
        profile.calls = self.calls.unwrap_or(profile.calls);
        profile.total = self.total.or(profile.total);
        profile.shards = self.shards.unwrap_or(profile.shards);
        profile.media &= !self.no_media;
        profile.three_way |= self.three_way;
        profile.check()?;
        Ok(profile)
    }
}

fn read(path: &Path) -> anyhow::Result<Profile> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    Profile::parse(&text).with_context(|| path.display().to_string())
}

/// What one call of a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    pub softphone: bool,
    pub recorded: bool,
    pub srtp: bool,
    pub fate: Fate,
}

/// What the customer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Talks,
    IsBusy,
    NeverAnswers,
    IsUnavailable,
}

impl Profile {
    /// Reads a profile; an error names the key.
    pub fn parse(text: &str) -> anyhow::Result<Profile> {
        let profile: Profile = toml::from_str(text)?;
        profile.check()?;
        Ok(profile)
    }

    /// Refuses what cannot be run, naming the key and what is allowed.
    pub fn check(&self) -> anyhow::Result<()> {
        let Failures { busy, no_answer, unavailable } = self.failures;
        for (key, share) in [
            ("softphones", self.softphones),
            ("recorded", self.recorded),
            ("srtp", self.srtp),
            ("failures.busy", busy),
            ("failures.no_answer", no_answer),
            ("failures.unavailable", unavailable),
        ] {
            ensure!(
                (0.0..=1.0).contains(&share),
                "{key}: {share} is refused; allowed is a share from 0 to 1"
            );
        }
        ensure!(
            busy + no_answer + unavailable <= 1.0,
            "failures: together they are above 1; allowed is up to 1"
        );
        let numbers = [
            ("calls", f64::from(self.calls), 1.0, 5_000.0),
            ("rate", self.rate, 0.1, 10_000.0),
            ("ramp_s", self.ramp_s, 0.0, 3_600.0),
            // The numbers that are called have five digits of their own.
            ("total", f64::from(self.total()), 1.0, 100_000.0),
            ("hold_s", self.hold_s, 0.0, 86_400.0),
            ("shards", f64::from(self.shards), 1.0, 64.0),
        ];
        for (key, value, least, most) in numbers {
            ensure!(
                (least..=most).contains(&value),
                "{key}: {value} is refused; allowed is {least} to {most}"
            );
        }
        ensure!(
            self.softphones == 0.0 || self.recorded == 0.0 || self.recorded == 1.0,
            "recorded: {} is refused; a launch link cannot say whether its call is recorded, so \
             allowed is 0 or 1 beside softphones",
            self.recorded
        );
        ensure!(
            self.softphones == 0.0 || self.media,
            "softphones: {} is refused; allowed is 0 where media = false",
            self.softphones
        );
        ensure!(
            !self.three_way || (self.media && self.softphones == 0.0),
            "three_way: true is refused; allowed is false beside softphones and where media = false"
        );
        Ok(())
    }

    /// Calls placed in all.
    pub fn total(&self) -> u32 {
        self.total.unwrap_or(self.calls)
    }

    /// Time from a customer's answer to its hang-up.
    pub fn hold(&self) -> Duration {
        Duration::from_secs_f64(self.hold_s)
    }

    /// From the start of the run to the placing of call `n`.
    pub fn due(&self, n: u32) -> Duration {
        let (n, in_ramp) = (f64::from(n), self.rate * self.ramp_s / 2.0);
        Duration::from_secs_f64(if n < in_ramp {
            (2.0 * n * self.ramp_s / self.rate).sqrt()
        } else {
            self.ramp_s + (n - in_ramp) / self.rate
        })
    }

    /// What call `n` is.
    pub fn plan(&self, n: u32) -> Plan {
        // Multiples of numbers that no ratio joins lie evenly between 0 and 1, each row apart from
        // the others.
        let draw = |root: f64| ((f64::from(n) + 0.5) * root.sqrt()).fract();
        let Failures { busy, no_answer, unavailable } = self.failures;
        let fate = match draw(5.0) {
            draw if draw < busy => Fate::IsBusy,
            draw if draw < busy + no_answer => Fate::NeverAnswers,
            draw if draw < busy + no_answer + unavailable => Fate::IsUnavailable,
            _ => Fate::Talks,
        };
        Plan {
            softphone: draw(2.0) < self.softphones,
            recorded: draw(3.0) < self.recorded,
            srtp: draw(7.0) < self.srtp,
            fate,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &str, words: &str) {
        let error = format!("{:#}", Profile::parse(text).expect_err("a refusal"));
        assert!(error.contains(words), "{error}");
    }

    #[test]
    fn kept_profiles_are_read() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/profiles");
        let files: Vec<_> = std::fs::read_dir(folder).unwrap().collect();
        assert!(files.len() >= 3);
        for file in files {
            read(&file.unwrap().path()).unwrap();
        }
    }

    #[test]
    fn bad_profiles_are_refused_in_words() {
        refused("cals = 3", "unknown field `cals`");
        refused("calls = \"many\"", "calls");
        refused("[failures]\nbusy = 1.5", "failures.busy: 1.5 is refused; allowed is a share");
        refused("[failures]\nbusy = 0.7\nno_answer = 0.7", "failures: together they are above 1");
        refused("rate = 0.0", "rate: 0 is refused; allowed is 0.1 to 10000");
        refused("srtp = -0.1", "srtp: -0.1 is refused; allowed is a share");
        refused("calls = 9000", "calls: 9000 is refused; allowed is 1 to 5000");
        refused("rate = nan", "rate: NaN is refused");
        refused("softphones = 0.5\nrecorded = 0.5", "recorded: 0.5 is refused; a launch link");
        refused("softphones = 0.5\nmedia = false", "softphones: 0.5 is refused");
        refused("three_way = true\nmedia = false", "three_way: true is refused");
    }

    #[test]
    fn shares_are_spread_evenly_and_apart() {
        let profile = Profile::parse(
            "softphones = 0.3\nrecorded = 1.0\nsrtp = 0.4\n[failures]\nbusy = 0.1\nno_answer = 0.2",
        )
        .unwrap();
        let plans: Vec<Plan> = (0..1_000).map(|n| profile.plan(n)).collect();
        let count = |of: &dyn Fn(&Plan) -> bool| plans.iter().filter(|plan| of(plan)).count();
        assert!(count(&|plan| plan.softphone).abs_diff(300) < 10);
        assert_eq!(count(&|plan| plan.recorded), 1_000);
        assert!(count(&|plan| plan.srtp).abs_diff(400) < 10);
        assert!(count(&|plan| plan.fate == Fate::IsBusy).abs_diff(100) < 10);
        assert!(count(&|plan| plan.fate == Fate::NeverAnswers).abs_diff(200) < 10);
        assert_eq!(count(&|plan| plan.fate == Fate::IsUnavailable), 0);
        assert!(count(&|plan| plan.softphone && plan.fate == Fate::IsBusy).abs_diff(30) < 10);
    }

    #[test]
    fn the_rate_grows_in_the_ramp_and_is_steady_then() {
        let profile = Profile { rate: 10.0, ramp_s: 4.0, ..Profile::default() };
        // 20 calls in the ramp: a quarter of them in its first half.
        assert_eq!(profile.due(0), Duration::ZERO);
        assert_eq!(profile.due(5), Duration::from_secs(2));
        assert_eq!(profile.due(20), Duration::from_secs(4));
        assert_eq!(profile.due(30), Duration::from_secs(5));
    }
}
