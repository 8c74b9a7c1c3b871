//! Mid-call control from the softphone's page in a real browser: hold, consult, merge, transfer,
//! and a tab that closes (S13, S19, A10).

use crate::softphone::{AGENT, both_talk, launch, pictures, rig};
use reqwest::Method;
use serde_json::{Value, json};
use tests::browser::{Browser, Microphone, Page};
use tests::eventually;
use tests::party::{AGENT_HZ, CUSTOMER_HZ, THIRD_HZ};
use tests::sipp::Phone::*;
use tests::sipp::third_number;

/// Dials a third party from the page.
async fn add(page: &Page<'_>, number: &str, how: &str) {
    page.click("button", "Add person").await;
    page.fill("Number to call", number).await;
    page.click("button", how).await;
}

// S13, S19
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_consults_merges_and_leaves_before_its_tab_closes() {
    let rig = rig().await;
    let browser = Browser::start(Microphone::Granted, AGENT_HZ).await;
    let (page, call) = launch(&rig, &browser, AGENT, Talks).await;
    both_talk(&rig, &page, &call).await;

    page.click("button", "Hold").await;
    rig.hears(&rig.customer, &[]).await;
    pictures(&page, "hold").await;
    page.click("button", "Resume").await;
    rig.hears(&rig.customer, &[AGENT_HZ]).await;
    page.click("button", "Mute").await;
    rig.hears(&rig.customer, &[]).await;
    page.click("button", "Mute").await;
    rig.hears(&rig.customer, &[AGENT_HZ]).await;

    let number = third_number(Talks);
    add(&page, &number, "Talk first").await;
    rig.let_speak(&number, &rig.third).await;
    page.hears(THIRD_HZ).await;
    rig.hears(&rig.third, &[AGENT_HZ]).await;
    rig.hears(&rig.customer, &[]).await;
    pictures(&page, "consulting").await;
    page.click("button", "Swap: back to the customer").await;
    page.hears(CUSTOMER_HZ).await;
    rig.hears(&rig.third, &[]).await;
    page.click("button", "Merge: all talk together").await;
    rig.hears(&rig.customer, &[AGENT_HZ, THIRD_HZ]).await;
    rig.hears(&rig.third, &[AGENT_HZ, CUSTOMER_HZ]).await;
    let heard = page.heard(&[CUSTOMER_HZ, THIRD_HZ, AGENT_HZ]).await.expect("audio");
    assert!(
        heard.levels[0] > -60.0 && heard.levels[1] > -60.0 && heard.levels[2] < -55.0,
        "{:?}",
        heard.levels
    );
    pictures(&page, "together").await;

    page.click("button", "Transfer: you leave, they stay").await;
    rig.hears(&rig.customer, &[THIRD_HZ]).await;
    rig.hears(&rig.third, &[CUSTOMER_HZ]).await;
    pictures(&page, "left").await;
    page.close().await;
    rig.hears(&rig.customer, &[THIRD_HZ]).await;
    let answer = rig
        .request(Method::DELETE, &format!("/calls/{}/participants/customer", call.call_id), None)
        .await;
    assert_eq!(answer.status(), 200);
    let callback = rig.callback(&call).await;
    for (key, value) in [
        ("status", json!("ANSWER")),
        ("crm_username", json!(AGENT)),
        ("call_type", json!("browser")),
    ] {
        assert_eq!(callback.body[key], value, "{key}: {}", callback.text);
    }
    assert_eq!(
        callback.body["participants"][0]["number"],
        format!("+91{number}"),
        "{}",
        callback.text
    );
    assert_eq!(rig.sink.received(&call.call_id).len(), 1);
    browser.stop().await;
    rig.stop().await;
}

// S13: blind transfer, and a third that is busy; the agent is told why.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_transfers_and_is_told_why_a_third_did_not_come() {
    let rig = rig().await;
    let browser = Browser::start(Microphone::Granted, AGENT_HZ).await;
    let (page, call) = launch(&rig, &browser, AGENT, Talks).await;
    both_talk(&rig, &page, &call).await;
    add(&page, &third_number(Busy), "Transfer").await;
    page.says("busy").await;
    pictures(&page, "third-busy").await;
    rig.hears(&rig.customer, &[AGENT_HZ]).await;

    let number = third_number(Talks);
    add(&page, &number, "Transfer").await;
    rig.let_speak(&number, &rig.third).await;
    rig.hears(&rig.customer, &[THIRD_HZ]).await;
    page.close().await;
    rig.hears(&rig.third, &[CUSTOMER_HZ]).await;
    rig.hang_up(&call).await;
    let callback = rig.callback(&call).await;
    assert_eq!(
        (callback.field("status"), callback.field("hangup_by")),
        ("ANSWER", "api"),
        "{}",
        callback.text
    );
    browser.stop().await;
    rig.stop().await;
}

// A supervisor by softphone, on another agent's call.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_supervisor_listens_in_a_browser() {
    let rig = rig().await;
    let browser = Browser::start(Microphone::Granted, 1850.0).await;
    let page =
        browser.open(&rig.stack.launch_url("agent.018", &tests::sipp::customer_number(Busy))).await;
    page.says("Busy").await;
    let call = rig.talk(Talks, Talks).await;
    let body = json!({ "role": "listen", "crm_username": "agent.018" });
    let view: Value = rig.does(&call, "supervisors", Some(body)).await;
    let parties = view["conversation"]["parties"].as_array().expect("parties");
    let supervisor =
        parties.iter().find(|party| party["role"] == "supervisor").expect("a supervisor")["party"]
            .clone();
    page.says("listening").await;
    pictures(&page, "supervising").await;
    eventually("both tones in the browser", async || {
        let heard = page.heard(&[AGENT_HZ, CUSTOMER_HZ]).await?;
        heard.levels.iter().all(|level| *level > -60.0).then_some(())
    })
    .await;
    rig.hears(&rig.agent, &[CUSTOMER_HZ]).await;
    let path =
        format!("/calls/{}/supervisors/{}", call.call_id, supervisor.as_str().expect("a name"));
    assert_eq!(
        rig.request(Method::PATCH, &path, Some(json!({ "role": "whisper" }))).await.status(),
        200
    );
    rig.hears(&rig.agent, &[CUSTOMER_HZ, 1850.0]).await;
    rig.hears(&rig.customer, &[AGENT_HZ]).await;
    rig.hang_up(&call).await;
    rig.callback(&call).await;
    browser.stop().await;
    rig.stop().await;
}
