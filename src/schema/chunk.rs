//! Column chunks of repeating values, made without the library's own encoder, which looks each value up anew: the
//! columns of a capture come with their dictionaries, or are quickly given one.
//!
//! Owns pages, their indexes and statistics. Page headers and everything around the chunk are the library's.
//!
//! It stays as long as it pays: with the library's encoder the writer thread takes 1.37 to 1.42 × the CPU time for each
//! event, and a row group 1.04 to 1.24 × the bytes (29 November 2026, docs/performance.md). Below 1.3 × it should go. pyarrow,
//! DuckDB and polars read every form that it writes (tests/readers/shapes.py).

use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use bytes::Bytes;
use parquet::basic::{Compression, Encoding, EncodingMask, PageType, Type, ZstdLevel};
use parquet::bloom_filter::Sbbf;
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ColumnIndexBuilder, OffsetIndexBuilder, PageEncodingStats};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

use super::columns::Layout;
use super::dictionary::{Dictionary, Extremes};
use super::levels::Shape;
use super::properties::{BLOOM_VALUES, LEVEL, PAGE_ROWS};

/// A chunk of at most so many bytes is not worth packing.
const NOT_PACKED: usize = 1 << 10;
/// Of a bloom filter's answers so many may be wrong.
const BLOOM_WRONG: f64 = 0.05;

/// One leaf of a column: its values, without those of lists and nulls that hold none.
#[derive(Debug)]
pub(super) struct Leaf<'a> {
    /// Which rows hold values.
    pub shape: Shape<'a>,
    /// The values; of lists their elements.
    pub values: &'a ArrayRef,
}

/// The leaves of a column, or none if its type is not one of a capture's.
pub(super) fn leaves(array: &ArrayRef, nullable: bool) -> Vec<Leaf<'_>> {
    let Some(lists) = array.as_list_opt::<i32>() else {
        let shape = match array.nulls() {
            Some(nulls) if nullable => Shape::Optional(nulls),
            _ => Shape::Required { rows: array.len() },
        };
        return vec![Leaf { shape, values: array }];
    };
    let shape = Shape::Lists { offsets: lists.value_offsets(), nulls: lists.nulls() };
    let fields = lists.values().as_struct_opt().map(|items| items.columns()).unwrap_or_default();
    fields.iter().map(|values| Leaf { shape, values }).collect()
}

/// A chunk that is ready to be appended to a row group.
pub(super) type Chunk = (Bytes, ColumnCloseResult);

/// Makes chunks; keeps what packing needs.
pub(super) struct Chunks {
    zstd: zstd::bulk::Compressor<'static>,
}

/// A data page before it is packed.
struct Raw {
    rows: usize,
    entries: usize,
    values: usize,
    extremes: Option<Extremes>,
    bytes: Vec<u8>,
}

impl Chunks {
    /// # Errors
    /// When there is no memory.
    pub fn new() -> Result<Self, ParquetError> {
        Ok(Chunks { zstd: zstd::bulk::Compressor::new(LEVEL)? })
    }

    /// The chunk of `leaf`, or `None` where its values do not repeat, or have no dictionary.
    ///
    /// # Errors
    /// When the Parquet library refuses a part of it, which would be a defect of this module.
    pub fn chunk(
        &mut self,
        leaf: &Leaf<'_>,
        layout: Layout,
        descr: &ColumnDescPtr,
    ) -> Result<Option<Chunk>, ParquetError> {
        let with_statistics = layout == Layout::Key;
        let dictionary = if leaf.shape.has_no_values() { None } else { Dictionary::of(leaf.values) };
        if !leaf.shape.has_no_values() && dictionary.as_ref().is_none_or(|d| with_statistics && !d.has_whole_values()) {
            return Ok(None);
        }
        let pages = pages(&leaf.shape, dictionary.as_ref(), with_statistics);
        let data: usize = pages.iter().map(|page| page.bytes.len()).sum();
        let packed = data + dictionary.as_ref().map_or(0, |d| d.page.len()) > NOT_PACKED;
        let mut out = Out::new(packed.then_some(&mut self.zstd));
        if let Some(dictionary) = &dictionary {
            out.dictionary(dictionary)?;
        }
        let encoding = if dictionary.is_some() { Encoding::RLE_DICTIONARY } else { Encoding::PLAIN };
        pages.iter().try_for_each(|page| out.data(page, encoding))?;
        out.close(descr, &pages, encoding, dictionary.as_ref().filter(|_| with_statistics)).map(Some)
    }
}

