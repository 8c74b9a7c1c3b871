//! The operators' listener, the OpenAPI documents, and stopping.

use crate::rig::{DEADLINE, Rig, hello};
use call_words::CallStatus;
use control_wire::{ControlRefusal, Folder, Folders, FromEdge, Hello};
use reqwest::Method;
use serde_json::{Value, json};
use std::os::unix::fs::MetadataExt;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

#[tokio::test]
async fn readiness_follows_the_edge() {
    let rig = Rig::start().await;
    assert_eq!(rig.operator("/healthz").await.expect(200).body, b"ok\n");
    let unready = rig.operator("/readyz").await;
    let body = unready.expect(503).json();
    let reason = format!("{}/control.sock", rig.folder.display());
    assert!(body["reasons"][0].as_str().unwrap().contains(&reason), "{body}");
    assert_eq!(
        (&body["ready"], &body["store"], &body["edge"]),
        (&json!(false), &json!(true), &json!(false))
    );
    let mut shard = rig.shard(1, &[]).await;
    rig.place(&mut shard).await;
    let ready = rig.operator("/readyz").await.expect(200).json();
    assert_eq!(
        (&ready["ready"], &ready["live_calls"], &ready["shards"][0]["connected"]),
        (&json!(true), &json!(1), &json!(true))
    );
    for path in ["/healthz", "/readyz", "/metrics"] {
        rig.request(Method::GET, path, |request| request).await.expect_problem(404, "not_found");
    }
    rig.operator("/nowhere").await.expect_problem(404, "not_found");
    rig.stop().await;
}

// S15, S34: an edge that writes recordings elsewhere is told at once, not by the first link that
// answers 404.
#[tokio::test]
async fn an_edge_that_works_on_other_folders_makes_unready() {
    let rig = Rig::start().await;
    let folder = |path: std::path::PathBuf| Folder {
        identity: std::fs::metadata(&path).ok().map(|metadata| (metadata.dev(), metadata.ino())),
        path: path.display().to_string(),
    };
    let (recordings, hold_audio) = (rig.folder.join("recordings"), rig.folder.join("hold-audio"));
    let elsewhere = tempfile::tempdir().unwrap();
    let link = elsewhere.path().join("link");
    std::os::unix::fs::symlink(&recordings, &link).unwrap();
    for (theirs, complaint) in [
        (
            Folders {
                recordings: folder(recordings.clone()),
                hold_audio: folder(hold_audio.clone()),
            },
            None,
        ),
        (Folders { recordings: folder(link), hold_audio: folder(hold_audio.clone()) }, None),
        (
            Folders {
                recordings: folder(elsewhere.path().into()),
                hold_audio: folder(hold_audio.clone()),
            },
            Some("recordings.folder"),
        ),
        (
            Folders {
                recordings: folder(recordings),
                hold_audio: folder(elsewhere.path().join("none")),
            },
            Some("hold_audio.folder"),
        ),
    ] {
        let shard = rig.greet(Hello { folders: Some(theirs.clone()), ..hello(1, &[]) }).await;
        let answer = timeout(DEADLINE, async {
            loop {
                let answer = rig.operator("/readyz").await;
                if answer.json()["edge"] == true {
                    return answer;
                }
                sleep(Duration::from_millis(2)).await;
            }
        });
        let answer = answer.await.unwrap();
        match complaint {
            None => assert_eq!(answer.expect(200).json()["reasons"], json!([]), "{theirs:?}"),
            Some(key) => {
                let body = answer.expect(503).json();
                let reason = body["reasons"][0].as_str().unwrap();
                assert!(
                    reason.contains(key)
                        && reason.contains(&elsewhere.path().display().to_string()),
                    "{body}"
                );
            }
        }
        drop(shard);
        timeout(DEADLINE, async {
            while rig.operator("/readyz").await.json()["edge"] == true {
                sleep(Duration::from_millis(2)).await;
            }
        })
        .await
        .unwrap();
    }
    rig.stop().await;
}

