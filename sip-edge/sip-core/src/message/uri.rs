//! Borrowed views of URIs and of name-addr header values (RFC 3261 §19.1, §20.10; RFC 3966 for
//! `tel:`). `parse` takes what is well-formed; `read` takes the rest as well, as far as it goes:
//! who needs a tag gets it, whatever stands around it. They read what `rsip::Uri` does not: IPv6
//! references, `tel:`, unknown schemes, escaped and embedded characters.

use super::grammar;

/// The schemes this product tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    Sip,
    Sips,
    Tel,
    Other,
}

/// A URI; its form has been checked if it came through `parse`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uri<'a> {
    text: &'a str,
    pub scheme: Scheme,
    /// User part of a SIP URI with its parameters, without the password; the number of a `tel:`
    /// URI.
    pub user: Option<&'a str>,
    pub password: Option<&'a str>,
    /// Host; an IPv6 reference keeps its brackets. Empty for `tel:` and unknown schemes.
    pub host: &'a str,
    pub port: Option<u16>,
    pub params: Params<'a>,
    /// What follows `?`, without it.
    pub headers: Option<&'a str>,
}

impl<'a> Uri<'a> {
    /// Reads a whole URI; `None` when it is malformed.
    pub fn parse(text: &'a str) -> Option<Self> {
        if text.bytes().any(|byte| matches!(byte, 0..=b' ' | 0x7f | b'<' | b'>' | b'"')) {
            return None;
        }
        let (scheme, rest) = grammar::cut(text, b':')?;
        let mut first = scheme.bytes();
        if !first.next()?.is_ascii_alphabetic()
            || !first.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        {
            return None;
        }
        let blank = |scheme| Self {
            text,
            scheme,
            user: None,
            password: None,
            host: "",
            port: None,
            params: Params::default(),
            headers: None,
        };
        if scheme.eq_ignore_ascii_case("sip") {
            Self::parse_sip(blank(Scheme::Sip), rest)
        } else if scheme.eq_ignore_ascii_case("sips") {
            Self::parse_sip(blank(Scheme::Sips), rest)
        } else if scheme.eq_ignore_ascii_case("tel") {
            let (number, params) = grammar::split_before(rest, b';');
            let number_is_whole =
                number.bytes().any(|byte| byte.is_ascii_hexdigit() || b"*#".contains(&byte));
            let params = Params::parse(params)?;
            number_is_whole.then_some(Self { user: Some(number), params, ..blank(Scheme::Tel) })
        } else {
            (!rest.is_empty()).then_some(blank(Scheme::Other))
        }
    }

    fn parse_sip(blank: Self, rest: &'a str) -> Option<Self> {
        if !grammar::escapes_are_whole(rest) {
            return None;
        }
        // `@` cannot stand unescaped in the user part, nor after it.
        let (userinfo, rest) = match grammar::cut(rest, b'@') {
            Some((userinfo, rest)) => (Some(userinfo), rest),
            None => (None, rest),
        };
        let (user, password) = match userinfo {
            Some(userinfo) => match grammar::cut(userinfo, b':') {
                Some((user, password)) => (Some(user), Some(password)),
                None => (Some(userinfo), None),
            },
            None => (None, None),
        };
        if user.is_some_and(str::is_empty) || rest.as_bytes().contains(&b'@') {
            return None;
        }
        let (rest, headers) = match grammar::cut(rest, b'?') {
            Some((rest, headers)) => (rest, Some(headers)),
            None => (rest, None),
        };
        let (host, params) = grammar::split_before(rest, b';');
        let (host, port) = grammar::host_and_port(host)?;
        Some(Self { user, password, host, port, params: Params::parse(params)?, headers, ..blank })
    }

    /// Reads a URI that may be malformed: what cannot be told is empty.
    pub fn read(text: &'a str) -> Self {
        let text = text.trim_matches([' ', '\t', '<', '>', '"']);
        Self::parse(text).unwrap_or_else(|| Self::mended(text))
    }

