//! The layout of a recording: 16-bit WAV at 8 kHz on one clock, in two or three channels, each the
//! sum of its legs' tracks. Audio goes in as G.711, blocks for file offsets come out; after each
//! `flush` the file is a valid WAV up to the time of the flush. No file is opened here.

mod gaps;
mod repair;
mod track;

use std::time::{Duration, Instant};

use crate::codec::{CLOCK_RATE, Law};
use crate::drops::DropReason;
use crate::prefetch::prefetch;
use crate::sender::{StreamId, samples_between};

pub use gaps::Gaps;
pub use repair::{Repair, duration_of, repair};
use track::Track;

/// Offsets and lengths of writes are multiples of this, as direct I/O needs it.
pub const BLOCK_LEN: usize = 4096;
/// Length of the RIFF header; the samples follow it at once.
pub const HEADER_LEN: usize = 44;
/// A 16-bit sample.
const SAMPLE_LEN: usize = 2;
/// Most channels of a file.
const MAX_CHANNEL_COUNT: usize = 3;
/// Frames that are buffered per track, 1.5 s: what is held for late packets, what comes between two
/// flushes, and room for delays.
const WINDOW_FRAMES: u64 = 12 * 1024;
/// Time for which a block may still be changed by late packets.
const HOLD_FRAMES: u64 = CLOCK_RATE as u64 / 5;
/// Most tracks of a recording, those that ended a short while ago included.
const MAX_TRACK_COUNT: usize = 24;
/// Frames that are summed at a time.
const CHUNK_FRAMES: usize = 512;

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

impl Layout {
    const ALL: [Layout; 2] = [Layout::Stereo, Layout::ThreeChannel];

    fn channel_count(self) -> usize {
        match self {
            Layout::Stereo => 2,
            Layout::ThreeChannel => 3,
        }
    }

    /// Length of one sample of each channel.
    fn frame_len(self) -> usize {
        self.channel_count() * SAMPLE_LEN
    }

    /// Place of a channel in a frame.
    fn place(self, channel: Channel) -> usize {
        match channel {
            Channel::Agent => 0,
            Channel::Customer => 1,
            Channel::Third => self.channel_count() - 1,
        }
    }

    /// The lengths in a RIFF header are 32 bits wide: about 37 hours in stereo.
    fn max_frames(self) -> u64 {
        (u64::from(u32::MAX) - BLOCK_LEN as u64) / self.frame_len() as u64
    }

    /// Offset in the file of a frame's first byte.
    fn offset(self, frame: u64) -> u64 {
        HEADER_LEN as u64 + frame * self.frame_len() as u64
    }

    /// The frame that holds the byte at this offset; frames of three channels lie across the ends
    /// of blocks.
    fn frame_at(self, offset: u64) -> u64 {
        offset.saturating_sub(HEADER_LEN as u64) / self.frame_len() as u64
    }

    /// Offset of the block in which a frame begins.
    fn block_of(self, frame: u64) -> u64 {
        self.offset(frame) / BLOCK_LEN as u64 * BLOCK_LEN as u64
    }
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

/// Whether what comes is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Running,
    Paused,
}

/// One running recording.
#[derive(Debug)]
pub(crate) struct Recording {
    layout: Layout,
    started: Instant,
    state: State,
    /// Offset of the first block that may still change, and the frame that holds its first byte.
    base_offset: u64,
    base: u64,
    tracks: Vec<Track>,
    /// Header and first samples; written again at each flush, after the data that the header
    /// promises.
    first_block: Box<[u8; BLOCK_LEN]>,
    /// Whether a header is in the file.
    has_header: bool,
}

impl Recording {
    pub fn new(now: Instant, layout: Layout) -> Recording {
        Recording {
            layout,
            started: now,
            state: State::Running,
            base_offset: 0,
            base: 0,
            tracks: Vec::new(),
            first_block: Box::new([0; BLOCK_LEN]),
            has_header: false,
        }
    }

    /// Begins a track in a channel, which keeps its audio in this law; `None` if there are too
    /// many.
    pub fn add_track(&mut self, now: Instant, channel: Channel, law: Law) -> Option<TrackId> {
        let place = self.layout.place(channel);
        let frame = self.frames_at(now);
        // A track that ended and holds nothing that this one could write over serves again.
        let idle = self.tracks.iter().position(|track| track.is_free_at(place, frame));
        let index = match idle {
            Some(index) => index,
            None if self.tracks.len() < MAX_TRACK_COUNT => {
                self.tracks.push(Track::new(place, law));
                self.tracks.len() - 1
            }
            None => return None,
        };
        self.tracks[index].begin(law);
        Some(TrackId(index as u8))
    }

