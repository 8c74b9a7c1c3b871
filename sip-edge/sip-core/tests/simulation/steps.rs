//! Random verbs, answers, hang-ups and REFERs on one call, step by step. After each step what every
//! phone is really sent is compared with the reference model, and so are what was told, the SIP
//! dialogs, the relay's legs, and in the end the recording.

mod checks;

use crate::network::Dice;
use crate::random::wanted_seed;
use crate::reached::{self, Reached};
use crate::reference::{AGENT, CUSTOMER, Kind, RING, Reference, Stand};
use crate::session;
use crate::stage::{Road, Stage, Standing, Weather};
use call_words::{HangupBy, Joining, RecordingState, SupervisorRole};
use media_core::relay::Layout;
use media_core::tone::{self};
use sip_core::command::{AgentTarget, Destination, PlaceCall};
use sip_core::control::{Digits, NewParticipant, NewSupervisor, Verb};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

const SEED_COUNT: u64 = 150;
/// Most phones of one run, those that left included: each has a tone of its own.
const MOST_PHONES: usize = 24;
/// The held hear this, in Hz.
const HOLD_FREQUENCY: f64 = 500.0;
/// Packets until what was heard before is out, and packets that are measured.
const SETTLING: u32 = 13;
const MEASURED: u32 = 10;
/// What must be in the recording in a span of time: a channel for each phone that is recorded.
struct Span {
    from: Instant,
    channels: Vec<Option<usize>>,
    unsettled: Vec<bool>,
    step: String,
}

struct Run {
    stage: Stage,
    model: Reference,
    dice: Dice,
    weather: Weather,
    road: Road,
    layout: Layout,
    spans: Vec<Span>,
    paused_at: Option<Instant>,
    pauses: Vec<(Instant, Instant)>,
    ended_at: Option<Instant>,
    /// What was done, for a failure's text.
    history: Vec<String>,
    step: String,
    reached: Reached,
}

impl Run {
    fn bridged(seed: u64) -> Run {
        let mut dice = Dice::new(seed);
        let weather = if dice.chance(30) { Weather::Bad } else { Weather::Fair };
        let road = dice.pick(&[Road::Smooth, Road::Rough]);
        let mut stage = Stage::new(Dice::new(dice.roll()), weather, road);
        let samples: Vec<i16> =
            (0..8000).map(|at| tone::Tone::steady(HOLD_FREQUENCY, 2000.0).sample(at)).collect();
        assert!(stage.edge.add_hold_audio("hold", &samples));
        let (agent, customer) = (stage.install(AGENT), stage.install(CUSTOMER));
        let layout = dice.pick(&[Layout::Stereo, Layout::ThreeChannel]);
        let is_recorded = dice.chance(60);
        let accepts_refer = dice.chance(80);
        let call = PlaceCall {
            recording: is_recorded.then(|| "early.wav".into()),
            recording_layout: layout,
            hold_audio: Some("hold".into()),
            no_media: Duration::from_secs(3600),
            accepts_refer,
            ..session::call("call", vec![agent], vec![customer])
        };
        stage.edge.place_call(stage.now, call).unwrap();
        for index in 0..2 {
            stage.settle();
            stage.await_invite(index);
            stage.reply(index, 200);
        }
        let recording = if is_recorded { RecordingState::Running } else { RecordingState::Off };
        let (spans, pauses) = (Vec::new(), Vec::new());
        let model = Reference::bridged(recording, accepts_refer);
        Run {
            stage,
            model,
            dice,
            weather,
            road,
            layout,
            spans,
            paused_at: None,
            pauses,
            ended_at: None,
            history: Vec::new(),
            step: "bridge".into(),
            reached: Reached::new(),
        }
    }

