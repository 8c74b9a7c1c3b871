//! HTTP itself, byte by byte: bodies and heads that are wrong, connections that end, clients that
//! take nothing.

use crate::rig::{DEADLINE, Rig, guide_call};
use crate::softphone::{AGENT, CUSTOMER, LAUNCH, launch_query};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A client that writes its bytes itself.
struct Raw {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Raw {
    async fn connect(rig: &Rig) -> Self {
        Self { stream: TcpStream::connect(rig.address()).await.unwrap(), read: Vec::new() }
    }

    async fn send(&mut self, text: impl AsRef<[u8]>) {
        self.stream.write_all(text.as_ref()).await.unwrap();
    }

    /// The next answer: its status, its head in small letters and its body.
    async fn answer(&mut self) -> (u16, String, String) {
        let read = async {
            loop {
                let text = String::from_utf8_lossy(&self.read).into_owned();
                if let Some((head, body)) = text.split_once("\r\n\r\n") {
                    let head = head.to_lowercase();
                    let len = head.lines().find_map(|line| {
                        line.strip_prefix("content-length: ")?.parse::<usize>().ok()
                    });
                    if body.len() >= len.unwrap_or(0) {
                        let body = body[..len.unwrap_or(0)].to_owned();
                        self.read.drain(
                            ..text.len() - text.split_once("\r\n\r\n").unwrap().1.len()
                                + body.len(),
                        );
                        return (head[9..12].parse().unwrap(), head, body);
                    }
                }
                let mut bytes = [0; 4096];
                let len = self.stream.read(&mut bytes).await.unwrap();
                assert!(len > 0, "the connection ended after {text:?}");
                self.read.extend_from_slice(&bytes[..len]);
            }
        };
        timeout(DEADLINE, read).await.expect("no answer came")
    }

    /// Whether the connection ends without another byte.
    async fn ends(&mut self) -> bool {
        let mut bytes = [0; 64];
        matches!(
            timeout(DEADLINE, self.stream.read(&mut bytes)).await.expect("the connection stays"),
            Ok(0) | Err(_)
        )
    }
}

#[track_caller]
fn check_problem(answer: &(u16, String, String), status: u16, code: &str) {
    let (actual, head, body) = answer;
    let body: Value =
        serde_json::from_str(body).unwrap_or_else(|_| panic!("no problem: {head} {body}"));
    assert_eq!((*actual, &body["code"]), (status, &json!(code)), "{head}");
    assert!(head.contains("content-type: application/problem+json"), "{head}");
}

fn post(rig: &Rig, headers: &str) -> String {
    format!(
        "POST /calls HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
            content-type: application/json\r\n{headers}\r\n",
        rig.server_key
    )
}

#[tokio::test]
async fn a_body_that_is_broken_is_not_called_long() {
    let rig = Rig::start().await;
    let body = guide_call().to_string();
    let len = body.len();
    for (headers, body, half_closes) in [
        ("transfer-encoding: chunked\r\n".to_owned(), body.clone(), false),
        ("transfer-encoding: chunked\r\n".to_owned(), format!("5\r\n{body}\r\n0\r\n\r\n"), false),
        ("transfer-encoding: chunked\r\n".to_owned(), format!("{len:x}\r\n{}", &body[..20]), true),
        (format!("content-length: {}\r\n", len + 20), body.clone(), true),
    ] {
        let mut raw = Raw::connect(&rig).await;
        raw.send(format!("{}{body}", post(&rig, &headers))).await;
        if half_closes {
            raw.stream.shutdown().await.unwrap();
        }
        check_problem(&raw.answer().await, 400, "broken_body");
    }
    let mut raw = Raw::connect(&rig).await;
    raw.send(post(&rig, "content-length: 65537\r\n")).await;
    check_problem(&raw.answer().await, 413, "payload_too_large");
    let mut raw = Raw::connect(&rig).await;
    raw.send(format!(
        "{}{:x}\r\n{}\r\n",
        post(&rig, "transfer-encoding: chunked\r\n"),
        70_000,
        " ".repeat(70_000)
    ))
    .await;
    check_problem(&raw.answer().await, 413, "payload_too_large");
    rig.stop().await;
}

#[tokio::test]
async fn bodies_come_in_the_forms_that_clients_send() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    let send = |kind: &'static str, coding: Option<&'static str>, body: String| {
        let key = rig.server_key.clone();
        rig.request(Method::POST, "/calls", move |request| {
            let request = request.bearer_auth(key).header("content-type", kind).body(body);
            coding
                .into_iter()
                .fold(request, |request, coding| request.header("content-encoding", coding))
        })
    };
    send("application/json", None, format!("\u{feff}{}", guide_call())).await.expect(201);
    shard.expect_call().await;
    send("application/json; charset=utf-8", Some("identity"), guide_call().to_string())
        .await
        .expect(201);
    shard.expect_call().await;
    for coding in ["gzip", "br"] {
        let refused = send("application/json", Some(coding), guide_call().to_string()).await;
        refused.expect_problem(415, "unsupported_content_encoding");
        assert_eq!(refused.header("accept-encoding"), "identity");
    }
    let call_id = rig.talk(&mut shard).await;
    // What .NET sends for no value; the document allows it.
    let path = format!("/calls/{call_id}/mute");
    let null = rig.request(Method::POST, &path, |request| {
        request.bearer_auth(&rig.server_key).header("content-type", "application/json").body("null")
    });
    let (answer, _) =
        tokio::join!(null, shard.obey("muted", 5, Some("agent"), crate::rig::two_talk()));
    answer.expect(200);
    rig.stop().await;
}

