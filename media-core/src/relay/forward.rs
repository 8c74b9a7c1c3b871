//! The packet path: one datagram runs to its end in its receive buffer, without allocation, queue
//! or log (RFC 7983, 3550, 4733). Classify, check the source, unprotect, copy to the recording and
//! to the mixes, rewrite the header, protect.

use std::net::SocketAddr;
use std::time::Instant;

use super::hush::Sound;
use super::leg::{Kind, Leg, RtcpPort};
use super::taping::Tape;
use super::{Event, Forward, LegId, Relay, SocketId, TAIL_ROOM, transcode};
use crate::codec::{CLOCK_RATE, Codec, Format, Law};
use crate::demultiplex::{self, Protocol};
use crate::drops::{DropCounters, DropReason};
use crate::latch::Verdict;
use crate::rtp::{self, Class, HEADER_LEN, Header, Packet};
use crate::sender::{Moment, StreamId};
use crate::slots::Slots;
use crate::srtp::SrtpError;
use crate::stream_lock::StreamLock;
use crate::{g711, rtcp};

/// The longest datagram that is taken; a voice packet that is longer would be fragmented on its
/// way.
pub(super) const MAX_DATAGRAM_LEN: usize = 1500;
/// A telephone-event payload (RFC 4733 §2.3).
const EVENT_LEN: usize = 4;

/// A packet of a leg that passed all checks; it is plain now.
pub(super) struct Accepted {
    pub packet: Packet,
    pub format: Format,
    pub stream: StreamId,
    pub leg: LegId,
    /// Of an event beside the audio: the timestamp under which it was passed on before.
    beside: Option<Option<u32>>,
    /// Its timestamp as it came.
    event_timestamp: u32,
    /// The key whose press ended.
    pressed: Option<u8>,
    pub is_mixed: bool,
    pub hearer: Option<LegId>,
    /// Ticks a second of its timestamp.
    pub clock_rate: u32,
    /// Whether it was transcoded.
    pub is_made: bool,
    /// Whether others of its stream wait to be sent before it.
    pub is_queued: bool,
}

/// What is kept of audio that came: for the recording, and for the mixes.
pub(super) struct Heard {
    pub(super) stream: StreamId,
    pub(super) timestamp: u32,
    pub(super) law: Law,
}

impl Heard {
    #[inline]
    pub(super) fn keep(
        &self,
        now: Instant,
        leg: &mut Leg,
        recordings: &mut Slots<Tape>,
        drops: &mut DropCounters,
        audio: &[u8],
    ) {
        let Heard { stream, timestamp, law } = *self;
        if let Some((id, track)) = leg.tap
            && let Some(tape) = recordings.get_mut(id.index, id.generation)
        {
            drops.note(tape.recording.tap(now, track, stream, timestamp, law, audio));
        }
        if let Some(feed) = &mut leg.feed {
            drops.note(feed.jitter.push(stream, timestamp, law, audio));
        }
    }
}

impl Relay {
    /// The place of the leg that a packet of this socket and peer is of, for who watches.
    pub fn leg_place(&self, socket: SocketId, remote: SocketAddr) -> Option<u32> {
        match socket {
            SocketId::WEBRTC => Some(self.softphones.as_ref()?.leg_at(remote)?.index),
            socket => Some(socket.pair()),
        }
    }

    /// Handles one datagram, `buffer[..len]`, in place and without allocation. `buffer` has
    /// `TAIL_ROOM` bytes beyond `len`, and beyond `UNFOLDED_LEN` where Opus may come.
    pub fn forward(
        &mut self,
        now: Instant,
        socket: SocketId,
        remote: SocketAddr,
        buffer: &mut [u8],
        len: usize,
    ) -> Forward {
        let softphone =
            (socket == SocketId::WEBRTC).then(|| self.softphones.as_ref()?.leg_at(remote));
        let index = match softphone {
            None => socket.pair(),
            Some(leg) => leg.map_or(u32::MAX, |leg| leg.index),
        };
        let handled = match softphone {
            _ if len > MAX_DATAGRAM_LEN || buffer.len() < len + TAIL_ROOM => {
                Err(DropReason::Oversized)
            }
            None => self.handle_datagram(now, socket, remote, buffer, len),
            Some(leg) => self.handle_webrtc(now, leg, remote, buffer, len),
        };
        handled.unwrap_or_else(|reason| {
            self.drops.count(reason);
            if let Some((_, leg)) = self.legs.at_mut(index) {
                leg.dropped_count += 1;
            }
            Forward::Drop(reason)
        })
    }

