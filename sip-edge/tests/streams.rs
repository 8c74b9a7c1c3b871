//! SIP over TCP: messages are cut from the stream, sent on the connection they belong to, and
//! failures name their flow. Of WebSockets: a peer that does not read is cut off.

use glommio::timer::sleep;
use glommio::{LocalExecutorBuilder, Placement};
use media_shard::signal::Signal;
use sip_core::flow::{Flow, Transport};
use sip_edge::transport::{
    Pace, Security, StreamConfig, StreamEvent, StreamLimits, Streams, WebSocketConfig,
    WebSocketLimits, WebSockets,
};
use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tungstenite::WebSocket;
use tungstenite::client::IntoClientRequest;
use tungstenite::http::HeaderValue;

const MESSAGE: &[u8] = b"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: 2\r\n\r\nhi";

#[derive(Debug, Clone, PartialEq)]
enum Seen {
    Message(Flow, Vec<u8>),
    Failed(Flow),
}

/// The turns of a shard whose media take theirs at once; how many they had.
fn pace() -> (Pace, Rc<Cell<u64>>) {
    let (wanted, turns) = (Rc::<Signal>::default(), Rc::<Cell<u64>>::default());
    let pace = Pace::new(wanted.clone());
    let (renewed, counted) = (pace.clone(), turns.clone());
    glommio::spawn_local(async move {
        loop {
            wanted.wait().await;
            while renewed.is_wanted() {
                counted.set(counted.get() + 1);
                renewed.renew();
                futures_lite::future::yield_now().await;
            }
        }
    })
    .detach();
    (pace, turns)
}

struct Rig {
    streams: Streams,
    seen: Rc<RefCell<Vec<Seen>>>,
    local: SocketAddr,
}

fn limits() -> StreamLimits {
    StreamLimits::new(Duration::from_secs(60))
}

/// Free now, and nobody else of this machine's tests asks for it by number.
fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

impl Rig {
    fn new(max_connections: usize) -> Self {
        Self::with_limits(max_connections, limits())
    }

    fn with_limits(max_connections: usize, limits: StreamLimits) -> Self {
        let local = free_address();
        let seen = Rc::<RefCell<Vec<Seen>>>::default();
        let told = seen.clone();
        let config = StreamConfig {
            local,
            interface: 0,
            shard: 0,
            max_connections,
            max_per_address: 2,
            limits,
        };
        let streams = Streams::new(config, None, pace().0, move |event| {
            told.borrow_mut().push(match event {
                StreamEvent::Message { flow, bytes } => Seen::Message(flow, bytes.to_vec()),
                StreamEvent::Failed { flow, .. } => Seen::Failed(flow),
                StreamEvent::Settled { .. } => {
                    panic!("TCP connections have business when they have messages")
                }
            });
        });
        streams.listen().unwrap();
        Self { streams, seen, local }
    }

    async fn seen(&self, count: usize) -> Vec<Seen> {
        until(|| self.seen.borrow().len() >= count).await;
        self.seen.take()
    }

    fn to(&self, remote: SocketAddr, connection: Option<u64>) -> Flow {
        Flow { transport: Transport::Tcp, local: self.local, remote, connection }
    }
}

async fn until(mut holds: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if holds() {
            return;
        }
        sleep(Duration::from_millis(5)).await;
    }
    panic!("it never came");
}

/// Reads what has come without blocking the executor that has to send it.
async fn read(peer: &mut TcpStream, len: usize) -> Vec<u8> {
    peer.set_nonblocking(true).unwrap();
    let mut bytes = Vec::new();
    until(|| {
        let mut chunk = [0; 256];
        if let Ok(count) = peer.read(&mut chunk) {
            bytes.extend_from_slice(&chunk[..count]);
        }
        bytes.len() >= len
    })
    .await;
    bytes
}

fn run<F: Future<Output = ()> + 'static>(test: F) {
    LocalExecutorBuilder::new(Placement::Unbound).make().unwrap().run(test);
}

