//! SIP over streams (RFC 3261 §18): connections that peers or we opened, cut into messages, written from a bounded queue, closed when
//! idle. Knows no transaction; every failure is told with the flow that it ended.

use super::later;
use futures_lite::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, future};
use glommio::net::{TcpListener, TcpStream};
use glommio::timer::Timer;
use media_shard::signal::Signal;
use sip_core::edge::{Flow, Transport};
use sip_core::message::{Frame, Framer, Limits};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Longest wait for a connection that we open.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Most bytes that wait to be written on one connection; a peer that reads slower is cut off.
const QUEUE_LEN: usize = 256 * 1024;
const READ_LEN: usize = 16 * 1024;
/// Wait after a failed accept, which is nearly always a lack of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Limits of one shard's streams.
#[derive(Debug, Clone, Copy)]
pub struct StreamConfig {
    pub local: SocketAddr,
    pub max_connections: usize,
    pub idle: Duration,
}

/// What a stream brings.
#[derive(Debug, Clone, Copy)]
pub enum StreamEvent<'a> {
    /// One whole message.
    Message { flow: Flow, bytes: &'a [u8] },
    /// The flow is gone, and what was sent on it lately may not have arrived.
    Failed { flow: Flow },
    /// A WebSocket has been open for a while: who has no business on it by now is to be sent away.
    Settled { flow: Flow },
}

/// What happened to the streams of a shard since its start.
#[derive(Debug, Default)]
pub struct StreamCounters {
    pub accepted: Cell<u64>,
    pub opened: Cell<u64>,
    /// Connections refused or not opened because there are too many.
    pub over_limit: Cell<u64>,
    /// Connections closed because their bytes are not SIP messages.
    pub malformed: Cell<u64>,
    /// Connections closed because the peer does not read.
    pub overflowed: Cell<u64>,
    pub idle_closed: Cell<u64>,
}

struct Connection {
    id: u64,
    remote: SocketAddr,
    queue: RefCell<Vec<u8>>,
    filled: Signal,
    /// Set when the connection is to be closed from outside of its task.
    cut: Signal,
    last_active: Cell<Instant>,
}

/// Why a connection ended.
enum End {
    Idle,
    Broken,
}

/// The stream connections of one shard. Lives inside a glommio executor; cheap to clone.
#[derive(Clone)]
pub struct Streams(Rc<State>);

struct State {
    config: StreamConfig,
    connections: RefCell<HashMap<u64, Rc<Connection>>>,
    by_remote: RefCell<HashMap<SocketAddr, u64>>,
    next_id: Cell<u64>,
    counters: StreamCounters,
    events: Box<dyn Fn(StreamEvent<'_>)>,
}

impl Streams {
    /// `events` is called from tasks of the connections, never from within `send`.
    pub fn new(config: StreamConfig, events: impl Fn(StreamEvent<'_>) + 'static) -> Self {
        Self(Rc::new(State {
            config,
            connections: RefCell::default(),
            by_remote: RefCell::default(),
            next_id: Cell::new(1),
            counters: StreamCounters::default(),
            events: Box::new(events),
        }))
    }

    /// Binds the listener and accepts connections from now on.
    pub fn listen(&self) -> std::io::Result<()> {
        let listener = TcpListener::bind(self.0.config.local)?;
        let streams = self.clone();
        glommio::spawn_local(async move {
            loop {
                match listener.accept().await {
                    Ok(stream) => streams.accepted(stream),
                    Err(_) => {
                        Timer::new(ACCEPT_PAUSE).await;
                    }
                }
            }
        })
        .detach();
        Ok(())
    }

    /// Queues one message; opens a connection if the flow names none and none is open to its peer.
    pub fn send(&self, flow: Flow, bytes: &[u8]) {
        let id = flow.connection.or_else(|| self.0.by_remote.borrow().get(&flow.remote).copied());
        let connection = id.and_then(|id| self.0.connections.borrow().get(&id).cloned());
        let connection = match (connection, flow.connection) {
            (Some(connection), _) => connection,
            (None, None) if self.has_room() => self.open(flow.remote),
            (None, _) => return self.fail_later(flow),
        };
        let mut queue = connection.queue.borrow_mut();
        if queue.len() + bytes.len() > QUEUE_LEN {
            count(&self.0.counters.overflowed);
            drop(queue);
            self.forget(&connection);
            connection.cut.set();
            return self.fail_later(flow);
        }
        queue.extend_from_slice(bytes);
        connection.filled.set();
    }

    pub fn connection_count(&self) -> usize {
        self.0.connections.borrow().len()
    }

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
        if !self.has_room() {
            return;
        }
        count(&self.0.counters.accepted);
        let connection = self.remember(remote);
        let streams = self.clone();
        glommio::spawn_local(async move { streams.serve(connection, stream).await }).detach();
    }

