//! A browser's side of SIP over WebSocket, as blocking code on its own TLS: a few requests, digest
//! answers, pings and close frames.

use rustls::{ClientConnection, StreamOwned};
use sip_core::digest::{Challenge, Credentials};
use sip_core::message::{self, Limits, Method, Request, Response, SipMessage, View};
use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::{Duration, Instant};
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::{Error, Message, WebSocket};

use super::shard::{AGENT, DOMAIN};

/// Longest wait for a message or a close frame, whatever pings come; longer than an edge leaves an
/// idle connection open.
const WAIT_LIMIT: Duration = Duration::from_secs(45);

pub type Socket = WebSocket<StreamOwned<ClientConnection, TcpStream>>;

/// How the edge closed a WebSocket.
#[derive(Debug, PartialEq, Eq)]
pub struct Closed {
    pub code: u16,
    pub reason: String,
}

/// Why there is no WebSocket.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    Status(u16),
    Broken,
}

/// A SIP response.
#[derive(Debug)]
pub struct Answer {
    pub text: String,
    pub response: Response,
}

impl Answer {
    pub fn status(&self) -> u16 {
        self.response.status_code.code()
    }

    pub fn header(&self, name: &str) -> String {
        self.response.value(name).unwrap_or_default().to_owned()
    }
}

/// Both answers to a registration: to the bare REGISTER, and to the one with credentials.
#[derive(Debug)]
pub struct Registration {
    pub challenge: u16,
    pub answer: Answer,
}

pub struct Browser {
    socket: Socket,
    cseq: u32,
    /// Tells this page's messages from others'.
    page: u64,
}

impl Browser {
    pub fn new(socket: Socket, page: u64) -> Browser {
        Browser { socket, cseq: 0, page }
    }

    pub fn send(&mut self, message: Message) {
        // An edge that closes meanwhile is seen by the next read.
        let _ = self.socket.send(message);
    }

    /// Sends a text in three frames.
    pub fn send_fragmented(&mut self, text: &str) {
        let (first, rest) = text.split_at(text.len() / 3);
        let (second, third) = rest.split_at(rest.len() / 2);
        let frames = [
            (first, Data::Text, false),
            (second, Data::Continue, false),
            (third, Data::Continue, true),
        ];
        for (part, data, is_final) in frames {
            let frame = Frame::message(part.as_bytes().to_vec(), OpCode::Data(data), is_final);
            self.socket.send(Message::Frame(frame)).unwrap();
        }
    }

    pub fn next_text(&mut self) -> String {
        let until = Instant::now() + WAIT_LIMIT;
        loop {
            assert!(Instant::now() < until, "a message expected, not pings without end");
            match self.socket.read().expect("a message") {
                Message::Text(text) => return text.as_str().to_owned(),
                Message::Binary(bytes) => return String::from_utf8_lossy(&bytes).into_owned(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("a message expected, not {other:?}"),
            }
        }
    }

    pub fn next_answer(&mut self) -> Answer {
        let text = self.next_text();
        match message::parse(text.as_bytes(), &Limits::default()) {
            Ok(SipMessage::Response(response)) => Answer { text, response },
            other => panic!("a response expected, not {other:?}"),
        }
    }

    pub fn next_request(&mut self) -> Request {
        let text = self.next_text();
        match message::parse(text.as_bytes(), &Limits::default()) {
            Ok(SipMessage::Request(request)) => request,
            other => panic!("a request expected, not {other:?}"),
        }
    }

    pub fn until_closed(&mut self) -> Closed {
        let until = Instant::now() + WAIT_LIMIT;
        loop {
            assert!(Instant::now() < until, "a close frame expected, not pings without end");
            match self.socket.read() {
                Ok(Message::Close(Some(frame))) => {
                    return Closed {
                        code: frame.code.into(),
                        reason: frame.reason.as_str().to_owned(),
                    };
                }
                Ok(_) => {}
                Err(error) => panic!("a close frame expected, not {error}"),
            }
        }
    }

    /// Reads until the connection has ended without a word.
    pub fn until_ended(&mut self) {
        let until = Instant::now() + WAIT_LIMIT;
        loop {
            assert!(Instant::now() < until, "an end expected, not messages without end");
            match self.socket.read() {
                Ok(Message::Close(frame)) => {
                    panic!("{frame:?} where an end without a word is expected")
                }
                Ok(_) => {}
                Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => {
                    panic!("it goes on")
                }
                Err(_) => return,
            }
        }
    }

    /// How long a read may take.
    pub fn set_patience(&self, patience: Duration) {
        self.socket.get_ref().sock.set_read_timeout(Some(patience)).unwrap();
    }

    /// Answers pings and nothing else; how many came.
    pub fn answer_pings_for(&mut self, duration: Duration) -> u32 {
        let until = Instant::now() + duration;
        self.set_patience(Duration::from_millis(500));
        let mut pings = 0;
        while Instant::now() < until {
            match self.socket.read() {
                Ok(Message::Ping(_)) => pings += 1,
                Ok(other) => panic!("a ping expected, not {other:?}"),
                Err(Error::Io(error))
                    if matches!(
                        error.kind(),
                        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                    ) => {}
                Err(error) => panic!("{error}"),
            }
        }
        self.set_patience(Duration::from_secs(10));
        pings
    }

    /// A request outside of dialogs.
    pub fn message(&mut self, method: &str) -> String {
        self.build(method, &format!("sip:{DOMAIN}"), AGENT, "")
    }

    fn build(&mut self, method: &str, uri: &str, user: &str, extra: &str) -> String {
        self.cseq += 1;
        let (page, cseq) = (self.page, self.cseq);
        format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/WSS \
                p{page}.invalid;branch=z9hG4bK{page}x{cseq}\r\nMax-Forwards: 69\r\n\
             To: <sip:{user}@{DOMAIN}>\r\nFrom: <sip:{user}@{DOMAIN}>;tag=f{page}\r\n\
             Call-ID: c{page}\r\nCSeq: {cseq} {method}\r\n\
             Supported: path,gruu,outbound\r\n{extra}Content-Length: 0\r\n\r\n"
        )
    }

