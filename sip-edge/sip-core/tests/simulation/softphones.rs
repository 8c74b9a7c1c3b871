//! Calls to a softphone, step by step: who is called when, and what a page's coming and going means
//! (rows S11, S14; decisions A10, A11).

use crate::network::Dice;
use crate::rig::{CUSTOMER, CUSTOMER_MEDIA, Rig, THIRD, THIRD_MEDIA};
use crate::session::{self, address, recorded};
use crate::softphone::{ANN, BOB, Office};
use crate::talk::add;
use call_words::{
    CallStatus, HangupBy, Joining, MediaFault, MilestoneKind, Reason, RefusalCode, SupervisorRole,
};
use sip_core::command::{AgentTarget, PlaceCall, Refusal};
use sip_core::control::{NewSupervisor, Verb};
use sip_core::message::{self, Body, Method, View};
use sip_core::outcome::LegName;
use sip_core::registrar::CloseReason;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

#[track_caller]
pub fn check_end(office: &Office, status: CallStatus, reason: Option<Reason>, by: HangupBy) {
    let ended = office.rig.ended();
    assert_eq!((ended.status, ended.reason, ended.hangup_by), (status, reason, Some(by)));
}

/// The disk is done with the call's recording.
pub fn finish_recording(office: &mut Office) {
    let recording = office.rig.opened_recordings[0];
    office.rig.edge.recording_finished(office.rig.now, recording, recorded(SECOND));
    office.rig.drain();
}

// S11: 200, ACK, first decrypted audio, and only then the customer.
#[test]
fn the_customer_is_called_when_the_agents_audio_flows() {
    let mut office = Office::new();
    let page = office.open(ANN);
    // A9: a softphone's audio is its confirmation.
    office.place(PlaceCall { agent_confirm: true, ..Office::call() }).unwrap();
    office.answer(page);
    office.pages[page].is_alive = false;
    office.run(3 * SECOND);
    office.expect_no_customer();
    office.pages[page].is_alive = true;
    office.run(2 * SECOND);
    office.customer_request(Method::Invite);
    let kinds: Vec<_> = office.rig.milestones.iter().map(|(kind, _)| *kind).collect();
    use MilestoneKind::{AgentMedia, Answered, DtlsConnected, IceConnected, InviteSent};
    assert_eq!(kinds, [InviteSent, Answered, IceConnected, DtlsConnected, AgentMedia, InviteSent]);
    assert!(office.heard(page) > 0, "the agent hears the ringback");
}

// Opus is between the softphone and the shard: the customer is offered what it would be without.
#[test]
fn opus_is_offered_to_softphones_that_may_have_it_and_to_nobody_else() {
    for (opus, formats) in [(true, vec![111, 0, 8, 110, 101]), (false, vec![0, 8, 101])] {
        let mut office = Office::new();
        let page = office.open(ANN);
        office.pages[page].has_opus = opus;
        let ring = 30 * SECOND;
        let agent = AgentTarget::Softphone { agent: ANN.into(), ring, opus };
        office.place(PlaceCall { agent, ..Office::call() }).unwrap();
        office.take_invite(page);
        let invite = office.pages[page].invite.clone().unwrap();
        assert_eq!(session::formats_of(&invite.body), formats);
        assert_eq!(office.rig.edge.relay().opus_count(), usize::from(opus));
        office.answer_taken(page);
        office.request(page, Method::Ack);
        office.run(SECOND);
        let invite = office.customer_request(Method::Invite);
        assert_eq!(session::formats_of(&invite.body), [0, 8, 101]);
        let sdp = session::sdp(address(CUSTOMER_MEDIA), 8, "sendrecv");
        office.rig.reply_with_body(&invite, 200, "customer", &sdp);
        office.customer_request(Method::Ack);
        // The ringing tone was of the codec.
        let is_right = |len: &usize| if opus { (1..160).contains(len) } else { *len == 160 };
        let lens = office.heard_lens(page);
        assert!(lens.len() > 10 && lens.iter().all(is_right), "{lens:?}");
        for _ in 0..50 {
            office.customer_speaks(&invite);
            office.run(Duration::from_millis(20));
        }
        assert!(office.take_customer_media() > 40);
        let heard = office.heard_lens(page);
        assert!(heard.len() > lens.len() + 40 && heard.iter().all(is_right), "{heard:?}");
        // A re-INVITE of the page keeps it.
        let reinvite = office.restart_ice(page);
        office.send(page, &reinvite);
        let answer = office.response(page);
        let numbers = if opus { vec![111, 110] } else { vec![0, 101] };
        assert_eq!(session::formats_of(&answer.body), numbers);
        office.rig.edge.hang_up(office.rig.now, &"call-1".into());
    }
}

