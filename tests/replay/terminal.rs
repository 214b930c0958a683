//! The text output on a terminal: one of tmux, whose screen is read.

use std::path::Path;

use super::captures::*;
pub(super) use super::screen::Screen;
use super::vmtrace;

/// What a terminal of so many columns shows of `vmtrace replay` with `args`.
fn shown(columns: u16, path: &Path, args: &str) -> Vec<String> {
    paged("", columns, path, args)
}

/// The same with this PAGER.
fn paged(pager: &str, columns: u16, path: &Path, args: &str) -> Vec<String> {
    let vmtrace = env!("CARGO_BIN_EXE_vmtrace");
    Screen::of(columns, &format!("PAGER='{pager}' '{vmtrace}' replay {args} '{}'; echo status $?", path.display()))
        .lines()
}

#[test]
fn lines_fit_the_terminal() {
    let made = make(&everything());
    for columns in [80, 132] {
        let width = columns.to_string();
        let narrow = vmtrace(&["replay", "--width", &width, "--fold", "--no-snapshots", "--summary", made.path()]).out;
        let narrow: Vec<&str> = narrow.lines().map(str::trim_end).chain(["status 0"]).collect();
        assert_eq!(
            shown(columns, &made.path, ""),
            narrow,
            "no line is broken, and each is as long as the terminal allows"
        );
    }
}

#[test]
fn whole_lines_are_for_those_who_ask() {
    let made = make(&everything());
    let whole = vmtrace(&["replay", made.path()]).out;
    let whole: Vec<&str> = whole.lines().map(str::trim_end).chain(["status 0"]).collect();
    assert_eq!(shown(300, &made.path, "--wide --no-fold --snapshots --no-summary"), whole);
}

/// Above the events stand the sentences of `summary`, about what is selected.
#[test]
fn the_answer_comes_first() {
    let made = make(&everything());
    for args in ["", "--failed"] {
        let of_summary = [&["summary", "--brief"], args.split_whitespace().collect::<Vec<_>>().as_slice()].concat();
        let sentences = vmtrace(&[of_summary.as_slice(), &[made.path()]].concat()).out;
        let lines = shown(250, &made.path, args);
        let begin = 1 + lines.iter().position(String::is_empty).unwrap();
        let end = begin + sentences.lines().count();
        assert_eq!(lines[begin..end], sentences.lines().collect::<Vec<_>>(), "{lines:#?}");
        assert_eq!(lines[end], "", "{lines:#?}");
    }
    let without = shown(250, &made.path, "--no-summary");
    assert!(!without.iter().any(|line| line.contains("was denied")), "{without:#?}");
}

#[test]
fn runs_are_folded_and_bystanders_left_out() {
    let mut events = vec![at(0, "process_snapshot", BASH)];
    events.extend((1..50).map(readv));
    let made = make(&events);
    let lines = shown(100, &made.path, "");
    assert!(lines.iter().any(|line| line.ends_with("… 48 more like it, 3,072 B, 48.0µs")), "{lines:#?}");
    assert!(lines.iter().any(|line| line.ends_with("--snapshots shows all")), "{lines:#?}");
    let lines = shown(100, &made.path, "--no-fold --snapshots");
    let of_calls = lines.iter().filter(|line| line.starts_with("  ") && line.contains("process_vm_readv"));
    assert_eq!(of_calls.count(), 49, "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("process_snapshot")), "{lines:#?}");
}

#[test]
fn text_goes_through_the_pager() {
    let made = make(&[readv(1)]);
    let through = |pager: &str, args: &str| paged(pager, 100, &made.path, args);
    let marked = |lines: &[String]| lines.iter().filter(|line| line.starts_with('>')).count();
    let (direct, through_sed) = (through("", ""), through("sed \"s/^/> /\"", ""));
    assert_eq!((marked(&direct), marked(&through_sed)), (0, direct.len() - 1), "{through_sed:#?}");
    assert_eq!(through("sed \"s/^/> /\"", "--no-pager"), direct);
    assert_eq!(marked(&through("sed \"s/^/> /\"", "-T csv")), 0, "for other programs");
    let missing = through("/nonexistent/pager", "");
    assert!(
        missing[0].starts_with("vmtrace: cannot start the pager /nonexistent/pager (PAGER): No such file"),
        "{missing:#?}"
    );
    assert_eq!(missing[missing.len() - direct.len() + 1..], direct[1..], "printed without one");
}

/// What a pager did not show is not taken for shown.
#[test]
fn a_pager_that_fails_is_named() {
    let made = make(&[readv(1)]);
    for (pager, status) in [("false", 1), ("exit 3", 3), ("nosuch -R", 127)] {
        let lines = paged(pager, 200, &made.path, "");
        let said = format!("vmtrace: the pager {pager} (PAGER) failed (exit status: {status}): ");
        assert!(lines.iter().any(|line| line.starts_with(&said)), "{lines:#?}");
        assert_eq!(lines.last().map(String::as_str), Some("status 2"), "{lines:#?}");
    }
    let blank = paged(" ", 100, &made.path, "");
    assert_eq!(blank, paged("", 100, &made.path, ""), "it names no pager");
}

/// A pager that ends before it has read all, as one does that the user quits.
#[test]
fn an_error_is_seen_though_the_pager_was_quit() {
    let made = make(&(0..3_000).map(readv).collect::<Vec<_>>());
    let lines = paged("true", 100, &made.path, "--no-fold");
    assert_eq!(lines, ["status 0"], "whoever quits wants no more");
    let lines = paged("true", 100, &made.path, "--no-fold /nonexistent.parquet");
    let [error, status] = &lines[..] else { panic!("{lines:#?}") };
    assert!(error.starts_with("vmtrace: cannot open /nonexistent.parquet: "), "{lines:#?}");
    assert_eq!(status, "status 2");
}

/// What ends early has shown enough; and an error is seen when the pager has ended.
#[test]
fn a_pager_may_end_before_the_text() {
    let made = make(&[readv(1)]);
    let lines = paged("sed -n 1p\\;1q", 100, &made.path, "");
    assert_eq!(lines.last().map(String::as_str), Some("status 0"), "{lines:#?}");
    let lines = paged("sed \"s/^/> /\"", 100, &made.path, "/nonexistent.parquet");
    let error = lines.iter().position(|line| line.starts_with("vmtrace: cannot open /nonexistent.parquet"));
    assert_eq!(error, Some(lines.len() - 2), "{lines:#?}");
    assert_eq!(lines.last().map(String::as_str), Some("status 2"));
}
