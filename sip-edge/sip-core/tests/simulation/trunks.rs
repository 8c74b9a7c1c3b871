//! Trunks that are registered with and probed, and what their state means for calls.

use crate::rig::{AGENT, AGENT_MEDIA, BACKUP, CUSTOMER, CUSTOMER_MEDIA, Rig};
use crate::session::{self, address};
use crate::strangers::stray;
use call_words::{CallStatus, Reason};
use sip_core::command::{Credentials, KeptTrunk, PlaceCall};
use sip_core::event::TrunkState;
use sip_core::flow::{Flow, FlowFault, Transport};
use sip_core::message::{self, Header, Method, Request, View, header};
use sip_core::trunk::registration::Fault;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const CHALLENGE: &str = "Digest realm=\"carrier\", nonce=\"n1\", qop=\"auth\", algorithm=SHA-256";

fn credentials(password: &str) -> Option<Credentials> {
    Some(Credentials { username: "dialer".into(), password: password.into() })
}

/// A trunk at the customer's address that is neither registered with nor probed.
fn trunk() -> KeptTrunk {
    KeptTrunk {
        trunk: "carrier".into(),
        transport: Transport::Udp,
        addresses: vec![address(CUSTOMER)],
        domain: "carrier.example".into(),
        credentials: credentials("secret"),
        register: None,
        probe_interval: None,
        interface: None,
        signal_from: vec![],
    }
}

fn registered() -> KeptTrunk {
    KeptTrunk { register: Some(SECOND * 300), ..trunk() }
}

fn probed() -> KeptTrunk {
    KeptTrunk { probe_interval: Some(SECOND * 10), ..trunk() }
}

fn keep(rig: &mut Rig, trunks: &[KeptTrunk]) {
    rig.edge.keep_trunks(rig.now, trunks.to_vec());
    rig.drain();
}

/// A rig whose REGISTER is on its way.
fn registering() -> (Rig, Request) {
    let mut rig = Rig::new();
    keep(&mut rig, &[registered()]);
    let register = rig.expect_request(Method::Register, CUSTOMER);
    (rig, register)
}

/// A rig that is registered for a minute.
fn bound() -> (Rig, Request) {
    let (mut rig, register) = registering();
    rig.reply_with(&register, 200, "r", "Expires", "60");
    (rig, register)
}

/// The state that was told last, and nothing else is.
#[track_caller]
fn told(rig: &mut Rig) -> TrunkState {
    let state = rig.trunks.pop().expect("something was told");
    rig.trunks.clear();
    assert_eq!(state.trunk, "carrier");
    state
}

/// Whether it is registered, and the last fault.
#[track_caller]
fn registration(rig: &mut Rig) -> (bool, Option<Fault>) {
    let state = told(rig).registration.expect("it is registered with");
    (state.until.is_some_and(|until| rig.now < until), state.fault)
}

/// Lets the clock run up to the next message, and takes it: a request to the carrier, and how long
/// it took. What is repeated meanwhile is passed over.
#[track_caller]
fn next_request(rig: &mut Rig, method: Method) -> (Request, Duration) {
    rig.sent.clear();
    let begin = rig.now;
    while rig.sent.is_empty() {
        rig.advance(SECOND / 10);
        assert!(rig.now < begin + SECOND * 600, "{method} expected");
    }
    (rig.expect_request(method, CUSTOMER), rig.now - begin)
}

fn answers(request: &Request, nonce: &str) -> bool {
    request.value("Authorization").is_some_and(|value| value.contains(&format!("\"{nonce}\"")))
}

/// One call over the carrier, and over a second trunk if it has one.
fn call(is_backed: bool) -> PlaceCall {
    let mut call = Rig::plain_call();
    if is_backed {
        let backup = session::route("backup", address(BACKUP), "009876543210");
        call.customer.routes.push(backup);
    }
    call
}

/// Trunk and result of each attempt that the ended call told.
fn attempts(rig: &Rig) -> Vec<(String, String)> {
    let attempts = rig.ended().attempts.iter();
    attempts.map(|attempt| (attempt.trunk.to_string(), attempt.result.to_string())).collect()
}

fn attempt(trunk: &str, result: &str) -> (String, String) {
    (trunk.to_owned(), result.to_owned())
}

/// The customer's call that is placed now, up to the customer's first INVITE, if there is one.
fn place(rig: &mut Rig, is_backed: bool) {
    rig.place(call(is_backed));
    rig.answer_invite(AGENT, "agent", AGENT_MEDIA);
    rig.expect_request(Method::Ack, AGENT);
}

