//! Who may be connected: a cap in all and a cap for each address. At either cap a new connection
//! takes the place of one that has stalled for longest, of the same address or else of the address
//! that holds most, so that whoever only waits keeps nobody out.

use ipnet::IpNet;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio_util::sync::CancellationToken;

/// How many connections there may be.
#[derive(Debug, Clone)]
pub struct Caps {
    pub total: u32,
    pub per_address: u32,
    /// Networks of proxies, behind which many clients are: no cap of an address holds for them.
    pub proxies: Vec<IpNet>,
}

/// Why a connection had to make room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Displaced {
    /// Its address has as many as it may.
    Address,
    /// The listener has as many as it may.
    Listener,
}

impl Displaced {
    /// Stable word for counters.
    pub fn word(self) -> &'static str {
        match self {
            Self::Address => "address_full",
            Self::Listener => "listener_full",
        }
    }
}

/// The connections of a listener.
#[derive(Debug, Clone)]
pub struct Slots(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    caps: Caps,
    start: Instant,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    next_id: u64,
    count: usize,
    hosts: HashMap<IpAddr, HashMap<u64, Held>>,
}

#[derive(Debug)]
struct Held {
    progress: Progress,
    cut: CancellationToken,
}

/// When a connection last moved a byte.
#[derive(Debug, Clone)]
pub struct Progress {
    start: Instant,
    at_ms: Arc<AtomicU64>,
}

impl Progress {
    /// Something has happened on the connection.
    pub fn mark(&self, now: Instant) {
        self.at_ms.store(since(self.start, now), Ordering::Relaxed);
    }
}

fn since(start: Instant, now: Instant) -> u64 {
    now.saturating_duration_since(start).as_millis() as u64
}

/// One connection's place, free again when it is dropped.
#[derive(Debug)]
pub struct Slot {
    slots: Slots,
    host: IpAddr,
    id: u64,
    pub progress: Progress,
    /// Cancelled when the connection has to make room.
    pub cut: CancellationToken,
}

impl Slots {
    pub fn new(caps: Caps, start: Instant) -> Self {
        Self(Arc::new(Shared { caps, start, table: Mutex::default() }))
    }

    /// A place for a connection, and why another one lost its own for it.
    pub fn take(&self, address: IpAddr, now: Instant) -> (Slot, Option<Displaced>) {
        let address = address.to_canonical();
        let Caps { total, per_address, proxies } = &self.0.caps;
        let host = host_of(address);
        let mut table = self.lock();
        let own_count = table.hosts.get(&host).map_or(0, HashMap::len);
        let is_proxy = proxies.iter().any(|network| network.contains(&address));
        let displaced = if own_count >= *per_address as usize && !is_proxy {
            table.displace(host);
            Some(Displaced::Address)
        } else if table.count >= *total as usize {
            let most = table.hosts.iter().max_by_key(|(_, held)| held.len()).map(|(host, _)| *host);
            if let Some(host) = most {
                table.displace(host);
            }
            Some(Displaced::Listener)
        } else {
            None
        };
        let progress = Progress {
            start: self.0.start,
            at_ms: Arc::new(AtomicU64::new(since(self.0.start, now))),
        };
        let cut = CancellationToken::new();
        let id = table.next_id;
        table.next_id += 1;
        table.count += 1;
        let held = Held { progress: progress.clone(), cut: cut.clone() };
        table.hosts.entry(host).or_default().insert(id, held);
        (Slot { slots: self.clone(), host, id, progress, cut }, displaced)
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Cuts the connection of the host that has stalled for longest.
    fn displace(&mut self, host: IpAddr) {
        let Some(held) = self.hosts.get(&host) else { return };
        let stalled = held
            .iter()
            .min_by_key(|(id, held)| (held.progress.at_ms.load(Ordering::Relaxed), **id));
        if let Some(held) = stalled.map(|(id, _)| *id).and_then(|id| self.remove(host, id)) {
            held.cut.cancel();
        }
    }

    fn remove(&mut self, host: IpAddr, id: u64) -> Option<Held> {
        let held = self.hosts.get_mut(&host)?;
        let removed = held.remove(&id)?;
        if held.is_empty() {
            self.hosts.remove(&host);
        }
        self.count -= 1;
        Some(removed)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.lock().remove(self.host, self.id);
    }
}

/// What counts as one address: a host chooses freely among the 2⁶⁴ addresses of its IPv6 network
/// (RFC 4291 §2.5.1).
fn host_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn slots(total: u32, per_address: u32) -> (Slots, Instant) {
        let start = Instant::now();
        let proxies = vec!["10.0.0.0/8".parse().unwrap()];
        (Slots::new(Caps { total, per_address, proxies }, start), start)
    }

    fn take(slots: &Slots, address: &str, now: Instant) -> (Slot, Option<Displaced>) {
        slots.take(address.parse().unwrap(), now)
    }

    // B01
    #[test]
    fn the_longest_stalled_of_an_address_makes_room_for_its_next() {
        let (slots, start) = slots(10, 2);
        let at = |second| start + Duration::from_secs(second);
        let [(first, _), (second, _), (other, _)] =
            [("192.0.2.1", 1), ("192.0.2.1", 2), ("192.0.2.2", 0)]
                .map(|(address, second)| take(&slots, address, at(second)));
        first.progress.mark(at(3));
        let (third, displaced) = take(&slots, "::ffff:192.0.2.1", at(4));
        assert_eq!(displaced, Some(Displaced::Address));
        assert_eq!(
            [&first, &second, &third, &other].map(|slot| slot.cut.is_cancelled()),
            [false, true, false, false]
        );
        // The end of one that was cut frees no second place.
        drop(second);
        assert_eq!(take(&slots, "192.0.2.1", at(5)).1, Some(Displaced::Address));
        assert!(first.cut.is_cancelled());
        drop((first, third));
        assert_eq!(take(&slots, "192.0.2.1", at(6)).1, None);
    }

    #[test]
    fn a_full_listener_takes_from_who_holds_most() {
        let (slots, start) = slots(4, 4);
        let mut many: Vec<_> =
            (0..3).map(|_| take(&slots, "192.0.2.1", start + Duration::from_secs(9)).0).collect();
        let (one, _) = take(&slots, "192.0.2.2", start);
        let (next, displaced) = take(&slots, "192.0.2.3", start + Duration::from_secs(10));
        assert_eq!(displaced, Some(Displaced::Listener));
        assert!(
            !one.cut.is_cancelled() && !next.cut.is_cancelled(),
            "who stalls alone is not the one that keeps others out"
        );
        assert_eq!(many.iter().filter(|slot| slot.cut.is_cancelled()).count(), 1);
        many.clear();
        assert_eq!(take(&slots, "192.0.2.3", start).1, None);
    }

    #[test]
    fn proxies_have_no_cap_of_their_own_and_ipv6_hosts_have_one_address() {
        let (slots, start) = slots(10, 1);
        let kept: Vec<_> = ["10.0.0.1", "10.0.0.1", "2001:db8::1", "2001:db8:0:1::1"]
            .map(|text| take(&slots, text, start))
            .into();
        assert!(kept.iter().all(|(_, displaced)| displaced.is_none()));
        assert_eq!(take(&slots, "2001:db8::ffff:2", start).1, Some(Displaced::Address));
    }
}
