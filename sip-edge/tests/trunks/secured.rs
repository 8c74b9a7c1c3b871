//! A trunk over TLS by a named interface: the edge connects from its address and is connected to
//! there, under the certificate that all interfaces show.

use crate::edge::{Edge, PATIENCE, value};
use crate::interfaces::{kept, response};
use call_words::TransportKind;
use control_wire::{Command as Asked, KeptTrunk};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;

/// The interface, what it is reached at, and the carrier.
const BIND: &str = "127.0.0.2";
const PUBLIC: &str = "198.51.100.2";
const CARRIER: &str = "127.0.0.5";

/// Certificates of one authority: the edge's in a folder, and how a carrier serves and calls.
fn certificates(folder: &Path) -> (ServerConfig, ClientConfig) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = params.self_signed(&key).unwrap();
    let issuer = Issuer::new(params, key);
    let issue = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &issuer).unwrap(), key)
    };
    let (edge, edge_key) = issue("edge.example");
    let files =
        [("root.pem", root.pem()), ("edge.pem", edge.pem()), ("key.pem", edge_key.serialize_pem())];
    for (name, pem) in files {
        std::fs::write(folder.join(name), pem).unwrap();
    }
    let mut roots = RootCertStore::empty();
    roots.add(root.der().clone()).unwrap();
    let (carrier, key) = issue("carrier.example");
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let server = ServerConfig::builder_with_provider(default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![carrier.der().clone()], key.into())
        .unwrap();
    let client = ClientConfig::builder_with_provider(default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (server, client)
}

/// A message without a body.
fn read(stream: &mut impl Read) -> String {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a message");
        text.push(byte[0]);
    }
    String::from_utf8(text).unwrap()
}

// A14
#[test]
fn a_trunk_over_tls_goes_by_the_interface_that_it_names() {
    let folder = tempfile::tempdir().unwrap();
    let (server, client) = certificates(folder.path());
    let port = TcpListener::bind((BIND, 0)).unwrap().local_addr().unwrap().port();
    let files = folder.path().display();
    let more = format!(
        "[sip.tls]\nport = {port}\ncertificate = \"{files}/edge.pem\"\nprivate_key = \
         \"{files}/key.pem\"\nextra_roots = \"{files}/root.pem\"\n[[interfaces]]\nname = \
         \"carriers\"\nbind_address = \"{BIND}\"\npublic_address = \"{PUBLIC}\"\n"
    );
    let mut edge = Edge::start_with(1, false, &more);
    let carrier = TcpListener::bind((CARRIER, 0)).unwrap();
    let address = carrier.local_addr().unwrap();
    let trunk = KeptTrunk { transport: TransportKind::Tls, ..kept("carrier", address, "carriers") };
    edge.links[0].command(1, Asked::KeepTrunks(vec![trunk]));
    let (tcp, source) = carrier.accept().unwrap();
    assert_eq!(source.ip().to_string(), BIND);
    tcp.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut stream = StreamOwned::new(ServerConnection::new(server.into()).unwrap(), tcp);
    let options = read(&mut stream);
    assert!(options.starts_with("OPTIONS "), "{options}");
    let hop = format!("SIP/2.0/TLS {PUBLIC}:{port};");
    assert!(value(&options, "Via").starts_with(&hop), "{options}");
    stream.write_all(response(&options, "200 OK", address, "").as_bytes()).unwrap();
    while edge.links[0].trunks.recv_timeout(PATIENCE).expect("a state").reachable != Some(true) {}

    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(CARRIER.parse().unwrap(), 0).into()).unwrap();
    socket.connect(&SocketAddr::new(BIND.parse().unwrap(), port).into()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let name = ServerName::try_from("edge.example").unwrap();
    let connection = ClientConnection::new(client.into(), name).unwrap();
    let mut stream = StreamOwned::new(connection, TcpStream::from(socket));
    let asked = format!(
        "OPTIONS sip:edge@{PUBLIC} SIP/2.0\r\nVia: SIP/2.0/TLS {address};branch=z9hG4bKo\r\n\
         Max-Forwards: 70\r\nFrom: <sip:c@{CARRIER}>;tag=c\r\nTo: <sip:edge@{PUBLIC}>\r\n\
         Call-ID: own\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    );
    stream.write_all(asked.as_bytes()).unwrap();
    let answer = read(&mut stream);
    assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
    edge.stop();
}
