//! Mid-call control by REST: who hears whom at each step, by tones (S13, S19, S33, A10).

use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tests::audio::{Wav, assert_absent, heard_ms};
use tests::eventually;
use tests::party::{AGENT_HZ, CUSTOMER_HZ, SUPERVISOR_HZ, THIRD_HZ};
use tests::rig::{Placed, Rig};
use tests::sink::{Received, Sink};
use tests::sipp::Phone::*;
use tests::sipp::{Law, Message, TRANSFER_TARGET, supervisor_number, third_number};

/// Directions that the phone of this number was offered inside its dialog.
fn offered_directions(rig: &Rig, number: &str) -> Vec<&'static str> {
    let messages = rig.sipp.messages_of(number);
    let again =
        messages.iter().filter(|message| !message.is_sent && message.name() == "INVITE").skip(1);
    again.map(Message::direction).collect()
}

fn is_gone(rig: &Rig, number: &str) -> bool {
    rig.sipp.messages_of(number).iter().any(|message| message.name() == "BYE")
}

/// What the final callback says of the only participant.
fn participant(callback: &Received) -> &Value {
    let all = callback.body["participants"].as_array().expect("participants");
    assert_eq!(all.len(), 1, "{}", callback.text);
    &all[0]
}

async fn ends(rig: &Rig, call: &Placed) -> Received {
    rig.hang_up(call).await;
    rig.callback(call).await
}

// S13, S19: the whole of a warm transfer's way, with every side hearing what it should and nothing
// else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consultation_is_private_can_be_swapped_and_merged() {
    let rig = Rig::start().await;
    let call = rig.talk(Talks, Talks).await;
    rig.both_hear_each_other().await;

    let (third, number) = rig.add_third(&call, "consult", Talks).await;
    rig.let_speak(&number, &rig.third).await;
    rig.party_state(&call, &third, "consulting").await;
    let since = Instant::now() + Duration::from_millis(60);
    rig.hears(&rig.agent, &[THIRD_HZ]).await;
    rig.hears(&rig.third, &[AGENT_HZ]).await;
    rig.hears(&rig.customer, &[]).await;
    rig.heard_nothing_of(&rig.customer, &[AGENT_HZ, THIRD_HZ], since);
    rig.heard_nothing_of(&rig.agent, &[CUSTOMER_HZ], since);
    rig.refuses(
        &call,
        "participants",
        Some(json!({ "to_number": third_number(Talks), "flow": "join" })),
        (409, "transfer_running"),
    )
    .await;

    rig.does(&call, "swap", None).await;
    rig.hears(&rig.agent, &[CUSTOMER_HZ]).await;
    rig.hears(&rig.customer, &[AGENT_HZ]).await;
    rig.hears(&rig.third, &[]).await;
    rig.does(&call, "swap", None).await;
    rig.hears(&rig.agent, &[THIRD_HZ]).await;

    rig.does(&call, "merge", None).await;
    rig.hears(&rig.agent, &[CUSTOMER_HZ, THIRD_HZ]).await;
    rig.hears(&rig.customer, &[AGENT_HZ, THIRD_HZ]).await;
    rig.hears(&rig.third, &[AGENT_HZ, CUSTOMER_HZ]).await;

    let answer = rig
        .request(Method::DELETE, &format!("/calls/{}/participants/{third}", call.call_id), None)
        .await;
    assert_eq!(answer.status(), 200);
    rig.both_hear_each_other().await;
    rig.hears(&rig.agent, &[CUSTOMER_HZ]).await;
    rig.hears(&rig.customer, &[AGENT_HZ]).await;
    eventually("the third party's BYE", async || is_gone(&rig, &number).then_some(())).await;
    for party in [&rig.agent, &rig.customer, &rig.third] {
        assert_eq!(
            party.continuity(),
            (1, 0),
            "sources, and packets missing, at port {}",
            party.port
        );
    }
    assert_eq!(offered_directions(&rig, &call.customer_number).first(), Some(&"sendonly"));
    assert_eq!(offered_directions(&rig, &call.customer_number).last(), Some(&"sendrecv"));

    let callback = ends(&rig, &call).await;
    assert_eq!(
        (callback.field("status"), callback.field("hangup_by")),
        ("ANSWER", "api"),
        "{}",
        callback.text
    );
    assert_eq!(participant(&callback)["reason"], "removed");
    assert_eq!(participant(&callback)["number"], format!("+91{number}"));
    let wav =
        Wav::parse(&callback.recording.as_ref().expect("a recording").bytes).expect("a WAV file");
    let duration = callback.body["duration"].as_f64().expect("seconds");
    assert!(
        (duration - 0.5..duration + 1.5).contains(&wav.duration_s()),
        "{} s of {duration} s",
        wav.duration_s()
    );
    assert!(heard_ms(&wav.customer, THIRD_HZ) > 500 && heard_ms(&wav.customer, CUSTOMER_HZ) > 500);
    for other in [CUSTOMER_HZ, THIRD_HZ] {
        assert_absent(&wav.agent, other);
    }
    assert_absent(&wav.customer, AGENT_HZ);
    rig.stop().await;
}

