//! ^C stops joins, too. The engine cancels a query when its work waits for input. A join can compare billions of pairs
//! without waiting, and would block a thread for later queries.
//!
//! So a last optimizer rule makes joins yield now and then, and makes the condition of a nested loop fail once its
//! query is cancelled. Owns that rule. It does not reach a query in another process (Ballista).

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Schema};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, config::ConfigOptions, exec_err, internal_err};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{
    CrossJoinExec, HashJoinExec, NestedLoopJoinExec, NestedLoopJoinExecBuilder, SortMergeJoinExec,
};

/// Counts queries that were given up: one of an earlier count goes on no longer.
#[derive(Clone, Debug, Default)]
pub struct Stops(Arc<AtomicU64>);

impl Stops {
    /// Gives up what runs.
    pub fn stop(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Has joins notice that their query was given up.
#[derive(Debug)]
pub struct StopJoins(pub Stops);

impl PhysicalOptimizerRule for StopJoins {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _options: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let count = self.0.count();
        let stopped = plan.transform_up(|node| {
            let nested = node.downcast_ref::<NestedLoopJoinExec>();
            let join = match nested.and_then(|join| join.filter().map(|filter| (join, filter))) {
                Some((join, filter)) => {
                    let inner = Arc::clone(filter.expression());
                    let until = Arc::new(Until { inner, count, stops: self.0.clone() });
                    let filter = JoinFilter::new(until, filter.column_indices().to_vec(), Arc::clone(filter.schema()));
                    Arc::new(NestedLoopJoinExecBuilder::from(join).with_filter(Some(filter)).build()?)
                }
                None if is_join(node.as_ref()) => node,
                None => return Ok(Transformed::no(node)),
            };
            Ok(Transformed::yes(Arc::new(CooperativeExec::new(join)) as Arc<dyn ExecutionPlan>))
        });
        Ok(stopped?.data)
    }

    fn name(&self) -> &str {
        "stop_joins"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn is_join(plan: &dyn ExecutionPlan) -> bool {
    plan.is::<NestedLoopJoinExec>()
        || plan.is::<CrossJoinExec>()
        || plan.is::<HashJoinExec>()
        || plan.is::<SortMergeJoinExec>()
}

/// A condition that fails once its query is given up.
#[derive(Debug)]
struct Until {
    inner: Arc<dyn PhysicalExpr>,
    count: u64,
    stops: Stops,
}

impl PartialEq for Until {
    fn eq(&self, other: &Self) -> bool {
        self.inner.eq(&other.inner)
    }
}

impl Eq for Until {}

impl Hash for Until {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl fmt::Display for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl PhysicalExpr for Until {
    fn data_type(&self, schema: &Schema) -> Result<DataType> {
        self.inner.data_type(schema)
    }

    fn nullable(&self, schema: &Schema) -> Result<bool> {
        self.inner.nullable(schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        if self.stops.count() != self.count {
            return exec_err!("cancelled");
        }
        self.inner.evaluate(batch)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.inner]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        let (Some(inner), true) = (children.pop(), children.is_empty()) else {
            return internal_err!("one condition is needed");
        };
        Ok(Arc::new(Until { inner, count: self.count, stops: self.stops.clone() }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt_sql(f)
    }
}
