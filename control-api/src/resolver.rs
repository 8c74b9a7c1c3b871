//! Where a trunk's host is found (RFC 3263): a port of its own and the host's addresses, or what
//! DNS says of its services. Answers are kept for as long as they say, at most for the configured
//! time; when DNS fails, what was known before still holds. Knows no trunk.

use crate::config;
use call_words::TransportKind;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::rdata::SRV;
use hickory_resolver::proto::rr::{RData, RecordType};
use ring::rand::{SecureRandom, SystemRandom};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Addresses of one host that are known at a time.
const MAX_ADDRESSES: usize = 32;
/// Services of one host that are looked up.
const MAX_SERVICES: usize = 8;
/// Hosts whose last addresses are kept for when DNS fails.
const KNOWN_CAP: usize = 1024;

/// What is asked for: a host, its port if DNS is not to say it, and what it is reached over.
type Query = (String, Option<u16>, TransportKind);

/// Finds hosts.
pub struct Resolver {
    dns: TokioResolver,
    timeout: Duration,
    known: Mutex<HashMap<Query, Vec<SocketAddr>>>,
    /// Hosts that could not be resolved the last time, and why: told once.
    faults: Mutex<HashMap<Query, String>>,
}

/// Port of a SIP URI that names none (RFC 3261 §19.1.2).
pub const fn default_port(transport: TransportKind) -> u16 {
    match transport {
        TransportKind::Udp | TransportKind::Tcp => 5060,
        TransportKind::Tls => 5061,
    }
}

/// The services of NAPTR records, and the prefix of SRV's names (RFC 3263 §4.1, RFC 3261 §19.1.1).
const fn service(transport: TransportKind) -> (&'static str, &'static str) {
    match transport {
        TransportKind::Udp => ("SIP+D2U", "_sip._udp."),
        TransportKind::Tcp => ("SIP+D2T", "_sip._tcp."),
        TransportKind::Tls => ("SIPS+D2T", "_sips._tcp."),
    }
}

impl Resolver {
    /// Asks the configured servers, or else the system's.
    pub fn new(config: &config::Calls) -> Self {
        let timeout = Duration::from_millis(config.dns_timeout_ms);
        let system = TokioResolver::builder_tokio();
        let mut builder = match system {
            Ok(builder) if config.dns_servers.is_empty() => builder,
            other => {
                if let (Err(error), true) = (other, config.dns_servers.is_empty()) {
                    tracing::warn!(%error, "DNS: /etc/resolv.conf names no server; trunks' hosts \
                        are found in /etc/hosts alone");
                }
                TokioResolver::builder_with_config(
                    ResolverConfig::from_parts(None, vec![], servers(&config.dns_servers)),
                    TokioRuntimeProvider::default(),
                )
            }
        };
        let options = builder.options_mut();
        // So that a second server has its chance within the whole time.
        options.timeout = timeout / 2;
        options.attempts = 1;
        options.positive_max_ttl = Some(Duration::from_secs(config.dns_cache_s));
        options.negative_max_ttl = Some(Duration::from_secs(config.dns_cache_s));
        let dns = builder.build().expect("a resolver without TLS needs nothing");
        Self { dns, timeout, known: Mutex::default(), faults: Mutex::default() }
    }

