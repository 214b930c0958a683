//! JSON lines: one object per row. Characters that can control a terminal are written as `\uXXXX`.

use std::io::{self, Write};

use anyhow::Result;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::Sink;
use crate::query::cell;
use crate::terminal::escape::SafeJson;

/// Writes JSON lines to its output.
pub struct Jsonl<W> {
    out: W,
    /// The names of the columns, each once: those of a batch may be others.
    schema: SchemaRef,
}

impl<W: Write> Jsonl<W> {
    /// A sink that writes rows of `schema` to `out`.
    pub fn new(out: W, schema: &SchemaRef) -> Self {
        Jsonl { out, schema: SchemaRef::clone(schema) }
    }
}

impl<W: Write> Sink for Jsonl<W> {
    fn rows(&mut self, batch: &RecordBatch) -> Result<()> {
        for row in 0..batch.num_rows() {
            let mut serializer = serde_json::Serializer::with_formatter(&mut self.out, SafeJson);
            // As an io::Error, so that a closed pipe is known for one.
            Row { schema: &self.schema, batch, row }.serialize(&mut serializer).map_err(io::Error::from)?;
            self.out.write_all(b"\n")?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        Ok(self.out.flush()?)
    }
}

struct Row<'a> {
    schema: &'a SchemaRef,
    batch: &'a RecordBatch,
    row: usize,
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (field, column) in self.schema.fields().iter().zip(self.batch.columns()) {
            map.serialize_entry(field.name(), &cell::json(column, self.row))?;
        }
        map.end()
    }
}
