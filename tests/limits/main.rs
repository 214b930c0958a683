//! Limits on files of strangers: each at its edge, the document that lists them, and what reading takes in memory and in work.

#[path = "../bundle/archive.rs"]
#[allow(dead_code)]
mod archive;
#[path = "../replay/captures.rs"]
#[allow(dead_code)]
mod captures;
mod counted;
mod document;
mod footers;
#[path = "../replay/forged.rs"]
#[allow(dead_code)]
mod forged;
#[cfg(feature = "record")]
mod journals;
mod linear;
mod list;
mod of_archives;
mod of_captures;
mod of_commands;
#[cfg(feature = "query")]
mod of_queries;
mod peaks;

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// What a run said: status, stdout, stderr.
#[derive(Debug)]
struct Ran {
    status: Option<i32>,
    out: String,
    err: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A directory that commands run in.
struct Room(TempDir);

impl Room {
    fn new() -> Self {
        Room(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    /// Runs vmtrace here.
    fn run(&self, words: &[impl AsRef<OsStr>]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vmtrace"));
        let output = command.args(words).current_dir(&self.0).stdin(Stdio::null()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it is UTF-8");
        Ran { status: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// What is at a limit is taken: the command succeeds.
    fn accepts(&self, words: &[&str]) {
        let ran = self.run(words);
        assert_eq!((ran.status, ran.err.as_str()), (Some(0), ""), "{words:?}: {}", ran.out);
    }

    /// What is at a limit passes it: if the command fails, then for another reason than `sentence`.
    fn passes(&self, words: &[&str], sentence: &str) {
        let ran = self.run(words);
        assert!(matches!(ran.status, Some(0..=2)), "{words:?}: {ran:?}");
        let said = format!("{}{}", ran.out, ran.err);
        assert!(!said.contains(sentence), "{words:?}: {said:.2000}");
    }

    /// What is above is refused: status 2, and one sentence, which has `sentence` in it.
    fn refuses(&self, words: &[&str], sentence: &str) {
        let ran = self.run(words);
        assert_eq!(ran.status, Some(2), "{words:?}: {ran:.2000?}");
        assert_eq!((ran.out.as_str(), ran.err.lines().count()), ("", 1), "{words:?}: {:.2000}", ran.err);
        assert!(ran.err.contains(sentence), "{words:?}: {sentence:?} is not in {:.2000}", ran.err);
    }
}
