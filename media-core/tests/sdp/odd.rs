//! Descriptions with lines that do not touch the audio stream, or touch it oddly: all of them mean
//! what they would without.

use media_core::codec::Codec;
use media_core::sdp::{self, Direction, Repair, accept_answer, answer, offer};

use super::{agreed, answer_spec, number, plain_offer};

const HEAD: &str =
    "v=0\r\no=- 20518 1 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\n";
const STREAM: &str = "m=audio 4000 RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\n\
    a=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n";

/// Reads a description as an answer and as a new offer.
#[track_caller]
fn check(description: &str) {
    let negotiated = accept_answer(&plain_offer(), description.as_bytes());
    let negotiated = negotiated.unwrap_or_else(|error| panic!("{error}: {description:?}"));
    let previous = offer(&plain_offer());
    let agreed = agreed();
    let (_, answered) = answer(description.as_bytes(), &answer_spec(&previous, &agreed)).unwrap();
    for negotiated in [negotiated, answered] {
        assert_eq!(negotiated.rtp, Some("198.51.100.7:4000".parse().unwrap()), "{description:?}");
        assert_eq!(
            (negotiated.codec, negotiated.audio),
            (Codec::Pcmu, number(0)),
            "{description:?}"
        );
        assert_eq!(negotiated.telephone_event, Some(number(101)), "{description:?}");
        assert_eq!(negotiated.direction, Direction::SendRecv, "{description:?}");
    }
}

#[test]
fn lines_of_the_session_may_be_odd() {
    for (from, to) in [
        ("20518 1", "19599440071187478912 19599440071187478912"),
        ("o=- ", "o=Media Gateway "),
        ("20518 1 ", "20518 1.5 "),
        ("IN IP4 198.51.100.7\r\ns=", "IN IP4\r\ns="),
        ("o=- 20518 1 IN IP4 198.51.100.7\r\n", ""),
        ("v=0\r\n", "v=0 \r\n"),
        ("v=0\r\n", "v=\r\n"),
        ("v=0\r\n", "\r\n \r\nv=1\r\n"),
        ("v=0\r\n", "\u{feff}v=0\r\n"),
        ("v=0\r\n", ""),
        ("s=-\r\n", ""),
        ("s=-\r\n", "s=\r\n"),
        ("s=-\r\n", "s=one\r\ns=two\r\ni=\r\ni=twice\r\nu=x\r\nu=y\r\n"),
        ("t=0 0\r\n", ""),
        ("t=0 0\r\n", "t=0\r\n"),
        ("t=0 0\r\n", "t=now later\r\nr=7d\r\nz=x\r\nt=0 0\r\n"),
        ("t=0 0\r\n", "r=1 2\r\nt=0 0\r\n"),
        ("t=0 0\r\n", "b=AS:64.5\r\nb=\r\nb=X-YZ\r\nt=0 0\r\nk=prompt\r\nk=clear:x\r\nz=0 0\r\n"),
        ("t=0 0\r\n", "t=0 0\r\ne=\r\np=\r\nx=unknown\r\nno line at all\r\n=\r\n"),
        ("t=0 0\r\n", "t=0 0\r\na=inactive\r\na=\r\na=:\r\n"),
        ("c=IN IP4 198.51.100.7\r\nt=0 0\r\n", "t=0 0\r\nb=CT:1\r\nc=IN IP4 198.51.100.7\r\n"),
        ("c=IN IP4 198.51.100.7\r\n", "c=IN IP4 198.51.100.7\r\nc=IN IP4 198.51.100.8\r\n"),
        ("c=IN IP4 198.51.100.7\r\n", "c=IN IP6 2001:db8::1\r\nc=IN IP4 198.51.100.7\r\n"),
        ("c=IN IP4 198.51.100.7\r\n", "C = in  IP4  198.51.100.7/127 \r\n"),
    ] {
        assert!(HEAD.contains(from), "{from}");
        check(&format!("{}{STREAM}", HEAD.replacen(from, to, 1)));
    }
}

