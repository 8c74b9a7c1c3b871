//! Symmetric latching: which source address a leg's media may come from, and thus where it is sent (RFC 4961), without giving the
//! call to whoever sends first (RTPbleed). Only the signalled address latches at once; any other source has to show several
//! consecutive packets of one stream, and a foreign IP address may do so only where the signalled one cannot be the real one.

use std::mem::offset_of;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::rtp::{Header, Ssrc};

/// Consecutive packets that a source other than the signalled address has to show.
pub(crate) const PROBATION_COUNT: u8 = 5;
/// Time that the signalled IP address has for itself before a foreign one may latch.
pub(crate) const WINDOW: Duration = Duration::from_millis(250);
/// Silence of the latched source after which another may be latched.
pub(crate) const RELATCH_SILENCE: Duration = Duration::from_secs(3);
/// Sources observed at a time; a new one replaces the one with the fewest packets. A flood from more sources than this may delay a
/// latch, but never gains it.
const CANDIDATE_COUNT: usize = 4;
/// Largest sequence step that still counts as consecutive: a packet or two may be lost.
const CONSECUTIVE_STEP: u16 = 3;

/// What to do with a packet, by its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// From the latched source.
    Known,
    /// From a source that may be latched: `settle` once the packet proved authentic.
    Settle,
    /// From a source that has not shown enough yet.
    Probation,
    /// From a source that may not be latched.
    Foreign,
}

#[derive(Debug, Clone, Copy)]
struct Candidate {
    source: SocketAddr,
    ssrc: Ssrc,
    sequence: u16,
    count: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// No source yet, or `previous` fell silent.
    Searching {
        previous: Option<SocketAddr>,
    },
    Latched {
        source: SocketAddr,
    },
}

/// Bytes from a latch's beginning that a packet of the latched source needs.
pub(crate) const HOT_LEN: usize = offset_of!(Latch, signalled);

/// The latch of one leg's RTP.
#[derive(Debug, Clone)]
#[repr(C)]
pub(crate) struct Latch {
    state: State,
    signalled: SocketAddr,
    since: Instant,
    candidates: [Option<Candidate>; CANDIDATE_COUNT],
}

impl Latch {
    pub fn new(now: Instant, signalled: SocketAddr) -> Latch {
        Latch { state: State::Searching { previous: None }, signalled, since: now, candidates: [None; CANDIDATE_COUNT] }
    }

    pub fn signalled(&self) -> SocketAddr {
        self.signalled
    }

    pub fn latched(&self) -> Option<SocketAddr> {
        match self.state {
            State::Latched { source } => Some(source),
            State::Searching { .. } => None,
        }
    }

    /// Where to send: the latched source, else the last one, else the signalled address.
    pub fn destination(&self) -> SocketAddr {
        match self.state {
            State::Latched { source } => source,
            State::Searching { previous } => previous.unwrap_or(self.signalled),
        }
    }

    /// Judges a packet by its source and its header in clear.
    pub fn judge(&mut self, now: Instant, source: SocketAddr, header: &Header) -> Verdict {
        let previous = match self.state {
            State::Latched { source: latched } if latched == source => return Verdict::Known,
            State::Latched { .. } => return Verdict::Foreign,
            State::Searching { previous } => previous,
        };
        if source == self.signalled || Some(source) == previous {
            return Verdict::Settle;
        }
        let familiar = source.ip() == self.signalled.ip() || previous.is_some_and(|previous| previous.ip() == source.ip());
        if !familiar && is_global(self.signalled.ip()) {
            return Verdict::Foreign;
        }
        let count = self.observe(source, header);
        let in_window = now.saturating_duration_since(self.since) < WINDOW;
        if count < PROBATION_COUNT || (!familiar && in_window) { Verdict::Probation } else { Verdict::Settle }
    }

