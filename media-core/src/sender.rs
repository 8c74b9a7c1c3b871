//! The outgoing stream of one leg: one SSRC with continuous sequence and timestamp, whatever is
//! heard on it (RFC 3550 §5.1). What comes in is told apart by a stream number; a change of it is a
//! switch of source. Packets of our own may come between those of a source, or be a source by
//! themselves.

use std::time::{Duration, Instant};

use crate::codec::CLOCK_RATE;
use crate::drops::DropReason;
use crate::random::Random;
use crate::rtp::Ssrc;

/// Names one incoming stream (or one playback) within a relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StreamId(pub u32);

/// Gives each stream its name.
#[derive(Debug, Default)]
pub(crate) struct StreamIds(u32);

impl StreamIds {
    /// An id that no stream had before.
    pub fn next(&mut self) -> StreamId {
        self.0 = self.0.wrapping_add(1);
        StreamId(self.0)
    }
}

/// Smallest timestamp step at a switch of source: one 20 ms packet, of which a second has so many.
const STEPS_PER_SECOND: u32 = 50;
/// How far back packets of the same source may come late.
const MAX_MISORDER: u16 = 100;

/// Place of a packet in the outgoing stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Placed {
    pub sequence: u16,
    pub timestamp: u32,
    /// The first packet of a source carries the marker (RFC 3551 §4.1).
    pub switched: bool,
}

/// When a packet of our own between those of a source belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Now.
    Now,
    /// That of the packet before (RFC 4733 §2.5.1.2: all packets of an event have one timestamp).
    Same,
    /// So many samples at 8 kHz after the packet before.
    After(u32),
    /// Now, beside the source's packets, whose clock goes on.
    Beside,
    /// That of a packet before, while the source's clock goes on.
    At(u32),
}

/// One outgoing stream.
#[derive(Debug, Clone)]
pub(crate) struct Sender {
    ssrc: Ssrc,
    /// Ticks a second of its timestamps.
    clock_rate: u32,
    source: Option<StreamId>,
    sequence_offset: u16,
    timestamp_offset: u32,
    /// Steps from the source's first packet to its highest, up to `MAX_MISORDER`: older packets
    /// belong to nobody.
    depth: u16,
    last_sequence: u16,
    last_timestamp: u32,
    last_sent: Option<Instant>,
    /// Ticks of the last packet, as far as they are known.
    last_step: u32,
    /// Packets of our own came between.
    interrupted: bool,
    packet_count: u64,
    octet_count: u32,
}

/// Totals for a sender report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SenderTotals {
    /// The stream's timestamp at the time of asking.
    pub timestamp: u32,
    pub packet_count: u32,
    pub octet_count: u32,
}

impl Sender {
    pub fn new(random: &mut Random) -> Sender {
        Sender {
            ssrc: Ssrc(random.next_u32()),
            clock_rate: CLOCK_RATE,
            source: None,
            sequence_offset: 0,
            timestamp_offset: 0,
            depth: 0,
            // RFC 3711 §3.3.1: a start in the lower half keeps a receiver that misses the first
            // packets in the right rollover period.
            last_sequence: random.next_u16() & 0x7fff,
            last_timestamp: random.next_u32(),
            last_sent: None,
            last_step: CLOCK_RATE / STEPS_PER_SECOND,
            interrupted: false,
            packet_count: 0,
            octet_count: 0,
        }
    }

    /// The source that the peer sees, whoever is passed on.
    pub fn ssrc(&self) -> Ssrc {
        self.ssrc
    }

    /// Another clock from the next packet on, which begins a source: the sequence and the order of
    /// timestamps go on (RFC 7160 §4.1).
    pub fn set_clock_rate(&mut self, clock_rate: u32) {
        if self.clock_rate != clock_rate {
            self.clock_rate = clock_rate;
            self.source = None;
            self.last_step = self.switch_step();
        }
    }

    fn switch_step(&self) -> u32 {
        self.clock_rate / STEPS_PER_SECOND
    }

    /// Samples at 8 kHz as ticks.
    fn ticks(&self, sample_count: u32) -> u32 {
        sample_count * (self.clock_rate / CLOCK_RATE)
    }

