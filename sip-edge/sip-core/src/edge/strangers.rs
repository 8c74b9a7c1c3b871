//! How many answers over UDP a source gets that is no trunk's and names a dialog that may have been
//! ours: its address may be forged, and then the answers reach somebody else. Sources share a fixed
//! number of places, so that a flood of forged ones takes no room.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Answers of one source: so many at once, and one more each interval.
const BURST: u32 = 20;
const INTERVAL: Duration = Duration::from_millis(50);
const PLACE_COUNT: usize = 4096;

/// How many requests of unknown hosts are answered in a second.
pub struct Strangers {
    /// When all answers of a place would have gone out at an even pace.
    places: Vec<Instant>,
    /// Makes it unforeseeable who shares a place.
    key: u64,
}

impl Strangers {
    pub fn new(key: u64, now: Instant) -> Strangers {
        Strangers { places: vec![now; PLACE_COUNT], key }
    }

    /// Takes an answer to this source, or tells that it has had its share.
    pub fn admits(&mut self, now: Instant, source: IpAddr) -> bool {
        let mut hasher = DefaultHasher::new();
        self.key.hash(&mut hasher);
        match source.to_canonical() {
            IpAddr::V4(address) => address.hash(&mut hasher),
            // Whoever has one address of IPv6 has the network.
            IpAddr::V6(address) => address.segments()[..4].hash(&mut hasher),
        }
        let place = &mut self.places[hasher.finish() as usize % PLACE_COUNT];
        let even = (*place).max(now);
        let is_admitted = even.saturating_duration_since(now) <= INTERVAL * (BURST - 1);
        if is_admitted {
            *place = even + INTERVAL;
        }
        is_admitted
    }
}
