//! Compares what a footer claims about columns and pages with the format and with itself.
//!
//! Owns what is known before a page is read: types, positions, numbers of rows and values. `pages` checks the pages.

use anyhow::{Context, Result, ensure};
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::basic::Type;
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::page_index::offset_index::PageLocation;

use super::columns::column_spec;
use super::limits::{Limits, MAX_FIXED, MAX_RANGES, MAX_ROW_GROUP_ROWS};
use super::quote::quoted;

/// Refuses types we do not write, places outside of the file of `size` bytes, and sizes we cannot have written.
pub(super) fn check_layout(metadata: &ArrowReaderMetadata, size: u64, limits: Limits) -> Result<()> {
    for field in metadata.schema().fields() {
        let Some(column) = column_spec(field.name()) else { continue };
        let expected = (column.data_type)();
        let found = field.data_type();
        ensure!(found == &expected, "column {} is {}, not {expected}", column.name, quoted(&found.to_string()));
    }
    for column in metadata.parquet_schema().columns() {
        let fixed = column.physical_type() == Type::FIXED_LEN_BYTE_ARRAY;
        ensure!(
            !fixed || (1..=MAX_FIXED).contains(&column.type_length()),
            "column {} has values of {} bytes: not a capture",
            column.path().string(),
            column.type_length()
        );
    }
    let mut places = Vec::new();
    for (index, group) in metadata.metadata().row_groups().iter().enumerate() {
        places.extend(group.columns().iter().filter_map(place));
        check_group(group, size, limits).with_context(|| format!("row group {index}"))?;
        check_index(metadata, index, group).with_context(|| format!("row group {index}"))?;
    }
    places.sort_unstable();
    let apart = places.iter().zip(places.iter().skip(1)).all(|(a, b)| a.0.saturating_add(a.1) <= b.0);
    ensure!(apart, "the Parquet footer is damaged: columns overlap");
    Ok(())
}

fn check_group(group: &RowGroupMetaData, size: u64, limits: Limits) -> Result<()> {
    let rows = group.num_rows();
    ensure!((0..=MAX_ROW_GROUP_ROWS).contains(&rows), "claims {rows} rows");
    let rows = u64::try_from(rows)?;
    let mut total = 0u64;
    for chunk in group.columns() {
        let name = chunk.column_path().string();
        let place = place(chunk).filter(|(start, length)| start.checked_add(*length).is_some_and(|end| end <= size));
        ensure!(place.is_some(), "column {name} is outside the file");
        let values = u64::try_from(chunk.num_values()).ok();
        let values = values.with_context(|| format!("column {name} claims {} values", chunk.num_values()))?;
        if chunk.column_descr().max_rep_level() == 0 {
            ensure!(values == rows, "column {name} claims {values} values where there are {rows} rows");
        } else {
            let most = rows.saturating_mul(MAX_RANGES);
            ensure!(values <= most, "column {name} claims {values} values in {rows} rows of at most {MAX_RANGES} each");
        }
        let unpacked = u64::try_from(chunk.uncompressed_size()).ok();
        let unpacked = unpacked.with_context(|| format!("column {name} claims a size below 0"))?;
        total = total.saturating_add(unpacked);
    }
    Ok(limits.check_row_group(total, || "it claims a content".into())?)
}

/// Where the chunk begins, and how long it is.
pub(super) fn place(chunk: &ColumnChunkMetaData) -> Option<(u64, u64)> {
    let start = chunk.dictionary_page_offset().unwrap_or(chunk.data_page_offset());
    let data = u64::try_from(chunk.data_page_offset()).ok()?;
    let (start, length) = (u64::try_from(start).ok()?, u64::try_from(chunk.compressed_size()).ok()?);
    (start <= data).then_some((start, length))
}

