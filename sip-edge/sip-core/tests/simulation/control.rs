//! Verbs on a running call: each in every state, what becomes of the third party, and how the
//! parties stand after it.

use crate::rig::{
    AGENT, AGENT_MEDIA, CUSTOMER, CUSTOMER_MEDIA, Rig, SUPERVISOR, THIRD, THIRD_MEDIA,
};
use crate::session::{self, address, recorded};
use crate::talk::{State, Talk, add, digits, remove, supervise};
use call_words::{
    CallStatus, HangupBy, Joining, MilestoneKind, RecordingState, RefusalCode, SupervisorRole,
};
use media_core::relay::Forward;
use sip_core::command::PlaceCall;
use sip_core::control::Verb;
use sip_core::message::Method;
use sip_core::outcome::LegName;
use std::time::Duration;

const STATES: [State; 10] = [
    State::Before,
    State::Two,
    State::Held,
    State::ConsultRinging,
    State::Consulting,
    State::Swapped,
    State::JoinRinging,
    State::ThreeWay,
    State::TransferRinging,
    State::AgentGone,
];

/// The answer to a verb in each of `STATES`.
#[track_caller]
fn check(verb: &Verb, expected: [&str; 10]) {
    for (state, expected) in STATES.into_iter().zip(expected) {
        let mut talk = Talk::at(state);
        let before = talk.rig.told.len();
        let word = match talk.ask(verb.clone()) {
            Ok(()) => "ok",
            Err(refusal) => refusal.as_str(),
        };
        assert_eq!(word, expected, "{verb:?} {state:?}");
        if word != "ok" {
            assert_eq!(
                talk.rig.told.len(),
                before,
                "a refused verb changes nothing: {verb:?} {state:?}"
            );
        }
        // Whatever was asked, the call can be ended, and nothing is left of it.
        talk.settle();
        talk.rig.hang_up();
        talk.settle();
        talk.rig.advance(Duration::from_secs(70));
        assert_eq!(talk.rig.edge.held(), Default::default(), "{verb:?} {state:?}");
        assert_eq!(talk.rig.ended.len(), 1, "{verb:?} {state:?}");
    }
}

#[test]
fn each_verb_in_each_state() {
    let talking = "not_talking";
    let gone = "agent_gone";
    // Before, Two, Held, ConsultRinging, Consulting, Swapped, JoinRinging, ThreeWay,
    // TransferRinging, AgentGone
    check(&Verb::Hold, [talking, "ok", "on_hold", "ok", "ok", "ok", "ok", "ok", "ok", gone]);
    let none = "not_on_hold";
    check(&Verb::Resume, [talking, none, "ok", none, none, none, none, none, none, gone]);
    let mute = |party: &str| Verb::Mute { party: party.into() };
    check(&mute("agent"), [talking, "ok", "ok", "ok", "ok", "ok", "ok", "ok", "ok", gone]);
    check(&mute("customer"), [talking, "ok", "ok", "ok", "ok", "ok", "ok", "ok", "ok", "ok"]);
    let unknown = "unknown_party";
    check(&mute("third"), [talking, unknown, unknown, "ok", "ok", "ok", "ok", "ok", "ok", "ok"]);
    let ringing = "not_answered";
    check(&digits("agent", "12#"), ["ok", "ok", "ok", "ok", "ok", "ok", "ok", "ok", "ok", gone]);
    check(
        &digits("customer", "1,2"),
        [talking, "ok", "ok", "ok", "ok", "ok", "ok", "ok", "ok", "ok"],
    );
    check(
        &digits("third", "1"),
        [unknown, unknown, unknown, ringing, "ok", "ok", ringing, "ok", ringing, "ok"],
    );
    check(&digits("customer", "12x"), ["no_digits"; 10]);
    let busy = "transfer_running";
    for joining in [Joining::Consult, Joining::Join, Joining::Transfer] {
        check(
            &add("other", joining),
            [talking, "ok", "ok", busy, busy, busy, busy, "ok", busy, gone],
        );
    }
    let no = "no_consultation";
    check(&Verb::Merge, [talking, no, no, ringing, "ok", "ok", no, no, no, gone]);
    check(&Verb::Swap, [talking, no, no, ringing, "ok", "ok", no, no, no, gone]);
    check(&Verb::Complete, [talking, no, no, ringing, "ok", "ok", ringing, "ok", ringing, gone]);
    check(&Verb::Cancel, [talking, no, no, "ok", "ok", "ok", "ok", no, "ok", gone]);
    check(&remove("agent"), [talking, "ok", "ok", "ok", "ok", "ok", "ok", "ok", "ok", gone]);
    check(&remove("customer"), [talking, "ok", "ok", "ok", "ok", "ok", "ok", "ok", "ok", "ok"]);
    check(&remove("third"), [talking, unknown, unknown, "ok", "ok", "ok", "ok", "ok", "ok", "ok"]);
    check(
        &supervise("boss", SupervisorRole::Listen),
        [talking, "ok", "ok", "ok", "ok", "ok", "ok", "ok", "ok", "ok"],
    );
    let role = Verb::SetRole { party: "third".into(), role: SupervisorRole::Barge };
    check(
        &role,
        [talking, unknown, unknown, unknown, unknown, unknown, unknown, unknown, unknown, unknown],
    );
    let record = Verb::StartRecording { file_name: "late.wav".into() };
    check(&record, [talking, "ok", "ok", "ok", "ok", "ok", "ok", "ok", "ok", "ok"]);
    let off = "not_recording";
    check(&Verb::PauseRecording, [talking, off, off, off, off, off, off, off, off, off]);
    check(&Verb::ResumeRecording, [talking, off, off, off, off, off, off, off, off, off]);
}

