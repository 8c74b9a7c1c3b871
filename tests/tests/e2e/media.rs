//! What the parties hear and what is recorded (S08, S12, S15, S17, S34, S41), also while others
//! send rubbish to the edge.

use media_core::tone;
use reqwest::Method;
use serde_json::json;
use std::io::Write;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Instant;
use tests::audio::{Wav, assert_absent, heard_ms};
use tests::eventually;
use tests::party::{AGENT_HZ, CUSTOMER_HZ};
use tests::rig::{Placed, Rig};
use tests::sink::{Received, Sink};
use tests::sipp::Phone::*;
use tests::sipp::{Law, agent_number, customer_number};

// S12, S15, S17, S34, S41
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tones_pass_both_ways_and_into_their_own_channel() {
    let (mu, a) = tokio::join!(Rig::start(), Rig::with(Sink::ok().await, Law::A, |_| {}));
    tokio::join!(check_tones(mu), check_tones(a));
}

// S12, over IPv6
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tones_pass_over_ipv6() {
    let ip = std::net::Ipv6Addr::LOCALHOST.into();
    check_tones(Rig::at(ip, Sink::ok().await, Law::Mu, |spec| spec.edge_address = ip).await).await;
}

async fn check_tones(rig: Rig) {
    let call = rig.talk(Talks, Reinvites).await;
    let bridged = Instant::now();
    rig.both_hear_each_other().await;
    println!("S12: both tones heard {:?} after the bridge was reported", bridged.elapsed());
    rig.message(&call.customer_number, "200 INVITE").await;
    rig.message(&call.customer_number, "ACK").await;
    eventually("the customer's INVITE inside the dialog", async || {
        let messages = rig.sipp.messages_of(&call.customer_number);
        messages.iter().any(|message| message.name() == "INVITE" && message.is_sent).then_some(())
    })
    .await;
    rig.both_hear_each_other().await;
    let since = Instant::now();
    rig.both_hear_each_other().await;
    for (party, own) in [(&rig.agent, AGENT_HZ), (&rig.customer, CUSTOMER_HZ)] {
        assert_absent(&party.heard_since(since), own);
    }
    rig.hang_up(&call).await;
    let callback = rig.callback(&call).await;
    check_recording(&callback);
    check_ranges(&rig, &callback).await;
    check_order(&rig, &call);
    rig.stop().await;
}

/// The recording could be had when the callback came, and holds each party in its channel and
/// nothing else.
fn check_recording(callback: &Received) {
    let recording = callback.recording.as_ref().expect("a recording that answers");
    assert_eq!((recording.status, recording.content_type.as_str()), (200, "audio/wav"));
    let wav = Wav::parse(&recording.bytes).expect("a WAV file");
    let duration = callback.body["duration"].as_f64().expect("seconds");
    assert!(
        (duration - 0.5..duration + 1.5).contains(&wav.duration_s()),
        "{} s of {duration} s",
        wav.duration_s()
    );
    let whole_ms = (wav.duration_s() * 1e3) as usize;
    for (channel, own, other) in
        [(&wav.agent, AGENT_HZ, CUSTOMER_HZ), (&wav.customer, CUSTOMER_HZ, AGENT_HZ)]
    {
        let heard = heard_ms(channel, own);
        println!("S34: {own} Hz in {heard} ms of {whole_ms} ms");
        // Audio that a starved machine carries too late for its place in the file is left out.
        assert!(heard * 2 > whole_ms, "{own} Hz in {heard} ms of {whole_ms} ms");
        assert_absent(channel, other);
    }
}

