//! The SIP messages of calls, as shards tell them and operators read them.

use crate::rig::{Rig, Shard, ended, hello};
use call_words::{CallStatus, LegKind, MessageWay, SignalTransport};
use control_wire::{Command, ControlRefusal, Event, FromEdge, Hello, Ladder, Rung};
use reqwest::Method;
use serde_json::{Value, json};
use storage::Storage;

const DAY_MS: u64 = 24 * 3_600_000;

fn ladder(call_id: &str, messages: &[&str], whole: bool) -> FromEdge {
    let rung = |message: &&str| Rung {
        at_ms: 1_783_072_800_250,
        leg: LegKind::Customer,
        party: None,
        way: MessageWay::Sent,
        transport: SignalTransport::Udp,
        local: "192.0.2.1:5060".parse().unwrap(),
        remote: "198.51.100.7:5060".parse().unwrap(),
        message: (*message).to_owned(),
    };
    let rungs: Vec<Rung> = messages.iter().map(rung).collect();
    FromEdge::Ladder(Box::new(Ladder::new(call_id.into(), &rungs, 0, whole)))
}

/// Answers the next command, which asks for a call's messages, with these.
async fn tell(shard: &mut Shard, call_id: &str, told: Option<FromEdge>) {
    let (command_id, command) = shard.command().await;
    assert_eq!(command, Command::TellLadder { call_id: call_id.into() });
    match told {
        Some(ladder) => {
            shard.write(&ladder).await;
            shard.write(&FromEdge::Ack { command_id }).await;
        }
        None => {
            let code = "unknown_call".into();
            let refusal = ControlRefusal { code, detail: String::new() };
            shard.write(&FromEdge::Refused { command_id, refusal }).await;
        }
    }
}

async fn teller(rig: &Rig) -> Shard {
    rig.greet(Hello { tells_ladders: true, ..hello(1, &[]) }).await
}

fn messages(ladder: &Value) -> Vec<&str> {
    ladder["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["message"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_running_call_s_messages_are_asked_for_and_an_ended_one_s_are_kept() {
    let rig = Rig::start().await;
    let mut shard = teller(&rig).await;
    let (call_id, place) = rig.place(&mut shard).await;
    assert!(place.keep_ladder);
    let path = format!("/admin/calls/{call_id}/ladder");
    let (answer, ()) = tokio::join!(
        rig.admin(Method::GET, &path),
        tell(&mut shard, &call_id, Some(ladder(&call_id, &["INVITE a"], false)))
    );
    let so_far = answer.expect(200).json();
    assert_eq!((messages(&so_far), &so_far["whole"]), (vec!["INVITE a"], &json!(false)));
    assert_eq!(
        so_far["messages"][0],
        json!({ "time": "2026-07-03T10:00:00.250Z", "leg": "customer", "party": null,
            "direction": "sent", "transport": "udp", "local": "192.0.2.1:5060",
            "remote": "198.51.100.7:5060", "message": "INVITE a", "message_base64": null })
    );
    // A shard that has forgotten them leaves what was told.
    let (answer, ()) =
        tokio::join!(rig.admin(Method::GET, &path), tell(&mut shard, &call_id, None));
    assert_eq!(messages(&answer.expect(200).json()), ["INVITE a"]);

    shard.tell(Event::Ended(Box::new(ended(&call_id, CallStatus::Answer)))).await;
    shard.write(&ladder(&call_id, &["INVITE a", "BYE a"], true)).await;
    rig.ended_call(&call_id).await;
    let all = loop {
        let all = rig.app.records.ladder(&call_id.as_str().into()).await.unwrap().unwrap();
        if all.whole {
            break all;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(all.read().unwrap().len(), 2);
    // Whole, so that nobody is asked.
    let whole = rig.admin(Method::GET, &path).await.expect(200).json();
    assert_eq!((messages(&whole), &whole["whole"]), (vec!["INVITE a", "BYE a"], &json!(true)));

    // A customer's key opens none of it.
    rig.get(&path).await.expect(404);
    let start_ms = rig.app.records.call(&call_id.as_str().into()).await.unwrap().unwrap().start_ms;
    control_api::retention::expire_once(&rig.app, start_ms + 7 * DAY_MS).await.unwrap();
    rig.admin(Method::GET, &path).await.expect(200);
    control_api::retention::expire_once(&rig.app, start_ms + 7 * DAY_MS + 1).await.unwrap();
    let problem = rig.admin(Method::GET, &path).await.expect(404).json();
    assert!(problem["detail"].as_str().unwrap().contains("calls.ladder_days"), "{problem}");
    rig.stop().await;
}

#[tokio::test]
async fn what_an_older_edge_does_not_tell_is_not_asked_for() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    let (call_id, _) = rig.place(&mut shard).await;
    rig.admin(Method::GET, &format!("/admin/calls/{call_id}/ladder")).await.expect(404);
    rig.admin(Method::GET, "/admin/calls/nothing/ladder").await.expect(404);
    // Of a call that nobody knows, nothing is kept.
    shard.write(&ladder("stray", &["INVITE a"], true)).await;
    rig.admin(Method::GET, "/admin/calls/stray/ladder").await.expect(404);
    rig.stop().await;
}

#[tokio::test]
async fn messages_go_with_their_call_s_record() {
    let rig = Rig::start().await;
    let mut shard = teller(&rig).await;
    let (call_id, _) = rig.place(&mut shard).await;
    shard.tell(Event::Ended(Box::new(ended(&call_id, CallStatus::Answer)))).await;
    rig.ended_call(&call_id).await;
    let id = call_id.as_str().into();
    let told = storage::Ladder {
        call_id: call_id.as_str().into(),
        rungs: Default::default(),
        left_out_count: 0,
        whole: true,
    };
    rig.app.records.put_ladders(vec![told]).await.unwrap();
    let store: &Storage = rig.app.records.blocking();
    assert!(store.ladder(&id).unwrap().is_some());
    rig.change_account(|account| account.retention.record_days = 1);
    let start_ms = store.call(&id).unwrap().unwrap().start_ms;
    store.expire(start_ms + DAY_MS + 1, 100).unwrap();
    assert!(store.call(&id).unwrap().is_none() && store.ladder(&id).unwrap().is_none());
    assert_eq!(store.expire_ladders(u64::MAX, 100).unwrap(), 0);
    rig.stop().await;
}
