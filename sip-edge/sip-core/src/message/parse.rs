//! The wire parser: one whole message from a datagram or a `Framer` into `rsip`'s types (RFC 3261 §7, §25.1; RFC 4475 as its test).
//! Strict where an answer depends on a value, liberal where nothing does. Compact names become long, folded lines one line, and lists
//! of Via, Route, Record-Route and Contact one header each, so that `rsip`'s typed headers can read them.

use std::borrow::Cow;

use rsip::{Header, Headers, Request, Response, SipMessage, StatusCode};

use super::uri::{NameAddr, Scheme, Uri, opaque_uri};
use super::via::Via;
use super::{Limits, ParseError, grammar, header};

enum Start<'a> {
    /// The method as written, which `rsip` may not know.
    Request(&'a str, rsip::Uri),
    Response(StatusCode),
}

/// Parses one whole message; bytes behind its Content-Length are ignored (§18.3).
pub fn parse(bytes: &[u8], limits: &Limits) -> Result<SipMessage, ParseError> {
    // Empty lines before the start line are ignored (§7.5).
    let skipped = bytes.iter().take_while(|byte| b"\r\n".contains(byte)).count();
    let bytes = &bytes[skipped..];
    let head_bytes = head(bytes);
    if head_bytes.len() > limits.head_len {
        return Err(ParseError::TooLarge);
    }
    let text = head_text(head_bytes);
    let (start, lines) = text.split_once("\r\n").ok_or(ParseError::NotSip)?;
    let start = start_line(start)?;
    if head_bytes.len() == bytes.len() {
        // Without the empty line the head may be cut short, and its last value with it.
        return Err(ParseError::HeaderLine);
    }
    let mut headers = Vec::with_capacity(16);
    for line in header_lines(lines) {
        let (name, value) = line?;
        push(&mut headers, name, value);
        if headers.len() > limits.header_count {
            return Err(ParseError::TooLarge);
        }
    }
    let body = bytes.get(head_bytes.len() + 4..).unwrap_or_default();
    let facts = Facts::check(&headers, &start)?;
    let body = match facts.content_len {
        Some(len) => body.get(..len).ok_or(ParseError::ContentLength)?,
        None => body,
    };
    if body.len() > limits.body_len {
        return Err(ParseError::TooLarge);
    }
    let (headers, body) = (Headers::from(headers), body.to_vec());
    match start {
        Start::Request(method, uri) => {
            let method = header::method(method).ok_or(ParseError::Method)?;
            if facts.cseq_method != Some(method) {
                return Err(ParseError::CSeqMismatch);
            }
            Ok(SipMessage::Request(Request { method, uri, version: rsip::Version::V2, headers, body }))
        }
        Start::Response(status_code) => {
            Ok(SipMessage::Response(Response { status_code, version: rsip::Version::V2, headers, body }))
        }
    }
}

/// Whether the bytes look like one SIP message and nothing behind it, as a WebSocket's message must be (RFC 7118 §5).
pub fn is_single(bytes: &[u8]) -> bool {
    let head_bytes = head(bytes);
    let text = head_text(head_bytes);
    let Some((start, lines)) = text.split_once("\r\n") else { return false };
    if !start.starts_with("SIP/") && !start.rsplit(' ').next().is_some_and(|version| version.starts_with("SIP/")) {
        return false;
    }
    let body_len = bytes.len().saturating_sub(head_bytes.len() + 4);
    let is_len = |name: &str| ["Content-Length", "l"].iter().any(|each| each.eq_ignore_ascii_case(name));
    let mut lens = header_lines(lines).flatten().filter(|(name, _)| is_len(name));
    lens.all(|(_, value)| grammar::number(grammar::trim(&value)).is_some_and(|len| len as usize >= body_len))
}

/// The start line and headers, without the empty line; everything when there is no empty line.
pub(super) fn head(bytes: &[u8]) -> &[u8] {
    head_len(bytes, 0).map_or(bytes, |len| &bytes[..len])
}

/// Position of the first CRLF CRLF that ends at or after `from`.
pub(super) fn head_len(bytes: &[u8], from: usize) -> Option<usize> {
    // The last byte of a window tells how far the next possible end is.
    let mut last = from.max(3);
    while let Some(byte) = bytes.get(last) {
        last += match byte {
            b'\n' if bytes[last - 3..].starts_with(b"\r\n\r") => return Some(last - 3),
            b'\n' => 2,
            b'\r' => 1,
            _ => 4,
        };
    }
    None
}

