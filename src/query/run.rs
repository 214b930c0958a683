//! One statement: planned, run, its rows written; ^C cancels it.
//!
//! Owns what becomes of failures: an error in the SQL points into it, one in a capture names file and column.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use anyhow::{Result, anyhow};
use datafusion::common::DataFusionError;
use datafusion::dataframe::DataFrame;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::sql::parser::Statement;
use futures::{FutureExt, StreamExt};

use super::engine::Engine;
use super::open::Opened;
use super::output::Output;
use super::{error, explain};
use crate::schema::reader::guarded;

/// How a statement ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its rows were written.
    Rows(u64),
    /// ^C came before all were.
    Cancelled,
}

/// Runs `statement`, a part of `text`, and writes its rows, or with `explaining` how they came about.
///
/// # Errors
/// Those of the SQL, the captures and the output.
pub fn statement(
    engine: &Engine,
    statement: Statement,
    text: &str,
    output: Output,
    explaining: bool,
) -> Result<Outcome> {
    let frame = quiet(|| engine.plan(statement, text))?;
    let rows = engine.runtime.block_on(async {
        let work = AssertUnwindSafe(rows(engine, frame, &output, explaining)).catch_unwind();
        tokio::select! {
            biased;
            _ = tokio::signal::ctrl_c() => Ok(None),
            rows = work => match rows {
                Ok(rows) => rows.map(Some),
                Err(_) => Err(Failure::Engine(DataFusionError::Internal("the engine gave up".into()))),
            },
        }
    });
    match rows {
        Ok(Some(rows)) => {
            output.publish()?;
            Ok(Outcome::Rows(rows))
        }
        Ok(None) => Ok(Outcome::Cancelled),
        Err(Failure::Output(error)) => Err(error),
        Err(Failure::Engine(error)) => Err(blame(engine, &error, text)),
    }
}

enum Failure {
    Engine(DataFusionError),
    Output(anyhow::Error),
}

async fn rows(engine: &Engine, frame: DataFrame, output: &Output, explaining: bool) -> Result<u64, Failure> {
    let plan: Arc<dyn ExecutionPlan> = frame.create_physical_plan().await.map_err(Failure::Engine)?;
    let mut stream = execute_stream(Arc::clone(&plan), engine.context.task_ctx()).map_err(Failure::Engine)?;
    let schema = stream.schema();
    // A statement without a result, such as CREATE VIEW, has nothing to write.
    let shown = !explaining && !schema.fields().is_empty();
    let mut sink = if shown { Some(output.sink(&schema).map_err(Failure::Output)?) } else { None };
    let mut count = 0u64;
    while let Some(batch) = stream.next().await {
        let batch = batch.map_err(Failure::Engine)?;
        count += batch.num_rows() as u64;
        if let Some(sink) = &mut sink {
            sink.rows(&batch).map_err(Failure::Output)?;
        }
    }
    if explaining {
        explain::print(plan.as_ref(), count).map_err(Failure::Output)?;
    }
    if let Some(sink) = &mut sink {
        sink.finish().map_err(Failure::Output)?;
    }
    Ok(count)
}

/// Runs `work`; a panic within becomes an error.
fn quiet<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    std::panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(anyhow!("the engine gave up on it")))
}

/// The error as the user is to see it. Where a capture may be damaged, it is read once more to find out which, and where.
fn blame(engine: &Engine, error: &DataFusionError, text: &str) -> anyhow::Error {
    let of_file = matches!(
        error.find_root(),
        DataFusionError::ParquetError(_)
            | DataFusionError::ArrowError(..)
            | DataFusionError::External(_)
            | DataFusionError::ExecutionJoin(_)
            | DataFusionError::Internal(_)
    );
    let named = engine.captures.iter().any(|c| error.to_string().contains(&format!("{}: column ", c.name)));
    if of_file && !named {
        let damage = engine.captures.iter().find_map(|capture| damaged(capture));
        if let Some(damage) = damage {
            return damage;
        }
    }
    error::pointing(error, text)
}

/// The first column of a capture that cannot be read.
fn damaged(opened: &Opened) -> Option<anyhow::Error> {
    use parquet::arrow::ProjectionMask;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    let metadata = opened.capture.metadata();
    let groups = metadata.metadata().num_row_groups();
    let roots = metadata.parquet_schema().root_schema().get_fields().len();
    for (group, column) in (0..groups).flat_map(|group| (0..roots).map(move |column| (group, column))) {
        let read = guarded(|| {
            let file = opened.capture.file().try_clone()?;
            let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata.clone())
                .with_row_groups(vec![group])
                .with_projection(ProjectionMask::roots(metadata.parquet_schema(), [column]))
                .with_batch_size(1024)
                .build()?;
            reader.into_iter().try_for_each(|batch| batch.map(|_| ()))?;
            Ok(())
        });
        if let Err(error) = read {
            let name = metadata.schema().fields().get(column).map(|f| f.name().as_str()).unwrap_or_default();
            return Some(anyhow!("{}: column {name} is damaged in row group {group}: {error:#}", opened.name));
        }
    }
    None
}
