//! Media datagrams of one burst: received by one system call, and what comes of them sent by one. io_uring serves as a wide `recv` and
//! `send`: no operation waits (`MSG_DONTWAIT`), and each call returns when all of its operations are done, so that between calls no
//! buffer is the kernel's. What tells that there is something to receive is the engine's epoll set.

use io_uring::{IoUring, opcode, squeue, types};
use media_core::relay::{Forward, SocketId, TAIL_ROOM};
use socket2::SockAddr;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::ops::Range;
use std::os::fd::AsRawFd;

/// Most datagrams of a burst.
pub(super) const BURST_LEN: usize = 64;
/// Longest datagram that is received whole, beyond what the relay takes: what is longer arrives cut, and still too long. With its tail an
/// odd number of cache lines, so that the beginnings of the datagrams do not compete for the same ones.
const DATAGRAM_LEN: usize = 25 * 64 - TAIL_ROOM;

/// A datagram, and what becomes of it.
struct Arrival {
    socket: SocketId,
    remote: SocketAddr,
    /// `None` if there was none after all.
    len: Option<usize>,
    forward: Forward,
}

/// What the kernel reads of a datagram to an address of its own.
struct Letter {
    address: SockAddr,
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
    letters: Box<[Option<Letter>]>,
}

impl Burst {
    pub fn new() -> io::Result<Self> {
        // The sockets are not registered: the ring of a killed process would keep their ports for a while after its end.
        Ok(Self {
            ring: IoUring::new(BURST_LEN as u32)?,
            queued_count: 0,
            arrivals: Vec::with_capacity(BURST_LEN),
            buffers: vec![[0; DATAGRAM_LEN + TAIL_ROOM]; BURST_LEN].into_boxed_slice(),
            letters: (0..BURST_LEN).map(|_| None).collect(),
        })
    }

    pub fn clear(&mut self) {
        self.arrivals.clear();
    }

    pub fn is_empty(&self) -> bool {
        self.arrivals.is_empty()
    }

    pub fn is_full(&self) -> bool {
        self.arrivals.len() == BURST_LEN
    }

    pub fn len(&self) -> usize {
        self.arrivals.len()
    }

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
        let receive = opcode::Recv::new(types::Fd(from.as_raw_fd()), start, len).flags(libc::MSG_DONTWAIT).build();
        self.arrivals.push(Arrival { socket, remote, len: None, forward: Forward::Local });
        self.queue(place, receive);
    }

    /// Receives what was asked for; `result` is told of each.
    pub fn receive(&mut self, mut result: impl FnMut(&io::Result<usize>)) {
        complete(&mut self.ring, &mut self.queued_count, |place, received| {
            result(&received);
            self.arrivals[place].len = received.ok();
        });
    }

    /// Lets `relay` handle each datagram in place: socket, source, buffer, length.
    pub fn relay(&mut self, mut relay: impl FnMut(SocketId, SocketAddr, &mut [u8], usize) -> Forward) {
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

    /// Queues part of the datagram at a place for sending; to `remote` unless the socket is connected.
    pub fn queue_send(&mut self, place: usize, range: Range<usize>, from: &UdpSocket, remote: Option<SocketAddr>) {
        let bytes = self.part(place, range);
        let (start, len) = (bytes.as_ptr(), bytes.len());
        let from = types::Fd(from.as_raw_fd());
        let send = match remote {
            None => opcode::Send::new(from, start, len as u32).flags(libc::MSG_DONTWAIT).build(),
            Some(remote) => {
                let message = self.letters[place].insert(Letter::new(start, len, remote)).address();
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
        // SAFETY: the operation's pointers are into `buffers` and `letters`, which are not moved, and not touched before `complete`
        // has seen the operation's end; both outlive the ring.
        unsafe { self.ring.submission().push(&operation.user_data(place as u64)) }.expect("room for a burst");
        self.queued_count += 1;
    }
}

impl Letter {
    fn new(start: *const u8, len: usize, remote: SocketAddr) -> Self {
        // SAFETY: msghdr is plain numbers and pointers, for which zeros are valid.
        let message = unsafe { std::mem::zeroed() };
        Self { address: remote.into(), bytes: libc::iovec { iov_base: start.cast_mut().cast(), iov_len: len }, message }
    }

    /// The message, made to point to the letter's own parts, which must not move any more.
    fn address(&mut self) -> *const libc::msghdr {
        self.message.msg_name = self.address.as_ptr().cast_mut().cast();
        self.message.msg_namelen = self.address.len();
        self.message.msg_iov = &raw mut self.bytes;
        self.message.msg_iovlen = 1;
        &raw const self.message
    }
}

/// Lets the kernel do what was queued, and tells each operation's place and result.
fn complete(ring: &mut IoUring, queued_count: &mut usize, mut done: impl FnMut(usize, io::Result<usize>)) {
    while *queued_count > 0 {
        if let Err(error) = ring.submit_and_wait(*queued_count) {
            let passes = [libc::EINTR, libc::EAGAIN, libc::EBUSY].map(Some).contains(&error.raw_os_error());
            assert!(passes, "io_uring takes no datagrams: {error}");
        }
        for completion in ring.completion() {
            *queued_count -= 1;
            let result = completion.result();
            done(completion.user_data() as usize, usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result)));
        }
    }
}
