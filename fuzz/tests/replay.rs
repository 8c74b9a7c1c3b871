//! Every input that the fuzzer found worth keeping, `corpus/TARGET.tar`, does no harm.

use std::fs::File;
use std::io::Read;
use std::path::Path;

#[test]
fn the_corpora_do_no_harm() {
    for (name, exercise) in fuzz::TARGETS {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("corpus/{name}.tar"));
        let file = File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut count = 0;
        for entry in tar::Archive::new(file).entries().expect("an archive") {
            let mut entry = entry.expect("an entry");
            if !entry.header().entry_type().is_file() {
                continue;
            }
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).expect("an entry");
            if std::panic::catch_unwind(|| exercise(&bytes)).is_err() {
                panic!("{name}: {}", entry.path().expect("a name").display());
            }
            count += 1;
        }
        assert!(count > 5, "{name}: {count} inputs");
        println!("{name}: {count} inputs");
    }
}