// RFC 3261 §10.2, §22.2
#[test]
fn it_registers_answers_challenges_and_refreshes() {
    let (mut rig, first) = registering();
    assert_eq!(registration(&mut rig), (false, None));
    assert_eq!(first.uri.to_string(), "sip:carrier.example");
    assert_eq!(first.value("To"), Some("<sip:dialer@carrier.example>"));
    assert_eq!(first.value("Contact"), Some("<sip:s0-carrier@10.0.0.1:5060>"));
    assert_eq!((first.value("Expires"), first.value("Authorization")), (Some("300"), None));
    rig.reply_with(&first, 401, "r", "WWW-Authenticate", CHALLENGE);
    let second = rig.expect_request(Method::Register, CUSTOMER);
    assert!(answers(&second, "n1"));
    assert_eq!(second.call_id(), first.call_id());
    assert_eq!(second.cseq_number(), first.cseq_number().map(|number| number + 1));
    assert_ne!(
        second.top_via().and_then(|via| via.branch()),
        first.top_via().and_then(|via| via.branch())
    );
    let contacts = "<sip:s1-carrier@10.0.0.1:5062>;expires=9, <sip:x@10.9.9.9>, \
        <sip:s0-carrier@10.0.0.1:5060>;expires=40";
    rig.reply_with(&second, 200, "r", "Contact", contacts);
    assert_eq!(registration(&mut rig), (true, None));
    let (refresh, after) = next_request(&mut rig, Method::Register);
    assert!(after >= SECOND * 20 && after <= SECOND * 31, "{after:?}");
    assert!(answers(&refresh, "n1"), "what answered once is sent along");
    assert!(refresh.value("Authorization").unwrap().contains("nc=00000002"));
    let stale = CHALLENGE.replace("n1", "n2") + ", stale=true";
    rig.reply_with(&refresh, 401, "r", "WWW-Authenticate", &stale);
    let again = rig.expect_request(Method::Register, CUSTOMER);
    assert!(answers(&again, "n2"));
    let stale = stale.replace("n2", "n3");
    rig.reply_with(&again, 401, "r", "WWW-Authenticate", &stale);
    let again = rig.expect_request(Method::Register, CUSTOMER);
    rig.reply_with(&again, 200, "r", "Expires", "40");
    assert_eq!(registration(&mut rig), (true, None));
    rig.expect_silence();
}

/// A rig that is registered over a stream.
fn bound_over(transport: Transport) -> (Rig, Request) {
    let mut rig = Rig::new();
    keep(&mut rig, &[KeptTrunk { transport, ..registered() }]);
    let register = rig.expect_request(Method::Register, CUSTOMER);
    rig.reply_with(&register, 200, "r", "Expires", "300");
    assert_eq!(registration(&mut rig), (true, None));
    (rig, register)
}

fn lose_flow(rig: &mut Rig, transport: Transport, at: &str, connection: Option<u64>) {
    let flow = Flow { transport, connection, ..Rig::flow(address(at)) };
    rig.edge.handle_flow_error(rig.now, flow, FlowFault::Broken);
    rig.drain();
}

#[test]
fn it_registers_over_streams_and_ends_that_when_it_is_kept_no_more() {
    for (transport, via, contact) in [
        (
            Transport::Tcp,
            "SIP/2.0/TCP 10.0.0.1:5060;",
            "<sip:s0-carrier@10.0.0.1:5060;transport=tcp>",
        ),
        (
            Transport::Tls,
            "SIP/2.0/TLS 10.0.0.1:5061;",
            "<sip:s0-carrier@10.0.0.1:5061;transport=tls>",
        ),
    ] {
        let (mut rig, register) = bound_over(transport);
        assert!(register.value("Via").unwrap().starts_with(via));
        assert_eq!(register.value("Contact"), Some(contact));
        rig.advance(SECOND);
        rig.expect_silence();
        keep(&mut rig, &[]);
        let end = rig.expect_request(Method::Register, CUSTOMER);
        assert_eq!((end.value("Contact"), end.value("Expires")), (Some(contact), Some("0")));
        assert_eq!(rig.edge.held().registration_count, 1, "its answer is waited for");
        rig.reply(&end, 200, "r");
        assert_eq!(rig.edge.held(), Default::default());
    }
}

