//! Verbs on running calls: what the shard is asked, and what the answer becomes.

use crate::rig::{Rig, conversation, hello, told, two_talk};
use crate::softphone::{AGENT, CUSTOMER, Page};
use call_words::{CallStatus, PartyState};
use control_wire::{Event, FromEdge, RecordingResult, Speaking, Verb};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::join;

fn on_hold() -> control_wire::Conversation {
    conversation(&[("agent", PartyState::Talking), ("customer", PartyState::OnHold)])
}

// S19
#[tokio::test]
async fn each_verb_reaches_the_shard_and_answers_with_the_call() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    let call_id = rig.talk(&mut shard).await;
    let party = |party: &str| party.to_owned();
    let verbs = [
        ("hold", None, Verb::Hold, "customer_held"),
        ("resume", None, Verb::Resume, "customer_resumed"),
        ("mute", None, Verb::Mute { party: party("agent") }, "muted"),
        (
            "unmute",
            Some(json!({ "party": "customer" })),
            Verb::Unmute { party: party("customer") },
            "unmuted",
        ),
        (
            "dtmf",
            Some(json!({ "digits": "1,b#" })),
            Verb::SendDigits { party: party("customer"), digits: "1,B#".into() },
            "digits_sent",
        ),
        ("merge", None, Verb::Merge, "merged"),
        ("swap", None, Verb::Swap, "swapped"),
        ("complete", None, Verb::Complete, "agent_completed"),
        ("cancel", None, Verb::Cancel, "participant_left"),
        ("recording/pause", None, Verb::PauseRecording, "recording_paused"),
        ("recording/resume", None, Verb::ResumeRecording, "recording_resumed"),
    ];
    let mut ids = Vec::new();
    for (sequence, (path, body, verb, kind)) in (5..).zip(verbs) {
        let path = format!("/calls/{call_id}/{path}");
        let (answer, control) =
            join!(rig.post(&path, body), shard.obey(kind, sequence, Some("customer"), on_hold()));
        assert_eq!((control.call_id.as_str(), &control.verb), (call_id.as_str(), &verb));
        let view = answer.expect(200).json();
        assert_eq!(
            view["conversation"]["parties"][1]["state"], "on_hold",
            "{path}: the answer shows the effect"
        );
        assert_eq!(view, rig.call(&call_id).await);
        ids.push(control.control_id);
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 11, "each request is told apart");
    rig.stop().await;
}

#[tokio::test]
async fn the_conversation_is_shown_from_the_bridge_to_the_end() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    let (call_id, place) = rig.place(&mut shard).await;
    assert_eq!(place.recording_layout, call_words::RecordingLayout::Stereo);
    assert_eq!((place.hold_audio, place.accepts_refer), (None, false));
    let call = rig.call(&call_id).await;
    assert_eq!(
        (&call["conversation"], &call["participants"], &call["recording_pauses"]),
        (&Value::Null, &json!([]), &json!([]))
    );
    shard.bridge(&call_id).await;
    let agent = json!({
        "party": "agent", "role": "agent", "state": "talking", "muted": false,
        "number": "+919876543211", "crm_username": null,
        "joining": null, "supervisor_role": null, "reason": null,
    });
    let shown = rig.call(&call_id).await["conversation"].clone();
    assert_eq!((&shown["parties"][0], &shown["recording"]), (&agent, &json!("running")));
    assert_eq!(shown["parties"][1]["number"], "+919876543210");
    shard.end(&call_id, CallStatus::Answer).await;
    assert_eq!(rig.call(&call_id).await["conversation"], Value::Null);
    rig.stop().await;
}

