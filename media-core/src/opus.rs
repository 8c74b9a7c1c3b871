//! Opus of one leg, between its packets and G.711 (RFC 6716, RFC 7587): what is lost on the way
//! here is made up for, by the copy that the next packet has of it where there is one; what goes
//! out is cut into whole frames. Knows no leg and no socket.

mod foreign;

use std::fmt;

use crate::codec::{CLOCK_RATE, Law, OPUS_CLOCK_RATE};
use crate::drops::DropReason;
use crate::g711;
use crate::sender::StreamId;
use foreign::{Decoder, Effort, Encoder};

/// Ticks of the RTP clock a sample.
pub(crate) const TICKS: u32 = OPUS_CLOCK_RATE / CLOCK_RATE;
/// Longest packet: 120 ms (RFC 6716 §3.2.5).
pub(crate) const MAX_SAMPLES: usize = 960;
/// Longest loss that is made up for: 60 ms; silence comes of a longer one.
pub(crate) const MAX_LOST: usize = 480;
/// Samples that one packet may come to, what was lost before it included.
pub(crate) const MAX_HEARD: usize = MAX_LOST + MAX_SAMPLES;
/// Samples of the shortest frame: 2.5 ms.
const MIN_FRAME: usize = 20;
/// Samples of an outgoing frame: 20 ms.
const FRAME: usize = 160;
/// Bytes of the longest outgoing packet.
const MAX_PACKET_LEN: usize = 480;
/// While the peer loses nothing: at this rate a transform sounds no worse than prediction, for a
/// third of its time (benches/RESULTS.md).
const CLEAN: Effort = Effort { complexity: 0, bitrate: 32_000, expected_loss: 0 };
/// While it tells of loss: prediction with copies, which libopus makes from 24 kbit/s on alone.
const LOSSY: Effort = Effort { complexity: 0, bitrate: 26_000, expected_loss: 10 };
/// Share of lost packets, in 1/256, that makes copies worth their time: 1 %.
const WORTH_COPIES: u8 = 3;
/// Reports in a row of less than that after which none are made: some 15 s.
const CLEAN_REPORTS: u8 = 3;

/// Both directions of a leg.
pub(crate) struct Opus {
    decoder: Decoder,
    hearing: Hearing,
    encoder: Encoder,
    speaking: Speaking,
    /// Reports of no loss after which no copies are made; 0 while none are.
    copies_left: u8,
}

/// The stream that comes in: where it is, in its own clock and in that of G.711.
#[derive(Debug, Default)]
struct Hearing {
    stream: Option<StreamId>,
    /// Of the last packet.
    sequence: Option<u16>,
    /// Timestamp and place of the last packet of audio, and its samples.
    ticks: u32,
    place: u32,
    len: u32,
}

/// The stream that goes out, of which the numbers are made here.
#[derive(Debug)]
struct Speaking {
    stream: Option<StreamId>,
    /// Of the source's last packet.
    source_sequence: u16,
    source_place: u32,
    sequence: u16,
    ticks: u32,
    /// Samples that wait for the rest of their frame.
    waiting: [i16; FRAME],
    waiting_count: usize,
    /// Where the next sample of the source belongs.
    next_place: u32,
}

/// A packet that came in as audio of a law.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Heard {
    /// Bytes of what was lost before it, which come first, in so many packets.
    pub lost_len: usize,
    pub lost_count: u16,
    /// Bytes of its own.
    pub len: usize,
    /// At 8 kHz.
    pub timestamp: u32,
}

/// The numbers of a packet that goes out, at the clock of Opus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Numbers {
    pub sequence: u16,
    pub timestamp: u32,
}

impl fmt::Debug for Opus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Opus").finish_non_exhaustive()
    }
}

impl Opus {
    /// `None` without memory: about 62 KB.
    pub fn new() -> Option<Opus> {
        Some(Opus {
            decoder: Decoder::new()?,
            hearing: Hearing::default(),
            encoder: Encoder::new(CLEAN)?,
            speaking: Speaking {
                stream: None,
                source_sequence: 0,
                source_place: 0,
                sequence: 0,
                ticks: 0,
                waiting: [0; FRAME],
                waiting_count: 0,
                next_place: 0,
            },
            copies_left: 0,
        })
    }

