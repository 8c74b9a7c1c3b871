//! The two directions of a leg's SRTP: which packet index a packet has, whether it was seen, and
//! its protection.

use std::fmt;

use super::engine::{Engine, Protocol, RTCP_CLEAR_LEN};
use super::keys::{Keys, Mki};
use super::rekey::Change;
use super::stream::Streams;
use super::{RTCP_TAIL_LEN, RTP_TAIL_LEN, SrtpError};
use crate::prefetch::prefetch;

/// Protects what a leg sends. One context for the whole life of a leg: a second one with the same
/// key would use its key stream again. An RTP stream should start below sequence number 32768, or a
/// receiver that misses the first packets may take it to be in the wrong rollover period.
pub struct Outbound(Context);

/// Checks and decrypts what a leg receives. An SSRC is known after its first authentic packet;
/// beyond `MAX_STREAM_COUNT` the one that was silent for longest is forgotten.
pub struct Inbound {
    context: Context,
    /// What packets may carry, until one without it proved authentic.
    mki: Option<Mki>,
    /// While the peer goes over from one key to the next.
    change: Option<Box<Change>>,
}

/// One key's ciphers and what they were used for.
pub(super) struct Context {
    rtp: Engine,
    rtcp: Engine,
    pub(super) streams: Streams,
}

impl Context {
    fn new(keys: &Keys) -> Self {
        let engine = |protocol| Engine::new(keys, protocol);
        Self {
            rtp: engine(Protocol::Rtp),
            rtcp: engine(Protocol::Rtcp),
            streams: Streams::default(),
        }
    }

    /// Takes another key. Packet indices go on: "the rollover counter always maintains its sequence
    /// of values" (RFC 3711 §3.3.1).
    fn rekey(&mut self, keys: &Keys) {
        let Context { rtp, rtcp, .. } = Self::new(keys);
        (self.rtp, self.rtcp) = (rtp, rtcp);
    }

    /// Asks for what an RTP packet needs.
    fn prefetch(&self) {
        prefetch(&self.rtp);
        self.streams.prefetch();
    }

    /// Checks and decrypts an SRTP packet; returns the length of the RTP packet.
    #[inline]
    pub(super) fn open_rtp(
        &mut self,
        mki: &mut Option<Mki>,
        packet: &mut [u8],
    ) -> Result<usize, SrtpError> {
        let Context { rtp, streams, .. } = self;
        let bare_len = mki.and_then(|mki| rtp.cut_mki(packet, mki.as_bytes()));
        let len = bare_len.unwrap_or(packet.len());
        let packet = &mut packet[..len];
        let header = RtpHeader::parse(packet)?;
        let window = streams.state(header.ssrc).rtp;
        let index = window.estimate(header.sequence)?;
        window.check(index)?;
        let len = rtp.open_rtp(packet, header.len, header.ssrc, index)?;
        streams.touch(header.ssrc).rtp.mark(index);
        if bare_len.is_none() {
            *mki = None;
        }
        Ok(len)
    }

    /// Checks and decrypts an SRTCP packet; returns the length of the RTCP packet.
    pub(super) fn open_rtcp(
        &mut self,
        mki: &mut Option<Mki>,
        packet: &mut [u8],
    ) -> Result<usize, SrtpError> {
        let Context { rtcp, streams, .. } = self;
        let bare_len = mki.and_then(|mki| rtcp.cut_mki(packet, mki.as_bytes()));
        let len = bare_len.unwrap_or(packet.len());
        let packet = &mut packet[..len];
        let ssrc = rtcp_sender(packet)?;
        let index = rtcp.rtcp_index(packet)?.into();
        streams.state(ssrc).rtcp.check(index)?;
        let len = rtcp.open_rtcp(packet, ssrc)?;
        streams.touch(ssrc).rtcp.mark(index);
        Ok(len)
    }
}

impl Outbound {
    pub fn new(keys: &Keys) -> Self {
        Self(Context::new(keys))
    }

    /// Protects all further packets with another key.
    pub fn rekey(&mut self, keys: &Keys) {
        self.0.rekey(keys);
    }

    /// Asks for the memory that an RTP packet needs.
    pub(crate) fn prefetch(&self) {
        self.0.prefetch();
    }

