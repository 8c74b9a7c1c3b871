//! A scripted phone behind a carrier: answers, rings for ever, is busy, fails, hangs up, forks,
//! holds, or says nothing at all. Its own small SIP side retransmits as RFC 3261 wants, independent
//! of the machines under test.

use crate::plan::{Finish, Plan};
use crate::session;
use sip_core::message::{
    self, Body, Method, NameAddr, Request, RequestParts, Response, SipMessage, View, header,
    set_body, via_value,
};
use sip_core::outcome::LegName;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);

/// What a phone says by INFO of a pressed `1`.
pub const CONFIRMATION: &[u8] = b"Signal=1\r\nDuration=160\r\n";

fn session_body(sdp: &str) -> Body<'_> {
    Body { content_type: "application/sdp", bytes: sdp.as_bytes() }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Timer {
    Progress,
    Finish,
    SecondFork,
    HangUp,
    Hold,
    Resume,
    Confirm,
    Rebind,
    Refresh,
    Die,
}

/// Something sent again until it is answered.
struct Repeat {
    what: What,
    bytes: Vec<u8>,
    at: Instant,
    interval: Duration,
    until: Instant,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    /// A final response to the INVITE of this CSeq, under this tag.
    Final { cseq: u32, tag: String },
    /// A provisional response of this RSeq.
    Reliable { rseq: u32 },
    /// Our own request of this CSeq.
    Own { cseq: u32 },
}

struct Dialog {
    tag: String,
    is_acked: bool,
    is_over: bool,
}

pub struct Phone {
    pub number: usize,
    pub leg: LegName,
    pub plan: Plan,
    pub home: SocketAddr,
    /// Address in our SDP, and the one that our packets come from.
    pub media: SocketAddr,
    pub source: SocketAddr,
    /// Where its SIP comes from and goes to.
    pub outside: SocketAddr,
    /// Since when it has another address, and whether the edge was told.
    pub rebound_at: Option<Instant>,
    is_refreshed: bool,
    /// RTP packets that came to its other address.
    pub heard_anew: u64,
    invite: Request,
    is_challenged: bool,
    is_ringing: bool,
    dialogs: Vec<Dialog>,
    cseq: u32,
    rseq: u32,
    hold: Option<Request>,
    timers: Vec<(Instant, Timer)>,
    repeats: Vec<Repeat>,
    answered: Vec<(String, Vec<u8>)>,
    sequence: u16,
    next_packet: Option<Instant>,
    payload_type: u8,
    /// RTP packets that came from the edge.
    pub heard: u64,
    pub out: Vec<Vec<u8>>,
}

impl Phone {
    pub fn new(
        number: usize,
        leg: LegName,
        plan: Plan,
        home: SocketAddr,
        invite: Request,
    ) -> Phone {
        let media = SocketAddr::new(home.ip(), 30_000 + 4 * number as u16);
        let source =
            if plan.is_translated { SocketAddr::new(media.ip(), media.port() + 2) } else { media };
        Phone {
            number,
            leg,
            plan,
            home,
            media,
            source,
            outside: home,
            rebound_at: None,
            is_refreshed: true,
            heard_anew: 0,
            payload_type: session::formats_of(&invite.body)[0],
            invite,
            is_challenged: false,
            is_ringing: false,
            dialogs: Vec::new(),
            cseq: 1,
            rseq: 0,
            hold: None,
            timers: Vec::new(),
            repeats: Vec::new(),
            answered: Vec::new(),
            sequence: 0,
            next_packet: None,
            heard: 0,
            out: Vec::new(),
        }
    }

    /// It neither rings nor believes to be in a call.
    pub fn is_idle(&self) -> bool {
        !self.is_ringing && self.dialogs.iter().all(|dialog| dialog.is_over)
    }

    /// When it acts next by itself.
    pub fn next_at(&self) -> Option<Instant> {
        let timers = self.timers.iter().map(|(at, _)| *at);
        timers.chain(self.repeats.iter().map(|repeat| repeat.at)).chain(self.next_packet).min()
    }

    pub fn handle(&mut self, now: Instant, message: SipMessage) {
        if self.plan.is_dead {
            return;
        }
        match message {
            SipMessage::Request(request) => self.handle_request(now, request),
            SipMessage::Response(response) => self.handle_response(now, &response),
        }
    }

