//! Symmetric latching: which source address a leg's media may come from, and thus where it is sent
//! (RFC 4961), without giving the call to whoever sends first (RTPbleed). The signalled address
//! latches at once and wins over any other. Another source has to show several consecutive packets
//! of one stream, and has to lie where the leg's media may come from: strangers never latch (B02).

use std::mem::offset_of;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;

use crate::rtp::{Header, Ssrc};

/// Consecutive packets that a source other than the signalled address has to show.
pub(crate) const PROBATION_COUNT: u8 = 5;
/// Silence of the latched source after which another may be latched.
pub(crate) const RELATCH_SILENCE: Duration = Duration::from_secs(3);
/// Sources observed at a time; a new one replaces the one with the fewest packets. A flood from
/// more sources than this may delay a latch, but never gains it.
const CANDIDATE_COUNT: usize = 4;
/// Largest sequence step that still counts as consecutive: a packet or two may be lost.
const CONSECUTIVE_STEP: u16 = 3;

/// Where a leg's media may come from besides the host that its peer names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MediaSources {
    /// Where the leg's signalling comes from. A peer that names a private address may send from
    /// there, behind a translator.
    pub signalling: Option<IpAddr>,
    /// Networks that the peer's media come from, whatever address it names.
    pub networks: Vec<IpNet>,
}

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
    /// The same, and it would have shown enough, with nobody else there: told once.
    Refused,
}

#[derive(Debug, Clone, Copy)]
struct Candidate {
    source: SocketAddr,
    ssrc: Ssrc,
    sequence: u16,
    count: u8,
}

impl Candidate {
    /// The candidate after a further packet, which may begin it anew.
    fn after(known: Option<Candidate>, source: SocketAddr, header: &Header) -> Candidate {
        let known = known.filter(|candidate| {
            candidate.source == source
                && candidate.ssrc == header.ssrc
                && (1..=CONSECUTIVE_STEP)
                    .contains(&header.sequence.wrapping_sub(candidate.sequence))
        });
        let count = known.map_or(1, |candidate| candidate.count.saturating_add(1));
        Candidate { source, ssrc: header.ssrc, sequence: header.sequence, count }
    }
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
    /// Whether the signalled address can be the peer's at all; else only where its media really
    /// come from counts.
    is_usable: bool,
    search: Box<Search>,
}

/// What is needed only while nobody is latched.
#[derive(Debug, Clone)]
struct Search {
    sources: MediaSources,
    candidates: [Option<Candidate>; CANDIDATE_COUNT],
    /// A stranger that sends, until it is told.
    stranger: Option<Candidate>,
    is_stranger_told: bool,
}

impl Latch {
    pub fn new(signalled: SocketAddr, is_usable: bool, sources: MediaSources) -> Latch {
        let search = Search {
            sources,
            candidates: [None; CANDIDATE_COUNT],
            stranger: None,
            is_stranger_told: false,
        };
        Latch {
            state: State::Searching { previous: None },
            signalled,
            is_usable,
            search: Box::new(search),
        }
    }

    /// The address that SDP named.
    pub fn signalled(&self) -> SocketAddr {
        self.signalled
    }

    /// Where media really come from, once that is learned.
    pub fn latched(&self) -> Option<SocketAddr> {
        match self.state {
            State::Latched { source } => Some(source),
            State::Searching { .. } => None,
        }
    }

    /// Where to send: the latched source, else the last one, else the signalled address if it can
    /// be the peer's.
    pub fn destination(&self) -> Option<SocketAddr> {
        match self.state {
            State::Latched { source } => Some(source),
            State::Searching { previous } => previous.or(self.is_usable.then_some(self.signalled)),
        }
    }

    /// Judges a packet by its source and its header in clear.
    pub fn judge(&mut self, source: SocketAddr, header: &Header) -> Verdict {
        let previous = match self.state {
            State::Latched { source: latched } if latched == source => return Verdict::Known,
            State::Latched { .. } if !self.is_named(source) => return Verdict::Foreign,
            State::Latched { .. } => return Verdict::Settle,
            State::Searching { previous } => previous,
        };
        if self.is_named(source) || Some(source) == previous {
            return Verdict::Settle;
        }
        if !self.may_come_from(source.ip()) {
            return self.search.refuse(source, header);
        }
        if self.search.observe(source, header) < PROBATION_COUNT {
            Verdict::Probation
        } else {
            Verdict::Settle
        }
    }

    /// Whether this is the very address that the peer named, and may be.
    pub fn is_named(&self, source: SocketAddr) -> bool {
        self.is_usable && source == self.signalled
    }

    fn may_come_from(&self, source: IpAddr) -> bool {
        let source = source.to_canonical();
        let names_no_host = !self.is_usable || !is_global(self.signalled.ip());
        (self.is_usable && source == self.signalled.ip())
            || (names_no_host && self.search.sources.signalling == Some(source))
            || self.search.sources.networks.iter().any(|network| network.contains(&source))
    }

