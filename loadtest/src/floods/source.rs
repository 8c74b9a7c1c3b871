//! What a stranger sends, over each transport, as fast as the edge lets it.

use crate::softphones::any_certificate;
use rustls::{ClientConnection, StreamOwned};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// The stranger's address; the carrier's is another.
const STRANGER: [u8; 4] = [127, 0, 0, 66];
const EDGE: [u8; 4] = [127, 0, 0, 1];
/// Bytes that are written at once.
const CHUNK_LEN: usize = 64 * 1024;
const PATIENCE: Duration = Duration::from_secs(2);

/// Where the edge listens.
#[derive(Debug, Clone, Copy)]
pub struct Ports {
    pub sip: u16,
    pub wss: u16,
}

/// How it comes.
#[derive(Debug, Clone, Copy)]
pub enum Source {
    Udp(Unit),
    Tcp(Unit),
    /// Opened and closed.
    TcpConnections,
    /// Opened to the softphones' port, and silent.
    WssConnections,
    Handshakes,
    Tls(Unit),
    Wss(Unit),
}

/// What is sent again and again.
#[derive(Debug, Clone, Copy)]
pub enum Unit {
    Options,
    LargeOptions,
    LineEnds,
    /// The head of a message, without its end.
    Head,
    HttpHead,
    PingFrame,
    OptionsFrame,
    LineEndsFrame,
    EmptyFragment,
}

impl Unit {
    fn bytes(self) -> Vec<u8> {
        match self {
            Unit::Options => options("").into_bytes(),
            Unit::LargeOptions => options(&"x".repeat(33_000)).into_bytes(),
            Unit::LineEnds => b"\r\n\r\n".to_vec(),
            Unit::Head => {
                format!("OPTIONS sip:edge SIP/2.0\r\nX-Filler: {}", "x".repeat(60_000)).into_bytes()
            }
            Unit::HttpHead => {
                format!("GET / HTTP/1.1\r\nHost: edge\r\nX-Filler: {}", "x".repeat(16_000))
                    .into_bytes()
            }
            Unit::PingFrame => frame(0x89, b""),
            Unit::OptionsFrame => frame(0x81, options("").as_bytes()),
            Unit::LineEndsFrame => frame(0x81, b"\r\n\r\n"),
            Unit::EmptyFragment => frame(0x00, b""),
        }
    }
}

fn options(filler: &str) -> String {
    format!(
        "OPTIONS sip:edge SIP/2.0\r\nVia: SIP/2.0/TCP \
            stranger.invalid;branch=z9hG4bKflood;rport\r\nMax-Forwards: 70\r\n\
         From: <sip:stranger@stranger.invalid>;tag=1\r\nTo: <sip:edge>\r\nCall-ID: flood\r\n\
         CSeq: 1 OPTIONS\r\n\
         X-Filler: {filler}\r\nContent-Length: 0\r\n\r\n"
    )
}

/// A frame with a key of zeros.
fn frame(head: u8, payload: &[u8]) -> Vec<u8> {
    let len: Vec<u8> = match payload.len() {
        len @ ..126 => vec![0x80 | len as u8],
        len => [&[0xFE][..], &(len as u16).to_be_bytes()].concat(),
    };
    [&[head][..], &len, &[0; 4], payload].concat()
}

/// A connection of either kind.
trait Stream: Read + Write {
    fn go_on(&self) -> io::Result<()>;
}

impl Stream for TcpStream {
    fn go_on(&self) -> io::Result<()> {
        self.set_nonblocking(true)
    }
}

impl Stream for StreamOwned<ClientConnection, TcpStream> {
    fn go_on(&self) -> io::Result<()> {
        self.sock.set_nonblocking(true)
    }
}

