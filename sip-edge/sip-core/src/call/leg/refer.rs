//! What a REFER of the peer asks for (RFC 3515 §2.4.1): one number, or a status that refuses it.

use super::{Leg, LegEvent};
use crate::call::context::Context;
use crate::message::{NameAddr, Request, Scheme, View};
use crate::transaction::TransactionId;

/// Longest user part that can be a number.
const MAX_NUMBER_LEN: usize = 32;

/// A REFER that asks for something that can be done.
#[derive(Debug, Clone)]
pub struct Referred {
    pub id: TransactionId,
    pub request: Request,
    /// User part of the Refer-To URI.
    pub target: String,
}

fn is_invite(method: &str) -> bool {
    method.eq_ignore_ascii_case("INVITE")
}

/// The number that a REFER asks for, or the status that refuses it.
fn target_of(refer: &Request) -> Result<String, u16> {
    // §2.4.1: "A REFER request … MUST contain exactly one Refer-To".
    let mut values = refer.values("Refer-To");
    let (Some(value), None) = (values.next(), values.next()) else { return Err(400) };
    let uri = NameAddr::read(value).uri;
    uri.target().ok_or(400_u16)?;
    let is_plain = matches!(uri.scheme, Scheme::Sip | Scheme::Tel)
        && uri.headers.is_none_or(str::is_empty)
        && uri.params.iter().all(|(name, value)| {
            !name.eq_ignore_ascii_case("method") || value.is_some_and(is_invite)
        });
    let number = uri.user_text().filter(|_| is_plain).ok_or(603_u16)?;
    let digits = number.strip_prefix('+').unwrap_or(&number);
    let is_number = (1..=MAX_NUMBER_LEN).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_digit() || b"*#-.()".contains(&byte))
        && digits.bytes().any(|byte| byte.is_ascii_digit());
    if is_number { Ok(number) } else { Err(603) }
}

impl Leg {
    pub(super) fn take_refer(
        &mut self,
        cx: &mut Context<'_>,
        id: TransactionId,
        request: &Request,
    ) -> LegEvent {
        match target_of(request) {
            Ok(target) => {
                LegEvent::Referred(Box::new(Referred { id, request: request.clone(), target }))
            }
            Err(code) => self.refuse(cx, id, request, code),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Method, RequestParts, header, request};

    #[track_caller]
    fn check(values: &[&str], expected: Result<&str, u16>) {
        let refer = request(&RequestParts {
            method: Method::Refer,
            target: "sip:edge@10.0.0.1",
            routes: &[],
            via: "SIP/2.0/UDP 10.0.0.2;branch=z9hG4bK1",
            from: "<sip:1001@a>;tag=a",
            to: "<sip:b@b>;tag=b",
            call_id: "1",
            cseq: 2,
            contact: None,
            extra: values.iter().map(|value| header("Refer-To", *value)).collect(),
            body: None,
        });
        assert_eq!(target_of(&refer), expected.map(str::to_owned), "{values:?}");
    }

    #[test]
    fn what_may_be_asked_for() {
        check(&["<sip:+919876543210@pbx.example>"], Ok("+919876543210"));
        check(&["sip:2002@10.0.0.9;user=phone"], Ok("2002"));
        check(&["<tel:+91-98765>"], Ok("+91-98765"));
        check(&["<sip:2002;phone-context=x@10.0.0.9>"], Ok("2002"));
        check(&["<sip:2002@a;method=INVITE>"], Ok("2002"));
        check(&["<sip:2002@a;method=BYE>"], Err(603));
        check(&["<sip:2002@a?Replaces=1%3Bto-tag%3D2%3Bfrom-tag%3D3>"], Err(603));
        check(&["<sip:alice@a>"], Err(603));
        check(&["<sip:a.example>"], Err(603));
        check(&["<sips:2002@a>"], Err(603));
        check(&["<http://a/2002>"], Err(603));
        check(&[&format!("<sip:{}@a>", "1".repeat(33))], Err(603));
        check(&[], Err(400));
        check(&["<sip:1@a>", "<sip:2@a>"], Err(400));
        check(&["<sip:1@a"], Ok("1"));
        check(&["<sip:2002@a;>;;"], Ok("2002"));
        check(&["2002"], Err(400));
    }
}
