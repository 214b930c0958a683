//! Names, journals and words of the command line that try to take over the terminal: what `record`, `recover` and `check` say
//! of them, byte by byte. What a capture holds is shown by commands that tests/replay looks at.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::json;
use vmtrace::schema::Manifest;
use vmtrace::schema::manifest::Tool;
use vmtrace::schema::writer::CaptureFile;

use super::harness::vmtrace;

/// Window title, clipboard, link, colour and cursor by ESC and by C1, line breaks, bidirectional marks, nothing visible.
const EVIL: &str = "\x1b]0;t\x07\x1b]52;c;AAAA\x07\x1b]8;;http://x\x1b\\\x1b[2J\u{9b}31m\u{9d}0;t\u{9c}\r\n\
                    vmtrace: forged\n\u{202e}live\u{2066}\u{200b}\u{7f}\u{2028}";

/// A name that is not UTF-8 either.
fn evil_name() -> OsString {
    OsString::from_vec([EVIL.replace('/', "|").as_bytes(), b"\xff\x9b31m"].concat())
}

/// Looks at every byte of both streams.
fn is_harmless(what: &str, ran: &Output) -> String {
    let mut said = String::new();
    for stream in [&ran.stdout, &ran.stderr] {
        let text = std::str::from_utf8(stream).unwrap_or_else(|e| panic!("{what}: {e}: {stream:?}"));
        let harmful = |c: char| (c.is_control() && c != '\n') || "\u{202e}\u{2066}\u{200b}\u{2028}".contains(c);
        assert!(!text.contains(harmful), "{what}: {text:?}");
        assert!(!text.lines().any(|line| line.starts_with("vmtrace: forged")), "{what}: {text}");
        said += text;
    }
    // Of words that are not UTF-8 the parser of the command line only says that.
    let shown = ["\\x1b", "\\u{1b}", "invalid UTF-8"].iter().any(|sign| said.contains(sign));
    assert!(shown, "{what}: nothing of it is shown: {said:?}");
    said
}

/// A frame of a journal, as src/record/journal/frame.rs describes it.
fn frame(kind: u8, capture_id: &str, payload: &serde_json::Value) -> Vec<u8> {
    let payload = payload.to_string().into_bytes();
    let tag = blake3::derive_key("vmtrace journal", capture_id.as_bytes());
    let mut frame =
        [b"VMTJ", &[kind, 0, 0, 0][..], &tag[..8], &[0; 16], &(payload.len() as u32).to_le_bytes()].concat();
    let mut crc = crc32fast::Hasher::new();
    crc.update(&frame);
    crc.update(&payload);
    frame.extend(crc.finalize().to_le_bytes());
    [frame, payload].concat()
}

/// What a stranger left: an unfinished file, and a journal of records laid out as `wire` says.
fn left(dir: &Path, wire: &str) -> PathBuf {
    let tool = Tool { version: EVIL.into(), git: EVIL.into(), ..Tool::default() };
    let manifest = Manifest { capture_id: EVIL.into(), tool, gaps: vec![EVIL.into()], ..Manifest::default() };
    let at = |ending: &str| {
        let mut name = dir.join(evil_name()).into_os_string();
        name.push(ending);
        PathBuf::from(name)
    };
    let partial = at(".partial");
    CaptureFile::create(std::fs::File::create(&partial).unwrap(), &manifest).unwrap();
    let begin = json!({ "wire": wire, "segment": 1, "manifest": manifest });
    let finish = json!({
        "counted": { "clocks": {}, "kernel": {} }, "losses": [], "requests": [], "gaps": [EVIL], "reason": EVIL,
        "hooks": [{ "program": EVIL, "target": EVIL, "reason": EVIL }], "clock": null,
    });
    let journal = [frame(1, EVIL, &begin), frame(8, EVIL, &finish)].concat();
    std::fs::write(at(".journal-000001"), journal).unwrap();
    partial
}

fn recover(piece: &Path, output: &Path) -> Output {
    vmtrace().arg("recover").arg(piece).arg("-o").arg(output).output().expect("vmtrace starts")
}

#[test]
fn what_recover_says_of_a_strangers_files_is_harmless() {
    let wire = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/bpf/wire.h")).unwrap();
    let wire = blake3::hash(&wire).to_string();
    let dir = tempfile::tempdir().unwrap();
    let output = dir.path().join("out\x1b[31m\u{9b}");
    let partial = left(dir.path(), &wire);
    let ran = recover(&partial, &output);
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    let said = is_harmless("a gap that the journal reports", &ran);
    assert!(said.matches("gap: ").count() == 2, "{said}");
    let journal = PathBuf::from(OsString::from_vec(
        [partial.as_os_str().as_bytes().strip_suffix(b".partial").unwrap(), b".journal-000001"].concat(),
    ));
    std::fs::remove_file(&output).unwrap();
    std::fs::write(&journal, "").unwrap();
    let ran = recover(&partial, &output);
    assert_eq!(ran.status.code(), Some(3), "{ran:?}");
    assert!(is_harmless("a damaged journal", &ran).contains(" is empty"));
    is_harmless("an output that is there", &recover(&partial, &output));
    left(dir.path(), EVIL);
    let ran = recover(&partial, &dir.path().join("other"));
    assert_eq!(ran.status.code(), Some(2), "{ran:?}");
    assert!(is_harmless("another version", &ran).contains("another version of vmtrace"));
    std::fs::write(&partial, EVIL).unwrap();
    is_harmless("no capture", &recover(&partial, &dir.path().join("other")));
    is_harmless("nothing", &recover(&dir.path().join(evil_name()).join("none"), &dir.path().join("other")));
}

#[test]
fn what_is_said_of_words_that_cannot_be_used_is_harmless() {
    let dir = tempfile::tempdir().unwrap();
    let nowhere = dir.path().join(evil_name()).join("capture.parquet");
    let own = std::process::id().to_string();
    let run = |words: &[&str]| {
        let mut command: Command = vmtrace();
        command.arg(words[0]).args(&words[1..]);
        command
    };
    for words in [
        &["record", "-p", &own, "-o"][..],
        &["record", "-p", &own, "--sign-key"],
        &["record", "-p", &own, "--cgroup"],
        &["record", "-p", &own, "-e"],
        &["record", "-p", &own, "--trigger"],
        &["record", "-p"],
        &["record", "--duration"],
        &["check"],
        &["recover", "-o", "out"],
        &["completions"],
    ] {
        for word in [nowhere.as_os_str(), OsStr::new(EVIL)] {
            let ran = run(words).arg(word).output().expect("vmtrace starts");
            assert!(matches!(ran.status.code(), Some(1 | 2 | 125)), "{words:?}: {ran:?}");
            is_harmless(&words.join(" "), &ran);
        }
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn what_record_says_of_its_files_is_harmless() {
    let dir = tempfile::tempdir().unwrap();
    let mut name = evil_name();
    name.push(".parquet");
    let output = dir.path().join(name);
    let record = |words: &[&str], command: &Path| {
        vmtrace()
            .arg("record")
            .args(words)
            .arg("-o")
            .arg(&output)
            .arg("--")
            .arg(command)
            .output()
            .expect("vmtrace starts")
    };
    let ran = record(&["-v"], Path::new("true"));
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    assert!(is_harmless("a summary", &ran).contains("root digest"));
    is_harmless("it exists", &record(&[], Path::new("true")));
    let ran = record(&["--force"], &dir.path().join(evil_name()));
    assert_eq!(ran.status.code(), Some(127), "{ran:?}");
    is_harmless("COMMAND was not found", &ran);
}
