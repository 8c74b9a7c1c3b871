//! Answers to our offer.

use media_core::codec::{Codec, Format};
use media_core::sdp::{
    Direction, MAX_DESCRIPTION_LEN, Negotiated, OfferSpec, SdpError, accept_answer, offer,
};

use super::{body, description, number, plain_offer, received};

/// What a test expects of an answer.
struct Expected {
    rtp: Option<&'static str>,
    rtcp: Option<&'static str>,
    rtcp_mux: bool,
    codec: Codec,
    audio: u8,
    telephone_event: Option<u8>,
    direction: Direction,
}

const PLAIN: Expected = Expected {
    rtp: Some("198.51.100.7:4000"),
    rtcp: Some("198.51.100.7:4001"),
    rtcp_mux: false,
    codec: Codec::Pcmu,
    audio: 0,
    telephone_event: None,
    direction: Direction::SendRecv,
};

#[track_caller]
fn check(answer: &[u8], expected: Expected) {
    let negotiated = accept_answer(&plain_offer(), answer).expect("the answer is accepted");
    let audio = (expected.audio, Format::Audio(expected.codec));
    let named: Vec<_> = [audio]
        .into_iter()
        .chain(expected.telephone_event.map(|event| (event, Format::TelephoneEvent)))
        .collect();
    let expected = Negotiated {
        rtp: expected.rtp.map(|address| address.parse().unwrap()),
        rtcp: expected.rtcp.map(|address| address.parse().unwrap()),
        rtcp_mux: expected.rtcp_mux,
        codec: expected.codec,
        audio: number(expected.audio),
        telephone_event: expected.telephone_event.map(number),
        comfort_noise: None,
        received: received(&named),
        direction: expected.direction,
        srtp: None,
    };
    assert_eq!(negotiated, expected);
}

#[track_caller]
fn refuse(answer: &[u8], error: SdpError) {
    assert_eq!(accept_answer(&plain_offer(), answer), Err(error));
}

#[test]
fn the_offer_is_printed_byte_for_byte() {
    let expected = body(&[
        "v=0",
        "o=- 4711 1 IN IP4 192.0.2.10",
        "s=-",
        "c=IN IP4 192.0.2.10",
        "t=0 0",
        "m=audio 20000 RTP/AVP 0 8 101",
        "a=rtpmap:0 PCMU/8000",
        "a=rtpmap:8 PCMA/8000",
        "a=rtpmap:101 telephone-event/8000",
        "a=fmtp:101 0-15",
        "a=ptime:20",
        "a=sendrecv",
        "a=rtcp:20001",
    ]);
    assert_eq!(offer(&plain_offer()).as_bytes(), expected);
}

#[test]
fn an_ipv6_offer_names_its_family() {
    let mut spec = plain_offer();
    spec.local.address = "2001:db8::1".parse().unwrap();
    spec.telephone_event = None;
    let text = offer(&spec);
    assert!(
        text.contains("\r\nc=IN IP6 2001:db8::1\r\n")
            && text.contains("\r\nm=audio 20000 RTP/AVP 0 8\r\n"),
        "{text}"
    );
    let answer = "v=0\r\no=- 1 1 IN IP6 2001:db8::2\r\ns=-\r\nc=IN IP6 2001:db8::2\r\nt=0 0\r\n\
        m=audio 4000 RTP/AVP 8\r\n";
    let negotiated = accept_answer(&spec, answer.as_bytes()).unwrap();
    assert_eq!(negotiated.rtp, Some("[2001:db8::2]:4000".parse().unwrap()));
    assert_eq!(
        accept_answer(&spec, &description(&["m=audio 4000 RTP/AVP 8"])),
        Err(SdpError::AddressFamily)
    );
}

