//! The files of a recording: one, or with rotation and the flight recorder a numbered series, each chained to the one
//! before.
//!
//! Owns names, space for the footer, and the order of closing: sync, then name. Does not own their content.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use nix::unistd::{Gid, Uid, fchown};
use serde_json::Value;

use crate::output::{self, Left, Output, PARTIAL, directory};
use crate::record::journal;
use crate::record::output::footer_reserve::Reserve;
use crate::schema::group::EncodedGroup;
use crate::schema::manifest::{Clocks, Manifest, Segment};
use crate::schema::partial::PartialGroup;
use crate::schema::sign::{Key, signature_path};
use crate::schema::writer::CaptureFile;

/// What a recording writes.
#[derive(Debug, Default)]
pub struct Plan {
    /// `-o`.
    pub output: PathBuf,
    /// `--force`.
    pub force: bool,
    /// Whether files are numbered.
    pub numbered: bool,
    /// `-W`: most files kept.
    pub max_files: Option<usize>,
    /// `--sign-key`.
    pub key: Option<Key>,
    /// Who gets the finished files: whoever has to read them.
    pub owner: Option<(Uid, Gid)>,
}

/// A file that was finished.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Its name.
    pub path: PathBuf,
    /// Its root digest, in hexadecimal.
    pub root: String,
}

#[derive(Debug)]
struct Open {
    capture: CaptureFile,
    /// The same file, to be synced by others.
    file: Arc<File>,
}

/// A file that is complete; it stays locked until it has its name.
#[derive(Debug)]
struct Closed {
    output: Output,
    finished: Finished,
    locked: Arc<File>,
}

/// The files of one recording.
#[derive(Debug)]
pub struct Series {
    plan: Plan,
    /// Number of the present file, from 1.
    index: u64,
    /// When it began.
    began: Clocks,
    /// Its name; none where nothing is written.
    output: Option<Output>,
    /// Where it is written, once its begin is known.
    created: Option<File>,
    open: Option<Open>,
    /// A file that is complete, and not yet named.
    closed: Option<Closed>,
    previous: Option<Finished>,
    finished: VecDeque<Finished>,
    reserve: Reserve,
}

/// The unfinished files of the recording that writes `output`, in order.
fn unfinished(output: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory(output)).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name());
    let mut found: Vec<_> = names.filter(|name| is_unfinished(name, output)).collect();
    found.sort_unstable();
    found.into_iter().map(|name| output.with_file_name(name)).collect()
}

/// Whether an unfinished file of `output` can have that name: `trace.parquet.partial`, `trace-0001.parquet.partial`.
fn is_unfinished(name: &OsStr, output: &Path) -> bool {
    let bytes = |text: &OsStr| text.as_encoded_bytes().to_vec();
    let Some(name) = name.as_encoded_bytes().strip_suffix(PARTIAL.as_bytes()) else { return false };
    let own = bytes(output.file_name().unwrap_or_default());
    let stem = bytes(output.file_stem().unwrap_or_default());
    let behind_number = own.get(stem.len()..).unwrap_or_default();
    let number = name.strip_prefix(&*stem).and_then(|rest| rest.strip_prefix(b"-")?.strip_suffix(behind_number));
    name == own || number.is_some_and(|number| number.len() >= 4 && number.iter().all(u8::is_ascii_digit))
}

/// Refuses a recording that another process makes: it holds the locks of its unfinished file and its journal. `own` is
/// ours.
fn refuse_live(output: &Path, own: Option<&Path>) -> Result<()> {
    for path in unfinished(output).into_iter().chain(journal::files(output)).filter(|path| Some(&**path) != own) {
        if let Ok(Left::Held(holder)) = output::look(&path, false) {
            bail!("{}", output::in_use(&path, holder))
        }
    }
    Ok(())
}

