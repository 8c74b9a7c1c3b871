//! Offer and answer (RFC 3264): what the peer's answer means, and our answer to an offer of the peer.

use std::fmt::Write;
use std::net::SocketAddr;

use sdp_types::{Direction, Session};

use super::description::{self, Stream};
use super::print::{self, Audio};
use super::{AnswerSpec, Negotiated, Numbers, OfferSpec, Origin, SdpError, SrtpKeys, TelephoneEvents, sdes};
use crate::codec::PayloadType;
use crate::relay::LocalMedia;
use crate::srtp;

/// Reads the answer to `offer(spec)`.
///
/// # Errors
/// The peer refused the stream or answered something that was not offered; the leg then has no media.
pub fn accept_answer(spec: &OfferSpec, answer: &[u8]) -> Result<Negotiated, SdpError> {
    let session = description::parse(answer)?;
    let stream = description::only_audio(&session)?;
    if stream.media.port == 0 {
        return Err(SdpError::Rejected);
    }
    if profile(stream)?.is_secure() == spec.srtp.is_empty() {
        return Err(SdpError::Profile);
    }
    let formats = stream.formats()?;
    let (number, codec) = formats.codec(&spec.codecs).ok_or(SdpError::Codec)?;
    let events = spec.telephone_event.zip(formats.telephone_event());
    let srtp = if spec.srtp.is_empty() { None } else { Some(answered_keys(stream, &spec.srtp)?) };
    let addresses = Addresses::of(stream, &spec.local)?;
    Ok(Negotiated {
        rtp: addresses.rtp,
        rtcp: addresses.rtcp,
        rtcp_mux: stream.has_rtcp_mux(),
        codec,
        audio: Numbers { send: number, receive: codec.payload_type() },
        telephone_event: events.map(|(receive, send)| Numbers { send, receive }),
        direction: addresses.limit(spec.direction.intersect_with_remote(stream.direction()?)),
        srtp,
    })
}

/// Answers a new offer of the peer inside a dialog and tells what it means. The first usable audio stream is taken, every
/// other stream is rejected with port 0.
///
/// # Errors
/// Nothing of the offer can be accepted: the media stay as they are.
pub fn answer(offer: &[u8], spec: &AnswerSpec<'_>) -> Result<(String, Negotiated), SdpError> {
    let session = description::parse(offer)?;
    let (index, profile) = usable_stream(&session, !spec.srtp.is_empty())?;
    let stream = Stream { session: &session, media: &session.medias[index] };
    let formats = stream.formats()?;
    let (number, codec) = formats.codec(&[spec.codec]).ok_or(SdpError::Codec)?;
    let event = match spec.telephone_event {
        TelephoneEvents::Relayed => formats.telephone_event(),
        TelephoneEvents::Refused => None,
    };
    let crypto = if profile.is_secure() { Some(offered_keys(stream, &spec.srtp)?) } else { None };
    let addresses = Addresses::of(stream, &spec.local)?;
    let direction = addresses.limit(spec.direction.intersect_with_remote(stream.direction()?));
    let both = |number: PayloadType| Numbers { send: number, receive: number };
    let negotiated = Negotiated {
        rtp: addresses.rtp,
        rtcp: addresses.rtcp,
        rtcp_mux: stream.has_rtcp_mux(),
        codec,
        audio: both(number),
        telephone_event: event.map(both),
        direction,
        srtp: crypto.as_ref().map(|(_, keys)| keys.clone()),
    };
    let previous = Origin::of(spec.previous).ok_or(SdpError::Malformed)?;
    let body = |origin| {
        let mut text = print::session(&spec.local, origin);
        for (at, media) in session.medias.iter().enumerate() {
            if at != index {
                let written = write!(text, "m={} 0 {} {}\r\n", media.media, media.proto, media.fmt);
                written.expect("a String takes every write");
                continue;
            }
            let audio = Audio {
                local: &spec.local,
                profile: &media.proto,
                formats: &[(number, codec)],
                telephone_event: event,
                direction,
                rtcp_mux: negotiated.rtcp_mux,
            };
            audio.print(&mut text);
            if let Some((tag, keys)) = &crypto {
                print::crypto_line(&mut text, *tag, &keys.outbound);
            }
        }
        text
    };
    // RFC 3264 §8: the same version means the same description.
    let unchanged = body(previous);
    let text = if unchanged == spec.previous { unchanged } else { body(previous.next()) };
    Ok((text, negotiated))
}

