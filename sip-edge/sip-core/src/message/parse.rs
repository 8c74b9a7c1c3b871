//! The wire reader: one whole message from a datagram or a `Framer` into `rsip`'s types (RFC 3261
//! §7, §25.1; RFC 4475 as its test). Reads whatever can be read and notes each repair; `parse`
//! takes only what needed none, as is due to strangers. Compact names become long, folded lines one
//! line, and lists of Via, Route, Record-Route and Contact one header each, so that each is read
//! alone.

use std::borrow::Cow;

use rsip::headers::UntypedHeader;
use rsip::{Header, Headers, Request, Response, SipMessage, StatusCode};

use super::repair::{Notes, Repair, Repairs};
use super::uri::{NameAddr, Scheme, Uri, opaque_uri};
use super::via::Via;
use super::{Limits, ParseError, grammar, header};

enum Start<'a> {
    /// The method as written, which `rsip` may not know.
    Request(&'a str, rsip::Uri),
    Response(StatusCode),
}

/// A message with what had to be mended to read it.
#[derive(Debug, Clone, PartialEq)]
pub struct Read {
    pub message: SipMessage,
    pub repairs: Repairs,
    /// What a stranger's message is refused with; a transaction or dialog of ours takes the message
    /// as it is.
    pub refusal: Option<ParseError>,
}

/// Reads one whole message that needs no repair; bytes behind its Content-Length are ignored
/// (§18.3).
pub fn parse(bytes: &[u8], limits: &Limits) -> Result<SipMessage, ParseError> {
    let read = read(bytes, limits)?;
    match read.refusal {
        None => Ok(read.message),
        Some(error) => Err(error),
    }
}

/// Reads one whole message as far as it can be read; an error where nothing can be made of it.
pub fn read(bytes: &[u8], limits: &Limits) -> Result<Read, ParseError> {
    let mut notes = Notes::default();
    let result = read_noting(bytes, limits, &mut notes);
    let (repairs, refusal) = notes.into_parts();
    match result {
        Ok(message) => Ok(Read { message, repairs, refusal }),
        Err(error @ (ParseError::Method | ParseError::TooLarge)) => Err(refusal.unwrap_or(error)),
        Err(error) => Err(error),
    }
}

fn read_noting(bytes: &[u8], limits: &Limits, notes: &mut Notes) -> Result<SipMessage, ParseError> {
    // Empty lines before the start line are ignored (§7.5).
    let skipped = bytes.iter().take_while(|byte| b"\r\n".contains(byte)).count();
    let junk_len = bytes[skipped..].iter().take_while(|byte| **byte <= b' ').count();
    if junk_len > 0 {
        notes.note(Repair::StartLine, ParseError::RequestLine);
    }
    let bytes = &bytes[skipped + junk_len..];
    if head(bytes).len() > limits.head_len {
        return Err(ParseError::TooLarge);
    }
    let mended = mend_line_ends(bytes, notes);
    let bytes = mended.as_deref().unwrap_or(bytes);
    let head_bytes = head(bytes);
    let text = head_text(head_bytes);
    let (start, lines) = text.split_once("\r\n").ok_or(ParseError::NotSip)?;
    let start = start_line(start, notes)?;
    let mut headers = Vec::with_capacity(16);
    for line in header_lines(lines) {
        let (name, value) = match line {
            Ok(parts) => parts,
            Err(error) => {
                notes.note(Repair::HeaderLine, error);
                continue;
            }
        };
        if headers.len() >= limits.header_count {
            // Beyond the limit only what is needed is kept.
            notes.note(Repair::HeaderCount, ParseError::TooLarge);
            if headers.len() >= 2 * limits.header_count {
                break;
            }
            if !header::is_needed(name) {
                continue;
            }
        }
        push(&mut headers, name, value);
    }
    if headers.len() > limits.header_count {
        // A list may bring many at once.
        notes.note(Repair::HeaderCount, ParseError::TooLarge);
        headers.truncate(2 * limits.header_count);
    }
    let body = bytes.get(head_bytes.len() + 4..).unwrap_or_default();
    let facts = Facts::check(&headers, &start, notes);
    let body = match facts.content_len {
        Some(len) => body.get(..len).unwrap_or_else(|| {
            notes.note(Repair::ContentLength, ParseError::ContentLength);
            body
        }),
        None => body,
    };
    if body.len() > limits.body_len {
        return Err(ParseError::TooLarge);
    }
    if notes.has_any() {
        tidy(&mut headers);
    }
    let (headers, body) = (Headers::from(headers), body.to_vec());
    match start {
        Start::Request(token, uri) => {
            let method = header::method(token).or_else(|| {
                // Methods are case-sensitive (§7.1).
                let method = header::method(&token.to_ascii_uppercase())?;
                notes.note(Repair::StartLine, ParseError::Method);
                Some(method)
            });
            let method = method.ok_or(ParseError::Method)?;
            if facts.cseq_method != Some(method) {
                notes.note(Repair::CSeq, ParseError::CSeqMismatch);
            }
            Ok(SipMessage::Request(Request {
                method,
                uri,
                version: rsip::Version::V2,
                headers,
                body,
            }))
        }
        Start::Response(status_code) => Ok(SipMessage::Response(Response {
            status_code,
            version: rsip::Version::V2,
            headers,
            body,
        })),
    }
}

