//! The figures of one load run, made of what both sides saw, and their table.

use super::ledger::{Ledger, Placed};
use crate::carrier::LegReport;
use crate::children::Usage;
use crate::conference::{Asked, THIRD_PREFIX};
use crate::floor::Floor;
use crate::numbers::of_customer;
use crate::profile::Profile;
use crate::spread::{Spread, Times};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// State of the processes at one moment of the run.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Sample {
    pub at_s: f64,
    pub live_calls: u64,
    pub relayed_count: u64,
    pub edge: Usage,
    pub control_api: Usage,
    pub loadtest: Usage,
}

/// The figures of one run.
#[derive(Debug, Serialize)]
pub struct LoadReport {
    pub profile: Profile,
    pub placed: usize,
    /// From the first to the last request.
    pub placed_in_s: f64,
    /// With 201, or a softphone's call that was begun.
    pub accepted: usize,
    pub answered: usize,
    pub peak_calls: u64,
    /// What was answered to requests that were not accepted, and what else failed.
    pub errors: BTreeMap<String, usize>,
    pub callback_statuses: BTreeMap<String, usize>,
    pub callbacks_missing: usize,
    /// `POST /calls`, request to answer.
    pub post: Spread,
    /// `POST /calls` sent to the customer's 200 being acknowledged; the peers answer at once.
    pub setup: Spread,
    /// Customer's ACK to its first packet from the agent.
    pub audio: Spread,
    /// Hang-up by the customer to the first byte of the callback.
    pub callback: Spread,
    /// Launch link opened to the softphone being registered.
    pub registered: Spread,
    /// Launch link opened to keys for the agent's audio.
    pub agent_media: Spread,
    /// A third party asked for to its INVITE on the wire.
    pub verb: Spread,
    /// One way through the edge; not measured where audio is mixed.
    pub packet_delay: Spread,
    pub packets_sent: u64,
    pub packets_received: u64,
    pub packets_lost: u64,
    /// Datagrams that the kernel dropped before the edge read them.
    pub datagrams_dropped: u64,
    /// Microseconds of edge CPU per relayed packet while at least 95 % of the peak's calls were up.
    pub cpu_per_packet_us: Option<f64>,
    /// The same packets through a bare loop, right after the run; `None` without media.
    pub floor: Option<Floor>,
    /// The same packets through rtpengine, right after the bare loop, if asked for.
    pub rtpengine: Option<Floor>,
    /// Edge CPU of the whole run, in milliseconds per answered call.
    pub cpu_per_call_ms: f64,
    /// The same of control-api, from its first request on.
    pub api_cpu_per_call_ms: f64,
    /// Growth of the edge's resident memory from before the first call to the peak, per call.
    pub memory_per_call_kib: f64,
    /// The first is of before the first call, the last of after the end.
    pub samples: Vec<Sample>,
}

/// What a run leaves to be told.
pub(super) struct Raw<'a> {
    pub legs: &'a [LegReport],
    pub ledger: Ledger,
    pub samples: Vec<Sample>,
    pub packet_delay: Spread,
    pub datagrams_dropped: u64,
}

