//! Requests of the peer inside a leg's dialog: BYE, re-INVITE, UPDATE, INFO, OPTIONS, and the
//! refusal of all others (RFC 3261 §12.2.2, §14.2, §15.1.2; RFC 3311; RFC 6086). A 2xx to a
//! re-INVITE is repeated until its ACK comes (§13.3.1.4).
//!
//! A refreshing re-INVITE or UPDATE of the peer (RFC 4028) is answered like any other.

use super::description::{Agreement, Offer};
use super::exchange::{Turn, Wish};
use super::{Leg, LegEvent};
use crate::call::context::Context;
use crate::call::invitation::session_timer::SessionTimer;
use crate::call::invitation::{ForkState, request};
use crate::call::release;
use crate::dialog::State;
use crate::message::{Body, Method, Request, Response, View, header, set_body};
use crate::outcome::LegName;
use crate::transaction::TransactionId;
use call_words::MilestoneKind;
use std::time::{Duration, Instant};

const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);
/// Requests inside a dialog bring our tag.
const NO_TAG: &str = "";

/// A 2xx that we sent to a re-INVITE and whose ACK has not come.
pub struct AwaitedAck {
    transaction: TransactionId,
    cseq: Option<u32>,
    response: Response,
    /// Our offer in the 2xx, if the re-INVITE had none: the ACK brings the answer.
    offer: Option<Offer>,
    repeat_at: Instant,
    interval: Duration,
    give_up_at: Instant,
}

impl AwaitedAck {
    pub fn poll_timeout(&self) -> Instant {
        self.repeat_at.min(self.give_up_at)
    }
}

/// Where a peer's request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Early,
    Confirmed,
    Ended,
}

impl Leg {
    /// Answers a request inside one of the leg's dialogs.
    pub fn handle_request(
        &mut self,
        cx: &mut Context<'_>,
        invitation: usize,
        id: TransactionId,
        request: &Request,
    ) -> LegEvent {
        let place = match self.admit(invitation, request) {
            Ok(place) => place,
            Err(code) => return self.refuse(cx, id, request, code),
        };
        self.keys.note_methods(request);
        let is_current = invitation + 1 == self.invitations.len();
        self.invitations[invitation].timer.note_methods(request);
        if request.method != Method::Bye
            && let Some(response) = request::bad_extension(&cx.shard.config, request, NO_TAG)
        {
            cx.shard.respond(cx.now, id, response);
            return LegEvent::Nothing;
        }
        if matches!(request.method, Method::Invite | Method::Update)
            && let Some(min_se) = SessionTimer::refusal(request)
        {
            let mut response = request::response(&cx.shard.config, request, 422, NO_TAG);
            response.headers.push(min_se);
            cx.shard.respond(cx.now, id, response);
            return LegEvent::Nothing;
        }
        match (request.method, place) {
            (Method::Bye, Place::Early) => self.refuse(cx, id, request, 481),
            (Method::Bye, place) => {
                self.accept(cx, id, request);
                match place {
                    Place::Confirmed => self.hang_up_by_peer(cx, invitation, request),
                    _ => LegEvent::Nothing,
                }
            }
            (_, Place::Ended) => self.refuse(cx, id, request, 481),
            (Method::Options, _) => {
                let response = request::capabilities(&cx.shard.config, request, NO_TAG);
                cx.shard.respond(cx.now, id, response);
                LegEvent::Nothing
            }
            (Method::Info, place) => self.take_info(cx, id, request, place == Place::Confirmed),
            (Method::Update, _) if request.body.is_empty() => {
                self.refresh(invitation, request);
                self.accept(cx, id, request)
            }
            (Method::Update, Place::Early)
                if is_current && self.invitations[invitation].agreed_early(request).is_some() =>
            {
                self.renegotiate(cx, invitation, id, request)
            }
            // Our offer in the INVITE is not answered yet (RFC 3311 §5.2).
            (Method::Update, Place::Early) => self.refuse(cx, id, request, 491),
            (Method::Invite, Place::Early) => self.refuse(cx, id, request, 491),
            (Method::Invite | Method::Update, Place::Confirmed) => {
                self.renegotiate(cx, invitation, id, request)
            }
            (Method::Refer, Place::Confirmed) if self.name == LegName::Agent => {
                self.take_refer(cx, id, request)
            }
            (Method::Refer, _) => self.refuse(cx, id, request, 603),
            (Method::PRack, _) => self.refuse(cx, id, request, 481),
            // Nothing was subscribed to; a 481 would tell some peers that the dialog is gone.
            (Method::Subscribe | Method::Notify, _) => self.refuse(cx, id, request, 489),
            _ => self.refuse(cx, id, request, 405),
        }
    }

