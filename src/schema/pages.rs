//! Checks pages of a column before the Parquet library decompresses and decodes them.
//!
//! A page's header claims its uncompressed size and its number of values, and so do the encoded values themselves; the
//! library allocates memory according to both. Here they are compared with the footer, with the page index, and with
//! the limits. Owns only that check: the library decodes pages.

use std::borrow::Cow;
use std::io::Read;

use anyhow::{Context, Result, bail, ensure};
use parquet::basic::{Compression, Type};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::page_index::offset_index::PageLocation;

use super::lengths::{claimed_of_delta, longest_of_delta, of_plain};
use super::limits::{FEW_RANGES, Limits};
use super::ranges::ranges;
use super::structure::{Of, PAGE, Visit, walk};
use super::thrift::Input;

/// Page types and encodings (parquet.thrift of parquet-format).
const DATA: i64 = 0;
const DICTIONARY: i64 = 2;
const DATA_V2: i64 = 3;
const PLAIN: i64 = 0;
const PLAIN_DICTIONARY: i64 = 2;
const RLE: i64 = 3;
const DELTA: i64 = 5;
const DELTA_LENGTH: i64 = 6;
const RLE_DICTIONARY: i64 = 8;

/// A dictionary of fewer bytes is not searched for its longest value.
const SMALL_DICTIONARY: u64 = 8 << 10;

/// What a page's header says.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Header {
    /// Bytes of the header itself.
    pub length: u64,
    kind: i64,
    unpacked: u64,
    /// Bytes of the page behind it.
    pub packed: u64,
    values: u64,
    encoding: i64,
    /// Encodings of the levels, of version 1.
    levels: [i64; 2],
    /// Bytes of the levels, of version 2: repetition, definition.
    level_bytes: [u64; 2],
    is_packed: bool,
}

impl Header {
    /// Reads the header that `bytes` begin with; `None` where there is none, or it is cut off.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut input = Input::new(bytes);
        let mut found = Found { compressed: true, ..Found::default() };
        walk(&mut input, &PAGE, u64::MAX, &mut found).ok()?;
        let [kind, unpacked, packed] = found.page;
        let size = |size: Option<i64>| u64::try_from(size?).ok();
        let mut header = Header {
            length: input.at() as u64,
            kind: kind?,
            unpacked: size(unpacked)?,
            packed: size(packed)?,
            is_packed: true,
            ..Header::default()
        };
        match header.kind {
            DATA => {
                let [values, encoding, definition, repetition] = found.data;
                (header.values, header.encoding) = (size(values)?, encoding?);
                header.levels = [repetition?, definition?];
            }
            DICTIONARY => {
                let [values, encoding] = found.dictionary;
                (header.values, header.encoding) = (size(values)?, encoding?);
            }
            DATA_V2 => {
                let [values, _, _, encoding, definition, repetition] = found.data_v2;
                (header.values, header.encoding) = (size(values)?, encoding?);
                header.levels = [RLE; 2];
                header.level_bytes = [size(repetition)?, size(definition)?];
                header.is_packed = found.compressed;
            }
            _ => {}
        }
        Some(header)
    }
}

#[derive(Default)]
struct Found {
    page: [Option<i64>; 3],
    data: [Option<i64>; 4],
    dictionary: [Option<i64>; 2],
    data_v2: [Option<i64>; 6],
    compressed: bool,
}

impl Visit for Found {
    fn number(&mut self, of: Of, field: i16, value: i64) -> Option<()> {
        let place = usize::try_from(field).ok()?.checked_sub(1);
        let place = place.and_then(|place| match of {
            Of::Page => self.page.get_mut(place),
            Of::DataPage => self.data.get_mut(place),
            Of::DictionaryPage => self.dictionary.get_mut(place),
            Of::DataPageV2 => self.data_v2.get_mut(place),
            Of::Other | Of::File | Of::SchemaElement | Of::ColumnChunk => None,
        });
        if let Some(place) = place {
            *place = Some(value);
        }
        Some(())
    }

    fn truth(&mut self, of: Of, _field: i16, value: bool) {
        if of == Of::DataPageV2 {
            self.compressed = value;
        }
    }
}

