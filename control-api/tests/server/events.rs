//! Streams of events, over restarts too, and progress callbacks.

use crate::rig::{DEADLINE, Rig, Shard, Stream, Told, conversation, two_talk};
use call_words::{CallStatus, LegKind, PartyState};
use control_api::streams::Patience;
use control_wire::Event;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;
use storage::{CallbackJob, KeyClass};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::time::timeout;

async fn hold(shard: &mut Shard, call_id: &str, sequence: u32) {
    let held = conversation(&[("agent", PartyState::Talking), ("customer", PartyState::OnHold)]);
    shard
        .tell(Event::Milestone(crate::rig::told(
            call_id,
            sequence,
            "customer_held",
            Some("customer"),
            held,
        )))
        .await;
}

const TO_BRIDGE: [&str; 5] = ["initiated", "agent_ringing", "agent_answered", "ringing", "bridged"];

#[tokio::test]
async fn a_calls_events_are_told_from_its_beginning_to_its_end() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    let mut all = Stream::open(&rig, "/events").await;
    let call_id = rig.talk(&mut shard).await;
    let mut one = Stream::open(&rig, &format!("/calls/{call_id}/events")).await;
    assert_eq!(one.words(5).await, TO_BRIDGE);
    assert_eq!(all.words(5).await, TO_BRIDGE);
    hold(&mut shard, &call_id, 5).await;
    let Told { id, word, data } = one.next().await.unwrap();
    assert_eq!((id, word.as_str()), (Some(6), "held"));
    assert_eq!(data["conversation"]["parties"][1]["number"], "+919876543210");
    let keys: Vec<_> = data.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = [
        "call_id",
        "conversation",
        "event",
        "id",
        "leg",
        "party",
        "reason",
        "sequence",
        "sip_code",
        "time",
        "uuid",
    ];
    assert_eq!(keys, expected);
    for (key, value) in [
        ("id", json!(6)),
        ("event", json!("held")),
        ("sequence", json!(6)),
        ("party", json!("customer")),
        ("leg", json!("customer")),
    ] {
        assert_eq!(data[key], value, "{key}");
    }
    assert_eq!(all.next().await.unwrap(), Told { id, word, data });
    shard.end(&call_id, CallStatus::Answer).await;
    assert_eq!(one.words(1).await, ["ended"]);
    assert_eq!(one.next().await, None, "the stream of a call ends with it");
    assert_eq!(all.words(1).await, ["ended"]);
    // Afterwards it can still be read whole.
    let mut late = Stream::open(&rig, &format!("/calls/{call_id}/events?last_event_id=5")).await;
    assert_eq!(late.words(2).await, ["held", "ended"]);
    assert_eq!(late.next().await, None);
    let (other, _) = rig.place(&mut shard).await;
    let Told { word, data, .. } = all.next().await.unwrap();
    assert_eq!(
        (word.as_str(), &data["call_id"], &data["sequence"]),
        ("initiated", &json!(other), &json!(1))
    );
    rig.stop().await;
}

// A9
#[tokio::test]
async fn a_confirmed_agent_is_an_event() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    let (call_id, _) = rig.place(&mut shard).await;
    let mut one = Stream::open(&rig, &format!("/calls/{call_id}/events")).await;
    for (sequence, kind) in (1..).zip(["answered", "confirmation_requested", "agent_confirmed"]) {
        shard.milestone(&call_id, sequence, Some(LegKind::Agent), kind).await;
    }
    assert_eq!(one.words(3).await, ["initiated", "agent_answered", "agent_confirmed"]);
    rig.stop().await;
}