    /// Finds the request's dialog and takes its CSeq, or names the status that it is refused with.
    fn admit(&mut self, invitation: usize, request: &Request) -> Result<Place, u16> {
        let one = self.invitations.get_mut(invitation).ok_or(481_u16)?;
        let fork = one.fork_of(request).ok_or(481_u16)?;
        if let Some(number) = request.cseq_number() {
            fork.dialog.take_cseq(number).map_err(|_| 500_u16)?;
        }
        Ok(match (fork.state, fork.dialog.state()) {
            (ForkState::Leaving(_) | ForkState::Over, _) => Place::Ended,
            (_, State::Early) => Place::Early,
            (_, State::Confirmed) => Place::Confirmed,
        })
    }

    pub(super) fn refuse(
        &mut self,
        cx: &mut Context<'_>,
        id: TransactionId,
        request: &Request,
        code: u16,
    ) -> LegEvent {
        let mut response = request::response(&cx.shard.config, request, code, NO_TAG);
        if let (200, Method::Update, Some(one)) =
            (code, request.method, self.invitations.last_mut())
        {
            response.headers.push(header("Contact", one.contact()));
            one.timer
                .take_request(cx.now, request)
                .into_iter()
                .for_each(|each| response.headers.push(each));
        }
        cx.shard.respond(cx.now, id, response);
        LegEvent::Nothing
    }

    pub(super) fn accept(
        &mut self,
        cx: &mut Context<'_>,
        id: TransactionId,
        request: &Request,
    ) -> LegEvent {
        self.refuse(cx, id, request, 200)
    }

    fn hang_up_by_peer(
        &mut self,
        cx: &mut Context<'_>,
        invitation: usize,
        request: &Request,
    ) -> LegEvent {
        if let Some(fork) = self.invitations[invitation].fork_of(request) {
            fork.end();
        }
        self.awaited_ack = None;
        let why = release::said(request);
        cx.explained(Some(self.name), MilestoneKind::HungUp, None, None, why.as_deref());
        LegEvent::HungUp
    }

    fn refresh(&mut self, invitation: usize, request: &Request) {
        if let Some(fork) = self.invitations[invitation].fork_of(request) {
            fork.dialog.refresh_target(request);
        }
    }

