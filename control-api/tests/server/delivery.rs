//! Results that were given up: found by the account and by operators, and pushed again; and what
//! the removal of an account takes along.

use crate::rig::{ACCOUNT, DEADLINE, Rig, Stream};
use call_words::CallStatus;
use reqwest::Method;
use serde_json::{Value, json};
use storage::{Account, CallFilter};
use tokio::time::{sleep, timeout};

/// Waits until the result was given up after so many attempts.
async fn exhausted(rig: &Rig, call_id: &str, attempts: u32) {
    let wait = async {
        loop {
            let callback = rig.call(call_id).await["callback"].clone();
            if (&callback["state"], &callback["attempts"])
                == (&json!("exhausted"), &json!(attempts))
            {
                // The tests' endpoint is none that a connection is made to.
                assert_eq!(callback["last_error"], "blocked_address");
                return assert_eq!(callback["next_attempt_time"], Value::Null);
            }
            sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    timeout(DEADLINE, wait).await.expect("the result was never given up");
}

fn ids(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|item| item["call_id"].as_str().unwrap()).collect()
}

// B08
#[tokio::test]
async fn given_up_results_are_found_and_pushed_again() {
    let rig = Rig::start().await;
    rig.change_account(|account| account.callback.as_mut().unwrap().max_retries = 0);
    let mut shard = rig.shard(1, &[]).await;
    let (live, _) = rig.place(&mut shard).await;
    let mut lost = Vec::new();
    let mut stream = Stream::open(&rig, "/events").await;
    for _ in 0..3 {
        let (call_id, _) = rig.place(&mut shard).await;
        shard.end(&call_id, CallStatus::Busy).await;
        // At once, though nothing else happens.
        let told = stream.named("callback_exhausted").await.unwrap();
        assert_eq!(told["call_id"], call_id);
        exhausted(&rig, &call_id, 1).await;
        lost.insert(0, call_id);
    }
    assert_eq!(rig.call(&live).await["callback"], Value::Null);
    // By the account.
    for (query, expected) in [("exhausted", &lost[..]), ("pending", &[]), ("delivered", &[])] {
        let list = rig.get(&format!("/calls?callback={query}")).await.expect(200).json();
        assert_eq!(ids(&list["calls"]), expected, "{query}");
        for call in list["calls"].as_array().unwrap() {
            assert_eq!(call["callback"]["state"], query);
        }
    }
    let page = rig.get("/calls?callback=exhausted&limit=2").await.expect(200).json();
    assert_eq!(ids(&page["calls"]), lost[..2]);
    let cursor = page["next_cursor"].as_str().unwrap();
    let page = rig
        .get(&format!("/calls?callback=exhausted&limit=2&cursor={cursor}"))
        .await
        .expect(200)
        .json();
    assert_eq!((ids(&page["calls"]), &page["next_cursor"]), (vec![lost[2].as_str()], &Value::Null));
    for query in ["callbak=exhausted", "callback=lost", "callback="] {
        let problem =
            rig.get(&format!("/calls?{query}")).await.expect_problem(400, "malformed_query").json();
        assert!(problem["detail"].as_str().unwrap().contains("callba"), "{problem}");
    }
    // By operators.
    for (query, expected) in [
        ("", &lost[..]),
        ("?state=exhausted&account=acme", &lost[..]),
        ("?account=other", &[]),
        ("?state=pending", &[]),
    ] {
        let list =
            rig.admin(Method::GET, &format!("/admin/deliveries{query}")).await.expect(200).json();
        assert_eq!(ids(&list["deliveries"]), expected, "{query}");
    }
    let page = rig.admin(Method::GET, "/admin/deliveries?limit=2").await.expect(200).json();
    let first = &page["deliveries"][0];
    assert_eq!(
        (&first["account"], &first["state"], &first["attempts"]),
        (&json!(ACCOUNT), &json!("exhausted"), &json!(1))
    );
    let cursor = page["next_cursor"].as_str().unwrap();
    let page = rig
        .admin(Method::GET, &format!("/admin/deliveries?limit=2&cursor={cursor}"))
        .await
        .expect(200)
        .json();
    assert_eq!(ids(&page["deliveries"]), lost[2..]);
    for (query, status) in
        [("?state=delivered", 400), ("?page=2", 400), ("?cursor=x", 400), ("?account=nobody", 404)]
    {
        rig.admin(Method::GET, &format!("/admin/deliveries{query}")).await.expect(status);
    }
    let calls = rig
        .admin(Method::GET, "/admin/accounts/acme/calls?callback=exhausted")
        .await
        .expect(200)
        .json();
    assert_eq!(ids(&calls["calls"]), lost);
    for (path, status) in [("nobody/calls", 404), ("acme/calls?page=2", 400)] {
        rig.admin(Method::GET, &format!("/admin/accounts/{path}")).await.expect(status);
    }
    let calls =
        rig.admin(Method::GET, "/admin/accounts/acme/calls?live=true").await.expect(200).json();
    assert_eq!(ids(&calls["calls"]), [live.as_str()]);
    let calls = rig.admin(Method::GET, "/admin/calls/live").await.expect(200).json();
    assert_eq!((ids(&calls), &calls[0]["account"]), (vec![live.as_str()], &json!(ACCOUNT)));
    let metrics = rig.operator("/metrics").await.expect(200).body.clone();
    let metrics = String::from_utf8(metrics).unwrap();
    assert!(metrics.contains("\ncontrol_api_callbacks_exhausted 3\n"), "{metrics}");
    assert!(metrics.contains("\ncontrol_api_callbacks_pending 0\n"), "{metrics}");
    // One, then all.
    rig.admin(Method::POST, &format!("/admin/deliveries/{}/redeliver", lost[0])).await.expect(202);
    exhausted(&rig, &lost[0], 2).await;
    let all = rig.admin(Method::POST, "/admin/accounts/acme/deliveries/redeliver").await;
    assert_eq!(all.expect(202).json(), json!({ "queued": 3, "more": false }));
    exhausted(&rig, &lost[0], 3).await;
    exhausted(&rig, &lost[1], 2).await;
    exhausted(&rig, &lost[2], 2).await;
    rig.admin(Method::POST, &format!("/admin/deliveries/{live}/redeliver")).await.expect(409);
    rig.admin(Method::POST, "/admin/deliveries/nothing/redeliver").await.expect(404);
    // The account's stream tells it, each time.
    let words = rig.app.records.blocking().events(&ACCOUNT.into(), 0, 100).unwrap();
    assert_eq!(
        words.iter().filter(|event| event.event.as_str() == "callback_exhausted").count(),
        7
    );
    rig.stop().await;
}

// B07
#[tokio::test]
async fn an_account_in_use_stays_and_a_removed_one_leaves_nothing_to_see() {
    let rig = Rig::start().await;
    rig.change_account(|account| account.callback.as_mut().unwrap().max_retries = 0);
    let mut shard = rig.shard(1, &[]).await;
    let (call_id, place) = rig.place(&mut shard).await;
    let path = "/admin/accounts/acme";
    for query in ["", "?confirm=true"] {
        rig.admin(Method::DELETE, &format!("{path}{query}")).await.expect_problem(409, "in_use");
    }
    rig.admin(Method::DELETE, "/admin/accounts/acme/callback").await.expect_problem(409, "in_use");
    let found = rig.admin(Method::DELETE, &format!("{path}?dry_run=true")).await.expect(200).json();
    assert_eq!(
        (&found["removed"], &found["live_calls"], &found["calls"]),
        (&json!(false), &json!(1), &json!(1))
    );
    let file_name = place.recording.unwrap();
    std::fs::write(rig.recording_path(file_name.as_str()), crate::rig::wav()).unwrap();
    let end = control_wire::Ended {
        recording: Some(control_wire::RecordingResult {
            file_name: file_name.clone(),
            duration_ms: 5_000,
            file_len: 1,
            pauses: Vec::new(),
        }),
        ..crate::rig::ended(&call_id, CallStatus::Answer)
    };
    shard.tell(control_wire::Event::Ended(Box::new(end))).await;
    exhausted(&rig, &call_id, 1).await;
    rig.get(&format!("/recordings/{file_name}")).await.expect(200);

    let refused =
        rig.admin(Method::DELETE, path).await.expect_problem(409, "confirmation_needed").json();
    let detail = refused["detail"].as_str().unwrap();
    for part in ["1 calls", "1 recordings", "1 results that were never delivered", "confirm=true"] {
        assert!(detail.contains(part), "{detail}");
    }
    rig.get(&format!("/calls/{call_id}")).await.expect(200);
    rig.admin(Method::DELETE, &format!("{path}?confirm=perhaps")).await.expect(400);
    let removed =
        rig.admin(Method::DELETE, &format!("{path}?confirm=true")).await.expect(200).json();
    assert_eq!(
        (&removed["removed"], &removed["calls"], &removed["recordings"]),
        (&json!(true), &json!(1), &json!(1))
    );
    rig.get("/calls").await.expect_problem(401, "unauthorized");
    rig.request(Method::GET, &format!("/recordings/{file_name}"), |request| request)
        .await
        .expect_problem(410, "gone");
    assert!(!rig.recording_path(file_name.as_str()).exists(), "the file is gone, too");
    // The next account of this id.
    rig.app.records.blocking().put_account(&Account::new(ACCOUNT, "Another")).unwrap();
    assert_eq!(
        rig.app
            .records
            .blocking()
            .calls(&ACCOUNT.into(), &CallFilter::default(), None, 10)
            .unwrap()
            .calls,
        []
    );
    assert_eq!(rig.app.records.blocking().events(&ACCOUNT.into(), 0, 10).unwrap(), []);
    assert_eq!(rig.app.records.blocking().call(&call_id.as_str().into()).unwrap(), None);
    rig.stop().await;
}

#[tokio::test]
async fn what_is_missing_is_named_at_once() {
    let rig = Rig::start().await;
    let problem = rig.post_call(json!({})).await.expect_problem(422, "missing_field").json();
    let fields: Vec<_> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["field"].as_str().unwrap())
        .collect();
    assert_eq!(fields, ["from_number", "to_number", "agent_number", "crm_username"]);
    let problem = rig
        .post_call(json!({ "to_number": "9876543210" }))
        .await
        .expect_problem(422, "missing_field")
        .json();
    assert_eq!(problem["errors"].as_array().unwrap().len(), 3, "{problem}");
    rig.stop().await;
}
