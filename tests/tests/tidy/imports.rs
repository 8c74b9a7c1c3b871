//! Who must not import whom, as the last column of the map says it, by the packages' ordinary
//! dependencies: `pure`, `any other room but …`, and single libraries.

use crate::map::map;
use crate::source::root;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// What a pure package has none of.
const SHELL_CRATES: [&str; 9] = [
    "glommio",
    "tokio",
    "rocksdb",
    "socket2",
    "reqwest",
    "hyper",
    "io-uring",
    "libc",
    "tracing-subscriber",
];

/// Each package of the workspace with its ordinary dependencies.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline", "--manifest-path"])
        .arg(root().join("Cargo.toml"))
        .output()
        .expect("cargo runs");
    let metadata: Value =
        serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    let name = |value: &Value| value["name"].as_str().expect("a name").to_owned();
    let ordinary = |package: &Value| {
        let all = package["dependencies"].as_array().expect("dependencies").iter();
        all.filter(|dependency| dependency["kind"].is_null()).map(name).collect()
    };
    let packages = metadata["packages"].as_array().expect("packages").iter();
    packages.map(|package| (name(package), ordinary(package))).collect()
}

/// Which of a package's imports its cell of the map forbids.
fn forbidden<'a>(
    cell: &str,
    imports: &'a BTreeSet<String>,
    rooms: &BTreeSet<String>,
) -> Vec<&'a String> {
    let named = |part: &str| -> BTreeSet<String> {
        part.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    let is_forbidden = |import: &&String| {
        cell.split(';').map(str::trim).any(|part| match part {
            "pure" => SHELL_CRATES.contains(&import.as_str()),
            part if part.starts_with("any other room") => {
                rooms.contains(*import) && !named(part).contains(*import)
            }
            part => named(part).contains(*import),
        })
    };
    imports.iter().filter(is_forbidden).collect()
}

#[test]
fn rooms_keep_their_doors() {
    let dependencies = dependencies();
    let rooms: BTreeSet<_> = dependencies.keys().cloned().collect();
    let map = map();
    let rows = map.lines().filter(|line| line.starts_with("| `"));
    let cells: BTreeMap<_, _> = rows
        .map(|row| {
            let path = row.split('`').nth(1).expect("a room");
            let cell = row.trim_end_matches([' ', '|']).rsplit(" | ").next().expect("a cell");
            (path.rsplit('/').next().expect("a name"), cell)
        })
        .collect();
    for (package, imports) in &dependencies {
        let cell = cells.get(package.as_str()).unwrap_or_else(|| panic!("no row of {package}"));
        assert!(cell.contains("any other room"), "{package} may import any room: {cell}");
        let is_pure = ["-core", "-wire", "-words"].iter().any(|end| package.ends_with(end));
        assert_eq!(cell.starts_with("pure"), is_pure, "{package}: {cell}");
        let found = forbidden(cell, imports, &rooms);
        assert!(found.is_empty(), "{package} must not import {found:?}");
    }
}

#[test]
fn a_cell_of_the_map_is_read_as_it_is_written() {
    #[track_caller]
    fn check(cell: &str, imports: &[&str], expected: &[&str]) {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let rooms: BTreeSet<String> = set(&["media-core", "storage", "journal"]);
        assert_eq!(forbidden(cell, &set(imports), &rooms), expected, "{cell}");
    }
    check("pure; any other room", &["serde", "tokio", "storage"], &["storage", "tokio"]);
    check("any other room but `media-core`, `journal`", &["journal", "storage"], &["storage"]);
    check("any other room; `tokio`, `axum`", &["axum", "hyper"], &["axum"]);
}
