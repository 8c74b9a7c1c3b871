//! Our answers to new offers of the peer inside a dialog.

use media_core::codec::Codec;
use media_core::sdp::{AnswerSpec, Direction, Numbers, Origin, SdpError, TelephoneEvents, answer, offer};

use super::{body, description, local, number, plain_answer, plain_offer};

const STREAM: [&str; 4] =
    ["m=audio 4000 RTP/AVP 8 101", "a=rtpmap:8 PCMA/8000", "a=rtpmap:101 telephone-event/8000", "a=rtcp-mux"];

#[test]
fn an_answer_is_printed_byte_for_byte() {
    let previous = offer(&plain_offer());
    let (text, negotiated) = answer(&description(&STREAM), &plain_answer(&previous)).unwrap();
    let expected = body(&[
        "v=0",
        "o=- 4711 2 IN IP4 192.0.2.10",
        "s=-",
        "c=IN IP4 192.0.2.10",
        "t=0 0",
        "m=audio 20000 RTP/AVP 8 101",
        "a=rtpmap:8 PCMA/8000",
        "a=rtpmap:101 telephone-event/8000",
        "a=fmtp:101 0-15",
        "a=ptime:20",
        "a=sendrecv",
        "a=rtcp:20001",
        "a=rtcp-mux",
    ]);
    assert_eq!(text.as_bytes(), expected);
    assert_eq!(negotiated.rtp, Some("198.51.100.7:4000".parse().unwrap()));
    assert_eq!((negotiated.rtcp, negotiated.rtcp_mux), (negotiated.rtp, true));
    assert_eq!(negotiated.codec, Codec::Pcma);
    assert_eq!(negotiated.telephone_event, Some(Numbers { send: number(101), receive: number(101) }));
}

/// Hold and resume: each change raises the version, a repeated offer does not (RFC 3264 §8).
#[test]
fn hold_and_resume_mirror_the_direction_and_count_versions() {
    let mut previous = offer(&plain_offer());
    let steps = [
        ("a=sendrecv", "a=sendrecv", Direction::SendRecv, 2),
        ("a=sendonly", "a=recvonly", Direction::RecvOnly, 3),
        ("a=sendonly", "a=recvonly", Direction::RecvOnly, 3),
        ("a=inactive", "a=inactive", Direction::Inactive, 4),
        ("a=recvonly", "a=sendonly", Direction::SendOnly, 5),
        ("a=sendrecv", "a=sendrecv", Direction::SendRecv, 6),
        ("a=ptime:20", "a=sendrecv", Direction::SendRecv, 6),
        ("c=IN IP4 0.0.0.0", "a=recvonly", Direction::RecvOnly, 7),
    ];
    for (line, answered, direction, version) in steps {
        let reoffer = description(&[&STREAM[..], &[line]].concat());
        let (text, negotiated) = answer(&reoffer, &plain_answer(&previous)).unwrap();
        assert!(text.contains(&format!("\r\n{answered}\r\n")), "{line}: {text}");
        assert_eq!(negotiated.direction, direction, "{line}");
        assert_eq!(Origin::of(&text), Some(Origin { id: 4711, version }), "{line}");
        assert_eq!(negotiated.rtp.is_none(), line.starts_with("c="), "{line}");
        previous = text;
    }
}

#[test]
fn payload_type_numbers_are_those_of_the_offer() {
    let reoffer = description(&["m=audio 4000 RTP/AVP 0 100 102", "a=rtpmap:100 PCMA/8000", "a=rtpmap:102 telephone-event/8000"]);
    let (text, negotiated) = answer(&reoffer, &plain_answer(&offer(&plain_offer()))).unwrap();
    assert!(text.contains("\r\nm=audio 20000 RTP/AVP 100 102\r\na=rtpmap:100 PCMA/8000\r\n"), "{text}");
    assert!(!text.contains("rtcp-mux"), "{text}");
    assert_eq!(negotiated.audio, Numbers { send: number(100), receive: number(100) });
    assert_eq!(negotiated.rtcp, Some("198.51.100.7:4001".parse().unwrap()));
}

#[test]
fn telephone_events_can_be_refused() {
    let previous = offer(&plain_offer());
    let spec = AnswerSpec { telephone_event: TelephoneEvents::Refused, ..plain_answer(&previous) };
    let (text, negotiated) = answer(&description(&STREAM), &spec).unwrap();
    assert!(text.contains("\r\nm=audio 20000 RTP/AVP 8\r\n") && !text.contains("telephone-event"), "{text}");
    assert_eq!(negotiated.telephone_event, None);
}

#[test]
fn further_streams_are_rejected_in_their_place() {
    let streams = ["m=video 5000 RTP/AVP 96 97", "a=rtpmap:96 VP8/90000", "m=audio 0 RTP/AVP 8"];
    let more = ["m=audio 6000 RTP/AVP 8", "m=image 7000 udptl t38", "a=T38FaxVersion:0"];
    let reoffer = description(&[&streams[..], &STREAM, &more].concat());
    let (text, negotiated) = answer(&reoffer, &plain_answer(&offer(&plain_offer()))).unwrap();
    let media: Vec<_> = text.lines().filter(|line| line.starts_with("m=")).collect();
    let expected = [
        "m=video 0 RTP/AVP 96 97",
        "m=audio 0 RTP/AVP 8",
        "m=audio 20000 RTP/AVP 8 101",
        "m=audio 0 RTP/AVP 8",
        "m=image 0 udptl t38",
    ];
    assert_eq!(media, expected);
    assert_eq!(negotiated.rtp, Some("198.51.100.7:4000".parse().unwrap()));
}

#[test]
fn offers_that_cannot_be_met_are_refused() {
    #[track_caller]
    fn refuse(stream: &[&str], error: SdpError) {
        let previous = offer(&plain_offer());
        assert_eq!(answer(&description(stream), &plain_answer(&previous)), Err(error));
    }
    refuse(&[], SdpError::NoAudio);
    refuse(&["m=video 4000 RTP/AVP 8"], SdpError::NoAudio);
    refuse(&["m=audio 0 RTP/AVP 8"], SdpError::Rejected);
    refuse(&["m=audio 4000 RTP/SAVP 8"], SdpError::Profile);
    refuse(&["m=audio 4000 UDP/TLS/RTP/SAVPF 8"], SdpError::Profile);
    refuse(&["m=audio 4000 RTP/AVP 0"], SdpError::Codec);
    refuse(&["m=audio 4000 RTP/AVP 8", "c=IN IP4 224.0.0.1"], SdpError::Address);
    refuse(&["m=audio 4000 RTP/AVP 8", "c=IN IP6 2001:db8::1"], SdpError::AddressFamily);
    assert_eq!(answer(&description(&STREAM), &plain_answer("")), Err(SdpError::Malformed));
    let spec = AnswerSpec { local: local(), ..plain_answer("") };
    assert_eq!(answer(b"v=1\r\n", &spec), Err(SdpError::Malformed));
}
