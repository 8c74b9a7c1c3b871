//! Odd messages of our own transactions and dialogs are taken, on each leg, in dialogs and before:
//! a call is not lost for a header that the next step does not need (S17, A11). The same from
//! strangers are refused.

use crate::rig::{AGENT, AGENT_MEDIA, CUSTOMER, CUSTOMER_MEDIA, Callee, Rig};
use crate::session::{self, address};
use crate::talk::Talk;
use call_words::{CallStatus, MilestoneKind};
use sip_core::command::{Credentials, PlaceCall};
use sip_core::control::Verb;
use sip_core::message::{self, Body, Method, Request, SipMessage, View, header, set_body};
use std::time::Duration;

type Change = fn(&str) -> String;

/// The message with the value of a header changed; of several only the first.
fn on(text: &str, name: &str, change: impl Fn(&str) -> String) -> String {
    let mut is_done = false;
    let line = |line: &str| match line.split_once(": ") {
        Some((each, value)) if each == name && !std::mem::replace(&mut is_done, true) => {
            format!("{name}: {}", change(value))
        }
        _ => line.to_owned(),
    };
    let text = text.split("\r\n").map(line).collect::<Vec<_>>().join("\r\n");
    assert!(is_done, "{name}");
    text
}

fn with(text: &str, line: &str) -> String {
    text.replacen("\r\nCSeq", &format!("\r\n{line}\r\nCSeq"), 1)
}

fn changed(message: Vec<u8>, change: Change) -> Vec<u8> {
    change(&String::from_utf8(message).unwrap()).into_bytes()
}

fn answer(invite: &Request, tag: &str, at: &str, media: &str) -> Vec<u8> {
    let mut response = message::respond(invite, 200, tag);
    response.headers.push(header("Contact", format!("<sip:phone@{at}>")));
    let sdp = session::sdp(address(media), session::formats_of(&invite.body)[0], "sendrecv");
    set_body(&mut response, Body { content_type: "application/sdp", bytes: sdp.as_bytes() });
    message::print_response(&response)
}

/// Changes of a 200 to our INVITE, each of another kind.
const ANSWERS: &[(&str, Change)] = &[
    ("empty rport", |text| {
        on(text, "Via", |via| via.replace(";rport", ";rport=;received=10.0.0.1"))
    }),
    ("Via ends in a semicolon", |text| on(text, "Via", |via| format!("{via};"))),
    ("odd parameter in Via", |text| on(text, "Via", |via| format!("{via};x=@;=y"))),
    ("To ends in a semicolon", |text| on(text, "To", |to| format!("{to};"))),
    ("base64 tag", |text| on(text, "To", |to| to.replace("tag=peer", "tag=c2lwLXRhZw=="))),
    ("percent in the tag", |text| on(text, "To", |to| to.replace("tag=peer", "tag=SD%"))),
    ("display name without quotes", |text| on(text, "To", |to| format!("Smith, J. (home) {to}"))),
    ("display name in Latin-1 and no closing quote", |text| {
        on(text, "To", |to| format!("\"J\u{e9} {to}"))
    }),
    ("From without its URI", |text| on(text, "From", |_| "nobody".into())),
    ("two To headers", |text| with(text, "t: <sip:other@x>;tag=other")),
    ("no Call-ID", |text| on(text, "Call-ID", |_| String::new()).replace("Call-ID: \r\n", "")),
    ("odd CSeq", |text| on(text, "CSeq", |_| "1  invite;x=".into())),
    ("CSeq without method", |text| on(text, "CSeq", |_| "1".into())),
    ("Contact with a semicolon too many", |text| {
        on(text, "Contact", |uri| uri.replace('>', ";>;"))
    }),
    ("Contact without a bracket", |text| on(text, "Contact", |uri| uri.replace('>', ""))),
    ("Record-Route with empty parameters", |text| {
        with(text, "Record-Route: <sip:10.0.2.1;lr;ftag=>")
    }),
    ("Record-Route with lr outside", |text| with(text, "Record-Route: <sip:10.0.2.1>;lr,")),
    ("Record-Route without brackets", |text| with(text, "Record-Route: sip:10.0.2.1;lr")),
    ("date and other headers", |text| {
        with(text, "Date: yesterday\r\nServer: \"\r\nAllow: ;;\r\nSession-Expires: soon")
    }),
    ("junk line", |text| with(text, "this is no header")),
    ("length too long", |text| on(text, "Content-Length", |_| "9999".into())),
    ("no length", |text| on(text, "Content-Length", |_| "many".into())),
    ("bare line feeds", |text| text.replace("\r\n", "\n")),
    ("no type of the body", |text| text.replacen("Content-Type: application/sdp\r\n", "", 1)),
    ("compact, capitals and parameters", |text| {
        text.replacen("Content-Type: application/sdp", "c: APPLICATION/SDP; charset=utf-8", 1)
    }),
    ("another status line", |text| text.replacen("SIP/2.0 200 OK", "SIP/2.0 200OK", 1)),
];

