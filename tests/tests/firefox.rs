//! The softphone in a second browser engine, which has a network of its own (Firefox has no ICE
//! candidates on loopback): it can change, fail and come back while two people talk.

use media_core::tone;
use reqwest::Url;
use serde_json::json;
use std::time::{Duration, Instant};
use tests::audio::{Wav, assert_absent};
use tests::browser::CODECS;
use tests::eventually;
use tests::firefox::Firefox;
use tests::network::{ADDRESS, in_a_namespace, lend};
use tests::party::{AGENT_HZ, CUSTOMER_HZ};
use tests::rig::{Placed, Rig};
use tests::sink::{Received, Sink};
use tests::sipp::Phone::Talks;
use tests::sipp::{Law, customer_number};

/// Level of the agent's tone, which Firefox makes a third as loud as the other parties'.
const LOUD: f64 = 2000.0;

// S02, S11, S12
#[test]
fn two_people_talk_through_firefox() {
    in_a_namespace("two_people_talk_through_firefox", async {
        let (rig, mut firefox, call) = talk().await;
        let codecs = firefox.evaluate(CODECS).await;
        assert_eq!(codecs, json!(["audio/opus", "audio/opus"]), "the customer speaks G.711");
        firefox.click("Hold").await;
        customer_hears(&rig, AGENT_HZ, |level| level < 100.0).await;
        firefox.click("Resume").await;
        customer_hears(&rig, AGENT_HZ, |level| level > LOUD).await;
        hang_up(rig, firefox, call).await;
    });
}

// A10: the plug is pulled, and put in where another network is.
#[test]
fn a_network_change_keeps_the_call() {
    in_a_namespace("a_network_change_keeps_the_call", async {
        let (rig, mut firefox, call) = talk().await;
        let wire = firefox.wire;
        let pulled = Instant::now();
        wire.pull();
        customer_hears(&rig, tone::HOLD.frequency, |level| level > tone::HOLD.amplitude / 2.0)
            .await;
        let held = pulled.elapsed();
        wire.plug_into_another();
        let plugged = Instant::now();
        customer_hears(&rig, AGENT_HZ, |level| level > LOUD).await;
        println!(
            "A10: unplugged: the tone after {held:?}; the agent {:?} after the next network was \
                there",
            plugged.elapsed()
        );
        firefox.hears(CUSTOMER_HZ).await;
        assert_eq!(steps(&rig, &call).await, ["agent_lost", "agent_back"]);
        firefox.says("Talking").await;
        // Once more, at once after the first: what comes back does so as the customer begins to
        // hear the hold tone.
        let readdressed = Instant::now();
        wire.readdress();
        // What was on its way is over by then, and nothing tells of the gap: nothing is sent in it.
        tokio::time::sleep(Duration::from_millis(500)).await;
        customer_hears(&rig, AGENT_HZ, |level| level > LOUD).await;
        println!("A10: another address: the agent after {:?}", readdressed.elapsed());
        firefox.hears(CUSTOMER_HZ).await;
        let wav = hang_up(rig, firefox, call).await;
        let is_loud = |piece: &&[i16]| tone::level(piece, AGENT_HZ) > LOUD;
        let pieces: Vec<bool> = wav.agent.chunks_exact(800).map(|piece| is_loud(&piece)).collect();
        let changes =
            pieces.chunk_by(|one, next| one == next).filter(|run| run.len() > 4).map(|run| run[0]);
        let changes: Vec<bool> = changes.skip_while(|is_loud| !is_loud).collect();
        assert_eq!(
            changes,
            [true, false, true, false, true],
            "the agent's channel, without breaks under half a second"
        );
        assert_absent(&wav.agent, CUSTOMER_HZ);
        assert_absent(&wav.customer, AGENT_HZ);
    });
}

