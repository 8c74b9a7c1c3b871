//! The launch link: what it renders, what it refuses and how, and that it has no effect.

use crate::rig::{ACCOUNT, Answer, CALLER_ID, Rig};
use crate::softphone::{AGENT, CUSTOMER, LAUNCH, Page, launch_data, launch_query};
use control_api::admin::pack::{ClearKeys, Pack};
use control_api::clock::now_ms;
use control_api::secret::Secret;
use reqwest::Method;
use serde_json::json;
use std::sync::{Mutex, OnceLock};
use storage::KeyClass;

async fn get(rig: &Rig, query: &str) -> Answer {
    rig.request(Method::GET, &format!("{LAUNCH}?{query}"), |request| {
        request.header("accept", "text/html,*/*;q=0.8")
    })
    .await
}

async fn get_json(rig: &Rig, query: &str) -> Answer {
    rig.request(Method::GET, &format!("{LAUNCH}?{query}"), |request| {
        request.header("accept", "application/problem+json")
    })
    .await
}

fn html(answer: &Answer) -> String {
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    String::from_utf8(answer.body.clone()).unwrap()
}

#[track_caller]
fn check_headers(answer: &Answer) {
    for (name, value) in [
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(answer.header(name), value, "{name}");
    }
    assert!(answer.header("permissions-policy").contains("microphone=(self)"));
}

// S02, S03, S05
#[tokio::test]
async fn the_link_renders_the_page_with_its_launch() {
    let rig = Rig::start().await;
    let answer = get(&rig, &launch_query(&rig.browser_key, AGENT, CUSTOMER)).await;
    let data = launch_data(&answer);
    for (key, value) in [
        ("agent", json!({ "crm_username": AGENT, "name": "Asha" })),
        ("to_number", json!(CUSTOMER)),
        ("to_number_e164", json!("+919876543210")),
        ("from_number", json!(CALLER_ID)),
        ("account", json!("Acme")),
    ] {
        assert_eq!(data[key], value, "{key}");
    }
    check_headers(&answer);
    let page = html(&answer);
    assert!(!page.contains(&rig.browser_key), "the key is not given back");
    let policy = answer.header("content-security-policy");
    assert!(
        policy.contains("script-src 'self';") && policy.contains("frame-ancestors *"),
        "{policy}"
    );
    assert!(!policy.contains("unsafe"), "{policy}");

    // Where its program is kept from loading, as in a frame without allow-scripts, it is not blank.
    let (_, body) = page.split_once("<body>").expect("a body");
    for part in
        ["<main", "Opening the softphone", "allow-scripts and allow-same-origin", "<noscript>"]
    {
        assert!(body.contains(part), "{part} is not in {body}");
    }

    // What the page loads is there, and may be kept.
    let assets: Vec<&str> =
        page.split('"').filter(|text| text.starts_with("/CRM_API/webphone/assets/")).collect();
    assert!(assets.iter().any(|path| path.ends_with(".js")), "{assets:?}");
    for path in assets {
        let asset = rig.request(Method::GET, path, |request| request).await;
        assert!(asset.expect(200).header("cache-control").contains("immutable"), "{path}");
        let tag = asset.header("etag").to_owned();
        let again =
            rig.request(Method::GET, path, |request| request.header("if-none-match", tag)).await;
        assert!(again.expect(304).body.is_empty());
    }
    rig.request(Method::GET, "/CRM_API/webphone/assets/../index.html", |request| request)
        .await
        .expect(404);
    rig.request(Method::GET, "/CRM_API/webphone/assets/none.js", |request| request)
        .await
        .expect_problem(404, "not_found");

    // An agent without a name of its own, one in two scripts.
    let plain =
        launch_data(&get(&rig, &launch_query(&rig.browser_key, "agent.018", CUSTOMER)).await);
    assert_eq!(plain["agent"], json!({ "crm_username": "agent.018", "name": null }));
    let other =
        launch_data(&get(&rig, &launch_query(&rig.browser_key, "Jörg आशा", CUSTOMER)).await);
    assert_eq!(other["agent"]["crm_username"], "Jörg आशा");
    rig.stop().await;
}

