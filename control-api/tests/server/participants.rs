//! Third parties, transfers and supervisors: who may be dialled, what the shard is asked, which
//! lines they hold, and what stays of them.

use crate::rig::{Answer, CALLER_ID, Rig, Shard, conversation, ended, guide_call, hello, two_talk};
use crate::softphone::{name, wait_presence};
use call_words::{CallStatus, HangupBy, Joining, LegKind, PartyState, SupervisorRole};
use control_api::call::asked::Asked;
use control_api::call::supervisor::{self, NewSupervisor};
use control_api::call::third_party::{self, NewThird};
use control_api::problem::Problem;
use control_wire::{
    AgentTarget, Control, ControlRefusal, Conversation, Event, FromEdge, NewParticipant,
    OtherParty, Verb,
};
use reqwest::Method;
use serde_json::{Value, json};
use std::pin::{Pin, pin};
use std::task::{Context, Waker};
use storage::{KeyClass, PartyRequest};
use tokio::join;

const THIRD: &str = "022 2778 2183";
const THIRD_E164: &str = "+912227782183";

fn with(party: &str, state: PartyState) -> Conversation {
    conversation(&[
        ("agent", PartyState::Talking),
        ("customer", PartyState::OnHold),
        (party, state),
    ])
}

fn dialled(control: &Control) -> &NewParticipant {
    match &control.verb {
        Verb::AddParticipant(new) => new,
        other => panic!("{other:?}"),
    }
}

/// Dials a third party with the edge's consent: its name.
async fn consult(rig: &Rig, shard: &mut Shard, call_id: &str, sequence: u32) -> String {
    let path = format!("/calls/{call_id}/participants");
    let body = json!({ "to_number": THIRD, "flow": "consult" });
    let dial = async {
        let (command_id, control) = shard.expect_verb().await;
        let party = dialled(&control).party.clone();
        let step = crate::rig::told(
            call_id,
            sequence,
            "participant_added",
            Some(&party),
            with(&party, PartyState::Dialing),
        );
        shard.tell(Event::Milestone(step)).await;
        shard.write(&FromEdge::Ack { command_id }).await;
        party
    };
    let (answer, party) = join!(rig.post(&path, Some(body)), dial);
    assert_eq!(
        answer.expect(201).header("location"),
        format!("/calls/{call_id}/participants/{party}")
    );
    party
}

async fn tell(
    shard: &mut Shard,
    call_id: &str,
    sequence: u32,
    kind: &str,
    party: &str,
    state: PartyState,
) {
    shard
        .tell(Event::Milestone(crate::rig::told(
            call_id,
            sequence,
            kind,
            Some(party),
            with(party, state),
        )))
        .await;
}

fn free_lines(rig: &Rig) -> bool {
    rig.app.notices.trunk_lines.take(&"carrier".into(), 2, std::time::Instant::now()).is_some()
}

