//! A softphone against a whole relay on a virtual clock: checks, handshake, audio both ways with a
//! trunk leg, loss and hand-over.

#[path = "softphone/client.rs"]
mod client;
#[path = "softphone/hostile.rs"]
mod hostile;
#[path = "relay/pair.rs"]
mod pair;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use client::{Client, Version};
use dimpl::SrtpProfile;
use media_core::codec::{Codec, Format, FormatMap, Law, PayloadType};
use media_core::g711;
use media_core::relay::{
    self, Event, Forward, LegId, Output, RecordingId, Relay, RelayConfig, RemoteMedia, SocketId,
    TAIL_ROOM, Tone, WebRtcConfig,
};
use media_core::rtp::{self, Class, Header, Ssrc};
use media_core::sdp::webrtc::{self, SoftphoneAnswer, SoftphoneNegotiated, SoftphoneOffer};
use media_core::sdp::{Direction, Origin};
use media_core::tone::{self, level};
use pair::{bridge, record};

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
    /// Datagrams to where no browser is.
    astray_count: usize,
    events: Vec<Event>,
    recorded: Vec<(RecordingId, u64, Vec<u8>)>,
    finished: u32,
}

impl Rig {
    fn new() -> Rig {
        Rig::with_capacity(4)
    }

    /// For so many softphones at a time.
    fn with_capacity(capacity: u16) -> Rig {
        let now = start();
        let config = RelayConfig {
            public_addresses: vec!["198.51.100.250".parse().unwrap()],
            first_port: 20_000,
            pair_count: 4,
            quarantine: Duration::ZERO,
            own_sockets: Vec::new(),
            opus_legs: 8,
            webrtc: Some(WebRtcConfig { port: 30_000, capacity, secret: [7; 32] }),
        };
        let mut relay = Relay::new(config, 42, now);
        let customer = relay.open_leg(now).unwrap();
        let remote = RemoteMedia {
            rtp: Some(TRUNK.parse().unwrap()),
            rtcp: Some(TRUNK.parse().unwrap()),
            rtcp_mux: true,
            codec: Codec::Pcma,
            audio: number(8),
            telephone_event: Some(number(101)),
            comfort_noise: None,
            received: [
                (number(8), Format::Audio(Codec::Pcma)),
                (number(101), Format::TelephoneEvent),
            ]
            .into_iter()
            .collect(),
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
            astray_count: 0,
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
            opus_event: None,
            direction: Direction::SendRecv,
            known: FormatMap::default(),
        }
    }

    /// Opens a leg for a browser that got our offer; its answer did not come yet.
    fn invite(&mut self, version: Version, address: &str) -> usize {
        let leg = self.relay.open_softphone(self.now).unwrap();
        let mut client = Client::new(self.now, version);
        client.set_remote(self.now, &webrtc::offer(&self.offer(leg)));
        self.browsers.push(Browser {
            client,
            address: address.parse().unwrap(),
            leg,
            speaks: false,
        });
        self.browsers.len() - 1
    }

