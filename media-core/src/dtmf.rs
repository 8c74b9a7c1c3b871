//! Keys as dual tones in the audio (ITU-T Q.23): their frequencies, and a detector by Goertzel's
//! algorithm for what a phone without telephone-events presses (Q.24). It knows no leg.

use std::f32::consts::TAU;

use crate::codec::CLOCK_RATE;

/// Frequencies of the keypad's rows and columns, in Hz.
pub(crate) const ROWS: [f64; 4] = [697.0, 770.0, 852.0, 941.0];
pub(crate) const COLUMNS: [f64; 4] = [1209.0, 1336.0, 1477.0, 1633.0];
/// The row and column of each code (RFC 4733 §3.2).
pub(crate) const KEYS: [(usize, usize); 16] = [
    (3, 1),
    (0, 0),
    (0, 1),
    (0, 2),
    (1, 0),
    (1, 1),
    (1, 2),
    (2, 0),
    (2, 1),
    (2, 2),
    (3, 0),
    (3, 2),
    (0, 3),
    (1, 3),
    (2, 3),
    (3, 3),
];

/// Samples that are judged together, 13 ms: long enough to tell a row from the next, short enough
/// to take a frequency that is 1.5 % off (Q.24).
const BLOCK: usize = 102;
/// Blocks in a row that make a key, 51 ms: a voice seldom holds two such tones for so long.
const RUN: u8 = 4;
/// Least power of each tone: a peak of 200, about -44 dBov.
const LEAST: f32 = (200.0 * BLOCK as f32 / 2.0) * (200.0 * BLOCK as f32 / 2.0);
/// Most that one tone may be stronger than the other, and least that each is stronger than its
/// neighbours: 8 dB.
const TWIST: f32 = 6.3;
/// Least share of all energy that lies in the two tones.
const PURITY: f32 = 0.7;

/// Hears keys in one stream of audio at 8 kHz.
#[derive(Debug, Clone, Default)]
pub(crate) struct Detector {
    /// The last two values of each frequency's filter, rows first.
    filters: [[f32; 2]; 8],
    energy: f32,
    count: usize,
    /// What the last blocks held, and how many of them.
    candidate: Option<u8>,
    run: u8,
}

impl Detector {
    /// Takes a packet's samples; the code of a key that has now been pressed for long enough, once
    /// a press.
    pub fn hear(&mut self, samples: impl Iterator<Item = i16>) -> Option<u8> {
        let mut pressed = None;
        for sample in samples {
            let sample = f32::from(sample);
            self.energy += sample * sample;
            for (filter, frequency) in self.filters.iter_mut().zip(ROWS.iter().chain(&COLUMNS)) {
                let next = sample + coefficient(*frequency) * filter[0] - filter[1];
                *filter = [next, filter[0]];
            }
            self.count += 1;
            if self.count == BLOCK {
                let key = self.judge();
                self.run = if key == self.candidate { self.run.saturating_add(1) } else { 1 };
                self.candidate = key;
                pressed = pressed.or(key.filter(|_| self.run == RUN));
                (self.filters, self.energy, self.count) = ([[0.0; 2]; 8], 0.0, 0);
            }
        }
        pressed
    }

    /// The key of the block that is full.
    fn judge(&self) -> Option<u8> {
        let frequencies = ROWS.iter().chain(&COLUMNS);
        let mut powers = [0.0; 8];
        for ((power, [last, before]), frequency) in
            powers.iter_mut().zip(self.filters).zip(frequencies)
        {
            *power = last * last + before * before - coefficient(*frequency) * last * before;
        }
        let (rows, columns) = powers.split_at(4);
        let ((row, row_power), (column, column_power)) = (strongest(rows)?, strongest(columns)?);
        let is_even = row_power < column_power * TWIST && column_power < row_power * TWIST;
        let share = 2.0 * (row_power + column_power) / (BLOCK as f32 * self.energy);
        let code = KEYS.iter().position(|key| *key == (row, column))?;
        (is_even && share >= PURITY).then_some(code as u8)
    }
}

/// The one of four tones that is there, and its power.
fn strongest(powers: &[f32]) -> Option<(usize, f32)> {
    let (at, power) = powers.iter().copied().enumerate().max_by(|a, b| a.1.total_cmp(&b.1))?;
    let others = powers.iter().enumerate().filter(|(other, _)| *other != at);
    let is_alone = others.map(|(_, other)| *other).all(|other| other * TWIST < power);
    (power >= LEAST && is_alone).then_some((at, power))
}