    /// Counts consecutive packets of a candidate.
    fn observe(&mut self, source: SocketAddr, header: &Header) -> u8 {
        let place = self
            .candidates
            .iter()
            .position(|candidate| candidate.is_some_and(|candidate| candidate.source == source))
            .or_else(|| (0..CANDIDATE_COUNT).min_by_key(|place| self.candidates[*place].map_or(0, |candidate| candidate.count)))
            .unwrap_or(0);
        let known = self.candidates[place].filter(|candidate| {
            candidate.source == source
                && candidate.ssrc == header.ssrc
                && (1..=CONSECUTIVE_STEP).contains(&header.sequence.wrapping_sub(candidate.sequence))
        });
        let count = known.map_or(1, |candidate| candidate.count.saturating_add(1));
        self.candidates[place] = Some(Candidate { source, ssrc: header.ssrc, sequence: header.sequence, count });
        count
    }

    /// Latches the source of a packet that was judged `Settle`.
    pub fn settle(&mut self, source: SocketAddr) {
        self.state = State::Latched { source };
        self.candidates = [None; CANDIDATE_COUNT];
    }

    /// Lets other sources try again, because the latched one fell silent. Returns whether anything changed.
    pub fn loosen(&mut self) -> bool {
        let State::Latched { source } = self.state else { return false };
        self.state = State::Searching { previous: Some(source) };
        true
    }
}

