//! Placing, ending and changing calls.

use crate::rig::{ACCOUNT, CALLER_ID, Rig, ended, guide_call, told, two_talk, without_delivery};
use call_words::{CallStatus, TransportKind};
use control_api::clock::now_ms;
use control_wire::{AgentTarget, Destination, Event, FromEdge, Milestone};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn with(changes: Value) -> Value {
    let mut body = guide_call();
    for (key, value) in changes.as_object().unwrap() {
        body[key] = value.clone();
    }
    body
}

// S16, A21
#[tokio::test]
async fn the_guides_request_places_a_call() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    let answer =
        rig.post_call(with(json!({ "uuid": "your-own-call-id", "unknown": { "key": [1] } }))).await;
    let body = answer.expect(201).json();
    let call_id = body["call_id"].as_str().unwrap();
    assert!(uuid::Uuid::parse_str(call_id).is_ok());
    assert_eq!(body["uuid"], "your-own-call-id");
    assert_eq!(answer.header("location"), format!("/calls/{call_id}"));
    let call = rig.get(answer.header("location")).await;
    assert_eq!(call.expect(200).json()["state"], "placed");
    for (key, value) in [
        ("status", Value::Null),
        ("duration", json!(0)),
        ("customer_number", json!("9876543210")),
        ("customer_number_e164", json!("+919876543210")),
        ("agent_number", json!("098765 43211")),
        ("crm_username", Value::Null),
        ("call_type", json!("server")),
        ("disposition", json!("CRM_CALL")),
        ("direction", json!("outbound")),
        ("record", json!(true)),
        ("end_time", Value::Null),
    ] {
        assert_eq!(body[key], value, "{key}");
    }
    assert!(body.get("recording_url").is_none(), "there is no recording yet");

    let place = shard.expect_call().await;
    assert_eq!((place.call_id.as_str(), place.account_id.as_str()), (call_id, ACCOUNT));
    let AgentTarget::Phone(agent) = &place.agent else { panic!("a phone") };
    assert_eq!((agent.ring_ms, place.customer.ring_ms), (30_000, 45_000));
    assert_eq!((place.max_duration_ms, place.no_media_ms), (4 * 3_600_000, 30_000));
    for (destination, user) in [(agent, "+919876543211"), (&place.customer, "+919876543210")] {
        let [route] = destination.routes.as_slice() else { panic!("one trunk, one address") };
        assert_eq!((route.request_user.as_str(), route.caller_id.as_str()), (user, CALLER_ID));
        assert_eq!(
            (route.transport, route.address.to_string().as_str()),
            (TransportKind::Udp, "127.0.0.1:5060")
        );
    }
    let name = place.recording.unwrap();
    assert!(
        name.as_str().starts_with("crm_")
            && name.as_str().ends_with(".wav")
            && name.as_str().len() >= 4 + 22 + 4
    );
    rig.stop().await;
}

#[tokio::test]
async fn recording_and_disposition_can_be_chosen() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    let body = rig
        .post_call(with(json!({ "record": false, "disposition": "FOLLOW_UP", "uuid": null })))
        .await
        .expect(201)
        .json();
    assert_eq!(
        (&body["record"], &body["disposition"], &body["uuid"]),
        (&json!(false), &json!("FOLLOW_UP"), &body["call_id"])
    );
    assert_eq!(shard.expect_call().await.recording, None);
    rig.change_account(|account| account.record_by_default = false);
    rig.post_call(guide_call()).await.expect(201);
    assert_eq!(shard.expect_call().await.recording, None);
    rig.post_call(with(json!({ "record": true }))).await.expect(201);
    assert!(shard.expect_call().await.recording.is_some());
    rig.stop().await;
}

// A9: off unless the account or the request says so.
#[tokio::test]
async fn confirmation_of_the_agents_phone_can_be_chosen() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    for (is_set, asked, expected) in [
        (false, Value::Null, false),
        (false, json!(true), true),
        (false, json!(false), false),
        (true, Value::Null, true),
        (true, json!(true), true),
        (true, json!(false), false),
    ] {
        rig.change_account(|account| account.agent_confirm = is_set);
        rig.post_call(with(json!({ "agent_confirm": asked }))).await.expect(201);
        assert_eq!(shard.expect_call().await.agent_confirm, expected, "{asked} over {is_set}");
    }
    rig.stop().await;
}

