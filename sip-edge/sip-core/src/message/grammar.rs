//! The lexical pieces of RFC 3261 §25.1 that several header readers share: tokens, quoted strings,
//! lists and hosts.

/// `token` characters by their value: each name and parameter of a message goes through this.
const TOKEN_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~');
        byte += 1;
    }
    table
};

pub(crate) fn is_token_byte(byte: u8) -> bool {
    TOKEN_BYTES[usize::from(byte)]
}

pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

/// `word` characters, of which Call-ID is made.
pub(crate) fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| is_token_byte(byte) || b"()<>:\\\"/[]?{}".contains(&byte))
}

pub(crate) fn trim(text: &str) -> &str {
    let is_text = |byte: &u8| !matches!(byte, b' ' | b'\t');
    let Some(start) = text.as_bytes().iter().position(is_text) else { return "" };
    let end = text.as_bytes().iter().rposition(is_text).map_or(start, |last| last + 1);
    &text[start..end]
}

/// Position of the first byte of this value; in texts as short as the values of headers this is
/// faster than looking for a character.
pub(crate) fn position(text: &str, wanted: u8) -> Option<usize> {
    text.bytes().position(|byte| byte == wanted)
}

/// What stands before and behind the first byte of this value.
pub(crate) fn cut(text: &str, wanted: u8) -> Option<(&str, &str)> {
    position(text, wanted).map(|at| (&text[..at], &text[at + 1..]))
}

/// What stands before the first byte of this value, and the rest with it.
pub(crate) fn split_before(text: &str, wanted: u8) -> (&str, &str) {
    text.split_at(position(text, wanted).unwrap_or(text.len()))
}

/// Position of the first `wanted` outside quoted strings and angle brackets.
pub(crate) fn find_outside(text: &str, wanted: u8) -> Option<usize> {
    let (mut quoted, mut escaped, mut angle) = (false, false, false);
    for (at, byte) in text.bytes().enumerate() {
        if quoted {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => quoted = false,
                _ => {}
            }
        } else if byte == wanted && !angle {
            return Some(at);
        } else {
            match byte {
                b'"' if !angle => quoted = true,
                b'<' => angle = true,
                b'>' => angle = false,
                _ => {}
            }
        }
    }
    None
}

/// The same where quotes and brackets may be left open: then they protect nothing.
pub(crate) fn find_loose(text: &str, wanted: u8) -> Option<usize> {
    // Most texts have neither: one look at each byte is enough.
    let first = text.bytes().position(|byte| byte == wanted || matches!(byte, b'"' | b'<'))?;
    if text.as_bytes()[first] == wanted {
        return Some(first);
    }
    find_outside(text, wanted).or_else(|| {
        let is_open = text.matches('"').count() % 2 == 1
            || text.matches('<').count() > text.matches('>').count();
        is_open.then(|| text.bytes().position(|byte| byte == wanted)).flatten()
    })
}

/// The number that text begins with.
pub(crate) fn leading_number(text: &str) -> Option<u32> {
    number(&text[..text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len())])
}

/// The trimmed members of a comma-separated list.
pub(crate) fn split_list(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let current = rest?;
        match find_outside(current, b',') {
            Some(at) => {
                rest = Some(&current[at + 1..]);
                Some(trim(&current[..at]))
            }
            None => {
                rest = None;
                Some(trim(current))
            }
        }
    })
}

/// The same where a quoted string may be left open: then it protects nothing.
pub(crate) fn split_loosely(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let current = rest?;
        let at = find_loose(current, b',');
        rest = at.map(|at| &current[at + 1..]);
        Some(trim(&current[..at.unwrap_or(current.len())]))
    })
}

/// Splits a leading `quoted-string` off: its inner text (still escaped) and the rest. `None` when
/// it is not closed.
pub(crate) fn quoted(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('"')?;
    let mut escaped = false;
    for (at, byte) in inner.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some((&inner[..at], &inner[at + 1..])),
            _ => {}
        }
    }
    None
}

/// Removes the backslashes of `quoted-pair`.
pub(crate) fn unescape(inner: &str) -> String {
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.extend(chars.next()),
            c => out.push(c),
        }
    }
    out
}

/// Whether each `%` is followed by two hexadecimal digits (§25.1 `escaped`).
pub(crate) fn escapes_are_whole(text: &str) -> bool {
    let bytes = text.as_bytes();
    !bytes.contains(&b'%')
        || bytes.iter().enumerate().all(|(at, byte)| {
            *byte != b'%'
                || bytes
                    .get(at + 1..at + 3)
                    .is_some_and(|pair| pair.iter().all(u8::is_ascii_hexdigit))
        })
}

/// Splits `host [":" port]`; an IPv6 reference keeps its brackets. `None` when either part is
/// malformed.
pub(crate) fn host_and_port(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, rest) = if text.starts_with('[') {
        let end = text.find(']')?;
        text[1..end].parse::<std::net::Ipv6Addr>().ok()?;
        (&text[..=end], trim(&text[end + 1..]))
    } else {
        let (host, rest) = split_before(text, b':');
        let host = trim(host);
        // Underscores are no hostname characters, but they are met in the field and harmless.
        if host.is_empty()
            || !host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        {
            return None;
        }
        (host, rest)
    };
    if rest.is_empty() {
        return Some((host, None));
    }
    let digits = trim(rest.strip_prefix(':')?);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some((host, Some(digits.parse().ok()?)))
}

/// A decimal number with nothing around it; `None` above `u32`.
pub(crate) fn number(text: &str) -> Option<u32> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}
