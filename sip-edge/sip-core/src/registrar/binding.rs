//! One registered contact, and what a REGISTER says of contacts (RFC 3261 §10.2.1, §10.3; RFC 5626
//! §4.2).

use super::{Answer, DEFAULT_EXPIRES, EXPIRES};
use crate::flow::Flow;
use crate::message::{NameAddr, Request, Scheme, View, header};
use std::time::Instant;

/// Longest Contact value that is kept, in bytes.
const MAX_CONTACT_LEN: usize = 512;

/// Where an agent is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    pub flow: Flow,
    /// Request-URI of requests to the agent. Its host says nothing (`.invalid`): requests go over
    /// the flow (RFC 7118 §5).
    pub target: String,
    /// The Contact value as registered, without its `expires`.
    pub(super) contact: String,
    pub(super) call_id: String,
    pub(super) cseq: u32,
    pub(super) expires_at: Instant,
    /// When the credential behind the binding is looked at again.
    pub(super) check_at: Instant,
    /// Which grant proved it.
    pub(super) serial: u64,
}

/// What a new registration is to the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kinship {
    /// The same user agent over a new connection: it still knows its dialogs.
    Same,
    /// Another page or tab, or the first.
    Stranger,
}

impl Binding {
    pub(super) fn due(&self) -> Instant {
        self.expires_at.min(self.check_at)
    }

    /// The same instance with the same Call-ID, which RFC 3261 §10.2.4 asks of one user agent's
    /// registrations from boot to boot.
    pub fn kinship(&self, former: &Binding) -> Kinship {
        let same = self.instance() == former.instance() && self.call_id == former.call_id;
        if same { Kinship::Same } else { Kinship::Stranger }
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        NameAddr::parse(&self.contact)?.params.value(name)
    }

    fn instance(&self) -> Option<&str> {
        self.parameter("+sip.instance")
    }

    /// RFC 5626 §6: a reg-id counts only beside an instance.
    pub(super) fn is_outbound(&self) -> bool {
        self.instance().is_some() && self.parameter("reg-id").is_some()
    }

    /// §10.3 step 7: with the same Call-ID a CSeq that is not higher is an older request.
    pub(super) fn is_overtaken_by(&self, request: &Request) -> bool {
        request.call_id() == Some(self.call_id.as_str())
            && request.cseq().is_none_or(|cseq| cseq.number <= self.cseq)
    }
}

/// What a REGISTER asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contact {
    /// Only what is bound (§10.2.3).
    None,
    Removed,
    One {
        value: String,
        target: String,
        /// Seconds.
        expires: u32,
    },
}

impl Contact {
    /// The one contact of a REGISTER, or the answer to one that has none or several.
    pub fn of_request(request: &Request) -> Result<Contact, Answer> {
        let values: Vec<&str> =
            request.values("Contact").flat_map(crate::message::grammar::split_list).collect();
        // §10.3: a malformed one is taken for 3600.
        let header_expires =
            request.value("Expires").map(|text| text.trim().parse().unwrap_or(3600));
        let value = match values.as_slice() {
            [] => return Ok(Contact::None),
            // §10.3 step 6: `*` goes with Expires 0 only.
            ["*"] if header_expires == Some(0) => return Ok(Contact::Removed),
            [value] if *value != "*" && value.len() <= MAX_CONTACT_LEN => *value,
            // One softphone has one contact.
            _ => return Err(Answer::plain(400)),
        };
        let address = NameAddr::parse(value).ok_or(Answer::plain(400))?;
        if !matches!(address.uri.scheme, Scheme::Sip | Scheme::Sips) {
            return Err(Answer::plain(400));
        }
        let own_expires = address.params.value("expires").map(|text| text.parse().unwrap_or(3600));
        let expires: u32 = own_expires.or(header_expires).unwrap_or(DEFAULT_EXPIRES);
        if expires == 0 {
            return Ok(Contact::Removed);
        }
        if expires < *EXPIRES.start() {
            return Err(Answer {
                code: 423,
                headers: vec![header("Min-Expires", EXPIRES.start().to_string())],
            });
        }
        let mut value = format!("<{}>", address.uri);
        let kept = address.params.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("expires"));
        for (name, text) in kept {
            value.push(';');
            value.push_str(name);
            if let Some(text) = text {
                value.push('=');
                value.push_str(text);
            }
        }
        Ok(Contact::One {
            value,
            target: address.uri.as_str().to_owned(),
            expires: expires.min(*EXPIRES.end()),
        })
    }
}