    /// Protects the RTP packet `buffer[..len]` and returns its new length, at most
    /// `len + RTP_TAIL_LEN`.
    ///
    /// # Errors
    /// The packet is no RTP, repeats a sequence number (its key stream is used), or the context's
    /// limits are reached.
    pub fn protect_rtp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        let Context { rtp, streams, .. } = &mut self.0;
        if buffer.len() < len.saturating_add(RTP_TAIL_LEN) {
            return Err(SrtpError::NoRoom);
        }
        let header = RtpHeader::parse(&buffer[..len])?;
        if !streams.has_room_for(header.ssrc) {
            return Err(SrtpError::TooManyStreams);
        }
        let window = streams.state(header.ssrc).rtp;
        let index = window.estimate(header.sequence)?;
        window.check(index)?;
        let len = rtp.seal_rtp(buffer, header.len, len, header.ssrc, index)?;
        streams.touch(header.ssrc).rtp.mark(index);
        Ok(len)
    }

    /// Protects the compound RTCP packet `buffer[..len]` and returns its new length, at most
    /// `len + RTCP_TAIL_LEN`.
    ///
    /// # Errors
    /// The packet is no RTCP or the context's limits are reached.
    pub fn protect_rtcp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        let Context { rtcp, streams, .. } = &mut self.0;
        if buffer.len() < len.saturating_add(RTCP_TAIL_LEN) {
            return Err(SrtpError::NoRoom);
        }
        let ssrc = rtcp_sender(&buffer[..len])?;
        if !streams.has_room_for(ssrc) {
            return Err(SrtpError::TooManyStreams);
        }
        let index = streams.state(ssrc).rtcp.next_rtcp()?;
        let len = rtcp.seal_rtcp(buffer, len, ssrc, index as u32)?;
        streams.touch(ssrc).rtcp.mark(index);
        Ok(len)
    }
}

impl Inbound {
    pub fn new(keys: &Keys) -> Self {
        Self::with_mki(keys, None)
    }

    /// A context whose packets may carry their key's identifier. Peers that name one and leave it
    /// out are understood as well.
    pub fn with_mki(keys: &Keys, mki: Option<Mki>) -> Self {
        Self { context: Context::new(keys), mki, change: None }
    }

    /// Takes the key that the peer goes over to. Packets of the one before are understood until
    /// this one has been in use for a while.
    pub fn rekey(&mut self, keys: &Keys, mki: Option<Mki>) {
        let mut context = Context::new(keys);
        context.streams = self.context.streams.clone();
        let former = std::mem::replace(&mut self.context, context);
        self.change = Some(Box::new(Change::from(former, self.mki)));
        self.mki = mki;
    }

    /// What packets of the same key may carry from now on.
    pub fn set_mki(&mut self, mki: Option<Mki>) {
        self.mki = mki;
    }

    /// Asks for the memory that an RTP packet needs.
    pub(crate) fn prefetch(&self) {
        self.context.prefetch();
    }

    /// Checks and decrypts the SRTP packet `buffer[..len]` and returns the length of the RTP
    /// packet.
    ///
    /// # Errors
    /// The packet is cut short, replayed, too old, or not authentic.
    pub fn unprotect_rtp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        let packet = buffer.get_mut(..len).ok_or(SrtpError::Malformed)?;
        let Some(change) = &mut self.change else {
            return self.context.open_rtp(&mut self.mki, packet);
        };
        let opened = change.open_rtp(&mut self.context, &mut self.mki, packet);
        if change.is_over() {
            self.change = None;
        }
        opened
    }

    /// Checks and decrypts the SRTCP packet `buffer[..len]` and returns the length of the RTCP
    /// packet.
    ///
    /// # Errors
    /// The packet is cut short, replayed, too old, or not authentic.
    pub fn unprotect_rtcp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        let packet = buffer.get_mut(..len).ok_or(SrtpError::Malformed)?;
        match &mut self.change {
            None => self.context.open_rtcp(&mut self.mki, packet),
            Some(change) => change.open_rtcp(&mut self.context, &mut self.mki, packet),
        }
    }
}

impl fmt::Debug for Outbound {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Outbound").field("streams", &self.0.streams).finish_non_exhaustive()
    }
}

impl fmt::Debug for Inbound {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Inbound")
            .field("streams", &self.context.streams)
            .finish_non_exhaustive()
    }
}

/// What SRTP needs of an RTP header, all of which stays clear (RFC 3711 §3.1). The padding bit
/// speaks of encrypted bytes.
struct RtpHeader {
    ssrc: u32,
    sequence: u16,
    /// With contributing sources and header extension, in bytes.
    len: usize,
}

impl RtpHeader {
    fn parse(packet: &[u8]) -> Result<Self, SrtpError> {
        let fixed = packet.first_chunk::<12>().ok_or(SrtpError::Malformed)?;
        if fixed[0] >> 6 != 2 {
            return Err(SrtpError::Malformed);
        }
        let mut len = fixed.len() + 4 * usize::from(fixed[0] & 0x0f);
        if fixed[0] & 0x10 != 0 {
            let extension = packet
                .get(len..)
                .and_then(|rest| rest.first_chunk::<4>())
                .ok_or(SrtpError::Malformed)?;
            len +=
                extension.len() + 4 * usize::from(u16::from_be_bytes([extension[2], extension[3]]));
        }
        if packet.len() < len {
            return Err(SrtpError::Malformed);
        }
        let ssrc = u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]);
        Ok(Self { ssrc, sequence: u16::from_be_bytes([fixed[2], fixed[3]]), len })
    }
}

/// The SSRC of the first packet of a compound (RFC 3550 §6.4).
fn rtcp_sender(packet: &[u8]) -> Result<u32, SrtpError> {
    let header = packet.first_chunk::<RTCP_CLEAR_LEN>().ok_or(SrtpError::Malformed)?;
    if header[0] >> 6 != 2 {
        return Err(SrtpError::Malformed);
    }
    Ok(u32::from_be_bytes([header[4], header[5], header[6], header[7]]))
}
