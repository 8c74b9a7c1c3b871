//! Every interleaving of CANCEL, 200 and BYE on both legs (RFC 3261 §9, §13.2.2.4, §15; row S14,
//! decision A11).

use crate::rig::{AGENT, AGENT_MEDIA, CUSTOMER, CUSTOMER_MEDIA, Rig};
use call_words::{CallStatus, HangupBy, Reason};
use sip_core::message::Method;
use sip_core::outcome::LegName;
use std::time::Duration;

#[track_caller]
fn check_end(rig: &Rig, status: CallStatus, reason: Option<Reason>, hangup_by: HangupBy) {
    let ended = rig.ended();
    assert_eq!((ended.status, ended.reason, ended.hangup_by), (status, reason, Some(hangup_by)));
}

#[track_caller]
fn check_canceled(rig: &Rig, hangup_by: HangupBy) {
    check_end(rig, CallStatus::Canceled, Some(Reason::Canceled), hangup_by);
    assert_eq!((rig.ended().duration_s, rig.ended().answered_at), (0, None));
}

// "A UAC MUST NOT send a CANCEL before a provisional response" (§9.1).
#[test]
fn cancel_waits_for_the_first_provisional_response() {
    let mut rig = Rig::placed();
    let invite = rig.expect_request(Method::Invite, AGENT);
    rig.hang_up();
    rig.expect_silence();
    check_canceled(&rig, HangupBy::Api);
    rig.reply(&invite, 100, "");
    let cancel = rig.expect_request(Method::Cancel, AGENT);
    rig.reply(&cancel, 200, "agent");
    rig.reply(&invite, 487, "agent");
    rig.expect_request(Method::Ack, AGENT);
    rig.expect_nothing_held();
}

#[test]
fn cancel_goes_at_once_while_it_rings() {
    let mut rig = Rig::placed();
    let invite = rig.expect_request(Method::Invite, AGENT);
    rig.reply(&invite, 180, "agent");
    rig.hang_up();
    let cancel = rig.expect_request(Method::Cancel, AGENT);
    rig.reply(&cancel, 200, "agent");
    rig.reply(&invite, 487, "agent");
    rig.expect_request(Method::Ack, AGENT);
    check_canceled(&rig, HangupBy::Api);
    rig.expect_nothing_held();
}

#[test]
fn hang_up_is_idempotent() {
    let mut rig = Rig::placed();
    let invite = rig.expect_request(Method::Invite, AGENT);
    rig.reply(&invite, 180, "agent");
    rig.hang_up();
    rig.hang_up();
    rig.expect_request(Method::Cancel, AGENT);
    rig.expect_silence();
    rig.hang_up();
    rig.reply(&invite, 487, "agent");
    rig.expect_request(Method::Ack, AGENT);
    check_canceled(&rig, HangupBy::Api);
}

// A11: "also when 200 crosses CANCEL: ACK + BYE".
#[test]
fn the_agents_200_crosses_our_cancel() {
    let mut rig = Rig::placed();
    let invite = rig.expect_request(Method::Invite, AGENT);
    rig.reply(&invite, 180, "agent");
    rig.hang_up();
    let cancel = rig.expect_request(Method::Cancel, AGENT);
    rig.reply_with_sdp(&invite, 200, "agent", AGENT_MEDIA);
    rig.expect_request(Method::Ack, AGENT);
    let bye = rig.expect_request(Method::Bye, AGENT);
    rig.reply(&cancel, 200, "agent");
    rig.reply(&bye, 200, "agent");
    rig.expect_silence();
    check_canceled(&rig, HangupBy::Api);
    rig.expect_nothing_held();
}

// The 200 comes although no provisional response ever let the CANCEL go.
#[test]
fn the_agents_200_comes_before_cancel_could_be_sent() {
    let mut rig = Rig::placed();
    let invite = rig.expect_request(Method::Invite, AGENT);
    rig.hang_up();
    rig.reply_with_sdp(&invite, 200, "agent", AGENT_MEDIA);
    rig.expect_request(Method::Ack, AGENT);
    rig.expect_request(Method::Bye, AGENT);
    rig.expect_silence();
    check_canceled(&rig, HangupBy::Api);
}

#[test]
fn the_customers_200_crosses_our_cancel() {
    let (mut rig, _) = Rig::agent_answered();
    let invite = rig.expect_request(Method::Invite, CUSTOMER);
    rig.reply(&invite, 180, "customer");
    rig.hang_up();
    rig.expect_request(Method::Cancel, CUSTOMER);
    let agent_bye = rig.expect_request(Method::Bye, AGENT);
    rig.reply_with_sdp(&invite, 200, "customer", CUSTOMER_MEDIA);
    rig.expect_request(Method::Ack, CUSTOMER);
    let customer_bye = rig.expect_request(Method::Bye, CUSTOMER);
    rig.reply(&agent_bye, 200, "agent");
    rig.reply(&customer_bye, 200, "customer");
    rig.expect_silence();
    check_canceled(&rig, HangupBy::Api);
    rig.expect_nothing_held();
}

