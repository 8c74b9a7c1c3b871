//! A peer's change from one master key to the next: the new key is told before it is used, and
//! packets of the old one are under way still. Which key a packet has shows by its tag alone.

use super::SrtpError;
use super::context::Context;
use super::keys::Mki;
use super::stream::Streams;

/// RTP packets under the new key until the old one is given up: 5 s of 20 ms, longer than any
/// packet travels.
const OVERLAP: u16 = 250;
/// The longest packet that is kept for another attempt without an allocation, in bytes.
const PACKET_ROOM: usize = 1536;

/// The key before, while packets of both come.
pub(super) struct Change {
    former: Context,
    former_mki: Option<Mki>,
    /// For a peer that lets its rollover counter begin anew with its key, though it must not (RFC
    /// 3711 §3.3.1); until the first packet under the new key shows how it counts.
    anew: Option<Streams>,
    left: u16,
    /// The packet as it came, since a failed attempt leaves it changed.
    packet: Vec<u8>,
}

impl Change {
    pub(super) fn from(former: Context, former_mki: Option<Mki>) -> Self {
        Self {
            former,
            former_mki,
            anew: Some(Streams::default()),
            left: OVERLAP,
            packet: Vec::with_capacity(PACKET_ROOM),
        }
    }

    /// Whether the new key has been in use for long enough.
    pub(super) fn is_over(&self) -> bool {
        self.left == 0
    }

    /// As `Context::open_rtp`, with whichever key fits.
    #[cold]
    pub(super) fn open_rtp(
        &mut self,
        context: &mut Context,
        mki: &mut Option<Mki>,
        packet: &mut [u8],
    ) -> Result<usize, SrtpError> {
        self.packet.clear();
        self.packet.extend_from_slice(packet);
        let error = match context.open_rtp(mki, packet) {
            Ok(len) => {
                self.anew = None;
                self.left = self.left.saturating_sub(1);
                return Ok(len);
            }
            Err(SrtpError::Replayed) => return Err(SrtpError::Replayed),
            Err(error) => error,
        };
        packet.copy_from_slice(&self.packet);
        if let Some(anew) = &mut self.anew {
            std::mem::swap(&mut context.streams, anew);
            match context.open_rtp(mki, packet) {
                Ok(len) => {
                    self.anew = None;
                    return Ok(len);
                }
                Err(_) => std::mem::swap(&mut context.streams, anew),
            }
            packet.copy_from_slice(&self.packet);
        }
        self.former.open_rtp(&mut self.former_mki, packet).map_err(|_| error)
    }

    /// As `Context::open_rtcp`, with whichever key fits; an SRTCP packet says its index itself.
    #[cold]
    pub(super) fn open_rtcp(
        &mut self,
        context: &mut Context,
        mki: &mut Option<Mki>,
        packet: &mut [u8],
    ) -> Result<usize, SrtpError> {
        self.packet.clear();
        self.packet.extend_from_slice(packet);
        context.open_rtcp(mki, packet).or_else(|error| {
            packet.copy_from_slice(&self.packet);
            self.former.open_rtcp(&mut self.former_mki, packet).map_err(|_| error)
        })
    }
}
