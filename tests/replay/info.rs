//! `vmtrace info`.

use std::path::{Path, PathBuf};

use vmtrace::schema::manifest::{Clocks, FamilyReport, LedgerRow};
use vmtrace::schema::{Event, Manifest};

use super::captures::*;
use super::vmtrace;

#[test]
fn a_sound_capture_is_described() {
    let made = make(&everything());
    let ran = vmtrace(&["info", made.path()]);
    assert_eq!((ran.status, ran.err.as_str()), (0, ""));
    for part in [
        "19 events in 1 row group, schema version 1\n",
        "Capture      0123456789abcdef0123456789abcdef\n",
        "Recorder     vmtrace 0.1.0 (git e32df2a)\n",
        "Command      vmtrace record -o demo.parquet -- py-spy dump --pid 42\n",
        "Comment      a demonstration\n",
        "Host         dev, Linux 6.18.44 x86_64, 2 CPUs\n",
        "Selected     command py-spy dump --pid 42; with what they start; all events; up to 256 payload bytes each;",
        "Start        2023-11-14T22:13:20.000000000Z\n",
        "End          2023-11-14T22:13:22.410000000Z (command_exit)\n",
        "Duration     2.410000000 s\n",
        "Events       from 0.000000000 s to 0.006100000 s after the start\n",
        "Payload      121 bytes captured\n",
        "The ledger balances",
        "\nvm: tracepoint tier, self-test passed. Not tested: process_vm_writev: EPERM. Cause: fexit/mm_access: not in this \
         kernel. So iovec arrays are unverified.\n",
        "\nHooks        1 attached, 1 FAILED\n  FAILED    tp_btf/io_uring_submit_req for @pipe: EPERM\n",
        "  - io_uring submissions are not seen\n",
    ] {
        assert!(ran.out.contains(part), "{part:?} is not in\n{}", ran.out);
    }
    assert!(!ran.out.contains("Wall clock"));
    let ran = vmtrace(&["info", "-v", made.path()]);
    assert_eq!((ran.status, ran.err.as_str()), (0, ""));
    for part in [
        "  attached  exit_vm ",
        "@pipe: EPERM\n",
        "Family     tier       self-test  events\nvm         tracepoint passed     process_vm_readv, process_vm_writev\n",
        "  by: tp_btf/sys_exit\n  not tested: process_vm_writev: EPERM\n  gap: fexit/mm_access: not in this kernel\n",
        "  - io_uring submissions are not seen\n",
    ] {
        assert!(ran.out.contains(part), "{part:?} is not in\n{}", ran.out);
    }
}

fn samples() -> Vec<PathBuf> {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples");
    let folders = samples.read_dir().unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let files = folders.flat_map(|folder| folder.read_dir().unwrap()).map(|file| file.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|e| e == "parquet")).collect()
}

/// Most samples come from a machine whose kernel refuses function hooks.
#[test]
fn one_cause_is_said_once_and_with_v_of_each_family() {
    let mut with_gaps = 0;
    for sample in samples() {
        let path = sample.to_str().unwrap();
        let json = vmtrace(&["info", "-T", "json", path]).out;
        assert_eq!(vmtrace(&["info", "-v", "-T", "json", path]).out, json, "{path}");
        let facts: serde_json::Value = serde_json::from_str(&json).unwrap();
        let families: Vec<FamilyReport> = serde_json::from_value(facts["manifest"]["families"].clone()).unwrap();
        let refused: Vec<&FamilyReport> = families.iter().filter(|f| f.gap.is_some()).collect();
        let once = usize::from(!refused.is_empty());
        with_gaps += once;
        let short = vmtrace(&["info", path]).out;
        assert_eq!(short.matches("Function hooks: refused by the kernel (EPERM).").count(), once, "{short}");
        assert!(!short.contains("the kernel refuses to load function hooks"), "{short}");
        let long = vmtrace(&["info", "-v", path]).out;
        assert_eq!(long.matches("  gap: the kernel refuses to load function hooks: ").count(), refused.len(), "{long}");
        for family in families {
            let words = [family.family.as_str(), &family.tier, &family.self_test];
            let starts = |line: &str| line.split_whitespace().take(3).eq(words);
            assert!(long.lines().any(starts), "no {words:?} in {long}");
        }
        for gap in facts["manifest"]["gaps"].as_array().unwrap() {
            assert!(long.contains(&format!("  - {}\n", gap.as_str().unwrap())), "{gap} in {long}");
        }
    }
    assert!(with_gaps >= 6, "only {with_gaps}");
}

