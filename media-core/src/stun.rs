//! STUN messages as bytes (RFC 8489): what an ICE-lite agent reads of a check and prints in answer
//! to it (RFC 8445 §7.3), and the requests that keep a translator's binding (RFC 5626 §4.4.2). Who
//! may check, and what a check means, is decided in `ice`.

use std::net::{IpAddr, SocketAddr};

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

const HEADER_LEN: usize = 20;
const COOKIE: [u8; 4] = 0x2112_a442u32.to_be_bytes();
/// What a mapped port is combined with (RFC 8489 §14.2).
const PORT_MASK: u16 = 0x2112;
const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const BINDING_ERROR: u16 = 0x0111;

const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const ERROR_CODE: u16 = 0x0009;
const UNKNOWN_ATTRIBUTES: u16 = 0x000a;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const PRIORITY: u16 = 0x0024;
const USE_CANDIDATE: u16 = 0x0025;
const FINGERPRINT: u16 = 0x8028;
const ICE_CONTROLLED: u16 = 0x8029;

const ATTRIBUTE_HEAD_LEN: usize = 4;
const INTEGRITY_LEN: usize = 20;
const FINGERPRINT_LEN: usize = 4;
/// RFC 8489 §14.7.
const FINGERPRINT_MASK: u32 = 0x5354_554e;
/// Attributes from here on may be passed over (RFC 8489 §14).
const FIRST_OPTIONAL: u16 = 0x8000;
/// Unknown attributes that an error answer names; the first ones will do.
const MAX_UNKNOWN_COUNT: usize = 4;

/// Names one request and its answer.
pub(crate) type TransactionId = [u8; 12];

/// Why a datagram is no check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Not a STUN message, or without a valid fingerprint (RFC 8445 §7.1.2: each check has one).
    Malformed,
    /// A STUN message, but no Binding request.
    Unexpected,
}

/// A Binding request that is not yet authentic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Request<'a> {
    pub transaction: TransactionId,
    pub username: &'a [u8],
    /// The peer nominates this address (RFC 8445 §7.1.1).
    pub nominates: bool,
    /// The peer takes us for the controlling agent.
    pub is_controlled: bool,
    pub unknown: Unknown,
    /// Offset and value of MESSAGE-INTEGRITY.
    integrity: Option<(usize, &'a [u8; INTEGRITY_LEN])>,
    message: &'a [u8],
}

/// The first attributes that must be understood and are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Unknown {
    kinds: [u16; MAX_UNKNOWN_COUNT],
    count: usize,
}

