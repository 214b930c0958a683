//! `arg_max(value, by)`: the value of the row whose `by` is largest, as in DuckDB. Rows where either is null are ignored.
//!
//! Computes nothing itself: the engine's `last_value` does, which has a fast path for text.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, exec_err, internal_err};
use datafusion::functions_aggregate::first_last::last_value_udaf;
use datafusion::logical_expr::expr::{AggregateFunction, NullTreatment};
use datafusion::logical_expr::function::{AccumulatorArgs, AggregateFunctionSimplification};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, Expr, Signature, Volatility};

/// The function as the engine knows it.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct ArgMax(Signature);

impl Default for ArgMax {
    fn default() -> Self {
        ArgMax(Signature::any(2, Volatility::Immutable))
    }
}

impl AggregateUDFImpl for ArgMax {
    fn name(&self) -> &str {
        "arg_max"
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        given.first().map_or_else(|| internal_err!("arg_max without arguments"), |value| Ok(value.clone()))
    }

    fn return_field(&self, given: &[FieldRef]) -> Result<FieldRef> {
        let Some(value) = given.first() else { return internal_err!("arg_max without arguments") };
        let field = Field::new(self.name(), value.data_type().clone(), true);
        Ok(Arc::new(field.with_metadata(value.metadata().clone())))
    }

    fn accumulator(&self, _args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        exec_err!("arg_max cannot be used here: as an aggregate only, without OVER")
    }

    fn simplify(&self) -> Option<AggregateFunctionSimplification> {
        Some(Box::new(as_last_value))
    }
}

fn as_last_value(call: AggregateFunction, info: &SimplifyContext) -> Result<Expr> {
    let mut params = call.params;
    let (Some(by), 1) = (params.args.pop(), params.args.len()) else {
        return internal_err!("arg_max without arguments");
    };
    if info.nullable(&by)? {
        let known = by.clone().is_not_null();
        params.filter = Some(Box::new(match params.filter {
            Some(filter) => filter.and(known),
            None => known,
        }));
    }
    params.order_by = vec![by.sort(true, true)];
    params.null_treatment = Some(NullTreatment::IgnoreNulls);
    Ok(Expr::AggregateFunction(AggregateFunction { func: last_value_udaf(), params }))
}