    /// Whether nothing was sent for so long.
    pub fn is_idle(&self, now: Instant, time: Duration) -> bool {
        self.last_sent.is_none_or(|last| now.saturating_duration_since(last) >= time)
    }

    /// Packets sent so far.
    pub fn packet_count(&self) -> u64 {
        self.packet_count
    }

    /// Maps a packet of `source` into the stream. A packet from before the switch to its source is
    /// refused.
    pub fn place(
        &mut self,
        now: Instant,
        source: StreamId,
        sequence: u16,
        timestamp: u32,
    ) -> Result<Placed, DropReason> {
        if self.source != Some(source) {
            return Ok(self.switch(now, source, sequence, timestamp));
        }
        if self.interrupted {
            return Ok(self.resume(now, sequence, timestamp));
        }
        let placed = Placed {
            sequence: sequence.wrapping_add(self.sequence_offset),
            timestamp: timestamp.wrapping_add(self.timestamp_offset),
            switched: false,
        };
        let ahead = placed.sequence.wrapping_sub(self.last_sequence);
        if ahead <= i16::MAX as u16 {
            self.depth = self.depth.saturating_add(ahead).min(MAX_MISORDER);
            self.last_sequence = placed.sequence;
            self.last_timestamp = placed.timestamp;
            self.last_sent = Some(now);
        } else if ahead.wrapping_neg() > self.depth {
            return Err(DropReason::Late);
        }
        Ok(placed)
    }

    fn switch(&mut self, now: Instant, source: StreamId, sequence: u16, timestamp: u32) -> Placed {
        self.source = Some(source);
        let following = self.timestamp_at(now, self.last_step);
        self.anchor(now, sequence, timestamp, following);
        Placed { sequence: self.last_sequence, timestamp: self.last_timestamp, switched: true }
    }

    /// Goes on with a source after packets of our own: its clock went on, but what it sent
    /// meanwhile has no number.
    fn resume(&mut self, now: Instant, sequence: u16, timestamp: u32) -> Placed {
        let own = timestamp.wrapping_add(self.timestamp_offset);
        let is_after = (own.wrapping_sub(self.last_timestamp) as i32) > 0;
        let following = if is_after { own } else { self.timestamp_at(now, self.last_step) };
        self.anchor(now, sequence, timestamp, following);
        Placed { sequence: self.last_sequence, timestamp: self.last_timestamp, switched: false }
    }

    /// Lets a packet of the source be the stream's next, with the timestamp `following`.
    fn anchor(&mut self, now: Instant, sequence: u16, timestamp: u32, following: u32) {
        self.depth = 0;
        self.last_sequence = self.last_sequence.wrapping_add(1);
        self.last_timestamp = following;
        self.last_sent = Some(now);
        self.last_step = self.switch_step();
        self.interrupted = false;
        self.sequence_offset = self.last_sequence.wrapping_sub(sequence);
        self.timestamp_offset = self.last_timestamp.wrapping_sub(timestamp);
    }

    /// The place of the next packet of a source that is made here, with so many samples at 8
    /// kHz: right after its last one.
    pub fn follow(&mut self, now: Instant, source: StreamId, sample_count: u32) -> Placed {
        let switched = self.source != Some(source);
        self.source = Some(source);
        self.last_timestamp = match switched || self.interrupted {
            true => self.timestamp_at(now, self.last_step),
            false => self.last_timestamp.wrapping_add(self.last_step),
        };
        self.last_sequence = self.last_sequence.wrapping_add(1);
        self.last_sent = Some(now);
        self.last_step = self.ticks(sample_count);
        self.interrupted = false;
        Placed { sequence: self.last_sequence, timestamp: self.last_timestamp, switched }
    }

    /// The place of a packet of our own between those of the source, which goes on after it without
    /// a switch.
    pub fn interject(&mut self, now: Instant, moment: Moment) -> Placed {
        let timestamp = match moment {
            Moment::Now => self.timestamp_at(now, self.last_step),
            Moment::Same => self.last_timestamp,
            Moment::After(samples) => self.last_timestamp.wrapping_add(self.ticks(samples)),
            Moment::Beside => self.timestamp_at(now, 0),
            Moment::At(timestamp) => timestamp,
        };
        if !matches!(moment, Moment::Same | Moment::At(_)) {
            self.last_timestamp = timestamp;
            self.last_sent = Some(now);
        }
        self.last_step = self.switch_step();
        self.last_sequence = self.last_sequence.wrapping_add(1);
        self.interrupted = true;
        Placed { sequence: self.last_sequence, timestamp, switched: false }
    }

