//! The reference model of a conversation under control: what each verb must answer, where each
//! party then is, whom each one hears, and what becomes of those who leave. Written from the
//! meaning of the verbs; knows nothing of relays, legs or dialogs.

use call_words::{HangupBy, Joining, RecordingState, RefusalCode, SupervisorRole};
use sip_core::control::Verb;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

pub const AGENT: &str = "agent";
pub const CUSTOMER: &str = "customer";
/// How long whoever is dialled may ring.
pub const RING: Duration = Duration::from_secs(60);
const MOST_PARTIES: usize = 8;
/// How long it may take until it is decided what becomes of a REFER.
const DECISION: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Third(Joining),
    Boss(SupervisorRole),
}

/// How far somebody who was added has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stand {
    Dialled,
    Rings,
    /// Rings, and is heard already.
    RingsAloud,
    /// A third party that has answered and stays apart, with or without the agent.
    Apart,
    Joined,
    Gone(&'static str),
}

#[derive(Debug, Clone)]
pub struct Guest {
    pub name: String,
    pub kind: Kind,
    pub stand: Stand,
    ring_by: Instant,
}

impl Guest {
    pub fn is_there(&self) -> bool {
        !matches!(self.stand, Stand::Gone(_))
    }

    pub fn has_answered(&self) -> bool {
        matches!(self.stand, Stand::Apart | Stand::Joined)
    }

    fn is_third(&self) -> bool {
        matches!(self.kind, Kind::Third(_))
    }

    fn is_pending(&self) -> bool {
        self.is_third() && self.is_there() && self.stand != Stand::Joined
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Main,
    Aside,
    Alone,
    Nowhere,
}

/// What is played to somebody whom nobody talks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ground {
    Ringback,
    Hold,
    Silence,
}

/// A transfer that the agent's phone has asked for.
#[derive(Debug, Clone)]
struct Referral {
    party: String,
    /// Until when it must be decided; `None` once it is dialled.
    decide_by: Option<Instant>,
}

/// One call from its bridge on.
#[derive(Debug, Clone)]
pub struct Reference {
    accepts_refer: bool,
    referral: Option<Referral>,
    /// Parties that the agent's phone was allowed to ask for; status codes of its REFERs, and of
    /// the transfers as it is notified.
    pub requested: Vec<String>,
    pub referred: Vec<u16>,
    pub notified: Vec<u16>,
    is_agent_gone: bool,
    is_agent_aside: bool,
    is_held: bool,
    muted: BTreeSet<String>,
    pub guests: Vec<Guest>,
    pub recording: RecordingState,
    was_recorded: bool,
    /// Who ended it.
    pub end: Option<HangupBy>,
}

type Answer = Result<(), RefusalCode>;

impl Reference {
    pub fn bridged(recording: RecordingState, accepts_refer: bool) -> Reference {
        Reference {
            accepts_refer,
            referral: None,
            requested: Vec::new(),
            referred: Vec::new(),
            notified: Vec::new(),
            is_agent_gone: false,
            is_agent_aside: false,
            is_held: false,
            muted: BTreeSet::new(),
            guests: Vec::new(),
            recording,
            was_recorded: recording != RecordingState::Off,
            end: None,
        }
    }

    pub fn guest(&self, name: &str) -> Option<&Guest> {
        self.guests.iter().find(|guest| guest.name == name)
    }

    /// The third party that has not joined yet.
    pub fn pending(&self) -> Option<&Guest> {
        self.guests.iter().find(|guest| guest.is_pending())
    }

    /// The parties that are there.
    pub fn present(&self) -> Vec<&str> {
        let guests =
            self.guests.iter().filter(|guest| guest.is_there()).map(|guest| guest.name.as_str());
        let agent = (!self.is_agent_gone).then_some(AGENT);
        agent.into_iter().chain([CUSTOMER]).chain(guests).filter(|_| self.end.is_none()).collect()
    }

    fn meant(&self, party: &str) -> Answer {
        match party {
            AGENT if self.is_agent_gone => Err(RefusalCode::AgentGone),
            _ if self.present().contains(&party) => Ok(()),
            _ => Err(RefusalCode::UnknownParty),
        }
    }

