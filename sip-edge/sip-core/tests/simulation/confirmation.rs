//! An agent's phone that is to be confirmed by a key before the customer is dialled (decision A9).

use crate::rig::{AGENT, AGENT_MEDIA, CUSTOMER, CUSTOMER_MEDIA, Callee, Rig};
use crate::session::{self, address};
use call_words::{CallStatus, HangupBy, MilestoneKind, Reason};
use media_core::codec::Law;
use media_core::{g711, tone};
use sip_core::command::PlaceCall;
use sip_core::message::Method;
use sip_core::outcome::LegName;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_secs(15);
const TICK: Duration = Duration::from_millis(1);

fn call() -> PlaceCall {
    PlaceCall { agent_confirm: true, ..Rig::plain_call() }
}

/// A rig whose agent's phone has answered and is to be confirmed.
fn answered() -> (Rig, Callee) {
    let mut rig = Rig::new();
    rig.place(call());
    let agent = rig.answer_invite(AGENT, "agent", AGENT_MEDIA);
    rig.expect_request(Method::Ack, AGENT);
    rig.expect_silence();
    (rig, agent)
}

/// A key's last packet, sent three times (RFC 4733 §2.5.1.4).
fn press(rig: &mut Rig, agent: &Callee, code: u8, timestamp: u32) {
    press_as(rig, agent, 101, code, timestamp);
}

/// The same under this payload type.
fn press_as(rig: &mut Rig, agent: &Callee, payload_type: u8, code: u8, timestamp: u32) {
    for sequence in 0..3 {
        let mut packet = session::rtp(payload_type, (timestamp / 160) as u16 + sequence, 0x1234);
        packet[4..8].copy_from_slice(&timestamp.to_be_bytes());
        packet.truncate(12);
        packet.extend_from_slice(&[code, 0x80 | 10, 3, 0x20]);
        rig.packet(AGENT_MEDIA, &agent.invite, packet);
    }
}

/// How loud this frequency is in what the agent hears from now on for 2 s.
fn loudness(rig: &mut Rig, frequency: f64) -> f64 {
    rig.datagrams.clear();
    rig.advance(2 * SECOND);
    let sound = rig
        .datagrams
        .iter()
        .filter(|(to, _)| *to == address(AGENT_MEDIA))
        .flat_map(|(_, bytes)| session::sound(bytes));
    tone::level(&sound.collect::<Vec<i16>>(), frequency)
}

#[track_caller]
fn check_end(
    rig: &Rig,
    status: CallStatus,
    reason: Reason,
    failed_leg: Option<LegName>,
    by: HangupBy,
) {
    let ended = rig.ended();
    assert_eq!((ended.status, ended.reason), (status, Some(reason)));
    assert_eq!((ended.failed_leg, ended.hangup_by), (failed_leg, Some(by)));
    let dialled: Vec<_> = ended.attempts.iter().map(|attempt| attempt.leg).collect();
    assert_eq!(dialled, [LegName::Agent], "no customer was dialled");
}

// A9: beeps until the key, then ringback, and a call like any other.
#[test]
fn the_customer_is_called_once_the_agent_presses_1() {
    let (mut rig, agent) = answered();
    assert!(loudness(&mut rig, tone::CONFIRM.frequency) > 300.0);
    rig.expect_silence();
    press(&mut rig, &agent, 1, 16_000);
    let customer = rig.expect_request(Method::Invite, CUSTOMER);
    rig.reply(&customer, 180, "customer");
    assert!(loudness(&mut rig, tone::CONFIRM.frequency) < 50.0);
    assert!(loudness(&mut rig, tone::RINGBACK.frequency) > 300.0);
    // The limit is the key's, not the customer's.
    rig.advance(LIMIT);
    // Another press is nobody's business any more.
    press(&mut rig, &agent, 1, 32_000);
    rig.expect_silence();
    rig.reply_with_sdp(&customer, 200, "customer", CUSTOMER_MEDIA);
    rig.expect_request(Method::Ack, CUSTOMER);
    use MilestoneKind::{
        AgentConfirmed, Answered, Bridged, ConfirmationRequested, FirstMedia, InviteSent,
        MediaLatched, Ringing,
    };
    let kinds = rig.milestones.iter().map(|(kind, _)| *kind);
    let kinds: Vec<_> = kinds.filter(|kind| ![FirstMedia, MediaLatched].contains(kind)).collect();
    let (agent, customer) = (
        [InviteSent, Answered, ConfirmationRequested, AgentConfirmed],
        [InviteSent, Ringing, Answered],
    );
    assert_eq!(kinds, [&agent[..], &customer, &[Bridged]].concat());
}

