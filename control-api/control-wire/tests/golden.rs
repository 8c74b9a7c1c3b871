//! The link's messages as bytes: what a peer of version 2 sent is still understood, and what is sent now is the same to the letter.

use control_wire::*;
use std::collections::BTreeMap;

#[track_caller]
fn check<M: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug>(golden: &str, message: M) {
    assert_eq!(serde_json::to_string(&message).expect("serialises"), golden.trim_end());
    assert_eq!(serde_json::from_str::<M>(golden).expect("parses"), message);
}

fn route() -> Route {
    Route {
        trunk: "carrier".into(),
        transport: TransportKind::Udp,
        address: "192.0.2.7:5060".parse().expect("an address"),
        domain: "sip.example.net".into(),
        request_user: "+919876543210".into(),
        caller_id: "+918045670001".into(),
        credentials: Some(DigestCredentials { username: "dialer".into(), password: "s3cret".into() }),
        media: MediaProfile::SdesSrtp,
    }
}

fn status() -> ShardStatus {
    ShardStatus {
        draining: false,
        call_count: 2,
        call_capacity: 1000,
        free_port_pairs: 1996,
        counters: BTreeMap::from([("replay".into(), 3)]),
    }
}

fn grant() -> SoftphoneGrant {
    SoftphoneGrant { agent: "a1".into(), password: "s3cret".into(), expires_at_ms: 1_782_900_000_000 }
}

#[test]
fn hello() {
    let hello = Hello {
        version: 2,
        edge: "edge-1".into(),
        epoch: 7,
        shard: 0,
        live_calls: vec!["c1".into()],
        status: status(),
        softphone_service: Some(SoftphoneService { url: "wss://edge.example:8443/".into(), domain: "dialer.invalid".into() }),
        softphones: vec!["a1".into()],
    };
    check(include_str!("golden/hello.json"), FromEdge::Hello(hello));
}

#[test]
fn place_call() {
    let agent = AgentTarget::Phone(Destination { ring_ms: 30_000, routes: vec![route()] });
    let customer = Destination {
        ring_ms: 45_000,
        routes: vec![Route { transport: TransportKind::Tcp, media: MediaProfile::Rtp, credentials: None, ..route() }],
    };
    let call = PlaceCall {
        call_id: "c1".into(),
        account_id: "demo".into(),
        agent,
        customer,
        max_duration_ms: 14_400_000,
        no_media_ms: 30_000,
        recording: Some("crm_x.wav".into()),
    };
    check(include_str!("golden/place_call.json"), ToEdge::Command { id: 9, command: Command::PlaceCall(Box::new(call)) });
}

#[test]
fn milestone() {
    let milestone = Milestone {
        call_id: "c1".into(),
        sequence: 4,
        at_ms: 1_782_900_000_123,
        leg: Some(LegName::Customer),
        kind: "ringing".into(),
        sip_code: Some(180),
        trunk: None,
        detail: None,
    };
    check(include_str!("golden/milestone.json"), FromEdge::Event { id: 5, event: Event::Milestone(milestone) });
}

#[test]
fn ended() {
    let ended = Ended {
        call_id: "c1".into(),
        status: CallStatus::NoAnswer,
        reason: Some("no_answer".into()),
        failed_leg: Some(LegName::Customer),
        sip_code: Some(487),
        hangup_by: Some(HangupBy::System),
        answered_at_ms: None,
        ended_at_ms: 1_782_900_045_000,
        duration_s: 0,
        attempts: vec![Attempt {
            leg: LegName::Customer,
            trunk: "carrier".into(),
            started_at_ms: 1_782_900_000_000,
            ended_at_ms: 1_782_900_045_000,
            sip_code: Some(487),
            result: "no_answer".into(),
        }],
        recording: Some(RecordingResult { file_name: "crm_x.wav".into(), duration_ms: 1500, file_len: 48_044 }),
        agent_media: Some(LegMedia { received_count: 100, sent_count: 99, lost_count: 1, jitter_ms: 0.5 }),
        customer_media: None,
    };
    check(include_str!("golden/ended.json"), FromEdge::Event { id: 6, event: Event::Ended(Box::new(ended)) });
}

#[test]
fn short_messages() {
    check(r#"{"ack":{"command_id":9}}"#, FromEdge::Ack { command_id: 9 });
    check(r#"{"ack":{"event_id":5}}"#, ToEdge::Ack { event_id: 5 });
    check(r#"{"welcome":{"version":2}}"#, ToEdge::Welcome { version: 2 });
    check(r#"{"refused":{"reason":"version 3"}}"#, ToEdge::Refused { reason: "version 3".into() });
    check(
        r#"{"command":{"id":3,"command":{"hang_up":{"call_id":"c1"}}}}"#,
        ToEdge::Command { id: 3, command: Command::HangUp { call_id: "c1".into() } },
    );
    check(
        r#"{"command":{"id":4,"command":{"grant_softphone":{"agent":"a1","password":"s3cret","expires_at_ms":1782900000000}}}}"#,
        ToEdge::Command { id: 4, command: Command::GrantSoftphone(grant()) },
    );
    check(
        r#"{"command":{"id":5,"command":{"revoke_softphone":{"agent":"a1"}}}}"#,
        ToEdge::Command { id: 5, command: Command::RevokeSoftphone { agent: "a1".into() } },
    );
    check(r#"{"presence":{"agent":"a1","online":true}}"#, FromEdge::Presence(Presence { agent: "a1".into(), online: true }));
    check(r#"{"softphone":{"agent":"a1","ring_ms":15000}}"#, AgentTarget::Softphone { agent: "a1".into(), ring_ms: 15_000 });
}

#[test]
fn credentials_do_not_print_their_password() {
    assert!(!format!("{:?}", route()).contains("s3cret"));
    assert!(!format!("{:?}", grant()).contains("s3cret"));
}
