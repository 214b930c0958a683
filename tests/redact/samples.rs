//! Redacted samples: every command reads them, what they show is what the originals show, and nothing else.

use std::path::Path;

use vmtrace::schema::reader::Capture;
use vmtrace::schema::vocabulary::RedactionLevel;

use super::made::{self, Place};

/// Commands that read a capture.
const COMMANDS: &[&[&str]] = &[
    &["replay", "-x"],
    &["replay", "-T", "jsonl"],
    &["info", "-v"],
    &["info", "-T", "json"],
    &["summary"],
    &["summary", "-T", "json"],
    &["verify"],
    &["export", "-T", "ecs"],
    &["export", "-T", "ocsf"],
    &["export", "-T", "strace"],
];

#[test]
fn every_command_reads_a_redacted_capture() {
    let place = Place::new();
    for sample in made::samples() {
        for level in RedactionLevel::ALL.iter().map(|level| level.as_str()) {
            place.redact(&sample, "out.parquet", &["--level", level, "--force"]);
            for command in COMMANDS {
                let words: Vec<&str> = command.iter().copied().chain(["out.parquet"]).collect();
                assert!(!place.ok(&words).is_empty(), "{words:?} of {}", sample.display());
            }
            place.ok(&["report", "out.parquet", "-o", "page.html", "--force"]);
            let flows = place.run(&["flows", "out.parquet"]);
            assert!(matches!(flows.status.code(), Some(0 | 1)), "{}", String::from_utf8_lossy(&flows.stderr));
        }
    }
}

fn manifest(path: &Path) -> vmtrace::schema::Manifest {
    Capture::open(path).unwrap().manifest().clone()
}

#[test]
fn the_manifest_says_what_was_done() {
    let place = Place::new();
    for sample in made::samples() {
        let out = place.redact(&sample, "out.parquet", &["--force", "--drop", "exit_code"]);
        let (before, after) = (Capture::open(&sample).unwrap(), manifest(&out));
        let [step] = after.derived_from.as_slice() else { panic!("{:?}", after.derived_from) };
        let redaction = step.redaction.as_ref().unwrap();
        assert_eq!((step.command.as_str(), redaction.level.as_str(), redaction.rules), ("redact", "share", 1));
        assert_eq!(redaction.options, ["--drop exit_code"]);
        assert_eq!(step.sources[0].root.as_deref(), before.root());
        assert_eq!((step.sources[0].rows, step.sources[0].taken), (before.rows(), before.rows()));
        assert!(redaction.values.iter().any(|of| of.kind == "pid" && of.distinct > 1), "{:?}", redaction.values);
        assert_ne!(after.capture_id, before.manifest().capture_id);
        assert_eq!(after.ledger, before.manifest().ledger);
        let gaps = |gaps: &[String]| gaps.to_vec();
        assert_eq!(gaps(&after.gaps), before.manifest().gaps, "gaps of samples name nobody");
    }
}

/// What the summary says of each pair, but for names and numbers of processes.
#[test]
fn who_moved_what_stays_and_only_names_change() {
    let place = Place::new();
    let pairs = |path: &Path| -> Vec<(u64, u64, Vec<String>)> {
        let text = place.ok(&["summary", "-T", "json", path.to_str().unwrap()]);
        let json: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        let list = json["pairs"].as_array().unwrap_or_else(|| panic!("no pairs: {json}"));
        let calls = |pair: &serde_json::Value| {
            let by = pair["by"].as_array().unwrap_or_else(|| panic!("{pair}"));
            let events = by.iter().map(|of| format!("{} {} {}", of["event"], of["direction"], of["bytes"])).collect();
            (pair["calls"].as_u64().unwrap(), pair["failures"].as_u64().unwrap(), events)
        };
        list.iter().map(calls).collect()
    };
    let mut compared = 0;
    for sample in made::samples() {
        for level in ["payload", "share", "metadata"] {
            let out = place.redact(&sample, "out.parquet", &["--level", level, "--force"]);
            let (before, after) = (pairs(&sample), pairs(&out));
            assert_eq!(before, after, "{} at the level {level}", sample.display());
            compared += before.len();
        }
    }
    assert!(compared > 20, "only {compared} pairs");
}

#[test]
fn one_key_gives_the_same_pseudonyms_and_no_key_others() {
    let place = Place::new();
    let sample = &made::samples()[0];
    let bytes = |path: &Path| std::fs::read(path).unwrap();
    let (one, other) = (place.redact(sample, "1.parquet", &[]), place.redact(sample, "2.parquet", &[]));
    assert_eq!(bytes(&one), bytes(&other));
    let without = |out: &str| place.ok(&["redact", sample.to_str().unwrap(), "-o", out]);
    without("3.parquet");
    without("4.parquet");
    let hosts: Vec<String> = [1, 3, 4].map(|n| manifest(&place.path(&format!("{n}.parquet"))).host.hostname).into();
    assert!(hosts.iter().all(|host| host.starts_with("host-")));
    assert!(hosts[0] != hosts[1] && hosts[1] != hosts[2], "{hosts:?}");
}

