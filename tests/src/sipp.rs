//! SIPp as all phones of a carrier: its process, what each dialled number does, and its trace of
//! every message.

use anyhow::Context;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// What a phone does; the number is the last two digits that dial it (`scenarios/phones.xml`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phone {
    /// Rings, answers, and talks until the other side hangs up.
    Talks = 1,
    /// Answers, and hangs up after 1 s.
    HangsUp = 2,
    /// Rings until it is cancelled.
    Rings = 3,
    /// 183 with SDP, and 200 after 1.5 s.
    Announces = 4,
    Busy = 5,
    Declines = 6,
    Unknown = 7,
    Fails = 8,
    /// 180, then 480.
    IsOff = 9,
    /// 180, then 408.
    TimesOut = 10,
    /// 180, then 500 with cause 17 of Q.850.
    BusyByCause = 11,
    /// Answers, and sends an INVITE inside the dialog after 1 s.
    Reinvites = 12,
    /// Rings, and answers when the CANCEL comes.
    Crosses = 13,
    /// Answers, and tells a pressed `5` by INFO after 1 s.
    Keys = 14,
    /// Answers, and asks by REFER for a transfer to `TRANSFER_TARGET` after 1 s.
    Refers = 15,
    /// Refuses with the code that stands before the number of the phone, without ringing.
    Refuses = 16,
}

/// The third party's number to which a phone asks to be transferred; it talks.
pub const TRANSFER_TARGET: &str = "9876399901";

/// Number of an agent's phone, in national form.
pub fn agent_number(phone: Phone) -> String {
    fresh_number("98764", phone)
}

/// Number of a customer's phone, in national form.
pub fn customer_number(phone: Phone) -> String {
    fresh_number("98765", phone)
}

/// Number of a third party's phone, in national form.
pub fn third_number(phone: Phone) -> String {
    fresh_number("98763", phone)
}

/// Number of a supervisor's phone, in national form.
pub fn supervisor_number(phone: Phone) -> String {
    fresh_number("98762", phone)
}

/// With which a phone refuses.
const REFUSALS: [u16; 20] = [
    302, 401, 403, 404, 407, 408, 410, 415, 416, 480, 484, 485, 488, 500, 502, 504, 600, 604, 606,
    607,
];

/// The scenario with all refusals: SIPp takes no variable for a status.
fn scenario() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/phones.xml");
    let text = std::fs::read_to_string(path).expect("the scenario");
    let each = |part: fn(u16) -> String| REFUSALS.map(part).concat();
    let ask = each(|code| {
        let number = format!("{code}{:02}", Phone::Refuses as u32);
        format!(
            "<ereg regexp=\"INVITE sip:[+0-9]*{number}@\" search_in=\"msg\" \
             assign_to=\"refuses_{code}\"/>\n"
        )
    });
    let choose = each(|code| format!("<nop test=\"refuses_{code}\" next=\"refuse_{code}\"/>\n"));
    let refuse = each(|code| {
        format!(
            "<label id=\"refuse_{code}\"/>\n<send retrans=\"500\"><![CDATA[\n\
             SIP/2.0 {code} Refused\n[last_Via:]\n[last_From:]\n\
             [last_To:];tag=[pid]SIPpTag[call_number]\n[last_Call-ID:]\n[last_CSeq:]\n\
             Content-Length: 0\n\n]]></send>\n<recv request=\"ACK\" next=\"end\"/>\n"
        )
    });
    text.replace("<!-- each code: ask -->", &ask)
        .replace("<!-- each code: choose -->", &choose)
        .replace("<!-- each code: refuse -->", &refuse)
}

/// Numbers of an agent's and of a customer's phone that refuse with this code.
pub fn refusing_numbers(code: u16) -> [String; 2] {
    ["98764", "98765"].map(|prefix| format!("{prefix}{code:03}{:02}", Phone::Refuses as u32))
}

fn fresh_number(prefix: &str, phone: Phone) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{prefix}{:03}{:02}", NEXT.fetch_add(1, Ordering::Relaxed) % 1000, phone as u32)
}

/// G.711 as the phones choose it from an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Law {
    Mu,
    A,
}

/// Where the phones of each party have their media.
#[derive(Debug, Clone, Copy)]
pub struct MediaPorts {
    pub agent: u16,
    pub customer: u16,
    pub third: u16,
    pub supervisor: u16,
}

/// A running SIPp.
pub struct Sipp {
    pub address: SocketAddr,
    child: Child,
    folder: PathBuf,
}

/// Whether a UDP socket of this network has the port. Told by `/proc`: to bind it would take it
/// from the program that is about to.
pub(crate) fn is_taken(port: u16) -> bool {
    let ending = format!(":{port:04X}");
    ["udp", "udp6"].iter().any(|table| {
        let text = std::fs::read_to_string(format!("/proc/self/net/{table}")).unwrap_or_default();
        text.lines().any(|line| {
            line.split_whitespace().nth(1).is_some_and(|local| local.ends_with(&ending))
        })
    })
}