/// Whether an address can be the peer's real one across a network translator: not private, shared, local or unspecified.
fn is_global(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            let shared = first == 100 && (64..128).contains(&second); // RFC 6598
            !(v4.is_private() || v4.is_loopback() || v4.is_link_local() || first == 0 || shared)
        }
        IpAddr::V6(v6) => {
            let unique_local = v6.segments()[0] & 0xfe00 == 0xfc00;
            !(v6.is_loopback() || v6.is_unspecified() || v6.is_unicast_link_local() || unique_local)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Verdict::*;
    use super::*;
    use crate::clock;
    use crate::codec::PayloadType;

    const PUBLIC: &str = "198.51.100.7:4000";
    const PRIVATE: &str = "192.168.1.5:4000";

    fn header(ssrc: u32, sequence: u16) -> Header {
        Header { payload_type: PayloadType::new(0).unwrap(), marker: false, sequence, timestamp: 0, ssrc: Ssrc(ssrc) }
    }

    /// Steps: milliseconds, source, SSRC, sequence, verdict. A `Settle` is settled.
    #[track_caller]
    fn check(signalled: &str, steps: &[(u64, &str, u32, u16, Verdict)]) -> Latch {
        let start = clock::start();
        let mut latch = Latch::new(start, signalled.parse().unwrap());
        for (step, (ms, source, ssrc, sequence, verdict)) in steps.iter().enumerate() {
            let source = source.parse().unwrap();
            let now = start + Duration::from_millis(*ms);
            assert_eq!(latch.judge(now, source, &header(*ssrc, *sequence)), *verdict, "step {step}");
            if *verdict == Settle {
                latch.settle(source);
            }
        }
        latch
    }

    #[test]
    fn the_signalled_address_latches_at_once_and_alone() {
        let latch = check(
            PUBLIC,
            &[
                (0, PUBLIC, 1, 1, Settle),
                (20, PUBLIC, 1, 2, Known),
                (20, "198.51.100.7:4002", 1, 3, Foreign),
                (20, "203.0.113.9:4000", 1, 3, Foreign),
                (40, PUBLIC, 2, 9, Known),
            ],
        );
        assert_eq!(latch.latched(), Some(PUBLIC.parse().unwrap()));
    }

    #[test]
    fn an_attacker_never_latches_where_the_signalled_address_is_global() {
        let steps: Vec<_> = (0..50).map(|n| (u64::from(n) * 20, "203.0.113.9:4000", 1, n, Foreign)).collect();
        let latch = check(PUBLIC, &steps);
        assert_eq!(latch.latched(), None);
        assert_eq!(latch.destination(), PUBLIC.parse().unwrap());
    }

    #[test]
    fn another_port_of_the_signalled_host_needs_probation() {
        check(
            PUBLIC,
            &[
                (0, "198.51.100.7:999", 1, 10, Probation),
                (20, "198.51.100.7:999", 1, 11, Probation),
                (40, "198.51.100.7:999", 1, 13, Probation), // one lost
                (60, "198.51.100.7:999", 1, 14, Probation),
                (80, "198.51.100.7:999", 1, 15, Settle),
                (100, "198.51.100.7:999", 1, 16, Known),
                (100, "198.51.100.7:998", 1, 17, Foreign),
            ],
        );
    }

    #[test]
    fn a_party_behind_a_translator_needs_probation_and_the_window() {
        let nat = "203.0.113.20:31000";
        check(
            PRIVATE,
            &[
                (0, nat, 1, 1, Probation),
                (20, nat, 1, 2, Probation),
                (40, nat, 1, 3, Probation),
                (60, nat, 1, 4, Probation),
                (80, nat, 1, 5, Probation),
                (249, nat, 1, 6, Probation),
                (250, nat, 1, 7, Settle),
                (270, nat, 1, 8, Known),
            ],
        );
    }

    #[test]
    fn sprays_never_latch_and_do_not_hinder_the_real_party() {
        let nat = "203.0.113.20:31000";
        let attackers = ["203.0.113.66:1", "203.0.113.66:2", "203.0.113.66:3"];
        let mut steps = Vec::new();
        for n in 0..4u16 {
            steps.push((300 + u64::from(n) * 20, nat, 1, n, Probation));
            for (offset, attacker) in attackers.iter().enumerate() {
                steps.push((300 + u64::from(n) * 20, *attacker, u32::from(n), n * 1000 + offset as u16, Probation));
            }
        }
        steps.push((380, nat, 1, 4, Settle));
        check(PRIVATE, &steps);
    }

    #[test]
    fn changes_of_ssrc_or_jumps_begin_the_probation_anew() {
        let other = "198.51.100.7:999";
        check(
            PUBLIC,
            &[
                (0, other, 1, 1, Probation),
                (0, other, 1, 2, Probation),
                (0, other, 1, 3, Probation),
                (0, other, 1, 4, Probation),
                (0, other, 2, 5, Probation),
                (0, other, 2, 6, Probation),
                (0, other, 2, 7, Probation),
                (0, other, 2, 8, Probation),
                (0, other, 2, 80, Probation),
                (0, other, 2, 80, Probation),
            ],
        );
    }

    #[test]
    fn after_silence_the_same_host_may_return_from_another_port() {
        let mut latch = check(PUBLIC, &[(0, PUBLIC, 1, 1, Settle)]);
        assert!(latch.loosen());
        assert!(!latch.loosen());
        assert_eq!(latch.destination(), PUBLIC.parse().unwrap());
        let now = clock::start() + Duration::from_secs(60);
        let moved: SocketAddr = "198.51.100.7:5555".parse().unwrap();
        for sequence in 1..5 {
            assert_eq!(latch.judge(now, moved, &header(1, sequence)), Probation);
        }
        assert_eq!(latch.judge(now, "203.0.113.9:1".parse().unwrap(), &header(1, 5)), Foreign);
        assert_eq!(latch.judge(now, moved, &header(1, 5)), Settle);
    }

    #[test]
    fn global_addresses() {
        #[track_caller]
        fn check(address: &str, global: bool) {
            assert_eq!(is_global(address.parse().unwrap()), global, "{address}");
        }
        check("8.8.8.8", true);
        check("10.1.2.3", false);
        check("172.31.0.1", false);
        check("172.32.0.1", true);
        check("100.64.0.1", false);
        check("100.128.0.1", true);
        check("127.0.0.1", false);
        check("0.0.0.0", false);
        check("2001:db8::1", true);
        check("fd00::1", false);
        check("fe80::1", false);
        check("::ffff:10.0.0.1", false);
    }
}
