//! The two directions of a leg's SRTP: which packet index a packet has, whether it was seen, and
//! its protection.

use std::fmt;

use super::engine::{Engine, Protocol, RTCP_CLEAR_LEN};
use super::keys::{Keys, Mki};
use super::stream::Streams;
use super::{RTCP_TAIL_LEN, RTP_TAIL_LEN, SrtpError};
use crate::prefetch::prefetch;

/// Protects what a leg sends. One context per master key for its whole life: a second one would use
/// its key stream again. An RTP stream should start below sequence number 32768, or a receiver that
/// misses the first packets may take it to be in the wrong rollover period.
pub struct Outbound(Context);

/// Checks and decrypts what a leg receives. An SSRC is known after its first authentic packet;
/// beyond `MAX_STREAM_COUNT` the one that was silent for longest is forgotten.
pub struct Inbound {
    context: Context,
    /// What packets may carry, until one without it proved authentic.
    mki: Option<Mki>,
}

struct Context {
    rtp: Engine,
    rtcp: Engine,
    streams: Streams,
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

    /// Asks for what an RTP packet needs.
    fn prefetch(&self) {
        prefetch(&self.rtp);
        self.streams.prefetch();
    }
}

impl Outbound {
    pub fn new(keys: &Keys) -> Self {
        Self(Context::new(keys))
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
        Self { context: Context::new(keys), mki }
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
        let Context { rtp, streams, .. } = &mut self.context;
        let packet = buffer.get_mut(..len).ok_or(SrtpError::Malformed)?;
        let bare_len = self.mki.and_then(|mki| rtp.cut_mki(packet, mki.as_bytes()));
        let packet = &mut packet[..bare_len.unwrap_or(len)];
        let header = RtpHeader::parse(packet)?;
        let window = streams.state(header.ssrc).rtp;
        let index = window.estimate(header.sequence)?;
        window.check(index)?;
        let len = rtp.open_rtp(packet, header.len, header.ssrc, index)?;
        streams.touch(header.ssrc).rtp.mark(index);
        if bare_len.is_none() {
            self.mki = None;
        }
        Ok(len)
    }

    /// Checks and decrypts the SRTCP packet `buffer[..len]` and returns the length of the RTCP
    /// packet.
    ///
    /// # Errors
    /// The packet is cut short, replayed, too old, or not authentic.
    pub fn unprotect_rtcp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        let Context { rtcp, streams, .. } = &mut self.context;
        let packet = buffer.get_mut(..len).ok_or(SrtpError::Malformed)?;
        let bare_len = self.mki.and_then(|mki| rtcp.cut_mki(packet, mki.as_bytes()));
        let packet = &mut packet[..bare_len.unwrap_or(len)];
        let ssrc = rtcp_sender(packet)?;
        let index = rtcp.rtcp_index(packet)?.into();
        streams.state(ssrc).rtcp.check(index)?;
        let len = rtcp.open_rtcp(packet, ssrc)?;
        streams.touch(ssrc).rtcp.mark(index);
        Ok(len)
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
