//! Simulated softphones beside the hand-driven peers: pages that register over their own flow, take
//! the INVITE, bring ICE, DTLS and SRTP up against the real relay, lose their connection, come
//! back, or are closed.

use crate::client::{Client, Version};
use crate::rig::{CUSTOMER, CUSTOMER_MEDIA, Callee, Rig};
use crate::session::{self, DOMAIN, EDGE, address};
use call_words::MilestoneKind;
use media_core::relay::{Forward, SocketId, TAIL_ROOM, UNFOLDED_LEN};
use sip_core::command::{AgentTarget, PlaceCall, Refusal};
use sip_core::digest::{Challenge, Credentials};
use sip_core::flow::{Flow, FlowFault, Transport};
use sip_core::message::{
    self, Body, Method, Request, RequestParts, Response, SipMessage, View, header, set_body,
    via_value,
};
use sip_core::outcome::LegName;
use sip_core::registrar::{CloseReason, Grant};
use std::net::SocketAddr;
use std::time::Duration;

pub const ANN: &str = "ann";
pub const BOB: &str = "bob";
pub const PASSWORD: &str = "secret";
const STEP: Duration = Duration::from_millis(20);

/// One page of an agent.
pub struct Page {
    pub agent: &'static str,
    pub flow: Flow,
    pub is_connected: bool,
    /// Its media run: checks, handshake, audio.
    pub is_alive: bool,
    /// It has a microphone.
    pub speaks: bool,
    /// It takes Opus.
    pub has_opus: bool,
    client: Option<Client>,
    address: SocketAddr,
    number: usize,
    cseq: u32,
    pub invite: Option<Request>,
}

pub struct Office {
    pub rig: Rig,
    pub pages: Vec<Page>,
    next_connection: u64,
    branch: u32,
    customer_sequence: u16,
}

impl Office {
    pub fn new() -> Office {
        let mut office = Office {
            rig: Rig::for_softphones(),
            pages: Vec::new(),
            next_connection: 1,
            branch: 0,
            customer_sequence: 0,
        };
        for agent in [ANN, BOB] {
            let expires_at = office.rig.now + Duration::from_secs(100_000);
            office.rig.edge.grant_softphone(
                office.rig.now,
                Grant { agent: agent.into(), password: PASSWORD.into(), expires_at },
            );
        }
        office
    }

    pub fn call() -> PlaceCall {
        let customer = vec![session::route("carrier", address(CUSTOMER), "9876543210")];
        let agent = AgentTarget::Softphone {
            agent: ANN.into(),
            ring: Duration::from_secs(30),
            opus: false,
        };
        PlaceCall {
            agent,
            recording: Some("crm_1.wav".into()),
            ..session::call("call-1", Vec::new(), customer)
        }
    }

    pub fn place(&mut self, call: PlaceCall) -> Result<(), Refusal> {
        let placed = self.rig.edge.place_call(self.rig.now, call);
        self.rig.drain();
        placed
    }

    /// Opens a page and registers it.
    pub fn open(&mut self, agent: &'static str) -> usize {
        let number = self.pages.len();
        let address = SocketAddr::new([203, 0, 113, 7].into(), 50_000 + number as u16);
        let (flow, is_connected, is_alive, speaks) = (self.next_flow(), true, true, true);
        self.pages.push(Page {
            agent,
            flow,
            is_connected,
            is_alive,
            speaks,
            has_opus: false,
            client: None,
            address,
            number,
            cseq: 0,
            invite: None,
        });
        assert_eq!(self.register(number).status_code.code(), 200);
        number
    }

    fn next_flow(&mut self) -> Flow {
        self.next_connection += 1;
        let remote = SocketAddr::new([203, 0, 113, 7].into(), 40_000 + self.next_connection as u16);
        Flow {
            transport: Transport::Wss,
            local: address(EDGE),
            remote,
            connection: Some(self.next_connection),
        }
    }

    /// The page's connection breaks.
    pub fn disconnect(&mut self, page: usize) {
        self.pages[page].is_connected = false;
        let flow = self.pages[page].flow;
        self.rig.edge.handle_flow_error(self.rig.now, flow, FlowFault::Broken);
        self.rig.drain();
    }

