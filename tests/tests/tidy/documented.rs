//! Each public item has a docstring: functions, methods, types, traits, constants. Fields and
//! variants have one where their names do not say all.

use crate::source::{Source, sources};

/// What Rust, and machines without I/O, name the same everywhere.
const UNDERSTOOD: [&str; 7] =
    ["new", "len", "is_empty", "poll_output", "poll_timeout", "handle_input", "handle_timeout"];
const ITEMS: [&str; 8] = ["fn", "struct", "enum", "trait", "type", "const", "static", "union"];
/// What clap shows as help would come of a docstring.
const COMMANDS: [&str; 3] = ["Args", "Subcommand", "ValueEnum"];

#[test]
fn public_items_have_a_docstring() {
    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(undocumented(text), expected, "{text}");
    }
    check("/// A.\n#[derive(\n    Debug,\n)]\npub struct A {\n    pub b: u8,\n}\n", &[]);
    check("pub enum A {}\n\nimpl A {\n    pub const fn b() {}\n    fn c() {}\n}\n", &["A", "b"]);
    check(
        "impl A {\n    pub fn new() {}\n    pub(crate) fn b() {}\n}\npub const C: u8 = 1;\n",
        &["C"],
    );
    check("#[cfg(test)]\nmod tests {\n    pub fn a() {}\n}\n\npub async fn b() {}\n", &["b"]);
    check("#[derive(Debug, Args)]\npub struct A {}\n/// B.\npub trait B {}\n", &[]);

    for Source { name: path, text } in sources() {
        let Some((_, file)) = path.split_once("/src/") else { continue };
        let is_test = file.split('/').any(|part| part.trim_end_matches(".rs") == "tests");
        if is_test {
            continue;
        }
        let found = undocumented(&text);
        assert!(found.is_empty(), "{path}: no docstring on {}", found.join(", "));
    }
}

/// The names of the public items without a docstring, those for tests left out.
fn undocumented(text: &str) -> Vec<&str> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    // The closing line of the tests that are passed over.
    let mut end_of_tests = None;
    for (at, line) in lines.iter().enumerate() {
        let indent = &line[..line.len() - line.trim_start().len()];
        let is_module = line.trim_start().starts_with("mod ") && line.ends_with('{');
        if let Some(end) = &end_of_tests {
            if line == end {
                end_of_tests = None;
            }
        } else if is_module && at > 0 && lines[at - 1].trim() == "#[cfg(test)]" {
            end_of_tests = Some(format!("{indent}}}"));
        } else if let Some(name) = public_item(line)
            && !UNDERSTOOD.contains(&name)
            && !is_documented(&lines[..at])
        {
            found.push(name);
        }
    }
    found
}

fn public_item(line: &str) -> Option<&str> {
    let mut words = line.trim_start().strip_prefix("pub ")?.split_whitespace();
    let mut kind = words.next()?;
    let mut name = words.next()?;
    while ["const", "async", "unsafe"].contains(&kind) && ["async", "unsafe", "fn"].contains(&name)
    {
        (kind, name) = (name, words.next()?);
    }
    let name = name.split(|c: char| !c.is_alphanumeric() && c != '_').next()?;
    // A macro's `$name` is documented where the macro is used.
    (ITEMS.contains(&kind) && !name.is_empty()).then_some(name)
}

/// Whether a docstring, or a derivation whose help it would become, stands right above.
fn is_documented(above: &[&str]) -> bool {
    let mut block = above
        .iter()
        .rev()
        .map(|line| line.trim())
        .take_while(|line| !line.is_empty() && !line.ends_with([';', '{', '}']));
    let is_command = |line: &str| {
        let mut words = line.split(|c: char| !c.is_alphanumeric());
        line.starts_with("#[derive(") && words.any(|word| COMMANDS.contains(&word))
    };
    block.any(|line| line.starts_with("///") || is_command(line))
}
