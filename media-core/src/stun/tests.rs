//! The vectors of RFC 5769, answers read back, and checks of a peer for the tests of others.

mod mutation;

use super::*;

const PASSWORD: &str = "VOkJxbRl1RmTxUk/WvJxBt";

/// RFC 5769 §2.1: a request.
const REQUEST: &str =
    "000100582112a442b7e7a701bc34d686fa87dfae 80220010 5354554e207465737420636c69656e74
    00240004 6e0001ff 80290008 932ff9b151263b36 00060009 6576746a3a683676592020 20
    00080014 9aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2 80280004 e57a3bcf";
/// RFC 5769 §2.2 and §2.3: answers to 192.0.2.1 and [2001:db8:1234:5678:11:2233:4455:6677], port
/// 32853.
const RESPONSES: [&str; 2] = [
    "0101003c2112a442b7e7a701bc34d686fa87dfae 8022000b 7465737420766563746f7220 00200008 \
        0001a147e112a643
     00080014 2b91f599fd9e90c38c7489f92af9ba53f06be7d7 80280004 c07d4c96",
    "010100482112a442b7e7a701bc34d686fa87dfae 8022000b 7465737420766563746f7220
     00200014 0002a1470113a9faa5d3f179bc25f4b5bed2b9d9 00080014 \
     a382954e4be67bf11784c97c8292c275bfe3ed41
     80280004 c8fb0b4c",
];

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

/// Prints a message with these attributes; with a password, integrity and fingerprint follow.
pub(crate) fn message(
    kind: u16,
    transaction: TransactionId,
    attributes: &[(u16, &[u8])],
    password: Option<&str>,
) -> Vec<u8> {
    let mut out = [0; 600];
    let mut writer = Writer { out: &mut out, len: 0 };
    writer.bytes(&[&kind.to_be_bytes()[..], &[0; 2], &COOKIE, &transaction].concat()).unwrap();
    attributes.iter().for_each(|(kind, value)| writer.attribute(*kind, value).unwrap());
    if let Some(password) = password {
        let tag = integrity(&writer.out[..writer.len], password).finalize().into_bytes();
        writer.attribute(MESSAGE_INTEGRITY, &tag).unwrap();
    }
    writer.set_len(8);
    let checksum = fingerprint(&writer.out[..writer.len]);
    writer.attribute(FINGERPRINT, &checksum.to_be_bytes()).unwrap();
    writer.out[..writer.len].to_vec()
}

/// A check as a controlling agent sends it.
pub(crate) fn check(transaction: u8, username: &str, password: &str, nominates: bool) -> Vec<u8> {
    let attributes = [
        (USERNAME, username.as_bytes()),
        (0xc057, &[0, 1, 0, 10]),
        (0x802a, &[7; 8]),
        (PRIORITY, &[1; 4]),
        (USE_CANDIDATE, &[]),
    ];
    let count = if nominates { 5 } else { 4 };
    message(BINDING_REQUEST, [transaction; 12], &attributes[..count], Some(password))
}

/// Gives a message's header and attributes the fingerprint that would make them right.
fn fingerprinted(mut message: Vec<u8>) -> Vec<u8> {
    let checksum = fingerprint(&message);
    message.extend_from_slice(&[FINGERPRINT.to_be_bytes(), 4u16.to_be_bytes()].concat());
    message.extend_from_slice(&checksum.to_be_bytes());
    message
}

/// Type, transaction and attributes of an answer whose integrity and fingerprint are right.
fn read_answer(answer: &[u8], password: &str) -> (u16, TransactionId, Vec<(u16, Vec<u8>)>) {
    let (header, mut rest) = answer.split_first_chunk::<HEADER_LEN>().unwrap();
    let mut attributes = Vec::new();
    while let Some((head, after)) = rest.split_first_chunk::<4>() {
        let at = answer.len() - rest.len();
        let (kind, len) = (
            u16::from_be_bytes([head[0], head[1]]),
            usize::from(u16::from_be_bytes([head[2], head[3]])),
        );
        match kind {
            MESSAGE_INTEGRITY => {
                integrity(&answer[..at], password).verify_slice(&after[..len]).unwrap()
            }
            FINGERPRINT => assert_eq!(after[..len], fingerprint(&answer[..at]).to_be_bytes()),
            _ => attributes.push((kind, after[..len].to_vec())),
        }
        rest = &after[len.next_multiple_of(4)..];
    }
    assert_eq!(usize::from(u16::from_be_bytes([header[2], header[3]])) + HEADER_LEN, answer.len());
    (u16::from_be_bytes([header[0], header[1]]), *header.last_chunk().unwrap(), attributes)
}

