//! STUN messages as peers print them (RFC 8489), for all who send checks to a relay.

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

/// Length of the header, and of the attributes that `sign` adds.
const HEADER_LEN: usize = 20;
const INTEGRITY_LEN: usize = 24;
const FINGERPRINT_LEN: usize = 8;

/// Adds an attribute.
pub fn attribute(message: &mut Vec<u8>, kind: u16, value: &[u8]) {
    message.extend_from_slice(&kind.to_be_bytes());
    message.extend_from_slice(&(value.len() as u16).to_be_bytes());
    message.extend_from_slice(value);
    message.resize(message.len().next_multiple_of(4), 0);
    set_len(message, 0);
}

/// Adds MESSAGE-INTEGRITY and FINGERPRINT.
pub fn sign(mut message: Vec<u8>, password: &str) -> Vec<u8> {
    set_len(&mut message, INTEGRITY_LEN);
    let mut mac = <Hmac<Sha1> as KeyInit>::new_from_slice(password.as_bytes())
        .expect("HMAC takes keys of every length");
    mac.update(&message);
    attribute(&mut message, 0x0008, &mac.finalize().into_bytes());
    fingerprint(message)
}

/// Adds FINGERPRINT.
pub fn fingerprint(mut message: Vec<u8>) -> Vec<u8> {
    set_len(&mut message, FINGERPRINT_LEN);
    let mut crc = u32::MAX;
    for byte in &message {
        crc ^= u32::from(*byte);
        (0..8).for_each(|_| crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 });
    }
    attribute(&mut message, 0x8028, &(!crc ^ 0x5354_554e).to_be_bytes());
    message
}

/// The header's length: what there is, and what will follow.
fn set_len(message: &mut [u8], following_len: usize) {
    let len = (message.len() - HEADER_LEN + following_len) as u16;
    message[2..4].copy_from_slice(&len.to_be_bytes());
}
