//! Packets whose codec others do not speak: everybody but its own kind hears G.722 and Opus as
//! G.711, in place, and is heard so by them. Whoever speaks the same is relayed untouched.

use std::time::Instant;

use super::forward::{Accepted, Heard, MAX_DATAGRAM_LEN};
use super::leg::{Kind, Leg};
use super::{LegId, Relay, TAIL_ROOM};
use crate::codec::{CLOCK_RATE, Codec, Format, Law};
use crate::drops::DropReason;
use crate::g711;
use crate::opus::{MAX_HEARD, MAX_LOST, Numbers, Opus};
use crate::rtp::{HEADER_LEN, Header, Packet};

/// Most packets in a row that a loss is made up for in.
const MAX_LOST_COUNT: u16 = 24;

/// What was lost before a packet, as µ-law.
struct Lost<'a> {
    audio: &'a [u8],
    packet_count: u16,
    /// Numbers of the packet after it.
    sequence: u16,
    timestamp: u32,
}

impl Relay {
    /// Lets a leg be offered Opus; false if as many legs have it as may.
    pub fn admit_opus(&mut self, leg: LegId) -> bool {
        let Some(open) = self.legs.get_mut(leg.index, leg.generation) else { return false };
        if open.opus.is_none() {
            if self.opus_count < self.config.opus_legs {
                open.opus = Opus::new().map(Box::new);
            } else if self.config.opus_legs > 0 {
                self.drops.count(DropReason::OpusFull);
            }
            self.opus_count += u16::from(open.opus.is_some());
        }
        open.opus.is_some()
    }

    /// Legs that may speak Opus.
    pub fn opus_count(&self) -> usize {
        self.opus_count.into()
    }

    /// Whether a leg gets the packets of another untouched.
    fn speaks(&self, leg: LegId, codec: Codec) -> bool {
        self.legs.get(leg.index, leg.generation).is_some_and(|leg| leg.codec() == codec)
    }

    /// Makes µ-law of G.722, in place, unless who hears it speaks it, too.
    #[cold]
    #[inline(never)]
    pub(super) fn narrow(
        &mut self,
        now: Instant,
        mut accepted: Accepted,
        buffer: &mut [u8],
    ) -> Accepted {
        let Packet { header, payload_start, payload_len } = accepted.packet;
        let passes = accepted.hearer.is_some_and(|hearer| self.speaks(hearer, Codec::G722));
        let Some(leg) = self.legs.get_mut(accepted.leg.index, accepted.leg.generation) else {
            return accepted;
        };
        if passes && !leg.is_kept() {
            return accepted;
        }
        let mut narrowed = [0; MAX_DATAGRAM_LEN];
        let narrowed = &mut narrowed[..payload_len];
        let payload = &mut buffer[payload_start..payload_start + payload_len];
        narrowed.copy_from_slice(payload);
        if let Some(wideband) = &mut leg.wideband {
            wideband.decode(narrowed);
        }
        let heard = Heard { stream: accepted.stream, timestamp: header.timestamp, law: Law::Pcmu };
        heard.keep(now, leg, &mut self.recordings, &mut self.drops, narrowed);
        if leg.hears_tones {
            self.drops.note(leg.hear_key(&mut self.queues, Law::Pcmu, narrowed));
        }
        if passes {
            return accepted;
        }
        payload.copy_from_slice(narrowed);
        (accepted.format, accepted.is_made) = (Format::Audio(Codec::Pcmu), true);
        accepted
    }

