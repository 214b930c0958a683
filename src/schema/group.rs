//! One row group, encoded in memory: its bytes, and a description that makes it readable without a footer.
//!
//! Owns the form of the description. A group's bytes followed by its uncompressed description are a complete Parquet
//! file: they are made and read that way. All offsets in a description count from the group's first byte, so the group
//! can be at any position in a file.

use std::io::Read;

use anyhow::{Context, Result, anyhow, bail, ensure};
use arrow_array::RecordBatch;
use bytes::Bytes;
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::errors::ParquetError;
use parquet::file::metadata::{
    ColumnChunkMetaData, PageIndexPolicy, ParquetMetaData, ParquetMetaDataOptions, ParquetMetaDataReader,
    RowGroupMetaData,
};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::page_index::offset_index::OffsetIndexMetaData;
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};

use super::chain::Digest;
use super::chunk::{Chunks, leaves};
use super::claims::Claims;
use super::columns::{COLUMNS, Layout};
use super::guard::guarded;
use super::limits::{Limits, MAX_DESCRIPTION};
use super::properties::{parquet_schema, properties};

/// Descriptions are packed at this level: small, and packed once per row group.
const LEVEL: i32 = 3;

/// A row group, encoded and ready to be written.
#[derive(Debug)]
pub struct EncodedGroup {
    pub(super) rows: u64,
    pub(super) body: Vec<u8>,
    pub(super) digest: Digest,
    pub(super) description: Description,
}

impl EncodedGroup {
    /// Encodes `batch`, which must have rows, as one row group. What memory its columns take is free again column by column.
    ///
    /// # Errors
    /// When the Parquet library refuses the batch.
    pub fn encode(batch: RecordBatch) -> Result<Self, ParquetError> {
        let rows = batch.num_rows() as u64;
        if rows == 0 {
            return Err(ParquetError::General("no rows make no row group".into()));
        }
        let root = parquet_schema()?.root_schema_ptr();
        let mut writer = SerializedFileWriter::new(Vec::new(), root, properties())?;
        let general = ArrowRowGroupWriterFactory::new(&writer, batch.schema()).create_column_writers(0)?;
        let mut group = writer.next_row_group()?;
        append_columns(batch, general, &mut group)?;
        group.close()?;
        let metadata = writer.finish()?;
        let mut body = std::mem::take(writer.inner_mut());
        let [group] = metadata.row_groups() else {
            return Err(ParquetError::General("rows of one batch make more than a row group".into()));
        };
        let rest = index_start(group).filter(|at| *at <= body.len());
        let rest = rest.ok_or_else(|| ParquetError::General("a row group without page index".into()))?;
        let description = Description::pack(&body[rest..]).map_err(|e| ParquetError::External(Box::new(e)))?;
        body.truncate(rest);
        body.shrink_to_fit();
        Ok(EncodedGroup { rows, digest: blake3::hash(&body), body, description })
    }

    /// Rows in it.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Bytes it takes in a file, without its description.
    pub fn len(&self) -> usize {
        self.body.len()
    }

    /// Never: a group has rows.
    pub fn is_empty(&self) -> bool {
        self.body.is_empty()
    }
}

/// Encodes the columns one after another: by way of a dictionary where that pays, else as the library does it.
fn append_columns(
    batch: RecordBatch,
    general: Vec<ArrowColumnWriter>,
    group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
) -> Result<(), ParquetError> {
    let schema = parquet_schema()?;
    let mut chunks = Chunks::new()?;
    let mut writers = general.into_iter().zip(schema.columns());
    let (fields, arrays, _) = batch.into_parts();
    for ((field, array), column) in fields.fields().iter().zip(arrays).zip(COLUMNS) {
        let mut computed = None;
        for (index, leaf) in leaves(&array, field.is_nullable()).iter().enumerate() {
            let missing = || ParquetError::General(format!("column {} has more parts than it should", column.name));
            let (mut writer, descr) = writers.next().ok_or_else(missing)?;
            if column.layout != Layout::Clock
                && let Some((bytes, close)) = chunks.chunk(leaf, column.layout, descr)?
            {
                group.append_column(&bytes, close)?;
                continue;
            }
            if computed.is_none() {
                computed = Some(compute_leaves(field, &array)?);
            }
            writer.write(computed.iter().flatten().nth(index).ok_or_else(missing)?)?;
            writer.close()?.append_to_row_group(group)?;
        }
    }
    Ok(())
}

