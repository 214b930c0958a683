//! Captures changed in every way that one byte allows: `verify` never calls them intact, and nothing is invented from what
//! is left of them. The tables of docs/INTEGRITY.md are printed by these tests:
//! `VMTRACE_EXHAUSTIVE=1 cargo test --test replay tamper -- --nocapture` tries every byte, which takes minutes.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use vmtrace::schema::Manifest;
use vmtrace::schema::partial::{self, Partial};
use vmtrace::schema::reader::Capture;
use vmtrace::verify;

use super::captures::*;

/// Two row groups and a manifest that says little, so that the file is small.
fn small() -> Made {
    let events = [readv(1), readv(2), at(3, "tee", BASH)];
    let capture_id = "0123456789abcdef0123456789abcdef".into();
    make_with(&Manifest { capture_id, ledger: ledger(&events), ..Manifest::default() }, &[&events[..2], &events[2..]])
}

fn exhaustive() -> bool {
    std::env::var_os("VMTRACE_EXHAUSTIVE").is_some()
}

/// Parts of the file and where each ends.
struct Parts(Vec<(&'static str, u64)>);

impl Parts {
    fn of(path: &Path) -> Self {
        let whole = std::fs::read(path).unwrap();
        let capture = Capture::open(path).unwrap();
        let chain = capture.chain().unwrap().clone();
        let length = u32::from_le_bytes(whole[whole.len() - 8..][..4].try_into().unwrap());
        let footer = whole.len() as u64 - 8 - u64::from(length);
        let first = whole.windows(8).skip(5).position(|w| w == b"VMTFRAM1").unwrap() as u64 + 5;
        // base64 of the schema, which is most of a small file.
        let schema = whole.windows(12).rposition(|w| w == b"ARROW:schema").unwrap() as u64 + 12;
        let end_of_schema = whole.windows(22).rposition(|w| w == b"vmtrace.schema_version").unwrap() as u64;
        let mut parts = vec![("begin: magic and manifest", first)];
        for (index, link) in chain.groups.iter().enumerate() {
            let next = whole.windows(8).skip(link.at as usize).position(|w| w == b"VMTFRAM1");
            let last = index + 1 == chain.groups.len();
            let end = next.map_or(0, |at| link.at + at as u64);
            parts.push(("row group: frame", link.at));
            parts.push(("row group: its own bytes", link.at + link.len));
            // Page indexes begin where the last description ends.
            let description = if last { partial::read(&File::open(path).unwrap()).unwrap().end_at } else { end };
            parts.push(("row group: description", description));
        }
        parts.push(("page indexes", footer));
        parts.push(("footer: row groups, schema", schema));
        parts.push(("footer: Arrow's schema", end_of_schema));
        parts.push(("footer: manifest, chain, seal; its length and magic", whole.len() as u64));
        Parts(parts)
    }

    fn name(&self, at: u64) -> &'static str {
        self.0.iter().find(|(_, end)| at < *end).map_or("the end", |(name, _)| name)
    }

    /// Offsets to be tried.
    fn offsets(&self) -> Vec<u64> {
        let step = if exhaustive() { 1 } else { 31 };
        (0..self.0.last().unwrap().1).step_by(step).collect()
    }
}

/// By part of the file and by what `verify` said: how often.
#[derive(Default)]
struct Table(BTreeMap<&'static str, [u64; 4]>);

impl Table {
    fn add(&mut self, other: Table) {
        for (name, counts) in other.0 {
            let mine = self.0.entry(name).or_default();
            mine.iter_mut().zip(counts).for_each(|(mine, its)| *mine += its);
        }
    }

    fn print(&self, what: &str, parts: &Parts) {
        println!("| {what} | changes | altered (1) | cannot be verified (2) | intact (0, 3) |\n|---|---|---|---|---|");
        let mut seen = Vec::new();
        for (name, _) in &parts.0 {
            let Some([ok, altered, unreadable, loss]) = self.0.get(name).filter(|_| !seen.contains(name)) else {
                continue;
            };
            seen.push(*name);
            println!("| {name} | {} | {altered} | {unreadable} | {} |", ok + altered + unreadable + loss, ok + loss);
        }
    }
}

/// Tries all offsets, on as many threads as there are CPUs, each on a copy of its own: `attempt` changes the copy, asks,
/// and changes it back.
fn try_all(made: &Made, parts: &Parts, attempt: impl Fn(&Path, &File, u64, &mut [u64; 4]) + Sync) -> Table {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let offsets = parts.offsets();
    let table = std::sync::Mutex::new(Table::default());
    std::thread::scope(|scope| {
        for number in 0..threads {
            let (attempt, offsets, table) = (&attempt, &offsets, &table);
            scope.spawn(move || {
                let path = made.dir.path().join(format!("copy{number}"));
                std::fs::copy(&made.path, &path).unwrap();
                let file = File::options().read(true).write(true).open(&path).unwrap();
                let mut mine = Table::default();
                for at in offsets.iter().skip(number).step_by(threads) {
                    attempt(&path, &file, *at, mine.0.entry(parts.name(*at)).or_default());
                }
                table.lock().unwrap().add(mine);
            });
        }
    });
    table.into_inner().unwrap()
}

fn verified(path: &Path, at: u64, counts: &mut [u64; 4]) {
    let report = verify::file(path);
    assert!(![0, 3].contains(&report.status), "at {at}: {report:?}");
    counts[usize::from(report.status)] += 1;
}

/// Either nothing is found, or what had been there.
fn nothing_is_invented(found: anyhow::Result<Partial>, whole: &Partial, at: u64) {
    let Ok(found) = found else { return };
    assert_eq!(found.manifest, whole.manifest, "at {at}");
    let known = |p: &Partial| p.groups.iter().map(|g| (g.rows, g.seq, g.digest, g.clocks)).collect::<Vec<_>>();
    assert!(known(whole).starts_with(&known(&found)), "at {at}: {found:?}");
}

#[test]
fn the_untouched_capture_is_intact() {
    let made = small();
    let report = verify::file(&made.path);
    assert_eq!((report.status, report.findings.len()), (0, 0), "{report:?}");
}

#[test]
fn a_flipped_byte_is_never_overlooked() {
    let made = small();
    let parts = Parts::of(&made.path);
    let whole = partial::read(&File::open(&made.path).unwrap()).unwrap();
    let table = try_all(&made, &parts, |path, file, at, counts| {
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        // One bit: the least that can change.
        file.write_all_at(&[byte[0] ^ 1 << (at % 8)], at).unwrap();
        verified(path, at, counts);
        nothing_is_invented(partial::read(file), &whole, at);
        file.write_all_at(&byte, at).unwrap();
    });
    table.print("bit flipped in", &parts);
    let altered = |name: &str| table.0[name][1];
    assert!(altered("row group: its own bytes") > 0 && altered("row group: description") > 0);
}

#[test]
fn a_cut_is_never_overlooked() {
    let made = small();
    let parts = Parts::of(&made.path);
    let bytes = std::fs::read(&made.path).unwrap();
    let whole = partial::read(&File::open(&made.path).unwrap()).unwrap();
    let table = try_all(&made, &parts, |path, file, at, counts| {
        file.set_len(at).unwrap();
        verified(path, at, counts);
        let found = partial::read(file);
        // All that is whole is found, not only nothing invented.
        let expected = whole.groups.iter().filter(|group| group.end() <= at).count();
        assert_eq!(found.as_ref().map_or(0, |found| found.groups.len()), expected, "cut at {at}");
        nothing_is_invented(found, &whole, at);
        file.write_all_at(&bytes[at as usize..], at).unwrap();
    });
    table.print("cut within", &parts);
}

#[test]
fn what_is_added_or_taken_out_is_noticed() {
    let made = small();
    let bytes = std::fs::read(&made.path).unwrap();
    let chain = Capture::open(&made.path).unwrap().chain().unwrap().clone();
    let path = made.dir.path().join("changed");
    for (behind, status) in [(&b"\0"[..], 2), (&bytes, 1)] {
        std::fs::write(&path, [&bytes[..], behind].concat()).unwrap();
        assert_eq!(verify::file(&path).status, status, "{} bytes behind the end", behind.len());
    }
    let group = &chain.groups[0];
    let (from, to) = (group.at as usize, (group.at + group.len) as usize);
    let mut changed = bytes.clone();
    changed[from..to].fill(0);
    std::fs::write(&path, changed).unwrap();
    let report = verify::file(&path);
    assert_eq!((report.status, report.first_altered_row_group), (1, Some(0)), "{report:?}");
    // Swapped: both are as they were, but not where.
    let second = chain.groups[1].at as usize..(chain.groups[1].at + chain.groups[1].len) as usize;
    let len = second.len().min(to - from);
    let mut changed = bytes.clone();
    changed[from..from + len].copy_from_slice(&bytes[second.start..second.start + len]);
    std::fs::write(&path, changed).unwrap();
    assert_eq!(verify::file(&path).first_altered_row_group, Some(0));
}
