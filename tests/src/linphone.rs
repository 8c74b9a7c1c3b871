//! linphone as a phone, a SIP and media stack of its own (belle-sip, mediastreamer). It speaks with
//! a tone from a file and writes down what it hears. Steered by the words of its console.

use crate::audio::{AMPLITUDE, tone_file};
use std::fs::File;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Length of the tone that it speaks with, half as loud as its file.
const SPEECH_S: usize = 120;
const WAV_HEAD_LEN: usize = 44;
/// Ports for its media, beyond those that the system and the other peers take.
const MEDIA_PORTS: &str = "58000-60000";

/// A running phone, which answers at once by SDES-SRTP with G.722; ended when dropped.
pub struct Linphone {
    pub address: SocketAddr,
    child: Child,
    folder: TempDir,
}

impl Linphone {
    /// Starts the phone on loopback; it speaks with a tone of this frequency in Hz.
    pub async fn start(frequency: f64) -> Linphone {
        let folder = tempfile::tempdir().expect("a folder for the phone");
        let address =
            loadtest::children::free_address((Ipv4Addr::LOCALHOST, 0).into()).expect("a port");
        let path = folder.path();
        let config = config(address);
        for (name, bytes) in [
            ("linphonerc", config.as_bytes()),
            ("speech.wav", &tone_file(frequency, 2.0 * AMPLITUDE, SPEECH_S)),
        ] {
            std::fs::write(path.join(name), bytes).expect("a file of the phone");
        }
        let log = File::create(path.join("log")).expect("a file of the phone");
        // Without a place for its database it starts no SIP.
        std::fs::create_dir_all(path.join(".local/share/linphone")).expect("a folder of the phone");
        let child = Command::new("stdbuf")
            .args(["-oL", "linphonec", "-a", "-d", "6", "-c"])
            .arg(path.join("linphonerc"))
            .env("HOME", path)
            .stdin(Stdio::piped())
            .stderr(log.try_clone().expect("a file of the phone"))
            .stdout(log)
            .spawn()
            .expect("linphonec: run `make install` first");
        let mut phone = Linphone { address, child, folder };
        let deadline = Instant::now() + crate::PATIENCE;
        while !phone.log().contains("linphonec>") {
            assert!(Instant::now() < deadline, "linphone does not start: {}", phone.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let path = phone.folder.path().display().to_string();
        phone.say("soundcard use files");
        phone.say(&format!("record {path}/heard.wav"));
        phone
    }

    /// Begins to speak, in a call.
    pub fn speak(&mut self) {
        let path = self.folder.path().join("speech.wav");
        self.say(&format!("play {}", path.display()));
    }

    /// A command of its console: `pause`, `resume`, `terminate`, `transfer URI`, or keys to press.
    pub fn say(&mut self, command: &str) {
        let console = self.child.stdin.as_mut().expect("a console");
        writeln!(console, "{command}").expect("a console that listens");
    }

    /// All that it heard in the call so far, at 8 kHz: it writes what G.722 carries, at 16 kHz, and
    /// the head of the file in the end.
    pub fn heard(&self) -> Vec<i16> {
        let bytes = std::fs::read(self.folder.path().join("heard.wav")).unwrap_or_default();
        let samples = bytes.get(WAV_HEAD_LEN..).unwrap_or_default().chunks_exact(2);
        samples.step_by(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
    }

    /// Its log, with every SIP message.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(self.folder.path().join("log")).expect("its log");
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Linphone {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("linphone: {}", self.log());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn config(address: SocketAddr) -> String {
    format!(
        "[sip]\nauto_net_state_mon=0\nsip_port={}\nsip_tcp_port=0\nsip_tls_port=0\nbind_address={}\nguess_hostname=0\n\
         contact=sip:phone@{address}\nmedia_encryption=srtp\nmedia_encryption_mandatory=1\n\
         use_info=0\nuse_rfc2833=1\n\n\
         [rtp]\naudio_rtp_port={MEDIA_PORTS}\n\n[sound]\nechocancellation=0\n\n\
         [audio_codec_0]\nmime=G722\nrate=8000\nenabled=1\n\n\
         [audio_codec_1]\nmime=PCMU\nrate=8000\nenabled=1\n\n[net]\nfirewall_policy=0\n",
        address.port(),
        address.ip()
    )
}