    fn open(&self, remote: SocketAddr) -> Rc<Connection> {
        count(&self.0.counters.opened);
        let connection = self.remember(remote);
        let (streams, opened) = (self.clone(), connection.clone());
        glommio::spawn_local(async move {
            match TcpStream::connect_timeout(remote, CONNECT_LIMIT).await {
                Ok(stream) => streams.serve(opened, stream).await,
                Err(_) => streams.closed(&opened, End::Broken),
            }
        })
        .detach();
        connection
    }

    fn remember(&self, remote: SocketAddr) -> Rc<Connection> {
        let id = self.0.next_id.replace(self.0.next_id.get() + 1);
        let connection = Rc::new(Connection {
            id,
            remote,
            queue: RefCell::default(),
            filled: Signal::default(),
            cut: Signal::default(),
            last_active: Cell::new(Instant::now()),
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
        self.0.connections.borrow_mut().remove(&connection.id).is_some()
    }

    /// Runs one connection until its end. Any stream will do: TLS is a handshake before this.
    async fn serve<S: AsyncRead + AsyncWrite + Unpin>(&self, connection: Rc<Connection>, stream: S) {
        let (mut reader, mut writer) = futures_lite::io::split(stream);
        let cut = async {
            connection.cut.wait().await;
            End::Broken
        };
        let flowing = future::or(self.read(&connection, &mut reader), self.write(&connection, &mut writer));
        let end = future::or(cut, flowing).await;
        self.closed(&connection, end);
    }

    fn closed(&self, connection: &Connection, end: End) {
        let was_known = self.forget(connection);
        match end {
            End::Idle => count(&self.0.counters.idle_closed),
            End::Broken if was_known => self.fail(connection.remote, connection.id),
            End::Broken => {}
        }
    }

    /// Told for the connection, and for what was sent to its peer without naming one.
    fn fail(&self, remote: SocketAddr, id: u64) {
        for connection in [Some(id), None] {
            (self.0.events)(StreamEvent::Failed { flow: self.flow(remote, connection) });
        }
    }

    fn fail_later(&self, flow: Flow) {
        let streams = self.clone();
        later(move || (streams.0.events)(StreamEvent::Failed { flow }));
    }

    fn flow(&self, remote: SocketAddr, connection: Option<u64>) -> Flow {
        Flow { transport: Transport::Tcp, local: self.0.config.local, remote, connection }
    }

    async fn read(&self, connection: &Connection, reader: &mut (impl AsyncRead + Unpin)) -> End {
        let flow = self.flow(connection.remote, Some(connection.id));
        let mut framer = Framer::new(Limits::default());
        let mut bytes = vec![0; READ_LEN];
        loop {
            let received = future::or(async { Some(reader.read(&mut bytes).await) }, async {
                Timer::new(self.0.config.idle).await;
                None
            });
            match received.await {
                None if connection.last_active.get().elapsed() < self.0.config.idle => continue,
                None => return End::Idle,
                Some(Ok(0) | Err(_)) => return End::Broken,
                Some(Ok(len)) => framer.push(&bytes[..len]),
            }
            connection.last_active.set(Instant::now());
            loop {
                match framer.poll() {
                    Ok(None) => break,
                    Ok(Some(Frame::Message(bytes))) => (self.0.events)(StreamEvent::Message { flow, bytes }),
                    // RFC 5626 §4.4.1
                    Ok(Some(Frame::Ping)) => self.send(flow, b"\r\n"),
                    Err(_) => {
                        count(&self.0.counters.malformed);
                        return End::Broken;
                    }
                }
            }
        }
    }

    async fn write(&self, connection: &Connection, writer: &mut (impl AsyncWrite + Unpin)) -> End {
        loop {
            let bytes = connection.queue.take();
            if !bytes.is_empty() {
                connection.last_active.set(Instant::now());
                if writer.write_all(&bytes).await.is_err() {
                    return End::Broken;
                }
            } else {
                connection.filled.wait().await;
            }
        }
    }
}

fn count(counter: &Cell<u64>) {
    counter.set(counter.get() + 1);
}
