//! Random verbs, answers and hang-ups on one call, step by step. After each step what every phone is really sent is compared with the
//! reference model, and so are what was told, the SIP dialogs, the relay's legs, and in the end the recording.

use crate::network::Dice;
use crate::reference::{AGENT, CUSTOMER, Ground, Kind, RING, Reference, Stand};
use crate::session;
use crate::stage::{Phone, Stage, Standing, TICK, Weather};
use crate::talk::described_parties;
use media_core::recording::HEADER_LEN;
use media_core::relay::Layout;
use media_core::tone::{self, level};
use sip_core::edge::{
    AgentTarget, Destination, Digits, HangupBy, Joining, NewParticipant, NewSupervisor, PlaceCall, RecordingState,
    SupervisorRole, Verb,
};
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
/// Levels of a tone that is there (2000 are sent), and of one that is not.
const PRESENT: f64 = 900.0;
const ABSENT: f64 = 150.0;

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
    layout: Layout,
    spans: Vec<Span>,
    paused_at: Option<Instant>,
    pauses: Vec<(Instant, Instant)>,
    ended_at: Option<Instant>,
    /// What was done, for a failure's text.
    history: Vec<String>,
    step: String,
}

impl Run {
    fn bridged(seed: u64) -> Run {
        let mut dice = Dice::new(seed);
        let weather = if dice.chance(30) { Weather::Bad } else { Weather::Fair };
        let mut stage = Stage::new(Dice::new(dice.roll()), weather);
        let samples: Vec<i16> = (0..8000).map(|at| tone::Tone::steady(HOLD_FREQUENCY, 2000.0).sample(at)).collect();
        assert!(stage.edge.add_hold_audio("hold", &samples));
        let (agent, customer) = (stage.install(AGENT), stage.install(CUSTOMER));
        let layout = dice.pick(&[Layout::Stereo, Layout::ThreeChannel]);
        let is_recorded = dice.chance(60);
        let call = PlaceCall {
            recording: is_recorded.then(|| "early.wav".into()),
            recording_layout: layout,
            hold_audio: Some("hold".into()),
            no_media: Duration::from_secs(3600),
            ..session::call("call", vec![agent], vec![customer])
        };
        stage.edge.place_call(stage.now, call).unwrap();
        for index in 0..2 {
            stage.settle();
            stage.advance(Duration::from_secs(4));
            stage.reply(index, 200);
        }
        let recording = if is_recorded { RecordingState::Running } else { RecordingState::Off };
        let (spans, pauses) = (Vec::new(), Vec::new());
        let model = Reference::bridged(recording);
        Run {
            stage,
            model,
            dice,
            weather,
            layout,
            spans,
            paused_at: None,
            pauses,
            ended_at: None,
            history: Vec::new(),
            step: "bridge".into(),
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
                    self.stage.edge.hang_up(self.stage.now, "call");
                    self.stage.settle();
                    self.model.leave(CUSTOMER, "removed", HangupBy::Api);
                }
            }
            self.note_end();
        }
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
        let waiting: Vec<String> =
            self.model.guests.iter().filter(|guest| self.is_rung(&guest.name)).map(|guest| guest.name.clone()).collect();
        if !waiting.is_empty() && self.dice.chance(50) {
            let name = waiting[self.dice.between(0, waiting.len() as u64) as usize].clone();
            self.respond(&name);
        } else {
            match self.dice.between(0, 100) {
                0..5 => self.some_party_hangs_up(),
                5..7 => {
                    self.note("wait".into());
                    self.stage.advance(RING + Duration::from_secs(1));
                }
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
        let talking: Vec<String> = self.model.present().into_iter().filter(talks).map(String::from).collect();
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

    /// A verb of any kind, whatever the state; those that lead on are likelier.
    fn verb(&mut self) -> Verb {
        let mut names: Vec<String> = [AGENT, CUSTOMER, "nobody"].map(String::from).into();
        names.extend(self.model.guests.iter().map(|guest| guest.name.clone()));
        let party = names[self.dice.between(0, names.len() as u64) as usize].clone();
        let guest = names.last().unwrap().clone();
        let role = self.dice.pick(&[SupervisorRole::Listen, SupervisorRole::Whisper, SupervisorRole::Barge]);
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
                let joining =
                    self.dice.pick(&[Joining::Consult, Joining::Consult, Joining::Join, Joining::Join, Joining::Transfer]);
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
                Verb::Supervise(Box::new(NewSupervisor { party, target: AgentTarget::Phone(destination), role }))
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
                Destination { ring: RING, routes: vec![session::route("carrier", session::address("10.9.9.9:5060"), "x")] },
            );
        }
        let name = format!("g{}", self.stage.phones.len());
        let route = self.stage.install(&name);
        (name, Destination { ring: RING, routes: vec![route] })
    }

    /// Asks a verb, and sees that it is answered as the model has it.
    fn ask(&mut self, verb: &Verb) {
        let expected = self.model.answer(verb);
        self.note(format!("{verb:?} {expected:?}"));
        assert_eq!(self.stage.control(verb), expected, "{verb:?} after {}", self.model.parties());
        if expected.is_err() {
            return;
        }
        let was = self.model.recording;
        self.model.obey(self.stage.now, verb);
        match (was, self.model.recording) {
            (RecordingState::Running, RecordingState::Paused) => self.paused_at = Some(self.stage.now),
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

    fn check(&mut self) {
        self.model.expire(self.stage.now);
        if self.model.end.is_some() {
            return;
        }
        assert!(self.stage.ended.is_empty(), "the call ended after {}", self.step);
        self.stage.talk(SETTLING);
        let from = self.stage.now;
        self.stage.phones.iter_mut().for_each(|phone| phone.heard.clear());
        let mut unsettled: Vec<bool> = self.unsettled();
        self.stage.talk(MEASURED);
        unsettled.iter_mut().zip(self.unsettled()).for_each(|(before, after)| *before |= after);
        self.model.expire(self.stage.now);
        if self.model.end.is_some() {
            return;
        }
        let conversation = self.stage.conversation.as_ref().unwrap();
        assert_eq!(described_parties(conversation), self.model.parties(), "told after {}", self.step);
        assert_eq!(conversation.recording, self.model.recording, "told after {}", self.step);
        assert_eq!(self.stage.edge.held().leg_count, self.model.present().len(), "legs after {}", self.step);
        let channels = self.stage.phones.iter().map(|phone| self.model.channel(&phone.name)).collect();
        for phone in &self.stage.phones {
            self.check_sound(phone, &unsettled);
            if self.weather == Weather::Fair {
                self.check_dialog(phone);
            }
        }
        self.spans.push(Span { from, channels, unsettled, step: self.step.clone() });
        self.check_ringback();
    }

    /// Phones that may be silent although they should be heard: what they last agreed to is to be silent, or that is open.
    fn unsettled(&self) -> Vec<bool> {
        let is_open = |index: usize| self.stage.phones[index].is_held || self.stage.is_open(index);
        (0..self.stage.phones.len()).map(|index| self.weather == Weather::Bad && is_open(index)).collect()
    }

    /// Who must be heard is heard, all others are not, and what is played is what should be.
    fn check_sound(&self, phone: &Phone, unsettled: &[bool]) {
        let name = &phone.name;
        let context = || format!("after {}: {name} of {}", self.step, self.model.parties());
        for (index, other) in self.stage.phones.iter().enumerate() {
            let is_heard = self.model.hears(name, &other.name);
            if is_heard && unsettled[index] {
                continue;
            }
            check_tone(&phone.heard, Phone::frequency(index), is_heard, || {
                format!("{}: {} {}", other.name, Phone::frequency(index), context())
            });
        }
        let ground = self.model.ground(name);
        check_tone(&phone.heard, HOLD_FREQUENCY, ground == Some(Ground::Hold), || format!("hold {}", context()));
        if ground != Some(Ground::Ringback) {
            check_tone(&phone.heard, tone::RINGBACK.frequency, false, || format!("ringback {}", context()));
        }
    }

    /// Ringback has pauses: all of it is listened to, now and then.
    fn check_ringback(&mut self) {
        let rung = |phone: &&Phone| self.model.ground(&phone.name) == Some(Ground::Ringback);
        let listeners: Vec<String> = self.stage.phones.iter().filter(rung).map(|phone| phone.name.clone()).collect();
        if listeners.is_empty() || self.dice.chance(70) {
            return;
        }
        self.stage.phones.iter_mut().for_each(|phone| phone.heard.clear());
        self.stage.talk(160);
        self.model.expire(self.stage.now);
        for name in listeners.iter().filter(|name| self.model.ground(name) == Some(Ground::Ringback)) {
            let heard = &self.stage.phones[self.stage.index(name)].heard;
            let has_rung = heard.chunks(1600).any(|span| level(span, tone::RINGBACK.frequency) > PRESENT);
            assert!(has_rung, "{name} hears no ringback after {}: {}", self.step, self.model.parties());
        }
    }

    fn check_dialog(&self, phone: &Phone) {
        let name = phone.name.as_str();
        let stand = self.model.guest(name).map(|guest| guest.stand);
        let expected = match stand {
            _ if !self.model.present().contains(&name) && self.model.guest(name).is_none() && name != AGENT => Standing::Idle,
            _ if !self.model.present().contains(&name) => Standing::Over,
            Some(Stand::Dialled | Stand::Rings | Stand::RingsAloud) => Standing::Rung,
            _ => Standing::Up,
        };
        let context = format!("{name} after {}: {}", self.step, self.model.parties());
        assert_eq!(phone.standing, expected, "{context}");
        if expected == Standing::Up {
            assert_eq!(phone.is_held, self.model.is_on_hold(name), "held by SIP: {context}");
        }
    }

    fn check_end(&mut self) {
        let ended_at = self.ended_at.unwrap();
        if let Some(at) = self.paused_at.take() {
            self.pauses.push((at, ended_at));
        }
        self.stage.advance(Duration::from_millis(100));
        self.stage.phones.iter_mut().for_each(|phone| phone.heard.clear());
        self.stage.talk(5);
        assert!(self.stage.phones.iter().all(|phone| phone.heard.is_empty()), "somebody hears something after the end");
        self.stage.advance(Duration::from_secs(100));
        assert_eq!(self.stage.ended.len(), 1, "ends that were told");
        assert_eq!(self.stage.edge.held(), Default::default(), "something is left");
        for phone in &self.stage.phones {
            assert!(matches!(phone.standing, Standing::Over | Standing::Idle), "{} is left {:?}", phone.name, phone.standing);
        }
        let ended = &self.stage.ended[0];
        assert_eq!(ended.hangup_by, self.model.end, "{}", self.step);
        let others: Vec<_> = ended.others.iter().map(|other| (other.party.as_str(), other.reason)).collect();
        let expected: Vec<_> = self.model.guests.iter().map(|guest| (guest.name.as_str(), gone_for(guest.stand))).collect();
        assert_eq!(others, expected);
        self.check_recording(ended_at);
    }

    fn check_recording(&self, ended_at: Instant) {
        let told = self.stage.ended[0].recording.as_ref();
        let Some((name, started_at)) = &self.stage.recording else { return assert!(told.is_none()) };
        let told = told.expect("a recording is told with the end");
        assert_eq!((&told.file_name, told.file_len), (name, self.stage.file.len() as u64));
        let expected = ended_at - *started_at;
        assert!(told.duration.abs_diff(expected) <= TICK, "{:?} for {expected:?}", told.duration);
        let pauses: Vec<_> = told.pauses.iter().map(|pause| (pause.from, pause.to)).collect();
        let expected = self.pauses.iter().map(|(from, to)| (*from - *started_at, *to - *started_at));
        let expected: Vec<_> = expected.map(|(from, to)| (from.min(told.duration), to.min(told.duration))).collect();
        assert_eq!(pauses, expected.into_iter().filter(|(from, to)| from < to).collect::<Vec<_>>());
        let channel_count = if self.layout == Layout::Stereo { 2 } else { 3 };
        let samples: Vec<i16> =
            self.stage.file[HEADER_LEN..].chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
        assert!((samples.len() / channel_count).abs_diff(told.duration.as_millis() as usize * 8) <= 160);
        for span in self.spans.iter().filter(|span| span.from >= *started_at) {
            let first = (span.from - *started_at).as_millis() as usize * 8;
            for channel in 0..channel_count {
                let frames = samples.chunks_exact(channel_count).skip(first).take(1600);
                let heard: Vec<i16> = frames.map(|frame| frame[channel]).collect();
                for (index, place) in span.channels.iter().enumerate() {
                    let is_there = place.is_some_and(|place| place.min(channel_count - 1) == channel);
                    if is_there && span.unsettled[index] {
                        continue;
                    }
                    check_tone(&heard, Phone::frequency(index), is_there, || {
                        format!("{} in channel {channel} after {}", self.stage.phones[index].name, span.step)
                    });
                }
            }
        }
    }
}

fn gone_for(stand: Stand) -> &'static str {
    match stand {
        Stand::Gone(reason) => reason,
        _ => panic!("still there: {stand:?}"),
    }
}

#[track_caller]
fn check_tone(heard: &[i16], frequency: f64, is_expected: bool, context: impl Fn() -> String) {
    let found = level(heard, frequency);
    if is_expected {
        assert!(found > PRESENT, "not heard ({found:.0} in {}): {}", heard.len(), context());
    } else {
        assert!(found < ABSENT, "heard ({found:.0} in {}): {}", heard.len(), context());
    }
}

fn run(seed: u64) {
    let mut run = Run::bridged(seed);
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run.run())) {
        eprintln!("the seed that failed: {seed}, {:?}, {:?}\n{}", run.weather, run.layout, run.history.join("\n"));
        resume_unwind(panic);
    }
}

#[test]
fn random_steps_first_half() {
    (0..SEED_COUNT / 2).for_each(run);
}

#[test]
fn random_steps_second_half() {
    (SEED_COUNT / 2..SEED_COUNT).for_each(run);
}

/// Repeats the seed in the environment, or one of the first.
#[test]
fn one_seed_of_steps() {
    run(std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1));
}
