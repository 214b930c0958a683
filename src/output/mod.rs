//! Creates the outputs of all commands. An output never replaces another file unless asked, never replaces anything but a
//! regular file, and gets its name only when it is complete.
//!
//! Owns names, modes, locks and creation. The command that writes an output owns its content.

mod lock;
mod naming;
mod place;
#[cfg(test)]
mod tests;
mod whole;

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, faccessat, geteuid};

pub use self::lock::{Holder, Left, claim, look, share};
use self::naming::Naming;
pub use self::place::{check, check_kind};
pub use self::whole::{Whole, abandon};

/// How often a temporary name is tried that others create and remove at the same time.
const ATTEMPTS: usize = 16;

/// The ending of a recording's file until it is whole: `trace.parquet.partial`.
pub const PARTIAL: &str = ".partial";
/// The same of `vmtrace recover`, whose input may have the other name.
pub const RECOVERING: &str = ".recovering";

/// An output being written under a temporary name beside its own. The file that was created with it holds the lock:
/// keep it open until the output has its name.
#[derive(Clone, Debug)]
pub struct Output {
    path: PathBuf,
    partial: PathBuf,
    naming: Naming,
    identity: Identity,
}

/// Which file a name means.
type Identity = (u64, u64);

fn identity(found: &std::fs::Metadata) -> Identity {
    (found.dev(), found.ino())
}

/// Whether `path` is a name of that file.
fn is_named(path: &Path, file: Identity) -> bool {
    path.symlink_metadata().is_ok_and(|found| identity(&found) == file)
}

/// The name until the file is whole.
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
    /// Creates the file under its temporary name, which has that `ending`, mode 0600; and finds out how it can be
    /// given its own name later.
    ///
    /// # Errors
    /// When the output exists or its temporary name is left of another (and not `force`); when a process that lives
    /// writes the temporary file; when it cannot be created, or could not be given its name.
    pub fn create(path: &Path, ending: &str, force: bool) -> Result<(Self, File)> {
        place::check(path, force)?;
        let partial = temporary_name(path, ending);
        let file = create_locked(path, &partial, force, OpenOptions::new().read(true).mode(0o600))?;
        let created = || -> Result<Self> {
            let naming = Naming::probe(&partial, force).with_context(|| {
                let directory = directory(path).display();
                format!("no complete file can get its name in {directory}: choose another -o")
            })?;
            let identity = identity(&file.metadata()?);
            Ok(Output { path: path.to_path_buf(), partial: partial.clone(), naming, identity })
        };
        match created() {
            Ok(output) => Ok((output, file)),
            Err(error) => {
                let _ = std::fs::remove_file(&partial);
                Err(error)
            }
        }
    }

    /// Another name for the output; its temporary one stays.
    pub fn rename(&mut self, path: &Path) {
        self.path = path.to_path_buf();
    }

    /// The name the output will have.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The name it has until then.
    pub fn partial(&self) -> &Path {
        &self.partial
    }

    /// The name that the file has now, if it has one.
    pub fn present(&self) -> Option<&Path> {
        [&self.partial, &self.path].into_iter().find(|name| is_named(name, self.identity)).map(PathBuf::as_path)
    }

    /// Gives the finished file its name, durably.
    ///
    /// # Errors
    /// When a file of that name has appeared meanwhile (and not `force`), or the file system refuses. The file then
    /// stays under its temporary name, unless somebody has taken it from there.
    pub fn publish(&self) -> Result<()> {
        let (path, partial) = (self.path.display(), self.partial.display());
        if !is_named(&self.partial, self.identity) {
            bail!("{path} is lost: {partial} was removed or replaced while it was written")
        }
        let give = || self.naming.give(&self.partial, &self.path).with_context(|| path.to_string());
        if let Err(error) = place::check_kind(&self.path).and_then(|()| give()) {
            match self.present() {
                Some(at) => bail!("{error:#}; the finished capture stays at {}: rename it with mv", at.display()),
                None => bail!("{error:#}; {partial} was removed while it was written"),
            }
        }
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

    /// Removes the temporary file: nothing worth keeping is in it. Another's of the same name stays.
    pub fn discard(&self) {
        if is_named(&self.partial, self.identity) {
            let _ = std::fs::remove_file(&self.partial);
        }
    }
}

/// Creates `partial`, to be written and for what else `options` have, and takes its lock. What a process that has ended left there goes if `force` is given.
///
/// Only the holder of a file's lock removes or renames it, and whoever has taken a lock looks whether the name still is
/// that file's. So of several that come at the same time, one gets the name, and nobody loses a file to another.
fn create_locked(path: &Path, partial: &Path, force: bool, options: &mut OpenOptions) -> Result<File> {
    options.write(true).create_new(true).custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC);
    for _ in 0..ATTEMPTS {
        match options.open(partial) {
            Ok(file) if lock::take(&file, partial)? => return Ok(file),
            Ok(_) => continue,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => clear(partial, force)?,
            Err(error) => return Err(explain(&error, path)),
        }
    }
    bail!("{} is created and removed by others all the time: choose another -o", partial.display())
}

/// Removes what a process that has ended left at `partial`.
fn clear(partial: &Path, force: bool) -> Result<()> {
    let name = partial.display();
    place::check_kind(partial)?;
    let advice = if partial.as_os_str().as_encoded_bytes().ends_with(PARTIAL.as_bytes()) {
        format!("it was left by a recording that did not finish: recover it with `vmtrace recover {name} -o FILE`")
    } else {
        "it was left by a vmtrace that did not finish".to_string()
    };
    match look(partial, force).with_context(|| format!("cannot open {name}"))? {
        Left::Gone => Ok(()),
        Left::Held(holder) => bail!("{}", in_use(partial, holder)),
        _ if !force => bail!("{name} exists: {advice}; or choose another -o, or replace it with --force"),
        Left::Unknown => bail!(
            "{name} exists, and since its file system has no locks, a process may still be writing it: remove it if none \
             is, or choose another -o"
        ),
        Left::Free(_locked) => std::fs::remove_file(partial).with_context(|| format!("cannot remove {name}")),
    }
}

/// The sentence about a file that another process has locked.
pub fn in_use(path: &Path, holder: Holder) -> String {
    format!("{} is being {holder}: choose another -o, or end that process first", path.display())
}

fn explain(error: &io::Error, path: &Path) -> anyhow::Error {
    let name = path.display();
    match error.kind() {
        ErrorKind::NotFound => anyhow!("the directory of {name} does not exist: create it or choose another -o"),
        _ => anyhow!("cannot create {name}: {error}; choose another -o"),
    }
}
