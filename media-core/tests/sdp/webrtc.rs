//! Descriptions as browsers write them: what is offered to them, answered, refused, and what
//! hostile ones do.

use std::sync::LazyLock;

use media_core::codec::{Codec, Format, FormatMap};
use media_core::dtls::Fingerprint;
use media_core::relay::{Relay, RelayConfig, WebRtcConfig};
use media_core::sdp::webrtc::{
    SoftphoneAnswer, SoftphoneNegotiated, SoftphoneOffer, accept_answer, answer, offer,
};
use media_core::sdp::{Direction, Origin, SdpError, SoftphoneLocal};

use super::{number, received};

const FINGERPRINT: &str = "6D:FC:10:3E:42:0B:B2:83:8F:2D:25:AE:5C:0F:B2:E9:5D:98:B0:87:19:0B:6D:16:93:30:1E:9B:CB:1C:77:2A";

/// Chromium's answer to our offer, before and after it trickled.
const CHROMIUM_ANSWER: &str = "v=0\r\no=- 7153271231023187123 2 IN IP4 127.0.0.1\r\ns=-\r\n\
    t=0 0\r\na=group:BUNDLE 0\r\n\
    a=msid-semantic: WMS b6cf0a1c-6a3d-4f3e-a4a7-3d6c5f0d9f0e\r\n\
    m=audio 54321 UDP/TLS/RTP/SAVPF 0 8 101\r\nc=IN IP4 192.168.1.20\r\n\
    a=rtcp:9 IN IP4 0.0.0.0\r\n\
    a=candidate:2705413573 1 udp 2122260223 4bd5ac09-86c4-4bb1-a3a5-9d3c0f3c0d5e.local 54321 typ \
    host generation 0 network-id 1 network-cost 10\r\n\
    a=candidate:842163049 1 udp 1686052607 203.0.113.9 54321 typ srflx raddr 0.0.0.0 rport 0 \
    generation 0 network-id 1\r\n\
    a=candidate:3570865249 1 tcp 1518280447 192.168.1.20 9 typ host tcptype active generation 0 \
    network-id 1\r\n\
    a=ice-ufrag:Jx6n\r\na=ice-pwd:W1rVfHkyOkzb2jGQWXOzPFzC\r\na=ice-options:trickle\r\n\
    a=fingerprint:sha-256 \
    6D:FC:10:3E:42:0B:B2:83:8F:2D:25:AE:5C:0F:B2:E9:5D:98:B0:87:19:0B:6D:16:93:30:1E:9B:CB:1C:77:2A\r\n\
    a=setup:active\r\na=mid:0\r\na=sendrecv\r\n\
    a=msid:b6cf0a1c-6a3d-4f3e-a4a7-3d6c5f0d9f0e 0d7ac6e8-0a5c-4b27-8e5f-6a9f8ef1a9ab\r\n\
    a=rtcp-mux\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
    a=rtpmap:101 telephone-event/8000\r\n\
    a=ssrc:2231627014 cname:vGq8bSOmmhCHKcVO\r\n";

