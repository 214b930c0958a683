//! The bytes of a range as a file, and beside it which of them are known.

use std::ffi::OsString;
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::json::Facts;
use super::recording::{Found, Recording};
use crate::model::memory::Claim;
use crate::output::Whole;
use crate::terminal::json_line;

/// What the name of the second file ends with.
const SIDECAR: &str = ".json";

/// Writes a range into `path`, with zeros where nothing is known, and beside it which event shows which bytes. The files get
/// their names when both are complete.
///
/// # Errors
/// When one of them exists (and not `force`), or cannot be written.
pub fn write(path: &Path, force: bool, recording: &Recording, found: &Found, range: Range<u64>) -> Result<PathBuf> {
    let beside = sidecar(path);
    let (raw, facts) = (Whole::create(path, force, 0o600)?, Whole::create(&beside, force, 0o600)?);
    let name = || format!("cannot write {}", path.display());
    // Zeros that are not written take no room.
    raw.file().set_len(range.end - range.start).with_context(name)?;
    for claim in found.memory.claims(range.clone()).filter(Claim::is_known) {
        let at = claim.range.start - range.start;
        raw.file().write_all_at(claim.bytes.unwrap_or_default(), at).with_context(name)?;
    }
    let mut text = BufWriter::new(facts.file());
    let written = json_line(&mut text, &Facts::ranges(recording, found, vec![range])).and_then(|()| text.flush());
    written.with_context(|| format!("cannot write {}", beside.display()))?;
    drop(text);
    facts.publish()?;
    raw.publish()?;
    Ok(beside)
}

fn sidecar(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(SIDECAR);
    PathBuf::from(name)
}
