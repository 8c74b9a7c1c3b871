//! Reliable provisional responses (RFC 3262), what is offered after them by UPDATE (RFC 3311), and
//! peers that know neither; several early dialogs and several answers (RFC 3261 §13.2.2.4).

use crate::rig::{AGENT, AGENT_MEDIA, CUSTOMER, CUSTOMER_MEDIA, Callee, Rig};
use crate::session::{self, address};
use call_words::{CallStatus, Reason};
use media_core::relay::Forward;
use sip_core::message::{self, Body, Method, Request, Response, View, header, set_body};
use std::time::Duration;

const MOVED_MEDIA: &str = "10.0.2.3:41000";

/// A customer that was just called.
fn called() -> (Rig, Callee, Request) {
    let (mut rig, agent) = Rig::agent_answered();
    let invite = rig.expect_request(Method::Invite, CUSTOMER);
    (rig, agent, invite)
}

fn reply(
    rig: &mut Rig,
    request: &Request,
    code: u16,
    tag: &str,
    lines: &[(&str, &str)],
    sdp: &str,
) {
    let mut response = message::respond(request, code, tag);
    if request.method == Method::Invite && code < 300 {
        response.headers.push(header("Contact", format!("<sip:phone@{CUSTOMER}>")));
    }
    lines.iter().for_each(|(name, value)| response.headers.push(header(name, *value)));
    if !sdp.is_empty() {
        set_body(&mut response, Body { content_type: "application/sdp", bytes: sdp.as_bytes() });
    }
    rig.deliver(address(CUSTOMER), &message::print_response(&response));
}

fn ring(rig: &mut Rig, invite: &Request, tag: &str, rseq: u32, sdp: &str) {
    let rseq = rseq.to_string();
    reply(rig, invite, 183, tag, &[("Require", "100rel"), ("RSeq", &rseq)], sdp);
}

fn audio(media: &str) -> String {
    session::sdp(address(media), 0, "sendrecv")
}

#[track_caller]
fn expect_prack(rig: &mut Rig, tag: &str, rack: &str) -> Request {
    let prack = rig.expect_request(Method::PRack, CUSTOMER);
    assert_eq!((prack.to_tag(), prack.value("RAck")), (Some(tag), Some(rack)));
    prack
}

#[track_caller]
fn expect_heard(rig: &mut Rig, agent: &Callee, sequence: u16, at: &str) {
    let forward = rig.rtp(AGENT_MEDIA, &agent.invite, sequence);
    assert!(
        matches!(forward, Forward::To { remote, .. } if remote == address(at)),
        "{at}: {forward:?}"
    );
}

#[test]
fn trunks_are_offered_reliable_responses() {
    let (_, agent, invite) = called();
    for each in [&agent.invite, &invite] {
        assert_eq!(each.value("Supported"), Some("timer, 100rel"));
        assert_eq!(each.value("Require"), None);
    }
}

// §4: "it MUST NOT be acknowledged with a PRACK, and MUST NOT be processed further".
#[test]
fn a_response_out_of_order_waits_for_its_turn() {
    let (mut rig, _, invite) = called();
    ring(&mut rig, &invite, "customer", 40, "");
    let prack = expect_prack(&mut rig, "customer", "40 1 INVITE");
    rig.reply(&prack, 200, "");
    ring(&mut rig, &invite, "customer", 42, &audio(CUSTOMER_MEDIA));
    rig.expect_silence();
    assert!(!rig.has_milestone(call_words::MilestoneKind::EarlyMedia));
    ring(&mut rig, &invite, "customer", 41, "");
    expect_prack(&mut rig, "customer", "41 1 INVITE");
    ring(&mut rig, &invite, "customer", 42, &audio(CUSTOMER_MEDIA));
    expect_prack(&mut rig, "customer", "42 1 INVITE");
    assert!(rig.has_milestone(call_words::MilestoneKind::EarlyMedia));
    // Repeated ones are done with, whichever they are.
    for rseq in [40, 41, 42, 7] {
        ring(&mut rig, &invite, "customer", rseq, "");
    }
    rig.expect_silence();
}