    fn handle_request(&mut self, now: Instant, request: Request) {
        let key = format!("{} {}", request.top_via().unwrap().branch().unwrap(), request.method);
        if let Some((_, bytes)) = self.answered.iter().rev().find(|(each, _)| *each == key) {
            return self.out.push(bytes.clone());
        }
        match request.method {
            Method::Invite => self.handle_invite(now, request),
            Method::Ack => self.handle_ack(now, &request),
            Method::Cancel => self.handle_cancel(now, &request),
            Method::Bye => {
                let tag = request.to_tag().unwrap_or_default().to_owned();
                let dialog =
                    self.dialogs.iter_mut().find(|dialog| dialog.tag == tag && !dialog.is_over);
                let code = match dialog {
                    Some(dialog) => {
                        dialog.is_over = true;
                        200
                    }
                    None => 481,
                };
                self.repeats.retain(
                    |repeat| !matches!(&repeat.what, What::Final { tag: each, .. } if *each == tag),
                );
                self.answer(&request, code, &tag, None);
            }
            Method::PRack => {
                let rack = request.value("RAck").unwrap();
                let rseq = rack.split(' ').next().and_then(|rseq| rseq.parse().ok()).unwrap();
                assert!(rseq <= self.rseq, "{rack} acknowledges what was not sent");
                self.repeats.retain(|repeat| repeat.what != What::Reliable { rseq });
                self.answer(&request, 200, "one", None);
            }
            Method::Update => {
                let is_standing = self.is_talking() && request.to_tag() == Some("one");
                self.answer(&request, if is_standing { 200 } else { 481 }, "one", None);
            }
            method => panic!("the edge sent {method}"),
        }
    }

    fn handle_invite(&mut self, now: Instant, invite: Request) {
        if invite.cseq() == self.invite.cseq() && !self.timers.is_empty() {
            return;
        }
        if invite.to_tag().is_some() {
            return self.handle_reinvite(now, &invite);
        }
        self.invite = invite;
        if self.plan.challenges && !self.is_challenged {
            self.is_challenged = true;
            let mut response = message::respond(&self.invite, 407, "proxy");
            response.headers.push(header(
                "Proxy-Authenticate",
                "Digest realm=\"r\", nonce=\"n\", qop=\"auth\"",
            ));
            return self.send_final(now, response, "proxy");
        }
        self.is_ringing = true;
        if let Some(after) = self.plan.dies_after {
            self.timers.push((now + after, Timer::Die));
        }
        self.answer(&self.invite.clone(), 100, "", None);
        self.answered.pop();
        self.timers.push((now + Duration::from_millis(50), Timer::Progress));
        if self.plan.finish != Finish::Never {
            self.timers
                .push((now + Duration::from_millis(60) + self.plan.finish_after, Timer::Finish));
        }
    }

    /// Takes most offers; some it refuses, and some cross its own (RFC 3261 §14.2).
    fn handle_reinvite(&mut self, now: Instant, invite: &Request) {
        let (tag, cseq) =
            (invite.to_tag().unwrap_or_default().to_owned(), invite.cseq().unwrap().number);
        let is_standing = self.dialogs.iter().any(|dialog| dialog.tag == tag && !dialog.is_over);
        let own = self.hold.as_ref().map(|hold| What::Own { cseq: hold.cseq().unwrap().number });
        let is_open = self.repeats.iter().any(|repeat| Some(&repeat.what) == own.as_ref());
        let code = match (self.number as u32 + cseq) % 8 {
            _ if !is_standing => 481,
            _ if is_open => 491,
            0 => 491,
            1 => 488,
            _ => 200,
        };
        let sends = String::from_utf8_lossy(&invite.body).contains("a=sendonly");
        let sdp = (code == 200).then(|| self.sdp(if sends { "recvonly" } else { "sendrecv" }));
        let bytes = self.answer(invite, code, &tag, sdp.as_deref());
        self.out.pop();
        self.repeat(now, What::Final { cseq, tag }, bytes);
    }

    /// The tone by which a party is known.
    pub fn frequency(leg: LegName) -> f64 {
        match leg {
            LegName::Agent => 1_000.0,
            LegName::Customer => 1_300.0,
            LegName::Participant(_) => 1_600.0,
            LegName::Supervisor(_) => 1_900.0,
        }
    }

    fn sdp(&self, direction: &str) -> String {
        let payload_type = if self.plan.has_bad_sdp { 18 } else { self.payload_type };
        session::sdp(self.media, payload_type, direction)
    }