#[tokio::test]
async fn refusals_of_the_edge_are_told_by_their_code() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    let call_id = rig.talk(&mut shard).await;
    let hold = format!("/calls/{call_id}/hold");
    for (code, status, shown) in [
        ("not_talking", 409, "not_talking"),
        ("on_hold", 409, "on_hold"),
        ("transfer_running", 409, "transfer_running"),
        ("unknown_party", 404, "unknown_party"),
        ("no_capacity", 503, "no_capacity"),
        ("unknown_call", 409, "ended"),
    ] {
        let (answer, _) = join!(rig.post(&hold, None), shard.refuse(code));
        answer.expect_problem(status, shown);
        assert_eq!(answer.header("retry-after").is_empty(), status != 503, "{code}");
    }
    rig.stop().await;
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_before_the_edge_hears_of_it() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    let call_id = rig.talk(&mut shard).await;
    let path = |verb: &str| format!("/calls/{call_id}/{verb}");
    let long = "1".repeat(65);
    for digits in ["", "12x", "१", "1 2", long.as_str()] {
        rig.post(&path("dtmf"), Some(json!({ "digits": digits })))
            .await
            .expect_problem(422, "invalid_digits");
    }
    rig.post(&path("dtmf"), Some(json!({}))).await.expect_problem(400, "malformed_json");
    for party in ["", "a b", "x/y", &"x".repeat(65)] {
        rig.post(&path("mute"), Some(json!({ "party": party })))
            .await
            .expect_problem(404, "unknown_party");
    }
    rig.post(&path("mute"), Some(json!({ "party": 7 })))
        .await
        .expect_problem(400, "malformed_json");
    rig.post(&path("mute"), Some(json!([]))).await.expect_problem(400, "malformed_json");
    rig.post(&path("dtmf"), None).await.expect_problem(415, "unsupported_media_type");
    let other = rig
        .add_key("other", storage::KeyClass::Server, |key| key.account_id = Some("other".into()));
    for verb in ["hold", "recording/start", "complete"] {
        rig.request(Method::POST, &path(verb), |request| request.bearer_auth(&other))
            .await
            .expect_problem(404, "not_found");
        rig.post(&format!("/calls/x/{verb}"), None).await.expect_problem(404, "not_found");
        rig.request(Method::POST, &path(verb), |request| request)
            .await
            .expect_problem(401, "unauthorized");
    }
    shard.end(&call_id, CallStatus::Answer).await;
    rig.post(&path("hold"), None).await.expect_problem(409, "ended");
    rig.post(&path("recording/start"), None).await.expect_problem(409, "ended");
    rig.stop().await;
}

#[tokio::test]
async fn a_verb_is_about_now() {
    let rig = Rig::start_with(|config| config.link.edge_lost_after_s = 30).await;
    let mut shard = rig.shard(1, &[]).await;
    let call_id = rig.talk(&mut shard).await;
    let hold = format!("/calls/{call_id}/hold");
    // No answer: the client is told so, and nothing is said again later.
    let (answer, _) = join!(rig.post(&hold, None), shard.expect_verb());
    answer.expect_problem(504, "no_answer_from_edge");
    // Away: refused at once, and never queued.
    drop(shard);
    let lost = async {
        while rig.app.link.reaches(&call_id.as_str().into()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), lost).await.expect("the shard's end is seen");
    rig.post(&hold, None).await.expect_problem(503, "no_edge");
    let mut shard = rig.greet(hello(1, &[&call_id])).await;
    rig.send(Method::DELETE, &format!("/calls/{call_id}"), None).await.expect(204);
    assert_eq!(shard.expect_hang_up().await, call_id, "nothing else was waiting");
    rig.stop().await;
}

#[tokio::test]
async fn a_verb_whose_answer_was_lost_is_repeated_under_its_id() {
    let rig = Rig::start_with(|config| config.link.edge_lost_after_s = 30).await;
    let mut shard = rig.shard(1, &[]).await;
    let call_id = rig.talk(&mut shard).await;
    let hold = format!("/calls/{call_id}/hold");
    let reconnect = async {
        let (_, first) = shard.expect_verb().await;
        drop(shard);
        let mut shard = rig.greet(hello(1, &[&call_id])).await;
        let again = shard.obey("customer_held", 5, None, on_hold()).await;
        assert_eq!(again, first);
        shard
    };
    let (answer, mut shard) = join!(rig.post(&hold, None), reconnect);
    assert_eq!(answer.expect(200).json()["conversation"]["parties"][1]["state"], "on_hold");
    // The call's end answers whoever still waits.
    let end = async {
        shard.expect_verb().await;
        shard.end(&call_id, CallStatus::Answer).await;
    };
    let (answer, ()) = join!(rig.post(&hold, None), end);
    answer.expect_problem(409, "ended");
    rig.stop().await;
}

