//! Makes up for samples that did not come: repeats the last pitch period, fading to silence, and
//! blends back into what comes then.

use super::FRAME;

/// Samples after which a repeated period has faded to silence: 60 ms.
pub(super) const FADE: u32 = 480;
/// Frames that are remembered, the one that is made among them.
const FRAME_COUNT: usize = 3;
/// Samples that are remembered besides that one.
const HISTORY: usize = (FRAME_COUNT - 1) * FRAME;
/// Pitch periods that are looked for, in samples: 50 to 200 Hz, and multiples of shorter ones.
const MIN_PERIOD: usize = 40;
const MAX_PERIOD: usize = 160;
/// Samples over which received audio takes over from concealment: 4 ms.
const BLEND: u32 = 32;

/// What was heard last, and what is repeated of it.
#[derive(Debug)]
pub(super) struct Concealer {
    /// The last frames, in turn.
    heard: [[i16; FRAME]; FRAME_COUNT],
    /// Where the frame is that is made.
    at: usize,
    /// The period that is repeated.
    cycle: [i16; MAX_PERIOD],
    period: usize,
    /// Samples made up since the last received one.
    concealed: u32,
    /// Samples of the cycle used.
    position: usize,
    /// Samples that are still blended.
    blend: u32,
}

impl Concealer {
    pub fn new() -> Concealer {
        Concealer {
            heard: [[0; FRAME]; FRAME_COUNT],
            at: 0,
            cycle: [0; MAX_PERIOD],
            period: MIN_PERIOD,
            concealed: 0,
            position: 0,
            blend: 0,
        }
    }

    /// Remembers the last frame and begins another, in the place of the oldest.
    pub fn begin_frame(&mut self) {
        self.at = (self.at + 1) % FRAME_COUNT;
    }

    /// The newest frame.
    pub fn frame(&self) -> &[i16; FRAME] {
        &self.heard[self.at]
    }

    /// The newest frame, to be filled.
    pub fn frame_mut(&mut self) -> &mut [i16; FRAME] {
        &mut self.heard[self.at]
    }

    /// Whether the next sample may not just be copied.
    pub fn is_concealing(&self) -> bool {
        self.concealed > 0 || self.blend > 0
    }

    /// Puts one sample into the frame, or one made up for it.
    pub fn put(&mut self, at: usize, sample: Option<i16>) {
        let value = match sample {
            None => {
                if self.concealed == 0 && self.blend == 0 {
                    self.choose_cycle(at);
                }
                self.blend = 0;
                let value = self.repeat();
                self.concealed = self.concealed.saturating_add(1);
                value
            }
            Some(sample) => self.take(sample),
        };
        self.heard[self.at][at] = value;
    }

    fn take(&mut self, sample: i16) -> i16 {
        if self.concealed > 0 && self.blend == 0 {
            // Out of silence there is nothing to blend with.
            self.blend = if self.concealed < FADE { BLEND } else { 0 };
            if self.blend == 0 {
                self.concealed = 0;
            }
        }
        if self.blend == 0 {
            return sample;
        }
        let made_up = i32::from(self.repeat());
        self.blend -= 1;
        let value = (made_up * self.blend as i32 + i32::from(sample) * (BLEND - self.blend) as i32)
            / BLEND as i32;
        if self.blend == 0 {
            self.concealed = 0;
        }
        value as i16
    }

    /// The next sample of the cycle, faded.
    fn repeat(&mut self) -> i16 {
        let sample = i32::from(self.cycle[self.position % self.period]);
        self.position += 1;
        (sample * FADE.saturating_sub(self.concealed) as i32 / FADE as i32) as i16
    }

    /// Takes the period with which the audio before `at` resembles itself most.
    fn choose_cycle(&mut self, at: usize) {
        let mut all = [0; HISTORY + FRAME];
        for (n, samples) in all.chunks_exact_mut(FRAME).enumerate() {
            // The oldest first.
            samples.copy_from_slice(&self.heard[(self.at + 1 + n) % FRAME_COUNT]);
        }
        let heard: &[i16; HISTORY] = all[at..].first_chunk().expect("a place in the frame");
        self.period = period(heard);
        self.cycle[..self.period].copy_from_slice(&heard[HISTORY - self.period..]);
        self.position = 0;
    }
}

/// The period with which the end of what was heard resembles what came before it most. Many legs
/// may run dry at once, so this counts: sums of products of 12 bits stay within 32, which the
/// compiler turns into vectors.
fn period(heard: &[i16; HISTORY]) -> usize {
    let peak = heard.iter().map(|sample| sample.unsigned_abs()).max().unwrap_or(0);
    let excess = (u16::BITS - peak.leading_zeros()).saturating_sub(11);
    let heard = heard.map(|sample| sample >> excess);
    let (_, recent) = heard.split_at(HISTORY - MAX_PERIOD);
    let product = |a: &[i16], b: &[i16]| {
        a.iter().zip(b).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum::<i32>()
    };
    let mut best = (-1.0, MIN_PERIOD);
    for period in MIN_PERIOD..=MAX_PERIOD {
        let earlier = &heard[HISTORY - MAX_PERIOD - period..HISTORY - period];
        let likeness = product(recent, earlier).max(0) as f32;
        let likeness = likeness * likeness / (1 + product(earlier, earlier)) as f32;
        if likeness > best.0 {
            best = (likeness, period);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;

    #[track_caller]
    fn check(true_period: usize, peak: i16) {
        let wave = |n: usize| {
            let phase = TAU * n as f64 / true_period as f64;
            (f64::from(peak) * (0.7 * phase.sin() + 0.3 * (2.0 * phase).cos())) as i16
        };
        assert_eq!(period(&std::array::from_fn(wave)), true_period, "peak {peak}");
    }

    #[test]
    fn finds_the_period_of_quiet_and_of_full_audio() {
        for true_period in [81, 100, 133, 160] {
            for peak in [100, 2_000, 20_000, i16::MAX] {
                check(true_period, peak);
            }
        }
    }

    #[test]
    fn the_loudest_audio_there_is_overflows_nothing() {
        let square = std::array::from_fn(|n| if n / 50 % 2 == 0 { i16::MIN } else { i16::MAX });
        assert_eq!(period(&square), 100);
        assert_eq!(period(&[i16::MIN; HISTORY]), MIN_PERIOD);
        assert_eq!(period(&[0; HISTORY]), MIN_PERIOD);
    }
}
