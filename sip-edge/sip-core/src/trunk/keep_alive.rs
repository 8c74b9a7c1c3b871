//! What keeps a translator's way to a registrar over UDP open, once both have agreed on it (RFC
//! 6223, RFC 5626 §4.4.2): when a Binding request of STUN is due, and what its answer means. Knows
//! no message and no address.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Longest time between two requests, unless the registrar says another (RFC 5626 §4.4.2).
const LONGEST: Duration = Duration::from_secs(29);
/// What is believed of what it says.
const BELIEVED: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(3600));
/// Wait for an answer before the request is repeated, doubled each time (RFC 8489 §6.2.1).
const FIRST_WAIT: Duration = Duration::from_millis(500);
const SEND_COUNT: u32 = 7;
const LAST_WAIT: Duration = Duration::from_secs(8);

/// Names a request and its answer (RFC 8489 §5).
pub type Transaction = [u8; 12];

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Send a Binding request of this name.
    Send(Transaction),
    /// Nothing came back: the way is closed.
    Lost,
}

/// The requests of one registration.
#[derive(Debug)]
pub struct KeepAlive {
    longest: Duration,
    due: Instant,
    /// The request that is not answered, and how often it was sent.
    asked: Option<(Transaction, u32)>,
    /// As whom the registrar saw us last.
    mapped: Option<SocketAddr>,
}

impl KeepAlive {
    /// `told` is the registrar's longest time, zero if it has none (RFC 6223 §4.4); `chance`
    /// spreads what is due.
    pub fn new(now: Instant, told: Duration, chance: u64) -> KeepAlive {
        let longest = if told.is_zero() { LONGEST } else { told.clamp(BELIEVED.0, BELIEVED.1) };
        let due = now + spread(longest, chance);
        KeepAlive { longest, due, asked: None, mapped: None }
    }

    /// The same with another time of the registrar's.
    pub fn renewed(self, now: Instant, told: Duration, chance: u64) -> KeepAlive {
        KeepAlive { mapped: self.mapped, ..KeepAlive::new(now, told, chance) }
    }

    /// Takes what is due; `fresh` names the next request.
    pub fn take_due(&mut self, now: Instant, chance: u64, fresh: Transaction) -> Option<Due> {
        if now < self.due {
            return None;
        }
        let (transaction, sent_count) = self.asked.unwrap_or((fresh, 0));
        if sent_count == SEND_COUNT {
            self.asked = None;
            self.mapped = None;
            self.due = now + spread(self.longest, chance);
            return Some(Due::Lost);
        }
        self.asked = Some((transaction, sent_count + 1));
        let is_last = sent_count + 1 == SEND_COUNT;
        self.due = now + if is_last { LAST_WAIT } else { FIRST_WAIT * 2_u32.pow(sent_count) };
        Some(Due::Send(transaction))
    }

    /// The request whose answer is waited for.
    pub fn awaited(&self) -> Option<Transaction> {
        self.asked.map(|(transaction, _)| transaction)
    }

    /// Takes the answer: whether the translator has another way for us now, of which the registrar
    /// does not know (RFC 5626 §4.4.2).
    pub fn take_answer(&mut self, now: Instant, mapped: SocketAddr, chance: u64) -> bool {
        self.asked = None;
        self.due = now + spread(self.longest, chance);
        self.mapped.replace(mapped).is_some_and(|former| former != mapped)
    }

    pub fn poll_timeout(&self) -> Instant {
        self.due
    }
}

/// Between four and five fifths of the longest time (RFC 5626 §4.4).
fn spread(longest: Duration, chance: u64) -> Duration {
    longest.mul_f64(0.8 + 0.2 * (chance as f64 / u64::MAX as f64))
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an Instant has no other origin")]
mod tests {
    use super::*;

    const ID: Transaction = [7; 12];

    fn address(port: u16) -> SocketAddr {
        ([192, 0, 2, 1], port).into()
    }

    #[test]
    fn a_request_is_repeated_and_then_the_way_is_lost() {
        let begin = Instant::now();
        let mut one = KeepAlive::new(begin, Duration::ZERO, u64::MAX);
        let mut now = one.poll_timeout();
        assert_eq!(now - begin, LONGEST);
        assert_eq!(one.take_due(begin, 0, ID), None);
        let mut waits = Vec::new();
        for fresh in 0..7 {
            let name = if fresh == 0 { ID } else { [fresh; 12] };
            assert_eq!(one.take_due(now, 0, name), Some(Due::Send(ID)));
            waits.push((one.poll_timeout() - now).as_millis());
            now = one.poll_timeout();
        }
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 16_000, 8000]);
        assert_eq!(one.take_due(now, 0, [9; 12]), Some(Due::Lost));
        assert_eq!((one.awaited(), one.poll_timeout() - now), (None, LONGEST.mul_f64(0.8)));
    }

    #[test]
    fn another_way_is_told_once() {
        let now = Instant::now();
        let mut one = KeepAlive::new(now, Duration::from_secs(100), 0);
        let mut answered = |port| {
            let due = one.poll_timeout();
            assert_eq!(one.take_due(due, 0, ID), Some(Due::Send(ID)));
            assert_eq!(one.awaited(), Some(ID));
            one.take_answer(due, address(port), 0)
        };
        assert_eq!([1, 1, 2, 2].map(&mut answered), [false, false, true, false]);
        assert_eq!(one.awaited(), None);
    }

    #[test]
    fn what_the_registrar_says_is_believed_within_reason() {
        let now = Instant::now();
        for (told, longest) in [(0, 29), (1, 10), (60, 60), (1_000_000, 3600)] {
            let one = KeepAlive::new(now, Duration::from_secs(told), u64::MAX);
            assert_eq!((one.poll_timeout() - now).as_secs(), longest, "{told}");
        }
    }
}
