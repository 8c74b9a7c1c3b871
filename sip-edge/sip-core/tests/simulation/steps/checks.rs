//! What must hold after each step, and once the call has ended.

use super::{HOLD_FREQUENCY, MEASURED, Run, SETTLING, Span};
use crate::reference::{AGENT, Ground, Stand};
use crate::stage::{LATEST, Phone, Standing, TICK, Weather};
use crate::talk::described_parties;
use media_core::recording::HEADER_LEN;
use media_core::relay::Layout;
use media_core::tone::{self, level};
use std::time::{Duration, Instant};

/// Levels that phones talk in, of a tone that is there, and of one that is not.
const SPOKEN: f64 = 2000.0;
const PRESENT: f64 = 900.0;
const ABSENT: f64 = 150.0;

impl Run {
    pub(super) fn check(&mut self) {
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
        assert_eq!(
            described_parties(conversation),
            self.model.parties(),
            "told after {}",
            self.step
        );
        assert_eq!(conversation.recording, self.model.recording, "told after {}", self.step);
        self.check_referrals();
        assert_eq!(
            self.stage.edge.held().leg_count,
            self.model.present().len(),
            "legs after {}",
            self.step
        );
        let channels =
            self.stage.phones.iter().map(|phone| self.model.channel(&phone.name)).collect();
        for phone in &self.stage.phones {
            self.check_sound(phone, from, &unsettled);
            if self.weather == Weather::Fair {
                self.check_dialog(phone);
            }
        }
        self.spans.push(Span { from, channels, unsettled, step: self.step.clone() });
        self.check_ringback();
    }

    /// Phones that may be silent although they should be heard: what they last agreed to is to be
    /// silent, or that is open.
    fn unsettled(&self) -> Vec<bool> {
        let is_open = |index: usize| self.stage.phones[index].is_held || self.stage.is_open(index);
        (0..self.stage.phones.len())
            .map(|index| self.weather == Weather::Bad && is_open(index))
            .collect()
    }

    /// What must be found at least of a phone that says `count` packets from then on: it is less if
    /// most were lost. What is late may take the place of what was said last.
    fn least_level(&self, index: usize, from: Instant, count: u32) -> f64 {
        let arrived = |late| self.stage.arrived_count(index, from - TICK * late, count);
        let arrived = (0..=LATEST).map(arrived).min().expect("being in time is one way");
        PRESENT.min(0.9 * SPOKEN * f64::from(arrived) / f64::from(count))
    }

    /// Who must be heard is heard from then on, all others are not, and what is played is what
    /// should be.
    fn check_sound(&self, phone: &Phone, from: Instant, unsettled: &[bool]) {
        let name = &phone.name;
        let context = || format!("after {}: {name} of {}", self.step, self.model.parties());
        for (index, other) in self.stage.phones.iter().enumerate() {
            let is_heard = self.model.hears(name, &other.name);
            if is_heard && unsettled[index] {
                continue;
            }
            let least = is_heard.then(|| self.least_level(index, from + TICK, MEASURED));
            check_tone(&phone.heard, Phone::frequency(index), least, || {
                format!("{}: {} {}", other.name, Phone::frequency(index), context())
            });
        }
        let ground = self.model.ground(name);
        let least = (ground == Some(Ground::Hold)).then_some(PRESENT);
        check_tone(&phone.heard, HOLD_FREQUENCY, least, || format!("hold {}", context()));
        if ground != Some(Ground::Ringback) {
            check_tone(&phone.heard, tone::RINGBACK.frequency, None, || {
                format!("ringback {}", context())
            });
        }
    }

    /// Ringback has pauses: all of it is listened to, now and then.
    fn check_ringback(&mut self) {
        let rung = |phone: &&Phone| self.model.ground(&phone.name) == Some(Ground::Ringback);
        let listeners: Vec<String> =
            self.stage.phones.iter().filter(rung).map(|phone| phone.name.clone()).collect();
        if listeners.is_empty() || self.dice.chance(70) {
            return;
        }
        self.stage.phones.iter_mut().for_each(|phone| phone.heard.clear());
        self.stage.talk(160);
        self.model.expire(self.stage.now);
        for name in
            listeners.iter().filter(|name| self.model.ground(name) == Some(Ground::Ringback))
        {
            let heard = &self.stage.phones[self.stage.index(name)].heard;
            let has_rung =
                heard.chunks(1600).any(|span| level(span, tone::RINGBACK.frequency) > PRESENT);
            assert!(
                has_rung,
                "{name} hears no ringback after {}: {}",
                self.step,
                self.model.parties()
            );
        }
    }

