//! The conductor of one shard: owns its calls, its transactions and its media relay, and routes SIP messages to them.
//! Knows no socket and no clock: after each mutation the shell drains `poll_output` to `None` and arms one deadline.

mod command;
mod event;

pub use crate::outcome::{CallStatus, HangupBy, LegName, Reason};
pub use command::{Credentials, Destination, EdgeConfig, Flow, MediaProfile, PlaceCall, Refusal, Route, Transport};
pub use event::{Attempt, Ended, Event, LegMedia, Milestone, MilestoneKind, Output, RecordingResult};

use media_core::relay::{RecordingId, Relay, RelayConfig};
use std::time::{Duration, Instant};

/// One shard's signalling and media.
pub struct Edge {
    config: EdgeConfig,
}

impl Edge {
    /// Makes an edge without calls; `seed` feeds branches, tags, Call-IDs, SSRCs and keys and must be unpredictable.
    pub fn new(config: EdgeConfig, relay: RelayConfig, seed: [u8; 32], now: Instant) -> Edge {
        todo!()
    }
    /// Starts a call with the agent's INVITE. A call that already lives is left as it is.
    pub fn place_call(&mut self, now: Instant, call: PlaceCall) -> Result<(), Refusal> {
        todo!()
    }
    /// Ends the call in any state; an unknown call is already ended.
    pub fn hang_up(&mut self, now: Instant, call_id: &str) {
        todo!()
    }
    /// Refuses new calls from now on.
    pub fn drain(&mut self) {
        todo!()
    }
    /// Hangs up every call on behalf of the system: the drain's limit is over.
    pub fn end_calls(&mut self, now: Instant) {
        todo!()
    }
    /// Takes one whole SIP message: a UDP datagram, or one framed from a stream.
    pub fn handle_sip(&mut self, now: Instant, flow: Flow, bytes: &[u8]) {
        todo!()
    }
    /// Sending on this flow failed, or its connection broke.
    pub fn handle_flow_error(&mut self, now: Instant, flow: Flow) {
        todo!()
    }
    /// The shard's media, for reports.
    pub fn relay(&self) -> &Relay {
        todo!()
    }
    /// The shard's media, for the datagram engine. Call `handle_media` after each batch.
    pub fn relay_mut(&mut self) -> &mut Relay {
        todo!()
    }
    /// Takes the relay's events to their calls.
    pub fn handle_media(&mut self, now: Instant) {
        todo!()
    }
    /// The recording's file is final.
    pub fn recording_finished(&mut self, now: Instant, recording: RecordingId, file_len: u64, duration: Duration) {
        todo!()
    }
    /// The next thing for the shell to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        todo!()
    }
    /// When `handle_timeout` is due, the relay's own timers included.
    pub fn poll_timeout(&self) -> Option<Instant> {
        todo!()
    }
    /// Fires each timer that is due, the relay's included.
    pub fn handle_timeout(&mut self, now: Instant) {
        todo!()
    }
    /// Calls that have not been told as ended.
    pub fn live_calls(&self) -> impl Iterator<Item = &str> {
        std::iter::empty()
    }
    pub fn call_count(&self) -> usize {
        todo!()
    }
    /// Monotonic counters by name: messages refused or dropped, by reason.
    pub fn counters(&self) -> impl Iterator<Item = (&'static str, u64)> {
        std::iter::empty()
    }
    /// Whether `drain` was called.
    pub fn is_draining(&self) -> bool {
        todo!()
    }
}
