//! What a whole call's SIP costs in instructions, the work of both simulated phones included, so
//! that a change of it is seen.

use crate::callgrind;
use crate::rig::{AGENT, AGENT_MEDIA, CUSTOMER, CUSTOMER_MEDIA, Rig};
use sip_core::command::PlaceCall;
use sip_core::message::Method;
use std::time::Duration;

/// Places calls that both answer and the customer's side ends, until nothing is left of them.
fn talk(keeps_ladder: bool) {
    let mut rig = Rig::new();
    let mut count = 0;
    callgrind::work(|| {
        count += 1;
        rig.place(PlaceCall { keeps_ladder, ..Rig::plain_call() });
        rig.answer_invite(AGENT, "agent", AGENT_MEDIA);
        rig.expect_request(Method::Ack, AGENT);
        rig.answer_invite(CUSTOMER, "customer", CUSTOMER_MEDIA);
        rig.expect_request(Method::Ack, CUSTOMER);
        rig.hang_up();
        for at in [CUSTOMER, AGENT] {
            let bye = rig.expect_request(Method::Bye, at);
            rig.reply(&bye, 200, "");
        }
        rig.advance(Duration::from_secs(64));
        assert_eq!(rig.edge.held(), Default::default());
        assert_eq!(rig.ladders.len(), if keeps_ladder { count } else { 0 });
    });
}

#[test]
#[ignore = "callgrind counts it"]
fn plain_calls() {
    talk(false);
}

#[test]
#[ignore = "callgrind counts it"]
fn calls_with_ladders() {
    talk(true);
}

#[test]
fn a_call_takes_no_more_than_before() {
    callgrind::check("instructions::plain_calls", 1, 974_765);
}

#[test]
fn a_call_with_a_ladder_takes_no_more_than_before() {
    callgrind::check("instructions::calls_with_ladders", 1, 1_056_876);
}