impl Source {
    /// Sends until it is told to stop.
    pub fn run(self, ports: Ports, stop: &AtomicBool, sent: &AtomicU64) {
        let (sip, wss) = (SocketAddr::from((EDGE, ports.sip)), SocketAddr::from((EDGE, ports.wss)));
        match self {
            Source::Udp(unit) => datagrams(sip, &unit.bytes(), stop, sent),
            Source::Tcp(unit) => pour(|| connect(sip), b"", &unit.bytes(), stop, sent),
            Source::Tls(unit) => pour(|| shake_hands(wss), b"", &unit.bytes(), stop, sent),
            Source::Wss(unit) => {
                // Fragments are of a message that began.
                let first =
                    if matches!(unit, Unit::EmptyFragment) { frame(0x01, b"") } else { Vec::new() };
                pour(|| upgrade(wss), &first, &unit.bytes(), stop, sent);
            }
            Source::TcpConnections => repeat(|| connect(sip).map(drop), stop, sent),
            Source::Handshakes => repeat(|| shake_hands(wss).map(drop), stop, sent),
            Source::WssConnections => {
                let mut held = std::collections::VecDeque::new();
                let hold = || {
                    held.push_back(connect(wss)?);
                    held.truncate(200);
                    Ok(())
                };
                repeat(hold, stop, sent);
            }
        }
    }
}

/// Lets every other thread of the machine go first.
pub fn be_nice() {
    // SAFETY: plain system call; on Linux it is the calling thread's own niceness.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 19) };
}

fn datagrams(edge: SocketAddr, bytes: &[u8], stop: &AtomicBool, sent: &AtomicU64) {
    let Ok(socket) = UdpSocket::bind((std::net::Ipv4Addr::from(STRANGER), 0)) else { return };
    while !stop.load(Ordering::Relaxed) {
        sent.fetch_add(u64::from(socket.send_to(bytes, edge).is_ok()), Ordering::Relaxed);
    }
}

fn repeat(mut act: impl FnMut() -> io::Result<()>, stop: &AtomicBool, sent: &AtomicU64) {
    while !stop.load(Ordering::Relaxed) {
        match act() {
            Ok(()) => drop(sent.fetch_add(1, Ordering::Relaxed)),
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// Keeps a connection full, reads whatever comes, and opens the next one when it is cut off.
fn pour<S: Stream>(
    open: impl Fn() -> io::Result<S>,
    first: &[u8],
    unit: &[u8],
    stop: &AtomicBool,
    sent: &AtomicU64,
) {
    let chunk = unit.repeat((CHUNK_LEN / unit.len()).max(1));
    while !stop.load(Ordering::Relaxed) {
        let opened = open().and_then(|mut stream| {
            stream.write_all(first)?;
            stream.go_on()?;
            Ok(stream)
        });
        let Ok(mut stream) = opened else {
            std::thread::sleep(Duration::from_millis(1));
            continue;
        };
        // Sent units are counted by their bytes; `at` is the place in the chunk.
        let (mut at, mut total) = (0, 0);
        while !stop.load(Ordering::Relaxed) {
            let written = stream.write(&chunk[at..]);
            let read = stream.read(&mut [0; 16 * 1024]);
            let is_idle = |result: &io::Result<usize>| {
                result.as_ref().is_err_and(|error| {
                    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
                })
            };
            match &written {
                Ok(len) => (at, total) = ((at + len) % chunk.len(), total + len),
                error if is_idle(error) => {}
                Err(_) => break,
            }
            match &read {
                Ok(0) => break,
                Ok(_) => {}
                error if is_idle(error) => {}
                Err(_) => break,
            }
            if is_idle(&written) && is_idle(&read) {
                std::thread::sleep(Duration::from_micros(200));
            }
        }
        sent.fetch_add((total / unit.len()) as u64, Ordering::Relaxed);
    }
}

fn connect(edge: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.bind(&SocketAddr::from((STRANGER, 0)).into())?;
    socket.connect_timeout(&edge.into(), PATIENCE)?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn shake_hands(edge: SocketAddr) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let name = "localhost".try_into().expect("a name");
    let mut tls =
        ClientConnection::new(Arc::new(any_certificate()), name).map_err(io::Error::other)?;
    let mut tcp = connect(edge)?;
    while tls.is_handshaking() {
        tls.complete_io(&mut tcp)?;
    }
    Ok(StreamOwned::new(tls, tcp))
}

fn upgrade(edge: SocketAddr) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let mut stream = shake_hands(edge)?;
    stream.write_all(
        b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Version: 13\r\n\
          Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: sip\r\n\r\n",
    )?;
    let (mut head, mut bytes) = (Vec::new(), [0; 1024]);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut bytes)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            len => head.extend_from_slice(&bytes[..len]),
        }
    }
    if head.starts_with(b"HTTP/1.1 101") {
        Ok(stream)
    } else {
        Err(ErrorKind::ConnectionRefused.into())
    }
}