    /// Handles what came to a socket of a port pair.
    fn handle_datagram(
        &mut self,
        now: Instant,
        socket: SocketId,
        source: SocketAddr,
        buffer: &mut [u8],
        len: usize,
    ) -> Result<Forward, DropReason> {
        let index = socket.pair();
        match (rtp::classify(&buffer[..len]), socket.0 % 2) {
            (Class::Other, _) => Err(DropReason::NotRtp),
            (Class::Rtp, 0) => {
                let accepted = self.accept(now, index, source, buffer, len)?;
                self.pass_on(now, &accepted, buffer)
            }
            (Class::Rtp, _) => Err(DropReason::WrongPort),
            (Class::Rtcp, 0) => self.consume_rtcp(now, index, RtcpPort::OfRtp, source, buffer, len),
            (Class::Rtcp, _) => self.consume_rtcp(now, index, RtcpPort::Own, source, buffer, len),
        }
    }

    /// Handles what came to the softphones' socket; `leg` is whose checks showed the source.
    fn handle_webrtc(
        &mut self,
        now: Instant,
        leg: Option<LegId>,
        source: SocketAddr,
        buffer: &mut [u8],
        len: usize,
    ) -> Result<Forward, DropReason> {
        match demultiplex::classify(&buffer[..len]) {
            Protocol::Stun => self.handle_check(now, source, buffer, len),
            Protocol::Other => Err(DropReason::NotWebRtc),
            Protocol::Dtls => {
                self.handle_handshake(now, leg.ok_or(DropReason::Unchecked)?, &buffer[..len])
            }
            Protocol::Rtp => {
                let accepted =
                    self.accept(now, leg.ok_or(DropReason::Unchecked)?.index, source, buffer, len)?;
                self.pass_on(now, &accepted, buffer)
            }
            Protocol::Rtcp => {
                let index = leg.ok_or(DropReason::Unchecked)?.index;
                self.consume_rtcp(now, index, RtcpPort::OfRtp, source, buffer, len)
            }
        }
    }

    /// Takes one RTP packet from its leg's peer.
    fn accept(
        &mut self,
        now: Instant,
        index: u32,
        source: SocketAddr,
        buffer: &mut [u8],
        len: usize,
    ) -> Result<Accepted, DropReason> {
        let micros = self.micros(now);
        let (_, leg) = self.legs.at_mut(index).ok_or(DropReason::NoLeg)?;
        let header = Header::peek(&buffer[..len]).ok_or(DropReason::NotRtp)?;
        leg.is_negotiated()?;
        let format = leg.format_of(header.payload_type).ok_or(DropReason::PayloadType)?;
        if !leg.receives() {
            return Err(DropReason::NotReceiving);
        }
        let verdict =
            leg.latch.as_mut().map_or(Verdict::Known, |latch| latch.judge(source, &header));
        match verdict {
            Verdict::Known | Verdict::Settle => {}
            Verdict::Probation => return Err(DropReason::Probation),
            Verdict::Foreign => return Err(DropReason::ForeignSource),
            Verdict::Refused => {
                self.drops.note(self.queues.event(Event::SourceRefused(leg.id, source)));
                return Err(DropReason::ForeignSource);
            }
        }
        let len = match &mut leg.inbound {
            Some(inbound) => inbound.unprotect_rtp(buffer, len).map_err(srtp_reason)?,
            None => len,
        };
        let packet = rtp::parse(&buffer[..len]).map_err(|_| DropReason::MalformedRtp)?;
        if verdict == Verdict::Settle
            && let Some(latch) = &mut leg.latch
        {
            latch.settle(source);
            // A connected socket hears nobody else, and the signalled address wins over any other.
            if latch.is_named(source) {
                self.queues.connect(leg.rtp_socket(), source);
            }
            leg.lock = StreamLock::default();
            self.drops.note(self.queues.event(Event::Latched(leg.id)));
        }
        if matches!(format, Format::Audio(_)) && leg.inbound.is_none() {
            let audio_ms = packet.payload_len as u32 / (CLOCK_RATE / 1_000);
            if !leg.lock.admits(now, header.ssrc, audio_ms) {
                return Err(DropReason::AlienStream);
            }
        }
        let stream = leg.receive(now, &packet.header, format, micros, &mut self.streams)?;
        if leg.received_count == 1 {
            self.drops.note(self.queues.event(Event::FirstMedia(leg.id)));
        }
        let payload = &buffer[packet.payload_start..packet.payload_start + packet.payload_len];
        let (mut pressed, mut beside) = (None, None);
        match format {
            Format::ComfortNoise => leg.noise_at = Some(now),
            Format::TelephoneEvent | Format::OpusEvent => {
                let event: &[u8; EVENT_LEN] =
                    payload.first_chunk().ok_or(DropReason::MalformedRtp)?;
                beside = leg.event_beside(stream, packet.header.timestamp);
                if leg.ends_event(&packet.header, event[1]) {
                    let press = Event::TelephoneEvent(leg.id, event[0]);
                    self.drops.note(self.queues.pressed(press));
                    pressed = Some(event[0]);
                }
            }
            Format::Audio(codec) => {
                if let Some(law) = codec.law()
                    && leg.is_kept()
                {
                    let heard = Heard { stream, timestamp: packet.header.timestamp, law };
                    heard.keep(now, leg, &mut self.recordings, &mut self.drops, payload);
                    if leg.hears_tones {
                        self.drops.note(leg.hear_key(&mut self.queues, law, payload));
                    }
                }
            }
        }
        let accepted = Accepted {
            packet,
            format,
            stream,
            leg: leg.id,
            beside,
            event_timestamp: packet.header.timestamp,
            pressed,
            is_mixed: leg.feed.is_some(),
            hearer: leg.hearer,
            clock_rate: leg.clock_rate_of(stream),
            is_made: false,
            is_queued: false,
        };
        if format == Format::Audio(Codec::G722) {
            return Ok(self.narrow(now, accepted, buffer));
        }
        if accepted.clock_rate != CLOCK_RATE {
            return self.leave_opus(now, accepted, buffer);
        }
        Ok(accepted)
    }

