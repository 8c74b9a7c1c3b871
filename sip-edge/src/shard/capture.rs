//! Captures of single calls, asked for by operators: SIP without secrets, and the RTP of all legs,
//! without its payload unless that is asked for, in a pcap file in the recordings' folder. A few at
//! a time, each up to a size; a shard without one does nothing for them. Files are written by tasks
//! of their own; what the disk does not take in time is dropped and counted.

mod pcap;

use super::Shard;
use crate::link::ClockPair;
use call_words::{CallId, RefusalCode};
use glommio::io::OpenOptions;
use glommio::timer::Timer;
use media_core::relay::{Forward, SocketId};
use media_core::rtp::{self, Class};
use media_shard::carry::carry_out;
use media_shard::signal::Signal;
use sip_core::event::{Copied, Rung};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Most captures of a shard at a time.
const MAX_COUNT: usize = 4;
/// Longest file: of a call of two legs, about an hour.
const MAX_FILE_LEN: usize = 64 << 20;
/// Most that waits for the disk.
const MAX_WAITING_LEN: usize = 1 << 20;
/// Time between two writes, and between two looks at which legs a call has.
const PERIOD: Duration = Duration::from_millis(100);
/// What is kept of a packet on a media port that is neither RTP nor RTCP.
const OTHER_LEN: usize = 20;

/// The captures of one shard.
pub struct Captures {
    folder: PathBuf,
    sockets: Sockets,
    running: Vec<Capture>,
    /// Which of them a leg belongs to.
    legs: BTreeMap<u32, usize>,
    next_look: Option<Instant>,
    counts: Rc<Counts>,
}

/// Where the shard's media sockets are bound.
#[derive(Debug, Clone)]
pub struct Sockets {
    /// Of each interface.
    pub ips: Vec<IpAddr>,
    pub first_port: u16,
    pub webrtc_port: u16,
}

/// What is counted.
#[derive(Default)]
pub struct Counts {
    pub started: Cell<u64>,
    /// Packets that found no room.
    pub dropped: Cell<u64>,
    /// Files that could not be written.
    pub failed: Cell<u64>,
}

/// Whether RTP is kept with its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audio {
    LeftOut,
    Kept,
}

struct Capture {
    call_id: CallId,
    audio: Audio,
    len: usize,
    writing: Rc<Writing>,
}

/// What a capture's task writes.
#[derive(Default)]
struct Writing {
    waiting: RefCell<Vec<u8>>,
    is_over: Cell<bool>,
    filled: Signal,
}

impl Captures {
    pub fn new(folder: &Path, sockets: Sockets) -> Self {
        let (running, legs, next_look, counts) = Default::default();
        Self { folder: folder.to_owned(), sockets, running, legs, next_look, counts }
    }

    /// Whether nothing is captured.
    pub fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// Whether a call is captured.
    pub fn has(&self, call_id: &CallId) -> bool {
        self.running.iter().any(|capture| capture.call_id == *call_id)
    }

    /// What was captured, and what could not be.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Begins a file; one of the call that is being written gets its audio from now on, if that is
    /// asked for.
    pub fn start(
        &mut self,
        call_id: &CallId,
        file_name: &str,
        audio: Audio,
    ) -> Result<(), RefusalCode> {
        let mut running = self.running.iter_mut();
        if let Some(capture) = running.find(|capture| capture.call_id == *call_id) {
            if audio == Audio::Kept {
                capture.audio = audio;
            }
            return Ok(());
        }
        if self.running.len() >= MAX_COUNT {
            return Err(RefusalCode::NoCapacity);
        }
        let writing = Rc::<Writing>::default();
        writing.waiting.borrow_mut().extend_from_slice(&pcap::file_head());
        writing.filled.set();
        let path = self.folder.join(file_name);
        let (task, counts) = (writing.clone(), self.counts.clone());
        glommio::spawn_local(async move {
            if let Err(error) = task.run(&path).await {
                counts.failed.set(counts.failed.get() + 1);
                tracing::warn!(%error, path = %path.display(), "a capture cannot be written");
            }
        })
        .detach();
        self.counts.started.set(self.counts.started.get() + 1);
        let len = pcap::file_head().len();
        self.running.push(Capture { call_id: call_id.clone(), audio, len, writing });
        self.next_look = None;
        Ok(())
    }

    /// Ends a call's file, if there is one.
    pub fn stop(&mut self, call_id: &CallId) {
        let Some(place) = self.running.iter().position(|capture| capture.call_id == *call_id)
        else {
            return;
        };
        let capture = self.running.swap_remove(place);
        tracing::info!(%call_id, len = capture.len, "capture is over");
        capture.writing.is_over.set(true);
        capture.writing.filled.set();
        self.legs.clear();
        self.next_look = None;
    }

