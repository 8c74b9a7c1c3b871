//! A stranger takes nothing from a call (B02): who has no part in a leg's route is answered as if
//! there were no such call, whatever ids it knows; the peer's own cluster is heard, once it is
//! named; nobody is locked out without a word.

use crate::rig::{
    AGENT, AGENT_MEDIA, CUSTOMER, CUSTOMER_MEDIA, Callee, Rig, SUPERVISOR, SUPERVISOR_MEDIA, THIRD,
    THIRD_MEDIA,
};
use crate::session::{self, address};
use call_words::{Joining, MilestoneKind, SupervisorRole};
use media_core::relay::Forward;
use sip_core::command::{AgentTarget, Destination, PlaceCall};
use sip_core::control::{NewParticipant, NewSupervisor, Verb};
use sip_core::event::SourceKind;
use sip_core::flow::{Flow, Transport};
use sip_core::message::{self, Body, Header, Method, Request, View, header};
use sip_core::outcome::LegName;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

const STRANGER: &str = "192.0.2.66:5060";
const EVIL_MEDIA: &str = "192.0.2.66:33950";

/// The plain call, its customer's carrier being a cluster.
fn clustered() -> PlaceCall {
    let mut call = Rig::plain_call();
    call.customer.routes[0].signal_from =
        vec!["10.0.2.0/28".parse().unwrap(), "203.0.113.0/24".parse().unwrap()];
    call
}

