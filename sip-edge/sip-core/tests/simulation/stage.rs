//! An edge and its phones, stepped by hand: each phone talks in a tone of its own and keeps what it
//! is sent, and does its side of SIP by itself, over a network that may lose and double messages,
//! and lose and delay sound. What is recorded is kept as a file would be.

mod phone;

use crate::network::Dice;
use crate::session::{self, EDGE, FIRST_PORT, address, recorded};
use call_words::RefusalCode;
use media_core::relay::{self, Forward, RecordingId, RelayConfig, SocketId};
use sip_core::command::Route;
use sip_core::control::{Conversation, Verb};
use sip_core::edge::Edge;
use sip_core::event::{Ended, Event, Output, RecordedFile};
use sip_core::flow::{Flow, Transport};
use sip_core::message::{self, Limits, Method, Request, SipMessage, View};
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

pub const TICK: Duration = Duration::from_millis(20);
/// After how long a message that is not answered is sent again.
const REPEAT: Duration = Duration::from_millis(500);
/// By how many packets sound is late at most.
pub const LATEST: u32 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// No INVITE came yet.
    Idle,
    Rung,
    Up,
    Over,
}

/// Whether SIP messages get lost and doubled, and new offers refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    Fair,
    Bad,
}

/// Whether what the phones say arrives at once, or some of it late, overtaken or never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Road {
    Smooth,
    Rough,
}

pub struct Phone {
    pub name: String,
    pub standing: Standing,
    /// The last offer that it took was to be silent.
    pub is_held: bool,
    /// What it was sent since `listen` was called.
    pub heard: Vec<i16>,
    /// Status codes of its REFERs, and of the transfers as it was notified.
    pub referred: Vec<u16>,
    pub notified: Vec<u16>,
    home: SocketAddr,
    media: SocketAddr,
    invite: Option<Request>,
    payload_type: u8,
    has_media: bool,
    cseq: u32,
    sequence: u16,
    /// Its last response to the INVITE.
    response: Vec<u8>,
    /// Responses by branch and method.
    answered: Vec<(String, Vec<u8>)>,
}

/// A message that is sent until it is answered.
struct Repeat {
    phone: usize,
    cseq: u32,
    is_response: bool,
    bytes: Vec<u8>,
    at: Instant,
}

/// RTP of a phone on its way to a socket of the edge.
struct Sound {
    at: Instant,
    from: SocketAddr,
    socket: SocketId,
    bytes: Vec<u8>,
}

pub struct Stage {
    pub edge: Edge,
    pub now: Instant,
    pub phones: Vec<Phone>,
    pub conversation: Option<Conversation>,
    pub ended: Vec<Ended>,
    /// The recording's file, and when it began.
    pub file: Vec<u8>,
    pub recording: Option<(String, Instant)>,
    pub start: Instant,
    /// Parties that the agent's phone has asked for.
    pub requested: Vec<String>,
    weather: Weather,
    road: Road,
    dice: Dice,
    inbox: VecDeque<(SocketAddr, SipMessage)>,
    repeats: Vec<Repeat>,
    sounds: Vec<Sound>,
    /// What phones have said and the road has lost: who, and when.
    lost: Vec<(usize, Instant)>,
    finish: Option<(Instant, RecordingId, u64, Duration)>,
    sequence: u32,
    spoke_at: Option<Instant>,
    control_count: u32,
}

impl Phone {
    /// The tone that it talks in, in Hz: each is a whole number of periods in the 200 ms of a
    /// measurement.
    pub fn frequency(index: usize) -> f64 {
        700.0 + 100.0 * index as f64
    }
}

