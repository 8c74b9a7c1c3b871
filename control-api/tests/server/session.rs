//! What a page's session hangs on, also while it waits.

use crate::rig::{ACCOUNT, Rig};
use crate::softphone::{AGENT, CUSTOMER, Page, wait_watched};
use crate::webphone::check_over;
use control_api::clock::now_ms;
use reqwest::Method;
use serde_json::json;

// B07: whatever was said of it when the session was opened, the key must still be the account's,
// for browsers, and in its time; and its agent must be there.
#[tokio::test]
async fn a_session_hangs_on_its_key_and_its_agent_as_they_are_now() {
    let rig = Rig::start().await;
    let mut shard = rig.softphone_shard(&[], &[]).await;
    let page = Page::online(&rig, &mut shard, AGENT, CUSTOMER).await;
    let store = rig.app.records.blocking();
    let key = store.api_key(&"browser".into()).unwrap().unwrap();
    let other = storage::ApiKey { account_id: Some("other".into()), ..key.clone() };
    let server = storage::ApiKey { class: storage::KeyClass::Server, ..key.clone() };
    let late = storage::ApiKey { expires_ms: Some(now_ms() - 1), ..key.clone() };
    for changed in [other, server, late] {
        store.put_api_key(&changed).unwrap();
        check_over(&rig, &page).await;
        store.put_api_key(&key).unwrap();
        page.call(&rig).await.expect_problem(404, "not_found");
    }
    let agent = store.agent(&ACCOUNT.into(), AGENT).unwrap().unwrap();
    store.delete_agent(&ACCOUNT.into(), AGENT).unwrap();
    check_over(&rig, &page).await;
    store.put_agent(&agent).unwrap();
    // Pages hear of a nearer end of their key, though nothing else happens.
    let mut events = page.events(&rig).await;
    let rotate = format!("/admin/accounts/{ACCOUNT}/keys/browser/rotate");
    rig.admin_json(Method::POST, &rotate, json!({ "overlap_s": 1 })).await.expect(201);
    assert_eq!(events.next().await, None);
    check_over(&rig, &page).await;
    rig.stop().await;
}

// B07: nothing is placed for a session that ended while its softphone was waited for.
#[tokio::test]
async fn a_call_that_waits_for_the_softphone_ends_with_its_session() {
    let rig = Rig::start().await;
    let mut shard = rig.softphone_shard(&[], &[]).await;
    let page = Page::open(&rig, AGENT, CUSTOMER).await;
    let agent = shard.expect_grant().await.agent;
    let (answer, ()) = tokio::join!(page.start(&rig, "granted"), async {
        wait_watched(&rig, AGENT).await;
        // Without a word to the page.
        rig.app.records.blocking().delete_api_key(&"browser".into()).unwrap();
        shard.presence(agent.as_str(), true).await;
    });
    answer.expect_problem(401, "session_over");
    assert_eq!(rig.app.limits.lines.live_count(), 0);
    rig.stop().await;
}
