//! The files of a journal: their names, and what the first frame of each says.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
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

    /// Where they are.
    pub fn directory(&self) -> &Path {
        directory(&self.0)
    }

    /// The numbers of the files that are there, in order.
    pub fn list(&self) -> io::Result<Vec<u64>> {
        let Some(name) = self.0.file_name() else { return Ok(Vec::new()) };
        let mut prefix = name.to_os_string();
        prefix.push(".journal-");
        let number = |entry: io::Result<std::fs::DirEntry>| {
            let name = entry.ok()?.file_name();
            let digits = name.as_encoded_bytes().strip_prefix(prefix.as_encoded_bytes())?;
            let number = std::str::from_utf8(digits).ok().filter(|d| d.bytes().all(|b| b.is_ascii_digit()))?;
            number.parse().ok()
        };
        let mut numbers: Vec<u64> = std::fs::read_dir(self.directory())?.filter_map(number).collect();
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
        for other in ["t.parquet.journal-x", "t.parquet.journal-", "u.parquet.journal-000001", "t.parquet.partial"] {
            std::fs::write(dir.path().join(other), "").unwrap();
        }
        assert_eq!(base.list().unwrap(), [3, 12]);
        assert_eq!(exists(&output).unwrap(), base.path(3));
        remove_all(&output).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 4);
    }
}
