//! Every input that the fuzzer found worth keeping, `corpus/TARGET.tar`, does no harm, nor does
//! what random changes make of them.

use std::fs::File;
use std::io::Read;
use std::panic::catch_unwind;
use std::path::Path;

/// The inputs of a target, with their names.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("corpus/{target}.tar"));
    let file = File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut inputs = Vec::new();
    for entry in tar::Archive::new(file).entries().expect("an archive") {
        let mut entry = entry.expect("an entry");
        if entry.header().entry_type().is_file() {
            let name = entry.path().expect("a name").display().to_string();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).expect("an entry");
            inputs.push((name, bytes));
        }
    }
    assert!(inputs.len() > 5, "{target}: {} inputs", inputs.len());
    inputs
}

#[test]
fn the_corpora_do_no_harm() {
    for (target, exercise) in fuzz::TARGETS {
        let inputs = corpus(target);
        println!("{target}: {} inputs", inputs.len());
        for (name, bytes) in inputs {
            assert!(catch_unwind(|| exercise(&bytes)).is_ok(), "{target}: {name}");
        }
        exercise(b"");
    }
}

#[test]
fn changes_to_the_corpora_do_no_harm() {
    for (target, exercise) in fuzz::TARGETS {
        let inputs = corpus(target);
        for seed in 0..2_000 {
            let mut random = Random(seed);
            let (_, base) = &inputs[random.below(inputs.len())];
            let (_, other) = &inputs[random.below(inputs.len())];
            let bytes = changed(base.clone(), other, &mut random);
            assert!(catch_unwind(|| exercise(&bytes)).is_ok(), "{target}, seed {seed}: {bytes:?}");
        }
    }
}

/// A small generator (splitmix64), so that a failure repeats by its seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

/// One to three changes: a byte set, the end or a piece taken out, or a piece of another input or
/// of what delimits text put in.
fn changed(mut bytes: Vec<u8>, other: &[u8], random: &mut Random) -> Vec<u8> {
    const DELIMITERS: &[u8] = b"\r\n\r\n \0\xff\"<>;,:@%\\[9999999999=?{}";
    for _ in 0..=random.below(2) {
        let at = random.below(bytes.len());
        let change = random.below(5);
        match change {
            0 if !bytes.is_empty() => bytes[at] = random.next() as u8,
            1 => bytes.truncate(at),
            2 => drop(bytes.drain(at..(at + random.below(12)).min(bytes.len()))),
            _ => {
                let (source, most) = if change == 3 { (DELIMITERS, 4) } else { (other, 60) };
                let from = random.below(source.len());
                let to = (from + 1 + random.below(most)).min(source.len());
                bytes.splice(at..at, source[from..to].iter().copied());
            }
        }
    }
    bytes
}
