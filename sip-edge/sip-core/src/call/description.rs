//! What a leg offers and agrees in SDP (RFC 3264): a trunk's RTP or SDES-SRTP, or a softphone's DTLS-SRTP over ICE. The leg's signalling
//! is the same for both; every difference between their descriptions is here.

use super::context::Context;
use super::exchange::Wish;
use crate::edge::MediaProfile;
use media_core::codec::{Codec, PayloadType};
use media_core::relay::LegId;
use media_core::sdp::webrtc::{self, SoftphoneAnswer, SoftphoneNegotiated, SoftphoneOffer};
use media_core::sdp::{self, AnswerSpec, Direction, Negotiated, OfferSpec, Origin, SdpError, TelephoneEvents};
use media_core::srtp::Suite;

/// Dynamic payload type under which telephone-event is offered.
const TELEPHONE_EVENT: PayloadType = PayloadType::new(101).expect("below 128");
/// Crypto suites that are offered, the preferred one first (RFC 4568, RFC 7714).
const SUITES: [Suite; 2] = [Suite::AeadAes128Gcm, Suite::AesCm128HmacSha1_80];

/// What may be offered to a party.
#[derive(Debug, Clone)]
pub struct Offered {
    pub codecs: Vec<Codec>,
    pub telephone_event: bool,
}

/// How a party carries media.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carriage {
    Trunk(MediaProfile),
    Softphone,
}

impl Wish {
    fn direction(self) -> Direction {
        match self {
            Wish::Talk => Direction::SendRecv,
            Wish::Hold => Direction::SendOnly,
        }
    }
}

/// An offer of ours.
#[derive(Debug, Clone)]
pub enum Offer {
    Trunk(OfferSpec),
    Softphone(SoftphoneOffer),
}

impl Offer {
    /// The first offer to a party; `None` if the leg has no media of this kind.
    pub fn first(cx: &mut Context<'_>, media: LegId, offered: &Offered, carriage: Carriage) -> Option<Offer> {
        // RFC 8866 §5.2: numeric; below 2^63 so that every peer can hold it.
        let origin = Origin { id: cx.shard.entropy.number() >> 1, version: 1 };
        let codecs = offered.codecs.clone();
        let telephone_event = offered.telephone_event.then_some(TELEPHONE_EVENT);
        let direction = Direction::SendRecv;
        let srtp = match carriage {
            Carriage::Softphone => {
                let local = cx.shard.relay.softphone_local(media)?;
                return Some(Offer::Softphone(SoftphoneOffer { local, origin, codecs, telephone_event, direction }));
            }
            Carriage::Trunk(MediaProfile::Rtp) => Vec::new(),
            Carriage::Trunk(MediaProfile::SdesSrtp) => SUITES.iter().map(|suite| cx.shard.entropy.keys(*suite)).collect(),
        };
        let local = cx.shard.relay.local_media(media);
        Some(Offer::Trunk(OfferSpec { local, origin, codecs, telephone_event, direction, srtp }))
    }

    /// A later offer inside the dialog: what is in use, with this wish. `previous` is what we last sent.
    pub fn again(cx: &Context<'_>, media: LegId, previous: &str, agreed: &Agreement, wish: Wish) -> Option<Offer> {
        let origin = Origin::of(previous).map_or(Origin { id: 0, version: 1 }, Origin::next);
        let direction = wish.direction();
        Some(match agreed {
            Agreement::Trunk(negotiated) => Offer::Trunk(OfferSpec {
                local: cx.shard.relay.local_media(media),
                origin,
                codecs: vec![negotiated.codec],
                telephone_event: negotiated.telephone_event.map(|numbers| numbers.receive),
                direction,
                srtp: negotiated.srtp.iter().map(|keys| keys.outbound.clone()).collect(),
            }),
            Agreement::Softphone(negotiated) => Offer::Softphone(SoftphoneOffer {
                local: cx.shard.relay.softphone_local(media)?,
                origin,
                codecs: vec![negotiated.codec],
                telephone_event: negotiated.telephone_event.map(|numbers| numbers.receive),
                direction,
            }),
        })
    }

