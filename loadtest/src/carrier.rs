//! A scripted carrier: one thread that answers INVITEs over UDP as the dialled number says, and
//! sends and measures RTP for all its legs from one media socket (legs are told apart by the edge's
//! port). Owns sockets and timers; `leg` knows one leg, `text` the SIP lines.

mod leg;
pub mod script;
pub(crate) mod srtp;
pub(crate) mod text;

use crate::batch::{Batch, tell_arrivals};
use crate::spread::Times;
use leg::{Leg, Phase};
use script::{Behaviour, Outcome};
use srtp::PROTECTED_LEN;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};
use text::Message;

pub use leg::{EndedBy, LegReport};

/// RFC 3261 §17.1.1.1: T1.
const T1: Duration = Duration::from_millis(500);
/// Packets are sent on a wheel of this many slots, one a millisecond, so that the load is even.
const SLOT_COUNT: usize = 20;

/// Where the carrier listens; port 0 takes a free one.
pub struct CarrierConfig {
    pub sip: SocketAddr,
    /// Puts a counter and the sending time into each packet in place of the tone's first samples,
    /// to measure loss and delay.
    pub probe: bool,
}

/// Decides what the dialled number does.
pub type Script = Box<dyn Fn(&str) -> Behaviour + Send>;

/// Totals that a progress line may read while the carrier runs.
#[derive(Default)]
pub struct Totals {
    pub live_count: AtomicU64,
    pub invited_count: AtomicU64,
    pub answered_count: AtomicU64,
    pub sent_count: AtomicU64,
    pub received_count: AtomicU64,
    /// One-way delays of the probes that came.
    pub delays: Mutex<Times>,
}

