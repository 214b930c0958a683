//! The captures of a bundle: copies without a name on the disk, each under the name that it has in the archive.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::count;
use crate::derive::redact::Redaction;
use crate::derive::slice;
use crate::model::time;
use crate::schema::derived;
use crate::schema::file::each_part;
use crate::schema::limits::Limits;
use crate::schema::reader::{Capture, Scan};
use crate::schema::{member, stdin};

/// Where a whole capture is kept while there is a slice of it: its name is the same.
const WHOLE: &str = "whole";
/// Slices that are tried until one is small enough.
const TRIES: u32 = 16;

/// A capture of a bundle.
#[derive(Clone, Debug)]
pub struct Part {
    /// Its name in the archive. It can be opened by it.
    pub name: String,
    /// The name of its page.
    pub page: String,
    /// Bytes.
    pub size: u64,
    /// Rows.
    pub rows: u64,
    /// What was left out of it, a sentence each.
    pub left_out: Vec<String>,
    level: Option<String>,
    has_payload: bool,
}

/// A file without a name.
pub fn unnamed() -> Result<File> {
    let directory = std::env::temp_dir();
    stdin::unnamed(&directory)
        .with_context(|| format!("no temporary file can be made in {}: set TMPDIR", directory.display()))
}

/// Copies the captures, redacted if that is asked for.
///
/// # Errors
/// When one cannot be read or redacted, or there is no space.
pub fn of(files: &[PathBuf], limits: Limits, redaction: Option<&Redaction>) -> Result<Vec<Part>> {
    let mut copies = Vec::new();
    for (index, path) in files.iter().enumerate() {
        let number = if files.len() > 1 { format!("-{}", index + 1) } else { String::new() };
        let (name, page) = (format!("capture{number}.parquet"), format!("report{number}.html"));
        let capture = Capture::open_within(path, limits)?;
        let copy = unnamed()?;
        match redaction {
            Some(redaction) => drop(redaction.write(&capture, &name, copy.try_clone()?)?),
            None => copy_bytes(&capture, &copy).with_context(|| path.display().to_string())?,
        }
        copies.push((name, page, copy));
    }
    // From here on, nothing is opened but these: one of the originals may have the same name.
    copies.into_iter().map(|(name, page, copy)| Part::put(name, page, copy, limits)).collect()
}

fn copy_bytes(capture: &Capture, mut to: &File) -> Result<()> {
    Ok(each_part(capture.file(), &(0..capture.size()), |bytes| to.write_all(bytes))?)
}

impl Part {
    fn put(name: String, page: String, copy: File, limits: Limits) -> Result<Self> {
        member::put(PathBuf::from(&name), copy);
        let mut part = Part { name, page, size: 0, rows: 0, left_out: Vec::new(), level: None, has_payload: false };
        part.look(limits)?;
        Ok(part)
    }

    /// Notes what the capture states.
    fn look(&mut self, limits: Limits) -> Result<()> {
        let capture = self.open(limits)?;
        let level = derived::redaction(&capture.manifest().derived_from).map(|redaction| redaction.level.clone());
        self.has_payload = level.is_none() && capture.payload_bytes() != Some(0);
        (self.size, self.rows, self.level) = (capture.size(), capture.rows(), level);
        Ok(())
    }

