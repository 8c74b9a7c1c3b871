//! No circle of files but of a parent with its own children, per package: each path in the code is
//! resolved to the file that defines what it names, looking through re-exports. A parent and its
//! children may be one thing in several files; the crate itself is no such parent. Methods and what
//! macros define are not seen.

use crate::source::{Source, Token, tokens};
use std::collections::{BTreeMap, BTreeSet};

/// The path of a module below the crate, the crate itself empty.
type Path = Vec<String>;

/// What stands in one module.
#[derive(Default)]
struct Module {
    file: String,
    /// What it defines, child modules excepted.
    items: BTreeSet<String>,
    /// What its `use` declarations bind, with the path as it is written.
    bound: BTreeMap<String, Path>,
    globs: Vec<Path>,
    /// All paths in its code, those of `use` included.
    paths: Vec<Path>,
}

struct Package {
    modules: BTreeMap<Path, Module>,
}

/// Where a path leads.
enum Target {
    Module(Path),
    File(String),
}

const ITEMS: [&str; 9] =
    ["struct", "enum", "union", "fn", "trait", "type", "const", "static", "macro_rules"];

impl Package {
    /// Files are named as from the package's `src`.
    fn read(files: &[Source]) -> Self {
        let mut package = Self { modules: BTreeMap::new() };
        for file in files {
            let path = module_of(&file.name);
            package.read_module(path, &file.name, &mut tokens(&file.text).into_iter().peekable());
        }
        package
    }

    /// Reads up to the brace that closes the module.
    fn read_module(
        &mut self,
        path: Path,
        file: &str,
        tokens: &mut std::iter::Peekable<std::vec::IntoIter<Token>>,
    ) {
        let mut module = self.modules.remove(&path).unwrap_or_default();
        module.file = file.to_owned();
        let mut depth = 0_usize;
        while let Some(token) = tokens.next() {
            match token {
                Token::Sign('{') => depth += 1,
                Token::Sign('}') if depth == 0 => break,
                Token::Sign('}') => depth -= 1,
                Token::Word(word) if word == "use" => read_use(&mut module, tokens, &[]),
                Token::Word(word) if word == "mod" && depth == 0 => {
                    let Some(Token::Word(name)) = tokens.next() else { continue };
                    if tokens.next() == Some(Token::Sign('{')) {
                        let child = [&path[..], &[name]].concat();
                        self.read_module(child, file, tokens);
                    }
                }
                Token::Word(word) if ITEMS.contains(&word.as_str()) && depth == 0 => {
                    tokens.next_if_eq(&Token::Sign('!'));
                    if let Some(Token::Word(name)) = tokens.peek() {
                        module.items.insert(name.clone());
                    }
                }
                Token::Word(first) => {
                    let mut written = vec![first];
                    while tokens.next_if_eq(&Token::Colons).is_some() {
                        match tokens.next_if(|token| matches!(token, Token::Word(_))) {
                            Some(Token::Word(next)) => written.push(next),
                            _ => break,
                        }
                    }
                    module.paths.push(written);
                }
                _ => {}
            }
        }
        self.modules.insert(path, module);
    }

    /// Where a path that is written in a module leads; `None` out of the package.
    fn resolve(&self, from: &Path, written: &[String], patience: u32) -> Option<Target> {
        let (first, rest) = written.split_first()?;
        let module = self.modules.get(from)?;
        match first.as_str() {
            "crate" => self.walk(Path::new(), rest, patience),
            "self" => self.walk(from.clone(), rest, patience),
            "super" => self.walk(from.split_last()?.1.to_vec(), rest, patience),
            name if module.bound.contains_key(name) || self.is_module(from, name) => {
                self.walk(from.clone(), written, patience)
            }
            _ => None,
        }
    }

    fn is_module(&self, parent: &Path, name: &str) -> bool {
        self.modules.contains_key(&[&parent[..], &[name.to_owned()]].concat())
    }