// RFC 3323: of the call that asks for it, toward all but the agent's phone.
#[tokio::test]
async fn one_call_can_withhold_its_callers_number() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    for (asked, expected) in [(Value::Null, false), (json!(false), false), (json!(true), true)] {
        let view = rig.post_call(with(json!({ "hide_caller": asked }))).await.expect(201).json();
        assert_eq!(view["hide_caller"], expected, "{asked}");
        let placed = shard.expect_call().await;
        let AgentTarget::Phone(agent) = &placed.agent else { panic!("a phone") };
        let hides = |to: &Destination| to.routes.iter().map(|route| route.hides_caller).collect();
        let (customer, agent): (Vec<bool>, Vec<bool>) = (hides(&placed.customer), hides(agent));
        assert_eq!((customer, agent), (vec![expected], vec![false]), "{asked}");
        let path = format!("/calls/{}", placed.call_id);
        assert_eq!(rig.get(&path).await.expect(200).json()["hide_caller"], expected);
    }
    // What a trunk hides no call shows.
    let settings = json!({ "hides_caller": true });
    rig.admin_json(Method::PUT, "/admin/trunks/carrier", settings).await.expect(200);
    rig.post_call(with(json!({ "hide_caller": false }))).await.expect(201);
    assert!(shard.expect_call().await.customer.routes[0].hides_caller);
    rig.stop().await;
}

// A7: the answers that depend on the body alone.
#[tokio::test]
async fn refused_requests_create_no_call() {
    let rig = Rig::start().await;
    let _shard = rig.shard(1, &[]).await;
    let long = "x".repeat(129);
    let cases = [
        (with(json!({ "to_number": "98765" })), 422, "invalid_number", "to_number"),
        (with(json!({ "to_number": "112" })), 422, "invalid_number", "to_number"),
        (with(json!({ "to_number": null })), 422, "missing_field", "to_number"),
        (with(json!({ "to_number": 9876543210_u64 })), 400, "malformed_json", "to_number"),
        (with(json!({ "agent_number": "call me" })), 422, "invalid_number", "agent_number"),
        (with(json!({ "agent_number": null })), 422, "missing_agent", "agent_number"),
        (with(json!({ "agent_number": " " })), 422, "missing_agent", "crm_username"),
        (with(json!({ "crm_username": "agent.017" })), 422, "ambiguous_agent", "crm_username"),
        (
            with(json!({ "agent_number": null, "crm_username": "agent.019" })),
            422,
            "unknown_agent",
            "crm_username",
        ),
        (
            with(json!({ "agent_number": null, "crm_username": "Agent.017" })),
            422,
            "unknown_agent",
            "crm_username",
        ),
        (
            with(json!({ "agent_number": null, "crm_username": long.clone() })),
            422,
            "invalid_crm_username",
            "crm_username",
        ),
        (
            with(json!({ "agent_number": null, "crm_username": "agent.017" })),
            409,
            "agent_offline",
            "",
        ),
        (with(json!({ "from_number": null })), 422, "missing_field", "from_number"),
        (
            with(json!({ "from_number": "+918047123457" })),
            403,
            "from_number_not_assigned",
            "from_number",
        ),
        (
            with(json!({ "from_number": "nonsense" })),
            403,
            "from_number_not_assigned",
            "from_number",
        ),
        (with(json!({ "uuid": "" })), 422, "invalid_uuid", "uuid"),
        (with(json!({ "uuid": long })), 422, "invalid_uuid", "uuid"),
        (with(json!({ "disposition": "" })), 422, "invalid_disposition", "disposition"),
        (with(json!({ "disposition": "a\nb" })), 422, "invalid_disposition", "disposition"),
        (with(json!({ "record": "yes" })), 400, "malformed_json", "record"),
        (with(json!({ "agent_confirm": 1 })), 400, "malformed_json", "agent_confirm"),
        (with(json!({ "hide_caller": "id" })), 400, "malformed_json", "hide_caller"),
        // B09: only the account's own country, unless it names others.
        (with(json!({ "to_number": "+44 20 7946 0018" })), 422, "country_not_allowed", "to_number"),
        (with(json!({ "to_number": "+1 876 317 5862" })), 422, "country_not_allowed", "to_number"),
        (
            with(json!({ "agent_number": "+49 30 123456" })),
            422,
            "country_not_allowed",
            "agent_number",
        ),
        (json!([]), 400, "malformed_json", ""),
        (json!("text"), 400, "malformed_json", ""),
    ];
    for (body, status, code, field) in cases {
        let answer = rig.post_call(body.clone()).await;
        let problem = answer.expect_problem(status, code).json();
        let fields: Vec<&str> = problem["errors"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|e| e["field"].as_str().unwrap())
            .collect();
        assert!(
            if field.is_empty() { fields.is_empty() } else { fields.contains(&field) },
            "{body}: {problem}"
        );
        if code == "from_number_not_assigned" {
            assert_eq!(problem["assigned_numbers"], json!([CALLER_ID]));
        }
    }
    assert_eq!(rig.get("/calls").await.expect(200).json()["calls"], json!([]));
    assert_eq!(rig.app.limits.lines.live_count(), 0);
    rig.stop().await;
}

