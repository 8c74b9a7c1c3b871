//! The map of `docs/ARCHITECTURE.md`, which has each package and each module file of the first
//! level below a package's `src`.

use crate::source::{packages, root};

/// The text of the section.
pub fn map() -> String {
    let path = root().join("docs/ARCHITECTURE.md");
    let architecture = std::fs::read_to_string(path).expect("docs/ARCHITECTURE.md");
    let after = architecture.split("\n## Map\n").nth(1).expect("a section Map");
    after.split("\n## ").next().expect("its text").to_owned()
}

#[test]
fn the_map_matches_the_tree() {
    let map = map();
    for (package, files) in packages() {
        assert!(map.contains(&format!("`{package}`")), "the map lacks {package}");
        for file in files {
            let module = file.name.trim_end_matches(".rs");
            let is_first_level = !module.contains('/') && !["lib", "main"].contains(&module);
            assert!(
                !is_first_level || map.contains(&format!("`{module}`")),
                "the map lacks {module} of {package}"
            );
        }
    }
}
