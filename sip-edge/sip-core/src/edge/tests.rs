//! What the edge answers to each torture message of RFC 4475, beside what the RFC wants of a user
//! agent server.

use super::*;
use crate::command::Interface;
use crate::flow::Transport;
use crate::message::tests::rfc4475;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

/// A message by its name, the statuses of which the RFC wants one, ours, and why ours is another.
type Row = (&'static str, &'static [u16], Option<u16>, &'static str);

const NOBODY_CALLS_US: &str = "well taken, and then refused: nobody calls us";
const NO_REGISTRAR: &str = "well taken, and then refused: trunks register nothing here";
const FORBIDDEN_FIRST: &str = "that nobody calls us is told before what the body lacks";

const ROWS: [Row; 49] = [
    // §3.1.1: valid.
    ("wsinv", &[200, 481], Some(481), ""),
    ("intmeth", &[405, 501], Some(501), ""),
    ("esc01", &[200], Some(403), NOBODY_CALLS_US),
    ("escnull", &[200], Some(405), NO_REGISTRAR),
    ("esc02", &[405, 501], Some(501), ""),
    ("lwsdisp", &[200], Some(200), ""),
    ("longreq", &[200], Some(403), NOBODY_CALLS_US),
    ("dblreq", &[200], Some(405), NO_REGISTRAR),
    ("semiuri", &[200], Some(200), ""),
    ("transports", &[200], Some(200), ""),
    ("mpart01", &[200, 405], Some(405), ""),
    ("unreason", &[], None, ""),
    ("noreason", &[], None, ""),
    // §3.1.2: invalid.
    ("badinv01", &[400], Some(400), ""),
    ("clerr", &[400], Some(400), ""),
    ("ncl", &[400], Some(400), ""),
    ("scalar02", &[400], Some(400), ""),
    ("scalarlg", &[], None, ""),
    ("quotbal", &[400], Some(400), ""),
    ("ltgtruri", &[400], Some(400), ""),
    ("lwsruri", &[400], Some(400), ""),
    ("lwsstart", &[400], Some(400), ""),
    ("trws", &[400, 200], Some(400), ""),
    ("escruri", &[400], Some(400), ""),
    ("baddate", &[200, 400], Some(403), NOBODY_CALLS_US),
    ("regbadct", &[400], Some(400), ""),
    ("badaspec", &[400], Some(400), ""),
    ("baddn", &[400, 200], Some(400), ""),
    ("badvers", &[505], Some(505), ""),
    ("mismatch01", &[400], Some(400), ""),
    ("mismatch02", &[501], Some(501), ""),
    ("bigcode", &[], None, ""),
    // §3.2 to §3.4: for transactions, applications and old peers.
    ("badbranch", &[200, 400], Some(200), ""),
    ("insuf", &[400], None, "an answer would lack what it copies (RFC 3261 §8.2.6.2)"),
    ("unkscm", &[416], Some(416), ""),
    ("novelsc", &[416], Some(416), ""),
    ("unksm2", &[400], Some(405), NO_REGISTRAR),
    ("bext01", &[420], Some(420), ""),
    ("invut", &[415], Some(403), FORBIDDEN_FIRST),
    ("regaut01", &[401], Some(405), NO_REGISTRAR),
    ("multi01", &[400], Some(400), ""),
    ("mcl01", &[400], Some(400), ""),
    ("bcast", &[], None, ""),
    ("zeromf", &[200], Some(200), ""),
    ("cparam01", &[200], Some(405), NO_REGISTRAR),
    ("cparam02", &[200], Some(405), NO_REGISTRAR),
    ("regescrt", &[200], Some(405), NO_REGISTRAR),
    ("sdp01", &[406], Some(403), FORBIDDEN_FIRST),
    ("inv2543", &[200], Some(403), NOBODY_CALLS_US),
];

const TRUNK: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 250);
const STRANGER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 9);

fn edge(now: Instant) -> Edge {
    let local = SocketAddr::from(([10, 0, 0, 1], 5060));
    let config = EdgeConfig {
        shard: 0,
        interfaces: vec![Interface { name: String::new(), local, public: local }],
        tls_port: 5061,
        user_agent: "test".into(),
        wideband: false,
        copies_sip: false,
        call_capacity: 1,
        transaction_capacity: 100,
        softphones: None,
    };
    let relay = RelayConfig {
        public_addresses: vec![local.ip()],
        first_port: 20_000,
        pair_count: 1,
        quarantine: std::time::Duration::from_secs(1),
        own_sockets: Vec::new(),
        opus_legs: 0,
        webrtc: None,
    };
    let mut edge = Edge::new(config, relay, [1; 32], now);
    edge.shard.remember_trunk(TRUNK.into(), &[]);
    edge
}

/// The status of the only answer, if there is one.
#[track_caller]
fn answer(
    edge: &mut Edge,
    now: Instant,
    transport: Transport,
    from: Ipv4Addr,
    bytes: &[u8],
) -> Option<u16> {
    let remote = SocketAddr::from((from, 5999));
    let flow = edge.shard.config.flow(0, transport, remote);
    edge.handle_sip(now, flow, bytes);
    let bytes = match edge.poll_output()? {
        Output::Sip { bytes, .. } => bytes,
        Output::CutFlow { flow: cut } if cut == flow => return None,
        _ => panic!("no SIP"),
    };
    assert!(edge.poll_output().is_none(), "one answer");
    let code = bytes.strip_prefix(b"SIP/2.0 ").and_then(|rest| rest.get(..3)).expect("a response");
    std::str::from_utf8(code).expect("digits").parse().ok()
}

#[test]
fn each_torture_message_is_answered() {
    #[expect(
        clippy::disallowed_methods,
        reason = "an Instant can be made in no other way; the clock stands"
    )]
    let now = Instant::now();
    let rows: BTreeMap<_, _> = ROWS.into_iter().map(|row| (row.0, row)).collect();
    let mut wrong = Vec::new();
    for message in rfc4475::messages() {
        let (name, wanted, ours, why) = rows[message.name];
        let bytes = message.bytes();
        let mut edge = edge(now);
        let given = answer(&mut edge, now, Transport::Udp, TRUNK, &bytes);
        if given != ours {
            wrong.push((name, given, ours));
        }
        assert_eq!(given, answer(&mut edge, now, Transport::Tcp, TRUNK, &bytes), "{name}");
        for transport in [Transport::Udp, Transport::Tcp, Transport::Tls] {
            assert_eq!(answer(&mut edge, now, transport, STRANGER, &bytes), None, "{name}");
        }
        let is_as_wanted = ours.map_or(wanted.is_empty(), |code| wanted.contains(&code));
        assert_eq!(is_as_wanted, why.is_empty(), "{name}: {why}");
        assert_eq!(edge.held(), Held::default(), "{name}");
    }
    assert_eq!(wrong, [], "(name, given, listed)");
    assert_eq!(rows.len(), rfc4475::messages().count());
}
