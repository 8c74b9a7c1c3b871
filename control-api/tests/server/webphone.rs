//! The session of a launched page: its token, its call and the events of it, re-attachment, and how
//! it ends.

use crate::rig::{ACCOUNT, CALLER_ID, Rig, ended, guide_call};
use crate::softphone::{AGENT, CUSTOMER, Page, name, wait_presence, wait_watched};
use call_words::{CallStatus, HangupBy, LegKind};
use control_api::clock::now_ms;
use control_wire::{AgentTarget, Event};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::sleep;

// A15
#[tokio::test]
async fn the_picker_offers_what_the_account_names_and_the_pick_arrives_in_the_callback() {
    let rig = Rig::start().await;
    let mut shard = rig.softphone_shard(&[], &[]).await;
    let usual = json!([
        "INTERESTED",
        "CALL_BACK",
        "NOT_INTERESTED",
        "WRONG_NUMBER",
        "VOICEMAIL",
        "DO_NOT_CALL"
    ]);
    let path = format!("/admin/accounts/{ACCOUNT}");
    assert_eq!(rig.admin(Method::GET, &path).await.expect(200).json()["dispositions"], usual);
    for (dispositions, field) in [
        (json!(["SOLD", ""]), "dispositions[1]"),
        (json!(["SOLD", "x".repeat(65)]), "dispositions[1]"),
        (json!(["SOLD", "LOST", "SOLD"]), "dispositions[2]"),
        (json!((0..25).map(|n| n.to_string()).collect::<Vec<_>>()), "dispositions"),
    ] {
        let refused = rig.admin_json(Method::PUT, &path, json!({ "dispositions": dispositions }));
        let problem = refused.await.expect_problem(422, "invalid_settings").json();
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
        assert!(problem["errors"][0]["detail"].as_str().unwrap().contains("allowed"), "{problem}");
    }
    let chosen = json!({ "dispositions": ["Sold: 3 years", "LOST"] });
    rig.admin_json(Method::PUT, &path, chosen.clone()).await.expect(200);
    let page = Page::online(&rig, &mut shard, AGENT, CUSTOMER).await;
    assert_eq!(page.opened["dispositions"], chosen["dispositions"]);
    page.start(&rig, "granted").await.expect(201);
    let place = shard.expect_call().await;
    shard.bridge(place.call_id.as_str()).await;
    let pick = json!({ "disposition": "Sold: 3 years" });
    page.send(&rig, Method::PATCH, "call", Some(pick)).await.expect(200);
    shard.end(place.call_id.as_str(), CallStatus::Answer).await;
    rig.ended_call(place.call_id.as_str()).await;
    let job = rig
        .app
        .records
        .blocking()
        .callback_job(place.call_id.as_str())
        .unwrap()
        .expect("a callback");
    let body: Value = serde_json::from_str(&job.body).unwrap();
    assert_eq!(body["disposition"], "Sold: 3 years");
}

