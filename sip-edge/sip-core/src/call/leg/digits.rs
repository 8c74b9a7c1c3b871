//! Digits by INFO (RFC 6086 §4's legacy usage: application/dtmf-relay and application/dtmf), and
//! what a digit's name is in RFC 4733.

use super::{Leg, LegEvent};
use crate::call::context::Context;
use crate::call::invitation::request;
use crate::counters::Counter;
use crate::message::{Request, View, header};
use crate::transaction::TransactionId;
use media_core::relay::PAUSE;

/// The type of an INFO that names a key and its duration.
pub const RELAYED: &str = "application/dtmf-relay";
const PLAIN: &str = "application/dtmf";

/// The highest code of a key: D.
pub const MAX_CODE: u8 = 15;
/// Most digits of one request.
pub const MAX_COUNT: usize = 64;

/// The RFC 4733 §3.2 code of a digit.
pub fn code_of(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'*' => Some(10),
        b'#' => Some(11),
        b'A'..=b'D' => Some(digit - b'A' + 12),
        _ => None,
    }
}

/// The body of application/dtmf-relay for a key, 0 to 15.
pub fn relayed(code: u8) -> String {
    let signal = char::from(b"0123456789*#ABCD"[usize::from(code % 16)]);
    format!("Signal={signal}\r\nDuration=100\r\n")
}

/// The codes of 1 to 64 digits and pauses.
pub fn codes_of(digits: &str) -> Option<Vec<u8>> {
    let codes: Option<Vec<u8>> = digits
        .bytes()
        .map(|digit| if digit == b',' { Some(PAUSE) } else { code_of(digit) })
        .collect();
    codes.filter(|codes| (1..=MAX_COUNT).contains(&codes.len()))
}

/// The code in a body of application/dtmf-relay: lines of `Name=value`, of which `Signal` counts.
fn relayed_signal(body: &[u8]) -> Option<u8> {
    let text = std::str::from_utf8(body).ok()?;
    let mut fields = text.lines().filter_map(|line| line.split_once('='));
    let (_, value) = fields.find(|(name, _)| name.trim().eq_ignore_ascii_case("signal"))?;
    signal(value)
}

/// A digit, or its code as a number.
fn signal(value: &str) -> Option<u8> {
    match value.trim().as_bytes() {
        [digit] => code_of(digit.to_ascii_uppercase()),
        [b'1', unit @ b'0'..=b'5'] => Some(10 + unit - b'0'),
        _ => None,
    }
}

impl Leg {
    /// Answers an INFO; its digit counts once the dialog stands.
    pub(super) fn take_info(
        &mut self,
        cx: &mut Context<'_>,
        id: TransactionId,
        request: &Request,
        is_confirmed: bool,
    ) -> LegEvent {
        let code = if request.body.is_empty() {
            return self.accept(cx, id, request);
        } else if request.is_content_type(RELAYED) {
            relayed_signal(&request.body)
        } else if request.is_content_type(PLAIN) {
            std::str::from_utf8(&request.body).ok().and_then(signal)
        } else {
            let mut response = request::response(&cx.shard.config, request, 415, "");
            response.headers.push(header("Accept", format!("{RELAYED}, {PLAIN}")));
            cx.shard.respond(cx.now, id, response);
            return LegEvent::Nothing;
        };
        let Some(code) = code else { return self.refuse(cx, id, request, 400) };
        if !self.keys.may_tell(cx.now) {
            cx.shard.counters.count(Counter::KeyRefused);
            return self.refuse(cx, id, request, 503);
        }
        self.accept(cx, id, request);
        self.keys.note_info();
        if is_confirmed { LegEvent::Digit(code) } else { LegEvent::Nothing }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_have_codes() {
        assert_eq!(codes_of("09*#AD,"), Some(vec![0, 9, 10, 11, 12, 15, PAUSE]));
        let long = "1".repeat(MAX_COUNT);
        assert_eq!(codes_of(&long).map(|codes| codes.len()), Some(MAX_COUNT));
        for bad in ["", "a", "E", "1 2", "+1", &format!("{long}1"), "é"] {
            assert_eq!(codes_of(bad), None, "{bad}");
        }
    }

    #[test]
    fn bodies_of_info() {
        for (body, code) in [
            (&b"Signal=5\r\nDuration=160\r\n"[..], Some(5)),
            (b"Signal= 5\r\nDuration= 160", Some(5)),
            (b"Duration=160\nsignal=*\n", Some(10)),
            (b"Signal=#", Some(11)),
            (b"Signal=d", Some(15)),
            (b"Signal=11", Some(11)),
            (b"Signal=16", None),
            (b"Signal=", None),
            (b"Signal", None),
            (b"Duration=160", None),
            (b"\xff\xfe", None),
            (b"Signal=555", None),
        ] {
            assert_eq!(relayed_signal(body), code, "{}", String::from_utf8_lossy(body));
        }
    }
}
