//! An agent's softphone in its call: the customer is dialled once its audio flows (row S11), and
//! when its connection or its media are lost it is waited for, while the customer hears that
//! (decision A10). A page that comes back is called anew and takes the place of the former; a
//! connection alone that comes back takes the dialog over.
//!
//! A lost connection interrupts nothing while media flow, and a connection may seem to stand whose
//! network is gone. So once audio has come, what the leg has received is looked at again and again.

use super::{Agent, AgentEvent};
use crate::call::context::Context;
use crate::call::release::Release;
use crate::outcome::{self, Bridged, Cause, LegName, Outcome};
use crate::registrar::Kinship;
use call_words::{AgentName, AttemptResult, MediaFault, MilestoneKind, Reason};
use media_core::relay::{self, LegId};
use std::time::{Duration, Instant};

/// How long a softphone's audio may take from its answer.
const MEDIA_LIMIT: Duration = Duration::from_secs(10);
/// How long a lost softphone is waited for.
const ABSENCE_LIMIT: Duration = Duration::from_secs(10);
/// How long nothing may come from a softphone without connection until it is lost.
const SILENCE_LIMIT: Duration = Duration::from_secs(1);
/// The same while its connection seems to stand: a radio network may pause for a second.
const CONNECTED_SILENCE_LIMIT: Duration = Duration::from_secs(2);
const PROBE_PERIOD: Duration = Duration::from_millis(250);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Connection {
    Up,
    Lost,
}

/// A look at what comes from a softphone.
struct Probe {
    next: Instant,
    received_count: u64,
    /// When something came last, as far as the probe knows.
    heard_at: Instant,
}

/// How the call's softphone fares.
pub struct Softphone {
    pub agent: AgentName,
    connection: Connection,
    /// Until when the audio must come, once it has answered.
    media_by: Option<Instant>,
    /// Until when it is waited for.
    absent_until: Option<Instant>,
    /// Once its audio has come.
    probe: Option<Probe>,
    /// How far its media stand, while no audio has come.
    stands: MediaFault,
    /// Why the call failed for want of its audio.
    pub fault: Option<MediaFault>,
}

/// Status by which our page refuses an INVITE when its browser has no network for media.
const NO_CANDIDATES: u16 = 606;

impl Softphone {
    pub fn new(agent: AgentName) -> Softphone {
        Softphone {
            agent,
            connection: Connection::Up,
            media_by: None,
            absent_until: None,
            probe: None,
            stands: MediaFault::NoPath,
            fault: None,
        }
    }

    fn is_heard(&self) -> bool {
        self.probe.is_some()
    }

    /// Whether it is lost and waited for (A10).
    pub fn is_absent(&self) -> bool {
        self.absent_until.is_some()
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        let probe = self.probe.as_ref().map(|probe| probe.next);
        [self.media_by, self.absent_until, probe].into_iter().flatten().min()
    }
}

impl Agent {
    /// The softphone has answered; whether its audio flows already.
    pub(super) fn take_softphone_answer(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(softphone) = &mut self.softphone else { return false };
        softphone.media_by = Some(cx.now + MEDIA_LIMIT);
        softphone.is_heard() && self.leg.arriving.is_none() && self.take_first_audio(cx)
    }

    /// Whether the softphone has answered, too: audio may overtake the answer, and the customer
    /// waits for both.
    fn take_first_audio(&mut self, cx: &mut Context<'_>) -> bool {
        let received_count = cx.shard.relay.leg_report(self.leg.media).received;
        let Some(softphone) = &mut self.softphone else { return false };
        softphone.probe =
            Some(Probe { next: cx.now + PROBE_PERIOD, received_count, heard_at: cx.now });
        softphone.media_by.take().is_some()
    }

    /// Something of the softphone's media; `leg` is the present one or that of its next page, whose
    /// media are watched for `no_media` once the call is bridged.
    pub fn handle_media(
        &mut self,
        cx: &mut Context<'_>,
        leg: LegId,
        event: relay::Event,
        no_media: Option<Duration>,
    ) -> AgentEvent {
        let is_arriving = self.leg.arriving == Some(leg);
        let Some(softphone) = &mut self.softphone else { return AgentEvent::Nothing };
        let agent = Some(LegName::Agent);
        match event {
            relay::Event::FirstMedia(_) => {
                cx.milestone(agent, MilestoneKind::AgentMedia, None, None);
                if is_arriving {
                    return self.hand_over(cx, leg, no_media);
                }
                if self.take_first_audio(cx) { AgentEvent::Ready } else { AgentEvent::Nothing }
            }
            relay::Event::IceConnected(_) => {
                softphone.stands = MediaFault::NoDtls;
                cx.milestone(agent, MilestoneKind::IceConnected, None, None);
                AgentEvent::Nothing
            }
            relay::Event::DtlsConnected(_) => {
                softphone.stands = MediaFault::NoAudio;
                cx.milestone(agent, MilestoneKind::DtlsConnected, None, None);
                AgentEvent::Nothing
            }
            relay::Event::ConsentLost(_) | relay::Event::DtlsFailed(_) if is_arriving => {
                self.give_up_arriving(cx);
                AgentEvent::Nothing
            }
            relay::Event::ConsentLost(_) | relay::Event::DtlsFailed(_) if softphone.is_heard() => {
                self.lose_softphone(cx)
            }
            relay::Event::ConsentLost(_) | relay::Event::DtlsFailed(_) => self.fail_for_media(),
            relay::Event::Latched(_)
            | relay::Event::SourceRefused(..)
            | relay::Event::NoMedia(_)
            | relay::Event::OneWayAudio(_)
            | relay::Event::TelephoneEvent(..)
            | relay::Event::KeyTone(..)
            | relay::Event::Speaking(..) => AgentEvent::Nothing,
        }
    }