// §3: a PRACK is sent again like any request.
#[test]
fn a_prack_is_repeated_until_it_is_answered() {
    let (mut rig, _, invite) = called();
    ring(&mut rig, &invite, "customer", 1, "");
    let first = expect_prack(&mut rig, "customer", "1 1 INVITE");
    rig.advance(Duration::from_millis(500));
    let again = expect_prack(&mut rig, "customer", "1 1 INVITE");
    assert_eq!(again.cseq(), first.cseq());
    rig.reply(&again, 200, "");
    rig.advance(Duration::from_secs(5));
    rig.expect_silence();
}

// §5: the answer in the reliable response is the answer; the 2xx need not repeat it. Each early
// dialog counts for itself.
#[test]
fn the_answer_of_the_dialog_that_is_picked_up_counts() {
    for picked in ["one", "two"] {
        let (mut rig, agent, invite) = called();
        ring(&mut rig, &invite, "one", 5, &audio(CUSTOMER_MEDIA));
        expect_prack(&mut rig, "one", "5 1 INVITE");
        ring(&mut rig, &invite, "two", 900, &audio(MOVED_MEDIA));
        expect_prack(&mut rig, "two", "900 1 INVITE");
        ring(&mut rig, &invite, "one", 6, "");
        expect_prack(&mut rig, "one", "6 1 INVITE");
        reply(&mut rig, &invite, 200, picked, &[], "");
        assert_eq!(rig.expect_request(Method::Ack, CUSTOMER).to_tag(), Some(picked));
        let at = if picked == "one" { CUSTOMER_MEDIA } else { MOVED_MEDIA };
        expect_heard(&mut rig, &agent, 1, at);
        assert!(rig.ended.is_empty());
    }
}

// RFC 3261 §13.2.2.4: each 2xx makes a dialog; what is not wanted is acknowledged and left.
#[test]
fn the_first_of_several_answers_wins() {
    let (mut rig, agent, invite) = called();
    for tag in ["one", "two", "three"] {
        reply(&mut rig, &invite, 180, tag, &[], "");
    }
    reply(&mut rig, &invite, 200, "two", &[], &audio(CUSTOMER_MEDIA));
    assert_eq!(rig.expect_request(Method::Ack, CUSTOMER).to_tag(), Some("two"));
    for tag in ["three", "one", "four"] {
        reply(&mut rig, &invite, 200, tag, &[], &audio(MOVED_MEDIA));
        assert_eq!(rig.expect_request(Method::Ack, CUSTOMER).to_tag(), Some(tag));
        let bye = rig.expect_request(Method::Bye, CUSTOMER);
        assert_eq!(bye.to_tag(), Some(tag));
        rig.reply(&bye, 200, "");
        // Its repetition is acknowledged again, and no more.
        reply(&mut rig, &invite, 200, tag, &[], &audio(MOVED_MEDIA));
        assert_eq!(rig.expect_request(Method::Ack, CUSTOMER).to_tag(), Some(tag));
        rig.expect_silence();
    }
    expect_heard(&mut rig, &agent, 1, CUSTOMER_MEDIA);
    rig.hang_up();
    assert_eq!(rig.expect_request(Method::Bye, CUSTOMER).to_tag(), Some("two"));
    rig.expect_request(Method::Bye, AGENT);
    rig.expect_silence();
    rig.expect_nothing_held();
}

fn update(rig: &mut Rig, callee: &mut Callee, sdp: Option<&str>, code: u16) -> Response {
    rig.request(callee, Method::Update, sdp);
    rig.expect_response(code)
}

