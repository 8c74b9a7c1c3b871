//! One leg: what is known of its peer, its incoming and its outgoing stream. It knows neither the
//! other legs nor the queues.

use std::mem::offset_of;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::digits::Digits;
use super::hearing::Parties;
use super::hush::Hush;
use super::mix::{Feed, Mix};
use super::noise::Noise;
use super::softphone::Softphone;
use super::{FarReport, LegId, LegReport, RecordingId, RemoteMedia, SocketId, Tone};
use crate::codec::{CLOCK_RATE, Codec, Format, Law, OPUS_CLOCK_RATE, PayloadType};
use crate::drops::DropReason;
use crate::latch::{self, Latch, MediaSources};
use crate::opus::Opus;
use crate::quality::{Interval, Scores};
use crate::reception::{self, Arrival, MAX_MISORDER, Reception, ReceptionReport};
use crate::recording::TrackId;
use crate::rtcp::{self, Block, Heard};
use crate::rtp::{Header, Ssrc};
use crate::sdp::Direction;
use crate::sender::{Sender, StreamId, StreamIds};
use crate::srtp::{Inbound, Outbound, SrtpKeys};
use crate::stream_lock::StreamLock;
use crate::{dtmf, g711, g722};

/// What a packet that we send carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Audio,
    TelephoneEvent,
    ComfortNoise,
}

/// The stream that comes in now.
pub(super) struct Incoming {
    pub id: StreamId,
    pub reception: Reception,
}

/// A stream of key presses or comfort noise under an SSRC of its own, beside the audio.
pub(super) struct Beside {
    ssrc: Ssrc,
    id: StreamId,
    /// Of its last packet.
    sequence: u16,
    /// The timestamp of its last event, and the one under which that was passed on.
    placed: Option<(u32, u32)>,
}

/// Playback to the leg: packet `position` comes next.
pub(super) struct Playing {
    pub tone: Tone,
    pub stream: StreamId,
    pub position: u32,
}

/// The no-media limit and the time from which it counts.
pub(super) struct Watch {
    pub limit: Duration,
    pub since: Instant,
    pub is_one_way_told: bool,
}

/// Silence of a leg whose party is spoken to that is worth an alarm: with the visits each 200 ms it
/// is told within two seconds.
const ONE_WAY_SILENCE: Duration = Duration::from_millis(1_800);
/// Who sent in this time speaks: pauses between packets and lost ones are shorter.
const SPEAKING: Duration = Duration::from_millis(500);

/// How the leg's two directions sound.
#[derive(Default)]
pub(super) struct Quality {
    /// What comes in, by our reports.
    received: Scores,
    /// What goes out, by the peer's reports, the last of them, and packets sent by then.
    sent: Scores,
    far: Option<(rtcp::OursHeard, u64)>,
}

/// RTCP of the leg.
pub(super) struct Reports {
    pub next: Instant,
    /// Packets sent at the time of our last report.
    pub reported_count: u64,
    pub sent_any: bool,
    /// The peer's last sender report and when it came.
    pub heard: Option<(rtcp::SenderReport, Instant)>,
    pub round_trip: Option<Duration>,
    /// When the peer said last that it had sent nothing since its report before.
    pub quiet_at: Option<Instant>,
    pub quality: Box<Quality>,
    /// When the peer's RTCP came last, but for its goodbye.
    pub heard_at: Option<Instant>,
    /// Where the peer's RTCP comes from, if it has its own port.
    pub source: Option<SocketAddr>,
}

/// To which of our ports RTCP came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RtcpPort {
    OfRtp,
    Own,
}

/// G.722 of the leg, which everybody else hears as µ-law.
#[derive(Default)]
pub(super) struct Wideband {
    decoder: g722::Decoder,
    encoder: g722::Encoder,
}

impl Wideband {
    /// Rewrites a payload that came into µ-law, in place.
    pub fn decode(&mut self, payload: &mut [u8]) {
        for byte in payload {
            *byte = g711::encode(Law::Pcmu, self.decoder.decode(*byte));
        }
    }

    /// Rewrites audio of this law into what is sent, in place.
    pub fn encode(&mut self, law: Law, payload: &mut [u8]) {
        let table = g711::decode_table(law);
        for byte in payload {
            *byte = self.encoder.encode(table[usize::from(*byte)]);
        }
    }
}