// B11
#[tokio::test]
async fn readiness_is_lost_while_recordings_cannot_be_written() {
    let rig = Rig::start().await;
    let _shard = rig.shard(1, &[]).await;
    rig.operator("/readyz").await.expect(200);
    let (folder, aside) = (&rig.app.config.recordings.folder, rig.folder.join("aside"));
    std::fs::rename(folder, &aside).unwrap();
    let wait = async |status: u16| {
        loop {
            let answer = rig.operator("/readyz").await;
            if answer.status == status {
                return answer.json();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let unready = tokio::time::timeout(crate::rig::DEADLINE, wait(503)).await.expect("still ready");
    assert_eq!((&unready["store"], &unready["recordings"]), (&json!(true), &json!(false)));
    assert!(
        unready["reasons"][0].as_str().unwrap().starts_with("recordings.folder: "),
        "{unready}"
    );
    std::fs::rename(&aside, folder).unwrap();
    tokio::time::timeout(crate::rig::DEADLINE, wait(200)).await.expect("ready again");
    assert!(std::fs::read_dir(folder).unwrap().next().is_none(), "nothing is left behind");
    rig.stop().await;
}

// Names of recordings are the permission to hear them: others do not read them.
#[tokio::test]
async fn folders_are_closed_to_other_users_also_those_that_were_there() {
    use std::os::unix::fs::PermissionsExt;
    let rig = Rig::start().await;
    let config = &rig.app.config;
    let folders = [&config.storage.folder, &config.recordings.folder, &config.hold_audio.folder]
        .map(|folder| folder.to_owned());
    let old = config.recordings.folder.join("old.wav");
    std::fs::write(&old, "x").unwrap();
    for path in folders.iter().chain([&old]) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let rig = rig.restart().await;
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        [&folders[0], &folders[1], &folders[2], &old].map(|path| mode(path)),
        [0o700, 0o750, 0o750, 0o640]
    );
    rig.stop().await;
}

#[tokio::test]
async fn metrics_count_what_happened_without_telling_secrets() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    let (call_id, place) = rig.place(&mut shard).await;
    shard.end(&call_id, CallStatus::Busy).await;
    let recording = place.recording.unwrap();
    rig.get(&format!("/recordings/{recording}")).await.expect(404);
    let text = String::from_utf8(rig.operator("/metrics").await.expect(200).body.clone()).unwrap();
    for line in [
        "control_api_http_requests_total{listener=\"public\",method=\"POST\",route=\"/calls\",status=\"201\"} 1",
        "control_api_http_request_duration_seconds_count{listener=\"public\",method=\"POST\",route=\"/calls\"} 1",
        "control_api_calls_ended_total{status=\"BUSY\",reason=\"none\"} 1",
        "control_api_calls_live 0",
        "control_api_edge_connected{edge=\"edge-1\",shard=\"0\"} 1",
        "control_api_edge_events_total{edge=\"edge-1\",shard=\"0\",name=\"drop_unknown_source\"} 7",
    ] {
        assert!(text.lines().any(|actual| actual == line), "{line} is not in\n{text}");
    }
    assert!(!text.contains(recording.as_str()) && !text.contains(&call_id));
    assert!(text.ends_with("# EOF\n"));
    rig.stop().await;
}

#[tokio::test]
async fn every_route_is_documented_and_every_documented_route_is_served() {
    let rig = Rig::start().await;
    let document =
        rig.request(Method::GET, "/openapi.json", |request| request).await.expect(200).json();
    let paths = document["paths"].as_object().unwrap();
    let mut documented: Vec<(String, String)> = paths
        .iter()
        .flat_map(|(path, operations)| {
            operations.as_object().unwrap().keys().map(move |method| (path.clone(), method.clone()))
        })
        .collect();
    documented.sort();
    let routes = [
        ("/CRM_API/webphone/launch", "get"),
        ("/calls", "get"),
        ("/calls", "post"),
        ("/calls/{call_id}", "delete"),
        ("/calls/{call_id}", "get"),
        ("/calls/{call_id}", "patch"),
        ("/calls/{call_id}/callback/redeliver", "post"),
        ("/calls/{call_id}/cancel", "post"),
        ("/calls/{call_id}/complete", "post"),
        ("/calls/{call_id}/dtmf", "post"),
        ("/calls/{call_id}/events", "get"),
        ("/calls/{call_id}/hold", "post"),
        ("/calls/{call_id}/merge", "post"),
        ("/calls/{call_id}/mute", "post"),
        ("/calls/{call_id}/participants", "post"),
        ("/calls/{call_id}/participants/{party}", "delete"),
        ("/calls/{call_id}/recording/pause", "post"),
        ("/calls/{call_id}/recording/resume", "post"),
        ("/calls/{call_id}/recording/start", "post"),
        ("/calls/{call_id}/resume", "post"),
        ("/calls/{call_id}/supervisors", "post"),
        ("/calls/{call_id}/supervisors/{party}", "delete"),
        ("/calls/{call_id}/supervisors/{party}", "patch"),
        ("/calls/{call_id}/swap", "post"),
        ("/calls/{call_id}/timeline", "get"),
        ("/calls/{call_id}/transfer", "post"),
        ("/calls/{call_id}/unmute", "post"),
        ("/events", "get"),
        ("/openapi.json", "get"),
        ("/recordings/{name}", "get"),
        ("/recordings/{name}", "head"),
    ];
    assert_eq!(documented, routes.map(|(path, method)| (path.to_owned(), method.to_owned())));
    for (path, operations) in paths {
        let example = path.replace("{call_id}", "x").replace("{name}", "x").replace("{party}", "x");
        for method in ["get", "head", "post", "put", "patch", "delete"] {
            let request = Method::from_bytes(method.to_ascii_uppercase().as_bytes()).unwrap();
            let answer = rig.request(request, &example, |request| request).await;
            // A GET route answers HEAD as well (RFC 9110 §9.3.2).
            let is_served = operations.get(method).is_some()
                || (method == "head" && operations.get("get").is_some());
            assert_eq!(answer.status != 405, is_served, "{method} {path}");
        }
    }
    for (_, operation) in paths.values().flat_map(|operations| operations.as_object().unwrap()) {
        let summary = operation["summary"].as_str().unwrap_or_default();
        assert!(!summary.is_empty(), "{}", operation["operationId"]);
    }
    rig.stop().await;
}

#[tokio::test]
async fn the_operators_document_holds_operations_and_the_admin_api() {
    let rig = Rig::start().await;
    let document: Value = rig.operator("/openapi.json").await.expect(200).json();
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert!(document["paths"].get(path).is_some(), "{path}");
    }
    assert!(document["paths"].as_object().unwrap().keys().any(|path| path.starts_with("/admin/")));
    let other = rig.operator("/admin/openapi.json").await.expect(200).json();
    assert!(other == document, "under either path it is the same");
    rig.stop().await;
}

#[tokio::test]
async fn stopping_closes_the_link_but_ends_no_call() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    let (call_id, _) = rig.place(&mut shard).await;
    let rig = rig.restart().await;
    assert_eq!(shard.read().await, None);
    assert_eq!(rig.call(&call_id).await["state"], "placed");
    rig.stop().await;
}

#[tokio::test]
async fn a_request_that_runs_is_answered_before_the_end() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    let call_id = rig.talk(&mut shard).await;
    let address = rig.address();
    let hold = reqwest::Client::new()
        .post(format!("http://{address}/calls/{call_id}/hold"))
        .bearer_auth(&rig.server_key);
    let stop = async {
        let (command_id, _) = shard.expect_verb().await;
        let refuse = async {
            while TcpStream::connect(address).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let refusal = ControlRefusal { code: "no_capacity".into(), detail: "not now".into() };
            shard.write(&FromEdge::Refused { command_id, refusal }).await;
        };
        tokio::join!(rig.stop(), refuse);
    };
    let (answer, ()) = tokio::join!(hold.send(), stop);
    let problem: Value = answer.expect("an answer").json().await.unwrap();
    assert_eq!(problem["code"], "no_capacity");
}
