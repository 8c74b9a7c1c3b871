//! Requests, responses, ACK, CANCEL, the notes in Via, and refusals.

use super::super::*;
use super::{INVITE, parsed, parsed_request, wire};

fn parts<'a>(routes: &'a [String]) -> RequestParts<'a> {
    RequestParts {
        method: Method::Invite,
        target: "sip:+15550123@198.51.100.7",
        routes,
        via: "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKx;rport",
        from: "<sip:+15550100@192.0.2.1>;tag=a",
        to: "<sip:+15550123@trunk.example>",
        call_id: "c1",
        cseq: 7,
        contact: Some("<sip:edge@192.0.2.1:5060>"),
        extra: vec![header("Allow", "INVITE, ACK, CANCEL, BYE, OPTIONS")],
        body: Some(Body { content_type: "application/sdp", bytes: b"v=0\r\n" }),
    }
}

#[track_caller]
fn check_printed(message: &[u8], expected: &str) {
    assert_eq!(String::from_utf8_lossy(message), String::from_utf8_lossy(&wire(expected)));
}

#[test]
fn a_request_is_printed_whole() {
    assert_eq!(via_value("UDP", "192.0.2.1:5060", "z9hG4bKx"), parts(&[]).via);
    check_printed(
        &print_request(&request(&parts(&["<sip:proxy.example;lr>".into()]))),
        "INVITE sip:+15550123@198.51.100.7 SIP/2.0\n\
         Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKx;rport\n\
         Max-Forwards: 70\n\
         Route: <sip:proxy.example;lr>\n\
         From: <sip:+15550100@192.0.2.1>;tag=a\n\
         To: <sip:+15550123@trunk.example>\n\
         Call-ID: c1\n\
         CSeq: 7 INVITE\n\
         Contact: <sip:edge@192.0.2.1:5060>\n\
         Allow: INVITE, ACK, CANCEL, BYE, OPTIONS\n\
         Content-Type: application/sdp\n\
         Content-Length: 5\n\
         \n\
         v=0\n",
    );
}

// "If the first URI of the route set does not contain the lr parameter, the UAC MUST place the
// first URI from the route set into the Request-URI … The UAC MUST then place the remote target URI
// into the Route header field as the last value." (§12.2.1.1)
#[test]
fn a_strict_router_gets_its_own_uri() {
    let made = request(&parts(&["<sip:old.example>".into(), "<sip:proxy.example;lr>".into()]));
    assert_eq!(made.uri.to_string(), "sip:old.example");
    assert_eq!(
        made.values("Route").collect::<Vec<_>>(),
        ["<sip:proxy.example;lr>", "<sip:+15550123@198.51.100.7>"]
    );
}

#[test]
fn a_response_copies_what_it_must() {
    let invite = parsed_request(INVITE);
    check_printed(
        &print_response(&respond(&invite, 486, "our")),
        "SIP/2.0 486 Busy Here\n\
         Via: SIP/2.0/UDP proxy.example:5060;branch=z9hG4bK-p1;rport\n\
         Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK-o1\n\
         From: \"Ann \\\"A\\\" Lee\" <sip:+15550199@example.org>;tag=f1\n\
         To: <sip:+15550123@example.com>;tag=our\n\
         Call-ID: 84b4c76e66710@pc33.example.org\n\
         CSeq: 314159 INVITE\n\
         Content-Length: 0\n\n",
    );
    // "a UAS MUST copy all Record-Route header field values from the request into the response"
    // that makes a dialog (§12.1.1)
    for (code, routes, to_tag, has_timestamp) in
        [(100, 0, None, true), (180, 2, Some("our"), false), (200, 2, Some("our"), false)]
    {
        let response = respond(&invite, code, "our");
        assert_eq!(response.record_routes().len(), routes, "{code}");
        assert_eq!(response.to_tag(), to_tag, "{code}");
        assert_eq!(response.value("Timestamp").is_some(), has_timestamp, "{code}");
    }
    let mut within = invite;
    within.headers.unique_push(header("To", "<sip:+15550123@example.com>;tag=old"));
    assert_eq!(respond(&within, 200, "our").to_tag(), Some("old"));
}

