//! The borrowed view of one Via value (RFC 3261 §20.42, RFC 3581).

use std::net::{IpAddr, SocketAddr};

use super::grammar;
use super::uri::Params;

/// Branches of RFC 3261 begin with this; others are RFC 2543's (§8.1.1.7).
pub const MAGIC_COOKIE: &str = "z9hG4bK";

/// One Via value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Via<'a> {
    /// `UDP`, `TCP`, … as written.
    pub transport: &'a str,
    /// Host of sent-by; an IPv6 reference keeps its brackets.
    pub host: &'a str,
    pub port: Option<u16>,
    pub params: Params<'a>,
}

impl<'a> Via<'a> {
    /// Reads one value; `None` when it is malformed.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (name, rest) = grammar::cut(text, b'/')?;
        let (version, rest) = grammar::cut(rest, b'/')?;
        if !grammar::trim(name).eq_ignore_ascii_case("SIP") || grammar::trim(version) != "2.0" {
            return None;
        }
        let rest = grammar::trim(rest);
        let (transport, rest) = rest.split_at(rest.find([' ', '\t'])?);
        let rest = grammar::trim(rest);
        let (sent_by, params) = grammar::split_before(rest, b';');
        let (host, port) = grammar::host_and_port(grammar::trim(sent_by))?;
        grammar::is_token(transport).then_some(Self {
            transport,
            host,
            port,
            params: Params::parse(params)?,
        })
    }

    /// Reads a value that may be malformed: its branch and other parameters, and of the rest what
    /// can be told.
    pub fn read(text: &'a str) -> Self {
        Self::parse(text).unwrap_or_else(|| {
            let (front, params) = grammar::split_before(text, b';');
            let sent_by = front.split([' ', '\t', '/']).next_back().unwrap_or_default();
            let (host, port) = grammar::host_and_port(sent_by).unwrap_or((sent_by, None));
            Self { transport: "", host, port, params: Params::read(params) }
        })
    }

    /// Names the transaction (RFC 3261 §8.1.1.7).
    pub fn branch(&self) -> Option<&'a str> {
        branch(self.params)
    }

    /// The address that the request really came from (RFC 3261 §18.2.1).
    pub fn received(&self) -> Option<IpAddr> {
        self.params.value("received")?.trim_start_matches('[').trim_end_matches(']').parse().ok()
    }

    /// The filled-in `rport` (RFC 3581 §4); `None` when absent or still empty.
    pub fn rport(&self) -> Option<u16> {
        self.params.value("rport")?.parse().ok()
    }

    /// Where a response to this Via goes over UDP (§18.2.2, RFC 3581 §4); `None` when only DNS
    /// could tell.
    pub fn reply_address(&self) -> Option<SocketAddr> {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        let ip = match self.received() {
            Some(ip) => ip,
            None => host.parse().ok()?,
        };
        Some(SocketAddr::new(ip, self.rport().or(self.port).unwrap_or(5060)))
    }
}

/// The branch among the parameters of a Via.
pub(super) fn branch(params: Params<'_>) -> Option<&str> {
    params.value("branch").map(|branch| branch.trim_matches('"'))
}
