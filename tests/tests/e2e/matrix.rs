//! How calls end: each status by each party that can cause it (S21, A11), told once; and what an
//! end leaves behind (S14).

use serde_json::{Value, json};
use std::time::Instant;
use tests::eventually;
use tests::rig::{Placed, Rig};
use tests::sink::Sink;
use tests::sipp::Phone::{self, *};
use tests::sipp::{Law, agent_number, customer_number, refusing_numbers};

/// What happens to a call besides what its phones do.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Meanwhile {
    Nothing,
    /// The API hangs up when the call stands there.
    ApiEndsIt(&'static str),
    /// The customer's audio arrives, the agent's does not.
    OnlyCustomerSpeaks,
}

struct Case {
    agent: Phone,
    customer: Phone,
    meanwhile: Meanwhile,
    /// `status`, `reason`, `failed_leg`, `hangup_by`.
    expected: [Value; 4],
    line: u32,
}

#[track_caller]
fn case(agent: Phone, customer: Phone, meanwhile: Meanwhile, expected: [Option<&str>; 4]) -> Case {
    let line = std::panic::Location::caller().line();
    Case { agent, customer, meanwhile, expected: expected.map(|word| json!(word)), line }
}

#[rustfmt::skip]
fn cases() -> Vec<Case> {
    use Meanwhile::{ApiEndsIt, Nothing, OnlyCustomerSpeaks};
    let (agent, customer, network) = (Some("agent"), Some("customer"), Some("network"));
    vec![
        // answered: ended by the agent, the customer, the API, the network (which loses media)
        case(HangsUp, Talks, Nothing, [Some("ANSWER"), None, None, agent]),
        case(Talks, HangsUp, Nothing, [Some("ANSWER"), None, None, customer]),
        case(Talks, Talks, ApiEndsIt("bridged"), [Some("ANSWER"), None, None, Some("api")]),
        case(Talks, Announces, ApiEndsIt("bridged"), [Some("ANSWER"), None, None, Some("api")]),
        case(Talks, Talks, OnlyCustomerSpeaks,
            [Some("ANSWER"), Some("no_media"), agent, Some("system")]),
        // no answer: the customer's phone is off, the network gives up, nobody lifts here or there
        case(Talks, IsOff, Nothing, [Some("NO_ANSWER"), Some("unreachable"), customer, network]),
        case(Talks, TimesOut, Nothing, [Some("NO_ANSWER"), Some("no_answer"), customer, network]),
        case(Talks, Rings, Nothing, [Some("NO_ANSWER"), Some("no_answer"), customer,
            Some("system")]),
        case(Rings, Talks, Nothing, [Some("FAILED"), Some("agent_no_answer"), agent,
            Some("system")]),
        // busy: the customer, the network says so, the agent
        case(Talks, Busy, Nothing, [Some("BUSY"), Some("busy"), customer, customer]),
        case(Talks, BusyByCause, Nothing, [Some("BUSY"), Some("busy"), customer, customer]),
        case(Talks, Declines, Nothing, [Some("BUSY"), Some("declined"), customer, customer]),
        case(Busy, Talks, Nothing, [Some("FAILED"), Some("agent_busy"), agent, agent]),
        // failed: at the agent's leg, at the customer's, by the network
        case(Unknown, Talks, Nothing, [Some("FAILED"), Some("agent_number_invalid"), agent,
            network]),
        case(Fails, Talks, Nothing, [Some("FAILED"), Some("trunk_failed"), agent, network]),
        case(Talks, Unknown, Nothing, [Some("FAILED"), Some("invalid_number"), customer, network]),
        case(Talks, Fails, Nothing, [Some("FAILED"), Some("trunk_failed"), customer, network]),
        // canceled: the agent declines, hangs up while the customer rings; the API cancels either
        // leg, also crossing the answer
        case(Declines, Talks, Nothing, [Some("CANCELED"), Some("agent_declined"), agent, agent]),
        case(HangsUp, Rings, Nothing, [Some("CANCELED"), Some("canceled"), None, agent]),
        case(Rings, Talks, ApiEndsIt("agent_ringing"),
            [Some("CANCELED"), Some("canceled"), None, Some("api")]),
        case(Talks, Rings, ApiEndsIt("customer_ringing"),
            [Some("CANCELED"), Some("canceled"), None, Some("api")]),
        case(Talks, Crosses, ApiEndsIt("customer_ringing"),
            [Some("CANCELED"), Some("canceled"), None, Some("api")]),
        case(HangsUp, Crosses, Nothing, [Some("CANCELED"), Some("canceled"), None, agent]),
    ]
}