    fn answered(&self, browser: usize) -> SoftphoneNegotiated {
        let Browser { client, leg, .. } = &self.browsers[browser];
        webrtc::accept_answer(
            &self.offer(*leg),
            client.description("active", "sendrecv").as_bytes(),
        )
        .unwrap()
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
        bridge(&mut rig.relay, rig.now, leg, rig.customer);
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
            return match browser {
                Some(browser) => browser.client.handle_datagram(self.now, datagram),
                None => self.astray_count += 1,
            };
        }
        assert_eq!((socket, remote), (SocketId(self.customer.index * 2), TRUNK.parse().unwrap()));
        if rtp::classify(datagram) == Class::Rtp {
            let packet = rtp::parse(datagram).unwrap();
            self.customer_heard
                .push(datagram[packet.payload_start..][..packet.payload_len].to_vec());
        }
    }

    fn drain(&mut self) {
        loop {
            let (socket, remote, bytes) = match self.relay.poll_output() {
                None => break,
                Some(Output::Transmit { socket, remote, bytes }) => {
                    (socket, remote, bytes.to_vec())
                }
                Some(Output::Record { recording, offset, bytes }) => {
                    self.recorded.push((recording, offset, bytes.to_vec()));
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
                CUSTOMER_TONE.fill_encoded(position, Law::Pcma, &mut payload);
                let (sequence, timestamp) = (self.customer_sequence, position as u32);
                let header = Header {
                    payload_type: number(8),
                    marker: false,
                    sequence,
                    timestamp,
                    ssrc: Ssrc(9),
                };
                let mut packet = [0; 172];
                header.write(&payload, &mut packet).unwrap();
                self.give(SocketId(self.customer.index * 2), TRUNK.parse().unwrap(), &packet);
            }
            for at in 0..self.browsers.len() {
                if self.browsers[at].speaks {
                    let mut payload = [0; 160];
                    AGENT_TONE.fill_encoded(position, Law::Pcmu, &mut payload);
                    self.browsers[at].client.speak(&payload);
                }
                if self.browsers[at].client.poll_timeout().is_some_and(|due| due <= self.now) {
                    self.browsers[at].client.handle_timeout(self.now);
                }
                self.exchange(at);
            }
        }
    }

    /// Lets the relay's time pass while nobody sends.
    fn pass_relay_only(&mut self, ms: u64) {
        for _ in 0..ms / 20 {
            self.now += Duration::from_millis(20);
            self.relay.handle_timeout(self.now);
            self.drain();
        }
    }

    fn exchange(&mut self, at: usize) {
        while let Some(datagram) = self.browsers[at].client.poll_transmit() {
            let address = self.browsers[at].address;
            self.give(SocketId::WEBRTC, address, &datagram);
            self.drain();
        }
    }

    /// Both channels of a recording's last but one second.
    fn end_of(&self, recording: RecordingId) -> [Vec<i16>; 2] {
        let mut file = Vec::new();
        for (_, offset, bytes) in self.recorded.iter().filter(|(id, ..)| *id == recording) {
            let end = *offset as usize + bytes.len();
            file.resize(file.len().max(end), 0);
            file[*offset as usize..end].copy_from_slice(bytes);
        }
        let frames: Vec<&[u8]> = file[44..].chunks_exact(4).collect();
        let piece = &frames[frames.len() - 16_000..frames.len() - 8_000];
        [0, 2].map(|at| {
            piece.iter().map(|frame| i16::from_le_bytes([frame[at], frame[at + 1]])).collect()
        })
    }

    fn count(&self, name: &str) -> u64 {
        self.relay.counters().find(|(known, _)| *known == name).unwrap().1
    }

    fn told(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }
}

/// Amplitude of a frequency in the last 200 ms.
fn loudness(heard: &[Vec<u8>], law: Law, frequency: f64) -> f64 {
    let bytes: Vec<u8> = heard[heard.len().saturating_sub(10)..].concat();
    let samples: Vec<i16> =
        bytes.iter().map(|byte| g711::decode_table(law)[usize::from(*byte)]).collect();
    level(&samples, frequency)
}

#[track_caller]
fn check_both_hear(rig: &mut Rig, browser: usize) {
    let before = (rig.browsers[browser].client.heard.len(), rig.customer_heard.len());
    rig.pass(1_000);
    let client = &rig.browsers[browser].client;
    assert!(client.heard.len() - before.0 >= 49, "{}", client.heard.len() - before.0);
    assert!(rig.customer_heard.len() - before.1 >= 49);
    assert!(loudness(&client.heard, Law::Pcmu, CUSTOMER_TONE.frequency) > 7_000.0);
    assert!(loudness(&rig.customer_heard, Law::Pcma, AGENT_TONE.frequency) > 7_000.0);
    assert!(
        loudness(&client.heard, Law::Pcmu, AGENT_TONE.frequency) < 500.0,
        "nobody hears itself"
    );
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
        assert!(
            told.contains(&Event::FirstMedia(leg))
                && told.contains(&Event::FirstMedia(rig.customer)),
            "{told:?}"
        );
        rig.pass(10_000);
        check_both_hear(&mut rig, 0);
        let report = rig.relay.leg_report(leg);
        assert!(report.received > 590 && report.sent > 590 && report.lost == 0, "{report:?}");
        // GCM is preferred where the peer's order leaves the choice to us.
        let expected = if version == Version::Dtls12 {
            SrtpProfile::AEAD_AES_256_GCM
        } else {
            rig.browsers[0].client.profile.unwrap()
        };
        assert_eq!(rig.browsers[0].client.profile, Some(expected));
        assert!(rig.browsers[0].client.rtcp_count > 0, "our reports reach the browser");
    }
}

