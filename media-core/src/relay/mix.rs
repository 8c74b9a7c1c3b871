//! Mixes: on each tick a frame of every leg that is heard in one is taken, and each leg that hears
//! one is sent the sum of those that it hears, never of itself. Nothing is allocated by a tick.

use std::time::Instant;

use super::hush::Sound;
use super::leg::Kind;
use super::tick::GROUP_COUNT;
use super::{LegId, Relay, TAIL_ROOM};
use crate::codec::Codec;
use crate::drops::DropReason;
use crate::g711;
use crate::jitter::{FRAME, Frame, Jitter, MAX_DEPTH, is_after};
use crate::opus::MAX_LOST;
use crate::rtp::{HEADER_LEN, Header};
use crate::sender::{Placed, StreamId};

/// Longest payload of a packet that is made here: what a loss of Opus may come to.
const MAX_PAYLOAD_LEN: usize = MAX_LOST;
/// Frames of speech before a party is said to speak, 100 ms, and of none before it is said to have
/// stopped, 500 ms.
const SPEAKING_FRAMES: u8 = 5;
const SILENT_FRAMES: u8 = 25;
/// Bits by which samples are reduced before they are squared, so that a frame's energy fits 32
/// bits.
const ENERGY_SHIFT: u32 = 5;
/// Energy of a frame at -40 dBov: a mean amplitude of 328.
const SPEECH_ENERGY: i32 = ((328 * 328) >> (2 * ENERGY_SHIFT)) * FRAME as i32;

/// What a leg gives to the mixes that it is heard in.
pub(super) struct Feed {
    pub jitter: Jitter,
    voice: Voice,
    /// The tick for which its frame was taken.
    tick: u32,
    /// Whether a mix of three or more distinct parties holds the leg.
    in_company: bool,
}

/// A leg's mix.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mix {
    /// What the mix is in the leg's outgoing stream, while it is sent.
    stream: Option<StreamId>,
    /// Of this source all before this place was heard already.
    heard: Option<(LegId, u32)>,
    /// Which quarter of a tick it is sent in.
    group: usize,
}

/// Whether a party speaks, and since how many frames it might be otherwise.
#[derive(Debug, Default)]
struct Voice {
    speaks: bool,
    contrary_count: u8,
}

impl Voice {
    /// Takes a frame in; tells a change.
    fn observe(&mut self, is_loud: bool) -> Option<bool> {
        if is_loud == self.speaks {
            self.contrary_count = 0;
            return None;
        }
        self.contrary_count += 1;
        if self.contrary_count < if self.speaks { SILENT_FRAMES } else { SPEAKING_FRAMES } {
            return None;
        }
        self.contrary_count = 0;
        self.speaks = is_loud;
        Some(is_loud)
    }
}

impl Feed {
    fn new() -> Feed {
        Feed { jitter: Jitter::new(), voice: Voice::default(), tick: 0, in_company: false }
    }
}

impl Mix {
    /// The place in the source's stream up to which the leg heard it otherwise.
    pub fn heard_until(&self, source: LegId) -> Option<u32> {
        self.heard.filter(|(heard, _)| *heard == source).map(|(_, until)| until)
    }
}

impl Relay {
    /// Gives a leg a buffer while it is heard in a mix, and takes it away afterwards.
    pub(super) fn settle_feed(&mut self, source: LegId) {
        let Some(open) = self.legs.get(source.index, source.generation) else { return };
        let in_mix = |hearer: &&LegId| open.hearer != Some(**hearer);
        let is_fed = open.heard_by.as_slice().iter().any(|hearer| in_mix(&hearer));
        let in_company = open.heard_by.as_slice().iter().filter(in_mix).any(|hearer| {
            self.legs
                .get(hearer.index, hearer.generation)
                .is_some_and(|hearer| hearer.hears.as_slice().len() > 1)
        });
        let Some(open) = self.legs.get_mut(source.index, source.generation) else { return };
        if is_fed && open.feed.is_none() {
            open.feed = Some(Box::new(Feed::new()));
        }
        let Some(feed) = &mut open.feed else { return };
        feed.in_company = in_company;
        if !in_company && std::mem::take(&mut feed.voice).speaks {
            self.drops.note(self.queues.speaking(source, false));
        }
        if !is_fed {
            open.feed = None;
        }
    }

