//! The layout of a recording: stereo 16-bit WAV at 8 kHz on one clock, the left channel being the first leg's. Audio goes in as G.711,
//! blocks for file offsets come out; after each `flush` the file is a valid WAV up to the time of the flush. No file is opened here.

mod repair;
mod track;

use std::time::{Duration, Instant};

use crate::codec::Codec;
use crate::drops::DropReason;
use crate::g711;
use crate::rtp::CLOCK_RATE;
use crate::sender::{StreamId, samples_between};

pub use repair::{Repair, repair};
use track::Track;

/// Offsets and lengths of writes are multiples of this, as direct I/O needs it.
pub const BLOCK_LEN: usize = 4096;
/// Length of the RIFF header; the samples follow it at once.
pub const HEADER_LEN: usize = 44;
/// One 16-bit sample of each channel.
const FRAME_LEN: usize = 4;
/// Frames in a block that holds no header.
const BLOCK_FRAMES: u64 = (BLOCK_LEN / FRAME_LEN) as u64;
/// Frames in the first block.
const FIRST_FRAMES: u64 = ((BLOCK_LEN - HEADER_LEN) / FRAME_LEN) as u64;
/// Frames that are buffered per channel: what is held for late packets, what comes between two flushes, and room for delays.
const WINDOW_FRAMES: u64 = 12 * BLOCK_FRAMES;
/// Time for which a block may still be changed by late packets.
const HOLD_FRAMES: u64 = CLOCK_RATE as u64 / 5;
/// The lengths in a RIFF header are 32 bits wide: about 37 hours.
const MAX_FRAMES: u64 = (u32::MAX as u64 - BLOCK_LEN as u64) / FRAME_LEN as u64;

/// Whose voice a channel of the file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// The first channel: the agent and who speaks with the agent's voice.
    Agent,
    /// The second channel.
    Customer,
    /// The third channel, or the second of a stereo file.
    Third,
}

/// How many channels a file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    Stereo,
    ThreeChannel,
}

/// One leg's part of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TrackId(u8);

/// A write to the file: `bytes` lie in the buffer given to `flush`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Write {
    pub offset: u64,
    pub bytes: std::ops::Range<usize>,
}

/// One running recording.
#[derive(Debug)]
pub(crate) struct Recording {
    started: Instant,
    /// The first frame that may still change: the first of a block.
    base: u64,
    left: Track,
    right: Track,
    paused: bool,
    /// Header and first samples; written again at each flush, after the data that the header promises.
    first_block: Box<[u8; BLOCK_LEN]>,
}

impl Recording {
    pub fn new(now: Instant, _layout: Layout) -> Recording {
        let first_block = Box::new([0; BLOCK_LEN]);
        let track = || Track::new(Codec::Pcmu);
        Recording { started: now, base: 0, left: track(), right: track(), first_block, paused: false }
    }

    /// Begins a track in a channel.
    pub fn add_track(&mut self, _now: Instant, channel: Channel, codec: Codec) -> Option<TrackId> {
        let id = TrackId(if channel == Channel::Agent { 0 } else { 1 });
        self.set_codec(id, codec);
        Some(id)
    }

    /// Ends a track; what it holds stays.
    pub fn end_track(&mut self, _now: Instant, _track: TrackId) {}

    pub fn pause(&mut self, _now: Instant) {
        self.paused = true;
    }

    pub fn resume(&mut self, _now: Instant) {
        self.paused = false;
    }

    /// Names the codec of what a track receives from now on.
    pub fn set_codec(&mut self, track: TrackId, codec: Codec) {
        self.track_mut(track).set_codec(codec);
    }

    /// Takes one packet's audio.
    pub fn tap(
        &mut self,
        now: Instant,
        track: TrackId,
        stream: StreamId,
        timestamp: u32,
        audio: &[u8],
    ) -> Result<(), DropReason> {
        if self.paused {
            return Ok(());
        }
        let arrival = samples_between(self.started, now).into();
        let base = self.base;
        self.track_mut(track).write(base, arrival, stream, timestamp, audio)
    }

    fn track_mut(&mut self, track: TrackId) -> &mut Track {
        if track.0 == 0 { &mut self.left } else { &mut self.right }
    }