#[track_caller]
fn check_answer(name: &str, change: Change) {
    let mut rig = Rig::placed();
    rig.is_odd = true;
    for (at, media) in [(AGENT, AGENT_MEDIA), (CUSTOMER, CUSTOMER_MEDIA)] {
        let invite = rig.expect_request(Method::Invite, at);
        // The routes are the customer's.
        let change = if at == AGENT && name.contains("Route") { str::to_owned } else { change };
        let bytes = changed(answer(&invite, "peer", at, media), change);
        rig.deliver(address(at), &bytes);
        let ack = rig.expect_request(Method::Ack, at);
        assert!(
            ack.to_tag().is_some_and(|tag| ["peer", "c2lwLXRhZw==", "SD%"].contains(&tag)),
            "{name}: {:?}",
            ack.value("To")
        );
    }
    assert!(rig.has_milestone(MilestoneKind::Bridged), "{name}");
    rig.hang_up();
    let bye = rig.expect_request(Method::Bye, CUSTOMER);
    assert!(bye.uri.to_string().starts_with("sip:phone@10.0.2.1:5060"), "{name}: {}", bye.uri);
    rig.expect_request(Method::Bye, AGENT);
}

#[test]
fn odd_answers_are_acknowledged_and_bridged() {
    ANSWERS.iter().for_each(|(name, change)| check_answer(name, *change));
}

// The URI text is the peer's own: Contact becomes the request-URI, Record-Route the Route, as they
// are.
#[test]
fn what_the_peer_wrote_comes_back_as_it_was() {
    let (mut rig, _) = Rig::agent_answered();
    rig.is_odd = true;
    let invite = rig.expect_request(Method::Invite, CUSTOMER);
    let route = "Proxy, One <sip:10.0.2.1:5070;lr;;x=a==;y=>;z=";
    let bytes = changed(answer(&invite, "peer", CUSTOMER, CUSTOMER_MEDIA), |text| {
        let text = on(text, "Contact", |_| "Phone, Two <sip:p%@10.0.2.1:5060;ob;x=;>;q=".into());
        with(
            &text,
            "Record-Route: <sip:10.0.2.8;lr>\r\n\
                Record-Route: \"Proxy, One\" <sip:10.0.2.1:5070;lr;;x=a==;y=>;z=",
        )
    });
    rig.deliver(address(CUSTOMER), &bytes);
    let ack = rig.expect_request(Method::Ack, "10.0.2.1:5070");
    assert_eq!(ack.uri.to_string(), "sip:p%@10.0.2.1:5060;ob;x=;");
    let quoted = route.replace("Proxy, One", "\"Proxy, One\"");
    assert_eq!(ack.values("Route").collect::<Vec<_>>(), [quoted.as_str(), "<sip:10.0.2.8;lr>"]);
}

