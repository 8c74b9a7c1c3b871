//! The conductor of media: owns legs, ports, mixes, playback and recordings of one shard, and
//! forwards each packet in place. Operations with a stale id do nothing. Operations take the time
//! even where they need none yet, so that callers need not know.

mod ahead;
mod copies;
mod digits;
mod forward;
mod hearing;
mod hush;
mod leg;
mod media;
mod mix;
mod noise;
mod output;
mod playback;
mod queues;
mod softphone;
mod taping;
mod tick;
mod transcode;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::drops::DropCounters;
use crate::opus::MAX_SAMPLES;
use crate::ports::Ports;
use crate::random::Random;
use crate::rtcp::CNAME_LEN;
use crate::rtp::HEADER_LEN;
use crate::sdp::LocalMedia;
use crate::sender::{Sender, StreamId, StreamIds};
use crate::slots::Slots;
use copies::Copies;
use leg::{Leg, Watch};
use playback::Audio;
use queues::Queues;
use softphone::Softphones;
use taping::Tape;
use tick::GROUP_COUNT;

pub use crate::latch::MediaSources;
pub use crate::quality::Mos;
pub use crate::recording::{Channel, Layout};
pub use crate::sdp::Negotiated as RemoteMedia;
pub use crate::sdp::webrtc::SoftphoneNegotiated as SoftphoneRemote;
pub use ahead::BURST_LEN;
pub use copies::RtcpCopy;
pub use digits::{DigitsRefused, PAUSE};
pub use hearing::MAX_PARTIES;
pub use media::{
    AudioId, FarReport, LegId, LegReport, RecordingId, RelayConfig, SocketId, Tone, WebRtcConfig,
};
pub use output::{Event, Forward, Output};

/// Bytes that a datagram's buffer must have beyond the datagram, for the SRTP trailer.
pub const TAIL_ROOM: usize = 32;

/// Bytes that a packet of Opus may come to before its tail room, which its buffer must have.
pub const UNFOLDED_LEN: usize = HEADER_LEN + MAX_SAMPLES;

/// All port pairs, or all places of softphones, are in use or resting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no free port pair or place of a softphone")]
pub struct NoPort;

/// One shard's media.
pub struct Relay {
    config: RelayConfig,
    started: Instant,
    /// The time that was told last, and in microseconds since `started`.
    told: (Instant, u64),
    cname: [u8; CNAME_LEN],
    random: Random,
    ports: Ports,
    softphones: Option<Softphones>,
    /// A leg's index is its port pair; the softphones' lie beyond.
    legs: Slots<Leg>,
    recordings: Slots<Tape>,
    /// Indices without a recording.
    free_recordings: Vec<u32>,
    /// Who may be playing; an entry is stale when the leg plays another stream.
    playing: Vec<(LegId, StreamId)>,
    audios: Slots<Audio>,
    /// Legs that hear a mix, by group.
    mixes: [Vec<LegId>; GROUP_COUNT],
    /// The group whose turn is next.
    group: usize,
    /// Counts the ticks of mixes.
    mix_tick: u32,
    /// Legs to which digits are sent.
    dialing: Vec<LegId>,
    /// Legs whose silence is noise.
    noises: Vec<LegId>,
    streams: StreamIds,
    queues: Queues,
    drops: DropCounters,
    next_tick: Option<Instant>,
    slice: u32,
    /// The legs of `expect`, kept for its room.
    expected: Vec<u32>,
    /// Legs that may speak Opus.
    opus_count: u16,
    /// RTCP for who watches from outside, if somebody does.
    copies: Option<Box<Copies>>,
}

