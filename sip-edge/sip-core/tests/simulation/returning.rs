//! Pages that are reloaded, lost or taken over while they are in a call: who comes back to what
//! (decision A10).

use crate::softphone::{ANN, BOB, Office};
use crate::softphones::{check_end, finish_recording, join_third, third_request};
use call_words::{CallStatus, HangupBy, MilestoneKind, PartyState, Reason};
use sip_core::message::Method;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

// A10: a reload keeps the customer.
#[test]
fn a_reloaded_page_takes_the_call_over_and_the_customer_hears_hold_meanwhile() {
    let (mut office, page, _) = Office::bridged();
    office.close(page);
    office.run(2 * SECOND);
    assert_eq!(office.count(MilestoneKind::AgentLost), 1);
    office.take_customer_media();
    office.run(SECOND);
    assert!(office.take_customer_media() >= 45, "the hold tone");
    let next = office.open(ANN);
    office.answer(next);
    office.run(2 * SECOND);
    assert_eq!(office.count(MilestoneKind::AgentBack), 1);
    office.take_customer_media();
    office.run(SECOND);
    assert!(
        (45..=60).contains(&office.take_customer_media()),
        "the agent's audio, and no tone beside it"
    );
    assert_eq!(office.rig.edge.held().leg_count, 2, "the former media are closed");
    assert_eq!(office.rig.edge.held().recording_count, 1, "the recording goes on");
    let bye = office.inside(next, Method::Bye, None);
    office.send(next, &bye);
    finish_recording(&mut office);
    check_end(&office, CallStatus::Answer, None, HangupBy::Agent);
    office.expect_nothing_held();
}

#[test]
fn an_agent_who_does_not_come_back_ends_the_call() {
    let (mut office, page, _) = Office::bridged();
    office.close(page);
    office.run(10 * SECOND);
    assert!(office.rig.ended.is_empty());
    office.run(2 * SECOND);
    office.customer_request(Method::Bye);
    finish_recording(&mut office);
    check_end(&office, CallStatus::Answer, Some(Reason::AgentLost), HangupBy::Agent);
    office.expect_nothing_held();
}

#[test]
fn a_page_closed_while_the_customer_rings_cancels_after_ten_seconds() {
    let (mut office, page, _) = Office::ringing();
    office.close(page);
    office.run(12 * SECOND);
    let cancel = office.customer_request(Method::Cancel);
    office.rig.reply(&cancel, 200, "customer");
    check_end(&office, CallStatus::Canceled, Some(Reason::AgentLost), HangupBy::Agent);
    office.expect_nothing_held();
}

#[test]
fn a_page_reloaded_before_its_answer_is_called_again() {
    let mut office = Office::new();
    let page = office.open(ANN);
    office.place(Office::call()).unwrap();
    office.take_invite(page);
    office.close(page);
    office.run(5 * SECOND);
    let next = office.open(ANN);
    office.answer(next);
    office.run(SECOND);
    office.customer_request(Method::Invite);
    assert_eq!(office.rig.edge.held().leg_count, 2);
}

/// Only the WebSocket broke: nobody hears anything of it, and the dialog goes on over the next one.
#[test]
fn a_lost_connection_interrupts_nothing_while_audio_flows() {
    let (mut office, page, _) = Office::bridged();
    office.disconnect(page);
    office.run(20 * SECOND);
    office.reconnect(page);
    office.run(20 * SECOND);
    assert_eq!(office.count(MilestoneKind::AgentLost), 0);
    assert!(office.next(page).is_none(), "no second INVITE");
    let bye = office.inside(page, Method::Bye, None);
    office.send(page, &bye);
    assert_eq!(office.response(page).status_code.code(), 200);
    finish_recording(&mut office);
    check_end(&office, CallStatus::Answer, None, HangupBy::Agent);
    office.expect_nothing_held();
}

