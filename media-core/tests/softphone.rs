//! A softphone against a whole relay on a virtual clock: checks, handshake, audio both ways with a trunk leg, loss and hand-over.

#[path = "softphone/client.rs"]
mod client;
#[path = "softphone/hostile.rs"]
mod hostile;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use client::{Client, Version};
use dimpl::SrtpProfile;
use media_core::codec::{Codec, PayloadType};
use media_core::g711;
use media_core::relay::{
    Event, Forward, LegId, Output, Relay, RelayConfig, RemoteMedia, SocketId, TAIL_ROOM, Tone, WebRtcConfig,
};
use media_core::rtp::{self, Class, Header, Ssrc};
use media_core::sdp::webrtc::{self, SoftphoneAnswer, SoftphoneNegotiated, SoftphoneOffer};
use media_core::sdp::{Direction, Numbers, Origin, TelephoneEvents};
use media_core::tone::{self, level};

const BROWSER: &str = "203.0.113.7:51000";
const TRUNK: &str = "198.51.100.1:4000";
const AGENT_TONE: tone::Tone = tone::Tone::steady(700.0, 8000.0);
const CUSTOMER_TONE: tone::Tone = tone::Tone::steady(1100.0, 8000.0);

#[expect(clippy::disallowed_methods, reason = "an Instant cannot be made otherwise")]
fn start() -> Instant {
    Instant::now()
}

fn number(number: u8) -> PayloadType {
    PayloadType::new(number).unwrap()
}

/// One browser and where it is.
struct Browser {
    client: Client,
    address: SocketAddr,
    leg: LegId,
    speaks: bool,
}

struct Rig {
    now: Instant,
    relay: Relay,
    browsers: Vec<Browser>,
    customer: LegId,
    customer_sequence: u16,
    customer_speaks: bool,
    /// Payloads that the customer got.
    customer_heard: Vec<Vec<u8>>,
    events: Vec<Event>,
    recorded: Vec<u8>,
    finished: u32,
}

impl Rig {
    fn new() -> Rig {
        let now = start();
        let config = RelayConfig {
            public_address: "198.51.100.250".parse().unwrap(),
            first_port: 20_000,
            pair_count: 4,
            quarantine: Duration::ZERO,
            webrtc: Some(WebRtcConfig { port: 30_000, capacity: 4, secret: [7; 32] }),
        };
        let mut relay = Relay::new(config, 42, now);
        let customer = relay.open_leg(now).unwrap();
        let numbers = |n| Numbers { send: number(n), receive: number(n) };
        let remote = RemoteMedia {
            rtp: Some(TRUNK.parse().unwrap()),
            rtcp: Some(TRUNK.parse().unwrap()),
            rtcp_mux: true,
            codec: Codec::Pcma,
            audio: numbers(8),
            telephone_event: Some(numbers(101)),
            direction: Direction::SendRecv,
            srtp: None,
        };
        relay.set_remote(now, customer, remote);
        Rig {
            now,
            relay,
            browsers: Vec::new(),
            customer,
            customer_sequence: 0,
            customer_speaks: false,
            customer_heard: Vec::new(),
            events: Vec::new(),
            recorded: Vec::new(),
            finished: 0,
        }
    }

    fn offer(&self, leg: LegId) -> SoftphoneOffer {
        SoftphoneOffer {
            local: self.relay.softphone_local(leg).unwrap(),
            origin: Origin { id: 1, version: 1 },
            codecs: vec![Codec::Pcmu, Codec::Pcma],
            telephone_event: Some(number(101)),
            direction: Direction::SendRecv,
        }
    }

    /// Opens a leg for a browser that got our offer; its answer did not come yet.
    fn invite(&mut self, version: Version, address: &str) -> usize {
        let leg = self.relay.open_softphone(self.now).unwrap();
        let mut client = Client::new(self.now, version);
        client.set_remote(self.now, &webrtc::offer(&self.offer(leg)));
        self.browsers.push(Browser { client, address: address.parse().unwrap(), leg, speaks: false });
        self.browsers.len() - 1
    }

    fn answered(&self, browser: usize) -> SoftphoneNegotiated {
        let Browser { client, leg, .. } = &self.browsers[browser];
        webrtc::accept_answer(&self.offer(*leg), client.description("active", "sendrecv").as_bytes()).unwrap()
    }

    fn answer(&mut self, browser: usize) {
        let negotiated = self.answered(browser);
        self.relay.set_softphone_remote(self.now, self.browsers[browser].leg, negotiated);
    }

    /// A browser whose media is bridged with the customer's; all speak.
    fn talking(version: Version) -> Rig {
        let mut rig = Rig::new();
        let browser = rig.invite(version, BROWSER);
        rig.answer(browser);
        let leg = rig.browsers[browser].leg;
        rig.relay.bridge(rig.now, leg, rig.customer);
        rig.pass(400);
        assert!(rig.browsers[browser].client.is_connected());
        rig.browsers[browser].speaks = true;
        rig.customer_speaks = true;
        rig
    }

    /// Gives one datagram to the relay and carries what it forwards.
    fn give(&mut self, socket: SocketId, source: SocketAddr, datagram: &[u8]) -> Forward {
        let mut buffer = datagram.to_vec();
        buffer.resize(datagram.len() + TAIL_ROOM, 0);
        let forward = self.relay.forward(self.now, socket, source, &mut buffer, datagram.len());
        if let Forward::To { socket, remote, start, len } = forward {
            self.carry(socket, remote, &buffer[start..start + len]);
        }
        forward
    }

