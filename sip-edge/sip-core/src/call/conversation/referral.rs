//! The transfer that the agent's phone asked for by REFER (RFC 3515): it becomes a blind transfer
//! if control-api lets it, and the phone is told how that fares. One at a time; attended transfer
//! by Replaces is refused.

use super::Move;
use std::time::{Duration, Instant};

/// How long control-api may take to say what becomes of it.
const DECISION_LIMIT: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Control-api is asked.
    Asked {
        until: Instant,
    },
    Running,
}

/// The REFER that is followed now.
#[derive(Debug)]
struct Referral {
    /// Name of the party that is asked for.
    party: String,
    /// CSeq of the REFER, which names its implicit subscription (§2.4.6).
    cseq: u32,
    stage: Stage,
}

/// All REFERs of a call.
#[derive(Debug)]
pub struct Referrals {
    is_accepting: bool,
    current: Option<Referral>,
    /// How many were taken.
    count: u32,
}

impl Referrals {
    pub fn new(is_accepting: bool) -> Referrals {
        Referrals { is_accepting, current: None, count: 0 }
    }

    /// Takes a REFER and names the party that it asks for; `None` if it is refused.
    pub fn take(&mut self, now: Instant, cseq: u32) -> Option<String> {
        if !self.is_accepting || self.current.is_some() {
            return None;
        }
        self.count += 1;
        let party = format!("refer-{}", self.count);
        let stage = Stage::Asked { until: now + DECISION_LIMIT };
        self.current = Some(Referral { party: party.clone(), cseq, stage });
        Some(party)
    }

    /// The third party that was asked for is dialled.
    pub fn follow(&mut self, party: &str) {
        if let Some(referral) = self.current.as_mut().filter(|referral| referral.party == party) {
            referral.stage = Stage::Running;
        }
    }

    /// Whether control-api has not decided yet.
    pub fn is_asked(&self) -> bool {
        self.current.as_ref().is_some_and(|referral| matches!(referral.stage, Stage::Asked { .. }))
    }

    /// A third party has joined or left, or is not dialled: tells the phone, if it was the one that
    /// it asked for.
    pub fn end_of(&mut self, party: &str, code: u16) -> Option<Move> {
        let is_asked_for = self.current.as_ref().is_some_and(|referral| referral.party == party);
        if is_asked_for { self.end(code) } else { None }
    }

    /// The transfer has come to its end, which the phone is told by this status.
    pub fn end(&mut self, code: u16) -> Option<Move> {
        self.current.take().map(|referral| Move::Notify { cseq: referral.cseq, code })
    }

    /// The phone that asked has left: it is told nothing more.
    pub fn forget(&mut self) {
        self.current = None;
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.current.as_ref()?.stage {
            Stage::Asked { until } => Some(until),
            Stage::Running => None,
        }
    }

    pub fn handle_timeout(&mut self, now: Instant) -> Option<Move> {
        let is_due = self.poll_timeout().is_some_and(|due| due <= now);
        if is_due { self.end(503) } else { None }
    }
}