    /// Latches the source of a packet that was judged `Settle`.
    pub fn settle(&mut self, source: SocketAddr) {
        self.state = State::Latched { source };
        self.search.candidates = [None; CANDIDATE_COUNT];
    }

    /// Lets other sources try again, because the latched one fell silent. Returns whether anything
    /// changed.
    pub fn loosen(&mut self) -> bool {
        let State::Latched { source } = self.state else { return false };
        self.state = State::Searching { previous: Some(source) };
        true
    }
}

impl Search {
    /// Follows one stranger at a time, so that a peer that is merely not named can be told from
    /// noise.
    fn refuse(&mut self, source: SocketAddr, header: &Header) -> Verdict {
        if self.is_stranger_told {
            return Verdict::Foreign;
        }
        let stranger = *self.stranger.insert(Candidate::after(self.stranger, source, header));
        self.is_stranger_told = stranger.count >= PROBATION_COUNT;
        if self.is_stranger_told { Verdict::Refused } else { Verdict::Foreign }
    }

    /// Counts consecutive packets of a candidate.
    fn observe(&mut self, source: SocketAddr, header: &Header) -> u8 {
        let place = self
            .candidates
            .iter()
            .position(|candidate| candidate.is_some_and(|candidate| candidate.source == source))
            .or_else(|| {
                (0..CANDIDATE_COUNT).min_by_key(|place| {
                    self.candidates[*place].map_or(0, |candidate| candidate.count)
                })
            })
            .unwrap_or(0);
        self.candidates[place]
            .insert(Candidate::after(self.candidates[place], source, header))
            .count
    }
}

