//! What is played to legs: tones and kept audio, a packet a tick to each leg that hears one,
//! encoded beforehand for each law.

use std::sync::LazyLock;
use std::time::Instant;

use super::leg::Playing;
use super::tick::TICK_SAMPLES;
use super::{AudioId, LegId, Relay, Tone};
use crate::codec::Law;
use crate::{g711, tone};

/// Most kept audios.
pub(super) const MAX_AUDIO_COUNT: usize = 64;

/// What is repeated, encoded for each law: a whole number of packets, at least one.
pub(super) struct Audio {
    pcmu: Box<[u8]>,
    pcma: Box<[u8]>,
}

static RINGBACK: LazyLock<Audio> = LazyLock::new(|| Audio::of_tone(&tone::RINGBACK));
static CONFIRM: LazyLock<Audio> = LazyLock::new(|| Audio::of_tone(&tone::CONFIRM));
static HOLD: LazyLock<Audio> = LazyLock::new(|| Audio::of_tone(&tone::HOLD));
static SILENCE: LazyLock<Audio> = LazyLock::new(|| Audio::new(&[0; TICK_SAMPLES]));

impl Audio {
    fn of_tone(tone: &tone::Tone) -> Audio {
        let mut samples = vec![0; tone.period() as usize];
        tone.fill(0, &mut samples);
        Audio::new(&samples)
    }

    /// Encodes samples and fills the last packet up with silence.
    fn new(samples: &[i16]) -> Audio {
        let encode = |law| {
            let mut bytes = vec![g711::silence(law); samples.len().next_multiple_of(TICK_SAMPLES)]
                .into_boxed_slice();
            for (byte, sample) in bytes.iter_mut().zip(samples) {
                *byte = g711::encode(law, *sample);
            }
            bytes
        };
        Audio { pcmu: encode(Law::Pcmu), pcma: encode(Law::Pcma) }
    }

    /// The payload of the packet at this position.
    fn packet(&self, law: Law, position: u32) -> &[u8] {
        let bytes = match law {
            Law::Pcmu => &self.pcmu,
            Law::Pcma => &self.pcma,
        };
        let start = position as usize % (bytes.len() / TICK_SAMPLES) * TICK_SAMPLES;
        &bytes[start..start + TICK_SAMPLES]
    }
}

impl Relay {
    /// Plays a tone to the leg, instead of another one, until `stop_playing`; while media of a leg
    /// that it hears come, those are sent.
    pub fn play(&mut self, _now: Instant, leg: LegId, tone: Tone) {
        let Some(leg) = self.legs.get_mut(leg.index, leg.generation) else { return };
        leg.background = Some(tone);
        if leg.playing.as_ref().is_some_and(|playing| playing.tone == tone) {
            return;
        }
        let stream = self.streams.next();
        leg.playing = Some(Playing { tone, stream, position: 0 });
        self.playing.push((leg.id, stream));
    }

    /// Says what is played to the leg when the media that it hears fall silent. What plays now goes
    /// on, unless it is silence.
    pub fn play_in_lulls(&mut self, now: Instant, leg: LegId, tone: Tone) {
        let Some(open) = self.legs.get_mut(leg.index, leg.generation) else { return };
        open.background = Some(tone);
        if open.playing.as_ref().is_some_and(|playing| playing.tone == Tone::Silence) {
            self.play(now, leg, tone);
        }
    }

    /// Ends what is played to a leg, also what would be played whenever it hears nothing.
    pub fn stop_playing(&mut self, leg: LegId) {
        if let Some(leg) = self.legs.get_mut(leg.index, leg.generation) {
            (leg.playing, leg.background) = (None, None);
        }
    }

    /// Keeps audio to be played by `Tone::Audio`: samples at 8 kHz, one channel. `None` beyond 64
    /// audios, and for no samples.
    pub fn add_audio(&mut self, samples: &[i16]) -> Option<AudioId> {
        if samples.is_empty() {
            return None;
        }
        let index =
            (0..self.audios.place_count()).find(|index| self.audios.at_mut(*index).is_none())?;
        let mut id = AudioId { index, generation: 0 };
        self.audios.insert(index, |generation| {
            id.generation = generation;
            Audio::new(samples)
        })?;
        Some(id)
    }

    /// Gives kept audio up; legs that it is played to hear `Tone::Hold` instead.
    pub fn remove_audio(&mut self, audio: AudioId) {
        self.audios.remove(audio.index, audio.generation);
        for index in 0..self.legs.place_count() {
            let Some((_, leg)) = self.legs.at_mut(index) else { continue };
            let tones = leg
                .playing
                .as_mut()
                .map(|playing| &mut playing.tone)
                .into_iter()
                .chain(&mut leg.background);
            tones.filter(|tone| **tone == Tone::Audio(audio)).for_each(|tone| *tone = Tone::Hold);
        }
    }

    /// Gives the playback of one leg to another.
    pub(super) fn hand_over_playback(&mut self, from: LegId, to: LegId) {
        let Some((old, new)) =
            self.legs.pair_mut((from.index, from.generation), (to.index, to.generation))
        else {
            return;
        };
        new.background = old.background.take();
        if let Some(playing) = old.playing.take() {
            // A stream has one place in one leg's sequence.
            let playing = Playing { stream: self.streams.next(), ..playing };
            self.playing.push((to, playing.stream));
            new.playing = Some(playing);
        }
    }

    /// Sends a packet of each playback.
    pub(super) fn tick_playback(&mut self, now: Instant) {
        let mut at = 0;
        while at < self.playing.len() {
            if self.play_packet(now, at) {
                at += 1;
            } else {
                self.playing.swap_remove(at);
            }
        }
    }

    /// Sends the next packet of one playback; returns whether it goes on.
    fn play_packet(&mut self, now: Instant, at: usize) -> bool {
        let (id, stream) = self.playing[at];
        let Some(leg) = self.legs.get_mut(id.index, id.generation) else { return false };
        let is_dialing = leg.is_dialing();
        let Some(playing) = leg.playing.as_mut().filter(|playing| playing.stream == stream) else {
            return false;
        };
        if is_dialing {
            return true;
        }
        let (tone, position) = (playing.tone, playing.position);
        playing.position = position.wrapping_add(1);
        if !leg.is_sendable() {
            return true;
        }
        let audio = match tone {
            Tone::Ringback => &*RINGBACK,
            Tone::Confirm => &CONFIRM,
            Tone::Hold => &HOLD,
            Tone::Silence => &SILENCE,
            Tone::Audio(id) => self.audios.get(id.index, id.generation).unwrap_or(&HOLD),
        };
        let mut payload = [0; TICK_SAMPLES];
        payload.copy_from_slice(audio.packet(leg.law(), position));
        self.send_made(now, id, stream, &payload);
        true
    }
}