    /// Begins a leg's mix; of `heard` all before the place was heard already.
    pub(super) fn begin_mix(&mut self, hearer: LegId, heard: Option<(LegId, u32)>) {
        let Some(open) = self.legs.get_mut(hearer.index, hearer.generation) else { return };
        // Those who hear each other are in one group. A leg stays in its group, so that each tick
        // has one packet for it.
        let first = open
            .hears
            .as_slice()
            .iter()
            .map(|leg| leg.index)
            .chain([hearer.index])
            .min()
            .unwrap_or(hearer.index);
        let group = first as usize % GROUP_COUNT;
        open.mix = Some(Mix { stream: None, heard, group });
        open.digits.get_or_insert_default();
        self.mixes[group].push(hearer);
    }

    /// Forgets what was heard of a source that the mix holds no longer.
    pub(super) fn keep_mix(&mut self, hearer: LegId) {
        let Some(open) = self.legs.get_mut(hearer.index, hearer.generation) else { return };
        if let Some(mix) = &mut open.mix {
            mix.heard = mix.heard.filter(|(source, _)| open.hears.contains(*source));
        }
    }

    pub(super) fn end_mix(&mut self, hearer: LegId) {
        let mix =
            self.legs.get_mut(hearer.index, hearer.generation).and_then(|open| open.mix.take());
        if let Some(mix) = mix {
            self.mixes[mix.group].retain(|other| *other != hearer);
        }
    }

    /// Sends a leg at once what still waits of a source that it heard in its mix, before the
    /// source's packets come in place.
    pub(super) fn send_waiting(&mut self, now: Instant, source: LegId, hearer: LegId) {
        let places = ((source.index, source.generation), (hearer.index, hearer.generation));
        let Some((from, to)) = self.legs.pair_mut(places.0, places.1) else { return };
        let (Some(feed), Some(mix)) = (&from.feed, to.mix) else { return };
        let mut samples = [0; MAX_DEPTH];
        let count = feed.jitter.waiting(mix.heard_until(source), &mut samples);
        let law = to.law();
        let stream = mix.stream.unwrap_or_else(|| self.streams.next());
        let mut rest = &samples[..count];
        while !rest.is_empty() {
            // What is left of a frame goes with the last whole one.
            let len = if rest.len() < 2 * FRAME { rest.len() } else { FRAME };
            let mut payload = [0; MAX_PAYLOAD_LEN];
            g711::encode_all(law, &rest[..len], &mut payload);
            rest = &rest[len..];
            self.send_audio(now, hearer, stream, &payload[..len]);
        }
    }

    /// Sends every mix of a group. The frames of its sources are taken as the first mix of a tick
    /// needs them, while they are near.
    pub(super) fn send_mixes(&mut self, now: Instant, group: usize) {
        if group == 0 {
            self.mix_tick = self.mix_tick.wrapping_add(1);
        }
        for at in 0..self.mixes[group].len() {
            self.send_mix(now, self.mixes[group][at]);
        }
    }

    /// Takes the source's frame of this tick, once.
    fn take_frame(&mut self, source: LegId) -> Option<&mut Jitter> {
        let feed = self.legs.get_mut(source.index, source.generation)?.feed.as_mut()?;
        if feed.tick != self.mix_tick {
            feed.tick = self.mix_tick;
            feed.jitter.pop();
            if feed.in_company {
                let (_, _, frame) = feed.jitter.frame();
                if let Some(speaks) = feed.voice.observe(energy(frame) >= SPEECH_ENERGY) {
                    self.drops.note(self.queues.speaking(source, speaks));
                }
            }
        }
        Some(&mut feed.jitter)
    }

    fn send_mix(&mut self, now: Instant, id: LegId) {
        let Some(leg) = self.legs.get(id.index, id.generation) else { return };
        let (Some(mix), sources) = (leg.mix, leg.hears) else { return };
        let mut sum = [0i16; FRAME];
        let (mut is_anything, mut is_received) = (false, false);
        for source in sources.as_slice() {
            let Some(jitter) = self.take_frame(*source) else { continue };
            let (frame, start, samples) = jitter.frame();
            let skip = mix
                .heard_until(*source)
                .filter(|until| is_after(*until, start))
                .map_or(0, |until| until.wrapping_sub(start));
            if frame == Frame::Nothing || skip as usize >= FRAME {
                continue;
            }
            is_anything = true;
            is_received |= frame == Frame::Received;
            for (sum, sample) in sum[skip as usize..].iter_mut().zip(&samples[skip as usize..]) {
                *sum = sum.saturating_add(*sample);
            }
        }
        let Some(leg) = self.legs.get_mut(id.index, id.generation) else { return };
        // Real media ends a tone.
        if is_received {
            leg.playing = None;
        }
        let is_held_back = leg.playing.is_some() || leg.is_dialing();
        let is_silent = !is_anything || !leg.is_sendable();
        let Some(mix) = &mut leg.mix else { return };
        if is_silent {
            mix.stream = None;
        }
        if is_silent || is_held_back {
            return;
        }
        let stream = *mix.stream.get_or_insert_with(|| self.streams.next());
        let mut payload = [0; FRAME];
        g711::encode_all(leg.law(), &sum, &mut payload);
        self.send_audio(now, id, stream, &payload);
    }