// A9
#[test]
fn a_key_told_by_info_confirms() {
    for (content_type, body) in
        [("application/dtmf-relay", "Signal=1\r\nDuration=160\r\n"), ("application/dtmf", "1")]
    {
        let (mut rig, agent) = answered();
        rig.advance(SECOND);
        rig.info(&agent, 200, content_type, body);
        rig.expect_response(200);
        rig.expect_request(Method::Invite, CUSTOMER);
        assert!(rig.has_milestone(MilestoneKind::AgentConfirmed));
    }
}

// A9: a phone may send its keys under the number of its own answer, or under ours (RFC 3264 §6.1).
#[test]
fn a_key_under_either_number_confirms() {
    for (answered, sent) in [(96, 96), (96, 101), (127, 127), (101, 101)] {
        let mut rig = Rig::new();
        rig.place(call());
        let invite = rig.expect_request(Method::Invite, AGENT);
        let sdp = session::sdp(address(AGENT_MEDIA), 0, "sendrecv");
        let sdp = sdp
            .replace(" 101\r\n", &format!(" {answered}\r\n"))
            .replace("rtpmap:101", &format!("rtpmap:{answered}"));
        rig.reply_with_body(&invite, 200, "agent", &sdp);
        rig.expect_request(Method::Ack, AGENT);
        let agent = rig.callee(AGENT, "agent", &invite);
        press_as(&mut rig, &agent, sent, 1, 16_000);
        rig.expect_request(Method::Invite, CUSTOMER);
        assert!(rig.has_milestone(MilestoneKind::AgentConfirmed), "{answered} {sent}");
    }
}

// A9: other keys neither confirm nor end the wait, and 1 after them still counts.
#[test]
fn other_keys_are_ignored() {
    let (mut rig, agent) = answered();
    for code in (0..=255).filter(|code| *code != 1) {
        press(&mut rig, &agent, code, 1_600 * u32::from(code) + 1_600);
    }
    for (cseq, key) in (200..).zip(["0", "2", "9", "*", "#", "A", "11"]) {
        rig.info(&agent, cseq, "application/dtmf-relay", &format!("Signal={key}\r\n"));
        rig.expect_response(200);
    }
    rig.info(&agent, 300, "application/dtmf", "x");
    rig.expect_response(400);
    rig.expect_silence();
    assert!(!rig.has_milestone(MilestoneKind::AgentConfirmed));
    press(&mut rig, &agent, 1, 800_000);
    rig.expect_request(Method::Invite, CUSTOMER);
}

// A9: a key pressed before the answer confirms nothing.
#[test]
fn a_key_before_the_answer_does_not_count() {
    let mut rig = Rig::new();
    rig.place(call());
    let invite = rig.expect_request(Method::Invite, AGENT);
    rig.reply_with_sdp(&invite, 183, "agent", AGENT_MEDIA);
    let mut agent = rig.callee(AGENT, "agent", &invite);
    press(&mut rig, &agent, 1, 1_600);
    rig.reply_with_sdp(&invite, 200, "agent", AGENT_MEDIA);
    rig.expect_request(Method::Ack, AGENT);
    rig.expect_silence();
    rig.request(&mut agent, Method::Bye, None);
    rig.expect_response(200);
    check_end(&rig, CallStatus::Canceled, Reason::Canceled, None, HangupBy::Agent);
}

