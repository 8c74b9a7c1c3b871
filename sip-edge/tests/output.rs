//! The process itself: what it says and how it ends, whatever becomes of its output (B12), what
//! `--check-config` finds, a call beside a flood (B01), and one whose recording finds no room.

#[path = "output/collector.rs"]
mod collector;

use call_words::{
    CallId, DtmfMode, ForwardingHeader, MediaProfile, RecordingLayout, TransportKind,
};
use control_wire::{
    AgentTarget, Command as Asked, Destination, Event, FrameDecoder, FromEdge, PlaceCall, Route,
    ToEdge, VERSION, encode,
};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// What the smallest pipe holds is far below this many calls' lines.
const CALLS: usize = 400;
const PATIENCE: Duration = Duration::from_secs(30);

fn free_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A configuration with free ports in this folder.
fn config(folder: &Path) -> String {
    // Below those that the system gives to any socket.
    static NEXT: AtomicU16 = AtomicU16::new(20_000);
    let mut firsts = std::iter::repeat_with(|| NEXT.fetch_add(16, Ordering::Relaxed));
    let is_free = |first: &u16| {
        (*first..*first + 16).all(|port| UdpSocket::bind(("127.0.0.1", port)).is_ok())
    };
    let (folder, media) = (folder.display(), firsts.find(is_free).expect("it repeats"));
    format!(
        "shards = 1\ndrain_limit_s = 0\n[sip]\nport = {}\n[media]\nfirst_port = \
            {media}\nlast_port = {}\n[recordings]\n\
         folder = \"{folder}/recordings\"\n[link]\nsocket = \
         \"{folder}/control.sock\"\n[log]\nlevel = \"debug\"\n",
        free_port(),
        media + 15
    )
}

fn edge(folder: &Path, config: &str) -> Command {
    let file = folder.join("sip-edge.toml");
    std::fs::write(&file, config).unwrap();
    // From a shell that lets everybody read what is made, and where a disk that takes no more is
    // an error instead of a signal.
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg("umask 022; trap '' XFSZ; exec \"$0\" \"$@\"")
        .arg(env!("CARGO_BIN_EXE_sip-edge"));
    command.arg("--config").arg(file).stdin(Stdio::null());
    command
}

/// A running edge and control-api's end of its link.
struct Running {
    config: String,
    child: Child,
    link: UnixStream,
    decoder: FrameDecoder,
}

impl Running {
    fn start(folder: &Path, output: Stdio) -> Running {
        Self::start_with(folder, output, "")
    }

    /// With more of a configuration.
    fn start_with(folder: &Path, output: Stdio, more: &str) -> Running {
        let listener = UnixListener::bind(folder.join("control.sock")).unwrap();
        let config = config(folder) + more;
        let mut child = edge(folder, &config).stdout(Stdio::null()).stderr(output).spawn().unwrap();
        listener.set_nonblocking(true).unwrap();
        let link = loop {
            if let Ok((link, _)) = listener.accept() {
                break link;
            }
            assert_eq!(child.try_wait().unwrap(), None, "the edge has ended");
            std::thread::sleep(Duration::from_millis(5));
        };
        link.set_nonblocking(false).unwrap();
        link.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut running = Running { config, child, link, decoder: FrameDecoder::default() };
        let FromEdge::Hello(hello) = running.next() else { panic!("no Hello") };
        // By which control-api knows that recordings are where it looks for them.
        let recordings = std::fs::metadata(folder.join("recordings")).unwrap();
        assert_eq!(
            hello.folders.expect("its folders").recordings.identity,
            Some((recordings.dev(), recordings.ino()))
        );
        running.send(&ToEdge::Welcome { version: VERSION });
        running
    }

    fn send(&mut self, message: &ToEdge) {
        let mut bytes = Vec::new();
        encode(message, &mut bytes).unwrap();
        self.link.write_all(&bytes).unwrap();
    }

    fn next(&mut self) -> FromEdge {
        let mut bytes = [0; 4096];
        loop {
            if let Some(message) = self.decoder.poll().unwrap() {
                return message;
            }
            let len = self.link.read(&mut bytes).expect("the edge lives");
            assert_ne!(len, 0, "the edge has ended");
            self.decoder.push(&bytes[..len]);
        }
    }

