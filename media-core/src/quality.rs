//! How a stream sounds, as the E-model of ITU-T G.107 estimates it from what RTCP tells: each
//! report's loss, jitter and delay become a rating R, and R a mean opinion score (annex B). What
//! it knows is the network; microphones, echo and rooms are at the model's defaults.

use std::time::Duration;

use crate::codec::Codec;

/// Ro − Is of a connection with all defaults (G.107 §7.7: R = 93.2).
const DEFAULT_RATING: f64 = 93.2;
/// Equipment impairment and robustness of G.711 with packet loss concealment (G.113 appendix I).
const G711_IMPAIRMENT: f64 = 0.0;
const G711_ROBUSTNESS: f64 = 25.1;
/// Of Opus at telephone bandwidth, for which G.113 has no value: that of the codec of GSM EFR at 12
/// kbit/s, of like make and rate; against loss it is taken to be no better than G.711.
const OPUS_IMPAIRMENT: f64 = 5.0;
/// Time of a packet, which is spoken before it is sent.
const PACKET_TIME: Duration = Duration::from_millis(20);
/// More jitter than any buffer makes up for.
const MAX_JITTER: Duration = Duration::from_secs(1);

/// Mean opinion scores of one stream, from 1 (bad) to 4.5.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mos {
    /// Of all that was reported, by the packets of each report.
    pub mean: f32,
    /// Of the report with the lowest one: some five seconds.
    pub worst: f32,
}

/// What one report tells of a stream.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Interval {
    /// Packets that were to come.
    pub packet_count: u32,
    /// What they hold.
    pub codec: Codec,
    /// Share of them that did not, in 1/256 (RFC 3550 §6.4.1).
    pub fraction_lost: u8,
    pub jitter: Duration,
    /// There and back, where it is known.
    pub round_trip: Option<Duration>,
}

/// The scores of a stream's reports.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Scores {
    /// Scores times packets.
    sum: f64,
    packet_count: u64,
    worst: f32,
}

impl Scores {
    /// Takes a report; one of no packets tells nothing.
    pub fn add(&mut self, interval: &Interval) {
        if interval.packet_count == 0 {
            return;
        }
        let score = mean_opinion_score(rating(interval));
        self.worst =
            if self.packet_count == 0 { score as f32 } else { self.worst.min(score as f32) };
        self.sum += score * f64::from(interval.packet_count);
        self.packet_count += u64::from(interval.packet_count);
    }

    /// What all reports come to; `None` before the first.
    pub fn mos(&self) -> Option<Mos> {
        (self.packet_count > 0)
            .then(|| Mos { mean: (self.sum / self.packet_count as f64) as f32, worst: self.worst })
    }
}

/// R = Ro − Is − Id − Ie,eff + A (G.107 §7.1), with an advantage A of 0.
fn rating(interval: &Interval) -> f64 {
    // A receiver holds packets back for about twice the jitter.
    let buffered = interval.jitter.min(MAX_JITTER) * 2;
    let delay = interval.round_trip.unwrap_or_default() / 2 + buffered + PACKET_TIME;
    let loss = f64::from(interval.fraction_lost) * 100.0 / 256.0;
    DEFAULT_RATING - delay_impairment(delay) - loss_impairment(interval.codec, loss)
}

/// Idd of G.107 §7.4; echo, which is all else in Id, is taken for cancelled.
fn delay_impairment(delay: Duration) -> f64 {
    let ms = delay.as_secs_f64() * 1000.0;
    if ms <= 100.0 {
        return 0.0;
    }
    let x = (ms / 100.0).log2();
    let sixth = |value: f64| (1.0 + value.powi(6)).powf(1.0 / 6.0);
    25.0 * (sixth(x) - 3.0 * sixth(x / 3.0) + 2.0)
}

/// Ie,eff of G.107 §7.5 for losses at random, in percent.
fn loss_impairment(codec: Codec, loss: f64) -> f64 {
    let impairment = if codec == Codec::Opus { OPUS_IMPAIRMENT } else { G711_IMPAIRMENT };
    impairment + (95.0 - impairment) * loss / (loss + G711_ROBUSTNESS)
}

/// The score of a rating (G.107 annex B).
fn mean_opinion_score(rating: f64) -> f64 {
    if rating <= 0.0 {
        return 1.0;
    }
    let rating = rating.min(100.0);
    (1.0 + 0.035 * rating + rating * (rating - 60.0) * (100.0 - rating) * 7e-6).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn near(found: f64, expected: f64, by: f64) {
        assert!((found - expected).abs() <= by, "{found} and not {expected}");
    }

    #[test]
    fn scores_follow_g_107_table_b_1() {
        for (rating, score) in
            [(90.0, 4.34), (80.0, 4.03), (70.0, 3.60), (60.0, 3.10), (50.0, 2.58), (93.2, 4.41)]
        {
            near(mean_opinion_score(rating), score, 0.01);
        }
        assert_eq!([-5.0, 0.0, 3.0].map(mean_opinion_score), [1.0; 3]);
        near(mean_opinion_score(120.0), 4.5, 1e-9);
    }

    /// G.107 §7.4 and §7.5, computed by hand.
    #[test]
    fn delay_and_loss_impair_as_g_107_says() {
        for (ms, impairment) in [(0, 0.0), (100, 0.0), (150, 0.16), (200, 3.03), (400, 24.07)] {
            near(delay_impairment(Duration::from_millis(ms)), impairment, 0.02);
        }
        for (percent, impairment) in [(0.0, 0.0), (1.0, 3.64), (5.0, 15.78), (10.0, 27.07)] {
            near(loss_impairment(Codec::Pcma, percent), impairment, 0.01);
        }
        for (percent, impairment) in [(0.0, 5.0), (5.0, 19.95)] {
            near(loss_impairment(Codec::Opus, percent), impairment, 0.01);
        }
    }

    #[test]
    fn a_bad_interval_shows_beside_the_mean() {
        let good = Interval {
            packet_count: 750,
            codec: Codec::Pcmu,
            fraction_lost: 0,
            jitter: Duration::from_millis(2),
            round_trip: Some(Duration::from_millis(60)),
        };
        let mut scores = Scores::default();
        assert_eq!(scores.mos(), None);
        scores.add(&Interval { packet_count: 0, fraction_lost: 255, ..good });
        assert_eq!(scores.mos(), None);
        scores.add(&good);
        // 12.5 % lost is R = 93.2 − 31.6.
        scores.add(&Interval { packet_count: 250, fraction_lost: 32, ..good });
        let mos = scores.mos().unwrap();
        near(mos.worst.into(), 3.18, 0.01);
        near(mos.mean.into(), (3.0 * 4.41 + 3.18) / 4.0, 0.01);
        let wild = Interval { jitter: Duration::MAX, round_trip: Some(Duration::MAX), ..good };
        scores.add(&wild);
        // Delay alone takes 50 at most.
        near(scores.mos().unwrap().worst.into(), 2.22, 0.01);
    }
}