    fn answer(&mut self, request: &Request, code: u16, tag: &str, sdp: Option<&str>) -> Vec<u8> {
        self.answer_with(request, code, tag, sdp, &[])
    }

    fn answer_with(
        &mut self,
        request: &Request,
        code: u16,
        tag: &str,
        sdp: Option<&str>,
        lines: &[(&str, String)],
    ) -> Vec<u8> {
        let mut response = message::respond(request, code, tag);
        lines.iter().for_each(|(name, value)| response.headers.push(header(name, value.as_str())));
        if request.method == Method::Invite && (101..300).contains(&code) {
            response.headers.push(header("Contact", format!("<sip:phone@{}>", self.outside)));
        }
        if let Some(sdp) = sdp {
            set_body(&mut response, session_body(sdp));
        }
        let bytes = message::print_response(&response);
        let key = format!("{} {}", request.top_via().unwrap().branch().unwrap(), request.method);
        self.answered.push((key, bytes.clone()));
        self.out.push(bytes.clone());
        bytes
    }

    fn send_final(&mut self, now: Instant, response: Response, tag: &str) {
        let bytes = message::print_response(&response);
        let key = format!("{} INVITE", self.invite.top_via().unwrap().branch().unwrap());
        self.answered.push((key, bytes.clone()));
        self.repeat(
            now,
            What::Final { cseq: self.invite.cseq().unwrap().number, tag: tag.into() },
            bytes,
        );
    }

    fn repeat(&mut self, now: Instant, what: What, bytes: Vec<u8>) {
        self.out.push(bytes.clone());
        self.repeats.push(Repeat { what, bytes, at: now + T1, interval: T1, until: now + T1 * 64 });
    }

    fn pick_up(&mut self, now: Instant, tag: &str) {
        self.is_ringing = false;
        let is_told = self.is_reliable() && self.plan.progress == Some(183) && tag == "one";
        let is_told = is_told && self.rseq > 0 && !self.awaits_prack();
        self.repeats.retain(|repeat| !matches!(repeat.what, What::Reliable { .. }));
        let sdp = self.sdp("sendrecv");
        let sdp = (!is_told).then_some(sdp.as_str());
        let allow = if self.plan.serves_update { "INVITE, BYE, UPDATE" } else { "INVITE, BYE" };
        let mut lines = vec![("Allow", allow.to_owned())];
        lines.extend(self.plan.session.map(|session| ("Session-Expires", session.to_owned())));
        let bytes = self.answer_with(&self.invite.clone(), 200, tag, sdp, &lines);
        self.out.pop();
        self.repeat(
            now,
            What::Final { cseq: self.invite.cseq().unwrap().number, tag: tag.into() },
            bytes,
        );
        self.dialogs.push(Dialog { tag: tag.into(), is_acked: false, is_over: false });
        self.timers.retain(|(_, timer)| !matches!(timer, Timer::Finish | Timer::Progress));
    }

    /// Reliable responses are for those who offer to acknowledge them.
    fn is_reliable(&self) -> bool {
        self.plan.is_reliable && self.invite.supports("100rel")
    }

    fn awaits_prack(&self) -> bool {
        self.repeats.iter().any(|repeat| matches!(repeat.what, What::Reliable { .. }))
    }

    fn progress(&mut self, now: Instant, code: u16) {
        let sdp = (code == 183).then(|| self.sdp("sendrecv"));
        let invite = self.invite.clone();
        if !self.is_reliable() {
            self.answer(&invite, code, "one", sdp.as_deref());
            return;
        }
        self.rseq += 1;
        let lines = [("Require", "100rel".to_owned()), ("RSeq", self.rseq.to_string())];
        let bytes = self.answer_with(&invite, code, "one", sdp.as_deref(), &lines);
        self.out.pop();
        self.repeat(now, What::Reliable { rseq: self.rseq }, bytes);
    }

    fn reject(&mut self, now: Instant, code: u16, q850: Option<u16>) {
        self.is_ringing = false;
        self.repeats.retain(|repeat| !matches!(repeat.what, What::Reliable { .. }));
        self.next_packet = None;
        let mut response = message::respond(&self.invite, code, "one");
        if let Some(cause) = q850 {
            response.headers.push(header("Reason", format!("Q.850;cause={cause}")));
        }
        self.send_final(now, response, "one");
        self.timers.retain(|(_, timer)| *timer == Timer::Die);
    }