// S13
#[tokio::test]
async fn a_third_party_is_dialled_and_told_of_to_the_end() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    let call_id = rig.talk(&mut shard).await;
    let path = format!("/calls/{call_id}/participants");
    let body = json!({ "to_number": THIRD, "flow": "join", "ignored": 1 });
    let (answer, control) = join!(
        rig.post(&path, Some(body)),
        shard.obey(
            "participant_added",
            5,
            Some("participant-1"),
            with("participant-1", PartyState::Dialing)
        )
    );
    let new = dialled(&control);
    assert_eq!((new.party.as_str(), new.joining), ("participant-1", Joining::Join));
    assert_eq!(new.destination.ring_ms, 45_000);
    let route = &new.destination.routes[0];
    assert_eq!((route.request_user.as_str(), route.caller_id.as_str()), (THIRD_E164, CALLER_ID));
    let view = answer.expect(201).json();
    let third = &view["conversation"]["parties"][2];
    assert_eq!(
        (&third["number"], &third["state"], &third["joining"]),
        (&json!(THIRD_E164), &json!("dialing"), &json!("consult"))
    );
    assert!(!free_lines(&rig), "it holds a line of its own");
    tell(&mut shard, &call_id, 6, "participant_joined", "participant-1", PartyState::Talking).await;
    let shown = rig.call(&call_id).await["participants"][0].clone();
    assert!(shown["answered_at"].is_string() && shown["ended_at"].is_null());
    tell(&mut shard, &call_id, 7, "participant_left", "participant-1", PartyState::Left).await;
    assert!(free_lines(&rig), "the line comes back as it leaves");

    let mut end = ended(&call_id, CallStatus::Answer);
    end.hangup_by = Some(HangupBy::Participant);
    end.others = vec![OtherParty {
        party: "participant-1".into(),
        leg: LegKind::Participant,
        answered_at_ms: Some(1_783_072_800_000),
        ended_at_ms: 1_783_072_809_000,
        reason: "hung_up".into(),
        sip_code: Some(200),
    }];
    shard.tell(Event::Ended(Box::new(end))).await;
    let participants = json!([{
        "party": "participant-1", "number": THIRD_E164, "answered_at": "2026-07-03T10:00:00Z",
        "ended_at": "2026-07-03T10:00:09Z",
        "reason": "hung_up", "sip_code": 200,
    }]);
    let call = rig.call(&call_id).await;
    assert_eq!((&call["participants"], &call["hangup_by"]), (&participants, &json!("participant")));
    let body: Value = serde_json::from_str(
        &rig.app.records.blocking().callback_job(&call_id).unwrap().unwrap().body,
    )
    .unwrap();
    assert_eq!(body["participants"], participants);
    rig.stop().await;
}

// A3, within the call: the same key and request name the same party, which is dialled once
#[tokio::test]
async fn a_request_that_is_sent_again_dials_nobody_again() {
    let rig = Rig::start().await;
    let supervising = rig.add_key("lead", KeyClass::Server, |key| key.may_supervise = true);
    let mut shard = rig.shard(1, &[]).await;
    let call_id = rig.talk(&mut shard).await;
    let post = async |path: &str, key: &str, body: Value| {
        let build = |request: reqwest::RequestBuilder| {
            let request = request.bearer_auth(&supervising).header("idempotency-key", key);
            request.header("content-type", "application/json").body(body.to_string())
        };
        rig.request(Method::POST, &format!("/calls/{call_id}/{path}"), build).await
    };
    let join = json!({ "to_number": THIRD, "flow": "join" });
    // Refused: nobody was dialled, and the key is free.
    let (answer, _) =
        join!(post("participants", "k1", join.clone()), shard.refuse("transfer_running"));
    answer.expect_problem(409, "transfer_running");
    let consult = json!({ "to_number": THIRD, "flow": "consult" });
    let dial = shard.obey(
        "participant_added",
        5,
        Some("participant-2"),
        with("participant-2", PartyState::Dialing),
    );
    let (first, _) = join!(post("participants", "k1", consult.clone()), dial);
    let location = first.expect(201).header("location").to_owned();
    assert!(location.ends_with("/participants/participant-2"), "{location}");
    rig.change_account(|account| account.limits.calls_per_second = 0);
    let again = post("participants", "k1", consult.clone()).await;
    assert_eq!(
        (again.expect(200).header("location"), again.json()),
        (location.as_str(), first.json()),
        "not held to any limit"
    );
    for (path, body) in [
        ("participants", join),
        (
            "participants",
            json!({ "to_number": THIRD, "flow": "consult", "from_number": CALLER_ID }),
        ),
        ("transfer", json!({ "to_number": THIRD })),
        ("supervisors", json!({ "role": "listen", "agent_number": "98765 43219" })),
    ] {
        post(path, "k1", body).await.expect_problem(409, "idempotency_clash");
    }
    for key in ["", &"k".repeat(256), "\u{e9}"] {
        post("participants", key, consult.clone()).await.expect_problem(400, "malformed_header");
    }
    // A turn is free at once, not after a millisecond.
    rig.change_account(|account| account.limits.calls_per_second = u32::MAX);
    for (path, body, party) in [
        ("transfer", json!({ "to_number": THIRD }), "participant-3"),
        ("supervisors", json!({ "role": "listen", "agent_number": "98765 43219" }), "supervisor-4"),
    ] {
        let dial =
            shard.obey("participant_added", 6, Some(party), with(party, PartyState::Dialing));
        let (first, _) = join!(post(path, path, body.clone()), dial);
        assert!(first.expect(201).header("location").ends_with(party));
        let again = post(path, path, body).await;
        assert_eq!(again.expect(200).header("location"), first.header("location"));
    }
    // It is kept with the record, over a restart and the call's end.
    drop(shard);
    let rig = rig.restart().await;
    let mut shard = rig.shard(1, &[&call_id]).await;
    let path = format!("/calls/{call_id}/participants");
    let repeat = |request: reqwest::RequestBuilder| {
        let request = request.bearer_auth(&supervising).header("idempotency-key", "k1");
        request.header("content-type", "application/json").body(consult.to_string())
    };
    assert_eq!(
        rig.request(Method::POST, &path, repeat).await.expect(200).header("location"),
        location
    );
    let mut end = ended(&call_id, CallStatus::Answer);
    end.others = vec![OtherParty {
        party: "participant-2".into(),
        leg: LegKind::Participant,
        answered_at_ms: None,
        ended_at_ms: end.ended_at_ms,
        reason: "busy".into(),
        sip_code: Some(486),
    }];
    shard.tell(Event::Ended(Box::new(end))).await;
    let late = rig.request(Method::POST, &path, repeat).await;
    assert_eq!(
        (late.expect(200).header("location"), &late.json()["state"]),
        (location.as_str(), &json!("ended"))
    );
    rig.stop().await;
}