/// Bytes from a leg's beginning that each packet needs.
pub(super) const HOT_LEN: usize = offset_of!(Leg, latch) + latch::HOT_LEN;

/// What each packet needs comes first.
#[repr(C)]
pub(super) struct Leg {
    pub id: LegId,
    /// Who of `heard_by` gets this leg's packets in place.
    pub hearer: Option<LegId>,
    /// Whether keys are heard in its audio during a talk, too.
    pub hears_tones: bool,
    /// Whose address its sockets have.
    pub interface: u16,
    pub softphone: Option<Box<Softphone>>,
    pub inbound: Option<Box<Inbound>>,
    pub outbound: Option<Box<Outbound>>,
    /// What waits for the mixes that this leg is heard in.
    pub feed: Option<Box<Feed>>,
    /// Of a leg that is told of silence.
    pub hush: Option<Box<Hush>>,
    /// Digits that are sent to the leg, or may have to be while it hears a mix.
    pub digits: Option<Box<Digits>>,
    pub tap: Option<(RecordingId, TrackId)>,
    pub playing: Option<Playing>,
    pub last_received: Option<Instant>,
    pub received_count: u64,
    pub sender: Sender,
    pub incoming: Option<Incoming>,
    pub remote: Option<RemoteMedia>,
    /// Of plain RTP.
    pub lock: StreamLock,
    /// Not of a softphone, whose addresses are shown by checks.
    pub latch: Option<Latch>,
    /// For the next latch.
    pub sources: Box<MediaSources>,
    /// Whom this leg hears, and who hears it.
    pub hears: Parties,
    pub heard_by: Parties,
    /// Of a leg that hears a mix.
    pub mix: Option<Mix>,
    pub watch: Option<Watch>,
    pub reports: Reports,
    pub beside: Option<Beside>,
    /// What is played whenever nothing else is sent for a while.
    pub background: Option<Tone>,
    /// Source and timestamp of the last key press that was told.
    pub last_event: Option<(Ssrc, u32)>,
    pub dropped_count: u64,
    /// Loss of the streams before `incoming`.
    pub lost_before: u64,
    /// When comfort noise came last, and what is heard of it.
    pub noise_at: Option<Instant>,
    pub noise: Option<Noise>,
    /// Of a leg whose peer may send G.722, or is sent it.
    pub wideband: Option<Box<Wideband>>,
    /// Of a leg that may be offered Opus.
    pub opus: Option<Box<Opus>>,
    /// Of a leg whose peer has no telephone-events.
    pub keypad: Option<Box<dtmf::Detector>>,
}

impl Leg {
    pub fn new(now: Instant, id: LegId, sender: Sender) -> Leg {
        Leg {
            id,
            remote: None,
            lock: StreamLock::default(),
            latch: None,
            sources: Box::default(),
            interface: 0,
            softphone: None,
            inbound: None,
            outbound: None,
            sender,
            incoming: None,
            hears: Parties::default(),
            heard_by: Parties::default(),
            hearer: None,
            hears_tones: false,
            feed: None,
            hush: None,
            mix: None,
            digits: None,
            tap: None,
            playing: None,
            watch: None,
            reports: Reports {
                next: now,
                reported_count: 0,
                sent_any: false,
                heard: None,
                round_trip: None,
                quiet_at: None,
                quality: Box::default(),
                heard_at: None,
                source: None,
            },
            beside: None,
            background: None,
            last_received: None,
            last_event: None,
            received_count: 0,
            dropped_count: 0,
            lost_before: 0,
            noise_at: None,
            noise: None,
            wideband: None,
            opus: None,
            keypad: None,
        }
    }

    /// The socket that its RTP comes to and leaves from.
    pub fn rtp_socket(&self) -> SocketId {
        self.socket(0)
    }

    /// The socket of its own RTCP; a softphone's is multiplexed (RFC 5761).
    pub fn rtcp_socket(&self) -> SocketId {
        self.socket(1)
    }

    fn socket(&self, place: u32) -> SocketId {
        match self.softphone {
            Some(_) => SocketId::WEBRTC,
            None => SocketId::new(self.interface, self.id.index * 2 + place),
        }
    }

    /// The codec that was agreed; G.711 µ-law before.
    pub fn codec(&self) -> Codec {
        self.remote.as_ref().map_or(Codec::Pcmu, |remote| remote.codec)
    }

