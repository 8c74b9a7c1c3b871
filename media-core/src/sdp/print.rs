//! Prints our descriptions: one audio stream, rtcp-mux answered (a trunk is not offered it), 20 ms
//! packets.

use std::fmt::Write;

use super::{Direction, LocalMedia, OfferSpec, Origin, sdes};
use crate::codec::{CLOCK_RATE, Codec, PayloadType};
use crate::srtp;

/// How Opus is wanted (RFC 7587 §6.1): with copies of lost packets, and no more than the telephone
/// bandwidth that lines, recordings and mixes have, at a rate with room for the copies.
const OPUS_PARAMETERS: &str = "minptime=10;useinbandfec=1;maxplaybackrate=8000;\
    sprop-maxcapturerate=8000;maxaveragebitrate=20000";

/// Prints an offer of one audio stream.
pub fn offer(spec: &OfferSpec) -> String {
    let is_plain = spec.srtp.is_empty() || spec.is_opportunistic;
    let profile = if is_plain { "RTP/AVP" } else { "RTP/SAVP" };
    let formats: Vec<_> = spec.codecs.iter().map(|codec| (codec.payload_type(), *codec)).collect();
    let mut text = session(&spec.local, spec.origin);
    Audio {
        local: &spec.local,
        profile,
        formats: &formats,
        telephone_event: spec.telephone_event,
        comfort_noise: spec.comfort_noise.then_some(PayloadType::COMFORT_NOISE),
        direction: spec.direction,
        rtcp_mux: false,
    }
    .print(&mut text);
    for (tag, keys) in (1..).zip(&spec.srtp) {
        crypto_line(&mut text, tag, keys);
    }
    text
}

/// The session part, up to the first media line.
pub(super) fn session(local: &LocalMedia, origin: Origin) -> String {
    let family = if local.address.is_ipv4() { "IP4" } else { "IP6" };
    let mut text = String::with_capacity(512);
    let Origin { id, version } = origin;
    put(
        &mut text,
        format_args!("v=0\r\no=- {id} {version} IN {family} {}\r\ns=-\r\n", local.address),
    );
    put(&mut text, format_args!("c=IN {family} {}\r\nt=0 0\r\n", local.address));
    text
}

/// The audio stream of a description.
pub(super) struct Audio<'a> {
    pub(super) local: &'a LocalMedia,
    pub(super) profile: &'a str,
    pub(super) formats: &'a [(PayloadType, Codec)],
    pub(super) telephone_event: Option<PayloadType>,
    pub(super) comfort_noise: Option<PayloadType>,
    pub(super) direction: Direction,
    pub(super) rtcp_mux: bool,
}

impl Audio<'_> {
    pub(super) fn print(&self, text: &mut String) {
        put(text, format_args!("m=audio {} {}", self.local.rtp_port, self.profile));
        let numbers = self.formats.iter().map(|(number, _)| *number).chain(self.telephone_event);
        let numbers = numbers.chain(self.comfort_noise);
        numbers.for_each(|number| put(text, format_args!(" {}", number.number())));
        put(text, format_args!("\r\n"));
        put_formats(text, self.formats, self.telephone_event);
        if let Some(number) = self.comfort_noise {
            put(text, format_args!("a=rtpmap:{} CN/{CLOCK_RATE}\r\n", number.number()));
        }
        put(
            text,
            format_args!(
                "a=ptime:20\r\na={}\r\na=rtcp:{}\r\n",
                self.direction, self.local.rtcp_port
            ),
        );
        if self.rtcp_mux {
            put(text, format_args!("a=rtcp-mux\r\n"));
        }
    }
}

pub(super) fn crypto_line(text: &mut String, tag: u32, keys: &srtp::Keys) {
    put(text, format_args!("a=crypto:{}\r\n", sdes::print(tag, keys)));
}

/// What each payload type of a media line stands for.
pub(super) fn put_formats(
    text: &mut String,
    formats: &[(PayloadType, Codec)],
    telephone_event: Option<PayloadType>,
) {
    for (number, codec) in formats {
        let (number, name, clock_rate) = (number.number(), codec.name(), codec.clock_rate());
        let channels = if *codec == Codec::Opus { "/2" } else { "" };
        put(text, format_args!("a=rtpmap:{number} {name}/{clock_rate}{channels}\r\n"));
        if *codec == Codec::Opus {
            put(text, format_args!("a=fmtp:{number} {OPUS_PARAMETERS}\r\n"));
        }
    }
    if let Some(number) = telephone_event {
        put_event(text, number, CLOCK_RATE);
    }
}

/// A payload type of key presses, digits 0 to 15.
pub(super) fn put_event(text: &mut String, number: PayloadType, clock_rate: u32) {
    let number = number.number();
    put(
        text,
        format_args!("a=rtpmap:{number} telephone-event/{clock_rate}\r\na=fmtp:{number} 0-15\r\n"),
    );
}

pub(super) fn put(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("a String takes every write");
}
