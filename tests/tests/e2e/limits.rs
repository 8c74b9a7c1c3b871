//! What is refused: calls beyond the account's limits (S44), requests that the API's own
//! description forbids, wrong configurations.

use loadtest::children::program_path;
use reqwest::Method;
use serde_json::Value;
use std::process::Command;
use tests::eventually;
use tests::rig::{Placed, Rig};
use tests::sipp::Phone::*;
use tests::sipp::{agent_number, customer_number};

// S44
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_refuse_and_are_raised_live() {
    let rig = Rig::start().await;
    change_account(&rig, "max_concurrent_calls = 20", "max_concurrent_calls = 2").await;
    let running = rig.talk(Talks, Talks).await;
    let ringing = ring(&rig).await;
    check_refused(&rig).await;
    rig.both_hear_each_other().await;
    change_account(&rig, "max_concurrent_calls = 2", "max_concurrent_calls = 3").await;
    let third = ring(&rig).await;
    check_refused(&rig).await;
    // A call that ends gives its line back.
    rig.hang_up(&third).await;
    rig.callback(&third).await;
    let again = ring(&rig).await;
    change_account(
        &rig,
        "max_concurrent_calls = 3, calls_per_second = 50",
        "max_concurrent_calls = 9, calls_per_second = 0",
    )
    .await;
    check_refused(&rig).await;
    change_account(&rig, "calls_per_second = 0", "calls_per_second = 1").await;
    rig.both_hear_each_other().await;
    // One call may start in each second: of six at once some are too many.
    let answers = eventually("a call that starts", async || {
        let post = || async { rig.post(&agent_number(Busy), &customer_number(Talks)).await };
        let (a, b, c, d, e, f) = tokio::join!(post(), post(), post(), post(), post(), post());
        let answers = [a, b, c, d, e, f];
        answers.iter().any(|answer| answer.status() == 201).then_some(answers)
    })
    .await;
    let refused = answers.iter().find(|answer| answer.status() != 201).expect("a refusal");
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["retry-after"]),
        (429, &"1".parse().expect("a header"))
    );
    for call in [running, ringing, again] {
        rig.hang_up(&call).await;
        rig.callback(&call).await;
    }
    rig.stop().await;
}

/// A call that rings at the agent's.
async fn ring(rig: &Rig) -> Placed {
    let call = rig.place(Rings, Talks).await;
    rig.state(&call, "agent_ringing").await;
    call
}

/// The next call is refused with a time to wait, and no phone rings.
async fn check_refused(rig: &Rig) {
    let (agent, customer) = (agent_number(Busy), customer_number(Busy));
    let answer = rig.post(&agent, &customer).await;
    assert_eq!(answer.status(), 429);
    let wait: u64 =
        answer.headers()["retry-after"].to_str().expect("text").parse().expect("seconds");
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    assert!(rig.sipp.messages_of(&agent).is_empty());
}

async fn change_account(rig: &Rig, from: &str, to: &str) {
    let path = rig.stack.folder.join("account.toml");
    let text = std::fs::read_to_string(&path).expect("the account's file");
    assert!(text.contains(from), "{text}");
    std::fs::write(&path, text.replace(from, to)).expect("written");
    rig.stack.apply().await.expect("applied");
}