    /// Calls an agent who is not there, so that the call ends at once, and waits for that. Each
    /// leaves some lines in the log.
    fn call(&mut self, id: usize) {
        let call_id = self.place(
            id,
            AgentTarget::Softphone { agent: "nobody".into(), ring_ms: 30_000, opus: true },
            route("127.0.0.1:9".parse().unwrap()),
            None,
        );
        while !matches!(self.event(), Event::Ended(ended) if ended.call_id == call_id) {}
    }

    fn place(
        &mut self,
        id: usize,
        agent: AgentTarget,
        customer: Route,
        recording: Option<&str>,
    ) -> CallId {
        let call_id = CallId::from(format!("call-{id}"));
        let call = PlaceCall {
            call_id: call_id.clone(),
            account_id: "account".into(),
            agent,
            customer: Destination { ring_ms: 45_000, routes: vec![customer], skipped: vec![] },
            max_duration_ms: 3_600_000,
            no_media_ms: 30_000,
            recording: recording.map(Into::into),
            recording_layout: RecordingLayout::Stereo,
            hold_audio: None,
            accepts_refer: false,
            agent_confirm: false,
            keep_ladder: true,
        };
        self.send(&ToEdge::Command { id: id as u64, command: Asked::PlaceCall(Box::new(call)) });
        call_id
    }

    /// Where it listens for SIP.
    fn sip(&self) -> SocketAddr {
        let port = self.config.lines().find_map(|line| line.strip_prefix("port = ")).unwrap();
        SocketAddr::from(([127, 0, 0, 1], port.parse().unwrap()))
    }

    /// The next event of a call, acknowledged.
    fn event(&mut self) -> Event {
        let until = Instant::now() + PATIENCE;
        loop {
            if let FromEdge::Event { id, event } = self.next() {
                self.send(&ToEdge::Ack { event_id: id });
                return event;
            }
            assert!(Instant::now() < until, "no event is told");
        }
    }

    /// Waits for a milestone of this kind.
    fn until_told(&mut self, kind: &str) {
        while !matches!(self.event(), Event::Milestone(told) if told.kind.as_str() == kind) {}
    }

    /// Ends by SIGTERM with status 0.
    fn stop(mut self) {
        let process = Pid::from_child(&self.child);
        rustix::process::kill_process(process, rustix::process::Signal::TERM).unwrap();
        let until = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < until, "SIGTERM has no effect");
            std::thread::sleep(Duration::from_millis(20));
        };
        assert_eq!(status.code(), Some(0), "{status}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn route(address: SocketAddr) -> Route {
    Route {
        trunk: "carrier".into(),
        transport: TransportKind::Udp,
        address,
        domain: "carrier.example".into(),
        request_user: "9876543210".into(),
        caller_id: "+918045670001".into(),
        credentials: None,
        media: MediaProfile::Rtp,
        signal_from: vec![],
        media_from: vec![],
        follows_redirects: false,
        hides_caller: false,
        trusted: false,
        forwarding: ForwardingHeader::None,
        interface: None,
        diverted_by: None,
        dtmf: DtmfMode::Auto,
        comfort_noise: false,
    }
}

/// A phone that answers at once.
struct Phone {
    sip: UdpSocket,
    rtp: UdpSocket,
}

impl Phone {
    fn new() -> Phone {
        let sip = UdpSocket::bind("127.0.0.1:0").unwrap();
        let rtp = UdpSocket::bind("127.0.0.1:0").unwrap();
        [&sip, &rtp]
            .into_iter()
            .for_each(|socket| socket.set_read_timeout(Some(PATIENCE)).unwrap());
        Phone { sip, rtp }
    }

    fn target(&self) -> AgentTarget {
        let routes = vec![route(self.sip.local_addr().unwrap())];
        AgentTarget::Phone(Destination { ring_ms: 30_000, routes, skipped: vec![] })
    }

    /// Sends the packet of this number, and waits as long as it plays.
    fn speak(&self, number: u16, to: SocketAddr) {
        let packet = [
            &[0x80, 0][..],
            &number.to_be_bytes(),
            &(u32::from(number) * 160).to_be_bytes(),
            b"ssrc",
            &[0xD5; 160],
        ]
        .concat();
        self.rtp.send_to(&packet, to).unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }

