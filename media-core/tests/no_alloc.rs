//! The packet path allocates nothing, whatever comes in: counted by the allocator itself.

#[allow(dead_code, reason = "the softphone's own tests need more of it")]
#[path = "softphone/client.rs"]
mod client;
#[path = "relay/pair.rs"]
mod pair;
#[path = "relay/remote.rs"]
mod remote;

use std::alloc::{GlobalAlloc, System};
use std::cell::Cell;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use media_core::codec::{Codec, Format, FormatMap, PayloadType};
use media_core::relay::{
    self, Forward, LegId, Output, Relay, RelayConfig, RemoteMedia, SocketId, TAIL_ROOM,
    WebRtcConfig,
};
use media_core::rtp::{Header, Ssrc};
use media_core::sdp::webrtc::{SoftphoneOffer, accept_answer, offer};
use media_core::sdp::{Direction, Origin};
use media_core::srtp::{Inbound, Keys, Outbound, SrtpKeys, Suite};
use pair::{bridge, record};
use remote::remote;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system allocator unchanged; the counter is a plain integer without
// destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: std::alloc::Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: std::alloc::Layout) {
        // SAFETY: the caller keeps `dealloc`'s contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[track_caller]
fn check<T>(work: impl FnOnce() -> T) -> T {
    let before = ALLOCATIONS.with(Cell::get);
    let result = work();
    assert_eq!(ALLOCATIONS.with(Cell::get) - before, 0, "allocations");
    result
}

#[expect(clippy::disallowed_methods, reason = "an Instant cannot be made otherwise")]
fn start() -> Instant {
    Instant::now()
}

/// A peer at this address, by plain RTP or by SRTP.
fn remote_with(rtp: SocketAddr, suite: Option<Suite>) -> RemoteMedia {
    let keys =
        |suite: Suite, fill: u8| Keys::new(suite, &vec![fill; suite.material_len()]).unwrap();
    remote(
        rtp,
        suite.map(|suite| SrtpKeys {
            outbound: keys(suite, 1),
            inbound: keys(suite, 2),
            mki: None,
        }),
    )
}

struct Rig {
    now: Instant,
    relay: Relay,
    legs: [LegId; 2],
    peers: [SocketAddr; 2],
    buffer: [u8; 2048],
}

impl Rig {
    fn new(suite: Option<Suite>) -> Rig {
        let now = start();
        let config = RelayConfig {
            public_addresses: vec!["127.0.0.1".parse().unwrap()],
            first_port: 10_000,
            pair_count: 4,
            quarantine: Duration::from_secs(1),
            own_sockets: Vec::new(),
            opus_legs: 8,
            webrtc: None,
        };
        let mut relay = Relay::new(config, 1, now);
        let peers = ["127.0.0.1:4000".parse().unwrap(), "127.0.0.1:5000".parse().unwrap()];
        let legs = [relay.open_leg(now).unwrap(), relay.open_leg(now).unwrap()];
        relay.set_remote(now, legs[0], remote_with(peers[0], None));
        relay.set_remote(now, legs[1], remote_with(peers[1], suite));
        bridge(&mut relay, now, legs[0], legs[1]);
        record(&mut relay, now, legs[0], legs[1]).unwrap();
        Rig { now, relay, legs, peers, buffer: [0; 2048] }
    }

    /// Forwards a datagram from one party; nothing may be allocated.
    #[track_caller]
    fn forward(&mut self, party: usize, datagram: &[u8]) -> Forward {
        self.buffer[..datagram.len()].copy_from_slice(datagram);
        let (now, socket, source) =
            (self.now, SocketId(self.legs[party].index * 2), self.peers[party]);
        let Rig { relay, buffer, .. } = self;
        check(|| {
            relay.expect(std::iter::once((socket, source)));
            relay.forward(now, socket, source, buffer, datagram.len())
        })
    }
}

