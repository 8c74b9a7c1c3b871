//! The tree's own sources, as text and as tokens.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A source file.
pub struct Source {
    /// From the root, or from a package's `src`.
    pub name: String,
    pub text: String,
}

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// All Rust files of the tree.
pub fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    collect(&root(), &root(), &mut found);
    assert!(found.len() > 50, "only {} files found", found.len());
    found.sort_by(|one, other| one.name.cmp(&other.name));
    found
}

/// Each package below its `src`, by its folder.
pub fn packages() -> BTreeMap<String, Vec<Source>> {
    let mut found: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for file in sources() {
        if let Some((package, name)) = file.name.split_once("/src/") {
            let name = name.to_owned();
            found.entry(package.to_owned()).or_default().push(Source { name, text: file.text });
        }
    }
    found
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<Source>) {
    let entries = std::fs::read_dir(folder).expect("a readable folder");
    for path in entries.map(|entry| entry.expect("an entry").path()) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
        if path.is_dir() {
            if !name.starts_with('.') && !["target", "node_modules", "var"].contains(&name) {
                collect(root, &path, found);
            }
        } else if name.ends_with(".rs") {
            let relative = path.strip_prefix(root).expect("below the root");
            let name = relative.to_str().expect("a UTF-8 name").to_owned();
            let text = std::fs::read_to_string(&path).expect("UTF-8 source");
            found.push(Source { name, text });
        }
    }
}

/// What matters of a source text: no comments, no literals, no white space.
#[derive(Debug, PartialEq)]
pub enum Token {
    Word(String),
    Colons,
    Sign(char),
}

pub fn tokens(text: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if rest.starts_with("//") {
            rest = rest.split_once('\n').map_or("", |(_, rest)| rest);
        } else if rest.starts_with("/*") {
            rest = rest.split_once("*/").map_or("", |(_, rest)| rest);
        } else if let Some(len) = literal_len(rest) {
            rest = &rest[len..];
        } else if first.is_alphanumeric() || first == '_' {
            let len = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            found.push(Token::Word(rest[..len].to_owned()));
            rest = &rest[len..];
        } else if let Some(after) = rest.strip_prefix("::") {
            found.push(Token::Colons);
            rest = after;
        } else {
            if !first.is_whitespace() {
                found.push(Token::Sign(first));
            }
            rest = &rest[first.len_utf8()..];
        }
    }
    found
}

/// The length of a string, character or lifetime at the start of a text.
fn literal_len(text: &str) -> Option<usize> {
    let bare = text.strip_prefix(['b', 'c']).unwrap_or(text);
    let prefix = text.len() - bare.len();
    if let Some(raw) = bare.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let body = &raw[hashes + 1..];
            let len = body.find(&end).map_or(body.len(), |at| at + end.len());
            return Some(prefix + 1 + hashes + 1 + len);
        }
    }
    let quote = bare.chars().next().filter(|quote| ['"', '\''].contains(quote))?;
    if quote == '\'' {
        // A lifetime has no second quote behind its first character.
        let mut after = bare[1..].chars();
        if after.next()? != '\\' && after.next()? != '\'' {
            return Some(prefix + 1);
        }
    }
    let mut escaped = false;
    let mut len = prefix + 1;
    for character in bare[1..].chars() {
        len += character.len_utf8();
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == quote => return Some(len),
            _ => {}
        }
    }
    Some(text.len())
}
