//! Who is online: as shards tell it, as operators see it, and where softphones are led.

use crate::rig::{ACCOUNT, DEADLINE, Rig, Shard, guide_call, hello, service, status};
use crate::softphone::{AGENT, CUSTOMER, Page, name, wait_presence};
use control_wire::{FromEdge, Hello, ShardStatus};
use reqwest::Method;
use serde_json::{Value, json};

async fn agent(rig: &Rig, crm_username: &str) -> Value {
    let agents = rig
        .admin(Method::GET, &format!("/admin/accounts/{ACCOUNT}/agents"))
        .await
        .expect(200)
        .json();
    agents
        .as_array()
        .unwrap()
        .iter()
        .find(|agent| agent["crm_username"] == crm_username)
        .expect("the agent")
        .clone()
}

// S18, S36
#[tokio::test]
async fn operators_see_who_is_online() {
    let rig = Rig::start().await;
    let mut shard = rig.softphone_shard(&[], &[]).await;
    let fresh = json!({
        "crm_username": AGENT, "display_name": "Asha", "online": false, "in_call": false,
        "last_seen": null, "microphone": null, "media_test": null
    });
    assert_eq!(agent(&rig, AGENT).await, fresh);
    let page = Page::online(&rig, &mut shard, AGENT, CUSTOMER).await;
    page.place(&rig, &mut shard).await;
    let seen = agent(&rig, AGENT).await;
    let told = ["online", "in_call", "microphone"].map(|key| seen[key].clone());
    assert_eq!(told, [json!(true), json!(true), json!("granted")]);
    let metrics = String::from_utf8(rig.operator("/metrics").await.body.clone()).unwrap();
    assert!(metrics.contains("control_api_softphones_online 1\n"), "{metrics}");
    assert!(
        metrics.contains("control_api_webphone_sessions_total{result=\"opened\"} 1\n"),
        "{metrics}"
    );
    shard.presence(name(&rig, AGENT).as_str(), false).await;
    wait_presence(&rig, AGENT, false).await;
    let away = agent(&rig, AGENT).await;
    assert_eq!(
        (&away["online"], &away["in_call"]),
        (&json!(false), &json!(true)),
        "the call goes on for a while"
    );
    assert!(away["last_seen"].is_string());
    assert_eq!(agent(&rig, "agent.018").await["online"], false);
    // What is remembered outlives the process.
    let last_seen = away["last_seen"].clone();
    let rig = rig.restart().await;
    let away = agent(&rig, AGENT).await;
    assert_eq!((&away["last_seen"], &away["microphone"]), (&last_seen, &json!("granted")));
    rig.stop().await;
}

#[tokio::test]
async fn presence_follows_the_link() {
    let rig = Rig::start().await;
    let agent = name(&rig, AGENT);
    // A shard says with its greeting who is there; names that nobody has are cut off.
    let mut shard = rig.softphone_shard(&[], &[agent.as_str(), "astranger"]).await;
    wait_presence(&rig, AGENT, true).await;
    assert_eq!(shard.expect_revocation().await, "astranger");
    // Words of another shard that does not have it change nothing.
    let mut other = rig
        .greet(Hello { shard: 1, softphone_service: Some(service(8444)), ..hello(1, &[]) })
        .await;
    other.presence(agent.as_str(), false).await;
    other.write(&FromEdge::Status(status())).await;
    // It moves to the other: the newest registration counts, and the old one is cut off.
    other.presence(agent.as_str(), true).await;
    assert_eq!(shard.expect_revocation().await, agent);
    shard.presence(agent.as_str(), false).await;
    let mut body = guide_call();
    body["agent_number"] = Value::Null;
    body["crm_username"] = json!(AGENT);
    rig.post_call(body).await.expect(201);
    let place = other.expect_call().await;
    other.end(place.call_id.as_str(), call_words::CallStatus::Failed).await;
    // The link's end is not the softphone's, unless it lasts (1 s here).
    rig.app
        .records
        .blocking()
        .change_softphone(&ACCOUNT.into(), AGENT, |softphone| softphone.last_seen_ms = None)
        .unwrap();
    drop(other);
    let dropped_ms = control_api::clock::now_ms();
    assert!(rig.app.link.is_softphone_online(&agent.as_str().into()));
    wait_presence(&rig, AGENT, false).await;
    let noted = async {
        loop {
            match rig.app.records.blocking().softphone(&ACCOUNT.into(), AGENT).unwrap().last_seen_ms
            {
                Some(last_seen_ms) => return last_seen_ms,
                None => tokio::task::yield_now().await,
            }
        }
    };
    let last_seen_ms = tokio::time::timeout(DEADLINE, noted).await.expect("it is noted");
    assert!(last_seen_ms <= dropped_ms, "it was last seen with the link's last word");
    // A greeting without it takes it away at once.
    drop(shard);
    let shard = rig.softphone_shard(&[], &[agent.as_str()]).await;
    wait_presence(&rig, AGENT, true).await;
    drop(shard);
    let _shard = rig.softphone_shard(&[], &[]).await;
    wait_presence(&rig, AGENT, false).await;
    rig.stop().await;
}

async fn shards(rig: &Rig, loads: &[(u32, bool)]) -> Vec<Shard> {
    let mut shards = Vec::new();
    for (shard, (call_count, draining)) in (0..).zip(loads) {
        let status = ShardStatus { call_count: *call_count, draining: *draining, ..status() };
        let softphone_service = Some(service(8443 + shard));
        shards.push(rig.greet(Hello { shard, status, softphone_service, ..hello(1, &[]) }).await);
    }
    let opened = async {
        while rig.app.link.shards().iter().filter(|shard| shard.is_connected).count() < loads.len()
        {
            tokio::task::yield_now().await
        }
    };
    tokio::time::timeout(DEADLINE, opened).await.unwrap();
    shards
}

