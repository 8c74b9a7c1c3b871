//! The datagram engine of one shard: on each interface a SIP socket and a pool of pre-bound
//! RTP/RTCP port pairs, behind one epoll set, all non-blocking and owned by one task. Media come in
//! bursts (`burst`), which are received, relayed in place and sent in three steps. The caller
//! decides what happens to each datagram. Only sockets in use are watched. Level-triggered: a voice
//! socket holds one packet at a time, so receiving once is cheaper than reading until it would
//! block.

mod burst;

use crate::EngineError;
use burst::Burst;
use media_core::relay::{Forward, SocketId};
use rustix::event::epoll;
use rustix::net::sockopt;
use socket2::{Domain, Protocol, Socket, Type};
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// Longest SIP message over UDP (RFC 3261 §18.1.1).
const SIP_LEN: usize = 65_535;
/// Sockets reported by one `epoll_wait`: the largest batch.
const BATCH_LEN: usize = 256;
/// Most SIP messages of one batch. More than one, so that a shard busy with media still answers
/// before its peers repeat; capped, so that a flood of signalling leaves the media its turn.
const SIP_BATCH_LEN: u32 = 32;
/// Bytes of them after which the batch brings no more: reading a message takes as long as it is.
const SIP_BATCH_BYTES: usize = 32 * 1024;
/// Receive and send buffer of a media socket in bytes: half a second of 20 ms voice at the kernel's
/// own bookkeeping size.
const MEDIA_BUFFER_LEN: usize = 32 * 1024;
/// Receive buffer of the SIP socket in bytes: a burst of requests while the shard is busy.
const SIP_BUFFER_LEN: usize = 1024 * 1024;
/// Most datagrams of softphones of one batch: what 1,000 of them send in 5 ms. What is left waits
/// for the next batch.
const WEBRTC_BATCH_LEN: usize = 256;
/// Datagrams of softphones that are asked for beyond those that came last time.
const WEBRTC_MARGIN: usize = 4;
/// Receive and send buffer of the softphones' socket in bytes, which the system may cut: a tenth of
/// a second of 1,000 softphones.
const WEBRTC_BUFFER_LEN: usize = 4 * 1024 * 1024;
/// Datagrams a millisecond from which they are let gather.
const GATHER_FROM: u64 = 16;
/// How long they gather: what a datagram may wait for others, in exchange for fewer and larger
/// bursts.
const GATHER: Duration = Duration::from_millis(1);
/// The shortest sleep that is worth it: the kernel adds some 50 µs, which a shard that is nearly
/// busy lacks.
const SHORTEST_SLEEP: Duration = Duration::from_micros(200);
/// The epoll key of the first interface's SIP socket, the others' follow; media sockets and the
/// softphones' use their number, which is less.
const SIP_KEY: u64 = 1 << 32;
const WEBRTC_KEY: u64 = SocketId::WEBRTC.0 as u64;
/// The epoll key of the bell.
const BELL_KEY: u64 = u64::MAX;

/// Addresses and size of one shard's sockets.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// SIP over UDP, of each interface, the default one first; port 0 lets the system choose.
    pub sip: Vec<SocketAddr>,
    /// Whether engines of this process share the SIP addresses: each datagram reaches one of them,
    /// by a hash of where it comes from.
    pub sip_is_shared: bool,
    /// Addresses that the media sockets are bound to, of each interface.
    pub media_addresses: Vec<IpAddr>,
    /// First port of the pool: pair `n` is `first_port + 2n` and `+ 1`, on each interface.
    pub first_port: u16,
    pub pair_count: u16,
    /// The softphones' socket, if there are any; port 0 lets the system choose.
    pub webrtc: Option<SocketAddr>,
}

/// What the engine took from its sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// A SIP message of this length, for `sip_message`.
    Sip { interface: usize, remote: SocketAddr, len: usize },
    /// Media, for `relay_burst`.
    Burst,
    /// The bell of `hear` was rung.
    Rung,
}

/// What the engine did since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EngineCounters {
    pub received: u64,
    pub sent: u64,
    /// Datagrams dropped because the socket's send buffer was full.
    pub send_would_block: u64,
    /// Datagrams that the system refused to send, mostly after an ICMP error of the peer.
    pub send_failed: u64,
    /// Pending errors (ICMP) read instead of a datagram.
    pub receive_failed: u64,
    /// Datagrams that had come to a port before a call used it.
    pub discarded: u64,
    /// Batches, that is, returns of `epoll_wait` with something.
    pub batches: u64,
}