// A4: the page after the address was cleaned, and the setup page
#[tokio::test]
async fn pages_without_a_launch_hold_no_launch_data() {
    let rig = Rig::start().await;
    for path in ["/CRM_API/webphone/call", "/CRM_API/webphone/setup"] {
        let answer = rig.request(Method::GET, path, |request| request).await;
        check_headers(answer.expect(200));
        assert!(
            html(&answer).contains("<script type=\"application/json\" id=\"launch\"></script>")
        );
    }
    // The setup page tries the way to a shard that takes softphones, once there is one.
    let _shard = rig.softphone_shard(&[], &[]).await;
    let setup = rig.request(Method::GET, "/CRM_API/webphone/setup", |request| request).await;
    assert_eq!(launch_data(&setup), json!({ "sip_url": "wss://edge.example:8443/" }));
    let call = rig.request(Method::GET, "/CRM_API/webphone/call", |request| request).await;
    assert!(!html(&call).contains("sip_url"));
    rig.stop().await;
}

// S04
#[tokio::test]
async fn numbers_as_crms_hold_them_dial_the_same() {
    let rig = Rig::start().await;
    let key = &rig.browser_key;
    for raw in [
        "%2B91%2098765%2043210",
        "+91+98765+43210",
        "+919876543210",
        "098765-43210",
        "9876543210",
        "tel:%2B919876543210",
        "%2B91%20(0)%2098765%2043210",
        "98765%C2%A043210",
        "%E2%80%8B98765%E2%80%AC43210",
        "00919876543210",
    ] {
        // The caller ID in its raw form, too.
        let answer = get(
            &rig,
            &format!(
                "from_number=+918047123456&to_number={raw}&api_key={key}&crm_username={AGENT}&x=1"
            ),
        )
        .await;
        let data = launch_data(&answer);
        assert_eq!(
            (&data["to_number_e164"], &data["from_number"]),
            (&json!("+919876543210"), &json!(CALLER_ID)),
            "{raw}"
        );
    }
    rig.stop().await;
}

// S03, S05, S08, A7
#[tokio::test]
async fn refusals_name_what_is_wrong() {
    let rig = Rig::start().await;
    let key = rig.browser_key.clone();
    let query = |agent: &str, to: &str, from: &str| {
        format!("crm_username={agent}&api_key={key}&to_number={to}&from_number={from}")
    };
    let from = CALLER_ID.replace('+', "%2B");
    let long = "x".repeat(129);
    for (query, status, code, named) in [
        (String::new(), 400, "missing_parameter", "crm_username"),
        (
            format!("api_key={key}&to_number=9876543210&from_number={from}"),
            400,
            "missing_parameter",
            "crm_username",
        ),
        (
            format!("crm_username={AGENT}&to_number=9876543210&from_number={from}"),
            400,
            "missing_parameter",
            "api_key",
        ),
        (query(AGENT, "", &from), 400, "missing_parameter", "to_number"),
        (query(AGENT, "9876543210", "+"), 400, "missing_parameter", "from_number"),
        (query(AGENT, "9876543210&to_number=1", &from), 400, "repeated_parameter", "to_number"),
        (query("%ff", "9876543210", &from), 400, "malformed_query", "crm_username"),
        (launch_query("wrong", AGENT, CUSTOMER), 401, "unauthorized", "api_key"),
        (launch_query(&"k".repeat(300), AGENT, CUSTOMER), 401, "unauthorized", "api_key"),
        (query("Agent.017", "9876543210", &from), 422, "unknown_agent", "crm_username"),
        (query("agent.017%20", "9876543210", &from), 422, "unknown_agent", "crm_username"),
        (query(&long, "9876543210", &from), 422, "invalid_crm_username", "crm_username"),
        (query(AGENT, "112", &from), 422, "invalid_number", "to_number"),
        (query(AGENT, "call%20me", &from), 422, "invalid_number", "to_number"),
        (query(AGENT, "9876543210", "%2B918047123457"), 403, "from_number_not_assigned", CALLER_ID),
    ] {
        let page = get(&rig, &query).await;
        check_headers(page.expect(status));
        let text = html(&page);
        assert!(
            text.contains(named) && text.contains("<h1>") && !text.contains("<script"),
            "{query}: {text}"
        );
        assert!(!text.contains(&key));
        let problem = get_json(&rig, &query).await;
        check_headers(problem.expect_problem(status, code));
    }
    assert_eq!(rig.get("/calls").await.expect(200).json()["calls"], json!([]));
    rig.stop().await;
}