#[test]
fn an_accepted_connection_carries_messages_both_ways_until_it_breaks() {
    run(async {
        let rig = Rig::new(4);
        let mut peer = TcpStream::connect(rig.local).unwrap();
        let remote = peer.local_addr().unwrap();
        peer.write_all(&[MESSAGE, MESSAGE, b"\r\n\r\n", &MESSAGE[..9]].concat()).unwrap();
        let flow = rig.to(remote, Some(1));
        assert_eq!(rig.seen(2).await, vec![Seen::Message(flow, MESSAGE.to_vec()); 2]);
        // RFC 5626 §4.4.1: the keep-alive is answered; then what we send.
        rig.streams.send(flow, b"SIP/2.0 200 OK");
        // Without naming it the open connection to this peer is used as well.
        rig.streams.send(rig.to(remote, None), b" again");
        assert_eq!(read(&mut peer, 22).await, b"\r\nSIP/2.0 200 OK again");
        drop(peer);
        let failed = rig.seen(2).await;
        let expected = [Seen::Failed(flow), Seen::Failed(rig.to(remote, None))];
        assert!(
            failed.len() == 2 && expected.iter().all(|each| failed.contains(each)),
            "{failed:?}"
        );
        rig.streams.send(flow, b"too late");
        assert_eq!(rig.seen(1).await, [Seen::Failed(flow)]);
        assert_eq!(rig.streams.connection_count(), 0);
    });
}

/// The shard sends while it is borrowed: a failure that came back at once would borrow it again.
#[test]
fn a_failure_is_told_after_send_has_returned() {
    run(async {
        let rig = Rig::new(0);
        let to = rig.to((Ipv4Addr::LOCALHOST, 9).into(), None);
        rig.streams.send(to, MESSAGE);
        assert_eq!(*rig.seen.borrow(), [], "told from within send");
        assert_eq!(rig.seen(1).await, [Seen::Failed(to)]);

        let failed = Rc::<RefCell<Vec<Flow>>>::default();
        let told = failed.clone();
        let config = WebSocketConfig {
            local: (Ipv4Addr::LOCALHOST, 0).into(),
            max_connections: 1,
            max_per_address: 1,
            security: Security::Plain,
            origins: Vec::new(),
            limits: WebSocketLimits::default(),
        };
        let sockets = WebSockets::new(config, pace().0, move |event| {
            let StreamEvent::Failed { flow, .. } = event else {
                panic!("only a failure is expected")
            };
            told.borrow_mut().push(flow);
        });
        let gone = Flow { transport: Transport::Wss, connection: Some(7), ..to };
        sockets.send(gone, &MESSAGE.into());
        assert_eq!(*failed.borrow(), [], "told from within send");
        until(|| *failed.borrow() == [gone]).await;
    });
}

#[test]
fn a_connection_is_opened_once_for_a_peer_and_refusal_is_told() {
    run(async {
        let rig = Rig::new(4);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let carrier = listener.local_addr().unwrap();
        rig.streams.send(rig.to(carrier, None), b"INVITE");
        rig.streams.send(rig.to(carrier, None), b" ACK");
        listener.set_nonblocking(true).unwrap();
        let mut accepted = None;
        until(|| {
            accepted = listener.accept().ok();
            accepted.is_some()
        })
        .await;
        let (mut accepted, _) = accepted.expect("accepted");
        assert_eq!(read(&mut accepted, 10).await, b"INVITE ACK");
        assert_eq!(rig.streams.connection_count(), 1);
        drop((accepted, listener));
        rig.seen(2).await;
        rig.streams.send(rig.to(carrier, None), b"INVITE");
        let seen = rig.seen(2).await;
        assert!(seen.contains(&Seen::Failed(rig.to(carrier, None))), "{seen:?}");
    });
}

