//! RTP packets as bytes (RFC 3550 §5.1): classification, reading through `rtp-rs`, writing of fixed
//! headers. Sequence arithmetic over time is in `reception` and `sender`.

use rtp_rs::RtpReader;

use crate::codec::PayloadType;

/// Length of the fixed header.
pub const HEADER_LEN: usize = 12;

/// Identifies the source of a stream (RFC 3550 §8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ssrc(pub u32);

/// What a datagram on a media port is, by its first two bytes (RFC 7983 §7, RFC 5761 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    Rtp,
    Rtcp,
    Other,
}

/// Tells RTP from RTCP from the rest; reads two bytes only.
pub fn classify(datagram: &[u8]) -> Class {
    match datagram {
        [128..=191, 192..=223, ..] => Class::Rtcp,
        [128..=191, _, ..] => Class::Rtp,
        _ => Class::Other,
    }
}

/// The fixed header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub payload_type: PayloadType,
    pub marker: bool,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: Ssrc,
}

impl Header {
    /// Reads the fixed fields, which SRTP leaves in clear; `None` if the datagram is shorter or not
    /// version 2.
    pub fn peek(datagram: &[u8]) -> Option<Header> {
        let fixed: &[u8; HEADER_LEN] = datagram.first_chunk()?;
        let [first, second, s0, s1, t0, t1, t2, t3, i0, i1, i2, i3] = *fixed;
        if first >> 6 != 2 {
            return None;
        }
        Some(Header {
            payload_type: PayloadType::new(second & 0x7f)?,
            marker: second & 0x80 != 0,
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: Ssrc(u32::from_be_bytes([i0, i1, i2, i3])),
        })
    }

    /// The twelve bytes of a header without CSRC, extension or padding.
    pub fn to_bytes(self) -> [u8; HEADER_LEN] {
        let [s0, s1] = self.sequence.to_be_bytes();
        let [t0, t1, t2, t3] = self.timestamp.to_be_bytes();
        let [i0, i1, i2, i3] = self.ssrc.0.to_be_bytes();
        [
            0x80,
            (self.marker as u8) << 7 | self.payload_type.number(),
            s0,
            s1,
            t0,
            t1,
            t2,
            t3,
            i0,
            i1,
            i2,
            i3,
        ]
    }

    /// Writes header and payload into `out`; returns the length, or `None` if `out` is too short.
    pub fn write(self, payload: &[u8], out: &mut [u8]) -> Option<usize> {
        let len = HEADER_LEN + payload.len();
        let out = out.get_mut(..len)?;
        out[..HEADER_LEN].copy_from_slice(&self.to_bytes());
        out[HEADER_LEN..].copy_from_slice(payload);
        Some(len)
    }
}

/// A whole packet: its header, and where its payload lies once CSRCs, extension and padding are
/// left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    pub header: Header,
    /// Offset of the payload in the datagram, at least `HEADER_LEN`.
    pub payload_start: usize,
    pub payload_len: usize,
}

/// A datagram that is not a well-formed RTP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed RTP packet")]
pub struct Malformed;

/// Reads a whole plain packet.
pub fn parse(datagram: &[u8]) -> Result<Packet, Malformed> {
    let reader = RtpReader::new(datagram).map_err(|_| Malformed)?;
    Ok(Packet {
        header: Header {
            payload_type: PayloadType::new(reader.payload_type()).ok_or(Malformed)?,
            marker: reader.mark(),
            sequence: reader.sequence_number().into(),
            timestamp: reader.timestamp(),
            ssrc: Ssrc(reader.ssrc()),
        },
        payload_start: reader.payload_offset(),
        payload_len: reader.payload().len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_follow_rfc_7983_and_5761() {
        #[track_caller]
        fn check(datagram: &[u8], class: Class) {
            assert_eq!(classify(datagram), class);
        }
        check(&[0x80, 0], Class::Rtp);
        check(&[0xbf, 0x80 | 8], Class::Rtp);
        check(&[0x80, 191], Class::Rtp);
        check(&[0x80, 200], Class::Rtcp);
        check(&[0x81, 223], Class::Rtcp);
        check(&[0x80, 224], Class::Rtp);
        check(&[0, 1], Class::Other); // STUN
        check(&[22, 254], Class::Other); // DTLS
        check(&[64, 0], Class::Other); // TURN channel
        check(&[192, 0], Class::Other);
        check(&[0x80], Class::Other);
        check(&[], Class::Other);
    }

    #[test]
    fn a_packet_reads_as_it_was_written() {
        let payload_type = PayloadType::new(101).unwrap();
        let header = Header {
            payload_type,
            marker: true,
            sequence: 0xfffe,
            timestamp: 0x01020304,
            ssrc: Ssrc(0xdeadbeef),
        };
        let mut bytes = [0; 16];
        assert_eq!(header.write(&[1, 2, 3, 4], &mut bytes), Some(16));
        assert_eq!(Header::peek(&bytes), Some(header));
        assert_eq!(parse(&bytes), Ok(Packet { header, payload_start: 12, payload_len: 4 }));
        assert_eq!(header.write(&[0; 5], &mut bytes), None);
    }

    #[test]
    fn lengths_that_do_not_fit_are_malformed() {
        #[track_caller]
        fn check(first: u8, rest: &[u8], expected: Result<(usize, usize), Malformed>) {
            let mut bytes = vec![first, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
            bytes.extend_from_slice(rest);
            assert_eq!(
                parse(&bytes).map(|packet| (packet.payload_start, packet.payload_len)),
                expected
            );
        }
        check(0x80, &[], Ok((12, 0)));
        check(0x82, &[0; 8], Ok((20, 0))); // two CSRCs
        check(0x82, &[0; 7], Err(Malformed));
        check(0x90, &[0xbe, 0xde, 0, 1, 1, 2, 3, 4, 9], Ok((20, 1))); // extension of one word
        check(0x90, &[0xbe, 0xde, 0, 2, 1, 2, 3, 4, 9], Err(Malformed));
        check(0x90, &[0xbe, 0xde, 0], Err(Malformed));
        check(0xa0, &[7, 7, 0, 2], Ok((12, 2))); // padding of two bytes
        check(0xa0, &[7, 7, 0, 5], Err(Malformed));
        check(0xa0, &[7, 7, 0, 0], Err(Malformed));
        check(0xa0, &[], Err(Malformed));
        check(0x40, &[], Err(Malformed)); // version 1
    }
}
