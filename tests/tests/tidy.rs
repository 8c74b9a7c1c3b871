//! The house rules that a machine can check: who imports whom, file names and lengths, that the map
//! of `docs/ARCHITECTURE.md` matches the tree, and that the rows and decisions that the code cites
//! stand in `docs/PRODUCT.md`.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// Each workspace package with its ordinary dependencies.
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
    metadata["packages"]
        .as_array()
        .expect("packages")
        .iter()
        .map(|package| (name(package), ordinary(package)))
        .collect()
}

#[track_caller]
fn check_no_import(package: &str, forbidden: &[&str]) {
    let dependencies = dependencies();
    let found: Vec<_> =
        dependencies[package].iter().filter(|name| forbidden.contains(&name.as_str())).collect();
    assert!(found.is_empty(), "{package} must not import {found:?}");
}

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

#[test]
fn pure_packages_import_no_shell() {
    for package in ["media-core", "sip-core", "control-wire"] {
        check_no_import(package, &SHELL_CRATES);
    }
}

#[test]
fn rooms_keep_their_doors() {
    check_no_import("media-core", &["sip-core", "control-wire", "storage", "media-shard"]);
    check_no_import("sip-core", &["control-wire", "storage", "media-shard"]);
    check_no_import("control-wire", &["media-core", "sip-core", "storage"]);
    check_no_import(
        "journal",
        &["media-core", "media-shard", "sip-core", "control-wire", "storage"],
    );
    check_no_import("media-shard", &["sip-core", "control-wire", "storage", "tokio", "rocksdb"]);
    check_no_import(
        "sip-edge",
        &["storage", "control-api", "tokio", "rocksdb", "reqwest", "hyper"],
    );
    check_no_import(
        "storage",
        &["control-wire", "control-api", "sip-core", "media-core", "hyper", "axum", "tokio"],
    );
    check_no_import(
        "control-api",
        &["sip-core", "sip-edge", "media-core", "media-shard", "glommio", "rocksdb"],
    );
}

#[test]
fn nothing_imports_benches_loadtest_or_tests_but_the_tests() {
    for (package, imports) in dependencies() {
        let found: Vec<_> = imports
            .iter()
            .filter(|name| ["benches", "loadtest", "tests"].contains(&name.as_str()))
            .collect();
        assert!(
            found.is_empty() || ["benches", "tests"].contains(&package.as_str()),
            "{package} must not import {found:?}"
        );
    }
}

fn source_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder)
        .expect("a readable folder")
        .map(|entry| entry.expect("an entry").path())
    {
        let name = entry.file_name().and_then(|name| name.to_str()).unwrap_or("");
        if entry.is_dir()
            && !name.starts_with('.')
            && !["target", "node_modules", "var"].contains(&name)
        {
            source_files(&entry, found);
        } else if name.ends_with(".rs") {
            found.push(entry);
        }
    }
}

#[test]
fn files_are_short_opened_by_a_comment_and_named_by_a_noun() {
    let mut files = Vec::new();
    source_files(&root(), &mut files);
    assert!(files.len() > 50, "only {} files found", files.len());
    for file in files {
        let text = std::fs::read_to_string(&file).expect("UTF-8 source");
        let name = file.file_name().and_then(|name| name.to_str()).expect("a name");
        assert!(text.starts_with("//!"), "{} does not open with what it owns", file.display());
        assert!(text.lines().count() <= 800, "{} has more than 800 lines", file.display());
        for word in ["mod.rs", "util", "common", "helper", "manager"] {
            assert!(!name.contains(word), "{} is named {word}", file.display());
        }
    }
}

/// Every package and every module file of the first level below a package's `src` stands in the
/// map.
#[test]
fn the_map_matches_the_tree() {
    let architecture =
        std::fs::read_to_string(root().join("docs/ARCHITECTURE.md")).expect("docs/ARCHITECTURE.md");
    let map = architecture
        .split("## Map")
        .nth(1)
        .expect("a section Map")
        .split("\n## ")
        .next()
        .expect("its text");
    let mut files = Vec::new();
    source_files(&root(), &mut files);
    for file in files {
        let relative = file.strip_prefix(root()).expect("below the root");
        let parts: Vec<_> =
            relative.iter().map(|part| part.to_str().expect("UTF-8 name")).collect();
        let Some(source) = parts.iter().position(|part| *part == "src") else { continue };
        let package = parts[..source].join("/");
        assert!(map.contains(&format!("`{package}`")), "the map lacks {package}");
        let module = parts[source + 1].trim_end_matches(".rs");
        if parts.len() == source + 2 && !["lib", "main"].contains(&module) {
            assert!(map.contains(&format!("`{module}`")), "the map lacks {module} of {package}");
        }
    }
}

/// The rows (S01, B01) and decisions (A1) of the acceptance table, ranges written out.
fn product_codes() -> BTreeSet<String> {
    let product = std::fs::read_to_string(root().join("docs/PRODUCT.md")).expect("docs/PRODUCT.md");
    let rows = product.lines().filter_map(|line| line.strip_prefix("- "));
    rows.flat_map(|row| codes_of(row.split(' ').next().unwrap_or(""))).collect()
}

/// The code that a word is, or the codes of a range such as `S31–S33`.
fn codes_of(word: &str) -> Vec<String> {
    match word.split_once('–') {
        Some((first, last)) if is_code(first) && is_code(last) => {
            let number = |code: &str| code[1..].parse::<u32>().expect("a row's number");
            (number(first)..=number(last)).map(|row| format!("{}{row:02}", &first[..1])).collect()
        }
        None if is_code(word) => vec![word.to_owned()],
        _ => Vec::new(),
    }
}

/// `S` or `B` with two digits, or `A` with a number that does not begin with 0.
fn is_code(word: &str) -> bool {
    let Some(digits) = word.strip_prefix(['S', 'A', 'B']) else { return false };
    let is_number =
        !digits.is_empty() && digits.len() <= 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number && if word.starts_with('A') { !digits.starts_with('0') } else { digits.len() == 2 }
}

/// The codes that a file's comments cite.
fn cited(text: &str) -> BTreeSet<String> {
    let comments =
        text.lines().filter_map(|line| line.split_once("//").map(|(_, comment)| comment));
    comments
        .flat_map(|comment| comment.split(|c: char| !c.is_alphanumeric() && c != '–'))
        .flat_map(codes_of)
        .collect()
}

#[test]
fn rows_that_are_cited_exist_and_each_row_of_the_guide_is_cited_by_a_test() {
    let codes = product_codes();
    assert!(
        codes.contains("S01")
            && codes.contains("S32")
            && codes.contains("A11")
            && codes.contains("B16"),
        "{codes:?}"
    );
    let mut files = Vec::new();
    source_files(&root(), &mut files);
    let mut tested = BTreeSet::new();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("UTF-8 source");
        let found = cited(&text);
        let unknown: Vec<_> = found.difference(&codes).collect();
        assert!(
            unknown.is_empty(),
            "{} cites {unknown:?}, which docs/PRODUCT.md does not have",
            file.display()
        );
        if text.contains("#[test]")
            || text.contains("::test]")
            || text.contains("::test(")
            || text.contains("#[track_caller]")
        {
            tested.extend(found);
        }
    }
    let untested: Vec<_> =
        codes.iter().filter(|code| code.starts_with('S') && !tested.contains(*code)).collect();
    assert!(untested.is_empty(), "no test cites {untested:?}");
}
