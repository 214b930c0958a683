//! docs/dependencies.md names each crate that Cargo.toml names, and no other.

use std::collections::BTreeSet;

/// The names under `[dependencies]`, `[build-dependencies]` and `[dev-dependencies]`.
fn named_by_cargo() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut inside = false;
    for line in include_str!("../Cargo.toml").lines() {
        match line.strip_prefix('[') {
            Some(section) => inside = section.ends_with("dependencies]"),
            None if inside => {
                let name = line.split_once(" = ").map(|(name, _)| name).filter(|name| !name.starts_with([' ', '#']));
                names.extend(name.map(str::to_string));
            }
            None => {}
        }
    }
    names
}

/// The names in the first cells of tables that begin with `| crate |`.
fn named_by_document() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut inside = false;
    for line in include_str!("../docs/dependencies.md").lines() {
        inside = line.starts_with('|') && (inside || line.starts_with("| crate |"));
        let cell = line.split('|').nth(1).filter(|_| inside).unwrap_or_default();
        names.extend(cell.split('`').skip(1).step_by(2).map(str::to_string));
    }
    names
}

#[test]
fn each_crate_is_explained() {
    let (cargo, document) = (named_by_cargo(), named_by_document());
    assert!(cargo.len() > 40, "{cargo:?}");
    let differ: Vec<&String> = cargo.symmetric_difference(&document).collect();
    assert!(differ.is_empty(), "docs/dependencies.md and Cargo.toml differ in {differ:?}");
}
