//! Captures of single calls: asked of the shard that has the call, fetched from the folder that
//! both processes share, and deleted after their days.

use crate::rig::{Rig, hello};
use control_wire::{Command, ControlRefusal, FromEdge, Hello};
use reqwest::Method;
use std::time::{Duration, SystemTime};

#[tokio::test]
async fn a_call_is_captured_by_its_shard_and_fetched_by_operators() {
    let rig = Rig::start().await;
    let mut shard = rig.greet(Hello { tells_ladders: true, ..hello(1, &[]) }).await;
    let (call_id, _) = rig.place(&mut shard).await;
    let path = format!("/admin/calls/{call_id}/capture");
    rig.admin(Method::GET, &path).await.expect(404);
    let (answer, command) = tokio::join!(rig.admin(Method::PUT, &path), async {
        let (command_id, command) = shard.command().await;
        shard.write(&FromEdge::Ack { command_id }).await;
        command
    });
    answer.expect(204);
    let file_name = format!("capture-{call_id}.pcap");
    let start = |with_audio| {
        let (call_id, file_name) = (call_id.as_str().into(), file_name.clone());
        Command::StartCapture { call_id, file_name, with_audio }
    };
    assert_eq!(command, start(false));
    // Audio is asked for, and has to be allowed.
    let with_audio = format!("{path}?audio=true");
    rig.admin(Method::PUT, &with_audio).await.expect_problem(403, "capture_audio");
    rig.admin(Method::PUT, &format!("{path}?sound=true")).await.expect(400);
    let file = rig.recording_path(&format!("capture-{call_id}.pcap"));
    std::fs::write(&file, b"pcap").unwrap();
    let fetched = rig.admin(Method::GET, &path).await;
    assert_eq!(fetched.expect(200).body, b"pcap"[..]);
    assert_eq!(fetched.header("content-type"), "application/vnd.tcpdump.pcap");
    // Customers have no way to it.
    rig.get(&path).await.expect(404);
    rig.get(&format!("/recordings/capture-{call_id}.pcap")).await.expect(404);

    let (answer, ()) = tokio::join!(rig.admin(Method::PUT, &path), async {
        let (command_id, _) = shard.command().await;
        let refusal = ControlRefusal { code: "no_capacity".into(), detail: "four".into() };
        shard.write(&FromEdge::Refused { command_id, refusal }).await;
    });
    answer.expect_problem(503, "no_capacity");
    let (answer, command) = tokio::join!(rig.admin(Method::DELETE, &path), async {
        let (command_id, command) = shard.command().await;
        shard.write(&FromEdge::Ack { command_id }).await;
        command
    });
    answer.expect(204);
    assert_eq!(command, Command::StopCapture { call_id: call_id.as_str().into() });

    let now_ms = control_api::clock::now_ms();
    control_api::retention::expire_once(&rig.app, now_ms).await.unwrap();
    rig.admin(Method::GET, &path).await.expect(200);
    let week = SystemTime::now() - Duration::from_secs(7 * 86_400 + 60);
    std::fs::File::options().append(true).open(&file).unwrap().set_modified(week).unwrap();
    let other = rig.recording_path("crm_of_a_call.wav");
    std::fs::write(&other, b"wav").unwrap();
    std::fs::File::options().append(true).open(&other).unwrap().set_modified(week).unwrap();
    control_api::retention::expire_once(&rig.app, now_ms).await.unwrap();
    rig.admin(Method::GET, &path).await.expect(404);
    assert!(other.exists(), "a recording has its own retention");
    rig.stop().await;
}

#[tokio::test]
async fn audio_is_captured_where_that_is_allowed() {
    let rig = Rig::start_with(|config| config.calls.capture_audio = true).await;
    let mut shard = rig.greet(Hello { tells_ladders: true, ..hello(1, &[]) }).await;
    let (call_id, _) = rig.place(&mut shard).await;
    let path = format!("/admin/calls/{call_id}/capture?audio=true");
    let (answer, command) = tokio::join!(rig.admin(Method::PUT, &path), async {
        let (command_id, command) = shard.command().await;
        shard.write(&FromEdge::Ack { command_id }).await;
        command
    });
    answer.expect(204);
    assert!(matches!(command, Command::StartCapture { with_audio: true, .. }), "{command:?}");
    rig.stop().await;
}

#[tokio::test]
async fn what_cannot_be_captured_is_refused() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    rig.admin(Method::PUT, "/admin/calls/nothing/capture").await.expect(404);
    let (call_id, _) = rig.place(&mut shard).await;
    // An older edge would not understand it.
    let path = format!("/admin/calls/{call_id}/capture");
    rig.admin(Method::PUT, &path).await.expect_problem(503, "no_edge");
    rig.stop().await;
}
