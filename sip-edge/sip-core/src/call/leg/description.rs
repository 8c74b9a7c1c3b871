//! What a leg offers and agrees in SDP (RFC 3264): a trunk's RTP or SDES-SRTP, or a softphone's
//! DTLS-SRTP over ICE. The leg's signalling is the same for both; every difference between their
//! descriptions is here.

use super::exchange::Wish;
use crate::call::context::Context;
use call_words::{DtmfMode, MediaProfile};
use media_core::codec::{Codec, Format, FormatMap, PayloadType};
use media_core::relay::LegId;
use media_core::sdp::webrtc::{self, SoftphoneAnswer, SoftphoneNegotiated, SoftphoneOffer};
use media_core::sdp::{self, AnswerSpec, Direction, Negotiated, OfferSpec, Origin, SdpError};
use media_core::srtp::{Keys, Suite};
use std::net::IpAddr;

/// Dynamic payload type under which telephone-event is offered.
const TELEPHONE_EVENT: PayloadType = PayloadType::new(101).expect("below 128");
/// And that at the clock of Opus.
const OPUS_EVENT: PayloadType = PayloadType::new(110).expect("below 128");

/// How a party carries media.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carriage {
    Trunk {
        media: MediaProfile,
        dtmf: DtmfMode,
        /// Whether comfort noise is offered and agreed to.
        comfort_noise: bool,
    },
    /// Whether it may be offered Opus.
    Softphone { opus: bool },
}

impl Carriage {
    /// Whether a party may be sent SRTP and may be sent none (RFC 8643).
    pub fn is_opportunistic(self) -> bool {
        matches!(self, Carriage::Trunk { media: MediaProfile::Osrtp, .. })
    }

    /// How the party is told of pressed keys.
    pub fn dtmf(self) -> DtmfMode {
        match self {
            Carriage::Trunk { dtmf, .. } => dtmf,
            Carriage::Softphone { .. } => DtmfMode::Auto,
        }
    }

    /// Whether the party is told of silence instead of being sent it.
    fn takes_noise(self) -> bool {
        matches!(self, Carriage::Trunk { comfort_noise: true, .. })
    }

    /// Whether telephone-events are offered and agreed to.
    fn takes_events(self) -> bool {
        matches!(self.dtmf(), DtmfMode::Auto | DtmfMode::Rfc4733)
    }
}

impl Wish {
    fn direction(self) -> Direction {
        match self {
            Wish::Talk => Direction::SendRecv,
            Wish::Hold => Direction::SendOnly,
        }
    }
}

/// A key for each crypto suite, the preferred one first (RFC 4568, RFC 7714).
fn fresh_keys(cx: &mut Context<'_>) -> Vec<Keys> {
    Suite::ALL.iter().map(|suite| cx.shard.entropy.keys(*suite)).collect()
}

/// An offer of ours.
#[derive(Debug, Clone)]
pub enum Offer {
    Trunk(OfferSpec),
    Softphone(SoftphoneOffer),
}

impl Offer {
    /// The first offer to a party, all that can be relayed or transcoded, `preferred` first; `None`
    /// if the leg has no media of this kind. `peer` is where its signalling goes.
    pub fn first(
        cx: &mut Context<'_>,
        media: LegId,
        preferred: Codec,
        carriage: Carriage,
        peer: IpAddr,
    ) -> Option<Offer> {
        // RFC 8866 §5.2: numeric; below 2^63 so that every peer can hold it.
        let origin = Origin { id: cx.shard.entropy.number() >> 1, version: 1 };
        // What a softphone speaks is no trunk's matter.
        let preferred = if preferred == Codec::Opus { Codec::Pcmu } else { preferred };
        let mut codecs = preferred.and_others();
        let telephone_event = carriage.takes_events().then_some(TELEPHONE_EVENT);
        let (direction, known) = (Direction::SendRecv, FormatMap::default());
        let srtp = match carriage {
            Carriage::Softphone { opus } => {
                let has_opus = opus && cx.shard.relay.admit_opus(media);
                if has_opus {
                    codecs.insert(0, Codec::Opus);
                }
                let local = cx.shard.relay.softphone_local(media)?;
                return Some(Offer::Softphone(SoftphoneOffer {
                    local,
                    origin,
                    codecs,
                    telephone_event,
                    opus_event: has_opus.then_some(OPUS_EVENT),
                    direction,
                    known,
                }));
            }
            Carriage::Trunk { media: MediaProfile::Rtp, .. } => Vec::new(),
            Carriage::Trunk { .. } => fresh_keys(cx),
        };
        let local = cx.shard.relay.local_media(media);
        let peer = Some(peer);
        Some(Offer::Trunk(OfferSpec {
            local,
            origin,
            codecs,
            telephone_event,
            comfort_noise: carriage.takes_noise(),
            direction,
            srtp,
            is_opportunistic: carriage.is_opportunistic(),
            known,
            peer,
        }))
    }

