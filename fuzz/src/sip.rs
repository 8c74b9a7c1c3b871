//! SIP: a datagram, a stream in two parts, and what transactions, calls and digests read of a
//! message.

use sip_core::digest::{Challenge, Proof};
use sip_core::message::{
    Framer, Limits, NameAddr, Read, SipMessage, Uri, View, ack_for, is_single, parse, print,
    print_request, print_response, read, refusal, respond, session_description, stamp_source,
};

/// What is accepted prints, is accepted again, prints the same, and can be answered.
pub fn exercise(bytes: &[u8]) {
    let limits = Limits::default();
    frame(bytes, &limits);
    let source = "192.0.2.250:5999".parse().expect("an address");
    let _ = is_single(bytes);
    if let Err(error) = parse(bytes, &limits)
        && let Some(answer) = refusal(bytes, error, source)
    {
        assert!(matches!(
            read(&answer, &limits),
            Ok(Read { message: SipMessage::Response(_), .. })
        ));
    }
    let Ok(Read { message, repairs, refusal }) = read(bytes, &limits) else { return };
    assert_eq!(repairs.is_empty(), refusal.is_none());
    look_at(&message);
    if refusal.is_none() {
        assert!(message.top_via().is_some() && message.call_id().is_some());
        assert!(message.from_addr().is_some() && message.to_addr().is_some());
        assert!(message.cseq().is_some() || matches!(message, SipMessage::Response(_)));
    }
    let printed = print(&message);
    let again = read(&printed, &limits).expect("what was read is read again").message;
    assert_eq!(print(&again), printed, "printing is stable");
    match message {
        SipMessage::Response(response) => {
            let _ = Challenge::from_response(&response);
        }
        SipMessage::Request(mut request) if refusal.is_none() => {
            let _ = Proof::of_request(&request, "carrier");
            stamp_source(&mut request, source);
            for code in [100, 486] {
                let response = respond(&request, code, "t");
                parse(&print_response(&response), &limits)
                    .expect("a response to what was accepted");
                parse(&print_request(&ack_for(&request, &response)), &limits).expect("an ACK");
            }
        }
        SipMessage::Request(_) => {}
    }
}

fn frame(bytes: &[u8], limits: &Limits) {
    let mut framer = Framer::new(*limits);
    let (front, back) = bytes.split_at(bytes.len() / 2);
    for part in [front, back] {
        framer.push(part);
        while let Ok(Some(_)) = framer.poll() {}
    }
}

fn look_at(message: &SipMessage) {
    let _ = message.top_via().map(|via| (via.branch(), via.reply_address()));
    let _ = (message.call_id(), message.cseq(), message.from_tag(), message.to_tag());
    let _ = (message.contact(), message.record_routes(), message.q850_cause());
    let _ = (message.retry_after(), message.session_expires(), message.rseq(), message.min_se());
    let _ = (message.required().count(), message.supports("timer"), message.max_forwards());
    let _ = session_description(message.value("Content-Type"), message.body());
    if let Some(uri) = message.contact_uri() {
        let _ = (uri.ip(), uri.user_text(), uri.target());
        let _ = Uri::parse(uri.as_str());
    }
    let _ = message.content_type();
    for name in ["P-Asserted-Identity", "Refer-To", "Diversion"] {
        let _ = message.value(name).map(|value| NameAddr::read(value).tag().map(str::len));
    }
}