/// One page where all values are the same: a page more would only cost its header.
fn pages(shape: &Shape<'_>, dictionary: Option<&Dictionary>, with_statistics: bool) -> Vec<Raw> {
    let rows = shape.rows();
    let constant = dictionary.is_none_or(Dictionary::is_constant) && shape.is_uniform();
    let each = if constant { rows.max(1) } else { PAGE_ROWS };
    let mut first = 0;
    let page = |begin: usize| {
        let range = begin..rows.min(begin + each);
        let levels = shape.page(range.clone());
        let values: Range<usize> = first..first + levels.values;
        first = values.end;
        let mut bytes = levels.levels;
        if let Some(dictionary) = dictionary {
            dictionary.write(values.clone(), &mut bytes);
        }
        let extremes = dictionary.filter(|_| with_statistics).and_then(|dictionary| dictionary.extremes(values));
        Raw { rows: range.len(), entries: levels.entries, values: levels.values, extremes, bytes }
    };
    (0..rows).step_by(each).map(page).collect()
}

/// A chunk being put together.
struct Out<'a> {
    zstd: Option<&'a mut zstd::bulk::Compressor<'static>>,
    sink: TrackedWrite<Vec<u8>>,
    offsets: OffsetIndexBuilder,
    unpacked: usize,
    dictionary_pages: usize,
    first_data: u64,
}

impl<'a> Out<'a> {
    fn new(zstd: Option<&'a mut zstd::bulk::Compressor<'static>>) -> Self {
        let (sink, offsets) = (TrackedWrite::new(Vec::new()), OffsetIndexBuilder::new());
        Out { zstd, sink, offsets, unpacked: 0, dictionary_pages: 0, first_data: 0 }
    }

    fn pack(&mut self, bytes: &[u8]) -> Result<Bytes, ParquetError> {
        Ok(match &mut self.zstd {
            Some(zstd) => zstd.compress(bytes)?.into(),
            None => Bytes::copy_from_slice(bytes),
        })
    }

    fn dictionary(&mut self, dictionary: &Dictionary) -> Result<(), ParquetError> {
        let page = Page::DictionaryPage {
            buf: self.pack(&dictionary.page)?,
            num_values: dictionary.entries as u32,
            encoding: Encoding::PLAIN,
            is_sorted: false,
        };
        let page = CompressedPage::new(page, dictionary.page.len());
        let written = SerializedPageWriter::new(&mut self.sink).write_page(page)?;
        self.unpacked += written.uncompressed_size;
        self.dictionary_pages = 1;
        self.first_data = self.sink.bytes_written() as u64;
        Ok(())
    }

