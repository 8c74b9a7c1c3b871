//! RTP and RTCP: datagrams of two parties that talk through a relay, recorded, mixed and in two
//! codecs.

#[path = "../../media-core/tests/relay/pair.rs"]
mod pair;
#[path = "../../media-core/tests/relay/remote.rs"]
mod remote;

use media_core::codec::{Codec, Format, PayloadType};
use media_core::relay::{self, Forward, LegId, Relay, RelayConfig, SocketId, TAIL_ROOM};
use media_core::rtp;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

/// Bits of the input's first byte.
const IS_RECORDED: u8 = 1;
const IS_MIXED: u8 = 2;
const IS_WIDEBAND: u8 = 4;
/// Bits of a datagram's settings: whose it is; the rest is time that passes before it.
const IS_SECOND: u8 = 1;
const STEP: Duration = Duration::from_millis(5);

/// Datagrams to the ports of RTP.
pub fn rtp(bytes: &[u8]) {
    if let Ok(packet) = rtp::parse(bytes) {
        assert_eq!(rtp::Header::peek(bytes), Some(packet.header));
        assert!(packet.payload_start + packet.payload_len <= bytes.len());
    }
    talk(bytes, 0);
}

/// Datagrams to the ports of RTCP.
pub fn rtcp(bytes: &[u8]) {
    talk(bytes, 1);
}

/// What is passed on is an RTP packet for the other party.
fn talk(bytes: &[u8], port: u32) {
    let Some((settings, bytes)) = bytes.split_first() else { return };
    let mut now = Instant::now();
    let mut relay = Relay::new(config(), 1, now);
    let legs = [0, 1].map(|_| relay.open_leg(now).expect("a pair for each leg"));
    for (leg, codec) in legs
        .into_iter()
        .zip([Codec::Pcmu, if settings & IS_WIDEBAND == 0 { Codec::Pcma } else { Codec::G722 }])
    {
        join(&mut relay, now, leg, codec);
    }
    pair::bridge(&mut relay, now, legs[0], legs[1]);
    if settings & IS_RECORDED != 0 {
        pair::record(&mut relay, now, legs[0], legs[1]).expect("fresh legs");
    }
    if settings & IS_MIXED != 0 {
        let third = relay.open_leg(now).expect("a pair for each leg");
        join(&mut relay, now, third, Codec::Pcmu);
        relay.set_hearing(now, third, &legs);
        relay.set_hearing(now, legs[0], &[legs[1], third]);
    }
    let mut buffer = [0; 1500 + TAIL_ROOM];
    for (settings, datagram) in crate::datagrams(bytes) {
        now += STEP * u32::from(settings >> 1);
        relay.handle_timeout(now);
        let leg = legs[usize::from(settings & IS_SECOND)];
        let Some(room) = buffer.get_mut(..datagram.len()) else { continue };
        room.copy_from_slice(datagram);
        let socket = SocketId(leg.index * 2 + port);
        let forward = relay.forward(now, socket, peer(leg), &mut buffer, datagram.len());
        if let Forward::To { remote, start, len, .. } = forward {
            assert!(legs.iter().any(|other| *other != leg && remote == peer(*other)));
            rtp::parse(&buffer[start..start + len]).expect("what is sent is RTP");
        }
        drain(&mut relay);
    }
    for leg in legs {
        let _ = relay.leg_report(leg);
        relay.close_leg(now, leg);
    }
    relay.handle_timeout(now + Duration::from_secs(1));
    drain(&mut relay);
}

fn drain(relay: &mut Relay) {
    while relay.poll_output().is_some() {}
    while relay.poll_event().is_some() {}
}

fn join(relay: &mut Relay, now: Instant, leg: LegId, codec: Codec) {
    let mut remote = remote::remote(peer(leg), None);
    let wideband = PayloadType::new(9).expect("7 bits");
    remote.received = [(wideband, Format::Audio(Codec::G722))]
        .into_iter()
        .chain(remote.received.iter())
        .collect();
    (remote.codec, remote.audio) = (codec, codec.payload_type());
    relay.set_remote(now, leg, remote);
    relay.watch_media(now, leg, Duration::from_secs(5));
}

fn peer(leg: LegId) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::new(10, 0, 0, leg.index as u8).into(), 4000)
}

fn config() -> RelayConfig {
    RelayConfig {
        public_addresses: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
        first_port: 10_000,
        pair_count: 3,
        quarantine: Duration::ZERO,
        own_sockets: Vec::new(),
        opus_legs: 1,
        webrtc: None,
    }
}
