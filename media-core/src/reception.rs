//! What is known of one received stream: sequence validity, duplicates, loss and jitter (RFC 3550
//! §6.4.1, appendices A.1, A.3, A.8). A stream is one SSRC until it restarts its sequence.

use std::time::Duration;

use crate::drops::DropReason;
use crate::rtp::{Header, Ssrc};

/// Largest forward step that is still the same stream (RFC 3550 A.1).
const MAX_DROPOUT: u16 = 3000;
/// Largest step back that is still the same stream (RFC 3550 A.1); also the width of the duplicate
/// window.
pub(crate) const MAX_MISORDER: u16 = 100;

/// One received stream.
#[derive(Debug, Clone)]
pub(crate) struct Reception {
    ssrc: Ssrc,
    /// Ticks a second of its timestamps.
    clock_rate: u32,
    /// Extended sequence numbers (RFC 3550 A.1).
    base: u32,
    highest: u32,
    received: u32,
    /// Bit `n` tells that `highest - n` was received.
    window: u128,
    /// The sequence number that would confirm a restart.
    restart: Option<u16>,
    expected_prior: u32,
    received_prior: u32,
    /// Jitter in 1/16 timestamp units (RFC 3550 A.8).
    jitter: u32,
    transit: Option<u32>,
}

/// How a packet fits its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    InStream,
    /// The stream begins anew: its sequence jumped and the jump was confirmed.
    Restarted,
}

/// Loss and jitter for a report block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReceptionReport {
    pub ssrc: Ssrc,
    /// Packets that were to come since the last report; it is not sent.
    pub expected: u32,
    /// In 1/256 since the last report.
    pub fraction_lost: u8,
    /// Negative when duplicates came.
    pub cumulative_lost: i32,
    pub highest_sequence: u32,
    /// In timestamp units.
    pub jitter: u32,
    /// Of which a second has so many; it is not sent.
    pub clock_rate: u32,
}

impl ReceptionReport {
    /// Jitter as time.
    pub fn jitter_time(&self) -> Duration {
        time(self.jitter, self.clock_rate)
    }
}

/// So many timestamp units as time.
pub(crate) fn time(ticks: u32, clock_rate: u32) -> Duration {
    Duration::from_micros(u64::from(ticks) * 1_000_000 / u64::from(clock_rate))
}

impl Reception {
    /// Begins with a stream's first packet, which counts as received.
    pub fn new(header: &Header, clock_rate: u32) -> Reception {
        let first = u32::from(header.sequence);
        Reception {
            ssrc: header.ssrc,
            clock_rate,
            base: first,
            highest: first,
            received: 1,
            window: 1,
            restart: None,
            expected_prior: 0,
            received_prior: 0,
            jitter: 0,
            transit: None,
        }
    }

    /// The source that it counts (RFC 3550 §6.4.1).
    pub fn ssrc(&self) -> Ssrc {
        self.ssrc
    }

    /// Ticks a second of its timestamps.
    pub fn clock_rate(&self) -> u32 {
        self.clock_rate
    }

    /// Goes on with timestamps of another clock.
    pub fn set_clock_rate(&mut self, clock_rate: u32) {
        let jitter = u64::from(self.jitter) * u64::from(clock_rate) / u64::from(self.clock_rate);
        (self.clock_rate, self.jitter, self.transit) = (clock_rate, jitter as u32, None);
    }

    /// Takes a further packet of the same SSRC.
    pub fn accept(&mut self, header: &Header) -> Result<Arrival, DropReason> {
        let ahead = header.sequence.wrapping_sub(self.highest as u16);
        let behind = ahead.wrapping_neg();
        if ahead == 0 {
            return Err(DropReason::Duplicate);
        }
        if ahead < MAX_DROPOUT {
            self.highest = self.highest.wrapping_add(ahead.into());
            self.window = self.window.checked_shl(ahead.into()).unwrap_or(0) | 1;
        } else if behind <= MAX_MISORDER {
            let bit = 1u128 << behind;
            if self.window & bit != 0 {
                return Err(DropReason::Duplicate);
            }
            self.window |= bit;
        } else if self.restart == Some(header.sequence) {
            *self = Reception::new(header, self.clock_rate);
            return Ok(Arrival::Restarted);
        } else {
            self.restart = Some(header.sequence.wrapping_add(1));
            return Err(DropReason::Sequence);
        }
        self.restart = None;
        self.received = self.received.wrapping_add(1);
        Ok(Arrival::InStream)
    }

    /// Takes the arrival time, in timestamp units, of a packet whose timestamp is its sampling
    /// time.
    pub fn measure_jitter(&mut self, timestamp: u32, arrival: u32) {
        let transit = arrival.wrapping_sub(timestamp);
        if let Some(previous) = self.transit.replace(transit) {
            // A jump of the stream's clock is not jitter: more than a second says nothing of the
            // network.
            let difference =
                (transit.wrapping_sub(previous) as i32).unsigned_abs().min(self.clock_rate);
            self.jitter = (self.jitter + difference).saturating_sub((self.jitter + 8) >> 4);
        }
    }