impl Unknown {
    fn add(&mut self, kind: u16) {
        if let Some(place) = self.kinds.get_mut(self.count) {
            *place = kind;
            self.count += 1;
        }
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// A Binding request without attributes.
pub fn binding_request(transaction: [u8; 12]) -> [u8; HEADER_LEN] {
    let mut request = [0; HEADER_LEN];
    request[..2].copy_from_slice(&BINDING_REQUEST.to_be_bytes());
    request[4..8].copy_from_slice(&COOKIE);
    request[8..].copy_from_slice(&transaction);
    request
}

/// The transaction of a message that is the successful answer to a Binding request.
pub fn answered(message: &[u8]) -> Option<[u8; 12]> {
    let (header, rest) = message.split_first_chunk::<HEADER_LEN>()?;
    let len = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let is_answer =
        header[..2] == BINDING_SUCCESS.to_be_bytes() && header[4..8] == COOKIE && len == rest.len();
    is_answer.then(|| *header.last_chunk().expect("a header is longer"))
}

/// As whom the successful answer's sender saw us: its XOR-MAPPED-ADDRESS.
pub fn mapped_address(message: &[u8]) -> Option<SocketAddr> {
    let transaction = answered(message)?;
    let mut rest = &message[HEADER_LEN..];
    loop {
        let (head, after) = rest.split_first_chunk::<ATTRIBUTE_HEAD_LEN>()?;
        let len = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let value = after.get(..len)?;
        if u16::from_be_bytes([head[0], head[1]]) == XOR_MAPPED_ADDRESS {
            let mut value = value.to_vec();
            let (family, port) =
                (*value.get(1)?, u16::from_be_bytes([*value.get(2)?, *value.get(3)?]));
            mask(&mut value[4..], transaction);
            let ip = match family {
                1 => IpAddr::from(<[u8; 4]>::try_from(&value[4..]).ok()?),
                2 => IpAddr::from(<[u8; 16]>::try_from(&value[4..]).ok()?),
                _ => return None,
            };
            return Some(SocketAddr::new(ip, port ^ PORT_MASK));
        }
        rest = after.get(len.next_multiple_of(4)..)?;
    }
}

/// Reads a Binding request; its fingerprint is checked, its integrity is not.
pub(crate) fn parse(message: &[u8]) -> Result<Request<'_>, Refusal> {
    let (header, mut rest) = message.split_first_chunk::<HEADER_LEN>().ok_or(Refusal::Malformed)?;
    let len = usize::from(u16::from_be_bytes([header[2], header[3]]));
    if header[0] >> 6 != 0 || header[4..8] != COOKIE || len != rest.len() || len % 4 != 0 {
        return Err(Refusal::Malformed);
    }
    if u16::from_be_bytes([header[0], header[1]]) != BINDING_REQUEST {
        return Err(Refusal::Unexpected);
    }
    let transaction = *header.last_chunk().expect("a header is longer");
    let (username, unknown) = (&[][..], Unknown::default());
    let mut request = Request {
        transaction,
        username,
        nominates: false,
        is_controlled: false,
        unknown,
        integrity: None,
        message,
    };
    while !rest.is_empty() {
        let at = message.len() - rest.len();
        let (head, after) =
            rest.split_first_chunk::<ATTRIBUTE_HEAD_LEN>().ok_or(Refusal::Malformed)?;
        let kind = u16::from_be_bytes([head[0], head[1]]);
        let value_len = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let value = after.get(..value_len).ok_or(Refusal::Malformed)?;
        rest = after.get(value_len.next_multiple_of(4)..).ok_or(Refusal::Malformed)?;
        if kind == FINGERPRINT {
            // RFC 8489 §14.7: it is the last attribute.
            let is_right = rest.is_empty() && value == fingerprint(&message[..at]).to_be_bytes();
            return if is_right { Ok(request) } else { Err(Refusal::Malformed) };
        }
        // RFC 8489 §14.5: what follows the integrity is passed over.
        if request.integrity.is_none() {
            request.take(kind, value, at)?;
        }
    }
    Err(Refusal::Malformed)
}

impl<'a> Request<'a> {
    fn take(&mut self, kind: u16, value: &'a [u8], at: usize) -> Result<(), Refusal> {
        match kind {
            // RFC 8489 §14: of equal attributes the first counts.
            USERNAME if self.username.is_empty() => self.username = value,
            MESSAGE_INTEGRITY => {
                self.integrity = Some((at, value.try_into().map_err(|_| Refusal::Malformed)?))
            }
            USE_CANDIDATE => self.nominates = true,
            ICE_CONTROLLED => self.is_controlled = true,
            USERNAME | PRIORITY | FIRST_OPTIONAL.. => {}
            _ => self.unknown.add(kind),
        }
        Ok(())
    }

    /// Whether the integrity was made with this password (RFC 8489 §14.5).
    pub fn is_authentic(&self, password: &str) -> bool {
        let Some((at, tag)) = self.integrity else { return false };
        integrity(&self.message[..at], password).verify_slice(tag).is_ok()
    }
}

/// What a check is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Success,
    /// RFC 8489 §14.8: 420.
    UnknownAttributes(Unknown),
    /// RFC 8445 §7.3.1.1: 487; an ICE-lite agent is never in control of a full one.
    RoleConflict,
}