    pub fn print(&self) -> String {
        match self {
            Offer::Trunk(spec) => sdp::offer(spec),
            Offer::Softphone(spec) => webrtc::offer(spec),
        }
    }

    /// Reads the peer's answer.
    pub fn accept(&self, answer: &[u8]) -> Result<Agreement, SdpError> {
        match self {
            Offer::Trunk(spec) => sdp::accept_answer(spec, answer).map(Agreement::Trunk),
            Offer::Softphone(spec) => webrtc::accept_answer(spec, answer).map(Agreement::Softphone),
        }
    }
}

/// What was agreed with a party.
#[derive(Debug, Clone, PartialEq)]
pub enum Agreement {
    Trunk(Negotiated),
    Softphone(SoftphoneNegotiated),
}

impl Agreement {
    /// What the other party may be offered, so that relaying needs no transcoding.
    pub fn offered(&self) -> Offered {
        let (codec, telephone_event) = match self {
            Agreement::Trunk(negotiated) => (negotiated.codec, negotiated.telephone_event.is_some()),
            Agreement::Softphone(negotiated) => (negotiated.codec, negotiated.telephone_event.is_some()),
        };
        Offered { codecs: vec![codec], telephone_event }
    }

    pub fn is_both_ways(&self) -> bool {
        let direction = match self {
            Agreement::Trunk(negotiated) => negotiated.direction,
            Agreement::Softphone(negotiated) => negotiated.direction,
        };
        direction == Direction::SendRecv
    }

    /// Lets the leg's media follow.
    pub fn apply(&self, cx: &mut Context<'_>, media: LegId) {
        match self {
            Agreement::Trunk(negotiated) => cx.shard.relay.set_remote(cx.now, media, negotiated.clone()),
            Agreement::Softphone(negotiated) => cx.shard.relay.set_softphone_remote(cx.now, media, negotiated.clone()),
        }
    }

    /// Whether the peer waits on our hold alone.
    pub fn is_held_by_us(&self) -> bool {
        matches!(self, Agreement::Trunk(Negotiated { direction: Direction::SendOnly, .. }))
    }

    /// The same, both ways.
    pub fn both_ways(mut self) -> Agreement {
        match &mut self {
            Agreement::Trunk(negotiated) => negotiated.direction = Direction::SendRecv,
            Agreement::Softphone(negotiated) => negotiated.direction = Direction::SendRecv,
        }
        self
    }

    /// Answers the peer's new offer with our wish; the codec in use stays. `previous` is what we last sent.
    pub fn answer(
        &self,
        cx: &Context<'_>,
        media: LegId,
        previous: &str,
        wish: Wish,
        offer: &[u8],
    ) -> Option<(String, Agreement)> {
        let events = |is_agreed| if is_agreed { TelephoneEvents::Relayed } else { TelephoneEvents::Refused };
        match self {
            Agreement::Trunk(negotiated) => {
                let spec = AnswerSpec {
                    local: cx.shard.relay.local_media(media),
                    previous,
                    codec: negotiated.codec,
                    telephone_event: events(negotiated.telephone_event.is_some()),
                    direction: wish.direction(),
                    srtp: negotiated.srtp.iter().map(|keys| keys.outbound.clone()).collect(),
                };
                let (sdp, negotiated) = sdp::answer(offer, &spec).ok()?;
                Some((sdp, Agreement::Trunk(negotiated)))
            }
            Agreement::Softphone(negotiated) => {
                let spec = SoftphoneAnswer {
                    local: cx.shard.relay.softphone_local(media)?,
                    previous,
                    codecs: vec![negotiated.codec],
                    telephone_event: events(negotiated.telephone_event.is_some()),
                    direction: wish.direction(),
                };
                let (sdp, negotiated) = webrtc::answer(offer, &spec).ok()?;
                Some((sdp, Agreement::Softphone(negotiated)))
            }
        }
    }
}
