//! Where in a body the session description is (RFC 3261 §7.4, RFC 5621, RFC 2046 §5.1): alone, or a
//! part of a multipart body, however deep. Knows no SDP beyond its first line.

use super::grammar;
use super::uri::Params;
use std::borrow::Cow;

/// Content-Type of a session description.
pub const SDP: &str = "application/sdp";
/// How deep multipart bodies are followed into each other.
const MAX_DEPTH: usize = 4;
/// Parts of one multipart body that are looked at.
const MAX_PART_COUNT: usize = 32;

/// The session description in a body of this Content-Type, if there is one. A body that begins as
/// one is one, whatever its type says.
pub fn session_description<'a>(
    content_type: Option<&str>,
    body: &'a [u8],
) -> Option<Cow<'a, [u8]>> {
    find(content_type, body, MAX_DEPTH)
}

fn find<'a>(content_type: Option<&str>, body: &'a [u8], depth: usize) -> Option<Cow<'a, [u8]>> {
    let content_type = content_type.unwrap_or_default();
    let (kind, subtype) = media_type(content_type).split_once('/').unwrap_or_default();
    if kind.trim().eq_ignore_ascii_case("multipart")
        || content_type.is_empty() && body.starts_with(b"--")
    {
        let depth = depth.checked_sub(1)?;
        let sdp_of = |part: &Part<'a>| find(part.content_type.as_deref(), part.body, depth);
        let mut parts = parts(Params::read(content_type).value("boundary"), body);
        parts.retain(|part| part.is_session);
        // Of alternatives the last is the best (RFC 2046 §5.1.4).
        let found = if subtype.trim().eq_ignore_ascii_case("alternative") {
            parts.iter().rev().find_map(sdp_of)
        } else {
            parts.iter().find_map(sdp_of)
        };
        // The line end before a boundary is the boundary's, and the last line of a description
        // needs its own.
        return found.map(|sdp| {
            if sdp.ends_with(b"\n") { sdp } else { [&sdp[..], b"\r\n"].concat().into() }
        });
    }
    let body = body.trim_ascii_start();
    let is_sdp = !body.is_empty() && media_type(content_type).eq_ignore_ascii_case(SDP);
    (is_sdp || body.starts_with(b"v=0")).then_some(Cow::Borrowed(body))
}

fn media_type(content_type: &str) -> &str {
    grammar::trim(content_type.split(';').next().unwrap_or_default()).trim_matches('"')
}

struct Part<'a> {
    content_type: Option<String>,
    /// Not of another disposition, such as the description of early media (RFC 3959).
    is_session: bool,
    body: &'a [u8],
}

impl<'a> Part<'a> {
    /// A part has headers up to its first empty line, or none at all.
    fn read(bytes: &'a [u8]) -> Part<'a> {
        let mut part = Part { content_type: None, is_session: true, body: bytes };
        let first =
            lines(bytes).next().map_or("".into(), |line| String::from_utf8_lossy(line.text));
        let has_headers = first.is_empty()
            || first.split_once(':').is_some_and(|(name, _)| grammar::is_token(name.trim()));
        if !has_headers {
            return part;
        }
        let blank = lines(bytes).find(|line| line.text.is_empty());
        let (head_len, next) =
            blank.map_or((bytes.len(), bytes.len()), |line| (line.at, line.next));
        part.body = &bytes[next..];
        let head = String::from_utf8_lossy(&bytes[..head_len])
            .replace('\r', "")
            .replace("\n ", " ")
            .replace("\n\t", " ");
        for (name, value) in head.lines().filter_map(|line| line.split_once(':')) {
            let (name, value) = (name.trim(), value.trim());
            if ["Content-Type", "c"].iter().any(|each| each.eq_ignore_ascii_case(name)) {
                part.content_type = Some(value.to_owned());
            } else if name.eq_ignore_ascii_case("Content-Disposition") {
                part.is_session = !media_type(value).eq_ignore_ascii_case("early-session");
            }
        }
        part
    }
}

/// The parts between the lines of a boundary. What stands before the first is no part, the last
/// line of all may be missing, and where the boundary is not the one that was announced, the first
/// line that looks like one names it.
fn parts<'a>(announced: Option<&str>, body: &'a [u8]) -> Vec<Part<'a>> {
    let announced = announced.map(|boundary| boundary.trim_matches('"').trim_end().as_bytes());
    let announced = announced.filter(|boundary| lines(body).any(|line| line.is_boundary(boundary)));
    let seen =
        || lines(body).find_map(|line| line.text.strip_prefix(b"--")).map(<[u8]>::trim_ascii_end);
    let Some(boundary) = announced.or_else(seen) else { return Vec::new() };
    let mut parts = Vec::new();
    let mut begun: Option<usize> = None;
    for line in lines(body).filter(|line| line.is_boundary(boundary)) {
        if let Some(start) = begun.take() {
            parts.push(Part::read(without_line_end(&body[start..line.at])));
        }
        if line.is_last_boundary(boundary) || parts.len() >= MAX_PART_COUNT {
            return parts;
        }
        begun = Some(line.next);
    }
    parts.extend(begun.map(|start| Part::read(without_line_end(&body[start..]))));
    parts
}

fn without_line_end(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    bytes.strip_suffix(b"\r").unwrap_or(bytes)
}

struct Line<'a> {
    at: usize,
    /// Where the next line begins.
    next: usize,
    /// Without its end.
    text: &'a [u8],
}

impl Line<'_> {
    fn after_boundary(&self, boundary: &[u8]) -> Option<&[u8]> {
        Some(self.text.strip_prefix(b"--")?.strip_prefix(boundary)?.trim_ascii())
    }

    fn is_boundary(&self, boundary: &[u8]) -> bool {
        self.after_boundary(boundary).is_some_and(|rest| matches!(rest, b"" | b"--"))
    }

    fn is_last_boundary(&self, boundary: &[u8]) -> bool {
        self.after_boundary(boundary) == Some(b"--")
    }
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = Line<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = bytes.get(at..).filter(|rest| !rest.is_empty())?;
        let len = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |len| len + 1);
        let line = Line { at, next: at + len, text: without_line_end(&rest[..len]) };
        at += len;
        Some(line)
    })
}
