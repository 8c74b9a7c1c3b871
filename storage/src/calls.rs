//! A call from its placement to its end.

use crate::error::Result;
use crate::events::Note;
use crate::key::Key;
use crate::record::*;
use crate::store::{Durability, Family, Group, Reading, Storage};
use call_words::{CallId, CallState, CallStatus, EventWord, PartyRole, Reason, RecordingState};
use std::sync::MutexGuard;

/// Most steps kept of one call, besides the last.
pub const TIMELINE_CAP: u32 = 1_000;
/// What became of a milestone that was told.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "returned once per milestone and taken apart at once"
)]
pub enum MilestoneOutcome {
    Applied(Applied),
    /// This sequence number was applied before.
    Duplicate,
    UnknownCall,
    /// The call's timeline has `TIMELINE_CAP` steps, and this one changes nothing.
    Full,
}

/// A call after a step.
#[derive(Debug, Clone, PartialEq)]
pub struct Applied {
    pub call: Call,
    /// The progress callback that was stored with it.
    pub queued: Option<Queued>,
}

/// What a step changes of a live call, and how it is told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Where the call stands now; it never moves back, nor to its end.
    pub state: Option<CallState>,
    /// Whether the agent's softphone is lost.
    pub agent_away: Option<bool>,
    /// How the parties stand from now on; their numbers are filled in here.
    pub conversation: Option<Conversation>,
    /// The event that it is.
    pub event: Option<StepEvent>,
}

/// The event that a step is, and when it is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepEvent {
    Always(EventWord),
    /// Only if the step moved the call to another state.
    IfMoved(EventWord),
}

/// What a step did to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Effect {
    moved: bool,
    changed: bool,
}

impl Progress {
    /// Progress to a state and nothing else.
    pub fn to(state: CallState) -> Self {
        Self { state: Some(state), ..Self::default() }
    }

    fn apply(&self, call: &mut Call, entry: &TimelineEntry) -> Effect {
        let state = self.state.filter(|state| *state > call.state && *state != CallState::Ended);
        let agent_away = self.agent_away.filter(|agent_away| *agent_away != call.agent_away);
        if let Some(state) = state {
            call.state = state;
            if state == CallState::Bridged {
                call.answer_ms = Some(entry.at_ms);
            }
        }
        call.agent_away = agent_away.unwrap_or(call.agent_away);
        let conversation = self.conversation.clone();
        let changed = state.is_some() || agent_away.is_some() || conversation.is_some();
        if let Some(conversation) = conversation {
            converse(call, conversation, entry);
        }
        Effect { moved: state.is_some(), changed }
    }

    fn word(&self, effect: Effect) -> Option<EventWord> {
        match self.event? {
            StepEvent::Always(word) => Some(word),
            StepEvent::IfMoved(word) => effect.moved.then_some(word),
        }
    }
}

/// Takes over how the parties stand.
fn converse(call: &mut Call, mut conversation: Conversation, entry: &TimelineEntry) {
    for party in &mut conversation.parties {
        (party.number, party.crm_username) = match party.role {
            PartyRole::Agent => (call.agent_number_e164.clone(), call.crm_username.clone()),
            PartyRole::Customer => (Some(call.customer_number_e164.clone()), None),
            PartyRole::Participant | PartyRole::Supervisor => call
                .other(&party.party)
                .map(|other| (other.number.clone(), other.crm_username.clone()))
                .unwrap_or_default(),
        };
    }
    for other in &mut call.others {
        if let Some(shown) = conversation.party(&other.party) {
            other.follow(shown, entry.at_ms);
        }
        if entry.sip_code.is_some() && entry.party.as_ref() == Some(&other.party) {
            other.sip_code = entry.sip_code;
        }
    }
    call.record |= conversation.recording != RecordingState::Off;
    call.conversation = Some(conversation);
}

/// A call that just ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Finish {
    pub call: Call,
    /// The callback job that was stored with it.
    pub queued: Option<Queued>,
    /// The progress callback that was stored with it.
    pub progress: Option<Queued>,
}

/// What became of the end of a call that was told.
#[derive(Debug, Clone, PartialEq)]
pub enum FinishOutcome {
    Finished(Finish),
    /// It had ended before; nothing changed.
    AlreadyFinished(Call),
    UnknownCall,
}