    fn handle_ack(&mut self, now: Instant, ack: &Request) {
        let (cseq, tag) = (ack.cseq().unwrap().number, ack.to_tag().unwrap_or_default().to_owned());
        self.repeats.retain(|repeat| repeat.what != What::Final { cseq, tag: tag.clone() });
        let Some(dialog) = self.dialogs.iter_mut().find(|dialog| dialog.tag == tag) else { return };
        let is_repeated = std::mem::replace(&mut dialog.is_acked, true);
        if self.plan.has_media {
            self.next_packet = self.next_packet.or(Some(now));
        }
        if is_repeated || tag != "one" {
            return;
        }
        if let Some(after) = self.plan.hang_up_after {
            self.timers.push((now + after, Timer::HangUp));
        }
        if let Some(after) = self.plan.confirms_after {
            self.timers.push((now + after, Timer::Confirm));
        }
        if let Some(after) = self.plan.holds_after {
            self.timers.push((now + after, Timer::Hold));
            self.timers.push((now + after + Duration::from_secs(2), Timer::Resume));
        }
        if let Some(after) = self.plan.rebinds_after {
            self.timers.push((now + after, Timer::Rebind));
        }
    }

    fn handle_cancel(&mut self, now: Instant, cancel: &Request) {
        self.answer(cancel, 200, "one", None);
        if !self.is_ringing {
            return;
        }
        if self.plan.crosses_cancel {
            self.pick_up(now, "one");
        } else {
            self.reject(now, 487, None);
        }
    }

    fn handle_response(&mut self, now: Instant, response: &Response) {
        let cseq = response.cseq().unwrap();
        if response.status_code.code() < 200 {
            return;
        }
        self.repeats.retain(|repeat| repeat.what != What::Own { cseq: cseq.number });
        let code = response.status_code.code();
        // RFC 3261 §12.2.1.2
        if code == 481 {
            self.dialogs
                .iter_mut()
                .filter(|dialog| dialog.tag == "one")
                .for_each(|dialog| dialog.is_over = true);
        }
        if cseq.method == Method::Invite
            && let Some(hold) = self.hold.clone().filter(|hold| hold.cseq().unwrap() == cseq)
        {
            // The edge knows by the Contact where to send (RFC 3261 §12.2.1.2).
            self.is_refreshed |= code < 300;
            if !self.is_refreshed {
                self.timers.push((now + Duration::from_secs(2), Timer::Refresh));
            }
            let ack = if code >= 300 {
                message::ack_for(&hold, response)
            } else {
                self.build(Method::Ack, cseq.number, None)
            };
            self.out.push(message::print_request(&ack));
        }
    }

    fn build(&mut self, method: Method, cseq: u32, body: Option<Body<'_>>) -> Request {
        let contact = NameAddr::parse(self.invite.value("Contact").unwrap()).unwrap();
        let branch =
            format!("z9hG4bK{}.{}.{cseq}.{method}.{}", self.home, self.number, self.answered.len());
        message::request(&RequestParts {
            method,
            target: contact.uri.as_str(),
            routes: &[],
            via: &via_value("UDP", &self.outside.to_string(), &branch.replace(':', "-")),
            from: &format!("{};tag=one", self.invite.value("To").unwrap()),
            to: self.invite.value("From").unwrap(),
            call_id: self.invite.call_id().unwrap(),
            cseq,
            contact: Some(&format!("<sip:phone@{}>", self.outside)),
            extra: Vec::new(),
            body,
        })
    }

    fn send_own(&mut self, now: Instant, method: Method, body: Option<Body<'_>>) -> Request {
        self.cseq += 1;
        let request = self.build(method, self.cseq, body);
        self.repeat(now, What::Own { cseq: self.cseq }, message::print_request(&request));
        request
    }

    fn is_talking(&self) -> bool {
        self.dialogs.iter().any(|dialog| dialog.tag == "one" && dialog.is_acked && !dialog.is_over)
    }

