//! One call through an edge without a socket: the agent's phone and the customer's ring and answer,
//! the customer hangs up, and what is said is printed as a ladder.
//!
//! `cargo run --release -p sip-core --example one_call`

#![allow(clippy::disallowed_methods, reason = "an example is a shell, not a part of the package")]

use call_words::{DtmfMode, ForwardingHeader, MediaProfile};
use media_core::relay::{Layout, RelayConfig};
use sip_core::command::{AgentTarget, Destination, EdgeConfig, Interface, PlaceCall, Route};
use sip_core::edge::Edge;
use sip_core::event::{Event, Output};
use sip_core::flow::{Flow, Transport};
use sip_core::message::{
    self, Body, Limits, Method, Request, RequestParts, SDP, SipMessage, View, header, set_body,
    via_value,
};
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

const EDGE: SocketAddr = at(1);
const AGENT: SocketAddr = at(2);
const CUSTOMER: SocketAddr = at(3);

const fn at(host: u8) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(10, 0, 0, host)), 5060)
}

fn main() {
    ladder(Instant::now()).iter().for_each(|line| println!("{line}"));
}

/// Places a call, plays both phones and returns all that was said and told.
fn ladder(now: Instant) -> Vec<String> {
    // Where messages meet a network the seed must be unpredictable.
    let mut edge = Edge::new(edge_config(), relay_config(), [1; 32], now);
    edge.place_call(now, call()).expect("room for a call");
    let (mut lines, mut arriving) = (Vec::new(), VecDeque::new());
    loop {
        while let Some(output) = edge.poll_output() {
            match output {
                Output::Sip { flow, bytes } => {
                    let message = message::parse(&bytes, &Limits::default()).expect("valid SIP");
                    lines.push(rung(flow, true, &message));
                    arriving.extend(reply(flow, &message).into_iter().map(|reply| (flow, reply)));
                }
                Output::Event(Event::Milestone(step)) => {
                    lines.push(format!("# {}", step.kind.as_str()));
                }
                Output::Event(Event::Ended(end)) => {
                    lines.push(format!("# {:?} by {:?}", end.status, end.hangup_by));
                }
                // Notes for the next process, recordings and softphones are no part of a ladder.
                _ => {}
            }
        }
        // Nobody has sockets here to open and to send from.
        while edge.relay_mut().poll_output().is_some() {}
        let Some((flow, message)) = arriving.pop_front() else { return lines };
        lines.push(rung(flow, false, &message));
        edge.handle_sip(now, flow, &message::print(&message));
    }
}

/// What a phone says to a message: it rings and answers; the customer hangs up at once.
fn reply(flow: Flow, message: &SipMessage) -> Vec<SipMessage> {
    let SipMessage::Request(request) = message else { return Vec::new() };
    let answer = |code| message::respond(request, code, "phone");
    match request.method {
        Method::Invite => {
            let mut ok = answer(200);
            ok.headers.push(header("Contact", format!("<sip:phone@{}>", flow.remote)));
            let sdp = format!(
                "v=0\r\no=- 1 1 IN IP4 {0}\r\ns=-\r\nc=IN IP4 {0}\r\nt=0 0\r\n\
                 m=audio 4000 RTP/AVP 0\r\n",
                flow.remote.ip()
            );
            set_body(&mut ok, Body { content_type: SDP, bytes: sdp.as_bytes() });
            vec![answer(180).into(), ok.into()]
        }
        Method::Ack if flow.remote == CUSTOMER => vec![bye(flow, request).into()],
        Method::Ack => Vec::new(),
        _ => vec![answer(200).into()],
    }
}

/// The BYE of the phone in the dialog that an ACK belongs to: From and To change places.
fn bye(flow: Flow, ack: &Request) -> Request {
    message::request(&RequestParts {
        method: Method::Bye,
        target: &format!("sip:{EDGE}"),
        routes: &[],
        via: &via_value("UDP", &flow.remote.to_string(), "z9hG4bKbye"),
        from: ack.value("To").expect("every request has it"),
        to: ack.value("From").expect("every request has it"),
        call_id: ack.call_id().expect("every request has it"),
        cseq: 1,
        contact: None,
        extra: Vec::new(),
        body: None,
    })
}

/// The agent stands at the left of the edge, the customer at its right.
fn rung(flow: Flow, is_sent: bool, message: &SipMessage) -> String {
    let what = match message {
        SipMessage::Request(request) => request.method.to_string(),
        SipMessage::Response(response) => response.status_code.code().to_string(),
    };
    match (flow.remote == AGENT, is_sent) {
        (true, true) => format!("agent <-- {what:6} --- edge"),
        (true, false) => format!("agent --- {what:6} --> edge"),
        (false, true) => format!("{:21} edge --- {what:6} --> customer", ""),
        (false, false) => format!("{:21} edge <-- {what:6} --- customer", ""),
    }
}

fn call() -> PlaceCall {
    let destination = |trunk: &str, address, number: &str| Destination {
        ring: Duration::from_secs(30),
        routes: vec![Route {
            trunk: trunk.into(),
            transport: Transport::Udp,
            address,
            domain: address.ip().to_string(),
            request_user: number.into(),
            caller_id: "1000".into(),
            credentials: None,
            media: MediaProfile::Rtp,
            signal_from: Vec::new(),
            media_from: Vec::new(),
            follows_redirects: false,
            hides_caller: false,
            is_trusted: false,
            forwarding: ForwardingHeader::None,
            interface: None,
            diverted_by: None,
            dtmf: DtmfMode::Auto,
            comfort_noise: false,
        }],
        skipped: vec![],
    };
    PlaceCall {
        call_id: "call".into(),
        agent: AgentTarget::Phone(destination("pbx", AGENT, "1001")),
        customer: destination("carrier", CUSTOMER, "+919876543210"),
        max_duration: Duration::from_secs(3600),
        no_media: Duration::from_secs(30),
        recording: None,
        recording_layout: Layout::Stereo,
        hold_audio: None,
        accepts_refer: false,
        agent_confirm: false,
        keeps_ladder: false,
    }
}

fn edge_config() -> EdgeConfig {
    EdgeConfig {
        shard: 0,
        interfaces: vec![Interface { name: String::new(), local: EDGE, public: EDGE }],
        tls_port: 5061,
        user_agent: "one_call".into(),
        wideband: false,
        copies_sip: false,
        call_capacity: 1,
        transaction_capacity: 100,
        softphones: None,
    }
}

fn relay_config() -> RelayConfig {
    RelayConfig {
        public_addresses: vec![EDGE.ip()],
        first_port: 10_000,
        pair_count: 2,
        quarantine: Duration::ZERO,
        own_sockets: Vec::new(),
        opus_legs: 0,
        webrtc: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_legs_are_called_joined_and_left() {
        let lines = ladder(Instant::now());
        assert!(lines.contains(&"# Answer by Some(Customer)".to_owned()), "{lines:?}");
        let said: Vec<String> = lines
            .iter()
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(
            said,
            [
                "agent <-- INVITE --- edge",
                "agent --- 180 --> edge",
                "agent --- 200 --> edge",
                "agent <-- ACK --- edge",
                "edge --- INVITE --> customer",
                "edge <-- 180 --- customer",
                "edge <-- 200 --- customer",
                "edge --- ACK --> customer",
                "edge <-- BYE --- customer",
                "edge --- 200 --> customer",
                "agent <-- BYE --- edge",
                "agent --- 200 --> edge"
            ]
        );
    }
}