/// What was found of a column chunk's pages.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// Bytes of the dictionary, unpacked.
    pub dictionary: u64,
    /// Bytes of its longest value.
    pub longest: u64,
    /// Most ranges of a row; 0 where there are too few to be counted.
    pub ranges: u64,
    /// Of each data page: values, bytes unpacked.
    pub pages: Vec<(u64, u64)>,
}

/// Checks pages of a column chunk, one after another.
#[derive(Debug)]
pub(crate) struct Check<'a> {
    chunk: &'a ColumnChunkMetaData,
    rows: u64,
    /// Where the pages are, as far as the page index says; the library reads them there.
    index: Option<&'a [PageLocation]>,
    limits: Limits,
    unpacked: u64,
    values: u64,
    /// Ranges of the row that the last page ended with.
    ranges: u64,
    facts: Facts,
}

impl<'a> Check<'a> {
    /// Begins with a chunk, of a row group of `rows`.
    pub fn new(chunk: &'a ColumnChunkMetaData, rows: u64, index: Option<&'a [PageLocation]>, limits: Limits) -> Self {
        Check { chunk, rows, index, limits, unpacked: 0, values: 0, ranges: 0, facts: Facts::default() }
    }

    /// Checks all pages that `bytes` consist of, which lie at `at` in the file.
    ///
    /// # Errors
    /// What is wrong with them, without the column's name.
    #[cfg(any(test, feature = "query"))]
    pub fn all(mut self, bytes: &'a [u8], at: u64) -> Result<()> {
        let mut rest = bytes;
        let mut here = at;
        while !rest.is_empty() {
            let header = Header::read(rest).context("a page header that cannot be read")?;
            let (body, next) = usize::try_from(header.length)
                .ok()
                .and_then(|length| rest.get(length..))
                .zip(usize::try_from(header.packed).ok())
                .and_then(|(body, packed)| body.split_at_checked(packed))
                .context("a page that ends behind its column")?;
            self.page(&header, here, &mut || Ok(Cow::Borrowed(body)))?;
            here = here.saturating_add(header.length).saturating_add(header.packed);
            rest = next;
        }
        self.index_is_met(at, here)
    }

    /// Checks the page at `at`, whose content behind the header is `body`: asked for only where it is needed.
    ///
    /// # Errors
    /// What is wrong with it, without the column's name.
    pub fn page(&mut self, header: &Header, at: u64, body: &mut Body<'_, 'a>) -> Result<()> {
        let packed = self.chunk.compression() != Compression::UNCOMPRESSED && header.is_packed;
        ensure!(packed || header.unpacked == header.packed, "a page of two sizes that is not compressed");
        self.limits.check_page(header.unpacked, || "a page".into())?;
        self.unpacked = self.unpacked.saturating_add(header.unpacked);
        let stated = u64::try_from(self.chunk.uncompressed_size()).unwrap_or(0);
        ensure!(
            self.unpacked <= stated,
            "pages of {} bytes uncompressed, where the footer says {stated}",
            self.unpacked
        );
        match header.kind {
            DICTIONARY => self.dictionary(header, body),
            DATA | DATA_V2 => {
                self.place(header, at)?;
                self.data(header, body)
            }
            kind => bail!("a page of type {kind}, which no capture has"),
        }
    }

    /// Ends with the chunk.
    ///
    /// # Errors
    /// When pages are missing.
    pub(super) fn finish(self, start: u64, end: u64) -> Result<Facts> {
        let stated = u64::try_from(self.chunk.num_values()).unwrap_or(0);
        ensure!(self.values == stated, "pages of {} values, where the footer says {stated}", self.values);
        self.index_is_met(start, end)?;
        Ok(self.facts)
    }

    /// The page index names all data pages from `start` to `end`, and no others.
    fn index_is_met(&self, start: u64, end: u64) -> Result<()> {
        let Some(index) = self.index else { return Ok(()) };
        let within = |page: &&PageLocation| u64::try_from(page.offset).is_ok_and(|at| at >= start && at < end);
        let named = index.iter().filter(within).count();
        ensure!(named == self.facts.pages.len(), "other pages than the page index names");
        Ok(())
    }