/// Chromium's own offer with all its codecs.
const CHROMIUM_OFFER: &str = "v=0\r\no=- 4611731400430051336 3 IN IP4 127.0.0.1\r\ns=-\r\n\
    t=0 0\r\na=group:BUNDLE 0\r\n\
    a=extmap-allow-mixed\r\na=msid-semantic: WMS b6cf0a1c-6a3d-4f3e-a4a7-3d6c5f0d9f0e\r\n\
    m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126\r\nc=IN IP4 0.0.0.0\r\n\
    a=rtcp:9 IN IP4 0.0.0.0\r\na=ice-ufrag:pQ3k\r\n\
    a=ice-pwd:8UoQbmlOpZ8Cb1xTYkPvXJ0d\r\na=ice-options:trickle\r\n\
    a=fingerprint:sha-256 \
    6D:FC:10:3E:42:0B:B2:83:8F:2D:25:AE:5C:0F:B2:E9:5D:98:B0:87:19:0B:6D:16:93:30:1E:9B:CB:1C:77:2A\r\n\
    a=setup:actpass\r\na=mid:0\r\na=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n\
    a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time\r\n\
    a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n\
    a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\na=sendrecv\r\n\
    a=msid:b6cf0a1c-6a3d-4f3e-a4a7-3d6c5f0d9f0e 0d7ac6e8-0a5c-4b27-8e5f-6a9f8ef1a9ab\r\n\
    a=rtcp-mux\r\na=rtcp-rsize\r\n\
    a=rtpmap:111 opus/48000/2\r\na=rtcp-fb:111 transport-cc\r\n\
    a=fmtp:111 minptime=10;useinbandfec=1\r\na=rtpmap:63 red/48000/2\r\n\
    a=fmtp:63 111/111\r\na=rtpmap:9 G722/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
    a=rtpmap:13 CN/8000\r\n\
    a=rtpmap:110 telephone-event/48000\r\na=rtpmap:126 telephone-event/8000\r\n\
    a=ssrc:2231627014 cname:vGq8bSOmmhCHKcVO\r\n\
    a=ssrc:2231627014 msid:b6cf0a1c-6a3d-4f3e-a4a7-3d6c5f0d9f0e \
    0d7ac6e8-0a5c-4b27-8e5f-6a9f8ef1a9ab\r\n";

/// Firefox' answer: attributes of the session, and its own order.
const FIREFOX_ANSWER: &str = "v=0\r\no=mozilla...THIS_IS_SDPARTA-99.0 3186201231 0 IN IP4 \
    0.0.0.0\r\ns=-\r\nt=0 0\r\n\
    a=fingerprint:sha-256 \
    6D:FC:10:3E:42:0B:B2:83:8F:2D:25:AE:5C:0F:B2:E9:5D:98:B0:87:19:0B:6D:16:93:30:1E:9B:CB:1C:77:2A\r\n\
    a=group:BUNDLE 0\r\na=ice-options:trickle\r\na=msid-semantic:WMS *\r\n\
    m=audio 50111 UDP/TLS/RTP/SAVPF 8 101\r\nc=IN IP4 192.0.2.7\r\n\
    a=candidate:0 1 UDP 2122252543 192.0.2.7 50111 typ host\r\na=recvonly\r\n\
    a=end-of-candidates\r\na=fmtp:101 0-15\r\n\
    a=ice-pwd:4ff6dd6cb5a1a3c5ab3b9a4d5d6b2a10\r\na=ice-ufrag:6b8c1f5d\r\na=mid:0\r\n\
    a=rtcp-mux\r\na=rtpmap:8 PCMA/8000\r\n\
    a=rtpmap:101 telephone-event/8000/1\r\na=setup:active\r\n\
    a=ssrc:3711723111 cname:{5b7b0c0e-6e1f-4d0c-bb4b-1b0a4d9b9d5f}\r\n";

#[expect(clippy::disallowed_methods, reason = "an Instant cannot be made otherwise")]
fn made() -> SoftphoneLocal {
    let now = std::time::Instant::now();
    let config = RelayConfig {
        public_addresses: vec!["192.0.2.10".parse().unwrap()],
        first_port: 20_000,
        pair_count: 1,
        quarantine: std::time::Duration::ZERO,
        own_sockets: Vec::new(),
        opus_legs: 0,
        webrtc: Some(WebRtcConfig { port: 30_000, capacity: 1, secret: [1; 32] }),
    };
    let mut relay = Relay::new(config, 1, now);
    let leg = relay.open_softphone(now).unwrap();
    relay.softphone_local(leg).unwrap()
}

fn local() -> SoftphoneLocal {
    static LOCAL: LazyLock<SoftphoneLocal> = LazyLock::new(made);
    LOCAL.clone()
}

fn spec() -> SoftphoneOffer {
    SoftphoneOffer {
        local: local(),
        origin: Origin { id: 4711, version: 1 },
        codecs: vec![Codec::Pcmu, Codec::Pcma],
        telephone_event: Some(number(101)),
        opus_event: None,
        direction: Direction::SendRecv,
        known: FormatMap::default(),
    }
}