fn over_tcp(from: &str) -> Flow {
    Flow { transport: Transport::Tcp, connection: Some(77), ..Rig::flow(address(from)) }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn counted(rig: &Rig, name: &str) -> u64 {
    rig.edge.counters().find(|(each, _)| *each == name).unwrap().1
}

/// A call with all kinds of legs.
fn crowd() -> (Rig, Vec<Callee>) {
    let (mut rig, agent, customer) = Rig::bridged();
    let destination = |at: &str, user: &str| Destination {
        ring: Duration::from_secs(30),
        routes: vec![session::route("carrier", address(at), user)],
        skipped: vec![],
    };
    let third = NewParticipant {
        party: "third".into(),
        destination: destination(THIRD, "3001"),
        joining: Joining::Join,
    };
    let verb = Verb::AddParticipant(Box::new(third));
    rig.edge.control(rig.now, &"call-1".into(), "1", verb).unwrap();
    rig.drain();
    let third = rig.answer_invite(THIRD, "third", THIRD_MEDIA);
    rig.expect_request(Method::Ack, THIRD);
    let target = AgentTarget::Phone(destination(SUPERVISOR, "4001"));
    let supervisor =
        NewSupervisor { party: "supervisor".into(), target, role: SupervisorRole::Listen };
    rig.edge
        .control(rig.now, &"call-1".into(), "2", Verb::Supervise(Box::new(supervisor)))
        .unwrap();
    rig.drain();
    let supervisor = rig.answer_invite(SUPERVISOR, "supervisor", SUPERVISOR_MEDIA);
    rig.expect_request(Method::Ack, SUPERVISOR);
    rig.sent.clear();
    (rig, vec![agent, customer, third, supervisor])
}

/// What a stranger may try inside a dialog.
fn tries(rig: &mut Rig, callee: &Callee) -> Vec<Request> {
    let methods = [
        Method::Bye,
        Method::Invite,
        Method::Update,
        Method::Info,
        Method::Refer,
        Method::Options,
        Method::Cancel,
        Method::Notify,
        Method::PRack,
        Method::Message,
        Method::Ack,
    ];
    let sdp = session::sdp(address(EVIL_MEDIA), 0, "sendrecv");
    let mut requests: Vec<Request> = methods
        .map(|method| {
            let body = matches!(method, Method::Invite | Method::Update | Method::Ack)
                .then_some(sdp.as_str());
            let mut request = rig.build(callee, method, 500, body);
            match method {
                Method::Refer => request.headers.push(header("Refer-To", "<sip:+919876500001@x>")),
                Method::Info => {
                    request.headers.push(header("Content-Type", "application/dtmf-relay"));
                    request.body = "Signal=5\r\nDuration=160\r\n".into();
                }
                _ => {}
            }
            request
        })
        .into();
    let hold = session::sdp(address(EVIL_MEDIA), 0, "inactive");
    requests.push(rig.build(callee, Method::Invite, 501, Some(&hold)));
    requests
}

#[test]
fn whoever_knows_the_ids_ends_hears_and_transfers_nothing() {
    let (mut rig, legs) = crowd();
    let held = rig.edge.held();
    let told_count = rig.told.len();
    for callee in &legs {
        for request in tries(&mut rig, callee) {
            // The trunk of another leg of the same call is a stranger, too.
            let other = legs.iter().find(|other| other.address != callee.address).unwrap().address;
            for flow in [Rig::flow(address(STRANGER)), over_tcp(STRANGER), Rig::flow(other)] {
                let bytes = message::print_request(&request);
                rig.deliver_over(flow, &bytes);
                let known: Vec<u16> = answers(&mut rig);
                let mut unknown = request.clone();
                unknown.headers.iter_mut().for_each(|each| {
                    if matches!(each, Header::CallId(_)) {
                        *each = header("Call-ID", "s0-0123456789abcdef01234567");
                    }
                });
                rig.deliver_over(flow, &message::print_request(&unknown));
                assert_eq!(
                    known,
                    answers(&mut rig),
                    "{} tells whether there is such a call",
                    request.method
                );
                assert_eq!(
                    known,
                    if request.method == Method::Ack { vec![] } else { vec![481] },
                    "{}",
                    request.method
                );
                rig.advance(Duration::from_millis(200));
            }
        }
    }
    assert_eq!(rig.edge.held(), held);
    assert_eq!((rig.told.len(), rig.ended.len()), (told_count, 0));
    assert!(rig.requested_transfers.is_empty());
    let forward = rig.rtp(CUSTOMER_MEDIA, &legs[1].invite, 1);
    assert!(!matches!(forward, Forward::To { remote, .. } if remote == address(EVIL_MEDIA)));
    assert!(rig.media.iter().all(|(_, to)| *to != address(EVIL_MEDIA)));
    // The parties themselves are served on.
    let mut agent = legs[0].clone();
    rig.request(&mut agent, Method::Bye, None);
    rig.expect_response(200);
}

fn answers(rig: &mut Rig) -> Vec<u16> {
    rig.sent
        .drain(..)
        .map(|(_, message)| match message {
            message::SipMessage::Response(response) => response.status_code.code(),
            message::SipMessage::Request(request) => panic!("{} was sent", request.method),
        })
        .collect()
}

#[test]
fn a_strangers_response_is_nobodys() {
    let mut rig = Rig::placed();
    let invite = rig.expect_request(Method::Invite, AGENT);
    let sdp = session::sdp(address(EVIL_MEDIA), 0, "sendrecv");
    for code in [100, 180, 183, 200, 302, 401, 407, 486, 503, 603] {
        let mut forged = message::respond(&invite, code, "evil");
        forged.headers.push(header("Contact", format!("<sip:evil@{STRANGER}>")));
        forged.headers.push(header("WWW-Authenticate", "Digest realm=\"x\", nonce=\"y\""));
        message::set_body(
            &mut forged,
            Body { content_type: "application/sdp", bytes: sdp.as_bytes() },
        );
        let bytes = message::print_response(&forged);
        rig.deliver(address(STRANGER), &bytes);
        rig.deliver_over(over_tcp(STRANGER), &bytes);
        // The customer's trunk has no say in the agent's leg.
        rig.deliver(address(CUSTOMER), &bytes);
    }
    rig.expect_silence();
    assert_eq!(counted(&rig, "sip_foreign_responses"), 30);
    assert_eq!(rig.milestones, [(MilestoneKind::InviteSent, Some(LegName::Agent))]);
    // The phone itself is heard all the same.
    rig.reply_with_sdp(&invite, 200, "agent", AGENT_MEDIA);
    rig.expect_request(Method::Ack, AGENT);
    rig.answer_invite(CUSTOMER, "customer", CUSTOMER_MEDIA);
    rig.expect_request(Method::Ack, CUSTOMER);
    // Nor may it answer a BYE, or a hold's re-INVITE with a new address.
    rig.edge.control(rig.now, &"call-1".into(), "1", Verb::Hold).unwrap();
    rig.drain();
    let hold = rig.expect_request(Method::Invite, CUSTOMER);
    let mut forged = message::respond(&hold, 200, "customer");
    message::set_body(&mut forged, Body { content_type: "application/sdp", bytes: sdp.as_bytes() });
    rig.deliver(address(STRANGER), &message::print_response(&forged));
    rig.expect_silence();
    rig.reply_with_sdp(&hold, 200, "customer", CUSTOMER_MEDIA);
    rig.expect_request(Method::Ack, CUSTOMER);
    rig.hang_up();
    rig.expect_request(Method::Bye, CUSTOMER);
    let bye = rig.expect_request(Method::Bye, AGENT);
    rig.deliver(address(STRANGER), &message::print_response(&message::respond(&bye, 200, "")));
    rig.advance(Duration::from_secs(1));
    // Neither BYE is answered: both are sent again.
    assert_eq!(rig.sent.len(), 2);
    assert!(rig.media.iter().all(|(_, to)| *to != address(EVIL_MEDIA)));
}

#[test]
fn a_cluster_that_is_named_is_heard() {
    let mut rig = Rig::new();
    rig.place(clustered());
    rig.answer_invite(AGENT, "agent", AGENT_MEDIA);
    rig.expect_request(Method::Ack, AGENT);
    let invite = rig.expect_request(Method::Invite, CUSTOMER);
    // Another of its hosts rings, a third one answers, and the first one from another port.
    let sdp = session::sdp(address(CUSTOMER_MEDIA), 0, "sendrecv");
    for (from, code) in
        [("203.0.113.9:5080", 180), ("10.0.2.1:50123", 183), ("10.0.2.15:5060", 200)]
    {
        let mut response = message::respond(&invite, code, "customer");
        response.headers.push(header("Contact", "<sip:phone@10.0.2.14:5070>"));
        message::set_body(
            &mut response,
            Body { content_type: "application/sdp", bytes: sdp.as_bytes() },
        );
        rig.deliver(address(from), &message::print_response(&response));
    }
    // Its Contact is one of its own: the ACK goes there.
    rig.expect_request(Method::Ack, "10.0.2.14:5070");
    let mut customer = rig.callee(CUSTOMER, "customer", &invite);
    for from in ["203.0.113.200:5060", "10.0.2.3:5060"] {
        customer.address = address(from);
        rig.request(&mut customer, Method::Options, None);
        rig.expect_response(200);
    }
    let info = rig.build(&customer, Method::Options, 102, None);
    rig.deliver_over(over_tcp("10.0.2.4:40000"), &message::print_request(&info));
    rig.expect_response(200);
    assert!(rig.refused.is_empty());
    customer.address = address("10.0.2.16:5060");
    rig.request(&mut customer, Method::Bye, None);
    rig.expect_response(481);
    customer.address = address("203.0.113.1:5060");
    rig.request(&mut customer, Method::Bye, None);
    rig.expect_response(200);
}

#[test]
fn who_is_not_named_is_told_once_for_each_trunk() {
    let (mut rig, agent, customer) = Rig::bridged();
    for callee in [agent, customer] {
        for n in 0..5 {
            let mut foreign = callee.clone();
            foreign.address = address(&format!("192.0.2.{n}:5060"));
            rig.request(&mut foreign, Method::Options, None);
        }
    }
    let signalling = |trunk: &str| (trunk.to_owned(), ip("192.0.2.0"), SourceKind::Signalling);
    assert_eq!(rig.refused, [signalling("agents"), signalling("carrier")]);
    assert_eq!(SourceKind::Signalling.setting(), "signal_from");
}

/// Where a peer says that it is reached, as Contact or as a route of its own.
#[test]
fn a_named_host_that_is_none_of_the_trunks_is_not_knocked_at() {
    for (name, named) in [
        ("Contact", "<sip:evil@192.168.7.7:9999>"),
        ("Contact", "<sip:evil@10.0.0.1:5060>"),
        ("Contact", "<sip:evil@127.0.0.1:22;transport=tcp>"),
        ("Contact", "<sip:evil@192.0.2.66>"),
        ("Record-Route", "<sip:169.254.169.254;lr>"),
        ("Record-Route", "<sip:10.0.1.1;lr>"),
    ] {
        let (mut rig, _) = Rig::agent_answered();
        let invite = rig.expect_request(Method::Invite, CUSTOMER);
        let mut response = message::respond(&invite, 200, "customer");
        if name == "Record-Route" {
            response.headers.push(header("Contact", format!("<sip:phone@{CUSTOMER}>")));
        }
        response.headers.push(header(name, named));
        let sdp = session::sdp(address(CUSTOMER_MEDIA), 0, "sendrecv");
        message::set_body(
            &mut response,
            Body { content_type: "application/sdp", bytes: sdp.as_bytes() },
        );
        rig.deliver(address(CUSTOMER), &message::print_response(&response));
        let ack = rig.expect_request(Method::Ack, CUSTOMER);
        let written = if name == "Contact" {
            ack.uri.to_string()
        } else {
            ack.value("Route").unwrap().to_owned()
        };
        assert!(
            named.contains(written.trim_matches(['<', '>'])),
            "{named} is written as it came: {written}"
        );
        rig.hang_up();
        rig.expect_request(Method::Bye, CUSTOMER);
        rig.expect_request(Method::Bye, AGENT);
    }
}

/// Private signalled addresses: the phone behind a translator is found where its signalling goes, a
/// carrier where it is named.
#[test]
fn media_come_from_where_the_trunk_says() {
    let answered = |media_from: &[&str], named: &str| {
        let mut call = Rig::plain_call();
        call.customer.routes[0].media_from =
            media_from.iter().map(|network| network.parse().unwrap()).collect();
        let mut rig = Rig::new();
        rig.place(call);
        rig.answer_invite(AGENT, "agent", AGENT_MEDIA);
        rig.expect_request(Method::Ack, AGENT);
        let customer = rig.answer_invite(CUSTOMER, "customer", named);
        (rig, customer)
    };
    let hears = |rig: &mut Rig, customer: &Callee, from: &str| {
        (1..=10)
            .any(|sequence| matches!(rig.rtp(from, &customer.invite, sequence), Forward::To { .. }))
    };
    for (media_from, named, from, is_heard) in [
        (&[][..], "192.168.1.5:4000", "10.0.2.1:31000", true),
        (&[], "192.168.1.5:4000", "192.0.2.66:31000", false),
        (&[], "192.168.1.5:4000", "10.0.1.1:31000", false),
        (&["192.0.2.0/24"], "192.168.1.5:4000", "192.0.2.66:31000", true),
        (&["192.0.2.0/24"], "203.0.113.5:4000", "192.0.2.66:31000", true),
        (&[], "203.0.113.5:4000", "10.0.2.1:31000", false),
        (&[], "203.0.113.5:4000", "203.0.113.5:31000", true),
        (&[], "127.0.0.1:4000", "127.0.0.1:4000", false),
    ] {
        let (mut rig, customer) = answered(media_from, named);
        assert_eq!(hears(&mut rig, &customer, from), is_heard, "{named} from {from}");
        let told =
            (!is_heard).then(|| ("carrier".to_owned(), address(from).ip(), SourceKind::Media));
        assert_eq!(rig.refused, Vec::from_iter(told), "{named} from {from}");
    }
}

const UNKNOWN: &str = "s0-0123456789abcdef01234567";

/// A request of this number, in a dialog of these ids.
pub fn stray(from: &str, method: Method, number: u32, call_id: &str, tag: &str) -> Vec<u8> {
    let tag = if tag.is_empty() { String::new() } else { format!(";tag={tag}") };
    format!(
        "{method} sip:x@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK{number}\r\n\
         From: <sip:a@b>;tag=1\r\nTo: <sip:x@10.0.0.1>{tag}\r\nCall-ID: {call_id}\r\n\
         CSeq: 1 {method}\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )
    .into_bytes()
}

// An answer tells a scanner that there is something to try.
#[test]
fn a_scanner_hears_nothing() {
    let (mut rig, ..) = Rig::bridged();
    let methods = [
        Method::Options,
        Method::Invite,
        Method::Register,
        Method::Bye,
        Method::Cancel,
        Method::Message,
        Method::Subscribe,
    ];
    let mut count = 0;
    for method in methods {
        for (call_id, tag) in [("c", ""), ("c", "t"), (UNKNOWN, ""), (UNKNOWN, "t"), ("c", UNKNOWN)]
        {
            rig.deliver(address(STRANGER), &stray(STRANGER, method, 1, call_id, tag));
            count += 1;
        }
    }
    rig.deliver(address(STRANGER), b"OPTIONS sip:x@10.0.0.1 SIP/2.0\r\nTo: nobody\r\n\r\n");
    rig.expect_silence();
    assert_eq!(counted(&rig, "sip_unanswered_strays"), count + 1);
    // Over a stream neither; it is closed.
    for transport in [Transport::Tcp, Transport::Tls] {
        let flow = Flow { transport, ..over_tcp(STRANGER) };
        rig.deliver_over(flow, &stray(STRANGER, Method::Options, 1, "c", ""));
        rig.expect_silence();
        assert_eq!(std::mem::take(&mut rig.cut), [flow]);
    }
    assert_eq!(counted(&rig, "sip_unanswered_strays"), count + 3);
    rig.deliver_over(over_tcp(CUSTOMER), &stray(CUSTOMER, Method::Options, 1, "c", ""));
    rig.expect_response(200);
    assert_eq!(rig.cut, []);
    // A trunk's host is no stranger, nor are the networks that are named with it.
    rig.deliver(address(CUSTOMER), &stray(CUSTOMER, Method::Options, 1, "c", ""));
    rig.expect_response(200);
    let mut rig = Rig::new();
    rig.place(clustered());
    rig.answer_invite(AGENT, "agent", AGENT_MEDIA);
    rig.sent.clear();
    let peer = "203.0.113.77:5060";
    rig.deliver(address(peer), &stray(peer, Method::Options, 1, "c", ""));
    rig.expect_response(200);
}

// What was left behind ends (RFC 3261 §12.2.2); forged sources are not flooded by it.
#[test]
fn who_knows_ids_of_our_making_is_told_at_a_rate() {
    let mut rig = Rig::new();
    let flood = |rig: &mut Rig, from: &str| {
        for number in 0..5000 {
            rig.deliver(address(from), &stray(from, Method::Bye, number, UNKNOWN, UNKNOWN));
            rig.now += Duration::from_micros(200);
        }
        answers(rig)
    };
    let single = |rig: &mut Rig, from: &str| {
        rig.deliver(address(from), &stray(from, Method::Bye, 1, UNKNOWN, UNKNOWN));
        answers(rig)
    };
    let answered = flood(&mut rig, STRANGER);
    assert!((20..=41).contains(&answered.len()), "{}", answered.len());
    assert!(answered.iter().all(|code| *code == 481));
    assert_eq!(counted(&rig, "sip_unanswered_strays"), 5000 - answered.len() as u64);
    // Others are served meanwhile, and it is again after a while.
    assert_eq!(single(&mut rig, "192.0.2.68:5060"), [481]);
    rig.advance(Duration::from_secs(2));
    assert_eq!(single(&mut rig, STRANGER), [481]);
    // A trunk has no rate.
    rig.place(Rig::plain_call());
    rig.sent.clear();
    assert_eq!(flood(&mut rig, AGENT).len(), 5000);
}

// RFC 3261 §8.2.2.2, as far as a request without a tag can be ours.
#[test]
fn an_invite_that_comes_back_is_a_loop() {
    let (mut rig, _) = Rig::agent_answered();
    let mut invite = rig.expect_request(Method::Invite, CUSTOMER);
    invite.headers.iter_mut().for_each(|each| {
        if matches!(each, Header::Via(_)) {
            *each = header("Via", format!("SIP/2.0/UDP {CUSTOMER};branch=z9hG4bKround"));
        }
    });
    rig.deliver(address(STRANGER), &message::print_request(&invite));
    rig.expect_silence();
    rig.deliver(address(CUSTOMER), &message::print_request(&invite));
    rig.expect_response(482);
    assert_eq!(counted(&rig, "sip_looped_requests"), 1);
}

// RFC 3261 §21.5.4: the peer is told when to come again.
#[test]
fn a_full_shard_says_when_to_come_again() {
    let (mut rig, customer) = Rig::with_few_transactions();
    let mut refused = 0;
    for cseq in 200..220 {
        let request = rig.build(&customer, Method::Options, cseq, None);
        rig.deliver(address(CUSTOMER), &message::print_request(&request));
        let Some((_, message::SipMessage::Response(response))) = rig.sent.pop_front() else {
            panic!("no response")
        };
        if response.status_code.code() == 503 {
            assert_eq!(response.value("Retry-After"), Some("5"));
            refused += 1;
        }
    }
    assert!(refused > 0);
    assert_eq!(counted(&rig, "sip_transactions_refused"), refused);
}

#[test]
fn addresses_are_compared_by_host_whatever_the_port() {
    let (mut rig, _, mut customer) = Rig::bridged();
    customer.address = SocketAddr::new(address(CUSTOMER).ip(), 61_234);
    rig.request(&mut customer, Method::Bye, None);
    rig.expect_response(200);
    assert!(rig.refused.is_empty());
}