/// Failures and provisional responses, too, are taken for what they are.
#[test]
fn odd_failures_count() {
    for (code, change, status) in [
        (486, (|text| on(text, "To", |to| format!("{to};;x="))) as Change, CallStatus::Busy),
        (
            480,
            |text| with(text, "Reason: Q.850;cause=17;text=User busy, try later"),
            CallStatus::Busy,
        ),
        (
            503,
            |text| {
                on(&with(text, "Reason: Q.850;text=;cause=\"17\""), "Via", |via| format!("{via};"))
            },
            CallStatus::Busy,
        ),
        (
            500,
            |text| with(text, "Reason: SIP;cause=500\r\nReason: q.850;cause=19;"),
            CallStatus::NoAnswer,
        ),
    ] {
        let (mut rig, _) = Rig::agent_answered();
        rig.is_odd = true;
        let invite = rig.expect_request(Method::Invite, CUSTOMER);
        let ringing =
            changed(message::print_response(&message::respond(&invite, 180, "peer")), |text| {
                on(text, "Via", |via| format!("{via};rport="))
            });
        rig.deliver(address(CUSTOMER), &ringing);
        assert!(rig.has_milestone(MilestoneKind::Ringing));
        rig.deliver(
            address(CUSTOMER),
            &changed(message::print_response(&message::respond(&invite, code, "peer")), change),
        );
        rig.expect_request(Method::Ack, CUSTOMER);
        assert_eq!(rig.ended().status, status, "{code}");
    }
}

/// Changes of a request inside a dialog that its answer does not depend on.
const REQUESTS: &[(&str, Change)] = &[
    ("Via", |text| on(text, "Via", |via| format!("{via};;x="))),
    ("no sent-by", |text| on(text, "Via", |via| via.replace("UDP ", "UDP"))),
    ("From", |text| on(text, "From", |from| format!("Smith, J. {from};"))),
    ("From without tag", |text| {
        on(text, "From", |from| from.split(";tag=").next().unwrap().into())
    }),
    ("To", |text| on(text, "To", |to| format!("(us) {to};x=\""))),
    ("Max-Forwards", |text| on(text, "Max-Forwards", |_| "lots".into())),
    ("Max-Forwards twice", |text| with(text, "Max-Forwards: 1")),
    ("CSeq method", |text| on(text, "CSeq", |cseq| cseq.to_ascii_lowercase())),
    ("CSeq", |text| on(text, "CSeq", |_| "x".into())),
    ("two CSeq", |text| with(text, "CSeq: 1 OPTIONS")),
    ("Contact", |text| with(text, "Contact: <sip:;;>, \"")),
    ("Record-Route", |text| with(text, "Record-Route: junk")),
    ("Route", |text| with(text, "Route: <sip:10.0.0.1;lr;>")),
    ("request-URI", |text| text.replacen(" SIP/2.0", ";x=;  SIP/2.0", 1)),
    ("Date", |text| with(text, "Date: 1 Jan 70\r\nExpires: never\r\nRetry-After: x")),
    ("junk", |text| with(text, "junk\r\n\u{e9}: x")),
    ("length", |text| on(text, "Content-Length", |_| "x".into())),
    ("line feeds", |text| text.replace("\r\n", "\n")),
];

#[track_caller]
fn deliver_changed(
    rig: &mut Rig,
    callee: &mut Callee,
    cseq: u32,
    method: Method,
    sdp: Option<&str>,
    change: Change,
) {
    let request = rig.build(callee, method, cseq, sdp);
    rig.deliver(callee.address, &changed(message::print_request(&request), change));
}

#[test]
fn odd_requests_inside_a_dialog_are_served() {
    for (name, change) in REQUESTS {
        let (mut rig, agent, customer) = Rig::bridged();
        rig.is_odd = true;
        for (mut callee, media) in [(agent, AGENT_MEDIA), (customer, CUSTOMER_MEDIA)] {
            let sdp = session::sdp(address(media), 0, "sendrecv");
            for (cseq, method, sdp) in [
                (200, Method::Invite, Some(sdp.as_str())),
                (201, Method::Info, None),
                (202, Method::Update, None),
                (203, Method::Options, None),
            ] {
                deliver_changed(&mut rig, &mut callee, cseq, method, sdp, *change);
                let Some((_, SipMessage::Response(response))) = rig.sent.pop_front() else {
                    panic!("{name}: no answer to {method}")
                };
                assert_eq!(response.status_code.code(), 200, "{name}: {method}");
                if method == Method::Invite {
                    deliver_changed(&mut rig, &mut callee, cseq, Method::Ack, None, *change);
                    rig.advance(Duration::from_secs(2));
                    rig.expect_silence();
                }
            }
        }
        assert!(rig.ended.is_empty(), "{name}");
    }
}

