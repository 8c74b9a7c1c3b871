//! Whose turn it is to offer inside a dialog (RFC 3264 §4, RFC 3261 §14, RFC 3311 §5.2): one offer
//! at a time, ours only while none of the peer's is open, and after glare again when the time of
//! §14.1 is over. What is offered is the wish of that moment. Pure; knows no message and no media.

use std::time::{Duration, Instant};

/// 64·T1: how long the final response to a re-INVITE is waited for.
const ANSWER_LIMIT: Duration = Duration::from_secs(32);

/// What our side wants of the media, whatever the peer wants of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Wish {
    /// a=sendrecv.
    #[default]
    Talk,
    /// a=sendonly: the peer is on hold (RFC 3264 §8.4).
    Hold,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    /// Our offer is open.
    Ours {
        wish: Wish,
        give_up_at: Instant,
    },
    /// The peer's re-INVITE is answered and not acknowledged.
    Theirs,
    /// After glare: until then we do not offer.
    Resting {
        until: Instant,
    },
}

/// What the answer to our offer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The session follows the offer.
    Agreed,
    /// The session stays as it was.
    Kept,
    /// The dialog is gone (§12.2.1.2).
    DialogLost,
}

/// Whether an offer of the peer may be answered now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    Theirs,
    /// Our offer is open: 491.
    Ours,
}

/// The descriptions that both sides agreed on, and what is still to be offered (RFC 3264).
#[derive(Debug)]
pub struct Exchange {
    wanted: Wish,
    /// What our last agreed description said.
    said: Wish,
    /// A wish that the peer refused; it is not offered again.
    refused: Option<Wish>,
    /// The present description is to be offered again to refresh the session (RFC 4028 §7.4).
    is_refresh_due: bool,
    state: State,
}

impl Exchange {
    /// Begins with the first offer agreed.
    pub fn new() -> Exchange {
        Exchange {
            wanted: Wish::Talk,
            said: Wish::Talk,
            refused: None,
            is_refresh_due: false,
            state: State::Idle,
        }
    }

    /// Sets what is to be agreed; the next free moment offers it.
    pub fn want(&mut self, wish: Wish) {
        if self.wanted != wish {
            self.wanted = wish;
            self.refused = None;
        }
    }

    /// Lets what holds be offered again.
    pub fn refresh(&mut self) {
        self.is_refresh_due = true;
    }

    /// What holds now, for an answer of ours.
    pub fn wanted(&self) -> Wish {
        self.wanted
    }

    /// The offer to send now, if one is due; answer with `begin`.
    pub fn due(&self, now: Instant) -> Option<Wish> {
        let is_free = match self.state {
            State::Idle => true,
            State::Resting { until } => until <= now,
            State::Ours { .. } | State::Theirs => false,
        };
        let is_news = self.wanted != self.said && self.refused != Some(self.wanted);
        (is_free && (is_news || self.is_refresh_due)).then_some(self.wanted)
    }

    /// Our offer is on its way.
    pub fn begin(&mut self, now: Instant, wish: Wish) {
        self.is_refresh_due = false;
        self.state = State::Ours { wish, give_up_at: now + ANSWER_LIMIT };
    }

    /// Our offer cannot be sent before this time.
    pub fn rest(&mut self, until: Instant) {
        self.state = State::Resting { until };
    }

    /// The final response to our offer, or `None` without any; `pause` is the time of §14.1 after
    /// glare.
    pub fn take_final(&mut self, now: Instant, code: Option<u16>, pause: Duration) -> Verdict {
        let State::Ours { wish, .. } = self.state else { return Verdict::Kept };
        self.state = State::Idle;
        match code {
            Some(200..300) => {
                self.said = wish;
                Verdict::Agreed
            }
            Some(491) => {
                self.rest(now + pause);
                self.is_refresh_due |= wish == self.said;
                Verdict::Kept
            }
            Some(481 | 408) | None => Verdict::DialogLost,
            Some(_) => {
                self.refused = Some(wish);
                Verdict::Kept
            }
        }
    }

    /// Our offer could not be carried, or was not answered for too long; the session stays as it
    /// was.
    pub fn give_up(&mut self) {
        if let State::Ours { wish, .. } = self.state {
            self.refused = Some(wish);
            self.state = State::Idle;
        }
    }

    /// Ends a rest whose time is over.
    pub fn wake(&mut self, now: Instant) {
        if matches!(self.state, State::Resting { until } if until <= now) {
            self.state = State::Idle;
        }
    }

    /// Whether our open offer waits for too long.
    pub fn is_overdue(&self, now: Instant) -> bool {
        matches!(self.state, State::Ours { give_up_at, .. } if give_up_at <= now)
    }

    /// Whose turn it is when an offer of the peer comes.
    pub fn turn(&self) -> Turn {
        if matches!(self.state, State::Ours { .. }) { Turn::Ours } else { Turn::Theirs }
    }

    /// The peer's offer is answered with `wanted`; a re-INVITE's answer waits for its ACK.
    pub fn answered(&mut self, awaits_ack: bool) {
        self.said = self.wanted;
        if awaits_ack {
            self.state = State::Theirs;
        }
    }

    /// The ACK came, or is not waited for any more.
    pub fn acknowledged(&mut self) {
        if self.state == State::Theirs {
            self.state = State::Idle;
        }
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Ours { give_up_at, .. } => Some(give_up_at),
            State::Resting { until } => Some(until),
            State::Idle | State::Theirs => None,
        }
    }
}

#[cfg(test)]
mod tests;
