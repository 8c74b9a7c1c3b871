//! Verbs at random times, whatever the state of their call: nothing may break, and a repeated one
//! gets its first answer.

use super::{SUPERVISORS, THIRDS, World};
use crate::model::Input;
use crate::reached;
use call_words::{Joining, RefusalCode, SupervisorRole};
use sip_core::command::{AgentTarget, Destination};
use sip_core::control::{Digits, NewParticipant, NewSupervisor, Verb};
use std::time::Duration;

impl World {
    /// Asks a random verb of a call, whatever its state.
    pub(super) fn control(&mut self, number: usize) {
        let call = &mut self.calls[number];
        let guest = |count: u32| format!("g{count}");
        let last = guest(call.guest_count);
        let next = guest(call.guest_count + 1);
        let destination = |world: &World, at: &str, user: String| Destination {
            ring: Duration::from_secs(10),
            routes: vec![world.route("carrier", at, user)],
            skipped: vec![],
        };
        let roll = self.dice.roll() % 20;
        let party = self.dice.pick(&["agent", "customer", "customer", last.as_str()]).to_owned();
        let role = self.dice.pick(&[
            SupervisorRole::Listen,
            SupervisorRole::Whisper,
            SupervisorRole::Barge,
        ]);
        let verb = match roll {
            0 => Verb::Hold,
            1 => Verb::Resume,
            2 => Verb::Mute { party },
            3 => Verb::Unmute { party },
            4..=8 => {
                let joining = match roll {
                    4..=6 => Joining::Consult,
                    7 => Joining::Join,
                    _ => Joining::Transfer,
                };
                self.calls[number].guest_count += 1;
                let destination = destination(self, THIRDS, format!("3{number}"));
                Verb::AddParticipant(Box::new(NewParticipant { party: next, destination, joining }))
            }
            9 | 10 => Verb::Merge,
            11 | 12 => Verb::Swap,
            13 => Verb::Complete,
            14 => Verb::Cancel,
            15 => Verb::Remove { party: last },
            16 => {
                self.calls[number].guest_count += 1;
                let target =
                    AgentTarget::Phone(destination(self, SUPERVISORS, format!("4{number}")));
                Verb::Supervise(Box::new(NewSupervisor { party: next, target, role }))
            }
            17 => Verb::SetRole { party: last, role },
            18 => Verb::SendDigits { party, digits: Digits("1#".into()) },
            _ => self.recording_verb(number),
        };
        // If it ends the call, that is as a hang-up.
        self.calls[number].inputs.push((self.now, Input::HangUp));
        self.control_count += 1;
        let id = self.control_count.to_string();
        let asked = reached::name(&verb);
        let first = self.edge.control(self.now, &number.to_string().into(), &id, verb.clone());
        let again = self.edge.control(self.now, &number.to_string().into(), &id, verb);
        let is_ended = again == Err(RefusalCode::UnknownCall);
        self.reached.insert((asked, reached::answer(&first)));
        assert!(first == again || is_ended, "seed {}: {first:?}, then {again:?}", self.seed);
    }

    fn recording_verb(&mut self, number: usize) -> Verb {
        match self.dice.between(0, 3) {
            0 => Verb::StartRecording { file_name: format!("late_{number}.wav").into() },
            1 => Verb::PauseRecording,
            _ => Verb::ResumeRecording,
        }
    }
}