#[test]
fn strangers_make_room_for_each_other_and_bytes_that_are_not_sip_are_cut_off() {
    run(async {
        // Half of the places are for strangers.
        let rig = Rig::new(2);
        let mut first = TcpStream::connect(rig.local).unwrap();
        until(|| rig.streams.connection_count() == 1).await;
        let mut second = TcpStream::connect(rig.local).unwrap();
        until(|| rig.streams.counters().displaced.get() == 1).await;
        assert_eq!(rig.streams.connection_count(), 1);
        first.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let end = std::thread::spawn(move || first.read(&mut [0; 1]).map_err(|error| error.kind()));
        until(|| end.is_finished()).await;
        assert_eq!(end.join().unwrap(), Ok(0), "the older stranger is cut off");
        rig.seen.take();
        second.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        until(|| rig.streams.connection_count() == 0).await;
        assert_eq!(rig.streams.counters().malformed.get(), 1);
    });
}

/// A trunk is called over a connection of our own, and calls back, whatever strangers hold.
#[test]
fn strangers_take_no_place_of_a_trunk() {
    run(async {
        let rig = Rig::new(4);
        let strangers: Vec<TcpStream> =
            (0..8).map(|_| TcpStream::connect(rig.local).unwrap()).collect();
        until(|| rig.streams.counters().accepted.get() == 8).await;
        assert_eq!(
            (rig.streams.connection_count(), rig.streams.counters().displaced.get()),
            (2, 6)
        );
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        rig.streams.send(rig.to(listener.local_addr().unwrap(), None), b"INVITE");
        listener.set_nonblocking(true).unwrap();
        until(|| listener.accept().is_ok()).await;
        rig.streams.know_trunk("127.0.0.9".parse().unwrap());
        let trunk =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        trunk.bind(&SocketAddr::from(([127, 0, 0, 9], 0)).into()).unwrap();
        trunk.connect(&rig.local.into()).unwrap();
        TcpStream::from(trunk).write_all(MESSAGE).unwrap();
        until(|| rig.seen.borrow().iter().any(|seen| matches!(seen, Seen::Message(..)))).await;
        assert_eq!(rig.streams.counters().over_limit.get(), 0);
        drop(strangers);
    });
}

// B01: keep-alives that come at once are one piece of work and get one answer.
#[test]
fn keep_alives_that_come_at_once_get_one_answer() {
    run(async {
        for pings in [50, 400] {
            let rig = Rig::new(4);
            // A stranger's come at a rate besides.
            rig.streams.know_trunk(rig.local.ip());
            let mut peer = TcpStream::connect(rig.local).unwrap();
            peer.write_all(&[&b"\r\n\r\n".repeat(pings)[..], MESSAGE].concat()).unwrap();
            let seen = rig.seen(1).await;
            let [Seen::Message(flow, _)] = seen[..] else { panic!("{seen:?}") };
            rig.streams.send(flow, b"behind them");
            let mut answer = read(&mut peer, b"\r\nbehind them".len()).await;
            while !answer.ends_with(b"behind them") {
                answer.extend(read(&mut peer, 1).await);
            }
            // They may come in more pieces than one.
            assert!(answer.len() < 2 * pings / 5, "{} bytes for {pings} pings", answer.len());
        }
    });
}

