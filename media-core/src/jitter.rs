//! One party's audio on its way into a mix: evens out the network's jitter, hides loss, follows the
//! party's clock. Samples lie in a ring by their place in the stream; a frame is taken out every 20
//! ms. It knows no leg and no clock: its time is the frames taken.

mod conceal;

use crate::codec::Law;
use crate::drops::DropReason;
use crate::g711;
use crate::sender::StreamId;
use conceal::{Concealer, FADE};

/// Samples of a frame: 20 ms.
pub(crate) const FRAME: usize = 160;
/// Most samples that wait: 200 ms.
pub(crate) const MAX_DEPTH: usize = 1600;
/// Samples in the ring, a power of two above `MAX_DEPTH`.
const RING: usize = 2048;
/// Marks a sample that was not received; no G.711 byte decodes to it.
const HOLE: i16 = i16::MIN;
/// Waiting time and samples together with which a stream begins to be heard: 40 ms, or a packet and
/// a frame.
const TARGET: u32 = 320;
/// A packet this far behind belongs to another time: 1 s.
const JUMP_BACK: i32 = 8000;
/// Late packets in a row that show a clock that was set back.
const LATE_RUN: u8 = 4;
/// Frames in each of the two spans over which the least depth is observed: 2 s.
const SPAN: u8 = 100;
/// What must always have been left beyond a frame before a frame is left out: 15 ms.
const MARGIN: u32 = 120;
/// Frames between two that are left out.
const SHRINK_GAP: u8 = 10;
/// Frames for which a quiet moment is waited for before a frame is left out.
const QUIET_WAIT: u8 = 50;
/// Mean magnitude below which a frame is quiet, about -42 dBov.
const QUIET_LEVEL: u32 = 256;

/// What the frame taken last holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Frame {
    /// Silence: nothing came yet, or nothing for long.
    Nothing,
    /// At least some audio of the party.
    Received,
    /// Made from what came before.
    Concealed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Waits for enough to begin with, since so many samples.
    Filling {
        waited: u32,
    },
    Playing,
}

/// The buffer of one party.
#[derive(Debug)]
pub(crate) struct Jitter {
    /// The sample at place `n` lies at `n % RING`; from `read` to `write` all are samples or holes.
    ring: [i16; RING],
    read: u32,
    write: u32,
    stream: Option<StreamId>,
    /// Place of a timestamp.
    offset: u32,
    state: State,
    target: u32,
    /// Samples concealed since the buffer ran dry.
    dry: u32,
    late_run: u8,
    depths: Depths,
    frame: Frame,
    frame_start: u32,
    /// Holds the frame taken last.
    concealer: Concealer,
}

/// The least depth that was left after a frame, in the span before and in this one.
#[derive(Debug)]
struct Depths {
    before: u32,
    now: u32,
    frame_count: u8,
    /// Frames since one was left out.
    since_shrink: u8,
    /// Frames for which one could have been left out.
    waited_quiet: u8,
}

impl Depths {
    fn new() -> Depths {
        Depths { before: 0, now: u32::MAX, frame_count: 0, since_shrink: 0, waited_quiet: 0 }
    }

    fn observe(&mut self, left: u32) {
        self.now = self.now.min(left);
        self.frame_count += 1;
        self.since_shrink = self.since_shrink.saturating_add(1);
        if self.frame_count == SPAN {
            (self.before, self.now, self.frame_count) = (self.now, u32::MAX, 0);
        }
    }

    /// Whether a frame more than needed has waited all the time.
    fn is_deep(&self) -> bool {
        self.before.min(self.now) >= FRAME as u32 + MARGIN && self.since_shrink >= SHRINK_GAP
    }

    fn shrink(&mut self) {
        self.before = self.before.saturating_sub(FRAME as u32);
        self.now = self.now.saturating_sub(FRAME as u32);
        (self.since_shrink, self.waited_quiet) = (0, 0);
    }
}

