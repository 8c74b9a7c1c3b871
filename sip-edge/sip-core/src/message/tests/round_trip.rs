//! Round trips of all known messages: what is accepted prints and parses back to itself.

use super::super::*;
use super::{INVITE, rfc4475, wire};

#[test]
fn what_is_accepted_survives_a_round_trip() {
    for bytes in rfc4475::messages().map(|case| case.bytes()).chain([wire(INVITE)]) {
        let Ok(first) = parse(&bytes, &Limits::default()) else { continue };
        let printed = print(&first);
        let second = parse(&printed, &Limits::default()).expect("printed messages parse");
        assert_eq!(first.body(), second.body());
        assert_eq!(print(&second), printed);
        // Content-Length is the printer's; everything else is equal.
        let bare = |message: SipMessage| {
            let mut message = message;
            message.headers_mut().retain(|header| !matches!(header, Header::ContentLength(_)));
            message
        };
        assert_eq!(bare(first), bare(second));
    }
}
