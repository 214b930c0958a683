//! What a killed recorder left, cut off anywhere or with any byte changed: `recover` never breaks down, never writes a capture
//! that `verify` refuses, and never invents an event.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use vmtrace::record::recover;
use vmtrace::sandbox::Sandbox;
use vmtrace::schema::Event;
use vmtrace::schema::limits::AllowLarge;
use vmtrace::schema::reader::Scan;

use super::captures;
use super::crash;
use super::dice::Dice;
use super::harness::is_call;

/// Places tried in each file; `VMTRACE_TEST_TORN=all` tries every byte.
const PLACES: u64 = 100;

/// Copies of what was left, to be damaged.
struct Left {
    dir: TempDir,
    files: Vec<(PathBuf, Vec<u8>)>,
    whole: HashSet<blake3::Hash>,
}

impl Left {
    fn of(dir: &Path) -> Self {
        let copies = tempfile::tempdir().expect("temporary directory");
        let inputs = [captures::partial(dir), captures::journal(dir)].concat();
        let copy = |path: &PathBuf| {
            let bytes = std::fs::read(path).expect("file");
            (copies.path().join(path.file_name().expect("name")), bytes)
        };
        let files = inputs.iter().map(copy).collect();
        let mut left = Left { dir: copies, files, whole: HashSet::new() };
        left.restore();
        left.whole = left.recover().expect("what a killed recorder left can be recovered");
        assert!(left.whole.len() > 50, "{} events", left.whole.len());
        left
    }

    fn restore(&self) {
        self.files.iter().for_each(|(path, bytes)| std::fs::write(path, bytes).expect("file"));
    }

    /// The events that are recovered, or nothing where it says that there is nothing to be had.
    fn recover(&self) -> Option<HashSet<blake3::Hash>> {
        let output = self.dir.path().join("out.parquet");
        let pieces = captures::partial(self.dir.path());
        let args = recover::Args {
            pieces,
            output: output.clone(),
            force: true,
            quiet: true,
            large: AllowLarge::default(),
            sandbox: Sandbox::NONE,
        };
        recover::run(&args).ok()?;
        let events = events(&output);
        std::fs::remove_file(&output).expect("output");
        Some(events)
    }

    /// Recovers from damaged files: what comes out was there before. Returns how many events.
    fn damaged(&self, what: &str) -> usize {
        let found = self.recover().unwrap_or_default();
        let invented = found.difference(&self.whole).count();
        assert_eq!(invented, 0, "{what}: events that were not there before");
        found.len()
    }
}

/// What the calls in a capture were, apart from what a recorder adds to them.
fn events(path: &Path) -> HashSet<blake3::Hash> {
    let mut events = HashSet::new();
    for batch in captures::open(path).scan(&Scan::default()).expect("scan") {
        for e in batch.expect("batch").iter().filter(|e| is_call(e.event)) {
            let Event { event, mono_ns, cpu, pid, tid, ret, bytes, local_iov, remote_iov, payload, .. } = e;
            let told = format!("{:?}", (event, mono_ns, cpu, pid, tid, ret, bytes, local_iov, remote_iov, payload));
            events.insert(blake3::hash(told.as_bytes()));
        }
    }
    events
}

/// Offsets to try in a file: all of a small one, some of others, and the last of any.
fn places(dice: &mut Dice, length: usize) -> Vec<usize> {
    let all = std::env::var("VMTRACE_TEST_TORN").is_ok_and(|v| v == "all");
    if all || length <= PLACES as usize {
        return (0..length).collect();
    }
    let some = (0..PLACES).map(|_| dice.within(0..length as u64) as usize);
    let mut places: Vec<usize> = some.chain(length - 16..length).collect();
    places.sort_unstable();
    places
}

#[test]
#[ignore = "needs root and BPF"]
fn what_is_torn_or_changed_gives_no_event_that_was_not_there() {
    let mut dice = Dice::new();
    let scar = crash::small_scar();
    let left = Left::of(scar.dir());
    for (path, bytes) in &left.files {
        let name = path.file_name().expect("name").to_string_lossy();
        let mut most = 0;
        for place in places(&mut dice, bytes.len()) {
            std::fs::write(path, &bytes[..place]).expect("file");
            let found = left.damaged(&format!("{name} cut at {place}"));
            assert!(found >= most, "{name} cut at {place}: {found} events, fewer than when cut before");
            most = found;
        }
        let mut counts = Vec::new();
        for place in places(&mut dice, bytes.len()) {
            let mut changed = bytes.clone();
            changed[place] ^= 1 << dice.within(0..8);
            std::fs::write(path, &changed).expect("file");
            counts.push(left.damaged(&format!("{name} changed at {place}")));
        }
        println!(
            "{name}: {} bytes, cut: at most {most} of {} events, changed: {:?} to {:?}",
            bytes.len(),
            left.whole.len(),
            counts.iter().min(),
            counts.iter().max()
        );
        std::fs::write(path, bytes).expect("file");
    }
    left.restore();
    assert_eq!(left.damaged("whole again"), left.whole.len());
}
