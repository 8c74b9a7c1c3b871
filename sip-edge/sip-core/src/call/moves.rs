//! Carries out what the conversation decides: in the relay, the recording and the trunks, in the
//! timeline, and towards the agent's phone.

use super::Call;
use super::context::Context;
use super::conversation::rooms::{Presence, Scene, Seat, Voice, Watcher};
use super::conversation::{Move, Step};
use super::leg::exchange::Wish;
use crate::control::Conversation;
use crate::outcome::LegName;
use call_words::{MilestoneKind, Reason, SupervisorRole};
use media_core::relay::{Channel, LegId};

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
                Move::Leave(leg) => self.leave(cx, leg),
                Move::Notify { cseq, code } => self.agent.notify(cx, cseq, code),
                Move::ReleaseAgent => self.release_agent(cx),
                Move::HangUp(cause) => self.hang_up(cx, cause),
            }
        }
    }

    /// Lets the relay, the recording and the trunks follow how the parties stand.
    pub(super) fn arrange(&mut self, cx: &mut Context<'_>) {
        let scene = self.scene();
        let media = self.media();
        self.hearing.follow(cx, scene.ears(), &media);
        self.tape.record(cx, taped(&scene), &media);
        self.hold_trunks(cx, &scene);
    }

    fn scene(&self) -> Scene {
        self.conversation.scene(|name| match name {
            LegName::Agent if self.agent.is_absent() => Presence::Away,
            _ if self.leg_named(name).is_some_and(|leg| leg.is_held_by_peer()) => Presence::Holding,
            _ => Presence::Here,
        })
    }

    /// The relay's leg of each name that is or was one of the call.
    fn media(&self) -> impl Fn(LegName) -> LegId + use<> {
        let legs: Vec<(LegName, LegId)> = self.legs().map(|leg| (leg.name, leg.media)).collect();
        move |name| {
            let leg = legs.iter().find(|(each, _)| *each == name);
            leg.expect("whoever has a seat has a leg").1
        }
    }

    fn hold_trunks(&mut self, cx: &mut Context<'_>, scene: &Scene) {
        let wish = |leg| if scene.is_on_hold(leg) { Wish::Hold } else { Wish::Talk };
        self.customer.want(cx, wish(LegName::Customer));
        for leg in &mut self.others {
            if let LegName::Participant(slot) = leg.name
                && self.conversation.guest(slot).is_some_and(|guest| guest.is_talking())
            {
                leg.want(cx, wish(leg.name));
            }
        }
    }

    fn release_agent(&mut self, cx: &mut Context<'_>) {
        self.agent.keep_report(cx.shard);
        self.arrange(cx);
        self.agent.leave(cx);
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
