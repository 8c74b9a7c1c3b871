//! Reads a description leniently, within limits (RFC 8866): of its lines only `m=`, `c=` and `a=`
//! say what a stream needs, so all others may be odd, doubled, out of order or missing, and of
//! these only what is asked for is read. Decides nothing.

use std::net::{IpAddr, SocketAddr};

use super::repair::{Repair, Repairs};
use super::{
    Direction, MAX_DESCRIPTION_LEN, MAX_FORMAT_COUNT, MAX_LINE_COUNT, MAX_MEDIA_COUNT, SdpError,
};
use crate::codec::{CLOCK_RATE, Codec, Format, FormatMap, OPUS_CLOCK_RATE, PayloadType};

/// The encoding name of key presses (RFC 4733 §7.1.1).
const TELEPHONE_EVENT: &str = "telephone-event";
/// The types of lines (RFC 8866 §5).
const LINE_TYPES: &[u8] = b"vosiuepcbtrzkam";

/// A description, as far as it is read.
#[derive(Default)]
pub(super) struct Session {
    section: Section,
    pub(super) medias: Vec<Media>,
    /// It goes on beyond what is read.
    is_cut: bool,
    pub(super) repairs: Repairs,
}

impl Session {
    /// The whole of it: what is answered must name each of its streams (RFC 3264 §6).
    ///
    /// # Errors
    /// It is longer than what is read.
    pub(super) fn whole(self) -> Result<Session, SdpError> {
        if self.is_cut { Err(SdpError::TooLarge) } else { Ok(self) }
    }

    /// The media description with this index.
    pub(super) fn stream(&self, index: usize) -> Stream<'_> {
        Stream { session: self, media: &self.medias[index] }
    }
}

/// The lines of a session or of one of its streams.
#[derive(Default)]
pub(super) struct Section {
    connections: Vec<String>,
    attributes: Vec<Attribute>,
}

struct Attribute {
    name: String,
    value: String,
}

impl Attribute {
    /// Whether what is read of attributes of this name can be used.
    fn is_usable(&self) -> bool {
        match self.name.as_str() {
            "" => false,
            "rtpmap" => Mapping::parse(&self.value).is_some(),
            "rtcp" => rtcp_port(&self.value).is_some(),
            _ => true,
        }
    }
}

/// A media line with the lines below it.
pub(super) struct Media {
    pub(super) media: String,
    /// `None` if it cannot be read.
    pub(super) port: Option<u16>,
    pub(super) proto: String,
    /// The formats, separated by spaces.
    pub(super) formats: String,
    section: Section,
}

impl Media {
    fn parse(line: &str) -> Media {
        let mut fields = line.split_whitespace();
        let mut next = |default: &str| fields.next().unwrap_or(default).to_owned();
        let (media, port, proto) = (next("audio"), next(""), next("RTP/AVP"));
        // The count of ports after a slash belongs to layered encodings.
        let port = port.split('/').next().and_then(|port| port.parse().ok());
        let formats: Vec<&str> = fields.collect();
        let formats = if formats.is_empty() { "0".to_owned() } else { formats.join(" ") };
        Media { media, port, proto, formats, section: Section::default() }
    }
}

impl Section {
    /// The values of the attributes of this name, without outer spaces; an attribute without value
    /// has an empty one.
    pub(super) fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.attributes
            .iter()
            .filter(move |attribute| attribute.name == name)
            .map(|attribute| attribute.value.as_str())
    }
}

