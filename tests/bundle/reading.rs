//! Every reading command takes an archive in the place of the captures in it.

use super::archive::{Forged, forge, unzip};
use super::made::{self, Place};

/// Commands that say the same of an archive as of the captures in it. What they call a file differs.
const COMMANDS: &[&[&str]] = &[
    &["replay", "-T", "jsonl"],
    &["replay", "-T", "csv", "-c", "20"],
    &["replay", "--by", "process", "-x"],
    &["info", "-v"],
    &["info", "-T", "json"],
    &["summary"],
    &["summary", "-T", "json"],
    &["flows"],
    &["flows", "-T", "csv"],
    &["export", "-T", "ecs"],
    &["export", "-T", "strace"],
    &["verify"],
    &["verify", "-T", "json"],
];

fn sample(name: &str) -> String {
    made::root().join(format!("samples/{name}/{name}.parquet")).to_str().unwrap().to_string()
}

/// Status and output of a command, with its files called as in the archive.
fn said(place: &Place, words: &[&str]) -> (Option<i32>, String) {
    let output = place.run(words);
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    (output.status.code(), text.replace("b.zip:", ""))
}

#[test]
fn an_archive_is_what_is_in_it() {
    let place = Place::new();
    for name in ["pipe-relay", "mem-editor", "failing-caller"] {
        place.ok(&["bundle", &sample(name), "-o", "b.zip", "--force"]);
        unzip(&place.path("b.zip"), place.dir.path());
        for command in COMMANDS {
            let of = |file: &str| said(&place, &[command, &[file][..]].concat());
            let (packed, unpacked) = (of("b.zip"), of("capture.parquet"));
            assert!(!packed.1.is_empty() && matches!(packed.0, Some(0 | 1 | 3)), "{command:?}: {packed:?}");
            assert_eq!(packed, unpacked, "{command:?} of {name}");
        }
        let verify = place.ok(&["verify", "b.zip"]);
        assert!(verify.starts_with("b.zip:capture.parquet: redacted from "), "{verify}");
    }
}

#[test]
fn several_captures_are_several_files() {
    let place = Place::new();
    place.ok(&["bundle", &sample("pipe-relay"), &sample("mpi-pair"), "-o", "b.zip"]);
    unzip(&place.path("b.zip"), place.dir.path());
    for command in COMMANDS {
        let both = said(&place, &[command, &["b.zip"][..]].concat());
        assert_eq!(
            both,
            said(&place, &[command, &["capture-1.parquet", "capture-2.parquet"][..]].concat()),
            "{command:?}"
        );
        let one = said(&place, &[command, &["b.zip:capture-2.parquet"][..]].concat());
        assert_eq!(one, said(&place, &[command, &["capture-2.parquet"][..]].concat()), "{command:?}");
    }
    for command in [&["report", "b.zip", "-o", "x"][..], &["redact", "b.zip", "-o", "x"]] {
        let said = place.refused(command);
        assert!(said.contains("holds 2 captures") && said.contains("b.zip:capture-1.parquet"), "{said}");
    }
    let said = place.refused(&["replay", "b.zip:capture-3.parquet"]);
    assert!(
        said.contains("no capture of the name capture-3.parquet, but capture-1.parquet, capture-2.parquet"),
        "{said}"
    );
}

#[test]
fn what_makes_a_file_takes_archives() {
    let place = Place::new();
    place.ok(&["bundle", &sample("mem-editor"), "-o", "b.zip"]);
    unzip(&place.path("b.zip"), place.dir.path());
    let rows = |file: &str| place.ok(&["replay", "-T", "jsonl", file]);
    place.ok(&["slice", "b.zip", "--where", "seq > 10", "-o", "slice.parquet"]);
    place.ok(&["slice", "capture.parquet", "--where", "seq > 10", "-o", "same.parquet"]);
    assert_eq!(rows("slice.parquet"), rows("same.parquet"));
    place.ok(&["merge", "b.zip", "-o", "merged.parquet"]);
    assert_eq!(rows("merged.parquet"), rows("capture.parquet"));
    place.ok(&["redact", "b.zip", "-o", "less.parquet", "--level", "metadata"]);
    place.ok(&["report", "b.zip", "-o", "page.html"]);
    place.ok(&["bundle", "b.zip", "-o", "again.zip"]);
    assert!(place.run(&["memory", "-p", "1", "b.zip"]).status.code().is_some_and(|status| status < 2));
    // An archive that is read is not written over.
    let bytes = std::fs::read(place.path("b.zip")).unwrap();
    for command in ["slice", "merge", "redact", "bundle"] {
        let said = place.refused(&[command, "b.zip", "-o", "b.zip", "--force"]);
        assert!(said.contains("choose another"), "{said}");
    }
    assert!(bytes == std::fs::read(place.path("b.zip")).unwrap());
}