// S13: complete, and A10 for who ends what afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_complete_customer_and_third_stay_and_one_result_comes() {
    let rig = Rig::start().await;
    for by in ["customer", "participant"] {
        let call = rig.talk(Talks, Talks).await;
        let (third, number) = rig.add_third(&call, "consult", Talks).await;
        rig.refuses(&call, "merge", None, (409, "not_answered")).await;
        rig.let_speak(&number, &rig.third).await;
        rig.party_state(&call, &third, "consulting").await;
        rig.does(&call, "complete", None).await;
        eventually("the agent's BYE", async || is_gone(&rig, &call.agent_number).then_some(()))
            .await;
        rig.hears(&rig.customer, &[THIRD_HZ]).await;
        rig.hears(&rig.third, &[CUSTOMER_HZ]).await;
        rig.refuses(&call, "swap", None, (409, "agent_gone")).await;
        rig.refuses(&call, "mute", None, (409, "agent_gone")).await;
        let leaves = if by == "customer" { "customer" } else { third.as_str() };
        let answer = rig
            .request(
                Method::DELETE,
                &format!("/calls/{}/participants/{leaves}", call.call_id),
                None,
            )
            .await;
        assert_eq!(answer.status(), 200);
        let callback = rig.callback(&call).await;
        assert_eq!(callback.field("status"), "ANSWER", "{}", callback.text);
        eventually("both are gone", async || {
            (is_gone(&rig, &call.customer_number) && is_gone(&rig, &number)).then_some(())
        })
        .await;
        assert_eq!(rig.sink.received(&call.call_id).len(), 1);
        for party in [&rig.agent, &rig.customer, &rig.third] {
            party.be_silent();
        }
    }
    rig.stop().await;
}

// S13: every failure of the third brings the customer back to the agent, who is told why.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_third_that_fails_leaves_agent_and_customer_together() {
    let rig = Rig::with(Sink::ok().await, Law::A, |spec| spec.customer_ring_s = 3).await;
    let call = rig.talk(Talks, Talks).await;
    for (flow, phone, reason) in [
        ("consult", Busy, "busy"),
        ("consult", Declines, "declined"),
        ("join", Unknown, "invalid_number"),
        ("transfer", Fails, "trunk_failed"),
        ("transfer", Busy, "busy"),
        ("consult", IsOff, "unreachable"),
        ("consult", Rings, "no_answer"),
        ("consult", HangsUp, "hung_up"),
        ("join", HangsUp, "hung_up"),
    ] {
        let (third, _) = rig.add_third(&call, flow, phone).await;
        let left = rig.party_state(&call, &third, "left").await;
        assert_eq!(left["reason"], reason, "{flow} {phone:?}");
        rig.hears(&rig.agent, &[CUSTOMER_HZ]).await;
        rig.hears(&rig.customer, &[AGENT_HZ]).await;
    }
    let (third, number) = rig.add_third(&call, "consult", Rings).await;
    rig.message(&number, "180 INVITE").await;
    rig.does(&call, "cancel", None).await;
    assert_eq!(rig.party_state(&call, &third, "left").await["reason"], "canceled");
    rig.message(&number, "CANCEL").await;
    rig.both_hear_each_other().await;
    assert_eq!(rig.sink.received(&call.call_id).len(), 0);
    let callback = ends(&rig, &call).await;
    assert_eq!(
        callback.body["participants"].as_array().map(Vec::len),
        Some(10),
        "{}",
        callback.text
    );
    rig.stop().await;
}

