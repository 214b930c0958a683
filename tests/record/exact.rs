//! Exactness at full speed: what was done is written or counted as lost, to the last call.

use vmtrace::schema::reader::Scan;

use super::harness::{Recording, record_unchecked, work};
use super::invariants::ledger_balances;
use super::live::{Live, Waiting};
use super::progress::wait_for_calls;

/// Rows of `event` in the capture, and events that its `lost` rows count for it.
fn rows_and_losses(recording: &Recording, event: &str) -> (u64, u64) {
    let (mut rows, mut lost) = (0, 0);
    let scan = Scan { columns: vec!["event", "lost_event", "lost_count", "bytes"], ..Scan::default() };
    for batch in recording.open().scan(&scan).expect("scan") {
        for row in batch.expect("batch").iter() {
            if row.event == event {
                rows += 1;
                assert_eq!(row.bytes, Some(64));
            } else if row.lost_event == Some(event) {
                lost += row.lost_count.expect("lost_count");
            }
        }
    }
    (rows, lost)
}

fn nothing_is_unaccounted_for(options: &[&str], words: &str, done: u64) {
    let recording = record_unchecked(options, &work(words));
    let manifest = recording.manifest();
    ledger_balances(&manifest);
    let book = manifest.ledger.iter().find(|l| l.event == "process_vm_readv").expect("ledger of process_vm_readv");
    assert_eq!(book.written + book.lost(), done, "{book:?}");
    assert_eq!(recording.report()["calls"]["process_vm_readv"]["ok"].as_u64(), Some(done));
    assert_eq!(rows_and_losses(&recording, "process_vm_readv"), (book.written, book.lost()), "{book:?}");
    assert_eq!(book.bytes, book.written * 64);
    let code = recording.status.code();
    assert!(code == Some(0), "COMMAND's status is passed on, whatever was lost: {code:?}\n{}", recording.stderr);
    eprintln!("{words}: {} written, {} lost", book.written, book.lost());
}

#[test]
#[ignore = "needs root and BPF"]
fn a_million_reads_with_default_options() {
    nothing_is_unaccounted_for(&[], "readv --count 1000000 --size 64", 1_000_000);
}

#[test]
#[ignore = "needs root and BPF"]
fn a_million_reads_by_four_threads() {
    nothing_is_unaccounted_for(&[], "readv --count 250000 --size 64 --threads 4", 1_000_000);
}

/// Cut off in the middle by an impatient hand: what was not taken out of the ring is in the ledger, too.
#[test]
#[ignore = "needs root and BPF"]
fn an_interrupted_recording_accounts_for_everything() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let progress = dir.path().join("progress");
    let words = format!("readv --count 0 --duration 60 --threads 2 --progress {}", progress.display());
    let waiting = Waiting::start(&words);
    let mut live = Live::start::<&str>(&["-p", &waiting.pid()], &[]);
    let running = waiting.begin();
    wait_for_calls(&progress, 20_000);
    live.interrupt_until_it_ends();
    let recording = live.end();
    drop(running);
    let manifest = recording.manifest();
    ledger_balances(&manifest);
    let book = manifest.ledger.iter().find(|l| l.event == "process_vm_readv").expect("ledger of process_vm_readv");
    assert!(book.seen > 0, "{book:?}");
    let (rows, lost) = rows_and_losses(&recording, "process_vm_readv");
    assert_eq!((rows, lost), (book.written, book.lost()), "{book:?}");
    eprintln!("{book:?}");
}

/// The smallest buffer provokes loss, which must be in the ledger and in the file.
#[test]
#[ignore = "needs root and BPF"]
fn a_tiny_buffer_loses_only_what_it_counts() {
    nothing_is_unaccounted_for(&["--buffer-size", "256K"], "readv --count 500000 --size 64 --threads 4", 2_000_000);
}
