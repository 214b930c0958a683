//! Which events are printed, and the exit status that tells.

use vmtrace::schema::Event;
use vmtrace::schema::manifest::Clocks;

use super::captures::*;
use super::vmtrace;

/// seq of every event that `args` select from a capture of everything, and the status.
fn selected(args: &[&str]) -> (i32, Vec<u64>) {
    let made = make(&everything());
    let ran = vmtrace(&[&["replay", "-T", "jsonl", made.path()], args].concat());
    assert!(ran.status == 1 || ran.err.is_empty(), "{args:?}: {}", ran.err);
    let seq = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["seq"].as_u64().unwrap();
    (ran.status, ran.out.lines().map(seq).collect())
}

/// The gap, which every selection shows.
const GAP: u64 = 9;

#[test]
fn every_filter_selects() {
    assert_eq!(selected(&[]).1.len(), everything().len());
    assert_eq!(selected(&["-p", "4200"]), (0, vec![0, GAP]));
    assert_eq!(selected(&["-p", "42"]), (0, vec![1, 4, 5, 6, 8, GAP, 10, 11, 12, 18]));
    assert_eq!(selected(&["-p", "4200,900"]), (0, vec![0, GAP, 13, 14, 15, 16]));
    assert_eq!(selected(&["-p", "4200", "-p", "900"]).1.len(), 6);
    assert_eq!(selected(&["--peer", "42"]), (0, vec![4, 5, 6, 8, GAP, 10, 11, 12]));
    assert_eq!(selected(&["-p", "42", "--peer", "4211", "-e", "ptrace"]), (0, vec![GAP, 10, 11]));
    assert_eq!(selected(&["--comm", "wr?ter"]), (0, vec![8, GAP]));
    assert_eq!(selected(&["-e", "tee,splice"]), (0, vec![GAP, 14, 15]));
    assert_eq!(selected(&["-e", "tee", "-e", "@mem"]), (0, vec![GAP, 12, 14]));
    assert_eq!(selected(&["-e", "lost"]), (0, vec![GAP]));
    assert_eq!(selected(&["--failed"]), (0, vec![6, 7, GAP]));
    assert_eq!(selected(&["--since", "6ms"]), (0, vec![17, 18]));
    assert_eq!(selected(&["--since", "+0.006s", "--until", "6000us"]), (0, vec![17]));
    assert_eq!(selected(&["--until", "2023-11-14T22:13:20.000001Z"]), (0, vec![0, 1]));
    assert_eq!(selected(&["--since", "@1700000000.0061"]), (0, vec![18]));
    assert_eq!(selected(&["--since", "2023-11-14 22:13:20.0061"]), (0, vec![18]));
    assert_eq!(selected(&["--where", "bytes >= 4K and event !~ process_*"]), (0, vec![GAP, 13, 14, 15, 16]));
    assert_eq!(selected(&["--where", "errno = EPERM", "-p", "42"]), (0, vec![6, GAP]));
    assert_eq!(selected(&["--where", "errno = EPERM", "-p", "900"]), (1, vec![GAP]), "both must hold");
    assert_eq!(selected(&["--where", "lost_count > 1000"]), (0, vec![GAP]));
    assert_eq!(selected(&["--pipe", "771"]), (0, vec![GAP, 13, 14, 15]));
    assert_eq!(selected(&["--pipe", "772,1"]), (0, vec![GAP, 14]));
    assert_eq!(selected(&["--address", "0x7f1200000008"]), (0, vec![GAP, 11, 12]));
    assert_eq!(selected(&["--address", "139715286138880+9"]), (0, vec![GAP, 11, 12]), "decimal");
    assert_eq!(selected(&["--address", "0x558100000000+1"]), (0, vec![5, GAP, 13]));
    assert_eq!(selected(&["--address", "0x558100001fff+0x1000", "-p", "900"]), (0, vec![GAP, 13]));
    assert_eq!(selected(&["--address", "0x7f1200000008", "-p", "4211"]), (0, vec![GAP, 12]), "its own memory");
    assert_eq!(selected(&["--address", "0x7f1200000008", "-p", "42", "--failed"]), (1, vec![GAP]));
    assert_eq!(selected(&["-c", "3"]), (0, vec![0, 1, 2]));
    assert_eq!(selected(&["-c", "1", "--failed"]), (0, vec![6]));
}

#[test]
fn nothing_that_matches_is_status_1() {
    assert_eq!(selected(&["--since", "1h"]), (1, vec![]));
    assert_eq!(selected(&["-p", "77"]), (1, vec![GAP]), "a gap is shown, and is no match");
    assert_eq!(selected(&["--comm", "nobody"]).0, 1);
    let empty = make(&[]);
    assert_eq!(vmtrace(&["replay", empty.path()]).status, 1);
    assert_eq!(vmtrace(&["replay", "--by", "process", empty.path()]).status, 1);
}

#[test]
fn by_process_reads_what_the_selection_needs() {
    let made = make(&everything());
    let events = |args: &[&str]| {
        let ran = vmtrace(&[&["replay", "--by", "process", made.path()], args].concat());
        assert_eq!((ran.status, ran.err.as_str()), (0, ""), "{args:?}");
        ran.out.lines().filter(|line| line.starts_with("  ") && !line.contains("GAP")).count()
    };
    assert_eq!(events(&["--where", "bytes = 8 and data = 0xcc"]), 2, "one call, on both sides");
    assert_eq!(events(&["--where", "payload is not null"]), 11);
    assert_eq!(events(&["--pipe", "771"]), 3);
    assert_eq!(events(&["--address", "0x7f1200000008"]), 4);
}

