//! The end of a capture: page indexes and footer, with the manifest, the chain and the seal in it.
//!
//! Owns how it is built. The writer writes it to a file, the reader reads it.

use std::io::{self, Write};
use std::ops::Range;

use anyhow::{Context, Result};
use parquet::arrow::encode_arrow_schema;
use parquet::file::metadata::{FileMetaData, KeyValue, ParquetMetaDataBuilder, ParquetMetaDataWriter};
use parquet::file::writer::TrackedWrite;

use super::SCHEMA_VERSION;
use super::chain::{Chain, KEY_CHAIN, KEY_SEAL};
use super::columns::arrow_schema;
use super::group::Placed;
use super::manifest::{KEY_MANIFEST, KEY_SCHEMA_VERSION, Manifest};
use super::properties::{CREATED_BY, parquet_schema};
use super::seal::{self, NO_SEAL};

/// Metadata key under which readers of Arrow look for its schema.
const KEY_ARROW_SCHEMA: &str = "ARROW:schema";
/// The end of a capture, with [`NO_SEAL`] in the seal's place.
#[derive(Debug)]
pub(super) struct Footer {
    pub bytes: Vec<u8>,
    /// Where in `bytes` the seal goes.
    pub seal: Range<usize>,
}

/// Builds what is at `at`, after `groups`.
///
/// # Errors
/// When the Parquet library refuses it.
pub(super) fn footer(groups: Vec<Placed>, at: u64, manifest: &Manifest, chain: &Chain) -> Result<Footer> {
    let rows = groups.iter().map(|g| g.group.num_rows()).sum();
    let stand_in = stand_in(chain);
    let pairs = vec![
        KeyValue::new(KEY_ARROW_SCHEMA.into(), encode_arrow_schema(&arrow_schema())),
        KeyValue::new(KEY_SCHEMA_VERSION.into(), SCHEMA_VERSION.to_string()),
        KeyValue::new(KEY_MANIFEST.into(), serde_json::to_string(manifest)?),
        KeyValue::new(KEY_CHAIN.into(), serde_json::to_string(chain)?),
        KeyValue::new(KEY_SEAL.into(), stand_in.clone()),
    ];
    let file = FileMetaData::new(1, rows, Some(CREATED_BY.into()), Some(pairs), parquet_schema()?, None);
    let (mut row_groups, mut columns, mut offsets) = (Vec::new(), Vec::new(), Vec::new());
    for placed in groups {
        row_groups.push(placed.group);
        columns.push(placed.columns);
        offsets.push(placed.offsets);
    }
    let indexed = !row_groups.is_empty();
    let metadata = ParquetMetaDataBuilder::new(file)
        .set_row_groups(row_groups)
        .set_column_index(indexed.then_some(columns))
        .set_offset_index(indexed.then_some(offsets))
        .build();
    let mut bytes = Vec::new();
    ParquetMetaDataWriter::new_with_tracked(tracked_from(&mut bytes, at)?, &metadata).finish()?;
    let place = seal::find(&bytes, &stand_in).context("the footer holds no seal")?;
    bytes.get_mut(place.clone()).context("the footer holds no seal")?.copy_from_slice(&NO_SEAL);
    Ok(Footer { bytes, seal: place })
}

/// 64 digits that nothing else in the footer can be.
fn stand_in(chain: &Chain) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(KEY_SEAL.as_bytes());
    hasher.update(chain.begin.as_bytes());
    chain.groups.iter().for_each(|group| {
        hasher.update(group.link.as_bytes());
    });
    hasher.finalize().to_hex().to_string()
}

/// Passes on what comes after the first `skip` bytes.
struct After<'a> {
    skip: u64,
    out: &'a mut Vec<u8>,
}

impl Write for After<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes.len());
        self.skip -= skipped as u64;
        self.out.extend(bytes.iter().skip(skipped));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A writer that counts from `at`, as the library's page indexes need: nothing but writing moves its count.
fn tracked_from(out: &mut Vec<u8>, at: u64) -> io::Result<TrackedWrite<After<'_>>> {
    const STEP: &[u8] = &[0; 1 << 20];
    let mut tracked = TrackedWrite::new(After { skip: at, out });
    let mut left = at;
    while left > 0 {
        let step = usize::try_from(left).unwrap_or(usize::MAX).min(STEP.len());
        tracked.write_all(&STEP[..step])?;
        left -= step as u64;
    }
    Ok(tracked)
}