    /// Rewrites an accepted packet for the leg that hears it in place.
    fn pass_on(
        &mut self,
        now: Instant,
        accepted: &Accepted,
        buffer: &mut [u8],
    ) -> Result<Forward, DropReason> {
        let Packet { header, payload_start, payload_len } = accepted.packet;
        if let Some(code) = accepted.pressed.filter(|_| accepted.is_mixed) {
            self.press_in_mixes(accepted.leg, code);
        }
        let kind = match accepted.format {
            Format::Audio(_) => Kind::Audio,
            Format::TelephoneEvent | Format::OpusEvent => Kind::TelephoneEvent,
            Format::ComfortNoise => {
                let payload = &buffer[payload_start..payload_start + payload_len];
                self.begin_noise(now, accepted.leg, payload);
                return Ok(Forward::Local);
            }
        };
        let hearer = match accepted.hearer {
            None if accepted.is_mixed => return Ok(Forward::Local),
            None => {
                self.listen(accepted, &buffer[payload_start..payload_start + payload_len]);
                return Err(DropReason::NotBridged);
            }
            Some(hearer) => hearer,
        };
        let leg =
            self.legs.get_mut(hearer.index, hearer.generation).ok_or(DropReason::NotBridged)?;
        let payload_type = leg.payload_type(kind)?;
        let remote = leg.destination().ok_or(DropReason::NotSending)?;
        if leg.is_dialing() {
            return Err(DropReason::Dialing);
        }
        if kind == Kind::TelephoneEvent {
            let payload = &mut buffer[payload_start..payload_start + payload_len];
            transcode::tell_duration(accepted.format, leg.event_rate(), payload);
        }
        let mut is_first = false;
        if kind == Kind::Audio
            && let Some(hush) = &mut leg.hush
        {
            let audio = &buffer[payload_start..payload_start + payload_len];
            let sound = match accepted.is_made {
                true => hush.hear(now, Law::Pcmu, audio),
                false => Sound::Sent { is_first: hush.wake() },
            };
            match sound {
                Sound::Sent { is_first: first } => is_first = first,
                Sound::Falls(level) => {
                    leg.playing = None;
                    self.tell_silence(now, hearer, level);
                    return Ok(Forward::Local);
                }
                Sound::Unsent => {
                    leg.playing = None;
                    return Ok(Forward::Local);
                }
            }
        }
        let (mut payload_len, mut sequence, mut timestamp) =
            (payload_len, header.sequence, header.timestamp);
        if accepted.clock_rate != leg.clock_rate() && accepted.beside.is_none() {
            let room = buffer.len() - TAIL_ROOM;
            let buffer = &mut buffer[payload_start..room];
            let Some((len, numbers)) = leg.enter_opus(accepted, buffer)? else {
                return Ok(Forward::Local);
            };
            (payload_len, sequence, timestamp) = (len, numbers.sequence, numbers.timestamp);
        }
        let placed = match accepted.beside {
            None => leg.sender.place(now, accepted.stream, sequence, timestamp)?,
            Some(before) => leg.sender.interject(now, before.map_or(Moment::Beside, Moment::At)),
        };
        if let Format::Audio(codec) = accepted.format
            && codec != leg.codec()
            && leg.codec() != Codec::Opus
        {
            let payload = &mut buffer[payload_start..payload_start + payload_len];
            match (codec.law(), leg.codec().law(), &mut leg.wideband) {
                (Some(from), Some(to), _) => g711::transcode(payload, from, to),
                (Some(from), None, Some(wideband)) => wideband.encode(from, payload),
                _ => return Err(DropReason::PayloadType),
            }
        }
        // CSRCs, extension and padding were for us: the new header lies right before the payload.
        let start = payload_start - HEADER_LEN;
        let header = Header {
            payload_type,
            marker: header.marker || placed.switched || is_first,
            sequence: placed.sequence,
            timestamp: placed.timestamp,
            ssrc: leg.sender.ssrc(),
        };
        buffer[start..payload_start].copy_from_slice(&header.to_bytes());
        let mut len = HEADER_LEN + payload_len;
        if let Some(outbound) = &mut leg.outbound {
            len = outbound
                .protect_rtp(&mut buffer[start..], len)
                .map_err(|_| DropReason::Unprotectable)?;
        }
        leg.sender.count(payload_len);
        // Real media ends a tone.
        leg.playing = None;
        let socket = leg.rtp_socket();
        if accepted.beside.is_some()
            && let Some(source) = self.legs.get_mut(accepted.leg.index, accepted.leg.generation)
        {
            source.place_event(accepted.event_timestamp, placed.timestamp);
        }
        if accepted.is_queued {
            self.queues.transmit(socket, remote, &buffer[start..start + len])?;
            return Ok(Forward::Local);
        }
        Ok(Forward::To { socket, remote, start, len })
    }

