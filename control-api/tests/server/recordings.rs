//! `/recordings/{name}` (S34, S41, A16).

use crate::rig::{Answer, Rig, ended, wav};
use call_words::CallStatus;
use control_api::clock::now_ms;
use control_api::retention;
use control_wire::{Ended, Event, RecordingResult};
use reqwest::Method;

/// Places and ends a recorded call, and returns the path of its recording.
async fn recorded_call(rig: &Rig) -> String {
    let mut shard = rig.shard(1, &[]).await;
    let (call_id, place) = rig.place(&mut shard).await;
    let file_name = place.recording.unwrap();
    std::fs::write(rig.recording_path(file_name.as_str()), wav()).unwrap();
    let path = format!("/recordings/{file_name}");
    rig.get(&path).await.expect_problem(404, "not_found");
    let recording = RecordingResult {
        file_name,
        duration_ms: 2_000,
        file_len: wav().len() as u64,
        pauses: Vec::new(),
    };
    shard
        .tell(Event::Ended(Box::new(Ended {
            recording: Some(recording),
            ..ended(&call_id, CallStatus::Answer)
        })))
        .await;
    path
}

async fn fetch(rig: &Rig, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
    rig.request(method, path, |request| {
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
    })
    .await
}

#[track_caller]
fn check_private(answer: &Answer) {
    assert!(answer.header("cache-control").contains("no-store"));
    assert!(answer.header("x-robots-tag").contains("noindex"));
}

// S34
#[tokio::test]
async fn a_recording_is_served_whole_and_in_ranges() {
    let rig = Rig::start().await;
    let path = recorded_call(&rig).await;
    let file = wav();
    let whole = fetch(&rig, Method::GET, &path, &[]).await;
    assert_eq!(whole.expect(200).body, file);
    assert_eq!(
        (whole.header("content-type"), whole.header("accept-ranges")),
        ("audio/wav", "bytes")
    );
    assert_eq!(whole.header("content-length"), file.len().to_string());
    check_private(&whole);
    let head = fetch(&rig, Method::HEAD, &path, &[]).await;
    assert_eq!(
        (head.expect(200).header("content-length"), head.body.len()),
        (file.len().to_string().as_str(), 0)
    );

    let part = fetch(&rig, Method::GET, &path, &[("range", "bytes=10-19")]).await;
    assert_eq!(part.expect(206).body, &file[10..20]);
    assert_eq!(part.header("content-range"), format!("bytes 10-19/{}", file.len()));
    let tail = fetch(&rig, Method::GET, &path, &[("range", "bytes=-100")]).await;
    assert_eq!(tail.expect(206).body, &file[file.len() - 100..]);
    let etag = whole.header("etag").to_owned();
    fetch(&rig, Method::GET, &path, &[("range", "bytes=0-9"), ("if-range", &etag)])
        .await
        .expect(206);
    fetch(&rig, Method::GET, &path, &[("range", "bytes=0-9"), ("if-range", "\"other\"")])
        .await
        .expect(200);
    let outside = fetch(&rig, Method::GET, &path, &[("range", "bytes=1000000-")]).await;
    assert_eq!(
        outside.expect_problem(416, "range").header("content-range"),
        format!("bytes */{}", file.len())
    );
    rig.stop().await;
}

// S41
#[tokio::test]
async fn only_known_names_are_found() {
    let rig = Rig::start().await;
    let path = recorded_call(&rig).await;
    std::fs::write(rig.recording_path("crm_0123456789012345678901.wav"), wav()).unwrap();
    for path in [
        "/recordings/crm_0123456789012345678901.wav",
        "/recordings/crm_.wav",
        "/recordings/..%2fdb%2fCURRENT",
        "/recordings/%ff",
        &path.replace(".wav", ".wav.part"),
        &path[..path.len() - 1],
    ] {
        let answer = fetch(&rig, Method::GET, path, &[]).await;
        check_private(answer.expect_problem(404, "not_found"));
    }
    for path in ["/recordings", "/recordings/"] {
        fetch(&rig, Method::GET, path, &[]).await.expect_problem(404, "not_found");
    }
    // The record is there, its file is not.
    std::fs::remove_file(rig.recording_path(path.strip_prefix("/recordings/").unwrap())).unwrap();
    fetch(&rig, Method::GET, &path, &[]).await.expect_problem(404, "not_found");
    rig.stop().await;
}

// A CRM's page draws and plays what its callback named.
#[tokio::test]
async fn pages_of_any_origin_may_fetch_a_recording() {
    let rig = Rig::start().await;
    let path = recorded_call(&rig).await;
    let origin = ("origin", "https://crm.example");
    let part = fetch(&rig, Method::GET, &path, &[origin, ("range", "Bytes=0-1")]).await;
    assert_eq!((part.expect(206).body.len(), part.header("access-control-allow-origin")), (2, "*"));
    assert!(part.header("access-control-expose-headers").contains("Content-Range"));
    for (path, status) in
        [(path.as_str(), 416), ("/recordings/crm_0123456789012345678901.wav", 404)]
    {
        let refused = fetch(&rig, Method::GET, path, &[origin, ("range", "bytes=99999999-")]).await;
        assert_eq!(refused.expect(status).header("access-control-allow-origin"), "*");
    }
    let asked = [
        origin,
        ("access-control-request-method", "GET"),
        ("access-control-request-headers", "range"),
    ];
    let allowed = fetch(&rig, Method::OPTIONS, &path, &asked).await;
    assert_eq!(
        (
            allowed.expect(204).header("access-control-allow-origin"),
            allowed.header("access-control-allow-methods")
        ),
        ("*", "GET, HEAD")
    );
    assert!(allowed.header("access-control-allow-headers").to_lowercase().contains("range"));
    // Nothing else of the API is for pages.
    let other = rig
        .request(Method::GET, "/calls", |request| request.header("origin", "https://crm.example"))
        .await;
    assert_eq!(other.header("access-control-allow-origin"), "");
    rig.stop().await;
}

// S37, A16
#[tokio::test]
async fn a_browser_key_does_not_open_recordings_and_no_key_is_needed() {
    let rig = Rig::start().await;
    let path = recorded_call(&rig).await;
    let browser = format!("Bearer {}", rig.browser_key);
    fetch(&rig, Method::GET, &path, &[("authorization", &browser)])
        .await
        .expect_problem(403, "key_class");
    rig.get(&path).await.expect(200);
    fetch(&rig, Method::GET, &path, &[]).await.expect(200);
    rig.stop().await;
}

// A16
#[tokio::test]
async fn after_retention_a_recording_is_gone() {
    let rig = Rig::start().await;
    let path = recorded_call(&rig).await;
    let file = rig.recording_path(path.strip_prefix("/recordings/").unwrap());
    retention::expire_once(&rig.app, now_ms()).await.unwrap();
    assert!(file.exists());
    retention::expire_once(&rig.app, now_ms() + 91 * 24 * 3_600_000).await.unwrap();
    assert!(!file.exists());
    check_private(fetch(&rig, Method::GET, &path, &[]).await.expect_problem(410, "gone"));
    rig.stop().await;
}