    /// The connection of the agent's registration is gone, or its registration is over.
    pub fn handle_lost_flow(&mut self, cx: &mut Context<'_>) -> AgentEvent {
        self.cut(cx);
        if self.leg.arriving.is_some() {
            self.give_up_arriving(cx);
        }
        let Some(softphone) = &mut self.softphone else { return AgentEvent::Nothing };
        softphone.connection = Connection::Lost;
        if softphone.is_heard() { AgentEvent::Nothing } else { self.lose_softphone(cx) }
    }

    /// The agent has registered over another connection.
    pub fn handle_softphone_back(&mut self, cx: &mut Context<'_>, kinship: Kinship) -> AgentEvent {
        let Some(softphone) = &mut self.softphone else { return AgentEvent::Nothing };
        softphone.connection = Connection::Up;
        let flow = cx
            .shard
            .registrar
            .as_ref()
            .and_then(|registrar| registrar.binding(&softphone.agent))
            .map(|binding| binding.flow);
        let dialog = self.leg.invitations.last_mut().filter(|invitation| invitation.is_answered());
        match (kinship, dialog, flow) {
            (Kinship::Same, Some(invitation), Some(flow)) => {
                invitation.rebind(flow);
                if !softphone.is_heard() {
                    softphone.absent_until = None;
                    softphone.media_by = Some(cx.now + MEDIA_LIMIT);
                    cx.milestone(Some(LegName::Agent), MilestoneKind::AgentBack, None, None);
                }
                AgentEvent::Nothing
            }
            _ => self.call_next_page(cx),
        }
    }

    /// Calls the agent's new page, which knows nothing of the former one's dialog. Until its audio
    /// flows the former one's media stay.
    fn call_next_page(&mut self, cx: &mut Context<'_>) -> AgentEvent {
        self.cut(cx);
        if let Some(invitation) = self.leg.invitations.last_mut() {
            invitation.drop_dialogs();
        }
        self.close_arriving(cx);
        if let Some(agreed) = &self.leg.agreed {
            self.leg.preferred = agreed.codec();
            let Ok(media) = self.leg.callee.open_media(cx, LegName::Agent) else {
                return AgentEvent::Nothing;
            };
            self.leg.arriving = Some(media);
        }
        let Some(softphone) = &mut self.softphone else { return AgentEvent::Nothing };
        if !softphone.is_heard() {
            // It is called as at first, with its own time to ring and to be heard.
            let was_absent = softphone.absent_until.take().is_some();
            softphone.media_by = None;
            if was_absent {
                cx.milestone(Some(LegName::Agent), MilestoneKind::AgentBack, None, None);
            }
        }
        AgentEvent::Called(self.leg.try_route(cx))
    }

    /// Nothing can be said in the agent's dialogs any more.
    fn cut(&mut self, cx: &mut Context<'_>) {
        self.leg.awaited_ack = None;
        self.leg.ring_deadline = None;
        self.leg.end_attempt(cx, None, AttemptResult::Failed(Reason::AgentLost));
        if let Some(invitation) = self.leg.invitations.last_mut() {
            invitation.handle_lost_flow(cx);
        }
    }

    fn close_arriving(&mut self, cx: &mut Context<'_>) {
        if let Some(arriving) = self.leg.arriving.take() {
            cx.close_media(arriving);
        }
    }

    /// The INVITE to the next page came to nothing; whether the former one's media still flow
    /// decides what follows.
    pub fn give_up_arriving(&mut self, cx: &mut Context<'_>) {
        self.close_arriving(cx);
        self.leg.abandon(cx, Release::Unavailable);
        if let Some(softphone) = &mut self.softphone {
            softphone.media_by = None;
        }
    }

