//! A process that dies and the next one, which leaves the phones of the first (B10): each that
//! stood at a carrier gets its CANCEL or its BYE once, in every state, and one that answers all the
//! same is acknowledged and hung up.

use crate::rig::{AGENT, AGENT_MEDIA, CUSTOMER, CUSTOMER_MEDIA, Rig, SUPERVISOR, THIRD};
use crate::session::{self, address};
use crate::talk::{State, Talk, remove};
use call_words::SupervisorRole;
use sip_core::command::{Credentials, PlaceCall, Route};
use sip_core::control::Verb;
use sip_core::flow::{FlowFault, Transport};
use sip_core::message::{self, Method, Request, SipMessage, View};
use sip_core::remains;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// What the next process has just sent, by whom it is for.
fn farewells(rig: &mut Rig) -> Vec<(Method, &'static str, Request)> {
    let mut sent: Vec<_> = rig
        .sent
        .drain(..)
        .map(|(flow, message)| match message {
            SipMessage::Request(request) => {
                let home = [AGENT, CUSTOMER, THIRD, SUPERVISOR]
                    .into_iter()
                    .find(|home| address(home) == flow.remote);
                (request.method, home.expect("one of the peers"), request)
            }
            SipMessage::Response(response) => panic!("{response:?}"),
        })
        .collect();
    sent.sort_by_key(|(_, home, _)| *home);
    sent
}

/// Kills the process of a call and expects these farewells of the next one; each phone takes its
/// own.
#[track_caller]
fn check(mut rig: Rig, expected: &[(Method, &str)]) {
    rig.crash();
    let sent = farewells(&mut rig);
    assert_eq!(sent.iter().map(|(method, home, _)| (*method, *home)).collect::<Vec<_>>(), expected);
    for (method, home, request) in sent {
        rig.reply(&request, 200, "gone");
        if method == Method::Cancel {
            let invite = message::same_hop(&request, Method::Invite);
            rig.reply(&invite, 487, "gone");
            let ack = rig.expect_request(Method::Ack, home);
            assert_eq!(ack.top_via().unwrap().branch(), request.top_via().unwrap().branch());
            assert_eq!(ack.to_tag(), Some("gone"));
        }
    }
    rig.advance(200 * SECOND);
    rig.expect_silence();
    assert_eq!(rig.edge.held(), Default::default());
    assert_eq!(remains::read(&rig.journal), []);
    // Nobody is left for one more.
    rig.crash();
    rig.expect_silence();
}

#[test]
fn phones_are_left_in_every_state() {
    let (bye, cancel) = (Method::Bye, Method::Cancel);
    let both = [(bye, AGENT), (bye, CUSTOMER)];
    let with = |third: Method| [both.as_slice(), &[(third, THIRD)]].concat();
    check(Talk::at(State::Before).rig, &[(bye, AGENT), (cancel, CUSTOMER)]);
    check(Talk::at(State::Two).rig, &both);
    check(Talk::at(State::Held).rig, &both);
    check(Talk::at(State::ConsultRinging).rig, &with(cancel));
    check(Talk::at(State::Consulting).rig, &with(bye));
    check(Talk::at(State::Swapped).rig, &with(bye));
    check(Talk::at(State::JoinRinging).rig, &with(cancel));
    check(Talk::at(State::ThreeWay).rig, &with(bye));
    check(Talk::at(State::TransferRinging).rig, &with(cancel));
    check(Talk::at(State::AgentGone).rig, &[(bye, CUSTOMER), (bye, THIRD)]);
    let mut supervised = Talk::bridged();
    supervised.supervise(SupervisorRole::Listen);
    check(supervised.rig, &[both.as_slice(), &[(bye, SUPERVISOR)]].concat());
    let mut removed = Talk::at(State::ThreeWay);
    removed.done(remove("third"));
    removed.settle();
    check(removed.rig, &both);
}