/// Where the page index begins, which ends the group's own bytes.
fn index_start(group: &RowGroupMetaData) -> Option<usize> {
    let starts = group.columns().iter().flat_map(|c| [c.column_index_offset(), c.offset_index_offset()]);
    usize::try_from(starts.flatten().min()?).ok()
}

/// What a footer would say of one row group, packed.
#[derive(Clone, Debug)]
pub(super) struct Description {
    /// As in the file.
    pub packed: Vec<u8>,
    /// Bytes when unpacked.
    pub full_len: u64,
}

impl Description {
    fn pack(full: &[u8]) -> std::io::Result<Self> {
        Ok(Description { packed: zstd::bulk::compress(full, LEVEL)?, full_len: full.len() as u64 })
    }

    /// Takes a description from a file, and what it says of the group of `body_len` bytes before it.
    ///
    /// # Errors
    /// When it is not one that vmtrace could have written.
    pub fn from_file(packed: Vec<u8>, body_len: u64) -> Result<(Self, Described)> {
        let full = unpack(&packed)?;
        let described = Described::parse(&full, body_len)?;
        let schema = described.metadata.file_metadata().schema();
        ensure!(
            schema == parquet_schema()?.root_schema(),
            "a row group has columns of another version of vmtrace: use that one"
        );
        Ok((Description { packed, full_len: full.len() as u64 }, described))
    }

    /// What it says of the group of `body_len` bytes before it.
    ///
    /// # Errors
    /// As [`Description::from_file`].
    pub fn read(&self, body_len: u64) -> Result<Described> {
        Described::parse(&unpack(&self.packed)?, body_len)
    }
}

fn unpack(packed: &[u8]) -> Result<Bytes> {
    let mut decoder = zstd::stream::read::Decoder::new(packed)?;
    // 2^26 bytes: more than a description has, and a bound on the decoder's memory.
    decoder.window_log_max(26)?;
    let mut full = Vec::new();
    decoder.take(MAX_DESCRIPTION + 1).read_to_end(&mut full)?;
    ensure!(full.len() as u64 <= MAX_DESCRIPTION, "a row group's description is larger than vmtrace writes");
    Ok(full.into())
}

/// Its last part, as the library will read it: in front of the footer's length and the magic.
fn footer(full: &[u8]) -> Option<&[u8]> {
    let (rest, _magic) = full.split_last_chunk::<4>()?;
    let (rest, length) = rest.split_last_chunk()?;
    rest.get(rest.len().checked_sub(u32::from_le_bytes(*length) as usize)?..)
}

/// A description, read.
#[derive(Debug)]
pub(super) struct Described {
    pub metadata: ParquetMetaData,
}

impl Described {
    fn parse(full: &Bytes, body_len: u64) -> Result<Self> {
        let damaged = "a row group's description is damaged";
        let (most, size) = (Limits::default().metadata(0), body_len.saturating_add(full.len() as u64));
        let claims = Claims::of(footer(full).context(damaged)?, most).context(damaged)?;
        claims.check_indexes_in(full, body_len, most).context(damaged)?;
        let options = ParquetMetaDataOptions::new().with_encoding_stats_as_mask(false);
        let mut reader = ParquetMetaDataReader::new()
            .with_page_index_policy(PageIndexPolicy::Required)
            .with_metadata_options(Some(options));
        let metadata = guarded(|| {
            reader.try_parse_sized(full, size).map_err(|e| anyhow!("{e}"))?;
            reader.finish().map_err(|e| anyhow!("{e}"))
        })
        .context(damaged)?;
        let described = Described { metadata };
        described.check(body_len)?;
        Ok(described)
    }

