//! Packets as they stand in a capture file: the classic pcap format, each packet an IP packet
//! (LINKTYPE_RAW) with UDP in it. What a stream carried stands in UDP as well, so that SIP is found
//! by who reads it; addresses and ports are the real ones.

use super::super::ends::{same_family, v6};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// LINKTYPE_RAW: the packet begins with its IP header.
const LINK_TYPE: u32 = 101;
/// Longest that a packet is kept: any datagram.
const SNAP_LEN: u32 = 65_535;
const UDP_LEN: usize = 8;
const IPV4_LEN: usize = 20;
const IPV6_LEN: usize = 40;
const UDP: u8 = 17;
const HOP_LIMIT: u8 = 64;

/// The head of a file, in microseconds and this machine's own order of bytes being little-endian.
pub fn file_head() -> [u8; 24] {
    let mut head = [0; 24];
    head[..4].copy_from_slice(&0xa1b2_c3d4_u32.to_le_bytes());
    head[4..6].copy_from_slice(&2_u16.to_le_bytes());
    head[6..8].copy_from_slice(&4_u16.to_le_bytes());
    head[16..20].copy_from_slice(&SNAP_LEN.to_le_bytes());
    head[20..].copy_from_slice(&LINK_TYPE.to_le_bytes());
    head
}

/// Adds a packet of which `kept` are the first bytes of a payload of `len`. What fits no packet is
/// cut.
pub fn add(
    file: &mut Vec<u8>,
    at: Duration,
    source: SocketAddr,
    destination: SocketAddr,
    kept: &[u8],
    len: usize,
) {
    let (source, destination) = same_family(source, destination);
    let head_len = UDP_LEN + if source.is_ipv4() { IPV4_LEN } else { IPV6_LEN };
    let room = SNAP_LEN as usize - head_len;
    let (kept, len) = (&kept[..kept.len().min(room)], len.min(room));
    file.extend_from_slice(&(at.as_secs() as u32).to_le_bytes());
    file.extend_from_slice(&at.subsec_micros().to_le_bytes());
    file.extend_from_slice(&((head_len + kept.len()) as u32).to_le_bytes());
    file.extend_from_slice(&((head_len + len) as u32).to_le_bytes());
    let udp_len = (UDP_LEN + len) as u16;
    match (source.ip(), destination.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let mut ip = [0; IPV4_LEN];
            ip[0] = 0x45;
            ip[2..4].copy_from_slice(&((head_len + len) as u16).to_be_bytes());
            // Don't fragment.
            ip[6] = 0x40;
            (ip[8], ip[9]) = (HOP_LIMIT, UDP);
            ip[12..16].copy_from_slice(&from.octets());
            ip[16..].copy_from_slice(&to.octets());
            let checksum = checksum(&ip);
            ip[10..12].copy_from_slice(&checksum.to_be_bytes());
            file.extend_from_slice(&ip);
        }
        (from, to) => {
            let mut ip = [0; IPV6_LEN];
            ip[0] = 0x60;
            ip[4..6].copy_from_slice(&udp_len.to_be_bytes());
            (ip[6], ip[7]) = (UDP, HOP_LIMIT);
            ip[8..24].copy_from_slice(&v6(from).octets());
            ip[24..].copy_from_slice(&v6(to).octets());
            file.extend_from_slice(&ip);
        }
    }
    file.extend_from_slice(&source.port().to_be_bytes());
    file.extend_from_slice(&destination.port().to_be_bytes());
    file.extend_from_slice(&udp_len.to_be_bytes());
    // No checksum: the payload need not be here.
    file.extend_from_slice(&[0; 2]);
    file.extend_from_slice(kept);
}

/// RFC 1071.
fn checksum(head: &[u8; IPV4_LEN]) -> u16 {
    let words = head.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::net::Ipv6Addr;

    /// A packet as a reader finds it.
    #[derive(Debug, PartialEq)]
    pub struct Read {
        pub at: Duration,
        pub source: SocketAddr,
        pub destination: SocketAddr,
        pub kept: Vec<u8>,
        pub len: usize,
    }

    /// Reads a whole file, by the format's description.
    pub fn read(file: &[u8]) -> Vec<Read> {
        let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
        assert_eq!((word(0), word(4), word(16), word(20)), (0xa1b2_c3d4, 2 | 4 << 16, 65_535, 101));
        let (mut at, mut packets) = (24, Vec::new());
        while at < file.len() {
            let (seconds, micros) = (word(at), word(at + 4));
            let (kept_len, whole_len) = (word(at + 8) as usize, word(at + 12) as usize);
            let packet = &file[at + 16..at + 16 + kept_len];
            at += 16 + kept_len;
            let (head_len, source, destination): (usize, IpAddr, IpAddr) = match packet[0] >> 4 {
                4 => {
                    let total: u32 = packet[..20]
                        .chunks(2)
                        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
                        .sum();
                    assert_eq!((total & 0xffff) + (total >> 16), 0xffff, "the checksum");
                    assert_eq!(usize::from(u16::from_be_bytes([packet[2], packet[3]])), whole_len);
                    let address = |at: usize| {
                        std::net::Ipv4Addr::from(<[u8; 4]>::try_from(&packet[at..at + 4]).unwrap())
                    };
                    (20, address(12).into(), address(16).into())
                }
                6 => {
                    let address = |at: usize| {
                        Ipv6Addr::from(<[u8; 16]>::try_from(&packet[at..at + 16]).unwrap())
                    };
                    (40, address(8).into(), address(24).into())
                }
                other => panic!("IP version {other}"),
            };
            let udp = &packet[head_len..];
            let number = |at: usize| u16::from_be_bytes([udp[at], udp[at + 1]]);
            assert_eq!(usize::from(number(4)), whole_len - head_len);
            packets.push(Read {
                at: Duration::new(seconds.into(), micros * 1_000),
                source: SocketAddr::new(source, number(0)),
                destination: SocketAddr::new(destination, number(2)),
                kept: udp[8..].to_vec(),
                len: whole_len - head_len - 8,
            });
        }
        packets
    }

    #[test]
    fn packets_are_read_as_they_were_added() {
        let mut file = file_head().to_vec();
        let ends = [
            ("192.0.2.1:20000", "198.51.100.7:4000"),
            ("[2001:db8::1]:20000", "[2001:db8::7]:4000"),
            ("[::ffff:192.0.2.1]:20000", "198.51.100.7:4000"),
        ];
        let at = Duration::new(1_782_900_000, 123_456_000);
        for (source, destination) in ends {
            add(&mut file, at, source.parse().unwrap(), destination.parse().unwrap(), b"head", 172);
        }
        let packets = read(&file);
        assert_eq!(packets.len(), 3);
        for (packet, (source, destination)) in packets.iter().zip(ends) {
            let source = source.replace("[::ffff:192.0.2.1]", "192.0.2.1");
            assert_eq!(packet.source.to_string(), source);
            assert_eq!(packet.destination.to_string(), destination);
            assert_eq!((packet.kept.as_slice(), packet.len, packet.at), (&b"head"[..], 172, at));
        }
        let end = "192.0.2.1:1".parse().unwrap();
        add(&mut file, at, end, end, &[0; 70_000], 70_000);
        assert_eq!(read(&file)[3].len, 65_535 - 28);
    }
}