/// The name of file number `index`: `trace-0001.parquet`.
pub fn numbered(output: &Path, index: u64) -> PathBuf {
    let mut name = output.file_stem().unwrap_or_default().to_os_string();
    name.push(format!("-{index:04}"));
    if let Some(extension) = output.extension() {
        name.push(".");
        name.push(extension);
    }
    output.with_file_name(name)
}

impl Plan {
    fn path(&self, index: u64) -> PathBuf {
        if self.numbered { numbered(&self.output, index) } else { self.output.clone() }
    }
}

/// Refuses to write where a recording has left its journal.
fn refuse_left(output: &Path) -> Result<()> {
    let Some(left) = journal::exists(output) else { return Ok(()) };
    let (name, left) = (output.display(), left.display());
    match unfinished(output).last() {
        Some(partial) => bail!(
            "{left} exists: a recording of {name} did not finish: recover it with `vmtrace recover {} -o FILE`; or choose \
             another -o, or drop it with --force",
            partial.display()
        ),
        None => bail!("{left} is left of a recording that has finished: remove it, or choose another -o"),
    }
}

impl Series {
    /// Creates the first file under its temporary name.
    ///
    /// # Errors
    /// As [`Output::create`], and when another process makes a recording of that name, or left one.
    pub fn create(plan: Plan) -> Result<Self> {
        // This also holds if the files themselves have numbers.
        output::check_kind(&plan.output)?;
        refuse_live(&plan.output, None)?;
        if !plan.force {
            refuse_left(&plan.output)?;
        }
        if plan.key.is_some() {
            output::check_kind(&signature_path(&plan.path(1)))?;
        }
        let created = Output::create(&plan.path(1), PARTIAL, plan.force)?;
        // A recorder that started at the same time with the same name has created its file by now, or sees this one.
        let alone = refuse_live(&plan.output, Some(created.0.partial()));
        let cleared = alone.and_then(|()| if plan.force { journal::remove_all(&plan.output) } else { Ok(()) });
        if let Err(error) = cleared {
            created.0.discard();
            return Err(error);
        }
        Ok(Series::on(plan, created))
    }

    /// The same in a file that was created elsewhere.
    pub fn on(plan: Plan, (output, file): (Output, File)) -> Self {
        let reserve = Reserve::beside(directory(&plan.output));
        Series {
            plan,
            index: 1,
            began: Clocks::default(),
            output: Some(output),
            created: Some(file),
            open: None,
            closed: None,
            previous: None,
            finished: VecDeque::new(),
            reserve,
        }
    }

    /// No file is written.
    pub fn nowhere() -> Self {
        Series {
            plan: Plan::default(),
            index: 1,
            began: Clocks::default(),
            output: None,
            created: None,
            open: None,
            closed: None,
            previous: None,
            finished: VecDeque::new(),
            reserve: Reserve::beside(Path::new(".")),
        }
    }

    /// Writes the begin of the next file. `begin` is when it begins, `first_seq` the number of its first row.
    ///
    /// # Errors
    /// When it cannot be created or written.
    pub fn begin(&mut self, manifest: &Manifest, begin: Clocks, first_seq: u64) -> Result<()> {
        if self.output.is_none() {
            return Ok(());
        }
        let file = match self.created.take() {
            Some(file) => file,
            None => {
                let (output, file) = Output::create(&self.plan.path(self.index + 1), PARTIAL, self.plan.force)?;
                self.output = Some(output);
                self.index += 1;
                file
            }
        };
        self.began = begin;
        let manifest = self.complete(manifest, first_seq);
        let file = Arc::new(file);
        let copy = file.try_clone().with_context(|| self.partial())?;
        let capture =
            CaptureFile::create(copy, &manifest).with_context(|| format!("{} cannot be written", self.partial()))?;
        self.reserve.hold(capture.footer_estimate());
        self.open = Some(Open { capture, file });
        Ok(())
    }

    /// The name of the present file until it is complete, for messages.
    pub fn partial(&self) -> String {
        self.output.as_ref().map_or(String::new(), |output| output.partial().display().to_string())
    }

