//! The fuzz target of checks, with its corpus and seeded mutations of it: nothing panics, and what
//! is accepted can be answered.

use super::*;
use crate::ice;
use crate::random::Random;

/// The fuzz target: any bytes as a check. Tells whether they were one.
fn exercise(bytes: &[u8]) -> bool {
    let Ok(request) = parse(bytes) else { return false };
    let _ = (request.is_authentic(PASSWORD), request.is_authentic(""), ice::leg_of(&request));
    for source in ["192.0.2.1:1", "[2001:db8::1]:65535"].map(|source| source.parse().unwrap()) {
        for answer in
            [Answer::Success, Answer::UnknownAttributes(request.unknown), Answer::RoleConflict]
        {
            let mut out = [0; 120];
            let len = write(answer, request.transaction, source, PASSWORD, &mut out)
                .expect("every answer has room");
            assert_eq!(read_answer(&out[..len], PASSWORD).1, request.transaction);
            assert_eq!(parse(&out[..len]), Err(Refusal::Unexpected), "nobody answers an answer");
            assert_eq!(
                write(answer, request.transaction, source, PASSWORD, &mut out[..len - 1]),
                None
            );
        }
    }
    for len in 0..bytes.len() {
        assert_eq!(parse(&bytes[..len]), Err(Refusal::Malformed), "{len} bytes of it");
    }
    assert_eq!(parse(&[bytes, &[0; 4]].concat()), Err(Refusal::Malformed));
    true
}

fn corpus() -> Vec<Vec<u8>> {
    let long = [b'a'; 400];
    let attributes: [&[(u16, &[u8])]; 9] = [
        &[],
        &[(USERNAME, b"AAAA12345678:peer")],
        &[(USERNAME, b"")],
        &[(USERNAME, b":"), (USERNAME, b"second:one")],
        &[(USERNAME, &long), (USE_CANDIDATE, &[])],
        &[
            (0x0001, &[1]),
            (0x0002, &[1, 2]),
            (0x7ffe, &[1, 2, 3]),
            (0x7fff, &[]),
            (0x0003, &[0; 5]),
            (0x0004, &[]),
        ],
        &[(MESSAGE_INTEGRITY, &[0; 20]), (MESSAGE_INTEGRITY, &[1; 20])],
        &[(ICE_CONTROLLED, &[9; 8]), (0x802a, &[9; 8]), (PRIORITY, &[0; 4])],
        &[(FINGERPRINT, &[0; 4]), (USERNAME, b"a:b")],
    ];
    let made = attributes.into_iter().flat_map(|attributes| {
        [None, Some(PASSWORD)]
            .map(|password| message(BINDING_REQUEST, [7; 12], attributes, password))
    });
    let vectors = [REQUEST, RESPONSES[0], RESPONSES[1]].map(bytes);
    let short: [&[u8]; 4] = [&[], &[0], &[0, 1, 0, 0], &[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42]];
    made.chain(vectors)
        .chain([check(1, "AAAA12345678:peer", PASSWORD, true)])
        .chain(short.map(<[u8]>::to_vec))
        .collect()
}

/// Makes length and fingerprint right, so that what lies behind them is reached.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.truncate(bytes.len().saturating_sub(8).max(HEADER_LEN));
    bytes.resize(bytes.len().next_multiple_of(4).max(HEADER_LEN), 0);
    let len = (bytes.len() - HEADER_LEN + 8) as u16;
    bytes[2..4].copy_from_slice(&len.to_be_bytes());
    fingerprinted(bytes)
}

fn mutated(mut bytes: Vec<u8>, other: &[u8], random: &mut Random) -> Vec<u8> {
    for _ in 0..1 + random.next_u64() % 3 {
        let mut below = |bound: usize| random.next_u64() as usize % bound.max(1);
        let at = below(bytes.len());
        match below(5) {
            0 => bytes.truncate(at),
            1 => drop(bytes.splice(at..at, other.iter().copied().skip(below(other.len())).take(8))),
            2 => drop(bytes.drain(at..(at + below(9)).min(bytes.len()))),
            _ if bytes.is_empty() => {}
            3 => bytes[at] = [0, 1, 3, 4, 6, 8, 9, 20, 0x25, 0x28, 0x29, 0x80, 0xff][below(13)],
            _ => bytes[at] = below(256) as u8,
        }
    }
    bytes
}

#[test]
fn the_corpus_does_no_harm() {
    let accepted_count = corpus().iter().filter(|bytes| exercise(bytes)).count();
    assert_eq!((accepted_count, corpus().len()), (18, 26));
}

#[test]
fn mutations_do_no_harm() {
    let corpus = corpus();
    let mut accepted_count = 0;
    for seed in 0..20_000 {
        let mut random = Random::new(seed);
        let mut pick = || &corpus[random.next_u64() as usize % corpus.len()];
        let (base, other) = (pick(), pick());
        let mut bytes = mutated(base.clone(), other, &mut random);
        if !seed.is_multiple_of(4) {
            bytes = sealed(bytes);
        }
        match std::panic::catch_unwind(|| exercise(&bytes)) {
            Ok(is_check) => accepted_count += usize::from(is_check),
            Err(_) => panic!("seed {seed}: {bytes:02x?}"),
        }
    }
    assert!((2_000..18_000).contains(&accepted_count), "both paths are walked: {accepted_count}");
}