// RFC 5626 §4.4.1
#[test]
fn a_kept_trunk_is_pinged_and_gone_once_it_answers_no_more() {
    run(async {
        let [ping, pong] = [100, 400].map(Duration::from_millis);
        let rig = Rig::with_limits(4, StreamLimits { ping, pong, ..limits() });
        let mut peers = Vec::new();
        for _ in 0..3 {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let address = listener.local_addr().unwrap();
            rig.streams.send(rig.to(address, None), b"REGISTER");
            listener.set_nonblocking(true).unwrap();
            let mut accepted = None;
            until(|| {
                accepted = listener.accept().ok();
                accepted.is_some()
            })
            .await;
            peers.push((accepted.expect("accepted").0, address));
        }
        rig.streams.keep_alive([peers[0].1, peers[1].1].into());
        for (peer, _) in &mut peers {
            assert_eq!(read(peer, 8).await, b"REGISTER");
        }
        // One answers a few times, and messages come between.
        for round in 0..3 {
            assert_eq!(read(&mut peers[0].0, 4).await, b"\r\n\r\n", "{round}");
            peers[0].0.write_all(b"\r\n").unwrap();
            peers[0].0.write_all(MESSAGE).unwrap();
        }
        let seen = rig.seen(3).await;
        assert!(
            seen.iter().all(|seen| matches!(seen, Seen::Message(_, bytes) if bytes == MESSAGE))
        );
        // Whoever does not know pings is left alone.
        assert!(read(&mut peers[1].0, 8).await.starts_with(b"\r\n\r\n\r\n\r\n"));
        let flow = rig.to(peers[0].1, None);
        until(|| rig.seen.borrow().contains(&Seen::Failed(flow))).await;
        assert_eq!(rig.streams.counters().pongs_missed.get(), 1);
        assert_eq!(rig.streams.connection_count(), 2);
        peers[2].0.set_nonblocking(true).unwrap();
        assert!(peers[2].0.read(&mut [0; 8]).is_err(), "nobody asked to keep it");
    });
}

/// Writes these bytes again and again until the connection ends.
fn keep_writing(local: SocketAddr, bytes: &'static [u8], pause: Duration) {
    std::thread::spawn(move || {
        let mut peer = TcpStream::connect(local).unwrap();
        // An end of its own, should the test fail.
        let until = Instant::now() + Duration::from_secs(30);
        while Instant::now() < until && peer.write_all(bytes).is_ok() {
            std::thread::sleep(pause);
        }
    });
}

// B01: strangers do not keep their places by keep-alives or by what is written to them, nor by a
// message that never gets whole, whatever a trunk may.
#[test]
fn strangers_without_messages_do_not_stay() {
    run(async {
        let short = Duration::from_millis(300);
        for bytes in [&b"\r\n\r\n"[..], b"\r\n"] {
            let rig = Rig::with_limits(4, StreamLimits { stranger: short, ..limits() });
            keep_writing(rig.local, bytes, Duration::from_millis(20));
            until(|| rig.streams.counters().accepted.get() == 1).await;
            let written = rig.to((Ipv4Addr::LOCALHOST, 9).into(), Some(1));
            until(|| {
                if rig.streams.connection_count() > 0 {
                    rig.streams.send(written, b"SIP/2.0 200 OK");
                }
                rig.streams.connection_count() == 0
            })
            .await;
            assert_eq!(rig.streams.counters().idle_closed.get(), 1, "{bytes:?}");
        }
        let rig = Rig::with_limits(4, StreamLimits { message: short, ..limits() });
        keep_writing(rig.local, b"X", Duration::from_millis(20));
        until(|| rig.streams.counters().accepted.get() == 1).await;
        until(|| rig.streams.connection_count() == 0).await;
        assert_eq!(rig.streams.counters().late.get(), 1);
        // A trunk may be as silent as it is configured, and stays by its keep-alives.
        let rig =
            Rig::with_limits(4, StreamLimits { stranger: short, idle: 3 * short, ..limits() });
        rig.streams.know_trunk(rig.local.ip());
        keep_writing(rig.local, b"\r\n\r\n", Duration::from_millis(20));
        let _silent = TcpStream::connect(rig.local).unwrap();
        until(|| rig.streams.counters().accepted.get() == 2).await;
        let came = Instant::now();
        until(|| rig.streams.connection_count() == 1).await;
        assert!(came.elapsed() > 2 * short, "{:?}", came.elapsed());
        assert_eq!(rig.streams.counters().idle_closed.get(), 1);
    });
    assert_eq!(
        StreamLimits::new(Duration::from_secs(600)).stranger,
        Duration::from_secs(30),
        "far less than a trunk's"
    );
}

