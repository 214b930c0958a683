//! Capabilities of a command that reads captures: none, but where its files cannot be opened without.

use std::fs::File;
use std::path::Path;

use nix::fcntl::AtFlags;
use nix::unistd::{AccessFlags, faccessat};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_no_new_privs};

use super::{Needs, files};

/// Gives up all capabilities but those that the files need, for good.
pub fn drop(needs: &Needs) -> Result<(), String> {
    set_no_new_privs(true).map_err(|error| error.to_string())?;
    let held = capabilities(None).map_err(|error| error.to_string())?;
    if held.permitted.is_empty() {
        return Ok(());
    }
    let keep = needed(needs, held).map_err(|error| error.to_string())?;
    let none = CapabilitySet::empty();
    let left = CapabilitySets { effective: held.effective & keep, permitted: held.permitted & keep, inheritable: none };
    set_capabilities(None, left).map_err(|error| error.to_string())
}

/// What opening the files takes: each is tried with no capability in effect.
fn needed(needs: &Needs, held: CapabilitySets) -> rustix::io::Result<CapabilitySet> {
    if needs.reads_anything || needs.writes_anything {
        return Ok(CapabilitySet::DAC_READ_SEARCH | CapabilitySet::DAC_OVERRIDE);
    }
    let in_effect = |effective| set_capabilities(None, CapabilitySets { effective, ..held });
    in_effect(CapabilitySet::empty())?;
    let mut keep = CapabilitySet::empty();
    let named = needs.reads.iter().flat_map(|path| files::named(path));
    let is_closed = |path: &Path| match path.is_dir() {
        true => std::fs::read_dir(path).is_err(),
        false => is_file(path) && File::open(path).is_err(),
    };
    if named.into_iter().any(|path| is_closed(&path)) {
        keep |= CapabilitySet::DAC_READ_SEARCH;
    }
    let directories = needs.writes.iter().map(|path| files::directory(path)).chain(needs.temporary());
    if directories.into_iter().any(|directory| !can_write_in(&directory)) {
        keep |= CapabilitySet::DAC_OVERRIDE | CapabilitySet::FOWNER;
    }
    in_effect(held.effective)?;
    Ok(keep)
}

/// Whether it may be opened to see whether it can be: a FIFO would wait. What cannot be looked at is one that capabilities may open.
fn is_file(path: &Path) -> bool {
    match std::fs::metadata(path) {
        Ok(found) => found.is_file(),
        Err(error) => error.kind() == std::io::ErrorKind::PermissionDenied,
    }
}

fn can_write_in(directory: &Path) -> bool {
    faccessat(nix::fcntl::AT_FDCWD, directory, AccessFlags::W_OK | AccessFlags::X_OK, AtFlags::AT_EACCESS).is_ok()
}