impl Relay {
    /// Makes a relay without legs; `seed` feeds SSRCs, sequence numbers and report intervals and
    /// must be unpredictable. Pairs whose ports would lie beyond 65535 are left out.
    pub fn new(mut config: RelayConfig, seed: u64, now: Instant) -> Relay {
        let room = (u32::from(u16::MAX) + 1 - u32::from(config.first_port)) / 2;
        config.pair_count = config.pair_count.min(room as u16);
        let mut random = Random::new(seed);
        let softphone_count = config.webrtc.as_ref().map_or(0, |webrtc| webrtc.capacity);
        let leg_count = usize::from(config.pair_count) + usize::from(softphone_count);
        Relay {
            started: now,
            told: (now, 0),
            cname: cname(random.next_u64()),
            ports: Ports::new(config.pair_count, config.quarantine),
            legs: Slots::new(leg_count),
            recordings: Slots::new(leg_count),
            free_recordings: (0..leg_count as u32).rev().collect(),
            softphones: config
                .webrtc
                .take()
                .map(|webrtc| Softphones::new(&webrtc, random.next_u64())),
            playing: Vec::new(),
            mix_tick: 0,
            mixes: Default::default(),
            group: 0,
            dialing: Vec::with_capacity(leg_count),
            noises: Vec::with_capacity(leg_count),
            audios: Slots::new(playback::MAX_AUDIO_COUNT),
            streams: StreamIds::default(),
            queues: Queues::new(leg_count),
            drops: DropCounters::default(),
            next_tick: None,
            slice: 0,
            expected: Vec::with_capacity(BURST_LEN),
            opus_count: 0,
            copies: None,
            random,
            config,
        }
    }

    /// Takes a port pair for a new leg.
    pub fn open_leg(&mut self, now: Instant) -> Result<LegId, NoPort> {
        let index = u32::from(self.ports.take(now).ok_or(NoPort)?);
        let sender = Sender::new(&mut self.random);
        let id = self
            .legs
            .insert(index, |generation| Leg::new(now, LegId { index, generation }, sender));
        let leg = id.expect("a free port pair has no leg");
        self.queues.open(leg.rtp_socket());
        self.queues.open(leg.rtcp_socket());
        let id = leg.id;
        self.arm(now);
        Ok(id)
    }

    /// Lets the leg's media go by another interface, on the same ports there, before its next peer
    /// is announced.
    pub fn use_interface(&mut self, leg: LegId, interface: u16) {
        let Some(leg) = self.legs.get_mut(leg.index, leg.generation) else { return };
        let is_there = usize::from(interface) < self.config.public_addresses.len();
        if leg.softphone.is_some() || leg.interface == interface || !is_there {
            return;
        }
        self.queues.release(leg.rtp_socket());
        self.queues.release(leg.rtcp_socket());
        leg.interface = interface;
        self.queues.open(leg.rtp_socket());
        self.queues.open(leg.rtcp_socket());
    }

    /// What our SDP says of the leg; the ports of a stale leg and of a softphone are 0.
    pub fn local_media(&self, leg: LegId) -> LocalMedia {
        let leg = self.legs.get(leg.index, leg.generation).filter(|leg| leg.softphone.is_none());
        let ports = leg.map(|leg| {
            let rtp_port = self.config.first_port + 2 * leg.id.index as u16;
            (rtp_port, rtp_port + 1)
        });
        let (rtp_port, rtcp_port) = ports.unwrap_or_default();
        let interface = leg.map_or(0, |leg| leg.interface);
        let address = self.config.public_addresses[usize::from(interface)];
        LocalMedia { address, rtp_port, rtcp_port }
    }

    /// Announces a leg's next peer: from where its media may come besides the host that it will
    /// name. The peer before it, if there was one, is heard and sent to no more.
    pub fn set_media_sources(&mut self, leg: LegId, sources: MediaSources) {
        let Some(leg) = self.legs.get_mut(leg.index, leg.generation) else { return };
        *leg.sources = sources;
        leg.reports.source = None;
        (leg.inbound, leg.outbound) = (None, None);
        if leg.latch.take().is_some_and(|latch| latch.latched().is_some()) {
            self.queues.disconnect(leg.rtp_socket());
        }
    }

    /// Tells a leg its peer, at first or after a new negotiation. A new address is latched anew;
    /// unchanged keys keep their contexts.
    pub fn set_remote(&mut self, now: Instant, leg: LegId, remote: RemoteMedia) {
        if self.legs.get(leg.index, leg.generation).is_some_and(|leg| leg.softphone.is_none()) {
            self.set_media(now, leg, remote);
        }
    }

