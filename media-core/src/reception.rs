//! What is known of one received stream: sequence validity, duplicates, loss and jitter (RFC 3550
//! §6.4.1, appendices A.1, A.3, A.8). A stream is one SSRC until it restarts its sequence.

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
}

impl Reception {
    /// Begins with a stream's first packet, which counts as received.
    pub fn new(header: &Header) -> Reception {
        let first = u32::from(header.sequence);
        Reception {
            ssrc: header.ssrc,
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
            *self = Reception::new(header);
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
                (transit.wrapping_sub(previous) as i32).unsigned_abs().min(crate::rtp::CLOCK_RATE);
            self.jitter = (self.jitter + difference).saturating_sub((self.jitter + 8) >> 4);
        }
    }

    /// Jitter in timestamp units.
    pub fn jitter(&self) -> u32 {
        self.jitter >> 4
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
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::PayloadType;

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
            let mut reception = Reception::new(&header(first));
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
        let mut reception = Reception::new(&header(65_530));
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
        let mut reception = Reception::new(&header(0));
        // Transit alternates by 16 units: J converges to 16 (each step adds (16 - J) / 16).
        for step in 0..400u32 {
            reception.measure_jitter(step * 160, step * 160 + (step % 2) * 16);
        }
        assert!((15..=16).contains(&reception.jitter()), "{}", reception.jitter());
        let mut steady = Reception::new(&header(0));
        for step in 0..100u32 {
            steady.measure_jitter(step.wrapping_mul(160), step.wrapping_mul(160).wrapping_add(77));
        }
        assert_eq!(steady.jitter(), 0);
    }
}
