//! SIP over streams (RFC 3261 §18), plain or in TLS: connections that peers or we opened, cut into
//! messages, written from a bounded queue, closed when idle or slow. Strangers have slots and turns
//! of their own. Knows no transaction; every failure is told with the flow that it ended.

use super::failures::Failures;
use super::lanes::Lane;
use super::pace::{Pace, Source};
use super::slots::{Entry, Slots, Stage};
use super::tls::Tls;
use super::{StreamEvent, count, within};
use futures_lite::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, future};
use glommio::net::{TcpListener, TcpStream};
use glommio::timer::Timer;
use media_shard::glommio_stream;
use media_shard::signal::Signal;
use rustix::io::Errno;
use sip_core::flow::{Flow, FlowFault, Transport};
use sip_core::message::{Frame, Framer, Limits};
use socket2::{Domain, Protocol, Socket, Type};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Longest wait for a connection that we open.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Most bytes that wait to be written on one connection; a peer that reads slower is cut off.
const QUEUE_LEN: usize = 256 * 1024;
const READ_LEN: usize = 16 * 1024;
/// Most addresses of trunks that are remembered; the oldest is forgotten, and is a stranger until
/// it is called again.
const TRUNK_CAPACITY: usize = 1024;
/// Longest wait until what is queued has gone out on a connection that brings no more messages.
const FLUSH_LIMIT: Duration = Duration::from_secs(5);
/// Bits of a connection's id below the number of its shard, and below that of its interface.
const SHARD_SHIFT: u32 = 48;
const INTERFACE_SHIFT: u32 = 40;
/// Wait after a failed accept, which is nearly always a lack of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a stream's peer may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamLimits {
    /// From the first byte of a message to its last, and for what is queued to be written.
    pub message: Duration,
    /// For a stranger, from one whole message to the next.
    pub stranger: Duration,
    /// The same for a trunk, of either side's messages.
    pub idle: Duration,
    /// Longest time from one ping to the next on a connection of ours to a kept trunk.
    pub ping: Duration,
    /// From a ping to its answer.
    pub pong: Duration,
}

/// The shard whose connection has this id.
pub fn shard_of_connection(id: u64) -> u16 {
    (id >> SHARD_SHIFT) as u16
}

impl StreamLimits {
    /// With what is configured of them.
    pub fn new(idle: Duration) -> Self {
        // RFC 5626 §4.4.1.
        let [message, stranger, ping, pong] = [10, 30, 120, 10].map(Duration::from_secs);
        Self { message, stranger: stranger.min(idle), idle, ping: ping.min(idle), pong }
    }
}

/// Limits of one shard's streams.
#[derive(Debug, Clone, Copy)]
pub struct StreamConfig {
    pub local: SocketAddr,
    /// Number of the interface; connections that are opened by another than the default one, 0,
    /// leave from `local`'s address.
    pub interface: u8,
    /// Number of the shard, by which its connections' ids are told from other shards'.
    pub shard: u16,
    /// Strangers have at most half of them.
    pub max_connections: usize,
    /// Strangers' connections of one address.
    pub max_per_address: usize,
    pub limits: StreamLimits,
}

/// What happened to the streams of a shard since its start.
#[derive(Debug, Default)]
pub struct StreamCounters {
    pub accepted: Cell<u64>,
    pub opened: Cell<u64>,
    /// Connections refused or not opened because there are too many.
    pub over_limit: Cell<u64>,
    /// Strangers' connections closed because newer ones needed their place.
    pub displaced: Cell<u64>,
    /// Connections closed because their bytes are not SIP messages.
    pub malformed: Cell<u64>,
    /// Connections closed because too much waited to be written on them.
    pub overflowed: Cell<u64>,
    /// Connections closed because what was queued took too long to be written.
    pub stalled: Cell<u64>,
    /// Connections closed because a message took too long to be whole.
    pub late: Cell<u64>,
    pub idle_closed: Cell<u64>,
    /// Pings that were sent to kept trunks.
    pub pings: Cell<u64>,
    /// Connections closed because a ping got no answer.
    pub pongs_missed: Cell<u64>,
    /// Connections on which TLS did not come about.
    pub handshake_failed: Cell<u64>,
    /// Certificates that changed and cannot be used.
    pub reload_failed: Cell<u64>,
    /// Messages of strangers after which their connection had to pause.
    pub paused: Cell<u64>,
}