#[tokio::test]
async fn few_verbs_of_a_call_wait_at_once() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    let call_id = rig.talk(&mut shard).await;
    let hold = format!("/calls/{call_id}/hold");
    let waiting = futures_util::future::join_all((0..8).map(|_| rig.post(&hold, None)));
    let beyond = async {
        let mut ids = Vec::new();
        for _ in 0..8 {
            ids.push(shard.expect_verb().await.0);
        }
        let refused = rig.post(&hold, None).await;
        assert!(!refused.expect_problem(503, "busy").header("retry-after").is_empty());
        for command_id in ids {
            shard.write(&FromEdge::Ack { command_id }).await;
        }
    };
    let (answers, ()) = join!(waiting, beyond);
    for answer in answers {
        answer.expect(200);
    }
    // Answered verbs make room.
    let (answer, _) =
        join!(rig.post(&hold, None), shard.obey("customer_held", 5, Some("customer"), on_hold()));
    answer.expect(200);
    rig.stop().await;
}

// S20: the name of a recording is durable before the edge hears of it, and is no link before
// something was recorded
#[tokio::test]
async fn a_recording_starts_in_the_middle() {
    let rig = Rig::start().await;
    rig.change_account(|account| account.record_by_default = false);
    let mut shard = rig.shard(1, &[]).await;
    let (call_id, place) = rig.place(&mut shard).await;
    assert_eq!(place.recording, None);
    shard.bridge(&call_id).await;
    let start = format!("/calls/{call_id}/recording/start");
    let (answer, refused) = join!(rig.post(&start, None), shard.refuse("no_capacity"));
    answer.expect_problem(503, "no_capacity");
    let Verb::StartRecording { file_name } = refused.verb else { panic!("{refused:?}") };
    assert_eq!(
        rig.app
            .records
            .blocking()
            .call(&call_id.as_str().into())
            .unwrap()
            .unwrap()
            .recording_file
            .as_ref(),
        Some(&file_name)
    );
    let (answer, control) =
        join!(rig.post(&start, None), shard.obey("recording_started", 5, None, two_talk()));
    let view = answer.expect(200).json();
    assert_eq!((&view["record"], view.get("recording_url")), (&json!(true), None));
    assert_eq!(
        control.verb,
        Verb::StartRecording { file_name: file_name.clone() },
        "the name that it got first"
    );
    let mut end = crate::rig::ended(&call_id, CallStatus::Answer);
    let pauses = vec![control_wire::Pause { from_ms: 300, to_ms: 900 }];
    end.recording =
        Some(RecordingResult { file_name, duration_ms: 2_000, file_len: 64_044, pauses });
    shard.tell(Event::Ended(Box::new(end))).await;
    let pauses = json!([{ "from_ms": 300, "to_ms": 900 }]);
    let view = rig.call(&call_id).await;
    assert_eq!(view["recording_pauses"], pauses);
    assert!(view["recording_url"].is_string());
    let body: Value = serde_json::from_str(
        &rig.app.records.blocking().callback_job(&call_id).unwrap().unwrap().body,
    )
    .unwrap();
    assert_eq!((&body["recording_pauses"], &body["participants"]), (&pauses, &json!([])));
    rig.stop().await;
}

// A restart in between leaves no link to what was never recorded.
#[tokio::test]
async fn a_recording_that_never_started_leaves_no_link() {
    let rig = Rig::start().await;
    rig.change_account(|account| account.record_by_default = false);
    let mut shard = rig.shard(1, &[]).await;
    let call_id = rig.talk(&mut shard).await;
    rig.app
        .records
        .blocking()
        .reserve_recording(&call_id.as_str().into(), &"crm_0123456789012345678901.wav".into())
        .unwrap();
    drop(shard);
    let rig = rig.restart().await;
    let call = rig.ended_call(&call_id).await;
    assert_eq!((&call["reason"], call.get("recording_url")), (&json!("edge_restarted"), None));
    rig.stop().await;
}

