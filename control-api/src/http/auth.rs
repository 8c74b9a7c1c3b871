//! Who may use the REST API: bearer keys (RFC 6750), their class, their expiry, the networks they
//! are bound to (A19), and whose address a request has behind trusted proxies. Runs before any body
//! is read. How keys are made and hashed is `secret`'s.

use crate::app::App;
use crate::clock::now_ms;
use crate::problem::Problem;
use crate::secret;
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, header};
use call_words::{AccountId, KeyId};
use ipnet::IpNet;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;
use storage::{ApiKey, KeyClass};

/// Longest text that is looked up as a key.
const MAX_KEY_LEN: usize = 256;
/// Wrong keys, secrets and names that an address may send in a minute; further ones are answered
/// 429, right ones never.
const GUESSES_PER_MINUTE: u32 = 120;

/// The account on whose behalf a server-to-server request is made.
#[derive(Debug, Clone)]
pub struct ServerCaller {
    pub account_id: AccountId,
    /// Id of the key.
    pub key_id: KeyId,
    /// Whether the key may add supervisors to calls.
    pub may_supervise: bool,
}

impl FromRequestParts<Arc<App>> for ServerCaller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let Client(client) = Client::of(&parts.extensions, &parts.headers, app);
        let key = authenticate(app, &parts.headers, client).await?;
        if key.class != KeyClass::Server {
            return Err(wrong_class());
        }
        let account_id = key.account_id.ok_or_else(wrong_class)?;
        Ok(Self { account_id, key_id: key.id, may_supervise: key.may_supervise })
    }
}

fn wrong_class() -> Problem {
    Problem::forbidden(
        "key_class",
        "this key does not open the server-to-server API; use the account's server key",
    )
}

async fn authenticate(
    app: &App,
    headers: &HeaderMap,
    client: Option<IpAddr>,
) -> Result<ApiKey, Problem> {
    let unknown =
        || Problem::unauthorized(Some("invalid_token"), "the API key is unknown or has expired");
    let Some(header) = headers.get(header::AUTHORIZATION) else {
        return Err(Problem::unauthorized(None, "send the API key as Authorization: Bearer KEY"));
    };
    let clear_key = bearer(header).ok_or_else(|| {
        Problem::unauthorized(
            Some("invalid_request"),
            "the Authorization header must have the form Bearer KEY",
        )
    })?;
    let Some(key) = find_key(app, clear_key).await? else {
        return Err(guessed(app, client, unknown()));
    };
    if !is_allowed(&key.cidrs, client) {
        return Err(Problem::forbidden("address", "this key may not be used from this address"));
    }
    Ok(key)
}

/// Counts a wrong key, secret or name of an address. 429 in place of the refusal once there were
/// too many: what is guessed right is not refused for that, so that nobody locks out those who
/// share an address.
pub fn guessed(app: &App, client: Option<IpAddr>, refusal: Problem) -> Problem {
    let name = client.map_or_else(String::new, |client| client.to_string());
    match app.limits.guesses.take(&[(name, GUESSES_PER_MINUTE)], Instant::now()) {
        Ok(()) => refusal,
        Err(wait) => Problem::too_many_requests(
            "too_many_guesses",
            "too many wrong keys or names came from this address",
            wait,
        ),
    }
}

/// The token of RFC 6750 §2.1; the scheme is case-insensitive (RFC 9110 §11.1).
fn bearer(header: &axum::http::HeaderValue) -> Option<&str> {
    let (scheme, token) = header.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && token.len() <= MAX_KEY_LEN)
        .then_some(token)
}

/// Looks a key up that has not expired. What can be measured depends on its hash, which tells
/// nothing about the key.
pub(crate) async fn find_key(app: &App, clear_key: &str) -> Result<Option<ApiKey>, Problem> {
    Ok(app.records.authenticate(secret::hash(clear_key), now_ms()).await?)
}

/// Whether the bearer key of the request, if it has one, is a browser key: those open nothing but
/// the launch page.
pub async fn has_browser_key(app: &App, headers: &HeaderMap) -> Result<bool, Problem> {
    let Some(clear_key) = headers.get(header::AUTHORIZATION).and_then(bearer) else {
        return Ok(false);
    };
    Ok(find_key(app, clear_key).await?.is_some_and(|key| key.class == KeyClass::Browser))
}