    pub fn request(&mut self, method: &str) -> Answer {
        let text = self.message(method);
        self.send(Message::text(text));
        self.next_answer()
    }

    pub fn options(&mut self) -> Answer {
        self.request("OPTIONS")
    }

    /// Answers an INVITE as Chromium would; its media never begin.
    pub fn answer(&mut self, invite: &Request) {
        let offer = std::str::from_utf8(&invite.body).unwrap();
        assert!(offer.contains("UDP/TLS/RTP/SAVPF") && offer.contains("a=ice-lite"), "{offer}");
        let fingerprint = vec!["A7"; 32].join(":");
        let sdp = format!(
            "v=0\r\no=- 46117 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
             m=audio 9 UDP/TLS/RTP/SAVPF 0 101\r\nc=IN IP4 0.0.0.0\r\na=rtcp-mux\r\na=mid:0\r\n\
             a=sendrecv\r\na=setup:active\r\n\
             a=ice-ufrag:8hhY\r\na=ice-pwd:asd88fgpdd777uzjYhagZgxx\r\n\
             a=fingerprint:sha-256 {fingerprint}\r\n\
             a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n"
        );
        let mut response = message::respond(invite, 200, "page");
        response.headers.push(message::header(
            "Contact",
            format!("<sip:p{0}@p{0}.invalid;transport=ws;ob>", self.page),
        ));
        message::set_body(
            &mut response,
            message::Body { content_type: "application/sdp", bytes: sdp.as_bytes() },
        );
        self.respond(&response);
    }

    pub fn respond(&mut self, response: &Response) {
        self.send(Message::text(String::from_utf8(message::print_response(response)).unwrap()));
    }

    /// Registers `user` with the credentials of `username`.
    pub fn register(&mut self, user: &str, username: &str, password: &str) -> Registration {
        let contact = format!(
            "Contact: \
                <sip:p{0}@p{0}.invalid;transport=ws>;+sip.ice;reg-id=1;+sip.instance=\"<urn:uuid:{0}>\";expires=300\r\n",
            self.page
        );
        let bare = self.build("REGISTER", &format!("sip:{DOMAIN}"), user, &contact);
        self.send(Message::text(bare));
        let challenged = self.next_answer();
        let challenge = Challenge::from_response(&challenged.response).expect("a challenge");
        let credentials = Credentials { username, password };
        let proof = challenge.authorize(
            Method::Register,
            &format!("sip:{DOMAIN}"),
            credentials,
            "cnonce",
            1,
        );
        let proven = self.build(
            "REGISTER",
            &format!("sip:{DOMAIN}"),
            user,
            &format!("{contact}{proof}\r\n"),
        );
        self.send(Message::text(proven));
        Registration { challenge: challenged.status(), answer: self.next_answer() }
    }
}