// S02, S05, S11: what the page and the shard are told, and in which order
#[tokio::test]
async fn a_launch_becomes_a_call() {
    let rig = Rig::start().await;
    let mut shard = rig.softphone_shard(&[], &[]).await;
    let page = Page::online(&rig, &mut shard, AGENT, CUSTOMER).await;
    let (agent, opened) = (name(&rig, AGENT), &page.opened);
    for (key, value) in [
        ("agent", json!({ "crm_username": AGENT, "name": "Asha" })),
        ("to_number", json!(CUSTOMER)),
        ("from_number", json!(CALLER_ID)),
        ("call", Value::Null),
        ("conflict", Value::Null),
    ] {
        assert_eq!(opened[key], value, "{key}");
    }
    let sip = &opened["sip"];
    assert_eq!((&sip["url"], &sip["expires_s"]), (&json!("wss://edge.example:8443/"), &json!(300)));
    assert_eq!(
        (&sip["username"], &sip["uri"]),
        (&json!(agent), &json!(format!("sip:{agent}@dialer.invalid")))
    );
    page.call(&rig).await.expect_problem(404, "not_found");

    let call = page.start(&rig, "granted").await.expect(201).json();
    for (key, value) in [
        ("state", json!("starting")),
        ("status", Value::Null),
        ("reason", Value::Null),
        ("detail", Value::Null),
        ("sip_code", Value::Null),
        ("answer_time", Value::Null),
        ("duration", json!(0)),
        ("disposition", json!("CRM_CALL")),
        ("recording", json!(true)),
        ("to_number", json!(CUSTOMER)),
        ("from_number", json!(CALLER_ID)),
        ("hangup_by", Value::Null),
    ] {
        assert_eq!(call[key], value, "{key}");
    }
    let place = shard.expect_call().await;
    assert_eq!(call["call_id"], place.call_id.as_str());
    assert_eq!(place.agent, AgentTarget::Softphone { agent, ring_ms: 30_000, opus: true });
    assert_eq!(place.customer.routes[0].request_user, "+919876543210");
    // Once more is the same call.
    assert_eq!(
        page.start(&rig, "granted").await.expect(200).json()["call_id"],
        place.call_id.as_str()
    );

    // S01, S31–S33: the record and the callback.
    let record = rig.call(place.call_id.as_str()).await;
    for (key, value) in [
        ("call_type", json!("browser")),
        ("crm_username", json!(AGENT)),
        ("agent_number", Value::Null),
        ("customer_number", json!(CUSTOMER)),
        ("uuid", json!(place.call_id)),
    ] {
        assert_eq!(record[key], value, "{key}");
    }
    shard.bridge(place.call_id.as_str()).await;
    shard.end(place.call_id.as_str(), CallStatus::Answer).await;
    let job = rig
        .app
        .records
        .blocking()
        .callback_job(place.call_id.as_str())
        .unwrap()
        .expect("a callback");
    let body: Value = serde_json::from_str(&job.body).unwrap();
    assert_eq!((&body["crm_username"], &body["call_type"]), (&json!(AGENT), &json!("browser")));
    assert!(body["agent_number"].is_null() && body["agent_number_e164"].is_null());
    for (query, expected) in [
        ("call_type=browser", 1),
        ("crm_username=agent.017&status=ANSWER", 1),
        ("call_type=server", 0),
        ("crm_username=x", 0),
    ] {
        let listed = rig.get(&format!("/calls?{query}")).await.expect(200).json();
        assert_eq!(listed["calls"].as_array().unwrap().len(), expected, "{query}");
    }
    let timeline = rig.get(&format!("/calls/{}/timeline", place.call_id)).await.expect(200).json();
    assert!(timeline["entries"].as_array().unwrap().iter().any(|step| step["kind"] == "bridged"));
    rig.stop().await;
}

#[tokio::test]
async fn events_follow_the_call_to_its_end() {
    let rig = Rig::start().await;
    let mut shard = rig.softphone_shard(&[], &[]).await;
    let page = Page::online(&rig, &mut shard, AGENT, CUSTOMER).await;
    let mut events = page.events(&rig).await;
    let (call_id, _) = page.place(&rig, &mut shard).await;
    assert_eq!(events.state().await, "starting");
    let steps = [
        (Some(LegKind::Agent), "ringing", Some("agent")),
        (Some(LegKind::Agent), "answered", None),
        (Some(LegKind::Agent), "agent_media", None),
        (Some(LegKind::Customer), "ringing", Some("ringing")),
        (None, "bridged", Some("bridged")),
        // A10: the tab is lost, and comes back.
        (Some(LegKind::Agent), "agent_lost", Some("held")),
        (Some(LegKind::Agent), "agent_back", Some("bridged")),
    ];
    for (sequence, (leg, kind, state)) in (1..).zip(steps) {
        shard.milestone(&call_id, sequence, leg, kind).await;
        if let Some(state) = state {
            assert_eq!(events.state().await, state, "{kind}");
        }
    }
    // A stream that comes later begins with the call as it is.
    let mut late = page.events(&rig).await;
    assert_eq!(late.state().await, "bridged");
    let mut end = ended(&call_id, CallStatus::Answer);
    end.hangup_by = Some(HangupBy::Customer);
    end.duration_s = 42;
    shard.tell(Event::Ended(Box::new(end))).await;
    for events in [&mut events, &mut late] {
        let call = events.next().await.unwrap();
        let told = ["state", "status", "hangup_by", "duration"].map(|key| call[key].clone());
        assert_eq!(told, [json!("ended"), json!("ANSWER"), json!("customer"), json!(42)]);
    }
    // A15: the disposition after the end is told, too.
    let changed =
        page.send(&rig, Method::PATCH, "call", Some(json!({ "disposition": "INTERESTED" }))).await;
    assert_eq!(changed.expect(200).json()["disposition"], "INTERESTED");
    for events in [&mut events, &mut late] {
        assert_eq!(events.next().await.unwrap()["disposition"], "INTERESTED");
    }
    assert_eq!(rig.call(&call_id).await["disposition"], "INTERESTED");
    page.send(&rig, Method::PATCH, "call", Some(json!({ "disposition": "" })))
        .await
        .expect_problem(422, "invalid_disposition");
    page.send(&rig, Method::POST, "close", None).await.expect(204);
    assert_eq!((events.next().await, late.next().await), (None, None), "the session is over");
    rig.stop().await;
}

