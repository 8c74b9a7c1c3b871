//! Session timers in both roles (RFC 4028): 422, who refreshes and by what, and what becomes of a
//! session that nobody refreshes.

use crate::rig::{AGENT, AGENT_MEDIA, CUSTOMER, CUSTOMER_MEDIA, Callee, Rig};
use crate::session::{self, address};
use call_words::{CallStatus, Reason};
use sip_core::command::PlaceCall;
use sip_core::control::Verb;
use sip_core::message::{self, Body, Method, Request, View, header, set_body};
use sip_core::outcome::LegName;
use std::time::Duration;

fn counted(rig: &Rig) -> u64 {
    rig.edge.counters().find(|(each, _)| *each == "sip_session_intervals_raised").unwrap().1
}

fn sdp() -> String {
    session::sdp(address(CUSTOMER_MEDIA), 0, "sendrecv")
}

/// A customer that was just called, in a call that stands without media.
fn called() -> (Rig, Request) {
    let mut rig = Rig::new();
    rig.place(PlaceCall { no_media: Duration::from_secs(36_000), ..Rig::plain_call() });
    rig.answer_invite(AGENT, "agent", AGENT_MEDIA);
    rig.expect_request(Method::Ack, AGENT);
    let invite = rig.expect_request(Method::Invite, CUSTOMER);
    (rig, invite)
}

fn reply(rig: &mut Rig, request: &Request, code: u16, lines: &[(&str, &str)]) {
    let mut response = message::respond(request, code, "customer");
    response.headers.push(header("Contact", format!("<sip:phone@{CUSTOMER}>")));
    lines.iter().for_each(|(name, value)| response.headers.push(header(name, *value)));
    if request.method == Method::Invite && code == 200 {
        let sdp = sdp();
        let body = Body { content_type: "application/sdp", bytes: sdp.as_bytes() };
        set_body(&mut response, body);
    }
    rig.deliver(address(CUSTOMER), &message::print_response(&response));
}

/// The customer answers with these headers.
fn answered(lines: &[(&str, &str)]) -> (Rig, Callee) {
    let (mut rig, invite) = called();
    reply(&mut rig, &invite, 200, lines);
    rig.expect_request(Method::Ack, CUSTOMER);
    let customer = rig.callee(CUSTOMER, "customer", &invite);
    (rig, customer)
}

#[track_caller]
fn expect_ended(rig: &mut Rig) {
    let ended = rig.ended();
    assert_eq!(
        (ended.status, ended.reason, ended.failed_leg),
        (CallStatus::Answer, Some(Reason::DialogLost), Some(LegName::Customer))
    );
    rig.expect_request(Method::Bye, CUSTOMER);
    rig.expect_request(Method::Bye, AGENT);
    rig.expect_silence();
}

// §7.4: a 422 is answered with the interval that it names, which holds from then on.
#[test]
fn an_invite_that_is_too_short_is_sent_again() {
    let (mut rig, invite) = called();
    assert_eq!(invite.value("Session-Expires"), None);
    reply(&mut rig, &invite, 422, &[("Min-SE", "600")]);
    rig.expect_request(Method::Ack, CUSTOMER);
    let again = rig.expect_request(Method::Invite, CUSTOMER);
    assert_eq!(again.value("Session-Expires"), Some("600;refresher=uac"));
    assert_eq!(again.value("Min-SE"), Some("600"));
    reply(&mut rig, &again, 422, &[("Min-SE", "1800")]);
    rig.expect_request(Method::Ack, CUSTOMER);
    let again = rig.expect_request(Method::Invite, CUSTOMER);
    assert_eq!(again.values("Session-Expires").collect::<Vec<_>>(), ["1800;refresher=uac"]);
    assert_eq!(again.values("Min-SE").collect::<Vec<_>>(), ["1800"]);
    assert_eq!(counted(&rig), 2);
    reply(&mut rig, &again, 200, &[("Session-Expires", "2000;refresher=uac")]);
    rig.expect_request(Method::Ack, CUSTOMER);
    rig.advance(Duration::from_secs(1_000));
    let refresh = rig.expect_request(Method::Invite, CUSTOMER);
    assert_eq!(refresh.value("Session-Expires"), Some("2000;refresher=uac"));
    assert_eq!(refresh.value("Min-SE"), Some("1800"));
}

