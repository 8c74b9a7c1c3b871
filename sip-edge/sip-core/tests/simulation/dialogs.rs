//! Requests of a peer inside its dialog and strays outside (RFC 3261 §11, §12.2.2, §14; RFC 3264, RFC 3311).

use crate::rig::{AGENT, AGENT_MEDIA, CUSTOMER, Callee, Rig};
use crate::session::{self, address};
use sip_core::edge::{CallStatus, MilestoneKind, Reason};
use sip_core::message::{self, Method, Request, Response, View, header};
use std::time::Duration;

fn held(direction: &str) -> String {
    session::sdp(address(AGENT_MEDIA), 0, direction)
}

fn body(response: &Response) -> String {
    String::from_utf8(response.body.clone()).unwrap()
}

#[track_caller]
fn reinvite(rig: &mut Rig, callee: &mut Callee, sdp: Option<&str>, code: u16) -> Response {
    rig.request(callee, Method::Invite, sdp);
    let response = rig.expect_response(code);
    rig.ack(callee, None);
    response
}

#[test]
fn hold_and_resume() {
    let (mut rig, mut agent, _) = Rig::bridged();
    let response = reinvite(&mut rig, &mut agent, Some(&held("sendonly")), 200);
    assert!(body(&response).contains("a=recvonly"));
    assert!(response.contact().is_some());
    assert!(rig.has_milestone(MilestoneKind::Held));
    let response = reinvite(&mut rig, &mut agent, Some(&held("inactive")), 200);
    assert!(body(&response).contains("a=inactive"));
    let response = reinvite(&mut rig, &mut agent, Some(&held("sendrecv")), 200);
    assert!(body(&response).contains("a=sendrecv"));
    assert!(rig.has_milestone(MilestoneKind::Resumed));
    rig.expect_silence();
}

// The codec is kept; what cannot be taken is refused and changes nothing.
#[test]
fn an_offer_of_another_codec_is_refused() {
    let (mut rig, mut agent, _) = Rig::bridged();
    reinvite(&mut rig, &mut agent, Some(&session::sdp(address(AGENT_MEDIA), 8, "sendrecv")), 488);
    reinvite(&mut rig, &mut agent, Some("this is not SDP"), 488);
    assert!(rig.ended.is_empty());
    rig.hang_up();
    assert_eq!(rig.ended().status, CallStatus::Answer);
}

// RFC 3261 §14.2: an offer in the 200, the answer in the ACK.
#[test]
fn an_invite_without_offer() {
    let (mut rig, mut agent, _) = Rig::bridged();
    rig.request(&mut agent, Method::Invite, None);
    let response = rig.expect_response(200);
    assert_eq!(session::formats_of(&response.body), [0, 101]);
    // Our offer is open: another one has to wait (RFC 3264 §4).
    let mut other = agent.clone();
    rig.request(&mut other, Method::Update, Some(&held("sendrecv")));
    rig.expect_response(491);
    rig.ack(&agent, Some(&held("recvonly")));
    assert!(rig.has_milestone(MilestoneKind::Held));
    rig.advance(Duration::from_secs(5));
    rig.expect_silence();
}

// RFC 3261 §13.3.1.4: the 2xx is repeated until the ACK, then the dialog is given up with BYE.
#[test]
fn a_200_that_is_never_acknowledged() {
    let mut rig = Rig::new();
    rig.place(sip_core::edge::PlaceCall { no_media: Duration::from_secs(300), ..Rig::plain_call() });
    let mut agent = rig.answer_invite(AGENT, "agent", AGENT_MEDIA);
    rig.expect_request(Method::Ack, AGENT);
    let invite = rig.expect_request(Method::Invite, CUSTOMER);
    rig.reply(&invite, 180, "customer");
    rig.request(&mut agent, Method::Invite, Some(&held("sendrecv")));
    for wait in [0, 500, 1000, 2000, 4000, 4000] {
        rig.advance(Duration::from_millis(wait));
        rig.sent.retain(|(_, message)| matches!(message, message::SipMessage::Response(_)));
        rig.expect_response(200);
        rig.expect_silence();
    }
    rig.advance(Duration::from_secs(25));
    assert_eq!(rig.ended().reason, Some(Reason::DialogLost));
}

// §12.2.1.1: the next request goes to the new remote target.
#[test]
fn target_refresh() {
    let (mut rig, mut agent, _) = Rig::bridged();
    let moved = "10.0.1.9:5070";
    agent.address = address(moved);
    reinvite(&mut rig, &mut agent, Some(&held("sendrecv")), 200);
    rig.hang_up();
    rig.sent.pop_front();
    let bye = rig.expect_request(Method::Bye, moved);
    assert_eq!(bye.uri.to_string(), format!("sip:phone@{moved}"));
}