fn answer_spec(previous: &str) -> SoftphoneAnswer<'_> {
    SoftphoneAnswer {
        local: local(),
        previous,
        codec: Codec::Pcmu,
        known: received(&[]),
        direction: Direction::SendRecv,
    }
}

fn negotiated(ufrag: &str, codec: Codec, event: u8) -> SoftphoneNegotiated {
    SoftphoneNegotiated {
        ufrag: ufrag.into(),
        fingerprint: Fingerprint::parse(FINGERPRINT).unwrap(),
        codec,
        audio: codec.payload_type(),
        telephone_event: Some(number(event)),
        received: received(&[(event, Format::TelephoneEvent)]),
        direction: Direction::SendRecv,
    }
}

#[test]
fn our_offer_is_what_browsers_take() {
    let spec = spec();
    let (ice, fingerprint) = (&spec.local.ice, spec.local.fingerprint);
    let expected = format!(
        "v=0\r\no=- 4711 1 IN IP4 192.0.2.10\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\na=ice-lite\r\n\
            a=msid-semantic: WMS dialer\r\n\
         m=audio 30000 UDP/TLS/RTP/SAVPF 0 8 101\r\nc=IN IP4 192.0.2.10\r\na=mid:0\r\n\
         a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
         a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n\
         a=msid:dialer audio\r\na=rtcp-mux\r\n\
         a=ice-ufrag:{}\r\na=ice-pwd:{}\r\na=fingerprint:sha-256 {fingerprint}\r\n\
         a=setup:actpass\r\n\
         a=candidate:1 1 udp 2130706431 192.0.2.10 30000 typ host\r\na=end-of-candidates\r\n",
        ice.ufrag(),
        ice.password()
    );
    assert_eq!(offer(&spec), expected);
}

#[test]
fn browsers_answers_are_understood() {
    #[track_caller]
    fn check(answer: &str, expected: SoftphoneNegotiated) {
        assert_eq!(accept_answer(&spec(), answer.as_bytes()), Ok(expected));
    }
    check(CHROMIUM_ANSWER, negotiated("Jx6n", Codec::Pcmu, 101));
    check(&CHROMIUM_ANSWER.replace("\r\n", "\n"), negotiated("Jx6n", Codec::Pcmu, 101));
    let firefox = SoftphoneNegotiated {
        direction: Direction::SendOnly,
        ..negotiated("6b8c1f5d", Codec::Pcma, 101)
    };
    check(FIREFOX_ANSWER, firefox);
    let two_hashes = CHROMIUM_ANSWER
        .replace("a=fingerprint:sha-256", "a=fingerprint:sha-1 00:01\r\na=fingerprint:SHA-256");
    check(&two_hashes, negotiated("Jx6n", Codec::Pcmu, 101));
    let inactive = SoftphoneNegotiated {
        direction: Direction::Inactive,
        ..negotiated("Jx6n", Codec::Pcmu, 101)
    };
    check(&CHROMIUM_ANSWER.replace("a=sendrecv", "a=inactive"), inactive);
    let no_keys =
        SoftphoneNegotiated { telephone_event: None, ..negotiated("Jx6n", Codec::Pcmu, 101) };
    check(
        &CHROMIUM_ANSWER
            .replace("a=rtpmap:101 telephone-event/8000\r\n", "")
            .replace(" 101\r\n", "\r\n"),
        no_keys,
    );
}

