//! Requests of a peer inside its dialog and strays outside (RFC 3261 §11, §12.2.2, §14; RFC 3264,
//! RFC 3311).

use crate::rig::{AGENT, AGENT_MEDIA, CUSTOMER, CUSTOMER_MEDIA, Callee, Rig};
use crate::session::{self, address};
use call_words::{CallStatus, MilestoneKind, Reason};
use media_core::relay::Forward;
use sip_core::message::{self, Method, Request, Response, View, header};
use std::time::Duration;

fn held(direction: &str) -> String {
    session::sdp(address(AGENT_MEDIA), 0, direction)
}

fn body(response: &Response) -> String {
    String::from_utf8(response.body.clone()).unwrap()
}

#[track_caller]
fn reinvite(rig: &mut Rig, callee: &mut Callee, sdp: Option<&str>, code: u16) -> Response {
    rig.request(callee, Method::Invite, sdp);
    let response = rig.expect_response(code);
    rig.ack(callee, None);
    response
}

#[test]
fn hold_and_resume() {
    let (mut rig, mut agent, _) = Rig::bridged();
    let response = reinvite(&mut rig, &mut agent, Some(&held("sendonly")), 200);
    assert!(body(&response).contains("a=recvonly"));
    assert!(response.contact().is_some());
    assert!(rig.has_milestone(MilestoneKind::Held));
    let response = reinvite(&mut rig, &mut agent, Some(&held("inactive")), 200);
    assert!(body(&response).contains("a=inactive"));
    let response = reinvite(&mut rig, &mut agent, Some(&held("sendrecv")), 200);
    assert!(body(&response).contains("a=sendrecv"));
    assert!(rig.has_milestone(MilestoneKind::Resumed));
    rig.expect_silence();
}

// The other law, which was offered too, is transcoded; what cannot be taken is refused and changes
// nothing.
#[test]
fn an_offer_of_the_other_law_is_accepted() {
    for (method, payload_type) in [(Method::Invite, 8), (Method::Update, 8), (Method::Invite, 0)] {
        let (mut rig, mut agent, mut customer) = Rig::bridged();
        for (callee, media, other) in [
            (&mut agent, AGENT_MEDIA, CUSTOMER_MEDIA),
            (&mut customer, CUSTOMER_MEDIA, AGENT_MEDIA),
        ] {
            rig.request(
                callee,
                method,
                Some(&session::sdp(address(media), payload_type, "sendrecv")),
            );
            let response = rig.expect_response(200);
            assert_eq!(session::formats_of(&response.body), [payload_type, 101]);
            if method == Method::Invite {
                rig.ack(callee, None);
            }
            let forward =
                rig.packet(media, &callee.invite, session::tone(payload_type, 1, 7, 800.0));
            assert!(
                matches!(forward, Forward::To { remote, .. } if remote == address(other)),
                "{forward:?}"
            );
        }
    }
}

#[test]
fn an_offer_of_a_codec_that_we_do_not_have_is_refused() {
    let (mut rig, mut agent, _) = Rig::bridged();
    reinvite(&mut rig, &mut agent, Some(&session::sdp(address(AGENT_MEDIA), 18, "sendrecv")), 488);
    reinvite(&mut rig, &mut agent, Some("this is not SDP"), 488);
    assert!(rig.ended.is_empty());
    rig.hang_up();
    assert_eq!(rig.ended().status, CallStatus::Answer);
}

// RFC 3264 §8.2: port 0 takes the stream away; the next offer brings it back.
#[test]
fn a_hold_by_port_0() {
    for offered in [
        held("sendrecv").replace("audio 30000", "audio 0"),
        held("inactive").replace("audio 30000", "audio 0"),
    ] {
        let (mut rig, mut agent, customer) = Rig::bridged();
        let response = reinvite(&mut rig, &mut agent, Some(&offered), 200);
        assert!(
            body(&response).contains("\r\nm=audio 0 RTP/AVP 0 101\r\n")
                && body(&response).contains("a=inactive")
        );
        assert!(rig.has_milestone(MilestoneKind::Held));
        // Longer than a silent leg is waited for.
        for sequence in 1..300 {
            rig.rtp(CUSTOMER_MEDIA, &customer.invite, sequence);
            rig.advance(Duration::from_millis(500));
        }
        assert!(rig.ended.is_empty());
        let response = reinvite(&mut rig, &mut agent, Some(&held("sendrecv")), 200);
        assert!(body(&response).contains("a=sendrecv"));
        assert!(rig.has_milestone(MilestoneKind::Resumed));
        let forward = rig.rtp(CUSTOMER_MEDIA, &customer.invite, 300);
        assert!(
            matches!(forward, Forward::To { remote, .. } if remote == address(AGENT_MEDIA)),
            "{forward:?}"
        );
    }
}