/// A head as text; bytes that are no UTF-8 are replaced, so such a value is not copied back byte for byte.
pub(super) fn head_text(head: &[u8]) -> Cow<'_, str> {
    // Checking alone is much faster than `from_utf8_lossy`.
    std::str::from_utf8(head).map_or_else(|_| String::from_utf8_lossy(head), Cow::Borrowed)
}

/// Name and unfolded value of each header line; names keep their case but compact ones are long.
pub(super) fn header_lines(text: &str) -> impl Iterator<Item = Result<(&str, Cow<'_, str>), ParseError>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        // A line goes on while the next begins with a blank (§7.3.1).
        let (mut end, mut folded) = (0, false);
        let next = loop {
            match line_end(&rest[end..]) {
                None => break rest.len(),
                Some(at) if rest[end + at + 2..].starts_with([' ', '\t']) => {
                    folded = true;
                    end += at + 2;
                }
                Some(at) => break end + at + 2,
            }
        };
        let line = if next == rest.len() && !rest.ends_with("\r\n") { rest } else { &rest[..next - 2] };
        rest = &rest[next..];
        Some(header_line(line, folded))
    })
}

/// Position of the first CRLF. Looking for one byte is several times faster than for two.
fn line_end(text: &str) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = text[from..].find('\n') {
        let at = from + at;
        if at > 0 && text.as_bytes()[at - 1] == b'\r' {
            return Some(at - 1);
        }
        from = at + 1;
    }
    None
}

fn header_line(line: &str, folded: bool) -> Result<(&str, Cow<'_, str>), ParseError> {
    let (name, value) = line.split_once(':').ok_or(ParseError::HeaderLine)?;
    let name = name.trim_end_matches([' ', '\t']);
    if !grammar::is_token(name) {
        return Err(ParseError::HeaderLine);
    }
    let value = if folded {
        let parts: Vec<&str> = value.split("\r\n").map(grammar::trim).collect();
        Cow::Owned(grammar::trim(&parts.join(" ")).to_owned())
    } else {
        Cow::Borrowed(grammar::trim(value))
    };
    // A bare CR or LF would become a line of its own at some reader downstream.
    if value.bytes().any(|byte| matches!(byte, b'\r' | b'\n')) {
        return Err(ParseError::HeaderLine);
    }
    Ok((header::long_name(name), value))
}

/// Appends a header, the members of a list one by one where each is read alone.
fn push(headers: &mut Vec<Header>, name: &str, value: Cow<'_, str>) {
    let one = header::header(name, value.as_ref());
    let is_list = matches!(one, Header::Via(_) | Header::Route(_) | Header::RecordRoute(_) | Header::Contact(_));
    if is_list && grammar::find_outside(&value, b',').is_some() {
        headers.extend(grammar::split_list(&value).map(|each| header::header(name, each)));
    } else {
        headers.push(one);
    }
}

fn start_line(line: &str) -> Result<Start<'_>, ParseError> {
    if line.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("SIP/")) {
        return status_line(line);
    }
    let mut parts = line.split(' ');
    let (Some(method), Some(uri), Some(version), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(if line.contains("SIP/") { ParseError::RequestLine } else { ParseError::NotSip });
    };
    let Some(version) = version.get(..4).filter(|name| name.eq_ignore_ascii_case("SIP/")).map(|_| &version[4..]) else {
        return Err(ParseError::NotSip);
    };
    if version != "2.0" {
        return Err(ParseError::Version);
    }
    if !grammar::is_token(method) {
        return Err(ParseError::RequestLine);
    }
    let uri = Uri::parse(uri).ok_or(ParseError::RequestUri)?;
    // Headers stand in no request URI (§19.1.1).
    if uri.headers.is_some() {
        return Err(ParseError::RequestUri);
    }
    Ok(Start::Request(method, rsip_uri(&uri)))
}

fn status_line(line: &str) -> Result<Start<'_>, ParseError> {
    let (version, rest) = line.split_once(' ').ok_or(ParseError::StatusLine)?;
    let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
    let code = grammar::number(code).filter(|_| code.len() == 3).ok_or(ParseError::StatusLine)?;
    if &version[4..] != "2.0" || !(100..700).contains(&code) || reason.contains(['\r', '\n']) {
        return Err(ParseError::StatusLine);
    }
    let known = StatusCode::from(code as u16);
    Ok(Start::Response(match known {
        StatusCode::Other(code, _) => StatusCode::Other(code, reason.to_owned()),
        known => known,
    }))
}

