//! How files are named, opened and laid out: lengths, widths, and one way to import.

use crate::source::{Source, Token, sources, tokens};
use std::collections::BTreeSet;

const MAX_LINES: usize = 800;
const MAX_WIDTH: usize = 100;
/// What cannot be broken, such as base64, JSON or a vector of an RFC, may be wider from here on.
const MAX_RUN: usize = 70;

#[test]
fn files_are_short_opened_by_a_comment_and_named_by_a_noun() {
    for Source { name: path, text } in sources() {
        let name = path.rsplit('/').next().expect("a name");
        assert!(text.starts_with("//!"), "{path} does not open with what it owns");
        assert!(text.lines().count() <= MAX_LINES, "{path} has more than {MAX_LINES} lines");
        for word in ["mod.rs", "util", "common", "helper", "manager"] {
            assert!(!name.contains(word), "{path} is named {word}");
        }
    }
}

#[test]
fn no_line_is_wider_than_a_hundred_columns() {
    #[track_caller]
    fn check(text: &str, expected: bool) {
        assert_eq!(wide_lines(text), Vec::from_iter(expected.then_some(1)), "{text}");
    }
    check(&format!("{} {}", "ä".repeat(50), "ä".repeat(49)), false);
    check(&format!("// {} {}", "a".repeat(50), "a".repeat(49)), true);
    check(&format!("{} {}", "a".repeat(71), "a".repeat(70)), false);
    check(&format!("{} {}", "a".repeat(70), "a".repeat(70)), true);

    let wide: Vec<_> = sources()
        .iter()
        .flat_map(|file| {
            wide_lines(&file.text).into_iter().map(|line| format!("{}:{line}", file.name))
        })
        .collect();
    assert!(wide.is_empty(), "wider than {MAX_WIDTH} columns: {wide:#?}");
}

/// The numbers of the lines that are too wide and can be broken.
fn wide_lines(text: &str) -> Vec<usize> {
    let is_wide = |line: &str| {
        let run = line.split_whitespace().map(|run| run.chars().count()).max().unwrap_or(0);
        line.chars().count() > MAX_WIDTH && run <= MAX_RUN
    };
    (1..).zip(text.lines()).filter(|(_, line)| is_wide(line)).map(|(number, _)| number).collect()
}

#[test]
fn each_module_is_imported_by_one_line_without_nested_braces() {
    #[track_caller]
    fn check(text: &str, expected: usize) {
        assert_eq!(faults_of_imports(text).len(), expected, "{text}");
    }
    check("use a::{B, c}; use a::c::D; use b::*; fn f() { use a::{B}; }", 0);
    check("use a::{B, c::{D, E}};", 1);
    check("use a::B; use a::C;", 1);
    check("pub use a::B; use a::C; #[cfg(test)] use a::D; mod tests { use a::{B, C}; }", 0);
    check("// use a::{b::{c}};\n let text = \"use a::{b::{c}};\";", 0);

    for file in sources() {
        let faults = faults_of_imports(&file.text);
        assert!(faults.is_empty(), "{}: {}", file.name, faults.join(", "));
    }
}

/// The `use` declarations with braces within braces, and those of a module that another one of the
/// same block takes from already, as public as this. What has an attribute stands for itself.
fn faults_of_imports(text: &str) -> Vec<String> {
    let tokens = tokens(text);
    let mut faults = Vec::new();
    let mut blocks = vec![BTreeSet::new()];
    let mut at = 0;
    while at < tokens.len() {
        match &tokens[at] {
            Token::Sign('{') => blocks.push(BTreeSet::new()),
            Token::Sign('}') => {
                blocks.pop();
            }
            Token::Word(word) if word == "use" => {
                let start = tokens[..at]
                    .iter()
                    .rposition(|token| matches!(token, Token::Sign(';' | '{' | '}' | ']')));
                let start = start.map_or(0, |start| start + 1);
                let len = tokens[at..].iter().position(|token| *token == Token::Sign(';'));
                let end = at + len.unwrap_or(0);
                let written = text_of(&tokens[start..end]);
                let (module, _) = written.rsplit_once("::").unwrap_or((&written, ""));
                let module = module.split_once("::{").map_or(module, |(module, _)| module);
                let has_attribute = start > 0 && tokens[start - 1] == Token::Sign(']');
                let is_second = !has_attribute
                    && !blocks.last_mut().is_some_and(|b| b.insert(module.to_owned()));
                if is_second || written.matches('{').count() > 1 {
                    faults.push(written.clone());
                }
                at = end;
            }
            _ => {}
        }
        at += 1;
    }
    faults
}

fn text_of(tokens: &[Token]) -> String {
    let mut text = String::new();
    for token in tokens {
        match token {
            Token::Word(word) => {
                if text.ends_with(|last: char| last.is_alphanumeric() || last == ')') {
                    text.push(' ');
                }
                text.push_str(word);
            }
            Token::Colons => text.push_str("::"),
            Token::Sign(sign) => text.push(*sign),
        }
    }
    text
}
