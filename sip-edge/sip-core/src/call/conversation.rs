//! Brings the call's state to `rooms` and the answer to the relay, in one go: who hears whom, what
//! is played, what is recorded, and which trunk is told that it is on hold. Says how the parties
//! stand.

pub mod guest;
mod participant;
pub mod referral;
pub mod rooms;
pub mod speaking;
mod supervisor;

use super::agent::softphone::Softphone;
use super::context::Context;
use super::leg::Leg;
use super::leg::description::Agreement;
use super::leg::exchange::Wish;
use super::{AgentPlace, Call};
use crate::control::{Conversation, Joining, Party, PartyRole, PartyState, SupervisorRole};
use crate::event::MilestoneKind;
use crate::outcome::LegName;
use guest::{Guest, GuestRole, Stage};
use media_core::relay::{Channel, LegId, Tone};
use rooms::{Background, Ears, Presence, Ringing, Room, Scene, Seat, Voice, Watcher};

impl Call {
    pub(super) fn is_agent_gone(&self) -> bool {
        self.agent_place == AgentPlace::Gone
    }

    fn is_agent_absent(&self) -> bool {
        self.softphone.as_ref().is_some_and(Softphone::is_absent)
    }

    /// What is rung for: a participant that has not answered.
    fn ringing(&self) -> Ringing {
        let dialled = self.pending().filter(|guest| guest.stage != Stage::Consulting);
        match dialled.map(|guest| guest.role) {
            Some(GuestRole::Participant(Joining::Consult)) => Ringing::Consultation,
            Some(GuestRole::Participant(Joining::Transfer)) => Ringing::Transfer,
            _ => Ringing::Nobody,
        }
    }

    fn scene(&self) -> Scene {
        let ringing = self.ringing();
        let presence = |leg: &Leg| {
            let holds =
                leg.is_answered() && leg.agreed.as_ref().is_some_and(Agreement::is_held_by_peer);
            if holds { Presence::Holding } else { Presence::Here }
        };
        let mut seats = Vec::with_capacity(4);
        let agent_room = match self.agent_place {
            AgentPlace::Gone => None,
            _ if ringing == Ringing::Transfer => Some(Room::Apart),
            AgentPlace::Conversation => Some(Room::Conversation),
            AgentPlace::Consultation => Some(Room::Consultation),
        };
        if let Some(room) = agent_room {
            let presence =
                if self.is_agent_absent() { Presence::Away } else { presence(&self.agent) };
            seats.push(Seat { leg: LegName::Agent, room, voice: self.agent_voice, presence });
        }
        let room = if self.is_held { Room::Hold } else { Room::Conversation };
        let customer = presence(&self.customer);
        seats.push(Seat {
            leg: LegName::Customer,
            room,
            voice: self.customer_voice,
            presence: customer,
        });
        let mut watchers = Vec::new();
        for guest in &self.guests {
            let (leg, voice, presence) = (guest.leg.name, guest.voice, presence(&guest.leg));
            match (guest.role, guest.stage) {
                (GuestRole::Supervisor(role), Stage::Joined) => {
                    watchers.push(Watcher { leg, role, voice })
                }
                (GuestRole::Participant(_), Stage::Joined) => {
                    seats.push(Seat { leg, room: Room::Conversation, voice, presence });
                }
                (
                    GuestRole::Participant(Joining::Consult),
                    Stage::Consulting | Stage::Ringing { has_media: true },
                )
                | (GuestRole::Participant(_), Stage::Consulting) => {
                    seats.push(Seat { leg, room: Room::Consultation, voice, presence });
                }
                _ => {}
            }
        }
        Scene { seats, watchers, ringing }
    }

    /// Lets the relay, the recording and the trunks follow the call's state.
    pub(super) fn arrange(&mut self, cx: &mut Context<'_>) {
        let scene = self.scene();
        let ears = scene.ears();
        let before = std::mem::take(&mut self.heard);
        let former = |leg: LegName| before.iter().find(|each| each.leg == leg);
        for each in ears
            .iter()
            .filter(|each| former(each.leg).map(|ears| &ears.sources) != Some(&each.sources))
        {
            let sources: Vec<LegId> = each.sources.iter().map(|name| self.media(*name)).collect();
            cx.shard.relay.set_hearing(cx.now, self.media(each.leg), &sources);
        }
        for gone in before.iter().filter(|each| ears.iter().all(|now| now.leg != each.leg)) {
            cx.shard.relay.set_hearing(cx.now, self.media(gone.leg), &[]);
            cx.shard.relay.stop_playing(self.media(gone.leg));
        }
        // What is played pauses while a source's audio comes: when the sources change it begins at
        // once.
        let is_played = |each: &&Ears| former(each.leg).is_some_and(|ears| ears == *each);
        for each in ears.iter().filter(|each| !is_played(each)) {
            match each.background {
                Some(background) => {
                    cx.shard.relay.play(cx.now, self.media(each.leg), self.tone(cx, background))
                }
                None => cx.shard.relay.stop_playing(self.media(each.leg)),
            }
        }
        self.heard = ears;
        self.record_scene(cx, &scene);
        self.hold_trunks(cx, &scene);
    }

