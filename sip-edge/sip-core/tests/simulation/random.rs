//! Seeded runs of the whole edge. A failure names its seed;
//! `SEED=n cargo test -p sip-core --test simulation one_seed` repeats it.

use crate::reached::{self, Reached};
use crate::world::World;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

const SEED_COUNT: u64 = 100;
const CALL_COUNT: usize = 5;
const SESSION_SEED_COUNT: u64 = 60;
const VERB_SEED_COUNT: u64 = 150;
const CRASH_SEED_COUNT: u64 = 60;
const MOVE_SEED_COUNT: u64 = 60;
const SOFTPHONE_SEED_COUNT: u64 = 60;

/// The seed that a failure told, to be run alone.
pub fn wanted_seed() -> Option<u64> {
    std::env::var("SEED").ok().map(|seed| seed.parse().expect("SEED is a number"))
}

/// Runs a world and tells what it reached.
fn watch(seed: u64, mut world: World, run: fn(&mut World)) -> Reached {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(&mut world))) {
        eprintln!("the seed that failed: {seed}");
        resume_unwind(panic);
    }
    world.reached
}

fn run(seed: u64) -> Reached {
    watch(seed, World::new(seed, CALL_COUNT), World::run)
}

fn run_with_verbs(seed: u64) -> Reached {
    watch(seed, World::with_verbs(seed, 1), World::run)
}

fn run_with_sessions(seed: u64) -> Reached {
    watch(seed, World::with_sessions(seed, CALL_COUNT), World::run)
}

fn run_with_moves(seed: u64) -> Reached {
    watch(seed, World::that_moves(seed, CALL_COUNT), World::run)
}

fn run_with_softphones(seed: u64) -> Reached {
    watch(seed, World::with_softphones(seed, CALL_COUNT), World::run)
}

fn run_crashed(seed: u64) -> Reached {
    watch(seed, World::that_crashes(seed, 3), World::run_crashed)
}

#[test]
fn random_calls() {
    let ends = [
        ("Answer", "as it should, MaxDuration, NoMedia"),
        ("Busy", "Busy, Declined"),
        ("NoAnswer", "NoAnswer, Unreachable"),
        ("Canceled", "Canceled, AgentDeclined"),
        ("Failed", "AgentBusy, AgentNoAnswer, AgentNotConfirmed, AgentNumberInvalid"),
        ("Failed", "AgentUnreachable, InvalidNumber, Media, TrunkFailed, TrunkRejected"),
        ("Failed", "TrunkTimeout"),
        ("ended by", "Agent, Customer, Api, Network, System"),
        ("tried", "agents, carrier, backup"),
    ];
    reached::check(0..SEED_COUNT, run, &ends);
}

// RFC 3262, 4028: nothing of a bad network ends a call that is answered reliably, or refreshed.
#[test]
fn random_sessions() {
    let ends = [
        ("Answer", "as it should, MaxDuration"),
        ("Busy", "Busy"),
        ("NoAnswer", "NoAnswer"),
        ("Canceled", "Canceled"),
        ("Failed", "TrunkFailed"),
        ("sent", "PRACK, UPDATE"),
    ];
    reached::check(0..SESSION_SEED_COUNT, run_with_sessions, &ends);
}

// RFC 3581, 4961: a translator may give a phone another address in the middle of its call. A phone
// that dies leaves nothing behind.
#[test]
fn random_moves() {
    let ends = [
        ("Answer", "as it should, NoMedia"),
        ("NoAnswer", "NoAnswer"),
        ("Canceled", "Canceled"),
        ("ended by", "Agent, Customer, Api, System"),
    ];
    reached::check(0..MOVE_SEED_COUNT, run_with_moves, &ends);
}

// S11, A10, A11: softphones are lost, reloaded, taken over and moved in each state of their calls.
#[test]
fn random_softphones() {
    let ends = [
        ("Answer", "as it should, AgentLost, NoMedia"),
        ("Busy", "Busy"),
        ("NoAnswer", "NoAnswer"),
        ("Canceled", "AgentLost, Canceled"),
        ("Failed", "AgentBusy, AgentMedia, AgentNoAnswer, TrunkFailed"),
        ("placed", "done, AgentUnreachable"),
        ("lived", "Disconnect, Reload, Freeze, Rebind"),
        ("ended by", "Agent, Customer, Api, System"),
    ];
    reached::check(0..SOFTPHONE_SEED_COUNT, run_with_softphones, &ends);
}

#[test]
fn random_verbs() {
    let early_late_and_obeyed = "NotTalking, UnknownCall, done";
    let verbs = [
        ("Hold", "NotTalking, UnknownCall, done, OnHold, AgentGone"),
        ("Resume", "NotTalking, UnknownCall, done, NotOnHold, AgentGone"),
        ("Mute", early_late_and_obeyed),
        ("Unmute", early_late_and_obeyed),
        ("AddParticipant", "NotTalking, UnknownCall, done, TransferRunning, AgentGone"),
        ("Merge", "NotTalking, UnknownCall, done, NoConsultation, NotAnswered, AgentGone"),
        ("Swap", "NotTalking, UnknownCall, done, NoConsultation, NotAnswered, AgentGone"),
        ("Complete", "NotTalking, UnknownCall, done, NoConsultation, NotAnswered, AgentGone"),
        ("Cancel", "NotTalking, UnknownCall, done, NoConsultation"),
        ("Remove", "NotTalking, UnknownCall, done, UnknownParty"),
        ("Supervise", early_late_and_obeyed),
        ("SetRole", "NotTalking, UnknownCall, done, UnknownParty"),
        ("SendDigits", "NotTalking, UnknownCall, done, UnknownParty, NotAnswered"),
        ("StartRecording", "NotTalking, UnknownCall, AlreadyRecording"),
        ("PauseRecording", early_late_and_obeyed),
        ("ResumeRecording", early_late_and_obeyed),
        ("Answer", "as it should, MaxDuration"),
        ("ended by", "Agent, Customer, Participant, Api, System"),
    ];
    reached::check(0..VERB_SEED_COUNT, run_with_verbs, &verbs);
}

// B10
#[test]
fn random_crashes() {
    let left = [("left at", "Invite, Bye"), ("AddParticipant", "done"), ("Supervise", "done")];
    reached::check(0..CRASH_SEED_COUNT, run_crashed, &left);
}

/// A supervisor who is still heard by the customer becomes a listener: what of its voice waits in a
/// mix goes out at that instant.
#[test]
fn what_was_said_before_a_change() {
    run_crashed(9543);
}

/// Repeats the seed in the environment, if one is there.
#[test]
fn one_seed_that_crashes() {
    wanted_seed().map(run_crashed);
}

/// Repeats the seed in the environment, if one is there.
#[test]
fn one_seed_with_sessions() {
    wanted_seed().map(run_with_sessions);
}

/// Repeats the seed in the environment, if one is there.
#[test]
fn one_seed_with_moves() {
    wanted_seed().map(run_with_moves);
}

/// Repeats the seed in the environment, if one is there.
#[test]
fn one_seed_with_softphones() {
    wanted_seed().map(run_with_softphones);
}

/// Repeats the seed in the environment, if one is there.
#[test]
fn one_seed_with_verbs() {
    wanted_seed().map(run_with_verbs);
}

/// Repeats the seed in the environment, if one is there.
#[test]
fn one_seed() {
    wanted_seed().map(run);
}
