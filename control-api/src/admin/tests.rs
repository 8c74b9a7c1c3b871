//! The admin API as its clients see it: by requests to its router over a real store.

use super::*;
use crate::config::Config;
use axum::body::Body;
use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use std::path::{Path as FilePath, PathBuf};
use std::sync::Mutex;
use storage::KeyClass;
use tower::Service;

mod refusals;

/// A store of its own and the router over it.
pub(crate) struct Bench {
    pub app: Arc<App>,
    pub folder: PathBuf,
    router: Router,
}

impl Bench {
    pub fn open(name: &str) -> Self {
        Self::with(name, |_| {})
    }

    pub fn with(name: &str, change: impl FnOnce(&mut Config)) -> Self {
        let folder =
            std::env::temp_dir().join(format!("control-api-admin-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let mut config = Config::default();
        config.storage.folder = folder.join("db");
        config.storage.secret_key_file = folder.join("secret.key");
        config.admin.token_file = folder.join("admin.token");
        config.recordings.folder = folder.join("recordings");
        config.hold_audio.folder = folder.join("hold-audio");
        change(&mut config);
        let app = App::open(config).unwrap();
        Self { router: router(Arc::clone(&app)), app, folder }
    }

    pub async fn send(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<Value>,
    ) -> (Response, Value) {
        let mut request = axum::http::Request::builder().method(method).uri(path);
        if let Some(token) = token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let request = match body {
            Some(body) => request
                .header("Content-Type", "application/json")
                .body(Body::from(body.to_string())),
            None => request.body(Body::empty()),
        };
        let response = self.router.clone().call(request.unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        (
            Response::from_parts(parts, Body::empty()),
            serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        )
    }

    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        let token = self.app.secrets.admin_token.expose().to_owned();
        let (response, body) = self.send(method, path, Some(&token), body).await;
        (response.status(), body)
    }

    pub async fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask(Method::GET, path, None).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        body
    }

    pub async fn done(&self, method: Method, path: &str, body: Value) -> Value {
        let (status, answer) = self.ask(method.clone(), path, Some(body)).await;
        assert!(status.is_success(), "{method} {path}: {status} {answer}");
        answer
    }

    /// An account with a trunk.
    async fn prepared(name: &str) -> Self {
        let bench = Self::open(name);
        bench.done(Method::PUT, "/admin/trunks/carrier-a", plain_trunk()).await;
        bench.done(Method::PUT, "/admin/accounts/demo", json!({ "trunks": ["carrier-a"] })).await;
        bench
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn plain_trunk() -> Value {
    json!({ "host": "127.0.0.1", "transport": "udp", "media": "rtp", "allow_plaintext": true })
}

/// Each operation of the document with its path parameters filled in.
fn operations() -> Vec<(Method, String)> {
    let document = serde_json::to_value(document()).unwrap();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let path = path.replace(['{', '}'], "");
        for method in item.as_object().unwrap().keys() {
            operations.push((method.to_uppercase().parse().unwrap(), path.clone()));
        }
    }
    operations
}

#[tokio::test]
async fn nothing_is_told_without_the_token() {
    let bench = Bench::open("token");
    let operations = operations();
    assert!(operations.len() >= 25, "{operations:?}");
    for (method, path) in operations {
        for (token, challenge) in [
            (None, "Bearer realm=\"control-api\""),
            (Some("cda_wrong"), "Bearer realm=\"control-api\", error=\"invalid_token\""),
            (Some(""), "Bearer realm=\"control-api\", error=\"invalid_token\""),
        ] {
            let (response, body) = bench.send(method.clone(), &path, token, None).await;
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{method} {path} {token:?}");
            assert_eq!(response.headers()["www-authenticate"], challenge);
            assert_eq!(body["code"], "unauthorized");
        }
    }
}

// S36: each item of the onboarding checklist is settable and readable.
#[tokio::test]
async fn every_setting_is_readable_after_it_was_set() {
    let bench = Bench::prepared("settings").await;
    let settings = json!({
        "name": "Demo GmbH", "region": "DE", "record": false, "agent_ring_s": 11,
        "customer_ring_s": 12, "max_duration_s": 13,
        "no_media_s": 14, "limits": { "max_concurrent_calls": 15, "calls_per_second": 16,
            "minutes_per_day": 19 },
        "countries": ["DE", "AT"],
        "retention": { "record_days": 17, "recording_days": 18 }, "trunks": ["carrier-a"],
        "recording_layout": "three_channel", "refer": "transfer",
        "progress_events": ["participant", "bridged"],
        "agent_confirm": true, "opus": false
    });
    bench.done(Method::PUT, "/admin/accounts/demo", settings.clone()).await;
    let read = bench.get("/admin/accounts/demo").await;
    for (name, value) in settings.as_object().unwrap() {
        assert_eq!(&read[name], value, "{name}");
    }
    // One setting at a time leaves the others.
    bench
        .done(Method::PUT, "/admin/accounts/demo", json!({ "limits": { "calls_per_second": 99 } }))
        .await;
    let read = bench.get("/admin/accounts/demo").await;
    assert_eq!(
        read["limits"],
        json!({ "max_concurrent_calls": 15, "calls_per_second": 99, "minutes_per_day": 19 })
    );
    assert_eq!(read["name"], "Demo GmbH");
    let stored = bench.app.records.blocking().account(&"demo".into()).unwrap().unwrap();
    assert_eq!(
        (stored.limits.calls_per_second, stored.agent_ring_ms, stored.no_media_ms),
        (99, 11_000, 14_000)
    );

    bench.done(Method::PUT, "/admin/accounts/demo", json!({ "region": "IN" })).await;
    assert_eq!(
        bench.done(Method::PUT, "/admin/accounts/demo/numbers/098765-43210", json!(null)).await,
        "+919876543210"
    );
    bench.done(Method::PUT, "/admin/accounts/demo/numbers/%2B912227782183", json!(null)).await;
    assert_eq!(
        bench.get("/admin/accounts/demo/numbers").await,
        json!(["+912227782183", "+919876543210"])
    );
    bench.done(Method::DELETE, "/admin/accounts/demo/numbers/9876543210", json!(null)).await;
    assert_eq!(bench.get("/admin/accounts/demo/numbers").await, json!(["+912227782183"]));

    bench
        .done(
            Method::PUT,
            "/admin/accounts/demo/agents/agent.017",
            json!({ "display_name": "Asha" }),
        )
        .await;
    bench.done(Method::PUT, "/admin/accounts/demo/agents/J%C3%B6rg%2F2", json!({})).await;
    let agents = bench.get("/admin/accounts/demo/agents").await;
    let agent = |id: &str, name: &str| {
        json!({ "crm_username": id, "display_name": name,
        "online": false, "in_call": false, "last_seen": null, "microphone": null,
        "media_test": null })
    };
    assert_eq!(agents, json!([agent("Jörg/2", "Jörg/2"), agent("agent.017", "Asha")]));
    bench.done(Method::DELETE, "/admin/accounts/demo/agents/J%C3%B6rg%2F2", json!(null)).await;
    assert_eq!(bench.get("/admin/accounts/demo/agents").await.as_array().unwrap().len(), 1);

    let trunk = json!({ "host": "sip.example.com", "port": 5070, "transport": "tcp",
        "media": "sdes_srtp", "allow_plaintext": true,
        "number_format": { "prefix": "77" }, "username": "u", "password": "p-secret",
        "max_calls": 7 });
    bench.done(Method::PUT, "/admin/trunks/carrier-b", trunk).await;
    let read = bench.get("/admin/trunks/carrier-b").await;
    assert_eq!(read["number_format"], json!({ "prefix": "77" }));
    assert_eq!(
        (&read["port"], &read["max_calls"], &read["has_password"]),
        (&json!(5070), &json!(7), &json!(true))
    );
    bench.done(Method::PUT, "/admin/trunks/carrier-b", json!({ "password": "" })).await;
    assert_eq!(bench.get("/admin/trunks/carrier-b").await["has_password"], false);
    bench.done(Method::DELETE, "/admin/trunks/carrier-b", json!(null)).await;
    assert_eq!(bench.get("/admin/trunks").await.as_array().unwrap().len(), 1);
    assert_eq!(bench.get("/admin/accounts").await.as_array().unwrap().len(), 1);
    bench.done(Method::DELETE, "/admin/accounts/demo?confirm=true", json!(null)).await;
    assert_eq!(bench.get("/admin/accounts").await, json!([]));
}

#[tokio::test]
async fn hold_audio_is_checked_kept_and_removed() {
    let bench = Bench::prepared("hold-audio").await;
    bench.done(Method::PUT, "/admin/accounts/demo", json!({})).await;
    let path = "/admin/accounts/demo/hold-audio";
    let put = async |file: Vec<u8>, path: &str| {
        let token = bench.app.secrets.admin_token.expose().to_owned();
        let request = axum::http::Request::builder()
            .method(Method::PUT)
            .uri(path)
            .header("Authorization", format!("Bearer {token}"));
        let response =
            bench.router.clone().call(request.body(Body::from(file)).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, serde_json::from_slice::<Value>(&bytes).unwrap())
    };
    let folder = bench.app.config.hold_audio.folder.clone();
    let files = || {
        std::fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect::<Vec<_>>()
    };
    let wav = crate::hold_audio::tests::wav;
    let (status, account) = put(wav(1, 1, 8_000, 16, 1), path).await;
    let first = account["hold_audio"].as_str().unwrap().to_owned();
    assert_eq!((status, files()), (200, vec![first.clone()]));
    assert!(first.starts_with("demo-") && first.ends_with(".wav"));
    // The same again changes nothing; another takes its place.
    assert_eq!(put(wav(1, 1, 8_000, 16, 1), path).await.1["hold_audio"], first);
    let (_, account) = put(wav(7, 1, 8_000, 8, 2), path).await;
    let second = account["hold_audio"].as_str().unwrap().to_owned();
    assert_eq!(files(), [second.as_str()]);
    for (file, status, code) in [
        (wav(1, 2, 8_000, 16, 1), 422, "invalid_hold_audio"),
        (b"MP3".to_vec(), 422, "invalid_hold_audio"),
        (wav(7, 1, 8_000, 8, 121), 422, "invalid_hold_audio"),
        (vec![0; (2 << 20) + 1], 413, "payload_too_large"),
    ] {
        let (answered, problem) = put(file, path).await;
        assert_eq!((answered, &problem["code"]), (status, &json!(code)));
    }
    assert_eq!(put(wav(1, 1, 8_000, 16, 1), "/admin/accounts/nobody/hold-audio").await.0, 404);
    assert_eq!(
        (files(), bench.get("/admin/accounts/demo").await["hold_audio"].clone()),
        (vec![second.clone()], json!(second))
    );
    let removed = bench.done(Method::DELETE, path, json!(null)).await;
    assert_eq!((&removed["hold_audio"], files().len()), (&Value::Null, 0));
    put(wav(1, 1, 8_000, 16, 1), path).await;
    bench.done(Method::DELETE, "/admin/accounts/demo?confirm=true", json!(null)).await;
    assert_eq!(files().len(), 0, "it goes with its account");
}

#[tokio::test]
async fn keys_may_be_given_the_permission_to_supervise() {
    let bench = Bench::prepared("supervise").await;
    bench.done(Method::PUT, "/admin/accounts/demo", json!({})).await;
    let keys = "/admin/accounts/demo/keys";
    let made =
        bench.done(Method::POST, keys, json!({ "name": "backend", "class": "server" })).await;
    assert_eq!(made["supervise"], false);
    let floor = bench
        .done(Method::POST, keys, json!({ "name": "floor", "class": "server", "supervise": true }))
        .await;
    assert_eq!(floor["supervise"], true);
    let changed = bench
        .done(Method::PATCH, "/admin/accounts/demo/keys/backend", json!({ "supervise": true }))
        .await;
    assert_eq!((&changed[0]["supervise"], &changed[0]["cidrs"]), (&json!(true), &json!([])));
    let bound = bench
        .done(
            Method::PATCH,
            "/admin/accounts/demo/keys/backend",
            json!({ "cidrs": ["192.0.2.0/24"] }),
        )
        .await;
    assert_eq!(
        (&bound[0]["supervise"], &bound[0]["cidrs"]),
        (&json!(true), &json!(["192.0.2.0/24"]))
    );
    let next =
        bench.done(Method::POST, "/admin/accounts/demo/keys/backend/rotate", json!({})).await;
    assert_eq!(next["supervise"], true, "its successor may, too");
    let browser = json!({ "name": "button", "class": "browser", "supervise": true });
    assert_eq!(
        bench.ask(Method::POST, keys, Some(browser)).await.0,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    let nothing =
        bench.ask(Method::PATCH, "/admin/accounts/demo/keys/backend", Some(json!({}))).await;
    assert_eq!(nothing.0, StatusCode::UNPROCESSABLE_ENTITY);
    for words in [json!(["fly"]), json!(["part"]), json!(["participant.fly"]), json!([""])] {
        let settings = Some(json!({ "progress_events": words }));
        assert_eq!(
            bench.ask(Method::PUT, "/admin/accounts/demo", settings).await.0,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{words}"
        );
    }
}

// S42, A14
#[tokio::test]
async fn plaintext_trunks_need_consent_and_carry_a_warning() {
    let bench = Bench::open("plaintext");
    for (transport, media) in
        [("udp", "rtp"), ("udp", "sdes_srtp"), ("udp", "osrtp"), ("tls", "osrtp")]
    {
        let trunk = json!({ "host": "127.0.0.1", "transport": transport, "media": media });
        let (status, body) = bench.ask(Method::PUT, "/admin/trunks/t", Some(trunk)).await;
        assert_eq!(
            (status, &body["errors"][0]["field"]),
            (StatusCode::UNPROCESSABLE_ENTITY, &json!("allow_plaintext")),
            "{body}"
        );
    }
    assert_eq!(bench.get("/admin/trunks").await, json!([]));
    let made = bench.done(Method::PUT, "/admin/trunks/t", plain_trunk()).await;
    assert_eq!(made["warnings"].as_array().unwrap().len(), 2);
    assert_eq!(bench.get("/admin/trunks/t").await["warnings"], made["warnings"]);
    assert_eq!(bench.get("/admin/trunks").await[0]["warnings"], made["warnings"]);
    let (status, _) =
        bench.ask(Method::PUT, "/admin/trunks/t", Some(json!({ "allow_plaintext": false }))).await;
    assert_eq!(
        status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "consent cannot be taken back from a plaintext trunk"
    );
}

// S06
#[tokio::test]
async fn keys_rotate_with_an_overlap_and_are_revoked_at_once() {
    let bench = Bench::prepared("keys").await;
    let now_ms = crate::clock::now_ms();
    let works = |key: &str, at_ms: u64| {
        bench
            .app
            .records
            .blocking()
            .authenticate(&crate::secret::hash(key), at_ms)
            .unwrap()
            .map(|key| (key.class, key.account_id.unwrap()))
    };
    let server = Some((KeyClass::Server, "demo".into()));
    let body =
        json!({ "name": "backend", "class": "server", "cidrs": ["203.0.113.7", "2001:db8::1/32"] });
    let first = bench.done(Method::POST, "/admin/accounts/demo/keys", body).await;
    let first_key = first["clear_key"].as_str().unwrap().to_owned();
    assert!(
        first_key.starts_with("cds_")
            && first["prefix"].as_str().is_some_and(|prefix| first_key.starts_with(prefix))
    );
    assert_eq!(
        (&first["id"], &first["cidrs"]),
        (&json!("demo.backend.1"), &json!(["203.0.113.7/32", "2001:db8::/32"]))
    );
    assert_eq!(works(&first_key, now_ms), server);

    let second = bench
        .done(Method::POST, "/admin/accounts/demo/keys/backend/rotate", json!({ "overlap_s": 60 }))
        .await;
    let second_key = second["clear_key"].as_str().unwrap().to_owned();
    assert_eq!((&second["id"], &second["cidrs"]), (&json!("demo.backend.2"), &first["cidrs"]));
    assert_eq!(
        (works(&first_key, now_ms + 50_000), works(&second_key, now_ms + 50_000)),
        (server.clone(), server.clone())
    );
    assert_eq!(
        (works(&first_key, now_ms + 90_000), works(&second_key, now_ms + 90_000)),
        (None, server.clone())
    );

    // A later rotation never gives the oldest key more time.
    bench.done(Method::POST, "/admin/accounts/demo/keys/backend/rotate", json!({})).await;
    assert_eq!(
        (works(&first_key, now_ms + 90_000), works(&second_key, now_ms + 90_000)),
        (None, server.clone())
    );
    let changed = bench
        .ask(
            Method::PATCH,
            "/admin/accounts/demo/keys/backend",
            Some(json!({ "cidrs": ["10.0.0.0/8"] })),
        )
        .await
        .1;
    assert!(changed.as_array().unwrap().iter().all(|key| key["cidrs"] == json!(["10.0.0.0/8"])));
    assert_eq!(bench.get("/admin/accounts/demo/keys").await.as_array().unwrap().len(), 3);

    bench.done(Method::DELETE, "/admin/accounts/demo/keys/backend", json!(null)).await;
    assert_eq!((works(&first_key, now_ms), works(&second_key, now_ms)), (None, None));
}

#[tokio::test]
async fn signing_secrets_are_told_when_made_and_never_again() {
    let bench = Bench::prepared("signing").await;
    let path = "/admin/accounts/demo/callback";
    let first = bench.done(Method::PUT, path, json!({ "url": "https://crm.example.com/" })).await;
    let secret = first["signing_secret"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("whsec_"));
    let again = bench.done(Method::PUT, path, json!({ "max_retries": 1 })).await;
    assert_eq!(
        (&again["signing_secret"], &again["max_retries"], &again["url"]),
        (&Value::Null, &json!(1), &first["url"])
    );
    let renewed =
        bench.done(Method::POST, "/admin/accounts/demo/callback/signing-secret", json!({})).await;
    assert!(renewed["signing_secret"].as_str().is_some_and(|renewed| renewed != secret));
    let stored =
        || bench.app.records.blocking().account(&"demo".into()).unwrap().unwrap().callback.unwrap();
    let opened = |sealed: &storage::Sealed| {
        bench.app.secrets.master_key.open(crate::secret::Purpose::SigningSecret, sealed).unwrap()
    };
    assert_eq!(opened(&stored().earlier_secrets[0].secret).expose(), secret, "it signs on");
    assert!(
        renewed["overlap_until"].as_str().is_some_and(|until| until.ends_with('Z')),
        "{renewed}"
    );
    // Set by the customer's own, the same holds; set again, nothing changes.
    let own = json!({ "signing_secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" });
    bench.done(Method::PUT, path, own.clone()).await;
    let after = stored();
    assert_eq!(after.earlier_secrets.len(), 2);
    bench.done(Method::PUT, path, own).await;
    assert_eq!(stored(), after);
    let overlap = "/admin/accounts/demo/callback/signing-secret/overlap";
    bench.done(Method::DELETE, overlap, json!(null)).await;
    assert_eq!(stored().earlier_secrets, []);
    assert_eq!(bench.get(path).await["overlap_until"], Value::Null);
    let at_once = bench
        .done(
            Method::POST,
            "/admin/accounts/demo/callback/signing-secret",
            json!({ "overlap_s": 0 }),
        )
        .await;
    assert_eq!((&at_once["overlap_until"], stored().earlier_secrets.len()), (&Value::Null, 0));
    let (status, _) =
        bench.ask(Method::POST, "/admin/accounts/demo/callback/signing-secret", None).await;
    assert_eq!(status, StatusCode::OK, "a body is not needed");
    bench.done(Method::DELETE, path, json!(null)).await;
    assert_eq!(bench.get("/admin/accounts/demo").await["callback"], Value::Null);
}

#[tokio::test]
async fn a_trial_sends_a_signed_result_once_and_tells_what_came_of_it() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let bench = Bench::with("trial", |config| config.callback.allow_private_targets = true);
    bench.done(Method::PUT, "/admin/accounts/demo", json!({})).await;
    let path = "/admin/accounts/demo/callback/test";
    assert_eq!(bench.ask(Method::POST, path, None).await.0, StatusCode::NOT_FOUND);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let header = json!({ "name": "X-Token", "value": "of-crm" });
    bench
        .done(
            Method::PUT,
            "/admin/accounts/demo/callback",
            json!({ "url": url, "auth_header": header }),
        )
        .await;
    let sink = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"}") {
            assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0, "the whole body arrives");
        }
        stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await.unwrap();
        String::from_utf8(request).unwrap()
    });
    let trial = bench.done(Method::POST, path, json!({})).await;
    assert_eq!(trial, json!({ "delivered": true, "http_status": 204, "error": null }));
    let request = sink.await.unwrap();
    for part in [
        "POST /hook HTTP/1.1",
        "x-token: of-crm",
        "webhook-signature: v1,",
        "\"uuid\":\"callback_test\"",
        "\"test\":true",
        "\"disposition\":\"CALLBACK_TEST\"",
    ] {
        assert!(request.contains(part), "{part} is not in {request}");
    }
    // Nobody listens any more.
    let trial = bench.done(Method::POST, path, json!({})).await;
    assert_eq!((&trial["delivered"], &trial["http_status"]), (&json!(false), &Value::Null));
    assert!(trial["error"].is_string());
}

