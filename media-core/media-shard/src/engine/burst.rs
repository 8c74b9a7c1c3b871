//! Media datagrams of one burst: received by one system call, and what comes of them sent by one.
//! io_uring serves as a wide `recv` and `send`: no operation waits (`MSG_DONTWAIT`), and each call
//! returns when all of its operations are done, so that between calls no buffer is the kernel's.
//! What tells that there is something to receive is the engine's epoll set.

use io_uring::{IoUring, opcode, squeue, types};
use media_core::relay::{BURST_LEN, Forward, SocketId, TAIL_ROOM};
use socket2::{SockAddr, SockAddrStorage};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::ops::Range;
use std::os::fd::AsRawFd;

/// Longest datagram that is received whole, beyond what the relay takes: what is longer arrives
/// cut, and still too long. With its tail an odd number of cache lines, so that the beginnings of
/// the datagrams do not compete for the same ones.
const DATAGRAM_LEN: usize = 25 * 64 - TAIL_ROOM;

/// A datagram, and what becomes of it.
struct Arrival {
    socket: SocketId,
    remote: SocketAddr,
    /// `None` if there was none after all.
    len: Option<usize>,
    forward: Forward,
}

/// What the kernel reads or writes of a datagram of a socket without a peer.
struct Letter {
    address: SockAddrStorage,
    bytes: libc::iovec,
    message: libc::msghdr,
}

pub(super) struct Burst {
    /// Dropped first: the kernel knows the buffers through it.
    ring: IoUring,
    queued_count: usize,
    arrivals: Vec<Arrival>,
    /// The datagram of each of `arrivals`, with room behind it.
    buffers: Box<[[u8; DATAGRAM_LEN + TAIL_ROOM]]>,
    letters: Box<[Letter]>,
}

impl Burst {
    pub fn new() -> io::Result<Self> {
        // The sockets are not registered: the ring of a killed process would keep their ports for a
        // while after its end.
        Ok(Self {
            ring: IoUring::new(BURST_LEN as u32)?,
            queued_count: 0,
            arrivals: Vec::with_capacity(BURST_LEN),
            buffers: vec![[0; DATAGRAM_LEN + TAIL_ROOM]; BURST_LEN].into_boxed_slice(),
            letters: (0..BURST_LEN).map(|_| Letter::new()).collect(),
        })
    }

    /// Forgets the datagrams; their buffers are filled again.
    pub fn clear(&mut self) {
        self.arrivals.clear();
    }

    pub fn is_empty(&self) -> bool {
        self.arrivals.is_empty()
    }

    /// How many datagrams the burst can still take.
    pub fn room(&self) -> usize {
        BURST_LEN - self.arrivals.len()
    }

    pub fn len(&self) -> usize {
        self.arrivals.len()
    }

    /// What the relay made of the datagram at this place.
    pub fn forward(&self, place: usize) -> Forward {
        self.arrivals[place].forward
    }

    /// Room for the next datagram of a burst that is not full.
    pub fn space(&mut self) -> &mut [u8] {
        &mut self.buffers[self.arrivals.len()][..DATAGRAM_LEN]
    }

    /// Takes the datagram that was received into `space`.
    pub fn push(&mut self, socket: SocketId, remote: SocketAddr, len: usize) {
        self.arrivals.push(Arrival { socket, remote, len: Some(len), forward: Forward::Local });
    }

    /// Asks for a datagram of a socket that hears `remote` alone.
    pub fn queue_receive(&mut self, socket: SocketId, from: &UdpSocket, remote: SocketAddr) {
        let place = self.arrivals.len();
        let space = self.space();
        let (start, len) = (space.as_mut_ptr(), space.len() as u32);
        let receive = opcode::Recv::new(types::Fd(from.as_raw_fd()), start, len)
            .flags(libc::MSG_DONTWAIT)
            .build();
        self.arrivals.push(Arrival { socket, remote, len: None, forward: Forward::Local });
        self.queue(place, receive);
    }

    /// Asks for a datagram of a socket that hears everybody.
    pub fn queue_receive_from(&mut self, socket: SocketId, from: &UdpSocket) {
        let place = self.arrivals.len();
        let space = self.space();
        let (start, len) = (space.as_mut_ptr(), space.len());
        let message = self.letters[place].for_anybody(start, len);
        let receive = opcode::RecvMsg::new(types::Fd(from.as_raw_fd()), message)
            .flags(libc::MSG_DONTWAIT as u32)
            .build();
        let unknown = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
        self.arrivals.push(Arrival { socket, remote: unknown, len: None, forward: Forward::Local });
        self.queue(place, receive);
    }

    /// Receives what was asked for; `result` is told of each.
    pub fn receive(&mut self, mut result: impl FnMut(SocketId, &io::Result<usize>)) {
        complete(&mut self.ring, &mut self.queued_count, |place, received| {
            let arrival = &mut self.arrivals[place];
            result(arrival.socket, &received);
            arrival.len = received.ok();
            if arrival.socket == SocketId::WEBRTC && arrival.len.is_some() {
                match self.letters[place].sender() {
                    Some(sender) => arrival.remote = sender,
                    None => arrival.len = None,
                }
            }
        });
    }

