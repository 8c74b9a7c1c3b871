//! What phones press and who speaks, as the other parties and the edge's shell get to know it.

use crate::rig::{AGENT, AGENT_MEDIA, CUSTOMER, CUSTOMER_MEDIA, Rig, THIRD_MEDIA};
use crate::session::{self, address};
use crate::talk::{State, Talk, digits};
use call_words::{DtmfMode, MilestoneKind};
use media_core::codec::Law;
use media_core::g711;
use media_core::tone::level;
use sip_core::command::PlaceCall;
use sip_core::control::Verb;
use sip_core::message::{Method, Request, SipMessage, View};
use sip_core::outcome::LegName;
use std::time::{Duration, Instant};

/// The telephone events that a party was sent, each once (RFC 4733 §2.5.1.3: the last packet of an
/// event is repeated).
fn events_at(talk: &mut Talk, media: &str) -> Vec<u8> {
    let sent = std::mem::take(&mut talk.rig.datagrams);
    let mut events: Vec<(Vec<u8>, u8)> = Vec::new();
    for (remote, bytes) in sent {
        let is_end = remote == address(media) && bytes[1] & 0x7f == 101 && bytes[13] & 0x80 != 0;
        if is_end && events.last().is_none_or(|(timestamp, _)| timestamp != &bytes[4..8]) {
            events.push((bytes[4..8].to_vec(), bytes[12]));
        }
    }
    events.into_iter().map(|(_, code)| code).collect()
}

// RFC 6086: digits by INFO become telephone events towards those who hear the leg.
#[test]
fn digits_by_info() {
    for (content_type, body, code, events) in [
        ("application/dtmf-relay", "Signal=5\r\nDuration=160\r\n", 200, &[5][..]),
        ("application/dtmf", "#", 200, &[11]),
        ("application/dtmf-relay", "Duration=160\r\n", 400, &[]),
        ("application/json", "{}", 415, &[]),
    ] {
        let mut talk = Talk::bridged();
        talk.rig.info(&talk.agent, 200, content_type, body);
        let response = talk.rig.expect_response(code);
        assert_eq!(response.value("Accept").is_some(), code == 415);
        talk.rig.advance(Duration::from_secs(1));
        assert_eq!(events_at(&mut talk, CUSTOMER_MEDIA), events, "{body}");
        assert_eq!(events_at(&mut talk, AGENT_MEDIA), [0; 0], "not to who pressed it");
    }
}

#[test]
fn digits_by_info_go_to_those_who_hear_the_leg() {
    let mut talk = Talk::at(State::Consulting);
    talk.rig.info(&talk.agent, 200, "application/dtmf", "1");
    talk.rig.advance(Duration::from_secs(1));
    let sent = talk.rig.datagrams.clone();
    assert_eq!(events_at(&mut talk, THIRD_MEDIA), [1]);
    talk.rig.datagrams = sent;
    assert_eq!(events_at(&mut talk, CUSTOMER_MEDIA), [0; 0], "the customer is on hold");
    talk.done(Verb::Mute { party: "agent".into() });
    talk.rig.datagrams.clear();
    talk.rig.info(&talk.agent, 201, "application/dtmf", "2");
    talk.rig.advance(Duration::from_secs(1));
    assert_eq!(events_at(&mut talk, THIRD_MEDIA), [0; 0], "the agent is muted");
}

/// A call whose parties take no telephone-events; the customer's 200 says that it serves these
/// methods.
fn without_events(methods: &str) -> Talk {
    talk(Rig::plain_call(), [false, false], methods)
}