fn voice(n: u32, payload_type: u8) -> Vec<u8> {
    let mut datagram = vec![0; 172];
    let header = Header {
        payload_type: PayloadType::new(payload_type).unwrap(),
        marker: false,
        sequence: n as u16,
        timestamp: n * 160,
        ssrc: Ssrc(7),
    };
    header.write(&[0x55; 160], &mut datagram).unwrap();
    datagram
}

#[test]
fn transcoding_wideband_allocates_nothing() {
    let mut rig = Rig::new(None);
    let g722 = PayloadType::new(9).unwrap();
    let narrow = remote_with(rig.peers[0], None);
    let mut received = narrow.received;
    received.add(g722, Format::Audio(Codec::G722));
    let wide = RemoteMedia { codec: Codec::G722, audio: g722, received, ..narrow };
    rig.relay.set_remote(rig.now, rig.legs[0], wide);
    for n in 0..50 {
        rig.now += Duration::from_millis(20);
        for (party, payload_type) in [(0, 9), (1, 0)] {
            let forward = rig.forward(party, &voice(n, payload_type));
            assert!(matches!(forward, Forward::To { len: 172, .. }), "{forward:?}");
        }
    }
}

/// libopus has its memory from the negotiation on; the allocator that counts is Rust's.
#[test]
fn transcoding_opus_allocates_nothing() {
    let mut rig = Rig::new(None);
    let opus = PayloadType::new(111).unwrap();
    let narrow = remote_with(rig.peers[0], None);
    let mut received = narrow.received;
    received.add(opus, Format::Audio(Codec::Opus));
    let remote = RemoteMedia { codec: Codec::Opus, audio: opus, received, ..narrow };
    assert!(rig.relay.admit_opus(rig.legs[0]));
    rig.relay.set_remote(rig.now, rig.legs[0], remote);
    let mut encoded = Vec::new();
    for n in 0..50 {
        rig.now += Duration::from_millis(20);
        let forward = rig.forward(1, &voice(n, 0));
        let Forward::To { start, len, .. } = forward else { panic!("{forward:?}") };
        encoded.push(rig.buffer[start..start + len].to_vec());
    }
    // Two are lost, and made up for, with which the queue gets its first memory.
    encoded.remove(10);
    encoded.remove(20);
    for (at, datagram) in encoded.iter().enumerate() {
        rig.now += Duration::from_millis(20);
        if at == 10 {
            rig.buffer[..datagram.len()].copy_from_slice(datagram);
            let (socket, source) = (SocketId(rig.legs[0].index * 2), rig.peers[0]);
            rig.relay.forward(rig.now, socket, source, &mut rig.buffer, datagram.len());
        } else {
            let forward = rig.forward(0, datagram);
            assert!(matches!(forward, Forward::To { len: 172, .. }) || at == 20, "{forward:?}");
        }
        while rig.relay.poll_output().is_some() {}
    }
}

#[test]
fn forwarding_allocates_nothing() {
    for suite in [None, Some(Suite::AeadAes128Gcm), Some(Suite::AesCm128HmacSha1_80)] {
        let mut rig = Rig::new(suite);
        let mut sealer = suite
            .map(|suite| Outbound::new(&Keys::new(suite, &vec![2; suite.material_len()]).unwrap()));
        let mut opener = suite
            .map(|suite| Inbound::new(&Keys::new(suite, &vec![1; suite.material_len()]).unwrap()));
        for n in 0..500 {
            // The other law, comfort noise and keys beside the audio come in between.
            let mut press = voice(n, 101);
            press[8..16].copy_from_slice(&[9, 9, 9, 9, 5, 0x80, 0, 160]);
            rig.forward(0, &press);
            assert_eq!(rig.forward(0, &voice(2 * n + 1, 13)), Forward::Local);
            let Forward::To { start, len, .. } =
                rig.forward(0, &voice(2 * n + 2, if n % 3 == 0 { 8 } else { 0 }))
            else {
                panic!()
            };
            if let Some(opener) = &mut opener {
                opener.unprotect_rtp(&mut rig.buffer[start..start + len], len).unwrap();
            }
            let mut back = voice(n, 0);
            if let Some(sealer) = &mut sealer {
                back.resize(172 + TAIL_ROOM, 0);
                let len = sealer.protect_rtp(&mut back, 172).unwrap();
                back.truncate(len);
            }
            assert!(matches!(rig.forward(1, &back), Forward::To { .. }));
            rig.now += Duration::from_millis(20);
            rig.relay.handle_timeout(rig.now);
            while rig.relay.poll_output().is_some() {}
        }
    }
}

