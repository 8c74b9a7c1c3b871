//! A peer's hold in each form that is in use (RFC 3264 §8.4, RFC 2543's 0.0.0.0), how a late offer
//! is answered or not, and that the last hop is taken for the last (RFC 3261 §8.1.1.6).

use crate::rig::{AGENT, CUSTOMER, CUSTOMER_MEDIA, Callee, Rig};
use crate::session::{self, address};
use call_words::MilestoneKind;
use media_core::relay::Forward;
use sip_core::message::{self, Header, Method, Response, View, header};
use std::time::Duration;

fn audio(direction: &str) -> String {
    session::sdp(address(CUSTOMER_MEDIA), 0, direction)
}

fn reinvite(
    rig: &mut Rig,
    customer: &mut Callee,
    sdp: Option<&str>,
    ack: Option<&str>,
) -> Response {
    rig.request(customer, Method::Invite, sdp);
    let response = rig.expect_response(200);
    rig.ack(customer, ack);
    response
}

fn has_line(response: &Response, line: &str) -> bool {
    std::str::from_utf8(&response.body).unwrap().lines().any(|each| each == line)
}

/// Whether the agent's audio goes to the customer.
fn is_sent(rig: &mut Rig, agent: &Callee, sequence: u16) -> bool {
    matches!(
        rig.rtp(crate::rig::AGENT_MEDIA, &agent.invite, sequence),
        Forward::To { remote, .. } if remote == address(CUSTOMER_MEDIA)
    )
}

#[test]
fn each_form_of_hold_is_understood() {
    let black_hole = |text: String, line: &str| text.replace("c=IN IP4 10.0.2.2", line);
    for (form, sdp, answered, is_held) in [
        ("sendonly", audio("sendonly"), "a=recvonly", true),
        ("inactive", audio("inactive"), "a=inactive", true),
        // It sends nothing, and wants to hear.
        ("recvonly", audio("recvonly"), "a=sendonly", false),
        ("0.0.0.0", black_hole(audio("sendrecv"), "c=IN IP4 0.0.0.0"), "a=recvonly", true),
        (
            "0.0.0.0 and sendonly",
            black_hole(audio("sendonly"), "c=IN IP4 0.0.0.0"),
            "a=recvonly",
            true,
        ),
        ("::", black_hole(audio("sendrecv"), "c=IN IP6 ::"), "a=recvonly", true),
        ("port 0", audio("sendrecv").replace("audio 40000", "audio 0"), "a=inactive", true),
    ] {
        let (mut rig, agent, mut customer) = Rig::bridged();
        assert!(is_sent(&mut rig, &agent, 1), "{form}");
        let response = reinvite(&mut rig, &mut customer, Some(&sdp), None);
        assert!(
            has_line(&response, answered),
            "{form}: {}",
            String::from_utf8_lossy(&response.body)
        );
        assert_eq!(is_sent(&mut rig, &agent, 2), !is_held, "{form}");
        reinvite(&mut rig, &mut customer, Some(&audio("sendrecv")), None);
        assert!(is_sent(&mut rig, &agent, 3), "{form}");
        assert!(rig.ended.is_empty());
    }
}

// RFC 3261 §14.1: "the session parameters remain unchanged": an answer that is missing or useless
// costs no call (B03).
#[test]
fn a_late_offer_that_is_not_answered_changes_nothing() {
    for answer in [None, Some(session::sdp(address(CUSTOMER_MEDIA), 18, "sendrecv"))] {
        let (mut rig, agent, mut customer) = Rig::bridged();
        let response = reinvite(&mut rig, &mut customer, None, answer.as_deref());
        assert_eq!(session::formats_of(&response.body), [0, 8, 101]);
        assert!(is_sent(&mut rig, &agent, 1));
        rig.advance(Duration::from_secs(5));
        rig.expect_silence();
        // The exchange is over: the next offer is taken.
        reinvite(&mut rig, &mut customer, Some(&audio("sendonly")), None);
        assert!(rig.has_milestone(MilestoneKind::Held) && rig.ended.is_empty());
    }
}

#[test]
fn the_last_hop_is_the_last() {
    for (method, code) in [(Method::Options, 200), (Method::Info, 200), (Method::Bye, 200)] {
        let (mut rig, _, customer) = Rig::bridged();
        let mut request = rig.build(&customer, method, 200, None);
        request.headers.retain(|each| !matches!(each, Header::MaxForwards(_)));
        request.headers.push(header("Max-Forwards", "0"));
        rig.deliver(address(CUSTOMER), &message::print_request(&request));
        rig.expect_response(code);
        assert_eq!(rig.ended.len(), usize::from(method == Method::Bye));
        if method == Method::Bye {
            assert_eq!(rig.expect_request(Method::Bye, AGENT).max_forwards(), Some(70));
        }
    }
}
