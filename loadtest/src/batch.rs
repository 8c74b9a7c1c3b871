//! Datagrams in batches, many for one system call, so that the peers of a load run leave the cores
//! to what is measured. IPv4 only.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;

/// Datagrams of one system call.
const BATCH_LEN: usize = 64;
/// Longest datagram that is received whole: a flight of a DTLS handshake.
const DATAGRAM_LEN: usize = 1500;
/// Room for control messages with an `in_pktinfo` and with a `timespec`.
const CONTROL_LEN: usize = 64;

/// Buffers for [`BATCH_LEN`] datagrams, sent or received.
pub struct Batch {
    bytes: Box<[[u8; DATAGRAM_LEN]; BATCH_LEN]>,
    lens: [usize; BATCH_LEN],
    addresses: [libc::sockaddr_in; BATCH_LEN],
    /// What the system is told or tells beside a datagram; zeros for nothing.
    controls: [[u64; CONTROL_LEN / 8]; BATCH_LEN],
    len: usize,
}

/// One control message as the kernel lays it out (cmsg(3), ip(7)).
#[repr(C)]
struct PacketInfo {
    header: libc::cmsghdr,
    info: libc::in_pktinfo,
}

/// A datagram that was received.
pub struct Received<'a> {
    pub remote: SocketAddr,
    /// The address of ours that it came to.
    pub local: Ipv4Addr,
    /// When it came to the socket, in nanoseconds of the system's clock.
    pub at: u64,
    pub bytes: &'a mut [u8],
}

/// Makes a socket tell when each datagram came, and to which address of ours.
pub fn tell_arrivals(socket: &UdpSocket) {
    let on: libc::c_int = 1;
    for (level, option) in
        [(libc::IPPROTO_IP, libc::IP_PKTINFO), (libc::SOL_SOCKET, libc::SO_TIMESTAMPNS)]
    {
        // SAFETY: the descriptor is open, and the value is a c_int that lives through the call.
        unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                level,
                option,
                (&raw const on).cast(),
                size_of::<libc::c_int>() as u32,
            );
        }
    }
}

/// Local address and time of arrival, from control messages (cmsg(3)): each has its length, level
/// and type, then its data, and the next begins at a whole word.
fn arrival(control: &[u64; CONTROL_LEN / 8]) -> (Ipv4Addr, u64) {
    let (mut local, mut at, mut word) = (Ipv4Addr::UNSPECIFIED, 0, 0);
    while let [len, kind, data @ ..] = &control[word..]
        && *len > 0
    {
        let (level, option) = (*kind as u32 as libc::c_int, (kind >> 32) as libc::c_int);
        match (level, option, data) {
            // Interface, local address, destination: 32 bits each.
            (libc::IPPROTO_IP, libc::IP_PKTINFO, [_, destination, ..]) => {
                local = Ipv4Addr::from((*destination as u32).to_le_bytes());
            }
            (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS, [seconds, nanos, ..]) => {
                at = seconds * 1_000_000_000 + nanos;
            }
            _ => {}
        }
        word += (*len as usize).div_ceil(8);
    }
    (local, at)
}

impl Default for Batch {
    fn default() -> Self {
        // SAFETY: sockaddr_in is plain numbers, for which zeros are valid.
        let address = unsafe { std::mem::zeroed() };
        Batch {
            bytes: Box::new([[0; DATAGRAM_LEN]; BATCH_LEN]),
            lens: [0; BATCH_LEN],
            addresses: [address; BATCH_LEN],
            controls: [[0; CONTROL_LEN / 8]; BATCH_LEN],
            len: 0,
        }
    }
}

impl Batch {
    /// Puts a datagram into the batch, which must not be full.
    pub fn push(&mut self, remote: SocketAddr, datagram: &[u8]) {
        let SocketAddr::V4(remote) = remote else { return };
        self.bytes[self.len][..datagram.len()].copy_from_slice(datagram);
        self.lens[self.len] = datagram.len();
        let address = &mut self.addresses[self.len];
        address.sin_family = libc::AF_INET as libc::sa_family_t;
        address.sin_port = remote.port().to_be();
        address.sin_addr.s_addr = u32::from(*remote.ip()).to_be();
        self.controls[self.len] = [0; CONTROL_LEN / 8];
        self.len += 1;
    }

