//! The files of one recording as one capture.

use vmtrace::schema::manifest::{LedgerRow, Segment};
use vmtrace::schema::reader::Capture;
use vmtrace::schema::{Event, Manifest};

use super::captures::*;
use super::*;

/// Three files of one recording with two rows each; an event is under way between the first two.
fn series(dir: &Dir) -> [String; 3] {
    let files = [1, 2, 3].map(|index| dir.path(&format!("t-{index}.parquet")));
    let mut previous_root = None;
    for (file, index) in files.iter().zip(1u64..) {
        let first_seq = 2 * (index - 1);
        let events: Vec<(u64, Event<'_>)> =
            (first_seq..first_seq + 2).map(|seq| (seq, readv(1_000 * seq as i64 + 1))).collect();
        let (seen, carried_in, carried_out) = [(3, 0, 1), (1, 1, 0), (2, 0, 0)][index as usize - 1];
        let row = LedgerRow { seen, carried_in, carried_out, written: 2, bytes: 128, ..LedgerRow::default() };
        let end = manifest().start.at(MONO + 2_000_000 * index as i64);
        let manifest = Manifest {
            segment: Some(Segment {
                index,
                first_seq,
                previous_root,
                begin: manifest().start.at(MONO + 2_000_000 * (index as i64 - 1)),
                previous_file: (index > 1).then(|| format!("t-{}.parquet", index - 1)),
                ..Segment::default()
            }),
            end,
            end_reason: if index < 3 { "rotated" } else { "command_exit" }.into(),
            gaps: vec!["a gap of all".into(), format!("a gap of {index}")],
            ledger: vec![LedgerRow { event: "process_vm_readv".into(), ..row }],
            ..manifest()
        };
        write_numbered(Path::new(file), &manifest, &[&events]);
        previous_root = Capture::open(Path::new(file)).unwrap().root().map(str::to_string);
    }
    files
}

fn seqs(capture: &str) -> Vec<u64> {
    rows(capture, &[]).iter().map(|row| json(row)["seq"].as_u64().unwrap()).collect()
}

#[test]
fn the_files_of_a_recording_become_one_in_their_order() {
    let dir = Dir::new();
    let [a, b, c] = series(&dir);
    let out = dir.path("all.parquet");
    made(&["merge", &c, &a, &b, "-o", &out]);
    assert_eq!(seqs(&out), [0, 1, 2, 3, 4, 5]);
    let facts = info(&out);
    let ledger = &facts["manifest"]["ledger"][0];
    let counted = ["seen", "carried_in", "written", "carried_out"].map(|name| ledger[name].as_u64().unwrap());
    assert_eq!(counted, [6, 0, 6, 0]);
    assert_eq!(facts["manifest"]["segment"], Value::Null, "it is the whole recording");
    assert_eq!(facts["manifest"]["end_reason"], "command_exit");
    assert_eq!(facts["manifest"]["gaps"], json(r#"["a gap of all", "a gap of 1", "a gap of 2", "a gap of 3"]"#));
    let (status, findings) = verdict(&out);
    assert_eq!(status, 0, "{findings:?}");
    let summary = vmtrace(&["summary", &out]).out;
    assert!(
        summary.contains("Made by merge from t-3.parquet, t-1.parquet, t-2.parquet: nothing left out."),
        "{summary}"
    );
    assert!(!summary.contains("Not counted are"), "{summary}");
}

#[test]
fn a_part_of_the_files_says_which_part_it_is() {
    let dir = Dir::new();
    let [a, b, c] = series(&dir);
    let [front, back, all] = ["front", "back", "all"].map(|name| dir.path(name));
    made(&["merge", &a, &b, "-o", &front]);
    made(&["merge", &b, &c, "-o", &back]);
    assert_eq!(info(&front)["manifest"]["segment"]["last"], 2);
    assert_eq!(info(&back)["manifest"]["segment"]["index"], 2);
    assert!(vmtrace(&["info", &back]).out.contains("files 2 to 3 of its recording, from row 2 on"));
    for (part, others) in [(&front, "3 onwards"), (&back, "1")] {
        assert_eq!(verdict(part).0, 0, "{:?}", verdict(part));
        let summary = vmtrace(&["summary", part]).out;
        assert!(summary.contains(&format!("Not counted are other files of this recording: {others}.")), "{summary}");
    }
    made(&["merge", &c, &front, "-o", &all]);
    assert_eq!((seqs(&all), info(&all)["manifest"]["segment"].clone()), ((0..6).collect(), Value::Null));
    let overlap = vmtrace(&["merge", &front, &back, "-o", &dir.path("x")]);
    assert!(overlap.status == 2 && overlap.err.contains("both hold file 2 of the recording"), "{}", overlap.err);
    let missing = vmtrace(&["merge", &a, &c, "-o", &dir.path("x")]);
    assert!(
        missing.status == 2 && missing.err.contains("file 2 of the recording is missing between"),
        "{}",
        missing.err
    );
    let whole = vmtrace(&["merge", &all, &c, "-o", &dir.path("x")]);
    assert!(whole.status == 2 && whole.err.contains("overlap"), "{}", whole.err);
    assert!(!Path::new(&dir.path("x")).exists());
}

/// What is missing of a recording is missing of its slices, too.
#[test]
fn a_file_that_is_missing_between_slices_is_found() {
    let dir = Dir::new();
    let originals = series(&dir);
    let [a, b, c] = ["a", "b", "c"].map(|name| dir.path(name));
    for (file, out) in originals.iter().zip([&a, &b, &c]) {
        made(&["slice", file, "-o", out]);
    }
    let [mid, both] = ["mid", "both"].map(|name| dir.path(name));
    made(&["slice", &originals[1], "--where", "seq = 2", "-o", &mid]);
    made(&["merge", &originals[0], &originals[1], "-o", &both]);
    for whole in [&[&a, &b, &c][..], &[&a, &mid, &b, &c], &[&both, &c]] {
        let args: Vec<&str> = ["verify"].into_iter().chain(whole.iter().map(|path| path.as_str())).collect();
        let ran = vmtrace(&args);
        assert_eq!(ran.status, 0, "{args:?}: {}", ran.out);
        assert!(!ran.out.contains("not given") && !ran.out.contains("among those given"), "{}", ran.out);
    }
    let ran = vmtrace(&["verify", &a, &c]);
    assert_eq!(ran.status, 3, "{}", ran.out);
    assert!(ran.out.contains("file 2 of the recording is not among those given"), "{}", ran.out);
    let ran = vmtrace(&["verify", &a, &b]);
    assert!(ran.status == 3 && ran.out.contains("continued in another file, which is not given"), "{}", ran.out);
    let ran = vmtrace(&["verify", &c]);
    assert!(ran.status == 0 && ran.out.contains("file 2 of the recording is not given"), "{}", ran.out);
}

#[test]
fn slices_of_files_are_put_together_file_by_file() {
    let dir = Dir::new();
    let [a, b, c] = series(&dir);
    let [some, odd, even, b_again, all] = ["some", "odd", "even", "b", "all"].map(|name| dir.path(name));
    made(&["slice", &a, &b, &c, "--where", "seq > 1 AND seq < 5", "-o", &some]);
    assert_eq!(seqs(&some), [2, 3, 4]);
    assert_eq!(info(&some)["total"]["left_out"], 3);
    assert_eq!(verdict(&some).0, 0, "{:?}", verdict(&some));
    made(&["slice", &b, "--where", "seq = 2", "-o", &even]);
    made(&["slice", &b, "--where", "seq = 3", "-o", &odd]);
    assert_eq!(verdict(&odd).0, 0, "{:?}", verdict(&odd));
    made(&["merge", &odd, &even, "-o", &b_again]);
    assert_eq!((seqs(&b_again), info(&b_again)["total"].clone()), (vec![2, 3], info(&b)["total"].clone()));
    made(&["merge", &a, &even, &c, &odd, "-o", &all]);
    assert_eq!((seqs(&all), info(&all)["total"]["left_out"].clone()), ((0..6).collect(), Value::Null));
    let twice = vmtrace(&["slice", &odd, &even, "-o", &dir.path("x")]);
    assert!(twice.status == 2 && twice.err.contains("merge them first"), "{}", twice.err);
    // With the file before, a slice is no part of a chain of digests, and is taken for none.
    let ran = vmtrace(&["verify", &a, &odd, &c]);
    assert!(!ran.out.contains("ALTERED"), "{}", ran.out);
}
