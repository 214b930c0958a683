//! Finds the unfinished files of a recording from any piece of it.
//!
//! Owns the search: by the capture id that every file begins with, and by name if a piece is missing or damaged.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::found::recording;
use crate::output::directory;
use crate::record::journal::{self, Base};
use crate::schema::file::{Links, open_regular};
use crate::schema::limits::Limits;
use crate::schema::partial;
use crate::schema::reader::Capture;
use crate::schema::vocabulary::EndReason;

/// A file that begins as a capture does.
#[derive(Clone, Debug)]
struct Piece {
    path: PathBuf,
    id: String,
    /// Its number among the files of its recording, from 1.
    index: u64,
    /// `-o` of the recording.
    output: PathBuf,
    /// Why it ended, if it has its footer.
    reason: Option<String>,
}

impl Piece {
    fn of(path: &Path, limits: Limits) -> Option<Self> {
        let file = open_regular(path, Links::Follow).ok()??;
        let manifest = partial::begin(&file).ok()?.manifest;
        let end = Capture::open_within(path, limits).ok().map(|capture| capture.manifest().end_reason.clone());
        Some(Piece {
            path: path.to_path_buf(),
            index: manifest.segment.as_ref().map_or(1, |segment| segment.index),
            output: recording(path, manifest.segment.as_ref()),
            id: manifest.capture_id,
            reason: end.filter(|reason| !reason.is_empty()),
        })
    }

    /// Whether nothing remains to be done with it.
    fn is_finished(&self) -> bool {
        self.reason.is_some() && self.path.extension().is_none_or(|e| e != "partial")
    }
}

/// The unfinished files of the recordings whose pieces are given, in any order.
///
/// # Errors
/// One sentence naming the piece to which there are none.
pub fn unfinished(given: &[PathBuf], limits: Limits) -> Result<Vec<PathBuf>> {
    let mut found: Vec<PathBuf> = Vec::new();
    for path in given {
        for path in of(path, limits).with_context(|| path.display().to_string())? {
            if !found.iter().any(|other| is_same(other, &path)) {
                found.push(path);
            }
        }
    }
    Ok(found)
}

fn is_same(a: &Path, b: &Path) -> bool {
    let place = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    place(a) == place(b)
}

fn of(path: &Path, limits: Limits) -> Result<Vec<PathBuf>> {
    let given = Piece::of(path, limits);
    let output = match (&given, Base::of_piece(path)) {
        (Some(given), _) => given.output.clone(),
        (None, Some((base, _))) => base.output().to_path_buf(),
        // Opening it reports what is wrong.
        (None, None) if path.symlink_metadata().is_ok() => return Ok(vec![path.to_path_buf()]),
        (None, None) => recording(path, None),
    };
    let id = given.as_ref().map(|given| given.id.clone()).or_else(|| journal::capture_id(&output));
    let mut pieces = beside(&output, id.as_deref(), limits)?;
    if let Some(given) = given.clone() {
        // Of several copies with one number, the one that was named.
        pieces.retain(|piece| piece.index != given.index);
        pieces.push(given);
    }
    pieces.sort_by_key(|piece| piece.index);
    if let Some(last) = pieces.last() {
        let other = pieces.iter().find(|piece| piece.id != last.id).map(|piece| &piece.path);
        if let Some(other) = other {
            bail!("{} and {} are of different recordings: name one of them", other.display(), last.path.display());
        }
    }
    match chain(&pieces, given.as_ref()) {
        files if files.is_empty() => nothing(&output, &pieces),
        files => Ok(files),
    }
}

/// Symbolic links in a directory: pieces can be behind them.
pub fn links(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_symlink())).map(|entry| entry.path()).collect()
}

/// The files that begin as captures of that recording do; where its id is not known, by their names.
fn beside(output: &Path, id: Option<&str>, limits: Limits) -> Result<Vec<Piece>> {
    let stem = output.file_stem().unwrap_or_default();
    let entries = std::fs::read_dir(directory(output)).context("its directory cannot be read")?;
    let named = |path: &PathBuf| path.file_name().is_some_and(|name| name.as_bytes().starts_with(stem.as_bytes()));
    // As paths of the command line, so that messages name them that way.
    let paths = entries.flatten().map(|entry| output.with_file_name(entry.file_name())).filter(named);
    let ours = |piece: &Piece| id.map_or_else(|| piece.output == output, |id| piece.id == id);
    let mut pieces: Vec<Piece> = Vec::new();
    for piece in paths.filter_map(|path| Piece::of(&path, limits)).filter(ours) {
        match pieces.iter_mut().find(|other| other.index == piece.index && other.id == piece.id) {
            // A copy under another name.
            Some(other) if piece.path.as_os_str().len() < other.path.as_os_str().len() => *other = piece,
            Some(_) => (),
            None => pieces.push(piece),
        }
    }
    Ok(pieces)
}

/// The last unfinished file, and those directly before it that only lack their names. Where one was named that is not
/// among them, that alone.
fn chain(pieces: &[Piece], given: Option<&Piece>) -> Vec<PathBuf> {
    let mut chain: Vec<&Piece> = Vec::new();
    for piece in pieces.iter().rev().filter(|piece| !piece.is_finished()) {
        let follows = |next: &&Piece| piece.index.checked_add(1) == Some(next.index) && piece.reason.is_some();
        if chain.last().is_some_and(|next| !follows(next)) {
            break;
        }
        chain.push(piece);
    }
    match given.filter(|given| !given.is_finished() && chain.iter().all(|piece| piece.path != given.path)) {
        Some(given) => vec![given.path.clone()],
        None => chain.into_iter().map(|piece| piece.path.clone()).collect(),
    }
}

/// No file is unfinished. Where the next one of a series was not begun yet, what belongs into it stands in the journal
/// alone.
fn nothing(output: &Path, pieces: &[Piece]) -> Result<Vec<PathBuf>> {
    let journal = journal::exists(output);
    let Some(last) = pieces.last() else {
        ensure!(journal.is_none(), "the unfinished file of its recording is not beside the journal: name that file");
        bail!("there is no such file, and no unfinished one of its recording");
    };
    let rest = match journal {
        Some(_) if last.reason.as_deref() == Some(EndReason::Rotated.as_str()) => return Ok(vec![last.path.clone()]),
        Some(left) => format!("; {} and what follows it can be removed", left.display()),
        None => String::new(),
    };
    bail!("{} is a finished capture: there is nothing to recover{rest}", last.path.display())
}
