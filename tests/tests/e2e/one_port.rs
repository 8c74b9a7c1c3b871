//! Shards that share one SIP port, with a carrier that speaks from one port: the kernel brings all
//! that it says to one of them.

use std::collections::BTreeSet;
use tests::rig::Rig;
use tests::sink::Sink;
use tests::sipp::Law;
use tests::sipp::Phone::{HangsUp, Reinvites, Talks};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_of_all_shards_go_over_one_sip_port() {
    let rig = Rig::with(Sink::ok().await, Law::Mu, |spec| {
        (spec.shards, spec.one_port) = (2, true);
    })
    .await;
    let mut calls = Vec::new();
    for customer in [HangsUp, Reinvites, HangsUp, Reinvites] {
        calls.push((rig.place(Talks, customer).await, customer));
    }
    for (call, customer) in &calls {
        if *customer == Reinvites {
            rig.message(&call.customer_number, "ACK").await;
            rig.state(call, "bridged").await;
            let again = async || {
                let messages = rig.sipp.messages_of(&call.customer_number);
                let is_answer =
                    |each: &tests::sipp::Message| !each.is_sent && each.name() == "200 INVITE";
                messages.iter().any(is_answer).then_some(())
            };
            tests::eventually("the re-INVITE's answer", again).await;
            rig.hang_up(call).await;
        }
        let callback = rig.callback(call).await.body;
        assert_eq!(callback["status"], "ANSWER", "{callback}");
    }
    let messages = rig.sipp.messages();
    let invites = messages.iter().filter(|each| !each.is_sent && each.name() == "INVITE");
    let (mut sent_by, mut shards) = (BTreeSet::new(), BTreeSet::new());
    for invite in invites {
        sent_by.insert(invite.header("Via").split(';').next().unwrap_or_default().to_owned());
        shards.insert(invite.header("Call-ID").split('-').next().unwrap_or_default().to_owned());
    }
    assert_eq!(sent_by.len(), 1, "{sent_by:?}");
    assert_eq!(shards.len(), 2, "{shards:?}");
    let handed = async || {
        let count = rig.metric("control_api_edge_events_total", "sip_handed_over").await;
        (count > 0.0).then_some(())
    };
    tests::eventually("messages are handed over", handed).await;
    rig.stop().await;
}
