//! Trunks that ask for a registration, and the way on when a trunk fails: with Kamailio as the
//! carrier, and SIPp as its phones.

use loadtest::children::{Trunk, free_address};
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr};
use tests::eventually;
use tests::kamailio::{Kamailio, PASSWORD, USERNAME};
use tests::rig::Rig;
use tests::sink::Sink;
use tests::sipp::Law;
use tests::sipp::Phone::{Fails, HangsUp, Talks};

/// A stack whose first trunk is at `carrier`, and whose second has the phones itself.
async fn with_carrier(carrier: Option<SocketAddr>) -> Rig {
    Rig::with(Sink::ok().await, Law::Mu, |spec| {
        spec.backup = Some(Trunk { address: spec.carrier, transport: "udp", media: "rtp" });
        spec.carrier = carrier.unwrap_or(spec.carrier);
    })
    .await
}

async fn admin(rig: &Rig, settings: Option<Value>) -> Value {
    let url = format!("{}/admin/trunks/carrier", rig.stack.admin_url);
    let client = reqwest::Client::new();
    let request = match settings {
        Some(settings) => client.put(url).json(&settings),
        None => client.get(url),
    };
    let answer = request.bearer_auth(&rig.stack.admin_token).send().await.expect("an answer");
    assert!(answer.status().is_success(), "{}", answer.status());
    answer.json().await.expect("JSON")
}

/// Waits until the first trunk stands so with the edge's shard.
async fn stands(rig: &Rig, what: &str, is_so: impl Fn(&Value) -> bool) {
    eventually(what, async || {
        let state = admin(rig, None).await["state"].as_array()?.clone();
        state.first().is_some_and(&is_so).then_some(())
    })
    .await;
}

/// Trunk and result of each attempt of a leg.
fn attempts(callback: &Value, leg: &str) -> Vec<(String, String)> {
    let word = |attempt: &Value, key: &str| attempt[key].as_str().unwrap_or_default().to_owned();
    let all = callback["attempts"].as_array().expect("attempts");
    all.iter()
        .filter(|attempt| attempt["leg"] == leg)
        .map(|attempt| (word(attempt, "trunk"), word(attempt, "result")))
        .collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(trunk, result)| (trunk.to_string(), result.to_string())).collect()
}

// S07, S43
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registered_trunk_carries_calls_and_the_next_one_when_its_registrar_dies() {
    let address = free_address((Ipv4Addr::LOCALHOST, 0).into()).expect("a port");
    let rig = with_carrier(Some(address)).await;
    let kamailio = Kamailio::start(address, rig.sipp.address);
    // A wrong password is told with the carrier's own code.
    let wrong = json!({ "register_s": 60, "username": USERNAME, "password": "wrong" });
    admin(&rig, Some(wrong)).await;
    stands(&rig, "refused", |state| state["registered"] == false && state["sip_code"] == 401).await;
    // The right one is taken without a restart.
    admin(&rig, Some(json!({ "password": PASSWORD }))).await;
    let registered = |state: &Value| state["registered"] == true && state["sip_code"].is_null();
    stands(&rig, "registered", registered).await;

    let call = rig.place(Talks, Talks).await;
    rig.state(&call, "bridged").await;
    rig.hang_up(&call).await;
    let callback = rig.callback(&call).await.body;
    assert_eq!(callback["status"], "ANSWER", "{callback}");
    for leg in ["agent", "customer"] {
        assert_eq!(attempts(&callback, leg), pairs(&[("carrier", "answered")]), "{callback}");
    }
    for number in [&call.agent_number, &call.customer_number] {
        rig.message(number, "200 BYE").await;
    }
    let (invite, _) = rig.message(&call.customer_number, "INVITE").await;
    assert!(invite.header("Record-Route").contains(&address.to_string()), "it came by Kamailio");

    drop(kamailio);
    stands(&rig, "expired", |state| state["registered"] == false).await;
    let call = rig.place(Talks, HangsUp).await;
    let callback = rig.callback(&call).await.body;
    assert_eq!(callback["status"], "ANSWER", "{callback}");
    for leg in ["agent", "customer"] {
        let tried = [("carrier", "trunk_unregistered"), ("backup", "answered")];
        assert_eq!(attempts(&callback, leg), pairs(&tried), "{callback}");
    }
    rig.stop().await;
}

// A11
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trunk_that_fails_a_call_is_followed_by_the_next_at_once() {
    let rig = with_carrier(None).await;
    let call = rig.place(Talks, Fails).await;
    let callback = rig.callback(&call).await.body;
    let tried = [("carrier", "trunk_failed"), ("backup", "trunk_failed")];
    assert_eq!(attempts(&callback, "customer"), pairs(&tried), "{callback}");
    let messages = rig.sipp.messages();
    let refused = messages.iter().position(|message| {
        message.is_sent
            && message.target() == "503"
            && message.header("To").contains(&call.customer_number)
    });
    let refused = refused.expect("the first trunk's refusal");
    let next = messages[refused..].iter().find(|one| one.is_invite_of(&call.customer_number));
    let next = next.expect("the next trunk's INVITE comes after it");
    println!(
        "from the 503 to the next INVITE: {:.1} ms",
        (next.at_s - messages[refused].at_s) * 1000.0
    );
    rig.stop().await;
}