/// Refuses a server key in a query string wherever it appears, for it ends up in logs and histories
/// (S39).
pub async fn check_query(app: &App, query: &str) -> Result<(), Problem> {
    let values: Vec<_> = form_values(query)
        .filter(|value| (secret::MIN_KEY_CHARS..=MAX_KEY_LEN).contains(&value.len()))
        .map(|value| secret::hash(&value))
        .collect();
    if values.is_empty() {
        return Ok(());
    }
    let found = app.records.visit(move |store| {
        let is_server_key = |key: &ApiKey| key.class == KeyClass::Server;
        let mut keys = values.iter().map(|hash| {
            Ok::<_, storage::Error>(store.authenticate(hash, now_ms())?.filter(is_server_key))
        });
        keys.find_map(Result::transpose).transpose()
    });
    let Some(key) = found.await? else { return Ok(()) };
    tracing::warn!(key_id = %key.id,
        "a server key was sent in a query string and should be rotated");
    app.metrics.server_key_exposed();
    let detail = "a server key was sent in the query string; have it rotated, send it as \
        Authorization: Bearer KEY, and put the browser key into launch links";
    Err(Problem::forbidden("key_in_query", detail))
}

/// Values of a query string, decoded; pairs that are not UTF-8 have none.
fn form_values(query: &str) -> impl Iterator<Item = String> {
    query
        .split('&')
        .filter_map(|pair| percent_decode(pair.split_once('=').map_or(pair, |(_, value)| value)))
}

/// One name or value of a query string, where a raw `+` stands for a space; `None` if it is not
/// UTF-8.
pub(crate) fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = (byte == b'%').then(|| after.get(..2)).flatten();
        let escaped = escaped
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(escaped.unwrap_or(if byte == b'+' { b' ' } else { byte }));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    String::from_utf8(bytes).ok()
}

/// The address of the client: the peer, or what the nearest untrusted hop is called by trusted
/// proxies. `None` if it is not known.
#[derive(Debug, Clone, Copy)]
pub struct Client(pub Option<IpAddr>);

impl Client {
    /// The address that a request came from, seen through trusted proxies.
    pub fn of(extensions: &Extensions, headers: &HeaderMap, app: &App) -> Self {
        let peer = extensions.get::<ConnectInfo<SocketAddr>>();
        Self(peer.map(|ConnectInfo(peer)| {
            behind_proxies(peer.ip(), headers, &app.config.public.trusted_proxies)
        }))
    }
}

impl FromRequestParts<Arc<App>> for Client {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.extensions, &parts.headers, app))
    }
}

fn behind_proxies(peer: IpAddr, headers: &HeaderMap, trusted_proxies: &[IpNet]) -> IpAddr {
    let mut address = peer.to_canonical();
    let lines = headers.get_all("x-forwarded-for").iter().rev();
    let hops = lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
    for hop in hops {
        if !trusted_proxies.iter().any(|network| contains(network, address)) {
            break;
        }
        let Some(next) = parse_hop(hop.trim()) else { break };
        address = next;
    }
    address
}

/// An address as proxies write it: bare, in brackets, or with a port.
fn parse_hop(text: &str) -> Option<IpAddr> {
    let address = text.parse::<IpAddr>().ok();
    let address = address.or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()));
    let address = address.or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok())?;
    Some(address.to_canonical())
}

/// Whether a key with these networks may be used from the address. No network means any (A19); a
/// network that cannot be read admits none.
fn is_allowed(cidrs: &[String], client: Option<IpAddr>) -> bool {
    cidrs.is_empty()
        || client.is_some_and(|client| {
            cidrs.iter().filter_map(|cidr| parse_network(cidr)).any(|net| contains(&net, client))
        })
}

fn parse_network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