    /// Hears keys in the audio of a party that nobody hears: who is asked for one and has no
    /// telephone-events presses it so. In a talk tones are for those who hear them, unless the
    /// party has no other way.
    fn listen(&mut self, accepted: &Accepted, audio: &[u8]) {
        let Format::Audio(codec) = accepted.format else { return };
        let leg = self.legs.get_mut(accepted.leg.index, accepted.leg.generation);
        if let (Some(leg), Some(law)) = (leg.filter(|leg| !leg.hears_tones), codec.law()) {
            self.drops.note(leg.hear_key(&mut self.queues, law, audio));
        }
    }

    fn consume_rtcp(
        &mut self,
        now: Instant,
        index: u32,
        port: RtcpPort,
        source: SocketAddr,
        buffer: &mut [u8],
        len: usize,
    ) -> Result<Forward, DropReason> {
        let ntp_middle = (self.ntp(now) >> 16) as u32;
        let (_, leg) = self.legs.at_mut(index).ok_or(DropReason::NoLeg)?;
        leg.is_negotiated()?;
        if !leg.accepts_rtcp_from(source, port) {
            return Err(DropReason::ForeignSource);
        }
        let len = match &mut leg.inbound {
            Some(inbound) => inbound.unprotect_rtcp(buffer, len).map_err(srtp_reason)?,
            None => len,
        };
        let heard = rtcp::parse(&buffer[..len], leg.sender.ssrc())
            .map_err(|_| DropReason::MalformedRtcp)?;
        leg.hear(now, ntp_middle, source, port, &heard);
        if let Some(copies) = &mut self.copies {
            let socket = match port {
                RtcpPort::OfRtp => leg.rtp_socket(),
                RtcpPort::Own => leg.rtcp_socket(),
            };
            self.drops.note(copies.add(leg.id, false, (socket, source), &buffer[..len]));
        }
        Ok(Forward::Local)
    }
}

fn srtp_reason(error: SrtpError) -> DropReason {
    match error {
        SrtpError::AuthenticationFailed => DropReason::Unauthentic,
        SrtpError::Replayed | SrtpError::TooOld => DropReason::Replayed,
        SrtpError::Malformed => DropReason::MalformedRtp,
        SrtpError::NoRoom | SrtpError::TooManyStreams | SrtpError::KeyExhausted => {
            DropReason::Unprotectable
        }
    }
}
