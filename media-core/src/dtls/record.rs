//! The outside of the records that a client sends. What is malformed there is told before the
//! handshake sees it, because the handshake would keep some of it and wait behind it for ever (RFC
//! 6347 §4.1.2.7, RFC 9147 §4.5.2: invalid records are silently discarded).

pub(super) const HEADER_LEN: usize = 13;
pub(super) const FRAGMENT_HEADER_LEN: usize = 12;
/// The shortest protected content: a tag; RFC 9147 §4.2.3 needs as much to find the record's
/// number.
const PROTECTED_LEN: usize = 16;
/// Bytes of a record's number in an ACK.
const RECORD_NUMBER_LEN: usize = 16;

/// Record versions of DTLS 1.0 (a first ClientHello) and of everything later (RFC 9147 §4).
const VERSIONS: [[u8; 2]; 2] = [[254, 255], [254, 253]];
// Content types.
const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;
const ACK: u8 = 26;
/// What a client says in the clear: ClientHello, Certificate, CertificateVerify and
/// ClientKeyExchange. None is empty.
const CLEAR_MESSAGES: [u8; 4] = [1, 11, 15, 16];

/// Whether a datagram holds nothing but whole records that a client may send, in the clear or
/// protected. Says nothing of who sent them.
pub(crate) fn is_sound(datagram: &[u8]) -> bool {
    let mut rest = datagram;
    while !rest.is_empty() {
        let after = if rest[0] >> 5 == 0b001 { after_unified(rest) } else { after_plain(rest) };
        let Some(after) = after else { return false };
        rest = after;
    }
    true
}

/// What follows a record of RFC 6347 §4.1 or RFC 9147 §4's DTLSPlaintext.
fn after_plain(record: &[u8]) -> Option<&[u8]> {
    let (header, rest) = record.split_at_checked(HEADER_LEN)?;
    let (content, rest) = rest.split_at_checked(number(&header[11..13]))?;
    let is_sound = match (number(&header[3..5]), header[0]) {
        (0, CHANGE_CIPHER_SPEC) => content == [1],
        (0, ALERT) => matches!(content, [1 | 2, _]),
        (0, HANDSHAKE) => !content.is_empty() && are_fragments(content),
        (0, ACK) => matches!(content, [high, low, numbers @ ..]
            if numbers.len() == number(&[*high,
                *low]) && numbers.len().is_multiple_of(RECORD_NUMBER_LEN)),
        (1, ALERT | HANDSHAKE | APPLICATION_DATA) => content.len() >= PROTECTED_LEN,
        _ => false,
    };
    (is_sound && VERSIONS.iter().any(|version| header[1..3] == *version)).then_some(rest)
}

/// What follows a record with a unified header (RFC 9147 §4). Connection ids are not negotiated.
fn after_unified(record: &[u8]) -> Option<&[u8]> {
    let flags = record[0];
    let [has_id, has_long_number, has_len] = [0x10, 0x08, 0x04].map(|bit| flags & bit != 0);
    let (_, rest) = record.split_at_checked(if has_long_number { 3 } else { 2 })?;
    let (content, rest) = if has_len {
        let (len, rest) = rest.split_at_checked(2)?;
        rest.split_at_checked(number(len))?
    } else {
        (rest, &[][..])
    };
    (!has_id && content.len() >= PROTECTED_LEN).then_some(rest)
}

/// Whether handshake fragments follow each other to the end, each within its message (RFC 6347
/// §4.2.2).
fn are_fragments(content: &[u8]) -> bool {
    let mut rest = content;
    while !rest.is_empty() {
        let Some((header, body)) = rest.split_at_checked(FRAGMENT_HEADER_LEN) else { return false };
        let [message_len, offset, len] = [1, 6, 9].map(|at| number(&header[at..at + 3]));
        let is_sound =
            CLEAR_MESSAGES.contains(&header[0]) && len > 0 && offset + len <= message_len;
        let Some(after) = body.get(len..).filter(|_| is_sound) else { return false };
        rest = after;
    }
    true
}