#[test]
fn lines_of_the_stream_may_be_odd() {
    for (from, to) in [
        ("a=sendrecv\r\n", ""),
        ("a=sendrecv\r\n", "a=sendrecv:\r\na=sendrecv\r\n"),
        ("a=sendrecv", "A=SendRecv "),
        (
            "a=sendrecv\r\n",
            "a=rtpmap:18\r\na=rtpmap:18 G729\r\na=rtpmap:\r\na=rtpmap:999 PCMU/8000\r\n\
                a=rtpmap\r\n",
        ),
        (
            "a=sendrecv\r\n",
            "a=rtpmap:0 PCMU/8000/1\r\na=rtpmap:101 telephone-event/8000/1\r\na=fmtp:101\r\n\
                a=fmtp:x y\r\n",
        ),
        (
            "a=sendrecv\r\n",
            "a=rtpmap:18 G729/99999999999\r\na=ptime:\r\na=ptime:20.0\r\na=maxptime:x\r\n\
                a=ptime:30\r\n",
        ),
        (
            "a=sendrecv\r\n",
            "c=IN IP4 198.51.100.7\r\nc=IN IP4 198.51.100.7\r\ni=one\r\ni=two\r\nb=TIAS:x\r\n\
                k=\r\n",
        ),
        (
            "a=sendrecv\r\n",
            "a=rtcp:0\r\na=rtcp:\r\na=rtcp-fb\r\na=crypto:\r\na=candidate:x\r\na=ssrc:\r\n",
        ),
        (
            "a=sendrecv\r\n",
            "m=video 0 RTP/AVP 31\r\nm=audio 0 RTP/AVP 0\r\na=inactive\r\nm=image 0 udptl t38\r\n",
        ),
        ("a=sendrecv\r\n", "m=application 0\r\nm=video\r\nm=\r\n"),
        ("m=audio 4000 RTP/AVP 0 101", "m=audio 4000/1 rtp/avp 0 101 "),
        ("m=audio 4000 RTP/AVP 0 101", "m=Audio  4000  RTP/AVP  0  101"),
        ("m=audio 4000 RTP/AVP 0 101", "m=audio 4000 RTP/AVPF 0 101"),
        ("m=audio 4000 RTP/AVP 0 101", "m=audio 4000 RTP/AVP 0 101 18 999 x 96"),
        ("m=audio", "m=video 0 RTP/AVP 31\r\nm=audio"),
        ("a=rtpmap:0 PCMU/8000\r\n", ""),
        ("a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n", ""),
        ("a=rtpmap:0 PCMU/8000\r\n", "a=rtpmap:0\tpcmu\r\n"),
        ("a=rtpmap:0 PCMU/8000\r\n", "a=rtpmap:0 PCMU/8000\r\na=rtpmap:0 L16/44100/2\r\n"),
        ("a=rtpmap:0 PCMU/8000", "a=rtpmap: 0  PCMU / 8000"),
        ("a=rtpmap:101", "a=RTPMAP:101"),
        ("a=rtpmap:101", "a= rtpmap :101"),
        ("a=rtpmap:0 PCMU/8000\r\na=rtpmap:101", "a=Rtpmap:0 PCMU/8000\r\nA=RtpMap:101"),
    ] {
        assert!(STREAM.contains(from), "{from}");
        check(&format!("{HEAD}{}", STREAM.replacen(from, to, 1)));
    }
}

#[test]
fn lines_may_end_in_any_way() {
    let plain = format!("{HEAD}{STREAM}");
    check(&plain.replace("\r\n", "\n"));
    check(&plain.replace("\r\n", "\r"));
    check(&plain.replace("\r\n", "\n\r"));
    check(&plain.replace("\r\n", " \r\n\r\n"));
    check(plain.trim_end());
    for end in ["\r\n\r\n\0", "\0\0\0", "a=ptime:20", "\r", "--boundary--", "\u{1a}"] {
        check(&format!("{plain}{end}"));
    }
}

#[track_caller]
fn check_repairs(description: &str, expected: &[Repair]) {
    let repairs: Vec<Repair> = sdp::repairs(description.as_bytes()).iter().collect();
    assert_eq!(repairs, expected, "{description:?}");
}

#[test]
fn what_was_odd_is_named() {
    let plain = format!("{HEAD}{STREAM}");
    let odd = |from: &str, to: &str, expected: &[Repair]| {
        assert!(plain.contains(from), "{from}");
        check_repairs(&plain.replacen(from, to, 1), expected);
    };
    check_repairs(&plain, &[]);
    check_repairs(&offer(&plain_offer()), &[]);
    // Both are as RFC 8866 §5.2 and §5.3 have them.
    odd("20518 1", "19599440071187478912 19599440071187478912", &[]);
    odd("s=-", "s= ", &[]);
    odd("t=0 0\r\n", "t=0 0\r\na=sendonly\r\na=x-vendor:?\r\n", &[]);
    check_repairs(&plain.replace("\r\n", "\n"), &[Repair::LineEnds]);
    check_repairs(plain.trim_end(), &[Repair::LineEnds]);
    odd("t=0 0\r\n", "t=0 0\r\r\n", &[Repair::LineEnds]);
    odd("t=0 0\r\n", "t=0 0\r\nno line at all\r\n", &[Repair::Line]);
    odd("t=0 0\r\n", "t=0 0\r\nx=unknown\r\n", &[Repair::Line]);
    odd("c=IN", "C =IN", &[Repair::Line]);
    odd("v=0\r\n", "", &[Repair::Session]);
    odd("v=0\r\n", "v=1\r\n", &[Repair::Session]);
    odd("t=0 0\r\n", "", &[Repair::Session]);
    odd("o=- 20518 1", "o=Media Gateway 20518 1", &[Repair::Session]);
    odd("o=- 20518 1", "o=- 20518 1.5", &[Repair::Session]);
    odd("s=-\r\nc=IN IP4 198.51.100.7", "c=IN IP4 198.51.100.7\r\ns=-", &[Repair::Session]);
    odd("c=IN IP4 198.51.100.7", "c=IN IP4 media.example", &[Repair::Connection]);
    odd("c=IN IP4 198.51.100.7", "c=", &[Repair::Connection]);
    odd("m=audio 4000", "m=audio port", &[Repair::Media]);
    odd("a=sendrecv", "a=sendrecv\r\nm=video 0", &[Repair::Media]);
    odd("a=sendrecv", "a=sendrecv\r\na=rtpmap:18", &[Repair::Attribute]);
    odd("a=sendrecv", "a=SendRecv", &[Repair::Attribute]);
    odd("a=sendrecv", "a=sendrecv\r\na=rtcp:0", &[Repair::Attribute]);
    odd("a=sendrecv", &format!("a=sendrecv{}", "\r\na=x".repeat(256)), &[Repair::Length]);
    let several = plain.replace("s=-\r\n", "").replace("a=sendrecv\r\n", "a=:\njunk\r\n");
    check_repairs(&several, &[Repair::LineEnds, Repair::Line, Repair::Session, Repair::Attribute]);
}
