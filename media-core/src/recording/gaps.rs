//! What of a file does not hold what was to be written there: the disk was full, broken or too
//! slow.

use std::ops::Range;

/// Most ranges that are told apart; beyond it the last two become one.
const MAX_RANGE_COUNT: usize = 1024;

/// Ranges of bytes, sorted and apart from each other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gaps(Vec<Range<u64>>);

impl Gaps {
    /// These bytes could not be written.
    pub fn add(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let touching = self.touching(
            &range,
            |gap, range| gap.end < range.start,
            |gap, range| gap.start <= range.end,
        );
        let start =
            self.0.get(touching.start).map_or(range.start, |first| range.start.min(first.start));
        let end = self.0[touching.clone()].last().map_or(range.end, |last| range.end.max(last.end));
        self.0.splice(touching.clone(), [if touching.is_empty() { range } else { start..end }]);
        if self.0.len() > MAX_RANGE_COUNT
            && let Some(last) = self.0.pop()
            && let Some(before) = self.0.last_mut()
        {
            before.end = last.end;
        }
    }

    /// These bytes were written, perhaps at last.
    pub fn remove(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let touching = self.touching(
            &range,
            |gap, range| gap.end <= range.start,
            |gap, range| gap.start < range.end,
        );
        let hit = &self.0[touching.clone()];
        let left = hit.first().map(|first| first.start..range.start);
        let right = hit.last().map(|last| range.end..last.end);
        let rest: Vec<_> = left.into_iter().chain(right).filter(|rest| !rest.is_empty()).collect();
        self.0.splice(touching, rest);
    }

    /// How many bytes before `end` are missing.
    pub fn len_before(&self, end: u64) -> u64 {
        self.0.iter().map(|gap| gap.end.min(end).saturating_sub(gap.start)).sum()
    }

    fn touching(
        &self,
        range: &Range<u64>,
        is_before: impl Fn(&Range<u64>, &Range<u64>) -> bool,
        begins_within: impl Fn(&Range<u64>, &Range<u64>) -> bool,
    ) -> Range<usize> {
        let first = self.0.partition_point(|gap| is_before(gap, range));
        first..first + self.0[first..].partition_point(|gap| begins_within(gap, range))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Adds (`true`) and removes ranges of a small file, and compares with a map of its bytes.
    #[track_caller]
    fn check(steps: &[(bool, Range<u64>)], expected: &[(u64, u64)]) {
        let (mut gaps, mut bytes) = (Gaps::default(), [false; 32]);
        for (is_missing, range) in steps {
            if *is_missing {
                gaps.add(range.clone())
            } else {
                gaps.remove(range.clone())
            }
            bytes[range.start as usize..range.end as usize].fill(*is_missing);
            for end in 0..=bytes.len() {
                let count = bytes[..end].iter().filter(|byte| **byte).count() as u64;
                assert_eq!(gaps.len_before(end as u64), count, "{gaps:?} before {end}");
            }
        }
        let found: Vec<_> = gaps.0.iter().map(|gap| (gap.start, gap.end)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn ranges_grow_together_and_are_cut() {
        check(&[], &[]);
        check(&[(true, 4..4)], &[]);
        check(&[(true, 4..8), (true, 8..12)], &[(4, 12)]);
        check(&[(true, 8..12), (true, 4..8)], &[(4, 12)]);
        check(&[(true, 0..4), (true, 8..12), (true, 2..9)], &[(0, 12)]);
        check(&[(true, 0..4), (true, 8..12), (true, 16..20)], &[(0, 4), (8, 12), (16, 20)]);
        check(&[(true, 0..4), (true, 8..12), (true, 5..7)], &[(0, 4), (5, 7), (8, 12)]);
        check(&[(true, 2..20), (true, 4..6)], &[(2, 20)]);
        check(&[(true, 4..12), (false, 4..12)], &[]);
        check(&[(true, 4..12), (false, 6..8)], &[(4, 6), (8, 12)]);
        check(&[(true, 4..12), (false, 0..6)], &[(6, 12)]);
        check(&[(true, 4..12), (false, 10..32)], &[(4, 10)]);
        check(&[(true, 0..4), (true, 8..12), (true, 16..20), (false, 2..18)], &[(0, 2), (18, 20)]);
        check(&[(true, 4..8), (false, 0..4), (false, 8..12), (false, 5..5)], &[(4, 8)]);
    }

    #[test]
    fn their_count_is_bounded_and_nothing_missing_is_forgotten() {
        let mut gaps = Gaps::default();
        for n in 0..3 * MAX_RANGE_COUNT as u64 {
            gaps.add(n * 4..n * 4 + 1);
        }
        assert_eq!(gaps.0.len(), MAX_RANGE_COUNT);
        assert!(gaps.len_before(u64::MAX) >= 3 * MAX_RANGE_COUNT as u64);
        assert_eq!(gaps.0.last().unwrap().end, 12 * MAX_RANGE_COUNT as u64 - 3);
    }
}