    /// Takes a datagram of the relay to whom it is for.
    fn carry(&mut self, socket: SocketId, remote: SocketAddr, datagram: &[u8]) {
        if socket == SocketId::WEBRTC {
            let browser = self.browsers.iter_mut().find(|browser| browser.address == remote);
            return browser.into_iter().for_each(|browser| browser.client.handle_datagram(self.now, datagram));
        }
        assert_eq!((socket, remote), (SocketId(self.customer.index * 2), TRUNK.parse().unwrap()));
        if rtp::classify(datagram) == Class::Rtp {
            let packet = rtp::parse(datagram).unwrap();
            self.customer_heard.push(datagram[packet.payload_start..][..packet.payload_len].to_vec());
        }
    }

    fn drain(&mut self) {
        loop {
            let (socket, remote, bytes) = match self.relay.poll_output() {
                None => break,
                Some(Output::Transmit { socket, remote, bytes }) => (socket, remote, bytes.to_vec()),
                Some(Output::Record { bytes, .. }) => {
                    self.recorded.extend_from_slice(bytes);
                    continue;
                }
                Some(Output::Finish { .. }) => {
                    self.finished += 1;
                    continue;
                }
                Some(_) => continue,
            };
            self.carry(socket, remote, &bytes);
        }
        self.events.extend(std::iter::from_fn(|| self.relay.poll_event()));
    }

    /// Lets time pass in steps of 20 ms, in each of which who speaks says one packet.
    fn pass(&mut self, ms: u64) {
        for _ in 0..ms / 20 {
            self.now += Duration::from_millis(20);
            self.relay.handle_timeout(self.now);
            self.drain();
            self.customer_sequence = self.customer_sequence.wrapping_add(1);
            let position = u64::from(self.customer_sequence) * 160;
            if self.customer_speaks {
                let mut payload = [0; 160];
                CUSTOMER_TONE.fill_encoded(position, Codec::Pcma, &mut payload);
                let (sequence, timestamp) = (self.customer_sequence, position as u32);
                let header = Header { payload_type: number(8), marker: false, sequence, timestamp, ssrc: Ssrc(9) };
                let mut packet = [0; 172];
                header.write(&payload, &mut packet).unwrap();
                self.give(SocketId(self.customer.index * 2), TRUNK.parse().unwrap(), &packet);
            }
            for at in 0..self.browsers.len() {
                if self.browsers[at].speaks {
                    let mut payload = [0; 160];
                    AGENT_TONE.fill_encoded(position, Codec::Pcmu, &mut payload);
                    self.browsers[at].client.speak(&payload);
                }
                if self.browsers[at].client.poll_timeout().is_some_and(|due| due <= self.now) {
                    self.browsers[at].client.handle_timeout(self.now);
                }
                self.exchange(at);
            }
        }
    }

    fn exchange(&mut self, at: usize) {
        while let Some(datagram) = self.browsers[at].client.poll_transmit() {
            let address = self.browsers[at].address;
            self.give(SocketId::WEBRTC, address, &datagram);
            self.drain();
        }
    }

    fn count(&self, name: &str) -> u64 {
        self.relay.counters().find(|(known, _)| *known == name).unwrap().1
    }

    fn told(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }
}

/// Amplitude of a frequency in the last 200 ms.
fn loudness(heard: &[Vec<u8>], codec: Codec, frequency: f64) -> f64 {
    let bytes: Vec<u8> = heard[heard.len().saturating_sub(10)..].concat();
    let samples: Vec<i16> = bytes.iter().map(|byte| g711::decode_table(codec)[usize::from(*byte)]).collect();
    level(&samples, frequency)
}

#[track_caller]
fn check_both_hear(rig: &mut Rig, browser: usize) {
    let before = (rig.browsers[browser].client.heard.len(), rig.customer_heard.len());
    rig.pass(1_000);
    let client = &rig.browsers[browser].client;
    assert!(client.heard.len() - before.0 >= 49, "{}", client.heard.len() - before.0);
    assert!(rig.customer_heard.len() - before.1 >= 49);
    assert!(loudness(&client.heard, Codec::Pcmu, CUSTOMER_TONE.frequency) > 7_000.0);
    assert!(loudness(&rig.customer_heard, Codec::Pcma, AGENT_TONE.frequency) > 7_000.0);
    assert!(loudness(&client.heard, Codec::Pcmu, AGENT_TONE.frequency) < 500.0, "nobody hears itself");
    assert_eq!(client.refused_count, 0);
}

#[test]
fn a_softphone_and_a_trunk_hear_each_other() {
    for version in [Version::Dtls12, Version::Dtls13, Version::Either] {
        let mut rig = Rig::talking(version);
        let leg = rig.browsers[0].leg;
        assert_eq!(rig.told(), [Event::IceConnected(leg), Event::DtlsConnected(leg)]);
        check_both_hear(&mut rig, 0);
        let told = rig.told();
        assert!(told.contains(&Event::FirstMedia(leg)) && told.contains(&Event::FirstMedia(rig.customer)), "{told:?}");
        rig.pass(10_000);
        check_both_hear(&mut rig, 0);
        let report = rig.relay.leg_report(leg);
        assert!(report.received > 590 && report.sent > 590 && report.lost == 0, "{report:?}");
        // GCM is preferred where the peer's order leaves the choice to us.
        let expected =
            if version == Version::Dtls12 { SrtpProfile::AEAD_AES_256_GCM } else { rig.browsers[0].client.profile.unwrap() };
        assert_eq!(rig.browsers[0].client.profile, Some(expected));
        assert!(rig.browsers[0].client.rtcp_count > 0, "our reports reach the browser");
    }
}