/// A call whose agent and customer take telephone-events or not; the customer's 200 says that it
/// serves these methods.
fn talk(call: PlaceCall, takes_events: [bool; 2], methods: &str) -> Talk {
    let mut rig = Rig::new();
    rig.place(PlaceCall { no_media: Duration::from_secs(3600), ..call });
    let description = |media: &str| {
        let sdp = session::sdp(address(media), 0, "sendrecv");
        if takes_events[usize::from(media == CUSTOMER_MEDIA)] {
            return sdp;
        }
        sdp.replace(" 101\r\n", "\r\n").replace("a=rtpmap:101 telephone-event/8000\r\n", "")
    };
    let invite = rig.expect_request(Method::Invite, AGENT);
    rig.reply_with_body(&invite, 200, "agent", &description(AGENT_MEDIA));
    rig.expect_request(Method::Ack, AGENT);
    let agent = rig.callee(AGENT, "agent", &invite);
    let invite = rig.expect_request(Method::Invite, CUSTOMER);
    rig.reply_with(&invite, 180, "customer", "Allow", methods);
    rig.reply_with_body(&invite, 200, "customer", &description(CUSTOMER_MEDIA));
    rig.expect_request(Method::Ack, CUSTOMER);
    let customer = rig.callee(CUSTOMER, "customer", &invite);
    Talk::of(rig, agent, customer)
}

/// The next INFO to the customer, with its body; what else was sent is left out.
fn next_info(talk: &mut Talk) -> Option<(Request, String)> {
    let is_info = |message: &SipMessage| {
        matches!(message,
        SipMessage::Request(request) if request.method == Method::Info)
    };
    let at = talk.rig.sent.iter().position(|(_, message)| is_info(message))?;
    let Some((_, SipMessage::Request(info))) = talk.rig.sent.remove(at) else { return None };
    assert_eq!(info.value("Content-Type"), Some("application/dtmf-relay"));
    let body = String::from_utf8(info.body.clone()).unwrap();
    Some((info, body))
}

/// Packets to the customer with the tones of a key.
fn tones(talk: &mut Talk, row: f64, column: f64) -> usize {
    let sent = std::mem::take(&mut talk.rig.datagrams);
    let has = |packet: &[u8], frequency| level(&session::sound(packet), frequency) > 2_500.0;
    sent.iter()
        .filter(|(to, packet)| {
            *to == address(CUSTOMER_MEDIA) && has(packet, row) && has(packet, column)
        })
        .count()
}

// A party without telephone-events gets keys by INFO if it serves it, one after the other.
#[test]
fn keys_go_out_by_info() {
    let mut talk = without_events("INVITE, ACK, BYE, INFO");
    talk.done(digits("customer", "1#,D"));
    assert!(talk.rig.has_milestone(MilestoneKind::DigitsSent));
    for (signal, rest) in [("1", 160), ("#", 1_050), ("D", 160)] {
        let (info, body) = next_info(&mut talk).unwrap_or_else(|| panic!("no INFO for {signal}"));
        assert!(body.starts_with(&format!("Signal={signal}\r\n")), "{body}");
        talk.rig.advance(Duration::from_millis(300));
        assert!(next_info(&mut talk).is_none(), "the next before the answer");
        talk.rig.reply(&info, 200, "");
        talk.rig.advance(Duration::from_millis(rest));
    }
    assert!(next_info(&mut talk).is_none());
    talk.rig.hang_up();
    talk.settle();
    talk.rig.expect_nothing_held();
}

// A key that is refused is a tone then, and so are all after it; so are those to a party that
// serves no INFO.
#[test]
fn keys_that_info_does_not_bring_are_tones() {
    for code in [415, 405, 501, 488, 503] {
        let mut talk = without_events("INVITE,INFO , BYE");
        talk.done(digits("customer", "15"));
        let (info, _) = next_info(&mut talk).unwrap();
        talk.rig.reply(&info, code, "");
        talk.rig.advance(Duration::from_secs(1));
        let sent = talk.rig.datagrams.clone();
        assert_eq!(tones(&mut talk, 697.0, 1209.0), 5, "{code}: the 1");
        talk.rig.datagrams = sent;
        assert_eq!(tones(&mut talk, 770.0, 1336.0), 5, "{code}: the 5");
        talk.done(digits("customer", "9"));
        talk.rig.advance(Duration::from_secs(1));
        assert!(next_info(&mut talk).is_none());
        assert_eq!(tones(&mut talk, 852.0, 1477.0), 5, "{code}: the 9");
    }
    let mut talk = without_events("INVITE, ACK, BYE");
    talk.done(digits("customer", "9"));
    talk.rig.advance(Duration::from_secs(1));
    assert!(next_info(&mut talk).is_none());
    assert_eq!(tones(&mut talk, 852.0, 1477.0), 5);
}