#[test]
fn a_phone_is_left_however_far_its_invite_came() {
    // Nothing was heard of it.
    check(Rig::placed(), &[(Method::Cancel, AGENT)]);
    for code in [100, 180, 183] {
        let mut rig = Rig::placed();
        let invite = rig.expect_request(Method::Invite, AGENT);
        rig.reply(&invite, code, "agent");
        check(rig, &[(Method::Cancel, AGENT)]);
    }
    // Refused, or over.
    let mut rig = Rig::placed();
    let invite = rig.expect_request(Method::Invite, AGENT);
    rig.reply(&invite, 486, "agent");
    check(rig, &[]);
    let (mut rig, mut agent, _) = Rig::bridged();
    rig.request(&mut agent, Method::Bye, None);
    rig.sent.clear();
    // The agent hung up; the customer has not answered its BYE.
    check(rig, &[(Method::Bye, CUSTOMER)]);
    let (mut rig, _) = Rig::agent_answered();
    let invite = rig.expect_request(Method::Invite, CUSTOMER);
    rig.reply(&invite, 180, "customer");
    rig.hang_up();
    // Neither BYE nor CANCEL was answered.
    check(rig, &[(Method::Bye, AGENT), (Method::Cancel, CUSTOMER)]);
}

#[test]
fn the_invite_that_was_sent_last_is_cancelled() {
    let credentials = Some(Credentials { username: "u".into(), password: "s3cret".into() });
    let agents = vec![Route { credentials, ..session::route("agents", address(AGENT), "1001") }];
    let customer = vec![session::route("carrier", address(CUSTOMER), "9876543210")];
    let mut rig = Rig::new();
    rig.place(session::call("call-1", agents, customer));
    let first = rig.expect_request(Method::Invite, AGENT);
    rig.reply_with(
        &first,
        401,
        "agent",
        "WWW-Authenticate",
        "Digest realm=\"agents\", nonce=\"n1\"",
    );
    rig.expect_request(Method::Ack, AGENT);
    let second = rig.expect_request(Method::Invite, AGENT);
    rig.reply(&second, 180, "agent");
    let journal = String::from_utf8(rig.journal.clone()).unwrap();
    assert!(!journal.contains("s3cret") && !journal.contains("Digest"), "{journal}");
    rig.crash();
    let cancel = rig.expect_request(Method::Cancel, AGENT);
    assert_eq!(cancel.value("Via"), second.value("Via"));
    assert_eq!(cancel.cseq().unwrap().number, 2);
    assert_eq!(
        (cancel.value("From"), cancel.value("To")),
        (second.value("From"), second.value("To"))
    );
    assert_eq!(cancel.uri, second.uri);
}

// RFC 3261 §22.2: the BYE of the next process carries what would have answered the last challenge.
#[test]
fn a_farewell_carries_the_credentials_of_its_dialog() {
    let credentials = Some(Credentials { username: "u".into(), password: "s3cret".into() });
    let with = |mut routes: Vec<Route>| {
        routes[0].credentials = credentials.clone();
        routes
    };
    let agents = with(vec![session::route("agents", address(AGENT), "1001")]);
    let customer = with(vec![session::route("carrier", address(CUSTOMER), "9876543210")]);
    let mut rig = Rig::new();
    rig.place(session::call("call-1", agents, customer));
    let legs = [
        (AGENT, AGENT_MEDIA, 401, "WWW-Authenticate", "Authorization"),
        (CUSTOMER, CUSTOMER_MEDIA, 407, "Proxy-Authenticate", "Proxy-Authorization"),
    ];
    for (home, media, code, challenge, _) in legs {
        let invite = rig.expect_request(Method::Invite, home);
        let value = format!("Digest realm=\"{home}\", nonce=\"n1\", qop=\"auth\"");
        rig.reply_with(&invite, code, "first", challenge, &value);
        rig.expect_request(Method::Ack, home);
        let invite = rig.expect_request(Method::Invite, home);
        rig.reply_with_sdp(&invite, 200, "phone", media);
        rig.expect_request(Method::Ack, home);
    }
    rig.edge.control(rig.now, &"call-1".into(), "1", Verb::Hold).unwrap();
    rig.drain();
    let hold = rig.expect_request(Method::Invite, CUSTOMER);
    rig.reply_with_body(&hold, 200, "", &session::sdp(address(CUSTOMER_MEDIA), 0, "recvonly"));
    rig.expect_request(Method::Ack, CUSTOMER);
    assert!(!String::from_utf8_lossy(&rig.journal).contains("s3cret"));
    // The process after the next sends it once more.
    for _ in 0..2 {
        rig.crash();
        let sent = farewells(&mut rig);
        assert_eq!(sent.len(), 2);
        for (method, home, bye) in sent {
            let (.., header) = legs.into_iter().find(|(each, ..)| *each == home).unwrap();
            let value = bye.value(header).expect("it is signed");
            let count = if home == CUSTOMER { "nc=00000003" } else { "nc=00000002" };
            assert!(value.contains(count) && value.contains("nonce=\"n1\""), "{home}: {value}");
            assert!(value.contains(&format!("uri=\"{}\"", bye.uri)), "{home}: {value}");
            assert_eq!((method, bye.cseq().unwrap().number > 2), (Method::Bye, true));
        }
    }
}

