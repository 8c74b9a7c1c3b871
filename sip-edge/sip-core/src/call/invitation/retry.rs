//! The INVITE again, changed as its failure asks for: with credentials (RFC 3261 §22.2), without
//! the extensions that the peer does not know (§8.1.3.5), with a longer session interval (RFC 4028
//! §7.4).

use super::{Invitation, Stage, request};
use crate::call::context::Context;
use crate::counters::Counter;
use crate::message::{Header, Request, Response, View, header};
use crate::outcome::Rang;
use call_words::MilestoneKind;

impl Invitation {
    /// Sends the INVITE again if its failure says how it would be taken, each way once.
    pub(super) fn try_again(&mut self, cx: &mut Context<'_>, response: &Response) -> bool {
        match response.status_code.code() {
            401 | 407 => self.answer_challenge(cx, response),
            // Nobody's phone is rung twice.
            _ if self.rang == Rang::Yes => false,
            420 => self.drop_extensions(cx, response),
            422 => self.raise_interval(cx, response),
            _ => false,
        }
    }

    /// With credentials, once, and once more if only the nonce was stale.
    fn answer_challenge(&mut self, cx: &mut Context<'_>, response: &Response) -> bool {
        let Some(is_stale) = self.authority.take(response) else { return false };
        let allowed = if is_stale { !self.stale_challenged } else { !self.challenged };
        if !allowed {
            return false;
        }
        let invite = self.invite.clone();
        if !self.send_again(cx, invite) {
            return false;
        }
        self.stale_challenged |= self.challenged;
        self.challenged = true;
        let code = response.status_code.code();
        cx.milestone(Some(self.owner.leg), MilestoneKind::Challenged, Some(code), None);
        true
    }

    /// Without what it offered and the peer named as unsupported; all of it if it named nothing.
    fn drop_extensions(&mut self, cx: &mut Context<'_>, response: &Response) -> bool {
        let Some(offered) = self.invite.value("Supported") else { return false };
        let is_named = |option: &str| {
            response.value("Unsupported").is_none() || response.names_unsupported(option)
        };
        let (dropped, kept): (Vec<&str>, Vec<&str>) =
            offered.split(',').map(str::trim).partition(|option| is_named(option));
        if dropped.is_empty() {
            return false;
        }
        let kept = kept.join(", ");
        let mut invite = self.invite.clone();
        invite.headers.retain(|each| !matches!(each, Header::Supported(_)));
        if !kept.is_empty() {
            invite.headers.push(header("Supported", kept));
        }
        self.send_again(cx, invite)
    }

    fn raise_interval(&mut self, cx: &mut Context<'_>, response: &Response) -> bool {
        if !self.timer.take_refusal(cx.now, response) {
            return false;
        }
        cx.shard.counters.count(Counter::SessionIntervalRaised);
        let mut invite = self.invite.clone();
        invite.headers.retain(|each| {
            !matches!(each, Header::Other(name, _) if name == "Session-Expires" || name == "Min-SE")
        });
        invite.headers.extend(self.timer.headers());
        self.send_again(cx, invite)
    }

    /// `false` without room for its transaction.
    fn send_again(&mut self, cx: &mut Context<'_>, invite: Request) -> bool {
        let via = request::via(cx, self.flow);
        let mut invite = request::again(&invite, &via);
        self.authority.sign(cx.shard, &mut invite);
        let Some(transaction) =
            cx.shard.send_request(cx.now, invite.clone(), self.flow, self.owner)
        else {
            return false;
        };
        self.invite = invite;
        self.is_noted = false;
        self.transaction = Some(transaction);
        self.stage = Stage::Calling;
        true
    }
}