    /// The manifest with the file's place in the series.
    fn complete(&self, manifest: &Manifest, first_seq: u64) -> Manifest {
        let segment = self.segment(first_seq).or(manifest.segment.clone());
        Manifest { segment, ..manifest.clone() }
    }

    fn segment(&self, first_seq: u64) -> Option<Segment> {
        let previous = self.previous.as_ref();
        self.plan.numbered.then(|| Segment {
            index: self.index,
            begin: self.began,
            first_seq,
            previous_root: previous.map(|p| p.root.clone()),
            previous_file: previous.and_then(|p| p.path.file_name()).map(|name| name.to_string_lossy().into_owned()),
            last: None,
        })
    }

    /// Appends a row group of another file, as it is.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn adopt(&mut self, source: &File, group: &PartialGroup) -> io::Result<()> {
        let open = self.open.as_mut().ok_or_else(|| io::Error::other("no file is open"))?;
        open.capture.adopt(source, group)
    }

    /// Appends a row group. When that fails, the file is as it was.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn append(&mut self, group: &EncodedGroup, clocks: Clocks, checkpoint: &Value) -> io::Result<()> {
        let open = self.open.as_mut().ok_or_else(|| io::Error::other("no file is open"))?;
        open.capture.append(group, clocks, checkpoint)?;
        self.reserve.hold(open.capture.footer_estimate());
        Ok(())
    }

    /// Writes a footer for the time being, so that the present file can be read: the next row group takes its place.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_footer(&mut self, manifest: &Manifest) -> io::Result<()> {
        let open = self.open.as_mut().ok_or_else(|| io::Error::other("no file is open"))?;
        open.capture.close(manifest).map(drop)
    }

    /// Completes the present file and brings it to the disk; [`Series::publish`] names it.
    ///
    /// # Errors
    /// When it cannot be written; it is as it was then.
    pub fn close(&mut self, manifest: &Manifest, first_seq: u64) -> Result<()> {
        let manifest = self.complete(manifest, first_seq);
        let Some(output) = self.output.clone() else { return Ok(()) };
        let partial = self.partial();
        let open = self.open.as_mut().with_context(|| format!("{partial}: no file is open"))?;
        // The reserved space is for the footer.
        self.reserve.release();
        let root = open.capture.close(&manifest).with_context(|| partial.clone())?;
        open.capture.sync().with_context(|| partial.clone())?;
        let file = open.file.clone();
        self.open = None;
        let finished = Finished { path: output.path().to_path_buf(), root };
        self.previous = Some(finished.clone());
        self.closed = Some(Closed { output, finished, locked: file });
        Ok(())
    }

    /// Names the file that was closed, and signs it. Old ones beyond `-W` go. Returns its name.
    ///
    /// # Errors
    /// When it cannot be named; it keeps its temporary name. A missing signature is an error, too.
    pub fn publish(&mut self) -> Result<Option<PathBuf>> {
        let Some(Closed { output, finished, locked }) = self.closed.take() else { return Ok(None) };
        output.publish()?;
        let path = finished.path.clone();
        // By the file itself, in both: its name may be another's by now. Who owns a file can change it: it is signed before.
        let signed = self.plan.key.as_ref().map_or(Ok(()), |key| key.sign(&locked, &path));
        if let Some((uid, gid)) = self.plan.owner {
            // A command that cannot read it says so.
            let _ = fchown(&*locked, Some(uid), Some(gid));
        }
        self.finished.push_back(finished);
        while self.plan.max_files.is_some_and(|most| self.finished.len() > most) {
            self.drop_oldest();
        }
        signed.with_context(|| format!("{} is not signed", path.display()))?;
        Ok(Some(path))
    }

    /// Removes the oldest finished file of this recording. Whether there was one.
    pub fn drop_oldest(&mut self) -> bool {
        let Some(oldest) = self.finished.pop_front() else { return false };
        let _ = std::fs::remove_file(signature_path(&oldest.path));
        std::fs::remove_file(&oldest.path).is_ok()
    }

    /// Keeps the first file locked, for who may have to remove it.
    pub fn lock(&self) -> Option<File> {
        self.created.as_ref()?.try_clone().ok()
    }

    /// From now on files are numbered, this one included.
    pub fn number(&mut self) {
        if !self.plan.numbered {
            self.plan.numbered = true;
            let path = self.plan.path(self.index);
            self.output.iter_mut().for_each(|output| output.rename(&path));
        }
    }

    /// Number of the present file, from 1.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Row groups in the present file.
    pub fn groups(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.capture.groups())
    }

    /// Bytes that the present file would have if it were closed now.
    pub fn bytes(&self) -> u64 {
        self.open.as_ref().map_or(0, |open| open.capture.bytes() + open.capture.footer_estimate())
    }

    /// The present file, to be synced.
    pub fn file(&self) -> Option<Arc<File>> {
        self.open.as_ref().map(|open| open.file.clone())
    }

    /// The name that the present file will have; none where nothing is written.
    pub fn output(&self) -> Option<&Output> {
        self.output.as_ref()
    }

    /// What is said when the recording cannot go on: where what was written is, and how to get at it. Names only files that
    /// are there.
    pub fn left(&self) -> String {
        let journal = journal::exists(&self.plan.output);
        let Some(output) = &self.output else { return "recording stopped".to_string() };
        match (output.present(), journal) {
            (Some(at), _) if at == output.partial() => {
                let at = at.display();
                format!(
                    "recording stopped; what was written stays at {at}: recover it with `vmtrace recover {at} -o FILE`"
                )
            }
            (Some(at), Some(_)) => format!(
                "recording stopped; {0} is complete, and what came after it stays in the journal beside it: recover both with \
                 `vmtrace recover {0} -o FILE`",
                at.display()
            ),
            (Some(at), None) => format!("recording stopped; {} is complete", at.display()),
            (None, Some(_)) => "recording stopped; its unfinished file was removed while it was written, and only the \
                                journal is left"
                .to_string(),
            (None, None) => "recording stopped; its unfinished file was removed while it was written".to_string(),
        }
    }

    /// Files finished and still there, oldest first.
    pub fn finished(&self) -> impl Iterator<Item = &Finished> {
        self.finished.iter()
    }

    /// Whether a file is open.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Removes the present file, in which there is nothing worth keeping.
    pub fn discard(&mut self) {
        self.open = None;
        self.output.iter().for_each(Output::discard);
    }
}

