//! The control link: states, ends, replays, restarts of either side.

use crate::rig::{
    DEADLINE, Rig, Shard, ended, hello, milestone, service, status, wav, without_delivery,
};
use call_words::{AgentName, CallId, CallStatus, HangupBy, LegKind};
use control_api::clock::now_ms;
use control_wire::{
    Command, Event, FarMedia, FromEdge, Hello, HelloMore, LegMedia, Milestone, Mos,
    RecordingResult, RecordingWritten, ShardStatus, ToEdge,
};
use reqwest::Method;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;

#[tokio::test]
async fn milestones_move_a_call_forward_and_its_end_is_final() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    let (call_id, _) = rig.place(&mut shard).await;
    let steps = [
        (Some(LegKind::Agent), "invite_sent", "placed"),
        (Some(LegKind::Agent), "ringing", "agent_ringing"),
        (Some(LegKind::Agent), "answered", "agent_answered"),
        (Some(LegKind::Agent), "confirmation_requested", "agent_answered"),
        (Some(LegKind::Agent), "agent_confirmed", "agent_answered"),
        (Some(LegKind::Customer), "invite_sent", "agent_answered"),
        (Some(LegKind::Customer), "early_media", "customer_ringing"),
        (None, "bridged", "bridged"),
        (Some(LegKind::Agent), "ringing", "bridged"),
    ];
    for (sequence, (leg, kind, state)) in (1..).zip(steps) {
        shard.milestone(&call_id, sequence, leg, kind).await;
        assert_eq!(rig.call(&call_id).await["state"], state, "{kind}");
    }
    let mut end = ended(&call_id, CallStatus::Answer);
    end.hangup_by = Some(HangupBy::Customer);
    end.answered_at_ms = Some(end.ended_at_ms - 150_700);
    end.duration_s = 150;
    shard.tell(Event::Ended(Box::new(end))).await;
    let call = rig.call(&call_id).await;
    for (key, value) in [("status", "ANSWER"), ("hangup_by", "customer"), ("state", "ended")] {
        assert_eq!(call[key], value, "{key}");
    }
    assert_eq!(call["duration"], 150);
    assert_eq!(rig.app.limits.lines.live_count(), 0);
    let job = rig
        .app
        .records
        .blocking()
        .callback_job(&call_id)
        .unwrap()
        .expect("the callback is stored with the end");
    let body: Value = serde_json::from_str(&job.body).unwrap();
    assert_eq!((&body["status"], &body["end_time"]), (&call["status"], &call["end_time"]));

    // Told again after a reconnect, it is acknowledged and changes nothing.
    shard.milestone(&call_id, 3, Some(LegKind::Agent), "answered").await;
    shard.end(&call_id, CallStatus::Failed).await;
    assert_eq!(without_delivery(rig.call(&call_id).await), without_delivery(call));
    assert_eq!(rig.app.limits.lines.live_count(), 0);
    // Calls that nobody knows are acknowledged, too: the edge may forget them.
    shard.end("unknown", CallStatus::Failed).await;
    rig.stop().await;
}

/// Reads go on while events are being written; what was read is told on, whatever comes next.
#[tokio::test]
async fn an_end_that_is_being_written_when_the_link_breaks_counts() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    let (call_id, _) = rig.place(&mut shard).await;
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let (begin, begun) = std::sync::mpsc::channel::<()>();
    let store = rig.app.records.blocking().clone();
    let slow = std::thread::spawn(move || {
        store.write(move |_| {
            drop(begin);
            let _ = wait.recv();
            Ok(())
        })
    });
    assert!(begun.recv_timeout(DEADLINE).is_err(), "the slow write has begun");
    let end = Event::Ended(Box::new(ended(&call_id, CallStatus::Failed)));
    shard.write(&FromEdge::Event { id: 1, event: end }).await;
    drop(shard);
    drop(go_on);
    slow.join().unwrap().unwrap();
    let given_back = async {
        while rig.app.limits.lines.live_count() > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(DEADLINE, given_back).await.expect("its line was never given back");
    assert_eq!(rig.call(&call_id).await["state"], "ended");
    rig.stop().await;
}

