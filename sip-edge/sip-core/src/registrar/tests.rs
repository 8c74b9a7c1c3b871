//! RFC 3261 §10.3, RFC 7616 and RFC 5626 §6, step by step.

use super::*;
use crate::digest::{Challenge as ClientChallenge, Credentials};
use crate::flow::Transport;
use crate::message::{Limits, Method, Response, SipMessage, StatusCode, parse};

const DOMAIN: &str = "dialer.example";
const CONTACT: &str =
    "<sip:k3v9@7f3a.invalid;transport=ws>;+sip.ice;reg-id=1;+sip.instance=\"<urn:uuid:1>\"";

#[expect(
    clippy::disallowed_methods,
    reason = "an Instant can be made in no other way; from here on the clock is virtual"
)]
fn start() -> Instant {
    Instant::now()
}

struct Rig {
    registrar: Registrar,
    now: Instant,
    cseq: u32,
    nonces: u32,
    busy: Vec<String>,
}

/// One registration's variable parts.
#[derive(Clone)]
struct Try<'a> {
    connection: u64,
    /// User of To and From.
    user: &'a str,
    username: &'a str,
    password: &'a str,
    contact: Option<&'a str>,
    call_id: &'a str,
    expires: Option<u32>,
    /// Which of the offered algorithms is taken.
    algorithm: usize,
}

const ANN: Try<'_> = Try {
    connection: 1,
    user: "ann",
    username: "ann",
    password: "secret",
    contact: Some(CONTACT),
    call_id: "one",
    expires: Some(300),
    algorithm: 0,
};

fn flow(connection: u64) -> Flow {
    let address = "10.0.0.9:5000".parse().unwrap();
    Flow {
        transport: Transport::Wss,
        local: address,
        remote: address,
        connection: Some(connection),
    }
}

impl Rig {
    fn new() -> Rig {
        let config = RegistrarConfig { domain: DOMAIN.into(), capacity: 2 };
        let mut rig = Rig {
            registrar: Registrar::new(config),
            now: start(),
            cseq: 0,
            nonces: 0,
            busy: Vec::new(),
        };
        for agent in ["ann", "bob"] {
            rig.grant(agent, "secret", 600);
        }
        rig
    }

    fn grant(&mut self, agent: &str, password: &str, seconds: u64) {
        let expires_at = self.now + Duration::from_secs(seconds);
        assert!(
            self.registrar.grant(
                self.now,
                Grant { agent: agent.into(), password: password.into(), expires_at }
            )
        );
    }

    fn request(&mut self, by: &Try<'_>, extra: &str) -> Request {
        self.cseq += 1;
        let (user, call_id, cseq) = (by.user, by.call_id, self.cseq);
        let contact =
            by.contact.map(|contact| format!("Contact: {contact}\r\n")).unwrap_or_default();
        let expires =
            by.expires.map(|expires| format!("Expires: {expires}\r\n")).unwrap_or_default();
        let text = format!(
            "REGISTER sip:{DOMAIN} SIP/2.0\r\n\
                Via: SIP/2.0/WSS 7f3a.invalid;branch=z9hG4bK{cseq}\r\nMax-Forwards: 69\r\n\
             To: <sip:{user}@{DOMAIN}>\r\nFrom: <sip:{user}@{DOMAIN}>;tag=t\r\n\
             Call-ID: {call_id}\r\nCSeq: {cseq} REGISTER\r\n\
             {contact}{expires}Supported: path,gruu,outbound\r\n{extra}Content-Length: 0\r\n\r\n"
        );
        let Ok(SipMessage::Request(request)) = parse(text.as_bytes(), &Limits::default()) else {
            panic!("{text}")
        };
        request
    }

    fn send(&mut self, by: &Try<'_>, request: &Request) -> Answer {
        self.nonces += 1;
        let busy = &self.busy;
        let nonce = format!("nonce{}", self.nonces);
        self.registrar.handle_register(self.now, flow(by.connection), request, nonce, |agent| {
            busy.iter().any(|each| agent == each.as_str())
        })
    }

