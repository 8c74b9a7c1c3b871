//! SIP over WebSocket (RFC 7118): connections that browsers opened, each message one SIP message,
//! kept by pings, written from a bounded queue, closed with a code that says why. Those that have
//! not registered yet are strangers, with slots and turns of their own. Each end of a connection is
//! told with its flow.

use super::failures::Failures;
use super::lanes::Lane;
use super::pace::{Pace, Source};
use super::slots::{Entry, Slots, Stage};
use super::upgrade::{BUFFER_LEN, Bytes, Refused, Security, upgrade};
use super::{StreamEvent, count, within};
use async_tungstenite::WebSocketStream;
use async_tungstenite::tungstenite::protocol::CloseFrame;
use async_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use async_tungstenite::tungstenite::{Error, Message};
use futures_lite::{AsyncReadExt, AsyncWriteExt, StreamExt, future};
use glommio::net::{TcpListener, TcpStream};
use glommio::timer::Timer;
use media_shard::signal::Signal;
use sip_core::flow::{Flow, FlowFault, Transport};
use sip_core::message::is_single;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Most bytes that wait to be written on one connection; a peer that reads slower is cut off.
const QUEUE_LEN: usize = 256 * 1024;
/// Wait after a failed accept, which is nearly always a lack of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a closing connection may take to say so.
const GOODBYE_LIMIT: Duration = Duration::from_secs(5);
/// RFC 6455 §7.4.1
const UNSUPPORTED: (u16, &str) = (1003, "not one SIP message");
const TOO_BIG: (u16, &str) = (1009, "message too big");

/// How long a WebSocket's peer may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebSocketLimits {
    /// From the accepted connection to the upgraded one.
    pub handshake: Duration,
    /// From the upgrade until the connection must have some business.
    pub settling: Duration,
    /// Between pings.
    pub ping: Duration,
    /// From a ping to any sign of life, and for one message to be written.
    pub pong: Duration,
}

impl Default for WebSocketLimits {
    fn default() -> Self {
        let [handshake, settling, ping, pong] = [5, 30, 15, 10].map(Duration::from_secs);
        Self { handshake, settling, ping, pong }
    }
}

/// One shard's listener for softphones.
#[derive(Clone)]
pub struct WebSocketConfig {
    pub local: SocketAddr,
    pub max_connections: usize,
    /// Connections of one address on which nobody has registered.
    pub max_per_address: usize,
    pub security: Security,
    /// Origins that pages may have; empty lets every page connect.
    pub origins: Vec<String>,
    pub limits: WebSocketLimits,
}

/// What happened to the WebSockets of a shard since its start.
#[derive(Debug, Default)]
pub struct WebSocketCounters {
    pub opened: Cell<u64>,
    pub over_limit: Cell<u64>,
    /// Strangers cut off because newer ones needed their place.
    pub displaced: Cell<u64>,
    pub tls_failed: Cell<u64>,
    pub http_refused: Cell<u64>,
    pub origin_refused: Cell<u64>,
    pub sub_protocol_refused: Cell<u64>,
    pub handshake_late: Cell<u64>,
    pub malformed: Cell<u64>,
    pub too_big: Cell<u64>,
    /// Connections cut off because too much waited to be written on them.
    pub overflowed: Cell<u64>,
    /// Connections cut off because one message took too long to be written.
    pub stalled: Cell<u64>,
    pub silent: Cell<u64>,
    /// Messages of strangers after which their connection had to pause.
    pub paused: Cell<u64>,
    pub reload_failed: Cell<u64>,
}

impl WebSocketCounters {
    /// Name and count of each.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        [
            ("wss_opened", &self.opened),
            ("wss_over_limit", &self.over_limit),
            ("wss_displaced", &self.displaced),
            ("wss_tls_failed", &self.tls_failed),
            ("wss_http_refused", &self.http_refused),
            ("wss_origin_refused", &self.origin_refused),
            ("wss_sub_protocol_refused", &self.sub_protocol_refused),
            ("wss_handshake_late", &self.handshake_late),
            ("wss_malformed", &self.malformed),
            ("wss_too_big", &self.too_big),
            ("wss_overflowed", &self.overflowed),
            ("wss_stalled", &self.stalled),
            ("wss_silent", &self.silent),
            ("wss_paused", &self.paused),
            ("wss_reload_failed", &self.reload_failed),
        ]
        .map(|(name, count)| (name, count.get()))
        .into_iter()
    }
}

