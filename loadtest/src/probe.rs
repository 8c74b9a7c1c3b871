//! Probe packets: 20 ms of audio whose first bytes hold a counter and the sending time, to measure
//! loss and delay between two peers of one process.

use std::sync::OnceLock;
use std::time::Instant;

/// Marks a probe's payload; a counter and nanoseconds follow.
const MARK: [u8; 4] = *b"prb0";
/// One in this many probes gives a delay sample.
const DELAY_EVERY: u32 = 25;
/// G.711 silence, nearly.
const FILL: u8 = 0xD5;

/// Nanoseconds since the first call.
pub fn nanos() -> u64 {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    EPOCH.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

/// Fills a payload of 16 bytes or more with probe number `counter`, sent at `nanos`.
pub fn write(payload: &mut [u8], counter: u32, nanos: u64) {
    payload.fill(FILL);
    payload[..4].copy_from_slice(&MARK);
    payload[4..8].copy_from_slice(&counter.to_be_bytes());
    payload[8..16].copy_from_slice(&nanos.to_be_bytes());
}

/// What one peer received of the other's probes.
#[derive(Debug, Default)]
pub struct Received {
    pub count: u64,
    first: Option<u32>,
    last: u32,
    /// One-way delays of some probes, in nanoseconds.
    pub delays: Vec<u64>,
}

impl Received {
    /// Counts a payload that came at `nanos`; false if it is no probe, such as the edge's ringback.
    pub fn take(&mut self, payload: &[u8], nanos: u64) -> bool {
        let Some((MARK, rest)) = payload.split_first_chunk().map(|(mark, rest)| (*mark, rest))
        else {
            return false;
        };
        let Some((counter, rest)) = rest.split_first_chunk() else { return false };
        let Some(sent) = rest.first_chunk() else { return false };
        let counter = u32::from_be_bytes(*counter);
        if counter.is_multiple_of(DELAY_EVERY) {
            self.delays.push(nanos.saturating_sub(u64::from_be_bytes(*sent)));
        }
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