    /// The request with credentials for a challenge.
    fn proven(&mut self, by: &Try<'_>, challenge: &Answer, count: u32) -> Request {
        let chosen = challenge.headers[by.algorithm].clone();
        let response = Response {
            status_code: StatusCode::from(401),
            version: rsip::Version::V2,
            headers: vec![chosen].into(),
            body: Vec::new(),
        };
        let challenge = ClientChallenge::from_response(&response).unwrap();
        let mut request = self.request(by, "");
        let credentials = Credentials { username: by.username, password: by.password };
        let uri = request.uri.to_string();
        request.headers.push(challenge.authorize(
            Method::Register,
            &uri,
            credentials,
            "cnonce",
            count,
        ));
        request
    }

    /// Registers as a client does: without credentials, then with what the challenge asks.
    fn register(&mut self, by: &Try<'_>) -> Answer {
        let request = self.request(by, "");
        let challenge = self.send(by, &request);
        if challenge.code != 401 {
            return challenge;
        }
        let request = self.proven(by, &challenge, 1);
        self.send(by, &request)
    }

    fn notices(&mut self) -> Vec<Notice> {
        std::iter::from_fn(|| self.registrar.poll_notice()).collect()
    }

    fn pass(&mut self, seconds: u64) {
        let until = self.now + Duration::from_secs(seconds);
        while let Some(due) = self.registrar.poll_timeout().filter(|due| *due <= until) {
            self.now = due;
            let busy = &self.busy;
            self.registrar
                .handle_timeout(due, |agent| busy.iter().any(|each| agent == each.as_str()));
        }
        self.now = until;
    }
}

fn registered(kinship: Kinship) -> Notice {
    Notice::Registered { agent: "ann".into(), kinship }
}

fn lost() -> Notice {
    Notice::Lost { agent: "ann".into() }
}

fn close(connection: u64, reason: CloseReason) -> Notice {
    Notice::Close { flow: flow(connection), reason }
}

/// §10.3: "The registrar returns a 200 (OK) response. The response MUST contain Contact header
/// field values enumerating all current bindings. Each Contact value MUST feature an "expires"
/// parameter".
#[test]
fn a_proven_agent_is_bound_to_its_flow() {
    for algorithm in [0, 1] {
        let mut rig = Rig::new();
        let answer = rig.register(&Try { algorithm, ..ANN });
        assert_eq!(answer.code, 200);
        assert_eq!(answer.headers[0], header("Contact", format!("{CONTACT};expires=300")));
        // RFC 5626 §6: "the registrar MUST … include … 'outbound' in a Require header field" for an
        // outbound registration.
        assert_eq!(answer.headers[1], header("Require", "outbound"));
        assert_eq!(rig.notices(), [registered(Kinship::Stranger)]);
        let binding = rig.registrar.binding(&"ann".into()).unwrap();
        assert_eq!(
            (binding.flow, binding.target.as_str()),
            (flow(1), "sip:k3v9@7f3a.invalid;transport=ws")
        );
        assert_eq!(rig.registrar.agent_of(flow(1)), Some(&"ann".into()));
    }
}

/// RFC 7616 §3.3: the challenge names realm, nonce, algorithm and qop; RFC 8760 §2.4 allows one per
/// algorithm.
#[test]
fn who_proves_nothing_is_challenged() {
    let mut rig = Rig::new();
    let request = rig.request(&ANN, "");
    let answer = rig.send(&ANN, &request);
    assert_eq!(answer.code, 401);
    let value = |algorithm| {
        format!("Digest realm=\"{DOMAIN}\", nonce=\"nonce1\", algorithm={algorithm}, qop=\"auth\"")
    };
    assert_eq!(
        answer.headers,
        ["SHA-256", "MD5"].map(|each| header("WWW-Authenticate", value(each)))
    );
    assert_eq!(rig.notices(), []);
}

/// §10.3 step 4: "the registrar SHOULD determine if the authenticated user is authorized to modify
/// registrations for this address-of-record … If the authenticated user is not authorized … MUST
/// return a 403".
#[test]
fn an_agent_registers_only_itself() {
    let mut rig = Rig::new();
    assert_eq!(rig.register(&Try { user: "bob", ..ANN }).code, 403);
    assert_eq!(rig.register(&ANN).code, 200);
    // Nor may one flow speak for two agents.
    assert_eq!(
        rig.register(&Try { user: "bob", username: "bob", call_id: "two", ..ANN }).code,
        403
    );
    assert_eq!(rig.registrar.online().collect::<Vec<_>>(), ["ann"]);
}

