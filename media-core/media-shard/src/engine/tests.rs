//! The engine on real loopback sockets.

use super::*;
use media_core::relay::BURST_LEN;
use std::net::Ipv4Addr;

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const PATIENCE: Duration = Duration::from_secs(5);

/// An engine on ports that nobody else of this machine's tests uses at the moment.
fn engine(pair_count: u16) -> (Engine, u16) {
    engine_with(pair_count, None)
}

fn engine_with(pair_count: u16, webrtc: Option<SocketAddr>) -> (Engine, u16) {
    for first_port in (41_000..60_000).step_by(128) {
        let config = EngineConfig {
            sip: vec![SocketAddr::new(LOCALHOST, 0)],
            sip_is_shared: false,
            media_addresses: vec![LOCALHOST],
            first_port,
            pair_count,
            webrtc,
        };
        if let Ok(engine) = Engine::open(&config) {
            return (engine, first_port);
        }
    }
    panic!("no free ports");
}

fn phone() -> UdpSocket {
    let phone = UdpSocket::bind((LOCALHOST, 0)).unwrap();
    phone.set_read_timeout(Some(PATIENCE)).unwrap();
    phone
}

/// What the batch holds: messages of SIP (`None`), and datagrams of media sockets.
type Batch = Vec<(Option<SocketId>, SocketAddr, Vec<u8>)>;

/// Takes the whole batch.
fn take(engine: &mut Engine) -> Batch {
    let mut batch = Batch::new();
    while let Some(received) = engine.receive() {
        match received {
            Received::Sip { remote, len, .. } => {
                batch.push((None, remote, engine.sip_message(len).to_vec()))
            }
            Received::Rung => panic!("there is no bell"),
            Received::Burst => engine.relay_burst(|socket, remote, buffer, len| {
                batch.push((Some(socket), remote, buffer[..len].to_vec()));
                Forward::Local
            }),
        }
    }
    batch
}

#[track_caller]
fn receive(engine: &mut Engine) -> Batch {
    assert!(engine.wait(PATIENCE), "nothing came");
    take(engine)
}

/// Opens a socket and connects it to its peer.
fn connect(engine: &mut Engine, socket: SocketId, peer: &UdpSocket) {
    engine.open_socket(socket);
    engine.connect(socket, peer.local_addr().unwrap());
    // Reads the queue from before the connect, until it is empty.
    peer.send_to(b"first", (LOCALHOST, media_port(engine, socket))).unwrap();
    assert_eq!(receive(engine).len(), 1);
}

fn media_port(engine: &Engine, socket: SocketId) -> u16 {
    engine.media.get(socket).unwrap().socket.local_addr().unwrap().port()
}

#[test]
fn hears_sip_and_only_the_sockets_in_use() {
    let (mut engine, first_port) = engine(1);
    let phone = phone();
    let address = phone.local_addr().unwrap();
    phone.send_to(b"stray", (LOCALHOST, first_port)).unwrap();
    phone.send_to(b"OPTIONS", engine.sip_addresses().unwrap()[0]).unwrap();
    assert_eq!(receive(&mut engine), [(None, address, b"OPTIONS".to_vec())]);
    assert!(!engine.wait(Duration::ZERO), "a socket that is not in use is not read");

    engine.open_socket(SocketId(0));
    phone.send_to(b"voice", (LOCALHOST, first_port)).unwrap();
    assert_eq!(receive(&mut engine), [(Some(SocketId(0)), address, b"voice".to_vec())]);
    assert_eq!(engine.counters().discarded, 1);
    engine.send(SocketId(1), address, b"report");
    engine.send_sip(0, address, b"SIP/2.0");
    let mut bytes = [0; 16];
    for expected in [
        (b"report".as_slice(), first_port + 1),
        (b"SIP/2.0", engine.sip_addresses().unwrap()[0].port()),
    ] {
        let (len, from) = phone.recv_from(&mut bytes).unwrap();
        assert_eq!((&bytes[..len], from.port()), expected);
    }
    assert_eq!(engine.counters().sent, 2);
}