    /// Takes what the peer's report tells of what went out: the share that was lost, in 1/256 (RFC
    /// 3550 §6.4.1). Copies are made from a report of loss on until some in a row tell of none.
    pub fn hear_loss(&mut self, fraction_lost: u8) {
        let before = self.copies_left;
        self.copies_left =
            if fraction_lost >= WORTH_COPIES { CLEAN_REPORTS } else { before.saturating_sub(1) };
        match (before, self.copies_left) {
            (0, 1..) => self.encoder.set(LOSSY),
            (1.., 0) => self.encoder.set(CLEAN),
            _ => {}
        }
    }

    /// The timestamp at 8 kHz of a packet that came in between those of audio: a key press.
    pub fn place(&mut self, stream: StreamId, sequence: u16, timestamp: u32) -> u32 {
        self.hearing.follow(stream, timestamp);
        // Its number is no lost one.
        self.hearing.sequence = Some(sequence);
        self.hearing.place(timestamp)
    }

    /// Rewrites a packet that came in into audio of a law, what was lost before it first.
    ///
    /// # Errors
    /// `Late`: what comes after it was heard. `MalformedOpus`.
    pub fn decode(
        &mut self,
        stream: StreamId,
        sequence: u16,
        timestamp: u32,
        packet: &[u8],
        law: Law,
        audio: &mut [u8; MAX_HEARD],
    ) -> Result<Heard, DropReason> {
        let own_len = duration(packet).ok_or(DropReason::MalformedOpus)?;
        let hearing = &mut self.hearing;
        hearing.follow(stream, timestamp);
        let step = hearing.sequence.map_or(1, |before| sequence.wrapping_sub(before));
        if step as i16 <= 0 {
            return Err(DropReason::Late);
        }
        let place = hearing.place(timestamp);
        let gap = place.wrapping_sub(hearing.place.wrapping_add(hearing.len)) as usize;
        // A pause takes no numbers (RFC 7587 §3.1.3), a loss does.
        let is_lost = step > 1 && (1..=MAX_LOST).contains(&gap) && gap.is_multiple_of(MIN_FRAME);
        let mut samples = [0; MAX_HEARD];
        let mut lost_len = 0;
        if is_lost {
            lost_len = self.decoder.recover(packet, &mut samples[..gap]).unwrap_or(0);
        }
        let own = &mut samples[lost_len..lost_len + own_len];
        let len = self.decoder.decode(packet, own).ok_or(DropReason::MalformedOpus)?;
        let ticks = timestamp;
        self.hearing = Hearing {
            stream: Some(stream),
            sequence: Some(sequence),
            ticks,
            place,
            len: len as u32,
        };
        g711::encode_all(law, &samples[..lost_len + len], audio);
        let lost_count = if lost_len > 0 { step - 1 } else { 0 };
        Ok(Heard { lost_len, lost_count, len, timestamp: place })
    }

    /// Makes a packet of audio of a law, and says how long it is and what its numbers are; `None`
    /// while there is no whole frame.
    ///
    /// # Errors
    /// `Late`: what comes after it was sent.
    pub fn encode(
        &mut self,
        stream: StreamId,
        sequence: u16,
        timestamp: u32,
        (law, audio): (Law, &[u8]),
        packet: &mut [u8],
    ) -> Result<Option<(usize, Numbers)>, DropReason> {
        let speaking = &mut self.speaking;
        let is_new = speaking.stream != Some(stream);
        if !is_new && (sequence.wrapping_sub(speaking.source_sequence) as i16) <= 0 {
            return Err(DropReason::Late);
        }
        if is_new || timestamp != speaking.next_place {
            speaking.waiting_count = 0;
        }
        let start = timestamp.wrapping_sub(speaking.waiting_count as u32);
        let audio = &audio[..audio.len().min(MAX_SAMPLES)];
        speaking.next_place = timestamp.wrapping_add(audio.len() as u32);
        speaking.source_sequence = sequence;
        let mut samples = [0; FRAME + MAX_SAMPLES];
        let waiting = speaking.waiting_count;
        samples[..waiting].copy_from_slice(&speaking.waiting[..waiting]);
        let table = g711::decode_table(law);
        for (sample, byte) in samples[waiting..].iter_mut().zip(audio) {
            *sample = table[usize::from(*byte)];
        }
        let count = waiting + audio.len();
        let whole = (count - count % FRAME).min(MAX_SAMPLES);
        let rest = &samples[whole..count.min(whole + FRAME)];
        speaking.waiting_count = rest.len() % FRAME;
        speaking.waiting[..speaking.waiting_count].copy_from_slice(&rest[..speaking.waiting_count]);
        let numbers = speaking.number(stream, start, whole > 0);
        if whole == 0 {
            return Ok(None);
        }
        let len = self.encode_frames(&samples[..whole], packet).ok_or(DropReason::Oversized)?;
        Ok(Some((len, numbers)))
    }