impl Jitter {
    pub fn new() -> Jitter {
        Jitter {
            ring: [HOLE; RING],
            read: 0,
            write: 0,
            stream: None,
            offset: 0,
            state: State::Filling { waited: 0 },
            target: TARGET,
            dry: 0,
            late_run: 0,
            depths: Depths::new(),
            frame: Frame::Nothing,
            frame_start: 0,
            concealer: Concealer::new(),
        }
    }

    /// Samples and holes that wait.
    pub fn depth(&self) -> u32 {
        self.write.wrapping_sub(self.read)
    }

    /// The place after the last sample that came.
    pub fn end(&self) -> u32 {
        self.write
    }

    /// Takes one packet's audio in.
    ///
    /// # Errors
    /// `MixLate`: its time is over, it was left out. `MixFull`: it was taken, and the oldest audio
    /// given up for it.
    pub fn push(
        &mut self,
        stream: StreamId,
        timestamp: u32,
        law: Law,
        audio: &[u8],
    ) -> Result<(), DropReason> {
        let audio = &audio[audio.len().saturating_sub(MAX_DEPTH)..];
        let len = audio.len() as u32;
        if len == 0 {
            return Ok(());
        }
        self.target = TARGET.max(len + FRAME as u32);
        let place = self.place(stream, timestamp, len)?;
        let end = place.wrapping_add(len);
        let is_full = is_after(end, self.read.wrapping_add(MAX_DEPTH as u32));
        if is_full {
            self.read = end.wrapping_sub(MAX_DEPTH as u32);
            if is_after(self.read, self.write) {
                self.write = self.read;
            }
        }
        while is_after(place, self.write) {
            self.ring[self.write as usize % RING] = HOLE;
            self.write = self.write.wrapping_add(1);
        }
        let late = if is_after(self.read, place) { self.read.wrapping_sub(place) } else { 0 };
        let audio = audio.get(late as usize..).unwrap_or_default();
        let start = place.wrapping_add(late) as usize % RING;
        let (head, tail) = audio.split_at(audio.len().min(RING - start));
        let table = g711::decode_table(law);
        let decode = |bytes: &[u8], samples: &mut [i16]| {
            for (sample, byte) in samples.iter_mut().zip(bytes) {
                *sample = table[usize::from(*byte)];
            }
        };
        decode(head, &mut self.ring[start..]);
        decode(tail, &mut self.ring);
        if is_after(end, self.write) {
            self.write = end;
        }
        if is_full { Err(DropReason::MixFull) } else { Ok(()) }
    }

    /// Where a packet belongs. Another stream, a jump of the clock and a stream after silence go on
    /// where the buffer ends.
    fn place(&mut self, stream: StreamId, timestamp: u32, len: u32) -> Result<u32, DropReason> {
        let place = timestamp.wrapping_add(self.offset);
        let ahead = place.wrapping_sub(self.write) as i32;
        let is_jump =
            self.stream != Some(stream) || !(-JUMP_BACK..=MAX_DEPTH as i32).contains(&ahead);
        let is_silent = self.state == State::Playing && self.depth() == 0 && self.dry >= FADE;
        if !is_jump && !is_after(place.wrapping_add(len), self.read) {
            self.late_run += 1;
            if self.late_run < LATE_RUN {
                return Err(DropReason::MixLate);
            }
        } else if !is_jump && !is_silent {
            self.late_run = 0;
            if self.depth() == 0 && ahead > 0 {
                // What was lost is what was concealed meanwhile.
                self.read = self.read.wrapping_add(self.dry.min(ahead as u32));
                self.write = self.read;
            }
            return Ok(place);
        }
        self.late_run = 0;
        self.stream = Some(stream);
        self.offset = self.write.wrapping_sub(timestamp);
        if is_silent {
            self.state = State::Filling { waited: 0 };
            self.depths = Depths::new();
        }
        Ok(self.write)
    }

    /// Takes the next frame out; `frame` then shows it.
    pub fn pop(&mut self) {
        self.frame_start = self.read;
        self.concealer.begin_frame();
        if let State::Filling { waited } = self.state {
            if self.depth() == 0 || self.depth() + waited < self.target {
                let waited = if self.depth() == 0 { 0 } else { waited + FRAME as u32 };
                self.state = State::Filling { waited };
                self.concealer.frame_mut().fill(0);
                self.frame = Frame::Nothing;
                return;
            }
            self.state = State::Playing;
            self.dry = 0;
        }
        self.depths.observe(self.depth().saturating_sub(FRAME as u32));
        if !self.shrink() {
            self.fill();
        }
    }

