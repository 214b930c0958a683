//! The table `flows`: where bytes went through pipes, as `model::flow` knows it. Each query that uses it reads the captures twice.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::streaming::PartitionStream;

use super::open::Opened;
use crate::export::flow_table::{SCHEMA, Table};
use crate::export::flows::Facts;
use crate::model::flow;
use crate::model::recording::{self, Recording};

/// Flows of a batch.
const BATCH: usize = 8_192;
/// Batches that wait for the engine.
const WAITING: usize = 2;

/// The table over `captures`.
///
/// # Errors
/// When the engine refuses the columns, which would be a defect of this module.
pub fn table(captures: &[Arc<Opened>]) -> Result<StreamingTable> {
    let mut recordings = Vec::new();
    for opened in captures {
        recording::add(&mut recordings, Arc::clone(opened), opened.capture.manifest());
    }
    let flows = Arc::new(Flows { recordings: Arc::new(recordings) });
    Ok(StreamingTable::try_new(Arc::clone(&SCHEMA), vec![flows])?)
}

#[derive(Debug)]
struct Flows {
    recordings: Arc<Vec<Recording<Arc<Opened>>>>,
}

impl PartitionStream for Flows {
    fn schema(&self) -> &SchemaRef {
        &SCHEMA
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut builder = RecordBatchReceiverStreamBuilder::new(Arc::clone(&SCHEMA), WAITING);
        let (recordings, send) = (Arc::clone(&self.recordings), builder.tx());
        builder.spawn_blocking(move || {
            let give = |batch| send.blocking_send(Ok(batch)).context("nobody reads the flows any more");
            recordings.iter().try_for_each(|recording| follow(recording, &give)).or_else(|error| {
                // Where the query has ended, there is nobody to report to.
                if send.is_closed() { Ok(()) } else { Err(DataFusionError::External(error.into())) }
            })
        });
        builder.build()
    }
}

/// Gives the flows of a recording in batches.
fn follow(recording: &Recording<Arc<Opened>>, give: &dyn Fn(RecordBatch) -> Result<()>) -> Result<()> {
    let name = recording.files().next().map(|opened| opened.name.clone()).unwrap_or_default();
    for opened in recording.files() {
        ensure!(opened.remote.is_none(), "{}: flows are of local captures only: download it first", opened.name);
    }
    let mut table = Table::default();
    flow::follow(
        || recording.files().map(|opened| Ok(&opened.capture)),
        |_| {},
        |flow| {
            table.push(&Facts::of(&name, &flow));
            if table.rows() >= BATCH { give(table.take()?) } else { Ok(()) }
        },
    )?;
    give(table.take()?)
}