/// Prints the answer to a request that came from `source`; `None` if `out` is too short.
pub(crate) fn write(
    answer: Answer,
    transaction: TransactionId,
    source: SocketAddr,
    password: &str,
    out: &mut [u8],
) -> Option<usize> {
    let kind = if answer == Answer::Success { BINDING_SUCCESS } else { BINDING_ERROR };
    let mut writer = Writer { out, len: 0 };
    writer.bytes(&kind.to_be_bytes())?;
    writer.bytes(&[0; 2])?;
    writer.bytes(&COOKIE)?;
    writer.bytes(&transaction)?;
    match answer {
        Answer::Success => writer.address(source, transaction)?,
        Answer::UnknownAttributes(unknown) => {
            writer.attribute(ERROR_CODE, &[0, 0, 4, 20])?;
            let kinds = unknown.kinds.map(u16::to_be_bytes);
            writer.attribute(UNKNOWN_ATTRIBUTES, kinds[..unknown.count].as_flattened())?;
        }
        Answer::RoleConflict => writer.attribute(ERROR_CODE, &[0, 0, 4, 87])?,
    }
    let tag = integrity(&writer.out[..writer.len], password).finalize().into_bytes();
    writer.attribute(MESSAGE_INTEGRITY, &tag)?;
    writer.set_len(ATTRIBUTE_HEAD_LEN + FINGERPRINT_LEN);
    let checksum = fingerprint(&writer.out[..writer.len]);
    writer.attribute(FINGERPRINT, &checksum.to_be_bytes())?;
    Some(writer.len)
}

struct Writer<'a> {
    out: &'a mut [u8],
    len: usize,
}

impl Writer<'_> {
    fn bytes(&mut self, bytes: &[u8]) -> Option<()> {
        self.out.get_mut(self.len..self.len + bytes.len())?.copy_from_slice(bytes);
        self.len += bytes.len();
        Some(())
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) -> Option<()> {
        self.bytes(&kind.to_be_bytes())?;
        self.bytes(&(value.len() as u16).to_be_bytes())?;
        self.bytes(value)?;
        self.bytes(&[0; 3][..value.len().next_multiple_of(4) - value.len()])?;
        self.set_len(0);
        Some(())
    }

    /// The header's length: all attributes so far and what will follow.
    fn set_len(&mut self, following_len: usize) {
        let len = (self.len - HEADER_LEN + following_len) as u16;
        self.out[2..4].copy_from_slice(&len.to_be_bytes());
    }

    /// XOR-MAPPED-ADDRESS (RFC 8489 §14.2).
    fn address(&mut self, address: SocketAddr, transaction: TransactionId) -> Option<()> {
        let mut value = [0; 20];
        let port = address.port() ^ PORT_MASK;
        value[2..4].copy_from_slice(&port.to_be_bytes());
        let len = match address.ip() {
            IpAddr::V4(v4) => {
                value[1] = 1;
                value[4..8].copy_from_slice(&v4.octets());
                8
            }
            IpAddr::V6(v6) => {
                value[1] = 2;
                value[4..].copy_from_slice(&v6.octets());
                20
            }
        };
        mask(&mut value[4..len], transaction);
        self.attribute(XOR_MAPPED_ADDRESS, &value[..len])
    }
}

/// What an address is combined with (RFC 8489 §14.2).
fn mask(address: &mut [u8], transaction: TransactionId) {
    let mask = COOKIE.into_iter().chain(transaction);
    address.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
}

/// HMAC-SHA1 of a message up to its integrity, whose attribute the header's length already counts
/// (RFC 8489 §14.5).
fn integrity(before: &[u8], password: &str) -> Hmac<Sha1> {
    let len = (before.len() - HEADER_LEN + ATTRIBUTE_HEAD_LEN + INTEGRITY_LEN) as u16;
    let mut mac = <Hmac<Sha1> as KeyInit>::new_from_slice(password.as_bytes())
        .expect("HMAC takes keys of every length");
    mac.update(&before[..2]);
    mac.update(&len.to_be_bytes());
    mac.update(&before[4..]);
    mac
}

/// CRC-32 of a message up to its fingerprint, masked (RFC 8489 §14.7).
fn fingerprint(before: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in before {
        crc = CRC_TABLE[usize::from(crc as u8 ^ byte)] ^ crc >> 8;
    }
    !crc ^ FINGERPRINT_MASK
}

/// The reflected polynomial of ITU-T V.42.
const CRC_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < table.len() {
        let mut crc = index as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { 0xedb8_8320 ^ crc >> 1 } else { crc >> 1 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
};

#[cfg(test)]
pub(crate) mod tests;