    fn hand_over(
        &mut self,
        cx: &mut Context<'_>,
        arriving: LegId,
        no_media: Option<Duration>,
    ) -> AgentEvent {
        let former = std::mem::replace(&mut self.leg.media, arriving);
        self.leg.arriving = None;
        cx.shard.relay.hand_over(cx.now, former, arriving);
        cx.close_media(former);
        if let Some(no_media) = no_media {
            cx.shard.relay.watch_media(cx.now, arriving, no_media);
        }
        self.welcome_back();
        AgentEvent::Back { is_ready: self.take_first_audio(cx) }
    }

    fn lose_softphone(&mut self, cx: &Context<'_>) -> AgentEvent {
        match self.softphone.as_mut().filter(|softphone| !softphone.is_absent()) {
            Some(softphone) => {
                softphone.absent_until = Some(cx.now + ABSENCE_LIMIT);
                softphone.media_by = None;
                AgentEvent::Lost
            }
            None => AgentEvent::Nothing,
        }
    }

    fn welcome_back(&mut self) {
        if let Some(softphone) = &mut self.softphone {
            softphone.absent_until = None;
        }
    }

    pub(super) fn handle_softphone_timeout(&mut self, cx: &mut Context<'_>) -> AgentEvent {
        let Some(softphone) = &mut self.softphone else { return AgentEvent::Nothing };
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= cx.now);
        if is_due(softphone.absent_until) {
            self.give_up_absent(cx)
        } else if is_due(softphone.media_by) {
            if self.leg.arriving.is_none() {
                return self.fail_for_media();
            }
            self.give_up_arriving(cx);
            AgentEvent::Nothing
        } else if is_due(softphone.probe.as_ref().map(|probe| probe.next)) {
            self.probe(cx)
        } else {
            AgentEvent::Nothing
        }
    }

    fn fail_for_media(&mut self) -> AgentEvent {
        if let Some(softphone) = &mut self.softphone {
            softphone.fault = Some(softphone.stands);
        }
        AgentEvent::Failed(Cause::AgentMedia)
    }

    /// What it means that the INVITE came to nothing; `is_called` until the customer is. A page
    /// without a network says so by its refusal.
    pub fn explain_failure(&mut self, outcome: Outcome, is_called: bool) -> Outcome {
        match &mut self.softphone {
            Some(softphone) if outcome.sip_code == Some(NO_CANDIDATES) && is_called => {
                softphone.fault = Some(MediaFault::NoCandidates);
                let failed = outcome::of_cause(Cause::AgentMedia, Bridged::No);
                Outcome { sip_code: outcome.sip_code, ..failed }
            }
            _ => outcome,
        }
    }

    /// Nobody came back. Whose checks come is there and has no microphone, which may last: its RTCP
    /// keeps `Event::NoMedia` away.
    fn give_up_absent(&mut self, cx: &Context<'_>) -> AgentEvent {
        let checked_at = cx.shard.relay.softphone_checked_at(self.leg.media);
        let kept_until = checked_at.map(|at| at + ABSENCE_LIMIT).filter(|until| *until > cx.now);
        match (&mut self.softphone, kept_until) {
            (Some(softphone), Some(_)) => {
                softphone.absent_until = kept_until;
                AgentEvent::Nothing
            }
            _ => AgentEvent::Failed(Cause::AgentLost),
        }
    }

    /// Looks at what the leg has received since the last look.
    fn probe(&mut self, cx: &Context<'_>) -> AgentEvent {
        let received_count = cx.shard.relay.leg_report(self.leg.media).received;
        let Some(softphone) = &mut self.softphone else { return AgentEvent::Nothing };
        let is_absent = softphone.is_absent();
        let limit = match softphone.connection {
            Connection::Up => CONNECTED_SILENCE_LIMIT,
            Connection::Lost => SILENCE_LIMIT,
        };
        let Some(probe) = &mut softphone.probe else { return AgentEvent::Nothing };
        probe.next = cx.now + PROBE_PERIOD;
        if probe.received_count != received_count {
            probe.received_count = received_count;
            probe.heard_at = cx.now;
            if is_absent {
                self.welcome_back();
                return AgentEvent::Back { is_ready: false };
            }
        } else if !is_absent && cx.now.saturating_duration_since(probe.heard_at) >= limit {
            return self.lose_softphone(cx);
        }
        AgentEvent::Nothing
    }

    /// The call is over: the agent is free, and a dialog whose connection is gone needs no goodbye.
    pub(super) fn leave_softphone(&mut self, cx: &mut Context<'_>) {
        self.close_arriving(cx);
        let Some(softphone) = &self.softphone else { return };
        if cx.shard.agents.get(&softphone.agent) == Some(&(cx.call, LegName::Agent)) {
            cx.shard.agents.remove(&softphone.agent);
        }
        if softphone.connection == Connection::Lost
            && let Some(invitation) = self.leg.invitations.last_mut()
        {
            invitation.handle_lost_flow(cx);
            invitation.drop_dialogs();
        }
    }
}