#[test]
fn refusals_and_full_queues_allocate_nothing() {
    let mut rig = Rig::new(None);
    // Nobody takes outputs or events: each packet is a new key press, then a new source.
    for n in 0..2000u32 {
        let mut press = voice(n, 101);
        press[12..16].copy_from_slice(&[1, 0x80, 0, 160]);
        rig.forward(0, &press);
        press[8..12].copy_from_slice(&n.to_be_bytes());
        rig.forward(0, &press);
    }
    for datagram in [
        &[][..],
        &[0x80],
        &[0; 40],
        &[0x80, 200, 0, 1],
        &[0x80, 201, 0, 1, 0, 0, 0, 9],
        &[0xff; 1400],
        &[0x9f; 172],
    ] {
        rig.forward(0, datagram);
        rig.forward(1, datagram);
    }
    rig.peers[0] = "192.0.2.1:1".parse().unwrap();
    assert!(matches!(rig.forward(0, &voice(1, 0)), Forward::Drop(_)));
}

/// Three parties in a mix, one protected, one listener beside, and all recorded: neither packets,
/// keys nor ticks allocate.
#[test]
fn a_mix_allocates_nothing() {
    let mut rig = Rig::new(None);
    let third = rig.relay.open_leg(rig.now).unwrap();
    let listener = rig.relay.open_leg(rig.now).unwrap();
    let peers = ["127.0.0.1:6000".parse().unwrap(), "127.0.0.1:7000".parse().unwrap()];
    rig.relay.set_remote(rig.now, third, remote_with(peers[0], None));
    rig.relay.set_remote(rig.now, listener, remote_with(peers[1], Some(Suite::AeadAes128Gcm)));
    let parties = [(rig.legs[0], rig.peers[0]), (rig.legs[1], rig.peers[1]), (third, peers[0])];
    for leg in [rig.legs[0], rig.legs[1], third, listener] {
        rig.relay.set_hearing(rig.now, leg, &[rig.legs[0], rig.legs[1], third]);
    }
    let mut sent = 0;
    for n in 0..500 {
        for (leg, source) in parties {
            let mut datagram = voice(n, if n % 50 == 49 { 101 } else { 0 });
            datagram[12..16].copy_from_slice(&[1, 0x80, 0, 160]);
            rig.buffer[..172].copy_from_slice(&datagram);
            let Rig { relay, buffer, now, .. } = &mut rig;
            assert_eq!(
                check(|| relay.forward(*now, SocketId(leg.index * 2), source, buffer, 172)),
                Forward::Local
            );
        }
        rig.now += Duration::from_millis(20);
        let Rig { relay, now, .. } = &mut rig;
        let mut tick = || {
            relay.handle_timeout(*now);
            while let Some(output) = relay.poll_output() {
                sent += u32::from(matches!(output, Output::Transmit { .. }));
            }
            while relay.poll_event().is_some() {}
        };
        // The first recordings and packets make the output's buffer as large as it has to be.
        if n < 100 { tick() } else { check(tick) }
    }
    assert!(sent > 500 * 4 * 9 / 10, "{sent}");
}

