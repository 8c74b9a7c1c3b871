//! linphone as a phone, a SIP and media stack of its own (belle-sip, mediastreamer). It speaks with
//! a tone from a file and writes down what it hears. Steered by the words of its console.

use crate::audio::{AMPLITUDE, tone_file};
use crate::kamailio::{MAX_EXPIRES_S, PASSWORD, USERNAME};
use std::fs::File;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
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
    /// Where it is called.
    pub address: SocketAddr,
    child: Child,
    folder: TempDir,
}

impl Linphone {
    /// Starts the phone on loopback; it speaks with a tone of this frequency in Hz.
    pub async fn start(frequency: f64) -> Linphone {
        let address =
            loadtest::children::free_address((Ipv4Addr::LOCALHOST, 0).into()).expect("a port");
        let signalling = format!(
            "auto_net_state_mon=0\nsip_port={}\nsip_tcp_port=0\nsip_tls_port=0\nbind_address={}\nguess_hostname=0\n\
             contact=sip:phone@{address}\n",
            address.port(),
            address.ip()
        );
        Linphone::run(address, frequency, &signalling, "").await
    }

    /// The same, called over the TLS connection by which it registers with a carrier, for it takes
    /// no TLS connections. The carrier's certificate must be of this root, and for `localhost`: it
    /// compares no addresses.
    pub async fn registered(frequency: f64, carrier: SocketAddr, root: &Path) -> Linphone {
        let signalling = format!(
            "sip_port=0\nsip_tcp_port=0\nsip_tls_port=-2\nroot_ca={}\nverify_server_certs=1\n\
             verify_server_cn=1\ndefault_proxy=0\n",
            root.display()
        );
        let account = format!(
            "[proxy_0]\nreg_proxy=<sip:localhost:{};transport=tls>\n\
             reg_identity=sip:{USERNAME}@carrier\nreg_expires={MAX_EXPIRES_S}\n\
             reg_sendregister=1\npublish=0\n\n\
             [auth_info_0]\nusername={USERNAME}\npasswd={PASSWORD}\nrealm=carrier\n\n",
            carrier.port()
        );
        Linphone::run(carrier, frequency, &signalling, &account).await
    }

    async fn run(address: SocketAddr, frequency: f64, signalling: &str, account: &str) -> Linphone {
        let folder = tempfile::tempdir().expect("a folder for the phone");
        let path = folder.path();
        let config = config(signalling, account);
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

fn config(signalling: &str, account: &str) -> String {
    format!(
        "[sip]\n{signalling}media_encryption=srtp\n\
         media_encryption_mandatory=1\nuse_info=0\nuse_rfc2833=1\n\n\
         {account}[rtp]\naudio_rtp_port={MEDIA_PORTS}\n\n[sound]\nechocancellation=0\n\n\
         [audio_codec_0]\nmime=G722\nrate=8000\nenabled=1\n\n\
         [audio_codec_1]\nmime=PCMU\nrate=8000\nenabled=1\n\n[net]\nfirewall_policy=0\n"
    )
}