/// A request's outcome: its party or its refusal, and whether it came before.
fn outcome(asked: Result<Asked, Problem>) -> (String, bool) {
    match asked {
        Ok(Asked::Now { party, .. }) => (party, false),
        Ok(Asked::Before { party, .. }) => (party, true),
        Err(problem) => (problem.body.code, true),
    }
}

/// Lets it go on as far as it can.
fn is_waiting(request: &mut (impl Future + Unpin)) -> bool {
    Pin::new(request).poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

// A3: a repeat that comes before the first one's answer waits for it, and has the same outcome
#[tokio::test]
async fn a_request_that_is_sent_again_meanwhile_has_the_first_ones_outcome() {
    let rig = Rig::start().await;
    let mut shard = rig.softphone_shard(&[], &[]).await;
    shard.presence(name(&rig, "agent.018").as_str(), true).await;
    wait_presence(&rig, "agent.018", true).await;
    let call_id = rig.talk(&mut shard).await;
    let call = rig.app.records.blocking().call(&call_id.as_str().into()).unwrap().unwrap();
    let request = |fingerprint: &str| {
        let (idempotency_key, fingerprint) = ("k1".to_owned(), fingerprint.to_owned());
        Some(PartyRequest { idempotency_key, fingerprint })
    };
    let ask = async |what: &'static str| match what {
        "supervise" => {
            let crm_username = Some("agent.018".to_owned());
            let new = NewSupervisor {
                role: SupervisorRole::Listen,
                agent_number: None,
                crm_username,
                request: request(what),
            };
            outcome(supervisor::supervise(&rig.app, &call, new).await)
        }
        _ => {
            let (joining, to_number) = (Joining::Join, Some(THIRD.to_owned()));
            let new = NewThird {
                to_number,
                from_number: None,
                joining,
                named: None,
                request: request(what),
            };
            outcome(third_party::add(&rig.app, &call, new).await)
        }
    };
    let refused = |command_id, code: &str| {
        let refusal = ControlRefusal { code: code.into(), detail: "not now".to_owned() };
        FromEdge::Refused { command_id, refusal }
    };
    for what in ["add", "supervise"] {
        let (mut first, mut same, mut other) =
            (pin!(ask(what)), pin!(ask(what)), pin!(ask("add another with this key")));
        assert!(is_waiting(&mut first) && is_waiting(&mut same) && is_waiting(&mut other));
        let (command_id, _) = shard.expect_verb().await;
        assert!(is_waiting(&mut same));
        shard.write(&refused(command_id, "transfer_running")).await;
        assert_eq!(
            (first.await.0, same.await.0),
            ("transfer_running".to_owned(), "transfer_running".to_owned())
        );
        // The key is free again: the other one is asked for, and the next waits for that.
        let mut next = pin!(ask(what));
        assert!(is_waiting(&mut other) && is_waiting(&mut next));
        let (command_id, _) = shard.expect_verb().await;
        shard.write(&refused(command_id, "not_answered")).await;
        assert_eq!(other.await.0, "not_answered");
        {
            // Its client goes away; it is done to its end all the same.
            let mut gone = Box::pin(ask(what));
            assert!(is_waiting(&mut gone) && is_waiting(&mut next));
        }
        let (command_id, _) = shard.expect_verb().await;
        shard.write(&FromEdge::Ack { command_id }).await;
        let (party, is_repeat) = next.await;
        assert!(
            is_repeat
                && rig
                    .app
                    .records
                    .blocking()
                    .call(&call_id.as_str().into())
                    .unwrap()
                    .unwrap()
                    .other(&party)
                    .is_some(),
            "{party}"
        );
        assert_eq!(ask("add another with this key").await.0, "idempotency_clash");
        rig.app.records.blocking().drop_party(&call_id.as_str().into(), &party).unwrap();
    }
    let (first, same, _) = join!(ask("add"), ask("add"), shard.expect_verb());
    assert_eq!((first.0.as_str(), same.0.as_str()), ("no_answer_from_edge", "no_answer_from_edge"));
    rig.stop().await;
}