/// What redaction does to a row depends on nothing but the row and the key.
#[test]
fn a_slice_of_a_redacted_capture_is_the_redacted_slice() {
    let place = Place::new();
    let slice = |from: &str, to: &str| {
        place.ok(&["slice", from, "--where", "seq > 3 and seq < 12", "-o", to, "--force"]);
    };
    let rows = |name: &str| {
        let mut rows = Vec::new();
        made::each(&place.path(name), |event| rows.push(format!("{event:?}")));
        rows
    };
    let mut compared = 0;
    for sample in made::samples() {
        for level in RedactionLevel::ALL.iter().map(|level| level.as_str()) {
            place.redact(&sample, "whole.parquet", &["--level", level, "--force"]);
            slice("whole.parquet", "slice-of-redacted.parquet");
            slice(sample.to_str().unwrap(), "slice.parquet");
            let out =
                place.redact(&place.path("slice.parquet"), "redacted-slice.parquet", &["--level", level, "--force"]);
            let (one, other) = (rows("slice-of-redacted.parquet"), rows("redacted-slice.parquet"));
            assert_eq!(one, other, "{} at the level {level}", sample.display());
            let ledgers = [place.path("slice-of-redacted.parquet"), out].map(|path| manifest(&path).ledger);
            assert_eq!(ledgers[0], ledgers[1], "{} at the level {level}", sample.display());
            assert!(place.ok(&["verify", "redacted-slice.parquet"]).contains("redacted from "));
            compared += one.len();
        }
    }
    assert!(compared > 100, "only {compared} rows");
}

#[test]
fn readers_are_told_that_a_capture_is_redacted() {
    let place = Place::new();
    place.redact(&made::samples()[0], "out.parquet", &[]);
    let verified = place.ok(&["verify", "out.parquet"]);
    let verdict = verified.lines().next().unwrap();
    assert!(verdict.starts_with("out.parquet: redacted from file-") && verdict.ends_with(", intact"), "{verified}");
    let info = place.ok(&["info", "out.parquet"]);
    assert!(info.lines().any(|line| line.starts_with("Redacted ") && line.contains("at the level share")), "{info}");
    // What was made 0 is not stated as a number.
    assert!(!info.contains("ppm"), "{info}");
    place.ok(&["report", "out.parquet", "-o", "page.html"]);
    let page = std::fs::read_to_string(place.path("page.html")).unwrap();
    assert!(page.contains("Redacted at the level share: ") && page.contains("redacted from file-"), "{page}");
    let replayed = place.ok(&["replay", "out.parquet"]);
    assert!(replayed.lines().nth(1).unwrap().ends_with(" · redacted (share)"), "{replayed}");
    let summary = place.ok(&["summary", "out.parquet", "--brief"]);
    assert!(summary.lines().any(|line| line.starts_with("Redacted at the level share:")), "{summary}");
}

/// Without addresses, all that is known of a memory would be at one place.
#[test]
fn there_is_no_memory_without_addresses() {
    let place = Place::new();
    let sample = made::samples().into_iter().find(|path| path.ends_with("mem-editor.parquet")).unwrap();
    place.redact(&sample, "out.parquet", &["--level", "metadata"]);
    let said = place.refused(&["memory", "-p", "16547", "out.parquet"]);
    assert!(said.contains("out.parquet: redaction took all addresses away") && said.lines().count() == 1, "{said}");
}

#[test]
fn removed_bytes_are_not_said_to_be_the_recorders_loss() {
    let place = Place::new();
    let sample = made::samples().into_iter().find(|path| path.ends_with("pipe-relay.parquet")).unwrap();
    for level in ["payload", "share", "metadata"] {
        place.redact(&sample, "out.parquet", &["--level", level, "--force"]);
        let summary = place.ok(&["summary", "out.parquet", "--brief"]);
        assert!(summary.contains(" that moved, redaction removed the captured bytes. Nothing was lost."), "{summary}");
        assert!(!summary.contains("Nothing was kept") && !summary.contains("snaplen"), "{summary}");
    }
    let flows = place.ok(&["flows", "out.parquet"]);
    let said = "Redaction removed captured bytes: whether other bytes came out than were sent is not known.";
    assert!(flows.lines().any(|line| line == said) && !flows.contains("0x0"), "{flows}");
    assert!(place.ok(&["flows", "out.parquet", "4"]).lines().any(|line| line == said));
    assert!(!place.ok(&["flows", sample.to_str().unwrap()]).contains("Redaction"));
    let exported = place.run(&["export", "-T", "csv", "out.parquet"]);
    let said = String::from_utf8(exported.stderr).unwrap();
    assert!(
        said.starts_with("vmtrace: out.parquet: Redacted at the level metadata: ") && said.lines().count() == 1,
        "{said}"
    );
}
