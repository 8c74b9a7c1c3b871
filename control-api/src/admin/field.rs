//! Checks on single settings, and the list of those that were refused. Each refusal names the
//! setting and what is allowed.

use crate::number::{self, E164};
use crate::problem::{FieldError, Problem};
use crate::secret::{MasterKey, Purpose, Secret};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use call_words::{EventWord, Words};
use serde::de::DeserializeOwned;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use storage::{Region, Sealed, UnknownRegion};

/// Header names that the HTTP client writes itself or that hold for one hop only (RFC 9110 §7.6.1),
/// and those of the callback's own contract (S23).
const RESERVED_HEADERS: &[&str] = &[
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "webhook-id",
    "webhook-signature",
    "webhook-timestamp",
    "x-delivery-attempt",
];

/// What checks need to know of the process.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    pub secrets: &'a MasterKey,
    /// The development switch of the configuration (S22).
    pub allow_private_targets: bool,
}

impl Context<'_> {
    /// Seals a secret; the same secret keeps its present seal, so that setting it again changes
    /// nothing.
    pub fn reseal(&self, purpose: Purpose, given: &Secret, present: Option<Sealed>) -> Sealed {
        let same =
            |sealed: &Sealed| self.secrets.open(purpose, sealed).is_ok_and(|open| open == *given);
        present.filter(same).unwrap_or_else(|| self.secrets.seal(purpose, given))
    }
}

/// Settings that were refused, each under its path.
#[derive(Debug, Default)]
pub struct Refusals {
    prefix: String,
    errors: Vec<FieldError>,
}

impl Refusals {
    /// Runs `check` with `prefix` before the names of its settings.
    pub fn within<T>(&mut self, prefix: &str, check: impl FnOnce(&mut Self) -> T) -> T {
        let outer = self.prefix.len();
        self.prefix.push_str(prefix);
        self.prefix.push('.');
        let value = check(self);
        self.prefix.truncate(outer);
        value
    }

    /// Notes that a field is refused, and why.
    pub fn add(&mut self, field: &str, detail: impl Into<String>) {
        self.errors
            .push(FieldError { field: format!("{}{field}", self.prefix), detail: detail.into() });
    }

    /// The value, or `None` after noting why not.
    pub fn take<T>(&mut self, field: &str, value: Result<T, String>) -> Option<T> {
        value.map_err(|detail| self.add(field, detail)).ok()
    }

    /// Notes each entry of a list that stands in it before; `what` names one of them.
    pub fn each_once(&mut self, field: &str, what: &str, list: &[String]) {
        for (at, text) in list.iter().enumerate().filter(|(at, text)| list[..*at].contains(text)) {
            self.add(
                &format!("{field}[{at}]"),
                format!("{text:?} is named twice; allowed is each {what} once"),
            );
        }
    }

    /// Writes a given setting over the present one if it is in the range.
    pub fn number<T: PartialOrd + Copy + std::fmt::Display>(
        &mut self,
        field: &str,
        given: Option<T>,
        range: RangeInclusive<T>,
        target: &mut T,
    ) {
        let Some(given) = given else { return };
        if range.contains(&given) {
            *target = given;
        } else {
            self.add(
                field,
                format!("{given} is refused; allowed is {} to {}", range.start(), range.end()),
            );
        }
    }

    /// The same for a setting of which 0 means none.
    pub fn number_or_none(
        &mut self,
        field: &str,
        given: Option<u32>,
        range: RangeInclusive<u32>,
        present: Option<u32>,
    ) -> Option<u32> {
        match given {
            None => present,
            Some(0) => None,
            Some(given) if range.contains(&given) => Some(given),
            Some(given) => {
                let (least, most) = (range.start(), range.end());
                self.add(field, format!("{given} is refused; allowed is 0, or {least} to {most}"));
                present
            }
        }
    }

    /// The same for a setting in seconds that is kept in milliseconds.
    pub fn seconds(
        &mut self,
        field: &str,
        given: Option<u64>,
        range: RangeInclusive<u64>,
        target_ms: &mut u64,
    ) {
        let mut seconds = *target_ms / 1000;
        self.number(field, given, range, &mut seconds);
        if given == Some(seconds) {
            *target_ms = seconds * 1000;
        }
    }

    /// Nothing was refused, or 422 with every refusal.
    pub fn finish(self) -> Result<(), Problem> {
        let Some(first) = self.errors.first() else { return Ok(()) };
        let detail = match self.errors.len() - 1 {
            0 => format!("{}: {}", first.field, first.detail),
            more => format!("{}: {} (and {more} more)", first.field, first.detail),
        };
        let mut problem =
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_settings", detail);
        problem.body.errors = self.errors;
        Err(problem)
    }
}

