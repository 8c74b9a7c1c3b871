//! A trunk over TCP that is registered with, up to the drain, and a stranger's connection.

use crate::edge::{Edge, PATIENCE, value};
use call_words::TransportKind;
use control_wire::{Command as Asked, DigestCredentials, KeptTrunk, TrunkState};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

/// The next message, which has no body.
fn take(stream: &mut TcpStream) -> String {
    let mut message = Vec::new();
    while !message.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a message");
        message.push(byte[0]);
    }
    String::from_utf8(message).unwrap()
}

fn answer(stream: &mut TcpStream, request: &str, status: &str, header: &str) {
    let copied: String = ["Via", "From", "To", "Call-ID", "CSeq"]
        .map(|name| format!("{name}: {}\r\n", value(request, name)))
        .concat();
    let answer = format!("SIP/2.0 {status}\r\n{copied}{header}\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(answer.as_bytes()).unwrap();
}

fn is_registered(state: &TrunkState) -> bool {
    state.registration.as_ref().is_some_and(|one| one.until_ms.is_some())
}

#[test]
fn a_trunk_over_tcp_is_registered_with_until_the_drain() {
    let registrar = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut edge = Edge::start(1, false);
    let trunk = KeptTrunk {
        trunk: "carrier".into(),
        transport: TransportKind::Tcp,
        addresses: vec![registrar.local_addr().unwrap()],
        domain: "carrier.example".into(),
        credentials: Some(DigestCredentials { username: "us".into(), password: "secret".into() }),
        register_s: Some(300),
        probe_interval_s: None,
        interface: None,
        signal_from: vec![],
    };
    edge.links[0].command(1, Asked::KeepTrunks(vec![trunk]));
    let (mut stream, _) = registrar.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let first = take(&mut stream);
    assert!(first.starts_with("REGISTER sip:carrier.example;transport=tcp SIP/2.0"), "{first}");
    assert!(value(&first, "Via").starts_with(&format!("SIP/2.0/TCP {};", edge.sip)), "{first}");
    let contact = format!("<sip:s0-carrier@{};transport=tcp>", edge.sip);
    assert_eq!((value(&first, "Contact"), value(&first, "Expires")), (contact.as_str(), "300"));
    let challenge = "WWW-Authenticate: Digest realm=\"x\", nonce=\"n\", qop=\"auth\"";
    answer(&mut stream, &first, "401 Unauthorized", challenge);
    let signed = take(&mut stream);
    assert!(value(&signed, "Authorization").contains("username=\"us\""), "{signed}");
    answer(&mut stream, &signed, "200 OK", &format!("Contact: {contact};expires=300"));
    while !is_registered(&edge.links[0].trunks.recv_timeout(PATIENCE).expect("it is told")) {}

    edge.drain();
    let last = take(&mut stream);
    assert!(last.starts_with("REGISTER "), "{last}");
    assert_eq!((value(&last, "Contact"), value(&last, "Expires")), (contact.as_str(), "0"));
    answer(&mut stream, &last, "200 OK", "Expires: 0");
    edge.until_ended();
}

#[test]
fn a_strangers_connection_is_closed_without_a_word() {
    let edge = Edge::start(1, false);
    let mut stream = TcpStream::connect(edge.sip).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let options = format!(
        "OPTIONS sip:edge@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP {};branch=z9hG4bKx\r\n\
         Max-Forwards: 70\r\nFrom: <sip:a@b>;tag=c\r\nTo: <sip:edge@127.0.0.1>\r\nCall-ID: x\r\n\
         CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n",
        stream.local_addr().unwrap()
    );
    stream.write_all(options.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("its end");
    assert_eq!(answer.escape_ascii().to_string(), "");
    assert_eq!(edge.counters()[0].get("sip_unanswered_strays"), Some(&1));
    edge.stop();
}