impl Group<'_> {
    /// Adds one step to a call's timeline, once per sequence number, changes the call as it says,
    /// and notes it as an event. Beyond `TIMELINE_CAP` steps are applied and told, but not kept.
    pub fn apply_milestone(
        &mut self,
        call_id: &CallId,
        entry: &TimelineEntry,
        progress: &Progress,
    ) -> Result<MilestoneOutcome> {
        self.hold(&[call_lock(call_id)]);
        let Some(mut call) = self.call(call_id)? else { return Ok(MilestoneOutcome::UnknownCall) };
        let is_kept = entry.sequence <= TIMELINE_CAP;
        let key = Key::of(call_id).number(u64::from(entry.sequence.min(TIMELINE_CAP + 1))).bytes();
        let is_known = match is_kept {
            true => self.read(Family::Timeline, &key)?.is_some(),
            false => self
                .load::<TimelineEntry>(Family::Timeline, &key)?
                .is_some_and(|last| entry.sequence <= last.sequence),
        };
        if is_known {
            return Ok(MilestoneOutcome::Duplicate);
        }
        if !is_kept && (!call.is_live() || *progress == Progress::default()) {
            return Ok(MilestoneOutcome::Full);
        }
        let mut queued = None;
        if call.is_live() {
            let effect = progress.apply(&mut call, entry);
            let word = progress.word(effect);
            if let Some(word) = word {
                let note = step_note(word, entry, progress, &call);
                queued = self.note(&mut call, note)?;
            }
            if effect.changed || word.is_some() {
                self.batch.put_call(&call);
            }
        }
        self.batch.put(Family::Timeline, &key, entry);
        Ok(MilestoneOutcome::Applied(Applied { call, queued }))
    }

    /// Ends a call: its record, its recording, its last event and its callback jobs are on disk
    /// together when the group is written, once.
    pub fn finish_call(&mut self, call_id: &CallId, end: FinalCall) -> Result<FinishOutcome> {
        self.hold(&[call_lock(call_id)]);
        let Some(mut call) = self.call(call_id)? else { return Ok(FinishOutcome::UnknownCall) };
        if !call.is_live() {
            return Ok(FinishOutcome::AlreadyFinished(call));
        }
        self.promise(Durability::Synced);
        close(&mut call, end);
        let announced = self.storage.announce_result(&call)?;
        let note = Note {
            leg: call.failed_leg,
            sip_code: call.sip_code,
            reason: call.reason.as_ref().map(ToString::to_string),
            ..Note::of(EventWord::Ended, call.end_ms.unwrap_or_default())
        };
        let progress = self.note(&mut call, note)?;
        let batch = &mut self.batch;
        if let Some(recording) = &call.recording {
            let entry = RecordingEntry {
                file_name: recording.file_name.clone(),
                call_id: call.call_id.clone(),
                account_id: call.account_id.clone(),
                start_ms: call.start_ms,
                expired_ms: None,
            };
            batch.put(Family::Recordings, entry.file_name.as_bytes(), &entry);
            let key =
                Key::of(&entry.account_id).number(entry.start_ms).rest(&entry.file_name).bytes();
            batch.index(Family::AccountRecordings, &key, b"");
        }
        let queued = announced.map(|new| batch.queue_callback(&call, new, None));
        batch.put_call(&call);
        batch.delete(Family::LiveCalls, call_id.as_bytes());
        Ok(FinishOutcome::Finished(Finish { call, queued, progress }))
    }
}

impl Storage {
    /// The record of a call.
    pub fn call(&self, call_id: &CallId) -> Result<Option<Call>> {
        match self.known().call(call_id) {
            Some(call) => Ok(Some(Call::clone(&call))),
            None => self.load(Family::Calls, call_id.as_bytes()),
        }
    }

    /// Notes that the API asked for the call's end. `None` if the call is unknown or has ended.
    pub fn request_hang_up(&self, call_id: &CallId) -> Result<Option<Call>> {
        self.change_live_call(call_id, Durability::Synced, |call| call.hang_up_requested = true)
    }

    /// [`Group::apply_milestone`] in the next group.
    pub fn apply_milestone(
        &self,
        call_id: &CallId,
        entry: &TimelineEntry,
        progress: &Progress,
    ) -> Result<MilestoneOutcome> {
        let (call_id, entry, progress) = (call_id.clone(), entry.clone(), progress.clone());
        self.write(move |group| group.apply_milestone(&call_id, &entry, &progress))
    }

    /// [`Group::finish_call`] in the next group.
    pub fn finish_call(&self, call_id: &CallId, end: FinalCall) -> Result<FinishOutcome> {
        let call_id = call_id.clone();
        self.write(move |group| group.finish_call(&call_id, end))
    }

    /// Every call that has not ended.
    pub fn live_calls(&self) -> Result<Vec<Call>> {
        let mut calls = Vec::new();
        let mut scan = self.scan(Family::LiveCalls, b"");
        while let Some((key, _)) = scan.current()? {
            calls.extend(self.load::<Call>(Family::Calls, key)?.filter(Call::is_live));
            scan.advance();
        }
        Ok(calls)
    }

    /// The steps of a call in their order: the first `TIMELINE_CAP`, and the last.
    pub fn timeline(&self, call_id: &CallId) -> Result<Vec<TimelineEntry>> {
        self.load_all(Family::Timeline, &Key::of(call_id).bytes())
    }