#[tokio::test]
async fn many_events_at_once_are_all_acknowledged_in_order() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    let mut calls = Vec::new();
    for _ in 0..20 {
        calls.push(rig.place(&mut shard).await.0);
    }
    let mut id = 0;
    for sequence in 1..=10 {
        for call_id in &calls {
            id += 1;
            shard
                .write(&FromEdge::Event {
                    id,
                    event: Event::Milestone(milestone(call_id, sequence, None, "step")),
                })
                .await;
        }
    }
    for call_id in &calls {
        id += 1;
        shard
            .write(&FromEdge::Event {
                id,
                event: Event::Ended(Box::new(ended(call_id, CallStatus::Busy))),
            })
            .await;
    }
    for event_id in 1..=id {
        assert_eq!(shard.read().await, Some(ToEdge::Ack { event_id }));
    }
    assert_eq!(rig.app.limits.lines.live_count(), 0);
    for call_id in &calls {
        assert_eq!(rig.call(call_id).await["status"], "BUSY");
        assert_eq!(
            rig.app.records.blocking().timeline(&call_id.as_str().into()).unwrap().len(),
            10
        );
    }
    rig.stop().await;
}

#[tokio::test]
async fn unacknowledged_commands_are_sent_again_in_order() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    let call_id = rig.post_call(crate::rig::guide_call()).await.expect(201).json()["call_id"]
        .as_str()
        .unwrap()
        .to_owned();
    rig.send(Method::DELETE, &format!("/calls/{call_id}"), None).await.expect(204);
    let commands = [shard.command().await, shard.command().await];
    drop(shard);
    let mut again = rig.greet(hello(1, &[])).await;
    assert_eq!([again.command().await, again.command().await], commands);
    for (command_id, _) in commands {
        again.write(&FromEdge::Ack { command_id }).await;
    }
    again.end(&call_id, CallStatus::Canceled).await;
    drop(again);
    // Welcome is said before the connection is reconciled: calls can be placed when it is.
    let mut last = rig.shard(1, &[]).await;
    // Nothing is left to say: the first thing that comes is the next call.
    rig.place(&mut last).await;
    rig.stop().await;
}

#[tokio::test]
async fn how_a_call_sounded_is_told_and_counted() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    let (call_id, _) = rig.place(&mut shard).await;
    assert_eq!(rig.call(&call_id).await["quality"], Value::Null);
    shard.bridge(&call_id).await;
    let mos = Mos { mean: 4.25, worst: 3.5 };
    let agent_media = LegMedia {
        received_count: 100,
        sent_count: 99,
        lost_count: 1,
        jitter_ms: 0.5,
        mos: Some(mos),
        round_trip_ms: Some(42.5),
        far: None,
    };
    let far = Some(FarMedia { lost_count: 7, jitter_ms: 25.0, mos: Mos { mean: 3.0, ..mos } });
    let customer_media = LegMedia { mos: None, round_trip_ms: None, far, ..agent_media };
    let end = control_wire::Ended {
        agent_media: Some(agent_media),
        customer_media: Some(customer_media),
        ..ended(&call_id, CallStatus::Answer)
    };
    shard.tell(Event::Ended(Box::new(end))).await;
    let view = rig.call(&call_id).await;
    let job = rig.app.records.blocking().callback_job(&call_id).unwrap().unwrap();
    let body: Value = serde_json::from_str(&job.body).unwrap();
    let stream = |packets: u64, lost: Value, jitter_ms: Value, mos: Value, mos_worst: Value| {
        json!({ "packets": packets, "lost": lost, "jitter_ms": jitter_ms, "mos": mos,
            "mos_worst": mos_worst })
    };
    let none = || Value::Null;
    let expected = json!({
        "agent": {
            "round_trip_ms": 42.5,
            "received": stream(100, json!(1), json!(0.5), json!(4.25), json!(3.5)),
            "sent": stream(99, none(), none(), none(), none()),
        },
        "customer": {
            "round_trip_ms": none(),
            "received": stream(100, json!(1), json!(0.5), none(), none()),
            "sent": stream(99, json!(7), json!(25.0), json!(3.0), json!(3.5)),
        },
    });
    assert_eq!((&view["quality"], &body["quality"]), (&expected, &expected));
    let metrics = String::from_utf8(rig.operator("/metrics").await.body.clone()).unwrap();
    for line in [
        "call_packets_total{leg=\"agent\",direction=\"received\"} 100",
        "call_packets_lost_total{leg=\"customer\",direction=\"sent\"} 7",
        "call_mos_bucket{le=\"4.34\",leg=\"agent\",direction=\"received\"} 1",
        "call_mos_bucket{le=\"2.58\",leg=\"customer\",direction=\"sent\"} 0",
        "call_mos_count{leg=\"customer\",direction=\"sent\"} 1",
        "call_jitter_seconds_bucket{le=\"0.03\",leg=\"customer\",direction=\"sent\"} 1",
        "call_round_trip_seconds_bucket{le=\"0.05\",leg=\"agent\"} 1",
    ] {
        assert!(metrics.contains(&format!("control_api_{line}\n")), "{line}: {metrics}");
    }
    rig.stop().await;
}