    /// A later offer inside the dialog: what is in use first, with this wish. `previous` is what we
    /// last sent.
    pub fn again(
        cx: &Context<'_>,
        media: LegId,
        previous: Previous<'_>,
        agreed: &Agreement,
        wish: Wish,
    ) -> Option<Offer> {
        let origin = Origin::of(previous.sdp).map_or(Origin { id: 0, version: 1 }, Origin::next);
        let direction = wish.direction();
        let codecs = agreed.codec().and_others();
        let known = agreed.received();
        let telephone_event = (previous.carriage.takes_events())
            .then(|| known.payload_type(Format::TelephoneEvent).unwrap_or(TELEPHONE_EVENT));
        Some(match agreed {
            Agreement::Trunk(negotiated) => Offer::Trunk(OfferSpec {
                local: cx.shard.relay.local_media(media),
                origin,
                codecs,
                telephone_event,
                comfort_noise: previous.carriage.takes_noise(),
                direction,
                srtp: negotiated.srtp.iter().map(|keys| keys.outbound.clone()).collect(),
                is_opportunistic: previous.carriage.is_opportunistic(),
                known,
                peer: previous.peer,
            }),
            Agreement::Softphone(_) => Offer::Softphone(SoftphoneOffer {
                local: cx.shard.relay.softphone_local(media)?,
                origin,
                opus_event: codecs
                    .contains(&Codec::Opus)
                    .then(|| known.payload_type(Format::OpusEvent).unwrap_or(OPUS_EVENT)),
                codecs,
                telephone_event,
                direction,
                known,
            }),
        })
    }

    /// As SDP.
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
    /// The codec that is sent to the party.
    pub fn codec(&self) -> Codec {
        match self {
            Agreement::Trunk(negotiated) => negotiated.codec,
            Agreement::Softphone(negotiated) => negotiated.codec,
        }
    }

    fn received(&self) -> FormatMap {
        match self {
            Agreement::Trunk(negotiated) => negotiated.received,
            Agreement::Softphone(negotiated) => negotiated.received,
        }
    }

    fn direction(&self) -> Direction {
        match self {
            Agreement::Trunk(negotiated) => negotiated.direction,
            Agreement::Softphone(negotiated) => negotiated.direction,
        }
    }

    /// Whether what is said to the party and by it is encrypted.
    pub fn is_encrypted(&self) -> bool {
        match self {
            Agreement::Trunk(negotiated) => negotiated.srtp.is_some(),
            Agreement::Softphone(_) => true,
        }
    }

    /// Whether the party takes key presses as telephone-events.
    pub fn takes_events(&self) -> bool {
        match self {
            Agreement::Trunk(negotiated) => negotiated.telephone_event.is_some(),
            Agreement::Softphone(negotiated) => negotiated.telephone_event.is_some(),
        }
    }

    /// Whether the party holds by itself: it is not to be sent to.
    pub fn is_held_by_peer(&self) -> bool {
        matches!(self.direction(), Direction::RecvOnly | Direction::Inactive)
    }

    /// Whether both sides may send.
    pub fn is_both_ways(&self) -> bool {
        self.direction() == Direction::SendRecv
    }

    /// Lets the leg's media follow.
    pub fn apply(&self, cx: &mut Context<'_>, media: LegId) {
        match self {
            Agreement::Trunk(negotiated) => {
                cx.shard.relay.set_remote(cx.now, media, negotiated.clone())
            }
            Agreement::Softphone(negotiated) => {
                cx.shard.relay.set_softphone_remote(cx.now, media, negotiated.clone())
            }
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

    /// Answers the peer's new offer with our wish; the codec in use stays if it is offered.
    /// `previous` is what we last sent.
    pub fn answer(
        &self,
        cx: &mut Context<'_>,
        media: LegId,
        previous: Previous<'_>,
        wish: Wish,
        offer: &[u8],
    ) -> Option<(String, Agreement)> {
        match self {
            Agreement::Trunk(negotiated) => {
                let is_opportunistic = previous.carriage.is_opportunistic();
                let needs_keys = negotiated.srtp.is_some() || is_opportunistic;
                let srtp = if needs_keys { fresh_keys(cx) } else { Vec::new() };
                let spec = AnswerSpec {
                    local: cx.shard.relay.local_media(media),
                    previous: previous.sdp,
                    agreed: negotiated,
                    srtp: &srtp,
                    is_opportunistic,
                    takes_events: previous.carriage.takes_events(),
                    comfort_noise: previous.carriage.takes_noise(),
                    direction: wish.direction(),
                    peer: previous.peer,
                };
                let (sdp, negotiated) = sdp::answer(offer, &spec).ok()?;
                Some((sdp, Agreement::Trunk(negotiated)))
            }
            Agreement::Softphone(negotiated) => {
                let spec = SoftphoneAnswer {
                    local: cx.shard.relay.softphone_local(media)?,
                    previous: previous.sdp,
                    codec: negotiated.codec,
                    known: negotiated.received,
                    direction: wish.direction(),
                };
                let (sdp, negotiated) = webrtc::answer(offer, &spec).ok()?;
                Some((sdp, Agreement::Softphone(negotiated)))
            }
        }
    }
}

/// What was last said to a party inside its dialog.
#[derive(Debug, Clone, Copy)]
pub struct Previous<'a> {
    /// The description that we last sent.
    pub sdp: &'a str,
    /// Where its signalling comes from.
    pub peer: Option<IpAddr>,
    pub carriage: Carriage,
}
