//! Per-SSRC state: packet indices, rollover estimation and replay windows (RFC 3711 §3.3.1, §3.3.2,
//! appendix A).

use std::mem::offset_of;

use super::SrtpError;
use crate::prefetch::prefetch_start;

/// The most SSRCs of one direction. Two occur in practice: before and after the peer moves a call
/// to another of its hosts.
pub const MAX_STREAM_COUNT: usize = 4;

/// Packets behind the newest one that are still accepted.
const WINDOW_LEN: u64 = u128::BITS as u64;
/// RTP packet indices have 48 bits (RFC 3711 §3.2.1).
const MAX_RTP_INDEX: u64 = (1 << 48) - 1;
/// SRTCP packet indices have 31 bits (RFC 3711 §3.4).
const MAX_RTCP_INDEX: u64 = (1 << 31) - 1;

/// The newest packet index and which of the `WINDOW_LEN` indices up to it were used.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Window {
    newest: u64,
    /// Bit `n` stands for the index `newest - n`; zero before the first packet.
    used: u128,
}

impl Window {
    /// The likeliest index of an RTP sequence number: the first packet is taken to be in rollover
    /// period 0.
    pub(super) fn estimate(&self, sequence: u16) -> Result<u64, SrtpError> {
        let sequence = u64::from(sequence);
        if self.used == 0 {
            return Ok(sequence);
        }
        let (rollovers, newest) = (self.newest >> 16, self.newest & 0xffff);
        let rollovers = if newest < 0x8000 && sequence > newest + 0x8000 {
            rollovers.checked_sub(1).ok_or(SrtpError::TooOld)?
        } else if newest >= 0x8000 && newest - 0x8000 > sequence {
            rollovers + 1
        } else {
            rollovers
        };
        let index = rollovers << 16 | sequence;
        if index > MAX_RTP_INDEX { Err(SrtpError::KeyExhausted) } else { Ok(index) }
    }

    /// The index of the next outgoing SRTCP packet.
    pub(super) fn next_rtcp(&self) -> Result<u64, SrtpError> {
        match (self.used, self.newest) {
            (0, _) => Ok(0),
            (_, MAX_RTCP_INDEX) => Err(SrtpError::KeyExhausted),
            (_, newest) => Ok(newest + 1),
        }
    }

    /// Refuses an index that was used or has left the window.
    pub(super) fn check(&self, index: u64) -> Result<(), SrtpError> {
        if self.used == 0 || index > self.newest {
            return Ok(());
        }
        match self.newest - index {
            age if age >= WINDOW_LEN => Err(SrtpError::TooOld),
            age if self.used >> age & 1 == 1 => Err(SrtpError::Replayed),
            _ => Ok(()),
        }
    }

    /// Marks an index that passed `check` and authentication.
    pub(super) fn mark(&mut self, index: u64) {
        if self.used == 0 || index > self.newest {
            let step = if self.used == 0 { WINDOW_LEN } else { index - self.newest };
            self.used = if step < WINDOW_LEN { self.used << step } else { 0 } | 1;
            self.newest = index;
        } else if self.newest - index < WINDOW_LEN {
            self.used |= 1 << (self.newest - index);
        }
    }
}

/// The state of one SSRC.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Stream {
    ssrc: u32,
    /// The table's `uses` when this stream was last used; 0 marks a free slot.
    last_use: u64,
    pub(super) rtp: Window,
    pub(super) rtcp: Window,
}

/// The SSRCs of one direction.
#[derive(Debug, Clone, Default)]
#[repr(C)]
pub(super) struct Streams {
    uses: u64,
    slots: [Stream; MAX_STREAM_COUNT],
}

impl Streams {
    /// Asks for the memory of the first stream, which is the only one of most legs.
    pub(super) fn prefetch(&self) {
        prefetch_start(self, offset_of!(Streams, slots) + size_of::<Stream>());
    }

