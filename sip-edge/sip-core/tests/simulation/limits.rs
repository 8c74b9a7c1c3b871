//! What is refused: calls that cannot be placed, tables that are full, connections that break.

use crate::rig::{AGENT, Rig};
use crate::session::{self, address};
use call_words::{CallStatus, Reason};
use sip_core::command::{PlaceCall, Refusal};
use sip_core::edge::Edge;
use sip_core::flow::{FlowFault, Transport};
use sip_core::message::{Method, View};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn refusals() {
    let mut rig = Rig::new();
    let call = |id: &str| PlaceCall { call_id: id.into(), ..Rig::plain_call() };
    let place = |edge: &mut Edge, call| edge.place_call(rig.now, call);
    for each in 0..10 {
        assert_eq!(place(&mut rig.edge, call(&each.to_string())), Ok(()));
        assert_eq!(
            place(&mut rig.edge, call(&each.to_string())),
            Ok(()),
            "a live call is not placed twice"
        );
    }
    assert_eq!(rig.edge.call_count(), 10);
    assert_eq!(place(&mut rig.edge, call("one more")), Err(Refusal::CallCapacity));
    rig.edge.end_calls(rig.now);
    assert_eq!(
        place(&mut rig.edge, call("no port")),
        Err(Refusal::NoPort),
        "all ports rest in quarantine"
    );
    let mut empty = call("empty");
    empty.customer.routes.clear();
    assert_eq!(place(&mut rig.edge, empty), Err(Refusal::NoRoute));
    rig.edge.drain(rig.now);
    assert_eq!(place(&mut rig.edge, call("draining")), Err(Refusal::Draining));
    rig.drain();
    assert_eq!(rig.ended.len(), 10);
    assert!(rig.ended.iter().all(|ended| ended.reason == Some(Reason::System)));
}

#[test]
fn a_full_table_refuses_new_calls_and_lets_running_ones_end() {
    let (mut rig, mut customer) = Rig::with_few_transactions();
    // The unanswered INVITEs of others fill the table up to what is kept for running calls.
    for each in 0..5 {
        let call = PlaceCall { call_id: format!("more-{each}").into(), ..Rig::plain_call() };
        let placed = rig.edge.place_call(rig.now, call);
        assert_eq!(placed, if each < 4 { Ok(()) } else { Err(Refusal::TransactionCapacity) });
    }
    rig.drain();
    rig.sent.clear();
    rig.request(&mut customer, Method::Bye, None);
    assert_eq!(rig.expect_response(200).cseq().unwrap().method, Method::Bye);
    rig.expect_request(Method::Bye, AGENT);
    assert_eq!(rig.ended().status, CallStatus::Answer);
}

#[test]
fn tcp_needs_no_retransmission_and_breaks_with_its_connection() {
    let mut rig = Rig::new();
    let mut call = Rig::plain_call();
    session::agent_route(&mut call).transport = Transport::Tcp;
    rig.place(call);
    let invite = rig.expect_request(Method::Invite, AGENT);
    assert_eq!(invite.top_via().unwrap().transport, "TCP");
    assert!(invite.contact_uri().unwrap().as_str().ends_with(";transport=tcp"));
    rig.advance(10 * SECOND);
    rig.expect_silence();
    let flow = sip_core::flow::Flow { transport: Transport::Tcp, ..Rig::flow(address(AGENT)) };
    rig.edge.handle_flow_error(rig.now, flow, FlowFault::Broken);
    rig.drain();
    assert_eq!(rig.ended().reason, Some(Reason::TrunkFailed));
}
