//! Probe packets: 20 ms of audio whose first bytes hold a counter and the sending time, to measure
//! loss and delay between two peers of one process. The arrival's time is the kernel's, so that a
//! delay is what the relay and the kernel take, and not when a peer looks.

use crate::spread::Times;
use std::time::{Duration, SystemTime};

/// Marks a probe's payload; a counter and nanoseconds follow.
const MARK: [u8; 4] = *b"prb0";
/// G.711 silence, nearly.
const FILL: u8 = 0xD5;

/// Nanoseconds of the system's clock, by which the kernel tells arrivals.
pub fn nanos() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos() as u64
}

/// Fills a payload of 16 bytes or more with probe number `counter`, sent at `nanos`.
pub fn write(payload: &mut [u8], counter: u32, nanos: u64) {
    payload.fill(FILL);
    payload[..4].copy_from_slice(&MARK);
    payload[4..8].copy_from_slice(&counter.to_be_bytes());
    payload[8..16].copy_from_slice(&nanos.to_be_bytes());
}

/// Counter and one-way delay of a payload that came at `nanos`; `None` if it is no probe, such as
/// the edge's ringback.
pub fn read(payload: &[u8], nanos: u64) -> Option<(u32, Duration)> {
    let (counter, rest) = payload.strip_prefix(&MARK)?.split_first_chunk()?;
    let sent = u64::from_be_bytes(*rest.first_chunk()?);
    Some((u32::from_be_bytes(*counter), Duration::from_nanos(nanos.saturating_sub(sent))))
}

/// What one peer received of the other's probes.
#[derive(Debug, Default)]
pub struct Received {
    pub count: u64,
    first: Option<u32>,
    last: u32,
}

impl Received {
    /// Counts a payload that came at `nanos`, its delay too; false if it is no probe.
    pub fn take(&mut self, payload: &[u8], nanos: u64, delays: &mut Times) -> bool {
        let Some((counter, delay)) = read(payload, nanos) else { return false };
        delays.add(delay);
        self.first.get_or_insert(counter);
        self.last = self.last.max(counter);
        self.count += 1;
        true
    }

    /// Probes between the first and the last that came which did not come.
    pub fn lost_count(&self) -> u64 {
        self.first.map_or(0, |first| (u64::from(self.last - first) + 1).saturating_sub(self.count))
    }
}