    /// Whether audio that comes is kept, for a recording or a mix, or keys are heard in it.
    pub fn is_kept(&self) -> bool {
        self.tap.is_some() || self.feed.is_some() || self.hears_tones
    }

    /// The law in which audio for the leg is made here.
    pub fn law(&self) -> Law {
        self.codec().law().unwrap_or(Law::Pcmu)
    }

    /// Ticks a second of the timestamps that it is sent.
    pub fn clock_rate(&self) -> u32 {
        self.codec().clock_rate()
    }

    /// Ticks a second of the durations of key presses that it is sent.
    pub fn event_rate(&self) -> u32 {
        let number = self.remote.as_ref().and_then(|remote| remote.telephone_event);
        let format = number.and_then(|number| self.format_of(number));
        format.map_or(CLOCK_RATE, Format::clock_rate)
    }

    /// Whether audio can be sent to the peer.
    pub fn is_sendable(&self) -> bool {
        self.payload_type(Kind::Audio).is_ok() && self.destination().is_some()
    }

    /// Whether a key is being sent to the leg.
    pub fn is_dialing(&self) -> bool {
        self.digits.as_ref().is_some_and(|digits| digits.is_dialing())
    }

    /// Takes what was negotiated; `is_usable` tells an address that can be the peer's. Returns
    /// whether the socket's connection must be dissolved.
    pub fn set_remote(
        &mut self,
        mut remote: RemoteMedia,
        is_usable: impl Fn(SocketAddr) -> bool,
    ) -> bool {
        let is_wideband = remote.codec == Codec::G722
            || remote.received.payload_type(Format::Audio(Codec::G722)).is_some();
        if is_wideband {
            self.wideband.get_or_insert_default();
        }
        // Its timestamps are those of G.711 (RFC 3389 §4).
        match remote.comfort_noise.and(remote.codec.law()) {
            Some(_) => drop(self.hush.get_or_insert_default()),
            None => self.hush = None,
        }
        match remote.telephone_event {
            None => drop(self.keypad.get_or_insert_default()),
            Some(_) => self.keypad = None,
        }
        self.sender.set_clock_rate(remote.codec.clock_rate());
        // A softphone's keys come by DTLS.
        if self.softphone.is_some() {
            self.remote = Some(remote);
            return false;
        }
        self.rekey(remote.srtp.as_deref());
        let mut moved = false;
        if let Some(signalled) = remote.rtp
            && self.latch.as_ref().is_none_or(|latch| latch.signalled() != signalled)
        {
            let latch = Latch::new(signalled, is_usable(signalled), (*self.sources).clone());
            moved = self.latch.replace(latch).is_some_and(|latch| latch.latched().is_some());
            self.lock = StreamLock::default();
            self.reports.source = None;
        }
        remote.rtcp = remote.rtcp.filter(|rtcp| is_usable(*rtcp));
        self.remote = Some(remote);
        moved
    }

    /// Takes the keys that were negotiated; those that stay keep their contexts.
    fn rekey(&mut self, keys: Option<&SrtpKeys>) {
        let Some(keys) = keys else {
            (self.inbound, self.outbound) = (None, None);
            return;
        };
        let before = self.remote.as_ref().and_then(|remote| remote.srtp.as_deref());
        match &mut self.outbound {
            Some(_) if before.is_some_and(|before| before.outbound == keys.outbound) => {}
            Some(outbound) => outbound.rekey(&keys.outbound),
            None => self.outbound = Some(Box::new(Outbound::new(&keys.outbound))),
        }
        match &mut self.inbound {
            Some(inbound) => match before.filter(|before| before.inbound == keys.inbound) {
                None => inbound.rekey(&keys.inbound, keys.mki),
                Some(before) if before.mki != keys.mki => inbound.set_mki(keys.mki),
                Some(_) => {}
            },
            None => self.inbound = Some(Box::new(Inbound::with_mki(&keys.inbound, keys.mki))),
        }
    }

    /// Whether the peer may send.
    pub fn receives(&self) -> bool {
        let direction = self.remote.as_ref().map(|remote| remote.direction);
        matches!(direction, Some(Direction::SendRecv | Direction::RecvOnly))
    }