// A4
#[tokio::test]
async fn a_token_opens_one_session_in_its_time() {
    let rig = Rig::start_with(|config| config.softphone.token_s = 1).await;
    let token = Page::launch(&rig, AGENT, CUSTOMER).await;
    // While no shard takes softphones, the token is not used up.
    Page::use_token(&rig, &token).await.expect_problem(503, "no_edge");
    let _without = rig.shard(1, &[]).await;
    Page::use_token(&rig, &token).await.expect_problem(503, "no_edge");
    let mut shard = rig.softphone_shard(&[], &[]).await;
    // Of many that use it at the same moment, one gets the session, and the shard hears of one.
    let mut uses =
        futures_util::future::join_all((0..8).map(|_| Page::use_token(&rig, &token))).await;
    uses.sort_by_key(|answer| answer.status);
    let opened = uses[0].expect(201).json();
    for used in &uses[1..] {
        used.expect_problem(410, "token_over");
    }
    assert_eq!(shard.expect_grant().await.password, opened["sip"]["password"]);
    // Nor is it free again once that session is closed.
    let page = Page { secret: opened["session"].as_str().unwrap().to_owned(), opened };
    page.send(&rig, Method::POST, "close", None).await.expect(204);
    Page::use_token(&rig, &token).await.expect_problem(410, "token_over");
    let rig = rig.restart().await;
    let _shard = rig.softphone_shard(&[], &[]).await;
    Page::use_token(&rig, &token).await.expect_problem(410, "token_over");
    let late = Page::launch(&rig, AGENT, CUSTOMER).await;
    sleep(Duration::from_millis(1_050)).await;
    Page::use_token(&rig, &late).await.expect_problem(410, "token_over");
    for garbage in ["", "x", &token[1..], &"A".repeat(9_000)] {
        Page::use_token(&rig, garbage).await.expect_problem(400, "invalid_token");
    }
    // What was allowed when the link was opened must still be so.
    let key = rig.app.records.blocking().api_key(&"browser".into()).unwrap().unwrap();
    let token = Page::launch(&rig, AGENT, CUSTOMER).await;
    let expired = storage::ApiKey { expires_ms: Some(control_api::clock::now_ms()), ..key.clone() };
    rig.app.records.blocking().put_api_key(&expired).unwrap();
    Page::use_token(&rig, &token).await.expect_problem(410, "token_over");
    rig.app.records.blocking().put_api_key(&key).unwrap();
    rig.app.records.blocking().delete_api_key(&key.id).unwrap();
    Page::use_token(&rig, &token).await.expect_problem(410, "token_over");
    rig.stop().await;
}

// S11, A5: nobody is rung
#[tokio::test]
async fn a_call_without_a_microphone_fails_at_once() {
    let rig = Rig::start().await;
    let mut shard = rig.softphone_shard(&[], &[]).await;
    for (microphone, detail) in [
        ("denied", "microphone_denied"),
        ("missing", "microphone_missing"),
        ("in_use", "microphone_in_use"),
    ] {
        let page = Page::open(&rig, AGENT, CUSTOMER).await;
        shard.expect_grant().await;
        let call = page.start(&rig, microphone).await.expect(201).json();
        let told = ["state", "status", "reason", "detail"]
            .map(|key| call[key].as_str().unwrap().to_owned());
        assert_eq!(told, ["ended", "FAILED", "agent_media", detail]);
        let call_id = call["call_id"].as_str().unwrap();
        let record = rig.call(call_id).await;
        assert_eq!(
            (&record["failed_leg"], &record["reason_detail"]),
            (&json!("agent"), &json!(detail))
        );
        let body: Value = serde_json::from_str(
            &rig.app.records.blocking().callback_job(call_id).unwrap().unwrap().body,
        )
        .unwrap();
        assert_eq!(
            (&body["status"], &body["reason"], &body["reason_detail"]),
            (&json!("FAILED"), &json!("agent_media"), &json!(detail))
        );
        let timeline = rig.get(&format!("/calls/{call_id}/timeline")).await.expect(200).json();
        let step = timeline["entries"]
            .as_array()
            .unwrap()
            .iter()
            .find(|step| step["kind"] == "microphone")
            .unwrap()
            .clone();
        assert_eq!(step["detail"], detail);
        assert_eq!(page.start(&rig, microphone).await.expect(200).json(), call);
    }
    assert_eq!(rig.app.limits.lines.live_count(), 0);
    page_tries_again(&rig, &mut shard).await;
    let page = Page::open(&rig, AGENT, CUSTOMER).await;
    page.start(&rig, "loud").await.expect_problem(400, "malformed_json");
    rig.stop().await;
}

