//! The command line is consistent, every command has a valid manual page, and the commands in pages and documents can be
//! parsed.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::definition;
use crate::manual::{PAGES, render};

#[test]
fn the_command_line_is_consistent() {
    definition().debug_assert();
}

fn names() -> Vec<Option<String>> {
    let mut vmtrace = definition();
    vmtrace.build();
    let commands =
        vmtrace.get_subcommands().map(|command| command.get_name().to_string()).filter(|name| name != "help");
    std::iter::once(None).chain(commands.map(Some)).collect()
}

fn page(name: Option<&str>) -> String {
    String::from_utf8(render(definition(), name).unwrap()).unwrap()
}

#[test]
fn every_command_has_a_page_with_the_usual_sections() {
    for name in names() {
        let page = page(name.as_deref());
        let title = name.map_or("vmtrace".into(), |name| format!("vmtrace-{name}"));
        assert!(page.contains(&format!(".TH {title} 1")), "{page}");
        let sections = ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "EXAMPLES", "SEE ALSO"];
        let mut rest = page.as_str();
        for section in sections {
            let heading = [format!(".SH {section}\n"), format!(".SH \"{section}\"\n")];
            let found = heading.iter().find_map(|heading| rest.split_once(heading));
            rest = found.unwrap_or_else(|| panic!("{title}: {section} is missing, or not in its place")).1;
        }
    }
}

/// What `mandoc -Tlint` reports of a page, None where it is not installed (scripts/install-deps test).
fn lint(page: &str) -> Option<String> {
    let mut mandoc = Command::new("mandoc");
    mandoc.args(["-Tlint", "-W", "error"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut mandoc = mandoc.spawn().ok()?;
    mandoc.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    Some(String::from_utf8(mandoc.wait_with_output().unwrap().stdout).unwrap())
}

#[test]
fn pages_are_valid() {
    assert!(lint(".TH x 1\n.SH NAME\nx - y\n.XX\n").is_none_or(|found| found.contains("XX")), "a bad page passes");
    for name in names() {
        let page = page(name.as_deref());
        let macros = page.lines().filter_map(|line| line.strip_prefix('.')?.split(' ').next());
        let known = ["TH", "SH", "TP", "PP", "RS", "RE", "IP", "nf", "fi", "br", "sp", "ie", "el", "ds"];
        for name in macros {
            assert!(known.contains(&name), "macro {name}: {page}");
        }
        assert_eq!(lint(&page).unwrap_or_default(), "", "{page}");
    }
}

#[test]
fn pages_of_what_is_no_command_are_refused() {
    for name in ["help", "recrod", "", "-h"] {
        let error = render(definition(), Some(name)).unwrap_err().to_string();
        assert!(error.contains("the commands are ") && error.contains("replay, info"), "{error}");
    }
}

/// The words of a command as a shell splits them, up to a comment or what follows the command.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, '|' | '>' | '<' | ';' | '&') => break,
            (None, ' ') => words.extend(word.take()),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// The command of vmtrace that a line of a document shows, if this build has it.
fn command(line: &str) -> Option<Vec<String>> {
    let line = line.trim_start_matches("    ").trim_start_matches("$ ").trim_start_matches("sudo ");
    let words = line.starts_with("vmtrace ").then(|| words(line))?;
    // Variables of the shell are pids.
    let words: Vec<String> =
        words.into_iter().map(|word| if word.starts_with('$') { "1".to_string() } else { word }).collect();
    let verb = words.get(1)?;
    names().iter().any(|name| name.as_deref() == Some(verb)).then_some(words)
}

/// The command lines in the code blocks of a document.
fn commands(text: &str) -> Vec<Vec<String>> {
    let mut fenced = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if fenced || line.starts_with("    ") {
            found.extend(command(line));
        }
    }
    found
}

fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = [root.to_path_buf(), root.join("docs")];
    let entries = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap());
    entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|end| end == "md")).collect()
}

/// Whoever installs the pages as the guide says has one of every command that works with captures.
#[test]
fn the_guide_installs_every_page() {
    let guide = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guide.md")).unwrap();
    let (_, loop_) = guide.split_once("\nfor command in ").unwrap();
    let (installed, _) = loop_.split_once("; do vmtrace man $command ").unwrap();
    // Not of the program itself, of what is not built by default, and of what prints text for installers.
    let others = ["vmtrace", "ballista", "completions", "man"];
    let pages: Vec<&str> = PAGES.iter().map(|page| page.name).filter(|name| !others.contains(name)).collect();
    assert_eq!(installed.split(' ').collect::<Vec<_>>(), pages);
}

#[test]
fn examples_of_pages_and_documents_can_be_typed() {
    let of_pages = PAGES.iter().flat_map(|page| page.examples).filter_map(|(_, example)| command(example));
    let of_documents = documents().into_iter().flat_map(|path| commands(&std::fs::read_to_string(path).unwrap()));
    let all: Vec<_> = of_pages.chain(of_documents).collect();
    assert!(all.len() > 25, "only {} commands were found", all.len());
    for words in all {
        if let Err(error) = definition().try_get_matches_from(&words) {
            panic!("{}: {error}", words.join(" "));
        }
    }
}