#[test]
fn an_odd_bye_ends_the_call() {
    for (name, change) in REQUESTS {
        let (mut rig, _, mut customer) = Rig::bridged();
        rig.is_odd = true;
        deliver_changed(&mut rig, &mut customer, 200, Method::Bye, None, *change);
        rig.expect_response(200);
        assert_eq!(rig.ended().status, CallStatus::Answer, "{name}");
    }
}

// Strictness stays for strangers: the same BYE with a Call-ID that is not ours.
#[test]
fn a_strangers_odd_request_is_refused() {
    let (mut rig, _, customer) = Rig::bridged();
    let bye = rig.build(&customer, Method::Bye, 200, None);
    let bytes = changed(message::print_request(&bye), |text| {
        on(&on(text, "Call-ID", |_| "foreign".into()), "Max-Forwards", |_| "lots".into())
    });
    rig.deliver(customer.address, &bytes);
    rig.expect_response(400);
    assert!(rig.ended.is_empty());
    assert!(rig.edge.counters().any(|counter| counter == ("sip_malformed_messages", 1)));
    assert!(rig.edge.counters().any(|counter| counter == ("sip_repaired_max_forwards", 0)));
    deliver_changed(&mut rig, &mut customer.clone(), 201, Method::Options, None, |text| {
        on(text, "Max-Forwards", |_| "lots".into())
    });
    rig.expect_response(200);
    assert!(rig.edge.counters().any(|counter| counter == ("sip_repaired_max_forwards", 1)));
}

// A final response that nothing can be done with is told, once.
#[test]
fn a_stray_final_response_is_told() {
    let (mut rig, _) = Rig::agent_answered();
    let invite = rig.expect_request(Method::Invite, CUSTOMER);
    let bytes = changed(answer(&invite, "peer", CUSTOMER, CUSTOMER_MEDIA), |text| {
        on(text, "Via", |_| "SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKlost".into())
    });
    rig.deliver(address(CUSTOMER), &bytes);
    rig.deliver(address(CUSTOMER), &bytes);
    rig.expect_silence();
    let told: Vec<_> =
        rig.told.iter().filter(|one| one.kind == MilestoneKind::ResponseIgnored).collect();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].sip_code, Some(200));
    assert!(rig.edge.counters().any(|counter| counter == ("sip_stray_responses", 2)));
}

/// A description among other parts, wherever one may stand.
#[test]
fn descriptions_in_several_parts() {
    fn several(text: &str) -> String {
        let (head, sdp) = text.split_once("\r\n\r\n").unwrap();
        let head = head.replace(
            "Content-Type: application/sdp",
            "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b 1\"",
        );
        let body = format!(
            "preamble\r\n--b 1\r\nContent-Type: application/isup;version=x\r\n\r\n\u{1}\u{2}\r\n\
                --b 1\r\nContent-Type: application/sdp\r\n\r\n{sdp}\r\n--b 1--\r\n"
        );
        on(&format!("{head}\r\n\r\n{body}"), "Content-Length", |_| body.len().to_string())
    }
    let (mut rig, _) = Rig::agent_answered();
    let invite = rig.expect_request(Method::Invite, CUSTOMER);
    let bytes = changed(answer(&invite, "customer", CUSTOMER, CUSTOMER_MEDIA), several);
    rig.deliver(
        address(CUSTOMER),
        &changed(bytes.clone(), |text| text.replacen("200 OK", "183 Session Progress", 1)),
    );
    assert!(rig.has_milestone(MilestoneKind::EarlyMedia));
    rig.deliver(address(CUSTOMER), &bytes);
    rig.expect_request(Method::Ack, CUSTOMER);
    assert!(rig.has_milestone(MilestoneKind::Bridged));
    let mut customer = rig.callee(CUSTOMER, "customer", &invite);
    let hold = session::sdp(address(CUSTOMER_MEDIA), 0, "sendonly");
    deliver_changed(&mut rig, &mut customer, 200, Method::Invite, Some(&hold), several);
    assert!(String::from_utf8_lossy(&rig.expect_response(200).body).contains("a=recvonly"));
    deliver_changed(&mut rig, &mut customer, 200, Method::Ack, None, str::to_owned);
    let resume = session::sdp(address(CUSTOMER_MEDIA), 0, "sendrecv");
    deliver_changed(&mut rig, &mut customer, 201, Method::Update, Some(&resume), several);
    assert!(String::from_utf8_lossy(&rig.expect_response(200).body).contains("a=sendrecv"));
    // Our offer in a 200, their answer in the ACK.
    deliver_changed(&mut rig, &mut customer, 202, Method::Invite, None, str::to_owned);
    rig.expect_response(200);
    deliver_changed(&mut rig, &mut customer, 202, Method::Ack, Some(&hold), several);
    assert_eq!(rig.milestones.iter().filter(|(kind, _)| *kind == MilestoneKind::Held).count(), 2);
}

