//! Reads a description within limits and answers questions about one media description of it. Decides nothing.

use std::net::{IpAddr, SocketAddr};

use sdp_types::{Connection, Direction, Media, Rtcp, RtpMap, Session};

use super::{MAX_DESCRIPTION_LEN, MAX_FORMAT_COUNT, MAX_LINE_COUNT, MAX_MEDIA_COUNT, SdpError};
use crate::codec::{Codec, PayloadType};

/// Parses a whole body. Text that is not UTF-8 is replaced, since only free text may hold it.
pub(super) fn parse(body: &[u8]) -> Result<Session, SdpError> {
    if body.len() > MAX_DESCRIPTION_LEN || body.iter().filter(|byte| **byte == b'\n').count() > MAX_LINE_COUNT {
        return Err(SdpError::TooLarge);
    }
    let session = Session::parse(String::from_utf8_lossy(body).as_bytes()).map_err(|_| SdpError::Malformed)?;
    if session.medias.len() > MAX_MEDIA_COUNT {
        return Err(SdpError::TooLarge);
    }
    Ok(session)
}

/// The one stream of an answer to an offer of one audio stream (RFC 3264 §6: as many as were offered).
pub(super) fn only_audio(session: &Session) -> Result<Stream<'_>, SdpError> {
    let stream = match session.medias.as_slice() {
        [] => return Err(SdpError::NoAudio),
        [media] => Stream { session, media },
        _ => return Err(SdpError::MediaMismatch),
    };
    if stream.is_audio() { Ok(stream) } else { Err(SdpError::MediaMismatch) }
}

/// One media description with what it inherits from its session.
#[derive(Clone, Copy)]
pub(super) struct Stream<'a> {
    pub(super) session: &'a Session,
    pub(super) media: &'a Media,
}

impl Stream<'_> {
    pub(super) fn is_audio(&self) -> bool {
        self.media.media.eq_ignore_ascii_case("audio")
    }

    /// The peer's address (RFC 8866 §5.7); its own line wins over the session's.
    pub(super) fn address(&self) -> Result<IpAddr, SdpError> {
        let connection = match self.media.connections.as_slice() {
            [] => self.session.connection.as_ref().ok_or(SdpError::Address)?,
            [connection] => connection,
            _ => return Err(SdpError::Duplicate),
        };
        unicast(connection)
    }

    /// The peer's direction as seen from the peer; a media attribute wins over the session's (RFC 8866 §6.7).
    pub(super) fn direction(&self) -> Result<Direction, SdpError> {
        for attributes in [&self.media.attributes, &self.session.attributes] {
            let found = attributes.iter().filter(|attribute| attribute.value.is_none());
            if let Some(direction) = agreed(found.filter_map(|attribute| attribute.attribute.parse().ok()))? {
                return Ok(direction);
            }
        }
        Ok(Direction::SendRecv)
    }

    /// The formats of the media line, in order.
    pub(super) fn formats(&self) -> Result<Formats, SdpError> {
        let mut mappings = Vec::new();
        for value in self.values("rtpmap") {
            let mapping: RtpMap = value.parse().map_err(|_| SdpError::Format)?;
            let same_number = mappings.iter().find(|known: &&RtpMap| known.payload_type == mapping.payload_type);
            match same_number {
                None => mappings.push(mapping),
                Some(known) if *known == mapping => {}
                Some(_) => return Err(SdpError::Duplicate),
            }
        }
        let mut numbers = Vec::new();
        for format in self.media.fmt.split_ascii_whitespace() {
            let number = format.parse().ok().and_then(PayloadType::new).ok_or(SdpError::Format)?;
            if numbers.len() == MAX_FORMAT_COUNT {
                return Err(SdpError::TooLarge);
            }
            numbers.push(number);
        }
        Ok(Formats { numbers, mappings })
    }

    /// Whether RTCP shares the RTP port (RFC 5761 §5.1.1).
    pub(super) fn has_rtcp_mux(&self) -> bool {
        self.media.has_attribute("rtcp-mux")
    }

    /// Where RTCP goes when it is not multiplexed: `a=rtcp` (RFC 3605) or the next port.
    pub(super) fn rtcp_address(&self, rtp: SocketAddr) -> Result<SocketAddr, SdpError> {
        let parsed: Result<Vec<Rtcp>, _> = self.values("rtcp").map(str::parse).collect();
        let Some(rtcp) = agreed(parsed.map_err(|_| SdpError::Rtcp)?)? else {
            return Ok(SocketAddr::new(rtp.ip(), rtp.port().checked_add(1).ok_or(SdpError::Rtcp)?));
        };
        if rtcp.port == 0 {
            return Err(SdpError::Rtcp);
        }
        let address = match (rtcp.nettype, rtcp.addrtype, rtcp.connection_address) {
            (Some(nettype), Some(addrtype), Some(address)) => unicast(&Connection::new(nettype, addrtype, address))?,
            _ => rtp.ip(),
        };
        if address.is_ipv4() != rtp.is_ipv4() {
            return Err(SdpError::AddressFamily);
        }
        Ok(SocketAddr::new(address, rtcp.port))
    }

    /// The values of the media's attributes of this name, without outer spaces.
    pub(super) fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.media.get_attribute_values(name).map(|value| value.unwrap_or_default().trim())
    }
}

