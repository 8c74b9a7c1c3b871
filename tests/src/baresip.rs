//! baresip as a phone, a SIP and media stack that is neither ours nor SIPp's. It speaks with a tone
//! from a file; its sound card is a pipe of which this end takes what is played as fast as a real
//! one does. Steered by the keys of its console.

use crate::audio::{AMPLITUDE, tone_file};
use crate::authority::Identity;
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a key of the dial pad is held down.
const KEY: Duration = Duration::from_millis(120);
/// The console's word for a key that is let go.
const RELEASE: &str = "\u{4}";
/// Length of the tone that it speaks with; at its end it would hang up.
const SPEECH_S: usize = 240;
/// Ports for its media, beyond those that the system and the other peers take.
const MEDIA_PORTS: &str = "61000-65000";
/// How much the sound card takes at once, and the length of its queue: a quarter of a second.
const PLAYED: Duration = Duration::from_millis(20);
const QUEUE_LEN: usize = 4096;

/// How it carries audio.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Media {
    Rtp,
    /// SDES-SRTP, and nothing else (RFC 4568).
    Srtp,
}

/// A running phone, which answers at once; ended when dropped.
pub struct Baresip {
    pub address: SocketAddr,
    child: Child,
    console: UdpSocket,
    folder: TempDir,
    card: Card,
}

