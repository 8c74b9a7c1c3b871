//! The call's recording: started at the bridge or later, paused and resumed, and final when its
//! file is. Pauses are silence in its time.

use super::Call;
use super::context::Context;
use super::shard::Resources;
use crate::event::{Output, Pause, RecordedFile, RecordingResult, RecordingWritten};
use crate::outcome::LegName;
use call_words::{MilestoneKind, RecordingName, RecordingState, RefusalCode};
use media_core::relay::{Channel, Layout, LegId, RecordingId};
use std::time::{Duration, Instant};

/// Most pauses of one recording.
const MAX_PAUSE_COUNT: usize = 1_000;
const NOTHING: RecordingWritten =
    RecordingWritten { is_whole: false, duration: Some(Duration::ZERO) };

/// The recording of one call, from its order to its file.
pub struct Tape {
    layout: Layout,
    /// File name, once it is to be recorded.
    name: Option<RecordingName>,
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
    pub fn new(layout: Layout, name: Option<RecordingName>) -> Tape {
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

    /// How it stands, for those who look at the call.
    pub fn state(&self) -> RecordingState {
        match (self.open, self.paused_at) {
            (None, _) => RecordingState::Off,
            (Some(_), None) => RecordingState::Running,
            (Some(_), Some(_)) => RecordingState::Paused,
        }
    }

    /// Whether it runs and is silent.
    pub fn is_paused(&self) -> bool {
        self.state() == RecordingState::Paused
    }

    /// Starts the recording whose name is set; `false` without room for it.
    fn start(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(file_name) = self.name.clone() else { return false };
        let Some(recording) = cx.shard.relay.start_recording(cx.now, self.layout) else {
            self.written = Some(NOTHING);
            cx.milestone(None, MilestoneKind::RecordingFailed, None, None);
            return false;
        };
        cx.shard.recordings.insert(Resources::recording_key(recording), cx.call);
        self.open = Some(recording);
        self.started_at = Some(cx.now);
        cx.shard.output.push_back(Output::OpenRecording { recording, file_name });
        true
    }

    /// Starts a recording of this name, if there was none.
    fn start_as(
        &mut self,
        cx: &mut Context<'_>,
        file_name: RecordingName,
    ) -> Result<(), RefusalCode> {
        if self.started_at.is_some() {
            return Err(RefusalCode::AlreadyRecording);
        }
        self.name = Some(file_name);
        if self.start(cx) {
            return Ok(());
        }
        self.name = None;
        Err(RefusalCode::NoCapacity)
    }

    /// `false` if it pauses already.
    fn pause(&mut self, cx: &mut Context<'_>) -> Result<bool, RefusalCode> {
        let recording = self.open.ok_or(RefusalCode::NotRecording)?;
        if self.is_paused() {
            return Ok(false);
        }
        if self.pauses.len() >= MAX_PAUSE_COUNT {
            return Err(RefusalCode::NoCapacity);
        }
        cx.shard.relay.pause_recording(cx.now, recording);
        self.paused_at = Some(cx.now);
        Ok(true)
    }

    /// `false` if it runs already.
    fn resume(&mut self, cx: &mut Context<'_>) -> Result<bool, RefusalCode> {
        let recording = self.open.ok_or(RefusalCode::NotRecording)?;
        if !self.is_paused() {
            return Ok(false);
        }
        cx.shard.relay.resume_recording(cx.now, recording);
        self.end_pause(cx.now);
        Ok(true)
    }

    /// Lets these be recorded from now on, and nobody else.
    pub fn record(
        &mut self,
        cx: &mut Context<'_>,
        wanted: Vec<(LegName, Channel)>,
        media: impl Fn(LegName) -> LegId,
    ) {
        let Some(recording) = self.open else { return };
        let before = std::mem::take(&mut self.parties);
        for (leg, _) in
            before.iter().filter(|(leg, _)| wanted.iter().all(|(other, _)| other != leg))
        {
            cx.shard.relay.record_leg(cx.now, recording, media(*leg), None);
        }
        for (leg, channel) in wanted.iter().filter(|each| !before.contains(each)) {
            cx.shard.relay.record_leg(cx.now, recording, media(*leg), Some(*channel));
        }
        self.parties = wanted;
    }

    /// The call is over: what is left is written. How long the file will be is known at once; it is
    /// told so if its writing takes longer than the end may wait (decision A2).
    pub fn stop(&mut self, cx: &mut Context<'_>) {
        if let Some(recording) = self.open {
            let stopped = cx.shard.relay.stop_recording(cx.now, recording);
            self.end_pause(cx.now);
            self.result = stopped.map(|(file_len, duration)| self.result_of(file_len, duration));
        }
    }

    /// The file is not waited for any more.
    pub fn forget(&mut self, cx: &mut Context<'_>) {
        if let Some(recording) = self.open.take() {
            cx.shard.recordings.remove(&Resources::recording_key(recording));
        }
    }

    /// The file of the recording is final.
    fn finish(&mut self, cx: &mut Context<'_>, file: RecordedFile) {
        self.end_pause(cx.now);
        self.forget(cx);
        self.result = Some(self.result_of(file.len, file.duration));
        self.written = Some(file.written);
        cx.milestone(None, MilestoneKind::RecordingFinished, None, None);
    }

    /// The file will never be final.
    fn lose(&mut self, cx: &mut Context<'_>) {
        self.result = None;
        self.written = Some(NOTHING);
        self.forget(cx);
    }
}

impl Call {
    /// Starts the recording that was ordered with the call, if one was.
    pub(super) fn start_recording(&mut self, cx: &mut Context<'_>) {
        if self.tape.start(cx) {
            self.tell_recording(cx);
        }
    }