// RFC 5626 §4.5
#[test]
fn a_stream_that_is_lost_is_registered_over_again() {
    let (mut rig, first) = bound_over(Transport::Tcp);
    rig.advance(SECOND * 60);
    // Another trunk's, another transport's, and one that the carrier opened.
    lose_flow(&mut rig, Transport::Tcp, BACKUP, None);
    lose_flow(&mut rig, Transport::Tls, CUSTOMER, None);
    lose_flow(&mut rig, Transport::Tcp, CUSTOMER, Some(9));
    rig.advance(SECOND);
    rig.expect_silence();
    lose_flow(&mut rig, Transport::Tcp, CUSTOMER, None);
    rig.advance(SECOND);
    let again = rig.expect_request(Method::Register, CUSTOMER);
    assert_eq!(again.call_id(), first.call_id());
    rig.reply_with(&again, 200, "r", "Expires", "300");
    // A carrier that hangs up each time is not asked each time.
    lose_flow(&mut rig, Transport::Tcp, CUSTOMER, None);
    rig.advance(SECOND * 25);
    rig.expect_silence();
    rig.advance(SECOND * 10);
    rig.expect_request(Method::Register, CUSTOMER);
}

/// A rig whose registrar has agreed to keep the way open, each so many seconds.
fn kept_open(keep: &str) -> Rig {
    let (mut rig, register) = registering();
    assert!(register.value("Via").unwrap().ends_with(";keep"), "it is offered");
    let mut response = message::respond(&register, 200, "r");
    response.headers.push(header("Expires", "300"));
    let via = register.value("Via").unwrap().replace(";keep", keep);
    let kept = response.headers.iter_mut().find(|each| matches!(each, Header::Via(_)));
    *kept.unwrap() = header("Via", via);
    rig.deliver(address(CUSTOMER), &message::print_response(&response));
    assert_eq!(registration(&mut rig), (true, None));
    rig
}

/// Answers the last Binding request: we are seen at this port.
fn answer_ping(rig: &mut Rig, from: &str, port: u8) {
    let (_, ping) = rig.pings.last().expect("a request").clone();
    let value = [0, 32, 0, 8, 0, 1, 0x21, 0x12 ^ port, 0x21, 0x12, 0xa4, 0x43];
    let answer = [&[1, 1, 0, 12], &ping[4..20], &value[..]].concat();
    rig.deliver(address(from), &answer);
}

// RFC 6223 §4, RFC 5626 §4.4.2
#[test]
fn the_way_over_udp_is_kept_open_if_both_agree() {
    let mut rig = kept_open(";keep=20");
    for count in 1..5 {
        let begin = rig.now;
        while rig.pings.len() < count {
            rig.advance(SECOND / 10);
        }
        assert!((16..=20).contains(&(rig.now - begin).as_secs()), "{:?}", rig.now - begin);
        answer_ping(&mut rig, CUSTOMER, 1);
    }
    let (flow, ping) = rig.pings.last().unwrap();
    assert_eq!((flow.remote, ping.len()), (address(CUSTOMER), 20));
    rig.expect_silence();
    // The translator has another way for us: the registrar is to know. A stranger's word is none.
    rig.advance(SECOND * 20);
    answer_ping(&mut rig, BACKUP, 7);
    rig.advance(SECOND / 10);
    rig.expect_silence();
    answer_ping(&mut rig, CUSTOMER, 7);
    rig.advance(SECOND / 10);
    rig.expect_request(Method::Register, CUSTOMER);
}

#[test]
fn a_way_that_nothing_comes_back_by_is_registered_over_again() {
    let mut rig = kept_open(";keep=0");
    let (register, after) = next_request(&mut rig, Method::Register);
    assert_eq!(rig.pings.len(), 7);
    assert!(rig.pings.iter().all(|(_, ping)| *ping == rig.pings[0].1), "one request, repeated");
    // 24 to 29 s, and 39.5 s of repetitions.
    assert!((62..70).contains(&after.as_secs()), "{after:?}");
    // One that agrees to nothing any more is left alone.
    rig.reply_with(&register, 200, "r", "Expires", "300");
    rig.advance(SECOND * 100);
    assert_eq!(rig.pings.len(), 7);
}

#[test]
fn without_an_agreement_nothing_is_sent() {
    for keep in ["", ";keep", ";keep=", ";keep=soon"] {
        let mut rig = kept_open(keep);
        rig.advance(SECOND * 100);
        assert_eq!(rig.pings, []);
    }
}