// S21, S29, S30
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_end_is_told_once_and_truly() {
    let rig = Rig::with(Sink::ok().await, Law::Mu, |spec| {
        spec.customer_ring_s = 3;
        spec.max_calls = 40;
        spec.account_settings = "agent_ring_s = 3\nno_media_s = 6\n";
    })
    .await;
    let cases = cases();
    let mut placed = Vec::new();
    for case in &cases {
        let call = rig.place(case.agent, case.customer).await;
        match case.meanwhile {
            Meanwhile::Nothing => {}
            Meanwhile::ApiEndsIt(state) => {
                rig.state(&call, state).await;
                rig.hang_up(&call).await;
                rig.hang_up(&call).await;
            }
            Meanwhile::OnlyCustomerSpeaks => {
                let invite = rig.message(&call.customer_number, "ACK").await.0;
                rig.customer.speak_to(invite.media_address().expect("an address in the offer"));
            }
        }
        placed.push(call);
    }
    let mut wrong = Vec::new();
    for (case, call) in cases.iter().zip(&placed) {
        let callback = rig.callback(call).await;
        let told =
            ["status", "reason", "failed_leg", "hangup_by"].map(|key| callback.body[key].clone());
        if told != case.expected {
            wrong.push(format!(
                "line {}: {:?} to {:?}, {:?}: {told:?}",
                case.line, case.agent, case.customer, case.meanwhile
            ));
        }
        assert_eq!(
            callback.body["answer_time"].is_null(),
            told[0] != "ANSWER",
            "{}",
            callback.text
        );
        let dialled = !rig.sipp.messages_of(&call.customer_number).is_empty();
        assert_eq!(
            dialled,
            ![Rings, Busy, Unknown, Fails, Declines].contains(&case.agent),
            "line {}",
            case.line
        );
        assert!(told[0] == "ANSWER" || callback.body["duration"] == 0, "{}", callback.text);
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    for call in &placed {
        check_told_once(&rig, call).await;
    }
    rig.stop().await;
}

/// Codes of a refusal before any ringing, and status and reason when the customer's phone, and when
/// the agent's phone says so.
#[rustfmt::skip]
const REFUSALS: &[(&[u16], [&str; 2], [&str; 2])] = &[
    (&[600], ["BUSY", "busy"], ["FAILED", "agent_busy"]),
    (&[607], ["BUSY", "declined"], ["CANCELED", "agent_declined"]),
    (&[480], ["NO_ANSWER", "unreachable"], ["FAILED", "agent_unreachable"]),
    (&[408], ["FAILED", "trunk_timeout"], ["FAILED", "agent_unreachable"]),
    (&[404, 410, 416, 484, 485, 604], ["FAILED", "invalid_number"],
        ["FAILED", "agent_number_invalid"]),
    (&[401, 403, 407], ["FAILED", "trunk_rejected"], ["FAILED", "trunk_rejected"]),
    (&[415, 488, 606], ["FAILED", "media"], ["FAILED", "media"]),
    (&[302, 500, 502, 504], ["FAILED", "trunk_failed"], ["FAILED", "trunk_failed"]),
];

// A11
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_refusal_is_told_by_its_row() {
    let rig = Rig::with(Sink::ok().await, Law::Mu, |spec| spec.max_calls = 60).await;
    let mut placed = Vec::new();
    for (codes, of_customer, of_agent) in REFUSALS {
        for code in *codes {
            let [agent, customer] = refusing_numbers(*code);
            let call = rig.place_between(agent_number(Talks), customer).await;
            placed.push((call, *code, "customer", of_customer));
            let call = rig.place_between(agent, customer_number(Talks)).await;
            placed.push((call, *code, "agent", of_agent));
        }
    }
    let mut wrong = Vec::new();
    for (call, code, leg, expected) in placed {
        let told = rig.callback(&call).await.body;
        let words = ["status", "reason", "failed_leg"].map(|key| told[key].as_str().unwrap_or("-"));
        if words != [expected[0], expected[1], leg] || told["sip_code"] != code {
            wrong.push(format!("{code} of the {leg}: {words:?}, {}", told["sip_code"]));
        }
        let dialled = !rig.sipp.messages_of(&call.customer_number).is_empty();
        assert_eq!(dialled, leg == "customer", "{code}: no customer rings without an agent");
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    rig.stop().await;
}

/// The call's result was delivered by one attempt, and stands in the record as it was told.
async fn check_told_once(rig: &Rig, call: &Placed) {
    let attempts = eventually("a delivered callback", async || {
        let timeline = rig.timeline(call).await;
        let attempts: Vec<Value> =
            timeline.into_iter().filter(|step| step["kind"] == "callback_attempt").collect();
        attempts.last().is_some_and(|last| last["delivered"] == true).then_some(attempts)
    })
    .await;
    let received = rig.sink.received(&call.call_id);
    assert_eq!((attempts.len(), received.len()), (1, 1), "{}", received[0].text);
    let view = rig.call(call).await;
    for (key, value) in received[0].body.as_object().expect("an object") {
        assert_eq!(&view[key], value, "{key} of the record");
    }
}

// S14
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_reaches_the_other_leg_and_leaves_nothing() {
    let rig = Rig::start().await;
    let first = rig.place(Talks, HangsUp).await;
    rig.callback(&first).await;
    let idle = settled(&rig).await;
    let (mut byes, mut cancels) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        let calls = [
            rig.place(Talks, HangsUp).await,
            rig.place(HangsUp, Talks).await,
            rig.place(HangsUp, Rings).await,
            rig.place(Busy, Talks).await,
        ];
        for call in &calls {
            rig.callback(call).await;
        }
        byes.push(
            check_follows(&rig, &calls[0].customer_number, "BYE", &calls[0].agent_number, "BYE")
                .await,
        );
        byes.push(
            check_follows(&rig, &calls[1].agent_number, "BYE", &calls[1].customer_number, "BYE")
                .await,
        );
        cancels.push(
            check_follows(&rig, &calls[2].agent_number, "BYE", &calls[2].customer_number, "CANCEL")
                .await,
        );
    }
    println!("S14: BYE to BYE in ms: {byes:.1?}, BYE to CANCEL in ms: {cancels:.1?}");
    let since = Instant::now();
    eventually("as many ports, dialogs and descriptors as before the calls", async || {
        let now = settled(&rig).await;
        (now.0 >= idle.0 && now.1 <= idle.1 && now.2 <= idle.2).then_some(())
    })
    .await;
    println!("S14: all given back after {:?} at most", since.elapsed());
    rig.stop().await;
}

/// Free port pairs, calls and open descriptors of the edge once it has no call.
async fn settled(rig: &Rig) -> (f64, f64, usize) {
    eventually("no call on the edge", async || {
        (rig.metric("control_api_edge_calls", "").await == 0.0).then_some(())
    })
    .await;
    let ports = rig.metric("control_api_edge_free_port_pairs", "").await;
    (
        ports,
        rig.metric("control_api_calls_live", "").await,
        rig.stack.edge_usage().expect("/proc").fd_count,
    )
}

/// One phone sent a message, and upon it the other received one; milliseconds between them.
async fn check_follows(rig: &Rig, from: &str, sent: &str, to: &str, received: &str) -> f64 {
    let cause = rig.message(from, sent).await.1;
    let effect = rig.message(to, received).await.1;
    assert!(cause.is_sent && !effect.is_sent && cause.at_s <= effect.at_s, "{cause:?} {effect:?}");
    (effect.at_s - cause.at_s) * 1e3
}
