//! A scripted softphone: a page of an agent that registers over its WebSocket, rings, answers or
//! refuses, talks over ICE, DTLS and SRTP, and hangs up. Its connection may break and come back,
//! its address may change, and it may be gone without a word.

use crate::client::{Client, Version};
use crate::network::Dice;
use crate::peer::Phone;
use crate::plan::Finish;
use crate::{session, softphone};
use sip_core::message::{self, Method, Request, Response, SipMessage, View};
use sip_core::outcome::LegName;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

const PACKET_PERIOD: Duration = Duration::from_millis(100);
/// After how long a 2xx that is not acknowledged is sent again (RFC 3261 §13.3.1.4: T1, here
/// without growing), and how often.
const REPEAT: Duration = Duration::from_millis(500);
const REPEAT_COUNT: u32 = 64;
/// A page rings no longer than this.
const NO_ANSWER: Duration = Duration::from_secs(60);
/// RFC 7675 §5.1: no answer to a check for so long ends a session.
const CONSENT: Duration = Duration::from_secs(30);
/// How often a page tries to register.
const TRY_COUNT: u32 = 4;

/// What a page does with its calls.
#[derive(Debug, Clone, Copy)]
pub struct PagePlan {
    pub rings: bool,
    pub finish: Finish,
    pub finish_after: Duration,
    pub hang_up_after: Option<Duration>,
    pub has_microphone: bool,
    /// Answers when CANCEL comes: they crossed.
    pub crosses_cancel: bool,
}

impl PagePlan {
    pub fn roll(dice: &mut Dice) -> PagePlan {
        let finish = match dice.between(0, 20) {
            0 => Finish::Never,
            1 | 2 => Finish::Reject { code: dice.pick(&[486, 603, 480, 606, 488]), q850: None },
            _ => Finish::Answer,
        };
        PagePlan {
            rings: dice.chance(80),
            finish,
            finish_after: Duration::from_millis(dice.between(0, 6_000)),
            hang_up_after: dice.chance(60).then(|| Duration::from_millis(dice.between(0, 40_000))),
            has_microphone: !dice.chance(5),
            crosses_cancel: dice.chance(30),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Rings,
    Answered,
    Talks,
}

/// The page's side of one INVITE.
struct Session {
    invite: Request,
    state: State,
    client: Option<Client>,
    /// Answered checks, and when the last one was.
    success_count: u32,
    consent_at: Instant,
    next_packet: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Timer {
    Ring,
    Finish,
    NoAnswer,
    Repeat(u32),
    HangUp,
    Register,
}

pub struct Page {
    /// The call that its agent is in.
    pub number: usize,
    /// What tells it from all other pages.
    pub tab: usize,
    pub plan: PagePlan,
    /// Its end of the WebSocket, while there is one.
    pub socket: Option<SocketAddr>,
    /// Where its media come from.
    pub media: SocketAddr,
    /// Closed, taken over, or dead: nothing comes from it any more.
    pub is_gone: bool,
    pub has_spoken: bool,
    /// Audio packets that came from the edge.
    pub heard: usize,
    /// INVITEs that came, and connections that it had.
    pub rung_count: u32,
    pub connection_count: u32,
    session: Option<Session>,
    timers: Vec<(Instant, Timer)>,
    try_count: u32,
    cseq: u32,
    branch: u32,
    sequence: u16,
    pub out: Vec<Vec<u8>>,
    pub datagrams: Vec<Vec<u8>>,
}

/// The agent of a call.
pub fn agent(number: usize) -> String {
    format!("1{number}")
}

impl Page {
    pub fn new(number: usize, tab: usize, plan: PagePlan) -> Page {
        let media = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7)), 20_000);
        Page {
            number,
            tab,
            plan,
            socket: None,
            media: SocketAddr::new(media.ip(), media.port() + 100 * tab as u16),
            is_gone: false,
            has_spoken: false,
            heard: 0,
            rung_count: 0,
            connection_count: 0,
            session: None,
            timers: Vec::new(),
            try_count: 0,
            cseq: 0,
            branch: 0,
            sequence: 0,
            out: Vec::new(),
            datagrams: Vec::new(),
        }
    }

    /// It neither rings nor believes to be in a call, or is no more.
    pub fn is_idle(&self) -> bool {
        self.is_gone || self.session.is_none()
    }