    fn tell_recording(&mut self, cx: &mut Context<'_>) {
        self.arrange(cx);
        self.tell(cx, None, MilestoneKind::RecordingStarted);
    }

    pub(super) fn record_from_now(
        &mut self,
        cx: &mut Context<'_>,
        file_name: RecordingName,
    ) -> Result<(), RefusalCode> {
        self.tape.start_as(cx, file_name)?;
        self.tell_recording(cx);
        Ok(())
    }

    pub(super) fn pause_recording(&mut self, cx: &mut Context<'_>) -> Result<(), RefusalCode> {
        if self.tape.pause(cx)? {
            self.tell(cx, None, MilestoneKind::RecordingPaused);
        }
        Ok(())
    }

    pub(super) fn resume_recording(&mut self, cx: &mut Context<'_>) -> Result<(), RefusalCode> {
        if self.tape.resume(cx)? {
            self.tell(cx, None, MilestoneKind::RecordingResumed);
        }
        Ok(())
    }

    /// Whether what is told of a recording is of the call's, and still of use.
    fn awaits(&self, recording: RecordingId) -> bool {
        self.tape.open == Some(recording) && !self.is_told()
    }

    /// The recording's file is final.
    pub fn handle_recording(
        &mut self,
        cx: &mut Context<'_>,
        recording: RecordingId,
        file: RecordedFile,
    ) {
        if self.awaits(recording) {
            self.tape.finish(cx, file);
            self.tell_end(cx);
        }
    }

    /// Something of the recording could not be written; how much is known once its file is final.
    pub fn handle_damaged_recording(&mut self, cx: &mut Context<'_>, recording: RecordingId) {
        if self.awaits(recording) {
            self.tape.written = Some(RecordingWritten { is_whole: false, duration: None });
            cx.milestone(None, MilestoneKind::RecordingFailed, None, None);
        }
    }

    /// The recording's file will never be final.
    pub fn handle_lost_recording(&mut self, cx: &mut Context<'_>, recording: RecordingId) {
        if self.awaits(recording) {
            self.tape.lose(cx);
            self.tell_end(cx);
        }
    }
}