// A8, S08, S44: who may be dialled is as for calls
#[tokio::test]
async fn what_may_not_be_dialled_is_refused_before_the_edge_hears_of_it() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    let call_id = rig.talk(&mut shard).await;
    let (participants, transfer) =
        (format!("/calls/{call_id}/participants"), format!("/calls/{call_id}/transfer"));
    for number in ["112", "100", "12345", "+44 70 1234 5678", "", "x", "98765 43210 ext 1"] {
        let body = json!({ "to_number": number, "flow": "consult" });
        rig.post(&participants, Some(body)).await.expect_problem(422, "invalid_number");
        rig.post(&transfer, Some(json!({ "to_number": number })))
            .await
            .expect_problem(422, "invalid_number");
    }
    rig.post(&transfer, Some(json!({}))).await.expect_problem(422, "missing_field");
    // B09: abroad, whoever is dialled.
    let abroad = json!({ "to_number": "+44 20 7946 0018", "flow": "join" });
    for path in [&participants, &transfer] {
        rig.post(path, Some(abroad.clone())).await.expect_problem(422, "country_not_allowed");
    }
    let supervisor = rig.add_key("listening", KeyClass::Server, |key| key.may_supervise = true);
    let body = json!({ "role": "listen", "agent_number": "+1 520 878 2491" }).to_string();
    let ask = |request: reqwest::RequestBuilder| {
        request.bearer_auth(&supervisor).header("content-type", "application/json").body(body)
    };
    let refused = rig.request(Method::POST, &format!("/calls/{call_id}/supervisors"), ask).await;
    refused.expect_problem(422, "country_not_allowed");
    for wrong in [
        json!({ "to_number": THIRD }),
        json!({ "to_number": THIRD, "flow": "fly" }),
        json!({ "to_number": 7, "flow": "join" }),
    ] {
        rig.post(&participants, Some(wrong)).await.expect_problem(400, "malformed_json");
    }
    let foreign = json!({ "to_number": THIRD, "flow": "join", "from_number": "+918047123457" });
    rig.post(&participants, Some(foreign)).await.expect_problem(403, "from_number_not_assigned");
    let other = rig.add_key("other", KeyClass::Server, |key| key.account_id = Some("other".into()));
    let body = json!({ "to_number": THIRD }).to_string();
    let build = |request: reqwest::RequestBuilder| {
        request.bearer_auth(&other).header("content-type", "application/json").body(body)
    };
    rig.request(Method::POST, &transfer, build).await.expect_problem(404, "not_found");

    let wanted = || Some(json!({ "to_number": THIRD, "flow": "join" }));
    rig.change_account(|account| account.limits.calls_per_second = 0);
    let limited = rig.post(&participants, wanted()).await;
    assert!(!limited.expect_problem(429, "rate_limit").header("retry-after").is_empty());
    // A turn is free at once, not after a millisecond.
    rig.change_account(|account| account.limits.calls_per_second = u32::MAX);
    let mut trunk = rig.app.records.blocking().trunk(&"carrier".into()).unwrap().unwrap();
    trunk.max_calls = 1;
    rig.app.records.blocking().put_trunk(&trunk).unwrap();
    rig.post(&participants, wanted()).await.expect_problem(503, "trunks_full");
    rig.change_account(|account| account.trunks.clear());
    rig.post(&participants, wanted()).await.expect_problem(503, "no_trunk");
    assert!(
        rig.app
            .records
            .blocking()
            .call(&call_id.as_str().into())
            .unwrap()
            .unwrap()
            .others
            .is_empty()
    );
    shard.end(&call_id, CallStatus::Answer).await;
    rig.post(&transfer, Some(json!({ "to_number": THIRD }))).await.expect_problem(409, "ended");
    rig.stop().await;
}