/// The microphone was allowed after all: the same page calls again, at once.
async fn page_tries_again(rig: &Rig, shard: &mut crate::rig::Shard) {
    let page = Page::online(rig, shard, AGENT, CUSTOMER).await;
    let failed = page.start(rig, "denied").await.expect(201).json();
    let again = json!({ "microphone": "granted", "again": true });
    let call = page.send(rig, Method::POST, "call", Some(again)).await.expect(201).json();
    assert_ne!(call["call_id"], failed["call_id"]);
    let place = shard.expect_call().await;
    assert_eq!(call["call_id"], place.call_id.as_str());
    shard.end(place.call_id.as_str(), CallStatus::Busy).await;
    assert_eq!(page.call(rig).await.expect(200).json()["call_id"], place.call_id.as_str());
}

// A6
#[tokio::test]
async fn a_page_cannot_fail_calls_without_end() {
    let rig = Rig::start_with(|config| config.softphone.launch_per_minute_per_agent = 2).await;
    let mut shard = rig.softphone_shard(&[], &[]).await;
    let page = Page::open(&rig, AGENT, CUSTOMER).await;
    shard.expect_grant().await;
    let again = json!({ "microphone": "denied", "again": true });
    for status in [201, 201, 429] {
        page.send(&rig, Method::POST, "call", Some(again.clone())).await.expect(status);
    }
    rig.stop().await;
}

#[tokio::test]
async fn the_call_waits_for_the_softphone() {
    let rig = Rig::start().await;
    let mut shard = rig.softphone_shard(&[], &[]).await;
    let page = Page::open(&rig, AGENT, CUSTOMER).await;
    let agent = shard.expect_grant().await.agent;
    let (answer, _) = tokio::join!(page.start(&rig, "granted"), async {
        wait_watched(&rig, AGENT).await;
        assert_eq!(rig.app.limits.lines.live_count(), 0, "nothing is placed before");
        shard.presence(agent.as_str(), true).await;
    });
    answer.expect(201);
    let place = shard.expect_call().await;
    shard.end(place.call_id.as_str(), CallStatus::Failed).await;
    shard.presence(agent.as_str(), false).await;
    wait_presence(&rig, AGENT, false).await;
    let page = Page::open(&rig, AGENT, "9876543219").await;
    page.start(&rig, "granted").await.expect_problem(409, "agent_offline");
    assert_eq!(rig.app.limits.lines.live_count(), 0);
    rig.stop().await;
}

// A4: double click, and an agent who is in a call
#[tokio::test]
async fn an_agent_gets_no_second_call() {
    let rig = Rig::start().await;
    let mut shard = rig.softphone_shard(&[], &[]).await;
    let first = Page::online(&rig, &mut shard, AGENT, CUSTOMER).await;
    // Both clicks' pages are open before either starts its call.
    let second = Page::open(&rig, AGENT, CUSTOMER).await;
    shard.expect_grant().await;
    let (call_id, _) = first.place(&rig, &mut shard).await;
    assert_eq!(second.start(&rig, "granted").await.expect(200).json()["call_id"], call_id);
    let third = Page::open(&rig, AGENT, CUSTOMER).await;
    shard.expect_grant().await;
    assert_eq!(
        (&third.opened["conflict"], &third.opened["call"]["call_id"]),
        (&json!("double_click"), &json!(call_id))
    );
    let elsewhere = Page::open(&rig, AGENT, "9876543219").await;
    shard.expect_grant().await;
    assert_eq!(
        (&elsewhere.opened["conflict"], &elsewhere.opened["call"]["call_id"]),
        (&json!("in_call"), &json!(call_id))
    );
    assert_eq!(elsewhere.start(&rig, "granted").await.expect(200).json()["call_id"], call_id);
    // Another agent is not concerned.
    let mut other = Page::online(&rig, &mut shard, "agent.018", CUSTOMER).await;
    assert_eq!(other.opened["conflict"], Value::Null);
    other.place(&rig, &mut shard).await;
    other = Page::open(&rig, "agent.018", CUSTOMER).await;
    shard.expect_grant().await;
    assert_eq!(other.opened["conflict"], "double_click");
    assert_eq!(rig.app.limits.lines.live_count(), 2, "two agents, two calls");

    // Clicked again as soon as the customer was busy: a new attempt.
    shard.end(&call_id, CallStatus::Busy).await;
    let again = Page::open(&rig, AGENT, CUSTOMER).await;
    shard.expect_grant().await;
    assert_eq!((&again.opened["conflict"], &again.opened["call"]), (&Value::Null, &Value::Null));
    let (next_id, _) = again.place(&rig, &mut shard).await;
    assert_ne!(next_id, call_id);
    shard.end(&next_id, CallStatus::Busy).await;
    // So may another customer.
    let next = Page::open(&rig, AGENT, "9876543219").await;
    shard.expect_grant().await;
    assert_eq!(next.opened["conflict"], Value::Null);
    next.place(&rig, &mut shard).await;
    rig.stop().await;
}