#[test]
fn the_request_of_rfc_5769() {
    let message = bytes(REQUEST);
    let request = parse(&message).unwrap();
    assert_eq!(request.username, b"evtj:h6vY");
    assert_eq!(request.transaction[..], bytes("b7e7a701bc34d686fa87dfae"));
    assert!(request.is_controlled && !request.nominates && request.unknown.is_empty());
    assert!(request.is_authentic(PASSWORD));
    assert!(!request.is_authentic("VOkJxbRl1RmTxUk/WvJxBu"));
}

#[test]
fn the_answers_of_rfc_5769() {
    let sources: [SocketAddr; 2] = [
        "192.0.2.1:32853".parse().unwrap(),
        "[2001:db8:1234:5678:11:2233:4455:6677]:32853".parse().unwrap(),
    ];
    for (hex, source) in RESPONSES.iter().zip(sources) {
        let (kind, transaction, attributes) = read_answer(&bytes(hex), PASSWORD);
        assert_eq!(kind, BINDING_SUCCESS);
        let mut out = [0; 100];
        let len = write(Answer::Success, transaction, source, PASSWORD, &mut out).unwrap();
        let (kind, same, ours) = read_answer(&out[..len], PASSWORD);
        assert_eq!((kind, same), (BINDING_SUCCESS, transaction));
        assert_eq!(ours, attributes[1..], "XOR-MAPPED-ADDRESS");
        assert_eq!(
            write(Answer::Success, transaction, source, PASSWORD, &mut out[..len - 1]),
            None
        );
    }
}

#[test]
fn errors_name_what_is_wrong() {
    let message = message(
        BINDING_REQUEST,
        [3; 12],
        &[(0x0002, &[1, 2]), (USERNAME, b"a:b"), (0x7fff, &[])],
        Some(PASSWORD),
    );
    let request = parse(&message).unwrap();
    assert!(!request.unknown.is_empty());
    let mut out = [0; 100];
    let source = "192.0.2.1:1".parse().unwrap();
    let len =
        write(Answer::UnknownAttributes(request.unknown), [3; 12], source, PASSWORD, &mut out)
            .unwrap();
    let expected =
        vec![(ERROR_CODE, vec![0, 0, 4, 20]), (UNKNOWN_ATTRIBUTES, vec![0, 2, 0x7f, 0xff])];
    assert_eq!(read_answer(&out[..len], PASSWORD), (BINDING_ERROR, [3; 12], expected));
    let len = write(Answer::RoleConflict, [3; 12], source, PASSWORD, &mut out).unwrap();
    assert_eq!(
        read_answer(&out[..len], PASSWORD),
        (BINDING_ERROR, [3; 12], vec![(ERROR_CODE, vec![0, 0, 4, 87])])
    );
}

#[test]
fn what_follows_the_integrity_counts_for_nothing() {
    let tag = |message: &[u8]| {
        integrity(&message[..message.len() - 8], PASSWORD).finalize().into_bytes().to_vec()
    };
    let plain = message(BINDING_REQUEST, [1; 12], &[(USERNAME, b"a:b")], None);
    let tag = tag(&plain);
    let late = [
        (USERNAME, &b"a:b"[..]),
        (MESSAGE_INTEGRITY, &tag),
        (USE_CANDIDATE, &[]),
        (0x001c, &[0; 32]),
    ];
    let message = message(BINDING_REQUEST, [1; 12], &late, None);
    let request = parse(&message).unwrap();
    assert!(request.is_authentic(PASSWORD) && !request.nominates && request.unknown.is_empty());
}

