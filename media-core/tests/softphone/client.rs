//! A softphone without a browser: controlling ICE checks, a DTLS client, SRTP, and Chromium's way
//! to write SDP. Without I/O and clock: the test carries its datagrams.

#[path = "stun.rs"]
pub mod stun;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dimpl::{Config, Dtls, DtlsCertificate, Output, SrtpProfile};
use hmac::{Hmac, KeyInit, Mac};
use media_core::codec::PayloadType;
use media_core::dtls::Fingerprint;
use media_core::rtp::{self, Class, Header, Ssrc};
use media_core::srtp::{Inbound, Keys, Outbound, Suite};
use sha1::Sha1;
use stun::{attribute, sign};

/// Time between two checks of the nominated pair, about that of browsers.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);
const GIVEN_UP: Duration = Duration::from_secs(24 * 3600);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    Dtls12,
    Dtls13,
    /// Offers both.
    Either,
}

/// What the other side's description says.
#[derive(Debug, Clone, Default)]
struct Remote {
    ufrag: String,
    password: String,
    fingerprint: String,
}

pub struct Client {
    pub ufrag: String,
    pub password: String,
    certificate: DtlsCertificate,
    remote: Remote,
    dtls: Dtls,
    dtls_due: Instant,
    next_check: Option<Instant>,
    check_count: u32,
    /// Answered checks.
    pub success_count: u32,
    pub error_codes: Vec<u16>,
    server: Option<Fingerprint>,
    keys: Option<(Inbound, Outbound)>,
    pub profile: Option<SrtpProfile>,
    sequence: u16,
    sent: VecDeque<Vec<u8>>,
    /// Payloads of the audio that came, in order.
    pub heard: Vec<Vec<u8>>,
    pub rtcp_count: u32,
    /// SRTP that did not open.
    pub refused_count: u32,
    /// It was offered Opus, and takes it.
    pub speaks_opus: bool,
}

/// A key and a certificate of its own.
pub fn certificate() -> DtlsCertificate {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap();
    DtlsCertificate { certificate: certificate.der().to_vec(), private_key: key.serialize_der() }
}