    /// Answers its INVITE and waits for the ACK; where the edge wants its media.
    fn answer(&self) -> SocketAddr {
        let mut bytes = [0; 65_536];
        let (len, edge) = self.sip.recv_from(&mut bytes).expect("an INVITE");
        let invite = String::from_utf8(bytes[..len].to_vec()).unwrap();
        let lines = |name: &str| -> String {
            invite
                .lines()
                .filter(|line| line.starts_with(name))
                .map(|line| format!("{line}\r\n"))
                .collect()
        };
        let sdp = format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
                m=audio {} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n",
            self.rtp.local_addr().unwrap().port()
        );
        let answer = format!(
            "SIP/2.0 200 OK\r\n{}{}{};tag=phone\r\n{}{}Contact: <sip:phone@{}>\r\n\
                Content-Type: application/sdp\r\n\
             Content-Length: {}\r\n\r\n{sdp}",
            lines("Via:"),
            lines("From:"),
            lines("To:").trim_end(),
            lines("Call-ID:"),
            lines("CSeq:"),
            self.sip.local_addr().unwrap(),
            sdp.len()
        );
        self.sip.send_to(answer.as_bytes(), edge).unwrap();
        loop {
            let len = self.sip.recv(&mut bytes).expect("an ACK");
            if bytes[..len].starts_with(b"ACK") {
                break;
            }
        }
        let port = invite
            .split("m=audio ")
            .nth(1)
            .and_then(|rest| rest.split(' ').next())
            .expect("an offer");
        SocketAddr::new(edge.ip(), port.parse().unwrap())
    }
}

fn pipe() -> (File, OwnedFd) {
    let (reader, writer) = std::io::pipe().unwrap();
    (File::from(OwnedFd::from(reader)), writer.into())
}

// B12
#[test]
fn a_log_whose_reader_goes_away_stops_no_call() {
    let folder = tempfile::tempdir().unwrap();
    let (reader, writer) = pipe();
    let mut edge = Running::start(folder.path(), writer.into());
    let mut first = String::new();
    BufReader::new(reader).read_line(&mut first).unwrap();
    assert!(!first.is_empty());
    // The reader is gone from here on.
    (0..20).for_each(|id| edge.call(id));
    edge.stop();
}

// B12
#[test]
fn a_log_that_nobody_reads_stops_no_call() {
    let folder = tempfile::tempdir().unwrap();
    let (reader, writer) = pipe();
    let mut edge = Running::start(folder.path(), writer.into());
    (0..CALLS).for_each(|id| edge.call(id));
    edge.stop();
    drop(reader);
}

// B12
#[test]
fn a_log_on_a_full_disk_stops_no_call_and_its_lines_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let mut edge = Running::start(
        folder.path(),
        File::options().write(true).open("/dev/full").unwrap().into(),
    );
    (0..20).for_each(|id| edge.call(id));
    let until = Instant::now() + PATIENCE;
    loop {
        if let FromEdge::Status(status) = edge.next()
            && status.counters.get("log_lines_lost").is_some_and(|count| *count > 0)
        {
            break;
        }
        assert!(Instant::now() < until, "no lost line is told");
    }
    edge.stop();
}

/// A stranger's connections that are kept full, and read.
fn flood(edge: SocketAddr, unit: &'static [u8], stop: Arc<AtomicBool>) {
    let bytes = unit.repeat(64 * 1024 / unit.len());
    while !stop.load(Ordering::Relaxed) {
        let socket =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 66], 0)).into()).unwrap();
        if socket.connect(&edge.into()).is_err() {
            continue;
        }
        socket.set_nonblocking(true).unwrap();
        let (mut stream, mut at) = (TcpStream::from(socket), 0);
        while !stop.load(Ordering::Relaxed) {
            match (stream.write(&bytes[at..]), stream.read(&mut [0; 64 * 1024])) {
                (_, Ok(0)) => break,
                (Ok(len), _) => at = (at + len) % bytes.len(),
                (Err(error), _) if error.kind() == ErrorKind::WouldBlock => {
                    std::thread::sleep(Duration::from_millis(1))
                }
                _ => break,
            }
        }
    }
}