// RFC 9112 §3.2
#[tokio::test]
async fn a_request_is_for_one_host() {
    let rig = Rig::start().await;
    for (hosts, version, status) in [
        ("", "1.1", 400),
        ("host: a\r\nhost: a\r\n", "1.1", 400),
        ("host: a\r\nHost: b\r\n", "1.0", 400),
        ("host: a b\r\n", "1.1", 400),
        ("", "1.0", 200),
        ("host: [::1]:8080\r\n", "1.1", 200),
    ] {
        let mut raw = Raw::connect(&rig).await;
        raw.send(format!("GET /openapi.json HTTP/{version}\r\n{hosts}\r\n")).await;
        let answer = raw.answer().await;
        match status {
            200 => assert_eq!(answer.0, 200, "{hosts}"),
            _ => check_problem(&answer, 400, "invalid_host"),
        }
    }
    rig.stop().await;
}

// RFC 9112 §9.6
#[tokio::test]
async fn a_connection_that_cannot_be_used_again_is_said_to_close() {
    let rig = Rig::start().await;
    // A refused body that is there is passed over, and the connection goes on.
    let refused = "POST /calls HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
    let mut raw = Raw::connect(&rig).await;
    for _ in 0..3 {
        raw.send(format!("{refused}content-length: 40000\r\n\r\n{}", " ".repeat(40_000))).await;
        let (status, head, _) = raw.answer().await;
        assert_eq!((status, head.contains("connection: close")), (401, false), "{head}");
    }
    // One that is still to come is not waited for.
    for headers in [
        "content-length: 40000\r\n",
        "content-length: 40000\r\nexpect: 100-continue\r\n",
        "transfer-encoding: chunked\r\n",
    ] {
        let mut raw = Raw::connect(&rig).await;
        raw.send(format!("{refused}{headers}\r\n")).await;
        let (status, head, _) = raw.answer().await;
        assert_eq!((status, head.contains("connection: close")), (401, true), "{head}");
        assert!(raw.ends().await);
    }
    // Whoever may come in is asked for the body.
    let mut raw = Raw::connect(&rig).await;
    raw.send(post(&rig, "content-length: 2\r\nexpect: 100-continue\r\n")).await;
    assert_eq!(raw.answer().await.0, 100);
    raw.send("{}").await;
    let (status, head, _) = raw.answer().await;
    assert_eq!((status, head.contains("connection: close")), (422, false), "{head}");
    rig.stop().await;
}

#[tokio::test]
async fn heads_that_cannot_be_read_are_problems_like_any_other() {
    let rig = Rig::start().await;
    let many = "x: y\r\n".repeat(150);
    for (request, status, code) in [
        (
            format!("GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "y".repeat(100_000)),
            431,
            "head_too_large",
        ),
        (format!("GET / HTTP/1.1\r\nhost: x\r\n{many}\r\n"), 431, "head_too_large"),
        (
            format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "y".repeat(100_000)),
            431,
            "head_too_large",
        ),
        ("GET / HTTP/9.9\r\n\r\n".to_owned(), 400, "malformed_head"),
        ("no request\r\n\r\n".to_owned(), 400, "malformed_head"),
    ] {
        let mut raw = Raw::connect(&rig).await;
        raw.send(request).await;
        let answer = raw.answer().await;
        check_problem(&answer, status, code);
        assert!(answer.1.contains("connection: close"), "{}", answer.1);
    }
    rig.stop().await;
}

