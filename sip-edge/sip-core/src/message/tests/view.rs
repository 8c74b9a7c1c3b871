//! What the views read of headers and URIs, and what `rsip` sees of the parser's results.

use rsip::headers::ToTypedHeader;
use rsip::message::HeadersExt;

use super::super::*;
use super::{INVITE, parsed_request, parsed_response};

#[test]
fn an_invite_is_read() {
    let invite = parsed_request(INVITE);
    let via = invite.top_via().unwrap();
    assert_eq!(
        (via.transport, via.host, via.port, via.branch()),
        ("UDP", "proxy.example", Some(5060), Some("z9hG4bK-p1"))
    );
    assert_eq!((via.received(), via.rport(), via.params.has("rport")), (None, None, true));
    assert_eq!(invite.call_id(), Some("84b4c76e66710@pc33.example.org"));
    assert_eq!(invite.cseq(), Some(CSeq { number: 314_159, method: Method::Invite }));
    assert_eq!((invite.from_tag(), invite.to_tag()), (Some("f1"), None));
    assert_eq!(invite.from_addr().unwrap().uri.user, Some("+15550199"));
    assert_eq!(invite.contact_uri().unwrap().as_str(), "sip:ann@192.0.2.9:5062");
    assert_eq!(invite.record_routes(), ["<sip:proxy.example;lr>", "<sip:edge.example;lr;ftag=1>"]);
    assert_eq!(invite.max_forwards(), Some(69));
    assert!(invite.is_content_type("Application/SDP"));
    assert_eq!(invite.body, b"v=0\r");
}

/// `rsip`'s own typed headers read what the parser made, compact and folded forms included.
#[test]
fn rsip_sees_the_headers() {
    let text = INVITE
        .replace("Via:", "v:")
        .replace("To:", "t:\n ")
        .replace("Call-ID:", "I :")
        .replace("Content-Length", "l");
    let invite = parsed_request(&text);
    assert_eq!(invite.via_header().unwrap().typed().unwrap().uri.to_string(), "proxy.example:5060");
    assert_eq!(invite.to_header().unwrap().typed().unwrap().uri.user(), Some("+15550123"));
    assert_eq!(invite.cseq_header().unwrap().seq().unwrap(), 314_159);
    assert_eq!(invite.uri.user(), Some("+15550123"));
    assert_eq!(invite.uri.port().map(|port| port.to_string()).as_deref(), Some("5070"));
    assert_eq!(invite, parsed_request(INVITE));
}

#[test]
fn a_response_is_read() {
    let response = parsed_response(
        "SIP/2.0 480 Gone fishing\n\
         Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKx;rport=5060;received=192.0.2.1\n\
         f: <sip:a@a.example>;tag=1\n\
         t: <sip:b@b.example>;tag=2\n\
         i: c\n\
         CSeq: 1 INVITE\n\
         Reason: SIP;cause=480;text=\"a, b\", Q.850 ;cause=17;text=\"User busy\"\n\
         Retry-After: 120 (in a meeting);duration=60\n\
         x: 1800;refresher=uas\n\
         Require: 100rel, timer\n\
         Supported: replaces,timer\n\
         l: 0\n\n",
    );
    assert_eq!(
        response.reasons().map(|reason| (reason.protocol, reason.cause)).collect::<Vec<_>>(),
        [("SIP", Some(480)), ("Q.850", Some(17))]
    );
    assert_eq!(response.q850_cause(), Some(17));
    assert_eq!(response.retry_after(), Some(120));
    assert_eq!(
        response.session_expires(),
        Some(SessionExpires { interval: 1800, refresher: Some("uas") })
    );
    assert!(
        response.requires("100rel") && response.requires("Timer") && !response.requires("replaces")
    );
    assert!(response.supports("replaces") && !response.supports("100rel"));
    assert_eq!(
        response.top_via().unwrap().reply_address(),
        Some("192.0.2.1:5060".parse().unwrap())
    );
}

#[track_caller]
fn check_uri(text: &str, expected: Option<(Scheme, Option<&str>, &str, Option<u16>)>) {
    let uri = Uri::parse(text);
    assert_eq!(uri.map(|uri| (uri.scheme, uri.user, uri.host, uri.port)), expected, "{text}");
    assert!(uri.is_none_or(|uri| uri.as_str() == text));
}

#[test]
fn uris_are_read() {
    check_uri(
        "sip:a@b.example:5070;transport=tcp;lr",
        Some((Scheme::Sip, Some("a"), "b.example", Some(5070))),
    );
    check_uri("SIPS:b.example", Some((Scheme::Sips, None, "b.example", None)));
    check_uri(
        "sip:a:secret@[2001:db8::1]:5061",
        Some((Scheme::Sip, Some("a"), "[2001:db8::1]", Some(5061))),
    );
    check_uri("sip:[::1]", Some((Scheme::Sip, None, "[::1]", None)));
    check_uri(
        "tel:+1-555-0123;phone-context=example.com",
        Some((Scheme::Tel, Some("+1-555-0123"), "", None)),
    );
    check_uri("urn:service:sos", Some((Scheme::Other, None, "", None)));
    for bad in [
        "",
        "sip",
        "sip:",
        ":a",
        "1sip:a@b",
        "sip:@b.example",
        "sip:a@",
        "sip:a@b:",
        "sip:a@b:x",
        "sip:a@b:70000",
        "sip:a@[::1",
        "sip:a@[x]",
        "sip:a%4@b",
        "sip:a%zz@b",
        "sip:a@b;;lr",
        "sip:a@b;=x",
        "sip:a@b;x=",
        "sip:a b@c",
        "sip:a@b@c",
        "tel:",
        "tel:;x=y",
        "sip:a@b>c",
        "x:",
    ] {
        check_uri(bad, None);
    }
}

