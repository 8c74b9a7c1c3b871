//! Whose turn it is. Between two turns of the media, all sources of bytes of a shard share a span
//! of work, and strangers a smaller one of their own; who has used it up waits in line. Pure: it is
//! told what was spent and looks at no clock.

use std::collections::VecDeque;
use std::time::Duration;

/// Who shares a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Connections of trunks, registered softphones, the control link, and the listeners
    /// themselves.
    Own,
    /// All others.
    Strangers,
}

/// Work between two turns of the media, of each lane.
const OWN_SPAN: Duration = Duration::from_millis(1);
const STRANGER_SPAN: Duration = Duration::from_micros(500);
/// The most spans that one long piece of work, or a thread that was descheduled, may cost those
/// that come after it.
const DEBT_SPANS: i64 = 4;

#[derive(Debug)]
struct Line {
    /// Nanoseconds.
    span: i64,
    /// Nanoseconds; below zero after a piece that took longer than what was left.
    left: i64,
    waiting: VecDeque<u64>,
}

impl Line {
    fn new(span: Duration) -> Self {
        let span = span.as_nanos() as i64;
        Self { span, left: span, waiting: VecDeque::new() }
    }

    fn next(&self) -> Option<u64> {
        self.waiting.front().copied().filter(|_| self.left > 0)
    }
}

/// The lines of one shard. Sources are named by numbers of the caller's.
#[derive(Debug)]
pub struct Lanes {
    own: Line,
    strangers: Line,
}

impl Lanes {
    pub fn new() -> Self {
        Self { own: Line::new(OWN_SPAN), strangers: Line::new(STRANGER_SPAN) }
    }

    fn line(&mut self, lane: Lane) -> &mut Line {
        match lane {
            Lane::Own => &mut self.own,
            Lane::Strangers => &mut self.strangers,
        }
    }

    /// Whether the source may work now. If not, `wait` in line.
    pub fn admits(&mut self, lane: Lane, source: u64) -> bool {
        let line = self.line(lane);
        let is_admitted =
            line.left > 0 && line.waiting.front().is_none_or(|first| *first == source);
        if is_admitted {
            line.waiting.pop_front();
        }
        is_admitted
    }

    /// Puts a source at the end of its line; once for each wait.
    pub fn wait(&mut self, lane: Lane, source: u64) {
        self.line(lane).waiting.push_back(source);
    }

    /// A piece of work is done.
    pub fn spend(&mut self, lane: Lane, spent: Duration) {
        let line = self.line(lane);
        line.left = (line.left - spent.as_nanos() as i64).max(-DEBT_SPANS * line.span);
    }

    /// The media had their turn.
    pub fn renew(&mut self) {
        for line in [&mut self.own, &mut self.strangers] {
            line.left = (line.left + line.span).min(line.span);
        }
    }

    /// A waiting source is gone.
    pub fn leave(&mut self, lane: Lane, source: u64) {
        self.line(lane).waiting.retain(|each| *each != source);
    }

    /// Those that may work now and are to be told.
    pub fn next(&self) -> impl Iterator<Item = u64> {
        [self.own.next(), self.strangers.next()].into_iter().flatten()
    }