    /// Opens it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn open(&self, limits: Limits) -> Result<Capture> {
        Capture::open_within(Path::new(&self.name), limits)
    }

    /// The level at which it is redacted.
    pub fn level(&self) -> Option<String> {
        self.level.clone()
    }

    /// Whether captured bytes are in it that can be left out.
    pub fn has_payload(&self) -> bool {
        self.has_payload
    }

    /// Leaves captured bytes out.
    ///
    /// # Errors
    /// When it cannot be read, or there is no space.
    pub fn drop_payload(&mut self, redaction: &Redaction, limits: Limits) -> Result<()> {
        let copy = unnamed()?;
        let removed = redaction.write(&self.open(limits)?, &self.name, copy.try_clone()?)?;
        if removed == 0 {
            self.has_payload = false;
            return Ok(());
        }
        member::put(PathBuf::from(&self.name), copy);
        let (name, rows) = (&self.name, count::rows(removed));
        self.left_out
            .push(format!("{name}: captured bytes (payloads) of {rows} are left out; their lengths are kept."));
        self.look(limits)
    }

    /// Keeps the whole capture aside, so that slices can be made of it.
    ///
    /// # Errors
    /// When it cannot be opened again.
    pub fn keep_whole(&self, limits: Limits) -> Result<Whole> {
        let path = PathBuf::from(WHOLE).join(&self.name);
        member::put(path.clone(), self.open(limits)?.file().try_clone()?);
        Ok(Whole { path, size: self.size, left_out: self.left_out.clone() })
    }

    /// Takes the last events of a whole capture that fit into `most` bytes, and says which these are. Where none do, the size of
    /// the smallest part is the error of the result.
    ///
    /// # Errors
    /// When it cannot be read, or there is no space.
    pub fn cut(&mut self, whole: &Whole, most: u64, limits: Limits) -> Result<Result<(), u64>> {
        let capture = Capture::open_within(&whole.path, limits)?;
        let Some(rows) = numbers(&capture) else { return Ok(Err(whole.size)) };
        let (begin, file) = match self.largest(whole, rows, most, limits)? {
            Ok(largest) => largest,
            Err(smallest) => return Ok(Err(smallest)),
        };
        member::put(PathBuf::from(&self.name), file);
        self.look(limits)?;
        self.left_out.clone_from(&whole.left_out);
        self.left_out.push(self.what_is_kept(&capture, begin, limits)?);
        Ok(Ok(()))
    }

    /// The slice from the lowest row number on that has no more than `most` bytes, among those that are tried; or the size of the
    /// smallest.
    fn largest(&self, whole: &Whole, rows: (u64, u64), most: u64, limits: Limits) -> Result<Result<(u64, File), u64>> {
        let (mut large, mut small) = rows;
        let mut best = Err(whole.size);
        // As if every row took the same.
        let share = (small - large).saturating_mul(most.min(whole.size) / 256) / (whole.size / 256).max(1);
        let mut begin = small.saturating_sub(share / 10 * 9);
        for _ in 0..TRIES {
            let file = unnamed()?;
            slice::from_row(&whole.path, limits, begin, Path::new(&self.name), file.try_clone()?)?;
            let size = file.metadata()?.len();
            if size <= most {
                small = begin;
                best = Ok((begin, file));
            } else {
                large = begin.saturating_add(1);
                best = best.map_err(|smallest: u64| smallest.min(size));
            }
            let is_good = size <= most && size >= most / 10 * 8;
            if is_good || large >= small && (best.is_ok() || begin == rows.1) {
                break;
            }
            begin = if large >= small { rows.1 } else { large + (small - large) / 2 };
        }
        Ok(best)
    }

    /// A sentence about a slice from row `begin` on.
    fn what_is_kept(&self, whole: &Capture, begin: u64, limits: Limits) -> Result<String> {
        let columns = vec!["seq", "mono_ns", "ts_ns"];
        let mut times: Option<[(i64, i64); 2]> = None;
        for batch in self.open(limits)?.scan(&Scan { columns, ..Scan::default() })? {
            for event in batch?.iter().filter(|event| event.seq >= begin) {
                let at = (event.mono_ns, event.ts_ns);
                times = Some([times.map_or(at, |[first, _]| first), at]);
            }
        }
        let [first, last] = times.context("a slice has no row")?;
        let since = |at: i64| time::span(at.saturating_sub(whole.manifest().start.monotonic_ns));
        Ok(format!(
            "{}: only the last part is here, {} of {}: from {} to {} after the start of the recording ({} to {}), and of the time before \
             the process events and gaps that this part needs.",
            self.name,
            count::grouped(self.rows),
            count::rows(whole.rows()),
            since(first.0),
            since(last.0),
            time::utc(first.1),
            time::utc(last.1)
        ))
    }
}

/// A whole capture that slices are made of.
#[derive(Clone, Debug)]
pub struct Whole {
    path: PathBuf,
    /// Bytes.
    pub size: u64,
    left_out: Vec<String>,
}

/// The lowest and the highest number of a row.
fn numbers(capture: &Capture) -> Option<(u64, u64)> {
    let spans: Vec<_> = (0..capture.row_group_count()).filter_map(|group| capture.span(group, "seq")).collect();
    let (first, last) = (spans.iter().map(|span| span.0).min()?, spans.iter().map(|span| span.1).max()?);
    Some((u64::try_from(first).ok()?, u64::try_from(last).ok()?)).filter(|(first, last)| first <= last)
}
