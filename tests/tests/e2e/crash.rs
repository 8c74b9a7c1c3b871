//! `kill -9` of each process, and its ordinary end: no call is lost, none stays unfinished (S20).

use std::time::{Duration, Instant};
use tests::audio::{Wav, heard_ms};
use tests::party::{AGENT_HZ, CUSTOMER_HZ};
use tests::rig::Rig;
use tests::sipp::Phone::*;
use tests::sipp::{agent_number, customer_number};
use tests::{PATIENCE, eventually};

// S20
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_survives_the_death_of_control_api() {
    let mut rig = Rig::start().await;
    for delay_ms in [0, 1, 4, 15] {
        let call = rig.talk(Talks, HangsUp).await;
        // The phone's BYE is the end; the trace is read as fast as it grows.
        let deadline = Instant::now() + PATIENCE;
        let is_over = || {
            let messages = rig.sipp.messages_of(&call.customer_number);
            messages.iter().any(|message| message.name() == "BYE")
        };
        while !is_over() {
            assert!(Instant::now() < deadline, "the customer's phone never hung up");
            tokio::task::yield_now().await;
        }
        tokio::time::sleep(Duration::from_millis(delay_ms)).await;
        rig.stack.control_api.kill().expect("killed");
        rig.stack.control_api.restart().expect("restarted");
        let ready = format!("{}/readyz", rig.stack.admin_url);
        rig.stack.control_api.wait_for(&ready).await.expect("ready again");
        // One that was on its way at the kill comes again; its link could not answer then.
        let callback = eventually("a callback whose recording answers", async || {
            rig.sink.received(&call.call_id).into_iter().find(|one| one.recording.is_some())
        })
        .await;
        assert_eq!(
            (callback.field("status"), callback.field("hangup_by")),
            ("ANSWER", "customer"),
            "{}",
            callback.text
        );
        let recording = callback.recording.as_ref().expect("a recording that answers");
        let wav = Wav::parse(&recording.bytes).expect("a WAV file");
        assert!(heard_ms(&wav.agent, AGENT_HZ) > 300 && heard_ms(&wav.customer, CUSTOMER_HZ) > 300);
        let bodies = rig.sink.received(&call.call_id);
        assert!(bodies.iter().all(|one| one.text == bodies[0].text));
        let view = rig.call(&call).await;
        assert_eq!((&view["state"], &view["status"]), (&"ended".into(), &"ANSWER".into()));
    }
    rig.stop().await;
}

// S20
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_end_truly_when_the_edge_dies() {
    let mut rig = Rig::start().await;
    let ringing = rig.place(Rings, Talks).await;
    rig.state(&ringing, "agent_ringing").await;
    let call = rig.talk(Talks, Talks).await;
    let bridged = Instant::now();
    rig.both_hear_each_other().await;
    // Long enough for more than what a crash may cost.
    eventually("three seconds of talk", async || {
        (bridged.elapsed() > Duration::from_secs(3)).then_some(())
    })
    .await;
    rig.stack.edge.kill().expect("killed");
    let talked_s = bridged.elapsed().as_secs_f64();
    rig.stack.edge.restart().expect("restarted");
    let ready = format!("{}/readyz", rig.stack.admin_url);
    rig.stack.edge.wait_for(&ready).await.expect("ready again");
    let callback = rig.callback(&call).await;
    assert_eq!(
        (callback.field("status"), callback.field("reason")),
        ("ANSWER", "edge_restarted"),
        "{}",
        callback.text
    );
    let recording = callback.recording.as_ref().expect("a recording that answers");
    assert_eq!((recording.status, recording.content_type.as_str()), (200, "audio/wav"));
    let wav = Wav::parse(&recording.bytes).expect("a WAV file");
    println!("S20: {:.2} s recorded of {talked_s:.2} s and more", wav.duration_s());
    // Each second is given to the disk at once; when a busy disk has it is printed above, not
    // asserted.
    assert!(heard_ms(&wav.agent, AGENT_HZ) > 300 && heard_ms(&wav.customer, CUSTOMER_HZ) > 300);
    // B11
    assert_eq!(callback.body["recording_complete"], false, "{}", callback.text);
    assert!(
        callback.body["recording_written_ms"].as_u64().is_some_and(|written_ms| written_ms > 300),
        "{}",
        callback.text
    );
    let failed = rig.callback(&ringing).await;
    assert_eq!(
        (failed.field("status"), failed.field("reason")),
        ("FAILED", "system"),
        "{}",
        failed.text
    );
    // What is new works.
    let next = rig.place(Busy, Talks).await;
    assert_eq!(rig.callback(&next).await.field("status"), "FAILED");
    rig.stop().await;
}

