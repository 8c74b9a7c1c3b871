//! A network on the virtual clock: datagrams are lost, delayed, reordered and doubled; streams are
//! only delayed. All by the dice.

use sip_core::flow::Transport;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// A small seeded generator (SplitMix64): a run is repeated from its seed.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `from..to`.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.roll() % (to - from)
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.roll() % 100 < percent
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.between(0, of.len() as u64) as usize]
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Sip(Transport),
    Rtp,
}

#[derive(Debug, Clone)]
pub struct Packet {
    pub kind: Kind,
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub bytes: Vec<u8>,
}

pub struct Network {
    dice: Dice,
    loss_percent: u64,
    double_percent: u64,
    /// Longest delay, in milliseconds.
    delay: u64,
    queue: BTreeMap<(Instant, u64), Packet>,
    count: u64,
    /// When the last bytes of a stream arrive.
    streams: BTreeMap<(SocketAddr, SocketAddr), Instant>,
}

impl Network {
    pub fn new(mut dice: Dice) -> Network {
        Network {
            loss_percent: dice.pick(&[0, 0, 2, 10]),
            double_percent: dice.pick(&[0, 1, 10]),
            delay: dice.pick(&[2, 30, 300]),
            dice,
            queue: BTreeMap::new(),
            count: 0,
            streams: BTreeMap::new(),
        }
    }

    /// Whether so much is lost that a handshake may take too long.
    pub fn is_lossy(&self) -> bool {
        self.loss_percent >= 10
    }

    pub fn send(&mut self, now: Instant, packet: Packet) {
        if matches!(packet.kind, Kind::Sip(transport) if transport.is_reliable()) {
            let at = now + Duration::from_millis(self.dice.between(1, self.delay + 1));
            let last = self.streams.entry((packet.from, packet.to)).or_insert(at);
            *last = at.max(*last);
            let at = *last;
            return self.put(at, packet);
        }
        if self.dice.chance(self.loss_percent) {
            return;
        }
        if self.dice.chance(self.double_percent) {
            let at = now + Duration::from_millis(self.dice.between(1, self.delay + 1));
            self.put(at, packet.clone());
        }
        let at = now + Duration::from_millis(self.dice.between(1, self.delay + 1));
        self.put(at, packet);
    }

    fn put(&mut self, at: Instant, packet: Packet) {
        self.count += 1;
        self.queue.insert((at, self.count), packet);
    }

    pub fn next_at(&self) -> Option<Instant> {
        self.queue.first_key_value().map(|((at, _), _)| *at)
    }

    pub fn receive(&mut self, now: Instant) -> Option<Packet> {
        self.queue.first_entry().filter(|entry| entry.key().0 <= now).map(|entry| entry.remove())
    }
}
