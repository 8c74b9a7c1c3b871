//! Builders of requests and responses on `rsip`'s types (RFC 3261 §8.1.1, §8.2.6, §9.1, §12.2.1.1,
//! §17.1.1.3, §18.2.1; RFC 3581). They choose no identifier: branch, tags and Call-ID come from the
//! caller.

use std::net::{IpAddr, SocketAddr};

use rsip::headers::UntypedHeader;
use rsip::{Header, Headers, Method, Request, Response, StatusCode};

use super::uri::{NameAddr, opaque_uri};
use super::via::Via;
use super::view::View;
use super::{Answer, ParseError, grammar, header, parse};

/// A body with its type.
#[derive(Debug, Clone, Copy)]
pub struct Body<'a> {
    pub content_type: &'a str,
    pub bytes: &'a [u8],
}

/// Everything a request is made of.
#[derive(Debug, Clone)]
pub struct RequestParts<'a> {
    pub method: Method,
    /// Request URI outside a dialog, remote target within one.
    pub target: &'a str,
    /// The route set in the order of sending, each a whole Route value.
    pub routes: &'a [String],
    /// The whole Via value; see `via_value`.
    pub via: &'a str,
    /// Whole From value, with its tag.
    pub from: &'a str,
    /// Whole To value, with its tag within a dialog.
    pub to: &'a str,
    pub call_id: &'a str,
    pub cseq: u32,
    /// Whole Contact value.
    pub contact: Option<&'a str>,
    /// Further headers, in order.
    pub extra: Vec<Header>,
    pub body: Option<Body<'a>>,
}

/// A Via value that asks for `rport` (RFC 3581 §3): `transport` is `UDP` or `TCP`, `sent_by` is
/// `host[:port]`.
pub fn via_value(transport: &str, sent_by: &str, branch: &str) -> String {
    format!("SIP/2.0/{transport} {sent_by};branch={branch};rport")
}

/// The same request with this transport in its Via (RFC 3261 §18.1.1).
pub fn over(request: &Request, transport: &str) -> Request {
    let mut request = request.clone();
    for each in request.headers.iter_mut() {
        if let Header::Via(via) = each {
            let sent_by = via.value().split_once(' ').map_or("", |(_, sent_by)| sent_by);
            *each = header("Via", format!("SIP/2.0/{transport} {sent_by}"));
        }
    }
    request
}

/// Builds a request; Max-Forwards is 70. A first route without `lr` becomes the request URI, and
/// the target the last route (§12.2.1.1).
pub fn request(parts: &RequestParts<'_>) -> Request {
    let mut headers = Headers::default();
    headers.push(header("Via", parts.via));
    headers.push(header("Max-Forwards", "70"));
    let first = parts.routes.first().map(|route| NameAddr::read(route));
    // An `lr` outside the brackets means the same.
    let strict = first.filter(|route| !route.uri.params.has("lr") && !route.params.has("lr"));
    let uri = match strict.and_then(|route| route.uri.target()) {
        Some(first) => {
            for route in &parts.routes[1..] {
                headers.push(header("Route", route.as_str()));
            }
            headers.push(header("Route", format!("<{}>", parts.target)));
            first
        }
        None => {
            for route in parts.routes {
                headers.push(header("Route", route.as_str()));
            }
            parts.target
        }
    };
    headers.push(header("From", parts.from));
    headers.push(header("To", parts.to));
    headers.push(header("Call-ID", parts.call_id));
    headers.push(header("CSeq", format!("{} {}", parts.cseq, parts.method)));
    if let Some(contact) = parts.contact {
        headers.push(header("Contact", contact));
    }
    headers.extend(parts.extra.clone());
    let mut body = Vec::new();
    if let Some(Body { content_type, bytes }) = parts.body {
        headers.push(header("Content-Type", content_type));
        body.extend_from_slice(bytes);
    }
    Request {
        method: parts.method,
        uri: opaque_uri(uri),
        version: rsip::Version::V2,
        headers,
        body,
    }
}

/// Builds a response: Via, From, To, Call-ID and CSeq copied, `to_tag` added when the request's To
/// has none (never to a 100), Timestamp for a 100, Record-Route where a dialog may arise (§8.2.6,
/// §12.1.1).
pub fn respond(request: &Request, code: u16, to_tag: &str) -> Response {
    let forms_dialog = matches!(request.method, Method::Invite | Method::Subscribe | Method::Refer)
        && (101..300).contains(&code);
    let mut headers = Headers::default();
    for each in request.headers.iter() {
        match each {
            Header::Via(_) | Header::From(_) | Header::CallId(_) | Header::CSeq(_) => {
                headers.push(each.clone())
            }
            Header::RecordRoute(_) if forms_dialog => headers.push(each.clone()),
            Header::Timestamp(_) if code == 100 => headers.push(each.clone()),
            Header::To(to) if code == 100 || request.to_tag().is_some() => {
                headers.push(Header::To(to.clone()))
            }
            Header::To(to) => headers.push(header("To", format!("{};tag={to_tag}", to.value()))),
            _ => {}
        }
    }
    Response { status_code: status(code), version: rsip::Version::V2, headers, body: Vec::new() }
}

/// The code with its phrase; `rsip` does not know 202 (RFC 3515 §2.4.2).
fn status(code: u16) -> StatusCode {
    if code == 202 { StatusCode::Other(code, "Accepted".into()) } else { StatusCode::from(code) }
}