// S20
#[tokio::test]
async fn calls_of_an_edge_that_restarted_end_truthfully() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    let (ringing, _) = rig.place(&mut shard).await;
    shard.milestone(&ringing, 1, Some(LegKind::Agent), "ringing").await;
    let (talking, place) = rig.place(&mut shard).await;
    shard.bridge(&talking).await;
    let (cancelled, _) = rig.place(&mut shard).await;
    rig.send(Method::DELETE, &format!("/calls/{cancelled}"), None).await.expect(204);
    drop(shard);
    std::fs::write(rig.recording_path(place.recording.unwrap().as_str()), wav()).unwrap();

    let mut restarted = rig.shard(2, &[]).await;
    let call = rig.ended_call(&ringing).await;
    assert_eq!(
        (&call["recording_complete"], &call["recording_written_ms"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(
        (&call["status"], &call["reason"], &call["hangup_by"]),
        (&json!("FAILED"), &json!("system"), &json!("system"))
    );
    let call = rig.ended_call(&talking).await;
    assert_eq!(
        (&call["status"], &call["reason"], &call["duration"]),
        (&json!("ANSWER"), &json!("edge_restarted"), &json!(2))
    );
    // B11: what was not written yet went with the edge.
    assert_eq!(
        (&call["recording_complete"], &call["recording_written_ms"]),
        (&json!(false), &json!(2_000))
    );
    let path = call["recording_url"]
        .as_str()
        .unwrap()
        .strip_prefix("https://api.example")
        .unwrap()
        .to_owned();
    assert_eq!(rig.get(&path).await.expect(200).body, wav());
    let call = rig.ended_call(&cancelled).await;
    let told = ["status", "reason", "hangup_by"].map(|key| call[key].as_str().unwrap().to_owned());
    assert_eq!(told, ["CANCELED", "canceled", "api"]);
    for call_id in [&ringing, &talking, &cancelled] {
        assert!(rig.app.records.blocking().callback_job(call_id).unwrap().is_some());
    }
    assert_eq!(rig.app.limits.lines.live_count(), 0);
    // The commands of the old epoch are gone with it.
    rig.place(&mut restarted).await;
    rig.stop().await;
}

#[tokio::test]
async fn a_recording_that_began_late_does_not_shorten_a_call_whose_edge_is_gone() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    let (call_id, place) = rig.place(&mut shard).await;
    shard.bridge(&call_id).await;
    let started = milestone(&call_id, 5, None, "recording_started");
    shard.tell(Event::Milestone(Milestone { at_ms: now_ms() + 60_000, ..started })).await;
    std::fs::write(rig.recording_path(place.recording.unwrap().as_str()), wav()).unwrap();
    drop(shard);
    let _restarted = rig.shard(2, &[]).await;
    // Two seconds are on disk.
    assert_eq!(rig.ended_call(&call_id).await["duration"], json!(62));
    rig.stop().await;
}

#[tokio::test]
async fn pauses_that_were_told_are_known_of_a_recording_whose_edge_is_gone() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    let started_ms = now_ms();
    let mut calls = Vec::new();
    for (steps, pauses) in [
        (vec![], json!([])),
        (vec![("paused", 300), ("resumed", 900)], json!([{ "from_ms": 300, "to_ms": 900 }])),
        (
            // The last was not told to end, and two seconds are on disk.
            vec![("paused", 300), ("resumed", 900), ("paused", 1_500)],
            json!([{ "from_ms": 300, "to_ms": 900 }, { "from_ms": 1_500, "to_ms": 2_000 }]),
        ),
        (
            vec![("paused", 1_000), ("resumed", 2_500)],
            json!([{ "from_ms": 1_000, "to_ms": 2_000 }]),
        ),
        (vec![("paused", 2_100), ("resumed", 2_500), ("paused", 2_600)], json!([])),
    ] {
        let (call_id, place) = rig.place(&mut shard).await;
        shard.bridge(&call_id).await;
        for (sequence, (kind, after_ms)) in (5..).zip([("started", 0)].into_iter().chain(steps)) {
            let step = milestone(&call_id, sequence, None, &format!("recording_{kind}"));
            shard.tell(Event::Milestone(Milestone { at_ms: started_ms + after_ms, ..step })).await;
        }
        std::fs::write(rig.recording_path(place.recording.unwrap().as_str()), wav()).unwrap();
        calls.push((call_id, pauses));
    }
    drop(shard);
    let _restarted = rig.shard(2, &[]).await;
    for (call_id, pauses) in calls {
        let call = rig.ended_call(&call_id).await;
        assert_eq!(
            (&call["reason"], &call["recording_pauses"]),
            (&json!("edge_restarted"), &pauses)
        );
        let body: Value = serde_json::from_str(
            &rig.app.records.blocking().callback_job(&call_id).unwrap().unwrap().body,
        )
        .unwrap();
        assert_eq!(body["recording_pauses"], pauses);
    }
    rig.stop().await;
}

