//! REFER of the agent's phone (RFC 3515): policy, the implicit subscription, and what the phone is
//! told of the transfer.

use crate::rig::{AGENT, CUSTOMER, Rig, THIRD, THIRD_MEDIA};
use crate::session::address;
use crate::talk::{State, Talk, add};
use call_words::{Joining, MilestoneKind};
use sip_core::command::PlaceCall;
use sip_core::control::Verb;
use sip_core::message::{Method, Request, View, header, print_request};
use std::time::Duration;

fn refer(talk: &mut Talk, target: &str, code: u16) {
    let mut refer = talk.rig.build(&talk.agent, Method::Refer, 300, None);
    refer.headers.push(header("Refer-To", target));
    talk.rig.deliver(address(AGENT), &print_request(&refer));
    talk.rig.expect_response(code);
}

fn accepting() -> Talk {
    Talk::bridged_as(PlaceCall { accepts_refer: true, ..Rig::plain_call() })
}

#[track_caller]
fn expect_notify(talk: &mut Talk, line: &str, state: &str) -> Request {
    let notify = talk.rig.expect_request(Method::Notify, AGENT);
    assert_eq!(String::from_utf8_lossy(&notify.body), format!("{line}\r\n"));
    assert_eq!(notify.value("Event"), Some("refer;id=300"));
    assert!(notify.value("Subscription-State").unwrap().starts_with(state));
    assert!(notify.is_content_type("message/sipfrag"));
    talk.rig.reply(&notify, 200, "");
    notify
}

/// An accepted REFER, after its first NOTIFY.
fn referred() -> Talk {
    let mut talk = accepting();
    refer(&mut talk, "<sip:+919876500000@pbx.example>", 202);
    expect_notify(&mut talk, "SIP/2.0 100 Trying", "active");
    assert_eq!(talk.rig.requested_transfers, [("refer-1".to_owned(), "+919876500000".to_owned())]);
    let told = talk
        .rig
        .told
        .iter()
        .find(|milestone| milestone.kind == MilestoneKind::TransferRequested)
        .unwrap();
    assert_eq!(told.detail, None, "no number in a milestone");
    talk
}

#[test]
fn refused_by_policy_and_in_wrong_states() {
    let mut talk = Talk::bridged();
    refer(&mut talk, "<sip:2002@a>", 603);
    let mut talk = accepting();
    refer(&mut talk, "<sip:2002@a?Replaces=1>", 603);
    let mut talk = Talk::at(State::Before);
    refer(&mut talk, "<sip:2002@a>", 603);
    let mut talk = referred();
    let mut second = talk.rig.build(&talk.agent, Method::Refer, 301, None);
    second.headers.push(header("Refer-To", "<sip:2003@a>"));
    talk.rig.deliver(address(AGENT), &print_request(&second));
    talk.rig.expect_response(603);
    // Only the agent's.
    let mut talk = accepting();
    let mut foreign = talk.rig.build(&talk.customer, Method::Refer, 300, None);
    foreign.headers.push(header("Refer-To", "<sip:2002@a>"));
    talk.rig.deliver(address(CUSTOMER), &print_request(&foreign));
    talk.rig.expect_response(603);
}

#[test]
fn the_transfer_is_done() {
    let mut talk = referred();
    talk.done(add("refer-1", Joining::Transfer));
    let invite = talk.rig.expect_request(Method::Invite, THIRD);
    talk.rig.reply_with_sdp(&invite, 200, "third", THIRD_MEDIA);
    talk.rig.expect_request(Method::Ack, THIRD);
    expect_notify(&mut talk, "SIP/2.0 200 OK", "terminated");
    talk.rig.expect_request(Method::Bye, AGENT);
    talk.rig.hang_up();
    talk.settle();
    talk.rig.expect_nothing_held();
}

#[test]
fn the_transfer_fails() {
    let mut talk = referred();
    talk.done(add("refer-1", Joining::Transfer));
    let invite = talk.rig.expect_request(Method::Invite, THIRD);
    talk.rig.reply(&invite, 486, "third");
    talk.rig.expect_request(Method::Ack, THIRD);
    expect_notify(&mut talk, "SIP/2.0 486 Busy Here", "terminated");
    // Another may be asked for.
    let mut second = talk.rig.build(&talk.agent, Method::Refer, 301, None);
    second.headers.push(header("Refer-To", "<sip:2003@a>"));
    talk.rig.deliver(address(AGENT), &print_request(&second));
    talk.rig.expect_response(202);
}

#[test]
fn control_api_declines_or_says_nothing() {
    let mut talk = referred();
    talk.done(Verb::Cancel);
    expect_notify(&mut talk, "SIP/2.0 603 Decline", "terminated");
    let mut talk = referred();
    talk.rig.advance(Duration::from_secs(10));
    expect_notify(&mut talk, "SIP/2.0 503 Service Unavailable", "terminated");
    assert!(talk.rig.ended.is_empty());
}
