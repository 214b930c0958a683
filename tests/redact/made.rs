//! Captures for these tests, and the command run on them.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;
use vmtrace::schema::group::EncodedGroup;
use vmtrace::schema::reader::{Capture, Scan};
use vmtrace::schema::writer::CaptureFile;
use vmtrace::schema::{BatchBuilder, Event, Manifest};

/// A directory with a key in it.
pub struct Place {
    pub dir: TempDir,
}

impl Place {
    pub fn new() -> Self {
        let place = Place { dir: tempfile::tempdir().unwrap() };
        let key = place.path("key");
        std::fs::write(&key, "a key for tests, and for nothing else").unwrap();
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn run(&self, words: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_vmtrace")).args(words).current_dir(&self.dir).output().unwrap()
    }

    /// Runs a command that must succeed; returns what it printed.
    pub fn ok(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command that must fail with status 2; returns its sentence.
    pub fn refused(&self, words: &[&str]) -> String {
        let output = self.run(words);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{words:?}: {said}");
        assert!(output.stdout.is_empty());
        said
    }

    /// Redacts `file` to `out` with the key, and options beside.
    pub fn redact(&self, file: &Path, out: &str, options: &[&str]) -> PathBuf {
        let mut words = vec!["redact", file.to_str().unwrap(), "-o", out, "--key", "key"];
        words.extend(options);
        self.ok(&words);
        self.path(out)
    }

    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.dir).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = entries.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The captures of all samples.
pub fn samples() -> Vec<PathBuf> {
    let directories = std::fs::read_dir(root().join("samples")).unwrap().map(|entry| entry.unwrap().path());
    let files = directories.filter(|path| path.is_dir()).flat_map(|directory| std::fs::read_dir(directory).unwrap());
    let mut captures: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
    captures.retain(|path| path.extension().is_some_and(|ending| ending == "parquet"));
    captures.sort();
    assert!(captures.len() >= 9, "only {} samples", captures.len());
    captures
}

/// Hands on every row.
pub fn each(path: &Path, mut take: impl FnMut(&Event<'_>)) {
    for batch in Capture::open(path).unwrap().scan(&Scan::default()).unwrap() {
        batch.unwrap().iter().for_each(|event| take(&event));
    }
}

/// Writes a capture of the rows that `fill` pushes.
pub fn write(path: &Path, manifest: &Manifest, fill: impl FnOnce(&mut BatchBuilder)) {
    let mut file = CaptureFile::create(std::fs::File::create(path).unwrap(), manifest).unwrap();
    let mut builder = BatchBuilder::default();
    fill(&mut builder);
    if builder.rows() > 0 {
        let group = EncodedGroup::encode(builder.take().unwrap()).unwrap();
        file.append(&group, manifest.end, &serde_json::Value::Null).unwrap();
    }
    file.close(manifest).unwrap();
}