#[test]
fn a_softphone_without_audio_gets_no_customer() {
    let mut office = Office::new();
    let page = office.open(ANN);
    office.place(Office::call()).unwrap();
    office.answer(page);
    office.pages[page].is_alive = false;
    office.run(11 * SECOND);
    office.request(page, Method::Bye);
    office.expect_no_customer();
    check_end(&office, CallStatus::Failed, Some(Reason::AgentMedia), HangupBy::System);
    assert_eq!(office.rig.ended().detail, Some(MediaFault::NoPath));
    office.expect_nothing_held();
}

#[track_caller]
fn check_refused(code: u16, reason: Reason, detail: Option<MediaFault>) {
    let mut office = Office::new();
    let page = office.open(ANN);
    office.place(Office::call()).unwrap();
    let invite = office.request(page, Method::Invite);
    let refusal = message::respond(&invite, code, "p0");
    office.respond(page, &refusal);
    office.run(SECOND);
    office.expect_no_customer();
    let ended = office.rig.ended();
    assert_eq!(
        (ended.status, ended.reason, ended.detail),
        (CallStatus::Failed, Some(reason), detail)
    );
    assert_eq!((ended.sip_code, ended.failed_leg), (Some(code), Some(LegName::Agent)));
    office.expect_nothing_held();
}

fn media_test() -> PlaceCall {
    let mut call = PlaceCall { recording: None, max_duration: 20 * SECOND, ..Office::call() };
    call.customer.routes.clear();
    call
}

#[test]
fn a_softphone_is_called_for_the_sake_of_its_media_alone() {
    let mut office = Office::new();
    let page = office.open(ANN);
    office.place(media_test()).unwrap();
    office.answer(page);
    office.run(3 * SECOND);
    assert!(office.heard(page) > 100, "the ringing tone: {}", office.heard(page));
    let bye = office.inside(page, Method::Bye, None);
    office.send(page, &bye);
    assert_eq!(office.response(page).status_code.code(), 200);
    check_end(&office, CallStatus::Canceled, Some(Reason::Canceled), HangupBy::Agent);
    office.expect_no_customer();
    office.run(40 * SECOND);
    office.expect_nothing_held();
}

#[test]
fn a_media_test_has_an_end_and_says_how_far_it_came() {
    let mut office = Office::new();
    let page = office.open(ANN);
    office.place(media_test()).unwrap();
    assert_eq!(
        office.place(PlaceCall { call_id: "call-2".into(), ..Office::call() }),
        Err(Refusal::AgentBusy)
    );
    office.answer(page);
    office.run(21 * SECOND);
    office.request(page, Method::Bye);
    check_end(&office, CallStatus::Failed, Some(Reason::MaxDuration), HangupBy::System);
    office.expect_no_customer();

    let mut office = Office::new();
    let page = office.open(ANN);
    office.place(media_test()).unwrap();
    office.answer(page);
    office.pages[page].is_alive = false;
    office.run(11 * SECOND);
    assert_eq!(office.rig.ended().detail, Some(MediaFault::NoPath));
    // A phone is never called without a customer.
    let phone = PlaceCall { agent: AgentTarget::Phone(Office::call().customer), ..media_test() };
    assert_eq!(office.place(phone), Err(Refusal::NoRoute));
}

#[test]
fn a_page_whose_browser_has_no_network_for_media_says_so_by_606() {
    check_refused(606, Reason::AgentMedia, Some(MediaFault::NoCandidates));
    check_refused(488, Reason::Media, None);
    check_refused(486, Reason::AgentBusy, None);
}

#[test]
fn an_agent_elsewhere_or_in_a_call_is_refused() {
    let mut office = Office::new();
    assert_eq!(office.place(Office::call()), Err(Refusal::AgentUnreachable));
    let page = office.open(ANN);
    office.place(Office::call()).unwrap();
    let mut second = Office::call();
    second.call_id = "call-2".into();
    assert_eq!(office.place(second), Err(Refusal::AgentBusy));
    office.take_invite(page);
    let invite = office.pages[page].invite.clone().unwrap();
    let busy = message::respond(&invite, 486, "p0");
    office.respond(page, &busy);
    check_end(&office, CallStatus::Failed, Some(Reason::AgentBusy), HangupBy::Agent);
    office.expect_nothing_held();
}