    /// The frame taken last, and the place of its first sample.
    pub fn frame(&self) -> (Frame, u32, &[i16; FRAME]) {
        (self.frame, self.frame_start, self.concealer.frame())
    }

    /// Copies what waits, from the place `from` on if that is later, and returns how many samples;
    /// holes are silent.
    pub fn waiting(&self, from: Option<u32>, samples: &mut [i16; MAX_DEPTH]) -> usize {
        let start = from.filter(|from| is_after(*from, self.read)).unwrap_or(self.read);
        let count =
            if is_after(self.write, start) { self.write.wrapping_sub(start) as usize } else { 0 };
        for (offset, sample) in samples[..count].iter_mut().enumerate() {
            let waiting = self.ring[start.wrapping_add(offset as u32) as usize % RING];
            *sample = if waiting == HOLE { 0 } else { waiting };
        }
        count
    }

    fn fill(&mut self) {
        let count = self.depth().min(FRAME as u32) as usize;
        let frame = self.concealer.frame_mut();
        copy(&self.ring, self.read, &mut frame[..count]);
        frame[count..].fill(HOLE);
        self.read = self.read.wrapping_add(count as u32);
        let received =
            FRAME - frame.iter().map(|sample| usize::from(*sample == HOLE)).sum::<usize>();
        if received < FRAME || self.concealer.is_concealing() {
            for (at, sample) in self.concealer.frame().to_owned().into_iter().enumerate() {
                self.concealer.put(at, Some(sample).filter(|sample| *sample != HOLE));
            }
        }
        self.dry = match count {
            FRAME => 0,
            0 => self.dry.saturating_add(FRAME as u32),
            _ => (FRAME - count) as u32,
        };
        self.frame = match received {
            0 if self.dry > FADE => Frame::Nothing,
            0 => Frame::Concealed,
            _ => Frame::Received,
        };
    }

    /// Leaves a frame out if one more than needed waits, by blending it into the next one. Returns
    /// whether it did.
    fn shrink(&mut self) -> bool {
        if !self.depths.is_deep()
            || self.depth() < 2 * FRAME as u32
            || self.concealer.is_concealing()
        {
            return false;
        }
        let (mut first, mut second) = ([0; FRAME], [0; FRAME]);
        copy(&self.ring, self.read, &mut first);
        copy(&self.ring, self.read.wrapping_add(FRAME as u32), &mut second);
        let both = || first.iter().chain(&second);
        let is_quiet = both().map(|sample| u32::from(sample.unsigned_abs())).sum::<u32>()
            < QUIET_LEVEL * 2 * FRAME as u32;
        self.depths.waited_quiet = self.depths.waited_quiet.saturating_add(1);
        if both().any(|sample| *sample == HOLE)
            || (!is_quiet && self.depths.waited_quiet < QUIET_WAIT)
        {
            return false;
        }
        for (at, sample) in self.concealer.frame_mut().iter_mut().enumerate() {
            let (from, to) = (i32::from(first[at]), i32::from(second[at]));
            *sample = ((from * (FRAME - at) as i32 + to * at as i32) / FRAME as i32) as i16;
        }
        self.read = self.read.wrapping_add(2 * FRAME as u32);
        self.depths.shrink();
        self.dry = 0;
        self.frame = Frame::Received;
        true
    }
}

/// Copies samples from this place on.
fn copy(ring: &[i16; RING], place: u32, samples: &mut [i16]) {
    let start = place as usize % RING;
    let head = samples.len().min(RING - start);
    let (first, second) = samples.split_at_mut(head);
    first.copy_from_slice(&ring[start..start + head]);
    second.copy_from_slice(&ring[..second.len()]);
}

/// Whether place `a` lies after place `b`.
pub(crate) fn is_after(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) > 0
}

#[cfg(test)]
mod tests;