impl LoadReport {
    pub(super) fn new(profile: &Profile, raw: Raw<'_>) -> LoadReport {
        let Raw { legs, ledger, samples, packet_delay, datagrams_dropped } = raw;
        let customers: Vec<(&LegReport, Placed)> = legs
            .iter()
            .filter_map(|leg| Some((leg, *ledger.calls.get(&of_customer(&leg.user)?)?)))
            .collect();
        let setup = customers
            .iter()
            .filter_map(|(leg, call)| Some(leg.acknowledged_at?.duration_since(call.posted_at?)));
        let audio = customers.iter().filter_map(|(leg, _)| {
            Some(leg.first_media_at?.saturating_duration_since(leg.acknowledged_at?))
        });
        let callback = customers.iter().filter_map(|(leg, call)| {
            let hang_up = leg.acknowledged_at? + profile.hold();
            Some(call.callback_at?.saturating_duration_since(hang_up))
        });
        let peak_calls = samples.iter().map(|sample| sample.live_calls).max().unwrap_or(0);
        let peak_rss = samples.iter().map(|sample| sample.edge.rss_kib).max().unwrap_or(0);
        let (first, last) =
            (samples.first().expect("one before"), samples.last().expect("one after"));
        let posted = ledger.calls.values().filter_map(|call| call.posted_at);
        let placed_in_s = (posted.clone().min().zip(posted.max()))
            .map_or(0.0, |(first, last)| last.duration_since(first).as_secs_f64());
        let answered = customers.iter().filter(|(leg, _)| leg.acknowledged_at.is_some()).count();
        let per_call =
            |from: Usage, to: Usage| (to.cpu_s - from.cpu_s) * 1e3 / answered.max(1) as f64;
        LoadReport {
            profile: profile.clone(),
            placed: ledger.calls.len(),
            placed_in_s,
            accepted: ledger.calls.values().filter(|call| call.answered_after.is_some()).count(),
            answered,
            peak_calls,
            callbacks_missing: ledger.calls.values().filter(|call| call.is_untold()).count(),
            errors: ledger.http_errors,
            callback_statuses: ledger.statuses,
            post: spread(ledger.calls.values().filter_map(|call| call.answered_after)),
            setup: spread(setup),
            audio: spread(audio),
            callback: spread(callback),
            registered: spread(ledger.softphones.iter().map(|times| times.registered)),
            agent_media: spread(ledger.softphones.iter().map(|times| times.media)),
            verb: Spread::default(),
            packet_delay,
            packets_sent: legs.iter().map(|leg| leg.sent_count).sum(),
            packets_received: legs.iter().map(|leg| leg.received_count).sum(),
            packets_lost: legs.iter().map(|leg| leg.lost_count).sum(),
            datagrams_dropped,
            cpu_per_packet_us: cpu_per_packet_us(&samples, peak_calls),
            floor: None,
            rtpengine: None,
            cpu_per_call_ms: per_call(first.edge, last.edge),
            api_cpu_per_call_ms: per_call(first.control_api, last.control_api),
            memory_per_call_kib: peak_rss.saturating_sub(first.edge.rss_kib) as f64
                / peak_calls.max(1) as f64,
            samples,
        }
    }

    pub(super) fn tell_conferences(&mut self, legs: &[LegReport], asked: &Asked) {
        let invited = legs.iter().filter_map(|leg| {
            let number = &leg.user[leg.user.find(THIRD_PREFIX)?..];
            Some(leg.invited_at.saturating_duration_since(*asked.at.get(number)?))
        });
        self.verb = spread(invited);
        for refusal in &asked.refusals {
            *self.errors.entry(refusal.clone()).or_default() += 1;
        }
    }

    /// The times that were measured, by their names.
    pub fn times(&self) -> Vec<(&'static str, &Spread)> {
        let all = [
            ("link to registered", &self.registered),
            ("link to the agent's audio", &self.agent_media),
            ("POST /calls, or link to placed", &self.post),
            ("POST to customer's ACK", &self.setup),
            ("customer's ACK to audio", &self.audio),
            ("third party's request to INVITE", &self.verb),
            ("hang-up to callback", &self.callback),
            ("packet delay, one way", &self.packet_delay),
        ];
        all.into_iter().filter(|(_, spread)| spread.count > 0).collect()
    }

    /// CPU between two samples, in percent of a core: of the edge, of control-api, of the peers.
    pub fn cpu(&self) -> Vec<(&Sample, [f64; 3])> {
        let pairs = self.samples.windows(2).filter(|pair| pair[1].at_s - pair[0].at_s > 0.1);
        pairs
            .map(|pair| {
                let percent = |of: fn(&Sample) -> Usage| {
                    let cpu_s = of(&pair[1]).cpu_s - of(&pair[0]).cpu_s;
                    cpu_s * 100.0 / (pair[1].at_s - pair[0].at_s)
                };
                let all = [
                    percent(|sample| sample.edge),
                    percent(|sample| sample.control_api),
                    percent(|sample| sample.loadtest),
                ];
                (&pair[1], all)
            })
            .collect()
    }

