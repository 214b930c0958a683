//! The files of a journal: their names, and the first frame of each.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::output::{self, Left, directory};
use crate::schema::manifest::Manifest;

/// What every file of a journal begins with: enough to understand the rest.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Begin {
    /// BLAKE3 of `bpf/wire.h`: how records are laid out.
    pub wire: String,
    /// Place of this file among those of the journal, from 1.
    pub segment: u64,
    /// The manifest at the recording's start.
    pub manifest: Manifest,
}

/// The name that the journal's files are numbered behind: `trace.parquet.journal-`.
#[derive(Clone, Debug)]
pub struct Base(PathBuf);

impl Base {
    /// Of the recording that writes `output`.
    pub fn of(output: &Path) -> Self {
        Base(output.to_path_buf())
    }

    /// The path of file `segment`.
    pub fn path(&self, segment: u64) -> PathBuf {
        let mut name = OsString::from(&self.0);
        name.push(format!(".journal-{segment:06}"));
        PathBuf::from(name)
    }

    /// The journal that the file `piece` is of by its name, and its number.
    pub fn of_piece(piece: &Path) -> Option<(Self, u64)> {
        let name = piece.file_name()?.as_encoded_bytes();
        let at = name.len().checked_sub(name.iter().rev().take_while(|b| b.is_ascii_digit()).count())?;
        let (front, digits) = name.split_at_checked(at)?;
        let number = number(std::str::from_utf8(digits).ok()?)?;
        let name = front.strip_suffix(b".journal-").filter(|name| !name.is_empty())?;
        Some((Base(piece.with_file_name(OsStr::from_bytes(name))), number))
    }

    /// `-o` of the recording.
    pub fn output(&self) -> &Path {
        &self.0
    }

    /// Where they are.
    pub fn directory(&self) -> &Path {
        directory(&self.0)
    }

    /// The numbers of the files that are there, in order.
    pub fn list(&self) -> io::Result<Vec<u64>> {
        let Some(name) = self.0.file_name() else { return Ok(Vec::new()) };
        let mut prefix = name.to_os_string();
        prefix.push(".journal-");
        let of = |entry: io::Result<std::fs::DirEntry>| {
            let name = entry.ok()?.file_name();
            let digits = std::str::from_utf8(name.as_encoded_bytes().strip_prefix(prefix.as_encoded_bytes())?).ok()?;
            number(digits)
        };
        let mut numbers: Vec<u64> = std::fs::read_dir(self.directory())?.filter_map(of).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Creates file `segment`, mode 0600, never over another. It is locked for as long as it is open.
    pub fn create(&self, segment: u64) -> io::Result<File> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
            .open(self.path(segment))?;
        output::claim(&file);
        Ok(file)
    }
}

/// The number in the name of a file, written as [`Base::path`] writes it: a `journal-2` is somebody else's.
fn number(digits: &str) -> Option<u64> {
    let number = digits.parse().ok().filter(|_| digits.bytes().all(|b| b.is_ascii_digit()))?;
    (format!("{number:06}") == digits && number > 0).then_some(number)
}

/// The first file of a journal beside `output`, if one is there.
pub fn exists(output: &Path) -> Option<PathBuf> {
    let base = Base::of(output);
    base.list().ok()?.first().map(|segment| base.path(*segment))
}

/// The files of the journal beside `output`.
pub fn files(output: &Path) -> Vec<PathBuf> {
    let base = Base::of(output);
    base.list().unwrap_or_default().into_iter().map(|segment| base.path(segment)).collect()
}

/// Removes every file of the journal beside `output`.
///
/// # Errors
/// When a file cannot be removed, or another process writes it.
pub fn remove_all(output: &Path) -> Result<()> {
    for path in files(output) {
        let name = path.display();
        match output::look(&path, true).with_context(|| format!("{name} cannot be removed"))? {
            Left::Held(holder) if holder.pid != Some(std::process::id()) => bail!("{}", output::in_use(&path, holder)),
            Left::Gone => continue,
            Left::Held(_) | Left::Free(_) | Left::Unknown => (),
        }
        std::fs::remove_file(&path).with_context(|| format!("{name} cannot be removed"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_journals_own_files_are_listed() {
        let dir = tempfile::tempdir().unwrap();
        let output = dir.path().join("t.parquet");
        let base = Base::of(&output);
        for segment in [12, 3] {
            drop(base.create(segment).unwrap());
        }
        for other in [
            "t.parquet.journal-x",
            "t.parquet.journal-",
            "u.parquet.journal-000001",
            "t.parquet.partial",
            "t.parquet.journal-2",
            "t.parquet.journal-0000012",
            "t.parquet.journal-000000",
            "t.parquet.journal-+00004",
        ] {
            std::fs::write(dir.path().join(other), "").unwrap();
        }
        assert_eq!(base.list().unwrap(), [3, 12]);
        assert_eq!(exists(&output).unwrap(), base.path(3));
        remove_all(&output).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 8);
    }

    #[test]
    fn a_file_of_a_journal_is_known_by_its_name() {
        let of = |name: &str| Base::of_piece(Path::new(name)).map(|(base, number)| (base.0, number));
        assert_eq!(of("a/t.parquet.journal-000012"), Some((PathBuf::from("a/t.parquet"), 12)));
        assert_eq!(of("t.parquet.journal-1234567"), Some((PathBuf::from("t.parquet"), 1_234_567)));
        for other in ["t.parquet.journal-2", "t.parquet.journal-", ".journal-000001", "t.parquet", "t-0001.parquet"] {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