    pub fn connect(&mut self, socket: SocketAddr) {
        self.socket = Some(socket);
        self.connection_count += 1;
        self.try_count = 0;
        self.register(None);
    }

    /// Its translator gives it another address.
    pub fn rebind(&mut self) {
        self.media.set_port(self.media.port() + 2);
    }

    pub fn leave(&mut self) {
        (self.is_gone, self.socket, self.session) = (true, None, None);
        self.timers.clear();
    }

    fn send(&mut self, bytes: Vec<u8>) {
        if self.socket.is_some() {
            self.out.push(bytes);
        }
    }

    fn register(&mut self, challenged: Option<&Response>) {
        (self.cseq, self.branch) = (self.cseq + 1, self.branch + 1);
        let agent = agent(self.number);
        let request =
            softphone::register_request(&agent, self.tab, self.cseq, self.branch, challenged);
        self.send(message::print_request(&request));
    }

    pub fn next_at(&self) -> Option<Instant> {
        if self.is_gone {
            return None;
        }
        let timers = self.timers.iter().map(|(at, _)| *at);
        let session = self.session.as_ref();
        let client = session.and_then(|session| session.client.as_ref()?.poll_timeout());
        let packet = session.filter(|session| session.client.is_some());
        timers.chain(client).chain(packet.map(|session| session.next_packet)).min()
    }

    pub fn handle(&mut self, now: Instant, message: SipMessage) {
        match message {
            SipMessage::Request(request) => self.handle_request(now, request),
            SipMessage::Response(response) => self.handle_response(now, &response),
        }
    }

    fn handle_response(&mut self, now: Instant, response: &Response) {
        if response.cseq().unwrap().method != Method::Register {
            return;
        }
        self.try_count += 1;
        match response.status_code.code() {
            200 => self.try_count = 0,
            401 if self.try_count < TRY_COUNT => self.register(Some(response)),
            _ => self.timers.push((now + Duration::from_secs(3), Timer::Register)),
        }
    }

    fn answer(&mut self, request: &Request, code: u16) {
        let response = message::respond(request, code, &format!("p{}", self.tab));
        self.send(message::print_response(&response));
    }

    fn is_of_session(&self, request: &Request) -> bool {
        let session = self.session.as_ref();
        session.is_some_and(|session| session.invite.call_id() == request.call_id())
    }

    fn handle_request(&mut self, now: Instant, request: Request) {
        match request.method {
            Method::Invite => self.handle_invite(now, request),
            Method::Ack if self.is_of_session(&request) => {
                self.timers.retain(|(_, timer)| !matches!(timer, Timer::Repeat(_)));
                if let Some(session) = &mut self.session
                    && session.state == State::Answered
                {
                    session.state = State::Talks;
                    let hang_up = self.plan.hang_up_after.map(|after| (now + after, Timer::HangUp));
                    self.timers.extend(hang_up);
                }
            }
            // Of a refusal.
            Method::Ack => {}
            Method::Bye => {
                let is_ours = self.is_of_session(&request);
                self.answer(&request, if is_ours { 200 } else { 481 });
                if is_ours {
                    self.end_session();
                }
            }
            Method::Cancel => {
                let is_ours = self.is_of_session(&request);
                self.answer(&request, if is_ours { 200 } else { 481 });
                let is_ringing =
                    self.session.as_ref().is_some_and(|session| session.state == State::Rings);
                if is_ours && is_ringing && self.plan.crosses_cancel {
                    self.pick_up(now);
                } else if is_ours && is_ringing {
                    self.refuse(487);
                }
            }
            method => panic!("the edge sent {method} to a page"),
        }
    }

    /// A new INVITE takes the place of the former: the edge calls once at a time.
    fn handle_invite(&mut self, now: Instant, invite: Request) {
        assert!(invite.to_tag().is_none(), "the edge offers a page nothing new here");
        self.end_session();
        self.rung_count += 1;
        self.session = Some(Session {
            invite,
            state: State::Rings,
            client: None,
            success_count: 0,
            consent_at: now,
            next_packet: now,
        });
        if self.plan.rings {
            self.timers.push((now + Duration::from_millis(50), Timer::Ring));
        }
        if self.plan.finish != Finish::Never {
            let at = now + Duration::from_millis(60) + self.plan.finish_after;
            self.timers.push((at, Timer::Finish));
        }
        self.timers.push((now + NO_ANSWER, Timer::NoAnswer));
    }

