//! The softphone in a second browser engine, which has a network of its own (Firefox has no ICE candidates on loopback).

use media_core::tone;
use reqwest::Url;
use std::time::Instant;
use tests::eventually;
use tests::firefox::Firefox;
use tests::network::{ADDRESS, in_a_namespace, lend};
use tests::party::AGENT_HZ;
use tests::rig::{Placed, Rig};
use tests::sink::Sink;
use tests::sipp::Phone::Talks;
use tests::sipp::{Law, customer_number};

// S02, S11, S12
#[test]
fn two_people_talk_through_firefox() {
    in_a_namespace("two_people_talk_through_firefox", async {
        let (rig, mut firefox, call) = talk().await;
        firefox.click("Hold").await;
        customer_hears(&rig, |level| level < 100.0).await;
        firefox.click("Resume").await;
        customer_hears(&rig, |level| level > 2000.0).await;
        hang_up(rig, firefox, call).await;
    });
}

// §3 item 7, A10
#[test]
fn another_network_keeps_the_call() {
    in_a_namespace("another_network_keeps_the_call", async {
        let (rig, mut firefox, call) = talk().await;
        let what = std::env::var("WHAT").unwrap_or("pull".into());
        let secs = |name: &str, or: f64| std::env::var(name).ok().and_then(|v| v.parse::<f64>().ok()).unwrap_or(or);
        firefox.evaluate("(() => { const t0 = performance.now(); const log = window.__net = []; const say = w => log.push([Math.round(performance.now() - t0), w]); \
            for (const k of ['online','offline']) window.addEventListener(k, () => say(k)); \
            for (const c of window.__heard.connections) { c.addEventListener('connectionstatechange', () => say('conn ' + c.connectionState)); c.addEventListener('iceconnectionstatechange', () => say('ice ' + c.iceConnectionState)); c.addEventListener('signalingstatechange', () => say('sig ' + c.signalingState)); c.addEventListener('icecandidate', e => say('cand ' + (e.candidate && e.candidate.candidate))); } })()").await;
        let cut = Instant::now();
        let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() % 60_000;
        let wire = firefox.wire;
        let gap = std::time::Duration::from_secs_f64(secs("GAP", 2.0));
        match what.as_str() {
            "pull" => { wire.pull(); tokio::time::sleep(gap).await; wire.plug_into_another(); }
            "readdress" => wire.readdress(),
            "die" => { wire.die(); tokio::time::sleep(gap).await; wire.revive(); }
            _ => {}
        }
        println!("cut at wall second {}", wall as f64 / 1000.0);
        for _ in 0..60 {
            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
            let heard = rig.customer.heard_since(Instant::now() - std::time::Duration::from_millis(300));
            println!("{:6.1} agent {:6.0} samples {} state {}", cut.elapsed().as_secs_f64(), tone::level(&heard, AGENT_HZ), heard.len(), rig.call(&call).await["state"]);
            if cut.elapsed().as_secs_f64() > secs("LOOK", 14.0) { break; }
        }
        println!("{}", firefox.evaluate("window.__net").await.to_string().replace("],[", "],\n["));
        println!("{}", firefox.text().await);
        for step in rig.timeline(&call).await { println!("{} {} {} {}", step["time"], step["leg"], step["kind"], step["detail"]); }
        println!("{:?}", rig.customer.continuity());
        hang_up(rig, firefox, call).await;
    });
}

/// A customer and an agent with Firefox, who talk with each other.
async fn talk() -> (Rig, Firefox, Placed) {
    let rig = Rig::with(Sink::ok().await, Law::Mu, |spec| {
        spec.edge_address = ADDRESS;
        spec.softphones = loadtest::children::Softphones::SelfSigned;
    })
    .await;
    let mut firefox = Firefox::start(AGENT_HZ as u32).await;
    let number = customer_number(Talks);
    let url = Url::parse(&rig.stack.launch_url("agent.017", &number)).expect("a URL");
    lend(url.port().expect("a port")).await;
    firefox.open(&url.as_str().replace("127.0.0.1", &ADDRESS.to_string())).await;
    rig.let_speak(&number, &rig.customer).await;
    firefox.says("Talking").await;
    firefox.hears_something().await;
    customer_hears(&rig, |level| level > 2000.0).await;
    let calls: serde_json::Value = rig.request(reqwest::Method::GET, "/calls", None).await.json().await.expect("a list of calls");
    let call_id = calls["calls"][0]["call_id"].as_str().expect("a call").to_owned();
    (rig, firefox, Placed { call_id, agent_number: String::new(), customer_number: number })
}

/// The agent hangs up.
async fn hang_up(rig: Rig, mut firefox: Firefox, call: Placed) {
    firefox.click("Hang up").await;
    firefox.says("Call ended").await;
    let callback = rig.callback(&call).await;
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