#[test]
fn answers_of_known_peers_are_accepted() {
    let asterisk = [
        "v=0",
        "o=- 4711 3 IN IP4 198.51.100.7",
        "s=Asterisk",
        "c=IN IP4 198.51.100.7",
        "t=0 0",
        "m=audio 4000 RTP/AVP 0 8 101",
        "a=rtpmap:0 PCMU/8000",
        "a=rtpmap:8 PCMA/8000",
        "a=rtpmap:101 telephone-event/8000",
        "a=fmtp:101 0-16",
        "a=ptime:20",
        "a=maxptime:140",
        "a=sendrecv",
    ];
    check(&body(&asterisk), Expected { telephone_event: Some(101), ..PLAIN });

    let freeswitch = [
        "v=0",
        "o=FreeSWITCH 1700000000 1700000001 IN IP4 198.51.100.7",
        "s=FreeSWITCH",
        "c=IN IP4 198.51.100.7",
        "t=0 0",
        "m=audio 4000 RTP/AVP 8 101",
        "a=rtpmap:8 PCMA/8000",
        "a=rtpmap:101 telephone-event/8000",
        "a=fmtp:101 0-15",
        "a=silenceSupp:off - - - -",
        "a=ptime:20",
        "a=rtcp:4000 IN IP4 198.51.100.7",
        "a=rtcp-mux",
    ];
    let muxed = Expected {
        rtcp: PLAIN.rtp,
        rtcp_mux: true,
        codec: Codec::Pcma,
        audio: 8,
        telephone_event: Some(101),
        ..PLAIN
    };
    check(&body(&freeswitch), muxed);

    let cisco = [
        "v=0",
        "o=CiscoSystemsSIP-GW-UserAgent 5597 4082 IN IP4 203.0.113.20",
        "s=SIP Call",
        "c=IN IP4 203.0.113.20",
        "t=0 0",
        "m=audio 17008 RTP/AVP 0 96",
        "c=IN IP4 203.0.113.21",
        "a=rtpmap:0 PCMU/8000",
        "a=rtpmap:96 telephone-event/8000",
        "a=fmtp:96 0-15",
    ];
    let gateway = Expected {
        rtp: Some("203.0.113.21:17008"),
        rtcp: Some("203.0.113.21:17009"),
        telephone_event: Some(96),
        ..PLAIN
    };
    check(&body(&cisco), gateway);

    let session_border_controller = [
        "v=0",
        "o=SBC 0 0 IN IP4 198.51.100.7",
        "s=sip call",
        "i=A session border controller",
        "b=AS:80",
        "t=0 0",
        "a=sendonly",
        "m=audio 4000/1 rtp/avp 8 ",
        "c=IN IP4 198.51.100.7/127",
        "b=TIAS:64000",
        "a=rtcp:9000",
        "a=recvonly",
        "a=mystery:value",
        "x=unknown line",
    ];
    let controller = Expected {
        rtcp: Some("198.51.100.7:9000"),
        codec: Codec::Pcma,
        audio: 8,
        direction: Direction::SendOnly,
        ..PLAIN
    };
    check(&body(&session_border_controller), controller);

    let latin_1 = [
        b"v=0\no=- 1 1 IN IP4 198.51.100.7\ns=caf\xe9\n".as_slice(),
        b"c=IN IP4 198.51.100.7\nt=0 0\n",
    ]
    .concat();
    check(&[latin_1.as_slice(), b"m=audio 4000 RTP/AVP 0\n"].concat(), PLAIN);
}

#[test]
fn payload_types_follow_the_mapping_or_the_static_table() {
    check(
        &description(&["m=audio 4000 RTP/AVP 8"]),
        Expected { codec: Codec::Pcma, audio: 8, ..PLAIN },
    );
    let dynamic = ["m=audio 4000 RTP/AVP 97", "a=rtpmap:97 pcma/8000/1"];
    check(&description(&dynamic), Expected { codec: Codec::Pcma, audio: 97, ..PLAIN });
    let unknown_first =
        ["m=audio 4000 RTP/AVP 15 18 0", "a=rtpmap:15 G728/8000", "a=rtpmap:18 G729/8000"];
    check(&description(&unknown_first), PLAIN);
    let opus = ["m=audio 4000 RTP/AVP 111 0 101", "a=rtpmap:111 opus/48000/2"];
    check(&description(&opus), Expected { telephone_event: Some(101), ..PLAIN });
    let wideband_event = ["m=audio 4000 RTP/AVP 0 101", "a=rtpmap:101 telephone-event/48000"];
    check(&description(&wideband_event), PLAIN);
    let renumbered = ["m=audio 4000 RTP/AVP 0 127", "a=rtpmap:127 Telephone-Event/8000"];
    check(&description(&renumbered), Expected { telephone_event: Some(127), ..PLAIN });
    refuse(&description(&["m=audio 4000 RTP/AVP 0", "a=rtpmap:0 L16/44100"]), SdpError::Codec);
    refuse(&description(&["m=audio 4000 RTP/AVP 97", "a=rtpmap:97 PCMU/16000"]), SdpError::Codec);
    refuse(&description(&["m=audio 4000 RTP/AVP 97", "a=rtpmap:97 PCMU/8000/2"]), SdpError::Codec);
    refuse(&description(&["m=audio 4000 RTP/AVP 128 *"]), SdpError::Codec);
    refuse(&description(&["m=audio 4000 RTP/AVP 97"]), SdpError::Codec);
}