// A carrier that answers from several addresses is heard by the next process, too.
#[test]
fn a_farewell_is_answered_by_any_host_of_a_cluster() {
    let clustered = || {
        let mut call = Rig::plain_call();
        call.customer.routes[0].signal_from =
            vec!["10.0.2.0/28".parse().unwrap(), "2001:db8::/64".parse().unwrap()];
        let mut rig = Rig::new();
        rig.place(PlaceCall { no_media: 900 * SECOND, ..call });
        rig.answer_invite(AGENT, "agent", AGENT_MEDIA);
        rig.expect_request(Method::Ack, AGENT);
        rig
    };
    let stands =
        |rig: &Rig| remains::read(&rig.journal).iter().any(|one| one.remote == address(CUSTOMER));
    let hosts = ["10.0.2.9:5060", "10.0.2.15:50123", "[2001:db8::7]:5060"];
    for from in hosts {
        // One that is answered all the same.
        let mut rig = clustered();
        let invite = rig.expect_request(Method::Invite, CUSTOMER);
        rig.reply(&invite, 180, "customer");
        rig.crash();
        rig.sent.clear();
        let mut answer = message::respond(&invite, 200, "customer");
        answer.headers.push(message::header("Contact", format!("<sip:phone@{CUSTOMER}>")));
        rig.deliver(address("10.0.2.16:5060"), &message::print_response(&answer));
        rig.expect_silence();
        rig.deliver(address(from), &message::print_response(&answer));
        rig.expect_request(Method::Ack, CUSTOMER);
        let bye = rig.expect_request(Method::Bye, CUSTOMER);
        rig.deliver(address(from), &message::print_response(&message::respond(&bye, 200, "")));
        rig.advance(200 * SECOND);
        assert!(!stands(&rig));
        // One that stood.
        let mut rig = clustered();
        rig.answer_invite(CUSTOMER, "customer", CUSTOMER_MEDIA);
        rig.expect_request(Method::Ack, CUSTOMER);
        rig.crash();
        let sent = farewells(&mut rig);
        let (_, _, bye) = sent.into_iter().find(|(_, home, _)| *home == CUSTOMER).unwrap();
        let answer = message::print_response(&message::respond(&bye, 200, ""));
        rig.deliver(address("192.0.2.66:5060"), &answer);
        assert!(stands(&rig), "a stranger's word is nothing");
        rig.deliver(address(from), &answer);
        assert!(!stands(&rig), "{from}");
    }
}

#[test]
fn a_phone_that_answers_all_the_same_is_acknowledged_and_hung_up() {
    for (cancel_answer, wait) in [(Some(200), 1), (Some(481), 40), (None, 170)] {
        let (mut rig, _) = Rig::agent_answered();
        let invite = rig.expect_request(Method::Invite, CUSTOMER);
        rig.reply(&invite, 180, "customer");
        rig.crash();
        let sent = farewells(&mut rig);
        for (_, _, request) in &sent {
            if let Some(code) = cancel_answer {
                rig.reply(request, code, "customer");
            }
        }
        rig.advance(wait * SECOND);
        rig.sent.clear();
        rig.reply_with_sdp(&invite, 200, "customer", CUSTOMER_MEDIA);
        let ack = rig.expect_request(Method::Ack, CUSTOMER);
        assert_eq!((ack.to_tag(), ack.cseq().unwrap().number), (Some("customer"), 1));
        assert_eq!(ack.uri.to_string(), format!("sip:phone@{CUSTOMER}"));
        let bye = rig.expect_request(Method::Bye, CUSTOMER);
        assert_eq!((bye.to_tag(), bye.cseq().unwrap().number), (Some("customer"), 2));
        // Its 200 comes again: the ACK as well, and no other BYE.
        rig.reply_with_sdp(&invite, 200, "customer", CUSTOMER_MEDIA);
        rig.expect_request(Method::Ack, CUSTOMER);
        rig.expect_silence();
        rig.reply(&bye, 200, "");
        rig.advance(200 * SECOND);
        rig.sent.clear();
        assert_eq!(rig.edge.held(), Default::default());
        assert_eq!(remains::read(&rig.journal), []);
    }
}