/// A big-endian number of up to three bytes.
pub(super) fn number(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |number, byte| number << 8 | usize::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(kind: u8, epoch: u8, content: &[u8]) -> Vec<u8> {
        let header = [
            kind,
            254,
            253,
            0,
            epoch,
            0,
            0,
            0,
            0,
            0,
            1,
            (content.len() >> 8) as u8,
            content.len() as u8,
        ];
        [&header[..], content].concat()
    }

    fn fragment(kind: u8, message_len: u8, offset: u8, len: u8) -> Vec<u8> {
        let header = [kind, 0, 0, message_len, 0, 0, 0, 0, offset, 0, 0, len];
        [&header[..], &vec![7; len.into()]].concat()
    }

    #[track_caller]
    fn check(datagram: &[u8], expected: bool) {
        assert_eq!(is_sound(datagram), expected, "{datagram:?}");
        // Whatever is sound is not any more when its last record is cut, unless the cut leaves a
        // whole one without a length.
        if expected && datagram[0] & 0x24 != 0x20 {
            assert!(!is_sound(&datagram[..datagram.len() - 1]), "{datagram:?}, cut");
        }
    }

    #[test]
    fn plain_records() {
        check(&plain(HANDSHAKE, 0, &fragment(1, 40, 0, 40)), true);
        check(&plain(HANDSHAKE, 0, &[fragment(11, 3, 0, 3), fragment(16, 9, 4, 5)].concat()), true);
        check(&plain(CHANGE_CIPHER_SPEC, 0, &[1]), true);
        check(&plain(ALERT, 0, &[2, 40]), true);
        check(&plain(ACK, 0, &[&[0, 16][..], &[0; 16]].concat()), true);
        check(
            &[plain(HANDSHAKE, 0, &fragment(15, 4, 0, 4)), plain(HANDSHAKE, 1, &[0; 40])].concat(),
            true,
        );
        for kind in [ALERT, HANDSHAKE, APPLICATION_DATA] {
            check(&plain(kind, 1, &[0; 16]), true);
            check(&plain(kind, 1, &[0; 15]), false);
            check(&plain(kind, 2, &[0; 16]), false);
        }
        for kind in [24, 25, 27, 31, APPLICATION_DATA] {
            check(&plain(kind, 0, &[0; 16]), false);
        }
        let mut versions = plain(CHANGE_CIPHER_SPEC, 0, &[1]);
        versions[2] = 255;
        check(&versions, true);
        versions[2] = 252;
        check(&versions, false);
        for content in [&[][..], &[2], &[1, 1]] {
            check(&plain(CHANGE_CIPHER_SPEC, 0, content), false);
        }
        for content in [&[][..], &[2], &[3, 0], &[2, 40, 0]] {
            check(&plain(ALERT, 0, content), false);
        }
        for content in [&[][..], &[0], &[0, 1, 0], &[0, 16], &[0, 0, 0]] {
            check(&plain(ACK, 0, content), false);
        }
        check(&plain(CHANGE_CIPHER_SPEC, 1, &[1; 16]), false);
    }

    #[test]
    fn fragments() {
        let whole = fragment(1, 40, 0, 40);
        for content in [
            // No fragment, a part of a header, one byte too few and one too many.
            &[][..],
            &whole[..11],
            &whole[..51],
            &[&whole[..], &[0]].concat(),
            // Beyond its message, empty, and what a client does not say in the clear.
            &fragment(1, 40, 1, 40),
            &fragment(1, 39, 0, 40),
            &fragment(1, 40, 0, 0),
            &fragment(1, 0, 0, 0),
            &fragment(0, 4, 0, 4),
            &fragment(2, 4, 0, 4),
            &fragment(20, 12, 0, 12),
            &fragment(99, 4, 0, 4),
        ] {
            check(&plain(HANDSHAKE, 0, content), false);
        }
        let mut far = fragment(1, 255, 0, 10);
        far[6..9].copy_from_slice(&[255; 3]);
        check(&plain(HANDSHAKE, 0, &far), false);
    }

    #[test]
    fn unified_records() {
        let unified =
            |flags: u8, head: &[u8], len: usize| [&[flags][..], head, &vec![9; len]].concat();
        check(&unified(0b0010_0010, &[1], 16), true);
        check(&unified(0b0010_1010, &[0, 1], 16), true);
        check(&unified(0b0010_1110, &[0, 1, 0, 16], 16), true);
        check(&[unified(0b0010_0110, &[1, 0, 17], 17), plain(ALERT, 0, &[1, 0])].concat(), true);
        check(&unified(0b0010_0010, &[1], 15), false);
        check(&unified(0b0010_1110, &[0, 1, 0, 15], 15), false);
        check(&unified(0b0010_1110, &[0, 1, 0, 17], 16), false);
        check(&unified(0b0010_1110, &[0, 1, 0], 0), false);
        check(&unified(0b0010_1000, &[0], 0), false);
        check(&unified(0b0011_0010, &[1], 30), false);
    }
}
