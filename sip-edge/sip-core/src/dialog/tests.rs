//! RFC 3261 §12 step by step.

use super::*;
use crate::message::{Limits, SipMessage, parse};

fn request(text: &str) -> Request {
    match parse(text.replace('\n', "\r\n").as_bytes(), &Limits::default()).unwrap() {
        SipMessage::Request(request) => request,
        SipMessage::Response(_) => panic!("a response"),
    }
}

fn response(text: &str) -> Response {
    match parse(text.replace('\n', "\r\n").as_bytes(), &Limits::default()).unwrap() {
        SipMessage::Response(response) => response,
        SipMessage::Request(_) => panic!("a request"),
    }
}

fn invite() -> Request {
    request(
        "INVITE sip:bob@biloxi.example SIP/2.0\nVia: SIP/2.0/UDP \
            10.0.0.1:5060;branch=z9hG4bK1\nMax-Forwards: 70\n\
         From: <sip:alice@atlanta.example>;tag=ours\nTo: <sip:bob@biloxi.example>\nCall-ID: \
         id\nCSeq: 7 INVITE\n\
         Contact: <sip:alice@10.0.0.1>\nContent-Length: 0\n\n",
    )
}

fn answer(code: u16, tag: &str, more: &str) -> Response {
    response(&format!(
        "SIP/2.0 {code} Whatever\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK1\nFrom: \
            <sip:alice@atlanta.example>;tag=ours\n\
         To: <sip:bob@biloxi.example>{tag}\nCall-ID: id\nCSeq: 7 INVITE\n{more}Content-Length: \
         0\n\n"
    ))
}

fn inside(method: Method) -> Inside<'static> {
    Inside {
        method,
        via: "SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK2",
        contact: None,
        extra: Vec::new(),
        body: None,
    }
}

// §12.1: "Dialogs are created through the generation of non-failure responses"; 100 creates none.
#[test]
fn which_responses_make_a_dialog() {
    assert!(Dialog::of_response(&invite(), &answer(100, "", "")).is_none());
    assert!(Dialog::of_response(&invite(), &answer(180, "", "")).is_none());
    assert!(Dialog::of_response(&invite(), &answer(486, ";tag=t", "")).is_none());
    assert_eq!(
        Dialog::of_response(&invite(), &answer(180, ";tag=t", "")).unwrap().state(),
        State::Early
    );
    assert_eq!(
        Dialog::of_response(&invite(), &answer(200, ";tag=t", "")).unwrap().state(),
        State::Confirmed
    );
    // §12.1.2: a UAS of RFC 2543 may give no tag, which is the null tag.
    assert_eq!(Dialog::of_response(&invite(), &answer(200, "", "")).unwrap().remote_tag(), "");
}

// §12.1.2: the route set is the Record-Route list in reverse order; §12.2.1.1: loose routing keeps
// the remote target in the URI.
#[test]
fn loose_route_set() {
    let routes =
        "Record-Route: <sip:10.0.0.3;lr>, <sip:10.0.0.2:5080;lr>\nContact: <sip:bob@192.0.2.4>\n";
    let mut dialog = Dialog::of_response(&invite(), &answer(200, ";tag=t", routes)).unwrap();
    let bye = dialog.request(inside(Method::Bye));
    assert_eq!(bye.uri.to_string(), "sip:bob@192.0.2.4");
    assert_eq!(
        bye.values("Route").collect::<Vec<_>>(),
        ["<sip:10.0.0.2:5080;lr>", "<sip:10.0.0.3;lr>"]
    );
    assert_eq!(dialog.next_hop(), Some("10.0.0.2:5080".parse().unwrap()));
}

// §12.2.1.1: a first route without lr becomes the request-URI, and the remote target the last
// Route.
#[test]
fn strict_route_set() {
    let routes = "Record-Route: <sip:10.0.0.3;lr>, <sip:10.0.0.2>\nContact: <sip:bob@192.0.2.4>\n";
    let mut dialog = Dialog::of_response(&invite(), &answer(200, ";tag=t", routes)).unwrap();
    let bye = dialog.request(inside(Method::Bye));
    assert_eq!(bye.uri.to_string(), "sip:10.0.0.2");
    assert_eq!(
        bye.values("Route").collect::<Vec<_>>(),
        ["<sip:10.0.0.3;lr>", "<sip:bob@192.0.2.4>"]
    );
    assert_eq!(dialog.next_hop(), Some("10.0.0.2:5060".parse().unwrap()));
}

