//! Hold and resume towards trunks by re-INVITE: directions, ACK, digest, glare in both directions,
//! and failures (RFC 3264 §8.4, RFC 3261 §14, §22.2; RFC 3311).

use crate::rig::{AGENT, AGENT_MEDIA, CUSTOMER, CUSTOMER_MEDIA, Callee, Rig, THIRD_MEDIA};
use crate::session::{self, address};
use crate::talk::{State, Talk};
use call_words::Reason;
use media_core::relay::Forward;
use sip_core::command::{Credentials, PlaceCall};
use sip_core::control::Verb;
use sip_core::message::{Method, Request, Response, View};
use sip_core::outcome::LegName;
use std::time::Duration;

fn text(body: &[u8]) -> String {
    String::from_utf8(body.to_vec()).unwrap()
}

fn version(body: &[u8]) -> u64 {
    let text = text(body);
    let line = text.lines().find(|line| line.starts_with("o=")).unwrap();
    line.split(' ').nth(2).unwrap().parse().unwrap()
}

fn customer_sdp(direction: &str) -> String {
    session::sdp(address(CUSTOMER_MEDIA), 0, direction)
}

/// A bridged call whose customer was just put on hold, with the re-INVITE.
fn held() -> (Talk, Request) {
    let mut talk = Talk::bridged();
    talk.done(Verb::Hold);
    let invite = talk.rig.expect_request(Method::Invite, CUSTOMER);
    assert!(text(&invite.body).contains("a=sendonly"));
    (talk, invite)
}

#[track_caller]
fn expect_reinvite(talk: &mut Talk, direction: &str) -> Request {
    let invite = talk.rig.expect_request(Method::Invite, CUSTOMER);
    assert!(
        text(&invite.body).contains(&format!("a={direction}")),
        "{direction}: {}",
        text(&invite.body)
    );
    invite
}

#[track_caller]
fn peer_invite(talk: &mut Talk, sdp: Option<&str>, code: u16) -> Response {
    let mut customer = talk.customer.clone();
    talk.rig.request(&mut customer, Method::Invite, sdp);
    talk.customer = customer;
    talk.rig.expect_response(code)
}

#[test]
fn hold_and_resume_on_the_wire() {
    let (mut talk, invite) = held();
    let first = &talk.customer.invite;
    assert_eq!(invite.call_id(), first.call_id());
    assert_eq!(invite.to_tag(), Some("customer"));
    assert_eq!(invite.cseq().unwrap().number, first.cseq().unwrap().number + 1);
    assert_eq!(version(&invite.body), version(&first.body) + 1);
    assert!(invite.value("Contact").is_some());
    talk.rig.reply_with_body(&invite, 200, "", &customer_sdp("recvonly"));
    let ack = talk.rig.expect_request(Method::Ack, CUSTOMER);
    assert_eq!(ack.cseq().unwrap().number, invite.cseq().unwrap().number);
    // A retransmission of the 2xx gets the ACK again.
    talk.rig.reply_with_body(&invite, 200, "", &customer_sdp("recvonly"));
    talk.rig.expect_request(Method::Ack, CUSTOMER);
    talk.done(Verb::Resume);
    let invite = expect_reinvite(&mut talk, "sendrecv");
    talk.rig.reply_with_body(&invite, 200, "", &customer_sdp("sendrecv"));
    talk.rig.expect_request(Method::Ack, CUSTOMER);
    talk.rig.expect_silence();
    talk.rig.hang_up();
    let bye = talk.rig.expect_request(Method::Bye, CUSTOMER);
    assert!(bye.cseq().unwrap().number > invite.cseq().unwrap().number);
}

// RFC 3264 §6.1: an answer may list several formats; the first is sent, and each is understood,
// whenever the peer changes.
#[test]
fn each_format_of_an_answer_is_heard() {
    let mut rig = Rig::placed();
    let agent = rig.answer_invite(AGENT, "agent", crate::rig::AGENT_MEDIA);
    rig.expect_request(Method::Ack, AGENT);
    let invite = rig.expect_request(Method::Invite, CUSTOMER);
    let sdp = customer_sdp("sendrecv")
        .replace("RTP/AVP 0 101", "RTP/AVP 8 0 101")
        .replace("a=rtpmap:0 PCMU/8000", "a=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000");
    rig.reply_with_body(&invite, 200, "customer", &sdp);
    rig.expect_request(Method::Ack, CUSTOMER);
    for sequence in 0..8 {
        rig.rtp(crate::rig::AGENT_MEDIA, &agent.invite, sequence);
    }
    for sequence in 0..40u16 {
        let number = if sequence / 10 % 2 == 0 { 8 } else { 0 };
        let forward = rig.packet(CUSTOMER_MEDIA, &invite, session::rtp(number, sequence, 0x77));
        if sequence > 6 {
            let agent_media = address(crate::rig::AGENT_MEDIA);
            assert!(
                matches!(forward, Forward::To { remote, .. } if remote == agent_media),
                "{number}: {forward:?}"
            );
        }
    }
}

