//! A trunk's 3xx is followed where its route lets it, and only to the trunk itself (RFC 3261
//! §8.1.3.4, §20.10); A11 says what follows else.

use crate::rig::{AGENT, AGENT_MEDIA, BACKUP, CUSTOMER, CUSTOMER_MEDIA, Rig};
use crate::session::{self, address};
use call_words::{CallStatus, MilestoneKind, Reason};
use sip_core::command::PlaceCall;
use sip_core::message::{self, Body, Method, Request, View, header, set_body};

const OTHER: &str = "203.0.113.8:5080";

/// The plain call, its customer's carrier letting itself be followed, with another one behind it.
fn following() -> PlaceCall {
    let mut call = Rig::plain_call();
    let route = &mut call.customer.routes[0];
    route.follows_redirects = true;
    route.signal_from = vec!["203.0.113.0/24".parse().unwrap()];
    call.customer.routes.push(session::route("backup", address(BACKUP), "009876543210"));
    call
}

/// A customer that was just called.
fn called(call: PlaceCall) -> (Rig, Request) {
    let mut rig = Rig::new();
    rig.place(call);
    rig.answer_invite(AGENT, "agent", AGENT_MEDIA);
    rig.expect_request(Method::Ack, AGENT);
    let invite = rig.expect_request(Method::Invite, CUSTOMER);
    (rig, invite)
}

/// Answers from `at` with these contacts, and takes the ACK.
#[track_caller]
fn redirect(rig: &mut Rig, at: &str, invite: &Request, code: u16, contacts: &[&str]) {
    let mut response = message::respond(invite, code, "proxy");
    contacts.iter().for_each(|contact| response.headers.push(header("Contact", *contact)));
    rig.deliver(address(at), &message::print_response(&response));
    rig.expect_request(Method::Ack, at);
}

#[test]
fn a_redirection_is_followed_to_the_trunk_itself() {
    for (contact, at, uri) in [
        ("<sip:9876543210@203.0.113.8:5080>", OTHER, "sip:9876543210@203.0.113.8:5080"),
        ("sip:x@10.0.2.1:5070;user=phone", "10.0.2.1:5070", "sip:x@10.0.2.1:5070"),
        ("\"A, B\" <sip:y@CARRIER.example?Subject=z>;q=0.1", CUSTOMER, "sip:y@CARRIER.example"),
        (
            "<sip:y@203.0.113.9;transport=UDP>",
            "203.0.113.9:5060",
            "sip:y@203.0.113.9;transport=UDP",
        ),
    ] {
        for code in [300, 301, 302] {
            let (mut rig, invite) = called(following());
            redirect(&mut rig, CUSTOMER, &invite, code, &[contact]);
            let again = rig.expect_request(Method::Invite, at);
            assert!(again.uri.to_string().starts_with(uri), "{}", again.uri);
            assert_eq!(again.value("To"), invite.value("To"));
            assert!(again.call_id() != invite.call_id());
            let mut response = message::respond(&again, 200, "customer");
            response.headers.push(header("Contact", format!("<sip:phone@{at}>")));
            let sdp = session::sdp(address(CUSTOMER_MEDIA), 0, "sendrecv");
            let body = Body { content_type: "application/sdp", bytes: sdp.as_bytes() };
            set_body(&mut response, body);
            rig.deliver(address(at), &message::print_response(&response));
            rig.expect_request(Method::Ack, at);
            assert!(rig.has_milestone(MilestoneKind::Bridged));
            rig.hang_up();
            let attempts: Vec<_> = rig
                .ended()
                .attempts
                .iter()
                .map(|attempt| (attempt.trunk.to_string(), attempt.sip_code))
                .collect();
            let carrier = |code| ("carrier".to_owned(), Some(code));
            assert_eq!(attempts, [("agents".to_owned(), Some(200)), carrier(code), carrier(200)]);
        }
    }
}

#[test]
fn nobody_has_us_call_elsewhere() {
    let lets = following();
    let mut lets_not = following();
    lets_not.customer.routes[0].follows_redirects = false;
    for (call, code, contact) in [
        (&lets_not, 302, "<sip:x@203.0.113.8>"),
        (&lets, 302, "<sip:x@198.51.100.1>"),
        (&lets, 302, "<sip:x@10.0.1.1>"),
        (&lets, 302, "<sip:x@other.example>"),
        (&lets, 302, "<sips:x@203.0.113.8>"),
        (&lets, 302, "<sip:x@203.0.113.8;transport=tcp>"),
        (&lets, 302, "<sip:x@203.0.113.8:0>"),
        (&lets, 302, "<tel:+919876543210>"),
        (&lets, 302, "<sip:x@[2001:db8::1]>"),
        (&lets, 302, "*"),
        (&lets, 302, ";;,"),
        (&lets, 305, "<sip:x@203.0.113.8>"),
        (&lets, 380, "<sip:x@203.0.113.8>"),
        (&lets, 503, "<sip:x@203.0.113.8>"),
    ] {
        let (mut rig, invite) = called(call.clone());
        redirect(&mut rig, CUSTOMER, &invite, code, &[contact]);
        let next = rig.expect_request(Method::Invite, BACKUP);
        assert_eq!(next.to_addr().unwrap().uri.user, Some("009876543210"), "{contact}");
        rig.expect_silence();
    }
}

#[test]
fn the_best_is_tried_first_each_once_and_three_in_all() {
    let (mut rig, invite) = called(following());
    let own = invite.uri.to_string();
    redirect(
        &mut rig,
        CUSTOMER,
        &invite,
        302,
        &[
            &format!("<{own}>"),
            "<sip:last@203.0.113.1>;q=0.2, <sip:first@203.0.113.2>;q=1.0",
            "<sip:second@203.0.113.3>;q=0.7",
            "<sip:second@203.0.113.3>;q=0.6",
        ],
    );
    for (user, at) in [("first", "203.0.113.2:5060"), ("second", "203.0.113.3:5060")] {
        let invite = rig.expect_request(Method::Invite, at);
        assert!(invite.uri.to_string().starts_with(&format!("sip:{user}@")));
        redirect(&mut rig, at, &invite, 503, &[]);
    }
    // It sends us back to whom we know, and to a fourth.
    let invite = rig.expect_request(Method::Invite, "203.0.113.1:5060");
    let contacts = ["<sip:first@203.0.113.2>", "<sip:fourth@203.0.113.4>"];
    redirect(&mut rig, "203.0.113.1:5060", &invite, 302, &contacts);
    rig.expect_request(Method::Invite, BACKUP);
    rig.expect_silence();
    let trunks: Vec<_> =
        rig.told.iter().filter(|each| each.kind == MilestoneKind::Failover).collect();
    assert_eq!(trunks.len(), 4);
}

// A11: nobody's phone is rung twice, and what ends a call ends it here, too.
#[test]
fn a_person_who_was_rung_is_not_rung_again() {
    let (mut rig, invite) = called(following());
    rig.reply(&invite, 180, "customer");
    redirect(&mut rig, CUSTOMER, &invite, 302, &["<sip:x@203.0.113.8:5080>"]);
    assert_eq!(rig.ended().reason, Some(Reason::TrunkFailed));
    let (mut rig, invite) = called(following());
    redirect(&mut rig, CUSTOMER, &invite, 302, &["<sip:x@203.0.113.8:5080>, <sip:y@203.0.113.9>"]);
    let invite = rig.expect_request(Method::Invite, OTHER);
    redirect(&mut rig, OTHER, &invite, 486, &[]);
    assert_eq!(rig.ended().status, CallStatus::Busy);
    assert_eq!(rig.ended().attempts.len(), 3);
}