#[tokio::test]
async fn what_a_crashed_edge_left_unfinished_can_be_downloaded() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    let (call_id, place) = rig.place(&mut shard).await;
    shard.bridge(&call_id).await;
    drop(shard);
    let name = place.recording.unwrap();
    std::fs::write(rig.recording_path(&format!("{name}.part")), wav()).unwrap();
    // The edge stays away longer than it may.
    let call = rig.ended_call(&call_id).await;
    assert_eq!((&call["status"], &call["reason"]), (&json!("ANSWER"), &json!("edge_restarted")));
    assert_eq!(rig.get(&format!("/recordings/{name}")).await.expect(200).body.len(), wav().len());
    rig.stop().await;
}

#[tokio::test]
async fn a_greeting_settles_what_both_sides_know() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    let (kept, _) = rig.place(&mut shard).await;
    let (lost, _) = rig.place(&mut shard).await;
    let (over, _) = rig.place(&mut shard).await;
    shard.end(&over, CallStatus::Busy).await;
    drop(shard);
    let mut again = rig.greet(hello(1, &[&kept, &over, "never-heard-of"])).await;
    let mut stray = [again.expect_hang_up().await, again.expect_hang_up().await];
    stray.sort();
    let mut expected = [over.clone(), "never-heard-of".to_owned()];
    expected.sort();
    assert_eq!(stray, expected);
    assert_eq!(rig.call(&lost).await["reason"], "system");
    assert_eq!(rig.call(&kept).await["state"], "placed");
    rig.stop().await;
}