/// Bytes that went through a pipe came to memory once, and advice moves none.
#[test]
fn bytes_that_moved_are_counted_once() {
    let bytes = |event, bytes| Event { bytes: Some(bytes), ..at(1, event, SPY) };
    let events =
        [bytes("process_vm_readv", 64), bytes("splice", 500), bytes("pipe_read", 500), bytes("process_madvise", 4096)];
    let made = make(&events);
    let ran = vmtrace(&["info", made.path()]);
    let line = "\nBytes        564 moved, 500 through pipes and files, 4,096 advised\n";
    assert!(ran.out.contains(line), "{}", ran.out);
    assert!(!ran.out.contains("5,160"), "a sum of them says nothing: {}", ran.out);
    let json = vmtrace(&["info", "-T", "json", made.path()]).out;
    let facts: serde_json::Value = serde_json::from_str(&json).unwrap();
    let facts = facts.get(0).unwrap_or(&facts);
    assert_eq!(facts["moved"], serde_json::json!({"memory": 564, "pipes": 500, "advised": 4096}));
}

#[test]
fn a_ledger_that_does_not_balance_is_flagged() {
    let events = [readv(1), readv(2)];
    let row = LedgerRow {
        event: "process_vm_readv".into(),
        seen: 9,
        lost_ring_full: 4,
        lost_write_error: 1,
        written: 3,
        ..LedgerRow::default()
    };
    let made = make_with(&Manifest { ledger: vec![row], ..manifest() }, &[&events]);
    let ran = vmtrace(&["info", made.path()]);
    for part in [
        "DOES NOT BALANCE\n",
        "Lost         4 by ring full\n",
        "Lost         1 by write error\n",
        "Problem      process_vm_readv: 9 seen is not 0 filtered + 5 lost + 3 written\n",
        "Problem      the file holds 2 rows, but the ledger says 3 were written\n",
    ] {
        assert!(ran.out.contains(part), "{part:?} is not in\n{}", ran.out);
    }
    let json: serde_json::Value = serde_json::from_str(&vmtrace(&["info", "-T", "json", made.path()]).out).unwrap();
    assert_eq!((&json["balances"], &json["rows_match_ledger"]), (&false.into(), &false.into()));
    assert_eq!((&json["lost"], &json["rows"]), (&5.into(), &2.into()));
    let header = vmtrace(&["replay", made.path()]).out;
    assert!(header.contains("2 events · 5 LOST\n"), "{header}");
}

/// The equation that is printed holds in every row that is printed, with what is printed there.
fn check_equation(out: &str) -> String {
    let mut lines = out.lines().skip_while(|line| !line.starts_with("Event  "));
    // Columns stand two blanks apart or more, their names have one.
    let words = |line: &str| line.split("  ").map(str::trim).filter(|w| !w.is_empty()).map(str::to_string).collect();
    let heads: Vec<String> = words(lines.next().unwrap());
    let equation = out.lines().find_map(|line| line.strip_prefix("The ledger balances: ")).unwrap();
    let (came, ended) = equation.split(", and").next().unwrap().split_once(" = ").unwrap();
    let mut rows = 0;
    for line in lines.take_while(|line| !line.starts_with("Bytes ")) {
        let cells: Vec<String> = line.split_whitespace().map(str::to_string).collect();
        assert_eq!(cells.len(), heads.len(), "{line}");
        let number = |name: &str| -> u64 {
            let at = heads.iter().position(|head| head == name).unwrap_or_else(|| panic!("{name} in {heads:?}"));
            cells[at].replace(',', "").parse().unwrap()
        };
        let sum = |side: &str| side.split(" + ").map(number).sum::<u64>();
        assert_eq!(sum(came), sum(ended), "{line}");
        rows += 1;
    }
    assert!(rows > 1, "{out}");
    equation.to_string()
}

