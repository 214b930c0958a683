//! Opens captures for the engine: checked by `schema`, then for what an engine trusts beyond that.
//!
//! Owns the columns of the table `events`. An engine skips what statistics exclude, so statistics that contradict
//! themselves are refused. Statistics that are forged without a contradiction can only be ignored (`--no-pruning`).

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::statistics::Statistics;

use super::files;
use super::remote::{self, Remote};
use crate::schema::columns::{COLUMNS, column_spec};
use crate::schema::limits::Limits;
use crate::schema::reader::{Capture, guarded};

/// Columns without which rows say nothing. Others may be missing in captures of earlier versions, and read as null.
const REQUIRED: [&str; 7] = ["seq", "ts", "ts_ns", "mono_ns", "event", "pid", "tid"];
/// The column of the table that says which capture a row is of.
pub const CAPTURE: &str = "capture";
/// Columns that later versions may have added to the table at most.
const MAX_UNKNOWN: usize = 256;

/// One capture, ready to be read.
#[derive(Debug)]
pub struct Opened {
    /// Its path as given: what the column `capture` says.
    pub name: String,
    /// The checked file.
    pub capture: Capture,
    /// Its columns as the engine is to read them.
    pub schema: SchemaRef,
    /// Where its bytes are, if not in the file.
    pub remote: Option<Arc<Remote>>,
}

impl Opened {
    /// Opens and checks the capture at `path`.
    ///
    /// # Errors
    /// One sentence naming the file and, where it is one, the column.
    pub fn open(path: &Path, limits: Limits) -> Result<Self> {
        let (name, capture, remote) = match files::is_url(path) {
            true => remote::open(path, limits)?,
            false => (name(path), Capture::open_within(path, limits)?, None),
        };
        let schema = capture.metadata().schema();
        for column in REQUIRED {
            ensure!(
                schema.column_with_name(column).is_some(),
                "{name}: column {column} is missing: not a whole capture"
            );
        }
        let named = schema.column_with_name(CAPTURE).is_some();
        ensure!(!named, "{name}: a column is named {CAPTURE}, as the one that names the file: not a capture");
        for (index, group) in capture.metadata().metadata().row_groups().iter().enumerate() {
            guarded(|| check_statistics(&capture, index, group))
                .with_context(|| format!("{name}: row group {index}"))?;
        }
        let fields = schema.fields().iter().map(|f| Field::new(f.name(), viewed(f.data_type()), f.is_nullable()));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        Ok(Opened { name, capture, schema, remote })
    }

    /// Rows of the capture.
    pub fn rows(&self) -> usize {
        usize::try_from(self.capture.rows()).unwrap_or(usize::MAX)
    }
}

/// The path as text. Bytes that are no UTF-8 become `\xNN`, so that different captures keep different names.
fn name(path: &Path) -> String {
    let chunks = path.as_os_str().as_bytes().utf8_chunks();
    chunks.fold(String::new(), |mut name, chunk| {
        name += chunk.valid();
        name + &chunk.invalid().escape_ascii().to_string()
    })
}

/// The columns of the table: all that this version knows, and plain ones that a later version may have added.
///
/// # Errors
/// When two captures have a column of the same name and different types.
pub fn table_schema(captures: &[Arc<Opened>]) -> Result<SchemaRef> {
    // Nullable if the column is nullable in any capture, or missing.
    let nullable = |name: &str| {
        captures.iter().any(|c| c.schema.column_with_name(name).is_none_or(|(_, field)| field.is_nullable()))
    };
    let mut fields: Vec<Field> =
        COLUMNS.iter().map(|c| Field::new(c.name, viewed(&(c.data_type)()), c.nullable || nullable(c.name))).collect();
    for capture in captures {
        for field in capture.schema.fields().iter().filter(|f| column_spec(f.name()).is_none()) {
            match fields.iter().find(|known| known.name() == field.name()) {
                Some(known) => ensure!(
                    known.data_type() == field.data_type(),
                    "{}: column {} is {}, in another capture {}",
                    capture.name,
                    field.name(),
                    field.data_type(),
                    known.data_type()
                ),
                None if field.data_type().is_nested() || fields.len() > COLUMNS.len() + MAX_UNKNOWN => {}
                None => fields.push(Field::new(field.name(), field.data_type().clone(), true)),
            }
        }
    }
    Ok(Arc::new(Schema::new(fields)))
}

/// Text and bytes as views: a value that repeats in a column is held once, however long a hostile file makes it.
fn viewed(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Dictionary(_, value) => viewed(value),
        DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
        DataType::Binary | DataType::LargeBinary => DataType::BinaryView,
        DataType::List(item) => DataType::List(Arc::new(viewed_field(item))),
        DataType::Struct(parts) => DataType::Struct(parts.iter().map(|part| viewed_field(part)).collect()),
        other => other.clone(),
    }
}

fn viewed_field(field: &Field) -> Field {
    field.clone().with_data_type(viewed(field.data_type()))
}

/// Refuses statistics of signed numbers that contradict themselves: those of a column, and those of its pages against them.
fn check_statistics(capture: &Capture, index: usize, group: &RowGroupMetaData) -> Result<()> {
    let pages = capture.metadata().metadata().column_index().and_then(|groups| groups.get(index));
    for (leaf, chunk) in group.columns().iter().enumerate() {
        let name = chunk.column_path().string();
        let signed = capture.metadata().schema().field_with_name(&name).is_ok_and(|f| is_signed(f.data_type()));
        let Some(bounds) = chunk.statistics().filter(|_| signed).and_then(bounds) else { continue };
        ensure!(bounds.0 <= bounds.1, "column {name}: statistics claim values from {} to {}", bounds.0, bounds.1);
        let Some(pages) = pages.and_then(|pages| pages.get(leaf)) else { continue };
        let outside = page_bounds(pages).into_iter().find(|p| p.0 < bounds.0 || p.1 > bounds.1 || p.0 > p.1);
        if let Some(outside) = outside {
            anyhow::bail!(
                "column {name}: statistics of a page claim values from {} to {}, those of the row group {} to {}",
                outside.0,
                outside.1,
                bounds.0,
                bounds.1
            );
        }
    }
    Ok(())
}

fn is_signed(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Int32 | DataType::Int64 | DataType::Timestamp(..))
}

fn bounds(statistics: &Statistics) -> Option<(i64, i64)> {
    match statistics {
        Statistics::Int32(s) => Some((i64::from(*s.min_opt()?), i64::from(*s.max_opt()?))),
        Statistics::Int64(s) => Some((*s.min_opt()?, *s.max_opt()?)),
        _ => None,
    }
}

/// Smallest and largest value of each page that has any.
fn page_bounds(index: &ColumnIndexMetaData) -> Vec<(i64, i64)> {
    match index {
        ColumnIndexMetaData::INT32(index) => {
            let pages = (0..index.min_values().len())
                .filter_map(|page| Some((*index.min_value(page)?, *index.max_value(page)?)));
            pages.map(|(min, max)| (i64::from(min), i64::from(max))).collect()
        }
        ColumnIndexMetaData::INT64(index) => (0..index.min_values().len())
            .filter_map(|page| Some((*index.min_value(page)?, *index.max_value(page)?)))
            .collect(),
        _ => Vec::new(),
    }
}