    /// Appends to `buffer` what makes the file valid up to `now`, and says where it goes: the data first, then the first block.
    pub fn flush(&mut self, now: Instant, buffer: &mut Vec<u8>) -> [Option<Write>; 3] {
        let end = self.frames_at(now);
        let mut writes = [None, None, None];
        if end > self.base + WINDOW_FRAMES {
            // The shell stood still: what lies between is left as a hole in the file, which reads as silence.
            writes[0] = self.write_data(self.base + WINDOW_FRAMES, buffer);
            self.finalise_before(block_start(end));
        }
        writes[1] = self.write_data(end, buffer);
        self.fill_header(end);
        let start = buffer.len();
        buffer.extend_from_slice(&self.first_block[..]);
        writes[2] = Some(Write { offset: 0, bytes: start..buffer.len() });
        self.finalise_before(block_start(end.saturating_sub(HOLD_FRAMES)));
        writes
    }

    /// Length of the file that is valid up to `now`, in bytes.
    pub fn file_len(&self, now: Instant) -> u64 {
        HEADER_LEN as u64 + self.frames_at(now) * FRAME_LEN as u64
    }

    pub fn duration(&self, now: Instant) -> Duration {
        Duration::from_millis(self.frames_at(now) * 1000 / u64::from(CLOCK_RATE))
    }

    fn frames_at(&self, now: Instant) -> u64 {
        u64::from(samples_between(self.started, now)).min(MAX_FRAMES)
    }

    /// Decodes the frames from `base` to the end of the block that holds `end`; those of the first block go there.
    fn write_data(&mut self, end: u64, buffer: &mut Vec<u8>) -> Option<Write> {
        if self.base == 0 {
            let samples = &mut self.first_block[HEADER_LEN..];
            decode(&self.left, &self.right, 0, FIRST_FRAMES, samples);
        }
        let from = self.base.max(FIRST_FRAMES);
        if end <= from {
            return None;
        }
        let to = from + (end - from).next_multiple_of(BLOCK_FRAMES);
        let start = buffer.len();
        buffer.resize(start + (to - from) as usize * FRAME_LEN, 0);
        // A block that reaches beyond the window ends in silence.
        decode(&self.left, &self.right, from, to.min(self.base + WINDOW_FRAMES), &mut buffer[start..]);
        Some(Write { offset: HEADER_LEN as u64 + from * FRAME_LEN as u64, bytes: start..buffer.len() })
    }

    /// Gives the frames before `base` up; their places hold silence again.
    fn finalise_before(&mut self, base: u64) {
        if base > self.base {
            self.left.clear(self.base, base);
            self.right.clear(self.base, base);
            self.base = base;
        }
    }

    fn fill_header(&mut self, frame_count: u64) {
        self.first_block[..HEADER_LEN].copy_from_slice(&header(frame_count));
    }
}

/// The first frame of the block that holds this one.
fn block_start(frame: u64) -> u64 {
    match frame.checked_sub(FIRST_FRAMES) {
        None => 0,
        Some(beyond) => FIRST_FRAMES + beyond / BLOCK_FRAMES * BLOCK_FRAMES,
    }
}

fn decode(left: &Track, right: &Track, from: u64, to: u64, out: &mut [u8]) {
    let left_table = g711::decode_table(left.codec());
    let right_table = g711::decode_table(right.codec());
    let mut out = out.chunks_exact_mut(FRAME_LEN);
    for (left, right) in left.pieces(from, to).into_iter().zip(right.pieces(from, to)) {
        for ((left, right), frame) in left.iter().zip(right).zip(&mut out) {
            frame[..2].copy_from_slice(&left_table[usize::from(*left)].to_le_bytes());
            frame[2..].copy_from_slice(&right_table[usize::from(*right)].to_le_bytes());
        }
    }
}

/// The RIFF header of a file with this many frames.
fn header(frame_count: u64) -> [u8; HEADER_LEN] {
    let data_len = (frame_count.min(MAX_FRAMES) as u32) * FRAME_LEN as u32;
    let mut header = [0; HEADER_LEN];
    let mut at = 0;
    let mut put = |bytes: &[u8]| {
        header[at..at + bytes.len()].copy_from_slice(bytes);
        at += bytes.len();
    };
    put(b"RIFF");
    put(&(data_len + HEADER_LEN as u32 - 8).to_le_bytes());
    put(b"WAVEfmt ");
    put(&16u32.to_le_bytes());
    put(&1u16.to_le_bytes()); // PCM
    put(&2u16.to_le_bytes());
    put(&CLOCK_RATE.to_le_bytes());
    put(&(CLOCK_RATE * FRAME_LEN as u32).to_le_bytes());
    put(&(FRAME_LEN as u16).to_le_bytes());
    put(&16u16.to_le_bytes());
    put(b"data");
    put(&data_len.to_le_bytes());
    header
}

#[cfg(test)]
mod tests;