    fn mended(text: &'a str) -> Self {
        let (scheme, rest) = grammar::cut(text, b':').unwrap_or(("", text));
        let known = [("sip", Scheme::Sip), ("sips", Scheme::Sips), ("tel", Scheme::Tel)];
        let scheme = known
            .into_iter()
            .find(|(name, _)| scheme.eq_ignore_ascii_case(name))
            .map_or(Scheme::Other, |(_, scheme)| scheme);
        let mut uri = Self {
            text,
            scheme,
            user: None,
            password: None,
            host: "",
            port: None,
            params: Params::read(rest),
            headers: None,
        };
        match scheme {
            Scheme::Other => {}
            Scheme::Tel => uri.user = Some(&rest[..rest.find(';').unwrap_or(rest.len())]),
            Scheme::Sip | Scheme::Sips => {
                // The last `@` before the parameters ends the user part, which may hold what should
                // be escaped.
                let first = rest.find('@').map_or(0, |at| at + 1);
                let end = rest[first..].find([';', '?']).map_or(rest.len(), |at| first + at);
                let (user, host) = rest[..end]
                    .rsplit_once('@')
                    .map_or((None, &rest[..end]), |(user, host)| (Some(user), host));
                uri.user = user
                    .map(|user| grammar::cut(user, b':').map_or(user, |(user, _)| user))
                    .filter(|user| !user.is_empty());
                let port_at =
                    if host.starts_with('[') { host.find(']').map_or(0, |at| at + 1) } else { 0 };
                let (name, port) =
                    host.split_at(host[port_at..].find(':').map_or(host.len(), |at| port_at + at));
                uri.host = grammar::trim(name);
                uri.port = grammar::leading_number(grammar::trim(port.trim_start_matches(':')))
                    .and_then(|port| port.try_into().ok());
                uri.params = Params::read(&rest[end..]);
                uri.headers = rest[end..].split_once('?').map(|(_, headers)| headers);
            }
        }
        uri
    }

    /// The text as a request URI (§19.1.1), which has no headers; `None` when it would not stand as
    /// one word in a request line.
    pub fn target(&self) -> Option<&'a str> {
        let text = match self.headers {
            Some(headers) => &self.text[..self.text.len() - headers.len() - 1],
            None => self.text,
        };
        let (scheme, rest) = grammar::cut(text, b':')?;
        let has_host = !matches!(self.scheme, Scheme::Sip | Scheme::Sips) || !self.host.is_empty();
        let is_word =
            !text.bytes().any(|byte| matches!(byte, 0..=b' ' | 0x7f | b'<' | b'>' | b'"'));
        (is_word && has_host && grammar::is_token(scheme) && !rest.is_empty()).then_some(text)
    }

    /// The URI as it was written.
    pub fn as_str(&self) -> &'a str {
        self.text
    }

    /// The host as an address, when it is one.
    pub fn ip(&self) -> Option<std::net::IpAddr> {
        self.host.trim_start_matches('[').trim_end_matches(']').parse().ok()
    }

    /// The user part with its escapes undone and without its parameters; `None` when there is none
    /// or it is not UTF-8.
    pub fn user_text(&self) -> Option<String> {
        let user = self.user?.split(';').next()?;
        let mut bytes = Vec::with_capacity(user.len());
        let mut rest = user.bytes();
        while let Some(byte) = rest.next() {
            if byte == b'%' {
                let hex = [rest.next()?, rest.next()?];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&hex).ok()?, 16).ok()?);
            } else {
                bytes.push(byte);
            }
        }
        String::from_utf8(bytes).ok()
    }
}

impl std::fmt::Display for Uri<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.text)
    }
}

/// Puts any URI text into `rsip`'s type so that it prints unchanged: what `rsip` cannot hold apart
/// stands in its host.
pub fn opaque_uri(text: &str) -> rsip::Uri {
    let host = rsip::Host::Domain(rsip::Domain::from(text));
    rsip::Uri { host_with_port: rsip::HostWithPort { host, port: None }, ..Default::default() }
}

/// The `;name=value` parameters of a URI or header value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Params<'a>(&'a str);

impl<'a> Params<'a> {
    /// Reads parameters, each with its leading `;`; `None` when one is malformed.
    pub fn parse(text: &'a str) -> Option<Self> {
        let text = grammar::trim(text);
        if !text.is_empty() && !text.starts_with(';') {
            return None;
        }
        let params = Self(text);
        params
            .pieces()
            .all(|(name, value)| Self::is_name(name) && value.is_none_or(Self::is_value))
            .then_some(params)
    }

    /// Reads parameters whatever they look like: from the first `;` on.
    pub fn read(text: &'a str) -> Self {
        Self(grammar::position(text, b';').map_or("", |at| &text[at..]))
    }

    fn is_name(name: &str) -> bool {
        !name.is_empty()
            && name.bytes().all(|byte| grammar::is_token_byte(byte) || b"[]/:&$()".contains(&byte))
    }

    fn is_value(value: &str) -> bool {
        if value.starts_with('"') {
            return grammar::quoted(value).is_some_and(|(_, rest)| rest.is_empty());
        }
        !value.is_empty()
            && !value.bytes().any(|byte| {
                matches!(byte, 0..=b' ' | 0x7f | b'"' | b'<' | b'>' | b',' | b';' | b'=' | b'@')
            })
    }

