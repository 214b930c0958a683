//! Zip archives in the place of captures: a bundle, or any archive that somebody has put captures into.
//!
//! Owns what a FILE means that is such an archive, and that the captures in it are copied to where they can be read: into files
//! without a name, so that nothing is left of them. What an archive may be is for `zip`.

pub mod sums;
pub mod zip;

use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};

use self::zip::{Entry, Zip};
use crate::schema::file::{Links, open_regular};
use crate::schema::limits::MAX_CAPTURES;
use crate::schema::member;
use crate::schema::quote::quoted;
use crate::schema::stdin;

/// How the name of a capture ends.
const CAPTURE: &str = ".parquet";
/// Captures that an error names.
const NAMED: usize = 3;

/// The captures that `given` means, in order: a zip archive means all captures in it, `ARCHIVE:NAME` one of them. What is
/// no archive stays, whatever it is.
///
/// # Errors
/// One sentence that names the archive: what is wrong with it, or that there is no capture in it.
pub fn files(given: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for path in given {
        match Found::at(path)? {
            None => all.push(path.clone()),
            Some(found) => all.extend(found.captures(usize::MAX)?),
        }
    }
    Ok(all)
}

/// The one capture that `given` means.
///
/// # Errors
/// As [`files`], and when it is an archive with several.
pub fn file(given: &Path) -> Result<PathBuf> {
    match Found::at(given)? {
        None => Ok(given.to_path_buf()),
        Some(found) => found.captures(1)?.pop().context("no capture was found"),
    }
}

/// All that is in an archive.
pub struct Contents {
    /// What it is called.
    pub name: String,
    /// The digests that it states; `None` if it states none.
    pub sums: Option<sums::Sums>,
    /// Its files, in their order.
    pub files: Vec<Content>,
    /// How many bytes belong to no file that the archive lists.
    pub unlisted: u64,
}

/// A file in an archive.
pub struct Content {
    /// Its name.
    pub name: String,
    /// Its digest, or why it cannot be unpacked.
    pub digest: Result<String>,
    /// What it can be opened with, if it is a capture.
    pub capture: Option<PathBuf>,
}

/// Reads all that is in the archive `given`, for whoever checks it. Captures that are damaged can be opened, too.
///
/// # Errors
/// As [`files`], and when it is no archive.
pub fn contents(given: &Path) -> Result<Contents> {
    let name = given.display().to_string();
    let is_there = given == Path::new(stdin::DASH) || given.exists();
    let found = if is_there { Found::at(given)? } else { bail!("cannot open {name}: there is no such file") };
    let found = found.with_context(|| format!("{name} is no zip archive: name what `vmtrace bundle` wrote"))?;
    let captures = found.zip.entries().iter().filter(|entry| entry.name.ends_with(CAPTURE)).count();
    ensure!(captures <= MAX_CAPTURES, "{name} holds {captures} captures, and at most {MAX_CAPTURES} are read of one");
    found.zip.check_room(&found.zip.entries().iter().collect::<Vec<_>>())?;
    let files = found.zip.entries().iter().map(|entry| found.content(entry)).collect::<Result<_>>()?;
    Ok(Contents { name, sums: found.zip.sums()?, files, unlisted: found.zip.unlisted_bytes() })
}

/// Whether a capture is in an archive, and not a file that others can open.
pub fn is_in_archive(path: &Path) -> bool {
    member::is_there(path)
}

/// Checks that `output` is none of the files that are read: as they are named, standard input, or an archive of which a
/// capture is named.
///
/// # Errors
/// When it is one.
pub fn check_apart(given: &[PathBuf], output: &Path) -> Result<()> {
    let Ok(own) = output.symlink_metadata().map(|found| identity(&found)) else { return Ok(()) };
    let is_read = given.iter().any(|word| read_by(word).contains(&own));
    ensure!(!is_read, "{} is one of the files that are read: choose another -o", output.display());
    Ok(())
}

/// The files that a word of the command line reads, by device and inode.
pub fn read_by(word: &Path) -> Vec<(u64, u64)> {
    let stdin = Path::new("/proc/self/fd/0");
    let itself = if word == Path::new(stdin::DASH) { stdin } else { word };
    if let Ok(found) = itself.metadata() {
        return vec![identity(&found)];
    }
    archives(word).filter_map(|(archive, _)| archive.metadata().ok()).map(|found| identity(&found)).collect()
}

fn identity(found: &std::fs::Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}

/// What `word` can be as the name of an archive and of a capture in it, the longest archive first.
fn archives(word: &Path) -> impl Iterator<Item = (&Path, &str)> {
    let bytes = word.as_os_str().as_bytes();
    let colons = bytes.iter().enumerate().rev().filter(|(_, byte)| **byte == b':');
    colons.filter_map(|(at, _)| {
        let (front, back) = (bytes.get(..at)?, bytes.get(at + 1..)?);
        Some((Path::new(std::ffi::OsStr::from_bytes(front)), std::str::from_utf8(back).ok()?))
    })
}

/// An archive that a word of the command line means.
struct Found {
    zip: Zip,
    /// The archive's name, as it was given.
    name: PathBuf,
    /// The capture in it that is meant alone.
    only: Option<String>,
}

