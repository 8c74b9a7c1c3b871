//! SIP over a real TLS WebSocket: an agent's browser registers by digest, is called, is taken over
//! by its next page, and everything that has no business here is refused, counted and disturbs
//! nobody.

mod softphones {
    pub mod browser;
    pub mod shard;
}

use call_words::{
    CallStatus, DtmfMode, ForwardingHeader, LegKind, MediaProfile, Reason, RecordingLayout,
    TransportKind,
};
use control_wire::{AgentTarget, Command, Destination, Ended, Event, PlaceCall, Route};
use sip_core::message::{self, Method, View};
use softphones::browser::{Closed, Refusal};
use softphones::shard::{AGENT, Edge, PASSWORD};
use std::time::{Duration, Instant};
use tungstenite::Message;

#[test]
fn an_agent_registers_over_wss() {
    let edge = Edge::start();
    let mut browser = edge.open();
    let challenged = browser.register(AGENT, AGENT, PASSWORD);
    assert_eq!(challenged.challenge, 401);
    assert_eq!(challenged.answer.status(), 200);
    assert!(
        challenged.answer.header("Contact").ends_with(";expires=300"),
        "{}",
        challenged.answer.text
    );
    assert_eq!(edge.next_presence(), (AGENT.into(), true));
    drop(browser);
    assert_eq!(edge.next_presence(), (AGENT.into(), false));
}

#[test]
fn a_newer_page_takes_over_and_the_older_is_told() {
    let edge = Edge::start();
    let mut first = edge.open();
    assert_eq!(first.register(AGENT, AGENT, PASSWORD).answer.status(), 200);
    let mut second = edge.open();
    assert_eq!(second.register(AGENT, AGENT, PASSWORD).answer.status(), 200);
    assert_eq!(first.until_closed(), Closed { code: 4001, reason: "taken over".into() });
    assert_eq!(edge.next_presence(), (AGENT.into(), true));
    // The older page's end is not the agent's.
    drop(first);
    assert_eq!(second.options().status(), 200);
    edge.revoke(AGENT);
    assert_eq!(second.until_closed().code, 4002);
    let mut presence = edge.next_presence();
    if presence.1 {
        presence = edge.next_presence();
    }
    assert_eq!(presence, (AGENT.into(), false));
}

fn call(agent: &str) -> Command {
    let route = Route {
        trunk: "carrier".into(),
        transport: TransportKind::Udp,
        address: "127.0.0.1:9".parse().unwrap(),
        domain: "carrier.example".into(),
        request_user: "9876543210".into(),
        caller_id: "+918045670001".into(),
        credentials: None,
        media: MediaProfile::Rtp,
        signal_from: vec![],
        media_from: vec![],
        follows_redirects: false,
        hides_caller: false,
        trusted: false,
        forwarding: ForwardingHeader::None,
        interface: None,
        diverted_by: None,
        dtmf: DtmfMode::Auto,
        comfort_noise: false,
    };
    Command::PlaceCall(Box::new(PlaceCall {
        call_id: "call-1".into(),
        account_id: "account".into(),
        agent: AgentTarget::Softphone { agent: agent.into(), ring_ms: 30_000, opus: true },
        customer: Destination { ring_ms: 45_000, routes: vec![route], skipped: vec![] },
        max_duration_ms: 3_600_000,
        no_media_ms: 30_000,
        recording: None,
        recording_layout: RecordingLayout::Stereo,
        hold_audio: None,
        accepts_refer: false,
        agent_confirm: false,
        keep_ladder: false,
    }))
}

fn end(edge: &Edge) -> Ended {
    edge.next_event(|event| match event {
        Event::Ended(ended) => Some((**ended).clone()),
        Event::Milestone(_) | Event::TransferRequested { .. } => None,
    })
}

#[test]
fn a_registered_agent_is_called_and_needs_media() {
    let edge = Edge::start();
    let mut browser = edge.open();
    assert_eq!(browser.register(AGENT, AGENT, PASSWORD).answer.status(), 200);
    edge.command(call(AGENT));
    let invite = browser.next_request();
    assert_eq!((invite.method, invite.value("X-Call-Id")), (Method::Invite, Some("call-1")));
    browser.answer(&invite);
    assert_eq!(browser.next_request().method, Method::Ack);
    // No check, no handshake, no audio: the customer is never called.
    browser.set_patience(Duration::from_secs(15));
    let bye = browser.next_request();
    assert_eq!(bye.method, Method::Bye);
    browser.respond(&message::respond(&bye, 200, ""));
    let ended = end(&edge);
    assert_eq!((ended.status, ended.reason), (CallStatus::Failed, Some(Reason::AgentMedia.into())));
    assert!(
        ended.attempts.iter().all(|attempt| attempt.leg == LegKind::Agent),
        "{:?}",
        ended.attempts
    );
}