/// RFC 3551 §4.5.2: 16 kHz under a clock of 8000.
#[test]
fn wideband_is_sent_if_it_was_offered_and_heard_at_any_rate() {
    let mut spec = OfferSpec { codecs: Codec::G722.and_others(), ..plain_offer() };
    let text = offer(&spec);
    assert!(text.contains("m=audio 20000 RTP/AVP 9 0 8 101\r\n"), "{text}");
    assert!(text.contains("a=rtpmap:9 G722/8000\r\n"), "{text}");
    let wideband = description(&["m=audio 4000 RTP/AVP 9 0"]);
    let negotiated = accept_answer(&spec, &wideband).unwrap();
    assert_eq!((negotiated.codec, negotiated.audio.number()), (Codec::G722, 9));
    spec.codecs = Codec::Pcma.and_others();
    let negotiated = accept_answer(&spec, &wideband).unwrap();
    assert_eq!(negotiated.codec, Codec::Pcmu);
    assert!(negotiated.received.payload_type(Format::Audio(Codec::G722)).is_some());
    let dynamic = description(&["m=audio 4000 RTP/AVP 97", "a=rtpmap:97 g722/16000"]);
    assert_eq!(accept_answer(&spec, &dynamic), Err(SdpError::Codec));
}

#[test]
fn telephone_event_is_taken_only_if_it_was_offered() {
    let mut spec = plain_offer();
    spec.telephone_event = None;
    let answer = description(&["m=audio 4000 RTP/AVP 0 101", "a=rtpmap:101 telephone-event/8000"]);
    assert_eq!(accept_answer(&spec, &answer).unwrap().telephone_event, None);
}

#[test]
fn a_codec_that_was_not_offered_is_refused() {
    let mut spec = plain_offer();
    spec.codecs = vec![Codec::Pcma];
    assert_eq!(
        accept_answer(&spec, &description(&["m=audio 4000 RTP/AVP 0"])),
        Err(SdpError::Codec)
    );
}

#[test]
fn directions_are_seen_from_our_side() {
    for (attribute, direction) in [
        ("a=sendrecv", Direction::SendRecv),
        ("a=sendonly", Direction::RecvOnly),
        ("a=recvonly", Direction::SendOnly),
        ("a=inactive", Direction::Inactive),
    ] {
        check(
            &description(&["m=audio 4000 RTP/AVP 0", attribute]),
            Expected { direction, ..PLAIN },
        );
    }
    let mut spec = plain_offer();
    spec.direction = Direction::SendOnly;
    let answer = description(&["m=audio 4000 RTP/AVP 0", "a=sendrecv"]);
    assert_eq!(accept_answer(&spec, &answer).unwrap().direction, Direction::SendOnly);
    let contradiction = description(&["m=audio 4000 RTP/AVP 0", "a=sendonly", "a=recvonly"]);
    check(&contradiction, Expected { direction: Direction::RecvOnly, ..PLAIN });
}

/// RFC 3264 §8.4 on the hold of RFC 2543.
#[test]
fn the_unspecified_address_holds() {
    let held = Expected { rtp: None, rtcp: None, direction: Direction::RecvOnly, ..PLAIN };
    check(&description(&["m=audio 4000 RTP/AVP 0", "c=IN IP4 0.0.0.0"]), held);
    let inactive = Expected { rtp: None, rtcp: None, direction: Direction::Inactive, ..PLAIN };
    check(&description(&["m=audio 4000 RTP/AVP 0", "c=IN IP4 0.0.0.0", "a=recvonly"]), inactive);
    let no_rtcp = Expected { rtcp: None, ..PLAIN };
    check(&description(&["m=audio 4000 RTP/AVP 0", "a=rtcp:4001 IN IP4 0.0.0.0"]), no_rtcp);
}