// B01
#[test]
fn a_call_loses_nothing_beside_streams_that_are_always_full() {
    const PACKETS: u16 = 150;
    let folder = tempfile::tempdir().unwrap();
    let mut edge = Running::start(folder.path(), Stdio::null());
    let sip = edge.sip();
    let (agent, customer) = (Phone::new(), Phone::new());
    let target = agent.target();
    edge.place(1, target, route(customer.sip.local_addr().unwrap()), None);
    let from_agent = agent.answer();
    customer.answer();
    let stop = Arc::new(AtomicBool::new(false));
    let options = b"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: 0\r\n\r\n";
    let units: [&'static [u8]; 4] =
        [b"\r\n\r\n", options, b"OPTIONS sip:a SIP/2.0\r\nX: y\r\nX: ", b"\r\n\r\n"];
    let floods = units.map(|unit| {
        let stop = stop.clone();
        std::thread::spawn(move || flood(sip, unit, stop))
    });
    (0..PACKETS).for_each(|n| agent.speak(n, from_agent));
    // All but the beginning, which may come before the call is bridged: one that is lost leaves a
    // gap, and one too few.
    let mut bytes = [0; 2048];
    let (mut seen, mut first) = (BTreeSet::new(), None);
    while seen.len() < usize::from(PACKETS - 50) {
        customer.rtp.recv(&mut bytes).expect("the call's packets");
        let number = u16::from_be_bytes([bytes[2], bytes[3]]);
        seen.insert(number.wrapping_sub(*first.get_or_insert(number)));
    }
    stop.store(true, Ordering::Relaxed);
    floods.into_iter().for_each(|flood| flood.join().unwrap());
    assert_eq!(seen.last().map(|last| usize::from(*last) + 1), Some(seen.len()), "some are lost");
    edge.stop();
}

// Names of recordings are the permission to hear them.
#[test]
fn what_is_written_is_not_for_others_to_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut edge = Running::start(folder.path(), Stdio::null());
    let (agent, customer) = (Phone::new(), Phone::new());
    let customers = route(customer.sip.local_addr().unwrap());
    let call_id = edge.place(1, agent.target(), customers, Some("call.wav"));
    agent.answer();
    customer.answer();
    edge.until_told("recording_started");
    edge.send(&ToEdge::Command { id: 2, command: Asked::HangUp { call_id } });
    while !matches!(edge.event(), Event::Ended(_)) {}
    let recordings = folder.path().join("recordings");
    let files = std::fs::read_dir(&recordings).unwrap().map(|entry| entry.unwrap().path());
    let mut count = 0;
    for path in files.chain([recordings.clone()]) {
        let mode = std::fs::metadata(&path).unwrap().mode();
        assert_eq!(mode & 0o027, 0, "{} is {mode:o}", path.display());
        count += 1;
    }
    assert!(count > 1 && recordings.join("call.wav").exists(), "{count}");
    edge.stop();
}

// B11: what of a recording found no room on the disk is told, at once and at the end.
#[test]
fn a_recording_that_finds_no_room_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut edge = Running::start(folder.path(), Stdio::null());
    let (agent, customer) = (Phone::new(), Phone::new());
    let customers = route(customer.sip.local_addr().unwrap());
    let call_id = edge.place(1, agent.target(), customers, Some("call.wav"));
    let from_agent = agent.answer();
    customer.answer();
    // Its first second or so finds room: 32,000 bytes each, in both channels.
    let full = Rlimit { current: Some(48 * 1024), maximum: Some(48 * 1024) };
    prlimit(Some(Pid::from_child(&edge.child)), Resource::Fsize, full).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let stopping = stop.clone();
    let speaking = std::thread::spawn(move || {
        (0..)
            .take_while(|_| !stopping.load(Ordering::Relaxed))
            .for_each(|n| agent.speak(n, from_agent))
    });
    edge.until_told("recording_failed");
    edge.send(&ToEdge::Command { id: 2, command: Asked::HangUp { call_id } });
    let ended = loop {
        if let Event::Ended(ended) = edge.event() {
            break ended;
        }
    };
    stop.store(true, Ordering::Relaxed);
    speaking.join().unwrap();
    let written = ended.recording_written.expect("what was written");
    assert!(!written.complete && written.written_ms < Some(2_000), "{written:?}");
    assert!(ended.recording.is_some(), "what there was room for is kept");
    edge.child.kill().unwrap();
}