// S14: the agent hangs up while the customer rings; CANCEL goes at once.
#[test]
fn the_agents_bye_cancels_the_ringing_customer() {
    let (mut rig, mut agent) = Rig::agent_answered();
    let invite = rig.expect_request(Method::Invite, CUSTOMER);
    rig.reply(&invite, 180, "customer");
    rig.request(&mut agent, Method::Bye, None);
    rig.expect_response(200);
    rig.expect_request(Method::Cancel, CUSTOMER);
    rig.reply(&invite, 487, "customer");
    rig.expect_request(Method::Ack, CUSTOMER);
    rig.expect_silence();
    check_canceled(&rig, HangupBy::Agent);
    rig.expect_nothing_held();
}

#[test]
fn the_agents_bye_before_the_customers_first_response() {
    let (mut rig, mut agent) = Rig::agent_answered();
    let invite = rig.expect_request(Method::Invite, CUSTOMER);
    rig.request(&mut agent, Method::Bye, None);
    rig.expect_response(200);
    rig.expect_silence();
    rig.reply(&invite, 183, "customer");
    rig.expect_request(Method::Cancel, CUSTOMER);
    rig.reply(&invite, 487, "customer");
    rig.expect_request(Method::Ack, CUSTOMER);
    check_canceled(&rig, HangupBy::Agent);
    rig.expect_nothing_held();
}

#[test]
fn the_agents_bye_crosses_the_customers_200() {
    let (mut rig, mut agent) = Rig::agent_answered();
    let invite = rig.expect_request(Method::Invite, CUSTOMER);
    rig.reply(&invite, 180, "customer");
    rig.request(&mut agent, Method::Bye, None);
    rig.expect_response(200);
    rig.expect_request(Method::Cancel, CUSTOMER);
    rig.reply_with_sdp(&invite, 200, "customer", CUSTOMER_MEDIA);
    rig.expect_request(Method::Ack, CUSTOMER);
    rig.expect_request(Method::Bye, CUSTOMER);
    check_canceled(&rig, HangupBy::Agent);
}

// The other order: the 200 was first, so the call was bridged and is answered.
#[test]
fn the_agents_bye_right_after_the_customers_200() {
    let (mut rig, mut agent, _) = Rig::bridged();
    rig.request(&mut agent, Method::Bye, None);
    rig.expect_response(200);
    rig.expect_request(Method::Bye, CUSTOMER);
    check_end(&rig, CallStatus::Answer, None, HangupBy::Agent);
    rig.expect_nothing_held();
}

#[test]
fn the_customers_bye_ends_the_agents_leg() {
    let (mut rig, _, mut customer) = Rig::bridged();
    rig.advance(Duration::from_millis(12_900));
    rig.request(&mut customer, Method::Bye, None);
    rig.expect_response(200);
    let bye = rig.expect_request(Method::Bye, AGENT);
    rig.reply(&bye, 200, "agent");
    check_end(&rig, CallStatus::Answer, None, HangupBy::Customer);
    assert_eq!(rig.ended().duration_s, 12);
    rig.expect_nothing_held();
}

#[test]
fn both_hang_up_at_the_same_time() {
    let (mut rig, mut agent, mut customer) = Rig::bridged();
    rig.request(&mut customer, Method::Bye, None);
    rig.expect_response(200);
    let ours = rig.expect_request(Method::Bye, AGENT);
    // The agent's BYE crosses ours: it is answered, and nothing is told twice.
    rig.request(&mut agent, Method::Bye, None);
    rig.expect_response(200);
    rig.reply(&ours, 481, "agent");
    rig.expect_silence();
    check_end(&rig, CallStatus::Answer, None, HangupBy::Customer);
    rig.expect_nothing_held();
}

#[test]
fn the_api_ends_a_bridged_call() {
    let (mut rig, ..) = Rig::bridged();
    rig.hang_up();
    rig.expect_request(Method::Bye, CUSTOMER);
    rig.expect_request(Method::Bye, AGENT);
    check_end(&rig, CallStatus::Answer, None, HangupBy::Api);
}

// A 200 to CANCEL only says that it arrived (§9.2): the INVITE's own response is still awaited, for
// 64·T1 (§9.1).
#[test]
fn a_cancelled_invite_without_final_response_is_given_up() {
    let mut rig = Rig::placed();
    let invite = rig.expect_request(Method::Invite, AGENT);
    rig.reply(&invite, 180, "agent");
    rig.hang_up();
    let cancel = rig.expect_request(Method::Cancel, AGENT);
    rig.reply(&cancel, 200, "agent");
    check_canceled(&rig, HangupBy::Api);
    assert_ne!(rig.edge.held().dialog_count, 0);
    rig.expect_nothing_held();
}

