//! Frames cut from a stream that brings them in any pieces, and streams that are not frames.

use control_wire::{FrameDecoder, FrameError, FromEdge, MAX_FRAME_LEN, encode};

fn frames(count: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    for command_id in 0..count {
        encode(&FromEdge::Ack { command_id }, &mut bytes).expect("short enough");
    }
    bytes
}

#[test]
fn any_cut_gives_the_same_messages() {
    let bytes = frames(5);
    for piece_len in 1..bytes.len() {
        let (mut decoder, mut decoded) = (FrameDecoder::default(), Vec::new());
        for piece in bytes.chunks(piece_len) {
            decoder.push(piece);
            while let Some(message) = decoder.poll::<FromEdge>().expect("frames") {
                decoded.push(message);
            }
        }
        assert_eq!(
            decoded,
            (0..5).map(|command_id| FromEdge::Ack { command_id }).collect::<Vec<_>>(),
            "pieces of {piece_len}"
        );
    }
}

#[track_caller]
fn check_refused(bytes: &[u8]) {
    let mut decoder = FrameDecoder::default();
    decoder.push(bytes);
    assert!(decoder.poll::<FromEdge>().is_err());
}

#[test]
fn what_is_no_frame_is_refused() {
    check_refused(&(MAX_FRAME_LEN as u32 + 1).to_be_bytes());
    check_refused(b"GET / HTTP/1.1\r\n");
    check_refused(b"\0\0\0\x02{}");
    check_refused(b"\0\0\0\x02\xff\xfe");
    check_refused(b"\0\0\0\x0e{\"unknown\":{}}");
}

#[test]
fn a_message_beyond_the_cap_is_not_encoded() {
    let mut out = b"kept".to_vec();
    assert!(matches!(encode(&"x".repeat(MAX_FRAME_LEN), &mut out), Err(FrameError::TooLong(_))));
    assert_eq!(out, b"kept");
}

/// Mutated frames are refused, or are a message that survives the way there and back.
#[test]
fn mutated_bytes_are_refused_or_read() {
    let bytes = frames(3);
    for position in 0..bytes.len() {
        for bit in 0..8 {
            let mut mutated = bytes.clone();
            mutated[position] ^= 1 << bit;
            let mut decoder = FrameDecoder::default();
            decoder.push(&mutated);
            while let Ok(Some(message)) = decoder.poll::<FromEdge>() {
                let (mut again, mut printed) = (FrameDecoder::default(), Vec::new());
                encode(&message, &mut printed).expect("short enough");
                again.push(&printed);
                assert_eq!(again.poll::<FromEdge>().expect("a frame"), Some(message));
            }
        }
    }
}