    /// The page is closed or reloaded: neither signalling nor media.
    pub fn close(&mut self, page: usize) {
        self.pages[page].is_alive = false;
        self.disconnect(page);
    }

    /// The same page over a new connection.
    pub fn reconnect(&mut self, page: usize) {
        self.pages[page].flow = self.next_flow();
        self.pages[page].is_connected = true;
        assert_eq!(self.register(page).status_code.code(), 200);
    }

    /// Registers without credentials.
    pub fn ask_to_register(&mut self, page: usize) -> Response {
        let bare = self.build_register(page, None);
        self.send(page, &bare);
        self.response(page)
    }

    pub fn register(&mut self, page: usize) -> Response {
        let challenged = self.ask_to_register(page);
        let proven = self.build_register(page, Some(&challenged));
        self.send(page, &proven);
        let answer = self.response(page);
        // Whom this page took over is closed by the edge.
        for (flow, reason) in std::mem::take(&mut self.rig.closed) {
            assert_eq!(reason, CloseReason::TakenOver);
            let closed = self
                .pages
                .iter()
                .position(|page| page.flow == flow && page.is_connected)
                .expect("an open page");
            self.disconnect(closed);
        }
        answer
    }

    fn build_register(&mut self, page: usize, challenged: Option<&Response>) -> Request {
        let page = &mut self.pages[page];
        page.cseq += 1;
        self.branch += 1;
        register_request(page.agent, page.number, page.cseq, self.branch, challenged)
    }

    pub fn send(&mut self, page: usize, request: &Request) {
        let flow = self.pages[page].flow;
        self.rig.deliver_over(flow, &message::print_request(request));
    }

    /// The next message to a page.
    pub fn next(&mut self, page: usize) -> Option<SipMessage> {
        let flow = self.pages[page].flow;
        let index = self.rig.sent.iter().position(|(to, _)| *to == flow)?;
        self.rig.sent.remove(index).map(|(_, message)| message)
    }

    #[track_caller]
    pub fn request(&mut self, page: usize, method: Method) -> Request {
        match self.next(page) {
            Some(SipMessage::Request(request)) if request.method == method => request,
            other => panic!("{method} expected, not {other:?}"),
        }
    }

    #[track_caller]
    pub fn response(&mut self, page: usize) -> Response {
        match self.next(page) {
            Some(SipMessage::Response(response)) => response,
            other => panic!("a response expected, not {other:?}"),
        }
    }

    /// Takes the INVITE and answers it; the media begin.
    #[track_caller]
    pub fn answer(&mut self, page: usize) {
        self.take_invite(page);
        self.answer_taken(page);
        self.request(page, Method::Ack);
    }

    #[track_caller]
    pub fn take_invite(&mut self, page: usize) {
        let invite = self.request(page, Method::Invite);
        assert_eq!(invite.value("X-Call-Id"), Some("call-1"));
        assert_eq!(invite.from_addr().unwrap().uri.as_str(), format!("sip:dialer@{DOMAIN}"));
        assert_eq!(invite.uri.to_string(), format!("sip:u{page}@page.invalid;transport=ws"));
        self.pages[page].invite = Some(invite);
    }

    pub fn answer_taken(&mut self, page: usize) {
        let invite = self.pages[page].invite.clone().unwrap();
        let mut client = Client::new(self.rig.now, Version::Either);
        client.speaks_opus = self.pages[page].has_opus;
        client.set_remote(self.rig.now, std::str::from_utf8(&invite.body).unwrap());
        let sdp = client.description("active", "sendrecv");
        self.pages[page].client = Some(client);
        let response = answer_to(&invite, page, &sdp);
        self.respond(page, &response);
    }

    pub fn respond(&mut self, page: usize, response: &Response) {
        let flow = self.pages[page].flow;
        self.rig.deliver_over(flow, &message::print_response(response));
    }

    /// A request inside the page's dialog.
    pub fn inside(&mut self, page: usize, method: Method, body: Option<Body<'_>>) -> Request {
        let invite = self.pages[page].invite.clone().unwrap();
        let page = &mut self.pages[page];
        page.cseq += 1;
        self.branch += 1;
        inside_request(&invite, page.number, page.cseq, self.branch, method, body)
    }