#[test]
fn rtcp_goes_where_it_is_asked_for() {
    let elsewhere = Expected { rtcp: Some("203.0.113.9:7001"), ..PLAIN };
    check(&description(&["m=audio 4000 RTP/AVP 0", "a=rtcp:7001 IN IP4 203.0.113.9"]), elsewhere);
    let muxed = Expected { rtcp: PLAIN.rtp, rtcp_mux: true, ..PLAIN };
    check(&description(&["m=audio 4000 RTP/AVP 0", "a=rtcp:7001", "a=rtcp-mux"]), muxed);
    let same_twice = Expected { rtcp: Some("198.51.100.7:7001"), ..PLAIN };
    check(&description(&["m=audio 4000 RTP/AVP 0", "a=rtcp:7001", "a=rtcp:7001"]), same_twice);
    let first = Expected { rtcp: Some("198.51.100.7:7001"), ..PLAIN };
    check(&description(&["m=audio 4000 RTP/AVP 0", "a=rtcp:7001", "a=rtcp:7003"]), first);
    for useless in ["a=rtcp:0", "a=rtcp:99999", "a=rtcp", "a=rtcp:port"] {
        check(&description(&["m=audio 4000 RTP/AVP 0", useless]), PLAIN);
    }
    let last = Expected { rtp: Some("198.51.100.7:65535"), rtcp: None, ..PLAIN };
    check(&description(&["m=audio 65535 RTP/AVP 0"]), last);
    for elsewhere in ["a=rtcp:7001 IN IP6 2001:db8::1", "a=rtcp:7001 IN IP4 media.example.com"] {
        let port_alone = Expected { rtcp: Some("198.51.100.7:7001"), ..PLAIN };
        check(&description(&["m=audio 4000 RTP/AVP 0", elsewhere]), port_alone);
    }
}

#[test]
fn an_answer_needs_a_stream_like_the_offered_one() {
    refuse(&description(&[]), SdpError::NoAudio);
    refuse(&description(&["m=audio 0 RTP/AVP 0"]), SdpError::Rejected);
    refuse(&description(&["m=video 4000 RTP/AVP 0"]), SdpError::NoAudio);
    refuse(&description(&["m=audio 4000 RTP/SAVP 0"]), SdpError::Profile);
    refuse(&description(&["m=audio 4000 RTP/SAVPF 0"]), SdpError::Profile);
    refuse(&description(&["m=audio 4000 TCP/RTP/AVP 0"]), SdpError::Profile);
    refuse(&description(&["m=audio 4000 udptl t38"]), SdpError::Profile);
}

#[test]
fn addresses_must_be_usable() {
    let stream = |connection| description(&["m=audio 4000 RTP/AVP 0", connection]);
    let alone = |connection| {
        body(&[
            "v=0",
            "o=- 1 1 IN IP4 198.51.100.7",
            "s=-",
            "t=0 0",
            "m=audio 4000 RTP/AVP 0",
            connection,
        ])
    };
    refuse(&alone("c=IN IP4 224.2.1.1/127"), SdpError::Address);
    refuse(&alone("c=IN IP4 255.255.255.255"), SdpError::Address);
    refuse(&alone("c=IN IP6 2001:db8::1"), SdpError::AddressFamily);
    refuse(&alone("c=IN IP4 media.example.com"), SdpError::Address);
    refuse(&alone("c=ATM NSAP 47.0091"), SdpError::Address);
    refuse(&alone("a=sendrecv"), SdpError::Address);
    check(&stream("c=IN IP6 ::ffff:198.51.100.7"), PLAIN);
    // What the line calls it is of no account.
    check(&stream("c=IN IP6 198.51.100.7"), PLAIN);
    check(&stream("c=in ip4 198.51.100.7/127/2"), PLAIN);
    // The session's line serves where the stream's own is of no use.
    check(&stream("c=IN IP6 2001:db8::1"), PLAIN);
    check(&stream("c=IN IP4 media.example.com"), PLAIN);
    let two = ["m=audio 4000 RTP/AVP 0", "c=IN IP4 198.51.100.8", "c=IN IP4 198.51.100.9"];
    let first =
        Expected { rtp: Some("198.51.100.8:4000"), rtcp: Some("198.51.100.8:4001"), ..PLAIN };
    check(&description(&two), first);
}

