//! The way of calls' SIP messages and RTCP to a collector: HEP version 3 (EEP) over UDP, a datagram
//! for each, with the call's id as correlation id. Never waits: what the socket does not take at
//! once is dropped and counted.

use super::ends::same_family;
use crate::config::HepConfig;
use call_words::CallId;
use sip_core::event::{Copied, CopiedRtcp};
use sip_core::flow::Transport;
use std::cell::Cell;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

/// First bytes of each datagram; its length follows.
const MAGIC: &[u8; 4] = b"HEP3";
/// Protocol types.
const SIP: u8 = 1;
const RTCP: u8 = 5;
/// IANA's numbers of what carries them.
const TCP: u8 = 6;
const UDP: u8 = 17;

/// Types of the chunks of vendor 0.
#[derive(Debug, Clone, Copy)]
enum Chunk {
    IpFamily = 0x01,
    IpProtocol = 0x02,
    SourceV4 = 0x03,
    DestinationV4 = 0x04,
    SourceV6 = 0x05,
    DestinationV6 = 0x06,
    SourcePort = 0x07,
    DestinationPort = 0x08,
    Seconds = 0x09,
    Microseconds = 0x0a,
    ProtocolType = 0x0b,
    CaptureId = 0x0c,
    Key = 0x0e,
    Payload = 0x0f,
    CorrelationId = 0x11,
}

/// What is sent on of a call.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'a> {
    kind: u8,
    carrier: u8,
    /// Whence it came and where it went.
    ends: (SocketAddr, SocketAddr),
    call_id: &'a CallId,
    bytes: &'a [u8],
}

impl<'a> Packet<'a> {
    /// A SIP message.
    pub fn sip(copied: &'a Copied) -> Self {
        let Copied { call_id, bytes, flow, .. } = copied;
        let carrier = if flow.transport == Transport::Udp { UDP } else { TCP };
        Self { kind: SIP, carrier, ends: copied.ends(), call_id, bytes }
    }

    /// RTCP that came to or left from this address of ours.
    pub fn rtcp(copied: &'a CopiedRtcp, local: SocketAddr) -> Self {
        let CopiedRtcp { call_id, bytes, remote, is_sent, .. } = copied;
        let ends = if *is_sent { (local, *remote) } else { (*remote, local) };
        Self { kind: RTCP, carrier: UDP, ends, call_id, bytes }
    }
}

/// One shard's socket to the collector.
pub struct Hep {
    socket: UdpSocket,
    capture_id: u32,
    key: String,
    pub sent_count: Cell<u64>,
    pub dropped_count: Cell<u64>,
}

impl Hep {
    /// `None` if no collector is named.
    pub fn open(config: &HepConfig) -> std::io::Result<Option<Self>> {
        let Some(collector) = config.collector() else { return Ok(None) };
        let any: IpAddr = if collector.is_ipv4() {
            [0; 4].into()
        } else {
            std::net::Ipv6Addr::UNSPECIFIED.into()
        };
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect(collector)?;
        socket.set_nonblocking(true)?;
        let HepConfig { capture_id, ref key, .. } = *config;
        let (sent_count, dropped_count) = Default::default();
        Ok(Some(Self { socket, capture_id, key: key.clone(), sent_count, dropped_count }))
    }

    /// Sends on what was seen at this Unix time, if the socket takes it now.
    pub fn export(&self, at: Duration, packet: &Packet<'_>) {
        let is_out = encode(packet, at, self.capture_id, &self.key)
            .is_some_and(|datagram| self.socket.send(&datagram).is_ok());
        let count = if is_out { &self.sent_count } else { &self.dropped_count };
        count.set(count.get() + 1);
    }
}

