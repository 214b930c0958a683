//! `vmtrace recover`: what it makes of a series and of a flight recorder, where pieces are missing, and where something else
//! stands in their place.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use tempfile::TempDir;
use vmtrace::schema::reader::Scan;

use super::captures::{self, Numbers};
use super::crash;
use super::harness::{Recording, program, vmtrace, work};
use super::invariants::ledger_balances;
use super::live::{Live, is_running, send};
use super::progress::{Progress, monotonic_ns};

const EVENT: &str = "process_vm_readv";

/// Puts something where a file was.
type Put<'a> = &'a dyn Fn(&Path);

/// A killed recorder, and how many calls its workload had made.
struct Killed {
    recording: Recording,
    made: u64,
}

impl Killed {
    /// Records with `options` until `ready` finds in the directory and in the number of calls what it waits for, and kills
    /// the recorder.
    fn when(options: &[&str], size: u32, ready: impl Fn(&Path, u64) -> bool) -> Self {
        let dir = tempfile::tempdir().expect("temporary directory");
        let (path, progress) = (dir.path().to_path_buf(), dir.path().join("progress"));
        let words = format!(
            "readv --noise --size {size} --rate 4000 --count 0 --duration 120 --progress {}",
            progress.display()
        );
        let live = Live::start_as(vmtrace(), dir, options, &work(&words));
        wait_for("what is to be recorded", || {
            Progress::try_read(&progress).is_some_and(|progress| ready(&path, progress.done(0)))
        });
        live.signal(libc::SIGKILL);
        let pid = Progress::read(&progress).pid();
        if is_running(pid) {
            send(pid, libc::SIGTERM);
        }
        wait_for("the workload's end", || !is_running(pid));
        let recording = live.end();
        assert_eq!(recording.status.signal(), Some(libc::SIGKILL), "{}", recording.stderr);
        // One call more may have been made than its thread could tell.
        Killed { recording, made: Progress::read(&progress).done(0) + 1 }
    }

    /// One with several files.
    fn series() -> Self {
        let options = ["-s", "1024", "-C", "500K", "--memory-limit", "4M"];
        Killed::when(&options, 1024, |dir, _| captures::finished(dir).len() >= 3)
    }