// A7, S16: the answers that depend on how the request is made.
#[tokio::test]
async fn requests_that_are_not_json_or_not_known() {
    let rig = Rig::start().await;
    let key = rig.server_key.clone();
    let post = async |content_type: Option<&str>, body: String| {
        let (key, content_type) = (key.clone(), content_type.map(str::to_owned));
        rig.request(Method::POST, "/calls", |request| {
            let request = request.bearer_auth(key).body(body);
            content_type
                .into_iter()
                .fold(request, |request, value| request.header("content-type", value))
        })
        .await
    };
    post(None, guide_call().to_string()).await.expect_problem(415, "unsupported_media_type");
    post(Some("text/plain"), guide_call().to_string())
        .await
        .expect_problem(415, "unsupported_media_type");
    post(Some("application/json"), "{".into()).await.expect_problem(400, "malformed_json");
    post(Some("application/json"), format!("{} {{}}", guide_call()))
        .await
        .expect_problem(400, "malformed_json");
    post(Some("application/json"), format!("{{\"x\":{}", "[".repeat(10_000)))
        .await
        .expect_problem(400, "malformed_json");
    post(Some("application/json"), format!("\"{}\"", "x".repeat(70_000)))
        .await
        .expect_problem(413, "payload_too_large");
    // Well formed, so that it is refused for the want of a shard only.
    post(Some("Application/JSON; charset=utf-8"), guide_call().to_string())
        .await
        .expect_problem(503, "no_edge");
    let put = rig.send(Method::PUT, "/calls", None).await;
    assert!(put.expect_problem(405, "method_not_allowed").header("allow").contains("POST"));
    rig.get("/nowhere").await.expect_problem(404, "not_found");
    rig.get("/calls/%ff").await.expect_problem(400, "malformed_path");
    rig.stop().await;
}

/// Many a client sends its whole body before it reads.
#[tokio::test]
async fn a_body_that_is_too_long_for_sockets_to_hold_is_answered() {
    let rig = Rig::start().await;
    let mut client = TcpStream::connect(rig.address()).await.unwrap();
    let body = vec![b'x'; 16 * 1024 * 1024];
    let head = format!(
        "POST /calls HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {}\r\n\
            Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        rig.server_key,
        body.len()
    );
    client.write_all(head.as_bytes()).await.unwrap();
    client.write_all(&body).await.expect("the body is taken");
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.expect("an answer and an end");
    assert!(
        answer.starts_with("HTTP/1.1 413 ") && answer.contains("\"payload_too_large\""),
        "{answer}"
    );
    drop(client);
    rig.stop().await;
}

// S28
#[tokio::test]
async fn uuids_come_back_byte_exact() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    for uuid in ["😀 \"quoted\" \\ 'x'", "  outer spaces  ", &"é".repeat(128), "\u{200b}\n\t", "0"]
    {
        let body = rig.post_call(with(json!({ "uuid": uuid }))).await.expect(201).json();
        assert_eq!(body["uuid"], uuid);
        shard.expect_call().await;
        assert_eq!(rig.call(body["call_id"].as_str().unwrap()).await["uuid"], uuid);
    }
    rig.stop().await;
}