impl Stage {
    pub fn new(mut dice: Dice, weather: Weather, road: Road) -> Stage {
        let now = session::start();
        let relay_config = RelayConfig { webrtc: None, ..session::relay_config(40) };
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&dice.roll().to_le_bytes());
        Stage {
            edge: Edge::new(session::edge_config(2), relay_config, seed, now),
            now,
            phones: Vec::new(),
            conversation: None,
            ended: Vec::new(),
            file: Vec::new(),
            recording: None,
            start: now,
            requested: Vec::new(),
            weather,
            road,
            dice,
            inbox: VecDeque::new(),
            repeats: Vec::new(),
            sounds: Vec::new(),
            lost: Vec::new(),
            finish: None,
            sequence: 0,
            spoke_at: None,
            control_count: 0,
        }
    }

    /// A phone of this name, and the route to it.
    pub fn install(&mut self, name: &str) -> Route {
        let ip = IpAddr::V4(Ipv4Addr::new(10, 1, self.phones.len() as u8, 1));
        let home = SocketAddr::new(ip, 5060);
        self.phones.push(Phone {
            name: name.into(),
            standing: Standing::Idle,
            is_held: false,
            heard: Vec::new(),
            referred: Vec::new(),
            notified: Vec::new(),
            home,
            media: SocketAddr::new(ip, 40_000),
            invite: None,
            payload_type: 0,
            has_media: false,
            cseq: 1,
            sequence: 0,
            response: Vec::new(),
            answered: Vec::new(),
        });
        session::route("carrier", home, name)
    }

    pub fn index(&self, name: &str) -> usize {
        self.phones.iter().position(|phone| phone.name == name).unwrap()
    }

    pub fn control(&mut self, verb: &Verb) -> Result<(), RefusalCode> {
        self.control_count += 1;
        let id = self.control_count.to_string();
        let answer = self.edge.control(self.now, &"call".into(), &id, verb.clone());
        self.settle();
        answer
    }

    fn is_bad(&mut self) -> bool {
        self.weather == Weather::Bad && self.dice.chance(15)
    }

    fn drain(&mut self) {
        while let Some(output) = self.edge.poll_output() {
            match output {
                Output::Sip { flow, bytes } => {
                    let message = message::parse(&bytes, &Limits::default()).unwrap();
                    if self.is_bad() {
                        continue;
                    }
                    if self.is_bad() {
                        self.inbox.push_back((flow.remote, message.clone()));
                    }
                    self.inbox.push_back((flow.remote, message));
                }
                Output::Note(_) => {}
                Output::OpenRecording { file_name, .. } => {
                    self.recording = Some((file_name.to_string(), self.now))
                }
                Output::Event(Event::Milestone(milestone)) => {
                    self.sequence += 1;
                    assert_eq!(milestone.sequence, self.sequence, "a milestone is missing");
                    assert!(self.ended.is_empty(), "{milestone:?} after the end");
                    if let Some(conversation) = milestone.conversation {
                        self.conversation = Some(*conversation);
                    }
                }
                Output::Event(Event::Ended(ended)) => self.ended.push(*ended),
                Output::Event(Event::Speaking { .. }) => {
                    let rest = self.spoke_at.map(|at| self.now - at);
                    assert!(
                        rest.is_none_or(|rest| rest >= Duration::from_millis(200)),
                        "told too often: {rest:?}"
                    );
                    self.spoke_at = Some(self.now);
                }
                Output::Event(Event::TransferRequested { party, .. }) => self.requested.push(party),
                other => panic!("not expected here: {other:?}"),
            }
        }
        let mut sent = Vec::new();
        while let Some(output) = self.edge.relay_mut().poll_output() {
            match output {
                relay::Output::Transmit { remote, bytes, .. } => {
                    sent.push((remote, bytes.to_vec()))
                }
                relay::Output::Record { offset, bytes, .. } => {
                    let (from, to) = (offset as usize, offset as usize + bytes.len());
                    self.file.resize(self.file.len().max(to), 0);
                    self.file[from..to].copy_from_slice(bytes);
                }
                relay::Output::Finish { recording, len, duration } => {
                    self.file.truncate(len as usize);
                    // Sometimes the disk takes longer than the end may wait.
                    let wait = if self.dice.chance(20) { 5_000 } else { self.dice.between(1, 500) };
                    self.finish =
                        Some((self.now + Duration::from_millis(wait), recording, len, duration));
                }
                _ => {}
            }
        }
        sent.into_iter().for_each(|(remote, bytes)| self.hear(remote, &bytes));
    }

    fn hear(&mut self, remote: SocketAddr, bytes: &[u8]) {
        if let Some(phone) = self.phones.iter_mut().find(|phone| phone.media == remote) {
            phone.heard.extend(session::sound(bytes));
        }
    }

    /// Lets the phones answer what they were sent.
    pub fn settle(&mut self) {
        self.drain();
        while let Some((to, message)) = self.inbox.pop_front() {
            let index = self
                .phones
                .iter()
                .position(|phone| phone.home == to)
                .expect("SIP goes to those who are called");
            match message {
                SipMessage::Request(request) => self.take(index, &request),
                SipMessage::Response(response) => {
                    let cseq = response.cseq().unwrap();
                    let is_asked = |repeat: &Repeat| {
                        !repeat.is_response && repeat.phone == index && repeat.cseq == cseq.number
                    };
                    if cseq.method == Method::Refer && self.repeats.iter().any(is_asked) {
                        self.phones[index].referred.push(response.status_code.code());
                    }
                    self.repeats.retain(|repeat| {
                        repeat.is_response || repeat.phone != index || repeat.cseq != cseq.number
                    });
                }
            }
        }
    }

    /// Whether an answer of the phone is still unacknowledged.
    pub fn is_open(&self, index: usize) -> bool {
        self.repeats.iter().any(|repeat| repeat.phone == index)
    }

    /// Lets the clock run with nobody talking.
    pub fn advance(&mut self, duration: Duration) {
        let until = self.now + duration;
        loop {
            let repeats = self.repeats.iter().map(|repeat| repeat.at).min();
            let finish = self.finish.map(|(at, ..)| at);
            let next = [self.edge.poll_timeout(), repeats, finish].into_iter().flatten().min();
            let Some(at) = next.filter(|at| *at <= until) else { break };
            self.now = self.now.max(at);
            self.edge.handle_timeout(self.now);
            if let Some((_, recording, len, duration)) =
                self.finish.take_if(|(at, ..)| *at <= self.now)
            {
                self.edge.recording_finished(
                    self.now,
                    recording,
                    RecordedFile { len, ..recorded(duration) },
                );
            }
            for index in 0..self.repeats.len() {
                let repeat = &mut self.repeats[index];
                if repeat.at <= self.now {
                    repeat.at = self.now + REPEAT;
                    let (phone, bytes) = (repeat.phone, repeat.bytes.clone());
                    self.post(phone, &bytes);
                }
            }
            self.settle();
        }
        self.now = until;
    }

    /// Lets all who can talk for so many packets.
    pub fn talk(&mut self, count: u32) {
        for _ in 0..count {
            self.advance(TICK);
            for index in 0..self.phones.len() {
                self.speak(index);
            }
            self.carry();
            self.settle();
        }
    }

    fn speak(&mut self, index: usize) {
        let phone = &mut self.phones[index];
        let Some(invite) =
            phone.invite.as_ref().filter(|_| phone.has_media && phone.standing != Standing::Over)
        else {
            return;
        };
        phone.sequence += 1;
        let clock = (self.now - self.start).as_millis() as u32 * 8;
        let bytes =
            session::sine(phone.payload_type, phone.sequence, clock, Phone::frequency(index));
        let (from, port) = (phone.media, session::media_of(&invite.body).port());
        let socket = SocketId(u32::from(port - FIRST_PORT));
        let (mut at, is_rough) = (self.now, self.road == Road::Rough);
        if is_rough && self.dice.chance(4) {
            self.lost.push((index, self.now));
            return;
        }
        if is_rough && self.dice.chance(15) {
            at += TICK * self.dice.between(1, u64::from(LATEST) + 1) as u32;
        }
        self.sounds.push(Sound { at, from, socket, bytes });
    }

    /// How many of the packets that a phone said from then on were not lost.
    pub fn arrived_count(&self, index: usize, from: Instant, count: u32) -> u32 {
        let said = from..from + TICK * count;
        let lost = self.lost.iter().filter(|(phone, at)| *phone == index && said.contains(at));
        count - lost.count() as u32
    }

    /// Brings the sound that is due to the edge.
    fn carry(&mut self) {
        let now = self.now;
        for Sound { from, socket, mut bytes, .. } in
            self.sounds.extract_if(.., |sound| sound.at <= now).collect::<Vec<_>>()
        {
            let len = bytes.len();
            bytes.resize(len + relay::TAIL_ROOM, 0);
            if let Forward::To { remote, start, len, .. } =
                self.edge.relay_mut().forward(now, socket, from, &mut bytes, len)
            {
                self.hear(remote, &bytes[start..start + len]);
            }
            self.edge.handle_media(now);
        }
    }

    /// Delivers a message of a phone, perhaps twice.
    fn deliver(&mut self, index: usize, bytes: &[u8]) {
        let flow = Flow {
            transport: Transport::Udp,
            local: address(EDGE),
            remote: self.phones[index].home,
            connection: None,
        };
        self.edge.handle_sip(self.now, flow, bytes);
        if self.is_bad() {
            self.edge.handle_sip(self.now, flow, bytes);
        }
        self.drain();
    }

    /// Delivers a message of a phone, unless it gets lost.
    fn post(&mut self, index: usize, bytes: &[u8]) {
        if !self.is_bad() {
            self.deliver(index, bytes);
        }
    }
}
