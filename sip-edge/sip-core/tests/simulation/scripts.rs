//! The call's course, step by step, as rows S07, S08, S11, S14, S17 and table A11 want it.

use crate::rig::{AGENT, AGENT_MEDIA, BACKUP, CUSTOMER, CUSTOMER_MEDIA, Rig};
use crate::session::{self, address, recorded};
use call_words::{AttemptResult, CallStatus, HangupBy, MilestoneKind, Reason};
use media_core::relay::Forward;
use sip_core::command::{Credentials, PlaceCall};
use sip_core::event::{RecordedFile, RecordingWritten};
use sip_core::flow::{Flow, FlowFault, Transport};
use sip_core::message::{Method, SipMessage, View};
use sip_core::outcome::LegName;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

// S07, S08: request-URI and caller id, on both legs.
#[test]
fn an_invite_carries_number_and_caller_id() {
    let (mut rig, _) = Rig::agent_answered();
    let invite = rig.expect_request(Method::Invite, CUSTOMER);
    assert_eq!(invite.uri.to_string(), "sip:9876543210@carrier.example;user=phone");
    assert_eq!(invite.to_addr().unwrap().uri.as_str(), "sip:9876543210@carrier.example;user=phone");
    let from = invite.from_addr().unwrap();
    assert_eq!(from.uri.as_str(), "sip:+911140000000@carrier.example;user=phone");
    assert_eq!(
        invite.value("P-Asserted-Identity"),
        Some("<sip:+911140000000@carrier.example;user=phone>")
    );
    assert_eq!(invite.max_forwards(), Some(70));
    assert_eq!(invite.value("User-Agent"), Some("test"));
    assert!(invite.value("Allow").unwrap().contains("UPDATE"));
    assert!(invite.contact_uri().unwrap().user.unwrap().starts_with("s0c"));
    assert!(invite.top_via().unwrap().branch().unwrap().starts_with("z9hG4bK"));
    assert!(from.tag().is_some_and(|tag| tag.len() > 16));
}

// S17: not on 180, not on 183: only after the agent's 200 was acknowledged.
#[test]
fn the_customer_is_called_after_the_agents_200() {
    let mut rig = Rig::placed();
    let invite = rig.expect_request(Method::Invite, AGENT);
    assert_eq!(session::formats_of(&invite.body), [0, 8, 101]);
    rig.reply(&invite, 100, "");
    rig.reply(&invite, 180, "agent");
    rig.reply_with_sdp(&invite, 183, "agent", AGENT_MEDIA);
    rig.advance(SECOND);
    rig.expect_silence();
    rig.reply_with_body(&invite, 200, "agent", &session::sdp(address(AGENT_MEDIA), 8, "sendrecv"));
    rig.expect_request(Method::Ack, AGENT);
    let customer = rig.expect_request(Method::Invite, CUSTOMER);
    // The customer is offered what the agent chose first, and all else that can be transcoded.
    assert_eq!(session::formats_of(&customer.body), [8, 0, 101]);
}

// S17: the agent hears ringback, and the customer's early media instead as soon as it arrives.
#[test]
fn ringback_gives_way_to_early_media() {
    let mut rig = Rig::placed();
    let agent_invite = rig.expect_request(Method::Invite, AGENT);
    rig.reply_with_sdp(&agent_invite, 200, "agent", AGENT_MEDIA);
    rig.expect_request(Method::Ack, AGENT);
    let invite = rig.expect_request(Method::Invite, CUSTOMER);
    rig.reply(&invite, 180, "customer");
    rig.advance(SECOND);
    let ringback = rig.media.iter().filter(|(_, remote)| *remote == address(AGENT_MEDIA)).count();
    assert!((45..=55).contains(&ringback), "{ringback} packets of ringback in a second");
    rig.reply_with_sdp(&invite, 183, "customer", CUSTOMER_MEDIA);
    assert!(rig.has_milestone(MilestoneKind::EarlyMedia));
    for sequence in 0..10 {
        rig.advance(Duration::from_millis(20));
        rig.media.clear();
        let forward = rig.rtp(CUSTOMER_MEDIA, &invite, sequence);
        if sequence > 5 {
            assert!(
                matches!(forward, Forward::To { remote, .. } if remote == address(AGENT_MEDIA)),
                "{forward:?}"
            );
        }
    }
    rig.media.clear();
    rig.advance(Duration::from_millis(100));
    assert!(
        rig.media.iter().all(|(_, remote)| *remote != address(AGENT_MEDIA)),
        "ringback over early media"
    );
    rig.reply_with_sdp(&invite, 200, "customer", CUSTOMER_MEDIA);
    rig.expect_request(Method::Ack, CUSTOMER);
    assert!(rig.has_milestone(MilestoneKind::Bridged));
}