// A7, S16
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_answers_as_it_describes_itself() {
    let rig = Rig::start().await;
    let document: Value =
        rig.request(Method::GET, "/openapi.json", None).await.json().await.expect("JSON");
    assert!(document["openapi"].as_str().expect("a version").starts_with("3."));
    let paths = document["paths"].as_object().expect("paths");
    for path in [
        "/CRM_API/webphone/launch",
        "/calls",
        "/calls/{call_id}",
        "/calls/{call_id}/timeline",
        "/recordings/{name}",
    ] {
        assert!(paths.contains_key(path), "{path} is missing");
    }
    let client = reqwest::Client::new();
    for (path, operations) in paths {
        for (method, operation) in operations
            .as_object()
            .expect("operations")
            .iter()
            .filter(|(_, value)| value.is_object())
        {
            let method: Method = method.to_uppercase().parse().expect("a method");
            let url = format!("{}{}", rig.stack.api_url, path.replace(['{', '}'], ""));
            for key in [None, Some("wrong"), Some(rig.stack.server_key.as_str())] {
                let request =
                    client.request(method.clone(), &url).header("accept", "application/json");
                let mut request = request.header("content-type", "application/json").body("{");
                if let Some(key) = key {
                    request = request.bearer_auth(key);
                }
                let answer = request.send().await.expect("an answer");
                let status = answer.status();
                let described = &operation["responses"][status.as_str()];
                assert!(described.is_object(), "{method} {path} with {key:?} answers {status}");
                let needs_key =
                    operation["security"].as_array().is_some_and(|security| !security.is_empty());
                let is_refused = needs_key && key != Some(rig.stack.server_key.as_str());
                assert_eq!(
                    status == 401,
                    is_refused,
                    "{method} {path} with {key:?} answers {status}"
                );
                assert_eq!(
                    status == 401,
                    answer.headers().contains_key("www-authenticate"),
                    "{method} {path}"
                );
                if status.is_client_error() {
                    assert_eq!(
                        answer.headers()["content-type"],
                        "application/problem+json",
                        "{method} {path}"
                    );
                }
            }
        }
    }
    // The record of a call has each key that its description requires.
    let call = rig.place(Busy, Talks).await;
    rig.callback(&call).await;
    let view = rig.call(&call).await;
    let required = document["components"]["schemas"]["CallView"]["required"]
        .as_array()
        .expect("required keys");
    for key in required {
        assert!(view.get(key.as_str().expect("a key")).is_some(), "{key}");
    }
    rig.stop().await;
}

/// Runs a binary with `--check-config` on this text; its exit code and what it printed.
fn check_config(program: &str, arguments: &[&str], text: &str) -> (bool, String) {
    let name = format!("check-{program}-{}-{:x}.toml", std::process::id(), text.len());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, text).expect("written");
    let mut command = Command::new(program_path(program).expect("the binary"));
    let output = command
        .args(arguments)
        .arg("--check-config")
        .arg("--config")
        .arg(&path)
        .output()
        .expect("it runs");
    std::fs::remove_file(&path).expect("removed");
    let printed =
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).trim().to_owned();
    (output.status.success(), printed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_config_names_what_is_wrong() {
    let rig = Rig::start().await;
    for (program, arguments) in [("sip-edge", &[][..]), ("control-api", &["serve"][..])] {
        let good = std::fs::read_to_string(rig.stack.folder.join(format!("{program}.toml")))
            .expect("its configuration");
        let (is_fine, printed) = check_config(program, arguments, &good);
        assert!(is_fine, "{printed}");
        for (from, to, named) in [
            ("[log]", "[log]\nloudness = 11", "loudness"),
            ("[link]\nsocket = ", "[link]\nsocket = 7 # ", "link.socket"),
            ("[log]", "[log", "line"),
        ] {
            let (is_fine, printed) = check_config(program, arguments, &good.replace(from, to));
            assert!(
                !is_fine && printed.contains(named) && printed.lines().count() == 1,
                "{program} of {to:?}: {printed}"
            );
        }
    }
    let (is_fine, printed) = check_config("sip-edge", &[], "[media]\nfirst_port = 20001\n");
    assert!(
        !is_fine && printed.contains("media.first_port") && printed.contains("even"),
        "{printed}"
    );
    let open = "[softphone]\nenabled = true\nallow_plaintext_loopback = true\nbind_address = \
        \"0.0.0.0\"\n";
    let (is_fine, printed) = check_config("sip-edge", &[], open);
    assert!(
        !is_fine && printed.contains("is a loopback address") && printed.lines().count() == 1,
        "{printed}"
    );
    rig.stop().await;
}