// What was odd in a description that was taken is counted by its name, whatever message of which
// leg it came in.
#[test]
fn odd_descriptions_are_counted() {
    fn no_times(text: &str) -> String {
        let text = text.replace("t=0 0\r\n", "");
        let body_len = text.split_once("\r\n\r\n").unwrap().1.len();
        on(&text, "Content-Length", |_| body_len.to_string())
    }
    let counted = |rig: &Rig, name: &str| {
        rig.edge.counters().find(|(each, _)| *each == name).map(|(_, count)| count)
    };
    let sessions = |rig: &Rig| counted(rig, "sdp_repaired_sessions");
    let mut rig = Rig::placed();
    let mut count = 0;
    for (home, media) in [(AGENT, AGENT_MEDIA), (CUSTOMER, CUSTOMER_MEDIA)] {
        let invite = rig.expect_request(Method::Invite, home);
        let bytes = changed(answer(&invite, "peer", home, media), no_times);
        // Nothing of a stranger's is taken.
        rig.deliver(address("192.0.2.66:5060"), &bytes);
        let early =
            changed(bytes.clone(), |text| text.replacen("200 OK", "183 Session Progress", 1));
        rig.deliver(address(home), &early);
        rig.deliver(address(home), &bytes);
        rig.expect_request(Method::Ack, home);
        count += 2;
        assert_eq!(sessions(&rig), Some(count));
        let mut callee = rig.callee(home, "peer", &invite);
        let sdp = session::sdp(address(media), 0, "sendrecv");
        if home == CUSTOMER {
            for (cseq, method) in [(200, Method::Update), (201, Method::Invite)] {
                deliver_changed(&mut rig, &mut callee, cseq, method, Some(&sdp), no_times);
                rig.expect_response(200);
                count += 1;
                assert_eq!(sessions(&rig), Some(count));
            }
        }
    }
    assert_eq!(counted(&rig, "sdp_repaired_lines"), Some(0));
}

/// Where the peer names nothing that can be sent to, its requests go where the INVITE went.
#[test]
fn requests_without_a_target_follow_the_invite() {
    const TRUNK: &str = "10.0.2.1:15060";
    for contact in [
        "",
        "Contact: *",
        "Contact: <>",
        "Contact: phone",
        "Contact: <sip:phone@0.0.0.0>",
        "Contact: <sip:phone@10.0.9.9:0>",
        // Its own host, at a port that is none.
        "Contact: <sip:phone@10.0.2.1:0>",
        "Contact: <sip:a b@10.0.9.9>",
        "Contact: <sip:phone@[2001:db8::1]>",
        "Contact: <sip:phone@host.example>",
    ] {
        let mut call = Rig::plain_call();
        call.customer.routes[0].address = address(TRUNK);
        call.customer.routes[0].domain = "10.0.2.1:15060".into();
        let mut rig = Rig::new();
        rig.is_odd = true;
        rig.place(call);
        rig.answer_invite(AGENT, "agent", AGENT_MEDIA);
        rig.expect_request(Method::Ack, AGENT);
        let invite = rig.expect_request(Method::Invite, TRUNK);
        assert_eq!(invite.uri.to_string(), "sip:9876543210@10.0.2.1:15060;user=phone");
        let text = String::from_utf8(answer(&invite, "customer", TRUNK, CUSTOMER_MEDIA)).unwrap();
        let text = text.replace(
            &format!("Contact: <sip:phone@{TRUNK}>\r\n"),
            &if contact.is_empty() { String::new() } else { format!("{contact}\r\n") },
        );
        rig.deliver(address(TRUNK), text.as_bytes());
        rig.expect_request(Method::Ack, TRUNK);
        assert_eq!(rig.edge.control(rig.now, &"call-1".into(), "hold", Verb::Hold), Ok(()));
        rig.drain();
        rig.expect_request(Method::Invite, TRUNK);
        rig.hang_up();
        rig.expect_request(Method::Bye, TRUNK);
    }
}

