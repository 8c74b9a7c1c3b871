//! How many instructions a piece of work takes, by valgrind's callgrind: the same on a quiet
//! machine and on a busy one. The work is an ignored test of the same program, which callgrind runs
//! twice; what the longer run takes more is the work's, without the start of the program.

use std::env;
use std::process::Command;

/// How often the work is to be done, in the program that callgrind runs.
const TIMES: &str = "INSTRUCTIONS_TIMES";
/// Instructions that repeat are counted for each byte: memory is filled and copied without them.
const NO_REPEATING: &str =
    "glibc.cpu.x86_rep_stosb_threshold=1000000000:glibc.cpu.x86_rep_movsb_threshold=1000000000";
/// Change of a count that is not told: 2 %.
const MARGIN: f64 = 0.02;

/// Does the work of an ignored test as often as callgrind is to see it.
pub fn work(mut once: impl FnMut()) {
    let times: u32 = env::var(TIMES).map_or(1, |times| times.parse().expect("a number"));
    (0..times).for_each(|_| once());
}

/// Fails unless an ignored test's work takes `known` instructions a piece, of which `pieces` are
/// done each time.
#[track_caller]
pub fn check(test: &str, pieces: u32, known: u32) {
    let few = 10;
    let many = 60;
    let counted = (run(test, many) - run(test, few)) as f64 / f64::from((many - few) * pieces);
    println!("{test}: {counted:.0} instructions, {known} known");
    let change = counted / f64::from(known) - 1.0;
    assert!(
        change.abs() < MARGIN,
        "{test}: {counted:.0} instructions, not {known} ({:+.1} %): if that is meant, note it",
        change * 100.0
    );
}

fn run(test: &str, times: u32) -> u64 {
    let program = env::current_exe().expect("a program that runs");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(["--exact", test, "--ignored", "--test-threads=1"])
        .env(TIMES, times.to_string())
        .env("GLIBC_TUNABLES", NO_REPEATING)
        .output()
        .expect("valgrind is installed");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stdout));
    let count = told.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok());
    count.unwrap_or_else(|| panic!("callgrind told no count: {told}"))
}