/// The formats of a media line with their mappings.
pub(super) struct Formats {
    numbers: Vec<PayloadType>,
    mappings: Vec<RtpMap>,
}

impl Formats {
    /// The first format that is one of these codecs.
    pub(super) fn codec(&self, acceptable: &[Codec]) -> Option<(PayloadType, Codec)> {
        self.numbers.iter().find_map(|number| {
            let codec = self.codec_of(*number).filter(|codec| acceptable.contains(codec))?;
            Some((*number, codec))
        })
    }

    /// The first format that is telephone-event at 8 kHz (RFC 4733 §2.1).
    pub(super) fn telephone_event(&self) -> Option<PayloadType> {
        let is_event = |map: &RtpMap| map.encoding_name.eq_ignore_ascii_case("telephone-event") && is_narrowband(map);
        self.numbers.iter().copied().find(|number| self.mapping(*number).is_some_and(is_event))
    }

    fn codec_of(&self, number: PayloadType) -> Option<Codec> {
        let Some(mapping) = self.mapping(number) else { return Codec::of_static(number) };
        let named = [Codec::Pcmu, Codec::Pcma].into_iter().find(|codec| mapping.encoding_name.eq_ignore_ascii_case(codec.name()));
        named.filter(|_| is_narrowband(mapping))
    }

    fn mapping(&self, number: PayloadType) -> Option<&RtpMap> {
        self.mappings.iter().find(|mapping| mapping.payload_type == number.number())
    }
}

/// 8 kHz, one channel.
fn is_narrowband(mapping: &RtpMap) -> bool {
    mapping.clock_rate == 8000 && mapping.encoding_params.as_deref().is_none_or(|channels| channels == "1")
}

/// The address of a connection line: one host, written as an IP address of the named family.
fn unicast(connection: &Connection) -> Result<IpAddr, SdpError> {
    let written = connection.try_address().map_err(|_| SdpError::Address)?.ip;
    let family = if written.is_ipv4() { "IP4" } else { "IP6" };
    let is_named = connection.nettype.as_str().eq_ignore_ascii_case("IN") && connection.addrtype.as_str() == family;
    let address = written.to_canonical();
    let is_broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    if !is_named || address.is_multicast() || is_broadcast { Err(SdpError::Address) } else { Ok(address) }
}

/// The one value that all agree on.
fn agreed<T: PartialEq>(values: impl IntoIterator<Item = T>) -> Result<Option<T>, SdpError> {
    let mut values = values.into_iter();
    let Some(first) = values.next() else { return Ok(None) };
    if values.all(|value| value == first) { Ok(Some(first)) } else { Err(SdpError::Duplicate) }
}
