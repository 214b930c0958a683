//! The unfinished files that `recover` is given, and their journal.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::output::{self, Output};
use crate::record::journal;
use crate::schema::file::{Links, open_regular};
use crate::schema::limits::Limits;
use crate::schema::manifest::{LedgerRow, Segment};
use crate::schema::partial::{self, Partial};
use crate::schema::reader::Capture;
use crate::schema::vocabulary::EndReason;

/// One unfinished file.
#[derive(Debug)]
pub struct Found {
    /// Its name.
    pub path: PathBuf,
    /// Opened.
    pub file: File,
    /// What is whole in it.
    pub partial: Partial,
    limits: Limits,
}

/// A file that was given and does not begin as a capture does: it cannot be assigned to a recording.
#[derive(Debug)]
pub struct LeftOut {
    /// Its name.
    pub path: PathBuf,
    /// What is wrong with its beginning.
    pub reason: anyhow::Error,
    /// Nothing was ever written to it.
    pub is_empty: bool,
}

impl Found {
    /// Opens it. The inner error is of a file without a whole beginning.
    fn open(path: &Path, limits: Limits) -> Result<Result<Self, LeftOut>> {
        let name = path.display();
        let file = open_regular(path, Links::Follow).with_context(|| format!("cannot open {name}"))?;
        let file = file.with_context(|| format!("{name} is not a regular file: name the .partial of a recording"))?;
        if let Err(recorder) = output::share(&file) {
            bail!("{name} is being {recorder}: end that process first; recover is for what a killed recorder left")
        }
        let path = path.to_path_buf();
        Ok(match partial::read(&file) {
            Ok(partial) => Ok(Found { path, file, partial, limits }),
            Err(reason) => {
                let is_empty = file.metadata().is_ok_and(|metadata| metadata.len() == 0);
                Err(LeftOut { path, reason, is_empty })
            }
        })
    }

    /// Its ledger, if it is a complete capture already.
    fn ledger(&self) -> Option<Vec<LedgerRow>> {
        let capture = Capture::open_within(&self.path, self.limits).ok()?;
        let manifest = capture.manifest();
        (!manifest.end_reason.is_empty()).then(|| manifest.ledger.clone())
    }

    /// Within which limits its recording is read.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Its number among the files of its recording, from 1.
    pub fn index(&self) -> u64 {
        self.partial.manifest.segment.as_ref().map_or(1, |segment| segment.index)
    }

    /// `-o` of the recording that it is of.
    pub fn recording(&self) -> PathBuf {
        recording(&self.path, self.partial.manifest.segment.as_ref())
    }
}

/// `-o` of the recording of which `path` is a file: its own name without `.partial` and, in a series, without its number.
pub fn recording(path: &Path, segment: Option<&Segment>) -> PathBuf {
    let name = path.file_name().unwrap_or_default().as_bytes();
    let name = name.strip_suffix(b".partial").unwrap_or(name);
    let number = segment.map(|segment| format!("-{:04}", segment.index)).unwrap_or_default().into_bytes();
    let at = name.windows(number.len().max(1)).rposition(|found| found == number);
    let name = match at.and_then(|at| Some((name.get(..at)?, name.get(at + number.len()..)?))) {
        Some((front, back)) => [front, back].concat(),
        None => name.to_vec(),
    };
    path.with_file_name(OsStr::from_bytes(&name))
}

/// All files of one recording, in order.
#[derive(Debug)]
pub struct Sources {
    files: Vec<Found>,
    left_out: Vec<LeftOut>,
}

impl Sources {
    /// Opens them. Those without a whole beginning are left out, if there are others: a recorder that was killed while it began a
    /// file leaves such.
    ///
    /// # Errors
    /// When none is an unfinished capture, or they are of more than one recording.
    pub fn open(paths: &[PathBuf], limits: Limits) -> Result<Self> {
        let (mut found, mut left_out) = (Vec::new(), Vec::new());
        for path in paths {
            match Found::open(path, limits)? {
                Ok(file) => found.push(file),
                Err(file) => left_out.push(file),
            }
        }
        if found.is_empty() && !left_out.is_empty() {
            let LeftOut { path, reason, .. } = left_out.swap_remove(0);
            return Err(reason.context(format!("{} is not an unfinished capture", path.display())));
        }
        found.sort_by_key(Found::index);
        for (a, b) in found.iter().zip(found.iter().skip(1)) {
            let same = a.partial.manifest.capture_id == b.partial.manifest.capture_id && a.index() != b.index();
            let (a, b) = (a.path.display(), b.path.display());
            ensure!(same, "{a} and {b} are not files of one recording: recover each separately");
        }
        for (a, b) in found.iter().zip(found.iter().skip(1)) {
            let follows = a.index().checked_add(1) == Some(b.index()) && a.ledger().is_some();
            let (a, b) = (a.path.display(), b.path.display());
            ensure!(follows, "{b} does not continue where {a} ends: recover each separately");
        }
        Ok(Sources { files: found, left_out })
    }