#[test]
fn a_handshake_before_the_answer_counts_once_the_answer_vouches_for_it() {
    let mut rig = Rig::new();
    let browser = rig.invite(Version::Dtls12, BROWSER);
    let leg = rig.browsers[browser].leg;
    bridge(&mut rig.relay, rig.now, leg, rig.customer);
    rig.browsers[browser].speaks = true;
    rig.pass(600);
    assert!(rig.browsers[browser].client.is_connected(), "the browser is done");
    assert_eq!(rig.told(), [Event::IceConnected(leg)]);
    assert!(rig.count("no_keys") > 0 && rig.customer_heard.is_empty());
    rig.answer(browser);
    rig.customer_speaks = true;
    check_both_hear(&mut rig, browser);
    let told = rig.told();
    assert!(
        told[0] == Event::DtlsConnected(leg) && told.contains(&Event::FirstMedia(leg)),
        "{told:?}"
    );
}

#[test]
fn a_foreign_certificate_gets_no_media() {
    let mut rig = Rig::new();
    let browser = rig.invite(Version::Dtls13, BROWSER);
    let leg = rig.browsers[browser].leg;
    let other = Client::new(rig.now, Version::Dtls12).fingerprint();
    let negotiated = SoftphoneNegotiated { fingerprint: other, ..rig.answered(browser) };
    rig.relay.set_softphone_remote(rig.now, leg, negotiated);
    bridge(&mut rig.relay, rig.now, leg, rig.customer);
    (rig.customer_speaks, rig.browsers[browser].speaks) = (true, true);
    rig.pass(1_000);
    let told = rig.told();
    assert!(
        told.contains(&Event::DtlsFailed(leg)) && !told.contains(&Event::DtlsConnected(leg)),
        "{told:?}"
    );
    assert!(rig.customer_heard.is_empty() && rig.browsers[browser].client.heard.is_empty());
    assert!(rig.count("no_keys") > 0 && rig.count("not_sending") > 0);
}

/// RFC 8842 §4: another fingerprint means a new DTLS association.
#[test]
fn another_certificate_begins_a_new_handshake() {
    let mut rig = Rig::talking(Version::Dtls12);
    rig.pass(200);
    let leg = rig.browsers[0].leg;
    let mut next = Client::new(rig.now, Version::Dtls12);
    next.set_remote(rig.now, &webrtc::offer(&rig.offer(leg)));
    rig.browsers[0].client = next;
    rig.answer(0);
    rig.told();
    rig.pass(1_000);
    assert!(rig.told().contains(&Event::DtlsConnected(leg)));
    check_both_hear(&mut rig, 0);
}

/// The client panics on media before its keys: nothing goes out in plain.
#[test]
fn nothing_is_sent_before_there_are_keys() {
    let mut rig = Rig::new();
    let browser = rig.invite(Version::Dtls12, BROWSER);
    let leg = rig.browsers[browser].leg;
    rig.answer(browser);
    bridge(&mut rig.relay, rig.now, leg, rig.customer);
    rig.relay.play(rig.now, leg, Tone::Ringback);
    rig.customer_speaks = true;
    for _ in 0..10 {
        let check = rig.browsers[browser].client.check(true);
        rig.give(SocketId::WEBRTC, BROWSER.parse().unwrap(), &check);
        rig.now += Duration::from_secs(1);
        rig.relay.handle_timeout(rig.now);
        rig.drain();
    }
    assert_eq!(rig.relay.leg_report(leg).sent, 0);
}

#[test]
fn media_follows_the_browser_to_another_address() {
    let mut rig = Rig::talking(Version::Dtls12);
    rig.browsers[0].address = "192.0.2.77:6000".parse().unwrap();
    rig.pass(1_000);
    check_both_hear(&mut rig, 0);
    assert!(rig.count("unchecked_source") < 30, "until the first check from there");
}

#[test]
fn without_checks_the_consent_is_lost_until_they_come_again() {
    let mut rig = Rig::talking(Version::Dtls12);
    let leg = rig.browsers[0].leg;
    rig.pass(1_000);
    rig.told();
    rig.pass_relay_only(16_000);
    assert!(rig.told().contains(&Event::ConsentLost(leg)));
    let sent = rig.relay.leg_report(leg).sent;
    rig.relay.play(rig.now, leg, Tone::Ringback);
    rig.pass_relay_only(1_000);
    assert_eq!(rig.relay.leg_report(leg).sent, sent, "nothing is sent without consent");
    rig.pass(1_000);
    check_both_hear(&mut rig, 0);
    assert!(rig.told().contains(&Event::IceConnected(leg)));
}

