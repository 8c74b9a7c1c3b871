//! The rows and decisions that the code cites stand in `docs/PRODUCT.md`, and each row of the guide
//! is cited by a test.

use crate::source::{Source, root, sources};
use std::collections::BTreeSet;

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
    let mut tested = BTreeSet::new();
    for Source { name, text } in sources() {
        let found = cited(&text);
        let unknown: Vec<_> = found.difference(&codes).collect();
        assert!(
            unknown.is_empty(),
            "{name} cites {unknown:?}, which docs/PRODUCT.md does not have"
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