    /// Whether neither side holds. A peer that holds may send music, or nothing (RFC 3264 §8.4).
    pub fn is_both_ways(&self) -> bool {
        self.remote.as_ref().is_some_and(|remote| remote.direction == Direction::SendRecv)
    }

    /// What a payload type that the peer sends stands for.
    pub fn format_of(&self, payload_type: PayloadType) -> Option<Format> {
        self.remote.as_ref()?.received.format(payload_type)
    }

    /// The payload type that we send, unless it was not negotiated or the peer must not be sent to.
    pub fn payload_type(&self, kind: Kind) -> Result<PayloadType, DropReason> {
        let sends = |direction| matches!(direction, Direction::SendRecv | Direction::SendOnly);
        let is_reachable = |remote: &RemoteMedia| remote.rtp.is_some() || self.softphone.is_some();
        let remote =
            self.remote.as_ref().filter(|remote| is_reachable(remote) && sends(remote.direction));
        let remote = remote.ok_or(DropReason::NotSending)?;
        match kind {
            Kind::Audio => Ok(remote.audio),
            Kind::TelephoneEvent => remote.telephone_event.ok_or(DropReason::NoTelephoneEvent),
            Kind::ComfortNoise => remote.comfort_noise.ok_or(DropReason::PayloadType),
        }
    }

    /// Where RTP is sent; `None` while the peer has no usable address, and to a softphone before
    /// there are keys.
    pub fn destination(&self) -> Option<SocketAddr> {
        if let Some(softphone) = &self.softphone {
            return softphone.selected().filter(|_| self.outbound.is_some());
        }
        let destination = self.latch.as_ref()?.destination()?;
        (destination.port() != 0 && !destination.ip().is_unspecified()).then_some(destination)
    }

    /// Where and from which socket RTCP is sent.
    pub fn rtcp_path(&self) -> Option<(SocketId, SocketAddr)> {
        let remote = self.remote.as_ref()?;
        if self.softphone.is_some() {
            return Some((SocketId::WEBRTC, self.destination()?));
        }
        let signalled = remote.rtcp?;
        if remote.rtcp_mux {
            return Some((self.rtp_socket(), self.destination()?));
        }
        // Behind a translator the signalled port says nothing: wait until the peer's own RTCP shows
        // it.
        let reachable =
            self.destination().is_some_and(|rtp| Some(rtp.ip()) == remote.rtp.map(|rtp| rtp.ip()));
        let destination = self.reports.source.or_else(|| reachable.then_some(signalled))?;
        Some((self.rtcp_socket(), destination))
    }

    /// Takes a valid packet into the statistics, which came `micros` after the relay's beginning;
    /// `streams` names a new stream, and audio of another clock is one. What is no audio makes none
    /// of its own instead of the audio's: it goes beside it.
    pub fn receive(
        &mut self,
        now: Instant,
        header: &Header,
        format: Format,
        micros: u64,
        streams: &mut StreamIds,
    ) -> Result<StreamId, DropReason> {
        let is_audio = matches!(format, Format::Audio(_));
        let clock_rate = format.clock_rate();
        let incoming = match &mut self.incoming {
            Some(incoming) if incoming.reception.ssrc() == header.ssrc => {
                let lost = incoming.reception.lost();
                if incoming.reception.accept(header)? == Arrival::Restarted {
                    self.lost_before += lost.max(0) as u64;
                    incoming.id = streams.next();
                }
                if is_audio && incoming.reception.clock_rate() != clock_rate {
                    incoming.reception.set_clock_rate(clock_rate);
                    incoming.id = streams.next();
                }
                incoming
            }
            Some(_) if !is_audio => {
                let beside = match &mut self.beside {
                    Some(beside) if beside.ssrc == header.ssrc => beside,
                    other => {
                        let sequence = header.sequence.wrapping_sub(1);
                        other.insert(Beside {
                            ssrc: header.ssrc,
                            id: streams.next(),
                            sequence,
                            placed: None,
                        })
                    }
                };
                match beside.sequence.wrapping_sub(header.sequence) {
                    0 => return Err(DropReason::Duplicate),
                    1..=MAX_MISORDER => return Err(DropReason::Late),
                    _ => beside.sequence = header.sequence,
                }
                self.received_count += 1;
                self.last_received = Some(now);
                return Ok(beside.id);
            }
            other => {
                let before = other.as_ref().map_or(0, |incoming| incoming.reception.lost());
                self.lost_before += before.max(0) as u64;
                let reception = Reception::new(header, clock_rate);
                other.insert(Incoming { id: streams.next(), reception })
            }
        };
        if is_audio {
            let arrival = micros * u64::from(clock_rate / 1_000) / 1_000;
            incoming.reception.measure_jitter(header.timestamp, arrival as u32);
        }
        self.received_count += 1;
        self.last_received = Some(now);
        Ok(incoming.id)
    }