#[test]
fn a_body_replaces_its_type() {
    let mut response = respond(&parsed_request(INVITE), 200, "our");
    set_body(&mut response, Body { content_type: "text/plain", bytes: b"x" });
    set_body(&mut response, Body { content_type: "application/sdp", bytes: b"v=0\r\n" });
    assert_eq!(response.values("Content-Type").collect::<Vec<_>>(), ["application/sdp"]);
    assert!(print_response(&response).ends_with(b"Content-Length: 5\r\n\r\nv=0\r\n"));
}

#[test]
fn ack_and_cancel_follow_the_invite() {
    let invite = request(&parts(&["<sip:proxy.example;lr>".into()]));
    let mut busy = respond(&invite, 486, "theirs");
    busy.headers.push(header("Contact", "<sip:elsewhere@203.0.113.5>"));
    // §17.1.1.3: To equals the response's, the single Via the INVITE's top one, Route as in the
    // INVITE, same CSeq number.
    check_printed(
        &print_request(&ack_for(&invite, &busy)),
        "ACK sip:+15550123@198.51.100.7 SIP/2.0\n\
         Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKx;rport\n\
         Max-Forwards: 70\n\
         Route: <sip:proxy.example;lr>\n\
         From: <sip:+15550100@192.0.2.1>;tag=a\n\
         To: <sip:+15550123@trunk.example>;tag=theirs\n\
         Call-ID: c1\n\
         CSeq: 7 ACK\n\
         Content-Length: 0\n\n",
    );
    // §9.1: Request-URI, Call-ID, To, From and the number of CSeq identical, the single Via the top
    // one, the Route set the same.
    check_printed(
        &print_request(&cancel_for(&invite)),
        "CANCEL sip:+15550123@198.51.100.7 SIP/2.0\n\
         Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKx;rport\n\
         Max-Forwards: 70\n\
         Route: <sip:proxy.example;lr>\n\
         From: <sip:+15550100@192.0.2.1>;tag=a\n\
         To: <sip:+15550123@trunk.example>\n\
         Call-ID: c1\n\
         CSeq: 7 CANCEL\n\
         Content-Length: 0\n\n",
    );
}

#[track_caller]
fn check_stamp(via: &str, source: &str, expected: &str, reply_to: Option<&str>) {
    let mut request = parsed_request(
        &INVITE.replace("SIP/2.0/UDP proxy.example:5060;branch=z9hG4bK-p1;rport", via),
    );
    stamp_source(&mut request, source.parse().unwrap());
    assert_eq!(request.value("Via"), Some(expected));
    assert_eq!(request.values("Via").count(), 2, "only the top Via is touched");
    let reply_to = reply_to.map(|address| address.parse().unwrap());
    assert_eq!(request.top_via().unwrap().reply_address(), reply_to);
}

#[test]
fn the_source_is_noted_in_the_top_via() {
    let branch = "branch=z9hG4bK1";
    // §18.2.1: a domain name, or another address than the source's, gets `received`.
    check_stamp(
        &format!("SIP/2.0/UDP host.example:5070;{branch}"),
        "192.0.2.5:9000",
        &format!("SIP/2.0/UDP host.example:5070;{branch};received=192.0.2.5"),
        Some("192.0.2.5:5070"),
    );
    check_stamp(
        &format!("SIP/2.0/UDP 192.0.2.5;{branch}"),
        "192.0.2.5:9000",
        &format!("SIP/2.0/UDP 192.0.2.5;{branch}"),
        Some("192.0.2.5:5060"),
    );
    // RFC 3581 §4: `rport` is filled in, and `received` is there even when it says the same.
    check_stamp(
        &format!("SIP/2.0/UDP 192.0.2.5;rport;{branch}"),
        "192.0.2.5:9000",
        &format!("SIP/2.0/UDP 192.0.2.5;{branch};rport=9000;received=192.0.2.5"),
        Some("192.0.2.5:9000"),
    );
    // What the peer claims of itself is not believed.
    check_stamp(
        &format!("SIP/2.0/UDP 192.0.2.5;{branch};received=203.0.113.1;rport=1"),
        "192.0.2.5:9000",
        &format!("SIP/2.0/UDP 192.0.2.5;{branch};rport=9000;received=192.0.2.5"),
        Some("192.0.2.5:9000"),
    );
    check_stamp(
        &format!("SIP/2.0/UDP [2001:db8::1]:5080;{branch};rport"),
        "[2001:db8::2]:7000",
        &format!("SIP/2.0/UDP [2001:db8::1]:5080;{branch};rport=7000;received=2001:db8::2"),
        Some("[2001:db8::2]:7000"),
    );
}

