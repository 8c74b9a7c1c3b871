//! The verbs on a running call: who may ask what in which state, and what it changes. A repeated
//! request gets its first answer.

use super::context::Context;
use super::conversation::guest::Stage;
use super::conversation::rooms::Voice;
use super::leg::description::Agreement;
use super::leg::{Leg, digits};
use super::{Call, Phase};
use crate::control::{ControlRefusal, Digits, Verb};
use crate::event::MilestoneKind;
use crate::outcome::{Cause, LegName};
use std::collections::VecDeque;

/// Most answers that are kept for repeated requests.
const ANSWER_COUNT: usize = 32;

type Answer = Result<(), ControlRefusal>;

/// The last answers, by the id of the request.
#[derive(Default)]
pub struct Answers(VecDeque<(String, Answer)>);

impl Answers {
    fn of(&self, control_id: &str) -> Option<Answer> {
        self.0.iter().find(|(id, _)| id == control_id).map(|(_, answer)| *answer)
    }

    fn keep(&mut self, control_id: String, answer: Answer) {
        if self.0.len() == ANSWER_COUNT {
            self.0.pop_front();
        }
        self.0.push_back((control_id, answer));
    }
}

impl Call {
    /// Does what is asked, once for each `control_id`.
    pub fn control(&mut self, cx: &mut Context<'_>, control_id: String, verb: Verb) -> Answer {
        if let Some(answer) = self.answers.of(&control_id) {
            return answer;
        }
        if self.is_ended() {
            return Err(ControlRefusal::UnknownCall);
        }
        let asked_for = match &verb {
            Verb::AddParticipant(new) => Some(new.party.clone()),
            _ => None,
        };
        let answer = self.obey(cx, verb);
        if let (Err(_), Some(party)) = (answer, asked_for)
            && self.referral.as_ref().is_some_and(|referral| referral.party == party)
        {
            self.end_referral(cx, 503);
        }
        self.answers.keep(control_id, answer);
        answer
    }

    fn obey(&mut self, cx: &mut Context<'_>, verb: Verb) -> Answer {
        if self.phase != Phase::Bridged && !matches!(verb, Verb::SendDigits { .. }) {
            return Err(ControlRefusal::NotTalking);
        }
        match verb {
            Verb::Hold => self.hold(cx),
            Verb::Resume => self.resume(cx),
            Verb::Mute { party } => self.set_voice(cx, &party, Voice::Muted),
            Verb::Unmute { party } => self.set_voice(cx, &party, Voice::On),
            Verb::SendDigits { party, digits } => self.send_digits(cx, &party, &digits),
            Verb::AddParticipant(new) => self.add_participant(cx, *new),
            Verb::Merge => self.merge(cx),
            Verb::Swap => self.swap(cx),
            Verb::Complete => self.complete(cx),
            Verb::Cancel => self.cancel(cx),
            Verb::Remove { party } => self.remove(cx, &party),
            Verb::Supervise(new) => self.supervise(cx, *new),
            Verb::SetRole { party, role } => self.set_role(cx, &party, role),
            Verb::StartRecording { file_name } => self.record_from_now(cx, file_name),
            Verb::PauseRecording => self.pause_recording(cx),
            Verb::ResumeRecording => self.resume_recording(cx),
        }
    }

    pub(super) fn agent_is_here(&self) -> Answer {
        if self.is_agent_gone() { Err(ControlRefusal::AgentGone) } else { Ok(()) }
    }

    /// The party of this name that is still there.
    fn party(&self, name: &str) -> Result<LegName, ControlRefusal> {
        match name {
            "agent" if self.is_agent_gone() => Err(ControlRefusal::AgentGone),
            "agent" => Ok(LegName::Agent),
            "customer" => Ok(LegName::Customer),
            _ => {
                let guest = self.guests.iter().find(|guest| guest.name == name && guest.is_there());
                guest.map(|guest| guest.leg.name).ok_or(ControlRefusal::UnknownParty)
            }
        }
    }

    fn hold(&mut self, cx: &mut Context<'_>) -> Answer {
        self.agent_is_here()?;
        if std::mem::replace(&mut self.is_held, true) {
            return Err(ControlRefusal::OnHold);
        }
        self.arrange(cx);
        self.tell(cx, Some(LegName::Customer), MilestoneKind::CustomerHeld);
        Ok(())
    }