#[test]
fn an_unknown_or_ended_call_is_refused() {
    let mut talk = Talk::bridged();
    let now = talk.rig.now;
    assert_eq!(
        talk.rig.edge.control(now, &"call-2".into(), "1", Verb::Hold),
        Err(RefusalCode::UnknownCall)
    );
    talk.rig.hang_up();
    assert_eq!(talk.ask(Verb::Hold), Err(RefusalCode::UnknownCall));
}

#[test]
fn a_repeated_request_gets_its_first_answer() {
    let mut talk = Talk::bridged();
    assert_eq!(talk.ask_as("a", Verb::Hold), Ok(()));
    assert_eq!(talk.ask_as("a", Verb::Hold), Ok(()));
    assert_eq!(talk.ask_as("b", Verb::Hold), Err(RefusalCode::OnHold));
    assert_eq!(talk.ask_as("c", Verb::Resume), Ok(()));
    assert_eq!(talk.ask_as("b", Verb::Hold), Err(RefusalCode::OnHold));
    let held =
        talk.rig.milestones.iter().filter(|(kind, _)| *kind == MilestoneKind::CustomerHeld).count();
    assert_eq!(held, 1);
    // Only the last 32 are kept.
    for id in 0..32 {
        assert_eq!(talk.ask_as(&format!("n{id}"), Verb::Unmute { party: "agent".into() }), Ok(()));
    }
    assert_eq!(talk.ask_as("a", Verb::Hold), Ok(()));
    assert_eq!(talk.parties(), "agent:talking customer:hold");
}

#[test]
fn a_consultation_from_end_to_end() {
    let mut talk = Talk::bridged();
    let invite = talk.ring(Joining::Consult);
    assert_eq!(talk.parties(), "agent:consulting customer:hold third:ringing");
    // What the call talks comes first, so that nothing needs transcoding.
    assert_eq!(session::formats_of(&invite.body), [0, 8, 101]);
    talk.rig.reply_with_sdp(&invite, 200, "third", THIRD_MEDIA);
    talk.rig.expect_request(Method::Ack, THIRD);
    talk.rig.expect_silence();
    assert_eq!(talk.parties(), "agent:consulting customer:hold third:consulting");
    talk.done(Verb::Swap);
    talk.settle();
    assert_eq!(talk.parties(), "agent:talking customer:talking third:hold");
    talk.done(Verb::Swap);
    talk.settle();
    assert_eq!(talk.parties(), "agent:consulting customer:hold third:consulting");
    talk.done(Verb::Merge);
    talk.settle();
    assert_eq!(talk.parties(), "agent:talking customer:talking third:talking");
    talk.done(Verb::Complete);
    talk.take_reinvites();
    let bye = talk.rig.expect_request(Method::Bye, AGENT);
    talk.rig.reply(&bye, 200, "agent");
    assert_eq!(talk.parties(), "agent:completed customer:talking third:talking");
    // The agent's own BYE that crosses ours changes nothing.
    talk.rig.request(&mut talk.agent, Method::Bye, None);
    talk.rig.expect_response(200);
    assert!(talk.rig.ended.is_empty());
    talk.rig.advance(Duration::from_secs(9));
    let mut third = talk.third.take().unwrap();
    talk.rig.request(&mut third, Method::Bye, None);
    talk.rig.expect_response(200);
    talk.rig.expect_request(Method::Bye, CUSTOMER);
    let ended = talk.rig.ended();
    assert_eq!(
        (ended.status, ended.reason, ended.hangup_by),
        (CallStatus::Answer, None, Some(HangupBy::Participant))
    );
    assert_eq!(ended.duration_s, 9);
    assert!(ended.agent_media.is_some() && ended.customer_media.is_some());
    let other = &ended.others[0];
    assert_eq!(
        (other.party.as_str(), other.reason.as_str(), other.answered_at.is_some()),
        ("third", "hung_up", true)
    );
    assert_eq!(
        ended
            .attempts
            .iter()
            .filter(|attempt| matches!(attempt.leg, LegName::Participant(_)))
            .count(),
        1
    );
    talk.rig.expect_nothing_held();
}