    fn walk(&self, at: Path, rest: &[String], patience: u32) -> Option<Target> {
        let Some((first, rest)) = rest.split_first() else { return Some(Target::Module(at)) };
        let module = self.modules.get(&at)?;
        if first == "super" {
            return self.walk(at.split_last()?.1.to_vec(), rest, patience);
        }
        if self.is_module(&at, first) {
            return self.walk([&at[..], std::slice::from_ref(first)].concat(), rest, patience);
        }
        if module.items.contains(first) || patience == 0 {
            return Some(Target::File(module.file.clone()));
        }
        if let Some(bound) = module.bound.get(first) {
            // What comes from another package is nobody's here.
            return match self.resolve_bound(&at, bound, patience - 1)? {
                Target::Module(path) => self.walk(path, rest, patience - 1),
                file => Some(file),
            };
        }
        for glob in &module.globs {
            if let Some(Target::Module(path)) = self.resolve_bound(&at, glob, patience - 1)
                && let Some(target) =
                    self.walk(path.clone(), std::slice::from_ref(first), patience - 1)
                && self.modules.get(&path).is_some_and(|module| {
                    module.items.contains(first) || module.bound.contains_key(first)
                })
            {
                return Some(target);
            }
        }
        Some(Target::File(module.file.clone()))
    }

    /// The path of a `use` in a module: not by way of what the same name binds.
    fn resolve_bound(&self, from: &Path, written: &[String], patience: u32) -> Option<Target> {
        let first = written.first()?;
        let module = self.modules.get(from)?;
        if self.is_module(from, first) {
            return self.walk(from.clone(), written, patience);
        }
        match module.bound.get(first) {
            Some(bound) if bound.as_slice() == written || bound.first() == Some(first) => {
                matches!(first.as_str(), "crate" | "self" | "super")
                    .then(|| self.resolve(from, written, patience))
                    .flatten()
            }
            _ => self.resolve(from, written, patience),
        }
    }

    /// Which files each file needs.
    fn needs(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut needs: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (path, module) in &self.modules {
            let found = needs.entry(module.file.clone()).or_default();
            for written in module.paths.iter().chain(&module.globs) {
                match self.resolve(path, written, 16) {
                    Some(Target::File(file)) => {
                        found.insert(file);
                    }
                    // A module that is only named is known by the paths that go on from it.
                    Some(Target::Module(to)) if module.globs.contains(written) => {
                        found.extend(self.modules.get(&to).map(|module| module.file.clone()));
                    }
                    _ => {}
                }
            }
            found.remove(&module.file);
        }
        needs
    }
}

/// Reads a `use` declaration, or one branch of its tree, up to its end.
fn read_use(
    module: &mut Module,
    tokens: &mut std::iter::Peekable<std::vec::IntoIter<Token>>,
    before: &[String],
) {
    let mut path = before.to_vec();
    let mut name = None;
    while let Some(token) = tokens.next() {
        match token {
            Token::Word(word) if word == "as" => {
                if let Some(Token::Word(other)) = tokens.next() {
                    name = Some(other);
                }
            }
            Token::Word(word) => path.push(word),
            Token::Sign('*') => {
                module.globs.push(std::mem::take(&mut path));
            }
            Token::Sign('{') => {
                read_use(module, tokens, &path);
                path.clear();
            }
            Token::Sign(sign @ (',' | '}' | ';')) => {
                if path.len() > before.len() {
                    if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
                        path.pop();
                    }
                    let name = name.take().or_else(|| path.last().cloned()).unwrap_or_default();
                    module.paths.push(path.clone());
                    module.bound.insert(name, path);
                }
                path = before.to_vec();
                if sign != ',' {
                    return;
                }
            }
            _ => {}
        }
    }
}

fn module_of(name: &str) -> Path {
    let path: Path = name.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if path.len() == 1 && matches!(path[0].as_str(), "lib" | "main") { Path::new() } else { path }
}

/// Whether a file belongs to what the other opens.
fn owns(parent: &str, file: &str) -> bool {
    let (parent, file) = (module_of(parent), module_of(file));
    file.len() > parent.len() && file.starts_with(&parent)
}

/// The circles among these files, but those of a parent with its children.
fn circles(needs: &BTreeMap<String, BTreeSet<String>>, among: BTreeSet<&str>) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut left = among.clone();
    while let Some(first) = left.pop_first() {
        let reached = reach(needs, &among, first);
        let ring: BTreeSet<&str> = reached
            .iter()
            .copied()
            .filter(|file| *file == first || reach(needs, &among, file).contains(first))
            .collect();
        left.retain(|file| !ring.contains(file));
        if ring.len() < 2 {
            continue;
        }
        let owner = ring
            .iter()
            .find(|parent| ring.iter().all(|file| file == *parent || owns(parent, file)));
        match owner {
            // The crate owns all of its files: that alone makes them no one thing.
            Some(root) if module_of(root).is_empty() => {
                let rest = ring.iter().copied().filter(|file| file != root).collect();
                found.extend(circles(needs, rest));
            }
            Some(_) => {}
            None => found.push(ring.into_iter().map(str::to_owned).collect()),
        }
    }
    found
}