#[test]
fn a_connected_socket_hears_its_peer_alone_until_released() {
    let (mut engine, first_port) = engine(1);
    let (peer, stranger) = (phone(), phone());
    let (peer_address, stranger_address) =
        (peer.local_addr().unwrap(), stranger.local_addr().unwrap());
    engine.open_socket(SocketId(0));
    // Queued before the connect: each keeps its own source.
    stranger.send_to(b"early stranger", (LOCALHOST, first_port)).unwrap();
    peer.send_to(b"early peer", (LOCALHOST, first_port)).unwrap();
    engine.connect(SocketId(0), peer_address);
    stranger.send_to(b"late stranger", (LOCALHOST, first_port)).unwrap();
    let sources: Vec<_> = receive(&mut engine).into_iter().map(|(_, source, _)| source).collect();
    assert_eq!(sources, [stranger_address, peer_address]);
    peer.send_to(b"late peer", (LOCALHOST, first_port)).unwrap();
    assert_eq!(receive(&mut engine), [(Some(SocketId(0)), peer_address, b"late peer".to_vec())]);
    engine.send(SocketId(0), peer_address, b"to peer");
    engine.send(SocketId(0), stranger_address, b"to stranger");
    let mut bytes = [0; 16];
    assert_eq!(peer.recv(&mut bytes).unwrap(), 7);
    assert_eq!(stranger.recv(&mut bytes).unwrap(), 11);

    peer.send_to(b"too late", (LOCALHOST, first_port)).unwrap();
    engine.release(SocketId(0));
    stranger.send_to(b"between calls", (LOCALHOST, first_port)).unwrap();
    engine.open_socket(SocketId(0));
    assert!(!engine.wait(Duration::ZERO), "nothing of an old call reaches a new one");
    assert_eq!(engine.counters().discarded, 2);
    stranger.send_to(b"new call", (LOCALHOST, first_port)).unwrap();
    assert_eq!(receive(&mut engine), [(Some(SocketId(0)), stranger_address, b"new call".to_vec())]);
}

#[test]
fn a_taken_port_is_named() {
    let holder = phone();
    let address = holder.local_addr().unwrap();
    let config = EngineConfig {
        sip: vec![address],
        sip_is_shared: false,
        media_addresses: vec![LOCALHOST],
        first_port: 1024,
        pair_count: 0,
        webrtc: None,
    };
    let error = Engine::open(&config).err().expect("the port is taken").to_string();
    assert!(error.starts_with(&format!("cannot bind UDP {address}: ")), "{error}");
}

#[test]
fn a_batch_brings_many_sip_messages_but_not_all_of_a_flood() {
    let (mut engine, _) = engine(1);
    let phone = phone();
    for _ in 0..SIP_BATCH_LEN + 8 {
        phone.send_to(b"OPTIONS", engine.sip_addresses().unwrap()[0]).unwrap();
    }
    for expected in [SIP_BATCH_LEN, 8] {
        assert!(engine.wait(PATIENCE), "nothing came");
        assert_eq!(take(&mut engine).len() as u32, expected);
    }
}

#[test]
fn the_softphones_socket_is_read_in_batches_that_leave_the_others_their_turn() {
    let (mut engine, _) = engine_with(0, Some(SocketAddr::new(LOCALHOST, 0)));
    let webrtc = engine.webrtc_address().unwrap().unwrap();
    let phone = phone();
    let address = phone.local_addr().unwrap();
    let count = WEBRTC_BATCH_LEN + 20;
    (0..count).for_each(|_| assert_eq!(phone.send_to(b"check", webrtc).unwrap(), 5));
    phone.send_to(b"OPTIONS", engine.sip_addresses().unwrap()[0]).unwrap();
    let mut batches = Vec::new();
    while engine.wait(Duration::ZERO) {
        let batch = take(&mut engine);
        assert!(batch.iter().all(|(_, source, _)| *source == address));
        batches.push((batch.iter().filter(|(socket, _, _)| socket.is_none()).count(), batch.len()));
    }
    assert_eq!(batches, [(1, WEBRTC_BATCH_LEN + 1), (0, 20)]);
    engine.send(SocketId::WEBRTC, address, b"answer");
    let mut bytes = [0; 16];
    let (len, from) = phone.recv_from(&mut bytes).unwrap();
    assert_eq!((&bytes[..len], from), (&b"answer"[..], webrtc));
    assert_eq!(engine.counters().sent, 1);
}