#[test]
fn wrong_credentials_are_challenged_again_and_then_the_flow_is_closed() {
    for wrong in [Try { password: "guess", ..ANN }, Try { username: "nobody", ..ANN }] {
        let mut rig = Rig::new();
        assert_eq!(rig.register(&wrong).code, 401);
        assert_eq!(rig.register(&wrong).code, 401);
        assert_eq!(rig.register(&wrong).code, 403);
        assert_eq!(rig.notices(), [close(1, CloseReason::Revoked)]);
        assert_eq!(rig.registrar.online().count(), 0);
    }
}

/// RFC 7616 §3.4.5: the nonce count lets the server "detect request replays"; §3.3: a stale nonce
/// asks for the same credentials again.
#[test]
fn a_nonce_is_answered_once_by_its_own_flow_and_soon() {
    let mut rig = Rig::new();
    let stale = |answer: &Answer| {
        answer.code == 401 && answer.headers[0].to_string().contains("stale=true")
    };
    let request = rig.request(&ANN, "");
    let challenge = rig.send(&ANN, &request);
    let proven = rig.proven(&ANN, &challenge, 1);
    let elsewhere = rig.send(&Try { connection: 2, ..ANN }, &proven);
    assert!(stale(&elsewhere), "{elsewhere:?}");
    // Not even after it was asked something itself.
    let elsewhere = rig.send(&Try { connection: 2, ..ANN }, &proven);
    assert!(stale(&elsewhere), "{elsewhere:?}");
    assert_eq!(rig.send(&ANN, &proven).code, 200);
    let replayed = rig.send(&ANN, &proven);
    assert!(stale(&replayed), "{replayed:?}");
    let next = rig.request(&ANN, "");
    let challenge = rig.send(&ANN, &next);
    let late = rig.proven(&ANN, &challenge, 1);
    rig.pass(61);
    let answer = rig.send(&ANN, &late);
    assert!(stale(&answer), "{answer:?}");
}

/// RFC 7616 §3.4.6: the digest's URI is that of the request.
#[test]
fn a_digest_for_another_resource_or_without_qop_is_refused() {
    let mut rig = Rig::new();
    for (params, code) in [
        ("uri=\"sip:other\", nc=00000001, cnonce=\"c\", qop=auth", 400),
        ("uri=\"sip:dialer.example\"", 401),
        ("uri=\"sip:dialer.example\", nc=x, cnonce=\"c\", qop=auth", 400),
        ("uri=\"sip:dialer.example\", nc=00000001, qop=auth", 400),
    ] {
        let extra = format!(
            "Authorization: Digest username=\"ann\", realm=\"{DOMAIN}\", nonce=\"n\", \
                response=\"r\", {params}\r\n"
        );
        let request = rig.request(&ANN, &extra);
        assert_eq!(rig.send(&ANN, &request).code, code, "{params}");
    }
}

/// The newest registration wins; who was there before is told.
#[test]
fn another_page_takes_over_and_the_same_user_agent_moves() {
    let mut rig = Rig::new();
    rig.register(&ANN);
    rig.notices();
    assert_eq!(rig.register(&Try { connection: 2, ..ANN }).code, 200);
    assert_eq!(rig.notices(), [registered(Kinship::Same), close(1, CloseReason::TakenOver)]);
    assert_eq!(rig.register(&Try { connection: 3, call_id: "two", ..ANN }).code, 200);
    assert_eq!(rig.notices(), [registered(Kinship::Stranger), close(2, CloseReason::TakenOver)]);
    // The end of a flow that was left says nothing of the agent.
    rig.registrar.handle_lost_flow(flow(1));
    rig.registrar.handle_lost_flow(flow(2));
    assert_eq!(rig.notices(), []);
    assert_eq!(rig.registrar.agent_of(flow(2)), None);
    rig.registrar.handle_lost_flow(flow(3));
    assert_eq!(rig.notices(), [lost()]);
    assert_eq!((rig.registrar.len(), rig.registrar.poll_timeout()), (0, None));
    // It is known again when it comes back.
    assert_eq!(rig.register(&Try { connection: 4, call_id: "two", ..ANN }).code, 200);
    assert_eq!(rig.notices(), [registered(Kinship::Same)]);
    // RFC 5626 §4.1: another instance is another user agent, whatever else it copies.
    let other =
        Some("<sip:k3v9@7f3a.invalid;transport=ws>;reg-id=1;+sip.instance=\"<urn:uuid:2>\"");
    assert_eq!(
        rig.register(&Try { connection: 5, call_id: "two", contact: other, ..ANN }).code,
        200
    );
    assert_eq!(rig.notices(), [registered(Kinship::Stranger), close(4, CloseReason::TakenOver)]);
}