// A4, A10: a reload, and a restart of this process
#[tokio::test]
async fn a_page_comes_back_to_its_call() {
    let rig = Rig::start().await;
    let mut shard = rig.softphone_shard(&[], &[]).await;
    let page = Page::online(&rig, &mut shard, AGENT, CUSTOMER).await;
    let (call_id, _) = page.place(&rig, &mut shard).await;
    shard.bridge(&call_id).await;
    let agent = name(&rig, AGENT);
    shard.presence(agent.as_str(), false).await;
    let renewed = page.send(&rig, Method::POST, "renew", None).await.expect(200).json();
    let grant = shard.expect_grant().await;
    assert_eq!(
        (&renewed["sip"]["username"], &renewed["sip"]["password"]),
        (&json!(agent), &json!(grant.password))
    );
    assert_ne!(renewed["sip"]["password"], page.opened["sip"]["password"]);
    let left_ms = grant.expires_at_ms - control_api::clock::now_ms();
    assert!(
        (200_000..=300_000).contains(&left_ms),
        "leave for as long as the page is told: {left_ms}"
    );
    assert_eq!(
        (&renewed["call"]["call_id"], &renewed["call"]["state"]),
        (&json!(call_id), &json!("bridged"))
    );

    let rig = rig.restart().await;
    let mut shard = rig.softphone_shard(&[&call_id], &[agent.as_str()]).await;
    assert_eq!(page.call(&rig).await.expect(200).json()["state"], "bridged");
    assert_eq!(page.start(&rig, "granted").await.expect(200).json()["call_id"], call_id);
    let renewed = page.send(&rig, Method::POST, "renew", None).await.expect(200).json();
    assert_eq!(renewed["call"]["call_id"], call_id);
    shard.expect_grant().await;
    let mut events = page.events(&rig).await;
    assert_eq!(events.state().await, "bridged");
    page.send(&rig, Method::DELETE, "call", None).await.expect(204);
    assert_eq!(shard.expect_hang_up().await, call_id.as_str());
    shard.end(&call_id, CallStatus::Answer).await;
    assert_eq!(events.state().await, "ended");
    page.send(&rig, Method::DELETE, "call", None).await.expect(204);
    assert_eq!(page.call(&rig).await.expect(200).json()["state"], "ended");
    rig.stop().await;
}

// The agent's next page begins without the calls of before.
#[tokio::test]
async fn a_page_shows_no_call_of_before_its_session() {
    let rig = Rig::start().await;
    let mut shard = rig.softphone_shard(&[], &[]).await;
    let first = Page::online(&rig, &mut shard, AGENT, CUSTOMER).await;
    let (call_id, _) = first.place(&rig, &mut shard).await;
    shard.end(&call_id, CallStatus::Busy).await;
    let next = Page::open(&rig, AGENT, "9876543219").await;
    shard.expect_grant().await;
    assert_eq!(next.opened["call"], Value::Null);
    next.call(&rig).await.expect_problem(404, "not_found");
    let renewed = next.send(&rig, Method::POST, "renew", None).await.expect(200).json();
    assert_eq!(renewed["call"], Value::Null);
    shard.expect_grant().await;
    assert_eq!(first.call(&rig).await.expect(200).json()["call_id"], call_id);
    rig.stop().await;
}

#[tokio::test]
async fn closing_ends_the_pages_own_call_only() {
    let rig = Rig::start().await;
    let mut shard = rig.softphone_shard(&[], &[]).await;
    let first = Page::online(&rig, &mut shard, AGENT, CUSTOMER).await;
    let (call_id, _) = first.place(&rig, &mut shard).await;
    let idle = Page::open(&rig, AGENT, "9876543219").await;
    shard.expect_grant().await;
    idle.send(&rig, Method::POST, "close", None).await.expect(204);
    assert_eq!(rig.call(&call_id).await["state"], "placed");
    // The newest page takes over; closing the old one leaves the call alone.
    let second = Page::open(&rig, AGENT, CUSTOMER).await;
    shard.expect_grant().await;
    second.start(&rig, "granted").await.expect(200);
    first.send(&rig, Method::POST, "close", None).await.expect(204);
    assert!(
        !rig.app
            .records
            .blocking()
            .call(&call_id.as_str().into())
            .unwrap()
            .unwrap()
            .hang_up_requested
    );
    second.send(&rig, Method::POST, "close", None).await.expect(204);
    assert_eq!(shard.expect_hang_up().await, call_id.as_str());
    for page in [&first, &second, &idle] {
        page.call(&rig).await.expect_problem(401, "session_over");
        page.send(&rig, Method::POST, "close", None).await.expect_problem(401, "session_over");
    }
    rig.stop().await;
}

