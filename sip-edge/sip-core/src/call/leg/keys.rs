//! Keys that are pressed for a party, in the way that it has: telephone-events (RFC 4733), else
//! INFO with application/dtmf-relay (RFC 6086 §4's legacy usage), else tones in the audio; or in
//! the one that its trunk is set to. A key whose INFO is refused goes as a tone, and so do all
//! after it. Also how fast a party may tell its own keys by INFO.

use super::description::Agreement;
use super::{Leg, digits};
use crate::call::context::Context;
use crate::message::{Body, HasHeaders, View};
use call_words::{DtmfMode, MilestoneKind};
use media_core::relay::{DigitsRefused, PAUSE};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// From one key to the next: its tone of 100 ms and a gap, as the relay sends them.
const KEY_PERIOD: Duration = Duration::from_millis(160);
const PAUSE_PERIOD: Duration = Duration::from_secs(1);
/// Most keys that a party may tell by INFO within this time; a key with its gap lasts 80 ms (ITU-T
/// Q.24).
const MAX_TOLD: u8 = 20;
const TOLD_PERIOD: Duration = Duration::from_secs(1);

/// Whether a party serves INFO, as far as it said so.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Info {
    #[default]
    Unknown,
    Served,
    Refused,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Idle,
    /// The INFO of this key is not answered.
    Asked {
        code: u8,
        next_at: Instant,
    },
    Resting {
        until: Instant,
    },
}

/// The keys that wait to be told to a party by INFO.
#[derive(Debug, Default)]
pub struct Keys {
    info: Info,
    state: State,
    waiting: VecDeque<u8>,
    /// Keys that the party told, and since when.
    told: Option<(Instant, u8)>,
}

impl Keys {
    /// Takes what a message of the party says of the methods that it serves.
    pub fn note_methods<M: HasHeaders>(&mut self, message: &M) {
        if message.allows("INFO") {
            self.note_info();
        }
    }

    /// The party tells its own keys by INFO, or says that it serves it.
    pub fn note_info(&mut self) {
        if self.info == Info::Unknown {
            self.info = Info::Served;
        }
    }

    /// Whether the party may tell another key by INFO now.
    pub fn may_tell(&mut self, now: Instant) -> bool {
        let told = match &mut self.told {
            Some(told) if now.saturating_duration_since(told.0) < TOLD_PERIOD => told,
            told => told.insert((now, 0)),
        };
        told.1 = told.1.saturating_add(1);
        told.1 <= MAX_TOLD
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Resting { until } => Some(until),
            State::Idle | State::Asked { .. } => None,
        }
    }

    /// Nothing is pressed any more.
    pub fn clear(&mut self) {
        (self.state, self.waiting) = (State::Idle, VecDeque::new());
    }
}

impl Leg {
    /// Presses keys for the party: RFC 4733 codes and `PAUSE`, after those that still wait; all of
    /// them or none.
    pub fn press(&mut self, cx: &mut Context<'_>, codes: &[u8]) -> Result<(), DigitsRefused> {
        if !self.is_told_by_info() {
            return cx.shard.relay.send_digits(cx.now, self.media, codes);
        }
        if self.keys.waiting.len() + codes.len() > digits::MAX_COUNT {
            return Err(DigitsRefused::Full);
        }
        self.keys.waiting.extend(codes);
        self.press_next(cx);
        Ok(())
    }

    /// Whether keys go to the party by INFO.
    fn is_told_by_info(&self) -> bool {
        if !self.is_answered() {
            return false;
        }
        match self.callee.carriage(self.route).dtmf() {
            DtmfMode::Auto => !self.takes_events() && self.keys.info == Info::Served,
            DtmfMode::Info => self.keys.info != Info::Refused,
            DtmfMode::Rfc4733 | DtmfMode::Inband => false,
        }
    }

    /// Whether the party takes key presses as telephone-events.
    pub fn takes_events(&self) -> bool {
        self.agreed.as_ref().is_some_and(Agreement::takes_events)
    }

    /// Whether the party hears keys that another one presses as tones, as all audio.
    pub fn takes_tones(&self) -> bool {
        !self.takes_events() && !self.is_told_by_info()
    }

    fn press_next(&mut self, cx: &mut Context<'_>) {
        if self.keys.state != State::Idle {
            return;
        }
        let Some(code) = self.keys.waiting.pop_front() else { return };
        if code == PAUSE {
            self.keys.state = State::Resting { until: cx.now + PAUSE_PERIOD };
            return;
        }
        self.keys.state = State::Asked { code, next_at: cx.now + KEY_PERIOD };
        let body = digits::relayed(code);
        let body = Body { content_type: digits::RELAYED, bytes: body.as_bytes() };
        let sent = self.invitations.last_mut().map(|invitation| invitation.inform(cx, body));
        if sent != Some(Ok(())) {
            self.take_informed(cx, None);
        }
    }

    /// The final response to an INFO of ours, or none.
    pub(super) fn take_informed(&mut self, cx: &mut Context<'_>, status: Option<u16>) {
        let State::Asked { code, next_at } = self.keys.state else { return };
        if matches!(status, Some(200..300)) {
            self.keys.state = State::Resting { until: next_at };
            return self.continue_keys(cx);
        }
        let codes: Vec<u8> = std::iter::once(code).chain(self.keys.waiting.drain(..)).collect();
        (self.keys.state, self.keys.info) = (State::Idle, Info::Refused);
        if cx.shard.relay.send_digits(cx.now, self.media, &codes).is_err() {
            cx.milestone(Some(self.name), MilestoneKind::DigitsLost, status, None);
        }
    }

    /// Presses the next key when its time has come.
    pub(super) fn continue_keys(&mut self, cx: &mut Context<'_>) {
        if matches!(self.keys.state, State::Resting { until } if until <= cx.now) {
            self.keys.state = State::Idle;
            self.press_next(cx);
        }
    }
}