/// A relay whose first leg is a softphone that is connected, bridged and recorded.
fn softphone_rig() -> (Rig, client::Client) {
    let mut rig = Rig::new(None);
    let config = RelayConfig {
        public_addresses: vec!["127.0.0.1".parse().unwrap()],
        first_port: 10_000,
        pair_count: 4,
        quarantine: Duration::from_secs(1),
        own_sockets: Vec::new(),
        opus_legs: 0,
        webrtc: Some(WebRtcConfig { port: 9_000, capacity: 4, secret: [3; 32] }),
    };
    rig.relay = Relay::new(config, 1, rig.now);
    rig.legs = [rig.relay.open_softphone(rig.now).unwrap(), rig.relay.open_leg(rig.now).unwrap()];
    rig.relay.set_remote(rig.now, rig.legs[1], remote_with(rig.peers[1], None));
    let mut client = client::Client::new(rig.now, client::Version::Dtls12);
    let spec = SoftphoneOffer {
        local: rig.relay.softphone_local(rig.legs[0]).unwrap(),
        origin: Origin { id: 1, version: 1 },
        codecs: vec![Codec::Pcmu],
        telephone_event: PayloadType::new(101),
        opus_event: None,
        direction: Direction::SendRecv,
        known: FormatMap::default(),
    };
    client.set_remote(rig.now, &offer(&spec));
    let negotiated =
        accept_answer(&spec, client.description("active", "sendrecv").as_bytes()).unwrap();
    rig.relay.set_softphone_remote(rig.now, rig.legs[0], negotiated);
    bridge(&mut rig.relay, rig.now, rig.legs[0], rig.legs[1]);
    record(&mut rig.relay, rig.now, rig.legs[0], rig.legs[1]).unwrap();
    while !client.is_connected() {
        rig.now += Duration::from_millis(20);
        rig.relay.handle_timeout(rig.now);
        client.handle_timeout(rig.now);
        while let Some(datagram) = client.poll_transmit() {
            rig.buffer[..datagram.len()].copy_from_slice(&datagram);
            let forward = rig.relay.forward(
                rig.now,
                SocketId::WEBRTC,
                rig.peers[0],
                &mut rig.buffer,
                datagram.len(),
            );
            if let Forward::To { start, len, .. } = forward {
                client.handle_datagram(rig.now, &rig.buffer[start..start + len]);
            }
        }
        while let Some(output) = rig.relay.poll_output() {
            if let Output::Transmit { socket: SocketId::WEBRTC, bytes, .. } = output {
                client.handle_datagram(rig.now, bytes);
            }
        }
    }
    (rig, client)
}

#[test]
fn softphones_media_and_checks_allocate_nothing() {
    let (mut rig, mut client) = softphone_rig();
    let source = rig.peers[0];
    for n in 0..500 {
        let voice_of_agent = client.voice(&[0x55; 160]).unwrap();
        rig.buffer[..voice_of_agent.len()].copy_from_slice(&voice_of_agent);
        let Rig { relay, buffer, now, .. } = &mut rig;
        let forward =
            check(|| relay.forward(*now, SocketId::WEBRTC, source, buffer, voice_of_agent.len()));
        assert!(matches!(forward, Forward::To { .. }), "{forward:?}");
        assert!(matches!(
            rig.forward(1, &voice(n, 0)),
            Forward::To { socket: SocketId::WEBRTC, .. }
        ));
        // Checks of the known address, and of new ones that come and go.
        let address =
            SocketAddr::new(source.ip(), if n % 2 == 0 { source.port() } else { 1_000 + n as u16 });
        for datagram in [client.check(n % 2 == 0), client.report(), vec![1; 40], vec![0x80; 50]] {
            rig.buffer[..datagram.len()].copy_from_slice(&datagram);
            let Rig { relay, buffer, now, .. } = &mut rig;
            check(|| relay.forward(*now, SocketId::WEBRTC, address, buffer, datagram.len()));
        }
        rig.now += Duration::from_millis(20);
        rig.relay.handle_timeout(rig.now);
        while rig.relay.poll_output().is_some() {}
    }
}
