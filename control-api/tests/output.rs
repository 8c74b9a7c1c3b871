//! The process itself: what becomes of it and of requests when its output closes, fills up or is
//! not read (B12).

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
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

impl Running {
    fn start(folder: &Path, output: Stdio) -> Running {
        let (public, admin) = (free_address(), free_address());
        let (file, shown) = (folder.join("control-api.toml"), folder.display());
        let config = format!(
            "[public]\nlisten = \"{public}\"\nurl = \"http://{public}\"\n[admin]\nlisten = \
                \"{admin}\"\ntoken_file = \"{shown}/token\"\n\
             [link]\nsocket = \"{shown}/control.sock\"\n[storage]\nfolder = \
             \"{shown}/db\"\nsecret_key_file = \"{shown}/key\"\n\
             [recordings]\nfolder = \"{shown}/recordings\"\n[hold_audio]\nfolder = \
             \"{shown}/hold-audio\"\n\
             [log]\nfilter = \"info,control_api=debug\"\n"
        );
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_control-api"));
        command
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
        let mut stream = TcpStream::connect(self.admin).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.admin)
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
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

/// A command's answer is its exit status, too.
#[test]
fn a_closed_output_changes_no_exit_status() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wrong.toml");
    std::fs::write(&file, "colour = 1").unwrap();
    let (reader, writer) = pipe();
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_control-api"));
    command.arg("serve").arg("--config").arg(file).arg("--check-config");
    let status = command.stdout(writer.try_clone().unwrap()).stderr(writer).status().unwrap();
    assert!(matches!(status.code(), Some(1 | 2)), "{status}");
}