/// Pages follow each other in their chunk, and in its rows.
fn check_index(metadata: &ArrowReaderMetadata, index: usize, group: &RowGroupMetaData) -> Result<()> {
    let Some(offsets) = metadata.metadata().offset_index().and_then(|groups| groups.get(index)) else { return Ok(()) };
    let columns = metadata.metadata().column_index().and_then(|groups| groups.get(index));
    ensure!(offsets.len() == group.num_columns(), "the page index is of other columns");
    for (leaf, (chunk, offsets)) in group.columns().iter().zip(offsets).enumerate() {
        let name = chunk.column_path().string();
        let pages = offsets.page_locations();
        let (start, length) = place(chunk).context("a column outside the file")?;
        let whole = follow(pages, start..start.saturating_add(length), group.num_rows());
        ensure!(whole, "column {name}: the page index does not fit the column");
        let has_sizes = offsets.unencoded_byte_array_data_bytes().is_none_or(|bytes| bytes.len() == pages.len());
        let held = columns.and_then(|columns| columns.get(leaf)).and_then(pages_held);
        ensure!(
            has_sizes && held.is_none_or(|held| held == pages.len()),
            "column {name}: the page index is of other pages"
        );
    }
    Ok(())
}

fn follow(pages: &[PageLocation], place: std::ops::Range<u64>, rows: i64) -> bool {
    let (mut free, mut row) = (place.start, -1);
    let mut followed = pages.iter().map(|page| {
        let start = u64::try_from(page.offset).ok().filter(|start| *start >= free)?;
        let length = u64::try_from(page.compressed_page_size).ok().filter(|length| *length > 0)?;
        free = start.checked_add(length).filter(|end| *end <= place.end)?;
        let next = page.first_row_index > row && page.first_row_index < rows.max(1);
        let first = row >= 0 || page.first_row_index == 0;
        row = page.first_row_index;
        (next && first).then_some(())
    });
    followed.all(|page| page.is_some()) && (rows == 0 || !pages.is_empty())
}

/// Pages of which the index says what they hold; `None` where there is none.
fn pages_held(index: &ColumnIndexMetaData) -> Option<usize> {
    match index {
        ColumnIndexMetaData::NONE => None,
        ColumnIndexMetaData::BOOLEAN(index) => Some(index.min_values().len()),
        ColumnIndexMetaData::INT32(index) => Some(index.min_values().len()),
        ColumnIndexMetaData::INT64(index) => Some(index.min_values().len()),
        ColumnIndexMetaData::INT96(index) => Some(index.min_values().len()),
        ColumnIndexMetaData::FLOAT(index) => Some(index.min_values().len()),
        ColumnIndexMetaData::DOUBLE(index) => Some(index.min_values().len()),
        ColumnIndexMetaData::BYTE_ARRAY(index) | ColumnIndexMetaData::FIXED_LEN_BYTE_ARRAY(index) => {
            usize::try_from(index.num_pages()).ok()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other() {
        let page = |offset, compressed_page_size, first_row_index| PageLocation {
            offset,
            compressed_page_size,
            first_row_index,
        };
        let fits = |pages: &[PageLocation]| follow(pages, 100..200, 10);
        assert!(fits(&[page(100, 40, 0), page(140, 60, 4)]));
        assert!(fits(&[page(110, 90, 0)]), "behind a dictionary");
        assert!(follow(&[], 4..4, 0));
        for (what, pages) in [
            ("none", vec![]),
            ("before the column", vec![page(99, 40, 0)]),
            ("behind its end", vec![page(100, 101, 0)]),
            ("without bytes", vec![page(100, 0, 0)]),
            ("over another", vec![page(100, 40, 0), page(139, 40, 4)]),
            ("of no rows", vec![page(100, 40, 0), page(140, 40, 0)]),
            ("of rows before", vec![page(100, 40, 0), page(140, 40, 5), page(180, 5, 3)]),
            ("of rows behind the end", vec![page(100, 40, 0), page(140, 40, 10)]),
            ("not from the first row", vec![page(100, 40, 1)]),
            ("below zero", vec![page(-1, -1, -1)]),
        ] {
            assert!(!fits(&pages), "{what}");
        }
    }
}