#[test]
fn tones_are_played_to_both_kinds_of_legs() {
    let mut rig = Rig::talking(Version::Dtls12);
    let leg = rig.browsers[0].leg;
    (rig.customer_speaks, rig.browsers[0].speaks) = (false, false);
    rig.pass(100);
    rig.relay.play(rig.now, leg, Tone::Ringback);
    rig.relay.play(rig.now, rig.customer, Tone::Hold);
    rig.pass(200);
    assert!(loudness(&rig.browsers[0].client.heard, Law::Pcmu, tone::RINGBACK.frequency) > 5_000.0);
    assert!(loudness(&rig.customer_heard, Law::Pcma, tone::HOLD.frequency) > 2_000.0);
    rig.relay.play(rig.now, leg, Tone::Hold);
    rig.pass(200);
    assert!(loudness(&rig.browsers[0].client.heard, Law::Pcmu, tone::HOLD.frequency) > 2_000.0);
    rig.browsers[0].speaks = true;
    rig.pass(200);
    assert!(
        loudness(&rig.customer_heard, Law::Pcma, AGENT_TONE.frequency) > 7_000.0,
        "media ends the tone"
    );
    rig.customer_speaks = true;
    check_both_hear(&mut rig, 0);
}

/// An agent's page is opened again while its call goes on.
#[test]
fn a_second_leg_takes_the_place_of_the_first() {
    let mut rig = Rig::talking(Version::Dtls12);
    let old = rig.browsers[0].leg;
    let recording = record(&mut rig.relay, rig.now, old, rig.customer).unwrap();
    check_both_hear(&mut rig, 0);
    rig.browsers[0].speaks = false;
    rig.relay.play(rig.now, rig.customer, Tone::Hold);
    let second = rig.invite(Version::Dtls13, "203.0.113.7:52000");
    rig.answer(second);
    rig.pass(600);
    let new = rig.browsers[second].leg;
    rig.relay.hand_over(rig.now, old, new);
    rig.relay.close_leg(rig.now, old);
    rig.browsers[second].speaks = true;
    check_both_hear(&mut rig, second);
    assert_eq!((rig.finished, rig.relay.recording_count()), (0, 1), "the recording goes on");
    // The place of the closed leg serves another recording meanwhile.
    let third = rig.relay.open_softphone(rig.now).unwrap();
    let other = rig.relay.open_leg(rig.now).unwrap();
    let beside = record(&mut rig.relay, rig.now, third, other).unwrap();
    rig.relay.stop_recording(rig.now, beside);
    rig.pass(2_000);
    rig.relay.stop_recording(rig.now, recording);
    rig.drain();
    let [left, right] = rig.end_of(recording);
    assert!(
        level(&left, AGENT_TONE.frequency) > 7_000.0
            && level(&left, CUSTOMER_TONE.frequency) < 500.0
    );
    assert!(
        level(&right, CUSTOMER_TONE.frequency) > 7_000.0
            && level(&right, AGENT_TONE.frequency) < 500.0
    );
    assert_eq!(rig.finished, 2);
}

#[test]
fn a_handed_over_leg_hears_what_was_played_and_its_old_bridge_ends() {
    let mut rig = Rig::talking(Version::Dtls12);
    let (old, other) = (rig.browsers[0].leg, rig.relay.open_leg(rig.now).unwrap());
    let second = rig.invite(Version::Dtls12, "203.0.113.7:52000");
    rig.answer(second);
    rig.pass(600);
    let new = rig.browsers[second].leg;
    bridge(&mut rig.relay, rig.now, new, other);
    rig.customer_speaks = false;
    rig.relay.play(rig.now, old, Tone::Ringback);
    rig.relay.hand_over(rig.now, old, new);
    let silent = rig.browsers[0].client.heard.len();
    rig.pass(200);
    assert!(
        loudness(&rig.browsers[second].client.heard, Law::Pcmu, tone::RINGBACK.frequency) > 5_000.0
    );
    assert_eq!(rig.browsers[0].client.heard.len(), silent, "the old leg hears nothing more");
    rig.customer_speaks = true;
    rig.browsers[0].speaks = false;
    rig.browsers[second].speaks = true;
    check_both_hear(&mut rig, second);
    rig.relay.hand_over(rig.now, new, new);
    rig.relay.close_leg(rig.now, old);
    rig.relay.hand_over(rig.now, old, new);
    check_both_hear(&mut rig, second);
}

