//! Who registers: one challenge per flow, answered once, and a few attempts at it (RFC 7616 §3.3,
//! §5.12).

use super::{Answer, CloseReason, Notice, Registrar, SPARE_FACTOR};
use crate::digest::{self, Proof, ProofError};
use crate::flow::Flow;
use crate::message::{Method, Request, header};
use call_words::AgentName;
use std::time::{Duration, Instant};

/// How long a nonce may be answered.
const NONCE_LIFE: Duration = Duration::from_secs(60);
/// Wrong answers after which a flow is closed.
const MAX_FAILURES: u8 = 3;

/// What a flow was asked.
pub struct Challenge {
    nonce: String,
    made_at: Instant,
    /// Highest nonce count that was taken.
    count: u32,
    failures: u8,
}

impl Registrar {
    /// The agent and the serial of its grant; or the answer that is due instead.
    pub(super) fn authenticate(
        &mut self,
        now: Instant,
        flow: Flow,
        request: &Request,
        nonce: String,
        is_busy: &impl Fn(&AgentName) -> bool,
    ) -> Result<(AgentName, u64), Answer> {
        let Some(connection) = flow.connection else { return Err(Answer::plain(403)) };
        let proof = match Proof::of_request(request, &self.config.domain) {
            Ok(proof) => proof,
            Err(ProofError::Missing) => return Err(self.challenge(now, connection, nonce, false)),
            Err(ProofError::Malformed) => return Err(Answer::plain(400)),
            Err(ProofError::Unsupported) => return Err(self.fail(now, flow, connection, nonce)),
        };
        // RFC 7616 §3.4.6: a digest for another resource is an attack or a mistake.
        if proof.uri != request.uri.to_string() {
            return Err(Answer::plain(400));
        }
        let Some(challenge) =
            self.challenges.get_mut(&connection).filter(|challenge| challenge.nonce == proof.nonce)
        else {
            // A nonce of an earlier connection, or nobody's.
            return Err(self.challenge(now, connection, nonce, true));
        };
        let is_fresh = now.saturating_duration_since(challenge.made_at) <= NONCE_LIFE
            && proof.count > challenge.count;
        let agent = AgentName::from(proof.username.as_str());
        let granted = self
            .grants
            .get(&agent)
            .filter(|granted| proof.proves(Method::Register, &granted.password));
        let Some(granted) = granted else { return Err(self.fail(now, flow, connection, nonce)) };
        if !is_fresh {
            return Err(self.challenge(now, connection, nonce, true));
        }
        challenge.count = proof.count;
        challenge.failures = 0;
        let serial = granted.serial;
        // Who is in a call may refresh what it has: the call must not depend on whether new
        // credentials can be had.
        let refreshes = self
            .bindings
            .get(&agent)
            .is_some_and(|binding| binding.flow == flow && binding.serial == serial);
        if granted.expires_at <= now && !(refreshes && is_busy(&agent)) {
            self.notices.push_back(Notice::Close { flow, reason: CloseReason::Revoked });
            return Err(Answer::plain(403));
        }
        Ok((agent, serial))
    }

    /// Wrong credentials look the same whether the agent or the password is unknown.
    fn fail(&mut self, now: Instant, flow: Flow, connection: u64, nonce: String) -> Answer {
        let failures =
            self.challenges.get(&connection).map_or(0, |challenge| challenge.failures) + 1;
        if failures >= MAX_FAILURES {
            self.notices.push_back(Notice::Close { flow, reason: CloseReason::Revoked });
            return Answer::plain(403);
        }
        let answer = self.challenge(now, connection, nonce, false);
        if let Some(challenge) = self.challenges.get_mut(&connection) {
            challenge.failures = failures;
        }
        answer
    }

    /// RFC 3261 §22.1: 401 with a fresh challenge.
    fn challenge(
        &mut self,
        now: Instant,
        connection: u64,
        nonce: String,
        is_stale: bool,
    ) -> Answer {
        let known = self.challenges.get(&connection).map(|challenge| challenge.failures);
        if known.is_none() && self.challenges.len() >= self.config.capacity * SPARE_FACTOR {
            return Answer { code: 503, headers: vec![header("Retry-After", "10")] };
        }
        let headers = digest::challenges(&self.config.domain, &nonce, is_stale).into();
        let challenge = Challenge { nonce, made_at: now, count: 0, failures: known.unwrap_or(0) };
        self.challenges.insert(connection, challenge);
        Answer { code: 401, headers }
    }
}
