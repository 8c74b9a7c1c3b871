//! What the agent's phone is told of a transfer that it asked for by REFER (RFC 3515): whether it
//! may be, and by NOTIFY how it fares.

use super::Agent;
use crate::call::context::Context;
use crate::call::invitation::request;
use crate::call::leg::refer::Referred;
use crate::message::{Body, header};

const SIPFRAG: &str = "message/sipfrag;version=2.0";

impl Agent {
    /// Answers a REFER of the phone (§2.4.2).
    pub fn answer_refer(&self, cx: &mut Context<'_>, referred: &Referred, is_accepted: bool) {
        let code = if is_accepted { 202 } else { 603 };
        let mut response = request::response(&cx.shard.config, &referred.request, code, "");
        if is_accepted && let Some(invitation) = self.leg.invitations.last() {
            response.headers.push(header("Contact", invitation.contact()));
        }
        cx.shard.respond(cx.now, referred.id, response);
    }

    /// §2.4.4, §2.4.5: the state of the transfer, as the status line of its INVITE; `cseq` is the
    /// REFER's.
    pub fn notify(&mut self, cx: &mut Context<'_>, cseq: u32, code: u16) {
        let state = if code < 200 { "active;expires=60" } else { "terminated;reason=noresource" };
        let event = format!("refer;id={cseq}");
        let mut headers = vec![header("Event", event), header("Subscription-State", state)];
        headers.extend(request::plain_headers(&cx.shard.config));
        let line = format!("SIP/2.0 {code} {}\r\n", phrase(code));
        let body = Body { content_type: SIPFRAG, bytes: line.as_bytes() };
        let Some(invitation) = self.leg.invitations.last_mut() else { return };
        // Without room for it the phone is not told: its own timer, or the BYE, is.
        let _ = invitation.notify(cx, headers, body);
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