#[tokio::test]
async fn a_refused_party_leaves_no_trace_and_no_line() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    let call_id = rig.talk(&mut shard).await;
    let path = format!("/calls/{call_id}/transfer");
    let body = || Some(json!({ "to_number": THIRD }));
    let (answer, control) = join!(rig.post(&path, body()), shard.refuse("transfer_running"));
    answer.expect_problem(409, "transfer_running");
    assert_eq!(dialled(&control).joining, Joining::Transfer);
    assert!(free_lines(&rig));
    assert_eq!(rig.call(&call_id).await["participants"], json!([]));
    // One that may have been dialled is not forgotten: the edge will tell.
    let (answer, _) = join!(rig.post(&path, body()), shard.expect_verb());
    answer.expect_problem(504, "no_answer_from_edge");
    assert_eq!(rig.call(&call_id).await["participants"][0]["party"], "participant-2");
    assert!(!free_lines(&rig));
    shard.end(&call_id, CallStatus::Answer).await;
    assert_eq!(rig.call(&call_id).await["participants"], json!([]), "it was never dialled");
    assert!(free_lines(&rig));
    rig.stop().await;
}

// S20: in each state of the third party
#[tokio::test]
async fn a_restart_keeps_the_conversation_and_the_lines() {
    for (kind, state, holds) in [
        ("participant_added", PartyState::Dialing, true),
        ("ringing", PartyState::Ringing, true),
        ("consulting", PartyState::Consulting, true),
        ("participant_joined", PartyState::Talking, true),
        ("participant_left", PartyState::Left, false),
    ] {
        let rig = Rig::start_with(|config| config.link.edge_lost_after_s = 30).await;
        let mut shard = rig.shard(1, &[]).await;
        let call_id = rig.talk(&mut shard).await;
        let party = consult(&rig, &mut shard, &call_id, 5).await;
        tell(&mut shard, &call_id, 6, kind, &party, state).await;
        let before = rig.call(&call_id).await;
        drop(shard);
        let rig = rig.restart().await;
        assert_eq!(rig.call(&call_id).await, before, "{kind}");
        assert_eq!(!free_lines(&rig), holds, "{kind}");
        let mut shard = rig.shard(1, &[&call_id]).await;
        let path = format!("/calls/{call_id}/cancel");
        let (answer, control) = join!(
            rig.post(&path, None),
            shard.obey("participant_left", 7, Some(&party), with(&party, PartyState::Left))
        );
        answer.expect(200);
        assert_eq!(control.verb, Verb::Cancel);
        assert!(free_lines(&rig), "{kind}");
        shard.end(&call_id, CallStatus::Answer).await;
        assert_eq!(
            (rig.app.limits.lines.live_count(), rig.ended_call(&call_id).await["status"].clone()),
            (0, json!("ANSWER"))
        );
        rig.stop().await;
    }
}