    fn run(&mut self) {
        self.check();
        for _ in 0..self.dice.between(10, 26) {
            self.step();
            self.model.expire(self.stage.now);
            self.check();
            if self.model.end.is_some() {
                break;
            }
        }
        if self.model.end.is_none() {
            self.note("the end".into());
            match self.dice.between(0, 3) {
                0 => self.hang_up(CUSTOMER, HangupBy::Customer),
                1 => self.ask(&Verb::Remove { party: CUSTOMER.into() }),
                _ => {
                    self.stage.edge.hang_up(self.stage.now, &"call".into());
                    self.stage.settle();
                    self.model.leave(CUSTOMER, "removed", HangupBy::Api);
                }
            }
            self.note_end();
        }
        self.reached.extend(self.model.end.map(|by| ("ended by".to_owned(), format!("{by:?}"))));
        self.check_end();
    }

    fn note(&mut self, step: String) {
        let at = (self.stage.now - self.stage.start).as_millis();
        self.history.push(format!("{at} ms, {}: {step}", self.model.parties()));
        self.step = step;
    }

    fn note_end(&mut self) {
        if self.model.end.is_some() {
            self.ended_at.get_or_insert(self.stage.now);
        }
    }

    fn step(&mut self) {
        let waiting: Vec<String> = self
            .model
            .guests
            .iter()
            .filter(|guest| self.is_rung(&guest.name))
            .map(|guest| guest.name.clone())
            .collect();
        if !waiting.is_empty() && self.dice.chance(50) {
            let name = waiting[self.dice.between(0, waiting.len() as u64) as usize].clone();
            self.respond(&name);
        } else if let Some(party) =
            self.model.asked_for().map(str::to_owned).filter(|_| self.dice.chance(40))
        {
            self.decide(party);
        } else {
            match self.dice.between(0, 100) {
                0..5 => self.some_party_hangs_up(),
                5..7 => {
                    self.note("wait".into());
                    self.stage.advance(RING + Duration::from_secs(1));
                }
                7..15 => self.refer(),
                _ => {
                    let verb = self.verb();
                    self.ask(&verb);
                }
            }
        }
        self.note_end();
        if self.weather == Weather::Bad {
            self.stage.advance(Duration::from_millis(1_200));
        }
    }

    fn is_rung(&self, name: &str) -> bool {
        let stand = self.model.guest(name).unwrap().stand;
        matches!(stand, Stand::Dialled | Stand::Rings | Stand::RingsAloud)
            && self.stage.phones[self.stage.index(name)].standing == Standing::Rung
    }

    /// Somebody who is rung says something.
    fn respond(&mut self, name: &str) {
        let index = self.stage.index(name);
        let refusals = [
            (486, "busy"),
            (603, "declined"),
            (480, "unreachable"),
            (404, "invalid_number"),
            (500, "trunk_failed"),
            (488, "media"),
        ];
        let refusal = self.dice.pick(&refusals);
        let code = self.dice.pick(&[180, 180, 183, 183, 200, 200, 200, 200, refusal.0]);
        self.note(format!("{name} says {code}"));
        self.stage.reply(index, code);
        match code {
            180 => self.model.ring(name, false),
            183 => self.model.ring(name, true),
            200 => self.model.pick_up(name),
            _ => self.model.leave(name, refusal.1, HangupBy::System),
        }
    }

    fn some_party_hangs_up(&mut self) {
        let talks = |name: &&str| self.model.guest(name).is_none_or(|guest| guest.has_answered());
        let talking: Vec<String> =
            self.model.present().into_iter().filter(talks).map(String::from).collect();
        // Mostly a guest, whose end is not the call's.
        let index = (self.dice.between(0, 40) as usize).min(talking.len() - 1);
        let name = talking[index].clone();
        let by = match (name.as_str(), self.model.guest(&name).map(|guest| guest.kind)) {
            (AGENT, _) => HangupBy::Agent,
            (CUSTOMER, _) => HangupBy::Customer,
            (_, Some(Kind::Third(_))) => HangupBy::Participant,
            _ => HangupBy::System,
        };
        self.hang_up(&name, by);
    }

    fn hang_up(&mut self, name: &str, by: HangupBy) {
        self.note(format!("{name} hangs up"));
        self.stage.hang_up(self.stage.index(name));
        self.model.leave(name, "hung_up", by);
    }