impl Client {
    pub fn new(now: Instant, version: Version) -> Client {
        let certificate = certificate();
        let config = Arc::new(
            Config::builder()
                .flight_start_rto(Duration::from_millis(50))
                .flight_retries(8)
                .build()
                .unwrap(),
        );
        let mut dtls = match version {
            Version::Dtls12 => Dtls::new_12(config, certificate.clone(), now),
            Version::Dtls13 => Dtls::new_13(config, certificate.clone(), now),
            Version::Either => Dtls::new_auto(config, certificate.clone(), now),
        };
        dtls.set_active(true);
        Client {
            ufrag: "8hhY".into(),
            password: "asd88fgpdd777uzjYhagZg==".replace('=', "x"),
            certificate,
            remote: Remote::default(),
            dtls,
            dtls_due: now,
            next_check: None,
            check_count: 0,
            success_count: 0,
            error_codes: Vec::new(),
            server: None,
            keys: None,
            profile: None,
            sequence: 0x7f00,
            sent: VecDeque::new(),
            heard: Vec::new(),
            rtcp_count: 0,
            refused_count: 0,
            speaks_opus: false,
        }
    }

    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.certificate.certificate)
    }

    /// Reads the other side's description and begins to check.
    pub fn set_remote(&mut self, now: Instant, description: &str) {
        let value = |name: &str| {
            let line = description
                .lines()
                .find_map(|line| line.strip_prefix("a=")?.strip_prefix(name)?.strip_prefix(':'));
            line.unwrap_or_else(|| panic!("no {name} in {description}")).to_owned()
        };
        assert!(description.contains("a=ice-lite"));
        assert!(!self.speaks_opus || description.contains("a=rtpmap:111 opus/48000/2\r\n"));
        let fingerprint = value("fingerprint").strip_prefix("sha-256 ").unwrap().to_owned();
        self.remote = Remote { ufrag: value("ice-ufrag"), password: value("ice-pwd"), fingerprint };
        self.next_check = Some(now);
    }

    /// A description like Chromium's, with this role and direction.
    pub fn description(&self, setup: &str, direction: &str) -> String {
        let (ufrag, password, fingerprint) = (&self.ufrag, &self.password, self.fingerprint());
        let (numbers, opus) = match self.speaks_opus {
            true => (
                "111 0 8 110 101",
                "a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n\
                    a=rtpmap:110 telephone-event/48000\r\n",
            ),
            false => ("0 8 101", ""),
        };
        format!(
            "v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n\
                a=group:BUNDLE 0\r\na=extmap-allow-mixed\r\n\
             a=msid-semantic: WMS 6b1f6a2c-1f0f-4c0e-9f43-5f3f2f4e5f10\r\n\
             m=audio 9 UDP/TLS/RTP/SAVPF {numbers}\r\nc=IN IP4 0.0.0.0\r\n\
             a=rtcp:9 IN IP4 0.0.0.0\r\na=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\n\
             a=ice-options:trickle\r\n\
             a=fingerprint:sha-256 {fingerprint}\r\na=setup:{setup}\r\na=mid:0\r\na={direction}\r\n\
             a=msid:6b1f6a2c-1f0f-4c0e-9f43-5f3f2f4e5f10 e2c5d3ad-0b39-4a0c-a2ff-61d0a8a1f5b2\r\n\
             a=rtcp-mux\r\n{opus}\
             a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\n\
             a=ssrc:3735928559 cname:vGq8bSOmmhCHKcVO\r\n"
        )
    }

    /// Whether media can flow.
    pub fn is_connected(&self) -> bool {
        self.keys.is_some()
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        let handshake = (self.success_count > 0).then_some(self.dtls_due);
        self.next_check.into_iter().chain(handshake).min()
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        if self.next_check.is_some_and(|due| due <= now) {
            self.next_check = Some(now + CHECK_INTERVAL);
            let check = self.check(true);
            self.sent.push_back(check);
        }
        if self.success_count > 0 && self.dtls_due <= now {
            self.time_out(now);
        }
    }

    /// A handshake that is given up has nothing due any more.
    fn time_out(&mut self, now: Instant) {
        match self.dtls.handle_timeout(now) {
            Ok(()) => self.drain(),
            Err(_) => self.dtls_due = now + GIVEN_UP,
        }
    }

    /// A check with a transaction of its own.
    pub fn check(&mut self, nominates: bool) -> Vec<u8> {
        self.check_count += 1;
        let mut transaction = [0x5a; 12];
        transaction[..4].copy_from_slice(&self.check_count.to_be_bytes());
        let username = format!("{}:{}", self.remote.ufrag, self.ufrag);
        let mut message = [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &transaction].concat();
        attribute(&mut message, 0x0006, username.as_bytes());
        attribute(&mut message, 0xc057, &[0, 0, 3, 231]); // GOOG-NETWORK-INFO
        attribute(&mut message, 0x802a, &0x0123_4567_89ab_cdefu64.to_be_bytes());
        if nominates {
            attribute(&mut message, 0x0025, &[]);
        }
        attribute(&mut message, 0x0024, &0x6e7f_1eff_u32.to_be_bytes());
        sign(message, &self.remote.password)
    }

    pub fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) {
        match (datagram[0], rtp::classify(datagram)) {
            (0..=3, _) => self.handle_answer(datagram),
            (20..=63, _) => {
                self.time_out(now);
                if self.dtls.handle_packet(datagram).is_ok() {
                    self.drain();
                }
            }
            (_, class) => self.handle_media(datagram, class),
        }
    }

    fn handle_answer(&mut self, datagram: &[u8]) {
        assert_eq!(
            datagram[datagram.len() - 32..][..4],
            [0, 8, 0, 20],
            "integrity before the fingerprint"
        );
        let mut mac =
            <Hmac<Sha1> as KeyInit>::new_from_slice(self.remote.password.as_bytes()).unwrap();
        let signed = &datagram[..datagram.len() - 32];
        let len = (datagram.len() - 20 - 8) as u16;
        [&signed[..2], &len.to_be_bytes(), &signed[4..]].iter().for_each(|part| mac.update(part));
        mac.verify_slice(&datagram[datagram.len() - 28..datagram.len() - 8]).unwrap();
        match datagram[..2] {
            [1, 1] => self.success_count += 1,
            [1, 0x11] => {
                self.error_codes.push(u16::from(datagram[26]) * 100 + u16::from(datagram[27]))
            }
            _ => panic!("neither answer nor error"),
        }
    }

    fn handle_media(&mut self, datagram: &[u8], class: Class) {
        // Media may overtake the end of the handshake.
        let Some((inbound, _)) = &mut self.keys else { return self.refused_count += 1 };
        let mut packet = datagram.to_vec();
        let opened = match class {
            Class::Rtp => inbound.unprotect_rtp(&mut packet, datagram.len()),
            _ => inbound.unprotect_rtcp(&mut packet, datagram.len()),
        };
        match (opened, class) {
            (Ok(len), Class::Rtp) => {
                let parsed = rtp::parse(&packet[..len]).unwrap();
                self.heard.push(packet[parsed.payload_start..][..parsed.payload_len].to_vec());
            }
            (Ok(_), _) => self.rtcp_count += 1,
            (Err(_), _) => self.refused_count += 1,
        }
    }

    fn drain(&mut self) {
        let mut record = [0; 4096];
        loop {
            match self.dtls.poll_output(&mut record) {
                Output::Packet(datagram) => self.sent.push_back(datagram.to_vec()),
                Output::PeerCert(certificate) => self.server = Some(Fingerprint::of(certificate)),
                Output::KeyingMaterial(material, profile) => {
                    assert_eq!(
                        self.server.unwrap().to_string(),
                        self.remote.fingerprint,
                        "the server's certificate"
                    );
                    self.keys = Some(contexts(&material, profile));
                    self.profile = Some(profile);
                }
                Output::Timeout(due) => return self.dtls_due = due,
                _ => {}
            }
        }
    }

    /// Sends 20 ms of audio, of Opus if it speaks that, or nothing before there are keys.
    pub fn speak(&mut self, payload: &[u8]) {
        let Some(packet) = self.voice(payload) else { return };
        self.sent.push_back(packet);
    }

    /// The next protected packet of audio.
    pub fn voice(&mut self, payload: &[u8]) -> Option<Vec<u8>> {
        let (_, outbound) = self.keys.as_mut()?;
        self.sequence = self.sequence.wrapping_add(1);
        let (number, step) = if self.speaks_opus { (111, 960) } else { (0, 160) };
        let timestamp = u32::from(self.sequence).wrapping_mul(step);
        let payload_type = PayloadType::new(number).unwrap();
        let header = Header {
            payload_type,
            marker: false,
            sequence: self.sequence,
            timestamp,
            ssrc: Ssrc(0xdead_beef),
        };
        let mut packet = vec![0; 12 + payload.len() + 16];
        let len = header.write(payload, &mut packet).unwrap();
        let len = outbound.protect_rtp(&mut packet, len).unwrap();
        packet.truncate(len);
        Some(packet)
    }

    /// A receiver report, protected.
    pub fn report(&mut self) -> Vec<u8> {
        let (_, outbound) = self.keys.as_mut().unwrap();
        let mut packet = [
            &[0x80, 201, 0, 1, 0xde, 0xad, 0xbe, 0xef, 0x81, 202, 0, 2][..],
            &[0xde, 0xad, 0xbe, 0xef, 1, 1, b'x', 0],
        ]
        .concat();
        let len = packet.len();
        packet.resize(len + 20, 0);
        let len = outbound.protect_rtcp(&mut packet, len).unwrap();
        packet.truncate(len);
        packet
    }

    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.sent.pop_front()
    }
}

/// RFC 5764 §4.2, seen from the client.
fn contexts(material: &[u8], profile: SrtpProfile) -> (Inbound, Outbound) {
    let suite = match profile {
        SrtpProfile::AEAD_AES_256_GCM => Suite::AeadAes256Gcm,
        SrtpProfile::AEAD_AES_128_GCM => Suite::AeadAes128Gcm,
        _ => Suite::AesCm128HmacSha1_80,
    };
    let (keys, salts) = material.split_at(2 * suite.key_len());
    let part = |at: usize| {
        let (key, salt) = (
            &keys[at * suite.key_len()..][..suite.key_len()],
            &salts[at * suite.salt_len()..][..suite.salt_len()],
        );
        Keys::new(suite, &[key, salt].concat()).unwrap()
    };
    (Inbound::new(&part(1)), Outbound::new(&part(0)))
}