#[test]
fn answers_without_what_media_needs_are_refused() {
    #[track_caller]
    fn check(from: &str, to: &str, error: SdpError) {
        assert!(CHROMIUM_ANSWER.contains(from), "{from}");
        assert_eq!(
            accept_answer(&spec(), CHROMIUM_ANSWER.replace(from, to).as_bytes()),
            Err(error)
        );
    }
    check("m=audio 54321", "m=audio 0", SdpError::Rejected);
    check("m=audio", "m=video", SdpError::NoAudio);
    check("UDP/TLS/RTP/SAVPF", "RTP/SAVPF", SdpError::Profile);
    check("a=rtcp-mux\r\n", "", SdpError::RtcpMux);
    check("a=ice-ufrag:Jx6n\r\n", "", SdpError::Ice);
    check("Jx6n", "Jx6", SdpError::Ice);
    check("Jx6n", "Jx6n:x", SdpError::Ice);
    check("W1rVfHkyOkzb2jGQWXOzPFzC", "short", SdpError::Ice);
    check("sha-256", "sha-1", SdpError::Fingerprint);
    check("6D:FC", "6D:F", SdpError::Fingerprint);
    check("a=setup:active", "a=setup:passive", SdpError::Setup);
    check("a=setup:active", "a=setup:actpass", SdpError::Setup);
    check("a=setup:active\r\n", "", SdpError::Setup);
    check("PCM", "XPCM", SdpError::Codec);
    assert_eq!(
        accept_answer(&spec(), b"v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\ns=-\r\nt=0 0\r\n"),
        Err(SdpError::NoAudio)
    );
    assert_eq!(accept_answer(&spec(), &[b'a'; 9_000]), Err(SdpError::NoAudio));
}

#[test]
fn a_browsers_offer_is_answered() {
    let previous = offer(&spec());
    let spec = answer_spec(&previous);
    let (text, negotiated_of_offer) = answer(CHROMIUM_OFFER.as_bytes(), &spec).unwrap();
    let received = &negotiated_of_offer.received;
    let formats: Vec<_> = [0, 8, 126, 101, 13]
        .iter()
        .map(|payload_type| received.format(number(*payload_type)))
        .collect();
    let events = Some(Format::TelephoneEvent);
    let audio = [Some(Format::Audio(Codec::Pcmu)), Some(Format::Audio(Codec::Pcma))];
    assert_eq!(formats, [audio[0], audio[1], events, events, Some(Format::ComfortNoise)]);
    assert_eq!(
        negotiated_of_offer,
        SoftphoneNegotiated { received: *received, ..negotiated("pQ3k", Codec::Pcmu, 126) }
    );
    for line in [
        "o=- 4711 2 IN IP4 192.0.2.10",
        "a=group:BUNDLE 0",
        "m=audio 30000 UDP/TLS/RTP/SAVPF 0 126",
        "a=rtpmap:126 telephone-event/8000",
        "a=setup:passive",
        "a=sendrecv",
        "a=mid:0",
        &format!("a=ice-ufrag:{}", spec.local.ice.ufrag()),
    ] {
        assert!(text.lines().any(|own| own == line), "{line} in {text}");
    }
    let again = SoftphoneAnswer { previous: &text, ..spec.clone() };
    assert_eq!(
        answer(CHROMIUM_OFFER.as_bytes(), &again).unwrap().0,
        text,
        "the same offer has the same answer"
    );
    let hold = CHROMIUM_OFFER.replace("a=sendrecv", "a=sendonly");
    let (held, negotiated_hold) = answer(hold.as_bytes(), &again).unwrap();
    assert!(held.contains("a=recvonly\r\n") && held.contains("o=- 4711 3 "));
    assert_eq!(negotiated_hold.direction, Direction::RecvOnly);
}

#[test]
fn a_new_name_is_answered_with_new_credentials() {
    let previous = offer(&spec());
    let known = |ufrag: &str| SoftphoneLocal { peer_ufrag: Some(ufrag.into()), ..local() };
    let same = answer(
        CHROMIUM_OFFER.as_bytes(),
        &SoftphoneAnswer { local: known("pQ3k"), ..answer_spec(&previous) },
    )
    .unwrap()
    .0;
    let other = answer(
        CHROMIUM_OFFER.as_bytes(),
        &SoftphoneAnswer { local: known("Jx6n"), ..answer_spec(&previous) },
    )
    .unwrap()
    .0;
    let local = local();
    assert!(same.contains(local.ice.ufrag()) && same.contains(local.ice.password()));
    assert!(
        other.contains(local.next_ice.ufrag())
            && other.contains(local.next_ice.password())
            && !other.contains(local.ice.ufrag())
    );
}

