//! The call's recording: started at the bridge or later, paused and resumed, and final when its
//! file is. Pauses are silence in its time.

use super::Call;
use super::context::Context;
use super::shard::Resources;
use crate::control::{ControlRefusal, RecordingState};
use crate::event::{MilestoneKind, Output, Pause, RecordedFile, RecordingResult, RecordingWritten};
use crate::outcome::LegName;
use media_core::relay::{Channel, Layout, RecordingId};
use std::time::{Duration, Instant};

/// Most pauses of one recording.
const MAX_PAUSE_COUNT: usize = 1_000;
const NOTHING: RecordingWritten =
    RecordingWritten { is_whole: false, duration: Some(Duration::ZERO) };

/// The recording of one call, from its order to its file.
pub struct Tape {
    pub layout: Layout,
    /// File name, once it is to be recorded.
    pub name: Option<String>,
    /// The relay's recording, until its file is final.
    open: Option<RecordingId>,
    started_at: Option<Instant>,
    paused_at: Option<Instant>,
    pauses: Vec<Pause>,
    /// Who is recorded where now.
    parties: Vec<(LegName, Channel)>,
    /// What will come of it, or did.
    result: Option<RecordingResult>,
    /// How much of it was written, once that is known.
    written: Option<RecordingWritten>,
}

impl Tape {
    pub fn new(layout: Layout, name: Option<String>) -> Tape {
        let (pauses, parties) = (Vec::new(), Vec::new());
        Tape {
            layout,
            name,
            open: None,
            started_at: None,
            paused_at: None,
            pauses,
            parties,
            result: None,
            written: None,
        }
    }

    /// Whether its file is not final.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// The file, told once.
    pub fn take_result(&mut self) -> Option<RecordingResult> {
        self.result.take()
    }

    /// How much of it has reached the disk, once that is known.
    pub fn written(&self) -> Option<RecordingWritten> {
        self.written
    }

    /// Ends the pause that lasts.
    fn end_pause(&mut self, at: Instant) {
        let (Some(started), Some(paused)) = (self.started_at, self.paused_at.take()) else {
            return;
        };
        let since = |moment: Instant| moment.saturating_duration_since(started);
        self.pauses.push(Pause { from: since(paused), to: since(at) });
    }

    fn result_of(&self, file_len: u64, duration: Duration) -> RecordingResult {
        let file_name = self.name.clone().unwrap_or_default();
        let pauses = self
            .pauses
            .iter()
            .map(|pause| Pause { from: pause.from.min(duration), to: pause.to.min(duration) });
        let pauses = pauses.filter(|pause| pause.from < pause.to).collect();
        RecordingResult { file_name, duration, file_len, pauses }
    }
}

impl Call {
    pub(super) fn recording_state(&self) -> RecordingState {
        match (self.tape.open, self.tape.paused_at) {
            (None, _) => RecordingState::Off,
            (Some(_), None) => RecordingState::Running,
            (Some(_), Some(_)) => RecordingState::Paused,
        }
    }

    pub(super) fn is_recording_paused(&self) -> bool {
        self.recording_state() == RecordingState::Paused
    }

    /// Starts the recording whose name is set; `false` without room for it.
    pub(super) fn start_recording(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(file_name) = self.tape.name.clone() else { return false };
        let Some(recording) = cx.shard.relay.start_recording(cx.now, self.tape.layout) else {
            self.tape.written = Some(NOTHING);
            cx.milestone(None, MilestoneKind::RecordingFailed, None, None);
            return false;
        };
        cx.shard.recordings.insert(Resources::recording_key(recording), cx.call);
        self.tape.open = Some(recording);
        self.tape.started_at = Some(cx.now);
        cx.shard.output.push_back(Output::OpenRecording { recording, file_name });
        self.arrange(cx);
        self.tell(cx, None, MilestoneKind::RecordingStarted);
        true
    }

    pub(super) fn record_from_now(
        &mut self,
        cx: &mut Context<'_>,
        file_name: String,
    ) -> Result<(), ControlRefusal> {
        if self.tape.started_at.is_some() {
            return Err(ControlRefusal::AlreadyRecording);
        }
        self.tape.name = Some(file_name);
        if self.start_recording(cx) {
            return Ok(());
        }
        self.tape.name = None;
        Err(ControlRefusal::NoCapacity)
    }