    /// The files.
    pub fn files(&self) -> &[Found] {
        &self.files
    }

    /// The files of which nothing can be read.
    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// The last one, which the journal goes on from.
    ///
    /// # Errors
    /// When there is none.
    pub fn last(&self) -> Result<&Found> {
        self.files.last().context("name an unfinished file")
    }

    /// What the files say in one ledger that are complete. Where the journal does not go on, all must be: `None` if the
    /// last one is not, so that nothing says what was seen.
    pub fn ledger(&self, goes_on: bool) -> Option<Vec<LedgerRow>> {
        let complete = self.files.len() - usize::from(goes_on);
        let join = |ledger: Vec<LedgerRow>, found: &Found| Some(LedgerRow::joined(&ledger, found.ledger()?));
        self.files.iter().take(complete).try_fold(Vec::new(), join)
    }

    /// The one file, if it is a complete capture already, and the end of what is left.
    ///
    /// # Errors
    /// When there is none.
    pub fn complete(&self) -> Result<Option<&Found>> {
        let last = self.last()?;
        let Ok(capture) = Capture::open_within(&last.path, last.limits) else { return Ok(None) };
        let reason = capture.manifest().end_reason.as_str();
        // If the next file of a series was not yet started, its content is in the journal alone.
        let goes_on = EndReason::Rotated.is(reason) && journal::exists(&last.recording()).is_some();
        Ok((self.files.len() == 1 && !reason.is_empty() && !goes_on).then_some(last))
    }
}

/// Creates the output under a temporary name of its own: that of a recording may be one of the inputs.
///
/// # Errors
/// As [`Output::create`].
pub fn create(path: &Path, force: bool) -> Result<(Output, File)> {
    Output::create(path, output::RECOVERING, force)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::manifest::Manifest;
    use crate::schema::writer::CaptureFile;

    #[test]
    fn a_file_without_a_whole_beginning_is_left_out_beside_others() {
        let dir = tempfile::tempdir().unwrap();
        let [whole, torn, empty] = ["whole", "torn", "empty"].map(|name| dir.path().join(name));
        let file = File::options().read(true).write(true).create_new(true).open(&whole).unwrap();
        CaptureFile::create(file, &Manifest { capture_id: "a1".into(), ..Manifest::default() }).unwrap();
        let beginning = std::fs::read(&whole).unwrap();
        std::fs::write(&torn, &beginning[..beginning.len() / 2]).unwrap();
        std::fs::write(&empty, "").unwrap();
        let open = |paths: &[&PathBuf]| {
            let paths: Vec<PathBuf> = paths.iter().map(|path| path.to_path_buf()).collect();
            Sources::open(&paths, Limits::default())
        };
        let sources = open(&[&empty, &torn, &whole]).unwrap();
        assert_eq!(sources.files().iter().map(|found| &found.path).collect::<Vec<_>>(), [&whole]);
        let left_out: Vec<_> = sources.left_out().iter().map(|file| (&file.path, file.is_empty)).collect();
        assert_eq!(left_out, [(&empty, true), (&torn, false)]);
        assert!(open(&[&whole]).unwrap().left_out().is_empty());
        let refused = format!("{:#}", open(&[&empty, &torn]).unwrap_err());
        let wanted = format!("{} is not an unfinished capture: does not begin as a capture does", empty.display());
        assert_eq!(refused, wanted);
    }

    #[test]
    fn a_recording_is_known_by_the_names_of_its_files() {
        let third = Segment { index: 3, ..Segment::default() };
        let of = |name: &[u8], segment| recording(&Path::new("a").join(OsStr::from_bytes(name)), segment);
        assert_eq!(of(b"t.parquet.partial", None), Path::new("a/t.parquet"));
        assert_eq!(of(b"t-0003.parquet.partial", Some(&third)), Path::new("a/t.parquet"));
        assert_eq!(of(b"t-0003-0003.parquet", Some(&third)), Path::new("a/t-0003.parquet"));
        assert_eq!(of(b"t-0003.parquet", None), Path::new("a/t-0003.parquet"));
        let strange = Path::new("a").join(OsStr::from_bytes(b"t\xff.parquet"));
        assert_eq!(of(b"t\xff-0003.parquet.partial", Some(&third)), strange);
    }
}