/// What a party is sent in six seconds, two periods of the ringback: whether anything can be heard
/// in it, and how many packets of sound.
fn heard_by(rig: &mut Rig, media: &str) -> (bool, usize) {
    rig.datagrams.clear();
    rig.advance(6 * SECOND);
    let sent: Vec<_> = rig
        .datagrams
        .iter()
        .filter(|(to, _)| *to == address(media))
        .map(|(_, bytes)| bytes.clone())
        .collect();
    let sounds = sent.iter().filter(|packet| !session::sound(packet).is_empty()).count();
    (
        sent.iter().any(|packet| session::sound(packet).iter().any(|sample| sample.abs() > 500)),
        sounds,
    )
}

// RFC 3960 §3.2: early media that fall silent give way to the ringing that was told, before or
// after, else to silence in packets.
#[test]
fn early_media_that_fall_silent_leave_no_dead_air() {
    for (first, then) in [
        (Some(180), None),
        (None, None),
        (None, Some(180)),
        (None, Some(182)),
        (Some(181), Some(183)),
    ] {
        let (mut rig, _) = Rig::agent_answered();
        let invite = rig.expect_request(Method::Invite, CUSTOMER);
        if let Some(code) = first {
            rig.reply(&invite, code, "customer");
        }
        rig.reply_with_sdp(&invite, 183, "customer", CUSTOMER_MEDIA);
        let talk = |rig: &mut Rig, from: u16| {
            for sequence in from..from + 20 {
                rig.advance(Duration::from_millis(20));
                rig.rtp(CUSTOMER_MEDIA, &invite, sequence);
            }
        };
        talk(&mut rig, 0);
        rig.advance(SECOND);
        let (rings, count) = heard_by(&mut rig, AGENT_MEDIA);
        assert_eq!(rings, first.is_some(), "{first:?}");
        assert!(count >= 295, "{first:?}: {count} packets");
        if let Some(code) = then {
            rig.reply(&invite, code, "customer");
            let (rings, count) = heard_by(&mut rig, AGENT_MEDIA);
            assert!(rings && count >= 295, "{first:?} {then:?}: {count} packets");
        }
        // They may come back, and fall silent again.
        talk(&mut rig, 20);
        rig.datagrams.clear();
        rig.advance(Duration::from_millis(200));
        assert!(
            rig.datagrams.iter().all(|(to, _)| *to != address(AGENT_MEDIA)),
            "over early media"
        );
        rig.advance(SECOND);
        assert!(heard_by(&mut rig, AGENT_MEDIA).1 >= 295);
        rig.reply_with_sdp(&invite, 200, "customer", CUSTOMER_MEDIA);
        rig.advance(SECOND);
        assert_eq!(heard_by(&mut rig, AGENT_MEDIA), (false, 0), "they talk");
    }
}