    fn resume(&mut self, cx: &mut Context<'_>) -> Answer {
        self.agent_is_here()?;
        if !std::mem::replace(&mut self.is_held, false) {
            return Err(ControlRefusal::NotOnHold);
        }
        self.arrange(cx);
        self.tell(cx, Some(LegName::Customer), MilestoneKind::CustomerResumed);
        Ok(())
    }

    fn set_voice(&mut self, cx: &mut Context<'_>, party: &str, voice: Voice) -> Answer {
        let name = self.party(party)?;
        let present = match name {
            LegName::Agent => &mut self.agent_voice,
            LegName::Customer => &mut self.customer_voice,
            LegName::Participant(slot) | LegName::Supervisor(slot) => {
                &mut self.guests[slot.index()].voice
            }
        };
        if std::mem::replace(present, voice) == voice {
            return Ok(());
        }
        self.arrange(cx);
        let kind =
            if voice == Voice::Muted { MilestoneKind::Muted } else { MilestoneKind::Unmuted };
        self.tell(cx, Some(name), kind);
        Ok(())
    }

    fn send_digits(&mut self, cx: &mut Context<'_>, party: &str, digits: &Digits) -> Answer {
        let name = self.party(party)?;
        let codes = digits::codes_of(&digits.0).ok_or(ControlRefusal::NoDigits)?;
        let is_answered = match name {
            LegName::Participant(slot) | LegName::Supervisor(slot) => {
                self.guests[slot.index()].is_talking()
            }
            LegName::Agent | LegName::Customer => self.leg(name).is_answered(),
        };
        if !is_answered {
            let is_bridged = self.phase == Phase::Bridged;
            return Err(if is_bridged {
                ControlRefusal::NotAnswered
            } else {
                ControlRefusal::NotTalking
            });
        }
        self.leg(name).press(cx, &codes).map_err(|_| ControlRefusal::NoDigits)?;
        // While the recording is paused digits leave no trace.
        if !self.is_recording_paused() {
            cx.milestone(Some(name), MilestoneKind::DigitsSent, None, None);
        }
        Ok(())
    }

    /// A digit that came by INFO goes to those who hear the leg.
    pub(super) fn pass_digit(&mut self, cx: &mut Context<'_>, from: LegName, code: u8) {
        self.press_for_listeners(cx, from, code, |_| true);
    }

    /// A digit that came as a telephone-event goes to those who hear the leg and take none: the
    /// relay has sent it to the others.
    pub(super) fn pass_event(&mut self, cx: &mut Context<'_>, from: LegName, code: u8) {
        let takes_none = |leg: &Leg| !leg.agreed.as_ref().is_some_and(Agreement::takes_events);
        if code <= digits::MAX_CODE {
            self.press_for_listeners(cx, from, code, takes_none);
        }
    }

    fn press_for_listeners(
        &mut self,
        cx: &mut Context<'_>,
        from: LegName,
        code: u8,
        is_meant: impl Fn(&Leg) -> bool,
    ) {
        let listeners: Vec<LegName> = self
            .heard
            .iter()
            .filter(|ears| ears.sources.contains(&from))
            .map(|ears| ears.leg)
            .collect();
        for listener in listeners {
            let leg = self.leg(listener);
            if is_meant(leg) {
                // A listener that cannot take it goes without it, as without a lost packet.
                let _ = leg.press(cx, &[code]);
            }
        }
    }

    fn remove(&mut self, cx: &mut Context<'_>, party: &str) -> Answer {
        match self.party(party)? {
            name @ (LegName::Agent | LegName::Customer) => {
                cx.milestone(Some(name), MilestoneKind::HangUpRequested, None, None);
                self.hang_up(cx, Cause::Api);
            }
            LegName::Participant(slot) | LegName::Supervisor(slot) => {
                debug_assert_ne!(self.guests[slot.index()].stage, Stage::Left);
                self.dismiss(cx, slot.index(), "removed", None, Some(Cause::Api));
            }
        }
        Ok(())
    }
}
