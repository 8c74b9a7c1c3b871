//! What the relay tells of the legs' media, and what it means for the call.

use super::Call;
use super::context::Context;
use super::leg::Leg;
use crate::counters::Counter;
use crate::event::{Event, Output, SourceKind};
use crate::outcome::{Cause, LegName};
use call_words::{MilestoneKind, Reason};
use media_core::relay;

impl Call {
    /// Something of the leg's media.
    pub fn handle_media(&mut self, cx: &mut Context<'_>, name: LegName, event: relay::Event) {
        if self.phase.is_ended() {
            return;
        }
        match event {
            relay::Event::NoMedia(leg) if self.legs.agent.leg.arriving == Some(leg) => {}
            relay::Event::Speaking(_, speaks) => {
                self.conversation.speaking.set(name, speaks);
                self.tell_speaking(cx);
            }
            relay::Event::FirstMedia(leg)
            | relay::Event::IceConnected(leg)
            | relay::Event::DtlsConnected(leg)
            | relay::Event::DtlsFailed(leg)
            | relay::Event::ConsentLost(leg)
                if name == LegName::Agent && self.legs.agent.has_softphone() =>
            {
                let no_media = (self.phase.is_bridged()).then_some(self.no_media);
                let event = self.legs.agent.handle_media(cx, leg, event, no_media);
                self.handle_agent(cx, event);
            }
            relay::Event::FirstMedia(_) => {
                cx.milestone(Some(name), MilestoneKind::FirstMedia, None, None)
            }
            relay::Event::Latched(_) => {
                cx.milestone(Some(name), MilestoneKind::MediaLatched, None, None)
            }
            relay::Event::SourceRefused(_, source) => {
                if let Some(trunk) = self.legs.named(name).map(Leg::current_trunk) {
                    cx.shard.refuse_source(&trunk, source.ip(), SourceKind::Media);
                }
            }
            relay::Event::NoMedia(_) => {
                cx.milestone(Some(name), MilestoneKind::NoMedia, None, None);
                let cause = Cause::NoMedia(name);
                match name {
                    LegName::Agent | LegName::Customer => self.hang_up(cx, cause),
                    LegName::Participant(slot) | LegName::Supervisor(slot) => {
                        self.lose(cx, slot, Reason::NoMedia, cause)
                    }
                }
            }
            // A supervisor need not speak.
            relay::Event::OneWayAudio(_) if matches!(name, LegName::Supervisor(_)) => {}
            relay::Event::OneWayAudio(_) => {
                cx.shard.counters.count(Counter::OneWayAudio);
                cx.milestone(Some(name), MilestoneKind::OneWayAudio, None, None);
            }
            relay::Event::TelephoneEvent(_, code) => {
                self.take_confirmation(cx, code);
                self.pass_event(cx, name, code);
            }
            relay::Event::KeyTone(_, code) => {
                self.take_confirmation(cx, code);
                self.pass_tone(cx, name, code);
            }
            // This leg is no softphone, or a supervisor's.
            relay::Event::IceConnected(_)
            | relay::Event::DtlsConnected(_)
            | relay::Event::DtlsFailed(_)
            | relay::Event::ConsentLost(_) => self.handle_supervisor_media(cx, name, event),
        }
    }

    /// Tells who speaks, if that changed and may be told.
    pub(super) fn tell_speaking(&mut self, cx: &mut Context<'_>) {
        if let Some(parties) = self.conversation.take_speakers(cx.now) {
            let call_id = cx.log.call_id.clone();
            cx.shard.output.push_back(Output::Event(Event::Speaking { call_id, parties }));
        }
    }
}