    fn dir(&self) -> &Path {
        self.recording.path.parent().expect("directory")
    }
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let begin = monotonic_ns();
    while !done() {
        assert!(monotonic_ns() - begin < 60_000_000_000, "waited a minute for {what}");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

/// A copy of everything that is left in a directory, to be damaged.
fn copy(dir: &Path) -> TempDir {
    let copies = tempfile::tempdir().expect("temporary directory");
    for path in [captures::finished(dir), captures::partial(dir), captures::journal(dir)].concat() {
        std::fs::copy(&path, copies.path().join(path.file_name().expect("name"))).expect("copy");
    }
    copies
}

/// Recovers from these pieces, within a minute.
fn recover(pieces: &[PathBuf], output: &Path) -> Output {
    let mut command = Command::new(program("timeout"));
    let vmtrace = vmtrace();
    command.arg("60").arg(vmtrace.get_program()).arg("recover").args(pieces).arg("--force").arg("-o").arg(output);
    command.output().expect("timeout starts")
}

/// The same, which must be possible. Returns the exit status, and what was said.
fn recovered(pieces: &[PathBuf], output: &Path) -> (i32, String) {
    let ran = recover(pieces, output);
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    let status = ran.status.code().expect("status");
    assert!([0, 3].contains(&status), "recover {pieces:?}: {status}\n{said}");
    captures::intact(&[output.to_path_buf()]);
    mappings_are_right(output);
    let manifest = captures::open(output).manifest().clone();
    if !manifest.ledger.is_empty() {
        ledger_balances(&manifest);
    }
    (status, said)
}

/// What was read was mapped. The recorder was killed before it had named all of it, so not all is named.
fn mappings_are_right(capture: &Path) {
    let capture = captures::open(capture);
    let columns = vec!["event", "remote_iov", "region_source", "remote_regions"];
    for batch in capture.scan(&Scan { columns, ..Scan::default() }).expect("scan") {
        for row in batch.expect("batch").iter().filter(|row| row.event == EVENT) {
            assert_eq!(row.region_source == Some("maps"), row.remote_regions.is_some(), "{row:?}");
            let ranges = row.remote_iov.into_iter().flat_map(|ranges| ranges.iter());
            for (region, range) in row.remote_regions.into_iter().flat_map(|regions| regions.iter()).zip(ranges) {
                assert!((region.start..region.end).contains(&range.base), "{row:?}");
            }
        }
    }
}

/// Number of the first row.
fn first_row(capture: &Path) -> Option<u64> {
    let capture = captures::open(capture);
    let mut batches = capture.scan(&Scan { columns: vec!["seq"], ..Scan::default() }).expect("scan");
    batches.next().and_then(|batch| batch.expect("batch").iter().next().map(|row| row.seq))
}

/// What had been forgotten is no contradiction: the numbers go on from there.
#[test]
#[ignore = "needs root and BPF"]
fn a_recovered_flight_recorder_is_intact() {
    let killed = Killed::when(&["--flight-recorder", "128K"], 64, |dir, _| {
        let journal = captures::journal(dir);
        !journal.is_empty() && !journal[0].to_string_lossy().ends_with("journal-000001")
    });
    let output = killed.dir().join("r.parquet");
    let (_, said) = recovered(&captures::partial(killed.dir()), &output);
    let numbers = Numbers::of(std::slice::from_ref(&output), EVENT);
    let found = numbers.of_thread(0);
    assert!(found[0] > 0, "the first are forgotten");
    numbers.all_made(&[killed.made]);
    let manifest = captures::open(&output).manifest().clone();
    let first_seq = manifest.segment.as_ref().expect("segment").first_seq;
    assert_eq!(Some(first_seq), first_row(&output), "{said}");
    let row = manifest.ledger.iter().find(|row| row.event == EVENT).expect("ledger");
    assert!(row.forgotten > 0 && row.written == found.len() as u64, "{row:?}");
}

/// Nothing was forgotten yet: all of it comes back, the first row group, too.
#[test]
#[ignore = "needs root and BPF"]
fn a_young_flight_recorder_comes_back_whole() {
    // Row groups end with 128 KiB of payload and iovecs, which are 1,400 of these calls; 8,000 are less than 2 MiB.
    let killed = Killed::when(&["--flight-recorder", "2M"], 64, |_, made| made > 8000);
    let output = killed.dir().join("r.parquet");
    recovered(&captures::partial(killed.dir()), &output);
    let numbers = Numbers::of(std::slice::from_ref(&output), EVENT);
    assert_eq!(numbers.of_thread(0)[0], 0);
    assert_eq!(first_row(&output), Some(0));
    numbers.all_made(&[killed.made]);
}

/// Whatever of the journal is missing: numbers go on, no row is there twice, and nothing is called lost that is not.
#[test]
#[ignore = "needs root and BPF"]
fn a_series_without_a_part_of_its_journal_invents_nothing() {
    let killed = Killed::series();
    let journal = captures::journal(killed.dir());
    let without = |gone: &[PathBuf]| {
        let copies = copy(killed.dir());
        let there = |path: &PathBuf| copies.path().join(path.file_name().expect("name"));
        gone.iter().for_each(|path| std::fs::remove_file(there(path)).expect("file"));
        let output = copies.path().join("r");
        let (status, said) = recovered(&captures::partial(copies.path()), &output);
        let all = [captures::finished(copies.path()), vec![output.clone()]].concat();
        captures::intact(&all);
        let numbers = Numbers::of(&all, EVENT);
        numbers.all_made(&[killed.made]);
        let (there, lost) = (numbers.count(), captures::lost(&all, EVENT));
        assert!(there + lost <= killed.made, "{there} rows and {lost} lost of {}\n{said}", killed.made);
        (status, said, there, captures::open(&output).manifest().clone())
    };
    let (_, _, whole, manifest) = without(&[]);
    assert!(!manifest.ledger_from_rows);
    for path in &journal {
        let (_, said, rows, _) = without(std::slice::from_ref(path));
        assert!(rows <= whole, "{said}");
    }
    let (status, said, _, manifest) = without(&journal);
    assert_eq!(status, 3, "{said}");
    assert!(said.contains("the journal is missing") && said.contains("how many are LOST is not known"), "{said}");
    assert!(manifest.ledger_from_rows && manifest.lost() == 0, "{:?}", manifest.ledger);
}

/// Files that are complete and only lack their names, with the one that goes on behind them.
#[test]
#[ignore = "needs root and BPF"]
fn files_that_lack_only_their_names_become_one_with_the_last() {
    let killed = Killed::series();
    let (plain, unnamed) = (copy(killed.dir()), copy(killed.dir()));
    let all = |dir: &TempDir, pieces: usize| {
        let output = dir.path().join("r");
        let (status, _) = recovered(&captures::partial(dir.path())[..pieces], &output);
        let all = [captures::finished(dir.path()), vec![output]].concat();
        captures::intact(&all);
        (status, Numbers::of(&all, EVENT).count(), captures::lost(&all, EVENT), all)
    };
    let finished = captures::finished(unnamed.path());
    let [.., first, second] = finished.as_slice() else { panic!("{finished:?}") };
    for path in [first, second] {
        std::fs::rename(path, format!("{}.partial", path.display())).expect("name");
    }
    let was = all(&plain, 1);
    for pieces in [3, 1] {
        let is = all(&unnamed, pieces);
        assert_eq!((is.0, is.1, is.2), (was.0, was.1, was.2));
        assert_eq!(is.3.len() + 2, was.3.len());
        let segment = captures::open(is.3.last().expect("capture")).manifest().segment.clone().expect("segment");
        assert_eq!(segment.index, finished.len() as u64 - 1);
    }
}

/// What stands under the name of a file of the journal and is none: nobody waits for it, it is named, and it is not the end.
#[test]
#[ignore = "needs root and BPF"]
fn what_is_no_file_of_the_journal_is_named() {
    let scar = crash::small_scar();
    let whole = copy(scar.dir());
    let journal = captures::journal(whole.path());
    let unharmed = recovered(&captures::partial(whole.path()), &whole.path().join("r")).0;
    let fifo = |path: &Path| mkfifo(path, Mode::S_IRUSR).expect("FIFO");
    let zeros = |path: &Path| std::os::unix::fs::symlink("/dev/zero", path).expect("link");
    let empty = |path: &Path| std::fs::write(path, "").expect("file");
    let others: [(Put<'_>, &str); 3] =
        [(&fifo, "is not a regular file"), (&zeros, "is not a regular file"), (&empty, "is empty")];
    for (put, wanted) in others {
        for path in &journal {
            let copies = copy(scar.dir());
            let path = copies.path().join(path.file_name().expect("name"));
            std::fs::remove_file(&path).expect("file");
            put(&path);
            let (status, said) = recovered(&captures::partial(copies.path()), &copies.path().join("r"));
            assert_eq!(status, 3, "{said}");
            assert!(said.contains(&format!("{} {wanted}", path.display())), "{said}");
        }
    }
    let copies = copy(scar.dir());
    std::fs::write(copies.path().join("capture.parquet.journal-2"), "stray").expect("file");
    assert_eq!(recovered(&captures::partial(copies.path()), &copies.path().join("r")).0, unharmed);
    let rows = |dir: &TempDir| captures::rows(&[dir.path().join("r")]);
    assert_eq!(rows(&copies), rows(&whole));
}

/// A file that was only begun keeps nobody from recovering the others.
#[test]
#[ignore = "needs root and BPF"]
fn a_file_without_a_whole_beginning_is_left_out_and_named() {
    let scar = crash::small_scar();
    let copies = copy(scar.dir());
    let (output, partial) = (copies.path().join("r"), captures::partial(copies.path()));
    let (unharmed, _) = recovered(&partial, &output);
    let wanted = captures::rows(std::slice::from_ref(&output));
    for (content, status) in [("", unharmed), ("PAR1 and no more", 3)] {
        let begun = copies.path().join("begun.parquet.partial");
        std::fs::write(&begun, content).expect("file");
        for pieces in [[partial.clone(), vec![begun.clone()]], [vec![begun.clone()], partial.clone()]] {
            let (is, said) = recovered(&pieces.concat(), &output);
            assert_eq!((is, captures::rows(std::slice::from_ref(&output))), (status, wanted), "{said}");
            assert!(said.contains(&format!("{} is left out: ", begun.display())), "{said}");
        }
        let ran = recover(std::slice::from_ref(&begun), &copies.path().join("none"));
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert_eq!(ran.status.code(), Some(2), "{said}");
        assert!(said.contains("is not an unfinished capture"), "{said}");
    }
}

/// Any piece leads to the others.
#[test]
#[ignore = "needs root and BPF"]
fn any_piece_will_do() {
    let (scar, series) = (crash::small_scar(), Killed::series());
    for (dir, name) in [(scar.dir(), "capture.parquet"), (series.dir(), "capture.parquet")] {
        let copies = copy(dir);
        let output = copies.path().join("r");
        let (finished, partial) = (captures::finished(copies.path()), captures::partial(copies.path()));
        recovered(&partial, &output);
        let wanted = Numbers::of(std::slice::from_ref(&output), EVENT).count();
        let named = vec![copies.path().join(name), copies.path().join(format!("{name}.partial"))];
        let pieces = [named, finished.clone(), captures::journal(copies.path())].concat();
        for piece in pieces {
            recovered(std::slice::from_ref(&piece), &output);
            assert_eq!(Numbers::of(std::slice::from_ref(&output), EVENT).count(), wanted, "{}", piece.display());
        }
        // From where one stands, too.
        let ran = vmtrace().current_dir(copies.path()).args(["recover", name, "-o", "here"]).output();
        assert!(ran.is_ok_and(|ran| matches!(ran.status.code(), Some(0 | 3))));
        partial.iter().for_each(|path| std::fs::remove_file(path).expect("file"));
        captures::journal(copies.path()).iter().for_each(|path| std::fs::remove_file(path).expect("file"));
        let refused = |piece: &Path, wanted: &str| {
            let ran = recover(&[piece.to_path_buf()], &copies.path().join("none"));
            let said = String::from_utf8_lossy(&ran.stderr).into_owned();
            assert_eq!(ran.status.code(), Some(2), "{said}");
            assert!(said.contains(wanted) && !copies.path().join("none").exists(), "{said}");
        };
        match finished.last() {
            Some(last) => refused(last, "is a finished capture: there is nothing to recover"),
            None => refused(&copies.path().join(name), "there is no such file, and no unfinished one"),
        }
    }
}