#[tokio::test]
async fn a_lost_edge_ends_a_conversation_of_three() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    let call_id = rig.talk(&mut shard).await;
    let party = consult(&rig, &mut shard, &call_id, 5).await;
    drop(shard);
    let call = rig.ended_call(&call_id).await;
    assert_eq!((&call["reason"], &call["conversation"]), (&json!("edge_restarted"), &Value::Null));
    assert_eq!(
        (&call["participants"][0]["party"], &call["participants"][0]["reason"]),
        (&json!(party), &json!("system"))
    );
    assert!(call["participants"][0]["ended_at"].is_string());
    assert!(free_lines(&rig));
    rig.stop().await;
}

#[tokio::test]
async fn any_leg_can_be_hung_up() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    let call_id = rig.talk(&mut shard).await;
    for (sequence, party) in (5..).zip(["participant-1", "agent", "customer", "supervisor-2"]) {
        let path = format!("/calls/{call_id}/participants/{party}");
        let (answer, control) = join!(
            rig.send(Method::DELETE, &path, None),
            shard.obey("step", sequence, None, two_talk())
        );
        answer.expect(200);
        assert_eq!(control.verb, Verb::Remove { party: party.into() });
    }
    rig.send(Method::DELETE, &format!("/calls/{call_id}/participants/a%20b"), None)
        .await
        .expect_problem(404, "unknown_party");
    rig.stop().await;
}

async fn as_key(rig: &Rig, key: &str, method: Method, path: &str, body: Option<Value>) -> Answer {
    rig.request(method, path, |request| {
        let request = request.bearer_auth(key);
        match body {
            Some(body) => request.header("content-type", "application/json").body(body.to_string()),
            None => request,
        }
    })
    .await
}

#[tokio::test]
async fn supervisors_need_a_key_that_may() {
    let rig = Rig::start().await;
    let mut shard = rig.softphone_shard(&[], &[]).await;
    let call_id = rig.talk(&mut shard).await;
    let path = format!("/calls/{call_id}/supervisors");
    let phone = || Some(json!({ "role": "listen", "agent_number": THIRD }));
    rig.post(&path, phone()).await.expect_problem(403, "supervise");
    rig.send(Method::PATCH, &format!("{path}/supervisor-1"), Some(json!({ "role": "barge" })))
        .await
        .expect_problem(403, "supervise");
    rig.send(Method::DELETE, &format!("{path}/supervisor-1"), None)
        .await
        .expect_problem(403, "supervise");
    let key = rig.add_key("floor", KeyClass::Server, |key| key.may_supervise = true);
    for (body, status, code) in [
        (json!({ "role": "listen" }), 422, "missing_agent"),
        (
            json!({ "role": "listen", "agent_number": THIRD, "crm_username": "agent.018" }),
            422,
            "ambiguous_agent",
        ),
        (json!({ "role": "shout", "agent_number": THIRD }), 400, "malformed_json"),
        (json!({ "role": "listen", "agent_number": "112" }), 422, "invalid_number"),
        (json!({ "role": "listen", "crm_username": "nobody" }), 422, "unknown_agent"),
        (json!({ "role": "listen", "crm_username": "agent.018" }), 409, "agent_offline"),
    ] {
        as_key(&rig, &key, Method::POST, &path, Some(body)).await.expect_problem(status, code);
    }
    let joined = with("supervisor-1", PartyState::Talking);
    let (answer, control) = join!(
        as_key(&rig, &key, Method::POST, &path, phone()),
        shard.obey("supervisor_added", 5, Some("supervisor-1"), joined.clone())
    );
    assert_eq!(answer.expect(201).header("location"), format!("{path}/supervisor-1"));
    let Verb::Supervise(new) = control.verb else { panic!() };
    assert_eq!((new.party.as_str(), new.role), ("supervisor-1", SupervisorRole::Listen));
    let AgentTarget::Phone(to) = &new.target else { panic!() };
    assert_eq!((to.ring_ms, to.routes[0].request_user.as_str()), (30_000, THIRD_E164));
    assert!(!free_lines(&rig));
    assert_eq!(answer.json()["participants"], json!([]), "a supervisor is no participant");

    let one = format!("{path}/supervisor-1");
    let role = Some(json!({ "role": "whisper" }));
    let (answer, control) = join!(
        as_key(&rig, &key, Method::PATCH, &one, role),
        shard.obey("supervisor_role", 6, Some("supervisor-1"), joined)
    );
    answer.expect(200);
    assert_eq!(
        control.verb,
        Verb::SetRole { party: "supervisor-1".into(), role: SupervisorRole::Whisper }
    );
    let left = with("supervisor-1", PartyState::Left);
    let (answer, control) = join!(
        as_key(&rig, &key, Method::DELETE, &one, None),
        shard.obey("supervisor_left", 7, Some("supervisor-1"), left)
    );
    answer.expect(200);
    assert_eq!(control.verb, Verb::Remove { party: "supervisor-1".into() });
    assert!(free_lines(&rig));
    for party in ["supervisor-9", "agent", "customer"] {
        as_key(&rig, &key, Method::DELETE, &format!("{path}/{party}"), None)
            .await
            .expect_problem(404, "unknown_party");
    }
    rig.stop().await;
}