/// Parses a body up to the limits. Lines end with CR, LF, both, or NUL; text that is not UTF-8 is
/// replaced, since only free text may hold it.
pub(super) fn parse(body: &[u8]) -> Session {
    let text = String::from_utf8_lossy(&body[..body.len().min(MAX_DESCRIPTION_LEN)]);
    let mut session = Session { is_cut: body.len() > MAX_DESCRIPTION_LEN, ..Session::default() };
    session.repairs.note_if(has_odd_line_ends(&text), Repair::LineEnds);
    // Types of the session's lines, in their order.
    let mut types = String::new();
    let lines = text.split(['\r', '\n', '\0']).map(str::trim).filter(|line| !line.is_empty());
    for (count, line) in lines.enumerate() {
        if count == MAX_LINE_COUNT {
            session.is_cut = true;
            break;
        }
        let Some((key, value)) = line.split_once('=') else {
            session.repairs.note_if(true, Repair::Line);
            continue;
        };
        let is_known = matches!(key.as_bytes(), [key] if LINE_TYPES.contains(key));
        session.repairs.note_if(!is_known, Repair::Line);
        let (key, value) = (key.trim_end(), value.trim_start());
        if session.medias.is_empty() {
            types.push_str(key);
            let is_odd = key == "v" && value != "0" || key == "o" && !is_origin(value);
            session.repairs.note_if(is_odd, Repair::Session);
        }
        if key.eq_ignore_ascii_case("m") {
            if session.medias.len() == MAX_MEDIA_COUNT {
                session.is_cut = true;
                break;
            }
            let media = Media::parse(value);
            let is_whole = media.port.is_some() && value.split_whitespace().count() > 3;
            session.repairs.note_if(!is_whole, Repair::Media);
            session.medias.push(media);
            continue;
        }
        let section =
            session.medias.last_mut().map_or(&mut session.section, |media| &mut media.section);
        if key.eq_ignore_ascii_case("c") {
            session.repairs.note_if(ip_of(value).is_none(), Repair::Connection);
            section.connections.push(value.to_owned());
        } else if key.eq_ignore_ascii_case("a") {
            let (name, value) = value.split_once(':').unwrap_or((value, ""));
            let attribute = Attribute {
                name: name.trim().to_ascii_lowercase(),
                value: value.trim().to_owned(),
            };
            let is_plain = attribute.name == name && attribute.is_usable();
            session.repairs.note_if(!is_plain, Repair::Attribute);
            section.attributes.push(attribute);
        }
    }
    let is_usual = types.starts_with("vos") && types.contains('t');
    session.repairs.note_if(!is_usual, Repair::Session);
    session.repairs.note_if(session.is_cut, Repair::Length);
    session
}

/// Whether a line ends in something else than CR LF, or the last one not at all.
fn has_odd_line_ends(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_odd = |(one, next): (&u8, &u8)| (*one == b'\r') != (*next == b'\n') || *one == 0;
    !text.ends_with("\r\n") || bytes[0] == b'\n' || bytes.iter().zip(&bytes[1..]).any(is_odd)
}

/// User name, session id and version, net and address (RFC 8866 §5.2).
fn is_origin(value: &str) -> bool {
    let fields: Vec<&str> = value.split(' ').collect();
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    matches!(fields[..], [_, id, version, _, _, _] if is_number(id) && is_number(version))
}

/// One media description with what it inherits from its session.
#[derive(Clone, Copy)]
pub(super) struct Stream<'a> {
    session: &'a Session,
    pub(super) media: &'a Media,
}

impl<'a> Stream<'a> {
    pub(super) fn is_audio(self) -> bool {
        self.media.media.eq_ignore_ascii_case("audio")
    }

    /// The stream's own lines, then the session's.
    pub(super) fn sections(self) -> [&'a Section; 2] {
        [&self.media.section, &self.session.section]
    }

    /// The peer's address (RFC 8866 §5.7), of the family of `ours`: the first usable one, the
    /// stream's own lines before the session's. A peer that names its host, or none, is taken to be
    /// where its signalling comes from: `peer`.
    pub(super) fn address(self, ours: IpAddr, peer: Option<IpAddr>) -> Result<IpAddr, SdpError> {
        let mut refusal = None;
        for connection in self.sections().into_iter().flat_map(|section| &section.connections) {
            let Some(address) = ip_of(connection) else { continue };
            if address.is_unspecified()
                || (is_unicast(address) && address.is_ipv4() == ours.is_ipv4())
            {
                return Ok(address);
            }
            refusal.get_or_insert(if is_unicast(address) {
                SdpError::AddressFamily
            } else {
                SdpError::Address
            });
        }
        match refusal {
            Some(error) => Err(error),
            None => peer.filter(|peer| peer.is_ipv4() == ours.is_ipv4()).ok_or(SdpError::Address),
        }
    }

    /// The peer's direction as seen from the peer; a media attribute wins over the session's (RFC
    /// 8866 §6.7).
    pub(super) fn direction(self) -> Direction {
        let named = |section: &Section| {
            section.attributes.iter().find_map(|attribute| attribute.name.parse().ok())
        };
        self.sections().into_iter().find_map(named).unwrap_or(Direction::SendRecv)
    }