struct Connection {
    id: u64,
    remote: SocketAddr,
    source: Rc<Source>,
    /// Whether it has shaken hands.
    is_open: Cell<bool>,
    queue: RefCell<VecDeque<Arc<[u8]>>>,
    queue_len: Cell<usize>,
    /// Code and text to close with, once the queue is written.
    close: Cell<Option<(u16, &'static str)>>,
    /// Something is to be written, or the connection to be closed.
    filled: Signal,
    /// The connection is to end at once.
    cut: Signal,
}

impl Connection {
    fn stage(&self) -> Stage {
        match (self.is_open.get(), self.source.has_read()) {
            (true, _) => Stage::Finished,
            (false, true) => Stage::Unfinished,
            (false, false) => Stage::Silent,
        }
    }
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The peer left, or cannot be written to.
    Gone,
    Close(u16, &'static str),
}

/// The WebSockets of one shard. Lives inside a glommio executor; cheap to clone.
#[derive(Clone)]
pub struct WebSockets(Rc<State>);

struct State {
    config: WebSocketConfig,
    local: Cell<SocketAddr>,
    pace: Pace,
    connections: RefCell<HashMap<u64, Rc<Connection>>>,
    /// Connections on which nobody has registered.
    strangers: RefCell<Slots>,
    next_id: Cell<u64>,
    counters: WebSocketCounters,
    failures: Rc<Failures>,
    events: Rc<dyn Fn(StreamEvent<'_>)>,
}

impl WebSockets {
    /// `events` is called from tasks of the connections, never from within `send`.
    pub fn new(
        config: WebSocketConfig,
        pace: Pace,
        events: impl Fn(StreamEvent<'_>) + 'static,
    ) -> Self {
        let (failures, events) = (Rc::<Failures>::default(), Rc::new(events));
        glommio::spawn_local(failures.clone().tell(events.clone())).detach();
        Self(Rc::new(State {
            local: Cell::new(config.local),
            pace,
            connections: RefCell::default(),
            strangers: RefCell::new(Slots::new(config.max_per_address)),
            config,
            next_id: Cell::new(1),
            counters: WebSocketCounters::default(),
            failures,
            events,
        }))
    }

    /// Binds the listener, accepts connections from now on, and looks after the certificate.
    /// Returns the bound address.
    pub fn listen(&self) -> std::io::Result<SocketAddr> {
        let listener = TcpListener::bind(self.0.config.local)?;
        let local = listener.local_addr()?;
        self.0.local.set(local);
        let sockets = self.clone();
        let source = self.0.pace.source(Lane::Own);
        let turns = source.clone();
        let accepting = async move {
            loop {
                match listener.accept().await {
                    Ok(stream) => sockets.accepted(stream),
                    Err(_) => {
                        Timer::new(ACCEPT_PAUSE).await;
                    }
                }
                turns.rest().await;
            }
        };
        glommio::spawn_local(source.run(accepting)).detach();
        if let Security::Tls(certificate) = &self.0.config.security {
            let sockets = self.clone();
            let failed = move || count(&sockets.0.counters.reload_failed);
            let looking = certificate.clone().look_after("the softphones'", failed);
            glommio::spawn_local(looking).detach();
        }
        Ok(local)
    }

    /// Queues one message; without a connection for its flow, the flow fails.
    pub fn send(&self, flow: Flow, bytes: &Arc<[u8]>) {
        let connection =
            flow.connection.and_then(|id| self.0.connections.borrow().get(&id).cloned());
        let Some(connection) = connection.filter(|connection| connection.close.get().is_none())
        else {
            return self.0.failures.tell_later(flow, FlowFault::Broken);
        };
        let queue_len = connection.queue_len.get() + bytes.len();
        if queue_len > QUEUE_LEN {
            count(&self.0.counters.overflowed);
            return connection.cut.set();
        }
        connection.queue_len.set(queue_len);
        connection.queue.borrow_mut().push_back(bytes.clone());
        connection.filled.set();
    }

    /// Closes a flow with a code and its text, once what is queued on it is written.
    pub fn close(&self, flow: Flow, code: u16, text: &'static str) {
        let connection =
            flow.connection.and_then(|id| self.0.connections.borrow().get(&id).cloned());
        if let Some(connection) = connection {
            connection.close.set(Some((code, text)));
            connection.filled.set();
        }
    }

    /// An agent has registered on this flow: it is no stranger's any more.
    pub fn know_agent(&self, flow: Flow) {
        let connection =
            flow.connection.and_then(|id| self.0.connections.borrow().get(&id).cloned());
        if let Some(connection) = connection.filter(|connection| !connection.source.is_own()) {
            connection.source.become_own();
            self.0.strangers.borrow_mut().leave(connection.id);
        }
    }

    /// Closes every flow.
    pub fn close_all(&self, code: u16, text: &'static str) {
        for connection in self.0.connections.borrow().values() {
            connection.close.set(Some((code, text)));
            connection.filled.set();
        }
    }

    /// Connections that are open.
    pub fn connection_count(&self) -> usize {
        self.0.connections.borrow().len()
    }

    /// Counted since the start.
    pub fn counters(&self) -> &WebSocketCounters {
        &self.0.counters
    }

    fn accepted(&self, stream: TcpStream) {
        let Ok(remote) = stream.peer_addr() else { return };
        if !self.admit(remote.ip()) {
            return;
        }
        // Delays SIP messages by up to 40 ms otherwise; if it cannot be set, they are delayed.
        let _ = stream.set_nodelay(true);
        let id = self.0.next_id.replace(self.0.next_id.get() + 1);
        let connection = Rc::new(Connection {
            id,
            remote,
            source: self.0.pace.source(Lane::Strangers),
            is_open: Cell::new(false),
            queue: RefCell::default(),
            queue_len: Cell::new(0),
            close: Cell::new(None),
            filled: Signal::default(),
            cut: Signal::default(),
        });
        self.0.connections.borrow_mut().insert(id, connection.clone());
        let (sockets, source) = (self.clone(), connection.source.clone());
        let task = async move {
            let cut = async {
                connection.cut.wait().await;
                None
            };
            match future::or(cut, sockets.upgrade(&connection, stream)).await {
                Some(socket) => sockets.serve(&connection, socket).await,
                None => sockets.forget(&connection),
            }
        };
        glommio::spawn_local(source.run(task)).detach();
    }

    /// Makes room for the next connection, if there can be any.
    fn admit(&self, address: IpAddr) -> bool {
        let mut strangers = self.0.strangers.borrow_mut();
        let connections = self.0.connections.borrow();
        let room =
            self.0.config.max_connections.saturating_sub(connections.len() - strangers.len());
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
            displaced.cut.set();
            self.forget(&displaced);
        }
        true
    }

