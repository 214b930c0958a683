//! Rows to record batches: the writing half of the row type.

use arrow_array::RecordBatch;
use arrow_schema::ArrowError;
use arrow_schema::SchemaRef;

use super::columns::{Builders, Event, arrow_schema};

/// Rows per row group: measured best for pruning and size (docs/FORMAT.md).
pub const BATCH_ROWS: usize = 131_072;
/// A batch also ends here, so that large payloads neither overflow Arrow's 32-bit offsets nor memory.
pub const BATCH_BYTES: usize = 64 << 20;

/// Collects events into one record batch at a time.
#[derive(Debug)]
pub struct BatchBuilder {
    schema: SchemaRef,
    builders: Builders,
    rows: usize,
    bytes: usize,
}

impl Default for BatchBuilder {
    fn default() -> Self {
        BatchBuilder { schema: arrow_schema(), builders: Builders::default(), rows: 0, bytes: 0 }
    }
}

impl BatchBuilder {
    /// Adds one event.
    pub fn push(&mut self, event: &Event<'_>) {
        self.builders.append(event);
        self.rows += 1;
        let iovecs = event.local_iov.map_or(0, |v| v.len()) + event.remote_iov.map_or(0, |v| v.len());
        let regions: usize = event.remote_regions.map_or(0, |regions| regions.iter().map(|r| r.bytes()).sum());
        self.bytes += event.payload.map_or(0, <[u8]>::len) + 16 * iovecs + regions;
    }

    /// Events collected so far.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes of their payloads, iovec arrays and regions.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether the batch has reached its size and should be taken.
    pub fn is_full(&self) -> bool {
        self.rows >= BATCH_ROWS || self.bytes >= BATCH_BYTES
    }

    /// The collected events as a batch; the builder starts anew.
    ///
    /// # Errors
    /// When Arrow refuses the columns, which would be a defect of this module.
    pub fn take(&mut self) -> Result<RecordBatch, ArrowError> {
        self.rows = 0;
        self.bytes = 0;
        RecordBatch::try_new(self.schema.clone(), self.builders.finish()?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::columns::EventBatch;
    use std::sync::Arc;

    use super::super::regions::{Mapping, Regions};
    use super::super::types::{Iovec, Iovecs};
    use super::*;

    #[test]
    fn an_event_comes_back_as_it_went_in() {
        let iov = [Iovec { base: 0x7fff_ffff_f000, len: 64 }];
        let event = Event {
            seq: 7,
            event: "process_vm_readv",
            pid: 4211,
            comm: "py-spy",
            target_pid: Some(42),
            ret: Some(-14),
            errno: Some("EFAULT"),
            remote_iov: Some(Iovecs::Pairs(&iov)),
            payload: Some(b"\x1b[31m"),
            ..Event::default()
        };
        let mut builder = BatchBuilder::default();
        builder.push(&Event::default());
        builder.push(&event);
        let batch = builder.take().unwrap();
        assert_eq!(builder.rows(), 0);
        let events = EventBatch::new(&batch).unwrap();
        assert_eq!(events.get(0), Some(Event::default()));
        assert_eq!(events.get(1), Some(event));
        assert_eq!(events.get(2), None);
    }

    #[test]
    fn a_column_of_another_type_is_named() {
        let batch = RecordBatch::try_from_iter([(
            "pid",
            std::sync::Arc::new(arrow_array::StringArray::from(vec!["1"])) as arrow_array::ArrayRef,
        )])
        .unwrap();
        assert_eq!(EventBatch::new(&batch).unwrap_err(), "column pid is Utf8, not Int32");
    }

    #[test]
    fn a_batch_ends_before_its_bytes_overflow() {
        let mut builder = BatchBuilder::default();
        let payload = vec![0; 1 << 20];
        while !builder.is_full() {
            builder.push(&Event { payload: Some(&payload), ..Event::default() });
        }
        assert_eq!(builder.rows(), BATCH_BYTES >> 20);
        // Texts of regions, too: a file may hold each of them once a row.
        let mut builder = BatchBuilder::default();
        let region = Mapping { end: 1, path: "x".repeat(4096), ..Mapping::default() };
        let regions = vec![Some(Arc::new(region)); 1024];
        while !builder.is_full() {
            builder.push(&Event { remote_regions: Some(Regions::Known(&regions)), ..Event::default() });
        }
        assert_eq!(builder.rows(), BATCH_BYTES >> 22);
    }
}
