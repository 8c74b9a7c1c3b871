//! Each wrong request of the admin API gets an answer that names what is wrong and what is allowed.

use super::*;

#[tokio::test]
async fn wrong_requests_get_their_answer() {
    let bench = Bench::prepared("errors").await;
    bench.done(Method::PUT, "/admin/accounts/other", json!({})).await;
    bench.done(Method::PUT, "/admin/accounts/other/numbers/+919876543210", json!(null)).await;
    bench
        .done(
            Method::POST,
            "/admin/accounts/demo/keys",
            json!({ "name": "backend", "class": "server" }),
        )
        .await;
    let taken = "cds_a-value-that-is-long-enough";
    bench
        .done(
            Method::POST,
            "/admin/accounts/other/keys",
            json!({ "name": "k", "class": "server", "value": taken }),
        )
        .await;
    let callback = "/admin/accounts/demo/callback";
    let keys = "/admin/accounts/demo/keys";
    let url = "https://crm.example.com/";
    for (method, path, body, status, code, field) in [
        ("GET", "/admin/accounts/nobody", None, 404, "not_found", ""),
        ("GET", "/admin/accounts/nobody/numbers", None, 404, "not_found", ""),
        ("GET", "/admin/accounts/nobody/agents", None, 404, "not_found", ""),
        ("GET", "/admin/accounts/nobody/keys", None, 404, "not_found", ""),
        ("GET", "/admin/accounts/nobody/pack", None, 404, "not_found", ""),
        ("GET", "/admin/trunks/nobody", None, 404, "not_found", ""),
        ("GET", callback, None, 404, "not_found", ""),
        ("DELETE", callback, None, 404, "not_found", ""),
        ("POST", "/admin/accounts/demo/callback/signing-secret", None, 404, "not_found", ""),
        ("DELETE", "/admin/accounts/nobody", None, 404, "not_found", ""),
        ("DELETE", "/admin/trunks/nobody", None, 404, "not_found", ""),
        ("DELETE", "/admin/accounts/demo/agents/nobody", None, 404, "not_found", ""),
        ("DELETE", "/admin/accounts/demo/numbers/9876543210", None, 404, "not_found", ""),
        ("DELETE", "/admin/accounts/demo/keys/nobody", None, 404, "not_found", ""),
        ("POST", "/admin/accounts/demo/keys/nobody/rotate", Some(json!({})), 404, "not_found", ""),
        (
            "PATCH",
            "/admin/accounts/demo/keys/nobody",
            Some(json!({ "cidrs": [] })),
            404,
            "not_found",
            "",
        ),
        ("PATCH", "/admin/accounts/demo", Some(json!({})), 405, "method_not_allowed", ""),
        ("DELETE", "/admin/trunks/carrier-a", None, 409, "conflict", ""),
        ("PUT", "/admin/accounts/demo/numbers/+919876543210", None, 409, "conflict", ""),
        (
            "POST",
            keys,
            Some(json!({ "name": "backend", "class": "server" })),
            409,
            "key_exists",
            "",
        ),
        (
            "POST",
            keys,
            Some(json!({ "name": "k", "class": "server", "value": taken })),
            409,
            "conflict",
            "",
        ),
        ("PUT", "/admin/accounts/demo", None, 415, "unsupported_media_type", ""),
        (
            "PUT",
            "/admin/accounts/demo",
            Some(json!({ "nmae": "x" })),
            400,
            "malformed_json",
            "nmae",
        ),
        (
            "PUT",
            "/admin/accounts/demo",
            Some(json!({ "agent_ring_s": "30" })),
            400,
            "malformed_json",
            "agent_ring_s",
        ),
        ("PUT", "/admin/accounts/a.b", Some(json!({})), 422, "invalid_settings", "account"),
        (
            "PUT",
            "/admin/accounts/demo",
            Some(json!({ "name": "" })),
            422,
            "invalid_settings",
            "name",
        ),
        (
            "PUT",
            "/admin/accounts/demo",
            Some(json!({ "region": "India" })),
            422,
            "invalid_settings",
            "region",
        ),
        (
            "PUT",
            "/admin/accounts/demo",
            Some(json!({ "agent_ring_s": 0 })),
            422,
            "invalid_settings",
            "agent_ring_s",
        ),
        (
            "PUT",
            "/admin/accounts/demo",
            Some(json!({ "no_media_s": 9999 })),
            422,
            "invalid_settings",
            "no_media_s",
        ),
        (
            "PUT",
            "/admin/accounts/demo",
            Some(json!({ "limits": { "calls_per_second": 10001 } })),
            422,
            "invalid_settings",
            "limits.calls_per_second",
        ),
        (
            "PUT",
            "/admin/accounts/demo",
            Some(json!({ "trunks": ["carrier-a", "x"] })),
            422,
            "invalid_settings",
            "trunks[1]",
        ),
        (
            "PUT",
            "/admin/accounts/demo",
            Some(json!({ "trunks": ["carrier-a", "carrier-a"] })),
            422,
            "invalid_settings",
            "trunks[1]",
        ),
        ("PUT", "/admin/accounts/demo/numbers/112", None, 422, "invalid_settings", "number"),
        ("PUT", "/admin/accounts/demo/numbers/hello", None, 422, "invalid_settings", "number"),
        (
            "PUT",
            "/admin/accounts/demo/agents/%20a",
            Some(json!({})),
            422,
            "invalid_settings",
            "crm_username",
        ),
        (
            "PUT",
            "/admin/trunks/t",
            Some(json!({ "transport": "udp", "allow_plaintext": true })),
            422,
            "invalid_settings",
            "host",
        ),
        (
            "PUT",
            "/admin/trunks/t",
            Some(json!({ "host": "a", "allow_plaintext": true })),
            422,
            "invalid_settings",
            "transport",
        ),
        (
            "PUT",
            "/admin/trunks/t",
            Some(json!({ "host": "a", "transport": "tls" })),
            400,
            "malformed_json",
            "transport",
        ),
        (
            "PUT",
            "/admin/trunks/carrier-a",
            Some(json!({ "host": "a:5060" })),
            422,
            "invalid_settings",
            "host",
        ),
        (
            "PUT",
            "/admin/trunks/carrier-a",
            Some(json!({ "port": 0 })),
            422,
            "invalid_settings",
            "port",
        ),
        (
            "PUT",
            "/admin/trunks/carrier-a",
            Some(json!({ "signal_from": ["sip.a"] })),
            422,
            "invalid_settings",
            "signal_from[0]",
        ),
        (
            "PUT",
            "/admin/trunks/carrier-a",
            Some(json!({ "media_from": ["::/0", "1/8"] })),
            422,
            "invalid_settings",
            "media_from[1]",
        ),
        (
            "PUT",
            "/admin/trunks/carrier-a",
            Some(json!({ "media_from": vec!["::1"; 65] })),
            422,
            "invalid_settings",
            "media_from",
        ),
        (
            "PUT",
            "/admin/trunks/carrier-a",
            Some(json!({ "number_format": { "prefix": "a" } })),
            422,
            "invalid_settings",
            "number_format.prefix",
        ),
        ("PUT", callback, Some(json!({})), 422, "invalid_settings", "url"),
        (
            "PUT",
            callback,
            Some(json!({ "url": "http://crm.example.com/" })),
            422,
            "invalid_settings",
            "url",
        ),
        (
            "PUT",
            callback,
            Some(json!({ "url": "https://127.0.0.1/" })),
            422,
            "invalid_settings",
            "url",
        ),
        (
            "PUT",
            callback,
            Some(json!({ "url": url, "max_retries": 4 })),
            422,
            "invalid_settings",
            "max_retries",
        ),
        (
            "PUT",
            callback,
            Some(json!({ "url": url, "signing_secret": "short" })),
            422,
            "invalid_settings",
            "signing_secret",
        ),
        (
            "PUT",
            callback,
            Some(json!({ "url": url, "auth_header": { "name": "Host", "value": "x" } })),
            422,
            "invalid_settings",
            "auth_header.name",
        ),
        (
            "PUT",
            callback,
            Some(json!({ "url": url, "auth_header": { "name": "X", "value": "a\r\nb" } })),
            422,
            "invalid_settings",
            "auth_header.value",
        ),
        (
            "POST",
            keys,
            Some(json!({ "name": "a.b", "class": "server" })),
            422,
            "invalid_settings",
            "name",
        ),
        (
            "POST",
            keys,
            Some(json!({ "name": "a", "class": "admin" })),
            400,
            "malformed_json",
            "class",
        ),
        (
            "POST",
            keys,
            Some(json!({ "name": "a", "class": "server", "value": "short" })),
            422,
            "invalid_settings",
            "value",
        ),
        (
            "POST",
            keys,
            Some(json!({ "name": "a", "class": "server", "cidrs": ["x"] })),
            422,
            "invalid_settings",
            "cidrs[0]",
        ),
        (
            "POST",
            keys,
            Some(json!({ "name": "a", "class": "browser", "cidrs": ["::/0"] })),
            422,
            "invalid_settings",
            "cidrs",
        ),
        (
            "POST",
            "/admin/accounts/demo/keys/backend/rotate",
            Some(json!({ "overlap_s": 9_999_999 })),
            422,
            "invalid_settings",
            "overlap_s",
        ),
    ] {
        let (got, answer) = bench.ask(method.parse().unwrap(), path, body.clone()).await;
        assert_eq!(
            (got.as_u16(), answer["code"].as_str()),
            (status, Some(code)),
            "{method} {path} {body:?}: {answer}"
        );
        assert_eq!(
            answer["errors"][0]["field"].as_str().unwrap_or_default(),
            field,
            "{method} {path} {body:?}: {answer}"
        );
    }
    assert_eq!(
        bench.get("/admin/accounts").await.as_array().unwrap().len(),
        2,
        "a refused request changes nothing"
    );
}
