//! A look into a client's first message, to choose the version of DTLS that serves it best.

use super::record::{FRAGMENT_HEADER_LEN, HEADER_LEN, number};

const CLIENT_HELLO: u8 = 1;
/// Version, then random (RFC 6347 §4.2.1).
const FIXED_LEN: usize = 2 + 32;
/// RFC 5764 §4.1.1
const USE_SRTP: usize = 14;
/// Of DTLS 1.2, where every WebRTC client has it (RFC 8827 §6.5).
const ECDHE_ECDSA_AES_128_GCM: [u8; 2] = [0xC0, 0x2B];
/// SRTP protection profiles with AES-GCM (RFC 7714 §14.2).
const GCM_PROFILES: [[u8; 2]; 2] = [[0, 7], [0, 8]];

/// Whether a client that speaks DTLS 1.2, too, gets AES-GCM by it alone: as a server of 1.3 `dimpl`
/// takes the first profile that the client lists, as one of 1.2 AES-GCM wherever it is listed. A
/// hello with a post-quantum key share takes several records, in any order of extensions: a list
/// that is not in the first one is taken for the browsers', which has AES-GCM, but not first.
pub(super) fn gets_gcm_by_1_2_only(datagram: &[u8]) -> bool {
    let Some((suites, extensions)) = opening(datagram) else { return false };
    let is_gcm = |profile: &[u8]| GCM_PROFILES.iter().any(|gcm| gcm == profile);
    let is_gcm_later = profiles(extensions).is_none_or(|list| {
        !list.chunks(2).next().is_some_and(is_gcm) && list.chunks(2).any(is_gcm)
    });
    suites.chunks(2).any(|suite| suite == ECDHE_ECDSA_AES_128_GCM) && is_gcm_later
}

/// The cipher suites of a ClientHello that the first record begins, and what it holds of the
/// extensions (RFC 5246 §7.4.1.2, RFC 6347 §4.2.1).
fn opening(datagram: &[u8]) -> Option<(&[u8], &[u8])> {
    let (header, rest) = datagram.split_at_checked(HEADER_LEN + FRAGMENT_HEADER_LEN)?;
    let [offset, len] = [6, 9].map(|at| number(&header[HEADER_LEN + at..HEADER_LEN + at + 3]));
    if header[HEADER_LEN] != CLIENT_HELLO || offset != 0 {
        return None;
    }
    let (_, rest) = rest.get(..len)?.split_at_checked(FIXED_LEN)?;
    let (_session_id, rest) = prefixed(rest, 1)?;
    let (_cookie, rest) = prefixed(rest, 1)?;
    let (suites, rest) = prefixed(rest, 2)?;
    let (_compression_methods, rest) = prefixed(rest, 1)?;
    Some((suites, rest.get(2..)?))
}

/// The SRTP profiles, if they are among these extensions, the last of which may be cut.
fn profiles(mut extensions: &[u8]) -> Option<&[u8]> {
    loop {
        let (kind, rest) = extensions.split_at_checked(2)?;
        let (content, rest) = prefixed(rest, 2)?;
        if number(kind) == USE_SRTP {
            return Some(prefixed(content, 2)?.0);
        }
        extensions = rest;
    }
}

/// What a length of so many bytes announces, and what follows it.
fn prefixed(bytes: &[u8], len_bytes: usize) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_at_checked(len_bytes)?;
    rest.split_at_checked(number(len))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA1_80: u8 = 1;
    const GCM_128: u8 = 7;
    const GCM_256: u8 = 8;

    fn with_len(len_bytes: usize, content: &[u8]) -> Vec<u8> {
        [&(content.len() as u32).to_be_bytes()[4 - len_bytes..], content].concat()
    }

    /// With these cipher suites and SRTP profiles, and a key share of so many bytes before the
    /// latter.
    fn hello(suites: &[u8], key_share_len: usize, profiles: &[u8]) -> Vec<u8> {
        let profiles: Vec<u8> = profiles.iter().flat_map(|profile| [0, *profile]).collect();
        let extensions = [
            [vec![0, 51], with_len(2, &vec![9; key_share_len])].concat(),
            [vec![0, 14], with_len(2, &[with_len(2, &profiles), vec![0]].concat())].concat(),
            [vec![0, 23], with_len(2, &[])].concat(),
        ];
        let lists =
            [with_len(1, &[]), with_len(1, &[9; 20]), with_len(2, suites), with_len(1, &[0])]
                .concat();
        [vec![7; FIXED_LEN], lists, with_len(2, &extensions.concat())].concat()
    }

    /// One record with the first bytes of this message.
    fn record(hello: &[u8], len: usize) -> Vec<u8> {
        let number = |number: usize| (number as u32).to_be_bytes()[1..].to_vec();
        let message = [
            vec![CLIENT_HELLO],
            number(hello.len()),
            vec![0; 5],
            number(len),
            hello[..len].to_vec(),
        ]
        .concat();
        [&[22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0][..], &with_len(2, &message)].concat()
    }

    const BOTH: &[u8] = &[0x13, 1, 0xC0, 0x2B];

    #[test]
    fn clients_that_list_gcm_later_get_it_by_1_2() {
        for (suites, profiles, expected) in [
            (BOTH, &[SHA1_80, GCM_128, GCM_256][..], true),
            (BOTH, &[SHA1_80, 2, GCM_256], true),
            (BOTH, &[GCM_128, SHA1_80], false),
            (BOTH, &[GCM_256, GCM_128], false),
            (BOTH, &[SHA1_80], false),
            (BOTH, &[], false),
            (&[0x13, 1, 0x13, 3], &[SHA1_80, GCM_128], false),
        ] {
            let hello = hello(suites, 32, profiles);
            assert_eq!(
                gets_gcm_by_1_2_only(&record(&hello, hello.len())),
                expected,
                "{suites:?} {profiles:?}"
            );
        }
    }

    #[test]
    fn a_list_beyond_the_first_record_is_taken_for_a_browsers() {
        for (suites, expected) in [(BOTH, true), (&[0x13, 1][..], false)] {
            assert_eq!(
                gets_gcm_by_1_2_only(&record(&hello(suites, 1200, &[GCM_128]), 1100)),
                expected,
                "{suites:?}"
            );
        }
    }

    #[test]
    fn what_is_no_beginning_of_a_hello_says_nothing() {
        let hello = hello(BOTH, 32, &[SHA1_80, GCM_128]);
        let whole = record(&hello, hello.len());
        for len in 0..whole.len() {
            assert!(!gets_gcm_by_1_2_only(&whole[..len]), "{len} bytes");
        }
        for at in [HEADER_LEN, HEADER_LEN + 8] {
            let mut other = whole.clone();
            other[at] ^= 2;
            assert!(!gets_gcm_by_1_2_only(&other), "at {at}");
        }
    }
}
