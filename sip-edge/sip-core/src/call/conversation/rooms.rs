//! Who hears whom: from each party's room to the sources and the background of each leg. Pure;
//! knows no call, no relay and no SIP.

use crate::outcome::LegName;
use call_words::SupervisorRole;

/// Where a party is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    Conversation,
    Consultation,
    /// Alone: the customer on hold.
    Hold,
    /// Alone: the agent, who waits for the answer of a blind transfer's third party.
    Apart,
}

/// Whether the others hear a party.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Voice {
    #[default]
    On,
    Muted,
}

/// Whether there is somebody at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    Here,
    /// A softphone that is lost and waited for.
    Away,
    /// A phone that holds by itself.
    Holding,
}

/// One party that can talk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seat {
    pub leg: LegName,
    pub room: Room,
    pub voice: Voice,
    pub presence: Presence,
}

/// One supervisor who is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watcher {
    pub leg: LegName,
    pub role: SupervisorRole,
    pub voice: Voice,
}

/// Whose ringing is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ringing {
    Nobody,
    /// The third party of a consultation, by who is in it.
    Consultation,
    /// The third party of a blind transfer, by the agent and by whoever would else be alone.
    Transfer,
}

/// All that decides who hears whom.
#[derive(Debug, Clone)]
pub struct Scene {
    /// The agent first, if there is one.
    pub seats: Vec<Seat>,
    pub watchers: Vec<Watcher>,
    pub ringing: Ringing,
}

/// What is played to a leg that nobody talks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Background {
    Ringback,
    Hold,
    /// There is company, but nobody who is heard.
    Silence,
}

/// What one leg hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ears {
    pub leg: LegName,
    pub sources: Vec<LegName>,
    /// Played while no audio of a source comes.
    pub background: Option<Background>,
}

impl Scene {
    /// What each leg hears.
    pub fn ears(&self) -> Vec<Ears> {
        let mut all: Vec<Ears> = self.seats.iter().map(|seat| self.ears_of(seat)).collect();
        for watcher in &self.watchers {
            let sources = self.overheard(watcher);
            let background = sources.is_empty().then_some(Background::Silence);
            all.push(Ears { leg: watcher.leg, sources, background });
        }
        all
    }

    /// Whether a party other than the agent is kept waiting, alone.
    pub fn is_on_hold(&self, leg: LegName) -> bool {
        let seat = self.seats.iter().find(|seat| seat.leg == leg && leg != LegName::Agent);
        let waits =
            |seat: &Seat| self.ringing != Ringing::Transfer && self.mates(seat).next().is_none();
        seat.is_some_and(|seat| seat.room == Room::Hold || waits(seat))
    }

    fn mates(&self, seat: &Seat) -> impl Iterator<Item = &Seat> {
        let (leg, room) = (seat.leg, seat.room);
        let is_shared = matches!(room, Room::Conversation | Room::Consultation);
        self.seats.iter().filter(move |other| is_shared && other.leg != leg && other.room == room)
    }

    fn ears_of(&self, seat: &Seat) -> Ears {
        let voices = self.mates(seat).filter(|mate| mate.voice == Voice::On).map(|mate| mate.leg);
        let watchers = self
            .watchers
            .iter()
            .filter(|watcher| self.is_heard_by(watcher, seat))
            .map(|watcher| watcher.leg);
        let sources: Vec<LegName> = voices.chain(watchers).collect();
        let is_alone = self.mates(seat).all(|mate| mate.presence != Presence::Here);
        let background = match (self.ringing, seat.room) {
            (Ringing::Consultation, Room::Consultation) if seat.leg == LegName::Agent => {
                Some(Background::Ringback)
            }
            (Ringing::Transfer, Room::Apart) => Some(Background::Ringback),
            (Ringing::Transfer, Room::Conversation) if is_alone => Some(Background::Ringback),
            _ if is_alone => Some(Background::Hold),
            _ => sources.is_empty().then_some(Background::Silence),
        };
        Ears { leg: seat.leg, sources, background }
    }

    /// Where the supervisors are: with the agent, or in the conversation once the agent has left.
    fn watched(&self) -> Room {
        self.agent().map_or(Room::Conversation, |agent| agent.room)
    }

    fn agent(&self) -> Option<&Seat> {
        self.seats.iter().find(|seat| seat.leg == LegName::Agent)
    }

    fn is_heard_by(&self, watcher: &Watcher, seat: &Seat) -> bool {
        let reaches = match watcher.role {
            SupervisorRole::Listen => false,
            SupervisorRole::Whisper => seat.leg == LegName::Agent,
            SupervisorRole::Barge => seat.room == self.watched(),
        };
        reaches && watcher.voice == Voice::On
    }

    /// The agent and all that the agent hears; without an agent the conversation.
    fn overheard(&self, watcher: &Watcher) -> Vec<LegName> {
        let watched = self.watched();
        let parties = self
            .seats
            .iter()
            .filter(|seat| seat.room == watched && seat.voice == Voice::On)
            .map(|seat| seat.leg);
        let is_heard = |other: &&Watcher| {
            other.leg != watcher.leg
                && self
                    .seats
                    .iter()
                    .any(|seat| seat.room == watched && self.is_heard_by(other, seat))
        };
        parties.chain(self.watchers.iter().filter(is_heard).map(|other| other.leg)).collect()
    }
}

#[cfg(test)]
mod tests;