/// §10.3 step 7: with the same Call-ID, a CSeq that is not higher "MUST abort the update and the
/// request fails".
#[test]
fn an_overtaken_register_changes_nothing() {
    let mut rig = Rig::new();
    let first = rig.request(&ANN, "");
    let challenge = rig.send(&ANN, &first);
    let late = rig.proven(&Try { contact: Some("<sip:old@x.invalid>"), ..ANN }, &challenge, 2);
    let early = rig.proven(&ANN, &challenge, 1);
    assert_eq!(rig.send(&ANN, &early).code, 200);
    assert_eq!(rig.send(&ANN, &late).code, 500);
    assert_eq!(
        rig.registrar.binding(&"ann".into()).unwrap().target,
        "sip:k3v9@7f3a.invalid;transport=ws"
    );
}

/// §10.2.2, §10.3 step 6.
#[test]
fn a_binding_is_removed_queried_and_bounded() {
    let mut rig = Rig::new();
    assert_eq!(
        rig.register(&Try { contact: None, expires: None, ..ANN }).headers,
        [header("Supported", "outbound")]
    );
    let brief = rig.register(&Try { expires: Some(5), ..ANN });
    // §10.3 step 7: "MAY … reject with a response of 423 (Interval Too Brief). This response MUST
    // contain a Min-Expires".
    assert_eq!((brief.code, &brief.headers[0]), (423, &header("Min-Expires", "30")));
    for contact in ["*", "<sip:a@x.invalid>, <sip:b@x.invalid>", "<tel:1>"] {
        assert_eq!(rig.register(&Try { contact: Some(contact), ..ANN }).code, 400, "{contact}");
    }
    assert_eq!(rig.register(&ANN).code, 200);
    let removed = rig.register(&Try { contact: Some("*"), expires: Some(0), ..ANN });
    assert_eq!((removed.code, removed.headers), (200, vec![header("Supported", "outbound")]));
    assert_eq!(rig.notices(), [registered(Kinship::Stranger), lost()]);
    // §10.3 step 1
    let mut foreign = rig.request(&ANN, "");
    foreign.uri = message::opaque_uri("sip:elsewhere.example");
    assert_eq!(rig.send(&ANN, &foreign).code, 404);
}

#[test]
fn a_binding_ends_unless_it_is_refreshed() {
    let mut rig = Rig::new();
    rig.grant("ann", "secret", 10_000);
    rig.register(&ANN);
    rig.pass(200);
    assert_eq!(rig.register(&ANN).code, 200);
    rig.pass(299);
    assert_eq!(
        rig.notices(),
        [registered(Kinship::Stranger)],
        "a refresh over the same flow is no news"
    );
    rig.pass(1);
    assert_eq!(rig.notices(), [lost(), close(1, CloseReason::Revoked)]);
}