#[test]
fn an_agent_who_is_not_there_cannot_be_called() {
    let edge = Edge::start();
    edge.command(call(AGENT));
    let ended = end(&edge);
    assert_eq!(
        (ended.status, ended.reason),
        (CallStatus::Failed, Some(Reason::AgentUnreachable.into()))
    );
    assert_eq!(ended.failed_leg, Some(LegKind::Agent));
}

#[test]
fn wrong_credentials_and_other_agents_are_refused() {
    let edge = Edge::start();
    let mut guesser = edge.open();
    for code in [401, 401, 403] {
        assert_eq!(guesser.register(AGENT, AGENT, "guess").answer.status(), code);
    }
    assert_eq!(guesser.until_closed().code, 4002);
    let mut thief = edge.open();
    assert_eq!(thief.register("other", AGENT, PASSWORD).answer.status(), 403);
    // Nor is anything else served before a registration.
    assert_eq!(thief.request("INVITE").status(), 403);
    assert_eq!(thief.request("BYE").status(), 403);
    assert_eq!(thief.options().status(), 200);
    assert_eq!(thief.register(AGENT, AGENT, PASSWORD).answer.status(), 200);
}

#[test]
fn an_upgrade_needs_the_sub_protocol_and_an_allowed_origin() {
    let edge = Edge::start();
    assert_eq!(
        edge.try_open(Some("https://evil.example"), Some("sip")).err(),
        Some(Refusal::Status(403))
    );
    assert_eq!(edge.try_open(None, Some("sip")).err(), Some(Refusal::Status(403)));
    assert_eq!(edge.try_open(Some("https://crm.example"), None).err(), Some(Refusal::Status(400)));
    assert_eq!(
        edge.try_open(Some("https://crm.example"), Some("chat")).err(),
        Some(Refusal::Status(400))
    );
    assert_eq!(edge.open().options().status(), 200);
    edge.speak_plain();
    assert_eq!(edge.open().options().status(), 200);
    let counters = edge.counters();
    for (name, count) in [
        ("wss_origin_refused", 2),
        ("wss_sub_protocol_refused", 2),
        ("wss_tls_failed", 1),
        ("wss_opened", 2),
    ] {
        assert_eq!(counters.get(name), Some(&count), "{name} in {counters:?}");
    }
}

#[test]
fn frames_that_are_not_one_sip_message_end_the_connection() {
    let edge = Edge::start();
    let mut bystander = edge.open();
    assert_eq!(bystander.register(AGENT, AGENT, PASSWORD).answer.status(), 200);
    let options = edge.open().message("OPTIONS");
    let twice = format!("{options}{options}");
    let cases: [(Message, u16); 5] = [
        (Message::text("x".repeat(64 * 1024 + 1)), 1009),
        // Longer than what sockets hold: its sender hears why only if the rest is read.
        (Message::text("x".repeat(16 * 1024 * 1024)), 1009),
        (Message::text("GET / HTTP/1.1\r\n\r\n"), 1003),
        (Message::binary(vec![0x80; 172]), 1003),
        (Message::text(twice), 1003),
    ];
    for (message, code) in cases {
        let mut browser = edge.open();
        browser.send(message);
        assert_eq!(browser.until_closed().code, code);
    }
    // A message in several frames is one message (RFC 6455 §5.4), and so is one in a binary frame.
    let mut browser = edge.open();
    browser.send_fragmented(&options);
    assert_eq!(browser.next_answer().status(), 200);
    browser.send(Message::binary(options.into_bytes()));
    assert_eq!(browser.next_answer().status(), 200);
    // Keep-alives of RFC 5626 §4.4.1.
    browser.send(Message::text("\r\n\r\n"));
    assert_eq!(browser.next_text(), "\r\n");
    // A malformed SIP message is answered; the connection stays.
    let malformed =
        edge.open().message("OPTIONS").replace(" OPTIONS\r\nSupported", " INFO\r\nSupported");
    browser.send(Message::text(malformed));
    assert_eq!(browser.next_answer().status(), 400);
    assert_eq!(browser.options().status(), 200);
    assert_eq!(bystander.options().status(), 200, "nobody else noticed");
    let counters = edge.counters();
    assert_eq!((counters["wss_malformed"], counters["wss_too_big"]), (3, 2), "{counters:?}");
}