/// The parts as `rsip` holds them when they print back unchanged, else the whole text in its host.
fn rsip_uri(uri: &Uri<'_>) -> rsip::Uri {
    let scheme = match uri.scheme {
        Scheme::Sip => rsip::Scheme::Sip,
        Scheme::Sips => rsip::Scheme::Sips,
        Scheme::Tel | Scheme::Other => return opaque_uri(uri.as_str()),
    };
    let host = match uri.host.parse() {
        Ok(v4) => rsip::Host::IpAddr(std::net::IpAddr::V4(v4)),
        Err(_) => rsip::Host::Domain(uri.host.into()),
    };
    // A typed parameter that would print in another spelling is kept as written.
    let param = |(name, value): (&str, Option<&str>)| {
        let written = || rsip::Param::Other(name.into(), value.map(Into::into));
        match rsip::Param::try_from((name, value)) {
            Ok(other @ rsip::Param::Other(..)) => other,
            Ok(typed) if typed.to_string() == written().to_string() => typed,
            _ => written(),
        }
    };
    let structured = rsip::Uri {
        scheme: Some(scheme),
        auth: uri.user.map(|user| rsip::Auth::from((user, uri.password))),
        host_with_port: rsip::HostWithPort { host, port: uri.port.map(Into::into) },
        params: uri.params.iter().map(param).collect(),
        headers: Vec::new(),
    };
    if structured.to_string() == uri.as_str() { structured } else { opaque_uri(uri.as_str()) }
}

/// What checking the headers found that the rest of the parser needs.
struct Facts {
    content_len: Option<usize>,
    cseq_method: Option<rsip::Method>,
}

impl Facts {
    fn check(headers: &[Header], start: &Start<'_>) -> Result<Self, ParseError> {
        use rsip::headers::UntypedHeader;
        let mut facts = Self { content_len: None, cseq_method: None };
        let (mut via, mut from, mut to, mut call_id, mut cseq, mut max_forwards) = (0, 0, 0, 0, 0, 0);
        let is_request = matches!(start, Start::Request(..));
        let ok = |holds: bool| if holds { Ok(()) } else { Err(ParseError::HeaderValue) };
        for each in headers {
            match each {
                Header::Via(value) => {
                    via += 1;
                    // Only the top Via is used; the others are only copied, but a request with a broken one is refused (RFC 4475 §3.1.2.1).
                    ok(!(is_request || via == 1) || Via::parse(value.value()).is_some())?;
                }
                Header::From(value) => {
                    from += 1;
                    ok(NameAddr::parse(value.value()).is_some())?;
                }
                Header::To(value) => {
                    to += 1;
                    ok(NameAddr::parse(value.value()).is_some())?;
                }
                Header::CallId(value) => {
                    call_id += 1;
                    let (left, right) = value.value().split_once('@').unwrap_or((value.value(), "-"));
                    ok(grammar::is_word(left) && grammar::is_word(right))?;
                }
                Header::CSeq(value) => {
                    cseq += 1;
                    let (number, method) = value.value().split_once([' ', '\t']).ok_or(ParseError::HeaderValue)?;
                    let method = grammar::trim(method);
                    // A sequence number must be below 2^31 (§8.1.1.5).
                    ok(grammar::number(number).is_some_and(|number| number < 1 << 31) && grammar::is_token(method))?;
                    facts.cseq_method = header::method(method);
                }
                Header::MaxForwards(value) if is_request => {
                    max_forwards += 1;
                    ok(grammar::number(value.value()).is_some_and(|hops| hops <= 255))?;
                }
                Header::Contact(value) if is_request => {
                    ok(value.value() == "*" || NameAddr::parse(value.value()).is_some())?;
                }
                Header::Route(value) if is_request => ok(NameAddr::parse(value.value()).is_some())?,
                Header::RecordRoute(value) => ok(NameAddr::parse(value.value()).is_some())?,
                Header::ContentLength(value) => {
                    let len = grammar::number(value.value()).ok_or(ParseError::ContentLength)? as usize;
                    if facts.content_len.is_some_and(|other| other != len) {
                        return Err(ParseError::RepeatedHeader);
                    }
                    facts.content_len = Some(len);
                }
                _ => {}
            }
        }
        if from > 1 || to > 1 || call_id > 1 || cseq > 1 || max_forwards > 1 {
            return Err(ParseError::RepeatedHeader);
        }
        if via == 0 || from == 0 || to == 0 || call_id == 0 || cseq == 0 {
            return Err(ParseError::MissingHeader);
        }
        Ok(facts)
    }
}