/// Text that the process logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn files_below(folder: &FilePath, contents: &mut Vec<Vec<u8>>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(&path, contents);
        } else {
            contents.push(std::fs::read(path).unwrap());
        }
    }
}

// S06, S23: only hashes and seals are on disk; no answer and no log line tells a secret again.
#[tokio::test]
async fn no_secret_is_on_disk_in_an_answer_or_in_a_log() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    // For the whole process: secrets could be logged by any thread.
    tracing::subscriber::set_global_default(subscriber).expect("no other test sets a subscriber");
    let bench = Bench::prepared("secrets").await;
    let mut secrets = vec![
        "trunk-password-of-carrier".to_owned(),
        "Bearer crm-token-of-customer".to_owned(),
        "cds_given-key-0123456789abcdef".to_owned(),
    ];
    bench
        .done(
            Method::PUT,
            "/admin/trunks/carrier-a",
            json!({ "username": "u", "password": secrets[0] }),
        )
        .await;
    let header = json!({ "name": "Authorization", "value": secrets[1] });
    let callback = json!({ "url": "https://crm.example.com/", "auth_header": header });
    let callback = bench.done(Method::PUT, "/admin/accounts/demo/callback", callback).await;
    secrets.push(callback["signing_secret"].as_str().unwrap().to_owned());
    let given = json!({ "name": "given", "class": "server", "value": secrets[2] });
    bench.done(Method::POST, "/admin/accounts/demo/keys", given).await;
    for (name, class) in [("made", "server"), ("button", "browser")] {
        let made = bench
            .done(
                Method::POST,
                "/admin/accounts/demo/keys",
                json!({ "name": name, "class": class }),
            )
            .await;
        secrets.push(made["clear_key"].as_str().unwrap().to_owned());
    }
    let rotated =
        bench.done(Method::POST, "/admin/accounts/demo/keys/made/rotate", json!({})).await;
    secrets.push(rotated["clear_key"].as_str().unwrap().to_owned());
    secrets.push(bench.app.secrets.admin_token.expose().to_owned());

    let mut texts = Vec::new();
    // What was sent and heard for a call is freed of its secrets by the edge.
    let is_read =
        |(method, path): &(Method, String)| method == Method::GET && !path.contains("/calls/");
    for (method, path) in operations().into_iter().filter(is_read) {
        let path =
            path.replace("/account/", "/demo/").replace("/trunks/trunk", "/trunks/carrier-a");
        let path =
            path.strip_suffix("/account").map_or(path.clone(), |head| format!("{head}/demo"));
        let (status, answer) = bench.ask(method, &path, None).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        texts.push((path, answer.to_string().into_bytes()));
    }
    let mut contents = Vec::new();
    files_below(&bench.folder.join("db"), &mut contents);
    texts.push(("database".into(), contents.concat()));
    texts.push(("log".into(), log.0.lock().unwrap().clone()));
    let holds =
        |text: &[u8], word: &str| text.windows(word.len()).any(|window| window == word.as_bytes());
    for (place, text) in &texts {
        for secret in &secrets {
            assert!(
                !holds(text, secret),
                "{place} holds a secret that begins with {}",
                &secret[..8]
            );
        }
    }
    // The search itself finds what is there.
    let text_of = |place: &str| &texts.iter().find(|(name, _)| name == place).unwrap().1;
    assert!(holds(text_of("database"), "https://crm.example.com/"));
    assert!(holds(text_of("log"), "/admin/accounts/{account}/callback"));
}