impl StreamCounters {
    /// Name, without the transport's, and count of each.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        [
            ("accepted", &self.accepted),
            ("opened", &self.opened),
            ("over_limit", &self.over_limit),
            ("displaced", &self.displaced),
            ("malformed", &self.malformed),
            ("overflowed", &self.overflowed),
            ("stalled", &self.stalled),
            ("late", &self.late),
            ("idle_closed", &self.idle_closed),
            ("paused", &self.paused),
            ("pings", &self.pings),
            ("pongs_missed", &self.pongs_missed),
            ("handshake_failed", &self.handshake_failed),
            ("reload_failed", &self.reload_failed),
        ]
        .map(|(name, count)| (name, count.get()))
        .into_iter()
    }
}

struct Connection {
    id: u64,
    remote: SocketAddr,
    source: Rc<Source>,
    queue: RefCell<Vec<u8>>,
    /// Bytes that left the queue and are being written.
    writing_len: Cell<usize>,
    filled: Signal,
    /// Set when the connection is to be closed from outside of its task.
    cut: Signal,
    is_cut: Cell<bool>,
    /// No more messages come: it ends once its queue is empty.
    is_ending: Cell<bool>,
    /// A ping of ours is not answered.
    awaits_pong: Cell<bool>,
    /// One was.
    answers_pings: Cell<bool>,
    /// When anything came.
    last_read: Cell<Instant>,
    /// The last whole message, of either side.
    last_active: Cell<Instant>,
    has_message: Cell<bool>,
}

impl Connection {
    /// Nothing more is read or written.
    fn cut(&self) {
        self.is_cut.set(true);
        self.cut.set();
    }

    fn stage(&self) -> Stage {
        match (self.has_message.get(), self.source.has_read()) {
            (true, _) => Stage::Finished,
            (false, true) => Stage::Unfinished,
            (false, false) => Stage::Silent,
        }
    }
}

/// Who opened a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Opener {
    Peer,
    Us,
}

/// Why a connection ended.
enum End {
    Idle,
    Broken,
    /// TLS did not come about.
    Tls,
}

impl End {
    /// In TLS 1.3 a peer that refuses our certificate says so after the handshake (RFC 8446
    /// §4.4.2.4).
    fn of(error: &io::Error) -> Self {
        let is_tls = error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>());
        if is_tls { Self::Tls } else { Self::Broken }
    }
}

/// The stream connections of one shard. Lives inside a glommio executor; cheap to clone.
#[derive(Clone)]
pub struct Streams(Rc<State>);