/// Whether an address can be the peer's real one across a network translator: not private, shared,
/// local or unspecified.
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
    use crate::codec::PayloadType;

    const PUBLIC: &str = "198.51.100.7:4000";
    const PRIVATE: &str = "192.168.1.5:4000";
    /// Where the signalling of these legs comes from.
    const SIGNALLING: &str = "203.0.113.20";
    const NETWORK: &str = "192.0.2.128/25";
    const STRANGER: &str = "192.0.2.66:4000";

    fn header(ssrc: u32, sequence: u16) -> Header {
        Header {
            payload_type: PayloadType::new(0).unwrap(),
            marker: false,
            sequence,
            timestamp: 0,
            ssrc: Ssrc(ssrc),
        }
    }

    fn sources() -> MediaSources {
        MediaSources {
            signalling: Some(SIGNALLING.parse().unwrap()),
            networks: vec![NETWORK.parse().unwrap()],
        }
    }

    /// Steps: source, SSRC, sequence, verdict. A `Settle` is settled.
    #[track_caller]
    fn go_on(latch: &mut Latch, steps: &[(&str, u32, u16, Verdict)]) {
        for (step, (source, ssrc, sequence, verdict)) in steps.iter().enumerate() {
            let source = source.parse().unwrap();
            assert_eq!(latch.judge(source, &header(*ssrc, *sequence)), *verdict, "step {step}");
            if *verdict == Settle {
                latch.settle(source);
            }
        }
    }

    #[track_caller]
    fn check(signalled: &str, steps: &[(&str, u32, u16, Verdict)]) -> Latch {
        let mut latch = Latch::new(signalled.parse().unwrap(), true, sources());
        go_on(&mut latch, steps);
        latch
    }

    /// A source that shows enough, and is latched.
    fn latching(source: &str) -> Vec<(&str, u32, u16, Verdict)> {
        (1..=5)
            .map(|n| (source, 1, n, if n < 5 { Probation } else { Settle }))
            .chain([(source, 1, 6, Known)])
            .collect()
    }

    /// A stranger that shows as much as it likes: told once, if at all.
    fn refused(source: &str, is_told: bool) -> Vec<(&str, u32, u16, Verdict)> {
        (1..=50)
            .map(|n| (source, 9, n, if n == 5 && is_told { Refused } else { Foreign }))
            .collect()
    }

    #[test]
    fn the_signalled_address_latches_at_once_and_alone() {
        let latch = check(
            PUBLIC,
            &[
                (PUBLIC, 1, 1, Settle),
                (PUBLIC, 1, 2, Known),
                ("198.51.100.7:4002", 1, 3, Foreign),
                (STRANGER, 1, 3, Foreign),
                (PUBLIC, 2, 9, Known),
            ],
        );
        assert_eq!(latch.latched(), Some(PUBLIC.parse().unwrap()));
    }

    // B02
    #[test]
    fn the_signalled_address_wins_over_a_latched_one() {
        for (signalled, other) in [
            (PUBLIC, "198.51.100.7:999"),
            (PUBLIC, "192.0.2.200:7"),
            (PRIVATE, "203.0.113.20:31000"),
            (PRIVATE, "192.0.2.129:4000"),
            (PRIVATE, "192.168.1.5:4444"),
            ("[2001:db8::7]:4000", "[2001:db8::7]:4444"),
        ] {
            let mut latch = check(signalled, &latching(other));
            go_on(
                &mut latch,
                &[(signalled, 2, 70, Settle), (other, 1, 7, Foreign), (signalled, 2, 71, Known)],
            );
            latch.loosen();
            go_on(
                &mut latch,
                &[(other, 1, 8, Probation), (signalled, 2, 72, Settle), (other, 1, 9, Foreign)],
            );
        }
    }

    #[test]
    fn a_stranger_never_latches_before_the_party_while_it_talks_nor_after_its_silence() {
        for signalled in [PUBLIC, PRIVATE, "10.9.0.20:33300", "100.64.0.9:4000", "[fd00::7]:4000"] {
            let mut latch = check(signalled, &refused(STRANGER, true));
            assert_eq!(
                (latch.latched(), latch.destination()),
                (None, Some(signalled.parse().unwrap()))
            );
            go_on(&mut latch, &[(signalled, 1, 1, Settle)]);
            go_on(&mut latch, &refused(STRANGER, false));
            latch.loosen();
            go_on(&mut latch, &refused(STRANGER, false));
            go_on(&mut latch, &refused("192.0.2.127:4000", false));
            assert_eq!(
                (latch.latched(), latch.destination()),
                (None, Some(signalled.parse().unwrap()))
            );
        }
    }

    #[test]
    fn after_silence_a_translated_party_may_change_its_port_but_not_its_host() {
        let mut latch = check(PRIVATE, &latching("203.0.113.20:31000"));
        latch.loosen();
        go_on(&mut latch, &refused(STRANGER, true));
        go_on(&mut latch, &latching("203.0.113.20:31002"));
        assert_eq!(latch.destination(), Some("203.0.113.20:31002".parse().unwrap()));
    }

    #[test]
    fn another_port_of_the_signalled_host_needs_probation() {
        check(
            PUBLIC,
            &[
                ("198.51.100.7:999", 1, 10, Probation),
                ("198.51.100.7:999", 1, 11, Probation),
                ("198.51.100.7:999", 1, 13, Probation), // one lost
                ("198.51.100.7:999", 1, 14, Probation),
                ("198.51.100.7:999", 1, 15, Settle),
                ("198.51.100.7:999", 1, 16, Known),
                ("198.51.100.7:998", 1, 17, Foreign),
            ],
        );
    }

    #[test]
    fn besides_its_own_host_a_party_may_only_come_from_where_it_is_expected() {
        check(PRIVATE, &latching("203.0.113.20:31000"));
        check(PRIVATE, &latching("192.0.2.200:31000"));
        check(PRIVATE, &latching("[::ffff:192.0.2.200]:31000"));
        // A public address is the peer's own: its signalling's host is another one.
        check(PUBLIC, &refused("203.0.113.20:31000", true));
        check(PUBLIC, &latching("192.0.2.200:31000"));
        let mut unexpected = Latch::new(PRIVATE.parse().unwrap(), true, MediaSources::default());
        go_on(&mut unexpected, &refused("203.0.113.20:31000", true));
    }

    #[test]
    fn an_address_that_cannot_be_the_peers_is_neither_sent_to_nor_taken() {
        for signalled in ["127.0.0.1:4000", PUBLIC] {
            let mut latch = Latch::new(signalled.parse().unwrap(), false, sources());
            assert_eq!(latch.destination(), None);
            go_on(&mut latch, &refused(signalled, true));
            go_on(&mut latch, &latching("203.0.113.20:31000"));
            go_on(&mut latch, &[(signalled, 1, 1, Foreign)]);
        }
    }

    #[test]
    fn sprays_never_latch_and_do_not_hinder_the_real_party() {
        let nat = "203.0.113.20:31000";
        let attackers = ["203.0.113.20:1", "203.0.113.20:2", "203.0.113.20:3"];
        let mut steps = Vec::new();
        for n in 0..4u16 {
            steps.push((nat, 1, n, Probation));
            for (offset, attacker) in attackers.iter().enumerate() {
                steps.push((*attacker, u32::from(n), n * 1000 + offset as u16, Probation));
            }
        }
        steps.push((nat, 1, 4, Settle));
        check(PRIVATE, &steps);
    }

    #[test]
    fn changes_of_ssrc_or_jumps_begin_the_probation_anew() {
        let other = "198.51.100.7:999";
        let packets =
            [(1, 1), (1, 2), (1, 3), (1, 4), (2, 5), (2, 6), (2, 7), (2, 8), (2, 80), (2, 80)];
        check(PUBLIC, &packets.map(|(ssrc, sequence)| (other, ssrc, sequence, Probation)));
    }

    #[test]
    fn after_silence_the_same_host_may_return_from_another_port() {
        let mut latch = check(PUBLIC, &[(PUBLIC, 1, 1, Settle)]);
        assert!(latch.loosen());
        assert!(!latch.loosen());
        assert_eq!(latch.destination(), Some(PUBLIC.parse().unwrap()));
        go_on(&mut latch, &latching("198.51.100.7:5555"));
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
