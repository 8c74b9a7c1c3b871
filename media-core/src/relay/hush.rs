//! Silence of the audio that is made here for a leg whose peer takes comfort noise (RFC 3389): it
//! is told once how loud it is, and then sent nothing until something sounds.

use std::time::{Duration, Instant};

use super::leg::Kind;
use super::{LegId, Relay};
use crate::codec::Law;
use crate::g711;
use crate::sender::Moment;

/// Mean square of what is not yet a sound: -50 dBov.
const QUIET: f64 = 10_737.0;
/// Samples of silence that are sent before it is told: 200 ms, so that ends of words and pauses
/// between them are heard.
const HANGOVER: u32 = 1_600;
/// The least level, which stands for no noise at all.
const NOTHING: f64 = 127.0;

/// How silent a leg is.
#[derive(Debug, Default)]
pub(super) struct Hush {
    /// Samples of silence so far, until it is told, and the sum of their squares.
    count: u32,
    square_sum: f64,
    is_told: bool,
    /// When something was left unsent last.
    at: Option<Instant>,
}

/// What becomes of audio.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sound {
    /// It is sent; the first after a silence.
    Sent { is_first: bool },
    /// It is silence for so long that it is told, in -dBov.
    Falls(u8),
    /// It is left out.
    Unsent,
}

impl Hush {
    /// Takes the next audio for the leg.
    pub fn hear(&mut self, now: Instant, law: Law, audio: &[u8]) -> Sound {
        let table = g711::decode_table(law);
        let square = |byte: &u8| f64::from(table[usize::from(*byte)]).powi(2);
        let sum: f64 = audio.iter().map(square).sum();
        if sum >= QUIET * audio.len() as f64 {
            return Sound::Sent { is_first: self.wake() };
        }
        if self.stay(now) {
            return Sound::Unsent;
        }
        self.count += audio.len() as u32;
        self.square_sum += sum;
        if self.count < HANGOVER {
            return Sound::Sent { is_first: false };
        }
        let mean = (self.square_sum / f64::from(self.count)).max(1.0);
        let level = 10.0 * (f64::from(i16::MAX).powi(2) / mean).log10();
        self.fall(now);
        Sound::Falls(level.round().min(NOTHING) as u8)
    }

    /// It is told of a silence by somebody else.
    pub fn fall(&mut self, now: Instant) {
        (self.is_told, self.at) = (true, Some(now));
    }

    /// Whether the silence goes on of which it was told.
    pub fn stay(&mut self, now: Instant) -> bool {
        if self.is_told {
            self.at = Some(now);
        }
        self.is_told
    }

    /// Something is sent: whether a silence ends by it.
    pub fn wake(&mut self) -> bool {
        std::mem::take(self).is_told
    }

    /// Whether something was left unsent within this time.
    pub fn is_within(&self, now: Instant, time: Duration) -> bool {
        self.is_told && self.at.is_some_and(|at| now.saturating_duration_since(at) < time)
    }
}

impl Relay {
    /// Tells a leg that it is sent nothing from now on, and how that sounds, in -dBov.
    pub(super) fn tell_silence(&mut self, now: Instant, id: LegId, level: u8) {
        let Some(leg) = self.legs.get_mut(id.index, id.generation) else { return };
        let placed = leg.sender.interject(now, Moment::Now);
        self.transmit(id, Kind::ComfortNoise, placed, false, &[level]);
    }
}