// Resumable by id, also over a restart; the key's account only
#[tokio::test]
async fn a_stream_goes_on_where_it_ended() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    let call_id = rig.talk(&mut shard).await;
    let mut stream = Stream::open(&rig, "/events?last_event_id=0").await;
    assert_eq!(stream.words(5).await, TO_BRIDGE);
    let rig = rig.restart().await;
    assert_eq!(stream.next().await, None, "streams end when the process stops");
    let mut shard = rig.shard(1, &[&call_id]).await;
    hold(&mut shard, &call_id, 5).await;
    let response = rig
        .request(Method::GET, "/events", |request| {
            request.header("last-event-id", "x").bearer_auth(rig.server_key.clone())
        })
        .await;
    response.expect_problem(400, "malformed_header");
    rig.get("/events?last_event_id=x").await.expect_problem(400, "malformed_query");
    let mut stream = Stream::open(&rig, "/events?last_event_id=4").await;
    assert_eq!(stream.words(2).await, ["bridged", "held"]);
    // An id that was never given is taken for the newest.
    let mut beyond = Stream::open(&rig, "/events?last_event_id=999").await;
    shard.end(&call_id, CallStatus::Answer).await;
    assert_eq!(
        (stream.words(1).await, beyond.words(1).await),
        (vec!["ended".to_owned()], vec!["ended".to_owned()])
    );
    let other = rig.add_key("other", KeyClass::Server, |key| key.account_id = Some("other".into()));
    let path = format!("/calls/{call_id}/events");
    rig.request(Method::GET, &path, |request| request.bearer_auth(&other))
        .await
        .expect_problem(404, "not_found");
    rig.request(Method::GET, "/events", |request| request)
        .await
        .expect_problem(401, "unauthorized");
    rig.stop().await;
}

#[tokio::test]
async fn what_is_not_kept_any_more_is_told_as_a_gap() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    let call_id = rig.talk(&mut shard).await;
    let tomorrow = control_api::clock::now_ms() + storage::EVENT_WINDOW_MS;
    control_api::retention::expire_once(&rig.app, tomorrow).await.unwrap();
    hold(&mut shard, &call_id, 5).await;
    for path in ["/events?last_event_id=2".to_owned(), format!("/calls/{call_id}/events")] {
        let mut stream = Stream::open(&rig, &path).await;
        let Told { id, word, data } = stream.next().await.unwrap();
        let told = (id, word.as_str(), &data["until"]);
        assert_eq!(told, (Some(5), "gap", &json!(5)), "{path}");
        assert_eq!(stream.next().await.unwrap().word, "held");
    }
    let mut stream = Stream::open(&rig, "/events?last_event_id=5").await;
    assert_eq!(stream.words(1).await, ["held"], "nothing is missing behind it");
    rig.stop().await;
}

#[tokio::test]
async fn an_account_has_a_bounded_number_of_streams() {
    let rig = Rig::start().await;
    let mut streams = Vec::new();
    for _ in 0..32 {
        streams.push(Stream::open(&rig, "/events").await);
    }
    let refused = rig.get("/events").await;
    assert!(!refused.expect_problem(429, "too_many_streams").header("retry-after").is_empty());
    let other = rig.add_key("other", KeyClass::Server, |key| key.account_id = Some("other".into()));
    assert_eq!(rig.stream("/events", &format!("Bearer {other}")).await.status(), 200);
    streams.pop();
    let again = async {
        while rig.stream("/events", &format!("Bearer {}", rig.server_key)).await.status() != 200 {
            tokio::time::sleep(DEADLINE / 1000).await;
        }
    };
    timeout(DEADLINE, again).await.expect("a stream that was closed makes room");
    rig.stop().await;
}