// S06, S37–S39
#[tokio::test]
async fn only_a_browser_key_opens_the_link() {
    let rig = Rig::start().await;
    let expired =
        rig.add_key("expired", KeyClass::Browser, |key| key.expires_ms = Some(now_ms() - 1));
    get_json(&rig, &launch_query(&expired, AGENT, CUSTOMER))
        .await
        .expect_problem(401, "unauthorized");
    let old = rig.add_key("old", KeyClass::Browser, |key| key.expires_ms = Some(now_ms() + 60_000));
    get(&rig, &launch_query(&old, AGENT, CUSTOMER)).await.expect(200);
    // A19: a browser key is not bound to addresses.
    let bound =
        rig.add_key("bound", KeyClass::Browser, |key| key.cidrs = vec!["198.51.100.0/24".into()]);
    get(&rig, &launch_query(&bound, AGENT, CUSTOMER)).await.expect(200);
    let other =
        rig.add_key("other", KeyClass::Browser, |key| key.account_id = Some("other".into()));
    get_json(&rig, &launch_query(&other, AGENT, CUSTOMER))
        .await
        .expect_problem(422, "unknown_agent");
    let admin = rig.add_key("admin", KeyClass::Admin, |key| key.account_id = None);
    get_json(&rig, &launch_query(&admin, AGENT, CUSTOMER)).await.expect_problem(403, "key_class");
    let page = get(&rig, &launch_query(&rig.server_key, AGENT, CUSTOMER)).await;
    let text = html(page.expect(403));
    assert!(text.contains("wrong key") && !text.contains(&rig.server_key), "{text}");
    get_json(&rig, &launch_query(&rig.server_key, AGENT, CUSTOMER))
        .await
        .expect_problem(403, "key_in_query");
    let metrics = String::from_utf8(rig.operator("/metrics").await.body.clone()).unwrap();
    for line in [
        "control_api_server_keys_exposed_total 2",
        "control_api_webphone_launches_total{result=\"opened\"} 2",
        "control_api_webphone_launches_total{result=\"key_class\"} 1",
    ] {
        assert!(metrics.lines().any(|actual| actual == line), "{line} is not in\n{metrics}");
    }
    rig.stop().await;
}

// S03, A4: neither HEAD nor prefetch nor the link itself does anything.
#[tokio::test]
async fn opening_the_link_has_no_effect() {
    let rig = Rig::start().await;
    let mut shard = rig.softphone_shard(&[], &[]).await;
    let path = format!("{LAUNCH}?{}", launch_query(&rig.browser_key, AGENT, CUSTOMER));
    let head = rig.request(Method::HEAD, &path, |request| request).await;
    assert!(head.expect(200).body.is_empty());
    for (name, value) in [
        ("sec-purpose", "prefetch"),
        ("sec-purpose", "prefetch;prerender"),
        ("purpose", "prefetch"),
    ] {
        let prefetch = rig.request(Method::GET, &path, |request| request.header(name, value)).await;
        check_headers(prefetch.expect(503));
        assert!(!html(&prefetch).contains("\"token\""));
    }
    for _ in 0..3 {
        rig.request(Method::GET, &path, |request| request).await.expect(200);
    }
    assert_eq!(rig.get("/calls").await.expect(200).json()["calls"], json!([]));
    // The first thing that the shard is asked comes from a session.
    let page = Page::open(&rig, AGENT, CUSTOMER).await;
    assert_eq!(page.opened["sip"]["username"], shard.expect_grant().await.agent.as_str());
    rig.stop().await;
}