    /// Whether anyone waits for the next turn.
    pub fn is_wanted(&self) -> bool {
        !self.own.waiting.is_empty() || !self.strangers.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    /// An executor of one thread in virtual time: ready sources are polled first come, first
    /// served, the media once a round.
    struct Stage {
        lanes: Lanes,
        ready: VecDeque<(Lane, u64)>,
        waiting: HashMap<u64, Lane>,
        /// How long a source works each time.
        piece: Box<dyn Fn(u64) -> Duration>,
        worked: HashMap<u64, Duration>,
        /// Longest time from one turn of the media to the next.
        longest: Duration,
    }

    impl Stage {
        fn new(own: u64, strangers: u64, piece: impl Fn(u64) -> Duration + 'static) -> Self {
            let own = (0..own).map(|source| (Lane::Own, source));
            let strangers = (1_000..1_000 + strangers).map(|source| (Lane::Strangers, source));
            Self {
                lanes: Lanes::new(),
                ready: own.chain(strangers).collect(),
                waiting: HashMap::new(),
                piece: Box::new(piece),
                worked: HashMap::new(),
                longest: Duration::ZERO,
            }
        }

        fn wake(&mut self) {
            for source in self.lanes.next().collect::<Vec<_>>() {
                if let Some(lane) = self.waiting.remove(&source) {
                    self.ready.push_back((lane, source));
                }
            }
        }

        /// From one turn of the media to the next: every source always has bytes.
        fn round(&mut self) {
            let mut passed = Duration::ZERO;
            while let Some((lane, source)) = self.ready.pop_front() {
                if self.lanes.admits(lane, source) {
                    let piece = (self.piece)(source);
                    passed += piece;
                    *self.worked.entry(source).or_default() += piece;
                    self.lanes.spend(lane, piece);
                    self.ready.push_back((lane, source));
                } else {
                    self.lanes.wait(lane, source);
                    self.waiting.insert(source, lane);
                }
                self.wake();
            }
            self.longest = self.longest.max(passed);
            self.lanes.renew();
            self.wake();
        }

        fn worked(&self, source: u64) -> Duration {
            self.worked.get(&source).copied().unwrap_or_default()
        }
    }

    const MICRO: Duration = Duration::from_micros(1);

    #[test]
    fn the_media_have_their_turn_however_many_sources_have_bytes() {
        for strangers in [1, 20, 200, 5_000] {
            let mut stage = Stage::new(3, strangers, |_| 200 * MICRO);
            (0..2_000).for_each(|_| stage.round());
            assert!(
                stage.longest < OWN_SPAN + STRANGER_SPAN + 400 * MICRO,
                "{strangers}: {:?}",
                stage.longest
            );
        }
    }

    #[test]
    fn strangers_share_and_own_sources_do_not_feel_them() {
        let mut stage = Stage::new(1, 40, |_| 100 * MICRO);
        (0..1_000).for_each(|_| stage.round());
        assert!(stage.worked(0) >= 1_000 * OWN_SPAN, "own: {:?}", stage.worked(0));
        let shares: Vec<Duration> = (1_000..1_040).map(|source| stage.worked(source)).collect();
        let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
        assert!(
            *most - *least <= 100 * MICRO,
            "one stranger is served before another: {least:?} to {most:?}"
        );
        assert!(shares.iter().sum::<Duration>() <= 1_001 * STRANGER_SPAN);
    }

    /// A handshake with a slow key takes longer than a whole span.
    #[test]
    fn long_pieces_are_paid_back() {
        let mut stage = Stage::new(0, 10, |_| 1_500 * MICRO);
        (0..3_000).for_each(|_| stage.round());
        assert_eq!(stage.longest, 1_500 * MICRO);
        let all: Duration = (1_000..1_010).map(|source| stage.worked(source)).sum();
        assert!(all <= 3_002 * STRANGER_SPAN, "{all:?} of {:?}", 3_000 * STRANGER_SPAN);
        // A thread that lost its core for a second owes no second.
        stage.lanes.spend(Lane::Strangers, Duration::from_secs(1));
        (0..=DEBT_SPANS).for_each(|_| stage.lanes.renew());
        assert!(
            stage.lanes.admits(Lane::Strangers, *stage.lanes.strangers.waiting.front().unwrap())
        );
    }

    #[test]
    fn who_leaves_the_line_holds_nobody_up() {
        let mut lanes = Lanes::new();
        lanes.spend(Lane::Strangers, STRANGER_SPAN);
        for source in [1, 2] {
            assert!(!lanes.admits(Lane::Strangers, source));
            lanes.wait(Lane::Strangers, source);
        }
        assert!(lanes.is_wanted());
        lanes.renew();
        assert_eq!(lanes.next().collect::<Vec<_>>(), [1]);
        assert!(!lanes.admits(Lane::Strangers, 2), "it is the first's turn");
        lanes.leave(Lane::Strangers, 1);
        assert!(lanes.admits(Lane::Strangers, 2));
        assert!(!lanes.is_wanted());
    }
}
