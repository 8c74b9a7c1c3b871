//! The agent's phone is to press 1 before the customer is rung (A9), so that no voicemail rings
//! one.

use media_core::tone::{self, CONFIRM};
use reqwest::Method;
use serde_json::json;
use std::time::Instant;
use tests::eventually;
use tests::rig::Rig;
use tests::sink::Sink;
use tests::sipp::Phone::*;
use tests::sipp::{Law, agent_number, customer_number};

async fn confirming() -> Rig {
    Rig::with(Sink::ok().await, Law::Mu, |spec| spec.account_settings = "agent_confirm = true\n")
        .await
}

// A9
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_customer_rings_once_the_agent_pressed_1() {
    let rig = confirming().await;
    let since = Instant::now();
    let call = rig.place(Talks, Talks).await;
    rig.let_speak(&call.agent_number, &rig.agent).await;
    eventually("the beeps", async || {
        let heard = rig.agent.heard_since(since);
        heard
            .windows(480)
            .step_by(160)
            .any(|piece| tone::level(piece, CONFIRM.frequency) > 3000.0)
            .then_some(())
    })
    .await;
    assert!(rig.sipp.messages_of(&call.customer_number).is_empty(), "not rung yet");
    assert_eq!(rig.call(&call).await["state"], "agent_answered");
    rig.agent.press(1);
    rig.let_speak(&call.customer_number, &rig.customer).await;
    rig.state(&call, "bridged").await;
    rig.both_hear_each_other().await;
    assert_eq!(rig.customer.keys(), [0u8; 0], "the key was ours");
    let timeline = rig.timeline(&call).await;
    let at = |leg: &str, kind: &str| {
        timeline.iter().position(|step| step["leg"] == leg && step["kind"] == kind)
    };
    let order = [
        at("agent", "answered"),
        at("agent", "confirmation_requested"),
        at("agent", "agent_confirmed"),
    ];
    assert!(
        order.is_sorted() && order[0].is_some() && order[2] < at("customer", "invite_sent"),
        "{timeline:?}"
    );
    rig.hang_up(&call).await;
    let callback = rig.callback(&call).await;
    assert_eq!(callback.field("status"), "ANSWER", "{}", callback.text);

    // One call says otherwise: nobody is asked.
    let number = customer_number(Rings);
    let body = json!({ "from_number": rig.stack.from_number, "to_number": number,
        "agent_number": agent_number(Talks),
        "agent_confirm": false });
    let view: serde_json::Value =
        rig.request(Method::POST, "/calls", Some(body)).await.json().await.expect("JSON");
    rig.message(&number, "180 INVITE").await;
    let path = format!("/calls/{}", view["call_id"].as_str().expect("call_id"));
    assert_eq!(rig.request(Method::DELETE, &path, None).await.status(), 204);
    rig.message(&number, "CANCEL").await;
    rig.stop().await;
}

// A9
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_key_no_customer_is_rung() {
    let rig = confirming().await;
    // One agent presses nothing, one `5`, and one hangs up.
    let calls = [
        rig.place(Talks, Talks).await,
        rig.place(Keys, Talks).await,
        rig.place(HangsUp, Talks).await,
    ];
    let failed = ["FAILED", "agent_not_confirmed", "agent", "system"];
    let canceled = ["CANCELED", "canceled", "null", "agent"];
    for (call, expected) in calls.iter().zip([failed, failed, canceled]) {
        let callback = rig.callback(call).await;
        let told = ["status", "reason", "failed_leg", "hangup_by"]
            .map(|key| callback.body[key].as_str().unwrap_or("null"));
        assert_eq!(told, expected, "{}", callback.text);
        rig.message(&call.agent_number, "BYE").await;
    }
    let rung = calls.iter().flat_map(|call| rig.sipp.messages_of(&call.customer_number)).count();
    assert_eq!(rung, 0, "messages to customers");
    rig.stop().await;
}