    /// Jitter in timestamp units.
    fn jitter(&self) -> u32 {
        self.jitter >> 4
    }

    /// Jitter as time.
    pub fn jitter_time(&self) -> Duration {
        time(self.jitter(), self.clock_rate)
    }

    /// Packets that never came; negative when duplicates came.
    pub fn lost(&self) -> i32 {
        self.expected().wrapping_sub(self.received) as i32
    }

    fn expected(&self) -> u32 {
        self.highest.wrapping_sub(self.base).wrapping_add(1)
    }

    /// The report since the last one.
    pub fn report(&mut self) -> ReceptionReport {
        let expected = self.expected();
        let expected_interval = expected.wrapping_sub(self.expected_prior);
        let received_interval = self.received.wrapping_sub(self.received_prior);
        self.expected_prior = expected;
        self.received_prior = self.received;
        let lost_interval = expected_interval.wrapping_sub(received_interval) as i32;
        let fraction_lost = match expected_interval {
            1.. if lost_interval > 0 => {
                ((i64::from(lost_interval) << 8) / i64::from(expected_interval)).min(255) as u8
            }
            _ => 0,
        };
        ReceptionReport {
            ssrc: self.ssrc,
            expected: expected_interval,
            fraction_lost,
            // RFC 3550 §6.4.1: 24 bits, signed.
            cumulative_lost: self.lost().clamp(-0x80_0000, 0x7f_ffff),
            highest_sequence: self.highest,
            jitter: self.jitter(),
            clock_rate: self.clock_rate,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{CLOCK_RATE, PayloadType};

    fn header(sequence: u16) -> Header {
        Header {
            payload_type: PayloadType::new(0).unwrap(),
            marker: false,
            sequence,
            timestamp: 0,
            ssrc: Ssrc(7),
        }
    }

    #[test]
    fn sequences_follow_rfc_3550_a_1() {
        use Arrival::*;
        #[track_caller]
        fn check(first: u16, rest: &[(u16, Result<Arrival, DropReason>)]) {
            let mut reception = Reception::new(&header(first), CLOCK_RATE);
            for (step, (sequence, expected)) in rest.iter().enumerate() {
                assert_eq!(reception.accept(&header(*sequence)), *expected, "step {step}");
            }
        }
        check(
            10,
            &[
                (11, Ok(InStream)),
                (11, Err(DropReason::Duplicate)),
                (13, Ok(InStream)),
                (12, Ok(InStream)),
            ],
        );
        check(10, &[(13, Ok(InStream)), (12, Ok(InStream)), (12, Err(DropReason::Duplicate))]);
        check(
            65535,
            &[(0, Ok(InStream)), (65534, Ok(InStream)), (65535, Err(DropReason::Duplicate))],
        );
        check(0, &[(2999, Ok(InStream)), (2899, Ok(InStream)), (2898, Err(DropReason::Sequence))]);
        check(
            0,
            &[
                (20_000, Err(DropReason::Sequence)),
                (1, Ok(InStream)),
                (20_001, Err(DropReason::Sequence)),
            ],
        );
        check(
            0,
            &[(20_000, Err(DropReason::Sequence)), (20_001, Ok(Restarted)), (20_002, Ok(InStream))],
        );
    }

    #[test]
    fn loss_follows_rfc_3550_a_3() {
        let mut reception = Reception::new(&header(65_530), CLOCK_RATE);
        for sequence in [65_531, 65_532, 65_535, 0, 1] {
            reception.accept(&header(sequence)).unwrap();
        }
        let report = reception.report();
        assert_eq!((report.cumulative_lost, report.highest_sequence), (2, 65_537));
        assert_eq!(report.fraction_lost, (2u32 * 256 / 8) as u8);
        for sequence in 2..12 {
            reception.accept(&header(sequence)).unwrap();
        }
        let report = reception.report();
        assert_eq!((report.fraction_lost, report.cumulative_lost), (0, 2));
    }

    #[test]
    fn jitter_follows_rfc_3550_a_8() {
        let mut reception = Reception::new(&header(0), CLOCK_RATE);
        // Transit alternates by 16 units: J converges to 16 (each step adds (16 - J) / 16).
        for step in 0..400u32 {
            reception.measure_jitter(step * 160, step * 160 + (step % 2) * 16);
        }
        assert!((15..=16).contains(&reception.jitter()), "{}", reception.jitter());
        let mut steady = Reception::new(&header(0), CLOCK_RATE);
        for step in 0..100u32 {
            steady.measure_jitter(step.wrapping_mul(160), step.wrapping_mul(160).wrapping_add(77));
        }
        assert_eq!(steady.jitter(), 0);
    }
}