#[test]
fn other_streams_of_an_offer_are_rejected() {
    let video = "m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\n\
        a=rtpmap:96 VP8/90000\r\na=rtcp-mux\r\n";
    let data = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\n\
        a=mid:2\r\na=sctp-port:5000\r\n";
    let previous = offer(&spec());
    let body = format!("{CHROMIUM_OFFER}{video}{data}").replace("BUNDLE 0", "BUNDLE 0 1 2");
    let (text, _) = answer(body.as_bytes(), &answer_spec(&previous)).unwrap();
    assert!(
        text.contains("a=group:BUNDLE 0\r\n")
            && text.contains("m=video 0 UDP/TLS/RTP/SAVPF 96\r\n")
    );
    assert!(
        text.contains("m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\n")
            && text.contains("a=mid:2\r\n")
    );
    #[track_caller]
    fn check(from: &str, to: &str, error: SdpError) {
        let previous = offer(&spec());
        // Its wideband alone would do, too.
        let offered = CHROMIUM_OFFER.replace("G722", "L16").replace(from, to);
        assert_eq!(answer(offered.as_bytes(), &answer_spec(&previous)), Err(error));
    }
    check("a=setup:actpass", "a=setup:passive", SdpError::Setup);
    check("UDP/TLS/RTP/SAVPF", "RTP/AVP", SdpError::Profile);
    check("m=audio 9", "m=audio 0", SdpError::Rejected);
    check("PCM", "XPCM", SdpError::Codec);
    check("a=ice-pwd:8UoQbmlOpZ8Cb1xTYkPvXJ0d\r\n", "", SdpError::Ice);
}

/// With Opus first, as softphones get it.
fn opus_spec() -> SoftphoneOffer {
    let codecs = vec![Codec::Opus, Codec::Pcmu, Codec::Pcma];
    SoftphoneOffer { codecs, opus_event: Some(number(110)), ..spec() }
}

#[test]
fn opus_is_offered_with_what_goes_with_it() {
    let text = offer(&opus_spec());
    let stream = "m=audio 30000 UDP/TLS/RTP/SAVPF 111 0 8 110 101\r\nc=IN IP4 192.0.2.10\r\n\
        a=mid:0\r\na=rtpmap:111 opus/48000/2\r\n\
        a=fmtp:111 minptime=10;useinbandfec=1;maxplaybackrate=8000;sprop-maxcapturerate=8000;\
        maxaveragebitrate=20000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
        a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n\
        a=rtpmap:110 telephone-event/48000\r\na=fmtp:110 0-15\r\na=ptime:20\r\n";
    assert!(text.contains(stream), "{text}");
}

#[test]
fn opus_is_taken_if_it_was_offered_and_with_it_the_keys_at_its_clock() {
    #[track_caller]
    fn check(answer: &str, codec: Codec, audio: u8, event: u8) {
        let spec = opus_spec();
        let negotiated = accept_answer(&spec, answer.as_bytes()).unwrap();
        assert_eq!((negotiated.codec, negotiated.audio), (codec, number(audio)));
        assert_eq!(negotiated.telephone_event, Some(number(event)));
        for (payload_type, format) in [
            (111, Format::Audio(Codec::Opus)),
            (110, Format::OpusEvent),
            (0, Format::Audio(Codec::Pcmu)),
            (101, Format::TelephoneEvent),
        ] {
            assert_eq!(negotiated.received.format(number(payload_type)), Some(format));
        }
    }
    let chromium = CHROMIUM_ANSWER.replace("SAVPF 0 8 101", "SAVPF 111 0 8 110 101").replace(
        "a=rtpmap:0 PCMU",
        "a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n\
        a=rtpmap:110 telephone-event/48000\r\na=rtpmap:0 PCMU",
    );
    check(&chromium, Codec::Opus, 111, 110);
    // Firefox has no keys at the clock of Opus, and may number it itself.
    let firefox = FIREFOX_ANSWER.replace("SAVPF 8 101", "SAVPF 109 8 101").replace(
        "a=rtpmap:8",
        "a=fmtp:109 maxplaybackrate=48000;stereo=1;useinbandfec=1\r\n\
        a=rtpmap:109 OPUS/48000/2\r\na=rtpmap:8",
    );
    check(&firefox, Codec::Opus, 109, 101);
    check(&chromium.replace("SAVPF 111 0", "SAVPF 0"), Codec::Pcmu, 0, 101);
    // One channel is none of RFC 7587.
    check(&chromium.replace("opus/48000/2", "opus/48000"), Codec::Pcmu, 0, 101);
    // To whom it was not offered it means nothing.
    let negotiated = accept_answer(&spec(), chromium.as_bytes()).unwrap();
    assert_eq!((negotiated.codec, negotiated.telephone_event), (Codec::Pcmu, Some(number(101))));
    assert_eq!(negotiated.received.format(number(111)), None);
}