    /// Ticks a second of a stream's timestamps.
    pub fn clock_rate_of(&self, stream: StreamId) -> u32 {
        let incoming = self.incoming.as_ref().filter(|incoming| incoming.id == stream);
        incoming.map_or(CLOCK_RATE, |incoming| incoming.reception.clock_rate())
    }

    /// Whether this telephone-event packet ends a key press that was not told yet (RFC 4733
    /// §2.5.1.4: the end is sent three times).
    pub fn ends_event(&mut self, header: &Header, flags: u8) -> bool {
        let event = Some((header.ssrc, header.timestamp));
        let ended = flags & 0x80 != 0 && self.last_event != event;
        if ended {
            self.last_event = event;
        }
        ended
    }

    /// Of an event of the stream beside the audio: whether it was passed on already, and under
    /// which timestamp.
    pub fn event_beside(&self, stream: StreamId, timestamp: u32) -> Option<Option<u32>> {
        let beside = self.beside.as_ref().filter(|beside| beside.id == stream)?;
        Some(beside.placed.filter(|(event, _)| *event == timestamp).map(|(_, placed)| placed))
    }

    /// Notes under which timestamp an event of the stream beside the audio is passed on.
    pub fn place_event(&mut self, timestamp: u32, placed: u32) {
        if let Some(beside) = &mut self.beside {
            beside.placed = Some((timestamp, placed));
        }
    }

    /// Whether what the peer sends can be told from nonsense: its address or its keys are known.
    pub fn is_negotiated(&self) -> Result<(), DropReason> {
        match (&self.softphone, &self.latch) {
            (None, None) => Err(DropReason::NotNegotiated),
            (Some(_), _) if self.inbound.is_none() => Err(DropReason::NoKeys),
            _ => Ok(()),
        }
    }

    /// Whether RTCP may come from here to this port: the peer's RTP address to the port of RTP, its
    /// host to the other, whichever of the two was agreed. A softphone's address was checked.
    pub fn accepts_rtcp_from(&self, source: SocketAddr, port: RtcpPort) -> bool {
        if self.softphone.is_some() {
            return true;
        }
        let (Some(remote), Some(latch)) = (&self.remote, &self.latch) else { return false };
        match port {
            RtcpPort::OfRtp => Some(source) == latch.destination(),
            RtcpPort::Own => {
                latch.destination().is_some_and(|rtp| source.ip() == rtp.ip())
                    || Some(source) == remote.rtcp
            }
        }
    }

    /// Takes what a compound packet told.
    pub fn hear(
        &mut self,
        now: Instant,
        ntp_middle: u32,
        source: SocketAddr,
        port: RtcpPort,
        heard: &Heard,
    ) {
        if !heard.goodbye {
            self.reports.heard_at = Some(now);
        }
        // RFC 3550 §6.4: who sent nothing since its last report says so by a receiver report; some
        // repeat the count instead.
        let count = heard.sender_report.map(|report| report.packet_count);
        let before = self.reports.heard.map_or(0, |(report, _)| report.packet_count);
        if count.is_none_or(|count| count == before) {
            self.reports.quiet_at = Some(now);
        }
        if let Some(report) = heard.sender_report {
            self.reports.heard = Some((report, now));
        }
        if let Some(round_trip) = heard.echo.and_then(|echo| echo.round_trip(ntp_middle)) {
            self.reports.round_trip = Some(round_trip);
        }
        if let Some(ours) = heard.ours {
            if let Some(opus) = &mut self.opus {
                opus.hear_loss(ours.fraction_lost);
            }
            let codec = self.codec();
            let sent_count = self.sender.packet_count();
            let quality = &mut self.reports.quality;
            let before = quality.far.map_or(0, |(_, count)| count);
            quality.sent.add(&Interval {
                packet_count: sent_count.wrapping_sub(before) as u32,
                codec,
                fraction_lost: ours.fraction_lost,
                jitter: reception::time(ours.jitter, codec.clock_rate()),
                round_trip: self.reports.round_trip,
            });
            quality.far = Some((ours, sent_count));
        }
        if port == RtcpPort::Own && self.remote.as_ref().is_some_and(|remote| !remote.rtcp_mux) {
            self.reports.source = Some(source);
        }
    }