#[test]
fn a_silent_peer_and_one_that_never_shakes_hands_are_dropped() {
    let edge = Edge::start();
    let idle = edge.connect();
    let mut dead = edge.open();
    assert_eq!(dead.register(AGENT, AGENT, PASSWORD).answer.status(), 200);
    assert_eq!(edge.next_presence(), (AGENT.into(), true));
    // It does not read, and so answers no ping.
    assert_eq!(edge.next_presence_within(Duration::from_secs(30)), (AGENT.into(), false));
    let counters = edge.counters();
    assert_eq!((counters["wss_silent"], counters["wss_handshake_late"]), (1, 1), "{counters:?}");
    drop((idle, dead));
}

#[test]
fn a_connection_that_nobody_registers_on_is_closed() {
    let edge = Edge::start();
    let mut idle = edge.open();
    assert_eq!(idle.options().status(), 200);
    idle.set_patience(Duration::from_secs(40));
    assert_eq!(idle.until_closed().code, 4002);
}

#[test]
fn a_living_peer_outlasts_the_pings() {
    let edge = Edge::start();
    let mut browser = edge.open();
    assert_eq!(browser.register(AGENT, AGENT, PASSWORD).answer.status(), 200);
    assert!(browser.answer_pings_for(Duration::from_secs(28)) >= 1, "no ping came");
    assert_eq!(browser.options().status(), 200);
}

#[test]
fn connections_are_bounded_and_the_oldest_stranger_makes_room() {
    let edge = Edge::start_with(|config| config.softphone.max_softphones = 1);
    let mut agent = edge.open();
    assert_eq!(agent.register(AGENT, AGENT, PASSWORD).answer.status(), 200);
    let mut older = edge.open();
    assert_eq!(older.options().status(), 200);
    let mut newer = edge.open();
    assert_eq!(newer.options().status(), 200);
    older.until_ended();
    assert_eq!(agent.options().status(), 200, "who has registered stays");
    assert_eq!(edge.counters()["wss_displaced"], 1);
}

/// Connections that say nothing, and half handshakes, keep nobody out.
#[test]
fn silent_connections_keep_no_browser_out() {
    let edge = Edge::start_with(|config| config.softphone.max_unregistered_per_address = 4);
    let mut agent = edge.open();
    assert_eq!(agent.register(AGENT, AGENT, PASSWORD).answer.status(), 200);
    let mut held: Vec<_> = (0..12).map(|_| edge.connect()).collect();
    for head in [&b"\x16\x03\x01\x02\x00"[..], b"GET / HTTP/1.1\r\n"] {
        for each in &mut held {
            // Those displaced already cannot be written to.
            let _ = std::io::Write::write_all(each, head);
        }
        let mut browser = edge.open();
        assert_eq!(browser.options().status(), 200);
        held.extend((0..12).map(|_| edge.connect()));
        assert_eq!(browser.options().status(), 200, "an open one is not displaced by silent ones");
        assert_eq!(edge.open().register(AGENT, AGENT, PASSWORD).answer.status(), 200);
    }
    assert!(edge.counters()["wss_displaced"] >= 12);
}

#[test]
fn a_renewed_certificate_is_shown_to_new_connections_and_running_ones_go_on() {
    let mut edge = Edge::start();
    let mut running = edge.open();
    assert_eq!(running.register(AGENT, AGENT, PASSWORD).answer.status(), 200);
    edge.spoil_certificate();
    // Longer than the edge takes to look at the files.
    let until = Instant::now() + Duration::from_secs(20);
    while !edge.counters().contains_key("wss_reload_failed") {
        assert!(Instant::now() < until, "the spoilt files were not counted");
    }
    assert_eq!(edge.open().options().status(), 200, "the former certificate stays");
    edge.renew_certificate();
    let until = Instant::now() + Duration::from_secs(20);
    let mut later =
        std::iter::repeat_with(|| edge.try_open(Some("https://crm.example"), Some("sip")));
    let renewed =
        later.find(|opened| opened.is_ok() || Instant::now() >= until).expect("it repeats");
    assert_eq!(renewed.expect("the new certificate").options().status(), 200);
    assert_eq!(running.options().status(), 200);
}

#[test]
fn a_new_link_is_told_who_is_there() {
    let edge = Edge::start();
    let mut browser = edge.open();
    assert_eq!(browser.register(AGENT, AGENT, PASSWORD).answer.status(), 200);
    assert_eq!(edge.next_presence(), (AGENT.into(), true));
    assert_eq!(edge.greeted_again(), [AGENT]);
}

#[test]
fn a_shard_that_ends_tells_every_page() {
    let edge = Edge::start();
    let (mut registered, mut idle) = (edge.open(), edge.open());
    assert_eq!(registered.register(AGENT, AGENT, PASSWORD).answer.status(), 200);
    assert_eq!(idle.options().status(), 200);
    edge.stop();
    for page in [&mut registered, &mut idle] {
        assert_eq!(page.until_closed(), Closed { code: 4003, reason: "shutting down".into() });
    }
}
