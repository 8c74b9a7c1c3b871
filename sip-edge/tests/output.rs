//! The process itself: what it says and how it ends, whatever becomes of its output (B12), and what `--check-config` finds.

use control_wire::{
    AgentTarget, Command as Asked, Destination, Event, FrameDecoder, FromEdge, MediaProfile, PlaceCall, RecordingLayout, Route,
    ToEdge, TransportKind, VERSION, encode,
};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::UdpSocket;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// What the smallest pipe holds is far below this many calls' lines.
const CALLS: usize = 400;
const PATIENCE: Duration = Duration::from_secs(30);

fn free_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A configuration with free ports in this folder.
fn config(folder: &Path) -> String {
    static NEXT: AtomicU16 = AtomicU16::new(40_000);
    let mut firsts = std::iter::repeat_with(|| NEXT.fetch_add(16, Ordering::Relaxed));
    let is_free = |first: &u16| (*first..*first + 16).all(|port| UdpSocket::bind(("127.0.0.1", port)).is_ok());
    let (folder, media) = (folder.display(), firsts.find(is_free).expect("it repeats"));
    format!(
        "shards = 1\ndrain_limit_s = 0\n[sip]\nport = {}\n[media]\nfirst_port = {media}\nlast_port = {}\n[recordings]\n\
         folder = \"{folder}/recordings\"\n[link]\nsocket = \"{folder}/control.sock\"\n[log]\nlevel = \"debug\"\n",
        free_port(),
        media + 15
    )
}

fn edge(folder: &Path, config: &str) -> Command {
    let file = folder.join("sip-edge.toml");
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_sip-edge"));
    command.arg("--config").arg(file).stdin(Stdio::null());
    command
}

/// A running edge and control-api's end of its link.
struct Running {
    child: Child,
    link: UnixStream,
    decoder: FrameDecoder,
}

impl Running {
    fn start(folder: &Path, output: Stdio) -> Running {
        let listener = UnixListener::bind(folder.join("control.sock")).unwrap();
        let child = edge(folder, &config(folder)).stdout(Stdio::null()).stderr(output).spawn().unwrap();
        let (link, _) = listener.accept().unwrap();
        link.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut running = Running { child, link, decoder: FrameDecoder::default() };
        assert!(matches!(running.next(), FromEdge::Hello(_)));
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

    /// Calls an agent who is not there, so that the call ends at once, and waits for that. Each leaves some lines in the log.
    fn call(&mut self, id: usize) {
        let route = Route {
            trunk: "carrier".into(),
            transport: TransportKind::Udp,
            address: "127.0.0.1:9".parse().unwrap(),
            domain: "carrier.example".into(),
            request_user: "9876543210".into(),
            caller_id: "+918045670001".into(),
            credentials: None,
            media: MediaProfile::Rtp,
        };
        let call_id = format!("call-{id}");
        let call = PlaceCall {
            call_id: call_id.clone(),
            account_id: "account".into(),
            agent: AgentTarget::Softphone { agent: "nobody".into(), ring_ms: 30_000 },
            customer: Destination { ring_ms: 45_000, routes: vec![route] },
            max_duration_ms: 3_600_000,
            no_media_ms: 30_000,
            recording: None,
            recording_layout: RecordingLayout::Stereo,
            hold_audio: None,
            accepts_refer: false,
            agent_confirm: false,
        };
        self.send(&ToEdge::Command { id: id as u64, command: Asked::PlaceCall(Box::new(call)) });
        loop {
            let FromEdge::Event { id, event } = self.next() else { continue };
            self.send(&ToEdge::Ack { event_id: id });
            if matches!(event, Event::Ended(ended) if ended.call_id == call_id) {
                return;
            }
        }
    }

    /// Ends by SIGTERM with status 0.
    fn stop(mut self) {
        let process = rustix::process::Pid::from_child(&self.child);
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
    assert!(first.contains("shard is up") || first.contains("control link"), "{first}");
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
    let mut edge = Running::start(folder.path(), File::options().write(true).open("/dev/full").unwrap().into());
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
    assert_eq!(check_config(folder.path(), &sound), (Some(0), "configuration is valid".into(), String::new()));
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
        (sip_port, &format!("port = {media_port}"), "`sip.port`: 1 ports from it on meet `media.first_port`"),
        ("/recordings", "/sip-edge.toml/recordings", "`recordings.folder`"),
        ("/control.sock", "/missing/control.sock", "`link.socket`"),
        ("level = \"debug\"", "level = \"verbose\"", "`log.level`: unknown variant `verbose`"),
        ("[media]", "[limits]\nmax_calls = 100000\n[media]", "`limits.max_calls`: 1 to 5000 are allowed"),
        (
            "[media]",
            "[softphone]\nenabled = true\nself_signed = true\nbind_address = \"203.0.113.77\"\n[media]",
            "`softphone.bind_address`",
        ),
        ("[media]", "[softphone]\nenabled = true\n[media]", "`softphone.certificate`"),
    ];
    for (part, wrong, told) in cases {
        let (status, _, error) = check_config(folder.path(), &sound.replacen(part, wrong, 1));
        assert!(status == Some(2) && error.contains(told), "{wrong}: {status:?} {error}");
        // Start says no as well.
        let start = Command::new(env!("CARGO_BIN_EXE_sip-edge")).arg("--config").arg(&file).output().unwrap();
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
        let status = edge(folder.path(), config).arg("--check-config").stdout(output).stderr(writer).status().unwrap();
        assert_eq!(status.code(), Some(code), "{config}");
    }
}
