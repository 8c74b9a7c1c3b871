//! What is still answered when a call is over (RFC 3261 §13.2.2.4): who answers again, or only now.

use crate::rig::{AGENT, AGENT_MEDIA, CUSTOMER, CUSTOMER_MEDIA, Rig};
use crate::session;
use sip_core::message::{self, Method, Request, View};
use std::time::Duration;

/// A bridged call that was hung up, each phone with its 200 to BYE; the customer's INVITE and the
/// ACK that its answer got.
fn hung_up(rig: &mut Rig) -> (Request, Request) {
    rig.answer_invite(AGENT, "agent", AGENT_MEDIA);
    rig.expect_request(Method::Ack, AGENT);
    let invite = rig.expect_request(Method::Invite, CUSTOMER);
    rig.reply_with_sdp(&invite, 200, "one", CUSTOMER_MEDIA);
    let ack = rig.expect_request(Method::Ack, CUSTOMER);
    rig.hang_up();
    for at in [CUSTOMER, AGENT] {
        let bye = rig.expect_request(Method::Bye, at);
        rig.reply(&bye, 200, "");
    }
    let held = rig.edge.held();
    assert_eq!((held.call_count, held.dialog_count, held.ended_leg_count), (0, 0, 2));
    (invite, ack)
}

#[test]
fn an_answer_that_comes_again_gets_its_ack_again() {
    let mut rig = Rig::placed();
    let (invite, ack) = hung_up(&mut rig);
    rig.advance(Duration::from_secs(4));
    rig.reply_with_sdp(&invite, 200, "one", CUSTOMER_MEDIA);
    assert_eq!(rig.expect_request(Method::Ack, CUSTOMER), ack);
    rig.expect_silence();
    rig.advance(Duration::from_secs(64));
    rig.expect_nothing_held();
}

#[test]
fn a_phone_that_answers_only_now_is_hung_up() {
    let mut rig = Rig::placed();
    let (invite, _) = hung_up(&mut rig);
    rig.advance(Duration::from_secs(4));
    rig.reply_with_sdp(&invite, 200, "two", CUSTOMER_MEDIA);
    let ack = rig.expect_request(Method::Ack, CUSTOMER);
    assert_eq!((ack.to_tag(), ack.cseq_number()), (Some("two"), invite.cseq_number()));
    let bye = rig.expect_request(Method::Bye, CUSTOMER);
    assert_eq!((bye.to_tag(), bye.call_id()), (Some("two"), invite.call_id()));
    assert_eq!(bye.from_tag(), invite.from_tag());
    assert!(bye.value("Reason").is_some_and(|reason| reason.contains("elsewhere")));
    rig.reply(&bye, 200, "");
    // It answers again, since the ACK was lost: that changes nothing.
    rig.reply_with_sdp(&invite, 200, "two", CUSTOMER_MEDIA);
    assert_eq!(rig.expect_request(Method::Ack, CUSTOMER), ack);
    rig.expect_silence();
    rig.advance(Duration::from_secs(64));
    rig.expect_nothing_held();
}

#[test]
fn who_is_not_asked_says_nothing_in_its_name() {
    let mut rig = Rig::placed();
    let (invite, _) = hung_up(&mut rig);
    let response = message::respond(&invite, 200, "two");
    let stranger = session::address("203.0.113.66:5060");
    rig.deliver(stranger, &message::print_response(&response));
    rig.expect_silence();
}
