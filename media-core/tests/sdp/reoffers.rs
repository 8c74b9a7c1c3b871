//! Our answers to new offers of the peer inside a dialog.

use media_core::codec::{Codec, Format};
use media_core::sdp::{
    AnswerSpec, Direction, Negotiated, OfferSpec, Origin, SdpError, accept_answer, answer, offer,
};

use super::{agreed, answer_spec, body, description, number, plain_offer};

const STREAM: [&str; 4] = [
    "m=audio 4000 RTP/AVP 8 101",
    "a=rtpmap:8 PCMA/8000",
    "a=rtpmap:101 telephone-event/8000",
    "a=rtcp-mux",
];
/// The least that is read of a description of ours.
const OURS: &str = "o=- 4711 1 IN IP4 192.0.2.10";

#[test]
fn an_answer_is_printed_byte_for_byte() {
    let previous = offer(&plain_offer());
    let (text, negotiated) =
        answer(&description(&STREAM), &answer_spec(&previous, &agreed())).unwrap();
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
    assert_eq!(negotiated.telephone_event, Some(number(101)));
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
        let (text, negotiated) = answer(&reoffer, &answer_spec(&previous, &agreed())).unwrap();
        assert!(text.contains(&format!("\r\n{answered}\r\n")), "{line}: {text}");
        assert_eq!(negotiated.direction, direction, "{line}");
        assert_eq!(Origin::of(&text), Some(Origin { id: 4711, version }), "{line}");
        assert_eq!(negotiated.rtp.is_none(), line.starts_with("c="), "{line}");
        previous = text;
    }
}

#[test]
fn payload_type_numbers_are_those_of_the_offer() {
    let reoffer = description(&[
        "m=audio 4000 RTP/AVP 0 100 102",
        "a=rtpmap:100 PCMA/8000",
        "a=rtpmap:102 telephone-event/8000",
    ]);
    let (text, negotiated) =
        answer(&reoffer, &answer_spec(&offer(&plain_offer()), &agreed())).unwrap();
    assert!(
        text.contains("\r\nm=audio 20000 RTP/AVP 100 102\r\na=rtpmap:100 PCMA/8000\r\n"),
        "{text}"
    );
    assert!(!text.contains("rtcp-mux"), "{text}");
    assert_eq!(negotiated.audio, number(100));
    // RFC 3264 §8.3.2: what the numbers stood for before they still do.
    for (payload_type, format) in [
        (100, Format::Audio(Codec::Pcma)),
        (0, Format::Audio(Codec::Pcmu)),
        (102, Format::TelephoneEvent),
        (8, Format::Audio(Codec::Pcma)),
        (101, Format::TelephoneEvent),
        (13, Format::ComfortNoise),
    ] {
        assert_eq!(
            negotiated.received.format(number(payload_type)),
            Some(format),
            "{payload_type}"
        );
    }
    assert_eq!(negotiated.rtcp, Some("198.51.100.7:4001".parse().unwrap()));
}

/// The codec in use stays if it is offered; the other one is taken if it is not, for each can be
/// transcoded.
#[test]
fn a_change_of_the_law_is_accepted() {
    #[track_caller]
    fn check(stream: &[&str], codec: Codec, line: &str) -> Negotiated {
        let (text, negotiated) =
            answer(&description(stream), &answer_spec(&offer(&plain_offer()), &agreed())).unwrap();
        assert_eq!(negotiated.codec, codec);
        assert!(text.contains(&format!("\r\nm=audio 20000 RTP/AVP {line}\r\n")), "{text}");
        negotiated
    }
    check(&["m=audio 4000 RTP/AVP 0"], Codec::Pcmu, "0");
    check(&["m=audio 4000 RTP/AVP 0 8"], Codec::Pcma, "8");
    check(&["m=audio 4000 RTP/AVP 9 18 97 0", "a=rtpmap:97 PCMU/8000"], Codec::Pcmu, "97");
    let held = check(&["m=audio 4000 RTP/AVP 0", "a=sendonly"], Codec::Pcmu, "0");
    assert_eq!((held.direction, held.telephone_event), (Direction::RecvOnly, None));
    // A number without a mapping means what it meant.
    check(&["m=audio 4000 RTP/AVP 0 101", "c=IN IP4 0.0.0.0"], Codec::Pcmu, "0 101");
}

/// RFC 3264 §8.2: "the answerer MUST mark the port with zero" where the offer did; the session goes
/// on with the next offer.
#[test]
fn port_0_holds() {
    let previous = offer(&plain_offer());
    let before = agreed();
    for offered in
        ["m=audio 0 RTP/AVP 8 101", "m=audio 0 RTP/AVP 0", "m=audio 0 RTP/SAVP 18", "m=audio 0"]
    {
        let (text, held) =
            answer(&description(&[offered]), &answer_spec(&previous, &before)).unwrap();
        assert!(text.contains("\r\nm=audio 0 ") && text.ends_with("\r\na=inactive\r\n"), "{text}");
        let expected =
            Negotiated { rtp: None, rtcp: None, direction: Direction::Inactive, ..agreed() };
        assert_eq!(held, expected, "{offered}");
        let (resumed, negotiated) =
            answer(&description(&STREAM), &answer_spec(&text, &held)).unwrap();
        assert_eq!(negotiated.rtp, Some("198.51.100.7:4000".parse().unwrap()));
        assert_eq!(Origin::of(&resumed), Some(Origin { id: 4711, version: 3 }));
    }
}