    /// Sets a call's disposition, live or ended. `None` if unknown.
    pub fn set_disposition(&self, call_id: &CallId, disposition: &str) -> Result<Option<Call>> {
        let _held = self.lock_call(call_id);
        let Some(mut call) = self.call(call_id)? else { return Ok(None) };
        disposition.clone_into(&mut call.disposition);
        let mut batch = self.batch();
        batch.put_call(&call);
        batch.commit(Durability::Synced)?;
        Ok(Some(call))
    }

    /// Holds one call still for a read-modify-write.
    pub(crate) fn lock_call(&self, call_id: &CallId) -> Vec<MutexGuard<'_, ()>> {
        self.lock(&[call_lock(call_id)])
    }

    pub(crate) fn change_live_call(
        &self,
        call_id: &CallId,
        durability: Durability,
        change: impl FnOnce(&mut Call),
    ) -> Result<Option<Call>> {
        let _held = self.lock_call(call_id);
        let Some(mut call) = self.call(call_id)?.filter(Call::is_live) else { return Ok(None) };
        change(&mut call);
        let mut batch = self.batch();
        batch.put_call(&call);
        batch.commit(durability)?;
        Ok(Some(call))
    }
}

/// Name of a call's lock.
pub(crate) fn call_lock(call_id: &CallId) -> Vec<u8> {
    [b"call:", call_id.as_bytes()].concat()
}

/// Most by which the wall clock's talk time differs from the measured one, in whole seconds, unless
/// it was set meanwhile.
const CLOCK_SLACK_S: u64 = 2;

/// When a call was answered and when it ended. The wall clock may have been set while it ran; the
/// talk was measured by a clock that is not, so that no call ends before its answer or is answered
/// before its start, and its times tell its duration.
fn times(call: &Call, end: &FinalCall) -> (Option<u64>, u64) {
    // A call that a crash ended may be known to have been answered only by its milestones.
    let answer_ms = end.answer_ms.or(call.answer_ms).map(|answer_ms| answer_ms.max(call.start_ms));
    let first_ms = answer_ms.unwrap_or(call.start_ms);
    let measured_ms = first_ms + end.duration_s * 1000;
    let told_s = end.end_ms.saturating_sub(first_ms) / 1000;
    let is_measured = answer_ms.is_some() && end.status == CallStatus::Answer;
    let end_ms = match is_measured && told_s.abs_diff(end.duration_s) > CLOCK_SLACK_S {
        true => measured_ms,
        false => end.end_ms.max(first_ms),
    };
    (answer_ms, end_ms)
}

fn close(call: &mut Call, end: FinalCall) {
    let (answer_ms, end_ms) = times(call, &end);
    call.state = CallState::Ended;
    call.status = Some(end.status);
    call.reason = end.reason;
    call.failed_leg = end.failed_leg;
    call.sip_code = end.sip_code;
    call.hangup_by = end.hangup_by;
    call.answer_ms = answer_ms;
    call.end_ms = Some(end_ms);
    call.duration_s = end.duration_s;
    call.attempts = end.attempts;
    call.recording = end.recording;
    call.recording_written = end.recording_written;
    call.agent_media = end.agent_media;
    call.customer_media = end.customer_media;
    call.reason_detail = end.reason_detail;
    call.agent_away = false;
    call.conversation = None;
    close_others(call, end.others, end_ms);
}

/// Ends what is known of the other parties. Those that the edge does not know were never dialled.
fn close_others(call: &mut Call, told: Option<Vec<OtherEnd>>, end_ms: u64) {
    let Some(told) = told else {
        for other in call.others.iter_mut().filter(|other| other.end_ms.is_none()) {
            other.end_ms = Some(end_ms);
            other.reason = Some(Reason::System.into());
        }
        return;
    };
    let known = std::mem::take(&mut call.others);
    let with_end = |end: OtherEnd| {
        let known = known.iter().find(|known| known.party == end.party);
        OtherParty {
            party: end.party,
            leg: end.leg,
            number: known.and_then(|known| known.number.clone()),
            crm_username: known.and_then(|known| known.crm_username.clone()),
            trunk: known.and_then(|known| known.trunk.clone()),
            answer_ms: end.answer_ms,
            end_ms: Some(end.end_ms),
            reason: Some(end.reason),
            sip_code: end.sip_code,
            request: known.and_then(|known| known.request.clone()),
        }
    };
    call.others = told.into_iter().take(crate::parties::OTHERS_CAP).map(with_end).collect();
}

fn step_note<'a>(
    word: EventWord,
    entry: &'a TimelineEntry,
    progress: &Progress,
    call: &Call,
) -> Note<'a> {
    let conversation = call.conversation.as_ref().filter(|_| progress.conversation.is_some());
    let party = entry.party.as_deref().and_then(|party| conversation?.party(party));
    Note {
        word,
        at_ms: entry.at_ms,
        leg: entry.leg,
        party: entry.party.as_deref(),
        sip_code: entry.sip_code,
        reason: party.and_then(|party| party.reason.as_ref()).map(ToString::to_string),
        conversation: conversation.cloned(),
        is_epilogue: false,
    }
}
