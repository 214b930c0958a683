//! Reads of pipes that recorded calls have fed, and whoever else is at such pipes.

use vmtrace::schema::manifest::Manifest;

use super::harness::{Recording, Row, Tier, compare, record_by, work};
use super::invariants;
use super::live::{Live, Waiting};

/// The gap that speaks of bytes which were read before the first call that fed their pipe had returned: how many.
fn read_before(manifest: &Manifest) -> Option<u64> {
    let gap = manifest.gaps.iter().find(|gap| gap.contains("before the first recorded call that fed them returned"))?;
    let words: Vec<&str> = gap.split_whitespace().collect();
    let at = words.iter().position(|word| word.starts_with("bytes"))?;
    words.get(at.checked_sub(1)?)?.parse().ok()
}

fn lost(recording: &Recording, event: &str) -> u64 {
    recording.manifest().ledger.iter().find(|book| book.event == event).map_or(0, |book| book.lost())
}

/// A reader that never waits has many messages before the call that brings them returns. From functions, each of its
/// reads has a row. From the syscall's exit those may be missing that came before the return of the first call that fed
/// the pipe, at most the bytes of that call, and the capture says how many.
fn judge_spinning(tier: Tier) {
    let mut recorder = tier.recorder();
    recorder.env("WORKLOAD_RACE_CALLS", "10000");
    let recording = record_by(recorder, &["-e", "@pipe"], &work("edge pipe-spin"));
    recording.succeeded();
    tier.check(&recording);
    let (report, manifest) = (recording.report(), recording.manifest());
    let rows = recording.event("pipe_read");
    let pid = &report["pid"];
    assert!(rows.iter().all(|r| &r["target_pid"] == pid && r["target_comm"] == "workload"), "{:?}", rows.first());
    let bytes: u64 = rows.iter().map(|r| r.number("bytes") as u64).sum();
    let [pipes, reads, read] = ["pipes", "reads", "read_bytes"].map(|fact| report[fact].as_u64().expect("number"));
    let unlooked = lost(&recording, "pipe_read");
    println!("{tier:?}: {reads} reads, {} rows, {unlooked} lost, gap {:?}", rows.len(), read_before(&manifest));
    // Where the kernel has left out hooks, those that found nothing to read among them, it says how many.
    let missing = reads - rows.len() as u64;
    if manifest.hooks.iter().any(|hook| hook.skipped > 0) {
        return assert!(missing <= unlooked, "{missing} of {reads} reads are missing, {unlooked} are counted");
    }
    if manifest.families.iter().any(|f| f.family == "pipe_read" && f.tier == "function") {
        return assert_eq!((missing, bytes, unlooked, read_before(&manifest)), (0, read, 0, None));
    }
    assert_eq!(unlooked, 0, "nothing is lost at this rate");
    let missing = read - bytes;
    assert!(
        missing <= 64 * pipes,
        "{missing} bytes are missing, more than the first call at each of {pipes} pipes brought"
    );
    assert!(read_before(&manifest).unwrap_or(0) >= missing, "{missing} bytes are missing: {:?}", manifest.gaps);
}

#[test]
#[ignore = "needs root and BPF"]
fn every_read_of_a_spinning_reader_on_the_best_tier() {
    judge_spinning(Tier::Best);
}

#[test]
#[ignore = "needs root and BPF"]
fn every_read_of_a_spinning_reader_on_the_tracepoint_tier() {
    judge_spinning(Tier::Tracepoint);
}

/// More pipes than are remembered: the oldest are forgotten, and the capture says how many.
#[test]
#[ignore = "needs root and BPF"]
fn pipes_that_are_forgotten_are_counted() {
    let mut recorder = Tier::Best.recorder();
    recorder.env("WORKLOAD_RACE_CALLS", "17000");
    let recording = record_by(recorder, &["-e", "@pipe"], &work("edge pipe-many"));
    recording.succeeded();
    let gap = recording.manifest().gaps.into_iter().find(|gap| gap.contains("were forgotten")).expect("a gap");
    assert_eq!(gap.split_whitespace().next(), Some("616"), "17,000 pipes, of which 16,384 are remembered: {gap}");
}

/// What an unselected child does with a pipe that the selected process has fed is recorded, by whatever call. Who fed the
/// pipe is the target of what takes from it.
fn judge_outsiders(tier: Tier) {
    let waiting = Waiting::start("edge pipe-outsiders");
    let dir = tempfile::tempdir().expect("temporary directory");
    let live = Live::start_as::<&str>(tier.recorder(), dir, &["-p", &waiting.pid(), "--no-follow"], &[]);
    let report = waiting.go();
    let recording = live.end();
    invariants::check(&recording);
    tier.check(&recording);
    compare(&recording, &report);
    let feeder = &report["pid"];
    let (own, others): (Vec<Row>, Vec<Row>) = recording.calls().into_iter().partition(|r| &r["pid"] == feeder);
    assert_eq!((own.len(), others.len()), (4, 11));
    let fed_by = |r: &&Row| if &r["target_pid"] == feeder { "feeder" } else { "child" };
    let reads: Vec<_> = others.iter().filter(|r| r["event"] == "pipe_read").map(|r| fed_by(&r)).collect();
    assert_eq!(reads, ["feeder", "child", "child", "child"]);
}

#[test]
#[ignore = "needs root and BPF"]
fn outsiders_at_a_fed_pipe_on_the_best_tier() {
    judge_outsiders(Tier::Best);
}

#[test]
#[ignore = "needs root and BPF"]
fn outsiders_at_a_fed_pipe_on_the_tracepoint_tier() {
    judge_outsiders(Tier::Tracepoint);
}

/// Plain writes into pipes that recorded calls have used are there with their bytes, whichever call made them; who wrote is
/// who fed the pipe, as a reader's row says.
fn judge_writes(tier: Tier) {
    let recording = record_by(tier.recorder(), &["-e", "@pipe"], &work("edge pipe-writes"));
    recording.succeeded();
    tier.check(&recording);
    let report = recording.report();
    compare(&recording, &report);
    let writes = recording.event("pipe_write");
    assert_eq!(writes.len(), 4, "three into the pipe that was fed, one into the pipe that was taken from");
    let reads: Vec<Row> = recording.event("pipe_read").into_iter().filter(|r| r["pipe_in"] == report["read"]).collect();
    let [read] = reads.as_slice() else { panic!("{reads:?}") };
    assert_eq!((&read["target_pid"], &read["payload"]), (&report["pid"], &writes[3]["payload"]));
}

#[test]
#[ignore = "needs root and BPF"]
fn plain_writes_into_used_pipes_on_the_best_tier() {
    judge_writes(Tier::Best);
}

#[test]
#[ignore = "needs root and BPF"]
fn plain_writes_into_used_pipes_on_the_tracepoint_tier() {
    judge_writes(Tier::Tracepoint);
}