// S13
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blind_transfer_leaves_the_customer_with_the_third() {
    let rig = Rig::start().await;
    let call = rig.talk(Talks, Talks).await;
    let (third, number) = rig.add_third(&call, "transfer", Talks).await;
    rig.let_speak(&number, &rig.third).await;
    rig.party_state(&call, &third, "talking").await;
    eventually("the agent's BYE", async || is_gone(&rig, &call.agent_number).then_some(())).await;
    rig.hears(&rig.customer, &[THIRD_HZ]).await;
    rig.hears(&rig.third, &[CUSTOMER_HZ]).await;
    let callback = ends(&rig, &call).await;
    assert_eq!(callback.field("status"), "ANSWER");
    rig.stop().await;
}

// S19
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hold_mute_keys_and_join_have_their_effect_on_the_wire() {
    let rig = Rig::start().await;
    let ringing = rig.place(Rings, Talks).await;
    rig.state(&ringing, "agent_ringing").await;
    for verb in ["hold", "resume", "mute", "merge", "swap", "complete", "cancel"] {
        rig.refuses(&ringing, verb, None, (409, "not_talking")).await;
    }
    rig.hang_up(&ringing).await;
    rig.callback(&ringing).await;
    rig.refuses(&ringing, "hold", None, (409, "ended")).await;

    let call = rig.talk(Talks, Talks).await;
    rig.both_hear_each_other().await;
    rig.does(&call, "hold", None).await;
    rig.hears(&rig.customer, &[]).await;
    rig.hears(&rig.agent, &[]).await;
    eventually("the hold tone", async || {
        let heard = rig.customer.heard_since(Instant::now() - Duration::from_secs(5));
        heard
            .chunks_exact(800)
            .any(|piece| media_core::tone::level(piece, 480.0) > 1500.0)
            .then_some(())
    })
    .await;
    rig.refuses(&call, "hold", None, (409, "on_hold")).await;
    rig.does(&call, "resume", None).await;
    rig.both_hear_each_other().await;
    rig.refuses(&call, "resume", None, (409, "not_on_hold")).await;
    eventually("hold and resume in SDP", async || {
        (offered_directions(&rig, &call.customer_number) == ["sendonly", "sendrecv"]).then_some(())
    })
    .await;

    rig.does(&call, "mute", None).await;
    rig.hears(&rig.customer, &[]).await;
    rig.hears(&rig.agent, &[CUSTOMER_HZ]).await;
    rig.does(&call, "unmute", None).await;
    rig.does(&call, "mute", Some(json!({ "party": "customer" }))).await;
    rig.hears(&rig.agent, &[]).await;
    rig.hears(&rig.customer, &[AGENT_HZ]).await;
    rig.does(&call, "unmute", Some(json!({ "party": "customer" }))).await;
    rig.both_hear_each_other().await;

    rig.does(&call, "dtmf", Some(json!({ "digits": "1*0#" }))).await;
    eventually("four keys", async || (rig.customer.keys() == [1, 10, 0, 11]).then_some(())).await;
    assert_eq!(rig.agent.keys(), [0u8; 0]);
    rig.both_hear_each_other().await;
    for (digits, status) in [("", 422), ("12x", 422)] {
        let (answer, problem) = rig.verb(&call, "dtmf", Some(json!({ "digits": digits }))).await;
        assert_eq!(answer, status, "{problem}");
    }

    let (third, number) = rig.add_third(&call, "join", Talks).await;
    rig.let_speak(&number, &rig.third).await;
    rig.party_state(&call, &third, "talking").await;
    rig.hears(&rig.agent, &[CUSTOMER_HZ, THIRD_HZ]).await;
    rig.hears(&rig.customer, &[AGENT_HZ, THIRD_HZ]).await;
    rig.does(&call, "hold", None).await;
    rig.hears(&rig.agent, &[THIRD_HZ]).await;
    rig.hears(&rig.third, &[AGENT_HZ]).await;
    rig.hears(&rig.customer, &[]).await;
    rig.does(&call, "resume", None).await;
    rig.hears(&rig.third, &[AGENT_HZ, CUSTOMER_HZ]).await;
    for party in [&rig.agent, &rig.customer, &rig.third] {
        assert_eq!(
            party.continuity(),
            (1, 0),
            "sources, and packets missing, at port {}",
            party.port
        );
    }
    let text =
        std::fs::read_to_string(rig.stack.folder.join("sip-edge.log")).expect("the edge's log");
    assert!(!text.contains("1*0#"), "digits in the log");
    ends(&rig, &call).await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_by_info_and_transfers_by_refer_are_understood() {
    let rig = Rig::with(Sink::ok().await, Law::Mu, |spec| {
        spec.account_settings = "refer = \"transfer\"\n"
    })
    .await;
    let call = rig.talk(Keys, Talks).await;
    eventually("the key at the customer", async || (rig.customer.keys() == [5]).then_some(()))
        .await;
    ends(&rig, &call).await;

    let call = rig.talk(Refers, Talks).await;
    rig.message(&call.agent_number, "202 REFER").await;
    rig.let_speak(TRANSFER_TARGET, &rig.third).await;
    rig.hears(&rig.customer, &[THIRD_HZ]).await;
    eventually("the agent's BYE", async || is_gone(&rig, &call.agent_number).then_some(())).await;
    rig.message(&call.agent_number, "NOTIFY").await;
    ends(&rig, &call).await;
    rig.stop().await;

    let rig = Rig::start().await;
    let call = rig.talk(Refers, Talks).await;
    rig.message(&call.agent_number, "603 REFER").await;
    rig.both_hear_each_other().await;
    ends(&rig, &call).await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_supervisor_listens_whispers_and_barges() {
    let rig = Rig::start().await;
    let call = rig.talk(Talks, Talks).await;
    let number = supervisor_number(Talks);
    let body = json!({ "role": "listen", "agent_number": number });
    let view = rig.does(&call, "supervisors", Some(body)).await;
    let parties = view["conversation"]["parties"].as_array().expect("parties");
    let supervisor =
        parties.iter().find(|party| party["role"] == "supervisor").expect("a supervisor")["party"]
            .clone();
    let supervisor = supervisor.as_str().expect("a name");
    rig.let_speak(&number, &rig.supervisor).await;
    rig.party_state(&call, supervisor, "talking").await;
    let since = Instant::now();
    rig.hears(&rig.supervisor, &[AGENT_HZ, CUSTOMER_HZ]).await;
    rig.hears(&rig.agent, &[CUSTOMER_HZ]).await;
    rig.hears(&rig.customer, &[AGENT_HZ]).await;
    rig.heard_nothing_of(&rig.agent, &[SUPERVISOR_HZ], since);

    let role = async |role: &str| {
        let path = format!("/calls/{}/supervisors/{supervisor}", call.call_id);
        assert_eq!(
            rig.request(Method::PATCH, &path, Some(json!({ "role": role }))).await.status(),
            200
        );
    };
    role("whisper").await;
    rig.hears(&rig.agent, &[CUSTOMER_HZ, SUPERVISOR_HZ]).await;
    rig.hears(&rig.customer, &[AGENT_HZ]).await;
    rig.hears(&rig.supervisor, &[AGENT_HZ, CUSTOMER_HZ]).await;
    rig.heard_nothing_of(&rig.customer, &[SUPERVISOR_HZ], since);
    let whispered = ends_of_recording(&rig, &call).await;
    role("barge").await;
    rig.hears(&rig.customer, &[AGENT_HZ, SUPERVISOR_HZ]).await;
    rig.hears(&rig.agent, &[CUSTOMER_HZ, SUPERVISOR_HZ]).await;
    role("listen").await;
    rig.hears(&rig.customer, &[AGENT_HZ]).await;
    let path = format!("/calls/{}/supervisors/{supervisor}", call.call_id);
    assert_eq!(rig.request(Method::DELETE, &path, None).await.status(), 200);
    eventually("the supervisor's BYE", async || is_gone(&rig, &number).then_some(())).await;
    rig.both_hear_each_other().await;

    let callback = ends(&rig, &call).await;
    assert_eq!(callback.field("hangup_by"), "api", "{}", callback.text);
    let wav =
        Wav::parse(&callback.recording.as_ref().expect("a recording").bytes).expect("a WAV file");
    assert_absent(&wav.customer, SUPERVISOR_HZ);
    let private = &wav.agent[..(whispered * 8000.0) as usize];
    assert_absent(private, SUPERVISOR_HZ);
    assert!(heard_ms(&wav.agent, SUPERVISOR_HZ) > 300, "what was said aloud is recorded");
    rig.stop().await;
}

/// Seconds since the bridge, less a margin: how much of the recording there is by now.
async fn ends_of_recording(rig: &Rig, call: &Placed) -> f64 {
    let timeline = rig.timeline(call).await;
    let bridged =
        timeline.iter().find(|step| step["kind"] == "bridged").expect("bridged")["time"].clone();
    let format = time::format_description::well_known::Rfc3339;
    let bridged =
        time::OffsetDateTime::parse(bridged.as_str().expect("text"), &format).expect("a time");
    (time::OffsetDateTime::now_utc() - bridged).as_seconds_f64() - 0.1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_pauses_and_begins_in_the_middle() {
    let rig = Rig::start().await;
    let call = rig.talk(Talks, Talks).await;
    rig.both_hear_each_other().await;
    rig.does(&call, "recording/pause", None).await;
    let paused = Instant::now();
    rig.does(&call, "dtmf", Some(json!({ "digits": "42" }))).await;
    eventually("two keys", async || (rig.customer.keys() == [4, 2]).then_some(())).await;
    eventually("a second of silence", async || {
        (paused.elapsed() > Duration::from_secs(1)).then_some(())
    })
    .await;
    let silent_s = paused.elapsed().as_secs_f64();
    rig.does(&call, "recording/resume", None).await;
    rig.both_hear_each_other().await;
    let callback = ends(&rig, &call).await;
    let wav =
        Wav::parse(&callback.recording.as_ref().expect("a recording").bytes).expect("a WAV file");
    let duration = callback.body["duration"].as_f64().expect("seconds");
    assert!(
        (duration - 0.5..duration + 1.5).contains(&wav.duration_s()),
        "{} s of {duration} s",
        wav.duration_s()
    );
    let pause = &callback.body["recording_pauses"][0];
    let at = |key: &str| pause[key].as_f64().expect("milliseconds") / 1e3;
    assert!((at("to_ms") - at("from_ms") - silent_s).abs() < 0.5, "{pause} for {silent_s} s");
    let part = &wav.customer
        [(at("from_ms") * 8000.0) as usize + 400..(at("to_ms") * 8000.0) as usize - 400];
    assert!(part.iter().all(|sample| sample.abs() < 16), "it is not silent while it is paused");

    let body = json!({ "from_number": rig.stack.from_number,
        "to_number": tests::sipp::customer_number(Talks),
        "agent_number": tests::sipp::agent_number(Talks), "record": false });
    let answer = rig.request(Method::POST, "/calls", Some(body.clone())).await;
    let view: Value = answer.json().await.expect("JSON");
    let call = Placed {
        call_id: view["call_id"].as_str().expect("call_id").to_owned(),
        agent_number: body["agent_number"].as_str().expect("text").to_owned(),
        customer_number: body["to_number"].as_str().expect("text").to_owned(),
    };
    rig.state(&call, "bridged").await;
    rig.refuses(&call, "recording/pause", None, (409, "not_recording")).await;
    rig.let_speak(&call.agent_number, &rig.agent).await;
    rig.let_speak(&call.customer_number, &rig.customer).await;
    rig.does(&call, "recording/start", None).await;
    rig.refuses(&call, "recording/start", None, (409, "already_recording")).await;
    rig.both_hear_each_other().await;
    let callback = ends(&rig, &call).await;
    let wav =
        Wav::parse(&callback.recording.as_ref().expect("a recording").bytes).expect("a WAV file");
    assert!(heard_ms(&wav.agent, AGENT_HZ) > 300 && heard_ms(&wav.customer, CUSTOMER_HZ) > 300);
    rig.stop().await;
}

/// A second of a tone as a WAV file, as a customer would upload it.
fn wav_file(frequency: f64) -> Vec<u8> {
    let samples: Vec<u8> = (0..8000)
        .flat_map(|n| media_core::tone::Tone::steady(frequency, 10_000.0).sample(n).to_le_bytes())
        .collect();
    let len = samples.len() as u32;
    let mut file =
        [b"RIFF".as_slice(), &(36 + len).to_le_bytes(), b"WAVEfmt ", &16u32.to_le_bytes()].concat();
    for word in [1u16, 1] {
        file.extend_from_slice(&word.to_le_bytes());
    }
    for word in [8000u32, 16_000] {
        file.extend_from_slice(&word.to_le_bytes());
    }
    for word in [2u16, 16] {
        file.extend_from_slice(&word.to_le_bytes());
    }
    [file.as_slice(), b"data", &len.to_le_bytes(), &samples].concat()
}

// The account's own hold audio, and a recording with a third channel.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_has_its_own_hold_audio_and_three_channels() {
    const MUSIC_HZ: f64 = 2250.0;
    let settings = "recording_layout = \"three_channel\"\n";
    let rig = Rig::with(Sink::ok().await, Law::Mu, |spec| spec.account_settings = settings).await;
    let url = format!("{}/admin/accounts/demo/hold-audio", rig.stack.admin_url);
    let upload = reqwest::Client::new()
        .put(url)
        .bearer_auth(&rig.stack.admin_token)
        .header("content-type", "audio/wav");
    let answer = upload.body(wav_file(MUSIC_HZ)).send().await.expect("an answer");
    assert!(
        answer.status().is_success(),
        "{} {}",
        answer.status(),
        answer.text().await.unwrap_or_default()
    );
    let call = rig.talk(Talks, Talks).await;
    rig.both_hear_each_other().await;
    rig.does(&call, "hold", None).await;
    eventually("the account's hold audio", async || {
        let heard = rig.customer.heard_since(Instant::now() - Duration::from_secs(2));
        (heard_ms(&heard, MUSIC_HZ) > 500).then_some(())
    })
    .await;
    rig.does(&call, "resume", None).await;
    rig.both_hear_each_other().await;
    let (third, number) = rig.add_third(&call, "join", Talks).await;
    rig.let_speak(&number, &rig.third).await;
    rig.party_state(&call, &third, "talking").await;
    rig.hears(&rig.agent, &[CUSTOMER_HZ, THIRD_HZ]).await;
    let callback = ends(&rig, &call).await;
    let wav =
        Wav::parse(&callback.recording.as_ref().expect("a recording").bytes).expect("a WAV file");
    let own = [(&wav.agent, AGENT_HZ), (&wav.customer, CUSTOMER_HZ), (&wav.third, THIRD_HZ)];
    for (channel, tone) in own {
        assert!(heard_ms(channel, tone) > 200, "{tone} Hz in its channel");
        for (_, other) in own.iter().filter(|(_, other)| *other != tone) {
            assert_absent(channel, *other);
        }
    }
    rig.stop().await;
}

// kill -9 of control-api in each state of a conversation: the call goes on, verbs work again, one
// result comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_state_survives_the_death_of_control_api() {
    let mut rig = Rig::start().await;
    let call = rig.talk(Talks, Talks).await;
    let die = async |rig: &mut Rig| {
        rig.stack.control_api.kill().expect("killed");
        rig.stack.control_api.restart().expect("restarted");
        let ready = format!("{}/readyz", rig.stack.admin_url);
        rig.stack.control_api.wait_for(&ready).await.expect("ready again");
    };
    rig.does(&call, "hold", None).await;
    die(&mut rig).await;
    rig.party_state(&call, "customer", "on_hold").await;
    rig.hears(&rig.customer, &[]).await;
    rig.does(&call, "resume", None).await;
    rig.both_hear_each_other().await;

    rig.does(&call, "mute", None).await;
    rig.does(&call, "recording/pause", None).await;
    let body = json!({ "role": "listen", "agent_number": supervisor_number(Talks) });
    rig.does(&call, "supervisors", Some(body)).await;
    die(&mut rig).await;
    rig.hears(&rig.customer, &[]).await;
    rig.hears(&rig.supervisor, &[CUSTOMER_HZ]).await;
    let view = rig.call(&call).await;
    assert_eq!(view["conversation"]["recording"], "paused");
    rig.does(&call, "recording/resume", None).await;
    rig.does(&call, "unmute", None).await;
    rig.both_hear_each_other().await;

    let (ringing, _) = rig.add_third(&call, "transfer", Rings).await;
    rig.party_state(&call, &ringing, "ringing").await;
    die(&mut rig).await;
    rig.does(&call, "cancel", None).await;
    assert_eq!(rig.party_state(&call, &ringing, "left").await["reason"], "canceled");
    rig.both_hear_each_other().await;

    let (third, number) = rig.add_third(&call, "consult", Talks).await;
    die(&mut rig).await;
    rig.let_speak(&number, &rig.third).await;
    rig.party_state(&call, &third, "consulting").await;
    rig.hears(&rig.third, &[AGENT_HZ]).await;
    die(&mut rig).await;
    rig.does(&call, "merge", None).await;
    rig.hears(&rig.third, &[AGENT_HZ, CUSTOMER_HZ]).await;
    die(&mut rig).await;
    rig.hears(&rig.customer, &[AGENT_HZ, THIRD_HZ]).await;
    rig.does(&call, "complete", None).await;
    die(&mut rig).await;
    rig.hears(&rig.customer, &[THIRD_HZ]).await;
    let callback = ends(&rig, &call).await;
    assert_eq!(callback.field("status"), "ANSWER", "{}", callback.text);
    assert_eq!(
        callback.body["participants"][1]["number"],
        format!("+91{number}"),
        "{}",
        callback.text
    );
    rig.stop().await;
}

// Every step of a call as server-sent events and, if asked for, as progress callbacks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_told_and_can_be_resumed() {
    let settings = "progress_events = [\"bridged\", \"held\", \"participant\"]\n";
    let rig = Rig::with(Sink::ok().await, Law::Mu, |spec| spec.account_settings = settings).await;
    let mut stream = rig.request(Method::GET, "/events", None).await;
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let call = rig.talk(Talks, Talks).await;
    rig.does(&call, "hold", None).await;
    rig.does(&call, "resume", None).await;
    let (third, _) = rig.add_third(&call, "join", Busy).await;
    rig.party_state(&call, &third, "left").await;
    let callback = {
        rig.hang_up(&call).await;
        eventually("the result", async || {
            rig.sink.received(&call.call_id).into_iter().find(|one| one.body.get("event").is_none())
        })
        .await
    };
    assert!(callback.body.get("sequence").is_none(), "{}", callback.text);
    let mut text = String::new();
    while !text.contains("event: ended") {
        let piece = tokio::time::timeout(tests::PATIENCE, stream.chunk())
            .await
            .expect("an event in time")
            .expect("a stream");
        text.push_str(std::str::from_utf8(&piece.expect("more")).expect("text"));
    }
    let words: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    let mut rest = words.iter();
    for word in [
        "initiated",
        "agent_answered",
        "bridged",
        "held",
        "resumed",
        "participant.dialing",
        "participant.left",
        "ended",
    ] {
        assert!(rest.any(|other| *other == word), "{word} in its place in {words:?}");
    }
    let ids: Vec<u64> =
        text.lines().filter_map(|line| line.strip_prefix("id: ")?.parse().ok()).collect();
    assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
    let held = ids[words.iter().position(|word| *word == "held").expect("held")];
    let path = format!("/calls/{}/events?last_event_id={held}", call.call_id);
    let mut again = rig.request(Method::GET, &path, None).await;
    let piece = tokio::time::timeout(tests::PATIENCE, again.chunk())
        .await
        .expect("in time")
        .expect("a stream")
        .expect("more");
    let first = std::str::from_utf8(&piece).expect("text");
    let first = first.lines().find_map(|line| line.strip_prefix("event: ")).expect("an event");
    assert_eq!(first, "resumed");

    let progress = eventually("four steps pushed", async || {
        let all = rig.sink.received(&call.call_id);
        let steps: Vec<_> = all.into_iter().filter(|one| one.body.get("event").is_some()).collect();
        (steps.len() >= 4).then_some(steps)
    })
    .await;
    let mut told: Vec<(u64, String)> = progress
        .iter()
        .map(|one| {
            (one.body["sequence"].as_u64().expect("a number"), one.field("event").to_owned())
        })
        .collect();
    told.sort();
    let words: Vec<&str> = told.iter().map(|(_, word)| word.as_str()).collect();
    assert_eq!(words, ["bridged", "held", "participant.dialing", "participant.left"]);
    rig.stop().await;
}