#[tokio::test]
async fn a_shard_with_as_many_softphones_and_calls_as_it_may_have_comes_back() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    let (kept, _) = rig.place(&mut shard).await;
    let (lost, _) = rig.place(&mut shard).await;
    drop(shard);
    let softphones: Vec<AgentName> = (0..10_000).map(|n| format!("a{n:035}").into()).collect();
    let mut live_calls: Vec<CallId> =
        (0..5_000).map(|n| format!("never-heard-of-{n:021}").into()).collect();
    live_calls.push(kept.clone().into());
    let mut shard = rig
        .greet(Hello {
            live_calls,
            softphones,
            softphone_service: Some(service(8443)),
            ..hello(1, &[])
        })
        .await;
    // Softphones of agents that nobody knows are cut off meanwhile.
    let hung_up = loop {
        match shard.command().await {
            (command_id, Command::RevokeSoftphone { .. }) => {
                shard.write(&FromEdge::Ack { command_id }).await
            }
            (_, Command::HangUp { call_id }) => break call_id,
            other => panic!("expected HangUp, got {other:?}"),
        }
    };
    assert!(hung_up.as_str().starts_with("never-heard-of-"));
    assert_eq!(rig.app.link.softphone_count(), 10_000);
    assert_eq!(rig.ended_call(&lost).await["reason"], "system");
    assert_eq!(rig.call(&kept).await["state"], "placed");
    rig.stop().await;
}

// S20
#[tokio::test]
async fn calls_survive_a_restart_of_this_process() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    let (talking, _) = rig.place(&mut shard).await;
    let (leaving, _) = rig.place(&mut shard).await;
    shard.bridge(&talking).await;
    rig.send(Method::DELETE, &format!("/calls/{leaving}"), None).await.expect(204);
    drop(shard);
    let rig = rig.restart().await;
    assert_eq!(rig.app.limits.lines.live_count(), 2);
    let mut again = rig.greet(hello(1, &[&talking, &leaving])).await;
    assert_eq!(again.expect_hang_up().await, leaving, "asked for before the restart");
    again.end(&leaving, CallStatus::Canceled).await;
    again.end(&talking, CallStatus::Answer).await;
    assert_eq!(rig.call(&talking).await["status"], "ANSWER");
    assert_eq!(rig.call(&leaving).await["status"], "CANCELED");
    assert_eq!(rig.app.limits.lines.live_count(), 0);
    rig.stop().await;
}

#[tokio::test]
async fn calls_that_no_shard_got_end_at_start() {
    let rig = Rig::start().await;
    let new = storage::NewCall {
        call_id: "c1".into(),
        account_id: crate::rig::ACCOUNT.into(),
        uuid: None,
        call_type: call_words::CallType::Server,
        customer_number: "9876543210".into(),
        customer_number_e164: "+919876543210".into(),
        agent_number: Some("9876543211".into()),
        agent_number_e164: Some("+919876543211".into()),
        crm_username: None,
        from_number: crate::rig::CALLER_ID.into(),
        hide_caller: false,
        disposition: "CRM_CALL".into(),
        recording_file: None,
        fingerprint: String::new(),
        idempotency_key: None,
        start_ms: control_api::clock::now_ms(),
    };
    rig.app.records.blocking().create_call(new, None).unwrap();
    let rig = rig.restart().await;
    let call = rig.call("c1").await;
    assert_eq!((&call["status"], &call["reason"]), (&json!("FAILED"), &json!("system")));
    assert_eq!(rig.app.limits.lines.live_count(), 0);
    rig.stop().await;
}

// A11: crash recovery
#[tokio::test]
async fn calls_of_an_edge_that_stays_away_end() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    let (call_id, _) = rig.place(&mut shard).await;
    drop(shard);
    let call = rig.ended_call(&call_id).await;
    assert_eq!((&call["status"], &call["reason"]), (&json!("FAILED"), &json!("system")));
    // Should it come back with the call after all, the call is hung up there.
    let mut late = rig.greet(hello(1, &[&call_id])).await;
    assert_eq!(late.expect_hang_up().await, call_id);
    rig.stop().await;
}