    /// The same, sent from this address of ours.
    pub fn push_from(&mut self, local: Ipv4Addr, remote: SocketAddr, datagram: &[u8]) {
        let at = self.len;
        self.push(remote, datagram);
        let message = PacketInfo {
            header: libc::cmsghdr {
                cmsg_len: size_of::<PacketInfo>() - 4,
                cmsg_level: libc::IPPROTO_IP,
                cmsg_type: libc::IP_PKTINFO,
            },
            info: libc::in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: libc::in_addr { s_addr: u32::from(local).to_be() },
                ipi_addr: libc::in_addr { s_addr: 0 },
            },
        };
        // SAFETY: the control message is plain numbers, and its place is as long and at least as
        // aligned.
        unsafe { std::ptr::write(self.controls[at].as_mut_ptr().cast(), message) };
    }

    /// Whether it must be sent before more is pushed.
    pub fn is_full(&self) -> bool {
        self.len == BATCH_LEN
    }

    /// Sends what was pushed and empties the batch. Returns how many were sent; the rest met a full
    /// buffer.
    pub fn send(&mut self, socket: &UdpSocket) -> usize {
        let mut vectors = self.vectors();
        let mut headers = self.headers(&mut vectors);
        for (header, control) in headers.iter_mut().zip(&self.controls) {
            let is_told = control[0] != 0;
            header.msg_hdr.msg_controllen = if is_told { size_of::<PacketInfo>() } else { 0 };
        }
        // SAFETY: the first `len` headers point to buffers and addresses that outlive the call.
        let sent =
            unsafe { libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), self.len as u32, 0) };
        self.len = 0;
        sent.max(0) as usize
    }

    /// Receives what waits, at most a batch; 0 if nothing does.
    pub fn receive(&mut self, socket: &UdpSocket) -> usize {
        self.lens = [DATAGRAM_LEN; BATCH_LEN];
        self.controls = [[0; CONTROL_LEN / 8]; BATCH_LEN];
        let mut vectors = self.vectors();
        let mut headers = self.headers(&mut vectors);
        // SAFETY: the headers point to buffers and addresses that outlive the call.
        let received = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                BATCH_LEN as u32,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        self.len = received.max(0) as usize;
        for (len, header) in self.lens.iter_mut().zip(&headers[..self.len]) {
            *len = header.msg_len as usize;
        }
        self.len
    }

    /// What was received.
    pub fn received(&mut self) -> impl Iterator<Item = Received<'_>> {
        let Batch { bytes, lens, addresses, controls, len } = self;
        let whence = addresses.iter().zip(controls.iter());
        let datagrams = bytes.iter_mut().zip(&*lens).zip(whence).take(*len);
        datagrams.map(|((bytes, len), (address, control))| {
            let ip = Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr));
            let remote = SocketAddrV4::new(ip, u16::from_be(address.sin_port)).into();
            let (local, at) = arrival(control);
            Received { remote, local, at, bytes: &mut bytes[..*len] }
        })
    }

    fn vectors(&mut self) -> [libc::iovec; BATCH_LEN] {
        let bytes = &mut self.bytes;
        std::array::from_fn(|n| libc::iovec {
            iov_base: bytes[n].as_mut_ptr().cast(),
            iov_len: self.lens[n],
        })
    }

    fn headers(&mut self, vectors: &mut [libc::iovec; BATCH_LEN]) -> [libc::mmsghdr; BATCH_LEN] {
        std::array::from_fn(|n| {
            // SAFETY: mmsghdr is numbers and pointers, for which zeros are valid.
            let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
            header.msg_hdr.msg_name = (&raw mut self.addresses[n]).cast();
            header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_in>() as u32;
            header.msg_hdr.msg_iov = &raw mut vectors[n];
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = self.controls[n].as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = CONTROL_LEN;
            header
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_arrive_whole_with_their_source() {
        let [a, b] = [(); 2].map(|()| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
        let mut batch = Batch::default();
        for n in 0..BATCH_LEN {
            batch.push(b.local_addr().unwrap(), &vec![n as u8; n + 1]);
        }
        assert!(batch.is_full());
        assert_eq!(batch.send(&a), BATCH_LEN);
        let mut received = Batch::default();
        assert_eq!(received.receive(&b), BATCH_LEN);
        for (n, datagram) in received.received().enumerate() {
            assert_eq!(datagram.remote, a.local_addr().unwrap());
            assert_eq!(*datagram.bytes, vec![n as u8; n + 1]);
        }
        assert_eq!(received.receive(&b), 0);
    }

    #[test]
    fn one_socket_has_many_addresses_and_tells_when_a_datagram_came() {
        let [shared, peer] = [Ipv4Addr::UNSPECIFIED, Ipv4Addr::LOCALHOST]
            .map(|ip| UdpSocket::bind((ip, 0)).unwrap());
        tell_arrivals(&shared);
        // The kernel begins a moment after it is asked.
        std::thread::sleep(std::time::Duration::from_millis(200));
        let own = [Ipv4Addr::new(127, 1, 0, 1), Ipv4Addr::new(127, 1, 0, 2)];
        let mut batch = Batch::default();
        own.iter().for_each(|local| batch.push_from(*local, peer.local_addr().unwrap(), b"hello"));
        assert_eq!(batch.send(&shared), 2);
        let port = shared.local_addr().unwrap().port();
        let mut received = Batch::default();
        assert_eq!(received.receive(&peer), 2);
        for (datagram, local) in received.received().zip(own) {
            assert_eq!(datagram.remote, SocketAddr::from((local, port)));
            batch.push(datagram.remote, local.to_string().as_bytes());
        }
        let before = crate::probe::nanos();
        batch.send(&peer);
        let after = crate::probe::nanos();
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert_eq!(received.receive(&shared), 2);
        for datagram in received.received() {
            assert_eq!(*datagram.bytes, *datagram.local.to_string().as_bytes());
            assert!((before..=after).contains(&datagram.at), "when it came, not when it is read");
        }
    }
}