    /// Sends audio that was made here, right after the last of its stream.
    pub(super) fn send_audio(&mut self, now: Instant, id: LegId, stream: StreamId, payload: &[u8]) {
        let Some(leg) = self.legs.get_mut(id.index, id.generation) else { return };
        if !leg.is_sendable() || leg.is_dialing() {
            return;
        }
        leg.playing = None;
        self.send_made(now, id, stream, payload);
    }

    /// Sends a leg what was made for it in its law, unless that is silence of which it is told.
    pub(super) fn send_made(&mut self, now: Instant, id: LegId, stream: StreamId, payload: &[u8]) {
        let Some(leg) = self.legs.get_mut(id.index, id.generation) else { return };
        let law = leg.law();
        let sound = leg.hush.as_mut().map(|hush| hush.hear(now, law, payload));
        let is_first = match sound {
            None => false,
            Some(Sound::Sent { is_first }) => is_first,
            Some(Sound::Falls(level)) => return self.tell_silence(now, id, level),
            Some(Sound::Unsent) => return,
        };
        let placed = leg.sender.follow(now, stream, payload.len() as u32);
        self.transmit(id, Kind::Audio, placed, placed.switched || is_first, payload);
    }

    /// Sends a packet that was made here, its audio in the leg's law.
    pub(super) fn transmit(
        &mut self,
        id: LegId,
        kind: Kind,
        placed: Placed,
        marker: bool,
        payload: &[u8],
    ) {
        let Some(leg) = self.legs.get_mut(id.index, id.generation) else { return };
        let (Ok(payload_type), Some(remote)) = (leg.payload_type(kind), leg.destination()) else {
            return;
        };
        let Placed { sequence, timestamp, .. } = placed;
        let header = Header { payload_type, marker, sequence, timestamp, ssrc: leg.sender.ssrc() };
        let mut datagram = [0; HEADER_LEN + MAX_PAYLOAD_LEN + TAIL_ROOM];
        let Some(mut len) = header.write(payload, &mut datagram[..HEADER_LEN + MAX_PAYLOAD_LEN])
        else {
            return;
        };
        if kind == Kind::Audio && leg.codec().law().is_none() {
            let law = leg.law();
            match (leg.codec(), &mut leg.wideband, &mut leg.opus) {
                (Codec::G722, Some(wideband), _) => {
                    wideband.encode(law, &mut datagram[HEADER_LEN..len]);
                }
                (Codec::Opus, _, Some(opus)) => {
                    let room = &mut datagram[HEADER_LEN..HEADER_LEN + MAX_PAYLOAD_LEN];
                    let Some(encoded) = opus.encode_own((law, payload), room) else { return };
                    len = HEADER_LEN + encoded;
                }
                _ => return self.drops.count(DropReason::PayloadType),
            }
        }
        let payload_len = len - HEADER_LEN;
        if let Some(outbound) = &mut leg.outbound {
            match outbound.protect_rtp(&mut datagram, len) {
                Ok(protected) => len = protected,
                Err(_) => return self.drops.count(DropReason::Unprotectable),
            }
        }
        match self.queues.transmit(leg.rtp_socket(), remote, &datagram[..len]) {
            Ok(()) => leg.sender.count(payload_len),
            Err(reason) => self.drops.count(reason),
        }
    }
}

/// The energy of a frame, reduced by `ENERGY_SHIFT`.
fn energy(frame: &[i16; FRAME]) -> i32 {
    frame
        .iter()
        .map(|sample| i32::from(*sample >> ENERGY_SHIFT))
        .map(|sample| sample * sample)
        .sum()
}
