//! Two legs as a call of two has them, for all who test or measure a relay: they hear each other
//! alone, and are recorded in stereo.

use super::relay::{Channel, Layout, LegId, RecordingId, Relay};
use std::time::Instant;

/// Lets two legs hear each other alone.
pub fn bridge(relay: &mut Relay, now: Instant, a: LegId, b: LegId) {
    relay.set_hearing(now, a, &[b]);
    relay.set_hearing(now, b, &[a]);
}

/// Begins a stereo recording of two legs; `None` without room for it.
pub fn record(relay: &mut Relay, now: Instant, left: LegId, right: LegId) -> Option<RecordingId> {
    let recording = relay.start_recording(now, Layout::Stereo)?;
    relay.record_leg(now, recording, left, Some(Channel::Agent));
    relay.record_leg(now, recording, right, Some(Channel::Customer));
    Some(recording)
}