#[tokio::test]
async fn a_supervising_softphone_is_with_the_shard_of_the_call() {
    let rig = Rig::start().await;
    let key = rig.add_key("floor", KeyClass::Server, |key| key.may_supervise = true);
    let supervisor = name(&rig, "agent.018");
    let mut shard = rig.softphone_shard(&[], &[]).await;
    let call_id = rig.talk(&mut shard).await;
    let mut elsewhere = rig.greet(control_wire::Hello { shard: 1, ..hello(1, &[]) }).await;
    elsewhere.presence(supervisor.as_str(), true).await;
    wait_presence(&rig, "agent.018", true).await;
    let path = format!("/calls/{call_id}/supervisors");
    let body = || Some(json!({ "role": "barge", "crm_username": "agent.018" }));
    as_key(&rig, &key, Method::POST, &path, body())
        .await
        .expect_problem(409, "supervisor_elsewhere");
    shard.presence(supervisor.as_str(), true).await;
    elsewhere.expect_revocation().await;
    let joined = with("supervisor-1", PartyState::Ringing);
    let (answer, control) = join!(
        as_key(&rig, &key, Method::POST, &path, body()),
        shard.obey("supervisor_added", 5, Some("supervisor-1"), joined)
    );
    let party = answer.expect(201).json()["conversation"]["parties"][2].clone();
    assert_eq!((&party["crm_username"], &party["number"]), (&json!("agent.018"), &Value::Null));
    let Verb::Supervise(new) = control.verb else { panic!() };
    assert_eq!(
        new.target,
        AgentTarget::Softphone { agent: supervisor, ring_ms: 30_000, opus: true }
    );
    assert!(free_lines(&rig), "a softphone needs no line");
    rig.stop().await;
}

async fn request_transfer(shard: &mut Shard, call_id: &str, target: &str) {
    request_transfer_of(shard, call_id, "refer-1", target).await;
}

async fn request_transfer_of(shard: &mut Shard, call_id: &str, party: &str, target: &str) {
    let event = Event::TransferRequested {
        call_id: call_id.into(),
        party: party.into(),
        target: target.into(),
    };
    shard.tell(event).await;
}

