//! Why a dialog ends, said by us and heard from peers (RFC 3326); and that it is all that one leg
//! says of another.

use crate::rig::{AGENT, AGENT_MEDIA, CUSTOMER, CUSTOMER_MEDIA, Rig};
use crate::session::{self, address};
use call_words::{MilestoneKind, Reason};
use sip_core::message::{self, Body, Method, Request, SipMessage, View, header, set_body};
use std::time::Duration;

const NORMAL: &str = "Q.850;cause=16;text=\"Normal call clearing\"";

/// Takes the next request to this address, and gives its Reason.
#[track_caller]
fn expect_reason(rig: &mut Rig, method: Method, to: &str) -> String {
    let request = rig.expect_request(method, to);
    assert_eq!(request.values("Reason").count(), 1);
    request.value("Reason").unwrap().to_owned()
}

#[test]
fn a_party_that_hangs_up_clears_normally() {
    let (mut rig, mut agent, _) = Rig::bridged();
    rig.request(&mut agent, Method::Bye, None);
    rig.expect_response(200);
    assert_eq!(expect_reason(&mut rig, Method::Bye, CUSTOMER), NORMAL);
    let (mut rig, _) = Rig::agent_answered();
    let invite = rig.expect_request(Method::Invite, CUSTOMER);
    rig.reply(&invite, 180, "customer");
    rig.hang_up();
    assert_eq!(expect_reason(&mut rig, Method::Cancel, CUSTOMER), NORMAL);
    assert_eq!(expect_reason(&mut rig, Method::Bye, AGENT), NORMAL);
    // The 200 that crosses it.
    rig.reply_with_sdp(&invite, 200, "customer", CUSTOMER_MEDIA);
    rig.expect_request(Method::Ack, CUSTOMER);
    assert_eq!(expect_reason(&mut rig, Method::Bye, CUSTOMER), NORMAL);
}

#[test]
fn whoever_waits_is_told_what_became_of_the_other() {
    let (mut rig, _) = Rig::agent_answered();
    let invite = rig.expect_request(Method::Invite, CUSTOMER);
    rig.reply(&invite, 486, "customer");
    rig.expect_request(Method::Ack, CUSTOMER);
    assert_eq!(expect_reason(&mut rig, Method::Bye, AGENT), "SIP;cause=486");
    let (mut rig, _) = Rig::agent_answered();
    let invite = rig.expect_request(Method::Invite, CUSTOMER);
    rig.reply(&invite, 180, "customer");
    rig.advance(Duration::from_secs(46));
    let no_answer = "Q.850;cause=19;text=\"No answer from user\"";
    assert_eq!(expect_reason(&mut rig, Method::Cancel, CUSTOMER), no_answer);
    assert_eq!(expect_reason(&mut rig, Method::Bye, AGENT), no_answer);
}

#[test]
fn what_we_cannot_use_or_do_not_want_is_named() {
    let (mut rig, _) = Rig::agent_answered();
    let invite = rig.expect_request(Method::Invite, CUSTOMER);
    let useless = session::sdp(address(CUSTOMER_MEDIA), 18, "sendrecv");
    rig.reply_with_body(&invite, 200, "customer", &useless);
    rig.expect_request(Method::Ack, CUSTOMER);
    let reason = expect_reason(&mut rig, Method::Bye, CUSTOMER);
    assert_eq!(reason, "SIP;cause=488;text=\"Not Acceptable Here\"");
    let (mut rig, _) = Rig::agent_answered();
    let invite = rig.expect_request(Method::Invite, CUSTOMER);
    for tag in ["one", "two"] {
        rig.reply_with_sdp(&invite, 200, tag, CUSTOMER_MEDIA);
        rig.expect_request(Method::Ack, CUSTOMER);
    }
    let reason = expect_reason(&mut rig, Method::Bye, CUSTOMER);
    assert_eq!(reason, "SIP;cause=200;text=\"Call completed elsewhere\"");
}

#[test]
fn a_time_that_is_over_and_a_crash_are_named() {
    let mut rig = Rig::new();
    rig.place(sip_core::command::PlaceCall {
        max_duration: Duration::from_secs(5),
        ..Rig::plain_call()
    });
    rig.answer_invite(AGENT, "agent", AGENT_MEDIA);
    rig.expect_request(Method::Ack, AGENT);
    rig.answer_invite(CUSTOMER, "customer", CUSTOMER_MEDIA);
    rig.expect_request(Method::Ack, CUSTOMER);
    rig.advance(Duration::from_secs(5));
    let expired = "Q.850;cause=102;text=\"Recovery on timer expiry\"";
    assert_eq!(expect_reason(&mut rig, Method::Bye, CUSTOMER), expired);
    let (mut rig, ..) = Rig::bridged();
    rig.crash();
    for (_, message) in rig.sent.drain(..) {
        let SipMessage::Request(bye) = message else { panic!("a response") };
        assert_eq!(bye.value("Reason"), Some("Q.850;cause=41;text=\"Temporary failure\""));
    }
}

// In numbers alone, for the rest of a Reason is the peer's own text.
#[test]
fn the_peers_reason_comes_into_the_timeline() {
    for (lines, expected) in [
        (&["Q.850;cause=31;text=\"+919876543210\""][..], Some("Q.850 cause 31")),
        (&["q.850 ;cause=\"16\""], Some("Q.850 cause 16")),
        (&["preemption;cause=1", "SIP;cause=503;text=x"], Some("SIP cause 503")),
        (&["X;cause=16", "Q.850;text=none"], None),
        (&[], None),
    ] {
        let (mut rig, _, customer) = Rig::bridged();
        let mut bye = rig.build(&customer, Method::Bye, 200, None);
        lines.iter().for_each(|line| bye.headers.push(header("Reason", *line)));
        rig.deliver(address(CUSTOMER), &message::print_request(&bye));
        rig.expect_response(200);
        let told = rig.told.iter().find(|each| each.kind == MilestoneKind::HungUp).unwrap();
        assert_eq!(told.detail.as_deref(), expected, "{lines:?}");
        assert_eq!(rig.ended().reason, None::<Reason>);
    }
}

