//! Comfort noise (RFC 3389): a party that sends none of its silence is heard with noise as loud as
//! it told, by all who hear it and in the recording, from then until its next packet. Who hears it
//! in place and takes comfort noise is told what it told, all others are sent noise as audio.

use std::time::Instant;

use super::forward::Heard;
use super::tick::TICK_SAMPLES;
use super::{LegId, Relay};
use crate::codec::Law;
use crate::g711;
use crate::sender::StreamId;

/// The loudest noise that is made, in -dBov, whatever a party tells.
const LOUDEST: u8 = 30;
/// Told by a packet without a level.
const QUIETEST: u8 = 127;

/// The noise of a leg that is silent.
pub(super) struct Noise {
    stream: StreamId,
    /// In -dBov.
    level: u8,
    /// Samples made so far.
    position: u32,
}

impl Relay {
    /// A party tells that it sends no audio from now on, and how its silence sounds. Allocates
    /// nothing.
    #[cold]
    pub(super) fn begin_noise(&mut self, now: Instant, id: LegId, payload: &[u8]) {
        let level = payload.first().map_or(QUIETEST, |level| (level & 0x7f).max(LOUDEST));
        let Some(leg) = self.legs.get_mut(id.index, id.generation) else { return };
        if let Some(noise) = &mut leg.noise {
            noise.level = level;
        } else if self.noises.len() < self.noises.capacity() {
            leg.noise = Some(Noise { stream: self.streams.next(), level, position: 0 });
            self.noises.push(id);
        }
        let Some(hearer) = leg.hearer else { return };
        if let Some(hearing) = self.legs.get_mut(hearer.index, hearer.generation)
            && hearing.playing.is_none()
            && let Some(hush) = &mut hearing.hush
        {
            hush.fall(now);
            self.tell_silence(now, hearer, level);
        }
    }

    /// Makes the next packet of noise of each silent leg.
    pub(super) fn tick_noise(&mut self, now: Instant) {
        let mut at = 0;
        while let Some(id) = self.noises.get(at).copied() {
            if self.sound(now, id) {
                at += 1;
            } else {
                self.noises.swap_remove(at);
            }
        }
    }

    /// Returns whether the leg is still silent.
    fn sound(&mut self, now: Instant, id: LegId) -> bool {
        let Some(leg) = self.legs.get_mut(id.index, id.generation) else { return false };
        let is_silent = leg.noise_at.is_some() && leg.noise_at == leg.last_received;
        let Some(noise) = leg.noise.as_mut().filter(|_| is_silent) else {
            leg.noise = None;
            return false;
        };
        let (stream, position) = (noise.stream, noise.position);
        noise.position = position.wrapping_add(TICK_SAMPLES as u32);
        let samples = samples(noise.level, self.random.next_u32());
        if !leg.receives() {
            return true;
        }
        let mut audio = [0; TICK_SAMPLES];
        g711::encode_all(Law::Pcmu, &samples, &mut audio);
        let heard = Heard { stream, timestamp: position, law: Law::Pcmu };
        heard.keep(now, leg, &mut self.recordings, &mut self.drops, &audio);
        let Some(hearer) = leg.hearer else { return true };
        // What plays to it goes on.
        if let Some(hearing) = self.legs.get_mut(hearer.index, hearer.generation)
            && hearing.playing.is_none()
            && !hearing.hush.as_mut().is_some_and(|hush| hush.stay(now))
        {
            g711::encode_all(hearing.law(), &samples, &mut audio);
            self.send_audio(now, hearer, stream, &audio);
        }
        true
    }
}

/// White noise of this level: of a full-scale square wave's power, so many dB less.
fn samples(level: u8, seed: u32) -> [i16; TICK_SAMPLES] {
    let power = 32_767.0 * 10f32.powf(f32::from(level) / -20.0);
    // Even distribution up to a peak has the power of the peak over the root of three.
    let peak = power * 3f32.sqrt();
    let mut state = seed;
    std::array::from_fn(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (((state >> 8) as f32 / 8_388_608.0 - 1.0) * peak) as i16
    })
}
