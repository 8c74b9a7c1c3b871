//! Where a call is to be dialled: those of the account's trunks that serve a number, hosts
//! resolved, numbers in each trunk's form, credentials opened (S43). Ownership of
//! caller IDs is checked before, by the resource.

mod choice;

use crate::number::{self, E164};
use crate::resolver::{self, Resolver};
use crate::secret::{MasterKey, Purpose};
use call_words::{Reason, TransportKind, TrunkId};
use control_wire::{Destination, DigestCredentials, KeptTrunk, Route, SkippedTrunk};
use ipnet::IpNet;
use std::net::SocketAddr;
use storage::{NumberFormat, Region, Trunk};

/// Addresses of one trunk that are tried; of each IP version where its interface may have either.
const MAX_TRIED: usize = 2;
/// A trunk that can be dialled now: it has an address.
#[derive(Debug, Clone)]
pub struct ResolvedTrunk {
    trunk: Trunk,
    addresses: Vec<SocketAddr>,
    credentials: Option<DigestCredentials>,
}

impl ResolvedTrunk {
    /// The trunk's id.
    pub fn id(&self) -> &TrunkId {
        &self.trunk.id
    }

    /// Calls that it may carry at once.
    pub fn max_calls(&self) -> u32 {
        self.trunk.max_calls
    }

    /// Calls that may start on it in a second; `None` for any number.
    pub fn max_calls_per_s(&self) -> Option<u32> {
        self.trunk.max_calls_per_s
    }

    /// What shards need to know it for no stranger, to register with it and to probe it.
    pub fn kept(&self) -> KeptTrunk {
        KeptTrunk {
            trunk: self.trunk.id.clone(),
            transport: self.trunk.transport,
            addresses: self.tried().copied().collect(),
            domain: uri_host(&self.trunk.host, self.trunk.fixed_port(), self.trunk.transport),
            credentials: self.trunk.register_s.and_then(|_| self.credentials.clone()),
            register_s: self.trunk.register_s,
            probe_interval_s: self.trunk.probe_interval_s,
            signal_from: signal_from(self, self.addresses[0]),
            interface: self.trunk.interface.clone(),
        }
    }

    /// The addresses that are tried: which IP version a named interface has is for the edge to say.
    fn tried(&self) -> impl Iterator<Item = &SocketAddr> {
        let is_either = self.trunk.interface.is_some();
        let of = move |is_ipv4: bool| {
            let fits = move |address: &&SocketAddr| !is_either || address.is_ipv4() == is_ipv4;
            self.addresses.iter().filter(fits).take(MAX_TRIED)
        };
        of(true).chain(of(false).filter(move |_| is_either))
    }
}

/// The trunks that one number is dialled through, in their order.
#[derive(Debug, Clone, Default)]
pub struct Way {
    pub trunks: Vec<ResolvedTrunk>,
    /// Those that would be among them, had they an address.
    pub skipped: Vec<SkippedTrunk>,
}

impl Way {
    /// The trunk that is tried first.
    pub fn first(&self) -> TrunkId {
        self.trunks.first().map(|trunk| trunk.id().clone()).unwrap_or_default()
    }
}

/// Those of the trunks that serve a number, in the order in which they are tried.
pub fn serving<'a>(ready: &'a [ResolvedTrunk], number: &E164) -> Vec<&'a ResolvedTrunk> {
    // Its lower bits are all of chance.
    let roll = |below| uuid::Uuid::new_v4().as_u128() as u32 % below;
    choice::order(ready, |ready| &ready.trunk, number, roll)
}

/// Those that serve a number, could be dialled, and have no address.
pub fn unresolved(
    trunks: &[Trunk],
    ready: &[ResolvedTrunk],
    number: &E164,
    master_key: &MasterKey,
) -> Vec<SkippedTrunk> {
    let is_unresolved = |trunk: &&Trunk| {
        choice::fit(trunk, number).is_some()
            && ready.iter().all(|ready| *ready.id() != trunk.id)
            && credentials(trunk, master_key).is_ok()
    };
    let skipped = |trunk: &Trunk| SkippedTrunk {
        trunk: trunk.id.clone(),
        reason: Reason::TrunkUnresolved.into(),
    };
    trunks.iter().filter(is_unresolved).map(skipped).collect()
}