/// A credential lives for minutes; a call outlives it.
#[test]
fn an_expired_credential_ends_the_binding_when_its_agent_is_free() {
    let mut rig = Rig::new();
    rig.grant("ann", "secret", 100);
    rig.busy.push("ann".into());
    rig.register(&Try { expires: Some(3600), ..ANN });
    rig.pass(150);
    // In a call it may refresh what it has, but nobody else registers with it.
    assert_eq!(rig.register(&Try { expires: Some(3600), ..ANN }).code, 200);
    assert_eq!(rig.register(&Try { connection: 2, ..ANN }).code, 403);
    assert_eq!(rig.notices(), [registered(Kinship::Stranger), close(2, CloseReason::Revoked)]);
    rig.busy.clear();
    rig.pass(5);
    assert_eq!(rig.notices(), [lost(), close(1, CloseReason::Revoked)]);
    // With a new grant in time nothing happens.
    let mut rig = Rig::new();
    rig.register(&Try { expires: Some(3600), ..ANN });
    rig.grant("ann", "next", 10_000);
    assert_eq!(rig.register(&Try { password: "next", expires: Some(3600), ..ANN }).code, 200);
    rig.pass(3000);
    assert_eq!(rig.notices(), [registered(Kinship::Stranger)]);
}

#[test]
fn a_revoked_agent_is_cut_off() {
    let mut rig = Rig::new();
    rig.register(&ANN);
    rig.registrar.revoke(rig.now, &"ann".into(), false);
    assert_eq!(
        rig.notices(),
        [registered(Kinship::Stranger), lost(), close(1, CloseReason::Revoked)]
    );
    assert_eq!(rig.register(&Try { connection: 2, ..ANN }).code, 401);
    rig.registrar.revoke(rig.now, &"nobody".into(), false);
    rig.registrar.revoke(rig.now, &"nobody".into(), true);
    assert_eq!(rig.notices(), []);
}

// B07: running calls stay untouched.
#[test]
fn a_revoked_agent_in_a_call_keeps_its_line_to_the_calls_end() {
    let mut rig = Rig::new();
    rig.register(&Try { expires: Some(3600), ..ANN });
    rig.busy.push("ann".into());
    rig.registrar.revoke(rig.now, &"ann".into(), true);
    rig.pass(60);
    assert_eq!(
        rig.register(&Try { expires: Some(3600), ..ANN }).code,
        200,
        "what it has may be refreshed"
    );
    assert_eq!(
        rig.register(&Try { connection: 2, ..ANN }).code,
        403,
        "nothing new is registered by it"
    );
    assert_eq!(rig.notices(), [registered(Kinship::Stranger), close(2, CloseReason::Revoked)]);
    rig.busy.clear();
    rig.pass(5);
    assert_eq!(rig.notices(), [lost(), close(1, CloseReason::Revoked)]);
    assert_eq!(rig.register(&ANN).code, 403);
}

#[test]
fn tables_are_bounded() {
    let mut rig = Rig::new();
    rig.grant("cid", "secret", 600);
    for (connection, agent) in [(1, "ann"), (2, "bob")] {
        assert_eq!(
            rig.register(&Try { connection, user: agent, username: agent, ..ANN }).code,
            200
        );
    }
    let third = Try { connection: 3, user: "cid", username: "cid", ..ANN };
    assert_eq!(rig.register(&third).code, 503);
    let (now, expires_at) = (rig.now, rig.now + Duration::from_secs(600));
    let granted = (0..20).filter(|number| {
        rig.registrar.grant(
            now,
            Grant { agent: format!("x{number}").into(), password: "p".into(), expires_at },
        )
    });
    assert_eq!(granted.count(), 2 * SPARE_FACTOR - 3);
    let challenged = (10..40).filter(|connection| {
        let by = Try { connection: *connection, ..ANN };
        let request = rig.request(&by, "");
        rig.send(&by, &request).code == 401
    });
    assert_eq!(challenged.count(), 2 * SPARE_FACTOR - 3);
}

#[test]
fn agents_who_left_are_remembered_within_bounds() {
    let mut rig = Rig::new();
    for connection in 10..40 {
        let agent = format!("agent{connection}");
        rig.grant(&agent, "secret", 600);
        let by = Try { connection, user: &agent, username: &agent, ..ANN };
        assert_eq!(rig.register(&by).code, 200);
        rig.registrar.handle_lost_flow(flow(connection));
        rig.registrar.revoke(rig.now, &agent.as_str().into(), false);
        assert!((1..=2 * SPARE_FACTOR).contains(&rig.registrar.parted.len()));
    }
}