// B01: who is called is no stranger: its connections are its own, however many.
#[test]
fn a_trunk_that_is_called_is_no_stranger() {
    let folder = tempfile::tempdir().unwrap();
    let mut edge = Running::start(folder.path(), Stdio::null());
    let sip = edge.sip();
    let connect = |from: [u8; 4]| {
        let socket =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
        socket.connect(&sip.into()).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        TcpStream::from(socket)
    };
    // One more than an address has that nobody called.
    let connections = |from: [u8; 4]| (0..=16).map(|_| connect(from)).collect::<Vec<_>>();
    let mut strange = connections([127, 0, 0, 66]);
    assert_eq!(strange[0].read(&mut [0; 1]).unwrap(), 0, "the oldest made room");
    let trunk = TcpListener::bind("127.0.0.9:0").unwrap();
    let customer = Route { transport: TransportKind::Tcp, ..route(trunk.local_addr().unwrap()) };
    let agent = AgentTarget::Phone(Destination {
        ring_ms: 30_000,
        routes: vec![customer.clone()],
        skipped: vec![],
    });
    edge.place(1, agent, customer, None);
    trunk.accept().unwrap();
    let mut own = connections([127, 0, 0, 9]);
    for connection in &mut own {
        // RFC 5626 §4.4.1
        connection.write_all(b"\r\n\r\n").unwrap();
        connection.read_exact(&mut [0; 2]).expect("a pong");
    }
    edge.stop();
}

/// Source, destination, payload and its whole length of each packet of a pcap file of IPv4 and UDP.
fn packets(file: &[u8]) -> Vec<(SocketAddr, SocketAddr, Vec<u8>, usize)> {
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize;
    assert_eq!((word(0), word(20)), (0xa1b2_c3d4, 101));
    let (mut at, mut packets) = (24, Vec::new());
    while at < file.len() {
        let (kept_len, len) = (word(at + 8), word(at + 12));
        let packet = &file[at + 16..at + 16 + kept_len];
        at += 16 + kept_len;
        let end = |ip: usize, port: usize| {
            let ip = <[u8; 4]>::try_from(&packet[ip..ip + 4]).unwrap();
            SocketAddr::from((ip, u16::from_be_bytes([packet[port], packet[port + 1]])))
        };
        packets.push((end(12, 20), end(16, 22), packet[28..].to_vec(), len - 28));
    }
    packets
}

#[test]
fn a_call_is_captured_without_its_audio_unless_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let mut edge = Running::start(folder.path(), Stdio::null());
    let (agent, customer) = (Phone::new(), Phone::new());
    let target = customer.sip.local_addr().unwrap();
    let call_id = edge.place(1, agent.target(), route(target), None);
    let agent_media = agent.answer();
    let customer_media = customer.answer();
    edge.until_told("bridged");
    let ask = |edge: &mut Running, id, command| {
        edge.send(&ToEdge::Command { id, command });
        loop {
            match edge.next() {
                FromEdge::Ack { command_id } if command_id == id => return true,
                FromEdge::Refused { command_id, .. } if command_id == id => return false,
                _ => {}
            }
        }
    };
    let start = |call_id: &CallId, with_audio| Asked::StartCapture {
        call_id: call_id.clone(),
        file_name: "capture-1.pcap".into(),
        with_audio,
    };
    assert!(!ask(&mut edge, 2, start(&"nobody".into(), false)), "an unknown call");
    let mut heard = [0; 2_000];
    // Without audio, then with it; who asks for less does not take it away.
    for (id, asked) in [(3, [false, false]), (13, [true, false])] {
        for (id, with_audio) in (id..).zip(asked) {
            assert!(ask(&mut edge, id, start(&call_id, with_audio)));
        }
        for number in 0..20 {
            agent.speak(u16::from(asked[0]) * 20 + number, agent_media);
            customer.speak(u16::from(asked[0]) * 20 + number, customer_media);
        }
        for _ in 0..20 {
            assert_eq!(customer.rtp.recv(&mut heard).unwrap(), 172);
        }
    }
    assert!(ask(&mut edge, 5, Asked::HangUp { call_id: call_id.clone() }));
    std::thread::sleep(Duration::from_millis(300));
    assert!(ask(&mut edge, 6, Asked::StopCapture { call_id }));
    let path = folder.path().join("recordings/capture-1.pcap");
    let until = Instant::now() + PATIENCE;
    let captured = loop {
        let file = std::fs::read(&path).unwrap_or_default();
        let captured = if file.len() < 24 { Vec::new() } else { packets(&file) };
        if captured.iter().any(|(.., payload, _)| payload.starts_with(b"BYE")) {
            break captured;
        }
        assert!(Instant::now() < until, "{} packets and no BYE", captured.len());
        std::thread::sleep(Duration::from_millis(20));
    };
    // What was said before the capture began is in it, too.
    let sip = edge.sip();
    let invite = (sip, agent.sip.local_addr().unwrap());
    assert_eq!((captured[0].0, captured[0].1), invite);
    assert!(captured[0].2.starts_with(b"INVITE sip:"));
    let rtp = |from: SocketAddr, to: SocketAddr| {
        let of = captured.iter().filter(|it| (it.0, it.1) == (from, to) && it.2[0] == 0x80);
        of.map(|it| (it.2.len(), it.3)).collect::<Vec<_>>()
    };
    let (agent_rtp, customer_rtp) =
        (agent.rtp.local_addr().unwrap(), customer.rtp.local_addr().unwrap());
    for (from, to) in [
        (agent_rtp, agent_media),
        (customer_rtp, customer_media),
        (agent_media, agent_rtp),
        (customer_media, customer_rtp),
    ] {
        let packets = rtp(from, to);
        let (heads, whole): (Vec<_>, Vec<_>) = packets.into_iter().partition(|lens| lens.0 == 12);
        assert!(heads.len() > 10 && whole.len() > 10, "{from} to {to}: {heads:?} {whole:?}");
        assert!(heads.iter().all(|lens| *lens == (12, 172)), "{heads:?}");
        assert!(whole.iter().all(|lens| *lens == (172, 172)), "{whole:?}");
    }
    edge.stop();
}