// B01: a peer that takes nothing holds neither its place nor what was to be written to it.
#[test]
fn a_peer_that_takes_nothing_is_given_up() {
    run(async {
        let rig =
            Rig::with_limits(4, StreamLimits { message: Duration::from_millis(100), ..limits() });
        let socket =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.connect(&rig.local.into()).unwrap();
        let mut peer = TcpStream::from(socket);
        peer.write_all(MESSAGE).unwrap();
        let [Seen::Message(flow, _)] = rig.seen(1).await[..] else { panic!("one message") };
        // Less at a time than may wait, so that only the time can end it.
        let mut rounds = 0..400;
        while rig.streams.connection_count() > 0 {
            rounds.next().expect("24 MB wait to be read");
            rig.streams.send(flow, &[b'x'; 60 * 1024]);
            sleep(Duration::from_millis(60)).await;
        }
        let counters = rig.streams.counters();
        assert_eq!((counters.stalled.get(), counters.overflowed.get()), (1, 0));
    });
}

// B01: what has come on a connection that is cut off is not worked off.
#[test]
fn nothing_more_is_taken_of_a_connection_that_is_cut_off() {
    for len in [256 * 1024 + 1, 1024 * 1024] {
        run(async move {
            let local = free_address();
            let config = StreamConfig {
                local,
                interface: 0,
                shard: 0,
                max_connections: 4,
                max_per_address: 4,
                limits: limits(),
            };
            let (seen, streams) =
                (Rc::<Cell<u32>>::default(), Rc::<RefCell<Option<Streams>>>::default());
            let (told, answers) = (seen.clone(), streams.clone());
            // More than may wait for a peer that does not read; there before, so that what is taken
            // of the others is not a matter of time.
            let long = vec![b'x'; len];
            *streams.borrow_mut() = Some(Streams::new(config, None, pace().0, move |event| {
                if let (StreamEvent::Message { flow, .. }, Some(streams)) =
                    (event, &*answers.borrow())
                {
                    told.set(told.get() + 1);
                    streams.send(flow, &long);
                }
            }));
            let streams = streams.borrow().clone().unwrap();
            streams.listen().unwrap();
            let mut peer = TcpStream::connect(local).unwrap();
            peer.write_all(&MESSAGE.repeat(20)).unwrap();
            until(|| streams.counters().overflowed.get() == 1).await;
            until(|| streams.connection_count() == 0).await;
            peer.set_nonblocking(true).unwrap();
            until(|| peer.read(&mut [0; 1]).is_ok_and(|len| len == 0)).await;
            assert_eq!(seen.get(), 1);
        });
    }
}

/// What comes all the time, and the work that each message is.
const HOSTILE: [&[u8]; 3] =
    [b"\r\n\r\n", MESSAGE, b"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: 40000\r\n\r\n"];
const WORK: Duration = Duration::from_micros(100);