impl Resolver {
    /// Those of the trunks that can be dialled, in their order.
    pub async fn ready_trunks(
        &self,
        trunks: Vec<Trunk>,
        master_key: &MasterKey,
    ) -> Vec<ResolvedTrunk> {
        let mut ready = Vec::with_capacity(trunks.len());
        for trunk in trunks {
            let credentials = match credentials(&trunk, master_key) {
                Ok(credentials) => credentials,
                Err(error) => {
                    tracing::error!(trunk = %trunk.id, %error,
                        "trunk: its password cannot be opened");
                    continue;
                }
            };
            let addresses = self.resolve(&trunk.host, trunk.fixed_port(), trunk.transport).await;
            if !addresses.is_empty() {
                ready.push(ResolvedTrunk { trunk, addresses, credentials });
            }
        }
        ready
    }
}

fn credentials(
    trunk: &Trunk,
    master_key: &MasterKey,
) -> Result<Option<DigestCredentials>, crate::secret::SecretError> {
    let (Some(username), Some(sealed)) = (&trunk.username, &trunk.password) else {
        return Ok(None);
    };
    let password = master_key.open(Purpose::TrunkPassword, sealed)?;
    Ok(Some(DigestCredentials {
        username: username.clone(),
        password: password.expose().to_owned(),
    }))
}

/// A trunk's host as a URI holds it: an IPv6 address in brackets, and the port where it is not the
/// default, nor for DNS to say (RFC 3261 §25.1).
fn uri_host(host: &str, port: Option<u16>, transport: TransportKind) -> String {
    let host = if host.parse::<std::net::Ipv6Addr>().is_ok() {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    match port {
        Some(port) if port != resolver::default_port(transport) => format!("{host}:{port}"),
        _ => host,
    }
}

/// Who is shown to the party that is called.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    pub number: &'a E164,
    /// Whether the call hides it, whatever the trunk does.
    pub is_hidden: bool,
}

/// One leg's destination on its way; `diverted_by` sent the call on to it, if somebody did.
pub fn destination(
    way: &Way,
    number: &E164,
    caller: Caller<'_>,
    region: Region,
    ring_ms: u64,
    diverted_by: Option<&E164>,
) -> Destination {
    let routes = way.trunks.iter().flat_map(|ready| {
        let trunk = &ready.trunk;
        let shown =
            move |number: &E164| number::wire(number, shown_format(&trunk.number_format), region);
        ready.tried().map(move |address| Route {
            trunk: trunk.id.clone(),
            transport: trunk.transport,
            address: *address,
            domain: uri_host(&trunk.host, trunk.fixed_port(), trunk.transport),
            request_user: number::wire(number, &trunk.number_format, region),
            caller_id: shown(caller.number),
            credentials: ready.credentials.clone(),
            media: trunk.media,
            signal_from: signal_from(ready, *address),
            media_from: trunk.media_from.clone(),
            follows_redirects: trunk.follows_redirects,
            hides_caller: trunk.hides_caller || caller.is_hidden,
            trusted: trunk.trusted,
            forwarding: trunk.forwarding,
            diverted_by: diverted_by.filter(|_| !trunk.forwarding.is_none()).map(shown),
            dtmf: trunk.dtmf,
            comfort_noise: trunk.comfort_noise,
            interface: trunk.interface.clone(),
        })
    });
    Destination { ring_ms, routes: routes.collect(), skipped: way.skipped.clone() }
}

/// Where signalling is taken from besides the address that is tried: the host's other ones, for any
/// of a cluster may answer, and the networks that the trunk names (B02).
fn signal_from(ready: &ResolvedTrunk, tried: SocketAddr) -> Vec<String> {
    let others = ready.addresses.iter().map(SocketAddr::ip).filter(|other| *other != tried.ip());
    others
        .map(|other| IpNet::from(other).to_string())
        .chain(ready.trunk.signal_from.iter().cloned())
        .collect()
}