    fn timestamp_at(&self, now: Instant, least_step: u32) -> u32 {
        let elapsed = self.last_sent.map_or(0, |last| ticks_between(last, now, self.clock_rate));
        self.last_timestamp.wrapping_add(elapsed.max(least_step))
    }

    /// Counts a packet as sent.
    pub fn count(&mut self, payload_len: usize) {
        self.packet_count += 1;
        self.octet_count = self.octet_count.wrapping_add(payload_len as u32);
    }

    /// What a sender report says (RFC 3550 §6.4.1).
    pub fn totals(&self, now: Instant) -> SenderTotals {
        SenderTotals {
            timestamp: self.timestamp_at(now, 0),
            packet_count: self.packet_count as u32,
            octet_count: self.octet_count,
        }
    }
}

/// Time in samples at 8 kHz, modulo 2^32.
pub(crate) fn samples_between(from: Instant, to: Instant) -> u32 {
    ticks_between(from, to, CLOCK_RATE)
}

/// Time in ticks of a clock of so many a second, modulo 2^32.
fn ticks_between(from: Instant, to: Instant, clock_rate: u32) -> u32 {
    (to.saturating_duration_since(from).as_micros() as u64 * u64::from(clock_rate) / 1_000_000)
        as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_and_timestamp_go_on_across_sources() {
        let now = crate::clock::start();
        let mut sender = Sender::new(&mut Random::new(1));
        let at = |ms| now + Duration::from_millis(ms);
        let first = sender.place(at(0), StreamId(1), 500, 9_000).unwrap();
        assert!(first.switched);
        let second = sender.place(at(20), StreamId(1), 501, 9_160).unwrap();
        assert_eq!(second.sequence, first.sequence.wrapping_add(1));
        assert_eq!(second.timestamp, first.timestamp.wrapping_add(160));
        assert!(!second.switched);
        // 100 ms of silence, then another source.
        let third = sender.place(at(120), StreamId(2), 7, 1).unwrap();
        assert_eq!(third.sequence, second.sequence.wrapping_add(1));
        assert_eq!(third.timestamp, second.timestamp.wrapping_add(800));
        assert!(third.switched);
        // A switch at once still advances the clock.
        let fourth = sender.place(at(120), StreamId(1), 502, 9_320).unwrap();
        assert_eq!(fourth.timestamp, third.timestamp.wrapping_add(160));
    }

    #[test]
    fn loss_and_reordering_are_kept_but_nothing_reaches_before_a_switch() {
        let now = crate::clock::start();
        let mut sender = Sender::new(&mut Random::new(2));
        let first = sender.place(now, StreamId(1), 100, 0).unwrap();
        assert_eq!(sender.place(now, StreamId(1), 99, 0), Err(DropReason::Late));
        let third = sender.place(now, StreamId(1), 102, 320).unwrap();
        assert_eq!(third.sequence, first.sequence.wrapping_add(2));
        let second = sender.place(now, StreamId(1), 101, 160).unwrap();
        assert_eq!(second.sequence, first.sequence.wrapping_add(1));
        assert_eq!(sender.place(now, StreamId(1), 99, 0), Err(DropReason::Late));
        let fourth = sender.place(now, StreamId(2), 5, 0).unwrap();
        assert_eq!(fourth.sequence, third.sequence.wrapping_add(1));
    }

    #[test]
    fn a_long_stream_wraps() {
        let now = crate::clock::start();
        let mut sender = Sender::new(&mut Random::new(3));
        let mut last = sender.place(now, StreamId(1), 0, 0).unwrap();
        for step in 1..200_000u32 {
            let placed =
                sender.place(now, StreamId(1), step as u16, step.wrapping_mul(160)).unwrap();
            assert_eq!(placed.sequence, last.sequence.wrapping_add(1));
            last = placed;
        }
    }
}
