//! The process itself: what becomes of it and of requests when its output closes, fills up or is
//! not read (B12), who may read what it writes, and what it says when nothing can be written.

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Each request is a line of the log; a pipe holds about 600 of them.
const REQUESTS: usize = 2_000;
const PATIENCE: Duration = Duration::from_secs(30);

struct Running {
    child: Child,
    admin: SocketAddr,
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A configuration with all files in this folder.
fn config(folder: &Path, public: SocketAddr, admin: SocketAddr) -> String {
    let shown = folder.display();
    format!(
        "[public]\nlisten = \"{public}\"\nurl = \"http://{public}\"\n[admin]\nlisten = \
            \"{admin}\"\ntoken_file = \"{shown}/token\"\n\
         [link]\nsocket = \"{shown}/control.sock\"\n[storage]\nfolder = \
         \"{shown}/db\"\nsecret_key_file = \"{shown}/key\"\n\
         [recordings]\nfolder = \"{shown}/recordings\"\n[hold_audio]\nfolder = \
         \"{shown}/hold-audio\"\n\
         [log]\nfilter = \"info,control_api=debug\"\n"
    )
}

impl Running {
    fn start(folder: &Path, output: Stdio) -> Running {
        let (public, admin) = (free_address(), free_address());
        let file = folder.join("control-api.toml");
        std::fs::write(&file, config(folder, public, admin)).unwrap();
        // From a shell that lets everybody read what is made, and where a disk that takes no more
        // is an error instead of a signal.
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg("umask 022; trap '' XFSZ; exec \"$0\" \"$@\"")
            .arg(env!("CARGO_BIN_EXE_control-api"))
            .arg("serve")
            .arg("--config")
            .arg(file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output);
        let running = Running { child: command.spawn().unwrap(), admin };
        let until = Instant::now() + PATIENCE;
        while TcpStream::connect(admin).is_err() {
            assert!(Instant::now() < until, "it does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        running
    }

    /// The answer to a request, which is 200.
    fn get(&self, path: &str) -> String {
        let answer = self.ask(path);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        answer
    }

    fn ask(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.admin).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.admin)
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }

    /// Ends by SIGTERM with status 0.
    fn stop(mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
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
fn a_log_whose_reader_goes_away_stops_no_request() {
    let folder = tempfile::tempdir().unwrap();
    let (reader, writer) = pipe();
    let api = Running::start(folder.path(), writer.into());
    BufReader::new(reader).read_line(&mut String::new()).unwrap();
    // The reader is gone from here on.
    (0..50).for_each(|_| drop(api.get("/healthz")));
    api.stop();
}

// B12
#[test]
fn a_log_that_nobody_reads_stops_no_request() {
    let folder = tempfile::tempdir().unwrap();
    let (reader, writer) = pipe();
    let api = Running::start(folder.path(), writer.into());
    (0..REQUESTS).for_each(|_| drop(api.get("/healthz")));
    api.stop();
    drop(reader);
}

// B12
#[test]
fn a_log_on_a_full_disk_stops_no_request_and_its_lines_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let api = Running::start(
        folder.path(),
        File::options().write(true).open("/dev/full").unwrap().into(),
    );
    (0..50).for_each(|_| drop(api.get("/healthz")));
    let metrics = api.get("/metrics");
    let lost =
        metrics.lines().find_map(|line| line.strip_prefix("control_api_log_lines_lost_total "));
    assert!(lost.expect("the counter").parse::<u64>().unwrap() > 0, "{metrics}");
    api.stop();
}

// Numbers and names of recordings stand in them.
#[test]
fn what_is_written_is_not_for_others_to_read() {
    let folder = tempfile::tempdir().unwrap();
    let api = Running::start(folder.path(), Stdio::null());
    let files = ["db", "recordings", "hold-audio"]
        .iter()
        .flat_map(|name| std::fs::read_dir(folder.path().join(name)).unwrap())
        .map(|entry| entry.unwrap().path())
        .chain(["key", "token", "control.sock"].map(|name| folder.path().join(name)));
    let mut count = 0;
    for file in files {
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} is {mode:o}", file.display());
        count += 1;
    }
    assert!(count > 5, "{count} files");
    api.stop();
}

// B11
#[test]
fn readiness_is_lost_while_nothing_can_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut api = Running::start(folder.path(), Stdio::null());
    let readiness = |api: &Running| {
        let answer = api.ask("/readyz");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
        serde_json::from_str::<serde_json::Value>(body).expect("JSON")
    };
    assert_eq!(readiness(&api)["store"], true);
    // From now on the disk is full for it: no file may grow.
    let limit = Rlimit { current: Some(1), maximum: Some(1) };
    prlimit(Some(Pid::from_child(&api.child)), Resource::Fsize, limit).unwrap();
    let until = Instant::now() + PATIENCE;
    let unready = loop {
        let unready = readiness(&api);
        if unready["store"] == false {
            break unready;
        }
        assert!(Instant::now() < until, "{unready}");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!((&unready["ready"], &unready["recordings"]), (&false.into(), &false.into()));
    for (reason, key) in [(0, "storage.folder: "), (1, "recordings.folder: ")] {
        assert!(unready["reasons"][reason].as_str().unwrap().starts_with(key), "{unready}");
    }
    api.child.kill().unwrap();
}

/// A command's failure is JSON where its answer would be.
#[test]
fn a_failed_command_says_why_in_the_form_that_was_asked_for() {
    for json in [true, false] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_control-api"));
        command.args(["admin", "--token-file", "/nowhere/token", "trunk", "list"]);
        command.args(json.then_some("--json"));
        let output = command.stdin(Stdio::null()).output().unwrap();
        assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
        let told = serde_json::from_slice::<serde_json::Value>(&output.stderr);
        assert_eq!(told.is_ok_and(|told| told["detail"].is_string()), json, "{output:?}");
    }
}

/// A command's answer is its exit status, too.
#[test]
fn a_closed_output_changes_no_exit_status() {
    let folder = tempfile::tempdir().unwrap();
    let sound = config(folder.path(), free_address(), free_address());
    for (config, code) in [(sound.as_str(), 0), ("colour = 1", 2)] {
        let file = folder.path().join("checked.toml");
        std::fs::write(&file, config).unwrap();
        let (reader, writer) = pipe();
        drop(reader);
        let mut command = Command::new(env!("CARGO_BIN_EXE_control-api"));
        command.arg("serve").arg("--config").arg(file).arg("--check-config");
        let status = command.stdout(writer.try_clone().unwrap()).stderr(writer).status().unwrap();
        assert_eq!(status.code(), Some(code), "{config}");
    }
}