// Whoever is left by a phone that holds by itself hears hold audio, unless that phone sends its
// own.
#[test]
fn who_is_held_by_a_phone_hears_hold_audio() {
    const FREQUENCY: f64 = 500.0;
    let hears_hold = |rig: &mut Rig, media: &str| {
        rig.datagrams.clear();
        rig.advance(Duration::from_secs(1));
        let sent = rig.datagrams.iter().filter(|(to, _)| *to == address(media));
        sent.filter(|(_, packet)| session::has_tone(packet, FREQUENCY) == Some(true)).count()
    };
    for direction in ["sendonly", "inactive"] {
        let mut rig = Rig::new();
        let samples: Vec<i16> = (0..8000)
            .map(|at| media_core::tone::Tone::steady(FREQUENCY, 2000.0).sample(at))
            .collect();
        assert!(rig.edge.add_hold_audio("hold", &samples));
        rig.place(sip_core::command::PlaceCall {
            hold_audio: Some("hold".into()),
            ..Rig::plain_call()
        });
        let mut agent = rig.answer_invite(AGENT, "agent", AGENT_MEDIA);
        rig.expect_request(Method::Ack, AGENT);
        rig.answer_invite(CUSTOMER, "customer", CUSTOMER_MEDIA);
        rig.expect_request(Method::Ack, CUSTOMER);
        assert_eq!(hears_hold(&mut rig, CUSTOMER_MEDIA), 0);
        reinvite(&mut rig, &mut agent, Some(&held(direction)), 200);
        assert!(hears_hold(&mut rig, CUSTOMER_MEDIA) > 45, "{direction}");
        assert_eq!(hears_hold(&mut rig, AGENT_MEDIA), 0, "{direction}");
        if direction == "sendonly" {
            let heard: usize = (0..50)
                .map(|sequence| {
                    rig.packet(AGENT_MEDIA, &agent.invite, session::tone(0, sequence, 7, 800.0));
                    rig.datagrams.clear();
                    rig.advance(Duration::from_millis(20));
                    rig.datagrams.iter().filter(|(to, _)| *to == address(CUSTOMER_MEDIA)).count()
                })
                .skip(1)
                .sum();
            assert_eq!(heard, 0, "the phone's own music is heard");
            rig.advance(Duration::from_secs(1));
            assert!(hears_hold(&mut rig, CUSTOMER_MEDIA) > 45, "and then it stops");
        }
        reinvite(&mut rig, &mut agent, Some(&held("sendrecv")), 200);
        assert_eq!(hears_hold(&mut rig, CUSTOMER_MEDIA), 0, "{direction}");
    }
}

// RFC 3261 §14.2: an offer in the 200, the answer in the ACK.
#[test]
fn an_invite_without_offer() {
    let (mut rig, mut agent, _) = Rig::bridged();
    rig.request(&mut agent, Method::Invite, None);
    let response = rig.expect_response(200);
    assert_eq!(session::formats_of(&response.body), [0, 8, 101]);
    // Our offer is open: another one has to wait (RFC 3264 §4).
    let mut other = agent.clone();
    rig.request(&mut other, Method::Update, Some(&held("sendrecv")));
    rig.expect_response(491);
    rig.ack(&agent, Some(&held("recvonly")));
    assert!(rig.has_milestone(MilestoneKind::Held));
    rig.advance(Duration::from_secs(5));
    rig.expect_silence();
}

// RFC 3261 §13.3.1.4: the 2xx is repeated until the ACK, then the dialog is given up with BYE.
#[test]
fn a_200_that_is_never_acknowledged() {
    let mut rig = Rig::new();
    rig.place(sip_core::command::PlaceCall {
        no_media: Duration::from_secs(300),
        ..Rig::plain_call()
    });
    let mut agent = rig.answer_invite(AGENT, "agent", AGENT_MEDIA);
    rig.expect_request(Method::Ack, AGENT);
    let invite = rig.expect_request(Method::Invite, CUSTOMER);
    rig.reply(&invite, 180, "customer");
    rig.request(&mut agent, Method::Invite, Some(&held("sendrecv")));
    for wait in [0, 500, 1000, 2000, 4000, 4000] {
        rig.advance(Duration::from_millis(wait));
        rig.sent.retain(|(_, message)| matches!(message, message::SipMessage::Response(_)));
        rig.expect_response(200);
        rig.expect_silence();
    }
    rig.advance(Duration::from_secs(25));
    assert_eq!(rig.ended().reason, Some(Reason::DialogLost));
}

// §12.2.1.1: the next request goes to the new remote target.
#[test]
fn target_refresh() {
    let (mut rig, mut agent, _) = Rig::bridged();
    let moved = "10.0.1.1:5070";
    agent.address = address(moved);
    reinvite(&mut rig, &mut agent, Some(&held("sendrecv")), 200);
    rig.hang_up();
    rig.sent.pop_front();
    let bye = rig.expect_request(Method::Bye, moved);
    assert_eq!(bye.uri.to_string(), format!("sip:phone@{moved}"));
}

// §12.2.2: a CSeq below the last one is out of order.
#[test]
fn an_old_cseq_is_refused() {
    let (mut rig, mut agent, _) = Rig::bridged();
    rig.request(&mut agent, Method::Info, None);
    rig.expect_response(200);
    let old = rig.build(&agent, Method::Info, 5, None);
    rig.deliver(agent.address, &message::print_request(&old));
    rig.expect_response(500);
}

