//! Wrong input: one sentence, status 2, and nothing is written.

use super::captures::*;
use super::*;

#[test]
fn wrong_input_is_refused_in_one_sentence() {
    let whole = make(&everything());
    let dir = Dir::new();
    let (file, out) = (whole.path(), dir.path("out.parquet"));
    let taken = dir.path("taken.parquet");
    std::fs::write(&taken, "mine").unwrap();
    let missing = dir.path("missing.parquet");
    let nowhere = dir.path("no/such/directory");
    let link = dir.path("link.parquet");
    std::os::unix::fs::symlink(file, &link).unwrap();
    let cases: &[(&[&str], &str)] = &[
        (
            &["slice", file, "-o", &out, "-p", "99999"],
            "no event is selected, and nothing was written: -p: no event has process 99999",
        ),
        (&["slice", file, "-o", &out, "--comm", "bsh"], "the closest are "),
        (&["slice", file, "-o", &out, "--since", "10m"], "--since is after the last event"),
        (&["slice", file, "-o", &out, "--where", "pid = 1"], "no event is selected, and nothing was written"),
        (&["slice", file, "-o", &out, "--flow", "77777"], "--flow: there is no row 77777"),
        (&["slice", file, "-o", &out, "--flow", "0"], "--flow: row 0 is a process_snapshot, which is in no flow"),
        (&["slice", file, "-o", &out, "-e", "nonsense"], "-e: "),
        (&["slice", file, "-o", &out, "--flow", "many"], "invalid value 'many' for '--flow <SEQ>'"),
        (&["merge", file, "-o", &out, "--where", "pid = 1"], "unexpected argument '--where' found"),
        (&["slice", file, "-o", &taken], "exists: choose another -o, or replace it with --force"),
        (&["slice", file, "-o", file, "--force"], "is one of the files that are read: choose another -o"),
        (&["merge", file, "-o", file, "--force"], "is one of the files that are read: choose another -o"),
        (&["slice", file, "-o", &link, "--force"], "a symbolic link"),
        (&["slice", file, "-o", "-"], "vmtrace writes a file and not a stream"),
        (&["slice", file, "-o", &nowhere], "the directory of "),
        (&["slice", &missing, "-o", &out], "cannot open "),
        (&["merge", &missing, "-o", &out], "cannot open "),
        (&["merge", &taken, "-o", &out], "is not a Parquet file: not a capture"),
    ];
    for (args, said) in cases {
        let ran = vmtrace(args);
        assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{args:?}: {}", ran.err);
        assert!(ran.err.contains(said) && ran.err.lines().count() == 1, "{args:?}: {}", ran.err);
    }
    for command in ["slice", "merge"] {
        let ran = vmtrace(&[command, file]);
        assert!(ran.status == 2 && ran.err.contains("--output <OUT>") && ran.err.lines().count() == 1, "{}", ran.err);
    }
    assert_eq!(dir.names(), ["link.parquet", "taken.parquet"]);
    assert_eq!(std::fs::read(&taken).unwrap(), b"mine");
    made(&["slice", file, "-o", &taken, "--force"]);
    assert_eq!(rows(&taken, &[]), rows(file, &[]));
}

#[test]
fn a_capture_that_contradicts_itself_is_refused() {
    let events = [readv(1), readv(2)];
    let dir = Dir::new();
    let out = dir.path("out.parquet");
    let counted = |seen, written| {
        let mut manifest = manifest();
        manifest.ledger = ledger(&events);
        (manifest.ledger[0].seen, manifest.ledger[0].written) = (seen, written);
        make_with(&manifest, &[&events])
    };
    for (made, said) in [(counted(5, 2), "its ledger does not balance"), (counted(3, 3), "its ledger counts 3")] {
        for command in ["slice", "merge"] {
            let ran = vmtrace(&[command, made.path(), "-o", &out]);
            assert_eq!((ran.status, ran.err.lines().count()), (2, 1), "{}", ran.err);
            assert!(ran.err.contains(said) && ran.err.contains("`vmtrace verify "), "{}", ran.err);
        }
    }
    let path = dir.path("numbers.parquet");
    let mut manifest = manifest();
    manifest.ledger = ledger(&events);
    write_numbered(Path::new(&path), &manifest, &[&[(5, events[0]), (5, events[1])]]);
    let ran = vmtrace(&["slice", &path, "-o", &out]);
    assert!(ran.status == 2 && ran.err.contains("not in the order of their numbers"), "{}", ran.err);
    assert_eq!(dir.names(), ["numbers.parquet"]);
}

#[test]
fn a_capture_comes_from_standard_input_too() {
    let whole = make(&everything());
    let dir = Dir::new();
    let out = dir.path("out.parquet");
    let mut command = Command::new(env!("CARGO_BIN_EXE_vmtrace"));
    let input = std::fs::File::open(&whole.path).unwrap();
    let status = command.args(["slice", "-", "-e", "@vm", "-o", &out]).stdin(input).stderr(Stdio::null()).status();
    assert!(status.unwrap().success());
    assert_eq!(rows(&out, &["-e", "@vm"]), rows(whole.path(), &["-e", "@vm"]));
}
