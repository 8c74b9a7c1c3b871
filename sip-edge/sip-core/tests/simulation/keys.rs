//! What phones press and who speaks, as the other parties and the edge's shell get to know it.

use crate::rig::{AGENT_MEDIA, CUSTOMER_MEDIA, THIRD_MEDIA};
use crate::session::{self, address};
use crate::talk::{State, Talk};
use sip_core::edge::Verb;
use sip_core::message::{Request, View};
use std::time::{Duration, Instant};

/// The telephone events that a party was sent, each once (RFC 4733 §2.5.1.3: the last packet of an event is repeated).
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

// Whoever speaks in turns of a tenth of a second is told of at most five times a second, and rightly in the end.
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
            [(AGENT_MEDIA, &agent), (CUSTOMER_MEDIA, &customer), (THIRD_MEDIA, &third)].into_iter().zip(speakers)
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
        let within = told_at.iter().filter(|at| *at >= first && **at - *first < Duration::from_secs(1)).count();
        assert!(within <= 5, "{within} in a second");
    }
    assert_eq!(talk.rig.speaking.last().unwrap(), &["agent", "third"]);
}
