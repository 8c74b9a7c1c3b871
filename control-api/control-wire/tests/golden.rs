//! The link's messages as bytes: what is sent is the same to the letter as at this version's first
//! release, but that what is not there is left out since.

use call_words::*;
use control_wire::*;
use std::collections::BTreeMap;

#[track_caller]
fn check<M: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug>(
    golden: &str,
    message: M,
) {
    assert_eq!(serde_json::to_string(&message).expect("serialises"), golden.trim_end());
    assert_eq!(serde_json::from_str::<M>(golden).expect("parses"), message);
}

/// Of a message that once told what is not there: it is read in that form, too.
#[track_caller]
fn check_both<M: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug>(
    golden: &str,
    with_nulls: &str,
    message: M,
) {
    assert_eq!(serde_json::from_str::<M>(with_nulls).expect("parses"), message);
    check(golden, message);
}

fn route() -> Route {
    Route {
        trunk: "carrier".into(),
        transport: TransportKind::Udp,
        address: "192.0.2.7:5060".parse().expect("an address"),
        domain: "sip.example.net".into(),
        request_user: "+919876543210".into(),
        caller_id: "+918045670001".into(),
        credentials: Some(DigestCredentials {
            username: "dialer".into(),
            password: "s3cret".into(),
        }),
        media: MediaProfile::SdesSrtp,
        signal_from: vec![],
        media_from: vec![],
        follows_redirects: false,
        hides_caller: false,
        trusted: false,
        forwarding: ForwardingHeader::None,
        interface: None,
        diverted_by: None,
        dtmf: DtmfMode::Auto,
        comfort_noise: false,
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
    SoftphoneGrant {
        agent: "a1".into(),
        password: "s3cret".into(),
        expires_at_ms: 1_782_900_000_000,
    }
}

#[test]
fn hello() {
    let hello = Hello {
        version: 4,
        edge: "edge-1".into(),
        epoch: 7,
        shard: 0,
        live_calls: vec!["c1".into()],
        status: status(),
        softphone_service: Some(SoftphoneService {
            url: "wss://edge.example:8443/".into(),
            domain: "dialer.invalid".into(),
        }),
        softphones: vec!["a1".into()],
        folders: None,
        keeps_trunks: false,
        tells_ladders: false,
        more: false,
    };
    check(include_str!("golden/hello.json"), FromEdge::Hello(hello.clone()));
    let folders = Folders {
        recordings: Folder {
            path: "/var/lib/dialer/recordings".into(),
            identity: Some((2_049, 131_074)),
        },
        hold_audio: Folder { path: "/var/lib/dialer/hold-audio".into(), identity: None },
    };
    check(
        include_str!("golden/hello_folders.json"),
        FromEdge::Hello(Hello { folders: Some(folders), ..hello.clone() }),
    );
    let keeping = include_str!("golden/hello.json")
        .trim_end()
        .replace(r#""softphones":["a1"]"#, r#""softphones":["a1"],"keeps_trunks":true"#);
    check(&keeping, FromEdge::Hello(Hello { keeps_trunks: true, ..hello.clone() }));
    let first = include_str!("golden/hello.json")
        .trim_end()
        .replace(r#""softphones":["a1"]"#, r#""softphones":["a1"],"more":true"#);
    check(&first, FromEdge::Hello(Hello { more: true, ..hello }));
    check(
        r#"{"hello_more":{"live_calls":["c2"],"softphones":["a2"],"more":false}}"#,
        FromEdge::HelloMore(HelloMore {
            live_calls: vec!["c2".into()],
            softphones: vec!["a2".into()],
            more: false,
        }),
    );
}

#[test]
fn place_call() {
    let agent =
        AgentTarget::Phone(Destination { ring_ms: 30_000, routes: vec![route()], skipped: vec![] });
    let customer = Destination {
        ring_ms: 45_000,
        routes: vec![Route {
            transport: TransportKind::Tcp,
            media: MediaProfile::Rtp,
            credentials: None,
            ..route()
        }],
        skipped: vec![],
    };
    let call = PlaceCall {
        call_id: "c1".into(),
        account_id: "demo".into(),
        agent,
        customer,
        max_duration_ms: 14_400_000,
        no_media_ms: 30_000,
        recording: Some("crm_x.wav".into()),
        recording_layout: RecordingLayout::ThreeChannel,
        hold_audio: Some("demo-0a.wav".into()),
        accepts_refer: true,
        agent_confirm: true,
        keep_ladder: false,
    };
    check_both(
        include_str!("golden/place_call.json"),
        include_str!("golden/place_call_nulls.json"),
        ToEdge::Command { id: 9, command: Command::PlaceCall(Box::new(call)) },
    );
}

#[test]
fn a_route_with_networks() {
    let (signal_from, media_from) =
        (vec!["203.0.113.0/24".into(), "192.0.2.8/32".into()], vec!["2001:db8::/32".into()]);
    check(include_str!("golden/route.json"), Route { signal_from, media_from, ..route() });
    check(
        include_str!("golden/route_redirects.json"),
        Route { follows_redirects: true, ..route() },
    );
}

#[test]
fn milestone() {
    let milestone = Milestone {
        call_id: "c1".into(),
        sequence: 4,
        at_ms: 1_782_900_000_123,
        leg: Some(LegKind::Customer),
        party: None,
        conversation: None,
        kind: "ringing".into(),
        sip_code: Some(180),
        trunk: None,
        detail: None,
    };
    check_both(
        include_str!("golden/milestone.json"),
        include_str!("golden/milestone_nulls.json"),
        FromEdge::Event { id: 5, event: Event::Milestone(milestone) },
    );
}

fn party(party: &str, role: PartyRole, state: PartyState) -> Party {
    Party {
        party: party.into(),
        role,
        state,
        muted: false,
        joining: None,
        supervisor_role: None,
        reason: None,
    }
}

fn conversation() -> Conversation {
    let participant = party("participant-1", PartyRole::Participant, PartyState::Left);
    let supervisor = party("supervisor-2", PartyRole::Supervisor, PartyState::Talking);
    Conversation {
        parties: vec![
            party("agent", PartyRole::Agent, PartyState::Consulting),
            Party { muted: true, ..party("customer", PartyRole::Customer, PartyState::OnHold) },
            Party { joining: Some(Joining::Consult), reason: Some("busy".into()), ..participant },
            Party { supervisor_role: Some(SupervisorRole::Whisper), ..supervisor },
        ],
        recording: RecordingState::Paused,
    }
}

#[test]
fn milestone_with_a_conversation() {
    let milestone = Milestone {
        call_id: "c1".into(),
        sequence: 9,
        at_ms: 1_782_900_000_123,
        leg: Some(LegKind::Participant),
        party: Some("participant-1".into()),
        conversation: Some(Box::new(conversation())),
        kind: "participant_left".into(),
        sip_code: Some(486),
        trunk: Some("carrier".into()),
        detail: None,
    };
    check_both(
        include_str!("golden/conversation.json"),
        include_str!("golden/conversation_nulls.json"),
        FromEdge::Event { id: 7, event: Event::Milestone(milestone) },
    );
}

#[test]
fn control() {
    let destination = Destination {
        ring_ms: 45_000,
        routes: vec![Route { credentials: None, ..route() }],
        skipped: vec![],
    };
    let verb = Verb::AddParticipant(Box::new(NewParticipant {
        party: "participant-1".into(),
        destination: destination.clone(),
        joining: Joining::Consult,
    }));
    let control = Control { call_id: "c1".into(), control_id: "v1".into(), verb };
    check_both(
        include_str!("golden/control.json"),
        include_str!("golden/control_nulls.json"),
        ToEdge::Command { id: 11, command: Command::Control(Box::new(control)) },
    );
}

#[test]
fn verbs() {
    check(r#""hold""#, Verb::Hold);
    check(r#""resume""#, Verb::Resume);
    check(r#"{"mute":{"party":"agent"}}"#, Verb::Mute { party: "agent".into() });
    check(r#"{"unmute":{"party":"agent"}}"#, Verb::Unmute { party: "agent".into() });
    check(
        r#"{"send_digits":{"party":"customer","digits":"1,#"}}"#,
        Verb::SendDigits { party: "customer".into(), digits: "1,#".into() },
    );
    check(r#""merge""#, Verb::Merge);
    check(r#""swap""#, Verb::Swap);
    check(r#""complete""#, Verb::Complete);
    check(r#""cancel""#, Verb::Cancel);
    check(
        r#"{"remove":{"party":"participant-1"}}"#,
        Verb::Remove { party: "participant-1".into() },
    );
    let target = AgentTarget::Softphone { agent: "a1".into(), ring_ms: 15_000, opus: true };
    check(
        r#"{"supervise":{"party":"supervisor-2","target":{"softphone":{"agent":"a1","ring_ms":15000}},"role":"listen"}}"#,
        Verb::Supervise(Box::new(NewSupervisor {
            party: "supervisor-2".into(),
            target,
            role: SupervisorRole::Listen,
        })),
    );
    check(
        r#"{"set_role":{"party":"supervisor-2","role":"barge"}}"#,
        Verb::SetRole { party: "supervisor-2".into(), role: SupervisorRole::Barge },
    );
    check(
        r#"{"start_recording":{"file_name":"crm_x.wav"}}"#,
        Verb::StartRecording { file_name: "crm_x.wav".into() },
    );
    check(r#""pause_recording""#, Verb::PauseRecording);
    check(r#""resume_recording""#, Verb::ResumeRecording);
    check(r#""transfer""#, Joining::Transfer);
    check(r#""join""#, Joining::Join);
}

#[test]
fn mid_call_messages() {
    let refusal =
        ControlRefusal { code: "not_talking".into(), detail: "the call is not bridged yet".into() };
    check(
        r#"{"refused":{"command_id":11,"refusal":{"code":"not_talking","detail":"the call is not bridged yet"}}}"#,
        FromEdge::Refused { command_id: 11, refusal },
    );
    let requested = Event::TransferRequested {
        call_id: "c1".into(),
        party: "refer-1".into(),
        target: "09876543210".into(),
    };
    check(
        r#"{"event":{"id":8,"event":{"transfer_requested":{"call_id":"c1","party":"refer-1","target":"09876543210"}}}}"#,
        FromEdge::Event { id: 8, event: requested },
    );
    check(
        r#"{"speaking":{"call_id":"c1","parties":["agent"]}}"#,
        FromEdge::Speaking(Speaking { call_id: "c1".into(), parties: vec!["agent".into()] }),
    );
}

#[test]
fn ended() {
    let ended = Ended {
        call_id: "c1".into(),
        status: CallStatus::NoAnswer,
        reason: Some("no_answer".into()),
        failed_leg: Some(LegKind::Customer),
        sip_code: Some(487),
        hangup_by: Some(HangupBy::System),
        answered_at_ms: None,
        ended_at_ms: 1_782_900_045_000,
        duration_s: 0,
        attempts: vec![Attempt {
            leg: LegKind::Customer,
            trunk: "carrier".into(),
            started_at_ms: 1_782_900_000_000,
            ended_at_ms: 1_782_900_045_000,
            sip_code: Some(487),
            result: "no_answer".into(),
        }],
        recording: Some(RecordingResult {
            file_name: "crm_x.wav".into(),
            duration_ms: 1500,
            file_len: 48_044,
            pauses: vec![Pause { from_ms: 200, to_ms: 900 }],
        }),
        agent_media: Some(LegMedia {
            received_count: 100,
            sent_count: 99,
            lost_count: 1,
            jitter_ms: 0.5,
            ..LegMedia::default()
        }),
        customer_media: None,
        others: vec![OtherParty {
            party: "participant-1".into(),
            leg: LegKind::Participant,
            answered_at_ms: None,
            ended_at_ms: 1_782_900_030_000,
            reason: "busy".into(),
            sip_code: Some(486),
        }],
        detail: None,
        recording_written: None,
    };
    let told = |ended| FromEdge::Event { id: 6, event: Event::Ended(Box::new(ended)) };
    check(include_str!("golden/ended.json"), told(ended.clone()));
    let explained = include_str!("golden/ended.json")
        .trim_end()
        .strip_suffix("}}}}")
        .expect("the end of an event");
    check(
        &format!(r#"{explained},"detail":"no_path"}}}}}}}}"#),
        told(Ended { detail: Some("no_path".into()), ..ended.clone() }),
    );
    let mos = Mos { mean: 4.25, worst: 3.5 };
    let far = Some(FarMedia { lost_count: 2, jitter_ms: 1.5, mos });
    let measured = ended.agent_media.map(|media| LegMedia {
        mos: Some(mos),
        round_trip_ms: Some(42.5),
        far,
        ..media
    });
    let quality = r#""jitter_ms":0.5,"mos":{"mean":4.25,"worst":3.5},"round_trip_ms":42.5,"far":{"lost_count":2,"jitter_ms":1.5,"mos":{"mean":4.25,"worst":3.5}}}"#;
    check(
        &include_str!("golden/ended.json").replace(r#""jitter_ms":0.5}"#, quality),
        told(Ended { agent_media: measured, ..ended.clone() }),
    );
    let partly = Some(RecordingWritten { complete: false, written_ms: Some(900) });
    let written = r#""recording_written":{"complete":false,"written_ms":900}"#;
    check(
        &format!("{explained},{written}}}}}}}}}"),
        told(Ended { recording_written: partly, ..ended }),
    );
}

#[test]
fn short_messages() {
    check(r#"{"ack":{"command_id":9}}"#, FromEdge::Ack { command_id: 9 });
    check(r#"{"ack":{"event_id":5}}"#, ToEdge::Ack { event_id: 5 });
    check(r#"{"welcome":{"version":4}}"#, ToEdge::Welcome { version: 4 });
    check(r#"{"refused":{"reason":"version 4"}}"#, ToEdge::Refused { reason: "version 4".into() });
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
    check(
        r#"{"presence":{"agent":"a1","online":true}}"#,
        FromEdge::Presence(Presence { agent: "a1".into(), online: true }),
    );
    check(
        r#"{"softphone":{"agent":"a1","ring_ms":15000}}"#,
        AgentTarget::Softphone { agent: "a1".into(), ring_ms: 15_000, opus: true },
    );
}

#[test]
fn trunks() {
    let kept = KeptTrunk {
        trunk: "carrier".into(),
        transport: TransportKind::Tcp,
        addresses: vec!["192.0.2.7:5060".parse().expect("an address")],
        domain: "sip.example.net".into(),
        credentials: route().credentials,
        register_s: Some(300),
        probe_interval_s: None,
        signal_from: vec!["203.0.113.0/24".into()],
        interface: None,
    };
    check(
        r#"{"command":{"id":6,"command":{"keep_trunks":[{"trunk":"carrier","transport":"tcp","addresses":["192.0.2.7:5060"],"domain":"sip.example.net","credentials":{"username":"dialer","password":"s3cret"},"register_s":300,"probe_interval_s":null,"signal_from":["203.0.113.0/24"]}]}}}"#,
        ToEdge::Command { id: 6, command: Command::KeepTrunks(vec![kept.clone()]) },
    );
    let fault = RegistrationFault { sip_code: Some(403), detail: "forbidden".into() };
    let state = TrunkState {
        trunk: "carrier".into(),
        registration: Some(Registration { until_ms: None, fault: Some(fault) }),
        reachable: Some(true),
        breaker_open: false,
        lacks_interface: false,
    };
    check(
        r#"{"trunk":{"trunk":"carrier","registration":{"until_ms":null,"fault":{"sip_code":403,"detail":"forbidden"}},"reachable":true,"breaker_open":false}}"#,
        FromEdge::Trunk(state.clone()),
    );
    check(
        r#"{"trunk":{"trunk":"carrier","registration":null,"reachable":true,"breaker_open":false,"lacks_interface":true}}"#,
        FromEdge::Trunk(TrunkState { registration: None, lacks_interface: true, ..state }),
    );
    let by = KeptTrunk { credentials: None, interface: Some("v6".into()), ..kept };
    check(
        r#"{"trunk":"carrier","transport":"tcp","addresses":["192.0.2.7:5060"],"domain":"sip.example.net","credentials":null,"register_s":300,"probe_interval_s":null,"signal_from":["203.0.113.0/24"],"interface":"v6"}"#,
        by,
    );
    let skipped = SkippedTrunk { trunk: "carrier".into(), reason: "trunk_unresolved".into() };
    check(
        r#"{"ring_ms":30000,"routes":[],"skipped":[{"trunk":"carrier","reason":"trunk_unresolved"}]}"#,
        Destination { ring_ms: 30_000, routes: vec![], skipped: vec![skipped] },
    );
}

#[test]
fn ladders() {
    check(
        r#"{"command":{"id":7,"command":{"tell_ladder":{"call_id":"c1"}}}}"#,
        ToEdge::Command { id: 7, command: Command::TellLadder { call_id: "c1".into() } },
    );
    check(
        r#"{"command":{"id":8,"command":{"start_capture":{"call_id":"c1","file_name":"capture-c1.pcap"}}}}"#,
        ToEdge::Command {
            id: 8,
            command: Command::StartCapture {
                call_id: "c1".into(),
                file_name: "capture-c1.pcap".into(),
                with_audio: false,
            },
        },
    );
    check(
        r#"{"command":{"id":9,"command":{"stop_capture":{"call_id":"c1"}}}}"#,
        ToEdge::Command { id: 9, command: Command::StopCapture { call_id: "c1".into() } },
    );
    let rung = |party: Option<&str>| Rung {
        at_ms: 1_782_900_000_123,
        leg: LegKind::Participant,
        party: party.map(Into::into),
        way: MessageWay::Received,
        transport: SignalTransport::Wss,
        local: "192.0.2.1:8443".parse().expect("an address"),
        remote: "[2001:db8::7]:50000".parse().expect("an address"),
        message: "BYE a\r\n\u{fc}".into(),
    };
    let rungs = [rung(None), rung(Some("participant-1"))];
    let ladder = Ladder::new("c1".into(), &rungs, 3, true);
    assert_eq!(ladder.read().expect("rungs"), rungs);
    check(
        r#"{"ladder":{"call_id":"c1","rungs":[{"at_ms":1782900000123,"leg":"participant","way":"received","transport":"wss","local":"192.0.2.1:8443","remote":"[2001:db8::7]:50000","message":"BYE a\r\nü"},{"at_ms":1782900000123,"leg":"participant","party":"participant-1","way":"received","transport":"wss","local":"192.0.2.1:8443","remote":"[2001:db8::7]:50000","message":"BYE a\r\nü"}],"left_out_count":3,"whole":true}}"#,
        FromEdge::Ladder(Box::new(ladder)),
    );
    let telling = include_str!("golden/hello.json")
        .trim_end()
        .replace(r#""softphones":["a1"]"#, r#""softphones":["a1"],"tells_ladders":true"#);
    let FromEdge::Hello(hello) = serde_json::from_str(&telling).expect("parses") else {
        panic!("no Hello")
    };
    assert!(hello.tells_ladders && !hello.keeps_trunks);
    check(&telling, FromEdge::Hello(hello));
    let kept = include_str!("golden/place_call.json")
        .trim_end()
        .replace(r#""agent_confirm":true"#, r#""agent_confirm":true,"keep_ladder":true"#);
    let ToEdge::Command { command: Command::PlaceCall(call), .. } =
        serde_json::from_str(&kept).expect("parses")
    else {
        panic!("no PlaceCall")
    };
    assert!(call.keep_ladder);
    check(&kept, ToEdge::Command { id: 9, command: Command::PlaceCall(call) });
}

/// What the longest ladder may be fits a frame, whatever its bytes are.
#[test]
fn the_longest_ladder_fits_a_frame() {
    let rung = Rung {
        at_ms: u64::MAX,
        leg: LegKind::Participant,
        party: Some("participant-99".into()),
        way: MessageWay::Received,
        transport: SignalTransport::Udp,
        local: "[2001:db8:1111:2222:3333:4444:5555:6666]:65535".parse().expect("an address"),
        remote: "[2001:db8:1111:2222:3333:4444:5555:6666]:65535".parse().expect("an address"),
        message: "\u{1}".repeat(32 * 1024 / 200),
    };
    let call_id = "0123456789abcdef0123456789abcdef0123".into();
    let ladder = Ladder::new(call_id, &vec![rung; 200], u32::MAX, false);
    encode(&FromEdge::Ladder(Box::new(ladder)), &mut Vec::new()).expect("it fits");
}

#[test]
fn credentials_do_not_print_their_password() {
    assert!(!format!("{:?}", route()).contains("s3cret"));
    assert!(!format!("{:?}", grant()).contains("s3cret"));
}