#[tokio::test]
async fn sessions_are_known_by_their_secret_alone() {
    let rig = Rig::start().await;
    let mut shard = rig.softphone_shard(&[], &[]).await;
    let page = Page::online(&rig, &mut shard, AGENT, CUSTOMER).await;
    let (id, _) = page.secret.split_once('.').unwrap();
    for secret in [
        String::new(),
        "x".into(),
        id.to_owned(),
        format!("{id}."),
        format!("{}x", page.secret),
        "y".repeat(300),
    ] {
        let wrong = Page { secret, opened: Value::Null };
        for (method, path) in [
            (Method::GET, "call"),
            (Method::POST, "renew"),
            (Method::GET, "events"),
            (Method::DELETE, "call"),
            (Method::POST, "close"),
        ] {
            let answer = wrong.send(&rig, method, path, None).await;
            assert!(
                answer
                    .expect_problem(401, "session_over")
                    .header("www-authenticate")
                    .starts_with("Session")
            );
        }
    }
    // Neither the API's keys open a session nor a session the API.
    let key = Page { secret: rig.server_key.clone(), opened: Value::Null };
    key.call(&rig).await.expect_problem(401, "session_over");
    for (path, code) in
        [("/calls", "unauthorized"), ("/CRM_API/webphone/session/call", "session_over")]
    {
        rig.request(Method::GET, path, |request| request.bearer_auth(&page.secret))
            .await
            .expect_problem(401, code);
    }
    // Not even the files of the database tell the secret.
    for entry in std::fs::read_dir(&rig.app.config.storage.folder)
        .unwrap()
        .flatten()
        .filter(|entry| entry.path().is_file())
    {
        let bytes = std::fs::read(entry.path()).unwrap();
        let random = page.secret.split_once('.').unwrap().1.as_bytes();
        assert!(
            !bytes.windows(random.len()).any(|window| window == random),
            "{}",
            entry.path().display()
        );
    }
    // Another agent's call is not for its verdict.
    let other = Page::online(&rig, &mut shard, "agent.018", CUSTOMER).await;
    let (call_id, _) = other.place(&rig, &mut shard).await;
    let verdict = |call_id: &str| Some(json!({ "disposition": "X", "call_id": call_id }));
    page.send(&rig, Method::PATCH, "call", verdict(&call_id))
        .await
        .expect_problem(404, "not_found");
    let in_capitals = verdict(&call_id.to_uppercase());
    let set = other.send(&rig, Method::PATCH, "call", in_capitals).await;
    assert_eq!(set.expect(200).json()["disposition"], "X");
    // An agent that is removed is cut off, and its session is over.
    let path = format!("/admin/accounts/{ACCOUNT}/agents/agent.018");
    rig.admin(Method::DELETE, &path).await.expect_problem(409, "in_use");
    rig.admin(Method::DELETE, &format!("{path}?confirm=true")).await.expect(204);
    assert_eq!(shard.expect_revocation().await, name(&rig, "agent.018"));
    other.send(&rig, Method::POST, "renew", None).await.expect_problem(401, "session_over");
    rig.stop().await;
}

/// Everything that a page may ask for is refused.
pub async fn check_over(rig: &Rig, page: &Page) {
    let control = json!({ "verb": "add", "to_number": "9876543219", "flow": "join" });
    for (method, path, body) in [
        (Method::POST, "renew", None),
        (Method::GET, "call", None),
        (Method::POST, "call", Some(json!({ "microphone": "granted", "again": true }))),
        (Method::POST, "call/control", Some(control)),
        (Method::PATCH, "call", Some(json!({ "disposition": "X" }))),
        (Method::DELETE, "call", None),
        (Method::GET, "events", None),
    ] {
        page.send(rig, method, path, body).await.expect_problem(401, "session_over");
    }
}

