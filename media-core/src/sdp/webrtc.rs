//! Offers to and answers of browsers (RFC 8829, 8839, 8842, 8843, 5763): one audio stream over ICE
//! and DTLS, bundled, RTCP multiplexed. We are ICE-lite with one candidate, so the peer's
//! candidates mean nothing here; the peer begins the handshake.

use super::description::{self, Session, Stream};
use super::negotiate::{first, first_audio, offered_formats, received, versioned};
use super::print::{put, put_event, put_formats};
use super::{Direction, Origin, SdpError, SoftphoneLocal};
use crate::codec::{Codec, Format, FormatMap, OPUS_CLOCK_RATE, PayloadType};
use crate::dtls::Fingerprint;
use crate::ice::Credentials;

/// What is offered to a softphone.
#[derive(Debug, Clone)]
pub struct SoftphoneOffer {
    pub local: SoftphoneLocal,
    pub origin: Origin,
    /// In order of preference, not empty.
    pub codecs: Vec<Codec>,
    /// Offers telephone-event (RFC 4733, digits 0–15) under this number.
    pub telephone_event: Option<PayloadType>,
    /// Offers telephone-event at the clock of Opus under this number, too.
    pub opus_event: Option<PayloadType>,
    pub direction: Direction,
    /// What the session's payload types stood for before this offer.
    pub known: FormatMap,
}

/// What we answer to a softphone's offer.
#[derive(Debug, Clone)]
pub struct SoftphoneAnswer<'a> {
    pub local: SoftphoneLocal,
    /// The description that we last sent in this dialog; its version is kept when nothing changes.
    pub previous: &'a str,
    /// The codec in use, which stays if it is offered.
    pub codec: Codec,
    /// What the session's payload types stood for before this offer; Opus is taken if it was one.
    pub known: FormatMap,
    /// The direction that we would have without the peer's wish, normally `SendRecv`.
    pub direction: Direction,
}

/// The outcome of one offer and answer for a softphone leg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SoftphoneNegotiated {
    /// The peer's name in ICE. Its password is for checks of ours, which an ICE-lite agent never
    /// sends.
    pub ufrag: Box<str>,
    /// Of the peer's certificate.
    pub fingerprint: Fingerprint,
    /// What we send, the peer's first choice, and under which number.
    pub codec: Codec,
    pub audio: PayloadType,
    /// Under which number we send telephone-events, if the peer takes them.
    pub telephone_event: Option<PayloadType>,
    /// What the peer may send: each format that was offered, whatever it chose, and under the
    /// numbers of either side.
    pub received: FormatMap,
    /// As seen from us: `SendOnly` means that the peer only listens.
    pub direction: Direction,
}

/// Prints an offer of one audio stream.
pub fn offer(spec: &SoftphoneOffer) -> String {
    let formats: Vec<_> = spec.codecs.iter().map(|codec| (codec.payload_type(), *codec)).collect();
    let mut text = session(&spec.local, spec.origin, "0");
    let audio = Audio {
        local: &spec.local,
        ice: &spec.local.ice,
        profile: "UDP/TLS/RTP/SAVPF",
        mid: "0",
        formats: &formats,
        telephone_event: spec.telephone_event,
        opus_event: spec.opus_event,
        direction: spec.direction,
        setup: "actpass",
    };
    audio.print(&mut text);
    text
}

/// Reads the answer to `offer(spec)`.
///
/// # Errors
/// The peer refused the stream or answered something that was not offered; the leg then has no
/// media.
pub fn accept_answer(
    spec: &SoftphoneOffer,
    answer: &[u8],
) -> Result<SoftphoneNegotiated, SdpError> {
    let session = description::parse(answer);
    let stream = session.stream(usable_stream(&session)?);
    // RFC 8842 §5.3: after `actpass` the answer chooses a role.
    if !attribute(stream, "setup").is_some_and(|setup| setup.eq_ignore_ascii_case("active")) {
        return Err(SdpError::Setup);
    }
    let mut offered = offered_formats(&spec.codecs, spec.telephone_event);
    offered.extend(spec.opus_event.map(|number| (number, Format::OpusEvent)));
    let ours = received(&offered, &spec.known, &[]);
    let formats = stream.formats(&ours, spec.codecs.contains(&Codec::Opus));
    let (audio, codec) = first_audio(&formats, &spec.codecs).ok_or(SdpError::Codec)?;
    Ok(SoftphoneNegotiated {
        ufrag: ufrag(stream)?,
        fingerprint: fingerprint(stream)?,
        codec,
        audio,
        telephone_event: spec.telephone_event.and(event_beside(codec, &formats)),
        received: received(&[], &ours, &formats),
        direction: spec.direction.intersect_with_remote(stream.direction()),
    })
}

