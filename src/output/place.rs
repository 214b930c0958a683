//! What exists at the path of an output: nothing, or a regular file that may be replaced. Anything else is refused.

use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use anyhow::{Result, bail, ensure};

/// Checks that an output can be called `path`; with `force`, in place of the file that has the name.
///
/// # Errors
/// As [`check_kind`], and when it exists (and not `force`).
pub fn check(path: &Path, force: bool) -> Result<()> {
    check_kind(path)?;
    let exists = path.symlink_metadata().is_ok();
    ensure!(force || !exists, "{} exists: choose another -o, or replace it with --force", path.display());
    Ok(())
}

/// Checks that nothing but a regular file has the name `path`.
///
/// # Errors
/// One sentence that says what has the name. It advises no --force, which is for files alone.
pub fn check_kind(path: &Path) -> Result<()> {
    ensure!(
        path != Path::new("-"),
        "-o -: vmtrace writes a file and not a stream: name one with -o (./- is a file of that name)"
    );
    // If the path cannot be examined, creating the file fails as well, with the reason.
    let Ok(found) = path.symlink_metadata() else { return Ok(()) };
    let kind = found.file_type();
    let what = if kind.is_dir() {
        bail!("{} is a directory: name a file in it with -o", path.display())
    } else if kind.is_symlink() {
        match path.read_link() {
            Ok(target) => format!("a symbolic link to {}", target.display()),
            Err(_) => "a symbolic link".to_string(),
        }
    } else if kind.is_char_device() || kind.is_block_device() {
        "a device".to_string()
    } else if kind.is_fifo() {
        "a FIFO".to_string()
    } else if kind.is_socket() {
        "a socket".to_string()
    } else {
        return Ok(());
    };
    bail!("{} is {what}; vmtrace writes a file: choose another -o", path.display())
}