#[test]
fn a_refusal_answers_what_can_be_answered() {
    let bad = wire(&INVITE.replace("Max-Forwards: 69", "Max-Forwards: many"));
    let error = parse(&bad, &Limits::default()).unwrap_err();
    assert_eq!(error, ParseError::HeaderValue);
    let answer = refusal(&bad, error, "192.0.2.250:5999".parse().unwrap()).unwrap();
    assert_eq!(
        refusal(&bad, error, "192.0.2.250:5999".parse().unwrap()).as_ref(),
        Some(&answer),
        "the same each time"
    );
    let Ok(SipMessage::Response(answer)) = parse(&answer, &Limits::default()) else {
        panic!("no response")
    };
    assert_eq!(answer.status_code.code(), 400);
    assert_eq!(
        answer.top_via().unwrap().reply_address(),
        Some("192.0.2.250:5999".parse().unwrap())
    );
    assert_eq!(answer.values("Via").count(), 2);
    assert!(answer.to_tag().is_some());
    assert_eq!(answer.call_id(), Some("84b4c76e66710@pc33.example.org"));
}

#[test]
fn no_refusal_answers_an_ack_a_response_or_noise() {
    let source = "192.0.2.250:5999".parse().unwrap();
    let error = ParseError::HeaderValue;
    assert_eq!(refusal(&wire(&INVITE.replace("INVITE sip", "ACK sip")), error, source), None);
    assert_eq!(
        refusal(
            &wire(&INVITE.replacen(
                "INVITE sip:+15550123@198.51.100.7:5070;transport=udp SIP/2.0",
                "SIP/2.0 200 OK",
                1
            )),
            error,
            source
        ),
        None
    );
    assert_eq!(refusal(b"\x00\x01\x00\x00!\x12\xa4B", error, source), None);
    assert_eq!(refusal(&wire(INVITE), ParseError::NotSip, source), None);
}

#[test]
fn an_answer_cannot_be_split_by_what_it_copies() {
    let smuggled = wire(INVITE)
        .windows(1)
        .flat_map(|byte| if byte == b"@" { b"\n@".to_vec() } else { byte.to_vec() })
        .collect::<Vec<_>>();
    assert!(parse(&smuggled, &Limits::default()).is_err());
    let answer = refusal(&smuggled, ParseError::HeaderValue, "192.0.2.250:5999".parse().unwrap());
    assert!(answer.is_none_or(|answer| {
        !answer.split(|byte| *byte == b'\r').any(|line| line.starts_with(b"@"))
    }));
}

#[test]
fn reason_phrases_are_words() {
    let of = |code: u16| {
        let text = print_response(&respond(&parsed_request(INVITE), code, "t"));
        String::from_utf8(text).unwrap().lines().next().unwrap().to_owned()
    };
    assert_eq!(of(200), "SIP/2.0 200 OK");
    assert_eq!(of(183), "SIP/2.0 183 Session Progress");
    assert_eq!(of(481), "SIP/2.0 481 Call Transaction Does Not Exist");
    assert_eq!(of(202), "SIP/2.0 202 Accepted");
    assert_eq!(of(489), "SIP/2.0 489 Bad Event");
    for code in [400, 401, 403, 405, 415, 420, 423, 488, 491, 500, 503, 603] {
        assert!(!of(code).contains("Other"), "{}", of(code));
    }
    let odd = parsed(
        "SIP/2.0 499 Odd  one\nVia: SIP/2.0/UDP a;branch=1\nFrom: <sip:a@a>\nTo: \
            <sip:b@b>\nCall-ID: c\nCSeq: 1 BYE\n\n",
    );
    assert!(print(&odd).starts_with(b"SIP/2.0 499 Odd  one\r\n"));
}