// A trunk's setting says how keys are told on it; telephone-events are offered where they may be.
#[test]
fn a_trunk_is_told_keys_as_it_is_set() {
    #[derive(Debug, PartialEq)]
    enum Way {
        Event,
        Info,
        Tone,
    }
    for (dtmf, takes_events, methods, way) in [
        (DtmfMode::Auto, true, "INFO", Way::Event),
        (DtmfMode::Auto, false, "INFO", Way::Info),
        (DtmfMode::Auto, false, "BYE", Way::Tone),
        (DtmfMode::Rfc4733, true, "INFO", Way::Event),
        (DtmfMode::Rfc4733, false, "INFO", Way::Tone),
        (DtmfMode::Info, true, "INFO", Way::Info),
        (DtmfMode::Info, false, "BYE", Way::Info),
        (DtmfMode::Inband, true, "INFO", Way::Tone),
        (DtmfMode::Inband, false, "BYE", Way::Tone),
    ] {
        let mut call = Rig::plain_call();
        call.customer.routes[0].dtmf = dtmf;
        let mut talk = talk(call, [true, takes_events], methods);
        let offers_events = matches!(dtmf, DtmfMode::Auto | DtmfMode::Rfc4733);
        let formats = session::formats_of(&talk.customer.invite.body);
        assert_eq!(formats.contains(&101), offers_events, "{dtmf}");
        talk.done(digits("customer", "9"));
        let info = next_info(&mut talk);
        assert_eq!(info.is_some(), way == Way::Info, "{dtmf} {takes_events} {methods}");
        if let Some((info, _)) = info {
            talk.rig.reply(&info, 415, "");
        }
        talk.rig.advance(Duration::from_secs(1));
        let sent = talk.rig.datagrams.clone();
        let count = tones(&mut talk, 852.0, 1477.0);
        assert_eq!(count > 0, way != Way::Event, "{dtmf} {methods}: refused INFO is a tone");
        talk.rig.datagrams = sent;
        let events: &[u8] = if way == Way::Event { &[9] } else { &[] };
        assert_eq!(events_at(&mut talk, CUSTOMER_MEDIA), events, "{dtmf} {methods}");
        // The same holds for what the customer offers, and for what it is offered later.
        let sdp = session::sdp(address(CUSTOMER_MEDIA), 0, "sendrecv");
        let mut customer = talk.customer.clone();
        talk.rig.request(&mut customer, Method::Update, Some(&sdp));
        let answer = talk.rig.expect_response(200);
        assert_eq!(session::formats_of(&answer.body).contains(&101), offers_events, "{dtmf}");
        talk.done(Verb::Hold);
        let invite = talk.rig.expect_request(Method::Invite, CUSTOMER);
        assert_eq!(session::formats_of(&invite.body).contains(&101), offers_events, "{dtmf}");
    }
}

/// The agent presses 7 by the tones of its phone.
fn press_by_tones(talk: &mut Talk) {
    let agent = talk.agent.invite.clone();
    for sequence in 1..=12u16 {
        let clock = u32::from(sequence) * 160;
        let mut packet = session::rtp(0, sequence, 7);
        packet[4..8].copy_from_slice(&clock.to_be_bytes());
        for (at, byte) in packet[12..].iter_mut().enumerate() {
            let time = (f64::from(clock) + at as f64) / 8_000.0 * std::f64::consts::TAU;
            let sample = ((time * 852.0).sin() + (time * 1209.0).sin()) * 5_000.0;
            let is_on = (3..9).contains(&sequence);
            *byte = g711::encode(Law::Pcmu, if is_on { sample as i16 } else { 0 });
        }
        talk.rig.packet(AGENT_MEDIA, &agent, packet);
        talk.rig.advance(Duration::from_millis(20));
    }
    talk.rig.advance(Duration::from_secs(1));
}