/// Puts a body and its Content-Type into a response.
pub fn set_body(response: &mut Response, body: Body<'_>) {
    response.headers.retain(|each| !matches!(each, Header::ContentType(_)));
    response.headers.push(header("Content-Type", body.content_type));
    response.body = body.bytes.to_vec();
}

/// The ACK of a non-2xx final response, made by the client transaction (§17.1.1.3).
pub fn ack_for(invite: &Request, response: &Response) -> Request {
    let mut ack = same_hop(invite, Method::Ack);
    for each in ack.headers.iter_mut() {
        if let (Header::To(to), Some(theirs)) = (each, response.value("To")) {
            to.replace(theirs);
        }
    }
    ack
}

/// The CANCEL of a request (§9.1).
pub fn cancel_for(request: &Request) -> Request {
    same_hop(request, Method::Cancel)
}

/// The top Via, routes, dialog identifiers and CSeq number of a request under a method, without
/// credentials and body: all that a CANCEL or an ACK of a failure is made from.
pub fn same_hop(request: &Request, method: Method) -> Request {
    let mut headers = Headers::default();
    let mut has_via = false;
    for each in request.headers.iter() {
        match each {
            Header::Via(_) if has_via => {}
            Header::Via(_) => {
                has_via = true;
                headers.push(each.clone());
            }
            Header::CSeq(cseq) => {
                let number = cseq.value().split([' ', '\t']).next().unwrap_or_default();
                headers.push(header("CSeq", format!("{number} {method}")));
            }
            Header::Route(_)
            | Header::From(_)
            | Header::To(_)
            | Header::CallId(_)
            | Header::MaxForwards(_) => {
                headers.push(each.clone());
            }
            _ => {}
        }
    }
    Request {
        method,
        uri: request.uri.clone(),
        version: rsip::Version::V2,
        headers,
        body: Vec::new(),
    }
}

/// Notes in the top Via where the request really came from (§18.2.1, RFC 3581 §4). A `received`
/// that the peer wrote is replaced.
pub fn stamp_source(request: &mut Request, source: SocketAddr) {
    for each in request.headers.iter_mut() {
        if let Header::Via(via) = each {
            if let Some(stamped) = stamped_via(via.value(), source) {
                via.replace(stamped);
            }
            return;
        }
    }
}

fn stamped_via(value: &str, source: SocketAddr) -> Option<String> {
    let via = Via::parse(value)?;
    let host = via.host.trim_start_matches('[').trim_end_matches(']');
    let asks_port = via.params.has("rport");
    let differs = host.parse::<IpAddr>() != Ok(source.ip());
    if !asks_port && !differs && via.received().is_none() {
        return None;
    }
    let port = via.port.map(|port| format!(":{port}")).unwrap_or_default();
    let mut out = format!("SIP/2.0/{} {}{port}", via.transport, via.host);
    for (name, value) in via.params.iter() {
        if name.eq_ignore_ascii_case("received") || name.eq_ignore_ascii_case("rport") {
            continue;
        }
        out.push(';');
        out.push_str(name);
        if let Some(value) = value {
            out.push('=');
            out.push_str(value);
        }
    }
    if asks_port {
        out.push_str(&format!(";rport={}", source.port()));
    }
    if asks_port || differs {
        out.push_str(&format!(";received={}", source.ip()));
    }
    Some(out)
}

/// The stateless answer to a message that `parse` refused, printed; `None` when nothing is due or
/// nothing can be said: a response, an ACK, or a head without the headers an answer copies
/// (§8.2.6.2).
pub fn refusal(message: &[u8], error: ParseError, source: SocketAddr) -> Option<Vec<u8>> {
    let Answer::Status(code) = error.answer() else { return None };
    let head = parse::head_text(parse::head(message));
    let (start, lines) = head.split_once("\r\n")?;
    if start.starts_with("ACK ") || start.starts_with("SIP/") {
        return None;
    }
    let mut headers: Vec<(&str, String)> = Vec::new();
    for (name, value) in parse::header_lines(lines).flatten() {
        let copied = ["Via", "From", "To", "Call-ID", "CSeq"]
            .into_iter()
            .find(|each| each.eq_ignore_ascii_case(name));
        if let Some(name) =
            copied.filter(|name| *name == "Via" || headers.iter().all(|(each, _)| each != name))
        {
            headers.push((name, value.into_owned()));
        }
    }
    let via = headers.iter_mut().find(|(name, _)| *name == "Via")?;
    let seed = via.1.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    let top = grammar::split_list(&via.1).next()?.to_owned();
    if let Some(stamped) = stamped_via(&top, source) {
        via.1.replace_range(..top.len(), &stamped);
    }
    let to = headers.iter_mut().find(|(name, _)| *name == "To")?;
    if NameAddr::parse(&to.1).is_some_and(|to| to.tag().is_none()) {
        // The same message gets the same tag, so that a retransmission gets the same answer
        // (§8.2.7).
        to.1.push_str(&format!(";tag={seed:016x}"));
    }
    if ["From", "Call-ID", "CSeq"]
        .into_iter()
        .any(|name| headers.iter().all(|(each, _)| *each != name))
    {
        return None;
    }
    let mut out =
        format!("SIP/2.0 {code} {}\r\n", super::print::reason_phrase(&StatusCode::from(code)));
    for (name, value) in headers {
        out.push_str(&format!("{name}: {value}\r\n"));
    }
    out.push_str("Content-Length: 0\r\n\r\n");
    Some(parse::bytes_of(&out).into_owned())
}