    fn set_media(&mut self, now: Instant, leg: LegId, remote: RemoteMedia) {
        let Some(leg) = self.legs.get_mut(leg.index, leg.generation) else { return };
        if leg.remote.is_none() {
            // RFC 3550 §6.2: the first report comes after half the time.
            leg.reports.next =
                now + Duration::from_secs_f64(1.25 + 2.5 * self.random.next_fraction());
        }
        // Loopback is a peer's only where its signalling is on loopback, too.
        let is_local = leg.sources.signalling.is_none_or(|signalling| signalling.is_loopback());
        let own_sockets = &self.config.own_sockets;
        let is_own = |address: SocketAddr| {
            own_sockets
                .iter()
                .any(|(ip, ports)| *ip == address.ip() && ports.contains(&address.port()))
        };
        if leg.set_remote(remote, |address| {
            (is_local || !address.ip().is_loopback()) && !is_own(address)
        }) {
            self.queues.disconnect(leg.rtp_socket());
        }
    }

    /// Reports `Event::NoMedia` once when neither RTP nor RTCP comes from the leg for `limit`,
    /// counted from now or from its last packet. Time in which either side holds does not count.
    /// Reports `Event::OneWayAudio` once, too, as soon as others whom the leg hears speak and it
    /// sends nothing for two seconds.
    pub fn watch_media(&mut self, now: Instant, leg: LegId, limit: Duration) {
        if let Some(leg) = self.legs.get_mut(leg.index, leg.generation) {
            leg.watch = Some(Watch { limit, since: now, is_one_way_told: false });
        }
    }

    /// Says goodbye by RTCP, releases the sockets and lets the port pair rest.
    pub fn close_leg(&mut self, now: Instant, leg: LegId) {
        let Some(open) = self.legs.get(leg.index, leg.generation) else { return };
        let spoke = open.reports.sent_any || open.sender.packet_count() > 0;
        self.leave_recording(leg);
        self.part(now, leg);
        // RFC 3550 §6.3.7: who never sent must not send BYE.
        if spoke {
            self.send_report(now, leg.index, true);
        }
        let Some(closed) = self.legs.remove(leg.index, leg.generation) else { return };
        self.opus_count -= u16::from(closed.opus.is_some());
        match (&mut self.softphones, leg.index.checked_sub(self.config.pair_count.into())) {
            (Some(softphones), Some(place)) => softphones.close(now, &closed, place as u16),
            _ => {
                self.queues.release(closed.rtp_socket());
                self.queues.release(closed.rtcp_socket());
                self.ports.release(now, leg.index as u16);
            }
        }
        if self.legs.used_count() == 0 {
            self.next_tick = None;
            self.group = 0;
            self.playing.clear();
            self.dialing.clear();
            self.noises.clear();
        }
    }

    /// Totals of the leg since it was opened; zeros for a stale leg.
    pub fn leg_report(&self, leg: LegId) -> LegReport {
        self.legs.get(leg.index, leg.generation).map(Leg::totals).unwrap_or_default()
    }

    /// Legs that are open.
    pub fn leg_count(&self) -> usize {
        self.legs.used_count()
    }

    /// Recordings that are not finished.
    pub fn recording_count(&self) -> usize {
        self.recordings.used_count()
    }

    /// Name and count of each drop reason.
    pub fn counters(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.drops.pairs()
    }

    /// The next thing for the shell to do.
    pub fn poll_output(&mut self) -> Option<Output<'_>> {
        self.queues.pop_output()
    }

    /// The next thing for the call machine to know.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.queues.pop_event()
    }
}

/// A canonical name that says nothing of us (RFC 7022 §4.2), in hexadecimal.
fn cname(random: u64) -> [u8; CNAME_LEN] {
    std::array::from_fn(|digit| b"0123456789abcdef"[(random >> (4 * digit)) as usize & 15])
}

#[cfg(test)]
mod tests;
