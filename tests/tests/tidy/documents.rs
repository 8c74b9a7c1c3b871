//! What a newcomer looks for first is there, and the documents' links lead somewhere.

use crate::source::root;
use std::path::PathBuf;

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn the_licence_the_changes_and_whom_to_tell_of_a_weakness_are_found() {
    assert!(read("LICENSE").contains("Apache License"));
    assert!(read("Cargo.toml").contains("\nlicense = \"Apache-2.0\"\n"));
    for name in ["CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"] {
        assert!(read(name).starts_with("# "), "{name} has no title");
    }
}

#[test]
fn links_of_documents_lead_to_files() {
    let entries = |folder: &str| std::fs::read_dir(root().join(folder)).expect("a folder");
    let paths = ["", "docs"].into_iter().flat_map(entries).map(|entry| entry.expect("one").path());
    let documents: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|kind| kind == "md")).collect();
    let mut count = 0;
    for document in documents {
        let text = std::fs::read_to_string(&document).expect("UTF-8");
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.contains("://")) {
            let file = target.split('#').next().unwrap_or_default();
            let folder = document.parent().expect("a folder");
            assert!(folder.join(file).exists(), "{}: {target}", document.display());
            count += 1;
        }
    }
    assert!(count > 5, "{count} links found");
}