// Whatever the agent's phone has chosen, the customer may choose of its own.
#[test]
fn each_leg_has_a_law_of_its_own() {
    for (agent, customer) in [(0, 8), (8, 0)] {
        let mut rig = Rig::placed();
        let agent_invite = rig.expect_request(Method::Invite, AGENT);
        let without_events = |media: &str, payload_type| {
            session::sdp(address(media), payload_type, "sendrecv")
                .replace(" 101\r\n", "\r\n")
                .replace("a=rtpmap:101 telephone-event/8000\r\n", "")
        };
        rig.reply_with_body(&agent_invite, 200, "agent", &without_events(AGENT_MEDIA, agent));
        rig.expect_request(Method::Ack, AGENT);
        let invite = rig.expect_request(Method::Invite, CUSTOMER);
        assert_eq!(session::formats_of(&invite.body), [agent, customer, 101]);
        rig.reply_with_body(
            &invite,
            200,
            "customer",
            &session::sdp(address(CUSTOMER_MEDIA), customer, "sendrecv"),
        );
        assert!(rig.has_milestone(MilestoneKind::Bridged));
        let forward = rig.packet(AGENT_MEDIA, &agent_invite, session::tone(agent, 1, 7, 800.0));
        assert!(
            matches!(forward, Forward::To { remote, .. } if remote == address(CUSTOMER_MEDIA)),
            "{forward:?}"
        );
        let forward = rig.packet(CUSTOMER_MEDIA, &invite, session::tone(customer, 1, 8, 900.0));
        assert!(
            matches!(forward, Forward::To { remote, .. } if remote == address(AGENT_MEDIA)),
            "{forward:?}"
        );
    }
}

#[test]
fn milestones_tell_the_story() {
    let (mut rig, _, mut customer) = Rig::bridged();
    rig.request(&mut customer, Method::Bye, None);
    use MilestoneKind::*;
    let (agent, party) = (Some(LegName::Agent), Some(LegName::Customer));
    assert_eq!(
        rig.milestones,
        [
            (InviteSent, agent),
            (Answered, agent),
            (InviteSent, party),
            (Answered, party),
            (Bridged, None),
            (HungUp, party)
        ]
    );
}

// S29, A11: a failure of the customer's leg ends the agent's with BYE.
#[test]
fn a_busy_customer_ends_the_call() {
    let (mut rig, _) = Rig::agent_answered();
    let invite = rig.expect_request(Method::Invite, CUSTOMER);
    rig.reply(&invite, 180, "customer");
    rig.reply(&invite, 486, "customer");
    rig.expect_request(Method::Ack, CUSTOMER);
    rig.expect_request(Method::Bye, AGENT);
    let ended = rig.ended();
    assert_eq!(
        (ended.status, ended.reason, ended.sip_code),
        (CallStatus::Busy, Some(Reason::Busy), Some(486))
    );
    let attempts: Vec<_> = ended
        .attempts
        .iter()
        .map(|each| (each.leg, each.trunk.as_str(), each.sip_code, each.result))
        .collect();
    let expected = [
        (LegName::Agent, "agents", Some(200), AttemptResult::Answered),
        (LegName::Customer, "carrier", Some(486), AttemptResult::Failed(Reason::Busy)),
    ];
    assert_eq!(attempts, expected);
    rig.expect_nothing_held();
}

#[test]
fn a_failed_agent_leg_never_calls_the_customer() {
    let mut rig = Rig::placed();
    let invite = rig.expect_request(Method::Invite, AGENT);
    rig.reply_with(&invite, 480, "agent", "Reason", "Q.850;cause=17;text=\"User busy\"");
    rig.expect_request(Method::Ack, AGENT);
    rig.expect_silence();
    assert_eq!(
        (rig.ended().status, rig.ended().reason),
        (CallStatus::Failed, Some(Reason::AgentBusy))
    );
}

fn with_backup(mut call: PlaceCall) -> PlaceCall {
    call.customer.routes.push(session::route("backup", address(BACKUP), "009876543210"));
    call
}

