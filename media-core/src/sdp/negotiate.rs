//! Offer and answer (RFC 3264): what the peer's answer means, and our answer to an offer of the
//! peer.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use super::description::{self, Session, Stream};
use super::print::{self, Audio};
use super::{AnswerSpec, Direction, LocalMedia, Negotiated, OfferSpec, Origin, SdpError, sdes};
use crate::codec::{Codec, Format, FormatMap, PayloadType};
use crate::srtp::{self, SrtpKeys};

/// Reads the answer to `offer(spec)`. Its first usable audio stream counts.
///
/// # Errors
/// No audio could flow: the peer refused the stream, or answered nothing that was offered; the leg
/// then has no media.
pub fn accept_answer(spec: &OfferSpec, answer: &[u8]) -> Result<Negotiated, SdpError> {
    let session = description::parse(answer);
    let offers_keys = !spec.srtp.is_empty();
    let protection = Protection::of(offers_keys, spec.is_opportunistic && offers_keys);
    let stream = session.stream(usable_stream(&session, protection)?);
    let ours = received(&offered_formats(&spec.codecs, spec.telephone_event), &spec.known, &[]);
    let formats = stream.formats(&ours, false);
    let comfort_noise = first(&formats, Format::ComfortNoise).filter(|_| spec.comfort_noise);
    let (audio, codec) = first_audio(&formats, &spec.codecs).ok_or(SdpError::Codec)?;
    let srtp = match protection {
        Protection::None => None,
        Protection::Opportunistic if is_plain(stream) => None,
        _ => Some(Box::new(answered_keys(stream, &spec.srtp)?)),
    };
    let addresses = Addresses::of(stream, &spec.local, spec.peer)?;
    Ok(Negotiated {
        rtp: addresses.rtp,
        rtcp: addresses.rtcp,
        rtcp_mux: stream.has_rtcp_mux(),
        codec,
        audio,
        telephone_event: spec.telephone_event.and(first(&formats, Format::TelephoneEvent)),
        comfort_noise,
        received: received(&[], &ours, &formats),
        direction: addresses.limit(spec.direction.intersect_with_remote(stream.direction())),
        srtp,
    })
}

/// Answers a new offer of the peer inside a dialog and tells what it means. The first usable audio
/// stream is taken, every other stream is rejected with port 0. An audio stream that is offered
/// with port 0 is held (RFC 3264 §8.2): the session waits for the next offer.
///
/// # Errors
/// Nothing of the offer can be accepted: the media stay as they are.
pub fn answer(offer: &[u8], spec: &AnswerSpec<'_>) -> Result<(String, Negotiated), SdpError> {
    let session = description::parse(offer).whole()?;
    let previous = Origin::of(spec.previous).ok_or(SdpError::Malformed)?;
    let protection = Protection::of(spec.agreed.srtp.is_some(), spec.is_opportunistic);
    let index = match usable_stream(&session, protection) {
        Ok(index) => index,
        Err(SdpError::Rejected) => {
            let held = Negotiated {
                rtp: None,
                rtcp: None,
                direction: Direction::Inactive,
                ..spec.agreed.clone()
            };
            return Ok((
                versioned(spec.previous, previous, |origin| body(&session, spec, origin, None)),
                held,
            ));
        }
        Err(error) => return Err(error),
    };
    let stream = session.stream(index);
    let formats = stream.formats(&spec.agreed.received, false);
    let (audio, codec) = first_audio(&formats, &[spec.agreed.codec])
        .or_else(|| first_audio(&formats, &spec.agreed.codec.laws()))
        .or_else(|| first_audio(&formats, &[Codec::G722]))
        .ok_or(SdpError::Codec)?;
    let telephone_event = first(&formats, Format::TelephoneEvent).filter(|_| spec.takes_events);
    let comfort_noise = first(&formats, Format::ComfortNoise).filter(|_| spec.comfort_noise);
    let in_use = spec.agreed.srtp.as_ref().map(|keys| &keys.outbound);
    let crypto = match (protection, offered_keys(stream, in_use, spec.srtp)) {
        (Protection::None, _) => None,
        // RFC 8643 §3: keys that cannot be used are as good as none.
        (Protection::Opportunistic, Err(_)) if is_avp(stream) => None,
        (_, keys) => Some(keys?),
    };
    let addresses = Addresses::of(stream, &spec.local, spec.peer)?;
    let negotiated = Negotiated {
        rtp: addresses.rtp,
        rtcp: addresses.rtcp,
        rtcp_mux: stream.has_rtcp_mux(),
        codec,
        audio,
        telephone_event,
        comfort_noise,
        received: received(&formats, &spec.agreed.received, &[]),
        direction: addresses.limit(spec.direction.intersect_with_remote(stream.direction())),
        srtp: crypto.as_ref().map(|(_, keys)| Box::new(keys.clone())),
    };
    let audio = Audio {
        local: &spec.local,
        profile: &stream.media.proto,
        formats: &[(audio, codec)],
        telephone_event,
        comfort_noise,
        direction: negotiated.direction,
        rtcp_mux: negotiated.rtcp_mux,
    };
    let crypto = crypto.as_ref().map(|(tag, keys)| (*tag, &keys.outbound));
    let taken = Taken { index, audio, crypto };
    let text =
        versioned(spec.previous, previous, |origin| body(&session, spec, origin, Some(&taken)));
    Ok((text, negotiated))
}

