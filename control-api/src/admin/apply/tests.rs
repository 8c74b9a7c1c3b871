//! Declarations applied through the admin API, once and again.

use crate::admin::tests::Bench;
use crate::hold_audio::tests::wav;
use axum::http::{Method, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

fn declaration() -> Value {
    let text = r#"
        [trunks.carrier-a]
        host = "127.0.0.1"
        port = 5070
        transport = "udp"
        media = "rtp"
        allow_plaintext = true
        number_format = "e164"
        username = "u"
        password = "first-password"

        [accounts.demo]
        name = "Demo"
        trunks = ["carrier-a"]
        numbers = ["+91 22 2778 2183", "080 4718 2183"]
        limits = { max_concurrent_calls = 7 }

        [accounts.demo.agents]
        "agent.017" = "Asha"

        [accounts.demo.keys.backend]
        class = "server"
        cidrs = ["127.0.0.0/8"]

        [accounts.demo.keys.fixed]
        class = "server"
        value = "cds_sandbox-key-0123456789"

        [accounts.demo.callback]
        url = "https://crm.example.com/hook"
        auth_header = { name = "X-Token", value = "first-token" }
    "#;
    serde_json::to_value(text.parse::<toml::Table>().unwrap()).unwrap()
}

async fn apply(bench: &Bench, declaration: &Value) -> Value {
    bench.done(Method::POST, "/admin/apply", declaration.clone()).await
}

fn outcomes(applied: &Value) -> Vec<String> {
    let changes = applied["changes"].as_array().unwrap().iter();
    changes
        .map(|change| {
            format!("{} {} {}", change["outcome"], change["kind"], change["id"]).replace('"', "")
        })
        .collect()
}

fn with_outcome(applied: &Value, outcome: &str) -> Vec<String> {
    outcomes(applied).into_iter().filter(|line| line.starts_with(outcome)).collect()
}

#[tokio::test]
async fn a_second_run_changes_nothing() {
    let bench = Bench::open("apply-twice");
    let first = apply(&bench, &declaration()).await;
    assert_eq!(
        outcomes(&first),
        [
            "created trunk carrier-a",
            "created account demo",
            "created callback demo",
            "created number demo/+912227782183",
            "created number demo/+918047182183",
            "created agent demo/agent.017",
            "created key demo/backend",
            "created key demo/fixed",
        ]
    );
    let told: Vec<_> = first["secrets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|made| made["id"].as_str().unwrap())
        .collect();
    assert_eq!(told, ["demo", "demo/backend"], "a value that was given is not told");
    let key = bench
        .app
        .records
        .blocking()
        .authenticate(&crate::secret::hash("cds_sandbox-key-0123456789"), 0)
        .unwrap()
        .unwrap();
    assert_eq!(key.account_id, Some("demo".into()));

    let stored = || {
        let store = &bench.app.records.blocking();
        (
            store.trunks().unwrap(),
            store.accounts().unwrap(),
            store.api_keys(Some(&"demo".into())).unwrap(),
            store.agents(&"demo".into()).unwrap(),
        )
    };
    let before = stored();
    let second = apply(&bench, &declaration()).await;
    assert_eq!(with_outcome(&second, "unchanged").len(), 8, "{second}");
    assert_eq!(second["secrets"], json!([]));
    assert_eq!(stored(), before, "not even a seal is renewed");
}

#[tokio::test]
async fn changes_are_told_setting_by_setting_and_secrets_by_name() {
    let bench = Bench::open("apply-change");
    apply(&bench, &declaration()).await;
    let mut changed = declaration();
    changed["trunks"]["carrier-a"]["password"] = json!("second-password");
    changed["trunks"]["carrier-a"]["port"] = json!(5080);
    changed["trunks"]["carrier-a"]["signal_from"] = json!(["203.0.113.0/24"]);
    changed["accounts"]["demo"]["limits"]["max_concurrent_calls"] = json!(9);
    changed["accounts"]["demo"]["agents"]["agent.017"] = json!("Asha Rao");
    changed["accounts"]["demo"]["keys"]["backend"]["cidrs"] = json!(["10.0.0.0/8"]);
    changed["accounts"]["demo"]["callback"]["auth_header"]["value"] = json!("second-token");
    let (status, dry) =
        bench.ask(Method::POST, "/admin/apply?dry_run=true", Some(changed.clone())).await;
    assert_eq!((status, &dry["written"]), (StatusCode::OK, &json!(false)));
    let applied = apply(&bench, &changed).await;
    assert_eq!(
        (&applied["written"], &applied["changes"]),
        (&json!(true), &dry["changes"]),
        "a dry run wrote nothing"
    );
    let expected = [
        "changed trunk carrier-a",
        "changed account demo",
        "changed callback demo",
        "changed agent demo/agent.017",
        "changed key demo/backend",
    ];
    assert_eq!(with_outcome(&applied, "changed"), expected);
    let differences = |at: usize| applied["changes"][at]["differences"].clone();
    let networks = json!({ "setting": "signal_from", "from": [], "to": ["203.0.113.0/24"] });
    assert_eq!(
        differences(0),
        json!([{ "setting": "port", "from": 5070, "to": 5080 }, networks,
            { "setting": "password" }])
    );
    assert_eq!(
        differences(1),
        json!([{ "setting": "limits.max_concurrent_calls", "from": 7, "to": 9 }])
    );
    assert_eq!(differences(2), json!([{ "setting": "auth_header.value" }]));
    assert_eq!(with_outcome(&apply(&bench, &changed).await, "unchanged").len(), 8);
}

#[tokio::test]
async fn what_is_not_named_stays() {
    let bench = Bench::open("apply-partial");
    apply(&bench, &declaration()).await;
    let applied = apply(&bench, &json!({ "accounts": { "demo": { "record": false } } })).await;
    assert_eq!(outcomes(&applied), ["changed account demo"]);
    let account = bench.get("/admin/accounts/demo").await;
    assert_eq!(
        (&account["record"], &account["limits"]["max_concurrent_calls"]),
        (&json!(false), &json!(7))
    );
    assert_eq!(account["callback"]["url"], "https://crm.example.com/hook");
    assert_eq!(bench.get("/admin/accounts/demo/numbers").await.as_array().unwrap().len(), 2);
    assert_eq!(outcomes(&apply(&bench, &json!({})).await), Vec::<String>::new());
}

#[tokio::test]
async fn hold_audio_is_written_once_and_stays_until_another_is_named() {
    let bench = Bench::open("apply-hold-audio");
    let files = || {
        let entries = std::fs::read_dir(&bench.app.config.hold_audio.folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    let named = |seconds| {
        json!({ "accounts": { "demo": { "hold_audio": STANDARD.encode(wav(1, 1,
        8_000, 16, seconds)) } } })
    };
    let dry = bench.done(Method::POST, "/admin/apply?dry_run=true", named(1)).await;
    assert_eq!((outcomes(&dry), files()), (vec!["created account demo".to_owned()], vec![]));
    apply(&bench, &named(1)).await;
    let first = bench.get("/admin/accounts/demo").await["hold_audio"].as_str().unwrap().to_owned();
    assert_eq!(files(), [first.as_str()]);
    assert!(
        std::fs::read(bench.app.config.hold_audio.folder.join(&first)).unwrap()
            == wav(1, 1, 8_000, 16, 1)
    );
    assert_eq!(outcomes(&apply(&bench, &named(1)).await), ["unchanged account demo"]);
    assert_eq!(outcomes(&apply(&bench, &declaration()).await)[1], "changed account demo");
    assert_eq!(
        bench.get("/admin/accounts/demo").await["hold_audio"],
        first,
        "a file that is not named stays"
    );
    let changed = apply(&bench, &named(2)).await;
    let second = bench.get("/admin/accounts/demo").await["hold_audio"].clone();
    assert_eq!(
        changed["changes"][0]["differences"],
        json!([{ "setting": "hold_audio", "from": first, "to": second }])
    );
    assert_eq!(files(), [second.as_str().unwrap()]);
    // The longest file has room in the document.
    apply(
        &bench,
        &json!({ "accounts": { "demo": { "hold_audio": STANDARD.encode(wav(1, 1, 8_000,
        16, 120)) } } }),
    )
    .await;
}

#[tokio::test]
async fn wrong_declarations_name_the_key_and_write_nothing() {
    let bench = Bench::open("apply-errors");
    bench.done(Method::PUT, "/admin/accounts/other", json!({})).await;
    bench.done(Method::PUT, "/admin/accounts/other/numbers/+919876543210", json!(null)).await;
    let server = |value: Value| json!({ "class": "server", "value": value });
    for (pointer, value, field, allowed) in [
        ("/accounts/demo/nmae", json!("x"), "accounts.demo.nmae", "expected one of"),
        (
            "/accounts/demo/limits/max_concurrent_calls",
            json!("7"),
            "accounts.demo.limits.max_concurrent_calls",
            "u32",
        ),
        (
            "/accounts/demo/limits/max_concurrent_calls",
            json!(100_001),
            "accounts.demo.limits.max_concurrent_calls",
            "0 to 100000",
        ),
        ("/accounts/demo/region", json!("Bharat"), "accounts.demo.region", "ISO 3166-1"),
        (
            "/accounts/demo/trunks",
            json!(["carrier-b"]),
            "accounts.demo.trunks[0]",
            "trunks that exist",
        ),
        (
            "/accounts/demo/hold_audio",
            json!("hold.wav"),
            "accounts.demo.hold_audio",
            "a WAV file in base64",
        ),
        (
            "/accounts/demo/hold_audio",
            json!(STANDARD.encode(b"ID3")),
            "accounts.demo.hold_audio",
            "not a RIFF WAVE file",
        ),
        (
            "/accounts/demo/numbers",
            json!(["+919876543210"]),
            "accounts.demo.numbers[0]",
            "assigned already",
        ),
        (
            "/accounts/demo/numbers",
            json!(["+912227782183", "022 27782183"]),
            "accounts.demo.numbers[1]",
            "each number once",
        ),
        ("/accounts/demo/numbers", json!(["112"]), "accounts.demo.numbers[0]", "emergency"),
        ("/accounts/demo/numbers", json!("+919876543210"), "accounts.demo.numbers", "sequence"),
        (
            "/accounts/demo/agents",
            json!({ " a": "x" }),
            "accounts.demo.agents.\" a\".crm_username",
            "outer spaces",
        ),
        (
            "/accounts/demo/keys/backend/class",
            json!("admin"),
            "accounts.demo.keys.backend.class",
            "`browser` or `server`",
        ),
        (
            "/accounts/demo/keys/backend/cidrs",
            json!(["10.0.0.0/99"]),
            "accounts.demo.keys.backend.cidrs[0]",
            "203.0.113.0/24",
        ),
        (
            "/accounts/demo/keys/fixed/value",
            json!("short"),
            "accounts.demo.keys.fixed.value",
            "24 to 200",
        ),
        (
            "/accounts/demo/keys/zz",
            server(json!("cds_sandbox-key-0123456789")),
            "accounts.demo.keys.zz.value",
            "each value once",
        ),
        (
            "/accounts/demo/callback/url",
            json!("http://crm.example.com"),
            "accounts.demo.callback.url",
            "https:// only",
        ),
        (
            "/accounts/demo/callback/auth_header/name",
            json!("Host"),
            "accounts.demo.callback.auth_header.name",
            "any other header",
        ),
        (
            "/accounts/demo/callback/signing_secret",
            json!("whsec_AAAA"),
            "accounts.demo.callback.signing_secret",
            "24 to 64 bytes",
        ),
        ("/accounts/a b", json!({}), "accounts.a b.id", "1 to 64 letters"),
        (
            "/trunks/carrier-a/allow_plaintext",
            json!(false),
            "trunks.carrier-a.allow_plaintext",
            "allow_plaintext = true",
        ),
        (
            "/trunks/carrier-a/transport",
            json!("sctp"),
            "trunks.carrier-a.transport",
            "`udp`, `tcp`, `tls`",
        ),
        ("/trunks/carrier-a/port", json!(70_000), "trunks.carrier-a.port", "u16"),
        (
            "/trunks/carrier-a/signal_from",
            json!(["10.0.0.0/99"]),
            "trunks.carrier-a.signal_from[0]",
            "203.0.113.0/24",
        ),
        ("/trunk", json!([]), "trunk", "`trunks` or `accounts`"),
    ] {
        let mut wrong = declaration();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        wrong.pointer_mut(parent).unwrap()[name] = value;
        let (status, answer) = bench.ask(Method::POST, "/admin/apply", Some(wrong)).await;
        assert_eq!(
            (status.as_u16(), &answer["code"]),
            (422, &json!("invalid_settings")),
            "{pointer}: {answer}"
        );
        let error = &answer["errors"][0];
        assert_eq!(error["field"], field, "{pointer}: {answer}");
        assert!(error["detail"].as_str().unwrap().contains(allowed), "{pointer}: {answer}");
    }
    assert_eq!(bench.get("/admin/trunks").await, json!([]));
    assert_eq!(bench.get("/admin/accounts").await.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_key_that_exists_keeps_its_class_and_value() {
    let bench = Bench::open("apply-keys");
    apply(&bench, &declaration()).await;
    for (name, key, field) in [
        ("backend", json!({ "class": "browser" }), "class"),
        ("fixed", json!({ "class": "server", "value": "cds_another-key-0123456789" }), "value"),
    ] {
        let body = json!({ "accounts": { "demo": { "keys": { name: key } } } });
        let (status, answer) = bench.ask(Method::POST, "/admin/apply", Some(body)).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(answer["errors"][0]["field"], format!("accounts.demo.keys.{name}.{field}"));
    }
    // A rotated key is still the key of that name.
    bench.done(Method::POST, "/admin/accounts/demo/keys/fixed/rotate", json!({})).await;
    assert_eq!(with_outcome(&apply(&bench, &declaration()).await, "unchanged").len(), 8);
}
