//! An edge between two hand-driven peers: each message that it sends is taken and answered by the
//! test, in order and without delay.

use crate::session::{self, EDGE, FIRST_PORT, address};
use call_words::MilestoneKind;
use media_core::relay::{self, Forward, RelayConfig, SocketId};
use sip_core::command::{EdgeConfig, PlaceCall};
use sip_core::edge::Edge;
use sip_core::event::{Copied, Ended, Event, Ladder, Milestone, Output, SourceKind, TrunkState};
use sip_core::flow::{Flow, Transport};
use sip_core::message::{
    self, Body, Limits, Method, NameAddr, Request, RequestParts, Response, SipMessage, View,
    header, set_body, via_value,
};
use sip_core::outcome::LegName;
use sip_core::registrar::CloseReason;
use sip_core::remains;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub const AGENT: &str = "10.0.1.1:5060";
pub const AGENT_MEDIA: &str = "10.0.1.2:30000";
pub const CUSTOMER: &str = "10.0.2.1:5060";
pub const CUSTOMER_MEDIA: &str = "10.0.2.2:40000";

/// Where the customer is reached by the number with `00` before it.
pub const BACKUP: &str = "10.0.3.1:5060";

pub const THIRD: &str = "10.0.3.1:5060";
pub const THIRD_MEDIA: &str = "10.0.3.2:50000";
pub const SUPERVISOR: &str = "10.0.4.1:5060";
pub const SUPERVISOR_MEDIA: &str = "10.0.4.2:60000";

pub struct Rig {
    pub edge: Edge,
    pub now: Instant,
    pub sent: VecDeque<(Flow, SipMessage)>,
    pub milestones: Vec<(MilestoneKind, Option<LegName>)>,
    /// The same, whole.
    pub told: Vec<Milestone>,
    pub ended: Vec<Ended>,
    /// RTP that the edge sent: port it left, address it went to.
    pub media: Vec<(u16, SocketAddr)>,
    /// The same, whole, by where it went.
    pub datagrams: Vec<(SocketAddr, Vec<u8>)>,
    pub opened_recordings: Vec<relay::RecordingId>,
    pub presences: Vec<(String, bool)>,
    /// Party and target of each.
    pub requested_transfers: Vec<(String, String)>,
    pub speaking: Vec<Vec<String>>,
    pub closed: Vec<(Flow, CloseReason)>,
    /// Binding requests of STUN.
    pub pings: Vec<(Flow, Arc<[u8]>)>,
    /// Streams that were closed without a word.
    pub cut: Vec<Flow>,
    /// What is noted for the next process.
    pub journal: Vec<u8>,
    pub refused: Vec<(String, IpAddr, SourceKind)>,
    pub trunks: Vec<TrunkState>,
    pub ladders: Vec<Ladder>,
    pub copied: Vec<Copied>,
    /// Datagrams to softphones.
    pub softphone_media: VecDeque<(SocketAddr, Vec<u8>)>,
    /// The edge may send what is odd, for it copies what its peers wrote.
    pub is_odd: bool,
    branch: u32,
}

/// A dialog as its callee sees it.
#[derive(Clone)]
pub struct Callee {
    pub address: SocketAddr,
    pub tag: String,
    pub invite: Request,
    cseq: u32,
}

impl Rig {
    /// For phones only: a certificate less to make.
    pub fn new() -> Rig {
        Rig::with(RelayConfig { webrtc: None, ..session::relay_config(20) })
    }

    pub fn for_softphones() -> Rig {
        Rig::with(session::relay_config(20))
    }

    fn with(relay_config: RelayConfig) -> Rig {
        Rig::of(session::edge_config(10), relay_config)
    }

    /// Whose calls are offered G.722.
    pub fn wideband() -> Rig {
        let edge_config = EdgeConfig { wideband: true, ..session::edge_config(10) };
        Rig::of(edge_config, RelayConfig { webrtc: None, ..session::relay_config(20) })
    }

    /// Whose calls' messages are copied.
    pub fn watched() -> Rig {
        let edge_config = EdgeConfig { copies_sip: true, ..session::edge_config(10) };
        Rig::of(edge_config, RelayConfig { webrtc: None, ..session::relay_config(20) })
    }

