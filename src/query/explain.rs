//! `--explain`: how a query was carried out, and what it did not have to read. The query runs; its rows are not shown.

use std::io::Write;

use anyhow::Result;
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use datafusion::physical_plan::metrics::MetricValue;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanVisitor, accept};

use crate::count;
use crate::terminal::escape::SafeMessage;

/// Writes what each scan read and left out, then the plan with its measures; for a query that ran `elsewhere`, what
/// that place reports of it.
///
/// # Errors
/// When stdout fails.
pub fn print(plan: &dyn ExecutionPlan, elsewhere: Option<&str>, rows: u64) -> Result<()> {
    if let Some(plan) = elsewhere {
        return Ok(writeln!(std::io::stdout().lock(), "{}\n{}", count::rows(rows), SafeMessage(plan))?);
    }
    let mut scans = Scans::default();
    accept(plan, &mut scans).map_err(|error| anyhow::anyhow!("{error}"))?;
    let plan = DisplayableExecutionPlan::with_metrics(plan).indent(false).to_string();
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", count::rows(rows))?;
    writeln!(out, "{}", SafeMessage(&scans.text))?;
    writeln!(out, "{}", SafeMessage(&plan))?;
    Ok(())
}

/// What a scan can leave out, by the engine's measure, in the order in which it does.
const PRUNING: [(&str, &str); 5] = [
    ("files_ranges_pruned_statistics", "files, by their names"),
    ("row_groups_pruned_statistics", "row groups, by statistics"),
    ("row_groups_pruned_bloom_filter", "row groups, by bloom filter"),
    ("page_index_pages_pruned", "pages, by page index"),
    ("page_index_rows_pruned", "rows, by page index"),
];

#[derive(Default)]
struct Scans {
    text: String,
}

impl ExecutionPlanVisitor for Scans {
    type Error = std::fmt::Error;

    fn pre_visit(&mut self, plan: &dyn ExecutionPlan) -> Result<bool, Self::Error> {
        use std::fmt::Write;
        let Some(scan) = plan.downcast_ref::<DataSourceExec>() else { return Ok(true) };
        let Some(config) = scan.data_source().downcast_ref::<FileScanConfig>() else { return Ok(true) };
        let size: u64 = config.file_groups.iter().flat_map(|g| g.files()).map(|f| f.object_meta.size).sum();
        let columns: Vec<_> = plan.schema().fields().iter().map(|f| f.name().clone()).collect();
        let metrics = plan.metrics().unwrap_or_default().aggregate_by_name();
        writeln!(self.text, "scan of events: columns {}", columns.join(" "))?;
        for (wanted, what) in PRUNING {
            let value = metrics.iter().map(|metric| metric.value()).find(|value| value.name() == wanted);
            if let Some(MetricValue::PruningMetrics { pruning_metrics: found, .. }) = value {
                writeln!(self.text, "  {what}: {} of {} left out", found.pruned(), found.pruned() + found.matched())?;
            }
        }
        let bytes = metrics.sum_by_name("bytes_scanned").map_or(0, |sum| sum.as_usize());
        writeln!(self.text, "  bytes read: {bytes} of {size}")?;
        Ok(true)
    }
}
