//! REFER of the agent's phone (RFC 3515): it becomes a blind transfer if control-api lets it, and
//! the phone is told by NOTIFY how that fares. One at a time, only in a bridged call; attended
//! transfer by Replaces is refused.

use super::guest::Guest;
use crate::call::context::Context;
use crate::call::invitation::request;
use crate::call::leg::refer::Referred;
use crate::call::{Call, Phase};
use crate::event::{Event, MilestoneKind, Output};
use crate::message::{Body, View, header};
use crate::outcome::LegName;
use std::time::{Duration, Instant};

/// How long control-api may take to say what becomes of it.
const DECISION_LIMIT: Duration = Duration::from_secs(10);
const SIPFRAG: &str = "message/sipfrag;version=2.0";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Control-api is asked.
    Asked {
        until: Instant,
    },
    Running,
}

/// The REFER that is followed now.
pub struct Referral {
    /// Name of the party that is asked for.
    pub party: String,
    /// CSeq of the REFER, which names its implicit subscription (§2.4.6).
    cseq: u32,
    stage: Stage,
}

impl Referral {
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.stage {
            Stage::Asked { until } => Some(until),
            Stage::Running => None,
        }
    }
}

impl Call {
    pub(in crate::call) fn handle_referred(&mut self, cx: &mut Context<'_>, referred: Referred) {
        let is_free =
            self.phase == Phase::Bridged && self.referral.is_none() && self.pending().is_none();
        let is_accepted = self.accepts_refer && is_free && !self.is_agent_gone();
        let code = if is_accepted { 202 } else { 603 };
        let mut response = request::response(&cx.shard.config, &referred.request, code, "");
        if is_accepted && let Some(invitation) = self.agent.invitations.last() {
            response.headers.push(header("Contact", invitation.contact()));
        }
        cx.shard.respond(cx.now, referred.id, response);
        if !is_accepted {
            return;
        }
        self.referral_count += 1;
        let party = format!("refer-{}", self.referral_count);
        let cseq = referred.request.cseq_number().unwrap_or_default();
        let until = cx.now + DECISION_LIMIT;
        self.referral =
            Some(Referral { party: party.clone(), cseq, stage: Stage::Asked { until } });
        self.notify_referrer(cx, 100);
        cx.milestone(Some(LegName::Agent), MilestoneKind::TransferRequested, None, None);
        let call_id = cx.log.call_id.clone();
        let target = referred.target;
        cx.shard.output.push_back(Output::Event(Event::TransferRequested {
            call_id,
            party,
            target,
        }));
    }

    /// The third party that was asked for is dialled.
    pub(in crate::call) fn follow_referral(&mut self, party: &str) {
        if let Some(referral) = self.referral.as_mut().filter(|referral| referral.party == party) {
            referral.stage = Stage::Running;
        }
    }

    /// Whether control-api has not decided yet.
    pub(in crate::call) fn is_referral_asked(&self) -> bool {
        self.referral.as_ref().is_some_and(|referral| matches!(referral.stage, Stage::Asked { .. }))
    }

    /// A third party has joined or left: tells the phone, if it was the one that it asked for.
    pub(in crate::call) fn end_referral_of(
        &mut self,
        cx: &mut Context<'_>,
        slot: usize,
        code: u16,
    ) {
        let is_asked_for = |guest: &Guest| {
            self.referral.as_ref().is_some_and(|referral| referral.party == guest.name)
        };
        if self.guests.get(slot).is_some_and(is_asked_for) {
            self.end_referral(cx, code);
        }
    }

    pub(in crate::call) fn end_referral(&mut self, cx: &mut Context<'_>, code: u16) {
        if self.referral.is_some() {
            self.notify_referrer(cx, code);
            self.referral = None;
        }
    }

    /// §2.4.4, §2.4.5: the state of the transfer, as the status line of its INVITE.
    fn notify_referrer(&mut self, cx: &mut Context<'_>, code: u16) {
        let Some(referral) = &self.referral else { return };
        let state = if code < 200 { "active;expires=60" } else { "terminated;reason=noresource" };
        let event = format!("refer;id={}", referral.cseq);
        let mut headers = vec![header("Event", event), header("Subscription-State", state)];
        headers.extend(request::plain_headers(cx));
        let line = format!("SIP/2.0 {code} {}\r\n", phrase(code));
        let body = Body { content_type: SIPFRAG, bytes: line.as_bytes() };
        let Some(invitation) = self.agent.invitations.last_mut() else { return };
        // Without room for it the phone is not told: its own timer, or the BYE, is.
        let _ = invitation.notify(cx, headers, body);
    }

    pub(in crate::call) fn handle_referral_timeout(&mut self, cx: &mut Context<'_>) {
        let due = self.referral.as_ref().and_then(Referral::poll_timeout);
        if due.is_some_and(|due| due <= cx.now) {
            self.end_referral(cx, 503);
        }
    }
}

fn phrase(code: u16) -> &'static str {
    match code {
        100 => "Trying",
        200 => "OK",
        404 => "Not Found",
        408 => "Request Timeout",
        480 => "Temporarily Unavailable",
        486 => "Busy Here",
        487 => "Request Terminated",
        503 => "Service Unavailable",
        600 => "Busy Everywhere",
        603 => "Decline",
        _ => "Failed",
    }
}
