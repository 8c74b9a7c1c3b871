//! One dialog on the side that sent the INVITE (RFC 3261 §12): identifiers, route set, remote
//! target and the two CSeq spaces. Builds the requests inside it and says where they go; knows no
//! transaction and no call.

use crate::message::{
    self, Body, Header, Method, NameAddr, Request, RequestParts, Response, Uri, View,
};
use std::net::{Ipv4Addr, SocketAddr};

/// Most Record-Route entries that are taken over; a longer set is not a route any more.
const MAX_ROUTE_COUNT: usize = 20;

/// Before or after the 2xx (RFC 3261 §12).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Early,
    Confirmed,
}

/// A request of the peer came with a CSeq below its last one (RFC 3261 §12.2.2): it gets a 500.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfOrder;

/// What a request inside the dialog adds to the dialog's own headers.
pub struct Inside<'a> {
    pub method: Method,
    pub via: &'a str,
    pub contact: Option<&'a str>,
    pub extra: Vec<Header>,
    pub body: Option<Body<'a>>,
}

/// A dialog of ours (RFC 3261 §12): tags, CSeq, route set and target.
#[derive(Debug, Clone)]
pub struct Dialog {
    state: State,
    call_id: String,
    /// Whole From and To values of our requests.
    local: String,
    remote: String,
    local_tag: String,
    /// Empty for a peer of RFC 2543 that gave none (§12.1.2).
    remote_tag: String,
    target: String,
    /// The peer has named the target by a Contact; before, it is the INVITE's.
    is_target_named: bool,
    routes: Vec<String>,
    local_cseq: u32,
    invite_cseq: u32,
    remote_cseq: Option<u32>,
}

impl Dialog {
    /// The dialog that a 101–299 response to `invite` makes (§12.1.2); `None` if it makes none.
    pub fn of_response(invite: &Request, response: &Response) -> Option<Dialog> {
        Dialog::begin(invite, response, invite.uri.to_string())
    }

    /// The dialog of a 2xx whose INVITE is not kept: it says all, but to whom if it has no Contact.
    pub fn of_late_response(response: &Response) -> Option<Dialog> {
        let target = response.contact_uri()?.target()?.to_owned();
        Dialog::begin(response, response, target)
    }

    /// With what of the INVITE each response repeats.
    fn begin(invite: &impl View, response: &Response, target: String) -> Option<Dialog> {
        let code = u16::from(response.status_code.clone());
        let remote_tag = response.to_tag().map(str::to_owned);
        let state = match code {
            101..200 if remote_tag.is_some() => State::Early,
            200..300 => State::Confirmed,
            _ => return None,
        };
        let cseq = invite.cseq()?.number;
        let mut dialog = Dialog {
            state,
            call_id: invite.call_id()?.to_owned(),
            local: invite.value("From")?.to_owned(),
            remote: response.value("To").or_else(|| invite.value("To"))?.to_owned(),
            local_tag: invite.from_tag()?.to_owned(),
            remote_tag: remote_tag.unwrap_or_default(),
            target,
            is_target_named: false,
            routes: Vec::new(),
            local_cseq: cseq,
            invite_cseq: cseq,
            remote_cseq: None,
        };
        dialog.learn(response);
        Some(dialog)
    }

    /// Takes the 2xx of this dialog: route set and remote target are those of the 2xx, not of the
    /// provisional (§13.2.2.4).
    pub fn confirm(&mut self, response: &Response) {
        self.state = State::Confirmed;
        self.learn(response);
    }

    fn learn(&mut self, response: &Response) {
        self.take_target(response);
        let routes = response.record_routes();
        if routes.len() <= MAX_ROUTE_COUNT {
            self.routes = routes.into_iter().rev().map(str::to_owned).collect();
        }
    }

    /// Before or after the 2xx.
    pub fn state(&self) -> State {
        self.state
    }

