//! The sandbox as people start it: on ports of their choice, with commands and pages that work, and
//! with the calls of before a restart.

use loadtest::children::program_path;
use serde_json::{Value, json};
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use tempfile::TempDir;
use tests::{PATIENCE, eventually};
use tokio::process::{Child, Command};

/// Free now; held until all are known, so that they differ.
fn free_ports<const N: usize>() -> [u16; N] {
    let held = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    held.each_ref().map(|listener| listener.local_addr().expect("an address").port())
}

fn start([page, api, admin]: [u16; 3], folder: &Path) -> Child {
    let mut sandbox = Command::new(program_path("sandbox").expect("built"));
    sandbox
        .args(["--listen", &format!("127.0.0.1:{page}"), "--port", &api.to_string()])
        .args(["--admin-port", &admin.to_string(), "--folder"])
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true);
    sandbox.spawn().expect("the sandbox")
}

/// Ends by SIGTERM with status 0.
async fn stop(mut sandbox: Child) {
    let id = sandbox.id().expect("it runs").to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    let status = tokio::time::timeout(PATIENCE, sandbox.wait()).await.expect("it ends");
    assert!(status.expect("a status").success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sandbox_has_ports_of_ones_choice_and_remembers_its_calls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = TempDir::new().expect("a folder");
    let ports = free_ports();
    let [page, api, admin] = ports.map(|port| format!("http://127.0.0.1:{port}"));
    let read = async |path: &str| {
        let answer = reqwest::get(format!("{page}{path}")).await.ok()?;
        answer.json::<Value>().await.ok()
    };
    let sandbox = start(ports, folder.path());
    let demo = eventually("the sandbox", async || read("/demo").await).await;
    // What it shows works as it stands there.
    let command = demo["admin"].as_str().expect("a command");
    let shell = Command::new("sh").args(["-c", command]).output().await.expect("sh");
    let told = String::from_utf8_lossy(&shell.stdout).into_owned();
    assert!(shell.status.success() && told.contains("demo"), "{command}: {shell:?}");
    let pages = demo["pages"].as_array().expect("pages").iter();
    let pages = pages.map(|page| page[1].as_str().expect("an address").to_owned());
    for address in pages.chain([format!("{api}/"), format!("{admin}/")]) {
        let answer = reqwest::get(&address).await.expect("an answer");
        assert!(answer.status().is_success(), "{address}: {}", answer.status());
        assert!([&api, &admin].iter().any(|own| address.starts_with(*own)), "{address}");
    }
    let busy = demo["numbers"]
        .as_array()
        .expect("numbers")
        .iter()
        .find(|number| number[1].as_str().is_some_and(|what| what.contains("busy")));
    let body = json!({ "to_number": busy.expect("a number that is busy")[0] });
    let client = reqwest::Client::new();
    let placed = client.post(format!("{page}/calls")).json(&body).send().await.expect("an answer");
    let placed: Value = placed.json().await.expect("the call");
    let list = eventually("its callback", async || {
        read("/calls").await.filter(|calls| calls[0]["received"].is_string())
    });
    assert_eq!(list.await[0]["call_id"], placed["call_id"]);
    stop(sandbox).await;
    let sandbox = start(ports, folder.path());
    let list = eventually("the sandbox again", async || read("/calls").await).await;
    assert_eq!(list[0]["call_id"], placed["call_id"]);
    stop(sandbox).await;
}
