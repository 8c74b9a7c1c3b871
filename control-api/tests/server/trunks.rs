//! Trunks that shards register with and probe, what they tell of them, and which trunk a call is
//! offered to.

use crate::rig::{Rig, Shard, guide_call, hello};
use control_wire::{
    AgentTarget, FromEdge, Hello, PlaceCall, Registration, RegistrationFault, TrunkState,
};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{sleep, timeout};

const CARRIER: &str = "/admin/trunks/carrier";

/// A shard that keeps trunks, and has been told of the one that is neither registered with nor
/// probed.
async fn keeper(rig: &Rig, epoch: u64) -> Shard {
    let mut shard = rig.greet(Hello { keeps_trunks: true, ..hello(epoch, &[]) }).await;
    let [kept] = shard.expect_trunks().await.try_into().unwrap();
    assert_eq!(
        (kept.trunk.as_str(), kept.register_s, kept.probe_interval_s),
        ("carrier", None, None)
    );
    shard
}

async fn set(rig: &Rig, trunk: &str, settings: Value) {
    let answer = rig.admin_json(Method::PUT, &format!("/admin/trunks/{trunk}"), settings).await;
    assert!(answer.status.is_success(), "{}", answer.json());
}

/// A further trunk of the account, at another address, with these settings.
async fn add(rig: &Rig, trunk: &str, host: &str, settings: Value) {
    let mut all = json!({ "host": host, "transport": "udp", "media": "rtp",
        "allow_plaintext": true });
    all.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    set(rig, trunk, all).await;
    rig.change_account(|account| account.trunks.push(trunk.into()));
}

fn state(registration: Option<Registration>) -> TrunkState {
    TrunkState {
        trunk: "carrier".into(),
        registration,
        reachable: Some(true),
        breaker_open: false,
        lacks_interface: false,
    }
}