#[test]
fn a_farewell_that_is_not_answered_is_repeated_by_one_more_process_and_given_up_in_time() {
    let (mut rig, _, _) = Rig::bridged();
    rig.crash();
    assert_eq!(farewells(&mut rig).len(), 2);
    rig.advance(SECOND);
    rig.crash();
    let again = farewells(&mut rig);
    assert_eq!(
        again.iter().map(|(method, ..)| *method).collect::<Vec<_>>(),
        [Method::Bye, Method::Bye]
    );
    rig.advance(40 * SECOND);
    assert_eq!(rig.edge.held(), Default::default());
    assert_eq!(remains::read(&rig.journal), []);
}

#[test]
fn a_bye_goes_where_the_dialog_goes() {
    let (mut rig, mut agent, mut customer) = Rig::bridged();
    // Requests of ours, and a target that moved to a host that is none of the trunk's: it is named,
    // and the trunk is sent to.
    let third = "10.0.3.1:5060";
    rig.edge.control(rig.now, &"call-1".into(), "1", Verb::Hold).unwrap();
    rig.drain();
    let hold = rig.expect_request(Method::Invite, CUSTOMER);
    rig.reply_with_body(&hold, 200, "", &session::sdp(address(CUSTOMER_MEDIA), 0, "recvonly"));
    rig.expect_request(Method::Ack, CUSTOMER);
    let moved = rig.build(
        &customer,
        Method::Invite,
        200,
        Some(&session::sdp(address(CUSTOMER_MEDIA), 0, "recvonly")),
    );
    let moved = String::from_utf8(message::print_request(&moved)).unwrap();
    let moved = moved.replace(&format!("<sip:phone@{CUSTOMER}>"), &format!("<sip:moved@{third}>"));
    rig.deliver(customer.address, moved.as_bytes());
    rig.expect_response(200);
    customer.invite = hold.clone();
    rig.crash();
    let sent = farewells(&mut rig);
    let [(_, AGENT, to_agent), (_, CUSTOMER, to_customer)] = sent.as_slice() else {
        panic!("{sent:?}")
    };
    assert_eq!(to_customer.uri.to_string(), format!("sip:moved@{third}"));
    assert!(to_customer.cseq().unwrap().number > hold.cseq().unwrap().number);
    assert_eq!(to_agent.call_id(), agent.invite.call_id());
    // To the next process the dialogs of the first are unknown.
    rig.request(&mut agent, Method::Bye, None);
    rig.expect_response(481);
}

#[test]
fn a_trunk_over_tcp_is_opened_again() {
    let over_tcp = |mut route: Route| {
        route.transport = Transport::Tcp;
        route
    };
    let call = Rig::plain_call();
    let customer = call.customer.routes.into_iter().map(over_tcp).collect();
    let agents = vec![session::route("agents", address(AGENT), "1001")];
    let mut rig = Rig::new();
    rig.place(PlaceCall { no_media: 90 * SECOND, ..session::call("call-1", agents, customer) });
    rig.answer_invite(AGENT, "agent", AGENT_MEDIA);
    rig.expect_request(Method::Ack, AGENT);
    let invite = rig.expect_request(Method::Invite, CUSTOMER);
    rig.reply(&invite, 180, "customer");
    rig.crash();
    let flows: Vec<_> =
        rig.sent.iter().map(|(flow, _)| (flow.transport, flow.connection)).collect();
    assert!(
        flows.contains(&(Transport::Tcp, None)) && flows.contains(&(Transport::Udp, None)),
        "{flows:?}"
    );
    // It cannot be: nothing hangs.
    let flow = rig.sent.iter().find(|(flow, _)| flow.transport == Transport::Tcp).unwrap().0;
    rig.edge.handle_flow_error(rig.now, flow, FlowFault::Broken);
    rig.drain();
    rig.advance(40 * SECOND);
    assert_eq!(rig.edge.held(), Default::default());
    assert_eq!(remains::read(&rig.journal), []);
}
