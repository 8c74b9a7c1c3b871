//! Streams cut at every byte, keep-alives and the limits of a connection.

use super::super::*;
use super::{INVITE, parsed, wire};

#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Message(Vec<u8>),
    Ping,
}

fn drain(framer: &mut Framer, seen: &mut Vec<Seen>) -> Result<(), FrameError> {
    while let Some(frame) = framer.poll()? {
        seen.push(match frame {
            Frame::Message(bytes) => Seen::Message(bytes.to_vec()),
            Frame::Ping => Seen::Ping,
        });
    }
    Ok(())
}

/// Feeds the stream in pieces of each length and expects the same frames.
#[track_caller]
fn check(stream: &[u8], expected: &[Seen]) {
    for piece_len in [1, 2, 3, 7, 64, stream.len()] {
        let mut framer = Framer::new(Limits::default());
        let mut seen = Vec::new();
        for piece in stream.chunks(piece_len) {
            framer.push(piece);
            drain(&mut framer, &mut seen).unwrap();
        }
        assert_eq!(seen, expected, "pieces of {piece_len}");
    }
}

#[test]
fn messages_are_cut_by_content_length() {
    let invite = wire(INVITE);
    // The last byte of INVITE's text is body beyond its Content-Length of 4 when written as CRLF;
    // give it a right one.
    let invite = print(&parse(&invite, &Limits::default()).unwrap());
    let bye = wire("BYE sip:a@b.example SIP/2.0\nl: 0\n\n");
    let two = [invite.clone(), bye.clone(), invite.clone()].concat();
    check(&two, &[Seen::Message(invite.clone()), Seen::Message(bye), Seen::Message(invite)]);
}

#[test]
fn keep_alives_stand_between_messages() {
    let bye = wire("BYE sip:a@b.example SIP/2.0\nContent-Length:\n\u{20}2\n\n\n");
    let stream =
        [b"\r\n".as_slice(), &bye, b"\r\n\r\n", &bye, b"\r\n", &bye, b"\r\n\r\n\r\n\r\n"].concat();
    let message = || Seen::Message(bye.clone());
    check(&stream, &[message(), Seen::Ping, message(), message(), Seen::Ping, Seen::Ping]);
}

#[test]
fn a_message_without_length_and_without_a_type_has_no_body() {
    let bye = wire("BYE sip:a@b.example SIP/2.0\nVia: x\n\n");
    let ok = wire("SIP/2.0 200 OK\nVia: x\n\n");
    let stream = [bye.as_slice(), &ok, &bye].concat();
    check(&stream, &[Seen::Message(bye.clone()), Seen::Message(ok), Seen::Message(bye)]);
}

// RFC 5626 §4.4.1: a ping of the peer's, and a message behind an empty line, are none.
#[test]
fn a_single_line_end_answers_a_ping() {
    for (bytes, is_pong) in [
        (&b"\r\n"[..], true),
        (b"\r\nBYE", true),
        (b"\r\n\r\n", false),
        (b"\r", false),
        (b"BYE\r\n", false),
        (b"", false),
    ] {
        let mut framer = Framer::new(Limits::default());
        framer.push(bytes);
        assert_eq!(framer.take_pong(), is_pong, "{}", bytes.escape_ascii());
        // Two answers in a row are no ping.
        framer.push(b"\r\n");
        assert_eq!(framer.poll() == Ok(Some(Frame::Ping)), bytes == b"\r\n\r\n");
    }
}

#[track_caller]
fn check_error(stream: &str, expected: FrameError) {
    let mut framer = Framer::new(Limits { head_len: 200, header_count: 10, body_len: 100 });
    framer.push(&wire(stream));
    assert_eq!(framer.poll(), Err(expected));
    framer.push(b"\r\n\r\n");
    assert_eq!(framer.poll(), Err(expected), "the stream stays refused");
}

#[test]
fn a_stream_that_cannot_be_cut_is_refused() {
    check_error("BYE sip:a@b.example SIP/2.0\nc: application/sdp\n\n", FrameError::ContentLength);
    check_error("GET / HTTP/1.1\nHost: x\n\n", FrameError::ContentLength);
    check_error(
        "BYE sip:a@b.example SIP/2.0\nContent-Length: 1\nl: 2\n\n",
        FrameError::ContentLength,
    );
    check_error("BYE sip:a@b.example SIP/2.0\nl: -1\n\n", FrameError::ContentLength);
    check_error("BYE sip:a@b.example SIP/2.0\nl: 101\n\n", FrameError::BodyTooLarge);
    check_error(
        "BYE sip:a@b.example SIP/2.0\nl: 99999999999999999999\n\n",
        FrameError::ContentLength,
    );
    check_error(&"x".repeat(201), FrameError::HeadTooLarge);
    check_error(
        &format!("BYE sip:a@b.example SIP/2.0\nx: {}\nl: 0\n\n", "x".repeat(200)),
        FrameError::HeadTooLarge,
    );
}

#[test]
fn a_datagram_may_leave_its_length_unsaid_and_carry_empty_lines() {
    let text = INVITE.replace("Content-Length: 4\n", "");
    assert_eq!(parsed(&format!("\n\n{text}")).body(), b"v=0\r\n");
}