// A client that takes nothing is told so and let go: what waits for it is bounded in length and in
// time.
#[tokio::test]
async fn a_slow_reader_is_cut() {
    let rig = Rig::start_patient(Patience {
        slow_reader: Duration::from_millis(300),
        ..Patience::default()
    })
    .await;
    let mut shard = rig.shard(1, &[]).await;
    let call_id = rig.talk(&mut shard).await;
    // More than the sockets' buffers hold.
    let mut stands =
        conversation(&[("agent", PartyState::Talking), ("participant-1", PartyState::Left)]);
    stands.parties[1].reason = Some("x".repeat(32 << 10).as_str().into());
    const EVENT_COUNT: u64 = 255;
    for sequence in 5..=EVENT_COUNT as u32 - 1 {
        let step =
            crate::rig::told(&call_id, sequence, "muted", Some("participant-1"), stands.clone());
        shard.tell(Event::Milestone(step)).await;
    }
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut slow = socket.connect(rig.address()).await.unwrap();
    let head = format!(
        "GET /events?last_event_id=0 HTTP/1.1\r\nHost: api.example\r\nAuthorization: Bearer {}\r\n\
            \r\n",
        rig.server_key
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    // Meanwhile another is served, and a reader that is only late is not cut.
    let mut quick = Stream::open(&rig, "/events?last_event_id=0").await;
    assert_eq!(quick.words(EVENT_COUNT as usize).await.len() as u64, EVENT_COUNT);
    tokio::time::sleep(Duration::from_millis(600)).await;
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 1 << 20];
    let read = async {
        while !bytes.ends_with(b"\r\n0\r\n\r\n") {
            let len = slow.read(&mut buffer).await.unwrap();
            assert_ne!(len, 0, "the answer ends whole");
            bytes.extend_from_slice(&buffer[..len]);
        }
    };
    timeout(DEADLINE, read).await.expect("the stream never ended");
    let text = String::from_utf8(bytes).unwrap();
    let last_id: u64 =
        text.rsplit_once("\nid: ").unwrap().1.lines().next().unwrap().trim().parse().unwrap();
    assert!(text.contains(": too slow: come again with Last-Event-ID"), "it is told why");
    assert!(last_id < EVENT_COUNT, "{last_id}");
    // With what it read last it misses nothing.
    let mut again = Stream::open(&rig, &format!("/events?last_event_id={last_id}")).await;
    assert_eq!(again.next().await.unwrap().id, Some(last_id + 1));
    rig.stop().await;
}

#[tokio::test]
async fn a_stream_ends_with_its_key() {
    let rig = Rig::start_patient(Patience {
        keep_alive: Duration::from_millis(100),
        ..Patience::default()
    })
    .await;
    let mut shard = rig.shard(1, &[]).await;
    let keys = ["revoked", "expired"].map(|id| rig.add_key(id, KeyClass::Server, |_| {}));
    let mut going = Stream::open(&rig, "/events").await;
    let call_id = rig.talk(&mut shard).await;
    going.words(5).await;
    let mut over = Vec::new();
    for key in &keys {
        for path in ["/events", &format!("/calls/{call_id}/events?last_event_id=5")] {
            over.push(Stream::open_with(&rig, path, key).await);
        }
    }
    hold(&mut shard, &call_id, 5).await;
    for stream in over.iter_mut().chain([&mut going]) {
        assert_eq!(stream.words(1).await, ["held"]);
    }
    rig.app.records.blocking().delete_api_key(&"revoked".into()).unwrap();
    let expired = rig.app.records.blocking().api_key(&"expired".into()).unwrap().unwrap();
    let expires_ms = Some(control_api::clock::now_ms());
    rig.app.records.blocking().put_api_key(&storage::ApiKey { expires_ms, ..expired }).unwrap();
    for mut stream in over {
        assert_eq!(
            stream.next().await,
            None,
            "nothing is told to a key that does not work any more"
        );
    }
    hold(&mut shard, &call_id, 6).await;
    assert_eq!(going.words(1).await, ["held"], "the account's other key goes on");
    rig.stop().await;
}

fn progress_jobs(rig: &Rig, call_id: &str) -> Vec<CallbackJob> {
    (1..100)
        .filter_map(|sequence| {
            rig.app.records.blocking().callback_job(&format!("{call_id}.{sequence}")).unwrap()
        })
        .collect()
}

