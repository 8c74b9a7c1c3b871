//! The machines as scripts that read as RFC 3261 §17 and RFC 6026: a MUST, a step, the outputs.
//! Times are milliseconds from the start.

mod client_invite;
mod client_non_invite;
mod server_invite;
mod server_non_invite;
mod table;

use std::time::{Duration, Instant};

use super::*;
use crate::message::{Body, Method, RequestParts, SipMessage, parse, request, respond};

const UDP: Reliability = Reliability::Unreliable;
const TCP: Reliability = Reliability::Reliable;

fn made(method: Method, branch: &str) -> Request {
    request(&RequestParts {
        method,
        target: "sip:b@198.51.100.7",
        routes: &[],
        via: &format!("SIP/2.0/UDP 192.0.2.1:5060;branch={branch}"),
        from: "<sip:a@192.0.2.1>;tag=a",
        to: "<sip:b@trunk.example>",
        call_id: "c1",
        cseq: 1,
        contact: Some("<sip:a@192.0.2.1:5060>"),
        extra: Vec::new(),
        body: Some(Body { content_type: "application/sdp", bytes: b"v=0\r\n" }),
    })
}

/// The response of the far end to what `made` made.
fn answer(method: Method, code: u16) -> Response {
    respond(&made(method, "z9hG4bK1"), code, "b")
}

/// An output in a few letters: `send INVITE`, `send 486`, `user 180`, `user ACK`, `timeout`,
/// `transport error`, `terminated`.
fn told(output: &Output) -> String {
    match output {
        Output::Transmit(bytes) => {
            match parse(bytes, &Default::default()).expect("what is sent is SIP") {
                SipMessage::Request(request) => format!("send {}", request.method),
                SipMessage::Response(response) => format!("send {}", response.status_code.code()),
            }
        }
        Output::Response(response) => format!("user {}", response.status_code.code()),
        Output::Request(request) => format!("user {}", request.method),
        Output::Timeout => "timeout".into(),
        Output::TransportError => "transport error".into(),
        Output::Terminated => "terminated".into(),
    }
}

/// Any instant to count from.
#[expect(clippy::disallowed_methods, reason = "an Instant has no other origin")]
fn origin() -> Instant {
    Instant::now()
}

/// What the four machines share.
trait Machine {
    type Input;
    fn input(&mut self, now: Instant, input: Self::Input);
    fn output(&mut self) -> Option<Output>;
    fn deadline(&self) -> Option<Instant>;
    fn timeout(&mut self, now: Instant);
}

macro_rules! machine {
    ($($machine:ty: $input:ty),*) => {
        $(impl Machine for $machine {
            type Input = $input;
            fn input(&mut self, now: Instant, input: $input) {
                self.handle_input(now, input);
            }
            fn output(&mut self) -> Option<Output> {
                self.poll_output()
            }
            fn deadline(&self) -> Option<Instant> {
                self.poll_timeout()
            }
            fn timeout(&mut self, now: Instant) {
                self.handle_timeout(now);
            }
        })*
    };
}

machine!(ClientInvite: ClientInput, ClientNonInvite: ClientInput, ServerInvite: ServerInput,
    ServerNonInvite: ServerInput);

/// One machine on a clock of its own.
struct Script<M> {
    machine: M,
    start: Instant,
    now_ms: u64,
}

impl<M: Machine> Script<M> {
    fn new(make: impl FnOnce(Instant) -> M) -> Self {
        let start = origin();
        Self { machine: make(start), start, now_ms: 0 }
    }

    fn drain(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.machine.output()).map(|output| told(&output)).collect()
    }

    /// The outputs that are due now.
    #[track_caller]
    fn gives(&mut self, expected: &[&str]) -> &mut Self {
        assert_eq!(self.drain(), expected, "at {} ms", self.now_ms);
        self
    }

    #[track_caller]
    fn on(&mut self, input: M::Input, expected: &[&str]) -> &mut Self {
        self.machine.input(self.start + Duration::from_millis(self.now_ms), input);
        self.gives(expected)
    }

    /// Lets time pass to `end_ms`; each timer fires when it is due and gives what is expected.
    #[track_caller]
    fn until(&mut self, end_ms: u64, expected: &[(u64, &str)]) -> &mut Self {
        let end = self.start + Duration::from_millis(end_ms);
        let mut seen = Vec::new();
        while let Some(due) = self.machine.deadline().filter(|due| *due <= end) {
            let at = (due - self.start).as_millis() as u64;
            self.machine.timeout(due);
            seen.extend(self.drain().into_iter().map(|told| (at, told)));
            assert!(self.machine.deadline() != Some(due), "a timer that fired is not due again");
        }
        let expected: Vec<(u64, String)> =
            expected.iter().map(|(at, told)| (*at, (*told).to_owned())).collect();
        assert_eq!(seen, expected);
        self.now_ms = end_ms;
        self
    }

    /// Nothing is awaited any more.
    #[track_caller]
    fn is_quiet(&mut self) {
        assert_eq!(self.machine.deadline(), None);
    }
}