#[test]
fn a_422_that_asks_for_nothing_new_is_a_failure() {
    for values in [&["soon"][..], &["600", "600"], &["100", "101", "102", "103"]] {
        let (mut rig, mut invite) = called();
        for (index, value) in values.iter().enumerate() {
            reply(&mut rig, &invite, 422, &[("Min-SE", value)]);
            rig.expect_request(Method::Ack, CUSTOMER);
            if index + 1 < values.len() {
                invite = rig.expect_request(Method::Invite, CUSTOMER);
            }
        }
        assert_eq!(rig.ended().reason, Some(Reason::TrunkFailed), "{values:?}");
        assert_eq!(rig.ended().sip_code, Some(422));
    }
}

// §7.4: "It is RECOMMENDED that the UPDATE request not contain an offer".
#[test]
fn a_peer_that_serves_update_is_refreshed_by_it() {
    let expires = [("Session-Expires", "90;refresher=uac"), ("Allow", "INVITE, ACK, BYE, UPDATE")];
    let (mut rig, _) = answered(&expires);
    for _ in 0..3 {
        rig.advance(Duration::from_secs(45));
        let update = rig.expect_request(Method::Update, CUSTOMER);
        assert!(update.body.is_empty() && update.contact().is_some());
        assert_eq!(update.value("Session-Expires"), Some("90;refresher=uac"));
        assert!(update.supports("timer"));
        reply(&mut rig, &update, 200, &[("Session-Expires", "90;refresher=uac")]);
        rig.expect_silence();
    }
    rig.advance(Duration::from_secs(45));
    let update = rig.expect_request(Method::Update, CUSTOMER);
    reply(&mut rig, &update, 422, &[("Min-SE", "300")]);
    rig.advance(Duration::from_millis(1));
    let update = rig.expect_request(Method::Update, CUSTOMER);
    assert_eq!(update.value("Session-Expires"), Some("300;refresher=uac"));
    assert_eq!(counted(&rig), 1);
    // After all it does not: a re-INVITE serves as well.
    reply(&mut rig, &update, 405, &[]);
    rig.advance(Duration::from_millis(1));
    let invite = rig.expect_request(Method::Invite, CUSTOMER);
    assert_eq!(invite.value("Min-SE"), Some("300"));
    reply(&mut rig, &invite, 200, &[]);
    rig.expect_request(Method::Ack, CUSTOMER);
    rig.advance(Duration::from_secs(150));
    rig.expect_request(Method::Invite, CUSTOMER);
}

// §10: "If the UAC does not receive a response, or 408 or 481: it SHOULD send a BYE".
#[test]
fn a_refresh_that_finds_nobody_ends_the_call() {
    let allow = ("Allow", "UPDATE, BYE");
    for code in [481, 408] {
        let (mut rig, _) = answered(&[("Session-Expires", "90;refresher=uac"), allow]);
        rig.advance(Duration::from_secs(45));
        let update = rig.expect_request(Method::Update, CUSTOMER);
        reply(&mut rig, &update, code, &[]);
        expect_ended(&mut rig);
    }
    let (mut rig, _) = answered(&[("Session-Expires", "90;refresher=uac"), allow]);
    rig.advance(Duration::from_secs(45 + 33));
    rig.sent.retain(|(_, message)| {
        !matches!(message, message::SipMessage::Request(each) if each.method == Method::Update)
    });
    assert_eq!(rig.ended().reason, Some(Reason::DialogLost));
    // A refusal of another kind leaves the call, and is tried again.
    let (mut rig, _) = answered(&[("Session-Expires", "100;refresher=uac"), allow]);
    rig.advance(Duration::from_secs(50));
    let update = rig.expect_request(Method::Update, CUSTOMER);
    reply(&mut rig, &update, 500, &[]);
    rig.advance(Duration::from_secs(25));
    rig.expect_request(Method::Update, CUSTOMER);
    assert!(rig.ended.is_empty());
}

