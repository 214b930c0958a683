//! Reads zip archives of strangers.
//!
//! Owns what such an archive can make its reader do, within the limits of `schema::limits`. Its directory is checked whole before anything is unpacked:
//! number and names of its entries, and where their bytes are. No name in it becomes a name on the disk.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use flate2::read::DeflateDecoder;
use rawzip::{
    CompressionMethod, FileReader, RECOMMENDED_BUFFER_SIZE, ZipArchive, ZipArchiveEntryWayfinder, ZipFileHeaderRecord,
};

use super::sums::{self, Sums};
use crate::count;
use crate::schema::limits::{MAX_ENTRIES, MAX_ENTRY_NAME, MAX_RATIO, MAX_SUMS, MAX_UNPACKED, SMALL_ENTRY};
use crate::schema::quote::quoted;
use crate::schema::reader::guarded;

/// Bytes of the longest data descriptor, which can stand behind an entry. No entry fits into so few.
const DESCRIPTOR: u64 = 24;
/// Bytes that are unpacked at a time.
const STEP: usize = 1 << 16;
/// The bits of a mode that say what kind of file it is, and two of the kinds (inode(7)).
const KIND: u32 = 0o170_000;
const KIND_DIRECTORY: u32 = 0o040_000;
const KIND_REGULAR: u32 = 0o100_000;

/// An archive whose directory has been read and checked.
pub struct Zip {
    name: String,
    archive: ZipArchive<FileReader>,
    entries: Vec<Entry>,
    unlisted: u64,
}

/// A file in an archive.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its name, which leads nowhere out of the archive.
    pub name: String,
    /// Its bytes, as the archive says.
    pub size: u64,
    packed: u64,
    method: CompressionMethod,
    place: ZipArchiveEntryWayfinder,
}

impl Zip {
    /// Reads the directory of the archive that is called `name`.
    ///
    /// # Errors
    /// One sentence: it is cut off or damaged, larger than the limits, or has entries that no bundle has.
    pub fn open(name: &Path, file: File) -> Result<Self> {
        let name = name.display().to_string();
        guarded(|| Zip::read_directory(&name, file)).map_err(|error| anyhow!("{name}: {error:#}"))
    }

    fn read_directory(name: &str, file: File) -> Result<Self> {
        let mut buffer = vec![0; RECOMMENDED_BUFFER_SIZE];
        let damaged = "the zip archive is damaged or was cut off: get it again";
        let size = file.metadata()?.len();
        let archive = ZipArchive::from_file(file, &mut buffer).context(damaged)?;
        let stated = archive.entries_hint();
        ensure!(
            stated <= MAX_ENTRIES,
            "the zip archive has {stated} entries, where at most {MAX_ENTRIES} are accepted"
        );
        let (mut entries, mut places) = (Vec::new(), Vec::new());
        let mut found = 0;
        let mut directory = archive.entries(&mut buffer);
        while let Some(header) = directory.next_entry().context(damaged)? {
            found += 1;
            ensure!(found <= stated, "{damaged}");
            entries.extend(entry(&header)?);
            places.push((header.local_header_offset(), header.wayfinder()));
        }
        ensure!(found == stated, "{damaged}");
        let mut names = HashSet::new();
        if let Some(twice) = entries.iter().find(|entry| !names.insert(entry.name.as_str())) {
            bail!("two entries of the zip archive are called {}", quoted(&twice.name));
        }
        let mut zip = Zip { name: name.to_string(), archive, entries, unlisted: 0 };
        zip.check_places().context(damaged)?;
        zip.unlisted = zip.unlisted(places, size).context(damaged)?;
        Ok(zip)
    }

    /// How many bytes are outside of the entries and behind the end. Who unpacks a stream goes by what stands before each entry, and can
    /// find some there that the directory does not list.
    fn unlisted(&self, mut places: Vec<(u64, ZipArchiveEntryWayfinder)>, size: u64) -> Result<u64> {
        places.sort_unstable_by_key(|(start, _)| *start);
        let (mut all, mut at) = (0u64, 0);
        for (start, place) in places {
            all = all.saturating_add(gap(at, start));
            at = self.archive.get_entry(place)?.compressed_data_range().1;
        }
        all = all.saturating_add(gap(at, self.archive.directory_offset()));
        Ok(all.saturating_add(size.saturating_sub(self.archive.end_offset())))
    }

    /// Whether each entry has bytes of its own, under the name that it has in the directory. Other programs may go by what stands
    /// there, and would read something else.
    fn check_places(&self) -> Result<()> {
        let mut buffer = vec![0; RECOMMENDED_BUFFER_SIZE];
        let mut places = Vec::new();
        for entry in &self.entries {
            let found = self.archive.get_entry(entry.place)?;
            let header = found.local_header(&mut buffer)?;
            let is_same = header.file_path().as_bytes() == entry.name.as_bytes()
                && header.compression_method() == entry.method
                && !header.flags().is_encrypted();
            ensure!(is_same, "{} is another entry in its own place", quoted(&entry.name));
            places.push(found.compressed_data_range());
        }
        places.sort_unstable();
        let overlap = places.iter().zip(places.iter().skip(1)).any(|((_, end), (next, _))| end > next);
        ensure!(!overlap, "entries overlap");
        let beyond = places.last().is_some_and(|(_, end)| *end > self.archive.directory_offset());
        ensure!(!beyond, "an entry ends behind the others");
        Ok(())
    }

