//! Recordings of the shard: which leg is recorded in which channel of which file, and since when.

use std::time::{Duration, Instant};

use super::{LegId, RecordingId, Relay};
use crate::recording::{Channel, Layout, Recording};

/// A running recording.
pub(super) struct Tape {
    pub recording: Recording,
    /// Visits since the last flush.
    pub visits: u8,
}

impl Relay {
    /// Begins a recording without legs, which ends by `stop_recording` only. `None` if there are as
    /// many as there may be legs.
    pub fn start_recording(&mut self, now: Instant, layout: Layout) -> Option<RecordingId> {
        let mut id = RecordingId { index: self.free_recordings.pop()?, generation: 0 };
        self.recordings.insert(id.index, |generation| {
            id.generation = generation;
            Tape { recording: Recording::new(now, layout), visits: 0 }
        })?;
        Some(id)
    }

    /// Records the leg in this channel from now on, and no longer in another recording; `None`
    /// takes it out of the recording, in which its part so far stays.
    pub fn record_leg(
        &mut self,
        now: Instant,
        recording: RecordingId,
        leg: LegId,
        channel: Option<Channel>,
    ) {
        if self.recordings.get(recording.index, recording.generation).is_none() {
            return;
        }
        let Some(open) = self.legs.get(leg.index, leg.generation) else { return };
        let law = open.law();
        if channel.is_some() || open.tap.is_some_and(|(id, _)| id == recording) {
            self.leave_recording(leg);
        }
        let Some(channel) = channel else { return };
        if let Some(tape) = self.recordings.get_mut(recording.index, recording.generation)
            && let Some(open) = self.legs.get_mut(leg.index, leg.generation)
        {
            open.tap = tape.recording.add_track(now, channel, law).map(|track| (recording, track));
        }
    }

    /// Takes a leg out of whatever records it.
    pub(super) fn leave_recording(&mut self, leg: LegId) {
        let Some((id, track)) =
            self.legs.get_mut(leg.index, leg.generation).and_then(|leg| leg.tap.take())
        else {
            return;
        };
        if let Some(tape) = self.recordings.get_mut(id.index, id.generation) {
            tape.recording.end_track(track);
        }
    }

    /// Gives the track of one leg to another.
    pub(super) fn hand_over_track(&mut self, from: LegId, to: LegId) {
        self.leave_recording(to);
        let Some((old, new)) =
            self.legs.pair_mut((from.index, from.generation), (to.index, to.generation))
        else {
            return;
        };
        new.tap = old.tap.take();
    }

    /// What comes is silence until `resume_recording`; time goes on.
    pub fn pause_recording(&mut self, _now: Instant, recording: RecordingId) {
        if let Some(tape) = self.recordings.get_mut(recording.index, recording.generation) {
            tape.recording.pause();
        }
    }

    /// Records again after a pause.
    pub fn resume_recording(&mut self, _now: Instant, recording: RecordingId) {
        if let Some(tape) = self.recordings.get_mut(recording.index, recording.generation) {
            tape.recording.resume();
        }
    }

    /// Writes what is left; `Output::Finish` comes last. Says how long the file will be, in bytes
    /// and in time; `None` if it was stopped before.
    pub fn stop_recording(
        &mut self,
        now: Instant,
        recording: RecordingId,
    ) -> Option<(u64, Duration)> {
        let mut tape = self.recordings.remove(recording.index, recording.generation)?;
        self.free_recordings.push(recording.index);
        self.queues.record(recording, |buffer| tape.recording.flush(now, buffer));
        let (len, duration) = (tape.recording.file_len(now), tape.recording.duration(now));
        self.queues.finish(recording, len, duration);
        Some((len, duration))
    }
}
