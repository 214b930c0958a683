//! Small captures that would take gigabytes: refused in a sentence that names column and limit, or read a few rows at a
//! time; and large ones that were honestly recorded, which are read.

use std::path::Path;
use std::process::{Command, Stdio};

use vmtrace::schema::Event;
use vmtrace::schema::types::{Iovec, Iovecs};

use super::captures::{self, Made, make, readv};
use super::forged::*;
use super::{Ran, ran, vmtrace};

const READERS: [&[&str]; 12] = [
    &["summary"],
    &["summary", "-T", "json"],
    &["memory", "-p", "42"],
    &["replay"],
    &["replay", "-T", "csv"],
    &["replay", "-T", "jsonl"],
    &["replay", "-p", "42"],
    &["export", "-T", "strace"],
    &["export", "-T", "ecs"],
    &["export", "-T", "timesketch"],
    &["verify"],
    &["info"],
];

/// Every command answers with one sentence that has `parts`, and takes little memory.
fn refused_by(commands: &[&[&str]], path: &Path, parts: &[&str]) {
    for args in commands {
        let ran = limited(&[*args, &[path.to_str().unwrap()]].concat());
        assert_eq!(ran.status, 2, "{args:?}: {}{}", ran.out, ran.err);
        let said = if args == &["verify"] { &ran.out } else { &ran.err };
        for part in parts {
            assert!(said.contains(part), "{args:?}: {part:?} is not in {said}");
        }
        assert!(ran.err.lines().count() <= 1, "{args:?}: one sentence: {}", ran.err);
    }
    assert!(peak_of_children() < MEMORY, "{}", peak_of_children());
}

/// Runs vmtrace where memory that is reserved counts, and not only what is used of it.
fn limited(args: &[&str]) -> Ran {
    let limit = ["-c", "ulimit -v 4194304 && exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_vmtrace")];
    ran(&Command::new("sh").args(limit).args(args).stdin(Stdio::null()).output().unwrap())
}

fn rows(count: usize) -> Made {
    make(&(0..count).map(|row| readv(row as i64)).collect::<Vec<_>>())
}

#[test]
fn an_offset_index_has_no_more_pages_than_bytes() {
    let made = rows(3);
    with_offset_index_of(&made.path, (1 << 31) - 1);
    refused_by(&READERS, &made.path, &["the page index is damaged"]);
}

#[test]
fn a_group_of_columns_has_no_more_children_than_there_are() {
    for children in [1 << 30, 5_000, 1] {
        let made = rows(3);
        with_children(&made.path, children);
        refused_by(&READERS, &made.path, &["the Parquet footer is damaged"]);
    }
}

const PAGES: &[&[&str]] = &[&["replay", "-T", "csv"], &["replay"], &["verify"]];

/// What a message advises must be an option of the command that gave it.
#[test]
fn every_command_that_reads_captures_takes_the_option() {
    let mut commands = vec!["replay", "info", "summary", "memory", "verify"];
    commands.extend(cfg!(feature = "record").then_some("recover"));
    commands.extend(cfg!(feature = "query").then_some("query"));
    for command in commands {
        let ran = vmtrace(&[command, "--allow-large", "0.5", "x"]);
        assert!(ran.status != 0 && ran.err.contains("'0.5' for '--allow-large <SIZE>'"), "{command}: {}", ran.err);
    }
}

#[test]
fn a_page_is_no_larger_than_the_limit() {
    let made = rows(1);
    with_pages(&made.path, vec![("payload", large_value(300 << 20))]);
    let asked = ["column payload", "a page of 3145728", "--allow-large 301M"];
    refused_by(PAGES, &made.path, &asked);
    let made = rows(1);
    with_pages(&made.path, vec![("payload", large_value(300 << 20).claiming(1000))]);
    refused_by(PAGES, &made.path, &["column payload", "a page of 3145728"]);
    // Fewer bytes than the limit, and more than the footer says.
    let made = rows(1);
    with_pages(&made.path, vec![("payload", large_value(20 << 20).claiming(1000))]);
    refused_by(PAGES, &made.path, &["column payload", "where the footer says 1000"]);
}

#[test]
fn a_file_that_is_trusted_may_have_large_values() {
    let made = rows(1);
    with_pages(&made.path, vec![("payload", large_value(3 << 20))]);
    refused_by(PAGES, &made.path, &["column payload", "a value of 3145728 bytes", "--allow-large 193M"]);
    let ran = vmtrace(&["replay", "-T", "csv", "--allow-large", "193M", made.path()]);
    assert_eq!((ran.status, ran.err.as_str()), (0, ""));
    assert!(ran.out.contains(&"00".repeat(3 << 20)));
}