impl Found {
    /// The archive at `path`, if that is one.
    fn at(path: &Path) -> Result<Option<Self>> {
        let of = |name: &Path, file: File, only: Option<String>| {
            let zip = Zip::open(name, file)?;
            Ok(Some(Found { zip, name: name.to_path_buf(), only }))
        };
        if path == Path::new(stdin::DASH) {
            // Whoever reads it says what is wrong.
            let file = stdin::open().ok().filter(is_zip);
            return file.map_or(Ok(None), |file| of(Path::new(stdin::NAME), file, None));
        }
        if let Ok(Some(file)) = open_regular(path, Links::Follow) {
            return if is_zip(&file) { of(path, file, None) } else { Ok(None) };
        }
        for (archive, only) in archives(path) {
            if let Some(file) = open_regular(archive, Links::Follow).ok().flatten().filter(is_zip) {
                return of(archive, file, Some(only.to_string()));
            }
        }
        Ok(None)
    }

    /// Copies the captures that are meant, `most` at most, and returns the names that they can be opened with.
    fn captures(&self, most: usize) -> Result<Vec<PathBuf>> {
        let name = self.zip.name();
        let all: Vec<&Entry> = self.zip.entries().iter().filter(|entry| entry.name.ends_with(CAPTURE)).collect();
        ensure!(!all.is_empty(), "{name} holds no capture: nothing in it is called *{CAPTURE}{}", self.inner());
        let meant: Vec<&Entry> = match &self.only {
            None => all.clone(),
            Some(only) => all.iter().copied().filter(|entry| entry.name == *only).collect(),
        };
        let list = || {
            let mut names: Vec<String> = all.iter().take(NAMED).map(|entry| quoted(&entry.name)).collect();
            if all.len() > NAMED {
                names.push(format!("{} more", all.len() - NAMED));
            }
            names.join(", ")
        };
        if meant.is_empty() {
            bail!("{name} holds no capture of the name {}, but {}", quoted(self.only.as_deref().unwrap_or("")), list());
        }
        if let [first, _, ..] = meant.as_slice()
            && meant.len() > most
        {
            bail!("{name} holds {} captures ({}): name one, such as {name}:{}", all.len(), list(), quoted(&first.name));
        }
        ensure!(
            meant.len() <= MAX_CAPTURES,
            "{name} holds {} captures, and at most {MAX_CAPTURES} are read of one: unzip it, and name some",
            meant.len()
        );
        self.zip.check_room(&meant)?;
        let sums = self.zip.sums()?;
        meant.into_iter().map(|entry| self.copy(entry, sums.as_ref())).collect()
    }

    /// What to do where there is another archive in this one.
    fn inner(&self) -> String {
        let inner = self.zip.entries().iter().find(|entry| entry.name.to_ascii_lowercase().ends_with(".zip"));
        inner.map_or_else(String::new, |entry| format!("; unzip it first, since {} is in it", quoted(&entry.name)))
    }

    /// Copies a capture, and compares it with its digest if the archive has one.
    fn copy(&self, entry: &Entry, sums: Option<&sums::Sums>) -> Result<PathBuf> {
        let path = self.path(entry);
        if member::is_there(&path) {
            return Ok(path);
        }
        let file = self.unnamed()?;
        let digest = self.unpack(entry, Some(&file))?;
        if let Some(sums) = sums {
            let name = self.zip.name();
            let is_right = sums.get(&entry.name).is_some_and(|sum| *sum == digest);
            ensure!(
                is_right,
                "{name}: {} is not what its {} says: `vmtrace bundle --check {name}` says more",
                quoted(&entry.name),
                sums::NAME
            );
        }
        member::put(path.clone(), file);
        Ok(path)
    }

    /// What the capture `entry` is called.
    fn path(&self, entry: &Entry) -> PathBuf {
        let mut path = self.name.clone().into_os_string();
        path.push(":");
        path.push(&entry.name);
        PathBuf::from(path)
    }

    fn unnamed(&self) -> Result<File> {
        stdin::unnamed(&std::env::temp_dir()).map_err(|error| self.no_space(&error))
    }

    fn no_space(&self, error: &std::io::Error) -> anyhow::Error {
        let (name, directory) = (self.zip.name(), std::env::temp_dir());
        let directory = directory.display();
        anyhow!("{name}: its captures cannot be copied into {directory} ({error}): set TMPDIR, or unzip it")
    }

    /// Unpacks an entry, and returns its digest.
    fn unpack(&self, entry: &Entry, to: Option<&File>) -> Result<String> {
        let mut digest = sums::Digest::default();
        let mut at = 0u64;
        self.zip.read(entry, |bytes| {
            digest.update(bytes);
            if let Some(file) = to {
                file.write_all_at(bytes, at).map_err(|error| self.no_space(&error))?;
            }
            at = at.saturating_add(bytes.len() as u64);
            Ok(())
        })?;
        Ok(digest.hex())
    }

    /// An entry for whoever checks all of them.
    fn content(&self, entry: &Entry) -> Result<Content> {
        let file = if entry.name.ends_with(CAPTURE) { Some(self.unnamed()?) } else { None };
        let digest = self.unpack(entry, file.as_ref());
        let capture = file.map(|file| {
            let path = self.path(entry);
            member::put(path.clone(), file);
            path
        });
        Ok(Content { name: entry.name.clone(), digest, capture })
    }
}

/// Whether a file begins as a zip archive does, also one with nothing in it.
fn is_zip(file: &File) -> bool {
    let mut begin = [0; 4];
    file.read_exact_at(&mut begin, 0).is_ok() && [b"PK\x03\x04", b"PK\x05\x06"].contains(&&begin)
}
