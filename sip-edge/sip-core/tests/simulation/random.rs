//! Seeded runs of the whole edge. A failure names its seed;
//! `SEED=n cargo test -p sip-core --test simulation one_seed` repeats it.

use crate::world::World;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

const SEED_COUNT: u64 = 100;
const CALL_COUNT: usize = 5;
const VERB_SEED_COUNT: u64 = 60;

/// The seed that a failure told, to be run alone.
pub fn wanted_seed() -> Option<u64> {
    std::env::var("SEED").ok().map(|seed| seed.parse().expect("SEED is a number"))
}

fn run(seed: u64) {
    let result = catch_unwind(AssertUnwindSafe(|| World::new(seed, CALL_COUNT).run()));
    if let Err(panic) = result {
        eprintln!("the seed that failed: {seed}");
        resume_unwind(panic);
    }
}

#[test]
fn random_calls_first_half() {
    (0..SEED_COUNT / 2).for_each(run);
}

#[test]
fn random_calls_second_half() {
    (SEED_COUNT / 2..SEED_COUNT).for_each(run);
}

fn run_with_verbs(seed: u64) {
    let result = catch_unwind(AssertUnwindSafe(|| World::with_verbs(seed, 1).run()));
    if let Err(panic) = result {
        eprintln!("the seed that failed: {seed}");
        resume_unwind(panic);
    }
}

#[test]
fn random_verbs_first_half() {
    (0..VERB_SEED_COUNT / 2).for_each(run_with_verbs);
}

#[test]
fn random_verbs_second_half() {
    (VERB_SEED_COUNT / 2..VERB_SEED_COUNT).for_each(run_with_verbs);
}

fn run_crashed(seed: u64) {
    let result = catch_unwind(AssertUnwindSafe(|| World::that_crashes(seed, 3).run_crashed()));
    if let Err(panic) = result {
        eprintln!("the seed that failed: {seed}");
        resume_unwind(panic);
    }
}

// B10
#[test]
fn random_crashes() {
    (0..VERB_SEED_COUNT).for_each(run_crashed);
}

/// Repeats the seed in the environment, if one is there.
#[test]
fn one_seed_that_crashes() {
    wanted_seed().into_iter().for_each(run_crashed);
}

/// Repeats the seed in the environment, if one is there.
#[test]
fn one_seed_with_verbs() {
    wanted_seed().into_iter().for_each(run_with_verbs);
}

/// Repeats the seed in the environment, if one is there.
#[test]
fn one_seed() {
    wanted_seed().into_iter().for_each(run);
}
