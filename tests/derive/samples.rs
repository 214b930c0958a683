//! Every sample, cut by several selections, and put together again.

use std::collections::BTreeSet;

use super::*;

/// Selections that fit any capture: by process, event, time, failure, and condition.
fn selections(all: &[Value]) -> Vec<Vec<String>> {
    let middle = all[all.len() / 2]["mono_ns"].as_i64().unwrap();
    let row = |pid: &str| all.iter().rev().find_map(|row| row[pid].as_i64()).map(|pid| pid.to_string());
    let at = |row: &Value| {
        let ns = row["ts_ns"].as_i64().unwrap();
        format!("@{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000)
    };
    let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
    let mut selections = vec![
        words(&[]),
        words(&["--failed"]),
        words(&["--where", "bytes > 0"]),
        words(&["--where", &format!("mono_ns >= {middle}")]),
        words(&["--since", &at(&all[all.len() / 3]), "--until", &at(&all[2 * all.len() / 3])]),
        words(&["--comm", "*e*"]),
        words(&["-e", "@process"]),
    ];
    selections.extend(row("pid").map(|pid| words(&["-p", &pid])));
    selections.extend(row("target_pid").map(|pid| words(&["-p", &pid, "-e", "@vm,@mem,@ptrace"])));
    selections
}

#[test]
fn a_slice_has_the_rows_that_replay_selects_and_what_they_need() {
    for sample in samples() {
        let sample = sample.to_str().unwrap();
        let texts = rows(sample, &[]);
        let all: Vec<Value> = texts.iter().map(|row| json(row)).collect();
        let status = verdict(sample).0;
        for selection in selections(&all) {
            let select: Vec<&str> = selection.iter().map(String::as_str).collect();
            let dir = Dir::new();
            let out = dir.path("slice.parquet");
            let args = [&["slice", sample, "-o", &out], select.as_slice()].concat();
            let wanted = rows(sample, &select);
            if wanted.is_empty() {
                assert_eq!((vmtrace(&args).status, dir.names()), (2, vec![]), "{args:?}");
                continue;
            }
            made(&args);
            assert_eq!(rows(&out, &select), wanted, "{args:?}");
            check_whole(&out, status);
            // The other rows are those that are needed: events of processes, as they were.
            let known: BTreeSet<&String> = texts.iter().collect();
            let selected: BTreeSet<&String> = wanted.iter().collect();
            let taken = rows(&out, &[]);
            assert!(taken.iter().all(|row| known.contains(row)), "{args:?}");
            for row in taken.iter().filter(|row| !selected.contains(row)) {
                let event = json(row)["event"].as_str().unwrap().to_string();
                assert!(event.starts_with("process_") || event == "lost", "{args:?}: {row}");
            }
            check_processes(&all, &taken, &wanted);
        }
    }
}

/// Who acted in `wanted` has all events of its process in `taken`, and so have its ancestors.
fn check_processes(all: &[Value], taken: &[String], wanted: &[String]) {
    let is_of_process = |row: &Value| {
        ["process_exec", "process_fork", "process_exit", "process_snapshot"].iter().any(|name| row["event"] == *name)
    };
    let mut pids: BTreeSet<i64> = BTreeSet::new();
    for row in wanted.iter().map(|row| json(row)).filter(|row| row["event"] != "lost") {
        pids.extend(["pid", "target_pid"].iter().filter_map(|side| row[side].as_i64()));
    }
    loop {
        let parents = all.iter().filter(|row| is_of_process(row) && pids.contains(&row["pid"].as_i64().unwrap()));
        let parents: BTreeSet<i64> = parents.filter_map(|row| row["parent_pid"].as_i64()).collect();
        let before = pids.len();
        pids.extend(parents);
        if pids.len() == before {
            break;
        }
    }
    let has: BTreeSet<u64> = taken.iter().map(|row| json(row)["seq"].as_u64().unwrap()).collect();
    for row in all.iter().filter(|row| is_of_process(row) && pids.contains(&row["pid"].as_i64().unwrap())) {
        assert!(has.contains(&row["seq"].as_u64().unwrap()), "{row} is needed");
    }
}

#[test]
fn slices_of_a_capture_merge_into_the_capture() {
    for sample in samples() {
        let sample = sample.to_str().unwrap();
        let all = rows(sample, &[]);
        let first = json(&all[0]);
        let dir = Dir::new();
        let mut slices = Vec::new();
        let events: BTreeSet<String> = all.iter().map(|row| json(row)["event"].as_str().unwrap().to_string()).collect();
        for (number, event) in events.iter().enumerate() {
            let slice = dir.path(&format!("{number}.parquet"));
            made(&["slice", sample, "-e", event, "-o", &slice]);
            slices.push(slice);
        }
        let merged = dir.path("merged.parquet");
        let names: Vec<&str> = slices.iter().rev().map(String::as_str).collect();
        made(&[&["merge", "-o", &merged], names.as_slice()].concat());
        assert_eq!(rows(&merged, &[]), all, "{sample}");
        assert_eq!(info(&merged)["manifest"]["ledger"], info(sample)["manifest"]["ledger"], "{sample}");
        check_whole(&merged, verdict(sample).0);
        assert_eq!(first["seq"], 0);
        // One that is missing is missed.
        let some = dir.path("some.parquet");
        made(&[&["merge", "-o", &some], &names[..1]].concat());
        assert_eq!(rows(&some, &[]), rows(names[0], &[]));
        assert_eq!(info(&some)["total"]["left_out"], info(names[0])["total"]["left_out"]);
    }
}

#[test]
fn a_slice_of_everything_and_of_a_slice_is_the_same_again() {
    for sample in samples() {
        let sample = sample.to_str().unwrap();
        let dir = Dir::new();
        let [whole, part, again] = ["whole", "part", "again"].map(|name| dir.path(name));
        made(&["slice", sample, "-o", &whole]);
        assert_eq!(rows(&whole, &[]), rows(sample, &[]));
        assert_eq!(info(&whole)["manifest"]["ledger"], info(sample)["manifest"]["ledger"], "{sample}");
        made(&["slice", sample, "-e", "@process", "-o", &part]);
        made(&["slice", &part, "-o", &again]);
        assert_eq!(rows(&part, &[]), rows(&again, &[]));
        assert_eq!(info(&part)["manifest"]["ledger"], info(&again)["manifest"]["ledger"], "{sample}");
        let steps = info(&again)["manifest"]["derived_from"].clone();
        assert_eq!(steps.as_array().unwrap().len(), 2, "{steps}");
        assert_eq!(steps[1]["sources"][0]["root"], info(&part)["root"]);
        check_whole(&again, verdict(sample).0);
    }
}