/// A rig whose agent has answered and whose customer has two routes.
fn with_two_routes() -> Rig {
    let mut rig = Rig::new();
    rig.place(with_backup(Rig::plain_call()));
    rig.answer_invite(AGENT, "agent", AGENT_MEDIA);
    rig.expect_request(Method::Ack, AGENT);
    rig
}

#[test]
fn a_failing_trunk_is_failed_over() {
    let mut rig = with_two_routes();
    let invite = rig.expect_request(Method::Invite, CUSTOMER);
    rig.reply(&invite, 503, "carrier");
    rig.expect_request(Method::Ack, CUSTOMER);
    let second = rig.expect_request(Method::Invite, BACKUP);
    assert_eq!(second.uri.to_string(), "sip:009876543210@carrier.example;user=phone");
    assert_ne!(second.call_id(), invite.call_id());
    rig.reply_with_sdp(&second, 200, "customer", CUSTOMER_MEDIA);
    assert!(rig.has_milestone(MilestoneKind::Bridged));
    rig.hang_up();
    let results: Vec<_> = rig.ended().attempts.iter().map(|each| each.result).collect();
    let failed = AttemptResult::Failed(Reason::TrunkFailed);
    assert_eq!(results, [AttemptResult::Answered, failed, AttemptResult::Answered]);
}

// A11: "never after 18x".
#[test]
fn a_trunk_that_rang_is_not_failed_over() {
    let mut rig = with_two_routes();
    let invite = rig.expect_request(Method::Invite, CUSTOMER);
    rig.reply(&invite, 180, "customer");
    rig.reply(&invite, 503, "customer");
    rig.expect_request(Method::Ack, CUSTOMER);
    rig.expect_request(Method::Bye, AGENT);
    rig.expect_silence();
    assert_eq!(rig.ended().reason, Some(Reason::TrunkFailed));
}

// Timer B without any response; the first trunk wakes up late and is cancelled.
#[test]
fn a_silent_trunk_is_failed_over() {
    let mut rig = with_two_routes();
    let invite = rig.expect_request(Method::Invite, CUSTOMER);
    rig.advance(Duration::from_millis(31_900));
    rig.sent.clear();
    rig.advance(Duration::from_millis(200));
    let second = rig.expect_request(Method::Invite, BACKUP);
    rig.reply(&invite, 180, "late");
    rig.expect_silence();
    rig.reply_with_sdp(&second, 200, "customer", CUSTOMER_MEDIA);
    assert!(rig.has_milestone(MilestoneKind::Bridged));
}

#[test]
fn a_silent_trunk_is_left_when_the_ring_timer_fires_first_and_cancelled_when_it_wakes() {
    let mut rig = Rig::new();
    let mut call = with_backup(Rig::plain_call());
    call.customer.ring = Duration::from_secs(10);
    rig.place(call);
    rig.answer_invite(AGENT, "agent", AGENT_MEDIA);
    rig.expect_request(Method::Ack, AGENT);
    let invite = rig.expect_request(Method::Invite, CUSTOMER);
    rig.advance(Duration::from_millis(9_900));
    rig.sent.clear();
    rig.advance(Duration::from_millis(100));
    rig.expect_request(Method::Invite, BACKUP);
    rig.sent.clear();
    rig.reply(&invite, 180, "late");
    rig.expect_request(Method::Cancel, CUSTOMER);
    assert!(rig.ended.is_empty());
}

#[track_caller]
fn check_lost_flow(transport: Transport, fault: FlowFault, reason: Reason) {
    let mut rig = Rig::new();
    let mut call = with_backup(Rig::plain_call());
    for route in &mut call.customer.routes {
        route.transport = transport;
    }
    rig.place(call);
    rig.answer_invite(AGENT, "agent", AGENT_MEDIA);
    rig.expect_request(Method::Ack, AGENT);
    rig.expect_request(Method::Invite, CUSTOMER);
    let lost = |address| Flow { transport, ..Rig::flow(address) };
    rig.edge.handle_flow_error(rig.now, lost(address(CUSTOMER)), fault);
    rig.drain();
    rig.expect_request(Method::Invite, BACKUP);
    rig.edge.handle_flow_error(rig.now, lost(address(BACKUP)), fault);
    rig.drain();
    rig.hang_up();
    let ended = rig.ended();
    assert_eq!((ended.status, ended.reason), (CallStatus::Failed, Some(reason)));
    let results: Vec<_> = ended.attempts.iter().map(|each| each.result).collect();
    let failed = AttemptResult::Failed(reason);
    assert_eq!(results, [AttemptResult::Answered, failed, failed]);
}

