//! The softphones' audio: one thread that checks, shakes hands and talks for all of them, on one
//! socket, as the carrier's phones do. Each softphone has an address of its own in 127.1.0.0/16,
//! because the edge tells softphones apart by their addresses.

#[expect(dead_code, reason = "the rest of the client is for the tests of media-core")]
#[path = "../../../media-core/tests/softphone/client.rs"]
mod client;

use crate::batch::{Batch, tell_arrivals};
use crate::carrier::{LegReport, Totals, enlarge_buffers};
use crate::children::more_agent;
use crate::probe;
use anyhow::Context;
use client::{Client, Version};
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Time between two packets of audio.
const PACKET: Duration = Duration::from_millis(20);
/// Bytes of 20 ms of G.711.
const PAYLOAD_LEN: usize = 160;

/// A handle on the thread.
#[derive(Clone)]
pub struct Talker(mpsc::Sender<Asked>);

enum Asked {
    Talk(Box<Talk>),
    HangUp(u32),
}

/// One softphone that talks.
struct Talk {
    agent: u32,
    client: Client,
    local: Ipv4Addr,
    remote: SocketAddr,
    next_packet: Instant,
    ready: Option<oneshot::Sender<Instant>>,
    probe_count: u32,
    probes: probe::Received,
    report: LegReport,
}

/// What answers an INVITE.
pub struct Answer {
    /// The session description.
    pub answer: String,
    /// When there were keys.
    pub ready: oneshot::Receiver<Instant>,
}

impl Talker {
    /// Starts the thread that sends and takes all softphones' media, and gives the legs' reports.
    pub fn start(totals: Arc<Totals>) -> anyhow::Result<(Talker, mpsc::Receiver<LegReport>)> {
        let (asked_sender, asked) = mpsc::channel();
        let (report_sender, reports) = mpsc::channel();
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.set_nonblocking(true)?;
        enlarge_buffers(&socket);
        tell_arrivals(&socket);
        std::thread::Builder::new()
            .name("softphones".into())
            .spawn(move || run(&socket, &asked, &report_sender, &totals))?;
        Ok((Talker(asked_sender), reports))
    }

    /// Begins to talk to whom this offer describes.
    pub fn talk(&self, agent: u32, offer: &str) -> anyhow::Result<Answer> {
        let now = Instant::now();
        let candidate = offer
            .lines()
            .find_map(|line| line.strip_prefix("a=candidate:"))
            .context("no candidate")?;
        let mut fields = candidate.split(' ').skip(4);
        let remote: SocketAddr =
            format!("{}:{}", fields.next().unwrap_or(""), fields.next().unwrap_or("")).parse()?;
        let [.., high, low] = agent.to_be_bytes();
        let local = Ipv4Addr::new(127, 1, high, low);
        let mut client = Client::new(now, Version::Dtls12);
        client.set_remote(now, offer);
        let answer = client.description("active", "sendrecv");
        let (ready_sender, ready) = oneshot::channel();
        let report = LegReport { answered_at: Some(now), ..LegReport::new(more_agent(agent), now) };
        let talk = Talk {
            agent,
            client,
            local,
            remote,
            next_packet: now,
            ready: Some(ready_sender),
            probe_count: 0,
            probes: probe::Received::default(),
            report,
        };
        self.0.send(Asked::Talk(Box::new(talk))).ok().context("the thread is gone")?;
        Ok(Answer { answer, ready })
    }

    /// Ends an agent's leg; its report comes.
    pub fn hang_up(&self, agent: u32) {
        let _ = self.0.send(Asked::HangUp(agent));
    }
}

/// Talks until every handle is gone.
fn run(
    socket: &UdpSocket,
    asked: &mpsc::Receiver<Asked>,
    reports: &mpsc::Sender<LegReport>,
    totals: &Totals,
) {
    let mut talks: HashMap<Ipv4Addr, Talk> = HashMap::new();
    let (mut incoming, mut outgoing) = (Batch::default(), Batch::default());
    loop {
        loop {
            match asked.try_recv() {
                Ok(Asked::Talk(talk)) => {
                    totals.live_count.fetch_add(1, Ordering::Relaxed);
                    talks.insert(talk.local, *talk);
                }
                Ok(Asked::HangUp(agent)) => {
                    for (_, talk) in talks.extract_if(|_, talk| talk.agent == agent) {
                        totals.live_count.fetch_sub(1, Ordering::Relaxed);
                        let _ = reports.send(talk.into_report());
                    }
                }
                Err(mpsc::TryRecvError::Empty) => break,
                Err(mpsc::TryRecvError::Disconnected) => return,
            }
        }
        let began = Instant::now();
        while incoming.receive(socket) > 0 {
            for datagram in incoming.received() {
                if let Some(talk) = talks.get_mut(&datagram.local) {
                    talk.receive(datagram.bytes, datagram.at, totals);
                }
            }
        }
        for talk in talks.values_mut() {
            talk.speak(began, totals);
            while let Some(datagram) = talk.client.poll_transmit() {
                outgoing.push_from(talk.local, talk.remote, &datagram);
                if outgoing.is_full() {
                    outgoing.send(socket);
                }
            }
        }
        outgoing.send(socket);
        std::thread::sleep(Duration::from_millis(1).saturating_sub(began.elapsed()));
    }
}

impl Talk {
    fn receive(&mut self, datagram: &[u8], nanos: u64, totals: &Totals) {
        self.client.handle_datagram(Instant::now(), datagram);
        let mut delays = totals.delays.lock().expect("delays");
        for payload in self.client.heard.drain(..) {
            if self.probes.take(&payload, nanos, &mut delays) {
                self.report.first_media_at.get_or_insert_with(Instant::now);
                totals.received_count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn speak(&mut self, now: Instant, totals: &Totals) {
        if self.client.poll_timeout().is_some_and(|due| due <= now) {
            self.client.handle_timeout(now);
        }
        if self.client.is_connected() && self.next_packet <= now {
            if let Some(ready) = self.ready.take() {
                self.next_packet = now;
                let _ = ready.send(now);
            }
            self.next_packet += PACKET;
            let mut payload = [0; PAYLOAD_LEN];
            probe::write(&mut payload, self.probe_count, probe::nanos());
            self.probe_count += 1;
            self.client.speak(&payload);
            self.report.sent_count += 1;
            totals.sent_count.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn into_report(self) -> LegReport {
        let (received_count, lost_count) = (self.probes.count, self.probes.lost_count());
        LegReport { received_count, lost_count, ..self.report }
    }
}
