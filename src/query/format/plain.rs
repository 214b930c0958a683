//! Parquet and Arrow files: unchanged rows for other programs. Text and bytes have types that every reader supports.

use std::io::Write;
use std::sync::Arc;

use anyhow::{Result, ensure};
use arrow::array::ArrayRef;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::ipc::writer::FileWriter;
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

use super::Sink;
use crate::schema::manifest::KEY_TABLE;

/// Rows in a row group, as in a capture.
const GROUP_ROWS: usize = 131_072;

/// Writes a Parquet file to its output.
pub struct Parquet<W: Write + Send> {
    schema: SchemaRef,
    writer: Option<ArrowWriter<W>>,
}

impl<W: Write + Send> Parquet<W> {
    /// A sink that writes rows of `schema` to `out`.
    ///
    /// # Errors
    /// When a column's type has no place in Parquet.
    pub fn new(out: W, schema: &SchemaRef) -> Result<Self> {
        let schema = common(schema);
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            // Who takes it for a capture is answered.
            .set_key_value_metadata(Some(vec![KeyValue::new(KEY_TABLE.into(), "query".to_string())]))
            .build();
        let writer = ArrowWriter::try_new(out, Arc::clone(&schema), Some(properties))?;
        Ok(Parquet { schema, writer: Some(writer) })
    }
}

impl<W: Write + Send> Sink for Parquet<W> {
    fn rows(&mut self, batch: &RecordBatch) -> Result<()> {
        let batch = converted(batch, &self.schema)?;
        if let Some(writer) = &mut self.writer {
            writer.write(&batch)?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        if let Some(writer) = self.writer.take() {
            writer.into_inner()?.flush()?;
        }
        Ok(())
    }
}

/// Writes an Arrow IPC file to its output.
pub struct Arrow<W: Write> {
    schema: SchemaRef,
    writer: FileWriter<W>,
}

impl<W: Write> Arrow<W> {
    /// A sink that writes rows of `schema` to `out`.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn new(out: W, schema: &SchemaRef) -> Result<Self> {
        let schema = common(schema);
        let writer = FileWriter::try_new(out, &schema)?;
        Ok(Arrow { schema, writer })
    }
}

impl<W: Write> Sink for Arrow<W> {
    fn rows(&mut self, batch: &RecordBatch) -> Result<()> {
        Ok(self.writer.write(&converted(batch, &self.schema)?)?)
    }

    fn finish(&mut self) -> Result<()> {
        self.writer.finish()?;
        Ok(self.writer.flush()?)
    }
}

/// The schema with views as plain text and bytes: not every reader has views.
fn common(schema: &SchemaRef) -> SchemaRef {
    let fields = schema.fields().iter().map(|f| f.as_ref().clone().with_data_type(unviewed(f.data_type())));
    Arc::new(Schema::new(fields.map(|f| f.with_metadata([].into())).collect::<Vec<_>>()))
}

fn unviewed(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::List(item) => DataType::List(unviewed_field(item)),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(unviewed_field).collect()),
        other => other.clone(),
    }
}

fn unviewed_field(field: &Arc<Field>) -> Arc<Field> {
    Arc::new(field.as_ref().clone().with_data_type(unviewed(field.data_type())))
}

fn converted(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    ensure!(batch.num_columns() == schema.fields().len(), "a batch has other columns than its result");
    let columns = batch.columns().iter().zip(schema.fields());
    let columns =
        columns.map(|(column, field)| cast(column, field.data_type())).collect::<Result<Vec<ArrayRef>, _>>()?;
    let options = arrow::record_batch::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}