    /// The state of an SSRC; that of a fresh one when it is unknown.
    pub(super) fn state(&self, ssrc: u32) -> Stream {
        self.slots
            .iter()
            .find(|slot| slot.last_use != 0 && slot.ssrc == ssrc)
            .copied()
            .unwrap_or_default()
    }

    /// Whether the SSRC is known or a slot is free.
    pub(super) fn has_room_for(&self, ssrc: u32) -> bool {
        self.slots.iter().any(|slot| slot.last_use == 0 || slot.ssrc == ssrc)
    }

    /// The stored state of an SSRC. A new one takes the slot that was unused for longest.
    pub(super) fn touch(&mut self, ssrc: u32) -> &mut Stream {
        self.uses += 1;
        let known = self.slots.iter().position(|slot| slot.last_use != 0 && slot.ssrc == ssrc);
        let oldest = || {
            (0..MAX_STREAM_COUNT)
                .min_by_key(|at| self.slots[*at].last_use)
                .expect("the table has slots")
        };
        let at = known.unwrap_or_else(oldest);
        let slot = &mut self.slots[at];
        if known.is_none() {
            *slot = Stream { ssrc, ..Stream::default() };
        }
        slot.last_use = self.uses;
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(newest: u64) -> Window {
        let mut window = Window::default();
        window.mark(newest);
        window
    }

    #[test]
    fn estimates_the_nearest_rollover_period() {
        #[track_caller]
        fn check(newest: u64, sequence: u16, expected: Result<u64, SrtpError>) {
            assert_eq!(window(newest).estimate(sequence), expected);
        }
        assert_eq!(Window::default().estimate(0xffff), Ok(0xffff));
        check(5, 6, Ok(6));
        check(0xffff, 0, Ok(0x1_0000));
        check(0x1_0000, 0xffff, Ok(0xffff));
        check(0x3_0005, 0xfff0, Ok(0x2_fff0));
        check(0x3_fff0, 0x0005, Ok(0x4_0005));
        check(0, 0x8000, Ok(0x8000));
        check(0, 0x8001, Err(SrtpError::TooOld));
        check(0x1_8000, 0, Ok(0x1_0000));
        check(0x1_8001, 0, Ok(0x2_0000));
        check(MAX_RTP_INDEX, 0, Err(SrtpError::KeyExhausted));
    }

    #[test]
    fn window_accepts_each_index_once_within_its_length() {
        let mut window = window(1000);
        assert_eq!(window.check(1000), Err(SrtpError::Replayed));
        assert_eq!(window.check(1000 - 128), Err(SrtpError::TooOld));
        assert_eq!(window.check(1000 - 127), Ok(()));
        window.mark(1000 - 127);
        assert_eq!(window.check(1000 - 127), Err(SrtpError::Replayed));
        window.mark(1003);
        assert_eq!(window.check(1000), Err(SrtpError::Replayed));
        assert_eq!(window.check(1001), Ok(()));
        window.mark(1 << 40);
        assert_eq!(window.check(1003), Err(SrtpError::TooOld));
        assert_eq!(window.check((1 << 40) - 1), Ok(()));
    }

    #[test]
    fn rtcp_indices_count_from_zero_and_end() {
        assert_eq!(Window::default().next_rtcp(), Ok(0));
        assert_eq!(window(0).next_rtcp(), Ok(1));
        assert_eq!(window(MAX_RTCP_INDEX).next_rtcp(), Err(SrtpError::KeyExhausted));
    }

    #[test]
    fn a_new_ssrc_takes_the_slot_unused_for_longest() {
        let mut streams = Streams::default();
        for ssrc in 0..MAX_STREAM_COUNT as u32 {
            assert!(streams.has_room_for(ssrc));
            streams.touch(ssrc).rtp.mark(7);
        }
        assert!(!streams.has_room_for(99));
        streams.touch(0);
        streams.touch(99).rtp.mark(8);
        assert_eq!(streams.state(0).rtp.check(7), Err(SrtpError::Replayed));
        assert_eq!(streams.state(1).rtp.check(7), Ok(()));
        assert_eq!(streams.state(99).rtp.check(8), Err(SrtpError::Replayed));
    }
}