#[test]
fn further_streams_are_rejected_in_their_place() {
    let streams = ["m=video 5000 RTP/AVP 96 97", "a=rtpmap:96 VP8/90000", "m=audio 0 RTP/AVP 8"];
    let more = ["m=audio 6000 RTP/AVP 8", "m=image 7000 udptl t38", "a=T38FaxVersion:0"];
    let reoffer = description(&[&streams[..], &STREAM, &more].concat());
    let (text, negotiated) =
        answer(&reoffer, &answer_spec(&offer(&plain_offer()), &agreed())).unwrap();
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
fn wideband_is_taken_where_nothing_else_is_offered() {
    for (formats, expected) in [("18 9", Codec::G722), ("9 0", Codec::Pcmu), ("9 0 8", Codec::Pcma)]
    {
        let media = format!("m=audio 4000 RTP/AVP {formats}");
        let previous = offer(&plain_offer());
        let agreed = agreed();
        let spec = answer_spec(&previous, &agreed);
        let (text, negotiated) = answer(&description(&[media.as_str()]), &spec).unwrap();
        let number = expected.payload_type().number();
        assert_eq!(negotiated.codec, expected);
        assert!(text.contains(&format!("RTP/AVP {number}\r\n")), "{text}");
    }
}

#[test]
fn offers_that_cannot_be_met_are_refused() {
    #[track_caller]
    fn refuse(stream: &[&str], error: SdpError) {
        let previous = offer(&plain_offer());
        assert_eq!(answer(&description(stream), &answer_spec(&previous, &agreed())), Err(error));
    }
    refuse(&[], SdpError::NoAudio);
    refuse(&["m=video 4000 RTP/AVP 8"], SdpError::NoAudio);
    refuse(&["m=audio 4000 RTP/SAVP 8"], SdpError::Profile);
    refuse(&["m=audio 4000 UDP/TLS/RTP/SAVPF 8"], SdpError::Profile);
    refuse(&["m=audio 4000 RTP/AVP 18 15"], SdpError::Codec);
    refuse(&["m=audio 4000 RTP/AVP 8"; 9], SdpError::TooLarge);
    refuse(&[&["m=audio 4000 RTP/AVP 8"][..], &["a=x"; 300]].concat(), SdpError::TooLarge);
    refuse(&[&["m=audio 4000 RTP/AVP 8"][..], &["x"; 9_000]].concat(), SdpError::TooLarge);
    assert_eq!(
        answer(&description(&STREAM), &answer_spec("", &agreed())),
        Err(SdpError::Malformed)
    );
    let alone = |connection: &str| {
        answer(&body(&["m=audio 4000 RTP/AVP 8", connection]), &answer_spec(OURS, &agreed()))
    };
    assert_eq!(alone("c=IN IP4 224.0.0.1"), Err(SdpError::Address));
    assert_eq!(alone("c=IN IP6 2001:db8::1"), Err(SdpError::AddressFamily));
}

// RFC 3389 §4
#[test]
fn comfort_noise_is_agreed_to_where_both_want_it() {
    let wanting = OfferSpec { comfort_noise: true, ..plain_offer() };
    let text = offer(&wanting);
    assert!(text.contains(" 101 13\r\n") && text.contains("a=rtpmap:13 CN/8000\r\n"), "{text}");
    assert!(!offer(&plain_offer()).contains("CN/8000"));
    let named = ["m=audio 4000 RTP/AVP 8 101 13", "a=rtpmap:101 telephone-event/8000"];
    for (spec, stream, expected) in [
        (&wanting, &named, Some(number(13))),
        (&plain_offer(), &named, None),
        (&wanting, &["m=audio 4000 RTP/AVP 8 101", "a=rtpmap:101 telephone-event/8000"], None),
    ] {
        let negotiated = accept_answer(spec, &description(stream)).unwrap();
        assert_eq!(negotiated.comfort_noise, expected);
    }
    // A later offer of the peer's.
    let agreed = agreed();
    for (comfort_noise, expected) in [(true, Some(number(13))), (false, None)] {
        let spec = AnswerSpec { comfort_noise, ..answer_spec(&text, &agreed) };
        let (text, negotiated) = answer(&description(&named), &spec).unwrap();
        assert_eq!(negotiated.comfort_noise, expected);
        assert_eq!(text.contains("a=rtpmap:13 CN/8000"), comfort_noise, "{text}");
    }
}