/// Messages that come between two turns of the media, at most, while `count` connections are kept
/// full for a while. A message is `WORK`, so that this number has a bound on however slow a
/// machine.
async fn most_in_a_turn(count: usize, is_trunk: bool, unit: &'static [u8]) -> (u64, u64) {
    let (pace, turns) = pace();
    let local = free_address();
    let config = StreamConfig {
        local,
        interface: 0,
        shard: 0,
        max_connections: 400,
        max_per_address: 400,
        limits: limits(),
    };
    // Messages of this turn, of any turn at most, and in all.
    let seen = Rc::new(Cell::new((0, 0, 0, 0)));
    let (told, had) = (seen.clone(), turns.clone());
    let streams = Streams::new(config, None, pace, move |event| {
        let StreamEvent::Message { .. } = event else { return };
        let until = Instant::now() + WORK;
        while Instant::now() < until {}
        let (turn, now, most, all) = told.get();
        let now = if turn == had.get() { now + 1 } else { 1 };
        told.set((had.get(), now, most.max(now), all + 1));
    });
    streams.listen().unwrap();
    if is_trunk {
        streams.know_trunk(local.ip());
    }
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let peers: Vec<_> = (0..count)
        .map(|_| {
            let stop = stop.clone();
            std::thread::spawn(move || {
                let mut peer = TcpStream::connect(local).unwrap();
                peer.set_nonblocking(true).unwrap();
                let bytes = unit.repeat(64 * 1024 / unit.len() + 1);
                let mut at = 0;
                // An end of its own, so that an executor that is starved fails instead of hanging.
                let until = Instant::now() + Duration::from_secs(3);
                while Instant::now() < until && !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    match (peer.write(&bytes[at..]), peer.read(&mut [0; 64 * 1024])) {
                        (Ok(len), _) => at = (at + len) % bytes.len(),
                        (Err(error), _) if error.kind() == std::io::ErrorKind::WouldBlock => {
                            std::thread::sleep(Duration::from_micros(200));
                        }
                        _ => return,
                    }
                }
            })
        })
        .collect();
    sleep(Duration::from_millis(600)).await;
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    until(|| peers.iter().all(|peer| peer.is_finished())).await;
    let (_, _, most, all) = seen.get();
    assert!(turns.get() > 0, "the media had no turn");
    (most, all)
}

#[test]
fn streams_that_always_have_bytes_leave_the_media_their_turns() {
    run(async {
        // A span of 1 ms, and the piece that ends it.
        let bound = 1_000 / WORK.as_micros() as u64 + 3;
        for unit in HOSTILE {
            for count in [1, 20] {
                let (most, _) = most_in_a_turn(count, true, unit).await;
                assert!(most <= bound, "{most} messages in a turn of {count} connections");
            }
        }
        let (most, all) = most_in_a_turn(20, true, MESSAGE).await;
        assert!(most <= bound && all > 200, "a trunk is read on: {all}");
    });
}

#[test]
fn a_strangers_messages_and_bytes_come_at_a_rate() {
    run(async {
        let (_, all) = most_in_a_turn(1, false, MESSAGE).await;
        // The burst, and what the rate adds even on a machine ten times slower.
        assert!((1..=60 + 20 * 10).contains(&all), "{all}");
        let long = format!("OPTIONS sip:a@b SIP/2.0\r\nContent-Length: 16384\r\n\r\n{:16384}", "");
        let (_, all) = most_in_a_turn(1, false, long.leak().as_bytes()).await;
        // 128 KiB, and 32 KiB a second.
        assert!((1..=8 + 2 * 10).contains(&all), "{all} of 16 KiB");
    });
}

// What came whole is served though what follows it cannot be cut, or nothing follows.
#[test]
fn what_was_caused_to_be_sent_goes_out_before_the_end() {
    for end in
        [&b"BYE sip:a@b SIP/2.0\r\nContent-Length: x\r\n\r\n"[..], b"GET / HTTP/1.1\r\n\r\n", b""]
    {
        run(async move {
            let local = free_address();
            let config = StreamConfig {
                local,
                interface: 0,
                shard: 0,
                max_connections: 4,
                max_per_address: 2,
                limits: limits(),
            };
            let own = Rc::<RefCell<Option<Streams>>>::default();
            let answering = own.clone();
            let streams = Streams::new(config, None, pace().0, move |event| {
                if let (StreamEvent::Message { flow, .. }, Some(streams)) =
                    (event, answering.borrow().as_ref())
                {
                    streams.send(flow, b"SIP/2.0 200 OK");
                }
            });
            streams.listen().unwrap();
            *own.borrow_mut() = Some(streams.clone());
            let mut peer = TcpStream::connect(local).unwrap();
            peer.write_all(&[MESSAGE, end].concat()).unwrap();
            if end.is_empty() {
                peer.shutdown(std::net::Shutdown::Write).unwrap();
            }
            assert_eq!(read(&mut peer, 14).await, b"SIP/2.0 200 OK");
            until(|| streams.connection_count() == 0).await;
        });
    }
}