// A 486 that crosses CANCEL changes nothing any more.
#[test]
fn a_busy_crosses_our_cancel() {
    let (mut rig, mut agent) = Rig::agent_answered();
    let invite = rig.expect_request(Method::Invite, CUSTOMER);
    rig.reply(&invite, 180, "customer");
    rig.request(&mut agent, Method::Bye, None);
    rig.expect_response(200);
    rig.expect_request(Method::Cancel, CUSTOMER);
    rig.reply(&invite, 486, "customer");
    rig.expect_request(Method::Ack, CUSTOMER);
    check_canceled(&rig, HangupBy::Agent);
}

// Our ring timer: CANCEL, 487, NO_ANSWER; a 200 that crosses it is ended and stays NO_ANSWER.
#[test]
fn the_ring_timer_cancels() {
    for crossed in [false, true] {
        let (mut rig, _) = Rig::agent_answered();
        let invite = rig.expect_request(Method::Invite, CUSTOMER);
        rig.reply(&invite, 180, "customer");
        rig.advance(Duration::from_secs(45));
        rig.sent.retain(|(_, message)| {
            !matches!(message,
            sip_core::message::SipMessage::Request(r) if r.method == Method::Bye)
        });
        rig.expect_request(Method::Cancel, CUSTOMER);
        if crossed {
            rig.reply_with_sdp(&invite, 200, "customer", CUSTOMER_MEDIA);
            rig.expect_request(Method::Ack, CUSTOMER);
            rig.expect_request(Method::Bye, CUSTOMER);
        } else {
            rig.reply(&invite, 487, "customer");
            rig.expect_request(Method::Ack, CUSTOMER);
        }
        check_end(&rig, CallStatus::NoAnswer, Some(Reason::NoAnswer), HangupBy::System);
        assert_eq!(rig.ended().failed_leg, Some(LegName::Customer));
        rig.expect_nothing_held();
    }
}

// §13.2.2.4: a retransmitted 2xx gets the ACK again, also after the BYE.
#[test]
fn a_repeated_200_is_acknowledged_again() {
    let (mut rig, agent) = Rig::agent_answered();
    let invite = rig.expect_request(Method::Invite, CUSTOMER);
    rig.reply_with_sdp(&invite, 200, "customer", CUSTOMER_MEDIA);
    rig.expect_request(Method::Ack, CUSTOMER);
    rig.reply_with_sdp(&invite, 200, "customer", CUSTOMER_MEDIA);
    rig.expect_request(Method::Ack, CUSTOMER);
    rig.expect_silence();
    let mut agent = agent;
    rig.request(&mut agent, Method::Bye, None);
    rig.expect_response(200);
    let bye = rig.expect_request(Method::Bye, CUSTOMER);
    rig.reply(&bye, 200, "customer");
    rig.reply_with_sdp(&invite, 200, "customer", CUSTOMER_MEDIA);
    rig.expect_request(Method::Ack, CUSTOMER);
    rig.expect_silence();
    rig.expect_nothing_held();
}

// §13.2.2.4: the first 2xx wins; "the UAC core" ends the dialog of another fork with ACK and BYE.
#[test]
fn a_second_fork_that_answers_is_hung_up() {
    let (mut rig, _) = Rig::agent_answered();
    let invite = rig.expect_request(Method::Invite, CUSTOMER);
    rig.reply(&invite, 180, "one");
    rig.reply(&invite, 180, "two");
    rig.reply_with_sdp(&invite, 200, "two", CUSTOMER_MEDIA);
    rig.expect_request(Method::Ack, CUSTOMER);
    rig.expect_silence();
    rig.reply_with_sdp(&invite, 200, "one", CUSTOMER_MEDIA);
    let ack = rig.expect_request(Method::Ack, CUSTOMER);
    let bye = rig.expect_request(Method::Bye, CUSTOMER);
    for request in [&ack, &bye] {
        use sip_core::message::View;
        assert_eq!(request.to_tag(), Some("one"));
    }
    assert!(rig.ended.is_empty());
    // BYE of that fork's phone changes nothing for the call.
    let mut fork = rig.callee(CUSTOMER, "one", &invite);
    rig.request(&mut fork, Method::Bye, None);
    rig.expect_response(200);
    assert!(rig.ended.is_empty());
    rig.hang_up();
    check_end(&rig, CallStatus::Answer, None, HangupBy::Api);
}

// A CANCEL of a peer for its re-INVITE comes after our 200 and has no effect (§9.2).
#[test]
fn a_peers_cancel_is_answered() {
    let (mut rig, mut agent, _) = Rig::bridged();
    let sdp = crate::session::sdp(crate::session::address(AGENT_MEDIA), 0, "sendrecv");
    let invite = rig.request(&mut agent, Method::Invite, Some(&sdp));
    rig.expect_response(200);
    let cancel = sip_core::message::cancel_for(&invite);
    rig.deliver(agent.address, &sip_core::message::print_request(&cancel));
    rig.expect_response(200);
    rig.ack(&agent, None);
    let stray = rig.build(&agent, Method::Cancel, 900, None);
    rig.deliver(agent.address, &sip_core::message::print_request(&stray));
    rig.expect_response(481);
    assert!(rig.ended.is_empty());
}
