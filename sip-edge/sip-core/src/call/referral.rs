//! REFER of the agent's phone (RFC 3515): it becomes a blind transfer if control-api lets it, and
//! the phone is told by NOTIFY how that fares. One at a time, only in a bridged call; attended
//! transfer by Replaces is refused.

use super::context::Context;
use super::guest::Guest;
use super::leg::{Leg, LegEvent};
use super::{Call, Phase, request};
use crate::edge::{Event, MilestoneKind, Output};
use crate::message::{Body, NameAddr, Request, Scheme, View, header};
use crate::outcome::LegName;
use crate::transaction::TransactionId;
use std::time::{Duration, Instant};

/// How long control-api may take to say what becomes of it.
const DECISION_LIMIT: Duration = Duration::from_secs(10);
/// Longest user part that can be a number.
const MAX_NUMBER_LEN: usize = 32;
const SIPFRAG: &str = "message/sipfrag;version=2.0";

/// A REFER that asks for something that can be done.
#[derive(Debug, Clone)]
pub struct Referred {
    id: TransactionId,
    request: Request,
    /// User part of the Refer-To URI.
    target: String,
}

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

fn is_invite(method: &str) -> bool {
    method.eq_ignore_ascii_case("INVITE")
}

/// The number that a REFER asks for, or the status that refuses it.
fn target_of(refer: &Request) -> Result<String, u16> {
    // §2.4.1: "A REFER request … MUST contain exactly one Refer-To".
    let mut values = refer.values("Refer-To");
    let (Some(value), None) = (values.next(), values.next()) else { return Err(400) };
    let uri = NameAddr::read(value).uri;
    uri.target().ok_or(400_u16)?;
    let is_plain = matches!(uri.scheme, Scheme::Sip | Scheme::Tel)
        && uri.headers.is_none_or(str::is_empty)
        && uri.params.iter().all(|(name, value)| {
            !name.eq_ignore_ascii_case("method") || value.is_some_and(is_invite)
        });
    let number = uri.user_text().filter(|_| is_plain).ok_or(603_u16)?;
    let digits = number.strip_prefix('+').unwrap_or(&number);
    let is_number = (1..=MAX_NUMBER_LEN).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_digit() || b"*#-.()".contains(&byte))
        && digits.bytes().any(|byte| byte.is_ascii_digit());
    if is_number { Ok(number) } else { Err(603) }
}

impl Leg {
    pub(super) fn take_refer(
        &mut self,
        cx: &mut Context<'_>,
        id: TransactionId,
        request: &Request,
    ) -> LegEvent {
        match target_of(request) {
            Ok(target) => {
                LegEvent::Referred(Box::new(Referred { id, request: request.clone(), target }))
            }
            Err(code) => self.refuse(cx, id, request, code),
        }
    }
}

impl Call {
    pub(super) fn handle_referred(&mut self, cx: &mut Context<'_>, referred: Referred) {
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
    pub(super) fn follow_referral(&mut self, party: &str) {
        if let Some(referral) = self.referral.as_mut().filter(|referral| referral.party == party) {
            referral.stage = Stage::Running;
        }
    }

    /// Whether control-api has not decided yet.
    pub(super) fn is_referral_asked(&self) -> bool {
        self.referral.as_ref().is_some_and(|referral| matches!(referral.stage, Stage::Asked { .. }))
    }

    /// A third party has joined or left: tells the phone, if it was the one that it asked for.
    pub(super) fn end_referral_of(&mut self, cx: &mut Context<'_>, slot: usize, code: u16) {
        let is_asked_for = |guest: &Guest| {
            self.referral.as_ref().is_some_and(|referral| referral.party == guest.name)
        };
        if self.guests.get(slot).is_some_and(is_asked_for) {
            self.end_referral(cx, code);
        }
    }

    pub(super) fn end_referral(&mut self, cx: &mut Context<'_>, code: u16) {
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

    pub(super) fn handle_referral_timeout(&mut self, cx: &mut Context<'_>) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Method, RequestParts, request};

    #[track_caller]
    fn check(values: &[&str], expected: Result<&str, u16>) {
        let refer = request(&RequestParts {
            method: Method::Refer,
            target: "sip:edge@10.0.0.1",
            routes: &[],
            via: "SIP/2.0/UDP 10.0.0.2;branch=z9hG4bK1",
            from: "<sip:1001@a>;tag=a",
            to: "<sip:b@b>;tag=b",
            call_id: "1",
            cseq: 2,
            contact: None,
            extra: values.iter().map(|value| header("Refer-To", *value)).collect(),
            body: None,
        });
        assert_eq!(target_of(&refer), expected.map(str::to_owned), "{values:?}");
    }

    #[test]
    fn what_may_be_asked_for() {
        check(&["<sip:+919876543210@pbx.example>"], Ok("+919876543210"));
        check(&["sip:2002@10.0.0.9;user=phone"], Ok("2002"));
        check(&["<tel:+91-98765>"], Ok("+91-98765"));
        check(&["<sip:2002;phone-context=x@10.0.0.9>"], Ok("2002"));
        check(&["<sip:2002@a;method=INVITE>"], Ok("2002"));
        check(&["<sip:2002@a;method=BYE>"], Err(603));
        check(&["<sip:2002@a?Replaces=1%3Bto-tag%3D2%3Bfrom-tag%3D3>"], Err(603));
        check(&["<sip:alice@a>"], Err(603));
        check(&["<sip:a.example>"], Err(603));
        check(&["<sips:2002@a>"], Err(603));
        check(&["<http://a/2002>"], Err(603));
        check(&[&format!("<sip:{}@a>", "1".repeat(33))], Err(603));
        check(&[], Err(400));
        check(&["<sip:1@a>", "<sip:2@a>"], Err(400));
        check(&["<sip:1@a"], Ok("1"));
        check(&["<sip:2002@a;>;;"], Ok("2002"));
        check(&["2002"], Err(400));
    }
}