/// The message with a head whose lines all end in CRLF and that ends in an empty line; `None` if it
/// is so. A bare CR within a line becomes a blank, for it would be a line's end to some reader
/// downstream.
fn mend_line_ends(bytes: &[u8], notes: &mut Notes) -> Option<Vec<u8>> {
    let strict = head(bytes);
    // Each CR stands right before an LF, each LF right behind a CR: looked at without branches.
    let is_bare = |found, (one, next): (&u8, &u8)| found | ((*one == b'\r') != (*next == b'\n'));
    let is_bare_in = |pairs: &[u8]| pairs.iter().zip(&pairs[1..]).fold(false, is_bare);
    if let Some(pairs) = bytes.get(..strict.len() + 1)
        && pairs[0] != b'\n'
        && !is_bare_in(pairs)
    {
        return None;
    }
    let is_text = strict.windows(2).any(|pair| pair == b"\r\n");
    notes.note(Repair::LineEnds, if is_text { ParseError::HeaderLine } else { ParseError::NotSip });
    let mut out = Vec::with_capacity(bytes.len() + 64);
    let mut rest = bytes;
    while !rest.is_empty() {
        let len = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        let line = rest[..len].strip_suffix(b"\r").unwrap_or(&rest[..len]);
        rest = rest.get(len + 1..).unwrap_or_default();
        if line.is_empty() {
            break;
        }
        out.extend(line.iter().map(|byte| if *byte == b'\r' { b' ' } else { *byte }));
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(rest);
    Some(out)
}

/// Whether the bytes look like one SIP message and nothing behind it, as a WebSocket's message must
/// be (RFC 7118 §5).
pub fn is_single(bytes: &[u8]) -> bool {
    let head_bytes = head(bytes);
    let text = head_text(head_bytes);
    let Some((start, lines)) = text.split_once("\r\n") else { return false };
    if !start.starts_with("SIP/")
        && !start.rsplit(' ').next().is_some_and(|version| version.starts_with("SIP/"))
    {
        return false;
    }
    let body_len = bytes.len().saturating_sub(head_bytes.len() + 4);
    let is_len =
        |name: &str| ["Content-Length", "l"].iter().any(|each| each.eq_ignore_ascii_case(name));
    let mut lens = header_lines(lines).flatten().filter(|(name, _)| is_len(name));
    lens.all(|(_, value)| {
        grammar::number(grammar::trim(&value)).is_some_and(|len| len as usize >= body_len)
    })
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

/// A head as text. Bytes that are no UTF-8 stand as private characters, which `bytes_of` turns
/// back: a Latin-1 value goes out as it came.
pub(super) fn head_text(head: &[u8]) -> Cow<'_, str> {
    // Checking alone is much faster than going through the chunks.
    if let Ok(text) = std::str::from_utf8(head) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(head.len() + 16);
    for chunk in head.utf8_chunks() {
        out.push_str(chunk.valid());
        out.extend(
            chunk.invalid().iter().filter_map(|byte| char::from_u32(PRIVATE + u32::from(*byte))),
        );
    }
    Cow::Owned(out)
}

/// Of the last private plane; none of its characters has a meaning.
const PRIVATE: u32 = 0x10_ff00;
/// With which UTF-8 begins them.
const PRIVATE_BYTE: u8 = 0xf4;

/// The bytes of text that came through `head_text`.
pub(super) fn bytes_of(text: &str) -> Cow<'_, [u8]> {
    if !text.as_bytes().contains(&PRIVATE_BYTE) {
        return Cow::Borrowed(text.as_bytes());
    }
    let byte_of = |c: char| u32::from(c).checked_sub(PRIVATE + 0x80).map(|byte| byte as u8 + 0x80);
    let mut out = Vec::with_capacity(text.len());
    for c in text.chars() {
        match byte_of(c) {
            Some(byte) => out.push(byte),
            None => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Cow::Owned(out)
}

/// Name and unfolded value of each header line; names keep their case but compact ones are long.
pub(super) fn header_lines(
    text: &str,
) -> impl Iterator<Item = Result<(&str, Cow<'_, str>), ParseError>> {
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
        let line =
            if next == rest.len() && !rest.ends_with("\r\n") { rest } else { &rest[..next - 2] };
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
    let (name, value) = grammar::cut(line, b':').ok_or(ParseError::HeaderLine)?;
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
    Ok((header::long_name(name), value))
}

/// Appends a header, the members of a list one by one where each is read alone.
fn push(headers: &mut Vec<Header>, name: &str, value: Cow<'_, str>) {
    let one = header::header(name, value.as_ref());
    let is_list = matches!(
        one,
        Header::Via(_) | Header::Route(_) | Header::RecordRoute(_) | Header::Contact(_)
    );
    if is_list && grammar::find_outside(&value, b',').is_some() {
        headers.extend(grammar::split_list(&value).map(|each| header::header(name, each)));
    } else {
        headers.push(one);
    }
}

/// Takes members that are empty and repeated headers of one value out: the first one counts.
fn tidy(headers: &mut Vec<Header>) {
    let mut seen = [false; 5];
    headers.retain(|each| {
        let single = match each {
            Header::Via(value) => return !value.value().is_empty(),
            Header::Route(value) => return !value.value().is_empty(),
            Header::RecordRoute(value) => return !value.value().is_empty(),
            Header::Contact(value) => return !value.value().is_empty(),
            Header::From(_) => 0,
            Header::To(_) => 1,
            Header::CallId(_) => 2,
            Header::CSeq(_) => 3,
            Header::MaxForwards(_) => 4,
            _ => return true,
        };
        !std::mem::replace(&mut seen[single], true)
    });
}

fn start_line<'a>(line: &'a str, notes: &mut Notes) -> Result<Start<'a>, ParseError> {
    let is_response = line.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("SIP/"));
    let strict = if is_response { status_line(line) } else { request_line(line) };
    match strict {
        Err(
            error @ (ParseError::RequestLine | ParseError::RequestUri | ParseError::StatusLine),
        ) => {
            let loose =
                if is_response { loose_status_line(line) } else { loose_request_line(line) };
            let start = loose.ok_or(error)?;
            notes.note(Repair::StartLine, error);
            Ok(start)
        }
        strict => strict,
    }
}