// B01: whoever only waits keeps nobody out, not even from its own address.
#[tokio::test]
async fn connections_that_stall_make_room() {
    let rig = Rig::start_with(|config| {
        config.public.max_connections_per_address = 4;
        config.public.trusted_proxies.clear();
    })
    .await;
    let mut waiting = Vec::new();
    for _ in 0..4 {
        let mut raw = Raw::connect(&rig).await;
        raw.send("GET /openapi.json HTTP/1.1\r\nhost: x\r\n").await;
        waiting.push(raw);
    }
    let mut next = Raw::connect(&rig).await;
    next.send("GET /recordings/x HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!(next.answer().await.0, 404);
    let metrics =
        String::from_utf8(rig.operator("/metrics").await.expect(200).body.clone()).unwrap();
    let line =
        "control_api_http_connections_cut_total{listener=\"public\",reason=\"address_full\"} 1";
    assert!(metrics.lines().any(|actual| actual == line), "{metrics}");
    // One made room; the others go on.
    let mut served = 0;
    for mut raw in waiting {
        let _ = raw.stream.write_all(b"\r\n").await;
        let mut status = [0; 12];
        let read = timeout(DEADLINE, raw.stream.read_exact(&mut status))
            .await
            .expect("neither served nor cut");
        served += usize::from(read.is_ok() && status == *b"HTTP/1.1 200");
    }
    assert_eq!(served, 3);
    rig.stop().await;
}

// Of whatever can be guessed.
#[tokio::test]
async fn wrong_keys_have_a_rate_and_right_ones_none() {
    let rig = Rig::start().await;
    let guess = async |path: &str, authorization: &str, from: &str| {
        let build = |request: reqwest::RequestBuilder| {
            request
                .header("authorization", authorization)
                .header("x-forwarded-for", from)
                .header("accept", "application/problem+json")
        };
        rig.request(Method::GET, path, build).await
    };
    let link = format!("{LAUNCH}?{}", launch_query("a-key-of-nobody-at-all-1", AGENT, CUSTOMER));
    for (path, authorization, from, status) in [
        ("/calls", "Bearer wrong", "198.51.100.7", 401),
        ("/recordings/none.wav", "", "198.51.100.9", 404),
        ("/CRM_API/webphone/session/call", "Session a.b", "198.51.100.10", 401),
        (link.as_str(), "", "198.51.100.11", 401),
    ] {
        let mut refused = guess(path, authorization, from).await;
        assert_eq!(refused.status, status, "{path}");
        for _ in 0..5_000 {
            if refused.status != status {
                break;
            }
            refused = guess(path, authorization, from).await;
        }
        assert!(!refused.expect_problem(429, "too_many_guesses").header("retry-after").is_empty());
    }
    guess("/calls", "Bearer wrong", "198.51.100.8").await.expect_problem(401, "unauthorized");
    // Who shares the address is not locked out.
    let key = rig.server_key.clone();
    let right = rig.request(Method::GET, "/calls", |request| {
        request.bearer_auth(key).header("x-forwarded-for", "198.51.100.7")
    });
    right.await.expect(200);
    rig.stop().await;
}

// RFC 6797: the link that customers use is HTTPS here.
#[tokio::test]
async fn browsers_are_told_to_come_by_https() {
    let rig = Rig::start().await;
    for path in ["/openapi.json", "/CRM_API/webphone/setup", "/nowhere"] {
        let answer = rig.request(Method::GET, path, |request| request).await;
        assert_eq!(answer.header("strict-transport-security"), "max-age=31536000", "{path}");
    }
    assert_eq!(rig.operator("/healthz").await.header("strict-transport-security"), "");
    let plain = Rig::start_with(|config| config.public.url = "http://127.0.0.1:8080".into()).await;
    let answer = plain.request(Method::GET, "/openapi.json", |request| request).await;
    assert_eq!(answer.header("strict-transport-security"), "");
    plain.stop().await;
    rig.stop().await;
}