    /// Ends a track; what it holds stays.
    pub fn end_track(&mut self, track: TrackId) {
        if let Some(track) = self.tracks.get_mut(usize::from(track.0)) {
            track.end();
        }
    }

    /// What comes is silence until `resume`; time goes on.
    pub fn pause(&mut self) {
        self.state = State::Paused;
    }

    /// Goes on after a pause, which stays as silence.
    pub fn resume(&mut self) {
        self.state = State::Running;
    }

    /// Asks for the memory of a track.
    pub fn prefetch_track(&self, track: TrackId) {
        if let Some(track) = self.tracks.get(usize::from(track.0)) {
            prefetch(track);
        }
    }

    /// Asks for the memory of a track's next packet.
    pub fn prefetch_room(&self, track: TrackId) {
        if let Some(track) = self.tracks.get(usize::from(track.0)) {
            track.prefetch_room();
        }
    }

    /// Takes one packet's audio.
    pub fn tap(
        &mut self,
        now: Instant,
        track: TrackId,
        stream: StreamId,
        timestamp: u32,
        law: Law,
        audio: &[u8],
    ) -> Result<(), DropReason> {
        let arrival = samples_between(self.started, now).into();
        match self.tracks.get_mut(usize::from(track.0)) {
            Some(track) if self.state == State::Running => {
                let place = track.place(arrival, stream, timestamp);
                track.write(self.base, place, law, audio)
            }
            _ => Ok(()),
        }
    }

    /// Appends to `buffer` what makes the file valid up to `now`, and says where it goes: the data
    /// first, then the first block. Before the first data there is a header, so that a file tells
    /// its layout from its first write on.
    pub fn flush(&mut self, now: Instant, buffer: &mut Vec<u8>) -> [Option<Write>; 4] {
        let end = self.frames_at(now);
        let mut writes = [const { None }; 4];
        self.fill_first_block();
        if !self.has_header {
            let whole = self.layout.frame_at(BLOCK_LEN as u64).min(end);
            writes[0] = Some(self.write_first_block(whole, buffer));
            self.has_header = true;
        }
        if end > self.base + WINDOW_FRAMES {
            // The shell stood still: what lies between is left as a hole in the file, which reads
            // as silence.
            writes[1] = self.write_data(self.base + WINDOW_FRAMES, buffer);
            self.finalise_before(end);
        }
        writes[2] = self.write_data(end, buffer);
        writes[3] = Some(self.write_first_block(end, buffer));
        self.finalise_before(end.saturating_sub(HOLD_FRAMES));
        writes
    }

    /// Length of the file that is valid up to `now`, in bytes.
    pub fn file_len(&self, now: Instant) -> u64 {
        self.layout.offset(self.frames_at(now))
    }

    /// How long the file would be if it ended now.
    pub fn duration(&self, now: Instant) -> Duration {
        Duration::from_millis(self.frames_at(now) * 1000 / u64::from(CLOCK_RATE))
    }

    fn frames_at(&self, now: Instant) -> u64 {
        u64::from(samples_between(self.started, now)).min(self.layout.max_frames())
    }

    /// Decodes what lies in the first block, as long as that may change.
    fn fill_first_block(&mut self) {
        if self.base_offset == 0 {
            let mut samples = [0; BLOCK_LEN - HEADER_LEN];
            self.decode(HEADER_LEN as u64, u64::MAX, &mut samples);
            self.first_block[HEADER_LEN..].copy_from_slice(&samples);
        }
    }

    fn write_first_block(&mut self, frame_count: u64, buffer: &mut Vec<u8>) -> Write {
        self.first_block[..HEADER_LEN].copy_from_slice(&header(self.layout, frame_count));
        let start = buffer.len();
        buffer.extend_from_slice(&self.first_block[..]);
        Write { offset: 0, bytes: start..buffer.len() }
    }

    /// Decodes the blocks after the first one, from the first that may change to the one that holds
    /// the end of the frames before `end`.
    fn write_data(&mut self, end: u64, buffer: &mut Vec<u8>) -> Option<Write> {
        let offset = self.base_offset.max(BLOCK_LEN as u64);
        let len = self
            .layout
            .offset(end)
            .checked_sub(offset)
            .filter(|len| *len > 0)?
            .next_multiple_of(BLOCK_LEN as u64);
        let start = buffer.len();
        buffer.resize(start + len as usize, 0);
        // A block that reaches beyond the window ends in silence.
        self.decode(offset, self.base + WINDOW_FRAMES, &mut buffer[start..]);
        Some(Write { offset, bytes: start..buffer.len() })
    }

