//! What all seeds of a random run reach together, so that none of them can lose its meaning unseen:
//! how calls end, and how each verb is answered at each stage of a call.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::ops::Range;
use std::panic::resume_unwind;

/// What one run has reached: of what, and what of it.
pub type Reached = BTreeSet<(String, String)>;

/// Runs the seeds on two threads, and fails unless they reach all that is expected of each thing,
/// with commas between.
#[track_caller]
pub fn check(seeds: Range<u64>, run: fn(u64) -> Reached, expected: &[(&str, &str)]) {
    let middle = (seeds.start + seeds.end) / 2;
    let half = |seeds: Range<u64>| seeds.flat_map(run).collect::<Vec<_>>();
    let (first, second) = (seeds.start..middle, middle..seeds.end);
    let reached = std::thread::scope(|scope| {
        let first = scope.spawn(|| half(first));
        let second = half(second);
        [first.join().unwrap_or_else(|panic| resume_unwind(panic)), second].concat()
    });
    let mut counts = BTreeMap::new();
    for (of, what) in &reached {
        *counts.entry((of.as_str(), what.as_str())).or_insert(0) += 1;
    }
    for ((of, what), count) in &counts {
        println!("{of}: {what} by {count} seeds");
    }
    let missing: Vec<_> = expected
        .iter()
        .flat_map(|(of, what)| what.split(", ").map(move |what| (*of, what)))
        .filter(|one| !counts.contains_key(one))
        .collect();
    assert!(missing.is_empty(), "no seed reached {missing:?}");
}

/// The name of a variant, without what it holds.
pub fn name(variant: &impl Debug) -> String {
    let text = format!("{variant:?}");
    text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned()
}

/// How a verb was answered.
pub fn answer<T>(answer: &Result<T, impl Debug>) -> String {
    answer.as_ref().err().map_or_else(|| "done".to_owned(), name)
}