    /// The agent's phone asks for a transfer, if it is still there.
    fn refer(&mut self) {
        if !self.model.present().contains(&AGENT) {
            return;
        }
        let is_number = self.dice.chance(85);
        self.note(format!(
            "the agent's phone refers to {}",
            if is_number { "a number" } else { "somebody" }
        ));
        self.model.refer(self.stage.now, is_number);
        let target = if is_number {
            "<sip:+919876500000@pbx.example>"
        } else {
            "<sip:somebody@pbx.example>"
        };
        self.stage.refer(self.stage.index(AGENT), target);
    }

    /// What the agent's phone has asked for is tried.
    fn decide(&mut self, party: String) {
        let route = self.stage.install(&party);
        let destination = Destination { ring: RING, routes: vec![route], skipped: vec![] };
        self.ask(&Verb::AddParticipant(Box::new(NewParticipant {
            party,
            destination,
            joining: Joining::Transfer,
        })));
    }

    /// A verb of any kind, whatever the state; those that lead on are likelier.
    fn verb(&mut self) -> Verb {
        let mut names: Vec<String> = [AGENT, CUSTOMER, "nobody"].map(String::from).into();
        names.extend(self.model.guests.iter().map(|guest| guest.name.clone()));
        let party = names[self.dice.between(0, names.len() as u64) as usize].clone();
        let guest = names.last().unwrap().clone();
        let role = self.dice.pick(&[
            SupervisorRole::Listen,
            SupervisorRole::Whisper,
            SupervisorRole::Barge,
        ]);
        let can_add = self.stage.phones.len() < MOST_PHONES;
        let roll = match self.model.pending() {
            // What a consultation can become is tried more often.
            Some(_) if self.dice.chance(50) => self.dice.pick(&[0, 0, 2, 14, 14, 16, 16, 19, 20]),
            _ => self.dice.between(0, 32),
        };
        match roll {
            0 | 1 => Verb::Hold,
            2 | 3 => Verb::Resume,
            4 | 5 => Verb::Mute { party },
            6 | 7 => Verb::Unmute { party },
            8..=13 if can_add => {
                let joining = self.dice.pick(&[
                    Joining::Consult,
                    Joining::Consult,
                    Joining::Join,
                    Joining::Join,
                    Joining::Transfer,
                ]);
                let (party, destination) = self.somebody();
                Verb::AddParticipant(Box::new(NewParticipant { party, destination, joining }))
            }
            14 | 15 => Verb::Merge,
            16..=18 => Verb::Swap,
            19 => Verb::Complete,
            20 => Verb::Cancel,
            21 if party != AGENT && party != CUSTOMER => Verb::Remove { party },
            22..=24 if can_add => {
                let (party, destination) = self.somebody();
                Verb::Supervise(Box::new(NewSupervisor {
                    party,
                    target: AgentTarget::Phone(destination),
                    role,
                }))
            }
            25 | 26 => Verb::SetRole { party: guest, role },
            27 => Verb::SendDigits { party, digits: Digits("1#".into()) },
            28 => Verb::StartRecording { file_name: "late.wav".into() },
            29 => Verb::PauseRecording,
            30 => Verb::ResumeRecording,
            _ => Verb::SetRole { party, role },
        }
    }

    /// A new phone; now and then one whose name is taken.
    fn somebody(&mut self) -> (String, Destination) {
        let taken = self.model.guests.last().map_or(CUSTOMER, |guest| &guest.name).to_owned();
        if self.dice.chance(5) {
            return (
                taken,
                Destination {
                    ring: RING,
                    routes: vec![session::route("carrier", session::address("10.9.9.9:5060"), "x")],
                    skipped: vec![],
                },
            );
        }
        let name = format!("g{}", self.stage.phones.len());
        let route = self.stage.install(&name);
        (name, Destination { ring: RING, routes: vec![route], skipped: vec![] })
    }

