//! Names of files that are no text: nothing panics at them, and what is printed is UTF-8 (which [`super::ran`] demands).

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::captures::{everything, make};
use super::{command, ran};

#[test]
fn no_file_name_is_too_odd() {
    let made = make(&everything());
    let good = made.dir.path().join(OsStr::from_bytes(b"odd\xff\x1b[2J\n.parquet"));
    std::fs::rename(&made.path, &good).unwrap();
    let bad = made.dir.path().join(OsStr::from_bytes(b"\xfe\x1b[2J.parquet"));
    std::fs::write(&bad, b"PAR1 is not enough").unwrap();
    let missing = made.dir.path().join(OsStr::from_bytes(b"\xc3\x28*"));
    for words in [
        &["replay"][..],
        &["replay", "-T", "csv"],
        &["replay", "-T", "jsonl"],
        &["info"],
        &["info", "-T", "json"],
        &["summary"],
        &["summary", "-T", "csv"],
        &["summary", "-T", "json"],
        &["memory", "-p", "42"],
        &["verify"],
        &["verify", "-T", "json"],
    ] {
        let there = ran(&command(words).arg(&good).output().unwrap());
        // `verify` names what these events lost.
        assert!(there.status == 0 || words[0] == "verify" && there.status < 101, "{words:?}: {}", there.err);
        assert!(!there.out.is_empty(), "{words:?}");
        for path in [&bad, &missing] {
            let failed = ran(&command(words).arg(path).output().unwrap());
            assert!((1..101).contains(&failed.status), "{words:?}: {}", failed.err);
            assert!(!failed.err.contains("panicked") && !failed.err.contains('\x1b'), "{words:?}: {}", failed.err);
        }
    }
}