#[test]
fn softphones_are_told_apart_by_their_addresses_beside_phones() {
    let (mut engine, _) = engine_with(1, Some(SocketAddr::new(LOCALHOST, 0)));
    let webrtc = engine.webrtc_address().unwrap().unwrap();
    let phone = phone();
    connect(&mut engine, SocketId(0), &phone);
    let softphones: Vec<_> = (0..40).map(|_| UdpSocket::bind((LOCALHOST, 0)).unwrap()).collect();
    for round in 0..3 {
        let mut expected = Vec::new();
        // Fewer and fewer, so that more are asked for than there are.
        for softphone in &softphones[..40 - round * 15] {
            let address = softphone.local_addr().unwrap();
            for n in 0..2 {
                let datagram = format!("{n} of {address}").into_bytes();
                softphone.send_to(&datagram, webrtc).unwrap();
                expected.push((Some(SocketId::WEBRTC), address, datagram));
            }
        }
        phone.send_to(b"voice", (LOCALHOST, media_port(&engine, SocketId(0)))).unwrap();
        let mut batch = receive(&mut engine);
        let voice = batch
            .iter()
            .position(|(socket, ..)| *socket == Some(SocketId(0)))
            .expect("the phone's datagram");
        assert_eq!(
            batch.remove(voice),
            (Some(SocketId(0)), phone.local_addr().unwrap(), b"voice".to_vec())
        );
        assert_eq!(batch, expected, "round {round}");
    }
    softphones[0].send_to(b"alone", webrtc).unwrap();
    assert!(engine.wait(PATIENCE));
    assert_eq!(
        (engine.receive(), engine.receive()),
        (Some(Received::Burst), None),
        "nobody asks again who got less than it asked for"
    );
}

#[test]
fn a_burst_is_relayed_in_place_from_connected_and_other_sockets() {
    let pair_count = BURST_LEN as u16;
    let (mut engine, _) = engine(pair_count);
    let (phone, third) = (phone(), phone());
    let (address, other) = (phone.local_addr().unwrap(), third.local_addr().unwrap());
    let sockets: Vec<_> = (0..u32::from(pair_count) * 2).map(SocketId).collect();
    sockets.iter().for_each(|socket| connect(&mut engine, *socket, &phone));
    let before = engine.counters();
    for socket in &sockets {
        let datagram = [b"<<", socket.0.to_be_bytes().as_slice(), b">>"].concat();
        phone.send_to(&datagram, (LOCALHOST, media_port(&engine, *socket))).unwrap();
    }
    assert!(engine.wait(PATIENCE));
    let mut bursts = Vec::new();
    while engine.receive() == Some(Received::Burst) {
        let mut count = 0;
        engine.relay_burst(|socket, remote, buffer, len| {
            count += 1;
            assert_eq!((remote, len), (address, 8));
            assert_eq!(buffer[2..6], socket.0.to_be_bytes());
            buffer[8..16].copy_from_slice(b"trailing");
            match socket.0 {
                0 => Forward::Drop(media_core::drops::DropReason::NotRtp),
                // Whom the socket is not connected to, as before the latch.
                1 => Forward::To { socket, remote: other, start: 2, len: 6 },
                _ => Forward::To { socket: SocketId(socket.0 ^ 1), remote, start: 2, len: 14 },
            }
        });
        bursts.push(count);
    }
    assert_eq!(bursts, [BURST_LEN; 2]);
    let mut bytes = [0; 32];
    assert_eq!(third.recv(&mut bytes).unwrap(), 6);
    assert_eq!(&bytes[..6], [&1u32.to_be_bytes()[..], b">>"].concat());
    let from = |socket| SocketAddr::new(LOCALHOST, media_port(&engine, socket));
    let mut heard: Vec<_> = (2..sockets.len())
        .map(|_| {
            let (len, source) = phone.recv_from(&mut bytes).unwrap();
            let socket = SocketId(u32::from_be_bytes(*bytes.first_chunk().unwrap()));
            assert_eq!(
                (&bytes[4..len], source),
                (&b">>trailing"[..], from(SocketId(socket.0 ^ 1)))
            );
            socket.0
        })
        .collect();
    heard.sort_unstable();
    assert_eq!(heard, Vec::from_iter(2..sockets.len() as u32));
    let counters = engine.counters();
    assert_eq!(counters.received - before.received, sockets.len() as u64);
    assert_eq!(counters.sent - before.sent, sockets.len() as u64 - 1);
    assert_eq!(
        (counters.receive_failed, counters.send_failed, counters.send_would_block),
        (0, 0, 0)
    );
}