    /// The formats of the media line, in order, as far as they mean something here; `known` is what
    /// the session's payload types stood for before, which a mapping that is left out does not
    /// change (RFC 3264 §8.3.2). Opus and its key presses mean something if it was offered.
    pub(super) fn formats(self, known: &FormatMap, has_opus: bool) -> Vec<(PayloadType, Format)> {
        let numbers = self
            .media
            .formats
            .split(' ')
            .filter_map(|format| format.parse().ok().and_then(PayloadType::new));
        let mappings: Vec<Mapping<'_>> = self.values("rtpmap").filter_map(Mapping::parse).collect();
        let format_of = |number: PayloadType| match mappings
            .iter()
            .find(|mapping| mapping.number == number.number())
        {
            Some(mapping) => mapping.format(),
            None => Format::of_static(number).or_else(|| known.format(number)),
        };
        numbers
            .take(MAX_FORMAT_COUNT)
            .filter_map(|number| Some((number, format_of(number)?)))
            .filter(|(_, format)| has_opus || !format.is_of_opus())
            .collect()
    }

    /// Whether RTCP shares the RTP port (RFC 5761 §5.1.1).
    pub(super) fn has_rtcp_mux(self) -> bool {
        self.values("rtcp-mux").next().is_some()
    }

    /// Where RTCP goes when it is not multiplexed: `a=rtcp` (RFC 3605) or the next port; `None` if
    /// there is none.
    pub(super) fn rtcp_address(self, rtp: SocketAddr) -> Option<SocketAddr> {
        let told = self.values("rtcp").find_map(|value| {
            let (_, address) = value.split_once(' ').unwrap_or_default();
            let port = rtcp_port(value)?;
            let address = ip_of(address).filter(|address| address.is_ipv4() == rtp.is_ipv4());
            Some(SocketAddr::new(address.unwrap_or(rtp.ip()), port))
        });
        told.or_else(|| Some(SocketAddr::new(rtp.ip(), rtp.port().checked_add(1)?)))
            .filter(|rtcp| is_reachable(rtcp.ip()))
    }

    /// The values of the media's attributes of this name, without outer spaces.
    pub(super) fn values(self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.media.section.values(name)
    }
}

/// What `a=rtpmap` says of a number.
struct Mapping<'a> {
    number: u8,
    name: &'a str,
    clock_rate: u32,
    channels: &'a str,
}

impl<'a> Mapping<'a> {
    fn parse(value: &'a str) -> Option<Self> {
        let (number, encoding) = value.split_once(char::is_whitespace)?;
        let mut parts = encoding.split('/').map(str::trim);
        let name = parts.next().filter(|name| !name.is_empty())?;
        // A clock that is left out is the one that each of our formats has.
        let clock_rate = parts.next().map_or(Some(CLOCK_RATE), |clock| clock.parse().ok())?;
        Some(Self {
            number: number.parse().ok()?,
            name,
            clock_rate,
            channels: parts.next().unwrap_or("1"),
        })
    }

    /// The format at 8 kHz with one channel, or at the clock of Opus, if it is one of ours.
    fn format(&self) -> Option<Format> {
        if self.clock_rate == OPUS_CLOCK_RATE {
            // RFC 7587 §7: two channels, whatever is sent.
            let is_opus =
                self.name.eq_ignore_ascii_case(Codec::Opus.name()) && self.channels == "2";
            let is_event = self.name.eq_ignore_ascii_case(TELEPHONE_EVENT) && self.channels == "1";
            let event = is_event.then_some(Format::OpusEvent);
            return is_opus.then_some(Format::Audio(Codec::Opus)).or(event);
        }
        if self.clock_rate != CLOCK_RATE || self.channels != "1" {
            return None;
        }
        let ours = [
            (Codec::Pcmu.name(), Format::Audio(Codec::Pcmu)),
            (Codec::Pcma.name(), Format::Audio(Codec::Pcma)),
            (Codec::G722.name(), Format::Audio(Codec::G722)),
            (TELEPHONE_EVENT, Format::TelephoneEvent),
            ("CN", Format::ComfortNoise),
        ];
        ours.into_iter()
            .find(|(name, _)| self.name.eq_ignore_ascii_case(name))
            .map(|(_, format)| format)
    }
}

/// The port of an `a=rtcp`, which names one that can be sent to.
fn rtcp_port(value: &str) -> Option<u16> {
    value.split(' ').next()?.parse().ok().filter(|port| *port != 0)
}

/// The address of a connection line, whatever net and family it names, without TTL and count.
fn ip_of(connection: &str) -> Option<IpAddr> {
    let host = connection.split_whitespace().last()?;
    host.split('/').next()?.parse().ok().map(|address: IpAddr| address.to_canonical())
}

fn is_unicast(address: IpAddr) -> bool {
    !address.is_multicast() && !matches!(address, IpAddr::V4(address) if address.is_broadcast())
}

/// Whether something can be sent there.
fn is_reachable(address: IpAddr) -> bool {
    is_unicast(address) && !address.is_unspecified()
}