/// Answers an offer of the softphone and tells what it means. The first usable audio stream is
/// taken, every other stream is rejected with port 0. An offer with a new name in ICE is answered
/// with `local.next_ice`.
///
/// # Errors
/// Nothing of the offer can be accepted: the media stay as they are.
pub fn answer(
    offer: &[u8],
    spec: &SoftphoneAnswer<'_>,
) -> Result<(String, SoftphoneNegotiated), SdpError> {
    let session = description::parse(offer).whole()?;
    let index = usable_stream(&session)?;
    let stream = session.stream(index);
    let begins =
        |setup: &str| ["actpass", "active"].iter().any(|role| setup.eq_ignore_ascii_case(role));
    if !attribute(stream, "setup").is_some_and(begins) {
        return Err(SdpError::Setup);
    }
    let has_opus = spec.known.payload_type(Format::Audio(Codec::Opus)).is_some();
    let formats = stream.formats(&spec.known, has_opus);
    let (number, codec) = first_audio(&formats, &[spec.codec])
        .or_else(|| first_audio(&formats, &spec.codec.laws()))
        .or_else(|| first_audio(&formats, &[Codec::G722, Codec::Opus]))
        .ok_or(SdpError::Codec)?;
    let negotiated = SoftphoneNegotiated {
        ufrag: ufrag(stream)?,
        fingerprint: fingerprint(stream)?,
        codec,
        audio: number,
        telephone_event: event_beside(codec, &formats),
        received: received(&formats, &spec.known, &[]),
        direction: spec.direction.intersect_with_remote(stream.direction()),
    };
    let opus_event =
        negotiated.telephone_event.filter(|event| formats.contains(&(*event, Format::OpusEvent)));
    let restarts = spec.local.peer_ufrag.as_ref().is_some_and(|before| *before != negotiated.ufrag);
    let audio = Audio {
        local: &spec.local,
        ice: if restarts { &spec.local.next_ice } else { &spec.local.ice },
        profile: &stream.media.proto,
        mid: mid(stream),
        formats: &[(number, codec)],
        telephone_event: negotiated.telephone_event.filter(|event| Some(*event) != opus_event),
        opus_event,
        direction: negotiated.direction,
        setup: "passive",
    };
    let previous = Origin::of(spec.previous).ok_or(SdpError::Malformed)?;
    let text =
        versioned(spec.previous, previous, |origin| answer_body(&session, index, &audio, origin));
    Ok((text, negotiated))
}

fn answer_body(session: &Session, index: usize, audio: &Audio<'_>, origin: Origin) -> String {
    let mut text = self::session(audio.local, origin, audio.mid);
    for (at, media) in session.medias.iter().enumerate() {
        if at == index {
            audio.print(&mut text);
            continue;
        }
        put(
            &mut text,
            format_args!(
                "m={} 0 {} {}\r\nc=IN IP4 0.0.0.0\r\n",
                media.media, media.proto, media.formats
            ),
        );
        let mid = mid(session.stream(at));
        if !mid.is_empty() {
            put(&mut text, format_args!("a=mid:{mid}\r\n"));
        }
        put(&mut text, format_args!("a=inactive\r\n"));
    }
    text
}

/// The first format of key presses, one at the codec's own clock before others.
fn event_beside(codec: Codec, formats: &[(PayloadType, Format)]) -> Option<PayloadType> {
    let of_opus = formats.iter().find(|(_, format)| *format == Format::OpusEvent);
    let of_opus = of_opus.filter(|_| codec == Codec::Opus).map(|(number, _)| *number);
    of_opus.or_else(|| first(formats, Format::TelephoneEvent))
}

/// The first audio stream that a softphone leg can carry, or why there is none.
fn usable_stream(session: &Session) -> Result<usize, SdpError> {
    let mut refusal = SdpError::NoAudio;
    for index in 0..session.medias.len() {
        let stream = session.stream(index);
        if !stream.is_audio() {
            continue;
        }
        match check_transport(stream) {
            Ok(()) => return Ok(index),
            Err(error) => refusal = error,
        }
    }
    Err(refusal)
}

fn check_transport(stream: Stream<'_>) -> Result<(), SdpError> {
    if stream.media.port.ok_or(SdpError::Malformed)? == 0 {
        return Err(SdpError::Rejected);
    }
    if !["UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP"]
        .iter()
        .any(|profile| stream.media.proto.eq_ignore_ascii_case(profile))
    {
        return Err(SdpError::Profile);
    }
    if stream.has_rtcp_mux() { Ok(()) } else { Err(SdpError::RtcpMux) }
}