/// S18: control-api hears who can be called.
#[test]
fn presence_follows_the_registration() {
    let mut office = Office::new();
    office.open(ANN);
    let next = office.open(ANN);
    office.disconnect(next);
    office.reconnect(next);
    office.rig.edge.revoke_softphone(office.rig.now, &ANN.into());
    office.rig.drain();
    let told: Vec<_> = office
        .rig
        .presences
        .iter()
        .map(|(agent, is_online)| (agent.as_str(), *is_online))
        .collect();
    assert_eq!(
        told,
        [true, true, false, true, false].map(|is_online| (ANN, is_online)),
        "the first page's end is not the agent's"
    );
}

#[test]
fn a_draining_edge_sends_away_who_is_in_no_call() {
    let (mut office, page, _) = Office::bridged();
    let idle = office.open("bob");
    office.rig.edge.drain(office.rig.now);
    office.rig.drain();
    let closed = std::mem::take(&mut office.rig.closed);
    assert_eq!(closed, [(office.pages[idle].flow, CloseReason::ShuttingDown)]);
    assert_eq!(office.rig.presences.last(), Some(&("bob".to_owned(), false)));
    office.disconnect(idle);
    assert_eq!(office.ask_to_register(idle).status_code.code(), 503);
    // Who is in a call may stay until its end.
    assert_eq!(office.register(page).status_code.code(), 200);
    office.run(SECOND);
    assert!(office.take_customer_media() >= 45);
}

#[test]
fn audio_flows_both_ways_and_the_agents_bye_ends_the_call() {
    let (mut office, page, customer) = Office::bridged();
    let heard = office.heard(page);
    for _ in 0..50 {
        let invite = customer.invite.clone();
        office.customer_speaks(&invite);
        office.run(Duration::from_millis(20));
    }
    assert!(office.heard(page) >= heard + 45, "{} packets", office.heard(page) - heard);
    assert!(office.take_customer_media() >= 45);
    let info = office.inside(
        page,
        Method::Info,
        Some(Body { content_type: "application/dtmf-relay", bytes: b"Signal=5\r\n" }),
    );
    office.send(page, &info);
    assert_eq!(office.response(page).status_code.code(), 200);
    let bye = office.inside(page, Method::Bye, None);
    office.send(page, &bye);
    assert_eq!(office.response(page).status_code.code(), 200);
    let bye = office.customer_request(Method::Bye);
    office.rig.reply(&bye, 200, "customer");
    finish_recording(&mut office);
    check_end(&office, CallStatus::Answer, None, HangupBy::Agent);
    assert!(office.rig.ended().recording.is_some() && office.rig.ended().agent_media.is_some());
    office.expect_nothing_held();
}

/// The browser renegotiates after a change of network (RFC 8445 §9): new names, same DTLS.
#[test]
fn a_restart_of_ice_is_answered_and_audio_goes_on() {
    let (mut office, page, _) = Office::bridged();
    let offer = office.restart_ice(page);
    office.send(page, &offer);
    let answer = office.response(page);
    assert_eq!(answer.status_code.code(), 200);
    let ack = office.inside(page, Method::Ack, None);
    let mut ack = ack;
    let number = offer.cseq().unwrap().number;
    ack.headers.iter_mut().for_each(|each| {
        if matches!(each, message::Header::CSeq(_)) {
            *each = message::header("CSeq", format!("{number} ACK"));
        }
    });
    office.send(page, &ack);
    office.set_remote(page, &answer.body);
    office.take_customer_media();
    office.run(2 * SECOND);
    assert!(office.take_customer_media() >= 80);
    assert!(office.next(page).is_none(), "the 200 is repeated");
    assert_eq!(office.count(MilestoneKind::AgentLost), 0);
}

/// Joins a third party that has no media of its own.
pub fn join_third(office: &mut Office) {
    let answer = office.rig.edge.control(
        office.rig.now,
        &"call-1".into(),
        "join",
        add("third", Joining::Join),
    );
    assert_eq!(answer, Ok(()));
    office.rig.drain();
    let invite = third_request(office, Method::Invite);
    office.rig.reply_with_sdp(&invite, 200, "third", THIRD_MEDIA);
    third_request(office, Method::Ack);
}

#[track_caller]
pub fn third_request(office: &mut Office, method: Method) -> message::Request {
    let index = office
        .rig
        .sent
        .iter()
        .position(|(to, _)| to.remote == address(THIRD))
        .expect("a message to the third");
    match office.rig.sent.remove(index) {
        Some((_, message::SipMessage::Request(request))) if request.method == method => request,
        other => panic!("{method} expected, not {other:?}"),
    }
}

