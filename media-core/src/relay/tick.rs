//! What happens by time: a tick of 20 ms sends digits and playback, and visits a tenth of the legs
//! for silence, reports and recordings, so that neither a packet nor a tick ever scans all legs.
//! Mixes are sent in four groups, a quarter of a tick apart, so that packets need not wait for all
//! of them.

use std::time::{Duration, Instant};

use super::{Event, LegId, Relay};
use crate::codec::CLOCK_RATE;
use crate::drops::DropReason;
use crate::latch::RELATCH_SILENCE;
use crate::rtcp::{self, MAX_REPORT_LEN};
use crate::srtp::RTCP_TAIL_LEN;

/// One packet of playback.
const TICK: Duration = Duration::from_millis(20);
/// Samples of a tick.
pub(super) const TICK_SAMPLES: usize = CLOCK_RATE as usize / 50;
/// Groups of mixes.
pub(super) const GROUP_COUNT: usize = 4;
/// From one group to the next.
const QUARTER: Duration = Duration::from_millis(5);
/// Quarters of ticks that are made up for when the shell comes late; beyond, time is skipped.
const MAX_LATE_QUARTERS: u32 = 20;
/// Ticks between two visits of a leg: 200 ms.
const SLICE_COUNT: u32 = 10;
/// Visits between two flushes of a recording: 800 ms, so that a killed process loses less than a
/// second.
const FLUSH_VISITS: u8 = 4;
/// Time without a packet after which a leg's background is played again: pauses of speech and lost
/// packets are shorter.
const LULL: Duration = Duration::from_millis(500);
/// Mean time between two reports. RFC 3550 §6.3.1 with two members: the minimum, randomised;
/// reconsideration changes nothing.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);

