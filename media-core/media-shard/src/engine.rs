//! The datagram engine of one shard: a SIP socket and a pool of pre-bound RTP/RTCP port pairs behind one epoll set, all
//! non-blocking and owned by one task. Receives into one buffer with room after the datagram, so that a packet can be rewritten in
//! place. The caller decides what happens to each datagram. Only sockets in use are watched. Level-triggered: a voice socket holds
//! one packet at a time, so one `recv` each is cheaper than reading until it would block.

use crate::EngineError;
use media_core::relay::{SocketId, TAIL_ROOM};
use rustix::event::epoll;
use socket2::{Domain, Protocol, Socket, Type};
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// Longest datagram that is received whole; SIP over UDP may fill one (RFC 3261 §18.1.1).
pub const DATAGRAM_LEN: usize = 65_535;
/// Sockets reported by one `epoll_wait`: the largest batch.
const BATCH_LEN: usize = 256;
/// Most SIP messages of one batch. More than one, so that a shard busy with media still answers before its peers repeat; capped, so that a
/// flood of signalling leaves the media its turn.
const SIP_BATCH_LEN: u32 = 32;
/// Receive and send buffer of a media socket in bytes: half a second of 20 ms voice at the kernel's own bookkeeping size.
const MEDIA_BUFFER_LEN: usize = 32 * 1024;
/// Receive buffer of the SIP socket in bytes: a burst of requests while the shard is busy.
const SIP_BUFFER_LEN: usize = 1024 * 1024;
/// Most datagrams of softphones of one batch: what 1,000 of them send in 5 ms. What is left waits for the next batch.
const WEBRTC_BATCH_LEN: u32 = 256;
/// Receive and send buffer of the softphones' socket in bytes, which the system may cut: a tenth of a second of 1,000 softphones.
const WEBRTC_BUFFER_LEN: usize = 4 * 1024 * 1024;
/// The epoll key of the SIP socket; media sockets and the softphones' use their number.
const SIP_KEY: u64 = u64::MAX;

/// Addresses and size of one shard's sockets.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// SIP over UDP; port 0 lets the system choose.
    pub sip: SocketAddr,
    /// Address that the media sockets are bound to.
    pub media_address: IpAddr,
    /// First port of the pool: pair `n` is `first_port + 2n` and `+ 1`.
    pub first_port: u16,
    pub pair_count: u16,
    /// The softphones' socket, if there are any; port 0 lets the system choose.
    pub webrtc: Option<SocketAddr>,
}

/// Which kind of socket a datagram came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    Sip,
    Media(SocketId),
}

/// A datagram that now lies in the engine's buffer.
#[derive(Debug, Clone, Copy)]
pub struct Received {
    pub channel: Channel,
    pub remote: SocketAddr,
    pub len: usize,
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
    sip: UdpSocket,
    webrtc: Option<UdpSocket>,
    media: Vec<MediaSocket>,
    events: Vec<epoll::Event>,
    next_event: usize,
    /// SIP messages that this batch may still bring.
    sip_budget: u32,
    /// Datagrams of softphones that this batch may still bring.
    webrtc_budget: u32,
    buffer: Box<[u8]>,
    counters: EngineCounters,
}