// §10: slightly before the interval is over: by a third of it or 32 s.
#[test]
fn a_peer_that_was_to_refresh_and_did_not_is_asked_first() {
    for (interval, after) in [(90, 60), (1_800, 1_768)] {
        let expires = format!("{interval};refresher=uas");
        let lines = [("Session-Expires", expires.as_str()), ("Allow", "UPDATE")];
        let (mut rig, mut customer) = answered(&lines);
        rig.advance(Duration::from_secs(after - 1));
        rig.expect_silence();
        // Whatever refreshes it begins the time anew.
        let mut refresh = rig.build(&customer, Method::Update, 200, None);
        refresh.headers.push(header("Supported", "timer"));
        refresh.headers.push(header("Session-Expires", format!("{interval};refresher=uac")));
        rig.deliver(address(CUSTOMER), &message::print_request(&refresh));
        rig.expect_response(200);
        rig.advance(Duration::from_secs(after - 1));
        rig.expect_silence();
        rig.advance(Duration::from_secs(1));
        let update = rig.expect_request(Method::Update, CUSTOMER);
        let ours = format!("{interval};refresher=uac");
        assert_eq!(update.value("Session-Expires"), Some(ours.as_str()));
        reply(&mut rig, &update, 200, &[("Session-Expires", &expires)]);
        // It is there after all, and is to refresh again.
        rig.advance(Duration::from_secs(after));
        let update = rig.expect_request(Method::Update, CUSTOMER);
        reply(&mut rig, &update, 481, &[]);
        customer.address = address(CUSTOMER);
        expect_ended(&mut rig);
    }
}

#[test]
fn a_peer_that_was_to_refresh_and_is_dead_is_hung_up() {
    let (mut rig, _) = answered(&[("Session-Expires", "90;refresher=uas")]);
    rig.advance(Duration::from_secs(60));
    rig.expect_request(Method::Invite, CUSTOMER);
    rig.advance(Duration::from_secs(33));
    assert_eq!(rig.ended().reason, Some(Reason::DialogLost));
    rig.sent.retain(|(_, message)| {
        !matches!(message, message::SipMessage::Request(each) if each.method == Method::Invite)
    });
    rig.expect_request(Method::Bye, CUSTOMER);
}

// §7.4: a re-INVITE of ours leaves the peer the refresher that it is.
#[test]
fn a_hold_keeps_the_refresher() {
    let (mut rig, _) = answered(&[("Session-Expires", "300;refresher=uas")]);
    rig.edge.control(rig.now, &"call-1".into(), "1", Verb::Hold).unwrap();
    rig.drain();
    let hold = rig.expect_request(Method::Invite, CUSTOMER);
    assert_eq!(hold.value("Session-Expires"), Some("300;refresher=uas"));
}

// §9: the UAS "MAY reject the request with a 422 … MUST include a Min-SE".
#[test]
fn a_request_that_is_too_short_gets_422() {
    for (lines, code) in [
        (&[("Supported", "timer"), ("Session-Expires", "89")][..], 422),
        (&[("Supported", "timer"), ("Session-Expires", "90")], 200),
        // Who could not ask again is served.
        (&[("Session-Expires", "60")], 200),
        (&[("Supported", "timer"), ("Session-Expires", "soon")], 200),
    ] {
        for method in [Method::Invite, Method::Update] {
            let (mut rig, customer) = answered(&[]);
            let sdp = sdp();
            let body = (method == Method::Invite).then_some(sdp.as_str());
            let mut request = rig.build(&customer, method, 200, body);
            lines.iter().for_each(|(name, value)| request.headers.push(header(name, *value)));
            rig.deliver(address(CUSTOMER), &message::print_request(&request));
            let response = rig.expect_response(code);
            assert_eq!(response.value("Min-SE"), (code == 422).then_some("90"), "{lines:?}");
            assert!(rig.ended.is_empty());
        }
    }
}
