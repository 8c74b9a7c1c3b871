//! Carries out what the conversation decides: in the relay, the recording and the trunks, in the
//! timeline, and towards the agent's phone.

use super::Call;
use super::context::Context;
use super::conversation::guest::Guest;
use super::conversation::rooms::{Presence, Scene, Seat, Voice, Watcher};
use super::conversation::{Move, Step};
use super::leg::exchange::Wish;
use super::release::Release;
use crate::control::Conversation;
use crate::outcome::LegName;
use call_words::{MilestoneKind, Reason, SupervisorRole};
use media_core::relay::Channel;

impl Call {
    pub(super) fn carry_out(
        &mut self,
        cx: &mut Context<'_>,
        moves: impl IntoIterator<Item = Move>,
    ) {
        for each in moves {
            match each {
                Move::Arrange => self.arrange(cx),
                Move::Tell(Step { leg, kind, sip_code, reason, is_shown }) => {
                    let parties = is_shown.then(|| self.shown());
                    cx.rearranged(leg, kind, sip_code, reason.map(Reason::as_str), parties);
                }
                Move::Leave(leg) => self.leave(cx, leg, Release::Normal),
                Move::Notify { cseq, code } => self.legs.agent.notify(cx, cseq, code),
                Move::ReleaseAgent => self.release_agent(cx),
                Move::HangUp(cause) => self.hang_up(cx, cause),
            }
        }
    }

    /// Lets the relay, the recording and the trunks follow how the parties stand.
    pub(super) fn arrange(&mut self, cx: &mut Context<'_>) {
        let scene = self.scene();
        let media = self.legs.media();
        self.hearing.follow(cx, scene.ears(), &media);
        self.tape.record(cx, taped(&scene), &media);
        self.hold_trunks(cx, &scene);
    }

    fn scene(&self) -> Scene {
        self.conversation.scene(|name| match name {
            LegName::Agent if self.legs.agent.is_absent() => Presence::Away,
            _ if self.legs.named(name).is_some_and(|leg| leg.is_held_by_peer()) => {
                Presence::Holding
            }
            _ => Presence::Here,
        })
    }

    fn hold_trunks(&mut self, cx: &mut Context<'_>, scene: &Scene) {
        let wish = |leg| if scene.is_on_hold(leg) { Wish::Hold } else { Wish::Talk };
        let talks = |slot| self.conversation.guest(slot).is_some_and(Guest::is_talking);
        for leg in self.legs.iter_mut() {
            match leg.name {
                LegName::Customer => leg.want(cx, wish(leg.name)),
                LegName::Participant(slot) if talks(slot) => leg.want(cx, wish(leg.name)),
                LegName::Agent | LegName::Participant(_) | LegName::Supervisor(_) => {}
            }
        }
    }

    fn release_agent(&mut self, cx: &mut Context<'_>) {
        self.legs.agent.keep_report(cx.shard);
        self.arrange(cx);
        self.legs.agent.leave(cx);
        self.hearing.forget(LegName::Agent);
    }

    /// Tells a step after which the parties stand as they do now.
    pub(super) fn tell(&self, cx: &mut Context<'_>, leg: Option<LegName>, kind: MilestoneKind) {
        cx.rearranged(leg, kind, None, None, Some(self.shown()));
    }

    /// How the parties stand.
    pub(super) fn shown(&self) -> Conversation {
        let parties = self.conversation.parties(&self.scene());
        Conversation { parties, recording: self.tape.state() }
    }
}

/// Who is recorded where: all that talk and are heard, and of the supervisors those who barge in.
fn taped(scene: &Scene) -> Vec<(LegName, Channel)> {
    let is_taped = |seat: &&Seat| seat.voice == Voice::On && !scene.is_on_hold(seat.leg);
    let seats = scene.seats.iter().filter(is_taped).map(|seat| {
        let channel = match seat.leg {
            LegName::Agent | LegName::Supervisor(_) => Channel::Agent,
            LegName::Customer => Channel::Customer,
            LegName::Participant(_) => Channel::Third,
        };
        (seat.leg, channel)
    });
    let barges =
        |watcher: &&Watcher| watcher.role == SupervisorRole::Barge && watcher.voice == Voice::On;
    let barging = scene.watchers.iter().filter(barges);
    seats.chain(barging.map(|watcher| (watcher.leg, Channel::Agent))).collect()
}