/// Exit status, and the lines of standard output and error.
fn check_config(folder: &Path, config: &str) -> (Option<i32>, String, String) {
    let output = edge(folder, config).arg("--check-config").output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim_end().to_owned();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn check_config_says_what_start_would_refuse() {
    let folder = tempfile::tempdir().unwrap();
    let sound = config(folder.path());
    assert_eq!(
        check_config(folder.path(), &sound),
        (Some(0), "configuration is valid".into(), String::new())
    );
    assert!(!folder.path().join("recordings").exists(), "nothing is made");
    let file = folder.path().join("sip-edge.toml");
    let media_port = sound.split("first_port = ").nth(1).unwrap().lines().next().unwrap();
    let sip_port = sound.lines().find(|line| line.starts_with("port = ")).unwrap();
    let cases = [
        (
            "[sip]",
            "[sip]\nbind_address = \"203.0.113.77\"\npublic_address = \"203.0.113.77\"",
            "`sip.bind_address` 203.0.113.77 is no address",
        ),
        (
            sip_port,
            &format!("port = {media_port}"),
            "`sip.port`: 1 ports from it on meet `media.first_port`",
        ),
        ("/recordings", "/sip-edge.toml/recordings", "`recordings.folder`"),
        ("/control.sock", "/missing/control.sock", "`link.socket`"),
        ("level = \"debug\"", "level = \"verbose\"", "`log.level`: unknown variant `verbose`"),
        (
            "[media]",
            "[limits]\nmax_calls = 100000\n[media]",
            "`limits.max_calls`: 1 to 5000 are allowed",
        ),
        (
            "[media]",
            "[softphone]\nenabled = true\nself_signed = true\nbind_address = \
                \"203.0.113.77\"\n[media]",
            "`softphone.bind_address`",
        ),
        ("[media]", "[softphone]\nenabled = true\n[media]", "`softphone.certificate`"),
    ];
    for (part, wrong, told) in cases {
        let (status, _, error) = check_config(folder.path(), &sound.replacen(part, wrong, 1));
        assert!(status == Some(2) && error.contains(told), "{wrong}: {status:?} {error}");
        // Start says no as well.
        let start = Command::new(env!("CARGO_BIN_EXE_sip-edge"))
            .arg("--config")
            .arg(&file)
            .output()
            .unwrap();
        assert!(matches!(start.status.code(), Some(1 | 2)), "{wrong}: {start:?}");
    }
}

/// The answer of `--check-config` is its exit status, too.
#[test]
fn a_closed_output_changes_no_exit_status() {
    let folder = tempfile::tempdir().unwrap();
    let sound = config(folder.path());
    for (config, code) in [(sound.as_str(), 0), ("colour = 1", 2)] {
        let (reader, writer) = pipe();
        drop(reader);
        let output = writer.try_clone().unwrap();
        let status = edge(folder.path(), config)
            .arg("--check-config")
            .stdout(output)
            .stderr(writer)
            .status()
            .unwrap();
        assert_eq!(status.code(), Some(code), "{config}");
    }
}
