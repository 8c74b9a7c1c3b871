//! The first bytes of RFC 7983, and the fuzz target: no protocol's reader takes what is another's.

use super::*;
use crate::codec::PayloadType;
use crate::random::Random;
use crate::rtp::{Header, Ssrc};
use crate::{rtcp, stun};

#[test]
fn first_bytes_follow_rfc_7983() {
    for first in 0..=255 {
        let expected = match first {
            0..=3 => Protocol::Stun,
            20..=63 => Protocol::Dtls,
            128..=191 => Protocol::Rtp,
            _ => Protocol::Other,
        };
        assert_eq!(classify(&[first, 0]), expected, "{first}");
    }
    assert_eq!(classify(&[128, 200]), Protocol::Rtcp);
    assert_eq!(classify(&[128, 96 | 128]), Protocol::Rtp);
    assert_eq!(classify(&[]), Protocol::Other);
    assert_eq!(classify(&[1]), Protocol::Stun);
}

/// The fuzz target: any bytes as a datagram. Tells what it is.
fn exercise(datagram: &[u8]) -> Protocol {
    let protocol = classify(datagram);
    assert_eq!(protocol, classify(&datagram[..datagram.len().min(2)]), "two bytes tell");
    if stun::parse(datagram).is_ok() {
        assert_eq!(protocol, Protocol::Stun);
    }
    if rtcp::parse(datagram, Ssrc(1)).is_ok() {
        assert_eq!(protocol, Protocol::Rtcp);
    }
    if rtp::parse(datagram).is_ok() {
        // RFC 5761 §4: 64 payload types are RTCP's.
        assert!(matches!(protocol, Protocol::Rtp | Protocol::Rtcp), "{protocol:?}");
    }
    // RFC 6347 §4.1, RFC 9147 §4: a content type with its version, or the unified header.
    if matches!(datagram, [20..=26, 0xfe, 0xfd..=0xff, ..] | [0x20..=0x3f, ..]) {
        assert_eq!(protocol, Protocol::Dtls);
    }
    protocol
}

fn corpus() -> Vec<(Protocol, Vec<u8>)> {
    let header = Header {
        payload_type: PayloadType::new(8).unwrap(),
        marker: true,
        sequence: 7,
        timestamp: 160,
        ssrc: Ssrc(9),
    };
    let mut audio = vec![0; 172];
    header.write(&[0x55; 160], &mut audio).unwrap();
    vec![
        (Protocol::Stun, stun::tests::check(1, "AAAA12345678:peer", "password", true)),
        (Protocol::Stun, vec![3; 40]),
        (Protocol::Dtls, [&[22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 20][..], &[1; 20]].concat()),
        (Protocol::Dtls, [&[0x2f, 1, 0, 0, 20][..], &[5; 20]].concat()),
        (Protocol::Rtp, audio),
        (Protocol::Rtcp, vec![0x80, 201, 0, 1, 0, 0, 0, 9]),
        (Protocol::Rtcp, [&[0x81, 200, 0, 12, 0, 0, 0, 9][..], &[0; 44]].concat()),
        (Protocol::Other, [&[0x10, 0, 0, 1][..], b"ZRTP", &[0; 20]].concat()),
        (Protocol::Other, vec![0x40, 0, 0, 4, 1, 2, 3, 4]),
        (Protocol::Other, vec![]),
    ]
}

#[test]
fn the_corpus_and_its_mutations_are_told_apart() {
    let mut random = Random::new(1);
    for (expected, datagram) in corpus() {
        assert_eq!(exercise(&datagram), expected, "{datagram:02x?}");
        for _ in 0..2_000 {
            let mut mutated = datagram.clone();
            for _ in 0..1 + random.next_u64() % 3 {
                // Mostly where the protocols differ.
                let at = random.next_u64() as usize
                    % if random.next_u64().is_multiple_of(4) { mutated.len().max(1) } else { 4 };
                mutated.get_mut(at).into_iter().for_each(|byte| *byte = random.next_u64() as u8);
            }
            mutated.truncate(mutated.len() - random.next_u64() as usize % 8 % (mutated.len() + 1));
            exercise(&mutated);
        }
    }
}