#[test]
fn a_browsers_offer_keeps_opus_in_use() {
    let previous = offer(&opus_spec());
    let known: FormatMap =
        [(number(111), Format::Audio(Codec::Opus)), (number(0), Format::Audio(Codec::Pcmu))]
            .into_iter()
            .collect();
    let in_use = SoftphoneAnswer { codec: Codec::Opus, known, ..answer_spec(&previous) };
    let (text, negotiated) = answer(CHROMIUM_OFFER.as_bytes(), &in_use).unwrap();
    assert_eq!((negotiated.codec, negotiated.telephone_event), (Codec::Opus, Some(number(110))));
    assert!(text.contains("SAVPF 111 110\r\n"), "{text}");
    assert!(text.contains("a=rtpmap:110 telephone-event/48000\r\n"), "{text}");
    assert!(!text.contains("telephone-event/8000"), "{text}");
    // Another one in use stays, too, and without Opus there is one of the others.
    let spec = SoftphoneAnswer { codec: Codec::Pcma, ..in_use.clone() };
    let (_, negotiated) = answer(CHROMIUM_OFFER.as_bytes(), &spec).unwrap();
    assert_eq!((negotiated.codec, negotiated.telephone_event), (Codec::Pcma, Some(number(126))));
    let narrow = CHROMIUM_OFFER.replace(" 111 63 9 0", " 0");
    let (_, negotiated) = answer(narrow.as_bytes(), &in_use).unwrap();
    assert_eq!(negotiated.codec, Codec::Pcmu);
    // Whoever was never offered it gets none.
    let (text, _) = answer(CHROMIUM_OFFER.as_bytes(), &answer_spec(&previous)).unwrap();
    assert!(!text.contains("opus"), "{text}");
}

/// Reads one body every way; the fuzz target.
fn read(body: &[u8]) {
    if let Ok(negotiated) = accept_answer(&opus_spec(), body) {
        assert!(opus_spec().codecs.contains(&negotiated.codec));
    }
    let spec = spec();
    if let Ok(negotiated) = accept_answer(&spec, body) {
        assert!(spec.codecs.contains(&negotiated.codec) && negotiated.ufrag.len() >= 4);
    }
    let previous = offer(&spec);
    let answer_spec = answer_spec(&previous);
    if let Ok((text, negotiated)) = answer(body, &answer_spec) {
        let again = SoftphoneAnswer { previous: &text, ..answer_spec.clone() };
        assert_eq!(
            answer(body, &again),
            Ok((text.clone(), negotiated)),
            "the same offer has the same answer"
        );
        assert!(text.lines().all(|line| line.as_bytes().get(1) == Some(&b'=')), "{text}");
    }
}

#[test]
fn mutated_descriptions_never_panic() {
    let mut random = super::hostile::Random(0x5dc0ffee);
    for seed in [CHROMIUM_ANSWER, CHROMIUM_OFFER, FIREFOX_ANSWER] {
        for _ in 0..300 {
            let mut body = seed.as_bytes().to_vec();
            for _ in 0..=random.below(4) {
                super::hostile::mutate(&mut body, &mut random);
            }
            read(&body);
        }
    }
}