// RFC 3261 §18.1.1: "implementations MUST be able to handle messages up to the maximum datagram
// packet size", 65,535 bytes.
#[test]
fn a_long_answer_is_read() {
    for line_count in [100, 400] {
        let (mut rig, _) = Rig::agent_answered();
        let invite = rig.expect_request(Method::Invite, CUSTOMER);
        let text =
            String::from_utf8(answer(&invite, "customer", CUSTOMER, CUSTOMER_MEDIA)).unwrap();
        let line = format!("History-Info: <sip:{}@x>", "1".repeat(50_000 / line_count));
        rig.deliver(
            address(CUSTOMER),
            with(&text, &vec![line.as_str(); line_count].join("\r\n")).as_bytes(),
        );
        rig.expect_request(Method::Ack, CUSTOMER);
    }
}

// RFC 3262 §4: who sends a reliable provisional response unasked waits for its PRACK all the same.
#[test]
fn a_reliable_provisional_response_gets_its_prack() {
    let (mut rig, _) = Rig::agent_answered();
    let invite = rig.expect_request(Method::Invite, CUSTOMER);
    let reliable = |rseq: u32| {
        let text =
            String::from_utf8(answer(&invite, "customer", CUSTOMER, CUSTOMER_MEDIA)).unwrap();
        with(
            &text.replacen("200 OK", "183 Session Progress", 1),
            &format!("Require: 100rel\r\nRSeq: {rseq}"),
        )
        .into_bytes()
    };
    rig.deliver(address(CUSTOMER), &reliable(7));
    let prack = rig.expect_request(Method::PRack, CUSTOMER);
    assert_eq!(prack.value("RAck"), Some("7 1 INVITE"));
    assert_eq!((prack.to_tag(), prack.cseq().unwrap().number), (Some("customer"), 2));
    rig.reply(&prack, 200, "");
    // Its retransmission needs none.
    rig.deliver(address(CUSTOMER), &reliable(7));
    rig.expect_silence();
    rig.deliver(address(CUSTOMER), &reliable(8));
    let prack = rig.expect_request(Method::PRack, CUSTOMER);
    assert_eq!((prack.value("RAck"), prack.cseq().unwrap().number), (Some("8 1 INVITE"), 3));
    rig.reply(&prack, 481, "");
    rig.reply_with_sdp(&invite, 200, "customer", CUSTOMER_MEDIA);
    let ack = rig.expect_request(Method::Ack, CUSTOMER);
    assert_eq!(ack.cseq().unwrap().number, 1);
    rig.hang_up();
    assert_eq!(rig.expect_request(Method::Bye, CUSTOMER).cseq().unwrap().number, 4);
}

/// A call that stands without media, its agent there.
fn patient() -> Rig {
    let mut rig = Rig::new();
    rig.place(PlaceCall { no_media: Duration::from_secs(3600), ..Rig::plain_call() });
    rig.answer_invite(AGENT, "agent", AGENT_MEDIA);
    rig.expect_request(Method::Ack, AGENT);
    rig
}

/// A call whose customer's 200 carries this Session-Expires.
fn timed(expires: &str) -> Rig {
    let mut rig = patient();
    let invite = rig.expect_request(Method::Invite, CUSTOMER);
    assert_eq!(invite.value("Supported"), Some("timer, 100rel"));
    let text = String::from_utf8(answer(&invite, "customer", CUSTOMER, CUSTOMER_MEDIA)).unwrap();
    rig.deliver(address(CUSTOMER), with(&text, expires).as_bytes());
    rig.expect_request(Method::Ack, CUSTOMER);
    rig
}

