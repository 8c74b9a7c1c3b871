//! Who calls, as a trunk is told (RFC 3323, RFC 3325), and who sent the call on (RFC 5806, RFC
//! 7044).

use crate::command::Route;
use crate::message::{Header, header};
use call_words::ForwardingHeader;

/// From without its tag of a caller who is hidden (RFC 3323 §4.1.1.3).
const ANONYMOUS: &str = "\"Anonymous\" <sip:anonymous@anonymous.invalid>";

/// A call that the trunk itself sent elsewhere.
#[derive(Debug, Clone, Copy)]
pub struct Redirection<'a> {
    /// Where it goes now.
    pub uri: &'a str,
    /// Status of the response that said so.
    pub code: u16,
    /// How many others were tried before, counted from 1.
    pub number: usize,
}

/// From without its tag.
pub fn from(route: &Route) -> String {
    if route.hides_caller { ANONYMOUS.to_owned() } else { own(route, &route.caller_id) }
}

/// What says who calls beside From: a hidden caller is told to who keeps it to itself alone (RFC
/// 3325 §7).
pub fn headers(route: &Route) -> Vec<Header> {
    let asserted = own(route, &route.caller_id);
    let asserted = is_told(route).then(|| header("P-Asserted-Identity", asserted));
    let privacy = route.hides_caller.then(|| header("Privacy", "id"));
    asserted.into_iter().chain(privacy).collect()
}

/// What says that the call was sent on, and by whom, if the trunk is to hear of it.
pub fn forwarded(route: &Route, redirection: Option<Redirection<'_>>) -> Option<Header> {
    let is_forwarded = route.diverted_by.is_some() || redirection.is_some();
    match route.forwarding {
        _ if !is_forwarded || !is_told(route) => None,
        ForwardingHeader::None => None,
        ForwardingHeader::Diversion => Some(header("Diversion", diversion(route, redirection))),
        ForwardingHeader::HistoryInfo => Some(header("History-Info", history(route, redirection))),
    }
}

/// Whether the trunk may know what a hidden caller hides.
fn is_told(route: &Route) -> bool {
    !route.hides_caller || route.is_trusted
}

/// The latest one first (RFC 5806 §5).
fn diversion(route: &Route, redirection: Option<Redirection<'_>>) -> String {
    let redirected =
        redirection.map(|_| format!("{};reason=deflection", own(route, &route.request_user)));
    let diverted =
        route.diverted_by.as_ref().map(|by| format!("{};reason=unknown", own(route, by)));
    redirected.into_iter().chain(diverted).collect::<Vec<_>>().join(", ")
}

/// From the first target to the present one (RFC 7044 §5, §10.3).
fn history(route: &Route, redirection: Option<Redirection<'_>>) -> String {
    let mut entries = Vec::new();
    let (mut index, mut mapped) = ("1".to_owned(), String::new());
    if let Some(by) = &route.diverted_by {
        entries.push(format!("{};index=1", own(route, by)));
        (index, mapped) = ("1.1".to_owned(), ";mp=1".to_owned());
    }
    let target = uri(route, &route.request_user);
    match redirection {
        None => entries.push(format!("<{target}>;index={index}{mapped}")),
        Some(Redirection { uri, code, number }) => {
            let cause = format!("?Reason=SIP%3Bcause%3D{code}");
            entries.push(format!("<{target}{cause}>;index={index}{mapped}"));
            entries.push(format!("<{uri}>;index={index}.{number};mp={index}"));
        }
    }
    entries.join(", ")
}

fn own(route: &Route, user: &str) -> String {
    format!("<{}>", uri(route, user))
}

/// A number at the trunk.
pub fn uri(route: &Route, user: &str) -> String {
    format!("sip:{}@{};user=phone", escape(user), route.domain)
}

/// Characters of a URI's user part that need no escape (RFC 3261 §25.1).
pub fn escape(user: &str) -> String {
    let mut out = String::with_capacity(user.len());
    for byte in user.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,;?/".contains(&byte) {
            out.push(byte as char);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