    /// What came in since the last report, taken into the scores.
    pub fn measure(&mut self) -> Option<ReceptionReport> {
        let report = self.incoming.as_mut()?.reception.report();
        self.reports.quality.received.add(&interval(&report, self.reports.round_trip));
        Some(report)
    }

    /// Our next report, as of `now`, with what `measure` found.
    pub fn report<'a>(
        &mut self,
        now: Instant,
        ntp: u64,
        reception: Option<ReceptionReport>,
        cname: &'a [u8; rtcp::CNAME_LEN],
        goodbye: bool,
    ) -> rtcp::Report<'a> {
        let sent_count = self.sender.packet_count();
        let sender =
            (sent_count > self.reports.reported_count).then(|| (ntp, self.sender.totals(now)));
        self.reports.reported_count = sent_count;
        self.reports.sent_any = true;
        let reception = reception.map(|reception| {
            let (last_report, delay) = match self.reports.heard {
                Some((report, at)) => (
                    report.ntp_middle,
                    (now.saturating_duration_since(at).as_micros() * 65_536 / 1_000_000) as u32,
                ),
                None => (0, 0),
            };
            Block { reception, last_report, delay }
        });
        rtcp::Report { ssrc: self.sender.ssrc(), sender, reception, cname, goodbye }
    }

    /// Whether nothing was heard of the leg for so long that somebody else's audio goes one way.
    /// Not who holds or is on hold, and not who sends nothing while there is nothing to say: its
    /// last packet was comfort noise (RFC 3389 §4), or its RTCP said so since.
    pub fn is_mute(&self, now: Instant) -> bool {
        let Some(watch) = self.watch.as_ref().filter(|watch| !watch.is_one_way_told) else {
            return false;
        };
        let since = self.last_received.map_or(watch.since, |last| last.max(watch.since));
        let is_discontinuous = (self.noise_at.is_some() && self.noise_at == self.last_received)
            || self.reports.quiet_at.is_some_and(|quiet| self.last_received < Some(quiet));
        now.saturating_duration_since(since) >= ONE_WAY_SILENCE
            && self.is_both_ways()
            && !is_discontinuous
    }

    /// Whether audio of the leg came just now.
    pub fn speaks(&self, now: Instant) -> bool {
        self.last_received.is_some_and(|last| {
            now.saturating_duration_since(last) < SPEAKING && self.noise_at != Some(last)
        })
    }

    /// What came and went so far, of all its streams.
    pub fn totals(&self) -> LegReport {
        let (lost, jitter) = match &self.incoming {
            Some(incoming) => {
                (incoming.reception.lost().max(0) as u64, incoming.reception.jitter_time())
            }
            None => (0, Duration::ZERO),
        };
        let quality = &self.reports.quality;
        let mut scores = quality.received;
        if let Some(incoming) = &self.incoming {
            let since = incoming.reception.clone().report();
            scores.add(&interval(&since, self.reports.round_trip));
        }
        let far = quality.far.and_then(|(last, _)| {
            Some(FarReport {
                lost: last.cumulative_lost.max(0) as u64,
                jitter: reception::time(last.jitter, self.clock_rate()),
                mos: quality.sent.mos()?,
            })
        });
        LegReport {
            received: self.received_count,
            sent: self.sender.packet_count(),
            lost: self.lost_before + lost,
            jitter,
            mos: scores.mos(),
            round_trip: self.reports.round_trip,
            far,
            dropped: self.dropped_count,
        }
    }
}

/// What one of our reports tells of the stream that comes in.
fn interval(report: &ReceptionReport, round_trip: Option<Duration>) -> Interval {
    Interval {
        packet_count: report.expected,
        codec: if report.clock_rate == OPUS_CLOCK_RATE { Codec::Opus } else { Codec::Pcmu },
        fraction_lost: report.fraction_lost,
        jitter: report.jitter_time(),
        round_trip,
    }
}