struct MediaSocket {
    socket: UdpSocket,
    peer: Peer,
}

/// The port pairs of each interface, one interface after the other.
struct Pool {
    sockets: Vec<MediaSocket>,
    /// Sockets of one interface.
    len: usize,
}

impl Pool {
    /// The softphones' socket stands nowhere.
    fn place(&self, socket: SocketId) -> usize {
        socket.interface() * self.len + socket.port_offset() as usize
    }

    fn get(&self, socket: SocketId) -> Option<&MediaSocket> {
        self.sockets.get(self.place(socket))
    }

    fn get_mut(&mut self, socket: SocketId) -> Option<&mut MediaSocket> {
        let place = self.place(socket);
        self.sockets.get_mut(place)
    }
}

/// Whom a media socket hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Peer {
    Any,
    /// Connected, but the queue may still hold datagrams of others from before.
    Settling(SocketAddr),
    /// Connected: the kernel lets no other source through.
    Only(SocketAddr),
}

/// All UDP sockets of one shard.
pub struct Engine {
    epoll: OwnedFd,
    /// One of each interface.
    sip: Vec<UdpSocket>,
    /// Wakes the engine as a datagram does.
    bell: Option<OwnedFd>,
    webrtc: Option<UdpSocket>,
    media: Pool,
    events: Vec<epoll::Event>,
    next_event: usize,
    /// SIP messages that this batch may still bring of this interface.
    sip_budget: u32,
    /// Bytes of SIP that it may still bring; the last message may be longer.
    sip_byte_budget: usize,
    /// Datagrams of softphones that this batch may still bring, and those that it brought.
    webrtc_budget: usize,
    webrtc_count: usize,
    /// Those that the batch before it brought.
    webrtc_before: usize,
    /// Whether there may be more of them.
    webrtc_waits: bool,
    burst: Burst,
    sip_buffer: Box<[u8]>,
    counters: EngineCounters,
    pace: Pace,
}

/// How fast datagrams come: under load they are let gather.
struct Pace {
    /// The last batch.
    began: Instant,
    /// Time between the last batch and the one before it.
    interval: Duration,
    /// Datagrams received before the last batch.
    received_before: u64,
}

impl Pace {
    fn new(now: Instant) -> Self {
        Self { began: now, interval: GATHER, received_before: 0 }
    }

    /// What is left of the time to gather, after so many datagrams in all.
    fn remaining(&self, now: Instant, received: u64) -> Duration {
        let is_fast = (received - self.received_before) * 1_000
            >= GATHER_FROM * self.interval.as_micros() as u64;
        let left = GATHER.saturating_sub(now - self.began);
        if is_fast && left >= SHORTEST_SLEEP { left } else { Duration::ZERO }
    }

    /// A batch begins, after so many datagrams in all.
    fn begin(&mut self, now: Instant, received: u64) {
        self.interval = now - self.began;
        (self.began, self.received_before) = (now, received);
    }
}