/// The stream of an offer that is answered, with the tag of its crypto line and our key.
struct Taken<'a> {
    index: usize,
    audio: Audio<'a>,
    crypto: Option<(u32, &'a srtp::Keys)>,
}

fn body(
    session: &Session,
    spec: &AnswerSpec<'_>,
    origin: Origin,
    taken: Option<&Taken<'_>>,
) -> String {
    let mut text = print::session(&spec.local, origin);
    for (at, media) in session.medias.iter().enumerate() {
        let Some(taken) = taken.filter(|taken| taken.index == at) else {
            let inactive = if taken.is_none() { "a=inactive\r\n" } else { "" };
            let written =
                write!(text, "m={} 0 {} {}\r\n{inactive}", media.media, media.proto, media.formats);
            written.expect("a String takes every write");
            continue;
        };
        taken.audio.print(&mut text);
        if let Some((tag, keys)) = taken.crypto {
            print::crypto_line(&mut text, tag, keys);
        }
    }
    text
}

/// A description with the version of the previous one if it is the same, else with the next one
/// (RFC 3264 §8).
pub(super) fn versioned(previous: &str, origin: Origin, body: impl Fn(Origin) -> String) -> String {
    let unchanged = body(origin);
    if unchanged == previous { unchanged } else { body(origin.next()) }
}

/// What an offer of ours says of payload types.
pub(super) fn offered_formats(
    codecs: &[Codec],
    telephone_event: Option<PayloadType>,
) -> Vec<(PayloadType, Format)> {
    let audio = codecs.iter().map(|codec| (codec.payload_type(), Format::Audio(*codec)));
    audio.chain(telephone_event.map(|number| (number, Format::TelephoneEvent))).collect()
}

/// What the peer may send: what the offer says, what was known before, and what the answer says.
/// Strictly a peer sends under the numbers of our description (RFC 3264 §6.1); those that send
/// under their own mean the same by it. Comfort noise needs no agreement.
pub(super) fn received(
    offer: &[(PayloadType, Format)],
    known: &FormatMap,
    answer: &[(PayloadType, Format)],
) -> FormatMap {
    let mut map: FormatMap =
        offer.iter().copied().chain(known.iter()).chain(answer.iter().copied()).collect();
    map.add(PayloadType::COMFORT_NOISE, Format::ComfortNoise);
    map
}

/// The first format that is one of these codecs.
pub(super) fn first_audio(
    formats: &[(PayloadType, Format)],
    acceptable: &[Codec],
) -> Option<(PayloadType, Codec)> {
    formats.iter().find_map(|(number, format)| match format {
        Format::Audio(codec) if acceptable.contains(codec) => Some((*number, *codec)),
        _ => None,
    })
}

/// The first number of a format.
pub(super) fn first(formats: &[(PayloadType, Format)], wanted: Format) -> Option<PayloadType> {
    formats.iter().find(|(_, format)| *format == wanted).map(|(number, _)| *number)
}

/// What is asked of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protection {
    None,
    Required,
    /// Keys under RTP/AVP are taken, and their lack, too (RFC 8643).
    Opportunistic,
}

impl Protection {
    fn of(has_keys: bool, is_opportunistic: bool) -> Self {
        match (is_opportunistic, has_keys) {
            (true, _) => Self::Opportunistic,
            (false, true) => Self::Required,
            (false, false) => Self::None,
        }
    }
}