// A9: a phone that agreed to no telephone-events presses by its tones (Q.23); other keys, and tones
// of one that has events, are none.
#[test]
fn a_phone_without_telephone_events_confirms_by_tones() {
    for (has_events, column, is_confirmed) in
        [(false, 1209.0, true), (false, 1336.0, false), (true, 1209.0, false)]
    {
        let mut rig = Rig::new();
        rig.place(call());
        let invite = rig.expect_request(Method::Invite, AGENT);
        let sdp = session::sdp(address(AGENT_MEDIA), 8, "sendrecv");
        let without = sdp.replace(" 8 101", " 8");
        rig.reply_with_body(&invite, 200, "agent", if has_events { &sdp } else { &without });
        rig.expect_request(Method::Ack, AGENT);
        for sequence in 0..20 {
            let mut packet = session::rtp(8, sequence, 0x1234);
            for (at, byte) in packet[12..].iter_mut().enumerate() {
                let position = f64::from(sequence) * 160.0 + at as f64;
                let tone = |frequency: f64| {
                    (position * frequency / 8_000.0 * std::f64::consts::TAU).sin() * 5_000.0
                };
                *byte = g711::encode(Law::Pcma, (tone(697.0) + tone(column)) as i16);
            }
            rig.packet(AGENT_MEDIA, &invite, packet);
            rig.advance(Duration::from_millis(20));
        }
        let dialled = rig.sent.iter().any(|(flow, _)| flow.remote == address(CUSTOMER));
        assert_eq!(dialled, is_confirmed, "{has_events} {column}");
    }
}

// A9: voicemail presses no key, and talks; a phone may send nothing at all. Neither rings a
// customer.
#[test]
fn without_the_key_the_call_fails() {
    for speaks in [true, false] {
        let mut rig = Rig::new();
        rig.place(PlaceCall {
            no_media: 5 * SECOND,
            recording: Some("crm_1.wav".into()),
            ..call()
        });
        let agent = rig.answer_invite(AGENT, "agent", AGENT_MEDIA);
        rig.expect_request(Method::Ack, AGENT);
        let until = rig.now + LIMIT - TICK;
        for sequence in 0..1_000 {
            if speaks {
                rig.rtp(AGENT_MEDIA, &agent.invite, sequence);
            }
            rig.advance((until - rig.now).min(Duration::from_millis(20)));
        }
        rig.expect_silence();
        assert!(rig.ended.is_empty());
        rig.advance(TICK);
        let bye = rig.expect_request(Method::Bye, AGENT);
        press(&mut rig, &agent, 1, 800_000);
        rig.reply(&bye, 200, "agent");
        rig.expect_silence();
        check_end(
            &rig,
            CallStatus::Failed,
            Reason::AgentNotConfirmed,
            Some(LegName::Agent),
            HangupBy::System,
        );
        assert!(rig.opened_recordings.is_empty());
        rig.expect_nothing_held();
    }
}

// A9, A11: the agent who hangs up instead, and the API that cancels, are told as before the bridge.
#[test]
fn the_wait_ends_with_the_call() {
    let (mut rig, mut agent) = answered();
    rig.advance(SECOND);
    rig.request(&mut agent, Method::Bye, None);
    rig.expect_response(200);
    rig.expect_silence();
    check_end(&rig, CallStatus::Canceled, Reason::Canceled, None, HangupBy::Agent);
    rig.expect_nothing_held();

    let (mut rig, agent) = answered();
    rig.advance(SECOND);
    rig.hang_up();
    let bye = rig.expect_request(Method::Bye, AGENT);
    press(&mut rig, &agent, 1, 16_000);
    rig.reply(&bye, 200, "agent");
    rig.expect_silence();
    check_end(&rig, CallStatus::Canceled, Reason::Canceled, None, HangupBy::Api);
    rig.expect_nothing_held();

    let mut rig = Rig::new();
    rig.place(PlaceCall { max_duration: 10 * SECOND, ..call() });
    rig.answer_invite(AGENT, "agent", AGENT_MEDIA);
    rig.expect_request(Method::Ack, AGENT);
    rig.advance(10 * SECOND);
    rig.expect_request(Method::Bye, AGENT);
    check_end(&rig, CallStatus::Failed, Reason::MaxDuration, None, HangupBy::System);
}