fn request_line(line: &str) -> Result<Start<'_>, ParseError> {
    let mut parts = line.split(' ');
    let (Some(method), Some(uri), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(if line.contains("SIP/") {
            ParseError::RequestLine
        } else {
            ParseError::NotSip
        });
    };
    let Some(version) =
        version.get(..4).filter(|name| name.eq_ignore_ascii_case("SIP/")).map(|_| &version[4..])
    else {
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

/// Whatever stands between a method and the version is the request URI, of which a request inside a
/// dialog needs nothing.
fn loose_request_line(line: &str) -> Option<Start<'_>> {
    let (method, rest) = line.trim().split_once([' ', '\t'])?;
    let (uri, version) = rest.rsplit_once([' ', '\t'])?;
    let is_whole = grammar::is_token(method)
        && version.eq_ignore_ascii_case("SIP/2.0")
        && !uri.trim().is_empty();
    is_whole.then(|| Start::Request(method, opaque_uri(uri.trim())))
}

fn status_line(line: &str) -> Result<Start<'_>, ParseError> {
    let (version, rest) = line.split_once(' ').ok_or(ParseError::StatusLine)?;
    let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
    let code = grammar::number(code).filter(|_| code.len() == 3).ok_or(ParseError::StatusLine)?;
    if &version[4..] != "2.0" || !(100..700).contains(&code) {
        return Err(ParseError::StatusLine);
    }
    Ok(Start::Response(status(code as u16, reason)))
}