#[test]
fn a_transport_error_is_failed_over() {
    check_lost_flow(Transport::Tcp, FlowFault::Broken, Reason::TrunkFailed);
    check_lost_flow(Transport::Tls, FlowFault::Tls, Reason::TrunkTls);
}

// RFC 3261 §22.2: the same Call-ID, the next CSeq, credentials; a stale nonce once more; then it is
// final.
#[test]
fn a_challenge_is_answered_once_and_a_stale_nonce_once_more() {
    let mut rig = Rig::new();
    let mut call = Rig::plain_call();
    session::agent_route(&mut call).credentials =
        Some(Credentials { username: "us".into(), password: "secret".into() });
    rig.place(call);
    let first = rig.expect_request(Method::Invite, AGENT);
    let challenge = "Digest realm=\"trunk\", nonce=\"n1\", algorithm=MD5, qop=\"auth\"";
    rig.reply_with(&first, 407, "proxy", "Proxy-Authenticate", challenge);
    rig.expect_request(Method::Ack, AGENT);
    let second = rig.expect_request(Method::Invite, AGENT);
    assert_eq!((second.call_id(), second.from_tag()), (first.call_id(), first.from_tag()));
    assert_eq!(second.cseq().unwrap().number, first.cseq().unwrap().number + 1);
    assert!(second.value("Proxy-Authorization").unwrap().contains("username=\"us\""));
    assert_eq!(second.to_tag(), None);
    let stale = "Digest realm=\"trunk\", nonce=\"n2\", algorithm=MD5, qop=\"auth\", stale=true";
    rig.reply_with(&second, 407, "proxy", "Proxy-Authenticate", stale);
    rig.expect_request(Method::Ack, AGENT);
    let third = rig.expect_request(Method::Invite, AGENT);
    assert!(third.value("Proxy-Authorization").unwrap().contains("n2"));
    rig.reply_with(&third, 407, "proxy", "Proxy-Authenticate", stale);
    rig.expect_request(Method::Ack, AGENT);
    rig.expect_silence();
    assert_eq!(
        (rig.ended().status, rig.ended().reason),
        (CallStatus::Failed, Some(Reason::TrunkRejected))
    );
}

#[test]
fn unusable_media_is_acknowledged_and_ended() {
    let mut rig = Rig::placed();
    let invite = rig.expect_request(Method::Invite, AGENT);
    rig.reply_with_body(&invite, 200, "agent", &session::sdp(address("10.0.1.2:0"), 0, "sendrecv"));
    rig.expect_request(Method::Ack, AGENT);
    rig.expect_request(Method::Bye, AGENT);
    assert_eq!((rig.ended().status, rig.ended().reason), (CallStatus::Failed, Some(Reason::Media)));
}

#[test]
fn the_longest_call_ends() {
    let mut rig = Rig::new();
    rig.place(PlaceCall {
        max_duration: Duration::from_secs(60),
        no_media: Duration::from_secs(600),
        ..Rig::plain_call()
    });
    rig.answer_invite(AGENT, "agent", AGENT_MEDIA);
    rig.advance(10 * SECOND);
    rig.sent.retain(
        |(_, message)| matches!(message, SipMessage::Request(r) if r.method == Method::Invite),
    );
    rig.sent.truncate(1);
    rig.answer_invite(CUSTOMER, "customer", CUSTOMER_MEDIA);
    rig.advance(60 * SECOND);
    let ended = rig.ended();
    assert_eq!(
        (ended.status, ended.reason, ended.duration_s),
        (CallStatus::Answer, Some(Reason::MaxDuration), 50)
    );
    assert_eq!(ended.hangup_by, Some(HangupBy::System));
}

