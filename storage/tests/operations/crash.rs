//! A writer is killed; whatever it acknowledged is there afterwards (S20).

use crate::*;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

/// Set for the process that writes until it is killed.
const FOLDER: &str = "STORAGE_CRASH_TEST_FOLDER";

const WRITER_COUNT: u64 = 5;

/// Acknowledges each creation and each end on its standard output as soon as storage returns.
#[test]
#[ignore = "runs only as the child of the next test"]
fn writer() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let storage = open(folder.as_ref());
    push_to(&storage, ACCOUNT, Some("demo https://a.example"));
    let acknowledge = |line: String| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{line}").and_then(|()| out.flush()).expect("the parent reads");
    };
    // Several at once, so that they share groups.
    std::thread::scope(|scope| {
        for first in 0..WRITER_COUNT {
            let (storage, acknowledge) = (&storage, &acknowledge);
            scope.spawn(move || {
                for n in (first..).step_by(WRITER_COUNT as usize) {
                    let call_id = format!("c{n}");
                    create(storage, new_call(&call_id, NOW + n));
                    acknowledge(format!("ack created {call_id}"));
                    if n % 2 == 0 {
                        let end = answered(&call_id, NOW + n + 10_000);
                        storage.finish_call(&call_id.as_str().into(), end).unwrap();
                        acknowledge(format!("ack finished {call_id}"));
                    }
                }
            });
        }
    });
}

#[test]
fn what_was_acknowledged_before_a_kill_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::writer", "--ignored", "--nocapture"])
        .env(FOLDER, folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut acknowledged = Vec::new();
    while acknowledged.len() < 60 {
        let line = lines.next().expect("the writer writes until it is killed").unwrap();
        acknowledged.extend(line.strip_prefix("ack ").map(str::to_owned));
    }
    // SIGKILL, in the midst of further writes.
    child.kill().unwrap();
    child.wait().unwrap();
    acknowledged.extend(lines.map_while(|line| line.ok()?.strip_prefix("ack ").map(str::to_owned)));

    let storage = open(folder.path());
    let live: Vec<_> = storage.live_calls().unwrap().into_iter().map(|call| call.call_id).collect();
    for line in &acknowledged {
        let (what, call_id) = line.split_once(' ').unwrap();
        let call =
            storage.call(&call_id.into()).unwrap().unwrap_or_else(|| panic!("{call_id} is lost"));
        if what == "finished" {
            assert_eq!(call.status, Some(CallStatus::Answer), "{call_id}");
            assert!(
                storage.callback_job(call_id).unwrap().is_some(),
                "{call_id} has no callback job"
            );
            assert!(!live.contains(&call.call_id));
        }
    }
    // The record and its job are one write: neither is there without the other.
    for call in storage.calls(&ACCOUNT.into(), &CallFilter::default(), None, 1_000).unwrap().calls {
        assert_eq!(
            call.is_live(),
            storage.callback_job(call.call_id.as_str()).unwrap().is_none(),
            "{}",
            call.call_id
        );
        assert_eq!(call.is_live(), live.contains(&call.call_id));
    }
}
