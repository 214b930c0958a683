//! The output file's way from nothing to its name: never over another file, never through a link, and under its
//! name only when it is whole.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use nix::fcntl::{AT_FDCWD, AtFlags, RenameFlags, renameat2};
use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, faccessat, geteuid};

/// An output being written under a temporary name beside its own.
#[derive(Clone, Debug)]
pub struct Output {
    path: PathBuf,
    partial: PathBuf,
    force: bool,
}

/// The name until the file is whole: `trace.parquet.partial`.
fn temporary_name(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    PathBuf::from(name)
}

/// Brings the names in `directory` to the disk. Some file systems refuse that, which loses nothing yet.
pub fn sync_entries(directory: &Path) {
    if let Ok(directory) = File::open(directory) {
        let _ = directory.sync_all();
    }
}

/// Bytes that the file system of `directory` has for us.
pub fn free_bytes(directory: &Path) -> u64 {
    let free = statvfs(directory).map(|fs| fs.blocks_available().saturating_mul(fs.fragment_size()));
    free.unwrap_or(u64::MAX)
}

/// Where `path` is.
pub fn directory(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

impl Output {
    /// Creates the temporary file, mode 0600.
    ///
    /// # Errors
    /// When the output or its temporary name exists (and not `force`), or cannot be created.
    pub fn create(path: &Path, force: bool) -> Result<(Self, File)> {
        Output::create_as(path, ".partial", force)
    }

    /// The same with another ending of the temporary name.
    ///
    /// # Errors
    /// As [`Output::create`].
    pub fn create_as(path: &Path, ending: &str, force: bool) -> Result<(Self, File)> {
        let name = path.display();
        match path.symlink_metadata() {
            Ok(found) if found.is_dir() => bail!("{name} is a directory: name a file in it with -o"),
            Ok(found) if !found.is_file() && !found.is_symlink() => {
                bail!("{name} is not a regular file: a capture needs one; choose another -o")
            }
            Ok(_) if !force => bail!("{name} exists: choose another -o, or replace it with --force"),
            _ => (),
        }
        let partial = temporary_name(path, ending);
        if force && partial.symlink_metadata().is_ok() {
            std::fs::remove_file(&partial).with_context(|| format!("cannot remove {}", partial.display()))?;
        }
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
            .open(&partial)
            .map_err(|error| explain(error, path, &partial))?;
        Ok((Output { path: path.to_path_buf(), partial, force }, file))
    }

    /// Another name for the capture; its temporary one stays.
    pub fn rename(&mut self, path: &Path) {
        self.path = path.to_path_buf();
    }

    /// The name the capture will have.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The name it has until then.
    pub fn partial(&self) -> &Path {
        &self.partial
    }

    /// Gives the finished file its name, durably.
    ///
    /// # Errors
    /// When a file of that name has appeared meanwhile (and not `force`), or the rename fails. The capture then
    /// stays under its temporary name.
    pub fn publish(&self) -> Result<()> {
        let flags = if self.force { RenameFlags::empty() } else { RenameFlags::RENAME_NOREPLACE };
        renameat2(AT_FDCWD, &self.partial, AT_FDCWD, &self.path, flags).map_err(|errno| {
            anyhow!("the finished capture stays at {}: {}: {errno}", self.partial.display(), self.path.display())
        })?;
        sync_entries(directory(&self.path));
        Ok(())
    }

    /// Whether the directory can be written with the capabilities now in effect.
    pub fn can_publish(&self) -> bool {
        let mode = AccessFlags::R_OK | AccessFlags::W_OK | AccessFlags::X_OK;
        faccessat(AT_FDCWD, directory(&self.path), mode, AtFlags::AT_EACCESS).is_ok()
    }

    /// Whether no sticky directory (inode(7)) keeps the file that is to be replaced for another user. Does not look at
    /// capabilities.
    pub fn can_replace(&self) -> bool {
        let (Ok(file), Ok(dir)) = (self.path.symlink_metadata(), directory(&self.path).metadata()) else { return true };
        let own = geteuid().as_raw();
        dir.mode() & libc::S_ISVTX == 0 || file.uid() == own || dir.uid() == own
    }

    /// Whether the disk has little room left: an eighth, or 256 MiB if that is less.
    pub fn is_scarce(&self) -> bool {
        let Ok(fs) = statvfs(directory(&self.path)) else { return false };
        let [free, all] = [fs.blocks_available(), fs.blocks()].map(|n| n.saturating_mul(fs.fragment_size()));
        free < (all / 8).min(256 << 20)
    }

    /// Removes the temporary file: nothing worth keeping is in it.
    pub fn discard(&self) {
        let _ = std::fs::remove_file(&self.partial);
    }
}

fn explain(error: std::io::Error, path: &Path, partial: &Path) -> anyhow::Error {
    let name = path.display();
    match error.kind() {
        ErrorKind::AlreadyExists => anyhow!(
            "{} exists: another recording writes it, or one did not finish: then recover it with `vmtrace recover {} -o \
             FILE`; or choose another -o, or replace it with --force",
            partial.display(),
            partial.display()
        ),
        ErrorKind::NotFound => anyhow!("the directory of {name} does not exist: create it or choose another -o"),
        _ => anyhow!("cannot create {name}: {error}; choose another -o"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_capture_appears_whole_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.parquet");
        let (output, mut file) = Output::create(&path, false).unwrap();
        file.write_all(b"x").unwrap();
        assert!(!path.exists());
        output.publish().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"x");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn nothing_is_overwritten_unasked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.parquet");
        std::fs::write(&path, "old").unwrap();
        assert!(Output::create(&path, false).unwrap_err().to_string().contains("exists: choose another -o"));
        let (output, _) = Output::create(&path, true).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"old", "until the new one is whole");
        output.publish().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"");
    }

    #[test]
    fn a_file_that_appears_meanwhile_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.parquet");
        let (output, _) = Output::create(&path, false).unwrap();
        std::fs::write(&path, "other").unwrap();
        let partial = output.partial().to_path_buf();
        assert!(output.publish().unwrap_err().to_string().contains("stays at"));
        assert_eq!(std::fs::read(&path).unwrap(), b"other");
        assert!(partial.exists());
    }

    #[test]
    fn links_directories_and_missing_directories_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("target");
        std::fs::write(&target, "kept").unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert!(Output::create(&link, false).is_err());
        let (output, _) = Output::create(&link, true).unwrap();
        output.publish().unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"kept", "the link is replaced, not followed");
        assert!(Output::create(dir.path(), true).unwrap_err().to_string().contains("is a directory"));
        let missing = dir.path().join("no/t.parquet");
        assert!(Output::create(&missing, false).unwrap_err().to_string().contains("does not exist"));
    }
}