// REFER from the agent's phone, by the account's policy
#[tokio::test]
async fn a_requested_transfer_is_admitted_or_cancelled() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    let call_id = rig.talk(&mut shard).await;
    request_transfer(&mut shard, &call_id, THIRD).await;
    let (command_id, control) = shard.expect_verb().await;
    assert_eq!(control.verb, Verb::Cancel, "not unless the account says so");
    shard.write(&FromEdge::Ack { command_id }).await;
    shard.end(&call_id, CallStatus::Answer).await;

    rig.change_account(|account| account.refer = storage::ReferPolicy::Transfer);
    let (call_id, place) = rig.place(&mut shard).await;
    assert!(place.accepts_refer);
    shard.bridge(&call_id).await;
    for (target, why) in [("112", "an emergency number"), ("+44 20 7946 0018", "a number abroad")] {
        request_transfer(&mut shard, &call_id, target).await;
        let (command_id, control) = shard.expect_verb().await;
        assert_eq!(control.verb, Verb::Cancel, "{why}");
        shard.write(&FromEdge::Ack { command_id }).await;
    }
    request_transfer(&mut shard, &call_id, THIRD).await;
    let (command_id, control) = shard.expect_verb().await;
    let new = dialled(&control);
    assert_eq!((new.party.as_str(), new.joining), ("refer-1", Joining::Transfer));
    assert_eq!(new.destination.routes[0].request_user, THIRD_E164);
    shard.write(&FromEdge::Ack { command_id }).await;
    // Told again, it has no second effect.
    request_transfer(&mut shard, &call_id, THIRD).await;
    request_transfer(&mut shard, "unknown", THIRD).await;
    // What follows is answered in its order: had the repeated one dialled, its verb would be here
    // first.
    request_transfer_of(&mut shard, &call_id, "refer-2", "112").await;
    let (command_id, control) = shard.expect_verb().await;
    assert_eq!(control.verb, Verb::Cancel);
    shard.write(&FromEdge::Ack { command_id }).await;
    rig.send(Method::DELETE, &format!("/calls/{call_id}"), None).await.expect(204);
    assert_eq!(shard.expect_hang_up().await, call_id.as_str());
    assert_eq!(rig.call(&call_id).await["participants"][0]["number"], THIRD_E164);
    rig.stop().await;
}

#[tokio::test]
async fn a_number_that_a_call_withholds_third_parties_do_not_see_either() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    for is_hidden in [false, true] {
        let mut body = guide_call();
        body["hide_caller"] = json!(is_hidden);
        rig.post_call(body).await.expect(201);
        let call_id = shard.expect_call().await.call_id;
        shard.bridge(call_id.as_str()).await;
        let path = format!("/calls/{call_id}/participants");
        let body = json!({ "to_number": THIRD, "flow": "consult" });
        let (_, control) = join!(rig.post(&path, Some(body)), shard.refuse("transfer_running"));
        let Verb::AddParticipant(new) = control.verb else { panic!("another verb") };
        assert_eq!(new.destination.routes[0].hides_caller, is_hidden);
    }
    rig.stop().await;
}

#[tokio::test]
async fn a_carrier_that_wants_it_is_told_who_sent_a_call_on() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    let settings = json!({ "forwarding": "diversion", "hides_caller": true });
    rig.admin_json(Method::PUT, "/admin/trunks/carrier", settings).await.expect(200);
    let call_id = rig.talk(&mut shard).await;
    let path = |verb: &str| format!("/calls/{call_id}/{verb}");
    for (verb, body, by) in [
        ("transfer", json!({ "to_number": THIRD }), Some("+919876543211")),
        ("participants", json!({ "to_number": THIRD, "flow": "consult" }), None),
    ] {
        let path = path(verb);
        let (_, control) = join!(rig.post(&path, Some(body)), shard.refuse("transfer_running"));
        let Verb::AddParticipant(new) = control.verb else { panic!("another verb") };
        let route = &new.destination.routes[0];
        assert_eq!((route.diverted_by.as_deref(), route.hides_caller), (by, true), "{verb}");
    }
    rig.stop().await;
}