/// Ids of accounts and trunks, names of keys: safe in paths, in key ids and in logs.
pub fn id(text: &str) -> Result<(), String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if (1..=64).contains(&text.len()) && text.bytes().all(allowed) {
        Ok(())
    } else {
        Err("allowed are 1 to 64 letters, digits, - and _".into())
    }
}

/// Longest text for people, in characters.
const MAX_TEXT_CHARS: usize = 128;

/// Text for people, or an agent's ID: not empty, bounded, nothing invisible at its ends or inside.
pub fn text(value: &str) -> Result<(), String> {
    if value.is_empty() || value.chars().count() > MAX_TEXT_CHARS {
        Err(format!("allowed are 1 to {MAX_TEXT_CHARS} characters"))
    } else if value.chars().any(char::is_control) || value.trim() != value {
        Err("allowed is text without control characters and without outer spaces".into())
    } else {
        Ok(())
    }
}

/// The word of an event, or its head before a dot.
pub fn event(text: &str) -> Result<(), String> {
    let progress = EventWord::ALL.iter().filter(|word| word.is_progress());
    if progress.clone().any(|word| word.is_under(text)) {
        return Ok(());
    }
    let words: Vec<_> = progress.map(|word| word.as_str()).collect();
    Err(format!("{text:?} is no event; allowed are {}, and heads of them", words.join(", ")))
}

/// A country by its two letters (ISO 3166-1).
pub fn region(text: &str) -> Result<Region, String> {
    text.parse().map_err(|error: UnknownRegion| error.to_string())
}

/// A number as it may be dialled from a country.
pub fn e164(text: &str, region: Region) -> Result<E164, String> {
    number::normalise(text, region).map_err(|refusal| refusal.to_string())
}

/// Networks in the form that `auth` compares with; a lone address is a network of one.
pub fn cidr(text: &str) -> Result<String, String> {
    let network = text.parse::<ipnet::IpNet>().map(|network| network.trunc()).ok();
    let network = network.or_else(|| text.parse::<IpAddr>().map(ipnet::IpNet::from).ok());
    let network = network.ok_or_else(|| {
        format!(
            "{text:?} is no network; allowed are such as 203.0.113.0/24, 203.0.113.7, 2001:db8::/32"
        )
    })?;
    Ok(network.to_string())
}

/// A setting of at most `most` networks.
pub fn networks(
    setting: &str,
    given: &[String],
    most: usize,
    refusals: &mut Refusals,
) -> Vec<String> {
    if given.len() > most {
        refusals.add(setting, format!("allowed are up to {most} networks"));
    }
    given
        .iter()
        .enumerate()
        .filter_map(|(at, text)| refusals.take(&format!("{setting}[{at}]"), cidr(text)))
        .collect()
}

/// One of the words of a setting, from a flag.
pub fn word<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let word = serde_json::Value::String(text.replace('-', "_"));
    serde_json::from_value(word).map_err(|error| error.to_string())
}

/// Host of a trunk: a DNS name or an address.
pub fn host(text: &str) -> Result<(), String> {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
            && !label.starts_with('-')
    };
    let name = text.len() <= 253 && text.strip_suffix('.').unwrap_or(text).split('.').all(label);
    if text.parse::<IpAddr>().is_ok() || name {
        Ok(())
    } else {
        Err("allowed is a host name or an IP address, without a port".into())
    }
}

/// An origin (RFC 6454) as it stands in a Content-Security-Policy: scheme, host and perhaps a port,
/// nothing else. The host may begin with `*.`, for CRMs that give each customer a name of its own.
pub fn origin(text: &str) -> Result<(), String> {
    let host_only = text.replacen("://*.", "://", 1);
    let is_origin = reqwest::Url::parse(&host_only).is_ok_and(|url| {
        let is_whole_domain =
            host_only != text && !url.host_str().is_some_and(|host| host.contains('.'));
        matches!(url.scheme(), "https" | "http")
            && url.origin().ascii_serialization() == host_only
            && !is_whole_domain
    });
    if is_origin && !host_only.contains('*') {
        Ok(())
    } else {
        Err("allowed are origins such as https://crm.example.com or https://*.example.com".into())
    }
}

/// Name of the customer's own header on callbacks (S23).
pub fn header_name(text: &str) -> Result<(), String> {
    let name = HeaderName::from_bytes(text.as_bytes())
        .map_err(|_| "allowed is an HTTP header name".to_owned())?;
    if RESERVED_HEADERS.contains(&name.as_str()) {
        return Err(format!(
            "{name} is written by the sender; allowed is any other header, such as Authorization"
        ));
    }
    Ok(())
}

