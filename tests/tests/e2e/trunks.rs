//! Trunks that ask for a registration, that are reached over TLS and two proxies or found by DNS,
//! and the way on when a trunk fails: with Kamailio as the carrier, and SIPp as its phones.

use loadtest::children::{TlsFiles, Trunk, free_address};
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr};
use tests::authority::{Authority, Identity};
use tests::dnsmasq::{Dnsmasq, Server};
use tests::eventually;
use tests::kamailio::{Kamailio, Next, Over, PASSWORD, Takes, USERNAME};
use tests::rig::Rig;
use tests::sink::Sink;
use tests::sipp::Phone::{Fails, HangsUp, Talks};
use tests::sipp::{Law, Message};

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
    let address = free();
    let rig = with_carrier(Some(address)).await;
    let kamailio =
        Kamailio::start(address, Over::Udp, Takes::Registered, Next::Host(rig.sipp.address)).await;
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

fn free() -> SocketAddr {
    free_address((Ipv4Addr::LOCALHOST, 0).into()).expect("a port")
}

/// Where the message has come by, the last one first.
fn vias(message: &Message) -> Vec<&str> {
    message.headers("Via").collect()
}

// S42: the carrier's edge speaks TLS alone, a second proxy stands behind it, and both stay in the
// way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_tls_and_two_proxies_a_call_is_carried_and_ended_from_both_sides() {
    let authority = Authority::fresh();
    let (outer, inner) = (free(), free());
    let rig = Rig::with(Sink::ok().await, Law::Mu, |spec| {
        let Identity { certificate, private_key } = authority.issue("127.0.0.1");
        spec.tls = Some(TlsFiles { certificate, private_key, extra_roots: authority.root() });
    })
    .await;
    let identity = authority.issue("127.0.0.1");
    let _outer =
        Kamailio::start(outer, Over::Tls(&identity), Takes::Everybody, Next::Host(inner)).await;
    let _inner =
        Kamailio::start(inner, Over::Udp, Takes::Everybody, Next::Host(rig.sipp.address)).await;
    let by_tls = json!({ "transport": "tls", "port": outer.port(), "allow_plaintext": true });
    admin(&rig, Some(by_tls)).await;

    let call = rig.talk(Talks, Talks).await;
    rig.both_hear_each_other().await;
    rig.hang_up(&call).await;
    let callback = rig.callback(&call).await.body;
    assert_eq!([&callback["status"], &callback["hangup_by"]], ["ANSWER", "api"], "{callback}");
    for number in [&call.agent_number, &call.customer_number] {
        let (invite, bye) = rig.message(number, "BYE").await;
        for message in [&invite, &bye] {
            let vias = vias(message);
            let from = |at: usize| vias.get(at).copied().unwrap_or_default().to_owned();
            assert!(from(0).contains(&inner.to_string()), "{vias:?}");
            assert!(from(1).contains(&outer.to_string()), "{vias:?}");
            assert!(from(2).starts_with("SIP/2.0/TLS"), "the edge spoke TLS: {vias:?}");
        }
        rig.message(number, "200 BYE").await;
    }

    // The BYE of a phone finds the edge by the way that the INVITE came.
    let call = rig.place(Talks, HangsUp).await;
    let callback = rig.callback(&call).await.body;
    assert_eq!([&callback["status"], &callback["hangup_by"]], ["ANSWER", "customer"], "{callback}");
    rig.message(&call.customer_number, "200 BYE").await;
    rig.message(&call.agent_number, "200 BYE").await;
    rig.stop().await;
}

// RFC 3263
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_whose_first_server_is_gone_is_served_by_the_next() {
    let (gone, alive) = (free(), free());
    let servers = [Server { address: gone, priority: 10 }, Server { address: alive, priority: 20 }];
    let dns = Dnsmasq::start("_sip._tcp.carrier.test", &servers);
    let rig = Rig::with(Sink::ok().await, Law::Mu, |spec| spec.dns_servers = vec![dns.address]);
    let rig = rig.await;
    let kamailio =
        Kamailio::start(alive, Over::Tcp, Takes::Everybody, Next::Host(rig.sipp.address)).await;
    let by_name = json!({ "host": "carrier.test", "srv": true, "transport": "tcp" });
    admin(&rig, Some(by_name)).await;

    let call = rig.talk(Talks, Talks).await;
    rig.both_hear_each_other().await;
    rig.hang_up(&call).await;
    let callback = rig.callback(&call).await.body;
    assert_eq!(callback["status"], "ANSWER", "{callback}");
    let tried = [("carrier", "trunk_failed"), ("carrier", "answered")];
    assert_eq!(attempts(&callback, "customer"), pairs(&tried), "{callback}");
    let (invite, _) = rig.message(&call.customer_number, "200 BYE").await;
    assert!(vias(&invite)[0].contains(&alive.to_string()), "{:?}", vias(&invite));

    // With nobody left the result says so.
    drop(kamailio);
    let call = rig.place(Talks, Talks).await;
    let callback = rig.callback(&call).await.body;
    assert_eq!(callback["status"], "FAILED", "{callback}");
    assert_eq!(
        attempts(&callback, "agent"),
        pairs(&[("carrier", "trunk_failed"); 2]),
        "{callback}"
    );
    rig.stop().await;
}