#[tokio::test]
async fn the_page_has_the_same_buttons() {
    let rig = Rig::start().await;
    let mut shard = rig.softphone_shard(&[], &[]).await;
    let page = Page::online(&rig, &mut shard, AGENT, CUSTOMER).await;
    let press = |button: Value| page.send(&rig, Method::POST, "call/control", Some(button));
    press(json!({ "verb": "hold" })).await.expect_problem(409, "ended");
    let (call_id, _) = page.place(&rig, &mut shard).await;
    shard.bridge(&call_id).await;
    let buttons = [
        (json!({ "verb": "hold" }), Verb::Hold),
        (json!({ "verb": "resume" }), Verb::Resume),
        (json!({ "verb": "merge" }), Verb::Merge),
        (json!({ "verb": "swap" }), Verb::Swap),
        (json!({ "verb": "complete" }), Verb::Complete),
        (json!({ "verb": "cancel" }), Verb::Cancel),
        (json!({ "verb": "mute" }), Verb::Mute { party: "agent".into() }),
        (
            json!({ "verb": "unmute", "party": "customer" }),
            Verb::Unmute { party: "customer".into() },
        ),
        (
            json!({ "verb": "dtmf", "digits": "5" }),
            Verb::SendDigits { party: "customer".into(), digits: "5".into() },
        ),
        (
            json!({ "verb": "remove", "party": "customer" }),
            Verb::Remove { party: "customer".into() },
        ),
        (
            json!({ "verb": "remove", "party": "supervisor-1" }),
            Verb::Remove { party: "supervisor-1".into() },
        ),
        (json!({ "verb": "record", "action": "pause" }), Verb::PauseRecording),
        (json!({ "verb": "record", "action": "resume" }), Verb::ResumeRecording),
    ];
    for (sequence, (button, verb)) in (5..).zip(buttons) {
        let (answer, control) =
            join!(press(button.clone()), shard.obey("step", sequence, None, on_hold()));
        assert_eq!(control.verb, verb);
        let view = answer.expect(200).json();
        assert_eq!(view["conversation"]["parties"][0]["crm_username"], AGENT, "{button}");
    }
    for button in [
        json!({ "verb": "add", "to_number": "02227782183", "flow": "join" }),
        json!({ "verb": "transfer", "to_number": "02227782183" }),
    ] {
        let (answer, control) = join!(press(button), shard.refuse("transfer_running"));
        answer.expect_problem(409, "transfer_running");
        assert!(matches!(control.verb, Verb::AddParticipant(_)));
    }
    press(json!({ "verb": "add", "to_number": "112", "flow": "join" }))
        .await
        .expect_problem(422, "invalid_number");
    for wrong in [
        json!({}),
        json!({ "verb": "fly" }),
        json!({ "verb": "record" }),
        json!({ "verb": "add", "to_number": "1" }),
    ] {
        press(wrong).await.expect_problem(400, "malformed_json");
    }
    rig.stop().await;
}

#[tokio::test]
async fn the_page_hears_who_speaks() {
    let rig = Rig::start().await;
    let mut shard = rig.softphone_shard(&[], &[]).await;
    let page = Page::online(&rig, &mut shard, AGENT, CUSTOMER).await;
    let (call_id, _) = page.place(&rig, &mut shard).await;
    shard.bridge(&call_id).await;
    let mut events = page.events(&rig).await;
    assert_eq!(events.state().await, "bridged");
    let speaking = |call_id: &str, party: &str| {
        FromEdge::Speaking(Speaking { call_id: call_id.into(), parties: vec![party.into()] })
    };
    shard.write(&speaking("another", "agent")).await;
    shard.write(&speaking(&call_id, "customer")).await;
    assert_eq!(
        events.named("speaking").await,
        json!({ "call_id": call_id, "parties": ["customer"] })
    );
    shard.tell(Event::Milestone(told(&call_id, 5, "customer_held", None, on_hold()))).await;
    assert_eq!(events.named("call").await["conversation"]["parties"][1]["state"], "on_hold");
    shard.write(&speaking(&call_id, "agent")).await;
    assert_eq!(events.named("speaking").await["parties"], json!(["agent"]));
    rig.stop().await;
}
