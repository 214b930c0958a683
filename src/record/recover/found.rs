//! The unfinished files that `recover` is given, and the journal that belongs to them.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::output::{self, Output};
use crate::record::encode::ROTATED;
use crate::record::journal;
use crate::schema::partial::{self, Partial};
use crate::schema::reader::Capture;

/// One unfinished file.
#[derive(Debug)]
pub struct Found {
    /// Its name.
    pub path: PathBuf,
    /// Opened.
    pub file: File,
    /// What is whole in it.
    pub partial: Partial,
}

impl Found {
    fn open(path: &Path) -> Result<Self> {
        let name = path.display();
        // A FIFO or device must not make us wait: look before opening.
        let kind = std::fs::metadata(path).with_context(|| format!("cannot open {name}"))?;
        ensure!(kind.is_file(), "{name} is not a regular file: name the .partial of a recording");
        let file = File::open(path).with_context(|| format!("cannot open {name}"))?;
        if let Err(recorder) = output::share(&file) {
            bail!("{name} is being {recorder}: end that process first; recover is for what a killed recorder left")
        }
        let partial = partial::read(&file).with_context(|| format!("{name} is not an unfinished capture"))?;
        Ok(Found { path: path.to_path_buf(), file, partial })
    }

    /// Its number among the files of its recording, from 1.
    pub fn index(&self) -> u64 {
        self.partial.manifest.segment.as_ref().map_or(1, |segment| segment.index)
    }

    /// `-o` of the recording that it is of: its own name without `.partial` and, in a series, without its number.
    pub fn recording(&self) -> PathBuf {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let name = name.strip_suffix(".partial").unwrap_or(&name).to_string();
        let number = self.partial.manifest.segment.as_ref().map(|segment| format!("-{:04}", segment.index));
        let name = match number.and_then(|number| Some((name.rfind(&number)?, number.len()))) {
            Some((at, len)) => [name.get(..at), name.get(at + len..)].into_iter().flatten().collect(),
            None => name,
        };
        self.path.with_file_name(name)
    }
}

/// All files of one recording, in order.
#[derive(Debug)]
pub struct Sources(Vec<Found>);

impl Sources {
    /// Opens them.
    ///
    /// # Errors
    /// When one is no unfinished capture, or they are of more than one recording.
    pub fn open(paths: &[PathBuf]) -> Result<Self> {
        let mut found = paths.iter().map(|path| Found::open(path)).collect::<Result<Vec<_>>>()?;
        found.sort_by_key(Found::index);
        for (a, b) in found.iter().zip(found.iter().skip(1)) {
            let same = a.partial.manifest.capture_id == b.partial.manifest.capture_id && a.index() != b.index();
            let (a, b) = (a.path.display(), b.path.display());
            ensure!(same, "{a} and {b} are not files of one recording: recover each of its own");
        }
        Ok(Sources(found))
    }

    /// The files.
    pub fn files(&self) -> &[Found] {
        &self.0
    }

    /// The last one, which the journal goes on from.
    ///
    /// # Errors
    /// When there is none.
    pub fn last(&self) -> Result<&Found> {
        self.0.last().context("name an unfinished file")
    }

    /// The one file, if it is a complete capture already, and the end of what is left.
    ///
    /// # Errors
    /// When there is none.
    pub fn complete(&self) -> Result<Option<&Found>> {
        let last = self.last()?;
        let Ok(capture) = Capture::open(&last.path) else { return Ok(None) };
        let reason = capture.manifest().end_reason.as_str();
        // Where the next file of a series was not begun yet, what belongs into it stands in the journal alone.
        let goes_on = reason == ROTATED && journal::exists(&last.recording()).is_some();
        Ok((self.0.len() == 1 && !reason.is_empty() && !goes_on).then_some(last))
    }
}

/// Creates the output under a temporary name of its own: that of a recording may be one of the inputs.
///
/// # Errors
/// As [`Output::create`].
pub fn create(path: &Path, force: bool) -> Result<(Output, File)> {
    Output::create(path, output::RECOVERING, force)
}