// A6
#[tokio::test]
async fn agents_and_keys_have_their_rates() {
    let rig = Rig::start_with(|config| {
        config.softphone.launch_per_minute_per_agent = 2;
        config.softphone.launch_per_minute_per_key = 5;
    })
    .await;
    let open =
        async |agent: &str| get_json(&rig, &launch_query(&rig.browser_key, agent, CUSTOMER)).await;
    for _ in 0..2 {
        open(AGENT).await.expect(200);
    }
    let refused = open(AGENT).await;
    assert!(
        refused.expect_problem(429, "rate_limited").header("retry-after").parse::<u64>().unwrap()
            >= 1
    );
    open("agent.018").await.expect(200);
    // Agents that are not registered are limited together, so that nobody can try names for long.
    open("nobody").await.expect_problem(422, "unknown_agent");
    open("somebody").await.expect_problem(422, "unknown_agent");
    open("anybody").await.expect_problem(429, "rate_limited");
    open("agent.018").await.expect_problem(429, "rate_limited");
    let other = rig.add_key("button-2", KeyClass::Browser, |_| {});
    get(&rig, &launch_query(&other, AGENT, CUSTOMER)).await.expect(200);
    rig.stop().await;
}

#[tokio::test]
async fn an_account_says_who_may_embed_the_softphone() {
    let rig = Rig::start().await;
    rig.change_account(|account| {
        account.frame_ancestors =
            vec!["https://crm.example".into(), "https://b.example:8443".into()]
    });
    let answer = get(&rig, &launch_query(&rig.browser_key, AGENT, CUSTOMER)).await;
    let policy = answer.expect(200).header("content-security-policy");
    assert!(
        policy.ends_with("frame-ancestors https://crm.example https://b.example:8443"),
        "{policy}"
    );
    // Also after a reload, and on the setup page; the other account lets anybody.
    for page in ["call", "setup"] {
        for (query, expected) in [
            ("?account=acme", "frame-ancestors https://crm.example https://b.example:8443"),
            ("", "frame-ancestors https://crm.example https://b.example:8443"),
            ("?account=none", "frame-ancestors https://crm.example https://b.example:8443"),
            ("?account=other", "frame-ancestors *"),
        ] {
            let answer = rig
                .request(Method::GET, &format!("/CRM_API/webphone/{page}{query}"), |request| {
                    request
                })
                .await;
            let policy = answer.expect(200).header("content-security-policy");
            assert!(policy.ends_with(expected), "{page}{query}: {policy}");
        }
    }
    rig.stop().await;
}

#[tokio::test]
async fn an_agents_address_with_a_raw_plus_is_understood() {
    let rig = Rig::start().await;
    let register = |crm_username: &str| {
        let agent = storage::Agent {
            account_id: ACCOUNT.into(),
            crm_username: crm_username.into(),
            display_name: "A".into(),
        };
        rig.app.records.blocking().put_agent(&agent).unwrap();
    };
    register("asha+sales@acme.example");
    let key = &rig.browser_key;
    let query = |raw: &str| {
        format!("crm_username={raw}&api_key={key}&to_number=9876543210&from_number=%2B918047123456")
    };
    for raw in ["asha+sales@acme.example", "asha%2Bsales%40acme.example"] {
        let data = launch_data(&get(&rig, &query(raw)).await);
        assert_eq!(data["agent"]["crm_username"], "asha+sales@acme.example", "{raw}");
    }
    get_json(&rig, &query("asha+support@acme.example")).await.expect_problem(422, "unknown_agent");
    // An agent of that very name goes first.
    register("asha sales@acme.example");
    let data = launch_data(&get(&rig, &query("asha+sales@acme.example")).await);
    assert_eq!(data["agent"]["crm_username"], "asha sales@acme.example");
    rig.stop().await;
}