// B07: sessions end with their key, at once; running calls stay untouched.
#[tokio::test]
async fn a_session_ends_with_its_key() {
    let mut rig = Rig::start().await;
    let mut shard = rig.softphone_shard(&[], &[]).await;
    let other = Page::online(&rig, &mut shard, "agent.018", CUSTOMER).await;
    let mut of_other = other.events(&rig).await;
    rig.browser_key = rig.add_key(&format!("{ACCOUNT}.crm.1"), storage::KeyClass::Browser, |_| {});
    let page = Page::online(&rig, &mut shard, AGENT, CUSTOMER).await;
    let mut events = page.events(&rig).await;
    let (call_id, _) = page.place(&rig, &mut shard).await;
    shard.bridge(&call_id).await;
    // Rotated with an overlap, nothing ends before that is over.
    let rotate = format!("/admin/accounts/{ACCOUNT}/keys/crm/rotate");
    rig.admin_json(Method::POST, &rotate, json!({ "overlap_s": 60 })).await.expect(201);
    page.call(&rig).await.expect(200);
    rig.admin_json(Method::POST, &rotate, json!({ "overlap_s": 0 })).await.expect(201);
    assert_eq!(shard.expect_revocation().await, name(&rig, AGENT));
    while events.next().await.is_some() {}
    check_over(&rig, &page).await;
    let call = rig.app.records.blocking().call(&call_id.as_str().into()).unwrap().unwrap();
    assert!(call.is_live() && !call.hang_up_requested);

    // The page of the account's other key goes on until that is revoked.
    other.send(&rig, Method::POST, "renew", None).await.expect(200);
    shard.expect_grant().await;
    let (other_id, _) = other.place(&rig, &mut shard).await;
    assert_eq!(of_other.state().await, "starting");
    rig.browser_key = rig.add_key(&format!("{ACCOUNT}.link.1"), storage::KeyClass::Browser, |_| {});
    let last = Page::open(&rig, AGENT, CUSTOMER).await;
    shard.expect_grant().await;
    let mut of_last = last.events(&rig).await;
    rig.admin(Method::DELETE, &format!("/admin/accounts/{ACCOUNT}/keys/link")).await.expect(204);
    assert_eq!(shard.expect_revocation().await, name(&rig, AGENT));
    while of_last.next().await.is_some() {}
    check_over(&rig, &last).await;
    assert_eq!(other.call(&rig).await.expect(200).json()["call_id"], other_id);
    rig.stop().await;
}

// B07: also with the account, and an agent that is registered again under the same ID gets none of
// it back.
#[tokio::test]
async fn a_session_ends_with_its_agent_and_its_account() {
    let rig = Rig::start().await;
    let mut shard = rig.softphone_shard(&[], &[]).await;
    let page = Page::online(&rig, &mut shard, AGENT, CUSTOMER).await;
    let mut events = page.events(&rig).await;
    let path = format!("/admin/accounts/{ACCOUNT}/agents/{AGENT}");
    rig.admin(Method::DELETE, &path).await.expect(204);
    assert_eq!(shard.expect_revocation().await, name(&rig, AGENT));
    rig.admin_json(Method::PUT, &path, json!({})).await.expect(200);
    assert_eq!(events.next().await, None);
    check_over(&rig, &page).await;

    let page = Page::open(&rig, AGENT, CUSTOMER).await;
    shard.expect_grant().await;
    let mut events = page.events(&rig).await;
    let account = rig.app.records.blocking().account(&ACCOUNT.into()).unwrap().unwrap();
    rig.app.records.blocking().remove_account(&ACCOUNT.into()).unwrap();
    rig.app.notices.softphones.account_changed(&ACCOUNT.into());
    assert_eq!(events.next().await, None);
    rig.app.records.blocking().forget_account(&ACCOUNT.into(), now_ms(), 100).unwrap();
    rig.app.records.blocking().put_account(&account).unwrap();
    check_over(&rig, &page).await;
    rig.stop().await;
}

// A leave to register does not outlive the session's key.
#[tokio::test]
async fn leave_to_register_ends_with_the_key() {
    let rig = Rig::start().await;
    let mut shard = rig.softphone_shard(&[], &[]).await;
    let page = Page::online(&rig, &mut shard, AGENT, CUSTOMER).await;
    let ends_ms = control_api::clock::now_ms() + 60_000;
    let key = rig.app.records.blocking().api_key(&"browser".into()).unwrap().unwrap();
    rig.app
        .records
        .blocking()
        .put_api_key(&storage::ApiKey { expires_ms: Some(ends_ms), ..key })
        .unwrap();
    let renewed = page.send(&rig, Method::POST, "renew", None).await.expect(200).json();
    assert_eq!(shard.expect_grant().await.expires_at_ms, ends_ms);
    assert!((55..=60).contains(&renewed["sip"]["expires_s"].as_u64().unwrap()), "{renewed}");
    rig.stop().await;
}

// A3, B06: the CRM's own id comes back with the result, and calls again what it names.
#[tokio::test]
async fn a_link_carries_the_crms_own_id() {
    let rig = Rig::start().await;
    let mut shard = rig.softphone_shard(&[], &[]).await;
    let page =
        Page::online_with(&rig, &mut shard, "&uuid=crm%2042&customer_name=R%C3%A9a&note=x").await;
    let (call_id, _) = page.place(&rig, &mut shard).await;
    assert_eq!(rig.call(&call_id).await["uuid"], "crm 42");
    shard.end(&call_id, CallStatus::Busy).await;
    let job = rig.app.records.blocking().callback_job(&call_id).unwrap().expect("a callback");
    assert_eq!(serde_json::from_str::<Value>(&job.body).unwrap()["uuid"], "crm 42");
    // Dialled again at once: a new call of the same record.
    let again = Page::open_with(&rig, "&uuid=crm%2042").await;
    shard.expect_grant().await;
    let (next_id, _) = again.place(&rig, &mut shard).await;
    assert_ne!(next_id, call_id);
    assert_eq!(rig.call(&next_id).await["uuid"], "crm 42");
    assert_eq!(
        rig.get("/calls?uuid=crm%2042").await.expect(200).json()["calls"].as_array().unwrap().len(),
        2
    );
    rig.stop().await;
}