// Off by default; then in their order, beside the one result
#[tokio::test]
async fn progress_is_pushed_to_accounts_that_ask_for_it() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    let call_id = rig.talk(&mut shard).await;
    shard.end(&call_id, CallStatus::Answer).await;
    assert_eq!(progress_jobs(&rig, &call_id), [], "off unless it is asked for");

    rig.change_account(|account| {
        account.progress_events =
            ["initiated", "bridged", "participant", "ended"].map(String::from).to_vec()
    });
    let call_id = rig.talk(&mut shard).await;
    let parties = [
        ("agent", PartyState::Talking),
        ("customer", PartyState::Talking),
        ("participant-1", PartyState::Left),
    ];
    let left = crate::rig::told(
        &call_id,
        5,
        "participant_left",
        Some("participant-1"),
        conversation(&parties),
    );
    shard.tell(Event::Milestone(left)).await;
    shard
        .tell(Event::Milestone(crate::rig::told(&call_id, 6, "muted", Some("agent"), two_talk())))
        .await;
    shard.end(&call_id, CallStatus::Answer).await;
    let jobs = progress_jobs(&rig, &call_id);
    let bodies: Vec<Value> =
        jobs.iter().map(|job| serde_json::from_str(&job.body).unwrap()).collect();
    let told: Vec<_> = bodies
        .iter()
        .map(|body| (body["event"].as_str().unwrap(), body["sequence"].as_u64().unwrap()))
        .collect();
    assert_eq!(told, [("initiated", 1), ("bridged", 5), ("participant.left", 6), ("ended", 8)]);
    assert_eq!(
        (&bodies[2]["party"], &bodies[2]["reason"]),
        (&json!("participant-1"), &json!("busy"))
    );
    // The result is the one it always was, under its own id, and in a queue that no progress
    // delays.
    let result = rig.app.records.blocking().callback_job(&call_id).unwrap().unwrap();
    assert!(
        jobs.iter().all(|job| job.target.endpoint != result.target.endpoint
            && job.target.url == result.target.url)
    );
    let body: Value = serde_json::from_str(&result.body).unwrap();
    assert_eq!(
        (&body["status"], body.get("event"), body.get("sequence")),
        (&json!("ANSWER"), None, None)
    );
    rig.stop().await;
}

// WHATWG HTML §9.2.3: a client that would come again for ever is told not to.
#[tokio::test]
async fn who_has_read_an_ended_call_to_its_end_is_not_to_come_again() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    let call_id = rig.talk(&mut shard).await;
    let path = format!("/calls/{call_id}/events");
    let live = rig
        .stream(&format!("{path}?last_event_id=99"), &format!("Bearer {}", rig.server_key))
        .await;
    assert_eq!(live.status(), 200, "a live call has more to tell");
    shard.end(&call_id, CallStatus::Answer).await;
    let mut stream = Stream::open(&rig, &path).await;
    let mut last = 0;
    while let Some(told) = stream.next().await {
        last = told.id.expect("events of calls are numbered");
    }
    for query in [format!("?last_event_id={last}"), "?last_event_id=99999".to_owned()] {
        let answer = rig.get(&format!("{path}{query}")).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (204, 0), "{query}");
    }
    assert!(
        Stream::open(&rig, &format!("{path}?last_event_id={}", last - 1))
            .await
            .next()
            .await
            .is_some()
    );
    // Once the log has forgotten the call, its stream has nothing to tell at all.
    control_api::retention::expire_once(
        &rig.app,
        control_api::clock::now_ms() + storage::EVENT_WINDOW_MS,
    )
    .await
    .unwrap();
    rig.get(&path).await.expect(204);
    // Who comes back for what was forgotten is told that it is.
    let mut stream = Stream::open(&rig, &format!("{path}?last_event_id=1")).await;
    assert_eq!(stream.next().await.unwrap().word, "gap");
    assert_eq!(stream.next().await, None);
    rig.stop().await;
}

// B07: not at the next sign of life, but at once.
#[tokio::test]
async fn a_stream_ends_as_its_key_is_revoked() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    let call_id = rig.talk(&mut shard).await;
    let key = rig.add_key("acme.backend.1", KeyClass::Server, |_| {});
    let mut streams = Vec::new();
    for path in ["/events?last_event_id=0".to_owned(), format!("/calls/{call_id}/events")] {
        let mut stream = Stream::open_with(&rig, &path, &key).await;
        stream.words(5).await;
        streams.push(stream);
    }
    rig.admin(Method::DELETE, "/admin/accounts/acme/keys/backend").await.expect(204);
    for mut stream in streams {
        assert_eq!(stream.next().await, None);
    }
    rig.stop().await;
}
