//! Where a trunk sends an INVITE instead (RFC 3261 §8.1.3.4), if its route lets it: to the trunk's
//! own host and the networks that it is heard from, for nobody has us call elsewhere. The best
//! first (§20.10), each once, a few in all.

use crate::call::invitation::identity::Redirection;
use crate::command::Route;
use crate::flow::Transport;
use crate::message::{Scheme, Uri};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

/// Most redirections that one leg follows.
const MAX_COUNT: usize = 3;

/// Where an INVITE goes instead of where its route says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detour {
    /// The request-URI.
    pub uri: String,
    pub address: SocketAddr,
    /// Status of the response that named it.
    pub code: u16,
}

impl Detour {
    fn is_same(&self, other: &Detour) -> bool {
        self.uri == other.uri && self.address == other.address
    }
}

/// The redirections of one leg.
#[derive(Debug, Default)]
pub struct Detours {
    waiting: VecDeque<Detour>,
    /// What was tried, or waits.
    known: Vec<Detour>,
    count: usize,
    /// The one that is tried now.
    pub current: Option<Detour>,
}

impl Detours {
    /// The route's own way is tried.
    pub fn note(&mut self, uri: &str, address: SocketAddr) {
        self.known.push(Detour { uri: uri.to_owned(), address, code: 0 });
    }

    /// Takes those of a response's contacts that may be followed.
    pub fn take(&mut self, route: &Route, code: u16, contacts: &[String]) {
        for uri in contacts.iter().filter(|_| route.follows_redirects) {
            let Some(address) = address_of(route, &Uri::read(uri)) else { continue };
            let detour = Detour { uri: uri.clone(), address, code };
            if !self.known.iter().any(|known| known.is_same(&detour)) {
                self.known.push(detour.clone());
                self.waiting.push_back(detour);
            }
        }
    }

    /// Goes to the next one; `false` if the way of the route is at its end.
    pub fn advance(&mut self) -> bool {
        self.current = self.waiting.pop_front().filter(|_| self.count < MAX_COUNT);
        self.count += usize::from(self.current.is_some());
        self.current.is_some()
    }

    /// What is said of the one that is tried now.
    pub fn redirection(&self) -> Option<Redirection<'_>> {
        let Detour { uri, code, .. } = self.current.as_ref()?;
        Some(Redirection { uri, code: *code, number: self.count })
    }

    /// Another route is tried.
    pub fn leave_route(&mut self) {
        self.waiting.clear();
        self.current = None;
    }
}

/// Where a contact is reached, if it is one of the trunk's.
fn address_of(route: &Route, uri: &Uri<'_>) -> Option<SocketAddr> {
    let is_carried = uri.params.value("transport").is_none_or(|name| {
        let carried = if route.transport == Transport::Udp { "udp" } else { "tcp" };
        name.eq_ignore_ascii_case(carried)
    });
    if uri.scheme != Scheme::Sip || !is_carried {
        return None;
    }
    let Some(ip) = uri.ip() else {
        let own = Uri::read(&format!("sip:{}", route.domain)).host.to_owned();
        let port = uri.port.unwrap_or(route.address.port());
        let is_own = uri.host.eq_ignore_ascii_case(&own);
        return is_own.then_some(SocketAddr::new(route.address.ip(), port));
    };
    let address = SocketAddr::new(ip, uri.port.unwrap_or(5060));
    let is_own = |ip: IpAddr| {
        ip.to_canonical() == route.address.ip().to_canonical()
            || route.signal_from.iter().any(|network| network.contains(&ip.to_canonical()))
    };
    (is_own(ip) && address.port() != 0 && ip.is_ipv4() == route.address.is_ipv4())
        .then_some(address)
}