/// A routing prefix belongs to the number that is dialled, not to the one that is shown.
fn shown_format(format: &NumberFormat) -> &NumberFormat {
    match format {
        NumberFormat::Prefix(_) => &NumberFormat::E164,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use call_words::{DtmfMode, ForwardingHeader, MediaProfile};

    pub fn trunk(id: &str, host: &str, number_format: NumberFormat) -> Trunk {
        Trunk {
            id: id.into(),
            host: host.into(),
            port: 5060,
            transport: TransportKind::Udp,
            media: MediaProfile::Rtp,
            allow_plaintext: true,
            number_format,
            username: None,
            password: None,
            max_calls: 10,
            signal_from: vec![],
            media_from: vec![],
            register_s: None,
            probe_interval_s: None,
            priority: 0,
            weight: 0,
            prefixes: vec![],
            max_calls_per_s: None,
            follows_redirects: false,
            hides_caller: false,
            trusted: false,
            forwarding: ForwardingHeader::None,
            srv: false,
            dtmf: DtmfMode::Auto,
            comfort_noise: false,
            interface: None,
        }
    }

    fn shown(number: &E164) -> Caller<'_> {
        Caller { number, is_hidden: false }
    }

    // S07, S08, S43
    #[tokio::test]
    async fn routes_follow_the_trunks_order_and_forms() {
        let trunks = vec![
            trunk("plus", "127.0.0.1", NumberFormat::E164Plus),
            trunk("digits", "[::1]", NumberFormat::E164),
            trunk("home", "127.0.0.2", NumberFormat::National0),
            trunk("prefixed", "127.0.0.3", NumberFormat::Prefix("77".into())),
            trunk("nowhere", "name.invalid", NumberFormat::E164),
        ];
        let resolver =
            Resolver::new(&config::Calls { dns_timeout_ms: 500, ..config::Calls::default() });
        let master_key = MasterKey::new([1; 32]);
        let ready = resolver.ready_trunks(trunks.clone(), &master_key).await;
        let number = number::normalise("9876543210", Region::INDIA).unwrap();
        let skipped = unresolved(&trunks, &ready, &number, &master_key);
        let caller_id = number::normalise("+918047000000", Region::INDIA).unwrap();
        let way = Way { trunks: ready, skipped };
        let destination =
            destination(&way, &number, shown(&caller_id), Region::INDIA, 30_000, None);
        let unresolved =
            SkippedTrunk { trunk: "nowhere".into(), reason: Reason::TrunkUnresolved.into() };
        assert_eq!(destination.skipped, [unresolved]);
        let routes: Vec<_> = destination
            .routes
            .iter()
            .map(|route| {
                (
                    route.trunk.as_str(),
                    route.address.to_string(),
                    route.request_user.as_str(),
                    route.caller_id.as_str(),
                )
            })
            .collect();
        assert_eq!(
            routes,
            [
                ("plus", "127.0.0.1:5060".to_owned(), "+919876543210", "+918047000000"),
                ("digits", "[::1]:5060".to_owned(), "919876543210", "918047000000"),
                ("home", "127.0.0.2:5060".to_owned(), "09876543210", "08047000000"),
                ("prefixed", "127.0.0.3:5060".to_owned(), "77919876543210", "918047000000"),
            ]
        );
    }

    // A registrar or proxy on another port serves only URIs that name it.
    #[test]
    fn a_port_that_is_not_the_default_stands_in_the_uri() {
        for (host, port, domain) in [
            ("carrier.example", 5060, "carrier.example"),
            ("carrier.example", 5070, "carrier.example:5070"),
            ("192.0.2.1", 15060, "192.0.2.1:15060"),
            ("2001:db8::1", 5060, "[2001:db8::1]"),
            ("2001:db8::1", 5062, "[2001:db8::1]:5062"),
            ("[2001:db8::1]", 5062, "[2001:db8::1]:5062"),
        ] {
            assert_eq!(uri_host(host, Some(port), TransportKind::Udp), domain);
        }
        assert_eq!(uri_host("carrier.example", None, TransportKind::Tls), "carrier.example");
        let tls = |port| uri_host("carrier.example", Some(port), TransportKind::Tls);
        assert_eq!([tls(5061), tls(5060)], ["carrier.example", "carrier.example:5060"]);
    }

    // B02
    #[test]
    fn signalling_is_taken_from_all_addresses_of_the_host_and_from_the_networks_that_are_named() {
        let mut named = trunk("cluster", "sip.carrier.example", NumberFormat::E164);
        named.signal_from = vec!["198.51.100.0/24".into()];
        named.media_from = vec!["203.0.113.0/24".into()];
        named.follows_redirects = true;
        named.dtmf = DtmfMode::Info;
        named.comfort_noise = true;
        let addresses = ["192.0.2.1:5060", "192.0.2.2:5060", "[2001:db8::1]:5060"]
            .map(|address| address.parse().unwrap());
        let ready =
            ResolvedTrunk { trunk: named, addresses: addresses.to_vec(), credentials: None };
        let way = Way { trunks: vec![ready], skipped: vec![] };
        let number = number::normalise("9876543210", Region::INDIA).unwrap();
        let agent = number::normalise("9876543219", Region::INDIA).unwrap();
        let by = |trunk: Trunk, is_hidden| {
            let ready = ResolvedTrunk {
                trunk,
                addresses: vec!["192.0.2.1:5060".parse().unwrap()],
                credentials: None,
            };
            let way = Way { trunks: vec![ready], skipped: vec![] };
            let to = destination(
                &way,
                &number,
                Caller { number: &number, is_hidden },
                Region::INDIA,
                1,
                Some(&agent),
            );
            let Route { hides_caller, trusted, diverted_by, .. } = to.routes[0].clone();
            (hides_caller, trusted, diverted_by)
        };
        let plain = trunk("plain", "192.0.2.1", NumberFormat::E164);
        assert_eq!(
            by(plain.clone(), false),
            (false, false, None),
            "nobody is told unless that is set"
        );
        let forwarding = ForwardingHeader::Diversion;
        assert_eq!(by(plain.clone(), true), (true, false, None), "by the call alone");
        let told = Trunk { hides_caller: true, trusted: true, forwarding, ..plain };
        assert_eq!(by(told, false), (true, true, Some("919876543219".into())));
        let routes = destination(&way, &number, shown(&number), Region::INDIA, 30_000, None).routes;
        let taken: Vec<_> = routes
            .iter()
            .map(|route| (route.address.to_string(), route.signal_from.join(" ")))
            .collect();
        assert_eq!(
            taken,
            [
                (
                    "192.0.2.1:5060".to_owned(),
                    "192.0.2.2/32 2001:db8::1/128 198.51.100.0/24".to_owned()
                ),
                (
                    "192.0.2.2:5060".to_owned(),
                    "192.0.2.1/32 2001:db8::1/128 198.51.100.0/24".to_owned()
                ),
            ]
        );
        assert!(routes.iter().all(|route| route.media_from == ["203.0.113.0/24"]));
        assert!(routes.iter().all(|route| route.follows_redirects
            && route.comfort_noise
            && route.dtmf == DtmfMode::Info));
    }

    #[tokio::test]
    async fn a_password_that_cannot_be_opened_takes_its_trunk_out() {
        let mut locked = trunk("locked", "127.0.0.1", NumberFormat::E164);
        let secret = crate::secret::Secret::new("p");
        locked.username = Some("u".into());
        locked.password = Some(MasterKey::new([2; 32]).seal(Purpose::TrunkPassword, &secret));
        let resolver =
            Resolver::new(&config::Calls { dns_timeout_ms: 500, ..config::Calls::default() });
        assert!(
            resolver.ready_trunks(vec![locked.clone()], &MasterKey::new([1; 32])).await.is_empty()
        );
        let ready = resolver.ready_trunks(vec![locked], &MasterKey::new([2; 32])).await;
        assert_eq!(
            ready[0].credentials.as_ref().map(|credentials| credentials.password.as_str()),
            Some("p")
        );
    }
}