    /// Calls that are captured, if it is time to look which legs they have.
    pub fn due(&mut self, now: Instant) -> Vec<CallId> {
        if self.running.is_empty() || self.next_look.is_some_and(|next| now < next) {
            return Vec::new();
        }
        self.next_look = Some(now + PERIOD);
        self.legs.clear();
        self.running.iter().map(|capture| capture.call_id.clone()).collect()
    }

    /// Takes note of a captured call's legs.
    pub fn know_legs(&mut self, call_id: &CallId, legs: impl Iterator<Item = u32>) {
        let place = self.running.iter().position(|capture| capture.call_id == *call_id);
        if let Some(place) = place {
            self.legs.extend(legs.map(|leg| (leg, place)));
        }
    }

    /// The address of a media socket.
    pub fn local(&self, socket: SocketId) -> SocketAddr {
        self.sockets.address(socket)
    }

    /// Adds a SIP message, if its call is captured.
    pub fn add_sip(&mut self, at: Duration, copied: &Copied) {
        let place = self.running.iter().position(|capture| capture.call_id == copied.call_id);
        let Some(place) = place else { return };
        self.add(place, at, copied.ends(), &copied.bytes, copied.bytes.len());
    }

    /// Adds a packet that came to a leg's socket.
    pub fn add_received(&mut self, leg: u32, socket: SocketId, remote: SocketAddr, packet: &[u8]) {
        if let Some(&place) = self.legs.get(&leg) {
            let ends = (remote, self.sockets.address(socket));
            self.add(place, unix_now(), ends, self.kept(place, packet), packet.len());
        }
    }

    /// Adds a packet that was sent from a leg's socket.
    pub fn add_sent(&mut self, leg: u32, socket: SocketId, remote: SocketAddr, packet: &[u8]) {
        if let Some(&place) = self.legs.get(&leg) {
            let ends = (self.sockets.address(socket), remote);
            self.add(place, unix_now(), ends, self.kept(place, packet), packet.len());
        }
    }

    /// What a capture keeps of a media packet.
    fn kept<'a>(&self, place: usize, packet: &'a [u8]) -> &'a [u8] {
        match self.running[place].audio {
            Audio::LeftOut => head(packet),
            Audio::Kept => packet,
        }
    }

    fn add(
        &mut self,
        place: usize,
        at: Duration,
        (source, destination): (SocketAddr, SocketAddr),
        kept: &[u8],
        len: usize,
    ) {
        let capture = &mut self.running[place];
        let mut waiting = capture.writing.waiting.borrow_mut();
        let before = waiting.len();
        if before > MAX_WAITING_LEN || capture.len > MAX_FILE_LEN {
            self.counts.dropped.set(self.counts.dropped.get() + 1);
            return;
        }
        pcap::add(&mut waiting, at, source, destination, kept, len);
        capture.len += waiting.len() - before;
        capture.writing.filled.set();
    }
}

impl Sockets {
    fn address(&self, socket: SocketId) -> SocketAddr {
        let (interface, port) = match socket {
            SocketId::WEBRTC => (0, self.webrtc_port),
            _ => {
                let port = self.first_port.wrapping_add(socket.port_offset() as u16);
                (socket.interface(), port)
            }
        };
        SocketAddr::new(self.ips[interface], port)
    }
}

impl Writing {
    /// Writes what comes until the capture is over.
    async fn run(&self, path: &Path) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o640);
        let file = options.buffered_open(path).await?;
        let mut at = 0;
        loop {
            let is_over = self.is_over.get();
            let packets = self.waiting.take();
            let len = packets.len();
            if len > 0 && file.write_at(packets, at).await? != len {
                return Err(io::ErrorKind::WriteZero.into());
            }
            at += len as u64;
            if is_over {
                file.close().await?;
                return Ok(());
            }
            self.filled.wait().await;
            Timer::new(PERIOD).await;
        }
    }
}

impl Shard {
    /// Relays a burst while calls are captured.
    pub(super) fn relay_captured(&mut self, now: Instant) {
        let (relay, captures) = (self.edge.relay_mut(), &mut self.captures);
        relay.expect(self.engine.burst());
        self.engine.relay_burst(|socket, source, buffer, len| {
            if let Some(leg) = relay.leg_place(socket, source) {
                captures.add_received(leg, socket, source, &buffer[..len]);
            }
            let forward = relay.forward(now, socket, source, buffer, len);
            if let Forward::To { socket, remote, start, len } = forward
                && let Some(leg) = relay.leg_place(socket, remote)
            {
                captures.add_sent(leg, socket, remote, &buffer[start..start + len]);
            }
            forward
        });
    }

