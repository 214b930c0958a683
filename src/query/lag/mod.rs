//! `lag` without sorting: `mono_ns - lag(mono_ns) OVER (PARTITION BY pid ORDER BY mono_ns)` and the like.
//!
//! The engine sorts rows by the keys of a window before it looks at them. Rows of a capture lie in the order of time
//! already; then the row before is the last one seen of the same key. So an early rule of the optimizer has such windows
//! carried out by [`exec::Lag`], which first reads the columns of the order to see whether rows lie in it, and leaves it to the
//! engine where they do not. Owns that rule: which windows, over what.

mod exec;
mod numbered;
mod previous;

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, ScalarValue, config::ConfigOptions};
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfig};
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_expr::expressions::{Column, Literal};
use datafusion::physical_expr::window::{StandardWindowExpr, WindowExpr};
use datafusion::physical_expr::{LexOrdering, PhysicalExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowUDFExpr};
use datafusion::physical_plan::{ExecutionPlan, replace_children_if_necessary};

use super::events::scan_again;
use super::keys::Key;
use super::open::Opened;

/// Has windows of `lag` carried out without sorting, where they may be.
#[derive(Debug)]
pub struct KeepOrder;

impl PhysicalOptimizerRule for KeepOrder {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, options: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let kept = plan.transform_up(|node| {
            let Some(window) = node.downcast_ref::<BoundedWindowAggExec>() else { return Ok(Transformed::no(node)) };
            let Some(lags) = Lags::of(window) else { return Ok(Transformed::no(node)) };
            let Some((scan, columns)) = lags.stored(window.input()) else { return Ok(Transformed::no(node)) };
            let rows = in_place(window.input(), options)?;
            let order = spread(scan, Some(&columns), options)?;
            let (Some(rows), Some(order)) = (rows, order) else { return Ok(Transformed::no(node)) };
            Ok(Transformed::yes(Arc::new(exec::Lag::new(lags, rows, order, node)) as Arc<dyn ExecutionPlan>))
        });
        Ok(kept?.data)
    }

    fn name(&self) -> &str {
        "keep_order"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Values of the row before, among those of the same keys.
#[derive(Debug)]
struct Lags {
    keys: Vec<Arc<dyn PhysicalExpr>>,
    order: Key,
    values: Vec<Arc<dyn PhysicalExpr>>,
}

impl Lags {
    /// What `window` asks for, if it is nothing else.
    fn of(window: &BoundedWindowAggExec) -> Option<Lags> {
        let (asked, schema) = (window.window_expr(), window.input().schema());
        let first = asked.first()?;
        let keys = first.partition_by().to_vec();
        let order = Key::of(&LexOrdering::new(first.order_by().to_vec())?, &schema)?;
        let ascending = first.order_by().iter().all(|by| !by.options.descending);
        let alike = asked.iter().all(|w| w.partition_by() == keys && w.order_by() == first.order_by());
        let values = asked.iter().map(|window| lagging(window.as_ref(), &schema)).collect::<Option<_>>()?;
        let few = !keys.is_empty() && keys.iter().all(|key| is_few(key, &schema));
        (alike && ascending && few).then_some(Lags { keys, order, values })
    }

    /// The scan behind `rows`, and which of its columns are the order; if keys and order are columns of the captures.
    fn stored<'a>(&self, rows: &'a Arc<dyn ExecutionPlan>) -> Option<(&'a DataSourceExec, Vec<usize>)> {
        let keys = self.keys.iter().map(|key| Some(key.downcast_ref::<Column>()?.index()));
        columns_of_scan(rows, keys.collect::<Option<_>>()?)?;
        columns_of_scan(rows, self.order.columns().collect())
    }
}