    /// How many of its bytes belong to no entry that its directory lists.
    pub fn unlisted_bytes(&self) -> u64 {
        self.unlisted
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The files in it, in their order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Whether these entries may be read, by what the archive says of them.
    ///
    /// # Errors
    /// When they are too large, or one is much larger than it is packed.
    pub fn check_room(&self, entries: &[&Entry]) -> Result<()> {
        let name = &self.name;
        let bomb = |entry: &&&Entry| entry.size > SMALL_ENTRY && entry.size > entry.packed.saturating_mul(MAX_RATIO);
        if let Some(entry) = entries.iter().find(bomb) {
            bail!(
                "{name}: {} would be {} from {}, more than {MAX_RATIO} times as much: that is no capture",
                quoted(&entry.name),
                count::size(entry.size),
                count::size(entry.packed)
            );
        }
        let all = entries.iter().fold(0u64, |all, entry| all.saturating_add(entry.size));
        ensure!(
            all <= MAX_UNPACKED,
            "{name}: what is in it would be {}, and at most {} are unpacked: unzip it if it is trusted",
            count::size(all),
            count::size(MAX_UNPACKED)
        );
        Ok(())
    }

    /// Hands on the bytes of an entry, little of it at a time. Whether they are those that the archive says is known at the end.
    ///
    /// # Errors
    /// When it cannot be unpacked, is longer or shorter than the archive says, or does not have its checksum; and those of `take`.
    pub fn read(&self, entry: &Entry, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let name = || format!("{}: {} cannot be unpacked", self.name, quoted(&entry.name));
        let found = guarded(|| self.archive.get_entry(entry.place).map_err(|error| anyhow!("{error}")));
        let found = found.with_context(name)?;
        let mut reader: Box<dyn Read> = match entry.method {
            CompressionMethod::STORE => Box::new(found.verifying_reader(found.reader())),
            CompressionMethod::DEFLATE => Box::new(found.verifying_reader(DeflateDecoder::new(found.reader()))),
            _ => bail!("{}: it is packed in a way that vmtrace does not know: unzip the archive", name()),
        };
        let mut buffer = vec![0; STEP];
        let mut left = entry.size;
        loop {
            let read = guarded(|| reader.read(&mut buffer).map_err(|error| anyhow!("{error}"))).with_context(name)?;
            let bytes = buffer.get(..read).unwrap_or_default();
            if bytes.is_empty() {
                break;
            }
            left = left.checked_sub(read as u64).with_context(|| format!("{}: it is longer than it says", name()))?;
            take(bytes)?;
        }
        ensure!(left == 0, "{}: it is shorter than it says", name());
        Ok(())
    }

    /// The digests in it; `None` if it has none.
    ///
    /// # Errors
    /// When the file of digests cannot be read.
    pub fn sums(&self) -> Result<Option<Sums>> {
        let Some(entry) = self.entries.iter().find(|entry| entry.name == sums::NAME) else { return Ok(None) };
        let name = || format!("{}: {}", self.name, sums::NAME);
        ensure!(entry.size <= MAX_SUMS, "{} is larger than any of a bundle", name());
        let mut text = Vec::new();
        self.read(entry, |bytes| {
            text.extend_from_slice(bytes);
            Ok(())
        })?;
        sums::parse(&text).with_context(name).map(Some)
    }
}

/// Bytes between two entries, but for those that may stand behind the first.
fn gap(end: u64, next: u64) -> u64 {
    match next.saturating_sub(end) {
        descriptor if descriptor <= DESCRIPTOR => 0,
        gap => gap,
    }
}

/// An entry as the directory has it; `None` is a directory.
fn entry(header: &ZipFileHeaderRecord<'_>) -> Result<Option<Entry>> {
    let path = header.file_path();
    let name = name(path.as_bytes())?;
    let shown = || quoted(&name);
    let mode = header.mode().value();
    let kinds = [0, KIND_DIRECTORY, KIND_REGULAR];
    ensure!(kinds.contains(&(mode & KIND)), "{} in the zip archive is a link, and no file", shown());
    let flags = header.flags();
    let is_encrypted = flags.is_encrypted() || flags.has_strong_encryption() || flags.is_masked();
    ensure!(!is_encrypted, "{} in the zip archive is encrypted: unzip it with its password", shown());
    if name.ends_with('/') {
        return Ok(None);
    }
    let (size, packed) = (header.uncompressed_size_hint(), header.compressed_size_hint());
    let method = header.compression_method();
    Ok(Some(Entry { name, size, packed, method, place: header.wayfinder() }))
}

/// The name of an entry, if it is one that leads nowhere else.
fn name(bytes: &[u8]) -> Result<String> {
    let shown = || quoted(&String::from_utf8_lossy(bytes));
    ensure!(
        bytes.len() <= MAX_ENTRY_NAME,
        "{} in the zip archive has a name of more than {MAX_ENTRY_NAME} bytes",
        shown()
    );
    let name = std::str::from_utf8(bytes)
        .ok()
        .filter(|name| !name.contains(|c: char| ['\\', ':'].contains(&c) || c.is_control()));
    let leads_out = |name: &str| {
        let parts = name.strip_suffix('/').unwrap_or(name).split('/');
        parts.into_iter().any(|part| ["", ".", ".."].contains(&part))
    };
    let name = name.filter(|name| !leads_out(name));
    name.map(str::to_string).with_context(|| format!("{:?} in the zip archive is no name of a file in it", shown()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_none() {
        for good in ["a", "a.parquet", "a/b.parquet", "a/", "a b", "é", "..a"] {
            assert_eq!(name(good.as_bytes()).unwrap(), good);
        }
        for bad in
            ["", "/", "/a", "../a", "a/../b", "a//b", "./a", "a\\b", "a\0b", "a\nb", "..", "a/..", "\u{1b}[2J", "a:b"]
        {
            assert!(name(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert!(name(b"\xff").is_err());
        assert!(name(&vec![b'a'; MAX_ENTRY_NAME]).is_ok() && name(&vec![b'a'; MAX_ENTRY_NAME + 1]).is_err());
    }
}