/// Whether the disk is full, or as much of it as we may have.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}

/// An I/O error in a chain of causes, if there is one.
pub fn io_cause(error: &anyhow::Error) -> Option<&io::Error> {
    error.chain().find_map(|cause| cause.downcast_ref())
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn files_are_numbered_before_the_extension() {
        assert_eq!(numbered(Path::new("a/trace.parquet"), 1), Path::new("a/trace-0001.parquet"));
        assert_eq!(numbered(Path::new("trace"), 12_345), Path::new("trace-12345"));
        let name = OsStr::from_bytes(b"tr\xffce.parquet");
        assert_eq!(numbered(Path::new(name), 2).as_os_str().as_bytes(), b"tr\xffce-0002.parquet");
    }

    #[test]
    fn unfinished_files_of_other_recordings_are_not_ours() {
        let output = Path::new("dir/trace.parquet");
        let is = |name: &str| is_unfinished(OsStr::new(name), output);
        assert!(is("trace.parquet.partial") && is("trace-0001.parquet.partial") && is("trace-12345.parquet.partial"));
        for other in [
            "trace.parquet",
            "trace.parquet.journal-000001",
            "trace.partial",
            "trace2.parquet.partial",
            "trace-2.parquet.partial",
            "trace-0001.partial",
            "trace-old.parquet.partial",
            "trace-0001-0001.parquet.partial",
        ] {
            assert!(!is(other), "{other}");
        }
    }
}
