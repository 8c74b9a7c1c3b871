//! Where the session description of a body is.

use super::super::*;

const SDP: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.7\r\ns=-\r\nm=audio 4000 RTP/AVP 0\r\n";

#[track_caller]
fn check(content_type: &str, body: &str, is_found: bool) {
    let content_type = Some(content_type).filter(|content_type| !content_type.is_empty());
    let found = session_description(content_type, body.as_bytes());
    let found = found.as_deref().map(String::from_utf8_lossy);
    assert_eq!(found.as_deref(), is_found.then_some(SDP), "{content_type:?}\n{body}");
}

fn part(headers: &str, body: &str) -> String {
    format!("{headers}\r\n{body}\r\n")
}

#[test]
fn alone() {
    for content_type in [
        "application/sdp",
        "Application/SDP ; charset=utf-8",
        "application/sdp;",
        "",
        "text/plain",
        "garbage",
        "\"application/sdp\"",
    ] {
        check(content_type, SDP, true);
        check(content_type, &format!("\r\n{SDP}"), true);
    }
    assert_eq!(session_description(Some("application/sdp"), b""), None);
    assert_eq!(session_description(Some("application/isup"), b"\x01\x02"), None);
    assert_eq!(session_description(None, b"hello"), None);
}

#[test]
fn one_part_of_several() {
    let sdp = part("Content-Type: application/sdp\r\n", SDP);
    let isup = part(
        "Content-Type: application/isup; version=itu-t92+\r\n\
            Content-Disposition: signal; handling=optional\r\n",
        "\u{1}\u{2}",
    );
    let pidf = part("Content-Type: application/pidf+xml\r\nContent-ID: <a@b>\r\n", "<presence/>");
    for content_type in [
        "multipart/mixed;boundary=b1",
        "multipart/mixed; boundary=\"b1\"",
        "Multipart/Related; type=\"application/sdp\"; Boundary = b1",
        "multipart/alternative;boundary=b1;",
        // Announced wrongly, or not at all.
        "multipart/mixed;boundary=other",
        "multipart/mixed",
        "",
    ] {
        check(content_type, &format!("--b1\r\n{sdp}--b1\r\n{isup}--b1--\r\n"), true);
        check(content_type, &format!("--b1\r\n{isup}--b1\r\n{pidf}--b1 \r\n{sdp}--b1--"), true);
        check(content_type, &format!("--b1\r\n{isup}--b1\r\n{sdp}"), true);
        check(content_type, &format!("--b1\r\n{isup}--b1\r\n{pidf}--b1--\r\n"), false);
    }
    let mixed = "multipart/mixed;boundary=b1";
    check(mixed, &format!("This is a preamble.\r\n\r\n--b1\r\n{sdp}--b1--\r\nan epilogue"), true);
    check(mixed, &format!("--b10\r\n--b1\r\n{sdp}--b1--"), true);
    check(mixed, &format!("--b1\r\n{}--b1--", part("c: application/SDP\r\n", SDP)), true);
    check(
        mixed,
        &format!("--b1\r\n{}--b1--", part("Content-Type:\r\n application/sdp\r\n", SDP)),
        true,
    );
    check(mixed, &format!("--b1\r\n{}--b1--", part("", SDP)), true);
    check(mixed, &format!("--b1\r\n{SDP}\r\n--b1--"), true);
    check(mixed, &format!("--b1\nContent-Type: application/sdp\n\n{SDP}--b1--\n"), true);
    let early =
        part("Content-Type: application/sdp\r\nContent-Disposition: early-session\r\n", "v=0\r\n");
    check(mixed, &format!("--b1\r\n{early}--b1\r\n{sdp}--b1--"), true);
}

#[test]
fn the_last_of_alternatives() {
    let former = part("Content-Type: application/sdp\r\n", "v=0\r\ns=worse\r\n");
    let sdp = part("Content-Type: application/sdp\r\n", SDP);
    check("multipart/alternative;boundary=b", &format!("--b\r\n{former}--b\r\n{sdp}--b--"), true);
    check("multipart/mixed;boundary=b", &format!("--b\r\n{sdp}--b\r\n{former}--b--"), true);
}

#[test]
fn nested_to_a_depth() {
    let mut body = SDP.to_owned();
    let mut content_type = "application/sdp".to_owned();
    for depth in 0..6 {
        check(&content_type, &body, depth <= 4);
        body = format!(
            "--d{depth}\r\n{}--d{depth}--\r\n",
            part(&format!("Content-Type: {content_type}\r\n"), &body)
        );
        content_type = format!("multipart/mixed;boundary=d{depth}");
    }
    let many = format!(
        "--b{}\r\n{}--b--",
        "\r\n\r\n--b".repeat(100),
        part("Content-Type: application/sdp\r\n", SDP)
    );
    check("multipart/mixed;boundary=b", &many, false);
}