/// What is needed from a file on, itself included.
fn reach<'a>(
    needs: &'a BTreeMap<String, BTreeSet<String>>,
    among: &BTreeSet<&'a str>,
    first: &'a str,
) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::from([first]);
    let mut open = vec![first];
    while let Some(file) = open.pop() {
        for next in needs.get(file).into_iter().flatten().map(String::as_str) {
            if among.contains(next) && reached.insert(next) {
                open.push(next);
            }
        }
    }
    reached
}

/// Each circle with the needs that close it, one a line.
fn circles_of(files: &[Source]) -> Vec<String> {
    let needs = Package::read(files).needs();
    let all = needs.keys().map(String::as_str).collect();
    circles(&needs, all)
        .into_iter()
        .map(|ring| {
            let inside = |file: &String| {
                let needed: Vec<_> =
                    needs[file].iter().filter(|other| ring.contains(other)).cloned().collect();
                format!("\n    {file} needs {}", needed.join(", "))
            };
            format!("  {} files:{}", ring.len(), ring.iter().map(inside).collect::<String>())
        })
        .collect()
}

#[test]
fn no_circle_of_files_but_a_parent_with_its_own() {
    for (package, files) in crate::source::packages() {
        let found = circles_of(&files);
        assert!(found.is_empty(), "{package} has circles:\n{}", found.join("\n"));
    }
}

#[test]
fn circles_are_found_through_re_exports_and_allowed_through_a_parent() {
    #[track_caller]
    fn check(files: &[(&str, &str)], expected: &[&str]) {
        let files: Vec<_> = files
            .iter()
            .map(|(name, text)| Source { name: (*name).to_owned(), text: (*text).to_owned() })
            .collect();
        let needs = Package::read(&files).needs();
        let found = circles(&needs, needs.keys().map(String::as_str).collect());
        let found: Vec<_> = found.iter().map(|ring| ring.join(" ")).collect();
        assert_eq!(found, expected, "{needs:?}");
    }
    // One by the other, once through the crate's face and once by a path in the code.
    check(
        &[
            ("lib.rs", "mod a; mod b; pub use a::A; pub use b::{B, self};"),
            ("a.rs", "use crate::B; pub struct A(B);"),
            ("b.rs", "pub struct B; fn f() { crate::a::A::new() }"),
        ],
        &["a.rs b.rs"],
    );
    // By a module that is in reach, in an inline module, by another name, by a glob.
    check(
        &[
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "use super::b; pub struct A; mod tests { fn f() { super::b::B } }"),
            ("b.rs", "use crate::{a as other}; pub struct B; fn f(a: other::A) {}"),
        ],
        &["a.rs b.rs"],
    );
    check(
        &[
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "use crate::b::*; pub struct A;"),
            ("b.rs", "use crate::a::A; pub struct B;"),
        ],
        &["a.rs b.rs"],
    );
    // A parent and its children, also where they need what it takes from elsewhere.
    check(
        &[
            ("main.rs", "mod a; mod z;"),
            ("z.rs", "pub struct Z;"),
            ("a.rs", "mod x; mod y; use x::X; use y::Y; use crate::z::Z; pub struct A;"),
            ("a/x.rs", "use super::{A, Z}; pub struct X;"),
            ("a/y.rs", "use super::A; use super::x::X; pub struct Y;"),
        ],
        &[],
    );
    // Two children of one parent, once with it and once without.
    let [x, y] = [
        ("a/x.rs", "use super::y::Y; pub struct X;"),
        ("a/y.rs", "// no use crate::a::A;\n use super::x; pub struct Y(x::X, \"a::A\");"),
    ];
    check(&[("a.rs", "mod x; mod y; pub struct A;"), x, y], &["a/x.rs a/y.rs"]);
    let z = ("a/z.rs", "use super::A; pub struct Z(A);");
    check(
        &[("a.rs", "mod x; mod y; mod z; pub struct A(z::Z, x::X);"), x, y, z],
        &["a/x.rs a/y.rs"],
    );
    let y = ("a/y.rs", "use super::{x, A}; pub struct Y(x::X, A);");
    check(&[("a.rs", "mod x; mod y; pub struct A(x::X);"), x, y], &[]);
    check(
        &[
            ("lib.rs", "mod a; pub struct L(a::A);"),
            ("a.rs", "use crate::b::B; pub struct A(crate::L);"),
            ("b.rs", "use crate::a::A; pub struct B;"),
        ],
        &["a.rs b.rs"],
    );
}