    /// Gives up the blocks before the one that holds this frame; their places hold silence again.
    fn finalise_before(&mut self, frame: u64) {
        let offset = self.layout.block_of(frame);
        if offset > self.base_offset {
            let base = self.layout.frame_at(offset);
            for track in &mut self.tracks {
                track.clear(self.base, base);
            }
            (self.base_offset, self.base) = (offset, base);
        }
    }

    /// Fills `out` with the file's bytes from `offset` on, with silence from the frame `limit` on.
    fn decode(&self, offset: u64, limit: u64, out: &mut [u8]) {
        let frame_len = self.layout.frame_len();
        let mut frame = self.layout.frame_at(offset);
        // Bytes of the first frame that lie in the block before.
        let mut skip = (offset - self.layout.offset(frame)) as usize;
        let mut rest = out;
        while !rest.is_empty() {
            let count = (rest.len() + skip).div_ceil(frame_len).min(CHUNK_FRAMES);
            let mut channels = [[0; CHUNK_FRAMES]; MAX_CHANNEL_COUNT];
            let until = (frame + count as u64).min(limit);
            if until > frame {
                for (channel, samples) in channels.iter_mut().enumerate() {
                    self.decode_channel(channel, frame, until, samples);
                }
            }
            let mut bytes = [0; CHUNK_FRAMES * MAX_CHANNEL_COUNT * SAMPLE_LEN];
            match self.layout {
                Layout::Stereo => interleave::<2>(&channels, &mut bytes),
                Layout::ThreeChannel => interleave::<3>(&channels, &mut bytes),
            }
            let len = (count * frame_len - skip).min(rest.len());
            let (head, tail) = std::mem::take(&mut rest).split_at_mut(len);
            head.copy_from_slice(&bytes[skip..skip + len]);
            rest = tail;
            frame += count as u64;
            skip = 0;
        }
    }

    /// Writes one channel's samples from `from` to `to`: its track's, or the sum of several,
    /// limited to 16 bits.
    fn decode_channel(&self, channel: usize, from: u64, to: u64, out: &mut [i16; CHUNK_FRAMES]) {
        let is_heard = |track: &&Track| track.channel() == channel && track.reaches(from);
        let mut tracks = self.tracks.iter().filter(is_heard);
        let Some(first) = tracks.next() else { return };
        first.decode(from, to, out);
        let mut others = tracks.peekable();
        if others.peek().is_none() {
            return;
        }
        let mut sums = out.map(i32::from);
        for track in others {
            track.decode(from, to, out);
            sums.iter_mut().zip(&*out).for_each(|(sum, sample)| *sum += i32::from(*sample));
        }
        *out = sums.map(|sum| sum.clamp(i16::MIN.into(), i16::MAX.into()) as i16);
    }
}

/// Writes so many channels as frames.
fn interleave<const COUNT: usize>(
    channels: &[[i16; CHUNK_FRAMES]; MAX_CHANNEL_COUNT],
    bytes: &mut [u8; CHUNK_FRAMES * MAX_CHANNEL_COUNT * SAMPLE_LEN],
) {
    let (samples, _) = bytes.as_chunks_mut::<SAMPLE_LEN>();
    let (frames, _) = samples.as_chunks_mut::<COUNT>();
    for (at, frame) in frames.iter_mut().take(CHUNK_FRAMES).enumerate() {
        *frame = std::array::from_fn(|channel| channels[channel][at].to_le_bytes());
    }
}

/// The RIFF header of a file with this many frames.
fn header(layout: Layout, frame_count: u64) -> [u8; HEADER_LEN] {
    let frame_len = layout.frame_len() as u32;
    let data_len = frame_count.min(layout.max_frames()) as u32 * frame_len;
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
    put(&(layout.channel_count() as u16).to_le_bytes());
    put(&CLOCK_RATE.to_le_bytes());
    put(&(CLOCK_RATE * frame_len).to_le_bytes());
    put(&(frame_len as u16).to_le_bytes());
    put(&16u16.to_le_bytes());
    put(b"data");
    put(&data_len.to_le_bytes());
    header
}

#[cfg(test)]
mod tests;