async fn check_ranges(rig: &Rig, callback: &Received) {
    let whole = callback.recording.as_ref().expect("a recording");
    assert_eq!(callback.body["recording_complete"], true, "{}", callback.text);
    let url = callback.field("recording_url");
    let name = url.rsplit('/').next().expect("a name");
    let token =
        name.strip_prefix("crm_").and_then(|rest| rest.strip_suffix(".wav")).expect("crm_….wav");
    assert!(token.len() >= 22, "less than 128 random bits of base64");
    let client = reqwest::Client::new();
    let part = client.get(url).header("range", "bytes=44-1043").send().await.expect("an answer");
    assert_eq!(part.status(), 206);
    assert_eq!(part.headers()["content-range"], format!("bytes 44-1043/{}", whole.bytes.len()));
    assert_eq!(part.headers()["cache-control"], "private, no-store");
    assert!(part.headers()["x-robots-tag"].to_str().expect("text").contains("noindex"));
    assert_eq!(part.bytes().await.expect("bytes"), whole.bytes[44..1044]);
    let head = client.head(url).send().await.expect("an answer");
    assert_eq!(head.status(), 200);
    assert_eq!(head.headers()["content-length"], whole.bytes.len().to_string());
    let beyond =
        client.get(url).header("range", "bytes=999999999-").send().await.expect("an answer");
    assert_eq!(beyond.status(), 416);
    let mut other = name.to_owned().into_bytes();
    other[10] = if other[10] == b'A' { b'B' } else { b'A' };
    let other = String::from_utf8(other).expect("ASCII");
    for path in [
        "",
        "/",
        &format!("/{other}"),
        "/../sip-edge.toml",
        "/%2e%2e/sip-edge.toml",
        &format!("/{name}.part"),
        &format!("/./{name}x"),
    ] {
        let answer = client
            .get(format!("{}/recordings{path}", rig.stack.api_url))
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 404, "/recordings{path}");
    }
}

/// S08, S17: the customer is dialled when the agent has answered, and sees the caller ID.
fn check_order(rig: &Rig, call: &Placed) {
    let messages = rig.sipp.messages();
    let place = |wanted: &dyn Fn(&tests::sipp::Message) -> bool| {
        messages.iter().position(wanted).expect("the message")
    };
    let agent_dialog = rig.sipp.messages_of(&call.agent_number)[0].header("Call-ID").to_owned();
    let answered = place(&|message| {
        message.name() == "200 INVITE" && message.header("Call-ID") == agent_dialog
    });
    let dialled = place(&|message| message.is_invite_of(&call.customer_number));
    assert!(answered < dialled);
    for header in ["From", "P-Asserted-Identity"] {
        let value = messages[dialled].header(header);
        assert!(value.contains(rig.stack.from_number.trim_start_matches('+')), "{header}: {value}");
    }
}

// S08, RFC 3323
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_can_withhold_its_callers_number() {
    let rig = Rig::start().await;
    let (agent, customer) = (agent_number(Talks), customer_number(Rings));
    let body = json!({ "from_number": rig.stack.from_number, "to_number": customer,
        "agent_number": agent, "hide_caller": true });
    let view: serde_json::Value =
        rig.request(Method::POST, "/calls", Some(body)).await.json().await.expect("JSON");
    rig.message(&customer, "180 INVITE").await;
    for (called, is_hidden) in [(&agent, false), (&customer, true)] {
        let messages = rig.sipp.messages_of(called);
        let invite = messages.iter().find(|message| message.is_invite_of(called)).expect("it");
        assert_eq!(invite.header("Privacy") == "id", is_hidden, "{invite:?}");
        assert_eq!(invite.header("From").contains("anonymous.invalid"), is_hidden);
        assert_eq!(invite.header("P-Asserted-Identity").is_empty(), is_hidden);
    }
    let path = format!("/calls/{}", view["call_id"].as_str().expect("call_id"));
    assert_eq!(rig.request(Method::DELETE, &path, None).await.status(), 204);
    rig.message(&customer, "CANCEL").await;
    rig.stop().await;
}

// S17
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_agent_hears_ringback_then_the_customers_early_media() {
    let rig = Rig::start().await;
    let ringing = rig.place(Talks, Rings).await;
    eventually("ringback", async || {
        let heard = rig.agent.heard_since(Instant::now() - tests::PATIENCE);
        heard.chunks_exact(1600).any(|piece| tone::level(piece, 400.0) > 4000.0).then_some(())
    })
    .await;
    rig.hang_up(&ringing).await;
    rig.callback(&ringing).await;

    let call = rig.place(Talks, Announces).await;
    let invite = rig.message(&call.customer_number, "183 INVITE").await.0;
    rig.customer.speak_to(invite.media_address().expect("an address in the offer"));
    let since = Instant::now();
    eventually("early media", async || {
        (heard_ms(&rig.agent.heard_since(since), CUSTOMER_HZ) > 200).then_some(())
    })
    .await;
    let is_answered = rig
        .sipp
        .messages_of(&call.customer_number)
        .iter()
        .any(|message| message.name() == "200 INVITE");
    assert!(!is_answered, "the announcement was heard after the answer only");
    rig.state(&call, "bridged").await;
    rig.hang_up(&call).await;
    rig.callback(&call).await;
    rig.stop().await;
}