#[tokio::test]
async fn recordings_are_announced_with_the_end() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    let (call_id, place) = rig.place(&mut shard).await;
    shard.bridge(&call_id).await;
    let file_name = place.recording.unwrap();
    std::fs::write(rig.recording_path(file_name.as_str()), wav()).unwrap();
    let recording = RecordingResult {
        file_name: file_name.clone(),
        duration_ms: 2_000,
        file_len: wav().len() as u64,
        pauses: Vec::new(),
    };
    shard
        .tell(Event::Ended(Box::new(control_wire::Ended {
            recording: Some(recording),
            ..ended(&call_id, CallStatus::Answer)
        })))
        .await;
    let url = format!("https://api.example/recordings/{file_name}");
    assert_eq!(rig.call(&call_id).await["recording_url"], url);
    let job = rig.app.records.blocking().callback_job(&call_id).unwrap().unwrap();
    assert_eq!(serde_json::from_str::<Value>(&job.body).unwrap()["recording_url"], url);
    rig.stop().await;
}

// B11, A18
#[tokio::test]
async fn what_of_a_recording_could_not_be_written_is_told() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    let written = |complete, written_ms| Some(RecordingWritten { complete, written_ms });
    for (has_file, told, expected) in [
        (true, written(true, Some(2_000)), (json!(true), json!(2_000))),
        (true, written(false, Some(800)), (json!(false), json!(800))),
        (true, written(false, None), (json!(false), Value::Null)),
        (false, written(false, Some(0)), (json!(false), json!(0))),
        (true, None, (Value::Null, Value::Null)),
    ] {
        let (call_id, place) = rig.place(&mut shard).await;
        shard.bridge(&call_id).await;
        if told.is_some_and(|told| !told.complete) {
            shard.milestone(&call_id, 5, None, "recording_failed").await;
        }
        let file_name = place.recording.unwrap();
        let recording =
            RecordingResult { file_name, duration_ms: 2_000, file_len: 64_044, pauses: Vec::new() };
        let recording = has_file.then_some(recording);
        let end = control_wire::Ended {
            recording,
            recording_written: told,
            ..ended(&call_id, CallStatus::Answer)
        };
        shard.tell(Event::Ended(Box::new(end))).await;
        let view = rig.call(&call_id).await;
        let job = rig.app.records.blocking().callback_job(&call_id).unwrap().unwrap();
        let body: Value = serde_json::from_str(&job.body).unwrap();
        for shown in [&view, &body] {
            let keys = ["recording_complete", "recording_written_ms"]
                .map(|key| shown.get(key).expect(key).clone());
            assert_eq!((keys[0].clone(), keys[1].clone()), expected);
            assert_eq!(shown.get("recording_url").is_some(), has_file);
        }
        let timeline = rig.app.records.blocking().timeline(&call_id.as_str().into()).unwrap();
        let says_so = timeline.iter().any(|entry| entry.kind.as_str() == "recording_failed");
        assert_eq!(says_so, expected.0 == json!(false));
    }
    rig.stop().await;
}

#[tokio::test]
async fn calls_go_to_the_least_loaded_shard() {
    let rig = Rig::start().await;
    let mut shards: Vec<Shard> = Vec::new();
    for (shard, call_count) in [(0, 50), (1, 0), (2, 0)] {
        let status = ShardStatus { call_count, draining: shard == 2, ..status() };
        shards.push(rig.greet(Hello { shard, status, ..hello(1, &[]) }).await);
    }
    let opened = async {
        while rig.app.link.shards().iter().filter(|shard| shard.is_connected).count() < 3 {
            tokio::task::yield_now().await
        }
    };
    tokio::time::timeout(DEADLINE, opened).await.unwrap();
    for _ in 0..3 {
        rig.place(&mut shards[1]).await;
    }
    rig.stop().await;
}