// A3
#[tokio::test]
async fn a_repeated_request_names_the_first_call() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    let first = rig.post_call(with(json!({ "uuid": "u1" }))).await.expect(201).json();
    let repeated = rig.post_call(with(json!({ "uuid": "u1", "ignored": 1 }))).await;
    assert_eq!(repeated.expect(200).json()["call_id"], first["call_id"]);
    assert_eq!(
        repeated.header("location"),
        format!("/calls/{}", first["call_id"].as_str().unwrap())
    );
    rig.post_call(with(json!({ "uuid": "u1", "to_number": "9876543212" })))
        .await
        .expect_problem(409, "uuid_clash");
    // Other calls without a uuid are calls of their own.
    rig.post_call(guide_call()).await.expect(201);

    let with_key = async |key: &str, body: Value| {
        let (key, server_key) = (key.to_owned(), rig.server_key.clone());
        let build = |request: reqwest::RequestBuilder| {
            let request = request.bearer_auth(server_key).header("idempotency-key", key);
            request.header("content-type", "application/json").body(body.to_string())
        };
        rig.request(Method::POST, "/calls", build).await
    };
    let keyed = with_key("k1", guide_call()).await.expect(201).json();
    assert_eq!(with_key("k1", guide_call()).await.expect(200).json()["call_id"], keyed["call_id"]);
    with_key("k1", with(json!({ "record": false }))).await.expect_problem(409, "idempotency_clash");
    for other in [json!({ "agent_confirm": false }), json!({ "hide_caller": false })] {
        with_key("k1", with(other)).await.expect_problem(409, "idempotency_clash");
    }
    with_key("", guide_call()).await.expect_problem(400, "malformed_header");
    with_key(&"k".repeat(256), guide_call()).await.expect_problem(400, "malformed_header");

    let placed = [shard.expect_call().await, shard.expect_call().await, shard.expect_call().await];
    assert_eq!(
        (&json!(placed[0].call_id), &json!(placed[2].call_id)),
        (&first["call_id"], &keyed["call_id"])
    );
    assert_eq!(rig.app.limits.lines.live_count(), 3, "three calls, three commands");
    rig.stop().await;
}

// S44
#[tokio::test]
async fn limits_answer_429_and_change_live() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    rig.change_account(|account| account.limits.max_concurrent_calls = 1);
    let (call_id, _) = rig.place(&mut shard).await;
    let refused = rig.post_call(guide_call()).await;
    assert!(
        refused
            .expect_problem(429, "concurrency_limit")
            .header("retry-after")
            .parse::<u64>()
            .unwrap()
            >= 1
    );
    rig.change_account(|account| account.limits.max_concurrent_calls = 2);
    rig.place(&mut shard).await;
    rig.post_call(guide_call()).await.expect_problem(429, "concurrency_limit");
    shard.end(&call_id, CallStatus::Busy).await;
    rig.place(&mut shard).await;
    rig.change_account(|account| {
        account.limits.max_concurrent_calls = 100;
        account.limits.calls_per_second = 0;
    });
    let refused = rig.post_call(guide_call()).await;
    assert!(
        refused.expect_problem(429, "rate_limit").header("retry-after").parse::<u64>().unwrap()
            >= 1
    );
    rig.stop().await;
}

// A7: 503
#[tokio::test]
async fn no_line_answers_503() {
    let rig = Rig::start().await;
    let unavailable = async |code: &str| {
        let answer = rig.post_call(guide_call()).await;
        assert!(
            answer.expect_problem(503, code).header("retry-after").parse::<u64>().unwrap() >= 1
        );
    };
    unavailable("no_edge").await;
    let mut shard = rig.shard(1, &[]).await;
    let full = control_wire::ShardStatus { call_capacity: 1, ..crate::rig::status() };
    shard.write(&FromEdge::Status(full)).await;
    rig.place(&mut shard).await;
    unavailable("capacity").await;
    shard
        .write(&FromEdge::Status(control_wire::ShardStatus {
            draining: true,
            ..crate::rig::status()
        }))
        .await;
    let drained = async {
        while rig.app.link.is_ready() {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await
        }
    };
    tokio::time::timeout(crate::rig::DEADLINE, drained).await.unwrap();
    unavailable("draining").await;
    let trunk = rig.app.records.blocking().trunk(&"carrier".into()).unwrap().unwrap();
    rig.app.records.blocking().put_trunk(&storage::Trunk { max_calls: 1, ..trunk }).unwrap();
    unavailable("trunks_full").await;
    rig.change_account(|account| account.trunks.clear());
    unavailable("no_trunk").await;
    assert_eq!(rig.app.limits.lines.live_count(), 1, "a refused request holds no line");
    rig.stop().await;
}