    /// The numbers of a packet that goes out between those of a source as it is: a key press.
    pub fn number(&mut self, stream: StreamId, timestamp: u32) -> Numbers {
        self.speaking.number(stream, timestamp, true)
    }

    /// Makes a packet of audio that was made here, filled up to whole frames; `None` of none.
    pub fn encode_own(&mut self, (law, audio): (Law, &[u8]), packet: &mut [u8]) -> Option<usize> {
        let mut samples = [0; MAX_SAMPLES];
        let table = g711::decode_table(law);
        for (sample, byte) in samples.iter_mut().zip(audio) {
            *sample = table[usize::from(*byte)];
        }
        let len = audio.len().next_multiple_of(FRAME).min(MAX_SAMPLES);
        self.encode_frames(&samples[..len], packet)
    }

    fn encode_frames(&mut self, samples: &[i16], packet: &mut [u8]) -> Option<usize> {
        let room = packet.len().min(MAX_PACKET_LEN);
        self.encoder.encode(samples, &mut packet[..room])
    }
}

impl Hearing {
    /// Begins anew with another stream.
    fn follow(&mut self, stream: StreamId, timestamp: u32) {
        if self.stream != Some(stream) {
            let place = self.place.wrapping_add(self.len);
            *self =
                Hearing { stream: Some(stream), sequence: None, ticks: timestamp, place, len: 0 };
        }
    }

    /// Where a timestamp is at 8 kHz.
    fn place(&self, timestamp: u32) -> u32 {
        let ticks = timestamp.wrapping_sub(self.ticks) as i32;
        self.place.wrapping_add_signed(ticks.div_euclid(TICKS as i32))
    }
}

impl Speaking {
    /// Goes to a timestamp at 8 kHz; the packet there is one that is sent, or is not.
    fn number(&mut self, stream: StreamId, timestamp: u32, is_sent: bool) -> Numbers {
        if self.stream.replace(stream) != Some(stream) {
            self.source_place = timestamp;
        }
        let steps = timestamp.wrapping_sub(self.source_place);
        self.source_place = timestamp;
        self.ticks = self.ticks.wrapping_add(steps.wrapping_mul(TICKS));
        self.sequence = self.sequence.wrapping_add(is_sent.into());
        Numbers { sequence: self.sequence, timestamp: self.ticks }
    }
}

/// Samples of a packet by its first bytes (RFC 6716 §3.1 and §3.2); `None` if it is none, or
/// longer than one may be.
pub(crate) fn duration(packet: &[u8]) -> Option<usize> {
    let (first, rest) = packet.split_first()?;
    let frame = match first >> 3 {
        config @ 0..12 => [80, 160, 320, 480][usize::from(config % 4)],
        config @ 12..16 => [80, 160][usize::from(config % 2)],
        config => [20, 40, 80, 160][usize::from(config % 4)],
    };
    let count = match first & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => usize::from(rest.first()? & 0x3f),
    };
    Some(frame * count).filter(|samples| (1..=MAX_SAMPLES).contains(samples))
}

#[cfg(test)]
mod tests;