    fn has_room_for(&self, name: &str) -> Answer {
        if self.guest(name).is_some() || matches!(name, AGENT | CUSTOMER) {
            Err(RefusalCode::UnknownParty)
        } else if self.present().len() == MOST_PARTIES {
            Err(RefusalCode::TooManyParties)
        } else {
            Ok(())
        }
    }

    /// Whether there is a consultation with somebody who talks.
    fn consulted(&self) -> Answer {
        match self.pending() {
            Some(Guest { stand: Stand::Apart, .. }) => Ok(()),
            Some(Guest { kind: Kind::Third(Joining::Consult), .. }) => {
                Err(RefusalCode::NotAnswered)
            }
            _ => Err(RefusalCode::NoConsultation),
        }
    }

    /// What the call is at: the way of the agent and of the third party that has not joined.
    pub fn stage(&self) -> &'static str {
        match self.pending().map(|guest| (guest.kind, guest.has_answered())) {
            _ if self.is_agent_gone => "the agent is gone",
            _ if self.asked_for().is_some() => "a transfer is asked for",
            Some((Kind::Third(Joining::Consult), false)) => "a consultation rings",
            Some((Kind::Third(Joining::Consult), true)) if self.is_agent_aside => "consulting",
            Some((Kind::Third(Joining::Consult), true)) => "a consultation waits",
            Some((Kind::Third(Joining::Transfer), _)) => "a transfer rings",
            Some(_) => "a third party rings",
            None if self.is_held => "on hold",
            None if self.present().len() > 2 => "several talk",
            None => "two talk",
        }
    }

    /// The answer that a verb must get.
    pub fn answer(&self, verb: &Verb) -> Answer {
        use RefusalCode::{
            AgentGone, AlreadyRecording, NoConsultation, NotAnswered, NotOnHold, NotRecording,
            OnHold, TransferRunning, UnknownParty,
        };
        let is_agents = matches!(
            verb,
            Verb::Hold
                | Verb::Resume
                | Verb::AddParticipant(_)
                | Verb::Merge
                | Verb::Swap
                | Verb::Complete
                | Verb::Cancel
        );
        let refuse = |refusal, is_refused: bool| if is_refused { Err(refusal) } else { Ok(()) };
        match verb {
            _ if is_agents && self.is_agent_gone => Err(AgentGone),
            Verb::Hold => refuse(OnHold, self.is_held),
            Verb::Resume => refuse(NotOnHold, !self.is_held),
            Verb::Mute { party } | Verb::Unmute { party } | Verb::Remove { party } => {
                self.meant(party)
            }
            Verb::SendDigits { party, .. } => {
                self.meant(party)?;
                refuse(NotAnswered, self.guest(party).is_some_and(|guest| !guest.has_answered()))
            }
            Verb::AddParticipant(_) if self.pending().is_some() => Err(TransferRunning),
            Verb::AddParticipant(new) => self.has_room_for(&new.party),
            Verb::Merge | Verb::Swap => self.consulted(),
            Verb::Complete => {
                refuse(NotAnswered, self.pending().is_some_and(|guest| !guest.has_answered()))?;
                refuse(
                    NoConsultation,
                    !self.guests.iter().any(|guest| guest.is_third() && guest.has_answered()),
                )
            }
            Verb::Cancel => {
                refuse(NoConsultation, self.pending().is_none() && self.asked_for().is_none())
            }
            Verb::Supervise(new) => self.has_room_for(&new.party),
            Verb::SetRole { party, .. } => {
                let is_boss = |guest: &Guest| guest.is_there() && !guest.is_third();
                refuse(UnknownParty, !self.guest(party).is_some_and(is_boss))
            }
            Verb::StartRecording { .. } => refuse(AlreadyRecording, self.was_recorded),
            Verb::PauseRecording | Verb::ResumeRecording => {
                refuse(NotRecording, self.recording == RecordingState::Off)
            }
        }
    }

    /// The party that the agent's phone asks for, while nothing is decided.
    pub fn asked_for(&self) -> Option<&str> {
        self.referral
            .as_ref()
            .filter(|referral| referral.decide_by.is_some())
            .map(|referral| referral.party.as_str())
    }

    /// The agent's phone asks for a transfer to a number, or to what is none.
    pub fn refer(&mut self, now: Instant, is_number: bool) {
        let is_free = self.referral.is_none() && self.pending().is_none();
        if !(self.accepts_refer && is_free && is_number) {
            return self.referred.push(603);
        }
        self.referred.push(202);
        self.notified.push(100);
        let party = format!("refer-{}", self.requested.len() + 1);
        self.requested.push(party.clone());
        self.referral = Some(Referral { party, decide_by: Some(now + DECISION) });
    }

    fn end_referral(&mut self, code: u16) {
        if self.referral.take().is_some() {
            self.notified.push(code);
        }
    }

    /// What a refused verb makes of the call: the phone learns that its transfer will not be.
    pub fn refuse(&mut self, verb: &Verb) {
        let refers = |party: &String| {
            self.referral.as_ref().is_some_and(|referral| referral.party == *party)
        };
        if matches!(verb, Verb::AddParticipant(new) if refers(&new.party)) {
            self.end_referral(503);
        }
    }

    /// What a verb that was not refused makes of the call.
    pub fn obey(&mut self, now: Instant, verb: &Verb) {
        let dialled = |name: &str, kind| Guest {
            name: name.into(),
            kind,
            stand: Stand::Dialled,
            ring_by: now + RING,
        };
        match verb {
            Verb::Hold => self.is_held = true,
            Verb::Resume => self.is_held = false,
            Verb::Mute { party } => drop(self.muted.insert(party.clone())),
            Verb::Unmute { party } => drop(self.muted.remove(party)),
            Verb::SendDigits { .. } => {}
            Verb::AddParticipant(new) => {
                self.is_agent_aside = new.joining == Joining::Consult;
                if let Some(referral) =
                    self.referral.as_mut().filter(|referral| referral.party == new.party)
                {
                    referral.decide_by = None;
                }
                self.guests.push(dialled(&new.party, Kind::Third(new.joining)));
            }
            Verb::Supervise(new) => self.guests.push(dialled(&new.party, Kind::Boss(new.role))),
            Verb::Merge => self.unite(),
            Verb::Swap => self.is_agent_aside = !self.is_agent_aside,
            Verb::Complete => {
                self.unite();
                self.is_agent_gone = true;
                self.referral = None;
            }
            Verb::Cancel => match self.pending().map(|guest| guest.name.clone()) {
                Some(name) => self.leave(&name, "canceled", HangupBy::Api),
                None => self.end_referral(603),
            },
            Verb::Remove { party } => self.leave(&party.clone(), "removed", HangupBy::Api),
            Verb::SetRole { party, role } => self.guest_mut(party).kind = Kind::Boss(*role),
            Verb::StartRecording { .. } => {
                self.recording = RecordingState::Running;
                self.was_recorded = true;
            }
            Verb::PauseRecording => self.recording = RecordingState::Paused,
            Verb::ResumeRecording => self.recording = RecordingState::Running,
        }
    }

    fn guest_mut(&mut self, name: &str) -> &mut Guest {
        self.guests.iter_mut().find(|guest| guest.name == name).unwrap()
    }

    /// All who are apart come together; nobody is kept on hold.
    fn unite(&mut self) {
        self.guests
            .iter_mut()
            .filter(|guest| guest.stand == Stand::Apart)
            .for_each(|guest| guest.stand = Stand::Joined);
        self.is_agent_aside = false;
        self.is_held = false;
    }

    pub fn ring(&mut self, name: &str, is_aloud: bool) {
        let guest = self.guest_mut(name);
        guest.stand = if is_aloud || guest.stand == Stand::RingsAloud {
            Stand::RingsAloud
        } else {
            Stand::Rings
        };
    }

    pub fn pick_up(&mut self, name: &str) {
        let guest = self.guest_mut(name);
        let is_consulted = guest.kind == Kind::Third(Joining::Consult);
        guest.stand = if is_consulted { Stand::Apart } else { Stand::Joined };
        if guest.kind == Kind::Third(Joining::Transfer) {
            self.is_agent_gone = true;
            self.is_held = false;
            self.end_referral_of(name, 200);
        }
    }

    fn end_referral_of(&mut self, party: &str, code: u16) {
        if self.referral.as_ref().is_some_and(|referral| referral.party == party) {
            self.end_referral(code);
        }
        self.referral = self.referral.take().filter(|_| !self.is_agent_gone);
    }

    /// A party goes, or is made to: the agent's and the customer's end is the call's, and so is the
    /// last third party's.
    pub fn leave(&mut self, name: &str, reason: &'static str, by: HangupBy) {
        if matches!(name, AGENT | CUSTOMER) {
            return self.finish(by);
        }
        let guest = self.guest_mut(name);
        let (was_pending, is_third) = (guest.is_pending(), guest.is_third());
        guest.stand = Stand::Gone(reason);
        if was_pending {
            self.is_agent_aside = false;
            self.end_referral_of(name, code_of(reason));
        }
        let has_third = self.guests.iter().any(|guest| guest.is_third() && guest.is_there());
        if is_third && self.is_agent_gone && !has_third {
            self.finish(by);
        }
    }

    fn finish(&mut self, by: HangupBy) {
        self.end = Some(by);
        for guest in self.guests.iter_mut().filter(|guest| guest.is_there()) {
            guest.stand = Stand::Gone(if guest.has_answered() { "ended" } else { "canceled" });
        }
    }

    /// Whoever rang too long is given up.
    pub fn expire(&mut self, now: Instant) {
        let is_late =
            |guest: &&Guest| guest.is_there() && !guest.has_answered() && guest.ring_by <= now;
        let late: Vec<String> =
            self.guests.iter().filter(is_late).map(|guest| guest.name.clone()).collect();
        late.iter().for_each(|name| self.leave(name, "no_answer", HangupBy::System));
        if self
            .referral
            .as_ref()
            .and_then(|referral| referral.decide_by)
            .is_some_and(|by| by <= now)
            && self.end.is_none()
        {
            self.end_referral(503);
        }
    }

    fn is_transferring(&self) -> bool {
        self.pending().is_some_and(|guest| guest.kind == Kind::Third(Joining::Transfer))
    }

    fn place(&self, name: &str) -> Place {
        match (name, self.guest(name)) {
            _ if self.end.is_some() => Place::Nowhere,
            (AGENT, _) if self.is_agent_gone => Place::Nowhere,
            (AGENT, _) if self.is_transferring() => Place::Alone,
            (AGENT, _) if self.is_agent_aside => Place::Aside,
            (CUSTOMER, _) if self.is_held => Place::Alone,
            (AGENT | CUSTOMER, _) => Place::Main,
            (_, Some(Guest { kind: Kind::Third(joining), stand, .. })) => match (stand, joining) {
                (Stand::Joined, _) => Place::Main,
                (Stand::Apart, _) | (Stand::RingsAloud, Joining::Consult) => Place::Aside,
                _ => Place::Nowhere,
            },
            _ => Place::Nowhere,
        }
    }

    fn are_together(&self, one: &str, other: &str) -> bool {
        one != other
            && self.place(one) == self.place(other)
            && matches!(self.place(one), Place::Main | Place::Aside)
    }

    /// With the agent, or in the conversation that goes on without one.
    fn is_watched(&self, name: &str) -> bool {
        match name {
            AGENT => !self.is_agent_gone,
            _ if self.is_agent_gone => self.place(name) == Place::Main,
            _ => self.are_together(AGENT, name),
        }
    }

    fn role(&self, name: &str) -> Option<SupervisorRole> {
        match self.guest(name) {
            Some(Guest { kind: Kind::Boss(role), stand: Stand::Joined, .. }) => Some(*role),
            _ => None,
        }
    }

    /// Whether one must hear the other. Who must not, must not.
    pub fn hears(&self, listener: &str, speaker: &str) -> bool {
        use SupervisorRole::{Barge, Listen, Whisper};
        if listener == speaker || self.end.is_some() || self.muted.contains(speaker) {
            return false;
        }
        match (self.role(listener), self.role(speaker)) {
            (None, None) => self.are_together(listener, speaker),
            (Some(_), None) => self.is_watched(speaker),
            (_, Some(Listen)) => false,
            (None, Some(Whisper)) => listener == AGENT && !self.is_agent_gone,
            (Some(_), Some(Whisper)) => !self.is_agent_gone,
            (None, Some(Barge)) => self.is_watched(listener),
            (Some(_), Some(Barge)) => true,
        }
    }

    /// What is played to a party, unless it hears somebody; `None` if nothing is sent to it.
    pub fn ground(&self, listener: &str) -> Option<Ground> {
        let present = self.present();
        if present.iter().any(|speaker| self.hears(listener, speaker)) {
            return None;
        }
        let has_company = present.iter().any(|other| self.are_together(listener, other));
        let is_rung_for = listener == AGENT
            && (self.is_transferring()
                || self.is_agent_aside
                    && self.pending().is_some_and(|guest| !guest.has_answered()));
        match self.place(listener) {
            _ if self.role(listener).is_some() => Some(Ground::Silence),
            Place::Nowhere => None,
            _ if is_rung_for => Some(Ground::Ringback),
            _ if has_company => Some(Ground::Silence),
            Place::Main if self.is_transferring() => Some(Ground::Ringback),
            _ => Some(Ground::Hold),
        }
    }

    /// Whether a party other than the agent waits alone.
    pub fn is_on_hold(&self, name: &str) -> bool {
        let is_alone = || !self.present().iter().any(|other| self.are_together(name, other));
        match self.place(name) {
            Place::Nowhere => false,
            Place::Alone => name != AGENT,
            Place::Main | Place::Aside => name != AGENT && !self.is_transferring() && is_alone(),
        }
    }

    /// The channel in which a party is recorded: 0 the agent, 1 the customer, 2 the others.
    pub fn channel(&self, name: &str) -> Option<usize> {
        let is_barging = self.role(name) == Some(SupervisorRole::Barge);
        let is_taped = is_barging || self.place(name) != Place::Nowhere && !self.is_on_hold(name);
        if self.recording != RecordingState::Running || self.muted.contains(name) || !is_taped {
            return None;
        }
        Some(match name {
            AGENT => 0,
            CUSTOMER => 1,
            _ if is_barging => 0,
            _ => 2,
        })
    }

    /// How the parties stand, in `Talk::parties`' words.
    pub fn parties(&self) -> String {
        let word = |name: &str| match (name, self.guest(name).map(|guest| guest.stand)) {
            (AGENT, _) if self.is_agent_gone => "completed",
            (AGENT, _) if self.place(AGENT) != Place::Main => "consulting",
            (_, Some(Stand::Gone(reason))) => reason,
            (_, Some(Stand::Dialled)) => "dialing",
            (_, Some(Stand::Rings | Stand::RingsAloud)) => "ringing",
            _ if self.is_on_hold(name) => "hold",
            (_, Some(Stand::Apart)) => "consulting",
            _ => "talking",
        };
        let names = [AGENT, CUSTOMER]
            .into_iter()
            .chain(self.guests.iter().map(|guest| guest.name.as_str()));
        let mark = |name| if self.muted.contains(name) { "!" } else { "" };
        names
            .map(|name| format!("{name}:{}{}", word(name), mark(name)))
            .collect::<Vec<_>>()
            .join(" ")
    }
}

/// The status with which a transfer has failed for this reason.
fn code_of(reason: &str) -> u16 {
    match reason {
        "busy" => 486,
        "declined" => 603,
        "unreachable" => 480,
        "invalid_number" => 404,
        "trunk_failed" => 500,
        "media" => 488,
        "canceled" => 487,
        _ => 503,
    }
}