/// A peer that names its host, or no host at all, is taken to be where its signalling comes from.
#[test]
fn a_host_that_is_named_is_where_the_signalling_comes_from() {
    let named = |lines: &[&str]| {
        let spec = media_core::sdp::OfferSpec {
            peer: Some("203.0.113.5".parse().unwrap()),
            ..plain_offer()
        };
        accept_answer(
            &spec,
            &body(&[&["v=0", "o=- 1 1 IN IP4 198.51.100.7", "s=-", "t=0 0"], lines].concat()),
        )
        .map(|negotiated| negotiated.rtp)
    };
    let there = Ok(Some("203.0.113.5:4000".parse().unwrap()));
    assert_eq!(named(&["c=IN IP4 media.example.com", "m=audio 4000 RTP/AVP 0"]), there);
    assert_eq!(named(&["m=audio 4000 RTP/AVP 0", "c=IN IP4 sbc"]), there);
    assert_eq!(named(&["m=audio 4000 RTP/AVP 0"]), there);
    assert_eq!(
        named(&["c=IN IP4 198.51.100.7", "m=audio 4000 RTP/AVP 0"]),
        Ok(Some("198.51.100.7:4000".parse().unwrap()))
    );
    assert_eq!(named(&["c=IN IP4 224.2.1.1", "m=audio 4000 RTP/AVP 0"]), Err(SdpError::Address));
}

#[test]
fn absurd_descriptions_get_their_errors() {
    refuse(b"", SdpError::NoAudio);
    refuse(b"hello", SdpError::NoAudio);
    refuse(&[b"a=".as_slice(), &[b'\n'; 300]].concat(), SdpError::NoAudio);
    refuse(&b"a=x\n".repeat(300), SdpError::NoAudio);
    refuse(&vec![b'v'; MAX_DESCRIPTION_LEN + 1], SdpError::NoAudio);
    refuse(&description(&["m=audio 70000 RTP/AVP 0"]), SdpError::Malformed);
    refuse(&description(&["m=audio -1 RTP/AVP 0"]), SdpError::Malformed);
    refuse(&description(&["m=audio"]), SdpError::Malformed);
    let many: Vec<_> = (0..128).rev().map(|number| number.to_string()).collect();
    refuse(&description(&[&format!("m=audio 4000 RTP/AVP {}", many.join(" "))]), SdpError::Codec);
}

#[test]
fn of_an_answer_without_end_the_beginning_counts() {
    let endless =
        |line: &str| description(&[&["m=audio 4000 RTP/AVP 0"][..], &vec![line; 2_000]].concat());
    check(&endless("a=candidate:1 1 udp 1 198.51.100.7 9 typ host"), PLAIN);
    check(&endless("a=x"), PLAIN);
    check(&endless("m=video 0 RTP/AVP 31"), PLAIN);
    check(&endless("\u{e9}\u{20ac}"), PLAIN);
}

/// Whatever is offered may be sent, under the numbers of either side; what we send is the first
/// that is ours.
#[test]
fn each_format_that_was_offered_is_received() {
    use Format::{Audio, ComfortNoise, TelephoneEvent};
    #[track_caller]
    fn check(stream: &[&str], sent: (u8, Codec), event: Option<u8>, named: &[(u8, Format)]) {
        let negotiated = accept_answer(&plain_offer(), &description(stream)).unwrap();
        assert_eq!((negotiated.audio, negotiated.codec), (number(sent.0), sent.1));
        assert_eq!(negotiated.telephone_event, event.map(number));
        assert_eq!(negotiated.received, received(named));
    }
    let event = "a=rtpmap:101 telephone-event/8000";
    check(&["m=audio 4000 RTP/AVP 0 8 101", event], (0, Codec::Pcmu), Some(101), &[]);
    check(&["m=audio 4000 RTP/AVP 8 0 101", event], (8, Codec::Pcma), Some(101), &[]);
    check(&["m=audio 4000 RTP/AVP 8"], (8, Codec::Pcma), None, &[]);
    let renumbered = ["m=audio 4000 RTP/AVP 0 96", "a=rtpmap:96 telephone-event/8000"];
    check(&renumbered, (0, Codec::Pcmu), Some(96), &[(96, TelephoneEvent)]);
    let both = [
        "m=audio 4000 RTP/AVP 98 99 100",
        "a=rtpmap:98 PCMA/8000",
        "a=rtpmap:99 PCMU/8000",
        "a=rtpmap:100 CN/8000",
    ];
    check(
        &both,
        (98, Codec::Pcma),
        None,
        &[(98, Audio(Codec::Pcma)), (99, Audio(Codec::Pcmu)), (100, ComfortNoise)],
    );
    // Our own numbers mean what our offer says.
    let swapped = ["m=audio 4000 RTP/AVP 101 0", "a=rtpmap:101 PCMA/8000"];
    check(&swapped, (101, Codec::Pcma), None, &[]);
}