    fn tone(&self, cx: &Context<'_>, background: Background) -> Tone {
        let kept = self.hold_audio.as_ref().and_then(|name| cx.shard.hold_audio.get(name));
        match background {
            Background::Ringback => Tone::Ringback,
            Background::Silence => Tone::Silence,
            Background::Hold => kept.map_or(Tone::Hold, |audio| Tone::Audio(*audio)),
        }
    }

    /// Forgets what a leg that is closed heard.
    pub(super) fn quieten(&mut self, leg: LegName) {
        self.heard.retain(|ears| ears.leg != leg);
        self.forget_speaker(leg);
    }

    /// The pre-bridge pair: the agent hears what the customer's network says.
    pub(super) fn pair(&mut self, cx: &mut Context<'_>) {
        let (agent, customer) = (self.agent.media, self.customer.media);
        cx.shard.relay.set_hearing(cx.now, agent, &[customer]);
        cx.shard.relay.set_hearing(cx.now, customer, &[agent]);
        let ears = |leg, source| Ears { leg, sources: vec![source], background: None };
        self.heard =
            vec![ears(LegName::Agent, LegName::Customer), ears(LegName::Customer, LegName::Agent)];
    }

    /// Who is recorded where: all that talk and are heard, and of the supervisors those who barge
    /// in.
    fn record_scene(&mut self, cx: &mut Context<'_>, scene: &Scene) {
        let is_taped = |seat: &&Seat| seat.voice == Voice::On && !scene.is_on_hold(seat.leg);
        let seats = scene.seats.iter().filter(is_taped).map(|seat| {
            let channel = match seat.leg {
                LegName::Agent | LegName::Supervisor(_) => Channel::Agent,
                LegName::Customer => Channel::Customer,
                LegName::Participant(_) => Channel::Third,
            };
            (seat.leg, channel)
        });
        let barging = scene
            .watchers
            .iter()
            .filter(|watcher| watcher.role == SupervisorRole::Barge && watcher.voice == Voice::On);
        let wanted = seats.chain(barging.map(|watcher| (watcher.leg, Channel::Agent))).collect();
        self.record_parties(cx, wanted);
    }

    fn hold_trunks(&mut self, cx: &mut Context<'_>, scene: &Scene) {
        let wish = |leg| if scene.is_on_hold(leg) { Wish::Hold } else { Wish::Talk };
        self.customer.want(cx, wish(LegName::Customer));
        for guest in
            self.guests.iter_mut().filter(|guest| guest.is_participant() && guest.is_talking())
        {
            guest.leg.want(cx, wish(guest.leg.name));
        }
    }

    /// Tells a step after which the parties stand as they do now.
    pub(super) fn tell(&self, cx: &mut Context<'_>, leg: Option<LegName>, kind: MilestoneKind) {
        cx.rearranged(leg, kind, None, None, Some(self.conversation()));
    }

    /// How the parties stand.
    pub(super) fn conversation(&self) -> Conversation {
        let scene = self.scene();
        let agent = Party {
            party: "agent".into(),
            role: PartyRole::Agent,
            state: match scene.seats.iter().find(|seat| seat.leg == LegName::Agent) {
                None => PartyState::Left,
                Some(seat) if seat.presence == Presence::Away => PartyState::Away,
                Some(seat) if seat.room == Room::Conversation => PartyState::Talking,
                Some(_) => PartyState::Consulting,
            },
            is_muted: self.agent_voice == Voice::Muted,
            reason: self.is_agent_gone().then_some("completed"),
        };
        let customer = Party {
            party: "customer".into(),
            role: PartyRole::Customer,
            state: if scene.is_on_hold(LegName::Customer) {
                PartyState::OnHold
            } else {
                PartyState::Talking
            },
            is_muted: self.customer_voice == Voice::Muted,
            reason: None,
        };
        let guests = self.guests.iter().map(|guest| guest_party(guest, &scene));
        let parties = [agent, customer].into_iter().chain(guests).collect();
        Conversation { parties, recording: self.recording_state() }
    }
}

fn guest_party(guest: &Guest, scene: &Scene) -> Party {
    Party {
        party: guest.name.clone(),
        role: match guest.role {
            GuestRole::Participant(joining) => PartyRole::Participant(joining),
            GuestRole::Supervisor(role) => PartyRole::Supervisor(role),
        },
        state: match guest.stage {
            Stage::Dialing => PartyState::Dialing,
            Stage::Ringing { .. } => PartyState::Ringing,
            Stage::Consulting | Stage::Joined if scene.is_on_hold(guest.leg.name) => {
                PartyState::OnHold
            }
            Stage::Consulting => PartyState::Consulting,
            Stage::Joined => PartyState::Talking,
            Stage::Left => PartyState::Left,
        },
        is_muted: guest.voice == Voice::Muted,
        reason: guest.departure.map(|departure| departure.reason),
    }
}