#[test]
fn a_blind_transfer_ends_the_agents_leg_at_the_answer() {
    let mut talk = Talk::bridged();
    let invite = talk.ring(Joining::Transfer);
    assert_eq!(talk.parties(), "agent:consulting customer:talking third:ringing");
    talk.rig.reply_with_sdp(&invite, 200, "third", THIRD_MEDIA);
    talk.rig.expect_request(Method::Ack, THIRD);
    talk.rig.expect_request(Method::Bye, AGENT);
    assert_eq!(talk.parties(), "agent:completed customer:talking third:talking");
    // The two are relayed to each other.
    let port = session::media_of(&talk.third.as_ref().unwrap().invite.body).port();
    assert_ne!(port, 0);
    let customer_invite = talk.customer.invite.clone();
    talk.rig.rtp(CUSTOMER_MEDIA, &customer_invite, 1);
    let forward = talk.rig.rtp(CUSTOMER_MEDIA, &customer_invite, 2);
    assert!(
        matches!(forward, Forward::To { remote, .. } if remote == address(THIRD_MEDIA)),
        "{forward:?}"
    );
    talk.rig.request(&mut talk.customer, Method::Bye, None);
    talk.rig.expect_response(200);
    talk.rig.expect_request(Method::Bye, THIRD);
    assert_eq!(talk.rig.ended().hangup_by, Some(HangupBy::Customer));
    talk.settle();
    talk.rig.expect_nothing_held();
}

/// A third party that fails brings the agent back at once, and says why.
#[track_caller]
fn check_failure(fail: impl Fn(&mut Talk), reason: &str, code: Option<u16>) {
    for joining in [Joining::Consult, Joining::Join, Joining::Transfer] {
        let mut talk = Talk::bridged();
        talk.ring(joining);
        fail(&mut talk);
        assert_eq!(
            talk.parties(),
            format!("agent:talking customer:talking third:{reason}"),
            "{joining:?}"
        );
        let left = talk
            .rig
            .told
            .iter()
            .rfind(|milestone| milestone.kind == MilestoneKind::ParticipantLeft)
            .unwrap();
        assert_eq!(
            (left.detail.as_deref(), left.party.as_deref(), left.sip_code),
            (Some(reason), Some("third"), code)
        );
        assert_eq!(left.at, talk.rig.now);
        // The two hear each other, and another may be asked.
        let invite = talk.customer.invite.clone();
        talk.settle();
        talk.rig.rtp(CUSTOMER_MEDIA, &invite, 1);
        let forward = talk.rig.rtp(CUSTOMER_MEDIA, &invite, 2);
        assert!(
            matches!(forward, Forward::To { remote, .. } if remote == address(AGENT_MEDIA)),
            "{joining:?} {forward:?}"
        );
        assert_eq!(talk.ask(add("next", joining)), Ok(()));
        talk.settle();
        talk.rig.hang_up();
        assert_eq!(talk.rig.ended().others.len(), 2);
        assert_eq!(talk.rig.ended().others[0].sip_code, code);
        talk.settle();
        talk.rig.advance(Duration::from_secs(70));
        assert_eq!(talk.rig.edge.held(), Default::default());
    }
}