    fn place(&self, header: &Header, at: u64) -> Result<()> {
        let Some(index) = self.index else { return Ok(()) };
        let found = index.binary_search_by(|page| u64::try_from(page.offset).unwrap_or(0).cmp(&at)).ok();
        let (found, page) = found.and_then(|found| Some((found, index.get(found)?))).context(NOT_THERE)?;
        let length = header.length.saturating_add(header.packed);
        ensure!(u64::try_from(page.compressed_page_size) == Ok(length), NOT_THERE);
        let next = index.get(found + 1).map_or(i64::try_from(self.rows)?, |next| next.first_row_index);
        let rows = u64::try_from(next.saturating_sub(page.first_row_index)).unwrap_or(0);
        let fits = if self.is_flat() { header.values == rows } else { header.values >= rows };
        ensure!(fits, "a page of {} values, where the page index says {rows} rows", header.values);
        Ok(())
    }

    fn is_flat(&self) -> bool {
        self.chunk.column_descr().max_rep_level() == 0
    }

    fn is_text(&self) -> bool {
        self.chunk.column_type() == Type::BYTE_ARRAY
    }

    fn dictionary(&mut self, header: &Header, body: &mut Body<'_, 'a>) -> Result<()> {
        ensure!(self.facts.pages.is_empty() && self.facts.dictionary == 0, "a dictionary that is not its first page");
        ensure!(matches!(header.encoding, PLAIN | PLAIN_DICTIONARY), "a dictionary of encoding {}", header.encoding);
        let least = match self.chunk.column_type() {
            Type::BYTE_ARRAY | Type::INT32 | Type::FLOAT => 4,
            Type::INT64 | Type::DOUBLE => 8,
            Type::INT96 => 12,
            Type::FIXED_LEN_BYTE_ARRAY | Type::BOOLEAN => 1,
        };
        let most = header.unpacked / least;
        ensure!(header.values <= most, "a dictionary of {} values in {} bytes", header.values, header.unpacked);
        self.facts.dictionary = header.unpacked;
        self.facts.longest = header.unpacked;
        if self.is_text() && header.unpacked > SMALL_DICTIONARY {
            let content = self.unpacked(header, header.unpacked, body)?;
            self.facts.longest = of_plain(&content).0;
        }
        Ok(self.limits.check_value(self.facts.longest, || "a value".into())?)
    }

    fn data(&mut self, header: &Header, body: &mut Body<'_, 'a>) -> Result<()> {
        let descr = self.chunk.column_descr();
        self.values = self.values.saturating_add(header.values);
        let stated = u64::try_from(self.chunk.num_values()).unwrap_or(0);
        ensure!(self.values <= stated, "pages of {} values, where the footer says {stated}", self.values);
        self.facts.pages.push((header.values, header.unpacked));
        let known = matches!(header.encoding, PLAIN | PLAIN_DICTIONARY | RLE | DELTA | DELTA_LENGTH | RLE_DICTIONARY);
        ensure!(known, "a page of encoding {}, which no capture has", header.encoding);
        let [repeated, defined] = header.levels;
        let levels = (repeated == RLE || self.is_flat()) && (defined == RLE || descr.max_def_level() == 0);
        ensure!(levels, "a page whose levels have an encoding that no capture has");
        let level_bytes = header.level_bytes[0].saturating_add(header.level_bytes[1]);
        ensure!(level_bytes <= header.unpacked.min(header.packed), "a page that is shorter than its levels");
        if !self.is_flat() && stated > FEW_RANGES {
            let levels = self.repetition(header, body)?;
            let (last, most) = ranges(&levels, header.values, self.ranges)?;
            self.ranges = last;
            self.facts.ranges = self.facts.ranges.max(most);
        }
        let lengths = header.encoding == DELTA_LENGTH;
        ensure!(!lengths || self.is_text(), "a page of encoding {DELTA_LENGTH}, which is not of text or bytes");
        if self.is_text() && (lengths || (header.encoding == PLAIN && header.unpacked > self.limits.value())) {
            self.lengths(header, body)?;
        }
        Ok(())
    }