    /// Makes µ-law at 8 kHz of a packet at the clock of Opus, in place, unless who hears it speaks
    /// Opus, too. What was lost before it is sent to who hears it first.
    #[cold]
    #[inline(never)]
    pub(super) fn leave_opus(
        &mut self,
        now: Instant,
        mut accepted: Accepted,
        buffer: &mut [u8],
    ) -> Result<Accepted, DropReason> {
        let Packet { header, payload_start, payload_len } = accepted.packet;
        let Header { sequence, timestamp, .. } = header;
        let passes = accepted.hearer.is_some_and(|hearer| self.speaks(hearer, Codec::Opus));
        let Some(leg) = self.legs.get_mut(accepted.leg.index, accepted.leg.generation) else {
            return Ok(accepted);
        };
        let is_kept = leg.is_kept();
        let is_heard = is_kept || accepted.hearer.is_some() || leg.keypad.is_some();
        if !is_heard || (passes && !is_kept) {
            return Ok(accepted);
        }
        let Some(opus) = &mut leg.opus else { return Err(DropReason::PayloadType) };
        if accepted.format != Format::Audio(Codec::Opus) {
            if !passes {
                accepted.packet.header.timestamp = opus.place(accepted.stream, sequence, timestamp);
                accepted.clock_rate = CLOCK_RATE;
            }
            return Ok(accepted);
        }
        let mut audio = [0; MAX_HEARD];
        let payload = &buffer[payload_start..payload_start + payload_len];
        let decoded =
            opus.decode(accepted.stream, sequence, timestamp, payload, Law::Pcmu, &mut audio);
        let decoded = match decoded {
            Ok(decoded) => decoded,
            // What its own kind is passed is not looked into.
            Err(reason) if passes => {
                self.drops.count(reason);
                return Ok(accepted);
            }
            Err(reason) => return Err(reason),
        };
        let (lost, own) = audio[..decoded.lost_len + decoded.len].split_at(decoded.lost_len);
        let timestamps = [decoded.timestamp.wrapping_sub(lost.len() as u32), decoded.timestamp];
        for (timestamp, audio) in timestamps.into_iter().zip([lost, own]) {
            if !audio.is_empty() {
                let heard = Heard { stream: accepted.stream, timestamp, law: Law::Pcmu };
                heard.keep(now, leg, &mut self.recordings, &mut self.drops, audio);
            }
        }
        if passes {
            return Ok(accepted);
        }
        let place = HEADER_LEN..HEADER_LEN + own.len();
        if buffer.len() < place.end + TAIL_ROOM {
            return Err(DropReason::Oversized);
        }
        buffer[place].copy_from_slice(own);
        let header = Header { timestamp: decoded.timestamp, ..header };
        accepted.packet = Packet { header, payload_start: HEADER_LEN, payload_len: own.len() };
        (accepted.format, accepted.clock_rate) = (Format::Audio(Codec::Pcmu), CLOCK_RATE);
        accepted.is_made = true;
        if let Some(hearer) = accepted.hearer.filter(|_| !lost.is_empty()) {
            let packet_count = decoded.lost_count;
            let lost = Lost { audio: lost, packet_count, sequence, timestamp: decoded.timestamp };
            accepted.is_queued = self.make_up(now, &accepted, hearer, &lost);
        }
        Ok(accepted)
    }

    /// Sends what was lost to the leg that hears it in place, in the packets in which it was to
    /// come. Returns whether something was sent.
    fn make_up(&mut self, now: Instant, accepted: &Accepted, hearer: LegId, lost: &Lost) -> bool {
        let len = lost.audio.len();
        let count = Some(lost.packet_count)
            .filter(|count| *count <= MAX_LOST_COUNT && len.is_multiple_of(usize::from(*count)))
            .unwrap_or(1);
        let mut is_sent = false;
        for (at, audio) in (0..count).zip(lost.audio.chunks(len / usize::from(count))) {
            let Some(leg) = self.legs.get_mut(hearer.index, hearer.generation) else { break };
            let is_hushed = leg.hush.as_mut().is_some_and(|hush| hush.stay(now));
            if !leg.is_sendable() || leg.is_dialing() || is_hushed {
                break;
            }
            let before = (len - usize::from(at) * audio.len()) as u32;
            let placed = leg.sender.place(
                now,
                accepted.stream,
                lost.sequence.wrapping_sub(count - at),
                lost.timestamp.wrapping_sub(before),
            );
            let Ok(placed) = placed else { continue };
            let mut payload = [0; MAX_LOST];
            let payload = &mut payload[..audio.len()];
            payload.copy_from_slice(audio);
            g711::transcode(payload, Law::Pcmu, leg.law());
            self.transmit(hearer, Kind::Audio, placed, placed.switched, payload);
            is_sent = true;
        }
        is_sent
    }
}

impl Leg {
    /// Makes a packet at the clock of Opus of one at 8 kHz, in place: its length and its numbers;
    /// `None` while there is no whole frame.
    pub(super) fn enter_opus(
        &mut self,
        accepted: &Accepted,
        buffer: &mut [u8],
    ) -> Result<Option<(usize, Numbers)>, DropReason> {
        let Packet { header, payload_len, .. } = accepted.packet;
        let Header { sequence, timestamp, .. } = header;
        let Some(opus) = self.opus.as_mut().filter(|_| accepted.clock_rate == CLOCK_RATE) else {
            return Err(DropReason::PayloadType);
        };
        let Format::Audio(codec) = accepted.format else {
            return Ok(Some((payload_len, opus.number(accepted.stream, timestamp))));
        };
        let law = codec.law().ok_or(DropReason::PayloadType)?;
        let mut audio = [0; MAX_DATAGRAM_LEN];
        let audio = &mut audio[..payload_len];
        audio.copy_from_slice(&buffer[..payload_len]);
        opus.encode(accepted.stream, sequence, timestamp, (law, audio), buffer)
    }
}

/// Tells the duration of a key press at the clock of who hears it; what does not fit is the most
/// that does (RFC 4733 §2.5.1.3).
pub(super) fn tell_duration(format: Format, event_rate: u32, payload: &mut [u8]) {
    let own_rate = format.clock_rate();
    if own_rate == event_rate {
        return;
    }
    if let Some([_, _, duration @ ..]) = payload.first_chunk_mut::<4>() {
        let ticks = u32::from(u16::from_be_bytes(*duration)) * event_rate / own_rate;
        *duration = u16::try_from(ticks).unwrap_or(u16::MAX).to_be_bytes();
    }
}
