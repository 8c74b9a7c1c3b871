//! What is read of odd messages, each with the repair that it is counted under. A stranger's is
//! refused; see `rfc4475`.

use super::super::*;
use super::wire;

const OK: &str = "SIP/2.0 200 OK\n\
    Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKours;rport\n\
    Record-Route: <sip:192.0.2.8;lr>\n\
    From: <sip:+918045670001@192.0.2.7>;tag=ours\n\
    To: <sip:+919876501010@192.0.2.7>;tag=peer\n\
    Call-ID: c1\n\
    CSeq: 1 INVITE\n\
    Contact: <sip:peer@192.0.2.7:5062>\n\
    Content-Type: application/sdp\n\
    Content-Length: 5\n\
    \n\
    v=0\n";

const BYE: &str = "BYE sip:s0c1@192.0.2.10 SIP/2.0\n\
    Via: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bKtheirs\n\
    Max-Forwards: 70\n\
    From: <sip:+919876501010@192.0.2.7>;tag=peer\n\
    To: <sip:+918045670001@192.0.2.7>;tag=ours\n\
    Call-ID: c1\n\
    CSeq: 5 BYE\n\
    Content-Length: 0\n\n";

#[track_caller]
fn read_of(bytes: &[u8]) -> Read {
    let read = read(bytes, &Limits::default()).expect("it can be read");
    assert!(parse(bytes, &Limits::default()).is_err(), "a stranger's is refused");
    read
}

/// Branch, both tags, method of CSeq: what finds transaction and dialog.
#[track_caller]
fn check_identity(message: &SipMessage, branch: &str, from: &str, to: &str) {
    let via = message.top_via();
    assert_eq!(via.and_then(|via| via.branch()), Some(branch));
    assert_eq!((message.from_tag(), message.to_tag()), (Some(from), Some(to)));
}

#[track_caller]
fn check_response(change: (&str, &str), repair: Repair) {
    let text = OK.replacen(change.0, change.1, 1);
    assert_ne!(text, OK);
    let read = read_of(&wire(&text));
    assert_eq!(read.repairs.iter().collect::<Vec<_>>(), [repair], "{change:?}");
    check_identity(&read.message, "z9hG4bKours", "ours", "peer");
    assert_eq!(read.message.cseq_method(), Some(Method::Invite), "{change:?}");
    assert_eq!(
        read.message.contact_uri().and_then(|uri| uri.target()),
        Some("sip:peer@192.0.2.7:5062"),
        "{change:?}"
    );
    assert_eq!(read.message.body(), b"v=0\r\n", "{change:?}");
    let SipMessage::Response(response) = read.message else { panic!("a response") };
    assert_eq!(response.status_code.code(), 200);
}