#[tokio::test]
async fn softphones_are_led_to_one_shard_each() {
    let rig = Rig::start().await;
    let mut shards = shards(&rig, &[(50, false), (0, false), (0, true), (0, false)]).await;
    let url = |page: &Page| page.opened["sip"]["url"].as_str().unwrap().to_owned();
    let page = Page::open(&rig, AGENT, CUSTOMER).await;
    assert_eq!(url(&page), "wss://edge.example:8444/", "the least loaded that takes softphones");
    let agent = shards[1].expect_grant().await.agent;
    // The next agent goes where fewer were led.
    let other = Page::open(&rig, "agent.018", CUSTOMER).await;
    assert_eq!(url(&other), "wss://edge.example:8446/");
    shards[3].expect_grant().await;
    // Before it registers, and once it has, the agent is led to the same again, whatever the load.
    shards[1].write(&FromEdge::Status(ShardStatus { call_count: 90, ..status() })).await;
    assert_eq!(url(&Page::open(&rig, AGENT, CUSTOMER).await), "wss://edge.example:8444/");
    shards[1].expect_grant().await;
    shards[1].presence(agent.as_str(), true).await;
    wait_presence(&rig, AGENT, true).await;
    let page = Page::open(&rig, AGENT, CUSTOMER).await;
    shards[1].expect_grant().await;
    let (call_id, _) = page.place(&rig, &mut shards[1]).await;
    // Its call keeps it there even when the softphone is lost and the shard drains.
    shards[1].presence(agent.as_str(), false).await;
    shards[1].write(&FromEdge::Status(ShardStatus { draining: true, ..status() })).await;
    wait_presence(&rig, AGENT, false).await;
    let renewed = page.send(&rig, Method::POST, "renew", None).await.expect(200).json();
    assert_eq!(renewed["sip"]["url"], "wss://edge.example:8444/");
    shards[1].expect_grant().await;
    assert_eq!(
        url(&Page::open(&rig, AGENT, CUSTOMER).await),
        "wss://edge.example:8444/",
        "another page joins the call"
    );
    shards[1].expect_grant().await;
    // After the call it is led away from the draining shard, which is told to forget it.
    shards[1].end(&call_id, call_words::CallStatus::Answer).await;
    let renewed = page.send(&rig, Method::POST, "renew", None).await.expect(200).json();
    assert_eq!(renewed["sip"]["url"], "wss://edge.example:8446/");
    assert_eq!(shards[1].expect_revocation().await, agent);
    assert_eq!(shards[3].expect_grant().await.agent, agent);
    rig.stop().await;
}

// S44 over a restart
#[tokio::test]
async fn trunks_remember_their_calls_over_a_restart() {
    let rig = Rig::start().await;
    let trunk = rig.app.records.blocking().trunk(&"carrier".into()).unwrap().unwrap();
    rig.app.records.blocking().put_trunk(&storage::Trunk { max_calls: 1, ..trunk }).unwrap();
    let mut shard = rig.shard(1, &[]).await;
    let (call_id, _) = rig.place(&mut shard).await;
    let rig = rig.restart().await;
    let mut shard = rig.shard(1, &[&call_id]).await;
    rig.post_call(guide_call()).await.expect_problem(503, "trunks_full");
    shard.end(&call_id, call_words::CallStatus::Busy).await;
    rig.place(&mut shard).await;
    rig.stop().await;
}

#[tokio::test]
async fn an_agent_tests_the_way_of_a_calls_sound_and_operators_see_what_was_found() {
    let rig = Rig::start().await;
    let mut shard = rig.softphone_shard(&[], &[]).await;
    let page = Page::online(&rig, &mut shard, AGENT, CUSTOMER).await;
    let begun = page.send(&rig, Method::POST, "media-test", None).await.expect(201).json();
    let test = shard.expect_call().await;
    assert_eq!(begun["call_id"], test.call_id.as_str());
    assert!(
        test.customer.routes.is_empty()
            && test.recording.is_none()
            && test.max_duration_ms <= 30_000
    );
    assert_eq!(
        test.agent,
        control_wire::AgentTarget::Softphone {
            agent: name(&rig, AGENT),
            ring_ms: 8_000,
            opus: false
        }
    );
    // It leaves no trace but what the page found.
    shard.end(test.call_id.as_str(), call_words::CallStatus::Canceled).await;
    assert!(rig.app.records.blocking().call(&test.call_id).unwrap().is_none());
    page.call(&rig).await.expect(404);
    let measured = json!({ "outcome": "fair", "round_trip_ms": 48, "jitter_ms": 31,
        "lost_permille": 4, "sent_lost_permille": null });
    page.send(&rig, Method::PUT, "media-test", Some(measured)).await.expect(204);
    let mut seen = agent(&rig, AGENT).await["media_test"].clone();
    assert!(seen["at"].take().is_string());
    let expected = json!({ "at": null, "outcome": "fair", "round_trip_ms": 48, "jitter_ms": 31,
        "lost_permille": 4, "sent_lost_permille": null });
    assert_eq!(seen, expected);
    for refused in
        [json!({ "outcome": "splendid" }), json!({ "outcome": "good", "jitter_ms": -1 }), json!({})]
    {
        let answer = page.send(&rig, Method::PUT, "media-test", Some(refused)).await;
        assert!((400..500).contains(&answer.status.as_u16()), "{}", answer.status);
    }
    // In a call the softphone is left alone; without one that is online nobody is called.
    page.place(&rig, &mut shard).await;
    assert_eq!(
        page.send(&rig, Method::POST, "media-test", None).await.expect(409).json()["code"],
        "agent_busy"
    );
    rig.stop().await;
}