    /// Does what is due; gives the RTP packets to send.
    pub fn handle_timeout(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let due: Vec<Timer> =
            self.timers.iter().filter(|(at, _)| *at <= now).map(|(_, timer)| *timer).collect();
        self.timers.retain(|(at, _)| *at > now);
        due.into_iter().for_each(|timer| self.fire(now, timer));
        self.repeats.retain(|repeat| repeat.until > now);
        for repeat in &mut self.repeats {
            if repeat.at <= now {
                repeat.interval = (repeat.interval * 2).min(T2);
                repeat.at = now + repeat.interval;
                self.out.push(repeat.bytes.clone());
            }
        }
        let mut packets = Vec::new();
        if self.next_packet.is_some_and(|at| at <= now) {
            self.next_packet = Some(now + Duration::from_millis(100));
            self.sequence += 1;
            let frequency = Phone::frequency(self.leg);
            packets.push(session::tone(
                self.payload_type,
                self.sequence,
                77 + self.number as u32,
                frequency,
            ));
            if self.is_idle() {
                self.next_packet = None;
            }
        }
        packets
    }

    fn fire(&mut self, now: Instant, timer: Timer) {
        match timer {
            _ if self.plan.is_dead => {}
            Timer::Progress => match self.plan.progress {
                Some(code) if self.is_ringing => {
                    self.progress(now, code);
                    if code == 183 && self.plan.has_media {
                        self.next_packet = Some(now);
                    }
                }
                Some(_) | None => {}
            },
            Timer::Finish if !self.is_ringing => {}
            // RFC 3262 §3: a description that is sent reliably is acknowledged before the 2xx.
            Timer::Finish if self.awaits_prack() && self.plan.finish == Finish::Answer => {
                self.timers.push((now + Duration::from_millis(100), Timer::Finish));
            }
            Timer::Finish => match self.plan.finish {
                Finish::Answer => {
                    self.pick_up(now, "one");
                    if self.plan.forks {
                        self.timers.push((now + Duration::from_millis(700), Timer::SecondFork));
                    }
                }
                Finish::Reject { code, q850 } => self.reject(now, code, q850),
                Finish::Never => {}
            },
            Timer::SecondFork => self.pick_up(now, "two"),
            Timer::HangUp if self.is_talking() => {
                self.dialogs
                    .iter_mut()
                    .filter(|dialog| dialog.tag == "one")
                    .for_each(|dialog| dialog.is_over = true);
                self.repeats.retain(|repeat| !matches!(repeat.what, What::Own { .. }));
                self.send_own(now, Method::Bye, None);
            }
            Timer::Hold if self.is_talking() => {
                let sdp = self.sdp("sendonly");
                self.hold = Some(self.send_own(now, Method::Invite, Some(session_body(&sdp))));
            }
            Timer::Resume if self.is_talking() => {
                let sdp = self.number.is_multiple_of(2).then(|| self.sdp("sendrecv"));
                match sdp {
                    Some(sdp) => {
                        self.hold =
                            Some(self.send_own(now, Method::Invite, Some(session_body(&sdp))))
                    }
                    None => drop(self.send_own(now, Method::Info, None)),
                }
            }
            Timer::Confirm if self.is_talking() => {
                let body = Body { content_type: "application/dtmf-relay", bytes: CONFIRMATION };
                self.send_own(now, Method::Info, Some(body));
            }
            Timer::Rebind if self.is_talking() => {
                self.rebound_at = Some(now);
                self.source.set_port(self.source.port() + 1_000);
                if self.plan.rebinds_signalling {
                    self.is_refreshed = false;
                    self.outside.set_port(7_000 + self.number as u16);
                    self.timers.push((now + Duration::from_millis(300), Timer::Refresh));
                }
            }
            Timer::Refresh if self.is_talking() => {
                if self.repeats.iter().any(|each| matches!(each.what, What::Own { .. })) {
                    self.timers.push((now + Duration::from_secs(1), Timer::Refresh));
                } else {
                    let sdp = self.sdp("sendrecv");
                    self.hold = Some(self.send_own(now, Method::Invite, Some(session_body(&sdp))));
                }
            }
            Timer::Die => {
                self.plan.is_dead = true;
                (self.is_ringing, self.next_packet) = (false, None);
                self.dialogs.clear();
                self.repeats.clear();
                self.timers.clear();
            }
            Timer::HangUp
            | Timer::Hold
            | Timer::Resume
            | Timer::Confirm
            | Timer::Rebind
            | Timer::Refresh => {}
        }
    }

    /// Where the edge wants our media.
    pub fn edge_media(&self) -> SocketAddr {
        session::media_of(&self.invite.body)
    }
}
