//! A phone's side of SIP: it takes what it is offered, answers what it is asked, and says what the
//! steps want it to say.

use super::{REPEAT, Repeat, Stage, Standing};
use crate::session;
use sip_core::message::{
    self, Body, Header, Method, NameAddr, Request, RequestParts, View, header, set_body, via_value,
};
use std::net::SocketAddr;
use std::time::Duration;

impl Stage {
    pub(super) fn take(&mut self, index: usize, request: &Request) {
        let key = format!("{} {}", request.top_via().unwrap().branch().unwrap(), request.method);
        if let Some((_, bytes)) = self.phones[index].answered.iter().find(|(each, _)| *each == key)
        {
            let bytes = bytes.clone();
            return self.post(index, &bytes);
        }
        let phone = &mut self.phones[index];
        match request.method {
            Method::Invite if request.to_tag().is_none() => match phone.standing {
                Standing::Idle => {
                    let formats = session::formats_of(&request.body);
                    phone.invite = Some(request.clone());
                    // The customer is offered what the agent took; others take what they like.
                    phone.payload_type = formats
                        [index / 2 % 2 * usize::from(formats.contains(&8) && formats.contains(&0))];
                    phone.standing = Standing::Rung;
                    phone.response = message::print_response(&message::respond(request, 100, ""));
                    let bytes = phone.response.clone();
                    self.post(index, &bytes);
                }
                _ => {
                    let bytes = phone.response.clone();
                    self.post(index, &bytes);
                }
            },
            Method::Invite => self.take_offer(index, request, key),
            Method::Ack => {
                let cseq = request.cseq().unwrap().number;
                self.repeats.retain(|repeat| {
                    !repeat.is_response || repeat.phone != index || repeat.cseq != cseq
                });
            }
            Method::Bye => {
                let code = if phone.standing == Standing::Up { 200 } else { 481 };
                phone.standing = Standing::Over;
                self.respond(index, request, code, key);
            }
            Method::Cancel => {
                self.respond(index, request, 200, key);
                if self.phones[index].standing == Standing::Rung {
                    self.decline(index, 487);
                }
            }
            Method::Notify => {
                let line = String::from_utf8_lossy(&request.body).into_owned();
                let code = line
                    .split(' ')
                    .nth(1)
                    .and_then(|code| code.parse().ok())
                    .expect("a status line");
                self.phones[index].notified.push(code);
                self.respond(index, request, 200, key);
            }
            method => panic!("the edge sent {method}"),
        }
    }

    fn respond(&mut self, index: usize, request: &Request, code: u16, key: String) {
        let bytes = message::print_response(&message::respond(request, code, "phone"));
        self.phones[index].answered.push((key, bytes.clone()));
        self.post(index, &bytes);
    }

    /// A new offer in the dialog; in bad weather some are refused.
    fn take_offer(&mut self, index: usize, request: &Request, key: String) {
        let code = match (self.phones[index].standing, self.is_bad(), self.is_bad()) {
            (Standing::Up, true, _) => 491,
            (Standing::Up, false, true) => 488,
            (Standing::Up, false, false) => 200,
            _ => 481,
        };
        let is_held = String::from_utf8_lossy(&request.body).contains("a=sendonly");
        let phone = &mut self.phones[index];
        let sdp = session::sdp(
            phone.media,
            phone.payload_type,
            if is_held { "recvonly" } else { "sendrecv" },
        );
        let bytes = described(request, code, phone.home, (code == 200).then_some(sdp.as_str()));
        if code == 200 {
            phone.is_held = is_held;
        }
        phone.answered.push((key, bytes.clone()));
        self.repeat(index, request, true, bytes.clone());
        self.post(index, &bytes);
    }

    fn repeat(&mut self, phone: usize, request: &Request, is_response: bool, bytes: Vec<u8>) {
        let (cseq, at) = (request.cseq().unwrap().number, self.now + REPEAT);
        self.repeats.push(Repeat { phone, cseq, is_response, bytes, at });
    }

    /// Lets the clock run for four seconds, and until the phone has its INVITE, which is sent again
    /// for 64·T1 (RFC 3261 §17.1.1.2).
    pub fn await_invite(&mut self, index: usize) {
        let give_up_at = self.now + Duration::from_secs(32);
        self.advance(Duration::from_secs(4));
        while self.phones[index].invite.is_none() && self.now < give_up_at {
            self.advance(Duration::from_secs(4));
        }
    }

    /// What the phone says to its INVITE; its media flow from a description on.
    pub fn reply(&mut self, index: usize, code: u16) {
        let phone = &mut self.phones[index];
        let invite = phone.invite.clone().unwrap();
        let sdp = matches!(code, 183 | 200)
            .then(|| session::sdp(phone.media, phone.payload_type, "sendrecv"));
        phone.has_media |= sdp.is_some();
        phone.response = described(&invite, code, phone.home, sdp.as_deref());
        match code {
            200 => phone.standing = Standing::Up,
            300.. => phone.standing = Standing::Over,
            _ => {}
        }
        let bytes = phone.response.clone();
        if code >= 200 {
            self.repeat(index, &invite, true, bytes.clone());
        }
        self.deliver(index, &bytes);
        self.settle();
    }

    fn decline(&mut self, index: usize, code: u16) {
        let phone = &mut self.phones[index];
        let invite = phone.invite.clone().unwrap();
        phone.standing = Standing::Over;
        phone.response = described(&invite, code, phone.home, None);
        let bytes = phone.response.clone();
        self.repeat(index, &invite, true, bytes.clone());
        self.post(index, &bytes);
    }

    pub fn hang_up(&mut self, index: usize) {
        self.phones[index].standing = Standing::Over;
        self.repeats.retain(|repeat| repeat.phone != index);
        self.ask(index, Method::Bye, Vec::new());
    }

    /// Asks for a transfer (RFC 3515).
    pub fn refer(&mut self, index: usize, target: &str) {
        self.ask(index, Method::Refer, vec![header("Refer-To", target)]);
    }

    /// Sends a request inside the dialog until it is answered.
    fn ask(&mut self, index: usize, method: Method, extra: Vec<Header>) {
        let phone = &mut self.phones[index];
        let invite = phone.invite.clone().unwrap();
        phone.cseq += 100;
        let (cseq, home) = (phone.cseq, phone.home);
        let contact = NameAddr::parse(invite.value("Contact").unwrap()).unwrap();
        let request = message::request(&RequestParts {
            method,
            target: contact.uri.as_str(),
            routes: &[],
            via: &via_value("UDP", &home.to_string(), &format!("z9hG4bKphone{index}c{cseq}")),
            from: &format!("{};tag=phone", invite.value("To").unwrap()),
            to: invite.value("From").unwrap(),
            call_id: invite.call_id().unwrap(),
            cseq,
            contact: None,
            extra,
            body: None,
        });
        let bytes = message::print_request(&request);
        self.repeat(index, &request, false, bytes.clone());
        self.deliver(index, &bytes);
        self.settle();
    }
}

/// A response under the phone's tag, with a description if there is one.
fn described(request: &Request, code: u16, home: SocketAddr, sdp: Option<&str>) -> Vec<u8> {
    let mut response = message::respond(request, code, "phone");
    if (101..300).contains(&code) {
        response.headers.push(header("Contact", format!("<sip:phone@{home}>")));
    }
    if let Some(sdp) = sdp {
        set_body(&mut response, Body { content_type: "application/sdp", bytes: sdp.as_bytes() });
    }
    message::print_response(&response)
}