/// Membership with IPv4-mapped IPv6 addresses and networks taken as the IPv4 that they stand for
/// (RFC 4291 §2.5.5.2).
fn contains(network: &IpNet, address: IpAddr) -> bool {
    let address = address.to_canonical();
    if let (IpNet::V6(mapped), IpAddr::V4(_)) = (network, address)
        && let (Some(v4), Some(prefix_len)) =
            (mapped.network().to_ipv4_mapped(), mapped.prefix_len().checked_sub(96))
    {
        return ipnet::Ipv4Net::new(v4, prefix_len)
            .is_ok_and(|network| IpNet::V4(network).contains(&address));
    }
    network.contains(&address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_client(peer: &str, forwarded: &[&str], trusted: &[&str], expected: &str) {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|network| network.parse().unwrap()).collect();
        assert_eq!(
            behind_proxies(peer.parse().unwrap(), &headers, &trusted),
            expected.parse::<IpAddr>().unwrap()
        );
    }

    // S40
    #[test]
    fn forwarded_addresses_count_only_from_trusted_proxies() {
        let proxies = &["10.0.0.0/8", "fd00::/8"];
        check_client("203.0.113.9", &["198.51.100.1"], &[], "203.0.113.9");
        check_client("203.0.113.9", &["198.51.100.1"], proxies, "203.0.113.9");
        check_client("10.0.0.1", &["198.51.100.1"], proxies, "198.51.100.1");
        check_client("::ffff:10.0.0.1", &["::ffff:198.51.100.1"], proxies, "198.51.100.1");
        check_client("10.0.0.1", &["192.0.2.66, 198.51.100.1, 10.0.0.2"], proxies, "198.51.100.1");
        check_client("10.0.0.1", &["192.0.2.66", "198.51.100.1"], proxies, "198.51.100.1");
        check_client("fd00::1", &["[2001:db8::1]:443"], proxies, "2001:db8::1");
        check_client("10.0.0.1", &["198.51.100.1:8080"], proxies, "198.51.100.1");
        check_client("10.0.0.1", &["unknown"], proxies, "10.0.0.1");
        check_client("10.0.0.1", &["198.51.100.1, x, 10.0.0.2"], proxies, "10.0.0.2");
        check_client("10.0.0.1", &[], proxies, "10.0.0.1");
    }

    #[track_caller]
    fn check_allowed(cidrs: &[&str], client: &str, expected: bool) {
        let cidrs: Vec<String> = cidrs.iter().map(|cidr| (*cidr).to_owned()).collect();
        assert_eq!(is_allowed(&cidrs, client.parse().ok()), expected, "{cidrs:?} and {client}");
    }

    // S40
    #[test]
    fn networks_of_a_key() {
        check_allowed(&[], "192.0.2.1", true);
        check_allowed(&[], "not known", true);
        check_allowed(&["192.0.2.0/24"], "not known", false);
        check_allowed(&["192.0.2.0/24"], "192.0.2.255", true);
        check_allowed(&["192.0.2.0/24"], "::ffff:192.0.2.255", true);
        check_allowed(&["::ffff:192.0.2.0/120"], "192.0.2.255", true);
        check_allowed(&["::ffff:192.0.2.0/120"], "192.0.3.1", false);
        check_allowed(&["192.0.2.7"], "192.0.2.7", true);
        check_allowed(&["192.0.2.7"], "192.0.2.8", false);
        check_allowed(&["2001:db8::/32"], "2001:db8:1::1", true);
        check_allowed(&["2001:db8::/32"], "2001:db9::1", false);
        check_allowed(&["::/0"], "192.0.2.1", false);
        check_allowed(&["nonsense"], "192.0.2.1", false);
    }

    #[test]
    fn bearer_tokens() {
        let token = |text: &str| bearer(&text.parse().unwrap()).map(str::to_owned);
        assert_eq!(token("Bearer abc"), Some("abc".into()));
        assert_eq!(token("bearer  abc "), Some("abc".into()));
        assert_eq!(token("Basic abc"), None);
        assert_eq!(token("Bearer"), None);
        assert_eq!(token("Bearer "), None);
        assert_eq!(token(&format!("Bearer {}", "x".repeat(MAX_KEY_LEN + 1))), None);
    }

    #[test]
    fn query_values_are_decoded() {
        let values: Vec<String> = form_values("a=1%2B2&b&c=%zz+%e0&d=x%3dy").collect();
        assert_eq!(values, ["1+2", "b", "x=y"]);
    }
}
