//! `GET /calls`: pages and filters; the timeline.

use crate::rig::{Rig, guide_call};
use call_words::{CallStatus, LegKind};
use serde_json::{Value, json};

fn ids(list: &Value) -> Vec<String> {
    list["calls"]
        .as_array()
        .unwrap()
        .iter()
        .map(|call| call["call_id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn pages_hold_every_call_once_newest_first() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    let mut placed = Vec::new();
    for _ in 0..7 {
        placed.push(rig.place(&mut shard).await.0);
    }
    let whole = rig.get("/calls").await.expect(200).json();
    assert_eq!(whole["next_cursor"], Value::Null);
    let mut listed = Vec::new();
    let mut path = "/calls?limit=3".to_owned();
    loop {
        let page = rig.get(&path).await.expect(200).json();
        listed.extend(ids(&page));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/calls?limit=3&cursor={cursor}");
    }
    assert_eq!(listed, ids(&whole));
    let times: Vec<_> = whole["calls"]
        .as_array()
        .unwrap()
        .iter()
        .map(|call| call["start_time"].as_str().unwrap())
        .collect();
    assert!(times.is_sorted_by(|newer, older| newer >= older));
    listed.sort();
    placed.sort();
    assert_eq!(listed, placed);
    rig.stop().await;
}

#[tokio::test]
async fn filters_narrow_the_list() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    let (busy, _) = rig.place(&mut shard).await;
    shard.end(&busy, CallStatus::Busy).await;
    let mut body = guide_call();
    body["uuid"] = json!("u & 1");
    body["to_number"] = json!("9876543219");
    body["disposition"] = json!("LEAD");
    let live = rig.post_call(body).await.expect(201).json()["call_id"].as_str().unwrap().to_owned();
    let both = vec![live.clone(), busy.clone()];
    for (query, expected) in [
        ("status=BUSY", vec![busy.clone()]),
        ("status=ANSWER", vec![]),
        ("live=true", vec![live.clone()]),
        ("live=false", vec![busy.clone()]),
        ("uuid=u+%26+1", vec![live.clone()]),
        ("customer_number=%2B91%2098765%2043219", vec![live.clone()]),
        ("customer_number=098765-43210", vec![busy.clone()]),
        ("agent_number=9876543211", both.clone()),
        ("crm_username=agent.017", vec![]),
        ("disposition=LEAD", vec![live.clone()]),
        ("call_type=server&from_number=%2B918047123456", both.clone()),
        ("call_type=browser", vec![]),
        ("from=2020-01-01T00:00:00Z", both.clone()),
        ("to=2020-01-01T00:00:00%2B05:30", vec![]),
        ("from=2020-01-01T00:00:00Z&to=2999-01-01T00:00:00Z&status=BUSY", vec![busy.clone()]),
    ] {
        let mut listed = ids(&rig.get(&format!("/calls?{query}")).await.expect(200).json());
        let mut expected = expected;
        listed.sort();
        expected.sort();
        assert_eq!(listed, expected, "{query}");
    }
    for query in [
        "status=ok",
        "live=maybe",
        "from=yesterday",
        "limit=0",
        "limit=201",
        "limit=x",
        "cursor=zzz",
        "customer_number=1",
    ] {
        let problem =
            rig.get(&format!("/calls?{query}")).await.expect_problem(400, "malformed_query").json();
        assert_eq!(problem["errors"][0]["field"], query.split('=').next().unwrap(), "{problem}");
    }
    // A misspelt condition does not list everything; the raw `+` of a time zone is understood.
    for (query, unknown) in [("callbak=exhausted", "callbak"), ("status=BUSY&Limit=3", "Limit")] {
        let problem =
            rig.get(&format!("/calls?{query}")).await.expect_problem(400, "malformed_query").json();
        assert_eq!(problem["errors"][0]["field"], unknown, "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains("unknown field"), "{problem}");
    }
    rig.get("/calls?from=2020-01-01T05:30:00+05:30").await.expect(200);
    rig.stop().await;
}

#[tokio::test]
async fn the_timeline_holds_every_step_in_order() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    let (call_id, _) = rig.place(&mut shard).await;
    shard.milestone(&call_id, 1, Some(LegKind::Agent), "invite_sent").await;
    shard.milestone(&call_id, 2, Some(LegKind::Agent), "ringing").await;
    shard.end(&call_id, CallStatus::NoAnswer).await;
    let wait = async {
        loop {
            let timeline = rig.get(&format!("/calls/{call_id}/timeline")).await.expect(200).json();
            if timeline["entries"].as_array().unwrap().len() == 5 {
                return timeline;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    let timeline = tokio::time::timeout(crate::rig::DEADLINE, wait)
        .await
        .expect("the callback was never tried");
    let kinds: Vec<_> = timeline["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["accepted", "invite_sent", "ringing", "ended", "callback_attempt"]);
    assert_eq!(timeline["entries"][2]["leg"], "agent");
    assert_eq!(timeline["entries"][4]["delivered"], false);
    rig.get("/calls/x/timeline").await.expect_problem(404, "not_found");
    rig.stop().await;
}