#[test]
fn an_option_that_nothing_fits_names_what_comes_nearest() {
    let made = make(&everything());
    for (args, said) in [
        (&["--comm", "pyton3"][..], "--comm: no thread name matches \"pyton3\"; the closest are python3, py-spy, "),
        (&["--pipe", "773"], "--pipe: no event has pipe 773; the nearest is 772\n"),
        (&["-p", "77"], "-p: no event has process 77; the nearest is 42\n"),
        (
            &["--address", "0x10"],
            "--address: no event touches 0x10+1; the nearest range is 0x558100000000, 8,192 bytes\n",
        ),
        (
            &["--address", "0x10+8", "-p", "42"],
            "--address: no event touches 0x10+8 in the selected processes; the nearest range is 0x7f0000001000, ",
        ),
    ] {
        let ran = vmtrace(&[&["replay", "-T", "csv", made.path()], args].concat());
        assert_eq!(ran.status, 1, "{args:?}");
        assert!(ran.err.starts_with(&format!("vmtrace: {said}")), "{args:?}: {}", ran.err);
        assert_eq!(ran.err.lines().count(), 1, "{args:?}: {}", ran.err);
    }
    let late = vmtrace(&["replay", "--since", "1h", made.path()]);
    let words = "vmtrace: --since is after the last event, which is at 0.006100000 (2023-11-14T22:13:20.006100000Z)\n";
    assert_eq!((late.status, late.err.as_str()), (1, words));
    let both = vmtrace(&["replay", "--comm", "python3", "--failed", "-e", "@pipe", made.path()]);
    assert_eq!((both.status, both.err.as_str()), (1, ""), "there is such a thread");
}

#[test]
fn times_are_in_the_zone_of_the_output() {
    // An hour ahead of UTC.
    assert_eq!(selected(&["--since", "2023-11-14 23:13:20.0061", "--time", "local"]), (0, vec![18]));
    assert_eq!(selected(&["--since", "2023-11-14T22:13:20.0061Z", "--time", "local"]), (0, vec![18]));
    assert_eq!(selected(&["--since", "2023-11-14 22:13:20.0061", "--time", "utc"]), (0, vec![18]));
    assert_eq!(selected(&["--until", "2023-11-14 22:13:20", "--time", "local"]).0, 1);
}

#[test]
fn a_target_is_told_from_its_own_side() {
    let made = make(&[readv(1)]);
    let ran = vmtrace(&["replay", "-p", "42", made.path()]);
    assert!(ran.out.contains("\npython3[42]  /usr/bin/python3.11  uid 1000\n"), "{}", ran.out);
    assert!(ran.out.contains("→         64 B  process_vm_readv  to caller py-spy[4211]"), "{}", ran.out);
}

#[test]
fn row_groups_out_of_the_window_are_not_needed() {
    let (early, late) = ([readv(1), readv(2)], [at(3_000_000, "tee", BASH)]);
    let made = make_with(&manifest(), &[&early, &late]);
    let seqs = |args: &[&str]| vmtrace(&[&["replay", "-T", "jsonl", made.path()], args].concat()).out.lines().count();
    assert_eq!(seqs(&["--since", "1s"]), 1);
    assert_eq!(seqs(&["--until", "1s"]), 2);
    assert_eq!(seqs(&["--until", "2023-11-14 22:13:21"]), 2);
    assert_eq!(seqs(&["-p", "42"]), 2);
    assert_eq!(seqs(&["-p", "4200"]), 1);
}

#[test]
fn relative_times_count_from_the_recorded_start() {
    let manifest = vmtrace::schema::Manifest { start: Clocks::default(), ..manifest() };
    let made = make_with(&manifest, &[&[Event { mono_ns: 5_000_000_000, ..readv(0) }]]);
    assert_eq!(vmtrace(&["replay", "--since", "5s", made.path()]).status, 0);
    assert_eq!(vmtrace(&["replay", "--until", "4s", made.path()]).status, 1);
}

#[test]
fn wrong_options_are_explained() {
    let made = make(&[readv(1)]);
    for (args, message) in [
        (&["-e", "vmslice"][..], "-e: unknown event \"vmslice\"; known are @vm "),
        (&["--since", "soon"], "--since: \"soon\" is not a time: give seconds since the start "),
        (&["--until", "-"], "--until: \"-\" is not a time"),
        (&["--comm", "[a"], "--comm: \"[a\" is not a glob pattern"),
        (&["-x", "-T", "csv"], "--no-summary are for text; leave them out or use -T text"),
        (&["--by", "process", "-T", "jsonl"], "--by process, --hexdump, "),
        (&["--wide", "-T", "jsonl"], "--by process, --hexdump, --width, --wide, "),
        (&["--wide", "--width", "80"], "'--wide' cannot be used with '--width <N>'"),
        (&["--width", "39"], "39 is not in 40..=65535"),
        (&["--where", "comm = "], "'--where <EXPR>': at character 8: expected a value, found the end"),
        (&["--where", "pdi = 1"], "at character 1: unknown column \"pdi\"; similar: "),
        (&["--address", "heap"], "'--address <A[+LEN]>': \"heap\" is not a range of memory: give an address (0x"),
        (&["--address", "0xffffffffffffffff+2"], "ends above the highest address: at most 0 bytes follow"),
        (&["--pipe", "x"], "invalid value 'x' for '--pipe <ID>'"),
        (&["-p", "0"], "0 is not in 1..=2147483647"),
        (&["-c", "0"], "0 is not in 1.."),
        (&["-p", "bash"], "invalid value 'bash' for '--pid <PID>'"),
    ] {
        let ran = vmtrace(&[&["replay", made.path()], args].concat());
        assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{args:?}");
        assert!(ran.err.contains(message), "{args:?}: {}", ran.err);
    }
}