#[test]
fn other_messages_are_refused() {
    #[track_caller]
    fn check(message: &[u8], refusal: Refusal) {
        assert_eq!(parse(message).unwrap_err(), refusal);
    }
    let sound = super::tests::check(1, "a:b", PASSWORD, true);
    (0..sound.len()).for_each(|len| check(&sound[..len], Refusal::Malformed));
    for at in 0..sound.len() {
        let mut changed = sound.clone();
        changed[at] ^= 0x01;
        match parse(&changed) {
            // The type alone stands before the fingerprint is looked at.
            Err(Refusal::Unexpected) => assert!(at < 2),
            result => assert_eq!(result, Err(Refusal::Malformed), "byte {at}"),
        }
    }
    // indication
    check(&message(BINDING_REQUEST | 0x10, [1; 12], &[], Some(PASSWORD)), Refusal::Unexpected);
    check(&message(BINDING_SUCCESS, [1; 12], &[], Some(PASSWORD)), Refusal::Unexpected);
    check(&message(0x0003, [1; 12], &[], Some(PASSWORD)), Refusal::Unexpected); // TURN Allocate
    check(
        &message(BINDING_REQUEST, [1; 12], &[(MESSAGE_INTEGRITY, &[0; 19])], None),
        Refusal::Malformed,
    );
    let unsigned = message(BINDING_REQUEST, [1; 12], &[(USERNAME, b"a:b")], None);
    assert!(!parse(&unsigned).unwrap().is_authentic(PASSWORD));
}

/// The fingerprint vouches for the bytes, not for their meaning.
#[test]
fn a_right_fingerprint_makes_no_right_message() {
    let sound = super::tests::check(1, "a:b", PASSWORD, true);
    let bare = &sound[..sound.len() - 8];
    assert_eq!(fingerprinted(bare.to_vec()), sound);
    let with = |at: usize, bytes: &[u8]| {
        let mut changed = bare.to_vec();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        changed
    };
    let declared = (sound.len() - HEADER_LEN) as u16;
    for len in [0, declared - 4, declared + 4, declared - 1, u16::MAX] {
        assert_eq!(
            parse(&fingerprinted(with(2, &len.to_be_bytes()))),
            Err(Refusal::Malformed),
            "length {len}"
        );
    }
    // RFC 8489 §6.3: without the cookie it is of RFC 3489, or not STUN.
    assert_eq!(parse(&fingerprinted(with(4, &[0x21, 0x12, 0xa4, 0x43]))), Err(Refusal::Malformed));
    // RFC 8489 §14.7: "the FINGERPRINT attribute MUST be the last attribute in the message".
    let longer = fingerprinted(with(2, &(declared + 4).to_be_bytes()));
    assert_eq!(parse(&[longer, vec![0x80, 0x22, 0, 0]].concat()), Err(Refusal::Malformed));
}

#[test]
fn of_equal_attributes_the_first_counts() {
    let names = [(USERNAME, &b"a:b"[..]), (USERNAME, b"c:d")];
    let message = message(BINDING_REQUEST, [1; 12], &names, Some(PASSWORD));
    assert_eq!(parse(&message).unwrap().username, b"a:b");
}

// RFC 5769 §2.2, §2.3
#[test]
fn answers_say_as_whom_we_are_seen() {
    let addresses = ["192.0.2.1:32853", "[2001:db8:1234:5678:11:2233:4455:6677]:32853"];
    let transaction = *b"\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae";
    for (response, address) in RESPONSES.iter().zip(addresses) {
        let response = bytes(response);
        assert_eq!(answered(&response), Some(transaction));
        assert_eq!(mapped_address(&response), Some(address.parse().unwrap()));
        // Cut short, it says nothing; nor does a check.
        for len in 0..response.len() {
            assert_eq!(mapped_address(&response[..len]), None, "{len}");
        }
    }
    assert_eq!(answered(&bytes(REQUEST)), None);
    let request = binding_request(transaction);
    assert_eq!(request[..], bytes("000100002112a442b7e7a701bc34d686fa87dfae"));
    let odd = |value: &[u8]| {
        mapped_address(&message(BINDING_SUCCESS, transaction, &[(XOR_MAPPED_ADDRESS, value)], None))
    };
    for value in [
        &[][..],
        &[0, 1, 0],
        &[0, 1, 0, 0, 1, 2, 3],
        &[0, 3, 0, 0, 1, 2, 3, 4],
        &[0, 2, 0, 0, 1, 2, 3, 4],
    ] {
        assert_eq!(odd(value), None, "{value:?}");
    }
}
