//! Reading the headers that calls and transactions need, on any of `rsip`'s message types (RFC 3261 §20, RFC 3326, RFC 4028).
//! A message that came through `parse` has well-formed Via, From, To, Call-ID and CSeq, so these are there.

use rsip::headers::UntypedHeader;
use rsip::message::HasHeaders;
use rsip::{Header, Method};

use super::grammar;
use super::uri::{NameAddr, Params, Uri};
use super::via::Via;

/// A CSeq value (§20.16).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CSeq {
    pub number: u32,
    pub method: Method,
}

/// The parts of a Reason value that decide a call's status (RFC 3326).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reason<'a> {
    /// `Q.850`, `SIP`, …
    pub protocol: &'a str,
    pub cause: Option<u16>,
}

/// A Session-Expires value (RFC 4028 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionExpires<'a> {
    /// Seconds.
    pub interval: u32,
    /// `uac`, `uas`, or absent.
    pub refresher: Option<&'a str>,
}

/// Header access. Names match without regard to case; nothing allocates except where a `Vec` is returned.
pub trait View: HasHeaders {
    /// The values of a header by its long name, one per header line, in order.
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers().iter().filter_map(move |header| super::header::value_if(header, name))
    }

    /// The first value of a header by its long name.
    fn value<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.values(name).next()
    }

    /// The top Via.
    fn top_via(&self) -> Option<Via<'_>> {
        self.headers().iter().find_map(|header| match header {
            Header::Via(via) => Some(Via::parse(grammar::split_list(via.value()).next()?)),
            _ => None,
        })?
    }

    fn call_id(&self) -> Option<&str> {
        self.headers().iter().find_map(|header| match header {
            Header::CallId(id) => Some(id.value()),
            _ => None,
        })
    }

    fn cseq(&self) -> Option<CSeq> {
        self.headers().iter().find_map(|header| match header {
            Header::CSeq(cseq) => {
                let (number, method) = cseq.value().split_once([' ', '\t'])?;
                Some(CSeq { number: grammar::number(number)?, method: super::header::method(grammar::trim(method))? })
            }
            _ => None,
        })
    }

    #[expect(clippy::wrong_self_convention, reason = "From is the header's name")]
    fn from_addr(&self) -> Option<NameAddr<'_>> {
        self.headers().iter().find_map(|header| match header {
            Header::From(from) => Some(NameAddr::parse(from.value())),
            _ => None,
        })?
    }

    fn to_addr(&self) -> Option<NameAddr<'_>> {
        self.headers().iter().find_map(|header| match header {
            Header::To(to) => Some(NameAddr::parse(to.value())),
            _ => None,
        })?
    }

    #[expect(clippy::wrong_self_convention, reason = "From is the header's name")]
    fn from_tag(&self) -> Option<&str> {
        self.from_addr()?.tag()
    }

    fn to_tag(&self) -> Option<&str> {
        self.to_addr()?.tag()
    }

    /// The first Contact; `None` for `*`.
    fn contact(&self) -> Option<NameAddr<'_>> {
        let value = self.headers().iter().find_map(|header| match header {
            Header::Contact(contact) => Some(contact.value()),
            _ => None,
        })?;
        NameAddr::parse(grammar::split_list(value).next()?)
    }

    /// The URI of the first Contact.
    fn contact_uri(&self) -> Option<Uri<'_>> {
        Some(self.contact()?.uri)
    }

    /// Each Record-Route value as written, in the order of the message; a client's route set is this reversed (§12.1.2).
    fn record_routes(&self) -> Vec<&str> {
        self.values("Record-Route").flat_map(grammar::split_list).collect()
    }

    /// Whether Require lists the option tag.
    fn requires(&self, option: &str) -> bool {
        self.required().any(|each| each.eq_ignore_ascii_case(option))
    }

    /// Each option tag of Require.
    fn required(&self) -> impl Iterator<Item = &str> {
        self.values("Require").flat_map(grammar::split_list).filter(|each| !each.is_empty())
    }

    /// Whether Supported lists the option tag.
    fn supports(&self, option: &str) -> bool {
        self.values("Supported").flat_map(grammar::split_list).any(|each| each.eq_ignore_ascii_case(option))
    }

    /// Whether Allow lists the method.
    fn allows(&self, method: &str) -> bool {
        self.values("Allow").flat_map(grammar::split_list).any(|each| each == method)
    }

    /// Each Reason value (RFC 3326), malformed ones left out.
    fn reasons(&self) -> impl Iterator<Item = Reason<'_>> {
        self.values("Reason").flat_map(grammar::split_list).filter_map(|each| {
            let (protocol, params) = each.split_at(each.find(';').unwrap_or(each.len()));
            let cause = Params::parse(params)?.value("cause").and_then(|cause| cause.parse().ok());
            Some(Reason { protocol: grammar::trim(protocol), cause })
        })
    }

    /// The Q.850 cause, if a Reason header carries one.
    fn q850_cause(&self) -> Option<u16> {
        self.reasons().find(|reason| reason.protocol.eq_ignore_ascii_case("Q.850"))?.cause
    }

    /// The media type in front of the Content-Type's parameters.
    fn content_type(&self) -> Option<&str> {
        Some(grammar::trim(self.value("Content-Type")?.split(';').next()?))
    }

    /// Whether the Content-Type is this one, without regard to case.
    fn is_content_type(&self, media_type: &str) -> bool {
        self.content_type().is_some_and(|each| each.eq_ignore_ascii_case(media_type))
    }

    /// Seconds of Retry-After, its comment and parameters left out.
    fn retry_after(&self) -> Option<u32> {
        grammar::number(grammar::trim(self.value("Retry-After")?.split([';', '(']).next()?))
    }

    fn session_expires(&self) -> Option<SessionExpires<'_>> {
        let value = self.value("Session-Expires")?;
        let (interval, params) = value.split_at(value.find(';').unwrap_or(value.len()));
        let refresher = Params::parse(params)?.value("refresher");
        Some(SessionExpires { interval: grammar::number(grammar::trim(interval))?, refresher })
    }

    fn max_forwards(&self) -> Option<u32> {
        grammar::number(self.value("Max-Forwards")?)
    }
}

impl<T: HasHeaders> View for T {}