#[tokio::test]
async fn malformed_peers_are_turned_away() {
    let rig = Rig::start().await;
    let mut old = rig.connect().await;
    old.write(&FromEdge::Hello(Hello { version: 9, ..hello(1, &[]) })).await;
    assert!(
        matches!(old.read().await, Some(ToEdge::Refused { reason }) if reason.contains("version 9"))
    );
    assert_eq!(old.read().await, None);
    for bytes in [b"\xff\xff\xff\xff".as_slice(), b"\0\0\0\x02{}", b"\0\0\0\x04nope"] {
        let mut peer = rig.connect().await;
        peer.write_bytes(bytes).await;
        assert_eq!(peer.read().await, None);
    }
    let mut torn = rig.connect().await;
    torn.write(&FromEdge::Hello(Hello { more: true, ..hello(1, &[]) })).await;
    torn.write(&FromEdge::Status(ShardStatus::default())).await;
    assert_eq!(torn.read().await, None);
    let mut late = rig.greet(hello(1, &[])).await;
    late.write(&FromEdge::HelloMore(HelloMore::default())).await;
    assert_eq!(late.read().await, None);
    let mut endless = rig.connect().await;
    let names = vec![AgentName::default(); 30_000];
    let more = HelloMore { softphones: names.clone(), more: true, ..HelloMore::default() };
    endless.write(&FromEdge::Hello(Hello { softphones: names, more: true, ..hello(1, &[]) })).await;
    for _ in 0..6 {
        endless.write(&FromEdge::HelloMore(more.clone())).await;
    }
    assert_eq!(endless.read().await, None);
    let mut early = rig.connect().await;
    early.write(&FromEdge::Ack { command_id: 1 }).await;
    assert_eq!(early.read().await, None);
    let mut twice = rig.greet(hello(1, &[])).await;
    twice.write(&FromEdge::Hello(hello(1, &[]))).await;
    assert_eq!(twice.read().await, None);
    // None of them did harm.
    let mut shard = rig.shard(2, &[]).await;
    rig.place(&mut shard).await;
    rig.stop().await;
}

#[tokio::test]
async fn the_socket_is_the_owners_alone_and_a_stale_one_is_replaced() {
    let rig = Rig::start().await;
    let socket = rig.app.config.link.socket.clone();
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    let taken =
        control_api::edge::connection::bind(&socket).expect_err("this process listens there");
    assert_eq!(taken.kind(), std::io::ErrorKind::AddrInUse);
    // The file of a process that is gone is still there; nobody answers on it.
    let rig = rig.restart().await;
    let mut shard = rig.shard(1, &[]).await;
    rig.place(&mut shard).await;
    rig.stop().await;
}

#[tokio::test]
async fn a_hang_up_that_is_not_acknowledged_is_not_forgotten() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    let (call_id, _) = rig.place(&mut shard).await;
    rig.send(Method::DELETE, &format!("/calls/{call_id}"), None).await.expect(204);
    assert!(matches!(shard.command().await, (_, Command::HangUp { .. })));
    drop(shard);
    let mut again = rig.greet(hello(1, &[&call_id])).await;
    assert_eq!(again.expect_hang_up().await, call_id);
    rig.stop().await;
}

// Nothing stays unfinished past the longest call.
#[tokio::test]
async fn calls_that_outlive_their_longest_time_are_swept() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    let (call_id, _) = rig.place(&mut shard).await;
    let longest_ms = 4 * 3_600_000;
    let later = |late_ms: u64| control_api::clock::now_ms() + longest_ms + late_ms;
    control_api::edge::reconcile::sweep(&rig.app, later(50_000)).await.unwrap();
    assert_eq!(rig.call(&call_id).await["state"], "placed");
    control_api::edge::reconcile::sweep(&rig.app, later(70_000)).await.unwrap();
    assert_eq!(shard.expect_hang_up().await, call_id.as_str());
    control_api::edge::reconcile::sweep(&rig.app, later(130_000)).await.unwrap();
    let call = rig.call(&call_id).await;
    assert_eq!((&call["status"], &call["reason"]), (&json!("FAILED"), &json!("system")));
    rig.stop().await;
}