#[test]
fn each_failure_of_the_third_party() {
    let reject = |code: u16| {
        move |talk: &mut Talk| {
            let invite = talk.third.as_ref().unwrap().invite.clone();
            talk.rig.reply(&invite, code, "third");
        }
    };
    check_failure(reject(486), "busy", Some(486));
    check_failure(reject(603), "declined", Some(603));
    check_failure(reject(480), "unreachable", Some(480));
    check_failure(reject(404), "invalid_number", Some(404));
    check_failure(reject(500), "trunk_failed", Some(500));
    check_failure(reject(403), "trunk_rejected", Some(403));
    check_failure(reject(488), "media", Some(488));
    check_failure(|talk| talk.rig.advance(Duration::from_secs(30)), "no_answer", None);
    check_failure(|talk| talk.done(Verb::Cancel), "canceled", None);
    check_failure(|talk| talk.done(remove("third")), "removed", None);
    check_failure(
        |talk| {
            let invite = talk.third.as_ref().unwrap().invite.clone();
            let g729 = session::sdp(address(THIRD_MEDIA), 18, "sendrecv");
            talk.rig.reply_with_body(&invite, 200, "third", &g729);
        },
        "media",
        None,
    );
}

#[test]
fn a_consulted_party_that_hangs_up_brings_the_agent_back() {
    let mut talk = Talk::at(State::Consulting);
    let mut third = talk.third.take().unwrap();
    talk.rig.request(&mut third, Method::Bye, None);
    talk.rig.expect_response(200);
    assert_eq!(talk.parties(), "agent:talking customer:talking third:hung_up");
    // An explicit hold stays.
    let mut talk = Talk::at(State::Consulting);
    talk.done(Verb::Hold);
    talk.done(Verb::Cancel);
    assert_eq!(talk.parties(), "agent:talking customer:hold third:canceled");
}

#[test]
fn whoever_ends_ends_the_call() {
    for (state, is_agent, by) in [
        (State::ThreeWay, true, HangupBy::Agent),
        (State::ThreeWay, false, HangupBy::Customer),
        (State::Consulting, true, HangupBy::Agent),
        (State::Consulting, false, HangupBy::Customer),
        (State::TransferRinging, true, HangupBy::Agent),
        (State::JoinRinging, false, HangupBy::Customer),
        (State::AgentGone, false, HangupBy::Customer),
    ] {
        let mut talk = Talk::at(state);
        talk.supervise(SupervisorRole::Listen);
        let who = if is_agent { &mut talk.agent } else { &mut talk.customer };
        talk.rig.request(who, Method::Bye, None);
        assert_eq!(talk.rig.ended().hangup_by, Some(by), "{state:?}");
        talk.settle();
        talk.rig.expect_nothing_held();
    }
}

#[test]
fn a_third_party_without_media_leaves() {
    let call = PlaceCall { no_media: Duration::from_secs(20), ..Rig::plain_call() };
    let mut talk = Talk::bridged_as(call);
    talk.answer(Joining::Join);
    let (agent, customer) = (talk.agent.invite.clone(), talk.customer.invite.clone());
    for sequence in 1..=21 {
        talk.rig.rtp(AGENT_MEDIA, &agent, sequence);
        talk.rig.rtp(CUSTOMER_MEDIA, &customer, sequence);
        talk.rig.advance(Duration::from_secs(1));
    }
    assert_eq!(talk.parties(), "agent:talking customer:talking third:no_media");
    assert!(talk.rig.ended.is_empty());
}

#[test]
fn a_held_trunk_is_not_missed() {
    let call = PlaceCall { no_media: Duration::from_secs(20), ..Rig::plain_call() };
    let mut talk = Talk::bridged_as(call);
    talk.done(Verb::Hold);
    talk.settle();
    let agent = talk.agent.invite.clone();
    for sequence in 1..=60 {
        talk.rig.rtp(AGENT_MEDIA, &agent, sequence);
        talk.rig.advance(Duration::from_secs(1));
    }
    assert!(talk.rig.ended.is_empty());
    talk.done(Verb::Resume);
    talk.settle();
    for sequence in 61..=82 {
        talk.rig.rtp(AGENT_MEDIA, &agent, sequence);
        talk.rig.advance(Duration::from_secs(1));
    }
    assert_eq!(talk.rig.ended().failed_leg, Some(LegName::Customer));
}

#[test]
fn a_muted_party_is_heard_by_nobody() {
    let mut talk = Talk::bridged();
    let invite = talk.customer.invite.clone();
    let hears = |talk: &mut Talk, sequence| {
        talk.rig.rtp(CUSTOMER_MEDIA, &invite, sequence);
        matches!(talk.rig.rtp(CUSTOMER_MEDIA, &invite, sequence + 1), Forward::To { .. })
    };
    assert!(hears(&mut talk, 1));
    talk.done(Verb::Mute { party: "customer".into() });
    assert_eq!(talk.parties(), "agent:talking customer:talking!");
    assert!(!hears(&mut talk, 3));
    talk.done(Verb::Unmute { party: "customer".into() });
    assert!(hears(&mut talk, 5));
    talk.done(Verb::Hold);
    assert!(!hears(&mut talk, 7));
}

