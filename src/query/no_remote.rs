//! Replaces `remote` in a build without feature `remote`.

use std::convert::Infallible;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, bail};
use bytes::Bytes;

use crate::schema::limits::Limits;
use crate::schema::reader::Capture;

/// None.
#[derive(Debug)]
pub struct Remote(Infallible);

/// Says which build reads it.
///
/// # Errors
/// Always.
pub fn find(word: &str, _most: usize, _found: &mut Vec<PathBuf>) -> Result<()> {
    let place = word.split(['?', '#']).next().unwrap_or_default();
    bail!("{place} is not a file, and this vmtrace reads only files: build it with --features remote")
}

/// As [`find`].
///
/// # Errors
/// Always.
pub fn open(path: &Path, _limits: Limits) -> Result<(String, Capture, Option<Arc<Remote>>)> {
    find(&path.to_string_lossy(), 0, &mut Vec::new())?;
    bail!("{} lies elsewhere", path.display())
}

impl Remote {
    /// Never called.
    ///
    /// # Errors
    /// None.
    #[allow(clippy::unused_async)]
    pub async fn read(self: &Arc<Self>, _ranges: Vec<Range<u64>>) -> Result<Vec<Bytes>> {
        match self.0 {}
    }

    /// Never called.
    ///
    /// # Errors
    /// None.
    pub fn fill(self: &Arc<Self>, _file: &File, _range: Range<u64>) -> Result<()> {
        match self.0 {}
    }
}