    /// Socket and source of each datagram.
    pub fn sources(&self) -> impl Iterator<Item = (SocketId, SocketAddr)> {
        self.arrivals
            .iter()
            .filter(|arrival| arrival.len.is_some())
            .map(|arrival| (arrival.socket, arrival.remote))
    }

    /// Lets `relay` handle each datagram in place: socket, source, buffer, length.
    pub fn relay(
        &mut self,
        mut relay: impl FnMut(SocketId, SocketAddr, &mut [u8], usize) -> Forward,
    ) {
        for (arrival, buffer) in self.arrivals.iter_mut().zip(&mut self.buffers) {
            if let Some(len) = arrival.len {
                arrival.forward = relay(arrival.socket, arrival.remote, buffer, len);
            }
        }
    }

    /// Part of the datagram at a place.
    pub fn part(&self, place: usize, range: Range<usize>) -> &[u8] {
        self.buffers[place].get(range).unwrap_or_default()
    }

    /// Queues part of the datagram at a place for sending; to `remote` unless the socket is
    /// connected.
    pub fn queue_send(
        &mut self,
        place: usize,
        range: Range<usize>,
        from: &UdpSocket,
        remote: Option<SocketAddr>,
    ) {
        let bytes = self.part(place, range);
        let (start, len) = (bytes.as_ptr(), bytes.len());
        let from = types::Fd(from.as_raw_fd());
        let send = match remote {
            None => opcode::Send::new(from, start, len as u32).flags(libc::MSG_DONTWAIT).build(),
            Some(remote) => {
                let message = self.letters[place].for_one(remote, start, len);
                opcode::SendMsg::new(from, message).flags(libc::MSG_DONTWAIT as u32).build()
            }
        };
        self.queue(place, send);
    }

    /// Sends what was queued; `result` is told of each.
    pub fn send(&mut self, mut result: impl FnMut(io::Result<usize>)) {
        complete(&mut self.ring, &mut self.queued_count, |_, sent| result(sent));
    }

    fn queue(&mut self, place: usize, operation: squeue::Entry) {
        // SAFETY: the operation's pointers are into `buffers` and `letters`, which are not moved,
        // and not touched before `complete` has seen the operation's end; both outlive the ring.
        unsafe { self.ring.submission().push(&operation.user_data(place as u64)) }
            .expect("room for a burst");
        self.queued_count += 1;
    }
}

impl Letter {
    fn new() -> Self {
        // SAFETY: msghdr is plain numbers and pointers, for which zeros are valid.
        let message = unsafe { std::mem::zeroed() };
        Self {
            address: SockAddrStorage::zeroed(),
            bytes: libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 },
            message,
        }
    }

    fn for_one(&mut self, remote: SocketAddr, start: *const u8, len: usize) -> *mut libc::msghdr {
        let address = SockAddr::from(remote);
        self.message.msg_namelen = address.len();
        self.address = address.as_storage();
        self.link(start.cast_mut(), len)
    }

    fn for_anybody(&mut self, start: *mut u8, len: usize) -> *mut libc::msghdr {
        self.message.msg_namelen = self.address.size_of();
        self.link(start, len)
    }

    /// The message, made to point to the letter's own parts, which must not move any more.
    fn link(&mut self, start: *mut u8, len: usize) -> *mut libc::msghdr {
        self.bytes = libc::iovec { iov_base: start.cast(), iov_len: len };
        self.message.msg_name = (&raw mut self.address).cast();
        self.message.msg_iov = &raw mut self.bytes;
        self.message.msg_iovlen = 1;
        &raw mut self.message
    }

    /// Whom the datagram was from; `None` if the kernel named no IP address.
    fn sender(&mut self) -> Option<SocketAddr> {
        let address = std::mem::replace(&mut self.address, SockAddrStorage::zeroed());
        // SAFETY: the kernel wrote an address of this length into the storage.
        unsafe { SockAddr::new(address, self.message.msg_namelen) }.as_socket()
    }
}

/// Lets the kernel do what was queued, and tells each operation's place and result.
fn complete(
    ring: &mut IoUring,
    queued_count: &mut usize,
    mut done: impl FnMut(usize, io::Result<usize>),
) {
    while *queued_count > 0 {
        if let Err(error) = ring.submit_and_wait(*queued_count) {
            let passes =
                [libc::EINTR, libc::EAGAIN, libc::EBUSY].map(Some).contains(&error.raw_os_error());
            assert!(passes, "io_uring takes no datagrams: {error}");
        }
        for completion in ring.completion() {
            *queued_count -= 1;
            let result = completion.result();
            done(
                completion.user_data() as usize,
                usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result)),
            );
        }
    }
}