// §12.2.2: a CSeq below the last one is out of order.
#[test]
fn an_old_cseq_is_refused() {
    let (mut rig, mut agent, _) = Rig::bridged();
    rig.request(&mut agent, Method::Info, None);
    rig.expect_response(200);
    let old = rig.build(&agent, Method::Info, 5, None);
    rig.deliver(agent.address, &message::print_request(&old));
    rig.expect_response(500);
}

#[track_caller]
fn check_inside(method: Method, code: u16) {
    let (mut rig, mut agent, _) = Rig::bridged();
    rig.request(&mut agent, method, None);
    let response = rig.expect_response(code);
    if method == Method::Options {
        assert!(response.value("Allow").is_some() && response.value("Accept").is_some() && response.value("Supported").is_some());
    }
    assert!(rig.ended.is_empty());
}

#[test]
fn requests_inside_a_dialog() {
    for (method, code) in [
        (Method::Options, 200),
        (Method::Info, 200),
        (Method::Update, 200),
        // RFC 3515 §2.4.1: without a Refer-To.
        (Method::Refer, 400),
        (Method::PRack, 481),
        (Method::Notify, 481),
        (Method::Subscribe, 489),
        (Method::Message, 405),
        (Method::Register, 405),
    ] {
        check_inside(method, code);
    }
}

#[test]
fn an_update_with_an_offer_is_answered() {
    let (mut rig, mut agent, _) = Rig::bridged();
    rig.request(&mut agent, Method::Update, Some(&held("sendonly")));
    let response = rig.expect_response(200);
    assert!(body(&response).contains("a=recvonly"));
    rig.advance(Duration::from_secs(5));
    rig.expect_silence();
}

#[test]
fn a_required_extension_is_refused() {
    let (mut rig, agent, _) = Rig::bridged();
    let mut info = rig.build(&agent, Method::Info, 200, None);
    info.headers.push(header("Require", "timer, 100rel"));
    rig.deliver(agent.address, &message::print_request(&info));
    assert_eq!(rig.expect_response(420).value("Unsupported"), Some("timer, 100rel"));
}

#[track_caller]
fn check_outside(method: Method, code: u16) -> Rig {
    let mut rig = Rig::bridged().0;
    let request = outside(method);
    rig.deliver(address("10.9.9.9:5060"), &message::print_request(&request));
    rig.expect_response(code);
    rig
}

fn outside(method: Method) -> Request {
    message::request(&message::RequestParts {
        method,
        target: "sip:anyone@10.0.0.1",
        routes: &[],
        via: "SIP/2.0/UDP 10.9.9.9;branch=z9hG4bKstray",
        from: "<sip:stranger@example.com>;tag=x",
        to: "<sip:anyone@10.0.0.1>",
        call_id: "stray",
        cseq: 1,
        contact: None,
        extra: Vec::new(),
        body: None,
    })
}

#[test]
fn requests_outside_any_dialog() {
    check_outside(Method::Options, 200);
    check_outside(Method::Bye, 481);
    check_outside(Method::Register, 405);
    check_outside(Method::Refer, 405);
    let rig = check_outside(Method::Invite, 403);
    assert!(rig.edge.counters().any(|counter| counter == ("sip_incoming_calls", 1)));
}

// RFC 3261 §8.2.7: a stateless answer is the same for each retransmission, and strangers take no room.
#[test]
fn a_stray_takes_no_transaction() {
    let mut rig = Rig::new();
    let request = message::print_request(&outside(Method::Invite));
    let mut tags = Vec::new();
    for _ in 0..2 {
        rig.deliver(address("10.9.9.9:5060"), &request);
        tags.push(rig.expect_response(403).to_tag().unwrap().to_owned());
    }
    assert_eq!(tags[0], tags[1]);
    let ack = message::print_request(&outside(Method::Ack));
    rig.deliver(address("10.9.9.9:5060"), &ack);
    rig.expect_silence();
    assert_eq!(rig.edge.held(), Default::default());
}

// A request with the right Call-ID but wrong tags belongs to no dialog (§12.2.2).
#[test]
fn wrong_tags_end_nothing() {
    let (mut rig, mut agent, _) = Rig::bridged();
    agent.tag = "forged".into();
    rig.request(&mut agent, Method::Bye, None);
    rig.expect_response(481);
    assert!(rig.ended.is_empty());
}

#[test]
fn garbage_is_counted_and_answered_where_it_is_due() {
    let (mut rig, ..) = Rig::bridged();
    rig.deliver(address("10.9.9.9:5060"), b"\x00\x01\x02 no SIP at all");
    rig.expect_silence();
    let bad = "OPTIONS sip:x@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.9.9.9;branch=z9hG4bKbad\r\nFrom: <sip:a@b>;tag=1\r\n\
               To: <sip:x@10.0.0.1>\r\nCall-ID: bad\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n";
    rig.deliver(address("10.9.9.9:5060"), bad.as_bytes());
    rig.expect_response(400);
    assert!(rig.edge.counters().any(|counter| counter == ("sip_malformed_messages", 2)));
}
