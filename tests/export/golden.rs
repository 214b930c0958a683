//! Text formats of samples equal their golden files. `UPDATE_GOLDEN=1 cargo test --test export` writes these anew: read the difference
//! before you commit it.

use std::path::Path;

use super::{root, samples, vmtrace};

/// Samples of which the formats with long lines are compared.
const LONG: [&str; 3] = ["descriptor-thief", "failing-caller", "pipe-relay"];

fn compare(sample: &Path, format: &str) {
    let name = sample.file_stem().unwrap().to_str().unwrap();
    let ran = vmtrace(&["export", "-T", format, sample.to_str().unwrap()]);
    assert_eq!(ran.status, 0, "{name}: {}", ran.err);
    let found = format!("{}{}", ran.text(), ran.err);
    let golden = root().join("tests/export/golden").join(format!("{name}.{format}"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&golden, &found).unwrap();
    }
    let wanted = std::fs::read_to_string(&golden).unwrap_or_else(|error| panic!("{}: {error}", golden.display()));
    for (number, (found, wanted)) in found.lines().zip(wanted.lines()).enumerate() {
        assert_eq!(found, wanted, "{} line {}", golden.display(), number + 1);
    }
    assert_eq!(found.lines().count(), wanted.lines().count(), "{}", golden.display());
}

#[test]
fn samples_in_the_form_of_strace() {
    samples().iter().for_each(|sample| compare(sample, "strace"));
}

#[test]
fn samples_as_lines_of_json() {
    let is_wanted = |sample: &&Path| LONG.iter().any(|name| sample.ends_with(format!("{name}/{name}.parquet")));
    let samples = samples();
    let chosen: Vec<&Path> = samples.iter().map(|path| path.as_path()).filter(is_wanted).collect();
    assert_eq!(chosen.len(), LONG.len());
    for sample in chosen {
        ["ecs", "ocsf", "timesketch"].iter().for_each(|format| compare(sample, format));
    }
}

/// Every format of every sample, by digest: long ones, and those that are no text. A digest that differs is looked into with the programs of
/// check.py, which read them all.
#[test]
fn every_format_of_every_sample_is_as_it_was() {
    let golden = root().join("tests/export/golden/digests.txt");
    let mut found = String::new();
    for sample in samples() {
        let name = sample.file_stem().unwrap().to_str().unwrap();
        for format in ["jsonl", "csv", "strace", "ecs", "ocsf", "timesketch", "perfetto", "pcapng"] {
            let ran = vmtrace(&["export", "-T", format, sample.to_str().unwrap()]);
            assert_eq!(ran.status, 0, "{name}: {}", ran.err);
            let digest = blake3::hash(&ran.out).to_hex();
            found += &format!("{name} {format}: {} bytes, {}\n", ran.out.len(), &digest[..32]);
        }
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&golden, &found).unwrap();
    }
    let wanted = std::fs::read_to_string(&golden).unwrap_or_default();
    let differ: Vec<_> = found.lines().filter(|line| !wanted.lines().any(|of| of == *line)).collect();
    assert!(differ.is_empty() && found.lines().count() == wanted.lines().count(), "{}: {differ:#?}", golden.display());
}

/// No control character of a captured text stands in a text format.
#[test]
fn captured_text_does_not_act_on_a_terminal() {
    use super::captures::{everything, make};
    const EVIL: &str = "\x1b]0;x\x07\u{9b}31m\u{202e}\r";
    let evil: Vec<_> = everything()
        .into_iter()
        .map(|event| vmtrace::schema::Event {
            comm: EVIL,
            exe: event.exe.map(|_| EVIL),
            argv: event.argv.map(|_| EVIL),
            target_comm: event.target_comm.map(|_| EVIL),
            fd_in_path: event.fd_in_path.map(|_| EVIL),
            cgroup: Some(EVIL),
            payload: event.payload.map(|_| EVIL.as_bytes()),
            ..event
        })
        .collect();
    let made = make(&evil);
    for format in ["jsonl", "csv", "strace", "ecs", "ocsf", "timesketch"] {
        let ran = vmtrace(&["export", "-T", format, made.path()]);
        assert_eq!(ran.status, 0, "{format}: {}", ran.err);
        let bad = |c: &char| (c.is_control() && *c != '\n') || *c == '\u{202e}';
        assert_eq!(ran.text().chars().find(bad), None, "{format}");
    }
}
