//! Two legs through the relay without a socket: a tone goes in at one leg and comes out for the
//! other's peer. What a shell has to do is all here: give datagrams, fire timers, drain.
//!
//! `cargo run --release -p media-core --example two_legs`

#![allow(clippy::disallowed_methods, reason = "an example is a shell, not a part of the package")]

use media_core::codec::{Codec, Format, Law, PayloadType};
use media_core::g711;
use media_core::relay::{Forward, Relay, RelayConfig, RemoteMedia, SocketId, TAIL_ROOM};
use media_core::rtp::{self, Header, Ssrc};
use media_core::sdp::Direction;
use media_core::tone::{self, Tone};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

const TONE: Tone = Tone::steady(1_000.0, 8_000.0);
/// Samples of a packet, 20 ms at 8 kHz.
const FRAME: usize = 160;

fn main() {
    let heard = talk(Instant::now(), 50);
    let level = tone::level(&heard, TONE.frequency);
    println!("{} samples came out, {} Hz at {level:.0}", heard.len(), TONE.frequency);
}

/// Lets the first party send packets of the tone; returns what the second one hears.
fn talk(mut now: Instant, packet_count: u16) -> Vec<i16> {
    let config = RelayConfig {
        public_addresses: vec![Ipv4Addr::LOCALHOST.into()],
        first_port: 10_000,
        pair_count: 2,
        quarantine: Duration::ZERO,
        own_sockets: Vec::new(),
        opus_legs: 0,
        webrtc: None,
    };
    // Where packets meet a network the seed must be unpredictable.
    let mut relay = Relay::new(config, 1, now);
    let peers = [4_000, 5_000].map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let legs = peers.map(|peer| {
        let leg = relay.open_leg(now).expect("a pair of ports for each leg");
        relay.set_remote(now, leg, remote(peer));
        leg
    });
    relay.set_hearing(now, legs[0], &[legs[1]]);
    relay.set_hearing(now, legs[1], &[legs[0]]);
    let (mut heard, mut buffer) = (Vec::new(), [0; 1500 + TAIL_ROOM]);
    for number in 0..packet_count {
        drain(&mut relay);
        let len = write_packet(number, &mut buffer);
        // The datagram lies where the socket was read into, and is sent from there.
        match relay.forward(now, SocketId(legs[0].index * 2), peers[0], &mut buffer, len) {
            Forward::To { remote, start, len, .. } if remote == peers[1] => {
                let packet = rtp::parse(&buffer[start..start + len]).expect("we send RTP");
                let payload = &buffer[start + packet.payload_start..][..packet.payload_len];
                let table = g711::decode_table(Law::Pcmu);
                heard.extend(payload.iter().map(|byte| table[usize::from(*byte)]));
            }
            other => println!("{other:?}"),
        }
        now += Duration::from_millis(20);
        if relay.poll_timeout().is_some_and(|due| due <= now) {
            relay.handle_timeout(now);
        }
    }
    legs.into_iter().for_each(|leg| relay.close_leg(now, leg));
    drain(&mut relay);
    heard
}

/// After each mutation the shell does all that the relay asks, and hears all that it tells.
fn drain(relay: &mut Relay) {
    while let Some(output) = relay.poll_output() {
        println!("{output:?}");
    }
    while let Some(event) = relay.poll_event() {
        println!("{event:?}");
    }
}

/// What offer and answer agreed with a peer: PCMU over plain RTP.
fn remote(peer: SocketAddr) -> RemoteMedia {
    let audio = PayloadType::new(0).expect("7 bits");
    RemoteMedia {
        rtp: Some(peer),
        rtcp: Some(peer),
        rtcp_mux: true,
        codec: Codec::Pcmu,
        audio,
        telephone_event: None,
        comfort_noise: None,
        received: [(audio, Format::Audio(Codec::Pcmu))].into_iter().collect(),
        direction: Direction::SendRecv,
        srtp: None,
    }
}

fn write_packet(sequence: u16, buffer: &mut [u8]) -> usize {
    let payload_type = PayloadType::new(0).expect("7 bits");
    let timestamp = u32::from(sequence) * FRAME as u32;
    let header = Header { payload_type, marker: false, sequence, timestamp, ssrc: Ssrc(7) };
    let mut payload = [0; FRAME];
    TONE.fill_encoded(timestamp.into(), Law::Pcmu, &mut payload);
    header.write(&payload, buffer).expect("the buffer holds a packet")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_that_goes_in_comes_out() {
        let heard = talk(Instant::now(), 50);
        assert_eq!(heard.len(), 50 * FRAME);
        assert!((7_500.0..8_500.0).contains(&tone::level(&heard, TONE.frequency)));
        assert!(tone::level(&heard, 440.0) < 100.0);
    }
}
