//! The end of an INVITE: CANCEL while it rings (RFC 3261 §9.1), BYE in each of its dialogs
//! (§15.1.1), with a digest retry (§22.2), each with its Reason (RFC 3326).

use super::{CANCEL_WAIT, ForkState, Invitation, Stage, request};
use crate::call::context::Context;
use crate::call::release::Release;
use crate::call::shard::Resources;
use crate::dialog::Inside;
use crate::message::{self, Method, Response};
use crate::transaction::TransactionId;
use call_words::MilestoneKind;
use std::time::Instant;

impl Invitation {
    /// Ends whatever stands: CANCEL while it rings (at once, or after the first provisional
    /// response), BYE once it is answered.
    pub fn abandon(&mut self, cx: &mut Context<'_>, release: Release) {
        if std::mem::replace(&mut self.abandoned, true) {
            return;
        }
        self.release = release;
        match self.stage {
            Stage::Calling | Stage::Over => {}
            Stage::Proceeding => self.send_cancel(cx),
            Stage::Answered => {
                for index in 0..self.forks.len() {
                    if self.forks[index].state == ForkState::Confirmed {
                        self.leave(cx, index, release);
                    }
                }
            }
        }
    }

    pub(super) fn send_cancel(&mut self, cx: &mut Context<'_>) {
        self.cancel_deadline = Some(cx.now + CANCEL_WAIT);
        // Without room for its transaction the CANCEL goes once: better than a phone that rings on.
        let mut cancel = message::cancel_for(&self.invite);
        cancel.headers.push(self.release.header());
        if cx.shard.send_request(cx.now, cancel.clone(), self.flow, self.owner).is_none() {
            cx.shard.send_alone(cx.now, &cancel, self.flow, self.owner);
        }
        cx.milestone(Some(self.owner.leg), MilestoneKind::CancelSent, None, None);
    }

    /// Sends BYE in a fork's dialog.
    pub(super) fn leave(&mut self, cx: &mut Context<'_>, index: usize, release: Release) {
        let flow = self.flow_in(index);
        let via = request::via(cx, flow);
        let mut extra = request::plain_headers(&cx.shard.config);
        extra.push(release.header());
        let fork = &mut self.forks[index];
        let mut bye = fork.dialog.request(Inside {
            method: Method::Bye,
            via: &via,
            contact: None,
            extra,
            body: None,
        });
        self.authority.sign(cx.shard, &mut bye);
        fork.bye = Some(bye.clone());
        fork.state = match cx.shard.send_request(cx.now, bye.clone(), flow, self.owner) {
            Some(transaction) => ForkState::Leaving(transaction),
            None => {
                cx.shard.send_alone(cx.now, &bye, flow, self.owner);
                ForkState::Over
            }
        };
    }

    pub(super) fn handle_bye_response(
        &mut self,
        cx: &mut Context<'_>,
        transaction: TransactionId,
        response: &Response,
    ) {
        let code = response.status_code.code();
        let Some(index) =
            self.forks.iter().position(|fork| fork.state == ForkState::Leaving(transaction))
        else {
            return;
        };
        if code < 200 {
            return;
        }
        if matches!(code, 401 | 407) && self.answer_bye_challenge(cx, index, response) {
            return;
        }
        self.forks[index].end();
    }

    fn answer_bye_challenge(
        &mut self,
        cx: &mut Context<'_>,
        index: usize,
        response: &Response,
    ) -> bool {
        let flow = self.flow_in(index);
        let fork = &mut self.forks[index];
        let (Some(bye), false) = (&fork.bye, fork.bye_challenged) else { return false };
        if self.authority.take(response).is_none() {
            return false;
        }
        let via = request::via(cx, flow);
        let mut bye = request::again(bye, &via);
        self.authority.sign(cx.shard, &mut bye);
        fork.bye_challenged = true;
        match cx.shard.send_request(cx.now, bye, flow, self.owner) {
            Some(transaction) => fork.state = ForkState::Leaving(transaction),
            None => return false,
        }
        true
    }

    pub(super) fn end_bye(&mut self, transaction: TransactionId) {
        if let Some(fork) =
            self.forks.iter_mut().find(|fork| fork.state == ForkState::Leaving(transaction))
        {
            fork.end();
        }
    }

    /// Forgets its dialogs without a word: their flow is gone for good.
    pub fn drop_dialogs(&mut self) {
        self.abandoned = true;
        self.forks.clear();
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.cancel_deadline
    }

    /// §9.1: without a final response the cancelled transaction is given up.
    pub fn handle_timeout(&mut self, cx: &mut Context<'_>) {
        if self.cancel_deadline.is_some_and(|at| at <= cx.now) {
            self.give_up(cx.shard);
        }
    }

    /// Waits for the final response no longer, unless it has come.
    pub fn give_up(&mut self, shard: &mut Resources) {
        self.cancel_deadline = None;
        if matches!(self.stage, Stage::Calling | Stage::Proceeding) {
            self.stage = Stage::Over;
            self.forks.clear();
            if let Some(transaction) = self.transaction.take() {
                shard.transactions.terminate(transaction);
            }
        }
    }
}