fn answer_refresh(rig: &mut Rig, invite: &Request) {
    rig.reply_with_body(invite, 200, "", &session::sdp(address(CUSTOMER_MEDIA), 0, "sendrecv"));
    rig.expect_request(Method::Ack, CUSTOMER);
}

// RFC 4028 §7.4, §10: who is made the refresher refreshes at half the interval, for as long as the
// call stands.
#[test]
fn a_session_is_refreshed_when_the_peer_wants_it() {
    for expires in [
        "Session-Expires: 90;refresher=uac",
        "x: 90",
        "Session-Expires: 90 ;refresher=\"UAC\";",
        "Require: timer\r\nSession-Expires: 90;refresher=uac",
    ] {
        let mut rig = timed(expires);
        rig.advance(Duration::from_secs(44));
        rig.expect_silence();
        for _ in 0..2 {
            rig.advance(Duration::from_secs(1));
            let invite = rig.expect_request(Method::Invite, CUSTOMER);
            assert_eq!(invite.value("Session-Expires"), Some("90;refresher=uac"));
            assert!(!invite.body.is_empty());
            answer_refresh(&mut rig, &invite);
            rig.advance(Duration::from_secs(44));
            rig.expect_silence();
        }
        rig.hang_up();
        rig.sent.clear();
        rig.expect_nothing_held();
    }
}

#[test]
fn a_refresh_that_fails_is_tried_again() {
    let mut rig = timed("Session-Expires: 100;refresher=uac");
    rig.advance(Duration::from_secs(50));
    let invite = rig.expect_request(Method::Invite, CUSTOMER);
    rig.reply(&invite, 500, "");
    rig.expect_request(Method::Ack, CUSTOMER);
    rig.advance(Duration::from_secs(25));
    let invite = rig.expect_request(Method::Invite, CUSTOMER);
    // The peer's shortest interval is taken over at once.
    rig.reply_with(&invite, 422, "", "Min-SE", "600");
    rig.expect_request(Method::Ack, CUSTOMER);
    rig.advance(Duration::from_millis(1));
    let invite = rig.expect_request(Method::Invite, CUSTOMER);
    assert_eq!(invite.value("Session-Expires"), Some("600;refresher=uac"));
    answer_refresh(&mut rig, &invite);
    assert!(rig.ended.is_empty());
}

#[test]
fn a_peer_that_refreshes_is_answered() {
    let answered = || {
        let mut rig = patient();
        let customer = rig.answer_invite(CUSTOMER, "customer", CUSTOMER_MEDIA);
        rig.expect_request(Method::Ack, CUSTOMER);
        (rig, customer)
    };
    let refresh = |(rig, customer): &mut (Rig, Callee),
                   cseq: u32,
                   method: Method,
                   lines: &str,
                   expected: Option<&str>| {
        let sdp = session::sdp(address(CUSTOMER_MEDIA), 0, "sendrecv");
        let request =
            rig.build(customer, method, cseq, (method == Method::Invite).then_some(sdp.as_str()));
        let text = String::from_utf8(message::print_request(&request)).unwrap();
        rig.deliver(address(CUSTOMER), with(&text, lines).as_bytes());
        assert_eq!(rig.expect_response(200).value("Session-Expires"), expected, "{lines}");
        if method == Method::Invite {
            let ack = rig.build(customer, Method::Ack, cseq, None);
            rig.deliver(address(CUSTOMER), &message::print_request(&ack));
        }
        rig.advance(Duration::from_secs(46));
        rig.sent.pop_front()
    };
    let mut peer = answered();
    assert!(
        refresh(
            &mut peer,
            200,
            Method::Update,
            "Supported: timer\r\nSession-Expires: 90;refresher=uac",
            Some("90;refresher=uac")
        )
        .is_none()
    );
    assert!(
        refresh(
            &mut peer,
            201,
            Method::Invite,
            "Require: timer\r\nx: 90",
            Some("90;refresher=uac")
        )
        .is_none()
    );
    // Who cannot refresh, or does not wish to, leaves it to us (RFC 4028 §9).
    for (cseq, lines) in [
        (202, "Session-Expires: 90"),
        (203, "Supported: timer\r\nSession-Expires: 90;refresher=uas"),
    ] {
        let ours = refresh(&mut answered(), cseq, Method::Invite, lines, Some("90;refresher=uas"));
        let Some((_, SipMessage::Request(ours))) = ours else { panic!("{lines}: no refresh") };
        assert_eq!(ours.method, Method::Invite);
    }
}

