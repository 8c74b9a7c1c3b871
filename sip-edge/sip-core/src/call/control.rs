//! The verbs on a running call: each goes to the conversation, to the recording or to a leg. A
//! repeated request gets its first answer.

use super::Call;
use super::context::Context;
use super::conversation::guest::Guest;
use super::conversation::rooms::Voice;
use super::leg::refer::Referred;
use super::leg::{Leg, digits};
use crate::control::{Digits, Verb};
use crate::event::{Event, Output};
use crate::message::View;
use crate::outcome::LegName;
use call_words::{MilestoneKind, RefusalCode};
use std::collections::VecDeque;

/// Most answers that are kept for repeated requests.
const ANSWER_COUNT: usize = 32;

type Answer = Result<(), RefusalCode>;

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
        if self.phase.is_ended() {
            return Err(RefusalCode::UnknownCall);
        }
        let asked_for = match &verb {
            Verb::AddParticipant(new) => Some(new.party.clone()),
            _ => None,
        };
        let answer = self.obey(cx, verb);
        if let (Err(_), Some(party)) = (answer, asked_for) {
            let told = self.conversation.referrals.end_of(&party, 503);
            self.carry_out(cx, told);
        }
        self.answers.keep(control_id, answer);
        answer
    }

    fn obey(&mut self, cx: &mut Context<'_>, verb: Verb) -> Answer {
        if !self.phase.is_bridged() && !matches!(verb, Verb::SendDigits { .. }) {
            return Err(RefusalCode::NotTalking);
        }
        let conversation = &mut self.conversation;
        let moves = match verb {
            Verb::Hold => conversation.hold(),
            Verb::Resume => conversation.resume(),
            Verb::Mute { party } => conversation.set_voice(&party, Voice::Muted),
            Verb::Unmute { party } => conversation.set_voice(&party, Voice::On),
            Verb::Merge => conversation.merge(),
            Verb::Swap => conversation.swap(),
            Verb::Complete => conversation.complete(),
            Verb::Cancel => conversation.cancel(cx.now),
            Verb::Remove { party } => conversation.remove(cx.now, &party),
            Verb::SetRole { party, role } => conversation.set_role(&party, role),
            Verb::AddParticipant(new) => return self.add_participant(cx, *new),
            Verb::Supervise(new) => return self.supervise(cx, *new),
            Verb::SendDigits { party, digits } => return self.send_digits(cx, &party, &digits),
            Verb::StartRecording { file_name } => return self.record_from_now(cx, file_name),
            Verb::PauseRecording => return self.pause_recording(cx),
            Verb::ResumeRecording => return self.resume_recording(cx),
        };
        self.carry_out(cx, moves?);
        Ok(())
    }

    /// The agent's phone asks for a transfer: control-api is asked whether it may be.
    pub(super) fn handle_referred(&mut self, cx: &mut Context<'_>, referred: &Referred) {
        let cseq = referred.request.cseq_number().unwrap_or_default();
        let party = if self.phase.is_bridged() {
            self.conversation.take_referral(cx.now, cseq)
        } else {
            None
        };
        self.legs.agent.answer_refer(cx, referred, party.is_some());
        let Some(party) = party else { return };
        self.legs.agent.notify(cx, cseq, 100);
        cx.milestone(Some(LegName::Agent), MilestoneKind::TransferRequested, None, None);
        let (call_id, target) = (cx.log.call_id.clone(), referred.target.clone());
        let event = Event::TransferRequested { call_id, party, target };
        cx.shard.output.push_back(Output::Event(event));
    }

    fn send_digits(&mut self, cx: &mut Context<'_>, party: &str, digits: &Digits) -> Answer {
        let name = self.conversation.party(party)?;
        let codes = digits::codes_of(&digits.0).ok_or(RefusalCode::NoDigits)?;
        let is_answered = match name {
            LegName::Participant(slot) | LegName::Supervisor(slot) => {
                self.conversation.guest(slot).is_some_and(Guest::is_talking)
            }
            LegName::Agent | LegName::Customer => self.legs.of(name).is_answered(),
        };
        if !is_answered {
            let is_bridged = self.phase.is_bridged();
            return Err(if is_bridged {
                RefusalCode::NotAnswered
            } else {
                RefusalCode::NotTalking
            });
        }
        self.legs.of(name).press(cx, &codes).map_err(|_| RefusalCode::NoDigits)?;
        // While the recording is paused digits leave no trace.
        if !self.tape.is_paused() {
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
        let takes_none = |leg: &Leg| !leg.takes_events();
        if code <= digits::MAX_CODE {
            self.press_for_listeners(cx, from, code, takes_none);
        }
    }

    /// A digit that was heard in a leg's audio goes to those who hear the leg and need another form
    /// of it; the tones are in what the others hear.
    pub(super) fn pass_tone(&mut self, cx: &mut Context<'_>, from: LegName, code: u8) {
        self.press_for_listeners(cx, from, code, |leg| !leg.takes_tones());
    }

    fn press_for_listeners(
        &mut self,
        cx: &mut Context<'_>,
        from: LegName,
        code: u8,
        is_meant: impl Fn(&Leg) -> bool,
    ) {
        for listener in self.hearing.listeners(from) {
            let leg = self.legs.of(listener);
            if is_meant(leg) {
                // A listener that cannot take it goes without it, as without a lost packet.
                let _ = leg.press(cx, &[code]);
            }
        }
    }
}