/// AVPF and SAVPF only add feedback (RFC 4585, RFC 5124).
fn is_avp(stream: Stream<'_>) -> bool {
    ["RTP/AVP", "RTP/AVPF"].iter().any(|name| stream.media.proto.eq_ignore_ascii_case(name))
}

/// Whether the stream brings no key, and needs none by its profile.
fn is_plain(stream: Stream<'_>) -> bool {
    is_avp(stream) && stream.values("crypto").next().is_none()
}

/// The first open audio stream whose profile is ours, or why there is none. A stream that brings a
/// key is protected, whatever its profile is called.
fn usable_stream(session: &Session, protection: Protection) -> Result<usize, SdpError> {
    let mut refusal = SdpError::NoAudio;
    for (index, media) in session.medias.iter().enumerate() {
        let stream = session.stream(index);
        if !stream.is_audio() {
            continue;
        }
        let is_savp =
            ["RTP/SAVP", "RTP/SAVPF"].iter().any(|name| media.proto.eq_ignore_ascii_case(name));
        let fits = match protection {
            Protection::None => is_avp(stream),
            Protection::Required => is_savp || is_avp(stream) && !is_plain(stream),
            Protection::Opportunistic => is_savp || is_avp(stream),
        };
        refusal = match media.port {
            None => SdpError::Malformed,
            Some(0) => SdpError::Rejected,
            Some(_) if fits => return Ok(index),
            Some(_) => SdpError::Profile,
        };
    }
    Err(refusal)
}

/// Where the peer wants its packets.
struct Addresses {
    rtp: Option<SocketAddr>,
    rtcp: Option<SocketAddr>,
}

impl Addresses {
    fn of(stream: Stream<'_>, local: &LocalMedia, peer: Option<IpAddr>) -> Result<Self, SdpError> {
        let port = stream.media.port.ok_or(SdpError::Malformed)?;
        let rtp = SocketAddr::new(stream.address(local.address, peer)?, port);
        // RFC 3264 §8.4: the unspecified address is the hold of RFC 2543.
        if rtp.ip().is_unspecified() {
            return Ok(Self { rtp: None, rtcp: None });
        }
        let rtcp = if stream.has_rtcp_mux() { Some(rtp) } else { stream.rtcp_address(rtp) };
        Ok(Self { rtp: Some(rtp), rtcp })
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

/// The first usable crypto line whose suite was offered. A line is known by its suite, since each
/// is offered once: some peers count the tags anew (deviates from RFC 4568 §5.1.3).
fn answered_keys(stream: Stream<'_>, offered: &[srtp::Keys]) -> Result<SrtpKeys, SdpError> {
    let mut refusal = SdpError::Crypto;
    for line in stream.values("crypto") {
        match sdes::parse(line) {
            Ok(line) => {
                if let Some(outbound) =
                    offered.iter().find(|keys| keys.suite() == line.keys.suite())
                {
                    return Ok(SrtpKeys {
                        outbound: outbound.clone(),
                        inbound: line.keys,
                        mki: line.mki,
                    });
                }
            }
            Err(SdpError::Crypto) => {}
            Err(error) => refusal = error,
        }
    }
    Err(refusal)
}

/// The first usable crypto line with the suite in use, else the first with a suite that we have a
/// key of; with that line's tag.
fn offered_keys(
    stream: Stream<'_>,
    in_use: Option<&srtp::Keys>,
    others: &[srtp::Keys],
) -> Result<(u32, SrtpKeys), SdpError> {
    let mut refusal = SdpError::Crypto;
    let mut first: Option<(u32, SrtpKeys)> = None;
    for line in stream.values("crypto") {
        let line = match sdes::parse(line) {
            Ok(line) => line,
            Err(error) => {
                refusal = if error == SdpError::Crypto { refusal } else { error };
                continue;
            }
        };
        let suite = line.keys.suite();
        let is_in_use = in_use.is_some_and(|keys| keys.suite() == suite);
        let mut ours = in_use.into_iter().chain(others);
        let Some(outbound) = ours.find(|keys| keys.suite() == suite).cloned() else { continue };
        let keys = SrtpKeys { outbound, inbound: line.keys, mki: line.mki };
        if is_in_use {
            return Ok((line.tag, keys));
        }
        first.get_or_insert((line.tag, keys));
    }
    first.ok_or(refusal)
}