    /// An offer of the page with another name in ICE.
    pub fn restart_ice(&mut self, page: usize) -> Request {
        let client = self.pages[page].client.as_mut().unwrap();
        client.ufrag = "next".into();
        let sdp = client.description("actpass", "sendrecv");
        self.inside(
            page,
            Method::Invite,
            Some(Body { content_type: "application/sdp", bytes: sdp.as_bytes() }),
        )
    }

    pub fn set_remote(&mut self, page: usize, sdp: &[u8]) {
        let now = self.rig.now;
        self.pages[page]
            .client
            .as_mut()
            .unwrap()
            .set_remote(now, std::str::from_utf8(sdp).unwrap());
    }

    /// Lets the clock run: timers, checks, handshakes, and audio of who can speak, each 20 ms.
    pub fn run(&mut self, duration: Duration) {
        let until = self.rig.now + duration;
        while self.rig.now < until {
            self.rig.advance(STEP);
            self.carry();
        }
    }

    fn carry(&mut self) {
        let now = self.rig.now;
        for page in 0..self.pages.len() {
            let Page { is_alive, speaks, has_opus, .. } = self.pages[page];
            let Some(client) = self.pages[page].client.as_mut().filter(|_| is_alive) else {
                continue;
            };
            client.handle_timeout(now);
            if speaks {
                // Of Opus 20 ms without content (RFC 6716 §3.2.1).
                client.speak(if has_opus { &[0x08] } else { &[0xd5; 160] });
            }
            while let Some(datagram) =
                self.pages[page].client.as_mut().and_then(Client::poll_transmit)
            {
                let from = self.pages[page].address;
                self.forward(SocketId::WEBRTC, from, datagram);
            }
        }
        while let Some((to, datagram)) = self.rig.softphone_media.pop_front() {
            let page = self.pages.iter_mut().find(|page| page.address == to && page.is_alive);
            if let Some(client) = page.and_then(|page| page.client.as_mut()) {
                client.handle_datagram(now, &datagram);
            }
        }
    }

    fn forward(&mut self, socket: SocketId, from: SocketAddr, datagram: Vec<u8>) {
        let len = datagram.len();
        let mut buffer = datagram;
        buffer.resize(len.max(UNFOLDED_LEN) + TAIL_ROOM, 0);
        let now = self.rig.now;
        let forward = self.rig.edge.relay_mut().forward(now, socket, from, &mut buffer, len);
        if let Forward::To { socket: SocketId::WEBRTC, remote, start, len } = forward {
            self.rig.softphone_media.push_back((remote, buffer[start..start + len].to_vec()));
        } else if let Forward::To { remote, .. } = forward {
            self.rig.media.push((0, remote));
        }
        self.rig.edge.handle_media(now);
        self.rig.drain();
    }

    /// The lengths of the audio packets that a page has heard.
    pub fn heard_lens(&self, page: usize) -> Vec<usize> {
        let client = self.pages[page].client.as_ref();
        client.map_or_else(Vec::new, |client| client.heard.iter().map(Vec::len).collect())
    }

    /// How many audio packets a page has heard.
    pub fn heard(&self, page: usize) -> usize {
        self.pages[page].client.as_ref().map_or(0, |client| client.heard.len())
    }

    /// The customer says something.
    pub fn customer_speaks(&mut self, invite: &Request) {
        self.customer_sequence += 1;
        let forward = self.rig.rtp(CUSTOMER_MEDIA, invite, self.customer_sequence);
        assert!(!matches!(forward, Forward::Drop(_)), "{forward:?}");
    }

    /// How many media packets the customer got, emptying the count.
    pub fn take_customer_media(&mut self) -> usize {
        let count = self.rig.media.iter().filter(|(_, to)| *to == address(CUSTOMER_MEDIA)).count();
        self.rig.media.clear();
        count
    }

    /// The next message to the customer, who is the only peer over UDP; repeated INVITEs are passed
    /// over.
    #[track_caller]
    pub fn customer_request(&mut self, method: Method) -> Request {
        loop {
            let index = self.rig.sent.iter().position(|(to, _)| to.remote == address(CUSTOMER));
            match index.and_then(|index| self.rig.sent.remove(index)) {
                Some((_, SipMessage::Request(request))) if request.method == method => {
                    return request;
                }
                Some((_, SipMessage::Request(request))) if request.method == Method::Invite => {}
                other => panic!("{method} expected, not {other:?}"),
            }
        }
    }

