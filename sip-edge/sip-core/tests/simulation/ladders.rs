//! The SIP messages of a call as operators see them: all of them, in their order, without secrets.

use crate::rig::{AGENT, AGENT_MEDIA, CUSTOMER, CUSTOMER_MEDIA, Rig};
use call_words::RefusalCode;
use sip_core::command::PlaceCall;
use sip_core::event::{Copied, Ladder, Rung};
use sip_core::flow::Transport;
use sip_core::message::{Method, SipMessage, View, parse};
use sip_core::outcome::LegName;
use std::time::Duration;

/// Each message as an arrow: where it went, and its first words.
fn arrows(ladder: &Ladder) -> Vec<String> {
    let arrow = |rung: &Rung| {
        let text = String::from_utf8_lossy(&rung.bytes);
        let words: Vec<&str> = text.lines().next().unwrap().split(' ').take(2).collect();
        let word = if words[0] == "SIP/2.0" { words[1] } else { words[0] };
        let arrow = if rung.is_sent { "->" } else { "<-" };
        assert_eq!(
            rung.flow.remote.to_string(),
            if rung.leg == LegName::Agent { AGENT } else { CUSTOMER }
        );
        format!("{:?} {arrow} {word}", rung.leg)
    };
    ladder.rungs.iter().map(arrow).collect()
}

fn kept() -> PlaceCall {
    PlaceCall { keeps_ladder: true, ..Rig::plain_call() }
}

#[test]
fn a_call_of_two_legs() {
    let mut rig = Rig::new();
    rig.place(kept());
    rig.answer_invite(AGENT, "agent", AGENT_MEDIA);
    rig.expect_request(Method::Ack, AGENT);
    let invite = rig.expect_request(Method::Invite, CUSTOMER);
    rig.reply(&invite, 180, "c");
    rig.advance(Duration::from_secs(1));
    rig.reply_with_sdp(&invite, 200, "c", CUSTOMER_MEDIA);
    rig.expect_request(Method::Ack, CUSTOMER);
    rig.edge.tell_ladder(&"call-1".into()).unwrap();
    rig.drain();
    let so_far = rig.ladders.remove(0);
    assert_eq!(
        arrows(&so_far),
        [
            "Agent -> INVITE",
            "Agent <- 200",
            "Agent -> ACK",
            "Customer -> INVITE",
            "Customer <- 180",
            "Customer <- 200",
            "Customer -> ACK",
        ]
    );
    assert!(!so_far.is_whole);
    assert_eq!(so_far.rungs[5].at - so_far.rungs[4].at, Duration::from_secs(1));
    let SipMessage::Request(first) = parse(&so_far.rungs[0].bytes, &Default::default()).unwrap()
    else {
        panic!("no request")
    };
    assert!(first.value("Contact").is_some() && !first.body.is_empty());

    rig.hang_up();
    let byes = [CUSTOMER, AGENT].map(|at| rig.expect_request(Method::Bye, at));
    assert!(rig.ladders.is_empty() && rig.ended.len() == 1, "what may follow is waited for");
    for bye in &byes {
        rig.reply(bye, 200, "");
    }
    let whole = rig.ladders.remove(0);
    assert!(whole.is_whole && whole.left_out_count == 0);
    assert_eq!(arrows(&whole)[..7], arrows(&so_far)[..]);
    let mut rest = arrows(&whole)[7..].to_vec();
    rest.sort();
    assert_eq!(rest, ["Agent -> BYE", "Agent <- 200", "Customer -> BYE", "Customer <- 200"]);
    rig.expect_nothing_held();
    assert_eq!(rig.edge.tell_ladder(&"call-1".into()), Err(RefusalCode::UnknownCall));
}

#[test]
fn retransmissions_are_messages_of_their_own() {
    let mut rig = Rig::new();
    rig.place(kept());
    rig.advance(Duration::from_millis(1_600));
    rig.edge.tell_ladder(&"call-1".into()).unwrap();
    rig.drain();
    assert_eq!(arrows(&rig.ladders[0]), ["Agent -> INVITE"; 3]);
}

/// What answers a challenge is known to the carrier alone.
#[test]
fn a_proof_of_the_password_is_not_told() {
    let mut rig = Rig::new();
    let mut call = kept();
    let sip_core::command::AgentTarget::Phone(agent) = &mut call.agent else { panic!("a phone") };
    agent.routes[0].credentials = Some(sip_core::command::Credentials {
        username: "dialer".into(),
        password: "s3cret".into(),
    });
    rig.place(call);
    let invite = rig.expect_request(Method::Invite, AGENT);
    let challenge = "Digest realm=\"r\", nonce=\"n1\", algorithm=MD5";
    rig.reply_with(&invite, 401, "x", "WWW-Authenticate", challenge);
    rig.expect_request(Method::Ack, AGENT);
    let signed = rig.expect_request(Method::Invite, AGENT);
    let proof = signed.value("Authorization").unwrap().split("response=\"").nth(1).unwrap()[..32]
        .to_owned();
    rig.edge.tell_ladder(&"call-1".into()).unwrap();
    rig.drain();
    let told: Vec<u8> = rig.ladders[0].rungs.iter().flat_map(|rung| rung.bytes.clone()).collect();
    let told = String::from_utf8(told).unwrap();
    assert!(told.contains("nonce=\"n1\"") && told.contains("Authorization: Digest ***"), "{told}");
    assert!(!told.contains(&proof) && !told.contains("response="), "{told}");
}

#[test]
fn a_call_that_keeps_none_tells_none() {
    let mut rig = Rig::placed();
    assert_eq!(rig.edge.tell_ladder(&"call-1".into()), Err(RefusalCode::UnknownCall));
    rig.hang_up();
    rig.advance(Duration::from_secs(64));
    assert!(rig.ladders.is_empty());
}

/// Who watches sees the same messages at once, each under the call's id, kept or not.
#[test]
fn messages_are_copied_as_they_go() {
    for keeps_ladder in [false, true] {
        let mut rig = Rig::watched();
        rig.place(PlaceCall { keeps_ladder, ..Rig::plain_call() });
        rig.answer_invite(AGENT, "agent", AGENT_MEDIA);
        rig.expect_request(Method::Ack, AGENT);
        let word = |copied: &Copied| {
            assert_eq!(
                (copied.call_id.as_str(), copied.flow.transport),
                ("call-1", Transport::Udp)
            );
            let text = String::from_utf8_lossy(&copied.bytes);
            let words: Vec<String> = text.split(' ').take(2).map(str::to_owned).collect();
            (
                copied.is_sent,
                if words[0] == "SIP/2.0" { words[1].clone() } else { words[0].clone() },
            )
        };
        let words: Vec<_> = rig.copied.iter().map(word).collect();
        let expected = [(true, "INVITE"), (false, "200"), (true, "ACK"), (true, "INVITE")];
        assert_eq!(words, expected.map(|(is_sent, word)| (is_sent, word.to_owned())));
        assert_eq!(rig.edge.tell_ladder(&"call-1".into()).is_ok(), keeps_ladder);
        rig.hang_up();
        rig.advance(Duration::from_secs(64));
        // The one that was asked for, and the whole one.
        assert_eq!(rig.ladders.len(), 2 * usize::from(keeps_ladder));
        rig.expect_nothing_held();
    }
}