/// The agent's work is done: the page may close, and may be called again.
#[test]
fn a_transferred_call_outlives_the_page() {
    let (mut office, page, customer) = Office::bridged();
    join_third(&mut office);
    assert_eq!(
        office.rig.edge.control(office.rig.now, &"call-1".into(), "done", Verb::Complete),
        Ok(())
    );
    office.rig.drain();
    let bye = office.request(page, Method::Bye);
    office.respond(page, &message::respond(&bye, 200, ""));
    assert_eq!(office.rig.edge.held().busy_agent_count, 0);
    office.close(page);
    office.run(30 * SECOND);
    assert!(office.rig.ended.is_empty());
    let mut customer = customer;
    office.rig.request(&mut customer, Method::Bye, None);
    third_request(&mut office, Method::Bye);
    finish_recording(&mut office);
    check_end(&office, CallStatus::Answer, None, HangupBy::Customer);
    assert!(office.rig.ended().agent_media.is_some());
    office.expect_nothing_held();
}

/// A supervisor's page is called as an agent's, and its loss is its own.
#[test]
fn a_supervisor_listens_by_softphone() {
    let (mut office, ..) = Office::bridged();
    let supervise = |agent: &str, id: &str| {
        let target = AgentTarget::Softphone { agent: agent.into(), ring: 30 * SECOND, opus: false };
        Verb::Supervise(Box::new(NewSupervisor {
            party: id.into(),
            target,
            role: SupervisorRole::Listen,
        }))
    };
    let now = office.rig.now;
    assert_eq!(
        office.rig.edge.control(now, &"call-1".into(), "1", supervise(BOB, "s1")),
        Err(RefusalCode::AgentUnreachable)
    );
    assert_eq!(
        office.rig.edge.control(now, &"call-1".into(), "2", supervise(ANN, "s2")),
        Err(RefusalCode::AgentBusy)
    );
    let page = office.open(BOB);
    assert_eq!(
        office.rig.edge.control(office.rig.now, &"call-1".into(), "3", supervise(BOB, "s3")),
        Ok(())
    );
    office.rig.drain();
    office.answer(page);
    office.run(2 * SECOND);
    assert_eq!(office.rig.edge.held().busy_agent_count, 2);
    assert!(office.heard(page) > 0, "the supervisor hears the call");
    office.close(page);
    office.run(SECOND);
    assert!(office.rig.has_milestone(MilestoneKind::SupervisorLeft));
    assert_eq!((office.rig.edge.held().busy_agent_count, office.rig.edge.held().leg_count), (1, 2));
    assert!(office.rig.ended.is_empty());
    office.rig.hang_up();
    finish_recording(&mut office);
    assert_eq!(office.rig.ended().others.len(), 1);
}

/// A tab that refuses the call leaves it with the former one as long as that one is heard.
#[test]
fn a_tab_that_declines_leaves_the_call_where_it_is() {
    let (mut office, first, _) = Office::bridged();
    let second = office.open(ANN);
    office.take_invite(second);
    let invite = office.pages[second].invite.clone().unwrap();
    let declined = message::respond(&invite, 486, "p1");
    office.respond(second, &declined);
    office.run(5 * SECOND);
    assert!(office.rig.ended.is_empty());
    assert_eq!(office.rig.edge.held().leg_count, 2);
    office.pages[first].is_alive = false;
    office.run(13 * SECOND);
    finish_recording(&mut office);
    check_end(&office, CallStatus::Answer, Some(Reason::AgentLost), HangupBy::Agent);
    office.expect_nothing_held();
}

#[test]
fn nobody_else_speaks_in_an_agents_dialog() {
    let (mut office, page, _) = Office::bridged();
    let stranger = office.open("bob");
    let bye = office.inside(page, Method::Bye, None);
    office.send(stranger, &bye);
    assert_eq!(office.response(stranger).status_code.code(), 481);
    office.rig.sent.clear();
    office.rig.deliver(address(CUSTOMER), &message::print_request(&bye));
    office.rig.expect_response(481);
    assert!(office.rig.ended.is_empty());
    let revoked = office.pages[stranger].flow;
    office.rig.edge.revoke_softphone(office.rig.now, &"bob".into());
    office.rig.drain();
    assert_eq!(office.rig.closed.pop(), Some((revoked, CloseReason::Revoked)));
    let bye = office.inside(page, Method::Bye, None);
    office.send(stranger, &bye);
    assert_eq!(office.response(stranger).status_code.code(), 403);
}