impl Engine {
    /// Binds all sockets; fails naming the first address that cannot be bound.
    pub fn open(config: &EngineConfig) -> Result<Self, EngineError> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(|error| EngineError::Epoll(error.into()))?;
        let sip = bind(config.sip, SIP_BUFFER_LEN)?;
        watch(&epoll, sip.as_fd(), SIP_KEY)?;
        let webrtc = config.webrtc.map(|address| bind(address, WEBRTC_BUFFER_LEN)).transpose()?;
        if let Some(webrtc) = &webrtc {
            watch(&epoll, webrtc.as_fd(), SocketId::WEBRTC.0.into())?;
        }
        let mut media = Vec::with_capacity(usize::from(config.pair_count) * 2);
        for offset in 0..u32::from(config.pair_count) * 2 {
            let port = u16::try_from(u32::from(config.first_port) + offset).map_err(|_| EngineError::PortRange)?;
            let socket = bind(SocketAddr::new(config.media_address, port), MEDIA_BUFFER_LEN)?;
            media.push(MediaSocket { socket, peer: Peer::Any });
        }
        Ok(Self {
            epoll,
            sip,
            webrtc,
            media,
            events: Vec::with_capacity(BATCH_LEN),
            next_event: 0,
            sip_budget: 0,
            webrtc_budget: 0,
            buffer: vec![0; DATAGRAM_LEN + TAIL_ROOM].into_boxed_slice(),
            counters: EngineCounters::default(),
        })
    }

    /// Waits at most `timeout` for datagrams and begins a batch with what is there. Returns whether the batch holds anything.
    pub fn wait(&mut self, timeout: Duration) -> bool {
        self.next_event = 0;
        self.sip_budget = SIP_BATCH_LEN;
        self.webrtc_budget = WEBRTC_BATCH_LEN;
        self.events.clear();
        let timeout = rustix::event::Timespec { tv_sec: timeout.as_secs() as i64, tv_nsec: i64::from(timeout.subsec_nanos()) };
        // An interrupted wait is an empty batch.
        let _ = epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut self.events), Some(&timeout));
        self.counters.batches += u64::from(!self.events.is_empty());
        !self.events.is_empty()
    }

    /// Receives the next datagram of the batch into the buffer, or `None` at the end of the batch.
    pub fn receive(&mut self) -> Option<Received> {
        let space = &mut self.buffer[..DATAGRAM_LEN];
        while let Some(event) = self.events.get(self.next_event) {
            let key = event.data.u64();
            let (channel, result) = match self.media.get_mut(key as usize) {
                Some(media) => {
                    let result = match media.peer {
                        Peer::Only(peer) => media.socket.recv(space).map(|len| (len, peer)),
                        Peer::Any | Peer::Settling(_) => media.socket.recv_from(space),
                    };
                    match (media.peer, &result) {
                        (Peer::Settling(peer), Err(error)) if error.kind() == ErrorKind::WouldBlock => {
                            media.peer = Peer::Only(peer);
                            self.next_event += 1;
                        }
                        // Read on until the queue from before the connect is empty.
                        (Peer::Settling(_), _) => {}
                        _ => self.next_event += 1,
                    }
                    (Channel::Media(SocketId(key as u32)), result)
                }
                None => {
                    let (channel, socket, budget) = match &self.webrtc {
                        Some(webrtc) if key == u64::from(SocketId::WEBRTC.0) => {
                            (Channel::Media(SocketId::WEBRTC), webrtc, &mut self.webrtc_budget)
                        }
                        _ => (Channel::Sip, &self.sip, &mut self.sip_budget),
                    };
                    let result = socket.recv_from(space);
                    *budget -= 1;
                    if *budget == 0 || result.is_err() {
                        self.next_event += 1;
                    }
                    (channel, result)
                }
            };
            match result {
                Ok((len, remote)) => {
                    self.counters.received += 1;
                    return Some(Received { channel, remote, len });
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => self.counters.receive_failed += 1,
            }
        }
        None
    }

    /// The buffer, which begins with the last received datagram.
    pub fn buffer(&mut self) -> &mut [u8] {
        &mut self.buffer
    }

    /// Begins to read a media socket, without what came to it while nobody used it.
    pub fn open_socket(&mut self, socket: SocketId) {
        self.discard(socket);
        if let Some(media) = self.media.get(socket.0 as usize) {
            // A failure is a dead descriptor or a socket that is watched already.
            let _ = watch(&self.epoll, media.socket.as_fd(), u64::from(socket.0));
        }
    }

    /// Sends part of the buffer from a media socket.
    pub fn send_from_buffer(&mut self, socket: SocketId, remote: SocketAddr, range: std::ops::Range<usize>) {
        let Some(bytes) = self.buffer.get(range) else { return };
        if let Some(result) = self.transmit(socket, remote, bytes) {
            self.count_sent(result);
        }
    }

    /// Sends bytes from a media socket.
    pub fn send(&mut self, socket: SocketId, remote: SocketAddr, bytes: &[u8]) {
        if let Some(result) = self.transmit(socket, remote, bytes) {
            self.count_sent(result);
        }
    }

    /// `None` if there is no such socket.
    fn transmit(&self, socket: SocketId, remote: SocketAddr, bytes: &[u8]) -> Option<std::io::Result<usize>> {
        if socket == SocketId::WEBRTC {
            return Some(self.webrtc.as_ref()?.send_to(bytes, remote));
        }
        let media = self.media.get(socket.0 as usize)?;
        Some(match media.peer {
            Peer::Settling(peer) | Peer::Only(peer) if peer == remote => media.socket.send(bytes),
            _ => media.socket.send_to(bytes, remote),
        })
    }

    /// Sends one SIP message.
    pub fn send_sip(&mut self, remote: SocketAddr, bytes: &[u8]) {
        let result = self.sip.send_to(bytes, remote);
        self.count_sent(result);
    }

    /// Binds a media socket to one peer: cheaper, and the kernel then refuses every other source.
    pub fn connect(&mut self, socket: SocketId, remote: SocketAddr) {
        if let Some(media) = self.media.get_mut(socket.0 as usize) {
            media.peer = if media.socket.connect(remote).is_ok() { Peer::Settling(remote) } else { Peer::Any };
        }
    }

    /// Frees a media socket of its peer.
    pub fn disconnect(&mut self, socket: SocketId) {
        if let Some(media) = self.media.get_mut(socket.0 as usize)
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
        if let Some(media) = self.media.get(socket.0 as usize) {
            // The only failure is a socket that is not watched.
            let _ = epoll::delete(&self.epoll, &media.socket);
        }
        self.discard(socket);
    }

    fn discard(&mut self, socket: SocketId) {
        let Some(media) = self.media.get(socket.0 as usize) else { return };
        loop {
            match media.socket.recv(&mut self.buffer[..1]) {
                Ok(_) => self.counters.discarded += 1,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => self.counters.receive_failed += 1,
            }
        }
    }

    /// The address of the SIP socket.
    pub fn sip_address(&self) -> std::io::Result<SocketAddr> {
        self.sip.local_addr()
    }

    /// The address of the softphones' socket, if there is one.
    pub fn webrtc_address(&self) -> std::io::Result<Option<SocketAddr>> {
        self.webrtc.as_ref().map(UdpSocket::local_addr).transpose()
    }

    pub fn counters(&self) -> EngineCounters {
        self.counters
    }

    /// Becomes readable with the first waiting datagram.
    pub fn readiness(&self) -> std::io::Result<OwnedFd> {
        self.epoll.try_clone()
    }

    fn count_sent(&mut self, result: std::io::Result<usize>) {
        match result {
            Ok(_) => self.counters.sent += 1,
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.counters.send_would_block += 1,
            Err(_) => self.counters.send_failed += 1,
        }
    }
}

fn bind(address: SocketAddr, buffer_len: usize) -> Result<UdpSocket, EngineError> {
    let open = || {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM.nonblocking().cloexec(), Some(Protocol::UDP))?;
        socket.set_recv_buffer_size(buffer_len)?;
        socket.set_send_buffer_size(buffer_len)?;
        socket.bind(&address.into())?;
        Ok(UdpSocket::from(socket))
    };
    open().map_err(|error| EngineError::Bind { address, error })
}

fn watch(epoll: &OwnedFd, socket: BorrowedFd<'_>, key: u64) -> Result<(), EngineError> {
    epoll::add(epoll, socket, epoll::EventData::new_u64(key), epoll::EventFlags::IN)
        .map_err(|error| EngineError::Epoll(error.into()))
}

#[cfg(test)]
mod tests;