#[test]
fn a_browser_restarts_ice_without_a_gap() {
    let mut rig = Rig::talking(Version::Dtls12);
    check_both_hear(&mut rig, 0);
    let leg = rig.browsers[0].leg;
    let ours = webrtc::offer(&rig.offer(leg));
    let local = rig.relay.softphone_local(leg).unwrap();
    let (old, next) = (local.ice, local.next_ice);
    rig.browsers[0].client.ufrag = "NeWuFrAg".into();
    let offer = rig.browsers[0].client.description("actpass", "sendrecv");
    let spec = SoftphoneAnswer {
        local,
        previous: &ours,
        codec: Codec::Pcmu,
        known: FormatMap::default(),
        direction: Direction::SendRecv,
    };
    let (answer, negotiated) = webrtc::answer(offer.as_bytes(), &spec).unwrap();
    assert!(
        answer.contains(next.ufrag())
            && answer.contains(next.password())
            && !answer.contains(old.ufrag())
    );
    rig.relay.set_softphone_remote(rig.now, leg, negotiated);
    assert_eq!(rig.relay.softphone_local(leg).unwrap().ice, next);
    let now = rig.now;
    rig.browsers[0].client.set_remote(now, &answer);
    rig.browsers[0].address = "192.0.2.99:1234".parse().unwrap();
    rig.told();
    rig.pass(100);
    check_both_hear(&mut rig, 0);
    assert_eq!(rig.told(), [], "DTLS stays as it is");
}

#[test]
fn legs_come_and_go_and_leave_nothing() {
    let mut rig = Rig::talking(Version::Dtls12);
    let leg = rig.browsers[0].leg;
    let others: Vec<LegId> =
        std::iter::from_fn(|| rig.relay.open_softphone(rig.now).ok()).collect();
    assert_eq!(others.len(), 3, "the capacity is 4");
    let name = rig.relay.softphone_local(leg).unwrap().ice;
    let voice = rig.browsers[0].client.voice(&[1; 160]).unwrap();
    rig.relay.close_leg(rig.now, leg);
    rig.drain();
    let before = rig.count("unchecked_source");
    rig.give(SocketId::WEBRTC, BROWSER.parse().unwrap(), &voice);
    assert_eq!(rig.count("unchecked_source"), before + 1);
    assert!(rig.relay.softphone_local(leg).is_none());
    let again = rig.relay.open_softphone(rig.now).unwrap();
    assert_eq!((again.index, again.generation), (leg.index, leg.generation + 1));
    assert_ne!(rig.relay.softphone_local(again).unwrap().ice, name);
    let check = rig.browsers[0].client.check(true);
    rig.give(SocketId::WEBRTC, BROWSER.parse().unwrap(), &check);
    assert_eq!(rig.count("stun_unauthentic"), 1, "a check for the closed leg");
    for leg in others.into_iter().chain([again, rig.customer]) {
        rig.relay.close_leg(rig.now, leg);
    }
    assert_eq!((rig.relay.leg_count(), rig.relay.recording_count()), (0, 0));
    assert_eq!(rig.relay.poll_timeout(), None);
    assert_eq!(rig.relay.local_media(leg).rtp_port, 0);
}

#[test]
fn a_shard_without_a_socket_takes_no_softphone() {
    let now = start();
    let address = "127.0.0.1".parse().unwrap();
    let config = RelayConfig {
        public_addresses: vec![address],
        first_port: 1,
        pair_count: 1,
        quarantine: Duration::ZERO,
        own_sockets: Vec::new(),
        opus_legs: 0,
        webrtc: None,
    };
    let mut relay = Relay::new(config, 1, now);
    assert!(relay.open_softphone(now).is_err());
    let leg = relay.open_leg(now).unwrap();
    assert!(relay.softphone_local(leg).is_none());
    let mut buffer = [0; 200];
    assert!(matches!(
        relay.forward(now, SocketId::WEBRTC, BROWSER.parse().unwrap(), &mut buffer, 100),
        Forward::Drop(_)
    ));
}