    /// The peer's tag.
    pub fn remote_tag(&self) -> &str {
        &self.remote_tag
    }

    /// Whether a request of the peer belongs to this dialog (§12): its To tag is ours, its From tag
    /// the peer's, as far as both gave one.
    pub fn owns(&self, request: &Request) -> bool {
        let is_peers = |tag: &str| self.remote_tag.is_empty() || tag == self.remote_tag;
        request.to_tag() == Some(self.local_tag.as_str()) && request.from_tag().is_none_or(is_peers)
    }

    /// Checks and takes the CSeq of a peer's request other than ACK (§12.2.2).
    pub fn take_cseq(&mut self, number: u32) -> Result<(), OutOfOrder> {
        match self.remote_cseq {
            Some(last) if number < last => Err(OutOfOrder),
            _ => {
                self.remote_cseq = Some(number);
                Ok(())
            }
        }
    }

    /// Takes the Contact of a target refresh request (§12.2.2).
    pub fn refresh_target(&mut self, request: &Request) {
        self.take_target(request);
    }

    /// Takes the Contact of the 2xx to our own target refresh request (§12.2.1.2); the route set
    /// stays.
    pub fn refresh_target_by(&mut self, response: &Response) {
        self.take_target(response);
    }

    /// A message without a Contact that can be sent to leaves the target as it was.
    fn take_target(&mut self, message: &impl View) {
        if let Some(target) = message.contact_uri().and_then(|uri| uri.target()) {
            self.target = target.to_owned();
            self.is_target_named = true;
        }
    }

    /// The next request inside the dialog.
    pub fn request(&mut self, inside: Inside<'_>) -> Request {
        self.local_cseq += 1;
        self.build(self.local_cseq, inside)
    }

    /// The BYE that would come next; the dialog stays as it is.
    pub fn next_bye(&self, via: &str) -> Request {
        self.build(
            self.local_cseq + 1,
            Inside { method: Method::Bye, via, contact: None, extra: Vec::new(), body: None },
        )
    }

    /// CSeq number of our last request.
    pub fn local_cseq(&self) -> u32 {
        self.local_cseq
    }

    /// The remote target.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The ACK of the INVITE's 2xx, with the INVITE's CSeq number (§13.2.2.4).
    pub fn ack(&self, via: &str, extra: Vec<Header>) -> Request {
        self.ack_of(self.invite_cseq, via, extra)
    }

    /// The ACK of the 2xx to the INVITE or re-INVITE with this CSeq number.
    pub fn ack_of(&self, cseq: u32, via: &str, extra: Vec<Header>) -> Request {
        self.build(cseq, Inside { method: Method::Ack, via, contact: None, extra, body: None })
    }

    fn build(&self, cseq: u32, inside: Inside<'_>) -> Request {
        message::request(&RequestParts {
            method: inside.method,
            target: &self.target,
            routes: &self.routes,
            via: inside.via,
            from: &self.local,
            to: &self.remote,
            call_id: &self.call_id,
            cseq,
            contact: inside.contact,
            extra: inside.extra,
            body: inside.body,
        })
    }

    /// Address that requests inside the dialog go to: the first route's or the remote target's
    /// (§8.1.2). `None` when only DNS could tell it, or when the peer has named none that can be
    /// sent to: then they go where the INVITE went.
    pub fn next_hop(&self) -> Option<SocketAddr> {
        let uri = match self.routes.first() {
            Some(route) => NameAddr::read(route).uri,
            None if self.is_target_named => Uri::read(&self.target),
            None => return None,
        };
        let hop = SocketAddr::new(uri.ip()?, uri.port.unwrap_or(5060));
        let is_one_host = !hop.ip().is_unspecified()
            && !hop.ip().is_multicast()
            && hop.ip() != Ipv4Addr::BROADCAST;
        (is_one_host && hop.port() != 0).then_some(hop)
    }
}

#[cfg(test)]
mod tests;