#[tokio::test]
async fn a_session_ends_with_its_time() {
    let rig = Rig::start_with(|config| config.softphone.session_s = 2).await;
    let mut shard = rig.softphone_shard(&[], &[]).await;
    let page = Page::open(&rig, AGENT, CUSTOMER).await;
    shard.expect_grant().await;
    page.call(&rig).await.expect_problem(404, "not_found");
    let mut events = page.events(&rig).await;
    assert_eq!(events.next().await, None, "its page hears nothing more");
    page.call(&rig).await.expect_problem(401, "session_over");
    let (id, _) = page.secret.split_once('.').unwrap();
    assert!(rig.app.records.blocking().session(id).unwrap().is_some());
    control_api::retention::expire_once(&rig.app, control_api::clock::now_ms()).await.unwrap();
    assert!(rig.app.records.blocking().session(id).unwrap().is_none());
    rig.stop().await;
}

// A6, S44: the limits of the account hold for launched calls, too
#[tokio::test]
async fn a_launched_call_is_refused_like_any_other() {
    let rig = Rig::start().await;
    let mut shard = rig.softphone_shard(&[], &[]).await;
    let page = Page::online(&rig, &mut shard, AGENT, CUSTOMER).await;
    rig.change_account(|account| account.limits.max_concurrent_calls = 0);
    page.start(&rig, "granted").await.expect_problem(429, "concurrency_limit");
    rig.change_account(|account| {
        account.limits.max_concurrent_calls = 10;
        account.trunks.clear();
    });
    page.start(&rig, "granted").await.expect_problem(503, "no_trunk");
    rig.change_account(|account| account.trunks = vec!["carrier".into()]);
    rig.app.records.blocking().delete_number(&ACCOUNT.into(), CALLER_ID).unwrap();
    page.start(&rig, "granted").await.expect_problem(403, "from_number_not_assigned");
    assert_eq!(rig.app.limits.lines.live_count(), 0);
    let number = storage::Number { e164: CALLER_ID.into(), account_id: ACCOUNT.into() };
    rig.app.records.blocking().put_number(&number).unwrap();
    page.place(&rig, &mut shard).await;
    rig.stop().await;
}

// S18: calls that the backend places for the softphone
#[tokio::test]
async fn a_backend_rings_the_softphone() {
    let rig = Rig::start().await;
    let mut shard = rig.softphone_shard(&[], &[]).await;
    let mut body = guide_call();
    body["agent_number"] = Value::Null;
    body["crm_username"] = json!(AGENT);
    body["uuid"] = json!("lead-7");
    rig.post_call(body.clone()).await.expect_problem(409, "agent_offline");
    let page = Page::online(&rig, &mut shard, AGENT, "9876543219").await;
    let mut events = page.events(&rig).await;
    let call = rig.post_call(body.clone()).await.expect(201).json();
    for (key, value) in [
        ("call_type", json!("server")),
        ("crm_username", json!(AGENT)),
        ("agent_number", Value::Null),
        ("uuid", json!("lead-7")),
    ] {
        assert_eq!(call[key], value, "{key}");
    }
    let place = shard.expect_call().await;
    assert_eq!(
        place.agent,
        AgentTarget::Softphone { agent: name(&rig, AGENT), ring_ms: 30_000, opus: true }
    );
    // The page that did not ask for it learns of it both ways.
    assert_eq!(events.next().await.unwrap()["call_id"], place.call_id.as_str());
    assert_eq!(page.call(&rig).await.expect(200).json()["call_id"], place.call_id.as_str());
    // The same request again names the call; another finds the agent busy.
    assert_eq!(
        rig.post_call(body.clone()).await.expect(200).json()["call_id"],
        place.call_id.as_str()
    );
    body["uuid"] = json!("lead-8");
    rig.post_call(body.clone()).await.expect_problem(409, "agent_busy");
    page.send(&rig, Method::POST, "close", None).await.expect(204);
    assert!(
        !rig.app.records.blocking().call(&place.call_id).unwrap().unwrap().hang_up_requested,
        "the page's hang-up is the edge's to see"
    );
    shard.end(place.call_id.as_str(), CallStatus::NoAnswer).await;
    rig.post_call(body).await.expect(201);
    rig.stop().await;
}