    fn of(edge_config: EdgeConfig, relay_config: RelayConfig) -> Rig {
        let now = session::start();
        Rig {
            edge: Edge::new(edge_config, relay_config, [7; 32], now),
            now,
            sent: VecDeque::new(),
            milestones: Vec::new(),
            told: Vec::new(),
            ended: Vec::new(),
            media: Vec::new(),
            datagrams: Vec::new(),
            opened_recordings: Vec::new(),
            presences: Vec::new(),
            requested_transfers: Vec::new(),
            speaking: Vec::new(),
            closed: Vec::new(),
            pings: Vec::new(),
            cut: Vec::new(),
            journal: Vec::new(),
            refused: Vec::new(),
            trunks: Vec::new(),
            ladders: Vec::new(),
            copied: Vec::new(),
            softphone_media: VecDeque::new(),
            is_odd: false,
            branch: 0,
        }
    }

    /// One call between the two peers, each over one trunk.
    pub fn plain_call() -> PlaceCall {
        let agent = vec![session::route("agents", address(AGENT), "1001")];
        let customer = vec![session::route("carrier", address(CUSTOMER), "9876543210")];
        session::call("call-1", agent, customer)
    }

    /// A rig with the plain call placed.
    pub fn placed() -> Rig {
        let mut rig = Rig::new();
        rig.place(Rig::plain_call());
        rig
    }

    pub fn place(&mut self, call: PlaceCall) {
        self.edge.place_call(self.now, call).unwrap();
        self.drain();
    }

    /// A rig whose agent has answered; the customer's INVITE is the next message.
    pub fn agent_answered() -> (Rig, Callee) {
        let mut rig = Rig::placed();
        let agent = rig.answer_invite(AGENT, "agent", AGENT_MEDIA);
        rig.expect_request(Method::Ack, AGENT);
        (rig, agent)
    }

    /// A rig with a bridged call.
    pub fn bridged() -> (Rig, Callee, Callee) {
        let (mut rig, agent) = Rig::agent_answered();
        let customer = rig.answer_invite(CUSTOMER, "customer", CUSTOMER_MEDIA);
        rig.expect_request(Method::Ack, CUSTOMER);
        rig.expect_silence();
        (rig, agent, customer)
    }

    /// A bridged call, with its customer, on a shard that has room for eight transactions.
    pub fn with_few_transactions() -> (Rig, Callee) {
        let edge_config = EdgeConfig { transaction_capacity: 8, ..session::edge_config(10) };
        let mut rig = Rig::of(edge_config, session::relay_config(20));
        rig.place(Rig::plain_call());
        rig.answer_invite(AGENT, "agent", AGENT_MEDIA);
        rig.expect_request(Method::Ack, AGENT);
        let customer = rig.answer_invite(CUSTOMER, "customer", CUSTOMER_MEDIA);
        rig.expect_request(Method::Ack, CUSTOMER);
        (rig, customer)
    }

    /// Takes the INVITE that was just sent to `at` and answers it with 200.
    #[track_caller]
    pub fn answer_invite(&mut self, at: &str, tag: &str, media: &str) -> Callee {
        let invite = self.expect_request(Method::Invite, at);
        self.reply_with_sdp(&invite, 200, tag, media);
        self.callee(at, tag, &invite)
    }

    pub fn callee(&self, at: &str, tag: &str, invite: &Request) -> Callee {
        Callee { address: address(at), tag: tag.into(), invite: invite.clone(), cseq: 100 }
    }

    pub fn drain(&mut self) {
        while let Some(output) = self.edge.poll_output() {
            match output {
                Output::Sip { flow, bytes } if bytes[0] == 0 => self.pings.push((flow, bytes)),
                Output::Sip { flow, bytes } => match message::parse(&bytes, &Limits::default()) {
                    Ok(message) => self.sent.push_back((flow, message)),
                    Err(_) if self.is_odd => {
                        let read = message::read(&bytes, &Limits::default())
                            .expect("what is sent can be read");
                        self.sent.push_back((flow, read.message));
                    }
                    // The refusal of a malformed request repeats its headers as they came.
                    Err(_)
                        if bytes.starts_with(b"SIP/2.0 4") || bytes.starts_with(b"SIP/2.0 5") => {}
                    Err(error) => panic!("{error}: {}", String::from_utf8_lossy(&bytes)),
                },
                Output::OpenRecording { recording, .. } => self.opened_recordings.push(recording),
                Output::Event(Event::Milestone(milestone)) => {
                    self.milestones.push((milestone.kind, milestone.leg));
                    self.told.push(milestone);
                }
                Output::Event(Event::Ended(ended)) => self.ended.push(*ended),
                Output::Event(Event::Presence { agent, is_online }) => {
                    self.presences.push((agent.to_string(), is_online))
                }
                Output::Event(Event::TransferRequested { party, target, .. }) => {
                    self.requested_transfers.push((party, target))
                }
                Output::Event(Event::Ladder(ladder)) => self.ladders.push(ladder),
                Output::Event(Event::Trunk(state)) => self.trunks.push(state),
                Output::Event(Event::Speaking { parties, .. }) => self.speaking.push(parties),
                Output::Copied(copied) => self.copied.push(*copied),
                Output::CopiedRtcp(_) => panic!("the relay copies none"),
                Output::CutFlow { flow } => self.cut.push(flow),
                Output::CloseFlow { flow, reason } => self.closed.push((flow, reason)),
                Output::Note(note) => self.journal.extend(note.print()),
                Output::InterfaceLacking { trunk, fault, .. } => panic!("{trunk}: {fault}"),
                Output::SourceRefused { trunk, source, kind } => {
                    self.refused.push((trunk.to_string(), source, kind))
                }
            }
        }
        while let Some(output) = self.edge.relay_mut().poll_output() {
            match output {
                relay::Output::Transmit { socket: SocketId::WEBRTC, remote, bytes } => {
                    self.softphone_media.push_back((remote, bytes.to_vec()));
                }
                relay::Output::Transmit { socket, remote, bytes } => {
                    self.media.push((FIRST_PORT + socket.0 as u16, remote));
                    self.datagrams.push((remote, bytes.to_vec()));
                }
                _ => {}
            }
        }
    }