#[test]
#[cfg(feature = "view")]
fn the_viewer_opens_it() {
    let place = Place::new();
    place.ok(&["bundle", &sample("mpi-pair"), "-o", "b.zip"]);
    // Here it gets so far that it misses a terminal.
    assert!(place.refused(&["view", "b.zip"]).contains("view needs a terminal"));
    assert!(place.refused(&["view", "none.zip"]).contains("cannot open none.zip"));
}

#[test]
#[cfg(feature = "query")]
fn queries_read_it() {
    let place = Place::new();
    place.ok(&["bundle", &sample("mpi-pair"), &sample("debugger"), "-o", "b.zip"]);
    unzip(&place.path("b.zip"), place.dir.path());
    let sql = "SELECT event, count(*) AS n, sum(bytes) FROM events GROUP BY event ORDER BY event";
    let wanted = place.ok(&["query", "capture-1.parquet", "capture-2.parquet", sql]);
    assert_eq!(place.ok(&["query", "b.zip", sql]), wanted);
    let names = place.ok(&["query", "-T", "csv", "b.zip", "SELECT DISTINCT capture FROM events ORDER BY 1"]);
    assert_eq!(names.trim(), "capture\nb.zip:capture-1.parquet\nb.zip:capture-2.parquet");
    assert!(place.refused(&["query", "--print-duckdb-views", "b.zip"]).contains("unzip"));
}

#[test]
fn it_can_come_on_standard_input_and_without_digests() {
    let place = Place::new();
    place.ok(&["bundle", &sample("mpi-pair"), "-o", "b.zip"]);
    unzip(&place.path("b.zip"), place.dir.path());
    let wanted = place.ok(&["replay", "-T", "jsonl", "capture.parquet"]);
    let file = std::fs::File::open(place.path("b.zip")).unwrap();
    let piped = std::process::Command::new(env!("CARGO_BIN_EXE_vmtrace"))
        .args(["replay", "-T", "jsonl", "-"])
        .stdin(file)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(piped.stdout).unwrap(), wanted);
    // As somebody packs captures who has no `vmtrace bundle`.
    let capture = std::fs::read(place.path("capture.parquet")).unwrap();
    let mut directory = Forged::stored("dir/", b"");
    directory.mode = 0o040_755;
    let entries = [directory, Forged::deflated("dir/a capture.parquet", &capture), Forged::stored("notes.md", b"x")];
    std::fs::write(place.path("own.zip"), forge(&entries)).unwrap();
    assert_eq!(place.ok(&["replay", "-T", "jsonl", "own.zip"]), wanted);
    assert_eq!(place.ok(&["replay", "-T", "jsonl", "own.zip:dir/a capture.parquet"]), wanted);
}

#[test]
fn nothing_is_left_of_what_was_copied() {
    let place = Place::new();
    place.ok(&["bundle", &sample("mpi-pair"), "-o", "b.zip"]);
    let temporary = place.path("tmp");
    std::fs::create_dir(&temporary).unwrap();
    let run = |words: &[&str], directory: &std::path::Path| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_vmtrace"));
        command.args(words).current_dir(&place.dir).env("TMPDIR", directory).output().unwrap()
    };
    for words in [&["summary", "b.zip"][..], &["bundle", "b.zip", "-o", "c.zip"]] {
        assert!(run(words, &temporary).status.success(), "{words:?}");
        assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0, "{words:?}");
    }
    let said = run(&["summary", "b.zip"], &place.path("none"));
    let text = String::from_utf8(said.stderr).unwrap();
    assert!(said.status.code() == Some(2) && text.contains("set TMPDIR") && text.lines().count() == 1, "{text}");
}