/// Shakes hands as a page does.
fn open_page(stream: TcpStream) -> WebSocket<TcpStream> {
    let mut request = "ws://localhost/".into_client_request().unwrap();
    request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static("sip"));
    tungstenite::client(request, stream).unwrap().0
}

/// WebSockets without TLS.
struct Pages {
    sockets: WebSockets,
    address: SocketAddr,
    seen: Rc<RefCell<Vec<Seen>>>,
}

impl Pages {
    fn new(limits: WebSocketLimits) -> Self {
        let seen = Rc::<RefCell<Vec<Seen>>>::default();
        let told = seen.clone();
        let local = (Ipv4Addr::LOCALHOST, 0).into();
        let config = WebSocketConfig {
            local,
            max_connections: 4,
            max_per_address: 4,
            security: Security::Plain,
            origins: Vec::new(),
            limits,
        };
        let sockets = WebSockets::new(config, pace().0, move |event| match event {
            StreamEvent::Message { flow, bytes } => {
                told.borrow_mut().push(Seen::Message(flow, bytes.to_vec()))
            }
            StreamEvent::Failed { flow, .. } => told.borrow_mut().push(Seen::Failed(flow)),
            StreamEvent::Settled { .. } => {}
        });
        let address = sockets.listen().unwrap();
        Self { sockets, address, seen }
    }

    /// A page that reads nothing of itself, with little room in its kernel.
    async fn open(&self) -> (WebSocket<TcpStream>, Flow) {
        let address = self.address;
        let opening = std::thread::spawn(move || {
            let socket =
                socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            socket.set_recv_buffer_size(4096).unwrap();
            socket.connect(&address.into()).unwrap();
            let mut page = open_page(TcpStream::from(socket));
            page.send(tungstenite::Message::binary(MESSAGE)).unwrap();
            page
        });
        until(|| !self.seen.borrow().is_empty() && opening.is_finished()).await;
        let [Seen::Message(flow, _)] = self.seen.take()[..] else { panic!("one message expected") };
        (opening.join().unwrap(), flow)
    }

    async fn seen_one(&self) -> Seen {
        until(|| !self.seen.borrow().is_empty()).await;
        self.seen.borrow_mut().remove(0)
    }

    /// Sends to this page and to nobody else, and waits until it has read it.
    async fn check_reads(&self, mut page: WebSocket<TcpStream>, flow: Flow) {
        self.sockets.send(flow, &MESSAGE.into());
        let reading = std::thread::spawn(move || page.read().unwrap().into_data());
        until(|| reading.is_finished()).await;
        assert_eq!(&reading.join().unwrap()[..], MESSAGE);
    }
}

/// A page's frames, which it has encoded itself: `count` messages at once.
fn frames(count: usize) -> Vec<u8> {
    // RFC 6455 §5.2: final, binary, masked by zeros.
    let head = [0x82, 0x80 | MESSAGE.len() as u8, 0, 0, 0, 0];
    [&head, MESSAGE].concat().repeat(count)
}