    #[track_caller]
    pub fn expect_no_customer(&self) {
        assert!(
            self.rig.sent.iter().all(|(to, _)| to.remote != address(CUSTOMER)),
            "{:?}",
            self.rig.sent
        );
    }

    /// A page in a call whose customer rings.
    #[track_caller]
    pub fn ringing() -> (Office, usize, Request) {
        let mut office = Office::new();
        let page = office.open(ANN);
        office.place(Office::call()).unwrap();
        office.answer(page);
        office.run(Duration::from_secs(1));
        let invite = office.customer_request(Method::Invite);
        office.rig.reply(&invite, 180, "customer");
        (office, page, invite)
    }

    /// A page in a bridged call.
    #[track_caller]
    pub fn bridged() -> (Office, usize, Callee) {
        let (mut office, page, invite) = Office::ringing();
        office.rig.reply_with_sdp(&invite, 200, "customer", CUSTOMER_MEDIA);
        office.customer_request(Method::Ack);
        let customer = office.rig.callee(CUSTOMER, "customer", &invite);
        office.run(Duration::from_millis(200));
        office.take_customer_media();
        (office, page, customer)
    }

    pub fn count(&self, kind: MilestoneKind) -> usize {
        self.rig
            .milestones
            .iter()
            .filter(|(each, leg)| *each == kind && *leg == Some(LegName::Agent))
            .count()
    }

    /// The shard holds nothing of the call; the registrations may stay.
    #[track_caller]
    pub fn expect_nothing_held(&mut self) {
        self.rig.expect_nothing_held();
    }
}

/// A REGISTER of the page with this number, with what a challenge wants.
pub fn register_request(
    agent: &str,
    number: usize,
    cseq: u32,
    branch: u32,
    challenged: Option<&Response>,
) -> Request {
    let (uri, aor) = (format!("sip:{DOMAIN}"), format!("<sip:{agent}@{DOMAIN}>"));
    let credentials = Credentials { username: agent, password: PASSWORD };
    let proof = challenged.map(|response| {
        let challenge = Challenge::from_response(response).unwrap();
        challenge.authorize(Method::Register, &uri, credentials, "cnonce", 1)
    });
    message::request(&RequestParts {
        method: Method::Register,
        target: &uri,
        routes: &[],
        via: &via_value("WSS", "page.invalid", &format!("z9hG4bKreg{branch}")),
        from: &format!("{aor};tag=r{number}"),
        to: &aor,
        call_id: &format!("register-{number}"),
        cseq,
        contact: Some(&format!(
            "<sip:u{number}@page.invalid;transport=ws>;reg-id=1;\
             +sip.instance=\"<urn:uuid:{number}>\""
        )),
        extra: proof
            .into_iter()
            .chain([header("Supported", "path, outbound"), header("Expires", "3600")])
            .collect(),
        body: None,
    })
}

/// A page's 200 to its INVITE.
pub fn answer_to(invite: &Request, number: usize, sdp: &str) -> Response {
    let mut response = message::respond(invite, 200, &format!("p{number}"));
    response.headers.push(header("Contact", contact(number)));
    set_body(&mut response, Body { content_type: "application/sdp", bytes: sdp.as_bytes() });
    response
}

/// A request of a page inside the dialog of its INVITE.
pub fn inside_request(
    invite: &Request,
    number: usize,
    cseq: u32,
    branch: u32,
    method: Method,
    body: Option<Body<'_>>,
) -> Request {
    message::request(&RequestParts {
        method,
        target: invite.contact_uri().unwrap().as_str(),
        routes: &[],
        via: &via_value("WSS", "page.invalid", &format!("z9hG4bKpage{number}-{branch}")),
        from: &format!("{};tag=p{number}", invite.value("To").unwrap()),
        to: invite.value("From").unwrap(),
        call_id: invite.call_id().unwrap(),
        cseq,
        contact: Some(&contact(number)),
        extra: Vec::new(),
        body,
    })
}

fn contact(number: usize) -> String {
    format!("<sip:u{number}@page.invalid;transport=ws;ob>")
}