// §13.2.2.4: the route set is computed anew from the 2xx.
#[test]
fn the_2xx_replaces_what_the_provisional_said() {
    let early = "Record-Route: <sip:10.0.0.9;lr>\nContact: <sip:bob@192.0.2.9>\n";
    let mut dialog = Dialog::of_response(&invite(), &answer(183, ";tag=t", early)).unwrap();
    dialog.confirm(&answer(200, ";tag=t", "Contact: <sip:bob@192.0.2.4:5062>\n"));
    let bye = dialog.request(inside(Method::Bye));
    assert_eq!(
        (bye.uri.to_string().as_str(), bye.value("Route")),
        ("sip:bob@192.0.2.4:5062", None)
    );
    assert_eq!(dialog.next_hop(), Some("192.0.2.4:5062".parse().unwrap()));
}

// §13.2.2.4: the ACK has the INVITE's CSeq number; §12.2.1.1: each other request one more.
#[test]
fn our_cseq() {
    let mut dialog =
        Dialog::of_response(&invite(), &answer(200, ";tag=t", "Contact: <sip:bob@192.0.2.4>\n"))
            .unwrap();
    assert_eq!(dialog.request(inside(Method::Info)).cseq().unwrap().number, 8);
    assert_eq!(dialog.request(inside(Method::Bye)).cseq().unwrap().number, 9);
    let ack = dialog.ack("SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK3", Vec::new());
    assert_eq!(
        (ack.cseq().unwrap().number, ack.to_tag(), ack.from_tag()),
        (7, Some("t"), Some("ours"))
    );
}

// §12.2.2: "If the remote sequence number was not empty, but the sequence number of the request is
// lower ... out of order".
#[test]
fn the_peers_cseq() {
    let mut dialog = Dialog::of_response(&invite(), &answer(200, ";tag=t", "")).unwrap();
    assert_eq!(dialog.take_cseq(500), Ok(()));
    assert_eq!(dialog.take_cseq(499), Err(OutOfOrder));
    assert_eq!(dialog.take_cseq(510), Ok(()));
}

fn bye(to_tag: &str, from_tag: &str) -> Request {
    request(&format!(
        "BYE sip:alice@10.0.0.1 SIP/2.0\nVia: SIP/2.0/UDP \
            192.0.2.4;branch=z9hG4bK9\nMax-Forwards: 70\n\
         From: <sip:bob@biloxi.example>{from_tag}\nTo: \
         <sip:alice@atlanta.example>{to_tag}\nCall-ID: id\nCSeq: 1 BYE\n\
         Content-Length: 0\n\n"
    ))
}

#[test]
fn both_tags_make_a_request_the_dialogs() {
    let dialog = Dialog::of_response(&invite(), &answer(200, ";tag=t", "")).unwrap();
    assert!(dialog.owns(&bye(";tag=ours", ";tag=t")));
    assert!(!dialog.owns(&bye(";tag=ours", ";tag=other")));
    assert!(!dialog.owns(&bye(";tag=other", ";tag=t")));
    assert!(!dialog.owns(&bye("", ";tag=t")));
}

// §12.2.2: a target refresh request replaces the remote target.
#[test]
fn target_refresh() {
    let mut dialog =
        Dialog::of_response(&invite(), &answer(200, ";tag=t", "Contact: <sip:bob@192.0.2.4>\n"))
            .unwrap();
    let mut refresh = bye(";tag=ours", ";tag=t");
    refresh.headers.push(message::header("Contact", "<sip:bob@[2001:db8::4]:5064>"));
    dialog.refresh_target(&refresh);
    assert_eq!(dialog.next_hop(), Some("[2001:db8::4]:5064".parse().unwrap()));
    refresh.headers.retain(|header| !matches!(header, Header::Contact(_)));
    refresh.headers.push(message::header("Contact", "<sip:bob@host.example>"));
    dialog.refresh_target(&refresh);
    assert_eq!(dialog.next_hop(), None, "only DNS could tell");
}