    fn forget(&self, connection: &Connection) {
        self.0.strangers.borrow_mut().leave(connection.id);
        self.0.connections.borrow_mut().remove(&connection.id);
    }

    async fn upgrade(
        &self,
        connection: &Connection,
        stream: TcpStream,
    ) -> Option<WebSocketStream<Box<dyn Bytes>>> {
        let State { config, counters, .. } = &*self.0;
        let stream = connection.source.meter(stream);
        let upgraded =
            within(config.limits.handshake, upgrade(stream, &config.security, &config.origins))
                .await;
        let refused = match upgraded {
            Some(Ok(socket)) => return Some(socket),
            None => &counters.handshake_late,
            Some(Err(Refused::Tls)) => &counters.tls_failed,
            Some(Err(Refused::Http)) => &counters.http_refused,
            Some(Err(Refused::Origin)) => &counters.origin_refused,
            Some(Err(Refused::SubProtocol)) => &counters.sub_protocol_refused,
        };
        count(refused);
        None
    }

    /// Runs one WebSocket until its end.
    async fn serve(&self, connection: &Connection, mut socket: WebSocketStream<Box<dyn Bytes>>) {
        count(&self.0.counters.opened);
        connection.is_open.set(true);
        let cut = async {
            connection.cut.wait().await;
            End::Gone
        };
        let end = future::or(cut, self.exchange(connection, &mut socket)).await;
        if let End::Close(code, text) = end {
            connection.close.set(Some((code, text)));
        }
        (self.0.events)(StreamEvent::Failed {
            flow: self.flow(connection),
            fault: FlowFault::Broken,
        });
        if let End::Close(code, text) = end {
            connection.source.part();
            let frame = CloseFrame { code: CloseCode::from(code), reason: text.into() };
            // Whether the peer hears it or not, the connection ends; it has its place until then.
            let said = within(GOODBYE_LIMIT, say_goodbye(&mut socket, frame));
            let cut = async {
                connection.cut.wait().await;
                None
            };
            let _ = future::or(said, cut).await;
        }
        self.forget(connection);
    }