// A call without media ends; it stays an answered one.
#[test]
fn a_leg_without_media_ends_the_call() {
    let (mut rig, ..) = Rig::bridged();
    rig.advance(121 * SECOND);
    let ended = rig.ended();
    assert_eq!((ended.status, ended.reason), (CallStatus::Answer, Some(Reason::NoMedia)));
    assert_eq!(ended.hangup_by, Some(HangupBy::System));
    assert_eq!(ended.duration_s, 120);
}

// Wideband is offered first if it is set; who takes it and who does not hear each other, and a call
// whose agent has none is not offered it further.
#[test]
fn wideband_is_offered_and_transcoded_where_one_side_has_none() {
    for (agent_has, offered) in [(true, vec![9, 0, 8, 101]), (false, vec![0, 8, 101])] {
        let mut rig = Rig::wideband();
        rig.place(Rig::plain_call());
        let invite = rig.expect_request(Method::Invite, AGENT);
        assert_eq!(session::formats_of(&invite.body), [9, 0, 8, 101]);
        let sdp = session::sdp(address(AGENT_MEDIA), if agent_has { 9 } else { 0 }, "sendrecv");
        rig.reply_with_body(&invite, 200, "agent", &sdp);
        rig.expect_request(Method::Ack, AGENT);
        let invite = rig.expect_request(Method::Invite, CUSTOMER);
        assert_eq!(session::formats_of(&invite.body), offered, "agent: {agent_has}");
        let sdp = session::sdp(address(CUSTOMER_MEDIA), 8, "sendrecv");
        rig.reply_with_body(&invite, 200, "customer", &sdp);
        rig.expect_request(Method::Ack, CUSTOMER);
        let heard = (0..20).map(|n| rig.packet(CUSTOMER_MEDIA, &invite, session::rtp(8, n, 77)));
        let last = heard.last().expect("twenty were sent");
        assert!(
            matches!(last, Forward::To { remote, len: 172, .. } if remote == address(AGENT_MEDIA))
        );
    }
}

// S12: who gets audio and sends none is told of within two seconds, once, and counted; the call
// goes on.
#[test]
fn audio_that_goes_one_way_is_told() {
    let (mut rig, _, customer) = Rig::bridged();
    let mut told_ms = None;
    for sequence in 0..500 {
        rig.rtp(CUSTOMER_MEDIA, &customer.invite, sequence);
        rig.advance(Duration::from_millis(20));
        let is_told = rig.milestones.contains(&(MilestoneKind::OneWayAudio, Some(LegName::Agent)));
        if is_told && told_ms.is_none() {
            told_ms = Some((u64::from(sequence) + 1) * 20);
        }
    }
    assert!(told_ms.is_some_and(|ms| ms <= 2_000), "{told_ms:?}");
    let told = rig.milestones.iter().filter(|(kind, _)| *kind == MilestoneKind::OneWayAudio);
    assert_eq!(told.count(), 1);
    assert!(rig.edge.counters().any(|counter| counter == ("one_way_audio", 1)));
    assert!(rig.ended.is_empty());
    rig.hang_up();
    let media = rig.ended().customer_media.expect("they were agreed");
    assert!(media.received_count > 490, "{media:?}");
    assert!(media.mos.is_some_and(|mos| mos.worst > 4.4), "{media:?}");
}