// B10
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn phones_are_left_when_the_edge_dies() {
    let mut rig = Rig::start().await;
    let talking = rig.talk(Talks, Talks).await;
    let (party, third) = rig.add_third(&talking, "join", Talks).await;
    rig.party_state(&talking, &party, "talking").await;
    let ringing = rig.place(Talks, Rings).await;
    rig.state(&ringing, "customer_ringing").await;
    let crossing = rig.place(Talks, Crosses).await;
    rig.state(&crossing, "customer_ringing").await;
    let alone = rig.place(Rings, Talks).await;
    rig.state(&alone, "agent_ringing").await;
    let over = rig.talk(Talks, HangsUp).await;
    rig.state(&over, "ended").await;
    // Notes of the phones reach the file in their order, by a task of its own: these are the last.
    for number in [&over.agent_number, &over.customer_number] {
        eventually("a note that the phone is left", async || {
            is_noted_left(&rig, number).then_some(())
        })
        .await;
    }
    rig.stack.edge.kill().expect("killed");
    rig.stack.edge.restart().expect("restarted");
    let ready = format!("{}/readyz", rig.stack.admin_url);
    rig.stack.edge.wait_for(&ready).await.expect("ready again");

    let answered = [
        &talking.agent_number,
        &talking.customer_number,
        &third,
        &ringing.agent_number,
        &crossing.agent_number,
    ];
    for number in answered {
        rig.message(number, "200 BYE").await;
    }
    for number in [&ringing.customer_number, &alone.agent_number] {
        rig.message(number, "487 INVITE").await;
    }
    // One that answers all the same is acknowledged and hung up.
    rig.message(&crossing.customer_number, "200 BYE").await;
    let next = rig.talk(Talks, HangsUp).await;
    rig.state(&next, "ended").await;
    let farewells = |number: &str| {
        let messages = rig.sipp.messages_of(number);
        let came = messages.iter().filter(|message| {
            !message.is_sent && ["BYE", "CANCEL"].contains(&message.name().as_str())
        });
        // A repeated one is the same.
        let distinct: std::collections::BTreeSet<_> =
            came.map(|message| (message.name(), message.header("Via").to_owned())).collect();
        distinct.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    };
    for number in answered {
        assert_eq!(farewells(number), ["BYE"], "{number}");
    }
    for number in [&ringing.customer_number, &alone.agent_number] {
        assert_eq!(farewells(number), ["CANCEL"], "{number}");
        let names = tests::sipp::names(&rig.sipp.messages_of(number));
        assert!(names.ends_with(&["487 INVITE".into(), "ACK".into()]), "{names:?}");
    }
    assert_eq!(farewells(&crossing.customer_number), ["BYE", "CANCEL"]);
    let names = tests::sipp::names(&rig.sipp.messages_of(&crossing.customer_number));
    assert!(names.iter().any(|name| name == "ACK"), "{names:?}");
    assert_eq!(farewells(&over.agent_number), ["BYE"]);
    assert_eq!(farewells(&over.customer_number), [""; 0]);
    rig.stop().await;
}

/// Whether the only shard's journal has it that nothing is left to be said to this phone.
fn is_noted_left(rig: &Rig, number: &str) -> bool {
    let path = rig.stack.folder.join("recordings/.sip-edge-legs-0");
    let journal = std::fs::read_to_string(path).expect("a journal");
    // The dialog is noted last, under a key of its own.
    let is_left = || {
        let (before, after) = journal.rsplit_once(number)?;
        let (_, note) = before.rsplit_once("STANDING ")?;
        let (key, _) = note.split_once(' ')?;
        Some(after.contains(&format!("GONE {key}\n")))
    };
    is_left().unwrap_or(false)
}

// A7, A11
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_edge_drains_on_sigterm() {
    let mut rig = Rig::start().await;
    let long = rig.talk(Talks, Talks).await;
    let short = rig.place(Talks, HangsUp).await;
    rig.state(&short, "bridged").await;
    rig.stack.edge.ask_to_end().expect("SIGTERM");
    let refusal = eventually("a refusal", async || {
        let answer = rig.post(&agent_number(Busy), &customer_number(Talks)).await;
        (answer.status() == 503).then_some(answer)
    })
    .await;
    assert!(refusal.headers().contains_key("retry-after"));
    rig.both_hear_each_other().await;
    let ended = rig.callback(&short).await;
    assert_eq!(
        (ended.field("status"), ended.field("hangup_by")),
        ("ANSWER", "customer"),
        "{}",
        ended.text
    );
    // The test's edge drains for 2 s.
    let ended = rig.callback(&long).await;
    assert_eq!(
        (ended.field("status"), ended.field("hangup_by")),
        ("ANSWER", "system"),
        "{}",
        ended.text
    );
    for number in [&long.agent_number, &long.customer_number] {
        rig.message(number, "BYE").await;
    }
    let status = rig.stack.edge.ended().await.expect("an end");
    assert!(status.success(), "{status}");
    rig.stop().await;
}