    /// What the agent's phone has asked for is asked further, and the phone knows how it fares.
    fn check_referrals(&self) {
        assert_eq!(self.stage.requested, self.model.requested, "after {}", self.step);
        if self.weather == Weather::Fair {
            let agent = &self.stage.phones[self.stage.index(AGENT)];
            assert_eq!(
                (&agent.referred, &agent.notified),
                (&self.model.referred, &self.model.notified),
                "after {}",
                self.step
            );
        }
    }

    fn check_dialog(&self, phone: &Phone) {
        let name = phone.name.as_str();
        let stand = self.model.guest(name).map(|guest| guest.stand);
        let expected = match stand {
            _ if !self.model.present().contains(&name)
                && self.model.guest(name).is_none()
                && name != AGENT =>
            {
                Standing::Idle
            }
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

    pub(super) fn check_end(&mut self) {
        let ended_at = self.ended_at.unwrap();
        if let Some(at) = self.paused_at.take() {
            self.pauses.push((at, ended_at));
        }
        self.stage.advance(Duration::from_millis(100));
        self.stage.phones.iter_mut().for_each(|phone| phone.heard.clear());
        self.stage.talk(5);
        assert!(
            self.stage.phones.iter().all(|phone| phone.heard.is_empty()),
            "somebody hears something after the end"
        );
        self.stage.advance(Duration::from_secs(100));
        assert_eq!(self.stage.ended.len(), 1, "ends that were told");
        assert_eq!(self.stage.edge.held(), Default::default(), "something is left");
        for phone in &self.stage.phones {
            assert!(
                matches!(phone.standing, Standing::Over | Standing::Idle),
                "{} is left {:?}",
                phone.name,
                phone.standing
            );
        }
        let ended = &self.stage.ended[0];
        assert_eq!(ended.hangup_by, self.model.end, "{}", self.step);
        self.check_referrals();
        let others: Vec<_> = ended
            .others
            .iter()
            .map(|other| (other.party.as_str(), other.reason.as_str()))
            .collect();
        let expected: Vec<_> = self
            .model
            .guests
            .iter()
            .map(|guest| (guest.name.as_str(), gone_for(guest.stand)))
            .collect();
        assert_eq!(others, expected);
        self.check_recording(ended_at);
    }

    fn check_recording(&self, ended_at: Instant) {
        let told = self.stage.ended[0].recording.as_ref();
        let Some((name, started_at)) = &self.stage.recording else {
            return assert!(told.is_none());
        };
        let told = told.expect("a recording is told with the end");
        assert_eq!(
            (told.file_name.as_str(), told.file_len),
            (name.as_str(), self.stage.file.len() as u64)
        );
        let expected = ended_at - *started_at;
        assert!(told.duration.abs_diff(expected) <= TICK, "{:?} for {expected:?}", told.duration);
        let pauses: Vec<_> = told.pauses.iter().map(|pause| (pause.from, pause.to)).collect();
        let expected =
            self.pauses.iter().map(|(from, to)| (*from - *started_at, *to - *started_at));
        let expected: Vec<_> =
            expected.map(|(from, to)| (from.min(told.duration), to.min(told.duration))).collect();
        assert_eq!(pauses, expected.into_iter().filter(|(from, to)| from < to).collect::<Vec<_>>());
        let channel_count = if self.layout == Layout::Stereo { 2 } else { 3 };
        let samples: Vec<i16> = self.stage.file[HEADER_LEN..]
            .chunks_exact(2)
            .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
            .collect();
        assert!(
            (samples.len() / channel_count).abs_diff(told.duration.as_millis() as usize * 8) <= 160
        );
        // What was said last may come after the next step, and is still recorded where it belongs.
        let count = MEASURED - LATEST;
        let heard_len = count as usize * 160;
        for span in self.spans.iter().filter(|span| span.from >= *started_at) {
            let first = (span.from - *started_at).as_millis() as usize * 8;
            for channel in 0..channel_count {
                let frames = samples.chunks_exact(channel_count).skip(first).take(heard_len);
                let heard: Vec<i16> = frames.map(|frame| frame[channel]).collect();
                for (index, place) in span.channels.iter().enumerate() {
                    let is_there =
                        place.is_some_and(|place| place.min(channel_count - 1) == channel);
                    if is_there && span.unsettled[index] {
                        continue;
                    }
                    let least = is_there.then(|| self.least_level(index, span.from, count));
                    check_tone(&heard, Phone::frequency(index), least, || {
                        format!(
                            "{} in channel {channel} after {}",
                            self.stage.phones[index].name, span.step
                        )
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

/// The tone is there at this level at least, or else it is not there.
#[track_caller]
fn check_tone(heard: &[i16], frequency: f64, least: Option<f64>, context: impl Fn() -> String) {
    let found = level(heard, frequency);
    match least {
        Some(least) => {
            assert!(found >= least, "not heard ({found:.0} in {}): {}", heard.len(), context())
        }
        None => assert!(found < ABSENT, "heard ({found:.0} in {}): {}", heard.len(), context()),
    }
}
