//! The softphone in a second browser engine. Firefox has no ICE candidates on loopback, so the test runs in a network namespace of its
//! own, on a pair of virtual interfaces that lead nowhere.

use media_core::tone;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::time::Instant;
use tests::eventually;
use tests::firefox::Firefox;
use tests::party::AGENT_HZ;
use tests::rig::{Placed, Rig};
use tests::sink::Sink;
use tests::sipp::Phone::Talks;
use tests::sipp::{Law, customer_number};

/// Set inside the namespace.
const INSIDE: &str = "DIALER_TEST_NAMESPACE";
/// Of the interface in the namespace (RFC 5737).
const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));

// S02, S11, S12
#[test]
fn two_people_talk_through_firefox() {
    if std::env::var_os(INSIDE).is_none() {
        return in_a_namespace("two_people_talk_through_firefox");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(talk());
}

async fn talk() {
    let rig = Rig::with(Sink::ok().await, Law::Mu, |spec| {
        spec.edge_address = ADDRESS;
        spec.softphones = loadtest::children::Softphones::Plaintext;
    })
    .await;
    let mut firefox = Firefox::start(AGENT_HZ as u32).await;
    let number = customer_number(Talks);
    // Only this name makes a page without TLS one that may have the microphone.
    let url = rig.stack.launch_url("agent.017", &number).replace("127.0.0.1", "localhost");
    firefox.open(&url).await;
    rig.let_speak(&number, &rig.customer).await;
    firefox.says("Talking").await;
    firefox.hears_something().await;
    customer_hears(&rig, |level| level > 2000.0).await;
    firefox.click("Hold").await;
    customer_hears(&rig, |level| level < 100.0).await;
    firefox.click("Resume").await;
    customer_hears(&rig, |level| level > 2000.0).await;
    firefox.click("Hang up").await;
    firefox.says("Call ended").await;
    let calls: serde_json::Value = rig.request(reqwest::Method::GET, "/calls", None).await.json().await.expect("a list of calls");
    let call_id = calls["calls"][0]["call_id"].as_str().expect("a call").to_owned();
    let callback = rig.callback(&Placed { call_id, agent_number: String::new(), customer_number: number }).await;
    assert_eq!((callback.field("status"), callback.field("hangup_by")), ("ANSWER", "agent"), "{}", callback.text);
    drop(firefox);
    rig.stop().await;
}

/// Waits until the agent's tone, which Firefox makes a third as loud as the other parties', is so strong in what comes from now on.
async fn customer_hears(rig: &Rig, is_so: impl Fn(f64) -> bool) {
    let since = Instant::now();
    eventually("the agent's tone as it should be", async || {
        let heard = rig.customer.heard_since(since);
        heard.windows(2400).step_by(160).any(|window| is_so(tone::level(window, AGENT_HZ))).then_some(())
    })
    .await;
}

/// Runs the test again where it has an interface other than loopback.
fn in_a_namespace(test: &str) {
    let is_root = std::fs::metadata("/proc/self").expect("/proc").uid() == 0;
    let unshare = || {
        let mut command = Command::new("unshare");
        command.arg("--net").args((!is_root).then_some("--map-root-user"));
        command
    };
    if !unshare().arg("true").status().is_ok_and(|status| status.success()) {
        eprintln!("skipped: this system gives no network namespace");
        return;
    }
    let script = format!(
        "ip link set lo up && ip link add a0 type veth peer name b0 && ip addr add {ADDRESS}/24 dev a0 && ip link set a0 up && \
         ip link set b0 up && ip route add default via 198.51.100.254 dev a0 && exec \"$0\" --exact {test} --nocapture"
    );
    let own = std::env::current_exe().expect("this test");
    let status = unshare().args(["sh", "-c", &script]).arg(own).env(INSIDE, "1").status().expect("unshare");
    assert!(status.success(), "in the namespace: {status}");
}