#[test]
fn a_reinvite_is_challenged() {
    let mut call = Rig::plain_call();
    call.customer.routes[0].credentials =
        Some(Credentials { username: "u".into(), password: "p".into() });
    let mut talk = Talk::bridged_as(call);
    talk.done(Verb::Hold);
    let invite = expect_reinvite(&mut talk, "sendonly");
    talk.rig.reply_with(
        &invite,
        407,
        "",
        "Proxy-Authenticate",
        "Digest realm=\"r\", nonce=\"n\", qop=\"auth\"",
    );
    talk.rig.expect_request(Method::Ack, CUSTOMER);
    let again = expect_reinvite(&mut talk, "sendonly");
    assert!(again.value("Proxy-Authorization").is_some());
    assert!(again.cseq().unwrap().number > invite.cseq().unwrap().number);
    // Once only: then the session stays as it was.
    talk.rig.reply_with(
        &again,
        407,
        "",
        "Proxy-Authenticate",
        "Digest realm=\"r\", nonce=\"m\", qop=\"auth\"",
    );
    talk.rig.expect_request(Method::Ack, CUSTOMER);
    talk.rig.expect_silence();
    assert!(talk.rig.ended.is_empty());
}

// §14.1: after a 491 the owner of the Call-ID waits 2.1 to 4 seconds.
#[test]
fn after_glare_what_is_wanted_then_is_offered() {
    let (mut talk, invite) = held();
    talk.rig.reply(&invite, 491, "");
    talk.rig.expect_request(Method::Ack, CUSTOMER);
    talk.rig.advance(Duration::from_millis(2_090));
    talk.rig.expect_silence();
    let latest = talk.rig.now + Duration::from_millis(1_910);
    while talk.rig.sent.is_empty() && talk.rig.now < latest {
        talk.rig.advance(Duration::from_millis(10));
    }
    let invite = expect_reinvite(&mut talk, "sendonly");
    talk.rig.reply(&invite, 491, "");
    talk.rig.expect_request(Method::Ack, CUSTOMER);
    // Resumed meanwhile: there is nothing left to offer.
    talk.done(Verb::Resume);
    talk.rig.advance(Duration::from_secs(5));
    talk.rig.expect_silence();
    assert!(talk.rig.ended.is_empty());
}

// §14.2: theirs comes while ours is open.
#[test]
fn the_peers_offer_waits_for_ours() {
    let (mut talk, invite) = held();
    peer_invite(&mut talk, Some(&customer_sdp("sendrecv")), 491);
    let mut customer = talk.customer.clone();
    talk.rig.request(&mut customer, Method::Update, Some(&customer_sdp("sendrecv")));
    talk.rig.expect_response(491);
    talk.rig.reply_with_body(&invite, 200, "", &customer_sdp("recvonly"));
    talk.rig.expect_request(Method::Ack, CUSTOMER);
    talk.customer = customer;
    let response = peer_invite(&mut talk, Some(&customer_sdp("sendrecv")), 200);
    assert!(text(&response.body).contains("a=sendonly"));
}

// §14.1: ours waits until theirs is acknowledged.
#[test]
fn our_offer_waits_for_the_peers() {
    let mut talk = Talk::bridged();
    peer_invite(&mut talk, Some(&customer_sdp("sendrecv")), 200);
    talk.done(Verb::Hold);
    talk.rig.expect_silence();
    let customer = talk.customer.clone();
    talk.rig.ack(&customer, None);
    expect_reinvite(&mut talk, "sendonly");
}

// A session refresh of the peer is answered with the direction that holds (RFC 4028 §9).
#[test]
fn a_refresh_in_a_hold_keeps_the_hold() {
    let (mut talk, invite) = held();
    talk.rig.reply_with_body(&invite, 200, "", &customer_sdp("recvonly"));
    talk.rig.expect_request(Method::Ack, CUSTOMER);
    let response = peer_invite(&mut talk, Some(&customer_sdp("sendrecv")), 200);
    assert!(text(&response.body).contains("a=sendonly"));
    let customer = talk.customer.clone();
    talk.rig.ack(&customer, None);
    let mut customer: Callee = talk.customer.clone();
    talk.rig.request(&mut customer, Method::Update, None);
    talk.rig.expect_response(200);
    talk.customer = customer;
    // Without an offer ours says the same.
    let response = peer_invite(&mut talk, None, 200);
    assert!(text(&response.body).contains("a=sendonly"));
    let customer = talk.customer.clone();
    talk.rig.ack(&customer, Some(&customer_sdp("recvonly")));
    talk.rig.expect_silence();
    talk.done(Verb::Resume);
    expect_reinvite(&mut talk, "sendrecv");
}

#[track_caller]
fn check_failure(code: u16, ends: bool) {
    let (mut talk, invite) = held();
    talk.rig.reply(&invite, code, "");
    talk.rig.expect_request(Method::Ack, CUSTOMER);
    assert_eq!(!talk.rig.ended.is_empty(), ends, "{code}");
    if ends {
        let ended = talk.rig.ended();
        assert_eq!(
            (ended.reason, ended.failed_leg),
            (Some(Reason::DialogLost), Some(LegName::Customer))
        );
        talk.rig.expect_request(Method::Bye, CUSTOMER);
    } else {
        // It is not offered again and again; and what was never agreed need not be taken back.
        talk.rig.advance(Duration::from_secs(20));
        talk.rig.expect_silence();
        talk.done(Verb::Resume);
        talk.rig.expect_silence();
        talk.done(Verb::Hold);
        expect_reinvite(&mut talk, "sendonly");
    }
}

