//! STUN and DTLS: datagrams at the socket of the softphones, of one whose description is known.

#[path = "../../media-core/tests/softphone/stun.rs"]
mod signing;

use media_core::codec::{Codec, FormatMap, PayloadType};
use media_core::dtls::Fingerprint;
use media_core::relay::{Forward, LegId, Relay, RelayConfig, SocketId, TAIL_ROOM, WebRtcConfig};
use media_core::sdp::Direction;
use media_core::sdp::webrtc::SoftphoneNegotiated;
use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

/// Length of a STUN header (RFC 8489 §5).
const HEADER_LEN: usize = 20;
/// Bits of a datagram's settings.
const IS_FINGERPRINTED: u8 = 1;
const IS_SIGNED: u8 = 2;
const IS_OF_ANOTHER: u8 = 4;

/// Checks, of which many get the integrity and the fingerprint that are right for them.
pub fn stun(bytes: &[u8]) {
    SHARD.with_borrow_mut(|shard| {
        let leg = shard.open();
        let password = shard.password(leg);
        for (settings, datagram) in crate::datagrams(bytes) {
            let password = (settings & IS_SIGNED != 0).then_some(&*password);
            match settings & IS_FINGERPRINTED {
                0 => shard.give(settings, datagram),
                _ => shard.give(settings, &sealed(datagram, password)),
            }
        }
        shard.close(leg);
    });
}

/// Records after a check that was right.
pub fn dtls(bytes: &[u8]) {
    SHARD.with_borrow_mut(|shard| {
        let leg = shard.open();
        let check = shard.check(leg);
        shard.give(0, &check);
        for (settings, datagram) in crate::datagrams(bytes) {
            shard.give(settings, datagram);
        }
        shard.close(leg);
    });
}

thread_local! { static SHARD: RefCell<Shard> = RefCell::new(Shard::new()); }

/// Of all inputs, since its certificate takes long to make; each has a leg of its own.
struct Shard {
    now: Instant,
    relay: Relay,
}

impl Shard {
    fn new() -> Shard {
        let now = Instant::now();
        let config = RelayConfig {
            public_addresses: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
            first_port: 10_000,
            pair_count: 1,
            quarantine: Duration::ZERO,
            own_sockets: Vec::new(),
            opus_legs: 1,
            webrtc: Some(WebRtcConfig { port: 30_000, capacity: 1, secret: [7; 32] }),
        };
        Shard { now, relay: Relay::new(config, 1, now) }
    }

    fn open(&mut self) -> LegId {
        let leg = self.relay.open_softphone(self.now).expect("a place for it");
        let remote = SoftphoneNegotiated {
            ufrag: "peer".into(),
            fingerprint: Fingerprint::of(b"a certificate"),
            codec: Codec::Pcmu,
            audio: PayloadType::new(0).expect("7 bits"),
            telephone_event: None,
            received: FormatMap::default(),
            direction: Direction::SendRecv,
        };
        self.relay.set_softphone_remote(self.now, leg, remote);
        leg
    }

    fn password(&self, leg: LegId) -> String {
        let local = self.relay.softphone_local(leg).expect("a softphone's leg");
        local.ice.password().to_owned()
    }

    /// A check that chooses the way.
    fn check(&self, leg: LegId) -> Vec<u8> {
        let local = self.relay.softphone_local(leg).expect("a softphone's leg");
        let username = format!("{}:peer", local.ice.ufrag());
        let mut message = [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[5; 12]].concat();
        signing::attribute(&mut message, 0x0006, username.as_bytes());
        signing::attribute(&mut message, 0x0025, &[]);
        sealed(&message, Some(local.ice.password()))
    }

    /// No answer is longer than what asked for it, but for the answer to a check.
    fn give(&mut self, settings: u8, datagram: &[u8]) {
        let port = if settings & IS_OF_ANOTHER == 0 { 51_000 } else { 51_001 };
        let source = SocketAddr::new(Ipv4Addr::new(192, 0, 2, 1).into(), port);
        self.now += Duration::from_millis(u64::from(settings >> 3));
        self.relay.handle_timeout(self.now);
        let mut buffer = [datagram, &[0; TAIL_ROOM]].concat();
        let forward =
            self.relay.forward(self.now, SocketId::WEBRTC, source, &mut buffer, datagram.len());
        if let Forward::To { remote, .. } = forward {
            assert_eq!(remote, source, "nobody else hears of it");
        }
        self.drain();
    }

    fn close(&mut self, leg: LegId) {
        self.relay.close_leg(self.now, leg);
        self.now += Duration::from_secs(60);
        self.relay.handle_timeout(self.now);
        self.drain();
    }

    fn drain(&mut self) {
        while self.relay.poll_output().is_some() {}
        while self.relay.poll_event().is_some() {}
    }
}

/// A message with the fingerprint, and before it with the integrity of this password, that are
/// right for its bytes.
fn sealed(message: &[u8], password: Option<&str>) -> Vec<u8> {
    let mut message = message.to_vec();
    message.resize(message.len().next_multiple_of(4).max(HEADER_LEN), 0);
    match password {
        Some(password) => signing::sign(message, password),
        None => signing::fingerprint(message),
    }
}