/// `None` if it is too long for a datagram.
fn encode(packet: &Packet<'_>, at: Duration, capture_id: u32, key: &str) -> Option<Vec<u8>> {
    let (source, destination) = same_family(packet.ends.0, packet.ends.1);
    // Linux's AF_INET and AF_INET6.
    let family = if source.is_ipv4() { 2 } else { 10 };
    let mut datagram = Vec::with_capacity(packet.bytes.len() + 256);
    datagram.extend_from_slice(MAGIC);
    datagram.extend_from_slice(&[0; 2]);
    let mut add = |kind: Chunk, value: &[u8]| {
        let len = u16::try_from(6 + value.len()).ok()?;
        datagram.extend_from_slice(&[0; 2]);
        datagram.extend_from_slice(&(kind as u16).to_be_bytes());
        datagram.extend_from_slice(&len.to_be_bytes());
        datagram.extend_from_slice(value);
        Some(())
    };
    add(Chunk::IpFamily, &[family])?;
    add(Chunk::IpProtocol, &[packet.carrier])?;
    for (address, v4, v6) in [
        (source, Chunk::SourceV4, Chunk::SourceV6),
        (destination, Chunk::DestinationV4, Chunk::DestinationV6),
    ] {
        match address.ip() {
            IpAddr::V4(address) => add(v4, &address.octets())?,
            IpAddr::V6(address) => add(v6, &address.octets())?,
        }
    }
    add(Chunk::SourcePort, &source.port().to_be_bytes())?;
    add(Chunk::DestinationPort, &destination.port().to_be_bytes())?;
    add(Chunk::Seconds, &(at.as_secs() as u32).to_be_bytes())?;
    add(Chunk::Microseconds, &at.subsec_micros().to_be_bytes())?;
    add(Chunk::ProtocolType, &[packet.kind])?;
    add(Chunk::CaptureId, &capture_id.to_be_bytes())?;
    if !key.is_empty() {
        add(Chunk::Key, key.as_bytes())?;
    }
    add(Chunk::CorrelationId, packet.call_id.as_str().as_bytes())?;
    add(Chunk::Payload, packet.bytes)?;
    let len = u16::try_from(datagram.len()).ok()?;
    datagram[4..6].copy_from_slice(&len.to_be_bytes());
    Some(datagram)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sip_core::flow::Flow;
    use std::collections::BTreeMap;

    /// Reads a datagram as a collector does (the HEP3 specification's "Network packet layout").
    fn chunks(datagram: &[u8]) -> BTreeMap<u16, Vec<u8>> {
        assert_eq!(&datagram[..4], b"HEP3");
        assert_eq!(usize::from(u16::from_be_bytes([datagram[4], datagram[5]])), datagram.len());
        let (mut rest, mut chunks) = (&datagram[6..], BTreeMap::new());
        while let Some((head, _)) = rest.split_at_checked(6) {
            assert_eq!(&head[..2], &[0, 0], "vendor");
            let len = usize::from(u16::from_be_bytes([head[4], head[5]]));
            let kind = u16::from_be_bytes([head[2], head[3]]);
            assert!(chunks.insert(kind, rest[6..len].to_vec()).is_none(), "chunk {kind} twice");
            rest = &rest[len..];
        }
        assert!(rest.is_empty());
        chunks
    }

    fn copied(is_sent: bool, transport: Transport, local: &str, remote: &str) -> Copied {
        let (local, remote) = (local.parse().unwrap(), remote.parse().unwrap());
        let flow = Flow { transport, local, remote, connection: None };
        Copied { call_id: "c1".into(), is_sent, flow, bytes: b"BYE sip:a SIP/2.0\r\n\r\n".to_vec() }
    }

    fn told(copied: &Copied) -> BTreeMap<u16, Vec<u8>> {
        let now = Duration::new(1_782_900_000, 123_456_789);
        chunks(&encode(&Packet::sip(copied), now, 2001, "secret").unwrap())
    }

    #[test]
    fn a_message_that_was_sent_over_udp() {
        let told = told(&copied(true, Transport::Udp, "192.0.2.1:5060", "198.51.100.7:5070"));
        let expected: [(u16, &[u8]); 13] = [
            (1, &[2]),
            (2, &[17]),
            (3, &[192, 0, 2, 1]),
            (4, &[198, 51, 100, 7]),
            (7, &5060_u16.to_be_bytes()),
            (8, &5070_u16.to_be_bytes()),
            (9, &1_782_900_000_u32.to_be_bytes()),
            (10, &123_456_u32.to_be_bytes()),
            (11, &[1]),
            (12, &2001_u32.to_be_bytes()),
            (14, b"secret"),
            (15, b"BYE sip:a SIP/2.0\r\n\r\n"),
            (17, b"c1"),
        ];
        assert_eq!(told, expected.map(|(kind, value)| (kind, value.to_vec())).into());
    }

    #[test]
    fn a_message_that_came_over_tls_and_ipv6() {
        let told =
            told(&copied(false, Transport::Tls, "[2001:db8::1]:5061", "[2001:db8::7]:40000"));
        assert_eq!((&told[&1][..], &told[&2][..]), (&[10][..], &[6][..]));
        let ip = |address: &str| address.parse::<std::net::Ipv6Addr>().unwrap().octets();
        assert_eq!(
            (&told[&5][..], &told[&6][..]),
            (&ip("2001:db8::7")[..], &ip("2001:db8::1")[..])
        );
        assert_eq!(told[&7], 40_000_u16.to_be_bytes());
        assert!(!told.contains_key(&3) && !told.contains_key(&4));
    }

    #[test]
    fn what_fits_no_datagram_is_not_sent() {
        let mut long = copied(true, Transport::Tcp, "192.0.2.1:5060", "198.51.100.7:5070");
        long.bytes = vec![b'x'; 65_500];
        assert_eq!(encode(&Packet::sip(&long), Duration::ZERO, 1, ""), None);
    }

    #[test]
    fn a_collector_that_is_not_there_costs_nothing_but_a_count() {
        let gone = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = HepConfig { address: gone.to_string(), ..HepConfig::default() };
        let hep = Hep::open(&config).unwrap().unwrap();
        let message = copied(true, Transport::Udp, "192.0.2.1:5060", "198.51.100.7:5070");
        (0..10).for_each(|_| hep.export(Duration::ZERO, &Packet::sip(&message)));
        assert_eq!(hep.sent_count.get() + hep.dropped_count.get(), 10);
        assert!(hep.dropped_count.get() > 0, "a refused datagram is told at the next one");
        assert!(Hep::open(&HepConfig::default()).unwrap().is_none());
    }
}