// B01
#[test]
fn a_page_that_always_has_messages_leaves_the_media_their_turns() {
    run(async {
        let (pace, turns) = pace();
        // Messages of this turn, and of any turn at most.
        let seen = Rc::new(Cell::new((0, 0, 0)));
        let (told, had) = (seen.clone(), turns.clone());
        let flow = Rc::new(Cell::new(None));
        let first = flow.clone();
        let config = WebSocketConfig {
            local: (Ipv4Addr::LOCALHOST, 0).into(),
            max_connections: 4,
            max_per_address: 4,
            security: Security::Plain,
            origins: Vec::new(),
            limits: WebSocketLimits::default(),
        };
        let sockets = WebSockets::new(config, pace, move |event| {
            let StreamEvent::Message { flow, .. } = event else { return };
            first.set(Some(flow));
            let until = Instant::now() + WORK;
            while Instant::now() < until {}
            let (turn, now, most) = told.get();
            let now = if turn == had.get() { now + 1 } else { 1 };
            told.set((had.get(), now, now.max(most)));
        });
        let address = sockets.listen().unwrap();
        let page = std::thread::spawn(move || open_page(TcpStream::connect(address).unwrap()));
        until(|| page.is_finished()).await;
        let mut page = page.join().unwrap();
        page.get_mut().write_all(&frames(1)).unwrap();
        until(|| flow.get().is_some()).await;
        sockets.know_agent(flow.get().unwrap());
        // More than its buffers hold, far less than ends it.
        page.get_mut().write_all(&frames(1_000)).unwrap();
        sleep(Duration::from_millis(400)).await;
        let (_, _, most) = seen.get();
        let bound = 1_000 / WORK.as_micros() as u64 + 3;
        assert!((1..=bound).contains(&most), "{most} messages in a turn");
    });
}

// B01
#[test]
fn a_strange_pages_messages_come_at_a_rate() {
    run(async {
        let pages = Pages::new(WebSocketLimits::default());
        let (mut page, _) = pages.open().await;
        page.get_mut().write_all(&frames(400)).unwrap();
        until(|| pages.sockets.counters().paused.get() > 0).await;
        sleep(Duration::from_millis(200)).await;
        let count = pages.seen.borrow().len();
        // The burst, and what the rate adds even on a machine ten times slower.
        assert!((50..=60 + 20 * 10).contains(&count), "{count}");
    });
}

#[test]
fn a_page_that_does_not_read_is_cut_off_at_256_kib_and_others_go_on() {
    run(async {
        let pages = Pages::new(WebSocketLimits::default());
        let overflowed = &pages.sockets.counters().overflowed;
        let (bystander, flow) = pages.open().await;
        let quarter: Arc<[u8]> = vec![b'x'; 64 * 1024].into();

        // At once: the cap is exact.
        let (_flooded, flooded) = pages.open().await;
        for _ in 0..4 {
            pages.sockets.send(flooded, &quarter);
        }
        assert_eq!(overflowed.get(), 0);
        pages.sockets.send(flooded, &b"x"[..].into());
        assert_eq!(overflowed.get(), 1);
        assert_eq!(pages.seen_one().await, Seen::Failed(flooded));

        // Little by little: what the kernel does not take is capped as well.
        let (_stuck, stuck) = pages.open().await;
        let mut rounds = 0..1000;
        while overflowed.get() == 1 {
            rounds.next().expect("64 MB wait to be read");
            pages.sockets.send(stuck, &quarter);
            sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(pages.seen_one().await, Seen::Failed(stuck));
        assert_eq!(pages.sockets.connection_count(), 1);
        pages.check_reads(bystander, flow).await;
    });
}

#[test]
fn a_page_that_takes_no_message_for_too_long_is_cut_off_and_others_go_on() {
    run(async {
        let minute = Duration::from_secs(60);
        let limits = WebSocketLimits {
            ping: minute,
            pong: Duration::from_millis(100),
            ..WebSocketLimits::default()
        };
        let pages = Pages::new(limits);
        let (bystander, flow) = pages.open().await;
        let (_stuck, stuck) = pages.open().await;
        let message: Arc<[u8]> = vec![b'x'; 60 * 1024].into();
        let mut rounds = 0..400;
        while pages.seen.borrow().is_empty() {
            rounds.next().expect("24 MB wait to be read");
            pages.sockets.send(stuck, &message);
            sleep(Duration::from_millis(60)).await;
        }
        assert_eq!(pages.seen_one().await, Seen::Failed(stuck));
        let counters = pages.sockets.counters();
        assert_eq!((counters.stalled.get(), counters.overflowed.get()), (1, 0));
        pages.check_reads(bystander, flow).await;
    });
}