#[test]
fn addresses_and_escapes_are_undone() {
    assert_eq!(
        Uri::parse("sip:a@[2001:db8::1]").unwrap().ip(),
        Some("2001:db8::1".parse().unwrap())
    );
    assert_eq!(Uri::parse("sip:a@192.0.2.1").unwrap().ip(), Some("192.0.2.1".parse().unwrap()));
    assert_eq!(Uri::parse("sip:a@b").unwrap().ip(), None);
    assert_eq!(Uri::parse("sip:%2B1555;x=y@b").unwrap().user_text().as_deref(), Some("+1555"));
    assert_eq!(Uri::parse("sip:%ff@b").unwrap().user_text(), None);
}

#[track_caller]
fn check_name(text: &str, expected: Option<(&str, &str, Option<&str>)>) {
    let read = NameAddr::parse(text).map(|each| (each.display, each.uri.as_str(), each.tag()));
    assert_eq!(read, expected, "{text}");
}

#[test]
fn name_addresses_are_read() {
    check_name("sip:a@b;tag=1", Some(("", "sip:a@b", Some("1"))));
    check_name("<sip:a@b;tag=x>;TAG=1", Some(("", "sip:a@b;tag=x", Some("1"))));
    check_name(
        "\"a <b>, \\\"c\\\"\" <sip:a@b>;tag=1",
        Some(("a <b>, \\\"c\\\"", "sip:a@b", Some("1"))),
    );
    check_name("J\u{fc}rgen M <tel:+1>", Some(("J\u{fc}rgen M", "tel:+1", None)));
    for bad in [
        "",
        "<>",
        "<sip:a@b",
        "sip:a@b>",
        "\"a\" sip:a@b",
        "\"a <sip:a@b>",
        "a,b <sip:a@b>",
        "<sip:a@b>x",
        "sip:a@b?x=y",
        "<sip:a@b> <sip:c@d>",
    ] {
        check_name(bad, None);
    }
}

#[test]
fn request_uris_print_back_unchanged() {
    for uri in [
        "sip:+15550123@198.51.100.7",
        "sip:a@[2001:db8::1]:5061;transport=tcp",
        "tel:+1-555-0123;phone-context=example.com",
        "urn:service:sos",
        "sips:a:b@c.example;x;y=z",
        "sip:example.com",
        "SIP:A@Example.COM",
    ] {
        let request =
            parsed_request(&INVITE.replace("sip:+15550123@198.51.100.7:5070;transport=udp", uri));
        assert_eq!(request.uri.to_string(), uri);
    }
}

#[track_caller]
fn check_refused(change: (&str, &str), expected: ParseError) {
    let text = INVITE.replace(change.0, change.1);
    assert_ne!(text, INVITE);
    assert_eq!(parse(&super::wire(&text), &Limits::default()), Err(expected), "{change:?}");
}

#[test]
fn each_refusal_has_its_error() {
    check_refused(
        ("INVITE sip:+15550123@198.51.100.7:5070;transport=udp SIP/2.0", "INVITE"),
        ParseError::NotSip,
    );
    check_refused(("INVITE sip", "invite sip"), ParseError::Method);
    check_refused((" SIP/2.0\nVia", " HTTP/1.1\nVia"), ParseError::NotSip);
    check_refused((" SIP/2.0\nVia", " SIP/2.00\nVia"), ParseError::Version);
    check_refused(("INVITE sip:+15550123@", "INVITE sip:@"), ParseError::RequestUri);
    check_refused(("Via: SIP/2.0", "Via: SIP/3.0"), ParseError::HeaderValue);
    check_refused(("Max-Forwards: 69", "Max-Forwards 69"), ParseError::HeaderLine);
    check_refused(("Max-Forwards: 69", "Max Forwards: 69"), ParseError::HeaderLine);
    check_refused(("Max-Forwards: 69", ": 69"), ParseError::HeaderLine);
    check_refused(("\n\nv=0", ""), ParseError::HeaderLine);
    check_refused(("Max-Forwards: 69", "Max-Forwards: 256"), ParseError::HeaderValue);
    check_refused(
        ("Max-Forwards: 69", "Max-Forwards: 69\nMax-Forwards: 69"),
        ParseError::RepeatedHeader,
    );
    check_refused(("314159 INVITE", "2147483648 INVITE"), ParseError::HeaderValue);
    check_refused(("314159 INVITE", "314159 BYE"), ParseError::CSeqMismatch);
    check_refused(("314159 INVITE", "314159"), ParseError::HeaderValue);
    check_refused(("84b4c76e66710@", "84b4c 76e66710@"), ParseError::HeaderValue);
    check_refused(("Call-ID", "Call-IF"), ParseError::MissingHeader);
    check_refused(("Content-Length: 4", "Content-Length: 6"), ParseError::ContentLength);
    check_refused(("Content-Length: 4", "Content-Length: four"), ParseError::ContentLength);
    check_refused(("Content-Length: 4", "Content-Length: 4\nl: 3"), ParseError::RepeatedHeader);
    check_refused(("<sip:edge.example;lr;ftag=1>", "edge.example"), ParseError::HeaderValue);
}

#[test]
fn limits_hold() {
    let with = |limits: Limits| parse(&super::wire(INVITE), &limits).map(|_| ());
    let limits = Limits::default();
    assert_eq!(with(limits), Ok(()));
    assert_eq!(with(Limits { head_len: 100, ..limits }), Err(ParseError::TooLarge));
    assert_eq!(with(Limits { header_count: 5, ..limits }), Err(ParseError::TooLarge));
    assert_eq!(with(Limits { body_len: 3, ..limits }), Err(ParseError::TooLarge));
    assert_eq!(ParseError::TooLarge.answer(), Answer::Status(513));
}