impl Baresip {
    /// Starts the phone of this E.164 number on loopback; it speaks with a tone of this frequency
    /// in Hz. With an identity it can be called over TLS, too, at [`Self::tls_address`].
    pub async fn start(
        number: &str,
        frequency: f64,
        media: Media,
        identity: Option<&Identity>,
    ) -> Baresip {
        let folder = tempfile::tempdir().expect("a folder for the phone");
        let free =
            || loadtest::children::free_address((Ipv4Addr::LOCALHOST, 0).into()).expect("a port");
        // It listens for SIP over TLS at the next port.
        let address = loop {
            let (sip, tls) = (free(), free());
            if sip.port() + 1 == tls.port() {
                break sip;
            }
        };
        let console_address = free();
        let encryption = if media == Media::Srtp { ";mediaenc=srtp-mand" } else { "" };
        let account =
            format!("<sip:{number}@{}>;regint=0;answermode=auto{encryption}\n", address.ip());
        let path = folder.path();
        let certificate = identity.map_or_else(String::new, |identity| {
            // Both in one file.
            let pem = [&identity.certificate, &identity.private_key]
                .map(|file| std::fs::read_to_string(file).expect("a PEM file"))
                .concat();
            std::fs::write(path.join("identity.pem"), pem).expect("a file of the phone");
            format!("sip_certificate {}/identity.pem\n", path.display())
        });
        for (name, bytes) in [
            ("config", (config(path, address, console_address) + &certificate).into_bytes()),
            ("accounts", account.into_bytes()),
            ("asound.conf", sound_config(path).into_bytes()),
            ("speech.wav", tone_file(frequency, AMPLITUDE, SPEECH_S)),
            ("contacts", Vec::new()),
        ] {
            std::fs::write(path.join(name), bytes).expect("a file of the phone");
        }
        let card = Card::start(&path.join("card"));
        let log = File::create(path.join("log")).expect("a file of the phone");
        // Its trace is written line by line, not in blocks.
        let child = Command::new("stdbuf")
            .args(["-oL", "baresip", "-4", "-s", "-f"])
            .arg(path)
            .env("ALSA_CONFIG_PATH", path.join("asound.conf"))
            .stdin(Stdio::null())
            .stderr(log.try_clone().expect("a file of the phone"))
            .stdout(log)
            .spawn()
            .expect("baresip: run `make install` first");
        let console = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        console.connect(console_address).expect("an address");
        let phone = Baresip { address, child, console, folder, card };
        let deadline = Instant::now() + crate::PATIENCE;
        while !phone.log().contains("baresip is ready") {
            assert!(Instant::now() < deadline, "baresip does not start: {}", phone.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        phone
    }

    /// Where it is called over TLS.
    pub fn tls_address(&self) -> SocketAddr {
        SocketAddr::new(self.address.ip(), self.address.port() + 1)
    }

    /// Asks for hold by a new offer.
    pub fn hold(&self) {
        self.press("x");
    }

    /// Ends the hold by a re-INVITE.
    pub fn resume(&self) {
        self.press("X");
    }

    /// Says BYE.
    pub fn hang_up(&self) {
        self.press("b");
    }

    /// Presses keys of the dial pad, one after the other.
    pub async fn dial(&self, keys: &str) {
        for key in keys.chars() {
            self.press(&key.to_string());
            tokio::time::sleep(KEY).await;
            self.press(RELEASE);
            tokio::time::sleep(KEY).await;
        }
    }

    fn press(&self, key: &str) {
        self.console.send(key.as_bytes()).expect("a console that listens");
    }

    /// All that it played since then, at 8 kHz.
    pub fn heard_since(&self, since: Instant) -> Vec<i16> {
        let heard = self.card.heard.lock().expect("heard");
        heard
            .iter()
            .filter(|(at, _)| *at >= since)
            .flat_map(|(_, samples)| samples)
            .copied()
            .collect()
    }

    /// Directions in the descriptions that it sent, in order.
    pub fn directions(&self) -> Vec<String> {
        let log = self.log();
        let from = [self.address, self.tls_address()].map(|address| format!("{address} ->"));
        // A connection that it opened comes from another port.
        let is_own = |message: &str| {
            from.iter().any(|from| message.starts_with(from))
                || message.contains("\nUser-Agent: baresip")
        };
        let all = ["sendrecv", "sendonly", "recvonly", "inactive"];
        let direction = |line: &str| {
            all.iter().find(|direction| line.trim_end().strip_prefix("a=") == Some(direction))
        };
        let sent = log.split("\nUDP ").flat_map(|part| part.split("\nTLS "));
        let sent = sent.filter(|message| is_own(message));
        sent.filter_map(|message| message.lines().find_map(direction))
            .map(|direction| (*direction).to_owned())
            .collect()
    }

    /// Keys that it was told of, in order.
    pub fn keys(&self) -> String {
        let log = self.log();
        let ended =
            log.lines().filter(|line| line.contains("received event:") && line.contains("(end=1)"));
        ended.filter_map(|line| line.split('\'').nth(1)).collect()
    }

    /// Its log, with every SIP message.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(self.folder.path().join("log")).expect("its log");
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Baresip {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("baresip: {}", self.log());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

type Heard = Mutex<Vec<(Instant, Vec<i16>)>>;

/// A sound card that keeps what is played; dropping it ends its thread.
struct Card {
    heard: Arc<Heard>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Card {
    fn start(path: &Path) -> Card {
        assert!(Command::new("mkfifo").arg(path).status().expect("mkfifo").success());
        // Open for both, so that it neither waits for a player nor ends with one.
        let pipe = OpenOptions::new().read(true).write(true).open(path).expect("a pipe");
        rustix::io::ioctl_fionbio(&pipe, true).expect("a pipe that does not wait");
        rustix::pipe::fcntl_setpipe_size(&pipe, QUEUE_LEN).expect("a short pipe");
        let (heard, stop) = (Arc::<Heard>::default(), Arc::<AtomicBool>::default());
        let (thread_heard, thread_stop) = (heard.clone(), stop.clone());
        let thread = std::thread::spawn(move || take(pipe, &thread_heard, &thread_stop));
        Card { heard, stop, thread: Some(thread) }
    }
}

impl Drop for Card {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Takes from the player what it has, at the pace of sound.
fn take(mut pipe: File, heard: &Heard, stop: &AtomicBool) {
    let mut due = Instant::now();
    let mut buffer = [0; PLAYED.as_millis() as usize * 16];
    while !stop.load(Ordering::Relaxed) {
        if let Ok(len) = pipe.read(&mut buffer) {
            let samples = buffer[..len]
                .chunks_exact(2)
                .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
                .collect();
            heard.lock().expect("heard").push((Instant::now(), samples));
        }
        due += PLAYED;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}

fn config(folder: &Path, address: SocketAddr, console: SocketAddr) -> String {
    let folder = folder.display();
    let modules: String = ["cons", "g711", "aufile", "alsa", "aubridge", "srtp"]
        .map(|name| format!("module {name}.so\n"))
        .concat();
    format!(
        "sip_listen {address}\nnet_interface {}\nrtp_ports {MEDIA_PORTS}\ncons_listen \
            {console}\nmenu_bell no\n\
         audio_source aufile,{folder}/speech.wav\naudio_player alsa,card\naudio_alert \
         aubridge,nobody\naudio_buffer 100-1000\n\
         module_path /usr/lib/baresip/modules\n{modules}module_tmp account.so\nmodule_app \
         menu.so\n",
        address.ip()
    )
}

/// ALSA's description of the card.
fn sound_config(folder: &Path) -> String {
    let file = folder.join("card");
    format!(
        "pcm.card {{ type file slave.pcm {{ type null }} file \"{}\" format \"raw\" }}\n",
        file.display()
    )
}
