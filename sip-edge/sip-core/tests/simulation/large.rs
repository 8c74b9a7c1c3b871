//! Requests that are too large for a datagram go over TCP (RFC 3261 §18.1.1), with what belongs to
//! them, and over UDP to a trunk that takes no connection.

use crate::rig::{AGENT, AGENT_MEDIA, CUSTOMER, CUSTOMER_MEDIA, Rig};
use crate::session::address;
use sip_core::command::PlaceCall;
use sip_core::flow::{Flow, FlowFault, Transport};
use sip_core::message::{Method, Request, SipMessage, View};
use std::time::Duration;

/// The plain call with an INVITE to its customer that is too long.
fn large() -> PlaceCall {
    let mut call = Rig::plain_call();
    call.customer.routes[0].domain = format!("{}.example", "carrier".repeat(60));
    call
}

/// Up to the customer's INVITE.
fn dialled(rig: &mut Rig, call: PlaceCall) -> Request {
    rig.place(call);
    rig.answer_invite(AGENT, "agent", AGENT_MEDIA);
    rig.expect_request(Method::Ack, AGENT);
    sent_over(rig, Transport::Tcp, Method::Invite)
}

/// Takes the next message to the customer: a request that went and says that it went over this.
#[track_caller]
fn sent_over(rig: &mut Rig, transport: Transport, method: Method) -> Request {
    let Some((flow, SipMessage::Request(request))) = rig.sent.pop_front() else {
        panic!("{method} expected")
    };
    assert_eq!((request.method, flow.remote), (method, address(CUSTOMER)));
    assert_eq!((flow.transport, flow.connection), (transport, None));
    let name = if transport == Transport::Tcp { "TCP" } else { "UDP" };
    assert_eq!(request.top_via().unwrap().transport, name);
    request
}

fn refuse_connection(rig: &mut Rig) {
    let flow = Flow { transport: Transport::Tcp, ..Rig::flow(address(CUSTOMER)) };
    rig.edge.handle_flow_error(rig.now, flow, FlowFault::Broken);
    rig.drain();
}

fn counted(rig: &Rig) -> [u64; 2] {
    ["sip_requests_moved_to_tcp", "sip_requests_fell_back_to_udp"]
        .map(|name| rig.edge.counters().find(|(each, _)| *each == name).unwrap().1)
}

#[test]
fn a_large_invite_goes_over_tcp_and_its_dialog_as_the_trunk_says() {
    let mut rig = Rig::new();
    let invite = dialled(&mut rig, large());
    // A stream repeats by itself.
    rig.advance(Duration::from_secs(5));
    rig.expect_silence();
    rig.reply(&invite, 180, "customer");
    rig.reply_with_sdp(&invite, 200, "customer", CUSTOMER_MEDIA);
    sent_over(&mut rig, Transport::Udp, Method::Ack);
    rig.hang_up();
    sent_over(&mut rig, Transport::Udp, Method::Bye);
    assert_eq!(counted(&rig), [1, 0]);
}

// §9.1: to the same address, port and transport.
#[test]
fn cancel_goes_the_way_of_its_invite() {
    let mut rig = Rig::new();
    let invite = dialled(&mut rig, large());
    rig.reply(&invite, 180, "customer");
    rig.hang_up();
    let cancel = rig.sent.iter().position(|(_, message)| {
        matches!(message, SipMessage::Request(request) if request.method == Method::Cancel)
    });
    rig.sent.rotate_left(cancel.expect("a CANCEL"));
    let cancel = sent_over(&mut rig, Transport::Tcp, Method::Cancel);
    assert_eq!(cancel.value("Via"), invite.value("Via"));
}

#[test]
fn a_trunk_that_takes_no_connection_gets_it_over_udp() {
    let mut rig = Rig::new();
    let moved = dialled(&mut rig, large());
    refuse_connection(&mut rig);
    let invite = sent_over(&mut rig, Transport::Udp, Method::Invite);
    assert_eq!(invite.top_via().unwrap().branch(), moved.top_via().unwrap().branch());
    rig.advance(Duration::from_millis(500));
    sent_over(&mut rig, Transport::Udp, Method::Invite);
    assert_eq!(counted(&rig), [1, 1]);
    rig.reply(&invite, 180, "customer");
    // What is told of a connection that failed again changes nothing.
    refuse_connection(&mut rig);
    rig.reply_with_sdp(&invite, 200, "customer", CUSTOMER_MEDIA);
    sent_over(&mut rig, Transport::Udp, Method::Ack);
    assert!(rig.ended.is_empty());

    // The next one does not try again at once, but after a while.
    let second = |id: &str| PlaceCall { call_id: id.into(), ..large() };
    rig.place(second("call-2"));
    rig.answer_invite(AGENT, "agent", AGENT_MEDIA);
    rig.expect_request(Method::Ack, AGENT);
    sent_over(&mut rig, Transport::Udp, Method::Invite);
    rig.advance(Duration::from_secs(400));
    rig.sent.clear();
    dialled(&mut rig, second("call-3"));
}

// What was answered before the connection broke is not sent again: its phone may ring.
#[test]
fn an_invite_that_was_answered_does_not_fall_back() {
    let mut rig = Rig::new();
    let invite = dialled(&mut rig, large());
    rig.reply(&invite, 180, "customer");
    refuse_connection(&mut rig);
    let method = |message: &SipMessage| match message {
        SipMessage::Request(request) => Some(request.method),
        SipMessage::Response(_) => None,
    };
    let is_repeated = rig.sent.iter().any(|(_, sent)| method(sent) == Some(Method::Invite));
    assert!(!is_repeated, "{:?}", rig.sent);
    assert_eq!(counted(&rig), [1, 0]);
}

#[test]
fn what_fits_a_datagram_stays_one() {
    let mut rig = Rig::new();
    rig.place(Rig::plain_call());
    rig.answer_invite(AGENT, "agent", AGENT_MEDIA);
    rig.expect_request(Method::Ack, AGENT);
    sent_over(&mut rig, Transport::Udp, Method::Invite);
    assert_eq!(counted(&rig), [0, 0]);
}
