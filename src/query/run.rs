//! One statement: plan it, run it, write its rows; ^C cancels it.
//!
//! Owns the handling of failures: an error in the SQL points into it, an error in a capture names file and column. The
//! work is a task of its own and sends batches through a channel, so that ^C is noticed while the engine is busy.

use std::sync::{Arc, OnceLock};

use anyhow::{Result, anyhow};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::common::DataFusionError;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement;
use futures::StreamExt;
use tokio::sync::mpsc::{self, Receiver, Sender};

use super::engine::{self, Engine};
use super::format::Sink;
use super::open::Opened;
use super::output::Output;
use super::{cluster, error, explain};

/// Batches under way between the engine and the output.
const QUEUE: usize = 2;

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
    // It counts from here, not from when it is first waited for.
    let interrupted = engine.interrupts.notified();
    let (sender, receiver) = mpsc::channel(QUEUE);
    let planned = Arc::new(OnceLock::new());
    let work = engine.runtime.spawn(work(
        engine.context.clone(),
        (statement, engine.files),
        explaining,
        Arc::clone(&planned),
        sender,
    ));
    let abort = work.abort_handle();
    let written = engine.runtime.block_on(async {
        tokio::select! {
            biased;
            () = interrupted => Ok(None),
            written = write(receiver, &output, explaining) => written.map(Some),
        }
    });
    let give_up = || {
        abort.abort();
        engine.stops.stop();
        if let (Some(cluster), Some(plan)) = (&engine.cluster, planned.get()) {
            engine.runtime.block_on(cluster.cancel(Plan::as_ref(plan)));
        }
    };
    let Some(rows) = written.inspect_err(|_| give_up())? else {
        give_up();
        return Ok(Outcome::Cancelled);
    };
    match engine.runtime.block_on(work) {
        Ok(Ok(())) => {
            output.publish()?;
            Ok(Outcome::Rows(rows))
        }
        Ok(Err(error)) => Err(blame(engine, &error, text)),
        Err(panic) => Err(blame(engine, &DataFusionError::ExecutionJoin(Box::new(panic)), text)),
    }
}

type Plan = Arc<dyn ExecutionPlan>;

/// What the engine reports.
enum Message {
    Begin(SchemaRef),
    Rows(RecordBatch),
    /// The plan, and what a cluster made of it.
    End(Plan, Option<String>),
}

/// The engine's side. Ends early where nobody listens any more.
async fn work(
    context: SessionContext,
    (statement, files): (Statement, bool),
    explaining: bool,
    planned: Arc<OnceLock<Plan>>,
    to: Sender<Message>,
) -> Result<(), DataFusionError> {
    let plan = engine::plan(&context, statement, files).await?.create_physical_plan().await?;
    let plan = planned.get_or_init(|| plan);
    let mut stream = execute_stream(Arc::clone(plan), context.task_ctx())?;
    if to.send(Message::Begin(stream.schema())).await.is_err() {
        return Ok(());
    }
    while let Some(batch) = stream.next().await {
        if to.send(Message::Rows(batch?)).await.is_err() {
            return Ok(());
        }
    }
    // A closed pipe is not a failure of the engine.
    let elsewhere = if explaining { cluster::explained(plan.as_ref(), &context).await } else { None };
    let _ = to.send(Message::End(Arc::clone(plan), elsewhere)).await;
    Ok(())
}

/// The output's side; returns the number of rows.
async fn write(mut from: Receiver<Message>, output: &Output, explaining: bool) -> Result<u64> {
    let mut sink: Option<Box<dyn Sink + '_>> = None;
    let mut count = 0u64;
    while let Some(message) = from.recv().await {
        match (message, &mut sink) {
            // A statement without a result, such as CREATE VIEW, has nothing to write.
            (Message::Begin(schema), _) if explaining || schema.fields().is_empty() => {}
            (Message::Begin(schema), _) => sink = Some(output.sink(&schema)?),
            (Message::Rows(batch), sink) => {
                count += batch.num_rows() as u64;
                if let Some(sink) = sink {
                    sink.rows(&batch)?;
                }
            }
            (Message::End(plan, elsewhere), _) if explaining => {
                explain::print(plan.as_ref(), elsewhere.as_deref(), count)?;
            }
            (Message::End(..), Some(sink)) => sink.finish()?,
            (Message::End(..), None) => {}
        }
    }
    Ok(count)
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
    // A cluster reports errors as text alone.
    let of_file = of_file || (engine.cluster.is_some() && error.to_string().contains("ParquetError"));
    let named = engine.captures.iter().any(|c| error.to_string().contains(&format!("{}: column ", c.name)));
    if of_file && !named {
        let damage = engine.captures.iter().find_map(|capture| damaged(capture));
        if let Some(damage) = damage {
            return damage;
        }
    }
    error::pointing(error, text, &engine.known())
}

/// The first column of a capture that cannot be read.
fn damaged(opened: &Opened) -> Option<anyhow::Error> {
    let metadata = opened.capture.metadata();
    let groups = metadata.metadata().num_row_groups();
    let roots = metadata.parquet_schema().root_schema().get_fields().len();
    let name = |column: usize| metadata.schema().fields().get(column).map(|field| field.name().as_str());
    for (group, column) in (0..groups).flat_map(|group| (0..roots).map(move |column| (group, column))) {
        let chunk = metadata.metadata().row_groups().get(group).filter(|_| opened.remote.is_some());
        let leaves = chunk.into_iter().flat_map(|group| group.columns());
        for leaf in leaves.filter(|leaf| leaf.column_path().parts().first().map(String::as_str) == name(column)) {
            let (start, length) = leaf.byte_range();
            if let Some(remote) = &opened.remote
                && let Err(error) = remote.fill(opened.capture.file(), start..start.saturating_add(length))
            {
                return Some(error);
            }
        }
        let read = opened.capture.check_column(group, name(column).unwrap_or_default());
        if let Err(error) = read {
            let name = name(column).unwrap_or_default();
            return Some(anyhow!("{}: column {name} is damaged in row group {group}: {error:#}", opened.name));
        }
    }
    None
}