impl Engine {
    /// Binds all sockets; fails naming the first address that cannot be bound.
    pub fn open(config: &EngineConfig) -> Result<Self, EngineError> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)
            .map_err(|error| EngineError::Epoll(error.into()))?;
        let mut sip = Vec::with_capacity(config.sip.len());
        for (key, address) in (SIP_KEY..).zip(&config.sip) {
            let socket = bind(*address, SIP_BUFFER_LEN, config.sip_is_shared)?;
            watch(&epoll, socket.as_fd(), key)?;
            sip.push(socket);
        }
        let webrtc =
            config.webrtc.map(|address| bind_media(address, WEBRTC_BUFFER_LEN)).transpose()?;
        if let Some(webrtc) = &webrtc {
            watch(&epoll, webrtc.as_fd(), WEBRTC_KEY)?;
        }
        let pool_len = usize::from(config.pair_count) * 2;
        let mut media = Vec::with_capacity(pool_len * config.media_addresses.len());
        for address in &config.media_addresses {
            for offset in 0..u32::from(config.pair_count) * 2 {
                let port = u16::try_from(u32::from(config.first_port) + offset)
                    .map_err(|_| EngineError::PortRange)?;
                let socket = bind_media(SocketAddr::new(*address, port), MEDIA_BUFFER_LEN)?;
                media.push(MediaSocket { socket, peer: Peer::Any });
            }
        }
        Ok(Self {
            epoll,
            sip,
            bell: None,
            webrtc,
            media: Pool { sockets: media, len: pool_len },
            events: Vec::with_capacity(BATCH_LEN),
            next_event: 0,
            sip_budget: 0,
            sip_byte_budget: 0,
            webrtc_budget: 0,
            webrtc_count: 0,
            webrtc_before: 0,
            webrtc_waits: false,
            burst: Burst::new().map_err(EngineError::Ring)?,
            sip_buffer: vec![0; SIP_LEN].into_boxed_slice(),
            counters: EngineCounters::default(),
            pace: Pace::new(Instant::now()),
        })
    }

    /// Waits at most `timeout` for datagrams and begins a batch with what is there. Returns whether
    /// the batch holds anything. Under load, a batch begins a millisecond after the last one, so
    /// that it holds more.
    pub fn wait(&mut self, timeout: Duration) -> bool {
        let gather = self.pace.remaining(Instant::now(), self.counters.received).min(timeout);
        if !gather.is_zero() {
            std::thread::sleep(gather);
        }
        let timeout = timeout - gather;
        self.next_event = 0;
        self.sip_budget = SIP_BATCH_LEN;
        self.sip_byte_budget = SIP_BATCH_BYTES;
        self.webrtc_budget = WEBRTC_BATCH_LEN;
        self.webrtc_before = std::mem::take(&mut self.webrtc_count);
        self.webrtc_waits = false;
        self.events.clear();
        let timeout = rustix::event::Timespec {
            tv_sec: timeout.as_secs() as i64,
            tv_nsec: i64::from(timeout.subsec_nanos()),
        };
        // An interrupted wait is an empty batch.
        let _ = epoll::wait(
            &self.epoll,
            rustix::buffer::spare_capacity(&mut self.events),
            Some(&timeout),
        );
        if self.events.is_empty() {
            return false;
        }
        self.counters.batches += 1;
        self.pace.begin(Instant::now(), self.counters.received);
        true
    }

    /// Receives the next SIP message or burst of media of the batch, or `None` at the end of the
    /// batch.
    pub fn receive(&mut self) -> Option<Received> {
        self.burst.clear();
        self.ask_webrtc();
        while let Some(event) = self.events.get(self.next_event) {
            match event.data.u64() {
                SIP_KEY.. if !self.burst.is_empty() => break,
                BELL_KEY => {
                    self.next_event += 1;
                    self.silence_bell();
                    return Some(Received::Rung);
                }
                key @ SIP_KEY.. => {
                    if let Some(message) = self.receive_sip((key - SIP_KEY) as usize) {
                        return Some(message);
                    }
                }
                _ if self.burst.room() == 0 => break,
                WEBRTC_KEY => {
                    self.next_event += 1;
                    self.webrtc_waits = true;
                    self.ask_webrtc();
                }
                key => self.receive_media(SocketId(key as u32)),
            }
        }
        self.burst.receive(|socket, result| {
            self.counters.count_received(result);
            if socket == SocketId::WEBRTC {
                self.webrtc_count += usize::from(result.is_ok());
                self.webrtc_waits &= result.is_ok();
            }
        });
        (!self.burst.is_empty()).then_some(Received::Burst)
    }

    /// Asks the softphones' socket for about as many datagrams as there may be.
    fn ask_webrtc(&mut self) {
        let Some(webrtc) = self.webrtc.as_ref().filter(|_| self.webrtc_waits) else { return };
        let likely = self.webrtc_before.max(self.webrtc_count) + WEBRTC_MARGIN;
        let count = likely.min(self.webrtc_budget).min(self.burst.room());
        (0..count).for_each(|_| self.burst.queue_receive_from(SocketId::WEBRTC, webrtc));
        self.webrtc_budget -= count;
    }

    /// Takes an eventfd that others write to: `Received::Rung` tells of it, also to an engine that
    /// waits or is parked.
    pub(crate) fn hear(&mut self, bell: OwnedFd) -> Result<(), EngineError> {
        watch(&self.epoll, bell.as_fd(), BELL_KEY)?;
        self.bell = Some(bell);
        Ok(())
    }

    fn silence_bell(&self) {
        if let Some(bell) = &self.bell {
            // It is readable, and nobody else reads it.
            let _ = rustix::io::read(bell, &mut [0; 8]);
        }
    }

    fn receive_sip(&mut self, interface: usize) -> Option<Received> {
        let result = self.sip[interface].recv_from(&mut self.sip_buffer);
        self.sip_budget -= 1;
        self.sip_byte_budget =
            self.sip_byte_budget.saturating_sub(result.as_ref().map_or(0, |(len, _)| *len));
        if self.sip_budget == 0 || self.sip_byte_budget == 0 || result.is_err() {
            self.next_event += 1;
            (self.sip_budget, self.sip_byte_budget) = (SIP_BATCH_LEN, SIP_BATCH_BYTES);
        }
        self.counters.count_received(&result);
        result.ok().map(|(len, remote)| Received::Sip { interface, remote, len })
    }

    /// Takes one datagram of a media socket into the burst, and ends the socket's event when it has
    /// had its turn.
    fn receive_media(&mut self, socket: SocketId) {
        let Some(media) = self.media.get_mut(socket) else {
            return self.next_event += 1;
        };
        if let Peer::Only(peer) = media.peer {
            self.next_event += 1;
            return self.burst.queue_receive(socket, &media.socket, peer);
        }
        let result = media.socket.recv_from(self.burst.space());
        let is_empty = result.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
        let had_its_turn = match media.peer {
            Peer::Settling(peer) if is_empty => {
                media.peer = Peer::Only(peer);
                true
            }
            // Read on until the queue from before the connect is empty.
            Peer::Settling(_) => false,
            Peer::Any | Peer::Only(_) => true,
        };
        self.next_event += usize::from(had_its_turn);
        self.counters.count_received(&result);
        if let Ok((len, remote)) = result {
            self.burst.push(socket, remote, len);
        }
    }

    /// The SIP message that was received last.
    pub fn sip_message(&self, len: usize) -> &[u8] {
        &self.sip_buffer[..len]
    }

    /// Socket and source of each datagram of the burst.
    pub fn burst(&self) -> impl Iterator<Item = (SocketId, SocketAddr)> {
        self.burst.sources()
    }

    /// Lets `relay` handle each datagram of the burst in place (socket, source, buffer with room
    /// behind the datagram, its length), then sends what is to be sent.
    pub fn relay_burst(
        &mut self,
        relay: impl FnMut(SocketId, SocketAddr, &mut [u8], usize) -> Forward,
    ) {
        self.burst.relay(relay);
        for place in 0..self.burst.len() {
            let Forward::To { socket, remote, start, len } = self.burst.forward(place) else {
                continue;
            };
            let range = start..start + len;
            match (self.media.get(socket), &self.webrtc) {
                (Some(media), _) if media.is_connected_to(remote) => {
                    self.burst.queue_send(place, range, &media.socket, None)
                }
                (None, Some(webrtc)) => self.burst.queue_send(place, range, webrtc, Some(remote)),
                _ => {
                    if let Some(result) =
                        self.transmit(socket, remote, self.burst.part(place, range))
                    {
                        self.counters.count_sent(&result);
                    }
                }
            }
        }
        let counters = &mut self.counters;
        self.burst.send(|result| counters.count_sent(&result));
    }

    /// Begins to read a media socket, without what came to it while nobody used it.
    pub fn open_socket(&mut self, socket: SocketId) {
        self.discard(socket);
        if let Some(media) = self.media.get(socket) {
            // A failure is a dead descriptor or a socket that is watched already.
            let _ = watch(&self.epoll, media.socket.as_fd(), u64::from(socket.0));
        }
    }

    /// Sends bytes from a media socket.
    pub fn send(&mut self, socket: SocketId, remote: SocketAddr, bytes: &[u8]) {
        if let Some(result) = self.transmit(socket, remote, bytes) {
            self.counters.count_sent(&result);
        }
    }

    /// `None` if there is no such socket.
    fn transmit(
        &self,
        socket: SocketId,
        remote: SocketAddr,
        bytes: &[u8],
    ) -> Option<std::io::Result<usize>> {
        if socket == SocketId::WEBRTC {
            return Some(self.webrtc.as_ref()?.send_to(bytes, remote));
        }
        let media = self.media.get(socket)?;
        Some(if media.is_connected_to(remote) {
            media.socket.send(bytes)
        } else {
            media.socket.send_to(bytes, remote)
        })
    }

    /// Sends one SIP message by an interface.
    pub fn send_sip(&mut self, interface: usize, remote: SocketAddr, bytes: &[u8]) {
        let result = self.sip[interface].send_to(bytes, remote);
        self.counters.count_sent(&result);
    }

    /// Binds a media socket to one peer: cheaper, and the kernel then refuses every other source.
    pub fn connect(&mut self, socket: SocketId, remote: SocketAddr) {
        if let Some(media) = self.media.get_mut(socket) {
            media.peer = if media.socket.connect(remote).is_ok() {
                Peer::Settling(remote)
            } else {
                Peer::Any
            };
        }
    }

    /// Frees a media socket of its peer.
    pub fn disconnect(&mut self, socket: SocketId) {
        if let Some(media) = self.media.get_mut(socket)
            && media.peer != Peer::Any
        {
            media.peer = Peer::Any;
            // The only failure is a dead descriptor.
            let _ = rustix::net::connect_unspec(&media.socket);
        }
    }

    /// Frees a media socket of its peer and stops reading it.
    pub fn release(&mut self, socket: SocketId) {
        self.disconnect(socket);
        if let Some(media) = self.media.get(socket) {
            // The only failure is a socket that is not watched.
            let _ = epoll::delete(&self.epoll, &media.socket);
        }
        self.discard(socket);
    }

    fn discard(&mut self, socket: SocketId) {
        let Some(media) = self.media.get(socket) else { return };
        loop {
            match media.socket.recv(&mut self.sip_buffer[..1]) {
                Ok(_) => self.counters.discarded += 1,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => self.counters.receive_failed += 1,
            }
        }
    }

    /// The addresses of the SIP sockets, of each interface.
    pub fn sip_addresses(&self) -> std::io::Result<Vec<SocketAddr>> {
        self.sip.iter().map(UdpSocket::local_addr).collect()
    }

    /// The address of the softphones' socket, if there is one.
    pub fn webrtc_address(&self) -> std::io::Result<Option<SocketAddr>> {
        self.webrtc.as_ref().map(UdpSocket::local_addr).transpose()
    }

    /// Counted since the start.
    pub fn counters(&self) -> EngineCounters {
        self.counters
    }

    /// Becomes readable with the first waiting datagram.
    pub fn readiness(&self) -> std::io::Result<OwnedFd> {
        self.epoll.try_clone()
    }
}

