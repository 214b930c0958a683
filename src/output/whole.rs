//! An output that is useless unless it is complete. It has no name until then, if the file system supports that, so
//! nothing is left of it however its writer ends. On other file systems (FUSE, NFS), [`abandon`] removes it.

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::unistd::linkat;

use super::naming::Naming;
use super::{clear, create_locked, directory, explain, identity, is_named, lock, place, sync_entries, temporary_name};

/// The ending of its name where it must have one.
const WRITING: &str = ".writing";

/// Such an output.
#[derive(Debug)]
pub struct Whole {
    path: PathBuf,
    temporary: PathBuf,
    force: bool,
    file: File,
    /// How it gets its name from the temporary one, if it has that.
    naming: Option<Naming>,
}

impl Whole {
    /// Creates it, with that `mode`.
    ///
    /// # Errors
    /// When the output exists (and not `force`) or is not a regular file; or when it cannot be created.
    pub fn create(path: &Path, force: bool, mode: u32) -> Result<Self> {
        place::check(path, force)?;
        let Some(file) = unnamed(directory(path), mode) else { return Whole::create_named(path, force, mode) };
        let temporary = temporary_name(path, WRITING);
        Ok(Whole { path: path.to_path_buf(), temporary, force, file, naming: None })
    }

    pub(super) fn create_named(path: &Path, force: bool, mode: u32) -> Result<Self> {
        let (path, temporary) = (path.to_path_buf(), temporary_name(path, WRITING));
        let file = {
            // Held until the name is known, so that a signal handler finds it.
            let mut named = named();
            let file = create_locked(&path, &temporary, force, OpenOptions::new().mode(mode))?;
            named.push(temporary.clone());
            file
        };
        let mut whole = Whole { path, temporary, force, file, naming: Some(Naming::Replace) };
        let naming = Naming::probe(&whole.temporary, force);
        whole.naming = Some(naming.map_err(|error| explain(&error, &whole.path))?);
        Ok(whole)
    }

    /// What is written to. It cannot be read: who writes outputs need not have the right to read what is beside them.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Brings the file to the disk and gives it its name.
    ///
    /// # Errors
    /// When something of that name has come up meanwhile (and not `force`), or the disk fails. Nothing is left then.
    pub fn publish(self) -> Result<()> {
        let name = self.path.display().to_string();
        self.file.sync_all().with_context(|| format!("cannot write {name}"))?;
        place::check(&self.path, self.force)?;
        let give = || -> Result<()> {
            match self.naming {
                Some(naming) => Ok(naming.give(&self.temporary, &self.path)?),
                None if self.force => self.replace(),
                None => Ok(self.link(&self.path)?),
            }
        };
        give().with_context(|| format!("cannot create {name}"))?;
        sync_entries(directory(&self.path));
        Ok(())
    }

    /// Puts the file without a name in the place of another, which no link does: it has a temporary name for a moment.
    fn replace(&self) -> Result<()> {
        // A handler that ends the process waits for this section.
        let _named = named();
        lock::claim(&self.file);
        clear(&self.temporary, true)?;
        self.link(&self.temporary)?;
        Naming::Replace.give(&self.temporary, &self.path).inspect_err(|_| {
            let _ = std::fs::remove_file(&self.temporary);
        })?;
        Ok(())
    }

    /// Gives the file without a name one.
    fn link(&self, path: &Path) -> nix::Result<()> {
        linkat(AT_FDCWD, descriptor(&self.file).as_path(), AT_FDCWD, path, AtFlags::AT_SYMLINK_FOLLOW)
    }
}

impl Drop for Whole {
    /// Without its own name, a file has none that stays.
    fn drop(&mut self) {
        let is_ours = |file: &File| file.metadata().is_ok_and(|own| is_named(&self.temporary, identity(&own)));
        if self.naming.is_none() {
            return;
        }
        named().retain(|name| *name != self.temporary);
        if is_ours(&self.file) {
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}

/// Temporary names that are in use.
static NAMED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn named() -> MutexGuard<'static, Vec<PathBuf>> {
    NAMED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes what is not whole and has a temporary name, where a signal ends the process.
pub fn abandon() {
    named().drain(..).for_each(|name| {
        let _ = std::fs::remove_file(name);
    });
}

/// The file by its descriptor, as linkat(2) takes it from anybody.
fn descriptor(file: &File) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}

/// A file without a name, if it can be given one later.
fn unnamed(directory: &Path, mode: u32) -> Option<File> {
    let mut options = OpenOptions::new();
    options.write(true).mode(mode).custom_flags(libc::O_TMPFILE | libc::O_CLOEXEC);
    let file = options.open(directory).ok()?;
    descriptor(&file).symlink_metadata().is_ok().then_some(file)
}