    /// Refuses what does not fit the group's bytes: a hostile description must not make a file that lies.
    fn check(&self, body_len: u64) -> Result<()> {
        let inside = |start: i64, len: i64| {
            start >= 0 && len >= 0 && start.checked_add(len).is_some_and(|end| end.unsigned_abs() <= body_len)
        };
        let group = self.group()?;
        let whole = group.columns().iter().all(|column| {
            let start = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
            let filter = column.bloom_filter_offset().map(|at| (at, column.bloom_filter_length().unwrap_or(0).into()));
            inside(start, column.compressed_size()) && filter.is_none_or(|(at, len)| inside(at, len))
        });
        ensure!(whole, "a row group's description names bytes outside of it");
        let (Some([columns]), Some([offsets])) =
            (self.metadata.column_index().map(Vec::as_slice), self.metadata.offset_index().map(Vec::as_slice))
        else {
            bail!("a row group's description has no page index");
        };
        ensure!(
            columns.len() == group.num_columns() && offsets.len() == group.num_columns(),
            "a row group's description has a page index of other columns"
        );
        let mut pages = offsets.iter().flat_map(OffsetIndexMetaData::page_locations);
        let whole = pages.all(|page| inside(page.offset, page.compressed_page_size.into()));
        ensure!(whole, "a row group's description names pages outside of it");
        Ok(())
    }

    /// The one row group.
    pub fn group(&self) -> Result<&RowGroupMetaData> {
        match self.metadata.row_groups() {
            [group] => Ok(group),
            groups => Err(anyhow!("a row group's description is of {} row groups", groups.len())),
        }
    }

    /// Smallest and largest value of a 64-bit column.
    pub fn span(&self, name: &str) -> Option<(i64, i64)> {
        let column = self.group().ok()?.columns().iter().find(|c| c.column_path().string() == name)?;
        match column.statistics()? {
            Statistics::Int64(s) => Some((*s.min_opt()?, *s.max_opt()?)),
            _ => None,
        }
    }

    /// What a footer says of the group as number `index` of a file in which it begins at `at`.
    ///
    /// # Errors
    /// When the file is too large for Parquet.
    pub fn placed(self, at: u64, index: usize) -> Result<Placed> {
        let by = i64::try_from(at).context("the file is too large")?;
        let mut metadata = self.metadata.into_builder();
        let group = metadata.take_row_groups().pop().context("no row group")?;
        let columns = group.columns().iter().map(|c| shifted_column(c, by)).collect::<Result<_, _>>()?;
        let start = group.file_offset().unwrap_or(0).saturating_add(by);
        let mut group = group.into_builder().set_column_metadata(columns).set_file_offset(start);
        if let Ok(ordinal) = i16::try_from(index) {
            group = group.set_ordinal(ordinal);
        }
        let columns = metadata.take_column_index().and_then(|mut all| all.pop()).context("no column index")?;
        let mut offsets = metadata.take_offset_index().and_then(|mut all| all.pop()).context("no offset index")?;
        for page in offsets.iter_mut().flat_map(|index| &mut index.page_locations) {
            page.offset = page.offset.saturating_add(by);
        }
        Ok(Placed { group: group.build()?, columns, offsets })
    }
}

/// What a footer says of one row group.
#[derive(Debug)]
pub(super) struct Placed {
    pub group: RowGroupMetaData,
    pub columns: Vec<ColumnIndexMetaData>,
    pub offsets: Vec<OffsetIndexMetaData>,
}

