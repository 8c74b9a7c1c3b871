//! Messages from the wire and back: RFC 4475's torture, streams, builders, views and round trips.

mod body;
mod build;
mod framer;
mod liberal;
pub(crate) mod rfc4475;
mod round_trip;
mod view;

use super::*;

/// The bytes of a message written with plain line ends.
fn wire(text: &str) -> Vec<u8> {
    text.replace('\n', "\r\n").into_bytes()
}

#[track_caller]
fn parsed(text: &str) -> SipMessage {
    parse(&wire(text), &Limits::default()).expect("a message")
}

#[track_caller]
fn parsed_request(text: &str) -> Request {
    match parsed(text) {
        SipMessage::Request(request) => request,
        SipMessage::Response(_) => panic!("a response"),
    }
}

#[track_caller]
fn parsed_response(text: &str) -> Response {
    match parsed(text) {
        SipMessage::Response(response) => response,
        SipMessage::Request(_) => panic!("a request"),
    }
}

/// An INVITE as trunks send them.
const INVITE: &str = "INVITE sip:+15550123@198.51.100.7:5070;transport=udp SIP/2.0\n\
    Via: SIP/2.0/UDP proxy.example:5060;branch=z9hG4bK-p1;rport, SIP/2.0/UDP \
    192.0.2.9;branch=z9hG4bK-o1\n\
    Record-Route: <sip:proxy.example;lr>, <sip:edge.example;lr;ftag=1>\n\
    Max-Forwards: 69\n\
    From: \"Ann \\\"A\\\" Lee\" <sip:+15550199@example.org>;tag=f1\n\
    To: <sip:+15550123@example.com>\n\
    Call-ID: 84b4c76e66710@pc33.example.org\n\
    CSeq: 314159 INVITE\n\
    Contact: <sip:ann@192.0.2.9:5062>\n\
    Timestamp: 54\n\
    Content-Type: application/sdp\n\
    Content-Length: 4\n\
    \n\
    v=0\n";