/// Waits until the only shard's state of the trunk is of this kind.
async fn state_of(rig: &Rig, is_so: impl Fn(&Value) -> bool) -> Value {
    let wait = async {
        loop {
            let trunk = rig.admin(Method::GET, CARRIER).await.expect(200).json();
            if is_so(&trunk["state"]) {
                return trunk["state"].clone();
            }
            sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(Duration::from_secs(10), wait).await.expect("the state never became so")
}

async fn metric(rig: &Rig, line: &str) -> bool {
    let text = String::from_utf8(rig.operator("/metrics").await.body.to_vec()).unwrap();
    text.lines().any(|each| each == line)
}

#[tokio::test]
async fn shards_keep_the_trunks_and_hear_of_each_change() {
    let rig = Rig::start().await;
    let mut shard = keeper(&rig, 1).await;
    let first = json!({ "register_s": 300, "username": "u", "password": "p1" });
    set(&rig, "carrier", first).await;
    let [kept] = shard.expect_trunks().await.try_into().unwrap();
    assert_eq!((kept.trunk.as_str(), kept.domain.as_str()), ("carrier", "127.0.0.1"));
    assert_eq!(kept.addresses, ["127.0.0.1:5060".parse().unwrap()]);
    assert_eq!((kept.register_s, kept.probe_interval_s), (Some(300), None));
    let password = |kept: &control_wire::KeptTrunk| kept.credentials.clone().unwrap().password;
    assert_eq!(password(&kept), "p1");
    // Live, without a restart.
    set(&rig, "carrier", json!({ "password": "p2", "probe_interval_s": 30, "port": 5070 })).await;
    let [kept] = shard.expect_trunks().await.try_into().unwrap();
    assert_eq!((password(&kept).as_str(), kept.probe_interval_s), ("p2", Some(30)));
    assert_eq!(kept.addresses, ["127.0.0.1:5070".parse().unwrap()]);
    // What changes nothing for the shards is not told; a shard that comes back hears all.
    set(&rig, "carrier", json!({ "max_calls": 7 })).await;
    drop(shard);
    let mut shard = rig.greet(Hello { keeps_trunks: true, ..hello(1, &[]) }).await;
    assert_eq!(shard.expect_trunks().await, [kept]);
    set(&rig, "carrier", json!({ "register_s": 0, "probe_interval_s": 0 })).await;
    let [kept] = shard.expect_trunks().await.try_into().unwrap();
    assert_eq!((kept.register_s, kept.probe_interval_s), (None, None));
    // An edge of the former release is asked for nothing of it.
    drop(shard);
    set(&rig, "carrier", json!({ "register_s": 60 })).await;
    let mut former = rig.shard(2, &[]).await;
    rig.place(&mut former).await;
}

#[tokio::test]
async fn how_a_trunk_stands_is_shown_for_each_shard() {
    let rig = Rig::start().await;
    let mut shard = keeper(&rig, 1).await;
    assert_eq!(rig.admin(Method::GET, CARRIER).await.expect(200).json()["state"], json!([]));
    let fault = RegistrationFault { sip_code: Some(403), detail: "forbidden".into() };
    let refused = Registration { until_ms: None, fault: Some(fault) };
    shard.write(&FromEdge::Trunk(state(Some(refused)))).await;
    let told = state_of(&rig, |state| state[0]["registered"] == false).await;
    let expected = json!([{ "edge": "edge-1", "shard": 0, "registered": false,
        "registered_until": null, "sip_code": 403, "detail": "forbidden", "reachable": true,
        "breaker_open": false, "lacks_interface": false }]);
    assert_eq!(told, expected);
    let labels = r#"{edge="edge-1",shard="0",trunk="carrier"}"#;
    for (name, value) in [("registered", 0), ("reachable", 1), ("breaker_open", 0)] {
        let line = format!("control_api_edge_trunk_{name}{labels} {value}");
        assert!(metric(&rig, &line).await, "{line}");
    }
    let until_ms = Some(4_102_444_800_000);
    let holds = Registration { until_ms, fault: None };
    shard.write(&FromEdge::Trunk(TrunkState { breaker_open: true, ..state(Some(holds)) })).await;
    let told = state_of(&rig, |state| state[0]["registered"] == true).await;
    assert_eq!(told[0]["registered_until"], "2100-01-01T00:00:00Z");
    assert_eq!((&told[0]["sip_code"], &told[0]["breaker_open"]), (&json!(null), &json!(true)));
    assert!(metric(&rig, &format!("control_api_edge_trunk_registered{labels} 1")).await);
    // Of a shard that is away, and of one that has nothing to tell, nothing is shown.
    let nothing = TrunkState { reachable: None, ..state(None) };
    shard.write(&FromEdge::Trunk(nothing)).await;
    state_of(&rig, |state| *state == json!([])).await;
    shard.write(&FromEdge::Trunk(state(None))).await;
    state_of(&rig, |state| state[0]["reachable"] == true).await;
    drop(shard);
    state_of(&rig, |state| *state == json!([])).await;
}

/// The trunks of the customer's leg, of the agent's, and those that are skipped, of the call that
/// is placed next.
async fn placed(rig: &Rig, shard: &mut Shard) -> [Vec<String>; 3] {
    let (_, place) = rig.place(shard).await;
    let PlaceCall { agent: AgentTarget::Phone(agent), customer, .. } = place else {
        panic!("a phone")
    };
    let trunks = |destination: &control_wire::Destination| {
        destination.routes.iter().map(|route| route.trunk.to_string()).collect()
    };
    let skipped = customer.skipped.iter();
    let skipped = skipped.map(|one| format!("{} {}", one.trunk, one.reason.as_str())).collect();
    [trunks(&customer), trunks(&agent), skipped]
}

#[tokio::test]
async fn prefixes_priorities_and_rates_choose_the_trunk_of_each_leg() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    add(&rig, "early", "127.0.0.2", json!({ "priority": 0, "prefixes": ["+1"] })).await;
    set(&rig, "carrier", json!({ "priority": 1 })).await;
    assert_eq!(placed(&rig, &mut shard).await, [vec!["carrier"], vec!["carrier"], vec![]]);
    set(&rig, "early", json!({ "prefixes": [], "max_calls_per_s": 1 })).await;
    let both = || vec!["early".to_owned(), "carrier".to_owned()];
    assert_eq!(placed(&rig, &mut shard).await, [both(), both(), vec![]]);
    // The next in the same second goes over the next trunk.
    let next = placed(&rig, &mut shard).await;
    assert!(next[0] == ["carrier"] || next[0] == both(), "{next:?}");
    assert_eq!(next[0], next[1]);
    // The customer's number and the agent's are looked at apart.
    let (customer, agent) = ("+919876543210", "+919876543211");
    set(&rig, "early", json!({ "prefixes": [customer], "max_calls_per_s": 0 })).await;
    set(&rig, "carrier", json!({ "prefixes": [agent] })).await;
    assert_eq!(placed(&rig, &mut shard).await, [vec!["early"], vec!["carrier"], vec![]]);
    set(&rig, "carrier", json!({ "prefixes": ["+44"] })).await;
    rig.post_call(guide_call()).await.expect_problem(503, "no_trunk");
}

#[tokio::test]
async fn a_trunk_that_cannot_be_resolved_is_told_to_the_edge() {
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    add(&rig, "nowhere", "name.invalid", json!({})).await;
    let skipped = vec!["nowhere trunk_unresolved".to_owned()];
    assert_eq!(
        placed(&rig, &mut shard).await,
        [vec!["carrier".to_owned()], vec!["carrier".to_owned()], skipped]
    );
}