    /// The lengths that a page of text or bytes begins with are no more than its values; and none is too long.
    fn lengths(&self, header: &Header, body: &mut Body<'_, 'a>) -> Result<()> {
        let large = header.unpacked > self.limits.value();
        let mut reader = self.reader(header, body)?;
        self.skip_levels(header, &mut reader)?;
        let mut content = Vec::new();
        // A header has four numbers of ten bytes at most.
        reader.take(if large { header.unpacked } else { 40 }).read_to_end(&mut content)?;
        if header.encoding == DELTA_LENGTH {
            let claimed = claimed_of_delta(&content).context("a page whose lengths cannot be read")?;
            ensure!(claimed <= header.values, "a page of {} values with {claimed} lengths", header.values);
        }
        let longest = match header.encoding {
            _ if !large => return Ok(()),
            DELTA_LENGTH => longest_of_delta(&content, header.values).unwrap_or(0),
            _ => of_plain(&content).0,
        };
        Ok(self.limits.check_value(longest, || "a value".into())?)
    }

    /// Leaves out the levels in front of a page's values.
    fn skip_levels(&self, header: &Header, reader: &mut dyn Read) -> Result<()> {
        if header.kind == DATA_V2 {
            // They are not packed.
            return Ok(());
        }
        let descr = self.chunk.column_descr();
        for level in [descr.max_rep_level(), descr.max_def_level()] {
            if level > 0 {
                let mut length = [0; 4];
                reader.read_exact(&mut length).context("a page without levels")?;
                std::io::copy(&mut reader.take(u64::from(u32::from_le_bytes(length))), &mut std::io::sink())?;
            }
        }
        Ok(())
    }

    /// The repetition levels of a page of lists.
    fn repetition(&self, header: &Header, body: &mut Body<'_, 'a>) -> Result<Vec<u8>> {
        if header.kind == DATA_V2 {
            let mut levels = body()?.into_owned();
            levels.truncate(usize::try_from(header.level_bytes[0])?);
            return Ok(levels);
        }
        let mut reader = self.reader(header, body)?;
        let mut length = [0; 4];
        reader.read_exact(&mut length).context("a page without levels")?;
        let mut levels = Vec::new();
        reader.take(u64::from(u32::from_le_bytes(length))).read_to_end(&mut levels)?;
        Ok(levels)
    }

    fn unpacked(&self, header: &Header, most: u64, body: &mut Body<'_, 'a>) -> Result<Vec<u8>> {
        let mut content = Vec::new();
        self.reader(header, body)?.take(most).read_to_end(&mut content)?;
        Ok(content)
    }

    /// What is unpacked of a page, from its begin; of version 2, behind the levels. No more than its header says.
    fn reader(&self, header: &Header, body: &mut Body<'_, 'a>) -> Result<Box<dyn Read + 'a>> {
        let levels = header.level_bytes[0].saturating_add(header.level_bytes[1]);
        let mut body = Part { bytes: body()?, at: usize::try_from(levels)? };
        if !header.is_packed || header.unpacked == levels {
            return Ok(Box::new(body));
        }
        match self.chunk.compression() {
            Compression::UNCOMPRESSED => Ok(Box::new(body)),
            Compression::ZSTD(_) => {
                if body.bytes.len() <= body.at {
                    body.at = body.bytes.len();
                }
                let mut decoder =
                    zstd::stream::read::Decoder::new(body).context("a page that cannot be decompressed")?;
                // 2^27 bytes at most, which is what zstd itself accepts.
                decoder.window_log_max(27)?;
                Ok(Box::new(decoder.take(header.unpacked - levels)))
            }
            other => bail!("a page compressed with {other}, which no capture has"),
        }
    }
}

const NOT_THERE: &str = "a page where the page index names none";

/// Fetches the bytes after a page's header.
pub(crate) type Body<'b, 'a> = dyn FnMut() -> Result<Cow<'a, [u8]>> + 'b;

/// Bytes, read from a place on.
struct Part<'a> {
    bytes: Cow<'a, [u8]>,
    at: usize,
}

impl Read for Part<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let left = self.bytes.get(self.at..).unwrap_or_default();
        let count = left.len().min(out.len());
        if let (Some(out), Some(left)) = (out.get_mut(..count), left.get(..count)) {
            out.copy_from_slice(left);
        }
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