/// What `window` takes from the row before. Of values that may be null it cannot be told whether nulls are passed over.
fn lagging(window: &dyn WindowExpr, schema: &Schema) -> Option<Arc<dyn PhysicalExpr>> {
    let window = window.as_any().downcast_ref::<StandardWindowExpr>()?;
    let lag = window.get_standard_func_expr().as_any().downcast_ref::<WindowUDFExpr>()?;
    let (value, how) = lag.args().split_first().filter(|_| lag.fun().name() == "lag")?;
    let by_one = match how {
        [] => true,
        [rows] => rows.downcast_ref::<Literal>().is_some_and(|rows| *rows.value() == ScalarValue::Int64(Some(1))),
        _ => false,
    };
    (by_one && !value.nullable(schema).ok()?).then(|| Arc::clone(value))
}

/// Whether `key` has few values beside the rows, since one row of each is kept in memory: pids and their like, and text,
/// which repeats in captures.
fn is_few(key: &Arc<dyn PhysicalExpr>, schema: &Schema) -> bool {
    key.data_type(schema).is_ok_and(|of| matches!(of, DataType::Int32 | DataType::Utf8View))
}

/// The scan that `plan` takes its rows from one by one, and which of the scan's columns its `columns` are; if they are.
fn columns_of_scan(plan: &Arc<dyn ExecutionPlan>, columns: Vec<usize>) -> Option<(&DataSourceExec, Vec<usize>)> {
    if let Some(scan) = plan.downcast_ref::<DataSourceExec>() {
        return Some((scan, columns));
    }
    if let Some(filter) = plan.downcast_ref::<FilterExec>().filter(|filter| filter.projection().is_none()) {
        return columns_of_scan(filter.input(), columns);
    }
    let projection = plan.downcast_ref::<ProjectionExec>()?;
    let before = |column: usize| Some(projection.expr().get(column)?.expr.downcast_ref::<Column>()?.index());
    columns_of_scan(projection.input(), columns.into_iter().map(before).collect::<Option<_>>()?)
}

/// `plan`, its rows in the order of the files; if it can be.
fn in_place(plan: &Arc<dyn ExecutionPlan>, options: &ConfigOptions) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if let Some(scan) = plan.downcast_ref::<DataSourceExec>() {
        return spread(scan, None, options);
    }
    if !keeps_order(plan.as_ref()) {
        return Ok(None);
    }
    let [input] = plan.children()[..] else { return Ok(None) };
    let input = in_place(input, options)?;
    input.map(|input| replace_children_if_necessary(Arc::clone(plan), vec![input])).transpose()
}

/// Whether `plan` hands on rows as they come, in partitions as they are.
fn keeps_order(plan: &dyn ExecutionPlan) -> bool {
    plan.is::<DataSourceExec>()
        || plan.is::<FilterExec>()
        || plan.is::<ProjectionExec>()
        || plan.is::<CooperativeExec>()
}

/// `scan` in as many partitions as are wanted, however small the files are: then nobody spreads the rows any further.
/// They are ranges of the files, and stay in their order.
fn spread(
    scan: &DataSourceExec,
    columns: Option<&[usize]>,
    options: &ConfigOptions,
) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let config = scan.data_source().downcast_ref::<FileScanConfig>();
    if !config.is_some_and(|config| one_after_the_other(&config.file_groups)) {
        return Ok(None);
    }
    let Some(scan) = scan_again(scan, columns)? else { return Ok(None) };
    let mut options = options.clone();
    options.optimizer.repartition_file_min_size = 0;
    let spread = scan.repartitioned(options.execution.target_partitions, &options)?;
    Ok(spread.unwrap_or(scan).with_preserve_order(true))
}

/// Whether each capture begins when the one before has ended, as files of one recording do. Else there is no order to keep.
fn one_after_the_other(groups: &[FileGroup]) -> bool {
    let files = groups.iter().flat_map(FileGroup::iter);
    let captures = files.map(|file| file.extension::<Arc<Opened>>()).collect::<Option<Vec<_>>>();
    captures.is_some_and(|captures| {
        captures.iter().zip(captures.iter().skip(1)).all(|(before, after)| {
            let (before, after) = (before.capture.manifest(), after.capture.manifest());
            before.host.boot_id == after.host.boot_id && before.end.monotonic_ns <= after.start.monotonic_ns
        })
    })
}