// Tones of a trunk that has no other way reach who takes telephone-events, or INFO, as such.
#[test]
fn tones_of_a_trunk_that_has_no_other_way_are_keys() {
    for (dtmf, customer, is_event, is_told) in [
        (DtmfMode::Inband, DtmfMode::Auto, true, false),
        (DtmfMode::Inband, DtmfMode::Info, false, true),
        (DtmfMode::Inband, DtmfMode::Inband, false, false),
        (DtmfMode::Auto, DtmfMode::Auto, false, false),
    ] {
        let mut call = Rig::plain_call();
        session::agent_route(&mut call).dtmf = dtmf;
        call.customer.routes[0].dtmf = customer;
        let mut talk = talk(call, [false, true], "INFO");
        talk.rig.datagrams.clear();
        press_by_tones(&mut talk);
        let told = next_info(&mut talk);
        assert_eq!(told.is_some(), is_told, "{dtmf} {customer}");
        assert!(told.is_none_or(|(_, body)| body.starts_with("Signal=7\r\n")));
        let sent = talk.rig.datagrams.clone();
        let events: &[u8] = if is_event { &[7] } else { &[] };
        assert_eq!(events_at(&mut talk, CUSTOMER_MEDIA), events, "{dtmf} {customer}");
        talk.rig.datagrams = sent;
        assert_eq!(events_at(&mut talk, AGENT_MEDIA), [0; 0], "not to who pressed it");
    }
}

// Nobody presses more than twenty keys a second.
#[test]
fn keys_by_info_come_no_faster_than_they_are_pressed() {
    let mut talk = Talk::bridged();
    for cseq in 0..60 {
        talk.rig.info(&talk.agent, 200 + cseq, "application/dtmf", "5");
        talk.rig.expect_response(if cseq < 20 { 200 } else { 503 });
    }
    let refused = talk.rig.edge.counters().find(|(name, _)| *name == "sip_keys_refused");
    assert_eq!(refused, Some(("sip_keys_refused", 40)));
    talk.rig.advance(Duration::from_secs(1));
    talk.rig.info(&talk.agent, 300, "application/dtmf", "5");
    talk.rig.expect_response(200);
}

/// The customer changes the direction of its audio by its own phone.
fn turn(talk: &mut Talk, direction: &str) {
    let mut customer = talk.customer.clone();
    let sdp = session::sdp(address(CUSTOMER_MEDIA), 0, direction).replace(" 101\r\n", "\r\n");
    talk.rig.request(&mut customer, Method::Update, Some(&sdp));
    talk.rig.expect_response(200);
}

// A key that neither INFO brings nor a tone is told as lost: once for all that waited, and never as
// long as it can still be a tone.
#[test]
fn keys_that_nothing_brings_are_told_as_lost() {
    let lost = |talk: &Talk| {
        talk.rig
            .told
            .iter()
            .filter(|one| one.kind == MilestoneKind::DigitsLost)
            .map(|one| (one.leg, one.sip_code))
            .collect::<Vec<_>>()
    };
    for (direction, answer, told) in [
        ("sendonly", Some(415), Some(415)),
        ("inactive", Some(603), Some(603)),
        // Its INFO is never answered.
        ("inactive", None, None),
    ] {
        let mut talk = without_events("INVITE, ACK, BYE, INFO");
        talk.done(digits("customer", "12#"));
        let (info, _) = next_info(&mut talk).unwrap();
        turn(&mut talk, direction);
        match answer {
            Some(code) => talk.rig.reply(&info, code, ""),
            None => talk.rig.advance(Duration::from_secs(33)),
        }
        talk.rig.advance(Duration::from_secs(2));
        assert_eq!(lost(&talk), [(Some(LegName::Customer), told)], "{direction}");
        assert_eq!(tones(&mut talk, 697.0, 1209.0), 0);
    }
    // It can be a tone, and a party that holds while its keys are taken has lost none.
    for (direction, code) in [("sendrecv", 415), ("recvonly", 501), ("inactive", 200)] {
        let mut talk = without_events("INVITE, ACK, BYE, INFO");
        talk.done(digits("customer", "1"));
        let (info, _) = next_info(&mut talk).unwrap();
        turn(&mut talk, direction);
        talk.rig.reply(&info, code, "");
        talk.rig.advance(Duration::from_secs(2));
        assert_eq!(lost(&talk), [], "{direction}");
        let count = tones(&mut talk, 697.0, 1209.0);
        assert_eq!(count, if code == 200 { 0 } else { 5 }, "{direction}");
    }
}

