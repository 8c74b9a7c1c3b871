//! The kernel's own floor under a relay: the least that relaying the same packets costs, one thread
//! that receives on connected sockets by epoll and sends on their partners, without reading a byte.
//! Run beside a load run, it makes that run's figure comparable.

use crate::batch::{Batch, tell_arrivals};
use crate::carrier::srtp::{PROTECTED_LEN, Srtp};
use crate::probe;
use crate::spread::{Spread, Times};
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// RTP of 20 ms of G.711.
const PACKET_LEN: usize = 172;
const EVENT_CAP: usize = 256;
/// Sending slots of a millisecond in the 20 ms of a packet.
const SLOT_COUNT: usize = 20;

/// What the bare loop used.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Floor {
    pub cpu_per_packet_us: f64,
    pub relayed_count: u64,
    pub lost_count: u64,
    /// One way through it.
    pub delay: Spread,
}

/// What the peers of a relay saw.
pub struct Seen {
    pub sent_count: u64,
    pub received_count: u64,
    pub delay: Spread,
}

/// A relay's port, and the keys of who speaks to it, if it is spoken to in SRTP.
pub struct Peer {
    pub port: SocketAddr,
    pub srtp: Option<Srtp>,
}

/// Relays the packets of `calls` two-way calls for `span` at 50 packets a second each way.
pub fn measure(calls: u32, span: Duration) -> anyhow::Result<Floor> {
    let generator = generator()?;
    let sockets = (0..calls * 2)
        .map(|_| leg_socket(generator.local_addr()?))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let peer = |socket: &UdpSocket| Ok(Peer { port: socket.local_addr()?, srtp: None });
    let mut peers = sockets.iter().map(peer).collect::<std::io::Result<Vec<_>>>()?;
    let stop = Arc::new(AtomicBool::new(false));
    let relay_stop = stop.clone();
    let relay = std::thread::spawn(move || relay(&sockets, &relay_stop));
    let seen = generate(&generator, &mut peers, span);
    stop.store(true, Ordering::Relaxed);
    let (relayed_count, cpu) = relay.join().expect("the relay's thread does not panic")?;
    let cpu_per_packet_us = cpu.as_secs_f64() * 1e6 / relayed_count.max(1) as f64;
    let lost_count = seen.sent_count - seen.received_count;
    Ok(Floor { cpu_per_packet_us, relayed_count, lost_count, delay: seen.delay })
}

fn leg_socket(generator: SocketAddr) -> anyhow::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect(generator)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// The socket of all peers.
pub fn generator() -> anyhow::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.set_nonblocking(true)?;
    crate::carrier::enlarge_buffers(&socket);
    tell_arrivals(&socket);
    Ok(socket)
}

/// Sends to each port 50 times a second for `span`.
pub fn generate(socket: &UdpSocket, peers: &mut [Peer], span: Duration) -> Seen {
    let by_port: HashMap<u16, usize> =
        peers.iter().enumerate().map(|(n, peer)| (peer.port.port(), n)).collect();
    let (started, mut slot, mut sent_count, mut received_count) =
        (Instant::now(), 0usize, 0u64, 0u64);
    let (mut outgoing, mut incoming, mut delays) =
        (Batch::default(), Batch::default(), Times::default());
    let grace = Duration::from_millis(200);
    while started.elapsed() < span + grace {
        if started.elapsed() < span && started.elapsed() >= Duration::from_millis(slot as u64) {
            for stream in (slot % SLOT_COUNT..peers.len()).step_by(SLOT_COUNT) {
                let mut packet = packet(stream as u32, (slot / SLOT_COUNT) as u16);
                let Peer { port, srtp } = &mut peers[stream];
                let protect = |srtp: &mut Srtp| srtp.protect(&mut packet, PACKET_LEN);
                let len = srtp.as_mut().map_or(PACKET_LEN, protect);
                outgoing.push(*port, &packet[..len]);
                if outgoing.is_full() {
                    sent_count += outgoing.send(socket) as u64;
                }
            }
            sent_count += outgoing.send(socket) as u64;
            slot += 1;
        }
        while incoming.receive(socket) > 0 {
            for packet in incoming.received() {
                received_count += 1;
                let from = by_port.get(&packet.remote.port());
                if let Some(srtp) = from.and_then(|n| peers[*n].srtp.as_mut()) {
                    srtp.open(packet.bytes);
                }
                if let Some((_, delay)) =
                    packet.bytes.get(12..).and_then(|audio| probe::read(audio, packet.at))
                {
                    delays.add(delay);
                }
            }
        }
        let due = started + Duration::from_millis(slot as u64);
        std::thread::sleep(
            due.saturating_duration_since(Instant::now()).min(Duration::from_millis(1)),
        );
    }
    Seen { sent_count, received_count, delay: delays.spread() }
}

/// A packet of G.711 A-law (RFC 3550 §5.1) with a probe, and room to protect it.
fn packet(stream: u32, sequence: u16) -> [u8; PROTECTED_LEN] {
    let mut packet = [0; PROTECTED_LEN];
    packet[..2].copy_from_slice(&[0x80, 8]);
    packet[2..4].copy_from_slice(&sequence.to_be_bytes());
    packet[4..8].copy_from_slice(&(u32::from(sequence) * 160).to_be_bytes());
    packet[8..12].copy_from_slice(&stream.to_be_bytes());
    probe::write(&mut packet[12..PACKET_LEN], sequence.into(), probe::nanos());
    packet
}

/// The bare loop: packets relayed, and the thread's CPU time.
fn relay(sockets: &[UdpSocket], stop: &AtomicBool) -> anyhow::Result<(u64, Duration)> {
    // SAFETY: no pointers; the descriptor is closed when `epoll` is dropped.
    let epoll = unsafe {
        use std::os::fd::FromRawFd;
        let descriptor = libc::epoll_create1(libc::EPOLL_CLOEXEC);
        anyhow::ensure!(descriptor >= 0, "epoll_create1: {}", std::io::Error::last_os_error());
        std::os::fd::OwnedFd::from_raw_fd(descriptor)
    };
    for (n, socket) in sockets.iter().enumerate() {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: n as u64 };
        // SAFETY: both descriptors are open, and `event` lives through the call.
        let added = unsafe {
            libc::epoll_ctl(
                epoll.as_raw_fd(),
                libc::EPOLL_CTL_ADD,
                socket.as_raw_fd(),
                &raw mut event,
            )
        };
        anyhow::ensure!(added == 0, "epoll_ctl: {}", std::io::Error::last_os_error());
    }
    let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENT_CAP];
    let (mut buffer, mut relayed_count) = ([0; 2048], 0);
    let before = thread_cpu();
    while !stop.load(Ordering::Relaxed) {
        // SAFETY: `events` has room for EVENT_CAP entries and lives through the call.
        let ready = unsafe {
            libc::epoll_wait(epoll.as_raw_fd(), events.as_mut_ptr(), EVENT_CAP as i32, 10)
        };
        for event in &events[..ready.max(0) as usize] {
            let n = event.u64 as usize;
            while let Ok(len) = sockets[n].recv(&mut buffer) {
                relayed_count += u64::from(sockets[n ^ 1].send(&buffer[..len]).is_ok());
            }
        }
    }
    Ok((relayed_count, thread_cpu() - before))
}

/// CPU time of the calling thread.
fn thread_cpu() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a timespec that lives through the call.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