    /// Asks a verb, and sees that it is answered as the model has it.
    fn ask(&mut self, verb: &Verb) {
        let expected = self.model.answer(verb);
        let asked = reached::name(verb);
        let stage = expected.is_ok().then(|| (asked.clone(), self.model.stage().to_owned()));
        self.reached.extend(stage);
        self.reached.insert((asked, reached::answer(&expected)));
        self.note(format!("{verb:?} {expected:?}"));
        assert_eq!(self.stage.control(verb), expected, "{verb:?} after {}", self.model.parties());
        if expected.is_err() {
            return self.model.refuse(verb);
        }
        let was = self.model.recording;
        self.model.obey(self.stage.now, verb);
        match (was, self.model.recording) {
            (RecordingState::Running, RecordingState::Paused) => {
                self.paused_at = Some(self.stage.now)
            }
            (RecordingState::Paused, RecordingState::Running) => self.end_pause(),
            _ => {}
        }
        if matches!(verb, Verb::SendDigits { .. }) {
            // Digits take the place of what else the party hears.
            self.stage.talk(40);
        }
    }

    fn end_pause(&mut self) {
        if let Some(at) = self.paused_at.take() {
            self.pauses.push((at, self.stage.now));
        }
    }
}

fn run(seed: u64) -> Reached {
    let mut run = Run::bridged(seed);
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run.run())) {
        eprintln!(
            "the seed that failed: {seed}, {:?}, {:?}, {:?}\n{}",
            run.weather,
            run.road,
            run.layout,
            run.history.join("\n")
        );
        resume_unwind(panic);
    }
    run.reached
}

#[test]
fn random_steps() {
    let answers = [
        ("Hold", "done, OnHold, AgentGone"),
        ("Resume", "done, NotOnHold, AgentGone"),
        ("Mute", "done, UnknownParty, AgentGone"),
        ("Unmute", "done, UnknownParty, AgentGone"),
        ("AddParticipant", "done, TransferRunning, UnknownParty, AgentGone"),
        ("Merge", "done, NoConsultation, NotAnswered, AgentGone"),
        ("Swap", "done, NoConsultation, NotAnswered, AgentGone"),
        ("Complete", "done, NoConsultation, NotAnswered, AgentGone"),
        ("Cancel", "done, NoConsultation, AgentGone"),
        ("Remove", "done, UnknownParty"),
        ("Supervise", "done, UnknownParty"),
        ("SetRole", "done, UnknownParty"),
        ("SendDigits", "done, UnknownParty, NotAnswered, AgentGone"),
        ("StartRecording", "done, AlreadyRecording"),
        ("PauseRecording", "done, NotRecording"),
        ("ResumeRecording", "done, NotRecording"),
    ];
    let rings = "a consultation rings, a third party rings, a transfer rings";
    let stages = [
        ("Hold", "two talk, several talk, consulting, a consultation waits"),
        ("Hold", rings),
        ("Resume", "on hold, a transfer rings, consulting"),
        ("Mute", "two talk, several talk, on hold, the agent is gone"),
        ("Unmute", "two talk, several talk, on hold, the agent is gone"),
        ("AddParticipant", "two talk, several talk, on hold, a transfer is asked for"),
        ("Merge", "consulting, a consultation waits"),
        ("Swap", "consulting, a consultation waits"),
        ("Complete", "consulting, a consultation waits, several talk"),
        ("Cancel", "consulting, a transfer is asked for"),
        ("Cancel", rings),
        ("Remove", "several talk, consulting, the agent is gone"),
        ("Remove", rings),
        ("Supervise", "two talk, several talk, on hold, consulting, the agent is gone"),
        ("SetRole", "several talk, on hold, the agent is gone"),
        ("SendDigits", "two talk, several talk, the agent is gone"),
        ("StartRecording", "two talk, several talk, the agent is gone"),
        ("PauseRecording", "two talk, several talk, on hold, the agent is gone"),
        ("ResumeRecording", "two talk, several talk, on hold, the agent is gone"),
        ("ended by", "Agent, Customer, Participant, Api"),
    ];
    reached::check(0..SEED_COUNT, run, &[&answers[..], &stages].concat());
}

/// Four INVITEs in a row are lost (715); of seven packets that are recorded, four (921).
#[test]
fn rare_weather() {
    for seed in [715, 921] {
        run(seed);
    }
}

/// Repeats the seed in the environment, if one is there.
#[test]
fn one_seed_of_steps() {
    wanted_seed().map(run);
}
