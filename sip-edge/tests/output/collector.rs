//! What a collector of HEP version 3 sees of a call: its SIP, and its RTCP where that is set.

use crate::{PATIENCE, Phone, Running, route};
use control_wire::{Command as Asked, FromEdge, ToEdge};
use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::process::Stdio;

/// The chunks of a HEP3 datagram, by its specification.
fn chunks(datagram: &[u8]) -> BTreeMap<u16, Vec<u8>> {
    assert_eq!(
        (&datagram[..4], datagram[4..6].to_vec()),
        (&b"HEP3"[..], (datagram.len() as u16).to_be_bytes().into())
    );
    let (mut rest, mut chunks) = (&datagram[6..], BTreeMap::new());
    while !rest.is_empty() {
        let len = usize::from(u16::from_be_bytes([rest[4], rest[5]]));
        chunks.insert(u16::from_be_bytes([rest[2], rest[3]]), rest[6..len].to_vec());
        rest = &rest[len..];
    }
    chunks
}

/// The correlation id, the first line, and whether the edge at this port sent it.
fn watched(datagram: &[u8], edge: u16) -> (String, String, bool) {
    let chunks = chunks(datagram);
    let text = |kind: u16| String::from_utf8(chunks[&kind].to_vec()).unwrap();
    assert_eq!(
        [0x0c, 0x0e, 0x0b].map(|kind| &chunks[&kind][..]),
        [&7_u32.to_be_bytes()[..], &b"k"[..], &[1][..]]
    );
    assert_eq!(
        [1, 2, 3].map(|kind| &chunks[&kind][..]),
        [&[2][..], &[17][..], &[127, 0, 0, 1][..]]
    );
    (text(0x11), text(0x0f).lines().next().unwrap().to_owned(), chunks[&7] == edge.to_be_bytes())
}

#[test]
fn what_is_said_by_sip_is_seen_from_outside_and_told_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let collector = UdpSocket::bind("127.0.0.1:0").unwrap();
    collector.set_read_timeout(Some(PATIENCE)).unwrap();
    let address = collector.local_addr().unwrap();
    let hep = format!("[hep]\naddress = \"{address}\"\ncapture_id = 7\nkey = \"k\"\n");
    let mut edge = Running::start_with(folder.path(), Stdio::null(), &hep);
    let (agent, customer) = (Phone::new(), Phone::new());
    let target = customer.sip.local_addr().unwrap();
    let call_id = edge.place(1, agent.target(), route(target), None);
    agent.answer();
    let port = edge.sip().port();
    let mut bytes = [0; 65_536];
    let mut seen = Vec::new();
    while seen.len() < 4 {
        let len = collector.recv(&mut bytes).expect("a copy");
        let (correlation, line, is_sent) = watched(&bytes[..len], port);
        assert_eq!(correlation, call_id.as_str());
        seen.push((line.split(' ').take(2).collect::<Vec<_>>().join(" "), is_sent));
    }
    let of =
        |word: &str, is_sent: bool| seen.iter().any(|it| it.0.starts_with(word) && it.1 == is_sent);
    assert!(of("INVITE", true) && of("SIP/2.0 200", false) && of("ACK", true), "{seen:?}");

    edge.send(&ToEdge::Command { id: 2, command: Asked::TellLadder { call_id: call_id.clone() } });
    let ladder = loop {
        match edge.next() {
            FromEdge::Ladder(ladder) => break ladder,
            FromEdge::Ack { command_id: 2 } => panic!("it is told before"),
            _ => {}
        }
    };
    assert_eq!((&ladder.call_id, ladder.whole), (&call_id, false));
    let rungs = ladder.read().expect("rungs");
    assert!(rungs[0].message.starts_with("INVITE sip:"), "{rungs:?}");
    assert_eq!(rungs[0].remote, agent.sip.local_addr().unwrap());
    assert_eq!(rungs[1].message.lines().next(), Some("SIP/2.0 200 OK"));
    while !matches!(edge.next(), FromEdge::Ack { command_id: 2 }) {}
    let unknown = Asked::TellLadder { call_id: "nobody".into() };
    edge.send(&ToEdge::Command { id: 3, command: unknown });
    while !matches!(edge.next(), FromEdge::Refused { command_id: 3, .. }) {}
    edge.stop();
}

#[test]
fn rtcp_is_seen_from_outside_where_that_is_set() {
    let folder = tempfile::tempdir().unwrap();
    let collector = UdpSocket::bind("127.0.0.1:0").unwrap();
    collector.set_read_timeout(Some(PATIENCE)).unwrap();
    let address = collector.local_addr().unwrap();
    let hep = format!("[hep]\naddress = \"{address}\"\nrtcp = true\n");
    let mut edge = Running::start_with(folder.path(), Stdio::null(), &hep);
    let (agent, customer) = (Phone::new(), Phone::new());
    let target = customer.sip.local_addr().unwrap();
    let call_id = edge.place(1, agent.target(), route(target), None);
    let (agent_media, customer_media) = (agent.answer(), customer.answer());
    edge.until_told("bridged");
    agent.speak(0, agent_media);
    let rtcp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let reports = SocketAddr::new(customer_media.ip(), customer_media.port() + 1);
    let report = [&[0x80, 201, 0, 1][..], b"ssrc"].concat();
    rtcp.send_to(&report, reports).unwrap();
    // What came is there at once, what goes within seven seconds.
    let mut seen = [false; 2];
    let mut bytes = [0; 65_536];
    while seen != [true; 2] {
        let len = collector.recv(&mut bytes).expect("a copy");
        let chunks = chunks(&bytes[..len]);
        if chunks[&0x0b] != [5] {
            continue;
        }
        assert_eq!((&chunks[&0x11][..], &chunks[&2][..]), (call_id.as_str().as_bytes(), &[17][..]));
        let port = |kind: u16| u16::from_be_bytes(chunks[&kind][..].try_into().unwrap());
        if port(8) == reports.port() {
            let own = rtcp.local_addr().unwrap().port();
            assert_eq!((port(7), &chunks[&0x0f]), (own, &report));
            seen[0] = true;
        } else {
            // Sent from a port of RTCP; a report and its source's description (RFC 3550 §6.1).
            assert!([agent_media.port() + 1, reports.port()].contains(&port(7)));
            assert!(matches!(chunks[&0x0f][..2], [0x80 | 0x81, 200 | 201]));
            seen[1] = true;
        }
    }
    edge.stop();
}