    /// Lets the clock run, firing each timer when it is due.
    pub fn advance(&mut self, duration: Duration) {
        let until = self.now + duration;
        while let Some(due) = self.edge.poll_timeout().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.edge.handle_timeout(self.now);
            self.drain();
        }
        self.now = until;
    }

    pub fn hang_up(&mut self) {
        self.edge.hang_up(self.now, &"call-1".into());
        self.drain();
    }

    /// Takes the next message that was sent: a request of this method, to this address.
    #[track_caller]
    pub fn expect_request(&mut self, method: Method, to: &str) -> Request {
        match self.sent.pop_front() {
            Some((flow, SipMessage::Request(request))) => {
                assert_eq!((request.method, flow.remote), (method, address(to)));
                request
            }
            other => panic!("{method} expected, not {other:?}"),
        }
    }

    /// Takes the next message that was sent: a response with this status.
    #[track_caller]
    pub fn expect_response(&mut self, code: u16) -> Response {
        match self.sent.pop_front() {
            Some((_, SipMessage::Response(response))) => {
                assert_eq!(response.status_code.code(), code);
                response
            }
            other => panic!("{code} expected, not {other:?}"),
        }
    }

    #[track_caller]
    pub fn expect_silence(&self) {
        assert!(self.sent.is_empty(), "nothing expected, not {:?}", self.sent);
    }

    /// The end of the only call, told exactly once.
    #[track_caller]
    pub fn ended(&self) -> &Ended {
        assert_eq!(self.ended.len(), 1, "ends that were told");
        &self.ended[0]
    }

    /// Nothing is left once all transactions have run out.
    #[track_caller]
    pub fn expect_nothing_held(&mut self) {
        self.advance(Duration::from_secs(70));
        assert_eq!(self.edge.held(), Default::default());
        assert_eq!(self.ended.len(), 1, "ends that were told");
        assert_eq!(remains::read(&self.journal), []);
    }

    /// The process dies, and the next one takes over what was noted.
    pub fn crash(&mut self) {
        let relay_config = RelayConfig { webrtc: None, ..session::relay_config(20) };
        self.edge = Edge::new(session::edge_config(10), relay_config, [8; 32], self.now);
        self.sent.clear();
        self.edge.bid_farewell(self.now, remains::read(&self.journal));
        self.drain();
    }

    pub fn flow(from: SocketAddr) -> Flow {
        Flow { transport: Transport::Udp, local: address(EDGE), remote: from, connection: None }
    }

    pub fn deliver(&mut self, from: SocketAddr, bytes: &[u8]) {
        self.deliver_over(Rig::flow(from), bytes);
    }

    pub fn deliver_over(&mut self, flow: Flow, bytes: &[u8]) {
        self.edge.handle_sip(self.now, flow, bytes);
        self.drain();
    }

    fn response(request: &Request, code: u16, tag: &str) -> Response {
        let mut response = message::respond(request, code, tag);
        if (101..300).contains(&code) && request.method == Method::Invite {
            response.headers.push(header("Contact", format!("<sip:phone@{}>", Rig::home(request))));
        }
        response
    }

    /// The peer that a request was for, by its number.
    fn home(request: &Request) -> &'static str {
        match request.to_addr().unwrap().uri.user {
            Some("1001") => AGENT,
            Some("009876543210") => BACKUP,
            Some("3001") => THIRD,
            Some("4001") => SUPERVISOR,
            _ => CUSTOMER,
        }
    }

    pub fn reply(&mut self, request: &Request, code: u16, tag: &str) {
        let response = Rig::response(request, code, tag);
        self.deliver(address(Rig::home(request)), &message::print_response(&response));
    }

    pub fn reply_with(&mut self, request: &Request, code: u16, tag: &str, name: &str, value: &str) {
        let mut response = Rig::response(request, code, tag);
        response.headers.push(header(name, value));
        self.deliver(address(Rig::home(request)), &message::print_response(&response));
    }

    pub fn reply_with_sdp(&mut self, request: &Request, code: u16, tag: &str, media: &str) {
        let offered = session::formats_of(&request.body);
        self.reply_with_body(
            request,
            code,
            tag,
            &session::sdp(address(media), offered[0], "sendrecv"),
        );
    }

    pub fn reply_with_body(&mut self, request: &Request, code: u16, tag: &str, sdp: &str) {
        let mut response = Rig::response(request, code, tag);
        set_body(&mut response, Body { content_type: "application/sdp", bytes: sdp.as_bytes() });
        self.deliver(address(Rig::home(request)), &message::print_response(&response));
    }

    /// A request of a callee inside its dialog, delivered at once.
    pub fn request(&mut self, callee: &mut Callee, method: Method, sdp: Option<&str>) -> Request {
        callee.cseq += 1;
        let request = self.build(callee, method, callee.cseq, sdp);
        self.deliver(callee.address, &message::print_request(&request));
        request
    }

    /// An INFO of a callee inside its dialog, delivered at once.
    pub fn info(&mut self, callee: &Callee, cseq: u32, content_type: &str, body: &str) {
        let mut info = self.build(callee, Method::Info, cseq, None);
        info.headers.push(header("Content-Type", content_type));
        info.body = body.into();
        self.deliver(callee.address, &message::print_request(&info));
    }

    /// The ACK of a 2xx that the edge sent to a callee's last INVITE.
    pub fn ack(&mut self, callee: &Callee, sdp: Option<&str>) {
        let ack = self.build(callee, Method::Ack, callee.cseq, sdp);
        self.deliver(callee.address, &message::print_request(&ack));
    }

    pub fn build(
        &mut self,
        callee: &Callee,
        method: Method,
        cseq: u32,
        sdp: Option<&str>,
    ) -> Request {
        self.branch += 1;
        let contact = NameAddr::parse(callee.invite.value("Contact").unwrap()).unwrap();
        message::request(&RequestParts {
            method,
            target: contact.uri.as_str(),
            routes: &[],
            via: &via_value(
                "UDP",
                &callee.address.to_string(),
                &format!("z9hG4bKpeer{}", self.branch),
            ),
            from: &format!("{};tag={}", callee.invite.value("To").unwrap(), callee.tag),
            to: callee.invite.value("From").unwrap(),
            call_id: callee.invite.call_id().unwrap(),
            cseq,
            contact: Some(&format!("<sip:phone@{}>", callee.address)),
            extra: Vec::new(),
            body: sdp.map(|sdp| Body { content_type: "application/sdp", bytes: sdp.as_bytes() }),
        })
    }

    /// Sends one RTP packet to the port that the edge offered in `invite`.
    pub fn rtp(&mut self, from: &str, invite: &Request, sequence: u16) -> Forward {
        self.packet(
            from,
            invite,
            session::rtp(session::formats_of(&invite.body)[0], sequence, 0x1234),
        )
    }

    /// The same with a packet of the test's own.
    pub fn packet(&mut self, from: &str, invite: &Request, mut buffer: Vec<u8>) -> Forward {
        let port = session::media_of(&invite.body).port();
        let len = buffer.len();
        buffer.resize(len + relay::TAIL_ROOM, 0);
        let socket = SocketId(u32::from(port - FIRST_PORT));
        let forward =
            self.edge.relay_mut().forward(self.now, socket, address(from), &mut buffer, len);
        if let Forward::To { socket: SocketId::WEBRTC, remote, start, len } = forward {
            self.softphone_media.push_back((remote, buffer[start..start + len].to_vec()));
        }
        self.edge.handle_media(self.now);
        self.drain();
        forward
    }

    pub fn has_milestone(&self, kind: MilestoneKind) -> bool {
        self.milestones.iter().any(|(each, _)| *each == kind)
    }
}
