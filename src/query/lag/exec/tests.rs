//! The operator over rows in memory, against a map.

use std::collections::HashMap;

use arrow::array::{AsArray, Int32Array, Int64Array};
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type, Schema};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
use datafusion::physical_plan::{collect, replace_children_if_necessary};

use super::super::super::keys::Key;
use super::*;

type Row = (i32, i64);

fn schema(names: &[&str]) -> SchemaRef {
    let pid = Field::new("pid", DataType::Int32, false);
    let numbers = names.iter().map(|name| Field::new(*name, DataType::Int64, *name == "before"));
    Arc::new(Schema::new(std::iter::once(pid).chain(numbers).collect::<Vec<_>>()))
}

/// Ranges of batches of rows.
fn source(ranges: &[Vec<Vec<Row>>]) -> Arc<dyn ExecutionPlan> {
    let batch = |rows: &Vec<Row>| {
        let pid = Int32Array::from_iter_values(rows.iter().map(|row| row.0));
        let mono_ns = Int64Array::from_iter_values(rows.iter().map(|row| row.1));
        RecordBatch::try_new(schema(&["mono_ns"]), vec![Arc::new(pid), Arc::new(mono_ns)]).unwrap()
    };
    let ranges: Vec<Vec<_>> = ranges.iter().map(|range| range.iter().map(batch).collect()).collect();
    MemorySourceConfig::try_new_exec(&ranges, schema(&["mono_ns"]), None).unwrap()
}

/// The operator over `ranges`; what it would do otherwise gives no rows.
fn lag(ranges: &[Vec<Vec<Row>>]) -> Arc<dyn ExecutionPlan> {
    let rows = source(ranges);
    let mono_ns = Arc::new(Column::new("mono_ns", 1));
    let order = LexOrdering::new([PhysicalSortExpr::new_default(Arc::clone(&mono_ns) as _)]).unwrap();
    let order = Key::of(&order, &rows.schema()).unwrap();
    let lags = Lags { keys: vec![Arc::new(Column::new("pid", 0))], order, values: vec![mono_ns] };
    let none = RecordBatch::new_empty(schema(&["mono_ns", "before"]));
    let sorting = MemorySourceConfig::try_new_exec(&[vec![none]], schema(&["mono_ns", "before"]), None).unwrap();
    let columns = [ProjectionExpr::new(Arc::new(Column::new("mono_ns", 1)), "mono_ns")];
    let order = Arc::new(ProjectionExec::try_new(columns, Arc::clone(&rows)).unwrap());
    Arc::new(Lag::new(lags, rows, order, sorting))
}

fn run(lag: Arc<dyn ExecutionPlan>, context: TaskContext) -> Result<Vec<(i32, i64, Option<i64>)>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let batches = runtime.block_on(collect(lag, Arc::new(context)))?;
    let rows = batches.iter().flat_map(|batch| {
        let pid = batch.column(0).as_primitive::<Int32Type>().values().to_vec();
        let mono_ns = batch.column(1).as_primitive::<Int64Type>().values().to_vec();
        let before = batch.column(2).as_primitive::<Int64Type>().iter().collect::<Vec<_>>();
        pid.into_iter().zip(mono_ns).zip(before).map(|((pid, mono_ns), before)| (pid, mono_ns, before))
    });
    let mut rows = rows.collect::<Vec<_>>();
    rows.sort_unstable();
    Ok(rows)
}

/// Pids that are in all ranges, in some, and in one; ranges without rows among them.
#[test]
fn ranges_know_of_those_before_them() {
    let mut ranges = Vec::new();
    let mut at = 0;
    for range in 0..6_i32 {
        let mut batches = Vec::new();
        for batch in 0..5_i32 {
            let rows = if range == 3 { 0 } else { 20 };
            batches.push(
                (0..rows)
                    .map(|row| {
                        at += i64::from(row % 3);
                        (if row % 4 == 0 { range / 2 * 100 + batch } else { row * (range % 3) }, at)
                    })
                    .collect::<Vec<Row>>(),
            );
        }
        ranges.push(batches);
    }
    let mut last = HashMap::new();
    let all = ranges.iter().flatten().flatten();
    let mut expected: Vec<_> = all.map(|(pid, at)| (*pid, *at, last.insert(*pid, *at))).collect();
    expected.sort_unstable();
    assert!(last.len() > 20 && expected.len() == 500);
    assert_eq!(run(lag(&ranges), TaskContext::default()).unwrap(), expected);
}

#[test]
fn what_is_out_of_order_is_sorted() {
    let in_order = [vec![vec![(1, 5), (1, 6)], vec![(1, 6)]], vec![vec![(1, 6), (2, 9)]]];
    assert_eq!(run(lag(&in_order), TaskContext::default()).unwrap().len(), 5);
    // Too early within a batch, a range and among ranges; and too late before another range.
    for (range, batch, row, at) in [(0, 0, 1, 4), (0, 1, 0, 4), (1, 0, 0, 4), (1, 0, 1, 4), (0, 1, 0, 8)] {
        let mut rows = in_order.clone();
        rows[range][batch][row].1 = at;
        assert_eq!(run(lag(&rows), TaskContext::default()).unwrap(), [], "{rows:?}");
    }
}

/// The check says that rows are in order, but those that come are not.
#[test]
fn rows_that_change_meanwhile_are_an_error() {
    for changed in [&[vec![vec![(1, 6), (1, 5)]]][..], &[vec![vec![(1, 6)]], vec![vec![(1, 5)]]]] {
        let lag = lag(&[vec![vec![(1, 5), (1, 6)]]]);
        let mut children: Vec<_> = lag.children().into_iter().cloned().collect();
        children[0] = source(changed);
        let lag = replace_children_if_necessary(lag, children).unwrap();
        let error = run(lag, TaskContext::default()).unwrap_err();
        assert!(error.to_string().contains("changed while it was read"), "{error}");
    }
}

#[test]
fn memory_is_bounded() {
    let rows: Vec<Vec<Row>> =
        (0..100).map(|n| (n * 1000..(n + 1) * 1000).map(|n| (n, i64::from(n))).collect()).collect();
    let memory = Arc::new(GreedyMemoryPool::new(1 << 20));
    let runtime = RuntimeEnvBuilder::new().with_memory_pool(memory).build_arc().unwrap();
    let context = TaskContext::default().with_runtime(runtime);
    let error = run(lag(&[rows]), context).unwrap_err();
    assert!(matches!(error.find_root(), DataFusionError::ResourcesExhausted(_)), "{error}");
}