/// The network goes without a word: the connection seems to stand for long, and the customer hears
/// the tone soon.
#[test]
fn a_network_that_is_gone_is_noticed_by_its_silence() {
    let (mut office, page, _) = Office::bridged();
    office.pages[page].is_alive = false;
    office.run(SECOND);
    assert_eq!(office.count(MilestoneKind::AgentLost), 0, "a pause");
    office.run(SECOND + SECOND / 2);
    assert_eq!(office.count(MilestoneKind::AgentLost), 1);
    office.take_customer_media();
    office.run(SECOND);
    assert!(office.take_customer_media() >= 45, "the hold tone");
    office.disconnect(page);
    office.reconnect(page);
    office.run(5 * SECOND);
    assert_eq!(office.count(MilestoneKind::AgentBack), 0, "a connection is no audio");
    office.pages[page].is_alive = true;
    office.run(SECOND);
    assert_eq!(office.count(MilestoneKind::AgentBack), 1);
    office.take_customer_media();
    office.run(SECOND);
    assert!(
        (45..=60).contains(&office.take_customer_media()),
        "the agent's audio, and no tone beside it"
    );
    // Once more, and for good.
    office.pages[page].is_alive = false;
    office.run(11 * SECOND);
    assert!(office.rig.ended.is_empty());
    office.run(2 * SECOND);
    office.customer_request(Method::Bye);
    finish_recording(&mut office);
    check_end(&office, CallStatus::Answer, Some(Reason::AgentLost), HangupBy::Agent);
}

/// The microphone alone is gone: the page is there, and may bring another one (A20).
#[test]
fn an_agent_without_a_microphone_has_the_time_of_a_silent_party() {
    let (mut office, page, _) = Office::bridged();
    office.pages[page].speaks = false;
    office.run(25 * SECOND);
    assert!(office.rig.ended.is_empty());
    assert_eq!(office.count(MilestoneKind::AgentLost), 1, "the customer hears the tone");
    office.pages[page].speaks = true;
    office.run(SECOND);
    assert_eq!(office.count(MilestoneKind::AgentBack), 1);
}

/// Another tab: the newest one owns the agent and its call.
#[test]
fn a_second_tab_takes_the_call_over_without_a_gap() {
    let (mut office, first, _) = Office::bridged();
    let second = office.open(ANN);
    assert!(!office.pages[first].is_connected);
    office.answer(second);
    office.take_customer_media();
    office.run(SECOND);
    assert!(office.take_customer_media() >= 45);
    assert_eq!(
        (office.count(MilestoneKind::AgentLost), office.count(MilestoneKind::AgentBack)),
        (0, 1)
    );
    assert_eq!(office.rig.edge.held().leg_count, 2);
    office.rig.hang_up();
    office.request(second, Method::Bye);
    finish_recording(&mut office);
    check_end(&office, CallStatus::Answer, None, HangupBy::Api);
}

// A10 in a three-way: the others talk on while the page is waited for, ten seconds as ever.
#[test]
fn a_lost_page_leaves_the_others_talking() {
    let (mut office, page, _) = Office::bridged();
    join_third(&mut office);
    office.close(page);
    office.run(3 * SECOND);
    let away = office
        .rig
        .told
        .iter()
        .rfind(|milestone| milestone.kind == MilestoneKind::AgentLost)
        .unwrap();
    let states: Vec<_> =
        away.conversation.as_ref().unwrap().parties.iter().map(|party| party.state).collect();
    assert_eq!(states, [PartyState::Away, PartyState::Talking, PartyState::Talking]);
    let next = office.open(ANN);
    office.answer(next);
    office.run(2 * SECOND);
    assert_eq!(office.count(MilestoneKind::AgentBack), 1);
    assert_eq!(office.rig.edge.held().leg_count, 3);
    office.close(next);
    office.run(12 * SECOND);
    third_request(&mut office, Method::Bye);
    finish_recording(&mut office);
    check_end(&office, CallStatus::Answer, Some(Reason::AgentLost), HangupBy::Agent);
    office.expect_nothing_held();
}

#[test]
fn a_draining_edge_lets_who_is_in_a_call_come_back_to_it() {
    let (mut office, page, _) = Office::bridged();
    let bob = office.open(BOB);
    office.rig.edge.drain(office.rig.now);
    office.rig.drain();
    office.rig.closed.clear();
    office.disconnect(bob);
    office.close(page);
    office.run(2 * SECOND);
    // The next page takes the call back; nobody else may register, nor call for its agent with
    // another's credentials.
    let next = office.open(ANN);
    office.answer(next);
    office.run(2 * SECOND);
    assert_eq!(office.count(MilestoneKind::AgentBack), 1);
    office.take_customer_media();
    office.run(SECOND);
    assert!((45..=60).contains(&office.take_customer_media()), "the agent's audio");
    assert_eq!(office.ask_to_register(bob).status_code.code(), 503);
    // Nor may the agent itself, once the call has ended.
    let bye = office.inside(next, Method::Bye, None);
    office.send(next, &bye);
    assert_eq!(office.response(next).status_code.code(), 200);
    finish_recording(&mut office);
    check_end(&office, CallStatus::Answer, None, HangupBy::Agent);
    office.disconnect(next);
    assert_eq!(office.ask_to_register(next).status_code.code(), 503);
}
