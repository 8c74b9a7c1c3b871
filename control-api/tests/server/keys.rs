//! Who may use the API: keys, classes, expiry, addresses.

use crate::rig::{Answer, Rig, guide_call};
use control_api::clock::now_ms;
use reqwest::Method;
use storage::KeyClass;

/// A request whose body would be refused, too: whoever may not come in is told that first.
async fn post_as(rig: &Rig, authorization: Option<String>, forwarded_for: Option<&str>) -> Answer {
    rig.request(Method::POST, "/calls", |request| {
        let request = request.body("not JSON");
        let request = authorization
            .into_iter()
            .fold(request, |request, value| request.header("authorization", value));
        forwarded_for
            .into_iter()
            .fold(request, |request, value| request.header("x-forwarded-for", value))
    })
    .await
}

fn bearer(key: &str) -> Option<String> {
    Some(format!("Bearer {key}"))
}

// S16, S37–S40
#[tokio::test]
async fn keys_are_checked_before_the_body() {
    let rig = Rig::start().await;
    let missing = post_as(&rig, None, None).await;
    assert_eq!(
        missing.expect_problem(401, "unauthorized").header("www-authenticate"),
        "Bearer realm=\"control-api\""
    );
    for authorization in ["Bearer wrong", "Basic dTpw", "Bearer", ""] {
        let answer = post_as(&rig, Some(authorization.into()), None).await;
        assert!(
            answer
                .expect_problem(401, "unauthorized")
                .header("www-authenticate")
                .contains("error="),
            "{authorization}"
        );
    }
    let expired =
        rig.add_key("expired", KeyClass::Server, |key| key.expires_ms = Some(now_ms() - 1));
    post_as(&rig, bearer(&expired), None).await.expect_problem(401, "unauthorized");
    // S06: the old key works until its overlap is over.
    let overlapping =
        rig.add_key("old", KeyClass::Server, |key| key.expires_ms = Some(now_ms() + 60_000));
    post_as(&rig, bearer(&overlapping), None).await.expect(415);
    post_as(&rig, bearer(&rig.browser_key), None).await.expect_problem(403, "key_class");
    let admin = rig.add_key("admin", KeyClass::Admin, |key| key.account_id = None);
    post_as(&rig, bearer(&admin), None).await.expect_problem(403, "key_class");
    post_as(&rig, bearer(&rig.server_key), None).await.expect(415);
    rig.stop().await;
}

// S40: requests come from 127.0.0.1, which is a trusted proxy here.
#[tokio::test]
async fn a_key_may_be_bound_to_addresses() {
    let rig = Rig::start().await;
    let elsewhere = rig.add_key("elsewhere", KeyClass::Server, |key| {
        key.cidrs = vec!["198.51.100.0/24".into(), "2001:db8::/32".into()]
    });
    post_as(&rig, bearer(&elsewhere), None).await.expect_problem(403, "address");
    post_as(&rig, bearer(&elsewhere), Some("198.51.100.7")).await.expect(415);
    post_as(&rig, bearer(&elsewhere), Some("::ffff:198.51.100.7")).await.expect(415);
    post_as(&rig, bearer(&elsewhere), Some("2001:db8::1")).await.expect(415);
    post_as(&rig, bearer(&elsewhere), Some("198.51.100.7, 203.0.113.1"))
        .await
        .expect_problem(403, "address");
    let here = rig.add_key("here", KeyClass::Server, |key| key.cidrs = vec!["127.0.0.0/8".into()]);
    post_as(&rig, bearer(&here), None).await.expect(415);
    rig.stop().await;
}

// S39
#[tokio::test]
async fn a_server_key_in_a_query_string_is_refused_everywhere() {
    let rig = Rig::start().await;
    let key = rig.server_key.clone();
    let last_of_many = format!("/calls?{}k=", "x=as-long-as-a-key-may-be-at-least&".repeat(40));
    for path in [
        "/calls?api_key=",
        "/calls?x=1&anything=",
        "/recordings/crm_0123456789012345678901.wav?k=",
        "/openapi.json?",
        last_of_many.as_str(),
    ] {
        let answer = rig
            .request(Method::GET, &format!("{path}{key}"), |request| request.bearer_auth(&key))
            .await;
        answer.expect(403);
        assert_eq!(answer.json()["code"], "key_in_query", "{path}");
    }
    rig.get("/calls?uuid=an-ordinary-value-of-some-length").await.expect(200);
    // A browser key there is of no use, but does no harm.
    let answer = rig
        .request(Method::GET, &format!("/calls?api_key={}", rig.browser_key), |request| request)
        .await;
    answer.expect_problem(401, "unauthorized");
    rig.stop().await;
}

#[tokio::test]
async fn calls_of_other_accounts_do_not_exist() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    let (call_id, _) = rig.place(&mut shard).await;
    let other = rig.add_key("other", KeyClass::Server, |key| key.account_id = Some("other".into()));
    for (method, path) in [
        (Method::GET, format!("/calls/{call_id}")),
        (Method::DELETE, format!("/calls/{call_id}")),
        (Method::GET, format!("/calls/{call_id}/timeline")),
        (Method::POST, format!("/calls/{call_id}/callback/redeliver")),
    ] {
        rig.request(method, &path, |request| request.bearer_auth(&other))
            .await
            .expect_problem(404, "not_found");
    }
    let list = rig.request(Method::GET, "/calls", |request| request.bearer_auth(&other)).await;
    assert_eq!(list.expect(200).json()["calls"], serde_json::json!([]));
    let body = guide_call().to_string();
    let build = |request: reqwest::RequestBuilder| {
        request.bearer_auth(&other).header("content-type", "application/json").body(body)
    };
    rig.request(Method::POST, "/calls", build)
        .await
        .expect_problem(403, "from_number_not_assigned");
    rig.stop().await;
}