// S14, A11 by the edge; here: the command, and that repeating it changes nothing.
#[tokio::test]
async fn delete_hangs_up_once_and_can_be_repeated() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    let (call_id, _) = rig.place(&mut shard).await;
    let path = format!("/calls/{call_id}");
    rig.send(Method::DELETE, &path, None).await.expect(204);
    assert_eq!(shard.expect_hang_up().await, call_id.as_str());
    rig.send(Method::DELETE, &path, None).await.expect(204);
    assert_eq!(shard.expect_hang_up().await, call_id.as_str());
    shard.end(&call_id, CallStatus::Canceled).await;
    let call = rig.call(&call_id).await;
    assert_eq!((&call["status"], &call["state"]), (&json!("CANCELED"), &json!("ended")));
    rig.send(Method::DELETE, &path, None).await.expect(204);
    assert_eq!(without_delivery(rig.call(&call_id).await), without_delivery(call));
    rig.send(Method::DELETE, "/calls/00000000-0000-4000-8000-000000000000", None)
        .await
        .expect_problem(404, "not_found");
    rig.stop().await;
}

// A15
#[tokio::test]
async fn disposition_changes_live_and_after_the_end() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    let (call_id, _) = rig.place(&mut shard).await;
    let path = format!("/calls/{call_id}");
    let change = async |disposition: &str| {
        rig.send(Method::PATCH, &path, Some(json!({ "disposition": disposition }))).await
    };
    assert_eq!(change("INTERESTED").await.expect(200).json()["disposition"], "INTERESTED");
    shard.end(&call_id, CallStatus::NoAnswer).await;
    let changed = change("CALL_LATER").await.expect(200).json();
    assert_eq!(
        (&changed["disposition"], &changed["status"]),
        (&json!("CALL_LATER"), &json!("NO_ANSWER"))
    );
    change("").await.expect_problem(422, "invalid_disposition");
    rig.send(Method::PATCH, &path, Some(json!({}))).await.expect_problem(400, "malformed_json");
    rig.send(Method::PATCH, "/calls/x", Some(json!({ "disposition": "A" })))
        .await
        .expect_problem(404, "not_found");
    rig.stop().await;
}

#[tokio::test]
async fn redelivery_needs_an_ended_call_that_is_not_being_tried() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    let (call_id, _) = rig.place(&mut shard).await;
    let path = format!("/calls/{call_id}/callback/redeliver");
    rig.send(Method::POST, &path, None).await.expect_problem(409, "call_live");
    shard.end(&call_id, CallStatus::Failed).await;
    rig.send(Method::POST, &path, None).await.expect_problem(409, "callback_pending");
    rig.change_account(|account| account.callback = None);
    let (without, _) = rig.place(&mut shard).await;
    shard.end(&without, CallStatus::Failed).await;
    rig.send(Method::POST, &format!("/calls/{without}/callback/redeliver"), None)
        .await
        .expect_problem(409, "no_callback");
    rig.change_account(|account| {
        account.callback = Some(storage::CallbackSettings {
            url: "https://127.0.0.1:9/results".into(),
            auth_header: None,
            signing_secret: storage::Sealed(vec![]),
            max_retries: 0,
            earlier_secrets: Vec::new(),
        });
    });
    rig.send(Method::POST, &format!("/calls/{without}/callback/redeliver"), None).await.expect(202);
    assert!(rig.app.records.blocking().callback_job(&without).unwrap().is_some());
    rig.send(Method::POST, "/calls/x/callback/redeliver", None)
        .await
        .expect_problem(404, "not_found");
    rig.stop().await;
}

