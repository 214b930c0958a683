//! Flows for other programs: one JSON object per line, CSV, and a Parquet file.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

use super::Render;
use crate::export::flow_table::{SCHEMA, Table};
use crate::export::flows::{Facts, header, record};
use crate::model::flow::Flow;
use crate::output::Whole;
use crate::schema::manifest::KEY_TABLE;
use crate::terminal::json_line;

/// Flows that are written to a Parquet file at a time.
const BATCH: usize = 8_192;

/// One JSON object per flow.
#[derive(Debug)]
pub(super) struct Json;

impl Render for Json {
    fn flow(&mut self, mut out: &mut dyn Write, file: &str, flow: Flow) -> Result<()> {
        Ok(json_line(&mut out, &Facts::of(file, &flow))?)
    }
}

/// A row per flow. Text is escaped as on a terminal.
#[derive(Debug, Default)]
pub(super) struct Csv {
    started: bool,
}

impl Render for Csv {
    fn flow(&mut self, out: &mut dyn Write, file: &str, flow: Flow) -> Result<()> {
        let mut writer = csv::Writer::from_writer(out);
        if !std::mem::replace(&mut self.started, true) {
            writer.write_record(header()).map_err(plain)?;
        }
        writer.write_record(record(&Facts::of(file, &flow))).map_err(plain)?;
        Ok(writer.flush()?)
    }
}

/// The io::Error within, so that a closed pipe is known for one.
fn plain(error: csv::Error) -> anyhow::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error.into(),
        kind => io::Error::other(format!("{kind:?}")).into(),
    }
}

/// A Parquet file, which gets its name when it is complete.
pub(super) struct Parquet {
    path: PathBuf,
    table: Table,
    writer: ArrowWriter<File>,
    whole: Whole,
}

impl Parquet {
    /// A file at `path`.
    ///
    /// # Errors
    /// When it exists (and not `force`), or cannot be created.
    pub fn create(path: &Path, force: bool) -> Result<Self> {
        // It names paths, users' programs and addresses, as captures do.
        let whole = Whole::create(path, force, 0o600)?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
            // Who takes it for a capture is answered.
            .set_key_value_metadata(Some(vec![KeyValue::new(KEY_TABLE.into(), "flows".to_string())]))
            .build();
        let file = whole.file().try_clone().with_context(|| format!("cannot write {}", path.display()))?;
        let writer = ArrowWriter::try_new(file, Arc::clone(&SCHEMA), Some(properties))?;
        Ok(Parquet { path: path.to_path_buf(), table: Table::default(), writer, whole })
    }

    fn write(&mut self) -> Result<()> {
        let batch = self.table.take()?;
        self.writer.write(&batch).with_context(|| format!("cannot write {}", self.path.display()))
    }
}

impl Render for Parquet {
    fn flow(&mut self, _out: &mut dyn Write, file: &str, flow: Flow) -> Result<()> {
        self.table.push(&Facts::of(file, &flow));
        if self.table.rows() >= BATCH { self.write() } else { Ok(()) }
    }

    fn close(mut self: Box<Self>) -> Result<()> {
        self.write()?;
        self.writer.close().with_context(|| format!("cannot write {}", self.path.display()))?;
        self.whole.publish()
    }
}