#[track_caller]
fn check_inside(method: Method, code: u16) {
    let (mut rig, mut agent, _) = Rig::bridged();
    rig.request(&mut agent, method, None);
    let response = rig.expect_response(code);
    if method == Method::Options {
        assert!(
            response.value("Allow").is_some()
                && response.value("Accept").is_some()
                && response.value("Supported").is_some()
        );
    }
    assert!(rig.ended.is_empty());
}

#[test]
fn requests_inside_a_dialog() {
    for (method, code) in [
        (Method::Options, 200),
        (Method::Info, 200),
        (Method::Update, 200),
        // RFC 3515 §2.4.1: without a Refer-To.
        (Method::Refer, 400),
        (Method::PRack, 481),
        (Method::Notify, 489),
        (Method::Subscribe, 489),
        (Method::Message, 405),
        (Method::Register, 405),
    ] {
        check_inside(method, code);
    }
}

#[test]
fn an_update_with_an_offer_is_answered() {
    let (mut rig, mut agent, _) = Rig::bridged();
    rig.request(&mut agent, Method::Update, Some(&held("sendonly")));
    let response = rig.expect_response(200);
    assert!(body(&response).contains("a=recvonly"));
    rig.advance(Duration::from_secs(5));
    rig.expect_silence();
}

#[test]
fn a_required_extension_is_refused() {
    let (mut rig, agent, _) = Rig::bridged();
    let mut info = rig.build(&agent, Method::Info, 200, None);
    info.headers.push(header("Require", "timer, 100rel"));
    rig.deliver(agent.address, &message::print_request(&info));
    assert_eq!(rig.expect_response(420).value("Unsupported"), Some("100rel"));
}

#[track_caller]
fn check_outside(method: Method, code: u16) -> Rig {
    let mut rig = Rig::bridged().0;
    let request = outside(method);
    rig.deliver(address("10.9.9.9:5060"), &message::print_request(&request));
    rig.expect_silence();
    rig.deliver(address(AGENT), &message::print_request(&request));
    rig.expect_response(code);
    rig
}

fn outside(method: Method) -> Request {
    message::request(&message::RequestParts {
        method,
        target: "sip:anyone@10.0.0.1",
        routes: &[],
        via: "SIP/2.0/UDP 10.9.9.9;branch=z9hG4bKstray",
        from: "<sip:stranger@example.com>;tag=x",
        to: "<sip:anyone@10.0.0.1>",
        call_id: "stray",
        cseq: 1,
        contact: None,
        extra: Vec::new(),
        body: None,
    })
}

#[test]
fn requests_outside_any_dialog() {
    check_outside(Method::Options, 200);
    check_outside(Method::Bye, 481);
    check_outside(Method::Register, 405);
    check_outside(Method::Refer, 405);
    let rig = check_outside(Method::Invite, 403);
    assert!(rig.edge.counters().any(|counter| counter == ("sip_incoming_calls", 1)));
}

// RFC 3261 §8.2.7: a stateless answer is the same for each retransmission, and strangers take no
// room.
#[test]
fn a_stray_takes_no_transaction() {
    let (mut rig, ..) = Rig::bridged();
    let held = rig.edge.held();
    let request = message::print_request(&outside(Method::Invite));
    let mut tags = Vec::new();
    for _ in 0..2 {
        rig.deliver(address(AGENT), &request);
        tags.push(rig.expect_response(403).to_tag().unwrap().to_owned());
    }
    assert_eq!(tags[0], tags[1]);
    let ack = message::print_request(&outside(Method::Ack));
    rig.deliver(address(AGENT), &ack);
    rig.expect_silence();
    assert_eq!(rig.edge.held(), held);
}

// A request with the right Call-ID but wrong tags belongs to no dialog (§12.2.2).
#[test]
fn wrong_tags_end_nothing() {
    let (mut rig, mut agent, _) = Rig::bridged();
    agent.tag = "forged".into();
    rig.request(&mut agent, Method::Bye, None);
    rig.expect_response(481);
    assert!(rig.ended.is_empty());
}

#[test]
fn garbage_is_counted_and_answered_where_it_is_due() {
    let (mut rig, ..) = Rig::bridged();
    rig.deliver(address("10.9.9.9:5060"), b"\x00\x01\x02 no SIP at all");
    rig.expect_silence();
    let bad = "OPTIONS sip:x@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.9.9.9;branch=z9hG4bKbad\r\n\
        From: <sip:a@b>;tag=1\r\n\
               To: <sip:x@10.0.0.1>\r\nCall-ID: bad\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\n\
               Content-Length: 0\r\n\r\n";
    rig.deliver(address("10.9.9.9:5060"), bad.as_bytes());
    rig.expect_silence();
    rig.deliver(address(AGENT), bad.as_bytes());
    rig.expect_response(400);
    assert!(rig.edge.counters().any(|counter| counter == ("sip_malformed_messages", 3)));
}
