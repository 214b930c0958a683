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

/// Packages whose build scripts compile C or assembly, by what they need for it.
fn built_by_other_compilers() -> BTreeSet<String> {
    let packages = include_str!("../Cargo.lock").split("[[package]]");
    let needs = |package: &&str| package.lines().any(|line| line.trim_end_matches(',').trim() == "\"cc\"");
    let name = |package: &str| package.lines().find_map(|line| line.strip_prefix("name = ")).map(str::to_string);
    packages.filter(needs).filter_map(name).map(|name| name.replace('"', "")).collect()
}

#[test]
fn what_is_not_rust_is_named() {
    let found = built_by_other_compilers();
    assert!(found.len() > 3, "{found:?}");
    let document = include_str!("../docs/dependencies.md");
    // Time zones of another system, and what has no code of its own in vmtrace.
    let others = ["iana-time-zone-haiku", "vsprintf"];
    for name in found.iter().filter(|name| !others.contains(&name.as_str())) {
        let plain = name.trim_end_matches("-sys").trim_start_matches("lib");
        assert!(
            document.contains(plain),
            "docs/dependencies.md does not name {name}, which compiles other code than Rust"
        );
    }
}

#[test]
fn each_crate_is_explained() {
    let (cargo, document) = (named_by_cargo(), named_by_document());
    assert!(cargo.len() > 40, "{cargo:?}");
    let differ: Vec<&String> = cargo.symmetric_difference(&document).collect();
    assert!(differ.is_empty(), "docs/dependencies.md and Cargo.toml differ in {differ:?}");
}

/// The names in a list of deny.toml, and the lines that they stand in.
fn denied(list: &str) -> Vec<(String, &'static str)> {
    let text = include_str!("../deny.toml");
    let begin = text.find(&format!("\n{list} = [\n")).expect("the list");
    let lines = text[begin..].lines().skip(2).take_while(|line| *line != "]");
    let named = lines.filter(|line| !line.trim_start().starts_with('#'));
    named.map(|line| (line.split('"').nth(1).expect("a name").to_string(), line)).collect()
}

#[test]
fn exceptions_of_deny_are_of_crates_that_are_there() {
    let locked = include_str!("../Cargo.lock");
    for (name, _) in denied("exceptions").iter().chain(&denied("skip")) {
        let (name, version) = name.split_once('@').unwrap_or((name, ""));
        let package = format!("name = \"{name}\"\nversion = \"{version}");
        assert!(locked.contains(&package), "deny.toml: {name} {version} is not in Cargo.lock");
    }
}

/// What the document counts.
#[test]
fn numbers_of_the_document_are_right() {
    let document = include_str!("../docs/dependencies.md");
    let packages = include_str!("../Cargo.lock").matches("[[package]]").count();
    assert!(document.contains(&format!("have {packages} packages in `Cargo.lock`")), "{packages}");
    let apache = denied("exceptions").iter().filter(|(_, line)| line.contains("\"Apache-2.0")).count();
    assert!(
        document.contains(&format!("{apache} crates need Apache-2.0: {} have no other licence", apache - 3)),
        "{apache}"
    );
}