#[test]
fn the_equation_of_the_ledger_holds() {
    let row = |event: &str| LedgerRow { event: event.into(), ..LedgerRow::default() };
    let plain = LedgerRow { seen: 7, filtered: 2, lost_ring_full: 3, written: 2, ..row("process_vm_readv") };
    let flight = LedgerRow { seen: 4, carried_in: 1702, filtered: 4, forgotten: 1700, written: 2, ..plain.clone() };
    let flight = LedgerRow { lost_ring_full: 0, ..flight };
    let rotated = LedgerRow { seen: 5, carried_in: 3, written: 2, carried_out: 6, ..row("process_vm_readv") };
    let only_carried = LedgerRow { carried_in: 1, carried_out: 1, ..row("tee") };
    for (ledger, wanted) in [
        (vec![plain], "seen = filtered + lost + written"),
        (vec![flight], "seen + carried in = filtered + forgotten + lost + written"),
        (vec![rotated, only_carried], "seen + carried in = filtered + lost + written + carried out"),
    ] {
        let made = make_with(&Manifest { ledger, ..manifest() }, &[&[readv(1), readv(2)]]);
        let ran = vmtrace(&["info", made.path()]);
        assert_eq!(check_equation(&ran.out), format!("{wanted}, and written = rows in the file."), "{}", ran.out);
    }
}

#[test]
fn a_ledger_made_of_rows_alone_is_called_that() {
    let events = [readv(1), readv(2)];
    let ledger = ledger(&events);
    let made = make_with(
        &Manifest { ledger, ledger_from_rows: true, end_reason: "recovered".into(), ..manifest() },
        &[&events],
    );
    let said = vmtrace(&["info", made.path()]).out;
    assert!(said.contains("The ledger counts only the rows: what else was seen is not known"), "{said}");
    let ran = vmtrace(&["verify", made.path()]);
    assert_eq!(ran.status, 3, "{}", ran.out);
    assert!(ran.out.contains("loss: its journal was incomplete"), "{}", ran.out);
}

#[test]
fn a_stepped_clock_and_a_missing_end_are_said() {
    let mut manifest = manifest();
    manifest.end.realtime_ns += 3_500_000_000;
    let out = vmtrace(&["info", make_with(&manifest, &[&[readv(1)]]).path()]).out;
    assert!(out.contains("Wall clock   moved by 3.500000000 s against the monotonic clock meanwhile\n"), "{out}");
    manifest.end = Clocks::default();
    let out = vmtrace(&["info", make_with(&manifest, &[&[readv(7)]]).path()]).out;
    assert!(out.contains("End          not stated"), "{out}");
    assert!(out.contains("Duration     0.000007000 s\n"), "{out}");
}

#[test]
fn json_is_one_object_per_file() {
    let made = make(&everything());
    let ran = vmtrace(&["info", "-T", "json", made.path(), "/nonexistent", made.path()]);
    assert_eq!(ran.status, 2);
    assert!(ran.err.starts_with("vmtrace: cannot open /nonexistent: "));
    let objects: Vec<serde_json::Value> = ran.out.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(objects.len(), 2);
    let facts = &objects[0];
    assert_eq!(facts["rows"], 19);
    assert_eq!(facts["duration_ns"], 2_410_000_000i64);
    assert_eq!(facts["manifest"]["hooks"][1]["reason"], "EPERM");
    assert_eq!(facts["manifest"]["families"][0]["tier"], "tracepoint");
    assert_eq!(facts["rows_match_ledger"], true);
    assert_eq!(facts["size"], std::fs::metadata(&made.path).unwrap().len());
}
