//! The real process with some shards, and control-api's end of their links.

use call_words::CallId;
use control_wire::{
    Command as Asked, Ended, Event, FrameDecoder, FromEdge, ToEdge, TrunkState, VERSION, encode,
};
use rustix::process::Pid;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub const PATIENCE: Duration = Duration::from_secs(20);

pub type Counters = BTreeMap<String, u64>;

/// control-api's end of one shard's link.
pub struct Link {
    writer: UnixStream,
    events: Receiver<Event>,
    pub trunks: Receiver<TrunkState>,
    counters: Arc<Mutex<(u64, Counters)>>,
}

impl Link {
    /// Takes a shard's connection; its number.
    fn accept(listener: &UnixListener) -> (u16, Link) {
        let (mut reader, _) = listener.accept().unwrap();
        let mut writer = reader.try_clone().unwrap();
        let mut decoder = FrameDecoder::default();
        let hello = loop {
            if let Some(message) = next(&mut reader, &mut decoder) {
                break message;
            }
        };
        let FromEdge::Hello(hello) = hello else { panic!("no Hello") };
        send(&mut writer, &ToEdge::Welcome { version: VERSION });
        let ((tell, events), (tell_trunk, trunks)) = (channel(), channel());
        let counters = Arc::<Mutex<(u64, Counters)>>::default();
        let (noted, acknowledged) = (counters.clone(), writer.try_clone().unwrap());
        std::thread::spawn(move || {
            note(reader, decoder, acknowledged, (&tell, &tell_trunk), &noted)
        });
        (hello.shard, Link { writer, events, trunks, counters })
    }

    pub fn command(&mut self, id: u64, command: Asked) {
        send(&mut self.writer, &ToEdge::Command { id, command });
    }

    pub fn until_ended(&self, call_id: &CallId) -> Box<Ended> {
        loop {
            match self.events.recv_timeout(PATIENCE).expect("the call ends") {
                Event::Ended(ended) if ended.call_id == *call_id => return ended,
                _ => {}
            }
        }
    }

    /// What the shard counts from now on includes all that it did before.
    pub fn counters(&self) -> Counters {
        let seen = self.counters.lock().unwrap().0;
        let until = Instant::now() + PATIENCE;
        loop {
            let (count, counters) = self.counters.lock().unwrap().clone();
            if count > seen + 1 {
                return counters;
            }
            assert!(Instant::now() < until, "no status comes");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn note(
    mut reader: UnixStream,
    mut decoder: FrameDecoder,
    mut writer: UnixStream,
    (tell, tell_trunk): (&Sender<Event>, &Sender<TrunkState>),
    noted: &Mutex<(u64, Counters)>,
) {
    while let Some(message) = next(&mut reader, &mut decoder) {
        match message {
            FromEdge::Event { id, event } => {
                send(&mut writer, &ToEdge::Ack { event_id: id });
                let _ = tell.send(event);
            }
            FromEdge::Status(status) => {
                let mut noted = noted.lock().unwrap();
                *noted = (noted.0 + 1, status.counters);
            }
            FromEdge::Trunk(state) => drop(tell_trunk.send(state)),
            _ => {}
        }
    }
}

fn send(link: &mut UnixStream, message: &ToEdge) {
    let mut bytes = Vec::new();
    encode(message, &mut bytes).unwrap();
    // The shard may have ended.
    let _ = link.write_all(&bytes);
}

/// The next message; `None` when the shard has ended.
fn next(link: &mut UnixStream, decoder: &mut FrameDecoder) -> Option<FromEdge> {
    let mut bytes = [0; 4096];
    loop {
        if let Some(message) = decoder.poll().unwrap() {
            return Some(message);
        }
        let len = link.read(&mut bytes).ok().filter(|len| *len > 0)?;
        decoder.push(&bytes[..len]);
    }
}

pub struct Edge {
    child: Child,
    pub links: Vec<Link>,
    pub sip: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Edge {
    /// With so many shards, which share one SIP port or do not.
    pub fn start(shard_count: usize, one_port: bool) -> Edge {
        Self::start_with(shard_count, one_port, "")
    }

    /// The same, with more in its file.
    pub fn start_with(shard_count: usize, one_port: bool, more: &str) -> Edge {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("control.sock")).unwrap();
        let sip = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let file = folder.path().join("sip-edge.toml");
        let text = config(folder.path(), sip, shard_count, one_port) + more;
        std::fs::write(&file, text).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_sip-edge"))
            .arg("--config")
            .arg(file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut links: Vec<_> = (0..shard_count).map(|_| Link::accept(&listener)).collect();
        links.sort_by_key(|(shard, _)| *shard);
        let links = links.into_iter().map(|(_, link)| link).collect();
        Edge { child, links, sip, _folder: folder }
    }

    pub fn counters(&self) -> Vec<Counters> {
        self.links.iter().map(Link::counters).collect()
    }

    /// CPU time of all threads.
    pub fn cpu(&self) -> Duration {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let nanoseconds = tasks.map(|task| {
            let text = std::fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap();
            text.split(' ').next().unwrap().parse::<u64>().unwrap()
        });
        Duration::from_nanos(nanoseconds.sum())
    }

    /// Asks it by SIGTERM to drain.
    pub fn drain(&self) {
        let process = Pid::from_child(&self.child);
        rustix::process::kill_process(process, rustix::process::Signal::TERM).unwrap();
    }

    /// Ends it, calls included.
    pub fn stop(mut self) {
        for _ in 0..2 {
            self.drain();
            std::thread::sleep(Duration::from_millis(50));
        }
        self.until_ended();
    }

    /// Waits for its end, which is a clean one.
    pub fn until_ended(&mut self) {
        let until = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < until, "SIGTERM has no effect");
            std::thread::sleep(Duration::from_millis(20));
        };
        assert!(status.success(), "{status}");
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn config(folder: &Path, sip: SocketAddr, shard_count: usize, one_port: bool) -> String {
    // Below those that the system gives to any socket.
    static NEXT: AtomicU16 = AtomicU16::new(24_000);
    let mut firsts = std::iter::repeat_with(|| NEXT.fetch_add(64, Ordering::Relaxed));
    let is_free = |first: &u16| {
        (*first..*first + 64).all(|port| UdpSocket::bind(("127.0.0.1", port)).is_ok())
    };
    let (folder, media) = (folder.display(), firsts.find(is_free).expect("free ports"));
    format!(
        "shards = {shard_count}\ndrain_limit_s = 0\n[sip]\nport = {}\none_port = {one_port}\n\
         [media]\nfirst_port = {media}\nlast_port = {}\n[recordings]\nfolder = \
         \"{folder}/recordings\"\n[hold_audio]\nfolder = \"{folder}\"\n[link]\nsocket = \
         \"{folder}/control.sock\"\n",
        sip.port(),
        media + 63
    )
}

/// The first header of this name, or an empty text.
pub fn value<'a>(message: &'a str, name: &str) -> &'a str {
    let mut lines = message.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(each, _)| *each == name).map_or("", |(_, value)| value)
}