/// What the peer writes into whatever it may.
fn tell_all(message: &mut message::Headers, name: &str) {
    for (header_name, value) in [
        ("User-Agent", format!("{name}-agent/1.0")),
        ("Server", format!("{name}-server/1.0")),
        ("X-Internal", format!("{name}-internal")),
        ("P-Asserted-Identity", format!("\"{name} Person\" <sip:{name}-identity@inner>")),
        ("Subject", format!("{name}-subject")),
        ("Call-Info", format!("<http://{name}.inner>")),
        ("Warning", format!("399 {name}.inner \"{name}-warning\"")),
        ("Organization", format!("{name}-organization")),
    ] {
        message.push(header(header_name, value));
    }
}

// Nothing of one leg's signalling and addresses appears on the other, in any message of a call with
// hold, keys and hang-up.
#[test]
fn one_leg_says_nothing_of_the_other() {
    let mut rig = Rig::placed();
    let mut messages: Vec<(std::net::SocketAddr, String)> = Vec::new();
    let mut calls = Vec::new();
    for (at, tag, media) in
        [(AGENT, "agentpeer", AGENT_MEDIA), (CUSTOMER, "customerpeer", CUSTOMER_MEDIA)]
    {
        keep(&mut rig, &mut messages);
        let invite = last(&messages, at, Method::Invite);
        for code in [180, 183, 200] {
            let mut response = message::respond(&invite, code, tag);
            response.headers.push(header("Contact", format!("\"{tag} Contact\" <sip:{tag}@{at}>")));
            response.headers.push(header("Record-Route", format!("<sip:{at};lr;{tag}>")));
            tell_all(&mut response.headers, tag);
            let sdp = session::sdp(address(media), 0, "sendrecv")
                .replace("s=-", &format!("s={tag}-session"))
                .replace("o=-", &format!("o={tag}"));
            set_body(
                &mut response,
                Body { content_type: "application/sdp", bytes: sdp.as_bytes() },
            );
            rig.deliver(address(at), &message::print_response(&response));
        }
        calls.push((at, tag, media, rig.callee(at, tag, &invite)));
    }
    keep(&mut rig, &mut messages);
    for (at, tag, media, callee) in &calls {
        let offer = session::sdp(address(media), 0, "sendonly");
        for (cseq, method, sdp) in [
            (200, Method::Invite, Some(offer.as_str())),
            (201, Method::Update, None),
            (202, Method::Options, None),
        ] {
            let mut request = rig.build(callee, method, cseq, sdp);
            tell_all(&mut request.headers, tag);
            rig.deliver(address(at), &message::print_request(&request));
            if method == Method::Invite {
                let ack = rig.build(callee, Method::Ack, cseq, None);
                rig.deliver(address(at), &message::print_request(&ack));
            }
        }
        rig.info(callee, 203, "application/dtmf-relay", "Signal=5\r\nDuration=160\r\n");
        keep(&mut rig, &mut messages);
    }
    let mut bye = rig.build(&calls[1].3, Method::Bye, 300, None);
    tell_all(&mut bye.headers, "customerpeer");
    bye.headers.push(header("Reason", "Q.850;cause=16;text=\"customerpeer-reason\""));
    rig.deliver(address(CUSTOMER), &message::print_request(&bye));
    keep(&mut rig, &mut messages);
    assert!(messages.len() >= 14, "{}", messages.len());
    for (own, other) in [(&calls[0], &calls[1]), (&calls[1], &calls[0])] {
        let invite = &other.3.invite;
        let mut secrets: Vec<String> = vec![
            other.1.into(),
            address(other.0).ip().to_string(),
            address(other.2).ip().to_string(),
            invite.call_id().unwrap().into(),
            invite.from_tag().unwrap().into(),
            invite.top_via().unwrap().branch().unwrap().into(),
        ];
        // The agent's number is nobody's business; the customer's is not in the agent's leg either.
        secrets.push(format!("{}@", invite.to_addr().unwrap().uri.user.unwrap()));
        for (to, text) in messages.iter().filter(|(to, _)| *to == address(own.0)) {
            for secret in &secrets {
                assert!(!text.contains(secret.as_str()), "{secret} is told to {to}:\n{text}");
            }
        }
    }
}

/// Keeps what was sent.
fn keep(rig: &mut Rig, messages: &mut Vec<(std::net::SocketAddr, String)>) {
    for (flow, message) in rig.sent.drain(..) {
        messages.push((flow.remote, String::from_utf8(message::print(&message)).unwrap()));
    }
}

#[track_caller]
fn last(messages: &[(std::net::SocketAddr, String)], to: &str, method: Method) -> Request {
    let texts = messages.iter().rev().filter(|(at, _)| *at == address(to));
    let parsed = texts
        .map(|(_, text)| message::parse(text.as_bytes(), &message::Limits::default()).unwrap());
    let requests = parsed.filter_map(|message| match message {
        SipMessage::Request(request) => Some(request),
        SipMessage::Response(_) => None,
    });
    requests.into_iter().find(|request| request.method == method).expect("it was sent")
}