struct State {
    config: StreamConfig,
    /// `None`: in clear.
    tls: Option<Rc<Tls>>,
    pace: Pace,
    connections: RefCell<HashMap<u64, Rc<Connection>>>,
    by_remote: RefCell<HashMap<SocketAddr, u64>>,
    strangers: RefCell<Slots>,
    /// Addresses of trunks, the latest last.
    trunks: RefCell<VecDeque<IpAddr>>,
    /// Addresses of trunks to which a connection is kept alive.
    kept: RefCell<BTreeSet<SocketAddr>>,
    next_id: Cell<u64>,
    counters: StreamCounters,
    failures: Rc<Failures>,
    events: Rc<dyn Fn(StreamEvent<'_>)>,
}

impl Streams {
    /// `events` is called from tasks of the connections, never from within `send`.
    pub fn new(
        config: StreamConfig,
        tls: Option<Rc<Tls>>,
        pace: Pace,
        events: impl Fn(StreamEvent<'_>) + 'static,
    ) -> Self {
        let (failures, events) = (Rc::<Failures>::default(), Rc::new(events));
        glommio::spawn_local(failures.clone().tell(events.clone())).detach();
        Self(Rc::new(State {
            config,
            tls,
            pace,
            connections: RefCell::default(),
            by_remote: RefCell::default(),
            strangers: RefCell::new(Slots::new(config.max_per_address)),
            trunks: RefCell::default(),
            kept: RefCell::default(),
            next_id: Cell::new(
                (u64::from(config.shard) << SHARD_SHIFT)
                    + (u64::from(config.interface) << INTERFACE_SHIFT)
                    + 1,
            ),
            counters: StreamCounters::default(),
            failures,
            events,
        }))
    }

    /// Binds the listener and accepts connections from now on.
    pub fn listen(&self) -> std::io::Result<()> {
        let listener = TcpListener::bind(self.0.config.local)?;
        let streams = self.clone();
        let source = self.0.pace.source(Lane::Own);
        let turns = source.clone();
        let accepting = async move {
            loop {
                match listener.accept().await {
                    Ok(stream) => streams.accepted(stream),
                    Err(_) => {
                        Timer::new(ACCEPT_PAUSE).await;
                    }
                }
                turns.rest().await;
            }
        };
        glommio::spawn_local(source.run(accepting)).detach();
        if let Some(tls) = self.0.tls.clone() {
            let streams = self.clone();
            let failed = move || count(&streams.0.counters.reload_failed);
            glommio::spawn_local(tls.look_after(failed)).detach();
        }
        Ok(())
    }

    /// A trunk is called at this address: its connections are no stranger's.
    pub fn know_trunk(&self, address: IpAddr) {
        let address = address.to_canonical();
        let mut trunks = self.0.trunks.borrow_mut();
        if trunks.back() == Some(&address) {
            return;
        }
        trunks.retain(|each| *each != address);
        if trunks.len() >= TRUNK_CAPACITY {
            trunks.pop_front();
        }
        trunks.push_back(address);
    }

    /// Connections of ours to these addresses are kept alive from now on, and to no others.
    pub fn keep_alive(&self, addresses: BTreeSet<SocketAddr>) {
        self.0.kept.replace(addresses);
    }

    fn is_trunk(&self, address: IpAddr) -> bool {
        self.0.trunks.borrow().contains(&address.to_canonical())
    }

    /// Queues one message; opens a connection if the flow names none and none is open to its peer.
    pub fn send(&self, flow: Flow, bytes: &[u8]) {
        let id = flow.connection.or_else(|| self.0.by_remote.borrow().get(&flow.remote).copied());
        let connection = id.and_then(|id| self.0.connections.borrow().get(&id).cloned());
        let connection = match (connection, flow.connection) {
            (Some(connection), _) => connection,
            (None, None) if self.has_room() => self.open(flow.remote),
            (None, _) => return self.0.failures.tell_later(flow, FlowFault::Broken),
        };
        let mut queue = connection.queue.borrow_mut();
        if queue.len() + connection.writing_len.get() + bytes.len() > QUEUE_LEN {
            count(&self.0.counters.overflowed);
            drop(queue);
            self.forget(&connection);
            connection.cut();
            for connection in [Some(connection.id), None] {
                self.0.failures.tell_later(Flow { connection, ..flow }, FlowFault::Broken);
            }
            return;
        }
        queue.extend_from_slice(bytes);
        connection.filled.set();
    }

    /// Closes the connection that the flow names, whatever waits to be written on it.
    pub fn cut(&self, flow: Flow) {
        let id = flow.connection;
        let connection = id.and_then(|id| self.0.connections.borrow().get(&id).cloned());
        if let Some(connection) = connection {
            self.forget(&connection);
            connection.cut();
        }
    }

    /// Connections that are open.
    pub fn connection_count(&self) -> usize {
        self.0.connections.borrow().len()
    }

    /// Counted since the start.
    pub fn counters(&self) -> &StreamCounters {
        &self.0.counters
    }

    fn has_room(&self) -> bool {
        let has_room = self.connection_count() < self.0.config.max_connections;
        if !has_room {
            count(&self.0.counters.over_limit);
        }
        has_room
    }

    fn accepted(&self, stream: TcpStream) {
        let Ok(remote) = stream.peer_addr() else { return };
        let lane = if self.is_trunk(remote.ip()) { Lane::Own } else { Lane::Strangers };
        let is_admitted = match lane {
            Lane::Own => self.has_room(),
            Lane::Strangers => self.admit_stranger(remote.ip()),
        };
        if !is_admitted {
            return;
        }
        count(&self.0.counters.accepted);
        let connection = self.remember(remote, lane);
        let (streams, source) = (self.clone(), connection.source.clone());
        let serving = async move { streams.serve(connection, stream, Opener::Peer).await };
        glommio::spawn_local(source.run(serving)).detach();
    }

    /// Makes room for the next connection, if there can be any.
    fn admit_stranger(&self, address: IpAddr) -> bool {
        let max = self.0.config.max_connections;
        let mut strangers = self.0.strangers.borrow_mut();
        let connections = self.0.connections.borrow();
        let room = (max / 2).max(1).min(max.saturating_sub(connections.len() - strangers.len()));
        let stage =
            |id| connections.get(&id).map_or(Stage::Silent, |connection| connection.stage());
        let entry = strangers.enter(self.0.next_id.get(), address, room, stage);
        let displaced = match entry {
            Entry::Free => return true,
            Entry::Full => {
                count(&self.0.counters.over_limit);
                return false;
            }
            Entry::InsteadOf(id) => connections.get(&id).cloned(),
        };
        drop((strangers, connections));
        count(&self.0.counters.displaced);
        if let Some(displaced) = displaced {
            displaced.cut();
            self.forget(&displaced);
            self.fail_later(&displaced, FlowFault::Broken);
        }
        true
    }

    fn open(&self, remote: SocketAddr) -> Rc<Connection> {
        count(&self.0.counters.opened);
        let connection = self.remember(remote, Lane::Own);
        let (streams, opened, source) =
            (self.clone(), connection.clone(), connection.source.clone());
        let opening = async move {
            let StreamConfig { interface, local, .. } = streams.0.config;
            let connected = match interface {
                0 => TcpStream::connect_timeout(remote, CONNECT_LIMIT).await.ok(),
                _ => within(CONNECT_LIMIT, connect_from(local.ip(), remote))
                    .await
                    .and_then(Result::ok),
            };
            match connected {
                Some(stream) => streams.serve(opened, stream, Opener::Us).await,
                None => streams.closed(&opened, End::Broken),
            }
        };
        glommio::spawn_local(source.run(opening)).detach();
        connection
    }

    fn remember(&self, remote: SocketAddr, lane: Lane) -> Rc<Connection> {
        let id = self.0.next_id.replace(self.0.next_id.get() + 1);
        let connection = Rc::new(Connection {
            id,
            remote,
            source: self.0.pace.source(lane),
            queue: RefCell::default(),
            writing_len: Cell::new(0),
            filled: Signal::default(),
            cut: Signal::default(),
            is_cut: Cell::new(false),
            is_ending: Cell::new(false),
            awaits_pong: Cell::new(false),
            answers_pings: Cell::new(false),
            last_read: Cell::new(Instant::now()),
            last_active: Cell::new(Instant::now()),
            has_message: Cell::new(false),
        });
        self.0.connections.borrow_mut().insert(id, connection.clone());
        self.0.by_remote.borrow_mut().insert(remote, id);
        connection
    }

    fn forget(&self, connection: &Connection) -> bool {
        let mut by_remote = self.0.by_remote.borrow_mut();
        if by_remote.get(&connection.remote) == Some(&connection.id) {
            by_remote.remove(&connection.remote);
        }
        self.0.strangers.borrow_mut().leave(connection.id);
        self.0.connections.borrow_mut().remove(&connection.id).is_some()
    }

    /// Runs one connection until its end.
    async fn serve(&self, connection: Rc<Connection>, tcp: TcpStream, opener: Opener) {
        let cut = async {
            connection.cut.wait().await;
            End::Broken
        };
        let tcp = connection.source.meter(tcp);
        let flowing = async {
            let Some(tls) = &self.0.tls else {
                return self.exchange(&connection, tcp, opener).await;
            };
            let handshake = async {
                match opener {
                    Opener::Peer => tls.accept(tcp).await,
                    Opener::Us => tls.connect(connection.remote, tcp).await,
                }
            };
            match within(self.0.config.limits.message, handshake).await {
                Some(Ok(stream)) => self.exchange(&connection, stream, opener).await,
                Some(Err(_)) => {
                    count(&self.0.counters.handshake_failed);
                    End::Tls
                }
                None => {
                    count(&self.0.counters.late);
                    End::Tls
                }
            }
        };
        let end = future::or(cut, flowing).await;
        self.closed(&connection, end);
    }

    /// Reads and writes messages until the connection's end.
    async fn exchange(
        &self,
        connection: &Connection,
        stream: impl AsyncRead + AsyncWrite + Unpin,
        opener: Opener,
    ) -> End {
        let (mut reader, mut writer) = futures_lite::io::split(stream);
        let exchange =
            future::or(self.read(connection, &mut reader), self.write(connection, &mut writer));
        match opener {
            Opener::Us => future::or(exchange, self.ping(connection)).await,
            Opener::Peer => exchange.await,
        }
    }

    /// Pings a kept trunk (RFC 5626 §4.4.1) until it does not answer. Deviates: a peer that never
    /// answered one, and has not said that it does, is not taken for gone (RFC 6223 §4.3).
    async fn ping(&self, connection: &Connection) -> End {
        let limits = self.0.config.limits;
        // From four fifths of the longest time on, so that not all come at once.
        let spread = 80 + (connection.id % 21) as u32;
        loop {
            Timer::new(limits.ping * spread / 100).await;
            if !self.0.kept.borrow().contains(&connection.remote) {
                continue;
            }
            let pinged = Instant::now();
            connection.awaits_pong.set(true);
            count(&self.0.counters.pings);
            self.send(self.flow(connection.remote, Some(connection.id)), b"\r\n\r\n");
            Timer::new(limits.pong).await;
            let is_silent =
                connection.awaits_pong.replace(false) && connection.last_read.get() < pinged;
            if is_silent && connection.answers_pings.get() {
                count(&self.0.counters.pongs_missed);
                return End::Broken;
            }
        }
    }

    fn closed(&self, connection: &Connection, end: End) {
        let was_known = self.forget(connection);
        match end {
            End::Idle => count(&self.0.counters.idle_closed),
            End::Broken if was_known => self.fail_later(connection, FlowFault::Broken),
            End::Tls if was_known => self.fail_later(connection, FlowFault::Tls),
            End::Broken | End::Tls => {}
        }
    }

    /// Told for the connection, and for what was sent to its peer without naming one.
    fn fail_later(&self, connection: &Connection, fault: FlowFault) {
        for id in [Some(connection.id), None] {
            self.0.failures.tell_later(self.flow(connection.remote, id), fault);
        }
    }

    fn flow(&self, remote: SocketAddr, connection: Option<u64>) -> Flow {
        let transport = if self.0.tls.is_some() { Transport::Tls } else { Transport::Tcp };
        Flow { transport, local: self.0.config.local, remote, connection }
    }

    /// Whether the connection is a trunk's; one whose address was called only after it had come is
    /// one from then on.
    fn is_own(&self, connection: &Connection) -> bool {
        if !connection.source.is_own() && self.is_trunk(connection.remote.ip()) {
            connection.source.become_own();
            self.0.strangers.borrow_mut().leave(connection.id);
        }
        connection.source.is_own()
    }

    async fn read(&self, connection: &Connection, reader: &mut (impl AsyncRead + Unpin)) -> End {
        let mut framer = Framer::new(Limits::default());
        let mut bytes = vec![0; READ_LEN];
        // When the message began of which a part has come.
        let mut part_since: Option<Instant> = None;
        let limits = self.0.config.limits;
        loop {
            let idle = if self.is_own(connection) { limits.idle } else { limits.stranger };
            let until = part_since
                .map_or(connection.last_active.get() + idle, |since| since + limits.message);
            let now = Instant::now();
            match within(until.saturating_duration_since(now), reader.read(&mut bytes)).await {
                None if part_since.is_some() => {
                    count(&self.0.counters.late);
                    return End::Broken;
                }
                None if connection.last_active.get() + idle > Instant::now() => continue,
                None => return End::Idle,
                Some(Ok(0)) => return connection.flushed().await,
                Some(Err(error)) => return End::of(&error),
                Some(Ok(len)) => framer.push(&bytes[..len]),
            }
            connection.last_read.set(Instant::now());
            if connection.awaits_pong.get() && framer.take_pong() {
                connection.awaits_pong.set(false);
                connection.answers_pings.set(true);
            }
            let is_whole = match self.take_frames(connection, &mut framer).await {
                Ok(count) => count > 0,
                Err(end) => return end,
            };
            part_since = framer
                .holds_part()
                .then(|| part_since.filter(|_| !is_whole).unwrap_or_else(Instant::now));
        }
    }

    /// Takes what is whole; how many frames that was.
    async fn take_frames(
        &self,
        connection: &Connection,
        framer: &mut Framer,
    ) -> Result<usize, End> {
        let flow = self.flow(connection.remote, Some(connection.id));
        let (mut taken, mut has_pong) = (0, false);
        loop {
            match framer.poll() {
                Ok(None) => return Ok(taken),
                Ok(Some(Frame::Message(bytes))) => {
                    connection.last_active.set(Instant::now());
                    connection.has_message.set(true);
                    (self.0.events)(StreamEvent::Message { flow, bytes });
                }
                Ok(Some(Frame::Ping)) => {
                    // Strangers do not stay by pings alone.
                    if connection.source.is_own() {
                        connection.last_active.set(Instant::now());
                    }
                    // RFC 5626 §4.4.1; one answer for all that came at once.
                    if !std::mem::replace(&mut has_pong, true) {
                        self.send(flow, b"\r\n");
                    }
                }
                Err(_) => {
                    count(&self.0.counters.malformed);
                    return Err(connection.flushed().await);
                }
            }
            taken += 1;
            if connection.is_cut.get() {
                return Err(End::Broken);
            }
            let pause = connection.source.take_message();
            if !pause.is_zero() {
                count(&self.0.counters.paused);
                Timer::new(pause).await;
            }
            connection.source.rest().await;
        }
    }

    async fn write(&self, connection: &Connection, writer: &mut (impl AsyncWrite + Unpin)) -> End {
        loop {
            let bytes = connection.queue.take();
            connection.writing_len.set(bytes.len());
            if bytes.is_empty() {
                if connection.is_ending.get() {
                    return End::Broken;
                }
                connection.filled.wait().await;
                continue;
            }
            if connection.source.is_own() {
                connection.last_active.set(Instant::now());
            }
            let writing = async {
                writer.write_all(&bytes).await?;
                // TLS may keep a part back.
                writer.flush().await
            };
            match within(self.0.config.limits.message, writing).await {
                Some(Ok(())) => {}
                Some(Err(error)) => return End::of(&error),
                None => {
                    count(&self.0.counters.stalled);
                    return End::Broken;
                }
            }
        }
    }
}

impl Connection {
    /// Lets the writer end the connection: what the messages before the end have caused to be sent
    /// still goes out.
    async fn flushed(&self) -> End {
        self.is_ending.set(true);
        self.filled.set();
        Timer::new(FLUSH_LIMIT).await;
        End::Broken
    }
}

/// Connects from an address of this machine, at any port.
async fn connect_from(local: IpAddr, remote: SocketAddr) -> io::Result<TcpStream> {
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = Socket::new(Domain::for_address(remote), kind, Some(Protocol::TCP))?;
    socket.bind(&SocketAddr::new(local, 0).into())?;
    match socket.connect(&remote.into()) {
        Err(error) if error.raw_os_error() != Some(Errno::INPROGRESS.raw_os_error()) => {
            return Err(error);
        }
        _ => {}
    }
    let mut stream = glommio_stream(socket.into());
    // Sending nothing waits for the connection, and tells why there is none.
    stream.write(&[]).await?;
    Ok(stream)
}