    /// The most of [`Self::cpu`], each for itself.
    pub fn busiest(&self) -> [f64; 3] {
        let most = |of: usize| self.cpu().iter().map(|(_, all)| all[of]).fold(0.0, f64::max);
        [most(0), most(1), most(2)]
    }

    /// The other relays of the same packets, by their names.
    pub fn peers(&self) -> Vec<(&'static str, &Floor)> {
        let all = [("bare loop", &self.floor), ("rtpengine", &self.rtpengine)];
        all.into_iter().filter_map(|(name, relay)| Some((name, relay.as_ref()?))).collect()
    }

    /// The figures as a table for people.
    pub fn table(&self) -> String {
        let mut text = String::new();
        let mut row = |name: &str, value: String| text += &format!("{name:<34} {value}\n");
        row(
            "calls placed / answered / peak",
            format!("{} / {} / {}", self.placed, self.answered, self.peak_calls),
        );
        row("errors", format!("{:?}", self.errors));
        row(
            "callbacks by status, missing",
            format!("{:?}, {}", self.callback_statuses, self.callbacks_missing),
        );
        for (name, p) in self.times() {
            row(name, p.to_string());
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
        for (name, relay) in self.peers() {
            let ratio = self.cpu_per_packet_us.map_or(String::new(), |us| {
                format!(", edge is {:.2} times that", us / relay.cpu_per_packet_us)
            });
            let value =
                format!("{:.2} µs{ratio} ({} lost)", relay.cpu_per_packet_us, relay.lost_count);
            row(&format!("{name}, CPU per packet"), value);
            row(&format!("{name}, packet delay"), relay.delay.to_string());
            let more = self.packet_delay.p99_ms - relay.delay.p99_ms;
            row(&format!("edge's delay p99 over {name}'s"), format!("{more:+.2} ms"));
        }
        row("edge CPU per call, whole run", format!("{:.2} ms", self.cpu_per_call_ms));
        let api = format!("{:.2} ms", self.api_cpu_per_call_ms);
        row("control-api CPU per call, whole run", api);
        row("edge memory per call", format!("{:.1} KiB", self.memory_per_call_kib));
        let (before, after) = (self.samples[0].edge, self.samples[self.samples.len() - 1].edge);
        row("edge descriptors before / after", format!("{} / {}", before.fd_count, after.fd_count));
        row("edge memory before / after", format!("{} / {} KiB", before.rss_kib, after.rss_kib));
        text
    }
}

fn spread(times: impl Iterator<Item = Duration>) -> Spread {
    times.collect::<Times>().spread()
}

fn cpu_per_packet_us(samples: &[Sample], peak_calls: u64) -> Option<f64> {
    let steady: Vec<&Sample> =
        samples.iter().filter(|sample| sample.live_calls * 20 >= peak_calls * 19).collect();
    let (first, last) = (steady.first()?, steady.last()?);
    let relayed_count = last.relayed_count.checked_sub(first.relayed_count)?;
    (relayed_count > 0).then(|| (last.edge.cpu_s - first.edge.cpu_s) * 1e6 / relayed_count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_costs_what_the_steady_part_took() {
        let usage = |cpu_s| Usage { cpu_s, rss_kib: 0, fd_count: 0 };
        let sample = |live_calls, relayed_count, cpu_s| Sample {
            at_s: 0.0,
            live_calls,
            relayed_count,
            edge: usage(cpu_s),
            control_api: usage(0.0),
            loadtest: usage(0.0),
        };
        let samples = [
            sample(0, 0, 0.0),
            sample(96, 1_000, 5.0),
            sample(100, 101_000, 6.0),
            sample(50, 150_000, 9.0),
        ];
        assert_eq!(cpu_per_packet_us(&samples, 100), Some(10.0));
        assert_eq!(cpu_per_packet_us(&samples[..2], 96), None);
    }
}