#[test]
fn each_refusal_is_told_with_its_reason_and_tried_again_later() {
    let other = CHALLENGE.replace("SHA-256", "SHA-512-256");
    for (code, name, value, why) in [
        (403, "X", "x", "forbidden"),
        (404, "X", "x", "the user is unknown"),
        (407, "Proxy-Authenticate", other.as_str(), "the credentials are not taken"),
        (423, "X", "x", "the time is too brief"),
        (423, "Min-Expires", "300", "no time suits the registrar"),
        (423, "Min-Expires", "9999999", "no time suits the registrar"),
        (200, "Expires", "0", "no time is granted"),
        (500, "X", "x", "refused"),
        (503, "Retry-After", "120", "the registrar is not available"),
        (302, "X", "x", "refused"),
    ] {
        let (mut rig, register) = registering();
        rig.reply_with(&register, code, "r", name, value);
        assert_eq!(registration(&mut rig), (false, Some(Fault { code: Some(code), why })));
        let (register, after) = next_request(&mut rig, Method::Register);
        let range = if code == 503 { 120..122 } else { 30..62 };
        assert!(range.contains(&after.as_secs()), "{code}: {after:?}");
        rig.reply_with(&register, 200, "r", "Expires", "60");
        assert_eq!(registration(&mut rig), (true, None));
    }
}

#[test]
fn wrong_credentials_are_tried_once_a_time() {
    let (mut rig, register) = registering();
    rig.reply_with(&register, 401, "r", "WWW-Authenticate", CHALLENGE);
    let signed = rig.expect_request(Method::Register, CUSTOMER);
    rig.reply_with(&signed, 401, "r", "WWW-Authenticate", &CHALLENGE.replace("n1", "n2"));
    rig.expect_silence();
    let fault = Fault { code: Some(401), why: "the credentials are not taken" };
    assert_eq!(registration(&mut rig), (false, Some(fault)));
    // The right ones are taken at once, without a restart.
    let right = KeptTrunk { credentials: credentials("right"), ..registered() };
    keep(&mut rig, &[right]);
    let register = rig.expect_request(Method::Register, CUSTOMER);
    assert_eq!(register.value("Authorization"), None, "the former nonce is not answered again");
    assert_eq!(register.call_id(), signed.call_id());
    assert!(register.cseq_number() > signed.cseq_number());
    rig.reply_with(&register, 200, "r", "Expires", "60");
    assert_eq!(registration(&mut rig), (true, None));
}

// RFC 3261 §10.2.8
#[test]
fn a_registrar_that_wants_a_longer_time_gets_it() {
    let (mut rig, register) = registering();
    rig.reply_with(&register, 423, "r", "Min-Expires", "1800");
    let register = rig.expect_request(Method::Register, CUSTOMER);
    assert_eq!(register.value("Expires"), Some("1800"));
    // Without a word about the time, what was asked for holds.
    rig.reply(&register, 200, "r");
    assert_eq!(registration(&mut rig), (true, None));
    assert!(rig.sent.is_empty());
    rig.advance(SECOND * 899);
    rig.expect_silence();
    assert!(next_request(&mut rig, Method::Register).1 <= SECOND * 452);
}

#[test]
fn lost_datagrams_are_repeated_and_silence_ends_what_was_granted() {
    let (mut rig, _) = bound();
    assert_eq!(registration(&mut rig), (true, None));
    rig.advance(SECOND * 45);
    let sent = std::mem::take(&mut rig.sent).len();
    assert!((2..=8).contains(&sent), "repeated while nothing comes: {sent}");
    assert!(rig.trunks.is_empty(), "what was granted holds");
    rig.advance(SECOND * 14);
    assert!(rig.trunks.is_empty());
    rig.advance(SECOND);
    assert_eq!(registration(&mut rig), (false, None), "expired at its time");
    rig.advance(SECOND * 32);
    let fault = Fault { code: None, why: "no response" };
    assert_eq!(registration(&mut rig), (false, Some(fault)));
    let cseq = |request: &Request| request.cseq_number();
    let (mut register, _) = next_request(&mut rig, Method::Register);
    let repeated = cseq(&register);
    while cseq(&register) == repeated {
        register = next_request(&mut rig, Method::Register).0;
    }
    rig.reply_with(&register, 200, "r", "Expires", "60");
    assert_eq!(registration(&mut rig), (true, None));
}

#[test]
fn another_address_is_asked_at_once() {
    let mut rig = Rig::new();
    let addresses = vec![address(BACKUP), address(CUSTOMER)];
    keep(&mut rig, &[KeptTrunk { addresses, ..registered() }]);
    let register = rig.expect_request(Method::Register, BACKUP);
    let response = message::respond(&register, 503, "r");
    rig.deliver(address(BACKUP), &message::print_response(&response));
    let register = rig.expect_request(Method::Register, CUSTOMER);
    rig.reply_with(&register, 200, "r", "Expires", "60");
    assert_eq!(registration(&mut rig), (true, None));
}