    fn data(&mut self, raw: &Raw, encoding: Encoding) -> Result<(), ParquetError> {
        let page = Page::DataPage {
            buf: self.pack(&raw.bytes)?,
            num_values: raw.entries as u32,
            encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let page = CompressedPage::new(page, raw.bytes.len());
        let written = SerializedPageWriter::new(&mut self.sink).write_page(page)?;
        self.unpacked += written.uncompressed_size;
        self.offsets.append_row_count(raw.rows as i64);
        self.offsets.append_offset_and_size(written.offset as i64, written.compressed_size as i32);
        Ok(())
    }

    fn close(
        self,
        descr: &ColumnDescPtr,
        pages: &[Raw],
        encoding: Encoding,
        described_by: Option<&Dictionary>,
    ) -> Result<Chunk, ParquetError> {
        let compression = match self.zstd {
            Some(_) => Compression::ZSTD(ZstdLevel::try_new(LEVEL)?),
            None => Compression::UNCOMPRESSED,
        };
        let entries: usize = pages.iter().map(|page| page.entries).sum();
        let nulls: usize = pages.iter().map(|page| page.entries - page.values).sum();
        let stats = |page_type, encoding, count: usize| PageEncodingStats { page_type, encoding, count: count as i32 };
        let mut counted = vec![stats(PageType::DATA_PAGE, encoding, pages.len())];
        if self.dictionary_pages > 0 {
            counted.insert(0, stats(PageType::DICTIONARY_PAGE, Encoding::PLAIN, 1));
        }
        let bytes = self.sink.into_inner()?;
        let mut metadata = ColumnChunkMetaData::builder(descr.clone())
            .set_compression(compression)
            .set_encodings_mask(EncodingMask::new_from_encodings([Encoding::PLAIN, Encoding::RLE, encoding].iter()))
            .set_page_encoding_stats(counted)
            .set_total_compressed_size(bytes.len() as i64)
            .set_total_uncompressed_size(self.unpacked as i64)
            .set_num_values(entries as i64)
            .set_data_page_offset(self.first_data as i64)
            .set_dictionary_page_offset((self.dictionary_pages > 0).then_some(0));
        if let Some(statistics) = described_by.and_then(|dictionary| statistics(dictionary, pages, nulls)) {
            metadata = metadata.set_statistics(statistics);
        }
        let result = ColumnCloseResult {
            bytes_written: bytes.len() as u64,
            rows_written: pages.iter().map(|page| page.rows as u64).sum(),
            metadata: metadata.build()?,
            bloom_filter: described_by.map(bloom_filter).transpose()?,
            column_index: described_by
                .map(|dictionary| column_index(dictionary, pages, descr.physical_type()))
                .transpose()?,
            offset_index: Some(self.offsets.build()),
        };
        Ok((bytes.into(), result))
    }
}

/// Of a whole chunk.
fn statistics(dictionary: &Dictionary, pages: &[Raw], nulls: usize) -> Option<Statistics> {
    let all = pages.iter().fold(None, |so_far, page| dictionary.wider(so_far, page.extremes))?;
    let nulls = Some(nulls as u64);
    Some(match (dictionary.int32(all.least), dictionary.int32(all.most)) {
        (Some(least), Some(most)) => Statistics::int32(Some(least), Some(most), None, nulls, false),
        _ => {
            let bytes = |index| Some(ByteArray::from(dictionary.bytes(index)));
            Statistics::byte_array(bytes(all.least), bytes(all.most), None, nulls, false)
        }
    })
}

/// Of its pages.
fn column_index(dictionary: &Dictionary, pages: &[Raw], kind: Type) -> Result<ColumnIndexMetaData, ParquetError> {
    let mut index = ColumnIndexBuilder::new(kind);
    for page in pages {
        let nulls = (page.entries - page.values) as i64;
        match page.extremes {
            Some(range) => index.append(false, dictionary.bytes(range.least), dictionary.bytes(range.most), nulls),
            None => index.append(true, Vec::new(), Vec::new(), nulls),
        }
    }
    index.build()
}

fn bloom_filter(dictionary: &Dictionary) -> Result<Sbbf, ParquetError> {
    let mut filter = Sbbf::new_with_ndv_fpp(BLOOM_VALUES, BLOOM_WRONG)?;
    (0..dictionary.entries).for_each(|index| filter.insert(dictionary.bytes(index).as_slice()));
    filter.fold_to_target_fpp(BLOOM_WRONG);
    Ok(filter)
}

#[cfg(test)]
mod tests;