// A phone may be silent while it only listens to the ringing: its media are watched from the bridge
// on.
#[test]
fn a_silent_agent_does_not_stop_the_ringing() {
    let mut rig = Rig::new();
    rig.place(PlaceCall { no_media: 20 * SECOND, ..Rig::plain_call() });
    rig.answer_invite(AGENT, "agent", AGENT_MEDIA);
    rig.expect_request(Method::Ack, AGENT);
    let invite = rig.expect_request(Method::Invite, CUSTOMER);
    rig.reply(&invite, 180, "customer");
    rig.advance(40 * SECOND);
    rig.expect_silence();
    rig.reply_with_sdp(&invite, 200, "customer", CUSTOMER_MEDIA);
    rig.expect_request(Method::Ack, CUSTOMER);
    rig.advance(21 * SECOND);
    rig.expect_request(Method::Bye, CUSTOMER);
    assert_eq!(
        (rig.ended().status, rig.ended().reason),
        (CallStatus::Answer, Some(Reason::NoMedia))
    );
}

// A2, B11: the end is told after the recording is final, or 2 s later with what its file will be;
// what was not written is told.
#[test]
fn the_end_waits_for_the_recording() {
    const LEN: u64 = 44 + 3 * 8000 * 2 * 2;
    enum Disk {
        Quick,
        Slow,
        /// Full for a while.
        Damaged,
        /// Full, and then nothing is heard of it.
        DamagedAndSlow,
        Broken,
    }
    let whole = RecordedFile { len: LEN, ..recorded(3 * SECOND) };
    let written = RecordingWritten { is_whole: false, duration: Some(SECOND) };
    for disk in [Disk::Quick, Disk::Slow, Disk::Damaged, Disk::DamagedAndSlow, Disk::Broken] {
        let mut rig = Rig::new();
        rig.place(PlaceCall { recording: Some("crm_1.wav".into()), ..Rig::plain_call() });
        rig.answer_invite(AGENT, "agent", AGENT_MEDIA);
        rig.expect_request(Method::Ack, AGENT);
        rig.answer_invite(CUSTOMER, "customer", CUSTOMER_MEDIA);
        let recording = rig.opened_recordings[0];
        rig.advance(2 * SECOND);
        if matches!(disk, Disk::Damaged | Disk::DamagedAndSlow) {
            rig.edge.recording_damaged(rig.now, recording);
            rig.drain();
            assert!(rig.has_milestone(MilestoneKind::RecordingFailed));
        }
        rig.advance(SECOND);
        rig.hang_up();
        assert!(rig.ended.is_empty());
        match disk {
            Disk::Quick => rig.edge.recording_finished(rig.now, recording, whole),
            Disk::Damaged => {
                rig.edge.recording_finished(rig.now, recording, RecordedFile { written, ..whole })
            }
            Disk::Slow | Disk::DamagedAndSlow => {
                rig.advance(2 * SECOND - Duration::from_millis(1));
                assert!(rig.ended.is_empty());
                rig.advance(Duration::from_millis(1));
            }
            Disk::Broken => rig.edge.recording_lost(rig.now, recording),
        }
        rig.drain();
        let ended = rig.ended();
        assert_eq!(ended.duration_s, 3);
        let told = ended
            .recording
            .as_ref()
            .map(|told| (told.file_name.as_str(), told.file_len, told.duration));
        assert_eq!(told, (!matches!(disk, Disk::Broken)).then_some(("crm_1.wav", LEN, 3 * SECOND)));
        let expected = match disk {
            Disk::Quick => Some(whole.written),
            // Not known yet.
            Disk::Slow => None,
            Disk::Damaged => Some(written),
            Disk::DamagedAndSlow => Some(RecordingWritten { is_whole: false, duration: None }),
            Disk::Broken => {
                Some(RecordingWritten { is_whole: false, duration: Some(Duration::ZERO) })
            }
        };
        assert_eq!(ended.recording_written, expected);
        assert_eq!(
            rig.has_milestone(MilestoneKind::RecordingFinished),
            matches!(disk, Disk::Quick | Disk::Damaged)
        );
        rig.edge.recording_damaged(rig.now, recording);
        rig.edge.recording_finished(rig.now, recording, whole);
        rig.expect_nothing_held();
    }
}