impl Relay {
    /// When `handle_timeout` is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.next_tick
    }

    /// Fires each timer that is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        let Some(mut due) = self.next_tick else { return };
        let mut late_quarters = 0;
        while due <= now && late_quarters < MAX_LATE_QUARTERS {
            let group = self.group;
            if group == 0 {
                self.tick(now);
            }
            self.send_mixes(now, group);
            let is_whole = group == 0 && self.mixes.iter().all(Vec::is_empty);
            due += if is_whole { TICK } else { QUARTER };
            late_quarters += if is_whole { GROUP_COUNT as u32 } else { 1 };
            self.group = if is_whole { 0 } else { (group + 1) % GROUP_COUNT };
        }
        self.next_tick = Some(if due <= now { now + QUARTER } else { due });
    }

    /// Starts ticking with the first leg.
    pub(super) fn arm(&mut self, now: Instant) {
        self.next_tick.get_or_insert(now + TICK);
    }

    fn tick(&mut self, now: Instant) {
        self.tick_handshakes(now);
        self.tick_digits(now);
        self.tick_playback(now);
        self.tick_noise(now);
        self.slice = (self.slice + 1) % SLICE_COUNT;
        let mut index = self.slice;
        while index < self.legs.place_count() {
            self.visit_leg(now, index);
            self.visit_recording(now, index);
            index += SLICE_COUNT;
        }
    }

    fn visit_leg(&mut self, now: Instant, index: u32) {
        self.watch_both_ways(now, index);
        let Some((_, leg)) = self.legs.at_mut(index) else { return };
        let silent_for = leg.last_received.map(|last| now.saturating_duration_since(last));
        if silent_for.is_some_and(|silent| silent >= RELATCH_SILENCE)
            && leg.latch.as_mut().is_some_and(|latch| latch.loosen())
        {
            self.queues.disconnect(leg.rtp_socket());
        }
        let talks = leg.is_both_ways();
        if let Some(watch) = &mut leg.watch {
            if !talks {
                watch.since = now;
            }
            let alive = leg.last_received.max(leg.reports.heard_at);
            let since = alive.map_or(watch.since, |last| last.max(watch.since));
            if now.saturating_duration_since(since) >= watch.limit {
                leg.watch = None;
                self.drops.note(self.queues.event(Event::NoMedia(leg.id)));
            }
        }
        let is_hushed = leg.hush.as_ref().is_some_and(|hush| hush.is_within(now, LULL));
        let is_idle = leg.playing.is_none() && !is_hushed && leg.sender.is_idle(now, LULL);
        let lull = leg.background.filter(|_| is_idle);
        let id = leg.id;
        if leg.remote.is_some() && leg.reports.next <= now {
            // RFC 3550 §6.3.1: between a half and one and a half of the interval.
            leg.reports.next =
                now + REPORT_INTERVAL / 2 + REPORT_INTERVAL.mul_f64(self.random.next_fraction());
            self.send_report(now, index, false);
        }
        self.visit_softphone(now, index);
        if let Some(tone) = lull {
            self.play(now, id, tone);
        }
    }

    /// Tells, once, of a leg that sends nothing while it hears another that does.
    fn watch_both_ways(&mut self, now: Instant, index: u32) {
        let Some(leg) = self.legs.at(index).filter(|leg| leg.is_mute(now)) else { return };
        let speaks = |other: &LegId| {
            self.legs
                .get(other.index, other.generation)
                .is_some_and(|other| other.is_both_ways() && other.speaks(now))
        };
        if !leg.hears.as_slice().iter().any(speaks) {
            return;
        }
        let id = leg.id;
        if let Some((_, leg)) = self.legs.at_mut(index)
            && let Some(watch) = &mut leg.watch
        {
            watch.is_one_way_told = true;
        }
        self.drops.note(self.queues.event(Event::OneWayAudio(id)));
    }

    /// Sends SR or RR with SDES, and with BYE when the leg says goodbye.
    pub(super) fn send_report(&mut self, now: Instant, index: u32, goodbye: bool) {
        let ntp = self.ntp(now);
        let Some((_, leg)) = self.legs.at_mut(index) else { return };
        let reception = leg.measure();
        let Some((socket, remote)) = leg.rtcp_path() else { return };
        let mut datagram = [0; MAX_REPORT_LEN + RTCP_TAIL_LEN];
        let Some(room) = datagram.first_chunk_mut() else { return };
        let mut len = rtcp::write(&leg.report(now, ntp, reception, &self.cname, goodbye), room);
        if let Some(copies) = &mut self.copies {
            self.drops.note(copies.add(leg.id, true, (socket, remote), &datagram[..len]));
        }
        if let Some(outbound) = &mut leg.outbound {
            match outbound.protect_rtcp(&mut datagram, len) {
                Ok(protected) => len = protected,
                Err(_) => return self.drops.count(DropReason::Unprotectable),
            }
        }
        self.drops.note(self.queues.transmit(socket, remote, &datagram[..len]));
    }

    /// Flushes the recording with this index, when its time has come; waits while the shell is
    /// behind.
    fn visit_recording(&mut self, now: Instant, index: u32) {
        let Some((generation, tape)) = self.recordings.at_mut(index) else { return };
        tape.visits += 1;
        if tape.visits >= FLUSH_VISITS && !self.queues.is_full() {
            tape.visits = 0;
            let id = super::RecordingId { index, generation };
            self.queues.record(id, |buffer| tape.recording.flush(now, buffer));
        }
    }

    /// Microseconds since the beginning: reckoned once for all packets of a moment.
    pub(super) fn micros(&mut self, now: Instant) -> u64 {
        if self.told.0 != now {
            self.told = (now, now.saturating_duration_since(self.started).as_micros() as u64);
        }
        self.told.1
    }

    /// Time in NTP's format; its zero is arbitrary (RFC 3550 §6.4.1: elapsed time will do).
    pub(super) fn ntp(&self, now: Instant) -> u64 {
        // One second ahead, because a last report of 0 means that there was none.
        let elapsed = now.saturating_duration_since(self.started) + Duration::from_secs(1);
        (elapsed.as_secs() << 32) | ((u64::from(elapsed.subsec_nanos()) << 32) / 1_000_000_000)
    }
}