    pub(super) fn pause_recording(&mut self, cx: &mut Context<'_>) -> Result<(), ControlRefusal> {
        let recording = self.tape.open.ok_or(ControlRefusal::NotRecording)?;
        if self.is_recording_paused() {
            return Ok(());
        }
        if self.tape.pauses.len() >= MAX_PAUSE_COUNT {
            return Err(ControlRefusal::NoCapacity);
        }
        cx.shard.relay.pause_recording(cx.now, recording);
        self.tape.paused_at = Some(cx.now);
        self.tell(cx, None, MilestoneKind::RecordingPaused);
        Ok(())
    }

    pub(super) fn resume_recording(&mut self, cx: &mut Context<'_>) -> Result<(), ControlRefusal> {
        let recording = self.tape.open.ok_or(ControlRefusal::NotRecording)?;
        if !self.is_recording_paused() {
            return Ok(());
        }
        cx.shard.relay.resume_recording(cx.now, recording);
        self.tape.end_pause(cx.now);
        self.tell(cx, None, MilestoneKind::RecordingResumed);
        Ok(())
    }

    /// Lets these be recorded from now on, and nobody else.
    pub(super) fn record_parties(&mut self, cx: &mut Context<'_>, wanted: Vec<(LegName, Channel)>) {
        let Some(recording) = self.tape.open else { return };
        let before = std::mem::take(&mut self.tape.parties);
        for (leg, _) in
            before.iter().filter(|(leg, _)| wanted.iter().all(|(other, _)| other != leg))
        {
            cx.shard.relay.record_leg(cx.now, recording, self.media(*leg), None);
        }
        for (leg, channel) in wanted.iter().filter(|each| !before.contains(each)) {
            cx.shard.relay.record_leg(cx.now, recording, self.media(*leg), Some(*channel));
        }
        self.tape.parties = wanted;
    }

    /// The call is over: what is left is written. How long the file will be is known at once; it is
    /// told so if its writing takes longer than the end may wait (decision A2).
    pub(super) fn stop_recording(&mut self, cx: &mut Context<'_>) {
        if let Some(recording) = self.tape.open {
            let stopped = cx.shard.relay.stop_recording(cx.now, recording);
            self.tape.end_pause(cx.now);
            self.tape.result =
                stopped.map(|(file_len, duration)| self.tape.result_of(file_len, duration));
        }
    }

    /// The file is not waited for any more.
    pub(super) fn forget_recording(&mut self, cx: &mut Context<'_>) {
        if let Some(recording) = self.tape.open.take() {
            cx.shard.recordings.remove(&Resources::recording_key(recording));
        }
    }

    /// The recording's file is final.
    pub fn handle_recording(
        &mut self,
        cx: &mut Context<'_>,
        recording: RecordingId,
        file: RecordedFile,
    ) {
        if self.tape.open != Some(recording) || self.is_told() {
            return;
        }
        self.tape.end_pause(cx.now);
        self.forget_recording(cx);
        self.tape.result = Some(self.tape.result_of(file.len, file.duration));
        self.tape.written = Some(file.written);
        cx.milestone(None, MilestoneKind::RecordingFinished, None, None);
        if self.is_ended() {
            self.tell_end(cx);
        }
    }

    /// Something of the recording could not be written; how much is known once its file is final.
    pub fn handle_damaged_recording(&mut self, cx: &mut Context<'_>, recording: RecordingId) {
        if self.tape.open == Some(recording) && !self.is_told() {
            self.tape.written = Some(RecordingWritten { is_whole: false, duration: None });
            cx.milestone(None, MilestoneKind::RecordingFailed, None, None);
        }
    }

    /// The recording's file will never be final.
    pub fn handle_lost_recording(&mut self, cx: &mut Context<'_>, recording: RecordingId) {
        if self.tape.open != Some(recording) || self.is_told() {
            return;
        }
        self.tape.result = None;
        self.tape.written = Some(NOTHING);
        self.forget_recording(cx);
        if self.is_ended() {
            self.tell_end(cx);
        }
    }
}