    /// Addresses of a host, the preferred first, at most [`MAX_ADDRESSES`]; empty if none was ever
    /// known. Without a port, DNS says it.
    pub async fn resolve(
        &self,
        host: &str,
        port: Option<u16>,
        transport: TransportKind,
    ) -> Vec<SocketAddr> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(ip) = bare.parse::<IpAddr>() {
            return vec![SocketAddr::new(ip, port.unwrap_or(default_port(transport)))];
        }
        let query = (host.to_owned(), port, transport);
        let asking = async {
            match port {
                None => self.located(host, transport).await,
                Some(port) => self.addresses(host, port).await,
            }
        };
        let why = match tokio::time::timeout(self.timeout, asking).await {
            Ok(Ok(found)) if !found.is_empty() => {
                self.note(&query, None);
                let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                if known.len() >= KNOWN_CAP {
                    known.clear();
                }
                known.insert(query, found.clone());
                return found;
            }
            Ok(Ok(_)) => "it has no address".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        self.note(&query, Some(why));
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&query).cloned().unwrap_or_default()
    }

    /// Tells once why a host cannot be resolved, and that it can be again.
    fn note(&self, query: &Query, why: Option<String>) {
        let host = &query.0;
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        match why {
            None if faults.remove(query).is_none() => {}
            None => tracing::info!(host, "DNS: a trunk's host is resolved again"),
            Some(why) if faults.get(query) == Some(&why) => {}
            Some(why) => {
                tracing::warn!(host, why, "DNS: a trunk's host cannot be resolved");
                if faults.len() >= KNOWN_CAP {
                    faults.clear();
                }
                faults.insert(query.clone(), why);
            }
        }
    }

    async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, NetError> {
        let found = self.dns.lookup_ip(host).await?;
        Ok(found.iter().take(MAX_ADDRESSES).map(|ip| SocketAddr::new(ip, port)).collect())
    }

    /// By NAPTR and SRV records, and by the host's own addresses where it has none (RFC 3263 §4.1,
    /// §4.2).
    async fn located(
        &self,
        host: &str,
        transport: TransportKind,
    ) -> Result<Vec<SocketAddr>, NetError> {
        let name = self.service_name(host, transport).await;
        let services = match self.dns.lookup(name, RecordType::SRV).await {
            Ok(found) => found
                .answers()
                .iter()
                .filter_map(|record| match &record.data {
                    RData::SRV(service) => Some(service.clone()),
                    _ => None,
                })
                .collect(),
            Err(error) if error.is_no_records_found() => vec![],
            Err(error) => return Err(error),
        };
        if services.is_empty() {
            return self.addresses(host, default_port(transport)).await;
        }
        let mut found = Vec::new();
        for service in in_order(services, draw).into_iter().take(MAX_SERVICES) {
            // A root as the target says that there is no such service (RFC 2782).
            if !service.target.is_root()
                && let Ok(addresses) = self.addresses(&service.target.to_utf8(), service.port).await
            {
                found.push(addresses);
            }
        }
        Ok(first_of_each_first(found))
    }

    /// What the NAPTR records name for the transport, or the name that follows from the host's.
    async fn service_name(&self, host: &str, transport: TransportKind) -> String {
        let (wanted, prefix) = service(transport);
        let records = self.dns.lookup(format!("{host}."), RecordType::NAPTR).await.ok();
        let records = records.iter().flat_map(|found| found.answers());
        let named = records.filter_map(|record| match &record.data {
            RData::NAPTR(naptr)
                if naptr.services.eq_ignore_ascii_case(wanted.as_bytes())
                    && naptr.flags.eq_ignore_ascii_case(b"s") =>
            {
                Some((naptr.order, naptr.preference, naptr.replacement.to_utf8()))
            }
            _ => None,
        });
        named.min().map_or_else(|| format!("{prefix}{host}."), |(_, _, name)| name)
    }
}

fn servers(addresses: &[SocketAddr]) -> Vec<NameServerConfig> {
    let server = |address: &SocketAddr| {
        let mut server = NameServerConfig::udp_and_tcp(address.ip());
        server.connections.iter_mut().for_each(|connection| connection.port = address.port());
        server
    };
    addresses.iter().map(server).collect()
}

/// A number from 0 to `most`.
fn draw(most: u32) -> u32 {
    let mut bytes = [0; 8];
    SystemRandom::new().fill(&mut bytes).expect("the kernel gives random bytes");
    (u64::from_le_bytes(bytes) % (u64::from(most) + 1)) as u32
}

/// By priority, and among equals at random by weight (RFC 2782).
fn in_order(mut services: Vec<SRV>, draw: impl Fn(u32) -> u32) -> Vec<SRV> {
    // Those without weight stand first, so that they have a small chance.
    services.sort_by_key(|service| (service.priority, service.weight));
    let mut ordered = Vec::with_capacity(services.len());
    while let Some(first) = services.first() {
        let priority = first.priority;
        let equals = services.iter().take_while(|service| service.priority == priority);
        let sum = equals.clone().map(|service| u32::from(service.weight)).sum();
        let drawn = draw(sum);
        let mut running = 0;
        let chosen = equals
            .map(|service| {
                running += u32::from(service.weight);
                running
            })
            .position(|until| until >= drawn)
            .expect("the last reaches the sum");
        ordered.push(services.remove(chosen));
    }
    ordered
}

/// The first address of each service, in the services' order, then the rest: of a trunk only a few
/// are tried, and a service that is down takes all its addresses with it.
fn first_of_each_first(mut services: Vec<Vec<SocketAddr>>) -> Vec<SocketAddr> {
    let rest: Vec<_> = services
        .iter_mut()
        .flat_map(|addresses| addresses.split_off(addresses.len().min(1)))
        .collect();
    let mut found = Vec::new();
    for address in services.into_iter().flatten().chain(rest) {
        if found.len() < MAX_ADDRESSES && !found.contains(&address) {
            found.push(address);
        }
    }
    found
}

#[cfg(test)]
mod tests;