fn shifted_column(column: &ColumnChunkMetaData, by: i64) -> Result<ColumnChunkMetaData, ParquetError> {
    let shifted = |offset: Option<i64>| offset.map(|offset| offset.saturating_add(by));
    let builder = column.clone().into_builder();
    builder
        .set_data_page_offset(column.data_page_offset().saturating_add(by))
        .set_dictionary_page_offset(shifted(column.dictionary_page_offset()))
        .set_bloom_filter_offset(shifted(column.bloom_filter_offset()))
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{BatchBuilder, Event};

    fn group(rows: u64) -> EncodedGroup {
        let mut builder = BatchBuilder::default();
        (0..rows).for_each(|seq| builder.push(&Event { seq, event: "tee", payload: Some(b"x"), ..Event::default() }));
        EncodedGroup::encode(builder.take().unwrap()).unwrap()
    }

    #[test]
    fn a_description_is_unpacked_up_to_its_limit() {
        let packed = |length: u64| zstd::bulk::compress(&vec![0; length as usize], 1).unwrap();
        assert_eq!(unpack(&packed(MAX_DESCRIPTION)).unwrap().len() as u64, MAX_DESCRIPTION);
        let said = unpack(&packed(MAX_DESCRIPTION + 1)).unwrap_err().to_string();
        assert_eq!(said, "a row group's description is larger than vmtrace writes");
    }

    #[test]
    fn a_description_says_what_the_group_holds_wherever_it_stands() {
        let group = group(50_000);
        let described = group.description.read(group.body.len() as u64).unwrap();
        assert_eq!(described.span("seq"), Some((0, 49_999)));
        let before = described.group().unwrap().clone();
        let pages = described.metadata.offset_index().unwrap()[0].clone();
        let placed = described.placed(1_000, 7).unwrap();
        assert_eq!((placed.group.num_rows(), placed.group.ordinal()), (50_000, Some(7)));
        for (a, b) in before.columns().iter().zip(placed.group.columns()) {
            assert_eq!(a.byte_range().0 + 1_000, b.byte_range().0);
            assert_eq!(a.bloom_filter_offset().map(|at| at + 1_000), b.bloom_filter_offset());
            assert_eq!(a.page_encoding_stats(), b.page_encoding_stats());
            assert!(b.page_encoding_stats().is_some());
            assert_eq!(a.statistics(), b.statistics());
        }
        for (a, b) in pages.iter().zip(&placed.offsets) {
            assert_eq!(a.unencoded_byte_array_data_bytes, b.unencoded_byte_array_data_bytes);
            assert_eq!(a.page_locations[0].offset + 1_000, b.page_locations[0].offset);
        }
    }

    #[test]
    fn a_group_without_rows_is_refused() {
        assert!(EncodedGroup::encode(BatchBuilder::default().take().unwrap()).is_err());
    }

    #[test]
    fn a_schema_nested_deep_is_refused_before_the_library_sees_it() {
        let levels = 9_000;
        let mut full = vec![0x15, 2, 0x19, 0xfc];
        full.extend([levels as u8 | 0x80, (levels >> 7) as u8]);
        full.extend((0..levels).flat_map(|_| [0x48, 1, b'x', 0x15, 2, 0]));
        full.push(0);
        let len = full.len() as u32;
        full.extend(len.to_le_bytes());
        full.extend(b"PAR1");
        let error = Description::from_file(zstd::bulk::compress(&full, 1).unwrap(), 0).unwrap_err();
        assert!(format!("{error:#}").contains("nested 9000 levels deep"), "{error:#}");
    }

    #[test]
    fn a_description_of_other_bytes_or_damaged_is_refused() {
        let group = group(3);
        let len = group.body.len() as u64;
        assert!(group.description.read(len - 50).is_err(), "a shorter group");
        for at in 0..group.description.packed.len() {
            let mut packed = group.description.packed.clone();
            packed[at] ^= 0x40;
            let _ = Description::from_file(packed, len);
        }
        assert!(Description::from_file(vec![], len).is_err());
    }
}