// RFC 3311 §5.1, §5.2: in the early dialog once our offer is answered, not before.
#[test]
fn an_early_dialog_is_updated_once_our_offer_is_answered() {
    let (mut rig, agent, invite) = called();
    reply(&mut rig, &invite, 183, "customer", &[], &audio(CUSTOMER_MEDIA));
    let mut customer = rig.callee(CUSTOMER, "customer", &invite);
    update(&mut rig, &mut customer, Some(&audio(MOVED_MEDIA)), 491);
    update(&mut rig, &mut customer, None, 200);
    ring(&mut rig, &invite, "customer", 1, &audio(CUSTOMER_MEDIA));
    expect_prack(&mut rig, "customer", "1 1 INVITE");
    expect_heard(&mut rig, &agent, 1, CUSTOMER_MEDIA);
    let response = update(&mut rig, &mut customer, Some(&audio(MOVED_MEDIA)), 200);
    assert_eq!(session::formats_of(&response.body), [0, 101]);
    assert!(response.contact().is_some());
    expect_heard(&mut rig, &agent, 2, MOVED_MEDIA);
    update(&mut rig, &mut customer, Some(&session::sdp(address(MOVED_MEDIA), 18, "sendrecv")), 488);
    // The answer in the 2xx, if there is one, is older.
    reply(&mut rig, &invite, 200, "customer", &[], &audio(CUSTOMER_MEDIA));
    rig.expect_request(Method::Ack, CUSTOMER);
    expect_heard(&mut rig, &agent, 3, MOVED_MEDIA);
    update(&mut rig, &mut customer, Some(&audio(CUSTOMER_MEDIA)), 200);
    expect_heard(&mut rig, &agent, 4, CUSTOMER_MEDIA);
    rig.expect_silence();
}

#[test]
fn a_cancelled_early_dialog_is_not_updated() {
    let (mut rig, _, invite) = called();
    ring(&mut rig, &invite, "customer", 1, &audio(CUSTOMER_MEDIA));
    expect_prack(&mut rig, "customer", "1 1 INVITE");
    let mut customer = rig.callee(CUSTOMER, "customer", &invite);
    rig.hang_up();
    rig.sent.clear();
    update(&mut rig, &mut customer, Some(&audio(MOVED_MEDIA)), 491);
}

// RFC 3261 §8.1.3.5: "retry the request, this time omitting any extensions listed in the
// Unsupported header field".
#[test]
fn who_refuses_an_extension_is_called_without_it() {
    for (unsupported, supported) in [
        (Some("100rel"), Some("timer")),
        (Some("100REL, timer"), None),
        (Some("timer"), Some("100rel")),
        (None, None),
    ] {
        let (mut rig, _, invite) = called();
        let lines = unsupported.map(|value| ("Unsupported", value));
        reply(&mut rig, &invite, 420, "x", lines.as_slice(), "");
        rig.expect_request(Method::Ack, CUSTOMER);
        let again = rig.expect_request(Method::Invite, CUSTOMER);
        assert_eq!(again.value("Supported"), supported, "{unsupported:?}");
        assert_eq!(again.cseq().unwrap().number, 2);
        assert_eq!(again.body, invite.body);
        rig.reply_with_sdp(&again, 200, "customer", CUSTOMER_MEDIA);
        rig.expect_request(Method::Ack, CUSTOMER);
        assert!(rig.ended.is_empty());
    }
    for (unsupported, rings) in [("precondition", false), ("100rel", true)] {
        let (mut rig, _, invite) = called();
        if rings {
            reply(&mut rig, &invite, 180, "x", &[], "");
        }
        reply(&mut rig, &invite, 420, "x", &[("Unsupported", unsupported)], "");
        let ended = rig.ended();
        assert_eq!((ended.status, ended.reason), (CallStatus::Failed, Some(Reason::TrunkFailed)));
    }
}

// RFC 3262 §3: we send no provisional response to a re-INVITE, so each of them is reliable.
#[test]
fn a_reinvite_may_require_reliable_responses() {
    let (mut rig, _, customer) = Rig::bridged();
    let mut request = rig.build(&customer, Method::Invite, 200, Some(&audio(CUSTOMER_MEDIA)));
    request.headers.push(header("Require", "100rel"));
    rig.deliver(address(CUSTOMER), &message::print_request(&request));
    rig.expect_response(200);
}
