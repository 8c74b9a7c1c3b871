//! RFC 3263 against a DNS server of the test's own.

use super::*;
use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, NAPTR};
use hickory_resolver::proto::rr::{Name, Record};
use std::net::Ipv4Addr;
use std::str::FromStr;
use std::sync::Arc;
use tokio::net::UdpSocket;

/// One that answers from a table, which a test may change.
struct Server {
    address: SocketAddr,
    zone: Arc<Mutex<Vec<Record>>>,
}

fn name(text: &str) -> Name {
    Name::from_str(text).unwrap()
}

fn host(host: &str, last: u8) -> Record {
    Record::from_rdata(name(host), 1, RData::A(A(Ipv4Addr::new(192, 0, 2, last))))
}

fn service(service: &str, priority: u16, target: &str, port: u16) -> Record {
    let data = SRV::new(priority, 0, port, name(target));
    Record::from_rdata(name(service), 1, RData::SRV(data))
}

fn pointer(host: &str, order: u16, services: &str, replacement: &str) -> Record {
    let bytes = |text: &str| text.as_bytes().into();
    let data = NAPTR::new(order, 0, bytes("s"), bytes(services), bytes(""), name(replacement));
    Record::from_rdata(name(host), 1, RData::NAPTR(data))
}

impl Server {
    async fn start(zone: Vec<Record>) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = socket.local_addr().unwrap();
        let zone = Arc::new(Mutex::new(zone));
        let served = zone.clone();
        tokio::spawn(async move {
            let mut bytes = [0; 1500];
            while let Ok((len, peer)) = socket.recv_from(&mut bytes).await {
                let mut message = Message::from_vec(&bytes[..len]).unwrap().into_response();
                let query = message.queries[0].clone();
                let zone = served.lock().unwrap().clone();
                let named: Vec<_> =
                    zone.into_iter().filter(|record| record.name == query.name).collect();
                if named.is_empty() {
                    message.metadata.response_code = ResponseCode::NXDomain;
                }
                let asked = |record: &Record| record.record_type() == query.query_type;
                message.add_answers(named.into_iter().filter(asked));
                message.edns = None;
                let _ = socket.send_to(&message.to_vec().unwrap(), peer).await;
            }
        });
        Self { address, zone }
    }

    fn resolver(&self) -> Resolver {
        Resolver::new(&config::Calls {
            dns_timeout_ms: 1000,
            dns_cache_s: 1,
            dns_servers: vec![self.address],
            ..config::Calls::default()
        })
    }
}

/// Port 0 is none.
async fn found(resolver: &Resolver, host: &str, port: u16, over: TransportKind) -> Vec<String> {
    let port = Some(port).filter(|port| *port != 0);
    resolver.resolve(host, port, over).await.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn a_host_is_found_by_its_address_its_port_or_its_services() {
    use TransportKind::{Tcp, Tls, Udp};
    let server = Server::start(vec![
        host("plain.example.", 1),
        host("carrier.example.", 9),
        service("_sip._udp.carrier.example.", 20, "second.carrier.example.", 5080),
        service("_sip._udp.carrier.example.", 10, "first.carrier.example.", 5070),
        service("_sip._tcp.carrier.example.", 1, ".", 0),
        host("first.carrier.example.", 10),
        host("first.carrier.example.", 11),
        host("second.carrier.example.", 20),
        pointer("pointed.example.", 50, "SIP+D2U", "_sip._udp.carrier.example."),
        pointer("pointed.example.", 70, "SIPS+D2T", "_sips._tcp.later.example."),
        pointer("pointed.example.", 60, "sips+d2t", "_sips._tcp.sooner.example."),
        service("_sips._tcp.sooner.example.", 1, "plain.example.", 5071),
        service("_sips._tcp.later.example.", 1, "second.carrier.example.", 5072),
    ])
    .await;
    let resolver = server.resolver();
    let carrier = ["192.0.2.10:5070", "192.0.2.20:5080", "192.0.2.11:5070"].as_slice();
    for (host, port, over, expected) in [
        ("192.0.2.7", 5062, Udp, ["192.0.2.7:5062"].as_slice()),
        ("192.0.2.7", 0, Tls, &["192.0.2.7:5061"]),
        ("[2001:db8::1]", 0, Udp, &["[2001:db8::1]:5060"]),
        ("plain.example", 5062, Udp, &["192.0.2.1:5062"]),
        // No record says otherwise.
        ("plain.example", 0, Udp, &["192.0.2.1:5060"]),
        ("plain.example", 0, Tls, &["192.0.2.1:5061"]),
        // A port that is set leaves DNS nothing to say of services.
        ("carrier.example", 5060, Udp, &["192.0.2.9:5060"]),
        ("carrier.example", 0, Udp, carrier),
        ("carrier.example", 0, Tcp, &[]),
        ("carrier.example", 0, Tls, &["192.0.2.9:5061"]),
        ("pointed.example", 0, Udp, carrier),
        ("pointed.example", 0, Tls, &["192.0.2.1:5071"]),
        ("nowhere.example", 5060, Udp, &[]),
        ("nowhere.example", 0, Udp, &[]),
    ] {
        let mut all = found(&resolver, host, port, over).await;
        // Addresses of one host come in any order.
        if expected == carrier && all[0] == "192.0.2.11:5070" {
            all.swap(0, 2);
        }
        assert_eq!(all, expected, "{host} {port} {over}");
    }
}

#[tokio::test]
async fn what_was_known_holds_when_dns_fails_and_changes_when_it_says_so() {
    let server = Server::start(vec![host("moves.example.", 1)]).await;
    let resolver = server.resolver();
    let ask = async || found(&resolver, "moves.example", 5060, TransportKind::Udp).await;
    assert_eq!(ask().await, ["192.0.2.1:5060"]);
    *server.zone.lock().unwrap() = vec![host("moves.example.", 2)];
    assert_eq!(ask().await, ["192.0.2.1:5060"], "for its second");
    while ask().await != ["192.0.2.2:5060"] {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    server.zone.lock().unwrap().clear();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(ask().await, ["192.0.2.2:5060"], "the last that was known");
}

// RFC 2782: the lowest priority first; by weight among equals, those without one last but for luck
#[test]
fn services_are_chosen_by_priority_and_weight() {
    let services = || {
        [(1, 0, "none"), (0, 30, "light"), (0, 70, "heavy"), (1, 10, "some")]
            .map(|(priority, weight, target)| SRV::new(priority, weight, 1, name(target)))
            .to_vec()
    };
    #[track_caller]
    fn check(services: Vec<SRV>, draw: impl Fn(u32) -> u32, expected: [&str; 4]) {
        let order: Vec<_> =
            in_order(services, draw).iter().map(|service| service.target.to_utf8()).collect();
        assert_eq!(order, expected);
    }
    check(services(), |most| most, ["heavy", "light", "some", "none"]);
    check(services(), |_| 0, ["light", "heavy", "none", "some"]);
    check(services(), |most| most.min(30), ["light", "heavy", "some", "none"]);
    check(services(), |most| most.min(31), ["heavy", "light", "some", "none"]);
    assert!((0..100).map(|_| draw(1)).any(|drawn| drawn == 1));
}