// A10: nobody is told that nothing arrives any more.
#[test]
fn a_dead_network_is_waited_for() {
    in_a_namespace("a_dead_network_is_waited_for", async {
        let (rig, mut firefox, call) = talk().await;
        let wire = firefox.wire;
        let died = Instant::now();
        wire.die();
        customer_hears(&rig, tone::HOLD.frequency, |level| level > tone::HOLD.amplitude / 2.0)
            .await;
        let held = died.elapsed();
        tokio::time::sleep(Duration::from_secs(4).saturating_sub(died.elapsed())).await;
        wire.revive();
        let revived = Instant::now();
        customer_hears(&rig, AGENT_HZ, |level| level > LOUD).await;
        println!(
            "A10: dead: the tone after {held:?}; the agent {:?} after the network was back",
            revived.elapsed()
        );
        firefox.hears(CUSTOMER_HZ).await;
        assert_eq!(steps(&rig, &call).await, ["agent_lost", "agent_back"]);
        let died = Instant::now();
        wire.die();
        let callback = rig.callback(&call).await;
        println!("A10: dead for good: the end after {:?}", died.elapsed());
        let told = ["status", "reason", "hangup_by"].map(|key| callback.field(key).to_owned());
        assert_eq!(told, ["ANSWER", "agent_lost", "agent"], "{}", callback.text);
        wire.revive();
        firefox.says("Your connection did not come back in time.").await;
        println!("A10: the page knows of the end {:?} after it died", died.elapsed());
        check_told_once(&rig, &call, &callback);
        drop(firefox);
        rig.stop().await;
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
    firefox.hears(CUSTOMER_HZ).await;
    customer_hears(&rig, AGENT_HZ, |level| level > LOUD).await;
    let calls: serde_json::Value = rig
        .request(reqwest::Method::GET, "/calls", None)
        .await
        .json()
        .await
        .expect("a list of calls");
    let call_id = calls["calls"][0]["call_id"].as_str().expect("a call").to_owned();
    (rig, firefox, Placed { call_id, agent_number: String::new(), customer_number: number })
}

/// The agent hangs up the only call that there was; gives its recording.
async fn hang_up(rig: Rig, mut firefox: Firefox, call: Placed) -> Wav {
    firefox.click("Hang up").await;
    firefox.says("Call ended").await;
    let callback = rig.callback(&call).await;
    assert_eq!(
        (callback.field("status"), callback.field("hangup_by")),
        ("ANSWER", "agent"),
        "{}",
        callback.text
    );
    check_told_once(&rig, &call, &callback);
    let calls: serde_json::Value = rig
        .request(reqwest::Method::GET, "/calls", None)
        .await
        .json()
        .await
        .expect("a list of calls");
    assert_eq!(calls["calls"].as_array().map(Vec::len), Some(1), "{calls}");
    drop(firefox);
    rig.stop().await;
    Wav::parse(&callback.recording.expect("a recording").bytes).expect("a WAV file")
}

fn check_told_once(rig: &Rig, call: &Placed, callback: &Received) {
    assert_eq!(rig.sink.received(&call.call_id).len(), 1, "{}", callback.text);
}

/// The agent's coming and going, as the timeline tells it.
async fn steps(rig: &Rig, call: &Placed) -> Vec<String> {
    let timeline = rig.timeline(call).await;
    let kinds = timeline.iter().filter_map(|step| step["kind"].as_str());
    kinds.filter(|kind| ["agent_lost", "agent_back"].contains(kind)).map(str::to_owned).collect()
}

/// Waits until this tone is so strong in what comes to the customer from now on.
async fn customer_hears(rig: &Rig, frequency: f64, is_so: impl Fn(f64) -> bool) {
    let since = Instant::now();
    eventually(&format!("{frequency} Hz at the customer as it should be"), async || {
        let heard = rig.customer.heard_since(since);
        heard
            .windows(800)
            .step_by(160)
            .any(|window| is_so(tone::level(window, frequency)))
            .then_some(())
    })
    .await;
}