#[test]
fn a_burst_goes_from_a_phone_to_a_softphone_and_back() {
    let (mut engine, _) = engine_with(1, Some(SocketAddr::new(LOCALHOST, 0)));
    let (phone, softphone) = (phone(), phone());
    let (address, softphone_address) =
        (phone.local_addr().unwrap(), softphone.local_addr().unwrap());
    let webrtc = engine.webrtc_address().unwrap().unwrap();
    connect(&mut engine, SocketId(0), &phone);
    phone.send_to(b"to softphone", (LOCALHOST, media_port(&engine, SocketId(0)))).unwrap();
    softphone.send_to(b"to phone", webrtc).unwrap();
    let mut relayed = 0;
    while relayed < 2 {
        assert!(engine.wait(PATIENCE), "nothing came");
        while engine.receive() == Some(Received::Burst) {
            engine.relay_burst(|socket, _, _, len| {
                relayed += 1;
                match socket {
                    SocketId::WEBRTC => {
                        Forward::To { socket: SocketId(0), remote: address, start: 0, len }
                    }
                    _ => Forward::To {
                        socket: SocketId::WEBRTC,
                        remote: softphone_address,
                        start: 0,
                        len,
                    },
                }
            });
        }
    }
    let mut bytes = [0; 16];
    let (len, source) = softphone.recv_from(&mut bytes).unwrap();
    assert_eq!((&bytes[..len], source), (&b"to softphone"[..], webrtc));
    assert_eq!(phone.recv(&mut bytes).unwrap(), 8);
    assert_eq!(&bytes[..8], b"to phone");
    assert_eq!(engine.counters().sent, 2);
}

#[test]
fn a_long_datagram_arrives_cut_and_too_long_for_the_relay() {
    let (mut engine, _) = engine(1);
    let phone = phone();
    connect(&mut engine, SocketId(0), &phone);
    phone.send_to(&[7; 9000], (LOCALHOST, media_port(&engine, SocketId(0)))).unwrap();
    let [(_, _, bytes)] = &receive(&mut engine)[..] else { panic!("one datagram") };
    assert!((1501..1600).contains(&bytes.len()), "{}", bytes.len());
}

#[test]
fn an_icmp_error_is_counted_and_no_datagram() {
    let (mut engine, _) = engine(1);
    let phone = phone();
    connect(&mut engine, SocketId(0), &phone);
    let address = phone.local_addr().unwrap();
    drop(phone);
    engine.send(SocketId(0), address, b"to nobody");
    assert_eq!(receive(&mut engine), []);
    assert_eq!(engine.counters().receive_failed, 1);
}

/// A batch of so many datagrams, so long after the one before it; how long the next one is let
/// gather when this one took 300 µs.
#[track_caller]
fn check_pace(count: u64, interval_us: u64, gather_us: u64) {
    let start = Instant::now();
    let mut pace = Pace::new(start);
    let began = start + Duration::from_micros(interval_us);
    pace.begin(began, 100);
    let after = |us| pace.remaining(began + Duration::from_micros(us), 100 + count);
    assert_eq!(after(300), Duration::from_micros(gather_us), "{count} in {interval_us} µs");
    // One that took almost as long as the gathering leaves no time for a sleep.
    assert_eq!((after(801), after(2000)), (Duration::ZERO, Duration::ZERO));
}

#[test]
fn datagrams_gather_for_a_millisecond_when_they_come_fast() {
    check_pace(2, 125, 700);
    check_pace(1, 125, 0);
    check_pace(16, 1000, 700);
    check_pace(15, 1000, 0);
    check_pace(50, 1000, 700);
    check_pace(50, 20_000, 0);
    check_pace(0, 1000, 0);
}
