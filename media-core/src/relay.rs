//! The conductor of media: owns legs, ports, bridges, playback and recordings of one shard, and forwards each packet in place.

mod media;
mod output;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub use crate::sdp::Negotiated as RemoteMedia;
pub use media::{LegId, LegReport, LocalMedia, RecordingId, RelayConfig, SocketId};
pub use output::{Event, Forward, Output};

/// Bytes that a datagram's buffer must have beyond the datagram, for the SRTP trailer.
pub const TAIL_ROOM: usize = 32;

/// All port pairs are in use or resting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no free port pair")]
pub struct NoPort;

/// One shard's media.
pub struct Relay;

#[allow(unused_variables)]
impl Relay {
    /// Makes a relay without legs; `seed` feeds SSRCs, sequence numbers and report intervals and must be unpredictable.
    pub fn new(config: RelayConfig, seed: u64, now: Instant) -> Relay {
        todo!()
    }
    /// Takes a port pair for a new leg.
    pub fn open_leg(&mut self, now: Instant) -> Result<LegId, NoPort> {
        todo!()
    }
    /// What our SDP says of the leg; the ports of a stale leg are 0.
    pub fn local_media(&self, leg: LegId) -> LocalMedia {
        todo!()
    }
    /// Tells a leg its peer, at first or after a new negotiation. A new address is latched anew; unchanged keys keep their contexts.
    pub fn set_remote(&mut self, now: Instant, leg: LegId, remote: RemoteMedia) {
        todo!()
    }
    /// Lets two legs hear each other, instead of whom they heard before.
    pub fn bridge(&mut self, now: Instant, a: LegId, b: LegId) {
        todo!()
    }
    /// Ends a bridge, if it is between these two.
    pub fn unbridge(&mut self, now: Instant, a: LegId, b: LegId) {
        todo!()
    }
    /// Plays ringback to the leg until `stop_playing`, or until media of the leg that it is bridged with arrives.
    pub fn play_ringback(&mut self, now: Instant, leg: LegId) {
        todo!()
    }
    pub fn stop_playing(&mut self, leg: LegId) {
        todo!()
    }
    /// Reports `Event::NoMedia` once when no RTP comes from the leg for `limit`, counted from now or from its last packet. Time
    /// in which the peer may not send does not count.
    pub fn watch_media(&mut self, now: Instant, leg: LegId, limit: Duration) {
        todo!()
    }
    /// Records two legs from now on, `left` and `right` being the channels. `None` if either is closed or `left` is recorded already.
    /// Closing `left` stops the recording.
    pub fn start_recording(&mut self, now: Instant, left: LegId, right: LegId) -> Option<RecordingId> {
        todo!()
    }
    /// Writes what is left; `Output::Finish` comes last.
    pub fn stop_recording(&mut self, now: Instant, recording: RecordingId) {
        todo!()
    }
    /// Says goodbye by RTCP, releases the sockets and lets the port pair rest.
    pub fn close_leg(&mut self, now: Instant, leg: LegId) {
        todo!()
    }
    /// Totals of the leg since it was opened; zeros for a stale leg.
    pub fn leg_report(&self, leg: LegId) -> LegReport {
        todo!()
    }
    pub fn leg_count(&self) -> usize {
        todo!()
    }
    /// Name and count of each drop reason.
    pub fn counters(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        std::iter::empty()
    }
    /// Handles one datagram, `buffer[..len]`, in place and without allocation. `buffer` has `TAIL_ROOM` bytes beyond `len`.
    pub fn forward(&mut self, now: Instant, socket: SocketId, remote: SocketAddr, buffer: &mut [u8], len: usize) -> Forward {
        todo!()
    }
    /// The next thing for the shell to do.
    pub fn poll_output(&mut self) -> Option<Output<'_>> {
        todo!()
    }
    /// The next thing for the call machine to know.
    pub fn poll_event(&mut self) -> Option<Event> {
        todo!()
    }
    /// When `handle_timeout` is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        todo!()
    }
    /// Fires each timer that is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        todo!()
    }
}
