//! Tones with a cadence, and their detection: ringback and hold for callers, test signals for loads
//! and tests.

use crate::codec::{CLOCK_RATE, Law};
use crate::g711;

/// A sine with a repeated pattern of on and off.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tone {
    /// In Hz.
    pub frequency: f64,
    /// Peak sample, at most 32767.
    pub amplitude: f64,
    /// On and off times in samples, beginning with on, repeated; empty is on for ever.
    pub cadence: &'static [u32],
}

/// Ringing tone of India (ITU-T E.180): 400 Hz, 0.4 s on, 0.2 off, 0.4 on, 2.0 off; at about -15
/// dBm0.
pub const RINGBACK: Tone =
    Tone { frequency: 400.0, amplitude: 5800.0, cadence: &[3200, 1600, 3200, 16000] };

/// What a party hears while the other one is away: two soft beeps each 4 s, at about -22 dBm0.
pub const HOLD: Tone =
    Tone { frequency: 480.0, amplitude: 2600.0, cadence: &[1600, 1600, 1600, 27200] };

/// What asks an agent to press a key: two short beeps each 2 s, at about -18 dBm0.
pub const CONFIRM: Tone =
    Tone { frequency: 880.0, amplitude: 4100.0, cadence: &[960, 960, 960, 13_120] };

impl Tone {
    /// A tone that never pauses.
    pub const fn steady(frequency: f64, amplitude: f64) -> Tone {
        Tone { frequency, amplitude, cadence: &[] }
    }

    /// The sample at this position since the tone's begin.
    pub fn sample(&self, position: u64) -> i16 {
        if !self.is_on(position) {
            return 0;
        }
        let turns = self.frequency * position as f64 / f64::from(CLOCK_RATE);
        ((turns.fract() * std::f64::consts::TAU).sin() * self.amplitude).round() as i16
    }

    /// Fills `samples` with the tone from `position` on.
    pub fn fill(&self, position: u64, samples: &mut [i16]) {
        for (offset, sample) in samples.iter_mut().enumerate() {
            *sample = self.sample(position + offset as u64);
        }
    }

    /// Fills an RTP payload with the tone from `position` on.
    pub fn fill_encoded(&self, position: u64, law: Law, payload: &mut [u8]) {
        for (offset, byte) in payload.iter_mut().enumerate() {
            *byte = g711::encode(law, self.sample(position + offset as u64));
        }
    }

    /// Length of the cadence in samples; 0 if the tone never pauses.
    pub fn period(&self) -> u64 {
        self.cadence.iter().map(|step| u64::from(*step)).sum()
    }

    fn is_on(&self, position: u64) -> bool {
        let mut left = match self.period() {
            0 => return true,
            period => position % period,
        };
        for (index, step) in self.cadence.iter().enumerate() {
            match left.checked_sub((*step).into()) {
                None => return index % 2 == 0,
                Some(rest) => left = rest,
            }
        }
        true
    }
}

/// Amplitude of one frequency in samples at 8 kHz, by Goertzel's algorithm: a sine of peak `a`
/// gives about `a`.
pub fn level(samples: &[i16], frequency: f64) -> f64 {
    if samples.is_empty() {
        return 0.0;
    }
    let omega = std::f64::consts::TAU * frequency / f64::from(CLOCK_RATE);
    let coefficient = 2.0 * omega.cos();
    let (mut previous, mut before) = (0.0, 0.0);
    for sample in samples {
        let next = f64::from(*sample) + coefficient * previous - before;
        before = previous;
        previous = next;
    }
    let power = previous * previous + before * before - coefficient * previous * before;
    2.0 * power.max(0.0).sqrt() / samples.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_detector_hears_its_frequency_only() {
        let mut samples = [0; 800];
        Tone::steady(1000.0, 8000.0).fill(0, &mut samples);
        assert!((7900.0..8100.0).contains(&level(&samples, 1000.0)));
        assert!(level(&samples, 440.0) < 200.0);
        assert_eq!(level(&[], 1000.0), 0.0);
    }

    /// Two beeps of `on_ms`, the second at `again_ms`, from `begin_ms` to `end_ms`.
    #[track_caller]
    fn check_two_beeps(
        tone: &Tone,
        samples: &[i16],
        [begin_ms, on_ms, again_ms, end_ms]: [usize; 4],
    ) {
        let edges =
            [0, on_ms, again_ms, again_ms + on_ms, end_ms - begin_ms].map(|ms| (begin_ms + ms) * 8);
        for (part, pair) in edges.windows(2).enumerate() {
            for window in samples[pair[0]..pair[1]].chunks(160) {
                let heard = level(window, tone.frequency) / tone.amplitude;
                assert!(
                    if part % 2 == 0 { (0.9..1.1).contains(&heard) } else { heard == 0.0 },
                    "{heard} in part {part}"
                );
            }
        }
    }

    #[test]
    fn tones_of_two_beeps_have_their_cadence() {
        for (tone, [on_ms, again_ms, period_ms]) in
            [(RINGBACK, [400, 600, 3000]), (CONFIRM, [120, 240, 2000])]
        {
            assert_eq!(tone.period(), period_ms as u64 * 8);
            let mut samples = vec![0; period_ms * 16];
            tone.fill(0, &mut samples);
            for begin_ms in [0, period_ms] {
                check_two_beeps(&tone, &samples, [begin_ms, on_ms, again_ms, begin_ms + period_ms]);
            }
        }
    }

    #[test]
    fn a_tone_survives_encoding() {
        for law in [Law::Pcmu, Law::Pcma] {
            let mut payload = [0; 400];
            Tone::steady(700.0, 6000.0).fill_encoded(1000, law, &mut payload);
            let samples: Vec<i16> =
                payload.iter().map(|byte| g711::decode_table(law)[usize::from(*byte)]).collect();
            assert!((5900.0..6100.0).contains(&level(&samples, 700.0)));
        }
    }
}