const CHALLENGE: &str = "Digest realm=\"trunk\", nonce=\"n1\", algorithm=MD5, qop=\"auth\"";

/// Which request with a nonce it is.
fn count_of(request: &Request) -> Option<String> {
    let value = request.value("Proxy-Authorization")?;
    Some(value.split("nc=").nth(1)?.chars().take(8).collect())
}

// RFC 3261 §22.2: the credentials of the INVITE go along with what follows in its dialog.
#[test]
fn credentials_are_sent_along_inside_the_dialog() {
    let mut call = Rig::plain_call();
    call.customer.routes[0].credentials =
        Some(Credentials { username: "u".into(), password: "p".into() });
    let mut rig = Rig::new();
    rig.place(call);
    rig.answer_invite(AGENT, "agent", AGENT_MEDIA);
    rig.expect_request(Method::Ack, AGENT);
    let invite = rig.expect_request(Method::Invite, CUSTOMER);
    rig.reply_with(&invite, 407, "proxy", "Proxy-Authenticate", CHALLENGE);
    rig.expect_request(Method::Ack, CUSTOMER);
    let invite = rig.expect_request(Method::Invite, CUSTOMER);
    assert_eq!(count_of(&invite).as_deref(), Some("00000001"));
    let text = String::from_utf8(answer(&invite, "customer", CUSTOMER, CUSTOMER_MEDIA)).unwrap();
    let early =
        with(&text.replacen("200 OK", "183 Session Progress", 1), "Require: 100rel\r\nRSeq: 1");
    rig.deliver(address(CUSTOMER), early.as_bytes());
    let prack = rig.expect_request(Method::PRack, CUSTOMER);
    assert_eq!(count_of(&prack).as_deref(), Some("00000002"));
    // A new challenge is answered inside the dialog, too, once.
    rig.reply_with(&prack, 407, "", "Proxy-Authenticate", &CHALLENGE.replace("n1", "n2"));
    let prack = rig.expect_request(Method::PRack, CUSTOMER);
    assert!(prack.value("Proxy-Authorization").unwrap().contains("\"n2\""));
    assert_eq!(prack.value("RAck"), Some("1 2 INVITE"));
    rig.reply_with(&prack, 407, "", "Proxy-Authenticate", &CHALLENGE.replace("n1", "n3"));
    rig.expect_silence();
    rig.deliver(address(CUSTOMER), text.as_bytes());
    rig.expect_request(Method::Ack, CUSTOMER);
    rig.hang_up();
    let bye = rig.expect_request(Method::Bye, CUSTOMER);
    assert_eq!(count_of(&bye).as_deref(), Some("00000002"), "of the nonce n2");
    rig.reply_with(&bye, 407, "", "Proxy-Authenticate", &CHALLENGE.replace("n1", "n4"));
    rig.expect_request(Method::Bye, AGENT);
    let bye = rig.expect_request(Method::Bye, CUSTOMER);
    assert!(bye.value("Proxy-Authorization").unwrap().contains("\"n4\""));
}

#[test]
fn what_is_served_is_said() {
    let mut talk = Talk::bridged();
    let options = talk.rig.build(&talk.agent, Method::Options, 300, None);
    talk.rig.deliver(address(AGENT), &message::print_request(&options));
    let response = talk.rig.expect_response(200);
    for method in ["REFER", "NOTIFY", "UPDATE", "INFO"] {
        assert!(response.value("Allow").unwrap().contains(method), "{method}");
        assert!(talk.agent.invite.value("Allow").unwrap().contains(method), "{method}");
    }
    assert_eq!(response.value("Supported"), Some("timer"));
}