/// A running carrier; dropping it ends its thread.
pub struct Carrier {
    pub address: SocketAddr,
    pub totals: Arc<Totals>,
    /// One report for each leg that ended.
    pub reports: mpsc::Receiver<LegReport>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Carrier {
    /// Binds the sockets and starts the thread.
    pub fn start(config: CarrierConfig, script: Script) -> anyhow::Result<Carrier> {
        let sip = UdpSocket::bind(config.sip)?;
        let media = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        for socket in [&sip, &media] {
            socket.set_nonblocking(true)?;
            enlarge_buffers(socket);
        }
        tell_arrivals(&media);
        let address = sip.local_addr()?;
        let totals = Arc::new(Totals::default());
        let stop = Arc::new(AtomicBool::new(false));
        let (report_sender, reports) = mpsc::channel();
        let mut peer = Peer {
            media_port: media.local_addr()?.port(),
            sip,
            media,
            sip_port: address.port(),
            probe: config.probe,
            script,
            legs: HashMap::new(),
            by_call_id: HashMap::new(),
            by_edge_port: HashMap::new(),
            wheel: std::array::from_fn(|_| Vec::new()),
            timers: BinaryHeap::new(),
            next_leg: 0,
            reports: report_sender,
            totals: totals.clone(),
            incoming: Batch::default(),
            outgoing: Batch::default(),
        };
        let thread_stop = stop.clone();
        let thread = std::thread::Builder::new()
            .name("carrier".into())
            .spawn(move || peer.run(&thread_stop))?;
        Ok(Carrier { address, totals, reports, stop, thread: Some(thread) })
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A socket for hundreds of calls needs more than the default 208 KiB; root may go past the
/// system's limit.
pub(crate) fn enlarge_buffers(socket: &UdpSocket) {
    use std::os::fd::AsRawFd;
    let len: libc::c_int = 16 << 20;
    for option in [libc::SO_RCVBUFFORCE, libc::SO_SNDBUFFORCE, libc::SO_RCVBUF] {
        // SAFETY: the descriptor is open, and the value is a c_int that lives through the call.
        unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                option,
                (&raw const len).cast(),
                size_of::<libc::c_int>() as u32,
            );
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Ring,
    Answer,
    Retransmit,
    HangUp,
}

struct Peer {
    sip: UdpSocket,
    media: UdpSocket,
    sip_port: u16,
    media_port: u16,
    probe: bool,
    script: Script,
    legs: HashMap<u64, Leg>,
    by_call_id: HashMap<String, u64>,
    by_edge_port: HashMap<u16, u64>,
    wheel: [Vec<u64>; SLOT_COUNT],
    timers: BinaryHeap<Reverse<(Instant, u64, Timer)>>,
    next_leg: u64,
    reports: mpsc::Sender<LegReport>,
    totals: Arc<Totals>,
    incoming: Batch,
    outgoing: Batch,
}

impl Peer {
    fn run(&mut self, stop: &AtomicBool) {
        let mut buffer = [0u8; 65_536];
        let mut slot = 0usize;
        let mut due = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            let now = Instant::now();
            while let Ok((len, from)) = self.sip.recv_from(&mut buffer) {
                if let Some(message) = Message::parse(&buffer[..len]) {
                    self.on_sip(Instant::now(), from, &message);
                }
            }
            self.receive_media();
            while let Some(Reverse((at, id, timer))) = self.timers.peek().copied() {
                if at > now {
                    break;
                }
                self.timers.pop();
                self.on_timer(now, id, timer);
            }
            while due <= now {
                self.send_slot(slot % SLOT_COUNT);
                slot += 1;
                due += Duration::from_millis(1);
            }
            let wait = due.saturating_duration_since(Instant::now());
            if !wait.is_zero() {
                std::thread::sleep(wait);
            }
        }
        for (_, leg) in self.legs.drain() {
            let _ = self.reports.send(leg.into_report(EndedBy::Stop));
        }
    }

    fn receive_media(&mut self) {
        let mut count = 0;
        while self.incoming.receive(&self.media) > 0 {
            let mut delays = self.totals.delays.lock().expect("delays");
            for packet in self.incoming.received() {
                let id = self.by_edge_port.get(&packet.remote.port());
                if let Some(leg) = id.and_then(|id| self.legs.get_mut(id)) {
                    let delays = self.probe.then_some(&mut *delays);
                    count += u64::from(leg.on_media(packet.bytes, packet.at, delays));
                }
            }
        }
        self.totals.received_count.fetch_add(count, Ordering::Relaxed);
    }

    fn send_slot(&mut self, slot: usize) {
        let mut packet = [0u8; PROTECTED_LEN];
        let mut count = 0;
        for id in &self.wheel[slot] {
            let Some(leg) = self.legs.get_mut(id) else { continue };
            let Some((remote, len)) = leg.next_packet(&mut packet, self.probe) else {
                continue;
            };
            self.outgoing.push(remote, &packet[..len]);
            if self.outgoing.is_full() {
                count += self.outgoing.send(&self.media) as u64;
            }
        }
        count += self.outgoing.send(&self.media) as u64;
        self.totals.sent_count.fetch_add(count, Ordering::Relaxed);
    }

    fn on_sip(&mut self, now: Instant, from: SocketAddr, message: &Message) {
        let known = self.by_call_id.get(message.header("Call-ID")).copied();
        match (message.method(), known) {
            (Some("INVITE"), None) => self.on_invite(now, from, message),
            (Some("INVITE"), Some(id)) => self.on_repeated_invite(id, message, from),
            (Some("ACK"), Some(id)) => self.on_ack(now, id),
            (Some("CANCEL"), Some(id)) => {
                self.send(from, &message.response(200, "OK", "", "", ""));
                let leg = self.legs.get_mut(&id).expect("looked up above");
                if matches!(leg.phase, Phase::Invited | Phase::Ringing) {
                    let answer = leg.refuse(487, "Request Terminated");
                    leg.ended_by = Some(EndedBy::Cancel);
                    self.send(from, &answer);
                    self.at(now + T1, id, Timer::Retransmit);
                }
            }
            (Some("BYE"), Some(id)) => {
                self.send(from, &message.response(200, "OK", "", "", ""));
                self.finish(id, EndedBy::Peer);
            }
            (Some("ACK"), None) => {}
            (Some("OPTIONS"), _) => self.send(from, &message.response(200, "OK", "", "", "")),
            (Some(_), Some(_)) => self.send(from, &message.response(200, "OK", "", "", "")),
            (Some(_), None) => self
                .send(from, &message.response(481, "Call/Transaction Does Not Exist", "", "", "")),
            (None, Some(id))
                if message.status() >= Some(200) && message.header("CSeq").ends_with("BYE") =>
            {
                self.finish(id, EndedBy::Script)
            }
            (None, _) => {}
        }
    }

    fn on_invite(&mut self, now: Instant, from: SocketAddr, message: &Message) {
        let id = self.next_leg;
        self.next_leg += 1;
        let behaviour = (self.script)(message.request_user());
        let Some(leg) = Leg::new(id, now, from, message, behaviour, self.sip_port, self.media_port)
        else {
            return self.send(from, &message.response(488, "Not Acceptable Here", "", "", ""));
        };
        self.totals.invited_count.fetch_add(1, Ordering::Relaxed);
        self.totals.live_count.fetch_add(1, Ordering::Relaxed);
        self.send(from, &leg.trying());
        self.by_edge_port.insert(leg.remote_media.port(), id);
        self.wheel[id as usize % SLOT_COUNT].push(id);
        self.at(now + leg.behaviour.ring_after, id, Timer::Ring);
        self.at(now + leg.behaviour.ring_after + leg.behaviour.answer_after, id, Timer::Answer);
        self.by_call_id.insert(leg.call_id.clone(), id);
        self.legs.insert(id, leg);
    }

    /// A retransmission gets the last response again, a re-INVITE a fresh 200 with the same
    /// session.
    fn on_repeated_invite(&mut self, id: u64, message: &Message, from: SocketAddr) {
        let leg = self.legs.get_mut(&id).expect("known leg");
        let answer = leg.answer_again(message);
        self.send(from, &answer);
    }

    fn on_ack(&mut self, now: Instant, id: u64) {
        let leg = self.legs.get_mut(&id).expect("known leg");
        match leg.phase {
            Phase::Answered => {
                leg.acknowledge(now);
                if let Outcome::Answer { talk: Some(talk), .. } = leg.behaviour.outcome {
                    self.at(now + talk, id, Timer::HangUp);
                }
            }
            Phase::Refused => {
                let by = leg.ended_by.unwrap_or(EndedBy::Refusal);
                self.finish(id, by);
            }
            _ => {}
        }
    }

    fn on_timer(&mut self, now: Instant, id: u64, timer: Timer) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        let to = leg.signalling;
        let bytes = match (timer, leg.phase) {
            (Timer::Ring, Phase::Invited) => leg.ring(),
            (Timer::Answer, Phase::Invited | Phase::Ringing) => match leg.behaviour.outcome {
                Outcome::RingForEver => return,
                Outcome::Refuse { status, phrase } => {
                    let bytes = leg.refuse(status, phrase);
                    self.at(now + T1, id, Timer::Retransmit);
                    bytes
                }
                Outcome::Answer { .. } => {
                    let bytes = leg.answer(now);
                    self.totals.answered_count.fetch_add(1, Ordering::Relaxed);
                    self.at(now + T1, id, Timer::Retransmit);
                    bytes
                }
            },
            (Timer::Retransmit, Phase::Answered | Phase::Refused | Phase::HangingUp) => {
                leg.retransmit_count += 1;
                if leg.retransmit_count > 7 {
                    return self.finish(id, EndedBy::Timeout);
                }
                let wait = T1 * 2u32.pow(leg.retransmit_count).min(8);
                let bytes = leg.last_sent.clone();
                self.at(now + wait, id, Timer::Retransmit);
                bytes
            }
            (Timer::HangUp, Phase::Confirmed) => {
                let bytes = leg.bye();
                self.at(now + T1, id, Timer::Retransmit);
                bytes
            }
            _ => return,
        };
        self.send(to, &bytes);
    }

    fn finish(&mut self, id: u64, ended_by: EndedBy) {
        let Some(leg) = self.legs.remove(&id) else { return };
        self.totals.live_count.fetch_sub(1, Ordering::Relaxed);
        self.by_call_id.remove(&leg.call_id);
        if self.by_edge_port.get(&leg.remote_media.port()) == Some(&id) {
            self.by_edge_port.remove(&leg.remote_media.port());
        }
        self.wheel[id as usize % SLOT_COUNT].retain(|other| *other != id);
        let _ = self.reports.send(leg.into_report(ended_by));
    }

    fn at(&mut self, when: Instant, id: u64, timer: Timer) {
        self.timers.push(Reverse((when, id, timer)));
    }

    fn send(&self, to: SocketAddr, text: &str) {
        let _ = self.sip.send_to(text.as_bytes(), to);
    }
}