/// The value of an attribute of the media, or else of the session.
fn attribute<'a>(stream: Stream<'a>, name: &'a str) -> Option<&'a str> {
    stream.sections().into_iter().find_map(|section| section.values(name).next())
}

/// The peer's name in ICE; its password is only checked for its form (RFC 8839 §5.4).
fn ufrag(stream: Stream<'_>) -> Result<Box<str>, SdpError> {
    let read = |name, least: usize| {
        let value = attribute(stream, name).ok_or(SdpError::Ice)?;
        let is_sound = value.bytes().all(|letter| {
            letter.is_ascii_alphanumeric() || matches!(letter, b'+' | b'/' | b'-' | b'_' | b'=')
        });
        if is_sound && (least..=256).contains(&value.len()) {
            Ok(value)
        } else {
            Err(SdpError::Ice)
        }
    };
    read("ice-pwd", 22)?;
    read("ice-ufrag", 4).map(Box::from)
}

/// The one SHA-256 fingerprint; those of other hashes are passed over (RFC 8122 §5).
fn fingerprint(stream: Stream<'_>) -> Result<Fingerprint, SdpError> {
    for section in stream.sections() {
        let mut values =
            section.values("fingerprint").filter_map(|value| value.split_once(' ')).peekable();
        if values.peek().is_some() {
            let mut usable = values.filter(|(hash, _)| hash.eq_ignore_ascii_case("sha-256"));
            let (Some((_, text)), None) = (usable.next(), usable.next()) else {
                return Err(SdpError::Fingerprint);
            };
            return Fingerprint::parse(text.trim()).ok_or(SdpError::Fingerprint);
        }
    }
    Err(SdpError::Fingerprint)
}

/// The stream's name in the bundle (RFC 9143 §7.1); empty if it has none.
fn mid(stream: Stream<'_>) -> &str {
    stream.values("mid").next().unwrap_or_default()
}

/// The session part, up to the first media line.
fn session(local: &SoftphoneLocal, origin: Origin, mid: &str) -> String {
    let mut text = String::with_capacity(1024);
    let (family, address) = (family(local), local.address.ip());
    let Origin { id, version } = origin;
    put(
        &mut text,
        format_args!("v=0\r\no=- {id} {version} IN {family} {address}\r\ns=-\r\nt=0 0\r\n"),
    );
    if !mid.is_empty() {
        put(&mut text, format_args!("a=group:BUNDLE {mid}\r\n"));
    }
    // RFC 8839 §5.3; RFC 8830 §3.
    put(&mut text, format_args!("a=ice-lite\r\na=msid-semantic: WMS dialer\r\n"));
    text
}

fn family(local: &SoftphoneLocal) -> &'static str {
    if local.address.is_ipv4() { "IP4" } else { "IP6" }
}

/// The audio stream of a description.
struct Audio<'a> {
    local: &'a SoftphoneLocal,
    ice: &'a Credentials,
    profile: &'a str,
    mid: &'a str,
    formats: &'a [(PayloadType, Codec)],
    telephone_event: Option<PayloadType>,
    opus_event: Option<PayloadType>,
    direction: Direction,
    setup: &'a str,
}

impl Audio<'_> {
    fn print(&self, text: &mut String) {
        let (address, port) = (self.local.address.ip(), self.local.address.port());
        put(text, format_args!("m=audio {port} {}", self.profile));
        let events = self.opus_event.into_iter().chain(self.telephone_event);
        let numbers = self.formats.iter().map(|(number, _)| *number).chain(events);
        numbers.for_each(|number| put(text, format_args!(" {}", number.number())));
        put(text, format_args!("\r\nc=IN {} {address}\r\n", family(self.local)));
        if !self.mid.is_empty() {
            put(text, format_args!("a=mid:{}\r\n", self.mid));
        }
        put_formats(text, self.formats, self.telephone_event);
        if let Some(number) = self.opus_event {
            put_event(text, number, OPUS_CLOCK_RATE);
        }
        put(
            text,
            format_args!(
                "a=ptime:20\r\na={}\r\na=msid:dialer audio\r\na=rtcp-mux\r\n",
                self.direction
            ),
        );
        put(
            text,
            format_args!(
                "a=ice-ufrag:{}\r\na=ice-pwd:{}\r\n",
                self.ice.ufrag(),
                self.ice.password()
            ),
        );
        put(
            text,
            format_args!(
                "a=fingerprint:sha-256 {}\r\na=setup:{}\r\n",
                self.local.fingerprint, self.setup
            ),
        );
        // RFC 8445 §5.1.2.1: type preference 126 of a host, local preference 65535, component 1.
        put(
            text,
            format_args!(
                "a=candidate:1 1 udp 2130706431 {address} {port} typ host\r\n\
                    a=end-of-candidates\r\n"
            ),
        );
    }
}
