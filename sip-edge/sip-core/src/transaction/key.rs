//! By what a message finds its transaction (RFC 3261 §17.1.3, §17.2.3).

use crate::message::{MAGIC_COOKIE, Method, Request, Response, Via, View};

/// The identity of a transaction; a message that matches it makes an equal key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    side: Side,
    /// INVITE for an ACK: it belongs to the INVITE's transaction.
    method: &'static str,
    /// Branch, and for a server its sent-by; or the fields of RFC 2543.
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Side {
    Client,
    Server,
}

impl Key {
    /// The key of a client transaction from the request it sends.
    pub fn client(request: &Request) -> Option<Self> {
        Self::client_as(request, request.method)
    }

    /// The key of a client transaction with this branch and another method: the INVITE's that a
    /// CANCEL is for (§9.1).
    pub fn client_as(request: &Request, method: Method) -> Option<Self> {
        let text = request.top_branch()?.to_owned();
        Some(Self { side: Side::Client, method: name(method), text })
    }

    /// The keys of which the client transaction that a response is for has one: where CSeq names no
    /// method, each that we send. CANCEL comes first, for it has its INVITE's branch.
    pub fn responses(response: &Response) -> impl Iterator<Item = Self> {
        const SENT: [Method; 7] = [
            Method::Cancel,
            Method::Invite,
            Method::Bye,
            Method::Notify,
            Method::PRack,
            Method::Info,
            Method::Update,
        ];
        let branch = response.top_branch().map(str::to_owned);
        let named = response.cseq_method();
        let methods = named.into_iter().chain(SENT.into_iter().filter(move |_| named.is_none()));
        methods.filter_map(move |method| {
            Some(Self { side: Side::Client, method: name(method), text: branch.clone()? })
        })
    }

    /// The key of the server transaction that a request starts or belongs to.
    pub fn server(request: &Request) -> Option<Self> {
        let method = if request.method == Method::Ack { Method::Invite } else { request.method };
        Self::server_as(request, method)
    }

    /// The key of the INVITE server transaction that a CANCEL is for (§9.2).
    pub fn cancelled(cancel: &Request) -> Option<Self> {
        Self::server_as(cancel, Method::Invite)
    }

    fn server_as(request: &Request, method: Method) -> Option<Self> {
        let via = request.top_via();
        let text = match via.and_then(|via| via.branch()) {
            Some(branch)
                if branch.len() > MAGIC_COOKIE.len() && branch.starts_with(MAGIC_COOKIE) =>
            {
                format!("{branch} {}", sent_by(via))
            }
            _ => Self::legacy_text(request, via)?,
        };
        Some(Self { side: Side::Server, method: name(method), text })
    }

    /// RFC 2543's fields. Deviates: the To tag is left out, because an ACK has one that its INVITE
    /// lacks (§17.2.3) and the rest is unique enough for peers this old.
    fn legacy_text(request: &Request, via: Option<Via<'_>>) -> Option<String> {
        let (from, cseq) =
            (request.from_tag().unwrap_or_default(), request.cseq_number().unwrap_or_default());
        let branch = via.and_then(|via| via.branch()).unwrap_or_default();
        Some(format!(
            "{} {from} {} {cseq} {} {branch}",
            request.uri,
            request.call_id()?,
            sent_by(via)
        ))
    }
}

fn sent_by(via: Option<Via<'_>>) -> String {
    via.map_or_else(String::new, |via| {
        format!("{}:{}", via.host.to_ascii_lowercase(), via.port.unwrap_or(5060))
    })
}

fn name(method: Method) -> &'static str {
    match method {
        Method::Ack => "ACK",
        Method::Bye => "BYE",
        Method::Cancel => "CANCEL",
        Method::Info => "INFO",
        Method::Invite => "INVITE",
        Method::Message => "MESSAGE",
        Method::Notify => "NOTIFY",
        Method::Options => "OPTIONS",
        Method::PRack => "PRACK",
        Method::Publish => "PUBLISH",
        Method::Refer => "REFER",
        Method::Register => "REGISTER",
        Method::Subscribe => "SUBSCRIBE",
        Method::Update => "UPDATE",
    }
}