/// The first word behind the version that begins with a status code of three digits.
fn loose_status_line(line: &str) -> Option<Start<'_>> {
    let (_, rest) = line.split_once([' ', '\t'])?;
    let (code, reason) = rest.trim().split_at_checked(3)?;
    let code = grammar::number(code).filter(|code| (100..700).contains(code))?;
    (!reason.starts_with(|c: char| c.is_ascii_digit()))
        .then(|| Start::Response(status(code as u16, reason.trim())))
}

fn status(code: u16, reason: &str) -> StatusCode {
    match StatusCode::from(code) {
        StatusCode::Other(code, _) => StatusCode::Other(code, reason.to_owned()),
        known => known,
    }
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
    fn check(headers: &[Header], start: &Start<'_>, notes: &mut Notes) -> Self {
        let mut facts = Self { content_len: None, cseq_method: None };
        let (mut via, mut from, mut to, mut call_id, mut cseq, mut max_forwards) =
            (0, 0, 0, 0, 0, 0);
        let mut lengths_differ = false;
        let is_request = matches!(start, Start::Request(..));
        let mut expect = |repair: Repair, holds: bool| {
            if !holds {
                notes.note(repair, ParseError::HeaderValue);
            }
        };
        let mut length_error = None;
        for each in headers {
            match each {
                Header::Via(value) => {
                    via += 1;
                    // Only the top Via is used; the others are only copied, but a request with a
                    // broken one is refused (RFC 4475 §3.1.2.1).
                    expect(
                        Repair::Via,
                        !(is_request || via == 1) || Via::parse(value.value()).is_some(),
                    );
                }
                Header::From(value) => {
                    from += 1;
                    expect(Repair::Party, NameAddr::parse(value.value()).is_some());
                }
                Header::To(value) => {
                    to += 1;
                    expect(Repair::Party, NameAddr::parse(value.value()).is_some());
                }
                Header::CallId(value) => {
                    call_id += 1;
                    let (left, right) =
                        value.value().split_once('@').unwrap_or((value.value(), "-"));
                    expect(Repair::CallId, grammar::is_word(left) && grammar::is_word(right));
                }
                Header::CSeq(value) => {
                    cseq += 1;
                    let (number, method) =
                        value.value().split_once([' ', '\t']).unwrap_or((value.value(), ""));
                    let method = grammar::trim(method);
                    // A sequence number must be below 2^31 (§8.1.1.5).
                    let is_number = grammar::number(number).is_some_and(|number| number < 1 << 31);
                    expect(Repair::CSeq, is_number && grammar::is_token(method));
                    facts.cseq_method = header::method(method);
                }
                Header::MaxForwards(value) if is_request => {
                    max_forwards += 1;
                    expect(
                        Repair::MaxForwards,
                        grammar::number(value.value()).is_some_and(|hops| hops <= 255),
                    );
                }
                Header::Contact(value) => {
                    expect(
                        Repair::Contact,
                        value.value() == "*" || NameAddr::parse(value.value()).is_some(),
                    );
                }
                Header::Route(value) if is_request => {
                    expect(Repair::Route, NameAddr::parse(value.value()).is_some())
                }
                Header::RecordRoute(value) => {
                    expect(Repair::Route, NameAddr::parse(value.value()).is_some())
                }
                Header::ContentLength(value) => {
                    match grammar::number(value.value()).map(|len| len as usize) {
                        None => length_error = length_error.or(Some(ParseError::ContentLength)),
                        Some(len) if facts.content_len.is_some_and(|other| other != len) => {
                            length_error = length_error.or(Some(ParseError::RepeatedHeader));
                            lengths_differ = true;
                        }
                        Some(len) => facts.content_len = Some(len),
                    }
                }
                _ => {}
            }
        }
        if let Some(error) = length_error {
            notes.note(Repair::ContentLength, error);
        }
        if lengths_differ {
            facts.content_len = None;
        }
        if from > 1 || to > 1 || call_id > 1 || cseq > 1 || max_forwards > 1 {
            notes.note(Repair::Repeated, ParseError::RepeatedHeader);
        }
        if via == 0 || from == 0 || to == 0 || call_id == 0 || cseq == 0 {
            notes.note(Repair::Missing, ParseError::MissingHeader);
        }
        facts
    }
}
