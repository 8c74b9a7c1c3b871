//! Reading the headers that calls and transactions need, on any of `rsip`'s message types (RFC 3261
//! §20, RFC 3326, RFC 4028). Each reads what it is asked for and no more, however odd the rest of
//! the value is; `parse` has checked what strangers sent.

use rsip::headers::UntypedHeader;
use rsip::message::HasHeaders;
use rsip::{Header, Headers, Method};

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

/// Header access. Names match without regard to case; nothing allocates except where a `Vec` is
/// returned.
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
        top_via(self.headers()).map(Via::read)
    }

    /// The branch of the top Via, without a look at the rest of it.
    fn top_branch(&self) -> Option<&str> {
        super::via::branch(Params::read(top_via(self.headers())?))
    }

    fn call_id(&self) -> Option<&str> {
        self.headers().iter().find_map(|header| match header {
            Header::CallId(id) => Some(id.value()),
            _ => None,
        })
    }

    fn cseq(&self) -> Option<CSeq> {
        Some(CSeq { number: self.cseq_number()?, method: self.cseq_method()? })
    }

    fn cseq_number(&self) -> Option<u32> {
        grammar::leading_number(grammar::trim(self.value("CSeq")?))
            .filter(|number| *number < 1 << 31)
    }

    /// The method of CSeq: of a response, the one that it answers.
    fn cseq_method(&self) -> Option<Method> {
        let rest =
            grammar::trim(self.value("CSeq")?).trim_start_matches(|c: char| c.is_ascii_digit());
        let end = |c: char| !c.is_ascii_alphabetic();
        let word = rest.trim_start_matches(end);
        super::header::method(&word[..word.find(end).unwrap_or(word.len())].to_ascii_uppercase())
    }

    #[expect(clippy::wrong_self_convention, reason = "From is the header's name")]
    fn from_addr(&self) -> Option<NameAddr<'_>> {
        self.headers().iter().find_map(|header| match header {
            Header::From(from) => Some(NameAddr::read(from.value())),
            _ => None,
        })
    }

    fn to_addr(&self) -> Option<NameAddr<'_>> {
        self.headers().iter().find_map(|header| match header {
            Header::To(to) => Some(NameAddr::read(to.value())),
            _ => None,
        })
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
        (value != "*").then(|| Some(NameAddr::read(grammar::split_list(value).next()?)))?
    }

    /// Each Contact.
    fn contacts(&self) -> impl Iterator<Item = NameAddr<'_>> {
        self.values("Contact").flat_map(grammar::split_list).map(NameAddr::read)
    }

    /// The URI of the first Contact that has one: a display name with a comma and without quotes
    /// looks like two.
    fn contact_uri(&self) -> Option<Uri<'_>> {
        self.contacts().map(|contact| contact.uri).find(|uri| uri.target().is_some())
    }

    /// Each Record-Route value as written, in the order of the message; a client's route set is
    /// this reversed (§12.1.2).
    fn record_routes(&self) -> Vec<&str> {
        self.values("Record-Route")
            .flat_map(grammar::split_list)
            .filter(|each| each.contains(':'))
            .collect()
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
        self.values("Supported")
            .flat_map(grammar::split_list)
            .any(|each| each.eq_ignore_ascii_case(option))
    }

    /// Whether the Unsupported of a 420 lists the option tag.
    fn names_unsupported(&self, option: &str) -> bool {
        self.values("Unsupported")
            .flat_map(grammar::split_list)
            .any(|each| each.eq_ignore_ascii_case(option))
    }

    /// Whether Allow lists the method.
    fn allows(&self, method: &str) -> bool {
        self.values("Allow").flat_map(grammar::split_list).any(|each| each == method)
    }

    /// Each Reason value (RFC 3326).
    fn reasons(&self) -> impl Iterator<Item = Reason<'_>> {
        self.values("Reason").flat_map(grammar::split_loosely).map(|each| {
            let (protocol, params) = grammar::split_before(each, b';');
            let cause = Params::read(params)
                .value("cause")
                .map(|cause| cause.trim_matches(['"', ' ', '\t']));
            let cause =
                cause.and_then(grammar::leading_number).and_then(|cause| cause.try_into().ok());
            Reason { protocol: grammar::trim(protocol), cause }
        })
    }

    /// The first Q.850 cause that a Reason header carries.
    fn q850_cause(&self) -> Option<u16> {
        self.reasons()
            .filter(|reason| reason.protocol.eq_ignore_ascii_case("Q.850"))
            .find_map(|reason| reason.cause)
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
        let refresher =
            Params::read(value).value("refresher").map(|refresher| refresher.trim_matches('"'));
        Some(SessionExpires { interval: grammar::leading_number(grammar::trim(value))?, refresher })
    }

    /// The shortest session interval, in seconds, of a 422 (RFC 4028 §5).
    fn min_se(&self) -> Option<u32> {
        grammar::leading_number(grammar::trim(self.value("Min-SE")?))
    }

    /// The number of a reliable provisional response (RFC 3262 §7.1).
    fn rseq(&self) -> Option<u32> {
        grammar::leading_number(grammar::trim(self.value("RSeq")?))
    }

    fn max_forwards(&self) -> Option<u32> {
        grammar::number(self.value("Max-Forwards")?)
    }
}

impl<T: HasHeaders> View for T {}

fn top_via(headers: &Headers) -> Option<&str> {
    headers.iter().find_map(|header| match header {
        Header::Via(via) => grammar::split_list(via.value()).next(),
        _ => None,
    })
}