impl EngineCounters {
    fn count_received<T>(&mut self, result: &std::io::Result<T>) {
        match result {
            Ok(_) => self.received += 1,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => self.receive_failed += 1,
        }
    }

    fn count_sent(&mut self, result: &std::io::Result<usize>) {
        match result {
            Ok(_) => self.sent += 1,
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.send_would_block += 1,
            Err(_) => self.send_failed += 1,
        }
    }
}

impl MediaSocket {
    fn is_connected_to(&self, remote: SocketAddr) -> bool {
        matches!(self.peer, Peer::Settling(peer) | Peer::Only(peer) if peer == remote)
    }
}

fn bind(address: SocketAddr, buffer_len: usize, is_shared: bool) -> Result<UdpSocket, EngineError> {
    let open = || {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::DGRAM.nonblocking().cloexec(),
            Some(Protocol::UDP),
        )?;
        socket.set_recv_buffer_size(buffer_len)?;
        socket.set_send_buffer_size(buffer_len)?;
        socket.set_reuse_port(is_shared)?;
        socket.bind(&address.into())?;
        Ok(UdpSocket::from(socket))
    };
    open().map_err(|error| EngineError::Bind { address, error })
}

/// A media socket never fragments, and takes no ICMP message's word for the path's MTU: its
/// datagrams are small, and those that cannot be fragmented need no identifier, which costs the
/// kernel a hundredth of a packet.
fn bind_media(address: SocketAddr, buffer_len: usize) -> Result<UdpSocket, EngineError> {
    let socket = bind(address, buffer_len, false)?;
    if address.is_ipv4() {
        sockopt::set_ip_mtu_discover(&socket, sockopt::Ipv4PathMtuDiscovery::PROBE)
            .map_err(|error| EngineError::Bind { address, error: error.into() })?;
    }
    Ok(socket)
}

fn watch(epoll: &OwnedFd, socket: BorrowedFd<'_>, key: u64) -> Result<(), EngineError> {
    epoll::add(epoll, socket, epoll::EventData::new_u64(key), epoll::EventFlags::IN)
        .map_err(|error| EngineError::Epoll(error.into()))
}

#[cfg(test)]
mod tests;
