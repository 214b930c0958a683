//! Gives a complete file its name without replacing another file. File systems differ in the ways that they support.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

use super::{identity, temporary_name};

/// A way to move a file to its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// rename(2), in place of what has the name.
    Replace,
    /// renameat2(2) with RENAME_NOREPLACE.
    NoReplace,
    /// A second name, then without the first: FUSE, NFS and 9p do not have RENAME_NOREPLACE.
    Link,
    /// In place of an empty file that was created as nobody else's: exFAT has no hard links, either. Who is killed
    /// between the two leaves an empty file.
    Placeholder,
}

impl Naming {
    /// The ways that fit, the best first.
    fn ways(force: bool) -> &'static [Naming] {
        if force { &[Naming::Replace] } else { &[Naming::NoReplace, Naming::Link, Naming::Placeholder] }
    }

    /// The first way that the file system of `partial`, which we have locked, takes: tried with an empty file beside it.
    ///
    /// # Errors
    /// Why it takes none.
    pub fn probe(partial: &Path, force: bool) -> io::Result<Naming> {
        let [from, to] = [".probe", ".probed"].map(|ending| temporary_name(partial, ending));
        let mut refused = io::Error::from(ErrorKind::Unsupported);
        for way in Naming::ways(force) {
            [&from, &to].into_iter().try_for_each(|name| remove_empty(name))?;
            create(&from)?;
            let given = way.give(&from, &to);
            [&from, &to].into_iter().try_for_each(|name| remove_empty(name))?;
            match given {
                Ok(()) => return Ok(*way),
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }

    /// Moves the file `from` to the name `to`.
    ///
    /// # Errors
    /// What the file system says; the file has its old name then.
    pub fn give(self, from: &Path, to: &Path) -> io::Result<()> {
        match self {
            Naming::Replace => std::fs::rename(from, to),
            Naming::NoReplace => Ok(renameat2(AT_FDCWD, from, AT_FDCWD, to, RenameFlags::RENAME_NOREPLACE)?),
            Naming::Link => link(from, to),
            Naming::Placeholder => {
                create(to)?;
                std::fs::rename(from, to).inspect_err(|_| {
                    let _ = remove_empty(to);
                })
            }
        }
    }
}

fn link(from: &Path, to: &Path) -> io::Result<()> {
    match std::fs::hard_link(from, to) {
        // A server may execute a request twice and answer for the second (link(2), "BUGS").
        Err(error) if error.kind() == ErrorKind::AlreadyExists && is_same(from, to) => (),
        linked => linked?,
    }
    // With two links, the file has its final name, too.
    let _ = std::fs::remove_file(from);
    Ok(())
}

fn is_same(a: &Path, b: &Path) -> bool {
    let [a, b] = [a, b].map(|path| path.symlink_metadata().ok());
    a.zip(b).is_some_and(|(a, b)| identity(&a) == identity(&b))
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).custom_flags(libc::O_CLOEXEC).open(path)
}

/// Removes an empty file, which is all that a probe can have left.
fn remove_empty(path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        Ok(found) if found.is_file() && found.size() == 0 => std::fs::remove_file(path),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_moves_a_file_and_only_force_replaces_one() {
        let dir = tempfile::tempdir().unwrap();
        let [from, to] = ["from", "to"].map(|name| dir.path().join(name));
        for way in [Naming::NoReplace, Naming::Link, Naming::Placeholder, Naming::Replace] {
            std::fs::write(&from, "new").unwrap();
            way.give(&from, &to).unwrap();
            assert_eq!(std::fs::read(&to).unwrap(), b"new", "{way:?}");
            assert!(!from.exists(), "{way:?}");
            std::fs::write(&from, "newer").unwrap();
            let replaced = way.give(&from, &to);
            assert_eq!(replaced.is_ok(), way == Naming::Replace, "{way:?}");
            if let Err(error) = replaced {
                assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{way:?}");
                assert_eq!([&from, &to].map(|path| std::fs::read(path).unwrap()), [&b"newer"[..], b"new"], "{way:?}");
                std::fs::remove_file(&to).unwrap();
            }
        }
    }

    #[test]
    fn a_probe_leaves_nothing_and_touches_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let partial = dir.path().join("t.partial");
        std::fs::write(dir.path().join("t.partial.probe"), "").unwrap();
        assert_eq!(Naming::probe(&partial, false).unwrap(), Naming::NoReplace);
        assert_eq!(Naming::probe(&partial, true).unwrap(), Naming::Replace);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        std::fs::write(dir.path().join("t.partial.probe"), "of somebody").unwrap();
        assert!(Naming::probe(&partial, false).is_err());
        assert_eq!(std::fs::read(dir.path().join("t.partial.probe")).unwrap(), b"of somebody");
    }
}