    /// Answers a re-INVITE, or an UPDATE with a body. The codec in use stays if it is offered.
    fn renegotiate(
        &mut self,
        cx: &mut Context<'_>,
        invitation: usize,
        id: TransactionId,
        request: &Request,
    ) -> LegEvent {
        // RFC 3264 §4, RFC 3261 §14.2: no new offer while ours is unanswered.
        if self.awaited_ack.as_ref().is_some_and(|awaited| awaited.offer.is_some())
            || self.exchange.turn() == Turn::Ours
        {
            return self.refuse(cx, id, request, 491);
        }
        let wish = self.exchange.wanted();
        let Some(agreed) = self.agreed.clone() else { return self.refuse(cx, id, request, 500) };
        let mut event = LegEvent::Nothing;
        let (sdp, offer) = if request.body.is_empty() {
            match Offer::again(cx, self.described_media(), self.previous(), &agreed, wish) {
                Some(offer) => (offer.print(), Some(offer)),
                None => return self.refuse(cx, id, request, 500),
            }
        } else {
            let Some(offer) = request::sdp_of(request) else {
                let mut response = request::response(&cx.shard.config, request, 415, NO_TAG);
                response.headers.push(header("Accept", request::SDP));
                cx.shard.respond(cx.now, id, response);
                return LegEvent::Nothing;
            };
            match agreed.answer(cx, self.described_media(), self.previous(), wish, &offer) {
                Some((sdp, agreed)) => {
                    event = self.change_media(cx, agreed);
                    (sdp, None)
                }
                None => return self.refuse(cx, id, request, 488),
            }
        };
        self.refresh(invitation, request);
        let mut response = request::response(&cx.shard.config, request, 200, NO_TAG);
        let one = &mut self.invitations[invitation];
        response.headers.push(header("Contact", one.contact()));
        one.timer
            .take_request(cx.now, request)
            .into_iter()
            .for_each(|each| response.headers.push(each));
        set_body(&mut response, Body { content_type: request::SDP, bytes: sdp.as_bytes() });
        if let Some(fork) = one.agreed_early(request) {
            self.agreed_early.retain(|(at, _)| *at != fork);
            self.agreed_early.extend(self.agreed.clone().map(|agreed| (fork, agreed)));
        }
        self.local_sdp = sdp;
        self.exchange.answered(request.method == Method::Invite);
        cx.shard.respond(cx.now, id, response.clone());
        if request.method == Method::Invite {
            let cseq = request.cseq_number();
            let (repeat_at, give_up_at) = (cx.now + T1, cx.now + T1 * 64);
            self.awaited_ack = Some(AwaitedAck {
                transaction: id,
                cseq,
                response,
                offer,
                repeat_at,
                interval: T1,
                give_up_at,
            });
        }
        event
    }

    fn change_media(&mut self, cx: &mut Context<'_>, agreed: Agreement) -> LegEvent {
        let before = self.agreed.as_ref().is_none_or(Agreement::is_both_ways);
        match (before, agreed.is_both_ways()) {
            // It is on our hold anyway.
            _ if self.exchange.wanted() == Wish::Hold => {}
            (true, false) => cx.milestone(Some(self.name), MilestoneKind::Held, None, None),
            (false, true) => cx.milestone(Some(self.name), MilestoneKind::Resumed, None, None),
            _ => {}
        }
        self.take_media(cx, agreed)
    }

    /// Takes the ACK of a 2xx that we sent.
    pub fn handle_ack(&mut self, cx: &mut Context<'_>, ack: &Request) -> LegEvent {
        let number = ack.cseq_number();
        // One whose number cannot be read is taken for the one that is waited for.
        let is_awaited = |awaited: &mut AwaitedAck| {
            number.is_none() || awaited.cseq.is_none() || awaited.cseq == number
        };
        let Some(awaited) = self.awaited_ack.take_if(is_awaited) else { return LegEvent::Nothing };
        // An answer that cannot be used leaves the media as they are (RFC 3261 §14.1).
        let agreed = awaited.offer.and_then(|offer| offer.accept(&request::sdp_of(ack)?).ok());
        let event = agreed.map_or(LegEvent::Nothing, |agreed| self.change_media(cx, agreed));
        self.exchange.acknowledged();
        self.offer_if_due(cx);
        event
    }

    /// Repeats a 2xx that is not acknowledged; after 64·T1 the dialog is given up (§13.3.1.4).
    pub(super) fn repeat_answer(&mut self, cx: &mut Context<'_>) -> LegEvent {
        let Some(awaited) = &mut self.awaited_ack else { return LegEvent::Nothing };
        if awaited.give_up_at <= cx.now {
            self.awaited_ack = None;
            return LegEvent::DialogLost;
        }
        if awaited.repeat_at <= cx.now {
            awaited.interval = (awaited.interval * 2).min(T2);
            awaited.repeat_at = cx.now + awaited.interval;
            cx.shard.respond(cx.now, awaited.transaction, awaited.response.clone());
        }
        LegEvent::Nothing
    }
}
