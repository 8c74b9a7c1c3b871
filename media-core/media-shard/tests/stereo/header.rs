//! The first block of a stereo recording, written by hand: the header and some audio.

use media_core::recording::{BLOCK_LEN, HEADER_LEN};

/// Of a file with this much audio, in bytes.
pub fn first_block(data_len: u32) -> Vec<u8> {
    let mut bytes = Vec::from(*b"RIFF");
    bytes.extend((data_len + 36).to_le_bytes());
    bytes.extend(b"WAVEfmt \x10\0\0\0\x01\0\x02\0");
    bytes.extend(8000u32.to_le_bytes());
    bytes.extend(32000u32.to_le_bytes());
    bytes.extend(b"\x04\0\x10\0data");
    bytes.extend(data_len.to_le_bytes());
    assert_eq!(bytes.len(), HEADER_LEN);
    bytes.resize(BLOCK_LEN, 7);
    bytes
}