#[test]
fn responses() {
    for via in [
        "z9hG4bKours;rport=",
        "z9hG4bKours;rport=;received=192.0.2.10",
        "z9hG4bKours;rport;",
        "z9hG4bKours;;rport",
        "z9hG4bKours;rport;received=\"192.0.2.10",
        "z9hG4bKours; = ;rport",
        "\"z9hG4bKours\";rport==",
    ] {
        check_response(("z9hG4bKours;rport", via), Repair::Via);
    }
    check_response(("SIP/2.0/UDP 192.0.2.10:5060", "SIP/2.0/UDP 192.0.2.10:"), Repair::Via);
    check_response(("SIP/2.0/UDP 192.0.2.10:5060", "SIP/2.0/UDP"), Repair::Via);
    check_response(("SIP/2.0/UDP 192.0.2.10:5060", "UDP 192.0.2.10"), Repair::Via);
    for to in [
        "<sip:+919876501010@192.0.2.7>;tag=peer;",
        "<sip:+919876501010@192.0.2.7;>;tag=peer",
        "<sip:+919876501010@192.0.2.7;x=>;tag=peer",
        "<sip:+919876501010@192.0.2.7:>;tag=peer",
        "<sip:+9198%7@192.0.2.7>;tag=peer",
        "<sip:+919876501010@192.0.2.7;tag=peer",
        "sip:+919876501010@192.0.2.7>;tag=peer",
        "Bell, Alexander <sip:+919876501010@192.0.2.7>;tag=peer",
        "(sales) <sip:+919876501010@192.0.2.7>;tag=peer",
        "\"Mr. User <sip:+919876501010@192.0.2.7>;tag=peer",
        "\"A\" sip:+919876501010@192.0.2.7;tag=peer",
        "A <b> <sip:+919876501010@192.0.2.7>;tag=peer",
        "< sip:+919876501010@192.0.2.7 >;tag=peer",
        "<+919876501010>;tag=peer",
        "<>;tag=peer",
        ";tag=peer",
        "<sip:a@b@192.0.2.7>;;tag=peer;x=\"",
    ] {
        check_response(("<sip:+919876501010@192.0.2.7>;tag=peer", to), Repair::Party);
    }
    check_response(
        ("Record-Route: <sip:192.0.2.8;lr>", "Record-Route: <sip:192.0.2.8;lr;>"),
        Repair::Route,
    );
    check_response(
        ("Record-Route: <sip:192.0.2.8;lr>", "Record-Route: <sip:192.0.2.8;lr>,"),
        Repair::Route,
    );
    for contact in [
        "<sip:peer@192.0.2.7:5062",
        "< sip:peer@192.0.2.7:5062 >;expires=",
        "\"P\" sip:peer@192.0.2.7:5062",
        "Peer, Media <sip:peer@192.0.2.7:5062>;q=",
    ] {
        check_response(
            ("Contact: <sip:peer@192.0.2.7:5062>", &format!("Contact: {contact}")),
            Repair::Contact,
        );
    }
    for cseq in ["1  INVITE;x", "1 invite;", "4294967296 INVITE", "INVITE", "1,INVITE"] {
        check_response(("CSeq: 1 INVITE", &format!("CSeq: {cseq}")), Repair::CSeq);
    }
    check_response(("Call-ID: c1", "Call-ID: c 1"), Repair::CallId);
    check_response(("Call-ID: c1\n", ""), Repair::Missing);
    check_response(("Call-ID: c1", "Call-ID: c1\nCall-ID: c2"), Repair::Repeated);
    check_response((";tag=peer\n", ";tag=peer\nt: <sip:x@y>;tag=other\n"), Repair::Repeated);
    for junk in ["no header at all", "X Y: z", ": z", "\u{1}\u{2}\u{3}", "X-\u{e9}: z"] {
        check_response(("CSeq: 1", &format!("{junk}\nCSeq: 1")), Repair::HeaderLine);
    }
    for length in [
        "Content-Length: 5 bytes",
        "Content-Length: 500",
        "Content-Length: -1",
        "l: 5\nl: 6",
        "Content-Length:",
    ] {
        check_response(("Content-Length: 5", length), Repair::ContentLength);
    }
    for start in
        ["SIP/2.0  200 OK", "SIP/2.0 200OK", "SIP/2.1 200 OK", "SIP/2.0\t200 OK", " SIP/2.0 200 OK"]
    {
        check_response(("SIP/2.0 200 OK", start), Repair::StartLine);
    }
    check_response(("CSeq: 1", &format!("{}CSeq: 1", "X: y\n".repeat(130))), Repair::HeaderCount);
}

#[test]
fn tags_of_any_characters() {
    for tag in ["c2lwLXRhZw==", "SD%", "a@b", "a,b", "a=b=c", "a:b/c", "{1}"] {
        let text = OK.replace("tag=peer", &format!("tag={tag}"));
        let read = read(&wire(&text), &Limits::default()).unwrap();
        check_identity(&read.message, "z9hG4bKours", "ours", tag);
    }
}

#[track_caller]
fn check_request(change: (&str, &str), repairs: &[Repair]) {
    let text = BYE.replacen(change.0, change.1, 1);
    assert_ne!(text, BYE);
    let read = read_of(&wire(&text));
    assert_eq!(read.repairs.iter().collect::<Vec<_>>(), repairs, "{change:?}");
    check_identity(&read.message, "z9hG4bKtheirs", "peer", "ours");
    let SipMessage::Request(request) = read.message else { panic!("a request") };
    assert_eq!(request.method, Method::Bye);
}

#[test]
fn requests() {
    for start in [
        "BYE  sip:s0c1@192.0.2.10  SIP/2.0",
        "BYE sip:s0c1@192.0.2.10 SIP/2.0 ",
        "BYE <sip:s0c1@192.0.2.10> SIP/2.0",
        "BYE sip:s0c1@192.0.2.10; lr SIP/2.0",
        "BYE sip:s0c1@192.0.2.10;x= SIP/2.0",
        "BYE sip:s0c1@192.0.2.10?Subject=x SIP/2.0",
        "BYE s0c1 SIP/2.0",
        "Bye sip:s0c1@192.0.2.10 SIP/2.0",
    ] {
        check_request(("BYE sip:s0c1@192.0.2.10 SIP/2.0", start), &[Repair::StartLine]);
    }
    check_request(("Max-Forwards: 70", "Max-Forwards: 70 hops"), &[Repair::MaxForwards]);
    check_request(("Max-Forwards: 70", "Max-Forwards: 999"), &[Repair::MaxForwards]);
    check_request(("CSeq: 5 BYE", "CSeq: 5 INVITE"), &[Repair::CSeq]);
    check_request(("CSeq: 5 BYE\n", ""), &[Repair::CSeq, Repair::Missing]);
    check_request(("CSeq: 5 BYE", "CSeq: five"), &[Repair::CSeq]);
    check_request(("z9hG4bKtheirs", "z9hG4bKtheirs;"), &[Repair::Via]);
    check_request(("CSeq: 5", "Route: <sip:192.0.2.8;lr;>\nCSeq: 5"), &[Repair::Route]);
    check_request(("CSeq: 5", "Contact: nonsense\nCSeq: 5"), &[Repair::Contact]);
}

