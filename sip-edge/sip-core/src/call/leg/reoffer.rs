//! Our own offers inside a leg's dialog: hold and resume towards trunks by a=sendonly and
//! a=sendrecv (RFC 3264 §8.4, RFC 3261 §14.1). When one may be sent is `exchange`'s to say; its
//! failure leaves the session as it was.

use super::description::{Agreement, Offer};
use super::exchange::{Verdict, Wish};
use super::{Leg, LegEvent};
use crate::call::context::Context;
use std::time::Duration;

impl Leg {
    /// Puts the peer on hold or takes it back, by a re-INVITE as soon as one may be sent. A
    /// softphone's media is switched here alone.
    pub fn want(&mut self, cx: &mut Context<'_>, wish: Wish) {
        if self.softphone().is_none() && self.is_answered() {
            self.exchange.want(wish);
            self.offer_if_due(cx);
        }
    }

    pub(super) fn offer_if_due(&mut self, cx: &mut Context<'_>) {
        let Some(wish) = self.exchange.due(cx.now).filter(|_| self.is_answered()) else { return };
        let Some(agreed) = self.agreed.clone() else { return };
        let Some(offer) = Offer::again(cx, self.described_media(), self.previous(), &agreed, wish)
        else {
            return;
        };
        let sdp = offer.print();
        let sent = self.invitations.last_mut().map(|invitation| invitation.reinvite(cx, &sdp));
        if sent != Some(Ok(())) {
            let pause = glare_pause(cx);
            return self.exchange.rest(cx.now + pause);
        }
        self.exchange.begin(cx.now, wish);
        self.local_sdp = sdp;
        self.reoffer = Some(offer);
        if wish == Wish::Talk && agreed.is_held_by_us() {
            // RFC 3264 §5.1: whoever offers to receive must be ready for it at once.
            agreed.both_ways().apply(cx, self.described_media());
        }
    }

    pub(super) fn handle_reoffered(
        &mut self,
        cx: &mut Context<'_>,
        code: Option<u16>,
        sdp: Option<Vec<u8>>,
    ) -> LegEvent {
        let offer = self.reoffer.take();
        let pause = glare_pause(cx);
        let verdict = self.exchange.take_final(cx.now, code, pause);
        // An answer that cannot be used leaves the session as it was (§14.1).
        let agreed = offer.zip(sdp).and_then(|(offer, sdp)| offer.accept(&sdp).ok());
        let event = match (verdict, agreed) {
            (Verdict::DialogLost, _) => return LegEvent::DialogLost,
            (Verdict::Agreed, Some(agreed)) => self.take_media(cx, agreed),
            _ => {
                self.keep_media(cx);
                LegEvent::Nothing
            }
        };
        self.offer_if_due(cx);
        event
    }

    fn keep_media(&self, cx: &mut Context<'_>) {
        if let Some(agreed) = self.agreed.as_ref().filter(|agreed| Agreement::is_held_by_us(agreed))
        {
            agreed.apply(cx, self.described_media());
        }
    }

    /// Gives up an offer that is not answered, and sends one whose time has come.
    pub(super) fn continue_exchange(&mut self, cx: &mut Context<'_>) {
        if self.exchange.is_overdue(cx.now) {
            self.exchange.give_up();
            self.reoffer = None;
            self.keep_media(cx);
            if let Some(invitation) = self.invitations.last_mut() {
                invitation.drop_reinvite(cx);
            }
        }
        self.exchange.wake(cx.now);
        self.offer_if_due(cx);
    }
}

/// §14.1: "between 2.1 and 4 seconds in units of 10 ms", since the Call-ID is ours.
fn glare_pause(cx: &mut Context<'_>) -> Duration {
    Duration::from_millis(2_100 + 10 * (cx.shard.entropy.number() % 191))
}