#[test]
fn pages_that_are_held_together_are_bounded() {
    let made = rows(48);
    let leaves = ["payload", "argv", "exe"].map(|leaf| (leaf, many_values(48, 1_200_000)));
    with_pages(&made.path, leaves.into());
    refused_by(PAGES, &made.path, &["pages that are read together", "--allow-large"]);
}

#[test]
fn a_row_has_no_more_ranges_than_the_kernel_takes() {
    let both = |many, rows| {
        ["local_iov.list.item.base", "local_iov.list.item.len"].map(|leaf| (leaf, ranges(many, rows))).into()
    };
    let made = rows(1);
    with_pages(&made.path, both(100_000_000, 1));
    refused_by(&READERS, &made.path, &["column local_iov.list.item.base claims 100000000 values in 1 rows"]);
    // Not too many for all rows, but for one.
    let made = rows(400);
    with_pages(&made.path, both(300_000, 400));
    refused_by(PAGES, &made.path, &["local_iov.list.item.base", "a row of 300000 ranges, where at most 1024 can be"]);
}

#[test]
fn a_dictionary_is_not_multiplied_by_its_rows() {
    let made = rows(4096);
    with_pages(&made.path, vec![("payload", repeated(4096, 1_900_000))]);
    refused_by(PAGES, &made.path, &["column payload", "a value of 1900000 bytes", "--allow-large"]);
    // Of a size that is accepted, they come a few at a time.
    let made = rows(600);
    with_pages(&made.path, vec![("payload", repeated(600, 1_000_000))]);
    let ran = vmtrace(&["replay", made.path()]);
    assert_eq!((ran.status, ran.err.as_str()), (0, ""));
    assert_eq!(ran.out.matches("process_vm_readv").count(), 600);
    assert!(peak_of_children() < MEMORY, "{}", peak_of_children());
}

/// What is held back is bounded by its size, too.
#[test]
fn processes_that_are_held_back_take_little_memory() {
    let snapshot = |row| captures::at(row, "process_snapshot", captures::BASH);
    let made = make(&(0..5_000).map(snapshot).collect::<Vec<_>>());
    with_pages(&made.path, vec![("exe", repeated(5_000, 200_000))]);
    let ran = vmtrace(&["replay", "--no-snapshots", made.path()]);
    assert_eq!((ran.status, ran.err.as_str()), (0, ""));
    let line = format!(" process_snapshot  {}… +199880 B\n", "x".repeat(120));
    assert_eq!(ran.out.matches(&line).count(), 5_000);
    assert!(peak_of_children() < MEMORY, "{}", peak_of_children());
}

#[test]
fn lengths_are_no_more_than_values() {
    let made = rows(1);
    with_pages(&made.path, vec![("payload", lengths(1 << 31))]);
    refused_by(PAGES, &made.path, &["column payload", "a page of 1 values with 2147483648 lengths"]);
}

#[test]
fn the_largest_rows_that_are_recorded_are_read() {
    // Payloads that no packing makes smaller, as many as a row group takes; and as many ranges.
    const LEN: usize = 65_536;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let word = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let noise: Vec<u8> = std::iter::repeat_with(word).take(1024 * LEN / 8).flat_map(u64::to_le_bytes).collect();
    let payloads = noise.chunks(LEN).zip(0..).map(|(payload, row)| Event { payload: Some(payload), ..readv(row) });
    let ranges = vec![Iovec { base: 0x7f00_0000_1000, len: 4096 }; 1024];
    let whole = Some(Iovecs::Pairs(&ranges));
    let lists = (1024..3072).map(|row| Event { local_iov: whole, remote_iov: whole, payload: None, ..readv(row) });
    let groups = [payloads.collect::<Vec<_>>(), lists.collect()];
    let events = groups.concat();
    let manifest = vmtrace::schema::Manifest { ledger: captures::ledger(&events), ..captures::manifest() };
    let made = captures::make_with(&manifest, &[&groups[0], &groups[1]]);
    for args in [&["verify"][..], &["replay", "-c", "5000"]] {
        let ran = vmtrace(&[args, &[made.path()]].concat());
        assert_eq!((ran.status, ran.err.as_str()), (0, ""), "{args:?}: {}", ran.out);
    }
    assert!(peak_of_children() < MEMORY, "{}", peak_of_children());
}