    /// Reads, writes and pings by turns: one task, so that the stream beneath has one waker.
    async fn exchange(
        &self,
        connection: &Connection,
        socket: &mut WebSocketStream<Box<dyn Bytes>>,
    ) -> End {
        let limits = self.0.config.limits;
        let mut ping_at = Instant::now() + limits.ping;
        let mut pong_by = None;
        let mut settled_at = Some(Instant::now() + limits.settling);
        // A stranger that brought too much is not read before.
        let mut read_from = Instant::now();
        loop {
            let next = connection.queue.borrow_mut().pop_front();
            if let Some(bytes) = next {
                connection.queue_len.set(connection.queue_len.get() - bytes.len());
                if let Err(end) = self.write(socket, message(&bytes)).await {
                    return end;
                }
                connection.source.rest().await;
                continue;
            }
            if let Some((code, text)) = connection.close.get() {
                return End::Close(code, text);
            }
            let now = Instant::now();
            if settled_at.take_if(|at| *at <= now).is_some() {
                (self.0.events)(StreamEvent::Settled { flow: self.flow(connection) });
                continue;
            }
            if pong_by.is_some_and(|by| by <= now) {
                count(&self.0.counters.silent);
                return End::Gone;
            }
            if pong_by.is_none() && ping_at <= now {
                ping_at = now + limits.ping;
                pong_by = Some(now + limits.pong);
                if let Err(end) = self.write(socket, Message::Ping(Default::default())).await {
                    return end;
                }
            }
            let wake_at = pong_by.unwrap_or(ping_at);
            let wake_at = settled_at.map_or(wake_at, |at| at.min(wake_at));
            let is_paused = read_from > now;
            let wake_at = if is_paused { wake_at.min(read_from) } else { wake_at };
            let received = async {
                if is_paused { future::pending().await } else { Some(socket.next().await) }
            };
            let filled = async {
                connection.filled.wait().await;
                None
            };
            let timer = async {
                Timer::new(wake_at.saturating_duration_since(now)).await;
                None
            };
            let Some(received) = future::or(received, future::or(filled, timer)).await else {
                continue;
            };
            pong_by = None;
            if let Err(end) = self.take(connection, received) {
                return end;
            }
            let pause = connection.source.take_message();
            if !pause.is_zero() {
                count(&self.0.counters.paused);
                read_from = Instant::now() + pause;
            }
            connection.source.rest().await;
        }
    }

    async fn write(
        &self,
        socket: &mut WebSocketStream<Box<dyn Bytes>>,
        message: Message,
    ) -> Result<(), End> {
        match within(self.0.config.limits.pong, socket.send(message)).await {
            Some(Ok(())) => Ok(()),
            Some(Err(_)) => Err(End::Gone),
            None => {
                count(&self.0.counters.stalled);
                Err(End::Gone)
            }
        }
    }

    fn take(
        &self,
        connection: &Connection,
        received: Option<Result<Message, Error>>,
    ) -> Result<(), End> {
        match received {
            Some(Ok(Message::Text(text))) => self.take_message(connection, text.as_bytes()),
            Some(Ok(Message::Binary(bytes))) => self.take_message(connection, &bytes),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Ok(()),
            // The library has answered the close frame.
            Some(Ok(Message::Close(_))) | None => Err(End::Gone),
            Some(Err(Error::Capacity(_))) => {
                count(&self.0.counters.too_big);
                Err(End::Close(TOO_BIG.0, TOO_BIG.1))
            }
            Some(Err(Error::Utf8(_) | Error::Protocol(_))) => {
                count(&self.0.counters.malformed);
                Err(End::Gone)
            }
            Some(Err(_)) => Err(End::Gone),
        }
    }

    fn take_message(&self, connection: &Connection, bytes: &[u8]) -> Result<(), End> {
        let flow = self.flow(connection);
        match bytes {
            // RFC 5626 §4.4.1; RFC 7118 §6
            b"\r\n\r\n" => {
                self.send(flow, &Arc::from(&b"\r\n"[..]));
                Ok(())
            }
            b"\r\n" => Ok(()),
            _ if is_single(bytes) => {
                (self.0.events)(StreamEvent::Message { flow, bytes });
                Ok(())
            }
            _ => {
                count(&self.0.counters.malformed);
                Err(End::Close(UNSUPPORTED.0, UNSUPPORTED.1))
            }
        }
    }

    fn flow(&self, connection: &Connection) -> Flow {
        Flow {
            transport: Transport::Wss,
            local: self.0.local.get(),
            remote: connection.remote,
            connection: Some(connection.id),
        }
    }
}

/// Text is what browsers' SIP libraries expect; what is not UTF-8 goes as it is.
fn message(bytes: &[u8]) -> Message {
    match std::str::from_utf8(bytes) {
        Ok(text) => Message::text(text),
        Err(_) => Message::binary(bytes.to_vec()),
    }
}

/// Sends the close frame and reads until the peer has ended too, since bytes left unread would turn
/// the end into a reset, and the peer would not hear why (RFC 6455 §7.1.1).
async fn say_goodbye(socket: &mut WebSocketStream<Box<dyn Bytes>>, frame: CloseFrame) {
    if socket.close(Some(frame)).await.is_err() {
        return;
    }
    while let Some(Ok(_)) = socket.next().await {}
    // After an error the library reads no more: the rest of a message that is too big is still to
    // come.
    let stream = socket.get_mut();
    if stream.close().await.is_ok() {
        let mut rest = [0; BUFFER_LEN];
        while stream.read(&mut rest).await.is_ok_and(|len| len > 0) {}
    }
}