#[test]
fn line_ends() {
    let text = wire(OK);
    let bare: Vec<u8> = text.iter().copied().filter(|byte| *byte != b'\r').collect();
    let cut = text[..text.len() - b"\r\n\r\nv=0\r\n".len()].to_vec();
    let inner = wire(&OK.replace("Call-ID: c1", "Subject: a\rb\nCall-ID: c1"));
    for bytes in [bare, cut, inner] {
        let read = read_of(&bytes);
        assert!(read.repairs.has(Repair::LineEnds));
        check_identity(&read.message, "z9hG4bKours", "ours", "peer");
        let printed = String::from_utf8(print(&read.message)).unwrap();
        let (head, _) = printed.split_once("\r\n\r\n").unwrap();
        assert!(head.split("\r\n").all(|line| !line.contains(['\r', '\n'])), "{head}");
    }
}

/// Bytes that are no UTF-8 go out as they came.
#[test]
fn latin_1_is_carried() {
    let contact = b"Contact: \"J\xfcrgen\" <sip:m\xfcller@192.0.2.7>\r\n".as_slice();
    let text = wire(&OK.replace("tag=peer", "tag=\u{e9}"));
    let at = text.windows(8).position(|window| window == b"Contact:").unwrap();
    let bytes = [&text[..at], contact, &text[at..]].concat();
    let Ok(Read { message, .. }) = read(&bytes, &Limits::default()) else {
        panic!("it can be read")
    };
    let printed = print(&message);
    assert!(printed.windows(contact.len()).any(|window| window == contact));
    assert_eq!(message.to_tag(), Some("\u{e9}"));
}

#[track_caller]
fn check_cause(headers: &str, cause: Option<u16>) {
    let text = OK.replace("CSeq: 1", &format!("{headers}CSeq: 1"));
    let read = read(&wire(&text), &Limits::default()).unwrap();
    assert_eq!(read.message.q850_cause(), cause, "{headers}");
}

// The cause counts, whatever stands beside it.
#[test]
fn reasons() {
    for value in [
        "Q.850;cause=17;text=\"User busy\"",
        "Q.850;cause=17;text=User busy, try later",
        "Q.850;text=;cause=17",
        "Q.850 ; cause = \"17\"",
        "q.850;cause=17 (busy)",
        "Q.850;;cause=17;",
        "Q.850;text=\"not closed;cause=17",
        "Q.850;text=\"a;b, c=d\";cause=17",
        "SIP;cause=486;text=\"Busy Here\", Q.850;cause=17",
        "Q.850;text=\"none\", Q.850;cause=17",
        "SIP;cause=486;text=Busy, Q.850;cause=17;text=\"",
    ] {
        check_cause(&format!("Reason: {value}\n"), Some(17));
    }
    check_cause("Reason: SIP;cause=486\nreason: Q.850;cause=17\n", Some(17));
    check_cause("Reason: Q.850;text=x\nReason: Q.850;cause=17\nReason: Q.850;cause=31\n", Some(17));
    check_cause("Reason: SIP;cause=486\n", None);
    check_cause("Reason: Q.850;cause=x\n", None);
    check_cause("Reason: Q.850;cause=99999\n", None);
}

#[test]
fn targets_are_fit_for_a_request_line() {
    for (uri, target) in [
        ("sip:a@b;lr;", Some("sip:a@b;lr;")),
        ("sip:a@b?Subject=x", Some("sip:a@b")),
        ("sip:a@b@c:5062;x==", Some("sip:a@b@c:5062;x==")),
        (" sip:a@b ", Some("sip:a@b")),
        ("sip:a b@c", None),
        ("sip:a@b\tc", None),
        ("a@b", None),
        ("", None),
        ("sip:", None),
        ("sip:;;", None),
    ] {
        assert_eq!(Uri::read(uri).target(), target, "{uri}");
    }
    let odd = Uri::read("sip:a@b@192.0.2.1:5062;x==");
    assert_eq!((odd.ip(), odd.port), (Some("192.0.2.1".parse().unwrap()), Some(5062)));
    assert_eq!(Uri::read("sip:192.0.2.1:;lr").port, None);
    assert_eq!(Uri::read("sip:a@[2001:db8::1]:5062;;").port, Some(5062));
}