    /// Which legs captured calls have now; a call that is gone is captured no more.
    pub(super) fn look_at_captured(&mut self, now: Instant) {
        for call_id in self.captures.due(now) {
            match self.edge.media_legs(&call_id) {
                Some(legs) => self.captures.know_legs(&call_id, legs),
                None => self.captures.stop(&call_id),
            }
        }
    }

    /// Captures a call from now on, with what it kept of its messages before.
    pub(super) fn start_capture(
        &mut self,
        call_id: &CallId,
        file_name: &str,
        audio: Audio,
    ) -> Result<(), RefusalCode> {
        let kept = self.edge.watch(call_id, true)?;
        let is_new = !self.captures.has(call_id);
        if let Err(refusal) = self.captures.start(call_id, file_name, audio) {
            self.edge.watch(call_id, false)?;
            return Err(refusal);
        }
        if is_new {
            tracing::info!(%call_id, file_name, ?audio, "capture begins");
            let clocks = ClockPair::now();
            for rung in kept {
                let at = Duration::from_millis(clocks.unix_ms(rung.at));
                let Rung { is_sent, flow, bytes, .. } = rung;
                let call_id = call_id.clone();
                self.captures.add_sip(at, &Copied { call_id, is_sent, flow, bytes });
            }
        }
        Ok(())
    }

    /// Captures a call no more.
    pub(super) fn stop_capture(&mut self, call_id: &CallId) {
        self.captures.stop(call_id);
        // A call that is gone is watched no more.
        let _ = self.edge.watch(call_id, false);
    }

    /// Carries out what the relay asks.
    pub(super) fn carry_out(&mut self) -> bool {
        let Self { edge, engine, recorder, captures, .. } = self;
        if captures.is_empty() {
            return carry_out(edge.relay_mut(), engine, recorder, |_, _, _| {});
        }
        let mut sent = Vec::new();
        let had_output = carry_out(edge.relay_mut(), engine, recorder, |socket, remote, bytes| {
            sent.push((socket, remote, bytes.to_vec()));
        });
        for (socket, remote, bytes) in sent {
            if let Some(leg) = edge.relay().leg_place(socket, remote) {
                captures.add_sent(leg, socket, remote, &bytes);
            }
        }
        had_output
    }
}

/// What is kept of a media packet without its audio: RTP without its payload, RTCP as it is.
fn head(packet: &[u8]) -> &[u8] {
    let len = match rtp::classify(packet) {
        Class::Rtp => rtp_head_len(packet),
        Class::Rtcp => packet.len(),
        Class::Other => OTHER_LEN,
    };
    &packet[..len.min(packet.len())]
}

/// The fixed header, its sources and its extension (RFC 3550 §5.1, §5.3.1); SRTP leaves them in
/// clear.
fn rtp_head_len(packet: &[u8]) -> usize {
    let fixed = rtp::HEADER_LEN + 4 * usize::from(packet[0] & 0x0f);
    let extension = match packet.get(fixed..fixed + 4) {
        Some(&[_, _, high, low]) if packet[0] & 0x10 != 0 => {
            4 + 4 * usize::from(u16::from_be_bytes([high, low]))
        }
        _ => 0,
    };
    // An extension that would reach to the end may be audio: it is not kept.
    if fixed + extension < packet.len() { fixed + extension } else { rtp::HEADER_LEN }
}

/// The wall clock's time.
pub fn unix_now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_payload_is_kept() {
        let audio = [0x5a; 160];
        let rtp = |first: u8, rest: &[u8]| [&[first, 0][..], &[1; 10], rest, &audio].concat();
        assert_eq!(head(&rtp(0x80, &[])), [&[0x80, 0][..], &[1; 10]].concat());
        assert_eq!(head(&rtp(0x82, &[7; 8])).len(), 20);
        assert_eq!(head(&rtp(0x90, &[0xbe, 0xde, 0, 1, 9, 9, 9, 9])).len(), 20);
        // Audio that says it is an extension.
        assert_eq!(head(&rtp(0x90, &[0, 0, 0xff, 0xff])).len(), 12);
        let report = [&[0x80, 200, 0, 6][..], &[0; 24]].concat();
        assert_eq!(head(&report), report);
        assert_eq!(head(&[0; 200]).len(), OTHER_LEN);
        assert_eq!(head(&[0x80]).len(), 1);
    }
}