#[test]
fn supervisors_come_and_go() {
    let mut talk = Talk::bridged();
    talk.supervise(SupervisorRole::Whisper);
    assert_eq!(talk.parties(), "agent:talking customer:talking boss:talking");
    for role in [SupervisorRole::Barge, SupervisorRole::Listen, SupervisorRole::Listen] {
        talk.done(Verb::SetRole { party: "boss".into(), role });
    }
    let switched = talk
        .rig
        .milestones
        .iter()
        .filter(|(kind, _)| *kind == MilestoneKind::SupervisorRole)
        .count();
    assert_eq!(switched, 2, "the third asked for what was so");
    let mut boss = talk.supervisor.take().unwrap();
    talk.rig.request(&mut boss, Method::Bye, None);
    talk.rig.expect_response(200);
    assert_eq!(talk.parties(), "agent:talking customer:talking boss:hung_up");
    talk.done(supervise("second", SupervisorRole::Listen));
    let invite = talk.rig.expect_request(Method::Invite, SUPERVISOR);
    talk.rig.reply(&invite, 486, "boss");
    assert_eq!(talk.parties(), "agent:talking customer:talking boss:hung_up second:busy");
    assert!(talk.rig.ended.is_empty());
    assert_eq!(
        talk.ask(supervise("boss", SupervisorRole::Listen)),
        Err(RefusalCode::UnknownParty),
        "the name is taken"
    );
}

#[test]
fn a_call_has_eight_parties_at_most() {
    let mut talk = Talk::bridged();
    for number in 0..6 {
        talk.done(supervise(&format!("s{number}"), SupervisorRole::Listen));
    }
    assert_eq!(talk.ask(supervise("s6", SupervisorRole::Listen)), Err(RefusalCode::TooManyParties));
    assert_eq!(talk.ask(add("third", Joining::Join)), Err(RefusalCode::TooManyParties));
    talk.done(remove("s0"));
    talk.done(add("third", Joining::Join));
}

#[test]
fn a_recording_is_paused_and_leaves_no_trace_of_digits() {
    let call = PlaceCall { recording: Some("a.wav".into()), ..Rig::plain_call() };
    let mut talk = Talk::bridged_as(call);
    assert_eq!(talk.conversation().recording, RecordingState::Running);
    assert_eq!(
        talk.ask(Verb::StartRecording { file_name: "b.wav".into() }),
        Err(RefusalCode::AlreadyRecording)
    );
    talk.done(digits("customer", "1"));
    talk.rig.advance(Duration::from_secs(3));
    talk.done(Verb::PauseRecording);
    assert_eq!(talk.conversation().recording, RecordingState::Paused);
    let told = talk.rig.told.len();
    talk.done(digits("customer", "4111"));
    assert_eq!(talk.rig.told.len(), told);
    talk.rig.advance(Duration::from_secs(4));
    talk.done(Verb::ResumeRecording);
    talk.rig.advance(Duration::from_secs(5));
    talk.done(Verb::PauseRecording);
    talk.rig.advance(Duration::from_secs(1));
    talk.rig.hang_up();
    let recording = talk.rig.opened_recordings[0];
    talk.rig.edge.recording_finished(talk.rig.now, recording, recorded(Duration::from_secs(13)));
    talk.rig.drain();
    let result = talk.rig.ended().recording.clone().unwrap();
    let pauses: Vec<(u64, u64)> =
        result.pauses.iter().map(|pause| (pause.from.as_secs(), pause.to.as_secs())).collect();
    assert_eq!(pauses, [(3, 7), (12, 13)]);
    assert!(talk.rig.told.iter().all(|milestone| milestone.detail.as_deref() != Some("4111")));
}

#[test]
fn a_recording_can_start_late() {
    let mut talk = Talk::at(State::ThreeWay);
    talk.done(Verb::StartRecording { file_name: "late.wav".into() });
    assert_eq!(talk.rig.opened_recordings.len(), 1);
    assert_eq!(talk.conversation().recording, RecordingState::Running);
    talk.rig.hang_up();
    let recording = talk.rig.opened_recordings[0];
    talk.rig.edge.recording_finished(talk.rig.now, recording, recorded(Duration::ZERO));
    talk.rig.drain();
    assert_eq!(talk.rig.ended().recording.as_ref().unwrap().file_name, "late.wav");
}