// Who mends a template sees what it made of the link, but not the key.
#[tokio::test]
async fn a_refusal_shows_what_arrived() {
    let rig = Rig::start().await;
    for (to_number, shown) in [
        ("{{phone}}", "to_number: {{phone}}"),
        ("%252B919876501000", "to_number: %2B919876501000"),
        ("%3Cscript%3E1", "to_number: &lt;script&gt;1"),
        ("9876501000%20ext.%2012", "extension"),
    ] {
        let query = launch_query(&rig.browser_key, AGENT, "N").replacen(
            "to_number=N",
            &format!("to_number={to_number}"),
            1,
        );
        let answer = get(&rig, &query).await;
        let page = html(answer.expect(422));
        assert!(page.contains(shown) && page.contains(&format!("crm_username: {AGENT}")), "{page}");
        assert!(!page.contains(&rig.browser_key) && !page.contains("<script"), "{page}");
    }
    rig.stop().await;
}

// S09
#[tokio::test]
async fn the_packs_template_works_as_it_is_pasted() {
    let rig = Rig::start().await;
    let pack: Pack = serde_json::from_value(
        rig.admin(Method::GET, &format!("/admin/accounts/{ACCOUNT}/pack")).await.expect(200).json(),
    )
    .unwrap();
    let clear = ClearKeys { browser: Some(Secret::new(rig.browser_key.clone())), server: None };
    let text = pack.text(&clear);
    let template = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("https://api.example/CRM_API/"))
        .expect("a template");
    let link = template.replace("{AGENT_ID}", AGENT).replace("{CUSTOMER_NUMBER}", "+919876543210");
    let answer = rig.request(Method::GET, &format!("/CRM_API/{link}"), |request| request).await;
    assert_eq!(launch_data(&answer)["to_number_e164"], "+919876543210");
    rig.stop().await;
}

/// Everything that the tests of this process log from the first call on, at the finest level.
fn log() -> &'static Mutex<Vec<u8>> {
    static LOG: OnceLock<Mutex<Vec<u8>>> = OnceLock::new();
    struct Writer;
    impl std::io::Write for Writer {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            log().lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    LOG.get_or_init(|| {
        let builder = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(|| Writer);
        builder.try_init().expect("no other subscriber");
        Mutex::default()
    })
}

// S03, S37–S39: the alert is logged, no key is.
#[tokio::test]
async fn no_log_holds_a_key_a_token_or_a_number() {
    let log = log();
    let rig = Rig::start().await;
    let mut shard = rig.softphone_shard(&[], &[]).await;
    let page = Page::open(&rig, AGENT, CUSTOMER).await;
    let grant = shard.expect_grant().await;
    get(&rig, &launch_query(&rig.server_key, AGENT, CUSTOMER)).await.expect(403);
    get(&rig, &launch_query("a-key-that-nobody-knows", AGENT, CUSTOMER)).await.expect(401);
    page.start(&rig, "denied").await.expect(201);
    let token = Page::launch(&rig, AGENT, CUSTOMER).await;
    let text = String::from_utf8(log.lock().unwrap().clone()).unwrap();
    assert!(
        text.lines().any(|line| line.contains("WARN")
            && line.contains("a server key was sent in a query string"))
    );
    for secret in [
        &rig.browser_key,
        &rig.server_key,
        "a-key-that-nobody-knows",
        &page.secret,
        &token,
        &grant.password,
    ] {
        assert!(!text.contains(secret), "a secret is in the log");
    }
    rig.stop().await;
}