// Bad input
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rubbish_does_not_disturb_a_call() {
    let rig = Rig::start().await;
    let call = rig.talk(Talks, Talks).await;
    rig.both_hear_each_other().await;
    let since = Instant::now();
    let invite = rig.message(&call.customer_number, "ACK").await.0;
    let media = invite.media_address().expect("an address in the offer");
    let sip: SocketAddr = sip_address(&rig);
    let stranger = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    for (n, rubbish) in rubbish(invite.header("Call-ID")).iter().enumerate() {
        stranger.send_to(rubbish, sip).expect("sent");
        stranger.send_to(rubbish, media).expect("sent");
        stranger.send_to(rubbish, (media.ip(), media.port() + 1)).expect("sent");
        if n % 50 == 0 {
            let mut stream = TcpStream::connect(sip).expect("SIP over TCP");
            // The edge may close before all is written.
            let _ = stream.write_all(rubbish);
            let _ = stream.write_all(b"\r\n\r\n");
        }
    }
    rig.both_hear_each_other().await;
    for (party, other) in [(&rig.agent, CUSTOMER_HZ), (&rig.customer, AGENT_HZ)] {
        let heard = party.heard_since(since);
        let (whole, clear) = (heard.len() / 8, heard_ms(&heard, other));
        let levels: Vec<i32> =
            heard.chunks_exact(160).map(|piece| tone::level(piece, other) as i32).collect();
        assert!(clear + 40 >= whole, "{other} Hz in {clear} ms of {whole} ms, levels {levels:?}");
    }
    let dropped = eventually("drops that are counted", async || {
        let count = rig.metric("control_api_edge_events_total", "drop").await;
        (count > 0.0).then_some(count)
    })
    .await;
    println!("bad input: {dropped} drops counted");
    let answer = rig.request(Method::GET, &format!("/calls/{}", call.call_id), None).await;
    assert_eq!(answer.status(), 200);
    rig.hang_up(&call).await;
    check_recording(&rig.callback(&call).await);
    rig.stop().await;
}

fn sip_address(rig: &Rig) -> SocketAddr {
    let config =
        std::fs::read_to_string(rig.stack.folder.join("sip-edge.toml")).expect("its configuration");
    let line = config.lines().find_map(|line| line.strip_prefix("port = ")).expect("a port");
    SocketAddr::from(([127, 0, 0, 1], line.parse().expect("a number")))
}

/// Datagrams that are no SIP, no RTP, no RTCP, or that pretend to belong to the call: the same each
/// time.
fn rubbish(call_id: &str) -> Vec<Vec<u8>> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    let request = |method: &str, tail: &str| {
        format!(
            "{method} sip:x@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKx\r\n\
                From: <sip:a@b>;tag=1\r\n\
             To: <sip:c@d>;tag=2\r\nCall-ID: {call_id}\r\nCSeq: 7 {method}\r\n{tail}"
        )
        .into_bytes()
    };
    let mut all = vec![
        Vec::new(),
        b"\r\n\r\n".to_vec(),
        request("BYE", "Content-Length: 0\r\n\r\n"),
        request("CANCEL", "Content-Length: 0\r\n\r\n"),
        request("INVITE", "Content-Type: application/sdp\r\nContent-Length: 999999\r\n\r\nv=0"),
        request("INVITE", "Content-Length: -1\r\n\r\n"),
        request("OPTIONS", "Max-Forwards: banana\r\n\r\n"),
        b"SIP/2.0 200 OK\r\n\r\n".to_vec(),
        b"SIP/2.0 99999999999 No\r\nCSeq: 1 INVITE\r\n\r\n".to_vec(),
    ];
    for n in 0..400 {
        let len = 1 + usize::from(random()) * 5;
        let mut bytes: Vec<u8> = (0..len).map(|_| random()).collect();
        match n % 4 {
            // RTP of a stranger, with other sources, padding, extensions and payload types.
            0 => bytes[0] = 0x80 | bytes[0] & 0x3F,
            1 if len > 12 => bytes[..2].copy_from_slice(&[0x80, 0x00]),
            // RTCP: a BYE for whatever source.
            2 if len > 4 => bytes[..4].copy_from_slice(&[0x81, 203, 0, 1]),
            _ => {}
        }
        all.push(bytes);
    }
    all
}