/// Value of that header; the text itself is never told.
pub fn header_value(text: &str) -> Result<(), String> {
    let printable = text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    if text.is_empty()
        || text.len() > 4096
        || !printable
        || text.trim() != text
        || HeaderValue::from_str(text).is_err()
    {
        return Err("allowed are 1 to 4096 printable ASCII characters without outer spaces".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check<T>(what: &str, result: Result<T, String>, allowed: bool) {
        assert_eq!(result.is_ok(), allowed, "{what:?}");
    }

    #[test]
    fn headers_of_the_connection_cannot_be_set() {
        for (name, allowed) in [
            ("Authorization", true),
            ("X-Api-Key", true),
            ("x-token", true),
            ("Host", false),
            ("host", false),
            ("Connection", false),
            ("Transfer-Encoding", false),
            ("Content-Length", false),
            ("Keep-Alive", false),
            ("TE", false),
            ("Upgrade", false),
            ("Webhook-Signature", false),
            ("", false),
            ("bad name", false),
            ("a:b", false),
            ("a\r\nb", false),
        ] {
            check(name, header_name(name), allowed);
        }
        for (value, allowed) in [
            ("Bearer abc", true),
            ("a", true),
            ("", false),
            (" a", false),
            ("a\r\nb", false),
            ("é", false),
        ] {
            check(value, header_value(value), allowed);
        }
    }

    #[test]
    fn origins_are_exact() {
        for (given, allowed) in [
            ("https://crm.example.com", true),
            ("https://crm.example.com:8443", true),
            ("http://localhost:3000", true),
            ("https://crm.example.com/", false),
            ("https://crm.example.com:443", false),
            ("https://crm.example.com/page", false),
            ("https://CRM.example.com", false),
            ("https://u@crm.example.com", false),
            ("https://*.example.com", true),
            ("https://*.com", false),
            ("https://a.*.example.com", false),
            ("https://*.*.example.com", false),
            ("crm.example.com", false),
            ("https://a.example; script-src *", false),
            ("*", false),
            ("", false),
        ] {
            check(given, origin(given), allowed);
        }
    }

    #[test]
    fn networks_get_one_spelling() {
        for (given, expected) in [
            ("203.0.113.0/24", Some("203.0.113.0/24")),
            ("203.0.113.77/24", Some("203.0.113.0/24")),
            ("203.0.113.7", Some("203.0.113.7/32")),
            ("2001:DB8::1", Some("2001:db8::1/128")),
            ("2001:db8::/32", Some("2001:db8::/32")),
            ("203.0.113.0/33", None),
            ("example.com", None),
            ("", None),
        ] {
            assert_eq!(cidr(given).ok().as_deref(), expected, "{given:?}");
        }
    }

    #[test]
    fn ids_texts_and_hosts() {
        for (given, allowed) in [
            ("demo", true),
            ("a-b_9", true),
            ("", false),
            ("a.b", false),
            ("a/b", false),
            ("é", false),
        ] {
            check(given, id(given), allowed);
        }
        check("long", id(&"a".repeat(65)), false);
        for (given, allowed) in [
            ("agent.017", true),
            ("Jörg आशा", true),
            ("", false),
            (" a", false),
            ("a\n", false),
            ("a\u{0}b", false),
        ] {
            check(given, text(given), allowed);
        }
        for (given, allowed) in [
            ("sip.example.com", true),
            ("127.0.0.1", true),
            ("::1", true),
            ("localhost", true),
            ("_sip.example.com", true),
            ("", false),
            ("a:5060", false),
            ("a b", false),
            ("-a.example", false),
            ("a..b", false),
        ] {
            check(given, host(given), allowed);
        }
    }

    #[test]
    fn every_refusal_is_told_under_its_path() {
        let mut refusals = Refusals::default();
        let mut limit = 5;
        refusals.within("account.demo", |refusals| {
            refusals.within("limits", |refusals| {
                refusals.number("calls_per_second", Some(99), 0..=10, &mut limit)
            });
            refusals.add("name", "allowed are letters");
        });
        assert_eq!(limit, 5);
        let problem = refusals.finish().unwrap_err();
        let fields: Vec<_> = problem.body.errors.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(fields, ["account.demo.limits.calls_per_second", "account.demo.name"]);
        assert_eq!(
            problem.body.detail,
            "account.demo.limits.calls_per_second: 99 is refused; allowed is 0 to 10 (and 1 more)"
        );
    }
}