impl Sipp {
    /// Starts SIPp on a free port of this address; its phones' media is said to be at these ports.
    pub async fn start(ip: IpAddr, ports: MediaPorts, law: Law) -> anyhow::Result<Sipp> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("phones-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder)?;
        let address = loadtest::children::free_address((ip, 0).into())?;
        std::fs::write(folder.join("phones.xml"), scenario())?;
        let (payload_type, codec) = match law {
            Law::Mu => ("0", "PCMU"),
            Law::A => ("8", "PCMA"),
        };
        let child = Command::new("sipp")
            .args(["-i", &ip.to_string(), "-p", &address.port().to_string(), "-nostdin", "-sf"])
            .arg("phones.xml")
            .args([
                "-trace_msg",
                "-message_file",
                "messages.log",
                "-trace_err",
                "-error_file",
                "errors.log",
            ])
            .args([
                "-key",
                "agent_port",
                &ports.agent.to_string(),
                "-key",
                "customer_port",
                &ports.customer.to_string(),
            ])
            .args([
                "-key",
                "third_port",
                &ports.third.to_string(),
                "-key",
                "supervisor_port",
                &ports.supervisor.to_string(),
            ])
            .args(["-key", "refer_to", TRANSFER_TARGET])
            // Its complaint about a busy machine is no finding.
            .args(["-watchdog_interval", "0"])
            .args(["-key", "payload_type", payload_type, "-key", "codec", codec])
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("starting sipp (Debian package sip-tester)")?;
        let mut sipp = Sipp { address, child, folder };
        let deadline = Instant::now() + crate::PATIENCE;
        while !is_taken(address.port()) {
            let ended = sipp.child.try_wait()?;
            anyhow::ensure!(
                ended.is_none() && Instant::now() < deadline,
                "sipp does not start: {ended:?} {}",
                sipp.errors()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(sipp)
    }

    /// Every message so far, in order.
    pub fn messages(&self) -> Vec<Message> {
        let bytes = std::fs::read(self.folder.join("messages.log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        text.split(SEPARATOR).filter_map(Message::parse).collect()
    }

    /// The messages of the dialog that rang this number.
    pub fn messages_of(&self, number: &str) -> Vec<Message> {
        let messages = self.messages();
        let invite = messages.iter().find(|message| message.is_invite_of(number));
        let Some(dialog) = invite.map(|invite| invite.header("Call-ID").to_owned()) else {
            return Vec::new();
        };
        messages.into_iter().filter(|message| message.header("Call-ID") == dialog).collect()
    }

    /// What SIPp found unexpected; empty if all went as the phones' scenario says. Retransmissions
    /// to calls that are over are no error.
    pub fn errors(&self) -> String {
        let text = std::fs::read_to_string(self.folder.join("errors.log")).unwrap_or_default();
        let lines = text.lines().filter(|line| line.contains("bort") || line.contains("nexpected"));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Ends SIPp and forgets its traces.
    pub fn stop(mut self) -> anyhow::Result<()> {
        self.end();
        Ok(std::fs::remove_dir_all(&self.folder)?)
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Sipp {
    fn drop(&mut self) {
        self.end();
    }
}

const SEPARATOR: &str = "-----------------------------------------------";

/// One message of the trace.
#[derive(Debug, Clone)]
pub struct Message {
    /// Seconds since midnight.
    pub at_s: f64,
    /// Whether a phone sent it.
    pub is_sent: bool,
    text: String,
}

impl Message {
    fn parse(entry: &str) -> Option<Message> {
        let (head, text) = entry.split_once("\n\n")?;
        let (time, what) = head.split_once('\n')?;
        let mut clock = time.split_whitespace().last()?.split(':').map(str::parse::<f64>);
        let mut next = || clock.next()?.ok();
        let at_s = next()? * 3600.0 + next()? * 60.0 + next()?;
        Some(Message { at_s, is_sent: what.contains(" sent "), text: text.trim_start().to_owned() })
    }

    /// `INVITE`, or `200 INVITE` for a response to it.
    pub fn name(&self) -> String {
        let mut words = self.text.split(' ');
        match (words.next(), words.next()) {
            (Some("SIP/2.0"), Some(status)) => {
                format!("{status} {}", self.header("CSeq").split(' ').nth(1).unwrap_or(""))
            }
            (method, _) => method.unwrap_or("").to_owned(),
        }
    }

    /// The first header of this name, or an empty text.
    pub fn header(&self, name: &str) -> &str {
        self.headers(name).next().unwrap_or_default()
    }

    /// All headers of this name, in order.
    pub fn headers<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        let lines = self.text.lines().take_while(|line| !line.is_empty());
        lines
            .filter_map(|line| line.split_once(':'))
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    }

    /// The request-URI, or the status and its phrase.
    pub fn target(&self) -> &str {
        self.text.lines().next().and_then(|line| line.split(' ').nth(1)).unwrap_or("")
    }

    /// The direction of its SDP.
    pub fn direction(&self) -> &'static str {
        let directions = ["sendonly", "recvonly", "inactive", "sendrecv"];
        let line = |direction: &str| {
            self.text.lines().any(|line| line.trim_end().strip_prefix("a=") == Some(direction))
        };
        directions.into_iter().find(|direction| line(direction)).unwrap_or("sendrecv")
    }

    /// Whether it is an INVITE to this number.
    pub fn is_invite_of(&self, number: &str) -> bool {
        !self.is_sent && self.name() == "INVITE" && self.target().contains(number)
    }

    /// Where the sender of this SDP wants its audio.
    pub fn media_address(&self) -> Option<SocketAddr> {
        let line =
            |prefix: &str| self.text.lines().find_map(|line| line.trim_end().strip_prefix(prefix));
        let address: IpAddr = line("c=IN IP4 ").or_else(|| line("c=IN IP6 "))?.parse().ok()?;
        Some(SocketAddr::new(address, line("m=audio ")?.split(' ').next()?.parse().ok()?))
    }
}

/// The names of messages, in order, for comparison with a script.
pub fn names(messages: &[Message]) -> Vec<String> {
    messages.iter().map(Message::name).collect()
}
