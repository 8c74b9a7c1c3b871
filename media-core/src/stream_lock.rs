//! Which stream of plain RTP a leg is heard by: while one flows, packets of another SSRC from the
//! same address and port are a forgery's, for nothing in plain RTP is authentic. A party may change
//! its SSRC (RFC 3550 §8.2): the old stream stops then, and the new one is heard.

use std::time::{Duration, Instant};

use crate::latch::RELATCH_SILENCE;
use crate::rtp::Ssrc;

/// Packets in a row that another stream has to show.
const RIVAL_COUNT: u8 = 3;
/// Packets of the known stream that must be missing before another one is heard, and the bounds of
/// that time in milliseconds.
const MISSING_COUNT: u32 = 3;
const SHORTEST_GAP: u32 = 60;
const LONGEST_GAP: u32 = 300;

#[derive(Debug, Clone, Copy)]
struct Stream {
    ssrc: Ssrc,
    last: Instant,
    /// Milliseconds of audio of its last packet.
    audio_ms: u32,
}

impl Stream {
    /// Whether so little time has passed without a packet that it has not stopped.
    fn flows(&self, now: Instant) -> bool {
        let gap = self.audio_ms.saturating_mul(MISSING_COUNT).clamp(SHORTEST_GAP, LONGEST_GAP);
        now.saturating_duration_since(self.last) < Duration::from_millis(gap.into())
    }
}

/// The stream that is known, and another one that came while it was silent.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct StreamLock {
    known: Option<Stream>,
    rival: Option<(Stream, u8)>,
}

impl StreamLock {
    /// Whether a packet with so many milliseconds of audio may be heard. The known stream is heard
    /// again whenever it comes back, so that no forgery takes its place; another one replaces it
    /// after a long silence.
    pub fn admits(&mut self, now: Instant, ssrc: Ssrc, audio_ms: u32) -> bool {
        let stream = Stream { ssrc, last: now, audio_ms };
        let Some(known) = self.known.filter(|known| known.ssrc != ssrc) else {
            *self = StreamLock { known: Some(stream), rival: None };
            return true;
        };
        let count = match self.rival {
            Some((rival, count)) if rival.ssrc == ssrc => count.saturating_add(1),
            Some((rival, RIVAL_COUNT..)) if rival.flows(now) => return false,
            _ => 1,
        };
        self.rival = Some((stream, count));
        if count < RIVAL_COUNT || known.flows(now) {
            return false;
        }
        if now.saturating_duration_since(known.last) >= RELATCH_SILENCE {
            *self = StreamLock { known: Some(stream), rival: None };
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    /// Packets of 20 ms: when, of whom, whether it is heard.
    #[track_caller]
    fn check(packets: &[(u64, u32, bool)]) {
        check_of(20, packets);
    }

    #[track_caller]
    fn check_of(packet_ms: u32, packets: &[(u64, u32, bool)]) {
        let mut lock = StreamLock::default();
        for (step, (ms, ssrc, is_heard)) in packets.iter().enumerate() {
            let now = clock::start() + Duration::from_millis(*ms);
            assert_eq!(lock.admits(now, Ssrc(*ssrc), packet_ms), *is_heard, "step {step}");
        }
    }

    #[test]
    fn a_forgery_beside_a_running_stream_is_not_heard() {
        let packets: Vec<_> = (0..100)
            .flat_map(|n| [(n * 20, 1, true), (n * 20 + 1, 9, false), (n * 20 + 2, 9, false)])
            .collect();
        check(&packets);
        // Nor where the shell stood still for a while and all comes at once, the forgery first.
        check(&[
            (0, 1, true),
            (500, 9, false),
            (500, 1, true),
            (500, 9, false),
            (500, 9, false),
            (500, 1, true),
            (500, 9, false),
        ]);
        // Nor between long packets.
        let long: Vec<_> = (0..20)
            .flat_map(|n| {
                (0..6).map(move |k| (n * 120 + k * 20, if k == 0 { 1 } else { 9 }, k == 0))
            })
            .collect();
        check_of(120, &long);
    }

    #[test]
    fn a_change_is_heard_soon_after_the_old_stream_stopped() {
        check(&[(0, 1, true), (20, 2, false), (40, 2, false), (60, 2, true), (80, 2, true)]);
        check(&[(0, 1, true), (100, 2, false), (120, 2, false), (140, 2, true)]);
        check_of(60, &[(0, 1, true), (60, 2, false), (120, 2, false), (180, 2, true)]);
    }

    #[test]
    fn the_known_stream_is_heard_again_whenever_it_comes_back() {
        let mut packets = vec![(0, 1, true)];
        packets.extend((50..100).map(|n| (n * 20, 9, n >= 52)));
        packets.extend((100..110).flat_map(|n| [(n * 20, 1, true), (n * 20, 9, false)]));
        check(&packets);
    }

    #[test]
    fn after_a_change_the_new_stream_is_as_safe_as_the_old_one_was() {
        let mut packets = vec![(0, 1, true), (20, 2, false), (40, 2, false)];
        packets.extend((3..300).flat_map(|n| [(n * 20, 2, true), (n * 20 + 1, 9, false)]));
        // Long after, the old one has lost its right.
        packets.extend([(6000, 2, true), (6001, 1, false), (6002, 1, false), (6003, 1, false)]);
        check(&packets);
    }
}