/// The transport of an audio stream that a trunk leg can carry.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Profile {
    Plain,
    Secure,
}

impl Profile {
    fn is_secure(self) -> bool {
        self == Self::Secure
    }
}

fn profile(stream: Stream<'_>) -> Result<Profile, SdpError> {
    match stream.media.proto.to_ascii_uppercase().as_str() {
        "RTP/AVP" => Ok(Profile::Plain),
        "RTP/SAVP" => Ok(Profile::Secure),
        _ => Err(SdpError::Profile),
    }
}

/// The first open audio stream whose profile is ours, or why there is none.
fn usable_stream(session: &Session, secure: bool) -> Result<(usize, Profile), SdpError> {
    let mut refusal = SdpError::NoAudio;
    for (index, media) in session.medias.iter().enumerate() {
        let stream = Stream { session, media };
        if !stream.is_audio() {
            continue;
        }
        if media.port == 0 {
            refusal = SdpError::Rejected;
            continue;
        }
        match profile(stream) {
            Ok(profile) if profile.is_secure() == secure => return Ok((index, profile)),
            _ => refusal = SdpError::Profile,
        }
    }
    Err(refusal)
}

/// Where the peer wants its packets.
struct Addresses {
    rtp: Option<SocketAddr>,
    rtcp: Option<SocketAddr>,
}

impl Addresses {
    fn of(stream: Stream<'_>, local: &LocalMedia) -> Result<Self, SdpError> {
        let rtp = SocketAddr::new(stream.address()?, stream.media.port);
        let rtcp = if stream.has_rtcp_mux() { rtp } else { stream.rtcp_address(rtp)? };
        // RFC 3264 §8.4: the unspecified address is the hold of RFC 2543.
        if rtp.ip().is_unspecified() {
            return Ok(Self { rtp: None, rtcp: None });
        }
        if rtp.is_ipv4() != local.address.is_ipv4() {
            return Err(SdpError::AddressFamily);
        }
        Ok(Self { rtp: Some(rtp), rtcp: Some(rtcp).filter(|rtcp| !rtcp.ip().is_unspecified()) })
    }

    /// Nothing can be sent to a peer that holds by its address.
    fn limit(&self, direction: Direction) -> Direction {
        match (self.rtp, direction) {
            (None, Direction::SendRecv) => Direction::RecvOnly,
            (None, Direction::SendOnly) => Direction::Inactive,
            _ => direction,
        }
    }
}

/// RFC 4568 §5.1.3: the answer holds one crypto line, with the tag and the suite of one that was offered.
fn answered_keys(stream: Stream<'_>, offered: &[srtp::Keys]) -> Result<SrtpKeys, SdpError> {
    let mut lines = stream.values("crypto");
    let line = lines.next().ok_or(SdpError::Crypto)?;
    if lines.next().is_some() {
        return Err(SdpError::Duplicate);
    }
    let answered = sdes::parse(line)?;
    let mut tagged = (1..).zip(offered);
    let (_, outbound) = tagged.find(|(tag, _)| *tag == answered.tag).ok_or(SdpError::Crypto)?;
    if outbound.suite() != answered.keys.suite() {
        return Err(SdpError::Crypto);
    }
    Ok(SrtpKeys { outbound: outbound.clone(), inbound: answered.keys })
}

/// The first of our keys whose suite is offered in a usable crypto line, with that line's tag.
fn offered_keys(stream: Stream<'_>, ours: &[srtp::Keys]) -> Result<(u32, SrtpKeys), SdpError> {
    let mut refusal = SdpError::Crypto;
    let mut usable = Vec::new();
    for line in stream.values("crypto") {
        match sdes::parse(line) {
            Ok(offered) => usable.push(offered),
            Err(SdpError::Crypto) => {}
            Err(error) => refusal = error,
        }
    }
    let pick = |keys: &srtp::Keys| {
        let offered = usable.iter().find(|offered| offered.keys.suite() == keys.suite())?;
        Some((offered.tag, SrtpKeys { outbound: keys.clone(), inbound: offered.keys.clone() }))
    };
    ours.iter().find_map(pick).ok_or(refusal)
}