#[test]
fn what_a_failed_hold_means() {
    check_failure(488, false);
    check_failure(500, false);
    check_failure(415, false);
    check_failure(603, false);
    check_failure(481, true);
    check_failure(408, true);
}

#[test]
fn a_trunk_that_says_nothing_has_lost_the_dialog() {
    let (mut talk, _) = held();
    talk.rig.advance(Duration::from_secs(33));
    assert_eq!(talk.rig.ended().reason, Some(Reason::DialogLost));
}

// A peer that never ends what it began is not waited for.
#[test]
fn a_trunk_that_only_tries_is_given_up() {
    let (mut talk, invite) = held();
    talk.rig.reply(&invite, 100, "");
    talk.rig.advance(Duration::from_secs(33));
    assert!(talk.rig.ended.is_empty());
    peer_invite(&mut talk, Some(&customer_sdp("sendrecv")), 200);
    talk.rig.hang_up();
    talk.settle();
    talk.rig.expect_nothing_held();
}

#[test]
fn a_useless_answer_changes_nothing() {
    let (mut talk, invite) = held();
    talk.rig.reply_with_body(
        &invite,
        200,
        "",
        &session::sdp(address(CUSTOMER_MEDIA), 18, "recvonly"),
    );
    talk.rig.expect_request(Method::Ack, CUSTOMER);
    assert!(talk.rig.ended.is_empty());
    talk.rig.expect_silence();
}

#[test]
fn the_call_ends_while_our_offer_is_open() {
    let (mut talk, invite) = held();
    talk.rig.hang_up();
    talk.rig.expect_request(Method::Bye, CUSTOMER);
    talk.rig.expect_request(Method::Bye, AGENT);
    talk.rig.reply(&invite, 487, "");
    talk.rig.expect_request(Method::Ack, CUSTOMER);
    talk.rig.expect_nothing_held();
}

// The other law, at any time and on any leg: it was offered, and is transcoded.
#[test]
fn the_other_law_is_taken_on_hold_and_in_a_conference() {
    for (state, direction) in
        [(State::Held, "sendonly"), (State::ThreeWay, "sendrecv"), (State::Consulting, "sendrecv")]
    {
        let mut talk = Talk::at(state);
        let (mut callee, media) = match state {
            State::Held => (talk.customer.clone(), CUSTOMER_MEDIA),
            _ => (talk.third.clone().unwrap(), THIRD_MEDIA),
        };
        talk.rig.request(
            &mut callee,
            Method::Invite,
            Some(&session::sdp(address(media), 8, "sendrecv")),
        );
        let response = talk.rig.expect_response(200);
        assert_eq!(session::formats_of(&response.body), [8, 101], "{state:?}");
        assert!(text(&response.body).contains(&format!("a={direction}")), "{state:?}");
        talk.rig.ack(&callee, None);
        if state != State::Held {
            let packet = session::tone(8, 1, 7, 800.0);
            assert!(
                !matches!(talk.rig.packet(media, &callee.invite, packet), Forward::Drop(_)),
                "{state:?}"
            );
        }
        assert!(talk.rig.ended.is_empty());
    }
}

// Glare with a hold of the peer's own, and both let go.
#[test]
fn both_hold() {
    let call = PlaceCall { no_media: Duration::from_secs(300), ..Rig::plain_call() };
    let mut talk = Talk::bridged_as(call);
    let response = peer_invite(&mut talk, Some(&customer_sdp("sendonly")), 200);
    assert!(text(&response.body).contains("a=recvonly"));
    let customer = talk.customer.clone();
    talk.rig.ack(&customer, None);
    talk.done(Verb::Hold);
    let invite = expect_reinvite(&mut talk, "sendonly");
    talk.rig.reply_with_body(&invite, 200, "", &customer_sdp("inactive"));
    talk.rig.expect_request(Method::Ack, CUSTOMER);
    let response = peer_invite(&mut talk, Some(&customer_sdp("sendonly")), 200);
    assert!(text(&response.body).contains("a=inactive"));
}

// RFC 3389 §4
#[test]
fn comfort_noise_is_offered_to_a_trunk_that_wants_it() {
    for wants in [false, true] {
        let mut call = Rig::plain_call();
        call.customer.routes[0].comfort_noise = wants;
        let mut rig = Rig::new();
        rig.place(call);
        let agent = rig.expect_request(Method::Invite, AGENT);
        assert!(!text(&agent.body).contains("CN/8000"));
        rig.reply_with_sdp(&agent, 200, "agent", AGENT_MEDIA);
        rig.expect_request(Method::Ack, AGENT);
        let invite = rig.expect_request(Method::Invite, CUSTOMER);
        assert_eq!(text(&invite.body).contains("a=rtpmap:13 CN/8000\r\n"), wants);
    }
}
