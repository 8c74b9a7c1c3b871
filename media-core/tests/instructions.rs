//! What a packet's way through the relay costs in instructions, so that a change of it is seen.

#[path = "instructions/callgrind.rs"]
mod callgrind;
#[path = "relay/pair.rs"]
mod pair;
#[path = "relay/remote.rs"]
mod remote;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use media_core::codec::PayloadType;
use media_core::relay::{self, Forward, Relay, RelayConfig, SocketId, TAIL_ROOM};
use media_core::rtp::{Header, Ssrc};
use pair::{bridge, record};
use remote::remote;

const PACKET_LEN: usize = 172;
/// Calls of two that talk at a time.
const CALL_COUNT: u16 = 32;

/// Lets calls talk, a packet of each party every 20 ms, and visits their legs between.
fn talk(is_recorded: bool) {
    #[expect(clippy::disallowed_methods, reason = "an Instant cannot be made otherwise")]
    let mut now = Instant::now();
    let config = RelayConfig {
        public_addresses: vec!["127.0.0.1".parse().unwrap()],
        first_port: 10_000,
        pair_count: CALL_COUNT * 2,
        quarantine: Duration::ZERO,
        own_sockets: Vec::new(),
        opus_legs: 0,
        webrtc: None,
    };
    let mut relay = Relay::new(config, 1, now);
    let mut parties = Vec::new();
    for _ in 0..CALL_COUNT {
        let legs = [relay.open_leg(now).unwrap(), relay.open_leg(now).unwrap()];
        for leg in legs {
            let peer = SocketAddr::new([127, 0, 0, 1].into(), 4000 + leg.index as u16);
            relay.set_remote(now, leg, remote(peer, None));
            parties.push((SocketId(leg.index * 2), peer));
        }
        bridge(&mut relay, now, legs[0], legs[1]);
        if is_recorded {
            record(&mut relay, now, legs[0], legs[1]).unwrap();
        }
    }
    let mut buffer = [0x55; 2048];
    let mut sequence = 0u16;
    callgrind::work(|| {
        let timestamp = u32::from(sequence) * 160;
        let payload_type = PayloadType::new(0).unwrap();
        let header =
            Header { payload_type, marker: false, sequence, timestamp, ssrc: Ssrc(7) }.to_bytes();
        for (socket, peer) in &parties {
            buffer[..header.len()].copy_from_slice(&header);
            let datagram = &mut buffer[..PACKET_LEN + TAIL_ROOM];
            let forward = relay.forward(now, *socket, *peer, datagram, PACKET_LEN);
            assert!(matches!(forward, Forward::To { .. }), "{forward:?}");
        }
        sequence += 1;
        now += Duration::from_millis(20);
        relay.handle_timeout(now);
        while relay.poll_output().is_some() {}
        while relay.poll_event().is_some() {}
    });
}

#[test]
#[ignore = "callgrind counts it"]
fn plain_packets() {
    talk(false);
}

#[test]
#[ignore = "callgrind counts it"]
fn recorded_packets() {
    talk(true);
}

#[test]
fn a_plain_packet_takes_no_more_than_before() {
    callgrind::check("plain_packets", u32::from(CALL_COUNT) * 2, 1_047);
}

#[test]
fn a_recorded_packet_takes_no_more_than_before() {
    callgrind::check("recorded_packets", u32::from(CALL_COUNT) * 2, 2_447);
}
