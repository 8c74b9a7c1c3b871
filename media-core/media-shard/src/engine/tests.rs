//! The engine on real loopback sockets.

use super::*;
use std::net::Ipv4Addr;

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const PATIENCE: Duration = Duration::from_secs(5);

/// An engine on ports that nobody else of this machine's tests uses at the moment.
fn engine(pair_count: u16) -> (Engine, u16) {
    for first_port in (41_000..60_000).step_by(64) {
        let config =
            EngineConfig { sip: SocketAddr::new(LOCALHOST, 0), media_address: LOCALHOST, first_port, pair_count, webrtc: None };
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

#[track_caller]
fn receive(engine: &mut Engine) -> (Channel, SocketAddr, Vec<u8>) {
    assert!(engine.wait(PATIENCE), "nothing came");
    let received = engine.receive().expect("the batch holds a datagram");
    (received.channel, received.remote, engine.buffer()[..received.len].to_vec())
}

#[test]
fn hears_sip_and_only_the_sockets_in_use() {
    let (mut engine, first_port) = engine(1);
    let phone = phone();
    let address = phone.local_addr().unwrap();
    phone.send_to(b"stray", (LOCALHOST, first_port)).unwrap();
    phone.send_to(b"OPTIONS", engine.sip_address().unwrap()).unwrap();
    assert_eq!(receive(&mut engine), (Channel::Sip, address, b"OPTIONS".to_vec()));
    assert!(!engine.wait(Duration::ZERO), "a socket that is not in use is not read");

    engine.open_socket(SocketId(0));
    phone.send_to(b"voice", (LOCALHOST, first_port)).unwrap();
    assert_eq!(receive(&mut engine), (Channel::Media(SocketId(0)), address, b"voice".to_vec()));
    assert_eq!(engine.counters().discarded, 1);
    engine.send_from_buffer(SocketId(0), address, 1..5);
    engine.send(SocketId(1), address, b"report");
    engine.send_sip(address, b"SIP/2.0");
    let mut bytes = [0; 16];
    for expected in
        [(b"oice".as_slice(), first_port), (b"report", first_port + 1), (b"SIP/2.0", engine.sip_address().unwrap().port())]
    {
        let (len, from) = phone.recv_from(&mut bytes).unwrap();
        assert_eq!((&bytes[..len], from.port()), expected);
    }
    assert_eq!(engine.counters().sent, 3);
}

#[test]
fn a_connected_socket_hears_its_peer_alone_until_released() {
    let (mut engine, first_port) = engine(1);
    let (peer, stranger) = (phone(), phone());
    let (peer_address, stranger_address) = (peer.local_addr().unwrap(), stranger.local_addr().unwrap());
    engine.open_socket(SocketId(0));
    // Queued before the connect: each keeps its own source.
    stranger.send_to(b"early stranger", (LOCALHOST, first_port)).unwrap();
    peer.send_to(b"early peer", (LOCALHOST, first_port)).unwrap();
    engine.connect(SocketId(0), peer_address);
    stranger.send_to(b"late stranger", (LOCALHOST, first_port)).unwrap();
    assert_eq!(receive(&mut engine).1, stranger_address);
    assert_eq!(engine.receive().unwrap().remote, peer_address);
    assert!(engine.receive().is_none());
    peer.send_to(b"late peer", (LOCALHOST, first_port)).unwrap();
    assert_eq!(receive(&mut engine), (Channel::Media(SocketId(0)), peer_address, b"late peer".to_vec()));
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
    assert_eq!(receive(&mut engine), (Channel::Media(SocketId(0)), stranger_address, b"new call".to_vec()));
}

#[test]
fn a_taken_port_is_named() {
    let holder = phone();
    let address = holder.local_addr().unwrap();
    let config = EngineConfig { sip: address, media_address: LOCALHOST, first_port: 1024, pair_count: 0, webrtc: None };
    let error = Engine::open(&config).err().expect("the port is taken").to_string();
    assert!(error.starts_with(&format!("cannot bind UDP {address}: ")), "{error}");
}

#[test]
fn a_batch_brings_many_sip_messages_but_not_all_of_a_flood() {
    let (mut engine, _) = engine(1);
    let phone = phone();
    for _ in 0..SIP_BATCH_LEN + 8 {
        phone.send_to(b"OPTIONS", engine.sip_address().unwrap()).unwrap();
    }
    for expected in [SIP_BATCH_LEN, 8] {
        assert!(engine.wait(PATIENCE), "nothing came");
        assert_eq!(std::iter::from_fn(|| engine.receive()).count() as u32, expected);
    }
}

#[test]
fn the_softphones_socket_is_read_in_batches_that_leave_the_others_their_turn() {
    let config = EngineConfig {
        sip: SocketAddr::new(LOCALHOST, 0),
        media_address: LOCALHOST,
        first_port: 0,
        pair_count: 0,
        webrtc: Some(SocketAddr::new(LOCALHOST, 0)),
    };
    let mut engine = Engine::open(&config).unwrap();
    let webrtc = engine.webrtc_address().unwrap().unwrap();
    let phone = phone();
    let address = phone.local_addr().unwrap();
    let count = WEBRTC_BATCH_LEN + 20;
    (0..count).for_each(|_| assert_eq!(phone.send_to(b"check", webrtc).unwrap(), 5));
    phone.send_to(b"OPTIONS", engine.sip_address().unwrap()).unwrap();
    let mut batches = Vec::new();
    while engine.wait(Duration::ZERO) {
        let received: Vec<Received> = std::iter::from_fn(|| engine.receive()).collect();
        assert!(received.iter().all(|received| received.remote == address));
        let is_sip = |received: &&Received| received.channel == Channel::Sip;
        batches.push((received.iter().filter(is_sip).count(), received.len()));
    }
    assert_eq!(batches, [(1, WEBRTC_BATCH_LEN as usize + 1), (0, 20)]);
    engine.send(SocketId::WEBRTC, address, b"answer");
    let mut bytes = [0; 16];
    let (len, from) = phone.recv_from(&mut bytes).unwrap();
    assert_eq!((&bytes[..len], from), (&b"answer"[..], webrtc));
    assert_eq!(engine.counters().sent, 1);
}