    /// Each name with its value, quotes kept, in order. Superfluous semicolons are passed over, and
    /// an empty value is none.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, Option<&'a str>)> {
        let pieces = self.pieces().filter(|(name, _)| !name.is_empty());
        pieces.map(|(name, value)| (name, value.filter(|value| !value.is_empty())))
    }

    fn pieces(self) -> impl Iterator<Item = (&'a str, Option<&'a str>)> {
        let mut rest = self.0.strip_prefix(';');
        std::iter::from_fn(move || {
            let current = rest?;
            let one = match grammar::find_loose(current, b';') {
                Some(at) => {
                    rest = Some(&current[at + 1..]);
                    &current[..at]
                }
                None => {
                    rest = None;
                    current
                }
            };
            Some(match grammar::cut(one, b'=') {
                Some((name, value)) => (grammar::trim(name), Some(grammar::trim(value))),
                None => (grammar::trim(one), None),
            })
        })
    }

    /// The value of the parameter: `Some(None)` when it stands without one. Names match without
    /// regard to case.
    pub fn find(self, name: &str) -> Option<Option<&'a str>> {
        self.iter().find(|(each, _)| each.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The value of the parameter, `None` when it is absent or has none.
    pub fn value(self, name: &str) -> Option<&'a str> {
        self.find(name).flatten()
    }

    /// Whether it has a parameter of this name.
    pub fn has(self, name: &str) -> bool {
        self.find(name).is_some()
    }
}

/// A From, To, Contact, Route or Record-Route value (RFC 3261 §20.10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NameAddr<'a> {
    /// Display name as written, without its outer quotes; empty when there is none.
    pub display: &'a str,
    pub uri: Uri<'a>,
    /// Parameters of the header, outside the angle brackets.
    pub params: Params<'a>,
}

impl<'a> NameAddr<'a> {
    /// Reads one value; `None` when it is malformed.
    pub fn parse(text: &'a str) -> Option<Self> {
        let text = grammar::trim(text);
        let (display, rest) = if text.starts_with('"') {
            let (display, rest) = grammar::quoted(text)?;
            let rest = grammar::trim(rest);
            (display, if rest.starts_with('<') { rest } else { return None })
        } else {
            match grammar::position(text, b'<') {
                Some(at) => (grammar::trim(&text[..at]), &text[at..]),
                None => return Self::parse_bare(text),
            }
        };
        // A display name without quotes is a list of tokens; other characters below 0x80 need
        // quotes (§25.1).
        let is_plain =
            |byte: u8| grammar::is_token_byte(byte) || byte >= 0x80 || b" \t".contains(&byte);
        if !text.starts_with('"') && !display.bytes().all(is_plain) {
            return None;
        }
        let (uri, params) = grammar::cut(rest.strip_prefix('<')?, b'>')?;
        Some(Self { display, uri: Uri::parse(uri)?, params: Params::parse(params)? })
    }

    /// Reads a value that may be malformed: its URI and parameters as far as they can be told.
    pub fn read(text: &'a str) -> Self {
        Self::parse(text).unwrap_or_else(|| Self::mended(grammar::trim(text)))
    }

    fn mended(text: &'a str) -> Self {
        // A quote that is not closed protects nothing.
        let (display, rest) = grammar::quoted(text).unwrap_or(("", text));
        let begins_uri = |(at, _): &(usize, &str)| {
            let uri = rest[at + 1..].trim_start();
            grammar::cut(uri, b':').is_some_and(|(scheme, _)| grammar::is_token(scheme))
        };
        let Some((at, _)) =
            rest.match_indices('<').find(begins_uri).or_else(|| rest.match_indices('<').next())
        else {
            // Without brackets each parameter is the header's, and the URI is the last word before
            // them.
            let (front, _) = grammar::split_before(rest, b';');
            let uri = front.split_ascii_whitespace().next_back().unwrap_or_default();
            return Self { display, uri: Uri::read(uri), params: Params::read(rest) };
        };
        let inside = &rest[at + 1..];
        match grammar::cut(inside, b'>') {
            Some((uri, params)) => {
                Self { display, uri: Uri::read(uri), params: Params::read(params) }
            }
            // Nobody can tell whose the parameters are: they count for both.
            None => Self { display, uri: Uri::read(inside), params: Params::read(inside) },
        }
    }

    /// Without angle brackets each parameter is the header's, and the URI must hold no comma and no
    /// question mark (§20.10).
    fn parse_bare(text: &'a str) -> Option<Self> {
        let (uri, params) = grammar::split_before(text, b';');
        let uri = grammar::trim(uri);
        if uri.contains([',', '?']) {
            return None;
        }
        Some(Self { display: "", uri: Uri::parse(uri)?, params: Params::parse(params)? })
    }

    /// The `tag` parameter of From and To, as written.
    pub fn tag(&self) -> Option<&'a str> {
        self.params.value("tag")
    }
}
