//! Writes the archive. The same files make the same bytes: no entry has a time, a user or a mode of its own.

use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

use anyhow::{Context, Result};
use flate2::Compression;
use flate2::write::DeflateEncoder;
use rawzip::time::UtcDateTime;
use rawzip::{CompressionMethod, ZipArchiveWriter};

use super::contents::{Bytes, Content, Source};
use crate::archive::sums::{self, Digest, Sums};
use crate::schema::file::each_part;
use crate::schema::member;

/// The time of every entry, in seconds since 1970: the first that an archive can have, 1980-01-01.
const TIME: i64 = 315_532_800;
/// The mode of every entry.
const MODE: u32 = 0o100_600;

type Archive<'a> = ZipArchiveWriter<BufWriter<&'a File>>;

/// Writes an archive of `files`, and of their digests, over whatever `out` holds. Returns its size.
///
/// # Errors
/// When a file cannot be read or written.
pub fn write(mut out: &File, files: &[Content]) -> Result<u64> {
    out.set_len(0).and_then(|()| out.seek(SeekFrom::Start(0))).context("cannot write the archive")?;
    let mut archive = ZipArchiveWriter::new(BufWriter::with_capacity(1 << 16, out));
    let mut digests = Sums::new();
    for file in files {
        let digest = match &file.bytes {
            Bytes::Capture(name) => {
                let capture = member::open(Path::new(name)).context("there is no such capture")?;
                let capture = capture.context("cannot open a capture of the archive")?;
                let all = 0..capture.metadata().context("cannot open a capture of the archive")?.len();
                add(&mut archive, &file.name, false, |take| each_part(&capture, &all, take))
            }
            Bytes::Packed(Source::File(pages, range)) => {
                add(&mut archive, &file.name, true, |take| each_part(pages, range, take))
            }
            Bytes::Packed(Source::Text(bytes)) => add(&mut archive, &file.name, true, |take| take(bytes)),
        };
        digests.insert(file.name.clone(), digest.context("cannot write the archive")?);
    }
    let lines = sums::lines(&digests);
    add(&mut archive, sums::NAME, true, |take| take(lines.as_bytes())).context("cannot write the archive")?;
    archive.finish().context("cannot write the archive")?.flush().context("cannot write the archive")?;
    Ok(out.metadata().context("cannot write the archive")?.len())
}

/// Takes a part of the bytes of a file.
type Take<'a> = dyn FnMut(&[u8]) -> std::io::Result<()> + 'a;

/// Adds the bytes that `give` hands on. Returns their digest.
fn add(
    archive: &mut Archive<'_>,
    name: &str,
    packed: bool,
    give: impl FnOnce(&mut Take<'_>) -> std::io::Result<()>,
) -> Result<String> {
    let method = if packed { CompressionMethod::DEFLATE } else { CompressionMethod::STORE };
    let builder = archive.new_file(name).compression_method(method);
    let builder = builder.last_modified(UtcDateTime::from_unix(TIME)).unix_permissions(MODE);
    let (mut entry, config) = builder.start()?;
    let mut digest = Digest::default();
    let descriptor = if packed {
        let mut writer = config.wrap(DeflateEncoder::new(&mut entry, Compression::best()));
        give(&mut |bytes| {
            digest.update(bytes);
            writer.write_all(bytes)
        })?;
        let (encoder, descriptor) = writer.finish()?;
        encoder.finish()?;
        descriptor
    } else {
        let mut writer = config.wrap(&mut entry);
        give(&mut |bytes| {
            digest.update(bytes);
            writer.write_all(bytes)
        })?;
        writer.finish()?.1
    };
    entry.finish(descriptor)?;
    Ok(digest.hex())
}