// B02
#[test]
fn nobody_else_answers_an_agents_invite() {
    let mut office = Office::new();
    let page = office.open(ANN);
    office.place(Office::call()).unwrap();
    office.take_invite(page);
    let invite = office.pages[page].invite.clone().unwrap();
    let stranger = office.open("bob");
    for code in [180, 200, 486] {
        let forged = message::print_response(&message::respond(&invite, code, "p9"));
        office.rig.deliver(address(CUSTOMER), &forged);
        office.rig.deliver_over(office.pages[stranger].flow, &forged);
    }
    assert!(office.rig.edge.counters().any(|counter| counter == ("sip_foreign_responses", 6)));
    assert!(office.rig.ended.is_empty() && !office.rig.has_milestone(MilestoneKind::Ringing));
    office.answer_taken(page);
    office.request(page, Method::Ack);
    assert!(office.rig.has_milestone(MilestoneKind::Answered));
}

// S14 and A11: a 200 that crosses our CANCEL is acknowledged and ended.
#[test]
fn a_hang_up_crosses_the_answer() {
    let mut office = Office::new();
    let page = office.open(ANN);
    office.place(Office::call()).unwrap();
    office.take_invite(page);
    let invite = office.pages[page].invite.clone().unwrap();
    let ringing = message::respond(&invite, 180, "p0");
    office.respond(page, &ringing);
    office.rig.hang_up();
    office.request(page, Method::Cancel);
    office.answer_taken(page);
    office.request(page, Method::Ack);
    office.request(page, Method::Bye);
    check_end(&office, CallStatus::Canceled, Some(Reason::Canceled), HangupBy::Api);
    office.expect_nothing_held();
}

/// Random pages: whatever order things happen in, the call ends once and nothing of it is left.
#[test]
fn random_pages_leave_nothing_behind() {
    for seed in 0..24 {
        run_seed(seed);
    }
}

fn run_seed(seed: u64) {
    let mut dice = Dice::new(seed);
    let mut office = Office::new();
    let mut page = office.open(ANN);
    office.place(Office::call()).unwrap();
    for _ in 0..dice.between(3, 14) {
        match dice.between(0, 9) {
            0 => office.close(page),
            1 => office.disconnect(page),
            2 if !office.pages[page].is_connected && office.pages[page].is_alive => {
                office.reconnect(page)
            }
            2 | 3 => page = office.open(ANN),
            4 if dice.chance(40) => office.rig.hang_up(),
            5 if dice.chance(40) => office.pages[page].is_alive = false,
            _ => {}
        }
        react(&mut office, &mut dice, page);
        office.run(Duration::from_millis(dice.between(20, 4_000)));
        react(&mut office, &mut dice, page);
    }
    office.rig.hang_up();
    react(&mut office, &mut dice, page);
    if let Some(recording) = office.rig.opened_recordings.first() {
        office.rig.edge.recording_finished(office.rig.now, *recording, recorded(SECOND));
    }
    office.rig.drain();
    let ends = office.rig.ended.len();
    assert_eq!(ends, 1, "seed {seed}");
    office.rig.advance(70 * SECOND);
    assert_eq!(office.rig.edge.held(), Default::default(), "seed {seed}");
}

/// Peers do what they would: pages answer or decline, the customer rings and mostly answers,
/// everybody answers BYE and CANCEL.
fn react(office: &mut Office, dice: &mut Dice, page: usize) {
    while let Some((flow, message)) = office.rig.sent.pop_front() {
        let message::SipMessage::Request(request) = message else { continue };
        let is_customer = flow.remote == address(CUSTOMER);
        let current = office.pages[page].flow == flow && office.pages[page].is_connected;
        if !is_customer && !current {
            continue;
        }
        match request.method {
            Method::Invite if is_customer && dice.chance(80) => {
                office.rig.reply_with_sdp(&request, 200, "customer", CUSTOMER_MEDIA);
            }
            Method::Invite if is_customer => office.rig.reply(&request, 180, "customer"),
            Method::Invite if dice.chance(85) => {
                office.pages[page].invite = Some(request);
                office.answer_taken(page);
            }
            Method::Invite => office.respond(page, &message::respond(&request, 486, "no")),
            Method::Bye | Method::Cancel if is_customer => {
                let response = message::respond(&request, 200, "customer");
                office.rig.deliver_over(
                    Rig::flow(address(CUSTOMER)),
                    &message::print_response(&response),
                );
            }
            Method::Bye | Method::Cancel => {
                office.respond(page, &message::respond(&request, 200, &format!("p{page}")))
            }
            _ => {}
        }
    }
}