#[test]
fn a_trunk_that_is_taken_away_is_unregistered() {
    let (mut rig, first) = bound();
    keep(&mut rig, &[registered()]);
    rig.expect_silence();
    assert_eq!(registration(&mut rig), (true, None), "how it stands is told anew");
    keep(&mut rig, &[]);
    assert_eq!(told(&mut rig).registration, None);
    let end = rig.expect_request(Method::Register, CUSTOMER);
    assert_eq!((end.value("Expires"), end.call_id()), (Some("0"), first.call_id()));
    assert_eq!(rig.edge.held().registration_count, 1);
    rig.reply_with(&end, 401, "r", "WWW-Authenticate", CHALLENGE);
    let end = rig.expect_request(Method::Register, CUSTOMER);
    assert!(end.value("Expires") == Some("0") && answers(&end, "n1"));
    rig.reply(&end, 200, "r");
    assert_eq!(rig.edge.held().registration_count, 0);
    rig.advance(SECOND * 70);
    rig.expect_silence();
    assert_eq!(rig.edge.held(), Default::default());
    assert_eq!(rig.edge.poll_timeout(), None);
}

#[test]
fn another_user_is_another_registration() {
    let (mut rig, first) = bound();
    let user = Credentials { username: "other".into(), password: "secret".into() };
    keep(&mut rig, &[KeptTrunk { credentials: Some(user), ..registered() }]);
    let end = rig.expect_request(Method::Register, CUSTOMER);
    assert_eq!((end.value("Expires"), end.call_id()), (Some("0"), first.call_id()));
    let other = rig.expect_request(Method::Register, CUSTOMER);
    assert_eq!(other.value("To"), Some("<sip:other@carrier.example>"));
    assert_ne!(other.call_id(), first.call_id());
    assert_eq!(registration(&mut rig), (false, None));
}

// A carrier asks whether we are there before it has any call of ours.
#[test]
fn whoever_is_kept_is_no_stranger() {
    let mut rig = Rig::new();
    let named = "198.51.100.7:5060";
    let asks = |rig: &mut Rig, from: &str| {
        let options = stray(from, Method::Options, 1, "c", "");
        rig.deliver(address(from), &options);
    };
    for from in [CUSTOMER, named] {
        asks(&mut rig, from);
    }
    rig.expect_silence();
    let trunk = KeptTrunk { signal_from: vec!["198.51.100.0/24".parse().unwrap()], ..trunk() };
    keep(&mut rig, &[trunk]);
    for from in [CUSTOMER, named] {
        asks(&mut rig, from);
        rig.expect_response(200);
    }
    asks(&mut rig, "203.0.113.9:5060");
    rig.expect_silence();
}

#[test]
fn answers_from_elsewhere_are_not_taken_unless_the_trunk_names_it() {
    for (named, is_taken) in [(vec![], false), (vec!["10.0.3.0/24".parse().unwrap()], true)] {
        let mut rig = Rig::new();
        keep(&mut rig, &[KeptTrunk { signal_from: named, ..registered() }]);
        let register = rig.expect_request(Method::Register, CUSTOMER);
        let mut response = message::respond(&register, 200, "r");
        response.headers.push(header("Expires", "60"));
        rig.deliver(address(BACKUP), &message::print_response(&response));
        assert_eq!(registration(&mut rig), (is_taken, None));
    }
}

#[test]
fn a_call_passes_by_a_trunk_that_is_not_registered() {
    let (mut rig, _) = registering();
    place(&mut rig, true);
    let invite = rig.expect_request(Method::Invite, BACKUP);
    rig.reply(&invite, 486, "b");
    rig.expect_request(Method::Ack, BACKUP);
    assert_eq!(
        attempts(&rig)[1..],
        [attempt("carrier", "trunk_unregistered"), attempt("backup", "busy")]
    );
    assert_eq!(rig.ended().status, CallStatus::Busy);
}