// B09
#[tokio::test]
async fn countries_and_minutes_of_an_account_hold_from_the_next_call_on() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    let abroad =
        with(json!({ "to_number": "+44 20 7946 0018", "agent_number": "+1 520 878 2491" }));
    rig.change_account(|account| {
        account.countries = ["GB", "US"].map(|country| country.parse().unwrap()).to_vec()
    });
    rig.post_call(abroad.clone()).await.expect(201);
    shard.expect_call().await;
    let refused = rig.post_call(guide_call()).await;
    let detail = refused.expect_problem(422, "country_not_allowed").json()["detail"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(detail.contains("`countries`") && detail.contains("GB, US"), "{detail}");
    rig.change_account(|account| account.countries.clear());
    rig.post_call(abroad).await.expect_problem(422, "country_not_allowed");

    let running = rig.talk(&mut shard).await;
    let call_id = rig.talk(&mut shard).await;
    let mut end = ended(&call_id, CallStatus::Answer);
    end.duration_s = 3 * 60;
    shard.tell(Event::Ended(Box::new(end))).await;
    rig.change_account(|account| account.minutes_per_day = 3);
    let refused = rig.post_call(guide_call()).await;
    assert!(
        refused.expect_problem(429, "minutes_limit").header("retry-after").parse::<u64>().unwrap()
            <= 86_400
    );
    assert!(refused.json()["detail"].as_str().unwrap().contains("`minutes_per_day`"));
    // Third parties are calls, too.
    let third = Some(json!({ "to_number": "9876543219", "flow": "join" }));
    let participants = format!("/calls/{running}/participants");
    rig.post(&participants, third).await.expect_problem(429, "minutes_limit");
    // What was talked is known after a restart, too.
    let rig = rig.restart().await;
    let mut shard = rig.shard(1, &[&running]).await;
    rig.post_call(guide_call()).await.expect_problem(429, "minutes_limit");
    rig.change_account(|account| account.minutes_per_day = 4);
    rig.place(&mut shard).await;
    rig.stop().await;
}

// B09
#[tokio::test]
async fn a_call_that_runs_uses_up_minutes() {
    const DAY_MS: u64 = 86_400_000;
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    let (lasting, _) = rig.place(&mut shard).await;
    rig.change_account(|account| account.minutes_per_day = 1);
    rig.place(&mut shard).await;
    let at_ms = now_ms() - DAY_MS;
    let bridged = Milestone { at_ms, ..told(&lasting, 1, "bridged", None, two_talk()) };
    shard.tell(Event::Milestone(bridged)).await;
    // Of today; in the first minute of a day that is none yet.
    if now_ms() % DAY_MS > 60_000 {
        rig.post_call(guide_call()).await.expect_problem(429, "minutes_limit");
    }
    rig.change_account(|account| account.minutes_per_day = 24 * 60 + 1);
    rig.place(&mut shard).await;
    rig.stop().await;
}

// A UUID is the same in capitals and without hyphens.
#[tokio::test]
async fn a_call_is_found_by_its_id_in_any_spelling() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    let call_id = rig.talk(&mut shard).await;
    for spelling in [
        call_id.to_uppercase(),
        call_id.replace('-', ""),
        format!("%7B{}%7D", call_id.to_uppercase()),
    ] {
        for path in ["", "/timeline"] {
            let found = rig.get(&format!("/calls/{spelling}{path}")).await;
            assert_eq!(found.expect(200).json()["call_id"], call_id, "{spelling}{path}");
        }
        let changed = rig
            .send(Method::PATCH, &format!("/calls/{spelling}"), Some(json!({ "disposition": "X" })))
            .await;
        changed.expect(200);
        let path = format!("/calls/{spelling}/hold");
        let (answer, _) = tokio::join!(rig.post(&path, None), shard.refuse("on_hold"));
        answer.expect_problem(409, "on_hold");
    }
    rig.send(Method::DELETE, &format!("/calls/{}", call_id.to_uppercase()), None).await.expect(204);
    assert_eq!(shard.expect_hang_up().await, call_id.as_str());
    rig.get("/calls/none").await.expect_problem(404, "not_found");
    rig.stop().await;
}

// A3: what names the same call takes no other one's place.
#[tokio::test]
async fn equal_requests_at_once_use_up_one_turn() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    rig.change_account(|account| account.limits.calls_per_second = 2);
    let send = |name: &'static str| {
        let body = match name {
            "key" => guide_call(),
            _ => with(json!({ "uuid": "crm-42" })),
        };
        let key = rig.server_key.clone();
        rig.request(Method::POST, "/calls", move |request| {
            let request = request
                .bearer_auth(key)
                .header("content-type", "application/json")
                .body(body.to_string());
            if name == "key" { request.header("idempotency-key", "once") } else { request }
        })
    };
    for name in ["key", "uuid"] {
        let mut answers = futures_util::future::join_all((0..20).map(|_| send(name))).await;
        answers.sort_by_key(|answer| std::cmp::Reverse(answer.status));
        let call_id = answers[0].expect(201).json()["call_id"].clone();
        for answer in &answers[1..] {
            assert_eq!(answer.expect(200).json()["call_id"], call_id, "{name}");
        }
        assert_eq!(call_id, shard.expect_call().await.call_id.as_str());
    }
    rig.stop().await;
}
