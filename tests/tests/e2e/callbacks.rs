//! Delivery of results to endpoints that are slow or fail (S25, S26), over HTTPS under a private
//! authority.

use reqwest::Method;
use std::time::Duration;
use tests::eventually;
use tests::rig::{Placed, Rig};
use tests::sink::{Reply, Sink};
use tests::sipp::Law;
use tests::sipp::Phone::*;

// S25
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_has_ten_seconds() {
    let (in_time, too_late) = tokio::join!(
        first_attempt(Duration::from_millis(9_900)),
        first_attempt(Duration::from_millis(10_100))
    );
    assert_eq!(in_time, (true, Some(200)), "at 9.9 s");
    assert_eq!(too_late, (false, None), "at 10.1 s");
}

/// Whether the first attempt delivered, and the status that it saw, if the first answer comes after
/// that time and others at once.
async fn first_attempt(after: Duration) -> (bool, Option<u64>) {
    for _ in 0..5 {
        let sink = Sink::https(move |_, before| Reply {
            status: 200,
            after: if before == 0 { after } else { Duration::ZERO },
        })
        .await;
        let rig = Rig::with(sink, Law::Mu, |_| {}).await;
        let call = rig.place(Busy, Talks).await;
        let first = eventually("the first attempt's end", async || {
            attempts(&rig, &call).await.into_iter().next()
        })
        .await;
        let given_after = rig.sink.answered_after().first().copied();
        rig.stop().await;
        // On a machine that is too busy to answer at the wanted moment nothing is learnt.
        if given_after.is_none_or(|given_after| given_after < after + Duration::from_millis(50)) {
            return (first["delivered"] == true, first["http_status"].as_u64());
        }
    }
    panic!("not decided: five times this machine was too busy to answer at the wanted moment");
}

async fn attempts(rig: &Rig, call: &Placed) -> Vec<serde_json::Value> {
    let timeline = rig.timeline(call).await;
    timeline.into_iter().filter(|step| step["kind"] == "callback_attempt").collect()
}

// S20, S26
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_endpoint_is_tried_four_times_also_across_a_crash() {
    let sink =
        Sink::https(|_, before| Reply::now(if before < 4 { 500 + before as u16 } else { 204 }))
            .await;
    let mut rig = Rig::with(sink, Law::Mu, |_| {}).await;
    let calls = [rig.place(Busy, Talks).await, rig.place(Declines, Talks).await];
    for count in [1, 2] {
        // In the waits of 1 s and of 2 s.
        for call in &calls {
            eventually("the failure on record", async || {
                (attempts(&rig, call).await.len() >= count).then_some(())
            })
            .await;
        }
        rig.stack.control_api.kill().expect("killed");
        rig.stack.control_api.restart().expect("restarted");
        let ready = format!("{}/readyz", rig.stack.admin_url);
        rig.stack.control_api.wait_for(&ready).await.expect("ready again");
    }
    for call in &calls {
        rig.sink.wait_for(&call.call_id, 4).await;
        let path = format!("/calls/{}/callback/redeliver", call.call_id);
        eventually("the end of all attempts", async || {
            (rig.request(Method::POST, &path, None).await.status() == 202).then_some(())
        })
        .await;
        let received = rig.sink.wait_for(&call.call_id, 5).await;
        assert!(received.iter().all(|one| one.text == received[0].text), "bodies differ");
        let waits: Vec<f64> =
            received.windows(2).map(|pair| (pair[1].at - pair[0].at).as_secs_f64()).collect();
        println!("S26: waits of {waits:.3?} s");
        for (wait, least) in waits.iter().zip([1.0, 2.0, 4.0]) {
            assert!(*wait >= least, "{waits:?}");
        }
        let numbers: Vec<_> =
            received.iter().map(|one| one.header("x-delivery-attempt").to_owned()).collect();
        assert_eq!(numbers, ["1", "2", "3", "4", "1"]);
        eventually("the delivered result", async || {
            attempts(&rig, call).await.last().filter(|last| last["delivered"] == true).cloned()
        })
        .await;
        let told: Vec<_> = attempts(&rig, call)
            .await
            .iter()
            .map(|attempt| attempt["http_status"].as_u64())
            .collect();
        assert_eq!(told, [500, 501, 502, 503, 204].map(Some));
    }
    rig.stop().await;
}
