//! One leg's part of a recording: places packets on the recording's clock and buffers them,
//! encoded, until they are written. The first packet of a source is placed by its arrival, the next
//! ones by their timestamps, so that jitter makes no gaps.

use super::WINDOW_FRAMES;
use crate::codec::{CLOCK_RATE, Law};
use crate::drops::DropReason;
use crate::g711;
use crate::prefetch::prefetch_bytes;
use crate::sender::StreamId;

/// Frames of a packet of 20 ms.
const PACKET_FRAMES: usize = CLOCK_RATE as usize / 50;
/// Distance of a packet's place from its arrival that is still jitter, in frames.
const TOLERANCE: i64 = CLOCK_RATE as i64 * 60 / 1000;
/// Packets in a row beyond the tolerance that show a drifting clock rather than a delay in the
/// network.
const DRIFT_COUNT: u8 = 25;
/// Lateness that is hardly a delay in the network; such a packet counts for several.
const JUMP: i64 = CLOCK_RATE as i64;
const JUMP_WEIGHT: u8 = 5;

/// Where a source's timestamps lie on the recording's clock.
#[derive(Debug, Clone, Copy)]
struct Anchor {
    stream: StreamId,
    timestamp: u32,
    frame: i64,
    late_count: u8,
}

/// Whether a leg writes to the track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Leg,
    Nobody,
}

#[derive(Debug)]
pub(super) struct Track {
    /// Place of the track's channel in a frame.
    channel: usize,
    owner: Owner,
    law: Law,
    anchor: Option<Anchor>,
    /// The frame after the last one that was ever written.
    written: u64,
    /// Frame `n` lies at `n % WINDOW_FRAMES`; what was not received is silence.
    ring: Box<[u8]>,
}

impl Track {
    pub fn new(channel: usize, law: Law) -> Track {
        let ring = vec![g711::silence(law); WINDOW_FRAMES as usize].into();
        Track { channel, owner: Owner::Nobody, law, anchor: None, written: 0, ring }
    }

    /// Its place in a frame of the file.
    pub fn channel(&self) -> usize {
        self.channel
    }

    /// Whether another leg's audio from this frame on may go here.
    pub fn is_free_at(&self, channel: usize, frame: u64) -> bool {
        self.owner == Owner::Nobody && self.channel == channel && self.written <= frame
    }

    /// Begins with another leg.
    pub fn begin(&mut self, law: Law) {
        g711::transcode(&mut self.ring, self.law, law);
        self.law = law;
        (self.owner, self.anchor) = (Owner::Leg, None);
    }

    /// Its leg is gone: another one's audio may go here.
    pub fn end(&mut self) {
        self.owner = Owner::Nobody;
    }

    /// Whether there is audio at this frame or after it.
    pub fn reaches(&self, frame: u64) -> bool {
        self.written > frame
    }

    /// Writes the samples from `from` to `to`, at most a window.
    pub fn decode(&self, from: u64, to: u64, samples: &mut [i16]) {
        let table = g711::decode_table(self.law);
        let mut samples = samples.iter_mut();
        for piece in self.pieces(from, to) {
            for (byte, sample) in piece.iter().zip(&mut samples) {
                *sample = table[usize::from(*byte)];
            }
        }
    }

    /// Buffers a packet at its place, in the track's law; `base` is the first frame that may
    /// still change.
    pub fn write(
        &mut self,
        base: u64,
        place: i64,
        law: Law,
        audio: &[u8],
    ) -> Result<(), DropReason> {
        let late = (base as i64 - place).max(0) as usize;
        let audio =
            audio.get(late..).filter(|audio| !audio.is_empty()).ok_or(DropReason::RecordingLate)?;
        let from = place.max(base as i64) as u64;
        if from + audio.len() as u64 > base + WINDOW_FRAMES {
            return Err(DropReason::RecordingFull);
        }
        let start = (from % WINDOW_FRAMES) as usize;
        let (head, tail) = audio.split_at(audio.len().min(self.ring.len() - start));
        for (at, piece) in [(start, head), (0, tail)] {
            let room = &mut self.ring[at..at + piece.len()];
            room.copy_from_slice(piece);
            if law != self.law {
                g711::transcode(room, law, self.law);
            }
        }
        self.written = self.written.max(from + audio.len() as u64);
        Ok(())
    }

    /// Asks for the memory that the next packet of 20 ms is likely to fill.
    pub fn prefetch_room(&self) {
        let start = (self.written % WINDOW_FRAMES) as usize;
        prefetch_bytes(&self.ring[start..self.ring.len().min(start + PACKET_FRAMES)]);
    }

    /// The frame of a packet that arrived at frame `arrival`.
    pub fn place(&mut self, arrival: i64, stream: StreamId, timestamp: u32) -> i64 {
        if let Some(anchor) = self.anchor.as_mut().filter(|anchor| anchor.stream == stream) {
            let place = anchor.frame + i64::from(timestamp.wrapping_sub(anchor.timestamp) as i32);
            let lateness = arrival - place;
            if lateness.abs() <= TOLERANCE {
                anchor.late_count = 0;
                return place;
            }
            if lateness > TOLERANCE && anchor.late_count < DRIFT_COUNT {
                anchor.late_count += if lateness > JUMP { JUMP_WEIGHT } else { 1 };
                return place;
            }
            // Audio from the future, or late for long: the source's clock jumped or drifted.
        }
        self.anchor = Some(Anchor { stream, timestamp, frame: arrival, late_count: 0 });
        arrival
    }

    /// Fills the frames from `from` to `to` with silence again.
    pub fn clear(&mut self, from: u64, to: u64) {
        let silence = g711::silence(self.law);
        if to - from >= WINDOW_FRAMES {
            self.ring.fill(silence);
            return;
        }
        let (start, end) = ((from % WINDOW_FRAMES) as usize, (to % WINDOW_FRAMES) as usize);
        if start <= end {
            self.ring[start..end].fill(silence);
        } else {
            self.ring[start..].fill(silence);
            self.ring[..end].fill(silence);
        }
    }

    /// The buffered bytes from `from` to `to`, at most a window, in one or two pieces.
    fn pieces(&self, from: u64, to: u64) -> [&[u8]; 2] {
        let len = (to - from) as usize;
        let start = (from % WINDOW_FRAMES) as usize;
        let head = len.min(self.ring.len() - start);
        [&self.ring[start..start + head], &self.ring[..len - head]]
    }
}
