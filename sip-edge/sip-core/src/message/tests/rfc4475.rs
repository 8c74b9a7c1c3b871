//! The torture messages of RFC 4475 by their names: what is well-formed is accepted with its
//! meaning, the rest gets the answer due.

mod doubtful;
mod valid;

use super::super::*;
use super::wire;

/// What becomes of a message.
#[derive(Debug, Clone, Copy)]
enum Expect {
    /// Parsed; the function looks at its meaning.
    Accept(fn(&SipMessage)),
    /// Refused with this error.
    Refuse(ParseError),
}

use Expect::{Accept, Refuse};

pub(crate) struct Torture {
    pub name: &'static str,
    pub text: &'static str,
    /// Bytes behind `text`, for bodies that are no text.
    pub tail: &'static [u8],
    expect: Expect,
}

const fn case(name: &'static str, expect: Expect, text: &'static str) -> Torture {
    Torture { name, text, tail: b"", expect }
}

impl Torture {
    pub fn bytes(&self) -> Vec<u8> {
        [&wire(self.text), self.tail].concat()
    }
}

#[track_caller]
fn request(message: &SipMessage) -> &Request {
    match message {
        SipMessage::Request(request) => request,
        SipMessage::Response(_) => panic!("a response"),
    }
}

#[track_caller]
fn response(message: &SipMessage) -> &Response {
    match message {
        SipMessage::Response(response) => response,
        SipMessage::Request(_) => panic!("a request"),
    }
}

#[track_caller]
fn check(case: &Torture) {
    let name = case.name;
    let outcome = parse(&case.bytes(), &Limits::default());
    match (case.expect, outcome) {
        (Accept(look), Ok(message)) => look(&message),
        (Refuse(expected), Err(error)) => assert_eq!(error, expected, "{name}"),
        (expected, outcome) => panic!("{name}: expected {expected:?}, got {outcome:?}"),
    }
}

#[test]
fn each_torture_message_gets_what_it_deserves() {
    assert_eq!(messages().count(), 49, "RFC 4475 defines 49 messages");
    messages().for_each(check);
}

#[test]
fn each_refused_torture_request_is_answered_to_its_sender() {
    let source = "192.0.2.250:5999".parse().unwrap();
    for case in messages() {
        let Refuse(error) = case.expect else { continue };
        let answer = refusal(&case.bytes(), error, source);
        let is_request = !case.text.starts_with("SIP/");
        // `insuf` lacks the very headers an answer copies (RFC 3261 §8.2.6.2).
        let due = is_request && case.name != "insuf";
        assert_eq!(answer.is_some(), due, "{}", case.name);
        if let (Some(answer), Answer::Status(code)) = (answer, error.answer()) {
            assert!(answer.starts_with(format!("SIP/2.0 {code} ").as_bytes()), "{}", case.name);
        }
    }
}

pub(crate) fn messages() -> impl Iterator<Item = &'static Torture> {
    valid::MESSAGES.iter().chain(doubtful::MESSAGES)
}