#[test]
fn a_call_without_any_other_trunk_fails_for_that_reason() {
    let (mut rig, register) = registering();
    place(&mut rig, false);
    rig.expect_request(Method::Bye, AGENT);
    assert_eq!(rig.ended().reason, Some(Reason::TrunkUnregistered));
    assert_eq!(attempts(&rig)[1..], [attempt("carrier", "trunk_unregistered")]);
    rig.ended.clear();
    rig.reply_with(&register, 200, "r", "Expires", "60");
    rig.place(PlaceCall { call_id: "call-2".into(), ..call(false) });
    rig.answer_invite(AGENT, "agent", AGENT_MEDIA);
    rig.expect_request(Method::Ack, AGENT);
    rig.answer_invite(CUSTOMER, "customer", CUSTOMER_MEDIA);
}

#[test]
fn a_trunk_without_an_address_is_an_attempt() {
    let mut rig = Rig::new();
    let mut call = call(false);
    call.customer.skipped.push(("nowhere".into(), Reason::TrunkUnresolved));
    rig.place(call);
    rig.answer_invite(AGENT, "agent", AGENT_MEDIA);
    rig.expect_request(Method::Ack, AGENT);
    let invite = rig.expect_request(Method::Invite, CUSTOMER);
    rig.reply(&invite, 486, "c");
    assert_eq!(
        attempts(&rig)[1..],
        [attempt("nowhere", "trunk_unresolved"), attempt("carrier", "busy")]
    );
}

// RFC 3261 §11
#[test]
fn probes_take_a_trunk_away_and_bring_it_back() {
    let mut rig = Rig::new();
    keep(&mut rig, &[probed()]);
    let options = rig.expect_request(Method::Options, CUSTOMER);
    assert_eq!(options.uri.to_string(), "sip:carrier.example");
    // Whoever refuses is there.
    rig.reply(&options, 405, "o");
    assert_eq!(told(&mut rig).is_reachable, Some(true));
    for failure in [Some(503), Some(408), None] {
        assert!(rig.trunks.is_empty());
        let (options, after) = next_request(&mut rig, Method::Options);
        assert!(after >= SECOND * 9 && after <= SECOND * 12, "{after:?}");
        match failure {
            Some(code) => rig.reply(&options, code, "o"),
            None => rig.advance(SECOND * 4),
        }
    }
    assert_eq!(told(&mut rig).is_reachable, Some(false));
    rig.sent.clear();
    place(&mut rig, false);
    let bye = rig.expect_request(Method::Bye, AGENT);
    rig.reply(&bye, 200, "agent");
    assert_eq!(rig.ended().reason, Some(Reason::TrunkUnreachable));
    for _ in 0..2 {
        assert!(rig.trunks.is_empty());
        let (options, _) = next_request(&mut rig, Method::Options);
        rig.reply(&options, 200, "o");
    }
    assert_eq!(told(&mut rig).is_reachable, Some(true));
}

#[test]
fn a_breaker_puts_a_trunk_last_and_lets_one_call_try_it() {
    let mut rig = Rig::new();
    keep(&mut rig, &[]);
    let refused = |rig: &mut Rig, number: u32, order: [&str; 2]| {
        let call_id = format!("call-{number}").as_str().into();
        rig.place(PlaceCall { call_id, ..call(true) });
        rig.answer_invite(AGENT, "agent", AGENT_MEDIA);
        rig.expect_request(Method::Ack, AGENT);
        for at in order {
            let invite = rig.expect_request(Method::Invite, at);
            // The backup takes the call; the carrier is out of order.
            rig.reply(&invite, if at == CUSTOMER { 503 } else { 486 }, "c");
            rig.expect_request(Method::Ack, at);
            if at == BACKUP {
                break;
            }
        }
        rig.expect_request(Method::Bye, AGENT);
        rig.sent.clear();
    };
    for number in 1..=5 {
        assert!(rig.trunks.is_empty());
        refused(&mut rig, number, [CUSTOMER, BACKUP]);
    }
    assert!(told(&mut rig).is_avoided);
    refused(&mut rig, 6, [BACKUP, CUSTOMER]);
    rig.advance(SECOND * 31);
    rig.sent.clear();
    refused(&mut rig, 7, [CUSTOMER, BACKUP]);
    refused(&mut rig, 8, [BACKUP, CUSTOMER]);
    rig.advance(SECOND * 31);
    rig.sent.clear();
    assert!(rig.trunks.is_empty(), "nothing has changed");
    rig.place(PlaceCall { call_id: "call-9".into(), ..call(true) });
    rig.answer_invite(AGENT, "agent", AGENT_MEDIA);
    rig.expect_request(Method::Ack, AGENT);
    rig.answer_invite(CUSTOMER, "customer", CUSTOMER_MEDIA);
    assert!(!told(&mut rig).is_avoided, "it answered");
}
