//! Flows as a table of Arrow: a row a flow, with the columns of CSV. Numbers are numbers, `pipes` and `moved_by` are lists, and text is
//! as captured.

use std::sync::{Arc, LazyLock};

use anyhow::Result;
use arrow_array::builder::{BooleanBuilder, Int32Builder, ListBuilder, StringBuilder, UInt64Builder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};

use super::flows::{ENDS, End, Facts};

/// The columns; the first one, the name of the recording's first file, is called `capture`, as in SQL.
pub static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let list = || DataType::List(Arc::new(Field::new_list_field(DataType::UInt64, true)));
    let kind = |name: &str| match name {
        "pid" | "owner_pid" => DataType::Int32,
        "seq" | "offset" | "address" | "file_offset" => DataType::UInt64,
        _ => DataType::Utf8,
    };
    let end = |side: &'static str| {
        ENDS.iter().map(move |name| Field::new(format!("{side}_{name}"), kind(name), *name != "kind"))
    };
    let mut fields = vec![Field::new("capture", DataType::Utf8, false)];
    fields.extend(end("source"));
    fields.push(Field::new("pipes", list(), false));
    fields.extend(end("sink"));
    fields.extend([
        Field::new("moved_by", list(), false),
        Field::new("certainty", DataType::Utf8, false),
        Field::new("why", DataType::Utf8, true),
        Field::new("held_before", DataType::UInt64, true),
        Field::new("by_reference", DataType::Boolean, false),
        Field::new("equal", DataType::UInt64, true),
        Field::new("differs_at", DataType::UInt64, true),
        Field::new("via_pid", DataType::Int32, true),
        Field::new("via_comm", DataType::Utf8, true),
        Field::new("via_address", DataType::UInt64, true),
        Field::new("bytes", DataType::UInt64, false),
        Field::new("host", DataType::Utf8, true),
    ]);
    Arc::new(Schema::new(fields))
});

/// The columns of an end.
#[derive(Debug, Default)]
struct Ends {
    kind: StringBuilder,
    seq: UInt64Builder,
    event: StringBuilder,
    pid: Int32Builder,
    comm: StringBuilder,
    offset: UInt64Builder,
    address: UInt64Builder,
    name: StringBuilder,
    file_offset: UInt64Builder,
    owner_pid: Int32Builder,
    owner_comm: StringBuilder,
}

impl Ends {
    fn push(&mut self, end: &End) {
        self.kind.append_value(&end.kind);
        self.seq.append_option(end.seq);
        self.event.append_option(end.event);
        self.pid.append_option(end.pid);
        self.comm.append_option(end.comm.as_deref());
        self.offset.append_option(end.offset);
        self.address.append_option(end.address);
        self.name.append_option(end.name.as_deref());
        self.file_offset.append_option(end.file_offset);
        self.owner_pid.append_option(end.owner_pid);
        self.owner_comm.append_option(end.owner_comm.as_deref());
    }

    fn finish(&mut self) -> [ArrayRef; 11] {
        [
            Arc::new(self.kind.finish()),
            Arc::new(self.seq.finish()),
            Arc::new(self.event.finish()),
            Arc::new(self.pid.finish()),
            Arc::new(self.comm.finish()),
            Arc::new(self.offset.finish()),
            Arc::new(self.address.finish()),
            Arc::new(self.name.finish()),
            Arc::new(self.file_offset.finish()),
            Arc::new(self.owner_pid.finish()),
            Arc::new(self.owner_comm.finish()),
        ]
    }
}

/// Collects flows into batches.
#[derive(Debug, Default)]
pub struct Table {
    rows: usize,
    capture: StringBuilder,
    source: Ends,
    pipes: ListBuilder<UInt64Builder>,
    sink: Ends,
    moved_by: ListBuilder<UInt64Builder>,
    certainty: StringBuilder,
    why: StringBuilder,
    held_before: UInt64Builder,
    by_reference: BooleanBuilder,
    equal: UInt64Builder,
    differs_at: UInt64Builder,
    via_pid: Int32Builder,
    via_comm: StringBuilder,
    via_address: UInt64Builder,
    bytes: UInt64Builder,
    host: StringBuilder,
}

impl Table {
    /// How many flows wait for [`Table::take`].
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Adds a flow.
    pub fn push(&mut self, facts: &Facts<'_>) {
        self.rows += 1;
        self.capture.append_value(facts.file);
        self.source.push(&facts.source);
        self.pipes.append_value(facts.pipes.iter().map(|step| Some(step.pipe)));
        self.sink.push(&facts.sink);
        let moved = facts.pipes.iter().filter_map(|step| step.moved_by.as_ref()?.seq);
        self.moved_by.append_value(moved.map(Some));
        self.certainty.append_value(facts.certainty);
        self.why.append_option(facts.why);
        self.held_before.append_option(facts.held_before);
        self.by_reference.append_value(facts.by_reference);
        self.equal.append_option(facts.equal);
        self.differs_at.append_option(facts.differs_at);
        self.via_pid.append_option(facts.via_pid);
        self.via_comm.append_option(facts.via_comm.as_deref());
        self.via_address.append_option(facts.via_address);
        self.bytes.append_value(facts.bytes);
        self.host.append_option(facts.host.as_deref());
    }

    /// The flows so far. None are left.
    ///
    /// # Errors
    /// When Arrow refuses the columns, which would be a defect of this module.
    pub fn take(&mut self) -> Result<RecordBatch> {
        self.rows = 0;
        let mut columns: Vec<ArrayRef> = vec![Arc::new(self.capture.finish())];
        columns.extend(self.source.finish());
        columns.push(Arc::new(self.pipes.finish()));
        columns.extend(self.sink.finish());
        columns.extend([
            Arc::new(self.moved_by.finish()) as ArrayRef,
            Arc::new(self.certainty.finish()),
            Arc::new(self.why.finish()),
            Arc::new(self.held_before.finish()),
            Arc::new(self.by_reference.finish()),
            Arc::new(self.equal.finish()),
            Arc::new(self.differs_at.finish()),
            Arc::new(self.via_pid.finish()),
            Arc::new(self.via_comm.finish()),
            Arc::new(self.via_address.finish()),
            Arc::new(self.bytes.finish()),
            Arc::new(self.host.finish()),
        ]);
        Ok(RecordBatch::try_new(Arc::clone(&SCHEMA), columns)?)
    }
}