// What one party presses goes on in what the other one has: events that it cannot take, and INFO,
// by INFO or as tones.
#[test]
fn pressed_keys_reach_who_takes_no_events() {
    for (methods, by_info) in [("INFO", true), ("BYE", false)] {
        let mut talk = without_events(methods);
        talk.rig.info(&talk.agent, 200, "application/dtmf", "7");
        talk.rig.expect_response(200);
        let told = next_info(&mut talk);
        assert_eq!(told.is_some(), by_info);
        if let Some((info, body)) = told {
            assert!(body.starts_with("Signal=7\r\n"));
            talk.rig.reply(&info, 200, "");
        }
        talk.rig.advance(Duration::from_secs(1));
        assert_eq!(tones(&mut talk, 852.0, 1209.0), if by_info { 0 } else { 5 });
        // The agent was offered events, too, and sends one though it did not say so.
        let agent = talk.agent.invite.clone();
        for (sequence, end) in [(1, 0), (2, 0x80), (3, 0x80), (4, 0x80)] {
            let mut packet = session::rtp(101, sequence, 7);
            packet[4..8].copy_from_slice(&[0, 0, 9, 9]);
            packet.truncate(12);
            packet.extend([3, end | 10, 3, 0x20]);
            talk.rig.packet(AGENT_MEDIA, &agent, packet);
        }
        let told = next_info(&mut talk);
        assert_eq!(
            told.as_ref().is_some_and(|(_, body)| body.starts_with("Signal=3\r\n")),
            by_info
        );
        if let Some((info, _)) = told {
            talk.rig.reply(&info, 200, "");
        }
        talk.rig.advance(Duration::from_secs(1));
        assert_eq!(tones(&mut talk, 697.0, 1477.0), if by_info { 0 } else { 5 });
        assert!(next_info(&mut talk).is_none(), "one key is one");
    }
}

// Whoever speaks in turns of a tenth of a second is told of at most five times a second, and
// rightly in the end.
#[test]
fn speaking_is_told_five_times_a_second_at_most() {
    let mut talk = Talk::at(State::ThreeWay);
    let loud = |talk: &mut Talk, from: &str, invite: &Request, sequence: u16, is_loud: bool| {
        let payload_type = session::formats_of(&invite.body)[0];
        let frequency = if is_loud { 1000.0 } else { 0.0 };
        let packet = session::sine(payload_type, sequence, u32::from(sequence) * 160, frequency);
        talk.rig.packet(from, invite, packet);
    };
    let (agent, customer) = (talk.agent.invite.clone(), talk.customer.invite.clone());
    let third = talk.third.as_ref().unwrap().invite.clone();
    let mut told_at: Vec<Instant> = Vec::new();
    let mut step = |talk: &mut Talk, sequence: u16, speakers: [bool; 3]| {
        talk.rig.advance(Duration::from_millis(20));
        for ((from, invite), is_loud) in
            [(AGENT_MEDIA, &agent), (CUSTOMER_MEDIA, &customer), (THIRD_MEDIA, &third)]
                .into_iter()
                .zip(speakers)
        {
            loud(talk, from, invite, sequence, is_loud);
        }
        told_at.resize(talk.rig.speaking.len(), talk.rig.now);
    };
    for sequence in 1..=500 {
        let turn = sequence / 40 % 3;
        step(&mut talk, sequence, [turn == 0, turn == 1, turn == 2]);
    }
    for sequence in 501..=600 {
        step(&mut talk, sequence, [true, false, true]);
    }
    let count = told_at.len();
    assert!(count >= 10, "told {count} times");
    for pair in told_at.windows(2) {
        assert!(pair[1] - pair[0] >= Duration::from_millis(180), "{:?}", pair[1] - pair[0]);
    }
    for first in &told_at {
        let within = told_at
            .iter()
            .filter(|at| *at >= first && **at - *first < Duration::from_secs(1))
            .count();
        assert!(within <= 5, "{within} in a second");
    }
    assert_eq!(talk.rig.speaking.last().unwrap(), &["agent", "third"]);
}