fn coefficient(frequency: f64) -> f32 {
    2.0 * (TAU * frequency as f32 / CLOCK_RATE as f32).cos()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Law;
    use crate::g711;
    use crate::tone::Tone;

    /// Keys heard in `ms` of two tones between silences, as packets of 20 ms of this law.
    fn hear(tones: [Tone; 2], ms: usize, law: Law) -> Vec<u8> {
        let silence = |ms: usize| std::iter::repeat_n(0, 8 * ms);
        let sound = (0..8 * ms as u64)
            .map(|at| tones.iter().map(|tone| tone.sample(at)).fold(0, i16::saturating_add));
        let samples: Vec<i16> = silence(33).chain(sound).chain(silence(60)).collect();
        let table = g711::decode_table(law);
        let mut detector = Detector::default();
        samples
            .chunks(160)
            .filter_map(|packet| {
                let heard = packet.iter().map(|sample| g711::encode(law, *sample));
                detector.hear(heard.map(|byte| table[usize::from(byte)]))
            })
            .collect()
    }

    fn key(code: usize, amplitude: f64, shift: f64) -> [Tone; 2] {
        let (row, column) = KEYS[code];
        [ROWS[row], COLUMNS[column]].map(|frequency| Tone::steady(frequency * shift, amplitude))
    }

    #[test]
    fn each_key_is_heard_once_a_press() {
        for law in [Law::Pcmu, Law::Pcma] {
            for code in 0..16 {
                for amplitude in [300.0, 5_200.0, 16_000.0] {
                    for ms in [70, 100, 1_000] {
                        let heard = hear(key(code, amplitude, 1.0), ms, law);
                        assert_eq!(heard, [code as u8], "{law:?} {amplitude} {ms}");
                    }
                }
                for shift in [0.985, 1.015] {
                    assert_eq!(hear(key(code, 5_200.0, shift), 100, law), [code as u8], "{shift}");
                }
            }
        }
        let mut detector = Detector::default();
        let one = key(1, 5_200.0, 1.0);
        let press = |at: u64| {
            let sample = one.iter().map(|tone| tone.sample(at)).sum::<i16>();
            if at % 1_000 < 640 { sample } else { 0 }
        };
        let heard: Vec<u8> =
            (0..50).filter_map(|n| detector.hear((160 * n..160 * (n + 1)).map(press))).collect();
        assert_eq!(heard, [1; 8]);
    }

    #[test]
    fn what_is_no_key_is_not_heard() {
        let none: [u8; 0] = [];
        for code in 0..16 {
            assert_eq!(hear(key(code, 5_200.0, 1.0), 30, Law::Pcmu), none, "too short");
            assert_eq!(hear(key(code, 5_200.0, 1.035), 200, Law::Pcmu), none, "another pitch");
            assert_eq!(hear(key(code, 100.0, 1.0), 200, Law::Pcmu), none, "too soft");
            let [row, column] = key(code, 5_200.0, 1.0);
            let silent = Tone::steady(0.0, 0.0);
            assert_eq!(hear([row, silent], 200, Law::Pcmu), none, "one tone");
            let weak = Tone { amplitude: 1_000.0, ..column };
            assert_eq!(hear([row, weak], 200, Law::Pcmu), none, "one tone weak");
            let third = Tone::steady(550.0, 5_200.0);
            let with_third = |at: u64| {
                [row, column, third].iter().map(|tone| i32::from(tone.sample(at))).sum::<i32>()
            };
            let heard = Detector::default().hear((0..1_600).map(|at| with_third(at) as i16));
            assert_eq!(heard, None, "a chord");
        }
        // Noise, and a voice: harmonics of a pitch that glides.
        let mut state = 1u32;
        let mut detector = Detector::default();
        let noise = (0..800_000).map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) as i16 / 4
        });
        assert_eq!(detector.hear(noise), None);
        let mut phase = 0.0f64;
        let voice = (0..800_000u64).map(|at| {
            let pitch = 150.0 + 80.0 * (at as f64 / 9_000.0).sin();
            phase += std::f64::consts::TAU * pitch / 8_000.0;
            (1..12).map(|n| (phase * f64::from(n)).sin() / f64::from(n)).sum::<f64>() * 4_000.0
        });
        assert_eq!(detector.hear(voice.map(|sample| sample as i16)), None);
    }
}