    fn end_session(&mut self) {
        self.session = None;
        self.timers.retain(|(_, timer)| *timer == Timer::Register);
    }

    fn refuse(&mut self, code: u16) {
        if let Some(session) = self.session.take() {
            self.answer(&session.invite, code);
        }
        self.end_session();
    }

    fn pick_up(&mut self, now: Instant) {
        let Some(session) = &mut self.session else { return };
        // Each connection of a browser has an address of its own.
        self.media.set_port(self.media.port() + 2);
        let mut client = Client::new(now, Version::Either);
        client.set_remote(now, std::str::from_utf8(&session.invite.body).unwrap());
        (session.client, session.state) = (Some(client), State::Answered);
        (session.consent_at, session.next_packet) = (now, now);
        self.timers.retain(|(_, timer)| *timer == Timer::Register);
        self.send_answer(now, 0);
    }

    fn send_answer(&mut self, now: Instant, count: u32) {
        let Some(session) = &self.session else { return };
        let Some(client) = &session.client else { return };
        let sdp = client.description("active", "sendrecv");
        let answer = softphone::answer_to(&session.invite, self.tab, &sdp);
        self.send(message::print_response(&answer));
        if count < REPEAT_COUNT {
            self.timers.push((now + REPEAT, Timer::Repeat(count + 1)));
        }
    }

    fn hang_up(&mut self) {
        let Some(session) = self.session.take() else { return };
        (self.cseq, self.branch) = (self.cseq + 1, self.branch + 1);
        let bye = softphone::inside_request(
            &session.invite,
            self.tab,
            self.cseq,
            self.branch,
            Method::Bye,
            None,
        );
        self.send(message::print_request(&bye));
        self.end_session();
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        if self.is_gone {
            return;
        }
        let due: Vec<Timer> =
            self.timers.extract_if(.., |(at, _)| *at <= now).map(|(_, timer)| timer).collect();
        due.into_iter().for_each(|timer| self.fire(now, timer));
        self.run_media(now);
    }

    fn fire(&mut self, now: Instant, timer: Timer) {
        let is_ringing = self.session.as_ref().is_some_and(|session| session.state == State::Rings);
        match timer {
            Timer::Ring if is_ringing => {
                let invite = self.session.as_ref().map(|session| session.invite.clone());
                invite.iter().for_each(|invite| self.answer(invite, 180));
            }
            Timer::Finish if is_ringing => match self.plan.finish {
                Finish::Answer => self.pick_up(now),
                Finish::Reject { code, .. } => self.refuse(code),
                Finish::Never => {}
            },
            Timer::NoAnswer if is_ringing => self.refuse(480),
            Timer::Repeat(count) => self.send_answer(now, count),
            Timer::HangUp => self.hang_up(),
            Timer::Register => self.register(None),
            Timer::Ring | Timer::Finish | Timer::NoAnswer => {}
        }
    }

    fn run_media(&mut self, now: Instant) {
        let Some(session) = &mut self.session else { return };
        let Some(client) = &mut session.client else { return };
        client.handle_timeout(now);
        if client.success_count > session.success_count {
            (session.success_count, session.consent_at) = (client.success_count, now);
        }
        if session.next_packet <= now {
            session.next_packet = now + PACKET_PERIOD;
            if self.plan.has_microphone && client.is_connected() {
                self.sequence = self.sequence.wrapping_add(1);
                let frequency = Phone::frequency(LegName::Agent);
                client.speak(&session::tone(0, self.sequence, 0, frequency)[12..]);
                self.has_spoken = true;
            }
        }
        self.datagrams.extend(std::iter::from_fn(|| client.poll_transmit()));
        if session.consent_at + CONSENT <= now {
            self.hang_up();
        }
    }

    pub fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) {
        let client = self.session.as_mut().and_then(|session| session.client.as_mut());
        let Some(client) = client else { return };
        client.handle_datagram(now, datagram);
        self.heard += client.heard.drain(..).count();
        self.datagrams.extend(std::iter::from_fn(|| client.poll_transmit()));
    }
}
